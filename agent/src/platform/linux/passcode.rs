//! The passcode through PAM, shadow and dconf.

use super::dconf;
use super::faillock;
use super::pam;
use super::passcode_ages;
use super::passcode_rules;
use super::pin_dictionary;
use super::shadow::{self, Field};
use super::tablet::Tablet;
use crate::control::passcode::{
    AccountSeen, Passcode, PasscodeChange, PasscodeObserved, PasscodeRules, PasscodeWish,
};
use crate::control::{EnforceError, Enforcer, Reading};
use crate::paths::Paths;
use jiff::Timestamp;
use nestwarden_policy_schema::device_api::LockOut;
use std::io;
use tokio::sync::watch;

const PROFILES_DIR: &str = "/usr/share/pam-configs";
const QUALITY_FILE: &str = "/etc/security/pwquality.conf.d/50-nestwarden.conf";
const MODULES: [(&str, &str); 4] = [
    ("pam_pwquality.so", "libpam-pwquality"),
    ("pam_pwhistory.so", "libpam-modules"),
    ("pam_faillock.so", "libpam-modules"),
    ("pam_rootok.so", "libpam-modules"),
];
const PROFILES: [&str; 3] = [
    pam::QUALITY_PROFILE,
    pam::TRIES_PROFILE,
    pam::TRIES_FIRST_PROFILE,
];
/// The packaged profile that ours takes the place of.
const PACKAGED_PROFILE: &str = "pwquality";
const REMEMBERED_PROFILE: &str = "pam/pwquality";
const REMEMBERED_AGE: &str = "shadow/max/";

/// PAM, shadow and dconf.
#[derive(Debug)]
pub struct PasscodeEnforcer {
    tablet: Tablet,
    /// Trusted time and rules as last told.
    told: Option<(Timestamp, PasscodeRules)>,
    locked_out: watch::Sender<Option<LockOut>>,
}

impl PasscodeEnforcer {
    pub fn new(paths: &Paths) -> Self {
        Self {
            tablet: Tablet::new(paths),
            told: None,
            locked_out: watch::Sender::new(None),
        }
    }

    /// Whether anybody has to wait after too many wrong passcodes, as of the last look.
    pub fn watch_locked_out(&self) -> watch::Receiver<Option<LockOut>> {
        self.locked_out.subscribe()
    }

    fn look_for_wrong_tries(&self, rules: &Reading<PasscodeRules>) {
        let (Reading::Seen(rules), Some((now, _))) = (rules, self.told) else {
            return;
        };
        let found = match rules.max_failed_attempts {
            Some(deny) => faillock::locked_out(&self.tablet, deny, now),
            None => Ok(None),
        };
        match found {
            Ok(found) => {
                self.locked_out.send_if_modified(|known| {
                    let is_news = *known != found;
                    *known = found;
                    is_news
                });
            }
            Err(error) => {
                tracing::warn!(
                    error = error.whole_text(),
                    "wrong passcodes were not counted"
                );
            }
        }
    }

    fn our_rules(&self) -> Result<Option<PasscodeRules>, EnforceError> {
        let read = |profile: &str| self.tablet.read(&format!("{PROFILES_DIR}/{profile}"));
        let quality = read(pam::QUALITY_PROFILE)?;
        let tries = read(pam::TRIES_PROFILE)?;
        let Some(ours) = pam::rules_of_profiles(quality.as_deref(), tries.as_deref()) else {
            return Ok(None);
        };
        // Where this tablet allows nothing as short as the rules do, its own limit is the rules'.
        if let Some((_, wanted)) = &self.told
            && self.as_written(wanted)? == ours
        {
            return Ok(Some(*wanted));
        }
        Ok(Some(ours))
    }

    fn set_rules(&self, wanted: &PasscodeRules) -> Result<(), EnforceError> {
        self.check_modules()?;
        let rules = self.as_written(wanted)?;
        self.remember_packaged_profile()?;
        self.tablet
            .write(QUALITY_FILE, &pam::quality_file(&rules), 0o644)?;
        self.write_profile(pam::QUALITY_PROFILE, &pam::quality_profile(&rules))?;
        self.set_tries(rules.max_failed_attempts)?;
        // Last: a tablet without cracklib still gets everything else.
        if rules.refuse_simple {
            pin_dictionary::put_in_force(&self.tablet)
        } else {
            pin_dictionary::withdraw(&self.tablet)
        }
    }

