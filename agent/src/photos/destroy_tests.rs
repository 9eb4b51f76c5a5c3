//! What turns up while its photo is being destroyed.

use super::catalogue;
use super::engine::Scope;
use super::error::PhotosError;
use super::fault::{Write, armed};
use super::testing::{Tablet, cut_everywhere, jpeg};
use super::tree::RelPath;
use nestwarden_policy_schema::consent::{ConsentState, Stage};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::policy::Mode;

/// Destroyed, as far as the vault goes, when the power went; and a copy of it turned up while the tablet was off.
fn half_destroyed_with_a_copy() -> (Tablet, std::fs::File) {
    let mut tablet = Tablet::due_for_destruction();
    let passed = tablet.with(|engine, moment| engine.pass(moment, &Scope::All).unwrap());
    let vaults = tablet.engine.as_ref().unwrap().vaults();
    for job in passed.jobs {
        job.run(&vaults);
    }
    tablet.write("later.jpg", &jpeg(1));
    let later = std::fs::File::options()
        .write(true)
        .open(tablet.path("later.jpg"));
    tablet.restart();
    tablet.try_absorb().unwrap();
    (tablet, later.unwrap())
}

#[test]
fn a_copy_that_turns_up_in_the_middle_of_destruction_is_destroyed_with_its_photo() {
    let (mut tablet, _) = half_destroyed_with_a_copy();
    tablet.settle();
    tablet.pass_hours(1);
    tablet.look();
    assert_eq!(tablet.receipts().len(), 1);
    assert!(tablet.vault().is_empty() && tablet.pictures().is_empty());
    tablet.assert_sound();
}

#[test]
fn a_copy_that_was_written_to_in_the_middle_of_destruction_is_another_photo_and_stays() {
    let (mut tablet, later) = half_destroyed_with_a_copy();
    let passed = tablet.with(|engine, moment| engine.pass(moment, &Scope::All).unwrap());
    let other = jpeg(9);
    std::os::unix::fs::FileExt::write_all_at(&later, &other, 0).unwrap();
    later.set_len(other.len() as u64).unwrap();
    let vaults = tablet.engine.as_ref().unwrap().vaults();
    for job in passed.jobs {
        let done = job.run(&vaults);
        tablet
            .with(|engine, moment| engine.finish(moment, done))
            .unwrap();
    }
    tablet.settle();
    tablet.pass_hours(1);
    tablet.look();
    assert_eq!(tablet.receipts().len(), 1);
    // Of the same child, so it is sealed; its own days to object begin.
    let stages = tablet.stages();
    assert_eq!(stages.get(&Stage::Sealed), Some(&1), "{stages:?}");
    tablet.assert_sound();
}

#[test]
fn what_was_written_over_a_copy_the_moment_it_was_caught_is_kept() {
    let mut tablet = Tablet::due_for_destruction();
    tablet.write("late.jpg", &jpeg(1));
    let late = std::fs::File::options()
        .write(true)
        .open(tablet.path("late.jpg"));
    let (late, other) = (late.unwrap(), jpeg(9));
    let written = other.clone();
    armed::at(Write::Rename, move || {
        std::os::unix::fs::FileExt::write_all_at(&late, &written, 0).unwrap();
    });
    tablet.settle();
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(tablet.receipts().len(), 1);
    assert_eq!(tablet.pictures()["late.jpg"], other);
}

#[test]
fn what_was_half_destroyed_when_the_tablet_turned_to_observing_is_finished_and_told_of() {
    let mut tablet = Tablet::due_for_destruction();
    let passed = tablet.with(|engine, moment| engine.pass(moment, &Scope::All).unwrap());
    let vaults = tablet.engine.as_ref().unwrap().vaults();
    for job in passed.jobs {
        job.run(&vaults);
    }
    tablet.bundle.policy.photos.as_mut().unwrap().mode = Mode::Observe;
    tablet.restart();
    tablet.settle();
    assert_eq!(tablet.receipts().len(), 1);
    assert!(tablet.vault().is_empty() && tablet.pictures().is_empty());
    assert_eq!(tablet.open_journal(), 0);
    tablet.assert_sound();
}

/// Ends at any instant, and observes from then on.
fn observing_after(tablet: &mut Tablet) -> Result<(), PhotosError> {
    let ended = tablet.try_settle();
    tablet.bundle.policy.photos.as_mut().unwrap().mode = Mode::Observe;
    ended
}

fn enforcing(tablet: &mut Tablet) {
    tablet.bundle.policy.photos.as_mut().unwrap().mode = Mode::Enforce;
    tablet.settle();
}

#[test]
fn wherever_the_power_went_before_a_tablet_observes_no_photo_is_left_half_sealed_or_half_destroyed()
{
    let begun = || {
        let mut tablet = Tablet::new();
        tablet.photo_of_one("a.jpg");
        tablet.set_consent(1, ConsentState::Withdrawn);
        tablet
    };
    cut_everywhere(begun, observing_after, |tablet| {
        assert_eq!(tablet.vault().len() + tablet.pictures().len(), 1);
        assert_eq!(tablet.open_journal(), 0);
        let opened = tablet.vault().into_values().any(|file| file == jpeg(1));
        assert_eq!(opened, tablet.only().stage == Stage::Withheld);
        enforcing(tablet);
    });
    cut_everywhere(Tablet::due_for_destruction, observing_after, |tablet| {
        let is_gone = tablet.vault().is_empty();
        assert_eq!(tablet.receipts().len(), usize::from(is_gone));
        assert_eq!(tablet.open_journal(), 0);
        enforcing(tablet);
    });
}

