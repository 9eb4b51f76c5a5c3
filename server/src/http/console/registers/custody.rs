//! Who has which tablet, and the count at closing.

use super::filled::{Filled, Need, moment};
use super::incidents::{device_of, tablet, tablets};
use super::parts::{Filter, Telling, act, answered, erase, history, is_erasing};
use super::staff::{everybody, name, versions};
use super::{PLACE, found, hand, registers, when};
use crate::domain::registers::aup::AupVersion;
use crate::domain::registers::custody::{
    Act, Count, Custody, Out, Place, count, may_force, sign_out, with_several,
};
use crate::domain::registers::staff::{Staff, standing};
use crate::domain::registers::words::Words;
use crate::domain::registers::{self, Kept, Refused, RegisterError};
use crate::http::app::App;
use crate::http::console::form::Form;
use crate::http::console::gate::Visitor;
use crate::http::console::layout::{Tone, alert, badge, empty, page, table, token};
use crate::http::console::page::Page;
use crate::http::console::when::{When, day};
use crate::http::error::ApiError;
use crate::storage::{Device, Which};
use axum::extract::{Extension, Path, Query, State};
use axum::response::Response;
use jiff::SignedDuration;
use jiff::civil::Date;
use maud::{Markup, html};
use nestwarden_policy_schema::id::{DeviceId, EntryId};
use std::collections::{BTreeMap, BTreeSet};

/// When a tablet is due back where nobody says otherwise.
const USUAL: SignedDuration = SignedDuration::from_hours(4);
const LABELS: [(&str, &str); 3] = [
    ("purpose", "For what, and in which room"),
    ("note", "Note"),
    ("reason", "Reason"),
];

fn path_of(id: EntryId) -> String {
    format!("/custody/{id}")
}

/// What pages of custody name.
struct Names {
    devices: Vec<Device>,
    staff: BTreeMap<EntryId, String>,
}

impl Names {
    async fn of(app: &App) -> Result<Self, ApiError> {
        let staff = everybody(app).await?;
        let staff = staff.iter().map(|kept| (kept.id, name(app, kept)));
        Ok(Self {
            devices: tablets(app).await?,
            staff: staff.collect(),
        })
    }

    fn device(&self, id: DeviceId) -> &str {
        let found = self.devices.iter().find(|device| device.id == id);
        found.map_or("a tablet that is gone", |device| device.name.as_str())
    }

    fn staff(&self, id: EntryId) -> &str {
        let found = self.staff.get(&id);
        found.map_or("somebody who is not on the register", String::as_str)
    }
}

pub(in crate::http) async fn list(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Query(filter): Query<Filter>,
) -> Result<Page, ApiError> {
    listed(&app, &visitor, &filter, None).await
}

async fn listed(
    app: &App,
    visitor: &Visitor,
    filter: &Filter,
    sent: Option<(&Form, &Refused)>,
) -> Result<Page, ApiError> {
    let when = When::of(app).await?;
    let names = Names::of(app).await?;
    let found = registers::list::<Custody>(&app.storage, filter.which()).await;
    let found = found.map_err(ApiError::internal)?;
    let counts = registers::list::<Count>(&app.storage, Which::All).await;
    let counts = counts.map_err(ApiError::internal)?;
    let marks = Marks {
        several: with_several(&found),
        may_not: may_not(app, when.today()).await?,
    };
    let rows = found.iter().map(|kept| row(kept, &names, &marks, &when));
    let rows: Vec<Vec<Markup>> = rows.collect();
    let out: BTreeSet<DeviceId> = found
        .iter()
        .filter(|kept| kept.now.back_at.is_none())
        .map(|kept| kept.now.out.device)
        .collect();
    let content = html! {
        (filter.form("/custody", "Signed out now", "Also those that are back"))
        @if rows.is_empty() {
            (empty(&html! { p { "No tablet is signed out. Sign one out below when somebody takes it." } }))
        } @else {
            (table(&format!("{} times.", rows.len()), &["Tablet", "With", "Signed out", "Due back", "State"], &rows))
        }
        div.two {
            section.card { h2 { "Sign a tablet out" } (out_form(app, visitor, &when, &names, sent).await?) }
            section.card { h2 { "Count at closing" } (count_form(visitor, &names, &out, sent)) (last_count(&counts, &names)) }
        }
    };
    Ok(page(visitor, PLACE, "Custody", &content))
}

