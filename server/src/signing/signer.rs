//! The signer: a process of its own, with the one key that tablets believe.
//!
//! It trusts `serve` with nothing but the wording of bundles. It parses every bundle itself, refuses other settings,
//! unsound policies and generations it has signed before, and limits how much it signs within an hour.

use crate::door::Clock;
use crate::signing::archive::ArchiveManifest;
use crate::signing::high_water::HighWater;
use crate::signing::protocol::{Answer, Refusal, Request, read_frame, write_frame};
use crate::signing::rate::HourlyRate;
use crate::signing::report::{PrintManifest, ReportManifest};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bundle::{Bundle, TimeStatement};
use nestwarden_policy_schema::bytes::Base64;
use nestwarden_policy_schema::device_api::MAX_NONCE_CHARS;
use nestwarden_policy_schema::envelope::{Signable, Signed, sign};
use nestwarden_policy_schema::id::{DeviceId, SettingId};
use nestwarden_policy_schema::roster;
use nestwarden_policy_schema::trust::{Anchors, SigningPublicKey};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Longest life a bundle may be signed for.
const MAX_BUNDLE_LIFE: SignedDuration = SignedDuration::from_hours(31 * 24);
/// A person asks for each.
const ARCHIVES_PER_HOUR: u32 = 120;
const REPORTS_PER_HOUR: u32 = 600;
/// Between making a report and having it signed. Whoever takes over `serve` must not date one back.
const REPORT_MADE_WITHIN: SignedDuration = SignedDuration::from_mins(10);
const MAX_CONNECTIONS: usize = 16;
/// For one frame, once it has begun to arrive or to leave.
const FRAME_TIMEOUT: Duration = Duration::from_secs(30);

/// The socket's name within the signer's directory.
pub const SOCKET_NAME: &str = "signer.sock";

#[derive(Clone, Copy, Debug)]
pub struct SignerLimits {
    pub bundles_per_device_hour: u32,
    pub bundles_per_hour: u32,
    pub times_per_device_hour: u32,
    pub times_per_hour: u32,
}

impl Default for SignerLimits {
    fn default() -> Self {
        Self {
            bundles_per_device_hour: 120,
            bundles_per_hour: 20_000,
            times_per_device_hour: 3_600,
            times_per_hour: 400_000,
        }
    }
}

#[derive(Clone, Debug)]
pub struct SignerSettings {
    /// Holds the key and the high-water mark; the socket appears here.
    pub dir: PathBuf,
    /// Users besides the signer's own that may ask for signatures.
    pub allowed_uids: BTreeSet<u32>,
    pub limits: SignerLimits,
}

#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    #[error("failed to read the signing key `{path}`; was `nestwarden-server init` run?")]
    Key { path: PathBuf, source: io::Error },
    #[error("the signing key `{path}` cannot be used; restore it from a backup")]
    KeyUnusable { path: PathBuf },
    #[error(
        "failed to read the high-water mark in `{dir}`; without it an old bundle could be signed again, so the signer does not start: restore it from a backup"
    )]
    HighWater { dir: PathBuf, source: io::Error },
    #[error("`{path}` is in use by another signer; stop that one first")]
    InUse { path: PathBuf },
    #[error("failed to listen on `{path}`")]
    Listen { path: PathBuf, source: io::Error },
}

/// Signs; knows nothing of sockets.
pub struct Signer {
    key: Ed25519KeyPair,
    high_water: HighWater,
    bundles: HourlyRate<DeviceId>,
    times: HourlyRate<DeviceId>,
    archives: HourlyRate<()>,
    reports: HourlyRate<()>,
    clock: Arc<dyn Clock>,
}

