//! A consent ends, and what becomes of the photos.

use crate::setting::{
    AVA, BEN, CLEO, advance, events, first_day, photo_of, setting_with_tablet, until_sealed,
};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use system_tests::evidence;
use system_tests::fleet::DSL;
use system_tests::patience::until;

#[test]
fn a_withdrawn_consent_seals_the_photos_of_that_child_and_no_others() {
    let mut fleet = setting_with_tablet();
    let of_ava = photo_of(&fleet, 1, &[AVA]);
    let of_ben = photo_of(&fleet, 2, &[BEN]);
    let of_both = photo_of(&fleet, 3, &[AVA, BEN]);
    fleet.server.withdraw(BEN).unwrap();
    until_sealed(&mut fleet, &of_ben);
    until_sealed(&mut fleet, &of_both);
    assert!(of_ava.is_in_use());
    assert_eq!(evidence::sealed(fleet.tablets[0].root_dir()).len(), 2);
    fleet.tablets[0].wait_until_reported().unwrap();
    fleet.check_logs().unwrap();
}

#[test]
fn a_withdrawal_and_a_hold_stand_where_photos_cannot_be_counted() {
    let mut fleet = setting_with_tablet();
    let of_ava = photo_of(&fleet, 1, &[AVA]);
    let of_ben = photo_of(&fleet, 2, &[BEN]);
    fleet.tablets[0].wait_until_reported().unwrap();
    fleet.server.stop().unwrap();
    let unreadable = format!(
        "UPDATE photos SET facts = 'nothing' WHERE photo_id = '{}'",
        of_ben.id
    );
    fleet.server.database().change(&unreadable).unwrap();
    fleet.server.start().unwrap();
    let told = fleet.server.withdraw(BEN).unwrap();
    assert!(told["photos"].is_null(), "{told}");
    let hold = ["hold", "open", "--child", AVA, "--category", "complaint"];
    let opened = fleet.server.tell(hold.into_iter().chain(["--as", DSL]));
    let opened = opened.unwrap();
    assert!(opened["covers"].is_null(), "{opened}");
    until_sealed(&mut fleet, &of_ben);
    assert!(of_ava.is_in_use());
}

#[test]
fn a_file_opened_before_the_withdrawal_reads_nothing_after_the_seal() {
    let mut fleet = setting_with_tablet();
    let photo = photo_of(&fleet, 1, &[BEN]);
    let mut open = File::open(&photo.path).unwrap();
    fleet.server.withdraw(BEN).unwrap();
    until_sealed(&mut fleet, &photo);
    until("nothing to read in the open file", || {
        open.rewind()?;
        let mut left = Vec::new();
        open.read_to_end(&mut left)?;
        Ok(left.is_empty().then_some(()))
    })
    .unwrap();
}

#[test]
fn a_consent_given_again_brings_its_sealed_photo_back_and_only_that_one() {
    let mut fleet = setting_with_tablet();
    let of_ben = photo_of(&fleet, 1, &[BEN]);
    let of_both = photo_of(&fleet, 2, &[AVA, BEN]);
    fleet.server.withdraw(AVA).unwrap();
    fleet.server.withdraw(BEN).unwrap();
    until_sealed(&mut fleet, &of_ben);
    until_sealed(&mut fleet, &of_both);
    fleet
        .clock()
        .advance(jiff::SignedDuration::from_mins(1))
        .unwrap();
    fleet
        .server
        .tell(["consent", "give", BEN, "--purpose", "all", "--as", DSL])
        .unwrap_err();
    for purpose in ["own_learning_journal", "display_in_setting"] {
        fleet
            .server
            .tell(["consent", "give", BEN, "--purpose", purpose, "--as", DSL])
            .unwrap();
    }
    until("the photo of the one child back", || {
        fleet.tablets[0].check()?;
        // Past every pause before the tablet asks again.
        fleet.clock().advance(jiff::SignedDuration::from_secs(5))?;
        Ok(of_ben.is_in_use().then_some(()))
    })
    .unwrap();
    assert!(of_both.is_only_sealed(&fleet.tablets[0]));
    fleet.tablets[0].wait_until_reported().unwrap();
    fleet.server.tell(["verify"]).unwrap();
    fleet.check_logs().unwrap();
}

