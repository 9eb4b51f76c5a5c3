//! When each passcode was first seen, in trusted time. The date in shadow can be set without a new passcode and its clock may
//! be wrong; a passcode is new when its hash is.

use super::shadow::Account;
use super::tablet::Tablet;
use crate::control::EnforceError;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::id::CommandId;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Nobody looks while a passcode is being set: between the system's word and ours it would pass for one that somebody else
/// has changed.
static LOOKING: Mutex<()> = Mutex::new(());

/// What is kept: keyed fingerprints of hashes, good for nothing but telling that one has changed.
#[derive(Serialize, Deserialize)]
struct Seen {
    key: Vec<u8>,
    accounts: BTreeMap<u32, FirstSeen>,
    /// Of the passcodes that were set in the console.
    #[serde(default)]
    from_console: BTreeMap<u32, Vec<u8>>,
    /// The command to set one that was begun last.
    #[serde(default)]
    begun: Option<Begun>,
}

#[derive(Clone, Serialize, Deserialize)]
struct FirstSeen {
    fingerprint: Vec<u8>,
    at: Timestamp,
}

/// The fingerprints there were before anything was done for a command.
#[derive(Clone, Serialize, Deserialize)]
struct Begun {
    command: CommandId,
    before: BTreeMap<u32, Vec<u8>>,
}

/// What is known of one account's passcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// When it was first seen.
    pub(super) since: Timestamp,
    pub(super) is_from_console: bool,
}

/// The accounts with what is known of their passcodes. What is new is remembered durably as of `now`.
pub(super) fn known(
    tablet: &Tablet,
    accounts: impl FnOnce() -> Result<Vec<Account>, EnforceError>,
    now: Timestamp,
) -> Result<Vec<(Account, Known)>, EnforceError> {
    let _looking = looking();
    let (mut seen, mut is_changed) = Seen::load(tablet)?;
    let mut all = Vec::new();
    for account in accounts()? {
        let fingerprint = seen.fingerprint(&account);
        let before = seen.accounts.get(&account.uid);
        let since = match before {
            Some(before) if before.fingerprint == fingerprint => before.at,
            // A passcode that changed under our eyes; not before it was last seen, should the clock have gone back.
            Some(before) => now.max(before.at),
            None => as_shadow_says(&account, now),
        };
        let is_from_console = seen.from_console.get(&account.uid) == Some(&fingerprint);
        if before.is_none_or(|before| before.fingerprint != fingerprint) {
            let first = FirstSeen {
                fingerprint,
                at: since,
            };
            seen.accounts.insert(account.uid, first);
            is_changed = true;
        }
        let known = Known {
            since,
            is_from_console,
        };
        all.push((account, known));
    }
    if is_changed {
        seen.store(tablet)?;
    }
    Ok(all)
}

/// A command to set a passcode, under way. Nobody else looks until it is dropped.
pub(super) struct Setting<'a> {
    tablet: &'a Tablet,
    seen: Seen,
    begun: Begun,
    _looking: MutexGuard<'static, ()>,
}

impl<'a> Setting<'a> {
    /// Notes durably what there was before; the same command begun again goes on from what was noted first.
    pub(super) fn begin(
        tablet: &'a Tablet,
        command: CommandId,
        accounts: impl FnOnce() -> Result<Vec<Account>, EnforceError>,
    ) -> Result<(Self, Vec<Account>), EnforceError> {
        let looking = looking();
        let (mut seen, _) = Seen::load(tablet)?;
        let accounts = accounts()?;
        let begun = match seen.begun.take().filter(|known| known.command == command) {
            Some(known) => known,
            None => Begun {
                command,
                before: accounts
                    .iter()
                    .map(|account| (account.uid, seen.fingerprint(account)))
                    .collect(),
            },
        };
        seen.begun = Some(begun.clone());
        seen.store(tablet)?;
        let setting = Self {
            tablet,
            seen,
            begun,
            _looking: looking,
        };
        Ok((setting, accounts))
    }

    /// Whether this account's passcode is another than before anything was done.
    pub(super) fn has_changed(&self, account: &Account) -> bool {
        let before = self.begun.before.get(&account.uid);
        before.is_some_and(|before| *before != self.seen.fingerprint(account))
    }

    /// This passcode is the console's, since `at`.
    pub(super) fn note_set(
        &mut self,
        account: &Account,
        at: Timestamp,
    ) -> Result<(), EnforceError> {
        let fingerprint = self.seen.fingerprint(account);
        let from_console = fingerprint.clone();
        self.seen.from_console.insert(account.uid, from_console);
        let first = FirstSeen { fingerprint, at };
        self.seen.accounts.insert(account.uid, first);
        self.seen.store(self.tablet)
    }
}

fn looking() -> MutexGuard<'static, ()> {
    LOOKING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets everything.
pub(super) fn forget(tablet: &Tablet) -> Result<(), EnforceError> {
    Tablet::remove_at(&path(tablet))
}

impl Seen {
    /// And whether it is new, and not on disk.
    fn load(tablet: &Tablet) -> Result<(Self, bool), EnforceError> {
        match Tablet::read_at(&path(tablet))? {
            Some(text) => Ok((parse(&text)?, false)),
            None => Ok((Self::new()?, true)),
        }
    }

