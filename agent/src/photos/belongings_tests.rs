//! Everything that goes with a photo goes with it, and nothing else does.

use super::catalogue::vault_note;
use super::testing::{Server, Tablet, jpeg};
use super::tree::RelPath;
use nestwarden_policy_schema::consent::{ConsentState, Stage, Tagging};
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use nestwarden_policy_schema::receipt::ArtefactKind;
use std::fs::File;
use std::io::{Read as _, Seek as _};

const XMP: &[u8] = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>";

/// A film, as far as its first bytes say.
fn film(seed: u8) -> Vec<u8> {
    let mut bytes = b"\0\0\0\x14ftypqt  \0\0\0\0qt  ".to_vec();
    bytes.extend([seed; 64]);
    bytes
}

/// Makes a file one of another moment than all others.
fn not_of_today(tablet: &Tablet, name: &str) {
    let made = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    let file = File::open(tablet.path(name)).unwrap();
    file.set_modified(made).unwrap();
}

fn withdraw(tablet: &mut Tablet) {
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
}

#[test]
fn sidecars_are_withheld_come_back_and_are_destroyed_with_their_photo() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    for name in ["a.xmp", "a.jpg.xmp", "a.AAE", "a.jpg.json"] {
        tablet.write(name, XMP);
    }
    for name in ["b.xmp", "ab.xmp", "notes.txt"] {
        tablet.write(name, b"of something else");
    }
    withdraw(&mut tablet);
    let left: Vec<String> = tablet.pictures().into_keys().collect();
    assert_eq!(left, ["ab.xmp", "b.xmp", "notes.txt"]);
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.assert_sound();
    tablet.server = Server::Authorises;
    tablet.set_consent(1, ConsentState::Given);
    tablet.settle();
    assert_eq!(tablet.pictures().len(), 8);
    assert_eq!(tablet.pictures()["a.jpg.xmp"], XMP);
    tablet.look();
    tablet.assert_sound();
    withdraw(&mut tablet);
    tablet.pass_hours(96);
    tablet.settle();
    assert!(tablet.vault().is_empty());
    assert_eq!(tablet.pictures().len(), 3);
    let artefacts = &tablet.receipts()[0].artefacts;
    let sidecars = artefacts.iter().filter(|a| a.kind == ArtefactKind::Sidecar);
    assert_eq!(sidecars.count(), 4);
    tablet.assert_sound();
}

#[test]
fn what_is_named_like_a_sidecar_and_is_somebodys_document_keeps_what_is_in_it() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    let document = tablet.temp.path().join("home/anna/notes.txt");
    std::fs::write(&document, b"a document").unwrap();
    std::fs::hard_link(&document, tablet.path("a.xmp")).unwrap();
    // Described by its own name, and no sidecar of the photo.
    tablet.write("a.json", b"{}");
    withdraw(&mut tablet);
    tablet.pass_hours(96);
    tablet.settle();
    assert_eq!(tablet.receipts().len(), 1);
    assert_eq!(
        tablet.pictures().into_keys().collect::<Vec<_>>(),
        ["a.json"]
    );
    assert_eq!(std::fs::read(&document).unwrap(), b"a document");
    tablet.assert_sound();
}

#[test]
fn a_sidecar_written_after_its_photo_went_out_of_use_goes_where_the_photo_goes() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.now.doubtful = true;
    tablet.settle();
    tablet.write("a.xmp", XMP);
    tablet.write("ab.xmp", XMP);
    tablet.write("a.b.xmp", XMP);
    tablet.look();
    assert_eq!(tablet.only().stage, Stage::Withheld);
    let left: Vec<String> = tablet.pictures().into_keys().collect();
    assert_eq!(left, ["a.b.xmp", "ab.xmp"]);
    tablet.assert_sound();
    tablet.now.doubtful = false;
    withdraw(&mut tablet);
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.write("a.jpg.json", b"{}");
    // Written again under a name that is in the vault already.
    tablet.write("a.xmp", b"again");
    tablet.look();
    assert_eq!(tablet.pictures().len(), 2);
    tablet.assert_sound();
    tablet.server = Server::Authorises;
    tablet.set_consent(1, ConsentState::Given);
    tablet.settle();
    let back = tablet.pictures();
    assert_eq!(back.len(), 6, "{:?}", back.keys());
    assert_eq!(back["a.jpg.json"], b"{}");
    tablet.look();
    withdraw(&mut tablet);
    tablet.pass_hours(96);
    tablet.settle();
    assert!(tablet.vault().is_empty());
    let artefacts = &tablet.receipts()[0].artefacts;
    let sidecars = artefacts.iter().filter(|a| a.kind == ArtefactKind::Sidecar);
    assert_eq!(sidecars.count(), 3);
    tablet.assert_sound();
}

