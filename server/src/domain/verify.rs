//! Checks the evidence: every chain, every signed head, every receipt, the order of generations. Needs no database and no
//! key of ours: what it is given is what an export holds.

mod damage;
mod place;

use damage::Damage;
pub use place::{End, Expected, ExpectedError, GenerationGap};

use super::export::{Line, PutBackLine, VERSION};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bytes::{Base64, Digest};
use nestwarden_policy_schema::consent::Stage;
use nestwarden_policy_schema::envelope::Signed;
use nestwarden_policy_schema::event::{ChainPosition, Event, EventBody, link_hash, verify_head};
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::{DeviceId, PhotoId, ReceiptId};
use nestwarden_policy_schema::receipt::Receipt;
use nestwarden_policy_schema::trust::KeyId;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A tablet that was enrolled this lately may not have been started yet.
const NOT_STARTED_FOR: SignedDuration = SignedDuration::from_hours(12);
/// More problems than this are counted and not listed.
const MAX_PROBLEMS: usize = 200;

/// Something that does not hold, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `None`: the whole evidence.
    pub device: Option<DeviceId>,
    pub seq: Option<u64>,
    pub problem: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(device) = self.device {
            write!(f, "tablet {device}")?;
            if let Some(seq) = self.seq {
                write!(f, ", event {seq}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.problem)
    }
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Verified {
    pub devices: u64,
    pub events: u64,
    pub heads: u64,
    /// Receipts found in events whose chain, salt and head hold.
    pub receipts: u64,
    /// Events whose body was erased; their links verify.
    pub erased: u64,
    pub problems: Vec<Problem>,
    pub problems_not_listed: u64,
    /// The keys each record says are its tablet's. Who made up a whole record would sign it with another.
    pub keys: Vec<TabletKey>,
    /// Where each record ends, to be kept elsewhere and expected at the next check.
    pub ends: Vec<End>,
    /// Generations that are not among those issued: signed and not kept, after a rollback, or removed since.
    pub generation_gaps: Vec<GenerationGap>,
    /// What is out of the ordinary and explained: it breaks nothing.
    pub notes: Vec<Problem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TabletKey {
    pub device: DeviceId,
    pub key: KeyId,
}

impl Verified {
    pub fn holds(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Takes the lines of an export one after the other.
#[derive(Default)]
pub struct Verifier {
    found: Verified,
    begun: bool,
    made_at: Option<Timestamp>,
    ended: bool,
    device: Option<DeviceState>,
    receipts: BTreeSet<ReceiptId>,
    /// Places seen before, until each is met.
    expected: BTreeMap<DeviceId, BTreeMap<u64, Digest>>,
    damage: Damage,
}

struct DeviceState {
    id: DeviceId,
    enrolled_at: Option<Timestamp>,
    keys: BTreeSet<Vec<u8>>,
    issued: BTreeMap<Generation, Digest>,
    heads: BTreeMap<u64, (Signed, Vec<u8>)>,
    position: ChainPosition,
    applied: Generation,
    put_back: Option<PutBackLine>,
    continued: Option<Continued>,
    last_head: u64,
    destroyed: BTreeMap<PhotoId, u64>,
    /// The stage each photo was last said to be in, and by which event.
    stages: BTreeMap<PhotoId, (Stage, u64)>,
    /// Bodies that are erased, or were on a damaged line, may have held any stage.
    any_erased: bool,
    /// A bundle may have been on a damaged line.
    any_unissued: bool,
}

/// A record that was put back on the tablet and went on from here.
struct Continued {
    /// The last event of before.
    before: u64,
    /// The tablet's own record, as worked out from what it tells again; `None`: it no longer knew what both had.
    worked_out: Option<ChainPosition>,
    had: ChainPosition,
    left: u64,
}

impl Verifier {
    /// Besides, every place in `expected` has to be there: what ended after it cannot have been cut off before it.
    pub fn expecting(expected: impl IntoIterator<Item = Expected>) -> Self {
        let mut verifier = Self::default();
        for Expected { device, position } in expected {
            let places = verifier.expected.entry(device).or_default();
            places.insert(position.seq, position.hash);
        }
        verifier
    }

    pub fn take(&mut self, line: Line) {
        self.place_damage(Some(&line));
        match line {
            Line::Export {
                version, made_at, ..
            } => {
                self.made_at = Some(made_at);
                if self.begun {
                    self.problem(None, "the export begins a second time".to_owned());
                }
                self.begun = true;
                if version != VERSION {
                    self.problem(
                        None,
                        format!("the export is of version {version}; this program reads {VERSION}"),
                    );
                }
            }
            Line::Device {
                device,
                keys,
                put_back,
                enrolled_at,
                ..
            } => {
                self.finish_device();
                self.damage.is_nobodys = false;
                self.found.devices += 1;
                for Base64(key) in &keys {
                    let key = key_id(key);
                    self.found.keys.push(TabletKey { device, key });
                }
                self.device = Some(DeviceState {
                    id: device,
                    enrolled_at,
                    keys: keys.into_iter().map(|Base64(key)| key).collect(),
                    issued: BTreeMap::new(),
                    heads: BTreeMap::new(),
                    position: ChainPosition::START,
                    applied: Generation::NONE,
                    put_back,
                    continued: None,
                    last_head: 0,
                    destroyed: BTreeMap::new(),
                    stages: BTreeMap::new(),
                    any_erased: false,
                    any_unissued: false,
                });
            }
            Line::Bundle {
                generation,
                payload_digest,
            } => self.bundle(generation, payload_digest),
            Line::Head {
                seq,
                head,
                public_key: Base64(public_key),
            } => {
                if let Some(device) = &mut self.device {
                    device.heads.insert(seq, (head, public_key));
                }
            }
            Line::Event { event, erased } => {
                if event.body.is_none() && erased.is_none() {
                    self.problem(
                        Some(event.seq),
                        "its body is gone, and nothing says when and why it was erased".to_owned(),
                    );
                }
                self.event(&event);
            }
            Line::End { devices, events } => {
                self.finish_device();
                self.ended = true;
                let (has, lost) = (&self.found, self.damage.lines);
                let fits = devices >= has.devices
                    && events >= has.events
                    && (devices - has.devices) + (events - has.events) <= lost;
                if !fits {
                    self.problem(
                        None,
                        format!(
                            "the export says it holds {devices} tablets and {events} events; it holds {} and {}",
                            self.found.devices, self.found.events
                        ),
                    );
                }
            }
        }
    }

    pub fn finish(mut self) -> Verified {
        self.place_damage(None);
        self.finish_device();
        for (device, places) in std::mem::take(&mut self.expected) {
            for seq in places.into_keys() {
                let problem =
                    "was seen here before and is gone: the record was cut off or replaced";
                self.push(Some(device), Some(seq), problem.to_owned());
            }
        }
        if !self.begun || !self.ended {
            self.problem(
                None,
                "the export is cut off; make it again with `events export`".to_owned(),
            );
        }
        self.found
    }

    fn bundle(&mut self, generation: Generation, digest: Digest) {
        let Some(device) = &mut self.device else {
            return;
        };
        let last = device.issued.last_key_value().map(|(last, _)| *last);
        let grows = last.is_none_or(|last| generation > last);
        device.issued.insert(generation, digest);
        let after = last.unwrap_or(Generation::NONE);
        if grows && after.next() != Some(generation) && !device.any_unissued {
            self.found.generation_gaps.push(GenerationGap {
                device: device.id,
                after,
                before: generation,
            });
        }
        if !grows {
            self.problem(
                None,
                format!("bundle generation {generation} was issued twice or out of order"),
            );
        }
    }

    fn event(&mut self, event: &Event) {
        self.found.events += 1;
        if self.damage.is_nobodys {
            return;
        }
        let Some(device) = &mut self.device else {
            return self.problem(
                Some(event.seq),
                "an event comes before any tablet".to_owned(),
            );
        };
        let id = device.id;
        let link = event.verify(id, device.position);
        // After a broken link the rest is judged by itself, so that each fault is named once.
        device.position = event.position();
        device.any_erased |= event.body.is_none();
        let place = self
            .expected
            .get_mut(&id)
            .and_then(|p| p.remove(&event.seq));
        let replaced = place.is_some_and(|hash| hash != event.hash);
        let head = device
            .heads
            .remove(&event.seq)
            .map(|(head, key)| {
                device.last_head = event.seq;
                self.found.heads += 1;
                if head.key_id != key_id(&key) {
                    Err(
                        "its batch head names another key than the one it is signed with"
                            .to_owned(),
                    )
                } else if device.keys.contains(&key) {
                    verify_head(&head, id, &key, event.position()).map_err(|e| e.to_string())
                } else {
                    Err("its batch head is signed by a key this tablet never had".to_owned())
                }
            })
            .transpose();
        self.found.erased += u64::from(event.body.is_none());
        let link_holds = link.is_ok();
        if let Err(error) = link {
            let said = error.to_string();
            let place = format!("event {}: ", event.seq);
            let said = said.strip_prefix(&place).unwrap_or(&said);
            self.problem(Some(event.seq), said.to_owned());
        }
        if let Err(problem) = head {
            self.problem(Some(event.seq), problem);
        }
        if replaced {
            let problem = "is not the event that was seen here before: the record was replaced";
            self.problem(Some(event.seq), problem.to_owned());
        }
        self.told_again(event);
        if let Some(body) = &event.body {
            self.body(event, body, link_holds);
        }
    }

    /// Works out the record the tablet had from the events it tells again, and compares where it ends.
    fn told_again(&mut self, event: &Event) {
        let Some(device) = &mut self.device else {
            return;
        };
        let id = device.id;
        let Some(continued) = device.continued.as_mut().filter(|c| c.left > 0) else {
            return;
        };
        continued.left -= 1;
        continued.worked_out = continued.worked_out.map(|before| {
            let seq = before.seq.saturating_add(1);
            let hash = link_hash(id, seq, event.at, &event.body_digest, &before.hash);
            ChainPosition { seq, hash }
        });
        let ends_elsewhere = continued.left == 0
            && continued
                .worked_out
                .is_some_and(|worked_out| worked_out != continued.had);
        if ends_elsewhere {
            self.problem(
                Some(event.seq),
                "the events told again after the record was put back are not those the tablet had"
                    .to_owned(),
            );
        }
    }

    fn body(&mut self, event: &Event, body: &str, link_holds: bool) {
        // Kinds of newer agents are kept and not judged.
        let Ok(body) = serde_json::from_str::<EventBody>(body) else {
            let kind = serde_json::from_str::<serde_json::Value>(body)
                .ok()
                .and_then(|v| v.get("kind")?.as_str().map(str::to_owned));
            if kind.as_deref().is_none_or(|kind| kind == "destroyed") {
                self.problem(Some(event.seq), "its body cannot be read".to_owned());
            }
            return;
        };
        if let EventBody::Destroyed { receipt } = &body {
            let problems = self.receipt(event, receipt);
            if problems.is_empty() && link_holds {
                self.found.receipts += 1;
            }
            for problem in problems {
                self.problem(Some(event.seq), problem);
            }
        }
        if let EventBody::PhotoStage {
            photo,
            to,
            observed_only: false,
            ..
        } = &body
            && let Some(device) = &mut self.device
        {
            device.stages.insert(*photo, (*to, event.seq));
        }
        if let EventBody::RecordContinued {
            common, had, again, ..
        } = &body
            && let Some(device) = &mut self.device
        {
            device.applied = Generation::NONE;
            // What it said of photos before, it does not know any more.
            device.stages.clear();
            device.continued = Some(Continued {
                before: event.seq.saturating_sub(1),
                worked_out: *common,
                had: *had,
                left: *again,
            });
            let since = common.map_or("what it still had".to_owned(), |c| {
                format!("event {}", c.seq)
            });
            self.note(
                Some(event.seq),
                format!(
                    "the tablet's record was put back to an earlier state and goes on here; {again} events it recorded after {since} are told again"
                ),
            );
        }
        if let EventBody::BundleApplied { generation, digest } = &body
            && let Some(device) = &mut self.device
        {
            let before = std::mem::replace(&mut device.applied, *generation);
            let issued = device.issued.get(generation);
            let was_issued = issued.map_or(device.any_unissued, |issued| {
                digest.is_none_or(|d| d == *issued)
            });
            if *generation < before {
                self.problem(
                    Some(event.seq),
                    format!("generation {generation} was applied after {before}"),
                );
            } else if !was_issued {
                let settled = device
                    .put_back
                    .is_some_and(|had| had.settled && *generation <= had.generation);
                let what = match issued {
                    None => "was applied, and never issued by this server",
                    Some(_) => {
                        "was applied with another content than this server issued under that number"
                    }
                };
                let problem = format!(
                    "bundle generation {generation} {what}: this server's data was put back from an earlier copy, or what is checked here was changed afterwards"
                );
                if settled {
                    self.note(Some(event.seq), format!("{problem}; settled since"));
                } else {
                    self.problem(Some(event.seq), problem);
                }
            }
        }
    }

    fn receipt(&mut self, event: &Event, receipt: &Receipt) -> Vec<String> {
        let mut problems = Vec::new();
        let mut expect = |holds: bool, problem: &str| {
            if !holds {
                problems.push(format!("receipt {}: {problem}", receipt.id));
            }
        };
        expect(self.receipts.insert(receipt.id), "is there twice");
        let device = self.device.as_mut();
        let before = device.and_then(|d| {
            let before = d.destroyed.insert(receipt.photo, event.seq)?;
            // A tablet that forgot what it destroyed looks again, and says so again.
            let forgotten = d.continued.as_ref().is_some_and(|c| before <= c.before);
            (!forgotten).then_some(before)
        });
        expect(before.is_none(), "its photo has a receipt already");
        let stage = self.device.as_ref().and_then(|device| {
            let said = device.stages.get(&receipt.photo)?;
            (!device.any_erased).then_some(said.0)
        });
        expect(
            stage.is_none_or(|stage| stage >= Stage::Sealed),
            "its photo was last said to be in use or withheld, and nothing is destroyed from there",
        );
        expect(
            receipt.destroyed_at <= event.at && receipt.rescan.at <= event.at,
            "is of later than the event that holds it",
        );
        expect(
            receipt.rescan.at >= receipt.destroyed_at,
            "the second look was before the photo was gone",
        );
        expect(
            receipt
                .sealed_at
                .is_none_or(|sealed| sealed <= receipt.destroyed_at)
                && receipt
                    .withheld_at
                    .zip(receipt.sealed_at)
                    .is_none_or(|(withheld, sealed)| withheld <= sealed),
            "its stages are out of order",
        );
        expect(
            receipt.rescan.found == 0,
            "the second look still found the content: it proves no deletion",
        );
        problems
    }

    fn finish_device(&mut self) {
        let Some(device) = self.device.take() else {
            return;
        };
        let (id, end, last_head) = (device.id, device.position.seq, device.last_head);
        self.found.ends.push(End {
            device: id,
            position: device.position,
        });
        for seq in device.heads.keys() {
            self.push(
                Some(id),
                Some(*seq),
                "the tablet signed a head for it, and the event is missing".to_owned(),
            );
        }
        for (photo, (stage, seq)) in &device.stages {
            if *stage == Stage::Destroyed
                && !device.any_erased
                && !device.destroyed.contains_key(photo)
            {
                self.push(
                    Some(id),
                    Some(*seq),
                    format!("photo {photo} was destroyed, and there is no receipt for it"),
                );
            }
        }
        let is_new = device
            .enrolled_at
            .zip(self.made_at)
            .is_some_and(|(enrolled, made)| made.duration_since(enrolled) < NOT_STARTED_FOR);
        if end == 0 && !device.issued.is_empty() && is_new {
            let note =
                "enrolled, and not started yet: nothing was received of it so far".to_owned();
            self.found.notes.push(Problem {
                device: Some(id),
                seq: None,
                problem: note,
            });
        } else if end == 0 && !device.issued.is_empty() {
            self.push(
                Some(id),
                None,
                "bundles were issued to it, and there is not one event of it; either it was never started, or its record was removed"
                    .to_owned(),
            );
        }
        if end > last_head {
            self.push(
                Some(id),
                Some(end),
                format!("no head that the tablet signed covers the events after {last_head}"),
            );
        }
    }

    fn problem(&mut self, seq: Option<u64>, problem: String) {
        let device = self.device.as_ref().map(|d| d.id);
        self.push(device, seq, problem);
    }

    fn note(&mut self, seq: Option<u64>, problem: String) {
        let device = self.device.as_ref().map(|d| d.id);
        if self.found.notes.len() < MAX_PROBLEMS {
            self.found.notes.push(Problem {
                device,
                seq,
                problem,
            });
        }
    }

    fn push(&mut self, device: Option<DeviceId>, seq: Option<u64>, problem: String) {
        if self.found.problems.len() >= MAX_PROBLEMS {
            self.found.problems_not_listed += 1;
            return;
        }
        self.found.problems.push(Problem {
            device,
            seq,
            problem,
        });
    }
}

fn key_id(public_key: &[u8]) -> KeyId {
    KeyId(Digest::sha256(public_key))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests;
