#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::fresh;
use crate::domain::people;
use crate::domain::registers::concern::{self, Act, Raised};
use crate::domain::registers::incident::{Facts, Severity, illegal};
use crate::domain::registers::testing::{House, hand};
use crate::domain::registers::words::Words as Told;
use crate::storage::testing::{TestTablet, audit, now};
use crate::storage::{TaskDraft, TaskRound, TaskSubject};
use jiff::civil::date;
use nestwarden_policy_schema::id::{ChildId, TaskId};
use nestwarden_policy_schema::profile::EARLY_YEARS;
use proptest::prelude::*;
use uuid::Uuid;

const WORDS: Words<'_> = Words {
    setting: "Little Acorns",
    origin: "https://box.example:7444",
};

/// A nursery in which everybody has an address.
async fn house() -> (House, [Operator; 4]) {
    let house = House::new().await;
    let log = audit("p");
    let put = house
        .storage()
        .profile_put("early-years", 0, EARLY_YEARS, &log);
    put.await.unwrap();
    let people = [
        house.person("Dana", &[Role::Dsl]).await,
        house.person("Eve", &[Role::Deputy]).await,
        house.person("Kim", &[Role::Manager]).await,
        house.person("Sam", &[Role::ItAdmin]).await,
    ];
    for person in &people {
        let address = format!("{}@acorns.example", person.name);
        let set = set_address(house.storage(), person, Some(&address), "Kim", now());
        set.await.unwrap();
    }
    (house, people)
}

async fn task(house: &House, kind: TaskKind, owner: Role, due: Date) -> TaskId {
    let id = TaskId::from_uuid(fresh::ordered(now()));
    let round = TaskRound {
        drafts: vec![TaskDraft {
            id,
            key: id.to_string(),
            kind,
            subject: TaskSubject::default(),
            owner,
            due,
        }],
        ..TaskRound::default()
    };
    house.storage().task_round(&round, now()).await.unwrap();
    id
}

/// What one look at `at` puts by: for whom, and its subject.
async fn told(house: &House, at: Timestamp) -> Vec<(String, String)> {
    for mail in house.storage().mail_list().await.unwrap() {
        house.storage().mail_sent(&mail, at).await.unwrap();
    }
    let eight = Time::constant(8, 0, 0, 0);
    round(&house.registers(), &WORDS, eight, at).await.unwrap();
    let mails = house.storage().mail_list().await.unwrap();
    let told = mails.into_iter();
    let mut told: Vec<_> = told.map(|mail| (mail.name, mail.subject)).collect();
    told.sort();
    told
}

/// As [`told`], without the morning's.
async fn at_once(house: &House, at: Timestamp) -> Vec<String> {
    let all = told(house, at).await.into_iter();
    let at_once = all.filter(|(_, subject)| !subject.contains("to do"));
    at_once.map(|(name, _)| name).collect()
}

/// How many alerts this person is the first to see, who looks at every task.
async fn looks(house: &House, person: &Operator, at: Timestamp) -> u64 {
    let tasks = house.storage().task_list(WithClosed::No).await.unwrap();
    let all: Vec<&Task> = tasks.iter().collect();
    let seen = opened(house.storage(), person, &all, at).await;
    seen.unwrap()
}

fn hours(count: i64) -> Timestamp {
    now() + SignedDuration::from_hours(count)
}

#[tokio::test]
async fn a_photo_that_cannot_be_put_away_is_told_to_its_owner_at_once_and_once() {
    let (house, _) = house().await;
    task(
        &house,
        TaskKind::PhotoIncomplete,
        Role::Manager,
        date(2026, 3, 11),
    )
    .await;
    task(
        &house,
        TaskKind::SetPasscode,
        Role::Manager,
        date(2026, 3, 1),
    )
    .await;
    assert_eq!(at_once(&house, now()).await, ["Kim"]);
    assert_eq!(at_once(&house, hours(1)).await, [""; 0]);
}

#[tokio::test]
async fn what_the_dsl_did_not_look_at_within_four_hours_goes_on_to_deputies_once() {
    let (house, [dana, ..]) = house().await;
    task(&house, TaskKind::HoldReview, Role::Dsl, date(2026, 3, 9)).await;
    assert_eq!(at_once(&house, now()).await, ["Dana"]);
    assert_eq!(at_once(&house, hours(3)).await, [""; 0]);
    assert_eq!(at_once(&house, hours(4)).await, ["Eve"]);
    assert_eq!(at_once(&house, hours(9)).await, [""; 0]);

    task(&house, TaskKind::HoldReview, Role::Dsl, date(2026, 3, 8)).await;
    assert_eq!(at_once(&house, now()).await, ["Dana"]);
    assert_eq!(looks(&house, &dana, hours(1)).await, 2);
    assert_eq!(looks(&house, &dana, hours(1)).await, 0);
    assert_eq!(at_once(&house, hours(9)).await, [""; 0]);
}

