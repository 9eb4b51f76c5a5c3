//! A report as PDF that can be checked: its exact bytes are signed, and the signature stands within the file, in a comment
//! before the place where readers of PDF begin. What is taken out, added or changed is found with the public key alone.

use super::Report;
use super::signed::{SignReportError, manifest_over};
use crate::signing::SignerClient;
use crate::signing::report::PrintManifest;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::envelope::{Signed, verify_ed25519};
use nestwarden_policy_schema::trust::{KeyId, SigningPublicKey};
use serde::{Deserialize, Serialize};

const BEGIN: &[u8] = b"%nestwarden-signature ";
/// The last of it says where the list of objects stands, which is before any of this.
const TAIL: &[u8] = b"startxref";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    manifest: Signed,
    key: SigningPublicKey,
}

/// A PDF that was read, with what is wrong with it.
pub struct OpenedPrint {
    /// `None`: nothing says what it is.
    pub manifest: Option<PrintManifest>,
    /// By which it was checked; `None`: there is no signature, and the setting's own key is not known here.
    pub key: Option<KeyId>,
    /// Empty: it is as it was made.
    pub problems: Vec<String>,
}

/// The file, of which `pdf` is everything but the signature.
pub async fn sign_print(
    report: &Report,
    pdf: &[u8],
    signer: &SignerClient,
) -> Result<Vec<u8>, SignReportError> {
    let (_, key) = signer.public_key().await?;
    let manifest = signer.sign_print(print_manifest(report, pdf)).await?;
    Ok(together(pdf, &Signature { manifest, key })?)
}

fn together(pdf: &[u8], signature: &Signature) -> Result<Vec<u8>, serde_json::Error> {
    let place = tail(pdf).unwrap_or(pdf.len());
    Ok([&pdf[..place], &line(signature)?, &pdf[place..]].concat())
}

fn print_manifest(report: &Report, pdf: &[u8]) -> PrintManifest {
    PrintManifest(manifest_over(report, pdf))
}

fn line(signature: &Signature) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = BEGIN.to_vec();
    serde_json::to_writer(&mut line, signature)?;
    line.push(b'\n');
    Ok(line)
}

fn tail(pdf: &[u8]) -> Option<usize> {
    pdf.windows(TAIL.len()).rposition(|found| found == TAIL)
}

/// `None`: this is no PDF at all. `ours`: the setting's key where it is known here; without it the file's own is taken, and
/// whoever reads the answer has to compare it.
pub fn open_print(bytes: &[u8], ours: Option<SigningPublicKey>) -> Option<OpenedPrint> {
    if !bytes.starts_with(b"%PDF-") {
        return None;
    }
    let Some((signature, pdf)) = taken_apart(bytes) else {
        return Some(OpenedPrint {
            manifest: None,
            key: ours.map(|key| key.key_id()),
            problems: vec!["it has no signature, or not where it was put: it was never signed, or another program wrote it again".to_owned()],
        });
    };
    let key = ours.unwrap_or_else(|| signature.key.clone());
    let mut problems = Vec::new();
    if signature.key != key {
        problems.push(format!(
            "it names key {}, which is not this setting's {}",
            signature.key.key_id(),
            key.key_id()
        ));
    }
    let found = verify_ed25519::<PrintManifest>(&signature.manifest, &[&key]);
    match &found {
        Err(problem) => problems.push(format!("its signature: {problem}")),
        Ok(PrintManifest(manifest)) if manifest.bytes != pdf.len() as u64 => {
            problems.push(format!(
                "it has {} bytes, and {} were signed",
                pdf.len(),
                manifest.bytes
            ));
        }
        Ok(PrintManifest(manifest)) if manifest.sha256 != Digest::sha256(&pdf) => {
            problems.push("its bytes are not those that were signed".to_owned());
        }
        Ok(_) => {}
    }
    Some(OpenedPrint {
        manifest: found.ok(),
        key: Some(key.key_id()),
        problems,
    })
}

