//! How each tablet stood when it last said so.

use super::Answer;
use jiff::Timestamp;
use nestwarden_policy_schema::device_api::Inventory;
use nestwarden_policy_schema::id::DeviceId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredInventory {
    pub received_at: Timestamp,
    pub inventory: Inventory,
}

pub trait InventoryStore: Send + Sync {
    /// Replaces the one before, and the agent and time-zone data versions of the device. A device that is missing is ignored.
    fn inventory_put<'a>(
        &'a self,
        device: DeviceId,
        inventory: &'a StoredInventory,
    ) -> Answer<'a, ()>;

    /// `None`: it never reported, so nothing about it is known.
    fn inventory_find(&self, device: DeviceId) -> Answer<'_, Option<StoredInventory>>;
}
