//! Who has the tablet, as it knows it: what was signed here, and what the office said meanwhile.
//!
//! Its own word stands until the server knows it. From then on the server's does: a time that is over there is over here, and
//! one that was signed out in the office counts as soon as none of the tablet's own is open.

use jiff::Timestamp;
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::id::{CustodyId, EntryId, StaffId};
use nestwarden_policy_schema::roster::{CustodyWord, OpenCustody};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Times that are over and are remembered, so that no bundle from before brings one back.
const MOST_OVER: usize = 100;

/// What the ledger keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) open: Option<Open>,
    /// The newest last.
    over: Vec<CustodyId>,
    /// Which version somebody agreed to on this tablet, until the server knows it.
    #[serde(default)]
    pub(super) agreed: BTreeMap<StaffId, EntryId>,
}

/// Somebody has the tablet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) custody: CustodyId,
    pub(super) staff: StaffId,
    pub(super) name: String,
    pub(super) room: Option<RoomName>,
    pub(super) since: Timestamp,
    pub(super) due: Timestamp,
}

impl From<&OpenCustody> for Open {
    fn from(told: &OpenCustody) -> Self {
        Self {
            custody: told.custody,
            staff: told.staff,
            name: told.name.clone(),
            room: told.room.clone(),
            since: told.since,
            due: told.due,
        }
    }
}

impl State {
    /// With what the server says. `None`: it is older and says nothing.
    #[must_use]
    pub(super) fn told(mut self, word: Option<&CustodyWord>) -> Self {
        let Some(word) = word else {
            return self;
        };
        let is_over = |open: &Open| word.over.contains(&open.custody);
        if self.open.as_ref().is_some_and(is_over) {
            self.end();
        }
        if let Some(told) = &word.open {
            match &mut self.open {
                // It was needed for longer.
                Some(open) if open.custody == told.custody => open.due = told.due,
                // The server has yet to hear of it, and says then which of the two holds.
                Some(_) => {}
                None if self.over.contains(&told.custody) => {}
                None => self.open = Some(told.into()),
            }
        }
        self
    }

    /// It is back.
    pub(super) fn end(&mut self) {
        if let Some(open) = self.open.take() {
            self.over.push(open.custody);
            let more = self.over.len().saturating_sub(MOST_OVER);
            self.over.drain(..more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use uuid::Uuid;

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_mins(minute)
    }

    fn open(number: u128, due: i64) -> OpenCustody {
        OpenCustody {
            custody: CustodyId::from_uuid(Uuid::from_u128(number)),
            staff: StaffId::from_uuid(Uuid::from_u128(1)),
            name: "Kim M.".to_owned(),
            room: None,
            since: at(0),
            due: at(due),
        }
    }

    fn word(open: Option<OpenCustody>, over: &[u128]) -> CustodyWord {
        let over = over
            .iter()
            .map(|n| CustodyId::from_uuid(Uuid::from_u128(*n)));
        CustodyWord {
            open,
            over: over.collect::<BTreeSet<_>>(),
        }
    }

    fn taken(number: u128) -> State {
        State {
            open: Some((&open(number, 60)).into()),
            ..State::default()
        }
    }

    fn who(state: &State) -> Option<u128> {
        let open = state.open.as_ref()?;
        Some(open.custody.as_uuid().as_u128())
    }

    #[test]
    fn what_the_server_has_not_heard_of_stays_and_what_it_ended_ends() {
        for (word, expected) in [
            (word(None, &[]), Some(1)),
            (word(Some(open(2, 60)), &[]), Some(1)),
            (word(None, &[1]), None),
            (word(Some(open(2, 60)), &[1]), Some(2)),
        ] {
            assert_eq!(who(&taken(1).told(Some(&word))), expected, "{word:?}");
        }
        assert_eq!(who(&taken(1).told(None)), Some(1));
        assert_eq!(
            who(&State::default().told(Some(&word(Some(open(2, 60)), &[])))),
            Some(2)
        );
    }

    #[test]
    fn a_bundle_from_before_brings_nothing_back_that_was_signed_in_here() {
        let mut state = taken(1);
        state.end();
        let before = word(Some(open(1, 60)), &[]);
        assert_eq!(who(&state.told(Some(&before))), None);
    }

    #[test]
    fn the_office_says_that_it_is_needed_for_longer() {
        let longer = word(Some(open(1, 90)), &[]);
        let open = taken(1).told(Some(&longer)).open;
        assert_eq!(open.map(|open| open.due), Some(at(90)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut state = State::default();
        for number in 0..300 {
            state.open = Some((&open(number, 60)).into());
            state.end();
        }
        assert_eq!(state.over.len(), MOST_OVER);
    }
}
