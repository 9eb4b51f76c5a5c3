use super::*;
use crate::paths::Paths;
use crate::testing::{HandClock, Signer, enrolled, roster_entry};
use jiff::SignedDuration;
use jiff::civil::time;
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::envelope::verify_bundle;
use nestwarden_policy_schema::roster::{AupNotice, CustodyWord, MayHave, OpenCustody};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

const KIM: u128 = 1;
const ROSA: u128 = 2;
const PINS: [(u128, &str, &str); 2] = [(KIM, "Kim M.", "482915"), (ROSA, "Rosa", "739186")];

struct Tablet {
    _dir: tempfile::TempDir,
    paths: Paths,
    signer: Signer,
    bundle: Bundle,
    ledger: Ledger,
    hands: HandClock,
    custody: Custody,
}

fn staff(number: u128) -> StaffId {
    StaffId::from_uuid(Uuid::from_u128(number))
}

fn pin(text: &str) -> Option<Pin> {
    Pin::typed(Zeroizing::new(text.to_owned()))
}

fn taking(number: u128, text: &str) -> Taking {
    Taking {
        staff: staff(number),
        pin: pin(text),
        agreed: None,
        room: Some("Owls".parse().unwrap()),
        due: time(17, 30, 0, 0),
    }
}

impl Tablet {
    /// Monday at ten; Kim and Rosa have PINs.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path());
        let signer = Signer::new();
        let ledger = enrolled(&paths, &signer);
        let hands = HandClock::at("2026-03-02T10:00:00Z");
        let clock = TrustedClock::open(ledger.clone(), Arc::new(hands.clone())).unwrap();
        clock.confirm(clock.now().at, Duration::ZERO).unwrap();
        let mut bundle = signer.content(1);
        bundle.rooms = BTreeSet::from(["Owls".parse().unwrap()]);
        bundle.roster = PINS.map(|(n, name, pin)| roster_entry(n, name, pin)).into();
        let mut tablet = Self {
            _dir: dir,
            paths,
            bundle,
            custody: Custody::new(ledger.clone(), clock),
            signer,
            ledger,
            hands,
        };
        tablet.hears();
        tablet
    }

    /// The bundle as it stands arrives.
    fn hears(&mut self) {
        let signed = self.signer.sign_bundle(&self.bundle);
        let anchors = self.signer.anchors();
        let verified = verify_bundle(signed, &anchors, self.signer.device, None).unwrap();
        self.ledger.store_bundle(verified).unwrap();
        self.bundle.generation = Generation::new(self.bundle.generation.get() + 1);
    }

    fn change(&mut self, number: u128, change: impl Fn(&mut RosterEntry)) {
        let roster = std::mem::take(&mut self.bundle.roster);
        self.bundle.roster = roster
            .into_iter()
            .map(|mut entry| {
                if entry.staff == staff(number) {
                    change(&mut entry);
                }
                entry
            })
            .collect();
        self.hears();
    }

    /// The agent is killed and starts again.
    fn restarts(&mut self) {
        let ledger = Ledger::open(&self.paths).unwrap();
        let clock = TrustedClock::open(ledger.clone(), Arc::new(self.hands.clone())).unwrap();
        self.custody = Custody::new(ledger.clone(), clock);
        self.ledger = ledger;
    }

    fn told(&self) -> Vec<EventBody> {
        let events = self.ledger.events_after(0, 1_000, usize::MAX).unwrap();
        let bodies = events.iter().filter_map(|event| event.body.as_deref());
        bodies
            .map(|body| serde_json::from_str(body).unwrap())
            .filter(|body| {
                matches!(
                    body,
                    EventBody::CustodyTaken { .. }
                        | EventBody::CustodyReturned { .. }
                        | EventBody::PinRefused { .. }
                        | EventBody::PinLockedOut { .. }
                )
            })
            .collect()
    }

    fn standing(&self) -> Standing {
        self.custody.standing().unwrap().unwrap()
    }

    fn holder(&self) -> Option<Holder> {
        self.standing().open
    }
}

