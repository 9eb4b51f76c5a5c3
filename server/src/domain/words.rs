//! How roles, controls and causes are called, on pages and in reports.

use crate::storage::Role;
use nestwarden_policy_schema::consent::Cause;
use nestwarden_policy_schema::control::ControlName;

pub const fn role(role: Role) -> &'static str {
    match role {
        Role::ItAdmin => "IT admin",
        Role::Manager => "Manager",
        Role::Dsl => "DSL",
        Role::Deputy => "Deputy DSL",
        Role::Auditor => "Auditor",
    }
}

pub const fn control(control: ControlName) -> &'static str {
    match control {
        ControlName::Passcode => "Passcode",
        ControlName::Apps => "Apps",
        ControlName::Radios => "Bluetooth and sharing",
        ControlName::Storage => "Memory cards and cable",
        ControlName::Camera => "Camera",
        ControlName::Hours => "Hours",
        ControlName::Photos => "Photos",
    }
}

pub const fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Withdrawn => "Consent withdrawn",
        Cause::Expired => "Consent ran out",
        Cause::NoConsent => "No usable consent",
        Cause::NoCommonPurpose => "No purpose in common",
        Cause::PossibleChild => "May show a child without consent",
        Cause::Restricted => "Restriction",
        Cause::Left => "Child left",
        Cause::NotOnRegister => "Child not on the register",
        Cause::UnregisteredPerson => "Shows somebody unregistered",
        Cause::Untagged => "Nobody said who is in it",
        Cause::Uploaded => "Uploaded",
        Cause::MaximumAge => "Kept as long as allowed",
        Cause::Lease => "Tablet too long without the server",
        Cause::Lost => "Tablet marked as lost",
    }
}
