//! The console, as a browser meets it.

mod alerts;
mod apps;
#[path = "../../../src/domain/account/authenticator.rs"]
mod authenticator;
mod concerns;
mod custody;
mod importing;
mod incidents;
mod orders;
mod passcode;
mod passkeys;
mod people;
mod person;
mod profiles;
mod refusals;
mod reports;
mod roles;
mod rollout;
mod sign_in;
mod staff;
mod tablets;
mod twice;
mod videos;

use crate::nursery::Nursery;
use nestwarden_server::storage::Role;
use person::Person;

/// Every page without a parameter.
const PAGES: [&str; 21] = [
    "/",
    "/account",
    "/tablets",
    "/profiles",
    "/enrol",
    "/consents",
    "/consents/import",
    "/holds",
    "/tasks",
    "/receipts",
    "/reports",
    "/reports?period=week",
    "/people",
    "/registers",
    "/incidents",
    "/concerns",
    "/staff",
    "/aup",
    "/custody",
    "/apps",
    "/videos",
];

#[tokio::test]
async fn every_page_loads_nothing_from_elsewhere_and_runs_nothing_of_its_own() {
    let nursery = Nursery::open().await;
    let person = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    for path in PAGES {
        let answer = person.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-frame-options"), "DENY");
        insta::allow_duplicates! {
            insta::assert_snapshot!(header("content-security-policy"), @"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'");
        }
        let page = answer.text().await.unwrap();
        for wrong in ["<style", "style=", "onclick", "http://", "<script>"] {
            assert!(!page.contains(wrong), "{path} has {wrong}");
        }
        assert_eq!(page.matches("<h1>").count(), 1, "{path}");
        assert!(page.contains("lang=\"en-GB\""), "{path}");
    }
    nursery.close().await;
}

#[tokio::test]
async fn a_browser_that_asks_for_what_is_not_there_reads_a_page_and_a_program_reads_json() {
    let nursery = Nursery::open().await;
    let visitor = nursery.visitor();
    let ask = async |accept: &str| {
        let request = visitor.request(reqwest::Method::GET, "/nowhere");
        let answer = request.header("accept", accept).send().await.unwrap();
        assert_eq!(answer.status(), 404);
        answer.text().await.unwrap()
    };
    let page = ask("text/html,*/*;q=0.8").await;
    assert!(page.contains("There is nothing at this address;") && page.contains("request <code>"));
    assert!(ask("*/*").await.contains("\"request_id\":"));
    nursery.close().await;
}
