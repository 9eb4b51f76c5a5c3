//! The rules once more, told as questions to a history: is it so now? Nothing is scheduled, nothing is remembered.

use super::days::{Days, HOUR};
use super::history::{CHILDREN, Fact, HoldOn, PURPOSES};
use super::known::{Child, read};
use super::resolved::Resolved;
use super::told::Told;
use nestwarden_policy_schema::consent::{Cause, Purpose, Restriction, Stage};
use nestwarden_policy_schema::hold::HoldCategory;
use std::collections::BTreeSet;

/// What the tablet knows of time, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) now: i64,
    pub(super) doubtful: bool,
    pub(super) contact: i64,
    pub(super) holds_confirmed: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Frozen,
    /// Where it has to be, and everything that may be given as the reason.
    Due(Stage, BTreeSet<Cause>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) place: Place,
    pub(super) usable: BTreeSet<Purpose>,
    pub(super) blocked: BTreeSet<Purpose>,
}

/// One row of the table that applies now.
struct Row {
    cause: Cause,
    /// Whether it asks for more than deletion, which is all that a death stops.
    withheld: bool,
    sealed: bool,
    gone: bool,
    /// Only the clock says so.
    by_time: bool,
    /// What one row leaves to a person, no other takes from them.
    for_a_person: bool,
}

/// How a purpose that was given is given no more.
#[derive(Clone, Copy)]
enum Lost {
    Never,
    /// Since then.
    At(i64),
}

pub(super) struct Reference<'a> {
    pub(super) told: &'a Told,
    pub(super) clock: Clock,
    pub(super) sealed_at: Option<i64>,
    pub(super) days: Days,
    /// Read from the history once, because it is asked so often.
    pub(super) children: Vec<Child>,
    pub(super) subjects: BTreeSet<u8>,
}

impl<'a> Reference<'a> {
    pub(super) fn new(told: &'a Told, clock: Clock, sealed_at: Option<i64>) -> Self {
        let mut reference = Self {
            told,
            clock,
            sealed_at,
            days: told.days(),
            children: (0..CHILDREN).map(|c| read(told.by_server(), c)).collect(),
            subjects: BTreeSet::new(),
        };
        reference.subjects = reference.read_subjects();
        reference
    }

    pub(super) fn at(&mut self, now: i64) -> &Self {
        self.clock.now = now;
        self
    }

    pub(super) fn answer(&self) -> Answer {
        let purposes = || self.told.policy().purposes.keys().copied();
        let usable: BTreeSet<Purpose> = purposes().filter(|p| self.is_usable(*p)).collect();
        let blocked = purposes().filter(|p| !usable.contains(p)).collect();
        Answer {
            place: self.place(),
            usable,
            blocked,
        }
    }

    pub(super) fn resolved(&self, child: u8, purpose: Purpose) -> Resolved {
        let column = PURPOSES.iter().position(|p| *p == purpose).unwrap();
        self.children[usize::from(child)].resolved[column]
    }

    fn place(&self) -> Place {
        let holds = self.holds();
        if holds.contains(&"freeze") {
            return Place::Frozen;
        }
        if self.told.is_found() {
            return Place::Due(Stage::Live, BTreeSet::new());
        }
        let rows = self.rows();
        let died = self.has_lost_a_child();
        let left_to_a_person = rows.iter().any(|row| row.for_a_person);
        let is = |row: &Row, stage: Stage| {
            // A death lets nothing more be sealed, and opens nothing that is.
            let may_be_sealed = !died || self.sealed_at.is_some();
            let sealed = row.sealed && may_be_sealed && !(row.by_time && self.clock.doubtful);
            match stage {
                Stage::Live => false,
                Stage::Withheld => row.withheld || (row.sealed && may_be_sealed),
                Stage::Sealed => sealed,
                Stage::Destroyed => {
                    sealed
                        && !died
                        && row.gone
                        && !left_to_a_person
                        && holds.is_empty()
                        && self.may_destroy()
                }
            }
        };
        for stage in [Stage::Destroyed, Stage::Sealed, Stage::Withheld] {
            let causes: BTreeSet<Cause> = rows
                .iter()
                .filter(|row| is(row, stage))
                .map(|row| row.cause)
                .collect();
            if !causes.is_empty() {
                return Place::Due(stage, causes);
            }
        }
        Place::Due(Stage::Live, BTreeSet::new())
    }

    pub(super) fn has_lost_a_child(&self) -> bool {
        self.subjects().iter().any(|c| self.has_died(*c))
    }

