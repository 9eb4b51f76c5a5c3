//! What is a finding, and what is only noted.

use super::*;
use nestwarden_policy_schema::id::SettingId;
use uuid::Uuid;

fn device() -> DeviceId {
    DeviceId::from_uuid(Uuid::from_u128(1))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Made at noon of a tablet with one bundle.
fn verified(enrolled_at: &str, put_back: Option<PutBackLine>, bodies: &[EventBody]) -> Verified {
    let mut verifier = Verifier::default();
    verifier.take(Line::Export {
        version: VERSION,
        setting: SettingId::from_uuid(Uuid::from_u128(2)),
        made_at: at("2026-03-02T12:00:00Z"),
    });
    verifier.take(Line::Device {
        device: device(),
        name: "Ladybird-1".to_owned(),
        keys: Vec::new(),
        enrolled_at: Some(at(enrolled_at)),
        put_back,
    });
    verifier.take(Line::Bundle {
        generation: Generation::new(4),
        payload_digest: Digest([4; 32]),
    });
    let mut position = ChainPosition::START;
    for body in bodies {
        let event = Event::following(position, device(), at(enrolled_at), body, [1; 16]).unwrap();
        position = event.position();
        verifier.take(Line::Event {
            event,
            erased: None,
        });
    }
    verifier.take(Line::End {
        devices: 1,
        events: bodies.len() as u64,
    });
    let mut found = verifier.finish();
    // Nothing is signed here.
    found.problems.retain(|p| !p.problem.starts_with("no head"));
    found
}

#[test]
fn a_tablet_enrolled_lately_has_not_started_and_one_enrolled_long_ago_is_a_finding() {
    let new = verified("2026-03-02T11:59:00Z", None, &[]);
    assert!(new.holds());
    assert!(new.notes[0].problem.contains("not started yet"));
    let old = verified("2026-03-01T11:59:00Z", None, &[]);
    assert!(!old.holds());
}

#[test]
fn a_bundle_of_the_same_number_and_another_content_was_not_the_one_issued() {
    let applied = |digest| {
        [EventBody::BundleApplied {
            generation: Generation::new(4),
            digest,
        }]
    };
    let enrolled = "2026-03-02T09:00:00Z";
    for digest in [None, Some(Digest([4; 32]))] {
        assert!(verified(enrolled, None, &applied(digest)).holds());
    }
    let other = applied(Some(Digest([5; 32])));
    let found = verified(enrolled, None, &other);
    let says = &found.problems[0].problem;
    assert!(says.contains("put back") && says.contains("was changed"));
    let had = |settled| PutBackLine {
        generation: Generation::new(4),
        settled,
    };
    assert!(!verified(enrolled, Some(had(false)), &other).holds());
    let settled = verified(enrolled, Some(had(true)), &other);
    assert!(settled.holds() && settled.notes[0].problem.contains("settled"));
}

#[test]
fn events_told_again_must_come_to_the_record_the_tablet_had() {
    let alarm = |what: &str| EventBody::Alarm {
        what: what.to_owned(),
    };
    let enrolled = at("2026-03-02T09:00:00Z");
    let own = Event::following(
        ChainPosition::START,
        device(),
        enrolled,
        &alarm("own"),
        [1; 16],
    )
    .unwrap();
    let theirs = Event::following(
        ChainPosition::START,
        device(),
        enrolled,
        &alarm("theirs"),
        [1; 16],
    )
    .unwrap();
    let continued = EventBody::RecordContinued {
        common: Some(ChainPosition::START),
        had: own.position(),
        server: theirs.position(),
        again: 1,
    };
    let whole = [alarm("theirs"), continued.clone(), alarm("own")];
    let found = verified("2026-03-02T09:00:00Z", None, &whole);
    assert!(found.holds(), "{:?}", found.problems);
    assert!(found.notes[0].problem.contains("earlier state"));
    let changed = [alarm("theirs"), continued, alarm("another")];
    assert!(!verified("2026-03-02T09:00:00Z", None, &changed).holds());
}
