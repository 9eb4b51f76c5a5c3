//! Saying anew what the words of a saved mapping mean.

use super::mapping::Mapping;
use super::{ImportError, Said, mapping_apply, mapping_find};
use crate::storage::Storage;
use jiff::Timestamp;
use nestwarden_policy_schema::consent::Purpose;
use std::collections::BTreeSet;

/// What one word means where it answers for one purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meant {
    pub purpose: Purpose,
    /// In lower case.
    pub word: String,
    pub said: Said,
}

/// Keeps the mapping with these meanings; words it does not have stay out of it. Somebody has to agree to it anew.
pub async fn set_words(
    storage: &Storage,
    name: &str,
    meant: &[Meant],
    who: &str,
    now: Timestamp,
) -> Result<(), ImportError> {
    let saved = mapping_find(storage, name).await?;
    let mut mapping = Mapping::read(&saved.source)?;
    let mut is_other = false;
    for answer in &mut mapping.answers {
        for Meant {
            purpose,
            word,
            said,
        } in meant
        {
            if !answer.purposes.contains(purpose) {
                continue;
            }
            let known = answer
                .words
                .get_mut(word)
                .and_then(|each| each.get_mut(purpose));
            if let Some(known) = known
                && known != said
            {
                *known = *said;
                is_other = true;
            }
        }
    }
    if is_other {
        mapping_apply(storage, &mapping.write(&BTreeSet::new()), who, now).await?;
    }
    Ok(())
}
