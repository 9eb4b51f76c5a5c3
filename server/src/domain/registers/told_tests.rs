#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::registers::aup;
use crate::domain::registers::custody::{Place, custody_id, with_several};
use crate::domain::registers::staff::{Job, Post, staff_id};
use crate::domain::registers::testing::{House, hand};
use crate::domain::registers::words::Words;
use crate::domain::roster::Roster;
use crate::storage::testing::{TestTablet, now};
use crate::storage::{AppendOutcome, Operator, Role};
use jiff::SignedDuration;
use nestwarden_policy_schema::id::CustodyId;
use std::collections::BTreeSet;
use uuid::Uuid;

struct Day {
    house: House,
    kim: Operator,
    rosa: EntryId,
    version: EntryId,
    tablet: TestTablet,
}

fn minutes(count: i64) -> Timestamp {
    now() + SignedDuration::from_mins(count)
}

fn time(number: u128) -> CustodyId {
    CustodyId::from_uuid(Uuid::from_u128(number))
}

impl Day {
    async fn new() -> Self {
        let house = House::new().await;
        let kim = house.person("Kim", &[Role::Manager]).await;
        let tablet = TestTablet::enrol(house.storage()).await;
        let registers = house.registers();
        let by = hand(&kim, now());
        let post = Post {
            job: Job::Practitioner,
            start: jiff::civil::date(2026, 1, 5),
            operator: None,
        };
        let name = Words::default().line("name", "Rosa Reed").unwrap();
        let rosa = registers
            .begin::<Staff>(&staff::Act::Add { post }, &name, None, by)
            .await
            .unwrap();
        let publish = aup::Act::Publish {
            audience: Audience::Staff,
            version: "2026-1".to_owned(),
            from: jiff::civil::date(2026, 1, 1),
        };
        let version = registers
            .begin::<AupVersion>(&publish, &Words::default(), None, by)
            .await
            .unwrap();
        Self {
            house,
            kim,
            rosa,
            version,
            tablet,
        }
    }

    fn taken(&self, number: u128, acknowledged: Option<EntryId>) -> EventBody {
        EventBody::CustodyTaken {
            custody: time(number),
            staff: staff_id(self.rosa),
            room: Some("Owls".parse().unwrap()),
            due: minutes(240),
            acknowledged,
        }
    }

    fn returned(&self, number: u128) -> EventBody {
        EventBody::CustodyReturned {
            custody: time(number),
            by: staff_id(self.rosa),
        }
    }

    async fn tells(&mut self, told: &[(Timestamp, EventBody)]) {
        let batch = self.tablet.batch_at(told, minutes(600));
        let storage = self.house.storage();
        let kept = storage.event_append(batch).await.unwrap();
        assert!(matches!(kept, AppendOutcome::OnDisk(_)));
        write_all(storage).await.unwrap();
    }

    async fn signs_out_in_the_office(&self, at: Timestamp) -> EntryId {
        let out = Out {
            device: self.tablet.id,
            staff: self.rosa,
            due: minutes(300),
        };
        let registers = self.house.registers();
        let by = hand(&self.kim, at);
        registers
            .begin::<Custody>(&Act::Out { out }, &Words::default(), None, by)
            .await
            .unwrap()
    }

    async fn open(&self) -> Vec<Kept<Custody>> {
        list::<Custody>(self.house.storage(), Which::Open)
            .await
            .unwrap()
    }

    /// What the tablet's next bundle says.
    async fn word(&self) -> (Option<CustodyId>, BTreeSet<CustodyId>) {
        let roster = Roster::load(&self.house.registers()).await.unwrap();
        let word = roster.custody(self.tablet.id);
        (word.open.map(|open| open.custody), word.over)
    }
}

#[tokio::test]
async fn what_a_tablet_tells_is_on_the_register_with_whom_where_and_when_and_once() {
    let mut day = Day::new().await;
    let taken = (minutes(5), day.taken(1, None));
    day.tells(std::slice::from_ref(&taken)).await;
    let open = day.open().await;
    let custody = &open[0].now;
    assert_eq!((custody.place, custody.out_at), (Place::Tablet, minutes(5)));
    assert_eq!(custody.out.staff, day.rosa);
    assert_eq!(custody.room, Some("Owls".parse().unwrap()));
    assert_eq!(open[0].begun_by(), "tablet Robins 1");
    assert!(custody.is_overdue(minutes(241)));
    // Again, as after the server's data was put back.
    day.tells(&[taken]).await;
    assert_eq!(day.open().await[0].lines.len(), 1);
    day.tells(&[(minutes(9), day.returned(1)), (minutes(9), day.returned(1))])
        .await;
    assert!(day.open().await.is_empty());
    assert_eq!(day.word().await, (None, BTreeSet::from([time(1)])));
}

