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
    Parent,
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

/// Resolves every record of one child, per purpose.
///
/// The later answer wins. A withdrawal recorded here stands until a Yes answered after it; a Yes without a date never
/// restores. Two answers of the same instant that disagree are a conflict, which permits nothing.
pub fn resolve<'a>(
    records: impl IntoIterator<Item = &'a ConsentRecord>,
) -> BTreeMap<Purpose, ConsentStanding> {
    let mut by_purpose: BTreeMap<Purpose, Vec<&ConsentRecord>> = BTreeMap::new();
    for record in records {
        by_purpose.entry(record.purpose).or_default().push(record);
    }
    by_purpose
        .into_iter()
        .map(|(purpose, records)| (purpose, resolve_one(records)))
        .collect()
}

fn resolve_one(mut records: Vec<&ConsentRecord>) -> ConsentStanding {
    records.sort_by_key(|r| (r.recorded_at, r.id));
    records.into_iter().fold(ConsentStanding::UNANSWERED, {
        let mut deciding: Option<&ConsentRecord> = None;
        move |standing, record| {
            if !supersedes(record, deciding) {
                return standing;
            }
            let conflict = deciding.is_some_and(|earlier| {
                record.answered_at.is_some()
                    && earlier.answered_at == record.answered_at
                    && (earlier.state == ConsentState::Given)
                        != (record.state == ConsentState::Given)
                    && record.state != ConsentState::Withdrawn
            });
            deciding = Some(record);
            ConsentStanding {
                state: if conflict {
                    ConsentState::Conflicted
                } else {
                    record.state
                },
                consent: Some(record.id),
                valid_from: record.valid_from,
                valid_until: record.valid_until,
                withdrawn_at: record.withdrawn_at,
            }
        }
    })
}

/// Whether `record`, written after `deciding`, takes its place.
fn supersedes(record: &ConsentRecord, deciding: Option<&ConsentRecord>) -> bool {
    let Some(deciding) = deciding else {
        return true;
    };
    let decided_at = deciding.withdrawn_at.or(deciding.answered_at);
    if record.state == ConsentState::Given {
        return match (record.answered_at, decided_at) {
            // An undated Yes may follow another Yes, never a No.
            (None, _) => {
                deciding.state == ConsentState::Given || deciding.state == ConsentState::Unanswered
            }
            (Some(answered), Some(decided)) if deciding.state == ConsentState::Withdrawn => {
                answered > decided
            }
            (Some(answered), Some(decided)) => answered >= decided,
            (Some(answered), None) => {
                deciding.state == ConsentState::Given || answered > deciding.recorded_at
            }
        };
    }
    match (record.withdrawn_at.or(record.answered_at), decided_at) {
        (Some(answered), Some(decided)) => answered >= decided,
        // Undated answers that permit nothing are believed at once.
        (None, _) | (_, None) => true,
    }
}