impl Signer {
    pub fn load(
        dir: &Path,
        limits: SignerLimits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SignerError> {
        let path = dir.join("signing.key");
        let pkcs8 = std::fs::read(&path).map_err(|source| SignerError::Key {
            path: path.clone(),
            source,
        })?;
        let key = Ed25519KeyPair::from_pkcs8(&zeroize::Zeroizing::new(pkcs8))
            .map_err(|_| SignerError::KeyUnusable { path })?;
        let high_water = HighWater::load(dir).map_err(|source| SignerError::HighWater {
            dir: dir.to_owned(),
            source,
        })?;
        Ok(Self {
            key,
            high_water,
            bundles: HourlyRate::new(limits.bundles_per_device_hour, limits.bundles_per_hour),
            times: HourlyRate::new(limits.times_per_device_hour, limits.times_per_hour),
            archives: HourlyRate::new(ARCHIVES_PER_HOUR, ARCHIVES_PER_HOUR),
            reports: HourlyRate::new(REPORTS_PER_HOUR, REPORTS_PER_HOUR),
            clock,
        })
    }

    /// Blocks until the high-water mark is on disk.
    pub fn answer(&mut self, request: Request) -> Answer {
        let signed = match request {
            Request::Bundle { bundle } => self.bundle(&bundle),
            Request::Time {
                device,
                generation,
                holds_digest,
                request_nonce,
            } => self.time(&TimeStatement {
                time: self.clock.now(),
                setting: self.high_water.setting(),
                device,
                generation,
                holds_digest,
                request_nonce,
            }),
            Request::Anchors { anchors } => self.anchors(&anchors),
            Request::Archive { manifest } => self.archive(&manifest),
            Request::Report { manifest } => self.report(&manifest),
            Request::Print { manifest } => self.print(&manifest),
            Request::Nothing => {
                return Answer::PublicKey {
                    setting: self.high_water.setting(),
                    key: SigningPublicKey(Base64(self.key.public_key().as_ref().to_vec())),
                };
            }
        };
        match signed {
            Ok(signed) => Answer::Signed { signed },
            Err(refusal) => Answer::Refused { refusal },
        }
    }

    fn bundle(&mut self, bundle: &Bundle) -> Result<Signed, Refusal> {
        self.same_setting(bundle.setting)?;
        let mark = self.high_water.of(bundle.device);
        if bundle.generation <= mark {
            return Err(Refusal::NotAboveMark {
                asked: bundle.generation,
                mark,
            });
        }
        sound(bundle)?;
        if !self.bundles.permits(bundle.device, Instant::now()) {
            return Err(Refusal::RateLimited);
        }
        self.high_water
            .raise(bundle.device, bundle.generation)
            .map_err(not_durable)?;
        self.signed(bundle)
    }

    fn time(&mut self, statement: &TimeStatement) -> Result<Signed, Refusal> {
        let mark = self.high_water.of(statement.device);
        if statement.generation > mark {
            return Err(Refusal::NeverSigned {
                asked: statement.generation,
                mark,
            });
        }
        if statement.request_nonce.chars().count() > MAX_NONCE_CHARS {
            return Err(Refusal::Unreadable {
                problem: format!("the nonce is longer than {MAX_NONCE_CHARS} characters"),
            });
        }
        if !self.times.permits(statement.device, Instant::now()) {
            return Err(Refusal::RateLimited);
        }
        self.signed(statement)
    }

    fn anchors(&mut self, anchors: &Anchors) -> Result<Signed, Refusal> {
        self.same_setting(anchors.setting)?;
        let mark = self.high_water.anchors_version();
        if anchors.version <= mark {
            return Err(Refusal::AnchorsNotNewer {
                asked: anchors.version,
                mark,
            });
        }
        if anchors.signing.is_empty() {
            return Err(Refusal::Unsound {
                problem: "the anchors name no signing key".to_owned(),
            });
        }
        self.high_water
            .raise_anchors(anchors.version)
            .map_err(not_durable)?;
        self.signed(anchors)
    }

    fn archive(&mut self, manifest: &ArchiveManifest) -> Result<Signed, Refusal> {
        self.same_setting(manifest.setting)?;
        if !self.archives.permits((), Instant::now()) {
            return Err(Refusal::RateLimited);
        }
        self.signed(manifest)
    }

    fn report(&mut self, manifest: &ReportManifest) -> Result<Signed, Refusal> {
        self.may_sign(manifest)?;
        self.signed(manifest)
    }

    fn print(&mut self, manifest: &PrintManifest) -> Result<Signed, Refusal> {
        self.may_sign(&manifest.0)?;
        self.signed(manifest)
    }

    fn may_sign(&mut self, manifest: &ReportManifest) -> Result<(), Refusal> {
        self.same_setting(manifest.setting)?;
        let (made_at, now) = (manifest.made_at, self.clock.now());
        if now.duration_since(made_at).abs() > REPORT_MADE_WITHIN {
            return Err(Refusal::NotNow { made_at, now });
        }
        if !self.reports.permits((), Instant::now()) {
            return Err(Refusal::RateLimited);
        }
        Ok(())
    }

    fn same_setting(&self, theirs: SettingId) -> Result<(), Refusal> {
        let ours = self.high_water.setting();
        if theirs == ours {
            Ok(())
        } else {
            Err(Refusal::OtherSetting { ours, theirs })
        }
    }

    fn signed(&self, statement: &impl Signable) -> Result<Signed, Refusal> {
        sign(statement, &self.key).map_err(|e| Refusal::Unreadable {
            problem: e.to_string(),
        })
    }
}

/// Runs until `shutdown` completes. The socket is removed at the end.
pub async fn run(
    settings: SignerSettings,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), SignerError> {
    let signer = Signer::load(&settings.dir, settings.limits, clock)?;
    let signer = Arc::new(Mutex::new(signer));
    let path = settings.dir.join(SOCKET_NAME);
    let listener = listen(&path)?;
    let mut allowed = settings.allowed_uids;
    allowed.insert(rustix::process::geteuid().as_raw());
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    tracing::info!(path = %path.display(), "the signer is ready");
    tokio::pin!(shutdown);
    // Ends its connections with itself.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                continue;
            }
        };
        match stream.peer_cred() {
            Ok(peer) if allowed.contains(&peer.uid()) => {}
            Ok(peer) => {
                tracing::warn!(uid = peer.uid(), "refused a user who may not ask to sign");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "refused a connection whose user is unknown");
                continue;
            }
        }
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            tracing::warn!("refused a connection: {MAX_CONNECTIONS} are open");
            continue;
        };
        let signer = Arc::clone(&signer);
        connections.spawn(async move {
            if let Err(error) = serve_connection(stream, &signer).await {
                tracing::warn!(%error, "closed a connection that broke the protocol");
            }
            drop(permit);
        });
    }
    // A socket that is left over is replaced at the next start.
    let _ = std::fs::remove_file(&path);
    Ok(())
}

