//! Takes what a scan saw into the catalogue: which photo each file belongs to, and who may be in the new ones.

use super::alike::{self, Alike};
use super::catalogue::{self, FileRow, NewPhoto, Part, PhotoRow};
use super::companion;
use super::engine::{Engine, Moment};
use super::error::PhotosError;
use super::facts;
use super::fault::Write;
use super::finish::inherited;
use super::known::Known;
use super::roots::RootKind;
use super::scan::{Batch, Sighting, Twin, Unread};
use super::session::{self, Session};
use super::tree::{self, Lookup, RelPath};
use crate::ledger::LedgerTx;
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::{Stage, Subjects};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::hold::{Hold, HoldScope};
use nestwarden_policy_schema::id::{DeviceId, PhotoId};
use rusqlite::params;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::OnceLock;
use uuid::Uuid;

impl Engine {
    /// What a scan may ask, and must leave alone.
    pub fn known(&self, moment: &Moment<'_>) -> Result<Known, PhotosError> {
        let vaults = self.ledger.read(catalogue::vaults)?;
        let starts = self.ledger.read(pattern_starts)?;
        let mut holds = moment.bundle.holds.holds.iter();
        Ok(Known {
            ledger: self.ledger.clone(),
            frozen: self.frozen.clone(),
            frozen_files: OnceLock::new(),
            everything_frozen: holds.any(|hold| self.freezes_what_is_new(hold, moment.now.at)),
            vaults: self.vaults.identities(&vaults),
            places: self.vaults.clone(),
            now_ns: self.file_system_now().ok(),
            begun: starts
                .into_iter()
                .filter_map(|(pattern, begun)| Some((pattern, begun?)))
                .collect(),
        })
    }

    fn freezes_what_is_new(&self, hold: &Hold, now: Timestamp) -> bool {
        let covers = match hold.scope {
            HoldScope::Device { device } => device == self.device,
            HoldScope::Window { from, to } => from <= now && now < to,
            HoldScope::Photo { .. } | HoldScope::Child { .. } | HoldScope::Staff { .. } => false,
        };
        covers && hold.category.freezes()
    }

    /// Before the first look into the roots of a pattern: what is in them by now was found there.
    pub fn roots_begun(&self, patterns: &BTreeSet<String>) -> Result<(), PhotosError> {
        let known = self.ledger.read(pattern_starts)?;
        let new: Vec<&String> = patterns
            .iter()
            .filter(|p| !known.contains_key(*p))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let begun_ns = self.file_system_now()?;
        // What was there before the record was lost was not there before the enrolment.
        let was_lost = self.ledger.read(crate::ledger::was_lost)?;
        self.commit(Write::RootsBegun, |tx| {
            for pattern in new {
                tx.sql().execute(
                    "INSERT OR IGNORE INTO photo_root (pattern, begun_ns, done) VALUES (?1, ?2, ?3)",
                    params![pattern, begun_ns, was_lost],
                )?;
            }
            Ok(())
        })
    }

    /// After a look into all of them: from now on what turns up is new, whatever its times say.
    pub fn roots_done(&self, patterns: &BTreeSet<String>) -> Result<(), PhotosError> {
        let open = self.ledger.read(pattern_starts)?;
        if open.values().all(Option::is_none) {
            return Ok(());
        }
        self.commit(Write::RootsDone, |tx| {
            for pattern in patterns {
                tx.sql().execute(
                    "UPDATE photo_root SET done = 1 WHERE pattern = ?1",
                    [pattern],
                )?;
            }
            Ok(())
        })
    }

    /// The clock that stamps files, which is not the trusted one.
    fn file_system_now(&self) -> Result<i64, PhotosError> {
        let state = self
            .vaults
            .own_parent()
            .ok_or_else(|| PhotosError::Damaged("no state folder".to_owned()))?;
        let dir = self.tree().dir(&state)?;
        let name = OsStr::new("now");
        tree::unlink(&dir, name)?;
        let file = tree::create_new(&dir, name)?;
        let at = tree::stat_open(&file)?.identity.ctime_ns;
        tree::unlink(&dir, name)?;
        Ok(at)
    }

