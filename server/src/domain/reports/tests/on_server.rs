//! What only this server has on record, as it was at the end of a period and not as it is now.

use crate::domain::reports::figures::{Heard, OpenTasks, RegisterFigures, Withdrawal};
use crate::domain::reports::lines::{Level, sections};
use crate::domain::reports::{Report, make};
use crate::storage::hold::HoldAct;
use crate::storage::task::{Closing, TaskDraft, TaskRound, TaskSubject};
use crate::storage::testing::{
    TestStorage, TestTablet, audit, child, destroyed, device, given, photo_id, told,
};
use crate::storage::{
    AuditEntry, Changed, Device, HoldRow, RegisterChange, RegisterPut, Role, TaskKind,
};
use jiff::Timestamp;
use nestwarden_policy_schema::consent::{ConsentRecord, ConsentState, Purpose};
use nestwarden_policy_schema::control::{ControlName, ControlReport, Outcome};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::hold::{Hold, HoldCategory, HoldScope};
use nestwarden_policy_schema::id::{HoldId, TaskId};
use nestwarden_policy_schema::profile::EARLY_YEARS;
use uuid::Uuid;

pub(crate) fn at(text: &str) -> Timestamp {
    format!("2026-03-{text}:00Z").parse().unwrap()
}

pub(super) fn by(act: &str, when: &str) -> AuditEntry {
    AuditEntry {
        at: at(when),
        ..audit(act)
    }
}

/// Two tablets, one profile.
pub(crate) async fn setting() -> (TestStorage, TestTablet, TestTablet) {
    let test = TestStorage::create().await;
    let storage = &test.storage;
    let applied = by("profile.apply", "01T08:00");
    storage
        .profile_put("early-years", 0, EARLY_YEARS, &applied)
        .await
        .unwrap();
    let enrol = async |name: &str| {
        let device = Device {
            name: name.to_owned(),
            enrolled_at: at("01T09:00"),
            ..device("early-years")
        };
        TestTablet::enrol_as(storage, device).await
    };
    let (one, other) = (enrol("Ladybird-1").await, enrol("Robin-1").await);
    (test, one, other)
}

async fn report(test: &TestStorage, period: &str) -> Report {
    let period = period.parse().unwrap();
    let made = "2026-04-01T08:00:00Z".parse().unwrap();
    make(&test.storage, "Little Acorns", period, None, made)
        .await
        .unwrap()
}

const FIRST_WEEK: &str = "2026-03-02..2026-03-08";
const SECOND_WEEK: &str = "2026-03-09..2026-03-15";

async fn put(test: &TestStorage, records: Vec<ConsentRecord>, audit: &AuditEntry) {
    let change = RegisterChange {
        children: vec![child(1), child(2), child(3)],
        records,
        import_key: None,
    };
    let version = test.storage.inputs_version().await.unwrap();
    let put = test.storage.register_change(&change, version, audit).await;
    assert_eq!(put.unwrap(), RegisterPut::Done);
}

#[tokio::test]
async fn the_register_is_counted_as_it_was_at_the_end() {
    let (test, ..) = setting().await;
    let import = |when: &str, refused: u64| AuditEntry {
        detail: serde_json::json!({ "counts": { "refused_rows": refused } }),
        ..by("consent.import", when)
    };
    let purpose = Purpose::Website;
    let ends_soon = ConsentRecord {
        valid_until: Some("2026-04-07".parse().unwrap()),
        ..given(1, purpose, at("03T09:00"))
    };
    let later = vec![given(2, Purpose::Press, at("11T09:00"))];
    put(&test, vec![ends_soon], &import("03T09:00", 2)).await;
    put(&test, later, &import("11T09:00", 1)).await;
    let first = report(&test, FIRST_WEEK).await.server.register;
    let imported = RegisterFigures {
        children: 3,
        answers_possible: 3,
        answers: 1,
        expiring_30_days: 1,
        last_import_at: Some(at("03T09:00")),
        import_age_days: Some(5),
        imports: 1,
        rows_refused: 2,
    };
    assert_eq!(first, imported);
    let second = report(&test, SECOND_WEEK).await.server.register;
    let grown = RegisterFigures {
        answers_possible: 6,
        answers: 2,
        last_import_at: Some(at("11T09:00")),
        import_age_days: Some(4),
        rows_refused: 1,
        ..imported
    };
    assert_eq!(second, grown);
}

