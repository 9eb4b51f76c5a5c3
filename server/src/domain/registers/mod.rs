//! What the setting's registers share. An entry is the lines that were written about it: the first begins it, later ones go
//! on, correct or close it, and none is ever changed. What a line *does* is an act without names; names and free text are
//! its words, sealed to this server's release key, and can be erased without the line.
//!
//! A register is one type that implements [`Entry`]: which act may follow which is decided there and nowhere else.

pub mod app;
pub mod asking;
pub mod aup;
pub mod circle;
pub mod concern;
pub mod custody;
pub mod incident;
pub mod pin;
pub mod staff;
pub mod told;
pub mod video;
pub mod words;

use super::fresh;
use crate::signing::ReleaseKey;
use crate::signing::release::seal;
use crate::storage::{
    AuditEntry, Changed, EntryBegun, EntryHead, EntryRow, EntryWords, EraseAsked, Leaves, NewLine,
    Operator, RegisterName, Role, Storage, StorageError, Which,
};
use circle::Circle;
use jiff::Timestamp;
use nestwarden_policy_schema::id::EntryId;
use nestwarden_policy_schema::text::is_unseen;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use words::{Read, Words};

/// Entries that are listed at once, the newest.
pub const MOST_LISTED: u32 = 1_000;
/// Lines of one entry. Far more than any matter needs; what ends it, or must never wait, is taken beyond, up to twice as many.
pub const MOST_LINES: usize = if cfg!(test) { 20 } else { 500 };
const REASON_CHARS: usize = 400;

/// One register: what an entry of it comes to, line after line.
pub trait Entry: Sized {
    const REGISTER: RegisterName;
    /// Codes, times and ids; neither a name nor free text. Written as an object with its name in `act`.
    type Act: Serialize + DeserializeOwned;
    /// Whether only those begin an entry who read it.
    const WRITERS_READ: bool = true;

    /// What an entry is once this was written. `before`: what it was; `None`: this begins it.
    fn after(before: Option<Self>, act: &Self::Act, at: Timestamp) -> Result<Self, Refused>;

    fn is_open(&self) -> bool;

    /// Whether a line is taken however many there are, though the entry stays open by it.
    fn never_waits(_act: &Self::Act) -> bool {
        false
    }

    /// What no two open entries are about.
    fn subject(&self) -> Option<String> {
        None
    }
}

/// Why a line is not taken, for whoever filled in the form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{says}")]
pub struct Refused {
    /// The field it is about; empty: the whole form.
    pub field: &'static str,
    /// A whole sentence that says what to do.
    pub says: String,
}

impl Refused {
    pub fn at(field: &'static str, says: impl Into<String>) -> Self {
        Self {
            field,
            says: says.into(),
        }
    }

    pub fn whole(says: impl Into<String>) -> Self {
        Self::at("", says)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("this register has no entry {0}")]
    Missing(EntryId),
    #[error("somebody else wrote at the same time, so nothing was written; look again")]
    Meanwhile,
    #[error("this setting's release key cannot be used; restore `keys` from a backup")]
    Seal,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// An entry as its lines make it.
pub struct Kept<E: Entry> {
    pub id: EntryId,
    pub begun_at: Timestamp,
    pub now: E,
    pub lines: Vec<Line<E::Act>>,
    circle: Option<Vec<u8>>,
}

pub struct Line<A> {
    pub seq: u64,
    pub at: Timestamp,
    /// An operator's name.
    pub by: String,
    pub act: A,
    /// Who wants its words erased, and why; a second person does it.
    pub erase_asked: Option<EraseAsked>,
    words: EntryWords,
}

impl<E: Entry> Kept<E> {
    fn of(row: EntryRow) -> Result<Self, StorageError> {
        let corrupt = |problem: String| StorageError::Corrupt {
            what: "an entry of a register",
            problem,
        };
        let mut now = None;
        let mut lines = Vec::with_capacity(row.lines.len());
        for line in row.lines {
            let act: E::Act =
                serde_json::from_value(line.act).map_err(|error| corrupt(error.to_string()))?;
            let after = E::after(now.take(), &act, line.at);
            now = Some(after.map_err(|refused| corrupt(refused.says))?);
            lines.push(Line {
                seq: line.seq,
                at: line.at,
                by: line.by,
                act,
                erase_asked: line.erase_asked,
                words: line.words,
            });
        }
        Ok(Self {
            id: row.head.id,
            begun_at: row.head.begun_at,
            now: now.ok_or_else(|| corrupt("it has no line".to_owned()))?,
            lines,
            circle: row.head.circle,
        })
    }

