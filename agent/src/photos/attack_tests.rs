//! What somebody with a staff account may try while photos are being removed. The agent is root; nothing outside of the
//! roots is ever touched by it, and the photos go all the same.

use super::testing::{Tablet, jpeg};
use nestwarden_policy_schema::consent::{ConsentState, Stage};
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// A place the agent has no business in.
struct Outside(tempfile::TempDir, BTreeMap<PathBuf, (Vec<u8>, u64, i64)>);

impl Outside {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        for name in ["a.jpg", "a.xmp", "shadow"] {
            std::fs::write(temp.path().join(name), jpeg(7)).unwrap();
        }
        let files = files(temp.path());
        Self(temp, files)
    }

    fn dir(&self) -> &Path {
        self.0.path()
    }

    fn assert_untouched(&self) {
        assert_eq!(files(self.dir()), self.1, "something outside was touched");
    }
}

/// Every file with its content, inode and time of last change.
fn files(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u64, i64)> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let file = |path: PathBuf| {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        (path, (bytes, meta.ino(), meta.mtime_nsec()))
    };
    entries.map(file).collect()
}

/// Replaces what is at a path in the album, or the album itself.
type Attack = fn(&Tablet, &Outside);

const ATTACKS: &[(&str, Attack)] = &[
    ("the photo becomes a link", |tablet, outside| {
        let _ = std::fs::remove_file(tablet.path("album/a.jpg"));
        let _ = symlink(outside.dir().join("a.jpg"), tablet.path("album/a.jpg"));
    }),
    (
        "the photo becomes another file by a hard link",
        |tablet, outside| {
            let _ = std::fs::remove_file(tablet.path("album/a.jpg"));
            // On another file system it cannot be made, and then it is only gone.
            let _ = std::fs::hard_link(outside.dir().join("shadow"), tablet.path("album/a.jpg"));
        },
    ),
    ("its folder becomes a link", |tablet, outside| {
        let _ = std::fs::rename(tablet.path("album"), tablet.path("moved"));
        let _ = symlink(outside.dir(), tablet.path("album"));
    }),
    ("its root becomes a link", |tablet, outside| {
        let root = tablet.path("");
        let root = root.parent().unwrap().join("Pictures");
        let _ = std::fs::rename(&root, root.with_file_name("Elsewhere"));
        let _ = symlink(outside.dir(), &root);
    }),
    ("the photo becomes a pipe", |tablet, _| {
        let _ = std::fs::remove_file(tablet.path("album/a.jpg"));
        let _ = nix::unistd::mkfifo(&tablet.path("album/a.jpg"), nix::sys::stat::Mode::S_IRWXU);
    }),
    ("the photo becomes a device", |tablet, _| {
        use nix::sys::stat::{Mode, SFlag, makedev, mknod};
        let _ = std::fs::remove_file(tablet.path("album/a.jpg"));
        // Only root can, and then it is one that gives bytes for ever.
        let zero = makedev(1, 5);
        let path = tablet.path("album/a.jpg");
        let _ = mknod(&path, SFlag::S_IFCHR, Mode::S_IRWXU, zero);
    }),
    ("the photo becomes a folder", |tablet, _| {
        let _ = std::fs::remove_file(tablet.path("album/a.jpg"));
        let _ = std::fs::create_dir(tablet.path("album/a.jpg"));
    }),
    (
        "its sidecar and its thumbnails become links",
        |tablet, outside| {
            let _ = symlink(outside.dir().join("a.xmp"), tablet.path("album/a.xmp"));
            let cache = tablet.temp.path().join("home/anna/.cache");
            let _ = std::fs::create_dir_all(&cache);
            let _ = symlink(outside.dir(), cache.join("thumbnails"));
        },
    ),
];

/// The moments at which somebody may strike: after the photo was catalogued, withheld, sealed.
const MOMENTS: [Stage; 3] = [Stage::Live, Stage::Withheld, Stage::Sealed];

fn with_a_photo_in_an_album() -> Tablet {
    let mut tablet = Tablet::new();
    std::fs::create_dir(tablet.path("album")).unwrap();
    tablet.photo_of_one("album/a.jpg");
    tablet
}

#[test]
fn whatever_takes_the_place_of_a_photo_nothing_outside_the_roots_is_touched() {
    for (name, attack) in ATTACKS {
        for moment in MOMENTS {
            let outside = Outside::new();
            let mut tablet = with_a_photo_in_an_album();
            if moment >= Stage::Withheld {
                tablet.now.doubtful = true;
                tablet.settle();
                tablet.now.doubtful = false;
            }
            if moment >= Stage::Sealed {
                tablet.set_consent(1, ConsentState::Withdrawn);
                tablet.settle();
            }
            attack(&tablet, &outside);
            if moment == Stage::Withheld {
                // Comes back first, to wherever its place is now.
                let _ = tablet.try_settle();
            }
            tablet.set_consent(1, ConsentState::Withdrawn);
            tablet.settle();
            outside.assert_untouched();
            let _ = tablet.try_look();
            tablet.pass_hours(96);
            let _ = tablet.try_settle();
            outside.assert_untouched();
            let left = tablet.vault().into_values().any(|bytes| bytes == jpeg(1));
            assert!(!left || moment == Stage::Withheld, "{name}, {moment:?}");
        }
    }
}

#[test]
fn names_that_change_all_the_time_confuse_nobody() {
    let outside = Outside::new();
    let mut tablet = with_a_photo_in_an_album();
    tablet.set_consent(1, ConsentState::Withdrawn);
    let over = AtomicBool::new(false);
    let album = tablet.path("album");
    let other = tablet.path("other");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (photo, away) = (album.join("a.jpg"), album.join("b.jpg"));
            while !over.load(Ordering::SeqCst) {
                let _ = std::fs::rename(&photo, &away);
                let _ = symlink(outside.dir().join("a.jpg"), &photo);
                let _ = std::fs::rename(&album, &other);
                let _ = symlink(outside.dir(), &album);
                let _ = std::fs::remove_file(&album);
                let _ = std::fs::rename(&other, &album);
                let _ = std::fs::remove_file(&photo);
                let _ = std::fs::rename(&away, &photo);
            }
        });
        for _ in 0..25 {
            let _ = tablet.try_absorb();
            let _ = tablet.try_settle();
        }
        over.store(true, Ordering::SeqCst);
    });
    outside.assert_untouched();
    let _ = std::fs::remove_file(&album);
    let _ = std::fs::rename(&other, &album);
    tablet.pass_hours(1);
    tablet.look();
    tablet.look();
    let plain = tablet
        .pictures()
        .into_values()
        .any(|bytes| bytes == jpeg(1));
    assert!(!plain, "and the photo is withheld in the end");
    outside.assert_untouched();
}

#[test]
fn pipes_devices_and_sockets_in_a_root_are_neither_read_nor_waited_for() {
    let mut tablet = Tablet::new();
    nix::unistd::mkfifo(&tablet.path("pipe.jpg"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tablet.path("socket.jpg")).unwrap();
    let zero = nix::sys::stat::makedev(1, 5);
    let mode = nix::sys::stat::Mode::S_IRWXU;
    let device = tablet.path("device.jpg");
    let _ = nix::sys::stat::mknod(&device, nix::sys::stat::SFlag::S_IFCHR, mode, zero);
    tablet.look();
    assert!(tablet.list().is_empty());
}
