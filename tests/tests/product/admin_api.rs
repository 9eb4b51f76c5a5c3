//! The admin API of a running server, tried by a program that reads nothing but its description.

use std::path::{Path, PathBuf};
use std::process::Command;
use system_tests::fleet::{DSL, Fleet, ZONE, first_moment};
use system_tests::process::{Programs, skip};
use system_tests::profile;
use system_tests::register::Register;

const TEST: &str = "a_program_that_knows_only_the_description_finds_no_answer_that_is_not_in_it";
/// What is looked for in every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method";
/// Tries of each operation.
const TRIES: &str = "80";

/// Where `tests/run` puts Schemathesis.
fn tool() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/schemathesis/bin/schemathesis")
}

#[test]
fn a_program_that_knows_only_the_description_finds_no_answer_that_is_not_in_it() {
    // It may be there for root alone.
    let version = Command::new(tool()).arg("--version").output();
    if !version.is_ok_and(|said| said.status.success()) {
        skip(TEST, "Schemathesis cannot be run; `tests/run` fetches it");
        return;
    }
    let monday = first_moment().unwrap().in_tz(ZONE).unwrap().date();
    let register = Register::new(monday.yesterday().unwrap()).child("A-01", "Hedgehogs");
    let programs = Programs::at(env!("CARGO_BIN_EXE_harness"));
    let fleet = Fleet::open(&programs, &profile::photos_only(), &register).unwrap();
    let created = ["operator", "token", "create", DSL, "--for", "a trial"];
    let scopes = ["--scope", "import", "--scope", "read-tablets"];
    let token = fleet
        .server
        .tell(created.into_iter().chain(scopes))
        .unwrap();
    let token = token["token"].as_str().unwrap();

    let dir = tempfile::tempdir().unwrap();
    let address = fleet.server.console_address();
    let tried = Command::new(tool())
        .current_dir(dir.path())
        .env("HOME", dir.path())
        .arg("run")
        .arg(format!("https://{address}/admin/v1/openapi.json"))
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--tls-verify", "false", "--checks", CHECKS])
        .args(["--max-examples", TRIES, "--seed", "20260901", "--no-color"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&tried.stdout);
    assert!(tried.status.success(), "{said}");
    // It ends well, too, where it tried nothing.
    let tried = said.lines().find_map(|line| {
        let (count, _) = line.trim().split_once(" generated, ")?;
        count.parse::<u32>().ok()
    });
    assert!(tried > Some(200), "{said}");
    let children = fleet.server.tell(["child", "list"]).unwrap();
    assert!(children.to_string().contains("A-01"), "{children}");
    fleet.check_logs().unwrap();
}
