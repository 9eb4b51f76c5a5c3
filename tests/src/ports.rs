//! Ports for programs that must be told theirs before they listen, and keep it when they are started again.

use anyhow::{Result, bail};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below what Linux gives to whoever asks for any port, outgoing connections among them
/// (`/proc/sys/net/ipv4/ip_local_port_range` begins at 32768).
const PORTS: Range<u16> = 20_000..32_768;

/// A TCP port of loopback that is its owner's alone among everybody who takes theirs here, in this process or another.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    /// The same number of another protocol: nobody else can have it, and the kernel gives it back however we end.
    _claim: UdpSocket,
}

impl Port {
    /// One that nobody listens on.
    pub fn claim() -> Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let len = PORTS.end - PORTS.start;
        // Processes begin in different places, so that they seldom ask for what another has.
        let own_start = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(len))?;
        for _ in 0..len {
            let step = NEXT.fetch_add(1, Ordering::Relaxed) % len;
            let number = PORTS.start + (own_start + step) % len;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, number));
            let Ok(claim) = UdpSocket::bind(address) else {
                continue;
            };
            if TcpListener::bind(address).is_ok() {
                return Ok(Self {
                    address,
                    _claim: claim,
                });
            }
        }
        bail!("every port of {PORTS:?} is in use")
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed step is a failed test")]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_port_has_one_owner() {
        let ports: Vec<Port> = (0..200).map(|_| Port::claim().unwrap()).collect();
        let addresses: HashSet<SocketAddr> = ports.iter().map(Port::address).collect();
        assert_eq!(addresses.len(), ports.len());
    }

    #[test]
    fn a_port_somebody_listens_on_is_nobodys() {
        let first = Port::claim().unwrap().address();
        let taken: Vec<TcpListener> = (1..50)
            .filter_map(|step| TcpListener::bind((Ipv4Addr::LOCALHOST, first.port() + step)).ok())
            .collect();
        let listened_on: HashSet<SocketAddr> =
            taken.iter().map(|one| one.local_addr().unwrap()).collect();
        for _ in 0..60 {
            assert!(!listened_on.contains(&Port::claim().unwrap().address()));
        }
    }
}
