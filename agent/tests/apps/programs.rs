//! Which programs start on a tablet under app control, seen from a member of staff.

use crate::support::{self, Run, STAFF, Tablet, inside, parent_of, run_as, until, until_waiting};
use nestwarden_agent::control::Enforcer;
use nestwarden_agent::control::apps::AppsChange;
use nestwarden_policy_schema::policy::Mode;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn approved_and_base_programs_run_and_nothing_else_does() {
    inside(
        "programs::approved_and_base_programs_run_and_nothing_else_does",
        |mut tablet| {
            assert_eq!(tablet.run("/usr/games/chess"), Run::Ended(0));
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            // Twice: asked, then answered by the kernel.
            for _ in 0..2 {
                assert_eq!(tablet.run("/usr/bin/register"), Run::Ended(0));
                assert_eq!(tablet.run("/usr/bin/true"), Run::Ended(0));
                assert_eq!(tablet.run("/usr/games/chess"), Run::Refused);
            }
            let own = tablet.copy("/bin/true", "/home/anna/own");
            Tablet::own(&own);
            assert_eq!(tablet.run("/home/anna/own"), Run::Refused);
            assert_eq!(tablet.run_as_root("/usr/games/chess"), Run::Ended(0));
            assert_eq!(tablet.run_as_root("/home/anna/own"), Run::Ended(0));
        },
    );
}

#[test]
fn a_refusal_is_told_once_per_program_with_its_count_and_without_a_person() {
    inside(
        "programs::a_refusal_is_told_once_per_program_with_its_count_and_without_a_person",
        |mut tablet| {
            let mut refusals = tablet.enforcer.take_refusals().unwrap();
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            let own = tablet.copy("/bin/true", "/home/anna/own");
            Tablet::own(&own);
            for _ in 0..5 {
                assert_eq!(tablet.run("/home/anna/own"), Run::Refused);
            }
            let mut told = 0;
            until("five refusals are told", || {
                while let Ok(refusal) = refusals.try_recv() {
                    assert!(refusal.program.ends_with("/home/*/own"), "{refusal:?}");
                    assert!(!refusal.observed_only);
                    told += refusal.count;
                }
                told == 5
            });
        },
    );
}

#[test]
fn in_observe_mode_everything_runs_and_is_told() {
    inside(
        "programs::in_observe_mode_everything_runs_and_is_told",
        |mut tablet| {
            let mut refusals = tablet.enforcer.take_refusals().unwrap();
            let would_change = tablet.hold(&["dpkg:register"], Mode::Observe);
            assert!(matches!(would_change[0], AppsChange::RefuseUnapproved(_)));
            assert_eq!(tablet.run("/usr/games/chess"), Run::Ended(0));
            until("the refusal that would have been is told", || {
                refusals.try_recv().is_ok_and(|refusal| {
                    refusal.observed_only && refusal.program.ends_with("chess")
                })
            });
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            assert_eq!(tablet.run("/usr/games/chess"), Run::Refused);
            tablet.hold(&["dpkg:register"], Mode::Observe);
            assert_eq!(tablet.run("/usr/games/chess"), Run::Ended(0));
        },
    );
}

#[test]
fn interpreters_run_for_packaged_scripts_and_approved_apps_only() {
    inside(
        "programs::interpreters_run_for_packaged_scripts_and_approved_apps_only",
        |mut tablet| {
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            for _ in 0..2 {
                assert_eq!(tablet.run("/usr/bin/greet"), Run::Ended(0));
                assert_eq!(tablet.run("/usr/bin/greet-env"), Run::Ended(0));
            }
            let shell = tablet.path("/usr/bin/sh").display().to_string();
            let script = tablet.put("/home/anna/own.sh", &format!("#!{shell}\nexit 0\n"), 0o755);
            Tablet::own(&script);
            let script = script.display().to_string();
            // By its first line, by argument, by standard input, by option, through another program.
            assert_eq!(tablet.run("/home/anna/own.sh"), Run::Refused);
            assert_eq!(tablet.run_with("/usr/bin/sh", &[&script]), Run::Refused);
            assert_eq!(tablet.run("/usr/bin/sh"), Run::Refused);
            assert_eq!(
                tablet.run_with("/usr/bin/sh", &["-c", "exit 0"]),
                Run::Refused
            );
            let through = tablet.run_with("/usr/bin/env", &[&shell, "-c", "exit 0"]);
            assert_eq!(
                through,
                Run::Ended(126),
                "env says that it was not permitted"
            );
            let by_app = tablet.run_with("/usr/bin/register-opener", &[&shell, "-c", "exit 7"]);
            assert_eq!(by_app, Run::Ended(7));
            // Services of the system have their scripts.
            let path = tablet.path("/usr/bin/sh");
            assert_eq!(
                run_as(33, &path, &["-c", "exit 0"], &tablet.root),
                Run::Ended(0)
            );
        },
    );
}

