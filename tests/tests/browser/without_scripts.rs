//! The page with scripts switched off: nothing that staff must do depends on them.

use crate::{CHILDREN, blur, check_screen, chip, is_skipped, setting, sorted};
use system_tests::browser::Browser;
use system_tests::patience::until_equal;

#[test]
fn a_session_is_held_and_sorted_in_a_browser_that_runs_no_scripts() {
    let test = "a_session_is_held_and_sorted_in_a_browser_that_runs_no_scripts";
    if is_skipped(test) {
        return;
    }
    let fleet = setting();
    let tablet = &fleet.tablets[0];
    let mut browser = Browser::open_without_scripts(390, 844).unwrap();
    let link = tablet.tell(["page"]).unwrap();
    let link = link["link"].as_str().unwrap();
    browser.go(link).unwrap();
    browser.until_says("Start the session").unwrap();
    browser.run("window.kept = true").unwrap();
    browser.click("form[action='/start'] button").unwrap();
    browser.until_says("Who is here").unwrap();
    // The page's script would have changed what is on the page and kept the page.
    let is_kept = browser.run("return window.kept === true").unwrap();
    assert_eq!(is_kept, false, "scripts ran");
    browser.click(&chip(&fleet, CHILDREN[0])).unwrap();
    browser.click(".bar button").unwrap();
    browser.until_says("1 ticked").unwrap();

    for seed in 0..3 {
        tablet.take(&format!("{seed}.jpg"), seed).unwrap();
    }
    tablet.tell(["photos", "rescan"]).unwrap();
    browser.go(link).unwrap();
    browser.until_says("3 left to sort").unwrap();
    browser.click(".tiles a[href='/sort']").unwrap();
    browser.until_says("Who is in it?").unwrap();
    check_screen(&browser);
    for (left, button) in [(3, "everyone"), (2, "same"), (1, "nobody")] {
        browser.until_says(&format!("{left} left to sort")).unwrap();
        assert!(blur(&browser).starts_with("blur"));
        browser.click(".veil").unwrap();
        let clear = "none".to_owned();
        until_equal("a clear photo", &clear, || Ok(blur(&browser))).unwrap();
        if button == "everyone" {
            browser.click(&chip(&fleet, CHILDREN[0])).unwrap();
        }
        let button = match button {
            "same" => "button[form='same']".to_owned(),
            other => format!(".bar button[value='{other}']"),
        };
        browser.click(&button).unwrap();
    }
    browser.until_says("0 left to sort").unwrap();
    assert_eq!(sorted(&fleet), 3);
    browser.click("a[href='/end']").unwrap();
    browser.until_says("End the session now").unwrap();
    browser.click("form[action='/end'] button").unwrap();
    browser.until_says("The session has ended").unwrap();
    fleet.check_logs().unwrap();
}
