//! Reads as much of a tablet's events as a period asks for: those of the period, and those before it that no earlier
//! reading was kept of.

use super::period::Days;
use super::tablet::{Standing, Tallied, Tally};
use crate::storage::{Storage, StorageError, StoredTally};
use nestwarden_policy_schema::id::DeviceId;

const PAGE: u32 = 500;
/// Of what a tally says and means; another one is read again.
const TALLY_VERSION: u32 = 2;
/// Fewer events than this are read again.
const KEPT_FROM: u64 = 100;

/// What the events come to, and how many of the period came after its end.
pub(super) async fn tablet(
    storage: &Storage,
    device: DeviceId,
    days: &Days,
) -> Result<(Tallied, u64), StorageError> {
    let last = storage.event_last_before(device, days.ends()).await?;
    let first = storage.event_first_from(device, days.begins()).await?;
    // No event up to here is of this period or of any later one.
    let before = first.map_or(last, |first| last.min(first.saturating_sub(1)));
    let kept = kept(storage, device, before).await?;
    let read_before = kept.as_ref().map_or(0, |standing| standing.seq);
    let mut tally = match kept {
        Some(standing) => Tally::resumed(device, days, standing),
        None => Tally::new(device, days),
    };
    let (mut after, mut came_late) = (read_before, 0);
    while after < last {
        let page = storage.event_list(device, after, PAGE).await?;
        if page.is_empty() {
            break;
        }
        for stored in page.iter().filter(|stored| stored.event.seq <= last) {
            let of_period = days.index_of(stored.event.at).is_some();
            came_late += u64::from(of_period && stored.received_at >= days.ends());
            tally.take(&stored.event);
            after = stored.event.seq;
            if after == before && before - read_before >= KEPT_FROM {
                keep(storage, device, &tally.standing()).await?;
            }
        }
        if page.last().is_some_and(|stored| stored.event.seq > last) {
            break;
        }
    }
    Ok((tally.finish(), came_late))
}

async fn kept(
    storage: &Storage,
    device: DeviceId,
    before: u64,
) -> Result<Option<Standing>, StorageError> {
    let found = storage.tally_find(device).await?;
    let fits = found.filter(|kept| kept.version == TALLY_VERSION && kept.seq <= before);
    Ok(fits.and_then(|kept| serde_json::from_str(&kept.tally).ok()))
}

async fn keep(
    storage: &Storage,
    device: DeviceId,
    standing: &Standing,
) -> Result<(), StorageError> {
    let tally = serde_json::to_string(standing).map_err(|e| StorageError::Corrupt {
        what: "a tally",
        problem: e.to_string(),
    })?;
    let kept = StoredTally {
        seq: standing.seq,
        version: TALLY_VERSION,
        erased: standing.erased,
        tally,
    };
    // Where bodies were erased meanwhile nothing is kept, and the next report reads again.
    storage.tally_put(device, &kept).await.map(drop)
}
