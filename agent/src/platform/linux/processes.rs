//! The programs that run on the tablet, as /proc tells it.

use super::tablet::Tablet;
use crate::control::EnforceError;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A program of an account other than root's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// The first 15 bytes of its name.
    pub(super) name: String,
}

/// The programs of everybody but root. One that ends meanwhile is left out.
pub(super) fn of_staff(tablet: &Tablet) -> Result<Vec<Process>, EnforceError> {
    let mut found = Vec::new();
    for entry in tablet.list("/proc")? {
        let Ok(pid) = entry.parse::<i32>() else {
            continue;
        };
        let dir = tablet.path("/proc").join(&entry);
        let Ok(owner) = fs::metadata(&dir) else {
            continue;
        };
        let Ok(name) = fs::read_to_string(dir.join("comm")) else {
            continue;
        };
        if owner.uid() != 0 {
            let name = name.trim_end().to_owned();
            found.push(Process { pid, name });
        }
    }
    Ok(found)
}

/// Whether the process holds any of these files open. `false` where it has ended.
pub(super) fn holds_open(tablet: &Tablet, process: &Process, files: &[PathBuf]) -> bool {
    let dir = tablet
        .path("/proc")
        .join(process.pid.to_string())
        .join("fd");
    let Ok(entries) = fs::read_dir(dir) else {
        return false;
    };
    entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| files.contains(&target))
}

/// Asks a process to end, if `is_still_it` holds once nothing else can have taken its number.
pub(super) fn end(
    tablet: &Tablet,
    process: &Process,
    is_still_it: impl FnOnce() -> bool,
) -> Result<(), EnforceError> {
    tablet.needs_machine("ending a program")?;
    let failed =
        |e: rustix::io::Errno| EnforceError::failed(format!("end `{}`", process.name), e.into());
    let Some(pid) = Pid::from_raw(process.pid) else {
        return Ok(());
    };
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        Err(e) => return Err(failed(e)),
    };
    if !is_still_it() {
        return Ok(());
    }
    match pidfd_send_signal(&handle, Signal::TERM) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(e) => Err(failed(e)),
    }
}

/// Whether a process still goes by the name it was found under.
pub(super) fn has_name(tablet: &Tablet, process: &Process) -> bool {
    let path: PathBuf = [
        &tablet.path("/proc"),
        Path::new(&process.pid.to_string()),
        Path::new("comm"),
    ]
    .iter()
    .collect();
    fs::read_to_string(path).is_ok_and(|name| name.trim_end() == process.name)
}
