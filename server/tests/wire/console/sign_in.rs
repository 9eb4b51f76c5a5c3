//! Coming in and going out.

use super::person::{
    PASSWORD, Person, SECRET, cookie, encoded, key_in, operator, origin, sign_in, sign_in_from,
};
use crate::nursery::Nursery;
use jiff::SignedDuration;
use nestwarden_server::domain::account::invitation::invite;
use nestwarden_server::domain::account::session::form_token;
use nestwarden_server::domain::account::totp::code_now;
use nestwarden_server::http::Limits;
use nestwarden_server::storage::Role;
use reqwest::Method;
use std::net::IpAddr;

#[tokio::test]
async fn the_first_set_up_names_a_second_person_and_signs_in_with_two_factors() {
    let nursery = Nursery::open().await;
    let dana = operator(&nursery, "Dana Lead", &[Role::Dsl]).await;
    let link = invite(&nursery.storage, &dana, "test", nursery.now())
        .await
        .unwrap();
    let browser = nursery.visitor();
    let page = browser.get(&format!("/set-up?token={}", link.token)).await;
    assert_eq!(page.status(), 200);
    let secret = cookie(&page, "__Host-nestwarden-form");
    let shown = page.text().await.unwrap();
    assert!(shown.contains("A second person") && shown.contains("<svg"));

    let (now, key) = (nursery.now(), key_in(&shown));
    let send = async |second: &str| {
        let (token, code) = (form_token(&secret), code_now(SECRET, now).unwrap());
        let fields = [
            ("form_token", token.as_str()),
            ("form_key", &key),
            ("token", &link.token),
            ("password", PASSWORD),
            ("repeated", PASSWORD),
            ("totp", SECRET),
            ("code", &code),
            ("second_name", second),
            ("second_as", "deputy"),
        ];
        let request = browser.request(Method::POST, "/set-up");
        let request = request.header("cookie", format!("__Host-nestwarden-form={secret}"));
        let request = request
            .header("origin", origin(&browser))
            .body(encoded(&fields));
        request.send().await.unwrap()
    };
    let refused = send(" ").await;
    assert_eq!(refused.status(), 422);
    assert!(
        refused
            .text()
            .await
            .unwrap()
            .contains("Name a second person")
    );
    let done = send("Kim Deputy").await;
    assert_eq!(done.status(), 200);
    let done = done.text().await.unwrap();
    assert!(done.contains("Recovery codes") && done.contains("For Kim Deputy"));
    // Pressed twice, the codes are not lost; the link itself is good for nobody else.
    let again = send("Kim Deputy").await;
    assert_eq!(again.text().await.unwrap(), done);
    assert_eq!(send("Another").await.status(), 410);

    nursery.clock.advance(SignedDuration::from_secs(60));
    let code = code_now(SECRET, nursery.now()).unwrap();
    let signed_in = sign_in(&browser, "Dana Lead", PASSWORD, &code).await;
    assert_eq!(signed_in.status(), 303);
    let set = signed_in.headers()["set-cookie"].to_str().unwrap();
    let attributes = set.split_once(';').unwrap().1;
    insta::assert_snapshot!(attributes, @" Path=/; Secure; HttpOnly; SameSite=Strict");
    nursery.close().await;
}

#[tokio::test]
async fn a_session_that_was_signed_out_opens_nothing() {
    let nursery = Nursery::open().await;
    let mut person = Person::of(&nursery, "kim", &[Role::Manager]).await;
    let first = person.session.clone();
    assert_eq!(person.post("/sign-out", &[]).await.status(), 303);
    assert_eq!(person.get("/").await.status(), 303);
    person.sign_in(&nursery).await;
    assert_ne!(person.session, first);
    let other = person.session.clone();
    person.sign_in(&nursery).await;
    person.post("/account/sign-out-everywhere", &[]).await;
    person.session = other;
    assert_eq!(person.get("/").await.status(), 303);
    nursery.close().await;
}

#[tokio::test]
async fn an_answer_does_not_say_whether_name_password_or_code_was_wrong() {
    let nursery = Nursery::open().await;
    Person::of(&nursery, "kim", &[Role::Manager]).await;
    nursery.clock.advance(SignedDuration::from_secs(60));
    let code = code_now(SECRET, nursery.now()).unwrap();
    let mut answers = Vec::new();
    for (name, password, code) in [
        ("ann", PASSWORD, code.as_str()),
        ("kim", "another-password", &code),
        ("kim", PASSWORD, "000000"),
    ] {
        let answer = sign_in(&nursery.visitor(), name, password, code).await;
        assert_eq!(answer.status(), 401);
        let page = answer.text().await.unwrap().replace(name, "");
        // The form's own token differs from page to page.
        let at = page.find("<p class=\"notice bad\"").unwrap();
        answers.push(page[at..page[at..].find("</p>").unwrap() + at].to_owned());
    }
    assert!(
        answers.windows(2).all(|two| two[0] == two[1]),
        "{answers:#?}"
    );
    nursery.close().await;
}

