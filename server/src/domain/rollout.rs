//! A new version of a profile goes to one tablet first, to a room, then to all. Where a tablet is in trouble with it, it goes
//! to no more until a person looked.

pub mod progress;

use super::fleet::{self, Tablet};
use super::local_time::LocalTime;
use super::profile::{self, ProfileChangeError};
use crate::storage::{
    AuditEntry, Changed, Device, Joined, Rollout, Stopped, Storage, StorageError,
};
use jiff::Timestamp;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::policy::{DatedException, Policy};
use nestwarden_policy_schema::profile::PolicyProfile;
use progress::Progress;
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const MAX_REASON_CHARS: usize = 400;

/// The profile that each tablet is to have: the live version, or one that it has before the others.
#[derive(Debug)]
pub struct InForce {
    live: BTreeMap<String, Known>,
    early: BTreeMap<String, (BTreeSet<DeviceId>, Option<Known>)>,
}

#[derive(Debug)]
struct Known {
    source: String,
    profile: PolicyProfile,
    /// Without overrides.
    plain: Arc<Policy>,
}

impl Known {
    fn read(source: &str) -> Option<Self> {
        let profile = PolicyProfile::from_toml(source).ok()?;
        let plain = Arc::new(profile.policy_with(&[]));
        Some(Self {
            source: source.to_owned(),
            profile,
            plain,
        })
    }
}

impl InForce {
    pub async fn load(storage: &Storage) -> Result<Self, StorageError> {
        // What is made live in between ends the roll-out, so that none is missing; read the other way round one would be.
        let early = storage.rollout_list().await?;
        let live = storage.profile_list().await?;
        Ok(Self {
            live: live
                .into_iter()
                .filter_map(|live| Some((live.name, Known::read(&live.source)?)))
                .collect(),
            early: early
                .into_iter()
                .map(|rollout| {
                    let known = Known::read(&rollout.source);
                    (
                        rollout.profile,
                        (rollout.tablets.into_keys().collect(), known),
                    )
                })
                .collect(),
        })
    }

    fn known(&self, device: &Device) -> Option<&Known> {
        match self.early.get(&device.profile) {
            Some((tablets, known)) if tablets.contains(&device.id) => known.as_ref(),
            Some(_) | None => self.live.get(&device.profile),
        }
    }

    /// `None`: it is not there, or cannot be read.
    pub fn of(&self, device: &Device) -> Option<&PolicyProfile> {
        self.known(device).map(|known| &known.profile)
    }

    /// With its text. `None`: as for `of`.
    pub fn text_of(&self, device: &Device) -> Option<(&str, &PolicyProfile)> {
        let known = self.known(device)?;
        Some((&known.source, &known.profile))
    }

    /// With the tablet's overrides. `None`: as for `of`.
    pub fn policy_of(&self, device: &Device) -> Option<Arc<Policy>> {
        let known = self.known(device)?;
        Some(if device.overrides.is_empty() {
            Arc::clone(&known.plain)
        } else {
            Arc::new(known.profile.policy_with(&device.overrides))
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    #[error(transparent)]
    Profile(#[from] ProfileChangeError),
    #[error("nothing differs from what is live, and there is nothing to try")]
    Same,
    #[error(
        "there is no live version of \"{0}\" yet, so that no tablet has it; make this one live"
    )]
    New(String),
    #[error(
        "a version of \"{0}\" is being tried already, or another one was made live meanwhile; end that first, or look again"
    )]
    UnderWay(String),
    #[error("no version of \"{0}\" is being tried")]
    None(String),
    #[error(
        "no tablet of that name or room has the profile \"{0}\" and is without the new version; choose among those that `device list` shows"
    )]
    NoTablet(String),
    #[error(
        "\"{0}\" was not heard within the last quarter of an hour; switch it on, or begin with another one"
    )]
    NotHeard(String),
    #[error(
        "it was stopped because of \"{tablet}\": {why}. Look at that tablet, and say why it goes on all the same, or take it back"
    )]
    Stopped { tablet: String, why: String },
    #[error(
        "\"{0}\" has it and did not yet report that everything holds; wait until every tablet that has it did"
    )]
    NotYet(String),
    #[error(
        "no tablet that has it takes part any more, so nobody knows whether it holds; take it back, and begin with another tablet"
    )]
    Nobody,
    #[error("it is not stopped, and nothing has to be let pass")]
    NotStopped,
    #[error("say why, in 1 to {MAX_REASON_CHARS} characters")]
    Reason,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// One tablet that has the new version, and how far it is.
