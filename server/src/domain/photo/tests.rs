#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::command;
use crate::domain::returning::returning;
use crate::storage::testing::{TestStorage, TestTablet, audit, child, given, known, now, photo_id};
use crate::storage::{HourlyLimit, RegisterChange, Storage};
use jiff::SignedDuration;
use nestwarden_policy_schema::consent::{ConsentState, Purpose, Stage, Standing, Tagging};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::hold::{Hold, HoldCategory, HoldScope};
use nestwarden_policy_schema::id::{HoldId, PhotoId};
use nestwarden_policy_schema::profile::EARLY_YEARS;
use uuid::Uuid;

/// Two children with every consent, and a tablet that enforces.
async fn world(photos: &[(u128, &[u128])]) -> (TestStorage, TestTablet) {
    let test = TestStorage::create().await;
    let enforcing = EARLY_YEARS.replace("mode = \"observe\"", "mode = \"enforce\"");
    let act = audit("p");
    let put = test.storage.profile_put("early-years", 0, &enforcing, &act);
    put.await.unwrap();
    let change = RegisterChange {
        children: vec![child(1), child(2)],
        records: [1, 2]
            .into_iter()
            .flat_map(|child| Purpose::ALL.map(|purpose| given(child, purpose, now())))
            .collect(),
        import_key: None,
    };
    let based_on = test.storage.inputs_version().await.unwrap();
    test.storage
        .register_change(&change, based_on, &audit("c"))
        .await
        .unwrap();
    let mut tablet = TestTablet::enrol(&test.storage).await;
    let bodies: Vec<EventBody> = photos
        .iter()
        .map(|(photo, who)| known(tablet.id, *photo, who, Tagging::Complete))
        .collect();
    if !bodies.is_empty() {
        test.storage
            .event_append(tablet.batch_of(&bodies))
            .await
            .unwrap();
    }
    (test, tablet)
}

/// The live register, after this child's consents were withdrawn.
async fn without(storage: &Storage, number: u128) -> Register {
    let mut register = Register::load(storage).await.unwrap();
    let later = now() + SignedDuration::from_hours(1);
    for purpose in Purpose::ALL {
        let mut record = given(number, purpose, later);
        record.state = ConsentState::Withdrawn;
        record.withdrawn_at = Some(later);
        register
            .records
            .entry(child(number).id)
            .or_default()
            .push(record);
    }
    register
}

fn then() -> Timestamp {
    now() + SignedDuration::from_hours(2)
}

#[tokio::test]
async fn a_withdrawal_would_seal_every_photo_that_shows_the_child_and_no_other() {
    let (test, tablet) = world(&[(1, &[1]), (2, &[1, 2]), (3, &[2])]).await;
    let register = without(&test.storage, 1).await;
    let found = effect(&test.storage, &register, then()).await.unwrap();
    let both = Stages {
        withheld: 0,
        sealed: 2,
    };
    assert_eq!(found.by_child, BTreeMap::from([(child(1).id, both)]));
    assert_eq!(
        (found.sealed, found.withheld, found.observed_only),
        (2, 0, 0)
    );
    assert_eq!(found.devices, BTreeSet::from([tablet.id]));
}

#[tokio::test]
async fn the_live_register_changes_nothing() {
    let (test, _) = world(&[(1, &[1])]).await;
    let live = Register::load(&test.storage).await.unwrap();
    let found = effect(&test.storage, &live, then()).await.unwrap();
    assert_eq!(found, Effect::default());
}

#[tokio::test]
async fn a_photo_nobody_tagged_would_only_be_withheld() {
    let (test, mut tablet) = world(&[]).await;
    let untagged = known(tablet.id, 1, &[], Tagging::Untagged);
    let batch = tablet.batch_of(&[untagged]);
    test.storage.event_append(batch).await.unwrap();
    let register = without(&test.storage, 1).await;
    let found = effect(&test.storage, &register, then()).await.unwrap();
    assert_eq!((found.sealed, found.withheld), (0, 1));
    assert_eq!(found.by_child[&child(1).id].withheld, 1);
}

