//! Profiles: read whole or refused whole, compared with the live one, and checked against every tablet that has it.

pub mod allowlist;
pub mod effective;

use super::rollout::InForce;
use crate::storage::{AuditEntry, Changed, Device, ProfileVersion, Storage, StorageError};
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::policy::{Policy, Tighten as _};
use nestwarden_policy_schema::profile::{PolicyProfile, ProfileError};
use serde::Serialize;
use std::collections::BTreeMap;

/// Destruction, and every time to object, waits for opening days; longer than any holiday.
const LONGEST_CLOSURE_DAYS: u16 = 60;

/// One key that differs between two profiles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub key: String,
    /// `None`: the key is new.
    pub was: Option<serde_json::Value>,
    /// `None`: the key is gone.
    pub becomes: Option<serde_json::Value>,
}

/// What applying a profile would do, or did.
#[derive(Clone, Debug, Serialize)]
pub struct ProfileChange {
    pub name: String,
    /// Live before; `None`: a new profile.
    pub live: Option<u64>,
    pub differences: Vec<Difference>,
    /// Whether any control becomes looser than it is now.
    pub loosens: bool,
    /// What is live was written for another version of this program, and cannot be compared with anything.
    pub live_unreadable: bool,
    /// Tablets that have this profile.
    pub devices: usize,
    /// Some of them have another new version before the others, and making this one live ends that.
    pub ends_rollout: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ProfileChangeError {
    #[error("{0}")]
    Refused(#[from] ProfileError),
    #[error(
        "with its overrides, tablet \"{device}\" would get a policy that must be refused: {problem}\nchange the profile, or the tablet's overrides with `device override`"
    )]
    WithOverrides { device: String, problem: String },
    #[error(
        "`calendar.closures`: from {from} on, in the closure that ends on {to}, the setting is closed for more than {LONGEST_CLOSURE_DAYS} days on end, and what is due to be destroyed would wait for an opening day all that time; correct the dates, or enter a longer closure when its time has come"
    )]
    Closed { from: Date, to: Date },
    #[error(
        "another version of \"{0}\" was made live since this one was compared with it, and nothing was changed; look at the difference again"
    )]
    Overtaken(String),
    #[error("there is no profile \"{0}\"; `profile list` shows those there are")]
    Missing(String),
    #[error("the override cannot be read: {0}")]
    Override(String),
    #[error("there is no tablet {0}; `device list` shows those there are")]
    NoDevice(DeviceId),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What applying `source` would change; nothing is written.
pub async fn diff(storage: &Storage, source: &str) -> Result<ProfileChange, ProfileChangeError> {
    let new = PolicyProfile::from_toml(source)?;
    let live = storage.profile_find(&new.name).await?;
    let devices = devices_of(storage, &new.name).await?;
    for device in &devices {
        check_overrides(&new, device, &device.overrides)?;
    }
    let old = live
        .as_ref()
        .and_then(|live| PolicyProfile::from_toml(&live.source).ok());
    Ok(ProfileChange {
        differences: differences(old.as_ref(), &new),
        loosens: old.as_ref().is_some_and(|old| is_looser(old, &new)),
        live_unreadable: live.is_some() && old.is_none(),
        live: live.map(|live| live.version),
        devices: devices.len(),
        ends_rollout: is_other_under_way(storage, &new.name, source).await?,
        name: new.name,
    })
}

async fn is_other_under_way(
    storage: &Storage,
    profile: &str,
    source: &str,
) -> Result<bool, StorageError> {
    let under_way = storage.rollout_list().await?;
    let mut of_it = under_way.iter().filter(|one| one.profile == profile);
    Ok(of_it.any(|one| one.source != source))
}

/// Makes `source` live. What was live stays so unless the whole file is good, and is what this was compared with.
pub async fn apply(
    storage: &Storage,
    source: &str,
    who: &str,
    now: Timestamp,
) -> Result<(ProfileChange, u64), ProfileChangeError> {
    let change = diff(storage, source).await?;
    put(storage, source, change, who, now).await
}

/// Likewise, if what somebody compared it with is live still: version `looked_at`, 0 where there was none.
pub async fn apply_over(
    storage: &Storage,
    source: &str,
    looked_at: u64,
    who: &str,
    now: Timestamp,
) -> Result<(ProfileChange, u64), ProfileChangeError> {
    let change = diff(storage, source).await?;
    if change.live.unwrap_or(0) != looked_at {
        return Err(ProfileChangeError::Overtaken(change.name));
    }
    put(storage, source, change, who, now).await
}

async fn put(
    storage: &Storage,
    source: &str,
    change: ProfileChange,
    who: &str,
    now: Timestamp,
) -> Result<(ProfileChange, u64), ProfileChangeError> {
    check_closures(source)?;
    if let Some(live) = storage.profile_find(&change.name).await?
        && live.source == source
    {
        return Ok((change, live.version));
    }
    // A frozen tablet takes it over like the others: no profile outranks its hold, and what tightens is never hindered.
    let audit = AuditEntry {
        at: now,
        who: who.to_owned(),
        act: "profile.apply".to_owned(),
        subject: change.name.clone(),
        detail: serde_json::json!({
            "differences": change.differences.len(), "loosens": change.loosens,
            "ends_rollout": change.ends_rollout
        }),
    };
    let on = change.live.unwrap_or(0);
    match storage
        .profile_put(&change.name, on, source, &audit)
        .await?
    {
        Some(version) => Ok((change, version)),
        None => Err(ProfileChangeError::Overtaken(change.name)),
    }
}

