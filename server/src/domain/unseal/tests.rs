#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::hold;
use crate::signing::keys;
use crate::storage::testing::{TestStorage, TestTablet, audit, child, given, known, now, photo_id};
use crate::storage::{RegisterChange, Role};
use age::Recipient as _;
use age_core::format::FileKey;
use nestwarden_policy_schema::bytes::Base64;
use nestwarden_policy_schema::consent::{Cause, ConsentState, Purpose, Stage, Tagging};
use nestwarden_policy_schema::device_api::UnsealStanza;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use nestwarden_policy_schema::id::{OperatorId, SettingId};
use nestwarden_policy_schema::profile::EARLY_YEARS;
use uuid::Uuid;

struct World {
    test: TestStorage,
    tablet: TestTablet,
    release: ReleaseKey,
    recipient: age::x25519::Recipient,
    _keys: tempfile::TempDir,
}

impl World {
    /// One photo of a child who withdrew everything.
    async fn new() -> Self {
        let test = TestStorage::create().await;
        let keys_dir = tempfile::tempdir().unwrap();
        let setting = SettingId::from_uuid(Uuid::from_u128(1));
        let made = keys::create_all(keys_dir.path(), setting, &["localhost".to_owned()], now());
        let recipient = made.unwrap().public.release_recipient.parse().unwrap();
        let act = audit("p");
        let put = test
            .storage
            .profile_put("early-years", 0, EARLY_YEARS, &act);
        put.await.unwrap();
        let mut tablet = TestTablet::enrol(&test.storage).await;
        let world = known(tablet.id, 1, &[1], Tagging::Complete);
        let batch = tablet.batch_of(&[world]);
        test.storage.event_append(batch).await.unwrap();
        let world = Self {
            release: ReleaseKey::load(&keys_dir.path().join("keys")).unwrap(),
            test,
            tablet,
            recipient,
            _keys: keys_dir,
        };
        world.answer_of_parent(ConsentState::Withdrawn, 0).await;
        world
    }

    async fn answer_of_parent(&self, state: ConsentState, minutes: i64) {
        let at = now() + SignedDuration::from_mins(minutes);
        let records = Purpose::ALL.map(|purpose| {
            let mut record = given(1, purpose, at);
            record.state = state;
            record.withdrawn_at = (state == ConsentState::Withdrawn).then_some(at);
            record
        });
        let change = RegisterChange {
            children: vec![child(1)],
            records: records.to_vec(),
            import_key: None,
        };
        let act = audit("c");
        let storage = &self.test.storage;
        let version = storage.inputs_version().await.unwrap();
        let put = storage.register_change(&change, version, &act).await;
        assert_eq!(put.unwrap(), crate::storage::RegisterPut::Done);
    }

    async fn tells(&mut self, body: EventBody) {
        let batch = self.tablet.batch_of(&[body]);
        self.test.storage.event_append(batch).await.unwrap();
    }

    fn header(&self, key: [u8; 16]) -> Vec<UnsealStanza> {
        let (stanzas, _) = self
            .recipient
            .wrap_file_key(&FileKey::new(Box::new(key)))
            .unwrap();
        stanzas
            .into_iter()
            .map(|stanza| UnsealStanza {
                tag: stanza.tag,
                args: stanza.args,
                body: Base64(stanza.body),
            })
            .collect()
    }

    async fn asks(&self, photo: u128, stanzas: &[UnsealStanza]) -> Result<Vec<u8>, String> {
        let request = UnsealRequest {
            access: None,
            photo: photo_id(photo),
            stanzas: stanzas.to_vec(),
        };
        let (storage, device) = (&self.test.storage, self.tablet.id);
        answer(storage, &self.release, device, &request, later())
            .await
            .map(|key| key.expose().to_vec())
            .map_err(|error| match &error {
                UnsealError::Refused(refusal) => format!("{refusal:?}"),
                UnsealError::PhotoUnknown(_) | UnsealError::Stanzas | UnsealError::Storage(_) => {
                    error.to_string()
                }
            })
    }

    async fn holds(&self, category: HoldCategory) -> nestwarden_policy_schema::hold::Hold {
        let scope = HoldScope::Photo { photo: photo_id(1) };
        let dsl = somebody("D", Role::Dsl);
        hold::open(&self.test.storage, scope, category, 7, &dsl, now())
            .await
            .unwrap()
    }

    async fn decides(&self, name: &str, role: Role) -> Result<Decided, String> {
        let by = somebody(name, role);
        decide(&self.test.storage, photo_id(1), "court order", &by, later())
            .await
            .map_err(|error| error.to_string())
    }

    async fn log(&self) -> Vec<String> {
        let log = self.test.storage.audit_list(3).await.unwrap();
        log.into_iter()
            .map(|entry| format!("{} {}", entry.act, entry.detail))
            .collect()
    }
}

