//! Who raises, who reads and who never learns of a concern.

use super::incidents::goes_to;
use super::person::{Person, operator};
use crate::nursery::Nursery;
use nestwarden_server::storage::Role;

const BODY: &str = "he took pictures of her in the garden";

async fn says(person: &Person, path: &str) -> String {
    person.get(path).await.text().await.unwrap()
}

/// The address of the only concern this person is shown.
async fn shown_to(person: &Person) -> String {
    let page = says(person, "/concerns").await;
    let rest = page.split_once("href=\"/concerns/");
    rest.map_or_else(String::new, |(_, rest)| {
        format!("/concerns/{}", rest.split('"').next().unwrap())
    })
}

#[tokio::test]
async fn an_it_admin_raises_a_concern_and_only_the_dsl_and_deputies_read_it() {
    let nursery = Nursery::open().await;
    let sam = Person::of(&nursery, "Sam", &[Role::ItAdmin]).await;
    let dana = Person::of(&nursery, "Dana", &[Role::Dsl]).await;
    let eve = Person::of(&nursery, "Eve", &[Role::Deputy]).await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let ada = Person::of(&nursery, "Ada", &[Role::Auditor]).await;
    let empty = sam.post("/concerns", &[("body", " ")]).await;
    assert_eq!(empty.status(), 422);
    let raised = sam.post("/concerns", &[("body", BODY)]).await;
    assert_eq!(goes_to(&raised), "/concerns?done=raised");
    let path = shown_to(&dana).await;
    assert_eq!(shown_to(&eve).await, path);
    for reader in [&dana, &eve] {
        assert!(says(reader, &path).await.contains(BODY));
        let tasks = says(reader, "/tasks").await;
        assert!(
            tasks.contains("Read a concern and acknowledge it"),
            "{tasks}"
        );
        assert!(
            !tasks.contains("Sam") && !tasks.contains("garden"),
            "{tasks}"
        );
    }
    for other in [&sam, &kim, &ada] {
        assert_eq!(shown_to(other).await, "");
        let answer = other.get(&path).await;
        assert!(
            [403, 404].contains(&answer.status().as_u16()),
            "{}",
            other.name
        );
        for page in [
            "/",
            "/concerns",
            "/tasks",
            "/registers",
            "/incidents",
            "/reports",
        ] {
            let page = says(other, page).await;
            assert!(
                !page.contains("garden") && !page.contains("Read a concern"),
                "{}: {page}",
                other.name
            );
        }
    }
    assert!(says(&sam, "/concerns").await.contains("not read yet"));
    assert_eq!(
        dana.post(&path, &[("act", "acknowledge")]).await.status(),
        303
    );
    let after = says(&sam, "/concerns").await;
    assert!(
        after.contains("read <time") && !after.contains("Dana,"),
        "{after}"
    );
    let log = nursery.storage.audit_list(99).await.unwrap();
    let views = log.iter().filter(|entry| entry.act == "concern.view");
    assert_eq!(views.count(), 2);
    assert!(!format!("{log:?}").contains("garden"));
    nursery.close().await;
}

#[tokio::test]
async fn the_dsl_about_whom_an_allegation_was_made_sees_nothing_of_it_anywhere() {
    let nursery = Nursery::open().await;
    let dana = Person::of(&nursery, "Dana", &[Role::Dsl]).await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let sam = Person::of(&nursery, "Sam", &[Role::ItAdmin]).await;
    let found = nursery.storage.operator_by_name("Dana").await.unwrap();
    let part = found.unwrap().id.to_string();
    let pages = [
        "/",
        "/concerns",
        "/concerns?show=all",
        "/tasks",
        "/registers",
        "/incidents",
        "/incidents?show=all",
        "/holds",
        "/reports",
        "/people",
    ];
    let mut before = Vec::new();
    for page in pages {
        before.push(plain(&says(&dana, page).await));
    }
    let form = [("body", BODY), ("part", part.as_str())];
    assert_eq!(sam.post("/concerns", &form).await.status(), 303);
    let path = shown_to(&kim).await;
    let decide = [
        ("act", "decide"),
        ("decision", "allegation"),
        ("why", "as it stands"),
    ];
    assert_eq!(kim.post(&path, &decide).await.status(), 303);
    let incident = [
        ("act", "incident"),
        ("severity", "critical"),
        ("happened_at", "2026-03-02T07:30"),
        ("noticed_at", "2026-03-02T07:45"),
        ("facts", "An allegation."),
        ("managers", "yes"),
    ];
    let made = kim.post(&path, &incident).await;
    assert_eq!(made.status(), 303);
    let made = goes_to(&made);
    assert!(says(&kim, &made).await.contains("An allegation."));
    for hidden in [&path, &made] {
        assert_eq!(dana.get(hidden).await.status(), 404);
        let note = [("act", "note"), ("note", "x")];
        assert_eq!(dana.post(hidden, &note).await.status(), 404);
    }
    for (page, before) in pages.iter().zip(before) {
        assert_eq!(plain(&says(&dana, page).await), before, "{page}");
    }
    nursery.close().await;
}

#[tokio::test]
async fn where_everybody_is_part_of_it_nothing_is_kept_and_the_numbers_are_shown() {
    let nursery = Nursery::open().await;
    let sam = Person::of(&nursery, "Sam", &[Role::ItAdmin]).await;
    operator(&nursery, "Dana", &[Role::Dsl]).await;
    let people = nursery.storage.operator_list().await.unwrap();
    let ids: Vec<String> = people.iter().map(|person| person.id.to_string()).collect();
    let mut form = vec![("body", BODY)];
    form.extend(ids.iter().map(|id| ("part", id.as_str())));
    let before = nursery.storage.audit_list(99).await.unwrap();
    let answer = sam.post("/concerns", &form).await;
    assert_eq!(answer.status(), 422);
    let page = answer.text().await.unwrap();
    assert!(
        page.contains("Nothing was kept.") && page.contains("01632 960 001"),
        "{page}"
    );
    assert!(!page.contains(BODY));
    assert_eq!(nursery.storage.audit_list(99).await.unwrap(), before);
    // Somebody who is not there any more is not lost on the way to who may read it.
    let stranger = [
        ("body", BODY),
        ("part", "01890a5d-ac96-774b-bcce-b302099a8057"),
    ];
    assert_eq!(sam.post("/concerns", &stranger).await.status(), 422);
    nursery.close().await;
}

/// Without the keys of forms and the time of day, which differ from one look to the next.
fn plain(page: &str) -> String {
    let mut parts = page.split("name=\"form_key\" value=\"");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(part.split_once('"').map_or(part, |(_, rest)| rest));
    }
    text
}
