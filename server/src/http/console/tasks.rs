//! What people have to do.

use super::form::{Form, no_such_page, parsed, refused};
use super::gate::Visitor;
use super::layout::{Tone, badge, empty, page, sentence, token};
use super::page::{Page, see};
use super::registers::{hidden_holds, matters};
use super::when::{When, day};
use super::{people, words};
use crate::domain::alert;
use crate::domain::task::looked::Freshness;
use crate::domain::task::{self, TaskError};
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::storage::{Operator, Role, Task, TaskKind, WithClosed};
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use nestwarden_policy_schema::id::TaskId;
use std::collections::BTreeMap;

/// A task, and what it says.
pub(super) struct Open {
    pub(super) task: Task,
    says: String,
    /// Where it is the DSL's: who that is today.
    dsl: Option<Operator>,
}

impl Open {
    /// Whether it waits for this person, as what they are or as whom they stand in for.
    pub(super) fn is_for(&self, person: &Operator) -> bool {
        let stands_in = self.dsl.as_ref().is_some_and(|dsl| dsl.id == person.id);
        person.roles.contains(&self.task.owner) || stands_in
    }
}

/// Every open task, by due day, but for holds that this person is not told of.
pub(super) async fn open(app: &App, visitor: &Visitor, when: &When) -> Result<Vec<Open>, ApiError> {
    let dsl = people::dsl(app, when).await?.map(|lead| lead.operator);
    let storage = &app.storage;
    let mut tasks = storage
        .task_list(WithClosed::No)
        .await
        .map_err(ApiError::internal)?;
    let hidden = hidden_holds(app, visitor).await?;
    tasks.retain(|task| !task.subject.hold.is_some_and(|hold| hidden.contains(&hold)));
    let children = storage.child_list().await.map_err(ApiError::internal)?;
    let references: BTreeMap<_, _> = children.into_iter().map(|c| (c.id, c.reference)).collect();
    let devices = storage.device_list().await.map_err(ApiError::internal)?;
    let tablets: BTreeMap<_, _> = devices.into_iter().map(|d| (d.id, d.name)).collect();
    let says = |task: &Task| {
        let what = task::says(task, &references, &tablets, words::purpose_within);
        sentence(&format!("{what}{}", way(task.kind)))
    };
    Ok(tasks
        .into_iter()
        .map(|task| Open {
            says: says(&task),
            dsl: dsl.clone().filter(|_| task.owner == Role::Dsl),
            task,
        })
        .collect())
}

/// How it is done in this console.
const fn way(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Withdrawal => {
            ". If any must be kept as evidence, open a hold on the child's page"
        }
        TaskKind::HoldReview => ": it stays, or its release is asked for",
        TaskKind::ImportWaits => ". Whoever runs the server sees why",
        TaskKind::SetPasscode | TaskKind::AskPasscode => ". It is done on the tablet's page",
        TaskKind::RolloutStopped => ". The profile's page has both",
        TaskKind::TabletLost => ". The tablet's page has both",
        TaskKind::UnregisteredPerson => ". Whoever runs the server records who it is",
        TaskKind::EndAccess => {
            ". IT admins and auditors are removed on the page People; whoever runs the server removes the others"
        }
        TaskKind::CourseEnds
        | TaskKind::AupOutstanding
        | TaskKind::CustodyOverdue
        | TaskKind::PinOnTwoTablets
        | TaskKind::TabletMissing
        | TaskKind::AppsUnapproved
        | TaskKind::AppDecision
        | TaskKind::AppReview
        | TaskKind::TakeDown
        | TaskKind::ConsentConflicted
        | TaskKind::ConsentExpiring
        | TaskKind::ChildDied
        | TaskKind::ChildMissing
        | TaskKind::LeaversPack
        | TaskKind::PhotoIncomplete
        | TaskKind::PhotosUntagged => "",
    }
}

