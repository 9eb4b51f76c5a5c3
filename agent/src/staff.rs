//! Who may use what is for staff: root, the agent's own user, and the members of the tablet's staff group.

use crate::settings::Settings;
use std::ffi::CString;

/// Asked of the machine's user database each time, because people come and go.
#[derive(Clone, Copy, Debug)]
pub struct Staff {
    gid: Option<u32>,
}

impl Staff {
    pub fn new(settings: &Settings) -> Self {
        Self {
            gid: settings.staff_group.as_ref().map(|group| group.gid),
        }
    }

    /// The group that may read what is for staff; `None`: root alone.
    pub fn gid(self) -> Option<u32> {
        self.gid
    }

    /// `gid`: the group in use, where the kernel tells it.
    pub fn includes(self, uid: u32, gid: Option<u32>) -> bool {
        let own = nix::unistd::geteuid().as_raw();
        uid == 0
            || uid == own
            || self
                .gid
                .is_some_and(|staff| gid == Some(staff) || is_member(uid, staff))
    }
}

/// Whether the user database has them in the group; the kernel tells only of the group in use.
fn is_member(uid: u32, staff: u32) -> bool {
    let Ok(Some(user)) = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)) else {
        return false;
    };
    let Ok(name) = CString::new(user.name) else {
        return false;
    };
    nix::unistd::getgrouplist(&name, user.gid)
        .is_ok_and(|groups| groups.iter().any(|gid| gid.as_raw() == staff))
}
