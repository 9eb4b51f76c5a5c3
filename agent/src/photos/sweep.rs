//! Passes over the photos. Some at once, after something was heard of them; all of them page by page, so that no more
//! than a page is in memory, others are answered in between, and a newer bundle (a hold) stops what the older one asked.
//!
//! Over all there are two rounds. The first withholds, whatever there is to withhold. The second ends what was begun,
//! brings back, and hands out the slow acts, a few at a time: it rests while enough are under way.

use super::burst::{self, Burst};
use super::catalogue::{FileState, PhotoRow};
use super::engine::{Engine, Moment, Passed, Scope};
use super::error::PhotosError;
use super::fault::Write;
use super::hand_out::Slow;
use super::jobs::Job;
use super::judgement::{Judged, Precedent};
use super::pages::{self, Page};
use super::withhold::stage_withheld;
use nestwarden_policy_schema::consent::Stage;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::PhotoId;
use nestwarden_policy_schema::policy::{Mode, PhotosPolicy};
use std::collections::BTreeSet;

/// Slow acts under way or waiting to be, beyond which no more are handed out.
pub(super) const MOST_BUSY: usize = if cfg!(test) { 2 } else { 24 };
/// And from which on there are more.
const FEW_BUSY: usize = MOST_BUSY / 2;

/// Where a pass over everything has got to. Places are the catalogue's own, after which it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sweep {
    #[default]
    Done,
    Withholding {
        after: i64,
        /// Something is left for the second round.
        more: bool,
    },
    Acting {
        after: i64,
    },
}

/// Whether a pass over everything goes on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    GoesOn,
    /// It is over, or goes on by itself when what is under way has ended.
    Rests,
}

impl Engine {
    /// Judges the photos in `scope` and acts on what it may act on at once.
    pub fn pass(&mut self, moment: &Moment<'_>, scope: &Scope) -> Result<Passed, PhotosError> {
        self.passing(|engine, passed| match scope {
            Scope::All => {
                engine.sweep_begin(moment)?;
                while engine.sweep_step(moment, passed)? == Progress::GoesOn {}
                Ok(())
            }
            Scope::Only(ids) => engine.pass_over(moment, ids, passed),
        })
    }

    /// Begins a pass over everything, whatever another had got to.
    pub fn sweep_begin(&mut self, moment: &Moment<'_>) -> Result<(), PhotosError> {
        let Some(policy) = moment.policy() else {
            self.stop_all();
            self.unsettled.clear();
            self.frozen.clear();
            self.next_change = None;
            self.sweep = Sweep::Done;
            let vaults = self.ledger.read(super::catalogue::vaults)?;
            self.vaults.release_room(&vaults);
            return Ok(());
        };
        self.replay()?;
        self.take_over_decisions(moment)?;
        match policy.mode {
            Mode::Observe => self.stop_all(),
            Mode::Enforce => self.stop_what_no_longer_holds(moment, policy)?,
        }
        self.asking.begin(moment.bundle.generation);
        self.next_change = None;
        if moment.bundle.holds.holds.is_empty() {
            self.frozen.clear();
        }
        self.sweep = Sweep::Withholding {
            after: 0,
            more: std::mem::take(&mut self.behind) || !self.unfinished.is_empty(),
        };
        Ok(())
    }

    /// One page more.
    pub fn sweep_on(&mut self, moment: &Moment<'_>) -> Result<(Passed, Progress), PhotosError> {
        let mut progress = Progress::Rests;
        let passed = self.passing(|engine, passed| {
            progress = engine.sweep_step(moment, passed)?;
            Ok(())
        })?;
        Ok((passed, progress))
    }

    fn passing(
        &mut self,
        work: impl FnOnce(&mut Self, &mut Passed) -> Result<(), PhotosError>,
    ) -> Result<Passed, PhotosError> {
        let mut passed = Passed::default();
        if let Err(error) = work(self, &mut passed) {
            // Its jobs are not handed on, so nothing may wait for them.
            for photo in passed.jobs.iter().filter_map(Job::photo) {
                self.busy.remove(&photo);
            }
            self.asking.take_back(&passed.asks);
            return Err(error);
        }
        passed.next_change = self.next_change;
        let waiting = self.trouble.iter();
        let retries = waiting
            .filter(|(id, _)| !self.busy.contains_key(id))
            .map(|(_, trouble)| trouble.not_before);
        passed.retry_at = retries.chain(passed.retry_at).min();
        Ok(passed)
    }

