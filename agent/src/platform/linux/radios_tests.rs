#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::unused_self,
    clippy::needless_pass_by_value,
    reason = "the shape of a served interface is the bus's"
)]

use super::super::bus::testing::{FakeServices, fake_bus};
use super::*;
use crate::control::radios::{BluetoothWish, RadiosWish};
use crate::control::{Control, Unread};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use zbus::{OwnedObjectPath, OwnedVariant, Variant};

fn file(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn switch(root: &Path, number: u8, kind: &str, soft: &str) {
    for (name, text) in [("type", kind), ("soft", soft), ("hard", "0")] {
        file(
            root,
            &format!("sys/class/rfkill/rfkill{number}/{name}"),
            &format!("{text}\n"),
        );
    }
}

fn everything_off() -> RadiosWish {
    RadiosWish {
        bluetooth: BluetoothWish::Off,
        sharing_off: true,
        nfc_off: true,
        hotspot_off: true,
        wifi_direct_off: true,
    }
}

fn everything_free() -> RadiosWish {
    RadiosWish {
        bluetooth: BluetoothWish::Free,
        sharing_off: false,
        nfc_off: false,
        hotspot_off: false,
        wifi_direct_off: false,
    }
}

fn hold(enforcer: &mut RadiosEnforcer, wish: &RadiosWish) -> Vec<RadiosChange> {
    let observed = enforcer.observe().unwrap();
    for change in Radios::diff(wish, &observed) {
        let applied = enforcer.apply(&change);
        assert!(
            applied.is_ok() || Radios::unread(&change).is_some(),
            "{change}: {applied:?}"
        );
    }
    Radios::diff(wish, &enforcer.observe().unwrap())
}

#[test]
fn radios_are_switched_off_and_given_back() {
    let root = tempfile::tempdir().unwrap();
    switch(root.path(), 0, "bluetooth", "0");
    switch(root.path(), 1, "nfc", "0");
    switch(root.path(), 2, "wlan", "0");
    file(
        root.path(),
        "usr/lib/systemd/user/obex.service",
        "[Service]\n",
    );
    let mut enforcer = RadiosEnforcer::new(&Paths::new(root.path()));
    assert_eq!(hold(&mut enforcer, &everything_off()), []);
    let soft = |number: u8| {
        let path = format!("sys/class/rfkill/rfkill{number}/soft");
        fs::read_to_string(root.path().join(path)).unwrap()
    };
    assert_eq!([soft(0), soft(1), soft(2)], ["1\n", "1\n", "0\n"]);
    let mask = root.path().join("etc/systemd/user/obex.service");
    assert_eq!(fs::read_link(&mask).unwrap(), Path::new("/dev/null"));
    assert_eq!(hold(&mut enforcer, &everything_free()), []);
    assert_eq!([soft(0), soft(1)], ["0\n", "0\n"]);
    assert!(fs::symlink_metadata(&mask).is_err());
}

#[test]
fn bluetooth_that_staff_had_off_is_not_switched_on_for_them() {
    let root = tempfile::tempdir().unwrap();
    switch(root.path(), 0, "bluetooth", "1");
    fs::create_dir_all(root.path().join("usr")).unwrap();
    let mut enforcer = RadiosEnforcer::new(&Paths::new(root.path()));
    assert_eq!(hold(&mut enforcer, &everything_off()), []);
    assert_eq!(hold(&mut enforcer, &everything_free()), []);
    let soft = fs::read_to_string(root.path().join("sys/class/rfkill/rfkill0/soft")).unwrap();
    assert_eq!(soft, "1\n");
}

#[test]
fn a_tablet_without_bluetooth_is_as_it_should_be() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("sys/class")).unwrap();
    fs::create_dir_all(root.path().join("usr")).unwrap();
    let mut enforcer = RadiosEnforcer::new(&Paths::new(root.path()));
    assert_eq!(hold(&mut enforcer, &everything_off()), []);
}

#[test]
fn beneath_a_bare_root_every_rule_reads_unsupported() {
    let root = tempfile::tempdir().unwrap();
    let mut enforcer = RadiosEnforcer::new(&Paths::new(root.path()));
    let changes = Radios::diff(&everything_off(), &enforcer.observe().unwrap());
    assert_eq!(changes.len(), 5);
    assert!(
        changes
            .iter()
            .all(|change| matches!(Radios::unread(change), Some(Unread::Unsupported(_))))
    );
    enforcer.release().unwrap();
}

