//! Apps: asked for, decided, held against what profiles allow.

use super::incidents::goes_to;
use super::person::Person;
use crate::nursery::Nursery;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use nestwarden_server::domain::profile;
use nestwarden_server::storage::Role;

const PAINT: [(&str, &str); 4] = [
    ("app", "dpkg:tuxpaint"),
    ("publisher", "New Breed Software"),
    ("purpose", "drawing with the older ones"),
    ("audience", "children"),
];

const TERMS: [(&str, &str); 11] = [
    ("act", "approve"),
    ("audience", "children"),
    ("rated_from", "3"),
    ("content", "stamps and a few sounds"),
    ("ads", "no"),
    ("purchases", "no"),
    ("links_out", "no"),
    ("checked_by", "Ines Check"),
    ("check_on", "2026-03-01"),
    ("check_outcome", "no_personal_data"),
    ("review", "2026-09-01"),
];

async fn nursery() -> Nursery {
    let nursery = Nursery::open().await;
    profile::apply(&nursery.storage, EARLY_YEARS, "os:test", nursery.now())
        .await
        .unwrap();
    nursery
}

async fn says(person: &Person, path: &str) -> String {
    let answer = person.get(path).await;
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

async fn tasks(nursery: &Nursery, person: &Person) -> String {
    nursery.looks_for_tasks().await;
    says(person, "/tasks").await
}

async fn live(nursery: &Nursery) -> String {
    let found = nursery.storage.profile_find("early-years").await;
    found.unwrap().unwrap().source
}

#[tokio::test]
async fn an_app_is_asked_for_by_anybody_approved_by_a_manager_and_then_added_to_a_profile() {
    let nursery = nursery().await;
    let sam = Person::of(&nursery, "Sam", &[Role::ItAdmin]).await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let asked = sam.post("/apps", &PAINT).await;
    assert_eq!(asked.status(), 303, "{}", asked.text().await.unwrap());
    let page = goes_to(&asked);
    let theirs = says(&sam, &page).await;
    assert!(
        theirs.contains("Asked for") && theirs.contains("New Breed Software"),
        "{theirs}"
    );
    assert!(!theirs.contains("name=\"act\""), "who asks does not decide");
    assert!(!theirs.contains(">Add it<"), "{theirs}");
    assert!(
        tasks(&nursery, &kim)
            .await
            .contains("An app waits for a decision")
    );

    let approved = kim.post(&page, &TERMS).await;
    assert_eq!(approved.status(), 303, "{}", approved.text().await.unwrap());
    assert!(
        !tasks(&nursery, &kim)
            .await
            .contains("An app waits for a decision")
    );
    let shown = says(&kim, &page).await;
    for part in [
        "Approved",
        "review by <time datetime=\"2026-09-01\">",
        "3 and over",
        "Ines Check",
        ">Add it<",
        "Not allowed",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    // On the same way as any other change to a profile.
    let preview = "/profiles/early-years/preview";
    let looked = sam.post(preview, &[("allow", "dpkg:tuxpaint")]).await;
    assert_eq!(looked.status(), 200);
    let looked = looked.text().await.unwrap();
    assert!(
        looked.contains("policy.apps.allowed") && looked.contains("No tablet has this profile."),
        "{looked}"
    );
    assert!(!looked.contains("Nobody approved these apps"), "{looked}");
    assert_eq!(live(&nursery).await, EARLY_YEARS, "looking changes nothing");
    let source = EARLY_YEARS.replace(
        "    \"dpkg:gnome-clocks\",\n",
        "    \"dpkg:gnome-clocks\",\n    \"dpkg:tuxpaint\",\n",
    );
    assert!(
        looked.contains("dpkg:gnome-clocks&quot;,\n    &quot;dpkg:tuxpaint"),
        "{looked}"
    );
    let apply = [("source", source.as_str()), ("live", "1")];
    let applied = sam.post("/profiles/early-years/apply", &apply).await;
    assert_eq!(applied.status(), 303);
    let shown = says(&kim, &page).await;
    assert!(
        shown.contains("Version 2, ") && shown.contains(">Take it out<"),
        "{shown}"
    );

    // The approval goes, the profile does not follow by itself, and that is said first.
    let withdrawn = [("act", "withdraw"), ("why", "it got ads")];
    assert_eq!(kim.post(&page, &withdrawn).await.status(), 303);
    let list = says(&kim, "/apps").await;
    assert!(list.contains("Withdrawn, and allowed"), "{list}");
    let out = kim.post(preview, &[("take_out", "dpkg:tuxpaint")]).await;
    assert_eq!(out.status(), 200);
    let again = kim.post(preview, &[("allow", "dpkg:tuxpaint")]).await;
    assert_eq!(again.status(), 422);
    assert!(
        again
            .text()
            .await
            .unwrap()
            .contains("allows the app already")
    );
    nursery.close().await;
}

#[tokio::test]
async fn what_a_profile_allows_and_nobody_decided_comes_first_and_what_is_essential_does_not() {
    let nursery = nursery().await;
    nursery.enrolled().await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let list = says(&kim, "/apps").await;
    let (_, undecided) = list.split_once("Allowed, nobody decided").unwrap();
    assert!(undecided.contains("5 apps.") && undecided.contains("dpkg:gnome-clocks"));
    assert!(undecided.contains("(1 tablet)"), "{undecided}");
    assert!(
        undecided.contains("href=\"/apps?app=dpkg%3Agnome-clocks#ask\""),
        "{undecided}"
    );
    assert!(!list.contains("dpkg:nursery-register"), "{list}");
    assert!(list.contains("Nobody asked for an app yet."));
    let asking = says(&kim, "/apps?app=dpkg:gnome-clocks").await;
    assert!(asking.contains("value=\"dpkg:gnome-clocks\""));
    let open = tasks(&nursery, &kim).await;
    assert!(
        open.contains("apps nobody approved") && open.contains("href=\"/apps\""),
        "{open}"
    );

    // Whoever changes the profile's text is told, too.
    let more = EARLY_YEARS.replace(
        "\"dpkg:gnome-clocks\",",
        "\"dpkg:gnome-clocks\", \"dpkg:game\",",
    );
    let preview = kim
        .post(
            "/profiles/early-years/preview",
            &[("source", more.as_str())],
        )
        .await;
    let preview = preview.text().await.unwrap();
    let (_, warned) = preview.split_once("Nobody approved these apps").unwrap();
    let (warned, _) = warned.split_once("</ul>").unwrap();
    assert!(
        warned.contains("dpkg:game") && !warned.contains("gnome"),
        "{warned}"
    );
    nursery.close().await;
}

#[tokio::test]
async fn a_new_permission_has_it_decided_again_and_says_which() {
    let nursery = nursery().await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let eve = Person::of(&nursery, "Eve", &[Role::Deputy]).await;
    let page = goes_to(&kim.post("/apps", &PAINT).await);
    let mut terms = TERMS.to_vec();
    terms.extend([
        ("permissions", "network"),
        ("other_permissions", "Sound output"),
    ]);
    assert_eq!(kim.post(&page, &terms).await.status(), 303);
    let now = [
        ("act", "permissions"),
        ("permissions", "network"),
        ("permissions", "camera"),
        ("other_permissions", "sound output"),
    ];
    let decided = eve.post(&page, &TERMS).await;
    assert_eq!(
        decided.status(),
        422,
        "a deputy who covers for nobody does not decide"
    );
    assert_eq!(eve.post(&page, &now).await.status(), 303);
    for path in ["/apps", page.as_str()] {
        let shown = says(&kim, path).await;
        assert!(
            shown.contains("Decide again") && shown.contains("new permission: camera"),
            "{shown}"
        );
    }
    assert!(
        !says(&kim, &page).await.contains(">Add it<"),
        "not until it is decided"
    );
    assert!(says(&kim, "/apps?show=waits").await.contains(&page));
    assert!(
        says(&kim, "/apps?show=refused")
            .await
            .contains("No app is like that.")
    );
    let unseen = kim.post(&page, &terms).await;
    assert_eq!(unseen.status(), 422);
    assert!(unseen.text().await.unwrap().contains("It asks for camera"));
    terms.push(("permissions", "camera"));
    assert_eq!(kim.post(&page, &terms).await.status(), 303);
    assert!(!says(&kim, &page).await.contains("Decide again<"));
    nursery.close().await;
}

#[tokio::test]
async fn what_nobody_answered_is_not_taken_for_a_no_and_what_was_typed_stays() {
    let nursery = nursery().await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let page = goes_to(&kim.post("/apps", &PAINT).await);
    for (left_out, wrong) in [
        ("ads", "approve-ads-wrong"),
        ("purchases", "approve-purchases-wrong"),
        ("links_out", "approve-links_out-wrong"),
        ("rated_from", "approve-rated_from-wrong"),
        ("check_outcome", "approve-check_outcome-wrong"),
        ("check_on", "approve-check_on-wrong"),
        ("checked_by", "approve-checked_by-wrong"),
        ("review", "approve-review-wrong"),
    ] {
        let terms: Vec<_> = TERMS
            .into_iter()
            .filter(|(name, _)| *name != left_out)
            .collect();
        let answer = kim.post(&page, &terms).await;
        assert_eq!(answer.status(), 422, "{left_out}");
        let shown = answer.text().await.unwrap();
        assert!(shown.contains(wrong), "{left_out}: {shown}");
        assert!(shown.contains("stamps and a few sounds"), "{left_out}");
    }
    let conditions = TERMS.map(|(name, value)| match name {
        "check_outcome" => (name, "passed_with_conditions"),
        _ => (name, value),
    });
    assert_eq!(
        kim.post(&page, &conditions).await.status(),
        422,
        "which they are has to be said"
    );
    let odd = [("app", "paint"), PAINT[1], PAINT[2], PAINT[3]];
    let odd = kim.post("/apps", &odd).await;
    assert_eq!(odd.status(), 422);
    assert!(odd.text().await.unwrap().contains("ask-app-wrong"));
    assert!(says(&kim, &page).await.contains("Asked for"));
    nursery.close().await;
}
