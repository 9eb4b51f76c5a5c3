//! Which apps were asked for, and what a manager or the DSL decided on each. A package has one entry for good: whoever asks
//! again, or finds out that it wants more than was known, adds a line. It is a record; what runs is what profiles allow, and
//! [`allowed`] holds the two against each other.

pub mod allowed;

use super::asking::{may_ask, require_decider};
use super::words::Words;
use super::{Entry, Hand, Refused, RegisterError, Registers, every};
use crate::storage::{RegisterName, Which};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use nestwarden_policy_schema::calendar::Calendar;
use nestwarden_policy_schema::id::EntryId;
use nestwarden_policy_schema::policy::AppId;
use nestwarden_policy_schema::text::is_unseen;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// A review is put before somebody this many days before it is due.
pub const REVIEW_AHEAD_DAYS: u32 = 30;
const PERMISSION_CHARS: usize = 60;
const MOST_PERMISSIONS: usize = 60;
/// Above it, nothing is rated.
const OLDEST_RATING: u8 = 18;

/// Who is to use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    Staff,
    Children,
    StaffAndChildren,
}

impl Audience {
    const fn covers(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::StaffAndChildren, _)
                | (Self::Staff, Self::Staff)
                | (Self::Children, Self::Children)
        )
    }

    const fn and(self, other: Self) -> Self {
        if self.covers(other) {
            self
        } else {
            Self::StaffAndChildren
        }
    }
}

/// Something an app may have. Whoever decides has to say one or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Has {
    Yes,
    No,
}

/// What somebody found who looked at what the app does with personal data. Who that was is among the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    NoPersonalData,
    Passed,
    PassedWithConditions,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub on: Date,
    pub outcome: CheckOutcome,
}

/// Something an app asks the tablet for, as its shop or its package calls it: `camera`, `android.permission.READ_CONTACTS`.
/// In small letters, so that two ways of writing are one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permission(String);

impl Permission {
    /// `None`: it is empty, too long, or has what nobody can see.
    pub fn new(text: &str) -> Option<Self> {
        let name = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let name = name.to_lowercase();
        let is_good = (1..=PERMISSION_CHARS).contains(&name.chars().count());
        (is_good && !name.chars().any(is_unseen)).then_some(Self(name))
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `a, b and c`.
pub fn listed(permissions: &BTreeSet<Permission>) -> String {
    let names: Vec<String> = permissions.iter().map(ToString::to_string).collect();
    match names.split_last() {
        None => "none".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// What it was approved on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    pub audience: Audience,
    /// For whom it is rated, from so many years on; `None`: nobody rates it.
    pub rated_from: Option<u8>,
    pub ads: Has,
    pub purchases: Has,
    pub links_out: Has,
    pub check: Check,
    /// All of them; empty: it asks for none.
    pub permissions: BTreeSet<Permission>,
    /// By which day it is decided anew.
    pub review: Date,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    Ask {
        app: AppId,
        audience: Audience,
    },
    /// What it asks the tablet for now, as somebody read it.
    Permissions {
        permissions: BTreeSet<Permission>,
    },
    Approve {
        terms: Terms,
    },
    Refuse,
    /// The approval is over.
    Withdraw,
}

/// Why an approval is to be decided again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reopened {
    pub at: Timestamp,
    /// That were not known when it was approved.
    pub permissions: BTreeSet<Permission>,
    /// Somebody asked for it for these, too.
    pub audience: Option<Audience>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    pub at: Timestamp,
    pub terms: Terms,
    pub reopened: Option<Reopened>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nobody decided since it was asked for.
    None,
    Approved(Approval),
    Refused,
    Withdrawn,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    pub app: AppId,
    /// Last.
    pub asked_at: Timestamp,
    pub audience: Audience,
    /// As they were written down last; `None`: nobody did.
    pub permissions: Option<BTreeSet<Permission>>,
    pub decision: Decision,
}

/// How an app stands on a day. Only [`Standing::Approved`] is fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Asked,
    Approved,
    ReviewDue,
    ReviewOver,
    Reopened,
    Refused,
    Withdrawn,
}

impl Standing {
    /// Whether somebody has to decide now or soon.
    pub const fn waits(self) -> bool {
        match self {
            Self::Asked | Self::ReviewDue | Self::ReviewOver | Self::Reopened => true,
            Self::Approved | Self::Refused | Self::Withdrawn => false,
        }
    }
}

impl App {
    pub fn standing(&self, today: Date) -> Standing {
        match &self.decision {
            Decision::None => Standing::Asked,
            Decision::Refused => Standing::Refused,
            Decision::Withdrawn => Standing::Withdrawn,
            Decision::Approved(approval) if approval.reopened.is_some() => Standing::Reopened,
            Decision::Approved(approval) if approval.terms.review < today => Standing::ReviewOver,
            Decision::Approved(approval)
                if approval.terms.review <= Calendar::plus_days(today, REVIEW_AHEAD_DAYS) =>
            {
                Standing::ReviewDue
            }
            Decision::Approved(_) => Standing::Approved,
        }
    }

