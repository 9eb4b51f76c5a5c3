//! What staff and the server are told of the photos on this tablet.

use super::catalogue::{self, FileState, PhotoRow};
use super::companion;
use super::engine::{Engine, Moment};
use super::error::PhotosError;
use super::facts;
use super::fault::Write;
use super::found;
use super::judgement::Judged;
use super::session::{self, Session};
use crate::ledger::LedgerTx;
use jiff::Timestamp;
use jiff::civil::DateTime;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::consent::{Cause, RoomName, Stage, Tagging};
use nestwarden_policy_schema::control::Outcome;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::{ChildId, PhotoId, SessionId};
use nestwarden_policy_schema::policy::Mode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    pub id: PhotoId,
    pub stage: Stage,
    /// What asks for the stage it is in, or on its way to.
    pub why: Option<Cause>,
    pub media: String,
    pub session: Option<SessionId>,
    pub captured_at: Timestamp,
    /// `captured_at` on the setting's clocks.
    pub captured_local: DateTime,
    /// The next stage, as far as is known now; `None` while nothing is due, or a hold keeps what is sealed from being destroyed.
    pub deadline: Option<Deadline>,
    pub tagging: Tagging,
    pub confirmed: BTreeSet<ChildId>,
    /// Whose answers count for it: the confirmed, and whoever else may be in it.
    pub subjects: BTreeSet<ChildId>,
    pub unregistered_person: bool,
    pub care_record: bool,
    pub found_at_enrolment: bool,
    /// Nothing touches it, and the police take the tablet.
    pub frozen: bool,
    /// What keeps it from being where it has to be: a problem, or what it waits for.
    pub note: Option<String>,
    /// Names it has in the roots and vaults.
    pub files: usize,
    /// Those names, as they are or were before the photo was withheld.
    pub paths: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    pub stage: Stage,
    pub at: Timestamp,
    /// `at` on the setting's clocks.
    pub at_local: DateTime,
    pub cause: Cause,
}

/// Who is in a photo, as a person said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tags {
    pub tagging: Tagging,
    #[serde(default)]
    pub confirmed: BTreeSet<ChildId>,
    #[serde(default)]
    pub unregistered_person: bool,
    #[serde(default)]
    pub care_record: bool,
}

impl Tags {
    /// The same said of a companion: nothing that was said of that one before is taken back.
    fn joined(&self, other: &PhotoRow) -> Self {
        let said = &other.subjects;
        let confirmed: BTreeSet<ChildId> = said.confirmed.union(&self.confirmed).copied().collect();
        let unregistered_person = said.unregistered_person || self.unregistered_person;
        let somebody = !confirmed.is_empty() || unregistered_person;
        let tagging = if self.tagging == Tagging::NoChild && somebody {
            Tagging::Complete
        } else {
            self.tagging
        };
        let may_be_care = other.care_record || said.tagging == Tagging::Untagged;
        Self {
            tagging,
            confirmed,
            unregistered_person,
            care_record: self.care_record && may_be_care,
        }
    }

    /// Whether something that was said of the photo would no longer be: a name, somebody not on the register, or that it
    /// is no care record.
    fn take_back(&self, row: &PhotoRow) -> bool {
        let said = &row.subjects;
        !said.confirmed.is_subset(&self.confirmed)
            || (said.unregistered_person && !self.unregistered_person)
            || (self.care_record && !row.care_record && said.tagging != Tagging::Untagged)
    }
}

impl Tags {
    /// Whether those who may be in it, because nobody had said, would no longer count.
    fn say_that_nobody_else_is_in(&self, row: &PhotoRow) -> bool {
        let others_may_be = |tagging| matches!(tagging, Tagging::Untagged | Tagging::Partial);
        others_may_be(row.subjects.tagging) && !others_may_be(self.tagging)
    }
}

/// How well the roots are being looked at.
#[derive(Clone, Debug, Default)]
pub struct Watchfulness {
    /// Whether all of them were scanned since the agent started.
    pub scanned: bool,
    pub roots: usize,
    /// What could not be read or watched, by path.
    pub problems: Vec<String>,
    /// A look at them has been under way for so long that nothing can be said of what came since.
    pub late: bool,
}

/// Lines of an outcome beyond which only their number is told.
const MAX_LINES: usize = 20;

impl Engine {
    pub fn list(&self, moment: &Moment<'_>) -> Result<Vec<Listing>, PhotosError> {
        let rows = self.ledger.read(catalogue::photos)?;
        let listed = rows.into_iter().filter(|row| !row.is_gone());
        Ok(listed.map(|row| self.listing(moment, row)).collect())
    }

