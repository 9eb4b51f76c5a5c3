//! What a history says of the children, and of who is in the photo.

use super::days::HOUR;
use super::history::{CHILDREN, Fact, PURPOSES};
use super::reference::Reference;
use super::resolved::{self, Resolved};
use super::told::Said;
use jiff::civil::{Date, Weekday};
use nestwarden_policy_schema::consent::{Purpose, Restriction, Tagging};
use std::collections::BTreeSet;

pub(super) struct Child {
    listed: bool,
    leaves: Option<(i64, bool)>,
    /// When a death was written down, and the last day of a child who had left before.
    death_written: Option<(i64, Option<i64>)>,
    restriction: Restriction,
    missing_since: Option<i64>,
    pub(super) resolved: [Resolved; PURPOSES.len()],
}

impl Reference<'_> {
    pub(super) fn tags(&self) -> (Tagging, u8, bool) {
        let tags = self
            .told
            .on_tablet()
            .iter()
            .rev()
            .find_map(|said| match said.fact {
                Fact::Tagged {
                    tagging,
                    confirmed,
                    stranger,
                } => Some((tagging, confirmed, stranger)),
                _ => None,
            });
        tags.unwrap_or((Tagging::Untagged, 0, false))
    }

    pub(super) fn has_stranger(&self) -> bool {
        self.tags().2
    }

    pub(super) fn confirmed(&self) -> BTreeSet<u8> {
        let (_, confirmed, _) = self.tags();
        (0..CHILDREN)
            .filter(|c| confirmed & (1 << c) != 0)
            .collect()
    }

    pub(super) fn is_untagged(&self) -> bool {
        let (tagging, confirmed, stranger) = self.tags();
        confirmed == 0 && !stranger && tagging != Tagging::NoChild
    }

    pub(super) fn subjects(&self) -> &BTreeSet<u8> {
        &self.subjects
    }

    pub(super) fn read_subjects(&self) -> BTreeSet<u8> {
        let (tagging, confirmed, stranger) = self.tags();
        let complete = tagging == Tagging::Complete && (confirmed != 0 || stranger);
        let mut subjects = self.confirmed();
        if !complete && tagging != Tagging::NoChild {
            subjects.extend(self.possible());
        }
        subjects
    }

    /// Those who may have been there as it was known then, and as it is known now.
    pub(super) fn possible(&self) -> BTreeSet<u8> {
        let mut possible = self.possible_when_taken();
        possible.extend(self.possible_by(self.told.by_server()));
        possible
    }

    pub(super) fn possible_when_taken(&self) -> BTreeSet<u8> {
        self.possible_by(self.told.by_server_when_taken())
    }

    pub(super) fn possible_by(&self, said: &[Said]) -> BTreeSet<u8> {
        let day = self.days.date(self.told.captured_at());
        let session = self.told.rooms_of_session;
        let in_room = |c: &u8| {
            let (rooms, _) = rooms_and_days(said, *c);
            session == 0 || rooms == 0 || rooms & session != 0
        };
        let enrolled = |c: &u8| {
            let starts = starts(said, *c).is_none_or(|n| self.told.day(n) <= day);
            let leaves = leaves(said, *c).is_none_or(|(n, _)| day <= self.told.day(n));
            starts && leaves
        };
        let booked = |c: &u8| {
            let (_, days) = rooms_and_days(said, *c);
            days == 0 || (weekday(day) < 5 && days & (1 << weekday(day)) != 0)
        };
        let all: Vec<u8> = (0..CHILDREN).filter(|c| listed(said, *c)).collect();
        let those = |keep: &dyn Fn(&u8) -> bool| -> BTreeSet<u8> {
            all.iter().copied().filter(|c| keep(c)).collect()
        };
        [
            those(&|c| booked(c) && in_room(c) && enrolled(c)),
            those(&|c| in_room(c) && enrolled(c)),
            those(&|c| enrolled(c)),
        ]
        .into_iter()
        .find(|children| !children.is_empty())
        .unwrap_or_else(|| those(&|_| true))
    }

    pub(super) fn is_listed(&self, child: u8) -> bool {
        self.children[usize::from(child)].listed
    }

    pub(super) fn leaving(&self, child: u8) -> Option<(Date, bool)> {
        let known = &self.children[usize::from(child)];
        let (day, died) = known.leaves.filter(|_| known.listed)?;
        Some((self.told.day(day), died))
    }

    pub(super) fn has_died(&self, child: u8) -> bool {
        self.leaving(child).is_some_and(|(_, died)| died)
    }

    /// The last day of a child who left, whether or not they died since.
    pub(super) fn left(&self, child: u8) -> Option<Date> {
        let (day, died) = self.leaving(child)?;
        if !died {
            return Some(day);
        }
        let (_, left) = self.children[usize::from(child)].death_written?;
        left.map(|n| self.told.day(n))
    }

    /// The time that counts for a child. After a death only what people say counts, not what the clock brings; but what it
    /// brought before anybody wrote the death down, or while the photo was still on its way to being sealed, was brought.
    pub(super) fn time_of(&self, child: u8) -> i64 {
        let Some((day, true)) = self.leaving(child) else {
            return self.clock.now;
        };
        let written = self.children[usize::from(child)].death_written.unwrap().0;
        let brought = [Some(self.days.end_of(day)), Some(written), self.sealed_at];
        let last = brought.into_iter().flatten().max().unwrap();
        self.clock.now.min(last)
    }

    pub(super) fn on_register(&self, children: &BTreeSet<u8>) -> Vec<u8> {
        let listed = |c: &u8| self.is_listed(*c);
        children.iter().copied().filter(listed).collect()
    }

    pub(super) fn restriction(&self, child: u8) -> Restriction {
        self.children[usize::from(child)].restriction
    }

    /// Missing from the register's file for 72 hours.
    pub(super) fn is_missing(&self, child: u8) -> bool {
        let since = self.children[usize::from(child)].missing_since;
        since.is_some_and(|at| self.time_of(child) >= at + 72 * HOUR)
    }

    /// Whether the answer is Yes on this day, whatever the DSL restricted.
    pub(super) fn answered_yes(&self, child: u8, purpose: Purpose) -> bool {
        self.answered_yes_at(self.time_of(child), child, purpose)
    }

    fn answered_yes_at(&self, now: i64, child: u8, purpose: Purpose) -> bool {
        let Resolved::Yes { from, until } = self.resolved(child, purpose) else {
            return false;
        };
        let begun = from.is_none_or(|n| self.days.has_begun(self.told.day(n), now));
        let over = until.is_some_and(|n| self.days.is_over(self.told.day(n), now));
        begun && !over
    }

    /// Missing from the register's file for 72 hours, whoever died.
    fn is_missing_today(&self, child: u8) -> bool {
        let since = self.children[usize::from(child)].missing_since;
        since.is_some_and(|at| self.clock.now >= at + 72 * HOUR)
    }

    /// Whether the answer is Yes on some day, and not restricted.
    pub(super) fn gives_some_day(&self, child: u8, purpose: Purpose) -> bool {
        let restricted = match self.restriction(child) {
            Restriction::None => false,
            Restriction::NoExternal => purpose == PURPOSES[2],
            Restriction::DoNotPhotograph => true,
        };
        !restricted && matches!(self.resolved(child, purpose), Resolved::Yes { .. })
    }

    pub(super) fn gives(&self, child: u8, purpose: Purpose) -> bool {
        self.gives_some_day(child, purpose) && self.answered_yes(child, purpose)
    }

    pub(super) fn is_usable(&self, purpose: Purpose) -> bool {
        let subjects = self.subjects();
        let nobody_known = subjects.is_empty() && self.is_untagged();
        !self.has_stranger()
            && !nobody_known
            && subjects.iter().all(|c| {
                self.is_listed(*c)
                    && !self.is_missing_today(*c)
                    && self.gives_some_day(*c, purpose)
                    && self.answered_yes_at(self.clock.now, *c, purpose)
            })
    }

    pub(super) fn is_care_record(&self) -> bool {
        let said = self
            .told
            .on_tablet()
            .iter()
            .rev()
            .find_map(|said| match said.fact {
                Fact::CareRecord(is) => Some(is),
                _ => None,
            });
        said.unwrap_or(false)
    }

    pub(super) fn uploaded_at(&self) -> Option<i64> {
        self.told
            .on_tablet()
            .iter()
            .find_map(|said| matches!(said.fact, Fact::Uploaded).then_some(said.at))
    }
}

