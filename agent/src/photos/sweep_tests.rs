//! Many photos: page by page, few slow acts at once, and a newer word between two pages.

use super::burst::MOST;
use super::engine::{Passed, Scope};
use super::jobs::Job;
use super::listing::Tags;
use super::sweep::{MOST_BUSY, Progress};
use super::testing::{Server, Tablet, child, jpeg};
use nestwarden_policy_schema::consent::{ConsentState, Stage, Tagging};
use nestwarden_policy_schema::event::EventBody;
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use std::collections::BTreeSet;

const MANY: u8 = 11;

fn many_of_one() -> Tablet {
    let mut tablet = Tablet::new();
    for seed in 0..MANY {
        tablet.write(&format!("{seed:02}.jpg"), &jpeg(seed));
    }
    tablet.look();
    for listing in tablet.list() {
        tablet.tag(listing.id, &[1]);
    }
    tablet
}

/// What a sweep does of a batch of withdrawn photos before a hold of `category` on the child arrives, and after.
fn held_in_the_middle(category: HoldCategory) -> Tablet {
    let mut tablet = many_of_one();
    tablet.set_consent(1, ConsentState::Withdrawn);
    let step = |tablet: &mut Tablet| {
        tablet.with(|engine, moment| engine.sweep_on(moment).map(|(_, progress)| progress))
    };
    tablet.with(super::engine::Engine::sweep_begin).unwrap();
    assert_eq!(step(&mut tablet).unwrap(), Progress::GoesOn);
    assert_eq!(tablet.pictures().len(), usize::from(MANY) - MOST);
    let scope = HoldScope::Child { child: child(1) };
    tablet.hold(scope, category);
    tablet.settle();
    tablet
}

#[test]
fn a_freeze_that_arrives_in_the_middle_of_a_batch_stops_the_rest() {
    let mut tablet = held_in_the_middle(HoldCategory::IllegalContent);
    // What was withheld stays, and nothing goes further.
    assert_eq!(tablet.pictures().len(), usize::from(MANY) - MOST);
    assert!(
        tablet
            .list()
            .iter()
            .all(|l| l.frozen && l.stage <= Stage::Withheld)
    );
    tablet.release_holds();
    tablet.settle();
    assert!(tablet.list().iter().all(|l| l.stage == Stage::Sealed));
    tablet.assert_sound();
}

#[test]
fn any_other_hold_in_the_middle_of_a_batch_lets_the_rest_be_sealed_and_keeps_all() {
    let mut tablet = held_in_the_middle(HoldCategory::Safeguarding);
    assert!(tablet.list().iter().all(|l| l.stage == Stage::Sealed));
    assert!(tablet.pictures().is_empty());
    tablet.pass_hours(96);
    tablet.settle();
    assert_eq!(tablet.stages()[&Stage::Sealed], u64::from(MANY));
    assert!(tablet.receipts().is_empty());
    tablet.assert_sound();
}

#[test]
fn a_hold_in_the_middle_of_destruction_stops_it_and_receipts_show_what_went() {
    let mut tablet = many_of_one();
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    tablet.pass_hours(96);
    let passed = tablet
        .with(|engine, moment| engine.pass(moment, &Scope::All))
        .unwrap();
    let vaults = tablet.engine.as_ref().unwrap().vaults();
    let mut jobs = passed.jobs.into_iter().filter(|job| job.photo().is_some());
    let (first, second) = (jobs.next().unwrap(), jobs.next().unwrap());
    drop(jobs);
    let done = first.run(&vaults);
    tablet
        .with(|engine, moment| engine.finish(moment, done))
        .unwrap();
    let scope = HoldScope::Child { child: child(1) };
    tablet.hold(scope, HoldCategory::Complaint);
    tablet.with(super::engine::Engine::sweep_begin).unwrap();
    let done = second.run(&vaults);
    tablet
        .with(|engine, moment| engine.finish(moment, done))
        .unwrap();
    tablet.restart();
    tablet.settle();
    assert_eq!(tablet.stages()[&Stage::Destroyed], 1);
    assert_eq!(tablet.receipts().len(), 1);
    assert_eq!(tablet.stages()[&Stage::Sealed], u64::from(MANY) - 1);
}

#[test]
fn work_whose_reason_went_ends_and_that_is_no_trouble_of_its_photo() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    let seal = passed(&mut tablet).jobs;
    tablet.set_consent(1, ConsentState::Given);
    passed(&mut tablet);
    run(&mut tablet, seal);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Live);
    tablet.set_consent(1, ConsentState::Withdrawn);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.set_consent(1, ConsentState::Given);
    tablet.server = Server::Authorises;
    let asks = passed(&mut tablet).asks;
    let open = tablet.ask(asks[0]).unwrap();
    tablet.set_consent(1, ConsentState::Withdrawn);
    passed(&mut tablet);
    run(&mut tablet, open);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    let told = |event| matches!(event, EventBody::PhotoIncomplete { .. });
    assert!(!tablet.events().into_iter().any(told));
    tablet.assert_sound();
}

