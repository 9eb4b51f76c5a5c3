#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use crate::domain::export::each;
use crate::domain::verify::{Expected, Verified, Verifier};
use crate::storage::testing::{
    TestStorage, TestTablet, audit, child, destroyed, enrol, known, now, photo_id, told,
};
use crate::storage::{
    AppendOutcome, Begun, Factor, Invitation, Made, NewAccount, NewBatch, NewSession, Operator,
    PhotoUses, Role, Storage, StorageError, TaskRound, conformance, sql,
};
use jiff::SignedDuration;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::{Purpose, Stage, Tagging};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::OperatorId;
use proptest::prelude::*;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use std::collections::BTreeSet;
use uuid::Uuid;

macro_rules! conforms {
    ($($behaviour:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $behaviour() {
            let test = TestStorage::create().await;
            conformance::$behaviour(test.storage.clone()).await;
        }
    )+};
}

conforms! {
    no_two_open_entries_are_about_the_same,
    what_tablets_told_of_custody_waits_until_it_is_written,
    words_of_a_line_are_erased_by_a_second_person,
    a_command_taken_back_waits_no_more_and_what_came_of_it_is_noted,
    a_command_waits_until_its_tablet_says_what_came_of_it,
    a_tablet_that_declined_stays_enrolled,
    a_message_s_first_words_give_way_to_its_last,
    no_more_commands_that_disrupt_are_taken_within_an_hour_than_the_limit,
    a_tally_goes_when_a_body_it_had_read_is_erased,
    entries_of_one_act_are_listed_the_newest_first,
    the_hours_in_which_a_tablet_told_something_stay_known,
    the_last_event_of_a_time_is_found_whatever_its_fraction_of_a_second,
    a_token_enrols_one_device_once,
    a_token_used_at_the_same_moment_enrols_one_device,
    a_device_changes_and_says_whether_it_did,
    a_revoked_device_gets_no_new_key,
    hearing_from_a_device_is_noted_to_the_minute,
    batches_continue_their_chain_or_change_nothing,
    events_of_a_device_that_is_missing_are_refused,
    batches_of_many_tablets_at_once_are_all_kept,
    an_erased_event_keeps_its_link,
    photos_are_what_their_events_say,
    what_was_read_from_an_erased_event_goes_with_it,
    decisions_about_photos_replace_the_one_before,
    a_sealed_file_is_opened_as_one_photo,
    a_task_is_opened_once_and_done_once,
    generations_only_grow,
    an_inventory_replaces_the_one_before,
    a_nonce_is_good_once_until_it_expires,
    a_profile_keeps_every_version,
    a_register_change_is_whole_or_nothing,
    a_hold_is_released_by_two_people,
    an_operators_name_is_unique,
    only_what_may_show_in_a_bundle_moves_the_inputs,
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_opening_again() {
    let test = TestStorage::create().await;
    let mut tablet = TestTablet::enrol(&test.storage).await;
    let kept = test.storage.event_append(tablet.batch(3)).await.unwrap();
    assert_eq!(kept, AppendOutcome::OnDisk(3));
    let path = test.dir.path().join("nestwarden.db");
    let reopened = sql::open(&path).await.unwrap();
    assert_eq!(reopened.setting(), test.storage.setting());
    let position = reopened.event_position(tablet.id).await.unwrap();
    assert_eq!(position.seq, 3);
    assert_eq!(reopened.problems().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_database_is_never_created_over_another() {
    let test = TestStorage::create().await;
    let path = test.dir.path().join("nestwarden.db");
    let again = sql::create(&path, test.storage.setting(), "Other", now()).await;
    assert!(matches!(again, Err(StorageError::Database { .. })));
}

#[tokio::test]
async fn verification_names_the_row_somebody_changed() {
    for (tampering, says) in [
        (
            "UPDATE events SET body = replace(body, 'disk', 'desk') WHERE seq = 3",
            "event 3: its body was changed",
        ),
        (
            "UPDATE events SET at = '2026-03-10T12:00:01Z' WHERE seq = 2",
            "event 2: its hash does not match",
        ),
        (
            "DELETE FROM events WHERE seq = 2",
            "event 3: expected event 2",
        ),
        (
            "UPDATE events SET body = NULL, salt = NULL WHERE seq = 4",
            "event 4: its body is gone",
        ),
        (
            "UPDATE events SET salt = NULL WHERE seq = 4",
            "event 4: has a body without its salt",
        ),
        (
            "DELETE FROM event_heads WHERE seq = 6",
            "event 6: no head that the tablet signed",
        ),
        (
            "UPDATE event_heads SET payload = replace(payload, '\"seq\":3', '\"seq\":2') WHERE seq = 3",
            "event 3: the batch head is not signed",
        ),
        (
            "UPDATE event_heads SET key_id = lower(hex(zeroblob(32))) WHERE seq = 3",
            "event 3: its batch head names another key",
        ),
        (
            "UPDATE device_keys SET public_key = 'AAAA'",
            "a key this tablet never had",
        ),
        (
            "DELETE FROM events WHERE seq > 5",
            "event 6: the tablet signed a head for it",
        ),
    ] {
        let test = TestStorage::create().await;
        let mut tablet = TestTablet::enrol(&test.storage).await;
        for _ in 0..2 {
            test.storage.event_append(tablet.batch(3)).await.unwrap();
        }
        let whole = verified(&test.storage).await;
        assert!(whole.holds(), "{:?}", whole.problems);
        assert_eq!((whole.events, whole.heads), (6, 2));
        tamper(&test, tampering).await;
        let found = verified(&test.storage).await;
        let said: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
        assert!(
            said.iter().any(|s| s.contains(says)),
            "{tampering}\n{said:?}"
        );
        let tablet = tablet.id.to_string();
        assert!(said.iter().all(|s| s.contains(&tablet)), "{said:?}");
    }
}

#[tokio::test]
async fn an_erased_body_verifies_as_erased() {
    let test = TestStorage::create().await;
    let mut tablet = TestTablet::enrol(&test.storage).await;
    test.storage.event_append(tablet.batch(3)).await.unwrap();
    let erasure = crate::storage::event::Erasure {
        at: now(),
        why: "retention".to_owned(),
    };
    test.storage
        .event_erase(tablet.id, 2, &erasure)
        .await
        .unwrap();
    let found = verified(&test.storage).await;
    assert!(found.holds(), "{:?}", found.problems);
    assert_eq!(found.erased, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// However a tablet cuts its chain into batches, and however often and in whatever order it sends them again,
    /// the server ends with that chain and nothing else.
    #[test]
    fn replays_are_harmless(
        cuts in prop::collection::vec(1_usize..6, 1..6),
        sends in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let test = TestStorage::create().await;
            let mut tablet = TestTablet::enrol(&test.storage).await;
            let batches: Vec<NewBatch> = cuts.iter().map(|count| tablet.batch(*count)).collect();
            let in_the_end = sends.iter().map(|index| index.index(batches.len())).chain(0..batches.len());
            for index in in_the_end {
                let batch = batches[index].clone();
                let last = batch.events.last().unwrap().seq;
                match test.storage.event_append(batch).await.unwrap() {
                    AppendOutcome::OnDisk(on_disk) => assert!(on_disk >= last),
                    AppendOutcome::Gap { on_disk } => assert!(on_disk + 1 < last || on_disk < last),
                    AppendOutcome::Conflict { .. } | AppendOutcome::DeviceMissing => unreachable!("{index}"),
                }
            }
            let found = verified(&test.storage).await;
            assert!(found.holds(), "{:?}", found.problems);
            assert_eq!(found.events, cuts.iter().sum::<usize>() as u64);
        });
    }
}

#[tokio::test]
async fn a_decision_is_written_before_what_every_photo_may_be_used_for() {
    let test = TestStorage::create().await;
    let device = enrol(&test.storage, "early-years").await;
    let uses = |photo| PhotoUses {
        device,
        photo: photo_id(photo),
        usable: BTreeSet::from([Purpose::Website]),
    };
    let round = TaskRound {
        uses: (0..1_200).map(uses).collect(),
        ..TaskRound::default()
    };
    let noting = test.storage.task_round(&round, now());
    let decision = audit("decision");
    let mut noting = std::pin::pin!(noting);
    tokio::select! {
        biased;
        _ = &mut noting => panic!("the decision waited for every photo"),
        done = test.storage.audit_add(&decision) => done.unwrap(),
    }
    noting.await.unwrap();
    let pool = in_hand(&test).await;
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM photo_uses");
    let noted: i64 = count.fetch_one(&pool).await.unwrap();
    assert_eq!(noted, 1_200);
}

async fn verified(storage: &Storage) -> Verified {
    verified_with(storage, Vec::new()).await
}

async fn verified_with(storage: &Storage, expected: Vec<Expected>) -> Verified {
    let mut verifier = Verifier::expecting(expected);
    each(storage, now(), |line| {
        verifier.take(line);
        Ok::<(), StorageError>(())
    })
    .await
    .unwrap();
    verifier.finish()
}

/// As somebody with the file in hand would, without regard to references.
async fn in_hand(test: &TestStorage) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(test.dir.path().join("nestwarden.db"))
        .foreign_keys(false);
    SqlitePool::connect_with(options).await.unwrap()
}

async fn tamper(test: &TestStorage, sql: &'static str) {
    let pool = in_hand(test).await;
    let done = sqlx::query(AssertSqlSafe(sql))
        .execute(&pool)
        .await
        .unwrap();
    assert!(done.rows_affected() > 0, "{sql}");
    pool.close().await;
}

#[tokio::test]
async fn events_an_older_version_kept_are_read_when_the_database_is_opened() {
    let test = TestStorage::create().await;
    let mut tablet = TestTablet::enrol(&test.storage).await;
    let told = known(tablet.id, 1, &[1], Tagging::Complete);
    test.storage
        .event_append(tablet.batch_of(&[told]))
        .await
        .unwrap();
    let before = test.storage.photo_list(None, 10).await.unwrap();
    assert_eq!(before.len(), 1);
    tamper(&test, "DELETE FROM photos").await;
    tamper(&test, "DELETE FROM projections").await;
    let reopened = sql::open(&test.dir.path().join("nestwarden.db"))
        .await
        .unwrap();
    assert_eq!(reopened.photo_list(None, 10).await.unwrap(), before);
}

#[tokio::test]
async fn a_report_is_kept_also_where_the_one_before_cannot_be_read() {
    let test = TestStorage::create().await;
    let id = enrol(&test.storage, "early-years").await;
    let report = told(now(), Vec::new());
    test.storage.inventory_put(id, &report).await.unwrap();
    let told = test.storage.outcome_version().await.unwrap();
    tamper(&test, "UPDATE inventories SET inventory = '{}'").await;
    test.storage.inventory_put(id, &report).await.unwrap();
    assert!(test.storage.outcome_version().await.unwrap() > told);
    let found = test.storage.inventory_find(id).await.unwrap();
    assert_eq!(found, Some(report));
}

#[tokio::test]
async fn a_record_cut_off_at_a_signed_head_is_found_by_who_kept_its_end() {
    let test = TestStorage::create().await;
    let mut tablet = TestTablet::enrol(&test.storage).await;
    for _ in 0..2 {
        test.storage.event_append(tablet.batch(3)).await.unwrap();
    }
    let end = verified(&test.storage).await.ends.remove(0).to_string();
    let expected = || end.parse::<Expected>().unwrap();
    let whole = verified_with(&test.storage, vec![expected()]).await;
    assert!(whole.holds(), "{:?}", whole.problems);
    tamper(&test, "DELETE FROM event_heads WHERE seq > 3").await;
    tamper(&test, "DELETE FROM events WHERE seq > 3").await;
    assert!(verified(&test.storage).await.holds());
    let cut = verified_with(&test.storage, vec![expected()]).await;
    assert_eq!(cut.problems.len(), 1);
    let said = cut.problems[0].to_string();
    assert!(said.contains("event 6: was seen here before"), "{said}");
    assert!("a:b:c".parse::<Expected>().is_err());
}

#[tokio::test]
async fn receipts_and_stages_of_photos_have_to_agree() {
    let stage = |to| EventBody::PhotoStage {
        photo: photo_id(1),
        from: Stage::Live,
        to,
        cause: None,
        observed_only: false,
    };
    let receipt = || destroyed(photo_id(1), child(1).id);
    for (told, says) in [
        (
            vec![stage(Stage::Sealed), stage(Stage::Destroyed), receipt()],
            None,
        ),
        (vec![receipt()], None),
        (
            vec![stage(Stage::Sealed), stage(Stage::Destroyed)],
            Some("there is no receipt for it"),
        ),
        (
            vec![stage(Stage::Withheld), receipt()],
            Some("nothing is destroyed from there"),
        ),
    ] {
        let test = TestStorage::create().await;
        let mut tablet = TestTablet::enrol(&test.storage).await;
        let batch = tablet.batch_of(&told);
        test.storage.event_append(batch).await.unwrap();
        let found = verified(&test.storage).await;
        let said: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
        match says {
            None => assert_eq!(said, Vec::<String>::new()),
            Some(says) => assert!(said.len() == 1 && said[0].contains(says), "{said:?}"),
        }
    }
}

#[tokio::test]
async fn who_belongs_to_another_setting_of_the_same_database_is_nobody_here() {
    let test = TestStorage::create().await;
    let storage = &test.storage;
    let operator = Operator {
        id: OperatorId::from_uuid(Uuid::from_u128(7)),
        name: "Kim".to_owned(),
        roles: BTreeSet::from([Role::Manager]),
        created_at: now(),
    };
    let hash = Digest::sha256(b"of a link, and of a session");
    let later = now() + SignedDuration::from_hours(1);
    let invitation = Invitation {
        hash,
        operator: operator.id,
        expires_at: later,
        used_at: None,
    };
    let account = NewAccount {
        operator: operator.id,
        password: "a hash".to_owned(),
        factor: crate::storage::NewFactor::Totp {
            sealed: vec![1; 20],
            step: 1,
        },
        recovery: Vec::new(),
        made_at: now(),
        second: None,
    };
    let session = NewSession {
        hash,
        operator: operator.id,
        begun_at: now(),
        ends_at: later,
    };
    let entry = audit("account");
    storage.operator_add(&operator, &entry).await.unwrap();
    storage.invitation_put(&invitation, &entry).await.unwrap();
    let made = storage.account_make(hash, &account, &[]).await.unwrap();
    assert_eq!(made, Made::Done);
    let factor = Factor::Totp { step: 2 };
    let begun = storage.session_begin(&session, factor, &entry).await;
    assert_eq!(begun.unwrap(), Begun::Done);
    assert!(storage.session_find(hash).await.unwrap().is_some());

    let database = in_hand(&test).await;
    for table in ["operators", "accounts", "invitations", "sessions"] {
        let moved = format!("UPDATE {table} SET setting_id = 'another'");
        let moved = sqlx::query(AssertSqlSafe(moved)).execute(&database).await;
        assert_eq!(moved.unwrap().rows_affected(), 1, "{table}");
    }
    assert!(storage.session_find(hash).await.unwrap().is_none());
    assert!(storage.account_find(operator.id).await.unwrap().is_none());
    assert!(storage.invitation_find(hash).await.unwrap().is_none());
    let factor = Factor::Totp { step: 3 };
    let begun = storage.session_begin(&session, factor, &entry).await;
    assert_eq!(begun.unwrap(), Begun::Refused);
}

#[tokio::test]
async fn a_disk_that_was_full_for_a_moment_keeps_nobody_from_writing_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("full.db");
    std::fs::write(&path, b"").unwrap();
    let writer = sql::writer(&path).await.unwrap();
    let mut tx = sql::begin(&writer).await.unwrap();
    let table = "CREATE TABLE kept (bytes BLOB)";
    sqlx::query(table).execute(&mut *tx).await.unwrap();
    // What SQLite does by itself when a change finds the disk full.
    sqlx::query("ROLLBACK").execute(&mut *tx).await.unwrap();
    sql::commit(tx).await.unwrap_err();
    let mut tx = sql::begin(&writer).await.unwrap();
    sqlx::query(table).execute(&mut *tx).await.unwrap();
    sql::commit(tx).await.unwrap();
}
