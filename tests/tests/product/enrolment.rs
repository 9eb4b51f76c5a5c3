//! How a tablet becomes one of the setting's, and how it stops being one.

use crate::setting::{AVA, ROOM, photo_of, setting, setting_with_tablet};
use system_tests::fleet::DSL;
use system_tests::patience::until;
use system_tests::profile;

#[test]
fn a_tablet_enrols_and_the_server_and_the_tablet_agree_on_it() {
    let mut fleet = setting_with_tablet();
    fleet.tablets[0].wait_until_reported().unwrap();
    let known = fleet.server.tell(["device", "list"]).unwrap();
    let devices = known["devices"].as_array().unwrap();
    assert_eq!(devices.len(), 1);
    let status = fleet.tablets[0].status().unwrap();
    let id = fleet
        .server
        .database()
        .texts("SELECT device_id FROM devices")
        .unwrap();
    assert_eq!(status["device"].as_str(), Some(id[0].as_str()));
    fleet.check_logs().unwrap();
}

#[test]
fn a_token_enrols_one_tablet_and_no_second() {
    let fleet = setting();
    let link = fleet
        .server
        .enrol_link("tablet-1", profile::NAME, &[ROOM])
        .unwrap();
    fleet.new_tablet("tablet-1").unwrap().enrol(&link).unwrap();
    let refused = fleet
        .new_tablet("tablet-2")
        .unwrap()
        .ask(["enrol", &link])
        .unwrap();
    assert_eq!(refused.code(), Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("used") || refused.stdout.contains("used"),
        "{refused:?}"
    );
    let tablets = fleet
        .server
        .database()
        .number("SELECT count(*) FROM devices");
    assert_eq!(tablets.unwrap(), 1);
}

#[test]
fn a_tablet_speaks_to_no_server_but_the_one_its_link_pins() {
    let (ours, other) = (setting(), setting());
    let link = ours
        .server
        .enrol_link("tablet-1", profile::NAME, &[ROOM])
        .unwrap();
    let elsewhere = link.replace(
        &ours.server.tablets_address().to_string(),
        &other.server.tablets_address().to_string(),
    );
    assert_ne!(link, elsewhere);
    let tablet = ours.new_tablet("tablet-1").unwrap();
    let refused = tablet.ask(["enrol", &elsewhere]).unwrap();
    assert_eq!(refused.code(), Some(1), "{refused:?}");
    // The token never left the tablet, so it is still good.
    tablet.enrol(&link).unwrap();
}

#[test]
fn a_wrong_link_is_refused_as_wrong_use_or_with_a_remedy() {
    let fleet = setting();
    let tablet = fleet.new_tablet("tablet-1").unwrap();
    for link in ["", "https://example.invalid", "nestwarden://enrol?server=a"] {
        let refused = tablet.ask(["enrol", link]).unwrap();
        assert!(matches!(refused.code(), Some(1 | 2)), "{refused:?}");
        assert!(refused.stderr.contains("link"), "{refused:?}");
    }
}

#[test]
fn a_revoked_tablet_gets_no_bundle_and_loosens_nothing() {
    let mut fleet = setting_with_tablet();
    let photo = photo_of(&fleet, 1, &[AVA]);
    fleet.tablets[0].wait_until_reported().unwrap();
    let generation = fleet.tablets[0].generation().unwrap();
    fleet
        .server
        .tell(["device", "revoke", "tablet-1", "--reason", "lost"])
        .unwrap();
    fleet.tablets[0].stop().unwrap();
    fleet.tablets[0].start().unwrap();
    until("the tablet told that it is shut out", || {
        let status = fleet.tablets[0].status()?;
        Ok((status["revoked"] == true).then_some(()))
    })
    .unwrap();
    fleet.server.withdraw(AVA).unwrap();
    assert_eq!(fleet.tablets[0].generation().unwrap(), generation);
    assert!(photo.is_in_use());
    let newest = fleet
        .server
        .database()
        .number("SELECT max(generation) FROM bundles");
    assert_eq!(newest.unwrap(), i64::try_from(generation).unwrap());
}

#[test]
fn a_tablet_that_is_frozen_is_shut_out_only_once_it_is_released() {
    let fleet = setting_with_tablet();
    let server = &fleet.server;
    let hold = ["hold", "open", "--device", "tablet-1", "--category"];
    let hold = hold.into_iter().chain(["illegal_content", "--as", DSL]);
    let hold = server.tell(hold).unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let revoke = ["device", "revoke", "tablet-1", "--reason", "stolen"];
    let refused = server.ask(revoke).unwrap();
    assert_eq!(refused.code(), Some(1));
    assert!(
        refused.stderr.contains("release the hold first"),
        "{refused:?}"
    );
    let revoked = "SELECT count(*) FROM devices WHERE revoked_at IS NOT NULL";
    assert_eq!(server.database().number(revoked).unwrap(), 0);

    let manager = ["operator", "add", "--name", "Kim", "--role", "manager"];
    server.tell(manager).unwrap();
    for person in [DSL, "Kim"] {
        server
            .tell(["hold", "release", &hold, "--as", person])
            .unwrap();
    }
    server.tell(revoke).unwrap();
    assert_eq!(server.database().number(revoked).unwrap(), 1);
}
