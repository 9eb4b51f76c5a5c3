//! Passcodes through PAM: what a person at the tablet types, and what it answers.

use super::tablet;
use std::fmt::Write as _;
use system_tests::vm::machine::Said;
use system_tests::vm::nursery::{Hours, Profile};
use system_tests::vm::tablet::Tablet;

pub(super) const FIRST: &str = "Quiet9-lantern";
pub(super) const SECOND: &str = "Amber4-bicycle";
pub(super) const THIRD: &str = "Velvet7-harbour";

/// A tablet whose member of staff has the passcode `FIRST`, none before it, and no wrong tries. With a method of its own,
/// chpasswd asks no PAM.
pub(super) fn fresh(tablet: &Tablet, hours: Hours) {
    tablet.hold_to(&Profile::in_hours(hours)).unwrap();
    tablet
        .done(&format!(
            "rm -f /etc/security/opasswd; touch /etc/security/opasswd; chmod 600 /etc/security/opasswd
             echo 'room:{FIRST}' | chpasswd --crypt-method YESCRYPT && faillock --user room --reset"
        ))
        .unwrap();
    tablet.until_compliant("passcode").unwrap();
}

/// Types `new` twice as the account's owner or as root, as often as it is asked for.
pub(super) fn change(tablet: &Tablet, by: &str, old: &str, new: &str) -> Said {
    let who = if by == "root" {
        "passwd room".to_owned()
    } else {
        "runuser -u room -- passwd".to_owned()
    };
    tablet
        .ask(&conversation(&who, &[("urrent", old), ("ew", new)]))
        .unwrap()
}

/// A conversation over a terminal: what is answered whenever a question has that in it.
pub(super) fn conversation(program: &str, answers: &[(&str, &str)]) -> String {
    let mut script = format!("set timeout 90\nspawn {program}\nexpect {{\n");
    for (question, answer) in answers {
        let _ = writeln!(
            script,
            "-re \"{question}\\[^\\n\\]*: $\" {{ send -- \"{answer}\\r\"; exp_continue }}"
        );
    }
    // Asked for another name: it was refused. A shell: it was let in.
    script += "-re {tablet login: $} { exit 98 }\n-re {[$] $} { exit 0 }\n";
    script += "timeout { exit 99 }\neof {}\n}\nexit [lindex [wait] 3]\n";
    format!("expect - <<'END'\n{script}END")
}

#[test]
fn a_weak_passcode_is_refused() {
    let tablet = tablet();
    fresh(&tablet, Hours::Contact);
    for weak in ["123456", "111111", "240589", "ab12"] {
        let said = change(&tablet, "room", FIRST, weak);
        assert_ne!(said.code, 0, "{weak}: {said:?}");
        assert!(said.stdout.contains("BAD PASSWORD"), "{weak}: {said:?}");
    }
}

#[test]
fn a_passcode_that_was_used_before_is_refused_from_root_too() {
    let tablet = tablet();
    fresh(&tablet, Hours::Contact);
    let said = change(&tablet, "room", FIRST, SECOND);
    assert_eq!(said.code, 0, "{said:?}");
    let said = change(&tablet, "room", SECOND, FIRST);
    assert_ne!(said.code, 0, "{said:?}");
    let said = change(&tablet, "root", "", FIRST);
    assert_ne!(said.code, 0, "{said:?}");
    let said = change(&tablet, "root", "", THIRD);
    assert_eq!(said.code, 0, "{said:?}");
}

/// Makes the passcode look as old as shadow can say, as one is that was chosen long before the tablet was enrolled.
fn aged(tablet: &Tablet) {
    tablet
        .done(
            "systemctl stop nestwarden-agent
             rm -f /var/lib/nestwarden/passcode-ages.json
             chage -d 2025-01-01 -M 99999 room
             systemctl start nestwarden-agent",
        )
        .unwrap();
    tablet
        .until("an overdue passcode", |tablet| {
            let found = tablet.control("passcode")?;
            Ok(found.to_string().contains("is overdue").then_some(()))
        })
        .unwrap();
}

