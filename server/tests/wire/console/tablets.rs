//! The list of all tablets.

use super::person::Person;
use crate::nursery::Nursery;
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_server::storage::{Device, Revocation, Role};

/// What the list shows, in its order.
async fn listed(person: &Person, devices: &[Device], path: &str) -> Vec<DeviceId> {
    let answer = person.get(path).await;
    assert_eq!(answer.status(), 200, "{path}");
    let page = answer.text().await.unwrap();
    let mut found: Vec<(usize, DeviceId)> = devices
        .iter()
        .filter_map(|device| {
            let link = format!("href=\"/tablets/{}\"", device.id);
            Some((page.find(&link)?, device.id))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, id)| id).collect()
}

#[tokio::test]
async fn a_tablet_is_found_by_name_room_and_how_it_stands() {
    let nursery = Nursery::open().await;
    for _ in 0..3 {
        nursery.enrolled().await;
    }
    let devices = nursery.storage.device_list().await.unwrap();
    let (gone, robin) = (&devices[0], &devices[1]);
    let rooms = std::collections::BTreeSet::from(["Owls".parse().unwrap()]);
    let act = nursery.audit("t");
    let set = nursery.storage.device_set_rooms(robin.id, &rooms, &act);
    set.await.unwrap();
    let out = Revocation {
        at: nursery.now(),
        reason: "left on a bus".to_owned(),
    };
    let revoked = nursery.storage.device_revoke(gone.id, &out, &act);
    revoked.await.unwrap();

    let person = Person::of(&nursery, "Ana", &[Role::Auditor]).await;
    let in_use = [devices[1].id, devices[2].id];
    let list = async |path| listed(&person, &devices, path).await;
    assert_eq!(list("/tablets").await, in_use);
    assert_eq!(list("/tablets?sort=name").await, in_use);
    assert_eq!(list("/tablets?show=out").await, [gone.id]);
    assert_eq!(list("/tablets?room=Owls").await, [robin.id]);
    assert_eq!(list("/tablets?show=unchecked").await, in_use);
    assert_eq!(list("/tablets?show=ready").await, []);
    let search = robin.name.to_uppercase().replace(' ', "+");
    let search = format!("/tablets?search={search}");
    assert_eq!(list(&search).await, in_use);
    assert_eq!(list("/tablets?search=no+such").await, []);
    // What no page asks for is answered as if it had not been said.
    assert_eq!(list("/tablets?show=x&sort=y&page=-1").await, in_use);

    let shown = person.get("/tablets?show=out").await.text().await.unwrap();
    assert!(shown.contains("left on a bus"), "{shown}");
}