    fn sweep_step(
        &mut self,
        moment: &Moment<'_>,
        passed: &mut Passed,
    ) -> Result<Progress, PhotosError> {
        let Some(policy) = moment.policy() else {
            self.sweep = Sweep::Done;
            return Ok(Progress::Rests);
        };
        match self.sweep {
            Sweep::Done => Ok(Progress::Rests),
            Sweep::Withholding { after, more } => {
                let mut burst = Burst::default();
                let tightened = self.tighten_on(moment, policy, after, (&mut burst, passed));
                passed.withheld |= burst.len() > 0;
                self.settle(moment, burst)?;
                let (next, left) = tightened?;
                let more = more || left;
                self.sweep = match next {
                    Some(after) => Sweep::Withholding { after, more },
                    None if more && policy.mode == Mode::Enforce => {
                        self.slow_begin(moment, policy, passed)?;
                        Sweep::Acting { after: 0 }
                    }
                    None => {
                        // What is past return is finished, whatever the policy became meanwhile.
                        self.slow_begin(moment, policy, passed)?;
                        Sweep::Done
                    }
                };
                Ok(self.goes_on())
            }
            Sweep::Acting { after } => {
                if self.busy.len() >= MOST_BUSY {
                    return Ok(Progress::Rests);
                }
                let few = |sql: &_| pages::page(sql, after, pages::Which::Moved, MOST_BUSY);
                let page = self.ledger.read(few)?;
                self.sweep = self.act(moment, policy, &page, passed)?;
                if self.sweep == Sweep::Done {
                    self.slow_end(moment, policy)?;
                    if std::mem::take(&mut self.behind) {
                        self.slow_begin(moment, policy, passed)?;
                        self.sweep = Sweep::Acting { after: 0 };
                    }
                }
                Ok(self.goes_on())
            }
        }
    }

    fn goes_on(&self) -> Progress {
        if self.sweep == Sweep::Done {
            Progress::Rests
        } else {
            Progress::GoesOn
        }
    }

    fn page(&self, moment: &Moment<'_>, after: i64, most: usize) -> Result<Page, PhotosError> {
        // Photos found at enrolment are only counted: nothing but a hold and the tablet's loss says anything of them.
        let which = if moment.bundle.holds.holds.is_empty() && moment.now.lost_since.is_none() {
            pages::Which::ButCounted
        } else {
            pages::Which::All
        };
        self.ledger.read(|sql| pages::page(sql, after, which, most))
    }

    /// The first round, page after page as long as photos go out of sight in each: where it goes on, and whether it
    /// leaves something for the second.
    fn tighten_on(
        &mut self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
        mut after: i64,
        (burst, passed): (&mut Burst, &mut Passed),
    ) -> Result<(Option<i64>, bool), PhotosError> {
        let mut more = false;
        loop {
            let gone = burst.len();
            let page = self.page(moment, after, pages::PAGE)?;
            more |= self.tighten(moment, policy, &page, (burst, passed))?;
            let Some(next) = page.next else {
                return Ok((None, more));
            };
            if burst.len() == gone || burst.len() >= burst::MOST {
                return Ok((Some(next), more));
            }
            after = next;
        }
    }

