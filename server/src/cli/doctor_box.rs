//! What `doctor` looks for on the box itself: whether it stays awake, keeps the time, has the name tablets were told, and
//! how long its certificates hold. What cannot be found out is not checked, never good.

use super::doctor::{Check, Finding, check};
use crate::settings::{DataDir, Settings};
use jiff::{SignedDuration, Timestamp};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::Path;
use x509_parser::prelude::{FromDer as _, X509Certificate};

const SLEEP_TARGETS: [&str; 4] = [
    "sleep.target",
    "suspend.target",
    "hibernate.target",
    "hybrid-sleep.target",
];
/// An administrator's word first, as systemd reads them.
const UNIT_DIRS: [&str; 2] = ["/etc/systemd/system", "/run/systemd/system"];
const REMEDY_SLEEP: &str =
    "run `systemctl mask sleep.target suspend.target hibernate.target hybrid-sleep.target` as root";
/// `timedatectl` asks the same: systemd-timesyncd touches it whenever it has set the clock.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
const EXPIRES_SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

pub(super) fn checks(data: &DataDir, settings: Option<&Settings>, now: Timestamp) -> Vec<Check> {
    let mut checks = vec![
        sleep(&UNIT_DIRS.map(Path::new)),
        synchronised(Path::new("/run"), Path::new(SYNCHRONISED)),
        backup(),
    ];
    if let Some(settings) = settings {
        checks.push(address(&settings.tablets.address));
    }
    checks.extend(certificates(&data.keys_dir(), now));
    checks
}

/// A box that sleeps leaves its tablets alone, and after some days they put photos away.
fn sleep(unit_dirs: &[&Path]) -> Check {
    const WHAT: &str = "stays awake";
    if !Path::new("/run/systemd/system").exists() {
        let said = format!(
            "systemd does not run here, so nothing says whether this machine sleeps; {REMEDY_SLEEP}"
        );
        return check(WHAT, Finding::Unknown, said);
    }
    let awake: Vec<&str> = SLEEP_TARGETS
        .into_iter()
        .filter(|target| !is_masked(unit_dirs, target))
        .collect();
    if awake.is_empty() {
        check(WHAT, Finding::Good, "it cannot be sent to sleep")
    } else {
        let said = format!("{} can be reached; {REMEDY_SLEEP}", awake.join(", "));
        check(WHAT, Finding::Bad, said)
    }
}

fn is_masked(unit_dirs: &[&Path], unit: &str) -> bool {
    unit_dirs.iter().any(|dir| {
        std::fs::read_link(dir.join(unit)).is_ok_and(|link| link == Path::new("/dev/null"))
    })
}

fn synchronised(run_dir: &Path, marker: &Path) -> Check {
    const WHAT: &str = "clock is kept right";
    if marker.exists() {
        return check(WHAT, Finding::Good, "systemd-timesyncd has set it");
    }
    for (name, place) in [
        ("chrony", "chrony"),
        ("ntpsec", "ntpd.pid"),
        ("openntpd", "openntpd"),
    ] {
        if run_dir.join(place).exists() {
            let said =
                format!("{name} runs, and was not asked whether it has reached anybody; ask it");
            return check(WHAT, Finding::Unknown, said);
        }
    }
    check(
        WHAT,
        Finding::Bad,
        "nothing has set it since the machine started; run `timedatectl set-ntp true` as root, and see that the network lets it out",
    )
}

fn backup() -> Check {
    check(
        "backup",
        Finding::Unknown,
        "this version makes none, so none is known of; copy the data directory and the signer's while both services are stopped",
    )
}

