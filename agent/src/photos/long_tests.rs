//! Files that take long to read, or for ever: nothing waits for them, and they are not let off for it.

use super::engine::Scope;
use super::hash::LONG_BYTES;
use super::jobs::Job;
use super::testing::{Server, Tablet, a_tick_passes, jpeg};
use nestwarden_policy_schema::consent::{ConsentState, Stage, Tagging};
use nestwarden_policy_schema::id::PhotoId;
use std::io::Write as _;

/// Takes no disk, and a day to read.
const ENDLESS: u64 = 1 << 40;

/// A film that is mostly hole. One with the same seed and length begins like it.
fn film(tablet: &Tablet, name: &str, seed: u8, bytes: u64) {
    let mut file = std::fs::File::create(tablet.path(name)).unwrap();
    file.write_all(b"\0\0\0\x18ftypisom\0\0\0\0isommp42")
        .unwrap();
    file.write_all(&[seed; 64]).unwrap();
    file.set_len(bytes).unwrap();
}

fn tagged(tablet: &mut Tablet, name: &str, child: u128) -> PhotoId {
    film(tablet, name, 1, LONG_BYTES);
    tablet.look();
    let id = tablet.only().id;
    tablet.tag(id, &[child]);
    id
}

#[test]
fn a_file_that_takes_a_day_to_read_keeps_no_photo_waiting() {
    let mut tablet = Tablet::new();
    tablet.set_consent(1, ConsentState::Withdrawn);
    film(&tablet, "a.mp4", 1, ENDLESS);
    film(&tablet, "b.mp4", 1, ENDLESS);
    tablet.write("c.jpg", &jpeg(1));
    tablet.look();
    assert_eq!(tablet.list().len(), 3);
    // Everybody in the rooms may be in them.
    for name in ["a.mp4", "b.mp4", "c.jpg"] {
        assert!(!tablet.path(name).exists(), "{name}");
    }
}

#[test]
fn a_long_film_is_another_copy_of_whatever_begins_like_it_until_it_is_sealed() {
    let mut tablet = Tablet::new();
    let first = tagged(&mut tablet, "a.mp4", 1);
    tablet.settle();
    assert!(tablet.path("a.mp4").exists());
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    film(&tablet, "b.mp4", 1, LONG_BYTES);
    tablet.look();
    assert!(!tablet.path("b.mp4").exists());
    // Read whole, it is the one photo that it always was.
    let only = tablet.only();
    assert_eq!((only.id, only.stage), (first, Stage::Sealed));
    tablet.assert_sound();
}

#[test]
fn a_long_film_that_is_written_over_a_sorted_one_is_not_let_off_by_its_names() {
    let mut tablet = Tablet::new();
    tagged(&mut tablet, "a.mp4", 1);
    film(&tablet, "b.mp4", 2, LONG_BYTES + 1);
    tablet.look();
    let b = tablet.list().into_iter().find(|l| l.confirmed.is_empty());
    tablet.tag(b.unwrap().id, &[2]);
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert!(!tablet.path("a.mp4").exists() && tablet.path("b.mp4").exists());
    // The same file, and what the other one held.
    film(&tablet, "b.mp4", 1, LONG_BYTES);
    tablet.look();
    assert!(!tablet.path("b.mp4").exists());
    tablet.assert_sound();
}

#[test]
fn a_long_film_that_was_moved_while_nobody_looked_is_still_the_one_that_was_sorted() {
    let mut tablet = Tablet::new();
    let film = tagged(&mut tablet, "a.mp4", 2);
    std::fs::create_dir(tablet.path("trip")).unwrap();
    std::fs::rename(tablet.path("a.mp4"), tablet.path("trip/b.mp4")).unwrap();
    tablet.restart();
    tablet.look();
    let moved = tablet.only();
    assert_eq!((moved.id, moved.tagging), (film, Tagging::Complete));
    assert_eq!(moved.confirmed.len(), 1);
    assert!(moved.paths[0].ends_with("trip/b.mp4"), "{:?}", moved.paths);
}

#[test]
fn a_long_film_that_turns_up_elsewhere_goes_with_the_one_it_begins_like() {
    let mut tablet = Tablet::new();
    tagged(&mut tablet, "a.mp4", 1);
    let documents = tablet.temp.path().join("home/anna/Documents");
    std::fs::create_dir_all(&documents).unwrap();
    std::fs::copy(tablet.path("a.mp4"), documents.join("b.doc")).unwrap();
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    tablet.look();
    assert!(!documents.join("b.doc").exists());
}

