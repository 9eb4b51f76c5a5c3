//! A tablet is signed out and in on its page, with one hand, on a small and a large tablet.

use crate::{check_screen, is_skipped, picture, setting};
use nestwarden_policy_schema::id::{EntryId, OperatorId};
use nestwarden_server::domain::registers::aup::{self, Audience, AupVersion};
use nestwarden_server::domain::registers::pin::{self, Typed};
use nestwarden_server::domain::registers::staff::{self, Job, Method, Post, Staff};
use nestwarden_server::domain::registers::words::Words;
use nestwarden_server::domain::registers::{Hand, Registers};
use nestwarden_server::domain::roster::NOTICE;
use nestwarden_server::signing::{ReleaseKey, keys};
use nestwarden_server::storage::{Operator, Role, sql};
use std::collections::BTreeSet;
use system_tests::browser::Browser;
use system_tests::fleet::{Fleet, ZONE};
use system_tests::patience::until;
use zeroize::Zeroizing;

const PEOPLE: [(&str, &str); 3] = [
    ("Rosa Reed", "482915"),
    ("Kim Manager", "739186"),
    ("Alexandrina Featherstonehaugh", "905172"),
];
const NOTICE_TEXT: &str = "We look at counts of what was blocked, and at who has which tablet.\nWe do so to keep children safe, and for nothing else.";

/// Three people with PINs, who have yet to agree to this year's policy.
fn staff(fleet: &Fleet) {
    let keys_dir = fleet.server.data_dir().join("keys");
    let public = keys::public_keys(&keys_dir).unwrap();
    let release = ReleaseKey::load(&keys_dir).unwrap();
    let now = fleet.clock().now().unwrap();
    let today = now.in_tz(ZONE).unwrap().date();
    let start = today.yesterday().unwrap().yesterday().unwrap();
    let manager = Operator {
        id: OperatorId::from_uuid(uuid::Uuid::from_u128(7)),
        name: "Office".to_owned(),
        roles: BTreeSet::from([Role::Manager]),
        created_at: now,
    };
    let hand = Hand { by: &manager, now };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let storage = sql::open(&fleet.server.data_dir().join("nestwarden.db"))
            .await
            .unwrap();
        let registers = Registers {
            storage: &storage,
            release: &release,
            recipient: &public.release_recipient,
        };
        let before = publish(&registers, ("before", start), hand).await;
        for (name, pin) in PEOPLE {
            let post = Post {
                job: Job::Practitioner,
                start,
                operator: None,
            };
            let add = staff::Act::Add { post };
            let words = Words::default().line("name", name).unwrap();
            let id = registers.begin::<Staff>(&add, &words, None, hand).await;
            let id = id.unwrap();
            let agreed = staff::Act::Acknowledge {
                version: before,
                on: start,
                method: Method::OnPaper,
            };
            let none = Words::default();
            staff::write(&registers, id, &agreed, &none, hand)
                .await
                .unwrap();
            let pin = || Zeroizing::new(pin.to_owned());
            let typed = Typed {
                shown: &pin::short(name),
                pin: pin(),
                again: pin(),
            };
            pin::set(&registers, id, typed, hand).await.unwrap();
        }
        publish(&registers, ("now", today), hand).await;
    });
}

async fn publish(
    registers: &Registers<'_>,
    (version, from): (&str, jiff::civil::Date),
    hand: Hand<'_>,
) -> EntryId {
    let act = aup::Act::Publish {
        audience: Audience::Staff,
        version: version.to_owned(),
        from,
    };
    let notice = Words::default().text(NOTICE, NOTICE_TEXT).unwrap();
    registers
        .begin::<AupVersion>(&act, &notice, None, hand)
        .await
        .unwrap()
}

/// One time from its beginning to its end.
fn walk(fleet: &Fleet, width: u32, height: u32, (name, pin): (&str, &str)) {
    let mut browser = Browser::open(width, height).unwrap();
    let link = fleet.tablets[0].tell(["page"]).unwrap();
    until("people on the tablet", || {
        browser.go(link["link"].as_str().unwrap())?;
        let home = browser.text()?;
        Ok(home.contains("Sign out this tablet").then_some(()))
    })
    .unwrap();
    check_screen(&browser);
    picture(&browser, &format!("custody-home-{width}"));
    browser.click("form[action='/start'] button").unwrap();
    browser.until_says("Sign it out first").unwrap();
    check_screen(&browser);
    browser.click("a[href='/custody']").unwrap();
    browser.until_says("Who takes it?").unwrap();
    check_screen(&browser);
    picture(&browser, &format!("custody-who-{width}"));
    let choose = format!(
        "for (const a of document.querySelectorAll('a')) if (a.innerText.trim() === '{name}') a.id = 'me'"
    );
    browser.run(&choose).unwrap();
    browser.click("#me").unwrap();
    browser.until_says("Before you use it").unwrap();
    check_screen(&browser);
    picture(&browser, &format!("custody-form-{width}"));
    browser.click("label.chip").unwrap();
    browser.write("#pin", "111222").unwrap();
    browser.click("form[action='/custody/out'] button").unwrap();
    browser.until_says("That is not the PIN").unwrap();
    check_screen(&browser);
    browser.click("label.chip").unwrap();
    browser.write("#pin", pin).unwrap();
    browser.click("form[action='/custody/out'] button").unwrap();
    let home = browser
        .until_says(&format!("{name} has this tablet"))
        .unwrap();
    assert!(home.contains("Signed out."), "{home}");
    check_screen(&browser);
    picture(&browser, &format!("custody-held-{width}"));
    // The session does not ask again.
    browser.click("form[action='/start'] button").unwrap();
    browser.until_says("Who is here").unwrap();
    browser.go(link["link"].as_str().unwrap()).unwrap();
    browser.until_says("End the session").unwrap();
    browser.click("a[href='/end']").unwrap();
    browser.until_says("End the session now").unwrap();
    browser.click("form[action='/end'] button").unwrap();
    browser.until_says("The session has ended").unwrap();

    browser.click("a[href='/custody']").unwrap();
    browser.until_says(&format!("{name} signs it in")).unwrap();
    check_screen(&browser);
    picture(&browser, &format!("custody-back-{width}"));
    browser.write("#pin", pin).unwrap();
    browser.click("form[action='/custody/in'] button").unwrap();
    browser.until_says("Signed in. Thank you.").unwrap();
}

#[test]
fn a_tablet_is_signed_out_and_in_with_one_hand_on_a_small_and_a_large_screen() {
    let test = "a_tablet_is_signed_out_and_in_with_one_hand_on_a_small_and_a_large_screen";
    if is_skipped(test) {
        return;
    }
    let fleet = setting();
    staff(&fleet);
    walk(&fleet, 390, 844, ("Alexandrina F.", "905172"));
    walk(&fleet, 820, 1180, ("Rosa R.", "482915"));
    fleet.check_logs().unwrap();
}