    fn set_tries(&self, deny: Option<u16>) -> Result<(), EnforceError> {
        if let Some(deny) = deny {
            self.write_profile(pam::TRIES_PROFILE, &pam::tries_profile(deny))?;
            self.write_profile(pam::TRIES_FIRST_PROFILE, &pam::tries_first_profile(deny))?;
            return self.update_stacks(&["--enable", PROFILES[0], PROFILES[1], PROFILES[2]]);
        }
        let unwanted = [pam::TRIES_PROFILE, pam::TRIES_FIRST_PROFILE];
        self.update_stacks(&["--remove", unwanted[0], unwanted[1]])?;
        unwanted
            .iter()
            .try_for_each(|name| self.tablet.remove(&format!("{PROFILES_DIR}/{name}")))?;
        self.update_stacks(&["--enable", pam::QUALITY_PROFILE])
    }

    /// A stack that names a module that is not there lets nobody sign in.
    fn check_modules(&self) -> Result<(), EnforceError> {
        for (module, package) in MODULES {
            let mut dirs = vec!["/usr/lib/security".to_owned(), "/lib/security".to_owned()];
            for lib in ["/usr/lib", "/lib"] {
                let names = self.tablet.list(lib)?;
                dirs.extend(names.iter().map(|name| format!("{lib}/{name}/security")));
            }
            if !dirs
                .iter()
                .any(|dir| self.tablet.exists(&format!("{dir}/{module}")))
            {
                return Err(EnforceError::Unsupported(format!(
                    "`{module}` is not installed; install the package {package}"
                )));
            }
        }
        Ok(())
    }

    /// The rules as they go into our profile: never looser than what the image brought.
    fn as_written(&self, wanted: &PasscodeRules) -> Result<PasscodeRules, EnforceError> {
        let others = passcode_rules::quality_files(&self.tablet, |path| path != QUALITY_FILE)?;
        let shortest = pam::min_length_of(&others).unwrap_or(pam::SHORTEST);
        Ok(PasscodeRules {
            min_length: wanted.min_length.max(shortest).max(pam::SHORTEST),
            ..*wanted
        })
    }

    fn remember_packaged_profile(&self) -> Result<(), EnforceError> {
        let had_it = self
            .tablet
            .read("/etc/pam.d/common-password")?
            .is_some_and(|stack| stack.contains("pam_pwquality.so"));
        let is_ours = self.our_rules()?.is_some();
        if is_ours {
            return Ok(());
        }
        let value = if had_it { "yes" } else { "no" };
        self.tablet
            .previous()
            .remember(REMEMBERED_PROFILE, Some(value))
    }

    fn write_profile(&self, name: &str, text: &str) -> Result<(), EnforceError> {
        self.tablet
            .write(&format!("{PROFILES_DIR}/{name}"), text, 0o644)
    }

    /// Without a screen to ask on, and leaving stacks that somebody edited by hand as they are: reading back shows it.
    fn update_stacks(&self, arguments: &[&str]) -> Result<(), EnforceError> {
        let mut all = vec!["--package"];
        all.extend_from_slice(arguments);
        let quietly = [("DEBIAN_FRONTEND", "noninteractive")];
        self.tablet
            .run("pam-auth-update", &all, &quietly)
            .map(|_| ())
    }

    fn accounts(&self) -> Result<Vec<AccountSeen>, EnforceError> {
        let (now, _) = self.told.ok_or_else(|| {
            EnforceError::Unreadable("the time is not known yet, nor the age of passcodes".into())
        })?;
        let accounts = || shadow::accounts(&self.tablet);
        let known = passcode_ages::known(&self.tablet, accounts, now)?;
        let remembered = self.tablet.previous().recall(REMEMBERED_AGE)?;
        Ok(known
            .iter()
            .map(|(account, known)| AccountSeen {
                uid: account.uid,
                has_passcode: !account.hash.is_empty(),
                max_days: account.max_days,
                max_days_by_us: remembered.contains_key(&remembered_age(account.uid)),
                is_forced: account.last_change == Some(0),
                changed_at: known.since,
                is_from_console: known.is_from_console,
            })
            .collect())
    }

    /// `days`: as shadow has them; empty for no limit.
    fn set_max_age(&self, uid: u32, limit: &str) -> Result<(), EnforceError> {
        let before = shadow::accounts(&self.tablet)?
            .iter()
            .find(|account| account.uid == uid)
            .and_then(|account| account.max_days)
            .map_or_else(String::new, |days| days.to_string());
        self.tablet
            .previous()
            .remember(&remembered_age(uid), Some(&before))?;
        shadow::set(&self.tablet, uid, Field::MaxAge(limit))
    }

