//! Locking the sessions of staff through systemd-logind.

use super::bus::{Bus, BusDoor, CallError, Object};
use super::tablet::Tablet;
use crate::control::hours::{Because, Hours, HoursChange, HoursObserved, HoursWish};
use crate::control::{EnforceError, Enforcer, Reading};
use crate::paths::Paths;
use zbus::OwnedObjectPath;

const LOGIN: &str = "org.freedesktop.login1";
const LOGIN_PATH: &str = "/org/freedesktop/login1";
const LOGIN_MANAGER: &str = "org.freedesktop.login1.Manager";
const LOGIN_SESSION: &str = "org.freedesktop.login1.Session";

/// Accounts of people; below are the system's own, the sign-in screen's among them.
const FIRST_STAFF_UID: u32 = 1000;

/// Sessions of logind.
#[derive(Debug)]
pub struct HoursEnforcer {
    door: BusDoor,
    /// What was last wished for. An open tablet's sessions are nobody's business.
    wish: HoursWish,
}

/// A session at the tablet that is not locked.
#[derive(Debug)]
struct Unlocked {
    path: OwnedObjectPath,
    /// A desktop can lock its screen, a text console cannot.
    can_lock: bool,
}

/// `(id, uid, user, seat, object)` of `ListSessions`.
type ListedSession = (String, u32, String, String, OwnedObjectPath);

impl HoursEnforcer {
    pub fn new(paths: &Paths) -> Self {
        Self {
            door: BusDoor::new(&Tablet::new(paths)),
            wish: HoursWish::Locked(Because::OutOfHours),
        }
    }

    fn unlocked(&mut self) -> Result<Vec<Unlocked>, EnforceError> {
        let bus = self.door.bus()?;
        let sessions: Vec<ListedSession> = match bus.call(MANAGER, "ListSessions", &()) {
            Ok(sessions) => sessions,
            Err(CallError::Absent(_)) => {
                return Err(EnforceError::Unsupported(
                    "systemd-logind is not running, so that no session can be locked".to_owned(),
                ));
            }
            Err(e) => return Err(e.into_failed("list the sessions")),
        };
        let mut unlocked = Vec::new();
        for (_, uid, _, seat, path) in sessions {
            // Without a seat nobody sits at the tablet: an administrator who came over the network.
            if uid < FIRST_STAFF_UID || seat.is_empty() {
                continue;
            }
            match read(bus, path) {
                Ok(found) => unlocked.extend(found),
                // It ended meanwhile.
                Err(CallError::Absent(_)) => {}
                Err(e) => return Err(e.into_failed("read a session")),
            }
        }
        Ok(unlocked)
    }

    fn lock(&mut self) -> Result<(), EnforceError> {
        for session in self.unlocked()? {
            let method = if session.can_lock {
                "Lock"
            } else {
                "Terminate"
            };
            let object = Object {
                service: LOGIN,
                path: session.path.as_str(),
                interface: LOGIN_SESSION,
            };
            match self.door.bus()?.call::<_, ()>(object, method, &()) {
                Ok(()) | Err(CallError::Absent(_)) => {}
                Err(e) => return Err(e.into_failed("lock a session")),
            }
        }
        Ok(())
    }
}

const MANAGER: Object<'static> = Object {
    service: LOGIN,
    path: LOGIN_PATH,
    interface: LOGIN_MANAGER,
};

fn read(bus: &Bus, path: OwnedObjectPath) -> Result<Option<Unlocked>, CallError> {
    let object = Object {
        service: LOGIN,
        path: path.as_str(),
        interface: LOGIN_SESSION,
    };
    let class: String = bus.get(object, "Class")?;
    let state: String = bus.get(object, "State")?;
    let kind: String = bus.get(object, "Type")?;
    let is_locked: bool = bus.get(object, "LockedHint")?;
    let is_in_use = class.starts_with("user") && state != "closing" && !is_locked;
    let can_lock = kind != "tty";
    Ok(is_in_use.then_some(Unlocked { path, can_lock }))
}

impl Enforcer<Hours> for HoursEnforcer {
    fn observe(&mut self) -> Result<HoursObserved, EnforceError> {
        let unlocked = match self.wish {
            HoursWish::Open => Reading::Seen(0),
            HoursWish::Locked(_) => Reading::from(self.unlocked().map(|found| found.len())),
        };
        Ok(HoursObserved { unlocked })
    }

    fn apply(&mut self, change: &HoursChange) -> Result<(), EnforceError> {
        match change {
            HoursChange::Lock { .. } => self.lock(),
            HoursChange::Unread(unread) => Err(unread.into()),
        }
    }

    fn watch(&mut self, desired: &HoursWish) -> Result<(), EnforceError> {
        self.wish = *desired;
        Ok(())
    }

    /// A session is unlocked by whoever it belongs to; nothing of ours stays behind.
    fn release(&mut self) -> Result<(), EnforceError> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "hours_tests.rs"]
mod tests;