pub struct Trying {
    pub tablet: Tablet,
    pub since: Timestamp,
    pub progress: Progress,
    /// It counts no more, by a person's word.
    pub excused: bool,
}

/// A roll-out that is under way, with what is known of its tablets.
pub struct Look {
    pub rollout: Rollout,
    /// By name.
    pub tablets: Vec<Trying>,
    /// Tablets with this profile that do not have it yet, by name.
    pub others: Vec<Device>,
}

impl Look {
    /// The first that is not done with it; `None`: it may go further.
    pub fn not_yet(&self) -> Option<&Trying> {
        let is_done = |trying: &Trying| {
            trying.excused || matches!(trying.progress, Progress::Holds { .. } | Progress::ShutOut)
        };
        self.tablets.iter().find(|trying| !is_done(trying))
    }

    fn troubles(&self) -> impl Iterator<Item = (DeviceId, &str)> {
        let counted = self.tablets.iter().filter(|trying| !trying.excused);
        counted.filter_map(|trying| match &trying.progress {
            Progress::Trouble(why) => Some((trying.tablet.device().id, why.as_str())),
            Progress::Waits | Progress::OnItsWay | Progress::Holds { .. } | Progress::ShutOut => {
                None
            }
        })
    }

    fn name_of(&self, device: DeviceId) -> String {
        let named = self.tablets.iter().map(|trying| trying.tablet.device());
        named
            .chain(&self.others)
            .find(|tablet| tablet.id == device)
            .map_or_else(|| device.to_string(), |tablet| tablet.name.clone())
    }

    /// Whose trouble stopped it, by name, and what it is.
    pub fn stopped(&self) -> Option<(String, &Stopped)> {
        let stopped = self.rollout.stopped.as_ref()?;
        Some((self.name_of(stopped.device), stopped))
    }
}

/// What is tried of a profile. `None`: nothing is.
pub async fn look(
    storage: &Storage,
    profile: &str,
    now: Timestamp,
) -> Result<Option<Look>, StorageError> {
    let under_way = storage.rollout_list().await?;
    let Some(rollout) = under_way.into_iter().find(|one| one.profile == profile) else {
        return Ok(None);
    };
    let mut look = look_at(storage, rollout, now).await?;
    let Ok(new) = PolicyProfile::from_toml(&look.rollout.source) else {
        return Ok(Some(look));
    };
    for trying in &mut look.tablets {
        let holds = matches!(trying.progress, Progress::Holds { .. });
        if holds && !has_it(storage, &trying.tablet, &new, now).await? {
            trying.progress = Progress::OnItsWay;
        }
    }
    Ok(Some(look))
}

/// Of a bundle, what a profile says.
#[derive(Deserialize)]
struct Said {
    policy: Policy,
    calendar: Calendar,
    #[serde(default)]
    exceptions: Vec<DatedException>,
}

/// Whether the bundle that the tablet has in force says what this version does, and everything was measured since it was
/// issued. A tablet can be quite well under the version before, where no bundle could be made or signed.
async fn has_it(
    storage: &Storage,
    tablet: &Tablet,
    new: &PolicyProfile,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let device = tablet.device();
    let Some(issued) = storage.bundle_newest(device.id).await? else {
        return Ok(false);
    };
    let Ok(said) = serde_json::from_str::<Said>(&issued.signed.payload) else {
        return Ok(false);
    };
    let says_so = said.policy == new.policy_with(&device.overrides)
        && said.calendar == new.calendar
        && said.exceptions == new.exceptions;
    let found = tablet.compliance(now);
    let mut asked_for = found.controls.iter().filter(|one| one.mode.is_some());
    let is_measured = asked_for.all(|one| {
        let report = one.report.as_ref();
        report.is_some_and(|report| report.measured_at >= issued.issued_at)
    });
    Ok(says_so && is_measured && found.generation_applied >= issued.generation)
}

