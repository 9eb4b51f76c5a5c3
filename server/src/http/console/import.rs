//! Importing the register: choose the file, see what it would change, agree. Rules and limits are those of
//! `consent import`.

use super::consents::viewed;
use super::draft::Draft;
use super::form::{Form, parsed};
use super::gate::Visitor;
use super::layout::{alert, field, notice, page, token};
use super::page::{Page, see};
use super::preview;
use crate::domain::import::{self, By, Consent, ImportError, MAX_FILE_BYTES, Meant, Outcome, Said};
use crate::domain::register::Register;
use crate::http::app::App;
use crate::http::error::ApiError;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use nestwarden_policy_schema::bytes::Digest;

pub(super) const PATH: &str = "/consents/import";
const PREVIEW: &str = "/consents/import/preview";
/// The file, and the fields beside it.
pub(super) const MAX_UPLOAD_BYTES: usize = MAX_FILE_BYTES + 64 * 1024;
/// No mapping is called so.
const NEW_MAPPING: &str = "+new";
const CHANGED: &str =
    "Something changed since you looked, so nothing was imported. This is how it stands now.";

pub(in crate::http) async fn form(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Page, ApiError> {
    chooser(&app, &visitor, &html! {}).await
}

async fn chooser(app: &App, visitor: &Visitor, first: &Markup) -> Result<Page, ApiError> {
    let mappings = app
        .storage
        .mapping_list()
        .await
        .map_err(ApiError::internal)?;
    let content = html! {
        (first)
        p { "Export the register from your booking system as a CSV file and choose it here. You see first what it would change, child by child; nothing changes before you agree." }
        form method="post" action=(PATH) enctype="multipart/form-data" {
            (token(visitor))
            (field("The file", "Comma or semicolon, UTF-8 or as a spreadsheet saves it, up to 16 MiB.", &html! {
                input type="file" name="file" accept=".csv,text/csv,text/plain" required;
            }))
            (field("How its columns are called", "", &html! {
                select name="mapping" {
                    @for mapping in &mappings { option value=(mapping.name) { "As in “" (mapping.name) "”" } }
                    option value="" { "As here: reference, first_name, last_name, room, website, …" }
                    option value=(NEW_MAPPING) { "Otherwise: look at the file and propose how to read it" }
                }
            }))
            (field("Name for a new way to read it", "Needed only where one is proposed. Letters, digits and hyphens, such as the booking system’s name.", &html! {
                input name="new_name" maxlength="60" autocomplete="off";
            }))
            button.main { "Show what would change" }
        }
    };
    Ok(page(visitor, "/consents", "Import a register", &content))
}

pub(in crate::http) async fn upload(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let file = form.file().filter(|file| file.len() <= MAX_FILE_BYTES);
    let Some(file) = file else {
        let says = "Choose the exported file first, of at most 16 MiB and not empty.";
        return again(&app, &visitor, &alert(says)).await;
    };
    let mapping = match form.text("mapping") {
        "" => None,
        NEW_MAPPING => {
            let name = form.text("new_name").trim();
            match proposed(&app, &visitor, &file, name).await {
                Ok(()) => Some(name.to_owned()),
                Err(Proposing::Taken) => {
                    let says = "There is a way to read files of that name already. Choose it in the list, or another name.";
                    return again(&app, &visitor, &alert(says)).await;
                }
                Err(Proposing::Import(error)) => {
                    return again(&app, &visitor, &preview::refused(&failed(error)?)).await;
                }
            }
        }
        name => Some(name.to_owned()),
    };
    let draft = Draft {
        file,
        mapping,
        at: app.now(),
    };
    app.drafts.put(visitor.operator.id, draft);
    Ok(see(PREVIEW))
}

enum Proposing {
    Taken,
    Import(ImportError),
}

impl<E: Into<ImportError>> From<E> for Proposing {
    fn from(error: E) -> Self {
        Self::Import(error.into())
    }
}

/// Keeps what is proposed. It counts only once somebody agreed to how it reads.
async fn proposed(app: &App, visitor: &Visitor, file: &[u8], name: &str) -> Result<(), Proposing> {
    let proposal = import::propose(file, name)?;
    if app.storage.mapping_find(name).await?.is_some() {
        return Err(Proposing::Taken);
    }
    let who = &visitor.operator.name;
    import::mapping_apply(&app.storage, &proposal.text, who, app.now()).await?;
    Ok(())
}

/// The page to choose on, with what was wrong.
async fn again(app: &App, visitor: &Visitor, says: &Markup) -> Result<Response, ApiError> {
    let page = chooser(app, visitor, says).await?;
    Ok(with(StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

fn with(status: StatusCode, page: Page) -> Page {
    Page { status, ..page }
}

pub(in crate::http) async fn preview(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, ApiError> {
    let Some(draft) = app.drafts.of(visitor.operator.id, app.now()) else {
        return Ok(see(PATH));
    };
    Ok(shown(&app, &visitor, &draft, html! {})
        .await?
        .into_response())
}

async fn run(
    app: &App,
    visitor: &Visitor,
    draft: &Draft,
    consent: Consent,
) -> Result<Outcome, ImportError> {
    let operator = &visitor.operator;
    let by = By {
        who: &operator.name,
        operator: Some(operator),
    };
    let mapping = draft.mapping.as_deref();
    import::run(&app.storage, &draft.file, mapping, consent, by, app.now()).await
}

/// What would change now, or why the file is refused.
async fn shown(
    app: &App,
    visitor: &Visitor,
    draft: &Draft,
    first: Markup,
) -> Result<Page, ApiError> {
    let dry = Consent {
        dry_run: true,
        ..Consent::default()
    };
    let outcome = match run(app, visitor, draft, dry).await {
        Ok(outcome) => outcome,
        Err(error) => {
            let markup =
                html! { (first) (preview::refused(&failed(error)?)) (preview::other_file()) };
            let page = page(visitor, "/consents", "The file was refused", &markup);
            return Ok(with(StatusCode::UNPROCESSABLE_ENTITY, page));
        }
    };
    let register = Register::load(&app.storage)
        .await
        .map_err(ApiError::internal)?;
    let subject = Digest::sha256(&draft.file).to_string();
    viewed(app, visitor, "consent.import.preview", subject).await?;
    let markup = html! { (first) (preview::outcome(visitor, &register, &outcome)) };
    Ok(page(
        visitor,
        "/consents",
        "What this file would change",
        &markup,
    ))
}

/// What the words of the mapping mean, as the preview asks.
pub(in crate::http) async fn words(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let draft = app.drafts.of(visitor.operator.id, app.now());
    let Some((draft, mapping)) = draft.and_then(|draft| Some((draft.clone(), draft.mapping?)))
    else {
        return Ok(see(PATH));
    };
    let meant: Vec<Meant> = form.fields().filter_map(meant).collect();
    let who = &visitor.operator.name;
    match import::set_words(&app.storage, &mapping, &meant, who, app.now()).await {
        Ok(()) => Ok(see(PREVIEW)),
        Err(error) => {
            let says = preview::refused(&failed(error)?);
            let page = shown(&app, &visitor, &draft, says).await?;
            Ok(with(StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

/// `says:PURPOSE:WORD`.
fn meant((key, value): (&str, &str)) -> Option<Meant> {
    let (purpose, word) = key.strip_prefix("says:")?.split_once(':')?;
    Some(Meant {
        purpose: purpose.parse().ok()?,
        word: word.to_owned(),
        said: match value {
            "given" => Said::Given,
            "refused" => Said::Refused,
            "withdrawn" => Said::Withdrawn,
            "not_given" => Said::Nothing,
            _ => return None,
        },
    })
}

pub(in crate::http) async fn confirm(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, ApiError> {
    let id = visitor.operator.id;
    let Some(draft) = app.drafts.of(id, app.now()) else {
        return Ok(see(PATH));
    };
    let consent = Consent {
        confirmed: form.has("confirmed"),
        mapping_accepted: form.has("accepted"),
        dry_run: false,
        seen: Some(parsed::<Digest>(form.text("seen"))?),
    };
    let (status, says) = match run(&app, &visitor, &draft, consent).await {
        Ok(outcome) if outcome.imported => {
            app.drafts.remove(id);
            app.nudge.now();
            let done = notice(
                &html! { p { strong { "Imported. " } (preview::counted(&outcome)) " " a href="/consents" { "To the children" } } },
            );
            return Ok(chooser(&app, &visitor, &done).await?.into_response());
        }
        Ok(_) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "Nothing was imported: tick first what you have checked.".to_owned(),
        ),
        Err(ImportError::ChangedMeanwhile) => (StatusCode::CONFLICT, CHANGED.to_owned()),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, failed(error)?.message),
    };
    let page = shown(&app, &visitor, &draft, alert(&says)).await?;
    Ok(with(status, page).into_response())
}

/// Why a file is not taken: one sentence, and what is wrong where.
pub(super) struct Refused {
    pub(super) message: String,
    pub(super) refusals: Vec<import::Refusal>,
    pub(super) more: usize,
}

fn failed(error: ImportError) -> Result<Refused, ApiError> {
    let only = |message: String| Refused {
        message,
        refusals: Vec::new(),
        more: 0,
    };
    match error {
        ImportError::Refused { refusals, more } => Ok(Refused {
            refusals,
            more,
            ..only("The file was refused, and the register stays as it was.".to_owned())
        }),
        ImportError::ChangedMeanwhile => Ok(only(CHANGED.to_owned())),
        ImportError::NoMapping(_) | ImportError::MappingChanged(_) => Ok(only(
            "How the file is read was changed or taken away meanwhile, so nothing was imported. Look at it again.".to_owned(),
        )),
        ImportError::Calendar(import::CalendarError::None) => Ok(only(
            "The setting has no profile yet, so its opening days are not known. Whoever runs the server applies one first: nestwarden-server profile apply FILE.".to_owned(),
        )),
        error @ (ImportError::Mapping(_) | ImportError::NotAllowed(_)) => Ok(only(error.to_string())),
        error @ (ImportError::Calendar(_) | ImportError::Storage(_)) => Err(ApiError::internal(error)),
    }
}
