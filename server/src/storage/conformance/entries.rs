//! What every backend keeps of registers.

use crate::storage::testing::{audit, now};
use crate::storage::{
    Changed, EntryBegun, EntryHead, EntryWords, EraseAsked, Leaves, NewLine, RegisterName, Storage,
    Which,
};
use nestwarden_policy_schema::id::EntryId;
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
