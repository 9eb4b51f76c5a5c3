//! What the rest of the agent asks of the photos task.

use super::catalogue;
use super::engine::{Engine, Moment};
use super::error::PhotosError;
use super::listing::{Listing, Tags};
use super::roll::Roll;
use super::session::Session;
use super::viewing::{Sorting, Viewed};
use crate::ledger::Ledger;
use nestwarden_policy_schema::consent::{RoomName, Stage};
use nestwarden_policy_schema::id::{ChildId, PhotoId, SessionId};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::{mpsc, oneshot, watch};

pub(super) type Reply<T> = oneshot::Sender<Result<T, PhotosError>>;

/// Reads and changes nothing.
pub(super) type Look =
    Box<dyn FnOnce(Result<(&Engine, &Moment<'_>), PhotosError>) + Send + 'static>;

pub(super) enum Request {
    Look(Look),
    Present(BTreeSet<ChildId>, Reply<()>),
    SessionStart(BTreeSet<RoomName>, Reply<Session>),
    SessionEnd(Reply<(Session, u64)>),
    Tag(PhotoId, Tags, Reply<()>),
    Rescan(Reply<()>),
}

/// Speaks to the task; clones share it. Every call fails with [`PhotosError::TaskEnded`] once the task has.
#[derive(Clone)]
pub struct PhotosHandle {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) ledger: Ledger,
    pub(super) open: watch::Receiver<Option<SessionId>>,
}

impl PhotosHandle {
    /// Without rooms: the rooms of the tablet.
    pub async fn session_start(&self, rooms: BTreeSet<RoomName>) -> Result<Session, PhotosError> {
        self.ask(|reply| Request::SessionStart(rooms, reply)).await
    }

    /// Looks at the roots once more first, so that the last photo taken still belongs to it. How many there are.
    pub async fn session_end(&self) -> Result<(Session, u64), PhotosError> {
        self.ask(Request::SessionEnd).await
    }

    pub fn open_session(&self) -> watch::Receiver<Option<SessionId>> {
        self.open.clone()
    }

    /// By capture; the destroyed, and those somebody removed, are not listed.
    pub async fn list(&self) -> Result<Vec<Listing>, PhotosError> {
        self.look(Engine::list).await
    }

    /// The open session, and the children who may be photographed or not in its rooms; without a session, the tablet's.
    pub async fn roll(&self) -> Result<Roll, PhotosError> {
        self.look(Engine::roll).await
    }

    /// Who is there in the open session besides those booked. Returns when the photos taken in it have been judged again.
    pub async fn present(&self, children: BTreeSet<ChildId>) -> Result<(), PhotosError> {
        self.ask(|reply| Request::Present(children, reply)).await
    }

    /// The photos nobody has said everything of, oldest first, at most `most`, and how many there are.
    pub async fn to_sort(&self, most: usize) -> Result<Sorting, PhotosError> {
        self.look(move |engine, moment| engine.to_sort(moment, most))
            .await
    }

    /// One photo as [`Self::list`] has it.
    pub async fn photo(&self, photo: PhotoId) -> Result<Listing, PhotosError> {
        self.look(move |engine, moment| engine.photo(moment, photo))
            .await
    }

    /// The newest photos, newest first, at most `most`.
    pub async fn newest(&self, most: usize) -> Result<Sorting, PhotosError> {
        self.look(move |engine, moment| engine.newest(moment, most))
            .await
    }

    /// Opens a photo for whoever sorts it; a withheld one too, never one that a hold froze.
    pub async fn view(&self, photo: PhotoId) -> Result<Viewed, PhotosError> {
        self.look(move |engine, moment| engine.view(moment, photo))
            .await
    }

    /// Returns when the photo has been judged by its new tags and withheld or brought back.
    pub async fn tag(&self, photo: PhotoId, tags: Tags) -> Result<(), PhotosError> {
        self.ask(|reply| Request::Tag(photo, tags, reply)).await
    }

    pub async fn counts(&self) -> Result<BTreeMap<Stage, u64>, PhotosError> {
        self.count(catalogue::counts).await
    }

    /// By month, `2026-03`.
    pub async fn found_at_enrolment(&self) -> Result<BTreeMap<String, u64>, PhotosError> {
        self.count(catalogue::found_at_enrolment).await
    }

    /// Returns when everything in the roots has been looked at from now on.
    pub async fn rescan(&self) -> Result<(), PhotosError> {
        self.ask(Request::Rescan).await
    }

    /// Of the last commit, whatever the task is doing.
    async fn count<T: Send + 'static>(
        &self,
        count: fn(&Connection) -> Result<T, PhotosError>,
    ) -> Result<T, PhotosError> {
        if self.requests.is_closed() {
            return Err(PhotosError::TaskEnded);
        }
        let ledger = self.ledger.clone();
        tokio::task::spawn_blocking(move || ledger.read(count))
            .await
            .map_err(|_| PhotosError::TaskEnded)?
    }

    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Engine, &Moment<'_>) -> Result<T, PhotosError> + Send + 'static,
    ) -> Result<T, PhotosError> {
        self.ask(|reply| {
            Request::Look(Box::new(move |asked| {
                // Who asked may have gone.
                let _ = reply.send(asked.and_then(|(engine, moment)| look(engine, moment)));
            }))
        })
        .await
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, PhotosError> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(request(reply))
            .await
            .map_err(|_| PhotosError::TaskEnded)?;
        answer.await.map_err(|_| PhotosError::TaskEnded)?
    }
}
