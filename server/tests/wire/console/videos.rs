//! Approved videos.

use super::incidents::goes_to;
use super::person::Person;
use crate::nursery::Nursery;
use jiff::SignedDuration;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use nestwarden_server::domain::profile;
use nestwarden_server::storage::Role;

const WATCHED: [(&str, &str); 5] = [
    ("address", "https://youtu.be/dQw4w9WgXcQ"),
    ("title", "Counting to ten"),
    ("audience", "Ladybirds"),
    ("in_full", "yes"),
    ("watched_on", "2026-03-02"),
];
const LIST: &str = "/videos";

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

#[tokio::test]
async fn a_video_is_proposed_by_who_watched_it_and_approved_for_ninety_days_at_most() {
    let nursery = nursery().await;
    let ann = Person::of(&nursery, "Ann", &[Role::Auditor]).await;
    let mut kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let empty = says(&ann, LIST).await;
    assert!(
        empty.contains("No video is on the list yet.")
            && empty.contains("Tablets are not held to it yet")
    );
    let proposed = ann.post(LIST, &WATCHED).await;
    assert_eq!(proposed.status(), 303, "{}", proposed.text().await.unwrap());
    let page = goes_to(&proposed);
    let list = says(&ann, LIST).await;
    for part in [
        "Counting to ten",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        "Ann, ",
        "Proposed, not approved",
    ] {
        assert!(list.contains(part), "{part}: {list}");
    }
    let late = [("act", "approve"), ("until", "2026-06-01")];
    assert_eq!(kim.post(&page, &late).await.status(), 422);
    let until = [("act", "approve"), ("until", "2026-05-31")];
    assert_eq!(kim.post(&page, &until).await.status(), 303);
    assert!(
        says(&kim, "/videos?show=approved")
            .await
            .contains("Counting to ten")
    );

    nursery.clock.advance(SignedDuration::from_hours(24 * 91));
    kim.sign_in(&nursery).await;
    let expired = says(&kim, "/videos?show=expired&search=COUNTING").await;
    assert!(
        expired.contains("Expired") && expired.contains("Counting to ten"),
        "{expired}"
    );
    assert!(
        says(&kim, "/videos?search=dQw4w9WgXcQ")
            .await
            .contains("Counting to ten")
    );
    assert!(
        says(&kim, "/videos?search=dancing")
            .await
            .contains("No video is like that.")
    );
    assert_eq!(kim.post(&page, &until).await.status(), 422);
    let again = [
        ("act", "watch"),
        ("in_full", "yes"),
        ("watched_on", "2026-06-01"),
        ("approve", "yes"),
        ("until", "2026-06-30"),
    ];
    assert_eq!(kim.post(&page, &again).await.status(), 303);
    let shown = says(&kim, &page).await;
    assert!(
        shown.contains("Kim, ") && shown.contains("Approved until"),
        "{shown}"
    );
    let off = [("act", "withdraw"), ("why", "ads in the middle")];
    assert_eq!(kim.post(&page, &off).await.status(), 303);
    assert!(!says(&kim, LIST).await.contains("Counting to ten"));
    assert!(
        says(&kim, "/videos?show=withdrawn")
            .await
            .contains("Counting to ten")
    );
    nursery.close().await;
}

#[tokio::test]
async fn an_address_that_is_not_one_video_is_refused_with_the_reason_and_so_is_not_having_watched_it()
 {
    let nursery = nursery().await;
    let ann = Person::of(&nursery, "Ann", &[Role::Auditor]).await;
    for (address, reason) in [
        (
            "https://www.youtube.com/watch?v=dQw4w9WgXcQ&list=PL1",
            "This leads to a playlist",
        ),
        (
            "https://www.youtube.com/shorts/dQw4w9WgXcQ",
            "Shorts lead on",
        ),
        (
            "http://youtu.be/dQw4w9WgXcQ",
            "Begin the address with https://",
        ),
        ("counting songs", "Paste the whole address"),
    ] {
        let mut form = WATCHED;
        form[0].1 = address;
        let answer = ann.post(LIST, &form).await;
        assert_eq!(answer.status(), 422, "{address}");
        let shown = answer.text().await.unwrap();
        assert!(
            shown.contains(reason) && shown.contains("propose-address-wrong"),
            "{shown}"
        );
        assert!(shown.contains("Counting to ten"), "what was typed stays");
    }
    let unwatched: Vec<_> = WATCHED
        .into_iter()
        .filter(|(name, _)| *name != "in_full")
        .collect();
    let answer = ann.post(LIST, &unwatched).await;
    assert_eq!(answer.status(), 422);
    assert!(
        answer
            .text()
            .await
            .unwrap()
            .contains("Watch it from beginning to end")
    );
    let mut approving = WATCHED.to_vec();
    approving.extend([("approve", "yes"), ("until", "2026-05-01")]);
    assert_eq!(ann.post(LIST, &approving).await.status(), 422);
    assert!(
        says(&ann, LIST)
            .await
            .contains("No video is on the list yet.")
    );
    nursery.close().await;
}
