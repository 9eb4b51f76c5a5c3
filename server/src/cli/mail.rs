//! `mail …`.

use super::operator::named;
use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::alert::{Words, is_address};
use crate::mail::{Outgoing, Post as _, Smtp};
use anyhow::{Context as _, bail};
use nestwarden_policy_schema::bytes::Digest;
use serde_json::json;

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// What was not sent yet, and why
    List,
    /// Send a trial now, and say what came of it
    Test {
        /// Where to; without it, to the person named with `--as`
        address: Option<String>,
    },
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    match action {
        Action::List => list(session).await,
        Action::Test { address } => test(address, session).await,
    }
}

async fn list(session: &Session) -> anyhow::Result<Reply> {
    let mails = session.storage.mail_list().await?;
    let state = session.storage.mail_state().await?;
    let local = session.local_time().await?;
    let mut rows = vec![row![
        "written", "for", "subject", "tries", "next", "problem"
    ]];
    rows.extend(mails.iter().map(|mail| {
        let next = match mail.gave_up_at {
            Some(at) => format!("given up {}", local.at(at)),
            None => local.at(mail.next_try_at),
        };
        row![
            local.at(mail.made_at),
            mail.name,
            mail.subject,
            mail.tries,
            next,
            mail.problem.clone().unwrap_or_default()
        ]
    }));
    let last = format!(
        "Last sent: {}. Last failed: {}.",
        local.at_or(state.sent_at, "never"),
        local.at_or(state.failed_at, "never")
    );
    let text = if mails.is_empty() {
        format!("Nothing waits to be sent.\n{last}")
    } else {
        format!("{}\n{last}", table(&rows))
    };
    Ok(Reply::new(
        json!({ "waiting": mails, "state": state }),
        text,
    ))
}

async fn test(address: Option<String>, session: &Session) -> anyhow::Result<Reply> {
    let settings = session.settings()?;
    let mail = settings.mail.as_ref().context(
        "`server.toml` names no mail server; write `[mail]` with `server`, `encryption` and `from`",
    )?;
    let to = match address {
        Some(address) => address,
        None => own_address(session).await?,
    };
    if !is_address(&to) {
        bail!("\"{to}\" is no e-mail address; write one such as dana@little-acorns.example");
    }
    let smtp = Smtp::new(mail)?;
    let words = Words {
        setting: &settings.name,
        origin: &settings.console.origin(),
    };
    let (subject, body) = words.of_trial();
    let now = session.now();
    smtp.send(Outgoing {
        to: &to,
        subject: &subject,
        body: &body,
        id: Digest::sha256(format!("trial\n{now}").as_bytes()),
        at: now,
    })
    .await
    .with_context(|| format!("`{}` did not take the e-mail", mail.server))?;
    let text = format!(
        "{} took it for {to}. Look there whether it arrives, also among what counts as unwanted.",
        mail.server
    );
    Ok(Reply::new(json!({ "taken": true, "to": to }), text))
}

async fn own_address(session: &Session) -> anyhow::Result<String> {
    let person = session.operator()?;
    let addresses = session.storage.address_list().await?;
    addresses.get(&person.id).cloned().with_context(|| {
        format!(
            "{} has no address; `operator address` gives them one",
            person.name
        )
    })
}

/// `operator address`.
pub(super) async fn set_address(
    name: &str,
    address: Option<&str>,
    session: &Session,
) -> anyhow::Result<Reply> {
    let person = named(name, session).await?;
    let (who, now) = (session.who(), session.now());
    crate::domain::alert::set_address(&session.storage, &person, address, &who, now).await?;
    let text = match address {
        Some(address) => format!("Alerts for {name} go to {address}."),
        None => format!("{name} is told nothing by e-mail any more."),
    };
    Ok(Reply::new(
        json!({ "operator": person.id, "address": address }),
        text,
    ))
}
