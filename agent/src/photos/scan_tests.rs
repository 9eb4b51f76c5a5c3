//! Scans of small places with a catalogue behind them.

use super::hash::{ContentKey, Stop};
use super::known::{Known, Vaulted};
use super::roots::Roots;
use super::scan::{Batch, Report, Scanner, Sighting, Unread};
use super::tree::{RelPath, Tree};
use super::vault::Vaults;
use crate::ledger::Ledger;
use crate::paths::Paths;
use crate::photos::PhotosError;
use crate::photos::catalogue::{self, NewPhoto, Part};
use crate::photos::search::search;
use crate::testing::{Signer, enrolled};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::bytes::Secret;
use nestwarden_policy_schema::consent::Subjects;
use nestwarden_policy_schema::id::PhotoId;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 a photo";

struct Place {
    temp: tempfile::TempDir,
    tree: Tree,
    key: ContentKey,
    ledger: Ledger,
    frozen: BTreeSet<PhotoId>,
    everything_frozen: bool,
    begun: HashMap<String, i64>,
    now_ns: Option<i64>,
}

const PATTERN: &str = "/home/*/Pictures";

fn place() -> Place {
    let temp = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(temp.path().join("home/anna/Pictures/deep/er")).unwrap();
    let tree = Tree::open(temp.path()).unwrap();
    let ledger = enrolled(&Paths::new(temp.path()), &Signer::new());
    Place {
        temp,
        tree,
        key: ContentKey::new(&Secret::new(vec![7; 32])),
        ledger,
        frozen: BTreeSet::new(),
        everything_frozen: false,
        begun: HashMap::new(),
        now_ns: Some(i64::MAX),
    }
}

/// What a scan handed on, and what it reported.
#[derive(Default)]
struct Seen {
    sightings: Vec<Sighting>,
    missing: Vec<RelPath>,
    report: Report,
}

