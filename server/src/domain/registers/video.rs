//! Videos that may be shown to children: somebody watched each in full, and a manager or the DSL approved it for some weeks.
//! It is a record; tablets are not held to it.

pub mod address;

use super::asking::{decides, may_ask, require_decider};
use super::words::{Read, Words};
use super::{Entry, Hand, Kept, Refused, RegisterError, Registers, every};
use crate::storage::{RegisterName, Which};
use address::VideoId;
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::id::EntryId;
use serde::{Deserialize, Serialize};

/// For so many days after somebody watched it in full an approval is good at most.
pub const GOOD_FOR_DAYS: u32 = 90;

/// Who writes a line that says so watched it: there is no line for somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    Propose {
        video: VideoId,
        /// On which day whoever writes this watched it in full.
        watched_on: Date,
        /// The last day it may be shown, where whoever watched approves it, too.
        approved_until: Option<Date>,
    },
    /// Once more, so that it can be approved for longer.
    Watch {
        watched_on: Date,
        approved_until: Option<Date>,
    },
    Approve {
        until: Date,
    },
    Withdraw,
}

impl Act {
    /// When whoever wrote it watched the video; `None`: it says nothing of that.
    pub const fn watched_on(&self) -> Option<Date> {
        match self {
            Self::Propose { watched_on, .. } | Self::Watch { watched_on, .. } => Some(*watched_on),
            Self::Approve { .. } | Self::Withdraw => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Video {
    pub video: VideoId,
    pub watched_on: Date,
    /// Whether it was watched since it was approved last, so that it can be approved again.
    pub watched_since: bool,
    /// The last day; `None`: it was never approved.
    pub approved_until: Option<Date>,
    pub is_withdrawn: bool,
}

/// How a video stands on a day. Only [`Standing::Approved`] may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Proposed,
    Approved,
    Expired,
    Withdrawn,
}

impl Video {
    pub fn standing(&self, today: Date) -> Standing {
        match self.approved_until {
            _ if self.is_withdrawn => Standing::Withdrawn,
            Some(until) if today <= until => Standing::Approved,
            // Watched again, it waits for a decision as at the beginning.
            _ if self.watched_since => Standing::Proposed,
            Some(_) | None => Standing::Expired,
        }
    }

    fn watched(&mut self, on: Date, approved_until: Option<Date>) -> Result<(), Refused> {
        if on < self.watched_on {
            let says =
                "It was watched later than that already. Watch it again now, and write today.";
            return Err(Refused::at("watched_on", says));
        }
        self.watched_on = on;
        self.watched_since = true;
        match approved_until {
            Some(until) => self.approve(until),
            None => Ok(()),
        }
    }

    fn approve(&mut self, until: Date) -> Result<(), Refused> {
        if !self.watched_since {
            let says = "Nobody watched it since it was approved last. Somebody watches it in full again first.";
            return Err(Refused::whole(says));
        }
        let last = last_day(self.watched_on);
        if until > last {
            let says = format!(
                "Write {last} at the latest: an approval is good for {GOOD_FOR_DAYS} days after somebody watched it."
            );
            return Err(Refused::at("until", says));
        }
        self.approved_until = Some(until);
        self.watched_since = false;
        Ok(())
    }
}

impl Entry for Video {
    const REGISTER: RegisterName = RegisterName::Video;
    type Act = Act;

    fn after(before: Option<Self>, act: &Act, _: Timestamp) -> Result<Self, Refused> {
        match (before, act) {
            (
                None,
                Act::Propose {
                    video,
                    watched_on,
                    approved_until,
                },
            ) => {
                let mut proposed = Self {
                    video: video.clone(),
                    watched_on: *watched_on,
                    watched_since: true,
                    approved_until: None,
                    is_withdrawn: false,
                };
                proposed.watched(*watched_on, *approved_until)?;
                Ok(proposed)
            }
            (None, _) => Err(Refused::whole("Nobody proposed this video.")),
            (Some(_), Act::Propose { .. }) => Err(Refused::whole("It is on the list already.")),
            (Some(video), _) if video.is_withdrawn => Err(Refused::whole(
                "It was taken off the list. Propose it anew, once somebody watched it in full.",
            )),
            (
                Some(mut video),
                Act::Watch {
                    watched_on,
                    approved_until,
                },
            ) => {
                video.watched(*watched_on, *approved_until)?;
                Ok(video)
            }
            (Some(mut video), Act::Approve { until }) => {
                video.approve(*until)?;
                Ok(video)
            }
            (Some(video), Act::Withdraw) => Ok(Self {
                is_withdrawn: true,
                ..video
            }),
        }
    }

    fn is_open(&self) -> bool {
        !self.is_withdrawn
    }

    fn subject(&self) -> Option<String> {
        Some(self.video.to_string())
    }
}

/// The last day an approval may be good for, and the one that is offered.
pub fn last_day(watched_on: Date) -> Date {
    Calendar::plus_days(watched_on, GOOD_FOR_DAYS)
}

/// Who watched it in full last, and so signed for it.
pub fn watched_by(kept: &Kept<Video>) -> &str {
    let mut lines = kept.lines.iter().rev();
    let last = lines.find(|line| line.act.watched_on().is_some());
    last.map_or("", |line| line.by.as_str())
}

/// What was written last under this name by somebody who watched it; `None`: nothing was.
pub fn said(registers: &Registers<'_>, kept: &Kept<Video>, field: &str) -> Option<Read> {
    let lines = kept.lines.iter().rev();
    let mut read = lines
        .filter(|line| line.act.watched_on().is_some())
        .map(|line| registers.read(line));
    read.find(|read| !matches!(read, Read::Words(words) if words.of(field).is_empty()))
}

/// What somebody says who watched a video.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    pub on: Date,
    /// `None`: somebody else is to decide.
    pub approved_until: Option<Date>,
}

/// Proposes a video as somebody who watched it in full. Of one that is on the list this says that it was watched again.
pub async fn propose(
    registers: &Registers<'_>,
    (video, watched): (VideoId, Watched),
    words: &Words,
    today: Date,
    hand: Hand<'_>,
) -> Result<EntryId, RegisterError> {
    check(registers, watched, today, hand).await?;
    let open = every::<Video>(registers.storage, Which::Open).await?;
    may_ask(&open, |act| act.watched_on().is_some(), hand)?;
    let (watched_on, approved_until) = (watched.on, watched.approved_until);
    if let Some(kept) = open.iter().find(|kept| kept.now.video == video) {
        let act = Act::Watch {
            watched_on,
            approved_until,
        };
        registers.add::<Video>(kept.id, &act, words, hand).await?;
        return Ok(kept.id);
    }
    let act = Act::Propose {
        video,
        watched_on,
        approved_until,
    };
    registers.begin::<Video>(&act, words, None, hand).await
}

/// Writes on. `today`: the setting's.
pub async fn write(
    registers: &Registers<'_>,
    id: EntryId,
    (act, words): (&Act, &Words),
    today: Date,
    hand: Hand<'_>,
) -> Result<(), RegisterError> {
    match act {
        Act::Watch {
            watched_on,
            approved_until,
        } => {
            let watched = Watched {
                on: *watched_on,
                approved_until: *approved_until,
            };
            check(registers, watched, today, hand).await?;
        }
        Act::Approve { until } => {
            require_decider(registers.storage, hand, today).await?;
            check_until(*until, today)?;
        }
        // Whoever sees that something is wrong takes it off at once.
        Act::Propose { .. } | Act::Withdraw => {}
    }
    registers.add::<Video>(id, act, words, hand).await?;
    Ok(())
}

async fn check(
    registers: &Registers<'_>,
    watched: Watched,
    today: Date,
    hand: Hand<'_>,
) -> Result<(), RegisterError> {
    if watched.on > today {
        let says = "This day is still to come. Write when you watched it in full.";
        return Err(Refused::at("watched_on", says).into());
    }
    if last_day(watched.on) < today {
        let says = format!(
            "That is more than {GOOD_FOR_DAYS} days ago. Watch it in full again, and write the day."
        );
        return Err(Refused::at("watched_on", says).into());
    }
    let Some(until) = watched.approved_until else {
        return Ok(());
    };
    if !decides(registers.storage, hand.by, today).await? {
        let says = "A manager or the DSL approves it. Send it without that.";
        return Err(Refused::at("until", says).into());
    }
    check_until(until, today)?;
    Ok(())
}

fn check_until(until: Date, today: Date) -> Result<(), Refused> {
    if until < today {
        let says = "This day is over. Write the last day it may be shown.";
        return Err(Refused::at("until", says));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
