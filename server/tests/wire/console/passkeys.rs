//! Passkeys, as a browser with an authenticator uses them.

use super::authenticator::Authenticator;
use super::person::{PASSWORD, Person, cookie, encoded, key_in, operator, origin};
use crate::nursery::{Nursery, Tablet, told};
use jiff::SignedDuration;
use nestwarden_server::domain::account::invitation::invite;
use nestwarden_server::domain::account::session::form_token;
use nestwarden_server::storage::Role;
use reqwest::{Method, Response};
use serde_json::Value;

fn page_origin(nursery: &Nursery) -> String {
    format!("https://localhost:{}", nursery.people.port())
}

/// Somebody who is not signed in, with a page open.
struct Browser {
    visitor: Tablet,
    secret: String,
    key: String,
}

impl Browser {
    async fn at(nursery: &Nursery, path: &str) -> Self {
        let visitor = nursery.visitor();
        let page = visitor.get(path).await;
        let secret = cookie(&page, "__Host-nestwarden-form");
        let key = key_in(&page.text().await.unwrap());
        Self {
            visitor,
            secret,
            key,
        }
    }

    async fn ask(&self, path: &str) -> Value {
        let request = self.visitor.request(Method::GET, path);
        let request = request.header("cookie", format!("__Host-nestwarden-form={}", self.secret));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let token = form_token(&self.secret);
        let mut all = vec![("form_token", token.as_str()), ("form_key", &self.key)];
        all.extend(fields);
        self.visitor
            .request(Method::POST, path)
            .header("cookie", format!("__Host-nestwarden-form={}", self.secret))
            .header("origin", origin(&self.visitor))
            .body(encoded(&all))
            .send()
            .await
            .unwrap()
    }

    async fn sign_in(&self, name: &str, password: &str, answer: &str) -> Response {
        let fields = [("name", name), ("password", password), ("passkey", answer)];
        self.send("/sign-in", &fields).await
    }
}

async fn added(nursery: &Nursery, person: &Person, name: &str) -> Authenticator {
    let mut key = Authenticator::new(name);
    let asked = person.get("/account/passkeys/options").await;
    let asked: Value = asked.json().await.unwrap();
    let answer = key.create(&page_origin(nursery), &asked);
    let fields = [("key_name", name), ("passkey", answer.as_str())];
    let done = person.post("/account/passkeys", &fields).await;
    assert_eq!(done.status(), 303, "{}", done.text().await.unwrap());
    key
}

#[tokio::test]
async fn a_key_is_added_signs_in_and_is_removed_again() {
    let nursery = Nursery::named().await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let mut key = added(&nursery, &kim, "Blue key").await;
    let page = kim.get("/account").await.text().await.unwrap();
    assert!(page.contains("Remove Blue key") && page.contains("never"));

    let browser = Browser::at(&nursery, "/sign-in").await;
    let asked = browser.ask("/sign-in/passkey").await;
    assert_eq!(asked["rpId"], "localhost");
    assert_eq!(asked["userVerification"], "preferred");
    assert_eq!(asked["allowCredentials"].as_array().unwrap().len(), 0);
    let answer = key.get(&page_origin(&nursery), &asked);
    let done = browser.sign_in("Kim", PASSWORD, &answer).await;
    assert_eq!(done.status(), 303);
    assert_eq!(cookie(&done, "__Host-nestwarden").len(), 64);

    let remove = page.split("/account/passkeys/").nth(1).unwrap();
    let path = format!("/account/passkeys/{}", remove.split('"').next().unwrap());
    assert_eq!(kim.post(&path, &[]).await.status(), 303);
    assert_eq!(kim.post(&path, &[]).await.status(), 404);
    let browser = Browser::at(&nursery, "/sign-in").await;
    let asked = browser.ask("/sign-in/passkey").await;
    let answer = key.get(&page_origin(&nursery), &asked);
    let refused = browser.sign_in("Kim", PASSWORD, &answer).await;
    assert_eq!(refused.status(), 401);
    nursery.close().await;
}

