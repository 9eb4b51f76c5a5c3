//! Who may sign a tablet out, and what a roster and its PINs are held to.

use crate::nursery::device;
use crate::papers::{SIGNING, anchors, bundle, bundle_with_custody, key, may_have, roster_entry};
use nestwarden_policy_schema::bundle::Bundle;
use nestwarden_policy_schema::envelope::{BundleError, sign, verify_bundle};
use nestwarden_policy_schema::pin::{Pin, PinRefused, PinVerifier};
use nestwarden_policy_schema::roster::{MAX_ROSTER, MayHave, NOTICE_CHARS, RosterEntry};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

fn pin(text: &str) -> Result<Pin, PinRefused> {
    Pin::new(Zeroizing::new(text.to_owned()))
}

#[test]
fn a_pin_is_six_to_eight_digits_that_nobody_guesses_at_once() {
    for good in ["482915", "7305826", "90417264"] {
        assert_eq!(pin(good).unwrap().expose(), good);
    }
    for wrong in ["", "48291", "482915736", "48 915", "48291a", "４８２９１５"] {
        assert_eq!(pin(wrong), Err(PinRefused::Digits), "{wrong}");
    }
    for simple in [
        "111111", "123456", "987654", "482224", "121212", "140387", "19870314",
    ] {
        assert_eq!(pin(simple), Err(PinRefused::Simple), "{simple}");
    }
    assert_eq!(format!("{:?}", pin("482915").unwrap()), "Pin(…)");
}

#[test]
fn a_verifier_that_would_cost_a_tablet_its_memory_is_none() {
    let of = |costs: &str| {
        PinVerifier::new(format!("$argon2id$v=19${costs}$c2FsdHNhbHRzYWx0$aGFzaA")).is_ok()
    };
    assert!(of("m=19456,t=2,p=1") && of("m=65536,t=8,p=4"));
    for costs in [
        "m=65537,t=2,p=1",
        "m=19456,t=9,p=1",
        "m=19456,t=2,p=5",
        "m=4294967296,t=2,p=1",
        "m=+8,t=2,p=1",
        "m=0,t=2,p=1",
        "t=2,m=19456,p=1",
        "m=19456,t=2",
        "m=19456,t=2,p=1,keyid=aa",
    ] {
        assert!(!of(costs), "{costs}");
    }
    for phc in [
        "",
        "482915",
        "$argon2i$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
        "$argon2id$v=16$m=19456,t=2,p=1$c2FsdA$aGFzaA",
        "$argon2id$v=19$m=19456,t=2,p=1$$aGFzaA",
    ] {
        assert!(PinVerifier::new(phc.to_owned()).is_err(), "{phc}");
    }
    let long = format!("$argon2id$v=19$m=8,t=1,p=1$c2FsdA${}", "a".repeat(200));
    assert!(PinVerifier::new(long).is_err());
}

fn refused(bundle: &Bundle) -> String {
    let signed = sign(bundle, &key(SIGNING)).unwrap();
    match verify_bundle(signed, &anchors(), device(), None) {
        Err(BundleError::Unsound(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bundle_with_a_roster_beyond_bounds_is_refused_whole_and_says_why() {
    let of = |people: Vec<RosterEntry>| Bundle {
        roster: people.into_iter().collect(),
        ..bundle_with_custody()
    };
    let costly: PinVerifier =
        serde_json::from_str("\"$argon2id$v=19$m=4000000,t=2,p=1$c2FsdA$aGFzaA\"").unwrap();
    let costly = RosterEntry {
        pin: Some(costly),
        ..may_have(1)
    };
    let said = refused(&of(vec![costly]));
    assert!(
        said.contains("set that PIN again") && !said.contains("aGFzaA"),
        "{said}"
    );
    let crowd = (0..=MAX_ROSTER as u128).map(roster_entry).collect();
    assert!(refused(&of(crowd)).contains("501 people"));
    let twice = RosterEntry {
        acknowledged: true,
        ..roster_entry(1)
    };
    assert!(refused(&of(vec![roster_entry(1), twice])).contains("twice"));
    for name in ["x".repeat(41), "Kim\u{202e}M.".to_owned()] {
        let named = RosterEntry {
            name,
            ..may_have(1)
        };
        assert!(refused(&of(vec![named])).contains("`name`"));
    }
    let mut bundle = bundle_with_custody();
    bundle.aup.as_mut().unwrap().notice = "x".repeat(NOTICE_CHARS + 1);
    assert!(refused(&bundle).contains("`notice`"));
}

#[test]
fn somebody_may_have_a_tablet_until_their_last_day_and_with_a_pin() {
    let day = |day| jiff::civil::date(2026, 3, day);
    let kim = may_have(1);
    assert_eq!(kim.may_have_on(day(13)), Ok(()));
    assert!(kim.may_have_on(day(14)).is_err());
    let no_pin = RosterEntry {
        pin: None,
        ..may_have(1)
    };
    assert_eq!(
        no_pin.may_have_on(day(2)),
        Err("No PIN yet. Ask the office.")
    );
    // As an older server tells of them.
    assert!(roster_entry(1).may_have_on(day(2)).is_err());
}

#[test]
fn after_a_server_was_put_back_nobody_may_have_a_tablet_whom_either_of_both_bundles_refuses() {
    let suspended = RosterEntry {
        may_have: MayHave::default(),
        pin: None,
        ..may_have(2)
    };
    let of = |people: [RosterEntry; 2]| Bundle {
        roster: BTreeSet::from(people),
        ..bundle(9)
    };
    let held = of([may_have(1), suspended]);
    let mut new = of([may_have(1), may_have(2)]);
    new.roster.insert(may_have(3));
    let both = new.no_looser_than(&held);
    let day = jiff::civil::date(2026, 3, 2);
    let may: Vec<bool> = both
        .roster
        .iter()
        .map(|entry| entry.may_have_on(day).is_ok() && entry.pin.is_some())
        .collect();
    assert_eq!(may, [true, false, false]);
}
