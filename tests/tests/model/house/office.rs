//! The server: what people decide there, what it tells the tablet, and what it hears from it.

use super::days::{instant, plus};
use super::deed::{Cell, Row, Who};
use super::history::PURPOSES;
use age::secrecy::ExposeSecret as _;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::bytes::{Digest, Secret};
use nestwarden_policy_schema::consent::{
    GivenBy, Method, Purpose, Restriction, RoomName, Stage, TagCorrection,
};
use nestwarden_policy_schema::device_api::{EventBatch, UnsealRequest};
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use nestwarden_policy_schema::id::{ChildId, DeviceId, HoldId, OperatorId, PhotoId, SettingId};
use nestwarden_policy_schema::profile::PolicyProfile;
use nestwarden_server::domain::bundle::{Inputs, SettingSecrets, content_digest};
use nestwarden_server::domain::child::{self, Done};
use nestwarden_server::domain::consent::{self, Dates, Reach, Said};
use nestwarden_server::domain::correction::{self, WhoIsIn};
use nestwarden_server::domain::import::{self, By, Consent, Outcome};
use nestwarden_server::domain::register::Register;
use nestwarden_server::domain::{hold, ingest, profile, unseal};
use nestwarden_server::signing::release::ReleaseKey;
use nestwarden_server::storage::token::token_hash;
use nestwarden_server::storage::{
    AuditEntry, Device, DeviceKey, EnrolToken, Operator, Role, Storage, sql,
};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;
use uuid::Uuid;

pub(super) const ROOMS: [&str; 2] = ["Ladybirds", "Bees"];
const PROFILE: &str = "acorns";

pub(super) fn rooms(set: u8) -> BTreeSet<RoomName> {
    let names = ROOMS.into_iter().enumerate();
    names
        .filter(|(n, _)| set & (1 << n) != 0)
        .map(|(_, name)| name.parse().unwrap())
        .collect()
}

pub(super) fn reference(child: u8) -> String {
    format!("C{child}")
}

/// The newest bundle, and what it was made of.
struct Issued {
    version: i64,
    digest: Digest,
    bundle: Bundle,
}

pub(super) struct Office {
    runtime: Runtime,
    storage: Option<Storage>,
    database: PathBuf,
    device: DeviceId,
    dsl: Operator,
    manager: Operator,
    secrets: SettingSecrets,
    release: ReleaseKey,
    issued: Option<Issued>,
}

impl Office {
    /// A setting of its own in `dir`, with one tablet enrolled.
    pub(super) fn open(dir: &Path, device: DeviceId, public_key: &[u8], now: Timestamp) -> Self {
        // A thread of its own, so that what the database's connections do afterwards is done between two questions.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let database = dir.join("nestwarden.db");
        let setting = SettingId::from_uuid(Uuid::from_u128(1));
        let storage = runtime
            .block_on(sql::create(&database, setting, "Little Acorns", now))
            .unwrap();
        let identity = age::x25519::Identity::generate();
        let keys = dir.join("release.age");
        fs::write(&keys, identity.to_string().expose_secret()).unwrap();
        fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
        let office = Self {
            runtime,
            storage: Some(storage),
            database,
            device,
            dsl: operator(1, "Dana Lead", Role::Dsl, now),
            manager: operator(2, "Kim Manager", Role::Manager, now),
            secrets: SettingSecrets {
                setting_name: "Little Acorns".to_owned(),
                photo_hash: Secret::new(vec![3; 32]),
                release_recipient: identity.to_public().to_string(),
                recovery_recipient: age::x25519::Identity::generate().to_public().to_string(),
            },
            release: ReleaseKey::load(dir).unwrap(),
            issued: None,
        };
        for person in [&office.dsl, &office.manager] {
            office
                .wait(office.storage().operator_add(person, &audit(now)))
                .unwrap();
        }
        office.enrol(public_key, now);
        office
    }

