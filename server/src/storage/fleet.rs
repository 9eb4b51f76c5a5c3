//! All tablets at once, with what it takes to say how each stands: a few queries, however many there are.

use super::{Answer, Device, PutBackRow, RecordConflict, StoredInventory};
use jiff::Timestamp;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::DeviceId;

/// One tablet, without its inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetRow {
    pub device: Device,
    /// Which of its inventories is the newest, counted from 1; `None`: it never reported.
    pub inventory: Option<u64>,
    /// The bundle issued last, and when; `None`: none was.
    pub issued: Option<(Generation, Timestamp)>,
    /// What it had in force when it last asked for a newer one; `None`: it never asked.
    pub asked_with: Option<Generation>,
    /// That it had a bundle which was never issued here; `None` also once that is settled.
    pub put_back: Option<PutBackRow>,
    /// That its events are refused; `None` also once they are taken again.
    pub conflict: Option<RecordConflict>,
}

/// An inventory and which of its tablet's it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedInventory {
    pub device: DeviceId,
    pub number: u64,
    pub stored: StoredInventory,
}

pub trait FleetStore: Send + Sync {
    /// Every tablet, those shut out too, by name.
    fn fleet_list(&self) -> Answer<'_, Vec<FleetRow>>;

    /// `None`: there is no such tablet.
    fn fleet_find(&self, device: DeviceId) -> Answer<'_, Option<FleetRow>>;

    /// The newest inventories of these tablets, in no order; of those that never reported there is none.
    fn inventory_list<'a>(&'a self, devices: &'a [DeviceId]) -> Answer<'a, Vec<NumberedInventory>>;
}
