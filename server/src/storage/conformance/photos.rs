//! What every backend keeps of photos, decisions about them, and tasks.

use crate::storage::decision::{UnsealDecision, Unsealing, UnsealingKept};
use crate::storage::event::Erasure;
use crate::storage::hold::HoldAct;
use crate::storage::task::{
    Closing, Over, PhotoUses, TaskChanges, TaskDraft, TaskKind, TaskRound, TaskSubject, WithClosed,
};
use crate::storage::testing::{TestTablet, audit, child, destroyed, enrol, known, now, photo_id};
use crate::storage::{Changed, Role, Storage};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::{
    Cause, FoundDecision, FoundPhotos, Purpose, Stage, TagCorrection, Tagging,
};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::TaskId;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

pub(in crate::storage) async fn photos_are_what_their_events_say(storage: Storage) {
    let mut tablet = TestTablet::enrol(&storage).await;
    let other = TestTablet::enrol(&storage).await.id;
    let id = photo_id(1);
    let stage = |from, to, observed_only| EventBody::PhotoStage {
        photo: id,
        from,
        to,
        cause: Some(Cause::Withdrawn),
        observed_only,
    };
    let incomplete = |problem: &str| EventBody::PhotoIncomplete {
        photo: id,
        stage: Stage::Sealed,
        problem: problem.to_owned(),
    };
    let steps: [(EventBody, Stage, Option<&str>); 7] = [
        // Whose it is comes from the certificate.
        (known(other, 1, &[1], Tagging::Complete), Stage::Live, None),
        (stage(Stage::Live, Stage::Sealed, true), Stage::Live, None),
        (
            stage(Stage::Live, Stage::Withheld, false),
            Stage::Withheld,
            None,
        ),
        (incomplete("read-only"), Stage::Withheld, Some("read-only")),
        (incomplete("locked"), Stage::Withheld, Some("locked")),
        (
            stage(Stage::Withheld, Stage::Sealed, false),
            Stage::Sealed,
            None,
        ),
        (destroyed(id, child(1).id), Stage::Destroyed, None),
    ];
    for (seq, (body, stage, problem)) in (1..).zip(steps) {
        let batch = tablet.batch_of(&[body]);
        storage.event_append(batch.clone()).await.unwrap();
        // What comes again changes nothing.
        storage.event_append(batch).await.unwrap();
        let row = storage.photo_find(tablet.id, id).await.unwrap().unwrap();
        assert_eq!((row.stage, row.seq), (stage, seq));
        let said = row.incomplete.as_ref().map(|i| i.problem.as_str());
        assert_eq!(said, problem, "{seq}");
        assert_eq!(row.facts.unwrap().device, tablet.id);
    }
    assert_eq!(storage.photo_find(other, id).await.unwrap(), None);
    let all = storage.photo_list(None, 10).await.unwrap();
    assert_eq!(storage.photo_by_id(id).await.unwrap(), all);
    assert!(all[0].receipt.is_some());
    assert_eq!(
        storage.photo_list(Some((tablet.id, id)), 10).await.unwrap(),
        vec![]
    );
    assert_eq!(storage.photo_rebuild().await.unwrap(), 1);
    assert_eq!(storage.photo_list(None, 10).await.unwrap(), all);
}

pub(in crate::storage) async fn what_was_read_from_an_erased_event_goes_with_it(storage: Storage) {
    let mut tablet = TestTablet::enrol(&storage).await;
    let told = [
        known(tablet.id, 1, &[1], Tagging::Partial),
        known(tablet.id, 1, &[1, 2], Tagging::Complete),
        known(tablet.id, 2, &[2], Tagging::Complete),
    ];
    storage.event_append(tablet.batch_of(&told)).await.unwrap();
    let erasure = Erasure {
        at: now(),
        why: "right to erasure".to_owned(),
    };
    let shown = || async {
        let found = storage.photo_find(tablet.id, photo_id(1)).await.unwrap();
        found.map(|row| row.facts.unwrap().subjects.confirmed.len())
    };
    assert_eq!(shown().await, Some(2));
    storage.event_erase(tablet.id, 2, &erasure).await.unwrap();
    assert_eq!(shown().await, Some(1));
    storage.event_erase(tablet.id, 1, &erasure).await.unwrap();
    assert_eq!(shown().await, None);
    let left = storage.photo_list(None, 10).await.unwrap();
    assert_eq!(left.len(), 1);
    storage.photo_rebuild().await.unwrap();
    assert_eq!(storage.photo_list(None, 10).await.unwrap(), left);
}

pub(in crate::storage) async fn decisions_about_photos_replace_the_one_before(storage: Storage) {
    let device = enrol(&storage, "early-years").await;
    assert_eq!(storage.correction_list().await.unwrap(), vec![]);
    let before = storage.inputs_version().await.unwrap();
    for tagging in [Tagging::Untagged, Tagging::NoChild] {
        let correction = TagCorrection {
            photo: photo_id(1),
            tagging,
            confirmed: BTreeSet::from([child(1).id]),
            unregistered_person: false,
            care_record: false,
            decided_at: now(),
        };
        let put = storage
            .correction_put(device, &correction, &audit("c"))
            .await;
        put.unwrap();
        let kept = storage.correction_list().await.unwrap();
        assert_eq!(kept, vec![(device, correction)]);
    }
    for decision in [FoundDecision::Leave, FoundDecision::Sort] {
        let found = FoundPhotos {
            decision,
            decided_at: now(),
        };
        storage
            .found_put(device, &found, &audit("f"))
            .await
            .unwrap();
        assert_eq!(storage.found_list().await.unwrap(), vec![(device, found)]);
    }
    // Both show in bundles.
    assert_eq!(storage.inputs_version().await.unwrap(), before + 4);

    let nobody = storage.unseal_decision(device, photo_id(1)).await.unwrap();
    assert_eq!(nobody, None);
    let act = |by: &str| HoldAct {
        by: by.to_owned(),
        at: now(),
    };
    for confirmed in [None, Some(act("second"))] {
        let decision = UnsealDecision {
            device,
            photo: photo_id(1),
            reason: "court order".to_owned(),
            asked: act("first"),
            confirmed,
        };
        storage.unseal_decide(&decision, &audit("u")).await.unwrap();
        let kept = storage.unseal_decision(device, photo_id(1)).await.unwrap();
        assert_eq!(kept, Some(decision));
    }
}

