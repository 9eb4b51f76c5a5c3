//! Bundles and anchors: kept as received, checked again whenever the ledger is opened.

use super::put_back::{self, HeldTo};
use super::{Ledger, LedgerError, LedgerTx, enrolment, meta};
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::envelope::{
    BundleError, Newest, Signed, VerifiedBundle, verify_bundle,
};
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::trust::{Anchors, AnchorsError};
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const NEWEST_KEY: &str = "newest_bundle";

/// Why a bundle was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum BundleRefused {
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Its own statement about anchors does not hold.
    #[error(transparent)]
    Anchors(#[from] AnchorsError),
    #[error(transparent)]
    Ledger(LedgerError),
}

impl From<LedgerError> for BundleRefused {
    fn from(error: LedgerError) -> Self {
        if let LedgerError::Anchors(anchors) = error {
            Self::Anchors(anchors)
        } else {
            Self::Ledger(error)
        }
    }
}

/// The newest generation this tablet ever stored, so that a lower one is refused also after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NewestRow {
    generation: Generation,
    digest: Digest,
}

impl Ledger {
    /// Checks a bundle against the anchors and the newest generation, and stores it. Whether it was new.
    pub fn accept_bundle(&self, signed: Signed) -> Result<bool, BundleRefused> {
        let accepted = self.accept(signed);
        let obstacle = match &accepted {
            Err(BundleRefused::Ledger(error)) => Some(format!(
                "a newer policy arrived and could not be stored: {}; free some space on the tablet, or have it looked at",
                crate::whole_text(error)
            )),
            // One that is refused for what it says changes nothing about what is known.
            Ok(_) | Err(BundleRefused::Bundle(_) | BundleRefused::Anchors(_)) => None,
        };
        self.shared.obstacle.send_if_modified(|now| {
            let changed = *now != obstacle;
            *now = obstacle;
            changed
        });
        accepted
    }

    fn accept(&self, signed: Signed) -> Result<bool, BundleRefused> {
        let (anchors, device, newest) = self.read(|sql| {
            Ok::<_, LedgerError>((
                current_anchors(sql)?,
                enrolment::device(sql)?,
                read_newest(sql)?,
            ))
        })?;
        let verified = verify_bundle(signed, &anchors, device, newest)?;
        let in_force = self.bundle().map(|bundle| bundle.digest());
        if in_force == Some(verified.digest()) {
            return Ok(false);
        }
        self.store_bundle(verified)?;
        Ok(true)
    }

    /// Stores a bundle, the anchors it brings, and its generation, in one transaction; then tells who watches.
    pub fn store_bundle(&self, bundle: VerifiedBundle) -> Result<(), LedgerError> {
        let signed = bundle.signed().clone();
        let held_to = self.transaction(|tx| store(tx, bundle))?;
        for problem in held_to.problems {
            tracing::error!(
                problem,
                "the bundle in force is not tightened by an earlier one"
            );
        }
        self.copy_bundle(&signed);
        self.shared
            .bundle
            .send_replace(Some(Arc::new(held_to.bundle)));
        Ok(())
    }

    /// The anchors in force.
    pub fn anchors(&self) -> Result<Anchors, LedgerError> {
        self.read(current_anchors)
    }

    /// The newest generation ever stored; `Generation::NONE` before the first.
    pub fn newest_generation(&self) -> Result<Generation, LedgerError> {
        let newest = self.read(read_newest)?;
        Ok(newest.map_or(Generation::NONE, |newest| newest.generation))
    }
}

fn store(tx: &LedgerTx<'_>, bundle: VerifiedBundle) -> Result<HeldTo, LedgerError> {
    let sql = tx.sql();
    if let Some(newest) = read_newest(sql)?
        && (bundle.generation() < newest.generation
            || (bundle.generation() == newest.generation && bundle.digest() != newest.digest))
    {
        return Err(LedgerError::NotNewer {
            ours: newest.generation.get(),
            theirs: bundle.generation().get(),
        });
    }
    let anchors = current_anchors(sql)?;
    let signed = serde_json::to_string(bundle.signed()).map_err(LedgerError::Unwritable)?;
    sql.execute(
        "INSERT OR REPLACE INTO bundle (generation, signed, digest, anchors_version) VALUES (?1, ?2, ?3, ?4)",
        (
            to_sql(bundle.generation().get()),
            signed,
            bundle.digest().to_string(),
            to_sql(anchors.version),
        ),
    )?;
    // A statement this tablet already took over is repeated in every bundle until all tablets have it.
    if let Some(statement) = &bundle.bundle().anchors {
        match anchors.updated(statement) {
            Ok(new) => insert_anchors(sql, &new, Some(statement))?,
            Err(AnchorsError::NotNewer { .. }) => {}
            Err(AnchorsError::Signature(_)) if is_known_statement(sql, statement)? => {}
            Err(error) => return Err(error.into()),
        }
    }
    let newest = NewestRow {
        generation: bundle.generation(),
        digest: bundle.digest(),
    };
    let newest = serde_json::to_string(&newest).map_err(LedgerError::Unwritable)?;
    tx.set_meta(NEWEST_KEY, &newest)?;
    let history = anchors_history(sql, &mut Vec::new())?;
    let held_to = put_back::held_to(sql, &history, enrolment::device(sql)?, bundle)?;
    put_back::forget_others(sql, &held_to.generations)?;
    Ok(held_to)
}

