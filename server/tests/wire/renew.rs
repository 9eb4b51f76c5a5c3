//! Renewal, in time and after expiry.

use crate::nursery::{Nursery, Tablet, csr, told};
use jiff::SignedDuration;
use nestwarden_policy_schema::bytes::Base64;
use nestwarden_policy_schema::device_api::{
    EVENTS_PATH, EventBatch, RENEW_EXPIRED_PATH, RENEW_NONCE_PATH, RENEW_PATH, RenewAnswer,
    RenewExpiredRequest, RenewNonce, RenewRequest, renewal_message,
};
use rcgen::{KeyPair, SigningKey as _};

/// Whether the server answers it as a known device.
async fn is_known(tablet: &Tablet) -> bool {
    let ask = EventBatch {
        events: Vec::new(),
        head: None,
    };
    tablet.post(EVENTS_PATH, &ask).await.status() == 200
}

async fn nonce(tablet: &Tablet) -> String {
    let answer: RenewNonce = tablet
        .post(RENEW_NONCE_PATH, &())
        .await
        .json()
        .await
        .unwrap();
    answer.nonce
}

fn request(
    tablet: &Tablet,
    signer: &KeyPair,
    new_key: &KeyPair,
    nonce: &str,
) -> RenewExpiredRequest {
    let csr = csr(new_key);
    let signature = signer.sign(&renewal_message(nonce, &csr.0)).unwrap();
    RenewExpiredRequest {
        device: tablet.id,
        csr,
        nonce: nonce.to_owned(),
        signature: Base64(signature),
    }
}

fn sleep_past_expiry(nursery: &Nursery) {
    nursery.clock.advance(SignedDuration::from_hours(200 * 24));
}

#[tokio::test]
async fn a_renewed_certificate_outlives_the_first() {
    let nursery = Nursery::open().await;
    let mut tablet = nursery.enrolled().await;
    nursery.clock.advance(SignedDuration::from_hours(90 * 24));
    let new_key = KeyPair::generate().unwrap();
    let body = RenewRequest { csr: csr(&new_key) };
    let answer: RenewAnswer = tablet.post(RENEW_PATH, &body).await.json().await.unwrap();
    // Until the tablet has the new one on its disk it goes on with the old.
    assert!(is_known(&tablet).await);
    nursery.clock.advance(SignedDuration::from_hours(100 * 24));
    assert!(!is_known(&tablet).await);
    tablet.key = new_key;
    tablet.takes(&answer.certificate);
    assert!(is_known(&tablet).await);
    nursery.close().await;
}

#[tokio::test]
async fn a_tablet_that_slept_past_its_expiry_renews_with_its_old_key() {
    let nursery = Nursery::open().await;
    let mut tablet = nursery.enrolled().await;
    sleep_past_expiry(&nursery);
    assert!(!is_known(&tablet).await);
    let new_key = KeyPair::generate().unwrap();
    let body = request(&tablet, &tablet.key, &new_key, &nonce(&tablet).await);
    // Also on a connection without any certificate.
    let response = nursery.stranger().post(RENEW_EXPIRED_PATH, &body).await;
    assert_eq!(response.status(), 200);
    let answer: RenewAnswer = response.json().await.unwrap();
    tablet.key = new_key;
    tablet.takes(&answer.certificate);
    assert!(is_known(&tablet).await);
    nursery.close().await;
}

#[tokio::test]
async fn a_renewal_nonce_is_good_once_and_for_five_minutes() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    sleep_past_expiry(&nursery);
    let new_key = KeyPair::generate().unwrap();
    let body = request(&tablet, &tablet.key, &new_key, &nonce(&tablet).await);
    assert_eq!(tablet.post(RENEW_EXPIRED_PATH, &body).await.status(), 200);
    let replayed = tablet.post(RENEW_EXPIRED_PATH, &body).await;
    insta::assert_snapshot!(told(replayed).await, @"403 nonce_invalid: the nonce was never issued, was used, or is older than five minutes; ask for a new one");
    let late = request(&tablet, &tablet.key, &new_key, &nonce(&tablet).await);
    nursery.clock.advance(SignedDuration::from_mins(5));
    let late = told(tablet.post(RENEW_EXPIRED_PATH, &late).await).await;
    assert!(late.starts_with("403 nonce_invalid"), "{late}");
    nursery.close().await;
}

#[tokio::test]
async fn who_does_not_have_the_old_key_gets_no_certificate() {
    let nursery = Nursery::open().await;
    let (tablet, other) = (nursery.enrolled().await, nursery.enrolled().await);
    sleep_past_expiry(&nursery);
    let new_key = KeyPair::generate().unwrap();
    let forged = request(&tablet, &other.key, &new_key, &nonce(&tablet).await);
    let refused = nursery.stranger().post(RENEW_EXPIRED_PATH, &forged).await;
    insta::assert_snapshot!(told(refused).await, @"403 signature_invalid: the request is not signed by the key of the expired certificate");
    // The request is part of what is signed.
    let mut swapped = request(&tablet, &tablet.key, &new_key, &nonce(&tablet).await);
    swapped.csr = csr(&other.key);
    let refused = told(nursery.stranger().post(RENEW_EXPIRED_PATH, &swapped).await).await;
    assert!(refused.starts_with("403 signature_invalid"), "{refused}");
    nursery.close().await;
}

#[tokio::test]
async fn a_revoked_device_renews_neither_in_time_nor_after() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    nursery.revoke(tablet.id).await;
    let new_key = KeyPair::generate().unwrap();
    let in_time = tablet
        .post(RENEW_PATH, &RenewRequest { csr: csr(&new_key) })
        .await;
    insta::assert_snapshot!(told(in_time).await, @"403 device_revoked: this device was revoked; enrol it again with a new token");
    sleep_past_expiry(&nursery);
    let body = request(&tablet, &tablet.key, &new_key, &nonce(&tablet).await);
    let after = nursery.stranger().post(RENEW_EXPIRED_PATH, &body).await;
    insta::assert_snapshot!(told(after).await, @"403 device_revoked: this device was revoked; enrol it again with a new token");
    nursery.close().await;
}

#[tokio::test]
async fn a_key_two_renewals_old_no_longer_renews() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    for _ in 0..2 {
        nursery.clock.advance(SignedDuration::from_hours(1));
        let new_key = KeyPair::generate().unwrap();
        let body = RenewRequest { csr: csr(&new_key) };
        assert_eq!(tablet.post(RENEW_PATH, &body).await.status(), 200);
    }
    sleep_past_expiry(&nursery);
    let new_key = KeyPair::generate().unwrap();
    let body = request(&tablet, &tablet.key, &new_key, &nonce(&tablet).await);
    let refused = told(tablet.post(RENEW_EXPIRED_PATH, &body).await).await;
    assert!(refused.starts_with("403 signature_invalid"), "{refused}");
    nursery.close().await;
}

#[tokio::test]
async fn a_device_that_renews_without_end_is_stopped() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    for _ in 0..12 {
        nursery.clock.advance(SignedDuration::from_secs(1));
        let body = RenewRequest { csr: tablet.csr() };
        assert_eq!(tablet.post(RENEW_PATH, &body).await.status(), 200);
    }
    let body = RenewRequest { csr: tablet.csr() };
    insta::assert_snapshot!(told(tablet.post(RENEW_PATH, &body).await).await, @"429 too_many_requests: this device renewed too often; try again in an hour");
    nursery.close().await;
}
