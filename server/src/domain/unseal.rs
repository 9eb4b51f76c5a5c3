//! Which sealed photo may be opened, and by whose word. No image comes here: the tablet sends the header of the file, and
//! gets that file's key or a refusal.

use super::hold::is_dsl;
use super::photo::Judge;
use super::subject_access::sending::{self, SendError};
use crate::signing::release::ReleaseKey;
use crate::storage::decision::{UnsealDecision, Unsealing, UnsealingKept};
use crate::storage::hold::HoldAct;
use crate::storage::{AuditEntry, Operator, PhotoRow, Storage, StorageError};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bytes::Secret;
use nestwarden_policy_schema::consent::{Stage, Standing};
use nestwarden_policy_schema::device_api::{MAX_STANZAS, UnsealRequest};
use nestwarden_policy_schema::id::{AccessRequestId, DeviceId, PhotoId};
use serde_json::json;

/// For how long a person's word opens a photo.
const STANDS_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
const MAX_REASON_CHARS: usize = 400;

/// By whose word a photo is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// Nothing speaks for sealing it any more.
    Register,
    Person,
    /// Two people asked for a child's photos: it is looked at, and may be sent, and does not come back into use.
    Access(AccessRequestId),
}

#[derive(Debug, thiserror::Error)]
pub enum UnsealError {
    #[error("this tablet never told of photo {0}; send its events first")]
    PhotoUnknown(PhotoId),
    #[error("{0}")]
    Refused(Refusal),
    #[error("the request has no stanza that this setting's release key opens")]
    Stanzas,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a key is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "a hold for illegal content covers this photo: nothing opens it, and the police take the tablet"
    )]
    Frozen,
    #[error(
        "a hold covers this photo; it opens when consent permits it again, or when the DSL and a second person run `photo unseal`"
    )]
    Held,
    #[error(
        "by the register this photo stays sealed; the DSL can decide otherwise with `photo unseal`"
    )]
    StaysSealed,
    #[error(
        "the tablet did not tell who is in this photo, so nothing can be said of it; the DSL can decide with `photo unseal`"
    )]
    Untold,
    #[error("this file was opened as another photo, or this photo with another file")]
    OtherFile,
    #[error("there is no open request by which this tablet may have this photo reviewed")]
    NotAsked,
}

/// The key of one file for a tablet that owns the photo, if it may have it. Every answer and refusal is in the access log.
pub async fn answer(
    storage: &Storage,
    release: &ReleaseKey,
    device: DeviceId,
    request: &UnsealRequest,
    now: Timestamp,
) -> Result<Secret, UnsealError> {
    let photo = request.photo;
    let Some(row) = storage.photo_find(device, photo).await? else {
        refused(storage, device, photo, "photo_unknown", now).await?;
        return Err(UnsealError::PhotoUnknown(photo));
    };
    let authorised = match request.access {
        Some(access) => for_access(storage, access, &row, now).await?,
        None => authorised(storage, &row, now).await?,
    };
    let word = match authorised {
        Ok(word) => word,
        Err(refusal) => {
            refused(storage, device, photo, &format!("{refusal:?}"), now).await?;
            return Err(UnsealError::Refused(refusal));
        }
    };
    let opened = Some(&request.stanzas)
        .filter(|stanzas| stanzas.len() <= MAX_STANZAS)
        .and_then(|stanzas| release.open(stanzas));
    let Some(opened) = opened else {
        refused(storage, device, photo, "Stanzas", now).await?;
        return Err(UnsealError::Stanzas);
    };
    let known = row.floor.map(|floor| floor.facts).or(row.facts);
    let sealed_at = known.map(|facts| facts.sealed_at);
    let unsealing = Unsealing {
        device,
        photo,
        stanza: opened.stanza,
        sealed_at: sealed_at.flatten(),
        at: now,
    };
    let audit = entry(device, photo, "photo.key_given", &format!("{word:?}"), now);
    match storage.unseal_keep(&unsealing, &audit).await? {
        UnsealingKept::Yes => Ok(opened.key),
        UnsealingKept::OtherFile => {
            refused(storage, device, photo, "OtherFile", now).await?;
            Err(UnsealError::Refused(Refusal::OtherFile))
        }
    }
}

async fn for_access(
    storage: &Storage,
    access: AccessRequestId,
    row: &PhotoRow,
    now: Timestamp,
) -> Result<Result<Word, Refusal>, StorageError> {
    match sending::authorise(storage, access, row.device, row.photo, now).await {
        Ok(_) => Ok(Ok(Word::Access(access))),
        Err(SendError::Frozen(_)) => Ok(Err(Refusal::Frozen)),
        Err(
            SendError::NotOpen(_)
            | SendError::PhotoUnknown(_)
            | SendError::NotAsked(_)
            | SendError::Full { .. },
        ) => Ok(Err(Refusal::NotAsked)),
        Err(SendError::Storage(error)) => Err(error),
    }
}

