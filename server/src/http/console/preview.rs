//! What a file would change, as a person reads it before agreeing.

use super::consents::name;
use super::gate::Visitor;
use super::import::Refused;
use super::layout::{alert, empty, table, token};
use super::words;
use crate::domain::import::{ChildChange, Kind, Outcome, Plan, Reading, Refusal};
use crate::domain::register::Register;
use crate::storage::Child;
use jiff::civil::Date;
use maud::{Markup, html};
use nestwarden_policy_schema::id::ChildId;
use std::collections::BTreeMap;

/// More children than this are counted and not listed.
const SHOWN: usize = 200;
/// Which a form can send back.
const WORDS: usize = 150;
const MEANINGS: [(&str, &str); 4] = [
    ("given", "Yes"),
    ("refused", "No"),
    ("withdrawn", "Withdrawn"),
    ("not_given", "Nothing"),
];

pub(super) fn other_file() -> Markup {
    html! { p { a.button href="/consents/import" { "Choose another file" } } }
}

/// Every mistake with its place, what stands there, and what to do.
pub(super) fn refused(why: &Refused) -> Markup {
    html! {
        (alert(&why.message))
        @if !why.refusals.is_empty() { (refusals("What to mend", &why.refusals)) }
        @if why.more > 0 { p { "And " (why.more) " more." } }
    }
}

fn refusals(caption: &str, refusals: &[Refusal]) -> Markup {
    let rows: Vec<Vec<Markup>> = refusals
        .iter()
        .map(|refusal| {
            vec![
                html! { @if let Some(row) = refusal.row { (row) } @else { "The file" } },
                html! { (refusal.reference.as_deref().unwrap_or_default()) },
                html! { (refusal.column.as_deref().unwrap_or_default()) },
                html! { @if let Some(value) = &refusal.value { "“" (value) "”" } },
                html! { (super::layout::sentence(&refusal.remedy)) },
            ]
        })
        .collect();
    table(
        caption,
        &["Row", "Child", "Column", "There is", "What to do"],
        &rows,
    )
}

pub(super) fn outcome(visitor: &Visitor, register: &Register, outcome: &Outcome) -> Markup {
    let plan = &outcome.plan;
    html! {
        @if let Some(reading) = &outcome.reading { (read_as(visitor, reading)) }
        section.card {
            h2 { "In short" }
            p { (counted(outcome)) }
            p.cover {
                strong { (plan.counts.photos_withheld + plan.counts.photos_sealed) }
                span { "photos would go out of use at once, on " (plan.photos.devices.len()) " tablets." }
            }
        }
        @if !plan.refused.is_empty() {
            h2 { "Rows that are refused" }
            (refusals("The other rows count without them; a refused answer is read as not given.", &plan.refused))
        }
        @if !plan.in_no_room.is_empty() { (in_no_room(&plan.in_no_room)) }
        (by_child(register, plan))
        (stays(plan))
        form method="post" action="/consents/import/confirm" {
            (token(visitor))
            input type="hidden" name="seen" value=(outcome.seen);
            @if outcome.reading.is_some() {
                label.choice { input type="checkbox" name="accepted" value="yes" required; "The words mean what is said above, and the children are read rightly" }
            }
            @if !plan.concerns.is_empty() {
                fieldset {
                    legend { "More changes than a day brings" }
                    ul { @for concern in &plan.concerns { li { (super::layout::sentence(&concern.to_string())) } } }
                    label.choice { input type="checkbox" name="confirmed" value="yes" required; "I have checked this: it is right" }
                }
            }
            div.actions {
                button.main { "Import" }
                a.button href="/consents/import" { "Choose another file" }
            }
        }
    }
}

fn in_no_room(references: &[String]) -> Markup {
    html! {
        h2 { "In no room" }
        p { "These children are possibly in every photo of any room that nobody tagged: write their room into the file, or set it with child room." }
        p { (references.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", "))
            @if references.len() > SHOWN { " and " (references.len() - SHOWN) " more" } "." }
    }
}

pub(super) fn counted(outcome: &Outcome) -> Markup {
    let counts = &outcome.plan.counts;
    html! {
        (counts.children) " children: " (counts.new_children) " new, " (counts.changed_children) " changed, "
        (counts.newly_missing) " missing from the file, " (counts.refused_rows) " rows refused. "
        (counts.answers_added) " new answers, " (counts.lapsing) " consents lapse."
    }
}

