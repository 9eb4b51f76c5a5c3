//! Real file systems that fail: full, read-only, broken. Each on an image of its own, in a mount namespace of its own.

use super::listing::Tags;
use super::room::ROOM_BYTES;
use super::testing::{PICTURES, Tablet, child};
use crate::clock::TrustedClock;
use crate::reconcile::space::{self, Space};
use crate::testing::HandClock;
use nestwarden_policy_schema::consent::{ConsentState, Stage, Tagging};
use nestwarden_policy_schema::event::EventBody;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tokio::sync::watch;

/// An ext4 file system in a file, mounted for this thread alone.
struct Disk {
    image: PathBuf,
    at: PathBuf,
    _temp: tempfile::TempDir,
}

const IMAGE_BYTES: u64 = 24 * 1024 * 1024;

impl Disk {
    /// Mounted at `at`; `None`, said as a skipped check, where only root could.
    fn mounted(test: &str, at: Option<PathBuf>) -> Option<Self> {
        Self::of(test, at, IMAGE_BYTES)
    }

    fn of(test: &str, at: Option<PathBuf>, bytes: u64) -> Option<Self> {
        if !nix::unistd::Uid::effective().is_root() {
            let _ = writeln!(
                std::io::stderr(),
                "SKIP {test}: needs root, for a file system of its own"
            );
            return None;
        }
        let temp = tempfile::tempdir().unwrap();
        let image = temp.path().join("image");
        File::create(&image).unwrap().set_len(bytes).unwrap();
        run(Command::new("mkfs.ext4")
            .args(["-q", "-O", "^has_journal"])
            .arg(&image));
        let at = at.unwrap_or_else(|| temp.path().join("disk"));
        fs::create_dir_all(&at).unwrap();
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(&at));
        Some(Self {
            image,
            at,
            _temp: temp,
        })
    }

    fn remount(&self, flags: MsFlags) {
        let none: Option<&str> = None;
        mount(none, &self.at, none, MsFlags::MS_REMOUNT | flags, none).unwrap();
    }

    /// Leaves `bytes` free, roughly.
    fn fill(&self, bytes: u64) -> PathBuf {
        let path = self.at.join("ballast");
        let mut ballast = File::create(&path).unwrap();
        while ballast.write_all(&[0xa5; 16 * 1024]).is_ok() {}
        ballast.sync_all().unwrap();
        let length = ballast.metadata().unwrap().len();
        ballast.set_len(length.saturating_sub(bytes)).unwrap();
        path
    }

    /// Leaves nothing free, to the last block.
    fn fill_up(&self) -> PathBuf {
        let path = self.fill(0);
        let mut ballast = File::options().append(true).open(&path).unwrap();
        while ballast.write_all(&[0xa5; 1024]).is_ok() && ballast.sync_all().is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.at, MntFlags::MNT_DETACH);
    }
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {done:?}");
}

/// A photo of several MiB, none of it alike.
fn large() -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0];
    let mut state = 1_u64;
    while bytes.len() < 6 * 1024 * 1024 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        bytes.extend(state.to_le_bytes());
    }
    bytes
}

fn tablet_with_a_large_photo(
    temp: tempfile::TempDir,
    mounted: impl FnOnce(&Path) -> Option<Disk>,
) -> Option<(Tablet, Disk)> {
    fs::create_dir_all(temp.path().join(PICTURES)).unwrap();
    let disk = mounted(temp.path())?;
    let mut tablet = Tablet::unscanned_at(temp);
    tablet.look();
    tablet.write("a.jpg", &large());
    tablet.look();
    let id = tablet.only().id;
    tablet.tag(id, &[1]);
    Some((tablet, disk))
}

fn alarms(tablet: &Tablet) -> usize {
    let events = tablet.events().into_iter();
    events
        .filter(|e| matches!(e, EventBody::Alarm { .. }))
        .count()
}

