//! Everything is switched off and on, and one day the server is put back to the day before.

use crate::setting::{AVA, BEN, photo_of, setting_with_tablet, until_sealed};
use serde_json::Value;
use std::fs;
use std::path::Path;
use system_tests::evidence;
use system_tests::fleet::Fleet;
use system_tests::patience::until;

#[test]
fn what_was_told_and_done_survives_a_restart_of_everything() {
    let mut fleet = setting_with_tablet();
    let of_ava = photo_of(&fleet, 1, &[AVA]);
    let of_ben = photo_of(&fleet, 2, &[BEN]);
    fleet.server.withdraw(BEN).unwrap();
    until_sealed(&mut fleet, &of_ben);
    fleet.tablets[0].wait_until_reported().unwrap();
    let generation = fleet.tablets[0].generation().unwrap();
    fleet.tablets[0].stop().unwrap();
    fleet.server.stop().unwrap();
    fleet.server.start().unwrap();
    fleet.tablets[0].start().unwrap();
    assert_eq!(fleet.tablets[0].generation().unwrap(), generation);
    assert!(of_ava.is_in_use());
    assert!(of_ben.is_only_sealed(&fleet.tablets[0]));
    let listed = fleet.tablets[0].photos().unwrap();
    let tagged = listed
        .iter()
        .find(|photo| photo["id"].as_str() == Some(&of_ava.id))
        .unwrap();
    assert_eq!(tagged["tagging"], "complete");
    fleet.tablets[0].wait_until_reported().unwrap();
    fleet.server.tell(["verify"]).unwrap();
    fleet.check_logs().unwrap();
}

#[test]
fn a_server_put_back_to_an_earlier_day_loosens_nothing_and_gets_its_events_again() {
    let mut fleet = setting_with_tablet();
    let of_ben = photo_of(&fleet, 1, &[BEN]);
    fleet.tablets[0].wait_until_reported().unwrap();
    fleet.server.stop().unwrap();
    let kept = fleet.server.data_dir().with_file_name("backup");
    copy_database(fleet.server.data_dir(), &kept);
    fleet.server.start().unwrap();
    fleet.server.withdraw(BEN).unwrap();
    until_sealed(&mut fleet, &of_ben);
    fleet.tablets[0].wait_until_reported().unwrap();

    fleet.server.stop().unwrap();
    copy_database(&kept, fleet.server.data_dir());
    fleet.server.start().unwrap();
    // The agent starts anew, so that it need not wait before it asks.
    fleet.tablets[0].stop().unwrap();
    fleet.tablets[0].start().unwrap();
    until("the tablet to say that the server is behind", || {
        let said = fleet.tablets[0].ledger().number(
            "SELECT count(*) FROM events WHERE json_extract(body, '$.what') LIKE '%put back from an earlier copy%'",
        )?;
        Ok((said > 0).then_some(()))
    })
    .unwrap();
    assert!(of_ben.is_only_sealed(&fleet.tablets[0]));
    assert_eq!(evidence::sealed(fleet.tablets[0].root_dir()).len(), 1);
    // The tablet goes on recording meanwhile, so both are looked at anew each time.
    let count = "SELECT count(*) FROM events";
    until("every event at the server again", || {
        let at_server = fleet.server.database().number(count)?;
        let at_tablet = fleet.tablets[0].ledger().number(count)?;
        anyhow::ensure!(at_server == at_tablet, "{at_server} of {at_tablet} events");
        Ok(Some(()))
    })
    .unwrap();
}

#[test]
fn a_tablet_whose_record_is_lost_keeps_no_photo_that_nobody_accounts_for() {
    let mut fleet = setting_with_tablet();
    let of_ben = photo_of(&fleet, 1, &[BEN]);
    let of_ava = photo_of(&fleet, 2, &[AVA]);
    fleet.server.withdraw(AVA).unwrap();
    until_sealed(&mut fleet, &of_ava);
    fleet.tablets[0].wait_until_reported().unwrap();
    let vaults = |fleet: &Fleet| {
        let said = fleet.tablets[0].ask(["doctor", "--json"]).unwrap().stdout;
        let said: Value = serde_json::from_str(&said).unwrap();
        let checks = said["checks"].as_array().unwrap();
        let found = checks.iter().find(|check| check["check"] == "vaults");
        found.unwrap().clone()
    };
    assert_eq!(vaults(&fleet)["result"], "fine");
    fleet.tablets[0].stop().unwrap();
    let state = fleet.tablets[0].root_dir().join("var/lib/nestwarden");
    for file in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        fs::remove_file(state.join(file)).unwrap();
    }
    fleet.tablets[0].launch().unwrap();
    fleet.tablets[0].wait_until_running().unwrap();
    // Everybody in the room permits photos.
    until("the photo known again", || {
        fleet.tablets[0].known_photo_id(&of_ben.path)
    })
    .unwrap();
    fleet.server.withdraw(BEN).unwrap();
    until("the photo out of use", || {
        fleet.tablets[0].check()?;
        Ok((!of_ben.is_in_use()).then_some(()))
    })
    .unwrap();
    // What was sealed before is in no record; it stays sealed, and whoever looks is told.
    assert!(of_ava.is_only_sealed(&fleet.tablets[0]));
    let found = vaults(&fleet);
    assert_eq!(found["result"], "wrong");
    let detail = found["detail"].as_str().unwrap();
    assert!(detail.contains("/var/lib/nestwarden/vault/"), "{detail}");
}

/// Database files, with whatever SQLite keeps beside them.
fn copy_database(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("nestwarden.db{suffix}");
        if from.join(&name).exists() {
            fs::copy(from.join(&name), to.join(&name)).unwrap();
        } else {
            let _ = fs::remove_file(to.join(&name));
        }
    }
}
