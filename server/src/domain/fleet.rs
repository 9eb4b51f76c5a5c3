//! How all tablets stand, at a cost that hardly grows with what they told.

use super::compliance::{Compliance, Facts, Standing};
use super::loss::{self, Loss};
use super::rollout::InForce;
use crate::storage::{Device, FleetRow, Storage, StorageError, StoredInventory};
use jiff::Timestamp;
use nestwarden_policy_schema::consent::Stage;
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::policy::Policy;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Inventories as they were read last: a look at all tablets reads those only that are newer. Holds one for each tablet.
#[derive(Default)]
pub struct InventoryCache(Mutex<Inventories>);

type Inventories = HashMap<DeviceId, (u64, Arc<StoredInventory>)>;

impl InventoryCache {
    /// Those of `rows`.
    async fn read(
        &self,
        storage: &Storage,
        rows: &[FleetRow],
    ) -> Result<Inventories, StorageError> {
        let mut found = Inventories::with_capacity(rows.len());
        let mut newer = Vec::new();
        {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for row in rows {
                let Some(number) = row.inventory else {
                    continue;
                };
                match kept.get(&row.device.id) {
                    Some(known) if known.0 == number => {
                        found.insert(row.device.id, known.clone());
                    }
                    _ => newer.push(row.device.id),
                }
            }
        }
        for read in storage.inventory_list(&newer).await? {
            found.insert(read.device, (read.number, Arc::new(read.stored)));
        }
        Ok(found)
    }
}

/// One tablet, and how it stands.
pub struct Tablet {
    pub standing: Standing,
    row: FleetRow,
    policy: Option<Arc<Policy>>,
    inventory: Option<Arc<StoredInventory>>,
    loss: Option<Loss>,
}

impl Tablet {
    pub fn device(&self) -> &Device {
        &self.row.device
    }

    /// When it last reported; `None`: never.
    pub fn reported_at(&self) -> Option<Timestamp> {
        self.inventory.as_ref().map(|told| told.received_at)
    }

    /// Each of its controls, and what else there is to say.
    pub fn compliance(&self, now: Timestamp) -> Compliance {
        self.facts().compliance(now)
    }

    /// `None`: nobody marked it as lost.
    pub fn loss(&self) -> Option<&Loss> {
        self.loss.as_ref()
    }

    /// By its last report; 0 also where it never told.
    pub fn photos_in_use(&self) -> u64 {
        let told = self.inventory.as_ref();
        told.and_then(|told| told.inventory.photos.get(&Stage::Live).copied())
            .unwrap_or(0)
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            row: &self.row,
            policy: self.policy.as_deref(),
            inventory: self.inventory.as_deref(),
            loss: self.loss.as_ref(),
        }
    }
}

/// Every tablet, those shut out too, by name.
pub async fn all(
    storage: &Storage,
    cache: &InventoryCache,
    now: Timestamp,
) -> Result<Vec<Tablet>, StorageError> {
    let rows = storage.fleet_list().await?;
    let mut inventories = cache.read(storage, &rows).await?;
    let in_force = InForce::load(storage).await?;
    let mut marked = loss::all(storage, now).await?;
    let mut tablets = Vec::with_capacity(rows.len());
    for row in rows {
        let inventory = inventories.get(&row.device.id);
        let inventory = inventory.map(|(_, told)| Arc::clone(told));
        let loss = marked.remove(&row.device.id);
        tablets.push(judge(&in_force, row, (inventory, loss), now));
    }
    let mut kept = cache.0.lock().unwrap_or_else(PoisonError::into_inner);
    // Two looks at a time may end in either order.
    for (device, known) in kept.drain() {
        if let Some(read) = inventories.get_mut(&device)
            && read.0 < known.0
        {
            *read = known;
        }
    }
    *kept = inventories;
    Ok(tablets)
}

/// `None`: there is no such tablet.
pub async fn one(
    storage: &Storage,
    device: DeviceId,
    now: Timestamp,
) -> Result<Option<Tablet>, StorageError> {
    Ok(some(storage, [device], now).await?.pop())
}

/// In their order, without those that are not there. For a few of many; profiles are read once.
pub async fn some(
    storage: &Storage,
    devices: impl IntoIterator<Item = DeviceId>,
    now: Timestamp,
) -> Result<Vec<Tablet>, StorageError> {
    let in_force = InForce::load(storage).await?;
    let mut tablets = Vec::new();
    for device in devices {
        let Some(row) = storage.fleet_find(device).await? else {
            continue;
        };
        let told = storage.inventory_find(device).await?;
        let loss = loss::of(&storage.command_list(device).await?, now);
        tablets.push(judge(&in_force, row, (told.map(Arc::new), loss), now));
    }
    Ok(tablets)
}

/// Whose profile cannot be read is held to nothing that is known.
fn judge(
    in_force: &InForce,
    row: FleetRow,
    (inventory, loss): (Option<Arc<StoredInventory>>, Option<Loss>),
    now: Timestamp,
) -> Tablet {
    let policy = in_force.policy_of(&row.device);
    let mut tablet = Tablet {
        standing: Standing::NotChecked,
        row,
        policy,
        inventory,
        loss,
    };
    tablet.standing = tablet.facts().standing(now);
    tablet
}

#[cfg(test)]
mod tests;
