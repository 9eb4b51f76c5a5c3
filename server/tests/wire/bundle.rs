//! The hanging fetch.

use crate::nursery::{Nursery, Tablet, told};
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::device_api::{BUNDLE_PATH, BundleAnswer};
use nestwarden_policy_schema::envelope::verify_bundle;
use nestwarden_policy_schema::put_back::PutBack;
use tokio::task::JoinHandle;

/// Longer than any test may take: what returns was woken.
const LONG_S: u32 = 1800;

async fn fetch(tablet: &Tablet, after: u64, wait_s: u32) -> BundleAnswer {
    let path = format!("{BUNDLE_PATH}?after={after}&nonce=n{after}&wait_s={wait_s}");
    let response = tablet.get(&path).await;
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

/// Starts a fetch that hangs, and returns once the server waits on its behalf.
async fn hang(nursery: &Nursery, tablet: Tablet) -> JoinHandle<String> {
    let device = tablet.id;
    let path = format!("{BUNDLE_PATH}?after=1&nonce=hang&wait_s={LONG_S}");
    let fetch = tokio::spawn(async move { told(tablet.get(&path).await).await });
    while !nursery.wakes.is_awaited(device) {
        assert!(!fetch.is_finished(), "the fetch did not hang");
        tokio::task::yield_now().await;
    }
    fetch
}

#[tokio::test]
async fn a_newer_bundle_is_answered_at_once() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    nursery.issue(tablet.id, 1).await;
    let answer = fetch(&tablet, 0, LONG_S).await;
    let statement = nursery.statement(&answer, "n0");
    assert_eq!(statement.generation, Generation::new(1));
    let verified = verify_bundle(answer.bundle.unwrap(), &nursery.anchors, tablet.id, None);
    assert_eq!(
        verified.unwrap().bundle().holds.digest,
        statement.holds_digest
    );
    nursery.close().await;
}

#[tokio::test]
async fn a_bundle_that_was_never_issued_is_noticed_and_only_one_that_names_it_is_given() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    nursery.issue(tablet.id, 4).await;
    let had = Digest::sha256(b"the fourth, before the data was put back");
    // The same number with another content: neither it nor the next may loosen what the tablet had.
    nursery.issue(tablet.id, 5).await;
    let path = format!("{BUNDLE_PATH}?after=4&nonce=n&wait_s=0&digest={had}");
    let device = tablet.id;
    let asked = tokio::spawn(async move { told(tablet.get(&path).await).await });
    while !nursery.wakes.is_awaited(device) {
        assert!(!asked.is_finished(), "what does not name it was given");
        tokio::task::yield_now().await;
    }
    let noticed = nursery.storage.put_back_list().await.unwrap();
    let named = PutBack {
        generation: Generation::new(4),
        digest: Some(had),
    };
    assert_eq!(noticed[0].bundle, named);
    nursery.issue_naming(device, 6, Some(named)).await;
    let answer = asked.await.unwrap();
    let answer: BundleAnswer = serde_json::from_str(answer.strip_prefix("200 ").unwrap()).unwrap();
    let verified = verify_bundle(answer.bundle.unwrap(), &nursery.anchors, device, None).unwrap();
    assert_eq!(verified.bundle().put_back, Some(named));
    nursery.close().await;
}

#[tokio::test]
async fn an_answer_without_news_still_states_time_generation_and_holds() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    let before_any = fetch(&tablet, 0, 0).await;
    assert!(before_any.bundle.is_none());
    assert_eq!(
        nursery.statement(&before_any, "n0").generation,
        Generation::NONE
    );
    nursery.issue(tablet.id, 1).await;
    let answer = fetch(&tablet, 1, 0).await;
    assert!(answer.bundle.is_none());
    let statement = nursery.statement(&answer, "n1");
    assert_eq!(statement.device, tablet.id);
    assert_eq!(statement.time, crate::support::start());
    assert_eq!(statement.generation, Generation::new(1));
    nursery.close().await;
}

