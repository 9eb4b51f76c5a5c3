//! Photos reviewed for a subject access request: the one way by which a photo leaves this tablet.
//!
//! Nothing is shown before somebody typed the fingerprint of the request's recipient from a sheet that did not come from
//! the server, and nothing is sent before they looked at every photo and said that they have finished. What they said is
//! bound to that recipient: a server that puts another in its place begins from nothing.

use super::catalogue::{self, PhotoRow};
use super::engine::{Engine, Moment};
use super::error::PhotosError;
use super::fault::Write;
use super::seal::SealedFile;
use super::tree;
use super::unseal::stanzas;
use super::viewing::Viewed;
use jiff::Timestamp;
use jiff::civil::DateTime;
use nestwarden_policy_schema::access::{AccessRequest, Fingerprint, ReviewStep, Reviewed};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::{Stage, Tagging};
use nestwarden_policy_schema::device_api::UnsealRequest;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::{AccessRequestId, PhotoId};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::BTreeMap;

/// The tables, for the ledger's migrations.
pub const SCHEMA_REVIEW: &str = include_str!("schema_review.sql");

/// How far a review got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nobody typed the fingerprint of this recipient yet.
    NotBegun,
    Begun,
    Finished,
}

/// A request that is open, and how far this tablet is with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub request: AccessRequest,
    /// `expires_at` on the setting's clocks.
    pub until_local: DateTime,
    pub progress: Progress,
    pub photos: Vec<ToReview>,
    pub sent: usize,
}

/// One photo of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToReview {
    pub id: PhotoId,
    pub media: String,
    pub bytes: u64,
    pub captured_local: DateTime,
    pub sealed: bool,
    /// Other children somebody said are in it.
    pub others: usize,
    /// Somebody not on the register is in it, or nobody said that everyone is named.
    pub perhaps_more: bool,
    pub reviewed: Option<Reviewed>,
}

impl Offer {
    pub fn left(&self) -> usize {
        let undecided = self.photos.iter().filter(|photo| photo.reviewed.is_none());
        undecided.count()
    }

    pub fn said(&self, what: Reviewed) -> usize {
        let said = self.photos.iter();
        said.filter(|photo| photo.reviewed == Some(what)).count()
    }
}

/// Whether a review may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    Same,
    /// The server asks for another key than the DSL's sheet has.
    Differs,
}

/// The content of a photo that is reviewed or sent.
pub enum Content {
    /// In use or withheld.
    Plain(Viewed),
    Sealed(Sealed),
}

/// A sealed photo, with what to ask the server for.
pub struct Sealed {
    pub(super) file: SealedFile,
    pub request: UnsealRequest,
    pub media: String,
    pub bytes: u64,
    pub(super) hash: Option<Digest>,
}

