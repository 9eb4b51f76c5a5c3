//! One child: what was answered, what becomes of photos, and a withdrawal in two presses.

use super::consents::{name, notes, viewed};
use super::form::{Form, no_such_page, parsed, refused};
use super::gate::Visitor;
use super::layout::{badge, notice, page, table, token};
use super::page::{Page, see};
use super::when::{When, day};
use super::{holds, words};
use crate::domain::consent::{ConsentError, Reach, Said, withdraw, withdrawal_of};
use crate::domain::hold::coverage;
use crate::domain::photo::{self, Effect};
use crate::domain::register::Register;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::people::Health;
use crate::storage::{Child, HoldRow};
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use nestwarden_policy_schema::consent::{
    ConsentStanding, ConsentState, GivenBy, Method, Purpose, Stage,
};
use nestwarden_policy_schema::hold::HoldScope;
use nestwarden_policy_schema::id::{ChildId, DeviceId};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize, Default)]
pub(in crate::http) struct Asked {
    #[serde(default)]
    purpose: String,
    #[serde(default)]
    done: String,
}

/// Register and child, with the view on record.
async fn load(app: &App, visitor: &Visitor, id: &str) -> Result<(Register, Child), ApiError> {
    let id: ChildId = parsed(id)?;
    let register = Register::load(&app.storage)
        .await
        .map_err(ApiError::internal)?;
    let child = register
        .children
        .iter()
        .find(|child| child.id == id)
        .cloned()
        .ok_or_else(no_such_page)?;
    viewed(app, visitor, "consent.show", id.to_string()).await?;
    Ok((register, child))
}

