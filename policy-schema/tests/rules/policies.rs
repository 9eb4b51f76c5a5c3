//! Policies of every kind, for the properties of merging.

use nestwarden_policy_schema::consent::Purpose;
use nestwarden_policy_schema::policy::{
    Allowed, AppId, AppsPolicy, CameraPolicy, CameraUse, HoursPolicy, Mode, PasscodePolicy,
    PhotosPolicy, Policy, RadiosPolicy, RequirementId, Rotation, SetBy, StoragePolicy,
};
use proptest::option::of;
use proptest::prelude::*;
use std::collections::BTreeSet;

pub(crate) fn app(number: u8) -> AppId {
    format!("dpkg:app{number}").parse().unwrap()
}

fn mode() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![Mode::Observe, Mode::Enforce])
}

fn allowed() -> impl Strategy<Value = Allowed> {
    prop::sample::select(vec![
        Allowed::Always,
        Allowed::OutsideContactHours,
        Allowed::Never,
    ])
}

fn requirements() -> impl Strategy<Value = BTreeSet<RequirementId>> {
    prop::collection::btree_set(
        (1u8..40).prop_map(|n| format!("R{n}").parse().unwrap()),
        0..3,
    )
}

fn apps() -> impl Strategy<Value = BTreeSet<AppId>> {
    prop::collection::btree_set((0u8..6).prop_map(app), 0..5)
}

prop_compose! {
    fn passcode()(
        (mode, requirements) in (mode(), requirements()),
        min_length in 4u8..17,
        (alphanumeric, refuse_simple) in any::<(bool, bool)>(),
        history in 0u8..51,
        rotation in prop::sample::select(vec![Rotation::Scheduled, Rotation::Event, Rotation::Both]),
        max_age_days in of(1u16..731),
        max_failed_attempts in of(3u8..51),
        auto_lock_minutes in of(1u8..61),
        set_by in prop::sample::select(vec![SetBy::User, SetBy::Manager]),
    ) -> PasscodePolicy {
        PasscodePolicy {
            mode, requirements, min_length, alphanumeric, refuse_simple, history, rotation,
            max_age_days, max_failed_attempts, auto_lock_minutes, set_by,
        }
    }
}

prop_compose! {
    fn photos()(
        (mode, requirements) in (mode(), requirements()),
        roots in prop::collection::btree_set(prop::sample::select(vec!["/home/*/Pictures", "/home/*/DCIM", "/srv/photos"]), 0..3),
        purposes in prop::collection::btree_map(prop::sample::select(Purpose::ALL.to_vec()), 1u16..367, 0..5),
        days in prop::array::uniform8(1u16..29),
    ) -> PhotosPolicy {
        PhotosPolicy {
            mode,
            requirements,
            capture_roots: roots.into_iter().map(str::to_owned).collect(),
            purposes,
            max_age_days: days[0],
            after_upload_hours: days[1],
            untagged_opening_days: days[2],
            destroy_after_opening_days: days[3],
            destroy_unconfirmed_after_days: days[4],
            leaver_days: days[5],
            lease_opening_days: days[6],
            max_destroyed_per_hour: days[7],
        }
    }
}

prop_compose! {
    pub(crate) fn policy()(
        passcode in of(passcode()),
        apps in of((mode(), requirements(), apps(), apps()).prop_map(|(mode, requirements, allowed, essential)| {
            AppsPolicy { mode, requirements, allowed, essential }
        })),
        radios in of((mode(), requirements(), prop::array::uniform5(allowed())).prop_map(|(mode, requirements, a)| {
            RadiosPolicy { mode, requirements, bluetooth: a[0], nearby_sharing: a[1], nfc: a[2], hotspot: a[3], wifi_direct: a[4] }
        })),
        storage in of((mode(), requirements(), allowed(), allowed(), any::<bool>()).prop_map(|(mode, requirements, removable_media, usb_transfer, require_encryption)| {
            StoragePolicy { mode, requirements, removable_media, usb_transfer, require_encryption }
        })),
        camera in of((mode(), requirements(), prop::sample::select(vec![CameraUse::On, CameraUse::InSession, CameraUse::Off])).prop_map(|(mode, requirements, camera)| {
            CameraPolicy { mode, requirements, camera }
        })),
        hours in of((mode(), requirements(), any::<bool>(), 0u8..121).prop_map(|(mode, requirements, lock_outside_contact_hours, margin_minutes)| {
            HoursPolicy { mode, requirements, lock_outside_contact_hours, margin_minutes }
        })),
        photos in of(photos()),
    ) -> Policy {
        Policy { passcode, apps, radios, storage, camera, hours, photos }
    }
}
