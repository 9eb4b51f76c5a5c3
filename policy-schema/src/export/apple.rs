//! A profile as an Apple configuration profile (`.mobileconfig`).
//!
//! Every rule in it is *exported, not observed*: an iPad obeys its own management client, and nothing here reads back
//! what it does. The notes say what could not be expressed and which keys need a supervised iPad.
//!
//! Keys as in Apple's device-management schema: `com.apple.applicationaccess`, `com.apple.mobiledevice.passwordpolicy`.

use crate::bytes::Digest;
use crate::policy::apps::AppSource;
use crate::policy::{
    Allowed, AppsPolicy, CameraPolicy, CameraUse, PasscodePolicy, Policy, RadiosPolicy, SetBy,
    StoragePolicy,
};
use crate::profile::PolicyProfile;
use plist::{Dictionary, Value};
use serde::Serialize;

const MARK: &str = "Exported, not observed: nothing reads back whether the iPad does this.";

/// An Apple configuration profile and what has to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppleExport {
    /// The XML property list.
    pub mobileconfig: String,
    /// In the order of the profile's controls.
    pub notes: Vec<Note>,
}

/// What a person has to know about one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Where it stands in our profile: `policy.radios.bluetooth`.
    pub rule: String,
    pub kind: NoteKind,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// In the file; nothing reads back whether it is done.
    ExportedNotObserved,
    /// In the file, and without effect unless the iPad is supervised.
    NeedsSupervision,
    /// In the file, but stricter or narrower than the rule.
    Approximated,
    /// Not in the file.
    NotExpressible,
}

#[derive(Debug, thiserror::Error)]
pub enum AppleExportError {
    #[error("the configuration profile could not be written as a property list")]
    Plist(#[from] plist::Error),
}

/// Writes `profile` for Apple devices. The same profile gives the same bytes.
pub fn export(profile: &PolicyProfile) -> Result<AppleExport, AppleExportError> {
    let mut writing = Writing::default();
    writing.policy(&profile.policy);
    writing.restrictions.sort_keys();
    writing.passcode.sort_keys();
    if !profile.exceptions.is_empty() {
        writing.note(
            "exception",
            NoteKind::NotExpressible,
            "a configuration profile has no dates: export again without the rule while an exception runs, and again when it ends",
        );
    }
    writing.supervised("profile", "PayloadRemovalDisallowed");
    let mut content = Vec::new();
    for keys in [&writing.restrictions, &writing.passcode] {
        Value::Dictionary(keys.clone()).to_writer_xml(&mut content)?;
    }
    let content = Digest::sha256(&content);
    let identifier = format!("nestwarden.{}", profile.name);
    let payloads = [
        (
            "com.apple.applicationaccess",
            "restrictions",
            writing.restrictions,
        ),
        (
            "com.apple.mobiledevice.passwordpolicy",
            "passcode",
            writing.passcode,
        ),
    ]
    .into_iter()
    .filter(|(_, _, keys)| !keys.is_empty())
    .map(|(kind, part, keys)| {
        let identifier = format!("{identifier}.{part}");
        Value::Dictionary(payload(kind, &identifier, part, &content, keys))
    })
    .collect();
    let mut root = Dictionary::new();
    root.insert("PayloadContent".to_owned(), Value::Array(payloads));
    root.insert(
        "PayloadDisplayName".to_owned(),
        profile.title.clone().into(),
    );
    root.insert("PayloadRemovalDisallowed".to_owned(), true.into());
    root.insert("PayloadScope".to_owned(), "System".into());
    let root = payload("Configuration", &identifier, &profile.title, &content, root);
    let mut xml = Vec::new();
    Value::Dictionary(root).to_writer_xml(&mut xml)?;
    let mut mobileconfig = String::from_utf8_lossy(&xml).into_owned();
    if !mobileconfig.ends_with('\n') {
        mobileconfig.push('\n');
    }
    Ok(AppleExport {
        mobileconfig,
        notes: writing.notes,
    })
}

/// Adds what every payload carries, and sorts the keys so that the file can be compared.
fn payload(
    kind: &str,
    identifier: &str,
    name: &str,
    content: &Digest,
    mut keys: Dictionary,
) -> Dictionary {
    let uuid = uuid_of(identifier, content);
    keys.insert("PayloadType".to_owned(), kind.into());
    keys.insert("PayloadVersion".to_owned(), 1.into());
    keys.insert("PayloadIdentifier".to_owned(), identifier.into());
    keys.insert("PayloadUUID".to_owned(), uuid.into());
    keys.insert("PayloadDisplayName".to_owned(), name.into());
    keys.insert("PayloadDescription".to_owned(), MARK.into());
    keys.sort_keys();
    keys
}

/// Derived from name and content, in the form of UUID version 8 (RFC 9562): exporting again replaces, and a changed
/// profile has another.
fn uuid_of(identifier: &str, content: &Digest) -> String {
    let digest = Digest::of_parts(
        "nestwarden/apple-payload/v1",
        &[identifier.as_bytes(), &content.0],
    );
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.0[..16]);
    let uuid = uuid::Builder::from_custom_bytes(bytes).into_uuid();
    uuid.hyphenated().to_string().to_uppercase()
}

