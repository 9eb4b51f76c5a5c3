//! Passcode ages in /etc/shadow, see shadow(5). Lines and fields that are not ours to change stay as they are.

use super::tablet::Tablet;
use crate::control::EnforceError;
use rustix::fs::{FlockOperation, Mode, OFlags, fcntl_lock, open};
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;

const SHADOW_PATH: &str = "/etc/shadow";
const PASSWD_PATH: &str = "/etc/passwd";
/// The lock of lckpwdf(3), which the shadow tools and pam_unix take.
const LOCK_PATH: &str = "/etc/.pwd.lock";

/// Accounts of people, as Debian numbers them.
const STAFF: Range<u32> = 1000..60000;

const HASH: usize = 1;
const LAST_CHANGE: usize = 2;
const MAX_AGE: usize = 4;

/// An account of staff that can sign in, with its fields in shadow. Never printed: it holds a hash.
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) name: String,
    pub(super) hash: String,
    /// Days since 1970; 0: has to change at the next sign-in.
    pub(super) last_change: Option<i64>,
    pub(super) max_days: Option<u32>,
}

/// The accounts of staff that can sign in with a passcode, or without one.
pub(super) fn accounts(tablet: &Tablet) -> Result<Vec<Account>, EnforceError> {
    let passwd = read(tablet, PASSWD_PATH)?;
    let shadow = read(tablet, SHADOW_PATH)?;
    let staff = parse_passwd(&passwd);
    let mut found = Vec::new();
    for line in shadow.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let Some((uid, _)) = staff.iter().find(|(_, name)| *name == fields[0]) else {
            continue;
        };
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        // `!` and `*` open no account.
        if !field(HASH).starts_with(['!', '*']) {
            found.push(Account {
                uid: *uid,
                name: fields[0].to_owned(),
                hash: field(HASH).to_owned(),
                last_change: field(LAST_CHANGE).parse().ok(),
                max_days: field(MAX_AGE).parse().ok(),
            });
        }
    }
    Ok(found)
}

/// What of an account's line is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    /// The text of the field; empty: no limit.
    MaxAge(&'a str),
    ChangeAtNextSignIn,
    /// Days since 1970.
    LastChange(i64),
}

/// Sets one field of one account under the lock of the shadow tools.
pub(super) fn set(tablet: &Tablet, uid: u32, field: Field<'_>) -> Result<(), EnforceError> {
    let _lock = lock(tablet)?;
    let passwd = read(tablet, PASSWD_PATH)?;
    let shadow = read(tablet, SHADOW_PATH)?;
    let staff = parse_passwd(&passwd);
    let name = staff
        .iter()
        .find(|(number, _)| *number == uid)
        .map(|(_, name)| *name)
        .ok_or_else(|| EnforceError::Unreadable(format!("account {uid} is gone")))?;
    let edited = edit(&shadow, name, field).ok_or_else(|| {
        EnforceError::Unreadable(format!("`{SHADOW_PATH}` has no line for account {uid}"))
    })?;
    if edited == shadow {
        return Ok(());
    }
    tablet.rewrite(SHADOW_PATH, &edited)
}

fn edit(shadow: &str, name: &str, field: Field<'_>) -> Option<String> {
    let (at, value) = match field {
        Field::MaxAge(text) => (MAX_AGE, text.to_owned()),
        Field::ChangeAtNextSignIn => (LAST_CHANGE, "0".to_owned()),
        Field::LastChange(days) => (LAST_CHANGE, days.to_string()),
    };
    let mut is_found = false;
    let lines = shadow.split_inclusive('\n').map(|line| {
        let mut fields: Vec<&str> = line.trim_end_matches('\n').split(':').collect();
        if fields[0] != name || fields.len() <= at {
            return line.to_owned();
        }
        is_found = true;
        fields[at] = &value;
        let end = if line.ends_with('\n') { "\n" } else { "" };
        fields.join(":") + end
    });
    let edited: String = lines.collect();
    is_found.then_some(edited)
}

/// `(uid, name)` of the accounts of people.
fn parse_passwd(text: &str) -> Vec<(u32, &str)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let uid = fields.nth(1)?.parse().ok()?;
            STAFF.contains(&uid).then_some((uid, name))
        })
        .collect()
}

fn read(tablet: &Tablet, path: &str) -> Result<String, EnforceError> {
    match tablet.read(path)? {
        Some(text) => Ok(text),
        None if tablet.is_whole_machine() => {
            Err(EnforceError::Unreadable(format!("`{path}` is missing")))
        }
        None => Err(Tablet::confined("the list of accounts")),
    }
}

/// Held until dropped. Somebody else's is not waited for: the next pass comes soon.
fn lock(tablet: &Tablet) -> Result<OwnedFd, EnforceError> {
    let path = tablet.path(LOCK_PATH);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    open(&path, flags, Mode::RUSR | Mode::WUSR)
        .and_then(|file| {
            fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)?;
            Ok(file)
        })
        .map_err(|e| EnforceError::failed("lock the list of accounts", io::Error::from(e)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::paths::Paths;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    const PASSWD: &str = "root:x:0:0::/root:/bin/bash\nroom1:x:1000:1000::/home/room1:/bin/bash\nroom2:x:1001:1001::/:/bin/sh\nkiosk:x:1002:1002::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";
    const SHADOW: &str = "root:$y$r:20000:0:99999:7:::\nroom1:$y$a:20100:0:99999:7:::\nroom2:!$y$b:20100:0:99999:7:::\nkiosk::20100:0::7:::\nnobody:*:20000:0:99999:7:::\n";

    fn tablet() -> (tempfile::TempDir, Tablet) {
        let root = tempfile::tempdir().unwrap();
        let tablet = Tablet::new(&Paths::new(root.path()));
        tablet.write(PASSWD_PATH, PASSWD, 0o644).unwrap();
        tablet.write(SHADOW_PATH, SHADOW, 0o640).unwrap();
        (root, tablet)
    }

    #[test]
    fn only_accounts_of_people_who_can_sign_in_are_seen() {
        let (_root, tablet) = tablet();
        let seen: Vec<_> = accounts(&tablet)
            .unwrap()
            .iter()
            .map(|a| (a.uid, a.hash.clone(), a.last_change, a.max_days))
            .collect();
        assert_eq!(
            seen,
            [
                (1000, "$y$a".to_owned(), Some(20100), Some(99999)),
                (1002, String::new(), Some(20100), None)
            ]
        );
    }

    #[test]
    fn one_field_changes_and_nothing_else() {
        let (root, tablet) = tablet();
        set(&tablet, 1000, Field::MaxAge("91")).unwrap();
        set(&tablet, 1002, Field::ChangeAtNextSignIn).unwrap();
        let expected = SHADOW
            .replace("$y$a:20100:0:99999", "$y$a:20100:0:91")
            .replace("kiosk::20100", "kiosk::0");
        assert_eq!(tablet.read(SHADOW_PATH).unwrap().unwrap(), expected);
        let mode = fs::metadata(root.path().join("etc/shadow")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o640);
    }

    #[test]
    fn an_account_that_is_not_of_staff_is_never_changed() {
        let (_root, tablet) = tablet();
        assert!(set(&tablet, 0, Field::ChangeAtNextSignIn).is_err());
        assert!(set(&tablet, 65534, Field::MaxAge("1")).is_err());
        assert_eq!(tablet.read(SHADOW_PATH).unwrap().unwrap(), SHADOW);
    }
}
