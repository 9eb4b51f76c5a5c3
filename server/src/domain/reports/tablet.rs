//! What the events of one tablet come to within a period, taken one after the other. Pure: the same events come to the same
//! figures here and wherever the evidence is checked.

use super::figures::{
    DayEvents, Encryption, Gap, InForce, OnDay, Passcode, Range, TabletCounts, TabletEvents, Told,
};
use super::merkle::Merkle;
use super::period::Days;
use super::photos::{Known, Photos};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::control::{ControlName, Outcome, wording};
use nestwarden_policy_schema::event::{Event, EventBody};
use nestwarden_policy_schema::id::{ConsentId, DeviceId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Takes every event of a tablet up to the last that is used, in the order of their numbers.
pub struct Tally<'a> {
    days: &'a Days,
    device: DeviceId,
    first_seq: Option<u64>,
    last_seq: u64,
    head: Option<Digest>,
    merkle: Merkle,
    gaps: Vec<Gap>,
    controls: BTreeMap<ControlName, Told>,
    on: BTreeMap<ControlName, OnDay>,
    by_day: Vec<DayEvents>,
    /// Up to which day it is settled how its controls stood when it began.
    settled: usize,
    counts: TabletCounts,
    passcode: Passcode,
    encryption: Encryption,
    clock_doubtful: bool,
    in_force: Option<InForce>,
    photos: Photos,
}

/// How a tablet stood after its first events, all of before any period that goes on from here.
#[derive(Serialize, Deserialize)]
pub(super) struct Standing {
    /// The last event that was read.
    pub(super) seq: u64,
    /// Events without a body.
    pub(super) erased: u64,
    head: Option<Digest>,
    gaps: Vec<Gap>,
    controls: BTreeMap<ControlName, Told>,
    on: BTreeMap<ControlName, OnDay>,
    passcode: Passcode,
    encryption: Encryption,
    clock_doubtful: bool,
    in_force: Option<InForce>,
    photos: Known,
}

/// What the events of a tablet come to, with what is added up over all tablets.
pub struct Tallied {
    pub events: TabletEvents,
    /// From sealed to destroyed.
    pub destructions: Vec<SignedDuration>,
    /// Photos destroyed because a consent was withdrawn: which, and when they were sealed.
    pub withdrawn: Vec<(ConsentId, Timestamp)>,
}

impl<'a> Tally<'a> {
    pub fn new(device: DeviceId, days: &'a Days) -> Self {
        let by_day = days.iter().map(|(day, _, _)| DayEvents {
            day,
            events: 0,
            controls: OnDay::NotKnown,
            radio_drift: 0,
            apps_blocked: 0,
            captured: 0,
            lapsed: 0,
            sealed: 0,
            destroyed: 0,
        });
        Self {
            days,
            device,
            first_seq: None,
            last_seq: 0,
            head: None,
            merkle: Merkle::default(),
            gaps: Vec::new(),
            controls: BTreeMap::new(),
            on: BTreeMap::new(),
            by_day: by_day.collect(),
            settled: 0,
            counts: TabletCounts::default(),
            passcode: Passcode::NotKnown,
            encryption: Encryption::NotKnown,
            clock_doubtful: false,
            in_force: None,
            photos: Photos::new(days.begins(), days.ends(), Known::new()),
        }
    }

    /// Goes on after events that were read before.
    pub(super) fn resumed(device: DeviceId, days: &'a Days, standing: Standing) -> Self {
        let counts = TabletCounts {
            erased_before: standing.erased,
            ..TabletCounts::default()
        };
        Self {
            last_seq: standing.seq,
            head: standing.head,
            gaps: standing.gaps,
            controls: standing.controls,
            on: standing.on,
            counts,
            passcode: standing.passcode,
            encryption: standing.encryption,
            clock_doubtful: standing.clock_doubtful,
            in_force: standing.in_force,
            photos: Photos::new(days.begins(), days.ends(), standing.photos),
            ..Self::new(device, days)
        }
    }

    /// As long as no event of the period was taken.
    pub(super) fn standing(&self) -> Standing {
        Standing {
            seq: self.last_seq,
            erased: self.counts.erased_before,
            head: self.head,
            gaps: self.gaps.clone(),
            controls: self.controls.clone(),
            on: self.on.clone(),
            passcode: self.passcode,
            encryption: self.encryption,
            clock_doubtful: self.clock_doubtful,
            in_force: self.in_force,
            photos: self.photos.known(),
        }
    }

