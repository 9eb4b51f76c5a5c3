//! The camera: on, only in a session, or off; and off out of contact hours whatever the setting chooses.

use super::{Control, Reading, Situation, Unread};
use nestwarden_policy_schema::control::ControlName;
use nestwarden_policy_schema::policy::CameraUse;
use std::fmt;

/// The camera as a control.
#[derive(Debug)]
pub struct Camera;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameraWish {
    On,
    Off,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraObserved {
    /// Whether cameras that are plugged in from now on stay off.
    pub new_cameras_off: bool,
    pub cameras: Reading<CamerasSeen>,
}

/// The tablet's cameras, in numbers. All zero: it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CamerasSeen {
    /// Staff can open them.
    pub open: usize,
    /// Only the agent can.
    pub closed: usize,
    /// Of those closed, how many the agent closed.
    pub closed_by_us: usize,
    /// A program of the staff's holds them open.
    pub in_use: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CameraChange {
    KeepNewOff,
    Close,
    EndUse,
    OpenAgain,
    LetNewOn,
    Unread(Unread),
}

impl fmt::Display for CameraChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeepNewOff => f.write_str("keep the camera off across restarts"),
            Self::Close => f.write_str("switch the camera off"),
            Self::EndUse => f.write_str("end the camera's use"),
            Self::OpenAgain => f.write_str("switch the camera on"),
            Self::LetNewOn => f.write_str("let the camera be on after restarts"),
            Self::Unread(unread) => write!(f, "check the camera: {}", unread.reason()),
        }
    }
}

impl Control for Camera {
    const NAME: ControlName = ControlName::Camera;
    type Desired = CameraWish;
    type Observed = CameraObserved;
    type Change = CameraChange;

    fn desired(situation: &Situation) -> Option<CameraWish> {
        let policy = situation.policy.camera.as_ref()?;
        let chosen = match policy.camera {
            CameraUse::On => true,
            CameraUse::InSession => situation.session_open,
            CameraUse::Off => false,
        };
        let on = chosen && situation.in_contact_hours && !situation.capture_suspended;
        Some(if on { CameraWish::On } else { CameraWish::Off })
    }

    fn diff(desired: &CameraWish, observed: &CameraObserved) -> Vec<CameraChange> {
        let mut changes = Vec::new();
        match desired {
            CameraWish::Off => {
                if !observed.new_cameras_off {
                    changes.push(CameraChange::KeepNewOff);
                }
                match &observed.cameras {
                    Reading::Seen(seen) => {
                        if seen.open > 0 {
                            changes.push(CameraChange::Close);
                        }
                        if seen.in_use > 0 {
                            changes.push(CameraChange::EndUse);
                        }
                    }
                    Reading::Unread(unread) => changes.push(CameraChange::Unread(unread.clone())),
                }
            }
            CameraWish::On => {
                if observed.new_cameras_off {
                    changes.push(CameraChange::LetNewOn);
                }
                match &observed.cameras {
                    Reading::Seen(seen) if seen.closed_by_us > 0 => {
                        changes.push(CameraChange::OpenAgain);
                    }
                    // A camera that may be on needs no proof.
                    Reading::Seen(_) | Reading::Unread(_) => {}
                }
            }
        }
        changes
    }

    fn unread(change: &CameraChange) -> Option<&Unread> {
        match change {
            CameraChange::Unread(unread) => Some(unread),
            CameraChange::KeepNewOff
            | CameraChange::Close
            | CameraChange::EndUse
            | CameraChange::OpenAgain
            | CameraChange::LetNewOn => None,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::control::testing::unread;
    use crate::testing::situation;
    use nestwarden_policy_schema::policy::CameraPolicy;
    use proptest::prelude::*;

    fn wish(camera: CameraUse, contact: bool, session: bool, suspended: bool) -> CameraWish {
        let mut now = situation();
        now.policy.camera = Some(CameraPolicy {
            camera,
            ..CameraPolicy::default()
        });
        now.in_contact_hours = contact;
        now.session_open = session;
        now.capture_suspended = suspended;
        Camera::desired(&now).unwrap()
    }

    #[test]
    fn without_a_policy_the_camera_is_unmanaged() {
        assert_eq!(Camera::desired(&situation()), None);
    }

    #[test]
    fn the_camera_is_off_out_of_contact_hours_whatever_is_chosen() {
        for camera in [CameraUse::On, CameraUse::InSession, CameraUse::Off] {
            assert_eq!(wish(camera, false, true, false), CameraWish::Off);
        }
    }

    #[test]
    fn a_session_opens_a_camera_that_is_for_sessions() {
        assert_eq!(
            wish(CameraUse::InSession, true, true, false),
            CameraWish::On
        );
        assert_eq!(
            wish(CameraUse::InSession, true, false, false),
            CameraWish::Off
        );
    }

    #[test]
    fn a_doubtful_clock_or_a_lease_that_is_over_closes_the_camera() {
        assert_eq!(wish(CameraUse::On, true, true, true), CameraWish::Off);
    }

    fn apply(observed: &mut CameraObserved, change: &CameraChange) {
        let seen = match &observed.cameras {
            Reading::Seen(seen) => *seen,
            Reading::Unread(_) => CamerasSeen::default(),
        };
        let after = match change {
            CameraChange::KeepNewOff => {
                observed.new_cameras_off = true;
                return;
            }
            CameraChange::LetNewOn => {
                observed.new_cameras_off = false;
                return;
            }
            CameraChange::Close => CamerasSeen {
                open: 0,
                closed: seen.closed + seen.open,
                closed_by_us: seen.closed_by_us + seen.open,
                ..seen
            },
            CameraChange::EndUse => CamerasSeen { in_use: 0, ..seen },
            CameraChange::OpenAgain => CamerasSeen {
                open: seen.open + seen.closed_by_us,
                closed: seen.closed - seen.closed_by_us,
                closed_by_us: 0,
                ..seen
            },
            CameraChange::Unread(_) => CamerasSeen::default(),
        };
        observed.cameras = Reading::Seen(after);
    }

    prop_compose! {
        fn seen()(open in 0..3_usize, ours in 0..3_usize, others in 0..3_usize, in_use in 0..3_usize) -> CamerasSeen {
            CamerasSeen { open, closed: ours + others, closed_by_us: ours, in_use }
        }
    }

    proptest! {
        #[test]
        fn nothing_is_left_after_every_change(
            off in any::<bool>(),
            new_cameras_off in any::<bool>(),
            cameras in prop_oneof![seen().prop_map(Reading::Seen), unread().prop_map(Reading::Unread)],
        ) {
            let desired = if off { CameraWish::Off } else { CameraWish::On };
            let mut observed = CameraObserved { new_cameras_off, cameras };
            for change in Camera::diff(&desired, &observed.clone()) {
                apply(&mut observed, &change);
            }
            prop_assert_eq!(Camera::diff(&desired, &observed), vec![]);
        }

        #[test]
        fn an_unread_camera_is_never_taken_for_one_that_is_off(why in unread()) {
            let observed = CameraObserved { new_cameras_off: true, cameras: Reading::Unread(why.clone()) };
            let changes = Camera::diff(&CameraWish::Off, &observed);
            prop_assert_eq!(changes.iter().map(Camera::unread).collect::<Vec<_>>(), vec![Some(&why)]);
        }
    }
}
