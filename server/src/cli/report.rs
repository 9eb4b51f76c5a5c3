//! `report`.

use super::export::new_file;
use super::reply::Reply;
use super::session::Session;
use crate::domain::reports::print::sign_print;
use crate::domain::reports::{self, Asked, Report, table};
use crate::paper;
use crate::signing::SignerClient;
use anyhow::{Context as _, bail};
use jiff::civil::Date;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The last whole week or month, twelve weeks (term) or months (year), or two days with everything between them
    #[arg(
        long,
        value_name = "week|month|term|year|FIRST..LAST",
        default_value = "week"
    )]
    period: Asked,
    /// The last of them that was over by the end of this day [default: yesterday]
    #[arg(long, value_name = "DATE")]
    until: Option<Date>,
    /// For an inspection: how each tablet stood at the end of this day
    #[arg(long, value_name = "DATE", conflicts_with_all = ["period", "until"])]
    inspection: Option<Date>,
    #[arg(long, value_enum, default_value_t = Format::Html)]
    format: Format,
    /// A new file [default: the standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Html,
    Json,
    Csv,
    Pdf,
}

impl Format {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Pdf => "pdf",
        }
    }
}

pub(super) async fn run(args: Args, session: &Session) -> anyhow::Result<Reply> {
    if matches!(args.format, Format::Pdf) && args.out.is_none() {
        bail!("a PDF is no text; name a new file for it with --out");
    }
    let settings = session.settings()?;
    let (storage, now) = (&session.storage, session.now());
    let asked = args.inspection.map_or(args.period, Asked::Inspection);
    let report = reports::make(storage, &settings.name, asked, args.until, now).await?;
    let report = report.held_to(&settings.reports.thresholds);
    let written = written(&report, args.format, session).await?;
    let detail = json!({ "format": args.format.as_str(), "fingerprint": report.fingerprint() });
    let audit = session.audit("report.make", report.period.to_string(), detail);
    if let Some(out) = &args.out {
        new_file(out)
            .and_then(|mut file| file.write_all(&written).and_then(|()| file.sync_all()))
            .with_context(|| format!("failed to write `{}`", out.display()))?;
        storage.audit_add(&audit).await?;
        let text = format!(
            "The report on {} is in `{}`.",
            paper::days(report.period),
            out.display()
        );
        return Ok(Reply::new(
            json!({ "out": out, "period": report.period }),
            text,
        ));
    }
    storage.audit_add(&audit).await?;
    let json = match args.format {
        Format::Json => serde_json::from_slice(&written)?,
        Format::Html | Format::Csv | Format::Pdf => Value::from(String::from_utf8_lossy(&written)),
    };
    Ok(Reply::document(json, written))
}

async fn written(report: &Report, format: Format, session: &Session) -> anyhow::Result<Vec<u8>> {
    let signer = || SignerClient::new(session.data.signer_socket_path());
    Ok(match format {
        Format::Html => paper::page(report).into_string().into_bytes(),
        Format::Json => reports::sign(report, &signer()).await?,
        Format::Csv => table::csv(report)?,
        Format::Pdf => sign_print(report, &paper::pdf::pdf(report)?, &signer()).await?,
    })
}
