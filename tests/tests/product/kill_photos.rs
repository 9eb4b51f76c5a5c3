//! SIGKILL to the agent at random moments while the photos' journal is at work: photos come and are tagged, consents are
//! withdrawn and given back, holds open and close, and days go by.

use crate::kill::{Chance, OPEN_ACTS, kills_and_chance};
use crate::setting::{ROOM, first_day, programs};
use jiff::SignedDuration;
use nestwarden_agent::ledger::Ledger;
use nestwarden_agent::paths::Paths;
use nestwarden_agent::photos::hash::{ContentKey, Stop};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use system_tests::evidence;
use system_tests::fleet::{DSL, Fleet, content};
use system_tests::patience::until_empty;
use system_tests::profile;
use system_tests::register::Register;

const CHILDREN: u64 = 6;
const MANAGER: &str = "Kim Manager";

/// A photo as it was taken, under every name that staff gave it.
struct Taken {
    content: Vec<u8>,
    names: Vec<PathBuf>,
    sidecar: Option<PathBuf>,
}

/// Everything that was done from outside.
#[derive(Default)]
struct Deeds {
    taken: Vec<Taken>,
    /// Children that the agent acknowledged to be in a photo, both by id.
    tagged: BTreeMap<String, BTreeSet<String>>,
    withdrawn: BTreeSet<String>,
    holds: Vec<String>,
}

/// What the tablet's catalogue has of one photo.
#[derive(Clone, Debug)]
struct Kept {
    id: String,
    stage: String,
    children: BTreeSet<String>,
}

/// Never consents again, so that something is due to be sealed at once and destroyed days later, whatever kills hinder.
const FOR_GOOD: &str = "C001";

/// Kills in one setting: in a longer history no consent stays withdrawn for the days after which a photo is destroyed.
const IN_ONE_SETTING: u64 = 40;

#[test]
fn no_kill_leaves_a_photo_half_withheld_half_sealed_or_half_destroyed() {
    let (mut left, mut chance) = kills_and_chance(IN_ONE_SETTING);
    let mut reached = BTreeSet::new();
    while left > 0 {
        let kills = left.min(IN_ONE_SETTING);
        reached.extend(survive(kills, &mut chance));
        left -= kills;
    }
    for stage in ["live", "sealed", "destroyed"] {
        assert!(
            reached.contains(stage),
            "nothing {stage}: this proves little"
        );
    }
}

/// The history of one setting whose tablet is killed over and over; the stages its photos got to.
fn survive(kills: u64, chance: &mut Chance) -> BTreeSet<String> {
    let yesterday = first_day().yesterday().unwrap();
    let children = usize::try_from(CHILDREN).unwrap();
    let register = Register::of(yesterday, children, ROOM);
    let mut fleet = Fleet::open(&programs(), &profile::photos_only(), &register).unwrap();
    fleet
        .server
        .tell(["operator", "add", "--name", MANAGER, "--role", "manager"])
        .unwrap();
    fleet.enrol("tablet-1", profile::NAME, &[ROOM]).unwrap();
    let mut deeds = Deeds::default();
    deeds.begin(&fleet, chance);
    for round in 1..=kills {
        let victim = fleet.tablets[0].agent_id().unwrap();
        let end = move |moment| {
            std::thread::sleep(Duration::from_micros(moment));
            kill(Pid::from_raw(victim.cast_signed()), Signal::SIGKILL).unwrap();
        };
        if chance.one_in(2) {
            let moment = chance.below(150_000);
            let killer = std::thread::spawn(move || end(moment));
            act(&mut fleet, &mut deeds, chance, round);
            killer.join().unwrap();
        } else {
            act(&mut fleet, &mut deeds, chance, round);
            end(chance.below(60_000));
        }
        fleet.tablets[0].kill().unwrap();
        fleet.tablets[0].launch().unwrap();
        if chance.one_in(6) {
            fleet.tablets[0].wait_until_running().unwrap();
        }
        // More is decided here within a minute than the signer signs for one tablet within an hour.
        if round % 20 == 0 {
            fleet.server.kill_signer().unwrap();
            fleet.server.start_signer().unwrap();
        }
        // From Monday to the Saturday of the week after, so that what was sealed first is destroyed under kills as well.
        if round % (kills / 10).max(1) == 0 {
            advance(&fleet, SignedDuration::from_hours(30));
        }
    }
    settle(&mut fleet, &deeds);
    every_photo_is_in_one_place_and_whole(&fleet, &deeds);
    nothing_else_lies_about(&fleet, &deeds);
    every_destroyed_photo_has_one_receipt(&fleet);
    the_server_sees_what_the_tablet_does(&fleet);
    fleet.server.tell(["verify"]).unwrap();
    let kept = kept(&fleet).unwrap();
    kept.into_values().map(|photo| photo.stage).collect()
}

