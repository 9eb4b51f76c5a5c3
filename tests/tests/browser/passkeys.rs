//! Signing in with a passkey in a real browser, whose authenticator is a virtual one (WebDriver extension of WebAuthn Level 3).

use super::console::{PASSWORD, code, seen};
use super::is_skipped;
use jiff::SignedDuration;
use system_tests::browser::Browser;
use system_tests::fleet::{DSL, Fleet, ZONE, first_moment};
use system_tests::process::Programs;
use system_tests::profile;
use system_tests::register::Register;

fn sign_in(browser: &mut Browser, home: &str, name: &str, code: Option<&str>) {
    browser
        .go(&format!("{home}/sign-in?next=%2Faccount"))
        .unwrap();
    browser.until_says("Sign in with a key").unwrap();
    let width = browser.run("return innerWidth").unwrap();
    seen(browser, &format!("sign-in-key-{width}"));
    browser.fill("input[name=name]", name).unwrap();
    browser.fill("input[name=password]", PASSWORD).unwrap();
    match code {
        Some(code) => {
            browser.fill("input[name=code]", code).unwrap();
            browser.click("form button.main").unwrap();
        }
        None => browser.click("button[data-passkey]").unwrap(),
    }
    browser.until_says("Your account").unwrap();
}

fn sign_out(browser: &mut Browser) {
    browser.click("form[action='/sign-out'] button").unwrap();
    browser.until_says("Sign in with a key").unwrap();
}

#[test]
fn a_passkey_is_added_signs_in_and_is_removed() {
    if is_skipped("a_passkey_is_added_signs_in_and_is_removed") {
        return;
    }
    let monday = first_moment().unwrap().in_tz(ZONE).unwrap().date();
    let register = Register::new(monday.yesterday().unwrap()).child("A-01", "Hedgehogs");
    let programs = Programs::at(env!("CARGO_BIN_EXE_harness"));
    let mut fleet = Fleet::open(&programs, &profile::photos_only(), &register).unwrap();
    let home = fleet.server.call_console("localhost").unwrap();
    fleet.server.stop().unwrap();
    fleet.server.start().unwrap();

    let mut browser = Browser::open(390, 844).unwrap();
    browser.plug_in_authenticator().unwrap();
    let link = fleet.server.set_up_link().split_once("/set-up").unwrap().1;
    browser.go(&format!("{home}/set-up{link}")).unwrap();
    browser.until_says("Use a key instead").unwrap();
    seen(&browser, "set-up-key-390");
    let script = "return document.querySelector('input[name=totp]').value";
    let secret = browser.run(script).unwrap().as_str().unwrap().to_owned();
    browser.fill("input[name=password]", PASSWORD).unwrap();
    browser.fill("input[name=repeated]", PASSWORD).unwrap();
    browser
        .fill("input[name=code]", &code(&fleet, &secret))
        .unwrap();
    browser
        .fill("input[name=second_name]", "Kim Deputy")
        .unwrap();
    browser.click("form button.main").unwrap();
    browser.until_says("Recovery codes of").unwrap();

    fleet.clock().advance(SignedDuration::from_mins(2)).unwrap();
    sign_in(&mut browser, &home, DSL, Some(&code(&fleet, &secret)));
    browser.fill("input[name=key_name]", "Blue key").unwrap();
    browser.click("button[data-passkey]").unwrap();
    browser.until_says("Remove Blue key").unwrap();
    seen(&browser, "account-key-390");
    sign_out(&mut browser);

    sign_in(&mut browser, &home, DSL, None);
    let used = "SELECT count(*) FROM passkeys WHERE last_used_at IS NOT NULL";
    assert_eq!(fleet.server.database().number(used).unwrap(), 1);
    browser.click("form[action$='/remove'] button").unwrap();
    browser.until_says("Your authenticator, or one").unwrap();
    let left = "SELECT count(*) FROM passkeys";
    assert_eq!(fleet.server.database().number(left).unwrap(), 0);

    // A second person makes theirs with a key alone.
    let told = fleet
        .server
        .tell(["operator", "invite", "Kim Deputy"])
        .unwrap();
    let mut large = Browser::open(1440, 900).unwrap();
    large.plug_in_authenticator().unwrap();
    large.go(told["link"].as_str().unwrap()).unwrap();
    large.until_says("Use a key instead").unwrap();
    seen(&large, "set-up-key-1440");
    large.fill("input[name=password]", PASSWORD).unwrap();
    large.fill("input[name=repeated]", PASSWORD).unwrap();
    large.fill("input[name=key_name]", "Kim's").unwrap();
    large.click("button[data-passkey]").unwrap();
    large.until_says("Your key is ready").unwrap();
    large.click("form button.main").unwrap();
    large.until_says("Recovery codes of").unwrap();
    sign_in(&mut large, &home, "Kim Deputy", None);
    large.until_says("One of your keys below").unwrap();
    seen(&large, "account-key-1440");
    fleet.check_logs().unwrap();
}
