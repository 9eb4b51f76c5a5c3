#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::registers::aup::{self, Audience};
use crate::domain::registers::staff::{self, Job, Method, Post};
use crate::domain::registers::testing::{House, hand};
use crate::storage::Operator;
use crate::storage::testing::{TestTablet, now};
use jiff::SignedDuration;
use jiff::civil::date;

const TODAY: Date = date(2026, 3, 10);

struct Day {
    house: House,
    kim: Operator,
    staff: EntryId,
    tablet: DeviceId,
}

impl Day {
    /// Somebody who may take the tablet.
    async fn new() -> Self {
        let house = House::new().await;
        let kim = house.person("Kim", &[Role::Manager]).await;
        let tablet = TestTablet::enrol(house.storage()).await.id;
        let registers = house.registers();
        let by = hand(&kim, now());
        let post = Post {
            job: Job::Practitioner,
            start: date(2026, 1, 5),
            operator: None,
        };
        let name = Words::default().line("name", "Rosa Reed").unwrap();
        let add = staff::Act::Add { post };
        let staff = registers
            .begin::<Staff>(&add, &name, None, by)
            .await
            .unwrap();
        let publish = aup::Act::Publish {
            audience: Audience::Staff,
            version: "2026-1".to_owned(),
            from: date(2026, 1, 1),
        };
        let none = Words::default();
        let version = registers
            .begin::<AupVersion>(&publish, &none, None, by)
            .await
            .unwrap();
        let acknowledge = staff::Act::Acknowledge {
            version,
            on: date(2026, 1, 5),
            method: Method::OnPaper,
        };
        registers
            .add::<Staff>(staff, &acknowledge, &none, by)
            .await
            .unwrap();
        Self {
            house,
            kim,
            staff,
            tablet,
        }
    }

    async fn writes(&self, act: staff::Act) {
        let (registers, by) = (self.house.registers(), hand(&self.kim, now()));
        registers
            .add::<Staff>(self.staff, &act, &Words::default(), by)
            .await
            .unwrap();
    }

    async fn sign_out(&self) -> Result<EntryId, RegisterError> {
        let out = Out {
            device: self.tablet,
            staff: self.staff,
            due: now() + SignedDuration::from_hours(4),
        };
        let registers = self.house.registers();
        sign_out(
            &registers,
            (out, &Words::default()),
            TODAY,
            hand(&self.kim, now()),
        )
        .await
    }

    async fn refusal(&self) -> Refused {
        match self.sign_out().await {
            Err(RegisterError::Refused(refused)) => refused,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_tablet_is_signed_out_once_at_a_time() {
    let day = Day::new().await;
    let first = day.sign_out().await.unwrap();
    assert_eq!(day.refusal().await.field, "device");
    let (registers, by) = (day.house.registers(), hand(&day.kim, now()));
    registers
        .add::<Custody>(first, &Act::In, &Words::default(), by)
        .await
        .unwrap();
    day.sign_out().await.unwrap();
}

#[tokio::test]
async fn nobody_who_left_is_suspended_or_has_not_agreed_to_the_policy_gets_a_tablet() {
    let day = Day::new().await;
    day.writes(staff::Act::Suspend).await;
    let refused = day.refusal().await;
    assert_eq!(refused.field, "staff");
    assert!(
        !refused.says.contains("suspended"),
        "why is not everybody's business"
    );
    day.writes(staff::Act::Reinstate).await;
    day.writes(staff::Act::Leave {
        last_day: date(2026, 3, 9),
    })
    .await;
    assert!(day.refusal().await.says.contains("do not work here"));
    day.writes(staff::Act::Stay).await;
    day.sign_out().await.unwrap();
}

#[test]
fn what_is_out_is_overdue_from_its_time_on_and_comes_back_once() {
    let out = Out {
        device: DeviceId::from_uuid(uuid::Uuid::from_u128(1)),
        staff: EntryId::from_uuid(uuid::Uuid::from_u128(2)),
        due: now() + SignedDuration::from_hours(4),
    };
    let before = Act::Out {
        out: Out {
            due: now(),
            ..out.clone()
        },
    };
    assert_eq!(
        Custody::after(None, &before, now()).unwrap_err().field,
        "due"
    );
    let custody = Custody::after(None, &Act::Out { out: out.clone() }, now()).unwrap();
    assert!(!custody.is_overdue(now()) && custody.is_overdue(out.due));
    let longer = Act::Extend {
        due: out.due + SignedDuration::from_hours(1),
    };
    let custody = Custody::after(Some(custody), &longer, now()).unwrap();
    assert!(!custody.is_overdue(out.due));
    let back = Custody::after(Some(custody), &Act::Forced, out.due).unwrap();
    assert!(!back.is_overdue(out.due + SignedDuration::from_hours(9)));
    assert!(Custody::after(Some(back), &Act::In, out.due).is_err());
}

#[tokio::test]
async fn what_is_neither_here_nor_signed_out_at_closing_is_missing() {
    let day = Day::new().await;
    let here = TestTablet::enrol(day.house.storage()).await.id;
    let lost = TestTablet::enrol(day.house.storage()).await.id;
    day.sign_out().await.unwrap();
    let devices = day.house.storage().device_list().await.unwrap();
    let registers = day.house.registers();
    let stranger = DeviceId::from_uuid(uuid::Uuid::from_u128(9));
    let ticked = BTreeSet::from([here, stranger]);
    let counted = count(&registers, &devices, &ticked, TODAY, hand(&day.kim, now())).await;
    let CountAct::Count {
        here: found,
        out,
        missing,
        ..
    } = counted.unwrap();
    assert_eq!(found, BTreeSet::from([here]));
    assert_eq!(out, BTreeSet::from([day.tablet]));
    assert_eq!(missing, BTreeSet::from([lost]));
}