fn advance(fleet: &Fleet, by: SignedDuration) {
    fleet.clock().advance(by).unwrap();
}

/// What staff and the office do meanwhile. What is asked of the tablet may fail, because the agent may be dead.
fn act(fleet: &mut Fleet, deeds: &mut Deeds, chance: &mut Chance, round: u64) {
    for again in 0..2 {
        deeds.take(fleet, chance, 2 * round + again);
    }
    deeds.tag(fleet, chance);
    let reference = format!("C{:03}", 1 + chance.below(CHILDREN));
    match chance.below(6) {
        0 | 1 => {
            advance(fleet, SignedDuration::from_mins(1));
            if reference != FOR_GOOD && deeds.withdrawn.remove(&reference) {
                fleet
                    .server
                    .tell([
                        "consent",
                        "give",
                        &reference,
                        "--purpose",
                        "own_learning_journal",
                        "--purpose",
                        "display_in_setting",
                        "--as",
                        DSL,
                    ])
                    .unwrap();
            } else if deeds.withdrawn.len() < 3 && !deeds.withdrawn.contains(&reference) {
                fleet.server.withdraw(&reference).unwrap();
                deeds.withdrawn.insert(reference);
            }
        }
        2 if deeds.holds.is_empty() => {
            let hold = ["hold", "open", "--category", "safeguarding", "--child"];
            let opened = fleet
                .server
                .tell(hold.into_iter().chain([reference.as_str(), "--as", DSL]))
                .unwrap();
            deeds.holds.push(opened["id"].as_str().unwrap().to_owned());
        }
        3 => deeds.release_holds(fleet),
        _ => {}
    }
}

impl Deeds {
    fn begin(&mut self, fleet: &Fleet, chance: &mut Chance) {
        let tablet = &fleet.tablets[0];
        for seed in [0, 1] {
            self.take(fleet, chance, seed);
        }
        tablet.tell(["photos", "rescan"]).unwrap();
        let child = fleet.server.child_id(FOR_GOOD).unwrap();
        let photos = tablet.ledger().texts("SELECT id FROM photo").unwrap();
        for photo in photos {
            tablet.tag(&photo, std::slice::from_ref(&child)).unwrap();
            self.tagged.insert(photo, [child.clone()].into());
        }
        fleet.server.withdraw(FOR_GOOD).unwrap();
        self.withdrawn.insert(FOR_GOOD.to_owned());
    }

    fn take(&mut self, fleet: &Fleet, chance: &mut Chance, seed: u64) {
        let tablet = &fleet.tablets[0];
        // Whole when it appears: what is seen while it is written may count as a photo of its own.
        let put = |path: &Path, content: &[u8]| {
            let whole = tablet.root_dir().join("being-written");
            fs::write(&whole, content).unwrap();
            fs::rename(whole, path).unwrap();
        };
        let path = tablet.pictures_dir().join(format!("photo-{seed}.jpg"));
        put(&path, &content(seed));
        let mut taken = Taken {
            content: content(seed),
            names: vec![path.clone()],
            sidecar: None,
        };
        // The agent may have withheld the photo by now; then it has the one name.
        let album = tablet.pictures_dir().join("Album");
        fs::create_dir_all(&album).unwrap();
        match chance.below(6) {
            0 => {
                let link = album.join(format!("linked-{seed}.jpg"));
                if fs::hard_link(&path, &link).is_ok() {
                    taken.names.push(link);
                }
            }
            1 => {
                let copy = album.join(format!("copied-{seed}"));
                put(&copy, &taken.content);
                taken.names.push(copy);
            }
            2 => {
                let sidecar = path.with_extension("xmp");
                fs::write(&sidecar, format!("<x:xmpmeta>{seed}</x:xmpmeta>")).unwrap();
                taken.sidecar = Some(sidecar);
            }
            _ => {}
        }
        self.taken.push(taken);
    }