#[tokio::test]
async fn whoever_is_sent_to_sign_in_comes_back_to_where_they_wanted_to_go() {
    let nursery = Nursery::open().await;
    let mut person = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let old = std::mem::take(&mut person.session);
    let sent = person.get("/consents?room=Owls").await;
    let to_sign_in = sent.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(to_sign_in, "/sign-in?next=%2Fconsents%3Froom%3DOwls");
    let browser = nursery.visitor();
    let page = browser.get(&to_sign_in).await.text().await.unwrap();
    let field = "name=\"next\" value=\"/consents?room=Owls\"";
    assert!(page.contains(field), "{page}");
    let elsewhere = browser.get("/sign-in?next=https%3A%2F%2Fexample.org").await;
    assert!(!elsewhere.text().await.unwrap().contains("name=\"next\""));

    let wanted = [
        ("/consents?room=Owls", "/consents?room=Owls"),
        ("//example.org", "/"),
        ("https://example.org/", "/"),
    ];
    for (next, to) in wanted {
        let answer = sign_in_again(&nursery, &old, next).await;
        assert_eq!(answer.headers()["location"], to);
    }
    nursery.close().await;
}

#[tokio::test]
async fn a_new_sign_in_ends_the_session_the_browser_had() {
    let nursery = Nursery::open().await;
    let mut person = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let old = person.session.clone();
    let other_browser = {
        person.sign_in(&nursery).await;
        person.session.clone()
    };
    let answer = sign_in_again(&nursery, &old, "").await;
    person.session = cookie(&answer, "__Host-nestwarden");
    assert_eq!(person.get("/").await.status(), 200);
    for (session, status) in [(old, 303), (other_browser, 200)] {
        person.session = session;
        assert_eq!(person.get("/").await.status(), status);
    }
    nursery.close().await;
}

/// In a browser that holds `session`, on the way to `next`.
async fn sign_in_again(nursery: &Nursery, session: &str, next: &str) -> reqwest::Response {
    nursery.clock.advance(SignedDuration::from_secs(60));
    let browser = nursery.visitor();
    let page = browser.get("/sign-in").await;
    let secret = cookie(&page, "__Host-nestwarden-form");
    let (token, key) = (form_token(&secret), key_in(&page.text().await.unwrap()));
    let code = code_now(SECRET, nursery.now()).unwrap();
    let fields = [
        ("form_token", token.as_str()),
        ("form_key", &key),
        ("name", "Kim"),
        ("password", PASSWORD),
        ("code", &code),
        ("next", next),
    ];
    let cookies = format!("__Host-nestwarden-form={secret}; __Host-nestwarden={session}");
    let request = browser.request(Method::POST, "/sign-in");
    let request = request.header("cookie", cookies);
    let request = request.header("origin", origin(&browser));
    let answer = request.body(encoded(&fields)).send().await.unwrap();
    assert_eq!(answer.status(), 303);
    answer
}

async fn tries(nursery: &Nursery, addresses: [&str; 3]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for address in addresses {
        let browser = nursery.visitor();
        let answer = sign_in_from(&browser, Some(address), "ann", PASSWORD, "000000").await;
        statuses.push(answer.status().as_u16());
    }
    statuses
}

#[tokio::test]
async fn a_header_gives_nobody_another_address_unless_the_proxy_sent_it() {
    let limits = Limits {
        failures_per_address_hour: 2,
        ..Limits::default()
    };
    let addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
    let nursery = Nursery::with(limits).await;
    assert_eq!(tries(&nursery, addresses).await, [401, 401, 429]);
    nursery.close().await;

    let proxy: IpAddr = "127.0.0.1".parse().unwrap();
    let nursery = Nursery::behind(Some(proxy), limits).await;
    assert_eq!(tries(&nursery, addresses).await, [401, 401, 401]);
    // Only what the proxy added counts, not what came before.
    let same = ["192.0.2.9, 192.0.2.7", "192.0.2.8, 192.0.2.7", "192.0.2.7"];
    assert_eq!(tries(&nursery, same).await, [401, 401, 429]);
    nursery.close().await;
}