    /// Who wrote its first line.
    pub fn begun_by(&self) -> &str {
        self.lines.first().map_or("", |line| line.by.as_str())
    }
}

/// A register with its words closed: what is open, since when, and what is due.
pub async fn list<E: Entry>(storage: &Storage, which: Which) -> Result<Vec<Kept<E>>, StorageError> {
    let rows = storage.entry_list(E::REGISTER, which, MOST_LISTED).await?;
    rows.into_iter().map(Kept::of).collect()
}

/// Likewise all of it, however many there are, for what must miss none.
pub async fn every<E: Entry>(
    storage: &Storage,
    which: Which,
) -> Result<Vec<Kept<E>>, StorageError> {
    let rows = storage.entry_list(E::REGISTER, which, u32::MAX).await?;
    rows.into_iter().map(Kept::of).collect()
}

/// `None`: there is no such entry.
pub async fn find<E: Entry>(
    storage: &Storage,
    id: EntryId,
) -> Result<Option<Kept<E>>, StorageError> {
    let row = storage.entry_find(E::REGISTER, id).await?;
    row.map(Kept::of).transpose()
}

/// Who writes, and when.
#[derive(Clone, Copy)]
pub struct Hand<'a> {
    pub by: &'a Operator,
    pub now: Timestamp,
}

/// The setting's registers, with the key that opens their words.
#[derive(Clone, Copy)]
pub struct Registers<'a> {
    pub storage: &'a Storage,
    pub release: &'a ReleaseKey,
    /// The public half of it, to which words are sealed.
    pub recipient: &'a str,
}

