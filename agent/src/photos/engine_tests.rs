//! What becomes of real files, and what is left of them when the power goes at any instant.

use super::fault::armed;
use super::testing::{Tablet, child, jpeg};
use nestwarden_policy_schema::consent::{Cause, ConsentState, Stage};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use nestwarden_policy_schema::policy::Mode;
use nestwarden_policy_schema::receipt::{ArtefactKind, ArtefactResult};

#[test]
fn a_withdrawn_consent_withholds_and_seals_at_once_and_destroys_three_opening_days_later() {
    let mut tablet = Tablet::new();
    let id = tablet.photo_of_one("a.jpg");
    assert_eq!(tablet.only().stage, Stage::Live);
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert!(tablet.pictures().is_empty());
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.assert_sound();
    tablet.pass_hours(72);
    tablet.settle();
    assert_eq!(
        tablet.only().stage,
        Stage::Sealed,
        "three whole days are promised"
    );
    tablet.pass_hours(24);
    tablet.settle();
    assert!(tablet.list().is_empty() && tablet.vault().is_empty());
    let receipts = tablet.receipts();
    assert_eq!(receipts.len(), 1);
    let receipt = &receipts[0];
    assert_eq!((receipt.photo, receipt.cause), (id, Cause::Withdrawn));
    assert_eq!((receipt.child, receipt.rescan.found), (Some(child(1)), 0));
    let went: Vec<_> = receipt
        .artefacts
        .iter()
        .map(|a| (a.kind, a.result))
        .collect();
    let gone = ArtefactResult::DiscardRequested;
    assert_eq!(
        went,
        [(ArtefactKind::Original, gone), (ArtefactKind::Sealed, gone)]
    );
    tablet.assert_sound();
}

#[test]
fn copies_and_hard_links_go_with_the_photo_and_are_told_apart_in_the_receipt() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    std::fs::create_dir(tablet.path("deep")).unwrap();
    tablet.write("deep/copy.bin", &jpeg(1));
    std::fs::hard_link(tablet.path("a.jpg"), tablet.path("b.jpg")).unwrap();
    tablet.look();
    assert_eq!(tablet.only().files, 3);
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert!(tablet.pictures().is_empty());
    tablet.pass_hours(96);
    tablet.settle();
    let kinds: Vec<_> = tablet.receipts()[0]
        .artefacts
        .iter()
        .map(|a| a.kind)
        .collect();
    assert!(kinds.contains(&ArtefactKind::HardLink) && kinds.contains(&ArtefactKind::Copy));
    tablet.assert_sound();
}

#[test]
fn a_copy_that_turns_up_later_goes_the_same_way_at_once() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    tablet.write("again.jpg", &jpeg(1));
    tablet.look();
    assert!(tablet.pictures().is_empty());
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.assert_sound();
    tablet.pass_hours(96);
    tablet.settle();
    tablet.write("restored.jpg", &jpeg(1));
    tablet.look();
    assert!(
        tablet.pictures().is_empty(),
        "a backup does not bring back what was destroyed"
    );
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.assert_sound();
    tablet.pass_hours(24 * 7);
    tablet.settle();
    assert_eq!(tablet.receipts().len(), 2);
    tablet.assert_sound();
}

#[test]
fn a_copy_made_behind_our_back_is_found_by_the_second_look() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    tablet.pass_hours(96);
    tablet.write("unheard.jpg", &jpeg(1));
    tablet.settle();
    assert!(tablet.pictures().is_empty());
    let receipt = &tablet.receipts()[0];
    assert!(receipt.rescan.files_read >= 1);
    let kinds: Vec<_> = receipt.artefacts.iter().map(|a| a.kind).collect();
    assert!(kinds.contains(&ArtefactKind::Copy));
    tablet.assert_sound();
}