pub(super) fn read(said: &[Said], child: u8) -> Child {
    let restricted = last(said, |fact| match fact {
        Fact::Restricted { child: c, to } if *c == child => Some(*to),
        _ => None,
    });
    Child {
        listed: listed(said, child),
        leaves: leaves(said, child),
        death_written: death_written(said, child),
        restriction: restricted.unwrap_or_default(),
        missing_since: missing_since(said, child),
        resolved: PURPOSES.map(|p| resolved::resolve(said, child, p)),
    }
}

fn missing_since(said: &[Said], child: u8) -> Option<i64> {
    let mut since = None;
    for said in said {
        match said.fact {
            Fact::Missing { child: c } if c == child => since = since.or(Some(said.at)),
            Fact::Listed { child: c }
            | Fact::Erased { child: c }
            | Fact::Moved { child: c, .. }
                if c == child =>
            {
                since = None;
            }
            _ => {}
        }
    }
    since
}

fn last<T>(said: &[Said], of: impl Fn(&Fact) -> Option<T>) -> Option<T> {
    said.iter().rev().find_map(|said| of(&said.fact))
}

/// A child who is given rooms is on the register.
fn listed(said: &[Said], child: u8) -> bool {
    last(said, |fact| match fact {
        Fact::Moved { child: c, .. } if *c == child => Some(true),
        Fact::Erased { child: c } if *c == child => Some(false),
        _ => None,
    })
    .unwrap_or(false)
}

