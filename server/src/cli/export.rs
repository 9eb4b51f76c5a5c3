//! `child letter`, `child export` and `verify --archive`.

use super::reply::Reply;
use super::session::Session;
use crate::domain::letter::{self, Word};
use crate::domain::subject_access::{self, Export};
use crate::settings::DataDir;
use crate::signing::SignerClient;
use crate::signing::archive::{ArchiveManifest, Member};
use crate::signing::keys::public_keys;
use anyhow::{Context as _, bail};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::envelope::{Signed, verify_ed25519};
use nestwarden_policy_schema::trust::SigningPublicKey;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const MANIFEST: &str = "manifest.json";
/// Far larger than a manifest of every photo a child may have.
const MAX_MANIFEST_BYTES: u64 = 16 * 1024 * 1024;

#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Format {
    Html,
    Text,
}

/// Who decided that a family may read their letter.
#[derive(Clone, Copy)]
pub(super) enum Decided {
    Nobody,
    Dsl,
}

pub(super) async fn letter(
    reference: &str,
    format: Format,
    decided: Decided,
    session: &Session,
) -> anyhow::Result<Reply> {
    let setting = session.settings()?.name;
    let (who, now) = (session.who(), session.now());
    let word = match decided {
        Decided::Nobody => Word::Anybody(&who),
        Decided::Dsl => Word::Dsl(session.operator()?),
    };
    let letter = letter::write(&session.storage, &setting, reference, word, now).await?;
    let page = match format {
        Format::Html => letter.to_html(),
        Format::Text => letter.to_text(),
    };
    Ok(Reply::new(
        json!({ "letter": letter, "page": page }),
        page.clone(),
    ))
}

/// The file in which a manifest travels, with the key that signed it.
#[derive(Serialize, Deserialize)]
struct SignedManifest {
    manifest: Signed,
    key: SigningPublicKey,
}

pub(super) async fn child(reference: &str, out: &Path, session: &Session) -> anyhow::Result<Reply> {
    let by = session.operator()?;
    // Asked first: without a signature nothing is gathered.
    let signer = SignerClient::new(session.data.signer_socket_path());
    let (_, key) = signer.public_key().await?;
    let export = subject_access::gather(&session.storage, reference, by, session.now()).await?;
    write_archive(&export, Vec::new(), out, (&signer, key)).await?;
    let mut text = format!(
        "`{}` holds what is known of {reference}: {} photos are listed, {} of them show or may show others and need somebody's look. The photos themselves are on the tablets; `subject-access ask {reference}` asks for them.",
        out.display(),
        export.photos,
        export.needs_review
    );
    if !export.is_held {
        let _ = std::fmt::Write::write_fmt(
            &mut text,
            format_args!(
                "\nNothing keeps these photos from being deleted meanwhile: `hold open --category subject_access --child {reference}` does."
            ),
        );
    }
    let json = json!({
        "out": out, "photos": export.photos, "needs_review": export.needs_review,
        "held": export.is_held, "manifest": export.manifest,
    });
    Ok(Reply::new(json, text))
}

/// Writes an archive to a new directory: its members, copies of `files`, and the signed list of all of them.
pub(super) async fn write_archive(
    export: &Export,
    files: Vec<(Member, PathBuf)>,
    out: &Path,
    (signer, key): (&SignerClient, SigningPublicKey),
) -> anyhow::Result<()> {
    let manifest = signer.sign_archive(export.manifest.clone()).await?;
    let named = || format!("failed to write `{}`", out.display());
    DirBuilder::new()
        .mode(0o700)
        .create(out)
        .with_context(named)?;
    for (name, bytes) in &export.members {
        write(&out.join(name), bytes).with_context(named)?;
    }
    for (member, from) in files {
        let to = out.join(&member.name);
        let copied = copy(&from, &to).with_context(named)?;
        if copied != (member.bytes, member.sha256) {
            bail!(
                "`{}` is not what the tablet sent any more; the disk of this machine may be failing",
                from.display()
            );
        }
    }
    // Last: an archive without it was cut off.
    let list = serde_json::to_vec_pretty(&SignedManifest { manifest, key })?;
    write(&out.join(MANIFEST), &list).with_context(named)?;
    File::open(out)
        .and_then(|dir| dir.sync_all())
        .with_context(named)?;
    Ok(())
}

