//! Once a week: that the report on the week before is ready. Nothing of what it says is in the mail.

use super::{REMEMBERED, Words};
use crate::domain::people::dsl_on;
use crate::domain::reports::Period;
use crate::domain::task::local_calendar;
use crate::storage::{AlertRound, AuditEntry, Operator, Role, Storage, StorageError};
use jiff::civil::{Date, Time, Weekday};
use jiff::{Timestamp, ToSpan as _};
use nestwarden_policy_schema::calendar::Day;
use serde_json::json;

/// When people are told, in the setting's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weekly {
    pub weekday: Day,
    pub at: Time,
}

/// Tells who is the DSL today and the managers, once for each week: on the weekday, or on the first opening day after it.
/// Harmless to repeat. Gives how many mails were put by.
pub async fn weekly(
    storage: &Storage,
    words: &Words<'_>,
    weekly: Weekly,
    now: Timestamp,
) -> Result<usize, StorageError> {
    // Without a calendar nobody knows which day it is here, and there is nothing to report either.
    let Some(calendar) = local_calendar(storage).await? else {
        return Ok(0);
    };
    let local = calendar.local(now);
    let today = local.date();
    if local.time() < weekly.at || !calendar.is_opening_day(today) {
        return Ok(0);
    }
    let period = due(weekly.weekday, today);
    let key = format!("report/{period}");
    let forget = now.checked_sub(REMEMBERED).unwrap_or(Timestamp::MIN);
    if storage.alert_list(forget).await?.contains_key(&key) {
        return Ok(0);
    }
    let addresses = storage.address_list().await?;
    let said = words.of_report(period);
    let readers = readers(storage, today).await?;
    let told = readers.iter().filter(|one| addresses.contains_key(&one.id));
    let round = AlertRound {
        mails: told.map(|one| said.to(one, &key)).collect(),
        made: vec![(key, Some(Role::Dsl))],
        ..AlertRound::default()
    };
    storage.alert_round(&round, now, forget).await?;
    let audit = AuditEntry {
        at: now,
        who: "server".to_owned(),
        act: "report.announce".to_owned(),
        subject: period.to_string(),
        detail: json!({ "people": round.mails.len() }),
    };
    storage.audit_add(&audit).await?;
    Ok(round.mails.len())
}

/// The last week of which people should have been told by today.
fn due(weekday: Day, today: Date) -> Period {
    let yesterday = today.saturating_sub(1.day());
    let since_sunday = i32::from(yesterday.weekday().since(Weekday::Sunday));
    let last = yesterday.saturating_sub(since_sunday.days());
    let following = (1..=7).map(|days: i32| last.saturating_add(days.days()));
    let told_on = following.into_iter().find(|day| Day::of(*day) == weekday);
    let last = match told_on {
        Some(day) if day <= today => last,
        Some(_) | None => last.saturating_sub(7.days()),
    };
    Period {
        first: last.saturating_sub(6.days()),
        last,
    }
}

