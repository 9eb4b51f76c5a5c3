//! What photos ask of people: uses that ended, stages that could not be carried out, people nobody knows.

use super::Today;
use crate::domain::photo::{self, Judge};
use crate::storage::task::{Over, PhotoUses, Task, TaskDraft, TaskKind, TaskRound};
use crate::storage::{PhotoRow, Role, Storage, StorageError};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::consent::{PhotoFacts, Purpose, Stage, Tagging};
use nestwarden_policy_schema::id::{ChildId, DeviceId, PhotoId, TaskId};
use std::collections::{BTreeMap, BTreeSet};

const TAKE_DOWN_DAYS: u32 = 3;
/// Opening days after it was taken at which a photo that nobody sorted is put before somebody again.
const UNTAGGED_REMINDERS: [u32; 3] = [6, 3, 1];
const INCOMPLETE_AFTER: SignedDuration = SignedDuration::from_hours(24);

#[derive(Default)]
struct Found {
    lost: BTreeMap<(ChildId, Purpose), BTreeSet<PhotoId>>,
    incomplete: BTreeMap<DeviceId, BTreeSet<PhotoId>>,
    strangers: BTreeMap<DeviceId, BTreeSet<PhotoId>>,
    /// By tablet, day they were taken, reminder, and the day they are sealed.
    untagged: BTreeMap<(DeviceId, Date, u32, Date), BTreeSet<PhotoId>>,
    uses: Vec<PhotoUses>,
    /// The open tasks to take a photo down, and from where.
    taken_down: BTreeMap<PhotoId, Vec<(TaskId, Purpose)>>,
    /// Those of them with a photo that somebody in it still does not agree to.
    still_lost: BTreeSet<TaskId>,
}

pub(super) async fn find(
    storage: &Storage,
    today: &Today<'_>,
    judge: &Judge,
    open: &[Task],
    round: &mut TaskRound,
) -> Result<(), StorageError> {
    let mut found = Found::default();
    for (task, _, purpose) in take_downs(open) {
        for photo in &task.subject.photos {
            let asked = found.taken_down.entry(*photo).or_default();
            asked.push((task.id, purpose));
        }
    }
    photo::each(storage, |row| found.look(&row, judge, today.now)).await?;
    let photos_of = |draft: TaskDraft, photos| TaskDraft {
        subject: crate::storage::task::TaskSubject {
            photos,
            ..draft.subject
        },
        ..draft
    };
    for ((child, purpose), photos) in found.lost {
        let key = format!("{child}/take_down/{purpose}");
        let due = today.in_days(TAKE_DOWN_DAYS);
        let mut draft = today.draft(TaskKind::TakeDown, key, Role::Manager, due);
        draft.subject.child = Some(child);
        draft.subject.purpose = Some(purpose);
        round.drafts.push(photos_of(draft, photos));
    }
    for (kind, name, owner, days, by_device) in [
        (
            TaskKind::PhotoIncomplete,
            "incomplete",
            Role::ItAdmin,
            1,
            found.incomplete,
        ),
        (
            TaskKind::UnregisteredPerson,
            "unregistered",
            Role::Manager,
            7,
            found.strangers,
        ),
    ] {
        for (device, photos) in by_device {
            let key = format!("{device}/{name}");
            let mut draft = today.draft(kind, key, owner, today.in_days(days));
            draft.subject.device = Some(device);
            round.drafts.push(photos_of(draft, photos));
        }
    }
    for ((device, taken, reminder, due), photos) in found.untagged {
        let key = format!("{device}/untagged/{taken}/{reminder}");
        let mut draft = today.draft(TaskKind::PhotosUntagged, key, Role::Manager, due);
        draft.subject.device = Some(device);
        round.drafts.push(photos_of(draft, photos));
    }
    for (task, child, purpose) in take_downs(open) {
        let entry = judge.register.children.get(&child);
        let is_given = entry.is_some_and(|e| e.permits(purpose, today.calendar, today.now));
        if is_given && !found.still_lost.contains(&task.id) {
            round.over.insert(task.id, Over::GivenAgain);
        }
    }
    round.uses = found.uses;
    Ok(())
}

fn take_downs(open: &[Task]) -> impl Iterator<Item = (&Task, ChildId, Purpose)> {
    let asked = open.iter().filter(|task| task.kind == TaskKind::TakeDown);
    asked.filter_map(|task| Some((task, task.subject.child?, task.subject.purpose?)))
}

