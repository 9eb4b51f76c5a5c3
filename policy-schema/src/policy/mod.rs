//! What a tablet is to be held to: one optional policy per control, and how several are combined.
//!
//! Combining is a join of a semilattice: commutative, associative, idempotent, and never looser than any of its
//! parts. So the order in which a profile and its overrides arrive can never matter, and no override can loosen.

pub mod apps;
pub mod camera;
pub mod exception;
pub mod hours;
pub mod passcode;
pub mod photos;
pub mod radios;
pub mod requirement;
pub mod storage;

pub use apps::{AppId, AppsPolicy};
pub use camera::{CameraPolicy, CameraUse};
pub use exception::{DatedException, Loosening};
pub use hours::HoursPolicy;
pub use passcode::{PasscodePolicy, Rotation, SetBy};
pub use photos::PhotosPolicy;
pub use radios::RadiosPolicy;
pub use requirement::RequirementId;
pub use storage::StoragePolicy;

use crate::control::ControlName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Combines two policies into one that is at least as strict as both.
pub trait Tighten: Sized {
    #[must_use]
    fn tighten(&self, other: &Self) -> Self;
}

/// Whether a control is only watched or also changed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Say what would be blocked, changed or removed; never shown as compliant.
    #[default]
    Observe,
    Enforce,
}

/// When something is allowed; later is stricter.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Allowed {
    #[default]
    Always,
    OutsideContactHours,
    Never,
}

impl Allowed {
    pub const fn is_allowed(self, in_contact_hours: bool) -> bool {
        match self {
            Self::Always => true,
            Self::OutsideContactHours => !in_contact_hours,
            Self::Never => false,
        }
    }
}

/// One optional policy per control. An absent control is unmanaged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passcode: Option<PasscodePolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apps: Option<AppsPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub radios: Option<RadiosPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StoragePolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<CameraPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<HoursPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photos: Option<PhotosPolicy>,
}

/// A policy that must not reach a tablet, with the key at fault and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is {value}: {remedy}")]
pub struct PolicyError {
    /// From the policy on: `passcode.min_length`.
    pub key: String,
    pub value: String,
    pub remedy: String,
}

impl PolicyError {
    pub(crate) fn new(
        key: impl Into<String>,
        value: impl std::fmt::Display,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            key: key.into(),
            value: value.to_string(),
            remedy: remedy.into(),
        }
    }
}

impl Policy {
    /// Every reason why this policy must be refused; empty when it may be applied.
    pub fn problems(&self) -> Vec<PolicyError> {
        let mut found = Vec::new();
        self.passcode.iter().for_each(|p| p.problems(&mut found));
        self.apps.iter().for_each(|p| p.problems(&mut found));
        self.hours.iter().for_each(|p| p.problems(&mut found));
        self.photos.iter().for_each(|p| p.problems(&mut found));
        found
    }

    /// The mode of a control, or `None` where it is unmanaged.
    pub fn mode(&self, control: ControlName) -> Option<Mode> {
        match control {
            ControlName::Passcode => self.passcode.as_ref().map(|p| p.mode),
            ControlName::Apps => self.apps.as_ref().map(|p| p.mode),
            ControlName::Radios => self.radios.as_ref().map(|p| p.mode),
            ControlName::Storage => self.storage.as_ref().map(|p| p.mode),
            ControlName::Camera => self.camera.as_ref().map(|p| p.mode),
            ControlName::Hours => self.hours.as_ref().map(|p| p.mode),
            ControlName::Photos => self.photos.as_ref().map(|p| p.mode),
        }
    }
}

impl Tighten for Policy {
    fn tighten(&self, other: &Self) -> Self {
        Self {
            passcode: self.passcode.tighten(&other.passcode),
            apps: self.apps.tighten(&other.apps),
            radios: self.radios.tighten(&other.radios),
            storage: self.storage.tighten(&other.storage),
            camera: self.camera.tighten(&other.camera),
            hours: self.hours.tighten(&other.hours),
            photos: self.photos.tighten(&other.photos),
        }
    }
}

impl<T: Tighten + Clone> Tighten for Option<T> {
    fn tighten(&self, other: &Self) -> Self {
        match (self, other) {
            (Some(a), Some(b)) => Some(a.tighten(b)),
            (Some(only), None) | (None, Some(only)) => Some(only.clone()),
            (None, None) => None,
        }
    }
}

/// The smaller of two limits, where no limit is the loosest.
fn lower<T: Ord + Copy>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (only, None) | (None, only) => only,
    }
}

fn union<T: Ord + Clone>(a: &BTreeSet<T>, b: &BTreeSet<T>) -> BTreeSet<T> {
    a.union(b).cloned().collect()
}

fn intersection<T: Ord + Clone>(a: &BTreeSet<T>, b: &BTreeSet<T>) -> BTreeSet<T> {
    a.intersection(b).cloned().collect()
}

/// Keys both have, with the lower value.
fn lower_common<K: Ord + Clone, V: Ord + Copy>(
    a: &BTreeMap<K, V>,
    b: &BTreeMap<K, V>,
) -> BTreeMap<K, V> {
    a.iter()
        .filter_map(|(k, v)| Some((k.clone(), *v.min(b.get(k)?))))
        .collect()
}