async fn look_at(
    storage: &Storage,
    rollout: Rollout,
    now: Timestamp,
) -> Result<Look, StorageError> {
    let local = LocalTime::load(storage).await?;
    let read = PolicyProfile::from_toml(&rollout.source).ok();
    let mut tablets = Vec::new();
    let joined = rollout.tablets.keys().copied();
    for tablet in fleet::some(storage, joined, now).await? {
        let Some(joined) = rollout.tablets.get(&tablet.device().id) else {
            continue;
        };
        let compliance = tablet.compliance(now);
        let progress = match &read {
            _ if tablet.device().profile != rollout.profile => Progress::ShutOut,
            Some(new) => progress::of(&compliance, joined, &new.calendar, (now, &local)),
            None => Progress::Trouble("this version of the server cannot read it".to_owned()),
        };
        tablets.push(Trying {
            tablet,
            since: joined.at,
            progress,
            excused: joined.excused,
        });
    }
    tablets.sort_by(|a, b| a.tablet.device().name.cmp(&b.tablet.device().name));
    let mut others = profile::devices_of(storage, &rollout.profile).await?;
    others.retain(|device| !rollout.tablets.contains_key(&device.id));
    others.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Look {
        rollout,
        tablets,
        others,
    })
}

fn audit(
    who: &str,
    now: Timestamp,
    act: &str,
    profile: &str,
    detail: serde_json::Value,
) -> AuditEntry {
    AuditEntry {
        at: now,
        who: who.to_owned(),
        act: act.to_owned(),
        subject: profile.to_owned(),
        detail,
    }
}

/// Gives a version to one tablet, compared with live version `looked_at` (`None`: with whatever is live).
pub async fn begin(
    storage: &Storage,
    (source, looked_at): (&str, Option<u64>),
    device: DeviceId,
    (who, now): (&str, Timestamp),
) -> Result<Look, RolloutError> {
    let change = profile::diff(storage, source).await?;
    profile::check_closures(source)?;
    let Some(live) = change.live else {
        return Err(RolloutError::New(change.name));
    };
    if looked_at.is_some_and(|looked_at| looked_at != live) {
        return Err(ProfileChangeError::Overtaken(change.name).into());
    }
    if change.differences.is_empty() && !change.live_unreadable {
        return Err(RolloutError::Same);
    }
    let devices = profile::devices_of(storage, &change.name).await?;
    let Some(first) = devices.iter().find(|known| known.id == device) else {
        return Err(RolloutError::NoTablet(change.name));
    };
    let tablets = join(storage, &[device], now).await?;
    let heard = fleet::one(storage, device, now).await?;
    let reported_at = heard.and_then(|tablet| tablet.reported_at());
    if reported_at.is_none_or(|at| now.duration_since(at) > super::compliance::STALE_AFTER) {
        return Err(RolloutError::NotHeard(first.name.clone()));
    }
    let rollout = Rollout {
        profile: change.name.clone(),
        begun_at: now,
        begun_by: who.to_owned(),
        source: source.to_owned(),
        on_version: live,
        stopped: None,
        tablets,
    };
    let detail = json!({
        "tablets": [device], "on": live, "differences": change.differences.len(), "loosens": change.loosens
    });
    let entry = audit(who, now, "profile.try", &change.name, detail);
    match storage.rollout_begin(&rollout, &entry).await? {
        Changed::Yes => Ok(look_at(storage, rollout, now).await?),
        Changed::Already | Changed::Missing => Err(RolloutError::UnderWay(change.name)),
    }
}

async fn join(
    storage: &Storage,
    devices: &[DeviceId],
    now: Timestamp,
) -> Result<BTreeMap<DeviceId, Joined>, StorageError> {
    let tablets = fleet::some(storage, devices.iter().copied(), now).await?;
    let joined = tablets.iter().map(|tablet| {
        let joined = Joined {
            at: now,
            already: progress::in_trouble(&tablet.compliance(now)),
            excused: false,
        };
        (tablet.device().id, joined)
    });
    Ok(joined.collect())
}

/// May it go further?
fn is_ready(look: &Look) -> Result<(), RolloutError> {
    if let Some((tablet, stopped)) = look.stopped() {
        let why = stopped.why.clone();
        return Err(RolloutError::Stopped { tablet, why });
    }
    let counts = |trying: &Trying| trying.progress != Progress::ShutOut;
    if !look.tablets.iter().any(counts) {
        return Err(RolloutError::Nobody);
    }
    match look.not_yet() {
        None => Ok(()),
        Some(trying) => Err(RolloutError::NotYet(trying.tablet.device().name.clone())),
    }
}

async fn under_way(storage: &Storage, profile: &str, now: Timestamp) -> Result<Look, RolloutError> {
    let look = look(storage, profile, now).await?;
    look.ok_or_else(|| RolloutError::None(profile.to_owned()))
}

