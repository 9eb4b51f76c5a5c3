//! The figures of a month again, asked one by one of the raw events. Knows nothing of the report's code.

use super::month::at;
use crate::storage::StoredEvent;
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::id::DeviceId;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

struct Told {
    at: Timestamp,
    body: Option<Value>,
}

/// Of one tablet, what is used of its events.
struct Log {
    told: Vec<Told>,
    from: Timestamp,
    until: Timestamp,
}

/// The days that are asked for.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    days: Vec<Date>,
}

impl Asked {
    pub(super) fn of(days: Vec<Date>) -> Self {
        let after = days.last().unwrap().tomorrow().unwrap();
        Self {
            from: at(days[0], 0, 0),
            until: at(after, 0, 0),
            days,
        }
    }
}

pub(super) fn used<'a>(all: &'a [StoredEvent], asked: &Asked) -> Vec<&'a StoredEvent> {
    let last = all
        .iter()
        .filter(|s| s.event.at < asked.until)
        .map(|s| s.event.seq)
        .max();
    all.iter().filter(|s| Some(s.event.seq) <= last).collect()
}

fn kind(body: &Value) -> &str {
    body["kind"].as_str().unwrap()
}

impl Log {
    fn of(all: &[StoredEvent], asked: &Asked) -> Self {
        let told = used(all, asked)
            .into_iter()
            .filter(|s| s.event.at < asked.until);
        Self {
            told: told
                .map(|s| Told {
                    at: s.event.at,
                    body: s
                        .event
                        .body
                        .as_ref()
                        .map(|body| serde_json::from_str(body).unwrap()),
                })
                .collect(),
            from: asked.from,
            until: asked.until,
        }
    }

    fn within(&self) -> impl Iterator<Item = &Told> {
        self.told.iter().filter(|told| told.at >= self.from)
    }

    fn of_kind<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = (Timestamp, &'a Value)> {
        let bodies = self
            .told
            .iter()
            .filter_map(|told| Some((told.at, told.body.as_ref()?)));
        bodies.filter(move |(_, body)| kind(body) == wanted)
    }

    fn of_kind_within<'a>(
        &'a self,
        wanted: &'a str,
    ) -> impl Iterator<Item = (Timestamp, &'a Value)> {
        self.of_kind(wanted).filter(|(at, _)| *at >= self.from)
    }

    fn sum(&self, wanted: &str, observed: bool) -> u64 {
        let of_mode = self
            .of_kind_within(wanted)
            .filter(|(_, b)| b["observed_only"] == observed);
        of_mode
            .map(|(_, body)| body["count"].as_u64().unwrap())
            .sum()
    }

    fn photos(&self) -> BTreeSet<String> {
        // What would have been done to a photo does not say that there is one: its own events are of later, or erased.
        let would = |body: &Value| kind(body) == "photo_stage" && body["observed_only"] == true;
        let bodies = self.told.iter().filter_map(|told| told.body.as_ref());
        let ids = bodies.filter(|body| !would(body)).filter_map(photo_of);
        ids.collect()
    }

    /// What was told of one photo, in order.
    fn about(&self, photo: &str) -> Vec<(Timestamp, &Value)> {
        let bodies = self
            .told
            .iter()
            .filter_map(|told| Some((told.at, told.body.as_ref()?)));
        bodies
            .filter(|(_, body)| photo_of(body).as_deref() == Some(photo))
            .collect()
    }
}