async fn readers(storage: &Storage, today: Date) -> Result<Vec<Operator>, StorageError> {
    let people = storage.operator_list().await?;
    let dsl = dsl_on(&people, &storage.cover_list().await?, today);
    let is_dsl = |one: &Operator| dsl.as_ref().is_some_and(|lead| lead.operator.id == one.id);
    let mut readers = people;
    readers.retain(|one| is_dsl(one) || one.roles.contains(&Role::Manager));
    Ok(readers)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;
    use crate::domain::alert::set_address;
    use crate::domain::registers::testing::House;
    use crate::storage::Mail;
    use crate::storage::testing::{audit, now};
    use jiff::civil::{date, time};
    use nestwarden_policy_schema::profile::EARLY_YEARS;

    const WORDS: Words<'_> = Words {
        setting: "Little Acorns",
        origin: "https://box.example:7444",
    };
    const MONDAY: Weekly = Weekly {
        weekday: Day::Monday,
        at: time(7, 30, 0, 0),
    };

    async fn house() -> House {
        let house = House::new().await;
        let storage = house.storage();
        let log = audit("p");
        let put = storage.profile_put("early-years", 0, EARLY_YEARS, &log);
        put.await.unwrap();
        for (name, role) in [
            ("Dana", Role::Dsl),
            ("Eve", Role::Deputy),
            ("Kim", Role::Manager),
            ("Sam", Role::ItAdmin),
        ] {
            let person = house.person(name, &[role]).await;
            let address = format!("{name}@acorns.example");
            let set = set_address(storage, &person, Some(&address), "Kim", now());
            set.await.unwrap();
        }
        house
    }

    async fn mails(house: &House, at: &str) -> Vec<Mail> {
        let at = format!("2026-{at}:00Z").parse().unwrap();
        weekly(house.storage(), &WORDS, MONDAY, at).await.unwrap();
        let mails = house.storage().mail_list().await.unwrap();
        for mail in &mails {
            house.storage().mail_sent(mail, at).await.unwrap();
        }
        mails
    }

    fn names(mails: &[Mail]) -> Vec<&str> {
        let mut names: Vec<&str> = mails.iter().map(|mail| mail.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    #[tokio::test]
    async fn dsl_and_managers_are_told_once_a_week_that_a_report_is_ready_and_nothing_of_it() {
        let house = house().await;
        // 9 March is a Monday.
        let told = mails(&house, "03-09T07:30").await;
        assert_eq!(names(&told), ["Dana", "Kim"]);
        insta::assert_snapshot!(told[0].subject, @"Little Acorns: the weekly report is ready");
        insta::assert_snapshot!(told[0].body, @r"
        The safeguarding report on the week to 8 March is ready to be read, printed and signed.

        Sign in to see it: https://box.example:7444/reports?period=days&first=2026-03-02&last=2026-03-08

        No name is in this mail, and none has to be in an answer. Where mails go is said at https://box.example:7444/account
        ");
        for later in ["03-09T07:31", "03-10T12:00", "03-13T17:00", "03-16T07:29"] {
            assert!(mails(&house, later).await.is_empty(), "{later}");
        }
        assert_eq!(mails(&house, "03-16T07:30").await.len(), 2);
        let log = house
            .storage()
            .audit_of("report.announce", Timestamp::MAX, 10);
        let log = log.await.unwrap();
        let weeks: Vec<_> = log.iter().map(|entry| entry.subject.as_str()).collect();
        assert_eq!(weeks, ["2026-03-09..2026-03-15", "2026-03-02..2026-03-08"]);
    }

    #[tokio::test]
    async fn on_a_closed_day_nobody_is_told_and_on_the_next_that_is_open_they_are() {
        let house = house().await;
        assert_eq!(mails(&house, "03-09T07:30").await.len(), 2);
        // Nobody was here on the Monday after; the server was off.
        assert!(mails(&house, "03-21T12:00").await.is_empty(), "a Saturday");
        let late = mails(&house, "03-23T09:00").await;
        assert!(late[0].body.contains("first=2026-03-16&last=2026-03-22"));
    }

    #[test]
    fn the_week_is_the_last_of_which_the_day_to_tell_has_come() {
        for (weekday, today, last) in [
            (Day::Monday, date(2026, 3, 9), date(2026, 3, 8)),
            (Day::Monday, date(2026, 3, 15), date(2026, 3, 8)),
            (Day::Wednesday, date(2026, 3, 10), date(2026, 3, 1)),
            (Day::Wednesday, date(2026, 3, 11), date(2026, 3, 8)),
            // On a Sunday nobody is here: it is said on the Monday.
            (Day::Sunday, date(2026, 3, 16), date(2026, 3, 8)),
        ] {
            assert_eq!(due(weekday, today).last, last, "{weekday} {today}");
        }
    }
}
