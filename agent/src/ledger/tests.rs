//! The ledger in a folder of its own.

use super::*;
use crate::testing::{Signer, enrolled, enrolment};
use jiff::SignedDuration;
use nestwarden_policy_schema::control::{ControlName, Outcome};
use nestwarden_policy_schema::event::{ChainPosition, verify_chain};

fn noon() -> Timestamp {
    "2026-03-02T12:00:00Z".parse().unwrap()
}

fn alarm(what: &str) -> EventBody {
    EventBody::Alarm {
        what: what.to_owned(),
    }
}

fn refused(program: &str) -> EventBody {
    EventBody::AppRefused {
        program: program.to_owned(),
        observed_only: false,
        count: 1,
    }
}

fn bodies(ledger: &Ledger) -> Vec<EventBody> {
    let events = ledger.events_after(0, 1000, usize::MAX).unwrap();
    events
        .iter()
        .map(|e| serde_json::from_str(e.body.as_ref().unwrap()).unwrap())
        .collect()
}

fn chain_holds(ledger: &Ledger) {
    let device = ledger.enrolment().unwrap().unwrap().device;
    let events = ledger.events_after(0, 100_000, usize::MAX).unwrap();
    let end = verify_chain(device, ChainPosition::START, &events).unwrap();
    assert_eq!(end, ledger.head().unwrap());
}

#[test]
fn nothing_is_recorded_before_enrolment() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&Paths::new(dir.path())).unwrap();
    assert!(matches!(
        ledger.record(noon(), &alarm("x")),
        Err(LedgerError::NotEnrolled)
    ));
}

#[test]
fn events_chain_from_one_and_go_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::new(dir.path());
    let ledger = enrolled(&paths, &Signer::new());
    assert_eq!(ledger.record(noon(), &alarm("a")).unwrap(), 1);
    drop(ledger);
    let ledger = Ledger::open(&paths).unwrap();
    assert_eq!(*ledger.event_recorded().borrow(), 1);
    assert_eq!(ledger.record(noon(), &alarm("b")).unwrap(), 2);
    assert_eq!(*ledger.event_recorded().borrow(), 2);
    chain_holds(&ledger);
}

#[test]
fn a_transaction_that_fails_leaves_no_event() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = enrolled(&Paths::new(dir.path()), &Signer::new());
    let failed: Result<(), LedgerError> = ledger.transaction(|tx| {
        tx.record(noon(), &alarm("a"))?;
        Err(LedgerError::NoRandomness)
    });
    assert!(failed.is_err());
    assert_eq!(ledger.head().unwrap(), ChainPosition::START);
    assert_eq!(*ledger.event_recorded().borrow(), 0);
}

#[test]
fn another_device_cannot_take_over_a_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::new();
    let ledger = enrolled(&Paths::new(dir.path()), &signer);
    let mut other = enrolment(&signer);
    other.device = DeviceId::from_uuid(uuid::Uuid::now_v7());
    assert!(matches!(
        ledger.adopt(&other),
        Err(LedgerError::OtherDevice { .. })
    ));
}

#[test]
fn repeats_are_told_once_and_then_counted() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = enrolled(&Paths::new(dir.path()), &Signer::new());
    for _ in 0..5 {
        ledger.record(noon(), &refused("/tmp/game")).unwrap();
    }
    ledger.record(noon(), &refused("/tmp/other")).unwrap();
    ledger.flush_repeats(noon()).unwrap();
    assert_eq!(
        bodies(&ledger),
        [refused("/tmp/game"), refused("/tmp/other")]
    );

    ledger.flush_repeats(noon() + REPEAT_WINDOW).unwrap();
    let counted = EventBody::AppRefused {
        program: "/tmp/game".to_owned(),
        observed_only: false,
        count: 4,
    };
    assert_eq!(bodies(&ledger)[2..], [counted]);
    chain_holds(&ledger);
}