pub(super) fn item(open: &Open, when: &When) -> Markup {
    let task = &open.task;
    html! {
        li {
            @if task.due < when.today() { (badge(Tone::Bad, "Overdue")) " " }
            (open.says)
            @if let Some(child) = task.subject.child { " (" a href={ "/children/" (child) } { "the child's page" } ")" }
            @if let (TaskKind::SetPasscode | TaskKind::AskPasscode | TaskKind::TabletLost | TaskKind::RolloutStopped, Some(device)) = (task.kind, task.subject.device) { " (" a href={ "/tablets/" (device) } { "the tablet's page" } ")" }
            (register_of(task))
            br;
            span.soft { (words::role(task.owner)) @if let Some(dsl) = &open.dsl { " (" (dsl.name) " today)" } ", due " (day(task.due)) }
        }
    }
}

/// Where it is written down.
fn register_of(task: &Task) -> Markup {
    html! {
        @match (task.kind, task.subject.entry) {
            (TaskKind::CourseEnds | TaskKind::EndAccess, Some(entry)) => { " (" a href={ "/staff/" (entry) } { "their page" } ")" }
            (TaskKind::AupOutstanding, _) => { " (" a href="/staff" { "staff" } ")" }
            (TaskKind::AppsUnapproved, _) => { " (" a href="/apps" { "apps" } ")" }
            (TaskKind::AppDecision | TaskKind::AppReview, Some(entry)) => { " (" a href={ "/apps/" (entry) } { "the app's page" } ")" }
            (TaskKind::CustodyOverdue | TaskKind::PinOnTwoTablets | TaskKind::TabletMissing, _) => { " (" a href="/custody" { "custody" } ")" }
            _ => {}
        }
    }
}

pub(in crate::http) async fn list(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Page, ApiError> {
    let when = When::of(&app).await?;
    // What changed a moment ago is found now.
    let looked = app.looked.renew_if_soon_done(&app.storage, when.now);
    let freshness = looked.await.map_err(ApiError::internal)?;
    let open = open(&app, &visitor, &when).await?;
    let matters = matters::of(&app, &visitor).await?;
    let person = &visitor.operator;
    let stands_in = |task: &Task| task.owner == Role::Dsl && person.roles.contains(&Role::Deputy);
    let theirs = open
        .iter()
        .filter(|open| open.is_for(person) || stands_in(&open.task));
    let theirs: Vec<&Task> = theirs.map(|open| &open.task).collect();
    alert::opened(&app.storage, person, &theirs, when.now)
        .await
        .map_err(ApiError::internal)?;
    let content = html! {
        @if freshness == Freshness::NotYet {
            p.notice role="status" { "The server has just started and is still looking for tasks: what is missing here is not known yet. Open this page again in a minute." }
        }
        @if let Freshness::Of(at) = freshness {
            p.notice role="status" { "As looked for at " (when.at(at)) ". Something changed since, and is being looked at: open this page again in a minute." }
        }
        @if open.is_empty() && matters.is_empty() {
            (empty(&html! { p { "Nothing is to be done." } }))
        }
        @for matter in &matters {
            section.card {
                ul.todo { (matter.item(&when)) }
                p.soft { "Only those who may read it see this. It goes from this list by itself." }
            }
        }
        @for open in &open {
            section.card {
                ul.todo { (item(open, &when)) }
                @if open.task.kind.ends_by_itself() {
                    p.soft { "It goes from this list by itself once it is settled." }
                } @else if let Err(not) = task::may_be_done_by(&open.task, &visitor.operator) {
                    p.soft { (not) "." }
                } @else {
                    form.actions method="post" action={ "/tasks/" (open.task.id) "/done" } {
                        (token(&visitor))
                        input name="note" aria-label="What was done; no names of children" placeholder="What was done; no names of children" maxlength="400";
                        button { "Done" }
                    }
                }
            }
        }
    };
    Ok(page(&visitor, "/tasks", "Tasks", &content))
}

pub(in crate::http) async fn done(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let id: TaskId = parsed(&id)?;
    task::done(
        &app.storage,
        id,
        form.text("note"),
        &visitor.operator,
        app.now(),
    )
    .await
    .map_err(|error| match error {
        TaskError::Storage(error) => ApiError::internal(error),
        TaskError::Missing(_) => no_such_page(),
        TaskError::NotAllowed(not) => refused(StatusCode::FORBIDDEN, format!("{not}.")),
        TaskError::Done(_) => refused(StatusCode::CONFLICT, "Somebody said so before."),
        TaskError::Note => refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "The note is longer than 400 characters. Go back and shorten it.",
        ),
    })?;
    Ok(see("/tasks"))
}
