//! A family asks for the photos of their child: two people, a sheet of paper, somebody who looks, and an archive that only
//! the sheet's other half opens.

use crate::page::Browser;
use crate::setting::{AVA, BEN, events, photo_of, setting_with_tablet, until_sealed};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use system_tests::evidence;
use system_tests::fleet::{DSL, Fleet};
use system_tests::patience::until;

const SECOND: &str = "Kim Manager";

fn text(answer: &Value, path: &str) -> String {
    answer
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap()
        .to_owned()
}

/// Whether any file beneath has these bytes in it.
fn is_anywhere(dir: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_anywhere(&path, bytes);
        }
        path.is_file()
            && fs::read(&path).is_ok_and(|all| all.windows(bytes.len()).any(|part| part == bytes))
    })
}

fn tell(fleet: &Fleet, who: &str, arguments: &[&OsStr]) -> Value {
    let begin = [
        OsStr::new("--as"),
        OsStr::new(who),
        OsStr::new("subject-access"),
    ];
    let all = begin.iter().chain(arguments).copied();
    fleet.server.tell(all).unwrap()
}

#[test]
fn a_family_gets_the_photos_that_somebody_looked_at_and_the_server_none() {
    let mut fleet = setting_with_tablet();
    let alone = photo_of(&fleet, 1, &[AVA]);
    let both = photo_of(&fleet, 2, &[AVA, BEN]);
    let other = photo_of(&fleet, 3, &[BEN]);
    fleet.tablets[0].wait_until_reported().unwrap();
    fleet
        .server
        .tell(["operator", "add", "--name", SECOND, "--role", "manager"])
        .unwrap();

    let desk = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { desk.path().join(name) };
    let identity = at("identity.txt");
    let key = [OsStr::new("key"), OsStr::new("--out"), identity.as_os_str()];
    let sheet = tell(&fleet, DSL, &key);
    let (recipient, fingerprint) = (text(&sheet, "/recipient"), text(&sheet, "/fingerprint"));
    let ask = ["ask", AVA, "--recipient", &recipient].map(OsStr::new);
    let asked = tell(&fleet, DSL, &ask);
    let id = text(&asked, "/request/id");
    // The hold of the request keeps photos from being destroyed and not from being sealed.
    fleet.server.withdraw(AVA).unwrap();
    until_sealed(&mut fleet, &alone);
    let agree = ["agree", &id].map(OsStr::new);
    let mut alone_agrees = vec!["--as", DSL, "subject-access"];
    alone_agrees.extend(["agree", &id]);
    assert_ne!(fleet.server.ask(alone_agrees).unwrap().code(), Some(0));
    tell(&fleet, SECOND, &agree);

    let browser = Browser::open(&fleet.tablets[0]);
    let page = format!("/review?request={id}");
    until("the request on the tablet", || {
        fleet.tablets[0].check()?;
        Ok((browser.get(&page).0 == 200).then_some(()))
    })
    .unwrap();
    let wrong = format!("request={id}&fingerprint=qqqq+qqqq+qqqq+qqqq");
    assert_eq!(browser.post("/review/begin", &wrong).0, 409);
    let right = format!("request={id}&fingerprint={}", fingerprint.replace(' ', "+"));
    assert_eq!(browser.post("/review/begin", &right).0, 200);
    let picture = format!("/review/photo?request={id}&id={}", alone.id);
    let (status, _, seen) = browser.ask("GET", &picture, "");
    assert_eq!((status, seen == alone.bytes), (200, true));
    let say = |photo: &str, what: &str| format!("request={id}&photo={photo}&say={what}");
    assert_eq!(browser.post("/review", &say(&other.id, "include")).0, 404);
    browser.post("/review", &say(&alone.id, "include"));
    browser.post("/review", &say(&both.id, "others"));
    let received = "SELECT count(*) FROM access_photos WHERE received_at IS NOT NULL";
    assert_eq!(fleet.server.database().number(received).unwrap(), 0);
    assert_eq!(
        browser.post("/review/finish", &format!("request={id}")).0,
        200
    );
    until("the photo at the server", || {
        fleet.tablets[0].check()?;
        Ok((fleet.server.database().number(received)? == 1).then_some(()))
    })
    .unwrap();
    fleet.tablets[0].wait_until_reported().unwrap();
    assert_eq!(events(&fleet, "photo_exported"), 1);
    assert_eq!(events(&fleet, "photo_reviewed"), 2);
    // It is sealed as before, and the server has nothing of it that it could read.
    assert!(alone.is_only_sealed(&fleet.tablets[0]));
    assert!(evidence::copies(fleet.tablets[0].root_dir(), &alone.bytes).is_empty());
    assert!(!is_anywhere(fleet.server.data_dir(), &alone.bytes[..64]));

    let (archive, photos) = (at("archive"), at("photos"));
    let export = [
        OsStr::new("export"),
        OsStr::new(&id),
        OsStr::new("--out"),
        archive.as_os_str(),
    ];
    let made = tell(&fleet, DSL, &export);
    assert_eq!(
        (made["photos"].as_u64(), made["left_out"].as_u64()),
        (Some(1), Some(1))
    );
    let verify = [
        OsStr::new("verify"),
        OsStr::new("--archive"),
        archive.as_os_str(),
    ];
    fleet.server.tell(verify).unwrap();
    let open = [
        OsStr::new("open"),
        archive.as_os_str(),
        OsStr::new("--identity"),
        identity.as_os_str(),
        OsStr::new("--out"),
        photos.as_os_str(),
    ];
    tell(&fleet, DSL, &open);
    let opened = fs::read(photos.join(format!("photo-{}.jpg", alone.id))).unwrap();
    assert!(opened == alone.bytes);
    assert_eq!(fs::read_dir(&photos).unwrap().count(), 1);

    // An archive that was changed is not opened.
    let member = archive.join(format!("photo-{}.age", alone.id));
    let mut bytes = fs::read(&member).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&member, bytes).unwrap();
    let again = at("again");
    let mut changed: Vec<&OsStr> = vec![OsStr::new("subject-access")];
    changed.extend(&open[..4]);
    changed.extend([OsStr::new("--out"), again.as_os_str()]);
    assert_ne!(fleet.server.ask(changed).unwrap().code(), Some(0));
    assert!(!again.exists());

    tell(&fleet, DSL, &["close", &id].map(OsStr::new));
    let received = fleet.server.data_dir().join("received");
    assert_eq!(fs::read_dir(received).unwrap().count(), 0);
    fleet.server.tell(["verify"]).unwrap();
    fleet.check_logs().unwrap();
}
