//! The chained events of every tablet, and the heads they signed.

use super::Answer;
use jiff::Timestamp;
use nestwarden_policy_schema::envelope::Signed;
use nestwarden_policy_schema::event::{ChainPosition, Event};
use nestwarden_policy_schema::id::DeviceId;

/// A batch whose inner chain and signed head were checked; whether it continues what is stored is checked here.
#[derive(Clone, Debug)]
pub struct NewBatch {
    pub device: DeviceId,
    /// In order, without gaps, never empty.
    pub events: Vec<Event>,
    /// Over the last event.
    pub head: Signed,
    /// The key that signed the head.
    pub public_key: Vec<u8>,
    pub received_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    /// Everything up to here is on disk. Events that were there already count.
    OnDisk(u64),
    /// The batch begins after this one; events in between are missing.
    Gap {
        on_disk: u64,
    },
    /// Event `seq` differs from the one stored under that number, or does not follow it.
    Conflict {
        seq: u64,
    },
    DeviceMissing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    pub event: Event,
    /// As the tablet's chain has it; a text that is no time is kept as it came.
    pub kind: String,
    pub received_at: Timestamp,
    pub erased: Option<Erasure>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    pub at: Timestamp,
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredHead {
    pub seq: u64,
    pub head: Signed,
    pub public_key: Vec<u8>,
}

pub trait EventStore: Send + Sync {
    /// Answers once the batch is on disk, whole or not at all. Batches that arrive together share one write.
    fn event_append(&self, batch: NewBatch) -> Answer<'_, AppendOutcome>;

    /// `ChainPosition::START`: nothing was received yet.
    fn event_position(&self, device: DeviceId) -> Answer<'_, ChainPosition>;

    /// In order, after `after`, at most `limit`.
    fn event_list(&self, device: DeviceId, after: u64, limit: u32) -> Answer<'_, Vec<StoredEvent>>;

    /// The highest number of an event that says it happened before `until`, to the second; 0: none does. Times do not
    /// always grow with numbers.
    fn event_last_before(&self, device: DeviceId, until: Timestamp) -> Answer<'_, u64>;

    /// The lowest number of an event that says it happened at `from` or later, to the second; `None`: none does.
    fn event_first_from(&self, device: DeviceId, from: Timestamp) -> Answer<'_, Option<u64>>;

    /// In order, after `after`, at most `limit`.
    fn head_list(&self, device: DeviceId, after: u64, limit: u32) -> Answer<'_, Vec<StoredHead>>;

    /// Erases body and salt; the chain goes on verifying. `false`: no such event, or erased before.
    fn event_erase<'a>(
        &'a self,
        device: DeviceId,
        seq: u64,
        erasure: &'a Erasure,
    ) -> Answer<'a, bool>;
}
