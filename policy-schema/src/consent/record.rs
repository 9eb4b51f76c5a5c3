//! One person's answer about one purpose, and how the answers about a child resolve.

use super::Purpose;
use crate::calendar::Calendar;
use crate::id::{ChildId, ConsentId};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentState {
    Unanswered,
    Given,
    Refused,
    Withdrawn,
    Expired,
    EndedLeaver,
    /// Parents disagree: refused, and a task for the manager.
    Conflicted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GivenBy {
    /// Whoever answered first, or both together; what a booking system says is theirs.
    Parent,
    /// A second parent, who answers apart from the first.
    OtherParent,
    LocalAuthority,
    DelegatedCarer,
    Court,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    PaperForm,
    BookingSystem,
    InPerson,
    Telephone,
    Email,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentSource {
    /// From a file of the booking system.
    Import,
    /// Recorded here by a person.
    Recorded,
}

/// One answer. Records are only ever added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentRecord {
    pub id: ConsentId,
    pub child: ChildId,
    pub purpose: Purpose,
    pub state: ConsentState,
    pub given_by: GivenBy,
    /// `None`: not recorded.
    pub has_parental_responsibility: Option<bool>,
    pub method: Method,
    /// The wording the person agreed to; `None` where the booking system does not say.
    pub wording_version: Option<String>,
    /// When the person answered; `None` where the import does not say.
    pub answered_at: Option<Timestamp>,
    /// When it was written here; orders undated answers.
    pub recorded_at: Timestamp,
    /// First local day on which it holds; `None`: from the answer on.
    pub valid_from: Option<Date>,
    /// Last local day on which it holds; `None`: until it is withdrawn.
    pub valid_until: Option<Date>,
    pub withdrawn_at: Option<Timestamp>,
    pub source: ConsentSource,
}

/// What the records about one child and one purpose come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentStanding {
    pub state: ConsentState,
    /// The record this rests on; `None` when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<ConsentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Date>,
    /// When a Yes was taken away, by whatever answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<Timestamp>,
}

impl ConsentStanding {
    pub const UNANSWERED: Self = Self {
        state: ConsentState::Unanswered,
        consent: None,
        valid_from: None,
        valid_until: None,
        withdrawn_at: None,
    };

    /// Whether it permits the purpose at `now`. Dates are inclusive local days.
    pub fn permits(&self, calendar: &Calendar, now: Timestamp) -> bool {
        self.state == ConsentState::Given
            && self
                .valid_from
                .is_none_or(|from| calendar.start_of(from) <= now)
            && self
                .valid_until
                .is_none_or(|until| now < calendar.end_of(until))
    }
}

/// Resolves every record of one child, per purpose. The order of the records does not matter.
///
/// The later answer wins. A withdrawal recorded here stands until a Yes answered after it; a Yes without a date never
/// restores. A No is taken back by whoever gave it, or by a court: a later Yes of somebody else makes a conflict, and so
/// do two answers of the same instant that disagree. A conflict permits nothing.
pub fn resolve<'a>(
    records: impl IntoIterator<Item = &'a ConsentRecord>,
) -> BTreeMap<Purpose, ConsentStanding> {
    let mut by_purpose: BTreeMap<Purpose, Vec<&ConsentRecord>> = BTreeMap::new();
    for record in records {
        by_purpose.entry(record.purpose).or_default().push(record);
    }
    by_purpose
        .into_iter()
        .map(|(purpose, records)| (purpose, resolve_one(&records)))
        .collect()
}