/// Refuses closures during which nothing would be destroyed for too long.
pub(super) fn check_closures(source: &str) -> Result<(), ProfileChangeError> {
    let calendar = PolicyProfile::from_toml(source)?.calendar;
    match calendar.closed_for_longer_than(LONGEST_CLOSURE_DAYS) {
        None => Ok(()),
        Some(closure) => Err(ProfileChangeError::Closed {
            from: closure.from,
            to: closure.to,
        }),
    }
}

pub async fn find(
    storage: &Storage,
    name: &str,
) -> Result<(ProfileVersion, PolicyProfile), ProfileChangeError> {
    let live = storage
        .profile_find(name)
        .await?
        .ok_or_else(|| ProfileChangeError::Missing(name.to_owned()))?;
    let profile = PolicyProfile::from_toml(&live.source)?;
    Ok((live, profile))
}

/// Reads an override: the tables of a profile's `policy`, without `policy.` before their names.
pub fn read_override(text: &str) -> Result<Policy, ProfileChangeError> {
    let mut unknown = Vec::new();
    let deserializer =
        toml::Deserializer::parse(text).map_err(|e| ProfileChangeError::Override(e.to_string()))?;
    let policy = serde_ignored::deserialize(deserializer, |path| unknown.push(path.to_string()))
        .map_err(|e| ProfileChangeError::Override(e.to_string()))?;
    match unknown.first() {
        Some(key) => Err(ProfileChangeError::Override(format!(
            "`{key}` is not a key of a policy; write `[camera]`, `[apps]` … as under `[policy]` in a profile"
        ))),
        None => Ok(policy),
    }
}

/// Replaces the overrides of one tablet.
pub async fn set_overrides(
    storage: &Storage,
    id: DeviceId,
    overrides: &[Policy],
    who: &str,
    now: Timestamp,
) -> Result<Changed, ProfileChangeError> {
    let device = storage
        .device_find(id)
        .await?
        .ok_or(ProfileChangeError::NoDevice(id))?;
    let (_, profile) = find(storage, &device.profile).await?;
    check_overrides(&profile, &device, overrides)?;
    // Likewise with a version that it has before the others.
    if let Some(early) = InForce::load(storage).await?.of(&device) {
        check_overrides(early, &device, overrides)?;
    }
    let audit = AuditEntry {
        at: now,
        who: who.to_owned(),
        act: "device.override".to_owned(),
        subject: id.to_string(),
        detail: serde_json::json!({ "overrides": overrides }),
    };
    Ok(storage.device_set_overrides(id, overrides, &audit).await?)
}

pub(super) async fn devices_of(
    storage: &Storage,
    profile: &str,
) -> Result<Vec<Device>, StorageError> {
    let mut devices = storage.device_list().await?;
    devices.retain(|d| d.profile == profile && d.revoked.is_none());
    Ok(devices)
}

fn check_overrides(
    profile: &PolicyProfile,
    device: &Device,
    overrides: &[Policy],
) -> Result<(), ProfileChangeError> {
    match profile.policy_with(overrides).problems().first() {
        None => Ok(()),
        Some(problem) => Err(ProfileChangeError::WithOverrides {
            device: device.name.clone(),
            problem: problem.to_string(),
        }),
    }
}

/// Anything the old policy held tighter, or an exception that is new.
fn is_looser(old: &PolicyProfile, new: &PolicyProfile) -> bool {
    new.policy.tighten(&old.policy) != new.policy
        || new
            .exceptions
            .iter()
            .any(|exception| !old.exceptions.contains(exception))
}

fn differences(old: Option<&PolicyProfile>, new: &PolicyProfile) -> Vec<Difference> {
    let was = old.map_or_else(BTreeMap::new, leaves);
    let mut becomes = leaves(new);
    let mut found: Vec<Difference> = was
        .into_iter()
        .filter_map(|(key, was)| {
            let becomes = becomes.remove(&key);
            (becomes.as_ref() != Some(&was)).then_some(Difference {
                key,
                was: Some(was),
                becomes,
            })
        })
        .collect();
    found.extend(becomes.into_iter().map(|(key, value)| Difference {
        key,
        was: None,
        becomes: Some(value),
    }));
    found.sort_by(|a, b| a.key.cmp(&b.key));
    found
}

/// Every value by its dotted key; lists count as values.
fn leaves(profile: &PolicyProfile) -> BTreeMap<String, serde_json::Value> {
    let mut found = BTreeMap::new();
    if let Ok(value) = serde_json::to_value(profile) {
        collect(String::new(), value, &mut found);
    }
    found
}

fn collect(key: String, value: serde_json::Value, found: &mut BTreeMap<String, serde_json::Value>) {
    if let serde_json::Value::Object(members) = value {
        for (name, member) in members {
            let key = if key.is_empty() {
                name
            } else {
                format!("{key}.{name}")
            };
            collect(key, member, found);
        }
    } else {
        found.insert(key, value);
    }
}

#[cfg(test)]
mod tests;