    /// `None`: it is not approved, or not any more.
    pub const fn approval(&self) -> Option<&Approval> {
        match &self.decision {
            Decision::Approved(approval) => Some(approval),
            Decision::None | Decision::Refused | Decision::Withdrawn => None,
        }
    }

    fn take(&mut self, act: &Act, at: Timestamp) -> Result<(), Refused> {
        match act {
            Act::Ask { app, audience } => self.ask(app, *audience, at),
            Act::Permissions { permissions } => self.learn(permissions, at),
            Act::Approve { terms } => self.approve(terms, at),
            Act::Refuse => match self.decision {
                Decision::None => {
                    self.decision = Decision::Refused;
                    Ok(())
                }
                Decision::Approved(_) => Err(Refused::whole(
                    "It is approved. Withdraw the approval instead.",
                )),
                Decision::Refused | Decision::Withdrawn => {
                    Err(Refused::whole("It is not approved as it is."))
                }
            },
            Act::Withdraw => {
                if self.approval().is_none() {
                    return Err(Refused::whole("It is not approved as it is."));
                }
                self.decision = Decision::Withdrawn;
                Ok(())
            }
        }
    }

    fn ask(&mut self, app: &AppId, audience: Audience, at: Timestamp) -> Result<(), Refused> {
        if *app != self.app {
            return Err(Refused::at("app", "This page is about another app."));
        }
        match &mut self.decision {
            Decision::None if self.audience.covers(audience) => {
                return Err(Refused::at(
                    "app",
                    "Somebody asked for it already, and it waits for a decision.",
                ));
            }
            Decision::None => self.audience = self.audience.and(audience),
            Decision::Refused | Decision::Withdrawn => {
                self.decision = Decision::None;
                self.audience = audience;
            }
            Decision::Approved(approval) => {
                let for_now = match approval.reopened.as_ref().and_then(|again| again.audience) {
                    Some(asked) => approval.terms.audience.and(asked),
                    None => approval.terms.audience,
                };
                if for_now.covers(audience) {
                    let says = "It is approved for them already, or somebody asked for that before. Look below.";
                    return Err(Refused::at("app", says));
                }
                self.audience = for_now.and(audience);
                reopened(approval, at).audience = Some(self.audience);
            }
        }
        self.asked_at = at;
        Ok(())
    }

    fn learn(&mut self, permissions: &BTreeSet<Permission>, at: Timestamp) -> Result<(), Refused> {
        if self.permissions.as_ref() == Some(permissions) {
            return Err(Refused::whole("These are on record already."));
        }
        if let Decision::Approved(approval) = &mut self.decision {
            let new: Vec<Permission> = permissions
                .difference(&approval.terms.permissions)
                .cloned()
                .collect();
            // What was new once stays so until somebody decided, also where a later line says that it is gone.
            if !new.is_empty() {
                reopened(approval, at).permissions.extend(new);
            }
        }
        self.permissions = Some(permissions.clone());
        Ok(())
    }

    fn approve(&mut self, terms: &Terms, at: Timestamp) -> Result<(), Refused> {
        if terms.check.outcome == CheckOutcome::Failed {
            let says = "It did not pass. Refuse the app, or have it checked again.";
            return Err(Refused::at("check_outcome", says));
        }
        let known = self.permissions.clone().unwrap_or_default();
        let left_out: BTreeSet<Permission> =
            known.difference(&terms.permissions).cloned().collect();
        if !left_out.is_empty() {
            let says = format!(
                "It asks for {}, as was written down. Tick that too; if it asks for it no more, write down first what it asks for now.",
                listed(&left_out)
            );
            return Err(Refused::at("permissions", says));
        }
        self.permissions = Some(terms.permissions.clone());
        self.decision = Decision::Approved(Approval {
            at,
            terms: terms.clone(),
            reopened: None,
        });
        Ok(())
    }
}

fn reopened(approval: &mut Approval, at: Timestamp) -> &mut Reopened {
    approval.reopened.get_or_insert(Reopened {
        at,
        permissions: BTreeSet::new(),
        audience: None,
    })
}

impl Entry for App {
    const REGISTER: RegisterName = RegisterName::App;
    type Act = Act;

