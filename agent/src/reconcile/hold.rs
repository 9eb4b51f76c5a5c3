//! Holding one control: observe, compare, change, observe again, compare again.

use crate::control::{Control, EnforceError, Enforcer, Situation, Unread};
use nestwarden_policy_schema::control::Outcome;
use nestwarden_policy_schema::policy::Mode;

/// Holds one control to what the situation asks for; what was measured last.
///
/// In observe mode nothing is ever changed. Only a reading taken after the last change can end in compliant or corrected.
pub fn hold<C: Control, E: Enforcer<C>>(
    situation: &Situation,
    mode: Mode,
    enforcer: &mut E,
) -> Outcome {
    let Some(desired) = C::desired(situation) else {
        return Outcome::Unmanaged;
    };
    let differences = match compare::<C, E>(&desired, enforcer) {
        Ok(differences) => differences,
        Err(error) => return unreadable(error),
    };
    match mode {
        Mode::Observe => observed::<C>(&differences),
        Mode::Enforce if differences.is_empty() => Outcome::Compliant,
        Mode::Enforce => enforce::<C, E>(&desired, &differences, enforcer),
    }
}

fn enforce<C: Control, E: Enforcer<C>>(
    desired: &C::Desired,
    differences: &[C::Change],
    enforcer: &mut E,
) -> Outcome {
    let (mut changed, mut impossible, mut first_error) = (Vec::new(), Vec::new(), None);
    for change in differences.iter().filter(|c| C::unread(c).is_none()) {
        // One change that fails must not keep the others from being made.
        match enforcer.apply(change) {
            Ok(()) => changed.push(change.to_string()),
            Err(error) => {
                if matches!(error, EnforceError::Unsupported(_)) {
                    impossible.push(change.to_string());
                }
                first_error.get_or_insert(error);
            }
        }
    }
    let remaining = match compare::<C, E>(desired, enforcer) {
        Ok(remaining) => remaining,
        Err(error) => return unreadable(error),
    };
    if remaining.is_empty() {
        return Outcome::Corrected { changed };
    }
    if let Some(unread) = all_unread::<C>(&remaining) {
        return unread;
    }
    let remaining: Vec<String> = remaining.iter().map(ToString::to_string).collect();
    // What was read and is wrong must not hide behind something else that this tablet cannot do.
    let nothing_else = remaining.iter().all(|change| impossible.contains(change));
    if let Some(EnforceError::Unsupported(reason)) = &first_error
        && nothing_else
    {
        return Outcome::Unsupported {
            reason: reason.clone(),
        };
    }
    Outcome::Drifted {
        remaining,
        error: first_error.map(|error| error.whole_text()),
    }
}

fn compare<C: Control, E: Enforcer<C>>(
    desired: &C::Desired,
    enforcer: &mut E,
) -> Result<Vec<C::Change>, EnforceError> {
    enforcer.watch(desired)?;
    Ok(C::diff(desired, &enforcer.observe()?))
}

fn observed<C: Control>(differences: &[C::Change]) -> Outcome {
    if let Some(unread) = all_unread::<C>(differences) {
        return unread;
    }
    Outcome::Observed {
        would_change: differences.iter().map(ToString::to_string).collect(),
    }
}

/// Unsupported or unknown, when nothing that differs was read.
fn all_unread<C: Control>(differences: &[C::Change]) -> Option<Outcome> {
    let unread: Vec<&Unread> = differences.iter().map(C::unread).collect::<Option<_>>()?;
    if unread.is_empty() {
        return None;
    }
    let mut reasons: Vec<&str> = unread.iter().map(|u| u.reason()).collect();
    reasons.dedup();
    let reasons = reasons.join("; ");
    let all_unsupported = unread.iter().all(|u| matches!(u, Unread::Unsupported(_)));
    Some(if all_unsupported {
        Outcome::Unsupported { reason: reasons }
    } else {
        Outcome::Unknown { error: reasons }
    })
}

