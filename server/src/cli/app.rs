//! `app …`.

use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::registers::app::allowed::{In, LiveProfiles, unapproved};
use crate::domain::registers::app::{App, listed};
use crate::domain::registers::every;
use crate::storage::Which;
use serde_json::{Value, json};
use std::fmt::Write as _;

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// What a profile allows although nobody approved it, then every app that was asked for
    List,
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    match action {
        Action::List => list(session).await,
    }
}

async fn list(session: &Session) -> anyhow::Result<Reply> {
    let today = session.local_time().await?.date(session.now());
    let apps = every::<App>(&session.storage, Which::All).await?;
    let live = LiveProfiles::load(&session.storage).await?;
    let mut rows = vec![row!["app", "state", "review by", "allowed by", "id"]];
    let mut unapproved_json = Vec::new();
    for one in unapproved(&live, &apps) {
        let profiles: Vec<&str> = one.profiles.iter().map(|p| p.name.as_str()).collect();
        // Those that somebody asked for have a line of their own.
        if one.entry.is_none() {
            let allowed_by = profiles.join(", ");
            rows.push(row![one.app, "nobody decided", "", allowed_by, ""]);
        }
        unapproved_json.push(json!({
            "app": one.app, "why": one.why, "id": one.entry, "profiles": profiles,
        }));
    }
    let mut json = Vec::new();
    for kept in &apps {
        let app = &kept.now;
        let allowing: Vec<&str> = live
            .readable
            .iter()
            .filter(|profile| matches!(profile.says(&app.app), In::Allowed(_) | In::Essential(_)))
            .map(|profile| profile.name.as_str())
            .collect();
        let approval = app.approval();
        let review = approval.map(|approval| approval.terms.review);
        let again = approval.and_then(|approval| approval.reopened.as_ref());
        let standing = json!(app.standing(today));
        let mut state = standing.as_str().unwrap_or_default().replace('_', " ");
        if let Some(again) = again.filter(|again| !again.permissions.is_empty()) {
            state = format!("{state}: new permission {}", listed(&again.permissions));
        }
        let by = review.map(|day| day.to_string()).unwrap_or_default();
        rows.push(row![app.app, state, by, allowing.join(", "), kept.id]);
        json.push(json!({
            "id": kept.id, "app": app.app, "state": standing, "asked_at": app.asked_at,
            "audience": app.audience, "review_by": review, "permissions": app.permissions,
            "new_permissions": again.map(|again| &again.permissions), "allowed_by": allowing,
        }));
    }
    let mut text = if rows.len() > 1 {
        table(&rows)
    } else {
        "Nobody asked for an app yet, and no profile allows one that needs a decision.".to_owned()
    };
    for name in &live.unreadable {
        let _ = write!(
            text,
            "\nWhat profile \"{name}\" allows is not known: this version cannot read it."
        );
    }
    let answer: Value = json!({
        "apps": json, "unapproved": unapproved_json, "unreadable_profiles": live.unreadable,
    });
    Ok(Reply::new(answer, text))
}
