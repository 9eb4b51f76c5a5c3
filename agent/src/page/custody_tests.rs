//! The tablet is signed out and in on its page.

use super::testing::{Came, Headers, Nursery};
use crate::testing::roster_entry;
use nestwarden_policy_schema::id::EntryId;
use nestwarden_policy_schema::roster::{AupNotice, MayHave, RosterEntry};
use std::collections::BTreeSet;
use uuid::Uuid;

const KIM: &str = "00000000-0000-0000-0000-000000000001";
const ROSA: &str = "00000000-0000-0000-0000-000000000002";
const VERSION: u128 = 7;

async fn with_pins() -> (Nursery, Headers) {
    let mut nursery = Nursery::open().await;
    let reason = "No tablet at the moment. Ask the office.".to_owned();
    let not = RosterEntry {
        may_have: MayHave::No { reason },
        ..roster_entry(3, "Sam <T.>", "905172")
    };
    nursery.bundle.roster = BTreeSet::from([
        roster_entry(1, "Kim M.", "482915"),
        RosterEntry {
            acknowledged: false,
            ..roster_entry(2, "Rosa", "739186")
        },
        not,
    ]);
    nursery.bundle.aup = Some(AupNotice {
        version: EntryId::from_uuid(Uuid::from_u128(VERSION)),
        name: "2026-1".to_owned(),
        notice: "We look at counts.\nNot at you.".to_owned(),
    });
    nursery.store();
    let browser = nursery.browser().await;
    (nursery, browser)
}

async fn signs_out(nursery: &Nursery, browser: &Headers, form: &str) -> Came {
    let form = format!("{form}&due=17:30&room=Owls");
    nursery.post("/custody/out", &form, browser).await
}

#[tokio::test]
async fn a_tablet_whose_staff_have_no_pins_shows_nothing_of_it() {
    let nursery = Nursery::open().await;
    let browser = nursery.browser().await;
    let home = nursery.get("/", &browser).await;
    assert!(!home.body.contains("custody"), "{home:?}");
    assert!(home.body.contains("Start the session"));
}

#[tokio::test]
async fn whoever_takes_it_chooses_themselves_types_their_pin_and_has_it() {
    let (nursery, browser) = with_pins().await;
    let home = nursery.get("/", &browser).await;
    assert!(home.body.contains("href=\"/custody\""), "{home:?}");
    let choose = nursery.get("/custody", &browser).await.body;
    assert!(
        choose.contains(&format!("/custody?staff={KIM}")),
        "{choose}"
    );
    assert!(choose.contains("Sam &lt;T.&gt;") && choose.contains("Ask the office"));
    let form = nursery
        .get(&format!("/custody?staff={KIM}"), &browser)
        .await;
    assert!(form.body.contains("inputmode=\"numeric\"") && form.body.contains("value=\"18:00\""));
    assert!(!form.body.contains("name=\"agreed\""), "Kim agreed before");

    let wrong = signs_out(&nursery, &browser, &format!("staff={KIM}&pin=111222")).await;
    assert_eq!(wrong.status, 403);
    assert!(wrong.body.contains("That is not the PIN") && wrong.body.contains("17:30"));
    assert!(
        !wrong.body.contains("111222"),
        "what was typed does not come back"
    );
    let done = signs_out(&nursery, &browser, &format!("staff={KIM}&pin=482915")).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert!(done.body.contains("Kim M. has this tablet"), "{done:?}");
    // Nothing else waits for it.
    assert!(done.body.contains("Start the session"));

    let second = signs_out(&nursery, &browser, &format!("staff={ROSA}&pin=739186")).await;
    assert_eq!(second.status, 409);
    assert!(
        second
            .body
            .contains("Kim M. has had it since Mon 2 Mar, 10:00"),
        "{second:?}"
    );
    let back = nursery.get("/custody", &browser).await.body;
    assert!(
        back.contains("Kim M. signs it in") && back.contains(&format!("/custody?staff={ROSA}"))
    );
    let form = format!("staff={ROSA}&pin=739186");
    let back = nursery.post("/custody/in", &form, &browser).await;
    assert!(back.body.contains("Signed in. Thank you."), "{back:?}");
    let again = nursery.post("/custody/in", &form, &browser).await;
    assert_eq!(again.status, 409);
}

