//! What starts for staff on the real root, and what does not.

use super::tablet;
use system_tests::vm::nursery::{Hours, Profile};
use system_tests::vm::tablet::Tablet;

/// Holds the tablet to its apps, with the first version of the approved one.
pub(crate) fn held(tablet: &Tablet) {
    tablet
        .done(
            "cmp -s /usr/bin/counting-song /var/cache/counting-song_1.0 || dpkg -i /var/cache/counting-song_1.0.deb",
        )
        .unwrap();
    tablet.hold_to(&Profile::in_hours(Hours::Contact)).unwrap();
    // What was measured last may be of the rules before.
    tablet
        .until("an unapproved app being refused", |tablet| {
            Ok((tablet.staff("/usr/bin/loud-game boo")?.code != 0).then_some(()))
        })
        .unwrap();
    tablet.until_compliant("apps").unwrap();
    until_approved_starts(tablet);
}

pub(crate) fn until_approved_starts(tablet: &Tablet) {
    tablet
        .until("the approved app starting", |tablet| {
            let said = tablet.staff("/usr/bin/counting-song one two")?;
            Ok((said.code == 0 && said.stdout == "one two\n").then_some(()))
        })
        .unwrap_or_else(|problem| panic!("{problem:?}\n{}", tablet.agent_log()));
}

/// Neither the program started nor did what it would have said come out.
pub(crate) fn does_not_start(tablet: &Tablet, command: &str) {
    let said = tablet.staff(command).unwrap();
    let words = ["not permitted", "ermission denied"];
    let is_refused = words.iter().any(|word| said.stderr.contains(word));
    assert!(
        said.code != 0 && said.stdout.is_empty() && is_refused,
        "{command}: {said:?}"
    );
}

/// A program of nobody's, at `path`.
pub(crate) fn put_program(tablet: &Tablet, path: &str) {
    let put = format!("cp /usr/bin/loud-game {path} && chown room {path} && chmod 755 {path}");
    tablet.done(&put).unwrap();
}

#[test]
fn an_approved_app_starts_and_an_unapproved_one_does_not() {
    let tablet = tablet();
    held(&tablet);
    does_not_start(&tablet, "/usr/bin/loud-game boo");
    let root = tablet.done("/usr/bin/loud-game boo").unwrap();
    assert_eq!(root, "boo\n", "root is not judged");
}

#[test]
fn a_program_that_staff_put_anywhere_does_not_start() {
    let tablet = tablet();
    held(&tablet);
    for dir in ["/home/room", "/tmp", "/var/tmp", "/dev/shm"] {
        let copy = format!("{dir}/found-online");
        put_program(&tablet, &copy);
        does_not_start(&tablet, &format!("{copy} boo"));
    }
}

#[test]
fn the_loader_starts_no_unapproved_program() {
    let tablet = tablet();
    held(&tablet);
    put_program(&tablet, "/home/room/found-online");
    let loader = "/lib64/ld-linux-x86-64.so.2";
    does_not_start(&tablet, &format!("{loader} /usr/bin/loud-game boo"));
    let said = tablet
        .staff(&format!("{loader} /home/room/found-online boo"))
        .unwrap();
    assert!(said.code != 0 && said.stdout.is_empty(), "{said:?}");
}

#[test]
fn an_approved_app_starts_no_unapproved_program_by_path_by_descriptor_or_out_of_memory() {
    let tablet = tablet();
    held(&tablet);
    for way in ["start", "handle"] {
        let command = format!("/usr/bin/tool-box {way} /usr/bin/loud-game boo");
        does_not_start(&tablet, &command);
    }
    // A copy that may be read, so that it is the start that is refused.
    put_program(&tablet, "/home/room/found-online");
    does_not_start(
        &tablet,
        "/usr/bin/tool-box memory /home/room/found-online boo",
    );
    let said = tablet
        .staff("/usr/bin/tool-box start /usr/bin/counting-song one")
        .unwrap();
    assert_eq!((said.code, said.stdout.as_str()), (0, "one\n"), "{said:?}");
}

