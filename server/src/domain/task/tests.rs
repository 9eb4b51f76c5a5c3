#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::{command, hold};
use crate::storage::testing::{
    TestStorage, TestTablet, audit, child, destroyed, given, known, now, photo_id,
};
use crate::storage::{Child, HourlyLimit, RegisterChange, RegisterPut};
use jiff::SignedDuration;
use nestwarden_policy_schema::consent::{
    ConsentRecord, ConsentState, GivenBy, LeaveReason, Leaving, Purpose, Restriction, Stage,
    Tagging,
};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use nestwarden_policy_schema::id::OperatorId;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use uuid::Uuid;

struct World {
    test: TestStorage,
    tablet: TestTablet,
}

impl World {
    /// Two children with every consent.
    async fn new() -> Self {
        let test = TestStorage::create().await;
        let act = audit("p");
        let put = test
            .storage
            .profile_put("early-years", 0, EARLY_YEARS, &act);
        put.await.unwrap();
        let tablet = TestTablet::enrol(&test.storage).await;
        let world = Self { test, tablet };
        let records = [1, 2]
            .into_iter()
            .flat_map(|child| Purpose::ALL.map(|purpose| given(child, purpose, now())));
        world
            .writes(vec![child(1), child(2)], records.collect())
            .await;
        world
    }

    async fn writes(&self, children: Vec<Child>, records: Vec<ConsentRecord>) {
        let change = RegisterChange {
            children,
            records,
            import_key: None,
        };
        let act = audit("c");
        let version = self.test.storage.inputs_version().await.unwrap();
        let put = self.test.storage.register_change(&change, version, &act);
        assert_eq!(put.await.unwrap(), RegisterPut::Done);
    }

    async fn tells(&mut self, bodies: &[EventBody]) {
        let batch = self.tablet.batch_of(bodies);
        self.test.storage.event_append(batch).await.unwrap();
    }

    async fn photo(&mut self, number: u128, who: &[u128]) {
        let told = known(self.tablet.id, number, who, Tagging::Complete);
        self.tells(&[told]).await;
    }

    async fn withdraws(&self, number: u128, purpose: Purpose, minutes: i64) {
        self.answers(number, purpose, ConsentState::Withdrawn, minutes)
            .await;
    }

    async fn answers(&self, number: u128, purpose: Purpose, state: ConsentState, minutes: i64) {
        let at = now() + SignedDuration::from_mins(minutes);
        let mut record = given(number, purpose, at);
        record.state = state;
        record.withdrawn_at = (state == ConsentState::Withdrawn).then_some(at);
        self.writes(vec![], vec![record]).await;
    }

    /// Open tasks of a kind after a look at `hours` from the start.
    async fn open(&self, kind: TaskKind, hours: i64) -> Vec<Task> {
        let at = now() + SignedDuration::from_hours(hours);
        round(&self.test.storage, at).await.unwrap();
        let again = round(&self.test.storage, at).await.unwrap();
        assert_eq!(again, TaskChanges::default(), "a second look found more");
        let mut open = self.test.storage.task_list(WithClosed::No).await.unwrap();
        open.retain(|task| task.kind == kind);
        open
    }

    async fn closes(&self, task: &Task) {
        let note = "taken off the website";
        done(&self.test.storage, task.id, note, &somebody(), now())
            .await
            .unwrap();
    }
}

fn somebody() -> Operator {
    Operator {
        id: OperatorId::from_uuid(Uuid::new_v4()),
        name: "D".to_owned(),
        roles: [Role::Dsl].into(),
        created_at: now(),
    }
}

