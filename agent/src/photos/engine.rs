//! Holds every photo to its verdict, one stage at a time.
//!
//! Each act that changes files goes through the journal: what is about to be done is committed, done, looked at, and
//! committed as done. Whatever instant the power is cut at, the next start finds out how far it got and goes on or back
//! from there (`replay.rs`). Long work (sealing, destroying) is handed out as jobs, so that a large video never keeps
//! another photo from being withheld; what a job found is judged again before it counts.

use super::catalogue::{self, FileState, PhotoRow};
use super::companion;
use super::error::PhotosError;
use super::fault::{self, Write};
use super::hash::Stop;
use super::jobs::Job;
use super::tree::{RelPath, Tree};
use super::unseal::Asking;
use super::vault::Vaults;
use super::withhold::stage_withheld;
use crate::ledger::{Ledger, LedgerTx};
use crate::paths::Paths;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::consent::{Due, Schedule, Stage, Standing, TrustedNow, verdict};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::{DeviceId, PhotoId};
use nestwarden_policy_schema::policy::{Mode, PhotosPolicy};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Everything a judgement depends on besides the photo.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    pub bundle: &'a Bundle,
    pub now: TrustedNow,
    /// Of the boot clock, for retries.
    pub since_boot: Duration,
}

impl<'a> Moment<'a> {
    pub(super) fn policy(&self) -> Option<&'a PhotosPolicy> {
        self.bundle.policy.photos.as_ref()
    }
}

/// Which photos a pass looks at.
#[derive(Clone, Debug)]
pub enum Scope {
    All,
    Only(BTreeSet<PhotoId>),
}

/// What was last decided about a photo.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) stage: Stage,
    pub(super) due: Stage,
    pub(super) why: Option<Due>,
    pub(super) schedule: Schedule,
    pub(super) held: bool,
    pub(super) frozen: bool,
    pub(super) next_change: Option<Timestamp>,
    /// Files that are not where the due stage wants them.
    pub(super) misplaced: bool,
}

impl Judged {
    /// Whether the photo is where it has to be.
    pub(super) fn is_settled(&self) -> bool {
        self.held || (!self.misplaced && self.stage == self.due)
            // Further than it has to be is where a stricter reason brought it, and nothing brings a sealed one back here.
            || (!self.misplaced && self.due != Stage::Live && self.stage == Stage::Sealed && self.due == Stage::Withheld)
    }

    pub(super) fn waits_for_unseal(&self) -> bool {
        !self.held && self.stage == Stage::Sealed && self.due == Stage::Live
    }
}

/// Why a photo is not where it has to be, and when to try again.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) stage: Stage,
    pub(super) problem: String,
    attempts: u32,
    not_before: Duration,
}

/// What a pass leaves to be done.
#[derive(Default)]
pub struct Passed {
    pub jobs: Vec<Job>,
    /// Sealed photos the server has to be asked for.
    pub asks: Vec<PhotoId>,
    /// When time alone changes an answer.
    pub next_change: Option<Timestamp>,
    /// By the boot clock: when something that failed is tried again.
    pub retry_at: Option<Duration>,
    /// Paths that were not what the catalogue says.
    pub relook: BTreeSet<RelPath>,
}

/// Photos whose files are renamed under one journal entry and one sync of their folders.
const CHUNK_FILES: usize = 64;
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_mins(10);

/// The one owner of the catalogue and of what happens to files. Calls block.
pub struct Engine {
    pub(super) ledger: Ledger,
    pub(super) vaults: Vaults,
    pub(super) device: DeviceId,
    pub(super) judged: BTreeMap<PhotoId, Judged>,
    pub(super) trouble: HashMap<PhotoId, Trouble>,
    /// Photos a job is at work on.
    pub(super) busy: HashMap<PhotoId, (Stage, Arc<Stop>)>,
    /// Destructions a power cut interrupted after they could no longer be taken back.
    pub(super) unfinished: HashMap<PhotoId, Due>,
    pub(super) rate_alarm_at: Option<Timestamp>,
    /// The bundle whose decisions on photos were taken over last.
    pub(super) decisions_of: Option<Generation>,
    pub(super) asking: Asking,
}

