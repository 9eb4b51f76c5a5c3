//! One behaviour suite for every backend. Each function is given an empty store of one setting.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod commands;
mod entries;
mod photos;
mod reports;

pub(super) use commands::{
    a_command_taken_back_waits_no_more_and_what_came_of_it_is_noted,
    a_command_waits_until_its_tablet_says_what_came_of_it,
    a_message_s_first_words_give_way_to_its_last, a_tablet_that_declined_stays_enrolled,
    no_more_commands_that_disrupt_are_taken_within_an_hour_than_the_limit,
};

pub(super) use entries::{
    no_two_open_entries_are_about_the_same, what_tablets_told_of_custody_waits_until_it_is_written,
    words_of_a_line_are_erased_by_a_second_person,
};

pub(super) use photos::{
    a_sealed_file_is_opened_as_one_photo, a_task_is_opened_once_and_done_once,
    decisions_about_photos_replace_the_one_before, photos_are_what_their_events_say,
    what_was_read_from_an_erased_event_goes_with_it,
};

pub(super) use reports::{
    a_tally_goes_when_a_body_it_had_read_is_erased, entries_of_one_act_are_listed_the_newest_first,
    the_hours_in_which_a_tablet_told_something_stay_known,
    the_last_event_of_a_time_is_found_whatever_its_fraction_of_a_second,
};

use super::event::Erasure;
use super::hold::HoldAct;
use super::testing::{TestTablet, audit, device, enrol, key_of, now, token};
use super::token::token_hash;
use super::{
    AppendOutcome, Changed, Child, EnrolOutcome, FileSaid, HoldRow, IssuedBundle, Operator,
    RegisterChange, RegisterPut, Revocation, Role, SetHere, Storage, StoredInventory,
};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bytes::{Base64, Digest};
use nestwarden_policy_schema::consent::{
    ChildEntry, ConsentRecord, ConsentSource, ConsentState, GivenBy, Method, Purpose,
};
use nestwarden_policy_schema::device_api::Inventory;
use nestwarden_policy_schema::envelope::Signed;
use nestwarden_policy_schema::event::{ChainPosition, verify_chain};
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::hold::{Hold, HoldCategory, HoldScope};
use nestwarden_policy_schema::id::{ChildId, ConsentId, DeviceId, HoldId, OperatorId};
use nestwarden_policy_schema::policy::Policy;
use nestwarden_policy_schema::trust::KeyId;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

fn nobody() -> DeviceId {
    DeviceId::from_uuid(Uuid::from_u128(99))
}

fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

pub(super) async fn a_token_enrols_one_device_once(storage: Storage) {
    let token = token("once");
    assert_eq!(storage.token_find(token.hash).await.unwrap(), None);
    storage.token_create(&token, &audit("t")).await.unwrap();
    let found = storage.token_find(token.hash).await.unwrap();
    assert_eq!(found, Some(token.clone()));

    let first = device("early-years");
    let key = key_of(first.id, b"key");
    let unknown = storage.token_redeem(token_hash("other"), &first, &key);
    assert_eq!(unknown.await.unwrap(), EnrolOutcome::TokenUnknown);
    let mut late = first.clone();
    late.enrolled_at = token.expires_at;
    let expired = storage.token_redeem(token.hash, &late, &key);
    assert_eq!(expired.await.unwrap(), EnrolOutcome::TokenExpired);
    assert_eq!(storage.device_list().await.unwrap(), vec![]);

    let enrolled = storage.token_redeem(token.hash, &first, &key);
    assert_eq!(enrolled.await.unwrap(), EnrolOutcome::Enrolled);
    let second = device("early-years");
    let key_of_second = key_of(second.id, b"k");
    let used = storage.token_redeem(token.hash, &second, &key_of_second);
    assert_eq!(used.await.unwrap(), EnrolOutcome::TokenUsed);
    assert_eq!(storage.device_list().await.unwrap(), vec![first.clone()]);
    assert_eq!(storage.device_keys(first.id).await.unwrap(), vec![key]);
}

