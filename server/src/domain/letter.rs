//! The letter to a child's parents: what was removed from tablets, and what we cannot reach. One page, of this child only.

use super::hold::is_dsl;
use super::photo::{self, Judge};
use super::register::{NoChild, Register};
use super::subject_access::may_show;
use super::task::local_calendar;
use crate::storage::task::{Closing, Task, TaskKind, WithClosed};
use crate::storage::{AuditEntry, Operator, PhotoRow, Role, Storage, StorageError};
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::consent::{Purpose, Stage, Standing};
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use nestwarden_policy_schema::id::{ChildId, DeviceId};
use nestwarden_policy_schema::receipt::ArtefactResult;
use std::collections::BTreeMap;
use std::fmt::Write as _;

#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    #[error(transparent)]
    NoChild(#[from] NoChild),
    #[error(
        "{0} is recorded as having died, and no letters are written; speak with the family, and `child export {0}` has what is known"
    )]
    Died(String),
    #[error(
        "no letter is made for {0} now; speak to the DSL before the family is told anything, also that there was none. The DSL or a deputy decides: the same command with `--dsl-decided`"
    )]
    ForTheDsl(String),
    #[error("{0} is neither DSL nor deputy, and one of them decides; say who with `--as NAME`")]
    NotDsl(String),
    #[error("no profile is applied yet, so nobody knows which day it is in the setting")]
    NoCalendar,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Letter {
    pub setting: String,
    pub first_name: String,
    pub last_name: String,
    pub date: Date,
    /// Deleted and not found on re-scan, by tablet.
    pub removed: Vec<Removed>,
    /// Photos whose second look still found a copy, or where a file of theirs could not be deleted.
    pub unproven: usize,
    /// Out of use on a tablet, and not sealed yet.
    pub withheld: usize,
    /// Sealed, not yet deleted.
    pub sealed: usize,
    /// Out of use on a tablet; nobody said whether the child is in them.
    pub possible: usize,
    /// Kept because somebody has to be able to look at them.
    pub held: usize,
    /// Kept for the same reason, and still where they were.
    pub frozen: usize,
    /// Still in use, as consent permits.
    pub in_use: usize,
    pub beyond_reach: Vec<BeyondReach>,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Removed {
    pub tablet: String,
    pub photos: usize,
    pub last_checked: Date,
}

/// A use whose copies no tablet holds, and who was asked to end it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct BeyondReach {
    pub purpose: Purpose,
    pub photos: usize,
    pub asked: Role,
    pub asked_on: Date,
    /// `None`: not reported as done yet.
    pub done_on: Option<Date>,
}

