//! Whose a photo is while it is out of use, and afterwards.

use super::testing::{Tablet, child, jpeg};
use nestwarden_policy_schema::consent::{ConsentState, Stage};
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

/// Somebody of staff, where the tests may give files away.
fn staff() -> u32 {
    match rustix::process::geteuid() {
        root if root.is_root() => 1000,
        user => user.as_raw(),
    }
}

fn whose(path: &Path) -> (u32, u32) {
    let seen = std::fs::metadata(path).unwrap();
    (seen.uid(), seen.mode() & 0o777)
}

fn agents() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), 0o600)
}

/// A photo of child 1 that staff took, with another name outside the capture roots.
fn taken_by_staff() -> Tablet {
    let mut tablet = Tablet::new();
    tablet.write("a.jpg", &jpeg(1));
    let path = tablet.path("a.jpg");
    chown(&path, Some(staff()), None).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    std::fs::hard_link(&path, outside(&tablet)).unwrap();
    tablet.look();
    let id = tablet.only().id;
    tablet.tag(id, &[1]);
    tablet
}

fn outside(tablet: &Tablet) -> std::path::PathBuf {
    tablet.vault_dir().with_file_name("outside.jpg")
}

fn in_the_vault(tablet: &Tablet) -> Vec<(u32, u32)> {
    let names = tablet.vault().into_keys();
    names
        .map(|name| whose(&tablet.vault_dir().join(name)))
        .collect()
}

/// Out of use, and not sealed.
fn doubt(tablet: &mut Tablet) {
    tablet.now.doubtful = true;
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Withheld);
}

#[test]
fn a_withheld_photo_is_the_agents_alone_under_every_name_and_comes_back_as_it_was() {
    let mut tablet = taken_by_staff();
    doubt(&mut tablet);
    assert_eq!(in_the_vault(&tablet), [agents()]);
    assert_eq!(whose(&outside(&tablet)), agents());
    tablet.now.doubtful = false;
    tablet.settle();
    assert_eq!(whose(&tablet.path("a.jpg")), (staff(), 0o640));
}

#[test]
fn a_name_that_turns_up_once_the_photo_is_withheld_comes_back_as_its_owners_too() {
    let mut tablet = taken_by_staff();
    doubt(&mut tablet);
    std::fs::rename(outside(&tablet), tablet.path("b.jpg")).unwrap();
    tablet.look();
    assert_eq!(in_the_vault(&tablet), [agents(), agents()]);
    tablet.now.doubtful = false;
    tablet.settle();
    for name in ["a.jpg", "b.jpg"] {
        assert_eq!(whose(&tablet.path(name)), (staff(), 0o640), "{name}");
    }
}

#[test]
fn what_the_power_left_open_in_a_vault_is_closed_at_the_next_start() {
    let mut tablet = taken_by_staff();
    doubt(&mut tablet);
    let name = tablet.vault().into_keys().next().unwrap();
    let path = tablet.vault_dir().join(name);
    chown(&path, Some(staff()), None).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    tablet.restart();
    assert_eq!(whose(&path), agents());
    tablet.now.doubtful = false;
    tablet.settle();
    assert_eq!(whose(&tablet.path("a.jpg")), (staff(), 0o640));
}

#[test]
fn an_unsealed_photo_comes_back_as_its_owners() {
    let mut tablet = taken_by_staff();
    tablet.server = super::testing::Server::Authorises;
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    assert!(tablet.only().confirmed.contains(&child(1)));
    tablet.set_consent(1, ConsentState::Given);
    tablet.settle();
    assert_eq!(whose(&tablet.path("a.jpg")), (staff(), 0o640));
}
