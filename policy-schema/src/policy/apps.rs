//! Which apps may run. The unit of approval is the package; what nobody approved does not run.

use super::{Mode, PolicyError, RequirementId, Tighten, intersection, union};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::collections::BTreeSet;
use std::fmt;

/// Where a package comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AppSource {
    Dpkg,
    Flatpak,
    Apple,
    Android,
    Windows,
}

impl AppSource {
    const ALL: [Self; 5] = [
        Self::Dpkg,
        Self::Flatpak,
        Self::Apple,
        Self::Android,
        Self::Windows,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dpkg => "dpkg",
            Self::Flatpak => "flatpak",
            Self::Apple => "apple",
            Self::Android => "android",
            Self::Windows => "windows",
        }
    }
}

/// A package on one platform, written `dpkg:firefox-esr`, `flatpak:org.mozilla.firefox`, `apple:com.apple.camera`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(into = "String")]
#[schemars(with = "String")]
pub struct AppId {
    source: AppSource,
    package: String,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "\"{0}\" does not name an app; write its source and package, for example \"dpkg:firefox-esr\" or \"flatpak:org.mozilla.firefox\""
)]
pub struct AppIdError(String);

impl AppId {
    pub fn source(&self) -> AppSource {
        self.source
    }

    pub fn package(&self) -> &str {
        &self.package
    }
}

impl std::str::FromStr for AppId {
    type Err = AppIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || AppIdError(text.chars().take(80).collect());
        let (source, package) = text.split_once(':').ok_or_else(refused)?;
        let source = AppSource::ALL
            .into_iter()
            .find(|s| s.as_str() == source)
            .ok_or_else(refused)?;
        let well_formed = !package.is_empty()
            && package.len() <= 200
            && package.starts_with(|c: char| c.is_ascii_alphanumeric())
            && package
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b));
        if well_formed {
            Ok(Self {
                source,
                package: package.to_owned(),
            })
        } else {
            Err(refused())
        }
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source.as_str(), self.package)
    }
}

impl From<AppId> for String {
    fn from(id: AppId) -> Self {
        id.to_string()
    }
}

impl<'de> Deserialize<'de> for AppId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppsPolicy {
    #[serde(default)]
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub requirements: BTreeSet<RequirementId>,
    /// Approved packages beside the tablet's own base system. An empty list is refused.
    pub allowed: BTreeSet<AppId>,
    /// The register, emergency contacts and the like: they open whatever is overdue or locked, and an allowlist
    /// without them is refused.
    pub essential: BTreeSet<AppId>,
}

impl AppsPolicy {
    pub(super) fn problems(&self, found: &mut Vec<PolicyError>) {
        if self.allowed.is_empty() {
            found.push(PolicyError::new(
                "apps.allowed",
                "empty",
                "nothing but the base system would run; list the approved apps, the register first",
            ));
        }
        if self.essential.is_empty() {
            found.push(PolicyError::new(
                "apps.essential",
                "empty",
                "name the app that opens the register and emergency contacts",
            ));
        }
        let missing: Vec<_> = self
            .essential
            .difference(&self.allowed)
            .map(ToString::to_string)
            .collect();
        if !missing.is_empty() {
            found.push(PolicyError::new(
                "apps.allowed",
                format!("without {}", missing.join(", ")),
                "add the essential apps to the list, or staff could not reach the register",
            ));
        }
    }
}

impl Tighten for AppsPolicy {
    fn tighten(&self, other: &Self) -> Self {
        Self {
            mode: self.mode.max(other.mode),
            requirements: union(&self.requirements, &other.requirements),
            allowed: intersection(&self.allowed, &other.allowed),
            essential: union(&self.essential, &other.essential),
        }
    }
}
