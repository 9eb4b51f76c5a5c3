//! Staff, the policy they acknowledge, and who has which tablet.

use super::incidents::goes_to;
use super::person::Person;
use crate::nursery::Nursery;
use nestwarden_server::domain::people;
use nestwarden_server::storage::Role;

const ROSA: [(&str, &str); 3] = [
    ("name", "Rosa Reed"),
    ("job", "practitioner"),
    ("start", "2026-01-05"),
];
const POLICY: [(&str, &str); 3] = [
    ("audience", "staff"),
    ("version", "2026-1"),
    ("from", "2026-01-01"),
];

async fn says(person: &Person, path: &str) -> String {
    person.get(path).await.text().await.unwrap()
}

async fn tasks(nursery: &Nursery, person: &Person) -> String {
    nursery.looks_for_tasks().await;
    says(person, "/tasks").await
}

/// What stands between these two on a page.
fn between<'p>(page: &'p str, before: &str, after: &str) -> &'p str {
    let rest = page.split_once(before).map_or("", |(_, rest)| rest);
    rest.split(after).next().unwrap_or_default()
}

#[tokio::test]
async fn a_tablet_goes_only_to_somebody_who_acknowledged_the_policy_and_only_once() {
    let nursery = Nursery::open().await;
    nursery.holds_passcodes().await;
    let tablet = nursery.enrolled().await.id.to_string();
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let added = kim.post("/staff", &ROSA).await;
    assert_eq!(added.status(), 303, "{}", added.text().await.unwrap());
    let rosa = goes_to(&added);
    let id = rosa.trim_start_matches("/staff/").to_owned();
    let out = [
        ("act", "out"),
        ("device", tablet.as_str()),
        ("staff", id.as_str()),
        ("due", "2026-03-02T23:00"),
        ("purpose", "register, Ladybirds"),
    ];
    let refused = kim.post("/custody", &out).await;
    assert_eq!(refused.status(), 422);
    assert!(
        refused
            .text()
            .await
            .unwrap()
            .contains("have not acknowledged")
    );

    assert_eq!(kim.post("/aup", &POLICY).await.status(), 303);
    let page = says(&kim, &rosa).await;
    let version = between(&page, "<select name=\"version\"><option value=\"", "\"").to_owned();
    let open = tasks(&nursery, &kim).await;
    assert!(
        open.contains("have not acknowledged the acceptable use policy"),
        "{open}"
    );
    let agrees = [
        ("act", "acknowledge"),
        ("version", version.as_str()),
        ("on", "2026-03-02"),
        ("method", "on_paper"),
    ];
    assert_eq!(kim.post(&rosa, &agrees).await.status(), 303);
    assert!(
        !tasks(&nursery, &kim)
            .await
            .contains("have not acknowledged")
    );
    assert_eq!(kim.post("/custody", &out).await.status(), 303);
    let again = kim.post("/custody", &out).await;
    assert_eq!(again.status(), 422);
    assert!(again.text().await.unwrap().contains("out-device-wrong"));

    // Nobody but a manager says that it is back which nobody signed in, and a manager says why.
    let list = says(&kim, "/custody").await;
    let custody = format!("/custody/{}", between(&list, "href=\"/custody/", "\""));
    let dana = Person::of(&nursery, "Dana", &[Role::Dsl]).await;
    let forced = [("act", "forced"), ("reason", "it lay in the office")];
    assert_eq!(dana.post(&custody, &forced).await.status(), 422);
    assert_eq!(kim.post(&custody, &forced[..1]).await.status(), 422);
    assert_eq!(kim.post(&custody, &forced).await.status(), 303);
    assert!(says(&kim, &custody).await.contains("Found to be back."));
    nursery.close().await;
}

