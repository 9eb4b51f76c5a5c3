//! A report as a file that can be checked: its exact text, the signed manifest over it, and the key that signed.

use super::figures::{EventFigures, Report};
use super::merkle::Merkle;
use crate::signing::report::ReportManifest;
use crate::signing::{SignerClient, SignerClientError};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::envelope::Signed;
use nestwarden_policy_schema::trust::SigningPublicKey;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One line of JSON. Whatever of it is changed, spaces too, is found.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignedReport {
    pub(super) report: Box<RawValue>,
    pub(super) manifest: Signed,
    pub(super) key: SigningPublicKey,
}

#[derive(Debug, thiserror::Error)]
pub enum SignReportError {
    #[error("the report could not be written as JSON")]
    Unwritable(#[from] serde_json::Error),
    #[error(
        "a report as JSON or PDF is signed, and the signer did not sign it; `--format html` and `--format csv` need no signature"
    )]
    Signer(#[from] SignerClientError),
}

/// The file.
pub async fn sign(report: &Report, signer: &SignerClient) -> Result<Vec<u8>, SignReportError> {
    let text = serde_json::value::to_raw_value(report)?;
    let (_, key) = signer.public_key().await?;
    let manifest = signer.sign_report(manifest(report, text.get())).await?;
    written(&SignedReport {
        report: text,
        manifest,
        key,
    })
    .map_err(SignReportError::from)
}

pub(super) fn written(signed: &SignedReport) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec(signed)?;
    bytes.push(b'\n');
    Ok(bytes)
}

pub(super) fn manifest(report: &Report, text: &str) -> ReportManifest {
    manifest_over(report, text.as_bytes())
}

/// Over one form of the report.
pub(super) fn manifest_over(report: &Report, bytes: &[u8]) -> ReportManifest {
    ReportManifest {
        version: report.version,
        setting: report.setting,
        first: report.period.first,
        last: report.period.last,
        made_at: report.made_at,
        program: report.program.clone(),
        events_root: events_root(&report.events),
        bytes: bytes.len() as u64,
        sha256: Digest::sha256(bytes),
    }
}

fn events_root(events: &EventFigures) -> Digest {
    let mut merkle = Merkle::default();
    for tablet in &events.tablets {
        let range = &tablet.range;
        let first = range.first_seq.unwrap_or(0).to_be_bytes();
        let head = range.head.unwrap_or(Digest::ZERO);
        let parts: [&[u8]; 5] = [
            tablet.device.as_uuid().as_bytes(),
            &first,
            &range.last_seq.to_be_bytes(),
            &head.0,
            &range.merkle_root.0,
        ];
        merkle.add(&Digest::of_parts("nestwarden/report-range/v1", &parts).0);
    }
    merkle.root()
}
