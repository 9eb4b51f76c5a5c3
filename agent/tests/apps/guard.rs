//! What holds when the guard is attacked, walked around, or gone.

use crate::support::{self, Run, STAFF, Tablet, inside, parent_of, run_as, until, until_waiting};
use nestwarden_agent::control::apps::AppsChange;
use nestwarden_agent::control::{EnforceError, Enforcer};
use nestwarden_agent::paths::Paths;
use nestwarden_agent::platform::AppsEnforcer;
use nestwarden_policy_schema::policy::Mode;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const KILLS: usize = 50;

#[test]
fn a_worker_killed_again_and_again_opens_nothing_hangs_nothing_and_denies_nothing_approved() {
    inside(
        "guard::a_worker_killed_again_and_again_opens_nothing_hangs_nothing_and_denies_nothing_approved",
        |mut tablet| {
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            let is_over = AtomicBool::new(false);
            let starts = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| storm(&tablet.root, &is_over, &starts));
                }
                let _end = EndsStorms(&is_over);
                let mut last = 0;
                for _ in 0..KILLS {
                    // Programs start between any two kills, or nothing would be shown.
                    let before = starts.load(Ordering::Relaxed);
                    until("programs start", || starts.load(Ordering::Relaxed) > before);
                    let mut worker = 0;
                    until("another worker decides", || {
                        worker = tablet.enforcer.in_force().map_or(0, |now| now.worker);
                        worker > 0 && worker != last
                    });
                    kill(Pid::from_raw(worker), Signal::SIGKILL).unwrap();
                    last = worker;
                }
            });
            assert_eq!(tablet.enforcer.guards_started(), 1);
            until("every lost worker is counted", || {
                let now = tablet.enforcer.in_force();
                now.and_then(|now| now.failures.get("apps_worker_lost").copied())
                    .is_some_and(|lost| lost >= KILLS as u64)
            });
        },
    );
}

/// Tells every storm to stop when dropped, also by a failure, so that a failure is told at once.
struct EndsStorms<'a>(&'a AtomicBool);

impl Drop for EndsStorms<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Starts programs of every verdict until told to stop, and counts them.
fn storm(root: &Path, is_over: &AtomicBool, starts: &AtomicUsize) {
    let _end = EndsStorms(is_over);
    while !is_over.load(Ordering::Relaxed) {
        let run = |file: &str| run_as(STAFF, &root.join(file), &[], root);
        assert_eq!(run("usr/bin/register"), Run::Ended(0));
        assert_eq!(run("usr/games/chess"), Run::Refused);
        assert_eq!(run("usr/bin/greet"), Run::Ended(0));
        assert_eq!(run("usr/bin/greet-env"), Run::Ended(0));
        assert_eq!(run("usr/bin/sh"), Run::Refused);
        assert_eq!(
            run_as(0, &root.join("usr/games/chess"), &[], root),
            Run::Ended(0)
        );
        starts.fetch_add(6, Ordering::Relaxed);
    }
}

#[test]
fn a_worker_that_stands_still_is_replaced_and_its_questions_are_answered() {
    inside(
        "guard::a_worker_that_stands_still_is_replaced_and_its_questions_are_answered",
        |mut tablet| {
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            let worker = tablet.enforcer.in_force().unwrap().worker;
            kill(Pid::from_raw(worker), Signal::SIGSTOP).unwrap();
            assert_eq!(tablet.run("/usr/games/chess"), Run::Refused);
            assert_eq!(tablet.run("/usr/bin/register"), Run::Ended(0));
            until("another worker decides", || {
                let now = tablet.enforcer.in_force();
                now.is_some_and(|now| now.worker != worker && now.worker > 0)
            });
        },
    );
}

#[test]
fn a_guard_that_is_ended_is_started_again_with_the_same_rules() {
    inside(
        "guard::a_guard_that_is_ended_is_started_again_with_the_same_rules",
        |mut tablet| {
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            let worker = tablet.enforcer.in_force().unwrap().worker;
            kill(parent_of(worker), Signal::SIGKILL).unwrap();
            until("another guard has the rules", || {
                tablet.enforcer.guards_started() > 1 && tablet.enforcer.in_force().is_some()
            });
            assert_eq!(tablet.run("/usr/games/chess"), Run::Refused);
            assert_eq!(tablet.run("/usr/bin/register"), Run::Ended(0));
        },
    );
}

#[test]
fn a_guard_outlives_its_agent_until_another_takes_over() {
    inside(
        "guard::a_guard_outlives_its_agent_until_another_takes_over",
        |mut tablet| {
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            let former = parent_of(tablet.enforcer.in_force().unwrap().worker);
            tablet.agent_again();
            assert_eq!(tablet.run("/usr/games/chess"), Run::Refused);
            tablet.hold(&["dpkg:register", "dpkg:chess"], Mode::Enforce);
            until("the former guard is gone", || {
                let status = fs::read_to_string(format!("/proc/{former}/status"));
                status.map_or(true, |status| status.contains("State:\tZ"))
            });
            assert_eq!(tablet.run("/usr/games/chess"), Run::Ended(0));
        },
    );
}

