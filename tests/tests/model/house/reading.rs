//! What deeds in the office say of the children, read once more from the rules of the import, without the product.

use super::days::plus;
use super::deed::{Cell, Row};
use super::history::{Answer, CHILDREN, Fact, OfDay, PURPOSES};
use jiff::civil::Date;
use nestwarden_policy_schema::consent::{ConsentSource, ConsentState, GivenBy, Purpose};
use std::collections::BTreeMap;

/// A field that the file and people both say something of: what was set here stands until the file says something else
/// than it said then.
#[derive(Clone, Copy, Debug, Default)]
struct Field<T> {
    is: T,
    file: T,
    /// What the file said when it was set here.
    here: Option<T>,
}

impl<T: Copy + PartialEq> Field<T> {
    fn set_here(&mut self, to: T) {
        self.here = self.here.or(Some(self.file));
        self.is = to;
    }

    fn read(&mut self, file: T) {
        self.file = file;
        if self.here != Some(file) {
            self.here = None;
            self.is = file;
        }
    }
}

impl Field<u8> {
    /// What a row that is refused says adds to what is known.
    fn widen(&mut self, file: u8) {
        if self.here != Some(file) {
            self.is = either(self.is, file);
            self.file = self.is;
        }
    }
}

/// A set of rooms or days, of which none are all.
fn either(one: u8, other: u8) -> u8 {
    if one == 0 || other == 0 {
        0
    } else {
        one | other
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Child {
    days: u8,
    rooms: Field<u8>,
    leaves: Field<Option<i64>>,
    has_died: bool,
    is_missing: bool,
    is_known: bool,
}

/// What the last file that said anything new of a purpose said.
#[derive(Clone, Copy, PartialEq)]
struct Said {
    state: ConsentState,
    answered: Option<i64>,
    until: Option<i64>,
}

#[derive(Default)]
pub(super) struct Reading {
    children: [Child; CHILDREN as usize],
    imported: BTreeMap<(u8, Purpose), Said>,
}

impl Reading {
    /// `today` is counted from the first day.
    pub(super) fn import(&mut self, rows: &[Row], today: i64) -> Vec<Fact> {
        let mut facts = Vec::new();
        for row in rows {
            self.row(row, today, &mut facts);
        }
        for number in 0..CHILDREN {
            let child = &mut self.children[usize::from(number)];
            let has_left = child.has_died || child.leaves.is.is_some_and(|day| day < today);
            let is_there = rows.iter().any(|row| row.child == number);
            if !is_there && !has_left && !child.is_missing {
                child.is_missing = true;
                facts.push(Fact::Missing { child: number });
            }
        }
        facts
    }

    fn row(&mut self, row: &Row, today: i64, facts: &mut Vec<Fact>) {
        let number = row.child;
        let child = &mut self.children[usize::from(number)];
        child.is_missing = false;
        facts.push(Fact::Listed { child: number });
        // A row with a word nobody knows takes away and gives nothing.
        let refused = row.cells.contains(&Cell::Odd);
        if refused {
            // Where it says the child is, the child may be as well; of somebody new it says no more.
            if child.is_known {
                child.rooms.widen(row.rooms);
                child.days = either(child.days, row.days);
            } else {
                child.rooms.read(row.rooms);
            }
            facts.push(Fact::Moved {
                child: number,
                rooms: child.rooms.is,
                days: child.days,
            });
        } else {
            child.days = row.days;
            child.rooms.read(row.rooms);
            child.leaves.read(row.leave);
            facts.push(Fact::Moved {
                child: number,
                rooms: child.rooms.is,
                days: row.days,
            });
            if !child.has_died {
                facts.push(leaving(number, child.leaves.is));
            }
        }
        child.is_known = true;
        for (purpose, cell) in PURPOSES.into_iter().zip(row.cells) {
            let (state, of_day) = match cell {
                Cell::Yes if refused => continue,
                Cell::Yes => (ConsentState::Given, OfDay::Start),
                Cell::No => (ConsentState::Refused, OfDay::LastSecond),
                Cell::Withdrawn => (ConsentState::Withdrawn, OfDay::LastSecond),
                Cell::Blank | Cell::Odd => (ConsentState::Unanswered, OfDay::Start),
            };
            let is_answer = state != ConsentState::Unanswered;
            let days_ago = row.answered.filter(|_| is_answer);
            let until = row.until.filter(|_| state == ConsentState::Given);
            let said = Said {
                state,
                answered: days_ago.map(|ago| today - ago),
                until,
            };
            let before = self.imported.get(&(number, purpose));
            let is_new = before.map_or(is_answer, |before| *before != said);
            if !is_new {
                continue;
            }
            self.imported.insert((number, purpose), said);
            facts.push(Fact::Answered(Answer {
                child: number,
                purpose,
                state,
                giver: GivenBy::Parent,
                source: ConsentSource::Import,
                days_ago,
                of_day,
                from: None,
                until,
                withdrawn_hours_ago: None,
            }));
        }
    }

    pub(super) fn leaves(&mut self, child: u8, day: Option<i64>) -> Fact {
        let known = &mut self.children[usize::from(child)];
        known.has_died = false;
        known.leaves.set_here(day);
        leaving(child, day)
    }

    pub(super) fn died(&mut self, child: u8, day: i64) -> Fact {
        let known = &mut self.children[usize::from(child)];
        known.has_died = true;
        known.leaves.set_here(None);
        Fact::Leaves {
            child,
            day,
            died: true,
        }
    }

    /// Whether there is anything to take back.
    pub(super) fn is_leaving(&self, child: u8) -> bool {
        let known = &self.children[usize::from(child)];
        known.has_died || known.leaves.is.is_some()
    }

    pub(super) fn is_missing(&self, child: u8) -> bool {
        self.children[usize::from(child)].is_missing
    }

    /// `None`: it changes nothing.
    pub(super) fn moves(&mut self, child: u8, rooms: u8) -> Option<Fact> {
        let known = &mut self.children[usize::from(child)];
        if known.rooms.is == rooms {
            return None;
        }
        known.rooms.set_here(rooms);
        let days = known.days;
        Some(Fact::Moved { child, rooms, days })
    }
}

fn leaving(child: u8, day: Option<i64>) -> Fact {
    match day {
        Some(day) => Fact::Leaves {
            child,
            day,
            died: false,
        },
        None => Fact::Stays { child },
    }
}

/// An answer that somebody here wrote down as it was given.
pub(super) fn recorded(
    child: u8,
    purpose: Purpose,
    state: ConsentState,
    giver: GivenBy,
    until: Option<i64>,
) -> Fact {
    Fact::Answered(Answer {
        child,
        purpose,
        state,
        giver,
        source: ConsentSource::Recorded,
        days_ago: Some(0),
        of_day: OfDay::AsWritten,
        from: None,
        until,
        withdrawn_hours_ago: (state == ConsentState::Withdrawn).then_some(0),
    })
}

/// Days from `first` to `day`.
pub(super) fn day_number(first: Date, day: Date) -> i64 {
    let mut number = 0;
    while plus(first, number) < day {
        number += 1;
    }
    number
}
