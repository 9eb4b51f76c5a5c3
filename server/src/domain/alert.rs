//! What is told to people by e-mail: at once what cannot wait, and the rest in one mail on the morning of an opening day.
//!
//! A mail says what waits and until when; never a name, a child's reference, or which photo. What a concern is about is
//! not even hinted at. Everything in a mail is found by signing in, so losing one loses nothing.

mod mail;
pub mod report;

use super::hold::of_incident::hidden_from;
use super::people::dsl_on;
use super::registers::concern::Concern;
use super::registers::{Kept, Registers, list};
use super::task::local_calendar;
use crate::storage::{
    Alert, AlertRound, AuditEntry, Changed, Cover, Mail, Operator, Role, Storage, StorageError,
    Task, TaskKind, Which, WithClosed,
};
use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::id::{HoldId, OperatorId};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

pub use mail::Words;

/// What nobody looked at for so long goes on to who stands in for them.
pub const PASS_ON_AFTER: SignedDuration = SignedDuration::from_hours(4);
/// E-mail that does not go out for so long is said to be in trouble.
const LATE_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// As long as alerts are remembered. What is still so afterwards is told again.
pub const REMEMBERED: SignedDuration = SignedDuration::from_hours(24 * 35);
/// A person gets no more mails than that within one round; the rest comes in the next.
const MOST_AT_ONCE: usize = 20;
const ADDRESS_CHARS: usize = 254;
/// Kinds of alerts about a concern: raised, not read in time, not decided on in time.
const CONCERN: &str = "concern";
const UNREAD: &str = "unread";
const UNDECIDED: &str = "undecided";

#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    #[error("\"{0}\" is no e-mail address; write one such as dana@little-acorns.example")]
    NotOne(String),
    #[error("there is no such person any more")]
    Nobody,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Says where alerts for a person go; `None`: nowhere.
pub async fn set_address(
    storage: &Storage,
    operator: &Operator,
    address: Option<&str>,
    who: &str,
    now: Timestamp,
) -> Result<Changed, AddressError> {
    let address = address.map(str::trim);
    if let Some(address) = address
        && !is_address(address)
    {
        return Err(AddressError::NotOne(address.to_owned()));
    }
    // Where it goes is the person's own matter; that it changed is not.
    let audit = AuditEntry {
        at: now,
        who: who.to_owned(),
        act: "operator.address".to_owned(),
        subject: operator.id.to_string(),
        detail: json!({ "given": address.is_some() }),
    };
    match storage.address_put(operator.id, address, &audit).await? {
        Changed::Missing => Err(AddressError::Nobody),
        changed @ (Changed::Yes | Changed::Already) => Ok(changed),
    }
}

/// As it is written in forms of the web: one part, `@`, and a name with a dot, in ASCII.
pub fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let is_local = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(c);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= ADDRESS_CHARS
        && (1..=64).contains(&local.len())
        && local.chars().all(is_local)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && domain.contains('.')
        && domain.split('.').all(is_label)
}

/// Who there is, and who is the DSL on a day.
struct House {
    people: Vec<Operator>,
    covers: Vec<Cover>,
    addresses: BTreeMap<OperatorId, String>,
    /// Holds that somebody is not told of.
    hidden: BTreeMap<OperatorId, BTreeSet<HoldId>>,
    today: Date,
}

impl House {
    async fn load(registers: &Registers<'_>, today: Date) -> Result<Self, StorageError> {
        let storage = registers.storage;
        let people = storage.operator_list().await?;
        let mut hidden = BTreeMap::new();
        for person in &people {
            hidden.insert(person.id, hidden_from(registers, person).await?);
        }
        Ok(Self {
            covers: storage.cover_list().await?,
            addresses: storage.address_list().await?,
            people,
            hidden,
            today,
        })
    }

    fn has(&self, role: Role) -> Vec<&Operator> {
        let all = self.people.iter();
        all.filter(|person| person.roles.contains(&role)).collect()
    }

    /// Whom it waits for.
    fn owners(&self, role: Role) -> Vec<&Operator> {
        match role {
            // Whoever it is today.
            Role::Dsl => {
                let dsl = dsl_on(&self.people, &self.covers, self.today);
                let is_dsl = |person: &&Operator| {
                    dsl.as_ref()
                        .is_some_and(|lead| lead.operator.id == person.id)
                };
                self.people.iter().filter(is_dsl).collect()
            }
            Role::Manager | Role::Deputy | Role::ItAdmin | Role::Auditor => self.has(role),
        }
    }

    /// Who looks where they did not.
    fn stand_ins(&self, role: Role) -> Vec<&Operator> {
        match role {
            Role::Dsl => self.has(Role::Deputy),
            Role::Manager | Role::Deputy | Role::ItAdmin | Role::Auditor => self.owners(Role::Dsl),
        }
    }