#[tokio::test]
async fn photos_that_lose_a_use_are_one_task_by_child_and_purpose() {
    let mut world = World::new().await;
    for (number, who) in [(1, &[1][..]), (2, &[1, 2]), (3, &[2])] {
        world.photo(number, who).await;
    }
    assert_eq!(world.open(TaskKind::TakeDown, 0).await, vec![]);
    world.withdraws(1, Purpose::Website, 5).await;
    let tasks = world.open(TaskKind::TakeDown, 1).await;
    assert_eq!(tasks.len(), 1);
    let subject = &tasks[0].subject;
    assert_eq!(subject.child, Some(child(1).id));
    assert_eq!(subject.purpose, Some(Purpose::Website));
    assert_eq!(subject.photos, BTreeSet::from([photo_id(1), photo_id(2)]));
    let references = BTreeMap::from([(child(1).id, "A1".to_owned())]);
    assert_eq!(
        says(&tasks[0], &references, &BTreeMap::new(), Purpose::as_str),
        "take down 2 photos of A1 from website, wherever copies are"
    );
}

#[tokio::test]
async fn whether_photos_are_evidence_is_ticked_off_by_nobody_but_the_dsl() {
    let mut world = World::new().await;
    world.photo(1, &[1]).await;
    assert_eq!(world.open(TaskKind::TakeDown, 0).await, vec![]);
    world.withdraws(1, Purpose::Website, 5).await;
    let manager = Operator {
        roles: [Role::Manager, Role::ItAdmin].into(),
        ..somebody()
    };
    let storage = world.test.storage.clone();
    let asked = world.open(TaskKind::Withdrawal, 1).await.remove(0);
    let refused = done(&storage, asked.id, "", &manager, now()).await;
    assert!(matches!(refused, Err(TaskError::NotAllowed(_))));
    assert_eq!(world.open(TaskKind::Withdrawal, 1).await.len(), 1);
    let own = world.open(TaskKind::TakeDown, 1).await.remove(0);
    done(&storage, own.id, "", &manager, now()).await.unwrap();
    let deputy = Operator {
        roles: [Role::Deputy].into(),
        ..somebody()
    };
    done(&storage, asked.id, "", &deputy, now()).await.unwrap();
}

#[tokio::test]
async fn a_photo_that_is_gone_from_tablets_is_still_taken_down() {
    let mut world = World::new().await;
    world.photo(1, &[1]).await;
    world.open(TaskKind::TakeDown, 0).await;
    world.tells(&[destroyed(photo_id(1), child(1).id)]).await;
    world.withdraws(1, Purpose::Website, 5).await;
    assert_eq!(world.open(TaskKind::TakeDown, 1).await.len(), 1);
}

#[tokio::test]
async fn a_late_tag_and_a_restriction_take_down_too() {
    let mut world = World::new().await;
    world
        .answers(2, Purpose::Website, ConsentState::Refused, 1)
        .await;
    world.photo(1, &[1]).await;
    world.open(TaskKind::TakeDown, 1).await;
    world.photo(1, &[1, 2]).await;
    let late = world.open(TaskKind::TakeDown, 2).await;
    assert_eq!(late.len(), 1);
    assert_eq!(late[0].subject.child, Some(child(2).id));
    let mut restricted = child(1);
    restricted.entry.restriction = Restriction::NoExternal;
    world.photo(2, &[1]).await;
    world.open(TaskKind::TakeDown, 2).await;
    world.writes(vec![restricted], vec![]).await;
    assert_eq!(world.open(TaskKind::TakeDown, 3).await.len(), 2);
}

#[tokio::test]
async fn a_use_lost_again_after_it_was_taken_down_is_a_new_task() {
    let mut world = World::new().await;
    world.photo(1, &[1]).await;
    world.open(TaskKind::TakeDown, 0).await;
    world.withdraws(1, Purpose::Website, 5).await;
    let first = world.open(TaskKind::TakeDown, 1).await;
    world.closes(&first[0]).await;
    assert_eq!(world.open(TaskKind::TakeDown, 1).await, vec![]);
    world
        .answers(1, Purpose::Website, ConsentState::Given, 70)
        .await;
    world.photo(2, &[1]).await;
    world.open(TaskKind::TakeDown, 2).await;
    world.withdraws(1, Purpose::Website, 130).await;
    let again = world.open(TaskKind::TakeDown, 3).await;
    assert_eq!(again.len(), 1);
    assert_ne!(again[0].id, first[0].id);
    assert_eq!(again[0].subject.photos.len(), 2);
}

