//! Enrolment: what a token is good for, once.

use crate::nursery::{Nursery, only, told};
use jiff::SignedDuration;
use nestwarden_policy_schema::bytes::Base64;
use nestwarden_policy_schema::device_api::{ENROL_PATH, EnrolAnswer, EnrolRequest, MAX_BODY_BYTES};
use nestwarden_server::http::Limits;
use nestwarden_server::signing::ca;
use reqwest::Method;
use std::collections::BTreeSet;

const TOKEN: &str = "0123456789ABCDEFGHJKMNPQRS";

#[tokio::test]
async fn a_tablet_enrols_and_is_known_by_its_certificate() {
    let nursery = Nursery::open().await;
    let token = nursery.token(TOKEN).await;
    let tablet = nursery.stranger();
    let response = tablet.post(ENROL_PATH, &tablet.enrol_request(&token)).await;
    assert_eq!(response.status(), 200);
    let answer: EnrolAnswer = response.json().await.unwrap();
    let peer = ca::peer(&answer.certificate.0).unwrap();
    assert_eq!(peer.device, answer.device);
    assert_eq!(peer.public_key, tablet.key.public_key_raw());
    assert_eq!(answer.anchors, nursery.anchors);
    assert_eq!(answer.device_name, "Ladybirds 1");
    let device = nursery
        .storage
        .device_find(answer.device)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (device.platform.as_str(), device.revoked),
        ("linux/debian 12", None)
    );
    nursery.close().await;
}

#[tokio::test]
async fn a_token_enrols_one_tablet_and_no_second() {
    let nursery = Nursery::open().await;
    let token = nursery.token(TOKEN).await;
    let (first, second) = (nursery.stranger(), nursery.stranger());
    let response = first.post(ENROL_PATH, &first.enrol_request(&token)).await;
    assert_eq!(response.status(), 200);
    let response = second.post(ENROL_PATH, &second.enrol_request(&token)).await;
    insta::assert_snapshot!(told(response).await, @"403 token_used: this enrolment token was used before; make a new one with `enrol-token create`");
    assert_eq!(nursery.storage.device_list().await.unwrap().len(), 1);
    nursery.close().await;
}

#[tokio::test]
async fn of_many_tablets_with_one_token_at_once_exactly_one_enrols() {
    let nursery = Nursery::open().await;
    let token = nursery.token(TOKEN).await;
    let tries = (0..8).map(|_| {
        let (tablet, token) = (nursery.stranger(), token.clone());
        tokio::spawn(async move {
            told(tablet.post(ENROL_PATH, &tablet.enrol_request(&token)).await).await
        })
    });
    let tries: Vec<_> = tries.collect();
    let mut enrolled = 0;
    for answer in tries {
        let answer = answer.await.unwrap();
        if answer.starts_with("200") {
            enrolled += 1;
        } else {
            assert!(answer.starts_with("403 token_used"), "{answer}");
        }
    }
    assert_eq!(enrolled, 1);
    assert_eq!(nursery.storage.device_list().await.unwrap().len(), 1);
    nursery.close().await;
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let nursery = Nursery::open().await;
    let token = nursery.token(TOKEN).await;
    nursery.clock.advance(SignedDuration::from_hours(24));
    let tablet = nursery.stranger();
    let response = tablet.post(ENROL_PATH, &tablet.enrol_request(&token)).await;
    insta::assert_snapshot!(told(response).await, @"403 token_expired: this enrolment token has expired; make a new one with `enrol-token create`");
    nursery.close().await;
}

#[tokio::test]
async fn an_unknown_or_misshapen_token_is_refused() {
    let mut answers = BTreeSet::new();
    let nursery = Nursery::open().await;
    let tablet = nursery.stranger();
    for token in [TOKEN, "", "0123", &"A".repeat(5000)] {
        let response = tablet.post(ENROL_PATH, &tablet.enrol_request(token)).await;
        answers.insert(told(response).await);
    }
    insta::assert_snapshot!(only(answers), @"403 token_unknown: this enrolment token was not issued here; make a new one with `enrol-token create`");
    nursery.close().await;
}

