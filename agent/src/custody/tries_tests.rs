use super::*;
use proptest::prelude::*;
use uuid::Uuid;

const HOUR: Duration = Duration::from_hours(1);
/// Tries within an hour of life, at most.
const MOST_OF_PERSON: usize = 8;
const MOST_OF_TABLET: usize = 28;

fn person(number: u8) -> StaffId {
    StaffId::from_uuid(Uuid::from_u128(number.into()))
}

fn reading(boot: u32, since: Duration) -> BootReading {
    BootReading {
        boot: boot.to_string(),
        since,
    }
}

fn everybody() -> BTreeSet<StaffId> {
    (0..4).map(person).collect()
}

#[test]
fn waits_grow_are_told_once_and_end_with_the_right_pin() {
    let (mut tries, everybody) = (Tries::default(), everybody());
    let mut at = Duration::from_secs(5);
    let mut waits = Vec::new();
    let mut told = Vec::new();
    for _ in 0..8 {
        at += tries.left(person(1), &reading(1, at));
        assert_eq!(tries.admit(person(1), &everybody, &reading(1, at)), Ok(()));
        told.push(tries.wrong(person(1)).map(|told| told.tries));
        waits.push(tries.left(person(1), &reading(1, at)).as_secs());
    }
    assert_eq!(waits, [0, 0, 30, 60, 300, 900, 1800, 1800]);
    let once: Vec<_> = told.into_iter().flatten().collect();
    assert_eq!(once, [5]);
    assert!(tries.left(person(2), &reading(1, at)).is_zero());
    tries.right(person(1));
    assert!(tries.left(person(1), &reading(1, at)).is_zero());
}

#[test]
fn a_restart_has_the_whole_wait_before_it() {
    let (mut tries, everybody) = (Tries::default(), everybody());
    for _ in 0..3 {
        let at = reading(1, Duration::from_secs(100));
        tries.admit(person(1), &everybody, &at).unwrap_or_default();
    }
    let left = |boot, secs| tries.left(person(1), &reading(boot, Duration::from_secs(secs)));
    assert_eq!(left(1, 120), Duration::from_secs(10));
    assert_eq!(left(2, 0), Duration::from_secs(30));
    assert_eq!(left(2, 25), Duration::from_secs(5));
}

#[derive(Clone, Debug)]
enum Deed {
    Wrong(u8),
    Right(u8),
    Pass(u16),
    /// The machine is off for a while, whatever its clock says then.
    Reboot,
    /// The agent ends after it counted a try, or at any other time.
    Killed,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => (0..4_u8).prop_map(Deed::Wrong),
        1 => (0..4_u8).prop_map(Deed::Right),
        3 => (0..1_000_u16).prop_map(Deed::Pass),
        1 => Just(Deed::Reboot),
        1 => Just(Deed::Killed),
    ]
}

/// Most of a list of times that lie within an hour.
fn densest(times: &[Duration]) -> usize {
    let within = |from: &Duration| {
        let of_hour = times.iter().filter(|at| *at >= from && **at < *from + HOUR);
        of_hour.count()
    };
    times.iter().map(within).max().unwrap_or_default()
}

proptest! {
    #[test]
    fn never_more_than_so_many_tries_are_checked_within_an_hour(
        deeds in proptest::collection::vec(deed(), 1..400)
    ) {
        let everybody = everybody();
        let mut tries = Tries::default();
        let (mut boot, mut since, mut lived) = (1, Duration::from_secs(9), Duration::ZERO);
        // Since the last right one: of each, and of all.
        let mut of_person: BTreeMap<u8, Vec<Duration>> = BTreeMap::new();
        let mut of_tablet: Vec<Duration> = Vec::new();
        for deed in deeds {
            match deed {
                Deed::Wrong(who) => {
                    if tries.admit(person(who), &everybody, &reading(boot, since)).is_ok() {
                        of_person.entry(who).or_default().push(lived);
                        of_tablet.push(lived);
                        let _ = tries.wrong(person(who));
                    }
                }
                Deed::Right(who) => {
                    if tries.admit(person(who), &everybody, &reading(boot, since)).is_ok() {
                        tries.right(person(who));
                        of_person.remove(&who);
                        of_tablet.clear();
                    }
                }
                Deed::Pass(seconds) => {
                    since += Duration::from_secs(seconds.into());
                    lived += Duration::from_secs(seconds.into());
                }
                Deed::Reboot => {
                    boot += 1;
                    since = Duration::ZERO;
                }
                Deed::Killed => {
                    let text = serde_json::to_string(&tries).map_err(|e| TestCaseError::fail(e.to_string()))?;
                    tries = serde_json::from_str(&text).map_err(|e| TestCaseError::fail(e.to_string()))?;
                }
            }
            for times in of_person.values() {
                prop_assert!(densest(times) <= MOST_OF_PERSON, "{times:?}");
            }
            prop_assert!(densest(&of_tablet) <= MOST_OF_TABLET);
        }
    }
}
