//! What a tablet is asked for from its page.

use super::person::Person;
use crate::events::tells;
use crate::nursery::Nursery;
use jiff::SignedDuration;
use nestwarden_policy_schema::command::CommandKind;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_server::storage::{CommandRow, Role};

async fn rows(nursery: &Nursery, tablet: DeviceId) -> Vec<CommandRow> {
    nursery.storage.command_list(tablet).await.unwrap()
}

#[tokio::test]
async fn what_a_manager_asks_of_a_tablet_waits_on_its_page_until_it_is_taken_back() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await.id;
    let person = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let (page, commands) = (
        format!("/tablets/{tablet}"),
        format!("/tablets/{tablet}/commands"),
    );
    let shown = async || person.get(&page).await.text().await.unwrap();
    assert!(shown().await.contains("Nothing was asked of it yet"));

    let unsaid = [("ask", "new_passcode"), ("reason", "  ")];
    assert_eq!(person.post(&commands, &unsaid).await.status(), 422);
    let asked = [("ask", "new_passcode"), ("reason", "somebody left")];
    assert_eq!(person.post(&commands, &asked).await.status(), 303);
    let again = person.post(&commands, &asked).await;
    assert_eq!(again.status(), 409);
    assert!(
        again
            .text()
            .await
            .unwrap()
            .contains("asked for that already")
    );

    let waiting = rows(&nursery, tablet).await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].command.command.kind, CommandKind::RotatePasscode);
    assert_eq!(waiting[0].ordered_by, "Kim");
    let says = shown().await;
    assert!(says.contains("Asked for a new passcode by Kim"), "{says}");
    assert!(says.contains("waits for its next contact"), "{says}");

    let cancel = format!("{commands}/{}/cancel", waiting[0].command.command.id);
    assert_eq!(person.post(&cancel, &[]).await.status(), 303);
    assert_eq!(nursery.storage.command_waiting().await.unwrap(), []);
    assert!(shown().await.contains("taken back by Kim"));
    let over = person.post(&cancel, &[]).await;
    assert_eq!(over.status(), 409);
    // It may be asked for anew.
    assert_eq!(person.post(&commands, &asked).await.status(), 303);
    let acts = nursery.storage.audit_list(99).await.unwrap();
    let of_tablet = acts
        .iter()
        .filter(|act| act.who == "Kim" && act.act.starts_with("device."));
    let of_tablet: Vec<&str> = of_tablet.map(|act| act.act.as_str()).collect();
    assert_eq!(
        of_tablet,
        [
            "device.new_passcode",
            "device.cancel",
            "device.new_passcode"
        ]
    );
    nursery.close().await;
}

#[tokio::test]
async fn what_nobody_fetched_in_its_time_says_so_and_may_not_be_taken_back() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await.id;
    let mut person = Person::of(&nursery, "Sam", &[Role::ItAdmin]).await;
    let commands = format!("/tablets/{tablet}/commands");
    let asked = person.post(&commands, &[("ask", "refresh")]).await;
    assert_eq!(asked.status(), 303);
    nursery.clock.advance(SignedDuration::from_hours(2));
    person.sign_in(&nursery).await;
    let page = person.get(&format!("/tablets/{tablet}")).await;
    let says = page.text().await.unwrap();
    assert!(says.contains("expired at"), "{says}");
    assert!(!says.contains("Take back"), "{says}");
    nursery.close().await;
}

#[tokio::test]
async fn nobody_is_offered_what_they_may_not_ask_for() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await.id;
    let person = Person::of(&nursery, "Dee", &[Role::Dsl]).await;
    let page = person.get(&format!("/tablets/{tablet}")).await;
    let says = page.text().await.unwrap();
    assert!(says.contains("IT admins and managers ask for these"));
    assert!(!says.contains("/commands"));
    let commands = format!("/tablets/{tablet}/commands");
    let asked = person.post(&commands, &[("ask", "refresh")]).await;
    assert_eq!(asked.status(), 403);
    assert_eq!(rows(&nursery, tablet).await, []);
    nursery.close().await;
}

