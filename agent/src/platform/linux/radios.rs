//! Radios and sharing: rfkill first, and the services that drive the radios where they run.

use super::bluez::{self, Adapter};
use super::bus::{BusDoor, CallError};
use super::network::{self, WifiUse};
use super::rfkill::{self, RadioKind};
use super::sharing;
use super::tablet::Tablet;
use crate::control::radios::{
    HotspotSeen, RadioSeen, RadioState, Radios, RadiosChange, RadiosObserved, ServicesSeen,
};
use crate::control::{EnforceError, Enforcer, Reading};
use crate::paths::Paths;
use std::collections::BTreeSet;

const POLKIT_PATH: &str = "/etc/polkit-1/rules.d/50-nestwarden-radios.rules";
const POLKIT_RULES: &str = "\
// Written by Nestwarden: hotspots are forbidden on this tablet. Changes are undone.
polkit.addRule(function(action, subject) {
    if (action.id.indexOf(\"org.freedesktop.NetworkManager.wifi.share.\") === 0) {
        return polkit.Result.NO;
    }
    return polkit.Result.NOT_HANDLED;
});
";
const BLUETOOTH_DIR: &str = "/sys/class/bluetooth";
const NFC_DIR: &str = "/sys/class/nfc";
const WIFI_DIR: &str = "/sys/class/ieee80211";
const BLUETOOTH_OFF: &str = "radios/bluetooth";
const NFC_OFF: &str = "radios/nfc";
const LIMITED: &str = "radios/bluetooth_services";

/// rfkill, BlueZ, NetworkManager and the sharing services.
#[derive(Debug)]
pub struct RadiosEnforcer {
    tablet: Tablet,
    door: BusDoor,
}

impl RadiosEnforcer {
    pub fn new(paths: &Paths) -> Self {
        let tablet = Tablet::new(paths);
        let door = BusDoor::new(&tablet);
        Self { tablet, door }
    }

    fn remembers(&self, name: &str) -> Result<bool, EnforceError> {
        Ok(self.tablet.previous().recall(name)?.contains_key(name))
    }

    fn radio(&self, state: RadioState, remembered: &str) -> Result<RadioSeen, EnforceError> {
        let off_by_us = state == RadioState::Off && self.remembers(remembered)?;
        Ok(RadioSeen { state, off_by_us })
    }

    fn bluetooth(&mut self) -> Result<RadioSeen, EnforceError> {
        self.tablet.needs_sysfs("Bluetooth")?;
        let switches = rfkill::switches(&self.tablet, RadioKind::Bluetooth)?;
        let has_adapter = self
            .tablet
            .list(BLUETOOTH_DIR)?
            .iter()
            .any(|name| name.starts_with("hci") && !name.contains(':'));
        let state = if switches.is_empty() && !has_adapter {
            RadioState::Absent
        } else if switches.is_empty() {
            // A kernel without rfkill: only bluetoothd can say.
            let is_powered = self.adapters()?.iter().any(|adapter| adapter.is_powered);
            state_of(is_powered)
        } else {
            state_of(switches.iter().any(|switch| !switch.is_blocked))
        };
        self.radio(state, BLUETOOTH_OFF)
    }

    /// bluetoothd's adapters; unsupported where it does not run.
    fn adapters(&mut self) -> Result<Vec<Adapter>, EnforceError> {
        match bluez::adapters(self.door.bus()?) {
            Ok(adapters) => Ok(adapters),
            Err(CallError::Absent(_)) => Err(EnforceError::Unsupported(
                "bluetoothd is not running".to_owned(),
            )),
            Err(e) => Err(e.into_failed("read the Bluetooth adapters")),
        }
    }

    fn bluetooth_services(&mut self) -> Result<ServicesSeen, EnforceError> {
        let limited_by_us = self.remembers(LIMITED)?;
        let adapters = self.adapters()?;
        if adapters.is_empty() {
            return Err(EnforceError::Unsupported(
                "bluetoothd drives no adapter, so that nobody can limit what this one lets through"
                    .to_owned(),
            ));
        }
        if adapters.iter().any(|adapter| !adapter.can_be_limited) {
            return Err(EnforceError::Unsupported(
                "bluetoothd cannot limit its services; use one that is built with its `admin` plugin, which Debian's is not"
                    .to_owned(),
            ));
        }
        let mut lists = BTreeSet::new();
        for adapter in &adapters {
            let list = bluez::allowed_services(self.door.bus()?, adapter)
                .map_err(|e| e.into_failed("read the allowed Bluetooth services"))?;
            lists.insert(list);
        }
        // Adapters that differ read as one that lets everything through.
        let only = match lists.len() {
            1 => lists.pop_first().unwrap_or_default(),
            _ => BTreeSet::new(),
        };
        Ok(ServicesSeen {
            only,
            limited_by_us,
        })
    }

    fn nfc(&self) -> Result<RadioSeen, EnforceError> {
        self.tablet.needs_sysfs("NFC")?;
        let switches = rfkill::switches(&self.tablet, RadioKind::Nfc)?;
        let has_adapter = !self.tablet.list(NFC_DIR)?.is_empty();
        let state = if switches.is_empty() && !has_adapter {
            RadioState::Absent
        } else if switches.is_empty() {
            return Err(EnforceError::Unsupported(
                "this kernel has no switch for NFC; use one with rfkill".to_owned(),
            ));
        } else {
            state_of(switches.iter().any(|switch| !switch.is_blocked))
        };
        self.radio(state, NFC_OFF)
    }

    fn has_wifi(&self) -> Result<bool, EnforceError> {
        self.tablet.needs_sysfs("Wi-Fi")?;
        Ok(!self.tablet.list(WIFI_DIR)?.is_empty())
    }

    fn active(&mut self, wanted: WifiUse) -> Result<Vec<zbus::OwnedObjectPath>, EnforceError> {
        match network::active(self.door.bus()?, wanted) {
            Ok(active) => Ok(active),
            Err(CallError::Absent(_)) => Err(EnforceError::Unsupported(
                "NetworkManager is not running, so that nobody can tell what Wi-Fi is used for"
                    .to_owned(),
            )),
            Err(e) => Err(e.into_failed("read the network connections")),
        }
    }

    fn hotspot(&mut self) -> Result<HotspotSeen, EnforceError> {
        let forbidden_by_us = self.tablet.exists(POLKIT_PATH);
        if !self.has_wifi()? {
            return Ok(HotspotSeen {
                forbidden: true,
                forbidden_by_us,
                active: 0,
            });
        }
        Ok(HotspotSeen {
            forbidden: self.tablet.read(POLKIT_PATH)?.as_deref() == Some(POLKIT_RULES),
            forbidden_by_us,
            active: self.active(WifiUse::Hotspot)?.len(),
        })
    }

    fn wifi_direct(&mut self) -> Result<usize, EnforceError> {
        if self.has_wifi()? {
            Ok(self.active(WifiUse::WifiDirect)?.len())
        } else {
            Ok(0)
        }
    }

    fn stop(&mut self, wanted: WifiUse) -> Result<(), EnforceError> {
        for connection in self.active(wanted)? {
            network::deactivate(self.door.bus()?, &connection)
                .map_err(|e| e.into_failed("end a network connection"))?;
        }
        Ok(())
    }

    fn set_bluetooth(&mut self, on: bool) -> Result<(), EnforceError> {
        if !rfkill::switches(&self.tablet, RadioKind::Bluetooth)?.is_empty() {
            rfkill::set_blocked(&self.tablet, RadioKind::Bluetooth, !on)?;
            if !on || !self.tablet.is_whole_machine() {
                return Ok(());
            }
        }
        match self.adapters() {
            Ok(adapters) => {
                for adapter in &adapters {
                    bluez::set_powered(self.door.bus()?, adapter, on)
                        .map_err(|e| e.into_failed("switch a Bluetooth adapter"))?;
                }
                Ok(())
            }
            // Freed it is; whether bluetoothd runs to use it is not ours to say.
            Err(EnforceError::Unsupported(_)) if on => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn bluetooth_off(&mut self) -> Result<(), EnforceError> {
        self.tablet.previous().remember(BLUETOOTH_OFF, Some("on"))?;
        self.set_bluetooth(false)
    }

    fn bluetooth_back(&mut self) -> Result<(), EnforceError> {
        self.set_bluetooth(true)?;
        self.tablet.previous().forget(BLUETOOTH_OFF)
    }

    fn limit_bluetooth(&mut self, services: &BTreeSet<String>) -> Result<(), EnforceError> {
        self.tablet.previous().remember(LIMITED, None)?;
        for adapter in self.adapters()? {
            bluez::allow_services(self.door.bus()?, &adapter, services)
                .map_err(|e| e.into_failed("limit the Bluetooth services"))?;
        }
        Ok(())
    }

    fn lift_bluetooth_limit(&mut self) -> Result<(), EnforceError> {
        for adapter in self.adapters()? {
            bluez::allow_services(self.door.bus()?, &adapter, &BTreeSet::new())
                .map_err(|e| e.into_failed("lift the limit of Bluetooth services"))?;
        }
        self.tablet.previous().forget(LIMITED)
    }

    fn given_back(
        &mut self,
        name: &str,
        give_back: impl FnOnce(&mut Self) -> Result<(), EnforceError>,
    ) -> Result<(), EnforceError> {
        if self.remembers(name)? {
            give_back(self)
        } else {
            Ok(())
        }
    }

    fn nfc_off(&self) -> Result<(), EnforceError> {
        self.tablet.previous().remember(NFC_OFF, Some("on"))?;
        rfkill::set_blocked(&self.tablet, RadioKind::Nfc, true)
    }

    fn nfc_back(&self) -> Result<(), EnforceError> {
        rfkill::set_blocked(&self.tablet, RadioKind::Nfc, false)?;
        self.tablet.previous().forget(NFC_OFF)
    }
}

const fn state_of(on: bool) -> RadioState {
    if on { RadioState::On } else { RadioState::Off }
}

impl Enforcer<Radios> for RadiosEnforcer {
    fn observe(&mut self) -> Result<RadiosObserved, EnforceError> {
        let bluetooth = Reading::from(self.bluetooth());
        let is_absent =
            matches!(&bluetooth, Reading::Seen(radio) if radio.state == RadioState::Absent);
        // Without an adapter there is nothing that could be let through.
        let bluetooth_services = if is_absent {
            Reading::Seen(ServicesSeen::default())
        } else {
            Reading::from(self.bluetooth_services())
        };
        Ok(RadiosObserved {
            bluetooth,
            bluetooth_services,
            sharing: Reading::from(sharing::seen(&self.tablet)),
            nfc: Reading::from(self.nfc()),
            hotspot: Reading::from(self.hotspot()),
            wifi_direct: Reading::from(self.wifi_direct()),
        })
    }

    fn apply(&mut self, change: &RadiosChange) -> Result<(), EnforceError> {
        match change {
            RadiosChange::BluetoothOff => self.bluetooth_off(),
            RadiosChange::LimitBluetooth { services } => self.limit_bluetooth(services),
            RadiosChange::ForbidHotspot => self.tablet.write(POLKIT_PATH, POLKIT_RULES, 0o644),
            RadiosChange::StopHotspot => self.stop(WifiUse::Hotspot),
            RadiosChange::StopWifiDirect => self.stop(WifiUse::WifiDirect),
            RadiosChange::NfcOff => self.nfc_off(),
            RadiosChange::MaskSharing { .. } => sharing::mask(&self.tablet),
            RadiosChange::StopSharing { .. } => sharing::stop(&self.tablet),
            RadiosChange::Unread { unread, .. } => Err(unread.into()),
            RadiosChange::BluetoothBack => self.bluetooth_back(),
            RadiosChange::LiftBluetoothLimit => self.lift_bluetooth_limit(),
            RadiosChange::NfcBack => self.nfc_back(),
            RadiosChange::AllowHotspot => self.tablet.remove(POLKIT_PATH),
            RadiosChange::UnmaskSharing => sharing::unmask(&self.tablet),
        }
    }

    /// What cannot be given back (by a service that does not run, say) holds up nothing else.
    fn release(&mut self) -> Result<(), EnforceError> {
        let given_back = [
            self.given_back(LIMITED, Self::lift_bluetooth_limit),
            self.given_back(BLUETOOTH_OFF, Self::bluetooth_back),
            self.given_back(NFC_OFF, |radios| radios.nfc_back()),
            sharing::unmask(&self.tablet),
            self.tablet.remove(POLKIT_PATH),
        ];
        given_back.into_iter().collect()
    }
}

#[cfg(test)]
#[path = "radios_tests.rs"]
mod tests;