    pub fn take(&mut self, event: &Event) {
        if event.seq != self.last_seq + 1 {
            self.gaps.push(Gap {
                after: self.last_seq,
                before: event.seq,
            });
        }
        self.last_seq = event.seq;
        self.head = Some(event.hash);
        let begun = self.days.begins() <= event.at && event.at < self.days.ends();
        if begun && self.first_seq.is_none() {
            self.first_seq = Some(event.seq);
        }
        if self.first_seq.is_some() {
            self.merkle.add(&event.hash.0);
        }
        // A clock that ran ahead: the event says it is of later, and counts then.
        if event.at >= self.days.ends() {
            return;
        }
        let day = self.days.index_of(event.at);
        if let Some(day) = day {
            self.settle(day);
            self.counts.events += 1;
            self.by_day[day].events += 1;
        }
        let Some(body) = &event.body else {
            match day {
                Some(_) => self.counts.erased += 1,
                None => self.counts.erased_before += 1,
            }
            return;
        };
        match serde_json::from_str(body) {
            Ok(body) => self.body(event.at, day, body),
            Err(_) if day.is_some() => self.counts.unread += 1,
            Err(_) => {}
        }
    }

    pub fn finish(mut self) -> Tallied {
        let last = self.by_day.len();
        self.settle(last);
        let photos = self.photos.finish(&mut self.counts);
        for captured_at in &photos.captured_at {
            if let Some(day) = self.days.index_of(*captured_at) {
                self.by_day[day].captured += 1;
            }
        }
        Tallied {
            events: TabletEvents {
                device: self.device,
                range: Range {
                    first_seq: self.first_seq,
                    last_seq: self.last_seq,
                    head: self.head,
                    merkle_root: self.merkle.root(),
                    gaps: self.gaps,
                },
                days: self.by_day,
                counts: self.counts,
                controls: self.controls,
                passcode: self.passcode,
                encryption: self.encryption,
                clock_doubtful: self.clock_doubtful,
                in_force: self.in_force,
                photos_by_stage: photos.by_stage,
            },
            destructions: photos.destructions,
            withdrawn: photos.withdrawn,
        }
    }

    /// Each day begins as the one before ended.
    fn settle(&mut self, day: usize) {
        let stands = self.stands();
        let until = (day + 1).min(self.by_day.len());
        for begun in self.by_day.iter_mut().take(until).skip(self.settled) {
            begun.controls = begun.controls.max(stands);
        }
        self.settled = self.settled.max(until);
    }

    fn stands(&self) -> OnDay {
        self.on.values().copied().max().unwrap_or_default()
    }

    fn body(&mut self, at: Timestamp, day: Option<usize>, body: EventBody) {
        match body {
            EventBody::ControlChanged { control, outcome } => {
                self.control(at, control, &outcome);
                let stands = self.stands();
                if let Some(day) = day.map(|day| &mut self.by_day[day]) {
                    day.controls = day.controls.max(stands);
                }
            }
            EventBody::ClockDoubt { doubtful, .. } => {
                let begins = doubtful && !self.clock_doubtful && day.is_some();
                self.counts.clock_doubts += u64::from(begins);
                self.clock_doubtful = doubtful;
            }
            EventBody::DriftReverted { control, count, .. } => {
                if let Some(day) = day.map(|day| &mut self.by_day[day]) {
                    let sum = self.counts.drift.entry(control).or_default();
                    *sum = sum.saturating_add(count);
                    if control == ControlName::Radios {
                        day.radio_drift = day.radio_drift.saturating_add(count);
                    }
                }
            }
            EventBody::AppRefused {
                observed_only,
                count,
                ..
            } => {
                if let Some(day) = day.map(|day| &mut self.by_day[day]) {
                    let counts = &mut self.counts;
                    if observed_only {
                        counts.apps_ran = counts.apps_ran.saturating_add(count);
                    } else {
                        counts.apps_blocked = counts.apps_blocked.saturating_add(count);
                        day.apps_blocked = day.apps_blocked.saturating_add(count);
                    }
                }
            }
            EventBody::PasscodeLockedOut { .. } => {
                self.counts.passcode_lock_outs += u64::from(day.is_some());
            }
            EventBody::RecordContinued { .. } => {
                self.counts.put_back += u64::from(day.is_some());
            }
            EventBody::Alarm { .. } => self.counts.alarms += u64::from(day.is_some()),
            EventBody::PhotoSeen { .. }
            | EventBody::PhotoTagged { .. }
            | EventBody::PhotoKnown { .. }
            | EventBody::PhotoStage { .. }
            | EventBody::PhotoIncomplete { .. }
            | EventBody::Destroyed { .. } => {
                let before = moved(&self.counts);
                self.photos.take(at, day.is_some(), body, &mut self.counts);
                let after = moved(&self.counts);
                if let Some(day) = day.map(|day| &mut self.by_day[day]) {
                    day.lapsed += after[0] - before[0];
                    day.sealed += after[1] - before[1];
                    day.destroyed += after[2] - before[2];
                }
            }
            EventBody::BundleApplied { generation, .. } => {
                self.in_force = Some(InForce {
                    generation,
                    since: at,
                    expired_at: None,
                });
            }
            EventBody::BundleExpired { generation } => {
                let expired = self.in_force.as_mut();
                if let Some(one) = expired.filter(|one| one.generation == generation) {
                    one.expired_at = Some(at);
                }
            }
            EventBody::Enrolled { .. }
            | EventBody::AgentStarted { .. }
            | EventBody::BundleRefused { .. }
            | EventBody::CustodyTaken { .. }
            | EventBody::CustodyReturned { .. }
            | EventBody::PinRefused { .. }
            | EventBody::PinLockedOut { .. }
            | EventBody::SessionStarted { .. }
            | EventBody::SessionEnded { .. }
            | EventBody::AccessReview { .. }
            | EventBody::PhotoReviewed { .. }
            | EventBody::PhotoExported { .. }
            | EventBody::CommandOutcome { .. }
            | EventBody::Unsupported { .. } => {}
        }
    }

