//! The signer's own memory: for which setting it signs and the highest generation it ever signed for each device.
//!
//! The file is replaced and made durable before a signature leaves the process. A crash in between burns a generation,
//! which is harmless; signing one twice would not be.

use crate::signing::private_file;
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::id::{DeviceId, SettingId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

const FILE_NAME: &str = "high-water.json";

/// What is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marks {
    setting: SettingId,
    anchors_version: u64,
    devices: BTreeMap<DeviceId, Generation>,
}

#[derive(Debug)]
pub struct HighWater {
    path: PathBuf,
    marks: Marks,
}

impl HighWater {
    /// Writes the memory of a signer that has signed nothing; an existing one is an error.
    pub fn create(signer_dir: &Path, setting: SettingId) -> io::Result<()> {
        let marks = Marks {
            setting,
            anchors_version: 1,
            devices: BTreeMap::new(),
        };
        private_file::create(&signer_dir.join(FILE_NAME), &serde_json::to_vec(&marks)?)
    }

    pub fn load(signer_dir: &Path) -> io::Result<Self> {
        let path = signer_dir.join(FILE_NAME);
        let marks = serde_json::from_slice(&std::fs::read(&path)?)?;
        Ok(Self { path, marks })
    }

    pub fn setting(&self) -> SettingId {
        self.marks.setting
    }

    /// The highest generation signed for `device`; [`Generation::NONE`] before the first.
    pub fn of(&self, device: DeviceId) -> Generation {
        let marked = self.marks.devices.get(&device);
        marked.copied().unwrap_or(Generation::NONE)
    }

    pub fn anchors_version(&self) -> u64 {
        self.marks.anchors_version
    }

    /// Durable when it returns. On error nothing was raised, and the caller must not sign.
    pub fn raise(&mut self, device: DeviceId, to: Generation) -> io::Result<()> {
        let mut marks = self.marks.clone();
        marks.devices.insert(device, to);
        self.store(marks)
    }

    /// As [`Self::raise`], for the version of the anchors.
    pub fn raise_anchors(&mut self, to: u64) -> io::Result<()> {
        let mut marks = self.marks.clone();
        marks.anchors_version = to;
        self.store(marks)
    }

    fn store(&mut self, marks: Marks) -> io::Result<()> {
        private_file::replace(&self.path, &serde_json::to_vec(&marks)?)?;
        self.marks = marks;
        Ok(())
    }
}
