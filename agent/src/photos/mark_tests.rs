//! Vaults that are taken away, renamed, replaced, and made again.

use super::engine::Scope;
use super::error::PhotosError;
use super::mark;
use super::testing::{Tablet, jpeg};
use super::tree::{RelPath, Tree};
use super::vault::{Vaults, remove_empty};
use nestwarden_policy_schema::consent::{ConsentState, Stage};
use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::sync::Arc;

fn due_for_destruction() -> Tablet {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    tablet.pass_hours(96);
    tablet
}

/// A place that is not beside the vault.
fn elsewhere(tablet: &Tablet) -> PathBuf {
    tablet.temp.path().join("away")
}

#[test]
fn a_vault_that_only_has_another_name_is_found_and_its_photo_destroyed() {
    let mut tablet = due_for_destruction();
    let renamed = tablet.vault_dir().with_extension("renamed");
    fs::rename(tablet.vault_dir(), &renamed).unwrap();
    tablet.look();
    assert_eq!(
        (tablet.receipts().len(), tablet.sealed_out_of_sight),
        (1, 0)
    );
    let left: Vec<_> = fs::read_dir(&renamed).unwrap().collect();
    assert_eq!(left.len(), 1, "its mark alone: {left:?}");
}

#[test]
fn a_folder_under_the_name_of_a_vault_is_not_taken_for_it() {
    let mut tablet = due_for_destruction();
    // Its destruction has begun when the power goes.
    tablet.with(|engine, moment| engine.pass(moment, &Scope::All).unwrap());
    let (vault, away) = (tablet.vault_dir(), elsewhere(&tablet));
    fs::rename(&vault, &away).unwrap();
    fs::create_dir(&vault).unwrap();
    for _ in 0..2 {
        tablet.restart();
        tablet.look();
        let kept = (tablet.receipts().len(), tablet.only().stage);
        assert_eq!(kept, (0, Stage::Sealed));
        assert_eq!(tablet.sealed_out_of_sight, 1);
        tablet.pass_hours(1);
    }
    // What is withheld meanwhile lies in another.
    tablet.write("b.jpg", &jpeg(2));
    tablet.look();
    tablet.settle();
    assert!(tablet.pictures().is_empty());
    assert_eq!(fs::read_dir(&vault).unwrap().count(), 0);

    fs::remove_dir(&vault).unwrap();
    fs::rename(&away, &vault).unwrap();
    tablet.pass_hours(1);
    tablet.look();
    assert_eq!(
        (tablet.receipts().len(), tablet.sealed_out_of_sight),
        (1, 0)
    );
}

#[test]
fn two_vaults_that_changed_names_are_told_apart() {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir_all(temp.path().join("card")).unwrap();
    let tree = Arc::new(Tree::open(temp.path()).unwrap());
    let vaults = Vaults::new(tree, RelPath::new("var/vault").unwrap());
    let paths = ["card/one", "card/two"].map(|path| RelPath::new(path).unwrap());
    let held = |vault: &RelPath| mark::read(&vaults.open(vault).unwrap()).unwrap().unwrap();
    let before = paths.each_ref().map(|path| {
        vaults.open_or_make(path).unwrap();
        held(path)
    });
    assert_ne!(before[0], before[1]);
    let at = |name: &str| temp.path().join("card").join(name);
    for (from, to) in [("one", "three"), ("two", "one"), ("three", "two")] {
        fs::rename(at(from), at(to)).unwrap();
    }
    assert_eq!(paths.each_ref().map(held), before);
    fs::rename(at("two"), temp.path().join("two")).unwrap();
    for open in [Vaults::open, Vaults::open_or_make] {
        let error = open(&vaults, &paths[0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        assert!(!error.to_string().is_empty());
    }
}

fn recorded(tablet: &Tablet) -> Option<Vec<u8>> {
    let read = |sql: &rusqlite::Connection| {
        Ok::<_, PhotosError>(sql.query_row("SELECT mark FROM photo_vault", [], |row| row.get(0))?)
    };
    tablet.ledger.read(read).unwrap()
}

#[test]
fn a_vault_from_before_there_were_marks_is_marked_at_the_next_start() {
    for half in [None, Some("5f0c")] {
        let mut tablet = due_for_destruction();
        let forget = tablet.ledger.transaction(|tx| {
            let sql = "UPDATE photo_vault SET mark = NULL";
            Ok::<_, PhotosError>(tx.sql().execute(sql, [])?)
        });
        assert_eq!(forget.unwrap(), 1);
        let mark = tablet.vault_dir().join(mark::NAME);
        fs::remove_file(&mark).unwrap();
        if let Some(half) = half {
            fs::write(&mark, half).unwrap();
        }
        tablet.restart();
        let written = uuid::Uuid::parse_str(&fs::read_to_string(&mark).unwrap()).unwrap();
        assert_eq!(recorded(&tablet).unwrap(), written.as_bytes());
        tablet.look();
        assert_eq!(tablet.receipts().len(), 1);
    }
}

#[test]
fn a_vault_that_went_with_nothing_in_it_is_made_again_after_a_start() {
    let mut tablet = due_for_destruction();
    tablet.look();
    assert_eq!(tablet.receipts().len(), 1);
    let before = recorded(&tablet).unwrap();
    fs::remove_dir_all(tablet.vault_dir()).unwrap();
    tablet.restart();
    tablet.write("b.jpg", &jpeg(2));
    tablet.look();
    tablet.settle();
    assert_eq!(tablet.vault().len(), 1);
    assert_ne!(recorded(&tablet).unwrap(), before);
}

#[test]
fn what_staff_put_under_the_name_of_a_vault_is_looked_into() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else has folders that are not the agent's.
        return;
    }
    let mut tablet = Tablet::new();
    let folder = tablet.path(".nestwarden-vault");
    let path = Tree::open(tablet.temp.path()).unwrap().relative(&folder);
    let noted = tablet
        .ledger
        .transaction(|tx| super::catalogue::vault_note(tx.sql(), &path.unwrap()));
    noted.unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.jpg"), jpeg(1)).unwrap();
    chown(&folder, Some(1000), None).unwrap();
    tablet.look();
    assert_eq!(tablet.list().len(), 1);
}

#[test]
fn an_empty_vault_is_taken_off_the_tablet_and_one_with_a_photo_is_not() {
    let temp = tempfile::tempdir().unwrap();
    let tree = Arc::new(Tree::open(temp.path()).unwrap());
    let path = RelPath::new("vault").unwrap();
    let vaults = Vaults::new(Arc::clone(&tree), RelPath::new("var/vault").unwrap());
    vaults.open_or_make(&path).unwrap();
    let photo = temp.path().join("vault/photo");
    fs::write(&photo, jpeg(1)).unwrap();
    assert!(!remove_empty(&tree, &path).unwrap());
    fs::remove_file(photo).unwrap();
    assert!(remove_empty(&tree, &path).unwrap());
    assert!(!temp.path().join("vault").exists());
    assert!(remove_empty(&tree, &path).unwrap(), "there is none");
}
