//! How the serving process is put together; nothing else knows all its parts.

use crate::domain::account::sealed::{self, SealError};
use crate::domain::bundle::SettingSecrets;
use crate::domain::registers::told;
use crate::domain::task::looked::Looked;
use crate::door::Doors;
use crate::http::{self, ConsoleSetup, KnownHosts, Limits, ServeContext, ServeError};
use crate::jobs::alerts::AlertJob;
use crate::jobs::bundles::BundleJob;
use crate::jobs::import_folder::{ImportFolderJob, Keep};
use crate::jobs::passcodes::PasscodeJob;
use crate::jobs::received::ReceivedJob;
use crate::jobs::reminders::ReminderJob;
use crate::jobs::rollouts::RolloutJob;
use crate::jobs::wake::{BundleWakes, Nudge};
use crate::mail::{Broken, Post, Smtp};
use crate::settings::{DataDir, MailServer, Settings};
use crate::signing::{KeysError, ReleaseKey, ServerKeys, SignerClient};
use crate::storage::received::ReceivedFiles;
use crate::storage::{Erased, Storage};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, UnixDatagram};
use tokio::task::JoinSet;

#[derive(Debug, thiserror::Error)]
pub(crate) enum WiringError {
    #[error("failed to listen on {address} for {who}; is it in use by another program?")]
    Listen {
        who: &'static str,
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("`{path}` is in use: another `serve` runs on this data directory; stop that one first")]
    InUse { path: PathBuf },
    #[error("failed to listen on `{path}`")]
    Wake {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("database and keys belong to different settings; restore both from the same backup")]
    OtherSetting,
    #[error(
        "`release.age` is not the key that this setting seals to; restore the whole of `keys` from one backup"
    )]
    OtherRelease,
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Where it listens, which is known only once it does.
pub(crate) struct Ready {
    pub(crate) tablets: SocketAddr,
    pub(crate) console: SocketAddr,
}

fn checked_release(keys_dir: &Path, recipient: &str) -> Result<ReleaseKey, WiringError> {
    let release = ReleaseKey::load(keys_dir)?;
    if release.recipient() == recipient {
        Ok(release)
    } else {
        Err(WiringError::OtherRelease)
    }
}

/// Serves until `stop` completes.
pub(crate) async fn serve(
    data: &DataDir,
    settings: &Settings,
    storage: Storage,
    doors: &Doors,
    stop: impl Future<Output = ()>,
    ready: impl FnOnce(Ready),
) -> Result<(), WiringError> {
    let keys = ServerKeys::load(&data.keys_dir())?;
    if keys.public.setting != storage.setting() || settings.setting != storage.setting() {
        return Err(WiringError::OtherSetting);
    }
    // What is sealed is overwritten, so the key that opens it has to be there first.
    let recipient = keys.public.release_recipient.clone();
    let release = checked_release(&data.keys_dir(), &recipient)?;
    seal_second_factors(&storage, &keys, doors).await?;
    let wake_socket = wake_socket(&data.wake_socket_path())?;
    write_told(&storage).await;
    let (tablets, tablets_address) = listen("tablets", settings.tablets.listen).await?;
    let (people, people_address) = listen("people", settings.console.listen).await?;
    let signer = SignerClient::new(data.signer_socket_path());
    let (wakes, nudge) = (BundleWakes::default(), Nudge::default());
    let bundles = BundleJob {
        storage: storage.clone(),
        signer: Arc::new(signer.clone()),
        secrets: SettingSecrets {
            setting_name: settings.name.clone(),
            photo_hash: keys.photo_hash,
            release_recipient: keys.public.release_recipient,
            recovery_recipient: keys.public.recovery_recipient,
        },
        release: checked_release(&data.keys_dir(), &recipient)?,
        clock: Arc::clone(&doors.clock),
        wakes: wakes.clone(),
        nudge: nudge.clone(),
    };
    let looked = Arc::new(Looked::default());
    let reminders = ReminderJob {
        storage: storage.clone(),
        clock: Arc::clone(&doors.clock),
        looked: Arc::clone(&looked),
    };
    let files = ReceivedFiles::new(data.received_dir());
    let received = ReceivedJob {
        storage: storage.clone(),
        files: files.clone(),
        clock: Arc::clone(&doors.clock),
    };
    let passcodes = PasscodeJob {
        storage: storage.clone(),
        clock: Arc::clone(&doors.clock),
    };
    let rollouts = RolloutJob {
        storage: storage.clone(),
        clock: Arc::clone(&doors.clock),
    };
    let alerts = settings.mail.as_ref().map(|mail| AlertJob {
        storage: storage.clone(),
        release,
        recipient,
        clock: Arc::clone(&doors.clock),
        post: post(mail),
        setting_name: settings.name.clone(),
        origin: settings.console.origin(),
        digest_at: mail.digest_at,
        weekly: settings.reports.weekly(),
    });
    let folder_wake = Nudge::default();
    let folder = settings.import.as_ref().map(|import| {
        let mut job = ImportFolderJob::new(
            storage.clone(),
            import.folder.clone(),
            import.mapping.clone(),
            Arc::clone(&doors.clock),
            folder_wake.clone(),
            nudge.clone(),
        );
        job.keep = Keep {
            done_days: import.keep_done_days,
            refused_days: import.keep_refused_days,
        };
        job
    });
    let context = ServeContext {
        storage,
        keys_dir: data.keys_dir(),
        signer,
        clock: Arc::clone(&doors.clock),
        wakes,
        nudge: nudge.clone(),
        looked,
        files,
        tablets,
        people,
        console: ConsoleSetup {
            setting_name: settings.name.clone(),
            origin: settings.console.origin(),
            tablets_address: settings.tablets.address.clone(),
            hosts: known_hosts(settings),
            help: settings.outside_help.clone().unwrap_or_default(),
            commands: settings.commands.limit(),
            proxy: settings.console.proxy,
            has_mail: settings.mail.is_some(),
            thresholds: settings.reports.thresholds.clone(),
        },
        console_tls: settings.console.tls_files(),
        limits: Limits::default(),
    };
    ready(Ready {
        tablets: tablets_address,
        console: people_address,
    });
    let woken = [nudge, folder_wake];
    // Each by itself: while one judges every photo, the others go on.
    let mut jobs = JoinSet::new();
    jobs.spawn(bundles.run());
    jobs.spawn(reminders.run());
    jobs.spawn(received.run());
    jobs.spawn(passcodes.run());
    jobs.spawn(rollouts.run());
    if let Some(job) = alerts {
        jobs.spawn(job.run());
    }
    if let Some(job) = folder {
        jobs.spawn(job.run());
    }
    let served = tokio::select! {
        served = http::serve(context, stop) => served,
        () = first_to_end(&mut jobs) => Ok(()),
        () = pass_on(&wake_socket, &woken) => Ok(()),
    };
    jobs.shutdown().await;
    // A socket that is left over is replaced at the next start.
    let _ = std::fs::remove_file(data.wake_socket_path());
    Ok(served?)
}

