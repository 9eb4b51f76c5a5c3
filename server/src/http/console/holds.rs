//! Legal holds.

use super::form::{Form, no_such_page, parsed, refused};
use super::gate::Visitor;
use super::layout::{Tone, badge, empty, page, token};
use super::page::{Page, see};
use super::registers::{hidden_holds, registers};
use super::when::When;
use super::{people, words};
use crate::domain::hold::{self, HoldError, REVIEW_WITHIN_DAYS, is_dsl, of_incident};
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::storage::HoldRow;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use nestwarden_policy_schema::id::{ChildId, HoldId};

/// Those that are opened here. A freeze for illegal content has steps of its own.
const CATEGORIES: [HoldCategory; 3] = [
    HoldCategory::Safeguarding,
    HoldCategory::Complaint,
    HoldCategory::Police,
];

/// Offered to whoever may.
///
/// `withdrawing`: what was about to be withdrawn, to which it leads back.
pub(super) fn open_form(visitor: &Visitor, child: ChildId, withdrawing: Option<&str>) -> Markup {
    html! {
        @if is_dsl(&visitor.operator) {
            form.actions method="post" action="/holds" {
                (token(visitor))
                input type="hidden" name="child" value=(child);
                @if let Some(purpose) = withdrawing { input type="hidden" name="withdrawing" value=(purpose); }
                select name="category" aria-label="Why it is held" {
                    @for category in CATEGORIES {
                        option value=(word(category)) { (words::category(category)) }
                    }
                }
                button { "Hold" }
            }
        } @else {
            p.soft { "The DSL or a deputy opens a hold." }
        }
    }
}