/// What else there is to say of who has one.
struct Marks {
    several: BTreeMap<EntryId, BTreeSet<EntryId>>,
    /// Who may not have a tablet today.
    may_not: BTreeSet<EntryId>,
}

async fn may_not(app: &App, today: Date) -> Result<BTreeSet<EntryId>, ApiError> {
    let staff = registers::every::<Staff>(&app.storage, Which::All).await;
    let staff = staff.map_err(ApiError::internal)?;
    let versions = registers::list::<AupVersion>(&app.storage, Which::Open).await;
    let versions = versions.map_err(ApiError::internal)?;
    let may_not = staff
        .iter()
        .filter(|one| !standing(&one.now, &versions, today).may_take_a_tablet());
    Ok(may_not.map(|one| one.id).collect())
}

fn row(kept: &Kept<Custody>, names: &Names, marks: &Marks, when: &When) -> Vec<Markup> {
    let custody = &kept.now;
    let is_out = custody.back_at.is_none();
    let is_one_of_several = marks
        .several
        .get(&custody.out.staff)
        .is_some_and(|times| times.contains(&kept.id));
    vec![
        html! { a href=(path_of(kept.id)) { (names.device(custody.out.device)) } },
        html! {
            (names.staff(custody.out.staff))
            @if is_one_of_several { " " (badge(Tone::Bad, "One PIN, two tablets")) }
            @if is_out && marks.may_not.contains(&custody.out.staff) { " " (badge(Tone::Bad, "May not have one now: get it back")) }
        },
        html! { (place(custody)) ", " (when.at(custody.out_at)) },
        html! { (when.at(custody.out.due)) },
        state(custody, when),
    ]
}

fn place(custody: &Custody) -> String {
    match (custody.place, &custody.room) {
        (Place::Office, _) => "In the office".to_owned(),
        (Place::Tablet, None) => "On the tablet".to_owned(),
        (Place::Tablet, Some(room)) => format!("On the tablet for {}", room.as_str()),
    }
}

fn state(custody: &Custody, when: &When) -> Markup {
    html! {
        @match custody.back_at {
            Some(at) => { (badge(Tone::Good, "Back")) " " (when.at(at)) }
            None if custody.is_overdue(when.now) => (badge(Tone::Bad, "Overdue")),
            None => (badge(Tone::Open, "Out")),
        }
    }
}

async fn out_form(
    app: &App,
    visitor: &Visitor,
    when: &When,
    names: &Names,
    sent: Option<(&Form, &Refused)>,
) -> Result<Markup, ApiError> {
    let filled = Filled::new("out", sent);
    let versions = versions(app).await?;
    let may = everybody(app)
        .await?
        .into_iter()
        .filter(|kept| standing(&kept.now, &versions, when.today()).may_take_a_tablet());
    let mut may: Vec<(String, String)> = may
        .map(|kept| (kept.id.to_string(), names.staff(kept.id).to_owned()))
        .collect();
    may.sort_by(|a, b| a.1.cmp(&b.1));
    let due = when.now.checked_add(USUAL).unwrap_or(when.now);
    let in_use: Vec<Device> = in_use(&names.devices).cloned().collect();
    Ok(html! {
        @if may.is_empty() {
            @if let Some((_, refused)) = sent.filter(|(form, _)| form.text("act") == "out") { (alert(&refused.says)) }
            p { "Nobody may be handed a tablet yet: " a href="/staff" { "staff" } " are on the register and have acknowledged the " a href="/aup" { "acceptable use policy" } " first." }
        } @else {
            form method="post" action="/custody" {
                (token(visitor))
                input type="hidden" name="act" value="out";
                (filled.problem())
                (tablet(&filled, &in_use, "", "Choose"))
                (filled.choice("staff", "To", "Only who may have one is listed.", &may, ""))
                (filled.moment("due", "Due back", "", (&when.local, due)))
                (filled.line("purpose", "For what, and in which room", "May be left out.", Need::May))
                button.main { "Sign out" }
            }
        }
    })
}

