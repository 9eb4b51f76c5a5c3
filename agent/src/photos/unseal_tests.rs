//! A consent that is given again brings its photos back, whole, or leaves them sealed.

use super::fault::armed;
use super::testing::{Server, Tablet, child, jpeg};
use super::unseal::UnsealRefusal;
use nestwarden_policy_schema::bytes::Secret;
use nestwarden_policy_schema::consent::{ConsentState, Stage};
use nestwarden_policy_schema::device_api::MAX_STANZAS;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use std::fs::Permissions;
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;

fn sealed_and_given_again() -> Tablet {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.set_consent(1, ConsentState::Given);
    tablet
}

fn later_bundle(tablet: &mut Tablet) {
    let next = tablet.bundle.generation.get() + 1;
    tablet.bundle.generation = Generation::new(next);
}

#[test]
fn an_unsealed_photo_is_back_as_it_was() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    let file = std::fs::File::open(tablet.path("a.jpg")).unwrap();
    let made = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_772_000_000);
    file.set_modified(made).unwrap();
    std::fs::set_permissions(tablet.path("a.jpg"), Permissions::from_mode(0o640)).unwrap();
    tablet.look();
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    tablet.set_consent(1, ConsentState::Given);
    tablet.server = Server::Authorises;
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Live);
    assert_eq!(tablet.pictures()["a.jpg"], jpeg(1));
    let meta = std::fs::metadata(tablet.path("a.jpg")).unwrap();
    assert_eq!(meta.modified().unwrap(), made);
    assert_eq!(meta.permissions().mode() & 0o777, 0o640);
    assert!(tablet.vault().is_empty());
    tablet.assert_sound();
    let last = tablet.events().into_iter().rev().find_map(|event| {
        let EventBody::PhotoKnown { facts, .. } = event else {
            return None;
        };
        Some(facts.sealed_at)
    });
    assert_eq!(
        last,
        Some(None),
        "the server is told that it is not sealed any more"
    );
    // And it goes again like any other.
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.assert_sound();
}

#[test]
fn what_is_refused_is_asked_again_only_when_something_changed() {
    let mut tablet = sealed_and_given_again();
    tablet.server = Server::Refuses(UnsealRefusal::NotAuthorised);
    for _ in 0..3 {
        tablet.pass_hours(1);
        tablet.settle();
    }
    assert_eq!(tablet.asked, 1);
    assert!(tablet.only().note.unwrap().contains("does not authorise"));
    later_bundle(&mut tablet);
    tablet.settle();
    assert_eq!(tablet.asked, 2);
    tablet.server = Server::Authorises;
    later_bundle(&mut tablet);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Live);
    tablet.assert_sound();
}

#[test]
fn a_server_that_cannot_say_is_asked_again_later_and_that_is_no_problem_of_the_photo() {
    let mut tablet = sealed_and_given_again();
    tablet.server = Server::Refuses(UnsealRefusal::NotNow("no network".to_owned()));
    tablet.settle();
    tablet.settle();
    assert_eq!(tablet.asked, 1, "not in a loop");
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(tablet.asked, 2);
    let told = tablet.events().into_iter();
    assert_eq!(
        told.filter(|e| matches!(e, EventBody::PhotoIncomplete { .. }))
            .count(),
        0
    );
    tablet.server = Server::Authorises;
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Live);
}

#[test]
fn a_refusal_by_a_server_that_has_not_heard_everything_yet_is_not_final() {
    let mut tablet = sealed_and_given_again();
    tablet.server = Server::Refuses(UnsealRefusal::NotAuthorised);
    tablet.behind = true;
    tablet.settle();
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(tablet.asked, 2);
}

#[test]
fn a_wrong_key_opens_nothing_and_leaves_nothing() {
    let mut tablet = sealed_and_given_again();
    tablet.server = Server::Gives(Secret::new(vec![7; 16]));
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    assert!(tablet.only().note.unwrap().contains("unsealed"));
    assert_eq!(tablet.vault().len(), 1);
    tablet.server = Server::Gives(Secret::new(vec![7; 3]));
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.server = Server::Authorises;
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Live);
    tablet.assert_sound();
}

#[test]
fn a_damaged_sealed_file_does_not_come_back_as_something_else() {
    let mut tablet = sealed_and_given_again();
    tablet.server = Server::Authorises;
    let name = tablet.vault().into_keys().next().unwrap();
    let path = tablet.vault_dir().join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    assert!(tablet.pictures().is_empty());
    assert_eq!(tablet.vault().len(), 1);
}