    /// Takes over what was seen: the photos it is about, and what has to be read before the rest can be.
    pub fn absorb(
        &mut self,
        moment: &Moment<'_>,
        batch: Batch,
    ) -> Result<(BTreeSet<PhotoId>, Unread), PhotosError> {
        let mut touched = BTreeSet::new();
        let mut unread = Unread::default();
        let starts = self.ledger.read(pattern_starts)?;
        let session = self.ledger.read(session::session_open)?;
        let session = session.as_ref();
        let engine = &*self;
        if !batch.sightings.is_empty() || !batch.contents.is_empty() {
            engine.commit(Write::Sightings, |tx| {
                for (photo, content, bytes) in &batch.contents {
                    touched.extend(read_whole(tx.sql(), *photo, content, *bytes)?);
                }
                let mut subjects = None;
                let mut there = Lookup::new(engine.tree());
                for sighting in batch.sightings {
                    let found = found_month(moment, &starts, &sighting);
                    let before = catalogue::file_present_at(tx.sql(), &sighting.path)?;
                    if let Some(twins) = must_be_compared(tx.sql(), &sighting, before.as_ref())? {
                        unread.photos.extend(twins);
                        unread.sightings.push(sighting);
                        continue;
                    }
                    // Nothing happens to it, and no hold asks whether it does.
                    let is_counted = found.is_some() && moment.bundle.holds.holds.is_empty();
                    let new = New {
                        session,
                        found_month: found,
                        subjects: &mut subjects,
                    };
                    let is_there = there
                        .stat(&sighting.path)
                        .is_ok_and(|stat| stat.identity.is_same_file(&sighting.stat.identity));
                    if !is_there {
                        continue;
                    }
                    let of = engine.take_over(tx, moment, (&sighting, before), new)?;
                    if !is_counted || sighting.content.is_some() || sighting.is_long() {
                        touched.extend(of);
                    }
                }
                Ok(())
            })?;
        }
        if !batch.missing.is_empty() {
            touched.extend(engine.commit(Write::Missing, |tx| {
                let mut gone = BTreeSet::new();
                let mut there = Lookup::new(engine.tree());
                for path in &batch.missing {
                    gone.extend(miss(tx, &mut there, path)?);
                }
                Ok(gone)
            })?);
        }
        if !batch.beside.is_empty() {
            touched.extend(engine.take_late_sidecars(&batch.beside)?);
        }
        Ok((touched, unread))
    }