#[test]
fn long_films_that_were_there_before_are_only_counted() {
    let mut tablet = Tablet::unscanned();
    film(&tablet, "a.mp4", 1, LONG_BYTES);
    film(&tablet, "b.mp4", 1, LONG_BYTES);
    a_tick_passes();
    tablet.look();
    assert!(tablet.list().iter().all(|l| l.found_at_enrolment));
}

#[test]
fn a_long_film_that_was_in_a_new_root_before_goes_with_the_one_it_begins_like() {
    let mut tablet = Tablet::new();
    tagged(&mut tablet, "a.mp4", 1);
    let videos = tablet.temp.path().join("home/anna/Videos");
    std::fs::create_dir_all(&videos).unwrap();
    std::fs::copy(tablet.path("a.mp4"), videos.join("b.mp4")).unwrap();
    a_tick_passes();
    let photos = tablet.bundle.policy.photos.as_mut().unwrap();
    photos.capture_roots.insert("/home/*/Videos".to_owned());
    tablet.look();
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert!(!videos.join("b.mp4").exists());
}

#[test]
fn sealing_a_long_film_and_opening_it_again_is_what_no_photo_waits_for() {
    let mut tablet = Tablet::new();
    let id = tagged(&mut tablet, "a.mp4", 1);
    tablet.write("b.jpg", &jpeg(1));
    tablet.look();
    let photo = tablet.list().into_iter().find(|l| l.id != id).unwrap().id;
    tablet.tag(photo, &[1]);
    tablet.set_consent(1, ConsentState::Withdrawn);
    let long = |jobs: &[Job]| {
        let long = jobs.iter().filter(|job| job.is_long());
        long.filter_map(Job::photo).collect::<Vec<_>>()
    };
    let passed = tablet.with(|engine, moment| engine.pass(moment, &Scope::All).unwrap());
    assert_eq!(long(&passed.jobs), [id]);
    let vaults = tablet.engine.as_ref().unwrap().vaults();
    for job in passed.jobs {
        let done = job.run(&vaults);
        tablet.with(|engine, moment| engine.finish(moment, done).unwrap());
    }
    tablet.settle();
    tablet.set_consent(1, ConsentState::Given);
    tablet.server = Server::Authorises;
    let passed = tablet.with(|engine, moment| engine.pass(moment, &Scope::All).unwrap());
    let mut jobs = Vec::new();
    for photo in passed.asks {
        jobs.extend(tablet.ask(photo).unwrap());
    }
    assert_eq!((jobs.len(), long(&jobs)), (2, vec![id]));
}

#[test]
fn photos_deep_down_and_under_very_long_paths_are_photos_like_any_other() {
    let mut tablet = Tablet::new();
    tablet.set_consent(1, ConsentState::Withdrawn);
    let deep = |name: &str, folders: usize, letters: usize| {
        let mut path = name.to_owned();
        for _ in 0..folders {
            path = format!("{path}/{}", "d".repeat(letters));
        }
        path
    };
    // Longer than what the kernel takes at once.
    let long = deep("long", 20, 250);
    let deep_down = tablet.path(&deep("deep", 100, 1));
    std::fs::create_dir_all(&deep_down).unwrap();
    std::fs::write(deep_down.join("a.jpg"), jpeg(1)).unwrap();
    let outside = tablet.temp.path().join("x.jpg");
    std::fs::write(&outside, jpeg(2)).unwrap();
    place_at(&tablet.path(""), &long, &outside);
    tablet.look();
    assert_eq!(tablet.list().len(), 2);
    assert!(tablet.list().iter().all(|l| l.stage >= Stage::Withheld));
    assert!(!deep_down.join("a.jpg").exists());
}

/// Moves a file into a folder whose path is longer than the kernel takes at once.
fn place_at(top: &std::path::Path, folders: &str, file: &std::path::Path) {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat, renameat};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut at = openat(CWD, top, flags, Mode::empty()).unwrap();
    for name in folders.split('/') {
        mkdirat(&at, name, Mode::RWXU).unwrap();
        at = openat(&at, name, flags, Mode::empty()).unwrap();
    }
    renameat(CWD, file, &at, "y.jpg").unwrap();
}
