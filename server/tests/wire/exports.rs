//! Photos for a subject access request: what a tablet may send, how much, and what is on disk afterwards.

use crate::nursery::{Nursery, Tablet, told};
use crate::support::start;
use jiff::SignedDuration;
use nestwarden_policy_schema::bytes::{Base64, Digest};
use nestwarden_policy_schema::consent::{ChildEntry, PhotoFacts, Subjects, Tagging};
use nestwarden_policy_schema::device_api::EXPORT_PATH;
use nestwarden_policy_schema::envelope::Signed;
use nestwarden_policy_schema::event::{ChainPosition, Event, EventBody};
use nestwarden_policy_schema::id::{AccessRequestId, ChildId, OperatorId, PhotoId};
use nestwarden_policy_schema::profile::EARLY_YEARS;
use nestwarden_policy_schema::trust::KeyId;
use nestwarden_server::domain::subject_access::request::{self, Wish};
use nestwarden_server::http::Limits;
use nestwarden_server::storage::received::ReceivedFiles;
use nestwarden_server::storage::{
    AuditEntry, Child, NewBatch, Operator, RegisterChange, Role, SetHere,
};
use reqwest::Method;
use std::collections::BTreeSet;
use uuid::Uuid;

fn photo(number: u128) -> PhotoId {
    PhotoId::from_uuid(Uuid::from_u128(number))
}

fn audit() -> AuditEntry {
    AuditEntry {
        at: start(),
        who: "test".to_owned(),
        act: "test".to_owned(),
        subject: "test".to_owned(),
        detail: serde_json::Value::Null,
    }
}

fn operator(name: &str) -> Operator {
    Operator {
        id: OperatorId::from_uuid(Uuid::new_v4()),
        name: name.to_owned(),
        roles: BTreeSet::from([Role::Dsl]),
        created_at: start(),
    }
}

struct World {
    nursery: Nursery,
    tablet: Tablet,
    other: Tablet,
    request: AccessRequestId,
}

impl World {
    /// A tablet with photo 1, which shows the child, and photo 2, which does not; a request that two people made.
    async fn open() -> Self {
        Self::with(Limits::default()).await
    }

    async fn with(limits: Limits) -> Self {
        let nursery = Nursery::with(limits).await;
        let storage = &nursery.storage;
        let audit = audit();
        let put = storage.profile_put("early-years", 0, EARLY_YEARS, &audit);
        put.await.unwrap();
        let (tablet, other) = (nursery.enrolled().await, nursery.enrolled().await);
        let child = Child {
            id: ChildId::from_uuid(Uuid::from_u128(7)),
            reference: "A1".to_owned(),
            first_name: "Ada".to_owned(),
            last_name: "One".to_owned(),
            family: None,
            entry: ChildEntry::default(),
            set_here: SetHere::default(),
        };
        let of = child.id;
        let change = RegisterChange {
            children: vec![child],
            records: Vec::new(),
            import_key: None,
        };
        let version = storage.inputs_version().await.unwrap();
        let changed = storage.register_change(&change, version, &audit);
        changed.await.unwrap();
        let mut position = ChainPosition::START;
        let events = [(1, vec![of]), (2, Vec::new())].map(|(number, confirmed)| {
            let body = known(&tablet, number, confirmed);
            let event = Event::following(position, tablet.id, start(), &body, [1; 16]).unwrap();
            position = event.position();
            event
        });
        let batch = NewBatch {
            device: tablet.id,
            events: events.to_vec(),
            head: Signed {
                payload: String::new(),
                key_id: KeyId(Digest::ZERO),
                signature: Base64(Vec::new()),
            },
            public_key: Vec::new(),
            received_at: start(),
        };
        storage.event_append(batch).await.unwrap();
        let wish = Wish {
            reference: "A1",
            recipient: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
            days: 30,
            most: 10,
        };
        let asked = request::ask(storage, &wish, &operator("Dana"), start()).await;
        let request = asked.unwrap().row.id;
        let agreed = request::agree(storage, request, &operator("Kim"), start()).await;
        agreed.unwrap();
        Self {
            nursery,
            tablet,
            other,
            request,
        }
    }