fn photo_of(body: &Value) -> Option<String> {
    let id = match kind(body) {
        "photo_seen" | "photo_tagged" | "photo_stage" | "photo_incomplete" => &body["photo"],
        "photo_known" => &body["facts"]["photo"],
        "destroyed" => &body["receipt"]["photo"],
        _ => return None,
    };
    id.as_str().map(str::to_owned)
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

fn count(of: impl Iterator) -> u64 {
    of.count() as u64
}

/// How one photo stood at the end.
struct Photo {
    captured_at: Option<Timestamp>,
    tagging: String,
    care_record: bool,
    found: bool,
    stage: String,
    incomplete_since: Option<Timestamp>,
}

fn photo(told: &[(Timestamp, &Value)]) -> Photo {
    let facts = told
        .iter()
        .rev()
        .find(|(_, b)| kind(b) == "photo_known")
        .map(|(_, b)| &b["facts"]);
    let seen = told
        .iter()
        .find(|(_, b)| kind(b) == "photo_seen")
        .map(|(at, _)| *at);
    let moved = |body: &Value| {
        (kind(body) == "photo_stage" && body["observed_only"] == false) || kind(body) == "destroyed"
    };
    let last_move = told.iter().rposition(|(_, body)| moved(body));
    let stage = last_move.map_or("live", |index| match kind(told[index].1) {
        "destroyed" => "destroyed",
        _ => told[index].1["to"].as_str().unwrap(),
    });
    let since_move = &told[last_move.map_or(0, |index| index + 1)..];
    let incomplete = since_move
        .iter()
        .find(|(_, b)| kind(b) == "photo_incomplete");
    Photo {
        captured_at: facts.map(|f| time(&f["captured_at"])).or(seen),
        tagging: facts
            .map_or("untagged", |f| f["subjects"]["tagging"].as_str().unwrap())
            .to_owned(),
        care_record: facts.is_some_and(|f| f["care_record"] == true),
        found: facts.is_some_and(|f| f["found_at_enrolment"] == true),
        stage: stage.to_owned(),
        incomplete_since: incomplete.map(|(at, _)| *at),
    }
}

fn counts(log: &Log) -> Value {
    let hours_before_end = |at: Timestamp| log.until.duration_since(at).as_secs_f64() / 3600.0;
    let photos: Vec<Photo> = log
        .photos()
        .iter()
        .map(|id| photo(&log.about(id)))
        .collect();
    let new = || {
        photos.iter().filter(|p| {
            p.captured_at
                .is_some_and(|at| at >= log.from && at < log.until)
                && !p.found
        })
    };
    let waiting = || {
        photos.iter().filter(|p| {
            p.tagging == "untagged"
                && !p.care_record
                && !p.found
                && (p.stage == "live" || p.stage == "withheld")
        })
    };
    let waiting_for = |hours: f64| {
        let taken = waiting().filter_map(|p| p.captured_at);
        count(taken.filter(|at| hours_before_end(*at) > hours))
    };
    let stuck = || photos.iter().filter_map(|p| Some((p, p.incomplete_since?)));
    let over_a_day = |since: &Timestamp| hours_before_end(*since) > 24.0;
    let stages = || log.of_kind_within("photo_stage").map(|(_, body)| body);
    let real = || stages().filter(|b| b["observed_only"] == false);
    let by_cause = |bodies: Vec<&Value>| {
        let mut sums = Map::new();
        for body in bodies
            .iter()
            .filter(|b| b["from"] == "live" && b["to"] != "live" && !b["cause"].is_null())
        {
            let cause = body["cause"].as_str().unwrap();
            let before = sums.get(cause).map_or(0, |v| v.as_u64().unwrap());
            sums.insert(cause.to_owned(), json!(before + 1));
        }
        sums
    };
    let receipts = || {
        log.of_kind_within("destroyed")
            .map(|(_, body)| &body["receipt"])
    };
    let mut drift = Map::new();
    for (_, body) in log.of_kind_within("drift_reverted") {
        let control = body["control"].as_str().unwrap();
        let before = drift.get(control).map_or(0, |v| v.as_u64().unwrap());
        drift.insert(
            control.to_owned(),
            json!(before + body["count"].as_u64().unwrap()),
        );
    }
    let mut doubts = 0;
    let mut doubtful = false;
    for (at, body) in log.of_kind("clock_doubt") {
        let now = body["doubtful"] == true;
        doubts += u64::from(now && !doubtful && at >= log.from);
        doubtful = now;
    }
    // A minute that has begun is one.
    let oldest = |of: &mut dyn Iterator<Item = Timestamp>| {
        of.min().map(|at| {
            let whole = log.until.duration_since(at).as_nanos() + 59_999_999_999;
            u64::try_from(whole / 60_000_000_000).unwrap_or(0)
        })
    };
    let mut told = json!({
        "events": count(log.within()),
        "captured": count(new()),
        "tagged": count(new().filter(|p| p.tagging == "complete" || p.tagging == "no_child")),
        "untagged": count(waiting()),
        "untagged_3_days": waiting_for(72.0),
        "untagged_7_days": waiting_for(168.0),
        "lapsed": by_cause(real().collect()),
        "lapsed_no_cause": count(real().filter(|b| b["from"] == "live" && b["to"] != "live" && b["cause"].is_null())),
        "would_lapse": by_cause(stages().filter(|b| b["observed_only"] == true).collect()),
        "sealed": count(real().filter(|b| b["to"] == "sealed")),
        "brought_back": count(real().filter(|b| b["to"] == "live" && b["from"] != "live")),
        "destroyed": count(receipts()),
        "destroyed_unproven": count(receipts().filter(|r| r["rescan"]["found"] != 0)),
        "incomplete": count(stuck()),
        "incomplete_24_hours": count(stuck().filter(|(_, since)| over_a_day(since))),
        "readable": count(stuck().filter(|(p, _)| p.stage == "live")),
        "readable_24_hours": count(stuck().filter(|(p, since)| p.stage == "live" && over_a_day(since))),
        "drift": drift,
        "apps_blocked": log.sum("app_refused", false),
        "apps_ran": log.sum("app_refused", true),
        "passcode_lock_outs": count(log.of_kind_within("passcode_locked_out")),
        "alarms": count(log.of_kind_within("alarm")),
        "clock_doubts": doubts,
        "put_back": count(log.of_kind_within("record_continued")),
        "erased": count(log.within().filter(|told| told.body.is_none())),
        "erased_before": count(log.told.iter().filter(|t| t.at < log.from && t.body.is_none())),
        "unread": 0,
    });
    for (name, age) in [
        (
            "untagged",
            oldest(&mut waiting().filter_map(|p| p.captured_at)),
        ),
        ("incomplete", oldest(&mut stuck().map(|(_, since)| since))),
        (
            "readable",
            oldest(
                &mut stuck()
                    .filter(|(p, _)| p.stage == "live")
                    .map(|(_, since)| since),
            ),
        ),
    ] {
        if let Some(minutes) = age {
            told[format!("oldest_{name}_minutes")] = json!(minutes);
        }
    }
    told
}

fn rank(outcome: &str) -> u8 {
    match outcome {
        "compliant" | "corrected" => 1,
        "observed" => 2,
        "drifted" | "unsupported" | "unknown" => 3,
        _ => 0,
    }
}

/// The worst that held at any time of a stretch, by everything told in the order it was told.
fn worst(log: &Log, begins: Timestamp, ends: Timestamp) -> &'static str {
    let mut worst = 0;
    let mut stands: BTreeMap<&str, u8> = BTreeMap::new();
    let mut index_of_first = None;
    // A day begins as everything stood when its first event came, or the first of a later day.
    for (index, told) in log.told.iter().enumerate() {
        if told.at >= begins && told.at >= log.from {
            index_of_first = Some(index);
            break;
        }
    }
    for (index, told) in log.told.iter().enumerate() {
        if index_of_first == Some(index) {
            worst = worst.max(stands.values().copied().max().unwrap_or(0));
        }
        let Some(body) = told
            .body
            .as_ref()
            .filter(|body| kind(body) == "control_changed")
        else {
            continue;
        };
        stands.insert(
            body["control"].as_str().unwrap(),
            rank(body["outcome"].as_str().unwrap()),
        );
        if told.at >= begins && told.at < ends {
            worst = worst.max(stands.values().copied().max().unwrap());
        }
    }
    if index_of_first.is_none() {
        worst = stands.values().copied().max().unwrap_or(0);
    }
    ["not_known", "as_wanted", "watched", "attention"][usize::from(worst)]
}

