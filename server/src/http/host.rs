//! By which names the console may be asked for. A page of somewhere else can have its own name lead to this machine and
//! then read what it gets (DNS rebinding); it cannot have a browser ask for a name that is ours.

use super::app::App;
use super::error::ApiError;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// Names and addresses that are this machine's, without ports: a proxy may have another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownHosts {
    names: BTreeSet<String>,
    /// It listens on all its addresses, and nobody can say which those are. An address is no name that could lead
    /// somewhere else.
    takes_any_address: bool,
}

impl KnownHosts {
    /// `addresses`: as `HOST:PORT`.
    pub fn new<'a>(listen: SocketAddr, addresses: impl IntoIterator<Item = &'a str>) -> Self {
        let loopback = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let own = loopback.into_iter().chain([listen.to_string()]);
        let all = own.chain(addresses.into_iter().map(str::to_owned));
        Self {
            names: all.filter_map(|address| name_of(&address)).collect(),
            takes_any_address: listen.ip().is_unspecified(),
        }
    }

    fn knows(&self, host: &str) -> bool {
        name_of(host).is_some_and(|name| {
            self.names.contains(&name) || (self.takes_any_address && name.parse::<IpAddr>().is_ok())
        })
    }
}

/// The one spelling of a host, of what may have a port behind it; `None`: it is no host.
fn name_of(host: &str) -> Option<String> {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_lowercase();
    let is_address = name.parse::<IpAddr>().ok();
    let name = is_address.map_or(name, |address| address.to_canonical().to_string());
    (!name.is_empty()).then_some(name)
}

pub(super) async fn require_known(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let in_target = request.uri().authority();
    let asked = in_target.map_or_else(|| said(request.headers()), |a| Some(a.as_str()));
    if asked.is_some_and(|host| app.console.hosts.knows(host)) {
        return Ok(next.run(request).await);
    }
    Err(ApiError::new(
        StatusCode::MISDIRECTED_REQUEST,
        "host_unknown",
        format!(
            "This console is not known by the name it was asked for. Open {}, or have whoever runs the server write this name as `address` under `[console]` in server.toml.",
            app.console.origin
        ),
    ))
}

/// `None`: none was said, or several.
fn said(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::HOST).into_iter();
    let first = values.next()?;
    if values.next().is_some() {
        return None;
    }
    first.to_str().ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;

    fn hosts(listen: &str) -> KnownHosts {
        KnownHosts::new(listen.parse().unwrap(), ["Nursery-Box.local:7444"])
    }

    #[test]
    fn a_console_is_known_by_its_own_names_and_no_other() {
        let known = hosts("192.168.1.20:7444");
        for ours in [
            "nursery-box.local:7444",
            "NURSERY-BOX.LOCAL",
            "nursery-box.local.:443",
            "192.168.1.20:7444",
            "localhost:7444",
            "127.0.0.1:7444",
            "[::1]:7444",
            "[::ffff:127.0.0.1]:7444",
        ] {
            assert!(known.knows(ours), "{ours}");
        }
        for other in [
            "",
            ":7444",
            "rebound.example:7444",
            "nursery-box.local.example.org:7444",
            "192.168.1.20.example.org",
            "192.168.1.21:7444",
            "[::2]:7444",
            "[::1",
        ] {
            assert!(!known.knows(other), "{other}");
        }
    }

    #[test]
    fn one_that_listens_on_all_addresses_is_known_by_any_of_them_and_by_no_other_name() {
        let known = hosts("0.0.0.0:7444");
        assert!(known.knows("192.168.1.21:7444") && known.knows("[fd00::7]:7444"));
        assert!(!known.knows("rebound.example:7444"));
    }
}