/// Who in a photo does not agree to this use of it.
fn denying(
    facts: &PhotoFacts,
    purpose: Purpose,
    judge: &Judge,
    calendar: &Calendar,
    now: Timestamp,
) -> Vec<ChildId> {
    let date = calendar.local_date(facts.captured_at);
    let subjects = facts.subjects.all(&judge.register, date);
    let denies = subjects.into_iter().filter(|id| {
        let entry = judge.register.children.get(id);
        entry.is_none_or(|entry| !entry.permits(purpose, calendar, now))
    });
    denies.collect()
}

impl Found {
    fn look(&mut self, row: &PhotoRow, judge: &Judge, now: Timestamp) {
        if row
            .incomplete
            .as_ref()
            .is_some_and(|incomplete| now.duration_since(incomplete.since) > INCOMPLETE_AFTER)
        {
            self.incomplete
                .entry(row.device)
                .or_default()
                .insert(row.photo);
        }
        let Some(facts) = judge.facts(row) else {
            return;
        };
        if facts.subjects.unregistered_person && row.stage != Stage::Destroyed {
            self.strangers
                .entry(row.device)
                .or_default()
                .insert(row.photo);
        }
        self.untagged(row, &facts, judge, now);
        self.taken_down(row, &facts, judge, now);
        self.uses_of(row, &facts, judge, now);
    }

    fn untagged(&mut self, row: &PhotoRow, facts: &PhotoFacts, judge: &Judge, now: Timestamp) {
        let waits = facts.subjects.tagging == Tagging::Untagged
            && !facts.care_record
            && !facts.found_at_enrolment
            && matches!(row.stage, Stage::Live | Stage::Withheld);
        let Some(setup) = judge.setup(row.device).filter(|_| waits) else {
            return;
        };
        let (calendar, taken) = (&setup.calendar, facts.captured_at);
        let days = opening_days_since(calendar, taken, now);
        let reminder = UNTAGGED_REMINDERS.into_iter().find(|after| *after <= days);
        if let Some(reminder) = reminder {
            let most = u32::from(setup.policy.untagged_opening_days);
            let sealed = calendar.local_date(calendar.after_opening_days(taken, most));
            let taken = calendar.local_date(taken);
            let photos = self.untagged.entry((row.device, taken, reminder, sealed));
            photos.or_default().insert(row.photo);
        }
    }

    /// A photo that one child's answer took from a use, and another's keeps from it, has no second task: so that of the
    /// first stays.
    fn taken_down(&mut self, row: &PhotoRow, facts: &PhotoFacts, judge: &Judge, now: Timestamp) {
        let asked = self.taken_down.get(&row.photo).into_iter().flatten();
        for (task, purpose) in asked {
            let calendar = judge.setup(row.device).map(|setup| &setup.calendar);
            let is_agreed = calendar
                .is_some_and(|calendar| denying(facts, *purpose, judge, calendar, now).is_empty());
            if !is_agreed {
                self.still_lost.insert(*task);
            }
        }
    }

    /// Also of photos that are gone: what was put on a website from them is still there.
    fn uses_of(&mut self, row: &PhotoRow, facts: &PhotoFacts, judge: &Judge, now: Timestamp) {
        let (Some(verdict), Some(setup)) = (judge.verdict(facts), judge.setup(row.device)) else {
            return;
        };
        if row.usable_before.as_ref() == Some(&verdict.usable) {
            return;
        }
        let lost = row.usable_before.iter().flatten();
        for purpose in lost.filter(|purpose| !verdict.usable.contains(purpose)) {
            // A use the setting no longer makes was nobody's answer.
            if !setup.policy.purposes.contains_key(purpose) {
                continue;
            }
            for child in denying(facts, *purpose, judge, &setup.calendar, now) {
                let photos = self.lost.entry((child, *purpose)).or_default();
                photos.insert(row.photo);
            }
        }
        self.uses.push(PhotoUses {
            device: row.device,
            photo: row.photo,
            usable: verdict.usable,
        });
    }
}

/// The opening days that have begun after the one on which something happened, as far as reminders ask.
fn opening_days_since(calendar: &Calendar, from: Timestamp, now: Timestamp) -> u32 {
    let today = calendar.local_date(now);
    let mut date = Calendar::plus_days(calendar.local_date(from), 1);
    let mut days = 0;
    while date <= today && days < UNTAGGED_REMINDERS[0] {
        days += u32::from(calendar.is_opening_day(date));
        date = Calendar::plus_days(date, 1);
    }
    days
}