pub(super) async fn a_token_used_at_the_same_moment_enrols_one_device(storage: Storage) {
    let token = token("raced");
    storage.token_create(&token, &audit("t")).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let storage = storage.clone();
        tasks.spawn(async move {
            let device = device("early-years");
            let key = key_of(device.id, b"key");
            storage
                .token_redeem(token.hash, &device, &key)
                .await
                .unwrap()
        });
    }
    let outcomes = tasks.join_all().await;
    let enrolled = outcomes
        .iter()
        .filter(|outcome| **outcome == EnrolOutcome::Enrolled)
        .count();
    assert_eq!(enrolled, 1);
    assert_eq!(storage.device_list().await.unwrap().len(), 1);
}

pub(super) async fn a_device_changes_and_says_whether_it_did(storage: Storage) {
    assert_eq!(storage.device_find(nobody()).await.unwrap(), None);
    assert_eq!(storage.device_keys(nobody()).await.unwrap(), vec![]);
    let id = enrol(&storage, "early-years").await;
    let rooms = BTreeSet::from(["Robins".parse().unwrap()]);
    let act = audit("a");
    for (device, expected) in [
        (nobody(), Changed::Missing),
        (id, Changed::Yes),
        (id, Changed::Already),
    ] {
        let overrides = [Policy::default()];
        let revocation = Revocation {
            at: now(),
            reason: "lost".to_owned(),
        };
        let moved = storage.device_set_rooms(device, &rooms, &act);
        assert_eq!(moved.await.unwrap(), expected);
        let tightened = storage.device_set_overrides(device, &overrides, &act);
        assert_eq!(tightened.await.unwrap(), expected);
        let revoked = storage.device_revoke(device, &revocation, &act);
        assert_eq!(revoked.await.unwrap(), expected);
    }
    let found = storage.device_find(id).await.unwrap().unwrap();
    assert_eq!(found.rooms, rooms);
    assert_eq!(found.overrides.len(), 1);
    assert_eq!(found.revoked.unwrap().reason, "lost");
}

pub(super) async fn a_revoked_device_gets_no_new_key(storage: Storage) {
    let id = enrol(&storage, "early-years").await;
    let mut renewed = key_of(id, b"second");
    renewed.issued_at = later(1);
    let added = storage.device_key_add(&renewed).await.unwrap();
    assert_eq!(added, Changed::Yes);
    let keys = storage.device_keys(id).await.unwrap();
    assert_eq!(keys[0].public_key, b"second");
    assert_eq!(keys.len(), 2);
    let revocation = Revocation {
        at: now(),
        reason: String::new(),
    };
    storage
        .device_revoke(id, &revocation, &audit("a"))
        .await
        .unwrap();
    let refused = storage.device_key_add(&key_of(id, b"third")).await.unwrap();
    assert_eq!(refused, Changed::Missing);
}

pub(super) async fn hearing_from_a_device_is_noted_to_the_minute(storage: Storage) {
    let id = enrol(&storage, "early-years").await;
    storage.device_seen(nobody(), now()).await.unwrap();
    for (at, noted) in [(0, 0), (59, 0), (60, 60)] {
        storage.device_seen(id, later(at)).await.unwrap();
        let device = storage.device_find(id).await.unwrap().unwrap();
        assert_eq!(device.last_seen_at, Some(later(noted)));
    }
}

