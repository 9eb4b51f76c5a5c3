//! Asking for a child's photos: one person asks, another agrees, and only then are tablets told.

use super::super::fresh;
use super::super::hold::{self, HoldError, is_dsl};
use super::super::photo::{self, Judge};
use super::super::register::{NoChild, Register};
use super::super::role::{self, Act, NotAllowed};
use crate::storage::access::{AccessRow, AccessState};
use crate::storage::hold::HoldAct;
use crate::storage::received::ReceivedFiles;
use crate::storage::{AuditEntry, Changed, Operator, PhotoRow, Storage, StorageError};
use age::x25519;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::access::{Fingerprint, MAX_PHOTOS};
use nestwarden_policy_schema::consent::Stage;
use nestwarden_policy_schema::hold::{Hold, HoldCategory, HoldScope};
use nestwarden_policy_schema::id::{AccessRequestId, ChildId, DeviceId};
use serde_json::json;
use std::collections::BTreeMap;
use std::str::FromStr as _;

pub const DEFAULT_DAYS: i64 = 30;
/// A subject access request is answered within three months at the latest.
pub const MAX_DAYS: i64 = 92;
pub const DEFAULT_MOST: u32 = 500;
/// What was received stays this long after it was handed over, or the request ended.
pub const KEPT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error(transparent)]
    NoChild(#[from] NoChild),
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    #[error(
        "{name} is neither DSL nor deputy; only they may ask for a child's photos: say who with `--as NAME`"
    )]
    NotDsl { name: String },
    #[error(
        "`--recipient` is no age recipient ({0}); `subject-access key --out FILE`, run on a machine of the DSL's own, makes one"
    )]
    Recipient(&'static str),
    #[error("`--days` is {0}; write 1 to {MAX_DAYS}")]
    Days(i64),
    #[error("`--most` is {0}; write 1 to {MAX_PHOTOS}")]
    Most(u32),
    #[error(
        "a hold for illegal content covers photos of {0}: nothing of them is exported until it is released; speak to the police first"
    )]
    Frozen(String),
    #[error(
        "nobody said of any photo on a tablet that {0} is in it, so there is nothing to ask tablets for; `child export` has everything else"
    )]
    NoPhotos(String),
    #[error(
        "{found} photos show the child, and the request is for {most}; ask with `--most {found}`"
    )]
    TooMany { found: u64, most: u32 },
    #[error("there is no subject access request {0}; `subject-access list` shows those there are")]
    Missing(AccessRequestId),
    #[error(
        "{name} asked for these photos; a second person must agree, with their own name after `--as`"
    )]
    SamePerson { name: String },
    #[error("request {id} is {state}; there is nothing to agree to")]
    NotWaiting {
        id: AccessRequestId,
        state: &'static str,
    },
    #[error("request {0} was cancelled or closed already, and nothing of it is left")]
    Over(AccessRequestId),
    #[error(transparent)]
    Hold(#[from] HoldError),
    #[error("failed to remove what was received for request {id}")]
    Files {
        id: AccessRequestId,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What the DSL asks for.
pub struct Wish<'a> {
    pub reference: &'a str,
    pub recipient: &'a str,
    pub days: i64,
    pub most: u32,
}

/// What was asked.
pub struct Asked {
    pub row: AccessRow,
    pub fingerprint: Fingerprint,
    /// Photos in which somebody said the child is.
    pub photos: u64,
    pub tablets: usize,
    /// The hold that keeps them from being destroyed meanwhile, if there was none before.
    pub hold: Option<Hold>,
}

pub fn word(state: AccessState) -> &'static str {
    match state {
        AccessState::WaitsForSecondPerson => "waiting for a second person",
        AccessState::Open => "open",
        AccessState::Cancelled => "cancelled",
        AccessState::Ended => "ended",
    }
}

/// What the page of a tablet calls a child whose name it does not have, because they are of another room.
pub fn on_tablets(child: ChildId) -> String {
    let id = child.as_uuid().simple().to_string().to_uppercase();
    let (_, end) = id.split_at(id.len() - 6);
    format!("Child {end}")
}

