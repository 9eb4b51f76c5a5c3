//! What happens in the demo, step by step, and how each step is checked.

use super::month;
use super::report::{Report, Seen};
use super::say;
use super::way_in::WayIn;
use crate::clock::ClockHand;
use crate::evidence;
use crate::fleet::{Fleet, ZONE};
use crate::machine::Machine;
use crate::patience::{self, until};
use crate::process::Programs;
use crate::profile;
use crate::register::Register;
use anyhow::{Context as _, Result, ensure};
use jiff::SignedDuration;
use jiff::civil::Date;
use nestwarden_policy_schema::control::{ControlName, Outcome};
use nestwarden_policy_schema::device_api::Inventory;
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

const ROOM: &str = "Hedgehogs";
/// Stays.
const AVA: &str = "A-01";
/// Whose parents withdraw.
const BEN: &str = "B-02";
/// Whose consent ends today.
const CLEO: &str = "C-03";

/// Where and how the story is told.
pub(super) struct Stage {
    pub(super) dir: PathBuf,
    pub(super) programs: Programs,
    /// A file system of the tablet's own, or why there is none.
    pub(super) machine: Result<Machine, String>,
    pub(super) stay: bool,
    pub(super) json: bool,
}

/// One photo, as staff took it.
struct Taken {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Taken {
    fn is_as_taken(&self) -> bool {
        fs::read(&self.path).is_ok_and(|bytes| bytes == self.bytes)
    }

