//! A nursery that went on for a month: eight tablets, sixty children, and what people write down, so that every page of the
//! console has something to show. Tablets and what they tell are real, one opening day after the other; only the registers
//! are written by this program in people's stead.

use super::say;
use crate::fleet::{DSL, Fleet, ZONE};
use crate::patience::until;
use crate::profile;
use crate::register::Register;
use anyhow::{Context as _, Result};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::id::{DeviceId, EntryId};
use nestwarden_server::domain::registers::aup::{self, Audience, AupVersion};
use nestwarden_server::domain::registers::concern;
use nestwarden_server::domain::registers::custody::{self, Custody, Out};
use nestwarden_server::domain::registers::incident::{
    self, Facts, Incident, Kind, OutcomeCode, Severity,
};
use nestwarden_server::domain::registers::staff::{self, Job, Method, Post, Staff};
use nestwarden_server::domain::registers::words::Words;
use nestwarden_server::domain::registers::{Hand, Registers};
use nestwarden_server::signing::{ReleaseKey, keys};
use nestwarden_server::storage::{Operator, Storage, sql};
use std::collections::BTreeSet;
use tokio::runtime::Runtime;

const MANAGER: &str = "Kim Manager";
const ROOMS: [&str; 4] = ["Hedgehogs", "Ladybirds", "Owls", "Robins"];
/// Beside the one there is.
const TABLETS: [(&str, &str); 7] = [
    ("Hedgehog-2", "Hedgehogs"),
    ("Ladybird-1", "Ladybirds"),
    ("Ladybird-2", "Ladybirds"),
    ("Owl-1", "Owls"),
    ("Owl-2", "Owls"),
    ("Robin-1", "Robins"),
    ("Robin-2", "Robins"),
];
const STAFF: [(&str, Job); 8] = [
    ("Alex Fern", Job::RoomLeader),
    ("Bo Heather", Job::Practitioner),
    ("Chris Ivy", Job::Practitioner),
    ("Drew Larch", Job::Practitioner),
    ("Eli Maple", Job::RoomLeader),
    ("Frankie Nettle", Job::Student),
    ("Gray Oak", Job::Practitioner),
    ("Harper Pine", Job::Agency),
];
const COURSE: &str = "Safeguarding";
const PROFILE: &str = "acorns-photos";
/// Photos that a tablet takes on a day on which it is used.
const A_DAY: usize = 2;

/// How much of it there is to be.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Of tablets beside the first, at most seven.
    pub tablets: usize,
    /// On the register, those of the story included.
    pub children: usize,
    pub opening_days: usize,
}

impl Size {
    pub const MONTH: Self = Self {
        tablets: TABLETS.len(),
        children: 60,
        opening_days: 20,
    };
}

/// People, and where they write.
struct House {
    runtime: Runtime,
    storage: Storage,
    release: ReleaseKey,
    recipient: String,
    dsl: Operator,
    manager: Operator,
}

impl House {
    fn open(fleet: &Fleet) -> Result<Self> {
        let add = ["operator", "add", "--name", MANAGER, "--role", "manager"];
        fleet.server.tell(add)?;
        let data_dir = fleet.server.data_dir();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let storage = runtime.block_on(sql::open(&data_dir.join("nestwarden.db")))?;
        let found = |name| runtime.block_on(storage.operator_by_name(name));
        Ok(Self {
            dsl: found(DSL)?.context("the demo has a DSL")?,
            manager: found(MANAGER)?.context("the demo has a manager")?,
            release: ReleaseKey::load(&data_dir.join("keys"))?,
            recipient: keys::public_keys(&data_dir.join("keys"))?.release_recipient,
            storage,
            runtime,
        })
    }

    fn registers(&self) -> Registers<'_> {
        Registers {
            storage: &self.storage,
            release: &self.release,
            recipient: &self.recipient,
        }
    }
}

