//! Contact hours, opening days and local midnights, in ordinary weeks and where the clocks change.

use crate::nursery::{at, calendar, cases, date};
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::calendar::{Calendar, CalendarError, Closure, Day, TimeRange, shown};
use proptest::prelude::*;

fn london() -> Calendar {
    calendar(
        "Europe/London",
        &[("2026-04-03", "2026-04-06"), ("2026-12-24", "2027-01-01")],
    )
}

fn open_all_night(zone: &str) -> Calendar {
    let mut calendar = calendar(zone, &[]);
    for day in Day::ALL {
        let hours = |from: &str, to: &str| TimeRange {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
        };
        calendar
            .contact_hours
            .insert(day, vec![hours("01:30", "02:30")]);
    }
    calendar
}

fn stretch(calendar: &Calendar, day: &str) -> [String; 2] {
    let stretches = calendar.contact_on(date(day));
    assert_eq!(stretches.len(), 1);
    [stretches[0].0.to_string(), stretches[0].1.to_string()]
}

#[test]
fn contact_hours_are_local_and_end_before_their_last_minute() {
    let calendar = london();
    assert!(!calendar.in_contact_hours(at("2026-03-02T07:29:59Z")));
    assert!(calendar.in_contact_hours(at("2026-03-02T07:30:00Z")));
    assert!(!calendar.in_contact_hours(at("2026-03-02T18:30:00Z")));
    // British Summer Time.
    assert!(calendar.in_contact_hours(at("2026-06-01T06:30:00Z")));
    assert!(!calendar.in_contact_hours(at("2026-06-01T17:30:00Z")));
}

#[test]
fn contact_hours_in_a_gap_or_a_fold_are_the_longest_reading() {
    let calendar = open_all_night("Europe/London");
    // 29 March 2026: 01:00 to 02:00 does not exist.
    assert_eq!(
        stretch(&calendar, "2026-03-29"),
        ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"]
    );
    // 25 October 2026: 01:00 to 02:00 comes twice.
    assert_eq!(
        stretch(&calendar, "2026-10-25"),
        ["2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z"]
    );
}

#[test]
fn a_day_whose_midnight_does_not_exist_ends_early_and_begins_late() {
    // 8 March 2026 in Havana begins at 01:00: from 05:00 UTC on.
    let havana = calendar("America/Havana", &[]);
    assert_eq!(
        havana.end_of(date("2026-03-07")),
        at("2026-03-08T04:00:00Z")
    );
    assert_eq!(
        havana.start_of(date("2026-03-08")),
        at("2026-03-08T05:00:00Z")
    );
    assert_eq!(
        havana.local_date(at("2026-03-08T05:00:00Z")),
        date("2026-03-08")
    );
    // 29 March 2026 in Beirut likewise.
    let beirut = calendar("Asia/Beirut", &[]);
    assert_eq!(
        beirut.end_of(date("2026-03-28")),
        at("2026-03-28T21:00:00Z")
    );
    assert_eq!(
        beirut.start_of(date("2026-03-29")),
        at("2026-03-28T22:00:00Z")
    );
}

#[test]
fn a_day_whose_midnight_comes_twice_ends_at_the_first_and_begins_at_the_second() {
    // 2 November 2025 in Havana: 01:00 goes back to 00:00.
    let havana = open_all_night("America/Havana");
    assert_eq!(
        havana.end_of(date("2025-11-01")),
        at("2025-11-02T04:00:00Z")
    );
    assert_eq!(
        havana.start_of(date("2025-11-02")),
        at("2025-11-02T05:00:00Z")
    );
    // People are given the whole of the day they were promised.
    let promised = havana.after_opening_days(at("2025-10-31T12:00:00Z"), 1);
    assert_eq!(promised, at("2025-11-02T05:00:00Z"));
}

#[test]
fn opening_days_are_counted_across_weekends_and_closures() {
    let calendar = london();
    for (from, days, end) in [
        ("2026-03-02T10:00:00Z", 0, "2026-03-03T00:00:00Z"),
        ("2026-03-02T10:00:00Z", 1, "2026-03-04T00:00:00Z"),
        ("2026-03-05T10:00:00Z", 3, "2026-03-11T00:00:00Z"),
        // Good Friday to Easter Monday are closed; summer time by then.
        ("2026-04-01T10:00:00Z", 3, "2026-04-08T23:00:00Z"),
        ("2026-12-23T10:00:00Z", 1, "2027-01-05T00:00:00Z"),
        // Late on Sunday evening in UTC is Monday in summer.
        ("2026-06-07T23:30:00Z", 1, "2026-06-09T23:00:00Z"),
    ] {
        assert_eq!(
            calendar.after_opening_days(at(from), days),
            at(end),
            "{from} + {days}"
        );
    }
}

#[test]
fn a_closed_day_has_no_contact_hours() {
    let calendar = london();
    assert!(calendar.is_opening_day(date("2026-04-02")));
    for day in ["2026-04-03", "2026-04-06", "2026-04-05", "2026-03-07"] {
        assert!(!calendar.is_opening_day(date(day)), "{day}");
        assert!(calendar.contact_on(date(day)).is_empty());
    }
    assert!(!calendar.in_contact_hours(at("2026-04-03T10:00:00Z")));
    let mut named_but_empty = calendar;
    named_but_empty
        .contact_hours
        .insert(Day::Saturday, Vec::new());
    assert!(!named_but_empty.is_opening_day(date("2026-03-07")));
}