#[test]
fn a_control_that_flaps_ends_with_its_last_outcome_and_an_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = enrolled(&Paths::new(dir.path()), &Signer::new());
    let changed = |n: u32| EventBody::ControlChanged {
        control: ControlName::Radios,
        outcome: Outcome::Unknown {
            error: n.to_string(),
        },
    };
    for n in 1..=20 {
        ledger.record(noon(), &changed(n)).unwrap();
    }
    assert_eq!(bodies(&ledger).len(), 6);
    ledger.flush_repeats(noon() + REPEAT_WINDOW).unwrap();
    let all = bodies(&ledger);
    assert!(matches!(&all[6], EventBody::Alarm { what } if what.contains("14 times")));
    assert_eq!(all[7], changed(20));
}

#[test]
fn names_of_programs_cannot_fill_the_table_of_repeats() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = enrolled(&Paths::new(dir.path()), &Signer::new());
    ledger
        .transaction(|tx| {
            for n in 0..700 {
                tx.record(noon(), &refused(&format!("/tmp/{n}")))?;
            }
            Ok::<_, LedgerError>(())
        })
        .unwrap();
    assert_eq!(ledger.head().unwrap().seq, 501);
}

#[test]
fn a_full_spool_takes_evidence_only_and_counts_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = enrolled(&Paths::new(dir.path()), &Signer::new());
    let started = EventBody::BundleRefused {
        reason: "x".to_owned(),
    };
    let fill = |count: u64| {
        ledger.transaction(|tx| {
            for _ in 0..count {
                tx.record(noon(), &started)?;
            }
            Ok::<_, LedgerError>(())
        })
    };
    fill(MAX_WAITING).unwrap();
    fill(3).unwrap();
    let head = ledger.head().unwrap().seq;
    assert_eq!(head, MAX_WAITING + 1, "one alarm says so");
    assert_eq!(ledger.record(noon(), &alarm("kept")).unwrap(), head + 1);

    ledger.acknowledge(head, noon()).unwrap();
    ledger.flush_repeats(noon()).unwrap();
    let last = ledger.events_after(head + 1, 10, usize::MAX).unwrap();
    assert_eq!(
        last[0].body.as_deref().unwrap(),
        r#"{"kind":"alarm","what":"3 events could not be kept while the server took none"}"#
    );
}

#[test]
fn events_are_pruned_35_days_after_the_server_has_them_and_never_before() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = enrolled(&Paths::new(dir.path()), &Signer::new());
    for n in 0..5 {
        ledger.record(noon(), &alarm(&n.to_string())).unwrap();
    }
    let late = noon() + SignedDuration::from_hours(24 * 400);
    assert_eq!(ledger.prune(late).unwrap(), 0);
    ledger.acknowledge(3, noon()).unwrap();
    let day_35 = noon() + SignedDuration::from_hours(24 * 35);
    assert_eq!(ledger.prune(day_35).unwrap(), 0);
    assert_eq!(
        ledger.prune(day_35 + SignedDuration::from_secs(1)).unwrap(),
        3
    );
    assert_eq!(ledger.events_after(0, 10, usize::MAX).unwrap()[0].seq, 4);
    assert_eq!(ledger.record(noon(), &alarm("next")).unwrap(), 6);
}

#[test]
fn a_server_that_lost_events_gets_them_again() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = enrolled(&Paths::new(dir.path()), &Signer::new());
    for n in 0..5 {
        ledger.record(noon(), &alarm(&n.to_string())).unwrap();
    }
    ledger.acknowledge(5, noon()).unwrap();
    ledger.acknowledge(2, noon()).unwrap();
    assert_eq!(ledger.events_waiting().unwrap(), 3);
    assert_eq!(ledger.acked_through().unwrap(), 2);
}

