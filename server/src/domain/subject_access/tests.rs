#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::archive::{self, ArchiveError};
use super::request::{self, Asked, DEFAULT_DAYS, DEFAULT_MOST, KEPT_FOR, RequestError, Wish};
use super::sending::{self, SendError};
use crate::domain::hold;
use crate::storage::access::{AccessState, Received};
use crate::storage::received::ReceivedFiles;
use crate::storage::testing::{
    TestStorage, TestTablet, audit, child, destroyed, given, known, now, photo_id,
};
use crate::storage::{Operator, RegisterChange, Role};
use age::x25519;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::access::{ReviewStep, Reviewed};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::{Purpose, Tagging};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use nestwarden_policy_schema::id::{AccessRequestId, OperatorId};
use nestwarden_policy_schema::profile::EARLY_YEARS;
use uuid::Uuid;

fn later(days: i64) -> Timestamp {
    now() + SignedDuration::from_hours(24 * days) + SignedDuration::from_mins(1)
}

fn somebody(name: &str, role: Role) -> Operator {
    Operator {
        id: OperatorId::from_uuid(Uuid::new_v4()),
        name: name.to_owned(),
        roles: [role].into(),
        created_at: now(),
    }
}

fn recipient() -> String {
    x25519::Identity::generate().to_public().to_string()
}

#[test]
fn a_child_without_a_name_is_called_as_tablets_call_them() {
    assert_eq!(request::on_tablets(child(1).id), "Child C00001");
}

struct World {
    test: TestStorage,
    files: ReceivedFiles,
    tablet: TestTablet,
    other: TestTablet,
}

impl World {
    /// One tablet with photos 1 (of children 1 and 2), 2 (of 1), 3 (of 2), 4 (perhaps of 1) and 5 (of 1, destroyed); another with
    /// none of child 1.
    async fn new() -> Self {
        let test = TestStorage::create().await;
        let storage = &test.storage;
        let act = audit("p");
        let put = storage.profile_put("early-years", 0, EARLY_YEARS, &act);
        put.await.unwrap();
        let mut tablet = TestTablet::enrol(storage).await;
        let mut other = TestTablet::enrol(storage).await;
        let change = RegisterChange {
            children: vec![child(1), child(2)],
            records: [1, 2]
                .into_iter()
                .flat_map(|child| Purpose::ALL.map(|purpose| given(child, purpose, now())))
                .collect(),
            import_key: None,
        };
        let version = storage.inputs_version().await.unwrap();
        let put = storage.register_change(&change, version, &audit("c")).await;
        assert_eq!(put.unwrap(), crate::storage::RegisterPut::Done);
        let told = [
            known(tablet.id, 1, &[1, 2], Tagging::Complete),
            known(tablet.id, 2, &[1], Tagging::Complete),
            known(tablet.id, 3, &[2], Tagging::Complete),
            known(tablet.id, 4, &[], Tagging::Untagged),
            known(tablet.id, 5, &[1], Tagging::Complete),
            destroyed(photo_id(5), child(1).id),
        ];
        let batch = tablet.batch_of(&told);
        storage.event_append(batch).await.unwrap();
        let batch = other.batch_of(&[known(other.id, 6, &[2], Tagging::Complete)]);
        storage.event_append(batch).await.unwrap();
        let files = ReceivedFiles::new(test.dir.path().join("received")).keeping_free(0);
        Self {
            test,
            files,
            tablet,
            other,
        }
    }

    async fn asks(&self, by: &Operator, most: u32) -> Result<Asked, RequestError> {
        let wish = Wish {
            reference: "A1",
            recipient: &recipient(),
            days: DEFAULT_DAYS,
            most,
        };
        request::ask(&self.test.storage, &wish, by, now()).await
    }

    async fn open(&self) -> AccessRequestId {
        let dana = somebody("Dana", Role::Dsl);
        let id = self.asks(&dana, DEFAULT_MOST).await.unwrap().row.id;
        let kim = somebody("Kim", Role::Manager);
        request::agree(&self.test.storage, id, &kim, later(0))
            .await
            .unwrap();
        id
    }

    async fn tells(&mut self, bodies: &[EventBody]) {
        let batch = self.tablet.batch_of(bodies);
        self.test.storage.event_append(batch).await.unwrap();
    }