/// What was copied, as it was read.
fn copy(from: &Path, to: &Path) -> std::io::Result<(u64, Digest)> {
    let mut source = File::open(from)?;
    let mut file = new_file(to)?;
    let (mut hash, mut bytes) = (Context::new(&SHA256), 0_u64);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = source.read(&mut buffer)?;
        if read == 0 {
            file.sync_all()?;
            return Ok((bytes, Digest::from_ring(&hash.finish())));
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
        file.write_all(&buffer[..read])?;
    }
}

pub(super) fn new_file(path: &Path) -> std::io::Result<File> {
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = new_file(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// An archive against its manifest, and the manifest against the setting's key where that is on this machine.
pub(super) struct Checked {
    pub(super) manifest: Option<ArchiveManifest>,
    /// Empty: everything is as it was made.
    pub(super) problems: Vec<String>,
    files: usize,
    key: SigningPublicKey,
    is_ours: bool,
}

impl Checked {
    pub(super) fn key_words(&self) -> String {
        if self.is_ours {
            return "signed by this setting's key".to_owned();
        }
        format!(
            "signed by key {}; compare it with the one `nestwarden-server status` shows, because this machine does not know the setting",
            self.key.key_id()
        )
    }
}

pub(super) fn check(dir: &Path, data: &DataDir) -> anyhow::Result<Checked> {
    let path = dir.join(MANIFEST);
    let named = || format!("failed to read `{}`", path.display());
    let mut text = String::new();
    File::open(&path)
        .with_context(named)?
        .take(MAX_MANIFEST_BYTES)
        .read_to_string(&mut text)
        .with_context(named)?;
    let signed: SignedManifest = serde_json::from_str(&text)
        .with_context(|| format!("`{}` is not the manifest of an archive", path.display()))?;
    let ours = public_keys(&data.keys_dir())
        .ok()
        .map(|public| public.signing);
    let is_ours = ours.is_some();
    let key = ours.unwrap_or(signed.key);
    let mut problems = Vec::new();
    let manifest = match verify_ed25519::<ArchiveManifest>(&signed.manifest, &[&key]) {
        Ok(manifest) => Some(manifest),
        Err(problem) => {
            problems.push(format!("{MANIFEST}: {problem}"));
            None
        }
    };
    let mut listed = BTreeSet::from([MANIFEST.to_owned()]);
    for member in manifest.iter().flat_map(|manifest| &manifest.members) {
        if Path::new(&member.name).file_name() != Some(member.name.as_ref()) {
            problems.push(format!("{}: is no plain name", member.name));
            continue;
        }
        listed.insert(member.name.clone());
        match digest(&dir.join(&member.name)) {
            Ok((bytes, digest)) if (bytes, digest) == (member.bytes, member.sha256) => {}
            Ok(_) => problems.push(format!("{}: was changed after it was signed", member.name)),
            Err(error) => problems.push(format!("{}: cannot be read: {error}", member.name)),
        }
    }
    for entry in std::fs::read_dir(dir).with_context(named)? {
        let name = entry
            .with_context(named)?
            .file_name()
            .to_string_lossy()
            .into_owned();
        if !listed.contains(&name) {
            problems.push(format!("{name}: is in the directory and in no manifest"));
        }
    }
    if listed.len() < 2 && problems.is_empty() {
        bail!("`{}` lists nothing", path.display());
    }
    Ok(Checked {
        manifest,
        problems,
        files: listed.len() - 1,
        key,
        is_ours,
    })
}

pub(super) fn verify(dir: &Path, data: &DataDir) -> anyhow::Result<Reply> {
    let checked = check(dir, data)?;
    let json = json!({
        "holds": checked.problems.is_empty(), "problems": checked.problems,
        "key": checked.key.key_id(), "key_known": checked.is_ours, "manifest": checked.manifest,
    });
    if checked.problems.is_empty() {
        let (files, said) = (checked.files, checked.key_words());
        return Ok(Reply::new(
            json,
            format!("{files} files: as they were made, {said}."),
        ));
    }
    let text = format!(
        "{}\nThe archive does NOT hold.",
        checked.problems.join("\n")
    );
    Ok(Reply::new(json, text).negative())
}

fn digest(path: &Path) -> std::io::Result<(u64, Digest)> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes) = (Context::new(&SHA256), 0_u64);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, Digest::from_ring(&hash.finish()))),
            read => {
                hash.update(&buffer[..read]);
                bytes += u64::try_from(read).unwrap_or(0);
            }
        }
    }
}
