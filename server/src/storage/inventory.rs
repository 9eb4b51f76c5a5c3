//! How each tablet stood when it last said so, and in which hours it said anything.

use super::Answer;
use jiff::Timestamp;
use nestwarden_policy_schema::device_api::Inventory;
use nestwarden_policy_schema::id::DeviceId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredInventory {
    pub received_at: Timestamp,
    pub inventory: Inventory,
}

/// That a tablet told how it stands within one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToldHour {
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    /// The oldest reading of a control that the last of them rests on; `None`: it told of no control.
    pub measured_at: Option<Timestamp>,
}

pub trait InventoryStore: Send + Sync {
    /// Replaces the one before, and the agent and time-zone data versions of the device; notes the hour. A device that is
    /// missing is ignored.
    fn inventory_put<'a>(
        &'a self,
        device: DeviceId,
        inventory: &'a StoredInventory,
    ) -> Answer<'a, ()>;

    /// Grows with every inventory by which a control of a tablet stands otherwise than before.
    fn outcome_version(&self) -> Answer<'_, u64>;

    /// `None`: it never reported, so nothing about it is known.
    fn inventory_find(&self, device: DeviceId) -> Answer<'_, Option<StoredInventory>>;

    /// The hours that reach into `from` (included) to `until` (excluded), in order.
    fn told_hours(
        &self,
        device: DeviceId,
        from: Timestamp,
        until: Timestamp,
    ) -> Answer<'_, Vec<ToldHour>>;

    /// The last hour that began to be told in before `until`; `None`: there is none on record.
    fn told_before(&self, device: DeviceId, until: Timestamp) -> Answer<'_, Option<ToldHour>>;

    /// The first hour on record; `None`: there is none.
    fn told_first(&self, device: DeviceId) -> Answer<'_, Option<ToldHour>>;
}
