//! A photo leaves the tablet only reviewed, only encrypted to the key of the sheet, and only on record.

use super::error::PhotosError;
use super::outbox::Next;
use super::review::{Compared, Content, Progress};
use super::testing::{Tablet, child, file_key, jpeg};
use nestwarden_policy_schema::access::{
    AccessRequest, ApprovedAccess, Fingerprint, ReviewStep, Reviewed,
};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::consent::{ConsentState, Stage};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use nestwarden_policy_schema::id::{AccessRequestId, PhotoId};
use std::collections::BTreeMap;
use std::io::Read as _;
use uuid::Uuid;

pub(super) fn request_id() -> AccessRequestId {
    AccessRequestId::from_uuid(Uuid::from_u128(0xac))
}

pub(super) fn fingerprint(recipient: &str) -> String {
    Fingerprint::of(recipient).unwrap().to_string()
}

impl Tablet {
    /// Two people asked for the photos of child 1; the identity is on the sheet's other half.
    pub(super) fn is_asked(&mut self) -> age::x25519::Identity {
        let sheet = age::x25519::Identity::generate();
        self.is_asked_for(&sheet.to_public().to_string());
        sheet
    }

    pub(super) fn is_asked_for(&mut self, recipient: &str) {
        let request = AccessRequest {
            id: request_id(),
            child: child(1),
            recipient: recipient.to_owned(),
            asked_by: "Dana".to_owned(),
            asked_at: self.now.at,
            agreed_by: "Kim".to_owned(),
            agreed_at: self.now.at,
            expires_at: self.now.at + jiff::SignedDuration::from_hours(24 * 30),
            max_photos: 10,
        };
        self.bundle.access_requests = vec![ApprovedAccess {
            request,
            approvals: Vec::new(),
        }];
    }

    pub(super) fn recipient(&self) -> String {
        self.bundle.access_requests[0].request.recipient.clone()
    }

    pub(super) fn types(&mut self, typed: &str) -> Result<Compared, PhotosError> {
        self.with(|engine, moment| engine.review_begin(moment, request_id(), typed))
    }

    pub(super) fn says(&mut self, photo: PhotoId, what: Reviewed) -> Result<(), PhotosError> {
        self.with(|engine, moment| engine.review_say(moment, request_id(), photo, what))
    }

    pub(super) fn finishes(&mut self) -> Result<(), PhotosError> {
        self.with(|engine, moment| engine.review_finish(moment, request_id()))
    }

    /// Sends what waits, as the task does; what the server got.
    pub(super) fn try_send(&mut self) -> Result<BTreeMap<PhotoId, Vec<u8>>, PhotosError> {
        let mut sent = BTreeMap::new();
        self.with(|engine, moment| engine.export_tidy(moment))?;
        loop {
            let next = self.with(|engine, moment| engine.export_next(moment, &|_| false))?;
            let upload = match next {
                None => return Ok(sent),
                Some(Next::Send(upload)) => Some(upload),
                Some(Next::Encrypt(to)) => {
                    let key = match &to.content {
                        Content::Plain(_) => None,
                        Content::Sealed(sealed) => {
                            assert_eq!(sealed.request.access, Some(request_id()));
                            Some(file_key(&self.release, &sealed.request))
                        }
                    };
                    let vaults = self.engine.as_ref().unwrap().vaults();
                    let made = to.encrypt(&vaults, key.as_ref())?;
                    self.with(|engine, moment| engine.export_ready(moment, &made))?
                }
            };
            let Some(mut upload) = upload else {
                continue;
            };
            let mut bytes = Vec::new();
            upload.file.read_to_end(&mut bytes).unwrap();
            assert_eq!(Digest::sha256(&bytes), upload.sha256);
            // It was on record before it left.
            assert!(self.events().iter().any(|event| matches!(
                event,
                EventBody::PhotoExported { sha256, .. } if *sha256 == upload.sha256
            )));
            sent.insert(upload.photo, bytes);
            self.with(|engine, _| engine.export_sent(upload.request, upload.photo))?;
        }
    }

    pub(super) fn progress(&mut self) -> Progress {
        let offer = self.with(|engine, moment| engine.offer_of(moment, request_id()));
        offer.unwrap().progress
    }

