//! The people's console in a real browser: an account is made, a consent is withdrawn in two presses, and its receipt is
//! looked at and verified.

use super::picture;
use jiff::SignedDuration;
use nestwarden_server::domain::account::totp::code_now;
use serde_json::Value;
use system_tests::browser::{self, Browser};
use system_tests::fleet::{DSL, Fleet, ZONE, first_moment};
use system_tests::patience::until;
use system_tests::process::{Programs, skip};
use system_tests::profile;
use system_tests::register::Register;

const ROOM: &str = "Hedgehogs";
const BEN: &str = "B-02";
pub(super) const PASSWORD: &str = "kettle-moss-harbour";
const MENU: [&str; 15] = [
    "/",
    "/tablets",
    "/consents",
    "/tasks",
    "/holds",
    "/receipts",
    "/account",
    "/registers",
    "/incidents",
    "/concerns",
    "/staff",
    "/aup",
    "/custody",
    "/apps",
    "/videos",
];

/// A tablet with a photo of each of two children.
fn setting() -> Fleet {
    let monday = first_moment().unwrap().in_tz(ZONE).unwrap().date();
    let register = Register::new(monday.yesterday().unwrap())
        .child("A-01", ROOM)
        .child(BEN, ROOM);
    let programs = Programs::at(env!("CARGO_BIN_EXE_harness"));
    let mut fleet = Fleet::open(&programs, &profile::photos_only(), &register).unwrap();
    fleet.enrol("Hedgehog-1", profile::NAME, &[ROOM]).unwrap();
    let tablet = &fleet.tablets[0];
    for (seed, reference) in [(1, "A-01"), (2, BEN)] {
        let path = tablet.take(&format!("{seed}.jpg"), seed).unwrap();
        let photo = tablet.photo_id(&path).unwrap();
        let child = fleet.server.child_id(reference).unwrap();
        tablet.tag(&photo, &[child]).unwrap();
    }
    until("both photos known to the server", || {
        let known = "SELECT count(*) FROM photos WHERE facts LIKE '%complete%'";
        Ok((fleet.server.database().number(known)? == 2).then_some(()))
    })
    .unwrap();
    fleet
}

