//! What the answers about one child and one purpose come to, read one after another.

use super::history::{Answer, Fact};
use super::told::Said;
use nestwarden_policy_schema::consent::{ConsentState, GivenBy, Purpose};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// `since`: there was a Yes until then.
    Nothing {
        since: Option<i64>,
    },
    Yes {
        from: Option<i64>,
        until: Option<i64>,
    },
    No {
        since: Option<i64>,
    },
    /// The child left, and took the consents along.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Yes,
    No,
    Blank,
}

struct Heard<'a> {
    answer: &'a Answer,
    written: i64,
    said: i64,
    word: Word,
}

pub(super) fn resolve(said: &[Said], child: u8, purpose: Purpose) -> Resolved {
    let heard: Vec<Heard<'_>> = said
        .iter()
        .filter_map(|said| match &said.fact {
            Fact::Answered(answer) if answer.child == child && answer.purpose == purpose => {
                Some(hear(answer, said.at))
            }
            _ => None,
        })
        .collect();
    let of = |word: Word| heard.iter().filter(move |h| h.word == word);

    // A No stands until whoever gave it, or a court, says a dated Yes later.
    let stands = |no: &&Heard<'_>| {
        !of(Word::Yes).any(|yes| {
            let nobody_refused = matches!(
                no.answer.state,
                ConsentState::Expired | ConsentState::EndedLeaver
            );
            let may = yes.answer.giver == no.answer.giver
                || yes.answer.giver == GivenBy::Court
                || nobody_refused;
            yes.answer.days_ago.is_some() && yes.said > no.said && may
        })
    };
    let weight = |no: &&Heard<'_>| (no.word_is_withdrawal(), no.said, no.written);
    if let Some(no) = of(Word::No).filter(stands).max_by_key(weight) {
        if no.answer.state == ConsentState::EndedLeaver {
            return Resolved::Ended;
        }
        let was_given = of(Word::Yes).any(|yes| yes.said <= no.said);
        let since = (was_given || no.word_is_withdrawal()).then_some(no.heard());
        return Resolved::No { since };
    }
    // A Yes with a date is worth more than any without.
    let worth = |yes: &&Heard<'_>| (yes.answer.days_ago.is_some(), yes.said, yes.written);
    let Some(yes) = of(Word::Yes).max_by_key(worth) else {
        return Resolved::Nothing { since: None };
    };
    // What the file no longer says is no longer so.
    let ends_it = |blank: &&Heard<'_>| match (blank.answer.days_ago, yes.answer.days_ago) {
        (Some(_), Some(_)) if blank.said != yes.said => blank.said > yes.said,
        _ => blank.written > yes.written,
    };
    if let Some(since) = of(Word::Blank)
        .filter(ends_it)
        .min_by_key(|blank| (blank.said, blank.written))
        .map(Heard::heard)
    {
        return Resolved::Nothing { since: Some(since) };
    }
    Resolved::Yes {
        from: yes.answer.from,
        until: yes.answer.until,
    }
}

impl Heard<'_> {
    /// What is written down counts, whatever later hour of the day its date is read as.
    fn heard(&self) -> i64 {
        self.said.min(self.written)
    }

    fn word_is_withdrawal(&self) -> bool {
        let state = self.answer.state;
        let carries_one = self.answer.withdrawn_hours_ago.is_some();
        state == ConsentState::Withdrawn || (state == ConsentState::Given && carries_one)
    }
}

fn hear(answer: &Answer, written: i64) -> Heard<'_> {
    let withdrawn = answer.withdrawn_at(written);
    let word = match answer.state {
        ConsentState::Given if withdrawn.is_none() => Word::Yes,
        ConsentState::Unanswered => Word::Blank,
        ConsentState::Given
        | ConsentState::Refused
        | ConsentState::Withdrawn
        | ConsentState::Expired
        | ConsentState::EndedLeaver
        | ConsentState::Conflicted => Word::No,
    };
    let said = answer.answered_at(written).max(withdrawn);
    Heard {
        answer,
        written,
        said: said.unwrap_or(written),
        word,
    }
}