    pub(super) fn outbox(&self) -> usize {
        let dir = self.paths.state_dir().join("outbox");
        std::fs::read_dir(dir).map_or(0, Iterator::count)
    }
}

#[test]
fn what_was_included_arrives_as_it_was_and_nothing_else_leaves() {
    let mut tablet = Tablet::new();
    for seed in 1..5 {
        tablet.write(&format!("{seed}.jpg"), &jpeg(seed));
    }
    tablet.look();
    let of = |tablet: &Tablet, seed: u8| {
        let mut listed = tablet.list().into_iter();
        let is_it = |path: &String| path.ends_with(&format!("/{seed}.jpg"));
        listed.find(|l| l.paths.iter().any(is_it)).unwrap().id
    };
    let ids: Vec<PhotoId> = (1..5).map(|seed| of(&tablet, seed)).collect();
    tablet.tag(ids[0], &[1]);
    tablet.tag(ids[1], &[1, 2]);
    tablet.tag(ids[2], &[1]);
    tablet.tag(ids[3], &[2]);
    let sheet = tablet.is_asked();
    let offer = tablet
        .with(|engine, moment| engine.offer_of(moment, request_id()))
        .unwrap();
    assert_eq!((offer.photos.len(), offer.left()), (3, 3));
    let others: Vec<usize> = offer.photos.iter().map(|photo| photo.others).collect();
    assert_eq!(others.iter().sum::<usize>(), 1);

    let typed = fingerprint(&tablet.recipient());
    assert_eq!(tablet.types(&typed).unwrap(), Compared::Same);
    tablet.says(ids[0], Reviewed::Include).unwrap();
    tablet.says(ids[1], Reviewed::OthersInIt).unwrap();
    assert!(tablet.try_send().unwrap().is_empty(), "not before the end");
    let early = tablet.finishes();
    assert!(matches!(early, Err(PhotosError::ReviewUnfinished(1))));
    assert!(matches!(
        tablet.says(ids[3], Reviewed::Include),
        Err(PhotosError::NotShown(_))
    ));
    tablet.says(ids[2], Reviewed::NotThisChild).unwrap();
    tablet.finishes().unwrap();
    let sent = tablet.try_send().unwrap();
    assert_eq!(sent.keys().collect::<Vec<_>>(), [&ids[0]]);
    assert_eq!(age::decrypt(&sheet, &sent[&ids[0]]).unwrap(), jpeg(1));
    assert_eq!(tablet.outbox(), 0);
    // Nothing goes twice, and nothing is said after the end.
    assert!(tablet.try_send().unwrap().is_empty());
    let late = tablet.says(ids[1], Reviewed::Include);
    assert!(matches!(late, Err(PhotosError::ReviewFinished)));
    let told = tablet.events();
    let steps = told.iter().filter_map(|event| {
        let EventBody::AccessReview { step, .. } = event else {
            return None;
        };
        Some(*step)
    });
    let finished = ReviewStep::Finished {
        included: 1,
        others_in_it: 1,
        not_this_child: 1,
    };
    assert_eq!(steps.collect::<Vec<_>>(), [ReviewStep::Begun, finished]);
}

#[test]
fn a_server_that_asks_with_its_own_key_gets_nothing() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    let sheet = age::x25519::Identity::generate().to_public().to_string();
    tablet.is_asked();
    // What the reviewer reads off the sheet is not what the server sent.
    assert_eq!(
        tablet.types(&fingerprint(&sheet)).unwrap(),
        Compared::Differs
    );
    let refused = tablet.says(photo, Reviewed::Include);
    assert!(matches!(refused, Err(PhotosError::ReviewNotBegun)));
    let refused = tablet.with(|engine, moment| engine.review_view(moment, request_id(), photo));
    assert!(matches!(refused, Err(PhotosError::ReviewNotBegun)));
    assert!(tablet.events().iter().any(|event| matches!(
        event,
        EventBody::AccessReview {
            step: ReviewStep::FingerprintDiffers,
            ..
        }
    )));
    // A key that is put in its place later begins from nothing, also once everything was said.
    tablet.is_asked_for(&sheet);
    tablet.types(&fingerprint(&sheet)).unwrap();
    tablet.says(photo, Reviewed::Include).unwrap();
    tablet.finishes().unwrap();
    assert_eq!(tablet.progress(), Progress::Finished);
    tablet.is_asked();
    assert_eq!(tablet.progress(), Progress::NotBegun);
    assert!(tablet.try_send().unwrap().is_empty());
}

