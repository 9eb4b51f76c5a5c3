//! How far a decision has got: which tablets have a bundle that says it.

use super::session::Session;
use crate::domain::bundle::{Inputs, SettingSecrets, content_digest};
use crate::domain::registers::Registers;
use crate::domain::roster::Roster;
use crate::signing::{ReleaseKey, ServerKeys, SignerClient};
use anyhow::Context as _;
use nestwarden_policy_schema::generation::Generation;
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::time::Instant;

/// How long a command waits for its change to be issued, and to arrive.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the database is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Tablets in use, by how far they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Delivery {
    /// By name: they asked with the newest bundle in force.
    pub(super) have: Vec<String>,
    /// It is issued, and they have yet to fetch it.
    pub(super) not_yet: Vec<String>,
    /// No bundle says it so far.
    pub(super) not_issued: Vec<String>,
    /// Why none can be made for a tablet, where that is why.
    #[serde(skip)]
    pub(super) impossible: Vec<String>,
}

impl Delivery {
    fn is_complete(&self) -> bool {
        self.not_yet.is_empty() && self.not_issued.is_empty()
    }

    pub(super) fn words(&self) -> String {
        let all = self.have.len() + self.not_yet.len() + self.not_issued.len();
        if all == 0 {
            return "There are no tablets yet.".to_owned();
        }
        let mut text = format!("{} of {all} tablets have it.", self.have.len());
        if !self.not_yet.is_empty() {
            let _ = write!(text, " On its way to: {}.", self.not_yet.join(", "));
        }
        if !self.not_issued.is_empty() {
            let _ = write!(
                text,
                " NOT YET ISSUED to: {}; `nestwarden-server status` says why.",
                self.not_issued.join(", ")
            );
        }
        text
    }
}

/// Has `serve` look for the change that was just made, and waits for it to arrive: briefly, and not at all without `serve`.
pub(super) async fn after_change(session: &Session) -> anyhow::Result<Delivery> {
    let is_served = session.nudge();
    let end = Instant::now() + PATIENCE;
    loop {
        let now = of_now(session).await?;
        if now.is_complete() || !is_served || Instant::now() >= end {
            return Ok(now);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

pub(super) async fn of_now(session: &Session) -> anyhow::Result<Delivery> {
    let keys = ServerKeys::load(&session.data.keys_dir()).context("failed to read the keys")?;
    let secrets = SettingSecrets {
        setting_name: session.settings()?.name,
        photo_hash: keys.photo_hash,
        release_recipient: keys.public.release_recipient,
        recovery_recipient: keys.public.recovery_recipient,
    };
    let (storage, now) = (&session.storage, session.now());
    let release = ReleaseKey::load(&session.data.keys_dir()).context("failed to read the keys")?;
    let registers = Registers {
        storage,
        release: &release,
        recipient: &secrets.release_recipient,
    };
    let roster = Roster::load(&registers).await?;
    let inputs = Inputs::load(storage).await?.with_roster(roster);
    let mut delivery = Delivery::default();
    for device in storage.device_list().await? {
        if device.revoked.is_some() {
            continue;
        }
        let newest = storage.bundle_newest(device.id).await?;
        let wanted = inputs
            .compose(&device, &secrets, now)
            .and_then(|bundle| content_digest(&bundle));
        if let Err(error) = &wanted {
            let says = format!("no bundle can be made for {}: {error}", device.name);
            delivery.impossible.push(says);
        }
        let issued = newest.filter(|n| wanted.as_ref() == Ok(&n.content_digest));
        let has = storage.bundle_reported(device.id).await?;
        let has = has.map_or(Generation::NONE, |report| report.generation);
        match issued {
            None => delivery.not_issued.push(device.name),
            Some(issued) if has < issued.generation => delivery.not_yet.push(device.name),
            Some(_) => delivery.have.push(device.name),
        }
    }
    Ok(delivery)
}

/// Why it is not issued to some tablets; empty: it is issued to all.
pub(super) async fn why_not_issued(session: &Session, delivery: &Delivery) -> Vec<String> {
    let signer = signer_problem(session).await;
    if delivery.not_issued.is_empty() {
        return signer.into_iter().collect();
    }
    let mut why = vec![format!(
        "not yet issued: what was decided last has no bundle for {}",
        delivery.not_issued.join(", ")
    )];
    why.extend(delivery.impossible.iter().cloned());
    let is_signer_down = signer.is_some();
    why.extend(signer);
    if !session.nudge() {
        why.push("`serve` does not run, and nothing is issued until it does: start its service, `systemctl start nestwarden-server`".to_owned());
    } else if !is_signer_down && delivery.impossible.is_empty() {
        why.push("the server runs and issues it now; look again in a minute. If this stays, its log says why: `journalctl -u nestwarden-server`".to_owned());
    }
    why
}

/// Why nothing can be issued; `None`: the signer answers.
async fn signer_problem(session: &Session) -> Option<String> {
    let signer = SignerClient::new(session.data.signer_socket_path());
    let error = signer.public_key().await.err()?;
    Some(format!(
        "no decision reaches a tablet until the signer answers ({error}): start its service, `systemctl start nestwarden-signer`"
    ))
}
