//! What makes photos wait: people not on the register, the lease, a clock in doubt, holds and closed days.

use crate::nursery::{answers, at, child, example, given, hold, leaves, until, withdrawn};
use nestwarden_policy_schema::consent::{
    Cause, LeaveReason, Purpose, Stage, Standing, may_destroy,
};
use nestwarden_policy_schema::hold::{Hold, HoldCategory, HoldScope};

const LIVE: (Stage, Option<Cause>) = (Stage::Live, None);

fn sealed(cause: Cause) -> (Stage, Option<Cause>) {
    (Stage::Sealed, Some(cause))
}

fn withheld(cause: Cause) -> (Stage, Option<Cause>) {
    (Stage::Withheld, Some(cause))
}

#[test]
fn somebody_not_on_the_register_leaves_a_photo_no_use_and_waits_for_a_person() {
    let mut photo = example(answers(&given()));
    photo.photo.subjects.unregistered_person = true;
    assert_eq!(photo.due(), withheld(Cause::UnregisteredPerson));
    assert!(photo.verdict().usable.is_empty());
    let later = photo
        .sealed("2026-03-12T00:00:00Z")
        .at("2026-09-01T12:00:00Z");
    assert_eq!(later.stage(), Some(Stage::Sealed));
    assert_eq!(later.times()[2], None);
}

#[test]
fn a_child_missing_from_the_file_withholds_after_72_hours_and_no_more() {
    let mut entry = answers(&given());
    entry.missing_since = Some(at("2026-03-03T08:00:00Z"));
    let photo = example(entry);
    assert_eq!(photo.at("2026-03-06T07:59:59Z").due(), LIVE);
    assert_eq!(
        photo.at("2026-03-06T08:00:00Z").due(),
        withheld(Cause::NotOnRegister)
    );
    let mut unknown = photo;
    unknown.children.clear();
    assert_eq!(unknown.due(), withheld(Cause::NotOnRegister));
}

#[test]
fn without_the_server_for_seven_opening_days_photos_are_withheld_and_the_first_contact_restores() {
    let photo = example(answers(&given()));
    let before = photo.clone().offline_at_instant(at("2026-03-11T23:59:59Z"));
    assert_eq!(before.due(), LIVE);
    let over = photo.offline_at_instant(at("2026-03-12T00:00:00Z"));
    assert_eq!(over.due(), withheld(Cause::Lease));
    // Its age, nothing sooner.
    assert_eq!(over.times()[1].as_deref(), Some("2026-03-30T10:00:00Z"));
    assert_eq!(over.at("2026-03-12T00:00:00Z").due(), LIVE);
}

#[test]
fn on_a_lost_tablet_every_photo_is_withheld_and_none_is_sealed_or_destroyed_for_it() {
    let since = Some(at("2026-03-02T11:00:00Z"));
    let mut photo = example(answers(&given()));
    let mut care = photo.clone();
    care.photo.care_record = true;
    let mut counted = photo.clone();
    counted.photo.found_at_enrolment = true;
    for photo in [&mut photo, &mut care, &mut counted] {
        assert_eq!(photo.due(), LIVE);
        let mut lost = photo.clone();
        lost.now.lost_since = since;
        assert_eq!(lost.due(), withheld(Cause::Lost));
        // Without the server it stays so, for as long as it takes.
        let later = lost.offline_at_instant(at("2026-03-09T11:00:00Z"));
        assert_eq!(later.due(), withheld(Cause::Lost));
        assert_eq!(later.sealed("2026-03-09T11:00:00Z").times()[2], None);
    }
}

#[test]
fn what_another_reason_seals_is_sealed_on_a_lost_tablet_too_and_destroyed_only_once_it_is_found() {
    let photo = example(answers(&withdrawn("2026-03-02T11:00:00Z")));
    let mut lost = photo.clone();
    lost.now.lost_since = Some(at("2026-03-02T11:30:00Z"));
    assert_eq!(lost.due(), sealed(Cause::Withdrawn));
    let lost = lost
        .sealed("2026-03-02T11:30:00Z")
        .at("2026-03-06T12:00:00Z");
    assert_eq!(lost.stage(), Some(Stage::Sealed));
    let mut found = lost;
    found.now.lost_since = None;
    assert_eq!(found.stage(), Some(Stage::Destroyed));
}

#[test]
fn a_frozen_photo_stays_where_it_is_on_a_lost_tablet() {
    let mut photo = example(answers(&given()));
    photo.now.lost_since = Some(photo.now.at);
    photo.holds = vec![Hold {
        category: HoldCategory::IllegalContent,
        ..hold(HoldScope::Device {
            device: photo.photo.device,
        })
    }];
    assert_eq!(photo.stage(), None);
}