#[tokio::test]
async fn what_was_not_among_what_somebody_saw_still_waits() {
    let (house, [dana, ..]) = house().await;
    let due = date(2026, 3, 11);
    task(&house, TaskKind::PhotoIncomplete, Role::Dsl, due).await;
    told(&house, now()).await;
    let nothing = opened(house.storage(), &dana, &[], now()).await;
    assert_eq!(nothing.unwrap(), 0);
    assert_eq!(at_once(&house, hours(4)).await, ["Eve"]);
}

#[tokio::test]
async fn an_alert_of_a_clock_that_was_ahead_goes_on_all_the_same() {
    let (house, _) = house().await;
    let due = date(2026, 3, 11);
    task(&house, TaskKind::PhotoIncomplete, Role::Dsl, due).await;
    assert_eq!(at_once(&house, hours(48)).await, ["Dana"]);
    assert_eq!(at_once(&house, now()).await, ["Eve"]);
}

#[tokio::test]
async fn that_a_mail_of_a_concern_does_not_arrive_is_said_to_its_reader_alone() {
    let (house, [dana, eve, kim, sam]) = house().await;
    let body = Told::default().text("body", "about Eve").unwrap();
    let registers = house.registers();
    let raised = concern::raise(&registers, &body, &[eve.id].into(), hand(&sam, now())).await;
    raised.unwrap();
    told(&house, now()).await;
    let storage = house.storage();
    let mail = &storage.mail_list().await.unwrap()[0];
    let failed = storage.mail_given_up(mail, "no such person", now());
    failed.await.unwrap();
    let hears = async |person| troubled(storage, person, now()).await.unwrap().is_some();
    assert!(hears(Some(&dana)).await && hears(None).await);
    assert!(!hears(Some(&eve)).await && !hears(Some(&kim)).await);
}

#[tokio::test]
async fn a_hold_is_told_when_its_review_is_overdue_and_not_before() {
    let (house, _) = house().await;
    task(&house, TaskKind::HoldReview, Role::Dsl, date(2026, 3, 10)).await;
    assert_eq!(at_once(&house, now()).await, [""; 0]);
    assert_eq!(at_once(&house, hours(24)).await, ["Dana"]);
}

#[tokio::test]
async fn a_deputy_who_covers_is_told_what_the_dsl_would_be() {
    let (house, _) = house().await;
    let days = Some((date(2026, 3, 10), date(2026, 3, 12)));
    let set = people::set_cover(house.storage(), "Eve", days, "Dana", now());
    set.await.unwrap();
    task(
        &house,
        TaskKind::PhotoIncomplete,
        Role::Dsl,
        date(2026, 3, 11),
    )
    .await;
    assert_eq!(at_once(&house, now()).await, ["Eve"]);
}

#[tokio::test]
async fn the_rest_comes_in_one_mail_on_the_morning_of_an_opening_day() {
    let (house, _) = house().await;
    for due in [date(2026, 3, 20), date(2026, 3, 12)] {
        task(&house, TaskKind::CourseEnds, Role::Manager, due).await;
    }
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let kim = vec![("Kim".to_owned(), "Little Acorns: 2 things to do".to_owned())];
    assert_eq!(told(&house, at("2026-03-10T07:59:00Z")).await, []);
    assert_eq!(told(&house, at("2026-03-10T08:00:00Z")).await, kim);
    let body = &house.storage().mail_list().await.unwrap()[0].body;
    assert!(
        body.starts_with("- 2 courses of staff run out, due 12 March.\n"),
        "{body}"
    );
    assert!(body.contains("https://box.example:7444/tasks"), "{body}");

    task(
        &house,
        TaskKind::AupOutstanding,
        Role::Manager,
        date(2026, 3, 9),
    )
    .await;
    assert_eq!(
        told(&house, at("2026-03-10T17:00:00Z")).await,
        [],
        "once a day"
    );
    assert_eq!(told(&house, at("2026-03-11T09:30:00Z")).await.len(), 1);
    let body = &house.storage().mail_list().await.unwrap()[0].body;
    assert!(body.contains("overdue since 9 March"), "{body}");
    assert_eq!(
        told(&house, at("2026-03-14T09:00:00Z")).await,
        [],
        "a Saturday"
    );
    // In summer the setting's eight is seven in UTC.
    assert_eq!(told(&house, at("2026-07-09T07:00:00Z")).await.len(), 1);
}