#[tokio::test]
async fn holds_and_tasks_are_those_that_were_open_at_the_end() {
    let (test, ..) = setting().await;
    let storage = &test.storage;
    let id = HoldId::from_uuid(Uuid::from_u128(5));
    let row = HoldRow {
        hold: Hold {
            id,
            scope: HoldScope::Photo { photo: photo_id(1) },
            category: HoldCategory::Complaint,
            opened_at: at("04T09:00"),
            review_by: at("06T09:00"),
        },
        opened_by: "Dana Lead".to_owned(),
        release_requested: None,
        released: None,
    };
    storage.hold_open(&row, &by("h", "04T09:00")).await.unwrap();
    let act = |by: &str| HoldAct {
        by: by.to_owned(),
        at: at("11T09:00"),
    };
    let (lead, manager, log) = (act("Dana Lead"), act("Kim Manager"), by("h", "11T09:00"));
    let asked = storage.hold_request_release(id, &lead, &log).await;
    assert_eq!(asked.unwrap(), Changed::Yes);
    let released = storage.hold_release(id, &manager, &log).await;
    assert_eq!(released.unwrap(), Changed::Yes);
    let draft = |number: u128, due: &str| TaskDraft {
        id: TaskId::from_uuid(Uuid::from_u128(number)),
        key: number.to_string(),
        kind: TaskKind::TakeDown,
        subject: TaskSubject {
            photos: [photo_id(number), photo_id(9)].into(),
            ..TaskSubject::default()
        },
        owner: Role::Manager,
        due: due.parse().unwrap(),
    };
    let round = |drafts| TaskRound {
        drafts,
        ..TaskRound::default()
    };
    let drafts = vec![draft(1, "2026-03-07"), draft(2, "2026-03-20")];
    storage
        .task_round(&round(drafts), at("04T09:00"))
        .await
        .unwrap();
    let later = vec![draft(3, "2026-03-21")];
    storage
        .task_round(&round(later), at("10T09:00"))
        .await
        .unwrap();
    let closing = Closing {
        at: at("10T10:00"),
        by: "Kim Manager".to_owned(),
        note: String::new(),
    };
    let first_task = TaskId::from_uuid(Uuid::from_u128(1));
    let log = by("t", "10T10:00");
    let closed = storage.task_close(first_task, &closing, &log).await;
    assert_eq!(closed.unwrap(), Changed::Yes);

    let first = report(&test, FIRST_WEEK).await.server;
    assert_eq!((first.holds_open, first.holds_past_review), (1, 1));
    let open = OpenTasks {
        kind: TaskKind::TakeDown,
        owner: Role::Manager,
        tasks: 2,
        photos: 4,
        first_due: "2026-03-07".parse().unwrap(),
        overdue: 1,
    };
    assert_eq!(first.tasks, std::slice::from_ref(&open));
    let second = report(&test, SECOND_WEEK).await.server;
    assert_eq!((second.holds_open, second.holds_past_review), (0, 0));
    let open = OpenTasks {
        first_due: "2026-03-20".parse().unwrap(),
        overdue: 0,
        ..open
    };
    assert_eq!(second.tasks, [open]);
}

#[tokio::test]
async fn a_withdrawal_is_timed_from_the_parents_word_to_the_sealed_photo() {
    let (test, mut tablet, _) = setting().await;
    let record = ConsentRecord {
        state: ConsentState::Withdrawn,
        withdrawn_at: Some(at("03T09:00")),
        recorded_at: at("04T10:00"),
        ..given(1, Purpose::Website, at("02T09:00"))
    };
    let mut told = destroyed(photo_id(1), child(1).id);
    if let EventBody::Destroyed { receipt } = &mut told {
        receipt.consent = Some(record.id);
        receipt.sealed_at = Some(at("04T12:00"));
        receipt.destroyed_at = at("06T12:00");
    }
    put(&test, vec![record], &by("consent.withdraw", "04T10:00")).await;
    let batch = tablet.batch_at(&[(at("06T12:00"), told)], at("06T12:01"));
    test.storage.event_append(batch).await.unwrap();
    let found = report(&test, FIRST_WEEK).await.server.withdrawal;
    let timed = Withdrawal {
        photos: 1,
        longest_to_record_minutes: Some(25 * 60),
        median_minutes: Some(27 * 60),
        longest_minutes: Some(27 * 60),
    };
    assert_eq!(found, timed);
    let none = report(&test, SECOND_WEEK).await.server.withdrawal;
    assert_eq!(none, Withdrawal::default());
}

async fn tells(test: &TestStorage, tablet: &TestTablet, when: &str, measured: &str) {
    let stored = told(
        at(when),
        vec![ControlReport {
            control: ControlName::Radios,
            outcome: Outcome::Compliant,
            measured_at: at(measured),
        }],
    );
    test.storage
        .inventory_put(tablet.id, &stored)
        .await
        .unwrap();
}

#[tokio::test]
async fn silence_counts_in_contact_time_and_an_old_reading_measures_nothing() {
    let (test, one, other) = setting().await;
    tells(&test, &one, "02T09:00", "02T08:59").await;
    for day in ["02", "03", "04", "05", "06"] {
        tells(&test, &other, &format!("{day}T17:00"), "03T16:00").await;
    }
    let of = |report: &Report, name: &str| {
        let tablets = report.server.tablets.iter();
        tablets
            .filter(|t| t.name == name)
            .cloned()
            .collect::<Vec<_>>()
            .remove(0)
    };
    let first = report(&test, FIRST_WEEK).await;
    let silent = of(&first, "Ladybird-1");
    // From 9 to half past six, and four days of eleven hours.
    assert_eq!(
        silent.silent_contact_minutes,
        Some(9 * 60 + 30 + 4 * 11 * 60)
    );
    assert_eq!(silent.told_at, Some(at("02T09:00")));
    assert_eq!(silent.measured_at, Some(at("02T08:59")));
    assert_eq!(silent.days[..2], [Heard::Measured, Heard::Nothing]);
    let stale = of(&first, "Robin-1");
    let told = [
        Heard::Told,
        Heard::Measured,
        Heard::Told,
        Heard::Told,
        Heard::Told,
    ];
    assert_eq!(stale.days[..5], told);
    assert_eq!(stale.silent_contact_minutes, Some(90));
    let judged = |report: &Report| {
        let all = sections(report);
        let mut lines = all.iter().flat_map(|section| &section.lines);
        let line = lines.find(|line| line.name.starts_with("Without a report"));
        let line = line.unwrap();
        (line.level, line.note.clone())
    };
    let (level, note) = judged(&first);
    assert_eq!(
        (level, note.as_str()),
        (Level::Amber, "Ladybird-1: 53 h 30 min.")
    );
    let (level, _) = judged(&report(&test, SECOND_WEEK).await);
    assert_eq!(level, Level::Red);
}
