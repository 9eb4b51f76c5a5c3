#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::storage::Role;
use crate::storage::testing::{TestStorage, audit, now};
use nestwarden_policy_schema::id::OperatorId;

async fn sam(storage: &Storage) -> Operator {
    let sam = Operator {
        id: OperatorId::from_uuid(fresh::random()),
        name: "Sam".to_owned(),
        roles: [Role::ItAdmin].into(),
        created_at: now(),
    };
    storage.operator_add(&sam, &audit("o")).await.unwrap();
    sam
}

fn wanted<'a>(name: &'a str, scopes: &[Scope], days: u16) -> Wanted<'a> {
    let scopes = scopes.iter().copied().collect();
    Wanted { name, scopes, days }
}

#[tokio::test]
async fn a_token_is_good_for_its_acts_until_its_day_or_until_it_is_revoked() {
    let test = TestStorage::create().await;
    let storage = &test.storage;
    let sam = sam(storage).await;
    let made = wanted("booking", &[Scope::Import], 2);
    let token = create(storage, &sam, made, "os:root", now()).await.unwrap();
    let judge = async |shown: &str, scope, hours| {
        let at = now() + SignedDuration::from_hours(hours);
        super::judge(storage, shown, scope, at).await.unwrap()
    };
    let shown = token.text.as_str();
    assert!(matches!(judge(shown, Scope::Import, 47).await, Judged::Good(by) if by == sam));
    assert!(matches!(
        judge(shown, Scope::ReadTablets, 1).await,
        Judged::OutOfScope
    ));
    assert!(matches!(
        judge(shown, Scope::Import, 48).await,
        Judged::Expired
    ));
    assert!(matches!(
        judge(shown, Scope::Import, -1).await,
        Judged::Expired
    ));
    assert!(matches!(
        judge("another", Scope::Import, 1).await,
        Judged::Unknown
    ));
    let listed = storage.api_token_list().await.unwrap().remove(0);
    assert_eq!(
        listed.last_used_at,
        Some(now() + SignedDuration::from_hours(47))
    );

    assert!(revoke(storage, token.id, "os:root", now()).await.unwrap());
    assert!(!revoke(storage, token.id, "os:root", now()).await.unwrap());
    assert!(matches!(
        judge(shown, Scope::Import, 1).await,
        Judged::Revoked
    ));
    let acts = storage.audit_list(2).await.unwrap();
    assert_eq!(
        [&acts[0].act, &acts[1].act],
        ["api_token.revoke", "api_token.create"]
    );
}

#[tokio::test]
async fn a_token_without_an_end_a_purpose_or_a_holder_is_not_made() {
    let test = TestStorage::create().await;
    let storage = &test.storage;
    let sam = sam(storage).await;
    for (name, scopes, days) in [
        ("", &[Scope::Import][..], 90),
        ("two\nlines", &[Scope::Import], 90),
        ("booking", &[], 90),
        ("booking", &[Scope::Import], 0),
        ("booking", &[Scope::Import], 367),
    ] {
        let refused = create(storage, &sam, wanted(name, scopes, days), "os:root", now()).await;
        assert!(refused.is_err(), "{name} {days}");
    }
    for _ in 0..MOST {
        let made = wanted("booking", &[Scope::Import], 366);
        create(storage, &sam, made, "os:root", now()).await.unwrap();
    }
    let more = create(
        storage,
        &sam,
        wanted("b", &[Scope::Import], 1),
        "os:root",
        now(),
    )
    .await;
    assert!(matches!(more, Err(ApiTokenError::TooMany(_))));
}
