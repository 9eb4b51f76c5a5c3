//! Whether a report is as it was made, and whether the events come to what it says. Needs no database: the file, the
//! setting's public key, and an export of the events.

use super::figures::{EventFigures, OLDEST_VERSION, Report, TabletCounts, TabletEvents, VERSION};
use super::lines::judged;
use super::period::{Days, zone};
use super::signed::{SignedReport, manifest, written};
use super::tablet::{Tallied, Tally};
use super::together;
use crate::domain::export::{ErasedLine, Line};
use crate::signing::report::ReportManifest;
use nestwarden_policy_schema::envelope::verify_ed25519;
use nestwarden_policy_schema::event::{ChainPosition, Event};
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::trust::{KeyId, SigningPublicKey};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A report that was read, with what is wrong with it.
pub struct Opened {
    /// `None`: it cannot be read.
    pub report: Option<Report>,
    pub key: KeyId,
    /// Empty: it is as it was made.
    pub problems: Vec<String>,
}

/// `None`: this is no report at all. `ours`: the setting's key where it is known here; without it the report's own is
/// taken, and whoever reads the answer has to compare it.
pub fn open(bytes: &[u8], ours: Option<SigningPublicKey>) -> Option<Opened> {
    let signed: SignedReport = serde_json::from_slice(bytes).ok()?;
    let key = ours.unwrap_or_else(|| signed.key.clone());
    let mut problems = Vec::new();
    if !written(&signed).is_ok_and(|written| written == bytes) {
        problems.push("the file is not written as it was made: something was added, or it was written again by another program".to_owned());
    }
    if signed.key != key {
        problems.push(format!(
            "it names key {}, which is not this setting's {}",
            signed.key.key_id(),
            key.key_id()
        ));
    }
    let found = verify_ed25519::<ReportManifest>(&signed.manifest, &[&key]);
    let report = serde_json::from_str::<Report>(signed.report.get());
    match (&found, &report) {
        (Err(problem), _) => problems.push(format!("its manifest: {problem}")),
        (Ok(_), Err(problem)) => problems.push(format!("its figures cannot be read: {problem}")),
        (Ok(found), Ok(report)) => {
            let ours = manifest(report, signed.report.get());
            if *found != ours {
                problems.push(format!(
                    "its figures are not those that were signed ({})",
                    first_difference(&json(found), &json(&ours))
                        .map_or_else(String::new, |d| d.place)
                ));
            }
            problems.extend(inconsistent(report));
        }
    }
    Some(Opened {
        report: report.ok(),
        key: key.key_id(),
        problems,
    })
}

/// What a report says of itself that cannot be.
fn inconsistent(report: &Report) -> Option<String> {
    if !(OLDEST_VERSION..=VERSION).contains(&report.version) {
        let version = report.version;
        return Some(format!(
            "it is of version {version}; this program reads {OLDEST_VERSION} to {VERSION}"
        ));
    }
    let days = report_days(report);
    let devices = |of: &mut dyn Iterator<Item = DeviceId>| of.collect::<Vec<_>>();
    let told = devices(&mut report.events.tablets.iter().map(|t| t.device));
    let known = devices(&mut report.server.tablets.iter().map(|t| t.device));
    if (days.begins(), days.ends()) != (report.begins, report.ends) {
        return Some(format!(
            "it says {} to {} begins at {} and ends at {}, which is not so in {}",
            report.period.first, report.period.last, report.begins, report.ends, report.time_zone
        ));
    }
    let in_order = told.is_sorted_by(|a, b| a < b);
    if told != known || !in_order {
        return Some("its two lists of tablets are not the same".to_owned());
    }
    misjudged(report)
}