/// The signature, and everything else. `None`: there is none where it has to be, written as it has to be.
fn taken_apart(bytes: &[u8]) -> Option<(Signature, Vec<u8>)> {
    let end = tail(bytes)?;
    let begin = bytes[..end]
        .windows(BEGIN.len())
        .rposition(|found| found == BEGIN)?;
    let found = bytes.get(begin + BEGIN.len()..end)?;
    let signature: Signature = serde_json::from_slice(found).ok()?;
    let is_as_written = line(&signature).is_ok_and(|line| line == bytes[begin..end]);
    is_as_written.then(|| (signature, [&bytes[..begin], &bytes[end..]].concat()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;
    use crate::domain::reports::make;
    use crate::domain::reports::tests::month::{Chance, Month};
    use crate::paper::pdf::pdf;
    use nestwarden_policy_schema::bytes::Base64;
    use nestwarden_policy_schema::envelope::sign;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    struct Printed {
        file: Vec<u8>,
        unsigned: Vec<u8>,
        key: SigningPublicKey,
    }

    async fn printed() -> Printed {
        let month = Month::told(21).await;
        let week = "2026-03-09..2026-03-15".parse().unwrap();
        let made = "2026-03-16T08:00:00Z".parse().unwrap();
        let storage = &month.test.storage;
        let report = make(storage, "Little Acorns", week, None, made);
        let report = report.await.unwrap();
        let unsigned = pdf(&report).unwrap();
        assert_eq!(
            unsigned,
            pdf(&report).unwrap(),
            "the same report is the same file"
        );
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = SigningPublicKey(Base64(pair.public_key().as_ref().to_vec()));
        let manifest = sign(&print_manifest(&report, &unsigned), &pair).unwrap();
        let signature = Signature {
            manifest,
            key: key.clone(),
        };
        Printed {
            file: together(&unsigned, &signature).unwrap(),
            unsigned,
            key,
        }
    }

    fn problems(bytes: &[u8], key: &SigningPublicKey) -> Vec<String> {
        open_print(bytes, Some(key.clone()))
            .map_or_else(|| vec!["no PDF".to_owned()], |opened| opened.problems)
    }

    #[tokio::test]
    async fn whatever_byte_is_changed_of_a_signed_pdf_is_found() {
        let Printed { file, key, .. } = printed().await;
        assert_eq!(problems(&file, &key), Vec::<String>::new());
        let mut chance = Chance::new(21);
        // Every byte of the signature and what is around it, and as many of the rest by chance.
        let line = file
            .windows(BEGIN.len())
            .rposition(|found| found == BEGIN)
            .unwrap();
        let near = line.saturating_sub(40)..file.len();
        let far = (0..2_000).map(|_| usize::try_from(chance.pick(file.len() as u64)).unwrap());
        let places: Vec<usize> = near.chain(far).collect();
        for (round, place) in places.into_iter().enumerate() {
            let mut changed = file.clone();
            match round % 3 {
                0 => changed[place] ^= 1 << chance.pick(8),
                1 => drop(changed.remove(place)),
                _ => changed.insert(place, b" 0,\"}\n"[usize::try_from(chance.pick(6)).unwrap()]),
            }
            if changed != file {
                assert!(
                    !problems(&changed, &key).is_empty(),
                    "round {round}, byte {place}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_pdf_that_nobody_signed_or_somebody_else_did_is_said_to_be_so() {
        let Printed {
            file,
            unsigned,
            key,
        } = printed().await;
        assert!(problems(&unsigned, &key)[0].contains("it has no signature"));
        let other = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
        let other = SigningPublicKey(Base64(other.public_key().as_ref().to_vec()));
        assert!(problems(&file, &other)[0].contains("which is not this setting's"));
        // The signature of one file says nothing of another, wherever it is put.
        let begin = file
            .windows(BEGIN.len())
            .rposition(|found| found == BEGIN)
            .unwrap();
        let end = tail(&file).unwrap();
        let mut moved = unsigned.clone();
        moved.splice(20..20, file[begin..end].iter().copied());
        assert!(!problems(&moved, &key).is_empty());
        let longer = [
            &unsigned[..end - (end - begin)],
            b"% more\n",
            &file[begin..],
        ]
        .concat();
        assert!(problems(&longer, &key)[0].contains("bytes, and"));
        assert!(open_print(b"{}", None).is_none());
        // Away from the server the file's own key is taken, and named.
        let opened = open_print(&file, None).unwrap();
        assert_eq!(
            (opened.key, opened.problems),
            (Some(key.key_id()), Vec::new())
        );
        assert_eq!(opened.manifest.unwrap().0.first.to_string(), "2026-03-09");
    }
}