    fn enrol(&self, public_key: &[u8], now: Timestamp) {
        let token = EnrolToken {
            hash: token_hash("token"),
            name: "Ladybird-1".to_owned(),
            profile: PROFILE.to_owned(),
            rooms: rooms(1),
            created_at: now,
            expires_at: now + SignedDuration::from_hours(9_000),
            used_at: None,
            used_by: None,
        };
        let device = Device {
            id: self.device,
            name: token.name.clone(),
            profile: token.profile.clone(),
            rooms: token.rooms.clone(),
            overrides: Vec::new(),
            platform: "linux".to_owned(),
            agent_version: "0".to_owned(),
            time_zone_data: "0".to_owned(),
            enrolled_at: now,
            last_seen_at: None,
            revoked: None,
        };
        let key = DeviceKey {
            device: self.device,
            public_key: public_key.to_vec(),
            certificate: Vec::new(),
            issued_at: now,
            expires_at: now + SignedDuration::from_hours(9_000),
        };
        let storage = self.storage();
        self.wait(storage.token_create(&token, &audit(now)))
            .unwrap();
        self.wait(storage.token_redeem(token.hash, &device, &key))
            .unwrap();
    }

    pub(super) fn restart(&mut self) {
        self.storage = None;
        let opened = self.wait(sql::open(&self.database)).unwrap();
        self.storage = Some(opened);
    }

