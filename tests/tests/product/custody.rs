//! Staff sign the tablet out on the tablet itself: with a PIN from the console, without a server, through a kill, and the
//! office sees exactly that.

use crate::page::Browser;
use crate::setting::{ROOM, events, setting_with_tablet};
use jiff::civil::Date;
use reqwest::Client;
use std::time::Duration;
use system_tests::demo::WayIn;
use system_tests::fleet::{Fleet, ZONE};
use system_tests::patience::until;
use tokio::runtime::Runtime;

const PIN: &str = "482915";

/// The office's browser.
struct Console {
    runtime: Runtime,
    client: Client,
    origin: String,
    cookie: String,
}

impl Console {
    fn open(fleet: &Fleet) -> Self {
        let cookie = WayIn::make(fleet).unwrap().cookie(fleet).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The certificate is the console's own, which nobody vouches for.
        let client = Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            runtime: Runtime::new().unwrap(),
            client,
            origin: format!("https://{}", fleet.server.console_address()),
            cookie,
        }
    }

    fn get(&self, path: &str) -> String {
        let request = self
            .client
            .get(format!("{}{path}", self.origin))
            .header("cookie", &self.cookie)
            .header("accept", "text/html");
        self.runtime
            .block_on(async { request.send().await?.text().await })
            .unwrap()
    }

    /// Fills in a form of `page`; where it leads.
    fn post(&self, page: &str, fields: &[(&str, &str)]) -> String {
        let shown = self.get(page);
        let hidden = |name: &str| between(&shown, &format!("name=\"{name}\" value=\""), "\"");
        let (token, key) = (hidden("form_token"), hidden("form_key"));
        let both = [("form_token", token.as_str()), ("form_key", key.as_str())];
        let all = both.iter().chain(fields);
        let form: Vec<String> = all
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        let request = self
            .client
            .post(format!("{}{page}", self.origin))
            .header("cookie", &self.cookie)
            .header("origin", &self.origin)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.join("&"));
        let (status, to, body) = self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            let to = answer.headers().get("location").cloned();
            (answer.status(), to, answer.text().await.unwrap())
        });
        assert_eq!(status, 303, "{page} {fields:?}: {body}");
        to.unwrap().to_str().unwrap().to_owned()
    }
}

/// As a browser writes a value.
fn encoded(value: &str) -> String {
    let byte = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    value.bytes().map(byte).collect()
}

fn between(text: &str, before: &str, after: &str) -> String {
    let (_, rest) = text.split_once(before).unwrap();
    rest.split(after).next().unwrap().to_owned()
}

/// Rosa works here, acknowledged last year's policy, and has a PIN. This year's waits for her.
fn rosa(console: &Console, today: Date) -> String {
    let publish = |version: &str, from: &str| {
        let form = [("audience", "staff"), ("version", version), ("from", from)];
        console.post("/aup", &form);
    };
    publish("last", "2025-01-01");
    let form = [
        ("name", "Rosa Reed"),
        ("job", "practitioner"),
        ("start", "2025-01-01"),
    ];
    let rosa = console.post("/staff", &form);
    let version = "<select name=\"version\"><option value=\"";
    let version = between(&console.get(&rosa), version, "\"");
    let today = today.to_string();
    let agrees = [
        ("act", "acknowledge"),
        ("version", version.as_str()),
        ("on", today.as_str()),
        ("method", "on_paper"),
    ];
    console.post(&rosa, &agrees);
    publish("new", &today);
    let pin = [
        ("act", "set_pin"),
        ("shown", "Rosa"),
        ("pin", PIN),
        ("again", PIN),
    ];
    console.post(&rosa, &pin);
    rosa.trim_start_matches("/staff/").to_owned()
}

fn open_page(fleet: &Fleet) -> Browser {
    Browser::open(&fleet.tablets[0])
}

fn until_home_says(fleet: &Fleet, words: &str) {
    let browser = open_page(fleet);
    until(&format!("\"{words}\" on the tablet"), || {
        let (_, home) = browser.get("/");
        Ok(home.contains(words).then_some(()))
    })
    .unwrap();
}

fn custody_rows(fleet: &Fleet, which: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM entries WHERE register = 'custody' AND {which}");
    fleet.server.database().number(&sql).unwrap()
}

