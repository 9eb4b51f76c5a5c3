#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::illegal::Step;
use super::*;
use crate::domain::command;
use crate::domain::registers::testing::{House, hand};
use crate::domain::registers::words::Words;
use crate::domain::registers::{RegisterError, find};
use crate::storage::HourlyLimit;
use crate::storage::testing::{TestTablet, audit, now};
use nestwarden_policy_schema::hold::HoldCategory;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn facts() -> Facts {
    Facts {
        happened_at: now(),
        noticed_at: now(),
        severity: Severity::Minor,
        device: None,
    }
}

fn open(kind: Kind) -> Act {
    Act::Open {
        kind,
        facts: facts(),
        concern: None,
        hold: None,
    }
}

const CLOSE: Act = Act::Close {
    outcome: OutcomeCode::Advice,
};
const DEBRIEF: Act = Act::Debrief { due: None };

/// What the acts come to, the refused ones left out.
fn after(acts: &[Act]) -> Incident {
    let mut incident = Incident::after(None, &acts[0], now()).unwrap();
    for act in &acts[1..] {
        if let Ok(next) = Incident::after(Some(incident.clone()), act, now()) {
            incident = next;
        }
    }
    incident
}

#[test]
fn an_incident_is_closed_with_an_outcome_and_not_before_its_debrief() {
    assert!(after(&[open(Kind::Misuse), CLOSE]).is_open());
    let closed = after(&[open(Kind::Misuse), DEBRIEF, CLOSE]);
    assert_eq!(closed.outcome, Some(OutcomeCode::Advice));
    // Opened again it has to be talked over again.
    let again = after(&[open(Kind::Misuse), DEBRIEF, CLOSE, Act::Reopen, CLOSE]);
    assert_eq!(again.lacks(), ["Write down the debrief."]);
}

#[test]
fn a_data_breach_counts_72_hours_from_when_it_was_known_and_is_decided_before_closing() {
    let breach = after(&[open(Kind::PersonalData), DEBRIEF, CLOSE]);
    assert!(breach.is_open());
    let clock = breach.breach.unwrap();
    assert_eq!(clock.due(), now() + SignedDuration::from_hours(72));
    let later = now() + SignedDuration::from_hours(5);
    let found = Act::DataBreach { aware_at: now() };
    let lost = Incident::after(None, &open(Kind::LostTablet), now()).unwrap();
    assert_eq!(lost.breach, None);
    let lost = Incident::after(Some(lost), &found, later).unwrap();
    assert_eq!(
        lost.breach.unwrap().due(),
        now() + SignedDuration::from_hours(72)
    );
    let decided = after(&[open(Kind::PersonalData), DEBRIEF, Act::NotReportable, CLOSE]);
    assert!(!decided.is_open());
    // More was found out: it can still be reported, and a report is not taken back.
    let reported = Act::Reported { at: now() };
    let changed = after(&[
        open(Kind::PersonalData),
        Act::NotReportable,
        reported.clone(),
        Act::NotReportable,
    ]);
    let decided = changed.breach.unwrap().decided;
    assert_eq!(decided, Some(Decided::Reported { at: now() }));
}

#[test]
fn illegal_content_is_not_closed_before_every_step_is_done() {
    let mut acts = vec![open(Kind::IllegalContent), DEBRIEF, CLOSE];
    for step in Step::ALL {
        assert!(after(&acts).is_open());
        acts.push(Act::Step { step, at: now() });
        acts.push(CLOSE);
    }
    assert!(!after(&acts).is_open());
    let due = |step: Step| step.due(&facts()).duration_since(now()).as_hours();
    assert_eq!(due(Step::Regulator), 14 * 24);
}

#[test]
fn times_to_come_and_what_happened_after_it_was_noticed_are_refused_by_their_field() {
    let hour = SignedDuration::from_hours(1);
    for (happened, noticed, field) in [(0, 1, "noticed_at"), (0, -1, "happened_at")] {
        let facts = Facts {
            happened_at: now() + hour * happened,
            noticed_at: now() + hour * noticed,
            ..facts()
        };
        let act = Act::Open {
            kind: Kind::Other,
            facts,
            concern: None,
            hold: None,
        };
        let refused = Incident::after(None, &act, now()).unwrap_err();
        assert_eq!(refused.field, field, "{happened} {noticed}");
    }
}

fn any_act() -> impl Strategy<Value = Act> {
    let step = prop::sample::select(Step::ALL.to_vec());
    prop_oneof![
        Just(Act::Action),
        Just(Act::Correct { facts: facts() }),
        Just(Act::DataBreach { aware_at: now() }),
        Just(Act::Reported { at: now() }),
        Just(Act::NotReportable),
        step.prop_map(|step| Act::Step { step, at: now() }),
        Just(DEBRIEF),
        Just(CLOSE),
        Just(Act::Reopen),
        Just(open(Kind::Misuse)),
    ]
}