#[tokio::test]
async fn a_morning_on_which_nothing_waits_brings_nothing_later_that_day() {
    let (house, _) = house().await;
    assert_eq!(told(&house, now()).await, []);
    task(
        &house,
        TaskKind::CourseEnds,
        Role::Manager,
        date(2026, 3, 20),
    )
    .await;
    assert_eq!(told(&house, hours(1)).await, []);
}

#[tokio::test]
async fn a_concern_is_told_to_its_readers_alone_and_says_nothing_of_itself() {
    let (house, [dana, eve, _, sam]) = house().await;
    let body = Told::default().text("body", "about Eve").unwrap();
    let part = [eve.id].into();
    let raised = concern::raise(&house.registers(), &body, &part, hand(&sam, now())).await;
    let Raised::Kept(id) = raised.unwrap() else {
        panic!("nobody reads it");
    };
    let dana_alone = vec![(
        "Dana".to_owned(),
        "Little Acorns: something waits for you".to_owned(),
    )];
    assert_eq!(told(&house, now()).await, dana_alone);
    let body = &house.storage().mail_list().await.unwrap()[0].body;
    assert!(!body.to_lowercase().contains("concern that"), "{body}");
    assert_eq!(told(&house, hours(23)).await, []);
    assert_eq!(
        told(&house, hours(24)).await,
        dana_alone,
        "nobody has read it"
    );
    let (registers, nothing) = (house.registers(), Told::default());
    let by = hand(&dana, hours(25));
    let read = registers.add::<Concern>(id, &Act::Acknowledge, &nothing, by);
    read.await.unwrap();
    assert_eq!(told(&house, hours(26)).await, []);
    let week = hours(24 * 7 + 1);
    assert_eq!(told(&house, week).await, dana_alone, "nobody decided");
}

#[tokio::test]
async fn a_hold_that_somebody_is_not_told_of_is_in_no_mail_of_theirs() {
    let (house, [dana, eve, ..]) = house().await;
    let tablet = TestTablet::enrol(house.storage()).await;
    let device = house.storage().device_find(tablet.id).await.unwrap();
    let facts = Facts {
        happened_at: now(),
        noticed_at: now(),
        severity: Severity::Critical,
        device: Some(tablet.id),
    };
    let words = Told::default().text("facts", "seen").unwrap();
    let more = (&words, None, &[dana.id].into());
    let registers = house.registers();
    illegal::begin(&registers, device.as_ref(), facts, more, hand(&eve, now()))
        .await
        .unwrap();
    let hold = house.storage().hold_list().await.unwrap()[0].hold.id;
    let draft = |kind, due| TaskDraft {
        id: TaskId::from_uuid(fresh::ordered(now())),
        key: format!("{kind:?}"),
        kind,
        subject: TaskSubject {
            hold: Some(hold),
            ..TaskSubject::default()
        },
        owner: Role::Dsl,
        due,
    };
    let round = TaskRound {
        drafts: vec![draft(TaskKind::HoldReview, date(2026, 3, 1))],
        ..TaskRound::default()
    };
    house.storage().task_round(&round, now()).await.unwrap();
    assert_eq!(told(&house, now()).await, []);
    assert_eq!(at_once(&house, hours(4)).await, ["Eve"]);
}

#[tokio::test]
async fn whoever_goes_takes_their_address_and_mails_along() {
    let (house, _) = house().await;
    house.person("Ben", &[Role::Manager]).await;
    task(
        &house,
        TaskKind::PhotoIncomplete,
        Role::Manager,
        date(2026, 3, 11),
    )
    .await;
    assert_eq!(at_once(&house, now()).await, ["Kim"], "Ben has no address");
    people::remove(house.storage(), "Kim", "Dana", now())
        .await
        .unwrap();
    assert_eq!(house.storage().mail_list().await.unwrap(), []);
    assert_eq!(house.storage().address_list().await.unwrap().len(), 3);
}

