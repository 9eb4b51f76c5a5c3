//! `device lock`, `message`, `lost` and `found`.

use super::reply::Reply;
use super::session::Session;
use crate::domain::command;
use crate::storage::{AuditEntry, Device};
use nestwarden_policy_schema::command::Command;
use serde_json::{Value, json};

pub(super) async fn lock(named: &str, session: &Session) -> anyhow::Result<Reply> {
    let device = session.device(named).await?;
    let audit = audit(session, "device.lock", &device, json!({}));
    let limit = session.settings()?.commands.limit();
    let now = session.now();
    let command = command::lock(&session.storage, &device, limit, &audit, now).await?;
    let until = session.local_time().await?.at(command.expires_at);
    let text = format!(
        "\"{}\" locks its sessions at its next contact, until {until}; `device show` says what was seen.",
        device.name
    );
    Ok(asked(session, &device, &command, text))
}

pub(super) async fn message(named: &str, text: &str, session: &Session) -> anyhow::Result<Reply> {
    let device = session.device(named).await?;
    let text = text.trim();
    let detail = json!({ "characters": text.chars().count() });
    let audit = audit(session, "device.message", &device, detail);
    let now = session.now();
    let command = command::message(&session.storage, &device, text, &audit, now).await?;
    let until = session.local_time().await?.at(command.expires_at);
    let text = format!(
        "\"{}\" takes it at its next contact, until {until}, and shows it on its page until somebody there says that they read it; `device show` says how far it got.",
        device.name
    );
    Ok(asked(session, &device, &command, text))
}

pub(super) async fn lost(named: &str, reason: &str, session: &Session) -> anyhow::Result<Reply> {
    let device = session.device(named).await?;
    let audit = audit(session, "device.lost", &device, json!({ "reason": reason }));
    let limit = session.settings()?.commands.limit();
    let now = session.now();
    let command = command::lost(&session.storage, &device, limit, &audit, now).await?;
    let until = session.local_time().await?.at(command.expires_at);
    let text = format!(
        "\"{}\" is marked as lost. From its next contact on, until {until}, it is locked, its camera off and its photos out of sight, until `device found`. If it does not turn up, write the loss down in the console.",
        device.name
    );
    Ok(asked(session, &device, &command, text))
}

pub(super) async fn found(named: &str, reason: &str, session: &Session) -> anyhow::Result<Reply> {
    let device = session.device(named).await?;
    let audit = audit(
        session,
        "device.found",
        &device,
        json!({ "reason": reason }),
    );
    let command = command::found(&session.storage, &device, &audit, session.now()).await?;
    let text = format!(
        "\"{}\" is held to its profile again from its next contact on, and what was out of sight only for the loss comes back. A new passcode stays due.",
        device.name
    );
    Ok(asked(session, &device, &command, text))
}

fn audit(session: &Session, act: &str, device: &Device, detail: Value) -> AuditEntry {
    session.audit(act, device.id.to_string(), detail)
}

fn asked(session: &Session, device: &Device, command: &Command, text: String) -> Reply {
    session.nudge();
    Reply::new(json!({ "device": device.id, "command": command }), text)
}