impl Place {
    fn roots(&self) -> Roots {
        Roots::resolve(&self.tree, &BTreeSet::from([PATTERN.to_owned()]))
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.temp.path().join("home/anna/Pictures").join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn full(&self, scanner: &mut Scanner) -> Seen {
        self.look(scanner, None)
    }

    fn paths(&self, scanner: &mut Scanner, paths: &[RelPath]) -> Seen {
        self.look(scanner, Some(paths))
    }

    fn look(&self, scanner: &mut Scanner, paths: Option<&[RelPath]>) -> Seen {
        let known = Known {
            ledger: self.ledger.clone(),
            frozen: self.frozen.clone(),
            frozen_files: std::sync::OnceLock::new(),
            everything_frozen: self.everything_frozen,
            vaults: Vaulted::new(),
            places: Vaults::new(
                Arc::new(Tree::open(self.temp.path()).unwrap()),
                RelPath::new("var/vault").unwrap(),
            ),
            now_ns: self.now_ns,
            begun: self.begun.clone(),
        };
        let stop = Stop::default();
        let mut seen = Seen::default();
        let (tree, roots, keys) = (&self.tree, &self.roots(), (&self.key, &stop));
        let mut take = |batch: Batch| {
            seen.sightings.extend(batch.sightings);
            seen.missing.extend(batch.missing);
            Ok(Unread::default())
        };
        let report = match paths {
            Some(paths) => scanner.paths(tree, roots, paths, &known, keys, &mut take),
            None => scanner.full(tree, roots, &known, keys, &mut take),
        };
        seen.report = report.unwrap();
        seen
    }

    /// Takes into the catalogue what was seen, each file a photo of its own.
    fn keep(&self, seen: &Seen) -> Vec<PhotoId> {
        let kept = self.ledger.transaction(|tx| {
            let mut ids = Vec::new();
            for (number, sighting) in seen.sightings.iter().enumerate() {
                let id = PhotoId::from_uuid(uuid::Uuid::now_v7());
                let photo = NewPhoto {
                    id,
                    hash: Some(Digest([u8::try_from(number).unwrap(); 32])),
                    head: Some(sighting.head),
                    bytes: sighting.bytes,
                    media: sighting.media.as_str(),
                    captured_at: jiff::Timestamp::UNIX_EPOCH,
                    session: None,
                    subjects: &Subjects::default(),
                    care_record: false,
                    found_month: None,
                    uploaded_at: None,
                    companion_of: None,
                    cohort: None,
                };
                catalogue::photo_insert(tx.sql(), &photo)?;
                let place = (&sighting.path, &sighting.root.path);
                catalogue::file_insert(tx.sql(), id, place, (Part::Photo, false), &sighting.stat)?;
                ids.push(id);
            }
            Ok::<_, PhotosError>(ids)
        });
        kept.unwrap()
    }
}

#[test]
fn photos_are_found_at_any_depth_and_what_is_unchanged_is_not_read_again() {
    let place = place();
    place.write("a.jpg", JPEG);
    place.write("deep/er/b.txt", JPEG);
    place.write("notes.jpg", b"no photo at all");
    let mut scanner = Scanner::default();
    let first = place.full(&mut scanner);
    assert_eq!(first.sightings.len(), 2);
    assert!(first.sightings[0].content.is_some());
    assert_eq!(first.sightings[0].content, first.sightings[1].content);
    place.keep(&first);
    let again = place.full(&mut scanner);
    assert_eq!((again.report.files_read, again.missing.len()), (0, 0));
}

#[test]
fn of_what_was_there_before_only_the_beginning_is_read() {
    let mut place = place();
    place.write("a.jpg", JPEG);
    place.begun.insert(PATTERN.to_owned(), i64::MAX);
    let seen = place.full(&mut Scanner::default());
    assert_eq!(seen.sightings[0].content, None);
    place.begun.insert(PATTERN.to_owned(), 0);
    let seen = place.full(&mut Scanner::default());
    assert!(seen.sightings[0].content.is_some());
}

#[test]
fn a_changed_file_is_read_again_and_a_missing_one_is_missed() {
    let place = place();
    place.write("a.jpg", JPEG);
    place.write("b.jpg", JPEG);
    place.write("a.jpg.bak", JPEG);
    let mut scanner = Scanner::default();
    place.keep(&place.full(&mut scanner));
    place.write("a.jpg", b"\xff\xd8\xff\xe0 a longer photo");
    std::fs::remove_file(place.path("b.jpg")).unwrap();
    let second = place.full(&mut scanner);
    assert_eq!(second.sightings.len(), 1);
    let missing: Vec<_> = second.missing.iter().map(RelPath::name).collect();
    assert_eq!(missing, ["b.jpg"]);
}

#[test]
fn a_frozen_file_is_not_opened() {
    let mut place = place();
    place.write("a.jpg", JPEG);
    let ids = place.keep(&place.full(&mut Scanner::default()));
    place.write("a.jpg", b"\xff\xd8\xff\xe0 a longer photo");
    place.frozen.extend(ids);
    let seen = place.full(&mut Scanner::default());
    assert_eq!((seen.report.files_read, seen.missing.len()), (0, 0));
    place.frozen.clear();
    place.everything_frozen = true;
    let seen = place.full(&mut Scanner::default());
    assert_eq!(seen.report.files_read, 0);
}

#[test]
fn elsewhere_only_what_begins_like_a_known_photo_is_seen() {
    let place = place();
    place.write("a.jpg", JPEG);
    place.keep(&place.full(&mut Scanner::default()));
    std::fs::write(place.temp.path().join("home/anna/copy"), JPEG).unwrap();
    let other = b"\xff\xd8\xff\xe0 b photo";
    assert_eq!(other.len(), JPEG.len());
    std::fs::write(place.temp.path().join("home/anna/other"), other).unwrap();
    let mut scanner = Scanner::default();
    for _ in 0..2 {
        let seen = place.full(&mut scanner);
        let names: Vec<_> = seen.sightings.iter().map(|s| s.path.name()).collect();
        assert_eq!(names, ["copy"]);
        assert!(seen.sightings[0].content.is_some());
    }
}

#[test]
fn copies_are_found_by_content() {
    let place = place();
    place.write("a.jpg", JPEG);
    place.write("deep/copy", JPEG);
    place.write("deep/other", b"\xff\xd8\xff\xe0 b photo");
    let wanted = place.key.hash(&mut &*JPEG, &Stop::default()).unwrap();
    let none = Vaulted::new();
    let wanted = (&wanted.0, wanted.1);
    let found = search(&place.tree, &place.roots(), &none, wanted, &place.key).unwrap();
    assert_eq!((found.copies.len(), found.files_read), (2, 3));
}

#[test]
fn what_may_be_written_to_through_a_mapping_without_a_new_time_is_read_at_every_look_until_it_rests()
 {
    let mut place = place();
    place.write("a.jpg", &[0; 64]);
    let mut scanner = Scanner::default();
    for now_ns in [None, Some(0)] {
        place.now_ns = now_ns;
        place.full(&mut scanner);
        assert_eq!(scanner.ignored.len(), 0);
    }
    place.now_ns = Some(i64::MAX);
    place.full(&mut scanner);
    assert_eq!(scanner.ignored.len(), 1);
    // What somebody has just written to is read whatever its times say.
    place.now_ns = Some(0);
    let written = RelPath::new("home/anna/Pictures/a.jpg").unwrap();
    place.paths(&mut scanner, &[written]);
    assert_eq!(scanner.ignored.len(), 0);
}
