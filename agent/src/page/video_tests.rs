//! A video on the page: behind the veil as a picture is, played in pieces, and taken for who is in it.

use super::testing::Nursery;
use crate::photos::testing::{PICTURES, child};
use nestwarden_policy_schema::consent::{ConsentState, Stage, Tagging};
use std::collections::BTreeSet;

const HEAD: &[u8] = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom";

#[tokio::test]
async fn a_video_waits_behind_the_veil_plays_in_pieces_and_goes_with_whoever_is_in_it() {
    let mut nursery = Nursery::open().await;
    nursery.register.know(&[(1, "Ava"), (2, "Ben")]);
    let browser = nursery.browser().await;
    nursery.post("/start", "room=Owls", &browser).await;
    let film = [HEAD, b"the film", &[0; 4096]].concat();
    let path = nursery.temp.path().join(PICTURES).join("film.jpg");
    std::fs::write(&path, &film).unwrap();
    nursery.photos.rescan().await.unwrap();
    let photo = nursery.photos.list().await.unwrap()[0].id;

    let sort = nursery.get("/sort", &browser).await;
    let address = format!("/photo?id={photo}");
    let (_, video) = sort.body.split_once("<video ").unwrap();
    let (video, after) = video.split_once("</video>").unwrap();
    assert!(video.contains(&format!("src=\"{address}\"")), "{video}");
    assert!(
        video.contains("aria-label=\"") && video.contains(" controls"),
        "{video}"
    );
    assert!(!video.contains("autoplay"), "{video}");
    assert!(
        after.starts_with("<label class=\"veil\" for=\"look\">"),
        "{after}"
    );
    let policy = sort.header("content-security-policy").unwrap();
    assert!(policy.contains("media-src 'self'"), "{policy}");

    let whole = nursery.get(&address, &browser).await;
    assert_eq!(
        (whole.status, whole.header("content-type")),
        (200, Some("video/mp4"))
    );
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let part = browser.clone().with("range", "bytes=24-31");
    let part = nursery.get(&address, &part).await;
    assert_eq!((part.status, part.body.as_str()), (206, "the film"));
    let said = format!("bytes 24-31/{}", film.len());
    assert_eq!(part.header("content-range"), Some(said.as_str()));

    let both = format!(
        "photo={photo}&child={}&child={}&say=everyone",
        child(1),
        child(2)
    );
    let came = nursery.post("/sort", &both, &browser).await;
    assert!(came.body.contains("0 left to sort"), "{came:?}");
    let listed = nursery.photos.list().await.unwrap();
    let named = BTreeSet::from([child(1), child(2)]);
    assert_eq!(
        (listed[0].tagging, &listed[0].confirmed),
        (Tagging::Complete, &named)
    );
    let refused = super::testing::entry(ConsentState::Withdrawn);
    nursery.bundle.register.children.insert(child(2), refused);
    nursery.store();
    while nursery.photos.list().await.unwrap()[0].stage != Stage::Sealed {
        tokio::task::yield_now().await;
    }
    assert!(!path.exists());
    assert_eq!(nursery.get(&address, &browser).await.status, 404);
}