impl Engine {
    /// Takes up the work where the last run left it.
    pub fn open(ledger: Ledger, paths: &Paths, device: DeviceId) -> Result<Self, PhotosError> {
        let tree = Arc::new(Tree::open(paths.root_dir())?);
        let own = tree
            .relative(&paths.state_dir().join("vault"))
            .ok_or_else(|| PhotosError::Damaged("the state folder lies outside the root".into()))?;
        let mut engine = Self {
            ledger,
            vaults: Vaults::new(tree, own),
            device,
            judged: BTreeMap::new(),
            trouble: HashMap::new(),
            busy: HashMap::new(),
            unfinished: HashMap::new(),
            rate_alarm_at: None,
            decisions_of: None,
            asking: Asking::default(),
        };
        engine.replay()?;
        Ok(engine)
    }

    pub fn tree(&self) -> &Arc<Tree> {
        self.vaults.tree()
    }

    pub fn vaults(&self) -> Vaults {
        self.vaults.clone()
    }

    /// Judges the photos in `scope` and acts on what it may act on at once.
    pub fn pass(&mut self, moment: &Moment<'_>, scope: &Scope) -> Result<Passed, PhotosError> {
        let mut passed = Passed::default();
        if let Err(error) = self.pass_over(moment, scope, &mut passed) {
            // Its jobs are not handed on, so nothing may wait for them.
            for photo in passed.jobs.iter().filter_map(Job::photo) {
                self.busy.remove(&photo);
            }
            self.asking.take_back(&passed.asks);
            return Err(error);
        }
        Ok(passed)
    }

    fn pass_over(
        &mut self,
        moment: &Moment<'_>,
        scope: &Scope,
        passed: &mut Passed,
    ) -> Result<(), PhotosError> {
        let Some(policy) = moment.policy() else {
            self.stop_all();
            self.judged.clear();
            return Ok(());
        };
        self.replay()?;
        self.take_over_decisions(moment)?;
        let rows = self.judge_scope(moment, policy, scope)?;
        match policy.mode {
            Mode::Observe => {
                self.stop_all();
                self.observe(moment, &rows)?;
            }
            Mode::Enforce => {
                self.stop_what_no_longer_holds();
                self.enforce(moment, policy, &rows, passed)?;
            }
        }
        passed.next_change = self.judged.values().filter_map(|j| j.next_change).min();
        let waiting = self.trouble.iter();
        let retries = waiting
            .filter(|(id, _)| !self.busy.contains_key(id))
            .map(|(_, trouble)| trouble.not_before);
        passed.retry_at = retries.chain(passed.retry_at).min();
        Ok(())
    }

    fn judge_scope(
        &mut self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
        scope: &Scope,
    ) -> Result<Vec<PhotoRow>, PhotosError> {
        let rows = match scope {
            Scope::All => {
                self.judged.clear();
                self.ledger.read(catalogue::photos)?
            }
            Scope::Only(ids) => {
                let load = |id: &PhotoId| self.ledger.read(|sql| catalogue::photo(sql, *id));
                let rows: Result<Vec<_>, _> =
                    ids.iter().filter_map(|id| load(id).transpose()).collect();
                rows?
            }
        };
        for row in &rows {
            self.judge(moment, policy, row);
        }
        Ok(rows)
    }

    pub(super) fn judge(&mut self, moment: &Moment<'_>, policy: &PhotosPolicy, row: &PhotoRow) {
        if row.stage == Stage::Destroyed || row.is_gone() {
            self.judged.remove(&row.id);
            self.trouble.remove(&row.id);
            return;
        }
        let judged = self.verdict_on(moment, policy, row);
        if judged.is_settled() {
            self.trouble.remove(&row.id);
        }
        self.judged.insert(row.id, judged);
    }

