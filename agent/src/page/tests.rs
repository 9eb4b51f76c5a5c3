//! Who gets a page, and what is on it.

use super::router::{self, Requires};
use super::testing::{Came, Headers, Nursery, entry};
use crate::ledger::LossWord;
use crate::photos::testing::child;
use nestwarden_policy_schema::command::{Command, CommandKind};
use nestwarden_policy_schema::consent::{ConsentState, Stage, Tagging};
use nestwarden_policy_schema::hold::{Hold, HoldCategory, HoldList, HoldScope};
use nestwarden_policy_schema::id::{CommandId, HoldId};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;

const NAMES: [(u128, &str); 3] = [(1, "Ava Quillfeather"), (2, "Ben"), (3, "Cleo")];

async fn with_session() -> (Nursery, Headers) {
    let nursery = Nursery::open().await;
    nursery.register.know(&NAMES);
    let browser = nursery.browser().await;
    let started = nursery.post("/start", "room=Owls", &browser).await;
    assert_eq!(started.status, 200, "{started:?}");
    (nursery, browser)
}

async fn walk(nursery: &Nursery, headers: &Headers, refused: &[u16]) {
    for route in router::routes() {
        if route.requires == Requires::Token && refused == [403] {
            continue;
        }
        let method = route.method.as_str();
        let came = nursery.ask(method, route.path, headers, "").await;
        let what = format!("{method} {}: {came:?}", route.path);
        assert!(refused.contains(&came.status), "{what}");
        assert!(!came.body.contains("<h1>"), "{what}");
        assert_eq!(came.header("cache-control"), Some("no-store"), "{what}");
    }
}

#[tokio::test]
async fn no_route_answers_without_the_cookie_or_to_another_host_or_site() {
    let nursery = Nursery::open().await;
    let browser = nursery.browser().await;
    let other_cookie = "nestwarden=".to_owned() + &"0".repeat(64);
    let port = nursery.host.split(':').nth(1).unwrap().to_owned();
    let wrong = [
        nursery.stranger(),
        nursery.stranger().with("cookie", other_cookie),
        nursery.stranger().with("cookie", "nestwarden="),
        browser.clone().with("host", "photos.example.com"),
        browser.clone().with("host", format!("localhost:{port}")),
        browser.clone().with("host", "127.0.0.1"),
        browser.clone().with("origin", "http://evil.example"),
        browser.clone().with("origin", "null"),
        browser.clone().with("sec-fetch-site", "cross-site"),
        // Another server on this tablet: another origin of the same site.
        browser.clone().with("sec-fetch-site", "same-site"),
    ];
    for headers in wrong {
        walk(&nursery, &headers, &[403]).await;
    }
    let no_host = browser.without("host");
    walk(&nursery, &no_host, &[400, 403]).await;
}

#[tokio::test]
async fn what_changes_something_names_its_origin_and_every_page_keeps_to_its_method() {
    let nursery = Nursery::open().await;
    let browser = nursery.browser().await;
    let silent = browser.clone().without("origin");
    for route in router::routes() {
        if route.requires == Requires::Token {
            continue;
        }
        if route.method == "POST" {
            let came = nursery.ask("POST", route.path, &silent, "").await;
            assert_eq!(came.status, 403, "{}", route.path);
        }
        let came = nursery.ask("DELETE", route.path, &browser, "").await;
        assert_eq!(came.status, 405, "{}", route.path);
    }
    assert_eq!(nursery.get("/elsewhere", &browser).await.status, 404);
    let elsewhere = nursery.get("/elsewhere", &nursery.stranger()).await;
    assert_eq!(elsewhere.status, 403, "who has no cookie learns nothing");
}