#[test]
fn nothing_is_unsealed_under_a_freeze_or_while_the_clock_is_in_doubt() {
    let mut tablet = sealed_and_given_again();
    tablet.server = Server::Authorises;
    tablet.hold(
        HoldScope::Child { child: child(1) },
        HoldCategory::IllegalContent,
    );
    tablet.settle();
    tablet.release_holds();
    tablet.now.doubtful = true;
    tablet.settle();
    assert_eq!((tablet.asked, tablet.only().stage), (0, Stage::Sealed));
    tablet.now.doubtful = false;
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Live);
}

#[test]
fn under_any_other_hold_what_consent_permits_again_comes_back() {
    let mut tablet = sealed_and_given_again();
    tablet.server = Server::Authorises;
    let scope = HoldScope::Child { child: child(1) };
    tablet.hold(scope, HoldCategory::Safeguarding);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Live);
}

#[test]
fn a_consent_withdrawn_again_wherever_unsealing_had_got_to_seals_it_again() {
    for cut in 0..60 {
        let mut tablet = sealed_and_given_again();
        tablet.server = Server::Authorises;
        armed::cut_after(cut);
        let _ = tablet.try_settle();
        armed::restore_power();
        tablet.set_consent(1, ConsentState::Withdrawn);
        tablet.restart();
        tablet.look();
        assert_eq!(tablet.only().stage, Stage::Sealed);
        assert!(tablet.pictures().is_empty());
        tablet.assert_sound();
    }
}

#[test]
fn what_was_refused_is_asked_again_once_somebody_said_something_of_the_photo() {
    let mut tablet = sealed_and_given_again();
    tablet.server = Server::Refuses(UnsealRefusal::NotAuthorised);
    tablet.settle();
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(tablet.asked, 1);
    let photo = tablet.only().id;
    tablet.tag(photo, &[1, 2]);
    tablet.settle();
    assert_eq!(tablet.asked, 2);
}

#[test]
fn a_server_that_cannot_say_is_left_alone_for_longer_each_time() {
    let mut tablet = sealed_and_given_again();
    tablet.server = Server::Refuses(UnsealRefusal::NotNow("no network".to_owned()));
    let mut asked_at = Vec::new();
    for second in 0..40 {
        let before = tablet.asked;
        tablet.settle();
        if tablet.asked > before {
            asked_at.push(second);
        }
        tablet.now.at += jiff::SignedDuration::from_secs(1);
        tablet.now.holds_confirmed_at = Some(tablet.now.at);
        tablet.now.last_contact = Some(tablet.now.at);
    }
    assert_eq!(asked_at, [0, 2, 6, 14, 30]);
}

#[test]
fn what_comes_back_comes_back_where_it_was_not_thrown_away() {
    let mut tablet = Tablet::new();
    let trash = tablet
        .temp
        .path()
        .join("home/anna/.local/share/Trash/files");
    std::fs::create_dir_all(&trash).unwrap();
    let photo = tablet.photo_of_one("a.jpg");
    std::fs::rename(tablet.path("a.jpg"), trash.join("a.jpg")).unwrap();
    tablet.look();
    tablet.write("b.jpg", &jpeg(1));
    tablet.look();
    assert_eq!(tablet.only().id, photo);
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    tablet.set_consent(1, ConsentState::Given);
    tablet.server = Server::Authorises;
    tablet.settle();
    assert_eq!(tablet.pictures().into_keys().collect::<Vec<_>>(), ["b.jpg"]);
    assert!(!trash.join("a.jpg").exists());
    tablet.assert_sound();
}

#[test]
fn a_file_for_more_people_than_we_ever_seal_for_is_not_asked_about() {
    let of = |people: usize| {
        let recipients: Vec<_> = std::iter::repeat_with(age::x25519::Identity::generate)
            .take(people)
            .map(|identity| identity.to_public())
            .collect();
        let all = recipients.iter().map(|to| to as &dyn age::Recipient);
        let mut sealed = tempfile::tempfile().unwrap();
        let mut writer = age::Encryptor::with_recipients(all)
            .unwrap()
            .wrap_output(&mut sealed)
            .unwrap();
        writer.write_all(b"content").unwrap();
        writer.finish().unwrap();
        sealed.rewind().unwrap();
        super::unseal::stanzas(sealed)
    };
    assert!(of(MAX_STANZAS - 1).unwrap().len() >= MAX_STANZAS - 1);
    assert!(of(MAX_STANZAS + 1).is_err());
}