    pub(super) fn listing(&self, moment: &Moment<'_>, row: PhotoRow) -> Listing {
        let judged = moment
            .policy()
            .map(|policy| self.verdict_on(moment, policy, &row));
        let judged = judged.as_ref();
        let calendar = &moment.bundle.calendar;
        let date = calendar.local_date(row.captured_at);
        let there = row.photo_files().filter(|f| f.state != FileState::Dropped);
        let paths: Vec<String> = there.map(|file| file.path.to_string()).collect();
        Listing {
            id: row.id,
            stage: row.stage,
            why: judged.and_then(|judged| Some(judged.why?.cause)),
            session: row.session,
            captured_at: row.captured_at,
            captured_local: calendar.local(row.captured_at),
            deadline: judged.and_then(|judged| deadline(row.stage, judged, calendar)),
            tagging: row.subjects.tagging,
            subjects: row.subjects.all(&moment.bundle.register, date),
            confirmed: row.subjects.confirmed,
            unregistered_person: row.subjects.unregistered_person,
            care_record: row.care_record,
            found_at_enrolment: row.found_month.is_some(),
            frozen: judged.is_some_and(|j| j.frozen),
            note: self.note(row.id, judged),
            files: paths.len(),
            paths,
            media: row.media,
        }
    }

    fn note(&self, id: PhotoId, judged: Option<&Judged>) -> Option<String> {
        let trouble = self.trouble.get(&id).map(|t| t.problem.clone());
        let waits = judged.is_some_and(Judged::waits_for_unseal);
        let wait = if self.asking.is_refused(id) {
            "sealed, waiting for unseal: the server does not authorise it"
        } else {
            "sealed, waiting for unseal"
        };
        trouble.or_else(|| waits.then(|| wait.to_owned()))
    }

    /// What the last pass came to.
    pub fn outcome(
        &self,
        moment: &Moment<'_>,
        watched: &Watchfulness,
    ) -> Result<Outcome, PhotosError> {
        let Some(policy) = moment.policy() else {
            return Ok(Outcome::Unmanaged);
        };
        let mut lines = Vec::new();
        for id in self.unsettled.iter().take(MAX_LINES) {
            let Some(row) = self.reread(*id)? else {
                continue;
            };
            let judged = self.verdict_on(moment, policy, &row);
            let note = self.note(*id, Some(&judged));
            let note = note.map(|note| format!(" ({note})"));
            let (stage, due) = (name(judged.stage), name(judged.due));
            lines.push(format!(
                "photo {id} is {stage}, due {due}{}",
                note.unwrap_or_default()
            ));
        }
        let more = self.unsettled.len().saturating_sub(MAX_LINES);
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        let decision = moment.bundle.found_photos.as_ref();
        let waiting = self.ledger.read(|sql| found::undecided(sql, decision))?;
        let waiting = (waiting > 0).then(|| found::waits(waiting));
        let held_as = match moment.only_loss {
            // By the profile's own rules nothing was held.
            Some(_) => Mode::Observe,
            None => policy.mode,
        };
        Ok(outcome(held_as, lines, waiting, watched))
    }

    /// Takes over who is in a photo, and in what belongs with it: the photos the caller has to pass over again.
    pub fn tag(
        &mut self,
        moment: &Moment<'_>,
        photo: PhotoId,
        tags: &Tags,
    ) -> Result<BTreeSet<PhotoId>, PhotosError> {
        let register = &moment.bundle.register.children;
        if let Some(unknown) = tags.confirmed.iter().find(|id| !register.contains_key(id)) {
            return Err(PhotosError::NoSuchChild(*unknown));
        }
        let tagged = self.commit(Write::Tagged, |tx| {
            let row = catalogue::photo(tx.sql(), photo)?
                .filter(|row| row.stage != Stage::Destroyed)
                .ok_or(PhotosError::NoSuchPhoto(photo))?;
            if tags.take_back(&row) {
                return Err(PhotosError::TagsLoosened(photo));
            }
            if row.stage == Stage::Sealed && tags.say_that_nobody_else_is_in(&row) {
                return Err(PhotosError::Sealed(photo));
            }
            let others = companion::others(tx.sql(), &row)?;
            let mut tagged = BTreeSet::from([photo]);
            found::take_up(tx, moment, &row)?;
            self.take_over_tags(tx, photo, tags, moment.now.at)?;
            for other in others {
                let joined = tags.joined(&other);
                if other.stage == Stage::Sealed && joined.say_that_nobody_else_is_in(&other) {
                    continue;
                }
                found::take_up(tx, moment, &other)?;
                self.take_over_tags(tx, other.id, &joined, moment.now.at)?;
                tagged.insert(other.id);
            }
            Ok(tagged)
        })?;
        for photo in &tagged {
            self.asking.forget_refusal(*photo);
        }
        Ok(tagged)
    }

