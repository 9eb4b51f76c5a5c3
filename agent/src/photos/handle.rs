//! What the rest of the agent asks of the photos task.

use super::catalogue;
use super::engine::{Engine, Moment};
use super::error::PhotosError;
use super::hash::ContentKey;
use super::listing::{Listing, Tags};
use super::outbox::{Encrypted, Next, ToEncrypt, Upload};
use super::review::{Compared, Content, Offer, Sealed};
use super::roll::Roll;
use super::session::Session;
use super::viewing::{Sorting, Viewed};
use crate::ledger::Ledger;
use nestwarden_policy_schema::access::Reviewed;
use nestwarden_policy_schema::bytes::Secret;
use nestwarden_policy_schema::consent::{RoomName, Stage};
use nestwarden_policy_schema::id::{AccessRequestId, ChildId, PhotoId, SessionId};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use zeroize::Zeroizing;

pub(super) type Reply<T> = oneshot::Sender<Result<T, PhotosError>>;

/// Reads, or records what no pass has to wait for.
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
    /// Somebody finished a review, and there is something to send.
    pub(super) finished: Arc<Notify>,
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

    /// Subject access requests that are open, and how far this tablet is with each.
    pub async fn offers(&self) -> Result<Vec<Offer>, PhotosError> {
        self.look(Engine::offers).await
    }

    pub async fn offer(&self, request: AccessRequestId) -> Result<Offer, PhotosError> {
        self.look(move |engine, moment| engine.offer_of(moment, request))
            .await
    }

    /// Compares the fingerprint that was typed with the request's recipient.
    pub async fn review_begin(
        &self,
        request: AccessRequestId,
        typed: String,
    ) -> Result<Compared, PhotosError> {
        self.look(move |engine, moment| engine.review_begin(moment, request, &typed))
            .await
    }

    pub async fn review_say(
        &self,
        request: AccessRequestId,
        photo: PhotoId,
        reviewed: Reviewed,
    ) -> Result<(), PhotosError> {
        self.look(move |engine, moment| engine.review_say(moment, request, photo, reviewed))
            .await
    }

    /// From here on what was included is sent.
    pub async fn review_finish(&self, request: AccessRequestId) -> Result<(), PhotosError> {
        let done = self.look(move |engine, moment| engine.review_finish(moment, request));
        done.await?;
        self.finished.notify_one();
        Ok(())
    }

    /// Returns when somebody finishes a review, or did since this was last awaited.
    pub async fn review_finished(&self) {
        self.finished.notified().await;
    }

    /// A photo for whoever reviews it.
    pub async fn review_view(
        &self,
        request: AccessRequestId,
        photo: PhotoId,
    ) -> Result<Content, PhotosError> {
        self.look(move |engine, moment| engine.review_view(moment, request, photo))
            .await
    }

    /// A sealed photo in memory, at most `most` bytes.
    pub async fn preview(
        &self,
        sealed: Sealed,
        key: Secret,
        most: u64,
    ) -> Result<Zeroizing<Vec<u8>>, PhotosError> {
        let with = |engine: &Engine, moment: &Moment<'_>| {
            let content_key = ContentKey::new(&moment.bundle.photo_hash_key);
            Ok((engine.vaults(), content_key))
        };
        let (vaults, content_key) = self.look(with).await?;
        off_the_loop(move || sealed.preview(&vaults, &key, &content_key, most)).await
    }

    pub async fn export_next(&self, skip: BTreeSet<PhotoId>) -> Result<Option<Next>, PhotosError> {
        self.look(move |engine, moment| engine.export_next(moment, &|photo| skip.contains(&photo)))
            .await
    }

    /// Makes the ciphertext. Takes as long as the photo is big, and keeps nothing else waiting.
    pub async fn encrypt(
        &self,
        photo: ToEncrypt,
        key: Option<Secret>,
    ) -> Result<Encrypted, PhotosError> {
        let vaults = self.look(|engine, _| Ok(engine.vaults())).await?;
        off_the_loop(move || photo.encrypt(&vaults, key.as_ref())).await
    }

    pub async fn export_ready(&self, made: Encrypted) -> Result<Option<Upload>, PhotosError> {
        self.look(move |engine, moment| engine.export_ready(moment, &made))
            .await
    }

    pub async fn export_sent(
        &self,
        request: AccessRequestId,
        photo: PhotoId,
    ) -> Result<(), PhotosError> {
        self.look(move |engine, _| engine.export_sent(request, photo))
            .await
    }

    pub async fn export_tidy(&self) -> Result<(), PhotosError> {
        self.look(Engine::export_tidy).await
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

async fn off_the_loop<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, PhotosError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|_| PhotosError::TaskEnded)??)
}
