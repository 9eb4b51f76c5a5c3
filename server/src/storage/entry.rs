//! The setting's registers: entries that are made of lines, and lines that are only ever added.
//!
//! What a line says is the domain's; here an act is JSON without names, and words are bytes that somebody sealed.

use super::{Answer, AuditEntry, Changed};
use jiff::Timestamp;
use nestwarden_policy_schema::id::EntryId;
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterName {
    App,
    AupVersion,
    ClosingCount,
    Concern,
    Custody,
    Incident,
    Staff,
    Video,
}

impl RegisterName {
    /// As it is kept, and as the acts of the audit log begin.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::AupVersion => "aup",
            Self::ClosingCount => "closing_count",
            Self::Concern => "concern",
            Self::Custody => "custody",
            Self::Staff => "staff",
            Self::Incident => "incident",
            Self::Video => "video",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryHead {
    pub id: EntryId,
    pub begun_at: Timestamp,
    /// `None`: it is open.
    pub closed_at: Option<Timestamp>,
    /// What no two open entries of a register are about.
    pub subject: Option<String>,
    /// Sealed: who may read it. `None`: everybody whom the register is for.
    pub circle: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryLine {
    /// 1 and upwards, without gaps.
    pub seq: u64,
    pub at: Timestamp,
    /// An operator's name.
    pub by: String,
    pub act: Value,
    pub words: EntryWords,
    /// The first of the two people who erase words.
    pub erase_asked: Option<EraseAsked>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EraseAsked {
    pub by: String,
    pub why: String,
}

/// Names and free text of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryWords {
    None,
    Sealed(Vec<u8>),
    Erased { at: Timestamp, why: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRow {
    pub head: EntryHead,
    /// In order, the first among them.
    pub lines: Vec<EntryLine>,
}

/// A line to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLine {
    /// One more than the last that was seen.
    pub seq: u64,
    pub at: Timestamp,
    pub by: String,
    pub act: Value,
    pub sealed: Option<Vec<u8>>,
    pub leaves: Leaves,
}

/// How a line leaves its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    Open,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryBegun {
    Yes,
    /// An open entry is about the same.
    Taken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Open,
    All,
}

pub trait EntryStore: Send + Sync {
    /// The newest first, each with its lines.
    fn entry_list(
        &self,
        register: RegisterName,
        which: Which,
        most: u32,
    ) -> Answer<'_, Vec<EntryRow>>;

    /// `None`: this register has no such entry.
    fn entry_find(&self, register: RegisterName, id: EntryId) -> Answer<'_, Option<EntryRow>>;

    /// Keeps an entry and its first line.
    fn entry_begin<'a>(
        &'a self,
        register: RegisterName,
        head: &'a EntryHead,
        line: &'a NewLine,
        audit: &'a AuditEntry,
    ) -> Answer<'a, EntryBegun>;

    /// Adds a line. `Already`: somebody else added one of this number, or another open entry is about the same as one that
    /// would be open again.
    fn entry_append<'a>(
        &'a self,
        register: RegisterName,
        id: EntryId,
        line: &'a NewLine,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// Notes the first person's wish to erase the words of a line. `Already`: somebody asked before, or it has none.
    fn entry_ask_erase<'a>(
        &'a self,
        register: RegisterName,
        id: EntryId,
        seq: u64,
        asked: &'a EraseAsked,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;

    /// Erases the words of a line, and overwrites them; that and why stays. `Already`: it has none, or nobody else than who
    /// acts asked for it. `Missing`: no such line.
    fn entry_erase<'a>(
        &'a self,
        register: RegisterName,
        id: EntryId,
        seq: u64,
        audit: &'a AuditEntry,
    ) -> Answer<'a, Changed>;
}
