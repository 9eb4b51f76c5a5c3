//! A register sent by another program: `POST /admin/v1/imports?dry_run=true&confirm=true`, with `Idempotency-Key`.

use crate::domain::import::{self, By, Consent, ImportError, Sent};
use crate::domain::role;
use crate::http::app::App;
use crate::http::auth::Person;
use crate::http::body;
use crate::http::error::ApiError;
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

const MAX_IMPORT_BYTES: usize = 8 * 1024 * 1024;
const KEY_HEADER: &str = "idempotency-key";
const KEY_CHARS: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Flags {
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    confirm: bool,
}

pub(in crate::http) async fn create(
    State(app): State<App>,
    Extension(Person(operator)): Extension<Person>,
    flags: Result<Query<Flags>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    role::require(&operator, role::Act::Import).map_err(|error| not_allowed(&error))?;
    let Query(flags) = flags.map_err(|_| {
        refused(
            "flags_invalid",
            "the flags are `dry_run=true` and `confirm=true`",
        )
    })?;
    let key = headers
        .get(KEY_HEADER)
        .and_then(|key| key.to_str().ok())
        .filter(|key| (1..=KEY_CHARS).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()))
        .ok_or_else(|| {
            refused(
                "import_key_required",
                "send `Idempotency-Key: KEY`, 1 to 100 letters and digits that name this import and no other",
            )
        })?;
    let body = body::bytes(&app, body, MAX_IMPORT_BYTES).await?;
    let consent = Consent {
        confirmed: flags.confirm,
        mapping_accepted: false,
        dry_run: flags.dry_run,
        seen: None,
    };
    let by = By {
        who: &operator.name,
        operator: Some(&operator),
    };
    match import::run_json(&app.storage, &body, key, consent, by, app.now()).await {
        Ok(Sent::Now(outcome)) if outcome.stopped && !flags.dry_run => {
            let concerns: Vec<String> = outcome
                .plan
                .concerns
                .iter()
                .map(ToString::to_string)
                .collect();
            let message = format!(
                "the register stays as it was: {}; if this is right, a manager, the DSL or a deputy sends it again with `confirm=true`",
                concerns.join("; ")
            );
            Err(conflict("import_needs_confirmation", message).with(outcome.to_json()))
        }
        Ok(Sent::Now(outcome)) => {
            if outcome.imported {
                app.nudge.now();
            }
            Ok(Json(outcome.to_json()))
        }
        Ok(Sent::Before(answer)) => Ok(Json(answer)),
        Ok(Sent::KeyReused) => Err(conflict(
            "import_key_reused",
            "something else was imported under this key; give each import a key of its own",
        )),
        Err(error) => Err(failed(error)),
    }
}

fn failed(error: ImportError) -> ApiError {
    match error {
        ImportError::Refused { refusals, more } => {
            let mistakes = match refusals.len() + more {
                1 => "1 mistake".to_owned(),
                mistakes => format!("{mistakes} mistakes"),
            };
            let says = "the import was refused and the register stays as it was";
            refused("import_refused", format!("{says}; {mistakes}"))
                .with(json!({ "refusals": refusals, "more": more }))
        }
        ImportError::NotAllowed(error) => not_allowed(&error),
        error @ ImportError::ChangedMeanwhile => conflict("register_changed", error.to_string()),
        error @ ImportError::Calendar(import::CalendarError::None) => {
            conflict("calendar_unknown", error.to_string())
        }
        error @ (ImportError::NoMapping(_)
        | ImportError::MappingChanged(_)
        | ImportError::Mapping(_)
        | ImportError::Calendar(_)
        | ImportError::Storage(_)) => ApiError::internal(error),
    }
}

fn not_allowed(error: &role::NotAllowed) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "not_allowed", error.to_string())
}

fn refused(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, code, message)
}

fn conflict(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, code, message)
}