    fn take_over_tags(
        &self,
        tx: &LedgerTx<'_>,
        photo: PhotoId,
        tags: &Tags,
        at: Timestamp,
    ) -> Result<(), PhotosError> {
        catalogue::tags_replace(tx.sql(), photo, &tags.confirmed)?;
        tx.sql().execute(
            "UPDATE photo SET tagging = ?2, unregistered_person = ?3, care_record = ?4, tagged_at = ?5 WHERE id = ?1",
            rusqlite::params![
                photo.to_string(),
                catalogue::word(&tags.tagging)?,
                tags.unregistered_person,
                tags.care_record,
                at.to_string(),
            ],
        )?;
        let event = EventBody::PhotoTagged {
            photo,
            tagging: tags.tagging,
            confirmed: tags.confirmed.len() as u64,
        };
        tx.record(at, &event)?;
        facts::tell(tx, self.device, photo, at)
    }

    /// Opens a session for these rooms; without any, for the rooms of the tablet.
    pub fn session_start(
        &mut self,
        moment: &Moment<'_>,
        rooms: BTreeSet<RoomName>,
    ) -> Result<Session, PhotosError> {
        let rooms = if rooms.is_empty() {
            moment.bundle.rooms.clone()
        } else {
            rooms
        };
        let session = Session {
            id: SessionId::from_uuid(Uuid::now_v7()),
            rooms,
            started_at: moment.now.at,
        };
        self.commit(Write::SessionStarted, |tx| {
            if let Some(open) = session::session_open(tx.sql())? {
                return Err(PhotosError::SessionOpen(open.started_at));
            }
            session::session_insert(tx.sql(), &session)?;
            let event = EventBody::SessionStarted {
                session: session.id,
                rooms: session.rooms.clone(),
            };
            tx.record(moment.now.at, &event)?;
            Ok(())
        })?;
        Ok(session)
    }

    /// Ends the open session; how many photos were taken in it.
    pub fn session_end(&mut self, at: Timestamp) -> Result<(Session, u64), PhotosError> {
        self.commit(Write::SessionEnded, |tx| {
            let open = session::session_open(tx.sql())?.ok_or(PhotosError::NoSession)?;
            let photos = session::session_end(tx.sql(), open.id, at)?;
            let event = EventBody::SessionEnded {
                session: open.id,
                photos,
            };
            tx.record(at, &event)?;
            Ok((open, photos))
        })
    }
}

fn outcome(
    mode: Mode,
    mut lines: Vec<String>,
    waiting: Option<String>,
    watched: &Watchfulness,
) -> Outcome {
    if mode == Mode::Observe {
        lines.extend(waiting);
        return Outcome::Observed {
            would_change: lines,
        };
    }
    let mut problems = watched.problems.clone();
    let unseen = problems.len().saturating_sub(MAX_LINES);
    problems.truncate(MAX_LINES);
    if unseen > 0 {
        problems.push(format!("and {unseen} more"));
    }
    if watched.late {
        let late = "looking at the folders takes unusually long; if it goes on, restart the tablet and look for very large files or very many";
        problems.push(late.to_owned());
    }
    problems.extend(waiting);
    let error = (!problems.is_empty()).then(|| problems.join("; "));
    if !lines.is_empty() {
        Outcome::Drifted {
            remaining: lines,
            error,
        }
    } else if let Some(error) = error {
        Outcome::Unknown { error }
    } else if !watched.scanned {
        let error = "the capture roots have not been looked at yet".to_owned();
        Outcome::Unknown { error }
    } else if watched.roots == 0 {
        let error = "none of the policy's capture roots exists on this tablet".to_owned();
        Outcome::Unknown { error }
    } else {
        Outcome::Compliant
    }
}

fn deadline(stage: Stage, judged: &Judged, calendar: &Calendar) -> Option<Deadline> {
    let schedule = &judged.schedule;
    let stages = [
        (Stage::Withheld, schedule.withhold),
        (Stage::Sealed, schedule.seal),
        (Stage::Destroyed, schedule.destroy),
    ];
    stages.into_iter().find_map(|(next, due)| {
        let due = due.filter(|_| next > stage)?;
        Some(Deadline {
            stage: next,
            at: due.at,
            at_local: calendar.local(due.at),
            cause: due.cause,
        })
    })
}

const fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Live => "live",
        Stage::Withheld => "withheld",
        Stage::Sealed => "sealed",
        Stage::Destroyed => "destroyed",
    }
}
