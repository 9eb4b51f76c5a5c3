#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::domain::registers::find;
use crate::domain::registers::testing::{House, hand};
use crate::storage::testing::now;
use crate::storage::{Operator, Role};
use jiff::civil::date;

const TODAY: Date = date(2026, 3, 10);
/// Ninety days later.
const LAST: Date = date(2026, 6, 8);

fn video() -> VideoId {
    "dQw4w9WgXcQ".parse().unwrap()
}

fn propose_on(watched_on: Date) -> Act {
    Act::Propose {
        video: video(),
        watched_on,
        approved_until: None,
    }
}

fn watch(watched_on: Date) -> Act {
    Act::Watch {
        watched_on,
        approved_until: None,
    }
}

fn approve(until: Date) -> Act {
    Act::Approve { until }
}

fn after(acts: &[Act]) -> Result<Video, Refused> {
    let mut video = None;
    for act in acts {
        video = Some(Video::after(video, act, now())?);
    }
    Ok(video.unwrap())
}

#[test]
fn an_approval_ends_ninety_days_after_somebody_watched_it_and_longer_takes_watching_again() {
    let begun = [propose_on(TODAY), approve(LAST)];
    let video = after(&begun).unwrap();
    assert_eq!(
        after(&begun[..1]).unwrap().standing(TODAY),
        Standing::Proposed
    );
    assert_eq!(video.standing(LAST), Standing::Approved);
    assert_eq!(video.standing(date(2026, 6, 9)), Standing::Expired);
    let then = |acts: &[Act]| after(&[&begun[..], acts].concat());
    assert_eq!(last_day(TODAY), LAST);
    assert!(after(&[propose_on(TODAY), approve(date(2026, 6, 9))]).is_err());
    let unwatched = then(&[approve(LAST)]).unwrap_err();
    assert!(unwatched.says.contains("in full again first"));
    let again = date(2026, 6, 1);
    let renewed = then(&[watch(again), approve(last_day(again))]).unwrap();
    assert_eq!(renewed.standing(date(2026, 8, 30)), Standing::Approved);
    // Watched again and not approved again, it ends when it would have ended.
    let waits = then(&[watch(again)]).unwrap();
    assert_eq!(waits.standing(LAST), Standing::Approved);
    assert_eq!(waits.standing(date(2026, 6, 9)), Standing::Proposed);
    assert!(then(&[watch(date(2026, 3, 9))]).is_err());
}

#[test]
fn what_was_taken_off_the_list_is_watched_and_proposed_anew() {
    let over = [propose_on(TODAY), approve(LAST), Act::Withdraw];
    assert_eq!(after(&over).unwrap().standing(TODAY), Standing::Withdrawn);
    assert!(!after(&over).unwrap().is_open());
    for act in [
        watch(TODAY),
        approve(LAST),
        propose_on(TODAY),
        Act::Withdraw,
    ] {
        assert!(after(&[&over[..], &[act]].concat()).is_err());
    }
    assert!(after(&[approve(LAST)]).is_err());
}

async fn proposed(
    house: &House,
    by: &Operator,
    watched: Watched,
) -> Result<EntryId, RegisterError> {
    let words = Words::default().line("title", "Counting to ten").unwrap();
    let wanted = (video(), watched);
    propose(&house.registers(), wanted, &words, TODAY, hand(by, now())).await
}

const fn watched(on: Date, approved_until: Option<Date>) -> Watched {
    Watched { on, approved_until }
}

fn field(answer: Result<impl Sized, RegisterError>) -> &'static str {
    match answer {
        Err(RegisterError::Refused(refused)) => refused.field,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was taken"),
    }
}

#[tokio::test]
async fn whoever_signs_watched_it_and_only_those_who_decide_approve_it() {
    let house = House::new().await;
    let sam = house.person("Sam", &[Role::ItAdmin]).await;
    let kim = house.person("Kim", &[Role::Manager]).await;
    assert_eq!(
        field(proposed(&house, &sam, watched(TODAY, Some(LAST))).await),
        "until"
    );
    let tomorrow = date(2026, 3, 11);
    assert_eq!(
        field(proposed(&house, &sam, watched(tomorrow, None)).await),
        "watched_on"
    );
    let long_ago = date(2025, 12, 9);
    assert_eq!(
        field(proposed(&house, &sam, watched(long_ago, None)).await),
        "watched_on"
    );
    let id = proposed(&house, &sam, watched(TODAY, None)).await.unwrap();
    let (registers, none) = (house.registers(), Words::default());
    let written = async |act: &Act, by: &Operator| {
        write(&registers, id, (act, &none), TODAY, hand(by, now())).await
    };
    assert_eq!(field(written(&approve(LAST), &sam).await), "");
    assert_eq!(
        field(written(&approve(date(2026, 3, 9)), &kim).await),
        "until"
    );
    written(&approve(LAST), &kim).await.unwrap();
    let kept = find::<Video>(house.storage(), id).await.unwrap().unwrap();
    assert_eq!(
        (kept.now.standing(TODAY), watched_by(&kept)),
        (Standing::Approved, "Sam")
    );
    assert!(!house.database_has("Counting to ten"));

    // Proposed again, the same entry says that somebody watched it again.
    assert_eq!(
        proposed(&house, &kim, watched(TODAY, None)).await.unwrap(),
        id
    );
    let kept = find::<Video>(house.storage(), id).await.unwrap().unwrap();
    assert_eq!((kept.lines.len(), watched_by(&kept)), (3, "Kim"));
    written(&Act::Withdraw, &sam).await.unwrap();
    let anew = proposed(&house, &kim, watched(TODAY, Some(LAST)))
        .await
        .unwrap();
    assert_ne!(anew, id);
    let kept = find::<Video>(house.storage(), anew).await.unwrap().unwrap();
    assert_eq!(kept.now.standing(TODAY), Standing::Approved);
}

#[test]
fn what_an_act_says_reads_as_it_was_written_and_no_id_is_made_up() {
    for act in [
        propose_on(TODAY),
        watch(TODAY),
        approve(LAST),
        Act::Withdraw,
    ] {
        let kept = serde_json::to_string(&act).unwrap();
        assert_eq!(serde_json::from_str::<Act>(&kept).unwrap(), act);
    }
    let wrong = r#"{"act":"propose","video":"../../other","watched_on":"2026-03-10","approved_until":null}"#;
    assert!(serde_json::from_str::<Act>(wrong).is_err());
}