    fn take_over(
        &self,
        tx: &LedgerTx<'_>,
        moment: &Moment<'_>,
        (sighting, before): (&Sighting, Option<FileRow>),
        new: New<'_>,
    ) -> Result<Vec<PhotoId>, PhotosError> {
        let sql = tx.sql();
        let (bytes, head) = (sighting.bytes, &sighting.head);
        let known = match &sighting.content {
            Some(content) => catalogue::photo_by_content(sql, content)?,
            None if sighting.is_long() => {
                alike::photo_by_file(sql, bytes, head, &sighting.stat.identity)?
            }
            // Nothing begins like it.
            None => None,
        };
        if let (Some(file), Some(photo)) = (&before, &known)
            && file.photo == photo.id
        {
            catalogue::file_identify(sql, file.id, &sighting.stat.identity)?;
            return Ok(vec![photo.id]);
        }
        let changed = before
            .as_ref()
            .filter(|file| is_same_and_known(file, sighting));
        let origin = match changed {
            Some(file) => catalogue::photo(sql, file.photo)?,
            None => None,
        };
        let alike = if sighting.is_long() && known.is_none() {
            alike::alike(sql, bytes, head, origin.as_ref().map(|origin| origin.id))?
        } else {
            None
        };
        if let (Some(file), Some(origin), None, None) = (changed, &origin, &known, &alike)
            && may_be_rewritten(origin, file)
        {
            rewritten(tx, (origin, self.device), file, sighting, moment.now.at)?;
            return Ok(vec![origin.id]);
        }
        let mut touched = Vec::new();
        if let Some(file) = &before {
            catalogue::file_forget(sql, file.id)?;
            touched.push(file.photo);
        }
        let photo = match known {
            Some(known) if known.stage != Stage::Destroyed => Some(known.id),
            // What was destroyed and turns up again goes the same way, by itself and with a receipt of its own.
            Some(destroyed) => {
                let origin = Origin::Of(&destroyed);
                Some(begin((tx, self.device), moment, sighting, origin)?)
            }
            None if sighting.root.kind != RootKind::Capture && alike.is_none() => None,
            None => {
                // Photos found at enrolment are only counted.
                let companion = match (&origin, &new.found_month) {
                    (None, None) => companion::of(sql, &sighting.path, &sighting.stat.identity)?,
                    (Some(_), _) | (_, Some(_)) => None,
                };
                let companion = companion
                    .filter(|other| other.found_month.is_none() && other.stage != Stage::Destroyed);
                // Found beside others that are only counted, it is counted, too.
                let mut alike = alike.filter(|alike| new.found_month.is_none() || !alike.found);
                if let (Some(alike), Some(origin)) = (&mut alike, &origin) {
                    add(&mut alike.subjects, &origin.subjects);
                }
                let origin = match (&origin, &companion, alike) {
                    (_, _, Some(alike)) => Origin::New(new, Some(alike)),
                    (Some(origin), _, None) => Origin::Of(origin),
                    (None, Some(other), None) => Origin::With(other),
                    (None, None, None) => Origin::New(new, None),
                };
                Some(begin((tx, self.device), moment, sighting, origin)?)
            }
        };
        if let Some(photo) = photo {
            let place = (&sighting.path, &sighting.root.path);
            let in_trash = sighting.root.kind == RootKind::Trash || is_trash(&sighting.path);
            catalogue::file_insert(sql, photo, place, (Part::Photo, in_trash), &sighting.stat)?;
            touched.push(photo);
        }
        Ok(touched)
    }
}

fn miss(
    tx: &LedgerTx<'_>,
    there: &mut Lookup<'_>,
    path: &RelPath,
) -> Result<Option<PhotoId>, PhotosError> {
    let Some(file) = catalogue::file_present_at(tx.sql(), path)? else {
        return Ok(None);
    };
    let is_there = there
        .stat(path)
        .is_ok_and(|stat| stat.identity == file.identity);
    // It came back since, or a job is at work on it and will say.
    if is_there || catalogue::is_under_way(tx.sql(), file.id)? {
        return Ok(None);
    }
    catalogue::file_forget(tx.sql(), file.id)?;
    Ok(Some(file.photo))
}

/// A trash of a file system that was plugged in lies on it: `.Trash-1000/files`.
pub(super) fn is_trash(path: &RelPath) -> bool {
    let files = path.parent().filter(|dir| dir.name() == "files");
    files.and_then(|files| files.parent()).is_some_and(|trash| {
        trash.name().as_bytes().starts_with(b".Trash")
            || trash.parent().is_some_and(|all| all.name() == ".Trash")
    })
}