#[tokio::test]
async fn somebody_signs_the_tablet_out_and_another_brings_it_back_and_both_are_told() {
    let mut tablet = Tablet::new();
    assert_eq!(
        tablet.standing().due,
        time(18, 0, 0, 0),
        "end of contact hours"
    );
    tablet.custody.take(taking(KIM, "482915")).await.unwrap();
    tablet.restarts();
    let holder = tablet.holder().unwrap();
    assert_eq!((holder.name.as_str(), holder.is_overdue), ("Kim M.", false));
    let second = tablet.custody.take(taking(ROSA, "739186")).await;
    assert!(matches!(second, Err(CustodyError::Taken)), "{second:?}");
    tablet.hands.pass(Duration::from_hours(8));
    assert!(tablet.holder().unwrap().is_overdue);
    tablet
        .custody
        .give_back(staff(ROSA), pin("739186"))
        .await
        .unwrap();
    assert_eq!(tablet.holder(), None);
    let again = tablet.custody.give_back(staff(ROSA), pin("739186")).await;
    assert!(matches!(again, Err(CustodyError::NotTaken)));
    let told = tablet.told();
    let [
        EventBody::CustodyTaken {
            custody,
            staff: who,
            due,
            room,
            ..
        },
        EventBody::CustodyReturned { custody: of, by },
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!((custody, *who, *by), (of, staff(KIM), staff(ROSA)));
    assert_eq!(due.to_string(), "2026-03-02T17:30:00Z");
    assert_eq!(room.as_ref().unwrap().as_str(), "Owls");
}

#[tokio::test]
async fn a_wrong_pin_does_nothing_but_count_and_five_in_a_row_are_told() {
    let mut tablet = Tablet::new();
    let mut waits = Vec::new();
    for _ in 0..5 {
        let left = loop {
            match tablet.custody.take(taking(KIM, "111111")).await {
                Err(CustodyError::Wrong { wait }) => break wait,
                // Neither a restart nor a clock that is set ahead makes it shorter.
                Err(CustodyError::Wait { wait }) => {
                    tablet.hands.set_wall("2026-03-03T10:00:00Z");
                    tablet.restarts();
                    let still = tablet.custody.take(taking(KIM, "482915")).await;
                    assert!(matches!(still, Err(CustodyError::Wait { .. })), "{still:?}");
                    tablet.hands.pass(wait);
                }
                other => panic!("{other:?}"),
            }
        };
        waits.push(left.as_secs());
    }
    assert_eq!(waits, [0, 0, 30, 60, 300]);
    assert_eq!(tablet.holder(), None);
    let locked_out = tablet.told();
    assert!(matches!(
        locked_out.last(),
        Some(EventBody::PinLockedOut {
            tries: 5,
            wait_s: 300,
            ..
        })
    ));
    // Somebody else is not kept waiting, and the right PIN ends it all.
    tablet.custody.take(taking(ROSA, "739186")).await.unwrap();
    tablet.hands.pass(Duration::from_mins(5));
    tablet
        .custody
        .give_back(staff(KIM), pin("482915"))
        .await
        .unwrap();
    let wrong = tablet.custody.take(taking(KIM, "111111")).await;
    assert!(matches!(wrong, Err(CustodyError::Wrong { wait }) if wait.is_zero()));
    tablet.hands.pass(Duration::from_mins(11));
    tablet
        .ledger
        .flush_repeats(tablet.custody.clock.now().at)
        .unwrap();
    let told = tablet.told();
    let counts = told.iter().filter_map(|body| {
        let EventBody::PinRefused { count, .. } = body else {
            return None;
        };
        Some(*count)
    });
    assert_eq!(counts.sum::<u64>(), 6);
}

#[tokio::test]
async fn what_is_no_pin_at_all_counts_as_a_wrong_one() {
    let tablet = Tablet::new();
    for text in ["", "48291", "abcdef", "482915482915"] {
        let mut typed = taking(KIM, text);
        typed.pin = pin(text);
        let refused = tablet.custody.take(typed).await;
        assert!(
            matches!(
                refused,
                Err(CustodyError::Wrong { .. } | CustodyError::Wait { .. })
            ),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn who_has_not_agreed_to_the_policy_in_force_does_so_once() {
    let mut tablet = Tablet::new();
    let version = EntryId::from_uuid(Uuid::from_u128(7));
    tablet.bundle.aup = Some(AupNotice {
        version,
        name: "2026-1".to_owned(),
        notice: String::new(),
    });
    tablet.change(KIM, |kim| kim.acknowledged = false);
    let refused = tablet.custody.take(taking(KIM, "482915")).await;
    assert!(matches!(refused, Err(CustodyError::MustAgree)));
    let agreed = Taking {
        agreed: Some(version),
        ..taking(KIM, "482915")
    };
    tablet.custody.take(agreed).await.unwrap();
    tablet
        .custody
        .give_back(staff(KIM), pin("482915"))
        .await
        .unwrap();
    // The server has not heard of it yet.
    tablet.custody.take(taking(KIM, "482915")).await.unwrap();
    let agreed = tablet.told().into_iter().filter_map(|body| {
        let EventBody::CustodyTaken { acknowledged, .. } = body else {
            return None;
        };
        Some(acknowledged)
    });
    assert_eq!(agreed.collect::<Vec<_>>(), [Some(version), None]);
}

#[tokio::test]
async fn whoever_is_suspended_takes_none_and_what_they_have_stays_theirs_until_it_is_back() {
    let mut tablet = Tablet::new();
    tablet.custody.take(taking(KIM, "482915")).await.unwrap();
    assert!(!tablet.holder().unwrap().may_not);
    tablet.change(KIM, |kim| {
        kim.may_have = MayHave::default();
        kim.pin = None;
    });
    assert!(tablet.holder().unwrap().may_not);
    let own = tablet.custody.give_back(staff(KIM), pin("482915")).await;
    assert!(matches!(own, Err(CustodyError::MayNot(_))), "{own:?}");
    tablet
        .custody
        .give_back(staff(ROSA), pin("739186"))
        .await
        .unwrap();
    let again = tablet.custody.take(taking(KIM, "482915")).await;
    assert!(matches!(again, Err(CustodyError::MayNot(_))));
    let gone = tablet.custody.take(taking(99, "482915")).await;
    assert!(matches!(gone, Err(CustodyError::MayNot(_))));
}

#[tokio::test]
async fn it_works_from_an_old_bundle_and_not_beyond_a_last_day() {
    let mut tablet = Tablet::new();
    tablet.change(ROSA, |rosa| {
        rosa.until = Some(jiff::civil::date(2026, 3, 6));
    });
    // Monday a fortnight later.
    tablet.hands.pass(Duration::from_hours(14 * 24));
    assert!(tablet.standing().expired_at.is_some());
    let rosa = tablet.custody.take(taking(ROSA, "739186")).await;
    assert!(matches!(rosa, Err(CustodyError::MayNot(_))));
    tablet.custody.take(taking(KIM, "482915")).await.unwrap();
}

#[tokio::test]
async fn a_due_time_that_is_over_and_a_room_that_is_none_cost_no_try() {
    let tablet = Tablet::new();
    for _ in 0..5 {
        let early = Taking {
            due: time(9, 0, 0, 0),
            ..taking(KIM, "482915")
        };
        let refused = tablet.custody.take(early).await;
        assert!(matches!(refused, Err(CustodyError::DueBefore)));
        let elsewhere = Taking {
            room: Some("Bats".parse().unwrap()),
            ..taking(KIM, "482915")
        };
        let refused = tablet.custody.take(elsewhere).await;
        assert!(matches!(refused, Err(CustodyError::Room)));
    }
    tablet.custody.take(taking(KIM, "482915")).await.unwrap();
}

#[tokio::test]
async fn the_offices_word_counts_as_soon_as_it_arrives_and_outlives_the_bundle() {
    let mut tablet = Tablet::new();
    let office = CustodyId::from_uuid(Uuid::from_u128(70));
    let since = tablet.custody.clock.now().at;
    tablet.bundle.custody = Some(CustodyWord {
        open: Some(OpenCustody {
            custody: office,
            staff: staff(ROSA),
            name: "Rosa".to_owned(),
            room: None,
            since,
            due: since + SignedDuration::from_hours(1),
        }),
        over: BTreeSet::new(),
    });
    tablet.hears();
    assert_eq!(tablet.holder().unwrap().name, "Rosa");
    let taken = tablet.custody.take(taking(KIM, "482915")).await;
    assert!(matches!(taken, Err(CustodyError::Taken)));
    tablet.custody.take_over().unwrap();
    // A manager says that it is back.
    tablet.bundle.custody = Some(CustodyWord {
        open: None,
        over: BTreeSet::from([office]),
    });
    tablet.hears();
    assert_eq!(tablet.holder(), None);
    tablet.custody.take_over().unwrap();
    // And names other times later.
    tablet.bundle.custody = Some(CustodyWord::default());
    tablet.hears();
    assert_eq!(tablet.holder(), None);
    tablet.custody.take(taking(KIM, "482915")).await.unwrap();
}
