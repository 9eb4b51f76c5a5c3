#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::registers::aup::{self, current};
use crate::domain::registers::testing::{House, hand};
use crate::domain::registers::words::Words;
use crate::domain::registers::{find, list};
use crate::storage::testing::now;
use crate::storage::{Role, Which};
use jiff::civil::date;

const START: Date = date(2026, 1, 5);

fn added() -> Staff {
    let post = Post {
        job: Job::Practitioner,
        start: START,
        operator: None,
    };
    Staff::after(None, &Act::Add { post }, now()).unwrap()
}

fn with(staff: Staff, act: &Act) -> Staff {
    Staff::after(Some(staff), act, now()).unwrap()
}

async fn publishes(house: &House, version: &str, from: Date) -> EntryId {
    let dana = house.person(version, &[Role::Dsl]).await;
    let act = aup::Act::Publish {
        audience: Audience::Staff,
        version: version.to_owned(),
        from,
    };
    let registers = house.registers();
    let none = Words::default();
    let begun = registers.begin::<AupVersion>(&act, &none, None, hand(&dana, now()));
    begun.await.unwrap()
}

#[test]
fn somebody_works_here_from_their_first_day_to_their_last() {
    let staff = added();
    assert!(!staff.is_here(date(2026, 1, 4)) && staff.is_here(START));
    let last_day = date(2026, 3, 6);
    let left = with(staff, &Act::Leave { last_day });
    assert!(left.is_here(last_day) && !left.is_here(date(2026, 3, 7)));
    let before = Act::Leave {
        last_day: date(2026, 1, 4),
    };
    let refused = Staff::after(Some(left.clone()), &before, now()).unwrap_err();
    assert_eq!(refused.field, "last_day");
    assert!(with(left, &Act::Stay).is_here(date(2026, 3, 7)));
}

#[test]
fn a_later_course_of_the_same_name_takes_the_place_of_the_earlier() {
    let course = |on, until| Act::Course {
        course: "First aid".to_owned(),
        on,
        until,
    };
    let first = with(added(), &course(START, Some(date(2026, 2, 1))));
    let again = with(first, &course(date(2026, 2, 1), None));
    assert_eq!(again.courses.len(), 1);
    assert_eq!(again.courses["First aid"].until, None);
    let backwards = course(date(2026, 2, 2), Some(START));
    let refused = Staff::after(Some(again), &backwards, now()).unwrap_err();
    assert_eq!(refused.field, "until");
}

#[tokio::test]
async fn a_new_version_gives_fourteen_days_to_whoever_acknowledged_an_earlier_one_and_none_to_others()
 {
    let house = House::new().await;
    let old = publishes(&house, "2025", date(2025, 9, 1)).await;
    let new = publishes(&house, "2026", date(2026, 3, 2)).await;
    let versions = list::<AupVersion>(house.storage(), Which::Open)
        .await
        .unwrap();
    let acknowledges = |staff, version| {
        let act = Act::Acknowledge {
            version,
            on: START,
            method: Method::OnPaper,
        };
        with(staff, &act)
    };
    let knows_old = acknowledges(added(), old);
    let on = |day| standing(&knows_old, &versions, day);
    assert_eq!(on(date(2026, 3, 1)), Standing::Ready);
    let until = date(2026, 3, 16);
    assert_eq!(on(date(2026, 3, 2)), Standing::Grace { until });
    assert_eq!(on(until), Standing::Grace { until });
    assert_eq!(on(date(2026, 3, 17)), Standing::AupOutOfDate);
    let fresh = standing(&added(), &versions, date(2026, 3, 2));
    assert_eq!(fresh, Standing::NotInducted);
    let knows_new = acknowledges(knows_old.clone(), new);
    assert_eq!(
        standing(&knows_new, &versions, date(2026, 3, 17)),
        Standing::Ready
    );
    let suspended = with(knows_new, &Act::Suspend);
    assert_eq!(
        standing(&suspended, &versions, date(2026, 3, 17)),
        Standing::Suspended
    );
    assert_eq!(
        standing(&knows_old, &[], date(2026, 3, 2)),
        Standing::NotInducted
    );
    // Put there by mistake.
    let dana = house.person("Dana", &[Role::Dsl]).await;
    let registers = house.registers();
    let words = Words::default();
    registers
        .add::<AupVersion>(new, &aup::Act::Withdraw, &words, hand(&dana, now()))
        .await
        .unwrap();
    let version = find::<AupVersion>(house.storage(), new)
        .await
        .unwrap()
        .unwrap();
    assert!(version.now.is_withdrawn);
    let left = list::<AupVersion>(house.storage(), Which::Open)
        .await
        .unwrap();
    assert_eq!(
        current(&left, Audience::Staff, date(2026, 3, 17))
            .unwrap()
            .id,
        old
    );
}
