//! What the rest of the agent asks of the photos task.

use super::error::PhotosError;
use super::listing::{Listing, Tags};
use super::session::Session;
use nestwarden_policy_schema::consent::{RoomName, Stage};
use nestwarden_policy_schema::id::{PhotoId, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::{mpsc, oneshot, watch};

pub(super) type Reply<T> = oneshot::Sender<Result<T, PhotosError>>;

pub(super) enum Request {
    SessionStart(BTreeSet<RoomName>, Reply<Session>),
    SessionEnd(Reply<(Session, u64)>),
    List(Reply<Vec<Listing>>),
    Tag(PhotoId, Tags, Reply<()>),
    Counts(Reply<BTreeMap<Stage, u64>>),
    Found(Reply<BTreeMap<String, u64>>),
    Rescan(Reply<()>),
}

/// Speaks to the task; clones share it. Every call fails with [`PhotosError::TaskEnded`] once the task has.
#[derive(Clone)]
pub struct PhotosHandle {
    pub(super) requests: mpsc::Sender<Request>,
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
        self.ask(Request::List).await
    }

    /// Returns when the photo has been judged by its new tags and withheld or brought back.
    pub async fn tag(&self, photo: PhotoId, tags: Tags) -> Result<(), PhotosError> {
        self.ask(|reply| Request::Tag(photo, tags, reply)).await
    }

    pub async fn counts(&self) -> Result<BTreeMap<Stage, u64>, PhotosError> {
        self.ask(Request::Counts).await
    }

    /// By month, `2026-03`.
    pub async fn found_at_enrolment(&self) -> Result<BTreeMap<String, u64>, PhotosError> {
        self.ask(Request::Found).await
    }

    /// Returns when everything in the roots has been looked at from now on.
    pub async fn rescan(&self) -> Result<(), PhotosError> {
        self.ask(Request::Rescan).await
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