/// Whose word the letter goes out on.
#[derive(Clone, Copy, Debug)]
pub enum Word<'a> {
    /// As the access log names them.
    Anybody(&'a str),
    /// The DSL or a deputy has seen to it that the family may read what it says.
    Dsl(&'a Operator),
}

/// Gathers it; that a child's record was looked at is in the access log.
///
/// "Kept because we are obliged to" would tell a family of an inquiry. So while a hold they must not hear of covers a
/// photo of the child, whatever the letter would say of it, only the DSL's word makes one.
pub async fn write(
    storage: &Storage,
    setting: &str,
    reference: &str,
    word: Word<'_>,
    now: Timestamp,
) -> Result<Letter, LetterError> {
    let who = match word {
        Word::Anybody(who) => who,
        Word::Dsl(by) if is_dsl(by) => &by.name,
        Word::Dsl(by) => return Err(LetterError::NotDsl(by.name.clone())),
    };
    let calendar = local_calendar(storage).await?;
    let calendar = calendar.ok_or(LetterError::NoCalendar)?;
    let register = Register::load(storage).await?;
    let child = register.child(reference)?;
    if child.entry.has_died() {
        return Err(LetterError::Died(child.reference.clone()));
    }
    let judge = Judge::load(storage, now).await?;
    let devices = storage.device_list().await?;
    let mut found = Found::default();
    photo::each(storage, |row| found.look(&judge, &row, child.id)).await?;
    let scope = HoldScope::Child { child: child.id };
    let mut holds = judge.holds.holds.iter();
    let is_covert = found.is_covert || holds.any(|h| h.scope == scope && is_covert(h.category));
    let act = match word {
        Word::Anybody(_) if is_covert => "child.letter.refused",
        Word::Anybody(_) => "child.letter",
        Word::Dsl(_) => "child.letter.dsl_decided",
    };
    let audit = AuditEntry {
        at: now,
        who: who.to_owned(),
        act: act.to_owned(),
        subject: child.id.to_string(),
        detail: serde_json::json!({}),
    };
    storage.audit_add(&audit).await?;
    if is_covert && matches!(word, Word::Anybody(_)) {
        return Err(LetterError::ForTheDsl(child.reference.clone()));
    }
    let removed = devices
        .into_iter()
        .filter_map(|device| {
            let (photos, at) = found.removed.remove(&device.id)?;
            Some(Removed {
                tablet: device.name,
                photos,
                last_checked: calendar.local_date(at),
            })
        })
        .collect();
    let tasks = storage.task_list(WithClosed::Yes).await?;
    Ok(Letter {
        setting: setting.to_owned(),
        first_name: child.first_name.clone(),
        last_name: child.last_name.clone(),
        date: calendar.local_date(now),
        removed,
        unproven: found.unproven,
        withheld: found.withheld,
        sealed: found.sealed,
        possible: found.possible,
        held: found.held,
        frozen: found.frozen,
        in_use: found.in_use,
        beyond_reach: tasks
            .iter()
            .filter(|task| task.kind == TaskKind::TakeDown && task.subject.child == Some(child.id))
            .filter_map(|task| beyond_reach(task, &calendar))
            .collect(),
    })
}

#[derive(Default)]
struct Found {
    removed: BTreeMap<DeviceId, (usize, Timestamp)>,
    unproven: usize,
    withheld: usize,
    sealed: usize,
    possible: usize,
    held: usize,
    frozen: usize,
    in_use: usize,
    /// A hold the family must not hear of covers one of them.
    is_covert: bool,
}

/// Whether a family may be the one who must not hear of it.
const fn is_covert(category: HoldCategory) -> bool {
    match category {
        HoldCategory::Safeguarding | HoldCategory::Police | HoldCategory::IllegalContent => true,
        // Both are begun by a family, who know of them.
        HoldCategory::Complaint | HoldCategory::SubjectAccess => false,
    }
}

fn is_covertly_held(judge: &Judge, row: &PhotoRow) -> bool {
    let verdict = judge.facts(row).and_then(|facts| judge.verdict(&facts));
    let mut covert = judge.holds.holds.iter().filter(|h| is_covert(h.category));
    match verdict {
        Some(verdict) => covert.any(|hold| verdict.holds.contains(&hold.id)),
        // Whom a hold covers cannot be told of a photo nobody told about.
        None => covert.next().is_some(),
    }
}

impl Found {
    fn look(&mut self, judge: &Judge, row: &PhotoRow, child: ChildId) {
        let facts = judge.facts(row);
        let confirmed = facts
            .as_ref()
            .is_some_and(|facts| facts.subjects.confirmed.contains(&child));
        if let Some(receipt) = &row.receipt {
            if !confirmed && receipt.child != Some(child) {
                return;
            }
            self.is_covert |= is_covertly_held(judge, row);
            let failed = |result: ArtefactResult| match result {
                ArtefactResult::Failed | ArtefactResult::NotDeletedByUs => true,
                ArtefactResult::DiscardRequested | ArtefactResult::NotFound => false,
            };
            if receipt.rescan.found > 0 || receipt.artefacts.iter().any(|a| failed(a.result)) {
                self.unproven += 1;
                return;
            }
            let at = receipt.rescan.at;
            let removed = self.removed.entry(row.device).or_insert((0, at));
            removed.0 += 1;
            removed.1 = removed.1.max(at);
            return;
        }
        let Some(facts) = facts.filter(|facts| confirmed || may_show(judge, facts, child)) else {
            return;
        };
        self.is_covert |= is_covertly_held(judge, row);
        let verdict = judge.verdict(&facts);
        let is_frozen = verdict
            .as_ref()
            .is_some_and(|verdict| verdict.standing == Standing::Frozen);
        let is_held = verdict.is_some_and(|verdict| !verdict.holds.is_empty());
        match row.stage {
            Stage::Destroyed => {}
            Stage::Withheld | Stage::Sealed if !confirmed => self.possible += 1,
            // In use, and nobody said that the child is in it: nothing to tell of.
            Stage::Live if !confirmed => {}
            Stage::Live if is_frozen => self.frozen += 1,
            Stage::Withheld | Stage::Sealed if is_held || is_frozen => self.held += 1,
            Stage::Withheld => self.withheld += 1,
            Stage::Sealed => self.sealed += 1,
            Stage::Live => self.in_use += 1,
        }
    }
}

fn beyond_reach(task: &Task, calendar: &Calendar) -> Option<BeyondReach> {
    // Given again: nothing has to end any more, and nobody said that anything did.
    if task.closed.as_ref().is_some_and(Closing::is_by_itself) {
        return None;
    }
    Some(BeyondReach {
        purpose: task.subject.purpose?,
        photos: task.subject.photos.len(),
        asked: task.owner,
        asked_on: calendar.local_date(task.created_at),
        done_on: task.closed.as_ref().map(|c| calendar.local_date(c.at)),
    })
}

fn count(photos: usize) -> String {
    match photos {
        1 => "1 photo".to_owned(),
        photos => format!("{photos} photos"),
    }
}

const fn used_for(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::OwnLearningJournal => "the child's own learning journal",
        Purpose::OtherChildrensJournals => "other children's journals",
        Purpose::DisplayInSetting => "displays in the setting",
        Purpose::Website => "the website",
        Purpose::SocialMedia => "social media",
        Purpose::Press => "the press",
        Purpose::Marketing => "marketing",
        Purpose::Training => "training",
    }
}

