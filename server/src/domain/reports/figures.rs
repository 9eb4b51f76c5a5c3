//! The figures of a report, as they are kept in its JSON. Fields are added, never changed or given another meaning; what is
//! not known is absent, and never a zero.

use super::lines::{Held, Level};
use super::period::Period;
use super::thresholds::Thresholds;
use crate::storage::{Role, TaskKind};
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::{Cause, Stage};
use nestwarden_policy_schema::control::ControlName;
use nestwarden_policy_schema::id::{DeviceId, SettingId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The first said neither how old the oldest is nor what figures were held to.
pub const VERSION: u32 = 2;
pub const OLDEST_VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub version: u32,
    pub setting: SettingId,
    /// What people call the nursery.
    pub setting_name: String,
    pub program: String,
    pub made_at: Timestamp,
    pub period: Period,
    /// In which the days are meant.
    pub time_zone: String,
    pub begins: Timestamp,
    /// Nothing from here on counts: the end of the last day, or the moment the report was made.
    pub ends: Timestamp,
    /// What tablets' events come to. Whoever has the events can work these out again.
    pub events: EventFigures,
    /// What only this server has on record.
    pub server: ServerFigures,
    /// Whether it says of each tablet how it stood at the end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inspection: bool,
    /// Absent before version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_to: Option<HeldTo>,
}

/// How figures were judged. Whoever has the figures can judge them again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldTo {
    pub thresholds: Thresholds,
    pub judged: BTreeMap<Held, Level>,
}

/// By tablet, in the order of their ids, and for the whole setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFigures {
    pub setting: TabletCounts,
    pub destruction: Destruction,
    pub tablets: Vec<TabletEvents>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TabletEvents {
    pub device: DeviceId,
    pub range: Range,
    pub days: Vec<DayEvents>,
    pub counts: TabletCounts,
    /// As last told before the end. A control that is absent was never told of.
    pub controls: BTreeMap<ControlName, Told>,
    pub passcode: Passcode,
    pub encryption: Encryption,
    /// Whether the tablet said last that it cannot vouch for its clock.
    pub clock_doubtful: bool,
    /// Which bundle it enforced at the end; absent: it did not tell, or before version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<InForce>,
    /// How many photos were at each stage at the end; empty: it told of none, or before version 2.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub photos_by_stage: BTreeMap<Stage, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    pub generation: Generation,
    pub since: Timestamp,
    /// When it ran out without another; its rules held on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_at: Option<Timestamp>,
}

/// Which events were used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The first event of the period; absent: there is none. Those before it say how things stood when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seq: Option<u64>,
    /// The last event used; 0: there is none.
    pub last_seq: u64,
    /// The chain's hash at the last event; absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Digest>,
    /// Over the hashes of the events from the first to the last.
    pub merkle_root: Digest,
    /// Numbers that are missing up to the last.
    pub gaps: Vec<Gap>,
}

/// The numbers between two events that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub after: u64,
    pub before: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayEvents {
    pub day: Date,
    pub events: u64,
    /// The worst that held of any control within the day, by what was told.
    pub controls: OnDay,
    pub radio_drift: u64,
    pub apps_blocked: u64,
    /// Of photos; absent: none, or before version 2.
    #[serde(default, skip_serializing_if = "is_none")]
    pub captured: u64,
    /// Taken out of use.
    #[serde(default, skip_serializing_if = "is_none")]
    pub lapsed: u64,
    #[serde(default, skip_serializing_if = "is_none")]
    pub sealed: u64,
    #[serde(default, skip_serializing_if = "is_none")]
    pub destroyed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDay {
    /// No control was told of yet.
    #[default]
    NotKnown,
    /// Each was read back as the policy wants it.
    AsWanted,
    /// Some are only watched.
    Watched,
    /// Some are not as the policy wants them, or cannot be read.
    Attention,
}

/// A control as it was told of last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub outcome: String,
    /// Since when it is so.
    pub since: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "passcode", rename_all = "snake_case")]
