//! Who is there, and whom the camera must leave out.

use super::catalogue;
use super::engine::{Engine, Moment};
use super::error::PhotosError;
use super::facts;
use super::fault::Write;
use super::session::{self, Session};
use nestwarden_policy_schema::consent::{ChildEntry, Purpose, RoomName};
use nestwarden_policy_schema::id::{ChildId, PhotoId};
use std::collections::BTreeSet;

/// The children of a session's rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roll {
    pub session: Option<Session>,
    /// The tablet's; where it has none of its own, every room of the setting.
    pub rooms: BTreeSet<RoomName>,
    pub children: Vec<OnRoll>,
}

/// One child. No name: tablets do not keep them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnRoll {
    pub child: ChildId,
    pub rooms: BTreeSet<RoomName>,
    pub booked_today: bool,
    /// Somebody said so.
    pub present: bool,
    pub camera: Camera,
}

/// Whether a child may be photographed. Never why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Camera {
    May,
    MayNot,
}

impl Engine {
    pub fn roll(&self, moment: &Moment<'_>) -> Result<Roll, PhotosError> {
        let session = self.ledger.read(session::session_open)?;
        let present = match &session {
            Some(session) => self.ledger.read(|sql| session::present(sql, session.id))?,
            None => BTreeSet::new(),
        };
        let register = &moment.bundle.register.children;
        let rooms = if moment.bundle.rooms.is_empty() {
            let of_children = register.values().flat_map(|child| &child.rooms);
            of_children.cloned().collect()
        } else {
            moment.bundle.rooms.clone()
        };
        let used = session.as_ref().map_or(&rooms, |session| &session.rooms);
        let today = moment.bundle.calendar.local_date(moment.now.at);
        let of_rooms = register
            .iter()
            .filter(|(_, entry)| entry.uses(used) && entry.is_enrolled(today))
            .map(|(id, _)| *id);
        let children: BTreeSet<ChildId> = of_rooms.chain(present.iter().copied()).collect();
        let children = children.into_iter().map(|child| {
            let entry = register.get(&child);
            OnRoll {
                child,
                rooms: entry.map(|entry| entry.rooms.clone()).unwrap_or_default(),
                booked_today: entry.is_some_and(|entry| entry.may_be_present(used, today)),
                present: present.contains(&child),
                camera: camera(moment, entry),
            }
        });
        Ok(Roll {
            children: children.collect(),
            session,
            rooms,
        })
    }

    /// Takes over who is there; whoever was, stays possible in what was taken meanwhile. The photos to judge again.
    pub fn present(
        &mut self,
        moment: &Moment<'_>,
        children: &BTreeSet<ChildId>,
    ) -> Result<BTreeSet<PhotoId>, PhotosError> {
        let register = &moment.bundle.register.children;
        if let Some(unknown) = children.iter().find(|id| !register.contains_key(id)) {
            return Err(PhotosError::NoSuchChild(*unknown));
        }
        self.commit(Write::Present, |tx| {
            let open = session::session_open(tx.sql())?.ok_or(PhotosError::NoSession)?;
            session::present_replace(tx.sql(), open.id, children)?;
            let touched = session::cohorts_extend(tx.sql(), open.id, children)?;
            for photo in &touched {
                facts::tell(tx, self.device, *photo, moment.now.at)?;
            }
            Ok(touched)
        })
    }

    /// Rows by a query for their ids.
    pub(super) fn rows_of(
        &self,
        select: &'static str,
        most: usize,
    ) -> Result<Vec<catalogue::PhotoRow>, PhotosError> {
        self.ledger.read(|sql| {
            let mut statement = sql.prepare(select)?;
            let ids = statement.query_map([i64::try_from(most).unwrap_or(i64::MAX)], |row| {
                row.get::<_, String>(0)
            })?;
            let mut rows = Vec::new();
            for id in ids {
                rows.extend(catalogue::photo(sql, catalogue::read(&id?)?)?);
            }
            Ok(rows)
        })
    }
}

/// One who is not on the register, is missing from the last import, or permits none of the setting's uses is left out.
fn camera(moment: &Moment<'_>, entry: Option<&ChildEntry>) -> Camera {
    let purposes: Vec<Purpose> = match moment.policy() {
        Some(policy) => policy.purposes.keys().copied().collect(),
        None => Purpose::ALL.to_vec(),
    };
    let permits = |entry: &ChildEntry| {
        let mut purposes = purposes.iter();
        purposes.any(|p| entry.permits(*p, &moment.bundle.calendar, moment.now.at))
    };
    match entry {
        Some(entry) if entry.missing_since.is_none() && permits(entry) => Camera::May,
        Some(_) | None => Camera::MayNot,
    }
}
