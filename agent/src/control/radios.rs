//! Bluetooth, nearby sharing, NFC, hotspot and Wi-Fi Direct.

use super::{Control, Reading, Situation, Unread};
use nestwarden_policy_schema::control::ControlName;
use nestwarden_policy_schema::policy::Loosening;
use std::collections::BTreeSet;
use std::fmt;

/// Radios and sharing as a control.
#[derive(Debug)]
pub struct Radios;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RadiosWish {
    pub bluetooth: BluetoothWish,
    pub sharing_off: bool,
    pub nfc_off: bool,
    pub hotspot_off: bool,
    pub wifi_direct_off: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BluetoothWish {
    /// Staff may switch it as they like.
    Free,
    /// Only these services, by UUID in lower case: a hearing aid, a glucose monitor.
    Only(BTreeSet<String>),
    Off,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RadiosObserved {
    pub bluetooth: Reading<RadioSeen>,
    /// The only services Bluetooth lets through; empty when it lets all through.
    pub bluetooth_services: Reading<ServicesSeen>,
    pub sharing: Reading<SharingSeen>,
    pub nfc: Reading<RadioSeen>,
    pub hotspot: Reading<HotspotSeen>,
    /// Wi-Fi Direct connections.
    pub wifi_direct: Reading<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RadioSeen {
    pub state: RadioState,
    /// The agent switched it off.
    pub off_by_us: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RadioState {
    /// The tablet has no such radio.
    Absent,
    Off,
    On,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServicesSeen {
    pub only: BTreeSet<String>,
    /// The agent set the list.
    pub limited_by_us: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharingSeen {
    /// Sharing services that staff could start.
    pub startable: BTreeSet<String>,
    /// Sharing services that are running.
    pub running: BTreeSet<String>,
    /// The agent keeps some from starting.
    pub masked_by_us: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HotspotSeen {
    /// Staff may not open one, or there is no Wi-Fi to open one with.
    pub forbidden: bool,
    /// The agent forbids it.
    pub forbidden_by_us: bool,
    /// Hotspots that are open.
    pub active: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RadiosChange {
    BluetoothOff,
    LimitBluetooth { services: BTreeSet<String> },
    ForbidHotspot,
    StopHotspot,
    StopWifiDirect,
    NfcOff,
    MaskSharing { services: BTreeSet<String> },
    StopSharing { services: BTreeSet<String> },
    Unread { rule: RadioRule, unread: Unread },
    BluetoothBack,
    LiftBluetoothLimit,
    NfcBack,
    AllowHotspot,
    UnmaskSharing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RadioRule {
    Bluetooth,
    BluetoothServices,
    Sharing,
    Nfc,
    Hotspot,
    WifiDirect,
}

impl fmt::Display for RadioRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bluetooth => "Bluetooth",
            Self::BluetoothServices => "the allowed Bluetooth services",
            Self::Sharing => "nearby sharing",
            Self::Nfc => "NFC",
            Self::Hotspot => "the hotspot",
            Self::WifiDirect => "Wi-Fi Direct",
        })
    }
}

impl fmt::Display for RadiosChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |services: &BTreeSet<String>| {
            let names: Vec<_> = services.iter().map(String::as_str).collect();
            names.join(", ")
        };
        match self {
            Self::BluetoothOff => f.write_str("switch Bluetooth off"),
            Self::LimitBluetooth { services } => {
                write!(f, "limit Bluetooth to {}", list(services))
            }
            Self::ForbidHotspot => f.write_str("forbid hotspots"),
            Self::StopHotspot => f.write_str("switch the hotspot off"),
            Self::StopWifiDirect => f.write_str("end the Wi-Fi Direct connection"),
            Self::NfcOff => f.write_str("switch NFC off"),
            Self::MaskSharing { services } => {
                write!(f, "keep sharing from starting: {}", list(services))
            }
            Self::StopSharing { services } => write!(f, "stop sharing: {}", list(services)),
            Self::Unread { rule, unread } => write!(f, "check {rule}: {}", unread.reason()),
            Self::BluetoothBack => f.write_str("give Bluetooth back"),
            Self::LiftBluetoothLimit => f.write_str("let all Bluetooth services through"),
            Self::NfcBack => f.write_str("give NFC back"),
            Self::AllowHotspot => f.write_str("allow hotspots"),
            Self::UnmaskSharing => f.write_str("allow sharing"),
        }
    }
}

impl Control for Radios {
    const NAME: ControlName = ControlName::Radios;
    type Desired = RadiosWish;
    type Observed = RadiosObserved;
    type Change = RadiosChange;

    fn desired(situation: &Situation) -> Option<RadiosWish> {
        let policy = situation.policy.radios.as_ref()?;
        let contact = situation.in_contact_hours;
        let services: BTreeSet<String> = situation
            .exceptions
            .iter()
            .filter_map(|exception| match &exception.allow {
                Loosening::BluetoothService(uuid) => Some(uuid.to_lowercase()),
                Loosening::App(_)
                | Loosening::RemovableMedia
                | Loosening::Camera
                | Loosening::OpenOutsideContactHours => None,
            })
            .collect();
        let bluetooth = if policy.bluetooth.is_allowed(contact) {
            BluetoothWish::Free
        } else if services.is_empty() {
            BluetoothWish::Off
        } else {
            BluetoothWish::Only(services)
        };
        Some(RadiosWish {
            bluetooth,
            sharing_off: !policy.nearby_sharing.is_allowed(contact),
            nfc_off: !policy.nfc.is_allowed(contact),
            hotspot_off: !policy.hotspot.is_allowed(contact),
            wifi_direct_off: !policy.wifi_direct.is_allowed(contact),
        })
    }

    fn diff(desired: &RadiosWish, observed: &RadiosObserved) -> Vec<RadiosChange> {
        let mut changes = Changes::default();
        changes.bluetooth(&desired.bluetooth, observed);
        changes.nfc(desired.nfc_off, &observed.nfc);
        changes.hotspot(desired.hotspot_off, &observed.hotspot);
        changes.wifi_direct(desired.wifi_direct_off, &observed.wifi_direct);
        changes.sharing(desired.sharing_off, &observed.sharing);
        changes.in_order()
    }

    fn unread(change: &RadiosChange) -> Option<&Unread> {
        if let RadiosChange::Unread { unread, .. } = change {
            Some(unread)
        } else {
            None
        }
    }
}

/// Kept apart so that whatever tightens comes before whatever loosens.
#[derive(Default)]
struct Changes {
    tighter: Vec<RadiosChange>,
    looser: Vec<RadiosChange>,
}

impl Changes {
    fn in_order(mut self) -> Vec<RadiosChange> {
        self.tighter.append(&mut self.looser);
        self.tighter
    }

    fn unread(&mut self, rule: RadioRule, why: &Unread) {
        self.tighter.push(RadiosChange::Unread {
            rule,
            unread: why.clone(),
        });
    }

    fn bluetooth(&mut self, wish: &BluetoothWish, observed: &RadiosObserved) {
        match wish {
            BluetoothWish::Off => match &observed.bluetooth {
                Reading::Seen(radio) if radio.state == RadioState::On => {
                    self.tighter.push(RadiosChange::BluetoothOff);
                }
                Reading::Seen(_) => {}
                Reading::Unread(why) => self.unread(RadioRule::Bluetooth, why),
            },
            BluetoothWish::Only(services) => self.bluetooth_only(services, observed),
            BluetoothWish::Free => {
                if let Reading::Seen(services) = &observed.bluetooth_services
                    && services.limited_by_us
                {
                    self.looser.push(RadiosChange::LiftBluetoothLimit);
                }
                if let Reading::Seen(radio) = &observed.bluetooth
                    && radio.off_by_us
                {
                    self.looser.push(RadiosChange::BluetoothBack);
                }
            }
        }
    }

    fn bluetooth_only(&mut self, services: &BTreeSet<String>, observed: &RadiosObserved) {
        let radio = match &observed.bluetooth {
            Reading::Seen(radio) => radio,
            Reading::Unread(why) => return self.unread(RadioRule::Bluetooth, why),
        };
        match &observed.bluetooth_services {
            _ if radio.state == RadioState::Absent => {}
            Reading::Seen(seen) if seen.only == *services => {}
            Reading::Seen(_) => self.tighter.push(RadiosChange::LimitBluetooth {
                services: services.clone(),
            }),
            Reading::Unread(why) => {
                // The exception is for these services and not for the whole radio, which stays off until it can be limited.
                if radio.state == RadioState::On {
                    self.tighter.push(RadiosChange::BluetoothOff);
                }
                return self.unread(RadioRule::BluetoothServices, why);
            }
        }
        if radio.off_by_us {
            self.looser.push(RadiosChange::BluetoothBack);
        }
    }

    fn nfc(&mut self, off: bool, nfc: &Reading<RadioSeen>) {
        match nfc {
            Reading::Seen(radio) if off && radio.state == RadioState::On => {
                self.tighter.push(RadiosChange::NfcOff);
            }
            Reading::Seen(radio) if !off && radio.off_by_us => {
                self.looser.push(RadiosChange::NfcBack);
            }
            Reading::Unread(why) if off => self.unread(RadioRule::Nfc, why),
            Reading::Seen(_) | Reading::Unread(_) => {}
        }
    }

    fn hotspot(&mut self, off: bool, hotspot: &Reading<HotspotSeen>) {
        match hotspot {
            Reading::Seen(seen) if off => {
                if !seen.forbidden {
                    self.tighter.push(RadiosChange::ForbidHotspot);
                }
                if seen.active > 0 {
                    self.tighter.push(RadiosChange::StopHotspot);
                }
            }
            Reading::Seen(seen) if seen.forbidden_by_us => {
                self.looser.push(RadiosChange::AllowHotspot);
            }
            Reading::Unread(why) if off => self.unread(RadioRule::Hotspot, why),
            Reading::Seen(_) | Reading::Unread(_) => {}
        }
    }

    fn wifi_direct(&mut self, off: bool, active: &Reading<usize>) {
        match active {
            Reading::Seen(active) if off && *active > 0 => {
                self.tighter.push(RadiosChange::StopWifiDirect);
            }
            Reading::Unread(why) if off => self.unread(RadioRule::WifiDirect, why),
            Reading::Seen(_) | Reading::Unread(_) => {}
        }
    }

    fn sharing(&mut self, off: bool, sharing: &Reading<SharingSeen>) {
        match sharing {
            Reading::Seen(seen) if off => {
                if !seen.startable.is_empty() {
                    self.tighter.push(RadiosChange::MaskSharing {
                        services: seen.startable.clone(),
                    });
                }
                if !seen.running.is_empty() {
                    self.tighter.push(RadiosChange::StopSharing {
                        services: seen.running.clone(),
                    });
                }
            }
            Reading::Seen(seen) if seen.masked_by_us => {
                self.looser.push(RadiosChange::UnmaskSharing);
            }
            Reading::Unread(why) if off => self.unread(RadioRule::Sharing, why),
            Reading::Seen(_) | Reading::Unread(_) => {}
        }
    }
}

#[cfg(test)]
#[path = "radios_tests.rs"]
mod tests;
