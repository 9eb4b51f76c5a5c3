//! What the tests of the controls share.

use super::{Reading, Unread};
use proptest::prelude::*;

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