/// Notes the wish, and keeps the child's photos from being destroyed meanwhile.
pub async fn ask(
    storage: &Storage,
    wish: &Wish<'_>,
    by: &Operator,
    now: Timestamp,
) -> Result<Asked, RequestError> {
    if !is_dsl(by) {
        return Err(RequestError::NotDsl {
            name: by.name.clone(),
        });
    }
    if !(1..=MAX_DAYS).contains(&wish.days) {
        return Err(RequestError::Days(wish.days));
    }
    if !(1..=MAX_PHOTOS).contains(&wish.most) {
        return Err(RequestError::Most(wish.most));
    }
    // Written as age writes it: what a person compares must be what a tablet encrypts to.
    let key = x25519::Recipient::from_str(wish.recipient).map_err(RequestError::Recipient)?;
    let recipient = key.to_string();
    let fingerprint =
        Fingerprint::of(&recipient).ok_or(RequestError::Recipient("its form is unknown"))?;
    let register = Register::load(storage).await?;
    let child = register.child(wish.reference)?.clone();
    let judge = Judge::load(storage, now).await?;
    let tablets = tablets(storage, &judge, child.id, now).await?;
    let tablets = tablets.map_err(|Frozen| RequestError::Frozen(child.reference.clone()))?;
    let photos: u64 = tablets.values().sum();
    if photos == 0 {
        return Err(RequestError::NoPhotos(child.reference));
    }
    if photos > u64::from(wish.most) {
        return Err(RequestError::TooMany {
            found: photos,
            most: wish.most,
        });
    }
    let scope = HoldScope::Child { child: child.id };
    let hold = if judge.holds.holds.iter().any(|hold| hold.scope == scope) {
        None
    } else {
        let (category, days) = (HoldCategory::SubjectAccess, hold::REVIEW_WITHIN_DAYS);
        Some(hold::open(storage, scope, category, days, by, now).await?)
    };
    let row = AccessRow {
        id: AccessRequestId::from_uuid(fresh::ordered(now)),
        child: child.id,
        recipient,
        max_photos: wish.most,
        asked: act(by, now),
        expires_at: now
            .checked_add(SignedDuration::from_hours(24 * wish.days))
            .unwrap_or(Timestamp::MAX),
        agreed: None,
        cancelled: None,
        handed_over: None,
        purged: None,
    };
    let mut audit = entry(row.id, "subject_access.ask", &by.name, now);
    audit.detail = json!({
        "child": row.child, "recipient": row.recipient, "photos": photos,
        "tablets": tablets.keys().collect::<Vec<_>>(), "expires_at": row.expires_at,
    });
    storage.access_ask(&row, &audit).await?;
    Ok(Asked {
        row,
        fingerprint,
        photos,
        tablets: tablets.len(),
        hold,
    })
}

/// The second person agrees: from now on the tablets are asked.
pub async fn agree(
    storage: &Storage,
    id: AccessRequestId,
    by: &Operator,
    now: Timestamp,
) -> Result<(AccessRow, BTreeMap<DeviceId, u64>), RequestError> {
    role::require(by, Act::AgreeToExport)?;
    let row = find(storage, id).await?;
    if row.state(now) != AccessState::WaitsForSecondPerson {
        return Err(RequestError::NotWaiting {
            id,
            state: word(row.state(now)),
        });
    }
    if row.asked.by == by.name {
        return Err(RequestError::SamePerson {
            name: by.name.clone(),
        });
    }
    let judge = Judge::load(storage, now).await?;
    let tablets = tablets(storage, &judge, row.child, row.asked.at).await?;
    let tablets = tablets.map_err(|Frozen| RequestError::Frozen(row.child.to_string()))?;
    let mut audit = entry(id, "subject_access.agree", &by.name, now);
    audit.detail = json!({ "child": row.child, "tablets": tablets });
    let act = act(by, now);
    match storage.access_agree(id, &act, &tablets, &audit).await? {
        Changed::Yes => Ok((
            AccessRow {
                agreed: Some(act),
                ..row
            },
            tablets,
        )),
        // Somebody else was faster.
        Changed::Already => Err(RequestError::NotWaiting {
            id,
            state: "agreed to or cancelled already",
        }),
        Changed::Missing => Err(RequestError::Missing(id)),
    }
}

/// Ends it: tablets are told, and what was received goes.
pub async fn cancel(
    storage: &Storage,
    files: &ReceivedFiles,
    id: AccessRequestId,
    by: &Operator,
    now: Timestamp,
) -> Result<(), RequestError> {
    role::require(by, Act::AgreeToExport)?;
    let audit = entry(id, "subject_access.cancel", &by.name, now);
    match storage.access_cancel(id, &act(by, now), &audit).await? {
        Changed::Yes => {}
        Changed::Already => return Err(RequestError::Over(id)),
        Changed::Missing => return Err(RequestError::Missing(id)),
    }
    purge(storage, files, id, &by.name, now).await
}

