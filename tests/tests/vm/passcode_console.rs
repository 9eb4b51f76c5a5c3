//! Passcodes that are set in the console. After the others: that a passcode may be known to others is remembered by the
//! tablet, and an older one has to go at once from then on. A tablet takes four within an hour, whatever its server says, so
//! no more are set here.

use super::passcode::{FIRST, SECOND, THIRD, change, conversation, fresh};
use super::tablet;
use system_tests::vm::nursery::{Hours, Profile};
use system_tests::vm::tablet::Tablet;

/// As `fresh`, and from there on the passcode is the manager's to set. What staff had chosen is not the console's.
fn handed_to_the_manager(tablet: &Tablet, hours: Hours) {
    fresh(tablet, hours);
    tablet.hold_to(&managers(hours)).unwrap();
    until_it_says(tablet, "was not set there");
}

fn managers(hours: Hours) -> Profile {
    Profile::in_hours(hours).with_passcode("set_by = \"manager\"")
}

fn until_it_says(tablet: &Tablet, words: &str) {
    tablet
        .until(words, |tablet| {
            let found = tablet.control("passcode")?;
            Ok((found["outcome"] == "drifted" && found.to_string().contains(words)).then_some(()))
        })
        .unwrap_or_else(|problem| panic!("{problem:?}\n{}", tablet.agent_log()));
}

fn set_in_console(tablet: &Tablet, code: &str, reason: &str) {
    tablet
        .server(&format!(
            "device set-passcode Ladybird-1 --reason {reason} <<'END'\n{code}\nEND"
        ))
        .unwrap();
}

/// Waits until the server says that of what was set last.
fn until_it_got(tablet: &Tablet, words: &str) {
    let mut last = String::new();
    tablet
        .until(words, |tablet| {
            let shown = tablet.server("device show Ladybird-1")?;
            shown
                .lines()
                .last()
                .unwrap_or_default()
                .clone_into(&mut last);
            Ok(last.contains(words).then_some(()))
        })
        .unwrap_or_else(|problem| panic!("{problem:?}\n{last}\n{}", tablet.agent_log()));
}

fn hash(tablet: &Tablet) -> String {
    tablet.done("getent shadow room | cut -d: -f2").unwrap()
}

/// Whether this passcode lets its owner in, and without being asked for another.
fn signs_in(tablet: &Tablet, passcode: &str) -> bool {
    tablet.done("faillock --user room --reset").unwrap();
    let said = tablet
        .ask(&conversation("login room", &[("assword", passcode)]))
        .unwrap();
    assert!(!said.stdout.contains("required to change"), "{said:?}");
    assert_ne!(said.code, 99, "{said:?}");
    !said.stdout.contains("Login incorrect")
}

#[test]
fn a_passcode_set_in_the_console_signs_in_and_is_changed_by_nobody_on_the_tablet() {
    let tablet = tablet();
    handed_to_the_manager(&tablet, Hours::Contact);
    set_in_console(&tablet, SECOND, "suspicion");
    until_it_got(&tablet, "the tablet took it");
    tablet.until_compliant("passcode").unwrap();
    assert!(signs_in(&tablet, SECOND));
    assert!(!signs_in(&tablet, FIRST));
    // Neither on the tablet nor on the server, and in no log.
    let found = tablet
        .ask(&format!(
            "grep -rlaF '{SECOND}' /var/lib/nestwarden /var/lib/nestwarden-server /var/log; journalctl --no-pager | grep -cF '{SECOND}'"
        ))
        .unwrap();
    assert_eq!(found.stdout, "0\n", "{found:?}");

    let before = hash(&tablet);
    let said = change(&tablet, "room", SECOND, THIRD);
    assert_ne!(said.code, 0, "{said:?}");
    assert_eq!(hash(&tablet), before);
    let said = change(&tablet, "root", "", "butterfly");
    assert_ne!(said.code, 0, "root is held to the rules: {said:?}");
    let said = change(&tablet, "root", "", THIRD);
    assert_eq!(said.code, 0, "{said:?}");
    until_it_says(&tablet, "was not set there");
}

#[test]
fn what_the_tablet_refuses_is_told_and_stays_to_be_done() {
    let tablet = tablet();
    handed_to_the_manager(&tablet, Hours::Contact);
    // A word that only the tablet's dictionary knows.
    set_in_console(&tablet, "butterfly", "suspicion");
    until_it_got(&tablet, "too easy to guess for this tablet");
    until_it_says(&tablet, "set a new passcode in the console");
    set_in_console(&tablet, FIRST, "suspicion");
    until_it_got(&tablet, "it was used on this tablet before");
    until_it_says(&tablet, "set a new passcode in the console");
    assert!(signs_in(&tablet, FIRST));
    set_in_console(&tablet, SECOND, "suspicion");
    until_it_got(&tablet, "the tablet took it");
    tablet.until_compliant("passcode").unwrap();
    assert!(signs_in(&tablet, SECOND));
}

#[test]
fn one_that_is_due_waits_for_the_end_of_contact_hours_and_nobody_is_asked_for_it_at_sign_in() {
    let tablet = tablet();
    handed_to_the_manager(&tablet, Hours::Contact);
    let before = hash(&tablet);
    let generation = tablet.status().unwrap()["generation"].as_u64();
    set_in_console(&tablet, SECOND, "leaver");
    tablet
        .until("the bundle that asks for it", |tablet| {
            Ok((tablet.status()?["generation"].as_u64() > generation).then_some(()))
        })
        .unwrap();
    tablet.measured_again("passcode").unwrap();
    until_it_got(&tablet, "waits until contact hours end");
    assert_eq!(hash(&tablet), before);
    assert!(signs_in(&tablet, FIRST));
    assert_eq!(
        tablet.done("getent shadow room | cut -d: -f5").unwrap(),
        "\n"
    );

    tablet.hold_to(&managers(Hours::Closed)).unwrap();
    until_it_got(&tablet, "the tablet took it");
    tablet.until_compliant("passcode").unwrap();
    assert!(signs_in(&tablet, SECOND));
}

#[test]
fn an_agent_killed_while_it_sets_a_passcode_finds_out_what_came_of_it() {
    let tablet = tablet();
    handed_to_the_manager(&tablet, Hours::Contact);
    set_in_console(&tablet, SECOND, "suspicion");
    tablet
        .done(
            "before=$(getent shadow room | cut -d: -f2)
             i=0; while [ \"$(getent shadow room | cut -d: -f2)\" = \"$before\" ] && [ $i -lt 20000 ]; do i=$((i+1)); done
             systemctl kill --signal=KILL nestwarden-agent",
        )
        .unwrap();
    until_it_got(&tablet, "the tablet took it");
    tablet.until_compliant("passcode").unwrap();
    assert!(signs_in(&tablet, SECOND));
}

#[test]
fn a_passcode_that_is_the_staffs_again_is_changed_by_them() {
    let tablet = tablet();
    handed_to_the_manager(&tablet, Hours::Contact);
    tablet.hold_to(&Profile::in_hours(Hours::Contact)).unwrap();
    tablet.until_compliant("passcode").unwrap();
    let said = change(&tablet, "room", FIRST, SECOND);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(
        tablet.done("getent shadow room | cut -d: -f5").unwrap(),
        "91\n"
    );
    let stack = tablet.done("cat /etc/pam.d/common-password").unwrap();
    assert!(!stack.contains("pam_rootok"), "{stack}");
}
