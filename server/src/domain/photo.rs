//! What becomes of the photos tablets told of, judged by the tablets' own rule.

use super::bundle::Inputs;
use super::loss;
use super::register::Register;
use crate::storage::{PhotoRow, Storage, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::consent::{
    PhotoFacts, RegisterSnapshot, Stage, TagCorrection, TrustedNow, Verdict, verdict,
};
use nestwarden_policy_schema::hold::HoldList;
use nestwarden_policy_schema::id::{ChildId, DeviceId, PhotoId};
use nestwarden_policy_schema::policy::{Mode, PhotosPolicy};
use std::collections::{BTreeMap, BTreeSet};

/// Photos read at once: judging so many must not keep others of this process waiting.
pub const PAGE: u32 = 250;
/// Photos of more children are hardly fewer than all.
const MOST_ASKED_FOR: usize = 50;

/// How many photos would go how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stages {
    /// Out of use, and no further.
    pub withheld: usize,
    /// Encrypted, the plaintext gone.
    pub sealed: usize,
}

/// What another register would do that the live one does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// By each child for whose sake; a photo of several counts for each of them.
    pub by_child: BTreeMap<ChildId, Stages>,
    pub withheld: usize,
    pub sealed: usize,
    /// Of those, photos on tablets that only observe: they would stay, and be reported.
    pub observed_only: usize,
    pub devices: BTreeSet<DeviceId>,
}

/// How one tablet is held to photos.
#[derive(Clone, Debug)]
pub struct Setup {
    pub policy: PhotosPolicy,
    pub calendar: Calendar,
}

/// Everything a verdict needs, as one reading: register, holds, and each tablet's own policy.
#[derive(Clone, Debug)]
pub struct Judge {
    pub register: RegisterSnapshot,
    pub holds: HoldList,
    setups: BTreeMap<DeviceId, Setup>,
    revoked: BTreeSet<DeviceId>,
    corrections: BTreeMap<(DeviceId, PhotoId), TagCorrection>,
    now: TrustedNow,
    /// Since when tablets hold themselves as lost, by their own word.
    lost: BTreeMap<DeviceId, Timestamp>,
}

impl Judge {
    /// Photos of tablets without a readable policy for photos are judged by nobody.
    pub async fn load(storage: &Storage, now: Timestamp) -> Result<Self, StorageError> {
        let inputs = Inputs::load(storage).await?;
        let devices = storage.device_list().await?;
        let setups = devices
            .iter()
            .filter_map(|device| Some((device.id, inputs.photos_of(device)?)))
            .collect();
        let lost = loss::all(storage, now).await?.into_iter();
        let lost = lost.filter_map(|(device, loss)| Some((device, loss.held_since()?)));
        let revoked = devices.iter().filter(|device| device.revoked.is_some());
        Ok(Self {
            register: inputs.register(now),
            holds: inputs.holds(now),
            setups,
            revoked: revoked.map(|device| device.id).collect(),
            corrections: inputs.corrections(),
            lost: lost.collect(),
            now: TrustedNow {
                at: now,
                doubtful: false,
                last_contact: Some(now),
                // Each tablet's own is added where it is asked.
                lost_since: None,
                holds_confirmed_at: Some(now),
            },
        })
    }

    pub fn setup(&self, device: DeviceId) -> Option<&Setup> {
        self.setups.get(&device)
    }

    /// What is known of a photo, with a manager's word where the tablet told nothing since. Once it is out of use, what the
    /// tablet tells adds to what was known, and only a manager's word takes anything back. `None`: it never told.
    pub fn facts(&self, row: &PhotoRow) -> Option<PhotoFacts> {
        let told = row.facts.as_ref()?;
        let floor = row.floor.as_ref().map(|floor| &floor.facts);
        let mut facts = floor.unwrap_or(told).clone();
        let told_since = |word: &TagCorrection| row.facts_at.is_some_and(|at| at > word.decided_at);
        let corrected = self.corrections.get(&(row.device, row.photo));
        if let Some(word) = corrected.filter(|word| floor.is_some() || !told_since(word)) {
            facts.tagged_at = facts.tagged_at.max(Some(word.decided_at));
            facts.subjects.tagging = word.tagging;
            facts.subjects.confirmed.clone_from(&word.confirmed);
            facts.subjects.unregistered_person = word.unregistered_person;
            facts.care_record = word.care_record;
            if told_since(word) {
                facts = facts.tightened_by(told);
            }
        }
        Some(facts)
    }

    /// Whether a hold for illegal content is open at all.
    pub fn is_any_frozen(&self) -> bool {
        self.holds.holds.iter().any(|hold| hold.category.freezes())
    }

    /// `None`: nobody told what it rests on, or its tablet is judged by nobody.
    pub fn verdict(&self, facts: &PhotoFacts) -> Option<Verdict> {
        self.verdict_by(facts, &self.register)
    }