fn days(log: &Log, asked: &Asked) -> Vec<Value> {
    let ids = log.photos();
    let photos: Vec<Photo> = ids.iter().map(|id| photo(&log.about(id))).collect();
    asked
        .days
        .iter()
        .map(|day: &Date| {
            let (begins, ends) = (at(*day, 0, 0), at(day.tomorrow().unwrap(), 0, 0));
            let of_day = |told: &&Told| told.at >= begins && told.at < ends;
            let sum = |is: &dyn Fn(&Value) -> bool| -> u64 {
                let bodies = log
                    .within()
                    .filter(of_day)
                    .filter_map(|told| told.body.as_ref());
                bodies
                    .filter(|body| is(body))
                    .map(|body| body["count"].as_u64().unwrap())
                    .sum()
            };
            let is_then = |at: Timestamp| at >= begins && at < ends;
            let mut told = json!({
                "day": day,
                "events": count(log.within().filter(of_day)),
                "controls": worst(log, begins, ends),
                "radio_drift": sum(&|b| kind(b) == "drift_reverted" && b["control"] == "radios"),
                "apps_blocked": sum(&|b| kind(b) == "app_refused" && b["observed_only"] == false),
            });
            let taken = photos
                .iter()
                .filter(|p| !p.found && p.captured_at.is_some_and(is_then));
            let moves = |is: &dyn Fn(&Value) -> bool| {
                let moves = log
                    .of_kind_within("photo_stage")
                    .filter(|(at, _)| is_then(*at));
                count(moves.filter(|(_, b)| b["observed_only"] == false && is(b)))
            };
            let destroyed = log.of_kind_within("destroyed");
            for (name, number) in [
                ("captured", count(taken)),
                (
                    "lapsed",
                    moves(&|b| b["from"] == "live" && b["to"] != "live"),
                ),
                ("sealed", moves(&|b| b["to"] == "sealed")),
                ("destroyed", count(destroyed.filter(|(at, _)| is_then(*at)))),
            ] {
                if number > 0 {
                    told[name] = json!(number);
                }
            }
            told
        })
        .collect()
}

