//! What only this server has on record: which tablets it heard, the register, tasks and holds, as they were at an instant.

use super::figures::{
    Heard, OpenTasks, ProfileThen, RegisterFigures, ServerFigures, TabletOnServer, Withdrawal,
};
use super::period::Days;
use super::{median, minutes, registers};
use crate::domain::register::Register;
use crate::storage::{Device, Role, Storage, StorageError, Task, TaskKind, ToldHour, WithClosed};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::consent::record::resolve;
use nestwarden_policy_schema::consent::{ConsentRecord, ConsentState, Purpose};
use nestwarden_policy_schema::id::ConsentId;
use nestwarden_policy_schema::profile::PolicyProfile;
use std::collections::{BTreeMap, BTreeSet};

const EXPIRING_DAYS: u32 = 30;
/// Of one period. A file every hour for a year is fewer.
const MOST_IMPORTS: u32 = 10_000;
/// Silence is counted no further back.
const MOST_SILENT_DAYS: usize = 400;

pub(super) struct Asked<'a> {
    /// In the order of their ids, and with them how many of their events came late.
    pub(super) devices: &'a [Device],
    pub(super) late: &'a [u64],
    pub(super) calendar: Option<&'a Calendar>,
    pub(super) days: &'a Days,
    /// Of the period, or today where it is not over.
    pub(super) last_day: Date,
    pub(super) withdrawn: Vec<(ConsentId, Timestamp)>,
}

pub(super) async fn gather(
    storage: &Storage,
    asked: &Asked<'_>,
) -> Result<ServerFigures, StorageError> {
    let ends = asked.days.ends();
    let hours_since = hours_since(storage).await?;
    let mut tablets = Vec::new();
    for (device, came_late) in asked.devices.iter().zip(asked.late) {
        tablets.push(tablet(storage, asked, device, *came_late, hours_since).await?);
    }
    let register = Register::load(storage).await?;
    let mut holds = storage.hold_list().await?;
    holds.retain(|row| {
        row.hold.opened_at < ends
            && row
                .released
                .as_ref()
                .is_none_or(|released| released.at >= ends)
    });
    let past_review = holds.iter().filter(|row| row.hold.review_by < ends).count();
    Ok(ServerFigures {
        hours_since,
        closed_days: asked.calendar.map(|calendar| {
            let days = asked.days.iter().map(|(day, _, _)| day);
            days.filter(|day| !calendar.is_opening_day(*day)).collect()
        }),
        tablets,
        tasks: tasks(storage.task_list(WithClosed::Yes).await?, asked),
        register: register_figures(storage, &register, asked).await?,
        holds_open: holds.len() as u64,
        holds_past_review: past_review as u64,
        withdrawal: withdrawal(&register, &asked.withdrawn),
        custody: registers::custody(storage, asked.calendar, ends).await?,
        aup: registers::aup(storage, asked.last_day, ends).await?,
    })
}

async fn hours_since(storage: &Storage) -> Result<Option<Timestamp>, StorageError> {
    let mut since = None;
    // Also of tablets that are not in this report: that hours are noted is known from any of them.
    for device in storage.device_list().await? {
        let first = storage.told_first(device.id).await?;
        let first = first.map(|hour| hour.first_at);
        since = [since, first].into_iter().flatten().min();
    }
    Ok(since)
}