    /// The first round over a page; whether it leaves something for the second.
    fn tighten(
        &mut self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
        page: &Page,
        (burst, passed): (&mut Burst, &mut Passed),
    ) -> Result<bool, PhotosError> {
        let mut precedent = Precedent::default();
        let mut due = Vec::new();
        let mut more = false;
        for (_, row) in &page.rows {
            let Some(judged) = self.judge(moment, policy, row, &mut precedent) else {
                continue;
            };
            match policy.mode {
                Mode::Observe if self.is_past_return(moment, row, &judged) => {
                    if row.has(FileState::Dropping) {
                        self.drop_plain(moment, row)?;
                    }
                }
                Mode::Observe => self.observe(moment, row, &judged)?,
                Mode::Enforce if self.must_withhold(moment, row, &judged) => {
                    due.push((row, judged));
                }
                Mode::Enforce => more |= !judged.is_settled() || needs_tidying(row, &judged),
            }
        }
        if due.is_empty() {
            return Ok(more);
        }
        let unclear = self.withhold(moment, &due, burst, passed)?;
        for (row, judged) in &due {
            // The photo itself is out of sight; whether more has to become of it is known.
            if !unclear.contains(&row.id) && judged.due == Stage::Withheld {
                self.unsettled.remove(&row.id);
                self.trouble.remove(&row.id);
            } else {
                more = true;
            }
        }
        burst.unclear.extend(unclear);
        Ok(more)
    }

    /// The second round over a page: where the sweep goes on.
    fn act(
        &mut self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
        page: &Page,
        passed: &mut Passed,
    ) -> Result<Sweep, PhotosError> {
        let mut precedent = Precedent::default();
        let mut slow = Slow::default();
        let mut place = None;
        for (at, row) in &page.rows {
            if self.busy.len() + slow.len() >= MOST_BUSY {
                self.hand_out(moment, policy, slow, passed)?;
                return Ok(Sweep::Acting {
                    after: place.unwrap_or(at - 1),
                });
            }
            place = Some(*at);
            let Some(judged) = self.judge(moment, policy, row, &mut precedent) else {
                continue;
            };
            self.act_on(moment, policy, row, &judged, &mut slow, passed)?;
        }
        self.hand_out(moment, policy, slow, passed)?;
        Ok(page
            .next
            .map_or(Sweep::Done, |after| Sweep::Acting { after }))
    }

    /// What is quick is done; what is slow is gathered.
    fn act_on(
        &mut self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
        row: &PhotoRow,
        judged: &Judged,
        slow: &mut Slow,
        passed: &mut Passed,
    ) -> Result<(), PhotosError> {
        if !judged.frozen && self.may_act(moment, row.id) && self.quick(moment, row, judged)? {
            let again = self.reread(row.id)?;
            let judged = again.as_ref().and_then(|row| {
                let judged = self.judge(moment, policy, row, &mut Precedent::default())?;
                Some((row, judged))
            });
            if let Some((row, judged)) = judged {
                self.hand_out_ask(moment, row, &judged, passed);
                self.gather(moment, row, &judged, slow);
            }
            return Ok(());
        }
        self.hand_out_ask(moment, row, judged, passed);
        self.gather(moment, row, judged, slow);
        Ok(())
    }

    /// The acts that take no time; whether anything was done.
    fn quick(
        &mut self,
        moment: &Moment<'_>,
        row: &PhotoRow,
        judged: &Judged,
    ) -> Result<bool, PhotosError> {
        let mut touched = false;
        if row.has(FileState::Dropping) {
            touched = true;
            self.drop_plain(moment, row)?;
        }
        if was_removed(row, judged) {
            // What was left of it in the roots was removed by somebody before it could be withheld.
            touched = true;
            let cause = judged.why.map(|due| due.cause);
            self.commit(Write::Withheld, |tx| {
                stage_withheld(tx, row.id, cause, moment.now.at)
            })?;
        }
        if must_come_back(row, judged) {
            touched = true;
            self.restore(moment, row.id)?;
        }
        Ok(touched)
    }

    fn pass_over(
        &mut self,
        moment: &Moment<'_>,
        ids: &BTreeSet<PhotoId>,
        passed: &mut Passed,
    ) -> Result<(), PhotosError> {
        let Some(policy) = moment.policy() else {
            return self.sweep_begin(moment);
        };
        let mut ids: Vec<PhotoId> = ids.iter().copied().collect();
        while !ids.is_empty() {
            let rest = ids.split_off(ids.len().min(pages::PAGE));
            let mut page = Page::default();
            for id in std::mem::replace(&mut ids, rest) {
                page.rows.extend(self.reread(id)?.map(|row| (0, row)));
            }
            self.pass_over_page(moment, policy, page, passed)?;
        }
        self.sweep_resume(moment, passed)
    }

