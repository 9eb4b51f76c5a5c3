//! The tablet's passcode: its quality, its history, wrong tries, the automatic lock, and when it must change.

use super::{Control, Reading, Situation, Unread};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::control::{ControlName, wording};
use nestwarden_policy_schema::policy::{PasscodePolicy, SetBy};
use std::fmt;

/// The passcode as a control.
#[derive(Debug)]
pub struct Passcode;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasscodeWish {
    /// Trusted time.
    pub now: Timestamp,
    pub rules: PasscodeRules,
    pub auto_lock_seconds: Option<u32>,
    pub max_age_days: Option<u16>,
    /// A passcode that is older than this is overdue.
    pub overdue_before: Option<Timestamp>,
    /// One that is older than this has to change at the next sign-in. Never by age alone in contact hours: staff are
    /// with children then.
    pub force_before: Option<Timestamp>,
}

/// What a new passcode is held to, and how wrong ones are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PasscodeRules {
    pub min_length: u8,
    pub alphanumeric: bool,
    pub refuse_simple: bool,
    /// Earlier passcodes that may not be used again.
    pub history: u16,
    /// Wrong tries until the tablet locks for a while. It never wipes: toddlers hold these tablets.
    pub max_failed_attempts: Option<u16>,
    /// By the manager: staff cannot change theirs, and one that root sets is held to the rules as well.
    pub set_by: SetBy,
}

impl PasscodeRules {
    fn is_as_strict_as(&self, wanted: &Self) -> bool {
        self.min_length >= wanted.min_length
            && self.alphanumeric >= wanted.alphanumeric
            && self.refuse_simple >= wanted.refuse_simple
            && self.history >= wanted.history
            && self.set_by >= wanted.set_by
            && match (self.max_failed_attempts, wanted.max_failed_attempts) {
                (_, None) => true,
                (Some(seen), Some(wanted)) => seen <= wanted,
                (None, Some(_)) => false,
            }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasscodeObserved {
    /// What is in force, whoever set it.
    pub rules: Reading<PasscodeRules>,
    /// What the agent has set.
    pub our_rules: Option<PasscodeRules>,
    /// Seconds of inactivity after which the screen locks, with no way for staff to change it.
    pub auto_lock_seconds: Reading<Option<u32>>,
    /// The automatic lock is the agent's.
    pub auto_lock_by_us: bool,
    pub accounts: Reading<Vec<AccountSeen>>,
}

/// An account of the staff's that can sign in. Accounts are known by number: their names may be people's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSeen {
    pub uid: u32,
    pub has_passcode: bool,
    /// Days after which the system itself asks for a new one.
    pub max_days: Option<u32>,
    pub max_days_by_us: bool,
    /// It must change at the next sign-in.
    pub is_forced: bool,
    /// When this passcode was first seen, in trusted time, or what the system said when nothing better was known. A
    /// changed date without a changed passcode does not move it.
    pub changed_at: Timestamp,
    /// It is the one that was set in the console last.
    pub is_from_console: bool,
}

/// Why somebody has to set a passcode in the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    None,
    /// Somebody changed it here, or chose it before it was the manager's to set.
    NotSetThere,
    Overdue,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasscodeChange {
    SetRules(PasscodeRules),
    SetAutoLock {
        seconds: u32,
    },
    SetMaxAge {
        uid: u32,
        days: u16,
    },
    ForceChange {
        uid: u32,
    },
    /// Only a person can do this.
    AwaitNew {
        uid: u32,
        has_passcode: bool,
    },
    /// Only a person can do this, in the console.
    AwaitCode {
        uid: u32,
        lacking: Lacking,
    },
    Unread {
        rule: &'static str,
        unread: Unread,
    },
    RestoreMaxAge {
        uid: u32,
    },
    /// The system would ask whoever signs in for a new one, which is the manager's to set.
    LiftMaxAge {
        uid: u32,
    },
    /// The same, where it was to ask at the next sign-in.
    ForgoChange {
        uid: u32,
        changed_at: Timestamp,
    },
    LiftAutoLock,
}

impl PasscodeChange {
    const fn loosens(&self) -> bool {
        matches!(
            self,
            Self::RestoreMaxAge { .. }
                | Self::LiftMaxAge { .. }
                | Self::ForgoChange { .. }
                | Self::LiftAutoLock
        )
    }
}

impl fmt::Display for PasscodeRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} characters or more", self.min_length)?;
        if self.alphanumeric {
            f.write_str(", letters and digits")?;
        }
        if self.refuse_simple {
            f.write_str(", nothing simple")?;
        }
        if self.history > 0 {
            write!(f, ", none of the last {}", self.history)?;
        }
        if let Some(tries) = self.max_failed_attempts {
            write!(f, ", a pause after {tries} wrong tries")?;
        }
        match self.set_by {
            SetBy::User => Ok(()),
            SetBy::Manager => f.write_str(", set in the console only"),
        }
    }
}

