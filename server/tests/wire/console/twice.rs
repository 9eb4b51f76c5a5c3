//! Forms that are sent again: pressed twice, or after going back.

use super::importing::nursery_with_children;
use super::person::{PASSWORD, Person, SECRET, cookie, encoded, key_in, origin};
use crate::nursery::Nursery;
use jiff::SignedDuration;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use nestwarden_server::domain::account::session::form_token;
use nestwarden_server::domain::account::totp::code_now;
use nestwarden_server::domain::profile;
use nestwarden_server::storage::Role;
use reqwest::Method;

async fn done(nursery: &Nursery, act: &str) -> usize {
    let acts = nursery.storage.audit_list(99).await.unwrap();
    acts.iter().filter(|entry| entry.act == act).count()
}

#[tokio::test]
async fn a_form_sent_twice_is_done_once_and_both_read_what_came_of_it() {
    let nursery = Nursery::open().await;
    profile::apply(&nursery.storage, EARLY_YEARS, "os:test", nursery.now())
        .await
        .unwrap();
    let person = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let (key, other) = (person.key().await, person.key().await);
    let wanted = [("name", "Ladybird-1"), ("profile", "early-years")];
    let send = async |key: &str| {
        let answer = person.post_with(key, "/enrol", &wanted).await;
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    };
    let (first, second) = tokio::join!(send(&key), send(&key));
    assert_eq!(first, second);
    assert_eq!(send(&key).await, first);
    assert_eq!(done(&nursery, "enrol_token.create").await, 1);

    // Another form, or the same after going back and choosing something else, is another act.
    assert_ne!(send(&other).await, first);
    let changed = [("name", "Ladybird-2"), ("profile", "early-years")];
    let changed = person.post_with(&key, "/enrol", &changed).await;
    assert_eq!(changed.status(), 200);
    assert_eq!(done(&nursery, "enrol_token.create").await, 3);
    nursery.close().await;
}

#[tokio::test]
async fn what_was_refused_is_judged_again() {
    let nursery = Nursery::open().await;
    let person = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let key = person.key().await;
    let wanted = [("name", "Ladybird-1"), ("profile", "early-years")];
    let refused = person.post_with(&key, "/enrol", &wanted).await;
    assert_eq!(refused.status(), 422);
    profile::apply(&nursery.storage, EARLY_YEARS, "os:test", nursery.now())
        .await
        .unwrap();
    let done = person.post_with(&key, "/enrol", &wanted).await;
    assert_eq!(done.status(), 200);
    nursery.close().await;
}

#[tokio::test]
async fn a_form_that_no_page_of_this_process_showed_changes_nothing_and_says_so() {
    let nursery = Nursery::open().await;
    let person = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    for key in ["", "0.0.00"] {
        let answer = person.post_with(key, "/sign-out", &[]).await;
        assert_eq!(answer.status(), 409, "{key}");
        let said = answer.text().await.unwrap();
        assert!(said.contains("nothing was changed"), "{said}");
    }
    assert_eq!(person.get("/").await.status(), 200);
    nursery.close().await;
}

#[tokio::test]
async fn signing_in_and_out_may_be_pressed_twice() {
    let nursery = Nursery::open().await;
    let person = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let signed_out = [
        person.post("/sign-out", &[]).await,
        person.post("/sign-out", &[]).await,
    ];
    assert!(signed_out.iter().all(|answer| answer.status() == 303));

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
    ];
    let send = async || {
        let request = browser.request(Method::POST, "/sign-in");
        let request = request.header("cookie", format!("__Host-nestwarden-form={secret}"));
        let request = request.header("origin", origin(&browser));
        let answer = request.body(encoded(&fields)).send().await.unwrap();
        assert_eq!(answer.status(), 303);
        cookie(&answer, "__Host-nestwarden")
    };
    let (first, second) = tokio::join!(send(), send());
    assert_eq!(first, second);
    nursery.close().await;
}

#[tokio::test]
async fn hold_pressed_twice_on_the_way_to_a_withdrawal_is_one_hold_and_leads_back() {
    let (nursery, person) = nursery_with_children(Role::Dsl).await;
    let child = nursery.storage.child_list().await.unwrap()[0]
        .id
        .to_string();
    let withdrawal = format!("/children/{child}/withdraw?purpose=website");
    let page = person.get(&withdrawal).await.text().await.unwrap();
    assert!(
        page.contains("name=\"withdrawing\" value=\"website\""),
        "{page}"
    );
    let fields = [
        ("child", child.as_str()),
        ("withdrawing", "website"),
        ("category", "safeguarding"),
    ];
    let key = person.key().await;
    for _ in 0..2 {
        let answer = person.post_with(&key, "/holds", &fields).await;
        assert_eq!(answer.status(), 303);
        let to = answer.headers()["location"].to_str().unwrap().to_owned();
        assert_eq!(to, format!("{withdrawal}&done=held"));
        let page = person.get(&to).await.text().await.unwrap();
        assert!(page.contains("Held.") && page.contains("<button class=\"main\">Withdraw"));
        assert!(page.contains("A hold on this child is open."));
    }
    assert_eq!(nursery.storage.hold_list().await.unwrap().len(), 1);
    nursery.close().await;
}
