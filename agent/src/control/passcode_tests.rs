#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::control::testing::reading;
use crate::testing::situation;
use nestwarden_policy_schema::policy::{Mode, Rotation};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn policy() -> PasscodePolicy {
    PasscodePolicy {
        mode: Mode::Enforce,
        requirements: BTreeSet::new(),
        min_length: 6,
        alphanumeric: false,
        refuse_simple: true,
        history: 5,
        rotation: Rotation::Both,
        max_age_days: Some(91),
        max_failed_attempts: Some(5),
        auto_lock_minutes: Some(2),
        set_by: SetBy::User,
    }
}

fn with(policy: PasscodePolicy) -> Situation {
    let mut now = situation();
    now.policy.passcode = Some(policy);
    now
}

fn days_ago(days: i64) -> Timestamp {
    situation().now - SignedDuration::from_hours(24 * days)
}

fn account(changed_at: Timestamp) -> AccountSeen {
    AccountSeen {
        uid: 1000,
        has_passcode: true,
        max_days: Some(91),
        max_days_by_us: true,
        is_forced: false,
        changed_at,
        is_from_console: true,
    }
}

fn held(account: AccountSeen) -> PasscodeObserved {
    let rules = rules(&policy());
    PasscodeObserved {
        rules: Reading::Seen(rules),
        our_rules: Some(rules),
        auto_lock_seconds: Reading::Seen(Some(120)),
        auto_lock_by_us: true,
        accounts: Reading::Seen(vec![account]),
    }
}

const AWAIT: PasscodeChange = PasscodeChange::AwaitNew {
    uid: 1000,
    has_passcode: true,
};

#[test]
fn a_fresh_passcode_under_the_right_rules_needs_nothing() {
    let wish = Passcode::desired(&with(policy())).unwrap();
    assert_eq!(Passcode::diff(&wish, &held(account(days_ago(3)))), []);
}

#[test]
fn an_old_passcode_is_overdue_in_contact_hours_and_is_asked_for_outside_them() {
    let mut now = with(policy());
    let observed = held(account(days_ago(100)));
    let wish = Passcode::desired(&now).unwrap();
    assert_eq!(Passcode::diff(&wish, &observed), [AWAIT]);
    now.in_contact_hours = false;
    let wish = Passcode::desired(&now).unwrap();
    assert_eq!(
        Passcode::diff(&wish, &observed),
        [PasscodeChange::ForceChange { uid: 1000 }, AWAIT]
    );
}

#[test]
fn an_overdue_passcode_gets_no_limit_in_contact_hours_at_which_the_system_would_ask_at_once() {
    let mut now = with(policy());
    let unlimited = |days| {
        held(AccountSeen {
            max_days: None,
            max_days_by_us: false,
            ..account(days_ago(days))
        })
    };
    let limit = || PasscodeChange::SetMaxAge {
        uid: 1000,
        days: 91,
    };
    let wish = Passcode::desired(&now).unwrap();
    assert_eq!(Passcode::diff(&wish, &unlimited(100)), [AWAIT]);
    assert_eq!(Passcode::diff(&wish, &unlimited(3)), [limit()]);
    now.in_contact_hours = false;
    let wish = Passcode::desired(&now).unwrap();
    assert!(Passcode::diff(&wish, &unlimited(100)).contains(&limit()));
}

#[test]
fn a_passcode_due_tomorrow_is_asked_for_the_evening_before() {
    let mut now = with(policy());
    now.in_contact_hours = false;
    let wish = Passcode::desired(&now).unwrap();
    let due_soon = held(account(days_ago(91) + SignedDuration::from_hours(12)));
    assert_eq!(
        Passcode::diff(&wish, &due_soon),
        [PasscodeChange::ForceChange { uid: 1000 }]
    );
}

#[test]
fn a_suspected_passcode_is_asked_for_at_once() {
    let mut now = with(policy());
    now.passcode_change_asked_at = Some(days_ago(0));
    let wish = Passcode::desired(&now).unwrap();
    assert_eq!(
        Passcode::diff(&wish, &held(account(days_ago(3)))),
        [PasscodeChange::ForceChange { uid: 1000 }, AWAIT]
    );
}