    /// Every row of the table that says more than "live".
    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        self.leavers(&mut rows);
        if self.is_care_record() {
            return rows;
        }
        self.confirmed_children(&mut rows);
        self.possible_children(&mut rows);
        self.absent_children(&mut rows);
        self.age(&mut rows);
        if self.clock.doubtful || self.clock.now >= self.lease_over() {
            rows.push(withheld(Cause::Lease));
        }
        if self.has_stranger() {
            // Only a person can resolve it.
            rows.push(Row {
                sealed: self.nobody_said_for_days(),
                by_time: true,
                ..withheld(Cause::UnregisteredPerson)
            });
        }
        rows
    }

    fn leavers(&self, rows: &mut Vec<Row>) {
        for child in self.confirmed() {
            if self.left_long_ago(child) {
                rows.push(Row {
                    gone: self.days_since_sealed(
                        self.pack_offered_until(child).max(self.named_at()).unwrap(),
                    ),
                    by_time: true,
                    ..gone_at_once(Cause::Left)
                });
            }
        }
    }

    /// `None`: has not left, or not before they died.
    fn pack_offered_until(&self, child: u8) -> Option<i64> {
        let pack = i64::from(self.told.policy().leaver_days);
        let until = self.days.end_of(super::days::plus(self.left(child)?, pack));
        (!self.has_died(child) || self.time_of(child) >= until).then_some(until)
    }

    fn left_long_ago(&self, child: u8) -> bool {
        self.pack_offered_until(child)
            .is_some_and(|until| self.clock.now >= until)
    }

    fn purposes(&self) -> Vec<Purpose> {
        self.told.policy().purposes.keys().copied().collect()
    }

    /// Whether there is a purpose that all of these say Yes to, in the way asked.
    fn in_common(&self, children: &[u8], yes: impl Fn(u8, Purpose) -> bool) -> bool {
        let all = |p: &Purpose| children.iter().all(|child| yes(*child, *p));
        self.purposes().iter().any(all)
    }

    fn confirmed_children(&self, rows: &mut Vec<Row>) {
        let confirmed = self.on_register(&self.confirmed());
        let now = |child, p| self.gives(child, p);
        let whatever_the_date = |child, p| self.gives_some_day(child, p);
        let mut alone = false;
        for child in &confirmed {
            let forbidden = self.restriction(*child) == Restriction::DoNotPhotograph;
            if !forbidden && self.in_common(&[*child], now) {
                continue;
            }
            alone = true;
            if forbidden || self.in_common(&[*child], |c, p| self.answered_yes(c, p)) {
                rows.push(Row {
                    for_a_person: true,
                    ..gone_at_once(Cause::Restricted)
                });
                continue;
            }
            let lost = self.last_loss(&[*child], |_| true);
            let ended = self
                .purposes()
                .into_iter()
                .any(|p| self.resolved(*child, p) == Resolved::Ended);
            if lost.is_none() && ended && self.pack_offered_until(*child).is_some() {
                rows.push(Row {
                    sealed: false,
                    ..gone_at_once(Cause::Left)
                });
                continue;
            }
            self.no_consent(rows, lost, self.in_common(&[*child], whatever_the_date));
        }
        if !confirmed.is_empty() && !alone && !self.in_common(&confirmed, now) {
            let lost = self.last_loss(&confirmed, |at| at > self.told.captured_at());
            self.no_consent(rows, lost, self.in_common(&confirmed, whatever_the_date));
        }
    }

    fn no_consent(&self, rows: &mut Vec<Row>, lost: Option<i64>, by_time: bool) {
        for cause in [
            Cause::Withdrawn,
            Cause::Expired,
            Cause::NoConsent,
            Cause::NoCommonPurpose,
        ] {
            rows.push(Row {
                gone: self.opening_days_since_sealed(lost.max(self.named_at()).unwrap_or(i64::MIN)),
                by_time,
                ..gone_at_once(cause)
            });
        }
    }

    /// The last time one of these took a purpose away.
    fn last_loss(&self, children: &[u8], counts: impl Fn(i64) -> bool) -> Option<i64> {
        self.losses(children)
            .into_iter()
            .map(|(_, at)| at)
            .filter(|at| counts(*at))
            .max()
    }

    fn losses(&self, children: &[u8]) -> Vec<(Purpose, i64)> {
        let mut losses = Vec::new();
        for child in children {
            for purpose in self.purposes() {
                if let Lost::At(at) = self.lost(*child, purpose) {
                    losses.push((purpose, at));
                }
            }
        }
        losses
    }

    fn lost(&self, child: u8, purpose: Purpose) -> Lost {
        match self.resolved(child, purpose) {
            Resolved::No { since: Some(at) } | Resolved::Nothing { since: Some(at) } => {
                Lost::At(at.min(self.clock.now))
            }
            Resolved::Yes { until: Some(n), .. } if self.gives_some_day(child, purpose) => {
                let end = self.days.end_of(self.told.day(n));
                if self.time_of(child) >= end {
                    Lost::At(end)
                } else {
                    Lost::Never
                }
            }
            Resolved::Yes { .. }
            | Resolved::No { since: None }
            | Resolved::Nothing { since: None }
            | Resolved::Ended => Lost::Never,
        }
    }

    fn possible_children(&self, rows: &mut Vec<Row>) {
        let confirmed = self.on_register(&self.confirmed());
        let all = self.on_register(self.subjects());
        let now = |child, p| self.gives(child, p);
        let nobody_known = self.subjects().is_empty() && self.is_untagged();
        if nobody_known || (!self.in_common(&all, now) && self.in_common(&confirmed, now)) {
            rows.push(self.unsaid(Cause::PossibleChild));
        }
        // They also count one by one.
        let possible = all.iter().filter(|c| !confirmed.contains(*c));
        if possible.into_iter().any(|c| !self.in_common(&[*c], now)) {
            rows.push(self.unsaid(Cause::PossibleChild));
        }
        if self.is_untagged() && self.nobody_said_for_days() {
            rows.push(Row {
                withheld: false,
                ..self.unsaid(Cause::Untagged)
            });
        }
    }

    fn unsaid(&self, cause: Cause) -> Row {
        Row {
            sealed: self.nobody_said_for_days(),
            gone: self.days_since_sealed(self.days_to_say_over()),
            by_time: true,
            ..gone_at_once(cause)
        }
    }

    /// The end of the days in which somebody could say who is in it.
    fn days_to_say_over(&self) -> i64 {
        self.days.after_opening_days(
            self.told.captured_at(),
            self.told.policy().untagged_opening_days,
        )
    }

    fn nobody_said_for_days(&self) -> bool {
        self.clock.now >= self.days_to_say_over()
    }

    fn absent_children(&self, rows: &mut Vec<Row>) {
        for child in self.subjects().clone() {
            if !self.is_listed(child) || self.is_missing(child) {
                rows.push(withheld(Cause::NotOnRegister));
            }
        }
    }

    fn age(&self, rows: &mut Vec<Row>) {
        let policy = self.told.policy();
        let kept_until = |days: u16| {
            let days = i64::from(days.min(policy.max_age_days));
            self.told.captured_at() + days * 24 * HOUR
        };
        let end = kept_until(self.retained_days());
        // A longer purpose kept it, until somebody took that one away: then it goes for that reason.
        let kept_by_it =
            |(p, at): &(Purpose, i64)| end < *at && *at < kept_until(policy.purposes[p]);
        let last = |children: &[u8]| {
            let losses = self.losses(children).into_iter().filter(kept_by_it);
            losses.map(|(_, at)| at).max()
        };
        let confirmed = self.on_register(&self.confirmed());
        let possible: Vec<u8> = self
            .on_register(self.subjects())
            .into_iter()
            .filter(|c| !confirmed.contains(c))
            .collect();
        if self.clock.now >= end {
            if let Some(at) = last(&confirmed) {
                let last = |loss: &(Purpose, i64)| loss.1 == at && kept_by_it(loss);
                self.no_consent(rows, Some(at), self.lost_by_date_only(&confirmed, last));
            } else if let Some(at) = last(&possible) {
                let said = self.days_to_say_over().max(at);
                rows.push(Row {
                    gone: self.days_since_sealed(said),
                    ..self.unsaid(Cause::PossibleChild)
                });
            } else {
                rows.push(self.aged(Cause::MaximumAge, end));
            }
        }
        if let Some(at) = self.uploaded_at() {
            let end = at + i64::from(policy.after_upload_hours) * HOUR;
            if self.clock.now >= end {
                rows.push(self.aged(Cause::Uploaded, end));
            }
        }
    }

    /// Whoever is not there to be asked shortens nothing and lengthens nothing.
    fn retained_days(&self) -> u16 {
        let policy = self.told.policy();
        let listed: Vec<u8> = self
            .subjects()
            .iter()
            .copied()
            .filter(|c| self.is_listed(*c))
            .collect();
        let days = |yes: &dyn Fn(u8, Purpose) -> bool| -> Vec<u16> {
            let purposes = policy.purposes.iter();
            purposes
                .filter(|(p, _)| listed.iter().all(|c| yes(*c, **p)))
                .map(|(_, days)| *days)
                .collect()
        };
        let in_use = days(&|c, p| self.gives(c, p));
        // With every use over, by a last day of somebody who may be in it, what ended first.
        let possible = !self.confirmed().iter().any(|c| listed.contains(c));
        let ended = days(&|c, p| possible && self.gives_some_day(c, p));
        match (in_use.iter().max(), ended.iter().min()) {
            (Some(days), _) | (None, Some(days)) => *days,
            (None, None) => policy.max_age_days,
        }
    }

    /// Whether nobody said that this was lost; where somebody did at the same instant, they did.
    fn lost_by_date_only(&self, children: &[u8], counts: impl Fn(&(Purpose, i64)) -> bool) -> bool {
        !children.iter().any(|child| {
            self.purposes()
                .into_iter()
                .any(|p| match self.lost(*child, p) {
                    Lost::At(at) => counts(&(p, at)) && !self.gives_some_day(*child, p),
                    Lost::Never => false,
                })
        })
    }

    fn aged(&self, cause: Cause, since: i64) -> Row {
        let day = 24 * HOUR;
        Row {
            withheld: false,
            gone: self
                .sealed_at
                .is_some_and(|at| self.clock.now >= at.max(since) + day),
            by_time: true,
            ..gone_at_once(cause)
        }
    }

    fn lease_over(&self) -> i64 {
        let days = self.told.policy().lease_opening_days;
        self.days.after_opening_days(self.clock.contact, days)
    }

    /// Nobody could object for the sake of a child before it was said who is in the photo.
    fn named_at(&self) -> Option<i64> {
        let mut said = self.told.on_tablet().iter().rev();
        said.find(|said| matches!(said.fact, Fact::Tagged { .. }))
            .map(|said| said.at)
    }

    fn opening_days_since_sealed(&self, since: i64) -> bool {
        let days = self.told.policy().destroy_after_opening_days;
        self.sealed_at
            .is_some_and(|at| self.clock.now >= self.days.after_opening_days(at.max(since), days))
    }

    fn days_since_sealed(&self, since: i64) -> bool {
        let days = i64::from(self.told.policy().destroy_unconfirmed_after_days);
        self.sealed_at
            .is_some_and(|at| self.clock.now >= at.max(since) + days * 24 * HOUR)
    }

    pub(super) fn may_destroy(&self) -> bool {
        let open = self.days.is_open(self.days.date(self.clock.now));
        let fresh = self.clock.now - self.clock.holds_confirmed <= 24 * HOUR;
        open && fresh && !self.clock.doubtful
    }

    fn holds(&self) -> Vec<&'static str> {
        let mut open: [Option<(&HoldOn, HoldCategory)>; 3] = [None; 3];
        for said in self.told.by_server() {
            match &said.fact {
                Fact::Held { hold, on, category } => {
                    open[usize::from(*hold)] = Some((on, *category));
                }
                Fact::Released { hold } => open[usize::from(*hold)] = None,
                _ => {}
            }
        }
        open.into_iter()
            .flatten()
            .filter(|(on, _)| self.covers(on))
            .map(|(_, category)| match category {
                HoldCategory::IllegalContent => "freeze",
                HoldCategory::Safeguarding
                | HoldCategory::Complaint
                | HoldCategory::SubjectAccess
                | HoldCategory::Police => "not gone",
            })
            .collect()
    }

    fn covers(&self, on: &HoldOn) -> bool {
        match on {
            HoldOn::ThisPhoto | HoldOn::ThisTablet => true,
            HoldOn::AnotherPhoto | HoldOn::AnotherTablet => false,
            HoldOn::Child(child) => self.subjects().contains(child),
            HoldOn::Staff(staff) => self.told.taken_by == Some(*staff),
            HoldOn::Window(from, to) => {
                let hours = (self.told.captured_at() - self.told.taken_at).div_euclid(HOUR);
                let exact = (self.told.captured_at() - self.told.taken_at) % HOUR;
                *from <= hours && (hours < *to) && exact >= 0
            }
        }
    }
}

fn withheld(cause: Cause) -> Row {
    Row {
        sealed: false,
        for_a_person: true,
        ..gone_at_once(cause)
    }
}

/// With the grace not over yet.
fn gone_at_once(cause: Cause) -> Row {
    Row {
        cause,
        withheld: true,
        sealed: true,
        gone: false,
        by_time: false,
        for_a_person: false,
    }
}
