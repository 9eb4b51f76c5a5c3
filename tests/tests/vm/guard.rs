//! What starts while app control is attacked, or kept from its work.

use super::apps::{does_not_start, held, put_program, until_approved_starts};
use super::tablet;
use system_tests::vm::tablet::Tablet;

/// How often the deciding worker is killed: `NESTWARDEN_KILLS`, or as often as fits into every run.
fn kills() -> u32 {
    let asked = std::env::var("NESTWARDEN_KILLS").ok();
    asked.map_or(100, |kills| kills.parse().unwrap())
}

/// A script that starts what is approved and what is not, in turns, until `/run/over` is there. A packaged script is asked
/// about at every start, its interpreter too.
const STORM: &str = "rm -f /run/over /run/storm; cat >/run/storm.sh <<'END'
until [ -e /run/over ]; do
setpriv --reuid=room --regid=room --init-groups -- /usr/bin/tool-box storm 20 /usr/bin/counting-song-script /usr/bin/loud-game
done >/run/storm 2>&1
END
systemd-run --quiet --collect --unit=storm sh /run/storm.sh";
const AFTER_STORM: &str =
    "touch /run/over; while systemctl is-active --quiet storm; do sleep 0.1; done; cat /run/storm";

/// Every approved start ran, every other was refused, and nothing hung.
fn came_through(said: &str) {
    let rounds: Vec<&str> = said.lines().collect();
    assert!(!rounds.is_empty());
    for round in rounds {
        assert_eq!(
            round,
            "approved 20 ran 0 denied, unapproved 0 ran 20 denied, 0 odd"
        );
    }
}

/// For a moment after the rules changed there are two guards.
const GUARDIAN: &str = "guardian() {
    until [ $(pgrep -c -f 'apps-guard[ ]--root') = 2 ]; do sleep 0.1; done
    pgrep -o -f 'apps-guard[ ]--root'
}";

fn lost_workers(tablet: &Tablet) -> u64 {
    let said = tablet.done(&format!("{GUARDIAN}; pgrep -P $(guardian) || true"));
    said.unwrap().trim().parse().unwrap_or(0)
}

#[test]
fn a_deciding_worker_killed_again_and_again_opens_nothing_hangs_nothing_and_denies_nothing_approved()
 {
    let tablet = tablet();
    held(&tablet);
    tablet.done(STORM).unwrap();
    // Between two kills the guardian has another worker, its only child.
    let kill = format!(
        "{GUARDIAN}
         guardian=$(guardian); last=0; killed=0
         while [ $killed -lt {} ]; do
             worker=$(pgrep -P $guardian) || continue
             [ $worker = $last ] && continue
             kill -9 $worker && last=$worker && killed=$((killed + 1))
         done; echo $killed",
        kills()
    );
    let said = tablet.machine().ask(&kill, 3600).unwrap();
    assert_eq!(said.stdout.trim(), kills().to_string(), "{said:?}");
    came_through(&tablet.done(AFTER_STORM).unwrap());
    assert_ne!(lost_workers(&tablet), 0, "another worker decides");
    does_not_start(&tablet, "/usr/bin/loud-game boo");
}

