//! What becomes of files in a vault that no record has: nobody brings them back, nothing removes them, and they are told of.

use super::strays::strays;
use super::testing::{Tablet, files_in, jpeg};
use crate::testing::enrolled;
use nestwarden_policy_schema::consent::{ConsentState, Stage};
use std::collections::BTreeSet;
use std::path::Path;

fn told(tablet: &Tablet) -> BTreeSet<String> {
    let found = strays(&tablet.ledger, &tablet.paths).unwrap();
    found.iter().map(ToString::to_string).collect()
}

fn in_vault(tablet: &Tablet, name: &str) -> String {
    let path = tablet.vault_dir().join(name);
    let path = path.strip_prefix(tablet.temp.path()).unwrap();
    Path::new("/").join(path).display().to_string()
}

#[test]
fn a_file_that_root_put_into_a_vault_is_told_of_and_left_as_it_is() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.now.doubtful = true;
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Withheld);
    assert_eq!(told(&tablet), BTreeSet::new());
    tablet.now.doubtful = false;
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    assert_eq!(told(&tablet), BTreeSet::new());

    let put = jpeg(7);
    std::fs::write(tablet.vault_dir().join("by-hand.jpg"), &put).unwrap();
    let expected = BTreeSet::from([in_vault(&tablet, "by-hand.jpg")]);
    assert_eq!(told(&tablet), expected);
    tablet.restart();
    tablet.look();
    tablet.pass_hours(24 * 7);
    tablet.settle();
    assert_eq!(tablet.receipts().len(), 1);
    assert_eq!(told(&tablet), expected);
    assert_eq!(tablet.vault().into_values().collect::<Vec<_>>(), [put]);
}

#[test]
fn what_a_lost_record_left_in_a_vault_stays_there_and_is_told_of() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    tablet.write("b.jpg", &jpeg(2));
    tablet.look();
    let other = tablet.list().into_iter().find(|l| l.id != photo).unwrap();
    tablet.tag(other.id, &[2]);
    tablet.now.doubtful = true;
    tablet.settle();
    assert_eq!(tablet.pictures().len(), 0);
    let left = tablet.vault();
    assert_eq!(left.len(), 2, "one sealed and one withheld");

    tablet.engine = None;
    for end in ["", "-wal", "-shm"] {
        let file = format!("{}{end}", tablet.paths.ledger_path().display());
        let _ = std::fs::remove_file(file);
    }
    tablet.ledger = enrolled(&tablet.paths, &tablet.signer);
    tablet.restart();
    tablet.now.doubtful = false;
    for number in [1, 2] {
        tablet.set_consent(number, ConsentState::Given);
    }
    tablet.look();
    tablet.pass_hours(24 * 30);
    tablet.look();
    assert_eq!(tablet.list().len(), 0);
    assert_eq!(tablet.pictures().len(), 0);
    assert_eq!(tablet.vault(), left);
    let names = left.keys().map(|name| in_vault(&tablet, name));
    assert_eq!(told(&tablet), names.collect());
}

/// On a file system of its own a vault lies where only the roots lead to it.
#[test]
fn a_vault_beside_the_photos_is_looked_into_without_a_record_of_it() {
    let tablet = Tablet::new();
    let beside = tablet.temp.path().join("home/anna/.nestwarden-vault");
    std::fs::create_dir(&beside).unwrap();
    std::fs::write(beside.join("left"), jpeg(3)).unwrap();
    assert_eq!(files_in(&beside).len(), 1);
    let expected = "/home/anna/.nestwarden-vault/left".to_owned();
    assert_eq!(told(&tablet), BTreeSet::from([expected]));
}
