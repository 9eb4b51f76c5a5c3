//! When to ask again, and how long to let the server hang. No clock, no network: what happened goes in, what to do comes
//! out.

use std::time::Duration;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The server answered, and there was something to take over or it had not been asked to hang.
    Progress,
    /// The server answered after the whole hang: nothing new.
    Quiet,
    /// The server was asked to hang and did not, and had nothing new.
    QuietAtOnce,
    /// No usable answer.
    Failed {
        /// How long the connection had hung when it broke; zero when it never hung.
        hung: Duration,
    },
    /// The tablet slept, and woke after the answer was due.
    Overslept,
    /// The server will not have this tablet.
    Revoked,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    pub pause: Duration,
    /// How long to let the server hang; zero for an answer at once.
    pub wait_s: u32,
}

/// One loop's memory.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    failures: u32,
    /// The longest hang this network was seen to bear; `None`: not yet known to drop any.
    bearable_s: Option<u32>,
}

pub const LONGEST_PAUSE: Duration = Duration::from_mins(5);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const REVOKED_PAUSE: Duration = Duration::from_hours(1);
/// A server that does not hang is asked no more often than this.
const UNHUNG_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_WAIT_S: u32 = nestwarden_policy_schema::device_api::MAX_WAIT_S;
const SHORTEST_WAIT_S: u32 = 20;
/// A hang that broke sooner was no network tiring of an idle connection.
const TELLING_HANG: Duration = Duration::from_secs(15);

impl Schedule {
    /// `jitter`: 0 to 1, drawn anew each time, so that a nursery's tablets do not ask in step.
    pub fn next(&mut self, attempt: Attempt, jitter: f64) -> Next {
        let jitter = jitter.clamp(0.0, 1.0);
        match attempt {
            Attempt::Progress => self.succeeded(Duration::ZERO, jitter),
            Attempt::Quiet => {
                // Networks change: reach a little further each time it holds.
                self.bearable_s = self
                    .bearable_s
                    .map(|s| s + s / 4)
                    .filter(|s| *s < LONGEST_WAIT_S);
                self.succeeded(Duration::ZERO, jitter)
            }
            Attempt::QuietAtOnce => self.succeeded(UNHUNG_PAUSE, jitter),
            Attempt::Failed { hung } => {
                self.failures = self.failures.saturating_add(1);
                if hung >= TELLING_HANG {
                    let hung_s = u32::try_from(hung.as_secs()).unwrap_or(LONGEST_WAIT_S);
                    self.bearable_s = Some((hung_s / 5 * 4).clamp(SHORTEST_WAIT_S, LONGEST_WAIT_S));
                }
                Next {
                    pause: backoff(self.failures, jitter),
                    wait_s: 0,
                }
            }
            // What it is told first is the time, so at once and without hanging. Says nothing about the network.
            Attempt::Overslept => Next {
                pause: Duration::ZERO,
                wait_s: 0,
            },
            Attempt::Revoked => {
                self.failures = self.failures.saturating_add(1);
                Next {
                    pause: REVOKED_PAUSE.mul_f64(0.5 + jitter / 2.0),
                    wait_s: 0,
                }
            }
        }
    }

    fn succeeded(&mut self, pause: Duration, jitter: f64) -> Next {
        self.failures = 0;
        let longest = self.bearable_s.unwrap_or(LONGEST_WAIT_S);
        let wait_s = Duration::from_secs(u64::from(longest)).mul_f64(1.0 - jitter / 5.0);
        Next {
            pause,
            wait_s: u32::try_from(wait_s.as_secs()).unwrap_or(longest),
        }
    }
}

/// Between half and the whole of 1 s, 2 s, 4 s … 5 min.
fn backoff(failures: u32, jitter: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
    whole.mul_f64(0.5 + jitter / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attempt() -> impl Strategy<Value = Attempt> {
        prop_oneof![
            Just(Attempt::Progress),
            Just(Attempt::Quiet),
            Just(Attempt::QuietAtOnce),
            (0_u64..4000).prop_map(|s| Attempt::Failed {
                hung: Duration::from_secs(s)
            }),
            Just(Attempt::Overslept),
            Just(Attempt::Revoked),
        ]
    }

    proptest! {
        #[test]
        fn no_pause_or_wait_is_ever_out_of_bounds(
            attempts in prop::collection::vec((attempt(), 0.0..=1.0), 1..60)
        ) {
            let mut schedule = Schedule::default();
            for (attempt, jitter) in attempts {
                let next = schedule.next(attempt, jitter);
                prop_assert!(next.wait_s <= LONGEST_WAIT_S);
                match attempt {
                    Attempt::Progress | Attempt::Quiet => {
                        prop_assert_eq!(next.pause, Duration::ZERO);
                        prop_assert!(next.wait_s >= SHORTEST_WAIT_S / 2);
                    }
                    Attempt::QuietAtOnce => prop_assert_eq!(next.pause, UNHUNG_PAUSE),
                    Attempt::Failed { .. } => {
                        prop_assert!(next.pause >= FIRST_PAUSE / 2);
                        prop_assert!(next.pause <= LONGEST_PAUSE);
                        prop_assert_eq!(next.wait_s, 0);
                    }
                    Attempt::Overslept => {
                        prop_assert_eq!((next.pause, next.wait_s), (Duration::ZERO, 0));
                    }
                    Attempt::Revoked => prop_assert!(next.pause >= REVOKED_PAUSE / 2),
                }
            }
        }

        #[test]
        fn failures_in_a_row_wait_longer_and_one_success_forgets_them(failures in 1_u32..40) {
            let mut schedule = Schedule::default();
            let failed = Attempt::Failed { hung: Duration::ZERO };
            let mut last = Duration::ZERO;
            for _ in 0..failures {
                let pause = schedule.next(failed, 1.0).pause;
                prop_assert!(pause >= last);
                last = pause;
            }
            schedule.next(Attempt::Progress, 1.0);
            prop_assert_eq!(schedule.next(failed, 1.0).pause, FIRST_PAUSE);
        }
    }

    #[test]
    fn a_network_that_drops_hangs_gets_shorter_ones_and_is_tried_again_later() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.next(Attempt::Progress, 0.0).wait_s, 1800);
        schedule.next(
            Attempt::Failed {
                hung: Duration::from_secs(100),
            },
            0.0,
        );
        assert_eq!(schedule.next(Attempt::Progress, 0.0).wait_s, 80);
        assert_eq!(schedule.next(Attempt::Quiet, 0.0).wait_s, 100);
        for _ in 0..20 {
            schedule.next(Attempt::Quiet, 0.0);
        }
        assert_eq!(schedule.next(Attempt::Quiet, 0.0).wait_s, 1800);
    }
}
