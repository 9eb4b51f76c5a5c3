//! What people have to do. Found by looking over the whole setting, again and again: what was found before is not made
//! twice, and what is no longer so closes by itself.

pub mod looked;
mod of_apps;
mod of_photos;
mod of_register;
mod of_registers;
mod of_tablets;

use super::fresh;
use super::photo::Judge;
use super::register::Register;
use super::registers::list;
use super::registers::staff::Staff;
use super::role::{Act, NotAllowed, require};
use crate::storage::task::{
    Closing, Over, Task, TaskChanges, TaskDraft, TaskKind, TaskRound, TaskSubject, WithClosed,
};
use crate::storage::{AuditEntry, Changed, Operator, Role, Storage, StorageError, Which};
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::consent::Purpose;
use nestwarden_policy_schema::id::{ChildId, TaskId};
use nestwarden_policy_schema::profile::PolicyProfile;
use std::collections::{BTreeMap, BTreeSet};

/// A hold is put before somebody this many days before its review is due.
const REVIEW_AHEAD_DAYS: i64 = 3;
const MAX_NOTE_CHARS: usize = 400;

#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error("there is no task {0}; `task list` shows those there are")]
    Missing(TaskId),
    #[error("task {0} is done already")]
    Done(TaskId),
    #[error("`--note` is longer than {MAX_NOTE_CHARS} characters")]
    Note,
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The setting on one day, as tasks are looked for.
struct Today<'a> {
    now: Timestamp,
    date: Date,
    calendar: &'a Calendar,
    register: &'a Register,
}

/// Looks over register, holds and photos, opens what is to be done and closes what is over. Harmless to repeat.
pub async fn round(storage: &Storage, now: Timestamp) -> Result<TaskChanges, StorageError> {
    // Without a calendar nobody knows which day it is in the setting, and there is no tablet either.
    let Some(calendar) = local_calendar(storage).await? else {
        return Ok(TaskChanges::default());
    };
    let register = Register::load(storage).await?;
    let judge = Judge::load(storage, now).await?;
    let today = Today {
        now,
        date: calendar.local_date(now),
        calendar: &calendar,
        register: &register,
    };
    let mut round = TaskRound::default();
    of_register::find(&today, &judge.register, &mut round.drafts);
    holds(&today, &judge, &mut round.drafts);
    let open = storage.task_list(WithClosed::No).await?;
    of_photos::find(storage, &today, &judge, &open, &mut round).await?;
    for file in storage.waiting_list().await? {
        let key = format!("import_waits/{}/{}", file.name, file.digest);
        let mut draft = today.draft(TaskKind::ImportWaits, key, Role::Manager, today.in_days(1));
        draft.subject.file = Some(file.name);
        round.drafts.push(draft);
    }
    let staff = list::<Staff>(storage, Which::All).await?;
    of_registers::find(storage, &today, &staff, &mut round.drafts).await?;
    of_apps::find(storage, &today, &open, &mut round.drafts).await?;
    let gone = of_registers::last_gone(&staff, today.calendar, now);
    of_tablets::find(storage, &today, gone, &mut round.drafts).await?;
    let still: BTreeSet<&str> = round
        .drafts
        .iter()
        .map(|draft| draft.key.as_str())
        .collect();
    let over: Vec<(TaskId, Over)> = open
        .into_iter()
        .filter(|task| !still.contains(task.key.as_str()))
        .filter_map(|task| {
            // A leaver's pack is done by a person, and not for a day on which nobody leaves any more.
            let is_over = task.kind.ends_by_itself() || task.kind == TaskKind::LeaversPack;
            let over = if is_over {
                Some(Over::NoLongerSo)
            } else if task.kind == TaskKind::Withdrawal {
                of_register::withdrawal_over(&register, &task)
            } else {
                None
            };
            Some((task.id, over?))
        })
        .collect();
    round.over.extend(over);
    if round.drafts.is_empty() && round.uses.is_empty() && round.over.is_empty() {
        return Ok(TaskChanges::default());
    }
    storage.task_round(&round, now).await
}

/// The setting's calendar, from its first profile that can be read.
pub async fn local_calendar(storage: &Storage) -> Result<Option<Calendar>, StorageError> {
    let profiles = storage.profile_list().await?;
    Ok(profiles
        .iter()
        .find_map(|live| PolicyProfile::from_toml(&live.source).ok())
        .map(|profile| profile.calendar))
}

impl Today<'_> {
    fn draft(&self, kind: TaskKind, key: String, owner: Role, due: Date) -> TaskDraft {
        TaskDraft {
            id: TaskId::from_uuid(fresh::ordered(self.now)),
            key,
            kind,
            subject: TaskSubject::default(),
            owner,
            due,
        }
    }

    fn in_days(&self, days: u32) -> Date {
        Calendar::plus_days(self.date, days)
    }
}

fn holds(today: &Today<'_>, judge: &Judge, drafts: &mut Vec<TaskDraft>) {
    for hold in &judge.holds.holds {
        let ahead = jiff::SignedDuration::from_hours(24 * REVIEW_AHEAD_DAYS);
        if hold.review_by.duration_since(today.now) > ahead {
            continue;
        }
        let key = format!("hold_review/{}/{}", hold.id, hold.review_by);
        let due = today.calendar.local_date(hold.review_by);
        let mut draft = today.draft(TaskKind::HoldReview, key, Role::Dsl, due);
        draft.subject.hold = Some(hold.id);
        drafts.push(draft);
    }
}

/// What the DSL has to judge (whether photos are evidence) is ticked off by nobody else.
pub fn may_be_done_by(task: &Task, by: &Operator) -> Result<(), NotAllowed> {
    match task.owner {
        Role::Dsl | Role::Deputy => require(by, Act::AnswerForDsl),
        Role::Manager | Role::ItAdmin | Role::Auditor => Ok(()),
    }
}