#[test]
fn a_tablet_that_is_signed_out_without_a_server_is_so_in_the_office_as_soon_as_it_hears() {
    let mut fleet = setting_with_tablet();
    let console = Console::open(&fleet);
    let now = fleet.clock().now().unwrap();
    let rosa = rosa(&console, now.in_tz(ZONE).unwrap().date());
    until_home_says(&fleet, "Sign out this tablet");
    fleet.server.stop().unwrap();

    let browser = open_page(&fleet);
    let (_, form) = browser.get(&format!("/custody?staff={rosa}"));
    let version = between(&form, "name=\"agreed\" value=\"", "\"");
    assert!(form.contains("policy, version new"), "{form}");
    let rest = format!("staff={rosa}&room={ROOM}&due=17:30&agreed={version}");
    let (status, _) = browser.post("/custody/out", &format!("{rest}&pin=111222"));
    assert_eq!(status, 403);
    let (_, done) = browser.post("/custody/out", &format!("{rest}&pin={PIN}"));
    assert!(done.contains("Rosa has this tablet"), "{done}");
    fleet.tablets[0].kill().unwrap();
    fleet.tablets[0].start().unwrap();
    until_home_says(&fleet, "Rosa has this tablet");

    fleet.server.start().unwrap();
    fleet.tablets[0].wait_until_reported().unwrap();
    until("the tablet in the custody register", || {
        Ok((custody_rows(&fleet, "closed_at IS NULL") == 1).then_some(()))
    })
    .unwrap();
    let list = console.get("/custody");
    let row = between(&list, "tablet-1</a>", "</tr>");
    for says in ["Rosa Reed", "On the tablet for Hedgehogs", "Out"] {
        assert!(row.contains(says), "{says}: {row}");
    }
    let person = console.get(&format!("/staff/{rosa}"));
    assert!(person.contains("Acknowledged new") && person.contains("agreed on a tablet"));
    assert_eq!(events(&fleet, "custody_taken"), 1);
    assert_eq!(events(&fleet, "pin_refused"), 1);

    // The office says that it is back, and the tablet hears it.
    let entry = between(&list, "href=\"/custody/", "\"");
    console.post(&format!("/custody/{entry}"), &[("act", "in")]);
    until_home_says(&fleet, "Sign out this tablet");
    // And what the office signed out is brought back on the tablet.
    let tablet = "SELECT device_id FROM devices";
    let tablet = fleet
        .server
        .database()
        .texts(tablet)
        .unwrap()
        .pop()
        .unwrap();
    let due = now.in_tz(ZONE).unwrap().date().at(18, 0, 0, 0);
    let due = due.strftime("%Y-%m-%dT%H:%M").to_string();
    let out = [
        ("act", "out"),
        ("device", tablet.as_str()),
        ("staff", rosa.as_str()),
        ("due", due.as_str()),
    ];
    console.post("/custody", &out);
    until_home_says(&fleet, "Rosa has this tablet");
    let browser = open_page(&fleet);
    let (_, back) = browser.post("/custody/in", &format!("staff={rosa}&pin={PIN}"));
    assert!(back.contains("Signed in. Thank you."), "{back}");
    until("it back in the office", || {
        Ok((custody_rows(&fleet, "closed_at IS NULL") == 0).then_some(()))
    })
    .unwrap();
    fleet.tablets[0].wait_until_reported().unwrap();
    fleet.server.tell(["verify"]).unwrap();
    fleet.check_logs().unwrap();
}

#[test]
fn an_agent_that_is_killed_while_somebody_signs_out_says_what_its_record_says() {
    let mut fleet = setting_with_tablet();
    let console = Console::open(&fleet);
    let now = fleet.clock().now().unwrap();
    let rosa = rosa(&console, now.in_tz(ZONE).unwrap().date());
    until_home_says(&fleet, "Sign out this tablet");
    let mut is_out = false;
    for round in 0..8_u64 {
        let browser = open_page(&fleet);
        let (_, form) = browser.get(&format!("/custody?staff={rosa}"));
        let path = if is_out {
            "/custody/in"
        } else {
            "/custody/out"
        };
        let mut body = format!("staff={rosa}&pin={PIN}&room={ROOM}&due=17:30");
        if form.contains("name=\"agreed\"") {
            let version = between(&form, "name=\"agreed\" value=\"", "\"");
            body.extend(["&agreed=", &version]);
        }
        let asking = std::thread::spawn(move || {
            let posted = || browser.ask_may_fail("POST", path, &body);
            posted().is_some_and(|(status, _, _)| status == 303)
        });
        std::thread::sleep(Duration::from_millis(12 * round));
        fleet.tablets[0].kill().unwrap();
        let was_done = asking.join().unwrap();
        fleet.tablets[0].start().unwrap();
        let (_, home) = open_page(&fleet).get("/");
        let now_out = home.contains("Rosa has this tablet");
        assert_ne!(now_out, home.contains("Sign out this tablet"), "{home}");
        assert!(!was_done || now_out != is_out, "what the page said is so");
        is_out = now_out;
    }
    fleet.tablets[0].wait_until_reported().unwrap();
    let taken = events(&fleet, "custody_taken");
    let returned = events(&fleet, "custody_returned");
    assert_eq!(taken - returned, i64::from(is_out));
    assert_eq!(custody_rows(&fleet, "1 = 1"), taken);
    assert_eq!(custody_rows(&fleet, "closed_at IS NULL"), i64::from(is_out));
    fleet.server.tell(["verify"]).unwrap();
    fleet.check_logs().unwrap();
}