#[derive(Default)]
struct Writing {
    restrictions: Dictionary,
    passcode: Dictionary,
    notes: Vec<Note>,
}

impl Writing {
    fn policy(&mut self, policy: &Policy) {
        if let Some(passcode) = &policy.passcode {
            self.passcode(passcode);
        }
        if let Some(apps) = &policy.apps {
            self.apps(apps);
        }
        if let Some(radios) = &policy.radios {
            self.radios(radios);
        }
        if let Some(storage) = &policy.storage {
            self.storage(storage);
        }
        if let Some(camera) = &policy.camera {
            self.camera(camera);
        }
        if policy.hours.is_some() {
            self.note(
                "policy.hours",
                NoteKind::NotExpressible,
                "a configuration profile knows no times of day; the iPad does not lock out of contact hours",
            );
        }
        if policy.photos.is_some() {
            // What can at least be kept from leaving the iPad by itself.
            for key in [
                "allowCloudPhotoLibrary",
                "allowSharedStream",
                "allowCloudBackup",
            ] {
                self.restrict("policy.photos", key);
            }
            self.note(
                "policy.photos",
                NoteKind::NotExpressible,
                "no Apple command deletes photos from the Photos library: withheld, sealed and destroyed do not happen on an iPad; delete by hand and record it",
            );
        }
        self.mode(policy);
    }

    fn mode(&mut self, policy: &Policy) {
        let observing = crate::control::ControlName::ALL
            .into_iter()
            .filter(|control| policy.mode(*control) == Some(crate::policy::Mode::Observe));
        let named: Vec<&str> = observing.map(crate::control::ControlName::as_str).collect();
        if !named.is_empty() {
            let text = format!(
                "a configuration profile cannot only observe: installing the file enforces {} at once",
                named.join(", ")
            );
            self.note("policy.*.mode", NoteKind::Approximated, &text);
        }
    }

    fn passcode(&mut self, policy: &PasscodePolicy) {
        let rule = "policy.passcode";
        let mut set = |key: &str, value: Value| {
            self.passcode.insert(key.to_owned(), value);
        };
        set("forcePIN", true.into());
        set("minLength", u64::from(policy.min_length).into());
        set("requireAlphanumeric", policy.alphanumeric.into());
        set("allowSimple", (!policy.refuse_simple).into());
        if policy.history > 0 {
            set("pinHistory", u64::from(policy.history).into());
        }
        let age = policy
            .max_age_days
            .filter(|_| policy.rotation.is_scheduled());
        if let Some(days) = age {
            set("maxPINAgeInDays", u64::from(days).into());
        }
        if let Some(minutes) = policy.auto_lock_minutes {
            // Apple takes at most 15 minutes.
            set("maxInactivity", u64::from(minutes.min(15)).into());
            if minutes > 15 {
                let text = format!(
                    "maxInactivity is 15 minutes, the most Apple takes, instead of {minutes}"
                );
                self.note(
                    "policy.passcode.auto_lock_minutes",
                    NoteKind::Approximated,
                    &text,
                );
            }
        }
        self.note(rule, NoteKind::ExportedNotObserved, MARK);
        if policy.max_failed_attempts.is_some() {
            self.note(
                "policy.passcode.max_failed_attempts",
                NoteKind::NotExpressible,
                "left out: on an iPad too many wrong tries erase it, and children hold these tablets",
            );
        }
        if policy.rotation.is_on_event() {
            self.note(
                "policy.passcode.rotation",
                NoteKind::NotExpressible,
                "a change when somebody leaves needs a management server (ClearPasscode); change it by hand and record it",
            );
        }
        if policy.set_by == SetBy::Manager {
            self.restrict_supervised("policy.passcode.set_by", "allowPasscodeModification");
            self.note(
                "policy.passcode.set_by",
                NoteKind::Approximated,
                "staff cannot change the code; set it on the iPad before installing the file",
            );
        }
    }

