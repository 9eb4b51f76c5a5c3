//! A tablet whose power a test can cut at any instant.

use super::catalogue::{self};
use super::engine::{Engine, Moment, Passed, Scope};
use super::error::PhotosError;
use super::fault::armed;
use super::hash::{ContentKey, Stop};
use super::jobs::Job;
use super::listing::{Listing, Tags};
use super::roots::Roots;
use super::scan::Scanner;
pub(super) use super::testing_files::{files_in, walk};
use super::unseal::UnsealRefusal;
use crate::ledger::Ledger;
use crate::paths::Paths;
use crate::testing::{Signer, enrolled};
use age::secrecy::ExposeSecret as _;
use age_core::format::Stanza;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::bytes::Secret;
use nestwarden_policy_schema::consent::{
    ChildEntry, ConsentStanding, ConsentState, Purpose, Stage, Tagging, TrustedNow,
};
use nestwarden_policy_schema::device_api::UnsealRequest;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::hold::{Hold, HoldCategory, HoldList, HoldScope};
use nestwarden_policy_schema::id::{ChildId, DeviceId, HoldId, PhotoId};
use nestwarden_policy_schema::policy::{Mode, PhotosPolicy};
use nestwarden_policy_schema::receipt::Receipt;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

pub(crate) const PICTURES: &str = "home/anna/Pictures";

/// What the server says when it is asked for a key.
#[derive(Clone)]
pub(super) enum Server {
    Refuses(UnsealRefusal),
    Authorises,
    Gives(Secret),
}

/// What a process that is killed leaves to the next one.
#[derive(serde::Serialize, serde::Deserialize)]
struct Left {
    root_dir: PathBuf,
    bundle: Bundle,
    now: TrustedNow,
    device: DeviceId,
    release: String,
    authorises: bool,
}

pub(super) struct Tablet {
    pub(super) temp: tempfile::TempDir,
    pub(super) paths: Paths,
    pub(super) ledger: Ledger,
    pub(super) engine: Option<Engine>,
    pub(super) scanner: Scanner,
    pub(super) signer: Signer,
    pub(super) device: DeviceId,
    pub(super) bundle: Bundle,
    pub(super) now: TrustedNow,
    pub(super) only_loss: Option<BTreeSet<PhotoId>>,
    pub(super) release: age::x25519::Identity,
    pub(super) server: Server,
    /// Whether the server has yet to hear of what was recorded.
    pub(super) behind: bool,
    /// Links the last look came upon.
    pub(super) links: usize,
    /// As the last look told.
    pub(super) sealed_out_of_sight: usize,
    /// Photos it opened.
    pub(super) read: u64,
    /// How often it was asked.
    pub(super) asked: u32,
}

pub(crate) fn policy() -> PhotosPolicy {
    PhotosPolicy {
        mode: Mode::Enforce,
        requirements: BTreeSet::new(),
        capture_roots: BTreeSet::from(["/home/*/Pictures".to_owned()]),
        purposes: BTreeMap::from([(Purpose::OwnLearningJournal, 28)]),
        max_age_days: 28,
        after_upload_hours: 24,
        untagged_opening_days: 7,
        destroy_after_opening_days: 3,
        destroy_unconfirmed_after_days: 7,
        leaver_days: 14,
        lease_opening_days: 7,
        max_destroyed_per_hour: 200,
    }
}

/// A whole small JPEG (one grey pixel, with a comment that makes each different).
pub(crate) fn jpeg(seed: u8) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xfe, 0x00, 0x12];
    bytes.extend_from_slice(&[seed; 16]);
    bytes.extend_from_slice(&[0xff, 0xdb, 0x00, 0x43, 0x00]);
    bytes.extend_from_slice(&[1; 64]);
    bytes.extend_from_slice(&[
        0xff, 0xc0, 0x00, 0x0b, 0x08, 0x00, 0x01, 0x00, 0x01, 0x01, 0x01, 0x11, 0x00,
    ]);
    bytes.extend_from_slice(&[0xff, 0xc4, 0x00, 0x14, 0x00, 0x01]);
    bytes.extend_from_slice(&[0; 15]);
    bytes.extend_from_slice(&[0x03, 0xff, 0xc4, 0x00, 0x14, 0x10, 0x01]);
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend_from_slice(&[
        0xff, 0xda, 0x00, 0x08, 0x01, 0x01, 0x00, 0x00, 0x3f, 0x00, 0x37, 0xff, 0xd9,
    ]);
    bytes
}

