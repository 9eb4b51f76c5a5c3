//! A passcode that was set here, on its way to the one tablet it is for.

use crate::nursery::{Nursery, Tablet, told};
use jiff::SignedDuration;
use nestwarden_policy_schema::code::{Code, CodeReason, commitment};
use nestwarden_policy_schema::command::{Command, CommandKind};
use nestwarden_policy_schema::device_api::{PasscodeAnswer, passcode_path};
use nestwarden_policy_schema::id::CommandId;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use nestwarden_server::domain::passcode::{self, Chosen, SET_WITHIN};
use nestwarden_server::storage::HourlyLimit;
use uuid::Uuid;
use zeroize::Zeroizing;

pub(crate) const CODE: &str = "kettle-48-moss";

impl Nursery {
    /// Makes the starting profile live, with its passcode rules in force.
    pub(crate) async fn holds_passcodes(&self) {
        let head = "[policy.passcode]\nmode = \"observe\"";
        let enforced = EARLY_YEARS.replace(head, "[policy.passcode]\nmode = \"enforce\"");
        assert_ne!(enforced, EARLY_YEARS);
        let audit = self.audit("profile.apply");
        self.storage
            .profile_put("early-years", 0, &enforced, &audit)
            .await
            .unwrap();
    }

    async fn sets(&self, tablet: &Tablet) -> Command {
        let device = self.storage.device_find(tablet.id).await.unwrap().unwrap();
        let keys = nestwarden_server::signing::keys::public_keys(&self.dir.path().join("keys"));
        let recipient = keys.unwrap().release_recipient;
        let chosen = Chosen::By(Zeroizing::new(CODE.to_owned()));
        let what = (chosen, CodeReason::Due);
        let set = passcode::set(
            &self.storage,
            &recipient,
            &device,
            what,
            HourlyLimit::default(),
            "Kim",
            self.now(),
        );
        set.await.unwrap().command
    }
}

async fn asks(tablet: &Tablet, command: CommandId) -> String {
    told(tablet.get(&passcode_path(command)).await).await
}

#[tokio::test]
async fn the_tablet_it_is_for_gets_what_was_signed_and_the_log_says_so_without_it() {
    let nursery = Nursery::open().await;
    nursery.holds_passcodes().await;
    let tablet = nursery.enrolled().await;
    let set = nursery.sets(&tablet).await;
    let answer: PasscodeAnswer = tablet
        .get(&passcode_path(set.id))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(answer.code.expose(), CODE.as_bytes());
    let code = Code::new(Zeroizing::new(CODE.to_owned())).unwrap();
    let signed = commitment(answer.nonce.expose(), &code);
    let kind = CommandKind::SetPasscode {
        reason: CodeReason::Due,
        commitment: signed,
    };
    assert_eq!(set.kind, kind);
    let log = nursery.storage.audit_list(99).await.unwrap();
    assert_eq!(log[0].act, "device.passcode_given");
    assert_eq!(log[0].who, format!("tablet:{}", tablet.id));
    assert!(!format!("{log:?}").contains(CODE));
    nursery.close().await;
}

#[tokio::test]
async fn another_tablet_is_told_that_there_is_no_such_command() {
    let nursery = Nursery::open().await;
    nursery.holds_passcodes().await;
    let (tablet, other) = (nursery.enrolled().await, nursery.enrolled().await);
    let set = nursery.sets(&tablet).await;
    let answers = [
        asks(&other, set.id).await,
        asks(&tablet, CommandId::from_uuid(Uuid::from_u128(7))).await,
        told(tablet.get("/device/v1/passcode/no-id").await).await,
    ];
    for answer in answers {
        insta::allow_duplicates! {
            insta::assert_snapshot!(answer, @"404 not_found: there is no such command to this tablet");
        }
    }
    nursery.close().await;
}

#[tokio::test]
async fn once_it_is_over_there_is_nothing_to_fetch_any_more() {
    let nursery = Nursery::open().await;
    nursery.holds_passcodes().await;
    let tablet = nursery.enrolled().await;
    let first = nursery.sets(&tablet).await;
    let second = nursery.sets(&tablet).await;
    let over = asks(&tablet, first.id).await;
    insta::assert_snapshot!(over, @"410 passcode_over: this passcode was set, taken back or replaced, or its time is over");
    assert!(asks(&tablet, second.id).await.starts_with("200"));
    nursery
        .clock
        .advance(SET_WITHIN - SignedDuration::from_secs(1));
    assert!(asks(&tablet, second.id).await.starts_with("200"));
    nursery.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(asks(&tablet, second.id).await, over);
    nursery.close().await;
}
