//! Random days in the life of a tablet: whatever happens in whatever order, and wherever the power goes, what must hold
//! holds once the tablet has come to rest.

use super::error::PhotosError;
use super::fault::armed;
use super::testing::{Server, Tablet, child, jpeg};
use nestwarden_policy_schema::consent::ConsentState;
use nestwarden_policy_schema::hold::{HoldCategory, HoldScope};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Write { name: u8, content: u8 },
    Copy { from: u8, to: u8 },
    Link { from: u8, to: u8 },
    Rename { from: u8, to: u8 },
    Remove { name: u8 },
    Edit { name: u8 },
    Tag { photo: u8, children: Vec<u8> },
    Consent { child: u8, given: bool },
    Doubt(bool),
    Hold { child: u8, freezes: bool },
    Release,
    Hours(u8),
    Cut { instants: u8, look: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..4u8;
    prop_oneof![
        4 => (name.clone(), 0..4u8).prop_map(|(name, content)| Step::Write { name, content }),
        2 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Copy { from, to }),
        1 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Link { from, to }),
        1 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Rename { from, to }),
        1 => name.clone().prop_map(|name| Step::Remove { name }),
        1 => name.prop_map(|name| Step::Edit { name }),
        3 => (0..4u8, proptest::collection::vec(1..4u8, 1..3))
            .prop_map(|(photo, children)| Step::Tag { photo, children }),
        3 => (1..4u8, any::<bool>()).prop_map(|(child, given)| Step::Consent { child, given }),
        1 => any::<bool>().prop_map(Step::Doubt),
        1 => (1..4u8, any::<bool>()).prop_map(|(child, freezes)| Step::Hold { child, freezes }),
        1 => Just(Step::Release),
        2 => prop_oneof![Just(1u8), Just(24), Just(96), Just(200)].prop_map(Step::Hours),
        3 => (0..60u8, any::<bool>()).prop_map(|(instants, look)| Step::Cut { instants, look }),
    ]
}

fn name(number: u8) -> String {
    format!("{number}.jpg")
}

/// What people do may fail, as it would: the photo is no longer there.
fn take(tablet: &mut Tablet, step: &Step) {
    let path = |number: &u8| tablet.path(&name(*number));
    match step {
        Step::Write { name, content } => std::fs::write(path(name), jpeg(*content)).unwrap(),
        Step::Copy { from, to } => {
            if let Ok(bytes) = std::fs::read(path(from)) {
                std::fs::write(path(to), bytes).unwrap();
            }
        }
        Step::Link { from, to } => {
            let _ = std::fs::hard_link(path(from), path(to));
        }
        Step::Rename { from, to } => {
            let _ = std::fs::rename(path(from), path(to));
        }
        Step::Remove { name } => {
            let _ = std::fs::remove_file(path(name));
        }
        Step::Edit { name } => {
            let file = std::fs::OpenOptions::new().append(true).open(path(name));
            if let Ok(mut file) = file {
                std::io::Write::write_all(&mut file, b"edited").unwrap();
            }
        }
        Step::Tag { photo, children } => {
            let listed = tablet.list();
            if let Some(listing) = listed.get(usize::from(*photo)) {
                let (id, said) = (listing.id, listing.confirmed.clone());
                // Names may be added and never taken away.
                let names = (0..=u8::MAX)
                    .filter(|n| children.contains(n) || said.contains(&child(u128::from(*n))));
                match tablet.try_tag(id, &names.map(u128::from).collect::<Vec<_>>()) {
                    // Nobody says of a photo that nobody sees that no one else is in it.
                    Ok(()) | Err(PhotosError::Sealed(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        Step::Consent { child, given } => {
            let state = if *given {
                ConsentState::Given
            } else {
                ConsentState::Withdrawn
            };
            tablet.set_consent(u128::from(*child), state);
        }
        Step::Doubt(doubtful) => tablet.now.doubtful = *doubtful,
        Step::Hold {
            child: number,
            freezes,
        } => {
            let scope = HoldScope::Child {
                child: child(u128::from(*number)),
            };
            let category = if *freezes {
                HoldCategory::IllegalContent
            } else {
                HoldCategory::Safeguarding
            };
            tablet.hold(scope, category);
        }
        Step::Release => tablet.release_holds(),
        Step::Hours(hours) => tablet.pass_hours(i64::from(*hours)),
        Step::Cut { instants, look } => {
            armed::cut_after(u64::from(*instants));
            let _ = if *look {
                tablet.try_look()
            } else {
                tablet.try_settle()
            };
            armed::restore_power();
            tablet.restart();
        }
    }
}

/// Through all of it, to rest.
fn live(tablet: &mut Tablet, steps: &[Step]) {
    for (at, step) in steps.iter().enumerate() {
        take(tablet, step);
        // Sometimes several things happen before anybody looks.
        if at % 3 != 2 {
            tablet.look();
            tablet.assert_sound();
        }
    }
    tablet.release_holds();
    tablet.now.doubtful = false;
    tablet.look();
    tablet.assert_sound();
}

/// Each case is a whole tablet on a real disk, so few by default; `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES");
    asked
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(16)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_photo_is_left_half_way(steps in proptest::collection::vec(step(), 1..24)) {
        let mut tablet = Tablet::new();
        tablet.server = Server::Authorises;
        live(&mut tablet, &steps);
    }
}

#[test]
fn a_copy_of_a_frozen_photo_whose_names_were_written_over_is_sealed_once_the_freeze_ends() {
    let mut tablet = Tablet::new();
    tablet.server = Server::Authorises;
    let steps = [
        Step::Write {
            name: 2,
            content: 0,
        },
        Step::Copy { from: 2, to: 3 },
        Step::Hold {
            child: 1,
            freezes: true,
        },
        Step::Hours(96),
        Step::Hours(200),
        Step::Edit { name: 2 },
        Step::Write {
            name: 3,
            content: 1,
        },
        Step::Write {
            name: 0,
            content: 0,
        },
    ];
    live(&mut tablet, &steps);
}