async fn tablet(
    storage: &Storage,
    asked: &Asked<'_>,
    device: &Device,
    came_late: u64,
    hours_since: Option<Timestamp>,
) -> Result<TabletOnServer, StorageError> {
    let (begins, ends) = (asked.days.begins(), asked.days.ends());
    let revoked_at = device.revoked.as_ref().map(|revoked| revoked.at);
    let hours = storage.told_hours(device.id, begins, ends).await?;
    let day = |begins: Timestamp, ends: Timestamp| {
        let out = device.enrolled_at >= ends || revoked_at.is_some_and(|at| at <= begins);
        if begins >= asked.days.ends() {
            Heard::Ahead
        } else if out {
            Heard::NotInUse
        } else {
            heard(&hours, begins, ends, hours_since)
        }
    };
    let days = asked.days.iter().map(|(_, begins, ends)| day(begins, ends));
    let last = storage.told_before(device.id, ends).await?;
    let last_at = last.map(|hour| hour.last_at.min(ends));
    let in_use = revoked_at.is_none_or(|at| at >= ends);
    // What came before hours were noted is not known: silence counts from there.
    let silent_since = last_at.max(Some(device.enrolled_at)).max(hours_since);
    let silent = asked
        .calendar
        .zip(silent_since)
        .filter(|_| in_use && hours_since.is_some_and(|since| since < ends))
        .map(|(calendar, since)| contact_minutes(calendar, since, ends));
    let conflict = storage.conflict_find(device.id).await?;
    let history = storage.profile_history(&device.profile).await?;
    let then = history
        .into_iter()
        .find(|version| version.applied_at < ends);
    let refused_since = conflict
        .filter(|c| c.since < ends && c.over_at.is_none_or(|over| over > begins))
        .map(|c| c.since);
    let early = storage.rollout_then(device.id, ends).await?;
    let (early, early_since) = early.unzip();
    Ok(TabletOnServer {
        device: device.id,
        name: device.name.clone(),
        enrolled_at: device.enrolled_at,
        revoked_at: revoked_at.filter(|at| *at < ends),
        days: days.collect(),
        told_at: last_at,
        measured_at: last.and_then(|hour| hour.measured_at),
        silent_contact_minutes: silent,
        encryption_asked: then
            .as_ref()
            .and_then(|then| encryption_asked(early.as_ref().unwrap_or(&then.source), device)),
        profile: then.map(|then| ProfileThen {
            name: then.name,
            version: then.version,
            applied_at: then.applied_at,
            early_since,
        }),
        came_late,
        refused_since,
    })
}

fn heard(
    hours: &[ToldHour],
    begins: Timestamp,
    ends: Timestamp,
    hours_since: Option<Timestamp>,
) -> Heard {
    let mut of_day = hours
        .iter()
        .filter(|hour| hour.first_at < ends && hour.last_at >= begins)
        .peekable();
    if of_day.peek().is_none() {
        return match hours_since {
            Some(since) if since < ends => Heard::Nothing,
            Some(_) | None => Heard::NotRecorded,
        };
    }
    let of_that_day = |at: Timestamp| begins <= at && at < ends;
    if of_day.any(|hour| hour.measured_at.is_some_and(of_that_day)) {
        Heard::Measured
    } else {
        Heard::Told
    }
}

/// Of the calendar as it is now.
fn contact_minutes(calendar: &Calendar, since: Timestamp, ends: Timestamp) -> u64 {
    let (first, last) = (calendar.local_date(since), calendar.local_date(ends));
    let days = std::iter::successors(Some(last), |day| day.yesterday().ok());
    let contact = days
        .take_while(|day| *day >= first)
        .take(MOST_SILENT_DAYS)
        .flat_map(|day| calendar.contact_on(day))
        .map(|(from, to)| to.min(ends).duration_since(from.max(since)))
        .filter(SignedDuration::is_positive);
    minutes(contact.fold(SignedDuration::ZERO, |sum, stretch| {
        sum.saturating_add(stretch)
    }))
}

/// With its overrides as they are.
fn encryption_asked(source: &str, device: &Device) -> Option<bool> {
    let profile = PolicyProfile::from_toml(source).ok()?;
    let storage = profile.policy_with(&device.overrides).storage;
    Some(storage.is_some_and(|policy| policy.require_encryption))
}

