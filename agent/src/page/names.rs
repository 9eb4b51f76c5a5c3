//! The children's names for the screens of one session: asked once, kept in memory, forgotten at its end.

use crate::door::NamesDoor;
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::device_api::{NamesAnswer, NamesRequest};
use nestwarden_policy_schema::id::{ChildId, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zeroize::Zeroize as _;

/// How long a screen waits for names before it is shown without. They are taken over when they come later.
const WAIT: Duration = Duration::from_secs(4);

/// Clones share them.
#[derive(Clone)]
pub(super) struct Names {
    door: Arc<dyn NamesDoor>,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    session: Option<SessionId>,
    asked: bool,
    known: BTreeMap<ChildId, Known>,
}

#[derive(Clone)]
struct Known {
    name: String,
    rooms: BTreeSet<RoomName>,
}

impl Drop for Known {
    fn drop(&mut self) {
        self.name.zeroize();
    }
}

/// The names as they stand, for one screen.
pub(super) struct Sheet {
    known: BTreeMap<ChildId, Known>,
}

impl Names {
    pub(super) fn new(door: Arc<dyn NamesDoor>) -> Self {
        Self {
            door,
            kept: Arc::default(),
        }
    }

    /// The names of the session; asked for if nobody did yet.
    pub(super) async fn of(&self, session: SessionId, rooms: &BTreeSet<RoomName>) -> Sheet {
        let asked = {
            let mut kept = self.kept_for(session);
            std::mem::replace(&mut kept.asked, true)
        };
        if !asked {
            self.ask(session, rooms.clone()).await;
        }
        Sheet {
            known: self.kept_for(session).known.clone(),
        }
    }

    /// Asks the server, for all rooms where `rooms` is empty. What is known stays when it does not answer.
    pub(super) async fn ask(&self, session: SessionId, rooms: BTreeSet<RoomName>) {
        let names = self.clone();
        let asking = tokio::spawn(async move {
            let answer = names.door.names(NamesRequest { session, rooms }).await;
            match answer {
                Ok(answer) => names.take(session, answer),
                Err(error) => tracing::info!(error, "the server gave no names"),
            }
        });
        // Whatever comes later is there for the next screen.
        let _ = tokio::time::timeout(WAIT, asking).await;
    }

    /// Forgets those of every session but this one.
    pub(super) fn keep_only(&self, session: Option<SessionId>) {
        let mut kept = self.lock();
        if kept.session != session {
            *kept = Kept::default();
        }
    }

    fn take(&self, session: SessionId, answer: NamesAnswer) {
        let mut kept = self.lock();
        // The session may have ended while the server thought.
        if kept.session == Some(session) {
            let known = answer.children.into_iter().map(|named| {
                let (name, rooms) = (named.name, named.rooms);
                (named.child, Known { name, rooms })
            });
            kept.known.extend(known);
        }
    }

    fn kept_for(&self, session: SessionId) -> MutexGuard<'_, Kept> {
        let mut kept = self.lock();
        if kept.session != Some(session) {
            *kept = Kept {
                session: Some(session),
                ..Kept::default()
            };
        }
        kept
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sheet {
    /// No names at all: without a session, or a server.
    pub(super) fn empty() -> Self {
        Self {
            known: BTreeMap::new(),
        }
    }

    pub(super) fn is_known(&self, child: ChildId) -> bool {
        self.known.contains_key(&child)
    }

    /// The name, or the last characters of the id where the name is not known.
    pub(super) fn name(&self, child: ChildId) -> String {
        match self.known.get(&child) {
            Some(known) => known.name.clone(),
            None => super::texts::nameless(&short(child)),
        }
    }

    /// By name, those without one last.
    pub(super) fn sort<T>(&self, children: &mut [T], child: impl Fn(&T) -> ChildId) {
        children.sort_by_cached_key(|entry| {
            let id = child(entry);
            let known = self.known.get(&id);
            (known.is_none(), known.map(|k| k.name.to_lowercase()), id)
        });
    }

    /// Children with a name who are not among `others`, with their rooms.
    pub(super) fn besides(
        &self,
        others: &BTreeSet<ChildId>,
    ) -> Vec<(ChildId, &BTreeSet<RoomName>)> {
        let besides = self.known.iter().filter(|(id, _)| !others.contains(id));
        besides.map(|(id, known)| (*id, &known.rooms)).collect()
    }
}

fn short(child: ChildId) -> String {
    let text = child.as_uuid().simple().to_string().to_uppercase();
    text.chars().skip(text.len() - 6).collect()
}
