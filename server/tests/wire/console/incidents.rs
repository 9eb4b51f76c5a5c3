//! Incidents: the breach clock, illegal content, errors by their field.

use super::person::Person;
use crate::nursery::Nursery;
use jiff::SignedDuration;
use nestwarden_server::storage::Role;

/// Where an answer sends the browser.
pub(super) fn goes_to(answer: &reqwest::Response) -> String {
    let to = answer.headers().get("location");
    to.map_or_else(String::new, |to| to.to_str().unwrap().to_owned())
}

const KIND: (&str, &str) = ("kind", "personal_data");
const BAD: (&str, &str) = ("severity", "serious");
const THEN: (&str, &str) = ("happened_at", "2026-03-02T07:30");
const KNOWN: (&str, &str) = ("noticed_at", "2026-03-02T07:45");
const FACTS: (&str, &str) = ("facts", "A list of names went to the wrong family.");

#[tokio::test]
async fn a_data_breach_shows_until_when_it_has_to_be_reported_in_the_settings_time() {
    let nursery = Nursery::open().await;
    nursery.holds_passcodes().await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let begun = kim
        .post("/incidents", &[KIND, BAD, THEN, KNOWN, FACTS])
        .await;
    assert_eq!(begun.status(), 303, "{}", begun.text().await.unwrap());
    let path = goes_to(&begun);
    let page = async || kim.get(&path).await.text().await.unwrap();
    let says = page().await;
    assert!(says.contains("5 Mar 2026, 07:45 GMT"), "{says}");
    assert!(
        says.contains("hours left") && says.contains(FACTS.1),
        "{says}"
    );
    let tasks = kim.get("/tasks").await.text().await.unwrap();
    assert!(
        tasks.contains("Report a personal-data breach, or say why not"),
        "{tasks}"
    );

    nursery.clock.advance(SignedDuration::from_hours(80));
    let mut kim = kim;
    kim.sign_in(&nursery).await;
    let says = kim.get(&path).await.text().await.unwrap();
    assert!(
        says.contains("hours over") && says.contains("report it all the same"),
        "{says}"
    );
    let reported = [
        ("act", "reported"),
        ("at", "2026-03-05T15:00"),
        ("note", "by telephone"),
    ];
    assert_eq!(kim.post(&path, &reported).await.status(), 303);
    let says = kim.get(&path).await.text().await.unwrap();
    assert!(says.contains("After 72 hours"), "{says}");
    nursery.close().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_by_its_field_and_what_was_typed_stays() {
    let nursery = Nursery::open().await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let late = ("noticed_at", "2031-01-01T08:00");
    let refused = kim
        .post("/incidents", &[KIND, BAD, THEN, late, FACTS])
        .await;
    assert_eq!(refused.status(), 422);
    let says = refused.text().await.unwrap();
    assert!(
        says.contains("id=\"open-noticed_at-wrong\">This time is still to come"),
        "{says}"
    );
    assert!(
        says.contains("aria-describedby=\"open-noticed_at-wrong\""),
        "{says}"
    );
    assert!(says.contains(FACTS.1) && says.contains(late.1), "{says}");
    let empty = kim.post("/incidents", &[KIND, BAD, THEN, KNOWN]).await;
    assert!(empty.text().await.unwrap().contains("open-facts-wrong"));
    // Illegal content has a page of its own.
    let illegal = [("kind", "illegal_content"), BAD, THEN, KNOWN, FACTS];
    assert_eq!(kim.post("/incidents", &illegal).await.status(), 422);
    let list = kim.get("/incidents?show=all").await.text().await.unwrap();
    assert!(list.contains("No incident here."), "{list}");
    nursery.close().await;
}

#[tokio::test]
async fn illegal_content_freezes_its_tablet_and_is_for_the_dsl_and_deputies_alone() {
    let nursery = Nursery::open().await;
    nursery.holds_passcodes().await;
    let tablet = nursery.enrolled().await.id.to_string();
    let dana = Person::of(&nursery, "Dana", &[Role::Dsl]).await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let form = [BAD, THEN, KNOWN, FACTS, ("device", tablet.as_str())];
    assert_eq!(
        kim.post("/incidents/illegal-content", &form).await.status(),
        403
    );
    let begun = dana.post("/incidents/illegal-content", &form).await;
    assert_eq!(begun.status(), 303);
    let path = goes_to(&begun);
    assert_eq!(kim.get(&path).await.status(), 404);
    assert!(
        !kim.get("/incidents")
            .await
            .text()
            .await
            .unwrap()
            .contains(&path)
    );
    assert!(
        !kim.get("/tasks")
            .await
            .text()
            .await
            .unwrap()
            .contains("Illegal content")
    );
    let says = dana.get(&path).await.text().await.unwrap();
    assert!(says.contains("The tablet is frozen"), "{says}");
    let commands = format!("/tablets/{tablet}/commands");
    for ask in ["unenrol", "new_passcode"] {
        let asked = kim
            .post(&commands, &[("ask", ask), ("reason", "hide it")])
            .await;
        assert_eq!(asked.status(), 409, "{ask}");
    }
    let set = [("why", "due"), ("chosen", "suggested")];
    let set = kim.post(&format!("/tablets/{tablet}/passcode"), &set).await;
    assert_eq!(set.status(), 409);

    let close = [("act", "close"), ("outcome", "referred_police")];
    assert_eq!(dana.post(&path, &close).await.status(), 422);
    for step in ["isolate", "hands_off", "police", "lado", "regulator"] {
        let done = [("act", "step"), ("step", step), ("at", "2026-03-02T08:00")];
        assert_eq!(dana.post(&path, &done).await.status(), 303, "{step}");
    }
    let debrief = [
        ("act", "debrief"),
        ("happened", "a"),
        ("lesson", "b"),
        ("change", "c"),
    ];
    assert_eq!(dana.post(&path, &debrief).await.status(), 303);
    assert_eq!(dana.post(&path, &close).await.status(), 303);
    nursery.close().await;
}

#[tokio::test]
async fn whoever_is_left_out_of_illegal_content_finds_its_hold_nowhere_and_nobody_releases_it_too_early()
 {
    let nursery = Nursery::open().await;
    nursery.holds_passcodes().await;
    let tablet = nursery.enrolled().await.id.to_string();
    let mut dana = Person::of(&nursery, "Dana", &[Role::Dsl]).await;
    let mut eve = Person::of(&nursery, "Eve", &[Role::Deputy]).await;
    let eve_is = nursery.storage.operator_by_name("Eve").await;
    let eve_is = eve_is.unwrap().unwrap().id.to_string();
    let part = ("part", eve_is.as_str());
    let form = [BAD, THEN, KNOWN, FACTS, ("device", tablet.as_str()), part];
    let begun = dana.post("/incidents/illegal-content", &form).await;
    assert_eq!(begun.status(), 303);
    let incident = goes_to(&begun);
    let hold = nursery.storage.hold_list().await.unwrap()[0].hold.id;
    let at = |act: &str| format!("/holds/{hold}/{act}");

    let early = dana.post(&at("release"), &[]).await;
    assert_eq!(early.status(), 409);
    let says = early.text().await.unwrap();
    assert!(says.contains("still open. Finish that first"), "{says}");
    for act in ["release", "review"] {
        assert_eq!(eve.post(&at(act), &[]).await.status(), 404, "{act}");
    }

    // When its review is due it is a task.
    nursery.clock.advance(SignedDuration::from_hours(27 * 24));
    for person in [&mut dana, &mut eve] {
        person.sign_in(&nursery).await;
    }
    nursery.looks_for_tasks().await;
    let shows = async |person: &Person, path: &str, what: &str| {
        let page = person.get(path).await.text().await.unwrap();
        page.contains(what)
    };
    let review = format!("Review hold {hold}");
    for (path, what) in [
        ("/holds", hold.to_string()),
        ("/tasks", review),
        ("/", "Open holds</dt><dd>1<".to_owned()),
        (incident.as_str(), "The tablet is frozen".to_owned()),
    ] {
        assert!(shows(&dana, path, &what).await, "{path}");
        assert!(!shows(&eve, path, &what).await, "{path}");
    }
    nursery.close().await;
}

#[tokio::test]
async fn the_words_of_a_line_are_erased_by_two_people_with_a_reason_and_the_line_stays() {
    let nursery = Nursery::open().await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let begun = kim
        .post("/incidents", &[KIND, BAD, THEN, KNOWN, FACTS])
        .await;
    let path = goes_to(&begun);
    let erase = [("act", "erase"), ("line", "1")];
    assert_eq!(kim.post(&path, &erase).await.status(), 422);
    let ask = [
        ("act", "ask_erase"),
        ("line", "1"),
        ("why", "named a child"),
    ];
    assert_eq!(kim.post(&path, &ask[..2]).await.status(), 422);
    assert_eq!(kim.post(&path, &ask).await.status(), 303);
    assert_eq!(kim.post(&path, &erase).await.status(), 422);
    let dana = Person::of(&nursery, "Dana", &[Role::Dsl]).await;
    assert!(
        dana.get(&path)
            .await
            .text()
            .await
            .unwrap()
            .contains("as a second person")
    );
    assert_eq!(dana.post(&path, &erase).await.status(), 303);
    let says = kim.get(&path).await.text().await.unwrap();
    assert!(
        !says.contains(FACTS.1) && says.contains("named a child"),
        "{says}"
    );
    assert!(says.contains("Began it."), "{says}");
    nursery.close().await;
}
