//! Bluetooth adapters as bluetoothd shows them.

use super::bus::{Bus, CallError, Object};
use std::collections::{BTreeSet, HashMap};
use zbus::{OwnedObjectPath, OwnedVariant, Variant};

const BLUEZ: &str = "org.bluez";
const ADAPTER: &str = "org.bluez.Adapter1";
const POLICY_SET: &str = "org.bluez.AdminPolicySet1";
const POLICY_STATUS: &str = "org.bluez.AdminPolicyStatus1";

type Interfaces = HashMap<String, HashMap<String, OwnedVariant>>;

/// One adapter and what it offers.
#[derive(Clone, Debug)]
pub(super) struct Adapter {
    path: OwnedObjectPath,
    pub(super) is_powered: bool,
    pub(super) can_be_limited: bool,
}

/// The adapters; `Absent` where bluetoothd does not run.
pub(super) fn adapters(bus: &Bus) -> Result<Vec<Adapter>, CallError> {
    let root = Object {
        service: BLUEZ,
        path: "/",
        interface: "org.freedesktop.DBus.ObjectManager",
    };
    let objects: HashMap<OwnedObjectPath, Interfaces> = bus.call(root, "GetManagedObjects", &())?;
    let mut found = Vec::new();
    for (path, interfaces) in objects {
        if interfaces.contains_key(ADAPTER) {
            let is_powered = bus.get(on(&path, ADAPTER), "Powered")?;
            let can_be_limited = interfaces.contains_key(POLICY_SET);
            found.push(Adapter {
                path,
                is_powered,
                can_be_limited,
            });
        }
    }
    found.sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
    Ok(found)
}

pub(super) fn set_powered(bus: &Bus, adapter: &Adapter, powered: bool) -> Result<(), CallError> {
    bus.set(
        on(&adapter.path, ADAPTER),
        "Powered",
        &Variant::from(powered),
    )
}

/// The only services an adapter lets through, by UUID; empty when it lets all through.
pub(super) fn allowed_services(
    bus: &Bus,
    adapter: &Adapter,
) -> Result<BTreeSet<String>, CallError> {
    let list: Vec<String> = bus.get(on(&adapter.path, POLICY_STATUS), "ServiceAllowList")?;
    Ok(list.into_iter().map(|uuid| uuid.to_lowercase()).collect())
}

pub(super) fn allow_services(
    bus: &Bus,
    adapter: &Adapter,
    services: &BTreeSet<String>,
) -> Result<(), CallError> {
    let list: Vec<&str> = services.iter().map(String::as_str).collect();
    bus.call(
        on(&adapter.path, POLICY_SET),
        "SetServiceAllowList",
        &(list,),
    )
}

fn on<'a>(path: &'a OwnedObjectPath, interface: &'a str) -> Object<'a> {
    Object {
        service: BLUEZ,
        path: path.as_str(),
        interface,
    }
}
