#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::storage::testing::{TestStorage, audit, enrol, now};
use crate::storage::{BundleReport, Revocation, StoredInventory};
use jiff::SignedDuration;
use nestwarden_policy_schema::control::{ControlName, ControlReport, Outcome};
use nestwarden_policy_schema::device_api::Inventory;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A setting whose tablets have a profile that enforces storage, and watches everything else.
async fn setting() -> TestStorage {
    let test = TestStorage::create().await;
    let head = "[policy.storage]\nmode = \"observe\"";
    assert!(EARLY_YEARS.contains(head));
    let enforced = EARLY_YEARS.replace(head, "[policy.storage]\nmode = \"enforce\"");
    let storage = &test.storage;
    storage
        .profile_put("early-years", 0, &enforced, &audit("p"))
        .await
        .unwrap();
    test
}

fn told(outcome: &Outcome, minutes_ago: i64) -> StoredInventory {
    let at = now() - SignedDuration::from_mins(minutes_ago);
    StoredInventory {
        received_at: at,
        inventory: Inventory {
            at,
            generation: Generation::new(1),
            agent_version: "0.1.0".to_owned(),
            time_zone_data: "2026a".to_owned(),
            controls: ControlName::ALL
                .map(|control| ControlReport {
                    control,
                    outcome: outcome.clone(),
                    measured_at: at,
                })
                .to_vec(),
            photos: BTreeMap::from([(Stage::Live, 3)]),
            found_at_enrolment: BTreeMap::new(),
            events_waiting: 0,
            clock_doubtful: false,
            disk_free_bytes: None,
            locked_out: None,
        },
    }
}

fn drifted() -> Outcome {
    Outcome::Drifted {
        remaining: vec!["a disk is mounted".to_owned()],
        error: None,
    }
}

#[tokio::test]
async fn what_a_tablet_tells_is_seen_at_the_next_look_also_within_one_tick_of_the_clock() {
    let test = setting().await;
    let (storage, cache) = (&test.storage, InventoryCache::default());
    let id = enrol(storage, "early-years").await;
    let look = async || {
        let all = all(storage, &cache, now()).await.unwrap();
        (all[0].standing, all[0].photos_in_use())
    };
    assert_eq!(look().await, (Standing::NotChecked, 0));
    for (outcome, standing) in [
        (Outcome::Compliant, Standing::Observing),
        (drifted(), Standing::Attention),
        (Outcome::Compliant, Standing::Observing),
    ] {
        storage.inventory_put(id, &told(&outcome, 0)).await.unwrap();
        assert_eq!(look().await, (standing, 3));
        assert_eq!(look().await, (standing, 3));
    }
}

#[tokio::test]
async fn what_was_read_once_grows_old_like_anything_else() {
    let test = setting().await;
    let (storage, cache) = (&test.storage, InventoryCache::default());
    let id = enrol(storage, "early-years").await;
    let told = told(&Outcome::Compliant, 0);
    storage.inventory_put(id, &told).await.unwrap();
    let soon = all(storage, &cache, now()).await.unwrap();
    assert_eq!(soon[0].standing, Standing::Observing);
    let later = now() + SignedDuration::from_mins(16);
    let later = all(storage, &cache, later).await.unwrap();
    assert_eq!(later[0].standing, Standing::NotChecked);
}

/// What may have happened to a tablet.
#[derive(Clone, Debug)]
struct Happened {
    told: Option<(bool, i64)>,
    refused: bool,
    has_older: bool,
    never_issued: bool,
    shut_out: bool,
    unknown_profile: bool,
}

fn happened() -> impl Strategy<Value = Happened> {
    let told = proptest::option::of((any::<bool>(), 0_i64..20));
    (told, any::<[bool; 5]>()).prop_map(|(told, rest)| {
        let [refused, has_older, never_issued, shut_out, unknown_profile] = rest;
        Happened {
            told,
            refused,
            has_older,
            never_issued,
            shut_out,
            unknown_profile,
        }
    })
}

async fn befall(storage: &Storage, what: &Happened) {
    let profile = if what.unknown_profile {
        "gone"
    } else {
        "early-years"
    };
    let id = enrol(storage, profile).await;
    if let Some((is_compliant, minutes_ago)) = what.told {
        let outcome = if is_compliant {
            Outcome::Compliant
        } else {
            drifted()
        };
        let told = told(&outcome, minutes_ago);
        storage.inventory_put(id, &told).await.unwrap();
    }
    if what.refused {
        let noted = storage.conflict_note(id, "it forks", now()).await;
        noted.unwrap();
    }
    if what.has_older || what.never_issued {
        let report = BundleReport {
            generation: Generation::new(u64::from(what.never_issued) * 7),
            digest: None,
            reported_at: now(),
        };
        storage.bundle_report(id, &report).await.unwrap();
    }
    if what.shut_out {
        let revocation = Revocation {
            at: now(),
            reason: "lost".to_owned(),
        };
        let out = storage.device_revoke(id, &revocation, &audit("out")).await;
        out.unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_look_at_all_says_of_each_what_a_look_at_it_alone_says(
        all_of_it in proptest::collection::vec(happened(), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let test = setting().await;
            for what in &all_of_it {
                befall(&test.storage, what).await;
            }
            let cache = InventoryCache::default();
            for _ in 0..2 {
                let found = all(&test.storage, &cache, now()).await.unwrap();
                assert_eq!(found.len(), all_of_it.len());
                for tablet in &found {
                    let alone = one(&test.storage, tablet.device().id, now()).await.unwrap().unwrap();
                    let both = [tablet, &alone].map(|t| serde_json::to_value(t.compliance(now())).unwrap());
                    assert_eq!(both[0], both[1]);
                    assert_eq!(tablet.standing, alone.standing);
                    assert_eq!(tablet.standing, tablet.compliance(now()).standing);
                    let shut_out = tablet.device().revoked.is_some();
                    assert_eq!(shut_out, tablet.standing == Standing::Revoked);
                }
            }
        });
    }
}
