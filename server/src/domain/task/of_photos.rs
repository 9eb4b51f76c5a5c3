//! What photos ask of people: uses that ended, stages that could not be carried out, people nobody knows.

use super::Today;
use crate::domain::photo::{self, Judge};
use crate::storage::task::{PhotoUses, TaskDraft, TaskKind, TaskRound};
use crate::storage::{PhotoRow, Role, Storage, StorageError};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::consent::{PhotoFacts, Purpose, Stage};
use nestwarden_policy_schema::id::{ChildId, DeviceId, PhotoId};
use std::collections::{BTreeMap, BTreeSet};

const TAKE_DOWN_DAYS: u32 = 3;
const INCOMPLETE_AFTER: SignedDuration = SignedDuration::from_hours(24);

#[derive(Default)]
struct Found {
    lost: BTreeMap<(ChildId, Purpose), BTreeSet<PhotoId>>,
    incomplete: BTreeMap<DeviceId, BTreeSet<PhotoId>>,
    strangers: BTreeMap<DeviceId, BTreeSet<PhotoId>>,
    uses: Vec<PhotoUses>,
}

pub(super) async fn find(
    storage: &Storage,
    today: &Today<'_>,
    judge: &Judge,
    round: &mut TaskRound,
) -> Result<(), StorageError> {
    let mut found = Found::default();
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
    round.uses = found.uses;
    Ok(())
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
        self.uses_of(row, &facts, judge, now);
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
            let date = setup.calendar.local_date(facts.captured_at);
            let subjects = facts.subjects.all(&judge.register, date);
            let denies = subjects.into_iter().filter(|id| {
                let entry = judge.register.children.get(id);
                entry.is_none_or(|entry| !entry.permits(*purpose, &setup.calendar, now))
            });
            for child in denies {
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
