//! Who may come in, and who the DSL is.

use super::person::{Person, operator};
use crate::nursery::Nursery;
use nestwarden_server::storage::Role;

#[tokio::test]
async fn somebody_is_added_gets_a_link_another_role_and_is_removed_with_their_session() {
    let nursery = Nursery::open().await;
    let max = Person::of(&nursery, "Max", &[Role::Manager]).await;
    let kim = Person::of(&nursery, "Kim", &[Role::Deputy]).await;
    let added = [("name", "Ivy"), ("role", "auditor"), ("role", "manager")];
    let added = max.post("/people", &added).await;
    assert_eq!(added.status(), 200);
    assert!(added.text().await.unwrap().contains("/set-up?token="));
    let ivy = nursery
        .storage
        .operator_by_name("Ivy")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ivy.roles, [Role::Manager, Role::Auditor].into());
    for name in ["ivy", "MAX", ""] {
        let again = max
            .post("/people", &[("name", name), ("role", "auditor")])
            .await;
        assert_eq!(again.status(), 422, "{name}");
    }

    let id = nursery
        .storage
        .operator_by_name("Kim")
        .await
        .unwrap()
        .unwrap()
        .id;
    assert_eq!(kim.get("/holds").await.status(), 200);
    let changed = max
        .post(&format!("/people/{id}/roles"), &[("role", "auditor")])
        .await;
    assert_eq!(changed.status(), 303, "{}", changed.text().await.unwrap());
    assert_eq!(kim.get("/holds").await.status(), 403);
    assert_eq!(kim.get("/").await.status(), 200);
    let unsure = max.post(&format!("/people/{id}/remove"), &[]).await;
    assert_eq!(unsure.status(), 422);
    assert_eq!(
        max.post(&format!("/people/{id}/remove"), &[("sure", "yes")])
            .await
            .status(),
        303
    );
    let gone = kim.get("/").await;
    assert!(
        gone.headers()["location"]
            .to_str()
            .unwrap()
            .starts_with("/sign-in")
    );
    assert_eq!(max.get(&format!("/people/{id}")).await.status(), 404);
    nursery.close().await;
}

#[tokio::test]
async fn the_lead_is_handed_over_and_who_covers_is_the_dsl_of_the_day() {
    let nursery = Nursery::open().await;
    let dana = Person::of(&nursery, "Dana", &[Role::Dsl]).await;
    let eve = operator(&nursery, "Eve", &[Role::Deputy]).await;
    let holds = async || dana.get("/holds").await.text().await.unwrap();
    assert!(
        holds()
            .await
            .contains("The DSL today is <strong>Dana</strong>")
    );
    let today = nursery
        .now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date()
        .to_string();
    let days = [("first", today.as_str()), ("last", today.as_str())];
    let cover = format!("/people/{}/cover", eve.id);
    assert_eq!(dana.post(&cover, &days).await.status(), 303);
    assert!(
        holds()
            .await
            .contains("The DSL today is <strong>Eve</strong>, who covers")
    );
    assert_eq!(
        dana.post(&cover, &[("first", today.as_str())])
            .await
            .status(),
        422
    );
    assert_eq!(dana.post(&cover, &[]).await.status(), 303);
    let lead = format!("/people/{}/lead", eve.id);
    assert_eq!(dana.post(&lead, &[]).await.status(), 303);
    let people = nursery.storage.operator_list().await.unwrap();
    let leads: Vec<&str> = people
        .iter()
        .filter(|p| p.roles.contains(&Role::Dsl))
        .map(|p| p.name.as_str())
        .collect();
    assert_eq!(leads, ["Eve"]);
    // Who is a deputy now manages nobody.
    assert_eq!(dana.get("/people").await.status(), 403);
    nursery.close().await;
}
