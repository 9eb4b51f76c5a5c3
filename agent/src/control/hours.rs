//! Out of contact hours the tablet is locked, with a margin for setting up and clearing away; while it is lost, always.

use super::{Control, Reading, Situation, Unread};
use nestwarden_policy_schema::control::ControlName;
use std::fmt;

/// Use out of contact hours as a control.
#[derive(Debug)]
pub struct Hours;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoursWish {
    Open,
    Locked(Because),
}

/// Why the tablet has to be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    OutOfHours,
    /// It is marked as lost, whatever the hours.
    Lost,
    /// Somebody asked for it, this once.
    Asked,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoursObserved {
    /// Sessions of staff on this tablet that are not locked. Only looked at when they should be.
    pub unlocked: Reading<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoursChange {
    Lock { sessions: usize, because: Because },
    Unread(Unread),
}

impl fmt::Display for HoursChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock { because, .. } => f.write_str(match because {
                Because::OutOfHours => "lock the tablet, which is in use out of contact hours",
                Because::Lost => "lock the tablet, which is marked as lost and was unlocked",
                Because::Asked => "lock the tablet",
            }),
            Self::Unread(unread) => {
                write!(f, "check that the tablet is locked: {}", unread.reason())
            }
        }
    }
}

impl Control for Hours {
    const NAME: ControlName = ControlName::Hours;
    type Desired = HoursWish;
    type Observed = HoursObserved;
    type Change = HoursChange;

    fn desired(situation: &Situation) -> Option<HoursWish> {
        let policy = situation.policy.hours.as_ref()?;
        if let Some(because) = situation.locked {
            return Some(HoursWish::Locked(because));
        }
        let margin = u32::from(policy.margin_minutes);
        let open = situation.in_contact_hours
            || !policy.lock_outside_contact_hours
            || situation
                .minutes_from_contact
                .is_some_and(|minutes| minutes < margin);
        Some(if open {
            HoursWish::Open
        } else {
            HoursWish::Locked(Because::OutOfHours)
        })
    }

    fn diff(desired: &HoursWish, observed: &HoursObserved) -> Vec<HoursChange> {
        match (desired, &observed.unlocked) {
            (HoursWish::Open, _) | (HoursWish::Locked(_), Reading::Seen(0)) => Vec::new(),
            (HoursWish::Locked(because), Reading::Seen(sessions)) => vec![HoursChange::Lock {
                sessions: *sessions,
                because: *because,
            }],
            (HoursWish::Locked(_), Reading::Unread(unread)) => {
                vec![HoursChange::Unread(unread.clone())]
            }
        }
    }

    fn unread(change: &HoursChange) -> Option<&Unread> {
        match change {
            HoursChange::Lock { .. } => None,
            HoursChange::Unread(unread) => Some(unread),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::control::testing::unread;
    use crate::testing::situation;
    use nestwarden_policy_schema::policy::HoursPolicy;
    use proptest::prelude::*;

    const LOCKED: HoursWish = HoursWish::Locked(Because::OutOfHours);

    fn wish(lock: bool, margin_minutes: u8, contact: bool, minutes: Option<u32>) -> HoursWish {
        let mut now = situation();
        now.policy.hours = Some(HoursPolicy {
            lock_outside_contact_hours: lock,
            margin_minutes,
            ..HoursPolicy::default()
        });
        now.in_contact_hours = contact;
        now.minutes_from_contact = minutes;
        Hours::desired(&now).unwrap()
    }

    #[test]
    fn the_tablet_is_open_in_contact_hours_and_within_the_margin() {
        assert_eq!(wish(true, 30, true, Some(0)), HoursWish::Open);
        assert_eq!(wish(true, 30, false, Some(29)), HoursWish::Open);
        assert_eq!(wish(true, 30, false, Some(30)), LOCKED);
        assert_eq!(wish(true, 0, false, Some(0)), LOCKED);
    }

    #[test]
    fn with_no_contact_hours_planned_the_tablet_is_locked() {
        assert_eq!(wish(true, 120, false, None), LOCKED);
    }

    #[test]
    fn a_lost_tablet_is_locked_in_contact_hours_and_no_extension_opens_it() {
        let mut now = situation();
        now.policy.hours = Some(HoursPolicy::default());
        assert_eq!(Hours::desired(&now), Some(HoursWish::Open));
        now.locked = Some(Because::Lost);
        assert_eq!(Hours::desired(&now), Some(HoursWish::Locked(Because::Lost)));
    }

    #[test]
    fn an_extension_opens_the_tablet() {
        assert_eq!(wish(false, 0, false, None), HoursWish::Open);
    }

    proptest! {
        #[test]
        fn nothing_is_left_after_every_change(
            locked in any::<bool>(),
            unlocked in prop_oneof![(0..4_usize).prop_map(Reading::Seen), unread().prop_map(Reading::Unread)],
        ) {
            let desired = if locked { LOCKED } else { HoursWish::Open };
            let mut observed = HoursObserved { unlocked };
            for change in Hours::diff(&desired, &observed.clone()) {
                match change {
                    HoursChange::Lock { .. } | HoursChange::Unread(_) => observed.unlocked = Reading::Seen(0),
                }
            }
            prop_assert_eq!(Hours::diff(&desired, &observed), vec![]);
        }
    }
}