async fn authorised(
    storage: &Storage,
    row: &PhotoRow,
    now: Timestamp,
) -> Result<Result<Word, Refusal>, StorageError> {
    let judge = Judge::load(storage, now).await?;
    let decision = storage
        .unseal_decision(row.device, row.photo)
        .await?
        .filter(|decision| now < decision.asked.at + STANDS_FOR);
    let verdict = judge.facts(row).and_then(|facts| judge.verdict(&facts));
    let is_held = verdict.as_ref().is_some_and(|v| !v.holds.is_empty());
    Ok(match verdict.as_ref().map(|verdict| &verdict.standing) {
        Some(Standing::Frozen) => Err(Refusal::Frozen),
        // Whom a freeze covers cannot be told of a photo nobody told about.
        None if judge.is_any_frozen() => Err(Refusal::Frozen),
        Some(Standing::Scheduled(_)) => {
            let stage = judge.facts(row).and_then(|facts| judge.due(&facts));
            match stage {
                Some(Stage::Live | Stage::Withheld) => Ok(Word::Register),
                Some(Stage::Sealed | Stage::Destroyed) | None if is_held => decision
                    .and_then(|decision| decision.confirmed)
                    .map(|_| Word::Person)
                    .ok_or(Refusal::Held),
                Some(Stage::Sealed | Stage::Destroyed) | None => {
                    decision.map(|_| Word::Person).ok_or(Refusal::StaysSealed)
                }
            }
        }
        None => decision.map(|_| Word::Person).ok_or(Refusal::Untold),
    })
}

async fn refused(
    storage: &Storage,
    device: DeviceId,
    photo: PhotoId,
    why: &str,
    now: Timestamp,
) -> Result<(), StorageError> {
    let audit = entry(device, photo, "photo.key_refused", why, now);
    storage.audit_add(&audit).await
}

fn entry(device: DeviceId, photo: PhotoId, act: &str, why: &str, now: Timestamp) -> AuditEntry {
    AuditEntry {
        at: now,
        who: format!("tablet:{device}"),
        act: act.to_owned(),
        subject: photo.to_string(),
        detail: json!({ "why": why }),
    }
}

/// How far a person's word got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// The tablet gets the key when it next asks.
    Stands,
    /// The photo is under a hold: a second person must say the same.
    SecondPersonNeeded,
}

#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    #[error(
        "{name} is neither DSL nor deputy; only they may decide that a sealed photo is opened: say who with `--as NAME`"
    )]
    NotDsl { name: String },
    #[error(
        "`--reason` is empty or longer than {MAX_REASON_CHARS} characters; say in a sentence why it is needed"
    )]
    Reason,
    #[error("no tablet told of photo {0}; `photo list` shows those there are")]
    Missing(PhotoId),
    #[error("{0}")]
    Refused(Refusal),
    #[error(
        "the photo is under a hold and {name} asked already; somebody else must run the same command, with their own name after `--as`"
    )]
    SamePerson { name: String },
    #[error("photo {0} was destroyed; it is gone for good")]
    Destroyed(PhotoId),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Lets a sealed photo be opened although the register does not say so. Under a hold the first call notes the wish, and
/// a second one by somebody else confirms it.
pub async fn decide(
    storage: &Storage,
    photo: PhotoId,
    reason: &str,
    by: &Operator,
    now: Timestamp,
) -> Result<Decided, DecideError> {
    if reason.trim().is_empty() || reason.chars().count() > MAX_REASON_CHARS {
        return Err(DecideError::Reason);
    }
    let row = storage.photo_by_id(photo).await?.pop();
    let row = row.ok_or(DecideError::Missing(photo))?;
    if row.stage == Stage::Destroyed {
        return Err(DecideError::Destroyed(photo));
    }
    let refusal = authorised(storage, &row, now).await?.err();
    if refusal == Some(Refusal::Frozen) {
        return Err(DecideError::Refused(Refusal::Frozen));
    }
    let earlier = storage
        .unseal_decision(row.device, photo)
        .await?
        .filter(|decision| now < decision.asked.at + STANDS_FOR);
    let act = HoldAct {
        by: by.name.clone(),
        at: now,
    };
    let held = refusal == Some(Refusal::Held);
    let decision = match earlier {
        Some(asked) if held && asked.asked.by == by.name => {
            return Err(DecideError::SamePerson {
                name: by.name.clone(),
            });
        }
        Some(asked) if held => UnsealDecision {
            confirmed: Some(act),
            ..asked
        },
        Some(_) | None if !is_dsl(by) => {
            return Err(DecideError::NotDsl {
                name: by.name.clone(),
            });
        }
        Some(_) | None => UnsealDecision {
            device: row.device,
            photo,
            reason: reason.trim().to_owned(),
            asked: act,
            confirmed: None,
        },
    };
    let audit = AuditEntry {
        at: now,
        who: by.name.clone(),
        act: "photo.unseal".to_owned(),
        subject: photo.to_string(),
        detail: json!({ "reason": decision.reason, "confirmed": decision.confirmed.is_some() }),
    };
    storage.unseal_decide(&decision, &audit).await?;
    Ok(if held && decision.confirmed.is_none() {
        Decided::SecondPersonNeeded
    } else {
        Decided::Stands
    })
}

#[cfg(test)]
mod tests;
