//! A new version of a profile goes to one tablet first, in the browser.

use super::person::Person;
use crate::nursery::Nursery;
use nestwarden_policy_schema::bytes::{Base64, Digest, Secret};
use nestwarden_policy_schema::control::{ControlName, ControlReport, Outcome};
use nestwarden_policy_schema::device_api::Inventory;
use nestwarden_policy_schema::envelope::Signed;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use nestwarden_policy_schema::trust::KeyId;
use nestwarden_server::domain::bundle::{Inputs, SettingSecrets};
use nestwarden_server::domain::{profile, rollout};
use nestwarden_server::storage::{IssuedBundle, Role, StoredInventory};
use std::collections::BTreeMap;

const PAGE: &str = "/profiles/early-years";

async fn nursery() -> (Nursery, [DeviceId; 2]) {
    let nursery = Nursery::open().await;
    profile::apply(&nursery.storage, EARLY_YEARS, "os:test", nursery.now())
        .await
        .unwrap();
    let tablets = [nursery.enrolled().await.id, nursery.enrolled().await.id];
    tells(&nursery, tablets[0], Outcome::Compliant).await;
    (nursery, tablets)
}

/// Its newest bundle, which says what is asked of it now.
async fn issued(nursery: &Nursery, tablet: DeviceId) -> Generation {
    let storage = &nursery.storage;
    let newest = storage.bundle_newest(tablet).await.unwrap();
    let generation = newest.map_or(1, |newest| newest.generation.get() + 1);
    let secrets = SettingSecrets {
        setting_name: "Little Acorns".to_owned(),
        photo_hash: Secret::new(vec![7; 32]),
        release_recipient: "age1a".to_owned(),
        recovery_recipient: "age1b".to_owned(),
    };
    let device = storage.device_find(tablet).await.unwrap().unwrap();
    let inputs = Inputs::load(storage).await.unwrap();
    let bundle = inputs.compose(&device, &secrets, nursery.now()).unwrap();
    let issued = IssuedBundle {
        device: tablet,
        generation: Generation::new(generation),
        content_digest: Digest::ZERO,
        holds_digest: bundle.holds.digest,
        issued_at: nursery.now(),
        expires_at: bundle.expires_at,
        signed: Signed {
            payload: serde_json::to_string(&bundle).unwrap(),
            key_id: KeyId(Digest::ZERO),
            signature: Base64(vec![7; 64]),
        },
    };
    assert!(storage.bundle_put(&issued).await.unwrap());
    issued.generation
}

async fn tells(nursery: &Nursery, tablet: DeviceId, outcome: Outcome) {
    let at = nursery.now();
    let generation = issued(nursery, tablet).await;
    let report = |control| ControlReport {
        control,
        outcome: outcome.clone(),
        measured_at: at,
    };
    let told = StoredInventory {
        received_at: at,
        inventory: Inventory {
            at,
            generation,
            agent_version: "0.1.0".to_owned(),
            time_zone_data: "2026a".to_owned(),
            controls: ControlName::ALL.map(report).to_vec(),
            photos: BTreeMap::new(),
            found_at_enrolment: BTreeMap::new(),
            events_waiting: 0,
            clock_doubtful: false,
            disk_free_bytes: None,
            locked_out: None,
        },
    };
    nursery.storage.inventory_put(tablet, &told).await.unwrap();
}

fn minutes_pass(nursery: &Nursery, minutes: i64) {
    nursery
        .clock
        .advance(jiff::SignedDuration::from_mins(minutes));
}

async fn page(person: &Person) -> String {
    person.get(PAGE).await.text().await.unwrap()
}

fn longer() -> String {
    EARLY_YEARS.replace("min_length = 6", "min_length = 7")
}

async fn begin(person: &Person, tablet: DeviceId) {
    let (source, tablet) = (longer(), tablet.to_string());
    let fields = [
        ("source", source.as_str()),
        ("live", "1"),
        ("tablet", tablet.as_str()),
    ];
    let begun = person.post(&format!("{PAGE}/try"), &fields).await;
    assert_eq!(begun.status(), 303, "{}", begun.text().await.unwrap());
}

