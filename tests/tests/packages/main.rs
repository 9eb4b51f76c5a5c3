//! The Debian packages: what they contain, and what installing, upgrading, removing and purging them does to a scratch
//! system. Never to this machine: the scratch system is a directory in memory, in a mount namespace of its own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails, and says where"
)]

mod arm64;
mod contents;
mod lifecycle;
mod scratch;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use system_tests::process::{is_root, skip};

/// The packages, built once of the unoptimised programs.
struct Packages {
    agent: PathBuf,
    server: PathBuf,
}

/// `None`, and a skip said for `test`, where packages cannot be built or tried.
fn packages(test: &str) -> Option<&'static Packages> {
    static BUILT: OnceLock<Packages> = OnceLock::new();
    if !is_root() {
        skip(test, "needs root, for a scratch system");
        return None;
    }
    if !is_installed("cargo-deb") || !is_installed("mmdebstrap") {
        skip(
            test,
            "needs cargo-deb and mmdebstrap; tests/run installs them",
        );
        return None;
    }
    Some(BUILT.get_or_init(build))
}

fn build() -> Packages {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut build = Command::new(repo.join("packaging/build"));
    build.arg("--debug").env("PATH", path());
    let ended = build.output().expect("packaging/build starts");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "packaging/build failed: {said}");
    let paths = String::from_utf8(ended.stdout).expect("paths are text");
    let find = |name: &str| {
        let mut found = paths.lines().map(PathBuf::from);
        let wanted = |path: &PathBuf| path.to_string_lossy().contains(&format!("/{name}_"));
        found
            .find(wanted)
            .expect("packaging/build names both packages")
    };
    Packages {
        agent: find("nestwarden-agent"),
        server: find("nestwarden-server"),
    }
}

/// With the tools that tests/run keeps for itself.
fn path() -> String {
    let home = std::env::var("HOME").unwrap_or_default();
    let cache = std::env::var("XDG_CACHE_HOME").unwrap_or(format!("{home}/.cache"));
    let rest = std::env::var("PATH").unwrap_or_default();
    format!("{cache}/nestwarden-tools/bin:{home}/.cargo/bin:{rest}")
}

fn is_installed(program: &str) -> bool {
    path()
        .split(':')
        .any(|dir| Path::new(dir).join(program).exists())
}

/// What it printed; it must succeed.
fn run(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).output();
    let done = done.unwrap_or_else(|error| panic!("{program} did not start: {error}"));
    let (said, narrated) = (
        String::from_utf8_lossy(&done.stdout).into_owned(),
        String::from_utf8_lossy(&done.stderr).into_owned(),
    );
    assert!(
        done.status.success(),
        "{program} {arguments:?} failed:\n{said}{narrated}"
    );
    said
}
