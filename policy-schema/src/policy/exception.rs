//! The sole loosening: a dated exception with a reason and an approver, applied after the merge.

use super::{Allowed, AppId, CameraUse, Policy};
use crate::calendar::Calendar;
use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an exception allows while it runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Loosening {
    /// One Bluetooth service by UUID, for a hearing aid, a glucose monitor or pump, or a named speaker.
    BluetoothService(String),
    /// One more app.
    App(AppId),
    /// Removable media, for example to hand files to an inspector.
    RemovableMedia,
    /// The camera outside a session, for example for an outing.
    Camera,
    /// The tablet open out of contact hours.
    OpenOutsideContactHours,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct DatedException {
    pub allow: Loosening,
    /// Never empty. No health details: "medical device" is enough.
    pub reason: String,
    /// The manager or DSL who approved it.
    pub approved_by: String,
    /// First local day.
    pub from: Date,
    /// Last local day.
    pub until: Date,
    /// Medical exceptions go on past their end until somebody decides; the server warns from 14 days before.
    #[serde(default)]
    pub medical: bool,
}

impl DatedException {
    /// Whether it loosens anything at `now`.
    pub fn is_active(&self, calendar: &Calendar, now: Timestamp) -> bool {
        calendar.start_of(self.from) <= now && (self.medical || now < calendar.end_of(self.until))
    }
}

/// The policy with every exception that is active at `now` applied. Control modes and absent controls stay as they are.
///
/// Bluetooth services are not folded in: the radio stays governed, and only the listed services are let through. See
/// [`bluetooth_services`].
pub fn with_exceptions(
    policy: &Policy,
    exceptions: &[DatedException],
    calendar: &Calendar,
    now: Timestamp,
) -> Policy {
    let mut loosened = policy.clone();
    for exception in exceptions.iter().filter(|e| e.is_active(calendar, now)) {
        match &exception.allow {
            Loosening::BluetoothService(_) => {}
            Loosening::App(app) => {
                if let Some(apps) = &mut loosened.apps {
                    apps.allowed.insert(app.clone());
                }
            }
            Loosening::RemovableMedia => {
                if let Some(storage) = &mut loosened.storage {
                    storage.removable_media = Allowed::Always;
                }
            }
            Loosening::Camera => {
                if let Some(camera) = &mut loosened.camera {
                    camera.camera = CameraUse::On;
                }
            }
            Loosening::OpenOutsideContactHours => {
                if let Some(hours) = &mut loosened.hours {
                    hours.lock_outside_contact_hours = false;
                }
            }
        }
    }
    loosened
}

/// The Bluetooth service UUIDs that active exceptions let through.
pub fn bluetooth_services(
    exceptions: &[DatedException],
    calendar: &Calendar,
    now: Timestamp,
) -> Vec<String> {
    exceptions
        .iter()
        .filter(|e| e.is_active(calendar, now))
        .filter_map(|e| match &e.allow {
            Loosening::BluetoothService(uuid) => Some(uuid.clone()),
            Loosening::App(_)
            | Loosening::RemovableMedia
            | Loosening::Camera
            | Loosening::OpenOutsideContactHours => None,
        })
        .collect()
}