pub enum Passcode {
    /// Not told, not managed, or it could not be read.
    #[default]
    NotKnown,
    InTime,
    Overdue {
        accounts: u64,
        since: Timestamp,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    #[default]
    NotKnown,
    /// Nothing that the policy asks of the tablet's storage is missing. Whether it asks for encryption, the policy says.
    NothingMissing,
    Unencrypted,
}

/// What is added up. Photos are of the tablets that told of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TabletCounts {
    /// Events of the period.
    pub events: u64,
    pub captured: u64,
    /// Of those, with a word on who is in them.
    pub tagged: u64,
    /// At the end: nobody said who is in them, and they are not sealed; of those, for more than three days, and seven.
    pub untagged: u64,
    pub untagged_3_days: u64,
    pub untagged_7_days: u64,
    /// How long the oldest of the untagged waits; rounded up, as all ages here. Absent: there is none, or before version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_untagged_minutes: Option<u64>,
    /// Taken out of use, by cause.
    pub lapsed: BTreeMap<Cause, u64>,
    /// Taken out of use, and the tablet did not say why.
    pub lapsed_no_cause: u64,
    /// Watched only: would have been.
    pub would_lapse: BTreeMap<Cause, u64>,
    pub sealed: u64,
    pub brought_back: u64,
    /// With a receipt.
    pub destroyed: u64,
    /// Receipts whose second look still found something, or where something could not be deleted.
    pub destroyed_unproven: u64,
    /// At the end: could not be put away.
    pub incomplete: u64,
    /// Of those, for more than 24 hours.
    pub incomplete_24_hours: u64,
    /// Of the incomplete, still readable by staff.
    pub readable: u64,
    pub readable_24_hours: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_incomplete_minutes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_readable_minutes: Option<u64>,
    /// Switched against the policy and switched back, by control.
    pub drift: BTreeMap<ControlName, u64>,
    /// Starts of programs nobody approved that were refused.
    pub apps_blocked: u64,
    /// Watched only: programs nobody approved that ran.
    pub apps_ran: u64,
    pub passcode_lock_outs: u64,
    pub alarms: u64,
    /// Times a tablet began to doubt its clock.
    pub clock_doubts: u64,
    /// Times a tablet's record was put back and went on.
    pub put_back: u64,
    /// Events of the period whose body is erased.
    pub erased: u64,
    /// Events before it whose body is erased: how things stood when it began may lack something.
    pub erased_before: u64,
    /// Events of the period that this program cannot read.
    pub unread: u64,
}

/// From sealed to destroyed, of the photos destroyed in the period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destruction {
    /// Photos with both times.
    pub photos: u64,
    /// Of an even number the lower middle. Absent: there is no photo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_minutes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_minutes: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFigures {
    /// Since when this server notes the hours in which tablets tell how they stand; absent: since nothing was told yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours_since: Option<Timestamp>,
    /// Of the setting's calendar as it is when the report is made; absent: there is no profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_days: Option<Vec<Date>>,
    /// In the order of their ids.
    pub tablets: Vec<TabletOnServer>,
    pub tasks: Vec<OpenTasks>,
    pub register: RegisterFigures,
    pub holds_open: u64,
    pub holds_past_review: u64,
    /// From a withdrawal until its photo was sealed, of the photos destroyed in the period for it.
    pub withdrawal: Withdrawal,
    /// Absent: no tablet was ever signed out, or before version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custody: Option<CustodyFigures>,
    /// Absent: no policy was in force, nobody is on the staff register, or before version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aup: Option<AupFigures>,
}

/// Of tablets that are signed out at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustodyFigures {
    pub out: u64,
    /// Of those, that should be back.
    pub overdue: u64,
    pub longest_minutes: u64,
    /// Of the overdue, that should have been back on a day whose hours are over.
    pub past_close: u64,
}

/// Of staff who work here on the last day and are not suspended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AupFigures {
    pub staff: u64,
    /// The version in force, or an earlier one while that is enough.
    pub acknowledged: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TabletOnServer {
    pub device: DeviceId,
    /// As it is called when the report is made.
    pub name: String,
    pub enrolled_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    pub days: Vec<Heard>,
    /// When it last told how it stands, before the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Timestamp>,
    /// The oldest reading that rested on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_at: Option<Timestamp>,
    /// Contact time since it last told anything; absent: there is no calendar, or it is not in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_contact_minutes: Option<u64>,
    /// The version of its profile that was live at the end; absent: there was none, or before version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileThen>,
    /// Whether the profile of the end asks for encryption; absent: it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_asked: Option<bool>,
    /// Events of the period that came after its end.
    pub came_late: u64,
    /// Its events are refused, because they do not continue the record that is here, since this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_since: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileThen {
    pub name: String,
    pub version: u64,
    pub applied_at: Timestamp,
    /// Since when it had a new version before the others, in place of this one; absent: it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_since: Option<Timestamp>,
}