    /// The stage the photo should have reached by now; `None` as above, and while it is frozen.
    pub fn due(&self, facts: &PhotoFacts) -> Option<Stage> {
        self.due_by(facts, &self.register)
    }

    /// How many photos are due to be withheld or sealed by `register` and were not by the one that was live when this was
    /// loaded. Reads every photo that may show a child of whom something changed, so whoever is in a hurry to change the
    /// register asks afterwards.
    pub async fn effect(
        &self,
        storage: &Storage,
        register: &Register,
        now: Timestamp,
    ) -> Result<Effect, StorageError> {
        let then = register.snapshot(now);
        let changed = changed(&self.register, &then);
        let mut effect = Effect::default();
        if changed.is_empty() {
            return Ok(effect);
        }
        each_that_may_show(storage, &changed, |row| {
            let may_go = row.stage != Stage::Destroyed && !self.revoked.contains(&row.device);
            if let Some(facts) = self.facts(&row).filter(|_| may_go) {
                effect.count(self, &facts, &then, &changed);
            }
        })
        .await?;
        Ok(effect)
    }

    fn verdict_by(&self, facts: &PhotoFacts, register: &RegisterSnapshot) -> Option<Verdict> {
        let setup = self.setups.get(&facts.device)?;
        let (policy, calendar) = (&setup.policy, &setup.calendar);
        let now = TrustedNow {
            lost_since: self.lost.get(&facts.device).copied(),
            ..self.now
        };
        Some(verdict(
            facts,
            register,
            &self.holds,
            policy,
            calendar,
            &now,
        ))
    }

    fn due_by(&self, facts: &PhotoFacts, register: &RegisterSnapshot) -> Option<Stage> {
        let setup = self.setups.get(&facts.device)?;
        let verdict = self.verdict_by(facts, register)?;
        let (stage, _) = verdict.due(&setup.calendar, &self.now)?;
        Some(stage)
    }
}

/// Gives every photo that is known to `take`, a page at a time.
pub async fn each(storage: &Storage, mut take: impl FnMut(PhotoRow)) -> Result<(), StorageError> {
    let mut after = None;
    loop {
        let page = storage.photo_list(after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some((last.device, last.photo));
        page.into_iter().for_each(&mut take);
    }
}

/// Gives every photo to `take` in which one of these children may be, and some in which none of them is: whoever takes them
/// judges. Of destroyed ones those that were said to show them, or that went for their sake.
pub async fn each_that_may_show(
    storage: &Storage,
    children: &BTreeSet<ChildId>,
    mut take: impl FnMut(PhotoRow),
) -> Result<(), StorageError> {
    if children.len() > MOST_ASKED_FOR {
        return each(storage, take).await;
    }
    let photos = storage.photos_that_may_show(children).await?;
    for page in photos.chunks(PAGE as usize) {
        let rows = storage.photo_some(page).await?;
        rows.into_iter().for_each(&mut take);
    }
    Ok(())
}

/// How many photos would newly be due to be withheld or sealed if `register` were the live one.
pub async fn effect(
    storage: &Storage,
    register: &Register,
    now: Timestamp,
) -> Result<Effect, StorageError> {
    let judge = Judge::load(storage, now).await?;
    judge.effect(storage, register, now).await
}

/// Children of whom the two registers say something else.
fn changed(live: &RegisterSnapshot, then: &RegisterSnapshot) -> BTreeSet<ChildId> {
    let differs = |id: &&ChildId| live.children.get(id) != then.children.get(id);
    let all = live.children.keys().chain(then.children.keys());
    all.filter(differs).copied().collect()
}

impl Effect {
    fn count(
        &mut self,
        judge: &Judge,
        facts: &PhotoFacts,
        then: &RegisterSnapshot,
        changed: &BTreeSet<ChildId>,
    ) {
        let Some(setup) = judge.setup(facts.device) else {
            return;
        };
        let date = setup.calendar.local_date(facts.captured_at);
        let mut concerned = facts.subjects.all(then, date);
        concerned.extend(facts.subjects.all(&judge.register, date));
        concerned.retain(|child| changed.contains(child));
        // What no subject's entry changed is decided as before.
        if concerned.is_empty() {
            return;
        }
        let stages = (judge.due(facts), judge.due_by(facts, then));
        let (Some(before), Some(after)) = stages else {
            return;
        };
        if after <= before || after == Stage::Live {
            return;
        }
        let seals = after >= Stage::Sealed;
        let add = |stages: &mut Stages| {
            stages.sealed += usize::from(seals);
            stages.withheld += usize::from(!seals);
        };
        for child in concerned {
            add(self.by_child.entry(child).or_default());
        }
        self.sealed += usize::from(seals);
        self.withheld += usize::from(!seals);
        self.observed_only += usize::from(setup.policy.mode == Mode::Observe);
        self.devices.insert(facts.device);
    }
}

#[cfg(test)]
mod tests;
