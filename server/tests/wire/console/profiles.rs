//! A profile is looked at, changed and put back in the browser.

use super::person::Person;
use crate::nursery::Nursery;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use nestwarden_server::domain::profile;
use nestwarden_server::storage::Role;

const PAGE: &str = "/profiles/early-years";

async fn nursery() -> Nursery {
    let nursery = Nursery::open().await;
    profile::apply(&nursery.storage, EARLY_YEARS, "os:test", nursery.now())
        .await
        .unwrap();
    nursery
}

/// With passcodes a digit longer; as a browser sends it.
fn longer() -> String {
    let longer = EARLY_YEARS.replace("min_length = 6", "min_length = 7");
    assert_ne!(longer, EARLY_YEARS);
    longer.replace('\n', "\r\n")
}

async fn live(nursery: &Nursery) -> (u64, String) {
    let found = nursery.storage.profile_find("early-years").await.unwrap();
    let live = found.unwrap();
    (live.version, live.source)
}

#[tokio::test]
async fn a_change_is_live_once_somebody_saw_what_it_changes_and_an_earlier_version_comes_back() {
    let nursery = nursery().await;
    let person = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let listed = person.get("/profiles").await.text().await.unwrap();
    assert!(
        listed.contains("href=\"/profiles/early-years\""),
        "{listed}"
    );
    let source = longer();
    let preview = format!("{PAGE}/preview");
    let looked = person.post(&preview, &[("source", source.as_str())]).await;
    assert_eq!(looked.status(), 200);
    let says = looked.text().await.unwrap();
    assert!(says.contains("policy.passcode.min_length"), "{says}");
    assert!(says.contains("No tablet has this profile."), "{says}");
    assert!(!says.contains("looser"), "{says}");
    assert_eq!(live(&nursery).await.0, 1, "looking changes nothing");

    let apply = format!("{PAGE}/apply");
    let fields = [("source", source.as_str()), ("live", "1")];
    assert_eq!(person.post(&apply, &fields).await.status(), 303);
    let (version, kept) = live(&nursery).await;
    assert_eq!((version, kept), (2, source.replace("\r\n", "\n")));
    let log = nursery.storage.audit_list(5).await.unwrap();
    assert!(
        log.iter()
            .any(|e| e.act == "profile.apply" && e.who == "Kim")
    );

    // Whoever looked before that decides about something else.
    let late = [("source", EARLY_YEARS), ("live", "1")];
    assert_eq!(person.post(&apply, &late).await.status(), 409);
    let earlier = person.get(&format!("{PAGE}?version=1")).await;
    let earlier = earlier.text().await.unwrap();
    assert!(earlier.contains("This is version 1, as it was."));
    assert!(earlier.contains("min_length = 6"));
    let back = [("source", EARLY_YEARS)];
    let says = person.post(&preview, &back).await.text().await.unwrap();
    assert!(says.contains("looser than it is now"), "{says}");
    let back = [("source", EARLY_YEARS), ("live", "2")];
    assert_eq!(person.post(&apply, &back).await.status(), 303);
    assert_eq!(live(&nursery).await, (3, EARLY_YEARS.to_owned()));
    nursery.close().await;
}

#[tokio::test]
async fn a_text_with_mistakes_is_refused_whole_with_each_of_them_and_kept_to_go_on_with() {
    let nursery = nursery().await;
    let person = Person::of(&nursery, "Sam", &[Role::ItAdmin]).await;
    let wrong = EARLY_YEARS
        .replace("min_length = 6", "min_length = 99")
        .replace("Europe/London", "Europe/Londinium");
    for act in ["preview", "apply"] {
        let fields = [("source", wrong.as_str()), ("live", "1")];
        let answer = person.post(&format!("{PAGE}/{act}"), &fields).await;
        assert_eq!(answer.status(), 422, "{act}");
        let says = answer.text().await.unwrap();
        assert!(says.contains("line "), "{says}");
        if act == "preview" {
            assert!(says.contains("Nothing was changed, because:"));
            assert!(says.contains("Europe/Londinium"), "the text is not lost");
        }
    }
    assert_eq!(live(&nursery).await.0, 1);
    let nowhere = person.get("/profiles/nothing").await;
    assert_eq!(nowhere.status(), 404);
    nursery.close().await;
}

#[tokio::test]
async fn whoever_may_not_change_a_profile_reads_it() {
    let nursery = nursery().await;
    let person = Person::of(&nursery, "Dee", &[Role::Dsl]).await;
    let page = person.get(PAGE).await.text().await.unwrap();
    assert!(page.contains("IT admins and managers change it."));
    assert!(page.contains("<pre>") && !page.contains("<textarea"));
    let fields = [("source", EARLY_YEARS), ("live", "1")];
    let answer = person.post(&format!("{PAGE}/apply"), &fields).await;
    assert_eq!(answer.status(), 403);
    nursery.close().await;
}
