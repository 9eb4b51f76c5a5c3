//! The events of every tablet as lines of JSON, with all that is needed to check them elsewhere. No names of children.

use crate::storage::{Storage, StorageError, StoredEvent};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::{Base64, Digest};
use nestwarden_policy_schema::envelope::Signed;
use nestwarden_policy_schema::event::Event;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::{DeviceId, SettingId};
use serde::{Deserialize, Serialize};

pub const VERSION: u32 = 1;
const PAGE: u32 = 500;

/// One line. A device is followed by its bundles, then its heads, then its events in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    Export {
        version: u32,
        setting: SettingId,
        made_at: Timestamp,
    },
    Device {
        device: DeviceId,
        name: String,
        /// Every key it ever had, as uncompressed P-256 points.
        keys: Vec<Base64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        enrolled_at: Option<Timestamp>,
        /// What it had that this server never issued.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        put_back: Option<PutBackLine>,
    },
    Bundle {
        generation: Generation,
        payload_digest: Digest,
    },
    Head {
        seq: u64,
        head: Signed,
        public_key: Base64,
    },
    Event {
        event: Event,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        erased: Option<ErasedLine>,
    },
    /// An export without it was cut off.
    End { devices: u64, events: u64 },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PutBackLine {
    pub generation: Generation,
    pub settled: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErasedLine {
    pub at: Timestamp,
    pub why: String,
}

/// Gives every line to `take`, in order, without holding more than a page of them.
pub async fn each<E: From<StorageError>>(
    storage: &Storage,
    made_at: Timestamp,
    mut take: impl FnMut(Line) -> Result<(), E>,
) -> Result<(), E> {
    take(Line::Export {
        version: VERSION,
        setting: storage.setting(),
        made_at,
    })?;
    let devices = storage.device_list().await?;
    let put_backs = storage.put_back_list().await?;
    let mut events = 0;
    for device in &devices {
        let keys = storage.device_keys(device.id).await?;
        take(Line::Device {
            device: device.id,
            name: device.name.clone(),
            keys: keys.into_iter().map(|k| Base64(k.public_key)).collect(),
            enrolled_at: Some(device.enrolled_at),
            put_back: put_backs
                .iter()
                .find(|row| row.device == device.id)
                .map(|row| PutBackLine {
                    generation: row.bundle.generation,
                    settled: row.settled_at.is_some(),
                }),
        })?;
        for bundle in storage.bundle_history(device.id).await? {
            take(Line::Bundle {
                generation: bundle.generation,
                payload_digest: bundle.payload_digest,
            })?;
        }
        // Tablets go on reporting meanwhile. What is there now has its heads already, and heads have their events: so
        // both ends together leave out only what arrives from here on, and never a head without its events.
        let end = storage.event_position(device.id).await?.seq;
        let end = end.max(heads(storage, device.id, &mut take).await?);
        events += page_events(storage, device.id, end, &mut take).await?;
    }
    take(Line::End {
        devices: u64::try_from(devices.len()).unwrap_or(u64::MAX),
        events,
    })
}

/// The event that the last head is over.
async fn heads<E: From<StorageError>>(
    storage: &Storage,
    device: DeviceId,
    take: &mut impl FnMut(Line) -> Result<(), E>,
) -> Result<u64, E> {
    let mut after = 0;
    loop {
        let page = storage.head_list(device, after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(after);
        };
        after = last.seq;
        for head in page {
            take(Line::Head {
                seq: head.seq,
                head: head.head,
                public_key: Base64(head.public_key),
            })?;
        }
    }
}

async fn page_events<E: From<StorageError>>(
    storage: &Storage,
    device: DeviceId,
    end: u64,
    take: &mut impl FnMut(Line) -> Result<(), E>,
) -> Result<u64, E> {
    let (mut after, mut count) = (0, 0);
    loop {
        let page = storage.event_list(device, after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(count);
        };
        after = last.event.seq;
        for StoredEvent { event, erased, .. } in page.into_iter().filter(|e| e.event.seq <= end) {
            count += 1;
            take(Line::Event {
                event,
                erased: erased.map(|e| ErasedLine {
                    at: e.at,
                    why: e.why,
                }),
            })?;
        }
    }
}