#[test]
fn a_tablet_that_never_reached_the_server_counts_from_its_register() {
    let mut photo = example(answers(&given()));
    photo.now.last_contact = None;
    assert_eq!(
        photo
            .clone()
            .offline_at_instant(at("2026-03-11T23:59:59Z"))
            .due(),
        LIVE
    );
    assert_eq!(
        photo.offline_at_instant(at("2026-03-12T00:00:00Z")).due(),
        withheld(Cause::Lease)
    );
}

#[test]
fn a_clock_in_doubt_withholds_and_neither_seals_by_time_nor_destroys() {
    let mut expired = example(answers(&until("2026-03-04"))).at("2026-04-20T12:00:00Z");
    expired.now.doubtful = true;
    assert_eq!(expired.stage(), Some(Stage::Withheld));
    let expired = expired.sealed("2026-03-05T00:00:00Z");
    assert_eq!(expired.times()[1..], [None, None]);
    let mut refused = example(answers(&withdrawn("2026-03-02T11:00:00Z")));
    refused.now.doubtful = true;
    assert_eq!(refused.due(), sealed(Cause::Withdrawn));
    let refused = refused
        .sealed("2026-03-02T12:00:00Z")
        .at("2026-04-20T12:00:00Z");
    assert_eq!(refused.stage(), Some(Stage::Sealed));
}

#[test]
fn a_clock_in_doubt_does_not_seal_what_another_use_keeps_but_for_its_age() {
    let mut entry = answers(&withdrawn("2026-03-27T07:42:00Z"));
    entry.purposes.insert(Purpose::DisplayInSetting, given());
    let mut photo = example(entry).at("2026-03-28T12:00:00Z");
    assert_eq!(photo.due(), sealed(Cause::Withdrawn));
    photo.now.doubtful = true;
    assert_eq!(photo.stage(), Some(Stage::Withheld));
}

#[test]
fn a_clock_in_doubt_does_not_blame_an_old_withdrawal_for_what_only_a_date_took() {
    let mut entry = answers(&until("2026-03-04"));
    entry
        .purposes
        .insert(Purpose::DisplayInSetting, withdrawn("2026-01-05T11:00:00Z"));
    let mut photo = example(entry).at("2026-03-20T12:00:00Z");
    assert_eq!(photo.due(), sealed(Cause::Expired));
    photo.now.doubtful = true;
    assert_eq!(photo.stage(), Some(Stage::Withheld));
}

#[test]
fn photos_found_at_enrolment_wait_for_a_manager() {
    let mut photo =
        example(answers(&withdrawn("2026-03-02T11:00:00Z"))).sealed("2026-03-02T11:00:00Z");
    photo.photo.found_at_enrolment = true;
    assert_eq!(photo.at("2027-03-02T12:00:00Z").due(), LIVE);
}

#[test]
fn a_care_record_outlives_withdrawal_but_not_leaving() {
    let mut photo = example(answers(&withdrawn("2026-03-02T11:00:00Z")));
    photo.photo.care_record = true;
    assert_eq!(photo.at("2026-09-01T12:00:00Z").due(), LIVE);
    let entry = leaves(
        answers(&withdrawn("2026-03-02T11:00:00Z")),
        "2026-03-06",
        LeaveReason::Left,
    );
    photo.children.insert(child(1), entry);
    assert_eq!(photo.at("2026-03-21T00:00:00Z").due(), sealed(Cause::Left));
}

#[test]
fn a_hold_keeps_what_it_covers_from_being_destroyed() {
    let photo = example(answers(&withdrawn("2026-03-02T11:00:00Z"))).sealed("2026-03-02T11:30:00Z");
    let staff = serde_json::from_str("\"00000000-0000-0000-0000-00000000b000\"").unwrap();
    for (scope, covers) in [
        (
            HoldScope::Photo {
                photo: photo.photo.photo,
            },
            true,
        ),
        (HoldScope::Child { child: child(1) }, true),
        (HoldScope::Child { child: child(2) }, false),
        (
            HoldScope::Device {
                device: photo.photo.device,
            },
            true,
        ),
        (HoldScope::Staff { staff }, true),
        (
            HoldScope::Window {
                from: at("2026-03-02T10:00:00Z"),
                to: at("2026-03-02T10:00:01Z"),
            },
            true,
        ),
        (
            HoldScope::Window {
                from: at("2026-03-02T09:00:00Z"),
                to: at("2026-03-02T10:00:00Z"),
            },
            false,
        ),
    ] {
        let mut held = photo.at("2026-04-01T12:00:00Z");
        held.photo.staff = Some(staff);
        held.holds = vec![hold(scope.clone())];
        let wanted = if covers {
            Stage::Sealed
        } else {
            Stage::Destroyed
        };
        assert_eq!(held.stage(), Some(wanted), "{scope:?}");
        let covering = held.verdict().holds.len();
        assert_eq!(covering, usize::from(covers), "{scope:?}");
    }
    let mut nobodys = photo.at("2026-04-01T12:00:00Z");
    nobodys.holds = vec![hold(HoldScope::Staff { staff })];
    assert_eq!(nobodys.stage(), Some(Stage::Destroyed));
}