/// The first figure that its thresholds judge otherwise than it says.
fn misjudged(report: &Report) -> Option<String> {
    let Some(held_to) = &report.held_to else {
        let is_missing = report.version > OLDEST_VERSION;
        return is_missing.then(|| "it does not say what its figures were held to".to_owned());
    };
    let ours = judged(report);
    let difference = first_difference(&json(&held_to.judged), &json(&ours))?;
    let Difference {
        place,
        says,
        comes_to,
    } = difference;
    Some(format!(
        "it judges `{place}` as {says}, and its figures and thresholds come to {comes_to}"
    ))
}

/// What the first version did not say.
fn forget(tablet: &mut TabletEvents) {
    forget_ages(&mut tablet.counts);
    tablet.in_force = None;
    tablet.photos_by_stage.clear();
    for day in &mut tablet.days {
        (day.captured, day.lapsed, day.sealed, day.destroyed) = (0, 0, 0, 0);
    }
}

fn forget_ages(counts: &mut TabletCounts) {
    counts.oldest_untagged_minutes = None;
    counts.oldest_incomplete_minutes = None;
    counts.oldest_readable_minutes = None;
}

/// The days a report is about, as it has to mean them.
pub fn report_days(report: &Report) -> Days {
    Days::of(
        report.period,
        &zone(Some(&report.time_zone)),
        report.made_at,
    )
}

/// Works the figures of a report out again from the lines of an export.
pub struct Recount<'a> {
    report: &'a Report,
    days: &'a Days,
    tablet: Option<Counting<'a>>,
    /// A tablet of which the report says nothing, until one of its events is of the period.
    other: Option<DeviceId>,
    tallied: BTreeMap<DeviceId, Tallied>,
    /// Tablets with bodies that were erased after the report was made.
    erased_since: BTreeMap<DeviceId, u64>,
    missing: BTreeSet<DeviceId>,
    /// The first event of a tablet that is not a link of its chain.
    broken: Vec<String>,
}

/// A tablet of the report.
struct Counting<'a> {
    told: &'a TabletEvents,
    tally: Tally<'a>,
    position: ChainPosition,
    is_broken: bool,
}

/// What a recount came to.
#[derive(Debug, Default)]
pub struct Recounted {
    pub problems: Vec<String>,
    /// What cannot be worked out again, and why.
    pub notes: Vec<String>,
    pub events: u64,
}

impl<'a> Recount<'a> {
    /// `days`: of [`report_days`].
    pub fn of(report: &'a Report, days: &'a Days) -> Self {
        Self {
            report,
            days,
            tablet: None,
            other: None,
            tallied: BTreeMap::new(),
            erased_since: BTreeMap::new(),
            missing: BTreeSet::new(),
            broken: Vec::new(),
        }
    }

    pub fn take(&mut self, line: &Line) {
        match line {
            Line::Device { device, .. } => {
                self.end_tablet();
                let of_report = self.report.events.tablets.iter();
                let found = of_report.into_iter().find(|t| t.device == *device);
                self.other = found.is_none().then_some(*device);
                self.tablet = found.map(|told| Counting {
                    told,
                    tally: Tally::new(*device, self.days),
                    position: ChainPosition::START,
                    is_broken: false,
                });
            }
            Line::Event { event, erased } => self.event(event, erased.as_ref()),
            Line::End { .. } => self.end_tablet(),
            Line::Export { .. } | Line::Bundle { .. } | Line::Head { .. } => {}
        }
    }

    pub fn finish(mut self) -> Recounted {
        self.end_tablet();
        let mut found = Recounted {
            problems: std::mem::take(&mut self.broken),
            ..Recounted::default()
        };
        for device in &self.missing {
            found.problems.push(format!(
                "tablet {device} told events in the period and is not in the report"
            ));
        }
        let mut tallied = Vec::new();
        for told in &self.report.events.tablets {
            match self.tallied.remove(&told.device) {
                Some(one) => tallied.push(one),
                None => found.problems.push(format!(
                    "tablet {} is in the report and not in the evidence",
                    told.device
                )),
            }
        }
        if !found.problems.is_empty() {
            return found;
        }
        let mut ours = together(tallied);
        if self.report.version == OLDEST_VERSION {
            forget_ages(&mut ours.setting);
            ours.tablets.iter_mut().for_each(forget);
        }
        found.events = ours
            .tablets
            .iter()
            .map(|tablet| tablet.range.last_seq)
            .sum();
        for (device, bodies) in &self.erased_since {
            found.notes.push(format!(
                "tablet {device}: {bodies} event bodies were erased after the report was made, so its figures cannot be worked out again; which events were used still is as it says"
            ));
        }
        found.problems.extend(self.compare(&ours));
        found
    }

