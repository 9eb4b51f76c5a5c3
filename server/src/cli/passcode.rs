//! `device set-passcode`.

use super::reply::Reply;
use super::session::Session;
use crate::domain::passcode::{self, Chosen};
use crate::signing::keys::public_keys;
use anyhow::Context as _;
use nestwarden_policy_schema::code::{CodeReason, LONGEST};
use serde_json::json;
use std::io::{self, BufRead as _, Read as _};
use zeroize::Zeroizing;

/// The line and what ends it.
const MOST_BYTES: u64 = LONGEST as u64 + 2;

/// Where the passcode comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Input,
    Suggested,
}

pub(super) async fn set(
    named: &str,
    reason: CodeReason,
    source: Source,
    session: &Session,
) -> anyhow::Result<Reply> {
    let device = session.device(named).await?;
    passcode::settable(&session.storage, &device).await?;
    let chosen = match source {
        Source::Suggested => Chosen::Suggested,
        Source::Input => {
            Chosen::By(line().context("failed to read the passcode from the standard input")?)
        }
    };
    let keys = public_keys(&session.data.keys_dir()).context("failed to read the keys")?;
    let (storage, recipient) = (&session.storage, &keys.release_recipient);
    let (who, now) = (session.who(), session.now());
    let (limit, what) = (session.settings()?.commands.limit(), (chosen, reason));
    let set = passcode::set(storage, recipient, &device, what, limit, &who, now).await?;
    session.nudge();
    let when = if reason.interrupts() {
        "at its next contact"
    } else {
        "at its next contact outside contact hours"
    };
    let until = session.local_time().await?.at(set.command.expires_at);
    let mut text = format!(
        "\"{}\" takes it over {when}, until {until}; until then the one before stays in use, and `device show` says how far it got.",
        device.name
    );
    let mut json = json!({ "device": device.id, "command": set.command });
    // What was typed is known to whoever typed it.
    if source == Source::Suggested {
        let code = set.code.expose();
        text = format!(
            "The passcode is {code}\nIt is shown this once: tell it to staff in person, never on paper or by e-mail.\n{text}"
        );
        json["code"] = json!(code);
    }
    Ok(Reply::new(json, text))
}

fn line() -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(LONGEST + 2));
    io::stdin().lock().take(MOST_BYTES).read_line(&mut text)?;
    while text.ends_with(['\n', '\r']) {
        text.pop();
    }
    Ok(text)
}
