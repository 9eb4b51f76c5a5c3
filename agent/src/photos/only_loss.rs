//! A lost tablet puts every photo out of sight also where the profile only observes photos; then nothing but the loss moves
//! any, and once the tablet is found they come back.

use super::catalogue;
use crate::ledger::{Ledger, LedgerError};
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::id::PhotoId;
use nestwarden_policy_schema::policy::Mode;
use std::collections::BTreeSet;

/// The photos that were out of sight before and stay so; `None`: photos are held as the profile says.
pub(super) fn only_loss(
    ledger: &Ledger,
    bundle: &Bundle,
) -> Result<Option<BTreeSet<PhotoId>>, LedgerError> {
    let photos = bundle.policy.photos.as_ref();
    if photos.is_none_or(|photos| photos.mode == Mode::Enforce) {
        return Ok(None);
    }
    let Some(word) = ledger.loss() else {
        return Ok(None);
    };
    match (word.lost_since, &word.withheld_before) {
        (Some(_), before) => Ok(Some(before.clone().unwrap_or_default())),
        (None, Some(before)) => {
            let withheld = ledger.read(catalogue::withheld)?;
            Ok((!withheld.is_subset(before)).then(|| before.clone()))
        }
        // It enforced when the tablet was lost: what was out of sight for which reason is not known any more.
        (None, None) => Ok(None),
    }
}

/// The same bundle, in which photos are held.
pub(super) fn holding_photos(bundle: &Bundle) -> Bundle {
    let mut bundle = bundle.clone();
    if let Some(photos) = &mut bundle.policy.photos {
        photos.mode = Mode::Enforce;
    }
    bundle
}
