//! Others on the tablet: another user, who runs programs of their own and may have learned the page's secrets; and a
//! program of staff that opens connections and says nothing.

use super::testing::{Headers, Nursery};
use crate::settings::StaffGroup;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// Nobody, who is in the group of the same number on Debian.
const STRANGER: u32 = 65534;

/// What the page answers a program that this user runs.
async fn asked_by(uid: u32, nursery: &Nursery, path: &str, headers: &Headers) -> String {
    let request = headers.request("GET", path, "");
    let (host, port) = nursery.host.split_once(':').unwrap();
    let mut command = Command::new("bash");
    command
        .args(["-c", "exec 3<>/dev/tcp/$0/$1 && cat >&3 && cat <&3"])
        .args([host, port])
        .uid(uid)
        .gid(uid)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let run = move || {
        let mut child = command.spawn().unwrap();
        // Whoever is shown the door may be gone before all was said.
        let _ = child.stdin.take().unwrap().write_all(request.as_bytes());
        child.wait_with_output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn another_user_of_the_tablet_gets_nothing_whatever_they_know() {
    if !nix::unistd::Uid::effective().is_root() {
        let test = "another_user_of_the_tablet_gets_nothing_whatever_they_know";
        let _ = writeln!(
            std::io::stderr(),
            "SKIP {test}: needs root, to be another user"
        );
        return;
    }
    let nursery = Nursery::open().await;
    let browser = nursery.browser().await;
    let opening = format!("/open?token={}", nursery.token);
    for path in ["/", "/photos", "/style.css", &opening] {
        let own = asked_by(0, &nursery, path, &browser).await;
        assert!(own.starts_with("HTTP/1.1 "), "{path}: {own}");
        assert_eq!(asked_by(STRANGER, &nursery, path, &browser).await, "");
    }

    let staff = StaffGroup {
        name: "nogroup".to_owned(),
        gid: STRANGER,
    };
    let nursery = Nursery::open_for(Some(staff)).await;
    let browser = nursery.browser().await;
    let shown = asked_by(STRANGER, &nursery, "/", &browser).await;
    assert!(shown.starts_with("HTTP/1.1 200"), "{shown}");
    let stranger = asked_by(STRANGER, &nursery, "/", &nursery.stranger()).await;
    assert!(stranger.starts_with("HTTP/1.1 403"), "{stranger}");
}

#[tokio::test]
async fn connections_that_say_nothing_keep_nobody_from_the_page() {
    let nursery = Nursery::open().await;
    let browser = nursery.browser().await;
    let mut silent = Vec::new();
    for _ in 0..4 * super::listener::MAX_CONNECTIONS {
        silent.push(tokio::net::TcpStream::connect(&nursery.host).await.unwrap());
    }
    assert_eq!(nursery.get("/", &browser).await.status, 200);
    // It was not answered because those before it had been given up by then.
    let newest = silent.pop().unwrap();
    let said = newest.try_read(&mut [0; 1]);
    assert!(said.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock));
    let oldest = &silent[0];
    oldest.readable().await.unwrap();
    assert_eq!(oldest.try_read(&mut [0; 1]).unwrap(), 0);
}
