#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::storage::testing::{TestStorage, audit, enrol, now};
use nestwarden_policy_schema::profile::EARLY_YEARS;

#[tokio::test]
async fn a_profile_that_is_refused_leaves_the_live_one() {
    let test = TestStorage::create().await;
    apply(&test.storage, EARLY_YEARS, "os:test", now())
        .await
        .unwrap();
    for bad in [
        EARLY_YEARS.replace("min_length = 6", "min_length = 1"),
        EARLY_YEARS.replace("min_length", "min_lenth"),
        EARLY_YEARS.replace("Europe/London", "Europe/Lodnon"),
        "name = ".to_owned(),
    ] {
        let refused = apply(&test.storage, &bad, "os:test", now()).await;
        assert!(matches!(refused, Err(ProfileChangeError::Refused(_))));
    }
    let (live, _) = find(&test.storage, "early-years").await.unwrap();
    assert_eq!((live.version, live.source.as_str()), (1, EARLY_YEARS));
}

#[tokio::test]
async fn applying_the_same_profile_again_makes_no_version() {
    let test = TestStorage::create().await;
    for _ in 0..2 {
        let applied = apply(&test.storage, EARLY_YEARS, "os:test", now());
        assert_eq!(applied.await.unwrap().1, 1);
    }
}

#[tokio::test]
async fn a_difference_says_whether_it_loosens() {
    let test = TestStorage::create().await;
    apply(&test.storage, EARLY_YEARS, "os:test", now())
        .await
        .unwrap();
    for (to, loosens) in [("min_length = 8", false), ("min_length = 4", true)] {
        let source = EARLY_YEARS.replace("min_length = 6", to);
        let change = diff(&test.storage, &source).await.unwrap();
        assert_eq!(change.loosens, loosens);
        assert_eq!(change.differences.len(), 1);
        assert_eq!(change.differences[0].key, "policy.passcode.min_length");
    }
}

#[tokio::test]
async fn an_override_that_would_lock_a_tablet_out_is_refused() {
    let test = TestStorage::create().await;
    apply(&test.storage, EARLY_YEARS, "os:test", now())
        .await
        .unwrap();
    let id = enrol(&test.storage, "early-years").await;
    let nothing_runs = read_override("[apps]\nessential = []\nallowed = []\n").unwrap();
    let refused = set_overrides(&test.storage, id, &[nothing_runs], "os:test", now()).await;
    assert!(matches!(
        refused,
        Err(ProfileChangeError::WithOverrides { .. })
    ));
    let camera_off = read_override("[camera]\ncamera = \"off\"\n").unwrap();
    let done = set_overrides(&test.storage, id, &[camera_off], "os:test", now()).await;
    assert_eq!(done.unwrap(), Changed::Yes);
    let mistake = read_override("[camera]\ncamra = \"off\"\n");
    assert!(matches!(mistake, Err(ProfileChangeError::Override(_))));
}

#[tokio::test]
async fn a_closure_that_never_ends_is_refused_because_destruction_waits_for_opening_days() {
    let test = TestStorage::create().await;
    let until = |last: &str| {
        format!(
            "{EARLY_YEARS}\n[[calendar.closures]]\nfrom = \"2026-07-20\"\nto = \"{last}\"\nreason = \"summer\"\n"
        )
    };
    let apply = async |source: String| apply(&test.storage, &source, "os:test", now()).await;
    apply(until("2026-09-04")).await.unwrap();
    let refused = apply(until("2099-12-31")).await.unwrap_err().to_string();
    assert!(refused.contains("2099-12-31"), "{refused}");
    assert!(refused.contains("correct the dates"), "{refused}");
}

#[tokio::test]
async fn what_is_live_and_cannot_be_read_any_more_is_replaced_and_nothing_is_said_of_the_difference()
 {
    let test = TestStorage::create().await;
    let act = audit("p");
    let put = test
        .storage
        .profile_put("early-years", 0, "of = \"another version\"", &act);
    put.await.unwrap();
    let change = diff(&test.storage, EARLY_YEARS).await.unwrap();
    assert!(change.live_unreadable && !change.loosens);
    assert_eq!(change.live, Some(1));
    let (_, version) = apply(&test.storage, EARLY_YEARS, "os:test", now())
        .await
        .unwrap();
    assert_eq!(version, 2);
    let again = diff(&test.storage, EARLY_YEARS).await.unwrap();
    assert!(!again.live_unreadable);
}
