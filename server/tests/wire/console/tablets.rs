//! The list of all tablets.

use super::person::Person;
use crate::events::tells;
use crate::nursery::Nursery;
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use nestwarden_server::domain::profile;
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

#[tokio::test]
async fn every_setting_of_a_tablet_says_where_it_comes_from() {
    let nursery = Nursery::open().await;
    let exception = r#"
[[exception]]
allow = "camera"
reason = "a walk to the <park>"
approved_by = "Dana Lead"
from = "2020-01-01"
until = "2020-01-02"
"#;
    let source = format!("{EARLY_YEARS}{exception}");
    profile::apply(&nursery.storage, &source, "os:test", nursery.now())
        .await
        .unwrap();
    let id = nursery.enrolled().await.id;
    let tighter = profile::read_override("[passcode]\nmin_length = 9\n").unwrap();
    profile::set_overrides(&nursery.storage, id, &[tighter], "os:test", nursery.now())
        .await
        .unwrap();
    let person = Person::of(&nursery, "Ana", &[Role::Auditor]).await;
    let answer = person.get(&format!("/tablets/{id}/held-to")).await;
    assert_eq!(answer.status(), 200);
    let shown = answer.text().await.unwrap();
    let row = |key: &str| {
        let from = shown.find(&format!("<code>{key}</code>"));
        let rest = &shown[from.unwrap_or_else(|| panic!("{key}: {shown}"))..];
        rest[..rest.find("</tr>").unwrap()].to_owned()
    };
    let length = row("min_length");
    let monday = row("contact_hours.monday");
    assert!(monday.contains("07:30 to "), "{monday}");
    assert!(
        length.contains(">9<") && length.contains("Override of this tablet"),
        "{length}"
    );
    let zone = row("time_zone");
    assert!(
        zone.contains("Europe/London") && zone.contains("Profile"),
        "{zone}"
    );
    assert!(
        shown.contains("the camera outside a session") && shown.contains("Over<"),
        "{shown}"
    );
    assert!(shown.contains("a walk to the &lt;park&gt;"), "{shown}");
    let missing = person
        .get("/tablets/00000000-0000-0000-0000-000000000009/held-to")
        .await;
    assert_eq!(missing.status(), 404);
    nursery.close().await;
}

#[tokio::test]
async fn what_a_tablet_told_is_shown_a_page_at_a_time() {
    let nursery = Nursery::open().await;
    let tablet = nursery.enrolled().await;
    let path = format!("/tablets/{}/timeline", tablet.id);
    let person = Person::of(&nursery, "Ana", &[Role::Auditor]).await;
    let page = async |path: &str| {
        let answer = person.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    };
    assert!(page(&path).await.contains("It told nothing yet."));
    let alarm = |what: &str| EventBody::Alarm {
        what: what.to_owned(),
    };
    tells(&nursery, &tablet, &alarm("<disk> full")).await;
    let shown = page(&path).await;
    assert!(shown.contains("Alarm: &lt;disk&gt; full"), "{shown}");
    assert!(
        !shown.contains("Older") && !shown.contains("Newer"),
        "{shown}"
    );
    let earlier = page(&format!("{path}?until=0")).await;
    assert!(
        !earlier.contains("Alarm") && earlier.contains("Newer"),
        "{earlier}"
    );
    // More than there are is as many as there are.
    assert!(page(&format!("{path}?until=99999")).await.contains("Alarm"));
    nursery.close().await;
}