    fn pass_over_page(
        &mut self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
        mut page: Page,
        passed: &mut Passed,
    ) -> Result<(), PhotosError> {
        let mut burst = Burst::default();
        let tightened = self.tighten(moment, policy, &page, (&mut burst, passed));
        passed.withheld |= burst.len() > 0;
        self.settle(moment, burst)?;
        let more = tightened?;
        if !more || policy.mode == Mode::Observe {
            return Ok(());
        }
        for (_, row) in &mut page.rows {
            if let Some(now) = self.reread(row.id)? {
                *row = now;
            }
        }
        // What finds no place among the slow acts is left to a sweep.
        if self.act(moment, policy, &page, passed)? != Sweep::Done {
            self.behind = true;
            if self.sweep == Sweep::Done {
                self.slow_begin(moment, policy, passed)?;
                self.sweep = Sweep::Acting { after: 0 };
            }
        }
        Ok(())
    }

    /// Goes on with the second round when few slow acts are left under way.
    fn sweep_resume(
        &mut self,
        moment: &Moment<'_>,
        passed: &mut Passed,
    ) -> Result<(), PhotosError> {
        let rests = matches!(self.sweep, Sweep::Acting { .. }) && self.busy.len() <= FEW_BUSY;
        while rests && self.sweep_step(moment, passed)? == Progress::GoesOn {}
        Ok(())
    }

    /// Judges some photos again after something was done to them.
    pub(super) fn judge_again(
        &mut self,
        moment: &Moment<'_>,
        ids: impl IntoIterator<Item = PhotoId>,
    ) -> Result<(), PhotosError> {
        let Some(policy) = moment.policy() else {
            return Ok(());
        };
        for id in ids {
            if let Some(row) = self.reread(id)? {
                self.judge(moment, policy, &row, &mut Precedent::default());
            }
        }
        Ok(())
    }

    /// Says, once for each change, what enforcing would do.
    fn observe(
        &self,
        moment: &Moment<'_>,
        row: &PhotoRow,
        judged: &Judged,
    ) -> Result<(), PhotosError> {
        let told = row.observed.unwrap_or(row.stage);
        if judged.frozen || judged.due == told {
            return Ok(());
        }
        self.commit(Write::Observed, |tx| {
            tx.sql().execute(
                "UPDATE photo SET observed = ?2 WHERE id = ?1",
                [row.id.to_string(), super::catalogue::word(&judged.due)?],
            )?;
            let event = EventBody::PhotoStage {
                photo: row.id,
                from: told,
                to: judged.due,
                cause: judged.why.map(|due| due.cause),
                observed_only: true,
            };
            tx.record(moment.now.at, &event)?;
            Ok(())
        })
    }

    /// Only forward, also where nothing new is begun.
    fn is_past_return(&self, moment: &Moment<'_>, row: &PhotoRow, judged: &Judged) -> bool {
        let begun = row.has(FileState::Dropping) || self.unfinished.contains_key(&row.id);
        begun && !judged.frozen && self.may_act(moment, row.id)
    }

    fn must_withhold(&self, moment: &Moment<'_>, row: &PhotoRow, judged: &Judged) -> bool {
        !judged.frozen
            && judged.due >= Stage::Withheld
            && row.has(FileState::Present)
            && self.may_act(moment, row.id)
    }
}

fn was_removed(row: &PhotoRow, judged: &Judged) -> bool {
    judged.due >= Stage::Withheld
        && judged.stage == Stage::Live
        && !row.has_photo(FileState::Present)
        && row.has_photo(FileState::Vaulted)
}

fn must_come_back(row: &PhotoRow, judged: &Judged) -> bool {
    judged.due == Stage::Live
        && (row.stage == Stage::Withheld || row.has_photo(FileState::Vaulted)
            // The sidecars of a sealed photo come back with it.
            || (row.stage == Stage::Live && row.has(FileState::Vaulted)))
}

/// A settled photo that something is still to be done with.
fn needs_tidying(row: &PhotoRow, judged: &Judged) -> bool {
    !judged.frozen
        && (row.has(FileState::Dropping) || was_removed(row, judged) || must_come_back(row, judged))
}