#[test]
fn a_program_that_was_changed_is_refused_also_after_the_kernel_kept_it() {
    inside(
        "programs::a_program_that_was_changed_is_refused_also_after_the_kernel_kept_it",
        |mut tablet| {
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            let path = tablet.path("/usr/bin/register");
            let installed = fs::read(&path).unwrap();
            let evil = fs::read("/bin/false").unwrap();
            let kept = |tablet: &Tablet| {
                assert_eq!(tablet.run("/usr/bin/register"), Run::Ended(0));
                tablet.until_decided();
                assert_eq!(tablet.run("/usr/bin/register"), Run::Ended(0));
            };
            kept(&tablet);
            fs::write(&path, &evil).unwrap();
            assert_eq!(
                tablet.run("/usr/bin/register"),
                Run::Refused,
                "rewritten in place"
            );
            fs::write(&path, &installed).unwrap();
            kept(&tablet);

            let other = tablet.copy("/bin/false", "/usr/bin/.register-new");
            fs::rename(&other, &path).unwrap();
            assert_eq!(
                tablet.run("/usr/bin/register"),
                Run::Refused,
                "renamed over"
            );
            let back = tablet.copy("/bin/true", "/usr/bin/.register-new");
            fs::rename(&back, &path).unwrap();
            kept(&tablet);

            let opener = tablet.path("/usr/bin/register-opener");
            fs::set_permissions(&opener, fs::Permissions::from_mode(0o777)).unwrap();
            assert_eq!(
                tablet.run("/usr/bin/register-opener"),
                Run::Refused,
                "anybody may write"
            );
            fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
            assert_eq!(tablet.run("/usr/bin/register-opener"), Run::Ended(0));

            let dir = path.parent().unwrap();
            fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
            assert_eq!(
                tablet.run("/usr/bin/greet"),
                Run::Refused,
                "anybody may replace"
            );
            fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        },
    );
}

#[test]
fn a_store_through_a_mapping_does_not_pass() {
    inside(
        "programs::a_store_through_a_mapping_does_not_pass",
        |mut tablet| {
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            assert_eq!(tablet.run("/usr/bin/register"), Run::Ended(0));
            tablet.until_decided();
            store_through_mapping(&tablet.path("/usr/bin/register"), || {
                assert_ne!(
                    tablet.run("/usr/bin/register"),
                    Run::Ended(0),
                    "while it is mapped"
                );
            });
            until("the kernel has forgotten what it kept", || {
                tablet.run("/usr/bin/register") == Run::Refused
            });
        },
    );
}

#[test]
fn a_program_that_is_written_to_while_it_starts_again_and_again_is_refused_from_then_on() {
    inside(
        "programs::a_program_that_is_written_to_while_it_starts_again_and_again_is_refused_from_then_on",
        |mut tablet| {
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            let path = tablet.path("/usr/bin/register");
            let installed = fs::read(&path).unwrap();
            let evil = fs::read("/bin/false").unwrap();
            // Not while it is started: that the kernel refuses.
            let rewrite = |content: &[u8]| {
                until("it can be written", || fs::write(&path, content).is_ok());
            };
            for _ in 0..100 {
                let is_over = AtomicBool::new(false);
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        while !is_over.load(Ordering::Relaxed) {
                            tablet.run("/usr/bin/register");
                        }
                    });
                    let written = std::panic::catch_unwind(|| {
                        rewrite(&evil);
                        tablet.run("/usr/bin/register")
                    });
                    is_over.store(true, Ordering::Relaxed);
                    assert_eq!(written.unwrap(), Run::Refused);
                });
                rewrite(&installed);
                assert_eq!(tablet.run("/usr/bin/register"), Run::Ended(0));
            }
        },
    );
}

#[test]
fn no_loader_runs_an_interpreter() {
    inside("programs::no_loader_runs_an_interpreter", |mut tablet| {
        let dash = tablet.path("/usr/bin/dash").display().to_string();
        let own_words = [dash.as_str(), "-c", "exit 7"];
        let run = |tablet: &Tablet| run_as(STAFF, &support::loader(), &own_words, &tablet.root);
        assert_eq!(run(&tablet), Run::Ended(7));
        tablet.hold(&["dpkg:register"], Mode::Enforce);
        assert_eq!(run(&tablet), Run::Ended(127));
        assert_eq!(tablet.run("/usr/bin/greet"), Run::Ended(0));
        let read = run_as(STAFF, Path::new("/bin/cmp"), &[&dash, &dash], &tablet.root);
        assert_eq!(read, Run::Ended(0), "it may be read");
    });
}

