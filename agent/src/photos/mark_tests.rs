//! Vaults that are taken away, renamed, replaced, and made again.

use super::engine::Scope;
use super::error::PhotosError;
use super::fault::{Write, armed};
use super::hash::{ContentKey, Stop};
use super::mark;
use super::roots::Roots;
use super::scan::{Batch, Scanner, Unread};
use super::testing::{Tablet, jpeg};
use super::tree::{RelPath, Tree};
use super::vault::{Vaults, remove_empty};
use nestwarden_policy_schema::consent::Stage;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whether there can be folders that are not the agent's; said as a skipped check where only root could make one.
fn may_give_away(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        let _ = writeln!(
            std::io::stderr(),
            "SKIP {test}: needs root, for a folder of another user"
        );
    }
    is_root
}

/// A place that is not beside the vault.
fn elsewhere(tablet: &Tablet) -> PathBuf {
    tablet.temp.path().join("away")
}

#[test]
fn a_vault_that_only_has_another_name_is_found_and_its_photo_destroyed() {
    let mut tablet = Tablet::due_for_destruction();
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
    let mut tablet = Tablet::due_for_destruction();
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
        let mut tablet = Tablet::due_for_destruction();
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
    let mut tablet = Tablet::due_for_destruction();
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
    if !may_give_away("what_staff_put_under_the_name_of_a_vault_is_looked_into") {
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
    let mark = mark::read(&vaults.open_or_make(&path).unwrap()).unwrap();
    let photo = temp.path().join("vault/photo");
    fs::write(&photo, jpeg(1)).unwrap();
    assert!(!remove_empty(&tree, &path, mark).unwrap());
    fs::remove_file(photo).unwrap();
    let other = Some(uuid::Uuid::new_v4());
    assert!(!remove_empty(&tree, &path, other).unwrap(), "another one");
    assert!(remove_empty(&tree, &path, mark).unwrap());
    assert!(!temp.path().join("vault").exists());
    assert!(remove_empty(&tree, &path, mark).unwrap(), "there is none");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn whoever_looks_for_a_vault_changes_no_other_folder() {
    let mut tablet = Tablet::due_for_destruction();
    let beside = tablet.vault_dir().with_file_name("beside");
    fs::create_dir(&beside).unwrap();
    fs::set_permissions(&beside, Permissions::from_mode(0o2775)).unwrap();
    for to in [tablet.vault_dir().with_extension("x"), elsewhere(&tablet)] {
        fs::rename(tablet.vault_dir(), &to).unwrap();
        tablet.restart();
        tablet.write("b.jpg", &jpeg(2));
        tablet.look();
        assert_eq!(mode(&beside), 0o2775);
        fs::rename(&to, tablet.vault_dir()).unwrap();
    }
}

#[test]
fn a_withheld_photo_whose_vault_is_not_there_is_told_of() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.now.doubtful = true;
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Withheld);
    let away = elsewhere(&tablet);
    fs::rename(tablet.vault_dir(), &away).unwrap();
    tablet.look();
    assert_eq!(tablet.sealed_out_of_sight, 1);
    fs::rename(&away, tablet.vault_dir()).unwrap();
    tablet.look();
    assert_eq!(tablet.sealed_out_of_sight, 0);
}

#[test]
fn a_vault_that_lies_where_another_might_is_neither_of_both() {
    let temp = tempfile::tempdir().unwrap();
    for dir in ["one", "two"] {
        fs::create_dir(temp.path().join(dir)).unwrap();
    }
    let tree = Arc::new(Tree::open(temp.path()).unwrap());
    let vaults = Vaults::new(tree, RelPath::new("var/vault").unwrap());
    let [one, two] = ["one/v", "two/v"].map(|path| RelPath::new(path).unwrap());
    vaults.open_or_make(&one).unwrap();
    fs::rename(temp.path().join("one/v"), temp.path().join("two/v")).unwrap();
    for open in [Vaults::open, Vaults::open_or_make] {
        let error = open(&vaults, &two).unwrap_err();
        assert!(error.to_string().contains("another vault"), "{error}");
    }
    assert!(vaults.marks().of(&two).is_none());
    fs::rename(temp.path().join("two/v"), temp.path().join("one/v")).unwrap();
    assert!(vaults.open(&one).is_ok() && vaults.open_or_make(&two).is_ok());
}