#[tokio::test]
async fn a_tablet_that_is_not_back_or_missing_at_closing_is_a_task() {
    let nursery = Nursery::open().await;
    nursery.holds_passcodes().await;
    nursery.enrolled().await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let counted = kim.post("/custody", &[("act", "count")]).await;
    assert_eq!(counted.status(), 303);
    let open = tasks(&nursery, &kim).await;
    assert!(open.contains("was neither here nor signed out"), "{open}");
    assert!(says(&kim, "/custody").await.contains("1 missing"));
    let device = nursery
        .storage
        .device_list()
        .await
        .unwrap()
        .remove(0)
        .id
        .to_string();
    nursery.clock.advance(jiff::SignedDuration::from_secs(1));
    let found = [("act", "count"), ("here", device.as_str())];
    assert_eq!(kim.post("/custody", &found).await.status(), 303);
    assert!(!tasks(&nursery, &kim).await.contains("was neither here"));
    nursery.close().await;
}

#[tokio::test]
async fn why_somebody_is_suspended_is_for_managers_and_the_dsl_and_not_for_themselves() {
    let nursery = Nursery::open().await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let mut dana = Person::of(&nursery, "Dana", &[Role::Dsl]).await;
    let eve = Person::of(&nursery, "Eve", &[Role::Deputy]).await;
    let dana_id = nursery
        .storage
        .operator_by_name("Dana")
        .await
        .unwrap()
        .unwrap()
        .id;
    let dana_id = dana_id.to_string();
    let mut form = ROSA.to_vec();
    form.push(("operator", dana_id.as_str()));
    let rosa = goes_to(&kim.post("/staff", &form).await);
    let suspend = [("act", "suspend"), ("why", "while it is looked into")];
    for (not, name) in [(&eve, "a deputy"), (&dana, "herself")] {
        assert_eq!(not.post(&rosa, &suspend).await.status(), 422, "{name}");
    }
    assert_eq!(kim.post(&rosa, &suspend).await.status(), 303);
    assert!(says(&kim, &rosa).await.contains("while it is looked into"));
    // She was signed out.
    dana.sign_in(&nursery).await;
    for other in [&dana, &eve] {
        let page = says(other, &rosa).await;
        assert!(
            page.contains("Suspended") && !page.contains("looked into"),
            "{page}"
        );
        let erase = [("act", "ask_erase"), ("line", "2"), ("why", "hide it")];
        assert_eq!(other.post(&rosa, &erase).await.status(), 422);
    }
    // Nor by saying first that it is about somebody else.
    let eve_id = nursery.storage.operator_by_name("Eve").await.unwrap();
    let eve_id = eve_id.unwrap().id.to_string();
    let mut correct = vec![("act", "correct")];
    correct.extend(ROSA);
    correct.push(("operator", eve_id.as_str()));
    let reinstate = [("act", "reinstate"), ("why", "it was nothing")];
    for other in [&dana, &eve] {
        assert_eq!(other.post(&rosa, &correct).await.status(), 422);
        assert_eq!(other.post(&rosa, &reinstate).await.status(), 422);
    }
    let stay = dana.post(&rosa, &[("act", "stay")]).await;
    assert_eq!(stay.status(), 422);
    assert_eq!(kim.post(&rosa, &correct).await.status(), 303);
    assert_eq!(dana.post(&rosa, &reinstate).await.status(), 422);
    assert!(!says(&dana, &rosa).await.contains("looked into"));
    assert_eq!(kim.post(&rosa, &reinstate).await.status(), 303);
    nursery.close().await;
}