impl Engine {
    /// Every request that is open now, with what was said of each photo.
    pub fn offers(&self, moment: &Moment<'_>) -> Result<Vec<Offer>, PhotosError> {
        let requests = &moment.bundle.access_requests;
        let mut offers = Vec::new();
        for access in requests {
            match self.open_request(moment, access.request.id) {
                Ok(request) => offers.push(self.offer(moment, request)?),
                Err(PhotosError::NoRequest(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(offers)
    }

    pub fn offer_of(&self, moment: &Moment<'_>, id: AccessRequestId) -> Result<Offer, PhotosError> {
        let request = self.open_request(moment, id)?;
        self.offer(moment, request)
    }

    /// The request, if it is open: agreed to, approved where there are approvers, and not over by a clock that can be
    /// trusted.
    pub(super) fn open_request<'a>(
        &self,
        moment: &Moment<'a>,
        id: AccessRequestId,
    ) -> Result<&'a AccessRequest, PhotosError> {
        let mut open = moment.bundle.access_requests.iter();
        let found = open.find(|access| access.request.id == id);
        let access = found
            .filter(|_| !moment.now.doubtful && moment.policy().is_some())
            .ok_or(PhotosError::NoRequest(id))?;
        match access.verified(&self.ledger.anchors()?, moment.now.at) {
            Ok(request) => Ok(request),
            Err(error) => {
                tracing::warn!(request.id = %id, %error, "a request for photos is not followed");
                Err(PhotosError::NoRequest(id))
            }
        }
    }

    fn offer(&self, moment: &Moment<'_>, request: &AccessRequest) -> Result<Offer, PhotosError> {
        let review = self.ledger.read(|sql| review_of(sql, request))?;
        let (said, progress) = match &review {
            Some((said, None)) => (said.clone(), Progress::Begun),
            Some((said, Some(_))) => (said.clone(), Progress::Finished),
            None => (BTreeMap::new(), Progress::NotBegun),
        };
        let mut photos = Vec::new();
        for row in self.photos_of(moment, request)? {
            // What was tagged after the reviewer had finished was not looked at.
            if progress == Progress::Finished && !said.contains_key(&row.id) {
                continue;
            }
            photos.push(ToReview {
                captured_local: moment.bundle.calendar.local(row.captured_at),
                others: row.subjects.confirmed.len().saturating_sub(1),
                perhaps_more: row.subjects.unregistered_person
                    || row.subjects.tagging != Tagging::Complete,
                reviewed: said.get(&row.id).map(|(reviewed, _)| *reviewed),
                sealed: row.stage == Stage::Sealed,
                id: row.id,
                media: row.media,
                bytes: row.bytes,
            });
        }
        let sent = said.values().filter(|(_, state)| state == "sent").count();
        Ok(Offer {
            until_local: moment.bundle.calendar.local(request.expires_at),
            request: request.clone(),
            progress,
            photos,
            sent,
        })
    }

    /// Photos in which somebody said the child is, that were there when they were asked for. Never one that a hold froze.
    pub(super) fn photos_of(
        &self,
        moment: &Moment<'_>,
        request: &AccessRequest,
    ) -> Result<Vec<PhotoRow>, PhotosError> {
        let Some(policy) = moment.policy() else {
            return Ok(Vec::new());
        };
        let ids = self.ledger.read(|sql| {
            let mut statement = sql.prepare(
                "SELECT p.id FROM photo_tag t JOIN photo p ON p.id = t.photo
                 WHERE t.child = ?1 AND p.stage <> 'destroyed' ORDER BY p.captured_at, p.id",
            )?;
            let ids =
                statement.query_map([request.child.to_string()], |row| row.get::<_, String>(0))?;
            ids.map(|id| catalogue::read::<PhotoId>(&id?))
                .collect::<Result<Vec<_>, PhotosError>>()
        })?;
        let mut rows = Vec::new();
        for id in ids {
            let row = self.ledger.read(|sql| catalogue::photo(sql, id))?;
            rows.extend(row.filter(|row| {
                row.captured_at <= request.asked_at
                    && !row.is_gone()
                    && !self.verdict_on(moment, policy, row).frozen
            }));
        }
        Ok(rows)
    }

    /// Compares what the reviewer typed from the DSL's sheet. Either way it is on record.
    pub fn review_begin(
        &self,
        moment: &Moment<'_>,
        id: AccessRequestId,
        typed: &str,
    ) -> Result<Compared, PhotosError> {
        let request = self.open_request(moment, id)?;
        let at = moment.now.at;
        let told = |step| EventBody::AccessReview { request: id, step };
        let same = Fingerprint::of(&request.recipient)
            .is_some_and(|fingerprint| fingerprint.is_typed_as(typed));
        if !same {
            self.commit(Write::ReviewRefused, |tx| {
                tx.record(at, &told(ReviewStep::FingerprintDiffers))?;
                Ok(())
            })?;
            return Ok(Compared::Differs);
        }
        self.commit(Write::ReviewBegun, |tx| {
            if review_of(tx.sql(), request)?.is_none() {
                let id = id.to_string();
                tx.sql()
                    .execute("DELETE FROM access_photo WHERE request = ?1", [&id])?;
                tx.sql()
                    .execute("DELETE FROM access_review WHERE request = ?1", [&id])?;
                tx.sql().execute(
                    "INSERT INTO access_review (request, recipient, begun_at) VALUES (?1, ?2, ?3)",
                    params![id, request.recipient, at.to_string()],
                )?;
            }
            tx.record(at, &told(ReviewStep::Begun))?;
            Ok(())
        })?;
        Ok(Compared::Same)
    }

    /// Notes what the reviewer said of a photo. Until they have finished they may say something else.
    pub fn review_say(
        &self,
        moment: &Moment<'_>,
        id: AccessRequestId,
        photo: PhotoId,
        reviewed: Reviewed,
    ) -> Result<(), PhotosError> {
        let request = self.begun_request(moment, id)?;
        self.row_to_review(moment, request, photo)?;
        self.commit(Write::ReviewSaid, |tx| {
            tx.sql().execute(
                "INSERT INTO access_photo (request, photo, reviewed, state) VALUES (?1, ?2, ?3, 'said')
                 ON CONFLICT (request, photo) DO UPDATE SET reviewed = excluded.reviewed",
                [id.to_string(), photo.to_string(), catalogue::word(&reviewed)?],
            )?;
            Ok(())
        })
    }

    /// The reviewer has finished: from here on the included photos are sent.
    pub fn review_finish(
        &self,
        moment: &Moment<'_>,
        id: AccessRequestId,
    ) -> Result<(), PhotosError> {
        let request = self.begun_request(moment, id)?;
        let offer = self.offer(moment, request)?;
        let (left, included) = (offer.left(), offer.said(Reviewed::Include));
        let most = usize::try_from(request.max_photos).unwrap_or(usize::MAX);
        if left > 0 {
            return Err(PhotosError::ReviewUnfinished(left));
        }
        if included > most {
            return Err(PhotosError::TooManyIncluded { included, most });
        }
        let at = moment.now.at;
        self.commit(Write::ReviewFinished, |tx| {
            tx.sql().execute(
                "UPDATE access_review SET finished_at = ?2 WHERE request = ?1",
                [id.to_string(), at.to_string()],
            )?;
            for photo in &offer.photos {
                let Some(reviewed) = photo.reviewed else {
                    continue;
                };
                if reviewed == Reviewed::Include {
                    tx.sql().execute(
                        "UPDATE access_photo SET state = 'waiting' WHERE request = ?1 AND photo = ?2",
                        [id.to_string(), photo.id.to_string()],
                    )?;
                }
                let told = EventBody::PhotoReviewed {
                    request: id,
                    photo: photo.id,
                    reviewed,
                };
                tx.record(at, &told)?;
            }
            let step = ReviewStep::Finished {
                included: included as u64,
                others_in_it: offer.said(Reviewed::OthersInIt) as u64,
                not_this_child: offer.said(Reviewed::NotThisChild) as u64,
            };
            tx.record(at, &EventBody::AccessReview { request: id, step })?;
            Ok(())
        })
    }

    /// A photo of a review that was begun, for the reviewer's eyes.
    pub fn review_view(
        &self,
        moment: &Moment<'_>,
        id: AccessRequestId,
        photo: PhotoId,
    ) -> Result<Content, PhotosError> {
        let request = self.begun_request(moment, id)?;
        let row = self.row_to_review(moment, request, photo)?;
        self.content(moment, id, row)
    }

    pub(super) fn content(
        &self,
        moment: &Moment<'_>,
        id: AccessRequestId,
        row: PhotoRow,
    ) -> Result<Content, PhotosError> {
        let Some(file) = row.sealed.clone() else {
            return Ok(Content::Plain(self.view(moment, row.id)?));
        };
        let dir = self.vaults.open(&file.vault)?;
        let stanzas = stanzas(tree::open_file(&dir, &file.name)?)?;
        Ok(Content::Sealed(Sealed {
            file,
            request: UnsealRequest {
                photo: row.id,
                stanzas,
                access: Some(id),
            },
            media: row.media,
            bytes: row.bytes,
            hash: row.hash,
        }))
    }

    fn begun_request<'a>(
        &self,
        moment: &Moment<'a>,
        id: AccessRequestId,
    ) -> Result<&'a AccessRequest, PhotosError> {
        let request = self.open_request(moment, id)?;
        match self.ledger.read(|sql| review_of(sql, request))? {
            Some((_, None)) => Ok(request),
            Some((_, Some(_))) => Err(PhotosError::ReviewFinished),
            None => Err(PhotosError::ReviewNotBegun),
        }
    }