#[tokio::test]
async fn the_notice_is_ticked_once_before_a_tablet_is_used_and_shown_every_time() {
    let (nursery, browser) = with_pins().await;
    let form = nursery
        .get(&format!("/custody?staff={ROSA}"), &browser)
        .await
        .body;
    assert!(
        form.contains("<p>We look at counts.</p><p>Not at you.</p>"),
        "{form}"
    );
    assert!(form.contains("version 2026-1") && form.contains("takes no pictures of the screen"));
    let pin = format!("staff={ROSA}&pin=739186");
    let refused = signs_out(&nursery, &browser, &pin).await;
    assert_eq!(refused.status, 409);
    assert!(refused.body.contains("tick it"), "{refused:?}");
    let version = EntryId::from_uuid(Uuid::from_u128(VERSION));
    let done = signs_out(&nursery, &browser, &format!("{pin}&agreed={version}")).await;
    assert!(done.body.contains("Rosa has this tablet"), "{done:?}");
    nursery.post("/custody/in", &pin, &browser).await;
    let form = nursery
        .get(&format!("/custody?staff={ROSA}"), &browser)
        .await;
    assert!(!form.body.contains("name=\"agreed\""));
    assert!(
        form.body.contains("takes no pictures of the screen"),
        "it can be read at any time"
    );
}

#[tokio::test]
async fn an_old_bundle_is_said_plainly_and_keeps_nobody_from_the_tablet() {
    let (mut nursery, browser) = with_pins().await;
    nursery.bundle.expires_at = "2026-03-02T09:00:00Z".parse().unwrap();
    nursery.store();
    let page = nursery.get("/custody", &browser).await.body;
    assert!(page.contains("older than it should be"), "{page}");
    let done = signs_out(&nursery, &browser, &format!("staff={KIM}&pin=482915")).await;
    assert!(done.body.contains("Kim M. has this tablet"));
}

#[tokio::test]
async fn whose_word_no_longer_counts_is_said_and_it_stays_theirs() {
    let (mut nursery, browser) = with_pins().await;
    signs_out(&nursery, &browser, &format!("staff={KIM}&pin=482915")).await;
    nursery.bundle.roster.retain(|entry| entry.name != "Kim M.");
    nursery.store();
    let home = nursery.get("/", &browser).await.body;
    assert!(home.contains("Kim M. has this tablet"), "{home}");
    assert!(home.contains("they have no tablet at the moment"), "{home}");
    assert!(home.contains("Start the session"));
}

#[tokio::test]
async fn what_no_form_of_the_page_sends_is_refused() {
    let (nursery, browser) = with_pins().await;
    for form in [
        "",
        "staff=nobody&pin=482915&due=17:30",
        &format!("staff={KIM}&pin=482915"),
        &format!("staff={KIM}&pin=482915&due=half+five"),
        &format!("staff={KIM}&pin=482915&due=17:30&agreed=yes"),
    ] {
        let came = nursery.post("/custody/out", form, &browser).await;
        assert_eq!(came.status, 400, "{form}");
    }
}

#[tokio::test]
async fn a_session_asks_for_a_tablet_that_is_signed_out_and_keeps_nobody_waiting() {
    let (nursery, browser) = with_pins().await;
    nursery.register.know(&[(1, "Ava Quillfeather")]);
    let asked = nursery.post("/start", "room=Owls", &browser).await;
    assert_eq!(asked.status, 409);
    assert!(asked.body.contains("Sign it out first"), "{asked:?}");
    assert!(!asked.body.contains("Quillfeather"));
    let anyway = "name=\"unsigned\" value=\"1\"";
    assert!(asked.body.contains(anyway) && asked.body.contains("value=\"Owls\""));
    let started = nursery
        .post("/start", "room=Owls&unsigned=1", &browser)
        .await;
    assert!(started.body.contains("Who is here"), "{started:?}");
    nursery.post("/end", "", &browser).await;
    signs_out(&nursery, &browser, &format!("staff={KIM}&pin=482915")).await;
    let started = nursery.post("/start", "room=Owls", &browser).await;
    assert!(started.body.contains("Who is here"), "{started:?}");
}