#[test]
fn a_sidecar_that_came_while_the_agent_was_off_follows_its_photo() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    withdraw(&mut tablet);
    tablet.engine = None;
    tablet.write("a.xmp", XMP);
    tablet.restart();
    tablet.look();
    assert!(tablet.pictures().is_empty());
    tablet.assert_sound();
}

#[test]
fn a_sidecar_of_a_photo_that_is_still_there_stays_though_another_of_that_name_went() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    withdraw(&mut tablet);
    tablet.write("a.png", &jpeg(2));
    not_of_today(&tablet, "a.png");
    tablet.look();
    let new = tablet
        .list()
        .into_iter()
        .find(|l| l.tagging == Tagging::Untagged);
    tablet.tag(new.unwrap().id, &[2]);
    tablet.write("a.xmp", XMP);
    tablet.look();
    assert!(tablet.pictures().contains_key("a.xmp"));
    tablet.assert_sound();
}

#[test]
fn a_sidecar_left_behind_by_a_photo_somebody_removed_is_nobodys() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.write("a.xmp", XMP);
    tablet.now.doubtful = true;
    tablet.settle();
    assert!(tablet.pictures().is_empty());
    tablet.now.doubtful = false;
    tablet.settle();
    std::fs::remove_file(tablet.path("a.jpg")).unwrap();
    tablet.look();
    assert!(tablet.list().is_empty());
    tablet.look();
    tablet.assert_sound();
}

#[test]
fn the_film_of_a_live_picture_goes_wherever_the_picture_goes() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("IMG_1.HEIC");
    let picture = tablet.only().id;
    tablet.write("IMG_1.MOV", &film(1));
    tablet.look();
    let film = tablet.list().into_iter().find(|l| l.id != picture).unwrap();
    assert_eq!(
        film.tagging,
        Tagging::Complete,
        "said of the one, said of both"
    );
    tablet.tag(picture, &[1, 2]);
    assert!(tablet.list().iter().all(|l| l.confirmed.len() == 2));
    // A child added to the film is in the picture, too.
    tablet.tag(film.id, &[1, 2, 3]);
    assert!(tablet.list().iter().all(|l| l.confirmed.len() == 3));
    tablet.hold(
        HoldScope::Photo { photo: picture },
        HoldCategory::IllegalContent,
    );
    tablet.set_consent(3, ConsentState::Withdrawn);
    tablet.settle();
    assert!(
        tablet
            .list()
            .iter()
            .all(|l| l.frozen && l.stage == Stage::Live)
    );
    tablet.release_holds();
    tablet.settle();
    assert!(tablet.list().iter().all(|l| l.stage == Stage::Sealed));
    assert!(tablet.pictures().is_empty());
    tablet.assert_sound();
}

#[test]
fn frames_of_a_burst_and_backups_of_editors_belong_together() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("IMG_7_BURST001_COVER.jpg");
    tablet.write("IMG_7_BURST002.jpg", &jpeg(2));
    tablet.write("IMG_7_BURST001_COVER.jpg~", &jpeg(3));
    tablet.look();
    assert_eq!(tablet.list().len(), 3);
    withdraw(&mut tablet);
    assert!(tablet.list().iter().all(|l| l.stage == Stage::Sealed));
    assert!(tablet.pictures().is_empty());
}

#[test]
fn files_of_one_name_that_were_not_made_at_one_time_have_nothing_to_do_with_each_other() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("IMG_1.JPG");
    tablet.write("IMG_1.MOV", &film(1));
    not_of_today(&tablet, "IMG_1.MOV");
    tablet.look();
    let untagged = tablet.list();
    assert!(untagged.iter().any(|l| l.tagging == Tagging::Untagged));
}

