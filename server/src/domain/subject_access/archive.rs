//! The archive of a request: everything that is known of the child, what became of each photo, and the photos.

use super::super::photo::{self, Judge};
use super::super::register::Register;
use super::request::{self, RequestError, shows};
use super::{Export, ExportError, gather_of, pretty};
use crate::signing::archive::Member;
use crate::storage::access::{AccessRow, AskedPhoto};
use crate::storage::hold::HoldAct;
use crate::storage::received::ReceivedFiles;
use crate::storage::{AuditEntry, Operator, Storage, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::access::Reviewed;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::id::{AccessRequestId, DeviceId, PhotoId};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub const REVIEWED: &str = "reviewed.json";

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(
        "what was received for request {0} is gone from this server; an archive can be made only before that"
    )]
    Purged(AccessRequestId),
    #[error("the child of request {0} is not on the register any more")]
    ChildMissing(AccessRequestId),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// An export with the photos that were received.
pub struct Archive {
    pub export: Export,
    /// Members that are files on this server, with where they lie.
    pub files: Vec<(Member, PathBuf)>,
    pub left_out: usize,
    /// Photos of which no tablet told, or that have not arrived yet.
    pub waiting: usize,
}

/// Gathers it; what is in it stays on the server until the request is closed.
pub async fn gather(
    storage: &Storage,
    files: &ReceivedFiles,
    id: AccessRequestId,
    by: &Operator,
    now: Timestamp,
) -> Result<Archive, ArchiveError> {
    let row = request::find(storage, id).await?;
    if row.purged.is_some() || row.cancelled.is_some() {
        return Err(ArchiveError::Purged(id));
    }
    let register = Register::load(storage).await?;
    let children = storage.child_list().await?;
    let child = children.into_iter().find(|child| child.id == row.child);
    let child = child.ok_or(ArchiveError::ChildMissing(id))?;
    let mut export = gather_of(storage, &register, child, by, now).await?;
    let listed = Listed::load(storage, &row, now).await?;
    let mut archive_files = Vec::new();
    let (mut left_out, mut waiting) = (0, 0);
    let mut reviewed = Vec::new();
    for (key, media) in &listed.photos {
        let (device, photo) = *key;
        let said = listed.said.get(key);
        let name = format!("photo-{photo}.age");
        let received = said.and_then(|said| said.received);
        let outcome = match (said.and_then(|said| said.reviewed), received) {
            (Some(Reviewed::OthersInIt), _) => "left out: others are in it",
            (Some(Reviewed::NotThisChild), _) => "left out: the child is not in it",
            (_, Some(_)) => "sent",
            (Some(Reviewed::Include), None) => "not here yet: on its way",
            (None, None) => "not here yet: nobody finished looking",
        };
        left_out += usize::from(outcome.starts_with("left out"));
        waiting += usize::from(outcome.starts_with("not here"));
        let sent = received.filter(|_| outcome == "sent");
        reviewed.push(json!({
            "photo": photo, "tablet": device, "media": media, "outcome": outcome,
            "member": sent.map(|_| &name),
            // What the tablet's signed record says it sent.
            "told_sha256": said.and_then(|said| said.told_sha256),
        }));
        if let Some(sent) = sent {
            let member = Member {
                name,
                bytes: sent.bytes,
                sha256: sent.sha256,
            };
            archive_files.push((member, files.path(id, device, photo)));
        }
    }
    let about = about(&row, storage, reviewed).await?;
    let about = pretty(&about).map_err(ExportError::from)?;
    export.manifest.members.push(Member {
        name: REVIEWED.to_owned(),
        bytes: about.len() as u64,
        sha256: Digest::sha256(&about),
    });
    export.members.push((REVIEWED, about));
    let members = archive_files.iter().map(|(member, _)| member.clone());
    export.manifest.members.extend(members);
    let act = HoldAct {
        by: by.name.clone(),
        at: now,
    };
    let audit = AuditEntry {
        at: now,
        who: by.name.clone(),
        act: "subject_access.archive".to_owned(),
        subject: id.to_string(),
        detail: json!({ "photos": archive_files.len(), "left_out": left_out, "waiting": waiting }),
    };
    storage.access_hand_over(id, &act, &audit).await?;
    Ok(Archive {
        export,
        files: archive_files,
        left_out,
        waiting,
    })
}

async fn about(
    row: &AccessRow,
    storage: &Storage,
    photos: Vec<Value>,
) -> Result<Value, StorageError> {
    Ok(json!({
        "request": row.id,
        "recipient": row.recipient,
        "asked": row.asked,
        "agreed": row.agreed,
        "tablets": storage.access_tablets(row.id).await?,
        "photos": photos,
    }))
}

/// Every photo of the request, with what is known of it.
struct Listed {
    photos: BTreeMap<(DeviceId, PhotoId), Option<String>>,
    said: BTreeMap<(DeviceId, PhotoId), AskedPhoto>,
}

impl Listed {
    async fn load(
        storage: &Storage,
        row: &AccessRow,
        now: Timestamp,
    ) -> Result<Self, StorageError> {
        let judge = Judge::load(storage, now).await?;
        let tablets = storage.access_tablets(row.id).await?;
        let tablets: BTreeSet<DeviceId> = tablets.into_iter().map(|asked| asked.device).collect();
        let said = storage.access_photos(row.id).await?;
        let said: BTreeMap<_, _> = said
            .into_iter()
            .map(|said| ((said.device, said.photo), said))
            .collect();
        let mut photos = BTreeMap::new();
        photo::each(storage, |known| {
            let key = (known.device, known.photo);
            let is_asked =
                tablets.contains(&known.device) && shows(&judge, &known, row.child, row.asked.at);
            // One that somebody said something else of since was reviewed all the same.
            if is_asked || said.contains_key(&key) {
                photos.insert(key, known.media);
            }
        })
        .await?;
        Ok(Self { photos, said })
    }
}
