//! Another program sends the register.

use crate::nursery::{Nursery, Tablet, told};
use crate::support::start;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use nestwarden_server::domain::profile;
use nestwarden_server::storage::Role;
use reqwest::{Method, Response};
use serde_json::{Value, json};

const PATH: &str = "/admin/v1/imports";

struct Sender {
    nursery: Nursery,
    visitor: Tablet,
    token: String,
}

impl Sender {
    async fn new(role: Role) -> Self {
        let nursery = Nursery::open().await;
        profile::apply(&nursery.storage, EARLY_YEARS, "os:test", start())
            .await
            .unwrap();
        Self {
            visitor: nursery.visitor(),
            token: nursery.operator_token_of([role].into()).await,
            nursery,
        }
    }

    async fn send(&self, flags: &str, key: &str, body: &Value) -> Response {
        let request = self
            .visitor
            .request(Method::POST, &format!("{PATH}{flags}"))
            .bearer_auth(&self.token)
            .header("idempotency-key", key)
            .json(body);
        request.send().await.unwrap()
    }

    async fn ok(&self, flags: &str, key: &str, body: &Value) -> Value {
        let response = self.send(flags, key, body).await;
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    async fn children(&self) -> usize {
        self.nursery.storage.child_list().await.unwrap().len()
    }
}

fn child(number: usize, answer: &str) -> Value {
    json!({
        "reference": format!("A{number}"), "first_name": "Ann", "last_name": "Bee",
        "rooms": ["Owls"], "answers": { "website": { "answer": answer } }
    })
}

fn children(answer: &str) -> Value {
    json!({ "children": (0..8).map(|n| child(n, answer)).collect::<Vec<_>>() })
}

#[tokio::test]
async fn the_same_import_under_the_same_key_is_made_once() {
    let sender = Sender::new(Role::ItAdmin).await;
    let dry = sender.ok("?dry_run=true", "k1", &children("Yes")).await;
    assert_eq!(
        (&dry["imported"], sender.children().await),
        (&json!(false), 0)
    );
    let first = sender.ok("", "k1", &children("Yes")).await;
    assert_eq!(first["imported"], true);
    assert_eq!(first["counts"]["new_children"], 8);
    let again = sender.ok("", "k1", &children("Yes")).await;
    assert_eq!(again, first);
    let dry = sender.ok("?dry_run=true", "k1", &children("Yes")).await;
    assert_eq!(dry["imported"], false);
    let acts = sender.nursery.storage.audit_list(50).await.unwrap();
    let imports = acts
        .iter()
        .filter(|act| act.act == "consent.import")
        .count();
    assert_eq!(imports, 1);
    let other = told(sender.send("", "k1", &children("No")).await).await;
    assert!(other.starts_with("409 import_key_reused: "), "{other}");
    sender.nursery.close().await;
}

#[tokio::test]
async fn a_large_change_waits_for_whoever_may_confirm_it() {
    for (role, status) in [(Role::ItAdmin, 403), (Role::Manager, 200)] {
        let sender = Sender::new(role).await;
        sender.ok("", "k1", &children("Yes")).await;
        let stopped = sender.send("", "k2", &children("No")).await;
        assert_eq!(stopped.status(), 409);
        let stopped: Value = stopped.json().await.unwrap();
        assert_eq!(stopped["code"], "import_needs_confirmation");
        assert_eq!(stopped["counts"]["lapsing"], 8);
        let confirmed = sender.send("?confirm=true", "k2", &children("No")).await;
        assert_eq!(confirmed.status(), status);
        sender.nursery.close().await;
    }
}

#[tokio::test]
async fn every_mistake_is_told_with_its_place_and_value() {
    let sender = Sender::new(Role::Manager).await;
    let mut wrong_date = child(0, "Yes");
    wrong_date["leave"] = json!("31/31/2026");
    let mut unknown_key = child(0, "Yes");
    unknown_key["colour"] = json!("red");
    let mut unknown_purpose = child(0, "Yes");
    unknown_purpose["answers"] = json!({ "webiste": "Yes" });
    let mut number = child(0, "Yes");
    number["first_name"] = json!(7);
    let mut future = child(0, "Yes");
    future["answers"]["website"]["answered"] = json!("2027-01-01");
    let mut room = child(0, "Yes");
    room["rooms"] = json!(["x".repeat(61)]);
    for (child, path, value) in [
        (wrong_date, "children[0].leave", "31/31/2026"),
        (unknown_key, "children[0].colour", "red"),
        (unknown_purpose, "children[0].answers.webiste", "Yes"),
        (number, "children[0].first_name", "7"),
        (future, "children[0].answers.website.answered", "2027-01-01"),
        (room, "children[0].rooms", &"x".repeat(60)),
        (json!([]), "children[0]", "[]"),
    ] {
        let response = sender.send("", "k", &json!({ "children": [child] })).await;
        assert_eq!(response.status(), 400, "{path}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["code"], "import_refused");
        let refusal = &body["refusals"][0];
        assert_eq!(refusal["path"], path, "{body}");
        assert_eq!(refusal["value"], value, "{body}");
    }
    let twice = json!({ "children": [child(1, "Yes"), child(1, "No")] });
    let body: Value = sender.send("", "k", &twice).await.json().await.unwrap();
    assert_eq!(body["refusals"][0]["path"], "children[1].reference");
    assert_eq!(body["refusals"][0]["reference"], "A1");
    for body in [
        json!({}),
        json!([]),
        json!({ "children": [] }),
        json!({ "children": 1, "x": 2 }),
    ] {
        assert_eq!(sender.send("", "k", &body).await.status(), 400, "{body}");
    }
    assert_eq!(sender.children().await, 0);
    sender.nursery.close().await;
}

#[tokio::test]
async fn an_import_needs_a_role_a_key_and_flags_that_exist() {
    let sender = Sender::new(Role::Auditor).await;
    let refused = told(sender.send("", "k", &children("Yes")).await).await;
    insta::assert_snapshot!(refused, @"403 not_allowed: sam may not import a register; that is for a manager, the DSL, a deputy or an IT admin");
    sender.nursery.close().await;
    let sender = Sender::new(Role::Manager).await;
    let keyless = sender
        .visitor
        .request(Method::POST, PATH)
        .bearer_auth(&sender.token);
    let refused = told(keyless.json(&children("Yes")).send().await.unwrap()).await;
    assert!(
        refused.starts_with("400 import_key_required: "),
        "{refused}"
    );
    for flags in ["?dryrun=true", "?confirm=maybe"] {
        let refused = told(sender.send(flags, "k", &children("Yes")).await).await;
        assert!(refused.starts_with("400 flags_invalid: "), "{refused}");
    }
    assert_eq!(sender.children().await, 0);
    sender.nursery.close().await;
}