#[test]
fn what_is_only_withheld_comes_back_byte_for_byte_and_never_over_another_file() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.now.doubtful = true;
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Withheld);
    assert!(tablet.pictures().is_empty());
    tablet.write("a.jpg", b"somebody's notes");
    tablet.now.doubtful = false;
    tablet.settle();
    assert_eq!(tablet.pictures()["a (1).jpg"], jpeg(1));
    assert_eq!(tablet.pictures()["a.jpg"], b"somebody's notes");
    assert_eq!(tablet.only().stage, Stage::Live);
    tablet.look();
    tablet.assert_sound();
}

#[test]
fn a_photo_whose_folder_went_comes_back_to_the_nearest_one_that_is_left() {
    let mut tablet = Tablet::new();
    std::fs::create_dir_all(tablet.path("trip/farm")).unwrap();
    tablet.photo_of_one("trip/farm/a.jpg");
    tablet.now.doubtful = true;
    tablet.settle();
    std::fs::remove_dir_all(tablet.path("trip")).unwrap();
    tablet.now.doubtful = false;
    tablet.settle();
    assert_eq!(tablet.pictures()["a.jpg"], jpeg(1));
    tablet.assert_sound();
}

#[test]
fn a_consent_that_comes_back_while_sealed_waits_for_its_unsealing_and_is_not_fine() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    tablet.set_consent(1, ConsentState::Given);
    tablet.settle();
    let listed = tablet.only();
    assert_eq!(listed.stage, Stage::Sealed);
    assert_eq!(listed.note.as_deref(), Some("sealed, waiting for unseal"));
    tablet.pass_hours(24 * 10);
    tablet.settle();
    assert_eq!(
        tablet.only().stage,
        Stage::Sealed,
        "nothing asks for its destruction"
    );
    tablet.assert_sound();
}

#[test]
fn a_freeze_stops_everything_and_its_release_goes_on() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    tablet.hold(HoldScope::Photo { photo }, HoldCategory::IllegalContent);
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert_eq!(tablet.pictures().len(), 1);
    tablet.release_holds();
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.assert_sound();
}

#[test]
fn under_a_hold_a_photo_in_use_is_sealed_as_ever_and_destroyed_once_it_is_released() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    tablet.hold(HoldScope::Photo { photo }, HoldCategory::Safeguarding);
    tablet.settle();
    assert_eq!(
        tablet.only().stage,
        Stage::Live,
        "a hold takes nothing away"
    );
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert!(tablet.pictures().is_empty());
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.pass_hours(96);
    tablet.settle();
    assert_eq!(
        tablet.only().stage,
        Stage::Sealed,
        "a held photo is not destroyed"
    );
    tablet.release_holds();
    tablet.settle();
    assert_eq!(tablet.receipts().len(), 1);
    tablet.assert_sound();
}

#[test]
fn a_freezing_hold_on_the_tablet_leaves_even_new_files_unread() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    let device = tablet.signer.device;
    tablet.hold(HoldScope::Device { device }, HoldCategory::IllegalContent);
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.write("b.jpg", &jpeg(2));
    tablet.look();
    assert_eq!(tablet.pictures().len(), 2);
    assert_eq!(tablet.list().len(), 1);
}

#[test]
fn nothing_is_destroyed_without_a_fresh_hold_list_or_with_a_doubtful_clock() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    tablet.pass_hours(96);
    let fresh = tablet.now.holds_confirmed_at;
    tablet.now.holds_confirmed_at = None;
    tablet.settle();
    tablet.now.holds_confirmed_at = fresh;
    tablet.now.doubtful = true;
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    assert!(tablet.receipts().is_empty());
    tablet.now.doubtful = false;
    tablet.settle();
    assert_eq!(tablet.receipts().len(), 1);
}

#[test]
fn observing_moves_nothing_and_says_once_what_would_be() {
    let mut tablet = Tablet::new();
    tablet.bundle.policy.photos.as_mut().unwrap().mode = Mode::Observe;
    tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    tablet.settle();
    assert_eq!(tablet.pictures().len(), 1);
    let told: Vec<bool> = tablet
        .events()
        .into_iter()
        .filter_map(|event| {
            let EventBody::PhotoStage { observed_only, .. } = event else {
                return None;
            };
            Some(observed_only)
        })
        .collect();
    assert_eq!(told, [true]);
}

