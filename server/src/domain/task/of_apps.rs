//! What the register of apps wants done, and what profiles allow beside it.

use super::Today;
use crate::domain::registers::app::allowed::{LiveProfiles, unapproved};
use crate::domain::registers::app::{App, Standing};
use crate::domain::registers::every;
use crate::storage::task::{Task, TaskDraft, TaskKind};
use crate::storage::{Role, Storage, StorageError, Which};
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::calendar::Calendar;

/// Whoever asked for an app hears within two weeks.
const ANSWER_WITHIN_DAYS: u32 = 14;
/// What runs already is decided on sooner.
const DECIDE_WITHIN_DAYS: u32 = 7;

/// `open`: the tasks that are.
pub(super) async fn find(
    storage: &Storage,
    today: &Today<'_>,
    open: &[Task],
    drafts: &mut Vec<TaskDraft>,
) -> Result<(), StorageError> {
    let apps = every::<App>(storage, Which::All).await?;
    let live = LiveProfiles::load(storage).await?.in_use();
    if !unapproved(&live, &apps).is_empty() {
        // One for all of them, which stays the same one while it is open; the next is another.
        let known = open
            .iter()
            .find(|task| task.kind == TaskKind::AppsUnapproved)
            .map(|task| task.key.clone());
        let key = known.unwrap_or_else(|| format!("apps_unapproved/{}", today.now));
        let due = today.in_days(DECIDE_WITHIN_DAYS);
        drafts.push(today.draft(TaskKind::AppsUnapproved, key, Role::Manager, due));
    }
    for kept in &apps {
        if let Some(wait) = waits(&kept.now, today) {
            let key = format!("{}/{}/{}", wait.name, kept.id, wait.since);
            let mut draft = today.draft(wait.kind, key, Role::Manager, wait.due);
            draft.subject.entry = Some(kept.id);
            drafts.push(draft);
        }
    }
    Ok(())
}

/// What has to be done about one app.
struct Wait {
    kind: TaskKind,
    /// In the key, so that a second decision is another task than the first.
    name: &'static str,
    since: Timestamp,
    due: Date,
}

fn waits(app: &App, today: &Today<'_>) -> Option<Wait> {
    let decision = |name, since, within| Wait {
        kind: TaskKind::AppDecision,
        name,
        since,
        due: Calendar::plus_days(today.calendar.local_date(since), within),
    };
    match app.standing(today.date) {
        Standing::Asked => Some(decision("app_asked", app.asked_at, ANSWER_WITHIN_DAYS)),
        Standing::Reopened => {
            let since = app.approval()?.reopened.as_ref()?.at;
            Some(decision("app_reopened", since, DECIDE_WITHIN_DAYS))
        }
        Standing::ReviewDue | Standing::ReviewOver => {
            let approval = app.approval()?;
            Some(Wait {
                kind: TaskKind::AppReview,
                name: "app_review",
                since: approval.at,
                due: approval.terms.review,
            })
        }
        Standing::Approved | Standing::Refused | Standing::Withdrawn => None,
    }
}

#[cfg(test)]
#[path = "of_apps_tests.rs"]
mod tests;