/// Gives it to more tablets, those that `chosen` picks of the others.
pub async fn add(
    storage: &Storage,
    profile: &str,
    chosen: impl Fn(&Device) -> bool,
    (who, now): (&str, Timestamp),
) -> Result<Look, RolloutError> {
    let look = under_way(storage, profile, now).await?;
    is_ready(&look)?;
    let chosen = look.others.iter().filter(|device| chosen(device));
    let chosen: Vec<DeviceId> = chosen.map(|device| device.id).collect();
    let more = join(storage, &chosen, now).await?;
    if more.is_empty() {
        return Err(RolloutError::NoTablet(profile.to_owned()));
    }
    let detail = json!({ "tablets": more.keys().collect::<Vec<_>>() });
    let entry = audit(who, now, "profile.try_more", profile, detail);
    let this = (profile, look.rollout.begun_at);
    match storage.rollout_add(this, &more, &entry).await? {
        Changed::Yes => under_way(storage, profile, now).await,
        Changed::Already | Changed::Missing => Err(RolloutError::None(profile.to_owned())),
    }
}

/// Makes it the live version, for every tablet; its number.
pub async fn make_live(
    storage: &Storage,
    profile: &str,
    (who, now): (&str, Timestamp),
) -> Result<u64, RolloutError> {
    let look = under_way(storage, profile, now).await?;
    is_ready(&look)?;
    let (source, on) = (&look.rollout.source, look.rollout.on_version);
    let (_, version) = profile::apply_over(storage, source, on, who, now).await?;
    Ok(version)
}

fn reason(why: &str) -> Result<&str, RolloutError> {
    let why = why.trim();
    let fits = (1..=MAX_REASON_CHARS).contains(&why.chars().count());
    fits.then_some(why).ok_or(RolloutError::Reason)
}

/// It may go further although a tablet was in trouble. Those that are now count no more.
pub async fn go_on(
    storage: &Storage,
    profile: &str,
    why: &str,
    (who, now): (&str, Timestamp),
) -> Result<(), RolloutError> {
    let why = reason(why)?;
    let look = under_way(storage, profile, now).await?;
    let entry = audit(
        who,
        now,
        "profile.try_on",
        profile,
        json!({ "reason": why }),
    );
    let this = (profile, look.rollout.begun_at);
    let excused = look.troubles().map(|(device, _)| device).collect();
    match storage.rollout_go_on(this, &excused, &entry).await? {
        Changed::Yes => Ok(()),
        Changed::Already => Err(RolloutError::NotStopped),
        Changed::Missing => Err(RolloutError::None(profile.to_owned())),
    }
}

/// Its tablets get the live version again.
pub async fn take_back(
    storage: &Storage,
    profile: &str,
    why: &str,
    (who, now): (&str, Timestamp),
) -> Result<(), RolloutError> {
    let why = reason(why)?;
    let look = under_way(storage, profile, now).await?;
    let entry = audit(
        who,
        now,
        "profile.take_back",
        profile,
        json!({ "reason": why }),
    );
    let this = (profile, look.rollout.begun_at);
    match storage.rollout_take_back(this, &entry).await? {
        Changed::Yes => Ok(()),
        Changed::Already | Changed::Missing => Err(RolloutError::None(profile.to_owned())),
    }
}

/// Stops those in which a tablet is in trouble. Harmless to repeat. How many were stopped.
pub async fn watch(storage: &Storage, now: Timestamp) -> Result<usize, StorageError> {
    let mut count = 0;
    for rollout in storage.rollout_list().await? {
        if rollout.stopped.is_some() {
            continue;
        }
        let look = look_at(storage, rollout, now).await?;
        let Some((device, why)) = look.troubles().next() else {
            continue;
        };
        let stopped = Stopped {
            at: now,
            device,
            why: why.to_owned(),
        };
        let profile = &look.rollout.profile;
        let detail = json!({ "tablet": device, "why": why });
        let entry = audit("server", now, "profile.try_stopped", profile, detail);
        let this = (profile.as_str(), look.rollout.begun_at);
        if storage.rollout_stop(this, &stopped, &entry).await? == Changed::Yes {
            tracing::warn!(profile, tablet = %device, why, "a new version of a profile goes to no more tablets: one is in trouble with it");
            count += 1;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests;
