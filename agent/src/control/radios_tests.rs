#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::control::testing::reading;
use crate::testing::situation;
use jiff::civil::date;
use nestwarden_policy_schema::policy::{Allowed, DatedException, RadiosPolicy};
use proptest::prelude::*;

fn everything_off() -> Situation {
    let mut now = situation();
    now.policy.radios = Some(RadiosPolicy {
        bluetooth: Allowed::OutsideContactHours,
        nearby_sharing: Allowed::Never,
        nfc: Allowed::Never,
        hotspot: Allowed::Never,
        wifi_direct: Allowed::Never,
        ..RadiosPolicy::default()
    });
    now
}

#[test]
fn bluetooth_is_off_in_contact_hours_and_free_outside_them() {
    let mut now = everything_off();
    assert_eq!(Radios::desired(&now).unwrap().bluetooth, BluetoothWish::Off);
    now.in_contact_hours = false;
    assert_eq!(
        Radios::desired(&now).unwrap().bluetooth,
        BluetoothWish::Free
    );
}

#[test]
fn an_exception_lets_its_service_through_and_no_other() {
    let mut now = everything_off();
    now.exceptions.push(DatedException {
        allow: Loosening::BluetoothService("0000FDF0-0000-1000-8000-00805F9B34FB".to_owned()),
        reason: "medical device".to_owned(),
        approved_by: "manager".to_owned(),
        from: date(2026, 1, 1),
        until: date(2026, 1, 1),
        medical: true,
    });
    assert_eq!(
        Radios::desired(&now).unwrap().bluetooth,
        BluetoothWish::Only(BTreeSet::from([
            "0000fdf0-0000-1000-8000-00805f9b34fb".to_owned()
        ]))
    );
}

#[test]
fn a_radio_that_cannot_be_limited_is_off_and_says_so() {
    let why = Unread::Unsupported("no list".to_owned());
    let mut observed = quiet();
    observed.bluetooth = Reading::Seen(RadioSeen {
        state: RadioState::On,
        off_by_us: false,
    });
    observed.bluetooth_services = Reading::Unread(why.clone());
    let wish = RadiosWish {
        bluetooth: BluetoothWish::Only(BTreeSet::from(["a".to_owned()])),
        sharing_off: false,
        nfc_off: false,
        hotspot_off: false,
        wifi_direct_off: false,
    };
    assert_eq!(
        Radios::diff(&wish, &observed),
        [
            RadiosChange::BluetoothOff,
            RadiosChange::Unread {
                rule: RadioRule::BluetoothServices,
                unread: why
            }
        ]
    );
}

fn quiet() -> RadiosObserved {
    let absent = Reading::Seen(RadioSeen {
        state: RadioState::Absent,
        off_by_us: false,
    });
    RadiosObserved {
        bluetooth: absent.clone(),
        bluetooth_services: Reading::Seen(ServicesSeen::default()),
        sharing: Reading::Seen(SharingSeen::default()),
        nfc: absent,
        hotspot: Reading::Seen(HotspotSeen::default()),
        wifi_direct: Reading::Seen(0),
    }
}

#[test]
fn a_tablet_without_radios_needs_nothing_but_the_hotspot_rule() {
    let wish = Radios::desired(&everything_off()).unwrap();
    assert_eq!(Radios::diff(&wish, &quiet()), [RadiosChange::ForbidHotspot]);
}

fn switch(reading: &mut Reading<RadioSeen>, state: RadioState, off_by_us: bool) {
    *reading = Reading::Seen(RadioSeen { state, off_by_us });
}

