//! The review page: closed without the sheet, one photo at a time, and nothing sent before the last button.

use super::testing::{Headers, Nursery};
use crate::photos::listing::Tags;
use crate::photos::review::Progress;
use crate::photos::testing::child;
use nestwarden_policy_schema::access::{AccessRequest, ApprovedAccess, Fingerprint};
use nestwarden_policy_schema::consent::{ConsentState, Stage, Tagging};
use nestwarden_policy_schema::id::{AccessRequestId, PhotoId};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use uuid::Uuid;

fn request_id() -> AccessRequestId {
    AccessRequestId::from_uuid(Uuid::from_u128(0xac))
}

fn address() -> String {
    format!("/review?request={}", request_id())
}

struct Review {
    nursery: Nursery,
    browser: Headers,
    typed: String,
    photos: Vec<PhotoId>,
}

impl Review {
    /// Photos of child 1: the second shows child 2 too.
    async fn open() -> Self {
        let mut nursery = Nursery::open().await;
        for (seed, children) in [(1, vec![1]), (2, vec![1, 2])] {
            nursery.take(seed).await;
            let newest = nursery.photos.newest(1).await.unwrap();
            let tags = Tags {
                tagging: Tagging::Complete,
                confirmed: children.into_iter().map(child).collect::<BTreeSet<_>>(),
                unregistered_person: false,
                care_record: false,
            };
            nursery.photos.tag(newest.photos[0].id, tags).await.unwrap();
        }
        let recipient = age::x25519::Identity::generate().to_public().to_string();
        let at = "2026-03-02T10:00:00Z".parse().unwrap();
        nursery.bundle.access_requests = vec![ApprovedAccess {
            request: AccessRequest {
                id: request_id(),
                child: child(1),
                recipient: recipient.clone(),
                asked_by: "Dana Lead".to_owned(),
                asked_at: "2026-03-02T12:00:00Z".parse().unwrap(),
                agreed_by: "Kim Manager".to_owned(),
                agreed_at: at,
                expires_at: "2026-04-01T10:00:00Z".parse().unwrap(),
                max_photos: 10,
            },
            approvals: Vec::new(),
        }];
        nursery.store();
        let mut photos: Vec<_> = nursery.photos.list().await.unwrap();
        photos.sort_by_key(|photo| photo.captured_at);
        Self {
            browser: nursery.browser().await,
            typed: Fingerprint::of(&recipient).unwrap().to_string(),
            photos: photos.into_iter().map(|photo| photo.id).collect(),
            nursery,
        }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let came = self.nursery.get(path, &self.browser).await;
        (came.status, came.body)
    }

    async fn post(&self, path: &str, fields: &str) -> (u16, String) {
        let form = format!("request={}&{fields}", request_id());
        let came = self.nursery.post(path, &form, &self.browser).await;
        (came.status, came.body)
    }

    fn picture(&self, at: usize) -> String {
        format!(
            "/review/photo?request={}&id={}",
            request_id(),
            self.photos[at]
        )
    }

    async fn types(&self, typed: &str) -> (u16, String) {
        let typed = typed.replace(' ', "+");
        self.post("/review/begin", &format!("fingerprint={typed}"))
            .await
    }

    async fn progress(&self) -> Progress {
        self.nursery
            .photos
            .offer(request_id())
            .await
            .unwrap()
            .progress
    }
}

#[tokio::test]
async fn nothing_is_seen_without_the_fingerprint_and_the_page_never_shows_it() {
    let review = Review::open().await;
    let (_, home) = review.get("/").await;
    assert!(
        home.contains("1 request for photos to look through"),
        "{home}"
    );
    let (_, list) = review.get("/review").await;
    assert!(list.contains("Dana Lead asked for the photos, and Kim Manager agreed."));
    let (_, closed) = review.get(&address()).await;
    for page in [&home, &list, &closed] {
        assert!(!page.contains(&review.typed) && !page.contains(&review.typed.replace(' ', "")));
        assert!(!page.contains("/review/photo"));
    }
    assert_eq!(review.get(&review.picture(0)).await.0, 403);
    let say = format!("photo={}&say=include", review.photos[0]);
    assert_eq!(review.post("/review", &say).await.0, 403);
    assert_eq!(review.post("/review/finish", "").await.0, 403);
    let (status, wrong) = review.types("qqqq qqqq qqqq qqqq").await;
    assert_eq!(status, 409);
    assert!(
        wrong.contains("nothing is shown and nothing is sent"),
        "{wrong}"
    );
    assert_eq!(review.get(&review.picture(0)).await.0, 403);
    for _ in 0..4 {
        review.types("wrong").await;
    }
    assert_eq!(review.types(&review.typed).await.0, 429);
    assert_eq!(review.progress().await, Progress::NotBegun);
}

#[tokio::test]
async fn a_review_goes_photo_by_photo_and_ends_with_one_button() {
    let review = Review::open().await;
    let (status, first) = review.types(&review.typed.to_uppercase()).await;
    assert_eq!(status, 200);
    assert!(first.contains("2 left to look at"), "{first}");
    assert!(
        first.contains("Nobody said that another child is in it."),
        "{first}"
    );
    let came = review
        .nursery
        .get(&review.picture(0), &review.browser)
        .await;
    assert_eq!(came.status, 200);
    assert_eq!(came.header("cache-control"), Some("no-store"));
    let say = |at: usize, what: &str| format!("photo={}&say={what}", review.photos[at]);
    let (_, second) = review.post("/review", &say(0, "include")).await;
    assert!(second.contains("1 other child is in it."), "{second}");
    let early = review.post("/review/finish", "").await;
    assert_eq!(early.0, 409);
    let (_, sum) = review.post("/review", &say(1, "others")).await;
    assert!(sum.contains("Finish, and send 1 photo"), "{sum}");
    assert!(sum.contains("Nothing has been sent so far."), "{sum}");
    assert_eq!(review.progress().await, Progress::Begun);
    let (_, done) = review.post("/review/finish", "").await;
    assert!(done.contains("0 of 1 sent"), "{done}");
    assert_eq!(review.progress().await, Progress::Finished);
}

#[tokio::test]
async fn a_sealed_photo_is_looked_at_in_memory_with_the_servers_word() {
    let mut review = Review::open().await;
    let entry = super::testing::entry(ConsentState::Withdrawn);
    review
        .nursery
        .bundle
        .register
        .children
        .insert(child(1), entry);
    review.nursery.store();
    // Sealing is a job; it has run when both are.
    while review
        .nursery
        .photos
        .counts()
        .await
        .unwrap()
        .get(&Stage::Sealed)
        != Some(&2)
    {
        tokio::task::yield_now().await;
    }
    review.types(&review.typed).await;
    assert_eq!(review.get(&review.picture(0)).await.0, 404);
    review.nursery.authorises.store(true, Ordering::SeqCst);
    let came = review
        .nursery
        .get(&review.picture(0), &review.browser)
        .await;
    assert_eq!(
        (came.status, came.header("content-type")),
        (200, Some("image/jpeg"))
    );
    let plain = walkdir(review.nursery.temp.path());
    assert!(
        plain
            .iter()
            .all(|bytes| !bytes.starts_with(&[0xff, 0xd8, 0xff]))
    );
}

fn walkdir(dir: &std::path::Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walkdir(&path));
        } else if path.is_file() {
            found.push(std::fs::read(&path).unwrap_or_default());
        }
    }
    found
}
