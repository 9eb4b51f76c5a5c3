//! The nursery that the demo leaves behind, a week of it.

use serde_json::Value;
use system_tests::demo::WayIn;
use system_tests::demo::month::{self, Size};
use system_tests::fleet::{Fleet, ZONE, first_moment};
use system_tests::process::Programs;
use system_tests::profile;
use system_tests::register::Register;

/// Each with something that is only there once it is filled.
const PAGES: [(&str, &str); 14] = [
    ("/", "What needs you"),
    ("/tablets", "Not checked"),
    ("/consents", "Withdrawn"),
    ("/tasks", "acknowledged"),
    ("/holds", "Review"),
    ("/receipts", "<td"),
    ("/reports?period=week", "Read and signed"),
    ("/people", "Kim Manager"),
    ("/registers", "1 open"),
    ("/incidents", "<td"),
    ("/staff", "Alex Fern"),
    ("/aup", "<td"),
    ("/custody", "Bo Heather"),
    ("/concerns", "For you to read"),
];

#[test]
fn every_page_of_the_console_has_something_to_show_after_the_demos_month() {
    let monday = first_moment().unwrap().in_tz(ZONE).unwrap().date();
    let register = ["A-01", "B-02", "C-03"]
        .into_iter()
        .fold(Register::new(monday), |register, reference| {
            register.child(reference, "Hedgehogs")
        });
    let programs = Programs::at(env!("CARGO_BIN_EXE_harness"));
    let mut fleet = Fleet::open(&programs, &profile::photos_only(), &register).unwrap();
    fleet
        .enrol("tablet-1", profile::NAME, &["Hedgehogs"])
        .unwrap();
    let size = Size {
        tablets: 4,
        children: 24,
        opening_days: 8,
    };
    month::pass(&mut fleet, size).unwrap();

    let mut way_in = WayIn::make(&fleet).unwrap();
    let cookie = way_in.cookie(&fleet).unwrap();
    let host = fleet.server.console_address();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The certificate is the console's own, which nobody vouches for.
    let client = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .build()
        .unwrap();
    let mut bare = Vec::new();
    for (path, has) in PAGES {
        let request = client
            .get(format!("https://{host}{path}"))
            .header("cookie", &cookie)
            .header("accept", "text/html");
        let page = runtime.block_on(async { request.send().await?.text().await });
        let page = page.unwrap();
        if !page.contains(has) || page.contains("class=\"empty") {
            bare.push((path, page));
        }
    }
    assert!(bare.is_empty(), "{bare:?}");
    let verified = fleet.server.tell(["verify"]).unwrap();
    assert!(
        verified["receipts_verified"].as_u64() > Some(0),
        "{verified}"
    );
    let photos = fleet.server.tell(["photo", "list"]).unwrap();
    assert!(photos != Value::Null);
    fleet.check_logs().unwrap();
}
