//! When each passcode was first seen, in trusted time. The date in shadow can be set without a new passcode and its clock may
//! be wrong; a passcode is new when its hash is.

use super::shadow::Account;
use super::tablet::Tablet;
use crate::control::EnforceError;
use jiff::{SignedDuration, Timestamp};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is kept: keyed fingerprints of hashes, good for nothing but telling that one has changed.
#[derive(Serialize, Deserialize)]
struct Seen {
    key: Vec<u8>,
    accounts: BTreeMap<u32, FirstSeen>,
}

#[derive(Clone, Serialize, Deserialize)]
struct FirstSeen {
    fingerprint: Vec<u8>,
    at: Timestamp,
}

/// When the passcodes of `accounts` were first seen, in their order. What is new is remembered durably as of `now`.
pub(super) fn first_seen(
    tablet: &Tablet,
    accounts: &[Account],
    now: Timestamp,
) -> Result<Vec<Timestamp>, EnforceError> {
    let path = path(tablet);
    let (mut seen, is_first_look) = match Tablet::read_at(&path)? {
        Some(text) => (parse(&text)?, false),
        None => (Seen::new()?, true),
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, &seen.key);
    let mut is_changed = is_first_look;
    let mut ages = Vec::new();
    for account in accounts {
        let fingerprint = hmac::sign(&key, account.hash.as_bytes());
        let before = seen.accounts.get(&account.uid);
        let at = match before {
            Some(before) if before.fingerprint == fingerprint.as_ref() => before.at,
            // A passcode that changed under our eyes; not before it was last seen, should the clock have gone back.
            Some(before) => now.max(before.at),
            None => as_shadow_says(account, now),
        };
        if before.is_none_or(|before| before.fingerprint != fingerprint.as_ref()) {
            let fingerprint = fingerprint.as_ref().to_vec();
            seen.accounts
                .insert(account.uid, FirstSeen { fingerprint, at });
            is_changed = true;
        }
        ages.push(at);
    }
    if is_changed {
        let text =
            serde_json::to_string(&seen).map_err(|e| EnforceError::Unreadable(e.to_string()))?;
        tablet.write_at(&path, &text, 0o600)?;
    }
    Ok(ages)
}

/// Forgets everything.
pub(super) fn forget(tablet: &Tablet) -> Result<(), EnforceError> {
    Tablet::remove_at(&path(tablet))
}

impl Seen {
    fn new() -> Result<Self, EnforceError> {
        let mut key = vec![0; 32];
        SystemRandom::new().fill(&mut key).map_err(|_| {
            EnforceError::Unreadable("the system gives no random numbers".to_owned())
        })?;
        let accounts = BTreeMap::new();
        Ok(Self { key, accounts })
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
        let look = |account, at| first_seen(&tablet, &[account], at).unwrap()[0];
        assert_eq!(look(account("$y$a", 20_000), day(20_100)), day(20_000));
        assert_eq!(look(account("$y$a", 20_100), day(20_100)), day(20_000));
        assert_eq!(look(account("$y$b", 20_100), day(20_101)), day(20_101));
        assert_eq!(look(account("$y$b", 0), day(20_102)), day(20_101));
    }

    #[test]
    fn a_date_in_the_future_is_now_and_none_is_as_old_as_can_be() {
        let (_root, tablet) = tablet();
        let ages = first_seen(&tablet, &[account("$y$a", 30_000)], day(20_000)).unwrap();
        assert_eq!(ages, [day(20_000)]);
        forget(&tablet).unwrap();
        let mut undated = account("$y$a", 0);
        undated.last_change = None;
        assert_eq!(
            first_seen(&tablet, &[undated], day(20_000)).unwrap(),
            [day(0)]
        );
    }

    #[test]
    fn no_hash_is_kept() {
        let (root, tablet) = tablet();
        first_seen(&tablet, &[account("$y$secret", 20_000)], day(20_000)).unwrap();
        let kept = root.path().join("var/lib/nestwarden/passcode-ages.json");
        assert!(!std::fs::read_to_string(kept).unwrap().contains("secret"));
    }
}
