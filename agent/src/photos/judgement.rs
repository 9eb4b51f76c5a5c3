//! What the verdict asks of a photo, beside where it is.

use super::catalogue::{FileState, PhotoRow};
use super::companion;
use super::engine::{Engine, Moment};
use nestwarden_policy_schema::consent::{
    Due, PhotoFacts, Schedule, Stage, Standing, Verdict, verdict,
};
use nestwarden_policy_schema::hold::HoldScope;
use nestwarden_policy_schema::id::PhotoId;
use nestwarden_policy_schema::policy::PhotosPolicy;
use std::collections::BTreeSet;

use jiff::Timestamp;

/// What is decided about a photo at one moment.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) stage: Stage,
    pub(super) due: Stage,
    pub(super) why: Option<Due>,
    pub(super) schedule: Schedule,
    pub(super) frozen: bool,
    pub(super) next_change: Option<Timestamp>,
    /// Files that are not where the due stage wants them.
    pub(super) misplaced: bool,
}

impl Judged {
    /// Whether the photo is where it has to be.
    pub(super) fn is_settled(&self) -> bool {
        // Further than it has to be is where a stricter reason brought it, and nothing brings a sealed one back here.
        let stays_sealed = self.stage == Stage::Sealed && self.due == Stage::Withheld;
        self.frozen || (!self.misplaced && (self.stage == self.due || stays_sealed))
    }

    pub(super) fn waits_for_unseal(&self) -> bool {
        !self.frozen && self.stage == Stage::Sealed && self.due == Stage::Live
    }
}

/// The last answer, for the photos after it of which the same is known: those of one moment, and of one set of children.
#[derive(Default)]
pub(super) struct Precedent(Option<(PhotoFacts, Verdict)>);

impl Engine {
    /// Judges a photo and keeps what the rest of the agent has to know of it. `None`: there is nothing left to judge.
    pub(super) fn judge(
        &mut self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
        row: &PhotoRow,
        precedent: &mut Precedent,
    ) -> Option<Judged> {
        if row.stage == Stage::Destroyed || row.is_gone() {
            self.unsettled.remove(&row.id);
            self.frozen.remove(&row.id);
            self.trouble.remove(&row.id);
            return None;
        }
        let judged = self.judged(moment, policy, row, precedent);
        if judged.is_settled() {
            self.unsettled.remove(&row.id);
            self.trouble.remove(&row.id);
        } else {
            self.unsettled.insert(row.id);
        }
        if judged.frozen {
            self.frozen.insert(row.id);
        } else {
            self.frozen.remove(&row.id);
        }
        let changes = [self.next_change, judged.next_change];
        self.next_change = changes.into_iter().flatten().min();
        Some(judged)
    }

    /// Asked anew and not remembered.
    pub(super) fn verdict_on(
        &self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
        row: &PhotoRow,
    ) -> Judged {
        self.judged(moment, policy, row, &mut Precedent::default())
    }

    fn judged(
        &self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
        row: &PhotoRow,
        precedent: &mut Precedent,
    ) -> Judged {
        let calendar = &moment.bundle.calendar;
        let holds = &moment.bundle.holds;
        let mut facts = row.facts(self.device);
        if moment.only_loss.is_some() {
            // Such photos no other cause moves.
            facts.found_at_enrolment = true;
        }
        let held_with = self
            .ledger
            .read(|sql| companion::is_held_with_another(holds, sql, row));
        match held_with {
            Ok(Some(other)) => facts.photo = other,
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "which photos are held together cannot be read"),
        }
        let names_one = |scope: &HoldScope| match scope {
            HoldScope::Photo { .. } => true,
            HoldScope::Child { .. }
            | HoldScope::Device { .. }
            | HoldScope::Staff { .. }
            | HoldScope::Window { .. } => false,
        };
        // Only a hold on one photo asks which photo it is.
        let any_alike = !holds.holds.iter().any(|hold| names_one(&hold.scope));
        let alike = precedent.0.take().filter(|(before, _)| {
            let photo = std::mem::replace(&mut facts.photo, before.photo);
            let is_alike = any_alike && *before == facts;
            facts.photo = photo;
            is_alike
        });
        let (facts, verdict) = alike.unwrap_or_else(|| {
            let register = &moment.bundle.register;
            let verdict = verdict(&facts, register, holds, policy, calendar, &moment.now);
            (facts, verdict)
        });
        // A frozen photo stays where it is.
        let (mut due, why) = verdict
            .due(calendar, &moment.now)
            .unwrap_or((row.stage, None));
        let stays =
            |before: &BTreeSet<PhotoId>| row.stage == Stage::Sealed || before.contains(&row.id);
        if moment.only_loss.is_some_and(stays) {
            due = row.stage;
        }
        let (frozen, schedule) = match &verdict.standing {
            Standing::Frozen => (true, Schedule::default()),
            Standing::Scheduled(schedule) => (false, *schedule),
        };
        let next_change = verdict.next_change;
        precedent.0 = Some((facts, verdict));
        Judged {
            stage: row.stage,
            due,
            why,
            schedule,
            frozen,
            next_change,
            misplaced: is_misplaced(row, due),
        }
    }
}

fn is_misplaced(row: &PhotoRow, due: Stage) -> bool {
    match due {
        Stage::Live => row.has(FileState::Vaulted) || row.has(FileState::Dropping),
        Stage::Withheld => row.has(FileState::Present) || row.has(FileState::Dropping),
        Stage::Sealed | Stage::Destroyed => {
            row.photo_files().any(|f| f.state != FileState::Dropped)
                || row.sidecars().any(|f| f.state == FileState::Present)
        }
    }
}