fn last_change(tablet: &Tablet) -> String {
    tablet
        .done("getent shadow room | cut -d: -f3")
        .unwrap()
        .trim()
        .to_owned()
}

/// From `FIRST` to `SECOND`, because the tablet asks for it.
fn changes_at_the_next_sign_in(tablet: &Tablet) {
    tablet
        .until("a change that is asked for", |tablet| {
            Ok((last_change(tablet) == "0").then_some(()))
        })
        .unwrap_or_else(|problem| panic!("{problem:?}\n{}", tablet.agent_log()));
    let said = tablet
        .ask(&conversation(
            "login room",
            &[("urrent", FIRST), ("ew", SECOND), ("assword", FIRST)],
        ))
        .unwrap();
    assert!(said.stdout.contains("required to change"), "{said:?}");
    tablet.until_compliant("passcode").unwrap();
}

#[test]
fn an_overdue_passcode_is_left_alone_in_contact_hours_and_has_to_change_after_them() {
    let tablet = tablet();
    fresh(&tablet, Hours::Contact);
    aged(&tablet);
    let said = tablet
        .ask(&conversation("login room", &[("assword", FIRST)]))
        .unwrap();
    assert!(!said.stdout.contains("required to change"), "{said:?}");

    tablet.hold_to(&Profile::in_hours(Hours::Closed)).unwrap();
    changes_at_the_next_sign_in(&tablet);
}

#[test]
fn a_new_date_without_a_new_passcode_leaves_it_overdue() {
    let tablet = tablet();
    fresh(&tablet, Hours::Contact);
    aged(&tablet);
    tablet.done("chage -d $(date +%F) room").unwrap();
    let found = tablet.measured_again("passcode").unwrap();
    assert_eq!(found["outcome"], "drifted", "{found}");
    assert!(found.to_string().contains("is overdue"), "{found}");
}

#[test]
fn a_limit_that_somebody_edits_in_shadow_is_put_back() {
    let tablet = tablet();
    fresh(&tablet, Hours::Contact);
    tablet.done("chage -M 99999 room").unwrap();
    tablet
        .until("the limit of the profile", |tablet| {
            let days = tablet.done("getent shadow room | cut -d: -f5")?;
            Ok((days.trim() == "91").then_some(()))
        })
        .unwrap();
}

#[test]
fn once_somebody_left_who_knows_the_passcode_the_next_sign_in_changes_it_also_in_contact_hours() {
    let tablet = tablet();
    fresh(&tablet, Hours::Contact);
    tablet
        .server("device new-passcode Ladybird-1 --reason 'somebody left'")
        .unwrap();
    changes_at_the_next_sign_in(&tablet);
}

#[test]
fn wrong_passcodes_make_whoever_tries_wait_are_told_and_wipe_nothing() {
    let tablet = tablet();
    fresh(&tablet, Hours::Contact);
    tablet
        .done("mkdir -p /home/room/Pictures && echo kept >/home/room/Pictures/note.txt")
        .unwrap();
    for _ in 0..5 {
        tablet
            .ask(&conversation("login room", &[("assword", "Wrong1-teapot")]))
            .unwrap();
    }
    let said = tablet
        .ask(&conversation("login room", &[("assword", FIRST)]))
        .unwrap();
    assert!(
        said.stdout.contains("locked"),
        "the right one waits too: {said:?}"
    );
    tablet
        .until("the server to hear of it", |tablet| {
            let shown = tablet.server("device show Ladybird-1")?;
            Ok(shown.contains("wrong passcodes were tried").then_some(()))
        })
        .unwrap_or_else(|problem| panic!("{problem:?}\n{}", tablet.agent_log()));
    let kept = tablet.done("cat /home/room/Pictures/note.txt").unwrap();
    assert_eq!(kept, "kept\n");
    tablet.done("faillock --user room --reset").unwrap();
}
