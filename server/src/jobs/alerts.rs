//! Tells people by e-mail what waits for them: looks every minute, and tries what was not sent yet.

use crate::domain::alert::report::Weekly;
use crate::domain::alert::{self, Words};
use crate::domain::registers::Registers;
use crate::door::Clock;
use crate::mail::{NotSent, Outgoing, Post};
use crate::signing::ReleaseKey;
use crate::storage::{Mail, Storage, StorageError};
use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp};
use nestwarden_policy_schema::bytes::Digest;
use std::sync::Arc;
use std::time::Duration;

const ROUND: Duration = Duration::from_mins(1);
/// After each failed try the next one waits longer, up to the last of these.
const WAITS_MINUTES: [i64; 6] = [1, 5, 15, 60, 180, LONGEST_WAIT_MINUTES];
const LONGEST_WAIT_MINUTES: i64 = 360;
/// After so many in a row that were not sent, the others wait for the next round.
const MOST_IN_VAIN: u32 = 2;
/// So long after it was written an e-mail says nothing that the console does not say better.
const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_hours(24 * 3);

pub struct AlertJob {
    pub storage: Storage,
    pub release: ReleaseKey,
    pub recipient: String,
    pub clock: Arc<dyn Clock>,
    pub post: Arc<dyn Post>,
    pub setting_name: String,
    pub origin: String,
    pub digest_at: Time,
    /// When people are told of the weekly report; `None`: they are not.
    pub weekly: Option<Weekly>,
}

impl AlertJob {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut failing = false;
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            round.tick().await;
            match self.round().await {
                Ok(()) => failing = false,
                // Said once; every round tries again.
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(%error, "alerts cannot be looked for; trying again every minute");
                }
                Err(_) => {}
            }
        }
    }

    async fn round(&self) -> Result<(), StorageError> {
        let registers = Registers {
            storage: &self.storage,
            release: &self.release,
            recipient: &self.recipient,
        };
        let words = Words {
            setting: &self.setting_name,
            origin: &self.origin,
        };
        let now = self.clock.now();
        alert::round(&registers, &words, self.digest_at, now).await?;
        if let Some(weekly) = self.weekly {
            alert::report::weekly(&self.storage, &words, weekly, now).await?;
        }
        self.send_all().await
    }

    async fn send_all(&self) -> Result<(), StorageError> {
        let mut in_vain = 0;
        for mail in self.storage.mail_list().await? {
            let now = self.clock.now();
            if mail.gave_up_at.is_some() || !is_due(&mail, now) {
                continue;
            }
            match self.send(&mail, now).await? {
                Came::Settled => in_vain = 0,
                Came::Later => in_vain += 1,
            }
            // A mail server that is away would keep what is due after these waiting for half an hour.
            if in_vain == MOST_IN_VAIN {
                break;
            }
        }
        Ok(())
    }

    async fn send(&self, mail: &Mail, now: Timestamp) -> Result<Came, StorageError> {
        let is_old = now.duration_since(mail.made_at) >= GIVE_UP_AFTER;
        let Some(to) = mail.address.as_deref() else {
            let problem = "they have no address any more";
            self.storage.mail_given_up(mail, problem, now).await?;
            return Ok(Came::Settled);
        };
        let next = next_try(mail.tries, now);
        self.storage.mail_tried(mail, next).await?;
        let sent = self.post.send(Outgoing {
            to,
            subject: &mail.subject,
            body: &mail.body,
            id: Digest::sha256(format!("{}\n{}", mail.key, mail.to).as_bytes()),
            at: mail.made_at,
        });
        match sent.await {
            Ok(()) => self.storage.mail_sent(mail, self.clock.now()).await?,
            Err(NotSent::Later(problem)) if !is_old => {
                // No address is in the log.
                tracing::warn!(
                    tries = mail.tries + 1,
                    "an e-mail was not sent; it is tried again"
                );
                self.storage.mail_failed(mail, &problem, now).await?;
                return Ok(Came::Later);
            }
            Err(NotSent::Later(problem) | NotSent::Never(problem)) => {
                tracing::error!(
                    "an e-mail could not be sent and is given up; `mail list` says why"
                );
                self.storage.mail_given_up(mail, &problem, now).await?;
            }
        }
        Ok(Came::Settled)
    }
}

/// What a try came to.
enum Came {
    /// It was sent, or is given up.
    Settled,
    Later,
}

/// One that waits for longer than any does was written by a clock that was ahead.
fn is_due(mail: &Mail, now: Timestamp) -> bool {
    let waits = mail.next_try_at.duration_since(now);
    !waits.is_positive() || waits > SignedDuration::from_mins(LONGEST_WAIT_MINUTES)
}

fn next_try(tries: u32, now: Timestamp) -> Timestamp {
    let last = WAITS_MINUTES.len() - 1;
    let index = usize::try_from(tries).map_or(last, |tries| tries.min(last));
    let wait = SignedDuration::from_mins(WAITS_MINUTES[index]);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
