#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::registers::testing::{House, hand};
use crate::domain::registers::{find, list};
use crate::storage::Which;
use crate::storage::testing::now;
use proptest::prelude::*;
use uuid::Uuid;

fn person(number: u128, roles: &[Role]) -> Operator {
    Operator {
        id: OperatorId::from_uuid(Uuid::from_u128(number)),
        name: number.to_string(),
        roles: roles.iter().copied().collect(),
        created_at: now(),
    }
}

fn readers<'p>(people: &'p [Operator], part: &[u128]) -> Option<Vec<&'p str>> {
    let part = part
        .iter()
        .map(|n| OperatorId::from_uuid(Uuid::from_u128(*n)));
    let circle = circle_for(people, &part.collect())?;
    let admitted = people.iter().filter(|person| circle.admits(person));
    Some(admitted.map(|person| person.name.as_str()).collect())
}

#[test]
fn nobody_reads_a_concern_in_which_they_play_a_part_and_the_dsls_goes_to_others() {
    let people = [
        person(1, &[Role::Dsl]),
        person(2, &[Role::Deputy]),
        person(3, &[Role::Manager]),
        person(4, &[Role::ItAdmin]),
        person(5, &[Role::Auditor]),
    ];
    assert_eq!(readers(&people, &[]).unwrap(), ["1", "2"]);
    assert_eq!(readers(&people, &[3, 4]).unwrap(), ["1", "2"]);
    assert_eq!(readers(&people, &[2]).unwrap(), ["1"]);
    assert_eq!(readers(&people, &[1]).unwrap(), ["2", "3"]);
    assert_eq!(readers(&people, &[1, 2]).unwrap(), ["3"]);
    assert_eq!(readers(&people, &[1, 2, 3]), None);
    assert_eq!(readers(&people[2..], &[]).unwrap(), ["3"], "no DSL yet");
    assert_eq!(readers(&people[3..], &[]), None);
}

proptest! {
    #[test]
    fn whoever_plays_a_part_is_never_a_reader_and_it_and_auditors_never_are(
        roles in prop::collection::vec(prop::sample::subsequence(
            vec![Role::ItAdmin, Role::Manager, Role::Dsl, Role::Deputy, Role::Auditor], 0..=3), 0..7),
        part in prop::collection::btree_set(0u128..7, 0..7),
    ) {
        let people: Vec<Operator> = (0u128..).zip(&roles).map(|(n, roles)| person(n, roles)).collect();
        let part: BTreeSet<_> = part.into_iter().map(|n| OperatorId::from_uuid(Uuid::from_u128(n))).collect();
        let may = [Role::Manager, Role::Dsl, Role::Deputy];
        let could = |p: &Operator| !part.contains(&p.id) && may.iter().any(|role| p.roles.contains(role));
        match circle_for(&people, &part) {
            None => prop_assert!(!people.iter().any(could)),
            Some(circle) => {
                let admitted: Vec<_> = people.iter().filter(|p| circle.admits(p)).collect();
                prop_assert!(!admitted.is_empty());
                prop_assert!(admitted.into_iter().all(could));
            }
        }
    }
}

#[test]
fn a_concern_is_closed_once_it_was_decided() {
    let raised = Concern::after(None, &Act::Raise, now()).unwrap();
    assert_eq!(raised.due(), Some(now() + ACKNOWLEDGE_WITHIN));
    let close = Act::Close { incident: None };
    assert!(Concern::after(Some(raised.clone()), &close, now()).is_err());
    let decided = Concern::after(Some(raised), &Act::Decide, now()).unwrap();
    assert_eq!(decided.acknowledged_at, Some(now()));
    let closed = Concern::after(Some(decided), &close, now()).unwrap();
    assert!(!closed.is_open() && closed.due().is_none());
    assert!(Concern::after(Some(closed.clone()), &Act::Note, now()).is_err());
    let again = Concern::after(Some(closed), &Act::Reopen, now()).unwrap();
    assert!(Concern::after(Some(again), &close, now()).is_err());
}

const BODY: &str = "he photographed her in the garden";

fn body() -> Words {
    Words::default().text("body", BODY).unwrap()
}

