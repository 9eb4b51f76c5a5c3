#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::subject_access::{self, ExportError};
use crate::domain::{hold, task};
use crate::storage::RegisterChange;
use crate::storage::testing::{
    TestStorage, TestTablet, audit, child, destroyed, given, known, now, photo_id,
};
use jiff::SignedDuration;
use nestwarden_policy_schema::consent::{ConsentState, Tagging};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::OperatorId;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use uuid::Uuid;

fn later() -> Timestamp {
    now() + SignedDuration::from_hours(2)
}

fn dsl() -> Operator {
    Operator {
        id: OperatorId::from_uuid(Uuid::new_v4()),
        name: "D".to_owned(),
        roles: [Role::Dsl].into(),
        created_at: now(),
    }
}

/// Photos 1 (of both children) and 2 (of the first) on a tablet; the first child's website consent went, and photo 2
/// with it.
async fn world() -> TestStorage {
    world_and_tablet().await.0
}

async fn world_and_tablet() -> (TestStorage, TestTablet) {
    let test = TestStorage::create().await;
    let storage = &test.storage;
    let act = audit("p");
    storage
        .profile_put("early-years", 0, EARLY_YEARS, &act)
        .await
        .unwrap();
    let mut tablet = TestTablet::enrol(storage).await;
    let write = |children, records| async move {
        let change = RegisterChange {
            children,
            records,
            import_key: None,
        };
        let act = audit("c");
        let version = storage.inputs_version().await.unwrap();
        storage
            .register_change(&change, version, &act)
            .await
            .unwrap();
    };
    let records = [1, 2]
        .into_iter()
        .flat_map(|child| Purpose::ALL.map(|purpose| given(child, purpose, now())));
    write(vec![child(1), child(2)], records.collect()).await;
    let told = [
        known(tablet.id, 1, &[1, 2], Tagging::Complete),
        known(tablet.id, 2, &[1], Tagging::Complete),
        known(tablet.id, 3, &[2], Tagging::Complete),
    ];
    let batch = tablet.batch_of(&told);
    storage.event_append(batch).await.unwrap();
    task::round(storage, now()).await.unwrap();
    let at = now() + SignedDuration::from_hours(1);
    let mut withdrawn = given(1, Purpose::Website, at);
    withdrawn.state = ConsentState::Withdrawn;
    withdrawn.withdrawn_at = Some(at);
    write(vec![], vec![withdrawn]).await;
    let gone = destroyed(photo_id(2), child(1).id);
    let batch = tablet.batch_of(&[gone]);
    storage.event_append(batch).await.unwrap();
    task::round(storage, later()).await.unwrap();
    (test, tablet)
}