fn apply(observed: &mut RadiosObserved, change: &RadiosChange) {
    let quiet = quiet();
    match change {
        RadiosChange::BluetoothOff => switch(&mut observed.bluetooth, RadioState::Off, true),
        RadiosChange::BluetoothBack => switch(&mut observed.bluetooth, RadioState::On, false),
        RadiosChange::NfcOff => switch(&mut observed.nfc, RadioState::Off, true),
        RadiosChange::NfcBack => switch(&mut observed.nfc, RadioState::On, false),
        RadiosChange::LimitBluetooth { services } => {
            observed.bluetooth_services = Reading::Seen(ServicesSeen {
                only: services.clone(),
                limited_by_us: true,
            });
        }
        RadiosChange::LiftBluetoothLimit => {
            observed.bluetooth_services = quiet.bluetooth_services;
        }
        RadiosChange::ForbidHotspot => hotspot(observed).forbidden = true,
        RadiosChange::AllowHotspot => *hotspot(observed) = HotspotSeen::default(),
        RadiosChange::StopHotspot => hotspot(observed).active = 0,
        RadiosChange::StopWifiDirect => observed.wifi_direct = Reading::Seen(0),
        RadiosChange::MaskSharing { .. } => sharing(observed).startable.clear(),
        RadiosChange::UnmaskSharing => sharing(observed).masked_by_us = false,
        RadiosChange::StopSharing { .. } => sharing(observed).running.clear(),
        RadiosChange::Unread { rule, .. } => match rule {
            RadioRule::Bluetooth => observed.bluetooth = quiet.bluetooth,
            RadioRule::BluetoothServices => {
                switch(&mut observed.bluetooth, RadioState::Absent, false);
            }
            RadioRule::Sharing => observed.sharing = quiet.sharing,
            RadioRule::Nfc => observed.nfc = quiet.nfc,
            RadioRule::Hotspot => {
                observed.hotspot = Reading::Seen(HotspotSeen {
                    forbidden: true,
                    ..HotspotSeen::default()
                });
            }
            RadioRule::WifiDirect => observed.wifi_direct = Reading::Seen(0),
        },
    }
}

fn hotspot(observed: &mut RadiosObserved) -> &mut HotspotSeen {
    match &mut observed.hotspot {
        Reading::Seen(seen) => seen,
        Reading::Unread(_) => unreachable!("an unread hotspot is not changed"),
    }
}

fn sharing(observed: &mut RadiosObserved) -> &mut SharingSeen {
    match &mut observed.sharing {
        Reading::Seen(seen) => seen,
        Reading::Unread(_) => unreachable!("unread sharing is not changed"),
    }
}

fn loosens(change: &RadiosChange) -> bool {
    matches!(
        change,
        RadiosChange::BluetoothBack
            | RadiosChange::LiftBluetoothLimit
            | RadiosChange::NfcBack
            | RadiosChange::AllowHotspot
            | RadiosChange::UnmaskSharing
    )
}

fn radio() -> impl Strategy<Value = RadioSeen> {
    prop_oneof![
        Just((RadioState::Absent, false)),
        Just((RadioState::Off, false)),
        Just((RadioState::Off, true)),
        Just((RadioState::On, false)),
    ]
    .prop_map(|(state, off_by_us)| RadioSeen { state, off_by_us })
}

fn names() -> impl Strategy<Value = BTreeSet<String>> {
    prop::collection::btree_set("[a-c]", 0..3)
}

prop_compose! {
    fn observed()(
        bluetooth in reading(radio()),
        bluetooth_services in reading((names(), any::<bool>()).prop_map(|(only, limited_by_us)| ServicesSeen { only, limited_by_us })),
        sharing in reading((names(), names(), any::<bool>()).prop_map(|(startable, running, masked_by_us)| SharingSeen { startable, running, masked_by_us })),
        nfc in reading(radio()),
        hotspot in reading((any::<bool>(), any::<bool>(), 0..3_usize).prop_map(|(forbidden, ours, active)| HotspotSeen { forbidden, forbidden_by_us: forbidden && ours, active })),
        wifi_direct in reading(0..3_usize),
    ) -> RadiosObserved {
        RadiosObserved { bluetooth, bluetooth_services, sharing, nfc, hotspot, wifi_direct }
    }
}

prop_compose! {
    fn wish()(
        bluetooth in prop_oneof![Just(BluetoothWish::Free), Just(BluetoothWish::Off), prop::collection::btree_set("[a-c]", 1..3).prop_map(BluetoothWish::Only)],
        off in any::<[bool; 4]>(),
    ) -> RadiosWish {
        RadiosWish { bluetooth, sharing_off: off[0], nfc_off: off[1], hotspot_off: off[2], wifi_direct_off: off[3] }
    }
}

proptest! {
    #[test]
    fn nothing_is_left_after_every_change(wish in wish(), mut observed in observed()) {
        for change in Radios::diff(&wish, &observed.clone()) {
            apply(&mut observed, &change);
        }
        prop_assert_eq!(Radios::diff(&wish, &observed), vec![]);
    }

    #[test]
    fn tightening_comes_first(wish in wish(), observed in observed()) {
        let changes = Radios::diff(&wish, &observed);
        let first = changes.iter().position(loosens).unwrap_or(changes.len());
        prop_assert!(changes[first..].iter().all(loosens));
    }
}