fn passed(tablet: &mut Tablet) -> Passed {
    let passed = tablet.with(|engine, moment| engine.pass(moment, &Scope::All));
    passed.unwrap()
}

fn run(tablet: &mut Tablet, jobs: impl IntoIterator<Item = Job>) {
    let vaults = tablet.engine.as_ref().unwrap().vaults();
    for job in jobs {
        let done = job.run(&vaults);
        let finished = tablet.with(|engine, moment| engine.finish(moment, done));
        finished.unwrap();
    }
}

#[test]
fn all_are_withheld_first_and_few_are_sealed_at_once() {
    let mut tablet = many_of_one();
    tablet.set_consent(1, ConsentState::Withdrawn);
    let seals = |passed: &Passed| passed.jobs.iter().filter(|j| j.photo().is_some()).count();
    let mut passed = tablet
        .with(|engine, moment| engine.pass(moment, &Scope::All))
        .unwrap();
    assert!(tablet.pictures().is_empty());
    assert_eq!(tablet.stages()[&Stage::Withheld], u64::from(MANY));
    let vaults = tablet.engine.as_ref().unwrap().vaults();
    let mut under_way = seals(&passed);
    let mut sealed = 0;
    while let Some(job) = passed.jobs.pop() {
        assert!(under_way <= MOST_BUSY, "{under_way}");
        let Some(photo) = job.photo() else { continue };
        let done = job.run(&vaults);
        let again = tablet.with(|engine, moment| engine.finish(moment, done));
        assert_eq!(again.unwrap(), BTreeSet::from([photo]));
        let more = tablet
            .with(|engine, moment| engine.pass(moment, &Scope::Only(BTreeSet::from([photo]))))
            .unwrap();
        sealed += 1;
        under_way = under_way - 1 + seals(&more);
        passed.jobs.extend(more.jobs);
    }
    assert_eq!(sealed, MANY, "the rest follows by itself");
    tablet.assert_sound();
}

#[test]
fn what_is_said_late_of_one_photo_is_not_forgotten_while_many_others_wait() {
    let mut tablet = Tablet::new();
    for seed in 0..MANY {
        tablet.write(&format!("{seed:02}.jpg"), &jpeg(seed));
    }
    tablet.look();
    let ids: Vec<_> = tablet.list().iter().map(|l| l.id).collect();
    for id in &ids[1..] {
        tablet.tag(*id, &[1]);
    }
    tablet.tag(ids[0], &[2]);
    tablet.set_consent(1, ConsentState::Withdrawn);
    let mut passed = tablet
        .with(|engine, moment| engine.pass(moment, &Scope::All))
        .unwrap();
    // The sweep is past it, and every place among the slow acts is taken.
    let tags = Tags {
        tagging: Tagging::Complete,
        confirmed: BTreeSet::from([child(1), child(2)]),
        unregistered_person: false,
        care_record: false,
    };
    let late = tablet
        .with(|engine, moment| {
            let tagged = engine.tag(moment, ids[0], &tags)?;
            engine.pass(moment, &Scope::Only(tagged))
        })
        .unwrap();
    passed.jobs.extend(late.jobs);
    let vaults = tablet.engine.as_ref().unwrap().vaults();
    while let Some(job) = passed.jobs.pop() {
        let done = job.run(&vaults);
        let more = tablet
            .with(|engine, moment| {
                let again = engine.finish(moment, done)?;
                engine.pass(moment, &Scope::Only(again))
            })
            .unwrap();
        passed.jobs.extend(more.jobs);
    }
    assert!(tablet.list().iter().all(|l| l.stage == Stage::Sealed));
    tablet.assert_sound();
}

#[test]
fn more_photos_spoken_of_at_once_than_are_sealed_at_once_follow_by_themselves() {
    let mut tablet = many_of_one();
    tablet.set_consent(2, ConsentState::Withdrawn);
    tablet.settle();
    let ids: Vec<_> = tablet.list().iter().map(|l| l.id).collect();
    let tags = Tags {
        tagging: Tagging::Complete,
        confirmed: BTreeSet::from([child(1), child(2)]),
        unregistered_person: false,
        care_record: false,
    };
    let mut jobs = Vec::new();
    for id in &ids[..MOST_BUSY + 2] {
        let more = tablet.with(|engine, moment| {
            let tagged = engine.tag(moment, *id, &tags)?;
            engine.pass(moment, &Scope::Only(tagged))
        });
        jobs.extend(more.unwrap().jobs);
    }
    let vaults = tablet.engine.as_ref().unwrap().vaults();
    while let Some(job) = jobs.pop() {
        let done = job.run(&vaults);
        let more = tablet.with(|engine, moment| {
            let again = engine.finish(moment, done)?;
            engine.pass(moment, &Scope::Only(again))
        });
        jobs.extend(more.unwrap().jobs);
    }
    assert_eq!(tablet.stages()[&Stage::Sealed], MOST_BUSY as u64 + 2);
    tablet.assert_sound();
}
