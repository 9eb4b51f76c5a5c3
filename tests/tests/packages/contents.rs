//! What is in the packages.

use crate::{is_installed, packages, run};
use std::path::Path;
use std::process::Command;

fn files(package: &Path) -> Vec<String> {
    let listed = run("dpkg-deb", &["--contents", &package.to_string_lossy()]);
    let files = listed.lines().filter(|line| !line.starts_with('d'));
    let mut paths: Vec<String> = files
        .filter_map(|line| {
            Some(format!(
                "{} {}",
                &line[..10],
                line.split_whitespace().nth(5)?
            ))
        })
        .collect();
    paths.sort();
    paths
}

#[test]
fn the_packages_contain_what_they_should_and_nothing_else() {
    let Some(packages) = packages("the_packages_contain_what_they_should_and_nothing_else") else {
        return;
    };
    assert_eq!(
        files(&packages.agent),
        [
            "-rw-r--r-- ./usr/lib/systemd/system/nestwarden-agent.service",
            "-rw-r--r-- ./usr/lib/tmpfiles.d/nestwarden-agent.conf",
            "-rw-r--r-- ./usr/share/applications/nestwarden-photos.desktop",
            "-rw-r--r-- ./usr/share/doc/nestwarden-agent/changelog.Debian.gz",
            "-rw-r--r-- ./usr/share/doc/nestwarden-agent/copyright",
            "-rw-r--r-- ./usr/share/icons/hicolor/scalable/apps/nestwarden-photos.svg",
            "-rwxr-xr-x ./usr/bin/nestwarden-agent",
        ]
    );
    assert_eq!(
        files(&packages.server),
        [
            "-rw-r--r-- ./usr/lib/systemd/system/nestwarden-server.service",
            "-rw-r--r-- ./usr/lib/systemd/system/nestwarden-signer.service",
            "-rw-r--r-- ./usr/lib/sysusers.d/nestwarden-server.conf",
            "-rw-r--r-- ./usr/lib/tmpfiles.d/nestwarden-server.conf",
            "-rw-r--r-- ./usr/share/doc/nestwarden-server/changelog.Debian.gz",
            "-rw-r--r-- ./usr/share/doc/nestwarden-server/copyright",
            "-rwxr-xr-x ./usr/bin/nestwarden-server",
            "-rwxr-xr-x ./usr/lib/nestwarden/hand-over-signer",
        ]
    );
}

/// Beyond lintian's errors and warnings: manual pages (every command has `--help`), a first upload to Debian's archive,
/// and that app control reads which files packages brought.
const NOT_FOR_US: &str = "no-manual-page,initial-upload-closes-no-bugs,uses-dpkg-database-directly";

#[test]
fn lintian_finds_nothing_wrong() {
    let Some(packages) = packages("lintian_finds_nothing_wrong") else {
        return;
    };
    if !is_installed("lintian") {
        system_tests::process::skip("lintian_finds_nothing_wrong", "needs lintian");
        return;
    }
    for package in [&packages.agent, &packages.server] {
        lint(package);
    }
}

pub(crate) fn lint(package: &Path) {
    let package = package.to_string_lossy();
    let arguments = [
        "--allow-root",
        "--fail-on",
        "error,warning",
        "--suppress-tags",
        NOT_FOR_US,
        &package,
    ];
    run("lintian", &arguments);
}

fn exposure(unit: &str) -> f64 {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/linux/systemd");
    let unit = units.join(unit);
    let mut judge = Command::new("systemd-analyze");
    judge
        .args(["security", "--offline=yes", "--no-pager"])
        .arg(unit);
    let judged = judge.output().expect("systemd-analyze starts");
    let text = String::from_utf8_lossy(&judged.stdout).into_owned();
    let overall = text
        .lines()
        .find(|line| line.contains("Overall exposure level"));
    let number = overall.and_then(|line| line.rsplit(": ").next()?.split(' ').next());
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no exposure in:\n{text}"))
}

#[test]
fn the_servers_units_are_hardened() {
    if packages("the_servers_units_are_hardened").is_none() {
        return;
    }
    for unit in ["nestwarden-server.service", "nestwarden-signer.service"] {
        let exposure = exposure(unit);
        assert!(exposure <= 4.0, "{unit}: {exposure}");
    }
}