    pub(super) fn verdict_on(
        &self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
        row: &PhotoRow,
    ) -> Judged {
        let calendar = &moment.bundle.calendar;
        let mut facts = row.facts(self.device);
        let held_with = self
            .ledger
            .read(|sql| companion::is_held_with_another(&moment.bundle.holds, sql, row));
        match held_with {
            Ok(Some(other)) => facts.photo = other,
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "which photos are held together cannot be read"),
        }
        let verdict = verdict(
            &facts,
            &moment.bundle.register,
            &moment.bundle.holds,
            policy,
            calendar,
            &moment.now,
        );
        // A held photo stays where it is.
        let (due, why) = verdict
            .due(calendar, &moment.now)
            .unwrap_or((row.stage, None));
        let (held, frozen, schedule) = match &verdict.standing {
            Standing::Held { frozen, .. } => (true, *frozen, Schedule::default()),
            Standing::Scheduled(schedule) => (false, false, *schedule),
        };
        let misplaced = match due {
            Stage::Live => row.has(FileState::Vaulted) || row.has(FileState::Dropping),
            Stage::Withheld => row.has(FileState::Present) || row.has(FileState::Dropping),
            Stage::Sealed | Stage::Destroyed => {
                row.photo_files().any(|f| f.state != FileState::Dropped)
                    || row.sidecars().any(|f| f.state == FileState::Present)
            }
        };
        Judged {
            stage: row.stage,
            due,
            why,
            schedule,
            held,
            frozen,
            next_change: verdict.next_change,
            misplaced,
        }
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
            if let Some(row) = self.ledger.read(|sql| catalogue::photo(sql, id))? {
                self.judge(moment, policy, &row);
            }
        }
        Ok(())
    }

    /// Says, once for each change, what enforcing would do.
    fn observe(&self, moment: &Moment<'_>, rows: &[PhotoRow]) -> Result<(), PhotosError> {
        for row in rows {
            let Some(judged) = self.judged.get(&row.id).filter(|j| !j.held) else {
                continue;
            };
            let told = row.observed.unwrap_or(row.stage);
            if judged.due == told {
                continue;
            }
            self.commit(Write::Observed, |tx| {
                tx.sql().execute(
                    "UPDATE photo SET observed = ?2 WHERE id = ?1",
                    [row.id.to_string(), catalogue::word(&judged.due)?],
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
            })?;
        }
        Ok(())
    }

    /// Withholds first, everything; then what was begun is ended, and only then come the slow and the final acts.
    fn enforce(
        &mut self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
        rows: &[PhotoRow],
        passed: &mut Passed,
    ) -> Result<(), PhotosError> {
        let mut touched: BTreeSet<PhotoId> = BTreeSet::new();
        let mut chunk: Vec<&PhotoRow> = Vec::new();
        let mut files = 0;
        for row in rows {
            if !self.must_withhold(moment, row) {
                continue;
            }
            files += row.in_state(FileState::Present).count();
            touched.insert(row.id);
            chunk.push(row);
            if files >= CHUNK_FILES {
                self.withhold(moment, &chunk, passed)?;
                (chunk, files) = (Vec::new(), 0);
            }
        }
        self.withhold(moment, &chunk, passed)?;
        self.judge_again(moment, std::mem::take(&mut touched))?;
        for row in rows {
            let Some(judged) = self.judged.get(&row.id).filter(|j| !j.held).cloned() else {
                continue;
            };
            if !self.may_act(moment, row.id) {
                continue;
            }
            if row.has(FileState::Dropping) {
                touched.insert(row.id);
                self.drop_plain(moment, row.id)?;
            }
            let was_removed =
                !row.has_photo(FileState::Present) && row.has_photo(FileState::Vaulted);
            if judged.due >= Stage::Withheld && judged.stage == Stage::Live && was_removed {
                // What was left of it in the roots was removed by somebody before it could be withheld.
                touched.insert(row.id);
                let cause = judged.why.map(|due| due.cause);
                self.commit(Write::Withheld, |tx| {
                    stage_withheld(tx, row.id, cause, moment.now.at)
                })?;
            }
            if judged.due == Stage::Live
                && (row.stage == Stage::Withheld || row.has_photo(FileState::Vaulted)
                    // The sidecars of a sealed photo come back with it.
                    || (row.stage == Stage::Live && row.has(FileState::Vaulted)))
            {
                touched.insert(row.id);
                self.restore(moment, row.id)?;
            }
        }
        self.judge_again(moment, touched)?;
        self.hand_out_asks(moment, rows, passed);
        self.hand_out(moment, policy, rows, passed)
    }

    fn must_withhold(&self, moment: &Moment<'_>, row: &PhotoRow) -> bool {
        let asked = self
            .judged
            .get(&row.id)
            .is_some_and(|j| !j.held && j.due >= Stage::Withheld);
        asked && row.has(FileState::Present) && self.may_act(moment, row.id)
    }

    /// Whether nothing is at work on a photo, and a failed act may be tried again.
    pub(super) fn may_act(&self, moment: &Moment<'_>, id: PhotoId) -> bool {
        let rests = |trouble: &Trouble| moment.since_boot < trouble.not_before;
        !self.busy.contains_key(&id) && !self.trouble.get(&id).is_some_and(rests)
    }

    /// Notes that an act failed; tells when it is a new problem, and sets when to try again.
    pub(super) fn incomplete(
        &mut self,
        moment: &Moment<'_>,
        photo: PhotoId,
        stage: Stage,
        problem: String,
    ) -> Result<(), PhotosError> {
        let before = self.trouble.remove(&photo);
        let told = before
            .as_ref()
            .is_some_and(|b| b.stage == stage && b.problem == problem);
        let attempts = before.map_or(0, |b| b.attempts) + 1;
        let wait = FIRST_RETRY.saturating_mul(1 << attempts.saturating_sub(1).min(10));
        tracing::warn!(photo.id = %photo, photo.stage = ?stage, problem, attempts, "a photo could not be dealt with yet");
        let trouble = Trouble {
            stage,
            problem: problem.clone(),
            attempts,
            not_before: moment.since_boot + wait.min(LAST_RETRY),
        };
        self.trouble.insert(photo, trouble);
        if told {
            return Ok(());
        }
        self.commit(Write::Incomplete, |tx| {
            let event = EventBody::PhotoIncomplete {
                photo,
                stage,
                problem,
            };
            tx.record(moment.now.at, &event)?;
            Ok(())
        })
    }

    fn stop_what_no_longer_holds(&self) {
        for (id, (stage, stop)) in &self.busy {
            let holds = self.judged.get(id).is_some_and(|j| match stage {
                Stage::Live => j.waits_for_unseal(),
                Stage::Withheld | Stage::Sealed | Stage::Destroyed => !j.held && j.due >= *stage,
            });
            if !holds {
                stop.ask();
            }
        }
    }

    /// Ends all work under way, without waiting for it.
    pub fn stop_all(&self) {
        self.busy.values().for_each(|(_, stop)| stop.ask());
    }

    pub(super) fn commit<T>(
        &self,
        write: Write,
        work: impl FnOnce(&LedgerTx<'_>) -> Result<T, PhotosError>,
    ) -> Result<T, PhotosError> {
        fault::reach(write)?;
        let done = self.ledger.transaction(work)?;
        fault::reach(write)?;
        Ok(done)
    }

    /// How many more photos may be destroyed within this hour; when the next may be, if none.
    pub(super) fn destroy_budget(
        &self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
    ) -> Result<u64, PhotosError> {
        let hour_ago = moment
            .now
            .at
            .saturating_sub(SignedDuration::from_hours(1))
            .unwrap_or(Timestamp::MIN);
        let destroyed = self.ledger.read(|sql| {
            let mut statement = sql.prepare(
                "SELECT destroyed_at FROM photo WHERE destroyed_at IS NOT NULL ORDER BY destroyed_at DESC LIMIT 10000",
            )?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            let mut recent = 0;
            for at in rows {
                let at: Timestamp = catalogue::read(&at?)?;
                recent += u64::from(at > hour_ago);
            }
            Ok::<u64, PhotosError>(recent)
        })?;
        let under_way = self
            .busy
            .values()
            .filter(|(stage, _)| *stage == Stage::Destroyed);
        let used = destroyed + under_way.count() as u64;
        Ok(u64::from(policy.max_destroyed_per_hour).saturating_sub(used))
    }
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
