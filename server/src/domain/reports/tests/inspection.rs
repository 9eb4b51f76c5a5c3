//! How tablets stood on one day: by what was told up to its end, and by nothing that happened later.

use super::month::Month;
use super::on_server::{at, by, setting};
use crate::domain::reports::lines::{Level, Line, sections};
use crate::domain::reports::{Asked, Report, make, trend};
use crate::storage::testing::{TestStorage, TestTablet, photo_id, told};
use jiff::Timestamp;
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::consent::{Cause, Stage};
use nestwarden_policy_schema::control::{ControlName, ControlReport, Outcome};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::profile::EARLY_YEARS;

async fn inspection(test: &TestStorage) -> Report {
    let asked = Asked::Inspection("2026-03-09".parse().unwrap());
    let made = "2026-04-01T08:00:00Z".parse().unwrap();
    make(&test.storage, "Little Acorns", asked, None, made)
        .await
        .unwrap()
}

async fn tells(test: &TestStorage, tablet: &mut TestTablet, told: &[(Timestamp, EventBody)]) {
    let received = told.last().unwrap().0;
    let batch = tablet.batch_at(told, received);
    test.storage.event_append(batch).await.unwrap();
}

async fn measured(test: &TestStorage, tablet: &TestTablet, now: Timestamp) {
    let radios = ControlReport {
        control: ControlName::Radios,
        outcome: Outcome::Compliant,
        measured_at: now,
    };
    let stored = told(now, vec![radios]);
    let put = test.storage.inventory_put(tablet.id, &stored);
    put.await.unwrap();
}

fn bundle(generation: u64) -> EventBody {
    EventBody::BundleApplied {
        generation: Generation::new(generation),
        digest: None,
    }
}

fn radios(outcome: Outcome) -> EventBody {
    EventBody::ControlChanged {
        control: ControlName::Radios,
        outcome,
    }
}

fn seen(photo: u128) -> EventBody {
    EventBody::PhotoSeen {
        photo: photo_id(photo),
        session: None,
        media: "image/jpeg".to_owned(),
    }
}

fn stage(photo: u128, from: Stage, to: Stage) -> EventBody {
    EventBody::PhotoStage {
        photo: photo_id(photo),
        from,
        to,
        cause: Some(Cause::Withdrawn),
        observed_only: false,
    }
}

fn of_tablet(report: &Report, name: &str) -> Vec<Line> {
    let section = sections(report).into_iter().find(|one| one.title == name);
    section.unwrap().lines
}

fn said(lines: &[Line]) -> String {
    let said = lines.iter().map(|line| {
        let Line {
            name, value, note, ..
        } = line;
        format!("{} | {name} | {value} | {note}\n", line.level.as_str())
    });
    said.collect()
}

