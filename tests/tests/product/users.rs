//! The server and its signer as two users, as they are installed.

use crate::setting::{ROOM, first_day};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use system_tests::clock::{CLOCK_VARIABLE, ClockHand};
use system_tests::patience::until;
use system_tests::ports::Port;
use system_tests::process::{Running, ask, done, is_root, skip, told};
use system_tests::profile;
use system_tests::register::Register;

const SERVER: u32 = 61_001;
const SIGNER: u32 = 61_002;

/// A place that both users can get to, and the harness in it.
struct Place {
    dir: PathBuf,
    clock: ClockHand,
}

impl Place {
    fn command(&self, user: u32, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={user}"))
            .arg(format!("--regid={SERVER}"))
            .arg("--clear-groups")
            .arg(self.dir.join("harness"))
            .arg(program)
            .env(CLOCK_VARIABLE, self.clock.path())
            .current_dir(&self.dir);
        command
    }

    fn server(&self, user: u32, arguments: &[&str]) -> Command {
        let mut command = self.command(user, "server");
        command
            .arg("--data")
            .arg(self.dir.join("data"))
            .args(arguments);
        command
    }

    fn agent(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(SERVER, "agent");
        command
            .arg("--root")
            .arg(self.dir.join("tablet"))
            .args(arguments);
        command
    }

    fn text(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = umount2(&self.dir.join("harness"), MntFlags::MNT_DETACH);
    }
}

#[test]
fn the_server_gets_signatures_from_another_user_and_cannot_read_the_key() {
    if !is_root() {
        skip(
            "the_server_gets_signatures_from_another_user_and_cannot_read_the_key",
            "needs root, to be two other users",
        );
        return;
    }
    let kept = tempfile::tempdir().unwrap();
    let place = place(kept.path());
    let (tablets_port, console_port) = (Port::claim().unwrap(), Port::claim().unwrap());
    let address = tablets_port.address().to_string();
    let console = console_port.address().to_string();
    let sheet = place.text("sheet.txt");
    let init = [
        "init",
        "--name",
        "Little Acorns",
        "--listen",
        &address,
        "--address",
        &address,
        "--console-listen",
        &console,
        "--recovery-out",
        &sheet,
    ];
    done(place.server(SERVER, &init)).unwrap();
    let signer_dir = place.text("signer-of-its-own");
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/linux");
    for _ in 0..2 {
        let mut hand_over = Command::new(packaging.join("hand-over-signer"));
        hand_over
            .args([place.text("data"), signer_dir.clone()])
            .args([SIGNER.to_string(), SERVER.to_string()]);
        done(hand_over).unwrap();
    }
    let signer = [
        "signer",
        "--dir",
        &signer_dir,
        "--allow-uid",
        &SERVER.to_string(),
    ];
    let log = |name: &str| kept.path().join(name);
    let _signer =
        Running::start(place.server(SIGNER, &signer), "signer", log("signer.log")).unwrap();
    let _serve =
        Running::start(place.server(SERVER, &["serve"]), "serve", log("serve.log")).unwrap();
    until("the tablets' listener", || {
        Ok(std::net::TcpStream::connect(&address).ok())
    })
    .unwrap();

    fs::write(place.dir.join("profile.toml"), profile::photos_only()).unwrap();
    let register = Register::of(first_day(), 3, ROOM);
    fs::write(place.dir.join("register.csv"), register.csv()).unwrap();
    let profile_path = place.text("profile.toml");
    done(place.server(SERVER, &["profile", "apply", &profile_path])).unwrap();
    let token = [
        "enrol-token",
        "create",
        "--name",
        "t",
        "--profile",
        profile::NAME,
    ];
    let token = told(place.server(SERVER, &token)).unwrap();
    done(place.agent(&["enrol", token["link"].as_str().unwrap()])).unwrap();
    let _agent = Running::start(place.agent(&["run"]), "agent", log("agent.log")).unwrap();
    until("a bundle that the other user signed", || {
        let status = told(place.agent(&["status"]))?;
        Ok((status["generation"].as_u64() > Some(0)).then_some(()))
    })
    .unwrap();

    let key = Path::new(&signer_dir).join("signing.key");
    assert!(key.exists());
    let mut thief = Command::new("setpriv");
    thief
        .arg(format!("--reuid={SERVER}"))
        .arg(format!("--regid={SERVER}"))
        .args(["--clear-groups", "cat"])
        .arg(&key);
    let refused = ask(thief).unwrap();
    assert!(!refused.status.success() && refused.stdout.is_empty());
}

/// The harness may lie where only root can go, so it is mounted here, for this thread and what it starts.
fn place(dir: &Path) -> Place {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let harness = dir.join("harness");
    fs::write(&harness, "").unwrap();
    let built = Some(env!("CARGO_BIN_EXE_harness"));
    mount(built, &harness, none, MsFlags::MS_BIND, none).unwrap();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    let clock = ClockHand::new(dir.join("clock.json")).unwrap();
    fs::create_dir_all(dir.join("tablet/home/staff/Pictures")).unwrap();
    for owned in [dir.to_owned(), dir.join("tablet")] {
        chown(owned, Some(SERVER), Some(SERVER)).unwrap();
    }
    Place {
        dir: dir.to_owned(),
        clock,
    }
}