fn by_child(register: &Register, plan: &Plan) -> Markup {
    let known: BTreeMap<ChildId, &Child> = register.children.iter().map(|c| (c.id, c)).collect();
    let rows: Vec<Vec<Markup>> = plan
        .changes
        .iter()
        .take(SHOWN)
        .map(|change| {
            let photos = change.photos_withheld + change.photos_sealed;
            vec![
                html! { @if let Some(child) = known.get(&change.child) { (name(child)) " " } span.soft { (change.reference) } },
                says(change),
                html! { @if photos > 0 { (photos) } @else { "–" } },
            ]
        })
        .collect();
    html! {
        h2 { "Child by child" }
        @if rows.is_empty() {
            (empty(&html! { p { "Nothing changes: the register has all of this already." } }))
        } @else {
            (table("What would change, and how many photos would go.", &["Child", "Change", "Photos that go"], &rows))
        }
        @if plan.changes.len() > SHOWN { p { "And " (plan.changes.len() - SHOWN) " more children." } }
    }
}

fn says(change: &ChildChange) -> Markup {
    let shown = |text: &str| {
        if text.is_empty() {
            "–".to_owned()
        } else {
            text.to_owned()
        }
    };
    html! {
        @match change.kind {
            Kind::New => { strong { "New" } },
            Kind::Missing => { strong { "Missing from the file" } ": no new photos now, and after 72 hours theirs go out of use" },
            Kind::Back => { strong { "Listed again" } },
            Kind::Changed => {},
        }
        ul.todo {
            @for field in &change.fields {
                li { (field.field) @if !field.from.is_empty() || !field.to.is_empty() { ": " (shown(&field.from)) " → " (shown(&field.to)) } }
            }
            @for answer in &change.answers {
                li { (words::purpose(answer.purpose)) ": "
                    @if change.kind != Kind::New {
                        (words::consent(answer.from).1) (until(answer.from_until)) " → "
                    }
                    (words::consent(answer.to).1) (until(answer.to_until)) }
            }
            @for field in &change.kept { li { (field) ": as set here, not as in the file" } }
        }
    }
}

/// What the file says and the register does not take from it.
fn stays(plan: &Plan) -> Markup {
    html! {
        @if !plan.not_restored.is_empty() {
            h2 { "A Yes that does not count" }
            p { "An earlier answer stands. A Yes restores only with the day it was answered, in a column of its own." }
            ul { @for kept in &plan.not_restored {
                li { (kept.reference) ", " (words::purpose_within(kept.purpose)) ": stays " (words::consent(kept.state).1) }
            } }
        }
        @if !plan.returning.is_empty() {
            h2 { "Photos that come back" }
            ul { @for returning in &plan.returning { li { (super::layout::sentence(&returning.to_string())) } } }
        }
    }
}

/// The last day on which an answer holds.
fn until(date: Option<Date>) -> String {
    date.map_or_else(String::new, |date| format!(" until {date}"))
}

/// What the words mean, and some children. Each word can be said anew.
fn read_as(visitor: &Visitor, reading: &Reading) -> Markup {
    let count: usize = reading
        .purposes
        .iter()
        .flat_map(|p| p.words.values())
        .map(Vec::len)
        .sum();
    let samples: Vec<Vec<Markup>> = reading
        .samples
        .iter()
        .map(|sample| {
            vec![
                html! { (sample.initials) " " span.soft { (sample.reference) } @if sample.refused { " (this row was refused)" } },
                html! { (sample.rooms) },
                html! { @for (purpose, said) in &sample.answers { (words::purpose(*purpose)) ": " (meaning(said)) br; } },
            ]
        })
        .collect();
    html! {
        section.card {
            h2 { "Is the file read rightly?" }
            @if reading.changed {
                p { "The headings or words are not those that were agreed to for “" (reading.mapping) "”." }
            } @else {
                p { "Nobody has agreed yet to how “" (reading.mapping) "” reads a file." }
            }
            form method="post" action="/consents/import/words" {
                (token(visitor))
                @for purpose in &reading.purposes {
                    fieldset {
                        legend { (words::purpose(purpose.purpose)) ", from the column “" (purpose.column) "”" }
                        @for (said, all) in &purpose.words {
                            @for word in all {
                                @if count <= WORDS {
                                    label.choice { "“" (word) "” means "
                                        select name={ "says:" (purpose.purpose) ":" (word) } {
                                            @for (value, says) in MEANINGS { option value=(value) selected[value == *said] { (says) } }
                                        }
                                    }
                                } @else { p { "“" (word) "” means " (meaning(said)) } }
                            }
                        }
                        p.soft { "An empty cell, and every other word, counts as nothing: not given." }
                    }
                }
                @if count <= WORDS { button { "Read it like this" } }
            }
            @if !reading.unasked.is_empty() {
                p { "Not asked in this file, so never given by it: "
                    (reading.unasked.iter().map(|p| words::purpose_within(*p)).collect::<Vec<_>>().join(", ")) "." }
            }
            @if !reading.ignored.is_empty() { p { "Columns nobody looks at: " (reading.ignored.join(", ")) "." } }
            (table("Three children as they would be read.", &["Child", "Rooms", "Answers"], &samples))
        }
    }
}

fn meaning(said: &str) -> &'static str {
    MEANINGS
        .iter()
        .find(|(value, _)| *value == said)
        .map_or("Nothing", |(_, says)| says)
}