    fn tag(&mut self, fleet: &Fleet, chance: &mut Chance) {
        let untagged =
            "SELECT id FROM photo WHERE tagging = 'untagged' AND stage <> 'destroyed' LIMIT 1";
        let found = fleet.tablets[0].ledger().texts(untagged);
        let Some(photo) = found.ok().and_then(|mut photos| photos.pop()) else {
            return;
        };
        let who: BTreeSet<u64> = (0..=chance.below(2))
            .map(|_| chance.below(CHILDREN))
            .collect();
        let ids: Vec<String> = who
            .iter()
            .map(|number| {
                fleet
                    .server
                    .child_id(&format!("C{:03}", 1 + number))
                    .unwrap()
            })
            .collect();
        if fleet.tablets[0].tag(&photo, &ids).is_ok() {
            self.tagged.insert(photo, ids.into_iter().collect());
        }
    }

    /// By two people.
    fn release_holds(&mut self, fleet: &Fleet) {
        for hold in self.holds.drain(..) {
            for person in [DSL, MANAGER] {
                fleet
                    .server
                    .tell(["hold", "release", &hold, "--as", person])
                    .unwrap();
            }
        }
    }
}

/// Lets everything that was begun come to its end.
fn settle(fleet: &mut Fleet, deeds: &Deeds) {
    let holds = deeds.holds.iter();
    for (hold, person) in holds.flat_map(|hold| [(hold, DSL), (hold, MANAGER)]) {
        fleet
            .server
            .tell(["hold", "release", hold, "--as", person])
            .unwrap();
    }
    fleet.tablets[0].wait_until_running().unwrap();
    fleet.tablets[0].tell(["photos", "rescan"]).unwrap();
    let withdrawn: BTreeSet<String> = deeds
        .withdrawn
        .iter()
        .map(|reference| fleet.server.child_id(reference).unwrap())
        .collect();
    let mut looks = 0;
    until_empty(
        &format!("every photo where it has to be ({withdrawn:?} withdrew)"),
        || {
            fleet.tablets[0].check()?;
            looks += 1;
            if looks % 50 == 0 {
                // Past every pause between attempts, and far from the end of any grace.
                fleet.clock().advance(SignedDuration::from_secs(30))?;
            }
            let acts = fleet.tablets[0].ledger().number(OPEN_ACTS)?;
            let kept = kept(fleet)?;
            let unknown = deeds.taken.len().abs_diff(kept.len());
            let stray = kept.values().filter(|kept| !kept.is_settled(&withdrawn));
            Ok(stray
                .map(|kept| format!("{kept:?}"))
                .chain((acts > 0).then(|| format!("{acts} acts under way")))
                .chain((0..unknown).map(|_| "a photo that is not in the catalogue".to_owned()))
                .collect())
        },
    )
    .unwrap();
    fleet.tablets[0].stop().unwrap();
    fleet.tablets[0].start().unwrap();
    fleet.tablets[0].tell(["photos", "rescan"]).unwrap();
    fleet.tablets[0].wait_until_reported().unwrap();
    fleet.tablets[0].stop().unwrap();
}

