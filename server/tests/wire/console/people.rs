//! Who may come in, and who the DSL is.

use super::person::{Person, operator};
use crate::nursery::Nursery;
use nestwarden_server::storage::Role;

#[tokio::test]
async fn somebody_is_added_gets_a_link_another_role_and_is_removed_with_their_session() {
    let nursery = Nursery::open().await;
    let max = Person::of(&nursery, "Max", &[Role::Manager]).await;
    let kim = Person::of(&nursery, "Kim", &[Role::ItAdmin]).await;
    let added = [("name", "Ivy"), ("role", "auditor"), ("role", "it_admin")];
    let added = max.post("/people", &added).await;
    assert_eq!(added.status(), 200);
    assert!(added.text().await.unwrap().contains("/set-up?token="));
    let ivy = nursery
        .storage
        .operator_by_name("Ivy")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ivy.roles, [Role::ItAdmin, Role::Auditor].into());
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
    assert_eq!(kim.get("/enrol").await.status(), 200);
    let changed = max
        .post(&format!("/people/{id}/roles"), &[("role", "auditor")])
        .await;
    assert_eq!(changed.status(), 303, "{}", changed.text().await.unwrap());
    assert_eq!(kim.get("/enrol").await.status(), 403);
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
async fn who_covers_is_the_dsl_of_the_day() {
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
    nursery.close().await;
}

#[tokio::test]
async fn nobody_makes_a_second_person_of_themselves() {
    let nursery = Nursery::open().await;
    let max = Person::of(&nursery, "Max", &[Role::Manager]).await;
    let dana = operator(&nursery, "Dana", &[Role::Dsl]).await;
    let eve = operator(&nursery, "Eve", &[Role::Deputy]).await;
    let kim = operator(&nursery, "Kim", &[Role::Manager]).await;
    let before = nursery.storage.operator_list().await.unwrap();
    for person in [&dana, &eve, &kim] {
        for (act, form) in [
            ("invite", [("sure", "yes")]),
            ("remove", [("sure", "yes")]),
            ("roles", [("role", "auditor")]),
        ] {
            let path = format!("/people/{}/{act}", person.id);
            let answer = max.post(&path, &form).await;
            assert_eq!(answer.status(), 422, "{act} of {}", person.name);
            assert!(!answer.text().await.unwrap().contains("/set-up?token="));
        }
    }
    for role in ["manager", "deputy", "dsl"] {
        let form = [("name", "Second"), ("role", role)];
        assert_eq!(max.post("/people", &form).await.status(), 422, "{role}");
    }
    assert_eq!(nursery.storage.operator_list().await.unwrap(), before);
    nursery.close().await;
}
