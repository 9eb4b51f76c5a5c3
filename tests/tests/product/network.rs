//! The network goes, and comes back.

use crate::setting::{BEN, CLEO, ROOM, advance, first_day, photo_of, setting, until_sealed};
use jiff::SignedDuration;
use system_tests::fleet::Fleet;
use system_tests::profile;
use system_tests::proxy::{ChaosProxy, Weather};

/// Longer than a tablet lets a fetch hang or waits before it tries again.
const LONG_ENOUGH: SignedDuration = SignedDuration::from_mins(45);

fn setting_behind_proxy() -> (Fleet, ChaosProxy) {
    let mut fleet = setting();
    let proxy = ChaosProxy::before(fleet.server.tablets_address()).unwrap();
    fleet.server.be_reached_at(proxy.address()).unwrap();
    fleet.enrol("tablet-1", profile::NAME, &[ROOM]).unwrap();
    (fleet, proxy)
}

#[test]
fn a_tablet_without_network_holds_to_an_expiry_and_tells_when_it_is_back() {
    let (mut fleet, proxy) = setting_behind_proxy();
    let of_cleo = photo_of(&fleet, 1, &[CLEO]);
    fleet.tablets[0].wait_until_reported().unwrap();
    proxy.set(Weather::Cut);
    advance(&fleet, first_day().tomorrow().unwrap(), 1);
    until_sealed(&mut fleet, &of_cleo);
    let waiting = fleet.tablets[0].status().unwrap()["events_waiting"].as_u64();
    assert!(waiting > Some(0), "{waiting:?}");
    proxy.set(Weather::Fair);
    fleet.clock().advance(LONG_ENOUGH).unwrap();
    fleet.tablets[0].wait_until_reported().unwrap();
    let sealed = fleet.server.database().number(
        "SELECT count(*) FROM events WHERE kind = 'photo_stage' AND json_extract(body, '$.to') = 'sealed'",
    );
    assert_eq!(sealed.unwrap(), 1);
}

#[test]
fn a_withdrawal_reaches_a_tablet_whose_network_swallowed_the_answer() {
    let (mut fleet, proxy) = setting_behind_proxy();
    let of_ben = photo_of(&fleet, 1, &[BEN]);
    fleet.tablets[0].wait_until_reported().unwrap();
    proxy.set(Weather::BlackHole);
    fleet.server.withdraw(BEN).unwrap();
    assert!(of_ben.is_in_use());
    proxy.set(Weather::Fair);
    fleet.clock().advance(LONG_ENOUGH).unwrap();
    until_sealed(&mut fleet, &of_ben);
}