fn in_use(devices: &[Device]) -> impl Iterator<Item = &Device> {
    devices.iter().filter(|device| device.revoked.is_none())
}

fn count_form(
    visitor: &Visitor,
    names: &Names,
    out: &BTreeSet<DeviceId>,
    sent: Option<(&Form, &Refused)>,
) -> Markup {
    let filled = Filled::new("count", sent);
    html! {
        p { "Tick every tablet that lies here, with your own eyes. What is neither here nor signed out is looked for." }
        form method="post" action="/custody" {
            (token(visitor))
            input type="hidden" name="act" value="count";
            (filled.problem())
            fieldset {
                legend { "Here now" }
                @for device in in_use(&names.devices) {
                    label.choice {
                        input type="checkbox" name="here" value=(device.id);
                        (device.name) @if out.contains(&device.id) { " (signed out)" }
                    }
                }
            }
            button.main { "Write down the count" }
        }
    }
}

fn last_count(counts: &[Kept<Count>], names: &Names) -> Markup {
    html! {
        @if let Some(last) = counts.first() {
            p { "Last counted " (day(last.now.day)) " by " (last.begun_by()) ": " (last.now.here.len()) " here, " (last.now.out.len()) " signed out, " (last.now.missing.len()) " missing." }
            @for device in &last.now.missing { p { (badge(Tone::Bad, "Missing")) " " (names.device(*device)) } }
        }
    }
}

pub(in crate::http) async fn begin(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let done = begun(&app, &visitor, &form).await;
    let again =
        async |refused| listed(&app, &visitor, &Filter::default(), Some((&form, &refused))).await;
    answered(done.map(|()| "/custody".to_owned()), again).await
}

async fn begun(app: &App, visitor: &Visitor, form: &Form) -> Result<(), RegisterError> {
    let (registers, hand) = (registers(app), hand(app, visitor));
    let devices = app.storage.device_list().await?;
    let local = when(app).await?.local;
    let today = local.date(hand.now);
    match form.text("act") {
        "count" => {
            let ticked = form.fields().filter(|(name, _)| *name == "here");
            let here = ticked.filter_map(|(_, id)| id.parse().ok()).collect();
            count(&registers, &devices, &here, today, hand).await?;
        }
        "out" => {
            let device = device_of(form, &devices)?.filter(|device| device.revoked.is_none());
            let device = device.ok_or_else(|| Refused::at("device", "Choose one of these."))?;
            let staff = form.text("staff").parse();
            let out = Out {
                device: device.id,
                staff: staff.map_err(|_| Refused::at("staff", "Choose one of these."))?,
                due: moment(form, "due", &local)?,
            };
            let words = Words::default().line_if_any("purpose", form.text("purpose"))?;
            sign_out(&registers, (out, &words), today, hand).await?;
        }
        _ => return Err(Refused::whole("Choose what to write.").into()),
    }
    Ok(())
}

