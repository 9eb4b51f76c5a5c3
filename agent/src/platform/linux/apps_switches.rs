//! The kernel's settings that close ways around the file systems.

use super::tablet::Tablet;
use crate::control::apps::{Switch, SwitchSeen};
use crate::control::{EnforceError, Reading, Unread};
use std::fs;

const ALL: [Switch; 2] = [Switch::UserNamespaces, Switch::MemoryPrograms];
const PREVIOUS: &str = "apps/switch/";

struct Setting {
    name: &'static str,
    path: &'static str,
    wanted: &'static str,
    drop_in: &'static str,
    since: &'static str,
}

/// Distributions that patched it in have the first; it costs unprivileged sandboxes: browsers fall back to their setuid
/// helper, Flatpak does not start.
fn setting(switch: Switch) -> Setting {
    match switch {
        Switch::UserNamespaces => Setting {
            name: "kernel.unprivileged_userns_clone",
            path: "/proc/sys/kernel/unprivileged_userns_clone",
            wanted: "0",
            drop_in: "/etc/sysctl.d/60-nestwarden-user-namespaces.conf",
            since: "Debian's kernels have it",
        },
        Switch::MemoryPrograms => Setting {
            name: "vm.memfd_noexec",
            path: "/proc/sys/vm/memfd_noexec",
            wanted: "2",
            drop_in: "/etc/sysctl.d/60-nestwarden-memory-programs.conf",
            since: "Linux 6.3 and later have it",
        },
    }
}

/// Beneath a confined root there are none: they belong to the machine.
pub(super) fn read(tablet: &Tablet) -> Vec<SwitchSeen> {
    if !tablet.is_whole_machine() {
        return Vec::new();
    }
    let read_one = |switch| SwitchSeen {
        switch,
        is_set: read_switch(tablet, switch),
    };
    ALL.into_iter().map(read_one).collect()
}

fn read_switch(tablet: &Tablet, switch: Switch) -> Reading<bool> {
    let setting = setting(switch);
    match tablet.read(setting.path) {
        Ok(Some(value)) => match tablet.read(setting.drop_in) {
            Ok(drop_in) => Reading::Seen(value.trim() == setting.wanted && drop_in.is_some()),
            Err(error) => Reading::Unread(error.into()),
        },
        Ok(None) => Reading::Unread(Unread::Unsupported(format!(
            "this kernel has no `{}`; {}",
            setting.name, setting.since
        ))),
        Err(error) => Reading::Unread(error.into()),
    }
}

pub(super) fn set(tablet: &Tablet, switch: Switch) -> Result<(), EnforceError> {
    let setting = setting(switch);
    tablet.needs_machine(&format!("`{}`", setting.name))?;
    let before = tablet.read(setting.path)?;
    let name = format!("{PREVIOUS}{}", setting.name);
    let before = before.as_deref().map(str::trim);
    tablet.previous().remember(&name, before)?;
    let line = format!("{} = {}\n", setting.name, setting.wanted);
    tablet.write(setting.drop_in, &line, 0o644)?;
    write_value(&setting, setting.wanted)
}

pub(super) fn restore_all(tablet: &Tablet) -> Result<(), EnforceError> {
    let remembered = tablet.previous().recall(PREVIOUS)?;
    for setting in ALL.map(setting) {
        let name = format!("{PREVIOUS}{}", setting.name);
        if let Some(Some(before)) = remembered.get(&name) {
            tablet.remove(setting.drop_in)?;
            write_value(&setting, before)?;
            tablet.previous().forget(&name)?;
        }
    }
    Ok(())
}

fn write_value(setting: &Setting, value: &str) -> Result<(), EnforceError> {
    fs::write(setting.path, value)
        .map_err(|error| EnforceError::failed(format!("set `{}` to {value}", setting.name), error))
}
