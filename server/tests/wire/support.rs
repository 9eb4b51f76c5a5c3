//! A setting, a clock and a bundle for the tests.

use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::bytes::Secret;
use nestwarden_policy_schema::calendar::{Calendar, Day, TimeRange};
use nestwarden_policy_schema::consent::RegisterSnapshot;
use nestwarden_policy_schema::hold::HoldList;
use nestwarden_policy_schema::id::{DeviceId, SettingId};
use nestwarden_policy_schema::policy::Policy;
use nestwarden_server::door::Clock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

pub(crate) fn setting() -> SettingId {
    SettingId::from_uuid(Uuid::from_u128(0x5e77))
}

pub(crate) fn device(number: u128) -> DeviceId {
    DeviceId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn start() -> Timestamp {
    "2026-03-02T08:00:00Z".parse().unwrap()
}

/// A clock that moves only when it is told to.
#[derive(Clone)]
pub(crate) struct SetClock(Arc<Mutex<Timestamp>>);

impl SetClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(start())))
    }

    pub(crate) fn advance(&self, by: SignedDuration) {
        let mut now = self.0.lock().unwrap();
        *now += by;
    }

    pub(crate) fn door(&self) -> Arc<dyn Clock> {
        Arc::new(self.clone())
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

pub(crate) fn bundle(device: DeviceId, generation: u64) -> Bundle {
    let monday = TimeRange {
        from: "08:00".parse().unwrap(),
        to: "18:00".parse().unwrap(),
    };
    Bundle {
        setting: setting(),
        device,
        generation: Generation::new(generation),
        issued_at: start(),
        expires_at: start() + SignedDuration::from_hours(7 * 24),
        setting_name: None,
        device_name: "Ladybirds 1".to_owned(),
        rooms: BTreeSet::new(),
        profile: "early-years".to_owned(),
        calendar: Calendar {
            time_zone: "Europe/London".to_owned(),
            contact_hours: BTreeMap::from([(Day::Monday, vec![monday])]),
            closures: BTreeSet::new(),
        },
        policy: Policy::default(),
        exceptions: Vec::new(),
        requires: BTreeMap::new(),
        register: RegisterSnapshot {
            as_of: start(),
            children: BTreeMap::new(),
        },
        holds: HoldList::new(start(), Vec::new()),
        roster: BTreeSet::new(),
        aup: None,
        custody: None,
        corrections: Vec::new(),
        found_photos: None,
        put_back: None,
        commands: Vec::new(),
        passcode_orders: Vec::new(),
        access_requests: Vec::new(),
        photo_hash_key: Secret::new(vec![7; 32]),
        release_recipient: "age1release".to_owned(),
        recovery_recipient: "age1recovery".to_owned(),
        anchors: None,
    }
}
