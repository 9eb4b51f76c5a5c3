//! What becomes of photos: where they are watched, which uses the setting has, and how long each stage lasts.

use super::{Mode, PolicyError, RequirementId, Tighten, lower_common, union};
use crate::consent::Purpose;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhotosPolicy {
    #[serde(default)]
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub requirements: BTreeSet<RequirementId>,
    /// Absolute paths in which every photo must be accounted for. `*` stands for one folder, as in
    /// `/home/*/Pictures`.
    pub capture_roots: BTreeSet<String>,
    /// The uses this setting makes of photos and the days after capture for which each keeps one, 1 to 366.
    pub purposes: BTreeMap<Purpose, u16>,
    /// Days after capture at which a photo is sealed whatever its consents, 1 to 366.
    #[serde(default = "days_28")]
    #[schemars(range(min = 1, max = 366))]
    pub max_age_days: u16,
    /// Hours a photo stays after its upload was confirmed.
    #[serde(default = "hours_24")]
    #[schemars(range(min = 1, max = 672))]
    pub after_upload_hours: u16,
    /// Opening days a photo nobody tagged stays before it is sealed.
    #[serde(default = "days_7")]
    #[schemars(range(min = 1, max = 28))]
    pub untagged_opening_days: u16,
    /// Opening days between sealing and destruction when a confirmed child has no usable consent.
    #[serde(default = "days_3")]
    #[schemars(range(min = 1, max = 28))]
    pub destroy_after_opening_days: u16,
    /// Days between sealing and destruction when nobody confirmed who is in it, or when a child left.
    #[serde(default = "days_7")]
    #[schemars(range(min = 2, max = 28))]
    pub destroy_unconfirmed_after_days: u16,
    /// Days after leaving at which a child's photos go; the leaver's pack is offered before.
    #[serde(default = "days_14")]
    #[schemars(range(min = 1, max = 60))]
    pub leaver_days: u16,
    /// Opening days without the server after which photos are withheld until the next contact.
    #[serde(default = "days_7")]
    #[schemars(range(min = 1, max = 28))]
    pub lease_opening_days: u16,
    /// Photos that may be destroyed in an hour before the tablet stops and asks; 1 to 10,000.
    #[serde(default = "destroy_200")]
    #[schemars(range(min = 1, max = 10000))]
    pub max_destroyed_per_hour: u16,
}

const fn days_28() -> u16 {
    28
}
const fn hours_24() -> u16 {
    24
}
const fn days_7() -> u16 {
    7
}
const fn days_3() -> u16 {
    3
}
const fn days_14() -> u16 {
    14
}
const fn destroy_200() -> u16 {
    200
}

/// The hold list must be this fresh before anything is destroyed.
pub const HOLD_LIST_MAX_AGE_HOURS: i64 = 24;

impl PhotosPolicy {
    pub(super) fn problems(&self, found: &mut Vec<PolicyError>) {
        if self.capture_roots.is_empty() {
            found.push(PolicyError::new(
                "photos.capture_roots",
                "empty",
                "no photo would be looked after; name the folders the camera writes to, such as \"/home/*/Pictures\"",
            ));
        }
        for root in &self.capture_roots {
            let parts = || root.split('/').skip(1);
            if !root.starts_with('/')
                || parts().any(|p| p.is_empty() || p == "." || p == "..")
                || parts().count() < 2
            {
                found.push(PolicyError::new(
                    "photos.capture_roots",
                    root,
                    "write a folder by its whole path, at least two folders deep, without `.` or `..`",
                ));
            } else if is_of_the_system(root) {
                found.push(PolicyError::new(
                    "photos.capture_roots",
                    root,
                    "the system or the agent itself lives there; name a folder the camera writes to, such as \"/home/*/Pictures\"",
                ));
            }
        }
        if self.purposes.is_empty() {
            found.push(PolicyError::new(
                "photos.purposes",
                "empty",
                "every photo would be removed at once; name at least one purpose, such as own_learning_journal = 28",
            ));
        }
        for (purpose, days) in &self.purposes {
            if !(1..=366).contains(days) {
                let key = format!("photos.purposes.{purpose}");
                found.push(PolicyError::new(key, days, "write 1 to 366 days"));
            }
        }
        let mut within = |key, value: u16, least: u16, most: u16, why: &str| {
            if !(least..=most).contains(&value) {
                found.push(PolicyError::new(
                    key,
                    value,
                    format!("write {least} to {most}{why}"),
                ));
            }
        };
        let grace = "; anything shorter could destroy before a hold placed the day before had reached the tablet";
        within("photos.max_age_days", self.max_age_days, 1, 366, "");
        within(
            "photos.after_upload_hours",
            self.after_upload_hours,
            1,
            24 * 28,
            "",
        );
        within(
            "photos.untagged_opening_days",
            self.untagged_opening_days,
            1,
            28,
            "",
        );
        within(
            "photos.destroy_after_opening_days",
            self.destroy_after_opening_days,
            1,
            28,
            grace,
        );
        within(
            "photos.destroy_unconfirmed_after_days",
            self.destroy_unconfirmed_after_days,
            2,
            28,
            grace,
        );
        within("photos.leaver_days", self.leaver_days, 1, 60, "");
        within(
            "photos.lease_opening_days",
            self.lease_opening_days,
            1,
            28,
            "",
        );
        within(
            "photos.max_destroyed_per_hour",
            self.max_destroyed_per_hour,
            1,
            10_000,
            "",
        );
    }
}

/// Whether a root lies over, or in, what the tablet needs to run.
fn is_of_the_system(root: &str) -> bool {
    const SYSTEM: [&str; 11] = [
        "bin", "boot", "dev", "etc", "lib", "lib64", "proc", "sbin", "sys", "usr", "*",
    ];
    let mut parts = root.split('/').skip(1);
    match (parts.next(), parts.next()) {
        (Some("var"), Some(second)) => matches!(second, "lib" | "cache" | "log" | "run" | "*"),
        (Some("run"), second) => second != Some("media"),
        (first, _) => first.is_some_and(|first| SYSTEM.contains(&first)),
    }
}

impl Tighten for PhotosPolicy {
    /// Earlier is stricter: a photo that may go sooner is in use for less time. The floor that `problems` holds keeps
    /// every grace longer than a hold needs to arrive.
    fn tighten(&self, other: &Self) -> Self {
        Self {
            mode: self.mode.max(other.mode),
            requirements: union(&self.requirements, &other.requirements),
            capture_roots: union(&self.capture_roots, &other.capture_roots),
            purposes: lower_common(&self.purposes, &other.purposes),
            max_age_days: self.max_age_days.min(other.max_age_days),
            after_upload_hours: self.after_upload_hours.min(other.after_upload_hours),
            untagged_opening_days: self.untagged_opening_days.min(other.untagged_opening_days),
            destroy_after_opening_days: self
                .destroy_after_opening_days
                .min(other.destroy_after_opening_days),
            destroy_unconfirmed_after_days: self
                .destroy_unconfirmed_after_days
                .min(other.destroy_unconfirmed_after_days),
            leaver_days: self.leaver_days.min(other.leaver_days),
            lease_opening_days: self.lease_opening_days.min(other.lease_opening_days),
            max_destroyed_per_hour: self
                .max_destroyed_per_hour
                .min(other.max_destroyed_per_hour),
        }
    }
}