#[tokio::test]
async fn what_any_other_hold_covers_would_go_out_of_use_as_ever() {
    let (test, _tablet) = world(&[(1, &[1])]).await;
    let register = without(&test.storage, 1).await;
    let scope = HoldScope::Child { child: child(1).id };
    let dsl = crate::storage::Operator {
        id: nestwarden_policy_schema::id::OperatorId::from_uuid(Uuid::from_u128(2)),
        name: "D".to_owned(),
        roles: [crate::storage::Role::Dsl].into(),
        created_at: now(),
    };
    crate::domain::hold::open(&test.storage, scope, HoldCategory::Police, 7, &dsl, now())
        .await
        .unwrap();
    let found = effect(&test.storage, &register, then()).await.unwrap();
    assert_eq!(found.sealed, 1);
}

#[tokio::test]
async fn what_is_frozen_destroyed_or_on_a_revoked_tablet_would_not_go() {
    let (test, mut tablet) = world(&[(1, &[1]), (2, &[1])]).await;
    let register = without(&test.storage, 1).await;
    let hold = crate::storage::HoldRow {
        hold: Hold {
            id: HoldId::from_uuid(Uuid::from_u128(1)),
            scope: HoldScope::Photo { photo: photo_id(1) },
            category: HoldCategory::IllegalContent,
            opened_at: now(),
            review_by: then(),
        },
        opened_by: "D".to_owned(),
        release_requested: None,
        released: None,
    };
    test.storage.hold_open(&hold, &audit("h")).await.unwrap();
    let sealed = |storage: Storage, register: Register| async move {
        effect(&storage, &register, then()).await.unwrap().sealed
    };
    assert_eq!(sealed(test.storage.clone(), register.clone()).await, 1);
    let gone = crate::storage::testing::destroyed(photo_id(2), child(1).id);
    let batch = tablet.batch_of(&[gone]);
    test.storage.event_append(batch).await.unwrap();
    assert_eq!(sealed(test.storage.clone(), register.clone()).await, 0);
    let again = known(tablet.id, 3, &[1], Tagging::Complete);
    let batch = tablet.batch_of(&[again]);
    test.storage.event_append(batch).await.unwrap();
    assert_eq!(sealed(test.storage.clone(), register.clone()).await, 1);
    let revocation = crate::storage::Revocation {
        at: now(),
        reason: "lost".to_owned(),
    };
    let act = audit("r");
    let revoked = test.storage.device_revoke(tablet.id, &revocation, &act);
    revoked.await.unwrap();
    assert_eq!(sealed(test.storage.clone(), register).await, 0);
}

#[tokio::test]
async fn a_profile_applied_to_a_frozen_tablet_is_taken_over_and_makes_nothing_on_it_go() {
    let (test, tablet) = world(&[(1, &[1])]).await;
    let storage = &test.storage;
    let photos = async |at| {
        let judge = Judge::load(storage, at).await.unwrap();
        let mut all = Vec::new();
        each(storage, |row| {
            let facts = judge.facts(&row).unwrap();
            let frozen = judge.verdict(&facts).unwrap().standing == Standing::Frozen;
            all.push((judge.due(&facts), frozen));
        })
        .await
        .unwrap();
        all
    };
    let shortest = EARLY_YEARS
        .replace("mode = \"observe\"", "mode = \"enforce\"")
        .replace("max_age_days = 28", "max_age_days = 1");
    let applied = crate::domain::profile::apply(storage, &shortest, "Sam Tech", now()).await;
    assert_eq!(applied.unwrap().0.devices, 1);
    let later = now() + SignedDuration::from_hours(24 * 20);
    assert_ne!(
        photos(later).await,
        [(None, true)],
        "without a hold it goes"
    );

    let scope = HoldScope::Device { device: tablet.id };
    let dsl = crate::storage::Operator {
        id: nestwarden_policy_schema::id::OperatorId::from_uuid(Uuid::from_u128(9)),
        name: "D".to_owned(),
        roles: [crate::storage::Role::Dsl].into(),
        created_at: now(),
    };
    let category = HoldCategory::IllegalContent;
    crate::domain::hold::open(storage, scope, category, 7, &dsl, now())
        .await
        .unwrap();
    let shorter = shortest.replace("after_upload_hours = 24", "after_upload_hours = 1");
    crate::domain::profile::apply(storage, &shorter, "Sam Tech", now())
        .await
        .unwrap();
    assert_eq!(photos(later).await, [(None, true)]);
}