fn later() -> Timestamp {
    now() + SignedDuration::from_hours(1)
}

fn somebody(name: &str, role: Role) -> Operator {
    Operator {
        id: OperatorId::from_uuid(Uuid::new_v4()),
        name: name.to_owned(),
        roles: [role].into(),
        created_at: now(),
    }
}

#[tokio::test]
async fn a_key_is_given_once_consent_came_back_and_not_before() {
    let world = World::new().await;
    let header = world.header([7; 16]);
    assert_eq!(world.asks(1, &header).await, Err("StaysSealed".to_owned()));
    assert_eq!(
        world.log().await[0],
        r#"photo.key_refused {"why":"StaysSealed"}"#
    );
    world.answer_of_parent(ConsentState::Given, 5).await;
    assert_eq!(world.asks(1, &header).await, Ok(vec![7; 16]));
    // A lost answer is asked for again.
    assert_eq!(world.asks(1, &header).await, Ok(vec![7; 16]));
    assert_eq!(
        world.log().await[0],
        r#"photo.key_given {"why":"Register"}"#
    );
}

fn staged(to: Stage, cause: Option<Cause>) -> EventBody {
    EventBody::PhotoStage {
        photo: photo_id(1),
        from: Stage::Withheld,
        to,
        cause,
        observed_only: false,
    }
}

fn says(world: &World, children: &[u128], tagging: Tagging) -> EventBody {
    known(world.tablet.id, 1, children, tagging)
}

fn sealed_at(mut body: EventBody, minutes: i64) -> EventBody {
    if let EventBody::PhotoKnown { facts, .. } = &mut body {
        facts.sealed_at = Some(now() + SignedDuration::from_mins(minutes));
    }
    body
}

#[tokio::test]
async fn no_word_of_a_tablet_opens_what_is_sealed() {
    let mut world = World::new().await;
    let header = world.header([7; 16]);
    world
        .tells(staged(Stage::Withheld, Some(Cause::Withdrawn)))
        .await;
    for before_sealing in [true, false] {
        let mut found = says(&world, &[1], Tagging::Complete);
        let mut cared_for = says(&world, &[1], Tagging::Complete);
        if let EventBody::PhotoKnown { facts, .. } = &mut found {
            facts.found_at_enrolment = true;
        }
        if let EventBody::PhotoKnown { facts, .. } = &mut cared_for {
            facts.care_record = true;
        }
        for body in [
            says(&world, &[], Tagging::NoChild),
            says(&world, &[2], Tagging::Complete),
            staged(Stage::Live, None),
            says(&world, &[], Tagging::NoChild),
            found,
            cared_for,
        ] {
            if before_sealing && matches!(body, EventBody::PhotoStage { .. }) {
                continue;
            }
            world.tells(body).await;
            assert_eq!(world.asks(1, &header).await, Err("StaysSealed".to_owned()));
        }
        let stage = staged(Stage::Sealed, Some(Cause::Withdrawn));
        world.tells(stage).await;
        let told = says(&world, &[1], Tagging::Complete);
        world.tells(sealed_at(told, 3)).await;
    }
    // A manager may say that nobody is in it.
    let by = somebody("M", Role::Manager);
    let nobody = crate::domain::correction::WhoIsIn::NoChild;
    let storage = &world.test.storage;
    crate::domain::correction::correct(storage, photo_id(1), &nobody, &by, later())
        .await
        .unwrap();
    assert_eq!(world.asks(1, &header).await, Ok(vec![7; 16]));
    // Opened by us: what the tablet says of it counts again.
    world.tells(staged(Stage::Live, None)).await;
    let row = world.test.storage.photo_find(world.tablet.id, photo_id(1));
    assert_eq!(row.await.unwrap().unwrap().floor, None);
}

#[tokio::test]
async fn what_a_tablet_adds_to_a_sealed_photo_counts() {
    let mut world = World::new().await;
    let header = world.header([7; 16]);
    world
        .tells(staged(Stage::Sealed, Some(Cause::Withdrawn)))
        .await;
    world.answer_of_parent(ConsentState::Given, 5).await;
    world.tells(says(&world, &[1, 2], Tagging::Complete)).await;
    // The second is on no register.
    let known = world.test.storage.photo_find(world.tablet.id, photo_id(1));
    let floor = known.await.unwrap().unwrap().floor.unwrap();
    assert_eq!(floor.facts.subjects.confirmed.len(), 2);
    world.tells(says(&world, &[1], Tagging::Complete)).await;
    let known = world.test.storage.photo_find(world.tablet.id, photo_id(1));
    let floor = known.await.unwrap().unwrap().floor.unwrap();
    assert_eq!(floor.facts.subjects.confirmed.len(), 2);
    assert!(world.asks(1, &header).await.is_ok(), "sealed for neither");
}