#[test]
fn a_photo_that_finds_no_room_to_be_sealed_stays_withheld_and_whole_until_there_is() {
    let test = "a_photo_that_finds_no_room_to_be_sealed_stays_withheld_and_whole_until_there_is";
    let Some(disk) = Disk::mounted(test, None) else {
        return;
    };
    let temp = tempfile::tempdir_in(&disk.at).unwrap();
    let (mut tablet, disk) = tablet_with_a_large_photo(temp, |_| Some(disk)).unwrap();
    let ballast = disk.fill(2 * 1024 * 1024);
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Withheld);
    assert!(tablet.pictures().is_empty());
    let vault: Vec<_> = tablet.vault().into_values().collect();
    assert_eq!(
        vault,
        [large()],
        "whole, and nothing half written beside it"
    );
    assert_eq!(alarms(&tablet), 1);
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(alarms(&tablet), 1, "told once");
    fs::remove_file(ballast).unwrap();
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.assert_sound();
}

#[test]
fn photos_on_a_file_system_that_became_read_only_are_told_of_and_go_once_it_is_writable() {
    let test =
        "photos_on_a_file_system_that_became_read_only_are_told_of_and_go_once_it_is_writable";
    let temp = tempfile::tempdir().unwrap();
    let at = |root: &Path| Disk::mounted(test, Some(root.join(PICTURES)));
    let Some((mut tablet, disk)) = tablet_with_a_large_photo(temp, at) else {
        return;
    };
    disk.remount(MsFlags::MS_RDONLY);
    tablet.set_consent(1, ConsentState::Withdrawn);
    let _ = tablet.try_settle();
    assert_eq!(tablet.only().stage, Stage::Live);
    assert!(tablet.receipts().is_empty());
    disk.remount(MsFlags::empty());
    tablet.restart();
    tablet.pass_hours(1);
    tablet.look();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    assert_eq!(
        fs::read_dir(tablet.path(""))
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name() == "a.jpg")
            .count(),
        0
    );
}

#[test]
fn a_photo_on_a_device_that_fails_stays_withheld_and_is_sealed_once_it_can_be_read() {
    let test = "a_photo_on_a_device_that_fails_stays_withheld_and_is_sealed_once_it_can_be_read";
    let temp = tempfile::tempdir().unwrap();
    let at = |root: &Path| Disk::mounted(test, Some(root.join(PICTURES)));
    let Some((mut tablet, disk)) = tablet_with_a_large_photo(temp, at) else {
        return;
    };
    // The later part of the device does not answer any more; the photo's blocks are no longer in memory.
    let photo = File::open(tablet.path("a.jpg")).unwrap();
    rustix::fs::syncfs(&photo).unwrap();
    rustix::fs::fadvise(&photo, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let image = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&disk.image)
        .unwrap();
    image.sync_all().unwrap();
    let whole = fs::read(&disk.image).unwrap();
    let photo = large();
    let part = &photo[4096..4160];
    let at = whole
        .chunks(1024)
        .position(|block| block.starts_with(part))
        .unwrap() as u64
        * 1024;
    image.set_len(at + 1024 * 1024).unwrap();
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    let listed = tablet.only();
    assert_eq!(listed.stage, Stage::Withheld, "{listed:?}");
    assert!(listed.note.is_some(), "and that is told");
    assert!(!tablet.path("a.jpg").exists());
    // It answers again, with all it had.
    let from = usize::try_from(at).unwrap() + 1024 * 1024;
    image.write_all_at(&whole[from..], from as u64).unwrap();
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
}

/// A tablet that lies on a file system of its own, with its photos and all that it set aside.
fn on_a_disk_of_its_own(test: &str) -> Option<(Tablet, Disk)> {
    let disk = Disk::of(test, None, 96 * 1024 * 1024)?;
    let mut tablet = Tablet::unscanned_at(tempfile::tempdir_in(&disk.at).unwrap());
    tablet.look();
    tablet.ledger.keep_reserve().unwrap();
    tablet.keep_room().unwrap();
    assert_eq!(tablet.room(), Some(ROOM_BYTES));
    Some((tablet, disk))
}

