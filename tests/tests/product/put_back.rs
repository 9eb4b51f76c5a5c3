//! One side is put back from an earlier copy: the whole server, with the memory of its signer, or a tablet's record.

use crate::setting::{AVA, BEN, events, photo_of, setting_with_tablet, until_sealed};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use system_tests::evidence;
use system_tests::fleet::Fleet;
use system_tests::patience::until;

#[test]
fn a_withdrawal_after_the_server_was_put_back_reaches_the_tablet_and_none_before_it_is_lost() {
    let mut fleet = setting_with_tablet();
    let of_ava = photo_of(&fleet, 1, &[AVA]);
    let of_ben = photo_of(&fleet, 2, &[BEN]);
    fleet.tablets[0].wait_until_reported().unwrap();
    fleet.server.stop().unwrap();
    let kept = fleet.server.data_dir().with_file_name("copy");
    copy_dir(fleet.server.data_dir(), &kept);
    fleet.server.start().unwrap();
    fleet.server.withdraw(BEN).unwrap();
    until_sealed(&mut fleet, &of_ben);
    fleet.tablets[0].wait_until_reported().unwrap();
    let generation = fleet.tablets[0].generation().unwrap();

    // The signer's memory goes back too, and the same generation is signed a second time, for another withdrawal.
    fleet.tablets[0].stop().unwrap();
    fleet.server.stop().unwrap();
    copy_dir(&kept, fleet.server.data_dir());
    fleet.server.start().unwrap();
    fleet.server.withdraw(AVA).unwrap();
    let issued = "SELECT max(generation) FROM bundles";
    until("the same generation again", || {
        let issued = fleet.server.database().number(issued)?;
        Ok((issued.cast_unsigned() == generation).then_some(()))
    })
    .unwrap();
    fleet.tablets[0].start().unwrap();

    until("the second withdrawal on the tablet", || {
        fleet.tablets[0].check()?;
        let is_newer = fleet.tablets[0].generation()? > generation;
        Ok((is_newer && of_ava.is_only_sealed(&fleet.tablets[0])).then_some(()))
    })
    .unwrap();
    fleet.tablets[0].tell(["photos", "rescan"]).unwrap();
    assert!(of_ben.is_only_sealed(&fleet.tablets[0]));
    fleet.tablets[0].wait_until_reported().unwrap();
    let status = fleet.server.tell(["status"]).unwrap();
    assert_eq!(status["put_back"][0]["device"], "tablet-1", "{status}");
    let shown = fleet.server.tell(["device", "show", "tablet-1"]).unwrap();
    assert_eq!(shown["compliance"]["standing"], "attention");
    let doctor = fleet.server.ask(["doctor"]).unwrap();
    assert!(doctor.stdout.contains("put back"), "{doctor:?}");
    let verified = fleet.server.ask(["verify"]).unwrap();
    assert!(verified.stdout.contains("put back"), "{verified:?}");

    // What was decided since the copy is entered again, and a person says so.
    fleet.server.withdraw(BEN).unwrap();
    let listed = |fleet: &Fleet| {
        let listed = fleet.server.tell(["put-back", "list"]).unwrap();
        assert_eq!(listed["put_back"].as_array().unwrap().len(), 1, "{listed}");
        listed["put_back"][0].clone()
    };
    let open = listed(&fleet);
    assert_eq!(open["generation"], generation);
    assert_eq!(open["settled_at"], Value::Null);
    let settle = ["put-back", "settle", "--reason", "entered again from paper"];
    let settled = fleet.server.tell(settle).unwrap();
    assert_eq!(settled["settled"], 1);
    // It stays on the list, with when that was; a second word finds nothing.
    let settled = listed(&fleet);
    assert_eq!(settled["device"], open["device"]);
    assert!(settled["settled_at"].is_string());
    let again = fleet.server.tell(settle).unwrap();
    assert_eq!(again["settled"], 0);
    until("the tablet held to the server alone", || {
        let status = fleet.tablets[0].status()?;
        Ok((status["held_to_earlier"] == Value::Bool(false)).then_some(()))
    })
    .unwrap();
    fleet.tablets[0].tell(["photos", "rescan"]).unwrap();
    assert!(of_ben.is_only_sealed(&fleet.tablets[0]));
    let status = fleet.server.tell(["status"]).unwrap();
    assert_eq!(status["put_back"], serde_json::json!([]));
}

/// With everything in it, sockets apart.
fn copy_dir(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(done.unwrap().success());
}

#[test]
fn a_tablet_whose_record_was_put_back_goes_on_from_the_servers_and_loses_nothing() {
    let mut fleet = setting_with_tablet();
    fleet.tablets[0].wait_until_reported().unwrap();
    fleet.tablets[0].stop().unwrap();
    let state = fleet.tablets[0].root_dir().join("var/lib/nestwarden");
    let kept = fleet.server.data_dir().with_file_name("tablet-copy");
    std::fs::create_dir(&kept).unwrap();
    copy_ledger(&state, &kept);
    fleet.tablets[0].start().unwrap();
    let of_ben = photo_of(&fleet, 1, &[BEN]);
    fleet.tablets[0].wait_until_reported().unwrap();
    let seen = "SELECT count(*) FROM events WHERE kind = 'photo_tagged'";
    assert_eq!(fleet.server.database().number(seen).unwrap(), 1);

    fleet.tablets[0].stop().unwrap();
    copy_ledger(&kept, &state);
    fleet.tablets[0].start().unwrap();
    until("the record to go on", || {
        fleet.tablets[0].check()?;
        Ok((events(&fleet, "record_continued") == 1).then_some(()))
    })
    .unwrap();
    fleet.tablets[0].wait_until_reported().unwrap();
    assert_eq!(fleet.server.database().number(seen).unwrap(), 1);
    assert!(of_ben.path.exists() || evidence::sealed(fleet.tablets[0].root_dir()).is_empty());
    let verified = fleet.server.tell(["verify"]).unwrap();
    assert!(
        verified["notes"]
            .to_string()
            .contains("put back to an earlier state"),
        "{verified}"
    );
    let doctor = fleet.tablets[0].ask(["doctor"]).unwrap();
    assert!(doctor.stdout.contains("the same as here"), "{doctor:?}");
    let status = fleet.server.tell(["status"]).unwrap();
    assert_eq!(status["record_conflicts"], serde_json::json!([]));
}

#[test]
fn without_the_signer_a_withdrawal_says_that_no_tablet_has_it() {
    let mut fleet = setting_with_tablet();
    let told = fleet.server.withdraw(BEN).unwrap();
    assert_eq!(told["tablets"]["have"][0], "tablet-1", "{told}");
    fleet.server.kill_signer().unwrap();
    let told = fleet.server.withdraw(AVA).unwrap();
    assert_eq!(told["tablets"]["not_issued"][0], "tablet-1", "{told}");
    let status = fleet.server.tell(["status"]).unwrap();
    assert_eq!(status["bundles"]["not_issued"][0], "tablet-1", "{status}");
    assert!(
        status["findings"].to_string().contains("signer"),
        "{status}"
    );
}

fn copy_ledger(from: &Path, to: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("ledger.db{suffix}");
        if from.join(&name).exists() {
            std::fs::copy(from.join(&name), to.join(&name)).unwrap();
        } else {
            let _ = std::fs::remove_file(to.join(&name));
        }
    }
}