#[test]
fn what_the_server_has_keeps_the_time_of_its_word_and_what_it_lost_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = enrolled(&Paths::new(dir.path()), &Signer::new());
    for n in 0..5 {
        ledger.record(noon(), &alarm(&n.to_string())).unwrap();
    }
    let times = || {
        ledger.read(|sql| {
            let mut rows = sql.prepare("SELECT acknowledged_at FROM events ORDER BY seq")?;
            let rows = rows.query_map([], |row| row.get::<_, Option<String>>(0))?;
            Ok::<_, LedgerError>(rows.collect::<Result<Vec<_>, _>>()?)
        })
    };
    let [first, second] = [1, 2].map(|hours| noon() + SignedDuration::from_hours(hours));
    let [at_first, at_second] = [first, second].map(|at| Some(at.to_string()));
    ledger.acknowledge(2, first).unwrap();
    ledger.acknowledge(4, second).unwrap();
    let kept = [&at_first, &at_first, &at_second, &at_second, &None];
    assert_eq!(times().unwrap().iter().collect::<Vec<_>>(), kept);
    ledger.acknowledge(1, second).unwrap();
    let kept = [&at_first, &None, &None, &None, &None];
    assert_eq!(times().unwrap().iter().collect::<Vec<_>>(), kept);
}

#[test]
fn a_batch_is_bounded_in_events_and_bytes_and_never_empty_for_size() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = enrolled(&Paths::new(dir.path()), &Signer::new());
    for _ in 0..5 {
        ledger.record(noon(), &alarm(&"x".repeat(1000))).unwrap();
    }
    assert_eq!(ledger.events_after(0, 3, usize::MAX).unwrap().len(), 3);
    assert_eq!(ledger.events_after(0, 100, 2500).unwrap().len(), 2);
    assert_eq!(ledger.events_after(0, 100, 10).unwrap().len(), 1);
}

#[test]
fn a_bundle_is_in_force_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::new(dir.path());
    let signer = Signer::new();
    let ledger = enrolled(&paths, &signer);
    assert!(ledger.accept_bundle(signer.bundle(3)).unwrap());
    assert!(!ledger.accept_bundle(signer.bundle(3)).unwrap());
    drop(ledger);
    let ledger = Ledger::open(&paths).unwrap();
    assert_eq!(ledger.bundle().unwrap().generation().get(), 3);
    assert_eq!(ledger.take_problems(), Vec::<String>::new());
}

#[test]
fn a_lower_generation_is_refused_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::new(dir.path());
    let signer = Signer::new();
    enrolled(&paths, &signer)
        .accept_bundle(signer.bundle(3))
        .unwrap();
    let ledger = Ledger::open(&paths).unwrap();
    let refused = ledger.accept_bundle(signer.bundle(2)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the bundle is generation 2, this tablet has already had 3"
    );
    assert_eq!(ledger.bundle().unwrap().generation().get(), 3);
}

#[test]
fn a_damaged_bundle_is_an_alarm_and_the_one_before_stays_enforced() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::new(dir.path());
    let signer = Signer::new();
    let ledger = enrolled(&paths, &signer);
    ledger.accept_bundle(signer.bundle(3)).unwrap();
    ledger.accept_bundle(signer.bundle(4)).unwrap();
    ledger
        .transaction(|tx| {
            tx.sql().execute(
                "UPDATE bundle SET signed = replace(signed, 'early', 'loose') WHERE generation = 4",
                [],
            )?;
            Ok::<_, LedgerError>(())
        })
        .unwrap();
    drop(ledger);
    let ledger = Ledger::open(&paths).unwrap();
    assert_eq!(ledger.bundle().unwrap().generation().get(), 3);
    let problems = ledger.take_problems();
    assert!(
        problems[0].contains("generation 4 is damaged"),
        "{problems:?}"
    );
    assert!(
        ledger.accept_bundle(signer.bundle(3)).is_err(),
        "what is in force may be old, but never taken anew"
    );
    assert!(ledger.accept_bundle(signer.bundle(4)).unwrap());
    assert_eq!(ledger.bundle().unwrap().generation().get(), 4);
}

#[test]
fn a_ledger_put_back_to_an_older_bundle_is_an_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::new(dir.path());
    let signer = Signer::new();
    let ledger = enrolled(&paths, &signer);
    ledger.accept_bundle(signer.bundle(3)).unwrap();
    ledger.accept_bundle(signer.bundle(4)).unwrap();
    ledger
        .transaction(|tx| {
            tx.sql()
                .execute("DELETE FROM bundle WHERE generation = 4", [])?;
            Ok::<_, LedgerError>(())
        })
        .unwrap();
    drop(ledger);
    let problems = Ledger::open(&paths).unwrap().take_problems();
    assert_eq!(
        problems,
        [
            "the ledger should hold the bundle of generation 4, and holds 3; the last good one stays enforced"
        ]
    );
}

