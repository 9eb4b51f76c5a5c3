//! What a tablet is to be told, put together from everything the setting decided.

use super::loss;
use super::photo::Setup;
use super::register::Register;
use super::rollout::InForce;
use super::roster::Roster;
use crate::storage::{AccessRow, Device, Storage, StorageError};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::access::{ApprovedAccess, MAX_REQUESTS};
use nestwarden_policy_schema::bundle::{Bundle, FEATURES, Feature, REVIEW_FEATURE};
use nestwarden_policy_schema::bytes::{Digest, Secret};
use nestwarden_policy_schema::command::ApprovedCommand;
use nestwarden_policy_schema::consent::{FoundPhotos, RegisterSnapshot, TagCorrection};
use nestwarden_policy_schema::control::ControlName;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::hold::{Hold, HoldList};
use nestwarden_policy_schema::id::{DeviceId, PhotoId, SettingId};
use nestwarden_policy_schema::policy::{Policy, PolicyError};
use nestwarden_policy_schema::put_back::PutBack;
use std::collections::{BTreeMap, BTreeSet};

/// How long a bundle may be relied on; it is issued again at half of this.
pub const LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// As long as a tablet keeps what it told, it is told of corrections; one that was away for longer enrols again.
const CORRECTIONS_TOLD_FOR: SignedDuration = SignedDuration::from_hours(35 * 24);
/// Of one tablet in one bundle.
const MAX_CORRECTIONS: usize = 2_000;

/// What the server itself adds to every bundle.
#[derive(Clone, Debug)]
pub struct SettingSecrets {
    /// No secret, but what whoever finds a tablet reads.
    pub setting_name: String,
    pub photo_hash: Secret,
    pub release_recipient: String,
    pub recovery_recipient: String,
}

/// Everything bundles are made of, as one reading.
#[derive(Debug)]
pub struct Inputs {
    setting: SettingId,
    register: Register,
    holds: Vec<Hold>,
    commands: Vec<ApprovedCommand>,
    corrections: Vec<(DeviceId, TagCorrection)>,
    found: BTreeMap<DeviceId, FoundPhotos>,
    profiles: InForce,
    put_back: BTreeMap<DeviceId, PutBack>,
    access: Vec<(AccessRow, BTreeSet<DeviceId>)>,
    roster: Roster,
}

/// Why no bundle can be made for a tablet. It keeps the one it has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    #[error("its profile \"{0}\" is not there, or cannot be read any more; apply it again")]
    Profile(String),
    #[error("profile and overrides together must be refused: {0}")]
    Unsound(PolicyError),
    #[error("it could not be written as JSON")]
    Unwritable,
}

impl Inputs {
    pub async fn load(storage: &Storage) -> Result<Self, StorageError> {
        let profiles = InForce::load(storage).await?;
        let holds = storage
            .hold_list()
            .await?
            .into_iter()
            .filter(|row| row.released.is_none())
            .map(|row| row.hold)
            .collect();
        let mut asked = storage.access_asked().await?;
        let access = storage
            .access_list()
            .await?
            .into_iter()
            .filter_map(|row| Some((asked.remove(&row.id)?, row)))
            .map(|(tablets, row)| (row, tablets))
            .collect();
        Ok(Self {
            access,
            roster: Roster::default(),
            setting: storage.setting(),
            register: Register::load(storage).await?,
            holds,
            commands: commands(storage).await?,
            corrections: storage.correction_list().await?,
            found: storage.found_list().await?.into_iter().collect(),
            profiles,
            put_back: storage
                .put_back_list()
                .await?
                .into_iter()
                .filter(|row| row.settled_at.is_none())
                .map(|row| (row.device, row.bundle))
                .collect(),
        })
    }

    /// With who may sign tablets out. Only what becomes a bundle needs it.
    #[must_use]
    pub fn with_roster(self, roster: Roster) -> Self {
        Self { roster, ..self }
    }

    /// As tablets are told of it at `now`.
    pub fn register(&self, now: Timestamp) -> RegisterSnapshot {
        self.register.snapshot(now)
    }

    pub fn holds(&self, now: Timestamp) -> HoldList {
        HoldList::new(now, self.holds.clone())
    }

    pub fn corrections(&self) -> BTreeMap<(DeviceId, PhotoId), TagCorrection> {
        let of_photo =
            |(device, word): &(DeviceId, TagCorrection)| ((*device, word.photo), word.clone());
        self.corrections.iter().map(of_photo).collect()
    }

    /// The newest that a tablet may not have heard of yet, by photo.
    fn corrections_for(&self, device: DeviceId, now: Timestamp) -> Vec<TagCorrection> {
        let told_for = now
            .checked_sub(CORRECTIONS_TOLD_FOR)
            .unwrap_or(Timestamp::MIN);
        let mut words: Vec<TagCorrection> = self
            .corrections
            .iter()
            .filter(|(of, word)| *of == device && word.decided_at > told_for)
            .map(|(_, word)| word.clone())
            .collect();
        words.sort_by_key(|word| (std::cmp::Reverse(word.decided_at), word.photo));
        words.truncate(MAX_CORRECTIONS);
        words.sort_by_key(|word| word.photo);
        words
    }

