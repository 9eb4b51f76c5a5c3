//! A family's request on the tablet's page: the sheet's fingerprint, one photo after the other, one button.

use crate::{CHILDREN, check_screen, is_skipped, picture, setting};
use serde_json::Value;
use system_tests::browser::Browser;
use system_tests::fleet::{DSL, Fleet};
use system_tests::patience::{until, until_equal};

const SECOND: &str = "Kim Manager";

fn request(fleet: &Fleet, who: &str, arguments: &[&str]) -> Value {
    let begin = ["--as", who, "subject-access"];
    fleet.server.tell(begin.iter().chain(arguments)).unwrap()
}

/// Asked for and agreed to; what the sheet says.
fn agreed(fleet: &Fleet) -> String {
    let operator = ["operator", "add", "--name", SECOND, "--role", "manager"];
    fleet.server.tell(operator).unwrap();
    let desk = tempfile::tempdir().unwrap();
    let identity = desk.path().join("identity.txt");
    let sheet = request(fleet, DSL, &["key", "--out", identity.to_str().unwrap()]);
    let recipient = sheet["recipient"].as_str().unwrap();
    let asked = request(fleet, DSL, &["ask", CHILDREN[0], "--recipient", recipient]);
    request(
        fleet,
        SECOND,
        &["agree", asked["request"]["id"].as_str().unwrap()],
    );
    sheet["fingerprint"].as_str().unwrap().to_owned()
}

/// What is shown of a photo is there to be seen.
fn until_seen(browser: &Browser) {
    let script = "const photo = document.querySelector('.photo img');
                  return photo !== null && photo.complete && photo.naturalWidth > 0";
    until_equal("the photo", &Value::Bool(true), || browser.run(script)).unwrap();
}

#[test]
fn a_familys_request_is_looked_through_photo_by_photo_and_sent_with_one_button() {
    let test = "a_familys_request_is_looked_through_photo_by_photo_and_sent_with_one_button";
    if is_skipped(test) {
        return;
    }
    let mut fleet = setting();
    for (seed, children) in [(1, &CHILDREN[..1]), (2, &CHILDREN[..2])] {
        let tablet = &fleet.tablets[0];
        let path = tablet.take(&format!("{seed}.jpg"), seed).unwrap();
        let photo = tablet.photo_id(&path).unwrap();
        let ids = children.iter().map(|c| fleet.server.child_id(c).unwrap());
        tablet.tag(&photo, &ids.collect::<Vec<_>>()).unwrap();
    }
    // Nobody is asked for photos that the server has not heard of.
    fleet.tablets[0].wait_until_reported().unwrap();
    let tablet = &fleet.tablets[0];
    let fingerprint = agreed(&fleet);

    let mut browser = Browser::open(390, 844).unwrap();
    let link = tablet.tell(["page"]).unwrap();
    until("the request on the page", || {
        browser.go(link["link"].as_str().unwrap())?;
        let home = browser.text()?;
        Ok(home
            .contains("1 request for photos to look through")
            .then_some(()))
    })
    .unwrap();
    browser.click("a[href='/review']").unwrap();
    let who = format!("{DSL} asked for the photos, and {SECOND} agreed.");
    browser.until_says(&who).unwrap();
    check_screen(&browser);
    browser.click("a[href^='/review?request=']").unwrap();
    let closed = browser.until_says("Four groups of four").unwrap();
    assert!(!closed.contains(&fingerprint), "{closed}");
    check_screen(&browser);
    picture(&browser, "review-closed");

    browser
        .write("#fingerprint", "qqqq qqqq qqqq qqqq")
        .unwrap();
    browser
        .click("form[action='/review/begin'] button")
        .unwrap();
    browser
        .until_says("nothing is shown and nothing is sent")
        .unwrap();
    check_screen(&browser);
    browser.write("#fingerprint", &fingerprint).unwrap();
    browser
        .click("form[action='/review/begin'] button")
        .unwrap();

    for left in [2, 1] {
        let shown = browser
            .until_says(&format!("{left} left to look at"))
            .unwrap();
        until_seen(&browser);
        check_screen(&browser);
        picture(&browser, &format!("review-{left}"));
        let say = if shown.contains("1 other child is in it.") {
            "others"
        } else {
            "include"
        };
        browser.click(&format!("button[value='{say}']")).unwrap();
    }
    browser.until_says("Nothing has been sent so far.").unwrap();
    check_screen(&browser);
    picture(&browser, "review-sum");
    let received = "SELECT count(*) FROM access_photos WHERE received_at IS NOT NULL";
    assert_eq!(fleet.server.database().number(received).unwrap(), 0);
    let finish = "form[action='/review/finish'] button";
    let says = format!("return document.querySelector(\"{finish}\").innerText");
    assert_eq!(browser.run(&says).unwrap(), "Finish, and send 1 photo");
    browser.click(finish).unwrap();
    browser.until_says("of 1 sent").unwrap();
    check_screen(&browser);
    until_equal("the photo at the server", &1, || {
        fleet.server.database().number(received)
    })
    .unwrap();
    fleet.check_logs().unwrap();
}