pub(in crate::http) async fn show(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Page, ApiError> {
    shown(&app, &visitor, &found(&app, &visitor, &id).await?, None).await
}

async fn shown(
    app: &App,
    visitor: &Visitor,
    kept: &Kept<Custody>,
    sent: Option<(&Form, &Refused)>,
) -> Result<Page, ApiError> {
    let when = When::of(app).await?;
    let names = Names::of(app).await?;
    let path = path_of(kept.id);
    let custody = &kept.now;
    let telling = Telling {
        says: &|line| says(line, &names, &when),
        hides: &|_| false,
        labels: &LABELS,
    };
    let content = html! {
        section.card {
            p { (state(custody, &when)) }
            dl {
                dt { "With" } dd { a href={ "/staff/" (custody.out.staff) } { (names.staff(custody.out.staff)) } }
                dt { "Signed out" } dd { (place(custody)) ", " (when.local.at(custody.out_at)) }
                dt { "Due back" } dd { (when.local.at(custody.out.due)) }
            }
        }
        @if custody.back_at.is_none() {
            section.card aria-labelledby="next" {
                h2 id="next" { "Write on" }
                (forms(app, visitor, &path, &when, sent))
            }
        }
        (history((app, visitor, &when), (&path, kept), sent, &telling))
    };
    Ok(page(
        visitor,
        PLACE,
        names.device(custody.out.device),
        &content,
    ))
}

fn forms(
    app: &App,
    visitor: &Visitor,
    path: &str,
    when: &When,
    sent: Option<(&Form, &Refused)>,
) -> Markup {
    let (back, extend, forced) = (
        Filled::new("in", sent),
        Filled::new("extend", sent),
        Filled::new("forced", sent),
    );
    let due = when.now.checked_add(USUAL).unwrap_or(when.now);
    html! {
        (act(visitor, (path, &back), ("in", "It is back", "Sign it in"),
            &back.line("note", "In what state", "May be left out.", Need::May)))
        (act(visitor, (path, &extend), ("extend", "It is needed for longer", "Write it down"), &html! {
            (extend.moment("due", "Due back", "", (&when.local, due)))
            (extend.line("note", "Why", "May be left out.", Need::May))
        }))
        @if may_force(hand(app, visitor)).is_ok() {
            (act(visitor, (path, &forced), ("forced", "It is back, and nobody signed it in", "Write the return"),
                &forced.text("reason", "Reason", "Where it was found, and by whom.", Need::Must)))
        }
    }
}

fn says(line: &Act, names: &Names, when: &When) -> Markup {
    html! {
        @match line {
            Act::Out { out } => { "Signed out to " (names.staff(out.staff)) ", due " (when.local.at(out.due)) "." }
            Act::Extend { due } => { "Needed for longer, due " (when.local.at(*due)) "." }
            Act::In => "Signed in.",
            Act::Forced => "Found to be back.",
            Act::Taken { out, room } => { "Signed out by " (names.staff(out.staff)) " on the tablet" @if let Some(room) = room { " for " (room.as_str()) } ", due " (when.local.at(out.due)) "." }
            Act::Returned { by } => { "Signed in by " (names.staff(*by)) " on the tablet." }
            Act::Overtaken => "Over: it was signed out anew.",
        }
    }
}

pub(in crate::http) async fn write(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let kept = found(&app, &visitor, &id).await?;
    let done = written(&app, &visitor, &kept, &form).await;
    let again = async |refused| shown(&app, &visitor, &kept, Some((&form, &refused))).await;
    answered(done.map(|()| "/custody".to_owned()), again).await
}

async fn written(
    app: &App,
    visitor: &Visitor,
    kept: &Kept<Custody>,
    form: &Form,
) -> Result<(), RegisterError> {
    let hand = hand(app, visitor);
    let words = Words::default();
    let (line, words) = match form.text("act") {
        _ if is_erasing(form) => return erase(app, visitor, kept, form).await,
        "in" => (Act::In, words.line_if_any("note", form.text("note"))?),
        "extend" => {
            let local = when(app).await?.local;
            let due = moment(form, "due", &local)?;
            (
                Act::Extend { due },
                words.line_if_any("note", form.text("note"))?,
            )
        }
        "forced" => {
            may_force(hand)?;
            (Act::Forced, words.text("reason", form.text("reason"))?)
        }
        _ => return Err(Refused::whole("Choose what to write.").into()),
    };
    registers(app)
        .add::<Custody>(kept.id, &line, &words, hand)
        .await?;
    Ok(())
}