enum Origin<'a> {
    Of(&'a PhotoRow),
    /// Of one moment with another.
    With(&'a PhotoRow),
    /// What is too long to be compared with what begins like it is held to all of it until it is sealed.
    New(New<'a>, Option<Alike>),
}

/// What is the same for every photo that comes of no other, seen at one moment.
struct New<'a> {
    session: Option<&'a Session>,
    found_month: Option<String>,
    /// Who may be in it, and the number of that set, once it was found out.
    subjects: &'a mut Option<(Subjects, i64)>,
}

/// Whether a file and photos that may be the same as it have to be read first: the photos. `None`: it can be told apart.
fn must_be_compared(
    sql: &rusqlite::Connection,
    sighting: &Sighting,
    before: Option<&FileRow>,
) -> Result<Option<Vec<Twin>>, PhotosError> {
    if sighting.is_compared || sighting.is_long() {
        return Ok(None);
    }
    let (bytes, head) = (sighting.bytes, &sighting.head);
    let alone = match sighting.content {
        Some(_) => false,
        None => !alike::has_alike(sql, bytes, head)? && before.is_none(),
    };
    if alone {
        return Ok(None);
    }
    let twins = alike::twins(sql, bytes, head)?;
    Ok((sighting.content.is_none() || !twins.is_empty()).then_some(twins))
}

/// A photo of which only the beginning was known was read. Should it hold what another one does by now, its files are
/// that one's, with everybody who was said to be in it.
fn read_whole(
    sql: &rusqlite::Connection,
    photo: PhotoId,
    content: &Digest,
    bytes: u64,
) -> Result<Vec<PhotoId>, PhotosError> {
    let row = catalogue::photo(sql, photo)?;
    let Some(row) = row.filter(|row| row.hash.is_none() && row.stage != Stage::Destroyed) else {
        return Ok(Vec::new());
    };
    let known = catalogue::photo_by_content(sql, content)?;
    let known = known.filter(|known| known.stage != Stage::Destroyed);
    let Some(known) = known else {
        sql.prepare_cached("UPDATE photo SET keyed_hash = ?2, bytes = ?3 WHERE id = ?1")?
            .execute(params![photo.to_string(), content.0, bytes.cast_signed()])?;
        return Ok(vec![photo]);
    };
    let of_both = row.subjects.confirmed.union(&known.subjects.confirmed);
    catalogue::tags_replace(sql, known.id, &of_both.copied().collect())?;
    let ids = params![photo.to_string(), known.id.to_string()];
    sql.execute("UPDATE photo_file SET photo = ?2 WHERE photo = ?1", ids)?;
    sql.execute(
        "UPDATE photo SET unregistered_person = unregistered_person OR ?2 WHERE id = ?1",
        params![known.id.to_string(), row.subjects.unregistered_person],
    )?;
    Ok(vec![photo, known.id])
}

/// The one file of a photo was written on: a camera that had not finished, or an edit. It stays the same photo.
fn rewritten(
    tx: &LedgerTx<'_>,
    (photo, device): (&PhotoRow, DeviceId),
    file: &FileRow,
    sighting: &Sighting,
    at: Timestamp,
) -> Result<(), PhotosError> {
    tx.sql().execute(
        "UPDATE photo SET keyed_hash = ?2, bytes = ?3, media = ?4, head = ?5 WHERE id = ?1",
        params![
            photo.id.to_string(),
            sighting.content.as_ref().map_or(&[][..], |hash| &hash.0),
            sighting.bytes.cast_signed(),
            sighting.media.as_str(),
            sighting.head.0
        ],
    )?;
    if photo.media != sighting.media.as_str() {
        facts::tell(tx, device, photo.id, at)?;
    }
    catalogue::file_identify(tx.sql(), file.id, &sighting.stat.identity)
}

fn begin(
    (tx, device): (&LedgerTx<'_>, DeviceId),
    moment: &Moment<'_>,
    sighting: &Sighting,
    origin: Origin<'_>,
) -> Result<PhotoId, PhotosError> {
    let id = PhotoId::from_uuid(Uuid::now_v7());
    let media = sighting.media.as_str();
    let (hash, head) = (sighting.content, Some(sighting.head));
    let session = match origin {
        Origin::Of(from) => {
            let photo = inherited(from, id, hash, sighting.bytes, &from.subjects);
            catalogue::photo_insert(
                tx.sql(),
                &NewPhoto {
                    head,
                    media,
                    ..photo
                },
            )?;
            from.session
        }
        Origin::With(other) => {
            let photo = inherited(other, id, hash, sighting.bytes, &other.subjects);
            let photo = NewPhoto {
                media,
                head,
                captured_at: moment.now.at,
                companion_of: Some(other.companion_of.unwrap_or(other.id)),
                ..photo
            };
            catalogue::photo_insert(tx.sql(), &photo)?;
            other.session
        }
        Origin::New(new, alike) => {
            let own;
            let (subjects, cohort) = match (alike.as_ref(), new.subjects) {
                (Some(alike), _) => {
                    let mut subjects = subjects_of_new(tx, moment, new.session)?;
                    add(&mut subjects, &alike.subjects);
                    own = subjects;
                    (&own, None)
                }
                (None, Some((subjects, cohort))) => (&*subjects, Some(*cohort)),
                (None, unknown) => {
                    let subjects = subjects_of_new(tx, moment, new.session)?;
                    let cohort = catalogue::cohort(tx.sql(), &subjects.possible_when_taken)?;
                    (&unknown.insert((subjects, cohort)).0, Some(cohort))
                }
            };
            let session = new
                .session
                .filter(|_| new.found_month.is_none() && alike.is_none());
            let found_month = new.found_month.filter(|_| alike.is_none());
            let first = alike
                .as_ref()
                .map_or(moment.now.at, |alike| alike.captured_at);
            let photo = NewPhoto {
                id,
                hash,
                head,
                bytes: sighting.bytes,
                media,
                captured_at: first.min(moment.now.at),
                session: session.map(|s| s.id),
                subjects,
                care_record: false,
                found_month: found_month.as_deref(),
                uploaded_at: None,
                companion_of: None,
                cohort,
            };
            catalogue::photo_insert(tx.sql(), &photo)?;
            if found_month.is_some() {
                // Only counted: it is told of once somebody decided that it counts.
                return Ok(id);
            }
            session.map(|s| s.id)
        }
    };
    let event = EventBody::PhotoSeen {
        photo: id,
        session,
        media: media.to_owned(),
    };
    tx.record(moment.now.at, &event)?;
    facts::tell(tx, device, id, moment.now.at)?;
    Ok(id)
}

/// Everybody of both.
fn add(to: &mut Subjects, of: &Subjects) {
    to.confirmed.extend(&of.confirmed);
    to.possible_when_taken.extend(&of.possible_when_taken);
    to.rooms.extend(of.rooms.iter().cloned());
    to.unregistered_person |= of.unregistered_person;
}

fn subjects_of_new(
    tx: &LedgerTx<'_>,
    moment: &Moment<'_>,
    session: Option<&Session>,
) -> Result<Subjects, PhotosError> {
    let rooms = session.map_or(&moment.bundle.rooms, |session| &session.rooms);
    let mut subjects = Subjects {
        rooms: rooms.clone(),
        ..Subjects::default()
    };
    let today = moment.bundle.calendar.local_date(moment.now.at);
    subjects.possible_when_taken = subjects.possible(&moment.bundle.register, today);
    if let Some(session) = session {
        // Ticked as being there; a booked child whom nobody ticked may be in it all the same.
        let present = session::present(tx.sql(), session.id)?;
        subjects.possible_when_taken.extend(present);
    }
    Ok(subjects)
}

/// Whether this is the very inode the catalogue knows, with other content. Without a birth time that cannot be told from
/// another file that got the old one's number.
fn is_same_and_known(file: &FileRow, sighting: &Sighting) -> bool {
    file.identity.born_ns != 0 && file.identity.is_same_file(&sighting.stat.identity)
}

fn may_be_rewritten(photo: &PhotoRow, file: &FileRow) -> bool {
    photo.stage == Stage::Live && photo.photo_files().all(|other| other.id == file.id)
}

/// When each pattern was first looked at; `None` once that look was done.
fn pattern_starts(sql: &rusqlite::Connection) -> Result<HashMap<String, Option<i64>>, PhotosError> {
    let mut statement = sql.prepare("SELECT pattern, begun_ns, done FROM photo_root")?;
    let rows = statement.query_map([], |row| {
        let done: bool = row.get(2)?;
        let begun: i64 = row.get(1)?;
        Ok((row.get(0)?, (!done).then_some(begun)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The month a photo was made in, by its own time, if it was there before its root was looked after.
fn found_month(
    moment: &Moment<'_>,
    starts: &HashMap<String, Option<i64>>,
    sighting: &Sighting,
) -> Option<String> {
    let begun = starts.get(&sighting.root.pattern).copied().flatten()?;
    let identity = &sighting.stat.identity;
    if identity.ctime_ns >= begun {
        return None;
    }
    let made = Timestamp::from_nanosecond(i128::from(identity.mtime_ns)).unwrap_or(moment.now.at);
    let date = moment.bundle.calendar.local_date(made);
    Some(format!("{:04}-{:02}", date.year(), date.month()))
}