#[tokio::test]
async fn the_link_opens_the_page_and_only_staff_can_read_it() {
    let nursery = Nursery::open().await;
    let link = std::fs::metadata(nursery.paths.page_link_path()).unwrap();
    assert_eq!(link.permissions().mode() & 0o777, 0o600);
    let stranger = nursery.stranger();
    for path in ["/open", "/open?token=", "/open?token=0000"] {
        assert_eq!(nursery.get(path, &stranger).await.status, 403, "{path}");
    }
    let path = format!("/open?token={}", nursery.token);
    let typed = stranger.without("origin").with("sec-fetch-site", "none");
    let opened = nursery.get(&path, &typed).await;
    assert_eq!((opened.status, opened.header("location")), (303, Some("/")));
    let cookie = opened.header("set-cookie").unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"));
    let foreign = typed.with("sec-fetch-site", "cross-site");
    assert_eq!(nursery.get(&path, &foreign).await.status, 403);
    let (path, link) = (nursery.paths.page_link_path(), nursery);
    drop(link);
    tokio::task::yield_now().await;
    assert!(!path.exists(), "the link goes with the page");
}

#[tokio::test]
async fn every_screen_loads_nothing_from_elsewhere_and_leaves_nothing_behind() {
    let (nursery, browser) = with_session().await;
    nursery.take(1).await;
    for path in ["/", "/here", "/sort", "/photos", "/end"] {
        let came = nursery.get(path, &browser).await;
        assert_eq!(came.status, 200, "{came:?}");
        let policy = came.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert_eq!(came.header("cache-control"), Some("no-store"));
        assert!(came.body.contains("<html lang=\"en-GB\">"), "{path}");
        for elsewhere in [
            "http:",
            "https:",
            "//",
            " style=",
            " onclick",
            "javascript:",
        ] {
            let shown = came.body.replace("<!DOCTYPE html>", "");
            assert!(
                !shown.contains(elsewhere),
                "{path} has {elsewhere}: {shown}"
            );
        }
    }
}

#[tokio::test]
async fn a_request_that_is_too_long_is_refused() {
    let (nursery, browser) = with_session().await;
    let long = format!("child={}", "0".repeat(70 * 1024));
    let came = nursery.ask("POST", "/here", &browser, &long).await;
    assert_eq!(came.status, 400, "{came:?}");
    let nonsense = nursery.post("/here", "child=everybody", &browser).await;
    assert_eq!(nonsense.status, 400, "{nonsense:?}");
}

#[tokio::test]
async fn a_name_is_text_whatever_it_says() {
    let nursery = Nursery::open().await;
    let name = "<script>alert(1)</script>\"'&";
    nursery.register.know(&[(1, name)]);
    let browser = nursery.browser().await;
    nursery.post("/start", "room=Owls", &browser).await;
    nursery.take(1).await;
    for path in ["/here", "/sort"] {
        let came = nursery.get(path, &browser).await;
        assert!(came.body.contains("&lt;script&gt;alert(1)"), "{came:?}");
        assert!(!came.body.contains("<script>alert"), "{came:?}");
    }
    let room = nursery.post("/start", "room=%3Cscript%3E", &browser).await;
    assert!(!room.body.contains("<script>"), "{room:?}");
}

#[tokio::test]
async fn without_a_server_children_are_shown_by_their_ids_and_it_says_so() {
    let nursery = Nursery::open().await;
    let browser = nursery.browser().await;
    let came = nursery.post("/start", "room=Owls", &browser).await;
    let says = "Names are not available without the server";
    assert!(came.body.contains(says), "{came:?}");
    assert!(came.body.contains("Child 000001"), "{came:?}");
    assert_eq!(
        nursery.register.asked().len(),
        1,
        "once, and not for every page"
    );
    nursery.get("/", &browser).await;
    assert_eq!(nursery.register.asked().len(), 1);
    nursery.register.know(&NAMES);
    let came = nursery.post("/names", "back=%2Fhere", &browser).await;
    assert!(came.body.contains("Ava Quillfeather"), "{came:?}");
    assert!(!came.body.contains(says), "{came:?}");
    let away = nursery
        .post("/names", "back=http%3A%2F%2Fevil", &browser)
        .await;
    assert_eq!(away.status, 400);
}