#[tokio::test]
async fn what_everybody_who_could_read_it_is_part_of_is_kept_nowhere() {
    let house = House::new().await;
    let dana = house.person("Dana", &[Role::Dsl, Role::Manager]).await;
    let sam = house.person("Sam", &[Role::ItAdmin]).await;
    let registers = house.registers();
    let before = house.storage().audit_list(99).await.unwrap();
    let part = BTreeSet::from([dana.id]);
    let raised = raise(&registers, &body(), &part, hand(&sam, now()))
        .await
        .unwrap();
    assert_eq!(raised, Raised::NobodyToRead);
    assert!(
        list::<Concern>(house.storage(), Which::All)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(house.storage().audit_list(99).await.unwrap(), before);
}

#[tokio::test]
async fn a_copy_of_the_database_says_neither_what_a_concern_is_about_nor_whom() {
    let house = House::new().await;
    let dana = house.person("Dana", &[Role::Dsl]).await;
    let kim = house.person("Kim", &[Role::Manager]).await;
    let sam = house.person("Sam", &[Role::ItAdmin]).await;
    let registers = house.registers();
    let mut rows = Vec::new();
    for part in [BTreeSet::new(), BTreeSet::from([dana.id])] {
        let raised = raise(&registers, &body(), &part, hand(&sam, now()))
            .await
            .unwrap();
        let Raised::Kept(id) = raised else {
            panic!("nobody reads it");
        };
        let store = house.storage();
        rows.push(
            store
                .entry_find(RegisterName::Concern, id)
                .await
                .unwrap()
                .unwrap(),
        );
        let concern = find::<Concern>(store, id).await.unwrap().unwrap();
        let may = [&dana, &kim, &sam].map(|person| registers.may_read(&concern, person));
        assert_eq!(may, [part.is_empty(), !part.is_empty(), false]);
    }
    for row in &rows {
        let crate::storage::EntryWords::Sealed(sealed) = &row.lines[0].words else {
            panic!("they are not sealed");
        };
        assert!(!sealed.windows(6).any(|some| some == b"garden"));
    }
    // Whom it is about is no different to look at from that it is about nobody of them; the size of a circle is in its own test.
    let shapes: BTreeSet<_> = rows
        .iter()
        .map(|row| {
            let (head, line) = (&row.head, &row.lines[0]);
            let is_sealed = head.circle.is_some();
            (
                line.act.to_string(),
                line.by.clone(),
                head.subject.clone(),
                is_sealed,
            )
        })
        .collect();
    assert_eq!(shapes.len(), 1);
}

#[tokio::test]
async fn whoever_is_left_out_of_a_concern_is_left_out_of_its_incident_also_where_managers_read_it()
{
    let house = House::new().await;
    let dana = house.person("Dana", &[Role::Dsl]).await;
    let eve = house.person("Eve", &[Role::Deputy]).await;
    let kim = house.person("Kim", &[Role::Manager]).await;
    let registers = house.registers();
    let part = BTreeSet::from([eve.id]);
    let Raised::Kept(id) = raise(&registers, &body(), &part, hand(&kim, now()))
        .await
        .unwrap()
    else {
        panic!("nobody reads it");
    };
    let concern = find::<Concern>(house.storage(), id).await.unwrap().unwrap();
    let facts = Facts {
        happened_at: now(),
        noticed_at: now(),
        severity: incident::Severity::Serious,
        device: None,
    };
    let told = Words::default().text("facts", "as was said").unwrap();
    let make = async |concern: &Kept<Concern>| {
        let more = (&told, Readers::AndManagers);
        become_incident(&registers, concern, facts.clone(), more, hand(&dana, now())).await
    };
    // Before it was decided, and then nothing is written.
    assert!(make(&concern).await.is_err());
    assert!(
        list::<Incident>(house.storage(), Which::All)
            .await
            .unwrap()
            .is_empty()
    );
    registers
        .add::<Concern>(id, &Act::Decide, &body(), hand(&dana, now()))
        .await
        .unwrap();
    let concern = find::<Concern>(house.storage(), id).await.unwrap().unwrap();
    let begun = make(&concern).await.unwrap();
    let incident = find::<Incident>(house.storage(), begun)
        .await
        .unwrap()
        .unwrap();
    let may = [&dana, &eve, &kim].map(|person| registers.may_read(&incident, person));
    assert_eq!(may, [true, false, true]);
    let concern = find::<Concern>(house.storage(), id).await.unwrap().unwrap();
    assert_eq!(concern.now.state, State::BecameIncident(begun));
}

#[tokio::test]
async fn nobody_hides_a_concern_among_a_great_many_of_their_own() {
    let house = House::new().await;
    house.person("Dana", &[Role::Dsl]).await;
    let sam = house.person("Sam", &[Role::ItAdmin]).await;
    let ada = house.person("Ada", &[Role::Auditor]).await;
    let registers = house.registers();
    let nobody = BTreeSet::new();
    for _ in 0..RAISED_A_DAY {
        raise(&registers, &body(), &nobody, hand(&sam, now()))
            .await
            .unwrap();
    }
    let one_more = async |by, at| raise(&registers, &body(), &nobody, hand(by, at)).await;
    assert!(matches!(
        one_more(&sam, now()).await,
        Err(RegisterError::Refused(_))
    ));
    assert!(one_more(&ada, now()).await.is_ok());
    let tomorrow = now() + SignedDuration::from_hours(24);
    assert!(one_more(&sam, tomorrow).await.is_ok());
}
