//! Reports, as people of the setting read and keep them.

use super::person::Person;
use crate::nursery::{Nursery, told};
use nestwarden_server::storage::Role;

#[tokio::test]
async fn a_report_is_read_and_saved_in_each_form_and_who_made_it_is_on_record() {
    let nursery = Nursery::open().await;
    nursery.enrolled().await;
    let person = Person::of(&nursery, "Ada Auditor", &[Role::Auditor]).await;
    let page = person
        .get("/reports?period=month")
        .await
        .text()
        .await
        .unwrap();
    let parts = [
        "Coverage",
        "Needs you",
        "Photos",
        "Consent register",
        "Tablets",
        "Apps",
        "Limits",
    ];
    for part in parts {
        assert!(page.contains(&format!("<h2>{part}")), "{part}");
    }
    assert!(page.contains("1–28 Feb 2026") && page.contains("Read and signed"));
    let days = "/reports/file?period=days&first=2026-03-01&last=2026-03-02&format=";
    for (form, kind, begins) in [
        ("html", "text/html; charset=utf-8", "<!DOCTYPE html>"),
        ("csv", "text/csv; charset=utf-8", "\u{feff}section,figure"),
        ("json", "application/json", "{"),
        ("pdf", "application/pdf", "%PDF-1.7"),
    ] {
        let answer = person.get(&format!("{days}{form}")).await;
        assert_eq!(answer.status(), 200, "{form}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), kind);
        let name = format!("attachment; filename=\"report-2026-03-01-2026-03-02.{form}\"");
        assert_eq!(header("content-disposition"), name);
        let bytes = answer.bytes().await.unwrap();
        assert!(bytes.starts_with(begins.as_bytes()), "{form}");
    }
    for (wanted, has) in [
        ("period=term", "From one week to the next"),
        ("period=year", "From one month to the next"),
        (
            "period=inspection&first=2026-03-01",
            "How tablets stood on one day",
        ),
    ] {
        let page = person.get(&format!("/reports?{wanted}")).await;
        let page = page.text().await.unwrap();
        assert!(page.contains(has), "{wanted}");
    }
    let inspection = "/reports/file?period=inspection&first=2026-03-01&format=pdf";
    let answer = person.get(inspection).await;
    let name = answer.headers()["content-disposition"].to_str().unwrap();
    assert_eq!(name, "attachment; filename=\"inspection-2026-03-01.pdf\"");
    let log = nursery.storage.audit_of(
        "report.make",
        nursery.now() + jiff::SignedDuration::from_secs(1),
        10,
    );
    let log = log.await.unwrap();
    let made: Vec<_> = log
        .iter()
        .map(|entry| format!("{} {} {}", entry.who, entry.subject, entry.detail["format"]))
        .collect();
    insta::assert_snapshot!(made.join("\n"), @r#"
    Ada Auditor 2026-03-01..2026-03-01 "pdf"
    Ada Auditor 2026-03-01..2026-03-01 "page"
    Ada Auditor 2025-03-01..2026-02-28 "page"
    Ada Auditor 2025-12-08..2026-03-01 "page"
    Ada Auditor 2026-03-01..2026-03-02 "pdf"
    Ada Auditor 2026-03-01..2026-03-02 "json"
    Ada Auditor 2026-03-01..2026-03-02 "csv"
    Ada Auditor 2026-03-01..2026-03-02 "html"
    Ada Auditor 2026-02-01..2026-02-28 "page"
    "#);
    nursery.close().await;
}

#[tokio::test]
async fn days_that_are_no_period_are_refused_with_what_to_choose() {
    let nursery = Nursery::open().await;
    let person = Person::of(&nursery, "Ada Auditor", &[Role::Auditor]).await;
    let mut answers = Vec::new();
    for wanted in [
        "period=days&first=2026-03-02&last=2026-03-01",
        "period=days&first=2026-03-02",
        "period=days&first=2026-04-01&last=2026-04-02",
        "period=fortnight",
        "period=inspection",
    ] {
        answers.push(told(person.get(&format!("/reports?{wanted}")).await).await);
    }
    answers.push(told(person.get("/reports/file?period=week&format=docx").await).await);
    insta::assert_snapshot!(answers.join("\n"), @r#"
    422 refused: 2026-03-02 to 2026-03-01 ends before it begins; put the earlier day first.
    422 refused: Choose the first and the last day.
    422 refused: 2026-04-01 has not begun yet; ask for days that have.
    422 refused: "fortnight" is no period; write week, month, term, year, or two days such as 2026-03-02..2026-03-08.
    422 refused: Choose the day as the first day.
    422 refused: Choose a period and a form on the page Reports.
    "#);
    nursery.close().await;
}