#[tokio::test]
async fn names_end_with_the_session_and_never_reach_the_disk() {
    let (nursery, browser) = with_session().await;
    nursery.take(1).await;
    let photo = only_photo(&nursery).await;
    let form = format!("photo={photo}&child={}&say=everyone", child(1));
    let came = nursery.post("/sort", &form, &browser).await;
    assert!(came.body.contains("0 left to sort"), "{came:?}");
    let shown = nursery.get("/photos", &browser).await;
    assert!(shown.body.contains("Ava Quillfeather"), "{shown:?}");
    nursery.post("/end", "", &browser).await;
    let shown = nursery.get("/photos", &browser).await;
    assert!(!shown.body.contains("Quillfeather"), "{shown:?}");
    let asked = nursery.register.asked();
    nursery.post("/start", "room=Owls", &browser).await;
    let again = nursery.register.asked();
    assert_eq!(again.len(), asked.len() + 1, "asked anew");
    assert_ne!(again.last().unwrap().session, asked[0].session);
    let root = nursery.temp.path().to_owned();
    assert_eq!(holding(&root, b"Quillfeather"), Vec::<String>::new());
}

fn holding(dir: &std::path::Path, what: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, what));
        } else if let Ok(bytes) = std::fs::read(&path)
            && bytes.windows(what.len()).any(|part| part == what)
        {
            found.push(path.display().to_string());
        }
    }
    found
}

async fn only_photo(nursery: &Nursery) -> String {
    let photos = nursery.photos.list().await.unwrap();
    assert_eq!(photos.len(), 1);
    photos[0].id.to_string()
}

#[tokio::test]
async fn a_photo_is_served_to_who_sorts_it_and_never_when_it_is_frozen() {
    let (mut nursery, browser) = with_session().await;
    nursery.take(1).await;
    let path = format!("/photo?id={}", only_photo(&nursery).await);
    let came = nursery.get(&path, &browser).await;
    assert_eq!(
        (came.status, came.header("content-type")),
        (200, Some("image/jpeg"))
    );
    assert_eq!(came.header("cache-control"), Some("no-store"));
    let stranger = nursery.get(&path, &nursery.stranger()).await;
    assert_eq!(stranger.status, 403);
    let at = nursery.bundle.issued_at;
    let hold = Hold {
        opened_at: at,
        review_by: at,
        id: HoldId::from_uuid(uuid::Uuid::now_v7()),
        scope: HoldScope::Device {
            device: nursery.device(),
        },
        category: HoldCategory::IllegalContent,
    };
    nursery.bundle.holds = HoldList::new(at, vec![hold]);
    nursery.store();
    let frozen = nursery.get(&path, &browser).await;
    assert_eq!(frozen.status, 404, "{frozen:?}");
    let sort = nursery.get("/sort", &browser).await;
    assert!(!sort.body.contains("/photo?id="), "{sort:?}");
}

#[tokio::test]
async fn whoever_must_not_be_photographed_is_named_before_the_camera_and_without_a_reason() {
    let mut nursery = Nursery::open().await;
    nursery.register.know(&NAMES);
    let children = &mut nursery.bundle.register.children;
    children.insert(child(2), entry(ConsentState::Withdrawn));
    nursery.store();
    let browser = nursery.browser().await;
    let here = nursery.post("/start", "room=Owls", &browser).await;
    let list = section(&here, "Do not photograph", "</section>");
    assert!(
        list.contains("<li>Ben</li>") && !list.contains("Ava"),
        "{list}"
    );
    for reason in ["withdrawn", "consent", "refused"] {
        assert!(!here.body.to_lowercase().contains(reason), "{here:?}");
    }
}

