//! Who may sign a tablet out on the tablet itself, what they agree to first, and who has it.
//!
//! Who may is the server's to work out. A tablet only compares a day, so that nobody keeps one past their last because it was
//! without a network.

use crate::consent::RoomName;
use crate::id::{CustodyId, EntryId, StaffId};
use crate::pin::PinVerifier;
use crate::text::is_unseen;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// More than work in any setting.
pub const MAX_ROSTER: usize = 500;
/// Of a name as a tablet shows it, such as "Kim M.".
pub const NAME_CHARS: usize = 40;
/// Of why somebody may not have a tablet.
pub const REASON_CHARS: usize = 200;
/// Of what a policy version is called.
pub const VERSION_CHARS: usize = 40;
/// Of the notice that is shown before a tablet is used.
pub const NOTICE_CHARS: usize = 4_000;
/// Times that are over, of which a tablet is told.
pub const MAX_OVER: usize = 20;

/// Whether somebody may have a tablet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum MayHave {
    Yes,
    /// Why not, for everybody who holds the tablet: never more than that they have to ask.
    No {
        reason: String,
    },
}

impl Default for MayHave {
    /// Of an older server, which knows of no tablets that staff sign out themselves.
    fn default() -> Self {
        Self::No {
            reason: "Ask the office.".to_owned(),
        }
    }
}

/// Somebody who works here. They are known to the tablet by the id of their entry in the staff register: one person, one id,
/// in every event, photo and hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RosterEntry {
    pub staff: StaffId,
    /// As the office wrote it for tablets; empty from older servers.
    #[serde(default)]
    pub name: String,
    /// Absent: they have no PIN yet, or bring nothing back themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<PinVerifier>,
    #[serde(default)]
    pub may_have: MayHave,
    /// The last day of the setting on which a Yes holds; absent: no end is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
    /// Whether they acknowledged the policy in force.
    #[serde(default)]
    pub acknowledged: bool,
}

impl RosterEntry {
    /// Whether they may take a tablet on this day of the setting.
    pub fn may_have_on(&self, day: Date) -> Result<(), &str> {
        match &self.may_have {
            MayHave::No { reason } => Err(reason),
            MayHave::Yes if self.until.is_some_and(|until| until < day) => {
                Err("The tablet does not know whether they still may. Ask the office.")
            }
            MayHave::Yes if self.pin.is_none() => Err("No PIN yet. Ask the office."),
            MayHave::Yes => Ok(()),
        }
    }
}

/// The acceptable use policy for staff that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AupNotice {
    /// An entry of the register of versions.
    pub version: EntryId,
    /// As it is called on the paper.
    pub name: String,
    /// What the setting observes of its tablets, in its own words; empty: it wrote none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notice: String,
}

/// What the office knows of who has the tablet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustodyWord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<OpenCustody>,
    /// Times that are over, wherever they ended, the newest [`MAX_OVER`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub over: BTreeSet<CustodyId>,
}

/// Somebody has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCustody {
    pub custody: CustodyId,
    pub staff: StaffId,
    /// As the roster names them, also once they are off it.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomName>,
    pub since: Timestamp,
    pub due: Timestamp,
}

/// What a roster is held to, so that no server fills a tablet's memory or screen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterProblem {
    #[error("its roster has {0} people; a tablet takes {MAX_ROSTER}")]
    People(usize),
    #[error("its roster names somebody twice")]
    Twice,
    #[error("`{field}` in its roster is longer than {most} characters, or cannot be shown")]
    Text { field: &'static str, most: usize },
    #[error(transparent)]
    Pin(#[from] crate::pin::VerifierRefused),
}

/// Holds what a bundle says of people to bounds.
pub fn check(
    roster: &BTreeSet<RosterEntry>,
    aup: Option<&AupNotice>,
    custody: Option<&CustodyWord>,
) -> Result<(), RosterProblem> {
    if roster.len() > MAX_ROSTER {
        return Err(RosterProblem::People(roster.len()));
    }
    let people: BTreeSet<StaffId> = roster.iter().map(|entry| entry.staff).collect();
    if people.len() != roster.len() {
        return Err(RosterProblem::Twice);
    }
    for entry in roster {
        one_line("name", &entry.name, NAME_CHARS)?;
        if let MayHave::No { reason } = &entry.may_have {
            one_line("reason", reason, REASON_CHARS)?;
        }
        if let Some(pin) = &entry.pin {
            pin.check()?;
        }
    }
    if let Some(aup) = aup {
        one_line("aup", &aup.name, VERSION_CHARS)?;
        let is_shown = |c: char| !is_unseen(c) || matches!(c, '\n' | '\t');
        if aup.notice.chars().count() > NOTICE_CHARS || !aup.notice.chars().all(is_shown) {
            return Err(RosterProblem::Text {
                field: "notice",
                most: NOTICE_CHARS,
            });
        }
    }
    if let Some(open) = custody.and_then(|word| word.open.as_ref()) {
        one_line("custody", &open.name, NAME_CHARS)?;
    }
    Ok(())
}

fn one_line(field: &'static str, text: &str, most: usize) -> Result<(), RosterProblem> {
    if text.chars().count() > most || text.chars().any(is_unseen) {
        return Err(RosterProblem::Text { field, most });
    }
    Ok(())
}

/// The stricter of both, person by person: whoever may not have a tablet by either may not, and nobody has a PIN whom either
/// gives none.
pub(crate) fn stricter(
    new: BTreeSet<RosterEntry>,
    held: &BTreeSet<RosterEntry>,
) -> BTreeSet<RosterEntry> {
    let both = new.into_iter().map(|entry| {
        let Some(known) = held.iter().find(|known| known.staff == entry.staff) else {
            return RosterEntry {
                may_have: MayHave::default(),
                pin: None,
                ..entry
            };
        };
        let may_have = match (&entry.may_have, &known.may_have) {
            (MayHave::Yes, other) => other.clone(),
            (MayHave::No { .. }, _) => entry.may_have.clone(),
        };
        let until = [entry.until, known.until].into_iter().flatten().min();
        RosterEntry {
            may_have,
            until,
            pin: entry.pin.clone().and(known.pin.clone()),
            ..entry
        }
    });
    both.collect()
}
