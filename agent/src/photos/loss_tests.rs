//! A lost tablet puts every photo out of sight, and being found brings back what was only out of sight for that.

use super::testing::{Tablet, jpeg};
use nestwarden_policy_schema::consent::{Cause, ConsentState, Stage};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use nestwarden_policy_schema::policy::Mode;
use std::collections::BTreeSet;

impl Tablet {
    fn lose(&mut self) {
        self.now.lost_since = Some(self.now.at);
        self.settle();
    }

    fn find(&mut self) {
        self.now.lost_since = None;
        self.settle();
    }

    /// Of each move of a photo that was told: where to, and why.
    fn moves(&self) -> Vec<(Stage, Option<Cause>)> {
        let events = self.events().into_iter();
        events
            .filter_map(|event| {
                let EventBody::PhotoStage { to, cause, .. } = event else {
                    return None;
                };
                Some((to, cause))
            })
            .collect()
    }
}

#[test]
fn photos_of_a_lost_tablet_are_withheld_and_come_back_when_it_is_found() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.lose();
    assert!(tablet.pictures().is_empty());
    assert_eq!(tablet.only().stage, Stage::Withheld);
    tablet.assert_sound();
    // For weeks, without the server, and across a restart.
    tablet.now.at += jiff::SignedDuration::from_hours(24 * 20);
    tablet.restart();
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Withheld);
    tablet.pass_hours(1);
    tablet.find();
    assert_eq!(tablet.pictures().into_keys().collect::<Vec<_>>(), ["a.jpg"]);
    assert_eq!(
        tablet.moves(),
        [(Stage::Withheld, Some(Cause::Lost)), (Stage::Live, None)]
    );
    tablet.assert_sound();
}

#[test]
fn a_photo_taken_on_a_lost_tablet_goes_out_of_sight_and_those_found_at_enrolment_too() {
    let mut tablet = Tablet::unscanned();
    tablet.write("old.jpg", &jpeg(9));
    let old = std::fs::File::open(tablet.path("old.jpg")).unwrap();
    let january = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_768_000_000);
    old.set_modified(january).unwrap();
    super::testing::a_tick_passes();
    tablet.look();
    assert!(tablet.only().found_at_enrolment);
    tablet.lose();
    assert!(tablet.pictures().is_empty());
    tablet.write("new.jpg", &jpeg(8));
    tablet.look();
    assert!(tablet.pictures().is_empty());
    tablet.find();
    let back = tablet.pictures().into_keys().collect::<Vec<_>>();
    assert!(back.contains(&"old.jpg".to_owned()), "{back:?}");
    tablet.assert_sound();
}

#[test]
fn what_lost_its_consent_meanwhile_is_sealed_and_does_not_come_back() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.lose();
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.pass_hours(24 * 14);
    tablet.settle();
    assert!(
        tablet.receipts().is_empty(),
        "nothing is destroyed on a lost tablet"
    );
    tablet.find();
    assert!(tablet.pictures().is_empty());
    assert_eq!(tablet.receipts().len(), 1);
}

#[test]
fn a_freeze_outranks_the_loss() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    let device = tablet.device;
    tablet.hold(HoldScope::Device { device }, HoldCategory::IllegalContent);
    tablet.lose();
    assert_eq!(tablet.pictures().len(), 1);
    assert_eq!(tablet.only().stage, Stage::Live);
}

#[test]
fn where_the_profile_only_observes_the_loss_alone_moves_photos_and_only_those() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.write("b.jpg", &jpeg(2));
    tablet.look();
    let b = tablet
        .list()
        .into_iter()
        .find(|l| l.stage == Stage::Withheld);
    // Nobody said who is in it, and it may show a child without consent.
    let before: BTreeSet<_> = b.into_iter().map(|listing| listing.id).collect();
    tablet.set_consent(1, ConsentState::Withdrawn);
    // As the task holds it while the profile observes.
    tablet.bundle.policy.photos.as_mut().unwrap().mode = Mode::Enforce;
    tablet.only_loss = Some(before.clone());
    tablet.lose();
    assert!(tablet.pictures().is_empty());
    assert!(tablet.list().iter().all(|l| l.stage == Stage::Withheld));
    tablet.find();
    let back = tablet.list().into_iter().filter(|l| l.stage == Stage::Live);
    assert_eq!(back.count(), 2 - before.len());
}