#[tokio::test]
async fn an_inspection_says_of_each_tablet_what_was_enforced_known_and_not_known() {
    let (test, mut one, _) = setting().await;
    let events = [
        (at("08T09:00"), bundle(3)),
        (at("08T09:01"), radios(Outcome::Compliant)),
        (at("09T10:00"), seen(1)),
        (at("09T10:01"), seen(2)),
        (at("09T11:00"), stage(2, Stage::Live, Stage::Withheld)),
    ];
    tells(&test, &mut one, &events).await;
    measured(&test, &one, at("09T12:00")).await;
    let report = inspection(&test).await;
    insta::assert_snapshot!(said(&of_tablet(&report, "Ladybird-1")), @r"
    not_known | Seen that day | measured, as the profile wants it | 
    plain | Policy in force | generation 3, since 8 Mar 2026, 09:00 | The profile early-years was at version 1, applied 1 Mar 2026, 08:00.
    not_known | Passcode | not known | It told nothing of it by then.
    not_known | Apps | not known | It told nothing of it by then.
    good | Bluetooth and sharing | as wanted | So since 8 Mar 2026, 09:01; last measured 9 Mar 2026, 12:00.
    not_known | Memory cards and cable | not known | It told nothing of it by then.
    not_known | Camera | not known | It told nothing of it by then.
    not_known | Hours | not known | It told nothing of it by then.
    not_known | Photos | not known | It told nothing of it by then.
    not_known | Age of the passcode | not known | It was not told, or not managed.
    not_known | Disk encryption | not known | Known where the profile asks for it and the tablet was measured.
    plain | Photos at the end of the day | 1 in use, 1 out of sight, 0 sealed | 0 were destroyed by then.
    ");
    // Of the other nothing was ever heard, and nothing of it reads as wanted.
    let other = of_tablet(&report, "Robin-1");
    assert!(
        other.iter().all(|line| line.level == Level::NotKnown),
        "{other:?}"
    );
}

#[tokio::test]
async fn nothing_that_happened_later_changes_what_an_inspection_says() {
    let (test, mut one, other) = setting().await;
    let events = [
        (at("08T09:00"), bundle(3)),
        (at("08T09:01"), radios(Outcome::Compliant)),
        (at("09T10:00"), seen(1)),
    ];
    tells(&test, &mut one, &events).await;
    measured(&test, &one, at("09T12:00")).await;
    let before = inspection(&test).await;
    let later = [
        (at("10T08:00"), bundle(4)),
        (
            at("10T08:01"),
            radios(Outcome::Drifted {
                remaining: vec!["switch Bluetooth off".to_owned()],
                error: None,
            }),
        ),
        (at("10T09:00"), stage(1, Stage::Live, Stage::Sealed)),
        (
            at("10T10:00"),
            EventBody::BundleExpired {
                generation: Generation::new(3),
            },
        ),
    ];
    tells(&test, &mut one, &later).await;
    measured(&test, &one, at("10T12:00")).await;
    measured(&test, &other, at("10T12:00")).await;
    let applied = by("profile.apply", "10T08:00");
    let put = test
        .storage
        .profile_put("early-years", 1, EARLY_YEARS, &applied);
    assert_eq!(put.await.unwrap(), Some(2));
    let after = inspection(&test).await;
    assert_eq!(after.events, before.events);
    assert_eq!(after.server.tablets, before.server.tablets);
    for name in ["Ladybird-1", "Robin-1"] {
        assert_eq!(
            said(&of_tablet(&after, name)),
            said(&of_tablet(&before, name))
        );
    }
}

#[tokio::test]
async fn the_steps_of_a_long_period_come_to_what_the_whole_does() {
    let month = Month::told(31).await;
    let period = "2026-02-16..2026-04-12".parse().unwrap();
    let made = "2026-05-01T09:00:00Z".parse().unwrap();
    let report = make(&month.test.storage, "Little Acorns", period, None, made);
    let report = report.await.unwrap();
    let steps = trend::steps(&report);
    assert_eq!(steps.len(), 8);
    let sum = |of: fn(&trend::Step) -> u64| steps.iter().map(of).sum::<u64>();
    let counts = &report.events.setting;
    let lapsed = counts.lapsed.values().sum::<u64>() + counts.lapsed_no_cause;
    assert_eq!(sum(|step| step.captured), counts.captured);
    assert_eq!(sum(|step| step.lapsed), lapsed);
    assert_eq!(sum(|step| step.sealed), counts.sealed);
    assert_eq!(sum(|step| step.destroyed), counts.destroyed);
    assert_eq!(
        sum(|step| step.radio_drift),
        counts.drift[&ControlName::Radios]
    );
    assert_eq!(sum(|step| step.apps_refused), counts.apps_blocked);
    assert!(steps.iter().all(|step| step.covered <= step.expected));
    // A week of which a day is missing has no zero.
    let open = steps.iter().filter(|step| step.covered < step.expected);
    assert!(open.flat_map(trend::Step::says).all(|said| said != "0"));
}

#[tokio::test]
async fn none_told_is_not_known_where_a_tablet_cannot_read_what_would_be_told() {
    let unsupported = Outcome::Unsupported {
        reason: "no radios here".to_owned(),
    };
    for (outcome, expected) in [
        (Outcome::Compliant, Level::Good),
        (unsupported, Level::NotKnown),
    ] {
        let test = TestStorage::create().await;
        let device = crate::storage::testing::device("early-years");
        let enrolled_at = at("08T08:00");
        let device = crate::storage::Device {
            enrolled_at,
            ..device
        };
        let mut tablet = TestTablet::enrol_as(&test.storage, device).await;
        let applied = by("profile.apply", "01T08:00");
        let put = test
            .storage
            .profile_put("early-years", 0, EARLY_YEARS, &applied);
        put.await.unwrap();
        tells(&test, &mut tablet, &[(at("09T09:01"), radios(outcome))]).await;
        measured(&test, &tablet, at("09T12:00")).await;
        let report = inspection(&test).await;
        let lines = sections(&report)
            .into_iter()
            .flat_map(|section| section.lines);
        let mut put_back = lines.filter(|line| line.name.ends_with("switched on and put back"));
        assert_eq!(put_back.next().map(|line| line.level), Some(expected));
    }
}

#[test]
fn a_day_before_there_were_tablets_is_refused() {
    let day = "-009999-01-01".parse().unwrap();
    let today = "2026-03-09".parse().unwrap();
    let asked = Asked::Inspection(day).period(today, None);
    assert!(asked.is_err(), "{asked:?}");
}