#[tokio::test]
async fn what_waits_is_written_at_the_next_start() {
    let mut day = Day::new().await;
    let batch = [(minutes(5), day.taken(1, Some(day.version)))];
    let batch = day.tablet.batch_at(&batch, minutes(6));
    let storage = day.house.storage();
    storage.event_append(batch).await.unwrap();
    assert!(day.open().await.is_empty(), "the server was killed here");
    assert_eq!(write_all(storage).await.unwrap(), 1);
    assert_eq!(day.open().await.len(), 1);
    assert_eq!(write_all(storage).await.unwrap(), 0);
}

#[tokio::test]
async fn a_policy_acknowledged_on_a_tablet_is_on_the_staff_register() {
    let mut day = Day::new().await;
    let unknown = EntryId::from_uuid(Uuid::from_u128(404));
    day.tells(&[
        (minutes(1), day.taken(1, Some(unknown))),
        (minutes(2), day.returned(1)),
        (minutes(5), day.taken(2, Some(day.version))),
        (minutes(6), day.returned(2)),
        (minutes(7), day.taken(3, Some(day.version))),
    ])
    .await;
    let rosa = find::<Staff>(day.house.storage(), day.rosa).await.unwrap();
    let rosa = rosa.unwrap();
    let days: Vec<_> = rosa.now.acknowledged.iter().collect();
    assert_eq!(days, [(&day.version, &jiff::civil::date(2026, 3, 10))]);
    let line = rosa.lines.last().unwrap();
    assert!(
        matches!(line.act, staff::Act::Acknowledge { method, .. } if method == Method::OnTablet)
    );
    assert_eq!(rosa.lines.len(), 2, "once");
}

#[tokio::test]
async fn of_a_tablet_and_an_office_that_did_not_know_of_each_other_the_later_holds() {
    let mut day = Day::new().await;
    let office = custody_id(day.signs_out_in_the_office(minutes(30)).await);
    // Told later, and earlier than what the office did.
    day.tells(&[(minutes(10), day.taken(1, None))]).await;
    assert_eq!(day.word().await, (Some(office), BTreeSet::from([time(1)])));
    // And one that is later.
    day.tells(&[(minutes(40), day.taken(2, None))]).await;
    assert_eq!(
        day.word().await,
        (Some(time(2)), BTreeSet::from([time(1), office]))
    );
    let all = list::<Custody>(day.house.storage(), Which::All).await;
    assert_eq!(all.unwrap().len(), 3, "all stay on the register");
}

#[tokio::test]
async fn a_tablet_signs_in_what_the_office_signed_out_and_nothing_of_another_tablets() {
    let mut day = Day::new().await;
    let office = day.signs_out_in_the_office(minutes(1)).await;
    let mut other = TestTablet::enrol(day.house.storage()).await;
    std::mem::swap(&mut day.tablet, &mut other);
    let number = office.as_uuid().as_u128();
    day.tells(&[
        (minutes(2), day.returned(number)),
        (minutes(3), day.taken(number, None)),
    ])
    .await;
    assert_eq!(day.open().await.len(), 1);
    std::mem::swap(&mut day.tablet, &mut other);
    day.tells(&[(minutes(4), day.returned(number))]).await;
    assert!(day.open().await.is_empty());
}

#[tokio::test]
async fn what_a_manager_forced_stays_so_whatever_the_tablet_tells_later() {
    let mut day = Day::new().await;
    day.tells(&[(minutes(1), day.taken(1, None))]).await;
    let registers = day.house.registers();
    let by = hand(&day.kim, minutes(5));
    let id = custody::entry_id(time(1));
    registers
        .add::<Custody>(id, &Act::Forced, &Words::default(), by)
        .await
        .unwrap();
    assert_eq!(day.word().await, (None, BTreeSet::from([time(1)])));
    day.tells(&[(minutes(9), day.returned(1))]).await;
    let forced = find::<Custody>(day.house.storage(), id).await.unwrap();
    assert_eq!(forced.unwrap().now.back_at, Some(minutes(5)));
}

#[tokio::test]
async fn one_pin_with_two_tablets_is_seen() {
    let mut day = Day::new().await;
    day.tells(&[(minutes(1), day.taken(1, None))]).await;
    assert!(with_several(&day.open().await).is_empty());
    day.tablet = TestTablet::enrol(day.house.storage()).await;
    day.tells(&[(minutes(2), day.taken(2, None))]).await;
    let several = with_several(&day.open().await);
    assert_eq!(several[&day.rosa].len(), 2);
    day.tells(&[(minutes(3), day.returned(2))]).await;
    assert!(with_several(&day.open().await).is_empty());
}