#[tokio::test]
async fn a_hanging_fetch_is_answered_when_a_bundle_is_issued() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    let device = tablet.id;
    nursery.issue(device, 1).await;
    let hanging = hang(&nursery, tablet).await;
    nursery.issue(device, 2).await;
    let answer = hanging.await.unwrap();
    let answer: BundleAnswer = serde_json::from_str(answer.strip_prefix("200 ").unwrap()).unwrap();
    assert_eq!(
        nursery.statement(&answer, "hang").generation,
        Generation::new(2)
    );
    assert!(answer.bundle.is_some());
    nursery.close().await;
}

#[tokio::test]
async fn one_tablets_bundle_does_not_wake_another() {
    let nursery = Nursery::open().await;
    let (tablet, other) = (nursery.enrolled().await, nursery.enrolled().await);
    nursery.issue(tablet.id, 1).await;
    let (device, hanging) = (tablet.id, hang(&nursery, tablet).await);
    nursery.issue(other.id, 1).await;
    assert!(fetch(&other, 0, LONG_S).await.bundle.is_some());
    assert!(!hanging.is_finished());
    nursery.issue(device, 2).await;
    assert!(hanging.await.unwrap().starts_with("200"));
    nursery.close().await;
}

#[tokio::test]
async fn revoking_a_device_ends_its_hanging_fetch() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    let device = tablet.id;
    nursery.issue(device, 1).await;
    let hanging = hang(&nursery, tablet).await;
    nursery.revoke(device).await;
    insta::assert_snapshot!(hanging.await.unwrap(), @"403 device_revoked: this device was revoked; enrol it again with a new token");
    nursery.close().await;
}

#[tokio::test]
async fn a_stopping_server_answers_who_hangs_and_ends() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    nursery.issue(tablet.id, 1).await;
    let hanging = hang(&nursery, tablet).await;
    nursery.close().await;
    assert!(hanging.await.unwrap().starts_with("200 {\"statement\""));
}

#[tokio::test]
async fn a_query_that_is_not_understood_is_refused() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    let ask = async |query: &str| told(tablet.get(&format!("{BUNDLE_PATH}{query}")).await).await;
    insta::assert_snapshot!(ask("").await, @"400 query_invalid: write ?after=GENERATION&nonce=TEXT&wait_s=SECONDS: Failed to deserialize query string: missing field `after`");
    insta::assert_snapshot!(ask("?after=x&nonce=n").await, @"400 query_invalid: write ?after=GENERATION&nonce=TEXT&wait_s=SECONDS: Failed to deserialize query string: after: invalid digit found in string");
    insta::assert_snapshot!(ask("?after=1&nonce=").await, @"400 query_invalid: `nonce` must be 1 to 64 printable ASCII characters");
    insta::assert_snapshot!(ask(&format!("?after=1&nonce={}", "n".repeat(65))).await, @"400 query_invalid: `nonce` must be 1 to 64 printable ASCII characters");
    insta::assert_snapshot!(ask("?after=1&nonce=a%00b").await, @"400 query_invalid: `nonce` must be 1 to 64 printable ASCII characters");
    nursery.close().await;
}

#[tokio::test]
async fn without_the_signer_a_tablet_is_told_to_come_back_and_gets_nothing_unsigned() {
    let mut nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    nursery.issue(tablet.id, 1).await;
    nursery.kill_signer().await;
    let response = tablet.get(&format!("{BUNDLE_PATH}?after=0&nonce=n")).await;
    insta::assert_snapshot!(told(response).await, @"503 signer_unavailable: the signer cannot be used now; what is in force stays in force, try again later");
    nursery.close().await;
}

#[tokio::test]
async fn being_heard_from_is_noted() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    fetch(&tablet, 0, 0).await;
    let device = nursery
        .storage
        .device_find(tablet.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(device.last_seen_at, Some(crate::support::start()));
    nursery.close().await;
}
