//! Wrong passcodes as pam_faillock counts them, one file per account, see faillock(8).

use super::pam::{FAIL_INTERVAL_SECONDS, UNLOCK_SECONDS};
use super::tablet::Tablet;
use crate::control::EnforceError;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::device_api::LockOut;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;

pub(super) const TALLY_DIR: &str = "/run/faillock";

/// `struct tally` of the module: 52 bytes of where it came from, 2 unused, 2 of flags, 8 of time.
const RECORD_BYTES: usize = 64;
const STATUS: usize = 54;
const TIME: usize = 56;
const VALID: u16 = 1;
/// Far more than anybody can add while the account waits.
const MAX_RECORDS: usize = 1024;
const MAX_ACCOUNTS: usize = 64;

/// The module makes it with the first wrong try; before that there would be nothing to watch.
pub(super) fn make_dir(tablet: &Tablet) -> Result<(), EnforceError> {
    if tablet.exists(TALLY_DIR) {
        return Ok(());
    }
    let open_to_read = Permissions::from_mode(0o755);
    tablet.make_dir(TALLY_DIR)?;
    fs::set_permissions(tablet.path(TALLY_DIR), open_to_read)
        .map_err(|error| EnforceError::failed(format!("open `{TALLY_DIR}` to its readers"), error))
}

/// The longest wait that any account of staff is under at `now`; `deny`: wrong tries until it has to.
pub(super) fn locked_out(
    tablet: &Tablet,
    deny: u16,
    now: Timestamp,
) -> Result<Option<LockOut>, EnforceError> {
    let mut longest: Option<LockOut> = None;
    let accounts = tablet.list(TALLY_DIR)?;
    // The module never makes root wait.
    for account in accounts
        .iter()
        .filter(|name| *name != "root")
        .take(MAX_ACCOUNTS)
    {
        let times = wrong_tries(tablet, account)?;
        let found = lock_out(&times, deny).filter(|found| found.until > now);
        longest = longest.into_iter().chain(found).max_by_key(|l| l.until);
    }
    Ok(longest)
}

fn wrong_tries(tablet: &Tablet, account: &str) -> Result<Vec<Timestamp>, EnforceError> {
    let path = tablet.path(TALLY_DIR).join(account);
    let failed = |error| EnforceError::failed(format!("read a file in `{TALLY_DIR}`"), error);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take((RECORD_BYTES * MAX_RECORDS) as u64)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes
        .chunks_exact(RECORD_BYTES)
        .filter_map(valid_time)
        .collect())
}

fn valid_time(record: &[u8]) -> Option<Timestamp> {
    let status = u16::from_ne_bytes(record[STATUS..STATUS + 2].try_into().ok()?);
    let seconds = i64::from_ne_bytes(record[TIME..TIME + 8].try_into().ok()?);
    (status & VALID != 0).then(|| Timestamp::from_second(seconds).ok())?
}

/// As the module counts: those within its interval before the last.
fn lock_out(times: &[Timestamp], deny: u16) -> Option<LockOut> {
    let last = *times.iter().max()?;
    let interval = SignedDuration::from_secs(FAIL_INTERVAL_SECONDS);
    let counted = times
        .iter()
        .filter(|at| last.duration_since(**at) < interval)
        .count();
    let tries = u16::try_from(counted).unwrap_or(u16::MAX);
    let until = last.checked_add(SignedDuration::from_secs(i64::from(UNLOCK_SECONDS)));
    (deny > 0 && tries >= deny).then(|| LockOut {
        since: last,
        until: until.unwrap_or(Timestamp::MAX),
        tries,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::paths::Paths;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn record(status: u16, at: Timestamp) -> Vec<u8> {
        let mut record = vec![0; RECORD_BYTES];
        record[..4].copy_from_slice(b"tty1");
        record[STATUS..STATUS + 2].copy_from_slice(&status.to_ne_bytes());
        record[TIME..TIME + 8].copy_from_slice(&at.as_second().to_ne_bytes());
        record
    }

    /// A tablet on which `account` has these records.
    fn tablet(account: &str, records: &[Vec<u8>]) -> (tempfile::TempDir, Tablet) {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join(TALLY_DIR.trim_start_matches('/'));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(account), records.concat()).unwrap();
        let tablet = Tablet::new(&Paths::new(root.path()));
        (root, tablet)
    }

    fn tries(count: i64, seconds_apart: i64) -> Vec<Vec<u8>> {
        let time = |n| at(n * seconds_apart);
        (0..count).map(|n| record(5, time(n))).collect()
    }

    #[test]
    fn as_many_wrong_tries_as_are_allowed_lock_for_ten_minutes_from_the_last() {
        let (_root, tablet) = tablet("room", &tries(5, 10));
        let found = locked_out(&tablet, 5, at(41)).unwrap();
        let expected = LockOut {
            since: at(40),
            until: at(640),
            tries: 5,
        };
        assert_eq!(found, Some(expected));
        assert_eq!(locked_out(&tablet, 6, at(41)).unwrap(), None);
        assert_eq!(locked_out(&tablet, 5, at(640)).unwrap(), None);
    }

    #[test]
    fn tries_that_were_taken_back_or_lie_far_apart_do_not_count() {
        let mut records = tries(5, 10);
        records[2] = record(4, at(20));
        let (_root, one) = tablet("room", &records);
        assert_eq!(locked_out(&one, 5, at(41)).unwrap(), None);
        let (_root, other) = tablet("room", &tries(5, 400));
        assert_eq!(locked_out(&other, 5, at(1601)).unwrap(), None);
    }

    #[test]
    fn nobody_is_locked_out_where_nothing_was_counted_or_root_was() {
        let root = tempfile::tempdir().unwrap();
        let empty = Tablet::new(&Paths::new(root.path()));
        assert_eq!(locked_out(&empty, 5, at(0)).unwrap(), None);
        let (_root, of_root) = tablet("root", &tries(9, 1));
        assert_eq!(locked_out(&of_root, 5, at(9)).unwrap(), None);
    }

    #[test]
    fn the_folder_is_there_before_the_first_wrong_try_and_open_to_its_readers() {
        let root = tempfile::tempdir().unwrap();
        let tablet = Tablet::new(&Paths::new(root.path()));
        make_dir(&tablet).unwrap();
        make_dir(&tablet).unwrap();
        let made = fs::metadata(tablet.path(TALLY_DIR)).unwrap();
        assert_eq!(made.permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn half_a_record_is_none() {
        let mut records = tries(4, 1);
        records.push(vec![0xff; 30]);
        let (_root, tablet) = tablet("room", &records);
        assert_eq!(locked_out(&tablet, 5, at(5)).unwrap(), None);
    }
}
