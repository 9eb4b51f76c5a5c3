//! A manager lets a tablet in, and the page says so by itself once the tablet is as its profile wants it.

use super::console::{manager, seen};
use super::{is_skipped, setting};
use system_tests::browser::Browser;
use system_tests::profile;

const MANAGER: &str = "Kim Manager";
const TABLET: &str = "Ladybird-2";

#[test]
fn a_manager_enrols_a_tablet_and_watches_until_it_is_ready() {
    if is_skipped("a_manager_enrols_a_tablet_and_watches_until_it_is_ready") {
        return;
    }
    let mut fleet = setting();
    let mut browser = Browser::open(820, 1180).unwrap();
    manager(&fleet, &mut browser, MANAGER);

    let host = fleet.server.console_address();
    browser.go(&format!("https://{host}/enrol")).unwrap();
    seen(&browser, "enrol-820");
    browser.fill("input[name=name]", TABLET).unwrap();
    let choose = format!(
        "document.querySelector('select[name=profile]').value = '{}'; return true",
        profile::NAME
    );
    browser.run(&choose).unwrap();
    browser.click("main form button.main").unwrap();
    let sheet = browser
        .until_says(&format!("Waiting for {TABLET}"))
        .unwrap();
    seen(&browser, "enrol-sheet-820");
    let link = sheet
        .split('\'')
        .find(|part| part.starts_with("nestwarden://"));
    let link = link.unwrap().to_owned();

    let mut tablet = fleet.new_tablet(TABLET).unwrap();
    tablet.enrol(&link).unwrap();
    // Nobody presses anything from here on.
    browser
        .until_says(&format!("{TABLET} has arrived"))
        .unwrap();
    tablet.start().unwrap();
    tablet.wait_for_bundle().unwrap();
    fleet.tablets.push(tablet);
    browser.until_says("Ready").unwrap();
    seen(&browser, "enrol-ready-820");

    browser.click("main a[href^='/tablets/']").unwrap();
    let page = browser.until_says("Photos").unwrap();
    assert!(page.contains(TABLET), "{page}");
    // The code was good once.
    let second = fleet.new_tablet("Ladybird-3").unwrap();
    let refused = second.enrol(&link).unwrap_err();
    assert!(format!("{refused:#}").contains("used"), "{refused:#}");
    fleet.check_logs().unwrap();
}