#[test]
fn a_bundle_brings_new_keys_and_both_bundles_verify_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::new(dir.path());
    let old = Signer::new();
    let ledger = enrolled(&paths, &old);
    let (new, statement) = old.rotated();
    ledger
        .accept_bundle(old.bundle_with(1, Some(statement.clone())))
        .unwrap();
    assert_eq!(ledger.anchors().unwrap().version, 2);
    drop(ledger);
    let ledger = Ledger::open(&paths).unwrap();
    assert_eq!(ledger.take_problems(), Vec::<String>::new());
    assert!(ledger.accept_bundle(old.bundle(2)).is_err());
    assert!(
        ledger
            .accept_bundle(new.bundle_with(2, Some(statement)))
            .unwrap(),
        "the statement it already took over does no harm"
    );
}

#[test]
fn a_ledger_of_a_newer_agent_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::new(dir.path());
    drop(Ledger::open(&paths).unwrap());
    let sql = Connection::open(paths.ledger_path()).unwrap();
    sql.pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(
        Ledger::open(&paths),
        Err(LedgerError::NewerSchema { found: 99, .. })
    ));
}

#[test]
fn a_record_that_went_on_from_the_servers_holds_and_tells_again_what_was_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = enrolled(&Paths::new(dir.path()), &Signer::new());
    for what in ["shared", "own 1", "own 2"] {
        ledger.record(noon(), &alarm(what)).unwrap();
    }
    let device = ledger.enrolment().unwrap().unwrap().device;
    let own = ledger.events_after(1, 10, usize::MAX).unwrap();
    let (had, common) = (ledger.head().unwrap(), own[0].follows());
    let server = ChainPosition {
        seq: 9,
        hash: nestwarden_policy_schema::bytes::Digest([7; 32]),
    };
    ledger.continue_after(server, Some(common), noon()).unwrap();

    let events = ledger.events_after(1, 10, usize::MAX).unwrap();
    assert_eq!(verify_chain(device, server, &events).unwrap().seq, 12);
    assert!(events[0].continues_record());
    let again = &events[1..];
    assert!(
        again
            .iter()
            .map(|e| &e.body)
            .eq(own.iter().map(|e| &e.body))
    );
    let worked_out = again.iter().cloned().fold(common, |before, event| {
        event.moved_after(before, device).position()
    });
    assert_eq!(worked_out, had);
    assert_eq!(ledger.acked_through().unwrap(), 9);
    ledger.record(noon(), &alarm("later")).unwrap();
    assert_eq!(ledger.head().unwrap().seq, 13);
}

#[test]
fn a_bundle_that_names_an_earlier_one_is_held_to_it_until_none_does() {
    use nestwarden_policy_schema::put_back::PutBack;
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::new(dir.path());
    let signer = Signer::new();
    let ledger = enrolled(&paths, &signer);
    let mut strict = signer.content(4);
    strict.policy.storage = Some(
        serde_json::from_value(serde_json::json!({
            "mode": "enforce", "removable_media": "never", "usb_transfer": "never"
        }))
        .unwrap(),
    );
    ledger.accept_bundle(signer.sign_bundle(&strict)).unwrap();
    let named = PutBack {
        generation: ledger.bundle().unwrap().generation(),
        digest: Some(ledger.bundle().unwrap().digest()),
    };
    for generation in 5..9 {
        let mut loose = signer.content(generation);
        loose.put_back = Some(named);
        ledger.accept_bundle(signer.sign_bundle(&loose)).unwrap();
    }
    let held = |ledger: &Ledger| ledger.bundle().unwrap().bundle().policy.clone();
    assert_eq!(held(&ledger), strict.policy);
    drop(ledger);
    let ledger = Ledger::open(&paths).unwrap();
    assert_eq!(held(&ledger), strict.policy);
    assert_eq!(ledger.take_problems(), Vec::<String>::new());
    ledger.accept_bundle(signer.bundle(9)).unwrap();
    assert!(held(&ledger).storage.is_none());
}
