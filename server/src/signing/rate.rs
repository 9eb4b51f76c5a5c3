//! How often something may happen within an hour, for each of many keys and in total.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_hours(1);

/// Counts in windows of one hour, by a clock that nobody can set: `now` is monotonic.
#[derive(Debug)]
pub struct HourlyRate<K> {
    per_key: u32,
    total: u32,
    since: Option<Instant>,
    counts: HashMap<K, u32>,
    count: u32,
}

impl<K: Eq + Hash> HourlyRate<K> {
    pub fn new(per_key: u32, total: u32) -> Self {
        Self {
            per_key,
            total,
            since: None,
            counts: HashMap::new(),
            count: 0,
        }
    }

    /// Counts one more for `key`, unless that would exceed a limit.
    pub fn permits(&mut self, key: K, now: Instant) -> bool {
        if self.is_exhausted(&key, now) {
            return false;
        }
        *self.counts.entry(key).or_insert(0) += 1;
        self.count += 1;
        true
    }

    /// Whether one more for `key` would exceed a limit. Counts nothing.
    pub fn is_exhausted(&mut self, key: &K, now: Instant) -> bool {
        if self
            .since
            .is_none_or(|since| now.duration_since(since) >= WINDOW)
        {
            self.since = Some(now);
            self.counts.clear();
            self.count = 0;
        }
        let of_key = self.counts.get(key).copied().unwrap_or(0);
        of_key >= self.per_key || self.count >= self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_limited_on_its_own_and_all_keys_together() {
        let (mut rate, now) = (HourlyRate::new(2, 3), Instant::now());
        assert!(rate.permits("a", now) && rate.permits("a", now) && !rate.permits("a", now));
        assert!(rate.permits("b", now) && !rate.permits("b", now) && !rate.permits("c", now));
    }

    #[test]
    fn a_limit_ends_with_its_hour() {
        let (mut rate, now) = (HourlyRate::new(1, 9), Instant::now());
        assert!(rate.permits("a", now) && rate.is_exhausted(&"a", now));
        assert!(rate.permits("a", now + WINDOW));
    }
}