#[tokio::test]
async fn an_authorised_photo_opens_no_other_file() {
    let mut world = World::new().await;
    world.answer_of_parent(ConsentState::Given, 5).await;
    let (own, others) = (world.header([7; 16]), world.header([9; 16]));
    assert!(world.asks(1, &own).await.is_ok());
    assert_eq!(world.asks(1, &others).await, Err("OtherFile".to_owned()));
    let second = known(world.tablet.id, 2, &[1], Tagging::Complete);
    world.tells(second).await;
    assert_eq!(world.asks(2, &own).await, Err("OtherFile".to_owned()));
    assert!(world.asks(2, &others).await.is_ok());
}

#[tokio::test]
async fn a_photo_of_another_tablet_is_unknown() {
    let mut world = World::new().await;
    world.answer_of_parent(ConsentState::Given, 5).await;
    let header = world.header([7; 16]);
    world.tablet = TestTablet::enrol(&world.test.storage).await;
    let said = world.asks(1, &header).await.unwrap_err();
    assert!(said.contains("never told of photo"), "{said}");
}

#[tokio::test]
async fn a_header_that_is_not_ours_gets_nothing() {
    let mut world = World::new().await;
    world.answer_of_parent(ConsentState::Given, 5).await;
    let ours = std::mem::replace(
        &mut world.recipient,
        age::x25519::Identity::generate().to_public(),
    );
    let foreign = world.header([7; 16]);
    let said = world.asks(1, &foreign).await.unwrap_err();
    assert!(said.contains("no stanza"), "{said}");
    world.recipient = ours;
    let mut damaged = world.header([7; 16]);
    damaged[0].body.0[3] ^= 1;
    assert!(world.asks(1, &damaged).await.is_err());
    let many = vec![world.header([7; 16]).remove(0); MAX_STANZAS + 1];
    assert!(world.asks(1, &many).await.is_err());
}

#[tokio::test]
async fn the_dsl_may_decide_that_a_photo_is_opened() {
    let world = World::new().await;
    let header = world.header([7; 16]);
    let refused = world.decides("M", Role::Manager).await.unwrap_err();
    assert!(refused.contains("neither DSL nor deputy"), "{refused}");
    assert_eq!(world.decides("D", Role::Dsl).await, Ok(Decided::Stands));
    assert_eq!(world.asks(1, &header).await, Ok(vec![7; 16]));
    assert_eq!(world.log().await[0], r#"photo.key_given {"why":"Person"}"#);
}

#[tokio::test]
async fn under_a_hold_what_consent_permits_again_opens_as_ever() {
    let world = World::new().await;
    world.holds(HoldCategory::Police).await;
    let header = world.header([7; 16]);
    assert_eq!(world.asks(1, &header).await, Err("Held".to_owned()));
    world.answer_of_parent(ConsentState::Given, 5).await;
    assert_eq!(world.asks(1, &header).await, Ok(vec![7; 16]));
    assert_eq!(
        world.log().await[0],
        r#"photo.key_given {"why":"Register"}"#
    );
}

#[tokio::test]
async fn under_a_hold_two_people_decide_against_the_register() {
    let world = World::new().await;
    world.holds(HoldCategory::Police).await;
    let header = world.header([7; 16]);
    assert_eq!(world.asks(1, &header).await, Err("Held".to_owned()));
    let first = world.decides("D", Role::Deputy).await;
    assert_eq!(first, Ok(Decided::SecondPersonNeeded));
    assert_eq!(world.asks(1, &header).await, Err("Held".to_owned()));
    assert!(world.decides("D", Role::Deputy).await.is_err());
    let second = world.decides("M", Role::Manager).await;
    assert_eq!(second, Ok(Decided::Stands));
    assert_eq!(world.asks(1, &header).await, Ok(vec![7; 16]));
}

#[tokio::test]
async fn a_freeze_is_opened_by_nobody() {
    let world = World::new().await;
    assert_eq!(world.decides("D", Role::Dsl).await, Ok(Decided::Stands));
    world.holds(HoldCategory::IllegalContent).await;
    let header = world.header([7; 16]);
    assert_eq!(world.asks(1, &header).await, Err("Frozen".to_owned()));
    let refused = world.decides("D", Role::Dsl).await.unwrap_err();
    assert!(refused.contains("illegal content"), "{refused}");
}

#[tokio::test]
async fn a_persons_word_does_not_stand_for_ever() {
    let world = World::new().await;
    world.decides("D", Role::Dsl).await.unwrap();
    let request = UnsealRequest {
        access: None,
        photo: photo_id(1),
        stanzas: world.header([7; 16]),
    };
    let late = later() + STANDS_FOR;
    let (storage, device) = (&world.test.storage, world.tablet.id);
    let refused = answer(storage, &world.release, device, &request, late).await;
    assert!(matches!(
        refused,
        Err(UnsealError::Refused(Refusal::StaysSealed))
    ));
}