    fn restore_max_age(&self, uid: u32) -> Result<(), EnforceError> {
        let name = remembered_age(uid);
        let before = self.tablet.previous().recall(&name)?.remove(&name);
        if let Some(before) = before.flatten() {
            shadow::set(&self.tablet, uid, Field::MaxAge(&before))?;
        }
        self.tablet.previous().forget(&name)
    }

    fn lift_rules(&self) -> Result<(), EnforceError> {
        self.tablet.remove(QUALITY_FILE)?;
        pin_dictionary::withdraw(&self.tablet)?;
        if self.our_rules()?.is_none() {
            return Ok(());
        }
        let previous = self.tablet.previous();
        if self.tablet.is_whole_machine() {
            self.update_stacks(&["--remove", PROFILES[0], PROFILES[1], PROFILES[2]])?;
        }
        for name in PROFILES.iter().rev() {
            self.tablet.remove(&format!("{PROFILES_DIR}/{name}"))?;
        }
        let had_packaged = previous
            .recall(REMEMBERED_PROFILE)?
            .remove(REMEMBERED_PROFILE)
            .flatten();
        if had_packaged.as_deref() == Some("yes") && self.tablet.is_whole_machine() {
            self.update_stacks(&["--enable", PACKAGED_PROFILE])?;
        }
        previous.forget(REMEMBERED_PROFILE)
    }
}

fn remembered_age(uid: u32) -> String {
    format!("{REMEMBERED_AGE}{uid}")
}

impl Enforcer<Passcode> for PasscodeEnforcer {
    fn observe(&mut self) -> Result<PasscodeObserved, EnforceError> {
        let rules = Reading::from(passcode_rules::in_force(&self.tablet));
        self.look_for_wrong_tries(&rules);
        Ok(PasscodeObserved {
            rules,
            our_rules: self.our_rules()?,
            auto_lock_seconds: Reading::from(dconf::auto_lock(&self.tablet)),
            auto_lock_by_us: dconf::is_ours(&self.tablet),
            accounts: Reading::from(self.accounts()),
        })
    }

    fn apply(&mut self, change: &PasscodeChange) -> Result<(), EnforceError> {
        match change {
            PasscodeChange::SetRules(rules) => self.set_rules(rules),
            PasscodeChange::SetAutoLock { seconds } => dconf::set_auto_lock(&self.tablet, *seconds),
            PasscodeChange::SetMaxAge { uid, days } => self.set_max_age(*uid, &days.to_string()),
            PasscodeChange::LiftMaxAge { uid } => self.set_max_age(*uid, ""),
            PasscodeChange::ForgoChange { uid, changed_at } => {
                let days = changed_at.as_second().div_euclid(24 * 60 * 60).max(1);
                shadow::set(&self.tablet, *uid, Field::LastChange(days))
            }
            PasscodeChange::ForceChange { uid } => {
                shadow::set(&self.tablet, *uid, Field::ChangeAtNextSignIn)
            }
            PasscodeChange::AwaitNew { uid, .. } => Err(EnforceError::failed(
                format!("change the passcode of account {uid}"),
                io::Error::other("only the person who signs in can"),
            )),
            PasscodeChange::AwaitCode { uid, .. } => Err(EnforceError::failed(
                format!("change the passcode of account {uid}"),
                io::Error::other("only whoever may set it in the console can"),
            )),
            PasscodeChange::Unread { unread, .. } => Err(unread.into()),
            PasscodeChange::RestoreMaxAge { uid } => self.restore_max_age(*uid),
            PasscodeChange::LiftAutoLock => dconf::lift_auto_lock(&self.tablet),
        }
    }

    fn watch(&mut self, desired: &PasscodeWish) -> Result<(), EnforceError> {
        self.told = Some((desired.now, desired.rules));
        Ok(())
    }

    /// A change that was asked for stays asked for: whether the old passcode is known to others does not depend on us.
    fn release(&mut self) -> Result<(), EnforceError> {
        self.lift_rules()?;
        dconf::lift_auto_lock(&self.tablet)?;
        for name in self.tablet.previous().recall(REMEMBERED_AGE)?.into_keys() {
            let uid = name.trim_start_matches(REMEMBERED_AGE).parse();
            match uid {
                Ok(uid) if self.is_account(uid) => self.restore_max_age(uid)?,
                // Gone since, with its age.
                Ok(_) | Err(_) => self.tablet.previous().forget(&name)?,
            }
        }
        passcode_ages::forget(&self.tablet)
    }
}

impl PasscodeEnforcer {
    fn is_account(&self, uid: u32) -> bool {
        shadow::accounts(&self.tablet)
            .is_ok_and(|accounts| accounts.iter().any(|account| account.uid == uid))
    }
}

#[cfg(test)]
#[path = "passcode_tests.rs"]
mod tests;