/// What this server heard of a tablet on one day, apart from its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    /// It told how it stands, from readings of that day.
    Measured,
    /// It told something, but nothing that was read that day.
    Told,
    Nothing,
    /// Before hours were noted.
    NotRecorded,
    /// Not enrolled, or shut out.
    NotInUse,
    /// Not over, or not begun.
    Ahead,
}

/// Open at the end, of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenTasks {
    pub kind: TaskKind,
    pub owner: Role,
    pub tasks: u64,
    /// Photos they are about.
    pub photos: u64,
    pub first_due: Date,
    pub overdue: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterFigures {
    /// On the register when the report is made, and not known to have left by the end.
    pub children: u64,
    /// One child and one purpose that anybody was ever asked about.
    pub answers_possible: u64,
    pub answers: u64,
    /// Yes, with a last day within 30 days of the end.
    pub expiring_30_days: u64,
    /// Absent: no import is on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_import_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import_age_days: Option<u64>,
    /// Within the period.
    pub imports: u64,
    pub rows_refused: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    pub photos: u64,
    /// From when the parent said so until it was recorded here, by hand or by import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_to_record_minutes: Option<u64>,
    /// From when the parent said so until the photo was sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_minutes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_minutes: Option<u64>,
}

impl Report {
    /// Of what the events come to. It is the same in whatever form the report is written.
    pub fn fingerprint(&self) -> Digest {
        let figures = serde_json::to_vec(&self.events).unwrap_or_default();
        Digest::sha256(&figures)
    }

    pub fn held_to(mut self, thresholds: &Thresholds) -> Self {
        let mut held = HeldTo {
            thresholds: thresholds.clone(),
            judged: BTreeMap::new(),
        };
        self.held_to = Some(held.clone());
        held.judged = super::lines::judged(&self);
        self.held_to = Some(held);
        self
    }
}

impl TabletCounts {
    /// What several tablets come to together.
    pub fn add(&mut self, other: &Self) {
        for (sum, one) in [
            (&mut self.events, other.events),
            (&mut self.captured, other.captured),
            (&mut self.tagged, other.tagged),
            (&mut self.untagged, other.untagged),
            (&mut self.untagged_3_days, other.untagged_3_days),
            (&mut self.untagged_7_days, other.untagged_7_days),
            (&mut self.lapsed_no_cause, other.lapsed_no_cause),
            (&mut self.sealed, other.sealed),
            (&mut self.brought_back, other.brought_back),
            (&mut self.destroyed, other.destroyed),
            (&mut self.destroyed_unproven, other.destroyed_unproven),
            (&mut self.incomplete, other.incomplete),
            (&mut self.incomplete_24_hours, other.incomplete_24_hours),
            (&mut self.readable, other.readable),
            (&mut self.readable_24_hours, other.readable_24_hours),
            (&mut self.apps_blocked, other.apps_blocked),
            (&mut self.apps_ran, other.apps_ran),
            (&mut self.passcode_lock_outs, other.passcode_lock_outs),
            (&mut self.alarms, other.alarms),
            (&mut self.clock_doubts, other.clock_doubts),
            (&mut self.put_back, other.put_back),
            (&mut self.erased, other.erased),
            (&mut self.erased_before, other.erased_before),
            (&mut self.unread, other.unread),
        ] {
            *sum = sum.saturating_add(one);
        }
        for (oldest, one) in [
            (
                &mut self.oldest_untagged_minutes,
                other.oldest_untagged_minutes,
            ),
            (
                &mut self.oldest_incomplete_minutes,
                other.oldest_incomplete_minutes,
            ),
            (
                &mut self.oldest_readable_minutes,
                other.oldest_readable_minutes,
            ),
        ] {
            *oldest = (*oldest).max(one);
        }
        add_each(&mut self.lapsed, &other.lapsed);
        add_each(&mut self.would_lapse, &other.would_lapse);
        add_each(&mut self.drift, &other.drift);
    }
}

fn add_each<K: Ord + Copy>(sums: &mut BTreeMap<K, u64>, others: &BTreeMap<K, u64>) {
    for (key, one) in others {
        let sum = sums.entry(*key).or_default();
        *sum = sum.saturating_add(*one);
    }
}