#[test]
fn wifi_without_network_manager_is_not_taken_for_fine() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("sys/class/ieee80211/phy0")).unwrap();
    let mut enforcer = RadiosEnforcer::new(&Paths::new(root.path()));
    let observed = enforcer.observe().unwrap();
    assert!(matches!(observed.hotspot, Reading::Unread(_)));
    assert!(matches!(observed.wifi_direct, Reading::Unread(_)));
}

/// What the fake services hold.
#[derive(Debug, Default)]
struct World {
    powered: bool,
    services: Vec<String>,
    active: Vec<&'static str>,
}

type Shared = Arc<Mutex<World>>;
type Objects = HashMap<OwnedObjectPath, HashMap<String, HashMap<String, OwnedVariant>>>;

/// Whether bluetoothd has taken the adapter up.
struct FakeObjects(bool);

#[zbus::interface(name = "org.freedesktop.DBus.ObjectManager")]
impl FakeObjects {
    fn get_managed_objects(&self) -> Objects {
        if !self.0 {
            return HashMap::new();
        }
        let interfaces = [
            "org.bluez.Adapter1",
            "org.bluez.AdminPolicySet1",
            "org.bluez.AdminPolicyStatus1",
        ];
        let interfaces = interfaces.map(|name| (name.to_owned(), HashMap::new()));
        HashMap::from([(path("/org/bluez/hci0"), HashMap::from(interfaces))])
    }
}

struct FakeAdapter(Shared);

#[zbus::interface(name = "org.bluez.Adapter1")]
impl FakeAdapter {
    #[zbus(property)]
    fn powered(&self) -> bool {
        self.0.lock().unwrap().powered
    }

    #[zbus(property)]
    fn set_powered(&self, powered: bool) {
        self.0.lock().unwrap().powered = powered;
    }
}

struct FakePolicySet(Shared);

#[zbus::interface(name = "org.bluez.AdminPolicySet1")]
impl FakePolicySet {
    fn set_service_allow_list(&self, services: Vec<String>) {
        self.0.lock().unwrap().services = services;
    }
}

struct FakePolicyStatus(Shared);

#[zbus::interface(name = "org.bluez.AdminPolicyStatus1")]
impl FakePolicyStatus {
    #[zbus(property)]
    fn service_allow_list(&self) -> Vec<String> {
        self.0.lock().unwrap().services.clone()
    }
}

struct FakeNetwork(Shared);

#[zbus::interface(name = "org.freedesktop.NetworkManager")]
impl FakeNetwork {
    #[zbus(property)]
    fn active_connections(&self) -> Vec<OwnedObjectPath> {
        self.0
            .lock()
            .unwrap()
            .active
            .iter()
            .map(|p| path(p))
            .collect()
    }

    fn deactivate_connection(&self, connection: OwnedObjectPath) {
        let mut world = self.0.lock().unwrap();
        world.active.retain(|p| *p != connection.as_str());
    }
}

