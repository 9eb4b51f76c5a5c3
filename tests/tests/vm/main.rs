//! Sentences about a whole tablet: one boot, one test per sentence, one at a time.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails is a test that fails, and says where"
)]

mod apps;
mod camera;
mod enrolment;
mod guard;
mod network;
mod passcode;
mod passcode_console;
mod radios;
mod restart;
mod stock;
mod storage;
mod unenrolment;

use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use system_tests::vm::image::Kernel;
use system_tests::vm::tablet::Tablet;

type Shared = OnceLock<Option<Mutex<Tablet>>>;

/// The one tablet, for one test at a time. Every test puts it into the state it needs first.
fn tablet() -> MutexGuard<'static, Tablet> {
    static TABLET: Shared = Shared::new();
    shared(&TABLET, Kernel::Newer)
}

fn shared(tablet: &'static Shared, kernel: Kernel) -> MutexGuard<'static, Tablet> {
    let tablet = tablet.get_or_init(|| match Tablet::set_up(kernel) {
        Ok(tablet) => Some(Mutex::new(tablet)),
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "no tablet: {problem:?}");
            None
        }
    });
    let tablet = tablet.as_ref().expect("the tablet was set up");
    tablet.lock().unwrap_or_else(PoisonError::into_inner)
}
