//! The signer as a process: killed at any instruction, and asked by another user.
//!
//! The processes are this test program again, told by an environment variable which part to play.

use crate::support::{SetClock, bundle, device, setting, start};
use nestwarden_server::signing::signer::{SOCKET_NAME, run};
use nestwarden_server::signing::{SignerClient, SignerLimits, SignerSettings, keys};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tokio::net::UnixStream;

const DIR: &str = "NESTWARDEN_TEST_DIR";
const ALLOWED: &str = "NESTWARDEN_TEST_ALLOWED";
const KILLS: u64 = 40;
const NOBODY: u32 = 65534;

fn play(program: &Path, part: &str, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--exact", "--ignored", part])
        .env(DIR, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

async fn spawn_signer(dir: &Path, allowed_uids: &str) -> Child {
    let program = std::env::current_exe().unwrap();
    let mut child = play(&program, "signer_process::part_of_the_signer", dir)
        .env(ALLOWED, allowed_uids)
        .spawn()
        .unwrap();
    while UnixStream::connect(dir.join("signer").join(SOCKET_NAME))
        .await
        .is_err()
    {
        assert!(child.try_wait().unwrap().is_none(), "the signer ended");
        tokio::task::yield_now().await;
    }
    child
}

fn new_setting() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    keys::create_all(dir.path(), setting(), &["localhost".to_owned()], start()).unwrap();
    dir
}

#[tokio::test]
#[ignore = "a part played for other tests"]
async fn part_of_the_signer() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let limits = SignerLimits {
        bundles_per_device_hour: u32::MAX,
        bundles_per_hour: u32::MAX,
        ..SignerLimits::default()
    };
    let settings = SignerSettings {
        dir: Path::new(&dir).join("signer"),
        allowed_uids: std::env::var(ALLOWED)
            .unwrap()
            .split_terminator(',')
            .map(|uid| uid.parse().unwrap())
            .collect(),
        limits,
    };
    run(settings, SetClock::new().door(), std::future::pending())
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "a part played for other tests"]
async fn part_of_another_user() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let client = SignerClient::new(Path::new(&dir).join("signer").join(SOCKET_NAME));
    client.public_key().await.unwrap();
}

#[tokio::test]
async fn a_signer_killed_at_any_moment_never_signs_a_generation_twice() {
    let dir = new_setting();
    let path = dir.path().join("signer").join(SOCKET_NAME);
    let mut highest = 0;
    for kill in 0..KILLS {
        let mut child = spawn_signer(dir.path(), "").await;
        let client = SignerClient::new(path.clone());
        let asking = tokio::spawn(async move {
            let mut signed = highest;
            // Asked again for what was signed last: that must never work, whenever it was killed.
            if highest > 0 {
                let again = client.sign_bundle(bundle(device(1), highest)).await;
                assert!(again.is_err(), "generation {highest} was signed twice");
            }
            loop {
                // A generation may have been burnt by the kill before.
                match client.sign_bundle(bundle(device(1), signed + 1)).await {
                    Ok(_) => signed += 1,
                    Err(error) => match error.mark() {
                        Some(mark) => {
                            assert!(mark.get() <= signed + 1);
                            signed = mark.get();
                        }
                        None => return signed,
                    },
                }
            }
        });
        // Lets a different number of requests through each time.
        let before = std::fs::metadata(dir.path().join("signer/high-water.json")).unwrap();
        for _ in 0..kill * 50 {
            tokio::task::yield_now().await;
        }
        if kill % 4 == 0 {
            while std::fs::metadata(dir.path().join("signer/high-water.json"))
                .is_ok_and(|now| now.ino() == before.ino())
            {
                tokio::task::yield_now().await;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        highest = asking.await.unwrap();
    }
    assert!(highest > KILLS / 4, "too little was signed to say anything");
}

#[tokio::test]
async fn another_user_gets_no_signature_unless_named() {
    if !rustix::process::geteuid().is_root() {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "SKIP as_root: needs a second user");
        return;
    }
    let dir = new_setting();
    // Where everybody may run it.
    let program = dir.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (allowed, is_answered) in [("", false), ("65534", true)] {
        let mut signer = spawn_signer(dir.path(), allowed).await;
        // As loose as a mistake could make it: only the peer's credentials stand in the way.
        open(dir.path(), 0o755);
        open(&dir.path().join("signer"), 0o755);
        open(&dir.path().join("signer").join(SOCKET_NAME), 0o666);
        let asked = play(&program, "signer_process::part_of_another_user", dir.path())
            .uid(NOBODY)
            .gid(NOBODY)
            .status();
        signer.kill().unwrap();
        signer.wait().unwrap();
        assert_eq!(asked.unwrap().success(), is_answered);
    }
}