#[tokio::test]
async fn a_use_given_again_by_the_child_it_is_about_is_not_taken_down_any_more() {
    let mut world = World::new().await;
    world.photo(1, &[1, 2]).await;
    world.open(TaskKind::TakeDown, 0).await;
    world.withdraws(1, Purpose::Website, 5).await;
    let first = world.open(TaskKind::TakeDown, 1).await;
    world.withdraws(2, Purpose::Website, 65).await;
    world
        .answers(1, Purpose::Website, ConsentState::Given, 125)
        .await;
    // It may still be on the website, and the other child's parents do not want it there.
    assert_eq!(world.open(TaskKind::TakeDown, 3).await, first);
    world
        .answers(2, Purpose::Website, ConsentState::Given, 185)
        .await;
    assert_eq!(world.open(TaskKind::TakeDown, 4).await, vec![]);
    let why = why_closed(&world, TaskKind::TakeDown).await;
    assert_eq!(why, ["consent was given again"]);
}

#[tokio::test]
async fn what_was_never_usable_and_what_only_aged_is_no_take_down() {
    let mut world = World::new().await;
    world
        .answers(1, Purpose::Website, ConsentState::Refused, 1)
        .await;
    world.photo(1, &[1]).await;
    world.open(TaskKind::TakeDown, 1).await;
    assert_eq!(world.open(TaskKind::TakeDown, 24 * 40).await, vec![]);
}

#[tokio::test]
async fn the_dsl_hears_of_a_withdrawal_once() {
    let world = World::new().await;
    world.withdraws(1, Purpose::Website, 5).await;
    let told = world.open(TaskKind::Withdrawal, 1).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].owner, Role::Dsl);
    world.closes(&told[0]).await;
    assert_eq!(world.open(TaskKind::Withdrawal, 2).await, vec![]);
}

/// Why tasks of a kind were closed, in the order they were opened.
async fn why_closed(world: &World, kind: TaskKind) -> Vec<String> {
    let mut all = world.test.storage.task_list(WithClosed::Yes).await.unwrap();
    all.retain(|task| task.kind == kind);
    all.sort_by_key(|task| task.id);
    all.into_iter()
        .filter_map(|task| Some(task.closed?.note))
        .collect()
}

#[tokio::test]
async fn withdrawals_one_after_the_other_are_one_open_task_for_the_dsl() {
    let world = World::new().await;
    world.withdraws(1, Purpose::Website, 5).await;
    let first = world.open(TaskKind::Withdrawal, 1).await.remove(0);
    world.withdraws(1, Purpose::Press, 65).await;
    world.withdraws(2, Purpose::Press, 65).await;
    let open = world.open(TaskKind::Withdrawal, 2).await;
    assert_eq!(open.len(), 2, "one for each child");
    assert!(open.iter().all(|task| task.id != first.id));
    let why = why_closed(&world, TaskKind::Withdrawal).await;
    assert_eq!(why, ["a later withdrawal took its place"]);
    // The later one taken back, what was withdrawn before is still for the DSL.
    world
        .answers(1, Purpose::Press, ConsentState::Given, 125)
        .await;
    assert_eq!(world.open(TaskKind::Withdrawal, 3).await, open);
}

#[tokio::test]
async fn consent_given_again_closes_the_task_and_a_withdrawal_after_it_opens_one() {
    let world = World::new().await;
    for (hour, minutes) in [(1, 5), (3, 125)] {
        world.withdraws(1, Purpose::Website, minutes).await;
        assert_eq!(world.open(TaskKind::Withdrawal, hour).await.len(), 1);
        world
            .answers(1, Purpose::Website, ConsentState::Given, minutes + 60)
            .await;
        assert_eq!(world.open(TaskKind::Withdrawal, hour + 1).await, vec![]);
    }
    let why = why_closed(&world, TaskKind::Withdrawal).await;
    assert_eq!(why, ["consent was given again"; 2]);
}

