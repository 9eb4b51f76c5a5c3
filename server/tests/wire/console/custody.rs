//! What tablets tell of who has them, as the office sees it.

use super::incidents::goes_to;
use super::person::Person;
use crate::events::tells;
use crate::nursery::Nursery;
use jiff::SignedDuration;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::{CustodyId, StaffId};
use nestwarden_server::storage::Role;
use uuid::Uuid;

const ROSA: [(&str, &str); 3] = [
    ("name", "Rosa Reed"),
    ("job", "practitioner"),
    ("start", "2026-01-05"),
];

async fn says(person: &Person, path: &str) -> String {
    person.get(path).await.text().await.unwrap()
}

#[tokio::test]
async fn what_staff_sign_on_tablets_is_in_the_list_with_where_and_one_pin_on_two_is_a_task() {
    let nursery = Nursery::open().await;
    nursery.holds_passcodes().await;
    let tablets = [nursery.enrolled().await, nursery.enrolled().await];
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let rosa = goes_to(&kim.post("/staff", &ROSA).await);
    let staff: StaffId = rosa.trim_start_matches("/staff/").parse().unwrap();
    let custody = |number| CustodyId::from_uuid(Uuid::from_u128(number));
    let taken = |number| EventBody::CustodyTaken {
        custody: custody(number),
        staff,
        room: Some("Owls".parse().unwrap()),
        due: nursery.now() + SignedDuration::from_hours(4),
        acknowledged: None,
    };
    tells(&nursery, &tablets[0], &taken(1)).await;
    let list = says(&kim, "/custody").await;
    assert!(list.contains("Rosa Reed") && list.contains("On the tablet for Owls"));
    assert!(!list.contains("One PIN, two tablets"));
    let two = "the PIN of one of the staff signed out two tablets";
    let tasks = async || {
        nursery.looks_for_tasks().await;
        says(&kim, "/tasks").await.to_lowercase()
    };
    assert!(!tasks().await.contains(&two.to_lowercase()));
    tells(&nursery, &tablets[1], &taken(2)).await;
    assert!(
        says(&kim, "/custody")
            .await
            .contains("One PIN, two tablets")
    );
    let open = tasks().await;
    assert!(
        open.contains(&two.to_lowercase()) && !open.contains("rosa"),
        "{open}"
    );

    let page = format!("/custody/{}", custody(1));
    let shown = says(&kim, &page).await;
    assert!(
        shown.contains("Signed out by Rosa Reed on the tablet for Owls"),
        "{shown}"
    );
    let returned = EventBody::CustodyReturned {
        custody: custody(1),
        by: staff,
    };
    tells(&nursery, &tablets[0], &returned).await;
    let shown = says(&kim, &page).await;
    assert!(
        shown.contains("Signed in by Rosa Reed on the tablet."),
        "{shown}"
    );
    assert!(!tasks().await.contains(&two.to_lowercase()));
    nursery.close().await;
}