fn controls(log: &Log) -> Value {
    let mut found = Map::new();
    let names: BTreeSet<&str> = log
        .of_kind("control_changed")
        .map(|(_, b)| b["control"].as_str().unwrap())
        .collect();
    for name in names {
        let told: Vec<_> = log
            .of_kind("control_changed")
            .filter(|(_, b)| b["control"] == name)
            .collect();
        let outcome = &told.last().unwrap().1["outcome"];
        let same = told
            .iter()
            .rev()
            .take_while(|(_, b)| b["outcome"] == *outcome);
        found.insert(
            name.to_owned(),
            json!({ "outcome": outcome, "since": same.last().unwrap().0 }),
        );
    }
    Value::Object(found)
}

fn lacks(body: &Value) -> Option<Vec<&str>> {
    let list = match body["outcome"].as_str().unwrap() {
        "compliant" | "corrected" => return Some(vec![]),
        "observed" => &body["would_change"],
        "drifted" => &body["remaining"],
        _ => return None,
    };
    Some(
        list.as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_str().unwrap())
            .collect(),
    )
}

fn overdue(body: &Value) -> usize {
    let lacks = lacks(body).unwrap_or_default();
    lacks
        .iter()
        .filter(|t| t.contains("overdue until") || t.contains("choose a new passcode"))
        .count()
}

