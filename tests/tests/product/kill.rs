//! SIGKILL to the agent, the server or the signer at random moments, again and again, while photos are taken, tagged,
//! sealed and destroyed.

use crate::setting::{ROOM, programs};
use jiff::SignedDuration;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;
use system_tests::evidence;
use system_tests::fleet::{Fleet, content};
use system_tests::jpeg::mix;
use system_tests::patience::{until, until_equal};
use system_tests::profile;
use system_tests::register::Register;

const CHILDREN: usize = 10;
/// Of the tablet, with its photos: what was begun and is not known to be done.
pub(crate) const OPEN_ACTS: &str =
    "SELECT (SELECT count(*) FROM photo_journal) + (SELECT count(*) FROM photo_withholding)";

pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0) % limit
    }

    pub(crate) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// How many kills, and the chance that picks them: `NESTWARDEN_KILLS` and `NESTWARDEN_SEED`, or `kills` and the same
/// every time.
#[expect(
    clippy::print_stdout,
    reason = "whoever reads a failure has to be able to repeat it"
)]
pub(crate) fn kills_and_chance(kills: u64) -> (u64, Chance) {
    let number = |variable: &str| std::env::var(variable).ok()?.parse::<u64>().ok();
    let kills = number("NESTWARDEN_KILLS").unwrap_or(kills);
    let seed = number("NESTWARDEN_SEED").unwrap_or(20_260_901);
    println!("{kills} kills, seed {seed}");
    (kills, Chance(seed))
}

/// Everything that was done from outside.
struct Deeds {
    /// Path and content of every photo taken.
    taken: BTreeMap<PathBuf, Vec<u8>>,
    /// Photos (by id) said to show a child (by reference).
    tagged: BTreeMap<String, String>,
    withdrawn: BTreeSet<String>,
}

impl Deeds {
    /// Whether the child said to be in a photo has withdrawn.
    fn has_withdrawn(&self, photo: &str) -> bool {
        self.tagged
            .get(photo)
            .is_some_and(|child| self.withdrawn.contains(child))
    }
}

#[test]
fn no_kill_loses_or_doubles_an_event_or_leaves_half_a_photo() {
    let (kills, mut chance) = kills_and_chance(200);
    let yesterday = crate::setting::first_day().yesterday().unwrap();
    let register = Register::of(yesterday, CHILDREN, ROOM);
    let mut fleet = Fleet::open(&programs(), &profile::photos_only(), &register).unwrap();
    fleet.enrol("tablet-1", profile::NAME, &[ROOM]).unwrap();
    let mut deeds = Deeds {
        taken: BTreeMap::new(),
        tagged: BTreeMap::new(),
        withdrawn: BTreeSet::new(),
    };
    for round in 1..=kills {
        let victim = match chance.below(10) {
            0..=5 => fleet.tablets[0].agent_id(),
            6..=8 => fleet.server.serve_id(),
            _ => fleet.server.signer_id(),
        }
        .unwrap();
        let moment = Duration::from_micros(chance.below(150_000));
        let killer = std::thread::spawn(move || {
            std::thread::sleep(moment);
            kill(Pid::from_raw(victim.cast_signed()), Signal::SIGKILL)
        });
        act(&mut fleet, &mut deeds, &mut chance, round);
        killer.join().unwrap().unwrap();
        revive(&mut fleet, victim);
        nothing_acknowledged_is_lost(&fleet);
        if round % 10 == 0 {
            until_all_answer(&mut fleet);
        }
        // From Monday to the Tuesday of the week after, so that what was sealed first is destroyed under kills as well.
        if round % (kills / 10).max(1) == 0 {
            fleet
                .clock()
                .advance(SignedDuration::from_hours(20))
                .unwrap();
        }
    }
    until_all_answer(&mut fleet);
    settle(&mut fleet, &deeds);
    every_event_is_at_the_server_once(&fleet);
    every_photo_is_whole_or_gone(&fleet, &deeds);
    fleet.server.tell(["verify"]).unwrap();
}

/// What staff and the office do meanwhile. Anything may fail, because whom they ask may be dead.
fn act(fleet: &mut Fleet, deeds: &mut Deeds, chance: &mut Chance, round: u64) {
    let tablet = &fleet.tablets[0];
    if let Ok(path) = tablet.take(&format!("photo-{round}.jpg"), round) {
        deeds.taken.insert(path, content(round));
    }
    let untagged = "SELECT id FROM photo WHERE tagging = 'untagged' AND stage = 'live' LIMIT 1";
    if let Some(photo) = tablet
        .ledger()
        .texts(untagged)
        .ok()
        .and_then(|mut p| p.pop())
    {
        let reference = format!("C{:03}", 1 + chance.below(CHILDREN as u64));
        let id = fleet.server.child_id(&reference).unwrap();
        if tablet.tag(&photo, &[id]).is_ok() {
            deeds.tagged.insert(photo, reference);
        }
    }
    if round.is_multiple_of(20) {
        let reference = format!("C{:03}", 1 + chance.below(CHILDREN as u64 - 2));
        if fleet.server.withdraw(&reference).is_ok() {
            deeds.withdrawn.insert(reference);
        }
    }
}

fn revive(fleet: &mut Fleet, victim: u32) {
    if fleet.tablets[0].agent_id() == Some(victim) {
        fleet.tablets[0].kill().unwrap();
        fleet.tablets[0].launch().unwrap();
    } else if fleet.server.serve_id() == Some(victim) {
        fleet.server.kill_serve().unwrap();
        fleet.server.launch_serve().unwrap();
    } else {
        fleet.server.kill_signer().unwrap();
        fleet.server.launch_signer().unwrap();
    }
}

