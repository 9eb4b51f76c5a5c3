//! Hotspots and Wi-Fi Direct, over radios of the kernel's own invention.

use super::tablet;
use system_tests::vm::nursery::{Hours, Profile};
use system_tests::vm::tablet::Tablet;

const RADIOS: &str =
    "modprobe mac80211_hwsim radios=2 && systemctl start NetworkManager && rfkill unblock wifi";

/// The second radio is somebody else's, who agrees to be asked and to own the group.
const PEER: &str = "nmcli device set wlan1 managed no
until [ \"$(nmcli -g GENERAL.STATE device show wlan1)\" = '10 (unmanaged)' ]; do sleep 0.2; done
cat >/run/peer.conf <<'END'
ctrl_interface=/run/peer
device_name=Visitor
device_type=1-0050F204-1
END
systemctl is-active --quiet peer || systemd-run --quiet --collect --unit=peer wpa_supplicant -iwlan1 -Dnl80211 -c/run/peer.conf
until [ -S /run/peer/p2p-dev-wlan1 ]; do sleep 0.2; done";

/// Looks for the other, and asks it once it was found.
const BEAM: &str = "peer() { wpa_cli -p /run/peer -i p2p-dev-wlan1 \"$@\" >/dev/null; }
us=$(wpa_cli -i p2p-dev-wlan0 status | sed -n 's/^p2p_device_address=//p')
them=$(wpa_cli -p /run/peer -i p2p-dev-wlan1 status | sed -n 's/^p2p_device_address=//p')
nmcli connection show beam >/dev/null 2>&1 || nmcli connection add type wifi-p2p ifname p2p-dev-wlan0 con-name beam autoconnect no wifi-p2p.peer $them ipv4.method manual ipv4.addresses 10.98.0.1/24 ipv6.method disabled
peer p2p_stop_find; peer p2p_connect $us pbc auth go_intent=15; peer p2p_listen 300
nm=org.freedesktop.NetworkManager
device=$(nmcli -g GENERAL.DBUS-PATH device show p2p-dev-wlan0)
busctl call $nm $device $nm.Device.WifiP2P StartFind 'a{sv}' 0
found() { busctl get-property $nm $device $nm.Device.WifiP2P Peers | grep -q WifiP2PPeer; }
tries=0; until found || [ $tries = 100 ]; do sleep 0.2; tries=$((tries + 1)); done
nmcli --wait 90 connection up beam";

fn is_up(tablet: &Tablet, connection: &str) -> anyhow::Result<bool> {
    let active = tablet.done("nmcli --terse --fields NAME,STATE connection show --active")?;
    let wanted = format!("{connection}:activated");
    Ok(active.lines().any(|line| line == wanted))
}

/// How many connections NetworkManager was told to end, ever.
fn endings(tablet: &Tablet) -> u64 {
    let said = tablet
        .done("journalctl -u NetworkManager --no-pager -o cat | grep -c -e \"-> deactivating (reason 'user-requested'\" || true")
        .unwrap();
    said.trim().parse().unwrap()
}

/// It began, was ended, and is not there any more.
fn until_ended(tablet: &Tablet, connection: &str, endings_before: u64) {
    tablet
        .until("the connection's end", |tablet| {
            let is_ended = endings(tablet) > endings_before && !is_up(tablet, connection)?;
            Ok(is_ended.then_some(()))
        })
        .unwrap_or_else(|problem| panic!("{problem:?}\n{}", tablet.agent_log()));
}

/// Nobody minds at first; then the tablet is held, and root starts it again.
fn neither_stays_nor_comes_back(tablet: &Tablet, connection: &str, start: &str) {
    until_up(tablet, connection, start);
    let endings_before = endings(tablet);
    tablet.hold_to(&Profile::in_hours(Hours::Contact)).unwrap();
    until_ended(tablet, connection, endings_before);
    tablet.until_compliant("radios").unwrap();
    let endings_before = endings(tablet);
    // On a busy machine two peers do not always find each other.
    tablet
        .until("the end of one that was started again", |tablet| {
            tablet.ask(start)?;
            let is_ended = endings(tablet) > endings_before && !is_up(tablet, connection)?;
            Ok(is_ended.then_some(()))
        })
        .unwrap_or_else(|problem| panic!("{problem:?}\n{}", tablet.agent_log()));
    tablet.until_compliant("radios").unwrap();
}

fn where_nobody_minds(tablet: &Tablet) {
    tablet
        .hold_to(&Profile::in_hours(Hours::Contact).without("radios"))
        .unwrap();
    tablet.done(RADIOS).unwrap();
}

fn until_up(tablet: &Tablet, connection: &str, script: &str) {
    let mut last = String::new();
    tablet
        .until("a connection where nobody minds", |tablet| {
            last = format!("{:?}", tablet.ask(script)?);
            Ok(is_up(tablet, connection)?.then_some(()))
        })
        .unwrap_or_else(|problem| {
            let log = tablet.ask("journalctl --no-pager -o cat -n 40 -u wpa_supplicant -u peer");
            panic!("{problem:?}\n{last}\n{log:?}")
        });
}

#[test]
fn a_hotspot_that_is_up_ends_when_the_tablet_is_held_and_none_starts_after_that() {
    let tablet = tablet();
    where_nobody_minds(&tablet);
    neither_stays_nor_comes_back(
        &tablet,
        "share",
        "nmcli connection show share >/dev/null 2>&1 || nmcli connection add type wifi ifname wlan0 con-name share autoconnect no ssid Acorns mode ap wifi-sec.key-mgmt wpa-psk wifi-sec.psk Quiet-lantern9 ipv4.method manual ipv4.addresses 10.99.0.1/24
         nmcli connection up share",
    );
    let said = tablet.staff("nmcli connection up share").unwrap();
    assert_ne!(said.code, 0, "{said:?}");
    over(&tablet, "share");
}

#[test]
fn a_wifi_direct_connection_ends_when_the_tablet_is_held_and_none_stays_after_that() {
    let tablet = tablet();
    where_nobody_minds(&tablet);
    tablet.done(PEER).unwrap();
    neither_stays_nor_comes_back(&tablet, "beam", BEAM);
    tablet.done("systemctl stop peer").unwrap();
    over(&tablet, "beam");
}

fn over(tablet: &Tablet, connection: &str) {
    tablet
        .done(&format!("nmcli connection delete {connection} && systemctl stop NetworkManager && modprobe -r mac80211_hwsim"))
        .unwrap();
}
