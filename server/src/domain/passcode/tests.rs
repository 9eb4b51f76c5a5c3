#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::storage::testing::{TestStorage, TestTablet, audit, now};
use crate::storage::{Erased, Revocation};
use age::secrecy::ExposeSecret as _;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use std::path::Path;

struct World {
    test: TestStorage,
    tablet: TestTablet,
    release: ReleaseKey,
    recipient: String,
}

/// The starting profile, with its passcode rules in force.
fn enforced() -> String {
    let head = "[policy.passcode]\nmode = \"observe\"";
    assert!(EARLY_YEARS.contains(head));
    EARLY_YEARS.replace(head, "[policy.passcode]\nmode = \"enforce\"")
}

impl World {
    async fn new() -> Self {
        let test = TestStorage::create().await;
        test.storage
            .profile_put("early-years", 0, &enforced(), &audit("p"))
            .await
            .unwrap();
        let tablet = TestTablet::enrol(&test.storage).await;
        let keys = test.dir.path().join("keys");
        std::fs::create_dir(&keys).unwrap();
        let identity = age::x25519::Identity::generate();
        let secret = identity.to_string();
        std::fs::write(keys.join("release.age"), secret.expose_secret()).unwrap();
        Self {
            release: ReleaseKey::load(&keys).unwrap(),
            recipient: identity.to_public().to_string(),
            test,
            tablet,
        }
    }

    async fn device(&self) -> Device {
        let found = self.test.storage.device_find(self.tablet.id).await;
        found.unwrap().unwrap()
    }

    async fn set(&self, chosen: Chosen, reason: CodeReason) -> Result<PasscodeSet, PasscodeError> {
        let device = self.device().await;
        let (storage, recipient) = (&self.test.storage, &self.recipient);
        set(
            storage,
            recipient,
            &device,
            (chosen, reason),
            HourlyLimit::default(),
            "Kim",
            now(),
        )
        .await
    }

    async fn give(&self, command: CommandId, at: Timestamp) -> Result<PasscodeAnswer, GiveError> {
        give(
            &self.test.storage,
            &self.release,
            self.tablet.id,
            command,
            at,
        )
        .await
    }

    async fn tells(&mut self, command: CommandId, outcome: &str) {
        let outcome = outcome.to_owned();
        let told = EventBody::CommandOutcome { command, outcome };
        let batch = self.tablet.batch_of(&[told]);
        self.test.storage.event_append(batch).await.unwrap();
    }

    /// Whether any file of the database has these bytes.
    fn on_disk(&self, wanted: &[u8]) -> bool {
        let files = std::fs::read_dir(self.test.dir.path()).unwrap();
        files
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .any(|path| has(path.as_path(), wanted))
    }

    async fn sealed(&self, command: CommandId) -> Option<Vec<u8>> {
        let found = self.test.storage.passcode_find(self.tablet.id, command);
        found.await.unwrap().unwrap().sealed
    }
}

