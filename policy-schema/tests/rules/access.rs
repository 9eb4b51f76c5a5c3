//! Requests for photos: two people and, where there are approvers, two of them; and a fingerprint that can be typed.

use crate::nursery::at;
use crate::papers::{
    APPROVER_A, APPROVER_B, RECIPIENT, STRANGER, access_request, anchors, bundle, key, public,
};
use nestwarden_policy_schema::access::{AccessError, AccessRequest, ApprovedAccess, Fingerprint};
use nestwarden_policy_schema::command::ApprovalError;
use nestwarden_policy_schema::envelope::{SignedError, sign};
use nestwarden_policy_schema::trust::Anchors;

const DURING: &str = "2026-03-10T09:00:00Z";

fn access(request: AccessRequest, approvals: &[(AccessRequest, u8)]) -> ApprovedAccess {
    let sign = |(said, by): &(AccessRequest, u8)| sign(said, &key(*by)).unwrap();
    ApprovedAccess {
        request,
        approvals: approvals.iter().map(sign).collect(),
    }
}

fn without_approvers() -> Anchors {
    Anchors {
        approvers: Vec::new(),
        ..anchors()
    }
}

#[test]
fn a_request_needs_two_people_and_ends() {
    let anchors = without_approvers();
    let verified = |request: AccessRequest, when: &str| {
        let access = access(request, &[]);
        access.verified(&anchors, at(when)).map(|r| r.id)
    };
    let asked = access_request();
    assert_eq!(verified(asked.clone(), DURING), Ok(asked.id));
    assert_eq!(
        verified(asked.clone(), "2026-04-01T10:00:00Z"),
        Err(AccessError::Expired(asked.expires_at))
    );
    let alone = AccessRequest {
        agreed_by: asked.asked_by.clone(),
        ..asked.clone()
    };
    assert_eq!(
        verified(alone, DURING),
        Err(AccessError::OnePerson(asked.asked_by.clone()))
    );
    let all = AccessRequest {
        max_photos: 5_001,
        ..asked
    };
    assert_eq!(
        verified(all, DURING),
        Err(AccessError::TooManyPhotos { asked: 5_001 })
    );
}

#[test]
fn where_there_are_approvers_two_of_them_approve_this_very_request() {
    let asked = access_request();
    let verified = |approvals: &[(AccessRequest, u8)]| {
        let access = access(asked.clone(), approvals);
        access.verified(&anchors(), at(DURING)).map(|r| r.id)
    };
    let by = |who: u8| (asked.clone(), who);
    assert_eq!(verified(&[by(APPROVER_A), by(APPROVER_B)]), Ok(asked.id));
    let too_few = |given| Err(AccessError::TooFewApprovals { given });
    assert_eq!(verified(&[]), too_few(0));
    assert_eq!(verified(&[by(APPROVER_A), by(APPROVER_A)]), too_few(1));
    let unknown = SignedError::UnknownKey(public(STRANGER).key_id());
    assert_eq!(
        verified(&[by(APPROVER_A), by(STRANGER)]),
        Err(AccessError::Approval(ApprovalError::Signature(unknown)))
    );
    let other_key = AccessRequest {
        recipient: RECIPIENT.replace("ql3z", "qqqq"),
        ..asked.clone()
    };
    assert_eq!(
        verified(&[by(APPROVER_A), (other_key, APPROVER_B)]),
        Err(AccessError::Approval(ApprovalError::OtherStatement))
    );
}

#[test]
fn a_fingerprint_is_the_beginning_of_the_recipient_however_it_is_typed() {
    let fingerprint = Fingerprint::of(RECIPIENT).unwrap();
    assert_eq!(fingerprint.to_string(), "ql3z 7hjy 54pw 3hyw");
    for typed in [
        "ql3z 7hjy 54pw 3hyw",
        " QL3Z-7HJY-54PW-3HYW ",
        "age1ql3z7hjy54pw3hyw",
    ] {
        assert!(fingerprint.is_typed_as(typed), "{typed}");
    }
    for typed in [
        "",
        "age1",
        "ql3z 7hjy 54pw",
        "ql3z 7hjy 54pw 3hyw w",
        "ql3z 7hjy 54pw 3hyx",
        RECIPIENT,
    ] {
        assert!(!fingerprint.is_typed_as(typed), "{typed}");
    }
}

#[test]
fn what_is_no_recipient_has_no_fingerprint() {
    for wrong in [
        "",
        "age1",
        &RECIPIENT[..61],
        &RECIPIENT.to_uppercase(),
        &RECIPIENT.replace('7', "b"),
        &RECIPIENT.replace("age1", "ssh1"),
    ] {
        assert_eq!(Fingerprint::of(wrong), None, "{wrong}");
        let request = AccessRequest {
            recipient: wrong.to_owned(),
            ..access_request()
        };
        let refused = access(request, &[]);
        let refused = refused.verified(&without_approvers(), at(DURING));
        assert_eq!(refused, Err(AccessError::Recipient(wrong.to_owned())));
    }
}

#[test]
fn a_server_that_was_put_back_asks_for_no_photos_by_itself() {
    let mut new = bundle(8);
    new.access_requests = vec![access(access_request(), &[])];
    let mut held = bundle(7);
    assert!(new.clone().no_looser_than(&held).access_requests.is_empty());
    held.access_requests.clone_from(&new.access_requests);
    assert_eq!(new.no_looser_than(&held).access_requests.len(), 1);
}
