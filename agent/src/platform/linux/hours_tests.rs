#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::unused_self,
    reason = "the shape of a served interface is the bus's"
)]

use super::super::bus::testing::{FakeServices, fake_bus};
use super::*;
use crate::control::{Control, Unread};
use std::sync::{Arc, Mutex};

#[derive(Clone, Debug)]
struct Session {
    uid: u32,
    seat: &'static str,
    kind: &'static str,
    class: &'static str,
    locked: bool,
    ended: bool,
}

const LOCKED: HoursWish = HoursWish::Locked(Because::OutOfHours);

const DESKTOP: Session = Session {
    uid: 1000,
    seat: "seat0",
    kind: "wayland",
    class: "user",
    locked: false,
    ended: false,
};

type Sessions = Arc<Mutex<Vec<Session>>>;

struct FakeLogin(Sessions);

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl FakeLogin {
    fn list_sessions(&self) -> Vec<(String, u32, String, String, OwnedObjectPath)> {
        let sessions = self.0.lock().unwrap();
        let listed = sessions.iter().enumerate().filter(|(_, s)| !s.ended);
        listed
            .map(|(n, s)| {
                let path = OwnedObjectPath::try_from(path_of(n)).unwrap();
                (n.to_string(), s.uid, String::new(), s.seat.to_owned(), path)
            })
            .collect()
    }
}

struct FakeSession(Sessions, usize);

#[zbus::interface(name = "org.freedesktop.login1.Session")]
impl FakeSession {
    fn lock(&self) {
        self.0.lock().unwrap()[self.1].locked = true;
    }

    fn terminate(&self) {
        self.0.lock().unwrap()[self.1].ended = true;
    }

    #[zbus(property)]
    fn class(&self) -> String {
        self.0.lock().unwrap()[self.1].class.to_owned()
    }

    #[zbus(property)]
    fn state(&self) -> String {
        "active".to_owned()
    }

    #[zbus(property, name = "Type")]
    fn kind(&self) -> String {
        self.0.lock().unwrap()[self.1].kind.to_owned()
    }

    #[zbus(property)]
    fn locked_hint(&self) -> bool {
        self.0.lock().unwrap()[self.1].locked
    }
}

fn path_of(n: usize) -> String {
    format!("{LOGIN_PATH}/session/_{n}")
}

fn tablet_with(sessions: Vec<Session>) -> (HoursEnforcer, Sessions, FakeServices) {
    let count = sessions.len();
    let sessions: Sessions = Arc::new(Mutex::new(sessions));
    let served = Arc::clone(&sessions);
    let (bus, services) = fake_bus(move |builder| {
        let manager = builder.serve_at(LOGIN_PATH, FakeLogin(Arc::clone(&served)));
        (0..count).fold(manager, |builder, n| {
            builder.serve_at(path_of(n), FakeSession(Arc::clone(&served), n))
        })
    });
    let tablet = Tablet::new(&Paths::new("/nonexistent"));
    let enforcer = HoursEnforcer {
        door: BusDoor::with(&tablet, bus),
        wish: LOCKED,
    };
    (enforcer, sessions, services)
}

#[test]
fn desktops_are_locked_consoles_ended_and_others_left_alone() {
    let (mut enforcer, sessions, _services) = tablet_with(vec![
        DESKTOP,
        Session {
            kind: "tty",
            ..DESKTOP
        },
        Session {
            seat: "",
            ..DESKTOP
        },
        Session { uid: 0, ..DESKTOP },
        Session {
            uid: 120,
            class: "greeter",
            ..DESKTOP
        },
    ]);
    let observed = enforcer.observe().unwrap();
    let changes = Hours::diff(&LOCKED, &observed);
    assert_eq!(
        changes,
        [HoursChange::Lock {
            sessions: 2,
            because: Because::OutOfHours
        }]
    );
    enforcer.apply(&changes[0]).unwrap();
    assert_eq!(Hours::diff(&LOCKED, &enforcer.observe().unwrap()), []);
    let after = sessions.lock().unwrap();
    let touched: Vec<_> = after.iter().map(|s| (s.locked, s.ended)).collect();
    let nothing = (false, false);
    assert_eq!(
        touched,
        [(true, false), (false, true), nothing, nothing, nothing]
    );
}

#[test]
fn a_session_unlocked_again_is_found_again() {
    let (mut enforcer, sessions, _services) = tablet_with(vec![DESKTOP]);
    enforcer
        .apply(&HoursChange::Lock {
            sessions: 1,
            because: Because::Lost,
        })
        .unwrap();
    assert_eq!(enforcer.observe().unwrap().unlocked, Reading::Seen(0));
    sessions.lock().unwrap()[0].locked = false;
    assert_eq!(enforcer.observe().unwrap().unlocked, Reading::Seen(1));
}

#[test]
fn while_the_tablet_is_open_nobody_looks_at_sessions() {
    let mut enforcer = HoursEnforcer::new(&Paths::new("/nonexistent"));
    enforcer.watch(&HoursWish::Open).unwrap();
    assert_eq!(enforcer.observe().unwrap().unlocked, Reading::Seen(0));
}

#[test]
fn beneath_a_confined_root_no_bus_is_asked() {
    let mut enforcer = HoursEnforcer::new(&Paths::new("/nonexistent"));
    assert_eq!(
        enforcer.observe().unwrap().unlocked,
        Reading::Unread(Unread::Unsupported(
            "the system bus is not available in a confined root".to_owned()
        ))
    );
}

#[test]
fn a_bus_without_logind_reads_unsupported() {
    let (bus, _services) = fake_bus(|builder| builder);
    let tablet = Tablet::new(&Paths::new("/nonexistent"));
    let mut enforcer = HoursEnforcer {
        door: BusDoor::with(&tablet, bus),
        wish: LOCKED,
    };
    assert!(matches!(
        enforcer.observe().unwrap().unlocked,
        Reading::Unread(Unread::Unsupported(_))
    ));
}
