//! `rollout …`.

use super::delivery;
use super::profile::read;
use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::profile;
use crate::domain::rollout::progress::Progress;
use crate::domain::rollout::{self, Look};
use crate::storage::Device;
use anyhow::{Context as _, bail};
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::control::ControlName;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// Give a new version of a profile to one tablet first
    Begin {
        file: PathBuf,
        /// One that is switched on
        #[arg(long)]
        tablet: String,
    },
    /// Give it to more tablets, once every one that has it reported that it holds
    Add {
        profile: String,
        #[command(flatten)]
        which: More,
    },
    /// Which tablets have it, and what each says
    Show { profile: String },
    /// Make it the live version, for every tablet, once every one that has it reported that it holds
    Live { profile: String },
    /// Let it go on although a tablet is in trouble with it
    GoOn {
        profile: String,
        /// Why; no names of children
        #[arg(long)]
        reason: String,
    },
    /// Give the tablets that have it the live version again
    TakeBack {
        profile: String,
        /// Why; no names of children
        #[arg(long)]
        reason: String,
    },
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct More {
    #[arg(long)]
    tablet: Option<String>,
    /// Every tablet of a room
    #[arg(long)]
    room: Option<RoomName>,
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    let (storage, now, who) = (&session.storage, session.now(), session.who());
    let by = (who.as_str(), now);
    match action {
        Action::Begin { file, tablet } => {
            let source = read(&file)?;
            let device = session.device(&tablet).await?;
            let change = profile::diff(storage, &source)
                .await
                .with_context(|| format!("`{}` was not tried", file.display()))?;
            let look = rollout::begin(storage, (&source, None), device.id, by)
                .await
                .with_context(|| format!("`{}` was not tried", file.display()))?;
            session.nudge();
            let looser = if change.loosens {
                "This makes something looser than it is now.\n"
            } else {
                ""
            };
            let keys: Vec<&str> = change.differences.iter().map(|d| d.key.as_str()).collect();
            let narration = format!("{looser}Differs in {}.", keys.join(", "));
            Ok(shown(&look, session).await?.narrate(narration))
        }
        Action::Add { profile, which } => {
            let look = match (which.tablet, which.room) {
                (Some(tablet), None) => {
                    let chosen = session.device(&tablet).await?.id;
                    rollout::add(storage, &profile, |device| device.id == chosen, by).await?
                }
                (None, Some(room)) => {
                    let is_of_room = |device: &Device| device.rooms.contains(&room);
                    rollout::add(storage, &profile, is_of_room, by).await?
                }
                _ => bail!("say either --tablet or --room"),
            };
            session.nudge();
            shown(&look, session).await
        }
        Action::Show { profile } => match rollout::look(storage, &profile, now).await? {
            Some(look) => shown(&look, session).await,
            None => Ok(Reply::new(
                json!({ "profile": profile, "tablets": null }),
                format!("No version of \"{profile}\" is being tried."),
            )),
        },
        Action::Live { profile } => {
            let version = rollout::make_live(storage, &profile, by).await?;
            let delivery = delivery::after_change(session).await?;
            let json = json!({ "profile": profile, "version": version });
            let text = format!("Profile \"{profile}\" is live in version {version}.");
            Ok(Reply::new(json, text).delivered(&delivery))
        }
        Action::GoOn { profile, reason } => {
            rollout::go_on(storage, &profile, &reason, by).await?;
            let json = json!({ "profile": profile, "stopped": null });
            Ok(Reply::new(json, "It may go to more tablets again."))
        }
        Action::TakeBack { profile, reason } => {
            rollout::take_back(storage, &profile, &reason, by).await?;
            let delivery = delivery::after_change(session).await?;
            let json = json!({ "profile": profile, "tablets": null });
            let text = "The tablets that had it get the live version again.";
            Ok(Reply::new(json, text).delivered(&delivery))
        }
    }
}

fn names(controls: &BTreeSet<ControlName>) -> String {
    let names: Vec<&str> = controls.iter().map(|control| control.as_str()).collect();
    names.join(", ")
}

async fn shown(look: &Look, session: &Session) -> anyhow::Result<Reply> {
    let local = session.local_time().await?;
    let mut rows = vec![row!["tablet", "since", "how far"]];
    let mut json = Vec::new();
    for trying in &look.tablets {
        let name = &trying.tablet.device().name;
        let says = match &trying.progress {
            Progress::Waits => "not heard since".to_owned(),
            Progress::OnItsWay => "on its way".to_owned(),
            Progress::Holds { but_for } if but_for.is_empty() => "holds".to_owned(),
            Progress::Holds { but_for } => format!(
                "holds, BUT FOR {}: not known, or not so before either",
                names(but_for)
            ),
            Progress::Trouble(why) if trying.excused => {
                format!("IN TROUBLE, let pass by a person: {why}")
            }
            Progress::Trouble(why) => format!("IN TROUBLE: {why}"),
            Progress::ShutOut => "takes no part any more".to_owned(),
        };
        rows.push(row![name, local.at(trying.since), says]);
        json.push(json!({
            "name": name, "since": trying.since, "is": trying.progress, "excused": trying.excused,
        }));
    }
    let mut text = table(&rows);
    if let Some((tablet, stopped)) = look.stopped() {
        let at = local.at(stopped.at);
        let _ = write!(
            text,
            "\nSTOPPED {at}: {tablet}: {}. `rollout go-on` or `rollout take-back`.",
            stopped.why
        );
    }
    let others: Vec<&str> = look
        .others
        .iter()
        .map(|device| device.name.as_str())
        .collect();
    if !others.is_empty() {
        let _ = write!(text, "\nWithout it: {}.", others.join(", "));
    }
    let json = json!({
        "profile": look.rollout.profile, "begun_at": look.rollout.begun_at,
        "begun_by": look.rollout.begun_by, "stopped": look.rollout.stopped,
        "tablets": json, "others": others,
    });
    Ok(Reply::new(json, text))
}
