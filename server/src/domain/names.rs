//! The names of those who may be in the rooms of a session, for a tablet's screens.

use super::profile::ProfileChangeError;
use super::rollout::InForce;
use crate::storage::{AuditEntry, Child, Device, Storage, StorageError};
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::device_api::{NamedChild, NamesRequest};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// More rooms than any setting has.
pub const MAX_ROOMS: usize = 200;

#[derive(Debug, thiserror::Error)]
pub enum NamesError {
    #[error("the session has {0} rooms; name at most {MAX_ROOMS}")]
    TooManyRooms(usize),
    #[error("the tablet's profile cannot be read, so nobody knows which day it is in the setting")]
    Profile(#[from] ProfileChangeError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Everyone who is on the register today and uses one of the rooms, of those in which the tablet is used. That they were given out is in the access log before
/// they are.
pub async fn of_session(
    storage: &Storage,
    device: &Device,
    request: &NamesRequest,
    now: Timestamp,
) -> Result<Vec<NamedChild>, NamesError> {
    if request.rooms.len() > MAX_ROOMS {
        return Err(NamesError::TooManyRooms(request.rooms.len()));
    }
    let in_force = InForce::load(storage).await?;
    let profile = in_force
        .of(device)
        .ok_or_else(|| ProfileChangeError::Missing(device.profile.clone()))?;
    let today = profile.calendar.local_date(now);
    let children = storage.child_list().await?;
    let (rooms, elsewhere) = rooms_of(device, request);
    let named = match &rooms {
        Some(rooms) => named(&children, rooms, today),
        None => Vec::new(),
    };
    let audit = AuditEntry {
        at: now,
        who: format!("tablet:{}", device.id),
        act: "session.names".to_owned(),
        subject: request.session.to_string(),
        detail: json!({
            "rooms": rooms,
            "not_its_rooms": elsewhere,
            "children": named.iter().map(|child| child.child).collect::<Vec<_>>(),
        }),
    };
    storage.audit_add(&audit).await?;
    Ok(named)
}

/// The rooms asked for in which the tablet is used, as its manager said (`device set-rooms`), and the others. `None`: none
/// of them is. Empty: the whole setting.
fn rooms_of(
    device: &Device,
    request: &NamesRequest,
) -> (Option<BTreeSet<RoomName>>, BTreeSet<RoomName>) {
    let (asked, used) = (&request.rooms, &device.rooms);
    if used.is_empty() {
        return (Some(asked.clone()), BTreeSet::new());
    }
    if asked.is_empty() {
        return (Some(used.clone()), BTreeSet::new());
    }
    let both: BTreeSet<RoomName> = asked & used;
    (Some(both).filter(|rooms| !rooms.is_empty()), asked - used)
}

fn named(children: &[Child], rooms: &BTreeSet<RoomName>, today: Date) -> Vec<NamedChild> {
    let mut there: Vec<&Child> = children
        .iter()
        .filter(|child| child.entry.uses(rooms) && child.entry.is_enrolled(today))
        .filter(|child| !child.entry.has_died())
        .collect();
    there.sort_by(|a, b| {
        (&a.entry.rooms, &a.first_name, &a.last_name, a.id).cmp(&(
            &b.entry.rooms,
            &b.first_name,
            &b.last_name,
            b.id,
        ))
    });
    let mut by_first: BTreeMap<String, Vec<&Child>> = BTreeMap::new();
    for child in &there {
        let first = child.first_name.trim().to_lowercase();
        by_first.entry(first).or_default().push(child);
    }
    there
        .iter()
        .map(|child| {
            let same = by_first.get(&child.first_name.trim().to_lowercase());
            NamedChild {
                child: child.id,
                name: told_apart(child, same.map_or(&[], Vec::as_slice)),
                rooms: child.entry.rooms.clone(),
                booked_today: child.entry.may_be_present(rooms, today),
            }
        })
        .collect()
}

/// The first name, with as much of the last name as nobody else of that first name begins with; of two with the same
/// name, each with their reference.
fn told_apart(child: &Child, same: &[&Child]) -> String {
    let first = child.first_name.trim();
    let others: Vec<Vec<char>> = same
        .iter()
        .filter(|other| other.id != child.id)
        .map(|other| other.last_name.trim().to_lowercase().chars().collect())
        .collect();
    if others.is_empty() {
        return first.to_owned();
    }
    let own: Vec<char> = child.last_name.trim().chars().collect();
    let lower: Vec<char> = child.last_name.trim().to_lowercase().chars().collect();
    if others.contains(&lower) {
        return format!("{first} {} ({})", child.last_name.trim(), child.reference);
    }
    let shared = |other: &Vec<char>| {
        let pairs = lower.iter().zip(other);
        pairs.take_while(|(a, b)| a == b).count()
    };
    let needed = others.iter().map(shared).max().unwrap_or(0) + 1;
    let part: String = own.iter().take(needed).collect();
    format!("{first} {part}").trim_end().to_owned()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;
    use crate::storage::testing::child;

    fn called(number: u128, first: &str, last: &str) -> Child {
        Child {
            first_name: first.to_owned(),
            last_name: last.to_owned(),
            ..child(number)
        }
    }

    fn names(children: &[Child]) -> Vec<String> {
        let today = jiff::civil::date(2026, 3, 10);
        let named = named(children, &BTreeSet::new(), today);
        named.into_iter().map(|child| child.name).collect()
    }

    #[tokio::test]
    async fn a_tablet_is_given_the_names_of_its_own_rooms_and_no_others() {
        use crate::storage::testing::{TestStorage, TestTablet, audit, now};
        use nestwarden_policy_schema::id::SessionId;
        let test = TestStorage::create().await;
        let storage = &test.storage;
        let early_years = nestwarden_policy_schema::profile::EARLY_YEARS;
        let act = audit("p");
        storage
            .profile_put("early-years", 0, early_years, &act)
            .await
            .unwrap();
        let tablet = TestTablet::enrol(storage).await;
        let mut other = child(2);
        let room = |name: &str| name.parse::<RoomName>().unwrap();
        other.entry.rooms = [room("Owls")].into();
        let change = crate::storage::RegisterChange {
            children: vec![child(1), other],
            records: Vec::new(),
            import_key: None,
        };
        let version = storage.inputs_version().await.unwrap();
        storage
            .register_change(&change, version, &act)
            .await
            .unwrap();
        let asks = async |rooms: &[&str]| {
            let device = storage.device_find(tablet.id).await.unwrap().unwrap();
            let request = NamesRequest {
                session: SessionId::from_uuid(uuid::Uuid::nil()),
                rooms: rooms.iter().map(|name| room(name)).collect(),
            };
            let named = of_session(storage, &device, &request, now()).await.unwrap();
            let children = named.into_iter().map(|child| child.name);
            children.collect::<Vec<String>>()
        };
        assert_eq!(asks(&["Owls"]).await, ["First2"], "used anywhere");
        let rooms = [room("Robins")].into();
        storage
            .device_set_rooms(tablet.id, &rooms, &act)
            .await
            .unwrap();
        assert_eq!(asks(&["Robins", "Owls"]).await, ["First1"]);
        let log = storage.audit_list(1).await.unwrap();
        assert_eq!(log[0].detail["not_its_rooms"], json!(["Owls"]));
        assert_eq!(asks(&[]).await, ["First1"]);
        assert!(asks(&["Owls"]).await.is_empty());
    }

    #[test]
    fn a_first_name_is_enough_until_two_share_it() {
        let children = [
            called(1, "Ann", "Bee"),
            called(2, "Ben", "Dow"),
            called(3, "ann", "Bell"),
            called(4, "Ann", "Cole"),
        ];
        assert_eq!(names(&children), ["Ann Bee", "Ann C", "Ben", "ann Bel"]);
    }

    #[test]
    fn two_children_of_the_same_name_are_told_apart_by_reference() {
        let children = [called(1, "Ann", "Bee"), called(2, "Ann", "BEE")];
        assert_eq!(names(&children), ["Ann BEE (A2)", "Ann Bee (A1)"]);
        let short = [called(1, "Ann", "Li"), called(2, "Ann", "Lind")];
        assert_eq!(names(&short), ["Ann Li", "Ann Lin"]);
    }

    #[test]
    fn whoever_left_died_or_has_not_started_is_not_named() {
        use nestwarden_policy_schema::consent::{LeaveReason, Leaving};
        let mut children: Vec<Child> = (1..=4).map(child).collect();
        let leaving = |date: &str, reason| Leaving {
            date: date.parse().unwrap_or_default(),
            reason,
        };
        children[0].entry.leaves = Some(leaving("2026-03-09", LeaveReason::Left));
        children[1].entry.leaves = Some(leaving("2026-12-01", LeaveReason::Died));
        children[2].entry.starts = Some(jiff::civil::date(2026, 3, 11));
        assert_eq!(names(&children), ["First4"]);
    }
}
