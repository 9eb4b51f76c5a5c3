#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::invitation::{self, invite};
use super::session;
use super::set_up::{
    House, Ready, SecondAs, SetUpError, Wanted, WantedFactor, needs_second, set_up,
};
use super::sign_in::{Shown, SignInError, SignedIn, TRIES, sign_in};
use super::totp::code_now;
use crate::domain::fresh;
use crate::signing::ReleaseKey;
use crate::storage::testing::{TestStorage, audit, now};
use crate::storage::{Operator, Role, Storage};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::id::OperatorId;
use std::collections::BTreeSet;
use zeroize::Zeroizing;

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
pub(super) const PASSWORD: &str = "kettle-moss-harbour";

pub(super) fn secret(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

/// An age identity and its recipient that are nobody's but these tests'.
const IDENTITY: &str = "AGE-SECRET-KEY-10768YJSLA9VADRL5PX9A7EAJK0LMLL5594LEV3U50JDPARAV3FHS6VSS4R";
const RECIPIENT: &str = "age13mnngxpkgxw7swyxr4ez8t3q4qqpwckmv08spzakxrc2rks7ryps9yual9";

pub(super) fn house() -> House<'static> {
    House {
        setting_name: "Little Acorns",
        recipient: RECIPIENT,
    }
}

pub(super) fn release() -> ReleaseKey {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("release.age"), IDENTITY).unwrap();
    ReleaseKey::load(dir.path()).unwrap()
}

pub(super) fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

pub(super) async fn operator(storage: &Storage, name: &str, role: Role) -> Operator {
    let operator = Operator {
        id: OperatorId::from_uuid(fresh::random()),
        name: name.to_owned(),
        roles: BTreeSet::from([role]),
        created_at: now(),
    };
    storage
        .operator_add(&operator, &audit("operator.add"))
        .await
        .unwrap();
    operator
}

async fn make(
    storage: &Storage,
    token: &str,
    second: Option<(&str, SecondAs)>,
    at: Timestamp,
) -> Result<Ready, SetUpError> {
    let code = code_now(SECRET, at).unwrap();
    let wanted = Wanted {
        token,
        password: secret(PASSWORD),
        repeated: secret(PASSWORD),
        factor: WantedFactor::Totp {
            base32: SECRET,
            code: &code,
        },
        second,
    };
    set_up(storage, house(), wanted, at).await
}

/// Dana's account, made at `now`.
pub(super) async fn dana(storage: &Storage) -> Ready {
    let dana = operator(storage, "Dana Lead", Role::Dsl).await;
    let link = invite(storage, &dana, "os:root", now()).await.unwrap();
    make(
        storage,
        &link.token,
        Some(("Kim Owner", SecondAs::Owner)),
        now(),
    )
    .await
    .unwrap()
}

pub(super) async fn try_in(
    storage: &Storage,
    code: &str,
    at: Timestamp,
) -> Result<SignedIn, SignInError> {
    let (password, code) = (secret(PASSWORD), Shown::Code(code));
    sign_in(storage, &release(), "Dana Lead", password, code, at).await
}

pub(super) fn code(at: Timestamp) -> String {
    code_now(SECRET, at).unwrap()
}

pub(super) async fn acts(storage: &Storage) -> Vec<String> {
    let entries = storage.audit_list(100).await.unwrap();
    entries.into_iter().map(|entry| entry.act).collect()
}

#[tokio::test]
async fn set_up_does_not_finish_without_a_second_person_who_is_another_one() {
    let test = TestStorage::create().await;
    let storage = &test.storage;
    let dana = operator(storage, "Dana Lead", Role::Dsl).await;
    let link = invite(storage, &dana, "os:root", now()).await.unwrap();
    for second in [None, Some(("  ", SecondAs::Owner))] {
        let refused = make(storage, &link.token, second, now()).await;
        assert!(matches!(refused, Err(SetUpError::NoSecond)));
    }
    let herself = make(
        storage,
        &link.token,
        Some(("dana lead", SecondAs::Deputy)),
        now(),
    )
    .await;
    assert!(matches!(herself, Err(SetUpError::SecondTaken(_))));
    assert!(storage.account_find(dana.id).await.unwrap().is_none());

    let ready = make(storage, &link.token, Some(("Kim", SecondAs::Deputy)), now())
        .await
        .unwrap();
    let (name, theirs) = ready.second.unwrap();
    assert_eq!(name, "Kim");
    let kim = invitation::open(storage, &theirs.token, now())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kim.roles, BTreeSet::from([Role::Deputy]));
    assert!(!needs_second(storage, kim.id).await.unwrap());
    make(storage, &theirs.token, None, now()).await.unwrap();
}

#[tokio::test]
async fn a_link_is_good_once_and_for_three_days_and_until_there_is_a_newer_one() {
    let test = TestStorage::create().await;
    let storage = &test.storage;
    let second = Some(("Kim", SecondAs::Owner));
    let dana = operator(storage, "Dana Lead", Role::Dsl).await;
    let replaced = invite(storage, &dana, "os:root", now()).await.unwrap();
    let link = invite(storage, &dana, "os:root", now()).await.unwrap();
    for (token, at) in [
        (replaced.token.as_str(), now()),
        (&link.token, link.expires_at),
        ("0123456789ABCDEFGHJKMNPQRS", now()),
    ] {
        let refused = make(storage, token, second, at).await;
        assert!(matches!(refused, Err(SetUpError::Link)));
    }
    make(storage, &link.token, second, now()).await.unwrap();
    let again = make(storage, &link.token, second, now()).await;
    assert!(matches!(again, Err(SetUpError::Link)));
}

