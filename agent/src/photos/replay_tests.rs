//! What a start makes of a journal when the disk does not answer: nothing that could not be looked at counts as gone.

use super::testing::Tablet;
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

/// Neither closed nor acted upon, however often the agent starts.
fn stays_open(tablet: &mut Tablet, files: i64) {
    for _ in 0..2 {
        assert!(tablet.try_restart().is_err());
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
    assert!(tablet.try_restart().is_err());
    assert_eq!(tablet.open_journal(), 1);
    assert_eq!(tablet.receipts().len(), 0);
}
