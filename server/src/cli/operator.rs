//! `operator …` and `audit`.

use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::account::{self, invitation};
use crate::domain::{fresh, token};
use crate::storage::operator::operator_token_hash;
use crate::storage::{Changed, Operator, Role};
use anyhow::{Context as _, bail};
use nestwarden_policy_schema::id::OperatorId;
use serde_json::json;

const NAME_CHARS: usize = 80;

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// Add a person
    Add {
        #[arg(long)]
        name: String,
        /// What they may do; repeat for several
        #[arg(long = "role", required = true)]
        roles: Vec<Role>,
    },
    /// Every person
    List,
    /// Give out a token for the admin API; the one before ends
    Token { name: String },
    /// Make a link with which a person makes their account for the console, or makes it anew; the one before ends
    Invite { name: String },
    /// End every session of a person in the console
    SignOut { name: String },
}

#[derive(clap::Args)]
pub(super) struct AuditArgs {
    #[arg(long, default_value = "50", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    match action {
        Action::Add { name, roles } => add(name.trim(), roles, session).await,
        Action::List => {
            let operators = session.storage.operator_list().await?;
            let mut rows = vec![row!["name", "roles", "added"]];
            for operator in &operators {
                let roles = json!(operator.roles).to_string();
                rows.push(row![operator.name, roles, operator.created_at]);
            }
            Ok(Reply::new(json!({ "operators": operators }), table(&rows)))
        }
        Action::Token { name } => {
            let operator = named(&name, session).await?;
            let text = token::random_text()?;
            let audit = session.audit("operator.token", operator.id.to_string(), json!({}));
            session
                .storage
                .operator_token_set(operator.id, operator_token_hash(&text), &audit)
                .await?;
            let shown = format!("{text}\nIt is shown once, and kept only as a digest.");
            Ok(Reply::new(
                json!({ "operator": operator.id, "token": text }),
                shown,
            ))
        }
        Action::Invite { name } => invite(&name, session).await,
        Action::SignOut { name } => sign_out(&name, session).await,
    }
}

async fn named(name: &str, session: &Session) -> anyhow::Result<Operator> {
    let found = session.storage.operator_by_name(name).await?;
    found.with_context(|| {
        format!("there is no operator \"{name}\"; `operator list` shows those there are")
    })
}

async fn invite(name: &str, session: &Session) -> anyhow::Result<Reply> {
    let operator = named(name, session).await?;
    let (who, now) = (session.who(), session.now());
    let new = invitation::invite(&session.storage, &operator, &who, now).await?;
    let link = session.settings()?.console.set_up_link(&new.token);
    let text = format!(
        "{link}\nFor {}, good once, until {}. An account they have goes on until it is used; then its password, authenticator, codes and sessions end.",
        operator.name, new.expires_at
    );
    let json = json!({ "operator": operator.id, "link": link, "expires_at": new.expires_at });
    Ok(Reply::new(json, text))
}

async fn sign_out(name: &str, session: &Session) -> anyhow::Result<Reply> {
    let operator = named(name, session).await?;
    let (who, now) = (session.who(), session.now());
    let ended = account::session::end_all(&session.storage, &operator, &who, now).await?;
    let text = format!("{} is signed out of {ended} sessions.", operator.name);
    Ok(Reply::new(
        json!({ "operator": operator.id, "sessions_ended": ended }),
        text,
    ))
}

async fn add(name: &str, roles: Vec<Role>, session: &Session) -> anyhow::Result<Reply> {
    if name.is_empty()
        || name.chars().count() > NAME_CHARS
        || name.chars().any(nestwarden_policy_schema::text::is_unseen)
    {
        bail!("`--name` is \"{name}\"; write 1 to {NAME_CHARS} characters on one line");
    }
    let operator = Operator {
        id: OperatorId::from_uuid(fresh::ordered(session.now())),
        name: name.to_owned(),
        roles: roles.into_iter().collect(),
        created_at: session.now(),
    };
    let audit = session.audit(
        "operator.add",
        operator.id.to_string(),
        json!({ "name": name, "roles": operator.roles }),
    );
    match session.storage.operator_add(&operator, &audit).await? {
        Changed::Yes => Ok(Reply::new(json!(operator), format!("{name} is added."))),
        Changed::Already | Changed::Missing => {
            bail!("there is an operator \"{name}\" already; choose a name that tells the two apart")
        }
    }
}

pub(super) async fn audit(args: AuditArgs, session: &Session) -> anyhow::Result<Reply> {
    let entries = session.storage.audit_list(args.limit).await?;
    let mut rows = vec![row!["at", "who", "act", "subject"]];
    for entry in &entries {
        rows.push(row![entry.at, entry.who, entry.act, entry.subject]);
    }
    Ok(Reply::new(json!({ "entries": entries }), table(&rows)))
}
