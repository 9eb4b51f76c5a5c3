//! Which files are no photos, remembered while the agent runs: by their identity, and only once what they hold cannot
//! change any more without a new one.

use super::tree::Identity;
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

/// Files remembered.
const MOST: usize = 200_000;
/// What is written through a mapping before its pages were written back changes a file without a new time. After five
/// minutes they were: Linux does it after 30 seconds (`vm.dirty_expire_centisecs`).
const WRITTEN_BACK_NS: i64 = 5 * 60 * 1_000_000_000;

#[derive(Debug, Default)]
pub(super) struct Ignored {
    /// A hash of each identity.
    files: HashSet<u64>,
    hasher: RandomState,
}

impl Ignored {
    pub(super) fn contains(&self, identity: &Identity) -> bool {
        self.files.contains(&self.hasher.hash_one(identity))
    }

    /// `now_ns` is of the clock that stamps files; where it is not known, nothing is remembered.
    pub(super) fn add(&mut self, identity: &Identity, now_ns: Option<i64>) {
        if !now_ns.is_some_and(|now_ns| is_at_rest(identity, now_ns)) {
            return;
        }
        if self.files.len() >= MOST {
            self.files.clear();
        }
        self.files.insert(self.hasher.hash_one(identity));
    }

    pub(super) fn forget(&mut self, identity: &Identity) {
        self.files.remove(&self.hasher.hash_one(identity));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }
}

/// Whether a file that comes to hold something else has another identity then. Of one from the future nothing is known.
fn is_at_rest(identity: &Identity, now_ns: i64) -> bool {
    let newest = identity.ctime_ns.max(identity.mtime_ns);
    now_ns.saturating_sub(newest) >= WRITTEN_BACK_NS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_at_rest_five_minutes_after_its_last_change_and_not_before() {
        let at = |mtime: i64, ctime: i64| Identity {
            dev: 1,
            ino: 1,
            born_ns: 0,
            size: 64,
            mtime_ns: mtime * 1_000_000_000,
            ctime_ns: ctime * 1_000_000_000,
        };
        for (mtime, ctime, rests) in [
            (700, 700, true),
            (701, 700, false),
            (700, 701, false),
            (1_001, 700, false),
            (-9, -8, true),
        ] {
            let now_ns = 1_000 * 1_000_000_000;
            let at = at(mtime, ctime);
            assert_eq!(is_at_rest(&at, now_ns), rests, "{mtime} {ctime}");
        }
    }
}