#[tokio::test]
async fn more_than_a_round_may_tell_one_person_is_told_in_the_next() {
    let (house, _) = house().await;
    for _ in 0..=MOST_AT_ONCE {
        task(
            &house,
            TaskKind::PhotoIncomplete,
            Role::Manager,
            date(2026, 3, 11),
        )
        .await;
    }
    assert_eq!(at_once(&house, now()).await.len(), MOST_AT_ONCE);
    let rest = at_once(&house, now()).await.len() + at_once(&house, now()).await.len();
    assert_eq!(rest, 1);
}

#[tokio::test]
async fn an_address_is_refused_with_what_is_wrong_and_kept_as_it_was() {
    let (house, [dana, ..]) = house().await;
    let storage = house.storage();
    let refused = set_address(storage, &dana, Some("dana"), "Dana", now()).await;
    assert!(matches!(refused, Err(AddressError::NotOne(_))));
    assert_eq!(
        storage.address_list().await.unwrap()[&dana.id],
        "Dana@acorns.example"
    );
    let none = set_address(storage, &dana, None, "Dana", now()).await;
    assert_eq!(none.unwrap(), Changed::Yes);
    assert!(!storage.address_list().await.unwrap().contains_key(&dana.id));
    let logged = storage.audit_list(1).await.unwrap();
    assert_eq!(logged[0].act, "operator.address");
    assert!(!logged[0].detail.to_string().contains("acorns.example"));
}

#[test]
fn what_is_no_address_is_told_apart() {
    for good in [
        "dana@acorns.example",
        "d.l+box@mail.acorns.example",
        "0_0@a-b.example",
    ] {
        assert!(is_address(good), "{good}");
    }
    for bad in [
        "",
        "dana",
        "@acorns.example",
        "dana@acorns",
        "dana@.example",
        "dana@-a.example",
        ".d@a.example",
        "d..l@a.example",
        "d l@a.example",
        "d@a.example\r\nBcc: x@y.example",
        "<d@a.example>",
        "d@a.example,e@a.example",
        "dána@acorns.example",
    ] {
        assert!(!is_address(bad), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_mail_says_whom_or_which_photo_a_task_is_about(
        child in any::<u128>(), kind in 0..KINDS.len(), overdue in -5i8..5,
    ) {
        let kind = KINDS[kind];
        let child = ChildId::from_uuid(Uuid::from_u128(child));
        let today = date(2026, 3, 10);
        let due = today.saturating_add(jiff::Span::new().days(overdue));
        let task = Task {
            id: TaskId::from_uuid(Uuid::from_u128(1)),
            key: "key/A-17".to_owned(),
            kind,
            subject: TaskSubject {
                child: Some(child),
                file: Some("A-17.csv".to_owned()),
                ..TaskSubject::default()
            },
            owner: Role::Manager,
            due,
            created_at: now(),
            closed: None,
        };
        let one = WORDS.of_task(&task, today);
        let two = WORDS.of_morning(&[&task, &task], today).unwrap();
        let someone = Operator {
            id: OperatorId::from_uuid(Uuid::from_u128(2)),
            name: "Kim".to_owned(),
            roles: BTreeSet::new(),
            created_at: now(),
        };
        for said in [one, two] {
            let mail = said.to(&someone, "key");
            let text = format!("{}\n{}", mail.subject, mail.body);
            for named in ["A-17", "Kim", &child.to_string()] {
                prop_assert!(!text.contains(named), "{text}");
            }
        }
    }
}

const KINDS: [TaskKind; 25] = [
    TaskKind::RolloutStopped,
    TaskKind::TabletLost,
    TaskKind::AppsUnapproved,
    TaskKind::AppDecision,
    TaskKind::AppReview,
    TaskKind::TakeDown,
    TaskKind::Withdrawal,
    TaskKind::ConsentConflicted,
    TaskKind::ConsentExpiring,
    TaskKind::ChildDied,
    TaskKind::ChildMissing,
    TaskKind::LeaversPack,
    TaskKind::HoldReview,
    TaskKind::PhotoIncomplete,
    TaskKind::UnregisteredPerson,
    TaskKind::PhotosUntagged,
    TaskKind::ImportWaits,
    TaskKind::SetPasscode,
    TaskKind::AskPasscode,
    TaskKind::CourseEnds,
    TaskKind::AupOutstanding,
    TaskKind::CustodyOverdue,
    TaskKind::PinOnTwoTablets,
    TaskKind::EndAccess,
    TaskKind::TabletMissing,
];