async fn letter(test: &TestStorage, reference: &str) -> Letter {
    write(
        &test.storage,
        "Little Acorns",
        reference,
        Word::Anybody("D"),
        later(),
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn parents_read_what_went_from_where_and_what_we_cannot_reach() {
    let test = world().await;
    insta::assert_snapshot!(letter(&test, "A1").await.to_text(), @r"
    Little Acorns, 2026-03-10

    To the parents or carers of First1 Last1

    This letter says what became of photos that show First1 on the tablets we manage.

    Photos removed from tablets we manage: 1. Each was deleted and not found on re-scan.
    • Robins 1: 1 photo, last checked on 2026-03-10

    1 photo: on our tablets, used only as you agreed.

    What tablets cannot reach (a website, a journal, a wall, a print) a person has to take down. It is not deleted by us until that person says so:
    • the website: 2 photos; we asked the manager on 2026-03-10; not reported as done yet

    Prints and copies that others made, and photos changed by another program, we cannot find. Please tell us if you see one. You may ask for everything we hold about your child, and withdraw consent at any time.
    ");
}

#[tokio::test]
async fn a_letter_tells_what_is_locked_away_from_what_is_out_of_use_and_from_what_only_may_show_the_child()
 {
    let (test, mut tablet) = world_and_tablet().await;
    let stage = |photo, to| EventBody::PhotoStage {
        photo: photo_id(photo),
        from: Stage::Live,
        to,
        cause: None,
        observed_only: false,
    };
    let told = [
        known(tablet.id, 4, &[1], Tagging::Complete),
        known(tablet.id, 5, &[1], Tagging::Complete),
        known(tablet.id, 6, &[2], Tagging::Partial),
        known(tablet.id, 7, &[], Tagging::Untagged),
        known(tablet.id, 8, &[], Tagging::Untagged),
        stage(4, Stage::Withheld),
        stage(5, Stage::Sealed),
        stage(6, Stage::Withheld),
        stage(7, Stage::Sealed),
    ];
    let batch = tablet.batch_of(&told);
    test.storage.event_append(batch).await.unwrap();
    let found = letter(&test, "A1").await;
    assert_eq!((found.withheld, found.sealed), (1, 1));
    assert_eq!((found.possible, found.in_use), (2, 1));
    let says = found.to_text();
    assert!(says.contains("1 photo: out of use"), "{says}");
    assert!(says.contains("1 photo: locked away"), "{says}");
    assert!(says.contains("2 photos may show First1 or not"), "{says}");
}

#[tokio::test]
async fn a_frozen_photo_that_is_still_where_it_was_is_not_said_to_be_out_of_use() {
    let test = world().await;
    let scope = HoldScope::Photo { photo: photo_id(1) };
    let category = HoldCategory::IllegalContent;
    hold::open(&test.storage, scope, category, 7, &dsl(), now())
        .await
        .unwrap();
    let by = dsl();
    let word = Word::Dsl(&by);
    let found = write(&test.storage, "Little Acorns", "A1", word, later())
        .await
        .unwrap();
    assert_eq!((found.held, found.frozen, found.in_use), (0, 1, 0));
    let says = found.to_text();
    assert!(says.contains("1 photo: kept unchanged"), "{says}");
    assert!(!says.contains("out of use"), "{says}");
}

#[tokio::test]
async fn a_use_that_was_given_again_is_not_said_to_be_ended() {
    let (test, _tablet) = world_and_tablet().await;
    let at = later() + SignedDuration::from_mins(1);
    let change = RegisterChange {
        children: vec![],
        records: vec![given(1, Purpose::Website, at)],
        import_key: None,
    };
    let version = test.storage.inputs_version().await.unwrap();
    let act = audit("c");
    let put = test.storage.register_change(&change, version, &act);
    put.await.unwrap();
    task::round(&test.storage, at).await.unwrap();
    let found = letter(&test, "A1").await;
    assert_eq!(found.beyond_reach, vec![]);
}

#[tokio::test]
async fn no_letter_goes_to_the_parents_of_a_child_who_died() {
    let test = world().await;
    let manager = Operator {
        roles: [Role::Manager].into(),
        ..dsl()
    };
    let on = jiff::civil::date(2026, 3, 9);
    crate::domain::child::died(&test.storage, "A1", on, &manager, later())
        .await
        .unwrap();
    let refused = write(
        &test.storage,
        "Little Acorns",
        "A1",
        Word::Anybody("D"),
        later(),
    )
    .await;
    assert!(matches!(refused, Err(LetterError::Died(child)) if child == "A1"));
    assert!(!letter(&test, "A2").await.to_text().is_empty());
}

#[tokio::test]
async fn a_letter_names_no_other_child() {
    let test = world().await;
    for page in [
        letter(&test, "A1").await.to_text(),
        letter(&test, "A1").await.to_html(),
    ] {
        assert!(!page.contains("First2") && !page.contains("Last2") && !page.contains("A2"));
        assert!(!page.contains(&child(2).id.to_string()));
    }
    let log = test.storage.audit_list(1).await.unwrap();
    assert_eq!(log[0].act, "child.letter");
}

#[tokio::test]
async fn what_people_wrote_stays_text_in_a_page() {
    let test = world().await;
    let mut letter = letter(&test, "A1").await;
    letter.first_name = "<b>&\"".to_owned();
    assert!(letter.to_html().contains("&lt;b&gt;&amp;&quot;"));
    assert!(!letter.to_html().contains("<b>"));
}

#[tokio::test]
async fn an_export_lists_what_shows_others_as_to_be_looked_at_and_holds_nothing_of_them() {
    let test = world().await;
    let export = subject_access::gather(&test.storage, "A1", &dsl(), later())
        .await
        .unwrap();
    assert_eq!(
        (export.photos, export.needs_review, export.is_held),
        (2, 1, false)
    );
    for (name, bytes) in &export.members {
        let member = String::from_utf8(bytes.clone()).unwrap();
        assert!(!member.contains(&child(2).id.to_string()), "{name}");
        assert!(
            !member.contains("Last2") && !member.contains("A2"),
            "{name}"
        );
        let listed = export.manifest.members.iter().find(|m| m.name == *name);
        let digest = nestwarden_policy_schema::bytes::Digest::sha256(bytes);
        assert_eq!(listed.unwrap().sha256, digest);
    }
}

#[tokio::test]
async fn an_export_is_refused_while_a_freeze_covers_the_child() {
    let test = world().await;
    let scope = HoldScope::Photo { photo: photo_id(1) };
    let category = HoldCategory::IllegalContent;
    hold::open(&test.storage, scope, category, 7, &dsl(), now())
        .await
        .unwrap();
    let refused = subject_access::gather(&test.storage, "A1", &dsl(), later()).await;
    assert!(matches!(refused, Err(ExportError::Frozen(_))));
}

#[tokio::test]
async fn no_letter_tells_a_family_of_a_hold_that_they_must_not_hear_of() {
    let scopes = [
        HoldScope::Photo { photo: photo_id(1) },
        HoldScope::Child { child: child(1).id },
    ];
    for category in [
        HoldCategory::IllegalContent,
        HoldCategory::Police,
        HoldCategory::Safeguarding,
    ] {
        for scope in &scopes {
            let test = world().await;
            hold::open(&test.storage, scope.clone(), category, 7, &dsl(), now())
                .await
                .unwrap();
            let refused = write(
                &test.storage,
                "Little Acorns",
                "A1",
                Word::Anybody("D"),
                later(),
            )
            .await;
            let says = refused.unwrap_err().to_string();
            assert!(says.contains("speak to the DSL"), "{says}");
            assert!(!says.contains("hold"), "{says}");
            let log = test.storage.audit_list(1).await.unwrap();
            assert_eq!(log[0].act, "child.letter.refused");

            let manager = Operator {
                roles: [Role::Manager].into(),
                ..dsl()
            };
            for (by, may) in [(manager, false), (dsl(), true)] {
                let made = write(
                    &test.storage,
                    "Little Acorns",
                    "A1",
                    Word::Dsl(&by),
                    later(),
                );
                assert_eq!(made.await.is_ok(), may);
            }
            let log = test.storage.audit_list(1).await.unwrap();
            assert_eq!(log[0].act, "child.letter.dsl_decided");
        }
    }
    // What the family asked for itself may be said.
    let test = world().await;
    let scope = HoldScope::Child { child: child(1).id };
    let category = HoldCategory::SubjectAccess;
    hold::open(&test.storage, scope, category, 7, &dsl(), now())
        .await
        .unwrap();
    assert!(!letter(&test, "A1").await.to_text().is_empty());
}