    /// How this tablet is held to photos; `None`: its profile cannot be read, or says nothing of photos.
    pub fn photos_of(&self, device: &Device) -> Option<Setup> {
        let profile = self.profiles.of(device)?;
        Some(Setup {
            policy: profile.policy_with(&device.overrides).photos?,
            calendar: profile.calendar.clone(),
        })
    }

    /// A bundle without a generation, as of `now`.
    pub fn compose(
        &self,
        device: &Device,
        secrets: &SettingSecrets,
        now: Timestamp,
    ) -> Result<Bundle, ComposeError> {
        let profile = self
            .profiles
            .of(device)
            .ok_or_else(|| ComposeError::Profile(device.profile.clone()))?;
        let policy = profile.policy_with(&device.overrides);
        if let Some(problem) = policy.problems().into_iter().next() {
            return Err(ComposeError::Unsound(problem));
        }
        let today = profile.calendar.local_date(now);
        let access_requests = self.access_to(device.id, now);
        let (passcode_orders, commands) = self
            .commands_to(device.id, now)
            .into_iter()
            .partition(|approved| approved.command.kind.passcode_reason().is_some());
        Ok(Bundle {
            setting: self.setting,
            device: device.id,
            generation: Generation::NONE,
            issued_at: now,
            expires_at: now.checked_add(LIFE).unwrap_or(Timestamp::MAX),
            setting_name: Some(secrets.setting_name.clone()),
            device_name: device.name.clone(),
            rooms: device.rooms.clone(),
            profile: profile.name.clone(),
            calendar: profile.calendar.clone(),
            requires: requires(&policy, &access_requests),
            policy,
            exceptions: profile.exceptions.clone(),
            register: self.register(now),
            holds: self.holds(now),
            roster: self.roster.entries(today),
            aup: self.roster.aup(today),
            custody: Some(self.roster.custody(device.id)),
            corrections: self.corrections_for(device.id, now),
            found_photos: self.found.get(&device.id).copied(),
            put_back: self.put_back.get(&device.id).copied(),
            commands,
            passcode_orders,
            access_requests,
            photo_hash_key: secrets.photo_hash.clone(),
            release_recipient: secrets.release_recipient.clone(),
            recovery_recipient: secrets.recovery_recipient.clone(),
            anchors: None,
        })
    }
}

impl Inputs {
    fn commands_to(&self, device: DeviceId, now: Timestamp) -> Vec<ApprovedCommand> {
        let to_it = self.commands.iter().filter(|approved| {
            approved.command.device == device && approved.command.expires_at > now
        });
        to_it.cloned().collect()
    }

    fn access_to(&self, device: DeviceId, now: Timestamp) -> Vec<ApprovedAccess> {
        let asked = self.access.iter().filter(|(_, of)| of.contains(&device));
        let open = asked.filter_map(|(row, _)| row.told(now));
        open.take(MAX_REQUESTS).collect()
    }
}

/// Those that wait, and by which tablets hold themselves as lost.
async fn commands(storage: &Storage) -> Result<Vec<ApprovedCommand>, StorageError> {
    let mut commands = loss::in_force(storage).await?;
    commands.extend(storage.command_waiting().await?);
    Ok(commands)
}

/// Of everything but generation and times: equal for bundles that say the same.
pub fn content_digest(bundle: &Bundle) -> Result<Digest, ComposeError> {
    let mut content = bundle.clone();
    content.generation = Generation::NONE;
    content.issued_at = Timestamp::UNIX_EPOCH;
    content.expires_at = Timestamp::UNIX_EPOCH;
    content.register.as_of = Timestamp::UNIX_EPOCH;
    content.holds.as_of = Timestamp::UNIX_EPOCH;
    serde_json::to_vec(&content)
        .map(|json| Digest::of_parts("nestwarden/bundle-content/v1", &[&json]))
        .map_err(|_| ComposeError::Unwritable)
}

fn requires(
    policy: &Policy,
    access: &[ApprovedAccess],
) -> BTreeMap<ControlName, BTreeSet<Feature>> {
    ControlName::ALL
        .into_iter()
        .filter(|control| policy.mode(*control).is_some())
        .map(|control| {
            let features = FEATURES
                .iter()
                .filter(|feature| feature.split('.').next() == Some(control.as_str()))
                .filter(|feature| **feature != REVIEW_FEATURE || !access.is_empty())
                .map(|feature| (*feature).to_owned())
                .collect();
            (control, features)
        })
        .collect()
}