#[test]
fn a_forced_passcode_stays_overdue_until_it_is_a_new_one() {
    let mut now = with(policy());
    now.passcode_change_asked_at = Some(days_ago(1));
    let wish = Passcode::desired(&now).unwrap();
    let forced = AccountSeen {
        is_forced: true,
        ..account(days_ago(3))
    };
    assert_eq!(Passcode::diff(&wish, &held(forced)), [AWAIT]);
    assert_eq!(Passcode::diff(&wish, &held(account(days_ago(0)))), []);
}

#[test]
fn rotation_by_event_only_ignores_age_and_by_schedule_only_ignores_events() {
    let mut now = with(PasscodePolicy {
        rotation: Rotation::Event,
        ..policy()
    });
    now.passcode_change_asked_at = Some(days_ago(1));
    let wish = Passcode::desired(&now).unwrap();
    assert_eq!(wish.max_age_days, None);
    assert_eq!(wish.overdue_before, Some(days_ago(1)));
    now.policy.passcode = Some(PasscodePolicy {
        rotation: Rotation::Scheduled,
        ..policy()
    });
    let wish = Passcode::desired(&now).unwrap();
    assert_eq!(wish.overdue_before, Some(days_ago(91)));
}

#[test]
fn an_account_without_a_passcode_is_never_fine() {
    let wish = Passcode::desired(&with(policy())).unwrap();
    let open = AccountSeen {
        has_passcode: false,
        ..account(days_ago(0))
    };
    assert_eq!(
        Passcode::diff(&wish, &held(open)),
        [
            PasscodeChange::AwaitNew {
                uid: 1000,
                has_passcode: false
            },
            PasscodeChange::ForceChange { uid: 1000 }
        ]
    );
}

fn managers() -> PasscodePolicy {
    PasscodePolicy {
        set_by: SetBy::Manager,
        ..policy()
    }
}

/// Under the manager's rules.
fn held_for_manager(mut account: AccountSeen) -> PasscodeObserved {
    let rules = rules(&managers());
    account.max_days = None;
    PasscodeObserved {
        rules: Reading::Seen(rules),
        our_rules: Some(rules),
        ..held(account)
    }
}

const fn lacks(lacking: Lacking) -> PasscodeChange {
    PasscodeChange::AwaitCode { uid: 1000, lacking }
}

#[test]
fn a_passcode_of_the_manager_is_fine_only_where_it_is_the_consoles_and_in_time() {
    for in_contact_hours in [true, false] {
        let mut now = with(managers());
        now.in_contact_hours = in_contact_hours;
        let wish = Passcode::desired(&now).unwrap();
        let found = |account| Passcode::diff(&wish, &held_for_manager(account));
        assert_eq!(found(account(days_ago(3))), []);
        let elsewhere = AccountSeen {
            is_from_console: false,
            ..account(days_ago(3))
        };
        assert_eq!(found(elsewhere), [lacks(Lacking::NotSetThere)]);
        let open = AccountSeen {
            has_passcode: false,
            ..account(days_ago(3))
        };
        assert_eq!(found(open), [lacks(Lacking::None)]);
        // Nobody who signs in is made to choose one, whenever it is.
        assert_eq!(found(account(days_ago(100))), [lacks(Lacking::Overdue)]);
    }
}

#[test]
fn nothing_asks_who_signs_in_for_a_passcode_that_is_the_managers_to_set() {
    let wish = Passcode::desired(&with(managers())).unwrap();
    let asks = AccountSeen {
        max_days: Some(91),
        is_forced: true,
        ..account(days_ago(3))
    };
    let mut observed = held_for_manager(asks.clone());
    observed.accounts = Reading::Seen(vec![asks.clone()]);
    let forgo = PasscodeChange::ForgoChange {
        uid: 1000,
        changed_at: asks.changed_at,
    };
    assert_eq!(
        Passcode::diff(&wish, &observed),
        [PasscodeChange::LiftMaxAge { uid: 1000 }, forgo]
    );
}

#[test]
fn a_passcode_that_others_may_know_is_overdue_until_the_manager_set_another() {
    let mut now = with(managers());
    now.passcode_change_asked_at = Some(days_ago(1));
    let wish = Passcode::desired(&now).unwrap();
    let found = |days| Passcode::diff(&wish, &held_for_manager(account(days_ago(days))));
    assert_eq!(found(3), [lacks(Lacking::Overdue)]);
    assert_eq!(found(1), []);
    assert!(
        lacks(Lacking::Overdue)
            .to_string()
            .starts_with(wording::SET_IN_CONSOLE)
    );
}

