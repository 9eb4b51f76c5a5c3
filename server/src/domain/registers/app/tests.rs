#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::allowed::{LiveProfiles, Since, Why, newly_unapproved, since, unapproved};
use super::*;
use crate::domain::people::set_cover;
use crate::domain::registers::testing::{House, hand};
use crate::domain::registers::{Kept, find};
use crate::storage::testing::{audit, enrol, now};
use crate::storage::{Operator, Role};
use jiff::SignedDuration;
use jiff::civil::date;
use nestwarden_policy_schema::profile::EARLY_YEARS;
use std::slice::from_ref;

const TODAY: Date = date(2026, 3, 10);
const JOURNAL: &str = "dpkg:nursery-journal";

fn named(name: &str) -> AppId {
    super::named(name).unwrap()
}

fn these(names: &[&str]) -> BTreeSet<Permission> {
    permissions(names.iter().copied(), "").unwrap()
}

fn terms(asks_for: &[&str]) -> Terms {
    Terms {
        audience: Audience::Staff,
        rated_from: Some(3),
        ads: Has::No,
        purchases: Has::No,
        links_out: Has::No,
        check: Check {
            on: TODAY,
            outcome: CheckOutcome::Passed,
        },
        permissions: these(asks_for),
        review: date(2027, 3, 10),
    }
}

fn approve(asks_for: &[&str]) -> Act {
    Act::Approve {
        terms: terms(asks_for),
    }
}

fn learn(asks_for: &[&str]) -> Act {
    Act::Permissions {
        permissions: these(asks_for),
    }
}

fn ask_for(audience: Audience) -> Act {
    Act::Ask {
        app: named(JOURNAL),
        audience,
    }
}

/// What it comes to, one act a minute.
fn after(acts: &[Act]) -> Result<App, Refused> {
    let mut app = None;
    for (minute, act) in (0..).zip(acts) {
        let at = now() + SignedDuration::from_mins(minute);
        app = Some(App::after(app, act, at)?);
    }
    Ok(app.unwrap())
}

fn standing(acts: &[Act]) -> Standing {
    after(acts).unwrap().standing(TODAY)
}

fn why_not(acts: &[Act]) -> String {
    after(acts).unwrap_err().says
}

#[test]
fn an_app_is_asked_for_then_decided_and_can_be_asked_for_again() {
    let asked = ask_for(Audience::Staff);
    let ok = approve(&[]);
    assert_eq!(standing(from_ref(&asked)), Standing::Asked);
    assert_eq!(standing(&[asked.clone(), ok.clone()]), Standing::Approved);
    assert_eq!(standing(&[asked.clone(), Act::Refuse]), Standing::Refused);
    let over = [asked.clone(), ok.clone(), Act::Withdraw];
    assert_eq!(standing(&over), Standing::Withdrawn);
    let again = [&over[..], from_ref(&asked)].concat();
    assert_eq!(standing(&again), Standing::Asked);
    for wrong in [
        vec![asked.clone(), asked.clone()],
        vec![asked.clone(), Act::Withdraw],
        vec![asked.clone(), ok.clone(), Act::Refuse],
        vec![asked.clone(), ok.clone(), asked.clone()],
        vec![asked.clone(), Act::Refuse, Act::Refuse],
        vec![ok],
    ] {
        assert!(after(&wrong).is_err(), "{wrong:?}");
    }
    let other = Act::Ask {
        app: named("dpkg:paint"),
        audience: Audience::Staff,
    };
    assert!(after(&[asked, other]).is_err());
}

#[test]
fn a_permission_that_was_not_known_reopens_the_decision_and_stays_until_somebody_decides() {
    let begun = [ask_for(Audience::Staff), approve(&["network"])];
    let with = |acts: &[Act]| after(&[&begun[..], acts].concat()).unwrap();
    assert_eq!(with(&[learn(&[])]).standing(TODAY), Standing::Approved);
    let more = learn(&["Network", "camera "]);
    let reopened = with(from_ref(&more));
    assert_eq!(reopened.standing(TODAY), Standing::Reopened);
    let again = reopened.approval().unwrap().reopened.clone().unwrap();
    assert_eq!(listed(&again.permissions), "camera");
    // Nobody takes that back by writing something else.
    let taken_back = with(&[more.clone(), learn(&["network"])]);
    assert_eq!(taken_back.standing(TODAY), Standing::Reopened);
    let decided = with(&[more.clone(), approve(&["network", "camera"])]);
    assert_eq!(decided.standing(TODAY), Standing::Approved);
    // Nor by approving without having seen it.
    let unseen = why_not(&[&begun[..], &[more, approve(&["network"])]].concat());
    assert!(unseen.contains("It asks for camera"), "{unseen}");
    assert!(after(&[&begun[..], &[learn(&["network"])]].concat()).is_err());
}