    fn control(&mut self, at: Timestamp, control: ControlName, outcome: &Outcome) {
        let name = outcome.name();
        let told = self.controls.get(&control);
        let since = told
            .filter(|told| told.outcome == name)
            .map_or(at, |told| told.since);
        let outcome_now = Told {
            outcome: name.to_owned(),
            since,
        };
        self.controls.insert(control, outcome_now);
        self.on.insert(control, on_day(outcome));
        match control {
            ControlName::Passcode => self.passcode = passcode(self.passcode, outcome, at),
            ControlName::Storage => self.encryption = encryption(outcome),
            ControlName::Apps
            | ControlName::Radios
            | ControlName::Camera
            | ControlName::Hours
            | ControlName::Photos => {}
        }
    }
}

/// Taken out of use, sealed, destroyed.
fn moved(counts: &TabletCounts) -> [u64; 3] {
    let lapsed = counts.lapsed.values().sum::<u64>() + counts.lapsed_no_cause;
    [lapsed, counts.sealed, counts.destroyed]
}

const fn on_day(outcome: &Outcome) -> OnDay {
    match outcome {
        Outcome::Unmanaged => OnDay::NotKnown,
        Outcome::Compliant | Outcome::Corrected { .. } => OnDay::AsWanted,
        Outcome::Observed { .. } => OnDay::Watched,
        Outcome::Drifted { .. } | Outcome::Unsupported { .. } | Outcome::Unknown { .. } => {
            OnDay::Attention
        }
    }
}

/// What is said to be missing; `None`: nothing was read.
fn missing(outcome: &Outcome) -> Option<&[String]> {
    match outcome {
        Outcome::Compliant | Outcome::Corrected { .. } => Some(&[]),
        Outcome::Observed { would_change } => Some(would_change),
        Outcome::Drifted { remaining, .. } => Some(remaining),
        Outcome::Unmanaged | Outcome::Unsupported { .. } | Outcome::Unknown { .. } => None,
    }
}

fn passcode(before: Passcode, outcome: &Outcome, at: Timestamp) -> Passcode {
    let Some(missing) = missing(outcome) else {
        return Passcode::NotKnown;
    };
    let is_of_console = |text: &&String| text.starts_with(wording::SET_IN_CONSOLE);
    let is_held = matches!(outcome, Outcome::Drifted { .. });
    let is_due = |text: &&String| {
        text.ends_with(wording::OVERDUE)
            || text.ends_with(wording::NEW_PASSCODE)
            || (is_held && is_of_console(text))
    };
    let accounts = missing.iter().filter(is_due).count();
    if accounts > 0 {
        let since = match before {
            Passcode::Overdue { since, .. } => since,
            Passcode::NotKnown | Passcode::InTime => at,
        };
        let accounts = u64::try_from(accounts).unwrap_or(u64::MAX);
        return Passcode::Overdue { accounts, since };
    }
    // Only watched, nobody can set one in the console yet.
    let is_unknown = |text: &&String| text.starts_with(wording::UNREAD) || is_of_console(text);
    if missing.iter().any(|text| is_unknown(&text)) {
        Passcode::NotKnown
    } else {
        Passcode::InTime
    }
}

fn encryption(outcome: &Outcome) -> Encryption {
    let Some(missing) = missing(outcome) else {
        return Encryption::NotKnown;
    };
    let any = |is: &dyn Fn(&str) -> bool| missing.iter().any(|text| is(text));
    if any(&|text| text.starts_with(wording::ENCRYPT)) {
        Encryption::Unencrypted
    } else if any(&|text| text.contains(wording::WHETHER_ENCRYPTED)) {
        Encryption::NotKnown
    } else {
        Encryption::NothingMissing
    }
}