fn rooms_and_days(said: &[Said], child: u8) -> (u8, u8) {
    last(said, |fact| match fact {
        Fact::Moved {
            child: c,
            rooms,
            days,
        } if *c == child => Some((*rooms, *days)),
        _ => None,
    })
    .unwrap_or((0, 0))
}

fn starts(said: &[Said], child: u8) -> Option<i64> {
    last(said, |fact| match fact {
        Fact::Starts { child: c, day } if *c == child => Some(*day),
        _ => None,
    })
}

fn leaves(said: &[Said], child: u8) -> Option<(i64, bool)> {
    last(said, |fact| match fact {
        Fact::Leaves {
            child: c,
            day,
            died,
        } if *c == child => Some(Some((*day, *died))),
        Fact::Stays { child: c } if *c == child => Some(None),
        _ => None,
    })
    .flatten()
}

fn death_written(said: &[Said], child: u8) -> Option<(i64, Option<i64>)> {
    let (mut left, mut written) = (None, None);
    for said in said {
        match said.fact {
            Fact::Leaves {
                child: c,
                died: true,
                ..
            } if c == child => written = written.or(Some((said.at, left))),
            Fact::Leaves { child: c, day, .. } if c == child => (left, written) = (Some(day), None),
            Fact::Stays { child: c } if c == child => (left, written) = (None, None),
            _ => {}
        }
    }
    written
}

/// Monday is 0.
fn weekday(date: Date) -> u8 {
    match date.weekday() {
        Weekday::Monday => 0,
        Weekday::Tuesday => 1,
        Weekday::Wednesday => 2,
        Weekday::Thursday => 3,
        Weekday::Friday => 4,
        Weekday::Saturday => 5,
        Weekday::Sunday => 6,
    }
}
