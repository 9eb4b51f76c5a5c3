//! What tablets told of who has them, on its way into the registers.

use super::Answer;
use jiff::Timestamp;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::DeviceId;

/// One event that nobody wrote into a register yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldCustody {
    pub device: DeviceId,
    pub seq: u64,
    /// By the tablet's trusted time.
    pub at: Timestamp,
    /// [`EventBody::CustodyTaken`] or [`EventBody::CustodyReturned`].
    pub body: EventBody,
}

pub trait ToldStore: Send + Sync {
    /// Those of each tablet in their order, at most `most`.
    fn told_list(&self, most: u32) -> Answer<'_, Vec<ToldCustody>>;

    /// It is written, or nothing was to be written. Harmless to repeat.
    fn told_done(&self, device: DeviceId, seq: u64) -> Answer<'_, ()>;
}
