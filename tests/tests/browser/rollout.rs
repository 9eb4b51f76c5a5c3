//! A manager lets one tablet have a new version of its profile, sees that it holds, and makes it live.

use super::console::{manager, seen};
use super::{is_skipped, setting};
use system_tests::browser::Browser;
use system_tests::patience::until;
use system_tests::profile;

const MANAGER: &str = "Kim Manager";

#[test]
fn a_manager_lets_one_tablet_have_a_new_profile_and_makes_it_live_once_it_holds() {
    if is_skipped("a_manager_lets_one_tablet_have_a_new_profile_and_makes_it_live_once_it_holds") {
        return;
    }
    let fleet = setting();
    let mut browser = Browser::open(820, 1180).unwrap();
    manager(&fleet, &mut browser, MANAGER);

    let host = fleet.server.console_address();
    let page = format!("https://{host}/profiles/{}", profile::NAME);
    browser.go(&page).unwrap();
    seen(&browser, "profile-820");
    browser
        .run(
            "const text = document.querySelector('textarea[name=source]');
             text.value = text.value.replace('own_learning_journal = 28', 'own_learning_journal = 21');
             return true",
        )
        .unwrap();
    browser
        .click("form[action$='/preview'] button.main")
        .unwrap();
    browser
        .until_says("Or let one tablet have it first")
        .unwrap();
    seen(&browser, "rollout-preview-820");
    browser.click("form[action$='/try'] button").unwrap();
    browser
        .until_says("A new version that some tablets have")
        .unwrap();
    until("the tablet holds the new version", || {
        browser.go(&page)?;
        let says = browser.text()?;
        Ok(says
            .contains("Every tablet that has it holds it.")
            .then_some(()))
    })
    .unwrap();
    seen(&browser, "rollout-holds-820");
    assert_eq!(live(&fleet), 1, "nothing is live before somebody says so");
    browser
        .click("form[action$='/try/live'] button.main")
        .unwrap();
    browser.until_says("Version 2,").unwrap();
    assert_eq!(live(&fleet), 2);

    browser.go(&format!("https://{host}/tablets")).unwrap();
    browser.click("main a[href^='/tablets/']").unwrap();
    browser.click("a[href$='/held-to']").unwrap();
    let held = browser.until_says("purposes.own_learning_journal").unwrap();
    assert!(held.contains("21"), "{held}");
    seen(&browser, "held-to-820");
    browser.click("main a[href^='/tablets/']").unwrap();
    browser.click("a[href$='/timeline']").unwrap();
    let told = browser.until_says("Took over bundle").unwrap();
    assert!(told.contains("Enrolled"), "{told}");
    seen(&browser, "timeline-820");
    fleet.check_logs().unwrap();
}

fn live(fleet: &system_tests::fleet::Fleet) -> u64 {
    let shown = fleet.server.tell(["profile", "show", profile::NAME]);
    shown.unwrap()["version"].as_u64().unwrap()
}