pub(crate) fn child(number: u128) -> ChildId {
    ChildId::from_uuid(Uuid::from_u128(number))
}

impl Tablet {
    /// Enrolled, scanned once while empty, and enforcing.
    pub(super) fn new() -> Self {
        let mut tablet = Self::unscanned();
        tablet.look();
        tablet
    }

    pub(super) fn unscanned() -> Self {
        Self::unscanned_at(tempfile::tempdir().unwrap())
    }

    pub(super) fn unscanned_at(temp: tempfile::TempDir) -> Self {
        armed::restore_power();
        std::fs::create_dir_all(temp.path().join(PICTURES)).unwrap();
        let paths = Paths::new(temp.path());
        let signer = Signer::new();
        let ledger = enrolled(&paths, &signer);
        let at: Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
        let (release, recovery) = (
            age::x25519::Identity::generate(),
            age::x25519::Identity::generate(),
        );
        let mut bundle = signer.content(1);
        bundle.policy.photos = Some(policy());
        bundle.release_recipient = release.to_public().to_string();
        bundle.recovery_recipient = recovery.to_public().to_string();
        for number in 1..=3 {
            let given = ConsentStanding {
                state: ConsentState::Given,
                ..ConsentStanding::UNANSWERED
            };
            let entry = ChildEntry {
                purposes: BTreeMap::from([(Purpose::OwnLearningJournal, given)]),
                ..ChildEntry::default()
            };
            bundle.register.children.insert(child(number), entry);
        }
        let engine = Engine::open(ledger.clone(), &paths, signer.device).unwrap();
        Self {
            temp,
            paths,
            ledger,
            engine: Some(engine),
            scanner: Scanner::default(),
            device: signer.device,
            signer,
            bundle,
            now: TrustedNow {
                at,
                doubtful: false,
                last_contact: Some(at),
                lost_since: None,
                holds_confirmed_at: Some(at),
            },
            only_loss: None,
            release,
            server: Server::Refuses(UnsealRefusal::NotNow("it is not there".to_owned())),
            behind: false,
            links: 0,
            sealed_out_of_sight: 0,
            read: 0,
            asked: 0,
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(PICTURES).join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// Time passes in touch with the server.
    pub(super) fn pass_hours(&mut self, hours: i64) {
        self.now.at += SignedDuration::from_hours(hours);
        self.now.last_contact = Some(self.now.at);
        self.now.holds_confirmed_at = Some(self.now.at);
        self.bundle.holds.as_of = self.now.at;
    }

    pub(super) fn set_consent(&mut self, number: u128, state: ConsentState) {
        let standing = ConsentStanding {
            state,
            withdrawn_at: (state == ConsentState::Withdrawn).then_some(self.now.at),
            ..ConsentStanding::UNANSWERED
        };
        let entry = self.bundle.register.children.get_mut(&child(number));
        entry.unwrap().purposes = BTreeMap::from([(Purpose::OwnLearningJournal, standing)]);
    }

    pub(super) fn hold(&mut self, scope: HoldScope, category: HoldCategory) {
        let hold = Hold {
            id: HoldId::from_uuid(Uuid::now_v7()),
            scope,
            category,
            opened_at: self.now.at,
            review_by: self.now.at,
        };
        self.bundle.holds = HoldList::new(self.now.at, vec![hold]);
    }

    pub(super) fn release_holds(&mut self) {
        self.bundle.holds = HoldList::new(self.now.at, Vec::new());
    }

    pub(super) fn with<T>(&mut self, work: impl FnOnce(&mut Engine, &Moment<'_>) -> T) -> T {
        let since = self.now.at.as_second().cast_unsigned();
        let moment = Moment {
            bundle: &self.bundle,
            now: self.now,
            since_boot: Duration::from_secs(since),
            only_loss: self.only_loss.as_ref(),
        };
        work(self.engine.as_mut().unwrap(), &moment)
    }

    pub(super) fn moment(&self) -> Moment<'_> {
        Moment {
            bundle: &self.bundle,
            now: self.now,
            since_boot: Duration::ZERO,
            only_loss: self.only_loss.as_ref(),
        }
    }

    /// Scans everything and does whatever comes of it.
    pub(super) fn look(&mut self) {
        self.try_look().unwrap();
    }

    pub(super) fn try_look(&mut self) -> Result<(), PhotosError> {
        self.try_settle()?;
        self.try_absorb()?;
        self.try_settle()
    }

    /// Looks at the roots, and takes what it saw into the catalogue; nothing more. The photos to be passed over.
    pub(super) fn try_absorb(&mut self) -> Result<BTreeSet<PhotoId>, PhotosError> {
        let patterns = self
            .bundle
            .policy
            .photos
            .as_ref()
            .unwrap()
            .capture_roots
            .clone();
        let key = ContentKey::new(&self.bundle.photo_hash_key);
        let known = self.with(|engine, moment| {
            engine.roots_begun(&patterns)?;
            engine.known(moment)
        })?;
        let tree = std::sync::Arc::clone(self.engine.as_ref().unwrap().tree());
        let roots = Roots::resolve(&tree, &patterns);
        let stop = Stop::default();
        let mut scanner = std::mem::take(&mut self.scanner);
        let mut failed = None;
        let mut touched = BTreeSet::new();
        let report = scanner.full(&tree, &roots, &known, (&key, &stop), &mut |batch| {
            let absorbed = self.with(|engine, moment| engine.absorb(moment, batch));
            let absorbed = absorbed.map_err(|error| {
                failed = Some(error);
                std::io::Error::other("the batch was not taken over")
            });
            absorbed.map(|(of, unread)| {
                touched.extend(of);
                unread
            })
        });
        self.scanner = scanner;
        if let Some(error) = failed {
            return Err(error);
        }
        let report = report?;
        let sealed = |told: &&(super::tree::RelPath, String)| told.0.to_string().contains("vault");
        let (sealed, others): (Vec<_>, Vec<_>) = report.unreadable.iter().partition(sealed);
        assert!(others.is_empty(), "{others:?}");
        self.sealed_out_of_sight = sealed.len();
        self.links = report.links.len();
        self.read = report.files_read;
        if !known.everything_frozen {
            self.with(|engine, _| engine.roots_done(&patterns))?;
        }
        Ok(touched)
    }

    pub(super) fn settle(&mut self) {
        self.try_settle().unwrap();
    }

    /// Passes and runs jobs until nothing is left to do now.
    pub(super) fn try_settle(&mut self) -> Result<(), PhotosError> {
        let mut passed = self.with(|engine, moment| engine.pass(moment, &Scope::All))?;
        while !passed.jobs.is_empty() || !passed.asks.is_empty() {
            let vaults = self.engine.as_ref().unwrap().vaults();
            let mut next = Passed::default();
            for photo in std::mem::take(&mut passed.asks) {
                passed.jobs.extend(self.ask(photo)?);
            }
            for job in std::mem::take(&mut passed.jobs) {
                let done = job.run(&vaults);
                let again = self.with(|engine, moment| engine.finish(moment, done))?;
                let more = self.with(|engine, moment| engine.pass(moment, &Scope::Only(again)))?;
                next.jobs.extend(more.jobs);
                next.asks.extend(more.asks);
            }
            passed = next;
        }
        Ok(())
    }

    pub(super) fn ask(&mut self, photo: PhotoId) -> Result<Option<Job>, PhotosError> {
        let request = self.with(|engine, moment| engine.unseal_request(moment, photo))?;
        let Some(request) = request else {
            return Ok(None);
        };
        self.asked += 1;
        let answer = match &self.server {
            Server::Refuses(refusal) => Err(refusal.clone()),
            Server::Gives(key) => Ok(key.clone()),
            Server::Authorises => Ok(file_key(&self.release, &request)),
        };
        let behind = self.behind;
        self.with(|engine, moment| engine.answered(moment, photo, answer, behind))
    }

    /// The power comes back after a cut: a new process over what is on the disk.
    pub(super) fn restart(&mut self) {
        armed::restore_power();
        self.try_restart().unwrap();
    }

    /// The same, and the power may go again meanwhile.
    pub(super) fn try_restart(&mut self) -> Result<(), PhotosError> {
        self.engine = None;
        self.scanner = Scanner::default();
        self.ledger = Ledger::open(&self.paths).unwrap();
        let engine = Engine::open(self.ledger.clone(), &self.paths, self.device)?;
        self.engine = Some(engine);
        Ok(())
    }

    /// Says in `place` where this tablet's files are, for [`Tablet::found`], and leaves them there.
    pub(super) fn leave_behind(&mut self, place: &std::path::Path) {
        use age::secrecy::ExposeSecret as _;
        self.temp.disable_cleanup(true);
        let left = Left {
            root_dir: self.temp.path().to_owned(),
            bundle: self.bundle.clone(),
            now: self.now,
            device: self.device,
            release: self.release.to_string().expose_secret().to_owned(),
            authorises: matches!(self.server, Server::Authorises),
        };
        let left = serde_json::to_vec(&left).unwrap();
        std::fs::write(place.join("left"), left).unwrap();
    }

    /// A new process over what another one left.
    pub(super) fn found(place: &std::path::Path) -> Self {
        let left = std::fs::read(place.join("left")).unwrap();
        let left: Left = serde_json::from_slice(&left).unwrap();
        let mut tablet = Self::unscanned();
        // Removed with the test.
        let place = tablet.temp.path().to_owned();
        std::fs::remove_dir_all(&place).unwrap();
        std::fs::rename(&left.root_dir, &place).unwrap();
        tablet.bundle = left.bundle;
        tablet.now = left.now;
        tablet.device = left.device;
        tablet.release = left.release.parse().unwrap();
        if left.authorises {
            tablet.server = Server::Authorises;
        }
        tablet.restart();
        tablet
    }

    pub(super) fn forget_what_was_told(&self) {
        let forget = |tx: &crate::ledger::LedgerTx<'_>| {
            tx.sql().execute("UPDATE photo SET told = 0", [])?;
            Ok::<_, PhotosError>(())
        };
        self.ledger.transaction(forget).unwrap();
    }

    /// Photos the server was not told of as they are.
    pub(super) fn untold(&self) -> i64 {
        let count = "SELECT count(*) FROM photo WHERE told = 0";
        self.ledger
            .read(|sql| Ok::<i64, PhotosError>(sql.query_row(count, [], |row| row.get(0))?))
            .unwrap()
    }

    pub(super) fn list(&self) -> Vec<Listing> {
        let moment = self.moment();
        self.engine.as_ref().unwrap().list(&moment).unwrap()
    }

    pub(super) fn only(&self) -> Listing {
        let mut listed = self.list();
        assert_eq!(listed.len(), 1, "{listed:?}");
        listed.remove(0)
    }

    pub(super) fn stages(&self) -> BTreeMap<Stage, u64> {
        self.ledger.read(catalogue::counts).unwrap()
    }

    pub(super) fn tag(&mut self, photo: PhotoId, children: &[u128]) {
        self.try_tag(photo, children).unwrap();
    }

    pub(super) fn try_tag(&mut self, photo: PhotoId, children: &[u128]) -> Result<(), PhotosError> {
        let tags = Tags {
            tagging: Tagging::Complete,
            confirmed: children.iter().map(|n| child(*n)).collect(),
            unregistered_person: false,
            care_record: false,
        };
        self.with(|engine, moment| engine.tag(moment, photo, &tags))?;
        self.try_settle()
    }

    /// A photo of child 1, tagged.
    pub(super) fn photo_of_one(&mut self, name: &str) -> PhotoId {
        self.write(name, &jpeg(1));
        self.look();
        let id = self.only().id;
        self.tag(id, &[1]);
        id
    }

    /// With a photo that is sealed, and that the next pass destroys.
    pub(super) fn due_for_destruction() -> Self {
        let mut tablet = Self::new();
        tablet.photo_of_one("a.jpg");
        tablet.set_consent(1, ConsentState::Withdrawn);
        tablet.settle();
        tablet.pass_hours(96);
        tablet
    }

    pub(super) fn events(&self) -> Vec<EventBody> {
        self.ledger
            .read(|sql| {
                let mut statement = sql.prepare("SELECT body FROM events ORDER BY seq")?;
                let bodies = statement.query_map([], |row| row.get::<_, String>(0))?;
                bodies
                    .map(|body| Ok(serde_json::from_str(&body?).unwrap()))
                    .collect::<Result<_, PhotosError>>()
            })
            .unwrap()
    }

    pub(super) fn receipts(&self) -> Vec<Receipt> {
        let destroyed = self.events().into_iter().filter_map(|event| {
            let EventBody::Destroyed { receipt } = event else {
                return None;
            };
            Some(receipt)
        });
        destroyed.collect()
    }

    pub(super) fn vault_dir(&self) -> PathBuf {
        self.paths.state_dir().join("vault")
    }

    /// Names and contents of everything in the vault, but for its mark and the room that is set aside.
    pub(super) fn vault(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = files_in(&self.vault_dir());
        files.remove(super::room::NAME);
        files.remove(super::mark::NAME);
        files
    }

    pub(super) fn keep_room(&mut self) -> Result<(), PhotosError> {
        let roots = self.roots();
        self.with(|engine, moment| engine.keep_room(moment, &roots))
    }

    /// How much room is set aside; `None`: there never was any.
    pub(super) fn room(&self) -> Option<u64> {
        let room = self.vault_dir().join(super::room::NAME);
        room.metadata().ok().map(|room| room.len())
    }

    fn roots(&self) -> Roots {
        let photos = self.bundle.policy.photos.as_ref().unwrap();
        let tree = self.engine.as_ref().unwrap().tree();
        Roots::resolve(tree, &photos.capture_roots)
    }

    pub(super) fn pictures(&self) -> BTreeMap<String, Vec<u8>> {
        files_in(&self.path(""))
    }

    pub(super) fn open_journal(&self) -> i64 {
        self.ledger
            .read(|sql| {
                let open = "SELECT (SELECT count(*) FROM photo_journal) + (SELECT count(*) FROM photo_withholding)";
                let open = sql.query_row(open, [], |row| row.get(0));
                Ok::<i64, PhotosError>(open?)
            })
            .unwrap()
    }
}

/// As the server finds it, from the stanzas alone.
pub(crate) fn file_key(release: &age::x25519::Identity, request: &UnsealRequest) -> Secret {
    let stanzas: Vec<Stanza> = request
        .stanzas
        .iter()
        .map(|stanza| Stanza {
            tag: stanza.tag.clone(),
            args: stanza.args.clone(),
            body: stanza.body.0.clone(),
        })
        .collect();
    let key = age::Identity::unwrap_stanzas(release, &stanzas);
    Secret::new(key.unwrap().unwrap().expose_secret().to_vec())
}

/// Cuts the power at the k-th instant of `act`, for every k, and says what is left must be whole.
pub(super) fn cut_everywhere(
    prepare: impl Fn() -> Tablet,
    act: impl Fn(&mut Tablet) -> Result<(), PhotosError>,
    check: impl Fn(&mut Tablet),
) -> u64 {
    let mut cuts = 0;
    loop {
        let mut tablet = prepare();
        let before = armed::passed();
        armed::cut_after(cuts);
        let ended = act(&mut tablet);
        armed::restore_power();
        let instants = armed::passed() - before;
        tablet.restart();
        tablet.settle();
        check(&mut tablet);
        tablet.look();
        tablet.assert_sound();
        if ended.is_ok() && instants <= cuts {
            return cuts;
        }
        cuts += 1;
        assert!(cuts < 500, "it never ends");
    }
}

/// File systems stamp by the tick; what came within one of the first look counts as new, which is the stricter.
pub(super) fn a_tick_passes() {
    std::thread::sleep(Duration::from_millis(20));
}