#[test]
fn a_script_starts_only_by_a_name_that_nobody_else_can_lead_elsewhere() {
    let name = "programs::a_script_starts_only_by_a_name_that_nobody_else_can_lead_elsewhere";
    inside(name, |mut tablet| {
        let link = |to: &Path, at: &str| {
            let at = tablet.path(at);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(to, &at).unwrap();
            at.display().to_string()
        };
        let (greet, env) = (tablet.path("/usr/bin/greet"), tablet.path("/usr/bin/env"));
        let greet_env = tablet.path("/usr/bin/greet-env");
        link(Path::new("../bin/greet"), "/usr/games/relative");
        link(&greet, "/usr/games/absolute");
        link(&greet, "/home/anna/own");
        link(&env, "/home/anna/bin/sh");
        let assignment = link(&greet_env, "/home/anna/a=b");
        tablet.hold(&["dpkg:register"], Mode::Enforce);
        for file in [
            "/usr/games/relative",
            "/usr/games/absolute",
            "/usr/bin/greet",
        ] {
            assert_eq!(tablet.run(file), Run::Ended(0), "{file}");
        }
        assert_eq!(tablet.run("/home/anna/own"), Run::Refused);
        // What begins with a dash would be an option of the interpreter's.
        let bin = tablet.path("/usr/bin").display().to_string();
        assert_eq!(
            tablet.run_with("/usr/bin/env", &["-C", &bin, "./greet"]),
            Run::Ended(126)
        );
        let path = format!("PATH={}", tablet.path("/home/anna/bin").display());
        let sh = tablet.path("/usr/bin/sh").display().to_string();
        let words = [&path, &assignment, &assignment, &sh, "-c", "exit 7"];
        assert_eq!(tablet.run_with("/usr/bin/env", &words), Run::Ended(126));
    });
}

#[test]
fn several_hundred_scripts_start_at_once() {
    inside(
        "programs::several_hundred_scripts_start_at_once",
        |mut tablet| {
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            // All scripts are asked about before the first interpreter is.
            let worker = tablet.enforcer.in_force().unwrap().worker;
            let decide = [Pid::from_raw(worker), parent_of(worker)];
            for pid in decide.iter().rev() {
                kill(*pid, Signal::SIGSTOP).unwrap();
            }
            std::thread::scope(|scope| {
                let start = || tablet.run("/usr/bin/greet");
                let starts: Vec<_> = (0..300).map(|_| scope.spawn(start)).collect();
                until_waiting(300);
                for pid in decide {
                    kill(pid, Signal::SIGCONT).unwrap();
                }
                for start in starts {
                    assert_eq!(start.join().unwrap(), Run::Ended(0));
                }
            });
        },
    );
}

#[test]
fn a_lease_of_somebodys_own_file_keeps_nobody_waiting() {
    inside(
        "programs::a_lease_of_somebodys_own_file_keeps_nobody_waiting",
        |mut tablet| {
            let own = tablet.copy("/bin/true", "/home/anna/own");
            Tablet::own(&own);
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            let lease = "import fcntl,os,signal,sys\n\
            signal.signal(signal.SIGIO,signal.SIG_IGN)\n\
            fcntl.fcntl(os.open(sys.argv[1],os.O_RDWR),fcntl.F_SETLEASE,fcntl.F_WRLCK)\n\
            print('held',flush=True)\n\
            sys.stdin.read()\n";
            let mut holder = std::process::Command::new("/usr/bin/python3");
            holder.args(["-c", lease]).arg(&own);
            holder
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped());
            let mut holder = std::os::unix::process::CommandExt::uid(&mut holder, STAFF)
                .spawn()
                .unwrap();
            let mut said = [0; 5];
            std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut said).unwrap();
            for _ in 0..3 {
                assert!(matches!(
                    tablet.run("/home/anna/own"),
                    Run::Refused | Run::Other(_)
                ));
                assert_eq!(tablet.run("/usr/bin/greet"), Run::Ended(0));
            }
            // By force it is broken after three quarters of a minute; nobody waited for that.
            let inode = format!(
                ":{} ",
                std::os::unix::fs::MetadataExt::ino(&fs::metadata(&own).unwrap())
            );
            let locks = fs::read_to_string("/proc/locks").unwrap();
            let mut lease = locks.lines().filter(|line| line.contains(&inode));
            assert!(lease.any(|line| line.contains("BREAKING")), "{locks}");
            drop(holder.stdin.take());
            holder.wait().unwrap();
        },
    );
}