fn has(path: &Path, wanted: &[u8]) -> bool {
    let bytes = std::fs::read(path).unwrap();
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn typed(text: &str) -> Chosen {
    Chosen::By(Zeroizing::new(text.to_owned()))
}

const CODE: &str = "kettle-48-moss";

#[tokio::test]
async fn what_the_tablet_gets_is_what_the_command_commits_to() {
    let world = World::new().await;
    let set = world.set(typed(CODE), CodeReason::Due).await.unwrap();
    let given = world.give(set.command.id, now()).await.unwrap();
    assert_eq!(given.code.expose(), CODE.as_bytes());
    let CommandKind::SetPasscode {
        reason,
        commitment: signed,
    } = set.command.kind
    else {
        unreachable!("another command was made")
    };
    assert_eq!(reason, CodeReason::Due);
    assert_eq!(commitment(given.nonce.expose(), &set.code), signed);
}

#[tokio::test]
async fn neither_log_nor_database_hold_the_code_nor_what_was_sealed_once_it_is_over() {
    let mut world = World::new().await;
    let set = world.set(typed(CODE), CodeReason::Leaver).await.unwrap();
    let id = set.command.id;
    let sealed = to_base64(&world.sealed(id).await.unwrap());
    assert!(
        !world.on_disk(CODE.as_bytes()),
        "it is sealed from the start"
    );
    assert!(
        world.on_disk(sealed.as_bytes()),
        "this looks in the right place"
    );
    let log = world.test.storage.audit_list(9).await.unwrap();
    assert_eq!(log[0].act, "device.set_passcode");
    assert_eq!(log[0].detail["reason"], "leaver");
    assert!(!format!("{log:?}").contains(CODE));

    world.tells(id, "done: the new passcode is set").await;
    let storage = &world.test.storage;
    assert_eq!(storage.passcode_ended(now()).await.unwrap(), 1);
    let erased = storage.passcode_erase_ended(now()).await.unwrap();
    assert_eq!(erased, Erased::All);
    assert_eq!(storage.passcode_ended(now()).await.unwrap(), 0);
    assert!(!world.on_disk(sealed.as_bytes()));
    let rows = storage.command_list(world.tablet.id).await.unwrap();
    assert_eq!(rows[0].ordered_by, "Kim");
    assert_eq!(last_set(&rows).unwrap().0, id);
}

fn to_base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test]
async fn once_its_command_has_ended_nothing_is_given_and_nothing_is_kept() {
    type End = fn(&mut World, CommandId) -> std::pin::Pin<Box<dyn Future<Output = Timestamp> + '_>>;
    let ends: [End; 5] = [
        |world, id| {
            Box::pin(async move {
                world
                    .tells(id, "refused: it was used on this tablet before")
                    .await;
                now()
            })
        },
        |world, id| {
            Box::pin(async move {
                let (device, by) = (world.tablet.id, audit("cancel"));
                let storage = &world.test.storage;
                storage.command_cancel(device, id, &by).await.unwrap();
                now()
            })
        },
        |_, _| Box::pin(async { now() + SET_WITHIN }),
        |world, _| {
            Box::pin(async {
                let next = world.set(Chosen::Suggested, CodeReason::Loss).await;
                next.unwrap();
                now()
            })
        },
        |world, _| {
            Box::pin(async {
                let revocation = Revocation {
                    at: now(),
                    reason: "lost".to_owned(),
                };
                let storage = &world.test.storage;
                let by = audit("r");
                let revoked = storage.device_revoke(world.tablet.id, &revocation, &by);
                revoked.await.unwrap();
                now()
            })
        },
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let mut world = World::new().await;
        let id = world
            .set(typed(CODE), CodeReason::Due)
            .await
            .unwrap()
            .command
            .id;
        let at = end(&mut world, id).await;
        // A device that was revoked is refused before anybody asks here.
        if number < 4 {
            let refused = world.give(id, at).await.unwrap_err();
            assert!(matches!(refused, GiveError::Over), "{number}");
        }
        world.test.storage.passcode_erase_ended(at).await.unwrap();
        assert_eq!(world.sealed(id).await, None, "{number}");
    }
}

#[tokio::test]
async fn another_tablet_and_another_command_get_nothing() {
    let world = World::new().await;
    let set = world.set(typed(CODE), CodeReason::Due).await.unwrap();
    let other = TestTablet::enrol(&world.test.storage).await;
    let (storage, release) = (&world.test.storage, &world.release);
    let asked = give(storage, release, other.id, set.command.id, now()).await;
    assert!(matches!(asked, Err(GiveError::Missing)));
    let unknown = CommandId::from_uuid(uuid::Uuid::from_u128(7));
    let asked = world.give(unknown, now()).await;
    assert!(matches!(asked, Err(GiveError::Missing)));
    let device = world.device().await;
    let by = audit("f");
    let refresh = crate::domain::command::refresh(storage, &device, &by, now());
    let refresh = refresh.await.unwrap();
    let asked = world.give(refresh.id, now()).await;
    assert!(matches!(asked, Err(GiveError::Missing)));
}

