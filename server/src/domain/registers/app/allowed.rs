//! What live profiles allow, held against what was decided. An app that a profile calls essential needs no decision, and the
//! tablet's own base system is in no list; every other one does.

use super::{App, Decision};
use crate::domain::registers::Kept;
use crate::storage::{ProfileVersion, Storage, StorageError};
use jiff::Timestamp;
use nestwarden_policy_schema::id::EntryId;
use nestwarden_policy_schema::policy::{AppId, AppsPolicy, DatedException, Loosening, Mode};
use nestwarden_policy_schema::profile::PolicyProfile;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Versions of a profile that are looked through for when an app came in.
const MOST_VERSIONS: usize = 100;

/// What one live profile says of apps.
#[derive(Clone, Debug)]
pub struct LiveProfile {
    pub name: String,
    pub version: u64,
    /// `None`: it leaves apps alone, so that whatever is installed runs.
    pub apps: Option<AppsPolicy>,
    pub exceptions: Vec<DatedException>,
    /// Tablets that have it.
    pub devices: usize,
}

/// How an app stands in a live profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum In {
    /// Whatever is installed runs, this too.
    LeftAlone,
    Essential(Mode),
    Allowed(Mode),
    NotAllowed(Mode),
}

impl LiveProfile {
    pub fn says(&self, app: &AppId) -> In {
        match &self.apps {
            None => In::LeftAlone,
            Some(apps) if apps.essential.contains(app) => In::Essential(apps.mode),
            Some(apps) if apps.allowed.contains(app) => In::Allowed(apps.mode),
            Some(apps) => In::NotAllowed(apps.mode),
        }
    }

    /// Those it is allowed by beside the list, whether or not they run today.
    pub fn exceptions_for(&self, app: &AppId) -> impl Iterator<Item = &DatedException> {
        let is_for = move |exception: &&DatedException| match &exception.allow {
            Loosening::App(allowed) => allowed == app,
            Loosening::BluetoothService(_)
            | Loosening::RemovableMedia
            | Loosening::Camera
            | Loosening::OpenOutsideContactHours => false,
        };
        self.exceptions.iter().filter(is_for)
    }
}

#[derive(Clone, Debug, Default)]
pub struct LiveProfiles {
    /// By name.
    pub readable: Vec<LiveProfile>,
    /// Names of those that this version of the program cannot read: what they allow is not known.
    pub unreadable: Vec<String>,
}

impl LiveProfiles {
    pub async fn load(storage: &Storage) -> Result<Self, StorageError> {
        let devices = storage.device_list().await?;
        let mut all = Self::default();
        let early = storage.rollout_list().await?;
        for live in storage.profile_list().await? {
            // What only some tablets may start so far is allowed, too.
            let early = early.iter().find(|one| one.profile == live.name);
            let early = early.and_then(|one| PolicyProfile::from_toml(&one.source).ok());
            let early = early.and_then(|early| early.policy.apps);
            let in_use = devices.iter().filter(|device| device.revoked.is_none());
            let count = in_use.filter(|device| device.profile == live.name).count();
            match PolicyProfile::from_toml(&live.source) {
                Ok(profile) => all.readable.push(LiveProfile {
                    name: live.name,
                    version: live.version,
                    apps: allowed_by_either(profile.policy.apps, early),
                    exceptions: profile.exceptions,
                    devices: count,
                }),
                Err(_) => all.unreadable.push(live.name),
            }
        }
        Ok(all)
    }

    /// Without those that no tablet has.
    #[must_use]
    pub fn in_use(mut self) -> Self {
        self.readable.retain(|live| live.devices > 0);
        self
    }
}

fn allowed_by_either(live: Option<AppsPolicy>, early: Option<AppsPolicy>) -> Option<AppsPolicy> {
    match (live, early) {
        (Some(mut live), Some(early)) => {
            live.allowed.extend(early.allowed);
            Some(live)
        }
        (live, early) => live.or(early),
    }
}

/// Why an app should not be in a profile's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    NeverDecided,
    Refused,
    Withdrawn,
}

/// An app that live profiles allow although nobody approved it.
#[derive(Clone, Debug)]
pub struct Unapproved<'p> {
    pub app: &'p AppId,
    pub why: Why,
    /// `None`: nobody asked for it either.
    pub entry: Option<EntryId>,
    /// Never empty.
    pub profiles: Vec<&'p LiveProfile>,
}

/// By package. What was approved once and is to be decided again is not among them: that says so itself.
pub fn unapproved<'p>(live: &'p LiveProfiles, decided: &[Kept<App>]) -> Vec<Unapproved<'p>> {
    let mut allowing: BTreeMap<&AppId, Vec<&LiveProfile>> = BTreeMap::new();
    for profile in &live.readable {
        let Some(apps) = &profile.apps else { continue };
        for app in apps.allowed.difference(&apps.essential) {
            allowing.entry(app).or_default().push(profile);
        }
    }
    let entries: BTreeMap<&AppId, &Kept<App>> =
        decided.iter().map(|kept| (&kept.now.app, kept)).collect();
    let found = allowing.into_iter().filter_map(|(app, profiles)| {
        let entry = entries.get(app);
        Some(Unapproved {
            app,
            why: why(entry.map(|kept| &kept.now))?,
            entry: entry.map(|kept| kept.id),
            profiles,
        })
    });
    found.collect()
}

/// `None`: it was approved.
fn why(app: Option<&App>) -> Option<Why> {
    match app.map(|app| &app.decision) {
        None | Some(Decision::None) => Some(Why::NeverDecided),
        Some(Decision::Refused) => Some(Why::Refused),
        Some(Decision::Withdrawn) => Some(Why::Withdrawn),
        Some(Decision::Approved(_)) => None,
    }
}

/// Those that `source` allows and what is live does not, and that nobody approved.
pub fn newly_unapproved(
    live: &ProfileVersion,
    source: &str,
    decided: &[Kept<App>],
) -> BTreeSet<AppId> {
    let apps = |source: &str| {
        let profile = PolicyProfile::from_toml(source).ok();
        let apps = profile.and_then(|profile| profile.policy.apps);
        apps.map_or_else(BTreeSet::new, |apps| {
            apps.allowed.difference(&apps.essential).cloned().collect()
        })
    };
    let before: BTreeSet<AppId> = apps(&live.source);
    let mut new = apps(source);
    new.retain(|app| {
        let entry = decided.iter().find(|kept| kept.now.app == *app);
        !before.contains(app) && why(entry.map(|kept| &kept.now)).is_some()
    });
    new
}

/// Since when a live profile allows an app without a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    Version {
        version: u64,
        at: Timestamp,
    },
    /// Or longer: what is before it was not looked at, or cannot be read.
    AtLeast {
        version: u64,
        at: Timestamp,
    },
}

/// `None`: it does not allow it, or there is no such profile.
pub async fn since(
    storage: &Storage,
    profile: &str,
    app: &AppId,
) -> Result<Option<Since>, StorageError> {
    let versions = storage.profile_history(profile).await?;
    let mut first = None;
    for (index, version) in versions.iter().enumerate() {
        let allows = match PolicyProfile::from_toml(&version.source) {
            Ok(read) if index < MOST_VERSIONS => read
                .policy
                .apps
                .is_some_and(|apps| apps.allowed.contains(app)),
            Ok(_) | Err(_) => {
                return Ok(first.map(|(version, at)| Since::AtLeast { version, at }));
            }
        };
        if !allows {
            break;
        }
        first = Some((version.version, version.applied_at));
    }
    Ok(first.map(|(version, at)| Since::Version { version, at }))
}