#[test]
fn who_sets_a_passcode_is_part_of_the_rules_in_force() {
    let wish = Passcode::desired(&with(managers())).unwrap();
    let mut observed = held_for_manager(account(days_ago(3)));
    let users = rules(&policy());
    observed.rules = Reading::Seen(users);
    let set = [PasscodeChange::SetRules(wish.rules)];
    assert_eq!(Passcode::diff(&wish, &observed), set);
    // And back again, although the others are as strict.
    let wish = Passcode::desired(&with(policy())).unwrap();
    let observed = PasscodeObserved {
        accounts: Reading::Seen(vec![account(days_ago(3))]),
        ..held_for_manager(account(days_ago(3)))
    };
    let set = [PasscodeChange::SetRules(wish.rules)];
    assert_eq!(Passcode::diff(&wish, &observed), set);
}

#[test]
fn stricter_rules_of_the_image_are_left_alone() {
    let wish = Passcode::desired(&with(policy())).unwrap();
    let mut observed = held(account(days_ago(0)));
    observed.our_rules = None;
    observed.rules = Reading::Seen(PasscodeRules {
        min_length: 12,
        history: 24,
        max_failed_attempts: Some(3),
        ..wish.rules
    });
    assert_eq!(Passcode::diff(&wish, &observed), []);
}

fn apply(observed: &mut PasscodeObserved, change: &PasscodeChange, now: Timestamp) {
    let on = |observed: &mut PasscodeObserved, uid: u32, act: &dyn Fn(&mut AccountSeen)| {
        if let Reading::Seen(accounts) = &mut observed.accounts {
            accounts.iter_mut().filter(|a| a.uid == uid).for_each(act);
        }
    };
    match change {
        PasscodeChange::SetRules(rules) => {
            observed.rules = Reading::Seen(*rules);
            observed.our_rules = Some(*rules);
        }
        PasscodeChange::SetAutoLock { seconds } => {
            observed.auto_lock_seconds = Reading::Seen(Some(*seconds));
            observed.auto_lock_by_us = true;
        }
        PasscodeChange::LiftAutoLock => observed.auto_lock_by_us = false,
        PasscodeChange::SetMaxAge { uid, days } => on(observed, *uid, &|a| {
            a.max_days = Some(u32::from(*days));
            a.max_days_by_us = true;
        }),
        PasscodeChange::RestoreMaxAge { uid } => on(observed, *uid, &|a| a.max_days_by_us = false),
        PasscodeChange::ForceChange { uid } => on(observed, *uid, &|a| a.is_forced = true),
        PasscodeChange::AwaitNew { uid, .. } => on(observed, *uid, &|a| {
            a.has_passcode = true;
            a.changed_at = now;
            a.is_forced = false;
        }),
        PasscodeChange::AwaitCode { uid, .. } => on(observed, *uid, &|a| {
            a.has_passcode = true;
            a.changed_at = now;
            a.is_from_console = true;
        }),
        PasscodeChange::LiftMaxAge { uid } => on(observed, *uid, &|a| {
            a.max_days = None;
            a.max_days_by_us = true;
        }),
        PasscodeChange::ForgoChange { uid, .. } => on(observed, *uid, &|a| a.is_forced = false),
        PasscodeChange::Unread { rule, .. } => match *rule {
            "the rules for passcodes" => {
                observed.rules = Reading::Seen(PasscodeRules {
                    min_length: 16,
                    alphanumeric: true,
                    refuse_simple: true,
                    history: 50,
                    max_failed_attempts: Some(3),
                    set_by: SetBy::Manager,
                });
                observed.our_rules = None;
            }
            "the automatic lock" => {
                observed.auto_lock_seconds = Reading::Seen(Some(60));
                observed.auto_lock_by_us = false;
            }
            _ => observed.accounts = Reading::Seen(vec![]),
        },
    }
}

fn set_by() -> impl Strategy<Value = SetBy> {
    prop_oneof![Just(SetBy::User), Just(SetBy::Manager)]
}

