//! What is made of an open journal, and of one whose disk does not answer: nothing that could not be looked at counts as gone.

use super::engine::Scope;
use super::fault::armed;
use super::testing::{Tablet, jpeg};
use nestwarden_policy_schema::consent::{Cause, ConsentState, Due, Stage};
use rusqlite::params;

/// No file system takes it, so that a look at it fails, for another reason than that nothing is there.
const UNREADABLE: [u8; 300] = [b'x'; 300];

fn write(tablet: &Tablet, sql: &str, values: impl rusqlite::Params) {
    let work = |tx: &crate::ledger::LedgerTx<'_>| {
        tx.sql().execute(sql, values)?;
        Ok::<_, super::PhotosError>(())
    };
    tablet.ledger.transaction(work).unwrap();
}

/// Neither closed nor acted upon, however often the agent starts; no pass gets past it.
fn stays_open(tablet: &mut Tablet, files: i64) {
    for _ in 0..2 {
        tablet.restart();
        assert!(tablet.try_settle().is_err());
        assert_eq!(tablet.open_journal(), 1);
        let count = "SELECT count(*) FROM photo_file";
        let kept = tablet
            .ledger
            .read(|sql| Ok::<i64, super::PhotosError>(sql.query_row(count, [], |row| row.get(0))?));
        assert_eq!(kept.unwrap(), files);
    }
}

#[test]
fn a_withheld_file_that_cannot_be_looked_at_is_not_taken_for_one_that_was_never_moved() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    tablet.now.doubtful = true;
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Withheld);
    // A vault whose name no file system takes.
    write(
        &tablet,
        "INSERT INTO photo_withholding (file, vault, begun_at) SELECT id, CAST(vault || '/' || ?2 AS BLOB), ?3
             FROM photo_file WHERE photo = ?1",
        params![photo.to_string(), UNREADABLE, tablet.now.at.to_string()],
    );
    stays_open(&mut tablet, 1);
}

#[test]
fn a_vault_that_cannot_be_opened_is_not_taken_for_one_that_was_never_made() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    write(
        &tablet,
        "INSERT INTO photo_withholding (file, vault, begun_at) SELECT id, ?2, ?3 FROM photo_file WHERE photo = ?1",
        params![photo.to_string(), UNREADABLE, tablet.now.at.to_string()],
    );
    stays_open(&mut tablet, 1);
}

#[test]
fn a_file_that_was_on_its_way_back_and_cannot_be_looked_at_is_not_forgotten() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    tablet.now.doubtful = true;
    tablet.settle();
    write(
        &tablet,
        "INSERT INTO photo_journal (act, photo, file, name, begun_at)
             SELECT 'restore', photo, id, path, ?2 FROM photo_file WHERE photo = ?1",
        params![photo.to_string(), tablet.now.at.to_string()],
    );
    write(
        &tablet,
        "UPDATE photo_file SET vault_name = ?2 WHERE photo = ?1",
        params![photo.to_string(), UNREADABLE],
    );
    stays_open(&mut tablet, 1);
}

#[test]
fn a_sealed_file_that_cannot_be_looked_at_is_not_taken_for_destroyed() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    let why = Due {
        at: tablet.now.at,
        cause: Cause::Withdrawn,
        child: None,
        consent: None,
    };
    let detail = serde_json::to_string(&(why, tablet.now.at)).unwrap();
    write(
        &tablet,
        "INSERT INTO photo_journal (act, photo, name, detail, begun_at) VALUES ('destroy', ?1, x'', ?2, ?3)",
        params![photo.to_string(), detail, tablet.now.at.to_string()],
    );
    write(
        &tablet,
        "UPDATE photo SET sealed_name = ?2 WHERE id = ?1",
        params![photo.to_string(), UNREADABLE],
    );
    tablet.restart();
    assert!(tablet.try_settle().is_err());
    assert_eq!(tablet.open_journal(), 1);
    assert_eq!(tablet.receipts().len(), 0);
}

fn count(tablet: &Tablet, sql: &str) -> i64 {
    let read = |connection: &rusqlite::Connection| {
        Ok::<i64, super::PhotosError>(connection.query_row(sql, [], |row| row.get(0))?)
    };
    tablet.ledger.read(read).unwrap()
}

fn sealed_files(tablet: &Tablet) -> usize {
    let vault = tablet.vault();
    vault.keys().filter(|name| name.contains(".age")).count()
}

#[test]
fn what_is_being_sealed_is_not_taken_back_by_a_pass_over_other_photos() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    let passed = tablet.with(|engine, moment| engine.pass(moment, &Scope::All));
    let vaults = tablet.engine.as_ref().unwrap().vaults();
    let jobs = passed.unwrap().jobs;
    let done: Vec<_> = jobs.into_iter().map(|job| job.run(&vaults)).collect();
    assert_eq!((sealed_files(&tablet), tablet.open_journal()), (1, 1));
    let again = tablet.with(|engine, moment| engine.pass(moment, &Scope::All));
    assert!(again.unwrap().jobs.is_empty());
    assert_eq!((sealed_files(&tablet), tablet.open_journal()), (1, 1));
    for done in done {
        tablet
            .with(|engine, moment| engine.finish(moment, done))
            .unwrap();
    }
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    assert_eq!((sealed_files(&tablet), tablet.open_journal()), (1, 0));
}