#[tokio::test]
async fn a_tablet_is_marked_as_lost_by_one_person_seen_everywhere_and_found_again() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    let id = tablet.id;
    let person = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let (page, commands) = (format!("/tablets/{id}"), format!("/tablets/{id}/commands"));
    let text = async |path: &str| person.get(path).await.text().await.unwrap();
    let found = [("ask", "found"), ("reason", "the driver had it")];
    assert_eq!(person.post(&commands, &found).await.status(), 409);
    let lost = [("ask", "lost"), ("reason", "left on the bus")];
    assert_eq!(person.post(&commands, &lost).await.status(), 303);
    assert_eq!(person.post(&commands, &lost).await.status(), 409);
    let says = "arked as lost since";
    for place in [page.as_str(), "/tablets", "/"] {
        let shown = text(place).await;
        assert!(
            shown.contains(says) && shown.contains("by Kim"),
            "{place}: {shown}"
        );
    }
    let shown = text(&page).await;
    assert!(shown.contains("has not heard of it yet"), "{shown}");
    let incident = format!("/incidents?begin=lost_tablet&amp;tablet={id}");
    assert!(shown.contains(&incident), "{shown}");
    let begun = text(&incident.replace("&amp;", "&")).await;
    assert!(begun.contains("value=\"lost_tablet\" selected"), "{begun}");
    assert!(
        begun.contains(&format!("value=\"{id}\" selected")),
        "{begun}"
    );

    let row = &rows(&nursery, id).await[0];
    let command = row.command.command.id;
    let outcome = "done: held as lost until it is found; locked; camera off".to_owned();
    tells(
        &nursery,
        &tablet,
        &EventBody::CommandOutcome { command, outcome },
    )
    .await;
    let shown = text(&page).await;
    assert!(shown.contains("photos out of sight since"), "{shown}");
    // Of two words the later one holds.
    nursery.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(person.post(&commands, &found).await.status(), 303);
    let shown = text(&page).await;
    assert!(
        shown.contains("stays locked until it hears of it"),
        "{shown}"
    );
    let command = rows(&nursery, id).await[1].command.command.id;
    let outcome = "done: no longer held as lost".to_owned();
    tells(
        &nursery,
        &tablet,
        &EventBody::CommandOutcome { command, outcome },
    )
    .await;
    for place in [page.as_str(), "/tablets", "/"] {
        assert!(!text(place).await.contains(says), "{place}");
    }
    nursery.close().await;
}

#[tokio::test]
async fn a_message_is_one_line_and_its_page_says_how_far_it_got() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    let id = tablet.id;
    let person = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let (page, commands) = (format!("/tablets/{id}"), format!("/tablets/{id}/commands"));
    let long = "x".repeat(501);
    for text in ["", long.as_str(), "two\u{202e}ways"] {
        let sent = [("ask", "message"), ("text", text)];
        assert_eq!(person.post(&commands, &sent).await.status(), 422, "{text}");
    }
    let sent = [("ask", "message"), ("text", "Bring me back, please.")];
    assert_eq!(person.post(&commands, &sent).await.status(), 303);
    let command = rows(&nursery, id).await[0].command.command.id;
    for outcome in [
        "taken: it waits",
        "shown on the tablet's page",
        "done: read",
        "shown on",
    ] {
        let outcome = outcome.to_owned();
        tells(
            &nursery,
            &tablet,
            &EventBody::CommandOutcome { command, outcome },
        )
        .await;
    }
    let shown = person.get(&page).await.text().await.unwrap();
    assert!(shown.contains("Asked to show a message by Kim"), "{shown}");
    assert!(shown.contains("done: read, at"), "{shown}");
    nursery.close().await;
}

#[tokio::test]
async fn a_setting_that_asks_too_often_is_told_when_it_may_again() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await.id;
    let mut person = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let commands = format!("/tablets/{tablet}/commands");
    for _ in 0..20 {
        let locked = person.post(&commands, &[("ask", "lock")]).await;
        assert_eq!(locked.status(), 303);
        let waiting = rows(&nursery, tablet).await;
        let id = waiting.last().unwrap().command.command.id;
        let cancel = format!("{commands}/{id}/cancel");
        assert_eq!(person.post(&cancel, &[]).await.status(), 303);
        nursery.clock.advance(SignedDuration::from_secs(1));
    }
    let refused = person.post(&commands, &[("ask", "lock")]).await;
    assert_eq!(refused.status(), 429);
    let says = refused.text().await.unwrap();
    assert!(says.contains("One more is taken in 60 minutes"), "{says}");
    assert_eq!(rows(&nursery, tablet).await.len(), 20);
    // What disrupts nobody goes on.
    let refresh = person.post(&commands, &[("ask", "refresh")]).await;
    assert_eq!(refresh.status(), 303);
    nursery.clock.advance(SignedDuration::from_hours(1));
    person.sign_in(&nursery).await;
    let locked = person.post(&commands, &[("ask", "lock")]).await;
    assert_eq!(locked.status(), 303);
    nursery.close().await;
}