    fn apps(&mut self, policy: &AppsPolicy) {
        let rule = "policy.apps.allowed";
        let apple = policy
            .allowed
            .iter()
            .filter(|app| app.source() == AppSource::Apple);
        let bundle_ids: Vec<Value> = apple.map(|app| app.package().into()).collect();
        if bundle_ids.is_empty() {
            self.note(
                rule,
                NoteKind::NotExpressible,
                "no app of the list is one for iPads; add apps such as \"apple:com.apple.camera\", or the iPad would open nothing: the list was left out",
            );
        } else {
            self.restrictions.insert(
                "allowListedAppBundleIDs".to_owned(),
                Value::Array(bundle_ids),
            );
            self.supervised(rule, "allowListedAppBundleIDs");
            if policy
                .essential
                .iter()
                .all(|app| app.source() != AppSource::Apple)
            {
                self.note(
                    "policy.apps.essential",
                    NoteKind::NotExpressible,
                    "none of the essential apps is one for iPads; without one the register does not open there",
                );
            }
        }
        self.restrict_supervised("policy.apps", "allowAppInstallation");
        self.restrict_supervised("policy.apps", "allowAppRemoval");
        self.restrict_supervised("policy.apps", "allowUIConfigurationProfileInstallation");
    }

    fn radios(&mut self, policy: &RadiosPolicy) {
        for (rule, allowed, keys) in [
            (
                "policy.radios.bluetooth",
                policy.bluetooth,
                ["allowBluetoothModification"].as_slice(),
            ),
            (
                "policy.radios.nearby_sharing",
                policy.nearby_sharing,
                &["allowAirDrop"],
            ),
            ("policy.radios.nfc", policy.nfc, &["allowNFC"]),
            (
                "policy.radios.hotspot",
                policy.hotspot,
                &["allowPersonalHotspotModification"],
            ),
        ] {
            if !self.is_restricted(rule, allowed) {
                continue;
            }
            for key in keys {
                self.restrict_supervised(rule, key);
            }
        }
        if policy.nearby_sharing != Allowed::Always {
            // Where AirDrop stays on, because the iPad is not supervised, managed data must not leave by it.
            self.restrictions
                .insert("forceAirDropUnmanaged".to_owned(), true.into());
            self.restrict("policy.radios.nearby_sharing", "allowActivityContinuation");
        }
        if policy.bluetooth != Allowed::Always {
            self.note(
                "policy.radios.bluetooth",
                NoteKind::Approximated,
                "the key only freezes the switch where it stands: turn Bluetooth off before installing the file",
            );
        }
        if policy.wifi_direct != Allowed::Always {
            self.note(
                "policy.radios.wifi_direct",
                NoteKind::NotExpressible,
                "Apple has no switch for it; its own sharing is AirDrop",
            );
        }
    }

    fn storage(&mut self, policy: &StoragePolicy) {
        if self.is_restricted("policy.storage.removable_media", policy.removable_media) {
            self.restrict_supervised("policy.storage.removable_media", "allowFilesUSBDriveAccess");
        }
        if self.is_restricted("policy.storage.usb_transfer", policy.usb_transfer) {
            self.restrict_supervised("policy.storage.usb_transfer", "allowHostPairing");
        }
        if policy.require_encryption {
            self.note(
                "policy.storage.require_encryption",
                NoteKind::ExportedNotObserved,
                "an iPad encrypts itself once it has a passcode; nothing here reads it back",
            );
        }
    }

    fn camera(&mut self, policy: &CameraPolicy) {
        match policy.camera {
            CameraUse::Off => self.restrict("policy.camera.camera", "allowCamera"),
            CameraUse::InSession => self.note(
                "policy.camera.camera",
                NoteKind::NotExpressible,
                "a configuration profile knows no sessions: the camera was left on",
            ),
            CameraUse::On => {}
        }
        self.note(
            "policy.camera",
            NoteKind::NotExpressible,
            "the camera does not go off out of contact hours",
        );
    }

    /// Whether a switch goes into the file. What is allowed at some hours only is refused at all of them.
    fn is_restricted(&mut self, rule: &str, allowed: Allowed) -> bool {
        match allowed {
            Allowed::Always => false,
            Allowed::OutsideContactHours => {
                let text = "a configuration profile knows no times of day: off at all hours";
                self.note(rule, NoteKind::Approximated, text);
                true
            }
            Allowed::Never => true,
        }
    }

    fn restrict(&mut self, rule: &str, key: &str) {
        self.restrictions.insert(key.to_owned(), false.into());
        let text = format!("{key} = false. {MARK}");
        self.note(rule, NoteKind::ExportedNotObserved, &text);
    }

    fn restrict_supervised(&mut self, rule: &str, key: &str) {
        self.restrictions.insert(key.to_owned(), false.into());
        self.supervised(rule, key);
    }

    fn supervised(&mut self, rule: &str, key: &str) {
        let text = format!("{key}: without effect unless the iPad is supervised. {MARK}");
        self.note(rule, NoteKind::NeedsSupervision, &text);
    }

    fn note(&mut self, rule: &str, kind: NoteKind, text: &str) {
        self.notes.push(Note {
            rule: rule.to_owned(),
            kind,
            text: text.to_owned(),
        });
    }
}
