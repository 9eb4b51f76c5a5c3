//! The commands of the README, as they are written there.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

/// What `cargo NAME` runs the harness with.
fn alias(name: &str) -> Vec<String> {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../.cargo/config.toml");
    let config = std::fs::read_to_string(config).unwrap();
    let begins = format!("{name} = \"");
    let line = config.lines().find_map(|line| line.strip_prefix(&begins));
    let command = line.and_then(|line| line.strip_suffix('"')).unwrap();
    let (cargo, harness) = command.split_once(" -- ").unwrap();
    assert!(cargo.ends_with("--bin harness"), "{cargo}");
    harness.split(' ').map(str::to_owned).collect()
}

#[test]
fn the_demo_and_the_figures_take_what_follows_the_dashes() {
    for (name, options) in [
        ("demo", ["--once", "--json", "--help"].as_slice()),
        ("figures", ["consent", "--json", "--help"].as_slice()),
    ] {
        for dashes in [["--"].as_slice(), &[]] {
            let run = Command::new(env!("CARGO_BIN_EXE_harness"))
                .args(alias(name))
                .args(dashes)
                .args(options)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&run.stderr);
            assert!(run.status.success(), "{name} {dashes:?}: {said}");
        }
    }
}

#[test]
fn a_demo_that_is_told_to_stop_leaves_nothing_behind() {
    for moment in ["staff take photos", "a month passes with"] {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("demo");
        let mut demo = Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(["demo", "--dir"])
            .arg(&dir)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(demo.stderr.take().unwrap()).lines();
        let mut said = said.map(Result::unwrap);
        let mut before = Vec::new();
        let begun = said.any(|line| {
            before.push(line.clone());
            line.contains(moment)
        });
        assert!(begun && dir.exists(), "{before:#?}");
        let demo_id = Pid::from_raw(demo.id().try_into().unwrap());
        kill(demo_id, Signal::SIGTERM).unwrap();
        let rest: Vec<String> = said.collect();
        assert!(demo.wait().unwrap().success(), "{rest:#?}");
        assert!(!dir.exists(), "{rest:#?}");
    }
}
