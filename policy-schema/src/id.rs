//! Every typed id, alphabetical, append-only: an id that was ever written to disk or the wire keeps its name.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// A text that is not a UUID.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{text}` is not a valid {what} id; copy it whole, for example 0192e4a1-7c3b-7d10-8f2e-5a6b7c8d9e0f"
)]
pub struct IdParseError {
    what: &'static str,
    text: String,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $what:literal),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdParseError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self).map_err(|_| IdParseError {
                    what: $what,
                    text: text.chars().take(80).collect(),
                })
            }
        }
    )+};
}

ids! {
    /// A request for what is known of one child, photos included.
    AccessRequestId = "subject access request",
    /// What another program signs in with, on somebody's behalf.
    ApiTokenId = "token",
    /// A person who may approve destructive commands; their key is in the anchors.
    ApproverId = "approver",
    /// A child as tablets know them: random, so that it says nothing about when they joined.
    ChildId = "child",
    /// One command from the server to one tablet.
    CommandId = "command",
    /// One answer of one person about one purpose.
    ConsentId = "consent",
    /// One time that somebody has a tablet, wherever it was signed out. On the server the id of its entry.
    CustodyId = "custody",
    /// One enrolled tablet. Enrolling again makes a new one.
    DeviceId = "device",
    /// One entry of one of the setting's registers: an incident, a concern, a member of staff, a tablet handed out.
    EntryId = "entry",
    /// A dated loosening of a profile.
    ExceptionId = "exception",
    FamilyId = "family",
    HoldId = "hold",
    /// A person who signs in to the console or runs server commands.
    OperatorId = "operator",
    /// One passkey or security key of one person.
    PasskeyId = "passkey",
    /// One photo or video on one tablet, whatever it is called and however many copies it has.
    PhotoId = "photo",
    ReceiptId = "receipt",
    /// One request to the server, as shown to a person who asks for help.
    RequestId = "request",
    /// A capture session on a tablet.
    SessionId = "session",
    /// A nursery. Every row on a server belongs to one.
    SettingId = "setting",
    /// Somebody on the staff, by the id of their entry in the staff register.
    StaffId = "staff",
    /// Something a person has to do, with an owner and a day.
    TaskId = "task",
}