impl fmt::Display for PasscodeChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetRules(rules) => write!(f, "hold passcodes to: {rules}"),
            Self::SetAutoLock { seconds } => {
                write!(f, "lock the screen after {} minutes", seconds / 60)
            }
            Self::SetMaxAge { uid, days } => {
                write!(
                    f,
                    "let the passcode of account {uid} last {days} days at most"
                )
            }
            Self::ForceChange { uid } => {
                write!(f, "have account {uid} {}", wording::NEW_PASSCODE)
            }
            Self::AwaitNew {
                uid,
                has_passcode: true,
            } => write!(f, "the passcode of account {uid} {}", wording::OVERDUE),
            Self::AwaitNew {
                uid,
                has_passcode: false,
            } => write!(f, "account {uid} needs a passcode"),
            Self::AwaitCode { uid, lacking } => {
                write!(f, "{} {uid}: ", wording::SET_IN_CONSOLE)?;
                match lacking {
                    Lacking::None => f.write_str("it has none"),
                    Lacking::NotSetThere => f.write_str("the one it has was not set there"),
                    Lacking::Overdue => write!(f, "the one it has {}", wording::OVERDUE),
                }
            }
            Self::Unread { rule, unread } => {
                write!(f, "{} {rule}: {}", wording::UNREAD, unread.reason())
            }
            Self::RestoreMaxAge { uid } => {
                write!(f, "give account {uid} its former passcode age back")
            }
            Self::LiftMaxAge { uid } => {
                write!(f, "let nothing ask account {uid} for a new passcode")
            }
            Self::ForgoChange { uid, .. } => {
                write!(f, "no longer ask account {uid} for a new passcode")
            }
            Self::LiftAutoLock => f.write_str("let staff choose when the screen locks"),
        }
    }
}

/// How long before its time an ageing passcode is asked for, so that it is asked for out of contact hours and not in
/// the morning's rush.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// What Debian writes where there is to be no limit.
const NO_LIMIT_DAYS: u32 = 99_999;

impl Control for Passcode {
    const NAME: ControlName = ControlName::Passcode;
    type Desired = PasscodeWish;
    type Observed = PasscodeObserved;
    type Change = PasscodeChange;

    fn desired(situation: &Situation) -> Option<PasscodeWish> {
        let policy = situation.policy.passcode.as_ref()?;
        let asked = situation
            .passcode_change_asked_at
            .filter(|_| policy.rotation.is_on_event());
        let max_age_days = policy
            .max_age_days
            .filter(|_| policy.rotation.is_scheduled());
        let aged = max_age_days.map(|days| {
            let age = SignedDuration::from_hours(24 * i64::from(days));
            situation.now.saturating_sub(age).unwrap_or(Timestamp::MIN)
        });
        let ahead = aged.map(|at| at.saturating_add(AHEAD).unwrap_or(at));
        Some(PasscodeWish {
            now: situation.now,
            rules: rules(policy),
            auto_lock_seconds: policy.auto_lock_minutes.map(|m| u32::from(m) * 60),
            max_age_days,
            overdue_before: asked.max(aged),
            force_before: if situation.in_contact_hours {
                asked
            } else {
                asked.max(ahead)
            },
        })
    }

    fn diff(desired: &PasscodeWish, observed: &PasscodeObserved) -> Vec<PasscodeChange> {
        let mut changes = Vec::new();
        match &observed.rules {
            Reading::Seen(seen)
                if seen.is_as_strict_as(&desired.rules)
                    && observed.our_rules.is_none_or(|ours| ours == desired.rules) => {}
            Reading::Seen(_) => changes.push(PasscodeChange::SetRules(desired.rules)),
            Reading::Unread(why) => changes.push(unread("the rules for passcodes", why)),
        }
        auto_lock(desired, observed, &mut changes);
        match &observed.accounts {
            Reading::Seen(accounts) => {
                for seen in accounts {
                    match desired.rules.set_by {
                        SetBy::User => account(desired, seen, &mut changes),
                        SetBy::Manager => account_of_manager(desired, seen, &mut changes),
                    }
                }
            }
            Reading::Unread(why) => changes.push(unread("how old the passcodes are", why)),
        }
        // Whatever loosens goes last.
        changes.sort_by_key(PasscodeChange::loosens);
        changes
    }