#[tokio::test]
async fn a_code_signs_in_once_and_not_the_one_from_set_up() {
    let test = TestStorage::create().await;
    let storage = &test.storage;
    dana(storage).await;
    assert!(try_in(storage, &code(now()), later(10)).await.is_err());
    let signed_in = try_in(storage, &code(later(60)), later(60)).await.unwrap();
    assert_eq!(signed_in.operator.name, "Dana Lead");
    assert!(try_in(storage, &code(later(60)), later(61)).await.is_err());
    // An earlier step, which its window would still let in.
    assert!(try_in(storage, &code(later(30)), later(62)).await.is_err());
    assert!(try_in(storage, &code(later(90)), later(92)).await.is_ok());
}

#[tokio::test]
async fn a_printed_code_takes_the_authenticators_place_once() {
    let test = TestStorage::create().await;
    let storage = &test.storage;
    let ready = dana(storage).await;
    let typed = ready.recovery_codes[3].to_lowercase().replace('-', " ");
    try_in(storage, &typed, later(60)).await.unwrap();
    assert!(try_in(storage, &typed, later(61)).await.is_err());
    try_in(storage, &ready.recovery_codes[4], later(62))
        .await
        .unwrap();
    assert!(
        try_in(storage, "0000-0000-0000-0000", later(63))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn an_account_waits_after_ten_wrong_tries_in_a_row_and_a_right_one_begins_the_count_again() {
    let test = TestStorage::create().await;
    let storage = &test.storage;
    dana(storage).await;
    let wrong = async |tries: u64, at| {
        for _ in 0..tries {
            assert!(try_in(storage, "000000", at).await.is_err());
        }
    };
    wrong(TRIES - 1, later(60)).await;
    try_in(storage, &code(later(60)), later(60)).await.unwrap();
    wrong(TRIES, later(120)).await;
    assert!(
        try_in(storage, &code(later(180)), later(180))
            .await
            .is_err()
    );
    assert_eq!(acts(storage).await[0], "account.locked");
    let over = later(120 + 15 * 60);
    try_in(storage, &code(over), over).await.unwrap();
}

#[tokio::test]
async fn every_refused_try_at_an_account_is_on_record_and_a_stranger_leaves_no_trace() {
    let test = TestStorage::create().await;
    let storage = &test.storage;
    dana(storage).await;
    let before = acts(storage).await.len();
    let (at, code) = (later(60), code(later(60)));
    // Kim was named, and has no account yet.
    for (name, password) in [
        ("Nobody", PASSWORD),
        ("Kim Owner", PASSWORD),
        ("Dana Lead", "wrong-password"),
    ] {
        let code = Shown::Code(&code);
        let refused = sign_in(storage, &release(), name, secret(password), code, at).await;
        assert!(matches!(refused, Err(SignInError::Refused)), "{name}");
    }
    let acts = acts(storage).await;
    assert_eq!(
        (acts[0].as_str(), acts.len()),
        ("account.refused", before + 1)
    );
}

#[tokio::test]
async fn a_session_ends_when_idle_at_its_last_hour_when_told_and_with_a_new_account() {
    let test = TestStorage::create().await;
    let storage = &test.storage;
    dana(storage).await;
    let begin = async |at| try_in(storage, &code(at), at).await.unwrap();
    let holds = async |signed_in: &SignedIn, at| {
        let found = session::of(storage, &signed_in.secret, at).await.unwrap();
        found.is_some()
    };
    let start = later(60);
    let idle = begin(start).await;
    let minutes = |minutes| start + SignedDuration::from_mins(minutes);
    assert!(holds(&idle, minutes(29)).await && holds(&idle, minutes(58)).await);
    assert!(!holds(&idle, minutes(88)).await && !holds(&idle, later(0)).await);

    let day = begin(minutes(100)).await;
    let mut at = 100;
    while at < 700 {
        assert!(holds(&day, minutes(at)).await);
        at += 20;
    }
    assert!(!holds(&day, minutes(700)).await);

    let told = begin(minutes(800)).await;
    let other = begin(minutes(801)).await;
    session::end(storage, &told.secret, &told.operator, minutes(802))
        .await
        .unwrap();
    assert!(!holds(&told, minutes(802)).await && holds(&other, minutes(802)).await);

    let link = invite(storage, &told.operator, "os:root", minutes(803))
        .await
        .unwrap();
    assert!(holds(&other, minutes(803)).await);
    make(storage, &link.token, None, minutes(804))
        .await
        .unwrap();
    assert!(!holds(&other, minutes(804)).await);

    let last = begin(minutes(806)).await;
    let ended = session::end_all(storage, &last.operator, "os:root", minutes(807))
        .await
        .unwrap();
    assert!(ended == 1 && !holds(&last, minutes(807)).await);
}