impl Kept {
    fn is_settled(&self, withdrawn: &BTreeSet<String>) -> bool {
        let stage = self.stage.as_str();
        match (
            self.children.is_empty(),
            self.children.is_disjoint(withdrawn),
        ) {
            (_, _) if stage == "destroyed" => true,
            (false, false) => stage == "sealed",
            (false, true) => stage == "live",
            // Untagged: anybody may be in it, for seven opening days.
            (true, _) => stage == "sealed" || (stage == "live") == withdrawn.is_empty(),
        }
    }
}

/// By id.
fn kept(fleet: &Fleet) -> anyhow::Result<BTreeMap<String, Kept>> {
    let ledger = fleet.tablets[0].ledger();
    let rows = ledger.texts(
        "SELECT id || ' ' || stage || ' ' || coalesce((SELECT group_concat(child, ' ') FROM photo_tag
             WHERE photo = id), '') FROM photo",
    )?;
    let read = |row: String| {
        let mut words = row.split_whitespace().map(str::to_owned);
        let id = words.next().unwrap_or_default();
        let stage = words.next().unwrap_or_default();
        let children = words.collect();
        (
            id.clone(),
            Kept {
                id,
                stage,
                children,
            },
        )
    };
    Ok(rows.into_iter().map(read).collect())
}

fn every_photo_is_in_one_place_and_whole(fleet: &Fleet, deeds: &Deeds) {
    let tablet = &fleet.tablets[0];
    let root = tablet.root_dir();
    let ids = ids_by_content(fleet, deeds);
    let kept = kept(fleet).unwrap();
    for (photo, children) in &deeds.tagged {
        assert!(children.is_subset(&kept[photo].children), "a name was lost");
    }
    let sheet = fs::read_to_string(fleet.server.data_dir().with_file_name("recovery-sheet.txt"));
    let recovery: age::x25519::Identity = sheet
        .unwrap()
        .lines()
        .find_map(|line| line.trim().parse().ok())
        .unwrap();
    let opened: Vec<Vec<u8>> = evidence::sealed(root)
        .iter()
        .map(|path| age::decrypt(&recovery, &fs::read(path).unwrap()).unwrap())
        .collect();
    for taken in &deeds.taken {
        let photo = &kept[&ids[taken.content.as_slice()]];
        let copies: BTreeSet<PathBuf> =
            evidence::copies(root, &taken.content).into_iter().collect();
        let names: BTreeSet<PathBuf> = taken.names.iter().cloned().collect();
        let sealed = opened
            .iter()
            .filter(|content| **content == taken.content)
            .count();
        let sidecar_shown = taken.sidecar.as_ref().map(|sidecar| sidecar.exists());
        let shown = match photo.stage.as_str() {
            "live" => {
                // What was sealed and opened again has come back under one of its names.
                let back = !copies.is_empty() && copies.is_subset(&names);
                assert!(back, "{photo:?} {copies:?}");
                true
            }
            "withheld" => {
                let closed = |path: &PathBuf| evidence::is_closed_to_staff(root, path);
                assert!(
                    !copies.is_empty() && copies.iter().all(closed),
                    "{photo:?} {copies:?}"
                );
                false
            }
            "sealed" | "destroyed" => {
                assert!(copies.is_empty(), "{photo:?} {copies:?}");
                false
            }
            other => panic!("stage {other}"),
        };
        assert_eq!(sealed, usize::from(photo.stage == "sealed"), "{photo:?}");
        assert!(
            sidecar_shown.is_none_or(|is| is == shown),
            "{photo:?} {:?}",
            taken.sidecar
        );
    }
    let of_stage = |wanted| kept.values().filter(|kept| kept.stage == wanted).count();
    assert_eq!(opened.len(), of_stage("sealed"));
}

