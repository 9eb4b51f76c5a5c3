//! `consent mapping …`.

use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::import;
use anyhow::{Context as _, bail};
use serde_json::json;
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// Propose a mapping for a file, and keep it; nothing is imported by it before a person agreed
    Make {
        file: PathBuf,
        #[arg(long)]
        name: String,
    },
    /// Keep a mapping that was written or edited by hand
    Apply { file: PathBuf },
    /// The mapping, as TOML
    Show { name: String },
    /// Every mapping
    List,
    /// A mapping to begin with
    Example,
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    match action {
        Action::Make { file, name } => {
            let known = session.storage.mapping_find(&name).await?;
            if known.is_some() {
                bail!(
                    "there is a mapping \"{name}\" already; choose another name, or edit it: `consent mapping show {name}`, then `consent mapping apply FILE`"
                );
            }
            let bytes = super::import::read(&file)?;
            let proposed = import::propose(&bytes, &name)?;
            let (who, now) = (session.who(), session.now());
            import::mapping_apply(&session.storage, &proposed.text, &who, now).await?;
            let ignored = if proposed.ignored.is_empty() {
                String::new()
            } else {
                format!("Not looked at: {}.\n", proposed.ignored.join(", "))
            };
            let narration = format!(
                "{ignored}This is kept as \"{name}\". Edit it if it is wrong and keep it with `consent mapping apply`; then see what it reads with `consent import {} --mapping {name} --dry-run`.",
                file.display()
            );
            let json =
                json!({ "name": name, "mapping": proposed.text, "ignored": proposed.ignored });
            Ok(Reply::new(json, proposed.text).narrate(narration))
        }
        Action::Apply { file } => {
            let bytes = super::import::read(&file)?;
            let source = String::from_utf8(bytes)
                .with_context(|| format!("`{}` is not UTF-8 text", file.display()))?;
            let (who, now) = (session.who(), session.now());
            let mapping = import::mapping_apply(&session.storage, &source, &who, now).await?;
            session.nudge();
            let text = format!("Kept as \"{}\".", mapping.name);
            Ok(Reply::new(json!({ "name": mapping.name }), text))
        }
        Action::Show { name } => {
            let saved = import::mapping_find(&session.storage, &name).await?;
            Ok(Reply::new(json!(saved), saved.source))
        }
        Action::List => {
            let mappings = session.storage.mapping_list().await?;
            let local = session.local_time().await?;
            let mut rows = vec![row!["name", "saved", "by", "agreed to"]];
            for mapping in &mappings {
                let agreed = mapping.accepted.as_ref();
                let agreed = agreed.map_or("–".to_owned(), |a| {
                    format!("{} by {}", local.at(a.at), a.by)
                });
                rows.push(row![
                    mapping.name,
                    local.at(mapping.saved_at),
                    mapping.saved_by,
                    agreed
                ]);
            }
            Ok(Reply::new(json!({ "mappings": mappings }), table(&rows)))
        }
        Action::Example => Ok(Reply::new(
            json!({ "mapping": import::EXAMPLE }),
            import::EXAMPLE,
        )),
    }
}
