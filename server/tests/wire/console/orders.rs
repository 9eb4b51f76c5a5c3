//! What a tablet is asked for from its page.

use super::person::Person;
use crate::nursery::Nursery;
use jiff::SignedDuration;
use nestwarden_policy_schema::command::CommandKind;
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