#[test]
fn a_guard_that_is_relieved_answers_everybody_who_asked_it_before_it_goes() {
    inside(
        "guard::a_guard_that_is_relieved_answers_everybody_who_asked_it_before_it_goes",
        |mut tablet| {
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            let worker = tablet.enforcer.in_force().unwrap().worker;
            let guardian = parent_of(worker);
            // The worker until the guardian ends it and starts another, which takes longer than it stays once it is
            // relieved; the guardian until everybody waits.
            for pid in [guardian, Pid::from_raw(worker)] {
                kill(pid, Signal::SIGSTOP).unwrap();
            }
            let root = tablet.root.clone();
            let start = || run_as(STAFF, &root.join("usr/bin/sh"), &["-c", "exit 7"], &root);
            std::thread::scope(|scope| {
                let starts: Vec<_> = (0..40).map(|_| scope.spawn(start)).collect();
                until_waiting(40);
                kill(guardian, Signal::SIGTERM).unwrap();
                kill(guardian, Signal::SIGCONT).unwrap();
                for start in starts {
                    assert_eq!(start.join().unwrap(), Run::Refused);
                }
            });
        },
    );
}

/// Kernels let a start through unasked that comes upon a mark which is being removed, and another start that waits keeps
/// such a mark in sight.
#[test]
fn other_rules_let_nothing_start_that_neither_old_nor_new_ones_approve() {
    inside(
        "guard::other_rules_let_nothing_start_that_neither_old_nor_new_ones_approve",
        |mut tablet| {
            let lists: [&[&str]; 2] = [&["dpkg:register"], &["dpkg:register", "dpkg:own"]];
            tablet.hold(lists[1], Mode::Enforce);
            let (is_over, starts) = (AtomicBool::new(false), AtomicUsize::new(0));
            let root = tablet.root.clone();
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        let _end = EndsStorms(&is_over);
                        while !is_over.load(Ordering::Relaxed) {
                            let chess = run_as(STAFF, &root.join("usr/games/chess"), &[], &root);
                            assert_eq!(chess, Run::Refused);
                            let register =
                                run_as(STAFF, &root.join("usr/bin/register"), &[], &root);
                            assert_eq!(register, Run::Ended(0));
                            starts.fetch_add(2, Ordering::Relaxed);
                        }
                    });
                }
                let _end = EndsStorms(&is_over);
                for list in lists.into_iter().cycle().take(40) {
                    let before = starts.load(Ordering::Relaxed);
                    tablet.hold(list, Mode::Enforce);
                    until("some started since", || {
                        starts.load(Ordering::Relaxed) > before + 6
                            || is_over.load(Ordering::Relaxed)
                    });
                }
            });
        },
    );
}

#[test]
fn a_file_that_is_watched_and_no_longer_watched_by_somebody_else_is_refused_all_the_same() {
    inside(
        "guard::a_file_that_is_watched_and_no_longer_watched_by_somebody_else_is_refused_all_the_same",
        |mut tablet| {
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            let chess = tablet.path("/usr/games/chess");
            let watch = "import ctypes,sys\n\
                c=ctypes.CDLL(None)\n\
                i=c.inotify_init()\n\
                print(flush=True)\n\
                while True: c.inotify_rm_watch(i,c.inotify_add_watch(i,sys.argv[1].encode(),8))\n";
            let mut watcher = Command::new("/usr/bin/python3")
                .args(["-c", watch])
                .arg(&chess)
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let mut said = [0];
            std::io::Read::read_exact(watcher.stdout.as_mut().unwrap(), &mut said).unwrap();
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..500 {
                            assert_eq!(run_as(STAFF, &chess, &[], &tablet.root), Run::Refused);
                        }
                    });
                }
            });
            watcher.kill().unwrap();
            watcher.wait().unwrap();
        },
    );
}

#[test]
fn a_warm_start_of_an_approved_program_asks_nobody() {
    inside(
        "guard::a_warm_start_of_an_approved_program_asks_nobody",
        |mut tablet| {
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            assert_eq!(tablet.run("/usr/bin/register"), Run::Ended(0));
            tablet.until_decided();
            let worker = tablet.enforcer.in_force().unwrap().worker;
            kill(Pid::from_raw(worker), Signal::SIGSTOP).unwrap();
            for _ in 0..100 {
                assert_eq!(tablet.run("/usr/bin/register"), Run::Ended(0));
            }
            let now = tablet.enforcer.in_force().unwrap();
            assert_eq!(
                now.worker, worker,
                "nothing waited for the one that stands still"
            );
        },
    );
}