#[tokio::test]
async fn pages_of_photos_leave_none_out() {
    let photos: Vec<(u128, &[u128])> = (1..=2 * u128::from(PAGE) + 3)
        .map(|photo| (photo, [1_u128].as_slice()))
        .collect();
    let (test, _) = world(&photos).await;
    let mut seen: BTreeSet<PhotoId> = BTreeSet::new();
    each(&test.storage, |row| assert!(seen.insert(row.photo)))
        .await
        .unwrap();
    assert_eq!(seen.len(), photos.len());
}

#[tokio::test]
async fn a_consent_that_comes_back_says_what_can_be_used_again_and_what_is_gone() {
    let (test, mut tablet) = world(&[(1, &[1]), (2, &[1]), (3, &[1]), (4, &[2])]).await;
    let sealed = EventBody::PhotoStage {
        photo: photo_id(1),
        from: Stage::Withheld,
        to: Stage::Sealed,
        cause: None,
        observed_only: false,
    };
    test.storage
        .event_append(tablet.batch_of(&[sealed]))
        .await
        .unwrap();
    let given = Register::load(&test.storage).await.unwrap();
    let withdrawn = without(&test.storage, 1).await;
    let says = || async {
        let found = returning(&test.storage, &withdrawn, &given).await.unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        (found[0].reference.clone(), found[0].to_string())
    };
    let (reference, in_time) = says().await;
    assert_eq!(reference, child(1).reference);
    assert!(
        in_time.contains("before anything was destroyed; 1 photos can be used again"),
        "{in_time}"
    );
    let gone = crate::storage::testing::destroyed(photo_id(2), child(1).id);
    test.storage
        .event_append(tablet.batch_of(&[gone]))
        .await
        .unwrap();
    let (_, too_late) = says().await;
    assert!(
        too_late.contains("1 photos can be used again")
            && too_late.ends_with("1 were destroyed and are gone"),
        "{too_late}"
    );
    let same = returning(&test.storage, &given, &given).await.unwrap();
    assert_eq!(same, []);
}

mod by_child {
    use super::*;
    use nestwarden_policy_schema::consent::{Cause, TagCorrection};
    use nestwarden_policy_schema::id::ChildId;
    use proptest::prelude::*;

    /// What may be told or said of one of a few photos.
    #[derive(Clone, Debug)]
    enum Said {
        Known(u128, Tagging, Vec<u128>, Vec<u128>),
        Stage(u128, Stage),
        Destroyed(u128, u128),
        Corrected(u128, Tagging, Vec<u128>),
    }

    fn children() -> impl Strategy<Value = Vec<u128>> {
        proptest::sample::subsequence(vec![1, 2, 3], 0..=3)
    }

    fn tagging() -> impl Strategy<Value = Tagging> {
        use Tagging::{Complete, NoChild, Partial, Untagged};
        proptest::sample::select(vec![Complete, NoChild, Partial, Untagged])
    }

    fn said() -> impl Strategy<Value = Said> {
        let stage = proptest::sample::select(vec![Stage::Live, Stage::Withheld, Stage::Sealed]);
        prop_oneof![
            4 => (0_u128..4, tagging(), children(), children())
                .prop_map(|(photo, tagging, who, may)| Said::Known(photo, tagging, who, may)),
            2 => (0_u128..4, stage).prop_map(|(photo, stage)| Said::Stage(photo, stage)),
            1 => (0_u128..4, 1_u128..4).prop_map(|(photo, child)| Said::Destroyed(photo, child)),
            1 => (0_u128..4, tagging(), children())
                .prop_map(|(photo, tagging, who)| Said::Corrected(photo, tagging, who)),
        ]
    }