fn take(tablet: &mut Tablet, photos: &[Vec<u8>]) {
    for (number, photo) in photos.iter().enumerate() {
        tablet.write(&format!("{number:03}.jpg"), photo);
    }
    tablet.look();
    let tags = Tags {
        tagging: Tagging::Complete,
        confirmed: [child(1)].into(),
        unregistered_person: false,
        care_record: false,
    };
    for listed in tablet.list() {
        tablet
            .with(|engine, moment| engine.tag(moment, listed.id, &tags))
            .unwrap();
    }
}

fn of_bytes(bytes: usize, seed: u8) -> Vec<u8> {
    let mut photo = large();
    photo.truncate(bytes);
    photo[8] = seed;
    photo
}

/// All but what a sealed file is longer than what was sealed.
fn assert_room_is_back(tablet: &Tablet) {
    let room = tablet.room().unwrap();
    assert!(room > ROOM_BYTES - 64 * 1024, "{room} of {ROOM_BYTES}");
}

#[test]
fn on_a_full_disk_photos_are_sealed_in_the_room_that_was_set_aside_which_is_taken_again() {
    let test =
        "on_a_full_disk_photos_are_sealed_in_the_room_that_was_set_aside_which_is_taken_again";
    let Some((mut tablet, disk)) = on_a_disk_of_its_own(test) else {
        return;
    };
    // Together they need more than is set aside, each of them less.
    let photos = [1, 2, 3].map(|seed| of_bytes(3 * 1024 * 1024, seed));
    take(&mut tablet, &photos);
    disk.fill_up();
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    let stages: Vec<Stage> = tablet.list().iter().map(|l| l.stage).collect();
    assert_eq!(stages, [Stage::Sealed; 3]);
    assert_eq!(alarms(&tablet), 0);
    assert_room_is_back(&tablet);
    tablet.assert_sound();
}

#[test]
fn what_is_larger_than_the_room_that_was_set_aside_leaves_it_to_others() {
    let test = "what_is_larger_than_the_room_that_was_set_aside_leaves_it_to_others";
    let Some((mut tablet, disk)) = on_a_disk_of_its_own(test) else {
        return;
    };
    take(&mut tablet, &[large(), of_bytes(1024 * 1024, 2)]);
    let ballast = disk.fill_up();
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert_eq!(tablet.stages().get(&Stage::Withheld), Some(&1));
    assert_eq!(tablet.stages().get(&Stage::Sealed), Some(&1));
    assert!(tablet.vault().into_values().any(|bytes| bytes == large()));
    assert!(tablet.pictures().is_empty());
    assert_eq!(alarms(&tablet), 1);
    assert_room_is_back(&tablet);
    fs::remove_file(ballast).unwrap();
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(tablet.stages().get(&Stage::Sealed), Some(&2));
    tablet.assert_sound();
}

#[test]
fn on_a_full_disk_a_vault_grows_by_the_names_of_what_is_withheld() {
    let test = "on_a_full_disk_a_vault_grows_by_the_names_of_what_is_withheld";
    let Some((mut tablet, disk)) = on_a_disk_of_its_own(test) else {
        return;
    };
    let photos: Vec<Vec<u8>> = (0..40).map(|seed| of_bytes(4096, seed)).collect();
    take(&mut tablet, &photos);
    disk.fill_up();
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert!(tablet.pictures().is_empty());
    assert_eq!(tablet.stages().get(&Stage::Sealed), Some(&40));
    tablet.assert_sound();
}

#[test]
fn a_small_disk_keeps_its_room_and_a_tablet_without_a_policy_gives_it_back() {
    let test = "a_small_disk_keeps_its_room_and_a_tablet_without_a_policy_gives_it_back";
    let Some((mut tablet, disk)) = on_a_disk_of_its_own(test) else {
        return;
    };
    tablet.bundle.policy.photos = None;
    tablet.settle();
    assert_eq!(tablet.room(), None);
    disk.fill(2 * ROOM_BYTES);
    tablet.bundle.policy.photos = Some(super::testing::policy());
    tablet.keep_room().unwrap();
    assert_eq!(tablet.room(), None);
}