fn passcode(log: &Log) -> Value {
    let told: Vec<_> = log
        .of_kind("control_changed")
        .filter(|(_, b)| b["control"] == "passcode")
        .collect();
    let Some((_, last)) = told.last() else {
        return json!({ "passcode": "not_known" });
    };
    if overdue(last) > 0 {
        let since = told
            .iter()
            .rev()
            .take_while(|(_, b)| overdue(b) > 0)
            .last()
            .unwrap()
            .0;
        return json!({ "passcode": "overdue", "accounts": overdue(last), "since": since });
    }
    match lacks(last) {
        Some(lacks) if !lacks.iter().any(|text| text.starts_with("check ")) => {
            json!({ "passcode": "in_time" })
        }
        _ => json!({ "passcode": "not_known" }),
    }
}

fn encryption(log: &Log) -> &'static str {
    let last = log
        .of_kind("control_changed")
        .filter(|(_, b)| b["control"] == "storage")
        .last();
    let Some(lacks) = last.and_then(|(_, body)| lacks(body)) else {
        return "not_known";
    };
    let has = |text: &str| lacks.iter().any(|said| said.contains(text));
    match (
        has("encrypt the disk behind"),
        has("whether the disk is encrypted"),
    ) {
        (true, _) => "unencrypted",
        (false, true) => "not_known",
        (false, false) => "nothing_missing",
    }
}

fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of_parts("nestwarden/report-empty/v1", &[]),
        [leaf] => Digest::of_parts("nestwarden/report-leaf/v1", &[&leaf.0]),
        _ => {
            let mut split = 1;
            while split * 2 < leaves.len() {
                split *= 2;
            }
            let (left, right) = (root(&leaves[..split]), root(&leaves[split..]));
            Digest::of_parts("nestwarden/report-node/v1", &[&left.0, &right.0])
        }
    }
}

fn range(all: &[StoredEvent], asked: &Asked) -> Value {
    let used = used(all, asked);
    let first = used
        .iter()
        .position(|s| s.event.at >= asked.from && s.event.at < asked.until);
    let leaves: Vec<Digest> = first.map_or_else(Vec::new, |first| {
        used[first..].iter().map(|s| s.event.hash).collect()
    });
    let mut range = json!({
        "last_seq": used.last().map_or(0, |s| s.event.seq), "merkle_root": root(&leaves), "gaps": [],
    });
    if let Some(first) = first {
        range["first_seq"] = json!(used[first].event.seq);
    }
    if let Some(last) = used.last() {
        range["head"] = json!(last.event.hash);
    }
    range
}

pub(super) fn tablet(device: DeviceId, all: &[StoredEvent], asked: &Asked) -> Value {
    let log = Log::of(all, asked);
    let doubtful = log
        .of_kind("clock_doubt")
        .last()
        .is_some_and(|(_, b)| b["doubtful"] == true);
    let mut told = json!({
        "device": device,
        "range": range(all, asked),
        "days": days(&log, asked),
        "counts": counts(&log),
        "controls": controls(&log),
        "passcode": passcode(&log),
        "encryption": encryption(&log),
        "clock_doubtful": doubtful,
    });
    if let Some((since, body)) = log.of_kind("bundle_applied").last() {
        told["in_force"] = json!({ "generation": body["generation"], "since": since });
    }
    let mut stages = Map::new();
    for id in log.photos() {
        let stage = photo(&log.about(&id)).stage;
        let before = stages.get(&stage).map_or(0, |sum| sum.as_u64().unwrap());
        stages.insert(stage, json!(before + 1));
    }
    if !stages.is_empty() {
        told["photos_by_stage"] = Value::Object(stages);
    }
    told
}

/// Minutes from sealed to destroyed, in order.
pub(super) fn destructions(all: &[StoredEvent], asked: &Asked) -> Vec<i64> {
    let log = Log::of(all, asked);
    let receipts = log
        .of_kind_within("destroyed")
        .map(|(_, body)| &body["receipt"]);
    let sealed = receipts.filter(|r| !r["sealed_at"].is_null());
    sealed
        .map(|r| {
            time(&r["destroyed_at"])
                .duration_since(time(&r["sealed_at"]))
                .as_mins()
        })
        .collect()
}
