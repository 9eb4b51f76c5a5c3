//! Walks over the catalogue page by page.

use super::catalogue::{self, FILE_COLUMNS, PHOTO, PhotoRow};
use super::error::PhotosError;
use super::record::{Reader, file_of, read};
use rusqlite::{Connection, params};

/// Photos in one page: their files are renamed under one journal entry and one sync of their folders.
/// Tests turn many pages over few photos.
pub(super) const PAGE: usize = if cfg!(test) { 3 } else { 1_024 };

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
    let mut reader = Reader::default();
    while let Some(row) = rows.next()? {
        page.rows.push((row.get(25)?, reader.photo(row)?));
    }
    complete(sql, &mut page)?;
    page.next = page
        .rows
        .last()
        .filter(|_| page.rows.len() == most)
        .map(|(place, _)| *place);
    Ok(page)
}

/// Adds what other tables know of these photos.
fn complete(sql: &Connection, page: &mut Page) -> Result<(), PhotosError> {
    let (Some((first, _)), Some((last, _))) = (page.rows.first(), page.rows.last()) else {
        return Ok(());
    };
    let between = [*first, *last];
    // Where most of what lies between is passed by, each is looked up by itself.
    let span = usize::try_from(last - first).unwrap_or(usize::MAX);
    if span / 2 > page.rows.len() {
        let mut rows = page.rows.iter_mut();
        return rows.try_for_each(|(_, photo)| catalogue::complete(sql, photo));
    }
    let mut tags = sql.prepare_cached(
        "SELECT child, photo.rowid FROM photo CROSS JOIN photo_tag ON photo_tag.photo = photo.id
         WHERE photo.rowid BETWEEN ?1 AND ?2",
    )?;
    let mut tags = tags.query(between)?;
    while let Some(row) = tags.next()? {
        if let Some(photo) = page.at(row.get(1)?) {
            photo.subjects.confirmed.insert(read(
                row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?,
            )?);
        }
    }
    let mut files = sql.prepare_cached(&format!(
        "SELECT {FILE_COLUMNS}, photo.rowid FROM photo CROSS JOIN photo_file f ON f.photo = photo.id
         WHERE photo.rowid BETWEEN ?1 AND ?2 ORDER BY photo.rowid, f.id"
    ))?;
    let mut files = files.query(between)?;
    while let Some(row) = files.next()? {
        if let Some(photo) = page.at(row.get(15)?) {
            photo.files.push(file_of(row)?);
        }
    }
    Ok(())
}

impl Page {
    fn at(&mut self, place: i64) -> Option<&mut PhotoRow> {
        let at = self.rows.binary_search_by_key(&place, |(place, _)| *place);
        at.ok().map(|at| &mut self.rows[at].1)
    }
}