/// A month passes. Takes two minutes.
pub fn pass(fleet: &mut Fleet, size: Size) -> Result<()> {
    let house = House::open(fleet)?;
    let today = date(fleet)?;
    let children = register(fleet, size, today)?;
    let photos = profile::photos_only().replace(profile::NAME, PROFILE);
    fleet.server.apply_profile(&photos)?;
    for (name, room) in &TABLETS[..size.tablets] {
        fleet.enrol(name, PROFILE, &[room])?;
    }
    let staff = people(&house, now(fleet)?, today)?;
    let mut day = today;
    for number in 0..size.opening_days {
        day = next_opening_day(day)?;
        at(fleet, day, 9)?;
        heard(fleet)?;
        photos_of_a_day(fleet, &children, number)?;
        let lent = lend(&house, fleet, &staff, number, now(fleet)?)?;
        happens(fleet, &children, number, size.opening_days)?;
        at(fleet, day, 16)?;
        heard(fleet)?;
        house
            .runtime
            .block_on(come_back(&house, lent, now(fleet)?))?;
        count(&house, now(fleet)?, day)?;
    }
    acknowledge(&house, &staff, now(fleet)?, day)?;
    matters(&house, now(fleet)?)?;
    loose_ends(&house, fleet, &staff, next_opening_day(day)?)
}

fn now(fleet: &Fleet) -> Result<Timestamp> {
    Ok(fleet.clock().now()?)
}

fn date(fleet: &Fleet) -> Result<Date> {
    Ok(now(fleet)?.in_tz(ZONE)?.date())
}

fn at(fleet: &Fleet, date: Date, hour: i8) -> Result<()> {
    let at = date.at(hour, 0, 0, 0).in_tz(ZONE)?.timestamp();
    Ok(fleet.clock().advance_to(at)?)
}

fn next_opening_day(date: Date) -> Result<Date> {
    let mut next = date.tomorrow()?;
    while next.weekday().to_monday_zero_offset() > 4 {
        next = next.tomorrow()?;
    }
    Ok(next)
}

/// Waits until the server heard from every tablet since the clock moved.
fn heard(fleet: &mut Fleet) -> Result<()> {
    let since = (now(fleet)? - SignedDuration::from_mins(30)).as_microsecond();
    until("every tablet at the server", || {
        for tablet in &mut fleet.tablets {
            tablet.check()?;
        }
        let silent = format!(
            "SELECT count(*) FROM devices WHERE revoked_at IS NULL AND coalesce(last_seen_at, 0) < {since}"
        );
        Ok((fleet.server.database().number(&silent)? == 0).then_some(()))
    })
}

/// Children by room, those of the story aside.
fn register(fleet: &Fleet, size: Size, today: Date) -> Result<Vec<Vec<String>>> {
    let soon = today.saturating_add(jiff::Span::new().days(40));
    let mut register = Register::new(today);
    for reference in ["A-01", "B-02", "C-03"] {
        register = register.child(reference, ROOMS[0]);
    }
    let mut rooms = vec![Vec::new(); ROOMS.len()];
    for number in 4..=size.children {
        let place = number % ROOMS.len();
        let reference = format!("{}-{number:02}", &ROOMS[place][..1]);
        register = match number % 10 {
            0 => register.child_refusing(&reference, ROOMS[place]),
            7 => register.child_until(&reference, ROOMS[place], soon),
            _ => register.child(&reference, ROOMS[place]),
        };
        rooms[place].push(reference);
    }
    fleet.server.import(&register)?;
    Ok(rooms)
}

fn words(field: &'static str, text: &str) -> Result<Words> {
    Ok(Words::default().text(field, text)?)
}

fn people(house: &House, now: Timestamp, today: Date) -> Result<Vec<EntryId>> {
    let registers = house.registers();
    let hand = Hand {
        by: &house.manager,
        now,
    };
    house.runtime.block_on(async {
        let publish = |version: &str, from| aup::Act::Publish {
            audience: Audience::Staff,
            version: version.to_owned(),
            from,
        };
        let nothing = Words::default();
        let act = publish("1", today);
        let version = registers
            .begin::<AupVersion>(&act, &nothing, None, hand)
            .await?;
        let mut staff = Vec::new();
        for (number, (name, job)) in (0_i64..).zip(STAFF) {
            let post = Post {
                job,
                start: today.saturating_sub(jiff::Span::new().days(200 + 40 * number)),
                operator: None,
            };
            let named = Words::default().line("name", name)?;
            let act = staff::Act::Add { post };
            let id = registers.begin::<Staff>(&act, &named, None, hand).await?;
            let course = staff::Act::Course {
                course: COURSE.to_owned(),
                on: today.saturating_sub(jiff::Span::new().days(300)),
                until: Some(today.saturating_add(jiff::Span::new().days(25 + 90 * number))),
            };
            staff::write(&registers, id, &course, &nothing, hand).await?;
            let read = staff::Act::Acknowledge {
                version,
                on: today,
                method: Method::OnPaper,
            };
            staff::write(&registers, id, &read, &nothing, hand).await?;
            staff.push(id);
        }
        Ok(staff)
    })
}