#[tokio::test]
async fn a_withdrawal_nobody_looked_at_stays_a_task_however_old() {
    let world = World::new().await;
    world.withdraws(1, Purpose::Website, 5).await;
    let open = world.open(TaskKind::Withdrawal, 1).await;
    assert_eq!(world.open(TaskKind::Withdrawal, 24 * 30).await, open);
}

#[tokio::test]
async fn a_consent_about_to_end_is_told_at_30_14_and_7_days_and_no_more_once_renewed() {
    let world = World::new().await;
    let mut ends = given(1, Purpose::Press, now() + SignedDuration::from_mins(1));
    // 40 days from the start.
    ends.valid_until = Some(jiff::civil::date(2026, 4, 19));
    world.writes(vec![], vec![ends]).await;
    let mut seen = BTreeSet::new();
    for (day, open) in [
        (9, 0),
        (10, 1),
        (20, 1),
        (26, 1),
        (30, 1),
        (33, 1),
        (40, 1),
        (41, 0),
    ] {
        let tasks = world.open(TaskKind::ConsentExpiring, 24 * day).await;
        assert_eq!(tasks.len(), open, "day {day}");
        seen.extend(tasks.into_iter().map(|task| task.id));
    }
    assert_eq!(seen.len(), 3);
    let mut renewed = given(2, Purpose::Press, now() + SignedDuration::from_mins(1));
    renewed.valid_until = Some(jiff::civil::date(2026, 4, 19));
    world.writes(vec![], vec![renewed]).await;
    let open = world.open(TaskKind::ConsentExpiring, 24 * 35).await;
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].subject.child, Some(child(2).id));
    world
        .answers(2, Purpose::Press, ConsentState::Given, 10)
        .await;
    assert_eq!(world.open(TaskKind::ConsentExpiring, 24 * 35).await, vec![]);
}

#[tokio::test]
async fn what_happens_to_a_child_is_somebodys_task() {
    let world = World::new().await;
    let set = |leaves, missing_since| {
        let mut child = child(1);
        child.entry.leaves = leaves;
        child.entry.missing_since = missing_since;
        vec![child]
    };
    let leaving = |reason| {
        Some(Leaving {
            date: jiff::civil::date(2026, 3, 20),
            reason,
        })
    };
    world.writes(set(None, Some(now())), vec![]).await;
    assert_eq!(world.open(TaskKind::ChildMissing, 1).await.len(), 1);
    world
        .writes(set(leaving(LeaveReason::Left), None), vec![])
        .await;
    assert_eq!(world.open(TaskKind::ChildMissing, 1).await, vec![]);
    assert_eq!(world.open(TaskKind::LeaversPack, 1).await.len(), 1);
    let mut other_day = set(leaving(LeaveReason::Left), None);
    for leaving in other_day.iter_mut().filter_map(|c| c.entry.leaves.as_mut()) {
        leaving.date = jiff::civil::date(2026, 3, 18);
    }
    world.writes(other_day, vec![]).await;
    let packs = world.open(TaskKind::LeaversPack, 1).await;
    let due: Vec<_> = packs.iter().map(|task| task.due).collect();
    assert_eq!(due, [jiff::civil::date(2026, 3, 18)]);
    world.writes(set(None, None), vec![]).await;
    assert_eq!(world.open(TaskKind::LeaversPack, 1).await, vec![]);
    world
        .writes(set(leaving(LeaveReason::Died), None), vec![])
        .await;
    assert_eq!(world.open(TaskKind::ChildDied, 1).await.len(), 1);
    // Disagreement is the state of the records.
    let conflict = ConsentState::Conflicted;
    world.answers(2, Purpose::Website, conflict, 5).await;
    assert_eq!(world.open(TaskKind::ConsentConflicted, 1).await.len(), 1);
    world
        .answers(2, Purpose::Website, ConsentState::Given, 9)
        .await;
    assert_eq!(world.open(TaskKind::ConsentConflicted, 1).await, vec![]);
}