    fn new() -> Result<Self, EnforceError> {
        let mut key = vec![0; 32];
        SystemRandom::new().fill(&mut key).map_err(|_| {
            EnforceError::Unreadable("the system gives no random numbers".to_owned())
        })?;
        Ok(Self {
            key,
            accounts: BTreeMap::new(),
            from_console: BTreeMap::new(),
            begun: None,
        })
    }

    fn fingerprint(&self, account: &Account) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.key);
        hmac::sign(&key, account.hash.as_bytes()).as_ref().to_vec()
    }

    fn store(&self, tablet: &Tablet) -> Result<(), EnforceError> {
        let text =
            serde_json::to_string(self).map_err(|e| EnforceError::Unreadable(e.to_string()))?;
        tablet.write_at(&path(tablet), &text, 0o600)
    }
}

/// For a passcode from before the agent came: shadow's date, held to the past. Without one, and where a change was already
/// asked for, as old as can be.
fn as_shadow_says(account: &Account, now: Timestamp) -> Timestamp {
    let days = account.last_change.unwrap_or(0).clamp(0, 1_000_000);
    let since = SignedDuration::from_hours(24 * days);
    Timestamp::UNIX_EPOCH
        .checked_add(since)
        .map_or(now, |at| at.min(now))
}

fn parse(text: &str) -> Result<Seen, EnforceError> {
    // The error could quote the file.
    serde_json::from_str(text).map_err(|_| {
        EnforceError::Unreadable(
            "the record of passcode ages cannot be read; restore it from a backup, or remove it and every passcode is dated by shadow"
                .to_owned(),
        )
    })
}

fn path(tablet: &Tablet) -> PathBuf {
    tablet.paths().state_dir().join("passcode-ages.json")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::paths::Paths;

    fn day(days: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * days)
    }

    fn account(hash: &str, last_change: i64) -> Account {
        Account {
            uid: 1000,
            name: "room1".to_owned(),
            hash: hash.to_owned(),
            last_change: Some(last_change),
            max_days: None,
        }
    }

    fn tablet() -> (tempfile::TempDir, Tablet) {
        let root = tempfile::tempdir().unwrap();
        let tablet = Tablet::new(&Paths::new(root.path()));
        (root, tablet)
    }

    #[test]
    fn a_new_date_without_a_new_passcode_changes_nothing() {
        let (_root, tablet) = tablet();
        let look = |account, at| known(&tablet, || Ok(vec![account]), at).unwrap()[0].1.since;
        assert_eq!(look(account("$y$a", 20_000), day(20_100)), day(20_000));
        assert_eq!(look(account("$y$a", 20_100), day(20_100)), day(20_000));
        assert_eq!(look(account("$y$b", 20_100), day(20_101)), day(20_101));
        assert_eq!(look(account("$y$b", 0), day(20_102)), day(20_101));
    }

    #[test]
    fn a_date_in_the_future_is_now_and_none_is_as_old_as_can_be() {
        let (_root, tablet) = tablet();
        let since = |account| {
            known(&tablet, || Ok(vec![account]), day(20_000)).unwrap()[0]
                .1
                .since
        };
        assert_eq!(since(account("$y$a", 30_000)), day(20_000));
        forget(&tablet).unwrap();
        let mut undated = account("$y$a", 0);
        undated.last_change = None;
        assert_eq!(since(undated), day(0));
    }

    #[test]
    fn no_hash_is_kept() {
        let (root, tablet) = tablet();
        let accounts = || Ok(vec![account("$y$secret", 20_000)]);
        known(&tablet, accounts, day(20_000)).unwrap();
        let kept = root.path().join("var/lib/nestwarden/passcode-ages.json");
        assert!(!std::fs::read_to_string(kept).unwrap().contains("secret"));
    }
    fn begin(tablet: &Tablet, command: u128, hash: &str) -> bool {
        let command = CommandId::from_uuid(uuid::Uuid::from_u128(command));
        let accounts = || Ok(vec![account(hash, 20_000)]);
        let (setting, accounts) = Setting::begin(tablet, command, accounts).unwrap();
        setting.has_changed(&accounts[0])
    }

    #[test]
    fn a_command_begun_again_still_knows_what_there_was_before_it() {
        let (_root, tablet) = tablet();
        assert!(!begin(&tablet, 1, "$y$a"));
        // The agent was killed here, after the system had taken the new one.
        assert!(begin(&tablet, 1, "$y$b"));
        assert!(!begin(&tablet, 2, "$y$b"), "another command begins anew");
    }

    #[test]
    fn only_the_passcode_that_was_noted_is_the_consoles() {
        let (_root, tablet) = tablet();
        let look = |hash| {
            let accounts = || Ok(vec![account(hash, 20_000)]);
            known(&tablet, accounts, day(20_100)).unwrap()[0].1
        };
        assert!(!look("$y$a").is_from_console);
        let command = CommandId::from_uuid(uuid::Uuid::from_u128(1));
        let accounts = || Ok(vec![account("$y$a", 20_000)]);
        let (mut setting, _) = Setting::begin(&tablet, command, accounts).unwrap();
        setting
            .note_set(&account("$y$b", 20_000), day(20_101))
            .unwrap();
        drop(setting);
        let set = Known {
            since: day(20_101),
            is_from_console: true,
        };
        assert_eq!(look("$y$b"), set);
        assert!(!look("$y$c").is_from_console, "somebody changed it since");
    }
}