pub async fn done(
    storage: &Storage,
    id: TaskId,
    note: &str,
    by: &Operator,
    now: Timestamp,
) -> Result<(), TaskError> {
    if note.chars().count() > MAX_NOTE_CHARS {
        return Err(TaskError::Note);
    }
    let tasks = storage.task_list(WithClosed::Yes).await?;
    let task = tasks.iter().find(|task| task.id == id);
    may_be_done_by(task.ok_or(TaskError::Missing(id))?, by)?;
    let closing = Closing {
        at: now,
        by: by.name.clone(),
        note: note.trim().to_owned(),
    };
    let audit = AuditEntry {
        at: now,
        who: by.name.clone(),
        act: "task.done".to_owned(),
        subject: id.to_string(),
        detail: serde_json::json!({ "note": closing.note }),
    };
    match storage.task_close(id, &closing, &audit).await? {
        Changed::Yes => Ok(()),
        Changed::Already => Err(TaskError::Done(id)),
        Changed::Missing => Err(TaskError::Missing(id)),
    }
}

/// What is to be done, in a sentence. Children appear by reference, tablets by name, purposes as `named`. How it is done is
/// for whoever shows it to say: there is more than one way.
pub fn says(
    task: &Task,
    references: &BTreeMap<ChildId, String>,
    tablets: &BTreeMap<nestwarden_policy_schema::id::DeviceId, String>,
    named: fn(Purpose) -> &'static str,
) -> String {
    let subject = &task.subject;
    let child = subject
        .child
        .and_then(|id| references.get(&id))
        .map_or("somebody on no register", String::as_str);
    let tablet = subject
        .device
        .and_then(|id| tablets.get(&id))
        .map_or("a tablet that is gone", String::as_str);
    let purpose = subject.purpose.map_or("every use", named);
    let photos = match subject.photos.len() {
        1 => "1 photo".to_owned(),
        count => format!("{count} photos"),
    };
    match task.kind {
        TaskKind::TakeDown => {
            format!("take down {photos} of {child} from {purpose}, wherever copies are")
        }
        TaskKind::Withdrawal => {
            format!("consent of {child} was withdrawn and their photos go")
        }
        TaskKind::ConsentConflicted => {
            format!(
                "the parents of {child} disagree on {purpose}; it counts as refused until it is settled"
            )
        }
        TaskKind::ConsentExpiring => format!(
            "consent of {child} for {purpose} ends on {}; ask again",
            task.due
        ),
        TaskKind::ChildDied => format!(
            "{child} has died: nothing of them is deleted any more; decide with the family what becomes of their photos"
        ),
        TaskKind::ChildMissing => format!(
            "{child} is missing from the booking system's file; put it right, or record that they left"
        ),
        TaskKind::LeaversPack => format!("offer the leaver's pack to the family of {child}"),
        TaskKind::HoldReview => {
            let hold = subject.hold.map(|id| id.to_string()).unwrap_or_default();
            format!("review hold {hold}")
        }
        TaskKind::PhotoIncomplete => format!(
            "{photos} on {tablet} could not be put away for more than a day; look at the tablet"
        ),
        TaskKind::ImportWaits => {
            let file = subject.file.as_deref().unwrap_or_default();
            format!("the file {file} of the booking system waits for a person")
        }
        TaskKind::SetPasscode => {
            format!("set a new passcode on {tablet}, and have the tablet take it")
        }
        TaskKind::AskPasscode => {
            format!("somebody left who knew the passcode of {tablet}: ask it for a new one")
        }
        TaskKind::CourseEnds => {
            format!(
                "a course of one of the staff runs out on {}; book it again",
                task.due
            )
        }
        TaskKind::AupOutstanding => format!(
            "some of the staff have not acknowledged the acceptable use policy in force; after {} they get no tablet",
            task.due
        ),
        TaskKind::CustodyOverdue => {
            format!(
                "{tablet} is signed out and should be back; find it, or say for how much longer"
            )
        }
        TaskKind::PinOnTwoTablets => "the PIN of one of the staff signed out two tablets that are both still out; ask them, sign one in, and set a new PIN if somebody else knows it".to_owned(),
        TaskKind::EndAccess => "somebody who is suspended or has left can still sign in to this console; take their roles away or remove them, or close this where that is meant to be".to_owned(),
        TaskKind::TabletMissing => format!(
            "{tablet} was neither here nor signed out at the last closing count; look for it, then count again"
        ),
        TaskKind::AppsUnapproved => "a profile that tablets have allows apps nobody approved; decide on each, or take it out of the profile".to_owned(),
        TaskKind::AppDecision => {
            "an app waits for a decision: somebody asked for it, or it asks for more than was known".to_owned()
        }
        TaskKind::AppReview => format!(
            "the approval of an app ends on {}; look at it again, and decide",
            task.due
        ),
        TaskKind::TabletLost => format!(
            "{tablet} is marked as lost: find it and say so, or report its loss; where photos of children or names may be read by others it is a personal-data breach"
        ),
        TaskKind::RolloutStopped => format!(
            "{tablet} is in trouble with a new version of its profile, which goes to no more tablets; look at it, then let it go on or take it back"
        ),
        TaskKind::PhotosUntagged => format!(
            "photos on {tablet} still wait for somebody to say who is in them; what is not sorted before {} is sealed",
            task.due
        ),
        TaskKind::UnregisteredPerson => {
            let show = if subject.photos.len() == 1 {
                "shows"
            } else {
                "show"
            };
            format!("{photos} on {tablet} {show} somebody who is not on the register")
        }
    }
}

#[cfg(test)]
mod tests;
