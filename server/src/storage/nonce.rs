//! Nonces that may be used once.

use super::Answer;
use jiff::Timestamp;

pub trait NonceStore: Send + Sync {
    /// Also forgets those that expired before `now`.
    fn nonce_put<'a>(
        &'a self,
        nonce: &'a str,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Answer<'a, ()>;

    /// Uses it up. `false`: unknown, used or expired.
    fn nonce_take<'a>(&'a self, nonce: &'a str, now: Timestamp) -> Answer<'a, bool>;

    /// Nonces that may still be used at `now`.
    fn nonce_count(&self, now: Timestamp) -> Answer<'_, u64>;
}