#[test]
fn the_next_change_of_contact_hours_skips_closed_days() {
    let calendar = london();
    let next = |from| calendar.next_contact_change(at(from)).unwrap().to_string();
    assert_eq!(next("2026-03-02T07:00:00Z"), "2026-03-02T07:30:00Z");
    assert_eq!(next("2026-03-02T07:30:00Z"), "2026-03-02T18:30:00Z");
    assert_eq!(next("2026-04-02T17:30:00Z"), "2026-04-07T06:30:00Z");
    let mut closed = calendar;
    closed.closures.insert(Closure {
        from: date("2000-01-01"),
        to: Date::MAX,
        reason: String::new(),
    });
    assert_eq!(closed.next_contact_change(at("2026-03-02T07:00:00Z")), None);
    // Counted as opening when the search gives up, so that nothing waits for ever.
    assert!(closed.after_opening_days(at("2026-03-02T07:00:00Z"), 3) < at("2028-06-01T00:00:00Z"));
}

#[test]
fn a_calendar_that_never_opens_or_runs_backwards_is_refused() {
    let mut never = london();
    never.contact_hours = [(Day::Monday, Vec::new())].into();
    assert_eq!(never.validate(), Err(CalendarError::NeverOpen));
    let mut point = london();
    point.contact_hours.get_mut(&Day::Monday).unwrap()[0].to = "07:30".parse().unwrap();
    assert!(matches!(
        point.validate(),
        Err(CalendarError::BackwardRange {
            day: Day::Monday,
            ..
        })
    ));
    let mut one_day = london();
    one_day.closures = [Closure {
        from: date("2026-04-03"),
        to: date("2026-04-03"),
        reason: String::new(),
    }]
    .into();
    assert_eq!(one_day.validate(), Ok(()));
    let mut nowhere = london();
    nowhere.time_zone = "Europe/Nowhere".to_owned();
    assert_eq!(
        nowhere.validate(),
        Err(CalendarError::UnknownTimeZone("Europe/Nowhere".to_owned()))
    );
}

#[test]
fn days_are_named_as_they_are_written() {
    for (index, day) in Day::ALL.into_iter().enumerate() {
        let monday = date("2026-03-02");
        let that_day = Calendar::plus_days(monday, u32::try_from(index).unwrap());
        assert_eq!(Day::of(that_day), day);
        assert_eq!(serde_json::to_string(&day).unwrap(), format!("\"{day}\""));
    }
    assert_eq!(Calendar::plus_days(date("2026-03-02"), u32::MAX), Date::MAX);
}

fn instant() -> impl Strategy<Value = Timestamp> {
    // 2025 to 2029.
    (1_735_689_600i64..1_861_920_000).prop_map(|s| Timestamp::from_second(s).unwrap())
}

fn zone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "Europe/London",
        "America/Havana",
        "Asia/Beirut",
        "Pacific/Apia",
        "UTC",
    ])
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn every_instant_lies_in_its_local_day_or_in_the_strict_margin_around_it(at in instant(), zone in zone()) {
        let calendar = calendar(zone, &[]);
        let day = calendar.local_date(at);
        let hour = jiff::SignedDuration::from_hours(1);
        prop_assert!(calendar.start_of(day) <= at + hour);
        prop_assert!(at < calendar.end_of(day) + hour);
        prop_assert!(calendar.start_of(day) < calendar.end_of(day));
        prop_assert!(calendar.end_of(day) <= calendar.start_of(day.tomorrow().unwrap()));
        prop_assert_eq!(calendar.local(at).date(), day);
    }

    #[test]
    fn contact_hours_change_only_at_the_next_change(at in instant(), zone in zone(), part in 0.0..1.0f64) {
        let calendar = calendar(zone, &[("2026-01-01", "2026-01-20")]);
        let next = calendar.next_contact_change(at).unwrap();
        prop_assert!(next > at);
        let between = at + next.duration_since(at).mul_f64(part);
        prop_assert_eq!(calendar.in_contact_hours(at), calendar.in_contact_hours(between));
        prop_assert_ne!(calendar.in_contact_hours(at), calendar.in_contact_hours(next));
    }

    #[test]
    fn more_opening_days_never_end_sooner(at in instant(), zone in zone(), days in 0u32..20) {
        let calendar = calendar(zone, &[("2026-07-20", "2026-08-14")]);
        let (fewer, more) = (calendar.after_opening_days(at, days), calendar.after_opening_days(at, days + 1));
        prop_assert!(at < fewer && fewer < more);
    }
}

#[test]
fn a_closure_without_end_is_found_also_in_pieces() {
    let closed = |closures| {
        calendar("Europe/London", closures)
            .closed_for_longer_than(60)
            .cloned()
    };
    assert_eq!(closed(&[("2026-07-20", "2026-09-17")]), None);
    assert!(closed(&[("2026-07-20", "2099-12-31")]).is_some());
    let pieces = [("2026-07-20", "2026-08-20"), ("2026-08-21", "2026-10-20")];
    assert!(closed(&pieces).is_some());
}

#[test]
fn a_time_says_its_zone_on_both_sides_of_a_change_of_clocks() {
    let at = |text: &str, zone| shown(text.parse().unwrap(), zone);
    let london = Some("Europe/London");
    assert_eq!(at("2026-07-09T07:05:59Z", london), "9 Jul 2026, 08:05 BST");
    assert_eq!(at("2026-10-25T00:30:00Z", london), "25 Oct 2026, 01:30 BST");
    assert_eq!(at("2026-10-25T01:30:00Z", london), "25 Oct 2026, 01:30 GMT");
    for none in [None, Some("Europe/Londinium")] {
        assert_eq!(at("2026-07-09T07:05:59Z", none), "9 Jul 2026, 07:05 UTC");
    }
}