    fn event(&mut self, event: &Event, erased: Option<&ErasedLine>) {
        if let Some(device) = self
            .other
            .filter(|_| self.days.index_of(event.at).is_some())
        {
            self.missing.insert(device);
        }
        let Some(counting) = &mut self.tablet else {
            return;
        };
        let told = counting.told;
        if event.seq > told.range.last_seq {
            return;
        }
        // After a broken link the rest is judged by itself: one fault is named once.
        if let Err(error) = event.verify(told.device, counting.position)
            && !counting.is_broken
        {
            counting.is_broken = true;
            self.broken.push(format!("tablet {}, {error}", told.device));
        }
        counting.position = event.position();
        counting.tally.take(event);
        if erased.is_some_and(|erased| erased.at > self.report.made_at) {
            *self.erased_since.entry(told.device).or_default() += 1;
        }
    }

    fn end_tablet(&mut self) {
        if let Some(Counting { told, tally, .. }) = self.tablet.take() {
            self.tallied.insert(told.device, tally.finish());
        }
        self.other = None;
    }

    /// The first figure that the events do not come to.
    fn compare(&self, ours: &EventFigures) -> Option<String> {
        for (told, ours) in self.report.events.tablets.iter().zip(&ours.tablets) {
            let difference = if self.erased_since.contains_key(&told.device) {
                first_difference(&json(&told.range), &json(&ours.range))
            } else {
                first_difference(&json(told), &json(ours))
            };
            if let Some(difference) = difference {
                return Some(format!("tablet {}: {difference}", told.device));
            }
        }
        if !self.erased_since.is_empty() {
            return None;
        }
        let told = &self.report.events;
        first_difference(&json(&told.setting), &json(&ours.setting))
            .or_else(|| first_difference(&json(&told.destruction), &json(&ours.destruction)))
            .map(|difference| format!("the whole setting: {difference}"))
    }
}

struct Difference {
    place: String,
    says: Value,
    comes_to: Value,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            place,
            says,
            comes_to,
        } = self;
        write!(
            f,
            "`{place}` is {says} in the report, and the events come to {comes_to}"
        )
    }
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn first_difference(says: &Value, comes_to: &Value) -> Option<Difference> {
    fn within(says: &Value, comes_to: &Value, place: &str) -> Option<Difference> {
        let below = |key: &dyn std::fmt::Display| match place {
            "" => key.to_string(),
            place => format!("{place}.{key}"),
        };
        match (says, comes_to) {
            (Value::Object(says), Value::Object(comes_to)) => {
                let keys: BTreeSet<&String> = says.keys().chain(comes_to.keys()).collect();
                keys.into_iter().find_map(|key| {
                    let of = |map: &serde_json::Map<String, Value>| {
                        map.get(key).cloned().unwrap_or_default()
                    };
                    within(&of(says), &of(comes_to), &below(key))
                })
            }
            (Value::Array(says), Value::Array(comes_to)) if says.len() == comes_to.len() => {
                let mut pairs = says.iter().zip(comes_to).enumerate();
                pairs.find_map(|(index, (says, comes_to))| within(says, comes_to, &below(&index)))
            }
            (says, comes_to) => (says != comes_to).then(|| Difference {
                place: place.to_owned(),
                says: says.clone(),
                comes_to: comes_to.clone(),
            }),
        }
    }
    within(says, comes_to, "")
}