pub(super) async fn batches_continue_their_chain_or_change_nothing(storage: Storage) {
    let mut tablet = TestTablet::enrol(&storage).await;
    let (first, second, third) = (tablet.batch(3), tablet.batch(2), tablet.batch(1));
    let position = || storage.event_position(tablet.id);
    assert_eq!(position().await.unwrap(), ChainPosition::START);

    let gap = storage.event_append(second.clone()).await.unwrap();
    assert_eq!(gap, AppendOutcome::Gap { on_disk: 0 });
    for _ in 0..2 {
        let kept = storage.event_append(first.clone()).await.unwrap();
        assert_eq!(kept, AppendOutcome::OnDisk(3));
    }
    let gap = storage.event_append(third.clone()).await.unwrap();
    assert_eq!(gap, AppendOutcome::Gap { on_disk: 3 });

    let mut other = second.clone();
    other.events[0].previous = Digest::ZERO;
    let conflict = storage.event_append(other).await.unwrap();
    assert_eq!(conflict, AppendOutcome::Conflict { seq: 4 });
    let mut replayed = first.clone();
    replayed.events[1].hash = Digest::ZERO;
    let conflict = storage.event_append(replayed).await.unwrap();
    assert_eq!(conflict, AppendOutcome::Conflict { seq: 2 });
    assert_eq!(position().await.unwrap().seq, 3);

    // One that overlaps what is there adds the rest.
    let mut overlapping = second.clone();
    overlapping.events.insert(0, first.events[2].clone());
    let kept = storage.event_append(overlapping).await.unwrap();
    assert_eq!(kept, AppendOutcome::OnDisk(5));
    let events: Vec<_> = storage
        .event_list(tablet.id, 0, 100)
        .await
        .unwrap()
        .into_iter()
        .map(|stored| stored.event)
        .collect();
    assert!(verify_chain(tablet.id, ChainPosition::START, &events).is_ok());
    assert_eq!(position().await.unwrap(), second.events[1].position());
    assert_eq!(storage.event_list(tablet.id, 3, 1).await.unwrap().len(), 1);
    let heads = storage.head_list(tablet.id, 0, 100).await.unwrap();
    assert_eq!(heads.iter().map(|h| h.seq).collect::<Vec<_>>(), vec![3, 5]);
    assert_eq!(heads[1].head, second.head);
}

pub(super) async fn events_of_a_device_that_is_missing_are_refused(storage: Storage) {
    let mut tablet = TestTablet::enrol(&storage).await;
    let mut batch = tablet.batch(1);
    batch.device = nobody();
    let refused = storage.event_append(batch).await.unwrap();
    assert_eq!(refused, AppendOutcome::DeviceMissing);
}

pub(super) async fn batches_of_many_tablets_at_once_are_all_kept(storage: Storage) {
    let mut tablets = Vec::new();
    for _ in 0..20 {
        tablets.push(TestTablet::enrol(&storage).await);
    }
    let ids: Vec<DeviceId> = tablets.iter().map(|t| t.id).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for (index, mut tablet) in tablets.into_iter().enumerate() {
        let storage = storage.clone();
        tasks.spawn(async move {
            for round in 1..=10 {
                let mut batch = tablet.batch(3);
                // One of them sends what must be refused, and keeps no neighbour back.
                if index == 0 {
                    batch.events[0].previous = Digest::sha256(b"elsewhere");
                    let refused = storage.event_append(batch).await.unwrap();
                    assert_ne!(refused, AppendOutcome::OnDisk(round * 3));
                } else {
                    let kept = storage.event_append(batch).await.unwrap();
                    assert_eq!(kept, AppendOutcome::OnDisk(round * 3));
                }
            }
        });
    }
    tasks.join_all().await;
    for (index, id) in ids.into_iter().enumerate() {
        let expected = if index == 0 { 0 } else { 30 };
        assert_eq!(storage.event_position(id).await.unwrap().seq, expected);
    }
}