    fn unread(change: &PasscodeChange) -> Option<&Unread> {
        if let PasscodeChange::Unread { unread, .. } = change {
            Some(unread)
        } else {
            None
        }
    }
}

fn rules(policy: &PasscodePolicy) -> PasscodeRules {
    PasscodeRules {
        min_length: policy.min_length,
        alphanumeric: policy.alphanumeric,
        refuse_simple: policy.refuse_simple,
        history: u16::from(policy.history),
        max_failed_attempts: policy.max_failed_attempts.map(u16::from),
        set_by: policy.set_by,
    }
}

fn unread(rule: &'static str, why: &Unread) -> PasscodeChange {
    PasscodeChange::Unread {
        rule,
        unread: why.clone(),
    }
}

fn auto_lock(
    desired: &PasscodeWish,
    observed: &PasscodeObserved,
    changes: &mut Vec<PasscodeChange>,
) {
    match (desired.auto_lock_seconds, &observed.auto_lock_seconds) {
        (Some(_), Reading::Unread(why)) => changes.push(unread("the automatic lock", why)),
        (Some(wanted), Reading::Seen(seen)) => {
            let holds = match seen {
                Some(seen) if observed.auto_lock_by_us => *seen == wanted,
                Some(seen) => *seen <= wanted,
                None => false,
            };
            if !holds {
                changes.push(PasscodeChange::SetAutoLock { seconds: wanted });
            }
        }
        (None, _) if observed.auto_lock_by_us => changes.push(PasscodeChange::LiftAutoLock),
        (None, _) => {}
    }
}

fn account(desired: &PasscodeWish, seen: &AccountSeen, changes: &mut Vec<PasscodeChange>) {
    let uid = seen.uid;
    let is_before = |limit: Option<Timestamp>| limit.is_some_and(|limit| seen.changed_at < limit);
    if !seen.has_passcode {
        changes.push(PasscodeChange::AwaitNew {
            uid,
            has_passcode: false,
        });
    }
    match desired.max_age_days {
        Some(days) => {
            let holds = match seen.max_days {
                Some(max) if seen.max_days_by_us => max == u32::from(days),
                Some(max) => max <= u32::from(days),
                None => false,
            };
            // The system asks at once for one that is older than its limit, in contact hours too.
            let would_interrupt =
                is_before(desired.overdue_before) && !is_before(desired.force_before);
            if !holds && !would_interrupt {
                changes.push(PasscodeChange::SetMaxAge { uid, days });
            }
        }
        None if seen.max_days_by_us => changes.push(PasscodeChange::RestoreMaxAge { uid }),
        None => {}
    }
    if (is_before(desired.force_before) || !seen.has_passcode) && !seen.is_forced {
        changes.push(PasscodeChange::ForceChange { uid });
    }
    if seen.has_passcode && is_before(desired.overdue_before) {
        changes.push(PasscodeChange::AwaitNew {
            uid,
            has_passcode: true,
        });
    }
}

/// Nobody who signs in is asked for anything: an overdue passcode is told, and waits for the manager.
fn account_of_manager(
    desired: &PasscodeWish,
    seen: &AccountSeen,
    changes: &mut Vec<PasscodeChange>,
) {
    let uid = seen.uid;
    let is_overdue = desired
        .overdue_before
        .is_some_and(|limit| seen.changed_at < limit);
    let lacking = if !seen.has_passcode {
        Some(Lacking::None)
    } else if !seen.is_from_console {
        Some(Lacking::NotSetThere)
    } else if is_overdue {
        Some(Lacking::Overdue)
    } else {
        None
    };
    if let Some(lacking) = lacking {
        changes.push(PasscodeChange::AwaitCode { uid, lacking });
    }
    if seen.max_days.is_some_and(|days| days < NO_LIMIT_DAYS) {
        changes.push(PasscodeChange::LiftMaxAge { uid });
    }
    if seen.is_forced {
        let changed_at = seen.changed_at;
        changes.push(PasscodeChange::ForgoChange { uid, changed_at });
    }
}

#[cfg(test)]
#[path = "passcode_tests.rs"]
mod tests;
