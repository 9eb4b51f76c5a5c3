//! The product's rules against a small model of them that was written separately, over random histories.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a question to a history concerns some facts and passes over the others"
)]

mod bundle;
mod days;
mod history;
mod known;
mod reference;
mod resolved;
mod tablet;
mod told;

use super::nursery::cases;
use history::history;
use proptest::prelude::*;

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn the_rules_and_the_model_of_them_agree_on_every_history(history in history()) {
        let mut tablet = tablet::Tablet::new(&history);
        for step in &history.steps {
            if tablet.is_over() {
                break;
            }
            tablet.take(step);
        }
    }
}
