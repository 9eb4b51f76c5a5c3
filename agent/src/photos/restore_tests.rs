//! What was only withheld comes back when nothing speaks against it any more; what was sealed leaves no plaintext.

use super::engine::Scope;
use super::jobs::Done;
use super::testing::Tablet;
use nestwarden_policy_schema::consent::{ConsentState, Stage};
use nestwarden_policy_schema::event::EventBody;

#[test]
fn what_comes_back_into_use_is_told_once() {
    let mut tablet = Tablet::new();
    let photo = tablet.photo_of_one("a.jpg");
    tablet.now.doubtful = true;
    tablet.settle();
    tablet.now.doubtful = false;
    tablet.settle();
    tablet.look();
    let steps = |event| {
        let EventBody::PhotoStage {
            from,
            to,
            photo: of,
            ..
        } = event
        else {
            return None;
        };
        (of == photo).then_some((from, to))
    };
    let steps: Vec<(Stage, Stage)> = tablet.events().into_iter().filter_map(steps).collect();
    assert_eq!(
        steps,
        [
            (Stage::Live, Stage::Withheld),
            (Stage::Withheld, Stage::Live)
        ]
    );
}

#[test]
fn a_photo_that_cannot_be_brought_back_is_told_and_keeps_no_other_away() {
    let mut tablet = Tablet::new();
    let lost = tablet.photo_of_one("a.jpg");
    let name = |tablet: &Tablet| tablet.vault().into_keys().next().unwrap();
    tablet.now.doubtful = true;
    tablet.settle();
    let gone = name(&tablet);
    tablet.now.doubtful = false;
    tablet.settle();
    tablet.write("b.jpg", &super::testing::jpeg(2));
    tablet.look();
    let other = tablet.list().into_iter().find(|l| l.id != lost).unwrap().id;
    tablet.tag(other, &[1]);
    tablet.now.doubtful = true;
    tablet.settle();
    std::fs::remove_file(tablet.vault_dir().join(&gone)).unwrap();
    tablet.now.doubtful = false;
    tablet.settle();
    assert_eq!(tablet.pictures().into_keys().collect::<Vec<_>>(), ["b.jpg"]);
    let told = tablet.events().into_iter().filter(|event| {
        matches!(event, EventBody::PhotoIncomplete { photo, stage, .. } if *photo == lost && *stage == Stage::Live)
    });
    assert_eq!(told.count(), 1);
}

#[test]
fn a_photo_comes_back_under_the_name_of_one_that_took_its_place_and_is_gone_again() {
    let mut tablet = Tablet::new();
    let first = tablet.photo_of_one("a.jpg");
    tablet.now.doubtful = true;
    tablet.settle();
    tablet.now.doubtful = false;
    // Seen under the same name, and gone before anything was heard of that.
    tablet.write("a.jpg", &super::testing::jpeg(2));
    tablet.try_absorb().unwrap();
    std::fs::remove_file(tablet.path("a.jpg")).unwrap();
    tablet.settle();
    assert_eq!(tablet.pictures()["a.jpg"], super::testing::jpeg(1));
    let there = tablet.list().into_iter().filter(|l| l.files > 0);
    assert_eq!(there.map(|l| l.id).collect::<Vec<_>>(), [first]);
    tablet.look();
    tablet.assert_sound();
}

#[test]
fn a_plaintext_that_cannot_be_removed_is_told_and_goes_as_soon_as_it_can() {
    let mut tablet = Tablet::new();
    tablet.photo_of_one("a.jpg");
    tablet.set_consent(1, ConsentState::Withdrawn);
    let passed = tablet.with(|engine, moment| engine.pass(moment, &Scope::All).unwrap());
    let plain = tablet
        .vault_dir()
        .join(tablet.vault().into_keys().next().unwrap());
    let vaults = tablet.engine.as_ref().unwrap().vaults();
    let done: Vec<Done> = passed
        .jobs
        .into_iter()
        .map(|job| job.run(&vaults))
        .collect();
    // In the place of what is sealed by now lies something that is no file.
    std::fs::remove_file(&plain).unwrap();
    std::fs::create_dir(&plain).unwrap();
    for done in done {
        tablet.with(|engine, moment| {
            let again = engine.finish(moment, done).unwrap();
            engine.pass(moment, &Scope::Only(again)).unwrap();
        });
    }
    let told = tablet.events().into_iter().any(|event| {
        matches!(event, EventBody::PhotoIncomplete { stage: Stage::Sealed, problem, .. } if problem.starts_with("the plaintext could not be removed"))
    });
    assert!(told);
    std::fs::remove_dir(&plain).unwrap();
    tablet.pass_hours(1);
    tablet.settle();
    assert_eq!(tablet.only().stage, Stage::Sealed);
    tablet.assert_sound();
}
