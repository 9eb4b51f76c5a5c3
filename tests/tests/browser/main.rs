//! The tablet's page in a real browser, on a tablet with a real agent, signer and server.

#![expect(
    clippy::unwrap_used,
    reason = "a step that fails is a test that fails, and says where"
)]

mod concern;
mod console;
mod custody;
mod enrol;
mod passkeys;
mod review;
mod rollout;
mod without_scripts;

use serde_json::Value;
use std::path::PathBuf;
use system_tests::browser::{self, Browser};
use system_tests::fleet::{Fleet, ZONE, first_moment};
use system_tests::patience::until_equal;
use system_tests::process::{Programs, skip};
use system_tests::profile;
use system_tests::register::Register;

const ROOM: &str = "Hedgehogs";
const PHOTOS: usize = 20;
/// Of the children, who said No.
const REFUSING: &str = "R-05";
const CHILDREN: [&str; 4] = ["A-01", "B-02", "C-03", "D-04"];

/// One tablet, on which nothing was taken yet.
fn setting() -> Fleet {
    let monday = first_moment().unwrap().in_tz(ZONE).unwrap().date();
    let mut register = Register::new(monday.yesterday().unwrap());
    for reference in CHILDREN {
        register = register.child(reference, ROOM);
    }
    let register = register.child_refusing(REFUSING, ROOM);
    let programs = Programs::at(env!("CARGO_BIN_EXE_harness"));
    let mut fleet = Fleet::open(&programs, &profile::photos_only(), &register).unwrap();
    fleet.enrol("tablet-1", profile::NAME, &[ROOM]).unwrap();
    fleet
}

fn picture(browser: &Browser, name: &str) {
    let name = format!("{name}.png");
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/pictures");
    // Somebody else's checkout: then where anybody may write.
    if browser.picture(&dir.join(&name)).is_err() {
        browser.picture(&std::env::temp_dir().join(name)).unwrap();
    }
}

/// Nothing to scroll sideways, nothing too small for a finger, nothing from elsewhere.
fn check_screen(browser: &Browser) {
    let wrong = browser
        .run(
            "const wrong = [];
             if (document.documentElement.scrollWidth > innerWidth) wrong.push('wider than the screen');
             for (const target of document.querySelectorAll('button, .button, .chip, summary, .veil')) {
               const { width, height } = target.getBoundingClientRect();
               if (width && (width < 48 || height < 48)) wrong.push(`${target.innerText}: ${width} by ${height}`);
             }
             for (const field of document.querySelectorAll('main input:not([type=hidden])'))
               if (!field.labels.length) wrong.push(`no label: ${field.name}`);
             for (const entry of performance.getEntriesByType('resource'))
               if (new URL(entry.name).origin !== location.origin) wrong.push(entry.name);
             if (document.documentElement.lang !== 'en-GB' || document.querySelectorAll('h1').length !== 1)
               wrong.push('no language or not one heading');
             return wrong",
        )
        .unwrap();
    assert_eq!(wrong, Value::Array(Vec::new()));
    check_by_axe(browser);
}

/// What a judge that is not ours finds against WCAG.
fn check_by_axe(browser: &Browser) {
    let faults = browser.faults().unwrap().unwrap_or_default();
    assert_eq!(faults, [""; 0], "{}", browser.text().unwrap());
}

#[test]
fn pages_are_judged_by_axe() {
    let test = "pages_are_judged_by_axe";
    if is_skipped(test) {
        return;
    }
    if let Some(reason) = browser::missing_judge() {
        skip(test, &reason);
        return;
    }
    let browser = Browser::open(390, 844).unwrap();
    browser
        .go("data:text/html,<title>A</title><h1>A</h1><input><img src='data:,'>")
        .unwrap();
    let faults = browser.faults().unwrap().unwrap();
    for rule in ["label: ", "image-alt: ", "html-has-lang: "] {
        let found = faults.iter().any(|fault| fault.starts_with(rule));
        assert!(found, "{rule} {faults:?}");
    }
}

fn blur(browser: &Browser) -> String {
    let script = "return getComputedStyle(document.querySelector('.photo img')).filter";
    browser.run(script).unwrap().as_str().unwrap().to_owned()
}

fn chip(fleet: &Fleet, reference: &str) -> String {
    let child = fleet.server.child_id(reference).unwrap();
    format!(".chip input[value='{child}']")
}

