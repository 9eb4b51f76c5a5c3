//! What is refused before any page is asked: calm, in words, and protected like a page.

use super::person::Person;
use crate::nursery::Nursery;
use nestwarden_server::storage::Role;
use reqwest::Method;
use sqlx::{Connection as _, SqliteConnection};

#[tokio::test]
async fn every_answer_is_protected_and_what_cannot_be_read_is_answered_by_a_page() {
    let nursery = Nursery::open().await;
    let person = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    for (method, path, status, says) in [
        (Method::GET, "/nowhere", 404, "start from the overview"),
        (
            Method::DELETE,
            "/consents",
            405,
            "from the page it belongs to",
        ),
        (Method::GET, "/children/%FF", 400, "start from the overview"),
        (
            Method::GET,
            "/sign-in?next=%2F&next=%2F",
            400,
            "his address cannot be read",
        ),
    ] {
        for accept in ["text/html", "application/json"] {
            let request = person
                .request(method.clone(), path)
                .header("accept", accept);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), status, "{path}");
            let header = |name| answer.headers()[name].to_str().unwrap().to_owned();
            let policy = header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'"), "{policy}");
            assert_eq!(header("x-frame-options"), "DENY");
            assert_eq!(header("x-content-type-options"), "nosniff");
            let said = answer.text().await.unwrap();
            assert!(said.contains(says), "{said}");
            let has_page = said.contains("<h1>That did not work</h1>");
            assert_eq!(has_page, accept == "text/html", "{said}");
        }
    }
    nursery.close().await;
}

#[tokio::test]
async fn whoever_asks_for_another_name_reads_by_which_the_console_is_known() {
    let nursery = Nursery::open().await;
    let person = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let ask = async |host: &str| {
        let request = person.request(Method::GET, "/consents");
        request.header("host", host).send().await.unwrap()
    };
    let ours = ask(&format!("localhost:{}", nursery.people.port())).await;
    assert_eq!(ours.status(), 200);
    let rebound = ask(&format!("rebound.example:{}", nursery.people.port())).await;
    assert_eq!(rebound.status(), 421);
    let said = rebound.text().await.unwrap();
    let address = format!("Open https://{}", nursery.people);
    assert!(
        said.contains(&address) && !said.contains("Children"),
        "{said}"
    );
    nursery.close().await;
}

/// Waits as long as the database does for its lock.
#[tokio::test]
async fn while_something_else_keeps_the_database_locked_a_form_is_to_be_sent_again_in_a_minute() {
    let nursery = Nursery::open().await;
    let person = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let key = person.key().await;
    let path = nursery.dir.path().join("nestwarden.db");
    let mut other = SqliteConnection::connect(path.to_str().unwrap())
        .await
        .unwrap();
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let refused = person.post_with(&key, "/sign-out", &[]).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "60");
    insta::assert_snapshot!(
        crate::nursery::told(refused).await,
        @"503 storage_unavailable: nothing was changed: the server's database is busy; try again in a minute"
    );
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    let done = person.post_with(&key, "/sign-out", &[]).await;
    assert_eq!(done.status(), 303);
    nursery.close().await;
}