    fn knows(&self, person: &Operator, task: &Task) -> bool {
        let hidden = self.hidden.get(&person.id);
        let is_hidden = |hold| hidden.is_some_and(|hidden| hidden.contains(&hold));
        !task.subject.hold.is_some_and(is_hidden)
    }

    fn is_told(&self, person: &Operator) -> bool {
        self.addresses.contains_key(&person.id)
    }
}

/// Of the alerts there may be about a task: because it is there, and because it is overdue.
fn keys_of(task: &Task) -> [String; 2] {
    [format!("task/{}", task.id), format!("overdue/{}", task.id)]
}

/// What cannot wait until the morning, as the key of its alert.
fn interrupts(task: &Task, today: Date) -> Option<String> {
    let [plain, overdue] = keys_of(task);
    match task.kind {
        // A photo that consent does not cover can still be opened; or whoever has the tablet tries.
        TaskKind::PhotoIncomplete | TaskKind::TabletLost => Some(plain),
        TaskKind::HoldReview => (task.due < today).then_some(overdue),
        TaskKind::TakeDown
        | TaskKind::Withdrawal
        | TaskKind::ConsentConflicted
        | TaskKind::ConsentExpiring
        | TaskKind::ChildDied
        | TaskKind::ChildMissing
        | TaskKind::LeaversPack
        | TaskKind::UnregisteredPerson
        | TaskKind::PhotosUntagged
        | TaskKind::ImportWaits
        | TaskKind::SetPasscode
        | TaskKind::AskPasscode
        | TaskKind::RolloutStopped
        | TaskKind::AppsUnapproved
        | TaskKind::AppDecision
        | TaskKind::AppReview
        | TaskKind::CourseEnds
        | TaskKind::AupOutstanding
        | TaskKind::CustodyOverdue
        | TaskKind::PinOnTwoTablets
        | TaskKind::EndAccess
        | TaskKind::TabletMissing => None,
    }
}

/// Puts by what is to be told at this instant. Harmless to repeat: what was told is not told again.
pub async fn round(
    registers: &Registers<'_>,
    words: &Words<'_>,
    digest_at: Time,
    now: Timestamp,
) -> Result<usize, StorageError> {
    let storage = registers.storage;
    // Without a calendar nobody knows what day it is here, and there is no tablet either.
    let Some(calendar) = local_calendar(storage).await? else {
        return Ok(0);
    };
    let today = calendar.local_date(now);
    let house = House::load(registers, today).await?;
    let forget = now.checked_sub(REMEMBERED).unwrap_or(Timestamp::MIN);
    let known = storage.alert_list(forget).await?;
    let tasks = storage.task_list(WithClosed::No).await?;
    let mut round = AlertRound::default();
    urgent(&house, &tasks, &known, words, now, &mut round);
    concerns(registers, &house, &known, words, now, &mut round).await?;
    let key = format!("digest/{today}");
    let is_time = calendar.local(now).time() >= digest_at && calendar.is_opening_day(today);
    if is_time && !known.contains_key(&key) {
        digest(&house, &tasks, words, &key, &mut round);
        round.made.push((key, None));
    }
    bound(&mut round);
    if !round.is_empty() {
        storage.alert_round(&round, now, forget).await?;
    }
    Ok(round.mails.len())
}

fn urgent(
    house: &House,
    tasks: &[Task],
    known: &BTreeMap<String, Alert>,
    words: &Words<'_>,
    now: Timestamp,
    round: &mut AlertRound,
) {
    for task in tasks {
        let Some(key) = interrupts(task, house.today) else {
            continue;
        };
        let (to, mail_key) = match known.get(&key) {
            None => {
                round.made.push((key.clone(), Some(task.owner)));
                (house.owners(task.owner), key)
            }
            Some(alert) if waits_too_long(alert, now) => {
                round.passed_on.push(key.clone());
                (house.stand_ins(task.owner), format!("{key}/passed-on"))
            }
            Some(_) => continue,
        };
        for person in to {
            if house.is_told(person) && house.knows(person, task) {
                let mail = words.of_task(task, house.today);
                round.mails.push(mail.to(person, &mail_key));
            }
        }
    }
}

fn waits_too_long(alert: &Alert, now: Timestamp) -> bool {
    alert.opened.is_none()
        && alert.passed_on_at.is_none()
        // Also one from a clock that was ahead.
        && now.duration_since(alert.made_at).abs() >= PASS_ON_AFTER
}

/// To everybody who may read one, and to nobody else. That somebody did is seen from the concern itself.
async fn concerns(
    registers: &Registers<'_>,
    house: &House,
    known: &BTreeMap<String, Alert>,
    words: &Words<'_>,
    now: Timestamp,
    round: &mut AlertRound,
) -> Result<(), StorageError> {
    for kept in list::<Concern>(registers.storage, Which::Open).await? {
        let Some(key) = concern_key(&kept, now) else {
            continue;
        };
        if known.contains_key(&key) {
            continue;
        }
        let readers = house.people.iter();
        let readers = readers.filter(|person| registers.may_read(&kept, person));
        for person in readers.filter(|person| house.is_told(person)) {
            round.mails.push(words.of_concern().to(person, &key));
        }
        round.made.push((key, None));
    }
    Ok(())
}

