#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::hold;
use crate::storage::testing::{
    TestStorage, TestTablet, audit, child, destroyed, given, known, now, photo_id,
};
use crate::storage::{RegisterChange, RegisterPut, Revocation, Role};
use jiff::SignedDuration;
use nestwarden_policy_schema::consent::Purpose;
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
    /// Two children, and a photo said to show the first.
    async fn new() -> Self {
        let test = TestStorage::create().await;
        let act = audit("p");
        let put = test
            .storage
            .profile_put("early-years", 0, EARLY_YEARS, &act);
        put.await.unwrap();
        let tablet = TestTablet::enrol(&test.storage).await;
        let change = RegisterChange {
            children: vec![child(1), child(2)],
            records: vec![given(1, Purpose::Website, now())],
            import_key: None,
        };
        let version = test.storage.inputs_version().await.unwrap();
        let put = test.storage.register_change(&change, version, &act).await;
        assert_eq!(put.unwrap(), RegisterPut::Done);
        let mut world = Self { test, tablet };
        let told = known(world.tablet.id, 1, &[1], Tagging::Complete);
        world.tells(told).await;
        world
    }

    async fn tells(&mut self, body: EventBody) {
        let batch = self.tablet.batch_of(&[body]);
        self.test.storage.event_append(batch).await.unwrap();
    }

    async fn corrects(&self, who: WhoIsIn, role: Role, minutes: i64) -> Result<(), String> {
        let at = now() + SignedDuration::from_mins(minutes);
        let by = person(role);
        correct(&self.test.storage, photo_id(1), &who, &by, at)
            .await
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    async fn stands(&self) -> Vec<TagCorrection> {
        let listed = self.test.storage.correction_list().await.unwrap();
        let of_tablet = listed.into_iter().map(|(device, correction)| {
            assert_eq!(device, self.tablet.id);
            correction
        });
        of_tablet.collect()
    }

    async fn refused(&self, who: WhoIsIn, role: Role) -> String {
        let refused = self.corrects(who, role, 1).await.unwrap_err();
        assert_eq!(self.stands().await, vec![], "{refused}");
        refused
    }
}

fn person(role: Role) -> Operator {
    Operator {
        id: OperatorId::from_uuid(Uuid::new_v4()),
        name: "K".to_owned(),
        roles: [role].into(),
        created_at: now(),
    }
}

fn only(number: u128) -> WhoIsIn {
    WhoIsIn::Children(vec![format!("A{number}")])
}

#[tokio::test]
async fn the_newest_word_of_the_manager_replaces_what_was_said_before() {
    let world = World::new().await;
    world.corrects(only(2), Role::Manager, 1).await.unwrap();
    let stands = world.stands().await.remove(0);
    assert_eq!(stands.confirmed, BTreeSet::from([child(2).id]));
    assert_eq!(stands.tagging, Tagging::Complete);
    for (minutes, who, tagging, stranger) in [
        (2, WhoIsIn::NoChild, Tagging::NoChild, false),
        (3, WhoIsIn::SomeoneElse, Tagging::Complete, true),
        (4, WhoIsIn::Untagged, Tagging::Untagged, false),
    ] {
        world.corrects(who, Role::Dsl, minutes).await.unwrap();
        let all = world.stands().await;
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(all[0].tagging, tagging);
        assert_eq!(all[0].unregistered_person, stranger);
        assert_eq!(all[0].confirmed, BTreeSet::new());
    }
}

#[tokio::test]
async fn a_correction_is_for_the_manager_and_the_dsl_alone() {
    let world = World::new().await;
    let refused = world.refused(only(2), Role::ItAdmin).await;
    assert!(refused.starts_with("K may not"), "{refused}");
}

#[tokio::test]
async fn a_child_who_is_not_on_the_register_corrects_nothing() {
    let world = World::new().await;
    let refused = world.refused(only(9), Role::Manager).await;
    assert!(refused.contains("\"A9\""), "{refused}");
}

#[tokio::test]
async fn what_was_destroyed_never_told_or_is_on_a_revoked_tablet_is_not_corrected() {
    let mut world = World::new().await;
    let storage = &world.test.storage;
    let unknown = correct(storage, photo_id(7), &only(2), &person(Role::Dsl), now()).await;
    assert!(matches!(unknown, Err(CorrectionError::Missing(photo)) if photo == photo_id(7)));
    let gone = destroyed(photo_id(1), child(1).id);
    world.tells(gone).await;
    let refused = world.refused(only(2), Role::Manager).await;
    assert!(refused.contains("was destroyed"), "{refused}");

    let world = World::new().await;
    let act = audit("r");
    let revocation = Revocation {
        at: now(),
        reason: "lost".to_owned(),
    };
    let revoke = world
        .test
        .storage
        .device_revoke(world.tablet.id, &revocation, &act);
    revoke.await.unwrap();
    let refused = world.refused(only(2), Role::Manager).await;
    assert!(refused.contains("revoked"), "{refused}");
}

#[tokio::test]
async fn nothing_is_corrected_under_a_hold_for_illegal_content_and_under_any_other_it_is() {
    for (category, may) in [
        (HoldCategory::IllegalContent, false),
        (HoldCategory::Safeguarding, true),
    ] {
        let world = World::new().await;
        let scope = HoldScope::Child { child: child(1).id };
        let storage = &world.test.storage;
        hold::open(storage, scope, category, 28, &person(Role::Dsl), now())
            .await
            .unwrap();
        let corrected = world.corrects(only(2), Role::Manager, 1).await;
        assert_eq!(corrected.is_ok(), may, "{corrected:?}");
        assert_eq!(world.stands().await.len(), usize::from(may));
    }
}

#[tokio::test]
async fn found_photos_of_a_tablet_are_decided_on_by_the_manager_while_it_is_told_anything() {
    let world = World::new().await;
    let storage = &world.test.storage;
    let device = storage.device_find(world.tablet.id).await.unwrap().unwrap();
    let sort = FoundDecision::Sort;
    let refused = found(storage, &device, sort, &person(Role::ItAdmin), now()).await;
    assert!(
        matches!(refused, Err(CorrectionError::NotAllowed(_))),
        "{refused:?}"
    );
    assert_eq!(storage.found_list().await.unwrap(), vec![]);
    let decided = found(storage, &device, sort, &person(Role::Manager), now()).await;
    let decided = decided.unwrap();
    assert_eq!(
        storage.found_list().await.unwrap(),
        vec![(device.id, decided)]
    );
}
