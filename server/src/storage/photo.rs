//! What tablets told of their photos: a reading of their events, kept up in the transaction that keeps an event.

use super::Answer;
use jiff::Timestamp;
use nestwarden_policy_schema::consent::{Cause, PhotoFacts, Purpose, Stage};
use nestwarden_policy_schema::id::{ChildId, DeviceId, PhotoId};
use nestwarden_policy_schema::receipt::Receipt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhotoRow {
    pub device: DeviceId,
    pub photo: PhotoId,
    /// What the tablet called its content; `None` until it said so.
    pub media: Option<String>,
    /// `None`: the tablet never told, or it was erased.
    pub facts: Option<PhotoFacts>,
    /// When the tablet told these facts, by its trusted time.
    pub facts_at: Option<Timestamp>,
    /// While it is out of use for the sake of a confirmed child, or sealed and not opened by us: everything said of it
    /// since, the strictest of each.
    pub floor: Option<Floor>,
    pub stage: Stage,
    /// `None`: it never changed.
    pub stage_at: Option<Timestamp>,
    /// Of the last change of stage.
    pub cause: Option<Cause>,
    pub incomplete: Option<Incomplete>,
    pub receipt: Option<Receipt>,
    /// What it was usable for when it was last judged; `None`: it was not judged yet.
    pub usable_before: Option<BTreeSet<Purpose>>,
    /// The last event that said anything about it.
    pub seq: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    pub facts: PhotoFacts,
    pub sealed: bool,
}

/// A stage that the tablet could not carry out yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incomplete {
    pub since: Timestamp,
    pub problem: String,
}

impl PhotoRow {
    /// Before anything was told of it.
    pub fn new(device: DeviceId, photo: PhotoId) -> Self {
        Self {
            device,
            photo,
            media: None,
            facts: None,
            facts_at: None,
            floor: None,
            stage: Stage::Live,
            stage_at: None,
            cause: None,
            incomplete: None,
            receipt: None,
            usable_before: None,
            seq: 0,
        }
    }
}

pub trait PhotoStore: Send + Sync {
    /// By device and photo, after `after`, at most `limit`; destroyed ones too.
    fn photo_list(
        &self,
        after: Option<(DeviceId, PhotoId)>,
        limit: u32,
    ) -> Answer<'_, Vec<PhotoRow>>;

    /// Photos in which one of these children may be, by device and photo: never too few, and some in which none of them is.
    /// Of destroyed ones those that were said to show them, or that went for their sake.
    fn photos_that_may_show<'a>(
        &'a self,
        children: &'a BTreeSet<ChildId>,
    ) -> Answer<'a, Vec<(DeviceId, PhotoId)>>;

    /// Those of them that there are, in no order.
    fn photo_some<'a>(&'a self, photos: &'a [(DeviceId, PhotoId)]) -> Answer<'a, Vec<PhotoRow>>;

    /// `None`: this device never told of it.
    fn photo_find(&self, device: DeviceId, photo: PhotoId) -> Answer<'_, Option<PhotoRow>>;

    /// On whichever device it is. Ids are random, so more than one is a tablet that enrolled again.
    fn photo_by_id(&self, photo: PhotoId) -> Answer<'_, Vec<PhotoRow>>;

    /// Destroyed photos with their receipts, the newest first, at most `limit`.
    fn photo_receipts(&self, limit: u32) -> Answer<'_, Vec<PhotoRow>>;

    /// Grows with every batch of events that says something of photos.
    fn photo_version(&self) -> Answer<'_, u64>;

    /// Reads every event again from the first; the number of photos found.
    fn photo_rebuild(&self) -> Answer<'_, u64>;
}