fn section<'a>(came: &'a Came, from: &str, to: &str) -> &'a str {
    let start = came.body.find(from).unwrap();
    let end = came.body[start..].find(to).unwrap();
    &came.body[start..start + end]
}

#[tokio::test]
async fn photos_are_sorted_one_after_the_other_and_the_same_again_is_one_tap() {
    let (nursery, browser) = with_session().await;
    let form = format!("child={}&child={}", child(1), child(2));
    let home = nursery.post("/here", &form, &browser).await;
    assert!(home.body.contains("2 ticked"), "{home:?}");
    for seed in 1..=4 {
        nursery.take(seed).await;
    }
    let sort = nursery.get("/sort", &browser).await;
    assert!(sort.body.contains("4 left to sort") && !sort.body.contains("Same as before"));
    let nobody = say(&nursery, &browser, "say=everyone").await;
    assert_eq!(nobody.status, 409, "{nobody:?}");
    let both = format!("child={}&say=nobody", child(1));
    let contradiction = say(&nursery, &browser, &both).await;
    assert_eq!(contradiction.status, 409);
    let kept = format!("value=\"{}\" checked", child(1));
    assert!(contradiction.body.contains(&kept), "ticks are not lost");
    let one = format!("child={}&say=everyone", child(1));
    let came = say(&nursery, &browser, &one).await;
    assert!(came.body.contains("3 left to sort"), "{came:?}");
    assert!(
        came.body.contains("Same as before: Ava Quillfeather"),
        "{came:?}"
    );
    let same = same_form(&came);
    nursery.post("/sort", &same, &browser).await;
    say(&nursery, &browser, "say=nobody").await;
    let last = say(&nursery, &browser, "unregistered=1&say=everyone").await;
    assert!(last.body.contains("0 left to sort"), "{last:?}");
    let photos = nursery.photos.list().await.unwrap();
    let said: Vec<_> = photos
        .iter()
        .map(|p| (p.tagging, p.confirmed.len()))
        .collect();
    let expected = [
        (Tagging::Complete, 1),
        (Tagging::Complete, 1),
        (Tagging::NoChild, 0),
        (Tagging::Complete, 0),
    ];
    assert_eq!(said, expected);
    assert!(photos[3].unregistered_person && photos[3].stage > Stage::Live);
}

/// What the button "Same as before" sends.
fn same_form(page: &Came) -> String {
    let (_, rest) = page
        .body
        .split_once("form=\"same\" name=\"say\" value=\"")
        .unwrap();
    let mut form = format!("say={}", rest.split('"').next().unwrap());
    let (_, fields) = page.body.split_once("<form id=\"same\"").unwrap();
    let (fields, _) = fields.split_once("</form>").unwrap();
    for field in fields.split("<input type=\"hidden\" name=\"").skip(1) {
        let mut parts = field.split('"');
        let (name, value) = (parts.next().unwrap(), parts.nth(1).unwrap());
        let _ = write!(form, "&{name}={value}");
    }
    form
}

#[tokio::test]
async fn the_same_again_is_what_its_button_says_whatever_was_said_elsewhere_meanwhile() {
    let (nursery, browser) = with_session().await;
    for seed in 1..=3 {
        nursery.take(seed).await;
    }
    let ava = format!("child={}&say=everyone", child(1));
    let page = say(&nursery, &browser, &ava).await;
    let left = nursery.photos.to_sort(2).await.unwrap().photos;
    // Another page of the same tablet is a photo further.
    let other = format!("photo={}&child={}&say=everyone", left[1].id, child(2));
    nursery.post("/sort", &other, &browser).await;
    assert!(page.body.contains("Same as before: Ava Quillfeather"));
    nursery.post("/sort", &same_form(&page), &browser).await;
    let photo = nursery.photos.photo(left[0].id).await.unwrap();
    assert_eq!(photo.confirmed, [child(1)].into());
}

