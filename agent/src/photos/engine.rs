//! Holds every photo to its verdict, one stage at a time.
//!
//! Each act that changes files goes through the journal: what is about to be done is committed, done, looked at, and
//! committed as done. Whatever instant the power is cut at, the next start finds out how far it got and goes on or back
//! from there (`replay.rs`). Long work (sealing, destroying) is handed out as jobs, so that a large video never keeps
//! another photo from being withheld; what a job found is judged again before it counts.

use super::catalogue::{self, PhotoRow};
use super::error::PhotosError;
use super::fault::{self, Write};
use super::hash::Stop;
use super::jobs::Job;
use super::sweep::Sweep;
use super::tree::{RelPath, Tree};
use super::unseal::Asking;
use super::vault::Vaults;
use crate::ledger::{Ledger, LedgerTx};
use crate::paths::Paths;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::consent::{Due, Stage, TrustedNow};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::{DeviceId, PhotoId};
use nestwarden_policy_schema::policy::PhotosPolicy;
use std::collections::{BTreeSet, HashMap};
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
    /// The profile only observes photos, and all that moves any is that the tablet is lost, or was found since. Those named
    /// here were out of sight before. `None`: the profile decides.
    pub only_loss: Option<&'a BTreeSet<PhotoId>>,
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

/// Why a photo is not where it has to be, and when to try again.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) stage: Stage,
    pub(super) problem: String,
    pub(super) attempts: u32,
    pub(super) not_before: Duration,
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
    /// Photos went out of use, and there may be copies of them that nobody looked at.
    pub withheld: bool,
}

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_mins(10);

/// The one owner of the catalogue and of what happens to files. Calls block.
pub struct Engine {
    pub(super) ledger: Ledger,
    pub(super) vaults: Vaults,
    pub(super) device: DeviceId,
    /// Photos that were not where they have to be when they were judged last.
    pub(super) unsettled: BTreeSet<PhotoId>,
    /// Photos that a freeze keeps everybody from touching, as of then.
    pub(super) frozen: BTreeSet<PhotoId>,
    /// When time alone changes an answer. Never too late; after a pass over everything, exact.
    pub(super) next_change: Option<Timestamp>,
    pub(super) sweep: Sweep,
    /// Something slow is due and found no place among what is under way.
    pub(super) behind: bool,
    /// How many more are due to be destroyed in this round than the hour permits.
    pub(super) waiting: usize,
    pub(super) trouble: HashMap<PhotoId, Trouble>,
    /// Photos a job is at work on.
    pub(super) busy: HashMap<PhotoId, (Stage, Arc<Stop>)>,
    /// Destructions a power cut interrupted after they could no longer be taken back.
    pub(super) unfinished: HashMap<PhotoId, Due>,
    pub(super) rate_alarm_at: Option<Timestamp>,
    /// The bundle whose decisions on photos were taken over last.
    pub(super) decisions_of: Option<Generation>,
    pub(super) asking: Asking,
    /// Files that may lie in a vault nobody can look into now: what was on its way in when the last run ended.
    pub(super) out_of_sight: BTreeSet<i64>,
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
            unsettled: BTreeSet::new(),
            frozen: BTreeSet::new(),
            next_change: None,
            sweep: Sweep::default(),
            behind: false,
            waiting: 0,
            trouble: HashMap::new(),
            busy: HashMap::new(),
            unfinished: HashMap::new(),
            rate_alarm_at: None,
            decisions_of: None,
            asking: Asking::default(),
            out_of_sight: BTreeSet::new(),
        };
        engine.know_vaults()?;
        match engine.replay() {
            // A card that cannot be read keeps nothing else from being held; every pass tries again, and says so.
            Err(PhotosError::Io(error)) if !super::fault::is_over(&error) => {
                tracing::error!(%error, "what the photo journal says could not be carried out yet");
            }
            other => other?,
        }
        engine.mark_vaults()?;
        engine.shut_all()?;
        Ok(engine)
    }

    pub fn tree(&self) -> &Arc<Tree> {
        self.vaults.tree()
    }

    pub fn vaults(&self) -> Vaults {
        self.vaults.clone()
    }

    /// A photo as it is in the catalogue now.
    pub(super) fn reread(&self, id: PhotoId) -> Result<Option<PhotoRow>, PhotosError> {
        self.ledger.read(|sql| catalogue::photo(sql, id))
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

    pub(super) fn stop_what_no_longer_holds(
        &self,
        moment: &Moment<'_>,
        policy: &PhotosPolicy,
    ) -> Result<(), PhotosError> {
        for (id, (stage, stop)) in &self.busy {
            let row = self.reread(*id)?;
            let row = row.filter(|row| row.stage != Stage::Destroyed && !row.is_gone());
            let judged = row.map(|row| self.verdict_on(moment, policy, &row));
            let holds = judged.is_some_and(|j| match stage {
                Stage::Live => j.waits_for_unseal(),
                Stage::Withheld | Stage::Sealed | Stage::Destroyed => !j.frozen && j.due >= *stage,
            });
            if !holds {
                stop.ask();
            }
        }
        Ok(())
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
