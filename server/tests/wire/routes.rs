//! Who may call what: every route, walked by the router's own table.

use crate::nursery::{Nursery, Tablet, only, told};
use jiff::SignedDuration;
use nestwarden_policy_schema::device_api::code;
use nestwarden_server::http::router::{Requires, Route, people_routes, tablet_routes};
use reqwest::Method;
use std::collections::BTreeSet;

async fn call(tablet: &Tablet, route: &Route) -> String {
    told(
        tablet
            .request(route.method.clone(), route.path)
            .send()
            .await
            .unwrap(),
    )
    .await
}

fn device_routes() -> impl Iterator<Item = Route> {
    let routes = tablet_routes().into_iter();
    routes.filter(|route| route.requires == Requires::Device)
}

#[tokio::test]
async fn every_route_refuses_the_unauthenticated_unless_the_table_says_it_is_open() {
    let nursery = Nursery::open().await;
    let (stranger, visitor) = (nursery.stranger(), nursery.visitor());
    let tablets = tablet_routes().into_iter().map(|route| (&stranger, route));
    let people = people_routes().into_iter().map(|route| (&visitor, route));
    for (who, route) in tablets.chain(people) {
        let answer = call(who, &route).await;
        let refusal = match route.requires {
            Requires::Nothing => {
                assert!(!answer.starts_with("401"), "{} {answer}", route.path);
                continue;
            }
            Requires::Device => "401 certificate_required: ",
            Requires::Token(_) => "401 operator_required: ",
            // A page is asked for again after signing in; a form is not sent again.
            Requires::Person(_) if route.method == Method::GET => "303 ",
            // Pressed twice, the first ended the session.
            Requires::Person(_) if route.path.contains("sign-out") => "303 ",
            Requires::Person(_) => "401 sign_in_required: ",
        };
        assert!(answer.starts_with(refusal), "{} {answer}", route.path);
    }
    nursery.close().await;
}

#[tokio::test]
async fn a_revoked_device_is_refused_on_every_route() {
    let mut answers = BTreeSet::new();
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    nursery.revoke(tablet.id).await;
    for route in device_routes() {
        answers.insert(call(&tablet, &route).await);
    }
    insta::assert_snapshot!(only(answers), @"403 device_revoked: this device was revoked; enrol it again with a new token");
    nursery.close().await;
}

#[tokio::test]
async fn a_device_the_database_does_not_know_is_refused_on_every_route() {
    let mut answers = BTreeSet::new();
    // The certificate is of this setting, the database is from before it was given.
    let nursery = Nursery::open().await;
    let ca = nestwarden_server::signing::DeviceCa::load(&nursery.dir.path().join("keys")).unwrap();
    let mut tablet = nursery.stranger();
    let issued = ca
        .issue(&tablet.csr().0, tablet.id, crate::support::start())
        .unwrap();
    tablet.takes(&nestwarden_policy_schema::bytes::Base64(issued.certificate));
    for route in device_routes() {
        answers.insert(call(&tablet, &route).await);
    }
    insta::assert_snapshot!(only(answers), @"403 device_unknown: this device is not enrolled here; enrol it again with a new token");
    nursery.close().await;
}

#[tokio::test]
async fn an_expired_certificate_counts_as_none_on_every_route() {
    let mut answers = BTreeSet::new();
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    // On a connection from before, and on a new one.
    let earlier = call(&tablet, &device_routes().next().unwrap()).await;
    assert!(!earlier.starts_with("401"), "{earlier}");
    nursery.clock.advance(SignedDuration::from_hours(180 * 24));
    let again = Tablet::new(
        nursery.tablets,
        nursery.pin,
        rcgen::KeyPair::from_pem(&tablet.key.serialize_pem()).unwrap(),
        tablet.certificate.clone(),
    );
    for route in device_routes() {
        for tablet in [&tablet, &again] {
            answers.insert(call(tablet, &route).await);
        }
    }
    insta::assert_snapshot!(only(answers), @"401 certificate_required: a device certificate is needed: the certificate has expired; renew it with its key");
    nursery.close().await;
}

#[tokio::test]
async fn a_certificate_of_another_setting_does_not_pass_the_handshake() {
    let (ours, theirs) = (Nursery::open().await, Nursery::open().await);
    let foreign = theirs.enrolled().await;
    let intruder = Tablet::new(
        ours.tablets,
        ours.pin,
        foreign.key,
        foreign.certificate.clone(),
    );
    for route in tablet_routes() {
        let request = intruder.request(route.method.clone(), route.path);
        assert!(request.send().await.is_err(), "{}", route.path);
    }
    ours.close().await;
    theirs.close().await;
}

#[tokio::test]
async fn an_unknown_path_or_method_is_told_in_the_same_form() {
    let nursery = Nursery::open().await;
    let mut answers = BTreeSet::new();
    for who in [nursery.stranger(), nursery.visitor()] {
        answers.insert(told(who.get("/nowhere").await).await);
    }
    insta::assert_snapshot!(only(answers), @"404 not_found: there is nothing at this address; check it, or start from the overview");
    let (stranger, mut answers) = (nursery.stranger(), BTreeSet::new());
    for route in tablet_routes() {
        let request = stranger.request(reqwest::Method::DELETE, route.path);
        answers.insert(told(request.send().await.unwrap()).await);
    }
    insta::assert_snapshot!(only(answers), @"405 not_found: nothing at this address is called by this method; open it from the page it belongs to");
    nursery.close().await;
}

#[tokio::test]
async fn an_error_carries_the_same_request_id_in_head_and_body() {
    let nursery = Nursery::open().await;
    let response = nursery.stranger().get("/nowhere").await;
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let body: nestwarden_policy_schema::device_api::ErrorBody = response.json().await.unwrap();
    assert_eq!(body.request_id.to_string(), id);
    assert_eq!(body.code, code::NOT_FOUND);
    nursery.close().await;
}

#[tokio::test]
async fn an_answer_carries_what_protects_a_browser_only_to_a_browser() {
    let nursery = Nursery::open().await;
    let stranger = nursery.stranger();
    let heads_of = async |path: &str, reads: &str| {
        let request = stranger.request(reqwest::Method::GET, path);
        let answer = request.header("accept", reads).send().await.unwrap();
        let names = answer.headers().keys().map(ToString::to_string);
        names.collect::<BTreeSet<_>>()
    };
    let tablet = "/device/v1/bundle";
    let plain = ["content-length", "content-type", "date"].map(str::to_owned);
    assert_eq!(heads_of(tablet, "*/*").await, BTreeSet::from(plain));
    let protected = heads_of("/nowhere", "text/html").await;
    for (path, reads) in [(tablet, "text/html"), ("/nowhere", "*/*")] {
        let heads = heads_of(path, reads).await;
        let missing: Vec<_> = protected.difference(&heads).collect();
        assert!(missing.is_empty(), "{path} for {reads}: {missing:?}");
    }
    for name in [
        "content-security-policy",
        "x-content-type-options",
        "cache-control",
    ] {
        assert!(protected.contains(name), "{name}");
    }
    nursery.close().await;
}