#[test]
fn a_copy_thrown_away_while_nobody_looked_goes_with_its_information_and_no_other() {
    for trash in [
        "home/anna/.local/share/Trash",
        "media/anna/CARD/.Trash-1000",
    ] {
        let mut tablet = Tablet::due_for_destruction();
        let trash = tablet.temp.path().join(trash);
        let info = |name: &str| trash.join("info").join(format!("{name}.trashinfo"));
        for dir in ["files", "info"] {
            std::fs::create_dir_all(trash.join(dir)).unwrap();
        }
        std::fs::write(trash.join("files/b.jpg"), jpeg(1)).unwrap();
        std::fs::write(info("b.jpg"), "[Trash Info]").unwrap();
        std::fs::write(info("c.jpg"), "[Trash Info]").unwrap();
        tablet.settle();
        assert_eq!(tablet.receipts().len(), 1);
        assert!(!trash.join("files/b.jpg").exists(), "{}", trash.display());
        assert!(!info("b.jpg").exists(), "{}", trash.display());
        assert!(info("c.jpg").exists());
    }
}

#[test]
fn a_vault_that_went_with_its_card_keeps_no_photo_from_being_destroyed() {
    let mut tablet = Tablet::due_for_destruction();
    let gone = RelPath::new("media/anna/CARD/.nestwarden-vault").unwrap();
    let note = tablet
        .ledger
        .transaction(|tx| catalogue::vault_note(tx.sql(), &gone));
    note.unwrap();
    tablet.settle();
    assert_eq!(tablet.receipts().len(), 1);
    tablet.assert_sound();
}

#[test]
fn a_sealed_photo_that_somebody_took_away_is_not_destroyed_until_it_is_back() {
    for whole_vault in [false, true] {
        let mut tablet = Tablet::due_for_destruction();
        let name = tablet.vault().into_keys().next().unwrap();
        let vault = tablet.vault_dir();
        let (from, to) = if whole_vault {
            (vault.clone(), tablet.temp.path().join("away"))
        } else {
            (vault.join(&name), vault.join("away"))
        };
        std::fs::rename(&from, &to).unwrap();
        for _ in 0..2 {
            tablet.look();
            assert_eq!(
                (tablet.receipts().len(), tablet.only().stage),
                (0, Stage::Sealed)
            );
            assert!(tablet.only().note.is_some());
            assert_eq!(
                tablet.sealed_out_of_sight, 1,
                "unknown is not shown as fine"
            );
            tablet.restart();
            tablet.pass_hours(1);
        }
        assert!(!whole_vault || !from.exists(), "nothing takes its place");
        std::fs::rename(&to, &from).unwrap();
        tablet.look();
        assert_eq!(
            (tablet.receipts().len(), tablet.sealed_out_of_sight),
            (1, 0)
        );
        assert!(tablet.vault().is_empty());
        tablet.assert_sound();
    }
}

#[test]
fn a_destruction_that_was_interrupted_waits_for_a_vault_that_is_not_there() {
    let mut tablet = Tablet::due_for_destruction();
    tablet.with(|engine, moment| engine.pass(moment, &Scope::All).unwrap());
    let away = tablet.temp.path().join("away");
    std::fs::rename(tablet.vault_dir(), &away).unwrap();
    tablet.restart();
    tablet.settle();
    assert_eq!(
        (tablet.receipts().len(), tablet.only().stage),
        (0, Stage::Sealed)
    );
    std::fs::rename(&away, tablet.vault_dir()).unwrap();
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(tablet.receipts().len(), 1);
    assert!(tablet.vault().is_empty());
}

/// What the power left of a copy that was caught when it went.
fn caught_when_the_power_went(content: &[u8]) -> (Tablet, std::path::PathBuf) {
    let mut tablet = Tablet::due_for_destruction();
    let caught = tablet
        .vault_dir()
        .join(format!("{}.caught", tablet.only().id));
    std::fs::write(&caught, content).unwrap();
    tablet.settle();
    (tablet, caught)
}

#[test]
fn a_copy_that_was_caught_when_the_power_went_is_gone_once_its_photo_is_destroyed() {
    for content in [jpeg(1), Vec::new()] {
        let (tablet, _) = caught_when_the_power_went(&content);
        assert_eq!(tablet.receipts().len(), 1);
        assert!(tablet.vault().is_empty());
        tablet.assert_sound();
    }
}

#[test]
fn what_was_caught_and_is_not_the_photo_is_kept_and_told() {
    let (mut tablet, caught) = caught_when_the_power_went(&jpeg(9));
    assert_eq!(std::fs::read(&caught).unwrap(), jpeg(9));
    assert!(tablet.receipts().is_empty());
    let told = |event| matches!(event, EventBody::PhotoIncomplete { problem, .. } if problem.contains("kept in the vault"));
    assert!(tablet.events().into_iter().any(told));
    std::fs::remove_file(&caught).unwrap();
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(tablet.receipts().len(), 1);
    tablet.assert_sound();
}