#[test]
fn what_was_approved_for_staff_is_decided_again_when_it_is_asked_for_children() {
    let begun = [ask_for(Audience::Staff), approve(&[])];
    let asked = [&begun[..], &[ask_for(Audience::Children)]].concat();
    let app = after(&asked).unwrap();
    assert_eq!(app.standing(TODAY), Standing::Reopened);
    assert_eq!(app.audience, Audience::StaffAndChildren);
    let twice = why_not(&[&asked[..], &[ask_for(Audience::Children)]].concat());
    assert!(twice.contains("somebody asked for that before"), "{twice}");
}

#[test]
fn an_approval_is_put_before_somebody_a_month_ahead_and_is_never_fine_once_its_day_is_over() {
    let app = after(&[ask_for(Audience::Staff), approve(&[])]).unwrap();
    for (day, stands) in [
        (date(2027, 2, 7), Standing::Approved),
        (date(2027, 2, 8), Standing::ReviewDue),
        (date(2027, 3, 10), Standing::ReviewDue),
        (date(2027, 3, 11), Standing::ReviewOver),
    ] {
        assert_eq!(app.standing(day), stands, "{day}");
    }
}

#[test]
fn permissions_are_the_same_however_they_are_written_and_bounded() {
    let written = permissions(["camera"].into_iter(), " Camera, READ  contacts,, ").unwrap();
    assert_eq!(listed(&written), "camera and read contacts");
    assert_eq!(listed(&these(&[])), "none");
    assert_eq!(listed(&these(&["a", "b", "c"])), "a, b and c");
    assert!(permissions([].into_iter(), &"x".repeat(61)).is_err());
    assert!(permissions([].into_iter(), "cam\u{202e}era").is_err());
    let many: Vec<String> = (0..61).map(|number| number.to_string()).collect();
    assert!(permissions(many.iter().map(String::as_str), "").is_err());
    assert_eq!(rated_from("unrated").unwrap(), None);
    assert_eq!(rated_from("12").unwrap(), Some(12));
    assert!(rated_from("").is_err() && rated_from("19").is_err());
}

#[test]
fn what_an_act_says_reads_as_it_was_written() {
    for act in [
        ask_for(Audience::StaffAndChildren),
        learn(&["camera"]),
        approve(&["network"]),
        Act::Refuse,
        Act::Withdraw,
    ] {
        let kept = serde_json::to_string(&act).unwrap();
        assert_eq!(serde_json::from_str::<Act>(&kept).unwrap(), act, "{kept}");
    }
}

async fn asked(house: &House, by: &Operator, app: &str) -> Result<EntryId, RegisterError> {
    let words = Words::default()
        .text("purpose", "parents' messages")
        .unwrap();
    let wanted = (named(app), Audience::Staff);
    ask(&house.registers(), wanted, &words, hand(by, now())).await
}

async fn decided(
    house: &House,
    id: EntryId,
    act: &Act,
    by: &Operator,
) -> Result<(), RegisterError> {
    let words = Words::default();
    let registers = house.registers();
    decide(&registers, id, (act, &words), TODAY, hand(by, now())).await
}

async fn kept(house: &House, id: EntryId) -> Kept<App> {
    find::<App>(house.storage(), id).await.unwrap().unwrap()
}

#[tokio::test]
async fn anybody_asks_and_a_manager_the_dsl_or_who_covers_for_them_decides() {
    let house = House::new().await;
    let sam = house.person("Sam", &[Role::ItAdmin]).await;
    let ann = house.person("Ann", &[Role::Auditor]).await;
    let eve = house.person("Eve", &[Role::Deputy]).await;
    let id = asked(&house, &sam, JOURNAL).await.unwrap();
    for (not, name) in [(&sam, "IT"), (&ann, "an auditor"), (&eve, "a deputy")] {
        for act in [approve(&[]), Act::Refuse, Act::Withdraw] {
            let refused = decided(&house, id, &act, not).await;
            let says = refused.unwrap_err().to_string();
            assert!(
                says.contains("A manager or the DSL decides"),
                "{name}: {says}"
            );
        }
    }
    assert_eq!(kept(&house, id).await.now.standing(TODAY), Standing::Asked);
    house.person("Dana", &[Role::Dsl]).await;
    let days = Some((TODAY, TODAY));
    set_cover(house.storage(), "Eve", days, "Dana", now())
        .await
        .unwrap();
    decided(&house, id, &approve(&[]), &eve).await.unwrap();
    assert_eq!(
        kept(&house, id).await.now.standing(TODAY),
        Standing::Approved
    );
    let log = house.storage().audit_list(9).await.unwrap();
    assert_eq!(
        (log[0].act.as_str(), log[0].who.as_str()),
        ("app.approve", "Eve")
    );
    assert!(!house.database_has("parents' messages"));
}