pub(in crate::storage) async fn a_sealed_file_is_opened_as_one_photo(storage: Storage) {
    let device = enrol(&storage, "early-years").await;
    let unsealing = |photo, stanza: &[u8], sealed_at| Unsealing {
        device,
        photo: photo_id(photo),
        stanza: Digest::sha256(stanza),
        sealed_at,
        at: now(),
    };
    for (photo, stanza, sealed_at, kept) in [
        (1, b"a", None, UnsealingKept::Yes),
        (1, b"a", None, UnsealingKept::Yes),
        (1, b"b", None, UnsealingKept::OtherFile),
        (2, b"a", None, UnsealingKept::OtherFile),
        (2, b"b", None, UnsealingKept::Yes),
        // Sealed again, it is another file.
        (1, b"c", Some(now()), UnsealingKept::Yes),
        (1, b"d", Some(now()), UnsealingKept::OtherFile),
    ] {
        let unsealing = unsealing(photo, stanza, sealed_at);
        let logged = storage.audit_list(100).await.unwrap().len();
        let done = storage.unseal_keep(&unsealing, &audit("k")).await.unwrap();
        assert_eq!(done, kept, "{photo} {stanza:?}");
        let more = usize::from(kept == UnsealingKept::Yes);
        assert_eq!(storage.audit_list(100).await.unwrap().len(), logged + more);
    }
}

pub(in crate::storage) async fn a_task_is_opened_once_and_done_once(storage: Storage) {
    let mut tablet = TestTablet::enrol(&storage).await;
    let told = known(tablet.id, 1, &[1], Tagging::Complete);
    let version = storage.photo_version().await.unwrap();
    storage
        .event_append(tablet.batch_of(&[told]))
        .await
        .unwrap();
    assert!(storage.photo_version().await.unwrap() > version);

    let round = |photos: &[u128]| TaskRound {
        drafts: vec![TaskDraft {
            id: TaskId::from_uuid(Uuid::new_v4()),
            key: "k".to_owned(),
            kind: TaskKind::UnregisteredPerson,
            subject: TaskSubject {
                device: Some(tablet.id),
                photos: photos.iter().map(|photo| photo_id(*photo)).collect(),
                ..TaskSubject::default()
            },
            owner: Role::Manager,
            due: jiff::civil::date(2026, 3, 12),
        }],
        uses: vec![PhotoUses {
            device: tablet.id,
            photo: photo_id(1),
            usable: BTreeSet::from([Purpose::Website]),
        }],
        over: BTreeMap::new(),
    };
    let changes = |opened, extended, closed| TaskChanges {
        opened,
        extended,
        closed,
    };
    let row = || async { storage.photo_find(tablet.id, photo_id(1)).await.unwrap() };
    assert_eq!(row().await.unwrap().usable_before, None);
    for (photos, expected) in [
        (&[1][..], changes(1, 0, 0)),
        (&[1], changes(0, 0, 0)),
        (&[2], changes(0, 1, 0)),
    ] {
        let done = storage.task_round(&round(photos), now()).await.unwrap();
        assert_eq!(done, expected);
    }
    let usable = row().await.unwrap().usable_before;
    assert_eq!(usable, Some(BTreeSet::from([Purpose::Website])));
    let task = storage.task_list(WithClosed::No).await.unwrap().remove(0);
    assert_eq!(task.subject.photos.len(), 2);
    let closing = Closing {
        at: now(),
        by: "M".to_owned(),
        note: "spoke to them".to_owned(),
    };
    for expected in [Changed::Yes, Changed::Already] {
        let done = storage.task_close(task.id, &closing, &audit("t")).await;
        assert_eq!(done.unwrap(), expected);
    }
    assert_eq!(storage.task_list(WithClosed::No).await.unwrap(), vec![]);
    // The same is not opened again; more of it is.
    for (photos, opened) in [(&[2][..], 0), (&[2, 3], 1)] {
        let done = storage.task_round(&round(photos), now()).await.unwrap();
        assert_eq!(done.opened, opened);
    }
    let open = storage.task_list(WithClosed::No).await.unwrap().remove(0);
    assert_eq!(open.subject.photos, BTreeSet::from([photo_id(3)]));
    let over = TaskRound {
        over: BTreeMap::from([open.id, task.id].map(|id| (id, Over::NoLongerSo))),
        ..TaskRound::default()
    };
    let done = storage.task_round(&over, now()).await.unwrap();
    assert_eq!(done, changes(0, 0, 1));
    let all = storage.task_list(WithClosed::Yes).await.unwrap();
    assert_eq!(all.len(), 2);
    let by_hand = all.into_iter().find(|closed| closed.id == task.id);
    assert_eq!(by_hand.unwrap().closed, Some(closing));
}
