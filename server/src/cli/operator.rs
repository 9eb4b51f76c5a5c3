//! `operator …` and `audit`.

use super::reply::{Reply, row, table};
use super::session::Session;
use super::{api_token, mail};
use crate::domain::account::{self, invitation};
use crate::domain::people;
use crate::storage::{Operator, Role};
use anyhow::Context as _;
use jiff::civil::Date;
use serde_json::json;

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
    /// Tokens with which other programs use the admin API for a person
    Token {
        #[command(subcommand)]
        action: api_token::Action,
    },
    /// Make a link with which a person makes their account for the console, or makes it anew; the one before ends
    Invite { name: String },
    /// Say where alerts for a person go
    Address {
        name: String,
        #[arg(required_unless_present = "none")]
        address: Option<String>,
        /// They are told nothing by e-mail any more
        #[arg(long, conflicts_with = "address")]
        none: bool,
    },
    /// End every session of a person in the console
    SignOut { name: String },
    /// Say anew what a person may do; a lead keeps `--role dsl` until somebody else is made the lead
    Roles {
        name: String,
        #[arg(long = "role", required = true)]
        roles: Vec<Role>,
    },
    /// Make a person the lead for safeguarding; the lead until now is a deputy from then on
    Lead { name: String },
    /// Say on which days a deputy is the DSL
    Cover {
        name: String,
        /// The first day, as 2026-03-31
        #[arg(long, required_unless_present = "end", requires = "to")]
        from: Option<Date>,
        /// The last day
        #[arg(long, requires = "from")]
        to: Option<Date>,
        /// They cover no more
        #[arg(long, conflicts_with_all = ["from", "to"])]
        end: bool,
    },
    /// Remove a person: their account, sessions, link and tokens end at once
    Remove { name: String },
}

#[derive(clap::Args)]
pub(super) struct AuditArgs {
    #[arg(long, default_value = "50", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    match action {
        Action::Add { name, roles } => add(&name, roles, session).await,
        Action::List => list(session).await,
        Action::Token { action } => api_token::run(action, session).await,
        Action::Invite { name } => invite(&name, session).await,
        Action::Address { name, address, .. } => {
            mail::set_address(&name, address.as_deref(), session).await
        }
        Action::SignOut { name } => sign_out(&name, session).await,
        Action::Roles { name, roles } => {
            let (who, now) = (session.who(), session.now());
            let roles = roles.into_iter().collect();
            people::set_roles(&session.storage, &name, roles, &who, now).await?;
            Ok(told(&name, "has these roles now"))
        }
        Action::Lead { name } => {
            let (who, now) = (session.who(), session.now());
            people::hand_over(&session.storage, &name, &who, now).await?;
            Ok(told(&name, "is the lead for safeguarding"))
        }
        Action::Cover { name, from, to, .. } => {
            let (who, now) = (session.who(), session.now());
            people::set_cover(&session.storage, &name, from.zip(to), &who, now).await?;
            Ok(match from.zip(to) {
                Some((from, to)) => told(&name, &format!("is the DSL from {from} to {to}")),
                None => told(&name, "covers no more"),
            })
        }
        Action::Remove { name } => {
            let (who, now) = (session.who(), session.now());
            people::remove(&session.storage, &name, &who, now).await?;
            Ok(told(&name, "is removed, and signed out everywhere"))
        }
    }
}

pub(super) async fn named(name: &str, session: &Session) -> anyhow::Result<Operator> {
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
        operator.name,
        session.local_time().await?.at(new.expires_at)
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

async fn list(session: &Session) -> anyhow::Result<Reply> {
    let operators = session.storage.operator_list().await?;
    let covers = session.storage.cover_list().await?;
    let local = session.local_time().await?;
    let dsl = people::dsl_on(&operators, &covers, local.date(session.now()));
    let mut rows = vec![row!["name", "roles", "added"]];
    for operator in &operators {
        let roles = json!(operator.roles).to_string();
        rows.push(row![operator.name, roles, local.at(operator.created_at)]);
    }
    let text = match &dsl {
        Some(lead) => format!("{}\nThe DSL today: {}.", table(&rows), lead.operator.name),
        None => table(&rows),
    };
    let dsl = dsl.map(|lead| lead.operator.name);
    let json = json!({ "operators": operators, "covers": covers, "dsl_today": dsl });
    Ok(Reply::new(json, text))
}

fn told(name: &str, what: &str) -> Reply {
    Reply::new(json!({ "operator": name }), format!("{name} {what}."))
}

async fn add(name: &str, roles: Vec<Role>, session: &Session) -> anyhow::Result<Reply> {
    let (who, now) = (session.who(), session.now());
    let roles = roles.into_iter().collect();
    let operator = people::add(&session.storage, name, roles, &who, now).await?;
    let text = format!("{} is added.", operator.name);
    Ok(Reply::new(json!(operator), text))
}

pub(super) async fn audit(args: AuditArgs, session: &Session) -> anyhow::Result<Reply> {
    let entries = session.storage.audit_list(args.limit).await?;
    let mut rows = vec![row!["at", "who", "act", "subject"]];
    for entry in &entries {
        rows.push(row![entry.at, entry.who, entry.act, entry.subject]);
    }
    Ok(Reply::new(json!({ "entries": entries }), table(&rows)))
}
