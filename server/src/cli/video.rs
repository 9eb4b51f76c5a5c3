//! `video …`.

use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::registers::video::{Standing, Video, said, watched_by};
use crate::domain::registers::words::Read;
use crate::domain::registers::{Kept, Registers, every};
use crate::storage::Which;
use serde_json::json;

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// Those on the list, with how each stands; a record, to which tablets are not held yet
    List {
        /// Also those that were taken off it
        #[arg(long)]
        all: bool,
    },
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    match action {
        Action::List { all } => list(all, session).await,
    }
}

async fn list(all: bool, session: &Session) -> anyhow::Result<Reply> {
    let today = session.local_time().await?.date(session.now());
    let which = if all { Which::All } else { Which::Open };
    let videos = every::<Video>(&session.storage, which).await?;
    let keys = session.register_keys()?;
    let registers = keys.registers(&session.storage);
    let mut rows = vec![row!["video", "title", "for", "watched by", "on", "state"]];
    let mut json = Vec::new();
    for kept in &videos {
        let video = &kept.now;
        let title = told(&registers, kept, "title");
        let audience = told(&registers, kept, "audience");
        let standing = video.standing(today);
        let state = match (standing, video.approved_until) {
            (Standing::Approved, Some(until)) => format!("approved until {until}"),
            (Standing::Expired, Some(until)) => format!("expired {until}"),
            (Standing::Withdrawn, _) => "taken off".to_owned(),
            (Standing::Proposed | Standing::Approved | Standing::Expired, _) => {
                "proposed".to_owned()
            }
        };
        rows.push(row![
            video.video,
            title.as_deref().unwrap_or("not known"),
            audience.as_deref().unwrap_or("not known"),
            watched_by(kept),
            video.watched_on,
            state
        ]);
        json.push(json!({
            "id": kept.id, "video": video.video, "address": video.video.address(), "title": title,
            "audience": audience, "watched_by": watched_by(kept), "watched_on": video.watched_on,
            "state": standing, "approved_until": video.approved_until,
        }));
    }
    let text = if videos.is_empty() {
        "No video is on the list.".to_owned()
    } else {
        table(&rows)
    };
    Ok(Reply::new(json!({ "videos": json }), text))
}

/// `None`: it was erased, or cannot be opened.
fn told(registers: &Registers<'_>, kept: &Kept<Video>, field: &str) -> Option<String> {
    match said(registers, kept, field) {
        Some(Read::Words(words)) => Some(words.of(field).to_owned()),
        Some(Read::Erased { .. } | Read::Unreadable) | None => None,
    }
}
