//! The ledger when the process that writes it is killed at any instruction.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use jiff::Timestamp;
use nestwarden_agent::ledger::{Enrolment, Ledger, LedgerError};
use nestwarden_agent::paths::Paths;
use nestwarden_policy_schema::bytes::Base64;
use nestwarden_policy_schema::event::{ChainPosition, EventBody, verify_chain};
use nestwarden_policy_schema::id::{DeviceId, SettingId};
use nestwarden_policy_schema::trust::{Anchors, SigningPublicKey};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// Names the folder, in the environment of a writer.
const DIR: &str = "NESTWARDEN_LEDGER_DIR";
const WRITER: &str = "a_writer_that_another_test_kills";
const KILLS: u64 = 60;

fn enrolment() -> Enrolment {
    let setting = SettingId::from_uuid(uuid::Uuid::from_u128(1));
    Enrolment {
        device: DeviceId::from_uuid(uuid::Uuid::from_u128(2)),
        setting,
        device_name: "Acorns 1".to_owned(),
        server: "127.0.0.1:1".to_owned(),
        anchors: Anchors {
            setting,
            version: 1,
            signing: Vec::new(),
            recovery: SigningPublicKey(Base64(Vec::new())),
            approvers: Vec::new(),
            server_pins: Vec::new(),
        },
        enrolled_at: now(),
    }
}

fn now() -> Timestamp {
    "2026-03-02T12:00:00Z".parse().unwrap()
}

fn event(n: u64) -> EventBody {
    EventBody::Alarm {
        what: format!("{n}"),
    }
}

/// Does nothing unless the test below started it as a process of its own.
#[test]
fn a_writer_that_another_test_kills() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let ledger = Ledger::open(&Paths::new(Path::new(&dir))).unwrap();
    let mut out = std::io::stdout();
    for n in 0.. {
        // Two in one transaction: they stay together.
        let seq = ledger
            .transaction(|tx| {
                tx.record(now(), &event(n))?;
                tx.record(now(), &event(n))
            })
            .unwrap_or_else(|error: LedgerError| unreachable!("{error}"));
        writeln!(out, "durable {seq}").unwrap();
        if n % 7 == 0 {
            ledger.acknowledge(seq / 2, now()).unwrap();
        }
    }
}

#[test]
fn a_writer_killed_at_any_moment_loses_no_event_it_saw_committed_and_leaves_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::new(dir.path());
    Ledger::open(&paths).unwrap().adopt(&enrolment()).unwrap();
    for kill in 0..KILLS {
        let seen = write_until_killed(dir.path(), kill * 7 % 23);
        let ledger = Ledger::open(&paths).unwrap();
        let events = ledger.events_after(0, usize::MAX, usize::MAX).unwrap();
        let end = verify_chain(enrolment().device, ChainPosition::START, &events).unwrap();
        assert!(end.seq >= seen, "{} of {seen} events are left", end.seq);
        assert!(end.seq.is_multiple_of(2), "half a transaction is left");
        assert!(ledger.acked_through().unwrap() <= end.seq);
        assert_eq!(ledger.integrity().unwrap(), Vec::<String>::new());
    }
}

/// The last event the writer saw committed before it was killed, right after its `lines`th or somewhere in the next.
fn write_until_killed(dir: &Path, lines: u64) -> u64 {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", WRITER, "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut read = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut seen = 0;
    let mut left = lines;
    for line in read.by_ref() {
        if let Some(seq) = number(&line.unwrap()) {
            seen = seq;
            if left == 0 {
                writer.kill().unwrap();
                break;
            }
            left -= 1;
        }
    }
    // What it still said before it died was durable too.
    seen = read
        .filter_map(|line| number(&line.ok()?))
        .last()
        .unwrap_or(seen);
    writer.wait().unwrap();
    seen
}

fn number(line: &str) -> Option<u64> {
    line.split_once("durable ")?.1.trim().parse().ok()
}