/// Tablets must not wait for a mail server that cannot be used: what is to be sent waits, and says why.
fn post(settings: &MailServer) -> Arc<dyn Post> {
    match Smtp::new(settings) {
        Ok(smtp) => Arc::new(smtp),
        Err(error) => {
            let error = anyhow::Error::from(error);
            tracing::error!(error = format!("{error:#}"), "no e-mail can be sent");
            Arc::new(Broken(format!("{error:#}")))
        }
    }
}

/// What a process before this one took in and did not get to write.
async fn write_told(storage: &Storage) {
    match told::write_all(storage).await {
        Ok(0) => {}
        Ok(written) => tracing::info!(written, "wrote down who has tablets"),
        Err(error) => {
            tracing::error!(%error, "who has tablets could not be written down; tried again with their next events");
        }
    }
}

/// What an earlier version kept as it is.
async fn seal_second_factors(
    storage: &Storage,
    keys: &ServerKeys,
    doors: &Doors,
) -> Result<(), SealError> {
    let recipient = &keys.public.release_recipient;
    let (accounts, erased) = sealed::seal_all(storage, recipient, doors.clock.now()).await?;
    if accounts > 0 {
        tracing::info!(accounts, "sealed what authenticators share");
    }
    if erased == Erased::NotFromLog {
        tracing::warn!(
            "the database's log still holds what authenticators share, because somebody was reading; it is overwritten as the log goes on"
        );
    }
    Ok(())
}

/// None ends but by a fault of this program, and that ends the program.
async fn first_to_end(jobs: &mut JoinSet<()>) {
    if let Some(Err(error)) = jobs.join_next().await
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

fn known_hosts(settings: &Settings) -> KnownHosts {
    let console = settings.console.address.as_deref().into_iter();
    // Tablets' name for this machine is its name, too.
    let all = console.chain([settings.tablets.address.as_str()]);
    KnownHosts::new(settings.console.listen, all)
}

async fn listen(
    who: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), WiringError> {
    let failed = |source| WiringError::Listen {
        who,
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// A socket that a killed process left behind is replaced; one that is alive is not.
fn wake_socket(path: &Path) -> Result<UnixDatagram, WiringError> {
    let failed = |source| WiringError::Wake {
        path: path.to_owned(),
        source,
    };
    let probe = UnixDatagram::unbound().map_err(failed)?;
    if probe.connect(path).is_ok() {
        return Err(WiringError::InUse {
            path: path.to_owned(),
        });
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let socket = UnixDatagram::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(socket)
}

async fn pass_on(socket: &UnixDatagram, nudges: &[Nudge]) {
    let mut any = [0; 16];
    loop {
        match socket.recv(&mut any).await {
            Ok(_) => nudges.iter().for_each(Nudge::now),
            Err(error) => {
                // Changes are still found by looking once a second.
                tracing::warn!(%error, "commands can no longer wake this process");
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;
    use age::secrecy::ExposeSecret as _;

    #[test]
    fn a_release_key_that_is_not_the_settings_is_refused_before_anything_is_sealed_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let [ours, other] = [(); 2].map(|()| age::x25519::Identity::generate());
        let recipient = ours.to_public().to_string();
        let check = |identity: &age::x25519::Identity| {
            let secret = identity.to_string();
            std::fs::write(dir.path().join("release.age"), secret.expose_secret()).unwrap();
            checked_release(dir.path(), &recipient)
        };
        assert!(check(&ours).is_ok());
        assert!(matches!(check(&other), Err(WiringError::OtherRelease)));
    }
}
