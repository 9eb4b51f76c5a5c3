//! Which photos a freeze keeps even from being looked at, before anybody knows of them.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::testing::{Tablet, child, jpeg};
use jiff::SignedDuration;
use nestwarden_policy_schema::consent::{ConsentState, Stage};
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};

/// Whether a photo that turns up is looked at under a hold.
fn is_looked_at(scope: HoldScope, category: HoldCategory) -> bool {
    let mut tablet = Tablet::new();
    tablet.hold(scope, category);
    tablet.write("a.jpg", &jpeg(1));
    tablet.look();
    assert_eq!(tablet.pictures().len() + tablet.vault().len(), 1);
    !tablet.list().is_empty()
}

#[test]
fn while_a_time_is_frozen_what_turns_up_is_not_looked_at() {
    let now = Tablet::new().now.at;
    let hours = |from: i64, to: i64| HoldScope::Window {
        from: now + SignedDuration::from_hours(from),
        to: now + SignedDuration::from_hours(to),
    };
    let freezes = |scope| !is_looked_at(scope, HoldCategory::IllegalContent);
    assert!(freezes(hours(-1, 1)));
    assert!(freezes(hours(0, 1)), "from the first instant");
    assert!(!freezes(hours(-1, 0)), "until the last");
    assert!(!freezes(hours(-2, -1)));
    assert!(!freezes(hours(1, 2)));
}

#[test]
fn under_a_hold_that_freezes_nothing_what_turns_up_is_looked_at() {
    let device = Tablet::new().device;
    assert!(is_looked_at(
        HoldScope::Device { device },
        HoldCategory::Safeguarding
    ));
}

#[test]
fn what_turned_up_under_a_freeze_is_looked_at_once_it_ends() {
    let mut tablet = Tablet::new();
    let device = tablet.device;
    tablet.hold(HoldScope::Device { device }, HoldCategory::IllegalContent);
    tablet.write("a.jpg", &jpeg(1));
    tablet.look();
    assert!(tablet.list().is_empty());
    tablet.release_holds();
    tablet.look();
    assert_eq!(tablet.only().stage, Stage::Live);
}

/// Child 1 is in whatever nobody said anything of.
fn freeze_of_one_child(tablet: &mut Tablet) {
    let scope = HoldScope::Child { child: child(1) };
    tablet.hold(scope, HoldCategory::IllegalContent);
}

#[test]
fn a_file_of_a_frozen_photo_is_not_opened_under_another_name_either() {
    let mut tablet = Tablet::new();
    tablet.write("a.jpg", &jpeg(1));
    tablet.look();
    freeze_of_one_child(&mut tablet);
    std::fs::hard_link(tablet.path("a.jpg"), tablet.path("b.jpg")).unwrap();
    tablet.look();
    assert_eq!(tablet.only().files, 1);
    tablet.release_holds();
    tablet.look();
    assert_eq!(tablet.only().files, 2, "it is known once the freeze ends");
}

#[test]
fn what_was_written_into_a_frozen_photo_is_not_emptied_through_another_name() {
    let mut tablet = Tablet::new();
    tablet.write("a.jpg", &jpeg(1));
    tablet.look();
    freeze_of_one_child(&mut tablet);
    // The same content as a photo of another child, whose consent is gone.
    tablet.write("a.jpg", &jpeg(2));
    tablet.write("b.jpg", &jpeg(2));
    tablet.look();
    let other = tablet.list().remove(1).id;
    tablet.tag(other, &[3]);
    tablet.set_consent(3, ConsentState::Withdrawn);
    tablet.look();
    std::fs::hard_link(tablet.path("a.jpg"), tablet.path("b.jpg")).unwrap();
    tablet.look();
    assert_eq!(std::fs::read(tablet.path("a.jpg")).unwrap(), jpeg(2));
}
