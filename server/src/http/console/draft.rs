//! Files between what was shown of them and the press that imports them. In memory only: names of children lie in no file
//! that nobody agreed to, and whoever waits longer, or sees the server start anew, chooses the file again.

use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::id::OperatorId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

const KEPT_FOR: SignedDuration = SignedDuration::from_mins(30);
/// Each has at most as many bytes as a register's file.
const MOST: usize = 4;

#[derive(Clone)]
pub(super) struct Draft {
    pub(super) file: Arc<Vec<u8>>,
    /// A saved mapping's name; `None`: the headings are ours.
    pub(super) mapping: Option<String>,
    pub(super) at: Timestamp,
}

/// One for each person.
#[derive(Default)]
pub(in crate::http) struct Drafts(Mutex<BTreeMap<OperatorId, Draft>>);

impl Drafts {
    /// Replaces what this person chose before; where there are too many, the oldest goes.
    pub(super) fn put(&self, whose: OperatorId, draft: Draft) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, kept| draft.at < kept.at.saturating_add(KEPT_FOR).unwrap_or(Timestamp::MAX));
        all.remove(&whose);
        while all.len() >= MOST {
            let oldest = all
                .iter()
                .min_by_key(|(_, kept)| kept.at)
                .map(|(id, _)| *id);
            let Some(oldest) = oldest else { break };
            all.remove(&oldest);
        }
        all.insert(whose, draft);
    }

    pub(super) fn of(&self, whose: OperatorId, now: Timestamp) -> Option<Draft> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, kept| now < kept.at.saturating_add(KEPT_FOR).unwrap_or(Timestamp::MAX));
        all.get(&whose).cloned()
    }

    pub(super) fn remove(&self, whose: OperatorId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&whose);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn draft(minute: i64) -> Draft {
        Draft {
            file: Arc::default(),
            mapping: None,
            at: at(minute),
        }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    fn person(number: u128) -> OperatorId {
        OperatorId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn a_file_is_kept_for_whoever_chose_it_and_half_an_hour() {
        let drafts = Drafts::default();
        drafts.put(person(1), draft(0));
        assert!(drafts.of(person(1), at(29)).is_some());
        assert!(drafts.of(person(2), at(29)).is_none());
        assert!(drafts.of(person(1), at(30)).is_none());
    }

    #[test]
    fn of_too_many_the_oldest_goes() {
        let drafts = Drafts::default();
        for number in 0..5 {
            drafts.put(person(number), draft(i64::try_from(number).unwrap_or(0)));
        }
        let kept: Vec<bool> = (0..5)
            .map(|n| drafts.of(person(n), at(5)).is_some())
            .collect();
        assert_eq!(kept, [false, true, true, true, true]);
    }
}
