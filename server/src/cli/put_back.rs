//! `put-back …`: after this server's data was put back from an earlier copy.

use super::reply::{Reply, row, table};
use super::session::Session;
use serde_json::json;

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// Tablets that had what this server does not remember
    List,
    /// Say that everything decided since the copy was made is entered again: tablets then follow this server alone
    Settle {
        /// How it was made sure; no names of children
        #[arg(long)]
        reason: String,
    },
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    match action {
        Action::List => list(session).await,
        Action::Settle { reason } => {
            let detail = json!({ "reason": reason });
            let audit = session.audit(
                "put_back.settle",
                session.storage.setting().to_string(),
                detail,
            );
            let settled = session.storage.put_back_settle(&audit).await?;
            session.nudge();
            let text = if settled == 0 {
                "There is nothing to settle: no tablet had what this server does not remember."
                    .to_owned()
            } else {
                format!(
                    "Settled for {settled} tablets; each follows this server alone from its next bundle on."
                )
            };
            Ok(Reply::new(json!({ "settled": settled }), text))
        }
    }
}

async fn list(session: &Session) -> anyhow::Result<Reply> {
    let mut rows = vec![row!["tablet", "had bundle", "noticed", "settled"]];
    let found = session.storage.put_back_list().await?;
    let local = session.local_time().await?;
    for had in &found {
        let device = session.storage.device_find(had.device).await?;
        rows.push(row![
            device.map_or_else(|| had.device.to_string(), |device| device.name),
            had.bundle.generation,
            local.at(had.noticed_at),
            local.at_or(had.settled_at, "not yet"),
        ]);
    }
    Ok(Reply::new(json!({ "put_back": found }), table(&rows)))
}