#[test]
fn a_hold_on_a_child_covers_photos_the_child_may_be_in() {
    let mut photo = example(answers(&given()))
        .untagged()
        .with(2, answers(&given()))
        .sealed("2026-03-12T12:00:00Z")
        .at("2026-09-01T12:00:00Z");
    assert_eq!(photo.stage(), Some(Stage::Destroyed));
    photo.holds = vec![hold(HoldScope::Child { child: child(2) })];
    assert_eq!(photo.stage(), Some(Stage::Sealed));
}

/// Of each category that does not freeze.
fn on_the_child() -> [Hold; 4] {
    [
        HoldCategory::Safeguarding,
        HoldCategory::Complaint,
        HoldCategory::SubjectAccess,
        HoldCategory::Police,
    ]
    .map(|category| Hold {
        category,
        ..hold(HoldScope::Child { child: child(1) })
    })
}

#[test]
fn under_a_hold_that_does_not_freeze_a_photo_goes_out_of_use_is_sealed_and_never_destroyed() {
    for held in on_the_child() {
        let category = held.category;
        let mut photo = example(answers(&withdrawn("2026-03-02T11:00:00Z")));
        photo.holds = vec![held];
        assert_eq!(
            photo.at("2026-03-02T12:00:00Z").due(),
            sealed(Cause::Withdrawn),
            "{category:?}"
        );
        let mut later = photo
            .sealed("2026-03-02T11:30:00Z")
            .at("2026-03-06T12:00:00Z");
        assert_eq!(later.stage(), Some(Stage::Sealed), "{category:?}");
        assert_eq!(later.times()[2], None, "{category:?}");
        later.holds.clear();
        assert_eq!(later.stage(), Some(Stage::Destroyed), "{category:?}");
    }
}

#[test]
fn under_a_hold_that_does_not_freeze_what_is_in_use_stays_and_what_was_sealed_comes_back() {
    for held in on_the_child() {
        let mut photo = example(answers(&given()));
        photo.holds = vec![held];
        assert_eq!(photo.due(), LIVE);
        assert_eq!(photo.sealed("2026-03-02T11:30:00Z").due(), LIVE);
    }
}

#[test]
fn illegal_content_freezes_whatever_else_is_held() {
    let mut photo = example(answers(&withdrawn("2026-03-02T11:00:00Z")));
    photo.holds = on_the_child().to_vec();
    assert_ne!(photo.verdict().standing, Standing::Frozen);
    photo.holds[1].category = HoldCategory::IllegalContent;
    let verdict = photo.verdict();
    assert_eq!(verdict.standing, Standing::Frozen);
    assert_eq!(verdict.holds.len(), 4);
    assert_eq!(photo.stage(), None);
}

#[test]
fn nothing_is_destroyed_on_a_closed_day_or_with_a_stale_hold_list() {
    let photo = example(answers(&withdrawn("2026-03-02T11:00:00Z"))).sealed("2026-03-02T11:30:00Z");
    assert_eq!(
        photo.at("2026-03-06T12:00:00Z").stage(),
        Some(Stage::Destroyed)
    );
    assert_eq!(
        photo.at("2026-03-07T12:00:00Z").stage(),
        Some(Stage::Sealed)
    );
    let confirmed = |when: Option<&str>| {
        let mut photo = photo.at("2026-03-06T12:00:00Z");
        photo.now.holds_confirmed_at = when.map(at);
        photo.stage()
    };
    assert_eq!(confirmed(None), Some(Stage::Sealed));
    assert_eq!(
        confirmed(Some("2026-03-05T12:00:00Z")),
        Some(Stage::Destroyed)
    );
    assert_eq!(confirmed(Some("2026-03-05T11:59:59Z")), Some(Stage::Sealed));
    assert_eq!(confirmed(Some("2026-03-06T12:00:01Z")), Some(Stage::Sealed));
}

#[test]
fn nothing_at_all_may_be_destroyed_while_the_clock_is_in_doubt() {
    let mut photo = example(answers(&given()));
    assert!(may_destroy(&photo.calendar, &photo.now));
    photo.now.doubtful = true;
    assert!(!may_destroy(&photo.calendar, &photo.now));
}

#[test]
fn a_hold_list_of_another_clock_is_looked_at_again_when_its_time_has_come() {
    let photo = example(answers(&withdrawn("2026-03-02T11:00:00Z"))).sealed("2026-03-02T11:30:00Z");
    let mut photo = photo.at("2026-03-06T12:00:00Z");
    photo.now.holds_confirmed_at = Some(at("2026-03-06T12:30:00Z"));
    assert_eq!(photo.stage(), Some(Stage::Sealed));
    let next = photo.verdict().next_change;
    assert_eq!(next, Some(at("2026-03-06T12:30:00Z")));
}

#[test]
fn consent_that_comes_back_restores() {
    let photo = example(answers(&given())).sealed("2026-03-02T11:30:00Z");
    assert_eq!(photo.due(), LIVE);
}
