//! Every way a clock can be wrong.

use super::*;
use crate::paths::Paths;
use crate::testing::{HandClock, Signer, enrolled};

const MONDAY: &str = "2026-03-02T12:00:00Z";

struct Tablet {
    _dir: tempfile::TempDir,
    ledger: Ledger,
    door: HandClock,
}

impl Tablet {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = enrolled(&Paths::new(dir.path()), &Signer::new());
        Self {
            _dir: dir,
            ledger,
            door: HandClock::at(MONDAY),
        }
    }

    fn open(&self) -> TrustedClock {
        TrustedClock::open(self.ledger.clone(), Arc::new(self.door.clone())).unwrap()
    }

    /// A tablet that had contact on Monday at noon and was switched off then.
    fn after_contact() -> Self {
        let tablet = Self::new();
        let clock = tablet.open();
        clock.confirm(at(MONDAY), Duration::ZERO).unwrap();
        clock.checkpoint().unwrap();
        tablet
    }

    fn events(&self) -> usize {
        usize::try_from(self.ledger.head().unwrap().seq).unwrap()
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn before_the_first_contact_time_is_doubtful() {
    let tablet = Tablet::new();
    let now = tablet.open().now();
    assert!(now.doubtful);
    assert_eq!(now.last_contact, None);
}

#[test]
fn contact_ends_the_doubt_and_sets_the_time() {
    let tablet = Tablet::new();
    let clock = tablet.open();
    let doubt = clock.watch_doubt();
    clock
        .confirm(at("2026-03-02T13:00:00Z"), Duration::from_secs(2))
        .unwrap();
    let now = clock.now();
    assert_eq!(now.at, at("2026-03-02T13:00:00Z"));
    assert!(!now.doubtful);
    assert!(!*doubt.borrow());
    assert_eq!(now.last_contact, Some(at("2026-03-02T13:00:00Z")));
    assert_eq!(tablet.events(), 0, "a beginning is no doubt to tell of");
}

#[test]
fn within_one_boot_the_wall_clock_changes_nothing() {
    let tablet = Tablet::after_contact();
    let clock = tablet.open();
    tablet.door.set_wall("2031-01-01T00:00:00Z");
    tablet.door.pass(Duration::from_mins(1));
    assert_eq!(clock.now().at, at("2026-03-02T12:01:00Z"));
    drop(clock);
    let again = tablet.open();
    assert_eq!(again.now().at, at("2026-03-02T12:01:00Z"));
    assert!(!again.now().doubtful);
}

#[test]
fn a_weekend_off_is_no_reason_for_doubt() {
    let tablet = Tablet::after_contact();
    tablet.door.restart("2026-03-05T08:00:00Z");
    let now = tablet.open().now();
    assert_eq!(now.at, at("2026-03-05T08:00:00Z"));
    assert!(!now.doubtful);
}

#[test]
fn a_clock_set_back_is_ignored_and_told() {
    let tablet = Tablet::after_contact();
    let before = tablet.events();
    tablet.door.restart("2026-02-01T08:00:00Z");
    let clock = tablet.open();
    assert_eq!(clock.now().at, at(MONDAY));
    assert!(clock.now().doubtful);
    assert_eq!(tablet.events(), before + 1);
}

#[test]
fn a_clock_a_little_behind_is_drift() {
    let tablet = Tablet::after_contact();
    tablet.door.restart("2026-03-02T11:59:00Z");
    let now = tablet.open().now();
    assert_eq!(now.at, at(MONDAY), "never before the last time seen");
    assert!(!now.doubtful);
}

#[test]
fn a_clock_far_ahead_is_in_doubt_until_the_next_contact() {
    let tablet = Tablet::after_contact();
    tablet.door.restart("2026-04-02T08:00:00Z");
    let clock = tablet.open();
    assert_eq!(clock.now().at, at("2026-04-02T08:00:00Z"));
    assert!(clock.now().doubtful);
    clock
        .confirm(at("2026-03-02T13:00:00Z"), Duration::from_secs(90))
        .unwrap();
    assert_eq!(clock.now().at, at("2026-03-02T13:01:30Z"));
    assert!(!clock.now().doubtful);
}

#[test]
fn a_doubt_outlives_another_restart() {
    let tablet = Tablet::after_contact();
    tablet.door.restart("2026-04-02T08:00:00Z");
    drop(tablet.open());
    tablet.door.restart("2026-04-02T09:00:00Z");
    let before = tablet.events();
    assert!(tablet.open().now().doubtful);
    assert_eq!(tablet.events(), before, "told once");
}

#[test]
fn an_answer_held_back_does_not_hold_the_clock_back() {
    let tablet = Tablet::after_contact();
    let clock = tablet.open();
    tablet.door.pass(Duration::from_mins(10));
    clock.confirm(at(MONDAY), Duration::from_mins(10)).unwrap();
    assert_eq!(clock.now().at, at("2026-03-02T12:10:00Z"));
}

#[test]
fn an_answer_that_hung_does_not_push_a_good_clock_ahead() {
    let tablet = Tablet::after_contact();
    let clock = tablet.open();
    tablet.door.pass(Duration::from_mins(20));
    let signed_for = at("2026-03-02T12:19:59Z");
    clock.confirm(signed_for, Duration::from_mins(20)).unwrap();
    assert_eq!(clock.now().at, at("2026-03-02T12:20:00Z"));
}

/// What the server says of time and holds, and whether anything may be destroyed by it.
fn hears(clock: &TrustedClock, server: Timestamp) -> bool {
    clock.confirm(server, Duration::ZERO).unwrap();
    clock.confirm_holds(server);
    let now = clock.now();
    assert_eq!(now.at, server, "it is followed");
    assert!(!now.doubtful);
    now.holds_confirmed_at.is_some()
}

#[test]
fn a_server_whose_time_leaps_ahead_is_followed_and_destroys_nothing_for_eight_hours() {
    let tablet = Tablet::after_contact();
    let clock = tablet.open();
    let ahead = SignedDuration::from_hours(4 * 24);
    let mut server = at(MONDAY) + ahead;
    assert!(!hears(&clock, server));
    assert_eq!(tablet.events(), 1, "it is told");
    let mut hours = 0;
    while hours < 8 {
        assert!(!hears(&clock, server), "after {hours} hours");
        tablet.door.pass(Duration::from_hours(1));
        server += SignedDuration::from_hours(1);
        hours += 1;
    }
    assert!(hears(&clock, server));
    assert_eq!(tablet.events(), 1, "once");
}

#[test]
fn a_server_that_was_put_right_is_believed_again() {
    let tablet = Tablet::after_contact();
    let clock = tablet.open();
    assert!(!hears(&clock, at("2026-04-01T12:00:00Z")));
    tablet.door.pass(Duration::from_mins(30));
    assert!(hears(&clock, at("2026-03-02T12:30:00Z")));
}

#[test]
fn a_leap_outlives_a_start_of_the_agent_and_of_the_tablet() {
    let tablet = Tablet::after_contact();
    let clock = tablet.open();
    assert!(!hears(&clock, at("2026-03-09T12:00:00Z")));
    tablet.door.pass(Duration::from_hours(2));
    clock.checkpoint().unwrap();
    drop(clock);
    let clock = tablet.open();
    assert!(!hears(&clock, at("2026-03-09T14:00:00Z")));
    clock.checkpoint().unwrap();
    drop(clock);
    tablet.door.restart("2026-03-09T20:00:00Z");
    let clock = tablet.open();
    // Off for six hours, and not running.
    assert!(!hears(&clock, at("2026-03-09T20:00:00Z")));
    tablet.door.pass(Duration::from_hours(6));
    assert!(hears(&clock, at("2026-03-10T02:00:00Z")));
}

#[test]
fn a_server_an_hour_ahead_is_no_leap() {
    let tablet = Tablet::after_contact();
    let clock = tablet.open();
    assert!(hears(&clock, at("2026-03-02T13:00:00Z")));
    assert_eq!(tablet.events(), 0);
}

#[test]
fn a_tablet_whose_own_clock_was_slow_while_it_was_off_takes_the_servers_for_no_leap() {
    let tablet = Tablet::after_contact();
    tablet.door.restart("2026-03-04T09:00:00Z");
    let clock = tablet.open();
    assert!(hears(&clock, at("2026-03-04T12:00:00Z")));
}

#[test]
fn a_tablet_that_fell_asleep_over_an_answer_takes_the_next_one_for_no_leap() {
    let tablet = Tablet::after_contact();
    let clock = tablet.open();
    let asked = tablet.door.since_boot();
    tablet.door.pass(Duration::from_hours(12));
    // Signed before it fell asleep, and taken over after.
    clock.confirm_since(at(MONDAY), asked).unwrap();
    assert!(hears(&clock, at(MONDAY) + SignedDuration::from_hours(12)));
    assert_eq!(tablet.events(), 0);
}