    async fn sends(&self, by: &Tablet, number: u128, announced: &[u8], sent: Vec<u8>) -> String {
        let path = format!(
            "{EXPORT_PATH}?request={}&photo={}&sha256={}",
            self.request,
            photo(number),
            Digest::sha256(announced)
        );
        let request = by.request(Method::PUT, &path).body(sent);
        told(request.send().await.unwrap()).await
    }

    fn received(&self) -> Option<Vec<u8>> {
        let files = ReceivedFiles::new(self.nursery.dir.path().join("received"));
        std::fs::read(files.path(self.request, self.tablet.id, photo(1))).ok()
    }
}

fn known(tablet: &Tablet, number: u128, confirmed: Vec<ChildId>) -> EventBody {
    let facts = PhotoFacts {
        photo: photo(number),
        device: tablet.id,
        captured_at: start(),
        subjects: Subjects {
            tagging: Tagging::Complete,
            confirmed: confirmed.into_iter().collect(),
            ..Subjects::default()
        },
        staff: None,
        care_record: false,
        found_at_enrolment: false,
        uploaded_at: None,
        sealed_at: None,
        tagged_at: None,
    };
    EventBody::PhotoKnown {
        media: "image/jpeg".to_owned(),
        facts: Box::new(facts),
    }
}

#[tokio::test]
async fn a_reviewed_photo_is_on_disk_when_it_was_taken_and_may_come_again() {
    let world = World::open().await;
    let content = vec![7; 3 * 1024 * 1024];
    for _ in 0..2 {
        let answer = world.sends(&world.tablet, 1, &content, content.clone());
        assert_eq!(answer.await, "204 ");
        assert_eq!(world.received().as_ref(), Some(&content));
    }
    let stored = world.nursery.storage.access_photos(world.request).await;
    let stored = stored.unwrap();
    assert_eq!(stored.len(), 1);
    let received = stored[0].received.unwrap();
    assert_eq!(received.sha256, Digest::sha256(&content));
    let log = world.nursery.storage.audit_list(1).await.unwrap();
    assert_eq!(log[0].act, "photo.received");
    assert_eq!(log[0].who, format!("tablet:{}", world.tablet.id));
    world.nursery.close().await;
}

#[tokio::test]
async fn nothing_is_taken_that_was_not_asked_of_this_tablet() {
    let world = World::open().await;
    let (tablet, other) = (&world.tablet, &world.other);
    let send = |by, number| world.sends(by, number, b"x", b"x".to_vec());
    let code = |answer: String| answer.split(':').next().unwrap_or_default().to_owned();
    assert_eq!(code(send(other, 1).await), "403 access_not_open");
    assert_eq!(code(send(tablet, 2).await), "403 photo_not_asked");
    assert_eq!(code(send(tablet, 3).await), "404 photo_unknown");
    let damaged = world
        .sends(tablet, 1, b"announced", b"other".to_vec())
        .await;
    assert_eq!(code(damaged), "422 export_damaged");
    let bare = tablet.request(Method::PUT, EXPORT_PATH).send().await;
    assert_eq!(code(told(bare.unwrap()).await), "400 query_invalid");
    assert_eq!(world.received(), None);
    // Nor after it ended.
    world
        .nursery
        .clock
        .advance(SignedDuration::from_hours(31 * 24));
    assert_eq!(code(send(tablet, 1).await), "403 access_not_open");
    world.nursery.close().await;
}

#[tokio::test]
async fn a_photo_that_is_too_big_leaves_nothing() {
    let limits = Limits {
        export_bytes: 1000,
        ..Limits::default()
    };
    let world = World::with(limits).await;
    let big = vec![7; 1001];
    let answer = world.sends(&world.tablet, 1, &big, big.clone()).await;
    assert!(answer.starts_with("413 body_too_large"), "{answer}");
    assert_eq!(world.received(), None);
    let left = world.nursery.dir.path().join("received");
    let folder = left.join(world.request.to_string());
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
    let fits = world.sends(&world.tablet, 1, &big[1..], big[1..].to_vec());
    assert_eq!(fits.await, "204 ");
    world.nursery.close().await;
}