/// The archive is with whoever asked: what was received goes from this server, and no more is taken.
pub async fn close(
    storage: &Storage,
    files: &ReceivedFiles,
    id: AccessRequestId,
    by: &Operator,
    now: Timestamp,
) -> Result<(), RequestError> {
    role::require(by, Act::AgreeToExport)?;
    find(storage, id).await?;
    purge(storage, files, id, &by.name, now).await
}

pub async fn find(storage: &Storage, id: AccessRequestId) -> Result<AccessRow, RequestError> {
    let row = storage.access_find(id).await?;
    row.ok_or(RequestError::Missing(id))
}

/// When what was received for a request has to be gone; `None`: it is.
pub fn goes_at(row: &AccessRow) -> Option<Timestamp> {
    if row.purged.is_some() {
        return None;
    }
    if let Some(cancelled) = &row.cancelled {
        return Some(cancelled.at);
    }
    let from = match &row.handed_over {
        Some(act) => act.at.min(row.expires_at),
        None => row.expires_at,
    };
    Some(from.checked_add(KEPT_FOR).unwrap_or(Timestamp::MAX))
}

/// Removes what is due to go. May be run again at any time; how many requests it was.
pub async fn purge_due(
    storage: &Storage,
    files: &ReceivedFiles,
    now: Timestamp,
) -> Result<usize, RequestError> {
    let mut purged = 0;
    for row in storage.access_list().await? {
        if row.purged.is_some() {
            // A cut may have come between the record of it and the files.
            remove(files, row.id).await?;
            continue;
        }
        if goes_at(&row).is_some_and(|at| at <= now) {
            purge(storage, files, row.id, "server", now).await?;
            purged += 1;
        }
    }
    Ok(purged)
}

async fn purge(
    storage: &Storage,
    files: &ReceivedFiles,
    id: AccessRequestId,
    who: &str,
    now: Timestamp,
) -> Result<(), RequestError> {
    let received = storage.access_photos(id).await?;
    let received = received.iter().filter(|p| p.received.is_some()).count();
    let act = HoldAct {
        by: who.to_owned(),
        at: now,
    };
    let mut audit = entry(id, "subject_access.purge", who, now);
    audit.detail = json!({ "photos": received });
    // On record first: from here on nothing more is taken in, and a cut between the two is made good by the next round.
    storage.access_purged(id, &act, &audit).await?;
    remove(files, id).await
}

async fn remove(files: &ReceivedFiles, id: AccessRequestId) -> Result<(), RequestError> {
    let files = files.clone();
    let removed = tokio::task::spawn_blocking(move || files.remove_all(id)).await;
    removed
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        .map_err(|source| RequestError::Files { id, source })
}

struct Frozen;

/// The tablets with photos that somebody said show the child, and how many each has.
async fn tablets(
    storage: &Storage,
    judge: &Judge,
    child: ChildId,
    asked_at: Timestamp,
) -> Result<Result<BTreeMap<DeviceId, u64>, Frozen>, StorageError> {
    let revoked: Vec<DeviceId> = storage
        .device_list()
        .await?
        .into_iter()
        .filter(|device| device.revoked.is_some())
        .map(|device| device.id)
        .collect();
    let (mut tablets, mut frozen) = (BTreeMap::new(), false);
    photo::each(storage, |row| {
        if revoked.contains(&row.device) || !shows(judge, &row, child, asked_at) {
            return;
        }
        frozen |= judge.is_frozen(&row);
        *tablets.entry(row.device).or_insert(0) += 1;
    })
    .await?;
    Ok(if frozen { Err(Frozen) } else { Ok(tablets) })
}

/// Whether somebody said that the child is in a photo that was there when it was asked for, and still is.
pub(super) fn shows(judge: &Judge, row: &PhotoRow, child: ChildId, asked_at: Timestamp) -> bool {
    row.stage != Stage::Destroyed
        && judge.facts(row).is_some_and(|facts| {
            facts.subjects.confirmed.contains(&child) && facts.captured_at <= asked_at
        })
}

fn act(by: &Operator, now: Timestamp) -> HoldAct {
    HoldAct {
        by: by.name.clone(),
        at: now,
    }
}

fn entry(id: AccessRequestId, act: &str, who: &str, now: Timestamp) -> AuditEntry {
    AuditEntry {
        at: now,
        who: who.to_owned(),
        act: act.to_owned(),
        subject: id.to_string(),
        detail: json!({}),
    }
}