#[test]
fn a_photo_that_cannot_be_moved_is_told_of_once_and_goes_without_a_receipt_before_it_has() {
    let test =
        "a_photo_that_cannot_be_moved_is_told_of_once_and_goes_without_a_receipt_before_it_has";
    let temp = tempfile::tempdir().unwrap();
    let at = |root: &Path| Disk::mounted(test, Some(root.join(PICTURES)));
    let Some((mut tablet, _disk)) = tablet_with_a_large_photo(temp, at) else {
        return;
    };
    let photo = tablet.path("a.jpg");
    run(Command::new("chattr").arg("+i").arg(&photo));
    // Another program's lock keeps nobody from renaming.
    let locked = File::open(&photo).unwrap();
    locked.lock().unwrap();
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    for _ in 0..5 {
        tablet.pass_hours(24);
        tablet.settle();
    }
    let listed = tablet.only();
    assert_eq!(listed.stage, Stage::Live);
    assert!(listed.note.is_some(), "{listed:?}");
    let told = tablet.events().into_iter().filter(|event| {
        matches!(event, EventBody::PhotoIncomplete { stage, .. } if *stage == Stage::Withheld)
    });
    assert_eq!(told.count(), 1);
    assert_eq!(tablet.receipts(), []);
    run(Command::new("chattr").arg("-i").arg(&photo));
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    assert!(!photo.exists());
    tablet.pass_hours(24 * 9);
    tablet.settle();
    assert_eq!(tablet.receipts().len(), 1);
}

#[test]
fn with_hardly_any_space_the_camera_goes_off_which_is_told_once_and_comes_back_with_twice_as_much()
{
    let test = "with_hardly_any_space_the_camera_goes_off_which_is_told_once_and_comes_back_with_twice_as_much";
    let Some((tablet, disk)) = on_a_disk_of_its_own(test) else {
        return;
    };
    let (tree, state) = space::places(&tablet.paths).unwrap();
    let patterns = super::testing::policy().capture_roots;
    let look = |before| space::look(&tree, &state, &patterns, before);
    assert_eq!(look(Space::Enough), Space::Enough);
    let on = rustix::fs::statvfs(&disk.at).unwrap();
    let least = on.f_blocks * on.f_frsize / 50;
    let for_root_alone = (on.f_bfree - on.f_bavail) * on.f_frsize;
    let leave_everybody = |bytes: u64| {
        // The file system keeps some blocks from root, too.
        let ballast = disk.fill(0);
        let kept = rustix::fs::statvfs(&disk.at).unwrap();
        let more = (bytes + for_root_alone).saturating_sub(kept.f_bfree * kept.f_frsize);
        let file = File::options().write(true).open(&ballast).unwrap();
        file.set_len(file.metadata().unwrap().len() - more).unwrap();
        ballast
    };
    leave_everybody(least / 2);
    assert_eq!(look(Space::Enough), Space::Short);

    let told = watch::Sender::new(Space::Enough);
    let mut hears = told.subscribe();
    let door = Arc::new(HandClock::at("2026-03-02T12:00:00Z"));
    let clock = TrustedClock::open(tablet.ledger.clone(), door).unwrap();
    let watching = space::watch_space(
        tablet.ledger.clone(),
        clock,
        (tree.clone(), state.clone()),
        told,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::select! {
            () = watching => {}
            changed = hears.changed() => changed.unwrap(),
        }
    });
    assert_eq!(*hears.borrow(), Space::Short);
    let said = |event: &EventBody| matches!(event, EventBody::Alarm { what } if what.contains("camera is off"));
    assert_eq!(
        tablet.events().iter().filter(|event| said(event)).count(),
        1
    );

    let ballast = leave_everybody(least * 3 / 2);
    assert_eq!(look(Space::Short), Space::Short);
    assert_eq!(look(Space::Enough), Space::Enough);
    fs::remove_file(ballast).unwrap();
    assert_eq!(look(Space::Short), Space::Enough);
}