/// Whether the name that tablets were told leads to this machine, as seen from here.
fn address(address: &str) -> Check {
    const WHAT: &str = "address tablets were told";
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let found: Vec<IpAddr> = match address.to_socket_addrs() {
        Ok(found) => found.map(|at| at.ip()).collect(),
        Err(error) => {
            let said = format!(
                "\"{host}\" leads nowhere from here ({error}); give this machine that name, or an address that stays"
            );
            return check(WHAT, Finding::Bad, said);
        }
    };
    // Only an address of this machine can be listened on.
    let is_here = |ip: &IpAddr| std::net::UdpSocket::bind((*ip, 0)).is_ok();
    let shown = |ips: &[IpAddr]| {
        let texts: Vec<String> = ips.iter().map(ToString::to_string).collect();
        texts.join(", ")
    };
    if !found.iter().any(is_here) {
        let said = format!(
            "\"{host}\" is {}, which is not this machine; put that right in the network, or tablets talk to somebody else",
            shown(&found)
        );
        return check(WHAT, Finding::Bad, said);
    }
    if found.iter().all(IpAddr::is_loopback) {
        let said = format!(
            "\"{host}\" is {} from here; whether other machines find it was not checked",
            shown(&found)
        );
        return check(WHAT, Finding::Unknown, said);
    }
    check(
        WHAT,
        Finding::Good,
        format!("\"{host}\" is {}", shown(&found)),
    )
}

/// Of every certificate among the keys.
fn certificates(dir: &Path, now: Timestamp) -> Vec<Check> {
    const WHAT: &str = "certificate";
    let files = match std::fs::read_dir(dir) {
        Ok(files) => files,
        Err(error) => {
            let said = format!("`{}`: {error}", dir.display());
            return vec![check(WHAT, Finding::Unknown, said)];
        }
    };
    let mut paths: Vec<_> = files
        .flatten()
        .map(|file| file.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "der" || end == "crt" || end == "pem")
        })
        .collect();
    paths.sort();
    paths
        .iter()
        .filter_map(|path| {
            let bytes = std::fs::read(path).ok()?;
            let pem = x509_parser::pem::parse_x509_pem(&bytes);
            let der = pem.as_ref().map_or(&bytes, |(_, pem)| &pem.contents);
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            let ends = certificate.validity().not_after.timestamp();
            let ends = Timestamp::from_second(ends).ok()?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let left = ends.duration_since(now);
            let (finding, remedy) = if left.is_negative() {
                (
                    Finding::Bad,
                    "; it has ended, and tablets judge by its key until it is renewed",
                )
            } else if left < EXPIRES_SOON {
                (Finding::Bad, "; renew it before")
            } else {
                (Finding::Good, "")
            };
            Some(check(
                WHAT,
                finding,
                format!("{name} holds until {ends}{remedy}"),
            ))
        })
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_masked_only_by_a_link_to_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let masks = |unit| is_masked(&[dir.path()], unit);
        std::fs::write(dir.path().join("sleep.target"), "").unwrap();
        assert!(!masks("sleep.target"));
        assert!(!masks("suspend.target"));
        std::os::unix::fs::symlink("/dev/null", dir.path().join("suspend.target")).unwrap();
        assert!(masks("suspend.target"));
    }

    #[test]
    fn a_clock_that_nothing_is_known_to_have_set_is_not_good() {
        let run = tempfile::tempdir().unwrap();
        let marker = run.path().join("synchronized");
        assert!(synchronised(run.path(), &marker).finding == Finding::Bad);
        std::fs::create_dir(run.path().join("chrony")).unwrap();
        assert!(synchronised(run.path(), &marker).finding == Finding::Unknown);
        std::fs::write(&marker, "").unwrap();
        assert!(synchronised(run.path(), &marker).finding == Finding::Good);
    }

    #[test]
    fn an_address_that_leads_elsewhere_or_nowhere_is_bad_and_a_loopback_is_not_checked() {
        // Of the block for documentation, which no machine has.
        assert!(address("192.0.2.1:7443").finding == Finding::Bad);
        assert!(address("no-such-host.invalid:7443").finding == Finding::Bad);
        assert!(address("127.0.0.1:7443").finding == Finding::Unknown);
    }
}