#[test]
fn a_seal_that_was_cut_short_leaves_neither_a_file_nor_an_entry() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    let mut instants = 0;
    while sealed_files(&tablet) == 0 {
        tablet.restart();
        armed::cut_after(instants);
        let ended = tablet.try_settle();
        armed::restore_power();
        assert!(ended.is_err(), "it never gets there");
        instants += 1;
    }
    tablet.restart();
    assert_eq!((sealed_files(&tablet), tablet.open_journal()), (0, 0));
    assert_eq!(tablet.only().stage, Stage::Withheld);
}

#[test]
fn an_entry_of_a_seal_that_counts_is_closed_and_the_sealed_file_stays() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    write(
        &tablet,
        "INSERT INTO photo_journal (act, photo, vault, name, begun_at)
             SELECT 'seal', id, sealed_vault, sealed_name, ?2 FROM photo WHERE id = ?1",
        params![photo.to_string(), tablet.now.at.to_string()],
    );
    tablet.restart();
    assert_eq!((sealed_files(&tablet), tablet.open_journal()), (1, 0));
    assert_eq!(tablet.only().stage, Stage::Sealed);
}

#[test]
fn what_was_caught_in_a_photos_place_goes_back_to_its_user_at_the_next_start() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    let file = count(&tablet, "SELECT id FROM photo_file");
    std::fs::create_dir_all(tablet.vault_dir()).unwrap();
    let caught = tablet.vault_dir().join(format!("{photo}.{file}"));
    std::fs::write(caught, jpeg(2)).unwrap();
    std::fs::remove_file(tablet.path("a.jpg")).unwrap();
    let vault = tablet.vault_dir();
    let vault = vault.strip_prefix(tablet.temp.path()).unwrap();
    write(
        &tablet,
        "INSERT INTO photo_withholding (file, vault, begun_at) VALUES (?1, ?2, ?3)",
        params![
            file,
            std::os::unix::ffi::OsStrExt::as_bytes(vault.as_os_str()),
            tablet.now.at.to_string()
        ],
    );
    tablet.restart();
    assert_eq!(tablet.pictures()["a.jpg"], jpeg(2));
    assert!(tablet.vault().is_empty());
    assert_eq!(tablet.open_journal(), 0);
    assert_eq!(tablet.only().stage, Stage::Live);
}

#[test]
fn another_file_where_a_photo_was_to_come_back_is_not_taken_for_it() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    tablet.now.doubtful = true;
    tablet.settle();
    tablet.write("a.jpg", &jpeg(2));
    write(
        &tablet,
        "INSERT INTO photo_journal (act, photo, file, name, begun_at)
             SELECT 'restore', photo, id, path, ?2 FROM photo_file WHERE photo = ?1",
        params![photo.to_string(), tablet.now.at.to_string()],
    );
    for name in tablet.vault().keys() {
        std::fs::remove_file(tablet.vault_dir().join(name)).unwrap();
    }
    tablet.restart();
    assert_eq!(count(&tablet, "SELECT count(*) FROM photo_file"), 0);
    assert_eq!(tablet.open_journal(), 0);
    assert_eq!(tablet.pictures()["a.jpg"], jpeg(2));
}

#[test]
fn a_destruction_whose_sealed_file_is_gone_is_ended_after_the_next_start() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    let why = Due {
        at: tablet.now.at,
        cause: Cause::Withdrawn,
        child: None,
        consent: None,
    };
    let detail = serde_json::to_string(&(why, tablet.now.at)).unwrap();
    write(
        &tablet,
        "INSERT INTO photo_journal (act, photo, name, detail, begun_at) VALUES ('destroy', ?1, x'', ?2, ?3)",
        params![photo.to_string(), detail, tablet.now.at.to_string()],
    );
    for name in tablet.vault().keys() {
        std::fs::remove_file(tablet.vault_dir().join(name)).unwrap();
    }
    tablet.restart();
    tablet.settle();
    assert_eq!(tablet.stages().get(&Stage::Destroyed), Some(&1));
    assert_eq!(tablet.receipts().len(), 1);
    assert_eq!(tablet.open_journal(), 0);
}

#[test]
fn what_was_still_plain_of_a_sealed_photo_when_the_power_went_goes_at_the_next_pass() {
    let mut left_plain = 0;
    for instants in 0.. {
        let mut tablet = Tablet::new();
        tablet.photo_of_one("a.jpg");
        tablet.set_consent(1, ConsentState::Withdrawn);
        armed::cut_after(instants);
        let went = tablet.try_settle().is_err();
        armed::restore_power();
        let is_sealed = tablet.only().stage == Stage::Sealed;
        left_plain += u32::from(is_sealed && tablet.vault().len() > 1);
        tablet.restart();
        tablet.settle();
        assert_eq!(tablet.only().stage, Stage::Sealed, "after {instants}");
        let left: Vec<String> = tablet.vault().into_keys().collect();
        assert!(
            matches!(&left[..], [sealed] if sealed.rsplit('.').next() == Some("age")),
            "after {instants}: {left:?}"
        );
        if !went {
            break;
        }
    }
    assert!(left_plain > 0);
}