#[tokio::test]
async fn an_answer_says_neither_what_was_wrong_nor_who_there_is() {
    let nursery = Nursery::named().await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let mut key = added(&nursery, &kim, "Blue key").await;
    let mut strangers = Authenticator::new("stranger");
    strangers.user_handle = key.user_handle.clone();
    let mut said = std::collections::BTreeSet::new();
    for (name, password, is_kims) in [
        ("Kim", "wrong-password-here", true),
        ("Kim", PASSWORD, false),
        ("Nobody", PASSWORD, true),
        ("Kim's second", PASSWORD, true),
    ] {
        let browser = Browser::at(&nursery, "/sign-in").await;
        let asked = browser.ask("/sign-in/passkey").await;
        let with = if is_kims { &mut key } else { &mut strangers };
        let answer = with.get(&page_origin(&nursery), &asked);
        let refused = browser.sign_in(name, password, &answer).await;
        assert_eq!(refused.status(), 401);
        let page = refused.text().await.unwrap();
        let alert = page.split("role=\"alert\">").nth(1).unwrap();
        said.insert(alert.split('<').next().unwrap().to_owned());
        // What was asked is over, whoever it was.
        let again = [
            ("name", "Kim"),
            ("password", PASSWORD),
            ("passkey", &answer),
        ];
        assert_eq!(browser.send("/sign-in", &again).await.status(), 401);
    }
    assert_eq!(said.len(), 1, "{said:?}");
    nursery.close().await;
}

#[tokio::test]
async fn the_first_account_is_made_with_a_key() {
    let nursery = Nursery::named().await;
    let dana = operator(&nursery, "Dana Lead", &[Role::Dsl]).await;
    let link = invite(&nursery.storage, &dana, "test", nursery.now())
        .await
        .unwrap();
    let browser = Browser::at(&nursery, &format!("/set-up?token={}", link.token)).await;
    let asked = browser
        .ask(&format!("/set-up/passkey?token={}", link.token))
        .await;
    assert_eq!(asked["user"]["name"], "Dana Lead");
    let mut key = Authenticator::new("office");
    let answer = key.create(&page_origin(&nursery), &asked);
    let send = async |second: &str| {
        let fields = [
            ("token", link.token.as_str()),
            ("password", PASSWORD),
            ("repeated", PASSWORD),
            ("passkey", &answer),
            ("key_name", "Office computer"),
            ("second_name", second),
            ("second_as", "deputy"),
        ];
        browser.send("/set-up", &fields).await
    };
    let slip = send(" ").await;
    assert_eq!(slip.status(), 422);
    assert!(slip.text().await.unwrap().contains("Your key is ready"));
    let done = send("Kim Deputy").await;
    assert_eq!(done.status(), 200);
    assert!(done.text().await.unwrap().contains("Recovery codes"));

    let browser = Browser::at(&nursery, "/sign-in").await;
    let asked = browser.ask("/sign-in/passkey").await;
    let answer = key.get(&page_origin(&nursery), &asked);
    let done = browser.sign_in("Dana Lead", PASSWORD, &answer).await;
    assert_eq!(done.status(), 303);
    nursery.close().await;
}

#[tokio::test]
async fn a_key_is_added_only_shortly_after_signing_in_and_only_from_here() {
    let nursery = Nursery::named().await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let elsewhere = kim.request(Method::GET, "/account/passkeys/options");
    let elsewhere = elsewhere.header("sec-fetch-site", "cross-site");
    assert_eq!(elsewhere.send().await.unwrap().status(), 403);
    nursery.clock.advance(SignedDuration::from_mins(16));
    let late = kim.get("/account/passkeys/options").await;
    assert!(told(late).await.contains("Sign in afresh"));
    let page = kim.get("/account").await.text().await.unwrap();
    assert!(page.contains("Sign out, to sign in afresh") && !page.contains("data-passkey"));
    nursery.close().await;
}

#[tokio::test]
async fn where_the_console_goes_by_an_address_it_says_what_keys_need() {
    let nursery = Nursery::open().await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let page = kim.get("/account").await.text().await.unwrap();
    assert!(page.contains("Passkeys need this console to have a name"));
    let asked = kim.get("/account/passkeys/options").await;
    assert_eq!(asked.status(), 409);
    let page = nursery
        .visitor()
        .get("/sign-in")
        .await
        .text()
        .await
        .unwrap();
    assert!(!page.contains("data-passkey"));
    nursery.close().await;
}