proptest! {
    /// Whatever is written in whatever order.
    #[test]
    fn no_incident_is_closed_while_anything_is_lacking_and_none_loses_what_was_decided(
        kind in prop::sample::select(vec![Kind::Misuse, Kind::PersonalData, Kind::IllegalContent]),
        acts in prop::collection::vec(any_act(), 0..40),
    ) {
        let mut incident = Incident::after(None, &open(kind), now()).unwrap();
        for act in acts {
            let before = incident.clone();
            match Incident::after(Some(before.clone()), &act, now()) {
                Err(_) => continue,
                Ok(next) => incident = next,
            }
            if !incident.is_open() {
                prop_assert_eq!(incident.lacks(), Vec::<&str>::new());
                let was_closed_now = matches!(act, Act::Close { .. });
                prop_assert!(before.is_open() && was_closed_now);
            }
            prop_assert_eq!(incident.kind, kind);
            prop_assert!(before.breach.is_none() || incident.breach.is_some());
            prop_assert!(before.steps.keys().all(|step| incident.steps.contains_key(step)));
            let reported = |it: &Incident| it.breach.and_then(|b| b.decided).filter(|d| *d != Decided::NotReportable);
            prop_assert!(reported(&before).is_none() || reported(&before) == reported(&incident));
        }
    }
}

#[tokio::test]
async fn beginning_freezes_the_tablet_takes_its_commands_back_and_refuses_others() {
    let house = House::new().await;
    let storage = house.storage();
    let tablet = TestTablet::enrol(storage).await;
    let device = storage.device_find(tablet.id).await.unwrap().unwrap();
    let log = audit("device.unenrol");
    command::unenrol(storage, &device, HourlyLimit::default(), &log, now())
        .await
        .unwrap();
    command::refresh(storage, &device, &audit("device.refresh"), now())
        .await
        .unwrap();
    let kim = house.person("Kim", &[Role::Manager]).await;
    let dana = house.person("Dana", &[Role::Dsl]).await;
    let told = Words::default()
        .text("facts", "seen in the gallery")
        .unwrap();
    let nobody = BTreeSet::new();
    let with = Facts {
        device: Some(device.id),
        ..facts()
    };
    let registers = house.registers();
    let begin = async |by| {
        let more = (&told, None, &nobody);
        illegal::begin(
            &registers,
            Some(&device),
            with.clone(),
            more,
            hand(by, now()),
        )
        .await
    };
    assert!(matches!(
        begin(&kim).await,
        Err(illegal::IllegalError::NotDsl)
    ));
    assert!(storage.hold_list().await.unwrap().is_empty());

    let id = begin(&dana).await.unwrap();
    let holds = storage.hold_list().await.unwrap();
    assert_eq!(holds[0].hold.category, HoldCategory::IllegalContent);
    let kept = find::<Incident>(storage, id).await.unwrap().unwrap();
    assert_eq!(kept.now.hold, Some(holds[0].hold.id));
    assert!(!registers.may_read(&kept, &kim));
    let waiting = storage.command_waiting().await.unwrap();
    let kinds: Vec<_> = waiting.iter().map(|c| &c.command.kind).collect();
    assert_eq!(
        kinds,
        [&nestwarden_policy_schema::command::CommandKind::Refresh]
    );
    for refused in [
        command::unenrol(storage, &device, HourlyLimit::default(), &log, now()).await,
        command::new_passcode(storage, &device, HourlyLimit::default(), &log, now()).await,
        command::lock(storage, &device, HourlyLimit::default(), &log, now()).await,
        command::lost(storage, &device, HourlyLimit::default(), &log, now()).await,
        command::found(storage, &device, &log, now()).await,
        command::message(storage, &device, "Hello", &log, now()).await,
    ] {
        assert!(matches!(refused, Err(command::CommandError::Frozen(_))));
    }
    // Once more for the same tablet, and the hold that is there is enough.
    begin(&dana).await.unwrap();
    assert_eq!(storage.hold_list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_tablet_that_is_held_for_an_incident_is_not_exchanged_for_another_in_it() {
    let house = House::new().await;
    let dana = house.person("Dana", &[Role::Dsl]).await;
    let registers = house.registers();
    let told = Words::default().text("facts", "seen").unwrap();
    let more = (&told, None, &BTreeSet::new());
    let id = illegal::begin(&registers, None, facts(), more, hand(&dana, now()))
        .await
        .unwrap();
    let other = Facts {
        device: Some(DeviceId::from_uuid(uuid::Uuid::from_u128(5))),
        ..facts()
    };
    let correct = Act::Correct { facts: other };
    let came = registers
        .add::<Incident>(id, &correct, &told, hand(&dana, now()))
        .await;
    assert!(matches!(came, Err(RegisterError::Refused(refused)) if refused.field == "device"));
}