fn resolve_one(records: &[&ConsentRecord]) -> ConsentStanding {
    let latest = |kind: Kind| {
        records
            .iter()
            .copied()
            .filter(move |r| r.kind() == kind)
            .max_by_key(|r| (r.answered_at, r.recorded_at, r.id))
    };
    let yes = latest(Kind::Yes);
    // Noes that no later Yes has answered. An undated Yes answers none.
    let standing_noes = || {
        let unanswered = |no: &&ConsentRecord| !records.iter().any(|yes| yes.answers(no));
        records
            .iter()
            .copied()
            .filter(|r| r.kind() == Kind::No)
            .filter(unanswered)
    };
    let no = standing_noes().max_by_key(|r| (r.is_withdrawal(), r.said_at(), r.recorded_at, r.id));
    if let Some(no) = no {
        let stands_for_its_giver =
            |yes: &&ConsentRecord| standing_noes().all(|no| no.given_by != yes.given_by);
        let of_another = records
            .iter()
            .copied()
            .filter(|r| r.kind() == Kind::Yes && r.disagrees_with(no))
            .filter(stands_for_its_giver)
            .max_by_key(|r| (r.answered_at, r.recorded_at, r.id));
        let at_the_same_instant = yes.filter(|yes| !no.is_withdrawal() && no.contradicts(yes));
        let standing = match at_the_same_instant.or(of_another) {
            Some(yes) => {
                let later = std::cmp::max_by_key(no, yes, |r| (r.recorded_at, r.id));
                later.standing(ConsentState::Conflicted)
            }
            None => no.standing(no.state_as_read()),
        };
        return ConsentStanding {
            withdrawn_at: no.takes_back_at(records),
            ..standing
        };
    }
    let blanks = || records.iter().copied().filter(|r| r.kind() == Kind::Blank);
    let Some(yes) = yes else {
        return latest(Kind::Blank).map_or(ConsentStanding::UNANSWERED, |blank| {
            blank.standing(ConsentState::Unanswered)
        });
    };
    let followed_by = blanks()
        .filter(|blank| blank.follows(yes))
        .min_by_key(|r| (r.said_at(), r.recorded_at, r.id));
    match followed_by {
        Some(blank) => ConsentStanding {
            withdrawn_at: Some(blank.heard_at()),
            ..blank.standing(ConsentState::Unanswered)
        },
        None => yes.standing(ConsentState::Given),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Yes,
    No,
    /// Takes a Yes away that was there before, but stands in the way of none that comes after.
    Blank,
}

impl ConsentRecord {
    fn kind(&self) -> Kind {
        match self.state_as_read() {
            ConsentState::Given => Kind::Yes,
            ConsentState::Unanswered => Kind::Blank,
            ConsentState::Refused
            | ConsentState::Withdrawn
            | ConsentState::Expired
            | ConsentState::EndedLeaver
            | ConsentState::Conflicted => Kind::No,
        }
    }

    /// A Yes that carries a withdrawal is one.
    fn state_as_read(&self) -> ConsentState {
        if self.state == ConsentState::Given && self.withdrawn_at.is_some() {
            ConsentState::Withdrawn
        } else {
            self.state
        }
    }

    fn is_withdrawal(&self) -> bool {
        self.state_as_read() == ConsentState::Withdrawn
    }

    /// Nobody refused; a last day came, or the child left.
    fn ended_by_itself(&self) -> bool {
        matches!(
            self.state,
            ConsentState::Expired | ConsentState::EndedLeaver
        )
    }

    /// When it was said; what has no date is believed from the moment it was written here.
    fn said_at(&self) -> Timestamp {
        self.withdrawn_at
            .max(self.answered_at)
            .unwrap_or(self.recorded_at)
    }

    /// A date alone means the end of that day, and what is written down before then counts at once. From there on it is one
    /// instant: an end that moved along with the clock would change places with other reasons to remove.
    fn heard_at(&self) -> Timestamp {
        self.said_at().min(self.recorded_at)
    }

    /// Whether this refusal and a Yes were given at the same instant.
    fn contradicts(&self, yes: &Self) -> bool {
        self.state == ConsentState::Refused
            && self.answered_at.is_some()
            && self.answered_at == yes.answered_at
    }

    /// Whether this Yes takes `no` back.
    fn answers(&self, no: &Self) -> bool {
        self.kind() == Kind::Yes
            && (self.given_by == no.given_by
                || self.given_by == GivenBy::Court
                || no.ended_by_itself())
            && self.answered_at.is_some_and(|at| at > no.said_at())
    }

    /// Whether this Yes of one person and a No of another leave open what holds. A court's No does not, and a withdrawal
    /// only when the Yes came after it.
    fn disagrees_with(&self, no: &Self) -> bool {
        self.given_by != no.given_by
            && no.given_by != GivenBy::Court
            && !no.ended_by_itself()
            && (!no.is_withdrawal() || self.answered_at.is_some_and(|at| at > no.said_at()))
    }

    /// Whether this blank answer came after `yes`.
    fn follows(&self, yes: &Self) -> bool {
        let written = (self.recorded_at, self.id) > (yes.recorded_at, yes.id);
        match (self.answered_at, yes.answered_at) {
            (Some(blank), Some(yes)) if blank != yes => blank > yes,
            (Some(_) | None, _) => written,
        }
    }

    /// When this No took a Yes away; `None` where there was none before, and for a leaver, whose photos go as a leaver's.
    fn takes_back_at(&self, records: &[&Self]) -> Option<Timestamp> {
        if self.state == ConsentState::EndedLeaver {
            return None;
        }
        let said_at = self.said_at();
        let was_given = records
            .iter()
            .any(|yes| yes.kind() == Kind::Yes && yes.said_at() <= said_at);
        (was_given || self.is_withdrawal()).then_some(self.heard_at())
    }

    fn standing(&self, state: ConsentState) -> ConsentStanding {
        ConsentStanding {
            state,
            consent: Some(self.id),
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            withdrawn_at: self.withdrawn_at,
        }
    }
}
