//! What the tablet was like before us, so that handing it back restores it.

use super::tablet::Tablet;
use crate::control::EnforceError;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Controls are held side by side, and all of them remember here.
static CHANGING: Mutex<()> = Mutex::new(());

/// Values by name. The first value remembered under a name stays until it is taken back.
#[derive(Debug)]
pub(super) struct Previous<'a> {
    tablet: &'a Tablet,
}

type Values = BTreeMap<String, Option<String>>;

impl<'a> Previous<'a> {
    pub(super) fn new(tablet: &'a Tablet) -> Self {
        Self { tablet }
    }

    /// Remembers `value` (`None`: there was nothing) before the first change. Durable when it returns.
    pub(super) fn remember(&self, name: &str, value: Option<&str>) -> Result<(), EnforceError> {
        let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut values = self.load()?;
        if values.contains_key(name) {
            return Ok(());
        }
        values.insert(name.to_owned(), value.map(ToOwned::to_owned));
        self.store(&values)
    }

    /// Everything remembered under names that begin with `prefix`.
    pub(super) fn recall(&self, prefix: &str) -> Result<Values, EnforceError> {
        let mut values = self.load()?;
        values.retain(|name, _| name.starts_with(prefix));
        Ok(values)
    }

    /// Forgets one name, once its value is back in place.
    pub(super) fn forget(&self, name: &str) -> Result<(), EnforceError> {
        let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut values = self.load()?;
        if values.remove(name).is_none() {
            return Ok(());
        }
        self.store(&values)
    }

    fn load(&self) -> Result<Values, EnforceError> {
        let Some(text) = Tablet::read_at(&self.path())? else {
            return Ok(Values::new());
        };
        serde_json::from_str(&text).map_err(|e| {
            EnforceError::Unreadable(format!(
                "`{}` cannot be read ({e}); restore it from a backup, or the tablet cannot be handed back as it was",
                self.path().display()
            ))
        })
    }

    fn store(&self, values: &Values) -> Result<(), EnforceError> {
        let text = serde_json::to_string_pretty(values)
            .map_err(|e| EnforceError::Unreadable(e.to_string()))?;
        self.tablet.write_at(&self.path(), &text, 0o600)
    }

    fn path(&self) -> std::path::PathBuf {
        self.tablet.paths().state_dir().join("previous.json")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::paths::Paths;

    #[test]
    fn the_first_value_stays_until_it_is_taken_back() {
        let root = tempfile::tempdir().unwrap();
        let tablet = Tablet::new(&Paths::new(root.path()));
        let previous = Previous::new(&tablet);
        previous.remember("shadow/1000/max", Some("99999")).unwrap();
        previous.remember("shadow/1000/max", Some("91")).unwrap();
        previous.remember("camera", None).unwrap();
        assert_eq!(
            previous.recall("shadow/").unwrap(),
            Values::from([("shadow/1000/max".to_owned(), Some("99999".to_owned()))])
        );
        previous.forget("shadow/1000/max").unwrap();
        assert!(previous.recall("shadow/").unwrap().is_empty());
        assert_eq!(previous.recall("camera").unwrap()["camera"], None);
    }

    #[test]
    fn a_damaged_memory_is_an_error_and_is_not_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let tablet = Tablet::new(&Paths::new(root.path()));
        let path = Paths::new(root.path()).state_dir().join("previous.json");
        tablet.write_at(&path, "{", 0o600).unwrap();
        assert!(Previous::new(&tablet).remember("camera", None).is_err());
        assert_eq!(Tablet::read_at(&path).unwrap().unwrap(), "{");
    }
}