pub(in crate::http) async fn show(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Page, ApiError> {
    let (register, child) = load(&app, &visitor, &id).await?;
    let when = When::of(&app).await?;
    let held = holds_of(&app, child.id).await?;
    let standings = register.standings(child.id);
    let rows: Vec<Vec<Markup>> = Purpose::ALL
        .iter()
        .map(|purpose| {
            let standing = standings.get(purpose).unwrap_or(&ConsentStanding::UNANSWERED);
            let (tone, says) = words::consent(standing.state);
            let withdraws = matches!(
                standing.state,
                ConsentState::Given | ConsentState::Conflicted
            );
            vec![
                html! { (words::purpose(*purpose)) },
                badge(tone, says),
                html! { @if let Some(until) = standing.valid_until { (day(until)) } },
                html! { @if withdraws { a href={ "/children/" (child.id) "/withdraw?purpose=" (purpose) } { "Withdraw…" } } },
            ]
        })
        .collect();
    let siblings: Vec<&Child> = register.siblings(&child).collect();
    let is_withdrawn = |purpose| {
        let standing = standings.get(purpose);
        standing.is_some_and(|standing| standing.state == ConsentState::Withdrawn)
    };
    let any_withdrawn = Purpose::ALL.iter().any(is_withdrawn);
    let obstacle = Health::of(&app).await.obstacle();
    let any_left = !Purpose::ALL.iter().all(is_withdrawn);
    let content = html! {
        @if asked.done == "withdrawn" && any_withdrawn { (notice(&html! {
            @if let Some(obstacle) = obstacle {
                p { strong { "Recorded, and no tablet has been told. " (obstacle) } " Tell whoever runs the server now; the photos stay in use until then." }
            } @else { p { strong { "Withdrawn." } " Tablets that are switched on put the photos out of use now, the others as soon as they hear of it. Each destruction leaves a receipt." } }
        })) }
        @if asked.done == "held" && !held.is_empty() { (notice(&html! { p { strong { "Held." } " " (says_holds(&app, &held).await) } })) }
        p { span.soft { "Reference " (child.reference) } " " (notes(&register, &child)) }
        div.actions {
            @if any_left { a.button.stop href={ "/children/" (child.id) "/withdraw?purpose=all" } { "Withdraw every consent…" } }
            @if held.is_empty() { (holds::open_form(&visitor, child.id, None)) }
        }
        @for row in &held { (holds::says(row, &visitor, &when)) }
        h2 { "What was answered" }
        (table("For each purpose, what stands today.", &["Purpose", "Stands", "Until", "Change"], &rows))
        div.two {
            section.card { h2 { "Photos" } (photos(&app, child.id).await?) }
            section.card {
                h2 { "Family" }
                @if siblings.is_empty() { p { "Nobody of the same family is known." } }
                ul.todo { @for sibling in &siblings { li { a href={ "/children/" (sibling.id) } { (name(sibling)) } } } }
            }
        }
    };
    Ok(page(&visitor, "/consents", &name(&child), &content))
}

fn held_notice() -> Markup {
    notice(
        &html! { p { strong { "Held." } " Nothing that covers this child is destroyed while the hold is open." } },
    )
}

async fn holds_of(app: &App, child: ChildId) -> Result<Vec<HoldRow>, ApiError> {
    let mut rows = app.storage.hold_list().await.map_err(ApiError::internal)?;
    rows.retain(|row| row.released.is_none() && row.hold.scope == HoldScope::Child { child });
    Ok(rows)
}

/// What the newest hold on a child covers, and what becomes of it.
async fn says_holds(app: &App, held: &[HoldRow]) -> String {
    let Some(row) = held.iter().max_by_key(|row| row.hold.opened_at) else {
        return String::new();
    };
    match coverage::of(&app.storage, &row.hold, app.now()).await {
        Ok(covers) => covers.says(&row.hold),
        Err(error) => {
            tracing::error!(%error, "what a hold covers could not be counted");
            "How many photos it covers could not be counted.".to_owned()
        }
    }
}

/// Numbers only; no image is here to show.
async fn photos(app: &App, child: ChildId) -> Result<Markup, ApiError> {
    let judge = photo::Judge::load(&app.storage, app.now())
        .await
        .map_err(ApiError::internal)?;
    let mut stages = BTreeMap::new();
    photo::each_that_may_show(&app.storage, &BTreeSet::from([child]), |row| {
        let shows = judge
            .facts(&row)
            .is_some_and(|facts| facts.subjects.confirmed.contains(&child))
            || row.receipt.as_ref().is_some_and(|r| r.child == Some(child));
        if shows {
            *stages.entry(row.stage).or_insert(0_u64) += 1;
        }
    })
    .await
    .map_err(ApiError::internal)?;
    Ok(html! {
        @if stages.is_empty() { p { "No tablet told of a photo in which somebody said this child is." } }
        dl { @for (stage, count) in &stages { dt { (words::stage(*stage)) } dd { (count) } } }
        @if stages.contains_key(&Stage::Destroyed) { p { a href="/receipts" { "Receipts" } } }
    })
}

pub(super) fn purposes(asked: &str) -> Result<Vec<Purpose>, ApiError> {
    if asked == "all" {
        return Ok(Purpose::ALL.to_vec());
    }
    Ok(vec![parsed(asked)?])
}

fn said() -> Said {
    Said {
        given_by: GivenBy::Parent,
        has_parental_responsibility: None,
        method: Method::InPerson,
        wording: None,
    }
}

/// The first press: what would go, where, with *Hold* beside it.
pub(in crate::http) async fn ask(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Page, ApiError> {
    let (register, child) = load(&app, &visitor, &id).await?;
    let purposes = purposes(&asked.purpose)?;
    let (said, now) = (said(), app.now());
    let change = withdrawal_of(
        &register,
        &child.reference,
        &purposes,
        &said,
        Reach::Child,
        now,
    )
    .map_err(failed)?;
    let effect = photo::effect(&app.storage, &register.with(&change), now)
        .await
        .map_err(ApiError::internal)?;
    let devices = app
        .storage
        .device_list()
        .await
        .map_err(ApiError::internal)?;
    let names: BTreeMap<DeviceId, String> = devices.into_iter().map(|d| (d.id, d.name)).collect();
    let what: Vec<&str> = purposes
        .iter()
        .map(|purpose| words::purpose(*purpose))
        .collect();
    let siblings: Vec<&Child> = register.siblings(&child).collect();
    let is_held = !holds_of(&app, child.id).await?.is_empty();
    let content = html! {
        @if asked.done == "held" && is_held { (held_notice()) }
        p { "This takes back consent for: " strong { (what.join(", ")) } "." }
        (goes(&effect, &names))
        form method="post" action={ "/children/" (child.id) "/withdraw" } {
            (token(&visitor))
            input type="hidden" name="purpose" value=(asked.purpose);
            @if !siblings.is_empty() {
                fieldset {
                    legend { "The family" }
                    p { "Ask whether it is meant for them too: " (siblings.iter().map(|s| name(s)).collect::<Vec<_>>().join(", ")) "." }
                    label.choice { input type="checkbox" name="family" value="yes"; "Withdraw it for them too" }
                }
            }
            div.actions {
                button.main { "Withdraw" }
                a.button href={ "/children/" (child.id) } { "Not now" }
            }
        }
        section.card {
            h2 { "Must any be kept as evidence?" }
            @if is_held { p { strong { "A hold on this child is open." } " Photos go out of use, and are sealed; none is destroyed until it is released." } }
            @else { p { "Under a hold no photo of this child is destroyed. Open it first: photos go out of use, and are sealed, either way, and this page comes back." } }
            (holds::open_form(&visitor, child.id, Some(&asked.purpose)))
        }
    };
    let title = format!("Withdraw consent for {}", name(&child));
    Ok(page(&visitor, "/consents", &title, &content))
}

fn goes(effect: &Effect, names: &BTreeMap<DeviceId, String>) -> Markup {
    let count = effect.withheld + effect.sealed;
    let tablets: Vec<&str> = effect
        .devices
        .iter()
        .filter_map(|id| names.get(id))
        .map(String::as_str)
        .collect();
    html! {
        section.card {
            h2 { "What goes" }
            @if count == 0 {
                p { "No photo that tablets told of goes because of it." }
            } @else {
                p.cover {
                    strong { (count) }
                    span { @if count == 1 { "photo goes out of use at once, on " } @else { "photos go out of use at once, on " } (tablets.join(", ")) "." }
                }
                p { "Sealing comes next, and destruction some opening days later; until then a consent given again brings back what went." }
                @if effect.observed_only > 0 {
                    p { (effect.observed_only) " of them are on tablets that only watch: those stay, and are reported." }
                }
            }
            p.soft { "What was printed, published or uploaded becomes a task for you: it is not deleted by us." }
        }
    }
}

/// The second press.
pub(in crate::http) async fn take_back(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let id: ChildId = parsed(&id)?;
    let purposes = purposes(form.text("purpose"))?;
    let children = app.storage.child_list().await.map_err(ApiError::internal)?;
    let child = children
        .iter()
        .find(|child| child.id == id)
        .ok_or_else(no_such_page)?;
    let reach = if form.has("family") {
        Reach::Family
    } else {
        Reach::Child
    };
    let who = &visitor.operator.name;
    withdraw(
        &app.storage,
        &child.reference,
        &purposes,
        &said(),
        reach,
        who,
        app.now(),
    )
    .await
    .map_err(failed)?;
    app.nudge.now();
    Ok(see(&format!("/children/{id}?done=withdrawn")))
}

fn failed(error: ConsentError) -> ApiError {
    match error {
        ConsentError::Storage(error) => ApiError::internal(error),
        ConsentError::NoChild(_) => no_such_page(),
        error @ ConsentError::NotAllowed(_) => refused(StatusCode::FORBIDDEN, error),
        error @ (ConsentError::NoResponsibility
        | ConsentError::AnsweredLater(_)
        | ConsentError::Over(_)
        | ConsentError::Backwards { .. }
        | ConsentError::Wording(_)
        | ConsentError::Calendar(_)) => refused(StatusCode::UNPROCESSABLE_ENTITY, error),
    }
}