/// Told when it was raised, and again when nobody has read it, or nobody decided on it, in time.
fn concern_key(kept: &Kept<Concern>, now: Timestamp) -> Option<String> {
    let due = kept.now.due()?;
    let is_read = kept.now.acknowledged_at.is_some();
    match (due <= now, is_read) {
        (true, false) => Some(format!("{UNREAD}/{}", kept.id)),
        (true, true) if kept.now.decided_at.is_none() => Some(format!("{UNDECIDED}/{}", kept.id)),
        (false, false) => Some(format!("{CONCERN}/{}", kept.id)),
        (_, true) => None,
    }
}

fn digest(house: &House, tasks: &[Task], words: &Words<'_>, key: &str, round: &mut AlertRound) {
    for person in &house.people {
        if !house.is_told(person) {
            continue;
        }
        let waits_for = |task: &&Task| {
            let is_theirs = house
                .owners(task.owner)
                .iter()
                .any(|one| one.id == person.id);
            (is_theirs || person.roles.contains(&task.owner)) && house.knows(person, task)
        };
        let waiting: Vec<&Task> = tasks.iter().filter(waits_for).collect();
        if let Some(mail) = words.of_morning(&waiting, house.today) {
            round.mails.push(mail.to(person, key));
        }
    }
}

/// What is over the bound is left for the next round, with the alert it belongs to.
fn bound(round: &mut AlertRound) {
    let mut counts: BTreeMap<OperatorId, usize> = BTreeMap::new();
    let mut left: BTreeSet<String> = BTreeSet::new();
    for mail in &round.mails {
        let count = counts.entry(mail.to).or_default();
        *count += 1;
        if *count > MOST_AT_ONCE {
            left.insert(mail.key.clone());
        }
    }
    let is_left = |key: &str| left.contains(key) || left.contains(&format!("{key}/passed-on"));
    round.mails.retain(|mail| !left.contains(&mail.key));
    round.made.retain(|(key, _)| !is_left(key));
    round.passed_on.retain(|key| !is_left(key));
}

/// E-mail that does not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub count: usize,
    /// When the oldest was written.
    pub since: Timestamp,
    /// What the last try came to.
    pub problem: String,
}

/// What was tried in vain for an hour, or is given up, as far as `person` may know of it; `None`: nothing. That somebody
/// raised a concern is known to those who read it.
pub async fn troubled(
    storage: &Storage,
    person: Option<&Operator>,
    now: Timestamp,
) -> Result<Option<Trouble>, StorageError> {
    let mails = storage.mail_list().await?;
    let knows = |mail: &&Mail| {
        let is_theirs = person.is_none_or(|person| mail.to == person.id);
        is_theirs || !is_of_concern(mail)
    };
    let late = mails.iter().filter(knows).filter(|mail| {
        let waited = now.duration_since(mail.made_at).abs() >= LATE_AFTER;
        mail.gave_up_at.is_some() || (mail.tries > 0 && waited)
    });
    let problem = |mail: &Mail| mail.problem.clone().unwrap_or_default();
    Ok(late.fold(None, |found: Option<Trouble>, mail| {
        Some(Trouble {
            count: found.as_ref().map_or(0, |found| found.count) + 1,
            since: found.map_or(mail.made_at, |found| found.since),
            problem: problem(mail),
        })
    }))
}

/// Whether it is there because somebody raised a concern, which is for its readers alone to know.
pub fn is_of_concern(mail: &Mail) -> bool {
    let of_concern = [CONCERN, UNREAD, UNDECIDED].map(|kind| format!("{kind}/"));
    of_concern.iter().any(|kind| mail.key.starts_with(kind))
}

/// Notes that somebody saw these tasks, of those that wait for them or for whom they stand in. Gives how many alerts nobody
/// had seen before.
pub async fn opened(
    storage: &Storage,
    person: &Operator,
    seen: &[&Task],
    now: Timestamp,
) -> Result<u64, StorageError> {
    let forget = now.checked_sub(REMEMBERED).unwrap_or(Timestamp::MIN);
    let known = storage.alert_list(forget).await?;
    let keys = seen.iter().flat_map(|task| keys_of(task)).filter(|key| {
        let alert = known.get(key);
        alert.is_some_and(|alert| alert.opened.is_none())
    });
    let keys: Vec<String> = keys.collect();
    // Looking at a page writes nothing where nothing is new.
    if keys.is_empty() {
        return Ok(0);
    }
    storage.alert_opened(&keys, &person.name, now).await
}

#[cfg(test)]
mod tests;
