//! What a bundle is tightened by: after the server's data was put back from an earlier copy, its bundles name the one this
//! tablet had then, and until they no longer do the tablet is held to both.

use super::LedgerError;
use super::bundles::{checked, to_sql};
use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::envelope::VerifiedBundle;
use nestwarden_policy_schema::id::DeviceId;
use nestwarden_policy_schema::trust::Anchors;
use rusqlite::{Connection, OptionalExtension as _};

/// A bundle with everything it is held to.
pub(super) struct HeldTo {
    pub(super) bundle: VerifiedBundle,
    /// Its own generation, and of every bundle that tightens it.
    pub(super) generations: Vec<Generation>,
    pub(super) problems: Vec<String>,
}

/// Tightens `bundle` by the one it names, and that by the one it names in turn.
pub(super) fn held_to(
    sql: &Connection,
    history: &[Anchors],
    device: DeviceId,
    bundle: VerifiedBundle,
) -> Result<HeldTo, LedgerError> {
    let generation = bundle.generation();
    let put_back = bundle.bundle().put_back;
    // Each is below the one that names it, so this ends.
    let Some(named) = put_back.filter(|named| named.generation < generation) else {
        return Ok(HeldTo {
            bundle,
            generations: vec![generation],
            problems: Vec::new(),
        });
    };
    let row = sql
        .query_row(
            "SELECT signed, anchors_version, digest FROM bundle WHERE generation = ?1",
            [to_sql(named.generation.get())],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get(1)?,
                    row.get::<_, String>(2)?,
                ))
            },
        )
        .optional()?
        .filter(|(_, _, digest)| {
            named
                .digest
                .is_none_or(|named| named.to_string() == *digest)
        });
    let earlier = match row {
        Some((signed, version, _)) => checked(&signed, version, history, device),
        None => Err("it is not here any more".to_owned()),
    };
    match earlier {
        Ok(earlier) => {
            let earlier = held_to(sql, history, device, earlier)?;
            let mut generations = vec![generation];
            generations.extend(earlier.generations);
            Ok(HeldTo {
                bundle: bundle.no_looser_than(&earlier.bundle),
                generations,
                problems: earlier.problems,
            })
        }
        Err(problem) => Ok(HeldTo {
            bundle,
            generations: vec![generation],
            problems: vec![format!(
                "the server's data was put back, and the bundle of generation {} that this tablet had cannot be kept to: {problem}",
                named.generation
            )],
        }),
    }
}

/// Keeps these, the newest two, and nothing else.
pub(super) fn forget_others(sql: &Connection, kept: &[Generation]) -> Result<(), LedgerError> {
    let older: Vec<i64> = sql
        .prepare("SELECT generation FROM bundle ORDER BY generation DESC LIMIT -1 OFFSET 2")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let kept: Vec<i64> = kept
        .iter()
        .map(|generation| to_sql(generation.get()))
        .collect();
    for generation in older.into_iter().filter(|found| !kept.contains(found)) {
        sql.execute("DELETE FROM bundle WHERE generation = ?1", [generation])?;
    }
    Ok(())
}
