//! Both listeners. Translates between HTTP and `domain`, and decides nothing.

mod admin_api;
mod app;
mod auth;
mod body;
mod console;
mod device_api;
mod error;
mod host;
mod listener;
mod metrics;
mod people;
pub mod router;

use crate::domain::task::looked::Looked;
use crate::door::Clock;
use crate::jobs::wake::{BundleWakes, Nudge};
use crate::signing::ca::CaError;
use crate::signing::{DeviceCa, KeysError, ReleaseKey, ServerKeys, SignerClient};
use crate::storage::Storage;
use crate::storage::received::ReceivedFiles;
use crate::tls::{self, TlsError, TlsFiles};
use app::App;
pub use console::ConsoleSetup;
use console::once::Once;
pub use host::KnownHosts;
use nestwarden_policy_schema::device_api::MAX_EXPORT_BYTES;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What the listeners serve with. Wiring makes it.
pub struct ServeContext {
    pub storage: Storage,
    pub keys_dir: PathBuf,
    pub signer: SignerClient,
    pub clock: Arc<dyn Clock>,
    /// Ends the hang of a device's bundle fetch.
    pub wakes: BundleWakes,
    /// Told when a tablet enrolled, so that its first bundle is made at once.
    pub nudge: Nudge,
    /// Shared with the background, which looks for tasks too.
    pub looked: Arc<Looked>,
    /// Where photos for subject access requests are put.
    pub files: ReceivedFiles,
    pub tablets: TcpListener,
    pub people: TcpListener,
    pub console: ConsoleSetup,
    /// Where the console's key and certificate are; `None`: those made by `init`.
    pub console_tls: Option<TlsFiles>,
    pub limits: Limits,
}

/// Bounds on what a connection may cost. Generous for tablets on a slow network.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For the head of a request, and for silence between requests.
    pub head: Duration,
    /// The same for who showed a tablet's certificate: longer than between two reports, because a new connection costs
    /// more than a report does.
    pub tablet_head: Duration,
    /// For the whole body of a request.
    pub body: Duration,
    /// Largest ciphertext of one photo.
    pub export_bytes: u64,
    /// For requests under way when the server stops.
    pub drain: Duration,
    /// Open connections on each listener.
    pub connections: usize,
    /// Open connections from one address: a whole setting may come from one.
    pub connections_per_address: usize,
    /// Refused enrolments, renewals and operator tokens within an hour from one address.
    pub failures_per_address_hour: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            tablet_head: Duration::from_mins(10),
            body: Duration::from_mins(1),
            export_bytes: MAX_EXPORT_BYTES,
            drain: Duration::from_secs(5),
            connections: 4096,
            connections_per_address: 1024,
            failures_per_address_hour: 30,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the system gave no random bits")]
    Random,
    #[error("failed to read the address of the listener for {who}")]
    Address {
        who: &'static str,
        source: io::Error,
    },
}

/// Serves both listeners until `shutdown` completes, then lets requests under way finish within `limits.drain`.
/// Hanging fetches are answered at once when it begins to stop.
pub async fn serve(
    context: ServeContext,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let ca = DeviceCa::load(&context.keys_dir)?;
    let keys = ServerKeys::load(&context.keys_dir)?;
    let release = ReleaseKey::load(&context.keys_dir)?;
    let tablets_tls = tls::tablets(&context.keys_dir, ca.certificate(), &context.clock)?;
    let people_tls = tls::people(
        &context.keys_dir,
        context.console_tls.as_ref(),
        &context.clock,
    )?;
    for (who, listener) in [("tablets", &context.tablets), ("people", &context.people)] {
        let address = listener
            .local_addr()
            .map_err(|source| ServeError::Address { who, source })?;
        tracing::info!(%address, "listening for {who}");
    }
    let (close, closing) = watch::channel(false);
    let limits = context.limits;
    let app = App::new(
        context.storage,
        ca,
        keys,
        release,
        context.signer,
        context.clock,
        context.wakes,
        context.nudge,
        context.looked,
        context.files,
        limits,
        context.console,
        Once::new().map_err(|_| ServeError::Random)?,
        closing.clone(),
    );
    let tablets = listener::run(
        context.tablets,
        tablets_tls,
        router::tablets(&app),
        limits,
        closing.clone(),
    );
    let people = listener::run(
        context.people,
        people_tls,
        router::people(&app),
        limits,
        closing,
    );
    let stop = async {
        shutdown.await;
        close.send_replace(true);
    };
    tokio::join!(tablets, people, stop);
    Ok(())
}