#[test]
fn a_copy_under_another_name_goes_with_the_photo() {
    let mut fleet = setting_with_tablet();
    let photo = photo_of(&fleet, 1, &[BEN]);
    let elsewhere = fleet.tablets[0].pictures_dir().join("Holiday");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::copy(&photo.path, elsewhere.join("not-a-photo.txt")).unwrap();
    fleet.server.withdraw(BEN).unwrap();
    until_sealed(&mut fleet, &photo);
}

#[test]
fn a_sealed_photo_is_destroyed_after_its_grace_with_a_receipt_that_verifies() {
    let mut fleet = setting_with_tablet();
    let photo = photo_of(&fleet, 1, &[BEN]);
    fleet.server.withdraw(BEN).unwrap();
    until_sealed(&mut fleet, &photo);
    for days in 1..=4 {
        let date = first_day()
            .checked_add(jiff::Span::new().days(days))
            .unwrap();
        advance(&fleet, date, 9);
        until("the server heard of", || {
            let since =
                (fleet.clock().now()? - jiff::SignedDuration::from_mins(30)).as_microsecond();
            let seen = fleet
                .server
                .database()
                .number("SELECT coalesce(last_seen_at, 0) FROM devices")?;
            Ok((seen >= since).then_some(()))
        })
        .unwrap();
        assert!(
            days > 3 || !evidence::sealed(fleet.tablets[0].root_dir()).is_empty(),
            "destroyed on day {days}, before its grace was over"
        );
    }
    until("a receipt at the server", || {
        Ok((events(&fleet, "destroyed") == 1).then_some(()))
    })
    .unwrap();
    assert!(evidence::sealed(fleet.tablets[0].root_dir()).is_empty());
    let verified = fleet.server.tell(["verify"]).unwrap();
    assert_eq!(verified["receipts_verified"], 1);
}

#[test]
fn a_consent_that_expires_takes_its_photo_without_a_server() {
    let mut fleet = setting_with_tablet();
    let of_cleo = photo_of(&fleet, 1, &[CLEO]);
    let of_ava = photo_of(&fleet, 2, &[AVA]);
    fleet.tablets[0].wait_until_reported().unwrap();
    fleet.server.stop().unwrap();
    advance(&fleet, first_day(), 23);
    assert!(of_cleo.is_in_use(), "gone before its last day was over");
    advance(&fleet, first_day().tomorrow().unwrap(), 1);
    until_sealed(&mut fleet, &of_cleo);
    assert!(of_ava.is_in_use());
}

#[test]
fn a_consent_that_expired_while_the_tablet_was_off_takes_its_photo_at_the_next_start() {
    let mut fleet = setting_with_tablet();
    let of_cleo = photo_of(&fleet, 1, &[CLEO]);
    fleet.tablets[0].wait_until_reported().unwrap();
    fleet.tablets[0].stop().unwrap();
    fleet.server.stop().unwrap();
    advance(&fleet, first_day().tomorrow().unwrap(), 9);
    assert!(of_cleo.is_in_use());
    fleet.tablets[0].start().unwrap();
    until_sealed(&mut fleet, &of_cleo);
}

#[test]
fn a_register_that_is_wrong_is_refused_whole_and_the_old_one_stays_live() {
    let fleet = setting_with_tablet();
    let photo = photo_of(&fleet, 1, &[AVA]);
    let before = fleet.server.tell(["child", "list"]).unwrap();
    let file = fleet.server.data_dir().with_file_name("wrong.csv");
    std::fs::write(
        &file,
        "reference,first_name,last_name,own_learning_journal,display_in_setting,valid_until\nA-01,Ava,Ash,No,No,31/31/2026\n",
    )
    .unwrap();
    let refused = fleet
        .server
        .ask(["consent", "import", &file.to_string_lossy()])
        .unwrap();
    assert_eq!(refused.code(), Some(1));
    for says in ["row 2", "valid_until", "31/31/2026"] {
        assert!(refused.stderr.contains(says), "{says}: {refused:?}");
    }
    assert_eq!(fleet.server.tell(["child", "list"]).unwrap(), before);
    assert!(photo.is_in_use());
}