pub(super) async fn an_erased_event_keeps_its_link(storage: Storage) {
    let mut tablet = TestTablet::enrol(&storage).await;
    storage.event_append(tablet.batch(2)).await.unwrap();
    let erasure = Erasure {
        at: now(),
        why: "right to erasure".to_owned(),
    };
    for expected in [true, false] {
        let erased = storage.event_erase(tablet.id, 1, &erasure).await.unwrap();
        assert_eq!(erased, expected);
    }
    let events = storage.event_list(tablet.id, 0, 10).await.unwrap();
    assert_eq!(events[0].erased, Some(erasure));
    assert_eq!(
        (&events[0].event.body, &events[0].event.salt),
        (&None, &None)
    );
    assert!(
        events[0]
            .event
            .verify(tablet.id, ChainPosition::START)
            .is_ok()
    );
    assert_eq!(events[1].erased, None);
}

pub(super) async fn generations_only_grow(storage: Storage) {
    let id = enrol(&storage, "early-years").await;
    assert_eq!(storage.bundle_newest(id).await.unwrap(), None);
    for (generation, kept) in [(2, true), (2, false), (1, false), (5, true)] {
        let done = storage.bundle_put(&bundle(id, generation)).await.unwrap();
        assert_eq!(done, kept, "{generation}");
    }
    assert_eq!(
        storage.bundle_newest(id).await.unwrap(),
        Some(bundle(id, 5))
    );
    let history = storage.bundle_history(id).await.unwrap();
    let generations: Vec<u64> = history.iter().map(|b| b.generation.get()).collect();
    assert_eq!(generations, vec![2, 5]);
    let before = storage.bundle_issued_until(later(4)).await.unwrap();
    assert_eq!(before, vec![]);
    let at = storage.bundle_issued_until(later(5)).await.unwrap();
    assert_eq!(at, vec![id]);
}

fn bundle(device: DeviceId, generation: u64) -> IssuedBundle {
    IssuedBundle {
        device,
        generation: Generation::new(generation),
        content_digest: Digest::sha256(b"content"),
        holds_digest: Digest::sha256(b"holds"),
        issued_at: later(i64::try_from(generation).unwrap()),
        expires_at: later(1_000),
        signed: Signed {
            payload: format!("{{\"generation\":{generation}}}"),
            key_id: KeyId(Digest::sha256(b"key")),
            signature: Base64(vec![1, 2, 3]),
        },
    }
}

pub(super) async fn an_inventory_replaces_the_one_before(storage: Storage) {
    let id = enrol(&storage, "early-years").await;
    assert_eq!(storage.inventory_find(id).await.unwrap(), None);
    let inventory = |generation| StoredInventory {
        received_at: later(7),
        inventory: Inventory {
            at: now(),
            generation: Generation::new(generation),
            agent_version: "9.9.9".to_owned(),
            time_zone_data: "2099z".to_owned(),
            controls: Vec::new(),
            photos: BTreeMap::new(),
            found_at_enrolment: BTreeMap::new(),
            events_waiting: 0,
            clock_doubtful: false,
            disk_free_bytes: None,
            locked_out: None,
        },
    };
    storage
        .inventory_put(nobody(), &inventory(1))
        .await
        .unwrap();
    storage.inventory_put(id, &inventory(1)).await.unwrap();
    storage.inventory_put(id, &inventory(2)).await.unwrap();
    let found = storage.inventory_find(id).await.unwrap();
    assert_eq!(found, Some(inventory(2)));
    let device = storage.device_find(id).await.unwrap().unwrap();
    assert_eq!(device.agent_version, "9.9.9");
    assert_eq!(device.last_seen_at, Some(later(7)));
}

pub(super) async fn a_nonce_is_good_once_until_it_expires(storage: Storage) {
    storage.nonce_put("a", later(10), now()).await.unwrap();
    storage.nonce_put("b", later(10), now()).await.unwrap();
    assert_eq!(storage.nonce_count(now()).await.unwrap(), 2);
    assert!(!storage.nonce_take("c", now()).await.unwrap());
    assert!(storage.nonce_take("a", later(9)).await.unwrap());
    assert!(!storage.nonce_take("a", later(9)).await.unwrap());
    assert!(!storage.nonce_take("b", later(10)).await.unwrap());
    assert_eq!(storage.nonce_count(later(10)).await.unwrap(), 0);
}