    pub(super) fn row_to_review(
        &self,
        moment: &Moment<'_>,
        request: &AccessRequest,
        photo: PhotoId,
    ) -> Result<PhotoRow, PhotosError> {
        let rows = self.photos_of(moment, request)?;
        let mut rows = rows.into_iter();
        rows.find(|row| row.id == photo)
            .ok_or(PhotosError::NotShown(photo))
    }
}

type Said = BTreeMap<PhotoId, (Reviewed, String)>;

/// What was said for this request and this very recipient, and when it was finished. `None`: not begun.
pub(super) fn review_of(
    sql: &Connection,
    request: &AccessRequest,
) -> Result<Option<(Said, Option<Timestamp>)>, PhotosError> {
    let id = request.id.to_string();
    let found: Option<Option<String>> = sql
        .query_row(
            "SELECT finished_at FROM access_review WHERE request = ?1 AND recipient = ?2",
            [&id, &request.recipient],
            |row| row.get(0),
        )
        .optional()?;
    let Some(finished) = found else {
        return Ok(None);
    };
    let finished = finished.map(|at| catalogue::read(&at)).transpose()?;
    let mut statement =
        sql.prepare("SELECT photo, reviewed, state FROM access_photo WHERE request = ?1")?;
    let mut rows = statement.query([&id])?;
    let mut said = Said::new();
    while let Some(row) = rows.next()? {
        let photo = catalogue::read(&row.get::<_, String>(0)?)?;
        let reviewed = catalogue::unword(&row.get::<_, String>(1)?)?;
        said.insert(photo, (reviewed, row.get(2)?));
    }
    Ok(Some((said, finished)))
}