/// Read in this order, an acknowledgement can only be older than what the server has.
fn nothing_acknowledged_is_lost(fleet: &Fleet) {
    let acknowledged = fleet.tablets[0]
        .ledger()
        .number("SELECT coalesce(max(seq), 0) FROM events WHERE acknowledged_at IS NOT NULL")
        .unwrap();
    let on_disk = fleet
        .server
        .database()
        .number("SELECT coalesce(max(seq), 0) FROM events")
        .unwrap();
    assert!(
        acknowledged <= on_disk,
        "the tablet was told {acknowledged} events are safe, the server has {on_disk}"
    );
}

fn until_all_answer(fleet: &mut Fleet) {
    fleet.tablets[0].wait_until_running().unwrap();
    fleet.server.wait_until_listening().unwrap();
}

/// Lets everything that was begun come to its end.
fn settle(fleet: &mut Fleet, deeds: &Deeds) {
    // Past every pause between attempts to reach the server.
    fleet
        .clock()
        .advance(SignedDuration::from_mins(45))
        .unwrap();
    fleet.tablets[0].tell(["photos", "rescan"]).unwrap();
    until("the photos of whoever withdrew sealed", || {
        fleet.tablets[0].check()?;
        let live = fleet.tablets[0]
            .ledger()
            .texts("SELECT id FROM photo WHERE stage IN ('live', 'withheld')")?;
        let left = live.iter().any(|id| deeds.has_withdrawn(id));
        Ok((!left).then_some(()))
    })
    .unwrap();
    until_equal("the photos' journal to be done", &0, || {
        fleet.tablets[0].check()?;
        fleet.tablets[0].ledger().number(OPEN_ACTS)
    })
    .unwrap();
    fleet.tablets[0].stop().unwrap();
    fleet.tablets[0].start().unwrap();
    fleet.tablets[0].tell(["photos", "rescan"]).unwrap();
    fleet.tablets[0].wait_until_reported().unwrap();
}

fn every_event_is_at_the_server_once(fleet: &Fleet) {
    let ours = fleet.tablets[0]
        .ledger()
        .texts("SELECT seq || ' ' || lower(hex(hash)) FROM events ORDER BY seq")
        .unwrap();
    let theirs = fleet
        .server
        .database()
        .texts("SELECT seq || ' ' || hash FROM events ORDER BY seq")
        .unwrap();
    // What was recorded while both were read is not there yet.
    assert!(
        theirs.len() >= ours.len().saturating_sub(2),
        "{} of {}",
        theirs.len(),
        ours.len()
    );
    for (index, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert!(
            theirs.starts_with(&format!("{} ", index + 1)),
            "a gap at {theirs}"
        );
        assert_eq!(ours, theirs);
    }
    for kind in ["photo_seen", "destroyed"] {
        let photo = if kind == "destroyed" {
            "$.receipt.photo"
        } else {
            "$.photo"
        };
        let twice = fleet
            .server
            .database()
            .texts(&format!(
                "SELECT json_extract(body, '{photo}') AS photo FROM events WHERE kind = '{kind}'
                 GROUP BY photo HAVING count(*) > 1"
            ))
            .unwrap();
        assert!(twice.is_empty(), "{kind} twice: {twice:?}");
    }
}

fn every_photo_is_whole_or_gone(fleet: &Fleet, deeds: &Deeds) {
    let tablet = &fleet.tablets[0];
    let root = tablet.root_dir();
    let stages: BTreeMap<String, String> = tablet
        .ledger()
        .texts("SELECT id || ' ' || stage FROM photo")
        .unwrap()
        .into_iter()
        .filter_map(|row| {
            row.split_once(' ')
                .map(|(id, stage)| (id.to_owned(), stage.to_owned()))
        })
        .collect();
    let mut nameless = 0;
    for (path, content) in &deeds.taken {
        let copies = evidence::copies(root, content);
        let Some(id) = tablet.known_photo_id(path).unwrap() else {
            // The names of a destroyed photo go with it.
            nameless += 1;
            assert!(copies.is_empty(), "{copies:?}");
            continue;
        };
        match stages[&id].as_str() {
            "live" => assert!(copies == std::slice::from_ref(path), "{copies:?}"),
            "withheld" => {
                assert_eq!(copies.len(), 1, "{copies:?}");
                assert!(evidence::is_closed_to_staff(root, &copies[0]), "{copies:?}");
            }
            "sealed" | "destroyed" => assert!(copies.is_empty(), "{copies:?}"),
            other => panic!("stage {other}"),
        }
        assert!(
            !deeds.has_withdrawn(&id) || ["sealed", "destroyed"].contains(&stages[&id].as_str()),
            "{id} is {}, although a child in it withdrew",
            stages[&id]
        );
    }
    // Nothing else lies about: no half of a photo, no seal that nobody knows of.
    let whole: BTreeSet<&Vec<u8>> = deeds.taken.values().collect();
    for path in evidence::files(&tablet.pictures_dir()) {
        let bytes = std::fs::read(&path).unwrap();
        assert!(whole.contains(&bytes), "half a photo: {}", path.display());
    }
    let of_stage = |wanted| stages.values().filter(|stage| *stage == wanted).count();
    assert_eq!(stages.len(), deeds.taken.len());
    assert_eq!(nameless, of_stage("destroyed"));
    assert_eq!(evidence::sealed(root).len(), of_stage("sealed"));
    for stage in ["live", "sealed", "destroyed"] {
        assert!(of_stage(stage) > 0, "nothing {stage}: this proves little");
    }
}