/// The photo of each content: by the hash that the catalogue keeps of what it read whole, by name where it did not yet.
fn ids_by_content<'a>(fleet: &Fleet, deeds: &'a Deeds) -> BTreeMap<&'a [u8], String> {
    let tablet = &fleet.tablets[0];
    let ledger = Ledger::open(&Paths::new(tablet.root_dir())).unwrap();
    let bundle = ledger.bundle().unwrap();
    let key = ContentKey::new(&bundle.bundle().photo_hash_key);
    let rows = tablet
        .ledger()
        .texts("SELECT lower(hex(keyed_hash)) || ' ' || id FROM photo WHERE keyed_hash <> x''")
        .unwrap();
    let mut by_hash = BTreeMap::new();
    for row in rows {
        let (hash, id) = row.split_once(' ').unwrap();
        let twice = by_hash.insert(hash.to_owned(), id.to_owned());
        assert_eq!(twice, None, "one content is two photos");
    }
    let of_each = deeds.taken.iter().map(|taken| {
        let mut content = taken.content.as_slice();
        let (hash, _) = key.hash(&mut content, &Stop::default()).unwrap();
        let named = || tablet.known_photo_id(&taken.names[0]).unwrap();
        let id = by_hash.remove(&hash.to_string()).or_else(named).unwrap();
        (taken.content.as_slice(), id)
    });
    let of_each: BTreeMap<&[u8], String> = of_each.collect();
    assert!(by_hash.is_empty(), "photos that nobody took: {by_hash:?}");
    let different: BTreeSet<&String> = of_each.values().collect();
    assert_eq!(
        different.len(),
        deeds.taken.len(),
        "two contents are one photo"
    );
    of_each
}

/// No half of a photo in the folders, and nothing in a vault that the catalogue does not have there.
fn nothing_else_lies_about(fleet: &Fleet, deeds: &Deeds) {
    let tablet = &fleet.tablets[0];
    let known: BTreeSet<&PathBuf> = deeds
        .taken
        .iter()
        .flat_map(|taken| taken.names.iter().chain(&taken.sidecar))
        .collect();
    for path in evidence::files(&tablet.pictures_dir()) {
        assert!(known.contains(&path), "left behind: {}", path.display());
    }
    let recorded = tablet
        .ledger()
        .texts(
            "SELECT CAST(vault || '/' || vault_name AS TEXT) FROM photo_file WHERE state = 'vaulted'
             UNION ALL SELECT CAST(sealed_vault || '/' || sealed_name AS TEXT) FROM photo WHERE stage = 'sealed'",
        )
        .unwrap();
    let recorded: BTreeSet<PathBuf> = recorded
        .into_iter()
        .map(|at| tablet.root_dir().join(at))
        .collect();
    // What is set aside for a full disk is no photo, nor is the vault's mark.
    let found: BTreeSet<PathBuf> = evidence::files(&vault(tablet.root_dir()))
        .into_iter()
        .filter(|path| !path.ends_with("room") && !path.ends_with("mark"))
        .collect();
    assert_eq!(found, recorded, "the vault and the catalogue");
}

fn vault(root: &Path) -> PathBuf {
    root.join("var/lib/nestwarden/vault")
}

fn every_destroyed_photo_has_one_receipt(fleet: &Fleet) {
    let destroyed: BTreeSet<String> = kept(fleet)
        .unwrap()
        .into_values()
        .filter(|kept| kept.stage == "destroyed")
        .map(|kept| kept.id)
        .collect();
    let receipts =
        "SELECT json_extract(body, '$.receipt.photo') FROM events WHERE kind = 'destroyed'";
    let told = fleet.server.database().texts(receipts).unwrap();
    assert_eq!(told.len(), destroyed.len(), "{told:?}");
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), destroyed);
}

fn the_server_sees_what_the_tablet_does(fleet: &Fleet) {
    let seen = fleet.server.tell(["photo", "list"]).unwrap();
    let seen: BTreeMap<String, String> = seen["photos"]
        .as_array()
        .unwrap()
        .iter()
        .map(|photo| {
            let text = |key: &str| photo.get(key).and_then(Value::as_str).unwrap().to_owned();
            (text("photo"), text("stage"))
        })
        .collect();
    let kept = kept(fleet).unwrap().into_values();
    let kept: BTreeMap<String, String> = kept.map(|kept| (kept.id, kept.stage)).collect();
    assert_eq!(seen, kept);
}