/// Some tablets take photos; every fifth is left for somebody to sort.
fn photos_of_a_day(fleet: &Fleet, children: &[Vec<String>], day: usize) -> Result<()> {
    for (number, tablet) in fleet.tablets.iter().enumerate().skip(1) {
        if !(number + day).is_multiple_of(3) {
            continue;
        }
        let (_, room) = TABLETS[number - 1];
        let place = ROOMS.iter().position(|known| *known == room);
        let known = &children[place.context("a room of the demo")?];
        for photo in 0..A_DAY {
            let seed = (day * 100 + number * 10 + photo) as u64;
            let path = tablet.take(&format!("day-{day}-{photo}.jpg"), 10_000 + seed)?;
            let id = tablet.photo_id(&path)?;
            if seed % 5 == 4 || known.is_empty() {
                continue;
            }
            let child = &known[(day + photo) % known.len()];
            tablet.tag(&id, &[fleet.server.child_id(child)?])?;
        }
    }
    Ok(())
}

/// What people decide, on days spread over the month.
fn happens(fleet: &Fleet, children: &[Vec<String>], day: usize, days: usize) -> Result<()> {
    let server = &fleet.server;
    let child = |room: usize, number: usize| {
        let known = &children[room];
        known[number.min(known.len() - 1)].as_str()
    };
    // As a part of the month, so that a shorter one has all of it, too.
    let is = |twentieth: usize| day == twentieth * days / 20;
    if is(2) {
        say("  a family withdraws");
        server.withdraw(child(1, 0))?;
    }
    if is(5) {
        let open = ["--as", DSL, "hold", "open", "--child", child(2, 1)];
        server.tell(open.into_iter().chain(["--category", "safeguarding"]))?;
    }
    if is(8) {
        let restrict = ["--as", DSL, "child", "restrict", child(3, 2), "no-external"];
        server.tell(restrict)?;
    }
    if is(11) {
        say("  another family withdraws, and somebody leaves");
        server.withdraw(child(2, 0))?;
        let last = date(fleet)?.to_string();
        server.tell(["--as", MANAGER, "child", "leave", child(3, 0), &last])?;
    }
    if is(17) {
        server.withdraw(child(3, 1))?;
    }
    Ok(())
}

fn devices(house: &House) -> Result<Vec<DeviceId>> {
    let mut all = house.runtime.block_on(house.storage.device_list())?;
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all.into_iter().map(|device| device.id).collect())
}

/// Two tablets go out until the afternoon.
fn lend(
    house: &House,
    fleet: &Fleet,
    staff: &[EntryId],
    day: usize,
    now: Timestamp,
) -> Result<Vec<EntryId>> {
    let devices = devices(house)?;
    let due = now + SignedDuration::from_hours(8);
    let (registers, today) = (house.registers(), date(fleet)?);
    let hand = Hand {
        by: &house.manager,
        now,
    };
    let mut lent = Vec::new();
    for number in [day, day + 3] {
        let out = Out {
            device: devices[number % devices.len()],
            staff: staff[number % staff.len()],
            due,
        };
        let purpose = Words::default().line("purpose", "Observations")?;
        let signed_out = custody::sign_out(&registers, (out, &purpose), today, hand);
        lent.push(house.runtime.block_on(signed_out)?);
    }
    Ok(lent)
}

async fn come_back(house: &House, lent: Vec<EntryId>, now: Timestamp) -> Result<()> {
    let hand = Hand {
        by: &house.manager,
        now,
    };
    for id in lent {
        let words = Words::default();
        let registers = house.registers();
        registers
            .add::<Custody>(id, &custody::Act::In, &words, hand)
            .await?;
    }
    Ok(())
}