    fn storage(&self) -> &Storage {
        self.storage.as_ref().unwrap()
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(super) fn apply(&self, source: &str, now: i64) {
        self.wait(profile::apply(
            self.storage(),
            source,
            "Kim Manager",
            instant(now),
        ))
        .unwrap();
    }

    pub(super) fn import(&self, rows: &[Row], confirmed: bool, first: Date, now: i64) -> Outcome {
        let today = instant(now).in_tz("UTC").unwrap().date();
        let file = csv(rows, first, today);
        let by = By {
            who: "Kim Manager",
            operator: Some(&self.manager),
        };
        let consent = Consent {
            confirmed,
            ..Consent::default()
        };
        let work = import::run(
            self.storage(),
            file.as_bytes(),
            None,
            consent,
            by,
            instant(now),
        );
        self.wait(work).unwrap()
    }

    pub(super) fn give(
        &self,
        child: u8,
        purposes: &[Purpose],
        by: GivenBy,
        until: Option<Date>,
        now: i64,
    ) {
        let dates = Dates {
            until,
            ..Dates::default()
        };
        let (reference, said) = (reference(child), said(by));
        let work = consent::give(
            self.storage(),
            &reference,
            purposes,
            &said,
            dates,
            &self.manager,
            instant(now),
        );
        self.wait(work).unwrap();
    }

    pub(super) fn refuse(&self, child: u8, purposes: &[Purpose], by: GivenBy, now: i64) {
        let (reference, said) = (reference(child), said(by));
        let work = consent::refuse(
            self.storage(),
            &reference,
            purposes,
            &said,
            None,
            "Kim Manager",
            instant(now),
        );
        self.wait(work).unwrap();
    }

    /// Those that were not withdrawn before.
    /// Gives the purposes it was written down for, also those that nobody had answered.
    pub(super) fn withdraw(
        &self,
        child: u8,
        purposes: &[Purpose],
        by: GivenBy,
        now: i64,
    ) -> Vec<Purpose> {
        let (reference, said, at) = (reference(child), said(by), instant(now));
        let (storage, reach) = (self.storage(), Reach::Child);
        let register = self.wait(Register::load(storage)).unwrap();
        let change =
            consent::withdrawal_of(&register, &reference, purposes, &said, reach, at).unwrap();
        let who = "Kim Manager";
        let work = consent::withdraw(storage, &reference, purposes, &said, reach, who, at);
        self.wait(work).unwrap();
        change.records.iter().map(|record| record.purpose).collect()
    }

    pub(super) fn restrict(&self, child: u8, to: Restriction, now: i64) {
        let reference = reference(child);
        let work = child::restrict(self.storage(), &reference, to, &self.dsl, instant(now));
        self.wait(work).unwrap();
    }

    /// `None`: it was refused.
    pub(super) fn leave(&self, child: u8, day: Date, now: i64) -> Option<Done> {
        let reference = reference(child);
        let work = child::leave(self.storage(), &reference, day, &self.manager, instant(now));
        self.wait(work).ok()
    }

    pub(super) fn died(&self, child: u8, day: Date, now: i64) {
        let reference = reference(child);
        let work = child::died(self.storage(), &reference, day, &self.manager, instant(now));
        self.wait(work).unwrap();
    }

    pub(super) fn stay(&self, child: u8, now: i64) {
        let reference = reference(child);
        let work = child::stay(self.storage(), &reference, &self.manager, instant(now));
        self.wait(work).unwrap();
    }

    pub(super) fn room(&self, child: u8, set: u8, now: i64) {
        let (reference, rooms) = (reference(child), rooms(set));
        let work = child::room(
            self.storage(),
            &reference,
            &rooms,
            &self.manager,
            instant(now),
        );
        self.wait(work).unwrap();
    }

    pub(super) fn hold(&self, scope: HoldScope, category: HoldCategory, now: i64) -> HoldId {
        let work = hold::open(self.storage(), scope, category, 28, &self.dsl, instant(now));
        self.wait(work).unwrap().id
    }

    /// By two people.
    pub(super) fn release(&self, hold: HoldId, now: i64) {
        for person in [&self.manager, &self.dsl] {
            self.wait(hold::release(self.storage(), hold, person, instant(now)))
                .unwrap();
        }
    }

    /// `None`: it was refused.
    pub(super) fn correct(&self, photo: PhotoId, who: Who, now: i64) -> Option<TagCorrection> {
        let who = match who {
            Who::Children(set) => {
                let children = (0..8).filter(|n| set & (1 << n) != 0);
                WhoIsIn::Children(children.map(reference).collect())
            }
            Who::NoChild => WhoIsIn::NoChild,
            Who::SomeoneElse => WhoIsIn::SomeoneElse,
            Who::Untagged => WhoIsIn::Untagged,
        };
        let work = correction::correct(self.storage(), photo, &who, &self.manager, instant(now));
        self.wait(work).ok().map(|(_, correction)| correction)
    }

    /// The newest bundle, as the bundle job issues it whenever something changed; unsigned.
    pub(super) fn bundle(&mut self, now: i64) -> &Bundle {
        let version = self.wait(self.storage().inputs_version()).unwrap();
        let before = self.issued.take();
        let issued = match before {
            Some(issued) if issued.version == version => issued,
            before => self.issue(before, version, now),
        };
        &self.issued.insert(issued).bundle
    }

    fn issue(&self, before: Option<Issued>, version: i64, now: i64) -> Issued {
        let device = self.wait(self.storage().device_find(self.device));
        let device = device.unwrap().unwrap();
        let inputs = self.wait(Inputs::load(self.storage())).unwrap();
        let mut bundle = inputs
            .compose(&device, &self.secrets, instant(now))
            .unwrap();
        let digest = content_digest(&bundle).unwrap();
        if let Some(before) = before {
            if before.digest == digest {
                return Issued { version, ..before };
            }
            bundle.generation = before.bundle.generation;
        }
        bundle.generation = bundle.generation.next().unwrap();
        Issued {
            version,
            digest,
            bundle,
        }
    }

    /// The end of the tablet's record here.
    pub(super) fn take_in(&self, batch: EventBatch, now: i64) -> u64 {
        let work = ingest::take_in(self.storage(), self.device, batch, instant(now));
        self.wait(work).unwrap().seq
    }

    pub(super) fn key_of(
        &self,
        request: &UnsealRequest,
        now: i64,
    ) -> Result<Secret, unseal::UnsealError> {
        let work = unseal::answer(
            self.storage(),
            &self.release,
            self.device,
            request,
            instant(now),
        );
        self.wait(work)
    }

    /// Where the server has a photo; `None`: it never heard of it.
    pub(super) fn stage(&self, photo: PhotoId) -> Option<Stage> {
        let found = self.wait(self.storage().photo_find(self.device, photo));
        found.unwrap().map(|row| row.stage)
    }

    pub(super) fn child(&self, child: u8) -> ChildId {
        let reference = reference(child);
        let found = self.wait(self.storage().child_by_reference(&reference));
        found.unwrap().unwrap().id
    }
}

fn operator(number: u128, name: &str, role: Role, now: Timestamp) -> Operator {
    Operator {
        id: OperatorId::from_uuid(Uuid::from_u128(number)),
        name: name.to_owned(),
        roles: BTreeSet::from([role]),
        created_at: now,
    }
}

fn audit(now: Timestamp) -> AuditEntry {
    AuditEntry {
        at: now,
        who: "init".to_owned(),
        act: "init".to_owned(),
        subject: String::new(),
        detail: serde_json::json!({}),
    }
}

fn said(by: GivenBy) -> Said {
    Said {
        given_by: by,
        has_parental_responsibility: None,
        method: Method::InPerson,
        wording: None,
    }
}

/// The file of a booking system that says this.
fn csv(rows: &[Row], first: Date, today: Date) -> String {
    let purposes = PURPOSES.map(Purpose::as_str).join(",");
    let mut file =
        format!("reference,first_name,last_name,room,days,leave,answered,valid_until,{purposes}\n");
    let date = |date: Option<Date>| date.map(|date| date.to_string()).unwrap_or_default();
    for row in rows {
        let rooms: Vec<String> = rooms(row.rooms).iter().map(ToString::to_string).collect();
        let weekdays = ["Mon", "Tue", "Wed", "Thu", "Fri"].into_iter().enumerate();
        let days: Vec<&str> = weekdays
            .filter(|(n, _)| row.days & (1 << n) != 0)
            .map(|(_, day)| day)
            .collect();
        let cells = row.cells.map(|cell| match cell {
            Cell::Yes => "Yes",
            Cell::No => "No",
            Cell::Withdrawn => "Withdrawn",
            Cell::Blank => "",
            Cell::Odd => "perhaps",
        });
        writeln!(
            file,
            "{},First{child},Last{child},{},{},{},{},{},{}",
            reference(row.child),
            rooms.join("/"),
            days.join(" "),
            date(row.leave.map(|n| plus(first, n))),
            date(row.answered.map(|ago| plus(today, -ago))),
            date(row.until.map(|n| plus(first, n))),
            cells.join(","),
            child = row.child,
        )
        .unwrap();
    }
    file
}

/// The profile with these closures and terms, which are read back from it.
pub(super) fn profile_of(terms: usize, closures: &[(Date, Date)]) -> (String, PolicyProfile) {
    let closures: Vec<String> = closures
        .iter()
        .map(|(from, to)| format!("{{ from = \"{from}\", to = \"{to}\", reason = \"closed\" }}"))
        .collect();
    let terms = [
        "",
        "max_age_days = 12\nuntagged_opening_days = 3\ndestroy_after_opening_days = 2\ndestroy_unconfirmed_after_days = 3\nleaver_days = 5\nlease_opening_days = 4\n",
        "max_age_days = 60\nuntagged_opening_days = 2\ndestroy_after_opening_days = 5\ndestroy_unconfirmed_after_days = 2\nleaver_days = 20\nlease_opening_days = 9\n",
    ][terms];
    let purposes = [
        "own_learning_journal = 28\ndisplay_in_setting = 14\n",
        "own_learning_journal = 10\nwebsite = 6\n",
        "training = 50\ndisplay_in_setting = 20\nwebsite = 30\nown_learning_journal = 9\n",
    ][usize::from(!terms.is_empty()) + usize::from(terms.contains("60"))];
    let source = format!(
        r#"
name = "{PROFILE}"
title = "Little Acorns"

[calendar]
time_zone = "UTC"
closures = [{}]

[calendar.contact_hours]
monday = [{{ from = "07:30", to = "18:30" }}]
tuesday = [{{ from = "07:30", to = "18:30" }}]
wednesday = [{{ from = "07:30", to = "18:30" }}]
thursday = [{{ from = "07:30", to = "18:30" }}]
friday = [{{ from = "07:30", to = "18:30" }}]

[policy.photos]
mode = "enforce"
requirements = ["R21", "R22"]
capture_roots = ["/home/*/Pictures"]
{terms}
[policy.photos.purposes]
{purposes}"#,
        closures.join(", ")
    );
    let profile = PolicyProfile::from_toml(&source).unwrap();
    (source, profile)
}