#[tokio::test]
async fn a_package_has_one_entry_and_nobody_fills_the_list_alone() {
    let house = House::new().await;
    let sam = house.person("Sam", &[Role::ItAdmin]).await;
    let kim = house.person("Kim", &[Role::Manager]).await;
    let id = asked(&house, &sam, JOURNAL).await.unwrap();
    decided(&house, id, &Act::Refuse, &kim).await.unwrap();
    assert_eq!(asked(&house, &sam, JOURNAL).await.unwrap(), id);
    assert_eq!(kept(&house, id).await.lines.len(), 3);
    asked(&house, &sam, "dpkg:paint").await.unwrap();
    let fourth = asked(&house, &sam, "dpkg:clock").await.unwrap_err();
    assert!(fourth.to_string().contains("since yesterday"), "{fourth}");
    asked(&house, &kim, "dpkg:clock").await.unwrap();
}

#[tokio::test]
async fn an_approval_is_good_for_a_year_at_most_and_rests_on_a_check_that_was_passed() {
    let house = House::new().await;
    let kim = house.person("Kim", &[Role::Manager]).await;
    let id = asked(&house, &kim, JOURNAL).await.unwrap();
    let failed = Check {
        on: TODAY,
        outcome: CheckOutcome::Failed,
    };
    let ahead = Check {
        on: date(2026, 3, 11),
        outcome: CheckOutcome::Passed,
    };
    for (field, wrong) in [
        (
            "review",
            Terms {
                review: TODAY,
                ..terms(&[])
            },
        ),
        (
            "review",
            Terms {
                review: date(2027, 3, 11),
                ..terms(&[])
            },
        ),
        (
            "check_outcome",
            Terms {
                check: failed,
                ..terms(&[])
            },
        ),
        (
            "check_on",
            Terms {
                check: ahead,
                ..terms(&[])
            },
        ),
    ] {
        let act = Act::Approve { terms: wrong };
        match decided(&house, id, &act, &kim).await {
            Err(RegisterError::Refused(refused)) => assert_eq!(refused.field, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    assert_eq!(last_review(TODAY), date(2027, 3, 10));
    decided(&house, id, &approve(&[]), &kim).await.unwrap();
}

#[tokio::test]
async fn what_a_live_profile_allows_and_nobody_approved_is_found_and_what_is_essential_is_not() {
    let house = House::new().await;
    let kim = house.person("Kim", &[Role::Manager]).await;
    let storage = house.storage();
    let put = |on, source: String| async move {
        storage
            .profile_put("early-years", on, &source, &audit("p"))
            .await
            .unwrap()
    };
    put(0, EARLY_YEARS.to_owned()).await;
    enrol(storage, "early-years").await;
    let found = async || {
        let apps = every::<App>(storage, Which::All).await.unwrap();
        let live = LiveProfiles::load(storage).await.unwrap();
        let found = unapproved(&live, &apps);
        found
            .iter()
            .map(|one| (one.app.to_string(), one.why, one.profiles[0].devices))
            .collect::<Vec<_>>()
    };
    let before = found().await;
    assert_eq!(before.len(), 5, "{before:?}");
    assert!(before.iter().all(|(app, why, devices)| {
        !app.contains("register") && *why == Why::NeverDecided && *devices == 1
    }));
    let id = asked(&house, &kim, JOURNAL).await.unwrap();
    assert_eq!(found().await.len(), 5, "asking is no decision");
    decided(&house, id, &approve(&[]), &kim).await.unwrap();
    assert_eq!(found().await.len(), 4);
    decided(&house, id, &Act::Withdraw, &kim).await.unwrap();
    let withdrawn = (JOURNAL.to_owned(), Why::Withdrawn, 1);
    assert!(found().await.contains(&withdrawn));

    // A change that would allow more is held against the register as well.
    let more = crate::domain::profile::allowlist::with(EARLY_YEARS, &named("dpkg:paint")).unwrap();
    let apps = every::<App>(storage, Which::All).await.unwrap();
    let live = storage.profile_find("early-years").await.unwrap().unwrap();
    let new = newly_unapproved(&live, &more, &apps);
    assert_eq!(new, [named("dpkg:paint")].into());
    assert!(newly_unapproved(&live, EARLY_YEARS, &apps).is_empty());

    // Since when it is allowed, without a break.
    let at = |version| Some(Since::Version { version, at: now() });
    let (paint, journal) = (named("dpkg:paint"), named(JOURNAL));
    put(1, more.clone()).await;
    put(2, EARLY_YEARS.to_owned()).await;
    put(3, more).await;
    assert_eq!(since(storage, "early-years", &paint).await.unwrap(), at(4));
    assert_eq!(
        since(storage, "early-years", &journal).await.unwrap(),
        at(1)
    );
    assert_eq!(
        since(storage, "early-years", &named("dpkg:x"))
            .await
            .unwrap(),
        None
    );
    put(4, "name = \"not a profile\"".to_owned()).await;
    let live = LiveProfiles::load(storage).await.unwrap();
    assert_eq!(
        live.unreadable,
        ["early-years"],
        "what it allows is not known"
    );
    put(5, EARLY_YEARS.to_owned()).await;
    let at_least = Since::AtLeast {
        version: 6,
        at: now(),
    };
    assert_eq!(
        since(storage, "early-years", &journal).await.unwrap(),
        Some(at_least)
    );
}
