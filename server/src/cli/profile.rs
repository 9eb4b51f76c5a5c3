//! `profile …`.

use super::delivery;
use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::profile::{self, ProfileChange};
use anyhow::{Context as _, bail};
use nestwarden_policy_schema::export::{apple, schema_json};
use nestwarden_policy_schema::profile::MAX_PROFILE_BYTES;
use nestwarden_policy_schema::support::{Platform, support_of};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// Make a profile live, whole or not at all
    Apply { file: PathBuf },
    /// Show what applying a profile would change
    Diff { file: PathBuf },
    /// Show the live version of a profile
    Show { name: String },
    /// Every version of a profile, the newest first
    History { name: String },
    /// Every profile
    List,
    /// What a profile's controls come to on each platform; read it before choosing tablets
    Support { name: String },
    /// Write a profile in another form
    Export {
        #[arg(default_value = "early-years")]
        name: String,
        #[arg(long, value_enum, default_value = "toml")]
        format: Format,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// As it was applied
    Toml,
    /// A configuration profile for iPads; what is exported is not observed
    Apple,
    /// The JSON Schema of every profile
    Schema,
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    let storage = &session.storage;
    match action {
        Action::Apply { file } => {
            let source = read(&file)?;
            let (change, version) = profile::apply(storage, &source, &session.who(), session.now())
                .await
                .with_context(|| refused(&file))?;
            let delivery = delivery::after_change(session).await?;
            let mut json = json!(change);
            json["version"] = json!(version);
            let text = format!(
                "{}Profile \"{}\" is live in version {version}.",
                described(&change),
                change.name
            );
            Ok(Reply::new(json, text).delivered(&delivery))
        }
        Action::Diff { file } => {
            let source = read(&file)?;
            let change = profile::diff(storage, &source)
                .await
                .with_context(|| refused(&file))?;
            Ok(Reply::new(json!(change), described(&change)))
        }
        Action::Show { name } => {
            let (live, profile) = profile::find(storage, &name).await?;
            let json = json!({
                "name": live.name, "version": live.version, "applied_at": live.applied_at,
                "applied_by": live.applied_by, "profile": profile,
            });
            Ok(Reply::new(json, live.source))
        }
        Action::History { name } => {
            let versions = storage.profile_history(&name).await?;
            if versions.is_empty() {
                bail!("there is no profile \"{name}\"; `profile list` shows those there are");
            }
            let local = session.local_time().await?;
            let mut rows = vec![row!["version", "applied at", "by"]];
            rows.extend(
                versions
                    .iter()
                    .map(|v| row![v.version, local.at(v.applied_at), v.applied_by]),
            );
            let json: Vec<Value> = versions
                .iter()
                .map(|v| {
                    json!({
                        "version": v.version, "applied_at": v.applied_at,
                        "applied_by": v.applied_by, "source": v.source,
                    })
                })
                .collect();
            Ok(Reply::new(
                json!({ "name": name, "versions": json }),
                table(&rows),
            ))
        }
        Action::List => list(session).await,
        Action::Support { name } => {
            let (_, profile) = profile::find(storage, &name).await?;
            let mut rows = vec![row!["platform", "control", "support", "reason"]];
            let mut json = serde_json::Map::new();
            for platform in Platform::ALL {
                let lines = support_of(&profile.policy, platform);
                for line in &lines {
                    rows.push(row![
                        platform.as_str(),
                        line.control,
                        line.support.name(),
                        line.support.reason().unwrap_or_default()
                    ]);
                }
                json.insert(platform.as_str().to_owned(), json!(lines));
            }
            Ok(Reply::new(Value::Object(json), table(&rows)))
        }
        Action::Export { name, format } => match format {
            Format::Toml => {
                let (live, _) = profile::find(storage, &name).await?;
                Ok(Reply::new(json!({ "toml": live.source }), live.source))
            }
            Format::Apple => {
                let (_, profile) = profile::find(storage, &name).await?;
                let exported = apple::export(&profile)?;
                let notes: Vec<String> = exported
                    .notes
                    .iter()
                    .map(|note| format!("{}: {}", note.rule, note.text))
                    .collect();
                let json =
                    json!({ "mobileconfig": exported.mobileconfig, "notes": exported.notes });
                Ok(Reply::new(json, exported.mobileconfig).narrate(notes.join("\n")))
            }
            Format::Schema => {
                let schema = schema_json();
                let text = serde_json::to_string_pretty(&schema)?;
                Ok(Reply::new(schema, text))
            }
        },
    }
}

async fn list(session: &Session) -> anyhow::Result<Reply> {
    let live = session.storage.profile_list().await?;
    let devices = session.storage.device_list().await?;
    let local = session.local_time().await?;
    let mut rows = vec![row!["name", "version", "applied at", "by", "tablets"]];
    let mut json = Vec::new();
    for profile in &live {
        let count = devices
            .iter()
            .filter(|d| d.profile == profile.name && d.revoked.is_none())
            .count();
        rows.push(row![
            profile.name,
            profile.version,
            local.at(profile.applied_at),
            profile.applied_by,
            count
        ]);
        json.push(json!({
            "name": profile.name, "version": profile.version, "devices": count,
            "applied_at": profile.applied_at, "applied_by": profile.applied_by,
        }));
    }
    Ok(Reply::new(json!({ "profiles": json }), table(&rows)))
}

/// A text file of at most the size of a profile.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    let named = || format!("failed to read `{}`", path.display());
    let size = std::fs::metadata(path).with_context(named)?.len();
    if size > MAX_PROFILE_BYTES as u64 {
        bail!(
            "`{}` has {size} bytes; a profile has at most {MAX_PROFILE_BYTES}",
            path.display()
        );
    }
    std::fs::read_to_string(path).with_context(named)
}

fn refused(path: &Path) -> String {
    format!(
        "`{}` was refused, and what was live stays so",
        path.display()
    )
}

fn described(change: &ProfileChange) -> String {
    use std::fmt::Write as _;
    let shown = |value: &Option<Value>| value.as_ref().map_or("–".to_owned(), Value::to_string);
    let mut text = String::new();
    if change.differences.is_empty() {
        text.push_str("Nothing differs from what is live.\n");
    }
    if change.live_unreadable {
        text.push_str("What is live cannot be read by this version, so nothing can be compared with it: whether this loosens anything is not known.\n");
    }
    if change.live.is_some() {
        for difference in &change.differences {
            let _ = writeln!(
                text,
                "{}: {} → {}",
                difference.key,
                shown(&difference.was),
                shown(&difference.becomes)
            );
        }
    }
    if change.loosens {
        text.push_str("This makes something looser than it is now.\n");
    }
    if change.ends_rollout {
        text.push_str("Some tablets have another new version already (`rollout show`); making this one live ends that.\n");
    }
    let _ = writeln!(text, "It concerns {} tablet(s).", change.devices);
    text
}