fn count(house: &House, now: Timestamp, day: Date) -> Result<()> {
    let all = house.runtime.block_on(house.storage.device_list())?;
    let here: BTreeSet<DeviceId> = all.iter().map(|device| device.id).collect();
    let hand = Hand {
        by: &house.manager,
        now,
    };
    let registers = house.registers();
    house
        .runtime
        .block_on(custody::count(&registers, &all, &here, day, hand))?;
    Ok(())
}

/// A newer policy, which not everybody has read yet.
fn acknowledge(house: &House, staff: &[EntryId], now: Timestamp, today: Date) -> Result<()> {
    let registers = house.registers();
    let hand = Hand {
        by: &house.manager,
        now,
    };
    let publish = aup::Act::Publish {
        audience: Audience::Staff,
        version: "2".to_owned(),
        from: today,
    };
    let note = words("note", "What to do with a tablet that is found.")?;
    house.runtime.block_on(async {
        let version = registers
            .begin::<AupVersion>(&publish, &note, None, hand)
            .await?;
        for id in &staff[..5] {
            let read = staff::Act::Acknowledge {
                version,
                on: today,
                method: Method::OnScreen,
            };
            staff::write(&registers, *id, &read, &Words::default(), hand).await?;
        }
        Ok(())
    })
}

/// Incidents, one of them closed with its debrief, and concerns.
fn matters(house: &House, now: Timestamp) -> Result<()> {
    let registers = house.registers();
    let device = devices(house)?.first().copied();
    let hand = Hand {
        by: &house.dsl,
        now,
    };
    let facts = |hours| Facts {
        happened_at: now - SignedDuration::from_hours(hours),
        noticed_at: now - SignedDuration::from_hours(hours - 1),
        severity: Severity::Minor,
        device,
    };
    let open = |kind, hours| incident::Act::Open {
        kind,
        facts: facts(hours),
        concern: None,
        hold: None,
    };
    let circle = Incident::circle(&BTreeSet::new());
    house.runtime.block_on(async {
        let told = words("facts", "A personal phone lay on the changing table.")?;
        let act = open(Kind::PersonalDevice, 50);
        let closed = registers
            .begin::<Incident>(&act, &told, Some(&circle), hand)
            .await?;
        let debrief = words("happened", "The safe was full.")?
            .text("lesson", "It has to have room for everybody.")?
            .text("change", "A second safe.")?;
        let close = incident::Act::Close {
            outcome: OutcomeCode::Advice,
        };
        for (act, said) in [
            (
                incident::Act::Action,
                words("action", "It went into the safe.")?,
            ),
            (incident::Act::Debrief { due: None }, debrief),
            (close, Words::default()),
        ] {
            registers.add::<Incident>(closed, &act, &said, hand).await?;
        }
        let told = words("facts", "A tablet was left on the coach and brought back.")?;
        let act = open(Kind::LostTablet, 20);
        registers
            .begin::<Incident>(&act, &told, Some(&circle), hand)
            .await?;
        let body = words("body", "Said at drop-off that they had not slept again.")?;
        let by = Hand {
            by: &house.manager,
            now,
        };
        concern::raise(&registers, &body, &BTreeSet::new(), by).await?;
        Ok(())
    })
}

/// What waits on the morning on which the demo stops: one tablet is out, and one was not heard.
fn loose_ends(house: &House, fleet: &mut Fleet, staff: &[EntryId], day: Date) -> Result<()> {
    if let Some(silent) = fleet.tablets.last_mut() {
        silent.stop()?;
    }
    at(fleet, day, 10)?;
    let since = (now(fleet)? - SignedDuration::from_mins(30)).as_microsecond();
    until("every tablet but one at the server", || {
        let heard = format!("SELECT count(*) FROM devices WHERE last_seen_at >= {since}");
        let heard = fleet.server.database().number(&heard)?;
        Ok((usize::try_from(heard)? + 1 >= fleet.tablets.len()).then_some(()))
    })?;
    lend(house, fleet, staff, 1, now(fleet)?).map(drop)
}
