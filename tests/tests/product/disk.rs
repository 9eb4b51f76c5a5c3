//! The tablet's disk is full.

use crate::setting::{BEN, ROOM, photo_of, setting, until_sealed};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use system_tests::patience::until;
use system_tests::process::{is_root, skip};
use system_tests::profile;

#[test]
fn on_a_full_disk_a_photo_still_goes_out_of_use_and_only_what_needs_space_waits() {
    if !is_root() {
        skip(
            "on_a_full_disk_a_photo_still_goes_out_of_use_and_only_what_needs_space_waits",
            "needs root, for a small file system of its own",
        );
        return;
    }
    let mut fleet = setting();
    let root_dir = fleet.root_dir_of("tablet-1");
    fs::create_dir_all(&root_dir).unwrap();
    // Only this thread and what it starts see the file system.
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let size = Some("size=40m,mode=755");
    mount(
        Some("tmpfs"),
        &root_dir,
        Some("tmpfs"),
        MsFlags::MS_NOSUID,
        size,
    )
    .unwrap();
    let _mounted = Mounted(root_dir.clone());
    fleet.enrol("tablet-1", profile::NAME, &[ROOM]).unwrap();
    let photo = photo_of(&fleet, 1, &[BEN]);
    fleet.tablets[0].wait_until_reported().unwrap();

    let ballast = root_dir.join("ballast");
    fill(&ballast);
    fleet.server.withdraw(BEN).unwrap();
    until("the photo out of use, with the disk full", || {
        fleet.tablets[0].check()?;
        Ok((!photo.is_in_use()).then_some(()))
    })
    .unwrap();
    fleet.tablets[0].kill().unwrap();
    fleet.tablets[0].start().unwrap();
    until("the agent to run again, with the disk full", || {
        Ok(fleet.tablets[0].status().ok())
    })
    .unwrap();
    assert!(!photo.is_in_use());
    let whole = system_tests::evidence::copies(&root_dir, &photo.bytes).len();
    let sealed = system_tests::evidence::sealed(&root_dir).len();
    assert!(whole + sealed > 0, "neither whole nor sealed");
    fs::remove_file(ballast).unwrap();
    // Past every pause before the next attempt.
    fleet
        .clock()
        .advance(jiff::SignedDuration::from_mins(45))
        .unwrap();
    until_sealed(&mut fleet, &photo);
    fleet.tablets[0].wait_until_reported().unwrap();
    fleet.server.tell(["verify"]).unwrap();
}

/// Gone with the test.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// Until nothing more fits.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let piece = vec![0xa5; 4096];
    while file.write_all(&piece).is_ok() {}
}
