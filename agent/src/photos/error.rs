//! What can go wrong with the catalogue and the files behind it.

use crate::ledger::LedgerError;
use std::io;

#[derive(Debug, thiserror::Error)]
pub enum PhotosError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the photo catalogue is damaged: {0}")]
    Damaged(String),
    #[error("failed to carry out what the photo journal says")]
    Io(#[from] io::Error),
    #[error("there is no photo {0} on this tablet")]
    NoSuchPhoto(nestwarden_policy_schema::id::PhotoId),
    #[error(
        "child {0} is not on this tablet's register; check the id, or say there is somebody not on the register"
    )]
    NoSuchChild(nestwarden_policy_schema::id::ChildId),
    /// Staff may add to what was said of a photo. Taking it back could bring a photo back that a parent refused.
    #[error(
        "somebody already said who is in photo {0}; more names can be added here (say everybody again, and the new name), but none taken away. If that was a mistake, leave the photo as it is and tell the manager"
    )]
    TagsLoosened(nestwarden_policy_schema::id::PhotoId),
    #[error(
        "photo {0} is sealed: a name can be added to it here, but only the manager can say that nobody else is in it (`nestwarden-server photo correct`)"
    )]
    Sealed(nestwarden_policy_schema::id::PhotoId),
    /// Frozen by a hold, sealed, or gone.
    #[error("photo {0} is not shown on this tablet")]
    NotShown(nestwarden_policy_schema::id::PhotoId),
    #[error("a session has been open since {0}; end it first")]
    SessionOpen(jiff::Timestamp),
    #[error("no session is open; start one first")]
    NoSession,
    #[error("the tablet has not had its first bundle yet; it needs the server once")]
    NoBundle,
    #[error("no request {0} is open on this tablet")]
    NoRequest(nestwarden_policy_schema::id::AccessRequestId),
    #[error("nobody typed the fingerprint of this request yet; begin with it")]
    ReviewNotBegun,
    #[error("this review was finished; what was said stands")]
    ReviewFinished,
    #[error("{0} photos were not looked at yet")]
    ReviewUnfinished(usize),
    #[error("{included} photos are included, and the request is for {most}; leave some out")]
    TooManyIncluded { included: usize, most: usize },
    #[error("the photos task has ended; see the agent's log")]
    TaskEnded,
}

impl From<rusqlite::Error> for PhotosError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Ledger(error.into())
    }
}
