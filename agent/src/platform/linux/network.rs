//! Hotspots and Wi-Fi Direct as NetworkManager shows them.

use super::bus::{Bus, CallError, Object};
use std::collections::HashMap;
use zbus::{OwnedObjectPath, OwnedVariant};

const NETWORK: &str = "org.freedesktop.NetworkManager";
const NETWORK_PATH: &str = "/org/freedesktop/NetworkManager";
const ACTIVE: &str = "org.freedesktop.NetworkManager.Connection.Active";
const SETTINGS: &str = "org.freedesktop.NetworkManager.Settings.Connection";

const MANAGER: Object<'static> = Object {
    service: NETWORK,
    path: NETWORK_PATH,
    interface: NETWORK,
};

/// What the radios policy has a say in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WifiUse {
    Hotspot,
    WifiDirect,
}

/// Connections of that use that are up; `Absent` where NetworkManager does not run.
pub(super) fn active(bus: &Bus, wanted: WifiUse) -> Result<Vec<OwnedObjectPath>, CallError> {
    let all: Vec<OwnedObjectPath> = bus.get(MANAGER, "ActiveConnections")?;
    let mut found = Vec::new();
    for path in all {
        match wifi_use(bus, &path) {
            Ok(seen) if seen == Some(wanted) => found.push(path),
            // It was of another use, or went down meanwhile.
            Ok(_) | Err(CallError::Absent(_)) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(found)
}

pub(super) fn deactivate(bus: &Bus, connection: &OwnedObjectPath) -> Result<(), CallError> {
    match bus.call(MANAGER, "DeactivateConnection", &(connection,)) {
        Ok(()) | Err(CallError::Absent(_)) => Ok(()),
        Err(e) => Err(e),
    }
}

fn wifi_use(bus: &Bus, path: &OwnedObjectPath) -> Result<Option<WifiUse>, CallError> {
    let connection = Object {
        service: NETWORK,
        path: path.as_str(),
        interface: ACTIVE,
    };
    let kind: String = bus.get(connection, "Type")?;
    match kind.as_str() {
        "wifi-p2p" => Ok(Some(WifiUse::WifiDirect)),
        "802-11-wireless" => {
            let settings: OwnedObjectPath = bus.get(connection, "Connection")?;
            let settings = Object {
                service: NETWORK,
                path: settings.as_str(),
                interface: SETTINGS,
            };
            let mut groups: HashMap<String, HashMap<String, OwnedVariant>> =
                bus.call(settings, "GetSettings", &())?;
            let mode = groups
                .remove("802-11-wireless")
                .and_then(|mut group| group.remove("mode"))
                .and_then(|mode| String::try_from(mode).ok());
            Ok((mode.as_deref() == Some("ap")).then_some(WifiUse::Hotspot))
        }
        _ => Ok(None),
    }
}