#[test]
fn a_copy_anywhere_in_a_home_or_on_a_card_goes_with_the_photo_and_other_photos_there_stay() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    let root = tablet.temp.path().to_owned();
    let places = [
        "home/anna/Documents/deep",
        "home/ben",
        "media/anna/CARD/DCIM",
    ];
    for place in places {
        std::fs::create_dir_all(root.join(place)).unwrap();
        std::fs::write(root.join(place).join("copy.bin"), jpeg(1)).unwrap();
        // Of the same length, and none of the nursery's business.
        std::fs::write(root.join(place).join("other.jpg"), jpeg(9)).unwrap();
    }
    std::fs::hard_link(tablet.path("a.jpg"), root.join("home/ben/linked.jpg")).unwrap();
    tablet.look();
    assert_eq!(tablet.list().len(), 1);
    assert_eq!(tablet.only().files, 5);
    withdraw(&mut tablet);
    for place in places {
        assert!(!root.join(place).join("copy.bin").exists(), "{place}");
        assert!(root.join(place).join("other.jpg").exists(), "{place}");
    }
    assert!(!root.join("home/ben/linked.jpg").exists());
    tablet.assert_sound();
    // One that comes later is found by the next look.
    std::fs::write(root.join("home/ben/again.jpg"), jpeg(1)).unwrap();
    tablet.look();
    assert!(!root.join("home/ben/again.jpg").exists());
    tablet.pass_hours(96);
    std::fs::write(root.join("home/ben/behind.jpg"), jpeg(1)).unwrap();
    tablet.settle();
    assert!(!root.join("home/ben/behind.jpg").exists());
    assert_eq!(tablet.receipts().len(), 1);
}

#[test]
fn a_photo_known_only_later_is_recognised_in_a_copy_that_was_there_before() {
    let mut tablet = Tablet::new();
    let elsewhere = tablet.temp.path().join("home/anna/early.jpg");
    tablet.write("b.jpg", &jpeg(2));
    std::fs::write(&elsewhere, jpeg(1)).unwrap();
    tablet.look();
    tablet.write("a.jpg", &jpeg(1));
    tablet.look();
    tablet.look();
    assert!(tablet.list().iter().any(|l| l.files == 2));
}

#[test]
fn a_descriptor_opened_before_reads_on_while_withheld_and_nothing_once_sealed() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    let mut open = File::open(tablet.path("a.jpg")).unwrap();
    let mut read = || {
        open.rewind().unwrap();
        let mut bytes = Vec::new();
        open.read_to_end(&mut bytes).unwrap();
        bytes
    };
    tablet.now.doubtful = true;
    tablet.settle();
    assert_eq!(read(), jpeg(1));
    tablet.now.doubtful = false;
    withdraw(&mut tablet);
    assert!(read().is_empty());
}

#[test]
fn a_photo_renamed_or_moved_while_the_agent_was_off_is_the_same_photo() {
    let mut tablet = Tablet::new();
    let id = tablet.photo_of_one("a.jpg");
    tablet.engine = None;
    std::fs::create_dir(tablet.path("album")).unwrap();
    std::fs::rename(tablet.path("a.jpg"), tablet.path("album/b")).unwrap();
    tablet.restart();
    tablet.look();
    let listed = tablet.only();
    assert_eq!((listed.id, listed.tagging), (id, Tagging::Complete));
    withdraw(&mut tablet);
    assert!(tablet.pictures().is_empty());
}

#[test]
fn a_link_in_a_capture_root_is_told_and_not_followed() {
    let mut tablet = Tablet::new();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("a.jpg"), jpeg(1)).unwrap();
    std::os::unix::fs::symlink(outside.path(), tablet.path("way")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("a.jpg"), tablet.path("b.jpg")).unwrap();
    tablet.look();
    assert!(tablet.list().is_empty());
    assert_eq!(tablet.links, 2);
}

#[test]
fn a_photo_in_the_trash_of_a_card_goes_with_its_information() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    let trash = tablet.temp.path().join("media/anna/CARD/.Trash-1000");
    for dir in ["files", "info"] {
        std::fs::create_dir_all(trash.join(dir)).unwrap();
    }
    std::fs::write(trash.join("files/a.jpg"), jpeg(1)).unwrap();
    std::fs::write(trash.join("info/a.jpg.trashinfo"), "[Trash Info]").unwrap();
    tablet.look();
    withdraw(&mut tablet);
    assert!(!trash.join("files/a.jpg").exists());
    assert!(!trash.join("info/a.jpg.trashinfo").exists());
}

/// Where desktops keep the thumbnail of `a.jpg`: the digest is that of `file:///home/anna/Pictures/a.jpg`.
fn thumbnail_of_a(tablet: &Tablet) -> std::path::PathBuf {
    let cache = tablet
        .temp
        .path()
        .join("home/anna/.cache/thumbnails/normal");
    std::fs::create_dir_all(&cache).unwrap();
    cache.join("258e8bb6397be05749d6de10f9fa87af.png")
}

