//! Everything that is known of one child, for the person who asked for it. No other child's data: a photo that shows
//! others is listed as such and goes out only after somebody looked.

pub mod archive;
pub mod request;
pub mod sending;

use super::photo::{self, Judge};
use super::register::{NoChild, Register};
use super::role::{self, Act, NotAllowed};
use crate::signing::archive::{ArchiveManifest, Member};
use crate::storage::{AuditEntry, Child, Operator, PhotoRow, Storage, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::{PhotoFacts, Stage};
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use nestwarden_policy_schema::id::ChildId;
use serde_json::{Value, json};

pub const VERSION: u32 = 1;

const ABOUT: &str = "\
What the setting holds about one child in Nestwarden.

child.json     the entry in the register
consents.json  every answer about the use of photos, as it was recorded
photos.json    photos that show the child, or did: when taken, on which tablet, what became of them
receipts.json  for photos that were deleted: deleted and not found on re-scan, on tablets we manage
manifest.json  this list with the SHA-256 of each file, signed; `nestwarden-server verify --archive` checks it

Photos marked \"needs_review\" show, or may show, other children, and somebody has to look at each before it is given
out. Photos come from the tablets, where somebody looked at each, and only where the DSL and a second person asked for
them (`nestwarden-server subject-access`). Then there are here too:

reviewed.json   what became of each photo that was asked for: sent, or left out and why
photo-….age     a photo, encrypted on the tablet to the DSL's key; `nestwarden-server subject-access open` opens it
";

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    NoChild(#[from] NoChild),
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    #[error(
        "a hold for illegal content covers photos of {0}: nothing of them is exported until it is released; speak to the police first"
    )]
    Frozen(String),
    #[error("failed to write a member as JSON")]
    Unwritable(#[from] serde_json::Error),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The files of an archive, and the list of them that is to be signed.
pub struct Export {
    pub members: Vec<(&'static str, Vec<u8>)>,
    pub manifest: ArchiveManifest,
    pub photos: usize,
    pub needs_review: usize,
    /// Whether a hold keeps what was listed from being destroyed meanwhile.
    pub is_held: bool,
}

/// Gathers it. That it was done is in the access log before anything is given out.
pub async fn gather(
    storage: &Storage,
    reference: &str,
    by: &Operator,
    now: Timestamp,
) -> Result<Export, ExportError> {
    let register = Register::load(storage).await?;
    let child = register.child(reference)?.clone();
    gather_of(storage, &register, child, by, now).await
}

/// The same, of a child by the id that tablets know.
pub async fn gather_of(
    storage: &Storage,
    register: &Register,
    child: Child,
    by: &Operator,
    now: Timestamp,
) -> Result<Export, ExportError> {
    role::require(by, Act::Export)?;
    let judge = Judge::load(storage, now).await?;
    let mut found = Found::default();
    photo::each(storage, |row| found.look(&judge, &row, child.id)).await?;
    let scope = HoldScope::Child { child: child.id };
    let frozen = |category: HoldCategory| category.freezes();
    let holds = &judge.holds.holds;
    if found.is_frozen || holds.iter().any(|h| h.scope == scope && frozen(h.category)) {
        return Err(ExportError::Frozen(child.reference));
    }
    let members = vec![
        ("about.txt", ABOUT.as_bytes().to_vec()),
        ("child.json", pretty(&entry(register, &child))?),
        (
            "consents.json",
            pretty(&json!(register.records_of(child.id)))?,
        ),
        ("photos.json", pretty(&json!(found.photos))?),
        ("receipts.json", pretty(&json!(found.receipts))?),
    ];
    let manifest = ArchiveManifest {
        version: VERSION,
        setting: storage.setting(),
        child: child.id,
        made_at: now,
        members: members
            .iter()
            .map(|(name, bytes)| Member {
                name: (*name).to_owned(),
                bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
                sha256: Digest::sha256(bytes),
            })
            .collect(),
    };
    let audit = AuditEntry {
        at: now,
        who: by.name.clone(),
        act: "child.export".to_owned(),
        subject: child.id.to_string(),
        detail: json!({ "photos": found.photos.len(), "receipts": found.receipts.len() }),
    };
    storage.audit_add(&audit).await?;
    Ok(Export {
        members,
        manifest,
        photos: found.photos.len(),
        needs_review: found.needs_review,
        is_held: holds.iter().any(|hold| hold.scope == scope),
    })
}

#[derive(Default)]
struct Found {
    photos: Vec<Value>,
    receipts: Vec<Value>,
    needs_review: usize,
    is_frozen: bool,
}

impl Found {
    fn look(&mut self, judge: &Judge, row: &PhotoRow, child: ChildId) {
        let facts = judge.facts(row);
        let confirmed = facts
            .as_ref()
            .is_some_and(|facts| facts.subjects.confirmed.contains(&child));
        let possible = !confirmed
            && row.stage != Stage::Destroyed
            && facts
                .as_ref()
                .is_some_and(|facts| may_show(judge, facts, child));
        let by_receipt = row.receipt.as_ref().is_some_and(|r| r.child == Some(child));
        if !confirmed && !possible && !by_receipt {
            return;
        }
        self.is_frozen |= row.stage != Stage::Destroyed && judge.is_frozen(row);
        let shows_others = facts.as_ref().is_none_or(|facts| {
            possible
                || facts.subjects.unregistered_person
                || facts.subjects.confirmed.len() > 1
                || facts.subjects.tagging != nestwarden_policy_schema::consent::Tagging::Complete
        });
        let needs_review = shows_others && row.stage != Stage::Destroyed;
        self.needs_review += usize::from(needs_review);
        self.photos.push(json!({
            "photo": row.photo,
            "tablet": row.device,
            "media": row.media,
            "captured_at": facts.as_ref().map(|facts| facts.captured_at),
            "shows_the_child": if confirmed || by_receipt { "said so by staff" } else { "not ruled out" },
            "stage": row.stage,
            "since": row.stage_at,
            "needs_review": needs_review,
        }));
        if let Some(receipt) = &row.receipt {
            // Another child's withdrawal may be why a photo of both went: that is not this child's record.
            let own = receipt.child.is_none_or(|of| of == child);
            self.receipts.push(json!({
                "receipt": receipt.id,
                "photo": receipt.photo,
                "cause": own.then_some(receipt.cause),
                "consent": receipt.consent.filter(|_| own),
                "withheld_at": receipt.withheld_at,
                "sealed_at": receipt.sealed_at,
                "deleted_at": receipt.destroyed_at,
                "artefacts": receipt.artefacts,
                "looked_again_at": receipt.rescan.at,
                "found_again": receipt.rescan.found,
            }));
        }
    }
}

/// Whether a child may be in a photo, as far as anybody said.
pub fn may_show(judge: &Judge, facts: &PhotoFacts, child: ChildId) -> bool {
    judge.setup(facts.device).is_some_and(|setup| {
        let date = setup.calendar.local_date(facts.captured_at);
        facts.subjects.all(&judge.register, date).contains(&child)
    })
}

fn entry(register: &Register, child: &Child) -> Value {
    json!({
        "reference": child.reference,
        "first_name": child.first_name,
        "last_name": child.last_name,
        "id_on_tablets": child.id,
        "rooms": child.entry.rooms,
        "days": child.entry.attends,
        "starts": child.entry.starts,
        "leaves": child.entry.leaves,
        "restriction": child.entry.restriction,
        "missing_since": child.entry.missing_since,
        "standing": register.standings(child.id),
    })
}

pub(super) fn pretty(value: &Value) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests;
