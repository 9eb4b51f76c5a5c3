use super::*;
use crate::domain::reports::tests::month::Month;
use crate::domain::reports::tests::on_server::{at, setting};
use crate::domain::reports::{Asked, make};
use crate::storage::testing::told;
use nestwarden_policy_schema::control::{ControlName, ControlReport, Outcome};

async fn report(period: &str) -> Report {
    asked(period.parse().unwrap()).await
}

async fn asked(asked: Asked) -> Report {
    let month = Month::told(7).await;
    let made = "2026-04-14T08:00:00Z".parse().unwrap();
    let storage = &month.test.storage;
    make(storage, "Łąki Nursery", asked, None, made)
        .await
        .unwrap()
}

/// Of what is not packed: the tree of tags, and what the document says of itself.
fn count(pdf: &[u8], what: &str) -> usize {
    let what = what.as_bytes();
    pdf.windows(what.len())
        .filter(|found| *found == what)
        .count()
}

fn pages(pdf: &[u8]) -> usize {
    count(pdf, "/Type/Page/") + count(pdf, "/Type/Page\n")
}

#[tokio::test]
async fn a_report_is_tagged_in_british_english_with_its_own_fonts_and_can_be_read_out() {
    let report = report("2026-03-01..2026-03-31").await;
    let pdf = pdf(&report).unwrap();
    assert!(pdf.starts_with(b"%PDF-1.7"));
    for wanted in ["/StructTreeRoot", "en-GB", "/MarkInfo", "/Outlines"] {
        assert!(count(&pdf, wanted) > 0, "{wanted}");
    }
    let fonts = count(&pdf, "/FontFile2") + count(&pdf, "/FontFile3");
    assert_eq!((fonts, count(&pdf, "/ToUnicode")), (2, 2));
    // By what standards it can be kept and read by everybody.
    assert_eq!(
        (count(&pdf, "pdfaid:part"), count(&pdf, "pdfuaid:part")),
        (2, 2)
    );
    for section in sections(&report) {
        let heading = format!("({})", section.title);
        assert!(count(&pdf, &heading) > 0, "{heading}");
    }
    let rows =
        |kind: &str| count(&pdf, &format!("/S/{kind}")) + count(&pdf, &format!("/S /{kind}"));
    let lines: usize = sections(&report)
        .iter()
        .map(|section| section.lines.len())
        .sum();
    assert!(
        rows("TR") > lines && rows("TH") > lines,
        "{} rows",
        rows("TR")
    );
}

#[tokio::test]
async fn a_week_in_which_tablets_reported_is_one_page_and_what_does_not_fit_goes_on() {
    let (test, one, other) = setting().await;
    for (day, tablet) in (2..=6).flat_map(|day| [(day, &one), (day, &other)]) {
        let now = at(&format!("{day:02}T10:00"));
        let controls = ControlName::ALL.map(|control| ControlReport {
            control,
            outcome: Outcome::Compliant,
            measured_at: now,
        });
        let stored = told(now, controls.to_vec());
        let put = test.storage.inventory_put(tablet.id, &stored);
        put.await.unwrap();
    }
    let week = "2026-03-02..2026-03-08".parse().unwrap();
    let made = at("09T08:00");
    let week = make(&test.storage, "Little Acorns", week, None, made);
    let week = pdf(&week.await.unwrap()).unwrap();
    assert_eq!(pages(&week), 1);
    let month = pdf(&report("2026-03-01..2026-03-31").await).unwrap();
    assert!(pages(&month) > 1);
}

#[tokio::test]
async fn an_inspection_has_a_heading_for_each_tablet_and_a_term_a_row_for_each_week() {
    let day = "2026-03-10".parse().unwrap();
    let inspection = pdf(&asked(Asked::Inspection(day)).await).unwrap();
    for number in 1..=6 {
        assert_eq!(count(&inspection, &format!("/T(Ladybird-{number})")), 1);
    }
    let term = pdf(&report("2026-02-16..2026-04-12").await).unwrap();
    let month = pdf(&report("2026-03-01..2026-03-31").await).unwrap();
    let rows = |pdf: &[u8]| count(pdf, "/S/TR") + count(pdf, "/S /TR");
    assert!(rows(&term) >= rows(&month) + 8);
}