    async fn happens(storage: &Storage, tablet: &mut TestTablet, said: &Said) {
        let body = match said {
            Said::Known(photo, tagging, who, may) => {
                let mut body = known(tablet.id, *photo, who, *tagging);
                if let EventBody::PhotoKnown { facts, .. } = &mut body {
                    facts.subjects.possible_when_taken =
                        may.iter().map(|number| child(*number).id).collect();
                }
                body
            }
            Said::Stage(photo, stage) => EventBody::PhotoStage {
                photo: photo_id(*photo),
                from: Stage::Live,
                to: *stage,
                cause: Some(Cause::Withdrawn),
                observed_only: false,
            },
            Said::Destroyed(photo, number) => {
                crate::storage::testing::destroyed(photo_id(*photo), child(*number).id)
            }
            Said::Corrected(photo, tagging, who) => {
                let word = TagCorrection {
                    photo: photo_id(*photo),
                    tagging: *tagging,
                    confirmed: who.iter().map(|number| child(*number).id).collect(),
                    unregistered_person: false,
                    care_record: false,
                    decided_at: now(),
                };
                let act = audit("c");
                let put = storage.correction_put(tablet.id, &word, &act);
                put.await.unwrap();
                return;
            }
        };
        let batch = tablet.batch_of(&[body]);
        storage.event_append(batch).await.unwrap();
    }

    /// By reading every photo: those in which the child may be, or that went for the child's sake.
    async fn may_show(storage: &Storage, judge: &Judge, who: ChildId) -> BTreeSet<PhotoId> {
        let mut found = BTreeSet::new();
        each(storage, |row| {
            let facts = judge.facts(&row);
            let is_there = row.stage != Stage::Destroyed;
            let date = now().in_tz("Europe/London").unwrap().date();
            let may_be = facts.as_ref().is_some_and(|facts| {
                facts.subjects.confirmed.contains(&who)
                    || is_there && facts.subjects.all(&judge.register, date).contains(&who)
            });
            let went = row.receipt.as_ref().and_then(|receipt| receipt.child);
            if may_be || went == Some(who) {
                found.insert(row.photo);
            }
        })
        .await
        .unwrap();
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn no_photo_that_may_show_a_child_is_missed(all in proptest::collection::vec(said(), 1..12)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (test, mut tablet) = world(&[]).await;
                let storage = &test.storage;
                for said in &all {
                    happens(storage, &mut tablet, said).await;
                }
                for again in [false, true] {
                    if again {
                        storage.photo_rebuild().await.unwrap();
                    }
                    let judge = Judge::load(storage, now()).await.unwrap();
                    for number in 1..4 {
                        let who = child(number).id;
                        let mut found = BTreeSet::new();
                        let take = |row: PhotoRow| assert!(found.insert(row.photo));
                        each_that_may_show(storage, &BTreeSet::from([who]), take).await.unwrap();
                        let wanted = may_show(storage, &judge, who).await;
                        assert!(found.is_superset(&wanted), "{found:?} lacks some of {wanted:?}");
                    }
                }
            });
        }
    }

    #[tokio::test]
    async fn photos_that_name_others_are_not_read() {
        let (test, _) = world(&[(1, &[1]), (2, &[2]), (3, &[1, 2])]).await;
        let mut found = Vec::new();
        let who = BTreeSet::from([child(1).id]);
        each_that_may_show(&test.storage, &who, |row| found.push(row.photo))
            .await
            .unwrap();
        assert_eq!(found, [photo_id(1), photo_id(3)]);
    }
}

#[tokio::test]
async fn on_a_lost_tablet_no_photo_is_judged_to_be_in_use() {
    let (test, mut tablet) = world(&[(1, &[1])]).await;
    let storage = &test.storage;
    let device = storage.device_find(tablet.id).await.unwrap().unwrap();
    let due = async || {
        let judge = Judge::load(storage, now()).await.unwrap();
        let facts = storage.photo_find(device.id, photo_id(1)).await;
        judge.due(&facts.unwrap().unwrap().facts.unwrap())
    };
    assert_eq!(due().await, Some(Stage::Live));
    let limit = HourlyLimit::default();
    let by = audit("device.lost");
    let lost = command::lost(storage, &device, limit, &by, now());
    let command = lost.await.unwrap().id;
    // As long as the tablet has not said so, nothing is known.
    assert_eq!(due().await, Some(Stage::Live));
    let outcome = "done: held as lost until it is found".to_owned();
    let batch = tablet.batch_of(&[EventBody::CommandOutcome { command, outcome }]);
    storage.event_append(batch).await.unwrap();
    assert_eq!(due().await, Some(Stage::Withheld));
}
