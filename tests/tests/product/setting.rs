//! The setting that every test begins with.

use jiff::civil::Date;
use std::path::PathBuf;
use system_tests::evidence;
use system_tests::fleet::{Fleet, Tablet, ZONE};
use system_tests::patience::until;
use system_tests::process::Programs;
use system_tests::profile;
use system_tests::register::Register;

pub(crate) const ROOM: &str = "Hedgehogs";
pub(crate) const AVA: &str = "A-01";
pub(crate) const BEN: &str = "B-02";
/// Whose consent ends on the first day.
pub(crate) const CLEO: &str = "C-03";

pub(crate) fn programs() -> Programs {
    Programs::at(env!("CARGO_BIN_EXE_harness"))
}

/// Server and signer run, three children are on the register, no tablet is enrolled.
pub(crate) fn setting() -> Fleet {
    let monday = first_day();
    let register = Register::new(monday.yesterday().unwrap())
        .child(AVA, ROOM)
        .child(BEN, ROOM)
        .child_until(CLEO, ROOM, monday);
    Fleet::open(&programs(), &profile::photos_only(), &register).unwrap()
}

/// The same with one tablet, which has its bundle.
pub(crate) fn setting_with_tablet() -> Fleet {
    let mut fleet = setting();
    fleet.enrol("tablet-1", profile::NAME, &[ROOM]).unwrap();
    fleet
}

/// The local day on which every test begins.
pub(crate) fn first_day() -> Date {
    system_tests::fleet::first_moment()
        .unwrap()
        .in_tz(ZONE)
        .unwrap()
        .date()
}

pub(crate) struct Photo {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    pub(crate) id: String,
}

impl Photo {
    /// Nobody has it: not under its name, not under another, not in the clear anywhere.
    pub(crate) fn is_only_sealed(&self, tablet: &Tablet) -> bool {
        evidence::copies(tablet.root_dir(), &self.bytes).is_empty()
            && !evidence::sealed(tablet.root_dir()).is_empty()
    }

    pub(crate) fn is_in_use(&self) -> bool {
        std::fs::read(&self.path).is_ok_and(|bytes| bytes == self.bytes)
    }
}

/// Takes a photo of these children and says so.
pub(crate) fn photo_of(fleet: &Fleet, number: u64, children: &[&str]) -> Photo {
    let tablet = &fleet.tablets[0];
    let path = tablet.take(&format!("photo-{number}.jpg"), number).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let id = tablet.photo_id(&path).unwrap();
    let ids: Vec<String> = children
        .iter()
        .map(|reference| fleet.server.child_id(reference).unwrap())
        .collect();
    tablet.tag(&id, &ids).unwrap();
    Photo { path, bytes, id }
}

pub(crate) fn until_sealed(fleet: &mut Fleet, photo: &Photo) {
    until("a photo sealed", || {
        fleet.tablets[0].check()?;
        Ok(photo.is_only_sealed(&fleet.tablets[0]).then_some(()))
    })
    .unwrap();
}

/// Moves every clock to `hour` on `date`.
pub(crate) fn advance(fleet: &Fleet, date: Date, hour: i8) {
    let at = date.at(hour, 0, 0, 0).in_tz(ZONE).unwrap().timestamp();
    fleet.clock().advance_to(at).unwrap();
}

/// How many events of a kind are on the server's disk.
pub(crate) fn events(fleet: &Fleet, kind: &str) -> i64 {
    fleet
        .server
        .database()
        .number(&format!(
            "SELECT count(*) FROM events WHERE kind = '{kind}'"
        ))
        .unwrap()
}
