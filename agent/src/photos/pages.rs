//! Walks over the catalogue page by page.

use super::catalogue::{self, PHOTO, PhotoRow};
use super::error::PhotosError;
use super::record::photo_of;
use rusqlite::{Connection, params};

/// Photos in one page: their files are renamed under one journal entry and one sync of their folders.
/// Tests turn many pages over few photos.
pub(super) const PAGE: usize = if cfg!(test) { 3 } else { 512 };

/// Which photos a walk passes by. The destroyed are never among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// All but those found at enrolment that nothing was done with.
    ButCounted,
    /// Those with which something was done.
    Moved,
}

/// Some photos in the order in which they were first seen, each with its place.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) rows: Vec<(i64, PhotoRow)>,
    /// Where the next page begins; `None` after the last.
    pub(super) next: Option<i64>,
}

pub(super) fn page(
    sql: &Connection,
    after: i64,
    which: Which,
    most: usize,
) -> Result<Page, PhotosError> {
    let which = match which {
        Which::All => "",
        Which::ButCounted => "AND (found_month IS NULL OR stage <> 'live')",
        Which::Moved => {
            "AND (stage <> 'live' OR EXISTS
                (SELECT 1 FROM photo_file f WHERE f.photo = photo.id AND f.state IN ('vaulted', 'dropping')))"
        }
    };
    let select = format!(
        "{PHOTO} WHERE photo.rowid > ?1 AND stage <> 'destroyed' {which} ORDER BY photo.rowid LIMIT ?2"
    );
    let mut statement = sql.prepare_cached(&select)?;
    let mut rows = statement.query(params![after, i64::try_from(most).unwrap_or(i64::MAX)])?;
    let mut page = Page::default();
    while let Some(row) = rows.next()? {
        let mut photo = photo_of(row)?;
        catalogue::complete(sql, &mut photo)?;
        page.rows.push((row.get(25)?, photo));
    }
    page.next = page
        .rows
        .last()
        .filter(|_| page.rows.len() == most)
        .map(|(place, _)| *place);
    Ok(page)
}
