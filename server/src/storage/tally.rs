//! How a tablet stood after one of its events, so that a report need not read all that came before it.

use super::Answer;
use nestwarden_policy_schema::id::DeviceId;

/// A reading of the events up to one of them; always the same as reading them again from the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTally {
    /// The last event that was read.
    pub seq: u64,
    /// Of the reading; an older one says nothing to a newer program.
    pub version: u32,
    /// Events up to there without a body.
    pub erased: u64,
    /// JSON.
    pub tally: String,
}

pub trait TallyStore: Send + Sync {
    /// `None`: none is kept, or an event it had read was erased since.
    fn tally_find(&self, device: DeviceId) -> Answer<'_, Option<StoredTally>>;

    /// Replaces one of earlier. `false`: bodies were erased meanwhile, and nothing is kept.
    fn tally_put<'a>(&'a self, device: DeviceId, tally: &'a StoredTally) -> Answer<'a, bool>;
}