/// A session from its start to its end, with twenty photos.
fn walk(fleet: &Fleet, width: u32, height: u32) {
    let tablet = &fleet.tablets[0];
    let mut browser = Browser::open(width, height).unwrap();
    let link = tablet.tell(["page"]).unwrap();
    browser.go(link["link"].as_str().unwrap()).unwrap();
    browser.until_says("Start the session").unwrap();
    check_screen(&browser);
    picture(&browser, &format!("start-{width}"));

    browser.click("form[action='/start'] button").unwrap();
    browser.until_says("Who is here").unwrap();
    for reference in CHILDREN.iter().take(3) {
        browser.click(&chip(fleet, reference)).unwrap();
    }
    check_screen(&browser);
    picture(&browser, &format!("here-{width}"));
    browser.click(".bar button").unwrap();
    let home = browser.until_says("3 ticked").unwrap();
    assert!(home.contains("Do not photograph"), "{home}");
    check_screen(&browser);
    picture(&browser, &format!("home-{width}"));

    for seed in 0..PHOTOS {
        let seed = u64::from(width) * 100 + seed as u64;
        tablet.take(&format!("{seed}.jpg"), seed).unwrap();
    }
    tablet.tell(["photos", "rescan"]).unwrap();
    // Opening the page again is what a browser that slept does.
    browser.go(link["link"].as_str().unwrap()).unwrap();
    browser.until_says("20 left to sort").unwrap();
    browser.click(".tiles a[href='/sort']").unwrap();
    browser.until_says("Who is in it?").unwrap();
    check_screen(&browser);
    picture(&browser, &format!("sort-blurred-{width}"));

    let mut most = 0;
    for taken in 0..PHOTOS {
        let left = format!("{} left to sort", PHOTOS - taken);
        browser.until_says(&left).unwrap();
        let before = browser.clicks;
        assert!(
            blur(&browser).starts_with("blur"),
            "shown before anybody asked"
        );
        browser.click(".veil").unwrap();
        // It takes the blink of an eye.
        let clear = "none".to_owned();
        until_equal("a clear photo", &clear, || Ok(blur(&browser))).unwrap();
        match taken % 5 {
            // Another child than before.
            0 => {
                let reference = CHILDREN[taken / 5 % 3];
                browser.click(&chip(fleet, reference)).unwrap();
                if taken == 5 {
                    check_screen(&browser);
                    picture(&browser, &format!("sort-named-{width}"));
                }
                browser.click(".bar button[value='everyone']").unwrap();
            }
            4 => browser.click(".bar button[value='nobody']").unwrap(),
            _ => browser.click("button[form='same']").unwrap(),
        }
        most = most.max(browser.clicks - before);
    }
    assert!(most <= 3, "{most} presses for one photo");
    browser.until_says("0 left to sort").unwrap();
    assert!(browser.text().unwrap().contains("Sorted."));
    picture(&browser, &format!("sorted-{width}"));

    browser.click("a[href='/end']").unwrap();
    browser.until_says("End the session now").unwrap();
    check_screen(&browser);
    browser.click("form[action='/end'] button").unwrap();
    browser.until_says("The session has ended").unwrap();
    browser.click("a[href='/photos']").unwrap();
    browser.until_says("No child in it").unwrap();
    check_screen(&browser);
    picture(&browser, &format!("photos-{width}"));
}

fn sorted(fleet: &Fleet) -> usize {
    let photos = fleet.tablets[0].photos().unwrap();
    let done = |photo: &&Value| photo["tagging"] == "complete" || photo["tagging"] == "no_child";
    photos.iter().filter(done).count()
}

/// Whether there is no browser here, said as a skipped check.
fn is_skipped(test: &str) -> bool {
    let missing = browser::missing();
    if let Some(reason) = &missing {
        skip(test, reason);
    }
    missing.is_some()
}

#[test]
fn a_practitioner_sorts_a_session_with_one_hand_on_a_small_and_a_large_tablet() {
    let test = "a_practitioner_sorts_a_session_with_one_hand_on_a_small_and_a_large_tablet";
    if is_skipped(test) {
        return;
    }
    let fleet = setting();
    walk(&fleet, 390, 844);
    assert_eq!(sorted(&fleet), PHOTOS);
    walk(&fleet, 820, 1180);
    assert_eq!(sorted(&fleet), 2 * PHOTOS);
    fleet.check_logs().unwrap();
}
