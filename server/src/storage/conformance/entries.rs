//! What every backend keeps of registers.

use crate::storage::testing::{TestTablet, audit, now};
use crate::storage::{
    Changed, EntryBegun, EntryHead, EntryWords, EraseAsked, Leaves, NewLine, RegisterName, Storage,
    Which,
};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::{CustodyId, EntryId, StaffId};
use serde_json::json;
use uuid::Uuid;

const REGISTER: RegisterName = RegisterName::Custody;

fn head(number: u128) -> EntryHead {
    EntryHead {
        id: EntryId::from_uuid(Uuid::from_u128(number)),
        begun_at: now(),
        closed_at: None,
        subject: Some("the one tablet".to_owned()),
        circle: Some(b"sealed".to_vec()),
    }
}

fn line(seq: u64, leaves: Leaves) -> NewLine {
    NewLine {
        seq,
        at: now(),
        by: "Kim".to_owned(),
        act: json!({ "act": "out" }),
        sealed: Some(b"sealed words".to_vec()),
        leaves,
    }
}

async fn ids(storage: &Storage, which: Which, most: u32) -> Vec<EntryId> {
    let listed = storage.entry_list(REGISTER, which, most).await.unwrap();
    listed.into_iter().map(|row| row.head.id).collect()
}

pub(in crate::storage) async fn no_two_open_entries_are_about_the_same(storage: Storage) {
    let (first, second) = (head(1), head(2));
    let begin = async |head, leaves| {
        let log = audit("custody.out");
        storage
            .entry_begin(REGISTER, head, &line(1, leaves), &log)
            .await
            .unwrap()
    };
    assert_eq!(begin(&first, Leaves::Open).await, EntryBegun::Yes);
    assert_eq!(begin(&second, Leaves::Open).await, EntryBegun::Taken);
    let append = async |head: &EntryHead, seq, leaves| {
        let log = audit("custody.in");
        storage
            .entry_append(REGISTER, head.id, &line(seq, leaves), &log)
            .await
            .unwrap()
    };
    assert_eq!(append(&second, 1, Leaves::Open).await, Changed::Missing);
    assert_eq!(append(&first, 2, Leaves::Closed).await, Changed::Yes);
    assert_eq!(begin(&second, Leaves::Open).await, EntryBegun::Yes);
    // Nor by opening one again.
    assert_eq!(append(&first, 3, Leaves::Open).await, Changed::Already);
    assert_eq!(append(&first, 3, Leaves::Closed).await, Changed::Yes);
    assert_eq!(ids(&storage, Which::Open, 9).await, [second.id]);
    assert_eq!(ids(&storage, Which::All, 9).await, [second.id, first.id]);
    assert_eq!(ids(&storage, Which::All, 1).await, [second.id]);
    let found = storage
        .entry_find(REGISTER, first.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.head.closed_at, Some(now()));
    assert_eq!(found.head.circle, first.circle);
    let seqs: Vec<_> = found.lines.iter().map(|line| line.seq).collect();
    assert_eq!(seqs, [1, 2, 3]);
    let elsewhere = storage
        .entry_find(RegisterName::Staff, first.id)
        .await
        .unwrap();
    assert_eq!(elsewhere, None);
}

pub(in crate::storage) async fn words_of_a_line_are_erased_by_a_second_person(storage: Storage) {
    let head = head(1);
    let log = audit("custody.out");
    storage
        .entry_begin(REGISTER, &head, &line(1, Leaves::Open), &log)
        .await
        .unwrap();
    let by = |name: &str| {
        let mut log = audit("custody.erase");
        log.who = name.to_owned();
        log
    };
    let erase = async |name| {
        let log = by(name);
        storage
            .entry_erase(REGISTER, head.id, 1, &log)
            .await
            .unwrap()
    };
    assert_eq!(erase("Dana").await, Changed::Already);
    let asked = EraseAsked {
        by: "Kim".to_owned(),
        why: "a name".to_owned(),
    };
    let ask = async |seq| {
        let log = by("Kim");
        storage
            .entry_ask_erase(REGISTER, head.id, seq, &asked, &log)
            .await
            .unwrap()
    };
    assert_eq!(
        [ask(2).await, ask(1).await, ask(1).await],
        [Changed::Missing, Changed::Yes, Changed::Already]
    );
    assert_eq!(
        [erase("Kim").await, erase("Dana").await, erase("Dana").await],
        [Changed::Already, Changed::Yes, Changed::Already]
    );
    let found = storage
        .entry_find(REGISTER, head.id)
        .await
        .unwrap()
        .unwrap();
    let erased = EntryWords::Erased {
        at: now(),
        why: "a name".to_owned(),
    };
    assert_eq!(found.lines[0].words, erased);
}

/// What tablets tell of who has them waits in their order until it is written, and waits once.
pub(in crate::storage) async fn what_tablets_told_of_custody_waits_until_it_is_written(
    storage: Storage,
) {
    let mut tablet = TestTablet::enrol(&storage).await;
    let custody = CustodyId::from_uuid(Uuid::from_u128(1));
    let staff = StaffId::from_uuid(Uuid::from_u128(2));
    let bodies = [
        EventBody::CustodyTaken {
            custody,
            staff,
            room: None,
            due: now(),
            acknowledged: None,
        },
        EventBody::PinRefused { staff, count: 1 },
        EventBody::CustodyReturned { custody, by: staff },
    ];
    let batch = tablet.batch_of(&bodies);
    storage.event_append(batch.clone()).await.unwrap();
    storage.event_append(batch).await.unwrap();
    let told = storage.told_list(10).await.unwrap();
    let waits: Vec<_> = told.iter().map(|told| (told.seq, &told.body)).collect();
    assert_eq!(waits, [(1, &bodies[0]), (3, &bodies[2])]);
    assert_eq!((told[0].device, told[0].at), (tablet.id, now()));
    assert_eq!(storage.told_list(1).await.unwrap().len(), 1);
    for _ in 0..2 {
        storage.told_done(tablet.id, 1).await.unwrap();
    }
    let left = storage.told_list(10).await.unwrap();
    assert_eq!(left, told[1..]);
}
