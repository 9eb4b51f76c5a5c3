//! Whose program is at the other end of a connection from this machine, as the kernel lists it in `/proc/net/tcp`
//! (proc_pid_net(5)).

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddrV4;

const TCP_PATH: &str = "/proc/net/tcp";
const ESTABLISHED: &str = "01";

/// The user who opened the connection from `peer` to `own`; `None` where there is none, or no longer.
pub fn loopback_peer_uid(peer: SocketAddrV4, own: SocketAddrV4) -> io::Result<Option<u32>> {
    Ok(uid_in(&std::fs::read_to_string(TCP_PATH)?, peer, own))
}

fn uid_in(table: &str, peer: SocketAddrV4, own: SocketAddrV4) -> Option<u32> {
    let (peer, own) = (written(peer), written(own));
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let ends = [columns.next()?, columns.next()?];
        // What waits for its end belongs to nobody any more, and is listed as root's.
        let is_open = columns.next()? == ESTABLISHED;
        if ends != [peer.as_str(), own.as_str()] || !is_open {
            return None;
        }
        columns.nth(3)?.parse().ok()
    })
}

/// The address as the bytes of the wire read on this machine, the port as a number.
fn written(address: SocketAddrV4) -> String {
    let ip = u32::from_ne_bytes(address.ip().octets());
    let mut text = String::new();
    let _ = write!(text, "{ip:08X}:{:04X}", address.port());
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1D15 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1D15 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
   2: 0100007F:C001 0100007F:1D15 01 00000000:00000000 00:00000000 00000000  1000        0 3 1 0 20 4 30 10 -1
   3: 0100007F:C002 0100007F:1D15 06 00000000:00000000 03:00000176 00000000     0        0 0 3 0
";

    fn loopback(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn the_user_of_the_other_end_is_read_and_not_of_ours() {
        let own = loopback(0x1d15);
        assert_eq!(uid_in(TABLE, loopback(0xc001), own), Some(1000));
        assert_eq!(uid_in(TABLE, loopback(0xc002), own), None);
        assert_eq!(uid_in(TABLE, loopback(0xc003), own), None);
    }

    #[test]
    fn the_kernel_tells_who_opened_a_connection() {
        let listener = TcpListener::bind(loopback(0)).unwrap();
        let SocketAddr::V4(own) = listener.local_addr().unwrap() else {
            unreachable!("bound to an IPv4 address");
        };
        let stream = TcpStream::connect(own).unwrap();
        let SocketAddr::V4(peer) = stream.local_addr().unwrap() else {
            unreachable!("connected from an IPv4 address");
        };
        let uid = loopback_peer_uid(peer, own).unwrap();
        assert_eq!(uid, Some(nix::unistd::geteuid().as_raw()));
        drop(stream);
        assert_eq!(loopback_peer_uid(peer, own).unwrap(), None);
    }
}