#[tokio::test]
async fn a_second_passcode_takes_the_place_of_the_one_that_waits() {
    let world = World::new().await;
    let first = world.set(typed(CODE), CodeReason::Due).await.unwrap();
    let second = world.set(Chosen::Suggested, CodeReason::Suspicion).await;
    let second = second.unwrap();
    let storage = &world.test.storage;
    let waiting = storage.command_waiting().await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].command.id, second.command.id);
    let rows = storage.command_list(world.tablet.id).await.unwrap();
    let replaced = rows
        .iter()
        .find(|row| row.command.command.id == first.command.id);
    assert_eq!(replaced.unwrap().cancelled.as_ref().unwrap().by, "Kim");
}

#[tokio::test]
async fn what_the_profile_would_not_take_is_not_sent() {
    let world = World::new().await;
    for (wrong, why) in [
        ("123456", "too easy to guess"),
        ("4807", "or more"),
        ("4807 35", "without spaces"),
    ] {
        let refused = world.set(typed(wrong), CodeReason::Due).await;
        let refused = refused.err().unwrap().to_string();
        assert!(refused.contains(why), "{refused}");
        assert!(!refused.contains(wrong));
    }
    assert_eq!(world.test.storage.command_waiting().await.unwrap(), []);
}

#[tokio::test]
async fn where_the_profile_leaves_it_to_staff_or_only_watches_nothing_is_set() {
    let world = World::new().await;
    let storage = &world.test.storage;
    for (version, source, why) in [
        (1, EARLY_YEARS.to_owned(), "only watches"),
        (
            2,
            enforced().replace("set_by = \"manager\"", "set_by = \"user\""),
            "leaves its passcode to staff",
        ),
    ] {
        storage
            .profile_put("early-years", version, &source, &audit("p"))
            .await
            .unwrap();
        let refused = world.set(Chosen::Suggested, CodeReason::Loss).await;
        let refused = refused.err().unwrap().to_string();
        assert!(refused.contains(why), "{refused}");
    }
}

#[tokio::test]
async fn how_far_it_got_is_said_with_what_to_do() {
    let mut world = World::new().await;
    let calendar = super::super::task::local_calendar(&world.test.storage).await;
    let calendar = calendar.unwrap().unwrap();
    let local = LocalTime::utc();
    let set = world.set(typed(CODE), CodeReason::Due).await.unwrap();
    let row = |rows: Vec<CommandRow>| rows.last().unwrap().clone();
    let waiting = row(world
        .test
        .storage
        .command_list(world.tablet.id)
        .await
        .unwrap());
    let says = |row: &CommandRow, at| progress(row, &local, Some(&calendar), at);
    assert!(calendar.in_contact_hours(now()));
    assert!(says(&waiting, now()).starts_with("waits until contact hours end at 10 Mar 2026"));
    let night = now() + SignedDuration::from_hours(11);
    assert!(says(&waiting, night).starts_with("waits for the tablet's next contact"));
    assert!(says(&waiting, now() + SET_WITHIN).contains("set another one"));
    let mut urgent = waiting.clone();
    urgent.command.command.kind = CommandKind::SetPasscode {
        reason: CodeReason::Loss,
        commitment: nestwarden_policy_schema::bytes::Digest::ZERO,
    };
    assert!(says(&urgent, now()).starts_with("waits for the tablet's next contact"));
    world
        .tells(set.command.id, "refused: it was used before")
        .await;
    let refused = row(world
        .test
        .storage
        .command_list(world.tablet.id)
        .await
        .unwrap());
    let said = says(&refused, now());
    assert!(
        said.contains("did not take it") && said.contains("still in use"),
        "{said}"
    );
}

#[test]
fn a_suggestion_is_one_that_the_tablets_rules_take() {
    for alphanumeric in [false, true] {
        let profile = PolicyProfile::from_toml(EARLY_YEARS).unwrap();
        let policy = PasscodePolicy {
            alphanumeric,
            min_length: 12,
            ..profile.policy.passcode.unwrap()
        };
        for _ in 0..50 {
            let code = suggest(&policy).unwrap();
            assert_eq!(check(&policy, &code), Ok(()));
            assert_eq!(code.expose().len(), 12);
        }
    }
}
