//! The rules about who may know whom, read from the source.

#![expect(
    clippy::unwrap_used,
    reason = "a file that cannot be read is a failed test"
)]

mod photo_rows;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const MOST_LINES: usize = 600;

/// One source file, its path from the top of the checkout.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Lines that are not comments, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..)
            .zip(self.text.lines())
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(number, line)| (number, line.split(" // ").next().unwrap_or(line)))
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Every file of the checkout except what is built and what git keeps.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![top()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_ours = name != ".git" && name != "target" && name != "mutants.out";
            if path.is_dir() && is_ours {
                dirs.push(path);
            } else if is_ours {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn sources(of: &[&str]) -> Vec<Source> {
    let found: Vec<Source> = files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .map(|path| Source {
            text: fs::read_to_string(&path).unwrap(),
            path: path
                .strip_prefix(top())
                .unwrap()
                .to_string_lossy()
                .into_owned(),
        })
        .filter(|source| source.is_in(of))
        .collect();
    assert!(!found.is_empty(), "no source in {of:?}");
    found
}

/// Fails with every line of code in `of`, outside `except`, that has one of `words`.
fn nobody_writes(words: &[&str], of: &[&str], except: &[&str]) {
    let mut wrong = String::new();
    for source in sources(of).iter().filter(|s| !s.is_in(except)) {
        for (number, line) in source.code() {
            // Locks and channels share a name with the network half.
            let line = line.replace("tokio::sync", "").replace("std::sync", "");
            if let Some(word) = words.iter().find(|word| has_word(&line, word)) {
                let _ = writeln!(wrong, "{}:{number}: {word}: {}", source.path, line.trim());
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Whether `word` is in `line` as a word of its own.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let goes_on = word.ends_with(part_of_a_name) && after.is_some_and(part_of_a_name);
        !goes_on && !before.is_some_and(part_of_a_name)
    })
}

#[test]
fn the_tablet_and_the_server_know_only_the_language_they_share() {
    nobody_writes(&["nestwarden_server"], &["agent/", "policy-schema/"], &[]);
    nobody_writes(&["nestwarden_agent"], &["server/", "policy-schema/"], &[]);
    for (package, stranger) in [
        ("agent", "nestwarden-server"),
        ("server", "nestwarden-agent"),
        ("policy-schema", "nestwarden-server"),
        ("policy-schema", "nestwarden-agent"),
    ] {
        let manifest = fs::read_to_string(top().join(package).join("Cargo.toml")).unwrap();
        let asks = manifest.lines().any(|line| line.starts_with(stranger));
        assert!(!asks, "{package} depends on {stranger}");
    }
}

#[test]
fn the_shared_rules_do_nothing_but_compute() {
    nobody_writes(
        &[
            "std::fs",
            "std::net",
            "std::process",
            "std::thread",
            "std::env",
            "std::os",
            "std::io",
            "Instant",
            "async fn",
            "tokio",
        ],
        &["policy-schema/src/"],
        &[],
    );
}

#[test]
fn the_rules_of_control_and_decision_know_no_operating_system() {
    nobody_writes(
        &[
            "std::os",
            "std::fs",
            "std::process",
            "nix",
            "rustix",
            "libc",
            "zbus",
        ],
        &["agent/src/control/", "agent/src/decision/"],
        &[],
    );
}

#[test]
fn the_network_half_and_the_enforcing_half_meet_only_at_the_ledger() {
    nobody_writes(&["reconcile"], &["agent/src/sync/"], &[]);
    nobody_writes(&["sync"], &["agent/src/reconcile/"], &[]);
}

#[test]
fn only_the_http_layer_knows_axum_and_only_storage_knows_sqlx() {
    nobody_writes(&["axum"], &["server/src/"], &["server/src/http/"]);
    nobody_writes(&["sqlx"], &["server/src/"], &["server/src/storage/"]);
}

#[test]
fn one_file_chooses_the_operating_system() {
    nobody_writes(
        &["target_os"],
        &["agent/", "server/", "policy-schema/"],
        &["agent/src/platform/mod.rs"],
    );
}

#[test]
fn only_the_doors_ask_the_machine_for_the_time() {
    nobody_writes(
        &[
            "SystemTime::now",
            "Timestamp::now",
            "Zoned::now",
            "UtcDateTime::now",
        ],
        &["agent/src/", "server/src/", "policy-schema/src/", "tests/"],
        &[
            "agent/src/door.rs",
            "server/src/door.rs",
            "tests/src/clock.rs",
            "tests/tests/architecture/main.rs",
        ],
    );
}

#[test]
fn no_file_is_longer_than_anyone_reads() {
    let long: Vec<String> = sources(&["agent/", "server/", "policy-schema/", "tests/"])
        .iter()
        .map(|source| (source.text.lines().count(), &source.path))
        .filter(|(lines, _)| *lines > MOST_LINES)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "split these: {long:#?}");
}

#[test]
fn the_top_of_the_checkout_holds_the_house_and_nothing_else() {
    let house = [
        "agent",
        "policy-schema",
        "server",
        "packaging",
        "tests",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "target",
    ];
    let strays: Vec<String> = fs::read_dir(top())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !house.contains(&name.as_str()))
        .collect();
    assert!(strays.is_empty(), "{strays:?}");
}

#[test]
fn no_file_points_at_what_is_not_in_the_checkout() {
    let top = top();
    let elsewhere = top.to_string_lossy().into_owned();
    let mut wrong = String::new();
    for path in files() {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        for (number, line) in (1..).zip(text.lines()) {
            let names_this_machine = elsewhere.len() > 4 && line.contains(&elsewhere);
            let missing_page = line
                .split(|c: char| !(c.is_ascii_alphanumeric() || "._-/".contains(c)))
                .filter(|word| Path::new(word).extension().is_some_and(|e| e == "md"))
                .find(|word| {
                    let beside = path.parent().is_some_and(|dir| dir.join(word).exists());
                    !beside && !top.join(word).exists()
                });
            let numbered = line
                .to_lowercase()
                .split_once("issue ")
                .is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()));
            if names_this_machine || missing_page.is_some() || numbered {
                let at = path.strip_prefix(&top).unwrap().display();
                let _ = writeln!(wrong, "{at}:{number}: {}", line.trim());
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn the_agents_unit_closes_no_device_to_it() {
    let unit = top().join("packaging/linux/systemd/nestwarden-agent.service");
    let unit = fs::read_to_string(unit).unwrap();
    // Each of these hides the radios' switch and the cameras, ProtectClock by way of a list of devices.
    for setting in [
        "ProtectClock=",
        "PrivateDevices=",
        "DeviceAllow=",
        "DevicePolicy=",
    ] {
        let closes = unit.lines().any(|line| line.starts_with(setting));
        assert!(!closes, "{setting}");
    }
}