    async fn may_send(&self, id: AccessRequestId, photo: u128, at: Timestamp) -> String {
        let (storage, photo) = (&self.test.storage, photo_id(photo));
        let asked = sending::authorise(storage, id, self.tablet.id, photo, at).await;
        match asked {
            Ok(_) => "yes".to_owned(),
            Err(error) => format!("{error:?}")
                .split(['(', ' '])
                .next()
                .unwrap_or_default()
                .to_owned(),
        }
    }

    async fn sends(&self, id: AccessRequestId, photo: u128, content: &[u8]) {
        let (device, photo) = (self.tablet.id, photo_id(photo));
        let mut incoming = self.files.begin(id, device, photo).unwrap();
        incoming.write(content).unwrap();
        incoming.finish().unwrap();
        let received = Received {
            bytes: content.len() as u64,
            sha256: Digest::sha256(content),
            at: later(0),
        };
        sending::received(&self.test.storage, id, device, photo, received)
            .await
            .unwrap();
    }

    async fn acts(&self) -> Vec<String> {
        let log = self.test.storage.audit_list(20).await.unwrap();
        log.into_iter().map(|entry| entry.act).collect()
    }
}

#[tokio::test]
async fn photos_are_asked_for_by_the_dsl_and_agreed_to_by_somebody_else() {
    let world = World::new().await;
    let refused = world.asks(&somebody("Kim", Role::Manager), 500).await;
    assert!(matches!(refused, Err(RequestError::NotDsl { .. })));
    let dana = somebody("Dana", Role::Dsl);
    let asked = world.asks(&dana, 500).await.unwrap();
    // Photos 1 and 2: not what may show the child, and not what is gone.
    assert_eq!((asked.photos, asked.tablets), (2, 1));
    assert_eq!(asked.hold.unwrap().category, HoldCategory::SubjectAccess);
    let (storage, id) = (&world.test.storage, asked.row.id);
    assert!(asked.row.told(now()).is_none());

    let agree = |by: Operator| async move { request::agree(storage, id, &by, later(0)).await };
    assert!(matches!(
        agree(dana).await,
        Err(RequestError::SamePerson { .. })
    ));
    for role in [Role::ItAdmin, Role::Auditor] {
        let refused = agree(somebody("Sam", role)).await;
        assert!(matches!(refused, Err(RequestError::NotAllowed(_))));
    }
    let (row, tablets) = agree(somebody("Kim", Role::Manager)).await.unwrap();
    assert_eq!(
        tablets.into_iter().collect::<Vec<_>>(),
        [(world.tablet.id, 2)]
    );
    assert_eq!(row.told(later(0)).unwrap().request.agreed_by, "Kim");
    assert!(matches!(
        agree(somebody("Lee", Role::Deputy)).await,
        Err(RequestError::NotWaiting { .. })
    ));
    let acts = world.acts().await;
    assert_eq!(
        acts[..3],
        ["subject_access.agree", "subject_access.ask", "hold.open"]
    );
    // A second request needs no second hold.
    let again = world.asks(&somebody("Dana", Role::Dsl), 500).await.unwrap();
    assert_eq!(again.hold, None);
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused_with_the_reason() {
    let world = World::new().await;
    let dana = somebody("Dana", Role::Dsl);
    let refused = world.asks(&dana, 1).await;
    assert!(matches!(
        refused,
        Err(RequestError::TooMany { found: 2, most: 1 })
    ));
    assert!(matches!(
        world.asks(&dana, 0).await,
        Err(RequestError::Most(0))
    ));
    let ask = |recipient: String, days| {
        let (storage, dana) = (&world.test.storage, &dana);
        async move {
            let wish = Wish {
                reference: "A1",
                recipient: &recipient,
                days,
                most: 500,
            };
            request::ask(storage, &wish, dana, now()).await.map(drop)
        }
    };
    assert!(matches!(
        ask("age1nonsense".to_owned(), 30).await,
        Err(RequestError::Recipient(_))
    ));
    assert!(matches!(
        ask(recipient(), 93).await,
        Err(RequestError::Days(93))
    ));
    let scope = HoldScope::Photo { photo: photo_id(2) };
    let category = HoldCategory::IllegalContent;
    hold::open(&world.test.storage, scope, category, 7, &dana, now())
        .await
        .unwrap();
    assert!(matches!(
        ask(recipient(), 30).await,
        Err(RequestError::Frozen(_))
    ));
}

#[tokio::test]
async fn a_tablet_sends_only_what_shows_the_child_and_only_while_it_is_asked() {
    let mut world = World::new().await;
    let dana = somebody("Dana", Role::Dsl);
    let asked = world.asks(&dana, 2).await.unwrap().row.id;
    assert_eq!(world.may_send(asked, 1, later(0)).await, "NotOpen");
    let id = world.open().await;
    assert_eq!(world.may_send(id, 1, later(0)).await, "yes");
    assert_eq!(world.may_send(id, 3, later(0)).await, "NotAsked");
    assert_eq!(world.may_send(id, 4, later(0)).await, "NotAsked");
    assert_eq!(world.may_send(id, 5, later(0)).await, "NotAsked");
    assert_eq!(world.may_send(id, 6, later(0)).await, "PhotoUnknown");
    assert_eq!(world.may_send(id, 1, later(30)).await, "NotOpen");
    let (storage, other) = (&world.test.storage, world.other.id);
    let refused = sending::authorise(storage, id, other, photo_id(6), later(0)).await;
    assert!(matches!(refused, Err(SendError::NotOpen(_))));
    // What was taken after it was asked for is not asked for.
    let mut newer = known(world.tablet.id, 7, &[1], Tagging::Complete);
    if let EventBody::PhotoKnown { facts, .. } = &mut newer {
        facts.captured_at = later(0);
    }
    world.tells(&[newer]).await;
    assert_eq!(world.may_send(id, 7, later(0)).await, "NotAsked");
    // An ordinary hold keeps nothing from the family; a frozen photo stays where it is.
    for (category, answer) in [
        (HoldCategory::Safeguarding, "yes"),
        (HoldCategory::IllegalContent, "Frozen"),
    ] {
        let scope = HoldScope::Photo { photo: photo_id(1) };
        hold::open(&world.test.storage, scope, category, 7, &dana, now())
            .await
            .unwrap();
        assert_eq!(world.may_send(id, 1, later(0)).await, answer);
    }
    request::cancel(&world.test.storage, &world.files, id, &dana, later(0))
        .await
        .unwrap();
    assert_eq!(world.may_send(id, 2, later(0)).await, "NotOpen");
}

#[tokio::test]
async fn a_request_is_full_when_it_has_as_many_photos_as_were_asked_for() {
    let world = World::new().await;
    let dana = somebody("Dana", Role::Dsl);
    let id = world.asks(&dana, 2).await.unwrap().row.id;
    let (storage, device) = (&world.test.storage, world.tablet.id);
    let kim = somebody("Kim", Role::Manager);
    let (row, _) = request::agree(storage, id, &kim, later(0)).await.unwrap();
    world.sends(id, 1, b"one").await;
    world.sends(id, 2, b"two").await;
    // The same again replaces itself.
    assert!(
        sending::room(storage, &row, device, photo_id(2))
            .await
            .is_ok()
    );
    let more = sending::room(storage, &row, device, photo_id(3)).await;
    assert!(matches!(
        more,
        Err(SendError::Full {
            photos: 2,
            bytes: 6
        })
    ));
}

#[tokio::test]
async fn an_archive_has_what_was_sent_and_says_what_was_left_out() {
    let mut world = World::new().await;
    let id = world.open().await;
    let said = |photo, reviewed| EventBody::PhotoReviewed {
        request: id,
        photo: photo_id(photo),
        reviewed,
    };
    world.sends(id, 2, b"ciphertext").await;
    let step = ReviewStep::Finished {
        included: 1,
        others_in_it: 1,
        not_this_child: 0,
    };
    let told = [
        said(1, Reviewed::OthersInIt),
        said(2, Reviewed::Include),
        EventBody::AccessReview { request: id, step },
        EventBody::PhotoExported {
            request: id,
            photo: photo_id(2),
            bytes: 10,
            sha256: Digest::sha256(b"ciphertext"),
        },
    ];
    world.tells(&told).await;
    let (storage, dana) = (&world.test.storage, somebody("Dana", Role::Dsl));
    let tablets = storage.access_tablets(id).await.unwrap();
    assert_eq!(tablets[0].finished_at, Some(now()));
    let made = archive::gather(storage, &world.files, id, &dana, later(1)).await;
    let made = made.unwrap();
    assert_eq!((made.files.len(), made.left_out, made.waiting), (1, 1, 0));
    let (member, path) = &made.files[0];
    assert_eq!(member.name, format!("photo-{}.age", photo_id(2)));
    assert_eq!(std::fs::read(path).unwrap(), b"ciphertext");
    assert!(made.export.manifest.members.contains(member));
    let (name, reviewed) = made.export.members.last().unwrap();
    let reviewed = String::from_utf8(reviewed.clone()).unwrap();
    assert_eq!(*name, "reviewed.json");
    for words in ["left out: others are in it", "\"sent\"", &*member.name] {
        assert!(reviewed.contains(words), "{reviewed}");
    }
    assert!(!reviewed.contains(&child(2).id.to_string()));
    assert_eq!(world.acts().await[0], "subject_access.archive");

    request::close(storage, &world.files, id, &dana, later(1))
        .await
        .unwrap();
    assert!(!path.exists());
    let again = archive::gather(storage, &world.files, id, &dana, later(1)).await;
    assert!(matches!(again, Err(ArchiveError::Purged(_))));
    assert_eq!(world.may_send(id, 2, later(1)).await, "NotOpen");
    // It was closed, and stays so.
    let cancelled = request::cancel(storage, &world.files, id, &dana, later(1)).await;
    assert!(matches!(cancelled, Err(RequestError::Over(_))));
    let row = request::find(storage, id).await.unwrap();
    assert_eq!(row.state(later(1)), AccessState::Ended);
}

#[tokio::test]
async fn what_was_received_goes_by_itself_and_on_record() {
    let world = World::new().await;
    let id = world.open().await;
    world.sends(id, 2, b"ciphertext").await;
    let path = world.files.path(id, world.tablet.id, photo_id(2));
    let (storage, files) = (&world.test.storage, &world.files);
    let due = later(DEFAULT_DAYS) + KEPT_FOR;
    let before = due - SignedDuration::from_mins(2);
    assert_eq!(request::purge_due(storage, files, before).await.unwrap(), 0);
    assert!(path.exists());
    assert_eq!(request::purge_due(storage, files, due).await.unwrap(), 1);
    assert!(!path.exists());
    let row = request::find(storage, id).await.unwrap();
    assert_eq!(row.purged.as_ref().unwrap().by, "server");
    assert_eq!(row.state(now()), AccessState::Ended);
    assert_eq!(world.acts().await[0], "subject_access.purge");
    // A cut between the record and the files is made good.
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, b"ciphertext").unwrap();
    assert_eq!(request::purge_due(storage, files, due).await.unwrap(), 0);
    assert!(!path.exists());
}

#[tokio::test]
async fn what_a_tablet_says_of_a_request_it_was_not_asked_for_counts_for_nothing() {
    let mut world = World::new().await;
    let id = world.open().await;
    let bodies = [EventBody::PhotoReviewed {
        request: id,
        photo: photo_id(2),
        reviewed: Reviewed::NotThisChild,
    }];
    let batch = world.other.batch_of(&bodies);
    world.test.storage.event_append(batch).await.unwrap();
    assert!(
        world
            .test
            .storage
            .access_photos(id)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_file_that_does_not_end_leaves_nothing_and_a_full_disk_takes_none() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new().await;
    let id = world.open().await;
    let device = world.tablet.id;
    let mut incoming = world.files.begin(id, device, photo_id(1)).unwrap();
    incoming.write(b"half").unwrap();
    drop(incoming);
    let path = world.files.path(id, device, photo_id(1));
    let folder = path.parent().unwrap();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
    world.sends(id, 1, b"whole").await;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(folder)), (0o600, 0o700));
    let full = world.files.keeping_free(u64::MAX);
    let refused = full.begin(id, device, photo_id(2)).err().unwrap();
    assert_eq!(refused.kind(), std::io::ErrorKind::StorageFull);
}