pub(super) async fn a_profile_keeps_every_version(storage: Storage) {
    assert_eq!(storage.profile_find("a").await.unwrap(), None);
    for (name, source, version) in [("a", "one", 1), ("a", "two", 2), ("b", "one", 1)] {
        let by = audit("p");
        let put = storage.profile_put(name, version - 1, source, &by);
        assert_eq!(put.await.unwrap(), Some(version));
    }
    // Compared with a version that is not live any more, or with none.
    for on in [0, 1, 3] {
        let by = audit("p");
        let put = storage.profile_put("a", on, "three", &by);
        assert_eq!(put.await.unwrap(), None);
    }
    let live = storage.profile_find("a").await.unwrap().unwrap();
    assert_eq!((live.version, live.source.as_str()), (2, "two"));
    assert_eq!(live.applied_by, "os:test");
    assert_eq!(storage.profile_history("a").await.unwrap().len(), 2);
    let list = storage.profile_list().await.unwrap();
    let names: Vec<&str> = list.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, vec!["a", "b"]);
}

pub(super) async fn a_register_change_is_whole_or_nothing(storage: Storage) {
    let child = Child {
        id: ChildId::from_uuid(Uuid::from_u128(5)),
        reference: "A1".to_owned(),
        first_name: "Ann".to_owned(),
        last_name: "Bee".to_owned(),
        family: None,
        entry: ChildEntry::default(),
        set_here: SetHere::default(),
    };
    let record = |id, child| ConsentRecord {
        id: ConsentId::from_uuid(Uuid::from_u128(id)),
        child,
        purpose: Purpose::Website,
        state: ConsentState::Given,
        given_by: GivenBy::Parent,
        has_parental_responsibility: Some(true),
        method: Method::PaperForm,
        wording_version: None,
        answered_at: None,
        recorded_at: now(),
        valid_from: None,
        valid_until: None,
        withdrawn_at: None,
        source: ConsentSource::Import,
    };
    let stranger = ChildId::from_uuid(Uuid::from_u128(6));
    let broken = RegisterChange {
        children: vec![child.clone()],
        records: vec![record(1, stranger)],
        import_key: None,
    };
    let act = audit("c");
    let start = storage.inputs_version().await.unwrap();
    let put = storage.register_change(&broken, start, &act);
    assert!(put.await.is_err());
    assert_eq!(storage.child_list().await.unwrap(), vec![]);
    assert_eq!(storage.audit_list(10).await.unwrap(), vec![]);

    let good = RegisterChange {
        children: vec![child.clone()],
        records: vec![record(1, child.id)],
        import_key: None,
    };
    let put = storage.register_change(&good, start, &act);
    assert_eq!(put.await.unwrap(), RegisterPut::Done);
    // What rests on the register of before is not written over what came since.
    let put = storage.register_change(&good, start, &act);
    assert_eq!(put.await.unwrap(), RegisterPut::ChangedMeanwhile);
    let renamed = Child {
        first_name: "Anne".to_owned(),
        set_here: SetHere {
            leaves: Some(FileSaid { file_said: None }),
            ..SetHere::default()
        },
        ..child.clone()
    };
    let change = RegisterChange {
        children: vec![renamed.clone()],
        ..RegisterChange::default()
    };
    let now_at = storage.inputs_version().await.unwrap();
    let put = storage.register_change(&change, now_at, &act);
    assert_eq!(put.await.unwrap(), RegisterPut::Done);
    assert_eq!(storage.child_list().await.unwrap(), vec![renamed.clone()]);
    let found = storage.child_by_reference("A1").await.unwrap();
    assert_eq!(found, Some(renamed));
    assert_eq!(storage.child_by_reference("A2").await.unwrap(), None);
    let records = vec![record(1, child.id)];
    assert_eq!(storage.consent_list().await.unwrap(), records);
    let of_child = storage.consent_of_child(child.id).await.unwrap();
    assert_eq!(of_child, records);
    assert_eq!(storage.consent_of_child(stranger).await.unwrap(), vec![]);
    assert_eq!(storage.audit_list(10).await.unwrap().len(), 2);
}