#[tokio::test]
async fn whoever_is_suspended_is_signed_out_and_that_they_can_sign_in_again_is_a_task_until_they_cannot()
 {
    let nursery = Nursery::open().await;
    nursery.holds_passcodes().await;
    nursery.enrolled().await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let sam = Person::of(&nursery, "Sam Tech", &[Role::ItAdmin]).await;
    // Nobody said as whom they sign in: the name does.
    let form = [("name", "sam tech"), ROSA[1], ROSA[2]];
    let page = goes_to(&kim.post("/staff", &form).await);
    let task = "can still sign in to this console";
    assert!(!tasks(&nursery, &kim).await.contains(task));
    assert_eq!(sam.get("/tablets").await.status(), 200);

    let suspend = [("act", "suspend"), ("why", "while it is looked into")];
    assert_eq!(kim.post(&page, &suspend).await.status(), 303);
    assert_eq!(sam.get("/tablets").await.status(), 303);
    assert_eq!(kim.get("/tablets").await.status(), 200);
    let open = tasks(&nursery, &kim).await;
    assert!(open.contains(task) && !open.contains("Sam"), "{open}");
    let log = nursery.storage.audit_list(20).await.unwrap();
    let ended = log
        .iter()
        .find(|entry| entry.act == "account.sign_out_everywhere");
    assert_eq!(ended.unwrap().who, "Kim");

    let (storage, now) = (&nursery.storage, nursery.now());
    people::remove(storage, "Sam Tech", "Kim", now)
        .await
        .unwrap();
    assert!(!tasks(&nursery, &kim).await.contains(task));
    nursery.close().await;
}

#[tokio::test]
async fn whoever_leaves_has_new_passcodes_set_on_every_tablet() {
    let nursery = Nursery::open().await;
    nursery.holds_passcodes().await;
    nursery.enrolled().await;
    let mut kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let rosa = goes_to(&kim.post("/staff", &ROSA).await);
    let leaves = [("act", "leave"), ("last_day", "2026-03-03")];
    assert_eq!(kim.post(&rosa, &leaves).await.status(), 303);
    let due = "Set a new passcode on";
    assert!(!tasks(&nursery, &kim).await.contains(due));
    nursery.clock.advance(jiff::SignedDuration::from_hours(48));
    kim.sign_in(&nursery).await;
    let open = tasks(&nursery, &kim).await;
    assert!(open.contains(due) && !open.contains("Rosa"), "{open}");
    nursery.close().await;
}

#[tokio::test]
async fn a_pin_is_set_by_typing_it_twice_and_is_shown_nowhere() {
    let nursery = Nursery::open().await;
    nursery.holds_passcodes().await;
    nursery.enrolled().await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let rosa = goes_to(&kim.post("/staff", &ROSA).await);
    let page = says(&kim, &rosa).await;
    assert!(page.contains("None: the office signs tablets out to them"));
    assert!(page.contains("value=\"Rosa R.\""), "{page}");
    let set = |pin: &'static str, again: &'static str| {
        [
            ("act", "set_pin"),
            ("shown", "Rosa"),
            ("pin", pin),
            ("again", again),
        ]
    };
    for (pin, again, says) in [
        ("482915", "482951", "The two were not the same"),
        ("123456", "123456", "too easy to guess"),
        ("4829", "4829", "6 to 8 digits and nothing else"),
    ] {
        let refused = kim.post(&rosa, &set(pin, again)).await;
        assert_eq!(refused.status(), 422);
        let page = refused.text().await.unwrap();
        assert!(page.contains(says), "{page}");
        assert!(!page.contains(&format!("value=\"{pin}\"")), "{page}");
    }
    let done = kim.post(&rosa, &set("482915", "482915")).await;
    assert_eq!(done.status(), 303);
    let page = says(&kim, &rosa).await;
    assert!(page.contains("A PIN for tablets was set.") && page.contains("On tablets"));
    for secret in ["482915", "argon2"] {
        assert!(!page.contains(secret), "{page}");
    }
    let log = nursery.storage.audit_list(50).await.unwrap();
    assert!(log.iter().any(|entry| entry.act == "staff.set_pin"));
    let log = format!("{log:?}");
    assert!(!log.contains("482915") && !log.contains("argon2"));
    let remove = kim.post(&rosa, &[("act", "remove_pin")]).await;
    assert_eq!(remove.status(), 303);
    assert!(says(&kim, &rosa).await.contains("None: the office"));
    nursery.close().await;
}
