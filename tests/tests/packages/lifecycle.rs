//! Installing, upgrading, removing and purging.

use crate::scratch::{Scratch, differences};
use crate::{packages, run};
use std::fs;
use std::path::{Path, PathBuf};

/// The same package as an earlier version would have been: what an upgrade must keep is in its state, not in itself.
fn earlier(package: &Path, dir: &Path) -> PathBuf {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let tree = dir.join("tree");
    run("dpkg-deb", &["--raw-extract", &text(package), &text(&tree)]);
    let control = tree.join("DEBIAN/control");
    let lines = fs::read_to_string(&control).unwrap();
    let mut older = String::new();
    for line in lines.lines() {
        let line = if line.starts_with("Version:") {
            "Version: 0.0.1-1"
        } else {
            line
        };
        older.push_str(line);
        older.push('\n');
    }
    fs::write(&control, older).unwrap();
    let built = dir.join("earlier.deb");
    run(
        "dpkg-deb",
        &["-Zgzip", "-z1", "--build", &text(&tree), &text(&built)],
    );
    fs::remove_dir_all(&tree).unwrap();
    built
}

#[test]
fn the_server_keeps_its_state_through_upgrades_and_purging_leaves_nothing() {
    let test = "the_server_keeps_its_state_through_upgrades_and_purging_leaves_nothing";
    let Some(packages) = packages(test) else {
        return;
    };
    let keep = tempfile::tempdir().unwrap();
    let scratch = Scratch::new();
    let before = scratch.snapshot();
    scratch.install(&earlier(&packages.server, keep.path()));
    let as_server = [
        "runuser",
        "-u",
        "nestwarden-server",
        "--",
        "nestwarden-server",
    ];
    let tell = |arguments: &[&str]| scratch.run(&[&as_server[..], arguments].concat());
    tell(&[
        "init",
        "--name",
        "Little Acorns",
        "--address",
        "localhost:7443",
        "--recovery-kept",
    ]);
    let status = tell(&["status", "--json"]);
    let data = scratch.dir().join("var/lib/nestwarden-server");
    let kept = |name: &str| fs::read(data.join(name)).unwrap();
    let (settings, key) = (kept("server.toml"), kept("keys/device-ca.crt"));

    scratch.install(&packages.server);
    scratch.run(&[
        "/var/lib/dpkg/info/nestwarden-server.postinst",
        "configure",
        "0.0.1-1",
    ]);
    assert_eq!(
        (settings, key),
        (kept("server.toml"), kept("keys/device-ca.crt"))
    );
    let setting = |text: &str| {
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        json["setting"].clone()
    };
    assert_eq!(setting(&tell(&["status", "--json"])), setting(&status));

    scratch.run(&["dpkg", "--remove", "nestwarden-server"]);
    assert!(data.join("server.toml").exists());
    scratch.run(&["dpkg", "--purge", "nestwarden-server"]);
    assert_eq!(
        differences(&before, &scratch.snapshot()),
        Vec::<String>::new()
    );
}

const PROFILE: &str = "Name: Nestwarden passcode quality and history
Default: yes
Priority: 1040
Conflicts: pwquality, cracklib
Password-Type: Primary
Password:
\trequisite\t\t\tpam_pwquality.so retry=3 minlen=8
Password-Initial:
\trequisite\t\t\tpam_pwquality.so retry=3 minlen=8
";

#[test]
fn removing_the_agent_gives_the_tablet_back_and_purging_leaves_nothing() {
    let test = "removing_the_agent_gives_the_tablet_back_and_purging_leaves_nothing";
    let Some(packages) = packages(test) else {
        return;
    };
    let keep = tempfile::tempdir().unwrap();
    let scratch = Scratch::new();
    let before = scratch.snapshot();
    scratch.install(&earlier(&packages.agent, keep.path()));
    // As an agent leaves a tablet whose passcode and storage it holds.
    let put = |path: &str, text: &str| {
        let path = scratch.dir().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put(
        "var/lib/nestwarden/previous.json",
        "{\"pam/pwquality\":\"yes\"}",
    );
    put("usr/share/pam-configs/nestwarden", PROFILE);
    put("etc/udev/rules.d/72-nestwarden-storage.rules", "# held\n");
    scratch.run(&["pam-auth-update", "--package", "--enable", "nestwarden"]);
    let stack = || fs::read_to_string(scratch.dir().join("etc/pam.d/common-password")).unwrap();
    assert!(stack().contains("retry=3 minlen=8"));

    scratch.install(&packages.agent);
    assert!(stack().contains("retry=3 minlen=8"), "an upgrade let go");

    scratch.run(&["dpkg", "--remove", "nestwarden-agent"]);
    assert!(!stack().contains("minlen=8"), "{}", stack());
    let held = scratch
        .dir()
        .join("etc/udev/rules.d/72-nestwarden-storage.rules");
    assert!(!held.exists());
    assert!(scratch.dir().join("var/lib/nestwarden").exists());
    scratch.run(&["dpkg", "--purge", "nestwarden-agent"]);
    let left = differences(&before, &scratch.snapshot());
    // Directories that were not there and are empty now say nothing.
    let left: Vec<&String> = left
        .iter()
        .filter(|line| !line.contains(": etc/udev/rules.d "))
        .collect();
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn purging_leaves_withheld_photos_where_nobody_can_open_them() {
    let test = "purging_leaves_withheld_photos_where_nobody_can_open_them";
    let Some(packages) = packages(test) else {
        return;
    };
    let scratch = Scratch::new();
    scratch.install(&packages.agent);
    let vault = scratch.dir().join("var/lib/nestwarden/vault");
    fs::create_dir_all(&vault).unwrap();
    fs::write(vault.join("photo"), "withheld").unwrap();
    let list = scratch.dir().join("var/lib/nestwarden/left-behind");
    fs::write(list, "/var/lib/nestwarden/vault\n").unwrap();
    scratch.run(&["dpkg", "--purge", "nestwarden-agent"]);
    assert_eq!(fs::read_to_string(vault.join("photo")).unwrap(), "withheld");
}
