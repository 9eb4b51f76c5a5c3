//! The listener for people.

use crate::nursery::{Nursery, told};
use jiff::SignedDuration;
use nestwarden_server::domain::api_token;
use nestwarden_server::http::Limits;
use nestwarden_server::storage::Scope;
use reqwest::Method;

#[tokio::test]
async fn health_says_whether_database_and_signer_can_be_used() {
    let nursery = Nursery::open().await;
    let health = told(nursery.visitor().get("/healthz").await).await;
    insta::assert_snapshot!(health, @r#"200 {"live":true,"database_writable":true,"signer_reachable":true}"#);
    nursery.close().await;
}

#[tokio::test]
async fn health_is_bad_without_the_signer() {
    let mut nursery = Nursery::open().await;
    nursery.kill_signer().await;
    let health = told(nursery.visitor().get("/healthz").await).await;
    insta::assert_snapshot!(health, @r#"503 {"live":true,"database_writable":true,"signer_reachable":false}"#);
    nursery.close().await;
}

#[tokio::test]
async fn an_operators_token_reads_the_devices_and_a_wrong_one_does_not() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    let token = nursery.operator_token().await;
    let visitor = nursery.visitor();
    let ask = async |token: &str| {
        let request = visitor.request(Method::GET, "/admin/v1/devices");
        request.bearer_auth(token).send().await.unwrap()
    };
    let listed: serde_json::Value = ask(&token).await.json().await.unwrap();
    assert_eq!(listed["devices"][0]["id"], tablet.id.to_string());
    assert_eq!(listed["devices"][0]["name"], "Ladybirds 1");
    let wrong = ask("0123456789ABCDEFGHJKMNPQRT").await;
    assert_eq!(wrong.headers()["www-authenticate"], "Bearer");
    insta::assert_snapshot!(told(wrong).await, @"401 operator_required: send an operator's token as `Authorization: Bearer TOKEN`");
    nursery.close().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_token_learns_only_who_holds_it() {
    let nursery = Nursery::with(Limits {
        failures_per_address_hour: 1,
        ..Limits::default()
    })
    .await;
    nursery.operator_token().await;
    let (storage, now) = (&nursery.storage, nursery.now());
    let sam = storage.operator_by_name("sam").await.unwrap().unwrap();
    let wanted = api_token::Wanted {
        name: "booking",
        scopes: [Scope::Import].into(),
        days: 90,
    };
    let token = api_token::create(storage, &sam, wanted, "test", now)
        .await
        .unwrap();
    let visitor = nursery.visitor();
    let ask = async |text: &str| {
        let request = visitor.request(Method::GET, "/admin/v1/devices");
        told(request.bearer_auth(text).send().await.unwrap()).await
    };
    insta::assert_snapshot!(ask(&token.text).await, @"403 token_scope: this token is not for this; it takes one with `--scope read-tablets`");
    nursery.clock.advance(SignedDuration::from_hours(90 * 24));
    insta::assert_snapshot!(ask(&token.text).await, @"401 token_expired: this token has expired; `nestwarden-server operator token create` makes another");
    api_token::revoke(storage, token.id, "test", nursery.now())
        .await
        .unwrap();
    insta::assert_snapshot!(ask(&token.text).await, @"401 token_revoked: this token was revoked; `nestwarden-server operator token create` makes another");
    insta::assert_snapshot!(ask("0123456789ABCDEFGHJKMNPQRT").await, @"401 operator_required: send an operator's token as `Authorization: Bearer TOKEN`");
    nursery.close().await;
}

#[tokio::test]
async fn who_guesses_operators_tokens_is_stopped() {
    let nursery = Nursery::with(Limits {
        failures_per_address_hour: 2,
        ..Limits::default()
    })
    .await;
    let token = nursery.operator_token().await;
    let visitor = nursery.visitor();
    for _ in 0..2 {
        visitor.get("/admin/v1/devices").await;
    }
    let request = visitor.request(Method::GET, "/admin/v1/devices");
    let stopped = request.bearer_auth(&token).send().await.unwrap();
    insta::assert_snapshot!(told(stopped).await, @"429 too_many_requests: too many refused tries from this address; try again in an hour");
    nursery.close().await;
}

#[tokio::test]
async fn tablets_routes_are_not_on_the_listener_for_people_nor_the_other_way_round() {
    let nursery = Nursery::open().await;
    let visitor = nursery.visitor();
    for route in nestwarden_server::http::router::tablet_routes() {
        let answer = visitor
            .request(route.method.clone(), route.path)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 404, "{}", route.path);
    }
    let stranger = nursery.stranger();
    for route in nestwarden_server::http::router::people_routes() {
        let answer = stranger
            .request(route.method.clone(), route.path)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 404, "{}", route.path);
    }
    nursery.close().await;
}