#[test]
fn thumbnails_go_whenever_their_photo_goes_a_stage_further() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    let thumbnail = thumbnail_of_a(&tablet);
    let other = thumbnail.with_file_name("of-another.png");
    std::fs::write(&other, b"of another").unwrap();
    // A program that has the photo open may make another at any time.
    let make = || std::fs::write(&thumbnail, b"small").unwrap();
    make();
    tablet.now.doubtful = true;
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Withheld);
    assert!(!thumbnail.exists());
    make();
    tablet.now.doubtful = false;
    withdraw(&mut tablet);
    assert_eq!(tablet.only().stage, Stage::Sealed);
    assert!(!thumbnail.exists());
    make();
    tablet.pass_hours(96);
    tablet.settle();
    let artefacts = &tablet.receipts()[0].artefacts;
    let thumbnails = artefacts
        .iter()
        .filter(|a| a.kind == ArtefactKind::Thumbnail);
    assert_eq!(thumbnails.count(), 1);
    assert!(!thumbnail.exists());
    assert!(other.exists());
}

#[test]
fn what_only_looks_like_a_photo_and_lies_elsewhere_is_its_users() {
    let mut tablet = Tablet::new();
    let mut photo = jpeg(1);
    photo.resize(8_000, 0);
    tablet.write("a.jpg", &photo);
    tablet.look();
    let id = tablet.only().id;
    tablet.tag(id, &[1]);
    let documents = tablet.temp.path().join("home/anna/Documents");
    std::fs::create_dir_all(&documents).unwrap();
    let mut ends_otherwise = photo.clone();
    *ends_otherwise.last_mut().unwrap() = 1;
    let mut begins_otherwise = photo;
    begins_otherwise[8] = 9;
    std::fs::write(documents.join("b.jpg"), &ends_otherwise).unwrap();
    std::fs::write(documents.join("c.jpg"), &begins_otherwise).unwrap();
    tablet.look();
    withdraw(&mut tablet);
    assert_eq!((tablet.only().id, tablet.only().stage), (id, Stage::Sealed));
    assert_eq!(
        std::fs::read(documents.join("b.jpg")).unwrap(),
        ends_otherwise
    );
    assert_eq!(
        std::fs::read(documents.join("c.jpg")).unwrap(),
        begins_otherwise
    );
}

#[test]
fn what_describes_a_sealed_photo_comes_back_with_it_and_not_before() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.write("a.xmp", XMP);
    withdraw(&mut tablet);
    tablet.set_consent(1, ConsentState::Given);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    assert!(tablet.pictures().is_empty());
    tablet.server = Server::Authorises;
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(tablet.pictures().len(), 2);
    tablet.assert_sound();
}

#[test]
fn nothing_is_looked_for_in_a_vault_that_lies_beneath_a_home() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    let vault = tablet.temp.path().join("home/anna/.nestwarden-vault");
    std::fs::create_dir_all(&vault).unwrap();
    std::fs::write(vault.join("b"), jpeg(1)).unwrap();
    let path = RelPath::new("home/anna/.nestwarden-vault").unwrap();
    let noted = tablet.ledger.transaction(|tx| vault_note(tx.sql(), &path));
    noted.unwrap();
    tablet.look();
    assert_eq!((tablet.only().id, tablet.only().files), (photo, 1));
    withdraw(&mut tablet);
    tablet.pass_hours(96);
    tablet.settle();
    assert_eq!(tablet.receipts().len(), 1);
    assert!(vault.join("b").exists());
}

#[test]
fn of_several_photos_of_one_folder_each_takes_along_what_describes_it_and_nothing_else() {
    let mut tablet = Tablet::new();
    for (name, content) in [("a.jpg", 1), ("b.jpg", 2), ("c.jpg", 3)] {
        tablet.write(name, &jpeg(content));
    }
    tablet.look();
    tablet.write("b.xmp", XMP);
    tablet.write("c.jpg.json", XMP);
    tablet.write("c.txt", b"of something else");
    std::fs::create_dir(tablet.path("a.xmp")).unwrap();
    tablet.write("a.xmp/plan.txt", b"a folder is nobody's sidecar");
    withdraw(&mut tablet);
    let left: Vec<String> = tablet.pictures().into_keys().collect();
    assert_eq!(left, ["a.xmp/plan.txt", "c.txt"]);
    tablet.assert_sound();
}

#[test]
fn photos_of_one_moment_whose_names_only_begin_alike_are_sorted_each_by_itself() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("IMG_0001_BURST001.jpg");
    std::fs::create_dir(tablet.path("IMG_0001_BURST001.d")).unwrap();
    for (name, content) in [
        ("IMG_0002_BURST001.jpg", 2),
        ("IMG_0003.jpg", 3),
        ("IMG_0004.jpg", 4),
        ("IMG_0001_BURST001.d/a.jpg", 5),
    ] {
        tablet.write(name, &jpeg(content));
        tablet.look();
    }
    let tagged = |l: &&super::listing::Listing| l.tagging == Tagging::Complete;
    assert_eq!(tablet.list().iter().filter(tagged).count(), 1);
}