#[tokio::test]
async fn a_child_who_died_is_the_subject_of_no_reminder() {
    let world = World::new().await;
    let mut ends = given(1, Purpose::Press, now() + SignedDuration::from_mins(1));
    ends.valid_until = Some(jiff::civil::date(2026, 3, 15));
    let mut gone = child(1);
    gone.entry.leaves = Some(Leaving {
        date: jiff::civil::date(2026, 3, 9),
        reason: LeaveReason::Died,
    });
    world.writes(vec![gone], vec![ends]).await;
    world.withdraws(1, Purpose::Website, 5).await;
    world.open(TaskKind::ChildDied, 1).await;
    let open = world.test.storage.task_list(WithClosed::No).await.unwrap();
    let mut kinds: Vec<TaskKind> = open.iter().map(|task| task.kind).collect();
    // Beside the apps of the starting profile, on which nobody decided, and which are due on the same day.
    kinds.retain(|kind| *kind != TaskKind::AppsUnapproved);
    assert_eq!(kinds, vec![TaskKind::ChildDied]);
}

#[tokio::test]
async fn photos_nobody_sorted_are_put_before_somebody_on_the_first_third_and_sixth_opening_day() {
    let mut world = World::new().await;
    let tablet = world.tablet.id;
    world
        .tells(&[
            known(tablet, 1, &[], Tagging::Untagged),
            known(tablet, 2, &[1], Tagging::Complete),
        ])
        .await;
    // Taken on a Tuesday.
    let kind = TaskKind::PhotosUntagged;
    assert_eq!(world.open(kind, 1).await, vec![]);
    let mut seen = BTreeSet::new();
    for (days, step) in [(1, 1), (2, 1), (3, 3), (5, 3), (7, 3), (8, 6), (9, 6)] {
        let open = world.open(kind, 24 * days).await;
        assert_eq!(open.len(), 1, "after {days} days");
        assert!(
            open[0].key.ends_with(&format!("/{step}")),
            "{}",
            open[0].key
        );
        assert_eq!(open[0].due, jiff::civil::date(2026, 3, 20));
        assert_eq!(open[0].subject.photos, [photo_id(1)].into());
        seen.insert(open[0].id);
    }
    assert_eq!(seen.len(), 3);
    world
        .tells(&[known(tablet, 1, &[], Tagging::NoChild)])
        .await;
    assert_eq!(world.open(kind, 24 * 9).await, vec![]);
}

#[tokio::test]
async fn a_hold_is_put_before_the_dsl_three_days_before_its_review() {
    let world = World::new().await;
    let scope = HoldScope::Child { child: child(1).id };
    let category = HoldCategory::Complaint;
    hold::open(&world.test.storage, scope, category, 10, &somebody(), now())
        .await
        .unwrap();
    assert_eq!(world.open(TaskKind::HoldReview, 24 * 7 - 1).await, vec![]);
    assert_eq!(world.open(TaskKind::HoldReview, 24 * 7).await.len(), 1);
}

#[tokio::test]
async fn a_tablet_that_cannot_put_photos_away_for_a_day_is_looked_at() {
    let mut world = World::new().await;
    let incomplete = |photo| EventBody::PhotoIncomplete {
        photo: photo_id(photo),
        stage: Stage::Sealed,
        problem: "read-only".to_owned(),
    };
    world.tells(&[incomplete(1), incomplete(2)]).await;
    assert_eq!(world.open(TaskKind::PhotoIncomplete, 24).await, vec![]);
    let told = world.open(TaskKind::PhotoIncomplete, 25).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].subject.photos.len(), 2);
    let sealed = |photo| EventBody::PhotoStage {
        photo: photo_id(photo),
        from: Stage::Live,
        to: Stage::Sealed,
        cause: None,
        observed_only: false,
    };
    world.tells(&[sealed(1), sealed(2)]).await;
    assert_eq!(world.open(TaskKind::PhotoIncomplete, 26).await, vec![]);
}

