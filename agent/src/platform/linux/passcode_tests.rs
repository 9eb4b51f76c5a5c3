#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::control::{Control, Unread};
use crate::testing::situation;
use jiff::SignedDuration;
use nestwarden_policy_schema::policy::{Mode, PasscodePolicy, Rotation, SetBy};
use std::collections::BTreeSet;

const PASSWD: &str =
    "root:x:0:0::/root:/bin/sh\nroom1:x:1000:1000::/:/bin/sh\nroom2:x:1001:1001::/:/bin/sh\n";
const SHADOW: &str = "root:$y$r:1:0:99999:7:::\nroom1:$y$a:1:0:99999:7:::\nroom2:$y$b:1:0::7:::\n";

fn tablet() -> (tempfile::TempDir, PasscodeEnforcer) {
    let root = tempfile::tempdir().unwrap();
    let enforcer = PasscodeEnforcer::new(&Paths::new(root.path()));
    let write = |path, text| enforcer.tablet.write(path, text, 0o600).unwrap();
    write("/etc/passwd", PASSWD);
    write("/etc/shadow", SHADOW);
    (root, enforcer)
}

fn wish(asked: Option<Timestamp>, in_contact_hours: bool) -> PasscodeWish {
    let mut now = situation();
    now.in_contact_hours = in_contact_hours;
    now.passcode_change_asked_at = asked;
    now.policy.passcode = Some(PasscodePolicy {
        mode: Mode::Enforce,
        requirements: BTreeSet::new(),
        min_length: 6,
        alphanumeric: false,
        refuse_simple: true,
        history: 5,
        rotation: Rotation::Both,
        max_age_days: Some(91),
        max_failed_attempts: None,
        auto_lock_minutes: None,
        set_by: SetBy::User,
    });
    Passcode::desired(&now).unwrap()
}

fn hold(enforcer: &mut PasscodeEnforcer, wish: &PasscodeWish) -> Vec<PasscodeChange> {
    enforcer.watch(wish).unwrap();
    for change in Passcode::diff(wish, &enforcer.observe().unwrap()) {
        let applied = enforcer.apply(&change);
        let is_for_people = matches!(change, PasscodeChange::AwaitNew { .. });
        assert_eq!(
            applied.is_err(),
            is_for_people || Passcode::unread(&change).is_some(),
            "{change}"
        );
    }
    Passcode::diff(wish, &enforcer.observe().unwrap())
}

fn overdue(uid: u32) -> PasscodeChange {
    PasscodeChange::AwaitNew {
        uid,
        has_passcode: true,
    }
}

fn without_unread(changes: Vec<PasscodeChange>) -> Vec<PasscodeChange> {
    let read = changes.into_iter();
    read.filter(|c| Passcode::unread(c).is_none()).collect()
}

#[test]
fn an_old_passcode_is_asked_for_in_the_evening_and_stays_overdue_until_it_is_new() {
    let (_root, mut enforcer) = tablet();
    let by_day = hold(&mut enforcer, &wish(None, true));
    assert_eq!(without_unread(by_day), [overdue(1000), overdue(1001)]);
    let shadow = |e: &PasscodeEnforcer| e.tablet.read("/etc/shadow").unwrap().unwrap();
    // A limit would have PAM ask at the next sign-in, in contact hours.
    assert!(shadow(&enforcer).contains("room1:$y$a:1:0:99999:7"));
    let by_night = hold(&mut enforcer, &wish(None, false));
    assert_eq!(without_unread(by_night), [overdue(1000), overdue(1001)]);
    assert!(shadow(&enforcer).contains("room1:$y$a:0:0:91:7"));
    // Somebody turns the date back without a new passcode.
    let cheated = shadow(&enforcer).replace("$y$a:0:", "$y$a:99999:");
    enforcer.tablet.rewrite("/etc/shadow", &cheated).unwrap();
    assert!(hold(&mut enforcer, &wish(None, true)).contains(&overdue(1000)));
    let changed = shadow(&enforcer).replace("$y$a:99999:", "$y$new:99999:");
    enforcer.tablet.rewrite("/etc/shadow", &changed).unwrap();
    let after = hold(&mut enforcer, &wish(None, true));
    assert_eq!(without_unread(after), [overdue(1001)]);
}

#[test]
fn a_suspected_passcode_is_asked_for_in_contact_hours_too() {
    let (_root, mut enforcer) = tablet();
    let now = wish(None, true).now;
    hold(
        &mut enforcer,
        &wish(Some(now - SignedDuration::from_hours(1)), true),
    );
    let shadow = enforcer.tablet.read("/etc/shadow").unwrap().unwrap();
    assert!(shadow.contains("room1:$y$a:0:") && shadow.contains("room2:$y$b:0:"));
    assert!(shadow.starts_with("root:$y$r:1:0:99999:7:::\n"));
}

#[test]
fn ages_go_back_to_what_they_were_at_release() {
    let (root, mut enforcer) = tablet();
    hold(&mut enforcer, &wish(None, true));
    enforcer.release().unwrap();
    let shadow = enforcer.tablet.read("/etc/shadow").unwrap().unwrap();
    assert_eq!(shadow, SHADOW);
    assert!(
        !root
            .path()
            .join("var/lib/nestwarden/passcode-ages.json")
            .exists()
    );
}

#[test]
fn beneath_a_bare_root_everything_reads_unsupported() {
    let root = tempfile::tempdir().unwrap();
    let mut enforcer = PasscodeEnforcer::new(&Paths::new(root.path()));
    let wish = PasscodeWish {
        auto_lock_seconds: Some(120),
        ..wish(None, true)
    };
    enforcer.watch(&wish).unwrap();
    let changes = Passcode::diff(&wish, &enforcer.observe().unwrap());
    assert_eq!(changes.len(), 3);
    assert!(
        changes
            .iter()
            .all(|change| matches!(Passcode::unread(change), Some(Unread::Unsupported(_))))
    );
    enforcer.release().unwrap();
}

#[test]
fn a_stack_is_not_told_to_use_modules_that_are_not_there() {
    let (_root, mut enforcer) = tablet();
    for name in ["common-password", "common-auth", "common-account"] {
        let path = format!("/etc/pam.d/{name}");
        enforcer.tablet.write(&path, "", 0o644).unwrap();
    }
    let rules = wish(None, true).rules;
    let refused = enforcer
        .apply(&PasscodeChange::SetRules(rules))
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "`pam_pwquality.so` is not installed; install the package libpam-pwquality"
    );
    assert!(enforcer.our_rules().unwrap().is_none());
}

#[test]
fn a_limit_below_what_the_tablet_knows_is_not_set_again_and_again() {
    let (_root, mut enforcer) = tablet();
    let main = "/etc/security/pwquality.conf";
    enforcer.tablet.write(main, "minlen = 9\n", 0o644).unwrap();
    let mut wish = wish(None, true);
    wish.rules.min_length = 4;
    enforcer.watch(&wish).unwrap();
    let written = enforcer.as_written(&wish.rules).unwrap();
    assert_eq!(written.min_length, 9);
    let profile = pam::quality_profile(&written);
    enforcer
        .write_profile(pam::QUALITY_PROFILE, &profile)
        .unwrap();
    assert_eq!(enforcer.our_rules().unwrap(), Some(wish.rules));
    wish.rules.min_length = 12;
    enforcer.watch(&wish).unwrap();
    assert_ne!(enforcer.our_rules().unwrap(), Some(wish.rules));
}