#[test]
fn a_sealed_photo_is_reviewed_and_sent_and_stays_sealed() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    // What keeps it from being destroyed, and does not keep it from being sealed.
    tablet.hold(
        HoldScope::Child { child: child(1) },
        HoldCategory::SubjectAccess,
    );
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    let sheet = tablet.is_asked();
    let typed = fingerprint(&tablet.recipient());
    tablet.types(&typed).unwrap();
    let content = tablet.with(|engine, moment| engine.review_view(moment, request_id(), photo));
    let Content::Sealed(sealed) = content.unwrap() else {
        panic!("it is not sealed");
    };
    let key = file_key(&tablet.release, &sealed.request);
    let vaults = tablet.engine.as_ref().unwrap().vaults();
    let content_key = super::hash::ContentKey::new(&tablet.bundle.photo_hash_key);
    let seen = sealed.preview(&vaults, &key, &content_key, 10_000).unwrap();
    assert_eq!(*seen, jpeg(1));
    assert!(sealed.preview(&vaults, &key, &content_key, 10).is_err());
    tablet.says(photo, Reviewed::Include).unwrap();
    tablet.finishes().unwrap();
    let before = tablet.vault();
    let sent = tablet.try_send().unwrap();
    assert_eq!(age::decrypt(&sheet, &sent[&photo]).unwrap(), jpeg(1));
    assert_eq!(tablet.vault(), before);
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.pass_hours(24 * 30 - 1);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed, "destruction is paused");
}

#[test]
fn a_frozen_photo_is_neither_shown_nor_sent_and_a_request_ends() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    tablet.is_asked();
    let typed = fingerprint(&tablet.recipient());
    tablet.types(&typed).unwrap();
    tablet.says(photo, Reviewed::Include).unwrap();
    tablet.finishes().unwrap();
    tablet.hold(HoldScope::Photo { photo }, HoldCategory::IllegalContent);
    assert!(tablet.try_send().unwrap().is_empty());
    let offer = tablet.with(|engine, moment| engine.offer_of(moment, request_id()));
    assert!(offer.unwrap().photos.is_empty());
    // Any other hold keeps nothing from the family; a clock in doubt does, and so does the end.
    tablet.hold(HoldScope::Photo { photo }, HoldCategory::Police);
    tablet.now.doubtful = true;
    assert!(tablet.try_send().unwrap().is_empty());
    tablet.now.doubtful = false;
    tablet.pass_hours(24 * 30);
    assert!(tablet.try_send().unwrap().is_empty());
    tablet.now.at -= jiff::SignedDuration::from_hours(1);
    assert_eq!(tablet.try_send().unwrap().len(), 1);
}

#[test]
fn a_request_that_ends_while_a_photo_is_encrypted_sends_nothing() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    tablet.is_asked();
    let typed = fingerprint(&tablet.recipient());
    tablet.types(&typed).unwrap();
    tablet.says(photo, Reviewed::Include).unwrap();
    tablet.finishes().unwrap();
    let next = tablet.with(|engine, moment| engine.export_next(moment, &|_| false));
    let Some(Next::Encrypt(to)) = next.unwrap() else {
        panic!("nothing waits");
    };
    let vaults = tablet.engine.as_ref().unwrap().vaults();
    let made = to.encrypt(&vaults, None).unwrap();
    assert_eq!(tablet.outbox(), 1);
    tablet.bundle.access_requests.clear();
    let ready = tablet.with(|engine, moment| engine.export_ready(moment, &made));
    assert!(ready.unwrap().is_none());
    assert_eq!(tablet.outbox(), 0);
    let exported = |event: &EventBody| matches!(event, EventBody::PhotoExported { .. });
    assert!(!tablet.events().iter().any(exported));
}