pub(super) async fn a_hold_is_released_by_two_people(storage: Storage) {
    let id = HoldId::from_uuid(Uuid::from_u128(3));
    let row = HoldRow {
        hold: Hold {
            id,
            scope: HoldScope::Device { device: nobody() },
            category: HoldCategory::Safeguarding,
            opened_at: now(),
            review_by: later(1),
        },
        opened_by: "Dana".to_owned(),
        release_requested: None,
        released: None,
    };
    let by = |name: &str| HoldAct {
        by: name.to_owned(),
        at: now(),
    };
    let act = audit("h");
    assert_eq!(storage.hold_find(id).await.unwrap(), None);
    let missing = storage.hold_release(id, &by("Max"), &act).await.unwrap();
    assert_eq!(missing, Changed::Missing);
    storage.hold_open(&row, &act).await.unwrap();
    let unasked = storage.hold_release(id, &by("Max"), &act).await.unwrap();
    assert_eq!(unasked, Changed::Already);
    for expected in [Changed::Yes, Changed::Already] {
        let dana = by("Dana");
        let asked = storage.hold_request_release(id, &dana, &act);
        assert_eq!(asked.await.unwrap(), expected);
    }
    let looked = storage.hold_review(id, later(9), &act).await.unwrap();
    let reviewed = storage.hold_find(id).await.unwrap().unwrap();
    assert_eq!((looked, reviewed.hold.review_by), (Changed::Yes, later(9)));
    let alone = storage.hold_release(id, &by("Dana"), &act).await.unwrap();
    assert_eq!(alone, Changed::Already);
    for expected in [Changed::Yes, Changed::Already] {
        let released = storage.hold_release(id, &by("Max"), &act).await.unwrap();
        assert_eq!(released, expected);
    }
    let late = storage.hold_review(id, later(9), &act).await.unwrap();
    assert_eq!(late, Changed::Already);
    let released = storage.hold_list().await.unwrap().remove(0);
    assert_eq!(released.released, Some(by("Max")));
}

pub(super) async fn an_operators_name_is_unique(storage: Storage) {
    let operator = Operator {
        id: OperatorId::from_uuid(Uuid::from_u128(8)),
        name: "Dana".to_owned(),
        roles: BTreeSet::from([Role::Dsl, Role::Manager]),
        created_at: now(),
    };
    let namesake = Operator {
        id: OperatorId::from_uuid(Uuid::from_u128(9)),
        ..operator.clone()
    };
    assert_eq!(storage.operator_by_name("Dana").await.unwrap(), None);
    let added = storage.operator_add(&operator, &audit("o")).await.unwrap();
    assert_eq!(added, Changed::Yes);
    let refused = storage.operator_add(&namesake, &audit("o")).await.unwrap();
    assert_eq!(refused, Changed::Already);
    assert_eq!(storage.operator_list().await.unwrap(), vec![operator]);
}

pub(super) async fn only_what_may_show_in_a_bundle_moves_the_inputs(storage: Storage) {
    let version = || storage.inputs_version();
    let start = version().await.unwrap();
    let mut tablet = TestTablet::enrol(&storage).await;
    let enrolled = version().await.unwrap();
    assert!(enrolled > start);
    storage.event_append(tablet.batch(1)).await.unwrap();
    storage.bundle_put(&bundle(tablet.id, 1)).await.unwrap();
    storage.nonce_put("n", later(1), now()).await.unwrap();
    assert_eq!(version().await.unwrap(), enrolled);
    storage.profile_put("a", 0, "b", &audit("p")).await.unwrap();
    assert!(version().await.unwrap() > enrolled);
}