#[test]
fn another_mount_namespace_and_a_bind_mount_are_no_way_around() {
    inside(
        "guard::another_mount_namespace_and_a_bind_mount_are_no_way_around",
        |mut tablet| {
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            let (games, bin) = (tablet.path("/usr/games"), tablet.path("/usr/bin"));
            let staff = STAFF.to_string();
            let script = format!(
                "mount --bind '{games}' '{bin}' && setpriv --reuid {staff} --clear-groups '{bin}/chess'",
                games = games.display(),
                bin = bin.display(),
            );
            let status = Command::new("unshare")
                .args(["--mount", "/bin/sh", "-c", &script])
                .stderr(std::process::Stdio::null())
                .status()
                .unwrap();
            assert_eq!(
                status.code(),
                Some(126),
                "setpriv says that it was not permitted"
            );
        },
    );
}

#[test]
fn a_file_system_that_appears_is_asked_about_and_what_people_can_write_to_starts_nothing() {
    inside(
        "guard::a_file_system_that_appears_is_asked_about_and_what_people_can_write_to_starts_nothing",
        |mut tablet| {
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            let stick = tablet.mount_at("/media/stick");
            let inner = tablet.mount_at("/srv/data");
            until("both are asked about", || {
                let now = tablet.enforcer.in_force();
                now.is_some_and(|now| now.marked.contains(&stick) && now.marked.contains(&inner))
            });
            for file in ["/media/stick/own", "/srv/data/own"] {
                let own = tablet.copy("/bin/true", file);
                Tablet::own(&own);
                assert_eq!(tablet.run(file), Run::Refused);
            }
            let changes = tablet.hold(&["dpkg:register"], Mode::Enforce);
            let path = stick.display().to_string();
            assert_eq!(changes, [AppsChange::ForbidPrograms { path }]);
            assert!(
                matches!(tablet.run("/media/stick/own"), Run::Other(_)),
                "EACCES"
            );
            // Nor as data that a loader maps.
            let own = tablet.path("/media/stick/own").display().to_string();
            let loaded = run_as(STAFF, &support::loader(), &[&own], &tablet.root);
            assert_eq!(loaded, Run::Ended(127));

            tablet.enforcer.release().unwrap();
            until("nobody is asked any more", || {
                tablet.run("/media/stick/own") == Run::Ended(0)
            });
        },
    );
}

#[test]
fn a_library_people_can_write_is_not_loaded_into_an_approved_program() {
    inside(
        "guard::a_library_people_can_write_is_not_loaded_into_an_approved_program",
        |mut tablet| {
            tablet.mount_at("/home");
            let library = library_of("/bin/true");
            let own = tablet.copy(&library, "/home/own.so");
            Tablet::own(&own);
            let maps = |tablet: &Tablet| {
                let output = Command::new("/bin/cat")
                    .arg("/proc/self/maps")
                    .env("LD_PRELOAD", &own)
                    .current_dir(&tablet.root)
                    .output()
                    .unwrap();
                let maps = String::from_utf8_lossy(&output.stdout);
                let mut own = maps.lines().filter(|line| line.contains("own.so"));
                own.any(|line| line.contains("r-xp"))
            };
            assert!(maps(&tablet));
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            assert!(!maps(&tablet));
        },
    );
}

fn library_of(program: &str) -> String {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.contains("libc.so")).unwrap();
    line.split_ascii_whitespace().nth(2).unwrap().to_owned()
}

#[test]
fn a_root_without_a_file_system_of_its_own_is_left_alone() {
    if !nix::unistd::geteuid().is_root() {
        support::skip(
            "guard::a_root_without_a_file_system_of_its_own_is_left_alone",
            "needs root",
        );
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut enforcer = AppsEnforcer::new(&Paths::new(dir.path()));
    let refused = enforcer.observe().unwrap_err();
    assert!(matches!(refused, EnforceError::Unsupported(_)), "{refused}");
    assert!(enforcer.in_force().is_none());
}

#[test]
fn without_the_privilege_app_control_reads_unsupported() {
    if nix::unistd::geteuid().is_root() && std::env::var_os("NESTWARDEN_TEST_DROPPED").is_none() {
        let dropped = Command::new("setpriv")
            .args(["--bounding-set=-sys_admin", "--inh-caps=-sys_admin"])
            .arg(std::env::current_exe().unwrap())
            .args([
                "guard::without_the_privilege_app_control_reads_unsupported",
                "--exact",
            ])
            .env("NESTWARDEN_TEST_DROPPED", "1")
            .output()
            .unwrap();
        assert!(dropped.status.success(), "{dropped:?}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut enforcer = AppsEnforcer::new(&Paths::new(dir.path()));
    let wish = support::wish(&["dpkg:register"], Mode::Observe);
    let change = AppsChange::RefuseUnapproved(wish.approval.clone());
    for refused in [
        enforcer.observe().unwrap_err(),
        enforcer.watch(&wish).unwrap_err(),
        enforcer.apply(&change).unwrap_err(),
    ] {
        assert!(matches!(refused, EnforceError::Unsupported(_)));
        assert!(
            refused.to_string().starts_with("needs to run as root"),
            "{refused}"
        );
    }
}
