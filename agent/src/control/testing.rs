//! What the tests of the controls share.

use super::{Reading, Situation, Unread};
use jiff::Timestamp;
use nestwarden_policy_schema::policy::Policy;
use proptest::prelude::*;

/// An instant in contact hours with no policy.
pub(crate) fn situation() -> Situation {
    Situation {
        now: Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(24 * 20_000),
        in_contact_hours: true,
        minutes_from_contact: Some(0),
        session_open: false,
        capture_suspended: false,
        exceptions: Vec::new(),
        policy: Policy::default(),
        passcode_change_asked_at: None,
    }
}

pub(crate) fn unread() -> impl Strategy<Value = Unread> {
    prop_oneof![
        Just(Unread::Unsupported("not there".to_owned())),
        Just(Unread::Unknown("not readable".to_owned())),
    ]
}

pub(crate) fn reading<T: std::fmt::Debug + Clone + 'static>(
    seen: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Reading<T>> {
    prop_oneof![
        seen.prop_map(Reading::Seen),
        unread().prop_map(Reading::Unread)
    ]
}
