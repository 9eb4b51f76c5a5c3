//! What people have to do: opened by the server, closed by a person, or by the server when it is no longer so.

use super::{Answer, AuditEntry, Changed, Role};
use jiff::Timestamp;
use jiff::civil::Date;
use nestwarden_policy_schema::consent::Purpose;
use nestwarden_policy_schema::id::{
    ChildId, ConsentId, DeviceId, EntryId, HoldId, PhotoId, TaskId,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// A use that photos lost has to end where we cannot reach: a journal, a wall, a website, a print.
    TakeDown,
    /// The DSL looks whether a hold is needed before photos go.
    Withdrawal,
    ConsentConflicted,
    ConsentExpiring,
    ChildDied,
    ChildMissing,
    LeaversPack,
    HoldReview,
    PhotoIncomplete,
    UnregisteredPerson,
    /// Nobody said who is in photos, which are sealed for that some opening days after they were taken.
    PhotosUntagged,
    /// A file of the watched folder that nobody but a person may import.
    ImportWaits,
    /// The manager sets a tablet's passcode; over once the tablet took it.
    SetPasscode,
    /// Somebody left who knew it: staff choose another one on the tablet.
    AskPasscode,
    /// A course of a member of staff runs out.
    CourseEnds,
    /// Not all staff acknowledged the policy in force.
    AupOutstanding,
    CustodyOverdue,
    /// One PIN signed out two tablets that are both still out.
    PinOnTwoTablets,
    /// Somebody who is suspended or has left can still sign in.
    EndAccess,
    /// Neither here nor signed out at the last count.
    TabletMissing,
    /// A profile that tablets have allows apps that nobody approved.
    AppsUnapproved,
    /// Somebody asked for an app, or it asks for more than was known when it was approved.
    AppDecision,
    /// The day on which an approval is to be looked at again is near, or over.
    AppReview,
    /// Somebody marked it as lost.
    TabletLost,
    /// A new version of a profile goes to no more tablets, because one is in trouble with it.
    RolloutStopped,
}

impl TaskKind {
    /// Whether it is over as soon as it is no longer so; the others wait for a person's word.
    pub const fn ends_by_itself(self) -> bool {
        match self {
            Self::ConsentConflicted
            | Self::ConsentExpiring
            | Self::ChildMissing
            | Self::HoldReview
            | Self::PhotoIncomplete
            | Self::UnregisteredPerson
            | Self::PhotosUntagged
            | Self::ImportWaits
            | Self::SetPasscode
            | Self::AskPasscode
            | Self::CourseEnds
            | Self::AupOutstanding
            | Self::CustodyOverdue
            | Self::PinOnTwoTablets
            | Self::EndAccess
            | Self::TabletMissing
            | Self::AppsUnapproved
            | Self::AppDecision
            | Self::AppReview
            | Self::TabletLost
            | Self::RolloutStopped => true,
            Self::TakeDown | Self::Withdrawal | Self::ChildDied | Self::LeaversPack => false,
        }
    }

    /// Whether each draft stands for something that happened just now, so that it counts although an earlier one about
    /// the same was closed.
    pub const fn happens_again(self) -> bool {
        matches!(self, Self::TakeDown)
    }
}

/// What a task is about; ids only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSubject {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<ChildId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<ConsentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldId>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub photos: BTreeSet<PhotoId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Of a register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskDraft {
    /// Of the task, if one is opened for it.
    pub id: TaskId,
    pub key: String,
    pub kind: TaskKind,
    pub subject: TaskSubject,
    pub owner: Role,
    /// A local day of the setting.
    pub due: Date,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Task {
    pub id: TaskId,
    pub key: String,
    pub kind: TaskKind,
    #[serde(flatten)]
    pub subject: TaskSubject,
    pub owner: Role,
    pub due: Date,
    pub created_at: Timestamp,
    pub closed: Option<Closing>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Closing {
    pub at: Timestamp,
    pub by: String,
    pub note: String,
}

impl Closing {
    /// Stands for nobody's word.
    const BY_ITSELF: &str = "nestwarden";

    pub fn by_itself(at: Timestamp, why: Over) -> Self {
        Self {
            at,
            by: Self::BY_ITSELF.to_owned(),
            note: why.as_str().to_owned(),
        }
    }

    pub fn is_by_itself(&self) -> bool {
        self.by == Self::BY_ITSELF
    }
}

/// What a photo may be used for, as it was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhotoUses {
    pub device: DeviceId,
    pub photo: PhotoId,
    pub usable: BTreeSet<Purpose>,
}

/// What one look over the setting found. Tasks are kept all or none of them, and uses after them, some at a time: what is cut
/// short there, the next look finds again.
#[derive(Clone, Debug, Default)]
pub struct TaskRound {
    pub drafts: Vec<TaskDraft>,
    pub uses: Vec<PhotoUses>,
    /// Open tasks that are over, and why.
    pub over: BTreeMap<TaskId, Over>,
}

/// Why a task is over without anybody's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    NoLongerSo,
    Superseded,
    GivenAgain,
}

impl Over {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoLongerSo => "no longer so",
            Self::Superseded => "a later withdrawal took its place",
            Self::GivenAgain => "consent was given again",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskChanges {
    pub opened: usize,
    /// Open before, about more photos now.
    pub extended: usize,
    pub closed: usize,
}

pub trait TaskStore: Send + Sync {
    /// By due day. `closed`: also those that are.
    fn task_list(&self, closed: WithClosed) -> Answer<'_, Vec<Task>>;

    /// While a task with the key of a draft is open, the draft adds its photos to it.
    fn task_round<'a>(&'a self, round: &'a TaskRound, now: Timestamp) -> Answer<'a, TaskChanges>;

    /// `Already`: it is closed.
    fn task_close<'a>(
        &'a self,
        task: TaskId,
        closing: &'a Closing,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithClosed {
    Yes,
    No,
}
