//! What the person who sorts photos sees: which are left, and one of them opened.

use super::catalogue::{self, FileState, PhotoRow};
use super::engine::{Engine, Moment};
use super::error::PhotosError;
use super::listing::Listing;
use super::tree;
use nestwarden_policy_schema::consent::Stage;
use nestwarden_policy_schema::id::PhotoId;
use std::fs::File;

/// Some photos, and how many there are, as far as they were counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sorting {
    pub photos: Vec<Listing>,
    pub count: usize,
}

/// A photo open for reading.
#[derive(Debug)]
pub struct Viewed {
    pub file: File,
    pub bytes: u64,
    /// The IANA media type.
    pub media: String,
}

/// What nobody has said everything of, and can still be looked at.
const TO_SORT: &str = "SELECT id FROM photo WHERE tagging IN ('untagged', 'partial')
    AND stage IN ('live', 'withheld') AND found_month IS NULL ORDER BY captured_at, id LIMIT ?1";
const NEWEST: &str = "SELECT id FROM photo WHERE stage <> 'destroyed' AND found_month IS NULL
    ORDER BY captured_at DESC, id DESC LIMIT ?1";
/// More photos than anybody sorts in a day; counting stops here.
pub const MOST_COUNTED: usize = 500;

impl Engine {
    pub fn to_sort(&self, moment: &Moment<'_>, most: usize) -> Result<Sorting, PhotosError> {
        let mut rows = self.rows_of(TO_SORT, MOST_COUNTED)?;
        rows.retain(|row| self.is_shown(moment, row));
        Ok(self.sorting(moment, rows, most))
    }

    pub fn newest(&self, moment: &Moment<'_>, most: usize) -> Result<Sorting, PhotosError> {
        let mut rows = self.rows_of(NEWEST, most)?;
        rows.retain(|row| !row.is_gone());
        Ok(self.sorting(moment, rows, most))
    }

    fn sorting(&self, moment: &Moment<'_>, rows: Vec<PhotoRow>, most: usize) -> Sorting {
        let count = rows.len();
        let photos = rows.into_iter().take(most);
        Sorting {
            photos: photos.map(|row| self.listing(moment, row)).collect(),
            count,
        }
    }

    pub fn photo(&self, moment: &Moment<'_>, id: PhotoId) -> Result<Listing, PhotosError> {
        let row = self.row_of(id)?;
        Ok(self.listing(moment, row))
    }

    /// Only what a person may look at to say who is in it: in use or withheld, and not frozen.
    pub fn view(&self, moment: &Moment<'_>, id: PhotoId) -> Result<Viewed, PhotosError> {
        let row = self.row_of(id)?;
        if !self.is_shown(moment, &row) {
            return Err(PhotosError::NotShown(id));
        }
        let mut last = None;
        for state in [FileState::Present, FileState::Vaulted] {
            for file in row.in_state(state) {
                let opened = match &file.vault {
                    Some((vault, name)) => self
                        .tree()
                        .dir(vault)
                        .and_then(|dir| tree::open_file(&dir, name)),
                    None => self.tree().file(&file.path),
                };
                let opened = opened.and_then(|file| Ok((tree::stat_open(&file)?.identity, file)));
                match opened {
                    Ok((identity, opened)) if identity.is_same_file(&file.identity) => {
                        return Ok(Viewed {
                            file: opened,
                            bytes: identity.size,
                            media: row.media.clone(),
                        });
                    }
                    // Another file by its name is not the photo that was judged.
                    Ok(_) => {}
                    Err(error) => last = Some(error),
                }
            }
        }
        Err(last.map_or(PhotosError::NotShown(id), PhotosError::Io))
    }

    fn row_of(&self, id: PhotoId) -> Result<PhotoRow, PhotosError> {
        let row = self.ledger.read(|sql| catalogue::photo(sql, id))?;
        row.filter(|row| row.stage != Stage::Destroyed && !row.is_gone())
            .ok_or(PhotosError::NoSuchPhoto(id))
    }

    /// Asked anew and not remembered: a hold may have come since the last pass.
    fn is_shown(&self, moment: &Moment<'_>, row: &PhotoRow) -> bool {
        let Some(policy) = moment.policy() else {
            return false;
        };
        row.stage <= Stage::Withheld
            && !row.is_gone()
            && !self.verdict_on(moment, policy, row).frozen
    }
}