fn tasks(tasks: Vec<Task>, asked: &Asked<'_>) -> Vec<OpenTasks> {
    let ends = asked.days.ends();
    let open = tasks.into_iter().filter(|task| {
        task.created_at < ends && task.closed.as_ref().is_none_or(|closed| closed.at >= ends)
    });
    let mut by_kind: BTreeMap<(TaskKind, Role), OpenTasks> = BTreeMap::new();
    for task in open {
        let of_kind = by_kind.entry((task.kind, task.owner)).or_insert(OpenTasks {
            kind: task.kind,
            owner: task.owner,
            tasks: 0,
            photos: 0,
            first_due: task.due,
            overdue: 0,
        });
        of_kind.tasks += 1;
        of_kind.photos += task.subject.photos.len() as u64;
        of_kind.first_due = of_kind.first_due.min(task.due);
        of_kind.overdue += u64::from(task.due < asked.last_day);
    }
    by_kind.into_values().collect()
}

async fn register_figures(
    storage: &Storage,
    register: &Register,
    asked: &Asked<'_>,
) -> Result<RegisterFigures, StorageError> {
    let (begins, ends) = (asked.days.begins(), asked.days.ends());
    let known = |record: &&ConsentRecord| record.recorded_at < ends;
    let records = || register.records.values().flatten().filter(known);
    let purposes: BTreeSet<Purpose> = records().map(|record| record.purpose).collect();
    let mut found = RegisterFigures::default();
    let expiring = Calendar::plus_days(asked.last_day, EXPIRING_DAYS);
    for child in &register.children {
        let entry = &child.entry;
        let left = entry
            .leaves
            .is_some_and(|leaving| leaving.date < asked.last_day);
        if left || entry.has_died() || entry.starts.is_some_and(|day| day > asked.last_day) {
            continue;
        }
        found.children += 1;
        found.answers_possible += purposes.len() as u64;
        let standings = resolve(register.records_of(child.id).iter().filter(known));
        for standing in standings.values() {
            found.answers += u64::from(standing.state != ConsentState::Unanswered);
            let ends_soon = standing.state == ConsentState::Given
                && standing
                    .valid_until
                    .is_some_and(|day| asked.last_day <= day && day <= expiring);
            found.expiring_30_days += u64::from(ends_soon);
        }
    }
    let imports = storage
        .audit_of("consent.import", ends, MOST_IMPORTS)
        .await?;
    found.last_import_at = imports.first().map(|import| import.at);
    found.import_age_days = found
        .last_import_at
        .map(|at| u64::try_from(ends.duration_since(at).as_hours() / 24).unwrap_or(0));
    for import in imports.iter().take_while(|import| import.at >= begins) {
        found.imports += 1;
        let refused = import.detail.pointer("/counts/refused_rows");
        found.rows_refused += refused.and_then(serde_json::Value::as_u64).unwrap_or(0);
    }
    Ok(found)
}

fn withdrawal(register: &Register, withdrawn: &[(ConsentId, Timestamp)]) -> Withdrawal {
    let records: BTreeMap<ConsentId, &ConsentRecord> = register
        .records
        .values()
        .flatten()
        .map(|record| (record.id, record))
        .collect();
    let mut to_record = Vec::new();
    let mut to_sealed = Vec::new();
    for (consent, sealed_at) in withdrawn {
        let Some(record) = records.get(consent) else {
            continue;
        };
        let said = record.withdrawn_at.or(record.answered_at);
        // A date alone means the end of that day, and what is written down before then counts at once.
        let said = said.map_or(record.recorded_at, |at| at.min(record.recorded_at));
        to_record.push(record.recorded_at.duration_since(said));
        to_sealed.push(sealed_at.duration_since(said));
    }
    to_sealed.sort_unstable();
    Withdrawal {
        photos: to_sealed.len() as u64,
        longest_to_record_minutes: to_record.into_iter().max().map(minutes),
        median_minutes: median(&to_sealed),
        longest_minutes: to_sealed.last().copied().map(minutes),
    }
}
