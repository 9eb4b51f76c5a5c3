//! A tablet is lost, and found again.

use crate::setting::{AVA, BEN, photo_of, setting_with_tablet, until_sealed};
use serde_json::Value;
use system_tests::fleet::Fleet;
use system_tests::patience::until;

const TABLET_NAME: &str = "tablet-1";

fn device(fleet: &Fleet) -> Value {
    fleet.server.tell(["device", "show", TABLET_NAME]).unwrap()
}

/// What the tablet said of the newest command.
fn outcome(fleet: &Fleet) -> Option<String> {
    let device = device(fleet);
    let newest = device["commands"].as_array()?.last()?;
    newest["outcome"]["said"].as_str().map(str::to_owned)
}

fn until_said(fleet: &mut Fleet, begins: &str) -> String {
    until("what the tablet says of a command", || {
        fleet.tablets[0].check()?;
        Ok(outcome(fleet).filter(|said| said.starts_with(begins)))
    })
    .unwrap()
}

#[test]
fn photos_of_a_lost_tablet_go_out_of_sight_offline_and_over_restarts_and_come_back_when_it_is_found()
 {
    let mut fleet = setting_with_tablet();
    let of_ava = photo_of(&fleet, 1, &[AVA]);
    let of_ben = photo_of(&fleet, 2, &[BEN]);
    let lost = ["device", "lost", TABLET_NAME, "--reason", "left on the bus"];
    fleet.server.tell(lost).unwrap();
    until("the photos out of sight", || {
        fleet.tablets[0].check()?;
        Ok((!of_ava.is_in_use() && !of_ben.is_in_use()).then_some(()))
    })
    .unwrap();
    until_said(&mut fleet, "done: held as lost");
    assert_eq!(device(&fleet)["compliance"]["loss"]["state"]["is"], "held");
    let again = fleet.server.tell(lost).unwrap_err().to_string();
    assert!(again.contains("marked as lost already"), "{again}");
    fleet.server.withdraw(BEN).unwrap();
    until_sealed(&mut fleet, &of_ben);

    fleet.server.stop().unwrap();
    fleet.tablets[0].stop().unwrap();
    fleet.tablets[0].start().unwrap();
    let status = fleet.tablets[0].status().unwrap();
    assert!(status["lost_since"].is_string(), "{status}");
    assert!(!of_ava.is_in_use());

    fleet.server.start().unwrap();
    let found = [
        "device",
        "found",
        TABLET_NAME,
        "--reason",
        "the driver had it",
    ];
    fleet.server.tell(found).unwrap();
    until("the photo back", || {
        fleet.tablets[0].check()?;
        fleet.clock().advance(jiff::SignedDuration::from_secs(5))?;
        Ok(of_ava.is_in_use().then_some(()))
    })
    .unwrap();
    until_said(&mut fleet, "done: no longer held as lost");
    assert!(device(&fleet)["compliance"]["loss"].is_null());
    assert!(of_ben.is_only_sealed(&fleet.tablets[0]));
    fleet.tablets[0].wait_until_reported().unwrap();
    fleet.server.tell(["verify"]).unwrap();
    fleet.check_logs().unwrap();
}