#[test]
fn interpreters_start_for_packaged_scripts_and_for_nobody_on_the_staff() {
    let tablet = tablet();
    held(&tablet);
    tablet
        .done(
            "cd /home/room && printf '#!/bin/sh\\necho boo\\n' >own.sh && chmod 755 own.sh && chown room own.sh",
        )
        .unwrap();
    for command in [
        "/home/room/own.sh",
        "/bin/sh /home/room/own.sh",
        "/bin/sh </home/room/own.sh",
        "/bin/sh -c 'echo boo'",
        "/usr/bin/perl -e 'print 1'",
        "/usr/bin/env perl -e 'print 1'",
    ] {
        does_not_start(&tablet, command);
    }
    let said = tablet.staff("/usr/bin/counting-song-script").unwrap();
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn a_library_that_staff_bring_along_is_not_loaded() {
    let tablet = tablet();
    held(&tablet);
    for dir in ["/home/room", "/tmp", "/dev/shm"] {
        let library = format!("{dir}/preload.so");
        tablet
            .done(&format!(
                "cp /var/cache/preload.so {library} && chown room {library}"
            ))
            .unwrap();
        let said = tablet
            .staff(&format!(
                "/usr/bin/env LD_PRELOAD={library} /usr/bin/counting-song one"
            ))
            .unwrap();
        assert_eq!(said.stdout, "one\n", "{said:?}");
    }
    // The library does run where it may be loaded from.
    let said = tablet
        .done("LD_PRELOAD=/var/cache/preload.so /usr/bin/counting-song one")
        .unwrap();
    assert_eq!(said, "the library runs\none\n");
}

#[test]
fn an_approved_program_that_was_changed_does_not_start() {
    let tablet = tablet();
    held(&tablet);
    for change in [
        "cat /usr/bin/loud-game >/usr/bin/counting-song",
        "cp /usr/bin/loud-game /usr/bin/.new && chmod 755 /usr/bin/.new && mv /usr/bin/.new /usr/bin/counting-song",
    ] {
        // By now the kernel answers for it without asking.
        until_approved_starts(&tablet);
        until_approved_starts(&tablet);
        tablet.done(change).unwrap();
        does_not_start(&tablet, "/usr/bin/counting-song boo");
        held(&tablet);
    }
}

#[test]
fn an_approved_program_that_was_changed_through_a_mapping_does_not_start() {
    let tablet = tablet();
    held(&tablet);
    tablet
        .done(
            "rm -f /run/end && mkfifo /run/end
             systemd-run --quiet --collect --unit=store sh -c 'tool-box store /usr/bin/counting-song </run/end >/run/stored'
             exec 9>/run/end; until grep -q stored /run/stored; do sleep 0.1; done
             setpriv --reuid=room --regid=room --init-groups -- /usr/bin/counting-song boo && exit 1
             exec 9>&-; while systemctl is-active --quiet store; do sleep 0.1; done",
        )
        .unwrap();
    tablet
        .until("the kernel to have forgotten it", |tablet| {
            Ok((tablet.staff("/usr/bin/counting-song boo")?.code != 0).then_some(()))
        })
        .unwrap();
    does_not_start(&tablet, "/usr/bin/counting-song boo");
    held(&tablet);
}

#[test]
fn staff_get_no_user_namespace_and_a_browsers_own_sandbox_still_starts() {
    let tablet = tablet();
    held(&tablet);
    let said = tablet
        .staff("unshare --user --map-root-user /usr/bin/id")
        .unwrap();
    assert_ne!(said.code, 0, "{said:?}");
    assert_eq!(said.stdout, "");
    // What Chromium asks for first …
    does_not_start(&tablet, "/usr/bin/tool-box namespace");
    // … and what Debian's falls back to.
    let said = tablet
        .ask("SBX_CHROME_API_PRV=1 setpriv --reuid=room --regid=room --init-groups -- /usr/lib/chromium/chrome-sandbox /usr/bin/counting-song one 7</dev/null")
        .unwrap();
    assert_eq!((said.code, said.stdout.as_str()), (0, "one\n"), "{said:?}");
}

#[test]
fn an_approved_app_that_dpkg_upgrades_goes_on_starting() {
    let tablet = tablet();
    held(&tablet);
    tablet
        .done("dpkg -i /var/cache/counting-song_2.0.deb")
        .unwrap();
    until_approved_starts(&tablet);
    does_not_start(&tablet, "/usr/bin/loud-game boo");
}

#[test]
fn an_unapproved_app_is_out_of_the_app_grid_and_back_once_it_is_approved() {
    let tablet = tablet();
    held(&tablet);
    let grid = "/usr/local/share/applications";
    let is_hidden = |app: &str| {
        let asked = tablet.ask(&format!("grep -q NoDisplay=true {grid}/{app}.desktop"));
        asked.unwrap().code == 0
    };
    let until_hidden = || {
        tablet.until("the app out of the grid", |_| {
            Ok(is_hidden("loud-game").then_some(()))
        })
    };
    until_hidden().unwrap();
    assert!(!is_hidden("counting-song") && !is_hidden("tool-box"));
    let wider = Profile::in_hours(Hours::Contact).allowing("dpkg:loud-game");
    tablet.hold_to(&wider).unwrap();
    tablet
        .until("the app in the grid", |tablet| {
            let there = tablet.ask(&format!("test -e {grid}/loud-game.desktop"))?;
            let said = tablet.staff("/usr/bin/loud-game boo")?;
            Ok((there.code == 1 && said.stdout == "boo\n").then_some(()))
        })
        .unwrap();
    held(&tablet);
    does_not_start(&tablet, "/usr/bin/loud-game boo");
    until_hidden().unwrap();
}