    fn is_out_of_reach(&self) -> bool {
        !self.path.exists()
    }
}

pub(super) fn tell(stage: &Stage) -> Result<()> {
    let begun = Instant::now();
    let mut report = Report::default();
    let mut fleet = open(stage, &mut report)?;
    let today = local_date(fleet.clock())?;

    say("Three children are in the Hedgehogs' session, and staff take photos.");
    let tablet = &fleet.tablets[0];
    tablet.tell(["session", "start", "--room", ROOM])?;
    let of_ava = take(&fleet, 1, &[AVA])?;
    let of_ben = take(&fleet, 2, &[BEN])?;
    let of_cleo = take(&fleet, 3, &[CLEO])?;
    let of_ava_and_ben = take(&fleet, 4, &[AVA, BEN])?;
    let tablet = &fleet.tablets[0];
    tablet.tell(["session", "end"])?;
    let of_nobody = take(&fleet, 5, &[])?;
    let all = [&of_ava, &of_ben, &of_cleo, &of_ava_and_ben, &of_nobody];
    report.photos.taken = all.len() as u64;
    ensure!(
        all.iter().all(|photo| photo.is_as_taken()),
        "a photo went although everybody consents"
    );

    apps(stage, &mut fleet, &mut report)?;

    say(
        "Ben's parents withdraw their consent. The two photos with him go, the one nobody tagged is kept from use.",
    );
    let at = Instant::now();
    fleet.server.withdraw(BEN)?;
    until("the photos of Ben out of reach", || {
        fleet.tablets[0].check()?;
        let gone = [&of_ben, &of_ava_and_ben, &of_nobody];
        Ok(gone
            .iter()
            .all(|photo| photo.is_out_of_reach())
            .then_some(()))
    })?;
    say(format!(
        "  out of reach {} ms after the command was given",
        at.elapsed().as_millis()
    ));
    until(
        "the photos of Ben sealed, the untagged one withheld",
        || {
            let sealed = is_sealed(&fleet, &[&of_ben, &of_ava_and_ben]);
            Ok((sealed && is_withheld(&fleet, &of_nobody)).then_some(()))
        },
    )?;
    until("both seals on the server's disk", || {
        Ok((sealed_at_server(&fleet)? == 2).then_some(()))
    })?;
    ensure!(
        of_ava.is_as_taken() && of_cleo.is_as_taken(),
        "a photo went that everybody in it consents to"
    );

    say("The server is switched off, and the night passes. Cleo's consent was given until today.");
    fleet.server.stop()?;
    advance(&fleet, today.tomorrow()?, 9)?;
    until("the photo of Cleo out of reach, without a server", || {
        fleet.tablets[0].check()?;
        Ok(of_cleo.is_out_of_reach().then_some(()))
    })?;
    until("the photo of Cleo sealed, without a server", || {
        Ok(is_sealed(&fleet, &[&of_ben, &of_ava_and_ben, &of_cleo]).then_some(()))
    })?;
    fleet.server.start()?;
    until("the third seal on the server's disk", || {
        Ok((sealed_at_server(&fleet)? == 3).then_some(()))
    })?;
    report.photos.sealed = sealed_at_server(&fleet)?;

    say(
        "Three opening days pass in which the safeguarding lead could have held them. Then they are destroyed.",
    );
    destroy(&mut fleet, today, 3)?;
    ensure!(of_ava.is_as_taken(), "the photo of Ava went");
    report.photos.kept = all.iter().filter(|photo| photo.is_as_taken()).count() as u64;
    report.photos.destroyed = receipts(&fleet)?;
    report.photos.withheld = u64::from(is_withheld(&fleet, &of_nobody));
    for photo in [&of_ben, &of_cleo, &of_ava_and_ben] {
        let left = evidence::copies(fleet.tablets[0].root_dir(), &photo.bytes);
        ensure!(left.is_empty(), "still on the disk: {left:?}");
    }
    let left = evidence::sealed(fleet.tablets[0].root_dir());
    ensure!(left.is_empty(), "still sealed, not destroyed: {left:?}");

    look_at_evidence(&fleet, &mut report)?;
    report.seconds = begun.elapsed().as_secs_f64();
    publish(stage, &report)?;
    if stage.stay {
        say(
            "\nNow a month passes with eight tablets and sixty children, so that every page of the console has something to show.",
        );
        month::pass(&mut fleet, month::Size::MONTH)?;
        let way_in = WayIn::make(&fleet)?;
        say(format!(
            "\nOn a tablet of their own, staff start sessions and sort photos on its page: `nestwarden-agent page --open`.\nEverything is in {}. Ctrl-C ends the demo and removes it.\n{way_in}",
            stage.dir.display()
        ));
        while !patience::is_given_up() {
            std::thread::park();
        }
    }
    fleet.tablets[0].stop()?;
    fleet.server.stop()
}

fn open(stage: &Stage, report: &mut Report) -> Result<Fleet> {
    say("A nursery sets up its server, and a process of its own that signs.");
    let mut fleet = Fleet::open_in(&stage.dir, &stage.programs)?;
    fleet.server.start()?;
    let today = local_date(fleet.clock())?;
    say("It applies its profile and imports the register of its booking system.");
    fleet.server.apply_profile(&profile::everything())?;
    let register = Register::new(today.yesterday()?)
        .child(AVA, ROOM)
        .child(BEN, ROOM)
        .child_until(CLEO, ROOM, today);
    fleet.server.import(&register)?;
    say("A tablet enrols with a single-use link.");
    fleet.enrol("tablet-1", profile::NAME, &[ROOM])?;
    let known = fleet
        .server
        .database()
        .number("SELECT count(*) FROM devices WHERE revoked_at IS NULL")?;
    report.enrolled = known == 1;
    Ok(fleet)
}

/// Takes a photo, and tags it when there is anybody to name.
fn take(fleet: &Fleet, number: u64, children: &[&str]) -> Result<Taken> {
    let tablet = &fleet.tablets[0];
    let path = tablet.take(&format!("photo-{number}.jpg"), number)?;
    let bytes = fs::read(&path)?;
    let id = tablet.photo_id(&path)?;
    if !children.is_empty() {
        let ids = children
            .iter()
            .map(|reference| fleet.server.child_id(reference))
            .collect::<Result<Vec<_>>>()?;
        tablet.tag(&id, &ids)?;
    }
    Ok(Taken { path, bytes })
}

fn apps(stage: &Stage, fleet: &mut Fleet, report: &mut Report) -> Result<()> {
    match &stage.machine {
        Ok(machine) => {
            say("Somebody opens the register, which is approved, and a game, which is not.");
            until("the guard of programs to stand", || {
                fleet.tablets[0].check()?;
                Ok(machine.others_are_refused()?.then_some(()))
            })?;
            report.apps.unapproved_refused = Seen::Yes;
            report.apps.approved_ran = machine.approved_runs()?.into();
            ensure!(
                report.apps.approved_ran == Seen::Yes,
                "the approved app was refused"
            );
            until("the refusal at the server", || {
                let refused = fleet
                    .server
                    .database()
                    .number("SELECT count(*) FROM events WHERE kind = 'app_refused'")?;
                Ok((refused > 0).then_some(()))
            })
        }
        Err(reason) => {
            report.notes.push(format!("apps: unknown: {reason}"));
            say(format!("Apps are not shown: {reason}."));
            Ok(())
        }
    }
}

/// Lets one opening day after the other pass until `wanted` receipts are on the server's disk.
fn destroy(fleet: &mut Fleet, today: Date, wanted: u64) -> Result<()> {
    let mut date = today.tomorrow()?;
    for _ in 0..7 {
        date = date.tomorrow()?;
        advance(fleet, date, 9)?;
        synchronised(fleet)?;
        fleet.tablets[0].check()?;
    }
    until("every destruction reported to the server", || {
        fleet.tablets[0].check()?;
        Ok((receipts(fleet)? == wanted).then_some(()))
    })
}

/// Moves every clock to `hour` on `date`.
fn advance(fleet: &Fleet, date: Date, hour: i8) -> Result<()> {
    let at = date.at(hour, 0, 0, 0).in_tz(ZONE)?.timestamp();
    Ok(fleet.clock().advance_to(at)?)
}

/// Waits until the server has heard from the tablet since the clock moved.
fn synchronised(fleet: &Fleet) -> Result<()> {
    let since = (fleet.clock().now()? - SignedDuration::from_mins(30)).as_microsecond();
    until("the tablet at the server", || {
        let seen = fleet
            .server
            .database()
            .number("SELECT coalesce(last_seen_at, 0) FROM devices")?;
        Ok((seen >= since).then_some(()))
    })
}

fn local_date(clock: &ClockHand) -> Result<Date> {
    Ok(clock.now()?.in_tz(ZONE)?.date())
}

/// Nothing of these is left in the clear, and as many files are sealed.
fn is_sealed(fleet: &Fleet, photos: &[&Taken]) -> bool {
    let root = fleet.tablets[0].root_dir();
    evidence::sealed(root).len() == photos.len()
        && photos
            .iter()
            .all(|photo| evidence::copies(root, &photo.bytes).is_empty())
}

/// The photo is whole, and only where staff cannot go.
fn is_withheld(fleet: &Fleet, photo: &Taken) -> bool {
    let root = fleet.tablets[0].root_dir();
    let copies = evidence::copies(root, &photo.bytes);
    !copies.is_empty()
        && copies
            .iter()
            .all(|path| evidence::is_closed_to_staff(root, path))
}

fn sealed_at_server(fleet: &Fleet) -> Result<u64> {
    let count = fleet.server.database().number(
        "SELECT count(DISTINCT json_extract(body, '$.photo')) FROM events
         WHERE kind = 'photo_stage' AND json_extract(body, '$.to') = 'sealed'",
    )?;
    Ok(count.try_into()?)
}

fn receipts(fleet: &Fleet) -> Result<u64> {
    let count = fleet
        .server
        .database()
        .number("SELECT count(*) FROM events WHERE kind = 'destroyed'")?;
    Ok(count.try_into()?)
}

/// Chains, heads and receipts by the command for it, and every control as the server has it.
fn look_at_evidence(fleet: &Fleet, report: &mut Report) -> Result<()> {
    let verified = fleet.server.tell(["verify"])?;
    report.receipts_verified = verified
        .get("receipts_verified")
        .and_then(Value::as_u64)
        .with_context(|| format!("no receipts in {verified}"))?;
    ensure!(
        report.receipts_verified == report.photos.destroyed,
        "{} receipts verify, {} photos were destroyed",
        report.receipts_verified,
        report.photos.destroyed
    );
    report.generation = fleet.tablets[0].generation()?;
    let since = fleet.clock().now()? - SignedDuration::from_mins(30);
    let inventory = until("the tablet's report of itself at the server", || {
        let stored = fleet
            .server
            .database()
            .texts("SELECT inventory FROM inventories")?
            .pop()
            .context("the server has no inventory")?;
        let inventory: Inventory = serde_json::from_str(&stored)?;
        Ok((inventory.at >= since).then_some(inventory))
    })?;
    for control in &inventory.controls {
        let name = control.control.to_string();
        if let Some(why) = reason(&control.outcome) {
            report.notes.push(format!("{name}: {why}"));
        }
        report
            .controls
            .insert(name, control.outcome.name().to_owned());
    }
    ensure!(
        report.controls.len() == ControlName::ALL.len(),
        "the server knows of {} controls",
        report.controls.len()
    );
    ensure!(report.enrolled, "the server has no tablet");
    Ok(())
}

/// Why a control is not as the profile wants it.
fn reason(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Unmanaged | Outcome::Compliant | Outcome::Corrected { .. } => None,
        Outcome::Observed { would_change } => Some(would_change.join("; ")),
        Outcome::Drifted { remaining, error } => {
            let error = error.iter().cloned();
            Some(
                remaining
                    .iter()
                    .cloned()
                    .chain(error)
                    .collect::<Vec<_>>()
                    .join("; "),
            )
        }
        Outcome::Unsupported { reason } => Some(reason.clone()),
        Outcome::Unknown { error } => Some(error.clone()),
    }
}

fn publish(stage: &Stage, report: &Report) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if stage.json {
        serde_json::to_writer(&mut out, report)?;
        return Ok(writeln!(out)?);
    }
    let photos = &report.photos;
    writeln!(
        out,
        "\nOf {} photos {} stay in use, {} is withheld and {} were sealed and destroyed, with {} receipts that verify.",
        photos.taken, photos.kept, photos.withheld, photos.destroyed, report.receipts_verified
    )?;
    for (control, outcome) in &report.controls {
        writeln!(out, "  {control:9} {outcome}")?;
    }
    for note in &report.notes {
        writeln!(out, "  {note}")?;
    }
    Ok(writeln!(
        out,
        "All of this took {:.1} seconds.",
        report.seconds
    )?)
}