    fn after(before: Option<Self>, act: &Act, at: Timestamp) -> Result<Self, Refused> {
        match (before, act) {
            (None, Act::Ask { app, audience }) => Ok(Self {
                app: app.clone(),
                asked_at: at,
                audience: *audience,
                permissions: None,
                decision: Decision::None,
            }),
            (None, _) => Err(Refused::whole("Nobody asked for it yet.")),
            (Some(mut app), act) => {
                app.take(act, at)?;
                Ok(app)
            }
        }
    }

    /// Its history goes on for as long as there are tablets.
    fn is_open(&self) -> bool {
        true
    }

    fn never_waits(act: &Act) -> bool {
        matches!(act, Act::Permissions { .. } | Act::Refuse | Act::Withdraw)
    }

    fn subject(&self) -> Option<String> {
        Some(self.app.to_string())
    }
}

/// A package as somebody typed it.
pub fn named(text: &str) -> Result<AppId, Refused> {
    text.trim().parse().map_err(|_| {
        Refused::at(
            "app",
            "Write where it comes from and its package, as profiles do: dpkg:firefox-esr, flatpak:org.mozilla.firefox, apple:com.apple.camera.",
        )
    })
}

/// Those that were ticked, and those that somebody wrote, with commas between.
pub fn permissions<'t>(
    ticked: impl Iterator<Item = &'t str>,
    written: &'t str,
) -> Result<BTreeSet<Permission>, Refused> {
    let written = written.split(',').filter(|name| !name.trim().is_empty());
    let mut found = BTreeSet::new();
    for name in ticked.chain(written) {
        let permission = Permission::new(name).ok_or_else(|| {
            let says = format!(
                "Write each in at most {PERMISSION_CHARS} characters, with commas between."
            );
            Refused::at("other_permissions", says)
        })?;
        found.insert(permission);
    }
    if found.len() > MOST_PERMISSIONS {
        let says = format!(
            "At most {MOST_PERMISSIONS} are kept. Put those together that belong together."
        );
        return Err(Refused::at("other_permissions", says));
    }
    Ok(found)
}

/// In years; `None`: it says that nobody rates it.
pub fn rated_from(text: &str) -> Result<Option<u8>, Refused> {
    if text == "unrated" {
        return Ok(None);
    }
    let years = text.parse().ok().filter(|years| *years <= OLDEST_RATING);
    let wrong = || Refused::at("rated_from", "Choose one of these.");
    years.map(Some).ok_or_else(wrong)
}

/// The last day a decision of this day may be reviewed on, and the one that is offered.
pub fn last_review(today: Date) -> Date {
    today.checked_add(12.months()).unwrap_or(Date::MAX)
}

/// Asks for an app. Of one that is on the register already this is a line there.
pub async fn ask(
    registers: &Registers<'_>,
    (app, audience): (AppId, Audience),
    words: &Words,
    hand: Hand<'_>,
) -> Result<EntryId, RegisterError> {
    let all = every::<App>(registers.storage, Which::All).await?;
    may_ask(&all, |act| matches!(act, Act::Ask { .. }), hand)?;
    let known = all.iter().find(|kept| kept.now.app == app);
    let act = Act::Ask { app, audience };
    match known {
        Some(kept) => {
            registers.add::<App>(kept.id, &act, words, hand).await?;
            Ok(kept.id)
        }
        None => registers.begin::<App>(&act, words, None, hand).await,
    }
}

/// Approves, refuses or withdraws, as a manager or the DSL. `today`: the setting's.
pub async fn decide(
    registers: &Registers<'_>,
    id: EntryId,
    (act, words): (&Act, &Words),
    today: Date,
    hand: Hand<'_>,
) -> Result<(), RegisterError> {
    require_decider(registers.storage, hand, today).await?;
    if let Act::Approve { terms } = act {
        check_days(terms, today)?;
    }
    registers.add::<App>(id, act, words, hand).await?;
    Ok(())
}

fn check_days(terms: &Terms, today: Date) -> Result<(), Refused> {
    if terms.check.on > today {
        let says = "This day is still to come. Write when it was checked.";
        return Err(Refused::at("check_on", says));
    }
    let last = last_review(today);
    if terms.review <= today || terms.review > last {
        let says = format!(
            "Write a day after today, {last} at the latest: an approval is good for twelve months."
        );
        return Err(Refused::at("review", says));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