/// Says something of the first photo that is left.
async fn say(nursery: &Nursery, browser: &Headers, what: &str) -> Came {
    let left = nursery.photos.to_sort(1).await.unwrap();
    let form = format!("photo={}&{what}", left.photos[0].id);
    nursery.post("/sort", &form, browser).await
}

#[tokio::test]
async fn a_late_name_is_added_and_one_that_was_said_is_not_taken_back() {
    let (mut nursery, browser) = with_session().await;
    nursery.take(1).await;
    let photo = only_photo(&nursery).await;
    let one = format!("photo={photo}&child={}&say=everyone", child(1));
    nursery.post("/sort", &one, &browser).await;
    let other = format!("photo={photo}&child={}&say=everyone", child(2));
    let refused = nursery.post("/sort", &other, &browser).await;
    assert_eq!(refused.status, 409);
    assert!(
        refused.body.contains("only the manager can take one back"),
        "{refused:?}"
    );
    let adding = nursery.get(&format!("/sort?photo={photo}"), &browser).await;
    let locked = format!("value=\"{}\" checked disabled", child(1));
    assert!(adding.body.contains(&locked), "{adding:?}");
    nursery
        .bundle
        .register
        .children
        .insert(child(2), entry(ConsentState::Refused));
    nursery.store();
    let both = format!(
        "photo={photo}&child={}&child={}&say=everyone",
        child(1),
        child(2)
    );
    nursery.post("/sort", &both, &browser).await;
    let listed = nursery.photos.list().await.unwrap();
    assert_eq!(listed[0].confirmed, BTreeSet::from([child(1), child(2)]));
    assert!(listed[0].stage > Stage::Live, "judged again");
}

/// WCAG 2.2, 1.4.3 and 1.4.11: text 4.5 to 1, what surrounds a control 3 to 1, in light and in dark.
#[test]
fn every_colour_can_be_read_on_its_ground() {
    let style = include_str!("style.css");
    let (light, dark) = style
        .split_once("@media (prefers-color-scheme: dark)")
        .unwrap();
    for scheme in [light, dark] {
        let colour = |name: &str| {
            let (_, rest) = scheme.split_once(&format!("--{name}: #")).unwrap();
            let hex = rest.split([';', ' ']).next().unwrap();
            let wide: String = if hex.len() == 3 {
                hex.chars().flat_map(|c| [c, c]).collect()
            } else {
                hex.to_owned()
            };
            let part = |at: usize| u8::from_str_radix(&wide[at..at + 2], 16).unwrap();
            luminance([part(0), part(2), part(4)])
        };
        for (on, under, least) in [
            ("ink", "ground", 4.5),
            ("ink", "card", 4.5),
            ("ink", "note", 4.5),
            ("ink", "stop-ground", 4.5),
            ("soft", "ground", 4.5),
            ("soft", "card", 4.5),
            ("stop", "stop-ground", 4.5),
            ("stop", "card", 4.5),
            ("on-main", "main", 4.5),
            ("line", "ground", 3.0),
            ("line", "card", 3.0),
            ("main", "card", 3.0),
            ("focus", "ground", 3.0),
        ] {
            let (a, b) = (colour(on), colour(under));
            let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            assert!(contrast >= least, "{on} on {under}: {contrast}");
        }
    }
}

