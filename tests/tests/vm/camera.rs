//! A camera of the kernel's own invention.

use super::tablet;
use system_tests::vm::nursery::{Hours, Profile};

#[test]
fn the_camera_is_closed_out_of_contact_hours_and_open_in_them() {
    let tablet = tablet();
    tablet
        .done("modprobe vivid n_devs=1 node_types=0x1")
        .unwrap();
    for (hours, is_open) in [
        (Hours::Contact, true),
        (Hours::Closed, false),
        (Hours::Contact, true),
    ] {
        tablet.hold_to(&Profile::in_hours(hours)).unwrap();
        tablet
            .until("the camera as the hours have it", |tablet| {
                let mode = tablet.done("stat -c %a /dev/video0")?;
                Ok(((mode.trim() != "0") == is_open).then_some(()))
            })
            .unwrap();
    }
}
