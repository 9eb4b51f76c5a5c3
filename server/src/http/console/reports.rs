//! Reports on a week, a month or any days, to read, print and keep.

use super::form::refused;
use super::gate::Visitor;
use super::layout::{empty, field, page};
use super::page::{Page, protect};
use super::when::When;
use crate::domain::reports::print::sign_print;
use crate::domain::reports::{self, Asked, Period, Report, ReportError, SignReportError, table};
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::paper;
use crate::storage::AuditEntry;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jiff::civil::Date;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize, Default)]
pub(in crate::http) struct Wanted {
    #[serde(default)]
    period: String,
    #[serde(default)]
    first: String,
    #[serde(default)]
    last: String,
    #[serde(default)]
    format: String,
}

/// In what form a report leaves the console.
#[derive(Clone, Copy)]
enum Format {
    Html,
    Json,
    Csv,
    Pdf,
}

impl Format {
    fn of(text: &str) -> Option<Self> {
        match text {
            "html" => Some(Self::Html),
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "pdf" => Some(Self::Pdf),
            _ => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Pdf => "pdf",
        }
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Pdf => "application/pdf",
        }
    }
}

impl Wanted {
    /// `None`: nothing was chosen yet.
    fn asked(&self) -> Result<Option<Asked>, ApiError> {
        let refuse = |error| refused(StatusCode::UNPROCESSABLE_ENTITY, format!("{error}."));
        match self.period.as_str() {
            "" => Ok(None),
            "inspection" => match self.first.parse() {
                Ok(day) => Ok(Some(Asked::Inspection(day))),
                Err(_) => Err(refused(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "Choose the day as the first day.",
                )),
            },
            "days" => {
                let day = |text: &str| text.parse::<Date>().ok();
                let days = day(&self.first).zip(day(&self.last)).ok_or_else(|| {
                    refused(
                        StatusCode::UNPROCESSABLE_ENTITY,
                        "Choose the first and the last day.",
                    )
                })?;
                let period = Period::new(days.0, days.1).map_err(refuse)?;
                Ok(Some(Asked::Days(period)))
            }
            other => other.parse().map(Some).map_err(refuse),
        }
    }
}

pub(in crate::http) async fn show(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Query(wanted): Query<Wanted>,
) -> Result<Page, ApiError> {
    let when = When::of(&app).await?;
    let report = match wanted.asked()? {
        Some(asked) => Some(make(&app, &visitor, asked, "page").await?),
        None => None,
    };
    let content = html! {
        (chooser(&wanted, &when))
        @if let Some(report) = &report {
            (downloads(report))
            @if report.inspection { h2 { (paper::title(report)) } }
            (paper::content(report))
        } @else {
            (empty(&html! { p { "A report says what a week or month came to: which tablets were seen, what waits for somebody, photos, consent, and what nobody saw. It names no child and no member of staff. Print it, read it, sign it." } }))
        }
    };
    Ok(page(&visitor, "/reports", "Reports", &content))
}

/// The report as a file.
pub(in crate::http) async fn file(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    let missing = || {
        refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Choose a period and a form on the page Reports.",
        )
    };
    let format = Format::of(&wanted.format).ok_or_else(missing)?;
    let asked = wanted.asked()?.ok_or_else(missing)?;
    let report = make(&app, &visitor, asked, format.as_str()).await?;
    let bytes = match format {
        Format::Html => paper::page(&report).into_string().into_bytes(),
        Format::Json => reports::sign(&report, &app.signer)
            .await
            .map_err(not_signed)?,
        Format::Csv => table::csv(&report).map_err(ApiError::internal)?,
        Format::Pdf => {
            let pdf = paper::pdf::pdf(&report).map_err(ApiError::internal)?;
            sign_print(&report, &pdf, &app.signer)
                .await
                .map_err(not_signed)?
        }
    };
    let (period, ending) = (report.period, format.as_str());
    let name = if report.inspection {
        format!(
            "attachment; filename=\"inspection-{}.{ending}\"",
            period.first
        )
    } else {
        let Period { first, last } = period;
        format!("attachment; filename=\"report-{first}-{last}.{ending}\"")
    };
    let mut response = bytes.into_response();
    protect(&mut response);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(format.kind()),
    );
    let name = HeaderValue::from_str(&name).map_err(ApiError::internal)?;
    headers.insert(header::CONTENT_DISPOSITION, name);
    Ok(response)
}

async fn make(app: &App, visitor: &Visitor, asked: Asked, form: &str) -> Result<Report, ApiError> {
    let (storage, now) = (&app.storage, app.now());
    let report = reports::make(storage, &app.console.setting_name, asked, None, now)
        .await
        .map_err(|error| match error {
            ReportError::Period(error) => {
                refused(StatusCode::UNPROCESSABLE_ENTITY, format!("{error}."))
            }
            ReportError::Storage(error) => ApiError::internal(error),
        })?
        .held_to(&app.console.thresholds);
    let audit = AuditEntry {
        at: now,
        who: visitor.operator.name.clone(),
        act: "report.make".to_owned(),
        subject: report.period.to_string(),
        detail: json!({ "format": form, "fingerprint": report.fingerprint() }),
    };
    storage
        .audit_add(&audit)
        .await
        .map_err(ApiError::internal)?;
    Ok(report)
}

fn not_signed(error: SignReportError) -> ApiError {
    match error {
        SignReportError::Unwritable(error) => ApiError::internal(error),
        SignReportError::Signer(error) => {
            tracing::warn!(%error, "a report was not signed");
            refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "Figures and PDF are signed, and the signer did not answer. Save the page or the table instead, and tell whoever runs the server.",
            )
        }
    }
}

fn chooser(wanted: &Wanted, when: &When) -> Markup {
    let today = when.today();
    let chosen =
        |value: &str| wanted.period == value || (wanted.period.is_empty() && value == "week");
    let kinds = [
        ("week", "Last week"),
        ("month", "Last month"),
        ("term", "Last 12 weeks"),
        ("year", "Last 12 months"),
        ("days", "These days"),
        ("inspection", "The first day, for an inspection"),
    ];
    html! {
        form.filter.screen method="get" action="/reports" {
            (field("Period", "", &html! {
                select name="period" {
                    @for (value, name) in kinds { option value=(value) selected[chosen(value)] { (name) } }
                }
            }))
            (field("First day", "", &html! { input type="date" name="first" value=(wanted.first) max=(today); }))
            (field("Last day", "", &html! { input type="date" name="last" value=(wanted.last) max=(today); }))
            button.main { "Show the report" }
        }
    }
}

fn downloads(report: &Report) -> Markup {
    let asked = if report.inspection {
        "inspection"
    } else {
        "days"
    };
    let path = |format| {
        let Period { first, last } = report.period;
        format!("/reports/file?period={asked}&first={first}&last={last}&format={format}")
    };
    html! {
        div.actions {
            button.main data-print hidden { "Print" }
            a.button href=(path("pdf")) download { "Save for printing (PDF)" }
            a.button href=(path("html")) download { "Save the page" }
            a.button href=(path("csv")) download { "Save as a table (CSV)" }
            a.button href=(path("json")) download { "Save the figures (JSON)" }
        }
    }
}
