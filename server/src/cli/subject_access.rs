//! `subject-access …`: a child's photos, from asking for them to opening them on the DSL's machine.

use super::export::{Checked, check, new_file, write_archive};
use super::reply::{Reply, row, table};
use super::session::Session;
use crate::domain::subject_access::archive::{self, REVIEWED};
use crate::domain::subject_access::request::{
    self, Asked, DEFAULT_DAYS, DEFAULT_MOST, Wish, on_tablets, word,
};
use crate::settings::DataDir;
use crate::signing::{SignerClient, private_file};
use crate::storage::access::{AccessRow, AccessState, AskedPhoto, AskedTablet};
use crate::storage::received::ReceivedFiles;
use age::secrecy::ExposeSecret as _;
use age::x25519;
use anyhow::{Context as _, bail};
use nestwarden_policy_schema::access::{Fingerprint, Reviewed};
use nestwarden_policy_schema::id::AccessRequestId;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{BufReader, Read, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use zeroize::Zeroizing;

/// Far longer than an identity with comments.
const MAX_IDENTITY_BYTES: u64 = 64 * 1024;

#[derive(clap::Subcommand)]
pub(super) enum Action {
    /// Make the key for one request, on a machine of the DSL's own, and print its sheet
    Key {
        /// A new file for the secret half
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Ask for the photos in which a child is (DSL or deputy); a second person must agree
    Ask {
        /// The child's reference
        reference: String,
        /// To whom tablets encrypt the photos: the `age1…` of the DSL's sheet
        #[arg(long, value_name = "AGE1…")]
        recipient: String,
        /// Days until it ends
        #[arg(long, default_value_t = DEFAULT_DAYS)]
        days: i64,
        /// Most photos
        #[arg(long, default_value_t = DEFAULT_MOST)]
        most: u32,
    },
    /// Agree, as the second person (manager, DSL or deputy); then tablets are asked
    Agree { request: AccessRequestId },
    /// Every request and how it stands
    List,
    /// One request: what tablets answered
    Show { request: AccessRequestId },
    /// End a request, and remove what was received
    Cancel { request: AccessRequestId },
    /// Write everything known of the child and the photos, encrypted and signed, to a new directory
    Export {
        request: AccessRequestId,
        /// A new directory
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// The archive is where it belongs: remove what was received from this server
    Close { request: AccessRequestId },
    /// Check an archive and open its photos, on the DSL's machine
    Open(OpenArgs),
}

#[derive(clap::Args)]
pub(super) struct OpenArgs {
    /// The archive that `subject-access export` made
    #[arg(value_name = "DIR")]
    archive: PathBuf,
    /// The file that `subject-access key` made
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// A new directory for the photos
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Works without a setting: the machine it is run on needs nothing of the server.
pub(super) fn key(out: &Path, data: &DataDir) -> anyhow::Result<Reply> {
    let identity = x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    let fingerprint = Fingerprint::of(&recipient).context("age wrote a key in an unknown form")?;
    let secret = Zeroizing::new(format!(
        "# for one subject access request; keep it, and no copy on the server\n# public key: {recipient}\n{}\n",
        identity.to_string().expose_secret()
    ));
    private_file::create(out, secret.as_bytes())
        .with_context(|| format!("failed to write `{}`", out.display()))?;
    let text = format!(
        "Sheet for one subject access request\n\nRecipient     {recipient}\nFingerprint   {fingerprint}\n\nThe secret half is in `{}`. Keep it until the photos are opened, and lose it then.\nWhoever reviews photos on a tablet types the fingerprint from this sheet. The tablet\ndoes not show it: if it refuses, the server asked with another key. Tell whoever runs it.",
        out.display()
    );
    let json =
        json!({ "recipient": recipient, "fingerprint": fingerprint.to_string(), "out": out });
    let reply = Reply::new(json, text);
    Ok(if data.database_path().exists() {
        reply.narrate(
            "warning: this is the server itself. Whoever takes it over could read this key, and then the photos; make it on another machine.",
        )
    } else {
        reply
    })
}

pub(super) async fn run(action: Action, session: &Session) -> anyhow::Result<Reply> {
    let (storage, now) = (&session.storage, session.now());
    let files = ReceivedFiles::new(session.data.received_dir());
    match action {
        Action::Ask {
            reference,
            recipient,
            days,
            most,
        } => {
            let wish = Wish {
                reference: &reference,
                recipient: &recipient,
                days,
                most,
            };
            let asked = request::ask(storage, &wish, session.operator()?, now).await?;
            session.nudge();
            Ok(was_asked(&reference, &asked))
        }
        Action::Agree { request } => {
            let by = session.operator()?;
            let (row, tablets) = request::agree(storage, request, by, now).await?;
            session.nudge();
            let photos: u64 = tablets.values().sum();
            let text = format!(
                "Agreed: {photos} photos on {} tablets can be reviewed until {}. Somebody opens *Photos* there and types the fingerprint from {}'s sheet.",
                tablets.len(),
                session.local_time().await?.at(row.expires_at),
                row.asked.by
            );
            Ok(Reply::new(
                json!({ "request": row, "tablets": tablets }),
                text,
            ))
        }
        Action::List => {
            let requests = storage.access_list().await?;
            let local = session.local_time().await?;
            let mut rows = vec![row!["id", "asked by", "agreed by", "until", "state"]];
            for request in &requests {
                rows.push(row![
                    request.id,
                    request.asked.by,
                    request.agreed.as_ref().map_or("-", |act| act.by.as_str()),
                    local.at(request.expires_at),
                    standing(request, now)
                ]);
            }
            Ok(Reply::new(json!({ "requests": requests }), table(&rows)))
        }
        Action::Show { request } => show(request, session).await,
        Action::Cancel { request } => {
            let by = session.operator()?;
            request::cancel(storage, &files, request, by, now).await?;
            session.nudge();
            Ok(ended(
                request,
                "Cancelled. Tablets are told, and what was received is removed.",
            ))
        }
        Action::Export { request, out } => export(request, &out, &files, session).await,
        Action::Close { request } => {
            let by = session.operator()?;
            request::close(storage, &files, request, by, now).await?;
            session.nudge();
            Ok(ended(
                request,
                "Closed. What was received is removed from this server.",
            ))
        }
        // Need no database, and were answered before one was opened.
        Action::Key { out } => key(&out, &session.data),
        Action::Open(args) => open(&args, &session.data),
    }
}

fn was_asked(reference: &str, asked: &Asked) -> Reply {
    let row = &asked.row;
    let hold = match &asked.hold {
        Some(hold) => format!(
            "\nHold {} keeps the photos from being deleted meanwhile; release it when this is over.",
            hold.id
        ),
        None => String::new(),
    };
    let child = on_tablets(row.child);
    let text = format!(
        "Asked for {} photos of {reference} on {} tablets. Nothing happens until a second person agrees: `subject-access agree {}`.\nFingerprint by this server: {}. It must be the one on your sheet; whoever reviews types the one on the sheet.\nA tablet of another room has no name for {reference} and says \"{child}\"; write that on the sheet, too.{hold}",
        asked.photos, asked.tablets, row.id, asked.fingerprint
    );
    let json = json!({
        "request": row, "fingerprint": asked.fingerprint.to_string(), "photos": asked.photos,
        "tablets": asked.tablets, "hold": asked.hold, "child_on_tablets": child,
    });
    Reply::new(json, text)
}

fn ended(request: AccessRequestId, text: &str) -> Reply {
    let text = format!(
        "{text}\nA hold for it may still be open: `hold list` shows it, and two people release it."
    );
    Reply::new(json!({ "request": request }), text)
}

fn standing(row: &AccessRow, now: jiff::Timestamp) -> String {
    let state = word(row.state(now));
    match (&row.purged, &row.handed_over) {
        (Some(_), Some(_)) => format!("{state}, handed over, photos removed"),
        (Some(_), None) => format!("{state}, photos removed"),
        (None, Some(_)) => format!("{state}, handed over"),
        (None, None) => state.to_owned(),
    }
}

async fn show(id: AccessRequestId, session: &Session) -> anyhow::Result<Reply> {
    let (storage, now) = (&session.storage, session.now());
    let row = request::find(storage, id).await?;
    let (tablets, photos) = (
        storage.access_tablets(id).await?,
        storage.access_photos(id).await?,
    );
    let names: BTreeMap<_, _> = storage
        .device_list()
        .await?
        .into_iter()
        .map(|device| (device.id, device.name))
        .collect();
    let local = session.local_time().await?;
    let mut rows = vec![row!["tablet", "photos", "reviewed", "left out", "received"]];
    for AskedTablet {
        device,
        photos: asked,
        finished_at,
    } in &tablets
    {
        let of_it = || photos.iter().filter(|photo| photo.device == *device);
        let left_out = |photo: &&AskedPhoto| {
            matches!(
                photo.reviewed,
                Some(Reviewed::OthersInIt | Reviewed::NotThisChild)
            )
        };
        let received = of_it().filter(|photo| photo.received.is_some()).count();
        rows.push(row![
            names.get(device).map_or("-", String::as_str),
            asked,
            local.at_or(*finished_at, "not yet"),
            of_it().filter(left_out).count(),
            received
        ]);
    }
    let child = on_tablets(row.child);
    let text = format!(
        "{}, asked by {}, until {}\nOn tablets of other rooms: \"{child}\"\n{}",
        standing(&row, now),
        row.asked.by,
        local.at(row.expires_at),
        table(&rows)
    );
    let state: AccessState = row.state(now);
    let json = json!({
        "request": row, "state": state, "tablets": tablets, "photos": photos,
        "child_on_tablets": child,
    });
    Ok(Reply::new(json, text))
}

async fn export(
    id: AccessRequestId,
    out: &Path,
    files: &ReceivedFiles,
    session: &Session,
) -> anyhow::Result<Reply> {
    let by = session.operator()?;
    let signer = SignerClient::new(session.data.signer_socket_path());
    let (_, key) = signer.public_key().await?;
    let archive = archive::gather(&session.storage, files, id, by, session.now()).await?;
    let sent = archive.files.len();
    write_archive(&archive.export, archive.files, out, (&signer, key)).await?;
    let text = format!(
        "`{}` holds what is known of the child and {sent} photos, encrypted; {} were left out, {} are not here yet. On the DSL's machine `subject-access open` opens them. Then `subject-access close {id}` removes them from this server; it happens by itself 30 days from now.",
        out.display(),
        archive.left_out,
        archive.waiting
    );
    let json = json!({
        "out": out, "photos": sent, "left_out": archive.left_out, "waiting": archive.waiting,
        "manifest": archive.export.manifest,
    });
    Ok(Reply::new(json, text))
}

/// Checks first; nothing of an archive that was changed is opened.
pub(super) fn open(args: &OpenArgs, data: &DataDir) -> anyhow::Result<Reply> {
    let checked: Checked = check(&args.archive, data)?;
    if !checked.problems.is_empty() {
        bail!(
            "the archive does not hold, and is not opened: {}",
            checked.problems.join("; ")
        );
    }
    let identity = read_identity(&args.identity)?;
    let media = media(&args.archive)?;
    let named = || format!("failed to write to `{}`", args.out.display());
    DirBuilder::new()
        .mode(0o700)
        .create(&args.out)
        .with_context(named)?;
    let members = checked
        .manifest
        .iter()
        .flat_map(|manifest| &manifest.members);
    let mut opened = Vec::new();
    for member in members {
        let Some(stem) = member.name.strip_suffix(".age") else {
            continue;
        };
        let kind = media.get(&member.name).map_or("", String::as_str);
        let name = format!("{stem}.{}", extension(kind));
        decrypt(
            &args.archive.join(&member.name),
            &identity,
            &args.out.join(&name),
        )?;
        opened.push(name);
    }
    let text = format!(
        "{} photos are in `{}`. The archive is {}.",
        opened.len(),
        args.out.display(),
        checked.key_words()
    );
    Ok(Reply::new(
        json!({ "out": args.out, "photos": opened }),
        text,
    ))
}

fn read_identity(path: &Path) -> anyhow::Result<x25519::Identity> {
    let mut text = Zeroizing::new(String::new());
    File::open(path)
        .and_then(|file| file.take(MAX_IDENTITY_BYTES).read_to_string(&mut text))
        .with_context(|| format!("failed to read `{}`", path.display()))?;
    let line = text
        .lines()
        .find(|line| line.starts_with("AGE-SECRET-KEY-"));
    line.and_then(|line| x25519::Identity::from_str(line.trim()).ok())
        .with_context(|| format!("`{}` holds no age identity", path.display()))
}

/// By member: what each photo is, as the tablet called it.
fn media(archive: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let path = archive.join(REVIEWED);
    let named = || {
        format!(
            "failed to read `{}`; is this an archive of a subject access request with photos?",
            path.display()
        )
    };
    let text = std::fs::read_to_string(&path).with_context(named)?;
    let read: serde_json::Value = serde_json::from_str(&text).with_context(named)?;
    let photos = read["photos"].as_array().cloned().unwrap_or_default();
    let pairs = photos.iter().filter_map(|photo| {
        let member = photo["member"].as_str()?.to_owned();
        Some((member, photo["media"].as_str()?.to_owned()))
    });
    Ok(pairs.collect())
}

fn extension(media: &str) -> &'static str {
    match media {
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "image/heic" | "image/heif" => "heic",
        "image/avif" => "avif",
        "image/tiff" => "tif",
        "image/bmp" => "bmp",
        "image/jxl" => "jxl",
        "video/mp4" => "mp4",
        "video/quicktime" => "mov",
        "video/3gpp" => "3gp",
        "video/webm" => "webm",
        "video/matroska" => "mkv",
        "video/x-msvideo" => "avi",
        "image/jp2" => "jp2",
        "image/vnd.adobe.photoshop" => "psd",
        "image/x-xcf" => "xcf",
        "image/x-dcraw" => "raw",
        "video/mpeg" => "mpg",
        "video/mp2t" => "ts",
        "video/x-ms-asf" => "wmv",
        "video/x-flv" => "flv",
        "video/ogg" => "ogv",
        _ => "photo",
    }
}

fn decrypt(from: &Path, identity: &x25519::Identity, to: &Path) -> anyhow::Result<()> {
    let named = || format!("failed to open `{}`", from.display());
    let source = BufReader::new(File::open(from).with_context(named)?);
    let opened = age::Decryptor::new_buffered(source)
        .and_then(|file| file.decrypt(std::iter::once(identity as &dyn age::Identity)));
    let Ok(mut plain) = opened else {
        bail!(
            "`{}` is not for this identity; use the file that was made with the request's recipient",
            from.display()
        );
    };
    let mut file = new_file(to).with_context(|| format!("failed to write `{}`", to.display()))?;
    let mut buffer = Zeroizing::new(vec![0; 256 * 1024]);
    loop {
        let read = plain.read(&mut buffer).with_context(named)?;
        if read == 0 {
            return file.sync_all().with_context(named);
        }
        file.write_all(&buffer[..read])
            .with_context(|| format!("failed to write `{}`", to.display()))?;
    }
}