/// Kernels let a start through that comes upon a mark being removed, and another start that waits keeps such a mark in
/// sight: so several start at a time, somebody else watches the file, and each upgrade brings other rules.
pub(crate) fn nothing_unapproved_starts_while_rules_change(tablet: &Tablet, versions: &[&str]) {
    tablet
        .done(
            "rm -f /run/over; cat >/run/starts.sh <<'END'
as_staff() { setpriv --reuid=room --regid=room --init-groups -- \"$@\"; }
as_staff /usr/bin/tool-box watch /usr/bin/loud-game /run/over || echo not watched &
for one in 1 2 3; do
    until [ -e /run/over ]; do
        as_staff timeout 60 /usr/bin/tool-box storm 20 /usr/bin/counting-song /usr/bin/loud-game || echo hung
    done &
done >/run/storm 2>&1
wait
END
             systemd-run --quiet --collect --unit=storm sh /run/starts.sh",
        )
        .unwrap();
    for version in versions {
        tablet
            .done(&format!("dpkg -i /var/cache/counting-song_{version}.deb"))
            .unwrap();
        until_approved_starts(tablet);
    }
    let said = tablet.done(AFTER_STORM).unwrap();
    assert!(!said.is_empty());
    for round in said.lines() {
        // A start may be refused while its program is being replaced.
        assert!(
            round.contains("unapproved 0 ran 20 denied, 0 odd"),
            "{round}"
        );
    }
}

#[test]
fn while_an_app_is_upgraded_nothing_hangs_nothing_else_starts_and_the_app_does_afterwards() {
    let tablet = tablet();
    held(&tablet);
    nothing_unapproved_starts_while_rules_change(&tablet, &["2.0", "1.0", "2.0"]);
    held(&tablet);
}

#[test]
fn nothing_starts_from_a_file_system_that_appears() {
    let tablet = tablet();
    held(&tablet);
    tablet
        .done(
            "mkdir -p /mnt/new && mount -t tmpfs tmpfs /mnt/new && cp /usr/bin/loud-game /mnt/new/ && chmod 777 /mnt/new",
        )
        .unwrap();
    tablet
        .until("a file system from which nothing starts", |tablet| {
            Ok((tablet.staff("/mnt/new/loud-game boo")?.code != 0).then_some(()))
        })
        .unwrap();
    does_not_start(&tablet, "/mnt/new/loud-game boo");
    tablet.done("umount /mnt/new").unwrap();
}

#[test]
fn staff_mount_no_file_system_of_their_own() {
    let tablet = tablet();
    held(&tablet);
    put_program(&tablet, "/home/room/found-online");
    tablet
        .done(
            "cd /home/room && rm -f box.img && mksquashfs found-online box.img -quiet -no-progress && mkdir -p box && chown room box box.img && modprobe fuse",
        )
        .unwrap();
    // Started at once, before anybody could notice the mount.
    let said = tablet
        .staff("/usr/bin/squashfuse box.img box; setpriv --reuid=room --regid=room --init-groups -- /home/room/box/found-online boo")
        .unwrap();
    assert!(said.code != 0 && said.stdout.is_empty(), "{said:?}");
    let mounted = tablet.done("cat /proc/self/mounts").unwrap();
    assert!(!mounted.contains("squashfuse"), "{mounted}");
}

#[test]
fn a_storm_with_the_agent_stopped_the_disk_full_and_the_queue_full_leaves_files_openable() {
    let tablet = tablet();
    held(&tablet);
    // More refusals than wait anywhere, with nobody to write them down.
    let said = tablet
        .done(
            "systemctl kill --kill-whom=main --signal=STOP nestwarden-agent; rm -f /run/storms
             fallocate -l $(($(df --output=avail -B1 / | tail -n 1) - 65536)) /var/filler; cat /dev/zero >/var/rest 2>/dev/null
             as_staff() { setpriv --reuid=room --regid=room --init-groups -- \"$@\"; }
             for one in 1 2 3 4; do as_staff /usr/bin/tool-box storm 100 /usr/bin/counting-song /usr/bin/loud-game >>/run/storms 2>&1 & done
             for one in 1 2 3 4 5 6; do cat /etc/hostname >/dev/null && as_staff /usr/bin/counting-song canary; done
             wait; rm -f /var/filler /var/rest
             systemctl kill --kill-whom=main --signal=CONT nestwarden-agent; cat /run/storms",
        )
        .unwrap();
    let (canaries, storms): (Vec<&str>, Vec<&str>) =
        said.lines().partition(|line| *line == "canary");
    assert_eq!(canaries.len(), 6, "{said}");
    let held = "approved 100 ran 0 denied, unapproved 0 ran 100 denied, 0 odd";
    assert_eq!(storms, [held; 4], "{said}");
    tablet.until_compliant("apps").unwrap();
}
