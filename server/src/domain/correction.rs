//! A manager's word on photos: who is in one, and what becomes of those that were there before a tablet was enrolled.

use super::photo::Judge;
use super::register::{NoChild, Register};
use super::role::{self, Act, NotAllowed};
use crate::storage::{AuditEntry, Device, Operator, PhotoRow, Storage, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::consent::{
    FoundDecision, FoundPhotos, Stage, Standing, TagCorrection, Tagging,
};
use nestwarden_policy_schema::id::{ChildId, PhotoId};
use serde_json::json;
use std::collections::BTreeSet;

/// Who is in a photo, as somebody said who looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhoIsIn {
    /// These children, by reference, and nobody else.
    Children(Vec<String>),
    NoChild,
    /// Somebody who is not on the register.
    SomeoneElse,
    /// What was said before was wrong, and nobody knows yet.
    Untagged,
}

#[derive(Debug, thiserror::Error)]
pub enum CorrectionError {
    #[error("no tablet told of photo {0}; `photo list` shows those there are")]
    Missing(PhotoId),
    #[error("photo {0} was destroyed; nothing about it can be corrected")]
    Destroyed(PhotoId),
    #[error(
        "a hold for illegal content covers photo {0}: nothing about it is changed until the hold is released"
    )]
    Frozen(PhotoId),
    #[error("{0} is a revoked tablet; it is told nothing any more")]
    Revoked(String),
    #[error(transparent)]
    NoChild(#[from] NoChild),
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Replaces what was said on the tablet, also where that loosens. Reaches it with its next bundle.
pub async fn correct(
    storage: &Storage,
    photo: PhotoId,
    who: &WhoIsIn,
    by: &Operator,
    now: Timestamp,
) -> Result<(PhotoRow, TagCorrection), CorrectionError> {
    role::require(by, Act::Correct)?;
    let row = storage.photo_by_id(photo).await?.pop();
    let row = row.ok_or(CorrectionError::Missing(photo))?;
    if row.stage == Stage::Destroyed {
        return Err(CorrectionError::Destroyed(photo));
    }
    let device = storage.device_find(row.device).await?;
    if let Some(device) = device.filter(|device| device.revoked.is_some()) {
        return Err(CorrectionError::Revoked(device.name));
    }
    let judge = Judge::load(storage, now).await?;
    if judge.is_frozen(&row) {
        return Err(CorrectionError::Frozen(photo));
    }
    let register = Register::load(storage).await?;
    let mut confirmed: BTreeSet<ChildId> = BTreeSet::new();
    if let WhoIsIn::Children(references) = who {
        for reference in references {
            confirmed.insert(register.child(reference)?.id);
        }
    }
    let tagging = match who {
        WhoIsIn::Children(_) | WhoIsIn::SomeoneElse => Tagging::Complete,
        WhoIsIn::NoChild => Tagging::NoChild,
        WhoIsIn::Untagged => Tagging::Untagged,
    };
    let correction = TagCorrection {
        photo,
        tagging,
        confirmed,
        unregistered_person: *who == WhoIsIn::SomeoneElse,
        care_record: row.facts.as_ref().is_some_and(|facts| facts.care_record),
        decided_at: now,
    };
    let audit = AuditEntry {
        at: now,
        who: by.name.clone(),
        act: "photo.correct".to_owned(),
        subject: photo.to_string(),
        detail: json!({
            "tagging": correction.tagging,
            "confirmed": correction.confirmed,
            "unregistered_person": correction.unregistered_person,
        }),
    };
    storage
        .correction_put(row.device, &correction, &audit)
        .await?;
    Ok((row, correction))
}

/// Decides on the photos that were on a tablet before it was enrolled.
pub async fn found(
    storage: &Storage,
    device: &Device,
    decision: FoundDecision,
    by: &Operator,
    now: Timestamp,
) -> Result<FoundPhotos, CorrectionError> {
    role::require(by, Act::Correct)?;
    if device.revoked.is_some() {
        return Err(CorrectionError::Revoked(device.name.clone()));
    }
    let found = FoundPhotos {
        decision,
        decided_at: now,
    };
    let audit = AuditEntry {
        at: now,
        who: by.name.clone(),
        act: "device.found_photos".to_owned(),
        subject: device.id.to_string(),
        detail: json!({ "decision": decision }),
    };
    storage.found_put(device.id, &found, &audit).await?;
    Ok(found)
}

impl Judge {
    /// Whether a hold for illegal content covers it, as far as anybody can tell.
    pub fn is_frozen(&self, row: &PhotoRow) -> bool {
        let verdict = self.facts(row).and_then(|facts| self.verdict(&facts));
        match verdict.map(|verdict| verdict.standing) {
            Some(Standing::Frozen) => true,
            Some(Standing::Scheduled(_)) => false,
            // Whom a freeze covers cannot be told of a photo nobody told about.
            None => self.is_any_frozen(),
        }
    }
}

#[cfg(test)]
mod tests;