#[tokio::test]
async fn somebody_who_is_not_on_the_register_is_somebodys_task() {
    let mut world = World::new().await;
    let EventBody::PhotoKnown { media, mut facts } =
        known(world.tablet.id, 1, &[], Tagging::Complete)
    else {
        unreachable!()
    };
    facts.subjects.unregistered_person = true;
    world.tells(&[EventBody::PhotoKnown { media, facts }]).await;
    assert_eq!(world.open(TaskKind::UnregisteredPerson, 1).await.len(), 1);
    world.photo(1, &[1]).await;
    assert_eq!(world.open(TaskKind::UnregisteredPerson, 2).await, vec![]);
}

#[tokio::test]
async fn a_file_that_waits_is_a_task_until_it_does_not() {
    let world = World::new().await;
    let file = crate::storage::WaitingFile {
        name: "a.csv".to_owned(),
        digest: nestwarden_policy_schema::bytes::Digest::sha256(b"a"),
        since: now(),
        why: "much would change".to_owned(),
    };
    world.test.storage.waiting_put(&file).await.unwrap();
    let open = world.open(TaskKind::ImportWaits, 1).await;
    assert_eq!(open.len(), 1);
    let said = says(
        &open[0],
        &BTreeMap::new(),
        &BTreeMap::new(),
        Purpose::as_str,
    );
    assert!(said.starts_with("the file a.csv"), "{said}");
    assert_eq!(open[0].owner, Role::Manager);
    world.test.storage.waiting_remove("a.csv").await.unwrap();
    assert!(world.open(TaskKind::ImportWaits, 2).await.is_empty());
}

#[tokio::test]
async fn parents_who_disagree_are_a_task_until_they_do_not() {
    let world = World::new().await;
    let at = |minutes| now() + SignedDuration::from_mins(minutes);
    let of = |state, by, minutes| {
        let mut record = given(1, Purpose::Website, at(minutes));
        (record.state, record.given_by) = (state, by);
        record
    };
    let no = of(ConsentState::Refused, GivenBy::OtherParent, 1);
    world.writes(vec![], vec![no]).await;
    assert_eq!(world.open(TaskKind::ConsentConflicted, 1).await.len(), 1);
    let yes = of(ConsentState::Given, GivenBy::OtherParent, 2);
    world.writes(vec![], vec![yes]).await;
    assert!(world.open(TaskKind::ConsentConflicted, 2).await.is_empty());
}

#[tokio::test]
async fn a_lost_tablet_is_put_before_a_manager_until_it_is_found() {
    let mut world = World::new().await;
    let storage = world.test.storage.clone();
    let device = storage.device_find(world.tablet.id).await.unwrap().unwrap();
    let lost_tasks = async || {
        round(&storage, now()).await.unwrap();
        let open = storage.task_list(WithClosed::No).await.unwrap();
        let lost = open
            .into_iter()
            .filter(|task| task.kind == TaskKind::TabletLost);
        lost.map(|task| (task.owner, task.subject.device))
            .collect::<Vec<_>>()
    };
    assert_eq!(lost_tasks().await, []);
    let limit = HourlyLimit::default();
    let by = audit("device.lost");
    let lost = command::lost(&storage, &device, limit, &by, now());
    let command = lost.await.unwrap().id;
    assert_eq!(lost_tasks().await, [(Role::Manager, Some(device.id))]);
    let outcome = "done: held as lost until it is found".to_owned();
    world
        .tells(&[EventBody::CommandOutcome { command, outcome }])
        .await;
    assert_eq!(lost_tasks().await.len(), 1);
    let later = now() + SignedDuration::from_mins(1);
    let by = audit("device.found");
    let found = command::found(&storage, &device, &by, later);
    found.await.unwrap();
    assert_eq!(lost_tasks().await, []);
}