#[test]
fn what_was_there_before_enrolment_is_counted_by_month_and_left_alone() {
    let mut tablet = Tablet::unscanned();
    tablet.write("old.jpg", &jpeg(9));
    let old = std::fs::File::open(tablet.path("old.jpg")).unwrap();
    let january = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_768_000_000);
    old.set_modified(january).unwrap();
    // File systems stamp by the tick; what came within one of the first look counts as new, which is the stricter.
    std::thread::sleep(std::time::Duration::from_millis(20));
    tablet.look();
    let found = tablet
        .ledger
        .read(super::catalogue::found_at_enrolment)
        .unwrap();
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [("2026-01".to_owned(), 1)]
    );
    tablet.pass_hours(24 * 60);
    tablet.settle();
    assert_eq!(tablet.pictures().len(), 1);
    tablet.write("new.jpg", &jpeg(8));
    tablet.look();
    assert_eq!(
        tablet
            .list()
            .iter()
            .filter(|l| l.found_at_enrolment)
            .count(),
        1
    );
}

#[test]
fn a_camera_that_was_still_writing_made_one_photo() {
    let mut tablet = Tablet::new();
    let whole = jpeg(5);
    tablet.write("a.jpg", &whole[..40]);
    tablet.look();
    let first = tablet.only().id;
    let mut camera = std::fs::OpenOptions::new()
        .append(true)
        .open(tablet.path("a.jpg"))
        .unwrap();
    std::io::Write::write_all(&mut camera, &whole[40..]).unwrap();
    tablet.look();
    assert_eq!(tablet.only().id, first);
    tablet.assert_sound();
}

#[test]
fn no_more_are_destroyed_in_an_hour_than_the_policy_permits() {
    let mut tablet = Tablet::new();
    tablet
        .bundle
        .policy
        .photos
        .as_mut()
        .unwrap()
        .max_destroyed_per_hour = 2;
    for seed in 10..15 {
        tablet.write(&format!("{seed}.jpg"), &jpeg(seed));
    }
    tablet.look();
    for id in tablet.list().iter().map(|l| l.id).collect::<Vec<_>>() {
        tablet.tag(id, &[1]);
    }
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    tablet.pass_hours(96);
    tablet.settle();
    assert_eq!(tablet.receipts().len(), 2);
    let alarms = |tablet: &Tablet| {
        let events = tablet.events().into_iter();
        events
            .filter(|e| matches!(e, EventBody::Alarm { .. }))
            .count()
    };
    assert_eq!(alarms(&tablet), 1);
    // Told once an hour, however often it is tried.
    tablet.settle();
    assert_eq!(alarms(&tablet), 1);
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(tablet.receipts().len(), 4);
    assert_eq!(alarms(&tablet), 2);
    tablet.pass_hours(2);
    tablet.settle();
    assert_eq!(tablet.receipts().len(), 5);
    tablet.assert_sound();
}

#[test]
fn without_usable_recipients_photos_stay_withheld_and_that_is_told_once() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.bundle.recovery_recipient = "age1nonsense".to_owned();
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Withheld);
    assert!(tablet.only().note.unwrap().contains("recovery recipient"));
    assert_eq!(tablet.vault().into_values().next().unwrap(), jpeg(1));
    let told = tablet.events().into_iter();
    let told = told.filter(|e| matches!(e, EventBody::PhotoIncomplete { .. }));
    assert_eq!(told.count(), 1);
}

#[test]
fn a_damaged_sealed_file_keeps_a_copy_that_turns_up() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    let name = tablet.vault().into_keys().next().unwrap();
    std::fs::write(tablet.vault_dir().join(name), b"damage").unwrap();
    tablet.write("again.jpg", &jpeg(1));
    tablet.look();
    assert!(tablet.pictures().is_empty());
    assert!(tablet.vault().values().any(|bytes| *bytes == jpeg(1)));
    assert_eq!(tablet.sealed_out_of_sight, 1);
}

