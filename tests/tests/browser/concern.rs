//! From a concern to a closed incident with its debrief, as two people: who raises it, and who sees to it.

use super::console::{make_account, seen, sign_in_as};
use super::{is_skipped, setting};
use system_tests::browser::Browser;
use system_tests::fleet::{DSL, Fleet};

const RAISER: &str = "Sam Tech";
const BODY: &str = "A phone was held over the changing table.";

/// The form of this act, which is folded away.
fn open(browser: &mut Browser, act: &str) -> String {
    let form = format!("details:has(input[name=act][value={act}])");
    browser.click(&format!("{form} > summary")).unwrap();
    form
}

fn send(browser: &mut Browser, form: &str, fields: &[(&str, &str)]) {
    for (name, text) in fields {
        let field = format!("{form} :is(textarea, input)[name={name}]");
        browser.fill(&field, text).unwrap();
    }
    browser.click(&format!("{form} button.main")).unwrap();
}

fn accounts(fleet: &Fleet, first: &mut Browser, second: &mut Browser) -> (String, String) {
    first.go(fleet.server.set_up_link()).unwrap();
    let dsl = make_account(fleet, first, Some("Kim Deputy"));
    let server = &fleet.server;
    server
        .tell(["operator", "add", "--name", RAISER, "--role", "it_admin"])
        .unwrap();
    let link = server.tell(["operator", "invite", RAISER]).unwrap();
    second.go(link["link"].as_str().unwrap()).unwrap();
    let raiser = make_account(fleet, second, None);
    (dsl, raiser)
}

fn walk(mut lead: Browser, mut raiser: Browser, name: &str) {
    let fleet = setting();
    let (dsl, it) = accounts(&fleet, &mut lead, &mut raiser);
    sign_in_as(&fleet, &mut raiser, (RAISER, &it));
    raiser.click("nav a[href='/concerns']").unwrap();
    raiser.until_says("Raise a concern").unwrap();
    let heard = raiser.text().unwrap();
    assert!(!heard.contains("For you to read"), "{heard}");
    raiser.fill("textarea[name=body]", BODY).unwrap();
    raiser.click("main form button.main").unwrap();
    let taken = raiser.until_says("It was taken.").unwrap();
    assert!(
        taken.contains("not read yet") && !taken.contains(BODY),
        "{taken}"
    );
    seen(&raiser, &format!("concerns-{name}"));

    sign_in_as(&fleet, &mut lead, (DSL, &dsl));
    lead.click("a[href^='/concerns/']").unwrap();
    lead.until_says(BODY).unwrap();
    seen(&lead, &format!("concern-{name}"));
    let form = open(&mut lead, "acknowledge");
    send(&mut lead, &form, &[]);
    lead.until_says("Has read it.").unwrap();
    let form = open(&mut lead, "decide");
    send(
        &mut lead,
        &form,
        &[("why", "No harm was meant, and a rule was broken.")],
    );
    lead.until_says("Decided.").unwrap();
    let form = open(&mut lead, "incident");
    send(
        &mut lead,
        &form,
        &[("facts", "A personal phone in the changing area.")],
    );
    lead.until_says("Before it can be closed").unwrap();
    seen(&lead, &format!("incident-{name}"));
    // Too early, and it says why.
    let form = open(&mut lead, "close");
    send(&mut lead, &form, &[]);
    lead.until_says("It cannot be closed yet. Write down the debrief.")
        .unwrap();
    let form = open(&mut lead, "action");
    send(
        &mut lead,
        &form,
        &[("action", "The phone went into the safe.")],
    );
    lead.until_says("Something was done.").unwrap();
    let form = open(&mut lead, "debrief");
    let debrief = [
        ("happened", "The safe was full."),
        ("lesson", "It has to have room for everybody."),
        ("change", "A second safe."),
    ];
    send(&mut lead, &form, &debrief);
    lead.until_says("A second safe.").unwrap();
    let form = open(&mut lead, "close");
    send(&mut lead, &form, &[]);
    let closed = lead.until_says("Closed: no further action.").unwrap();
    assert!(!closed.contains("Before it can be closed"), "{closed}");
    seen(&lead, &format!("closed-{name}"));

    let host = fleet.server.console_address();
    raiser.go(&format!("https://{host}/concerns")).unwrap();
    let told = raiser.until_says("seen to.").unwrap();
    assert!(!told.contains(BODY), "{told}");
    fleet.check_logs().unwrap();
}

#[test]
fn a_concern_becomes_an_incident_that_is_closed_with_its_debrief() {
    if is_skipped("a_concern_becomes_an_incident_that_is_closed_with_its_debrief") {
        return;
    }
    let lead = Browser::open(820, 1180).unwrap();
    walk(lead, Browser::open(390, 844).unwrap(), "scripts");
}

#[test]
fn it_does_so_too_in_browsers_that_run_no_scripts() {
    if is_skipped("it_does_so_too_in_browsers_that_run_no_scripts") {
        return;
    }
    let lead = Browser::open_without_scripts(1440, 900).unwrap();
    walk(
        lead,
        Browser::open_without_scripts(820, 1180).unwrap(),
        "plain",
    );
}