impl Registers<'_> {
    /// Begins an entry. `circle`: who may read it; `None`: everybody whom the register is for.
    pub async fn begin<E: Entry>(
        &self,
        act: &E::Act,
        words: &Words,
        circle: Option<&Circle>,
        hand: Hand<'_>,
    ) -> Result<EntryId, RegisterError> {
        if circle.is_some_and(|circle| !circle.admits(hand.by)) && E::WRITERS_READ {
            return Err(Refused::whole(
                "You would not be among those who read it. Somebody else has to write it down, or raise a concern about it.",
            )
            .into());
        }
        let entry = E::after(None, act, hand.now)?;
        let id = EntryId::from_uuid(fresh::ordered(hand.now));
        let head = EntryHead {
            id,
            begun_at: hand.now,
            closed_at: None,
            subject: entry.subject(),
            circle: circle
                .map(|circle| self.seal(&circle.to_bytes()))
                .transpose()?,
        };
        let line = self.line::<E>(1, act, words, hand, &entry)?;
        let audit = audit(E::REGISTER, id, &line);
        match self
            .storage
            .entry_begin(E::REGISTER, &head, &line, &audit)
            .await?
        {
            EntryBegun::Yes => Ok(id),
            EntryBegun::Taken => Err(Refused::whole(
                "There is an open entry about the same already. Close that one first.",
            )
            .into()),
        }
    }

    /// Adds a line, if the entry takes it as it is now.
    pub async fn add<E: Entry>(
        &self,
        id: EntryId,
        act: &E::Act,
        words: &Words,
        hand: Hand<'_>,
    ) -> Result<E, RegisterError> {
        let kept = find::<E>(self.storage, id).await?;
        let kept = kept.ok_or(RegisterError::Missing(id))?;
        let lines = kept.lines.len();
        let seq = kept.lines.last().map_or(1, |last| last.seq + 1);
        let entry = E::after(Some(kept.now), act, hand.now)?;
        let is_needed = !entry.is_open() || E::never_waits(act);
        if lines >= 2 * MOST_LINES || lines >= MOST_LINES && !is_needed {
            return Err(Refused::whole(format!(
                "This entry has {MOST_LINES} lines. Close it, and begin another one that names it."
            ))
            .into());
        }
        let line = self.line::<E>(seq, act, words, hand, &entry)?;
        let audit = audit(E::REGISTER, id, &line);
        match self
            .storage
            .entry_append(E::REGISTER, id, &line, &audit)
            .await?
        {
            Changed::Yes => Ok(entry),
            Changed::Already => Err(RegisterError::Meanwhile),
            Changed::Missing => Err(RegisterError::Missing(id)),
        }
    }

    /// Asks that the words of one line are erased: for the right to erasure, or a name that should never have been written.
    pub async fn ask_erase<E: Entry>(
        &self,
        id: EntryId,
        seq: u64,
        why: &str,
        hand: Hand<'_>,
    ) -> Result<(), RegisterError> {
        let why = why.trim();
        if !(1..=REASON_CHARS).contains(&why.chars().count()) || why.chars().any(is_unseen) {
            return Err(Refused::at(
                "why",
                format!("Write why it is to be erased, on one line of at most {REASON_CHARS} characters and without names."),
            )
            .into());
        }
        let asked = EraseAsked {
            by: hand.by.name.clone(),
            why: why.to_owned(),
        };
        let audit = erasing(E::REGISTER, "ask_erase", (id, seq), hand);
        let store = self.storage;
        match store
            .entry_ask_erase(E::REGISTER, id, seq, &asked, &audit)
            .await?
        {
            Changed::Yes => Ok(()),
            Changed::Already => Err(Refused::whole(
                "Somebody asked for it before, or there are no words to erase. Look again.",
            )
            .into()),
            Changed::Missing => Err(RegisterError::Missing(id)),
        }
    }

    /// Erases them for ever, as a second person: nobody makes what was written of them disappear alone. That it was done, by
    /// whom and why stays.
    pub async fn erase<E: Entry>(
        &self,
        id: EntryId,
        seq: u64,
        hand: Hand<'_>,
    ) -> Result<(), RegisterError> {
        let audit = erasing(E::REGISTER, "erase", (id, seq), hand);
        match self
            .storage
            .entry_erase(E::REGISTER, id, seq, &audit)
            .await?
        {
            Changed::Yes => Ok(()),
            Changed::Already => Err(Refused::whole(
                "Two people erase words: one asks, and another one does it.",
            )
            .into()),
            Changed::Missing => Err(RegisterError::Missing(id)),
        }
    }

    /// The words of a line.
    pub fn read<A>(&self, line: &Line<A>) -> Read {
        match &line.words {
            EntryWords::None => Read::Words(Words::default()),
            EntryWords::Erased { at, why } => Read::Erased {
                at: *at,
                why: why.clone(),
            },
            EntryWords::Sealed(sealed) => self
                .release
                .unseal(sealed)
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                .map_or(Read::Unreadable, Read::Words),
        }
    }

    /// Who may read it. `None`: everybody whom the register is for. What cannot be opened is for nobody.
    pub fn circle<E: Entry>(&self, kept: &Kept<E>) -> Option<Circle> {
        let sealed = kept.circle.as_ref()?;
        let opened = self.release.unseal(sealed);
        let circle = opened.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Some(circle.unwrap_or_default())
    }

    /// Of those whom the register is for.
    pub fn may_read<E: Entry>(&self, kept: &Kept<E>, person: &Operator) -> bool {
        self.circle(kept).is_none_or(|circle| circle.admits(person))
    }

    fn line<E: Entry>(
        &self,
        seq: u64,
        act: &E::Act,
        words: &Words,
        hand: Hand<'_>,
        after: &E,
    ) -> Result<NewLine, RegisterError> {
        let sealed = if words.is_empty() {
            None
        } else {
            let bytes = serde_json::to_vec(words).map_err(|_| RegisterError::Seal)?;
            Some(self.seal(&bytes)?)
        };
        Ok(NewLine {
            seq,
            at: hand.now,
            by: hand.by.name.clone(),
            act: serde_json::to_value(act).map_err(|_| RegisterError::Seal)?,
            sealed,
            leaves: if after.is_open() {
                Leaves::Open
            } else {
                Leaves::Closed
            },
        })
    }

    fn seal(&self, bytes: &[u8]) -> Result<Vec<u8>, RegisterError> {
        seal(self.recipient, bytes).ok_or(RegisterError::Seal)
    }
}

pub fn has_one_of(person: &Operator, roles: &[Role]) -> bool {
    roles.iter().any(|role| person.roles.contains(role))
}

fn erasing(
    register: RegisterName,
    act: &str,
    (id, seq): (EntryId, u64),
    hand: Hand<'_>,
) -> AuditEntry {
    AuditEntry {
        at: hand.now,
        who: hand.by.name.clone(),
        act: format!("{}.{act}", register.as_str()),
        subject: id.to_string(),
        detail: json!({ "line": seq }),
    }
}

/// Says which line was written, and nothing of what it says: the log is kept when words are erased.
fn audit(register: RegisterName, id: EntryId, line: &NewLine) -> AuditEntry {
    let act = line
        .act
        .get("act")
        .and_then(Value::as_str)
        .unwrap_or("write");
    AuditEntry {
        at: line.at,
        who: line.by.clone(),
        act: format!("{}.{act}", register.as_str()),
        subject: id.to_string(),
        detail: json!({ "line": line.seq }),
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