fn luminance(rgb: [u8; 3]) -> f64 {
    let linear = rgb.map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 {
            part / 12.92
        } else {
            ((part + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

#[tokio::test]
async fn the_end_says_how_many_are_left_and_what_becomes_of_them() {
    let (nursery, browser) = with_session().await;
    let done = nursery.get("/end", &browser).await;
    assert!(done.body.contains("0 left to sort"), "{done:?}");
    nursery.take(1).await;
    let left = nursery.get("/end", &browser).await;
    assert!(left.body.contains("1 left to sort"), "{left:?}");
    assert!(
        left.body
            .contains("Unless somebody sorts them, the first goes on"),
        "{left:?}"
    );
    let ended = nursery.post("/end", "", &browser).await;
    assert!(ended.body.contains("The session has ended"), "{ended:?}");
    assert!(ended.body.contains("1 left to sort"), "{ended:?}");
    for path in ["/here", "/sort", "/end"] {
        assert_eq!(nursery.get(path, &browser).await.status, 409, "{path}");
    }
}

/// As the reconciler does when the server's word arrives.
fn mark(nursery: &Nursery, since: Option<&str>) {
    let command = Command {
        id: CommandId::from_uuid(uuid::Uuid::now_v7()),
        device: nursery.device(),
        kind: if since.is_some() {
            CommandKind::Lost
        } else {
            CommandKind::Found
        },
        issued_at: "2026-03-02T10:00:00Z".parse().unwrap(),
        expires_at: "2026-03-03T10:00:00Z".parse().unwrap(),
    };
    let word = LossWord {
        command,
        lost_since: since.map(|at| at.parse().unwrap()),
        told: true,
        withheld_before: None,
    };
    let marked = nursery.ledger.transaction(|tx| tx.set_loss(word));
    marked.unwrap();
}

#[tokio::test]
async fn a_lost_tablet_says_where_it_belongs_and_shows_neither_names_nor_photos() {
    let (mut nursery, browser) = with_session().await;
    nursery.take(1).await;
    nursery.bundle.setting_name = Some("Little Acorns".to_owned());
    nursery.store();
    mark(&nursery, Some("2026-03-02T10:00:00Z"));
    for route in router::routes() {
        if route.requires == Requires::Token || route.path.contains('.') {
            continue;
        }
        let method = route.method.as_str();
        let came = match method {
            "GET" => nursery.get(route.path, &browser).await,
            _ => nursery.post(route.path, "", &browser).await,
        };
        let what = format!("{method} {}: {came:?}", route.path);
        assert!(!came.body.contains("Ava"), "{what}");
        let says = came.body.contains("This tablet is marked as lost");
        let leads_there = came.header("location") == Some("/");
        assert!(says || leads_there || route.path == "/read", "{what}");
    }
    let home = nursery.get("/", &browser).await.body;
    assert!(home.contains("Please hand it to Little Acorns."), "{home}");
    mark(&nursery, None);
    let home = nursery.get("/", &browser).await.body;
    assert!(!home.contains("marked as lost"), "{home}");
}

#[tokio::test]
async fn a_message_stands_on_the_page_until_somebody_taps_that_they_read_it() {
    let nursery = Nursery::open().await;
    let browser = nursery.browser().await;
    let id = CommandId::from_uuid(uuid::Uuid::now_v7());
    let waiting = serde_json::json!([{
        "command": id,
        "text": "Bring <b>me</b> back.",
        "sent_at": "2026-03-02T09:00:00Z",
        "shown_at": null,
    }]);
    let kept = nursery
        .ledger
        .transaction(|tx| tx.set_meta("messages", &waiting.to_string()));
    kept.unwrap();
    for _ in 0..2 {
        let home = nursery.get("/", &browser).await.body;
        assert!(home.contains("Bring &lt;b&gt;me&lt;/b&gt; back."), "{home}");
    }
    let read = nursery
        .post("/read", &format!("message={id}"), &browser)
        .await;
    assert_eq!(read.status, 200);
    assert!(!read.body.contains("Bring"), "{read:?}");
    let unknown = nursery.post("/read", "message=nothing", &browser).await;
    assert_eq!(unknown.status, 400);
    let told = nursery.ledger.events_after(0, 100, usize::MAX).unwrap();
    let outcomes: Vec<_> = told
        .iter()
        .filter_map(|event| event.body.as_deref())
        .filter(|body| body.contains("command_outcome"))
        .collect();
    assert_eq!(outcomes.len(), 2, "{outcomes:?}");
    assert!(outcomes[0].contains("shown on") && outcomes[1].contains("done: "));
}
