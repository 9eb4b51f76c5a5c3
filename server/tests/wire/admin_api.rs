//! The admin API as it is described, and what is shown to whoever watches servers.

use crate::nursery::Nursery;
use nestwarden_server::http::router::{Requires, people_routes};
use nestwarden_server::storage::Role;
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeSet;

const DESCRIPTION: &str = "/admin/v1/openapi.json";

#[tokio::test]
async fn every_route_for_programs_is_described_with_what_it_requires_and_nothing_else_is() {
    let nursery = Nursery::open().await;
    let answer = nursery.visitor().get(DESCRIPTION).await;
    assert_eq!(answer.headers()["content-type"], "application/json");
    let description: Value = answer.json().await.unwrap();
    let mut described = BTreeSet::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, what) in methods.as_object().unwrap() {
            // Nothing said: what holds for all, a token.
            let is_open = what["security"].as_array().is_some_and(Vec::is_empty);
            described.insert((method.to_uppercase(), path.clone(), is_open));
        }
    }
    let routes = people_routes().into_iter().filter_map(|route| {
        let for_programs = route.path.starts_with("/admin/")
            || matches!(route.requires, Requires::Token(_))
            || route.path == "/healthz";
        let is_open = route.requires == Requires::Nothing;
        for_programs.then(|| (route.method.to_string(), route.path.to_owned(), is_open))
    });
    assert_eq!(described, routes.collect());
    nursery.close().await;
}

#[tokio::test]
async fn what_is_watched_is_counts_and_needs_a_token() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    let visitor = nursery.visitor();
    assert_eq!(visitor.get("/metrics").await.status(), 401);
    let token = nursery.operator_token_of([Role::ItAdmin].into()).await;
    let request = visitor.request(Method::GET, "/metrics").bearer_auth(token);
    let answer = request.send().await.unwrap();
    let kind = answer.headers()["content-type"].clone();
    assert!(
        kind.to_str()
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    let text = answer.text().await.unwrap();
    for line in [
        "nestwarden_up 1",
        "nestwarden_tablets{standing=\"not_checked\"} 1",
        "nestwarden_tablets{standing=\"ready\"} 0",
        "nestwarden_tablets_never_reported 1",
        "nestwarden_tasks{state=\"overdue\"} 0",
        "nestwarden_mails{state=\"waiting\"} 0",
    ] {
        assert!(text.lines().any(|said| said == line), "{line} in {text}");
    }
    assert!(!text.contains("oldest_report_seconds"), "none reported");
    assert!(!text.contains(&tablet.id.to_string()), "{text}");
    nursery.close().await;
}