pub(super) fn insert_anchors(
    sql: &Connection,
    anchors: &Anchors,
    statement: Option<&Signed>,
) -> Result<(), LedgerError> {
    let text = serde_json::to_string(anchors).map_err(LedgerError::Unwritable)?;
    let statement = statement
        .map(serde_json::to_string)
        .transpose()
        .map_err(LedgerError::Unwritable)?;
    sql.execute(
        "INSERT INTO anchors (version, anchors, statement) VALUES (?1, ?2, ?3)",
        (to_sql(anchors.version), text, statement),
    )?;
    Ok(())
}

/// The newest bundle that verifies, and what was found wrong on the way to it.
pub(super) fn last_good(
    sql: &Connection,
) -> Result<(Option<VerifiedBundle>, Vec<String>), LedgerError> {
    let Some(enrolment) = enrolment::read(sql)? else {
        return Ok((None, Vec::new()));
    };
    let mut problems = Vec::new();
    let history = anchors_history(sql, &mut problems)?;
    let newest = read_newest(sql)?;
    let mut rows = sql.prepare(
        "SELECT generation, signed, anchors_version FROM bundle ORDER BY generation DESC",
    )?;
    let rows = rows.query_map([], |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, i64>(2)?,
        ))
    })?;
    let mut good = None;
    for row in rows {
        let (generation, signed, version) = row?;
        match checked(&signed, version, &history, enrolment.device) {
            Ok(bundle) => {
                good = Some(bundle);
                break;
            }
            Err(problem) => problems.push(format!(
                "the stored bundle of generation {generation} is damaged: {problem}"
            )),
        }
    }
    if let Some(newest) = newest {
        let found = good.as_ref().map(|g| Newest {
            generation: g.generation(),
            digest: g.digest(),
        });
        if found.is_none_or(|f| f.generation != newest.generation || f.digest != newest.digest) {
            problems.push(format!(
                "the ledger should hold the bundle of generation {}, and holds {}; the last good one stays enforced",
                newest.generation,
                found.map_or_else(|| "none".to_owned(), |f| f.generation.to_string()),
            ));
        }
    }
    let Some(good) = good else {
        return Ok((None, problems));
    };
    let held_to = put_back::held_to(sql, &history, enrolment.device, good)?;
    problems.extend(held_to.problems);
    Ok((Some(held_to.bundle), problems))
}

/// A stored bundle, verified against the anchors it was taken over with.
pub(super) fn checked(
    signed: &str,
    anchors_version: i64,
    history: &[Anchors],
    device: DeviceId,
) -> Result<VerifiedBundle, String> {
    let anchors = history
        .iter()
        .find(|anchors| to_sql(anchors.version) == anchors_version)
        .ok_or_else(|| format!("anchors version {anchors_version} are missing"))?;
    let signed = serde_json::from_str(signed).map_err(|e| e.to_string())?;
    verify_bundle(signed, anchors, device, None).map_err(|e| e.to_string())
}

/// Every version of the anchors, each checked against the one before it.
fn anchors_history(
    sql: &Connection,
    problems: &mut Vec<String>,
) -> Result<Vec<Anchors>, LedgerError> {
    let mut rows = sql.prepare("SELECT anchors, statement FROM anchors ORDER BY version")?;
    let rows = rows.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
    })?;
    let mut history: Vec<Anchors> = Vec::new();
    for row in rows {
        let (text, statement) = row?;
        let checked = match (history.last(), statement) {
            (None, None) => serde_json::from_str(&text).map_err(|e| e.to_string()),
            (Some(before), Some(statement)) => serde_json::from_str::<Signed>(&statement)
                .map_err(|e| e.to_string())
                .and_then(|statement| before.updated(&statement).map_err(|e| e.to_string())),
            (None, Some(_)) | (Some(_), None) => {
                Err("they do not follow from the enrolment".to_owned())
            }
        };
        match checked {
            Ok(anchors) => history.push(anchors),
            Err(problem) => {
                problems.push(format!("the stored anchors are damaged: {problem}"));
                break;
            }
        }
    }
    Ok(history)
}

fn current_anchors(sql: &Connection) -> Result<Anchors, LedgerError> {
    let mut problems = Vec::new();
    anchors_history(sql, &mut problems)?
        .pop()
        .ok_or(LedgerError::NotEnrolled)
}

fn is_known_statement(sql: &Connection, statement: &Signed) -> Result<bool, LedgerError> {
    let text = serde_json::to_string(statement).map_err(LedgerError::Unwritable)?;
    let found = sql
        .query_row("SELECT 1 FROM anchors WHERE statement = ?1", [text], |_| {
            Ok(())
        })
        .optional()?;
    Ok(found.is_some())
}

fn read_newest(sql: &Connection) -> Result<Option<Newest>, LedgerError> {
    let Some(text) = meta(sql, NEWEST_KEY)? else {
        return Ok(None);
    };
    let row: NewestRow = serde_json::from_str(&text).map_err(|e| LedgerError::Damaged {
        what: "newest generation".to_owned(),
        problem: e.to_string(),
    })?;
    Ok(Some(Newest {
        generation: row.generation,
        digest: row.digest,
    }))
}

/// SQLite counts in 63 bits; nothing here ever gets there.
pub(super) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