fn unreadable(error: EnforceError) -> Outcome {
    match error {
        EnforceError::Unsupported(reason) => Outcome::Unsupported { reason },
        EnforceError::Failed { .. } | EnforceError::Unreadable(_) => Outcome::Unknown {
            error: error.whole_text(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::situation;
    use nestwarden_policy_schema::control::ControlName;
    use std::fmt;

    /// A lamp that should be off.
    struct Lamp;

    enum LampChange {
        Off,
        Unread(Unread),
    }

    impl fmt::Display for LampChange {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                Self::Off => f.write_str("switch the lamp off"),
                Self::Unread(unread) => f.write_str(unread.reason()),
            }
        }
    }

    impl Control for Lamp {
        const NAME: ControlName = ControlName::Radios;
        type Desired = ();
        type Observed = Result<bool, Unread>;
        type Change = LampChange;

        fn desired(situation: &Situation) -> Option<()> {
            situation.session_open.then_some(())
        }

        fn diff((): &(), observed: &Self::Observed) -> Vec<LampChange> {
            match observed {
                Ok(true) => vec![LampChange::Off],
                Ok(false) => Vec::new(),
                Err(unread) => vec![LampChange::Unread(unread.clone())],
            }
        }

        fn unread(change: &LampChange) -> Option<&Unread> {
            match change {
                LampChange::Off => None,
                LampChange::Unread(unread) => Some(unread),
            }
        }
    }

    struct Room {
        lit: Result<bool, Unread>,
        stuck: bool,
        unreadable: bool,
        applied: u32,
    }

    impl Enforcer<Lamp> for Room {
        fn observe(&mut self) -> Result<Result<bool, Unread>, EnforceError> {
            if self.unreadable {
                return Err(EnforceError::Unreadable("the room is dark".to_owned()));
            }
            Ok(self.lit.clone())
        }

        fn apply(&mut self, _change: &LampChange) -> Result<(), EnforceError> {
            self.applied += 1;
            if self.stuck {
                return Err(EnforceError::failed(
                    "press the switch",
                    std::io::Error::other("it is stuck"),
                ));
            }
            self.lit = Ok(false);
            Ok(())
        }

        fn release(&mut self) -> Result<(), EnforceError> {
            Ok(())
        }
    }

    fn lit() -> Room {
        Room {
            lit: Ok(true),
            stuck: false,
            unreadable: false,
            applied: 0,
        }
    }

    fn held(room: &mut Room, mode: Mode) -> Outcome {
        let mut situation = situation();
        situation.session_open = true;
        hold::<Lamp, _>(&situation, mode, room)
    }

    #[test]
    fn a_control_the_policy_does_not_name_is_unmanaged() {
        let mut room = lit();
        let outcome = hold::<Lamp, _>(&situation(), Mode::Enforce, &mut room);
        assert_eq!(outcome, Outcome::Unmanaged);
        assert_eq!(room.applied, 0);
    }

    #[test]
    fn observe_mode_never_changes_anything() {
        let mut room = lit();
        assert_eq!(
            held(&mut room, Mode::Observe),
            Outcome::Observed {
                would_change: vec!["switch the lamp off".to_owned()]
            }
        );
        assert_eq!(room.applied, 0);
    }

    #[test]
    fn what_was_changed_and_read_back_is_corrected_and_then_compliant() {
        let mut room = lit();
        assert!(matches!(
            held(&mut room, Mode::Enforce),
            Outcome::Corrected { .. }
        ));
        assert_eq!(held(&mut room, Mode::Enforce), Outcome::Compliant);
    }

    #[test]
    fn what_could_not_be_changed_has_drifted_with_the_reason() {
        let mut room = lit();
        room.stuck = true;
        assert_eq!(
            held(&mut room, Mode::Enforce),
            Outcome::Drifted {
                remaining: vec!["switch the lamp off".to_owned()],
                error: Some("failed to press the switch: it is stuck".to_owned()),
            }
        );
    }

    /// Two lamps, of which one has no switch.
    struct TwoLamps;

    impl Control for TwoLamps {
        const NAME: ControlName = ControlName::Radios;
        type Desired = ();
        type Observed = Vec<&'static str>;
        type Change = &'static str;

        fn desired(_: &Situation) -> Option<()> {
            Some(())
        }

        fn diff((): &(), lit: &Self::Observed) -> Vec<&'static str> {
            lit.clone()
        }
    }

    struct Hall {
        lit: Vec<&'static str>,
        stuck: bool,
    }

    impl Enforcer<TwoLamps> for Hall {
        fn observe(&mut self) -> Result<Vec<&'static str>, EnforceError> {
            Ok(self.lit.clone())
        }

        fn apply(&mut self, change: &&'static str) -> Result<(), EnforceError> {
            if *change == "switch off the lamp without a switch" {
                return Err(EnforceError::Unsupported("it has no switch".to_owned()));
            }
            if !self.stuck {
                self.lit.retain(|lamp| lamp != change);
            }
            Ok(())
        }

        fn release(&mut self) -> Result<(), EnforceError> {
            Ok(())
        }
    }

    #[test]
    fn what_is_wrong_does_not_hide_behind_something_that_cannot_be_done_here() {
        let outcome = |stuck| {
            let lit = vec![
                "switch off the lamp without a switch",
                "switch off the other lamp",
            ];
            let mut hall = Hall { lit, stuck };
            hold::<TwoLamps, _>(&situation(), Mode::Enforce, &mut hall)
        };
        assert!(
            matches!(outcome(true), Outcome::Drifted { remaining, .. } if remaining.len() == 2)
        );
        assert!(matches!(outcome(false), Outcome::Unsupported { .. }));
    }

    #[test]
    fn what_cannot_be_read_is_unknown_whatever_the_mode() {
        for mode in [Mode::Observe, Mode::Enforce] {
            let mut room = lit();
            room.unreadable = true;
            assert!(matches!(held(&mut room, mode), Outcome::Unknown { .. }));
            room.unreadable = false;
            room.lit = Err(Unread::Unsupported("no lamp here".to_owned()));
            assert_eq!(
                held(&mut room, mode),
                Outcome::Unsupported {
                    reason: "no lamp here".to_owned()
                }
            );
            assert_eq!(room.applied, 0);
        }
    }
}