/// What a person needs of every page, whoever they are.
fn check_page(browser: &Browser) {
    let wrong = browser
        .run(
            "const wrong = [];
             if (document.documentElement.scrollWidth > innerWidth) wrong.push(`wider than the screen: ${document.documentElement.scrollWidth}`);
             for (const target of document.querySelectorAll('button, .button, input:not([type=hidden]), select, summary, nav a')) {
               const { width, height } = (target.closest('.choice') ?? target).getBoundingClientRect();
               if (width && (width < 24 || height < 44)) wrong.push(`${target.innerText || target.name}: ${width} by ${height}`);
             }
             for (const field of document.querySelectorAll('input:not([type=hidden]), select'))
               if (!field.labels.length && !field.ariaLabel) wrong.push(`no label: ${field.name}`);
             for (const image of document.querySelectorAll('svg'))
               if (!image.closest('[role=img][aria-label]')) wrong.push('an image that says nothing');
             for (const entry of performance.getEntriesByType('resource'))
               if (new URL(entry.name).origin !== location.origin) wrong.push(entry.name);
             if (document.documentElement.lang !== 'en-GB' || document.querySelectorAll('h1').length !== 1)
               wrong.push('no language or not one heading');
             const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
             const light = (c) => { const [r, g, b] = c.map((v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
             const ground = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
             for (const e of document.querySelectorAll('main *, header *')) {
               if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.offsetParent || e.closest('svg')) continue;
               const [a, b] = [light(rgb(getComputedStyle(e).color).slice(0, 3)), light(ground(e).slice(0, 3))];
               const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
               if (contrast < 4.5) wrong.push(`${e.textContent.trim().slice(0, 30)}: contrast ${contrast.toFixed(1)}`);
             }
             return wrong",
        )
        .unwrap();
    assert_eq!(
        wrong,
        Value::Array(Vec::new()),
        "{}",
        browser.text().unwrap()
    );
    super::check_by_axe(browser);
}

pub(super) fn seen(browser: &Browser, name: &str) {
    check_page(browser);
    picture(browser, &format!("console-{name}"));
}

pub(super) fn code(fleet: &Fleet, secret: &str) -> String {
    code_now(secret, fleet.clock().now().unwrap()).unwrap()
}

/// The first account, with the link that `init` gave; the authenticator's secret.
fn set_up(fleet: &Fleet, browser: &mut Browser) -> String {
    browser.go(fleet.server.set_up_link()).unwrap();
    browser.until_says("A second person").unwrap();
    seen(browser, "set-up-390");
    let secret = make_account(fleet, browser, Some("Kim Deputy"));
    seen(browser, "codes-390");
    secret
}

/// On the page that a link led to; the authenticator's secret. `second`: whom the first of all names.
pub(super) fn make_account(fleet: &Fleet, browser: &mut Browser, second: Option<&str>) -> String {
    let script = "return document.querySelector('input[name=totp]').value";
    let secret = browser.run(script).unwrap().as_str().unwrap().to_owned();
    browser.fill("input[name=password]", PASSWORD).unwrap();
    browser.fill("input[name=repeated]", PASSWORD).unwrap();
    let code = code(fleet, &secret);
    browser.fill("input[name=code]", &code).unwrap();
    if let Some(second) = second {
        browser.fill("input[name=second_name]", second).unwrap();
    }
    browser.click("form button.main").unwrap();
    browser.until_says("Recovery codes of").unwrap();
    secret
}

fn sign_in(fleet: &Fleet, browser: &mut Browser, secret: &str) {
    sign_in_as(fleet, browser, (DSL, secret));
}

/// The setting is set up, and a manager of this name signs in.
pub(super) fn manager(fleet: &Fleet, browser: &mut Browser, name: &str) {
    browser.go(fleet.server.set_up_link()).unwrap();
    make_account(fleet, browser, Some("Ivy Deputy"));
    let server = &fleet.server;
    server
        .tell(["operator", "add", "--name", name, "--role", "manager"])
        .unwrap();
    let link = server.tell(["operator", "invite", name]).unwrap();
    browser.go(link["link"].as_str().unwrap()).unwrap();
    let secret = make_account(fleet, browser, None);
    sign_in_as(fleet, browser, (name, &secret));
}

pub(super) fn sign_in_as(fleet: &Fleet, browser: &mut Browser, (name, secret): (&str, &str)) {
    // A code is good once.
    fleet.clock().advance(SignedDuration::from_mins(2)).unwrap();
    let home = format!("https://{}/", fleet.server.console_address());
    browser.go(&home).unwrap();
    browser.until_says("Sign in").unwrap();
    check_page(browser);
    browser.fill("input[name=name]", name).unwrap();
    browser.fill("input[name=password]", PASSWORD).unwrap();
    browser
        .fill("input[name=code]", &code(fleet, secret))
        .unwrap();
    browser.click("form button.main").unwrap();
    browser.until_says("Status").unwrap();
}

/// Lets opening days pass until the photo is destroyed, and the server knows.
fn destroy(fleet: &mut Fleet) {
    let mut date = first_moment().unwrap().in_tz(ZONE).unwrap().date();
    for _ in 0..7 {
        date = date.tomorrow().unwrap();
        let at = date.at(9, 0, 0, 0).in_tz(ZONE).unwrap().timestamp();
        fleet.clock().advance_to(at).unwrap();
        let since = (at - SignedDuration::from_mins(30)).as_microsecond();
        until("the tablet at the server", || {
            fleet.tablets[0].check()?;
            let seen = "SELECT coalesce(last_seen_at, 0) FROM devices";
            Ok((fleet.server.database().number(seen)? >= since).then_some(()))
        })
        .unwrap();
    }
    until("the receipt at the server", || {
        fleet.tablets[0].check()?;
        let receipts = "SELECT count(*) FROM photos WHERE receipt IS NOT NULL";
        Ok((fleet.server.database().number(receipts)? == 1).then_some(()))
    })
    .unwrap();
}

fn look_around(fleet: &Fleet, browser: &Browser, width: u32) {
    let origin = format!("https://{}", fleet.server.console_address());
    for path in MENU {
        browser.go(&format!("{origin}{path}")).unwrap();
        let name = if path == "/" { "overview" } else { &path[1..] };
        seen(browser, &format!("{name}-{width}"));
    }
    let tablet = "SELECT device_id FROM devices";
    let tablet = fleet
        .server
        .database()
        .texts(tablet)
        .unwrap()
        .pop()
        .unwrap();
    browser.go(&format!("{origin}/tablets/{tablet}")).unwrap();
    seen(browser, &format!("tablet-{width}"));
}

#[test]
fn a_manager_makes_an_account_withdraws_a_consent_in_two_presses_and_verifies_its_receipt() {
    if let Some(reason) = browser::missing() {
        skip(
            "a_manager_makes_an_account_withdraws_a_consent_in_two_presses_and_verifies_its_receipt",
            &reason,
        );
        return;
    }
    let mut fleet = setting();
    let mut small = Browser::open(390, 844).unwrap();
    let secret = set_up(&fleet, &mut small);
    sign_in(&fleet, &mut small, &secret);
    look_around(&fleet, &small, 390);

    let (host, ben) = (
        fleet.server.console_address(),
        fleet.server.child_id(BEN).unwrap(),
    );
    small.go(&format!("https://{host}/children/{ben}")).unwrap();
    seen(&small, "child-390");
    let before = small.clicks;
    small.click("a.button.stop").unwrap();
    let asked = small.until_says("What goes").unwrap();
    assert!(
        asked.contains("1\nphoto goes out of use at once, on Hedgehog-1."),
        "{asked}"
    );
    seen(&small, "withdraw-390");
    small.click("main form button.main").unwrap();
    small.until_says("Withdrawn.").unwrap();
    assert_eq!(small.clicks - before, 2);
    seen(&small, "withdrawn-390");
    until("the photo sealed", || {
        let sealed = "SELECT count(*) FROM photos WHERE stage = 'sealed'";
        Ok((fleet.server.database().number(sealed)? == 1).then_some(()))
    })
    .unwrap();
    destroy(&mut fleet);

    let mut large = Browser::open(1440, 900).unwrap();
    sign_in(&fleet, &mut large, &secret);
    look_around(&fleet, &large, 1440);
    large.go(&format!("https://{host}/children/{ben}")).unwrap();
    seen(&large, "child-1440");
    large.go(&format!("https://{host}/receipts")).unwrap();
    large.click("td a").unwrap();
    large.until_says("Second look").unwrap();
    large.click("main button.main").unwrap();
    large.until_says("Verified. The record holds").unwrap();
    seen(&large, "verified-1440");
    fleet.check_logs().unwrap();
}
