//! Deletion receipts, and whether the record they stand in holds.

use super::form::{Form, no_such_page, parsed};
use super::gate::Visitor;
use super::layout::{Tone, badge, empty, page, table, token};
use super::page::Page;
use super::when::When;
use super::words;
use crate::domain::export;
use crate::domain::verify::{Verified, Verifier};
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::storage::{PhotoRow, StorageError};
use axum::extract::{Extension, Path, State};
use maud::{Markup, html};
use nestwarden_policy_schema::id::{DeviceId, PhotoId};
use nestwarden_policy_schema::receipt::Receipt;
use std::collections::BTreeMap;

const SHOWN: u32 = 100;

pub(in crate::http) async fn list(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Page, ApiError> {
    let when = When::of(&app).await?;
    let photos = app
        .storage
        .photo_receipts(SHOWN)
        .await
        .map_err(ApiError::internal)?;
    let devices = app
        .storage
        .device_list()
        .await
        .map_err(ApiError::internal)?;
    let names: BTreeMap<DeviceId, String> = devices.into_iter().map(|d| (d.id, d.name)).collect();
    let rows: Vec<Vec<Markup>> = photos
        .iter()
        .filter_map(|row| Some((row, row.receipt.as_ref()?)))
        .map(|(row, receipt)| {
            vec![
                html! { a href={ "/receipts/" (row.device) "/" (row.photo) } { "Receipt " (short(receipt)) } },
                when.at(receipt.destroyed_at),
                html! { (words::cause(receipt.cause)) },
                html! { (names.get(&row.device).map_or("", String::as_str)) },
                found(receipt),
            ]
        })
        .collect();
    let content = html! {
        p { "A receipt says that a photo was deleted and not found on a second look. It names no child and shows no image." }
        @if rows.is_empty() {
            (empty(&html! { p { "No photo was destroyed yet. Photos are destroyed some opening days after their consent is gone." } }))
        } @else {
            (table(&format!("The newest {}.", rows.len()), &["Receipt", "Destroyed", "Why", "Tablet", "Second look"], &rows))
        }
    };
    Ok(page(&visitor, "/receipts", "Receipts", &content))
}

fn short(receipt: &Receipt) -> String {
    let id = receipt.id.to_string();
    id[id.len() - 8..].to_owned()
}

fn found(receipt: &Receipt) -> Markup {
    match receipt.rescan.found {
        0 => badge(Tone::Good, "Not found"),
        count => badge(Tone::Bad, &format!("{count} still there")),
    }
}

async fn find(app: &App, device: &str, photo: &str) -> Result<(PhotoRow, Receipt), ApiError> {
    let device: DeviceId = parsed(device)?;
    let photo: PhotoId = parsed(photo)?;
    let row = app
        .storage
        .photo_find(device, photo)
        .await
        .map_err(ApiError::internal)?
        .ok_or_else(no_such_page)?;
    let receipt = row.receipt.clone().ok_or_else(no_such_page)?;
    Ok((row, receipt))
}

pub(in crate::http) async fn show(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path((device, photo)): Path<(String, String)>,
) -> Result<Page, ApiError> {
    let (row, receipt) = find(&app, &device, &photo).await?;
    sheet(&app, &visitor, &row, &receipt, &html! {
        p { "Checking reads the whole record: every link, every signature of the tablets, every receipt." }
    })
    .await
}

/// Reads the whole record of the setting.
pub(in crate::http) async fn verify(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path((device, photo)): Path<(String, String)>,
    Extension(_): Extension<Form>,
) -> Result<Page, ApiError> {
    let (row, receipt) = find(&app, &device, &photo).await?;
    let mut verifier = Verifier::default();
    export::each(&app.storage, app.now(), |line| {
        verifier.take(line);
        Ok::<(), StorageError>(())
    })
    .await
    .map_err(ApiError::internal)?;
    let found = verifier.finish();
    let when = When::of(&app).await?;
    let result = result(&found, row.device, &when);
    sheet(&app, &visitor, &row, &receipt, &result).await
}

fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

fn result(verified: &Verified, device: DeviceId, when: &When) -> Markup {
    let counts = html! {
        "checked at " (when.clock()) " were " (counted(verified.events, "event")) ", "
        (counted(verified.heads, "signed head")) ", " (counted(verified.receipts, "receipt")) " of "
        (counted(verified.devices, "tablet"))
    };
    if verified.holds() {
        return html! {
            p.notice role="status" { strong { "Verified." } " The record holds: " (counts) "." }
        };
    }
    let of_this =
        |problem: &&crate::domain::verify::Problem| problem.device.is_none_or(|of| of == device);
    let (mine, others): (Vec<_>, Vec<_>) = verified.problems.iter().partition(of_this);
    html! {
        div.notice.bad role="alert" {
            p { strong { "The record does not hold." } " " (counts) "." }
            ul { @for problem in mine.iter().take(20) { li { (problem) } } }
            @if !others.is_empty() { p { (others.len()) " problems concern other tablets." } }
            p { "Change nothing. Keep the tablet, and have whoever runs the server export the record: " code { "nestwarden-server events export" } "." }
        }
    }
}

async fn sheet(
    app: &App,
    visitor: &Visitor,
    row: &PhotoRow,
    receipt: &Receipt,
    result: &Markup,
) -> Result<Page, ApiError> {
    let when = When::of(app).await?;
    let device = app
        .storage
        .device_find(row.device)
        .await
        .map_err(ApiError::internal)?;
    let or_never = |at| when.or_never(at);
    let content = html! {
        (result)
        div.sheet {
            dl {
                dt { "Receipt" } dd { code { (receipt.id) } }
                dt { "Photo" } dd { code { (receipt.photo) } }
                dt { "Tablet" } dd { (device.map_or_else(|| row.device.to_string(), |device| device.name)) }
                dt { "Why" } dd { (words::cause(receipt.cause)) }
                dt { "Withheld" } dd { (or_never(receipt.withheld_at)) }
                dt { "Sealed" } dd { (or_never(receipt.sealed_at)) }
                dt { "Destroyed" } dd { (when.at(receipt.destroyed_at)) }
                dt { "What went" }
                dd { ul { @for artefact in &receipt.artefacts { li { (words::artefact(artefact.kind)) ": " (words::result(artefact.result)) } } } }
                dt { "Second look" }
                dd { (found(receipt)) " " (when.at(receipt.rescan.at)) ", " (receipt.rescan.files_read) " files compared" }
                dt { "Agent" } dd { (receipt.agent_version) ", bundle " (receipt.policy_generation) }
                dt { "Keyed hash" } dd { code { (receipt.keyed_hash) } }
            }
            p.soft { "Deleted and not found on a second look, on tablets we manage." }
        }
        div.actions {
            form method="post" action={ "/receipts/" (row.device) "/" (row.photo) } { (token(visitor)) button.main { "Verify" } }
            button data-print hidden { "Print" }
            a.button href="/receipts" { "All receipts" }
        }
    };
    let title = format!("Receipt {}", short(receipt));
    Ok(page(visitor, "/receipts", &title, &content))
}
