//! The automatic lock of GNOME-like desktops: settings of the system database, locked against change, read back through
//! `dconf` itself.

use super::tablet::Tablet;
use crate::control::EnforceError;
use std::collections::BTreeSet;

const PROFILE_PATH: &str = "/etc/dconf/profile/user";
const DATABASE_LINE: &str = "system-db:local";
const SETTINGS_PATH: &str = "/etc/dconf/db/local.d/50-nestwarden";
const LOCKS_PATH: &str = "/etc/dconf/db/local.d/locks/50-nestwarden";
const IDLE_DELAY: &str = "/org/gnome/desktop/session/idle-delay";
const LOCK_DELAY: &str = "/org/gnome/desktop/screensaver/lock-delay";
const LOCK_ENABLED: &str = "/org/gnome/desktop/screensaver/lock-enabled";
const KEYS: [&str; 3] = [IDLE_DELAY, LOCK_DELAY, LOCK_ENABLED];
const REMEMBERED: &str = "dconf/profile";
/// Root's own choices are in no one's way here: a locked key ignores them.
const ENVIRONMENT: [(&str, &str); 2] = [("DCONF_PROFILE", "user"), ("HOME", "/root")];

/// Seconds of inactivity until the screen locks; `None` when staff can choose, or it never does.
pub(super) fn auto_lock(tablet: &Tablet) -> Result<Option<u32>, EnforceError> {
    tablet.needs_machine("the desktop's automatic lock")?;
    let locks = dconf(tablet, &["list-locks", "/org/gnome/desktop/"])?;
    let locks: BTreeSet<&str> = locks.lines().map(str::trim).collect();
    let locks_all = KEYS.iter().all(|key| locks.contains(key));
    if !locks_all || dconf(tablet, &["read", LOCK_ENABLED])?.trim() != "true" {
        return Ok(None);
    }
    let seconds = |key: &str| {
        let text = dconf(tablet, &["read", key])?;
        Ok::<_, EnforceError>(parse_seconds(&text))
    };
    let (idle, delay) = (seconds(IDLE_DELAY)?, seconds(LOCK_DELAY)?);
    Ok(match (idle, delay) {
        // 0: never idle.
        (Some(idle), Some(delay)) if idle > 0 => Some(idle.saturating_add(delay)),
        _ => None,
    })
}

pub(super) fn is_ours(tablet: &Tablet) -> bool {
    tablet.exists(SETTINGS_PATH)
}

pub(super) fn set_auto_lock(tablet: &Tablet, seconds: u32) -> Result<(), EnforceError> {
    tablet.write(SETTINGS_PATH, &settings(seconds), 0o644)?;
    tablet.write(LOCKS_PATH, &(KEYS.join("\n") + "\n"), 0o644)?;
    let profile = tablet.read(PROFILE_PATH)?;
    if let Some(with_database) = profile_with_database(profile.as_deref()) {
        tablet.previous().remember(REMEMBERED, profile.as_deref())?;
        tablet.write(PROFILE_PATH, &with_database, 0o644)?;
    }
    dconf(tablet, &["update"]).map(|_| ())
}

/// Gives the choice back to staff.
pub(super) fn lift_auto_lock(tablet: &Tablet) -> Result<(), EnforceError> {
    if !is_ours(tablet) {
        return Ok(());
    }
    tablet.remove(LOCKS_PATH)?;
    if let Some(profile) = tablet.previous().recall(REMEMBERED)?.remove(REMEMBERED) {
        match profile {
            Some(text) => tablet.write(PROFILE_PATH, &text, 0o644)?,
            None => tablet.remove(PROFILE_PATH)?,
        }
        tablet.previous().forget(REMEMBERED)?;
    }
    // The database is made again before the last of our files goes: an interruption leaves it to be finished.
    tablet.write(SETTINGS_PATH, "", 0o644)?;
    if tablet.is_whole_machine() {
        dconf(tablet, &["update"])?;
    }
    tablet.remove(SETTINGS_PATH)
}

fn dconf(tablet: &Tablet, arguments: &[&str]) -> Result<String, EnforceError> {
    tablet.run("dconf", arguments, &ENVIRONMENT)
}

fn settings(seconds: u32) -> String {
    format!(
        "# Written by Nestwarden. Changes are undone.\n\
         [org/gnome/desktop/session]\nidle-delay=uint32 {seconds}\n\n\
         [org/gnome/desktop/screensaver]\nlock-enabled=true\nlock-delay=uint32 0\n"
    )
}

/// The profile with the system database; `None` when it has it already.
fn profile_with_database(profile: Option<&str>) -> Option<String> {
    match profile {
        None => Some(format!("user-db:user\n{DATABASE_LINE}\n")),
        Some(text) if text.lines().any(|line| line.trim() == DATABASE_LINE) => None,
        Some(text) => Some(format!("{}\n{DATABASE_LINE}\n", text.trim_end())),
    }
}

fn parse_seconds(text: &str) -> Option<u32> {
    text.trim().rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_joins_the_profile_once() {
        let fresh = profile_with_database(None);
        assert_eq!(fresh.as_deref(), Some("user-db:user\nsystem-db:local\n"));
        assert_eq!(profile_with_database(fresh.as_deref()), None);
        assert_eq!(
            profile_with_database(Some("user-db:user\nsystem-db:site")).as_deref(),
            Some("user-db:user\nsystem-db:site\nsystem-db:local\n")
        );
    }

    #[test]
    fn seconds_are_read_as_dconf_prints_them() {
        assert_eq!(parse_seconds("uint32 120\n"), Some(120));
        assert_eq!(parse_seconds(""), None);
    }
}
