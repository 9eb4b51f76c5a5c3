//! Policy profiles as operators wrote them, every version.

use super::{Answer, AuditEntry};
use jiff::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileVersion {
    pub name: String,
    /// 1, 2, 3 …; the highest is live.
    pub version: u64,
    /// TOML, exactly as it was applied.
    pub source: String,
    pub applied_at: Timestamp,
    pub applied_by: String,
}

pub trait ProfileStore: Send + Sync {
    /// The live version of each, by name.
    fn profile_list(&self) -> Answer<'_, Vec<ProfileVersion>>;

    /// The live version; `None`: no profile of this name.
    fn profile_find<'a>(&'a self, name: &'a str) -> Answer<'a, Option<ProfileVersion>>;

    /// Every version, the newest first.
    fn profile_history<'a>(&'a self, name: &'a str) -> Answer<'a, Vec<ProfileVersion>>;

    /// Makes `source` the live version of `name`, above version `on` (0: there is none yet); its number. `None`: another is
    /// live by now, and nothing was written. A roll-out of it that is under way is over by it.
    fn profile_put<'a>(
        &'a self,
        name: &'a str,
        on: u64,
        source: &'a str,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Option<u64>>;
}