const fn who(role: Role) -> &'static str {
    match role {
        Role::Manager => "the manager",
        Role::Dsl => "the safeguarding lead",
        Role::Deputy => "the deputy safeguarding lead",
        Role::ItAdmin => "our IT administrator",
        Role::Auditor => "our auditor",
    }
}

impl Letter {
    /// The page, paragraph by paragraph; one that begins with "• " is a line of a list.
    fn paragraphs(&self) -> Vec<String> {
        let name = &self.first_name;
        let mut page = vec![
            format!("{}, {}", self.setting, self.date),
            format!("To the parents or carers of {name} {}", self.last_name),
            format!(
                "This letter says what became of photos that show {name} on the tablets we manage."
            ),
        ];
        let total: usize = self.removed.iter().map(|removed| removed.photos).sum();
        if total == 0 {
            page.push("No photo was deleted from tablets we manage so far.".to_owned());
        } else {
            page.push(format!(
                "Photos removed from tablets we manage: {total}. Each was deleted and not found on re-scan."
            ));
            for removed in &self.removed {
                page.push(format!(
                    "• {}: {}, last checked on {}",
                    removed.tablet,
                    count(removed.photos),
                    removed.last_checked
                ));
            }
        }
        for (photos, says) in [
            (
                self.unproven,
                "deleted, but a copy was found again or could not be deleted by us. We are looking into it.",
            ),
            (
                self.withheld,
                "out of use, and looked into before anything else becomes of them.",
            ),
            (
                self.sealed,
                "locked away: staff cannot open them any more. They are deleted after the days in which a mistake can still be put right, unless a person has to decide.",
            ),
            (
                self.held,
                "out of use, and kept for now because we are obliged to.",
            ),
            (
                self.frozen,
                "kept unchanged on our tablets for now because we are obliged to.",
            ),
            (self.in_use, "on our tablets, used only as you agreed."),
        ] {
            if photos > 0 {
                page.push(format!("{}: {says}", count(photos)));
            }
        }
        if self.possible > 0 {
            page.push(format!(
                "{} may show {name} or not: nobody has said yet who is in them, and they are out of use.",
                count(self.possible)
            ));
        }
        if self.beyond_reach.is_empty() {
            page.push("We know of no use outside our tablets that had to end.".to_owned());
        } else {
            page.push(
                "What tablets cannot reach (a website, a journal, a wall, a print) a person has to take down. It is not deleted by us until that person says so:"
                    .to_owned(),
            );
            for use_ in &self.beyond_reach {
                let state = use_.done_on.map_or_else(
                    || "not reported as done yet".to_owned(),
                    |date| format!("reported as done on {date}"),
                );
                page.push(format!(
                    "• {}: {}; we asked {} on {}; {state}",
                    used_for(use_.purpose),
                    count(use_.photos),
                    who(use_.asked),
                    use_.asked_on
                ));
            }
        }
        page.push(
            "Prints and copies that others made, and photos changed by another program, we cannot find. Please tell us if you see one. You may ask for everything we hold about your child, and withdraw consent at any time.".to_owned(),
        );
        page
    }

    pub fn to_text(&self) -> String {
        self.paragraphs().join("\n\n").replace("\n\n•", "\n•")
    }

    /// A page of its own: no script, nothing fetched from anywhere.
    pub fn to_html(&self) -> String {
        let mut html = String::from(
            "<!doctype html>\n<html lang=\"en-GB\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>Photos</title>\
             <style>body{font:12pt/1.5 serif;max-width:40em;margin:3em auto;padding:0 1em}\
             @page{margin:2.5cm}</style></head><body>\n",
        );
        let mut in_list = false;
        for paragraph in self.paragraphs() {
            let item = paragraph.strip_prefix("• ");
            if item.is_some() != in_list {
                html.push_str(if in_list { "</ul>\n" } else { "<ul>\n" });
                in_list = !in_list;
            }
            let (tag, text) = item.map_or(("p", paragraph.as_str()), |item| ("li", item));
            let _ = writeln!(html, "<{tag}>{}</{tag}>", escaped(text));
        }
        html.push_str(if in_list { "</ul>\n" } else { "" });
        html.push_str("</body></html>\n");
        html
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
