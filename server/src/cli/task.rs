//! `task …`.

use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::task;
use crate::storage::task::{Task, TaskKind, WithClosed};
use nestwarden_policy_schema::consent::Purpose;
use nestwarden_policy_schema::id::{ChildId, TaskId};
use serde_json::json;
use std::collections::BTreeMap;

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// What people have to do, by the day it is due
    List {
        /// Also what is done
        #[arg(long)]
        all: bool,
    },
    /// Say that a task is done
    Done {
        task: TaskId,
        /// What was done; no names of children
        #[arg(long, default_value = "")]
        note: String,
    },
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    match action {
        Action::List { all } => list(all, session).await,
        Action::Done { task, note } => {
            let by = session.operator()?;
            task::done(&session.storage, task, &note, by, session.now()).await?;
            Ok(Reply::new(json!({ "task": task, "done": true }), "Done."))
        }
    }
}

async fn list(all: bool, session: &Session) -> anyhow::Result<Reply> {
    // What changed while nothing served is found now.
    task::round(&session.storage, session.now()).await?;
    let closed = if all { WithClosed::Yes } else { WithClosed::No };
    let tasks = session.storage.task_list(closed).await?;
    let children = session.storage.child_list().await?;
    let references: BTreeMap<_, _> = children.into_iter().map(|c| (c.id, c.reference)).collect();
    let devices = session.storage.device_list().await?;
    let tablets: BTreeMap<_, _> = devices.into_iter().map(|d| (d.id, d.name)).collect();
    let mut rows = vec![row!["id", "due", "for", "what", "state"]];
    let mut answers = Vec::new();
    for task in &tasks {
        let mut says = task::says(task, &references, &tablets, Purpose::as_str);
        says.push_str(&way(task, &references));
        rows.push(row![
            task.id,
            task.due,
            json!(task.owner).as_str().unwrap_or_default(),
            says,
            state(task)
        ]);
        let mut answer = json!(task);
        answer["says"] = json!(says);
        answer["reference"] = json!(task.subject.child.and_then(|id| references.get(&id)));
        answers.push(answer);
    }
    let text = if tasks.is_empty() {
        "Nothing is to be done.".to_owned()
    } else {
        table(&rows)
    };
    Ok(Reply::new(json!({ "tasks": answers }), text))
}

/// By which command.
fn way(task: &Task, references: &BTreeMap<ChildId, String>) -> String {
    let child = task.subject.child.and_then(|id| references.get(&id));
    match task.kind {
        TaskKind::Withdrawal => child.map_or_else(String::new, |child| {
            format!("; if they must be kept, `hold open --child {child}`")
        }),
        TaskKind::HoldReview => ": `hold review` keeps it, `hold release` ends it".to_owned(),
        TaskKind::ImportWaits => "; `consent import --pending` says why".to_owned(),
        TaskKind::SetPasscode => ": `device set-passcode`".to_owned(),
        TaskKind::UnregisteredPerson => "; say who with `photo correct`".to_owned(),
        TaskKind::AskPasscode => ": `device new-passcode`".to_owned(),
        TaskKind::TabletLost => {
            ": `device found` ends it; the loss is written down in the console".to_owned()
        }
        TaskKind::RolloutStopped => ": `rollout show`".to_owned(),
        TaskKind::EndAccess => ": `operator roles`, or `operator remove`".to_owned(),
        TaskKind::CourseEnds
        | TaskKind::AupOutstanding
        | TaskKind::CustodyOverdue
        | TaskKind::PinOnTwoTablets
        | TaskKind::TabletMissing => ", in the console".to_owned(),
        TaskKind::AppsUnapproved | TaskKind::AppDecision | TaskKind::AppReview => {
            ", in the console; `app list` shows them".to_owned()
        }
        TaskKind::TakeDown
        | TaskKind::ConsentConflicted
        | TaskKind::ConsentExpiring
        | TaskKind::ChildDied
        | TaskKind::ChildMissing
        | TaskKind::LeaversPack
        | TaskKind::PhotoIncomplete
        | TaskKind::PhotosUntagged => String::new(),
    }
}

fn state(task: &Task) -> String {
    match &task.closed {
        None => "open".to_owned(),
        Some(closing) if closing.note.is_empty() => format!("done by {}", closing.by),
        Some(closing) => format!("done by {}: {}", closing.by, closing.note),
    }
}