prop_compose! {
    fn a_rule()(min_length in 4..=16_u8, alphanumeric in any::<bool>(), refuse_simple in any::<bool>(), history in 0..=50_u16,
        max_failed_attempts in prop::option::of(3..=50_u16), set_by in set_by()) -> PasscodeRules {
        PasscodeRules { min_length, alphanumeric, refuse_simple, history, max_failed_attempts, set_by }
    }
}

prop_compose! {
    fn an_account()(uid in 1000..1003_u32, has_passcode in any::<bool>(), max_days in prop::option::of(1..200_u32),
        by_us in any::<bool>(), is_forced in any::<bool>(), age in 0..200_i64, is_from_console in any::<bool>()) -> AccountSeen {
        AccountSeen { uid, has_passcode, max_days, max_days_by_us: by_us && max_days.is_some(), is_forced, changed_at: days_ago(age), is_from_console }
    }
}

prop_compose! {
    fn observed()(rules in reading(a_rule()), our_rules in prop::option::of(a_rule()),
        auto_lock_seconds in reading(prop::option::of(60..900_u32)), auto_lock_by_us in any::<bool>(),
        accounts in reading(prop::collection::vec(an_account(), 0..3))) -> PasscodeObserved {
        PasscodeObserved { rules, our_rules, auto_lock_seconds, auto_lock_by_us, accounts }
    }
}

proptest! {
    #[test]
    fn nothing_is_left_after_every_change(
        rules in a_rule(),
        minutes in prop::option::of(1..=15_u8),
        age in prop::option::of(1..=200_u16),
        asked in prop::option::of(0..=200_i64),
        in_contact_hours in any::<bool>(),
        mut observed in observed(),
    ) {
        let mut now = with(PasscodePolicy {
            min_length: rules.min_length,
            alphanumeric: rules.alphanumeric,
            refuse_simple: rules.refuse_simple,
            history: u8::try_from(rules.history).unwrap(),
            max_failed_attempts: rules.max_failed_attempts.map(|t| u8::try_from(t).unwrap()),
            set_by: rules.set_by,
            auto_lock_minutes: minutes,
            max_age_days: age,
            ..policy()
        });
        now.passcode_change_asked_at = asked.map(days_ago);
        now.in_contact_hours = in_contact_hours;
        let wish = Passcode::desired(&now).unwrap();
        // A passcode that was overdue gets its limit once somebody has changed it.
        for _ in 0..2 {
            for change in Passcode::diff(&wish, &observed.clone()) {
                apply(&mut observed, &change, now.now);
            }
        }
        prop_assert_eq!(Passcode::diff(&wish, &observed), vec![]);
    }

    #[test]
    fn a_passcode_of_the_manager_is_fine_only_by_what_was_observed_and_forces_nobody(
        seen in an_account(), asked in prop::option::of(0..=200_i64), in_contact_hours in any::<bool>(),
    ) {
        let mut now = with(managers());
        now.in_contact_hours = in_contact_hours;
        now.passcode_change_asked_at = asked.map(days_ago);
        let wish = Passcode::desired(&now).unwrap();
        let is_fine = seen.has_passcode
            && seen.is_from_console
            && seen.changed_at >= days_ago(91)
            && asked.is_none_or(|asked| seen.changed_at >= days_ago(asked));
        let changes = Passcode::diff(&wish, &held_for_manager(seen));
        let waits = |change: &PasscodeChange| matches!(change, PasscodeChange::AwaitCode { .. });
        prop_assert_eq!(!changes.iter().any(waits), is_fine);
        let forces = |change: &PasscodeChange| {
            matches!(change, PasscodeChange::ForceChange { .. } | PasscodeChange::SetMaxAge { .. })
        };
        prop_assert!(!changes.iter().any(forces));
    }

    #[test]
    fn an_overdue_passcode_is_never_shown_as_fine(age in 92..500_i64, in_contact_hours in any::<bool>(), is_forced in any::<bool>()) {
        let mut now = with(policy());
        now.in_contact_hours = in_contact_hours;
        let wish = Passcode::desired(&now).unwrap();
        let observed = held(AccountSeen { is_forced, ..account(days_ago(age)) });
        prop_assert!(Passcode::diff(&wish, &observed).contains(&AWAIT));
    }
}