#[tokio::test]
async fn a_new_version_goes_to_one_tablet_then_to_another_then_to_all() {
    let (nursery, [first, second]) = nursery().await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let preview = format!("{PAGE}/preview");
    let looked = kim.post(&preview, &[("source", longer().as_str())]).await;
    let looked = looked.text().await.unwrap();
    assert!(
        looked.contains("Or let one tablet have it first"),
        "{looked}"
    );
    begin(&kim, first).await;
    let shown = page(&kim).await;
    assert!(shown.contains("Not heard since"), "{shown}");
    assert!(
        !shown.contains("/try/more"),
        "it goes no further yet: {shown}"
    );
    let tablet = kim
        .get(&format!("/tablets/{first}"))
        .await
        .text()
        .await
        .unwrap();
    assert!(
        tablet.contains("in a version that others do not have yet"),
        "{tablet}"
    );

    minutes_pass(&nursery, 1);
    tells(&nursery, first, Outcome::Compliant).await;
    let shown = page(&kim).await;
    assert!(
        shown.contains(">Holds<") && shown.contains("/try/more"),
        "{shown}"
    );
    let which = format!("tablet:{second}");
    let more = kim
        .post(&format!("{PAGE}/try/more"), &[("which", which.as_str())])
        .await;
    assert_eq!(more.status(), 303);
    let early = kim.post(&format!("{PAGE}/try/live"), &[]).await;
    assert_eq!(early.status(), 409, "the second one was not heard");
    minutes_pass(&nursery, 1);
    tells(&nursery, second, Outcome::Compliant).await;
    let live = kim.post(&format!("{PAGE}/try/live"), &[]).await;
    assert_eq!(live.status(), 303);
    let found = nursery
        .storage
        .profile_find("early-years")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.version, found.source), (2, longer()));
    assert!(!page(&kim).await.contains("id=\"early\""));
    nursery.close().await;
}

#[tokio::test]
async fn one_that_was_stopped_says_why_and_goes_on_or_back_by_a_persons_word() {
    let (nursery, [first, _]) = nursery().await;
    let kim = Person::of(&nursery, "Kim", &[Role::Manager]).await;
    let ana = Person::of(&nursery, "Ana", &[Role::Auditor]).await;
    begin(&kim, first).await;
    minutes_pass(&nursery, 1);
    let wrong = Outcome::Drifted {
        remaining: vec!["Bluetooth is <on>".to_owned()],
        error: None,
    };
    tells(&nursery, first, wrong).await;
    rollout::watch(&nursery.storage, nursery.now())
        .await
        .unwrap();
    let shown = page(&kim).await;
    assert!(shown.contains("Bluetooth is &lt;on&gt;"), "{shown}");
    assert!(shown.contains("Let it go on all the same") && !shown.contains("/try/live"));
    let theirs = page(&ana).await;
    assert!(
        theirs.contains("Stopped") && !theirs.contains("<form method=\"post\" action=\"/profiles")
    );
    nursery.looks_for_tasks().await;
    let tasks = kim.get("/tasks").await.text().await.unwrap();
    assert!(
        tasks.contains("is in trouble with a new version of its profile"),
        "{tasks}"
    );

    let go_on = format!("{PAGE}/try/go-on");
    assert_eq!(kim.post(&go_on, &[("reason", "")]).await.status(), 422);
    assert_eq!(kim.post(&go_on, &[("reason", "known")]).await.status(), 303);
    let back = format!("{PAGE}/try/take-back");
    assert_eq!(
        kim.post(&back, &[("reason", "staff could not sign in")])
            .await
            .status(),
        303
    );
    assert_eq!(kim.post(&back, &[("reason", "again")]).await.status(), 409);
    let log = nursery.storage.audit_list(9).await.unwrap();
    for act in [
        "profile.try",
        "profile.try_stopped",
        "profile.try_on",
        "profile.take_back",
    ] {
        assert!(log.iter().any(|entry| entry.act == act), "{act}");
    }
    nursery.close().await;
}