#[tokio::test]
async fn who_keeps_guessing_tokens_is_no_longer_answered_not_even_with_a_good_one() {
    let nursery = Nursery::with(Limits {
        failures_per_address_hour: 3,
        ..Limits::default()
    })
    .await;
    let tablet = nursery.stranger();
    for _ in 0..3 {
        tablet.post(ENROL_PATH, &tablet.enrol_request(TOKEN)).await;
    }
    let token = nursery.token(TOKEN).await;
    let response = tablet.post(ENROL_PATH, &tablet.enrol_request(&token)).await;
    insta::assert_snapshot!(told(response).await, @"429 too_many_requests: too many refused enrolments from this address; try again in an hour");
    nursery.close().await;
}

#[tokio::test]
async fn a_bad_certificate_request_is_refused_and_the_token_stays_good() {
    let nursery = Nursery::open().await;
    let token = nursery.token(TOKEN).await;
    let tablet = nursery.stranger();
    let request = EnrolRequest {
        csr: Base64(b"not a request".to_vec()),
        ..tablet.enrol_request(&token)
    };
    insta::assert_snapshot!(told(tablet.post(ENROL_PATH, &request).await).await, @"400 csr_invalid: the certificate request is refused: it is not a PKCS#10 request in DER");
    let request = EnrolRequest {
        platform: "linux\u{7}".to_owned(),
        ..tablet.enrol_request(&token)
    };
    insta::assert_snapshot!(told(tablet.post(ENROL_PATH, &request).await).await, @"400 body_invalid: `platform` is empty, longer than 120 characters or has control characters");
    let response = tablet.post(ENROL_PATH, &tablet.enrol_request(&token)).await;
    assert_eq!(response.status(), 200);
    nursery.close().await;
}

#[tokio::test]
async fn fields_the_server_does_not_know_are_ignored() {
    let nursery = Nursery::open().await;
    let token = nursery.token(TOKEN).await;
    let tablet = nursery.stranger();
    let mut request = serde_json::to_value(tablet.enrol_request(&token)).unwrap();
    request["colour"] = "green".into();
    assert_eq!(tablet.post(ENROL_PATH, &request).await.status(), 200);
    nursery.close().await;
}

#[tokio::test]
async fn a_malformed_body_is_refused_with_what_is_wrong() {
    let nursery = Nursery::open().await;
    let tablet = nursery.stranger();
    let send = |body: &'static str| tablet.request(Method::POST, ENROL_PATH).body(body).send();
    insta::assert_snapshot!(told(send("{\"token\":").await.unwrap()).await, @"400 body_invalid: the body is not the JSON this path expects: EOF while parsing a value at line 1 column 9");
    insta::assert_snapshot!(told(send("{\"token\":7}").await.unwrap()).await, @"400 body_invalid: the body is not the JSON this path expects: invalid type: integer `7`, expected a string at line 1 column 10");
    insta::assert_snapshot!(told(send("").await.unwrap()).await, @"400 body_invalid: the body is not the JSON this path expects: EOF while parsing a value at line 1 column 0");
    nursery.close().await;
}

#[tokio::test]
async fn an_oversized_body_is_refused_and_its_sender_hears_so() {
    let mut answers = BTreeSet::new();
    let nursery = Nursery::open().await;
    let tablet = nursery.stranger();
    for bytes in [MAX_BODY_BYTES + 1, 3 * MAX_BODY_BYTES] {
        let request = tablet.request(Method::POST, ENROL_PATH);
        let response = request.body(vec![b' '; bytes]).send().await.unwrap();
        answers.insert(told(response).await);
    }
    insta::assert_snapshot!(only(answers), @"413 body_too_large: the body is larger than 1048576 bytes; send less at once");
    nursery.close().await;
}
