//! Services that hand files to devices nearby: kept from starting through the user service manager, and ended where they run.

use super::processes::{self, Process};
use super::tablet::Tablet;
use crate::control::EnforceError;
use crate::control::radios::SharingSeen;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

/// User units of sharing services: WebDAV and DLNA sharing of GNOME, file reception over Bluetooth.
const UNITS: [&str; 4] = [
    "gnome-user-share-webdav.service",
    "obex.service",
    "dbus-org.bluez.obex.service",
    "rygel.service",
];
/// Programs as /proc shortens them to 15 bytes, those of KDE Connect and LocalSend among them, which no unit starts.
/// Whether those may run at all is for the list of apps to say.
const PROGRAMS: [&str; 7] = [
    "gnome-user-shar",
    "obexd",
    "rygel",
    "kdeconnectd",
    "localsend_app",
    "localsend",
    "warp",
];
const PACKAGED_DIRS: [&str; 2] = ["/usr/lib/systemd/user", "/lib/systemd/user"];
const OWN_DIR: &str = "/etc/systemd/user";
const NOWHERE: &str = "/dev/null";
const REMEMBERED: &str = "sharing/";

pub(super) fn seen(tablet: &Tablet) -> Result<SharingSeen, EnforceError> {
    if !tablet.exists("/usr") {
        tablet.needs_machine("nearby sharing")?;
    }
    let startable = installed(tablet)
        .filter(|unit| !is_masked(tablet, unit))
        .map(ToOwned::to_owned)
        .collect();
    Ok(SharingSeen {
        startable,
        running: running(tablet)?.into_iter().map(|p| p.name).collect(),
        masked_by_us: !tablet.previous().recall(REMEMBERED)?.is_empty(),
    })
}

/// Keeps the installed services from starting, for every account.
pub(super) fn mask(tablet: &Tablet) -> Result<(), EnforceError> {
    for unit in installed(tablet).filter(|unit| !is_masked(tablet, unit)) {
        let path = format!("{OWN_DIR}/{unit}");
        if tablet.exists(&path) {
            return Err(EnforceError::Unsupported(format!(
                "`{path}` overrides the packaged service; remove it, so that the service can be kept from starting"
            )));
        }
        tablet
            .previous()
            .remember(&format!("{REMEMBERED}{unit}"), None)?;
        let failed = |e| EnforceError::failed(format!("mask `{unit}`"), e);
        tablet.make_dir(OWN_DIR)?;
        match symlink(NOWHERE, tablet.path(&path)) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(failed(e)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

pub(super) fn unmask(tablet: &Tablet) -> Result<(), EnforceError> {
    for name in tablet.previous().recall(REMEMBERED)?.into_keys() {
        let unit = name.trim_start_matches(REMEMBERED);
        if is_masked(tablet, unit) {
            tablet.remove(&format!("{OWN_DIR}/{unit}"))?;
        }
        tablet.previous().forget(&name)?;
    }
    Ok(())
}

pub(super) fn stop(tablet: &Tablet) -> Result<(), EnforceError> {
    for process in running(tablet)? {
        processes::end(tablet, &process, || processes::has_name(tablet, &process))?;
    }
    Ok(())
}

fn installed(tablet: &Tablet) -> impl Iterator<Item = &'static str> {
    UNITS.into_iter().filter(|unit| {
        PACKAGED_DIRS
            .iter()
            .any(|dir| tablet.exists(&format!("{dir}/{unit}")))
    })
}

fn is_masked(tablet: &Tablet, unit: &str) -> bool {
    fs::read_link(tablet.path(&format!("{OWN_DIR}/{unit}")))
        .is_ok_and(|target| target == Path::new(NOWHERE))
}

fn running(tablet: &Tablet) -> Result<Vec<Process>, EnforceError> {
    let known = BTreeSet::from(PROGRAMS);
    let mut found = processes::of_staff(tablet)?;
    found.retain(|process| known.contains(process.name.as_str()));
    Ok(found)
}