fn word(category: HoldCategory) -> String {
    serde_json::to_value(category)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

pub(in crate::http) async fn open(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let child: ChildId = parsed(form.text("child"))?;
    let category = CATEGORIES
        .into_iter()
        .find(|category| word(*category) == form.text("category"))
        .ok_or_else(no_such_page)?;
    let children = app.storage.child_list().await.map_err(ApiError::internal)?;
    if !children.iter().any(|known| known.id == child) {
        return Err(no_such_page());
    }
    let scope = HoldScope::Child { child };
    let by = &visitor.operator;
    hold::open(
        &app.storage,
        scope,
        category,
        REVIEW_WITHIN_DAYS,
        by,
        app.now(),
    )
    .await
    .map_err(failed)?;
    app.nudge.now();
    let purpose = form.text("withdrawing");
    Ok(see(&match super::child::purposes(purpose) {
        Ok(_) => format!("/children/{child}/withdraw?purpose={purpose}&done=held"),
        Err(_) => format!("/children/{child}?done=held"),
    }))
}

pub(in crate::http) async fn list(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Page, ApiError> {
    let when = When::of(&app).await?;
    let mut rows = app.storage.hold_list().await.map_err(ApiError::internal)?;
    let hidden = hidden_holds(&app, &visitor).await?;
    rows.retain(|row| !hidden.contains(&row.hold.id));
    let (released, open): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.released.is_some());
    let content = html! {
        p { "Nothing a hold covers is destroyed: it outranks withdrawals, leaving and retention, until two people release it. What consent permits stays in use; what it does not goes out of use and is sealed, as without a hold. Only a hold for illegal content freezes photos as they are." }
        (people::says_dsl(people::dsl(&app, &when).await?.as_ref()))
        @if open.is_empty() {
            (empty(&html! { p { "No hold is open. The DSL or a deputy opens one on a child's page." } }))
        }
        @for row in &open { (says(row, &visitor, &when)) }
        @if !released.is_empty() {
            h2 { "Released" }
            ul.todo {
                @for row in &released {
                    li { (words::category(row.hold.category)) ", " (on(row))
                        @if let Some(act) = &row.released { ", released by " (act.by) " " (when.at(act.at)) } }
                }
            }
        }
    };
    Ok(page(&visitor, "/holds", "Holds", &content))
}

fn on(row: &HoldRow) -> Markup {
    match row.hold.scope {
        HoldScope::Child { child } => {
            html! { "on " a href={ "/children/" (child) } { "one child" } }
        }
        HoldScope::Device { device } => {
            html! { "on " a href={ "/tablets/" (device) } { "one tablet" } }
        }
        HoldScope::Photo { photo } => html! { "on photo " code { (photo) } },
        HoldScope::Staff { .. } => html! { "on one member of staff" },
        HoldScope::Window { from, to } => html! { "on what was taken from " (from) " to " (to) },
    }
}

/// An open hold with what can be done about it.
pub(super) fn says(row: &HoldRow, visitor: &Visitor, when: &When) -> Markup {
    let hold = &row.hold;
    let is_overdue = hold.review_by <= when.now;
    let button = |act: &str, says: &str| {
        html! {
            form method="post" action={ "/holds/" (hold.id) "/" (act) } { (token(visitor)) button { (says) } }
        }
    };
    html! {
        section.card {
            h2 { "Held: " (words::category(hold.category)) }
            p { "Opened by " (row.opened_by) " " (when.at(hold.opened_at)) ", " (on(row)) ". Review by " (when.at(hold.review_by)) ". "
                @if is_overdue { (badge(Tone::Bad, "Review overdue")) } }
            @if let Some(asked) = &row.release_requested {
                p { (asked.by) " asked for its release " (when.at(asked.at)) ". A second person releases it; one of the two is DSL or deputy." }
            }
            div.actions {
                @if is_dsl(&visitor.operator) { (button("review", "Reviewed: it stays")) }
                @match &row.release_requested {
                    None => (button("release", "Ask for its release")),
                    Some(asked) if asked.by == visitor.operator.name => {},
                    Some(_) => (button("release", "Release it")),
                }
            }
        }
    }
}

/// One this person is told of.
async fn known(app: &App, visitor: &Visitor, id: &str) -> Result<HoldId, ApiError> {
    let id: HoldId = parsed(id)?;
    of_incident::known_to(&registers(app), &visitor.operator, id)
        .await
        .map_err(failed)?;
    Ok(id)
}

pub(in crate::http) async fn review(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Extension(_): Extension<Form>,
) -> Result<Response, ApiError> {
    let id = known(&app, &visitor, &id).await?;
    hold::review(
        &app.storage,
        id,
        REVIEW_WITHIN_DAYS,
        &visitor.operator,
        app.now(),
    )
    .await
    .map_err(failed)?;
    app.nudge.now();
    Ok(see("/holds"))
}

pub(in crate::http) async fn release(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Extension(_): Extension<Form>,
) -> Result<Response, ApiError> {
    let id = known(&app, &visitor, &id).await?;
    hold::release(&app.storage, id, &visitor.operator, app.now())
        .await
        .map_err(failed)?;
    app.nudge.now();
    Ok(see("/holds"))
}

fn failed(error: HoldError) -> ApiError {
    match error {
        HoldError::Storage(error) => ApiError::internal(error),
        HoldError::Missing(_) => no_such_page(),
        HoldError::NotDsl { .. } => refused(
            StatusCode::FORBIDDEN,
            "A hold is opened and reviewed by the DSL or a deputy.",
        ),
        HoldError::SamePerson { .. } => refused(
            StatusCode::CONFLICT,
            "A release needs two people, and you asked for it already. Somebody else has to agree, signed in as themselves.",
        ),
        HoldError::Wanted(_) => refused(
            StatusCode::CONFLICT,
            "The tablet is frozen for an incident that is still open. Finish that first: the DSL or a deputy does its steps, writes the debrief and closes it under Registers, Incidents. Then two people release the hold.",
        ),
        error @ HoldError::NoDslAmongTwo { .. } => refused(StatusCode::FORBIDDEN, error),
        error @ (HoldError::Released(_)
        | HoldError::Review { .. }
        | HoldError::Backwards { .. }) => refused(StatusCode::CONFLICT, error),
    }
}
