//! `operator token …`.

use super::operator::named;
use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::api_token::{self, DEFAULT_DAYS, MOST_DAYS, Wanted};
use crate::storage::Scope;
use nestwarden_policy_schema::id::ApiTokenId;
use serde_json::json;

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// Make a token, which is shown once
    Create(Args),
    /// Every token, with when it was last used
    List,
    /// End a token
    Revoke {
        /// As `operator token list` shows it
        id: ApiTokenId,
    },
}

#[derive(clap::Args)]
pub(super) struct Args {
    /// For whom it acts
    name: String,
    /// Which program gets it, such as "booking system"
    #[arg(long = "for", value_name = "PROGRAM")]
    program: String,
    /// What it is for; repeat for several
    #[arg(long = "scope", required = true)]
    scopes: Vec<Scope>,
    /// For how many days it is good
    #[arg(long, default_value_t = DEFAULT_DAYS, value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_DAYS)))]
    days: u16,
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    match action {
        Action::Create(args) => create(args, session).await,
        Action::List => list(session).await,
        Action::Revoke { id } => {
            let (who, now) = (session.who(), session.now());
            let was_good = api_token::revoke(&session.storage, id, &who, now).await?;
            let text = if was_good {
                "The token is revoked."
            } else {
                "The token was revoked before."
            };
            Ok(Reply::new(json!({ "token": id, "revoked": true }), text))
        }
    }
}

async fn create(args: Args, session: &Session) -> anyhow::Result<Reply> {
    let operator = named(&args.name, session).await?;
    let wanted = Wanted {
        name: &args.program,
        scopes: args.scopes.into_iter().collect(),
        days: args.days,
    };
    let (who, now) = (session.who(), session.now());
    let new = api_token::create(&session.storage, &operator, wanted, &who, now).await?;
    let text = format!(
        "{}\nIt is shown once, kept only as a digest, and good until {}. To end it: operator token revoke {}",
        new.text,
        session.local_time().await?.at(new.expires_at),
        new.id
    );
    let json = json!({
        "operator": operator.id, "id": new.id, "token": new.text, "expires_at": new.expires_at,
    });
    Ok(Reply::new(json, text))
}

async fn list(session: &Session) -> anyhow::Result<Reply> {
    let tokens = session.storage.api_token_list().await?;
    let (local, now) = (session.local_time().await?, session.now());
    let mut rows = vec![row!["id", "of", "for", "scopes", "good until", "last used"]];
    for token in &tokens {
        let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
        let until = match token.revoked_at {
            Some(at) => format!("revoked {}", local.at(at)),
            None if token.expires_at <= now => format!("expired {}", local.at(token.expires_at)),
            None => local.at(token.expires_at),
        };
        let used = local.at_or(token.last_used_at, "never");
        let (of, program) = (&token.operator.name, &token.name);
        rows.push(row![token.id, of, program, scopes.join(" "), until, used]);
    }
    Ok(Reply::new(json!({ "tokens": tokens }), table(&rows)))
}
