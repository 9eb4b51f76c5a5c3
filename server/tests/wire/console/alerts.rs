//! Where one's alerts go, and what the console says when they do not arrive.

use super::person::Person;
use crate::nursery::Nursery;
use jiff::{SignedDuration, Timestamp};
use nestwarden_server::storage::{AlertRound, NewMail, Role};

#[tokio::test]
async fn somebody_says_where_their_alerts_go_while_they_have_just_signed_in() {
    let nursery = Nursery::open().await;
    let mut person = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let shown = person.get("/account").await.text().await.unwrap();
    assert!(shown.contains("told nothing by e-mail"), "{shown}");
    assert!(shown.contains("This server sends no e-mail"), "{shown}");

    let save = async |person: &Person, address: &str| {
        let fields = [("address", address)];
        person.post("/account/address", &fields).await.status()
    };
    assert_eq!(save(&person, "kim at acorns").await, 422);
    assert_eq!(save(&person, "kim@acorns.example").await, 303);
    let kept = nursery.storage.address_list().await.unwrap();
    assert_eq!(kept.values().collect::<Vec<_>>(), ["kim@acorns.example"]);
    let shown = person.get("/account").await.text().await.unwrap();
    assert!(shown.contains("kim@acorns.example"), "{shown}");

    nursery.clock.advance(SignedDuration::from_mins(16));
    assert_eq!(save(&person, "other@acorns.example").await, 403);
    person.sign_in(&nursery).await;
    assert_eq!(save(&person, "").await, 303);
    assert!(nursery.storage.address_list().await.unwrap().is_empty());
    nursery.close().await;
}

#[tokio::test]
async fn the_overview_says_to_whoever_can_mend_it_that_alerts_do_not_arrive() {
    let nursery = Nursery::open().await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let eve = Person::of(&nursery, "Eve", &[Role::Deputy]).await;
    let people = nursery.storage.operator_list().await.unwrap();
    let to = people.iter().find(|one| one.name == "Kim").unwrap();
    let round = AlertRound {
        mails: vec![NewMail {
            key: "key".to_owned(),
            to: to.id,
            subject: "subject".to_owned(),
            body: "body".to_owned(),
        }],
        ..AlertRound::default()
    };
    let put = nursery
        .storage
        .alert_round(&round, nursery.now(), Timestamp::MIN);
    put.await.unwrap();
    let says = async |person: &Person| {
        let page = person.get("/").await.text().await.unwrap();
        page.contains("Alerts do not arrive") && page.contains("the server is away")
    };
    assert!(!says(&kim).await, "it was not tried yet");
    let waiting = nursery.storage.mail_list().await.unwrap();
    let failed = nursery
        .storage
        .mail_given_up(&waiting[0], "the server is away", nursery.now());
    failed.await.unwrap();
    assert!(says(&kim).await);
    assert!(!says(&eve).await);
    nursery.close().await;
}