struct FakeConnection(&'static str);

#[zbus::interface(name = "org.freedesktop.NetworkManager.Connection.Active")]
impl FakeConnection {
    #[zbus(property, name = "Type")]
    fn kind(&self) -> String {
        self.0.to_owned()
    }

    #[zbus(property)]
    fn connection(&self) -> OwnedObjectPath {
        path("/settings/hotspot")
    }
}

struct FakeSettings;

#[zbus::interface(name = "org.freedesktop.NetworkManager.Settings.Connection")]
impl FakeSettings {
    fn get_settings(&self) -> HashMap<String, HashMap<String, OwnedVariant>> {
        let mode = OwnedVariant::try_from(Variant::from("ap")).unwrap();
        let wireless = HashMap::from([("mode".to_owned(), mode)]);
        HashMap::from([("802-11-wireless".to_owned(), wireless)])
    }
}

fn path(text: &str) -> OwnedObjectPath {
    OwnedObjectPath::try_from(text.to_owned()).unwrap()
}

/// A tablet without rfkill, whose adapter is on, with a hotspot, a cable and a Wi-Fi Direct connection.
fn served(root: &Path) -> (RadiosEnforcer, Shared, FakeServices) {
    fs::create_dir_all(root.join("sys/class/bluetooth/hci0")).unwrap();
    fs::create_dir_all(root.join("sys/class/ieee80211/phy0")).unwrap();
    fs::create_dir_all(root.join("usr")).unwrap();
    let world = Shared::new(Mutex::new(World {
        powered: true,
        services: vec![],
        active: vec!["/active/hotspot", "/active/cable", "/active/direct"],
    }));
    let shared = Arc::clone(&world);
    let (bus, services) = fake_bus(move |builder| {
        let hci = "/org/bluez/hci0";
        builder
            .serve_at("/", FakeObjects(true))
            .serve_at(hci, FakeAdapter(Arc::clone(&shared)))
            .serve_at(hci, FakePolicySet(Arc::clone(&shared)))
            .serve_at(hci, FakePolicyStatus(Arc::clone(&shared)))
            .serve_at("/org/freedesktop/NetworkManager", FakeNetwork(shared))
            .serve_at("/active/hotspot", FakeConnection("802-11-wireless"))
            .serve_at("/active/cable", FakeConnection("802-3-ethernet"))
            .serve_at("/active/direct", FakeConnection("wifi-p2p"))
            .serve_at("/settings/hotspot", FakeSettings)
    });
    let mut enforcer = RadiosEnforcer::new(&Paths::new(root));
    enforcer.door = BusDoor::with(&enforcer.tablet, bus);
    (enforcer, world, services)
}

#[test]
fn services_switch_off_what_rfkill_cannot() {
    let root = tempfile::tempdir().unwrap();
    let (mut enforcer, world, _services) = served(root.path());
    assert_eq!(hold(&mut enforcer, &everything_off()), []);
    {
        let world = world.lock().unwrap();
        assert!(!world.powered);
        assert_eq!(world.active, ["/active/cable"]);
    }
    assert!(root.path().join(&POLKIT_PATH[1..]).exists());
    enforcer.release().unwrap();
    assert!(world.lock().unwrap().powered);
    assert!(!root.path().join(&POLKIT_PATH[1..]).exists());
}

#[test]
fn an_exception_limits_bluetooth_to_its_service() {
    let root = tempfile::tempdir().unwrap();
    let (mut enforcer, world, _services) = served(root.path());
    let service = "0000fdf0-0000-1000-8000-00805f9b34fb".to_owned();
    let wish = RadiosWish {
        bluetooth: BluetoothWish::Only(BTreeSet::from([service.clone()])),
        ..everything_off()
    };
    assert_eq!(hold(&mut enforcer, &wish), []);
    assert!(world.lock().unwrap().powered);
    assert_eq!(world.lock().unwrap().services, [service]);
    assert_eq!(hold(&mut enforcer, &everything_free()), []);
    assert!(world.lock().unwrap().services.is_empty());
}

#[test]
fn a_radio_that_bluetoothd_does_not_drive_stays_off_for_an_exception() {
    let root = tempfile::tempdir().unwrap();
    switch(root.path(), 0, "bluetooth", "0");
    fs::create_dir_all(root.path().join("sys/class/bluetooth/hci0")).unwrap();
    fs::create_dir_all(root.path().join("usr")).unwrap();
    let (bus, _services) = fake_bus(|builder| builder.serve_at("/", FakeObjects(false)));
    let mut enforcer = RadiosEnforcer::new(&Paths::new(root.path()));
    enforcer.door = BusDoor::with(&enforcer.tablet, bus);
    let wish = RadiosWish {
        bluetooth: BluetoothWish::Only(BTreeSet::from([
            "0000fdf0-0000-1000-8000-00805f9b34fb".to_owned()
        ])),
        ..everything_free()
    };
    for _ in 0..2 {
        let left = hold(&mut enforcer, &wish);
        assert!(left.iter().all(|change| Radios::unread(change).is_some()));
        let soft = fs::read_to_string(root.path().join("sys/class/rfkill/rfkill0/soft"));
        assert_eq!(soft.unwrap(), "1\n");
    }
}

#[test]
fn a_limit_that_nobody_can_lift_keeps_nothing_else_from_being_given_back() {
    let root = tempfile::tempdir().unwrap();
    let (mut enforcer, _world, services) = served(root.path());
    let wish = RadiosWish {
        bluetooth: BluetoothWish::Only(BTreeSet::from([
            "0000fdf0-0000-1000-8000-00805f9b34fb".to_owned()
        ])),
        ..everything_off()
    };
    assert_eq!(hold(&mut enforcer, &wish), []);
    drop(services);
    assert!(enforcer.release().is_err());
    assert!(!root.path().join(&POLKIT_PATH[1..]).exists());
}