async fn serve_connection(mut stream: UnixStream, signer: &Arc<Mutex<Signer>>) -> io::Result<()> {
    loop {
        // A quiet connection is no breach; only a frame that has begun has to end.
        let mut first = [0];
        if stream.read(&mut first).await? == 0 {
            return Ok(());
        }
        let read = read_frame((&first[..]).chain(&mut stream));
        let Some(request) = tokio::time::timeout(FRAME_TIMEOUT, read).await?? else {
            return Ok(());
        };
        let signer = Arc::clone(signer);
        let answer = tokio::task::spawn_blocking(move || {
            let mut signer = signer.lock().unwrap_or_else(PoisonError::into_inner);
            signer.answer(request)
        })
        .await
        .map_err(io::Error::other)?;
        if let Answer::Refused { refusal } = &answer {
            tracing::warn!(%refusal, "refused to sign");
        }
        tokio::time::timeout(FRAME_TIMEOUT, write_frame(&mut stream, &answer)).await??;
    }
}

fn listen(path: &Path) -> Result<UnixListener, SignerError> {
    let failed = |source| SignerError::Listen {
        path: path.to_owned(),
        source,
    };
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(SignerError::InUse {
                    path: path.to_owned(),
                });
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        Ok(_) => return Err(failed(io::ErrorKind::AlreadyExists.into())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(failed(e)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    // Group access is for `serve` under its own user; who may really ask is decided by peer credentials.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(listener)
}

fn sound(bundle: &Bundle) -> Result<(), Refusal> {
    let unsound = |problem: String| Err(Refusal::Unsound { problem });
    if let Err(problem) = bundle.calendar.validate() {
        return unsound(problem.to_string());
    }
    if let Some(problem) = bundle.policy.problems().into_iter().next() {
        return unsound(problem.to_string());
    }
    let (aup, custody) = (bundle.aup.as_ref(), bundle.custody.as_ref());
    if let Err(problem) = roster::check(&bundle.roster, aup, custody) {
        return unsound(problem.to_string());
    }
    if !is_life_sound(bundle.issued_at, bundle.expires_at) {
        return unsound("a bundle must end after it begins and within 31 days".to_owned());
    }
    Ok(())
}

fn is_life_sound(from: Timestamp, to: Timestamp) -> bool {
    let life = to.duration_since(from);
    life.is_positive() && life <= MAX_BUNDLE_LIFE
}

#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
fn not_durable(error: io::Error) -> Refusal {
    Refusal::NotDurable {
        problem: error.to_string(),
    }
}