#[test]
fn a_photo_in_the_trash_goes_with_its_information() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    let trash = tablet.temp.path().join("home/anna/.local/share/Trash");
    std::fs::create_dir_all(trash.join("files")).unwrap();
    std::fs::create_dir_all(trash.join("info")).unwrap();
    std::fs::rename(tablet.path("a.jpg"), trash.join("files/a.jpg")).unwrap();
    std::fs::write(trash.join("info/a.jpg.trashinfo"), "[Trash Info]").unwrap();
    tablet.look();
    assert_eq!(tablet.only().stage, Stage::Live);
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert!(!trash.join("files/a.jpg").exists());
    assert!(!trash.join("info/a.jpg.trashinfo").exists());
    tablet.assert_sound();
}

fn with_two_names() -> Tablet {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.write("copy.jpg", &jpeg(1));
    tablet.look();
    tablet
}

fn due_for_destruction() -> Tablet {
    let mut tablet = with_two_names();
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    tablet.pass_hours(96);
    // One that nobody saw yet.
    tablet.write("late.jpg", &jpeg(1));
    tablet
}

#[test]
fn a_hold_that_arrives_while_the_power_is_off_saves_what_is_still_whole() {
    let mut saved = 0;
    for cut in 0..40 {
        let mut tablet = due_for_destruction();
        armed::cut_after(cut);
        let _ = tablet.try_settle();
        armed::restore_power();
        tablet.hold(HoldScope::Child { child: child(1) }, HoldCategory::Police);
        tablet.restart();
        tablet.settle();
        let destroyed = tablet.stages().contains_key(&Stage::Destroyed);
        // Either everything is there, or it went to the end with a receipt.
        if destroyed {
            assert_eq!(tablet.receipts().len(), 1);
        } else {
            saved += 1;
            assert!(tablet.receipts().is_empty());
            let sealed = tablet.vault().into_values().next().unwrap();
            assert_eq!(age::decrypt(&tablet.release, &sealed).unwrap(), jpeg(1));
        }
    }
    assert!((1..40).contains(&saved), "{saved}");
}

#[test]
fn a_photo_half_withheld_whose_other_name_was_removed_goes_on() {
    let mut tablet = with_two_names();
    tablet.set_consent(1, ConsentState::Withdrawn);
    // Cut after the first rename only: one name is in the vault, the other still in the root.
    for cut in 0..12 {
        armed::cut_after(cut);
        let _ = tablet.try_settle();
        armed::restore_power();
        if tablet.pictures().len() == 1 {
            break;
        }
        tablet.restart();
    }
    for name in tablet.pictures().into_keys() {
        std::fs::remove_file(tablet.path(&name)).unwrap();
    }
    tablet.restart();
    tablet.look();
    tablet.settle();
    tablet.assert_sound();
}

#[test]
fn hard_links_outside_the_roots_are_told_and_read_nothing_once_sealed() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    let outside = tablet.temp.path().join("elsewhere.jpg");
    std::fs::hard_link(tablet.path("a.jpg"), &outside).unwrap();
    tablet.look();
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    let told = tablet.events().into_iter().any(|event| {
        matches!(event, EventBody::PhotoIncomplete { problem, .. } if problem.contains("outside the capture roots"))
    });
    assert!(told);
    assert!(std::fs::read(outside).unwrap().is_empty());
}

#[test]
fn names_outside_the_roots_are_told_once_and_those_within_are_no_such_names() {
    for outside in [0, 1] {
        let mut tablet = Tablet::new();
        tablet.photo_of_one("a.jpg");
        std::fs::hard_link(tablet.path("a.jpg"), tablet.path("b.jpg")).unwrap();
        for _ in 0..outside {
            let elsewhere = tablet.temp.path().join("elsewhere.jpg");
            std::fs::hard_link(tablet.path("a.jpg"), elsewhere).unwrap();
        }
        tablet.look();
        tablet.now.doubtful = true;
        tablet.settle();
        assert!(tablet.pictures().is_empty());
        let told = tablet.events().into_iter().filter(|event| {
            matches!(event, EventBody::PhotoIncomplete { problem, .. } if problem.starts_with("1 more names"))
        });
        assert_eq!(told.count(), outside);
    }
}
