//! Deeds of a nursery, done with the product and read by the model; after each, both must see every photo in one stage.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a question to a history concerns some facts and passes over the others"
)]

#[path = "../../../../policy-schema/tests/rules/model/days.rs"]
mod days;
mod deed;
mod device;
mod hand;
#[path = "../../../../policy-schema/tests/rules/model/history.rs"]
#[expect(dead_code, reason = "histories are made of deeds here")]
mod history;
#[path = "../../../../policy-schema/tests/rules/model/known.rs"]
mod known;
mod office;
mod reading;
#[path = "../../../../policy-schema/tests/rules/model/reference.rs"]
#[expect(dead_code, reason = "asked for stages alone")]
mod reference;
#[path = "../../../../policy-schema/tests/rules/model/resolved.rs"]
mod resolved;
mod shot;
#[path = "../../../../policy-schema/tests/rules/model/told.rs"]
#[expect(dead_code, reason = "begun in another way here")]
mod told;
mod world;

use proptest::prelude::*;

proptest! {
    // Each case is a server and a tablet with their disks; `tests/run --long` asks for thousands.
    #![proptest_config(super::nursery::cases(150))]

    #[test]
    fn every_photo_is_where_the_model_of_the_rules_has_it(deeds in deed::deeds()) {
        let mut world = world::World::open();
        for deed in &deeds.0 {
            world.live(deed);
        }
        world.close();
    }
}
