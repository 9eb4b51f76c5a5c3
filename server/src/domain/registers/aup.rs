//! Versions of the acceptable use policy. A newer one takes the place of the one before from its first day on; those who
//! acknowledged an earlier one have some days more.

use super::{Entry, Kept, Refused};
use crate::storage::RegisterName;
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::calendar::Calendar;
use serde::{Deserialize, Serialize};

pub const GRACE_DAYS: u32 = 14;
pub const VERSION_CHARS: usize = 40;

/// For whom it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    Staff,
    Visitor,
    Parent,
    Child,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    Publish {
        audience: Audience,
        /// As it is called on the paper, such as "2026-1".
        version: String,
        from: Date,
    },
    /// It was put here by mistake, and never came into force.
    Withdraw,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AupVersion {
    pub audience: Audience,
    pub version: String,
    /// The first day it is in force.
    pub from: Date,
    pub is_withdrawn: bool,
}

impl AupVersion {
    /// The last day on which an earlier one is enough.
    pub fn grace_until(&self) -> Date {
        Calendar::plus_days(self.from, GRACE_DAYS)
    }
}

impl Entry for AupVersion {
    const REGISTER: RegisterName = RegisterName::AupVersion;
    type Act = Act;

    fn after(before: Option<Self>, act: &Act, _: Timestamp) -> Result<Self, Refused> {
        match (before, act) {
            (
                None,
                Act::Publish {
                    audience,
                    version,
                    from,
                },
            ) => Ok(Self {
                audience: *audience,
                version: version.clone(),
                from: *from,
                is_withdrawn: false,
            }),
            (Some(version), Act::Withdraw) if !version.is_withdrawn => Ok(Self {
                is_withdrawn: true,
                ..version
            }),
            (None, Act::Withdraw) => Err(Refused::whole("There is no such version.")),
            (Some(_), Act::Publish { .. } | Act::Withdraw) => Err(Refused::whole(
                "A version is not changed. Publish another one, or take it back once.",
            )),
        }
    }

    fn is_open(&self) -> bool {
        !self.is_withdrawn
    }
}

/// The one in force on a day; `None`: there is none.
pub fn current(
    versions: &[Kept<AupVersion>],
    audience: Audience,
    day: Date,
) -> Option<&Kept<AupVersion>> {
    let in_force = versions.iter().filter(|kept| {
        let version = &kept.now;
        version.audience == audience && !version.is_withdrawn && version.from <= day
    });
    in_force.max_by_key(|kept| (kept.now.from, kept.id))
}

/// As it is called, on one line.
pub fn version_name(text: &str) -> Result<String, Refused> {
    let words = super::words::Words::default().line("version", text)?;
    let name = words.of("version");
    if name.chars().count() > VERSION_CHARS {
        let says = format!("Shorten this to {VERSION_CHARS} characters.");
        return Err(Refused::at("version", says));
    }
    Ok(name.to_owned())
}
