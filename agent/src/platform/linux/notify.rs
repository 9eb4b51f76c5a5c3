//! What systemd wants to hear: ready, alive, stopping. A datagram to the socket it names; nothing where it names none.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager's socket.
pub(crate) struct ServiceManager {
    socket: Option<UnixDatagram>,
}

impl ServiceManager {
    pub(crate) fn from_environment() -> Self {
        let socket = std::env::var("NOTIFY_SOCKET").ok().and_then(|name| {
            connected(&name)
                .inspect_err(|error| tracing::warn!(%error, "systemd's socket does not answer"))
                .ok()
        });
        Self { socket }
    }

    pub(crate) fn ready(&self) {
        self.say("READY=1");
    }

    pub(crate) fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    pub(crate) fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// How often to say alive: half of what systemd waits for; `None` when it does not.
    pub(crate) fn watchdog_period() -> Option<Duration> {
        let waits_us: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
        Some(Duration::from_micros(waits_us / 2)).filter(|period| !period.is_zero())
    }

    fn say(&self, word: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(word.as_bytes())
        {
            tracing::warn!(%error, word, "systemd could not be told");
        }
    }
}

fn connected(name: &str) -> std::io::Result<UnixDatagram> {
    let address = match name.strip_prefix('@') {
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