/// Its vault is away when the tablet starts again after the power went, and back when it starts once more.
fn withheld_when_the_power_went_and_the_card_was_out(instants: u64) -> bool {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    // Whatever is withheld stays so.
    tablet.now.doubtful = true;
    armed::cut_after(instants);
    let went = tablet.try_settle().is_err();
    armed::restore_power();
    let (vault, away) = (tablet.vault_dir(), elsewhere(&tablet));
    let is_in_it = !tablet.vault().is_empty();
    if is_in_it {
        fs::rename(&vault, &away).unwrap();
    }
    tablet.restart();
    tablet.look();
    if is_in_it {
        fs::rename(&away, &vault).unwrap();
    }
    tablet.restart();
    tablet.look();
    assert_eq!(tablet.only().stage, Stage::Withheld, "after {instants}");
    assert!(tablet.pictures().is_empty(), "after {instants}");
    assert_eq!(tablet.sealed_out_of_sight, 0, "after {instants}");
    went
}

#[test]
fn a_photo_that_was_on_its_way_into_a_vault_is_not_forgotten_while_the_vault_is_away() {
    let mut instants = 0;
    while withheld_when_the_power_went_and_the_card_was_out(instants) {
        instants += 1;
    }
    assert!(instants > 8, "{instants}");
}

#[test]
fn somebody_elses_folder_under_the_name_of_a_vault_keeps_no_agent_from_starting() {
    if !may_give_away(
        "somebody_elses_folder_under_the_name_of_a_vault_keeps_no_agent_from_starting",
    ) {
        return;
    }
    let mut tablet = Tablet::due_for_destruction();
    tablet.with(|engine, moment| engine.pass(moment, &Scope::All).unwrap());
    let (vault, away) = (tablet.vault_dir(), elsewhere(&tablet));
    fs::rename(&vault, &away).unwrap();
    fs::create_dir(&vault).unwrap();
    chown(&vault, Some(1000), None).unwrap();
    tablet.try_restart().unwrap();
    tablet.look();
    assert_eq!(tablet.receipts().len(), 0);
    assert_eq!(tablet.sealed_out_of_sight, 1);
}

#[test]
fn what_could_not_come_back_is_closed_again() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    let path = tablet.path("a.jpg");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    tablet.look();
    tablet.now.doubtful = true;
    tablet.settle();
    tablet.now.doubtful = false;
    let folder = path.parent().unwrap().to_owned();
    armed::at(Write::Rename, move || fs::remove_dir(folder).unwrap());
    tablet.settle();
    let name = tablet.vault().into_keys().next().unwrap();
    assert_eq!(mode(&tablet.vault_dir().join(name)), 0o600);
}

#[test]
fn a_vault_is_no_home_and_nothing_in_it_is_seen() {
    let mut tablet = Tablet::new();
    let folders = ["home/.nestwarden-vault", "home/anna/Pictures/v"];
    let unmarked = tablet.temp.path().join(folders[0]).join(mark::NAME);
    let tree = Arc::new(Tree::open(tablet.temp.path()).unwrap());
    let vaults = Vaults::new(Arc::clone(&tree), RelPath::new("var/vault").unwrap());
    for (folder, seed) in folders.into_iter().zip(1..) {
        vaults.open_or_make(&RelPath::new(folder).unwrap()).unwrap();
        let photo = tablet.temp.path().join(folder).join("photo");
        fs::write(photo, jpeg(seed)).unwrap();
    }
    // As on a full disk.
    fs::remove_file(unmarked).unwrap();
    tablet.look();
    assert_eq!(tablet.list().len(), 0);
    let patterns = ["/home/*/Pictures".to_owned()].into();
    let roots = Roots::resolve(&tree, &patterns);
    let vault = RelPath::new(folders[0]).unwrap();
    assert!(roots.roots.iter().all(|root| !root.path.is_within(&vault)));
    assert!(!roots.watch_for_more.contains(&vault));
    // Nor by a word about the file alone.
    let photo = RelPath::new("home/anna/Pictures/v/photo").unwrap();
    let known = tablet.with(|engine, moment| engine.known(moment).unwrap());
    let key = ContentKey::new(&tablet.bundle.photo_hash_key);
    let stop = Stop::default();
    let mut seen = 0;
    let mut take = |batch: Batch| {
        seen += batch.sightings.len();
        Ok(Unread::default())
    };
    let looked =
        Scanner::default().paths(&tree, &roots, &[photo], &known, (&key, &stop), &mut take);
    looked.unwrap();
    assert_eq!(seen, 0);
}