#[test]
fn another_policy_makes_the_kernel_forget() {
    inside(
        "programs::another_policy_makes_the_kernel_forget",
        |mut tablet| {
            let both = ["dpkg:register", "dpkg:chess"];
            for _ in 0..3 {
                tablet.hold(&both, Mode::Enforce);
                assert_eq!(tablet.run("/usr/games/chess"), Run::Ended(0));
                let own = tablet.copy("/bin/true", "/usr/games/own");
                assert_eq!(tablet.run("/usr/games/own"), Run::Refused, "decided last");
                fs::remove_file(own).unwrap();
                assert_eq!(tablet.run("/usr/games/chess"), Run::Ended(0));
                let entry = tablet.path("/usr/local/share/applications/chess.desktop");
                assert!(!entry.exists());
                tablet.hold(&["dpkg:register"], Mode::Enforce);
                assert_eq!(tablet.run("/usr/games/chess"), Run::Refused);
                assert!(entry.exists());
            }
        },
    );
}

#[test]
fn a_policy_that_locks_the_tablet_out_is_refused_and_the_former_stays() {
    inside(
        "programs::a_policy_that_locks_the_tablet_out_is_refused_and_the_former_stays",
        |mut tablet| {
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            let mut wish = support::wish(&["dpkg:chess"], Mode::Enforce);
            wish.approval.essential = ["dpkg:absent".parse().unwrap()].into();
            let change = AppsChange::RefuseUnapproved(wish.approval);
            let refused = tablet.enforcer.apply(&change).unwrap_err();
            assert!(refused.to_string().contains("dpkg:absent"), "{refused}");
            assert_eq!(tablet.run("/usr/bin/register"), Run::Ended(0));
            assert_eq!(tablet.run("/usr/games/chess"), Run::Refused);
        },
    );
}

#[test]
fn a_package_that_is_upgraded_runs_after_the_next_look() {
    inside(
        "programs::a_package_that_is_upgraded_runs_after_the_next_look",
        |mut tablet| {
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            let new = tablet.copy("/bin/false", "/usr/bin/.register-new");
            fs::rename(new, tablet.path("/usr/bin/register")).unwrap();
            assert_eq!(tablet.run("/usr/bin/register"), Run::Refused);
            let status = fs::read_to_string(tablet.path("/var/lib/dpkg/status")).unwrap();
            let status = status.replace("Version: 1", "Version: 2");
            tablet.put("/var/lib/dpkg/status", &status, 0o644);
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            assert_eq!(tablet.run("/usr/bin/register"), Run::Ended(1));
        },
    );
}

#[test]
fn no_loader_and_no_reader_opens_an_unapproved_program() {
    inside(
        "programs::no_loader_and_no_reader_opens_an_unapproved_program",
        |mut tablet| {
            let chess = tablet.path("/usr/games/chess").display().to_string();
            let loader = support::loader();
            assert_eq!(
                run_as(STAFF, &loader, &[&chess], &tablet.root),
                Run::Ended(0)
            );
            tablet.hold(&["dpkg:register"], Mode::Enforce);
            let outcome = run_as(STAFF, &loader, &[&chess], &tablet.root);
            assert_eq!(
                outcome,
                Run::Ended(127),
                "the loader says that it could not open it"
            );
        },
    );
}

/// Changes a byte of the file without `write`, runs `while_mapped`, and lets the mapping go.
fn store_through_mapping(path: &Path, while_mapped: impl FnOnce()) {
    // A child of another program: this one has no unsafe code.
    let script = "import mmap,sys\nf=open(sys.argv[1],'r+b')\nm=mmap.mmap(f.fileno(),0)\nm[-1]=m[-1]^1\nprint('stored',flush=True)\nsys.stdin.read()\n";
    let file = OpenOptions::new().read(true).open(path).unwrap();
    let before = file.metadata().unwrap().len();
    let mut child = std::process::Command::new("/usr/bin/python3")
        .args(["-c", script])
        .arg(path)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 7];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
    while_mapped();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(file.metadata().unwrap().len(), before);
}

#[test]
fn a_program_out_of_memory_does_not_start_once_the_kernel_is_told() {
    let name = "programs::a_program_out_of_memory_does_not_start_once_the_kernel_is_told";
    inside(name, |mut tablet| {
        tablet.hold(&["dpkg:register"], Mode::Enforce);
        let start = "import os,sys\n\
            f=os.memfd_create('x',0)\n\
            os.write(f,open('/bin/true','rb').read())\n\
            os.execve(f,['true'],{})\n";
        let python = Path::new("/usr/bin/python3");
        let run = || run_as(STAFF, python, &["-c", start], &tablet.root);
        // The guard is not asked: there is no file system to ask about.
        assert_eq!(run(), Run::Ended(0));
        // Of this test's own process namespace.
        if fs::write("/proc/sys/vm/memfd_noexec", "2").is_err() {
            support::skip(name, "this kernel has no vm.memfd_noexec");
            return;
        }
        assert_eq!(run(), Run::Ended(1));
    });
}
