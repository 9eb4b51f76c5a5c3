//! What is different with the kernel that Debian 12 comes with, 6.1: a boot of its own.

use super::apps::{does_not_start, put_program, until_approved_starts};
use super::guard::nothing_unapproved_starts_while_rules_change;
use super::{Shared, shared};
use serde_json::Value;
use std::sync::MutexGuard;
use system_tests::vm::image::Kernel;
use system_tests::vm::nursery::{Hours, Profile};
use system_tests::vm::tablet::Tablet;

/// Held to its apps as far as that kernel goes.
fn tablet() -> MutexGuard<'static, Tablet> {
    static TABLET: Shared = Shared::new();
    let tablet = shared(&TABLET, Kernel::Stock);
    tablet.hold_to(&Profile::in_hours(Hours::Contact)).unwrap();
    until_approved_starts(&tablet);
    tablet
        .until("an unapproved app being refused", |tablet| {
            Ok((tablet.staff("/usr/bin/loud-game boo")?.code != 0).then_some(()))
        })
        .unwrap();
    tablet
}

fn says_what_is_missing(report: &Value) -> bool {
    let reason = report["reason"].as_str().unwrap_or_default();
    report["outcome"] == "unsupported"
        && reason.contains("vm.memfd_noexec")
        && reason.contains("Linux 6.3")
}

#[test]
fn app_control_reads_unsupported_with_debians_own_kernel_and_everything_else_compliant() {
    let tablet = tablet();
    let release = tablet.done("uname -r").unwrap();
    assert!(release.starts_with("6.1."), "{release}");
    let mut last = Value::Null;
    tablet
        .until("the reason", |tablet| {
            last = tablet.control("apps")?;
            Ok(says_what_is_missing(&last).then_some(()))
        })
        .unwrap_or_else(|problem| panic!("{problem:?}\n{last}\n{}", tablet.agent_log()));
    let again = tablet.measured_again("apps").unwrap();
    assert!(says_what_is_missing(&again), "{again}");
    for control in ["radios", "storage", "camera", "hours"] {
        tablet.until_compliant(control).unwrap();
    }
    let mut shown = Value::Null;
    tablet
        .until("the server to know", |tablet| {
            shown = serde_json::from_str(&tablet.server("device show Ladybird-1 --json")?)?;
            let controls = shown["compliance"]["controls"].as_array();
            let found = controls.into_iter().flatten();
            let apps = found.into_iter().find(|found| found["control"] == "apps");
            Ok(apps
                .is_some_and(|apps| says_what_is_missing(&apps["report"]))
                .then_some(()))
        })
        .unwrap_or_else(|problem| panic!("{problem:?}\n{shown}"));
}

#[test]
fn a_program_out_of_memory_starts_with_debians_own_kernel_and_no_other_unapproved_one_does() {
    let tablet = tablet();
    let copy = "/home/room/found-online";
    put_program(&tablet, copy);
    // Open, and the control says so: this kernel cannot be told to refuse it.
    let said = tablet
        .staff(&format!("/usr/bin/tool-box memory {copy} boo"))
        .unwrap();
    assert_eq!((said.code, said.stdout.as_str()), (0, "boo\n"), "{said:?}");
    for command in [
        "/usr/bin/loud-game boo",
        "/usr/bin/tool-box start /usr/bin/loud-game boo",
        "/usr/bin/tool-box handle /usr/bin/loud-game boo",
        "/usr/bin/tool-box memory /usr/bin/loud-game boo",
        "/home/room/found-online boo",
        "/lib64/ld-linux-x86-64.so.2 /usr/bin/loud-game boo",
        "/bin/sh -c 'echo boo'",
        "/usr/bin/tool-box namespace",
    ] {
        does_not_start(&tablet, command);
    }
}

#[test]
fn an_approved_program_that_was_changed_does_not_start_with_debians_own_kernel_either() {
    let tablet = tablet();
    // By then the kernel answers for it without asking.
    until_approved_starts(&tablet);
    tablet
        .done("cat /usr/bin/loud-game >/usr/bin/counting-song")
        .unwrap();
    does_not_start(&tablet, "/usr/bin/counting-song boo");
    tablet
        .done("dpkg -i /var/cache/counting-song_1.0.deb")
        .unwrap();
    until_approved_starts(&tablet);
}

#[test]
fn nothing_unapproved_starts_with_debians_own_kernel_while_an_app_is_upgraded() {
    let tablet = tablet();
    nothing_unapproved_starts_while_rules_change(&tablet, &["2.0", "1.0"]);
}
