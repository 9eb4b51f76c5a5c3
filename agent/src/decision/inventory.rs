//! What is installed on the tablet, package by package, as it was when last read.

use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::policy::AppId;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which file this is and which state of it. The change time cannot be set by anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    pub dev: u64,
    pub ino: u64,
    pub size: u64,
    pub mtime_ns: i64,
    pub ctime_ns: i64,
}

impl Identity {
    /// The same file, whatever happened to its content.
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executable {
    /// As on this machine: the agent's root included, links resolved.
    pub path: PathBuf,
    pub identity: Identity,
    pub sha256: Digest,
}

/// The unit of approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    pub app: AppId,
    pub version: String,
    /// Shows in the app grid. Packages that do not are the base system and need no approval.
    pub user_facing: bool,
    pub executables: Vec<Executable>,
    /// File names of its desktop entries that are shown.
    pub desktop_entries: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    pub packages: Vec<Package>,
}

impl Inventory {
    /// Changes when anything that a rule rests on changes.
    pub fn digest(&self) -> Digest {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        for package in &self.packages {
            context.update(format!("{:?}", (&package.app, package.user_facing)).as_bytes());
            for executable in &package.executables {
                context.update(format!("{executable:?}").as_bytes());
            }
        }
        Digest::from_ring(&context.finish())
    }
}
