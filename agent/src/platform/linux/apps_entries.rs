//! The app grid: entries of apps that nobody approved are hidden by an entry of ours that comes first.

use super::tablet::Tablet;
use crate::control::EnforceError;
use crate::control::apps::EntrySeen;
use crate::decision::inventory::Inventory;

const LOCAL_DIR: &str = "/usr/local/share/applications";
const MARK: &str = "X-Nestwarden-Hidden=true";
const PREVIOUS: &str = "apps/entry/";

pub(super) fn read(tablet: &Tablet, inventory: &Inventory) -> Result<Vec<EntrySeen>, EnforceError> {
    let mut seen = Vec::new();
    for package in &inventory.packages {
        for file_name in &package.desktop_entries {
            seen.push(EntrySeen {
                file_name: file_name.clone(),
                app: package.app.clone(),
                is_hidden: is_ours(tablet.read(&local(file_name))?.as_deref()),
            });
        }
    }
    Ok(seen)
}

pub(super) fn hide(tablet: &Tablet, file_name: &str) -> Result<(), EnforceError> {
    let present = tablet.read(&local(file_name))?;
    if is_ours(present.as_deref()) {
        return Ok(());
    }
    let name = format!("{PREVIOUS}{file_name}");
    tablet.previous().remember(&name, present.as_deref())?;
    let entry = format!(
        "[Desktop Entry]\nType=Application\nName={file_name}\nNoDisplay=true\nHidden=true\n{MARK}\n"
    );
    tablet.write(&local(file_name), &entry, 0o644)
}

pub(super) fn show(tablet: &Tablet, file_name: &str) -> Result<(), EnforceError> {
    let name = format!("{PREVIOUS}{file_name}");
    let remembered = tablet.previous().recall(&name)?.remove(&name).flatten();
    if is_ours(tablet.read(&local(file_name))?.as_deref()) {
        match remembered {
            Some(text) => tablet.write(&local(file_name), &text, 0o644)?,
            None => tablet.remove(&local(file_name))?,
        }
    }
    tablet.previous().forget(&name)
}

pub(super) fn show_all(tablet: &Tablet) -> Result<(), EnforceError> {
    let remembered = tablet.previous().recall(PREVIOUS)?;
    remembered
        .keys()
        .filter_map(|name| name.strip_prefix(PREVIOUS))
        .try_for_each(|file_name| show(tablet, file_name))
}

fn local(file_name: &str) -> String {
    format!("{LOCAL_DIR}/{file_name}")
}

fn is_ours(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.lines().any(|line| line == MARK))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot set up must fail")]
mod tests {
    use super::*;
    use crate::paths::Paths;

    #[test]
    fn an_entry_is_hidden_and_comes_back_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        let tablet = Tablet::new(&Paths::new(root.path()));
        let own = "[Desktop Entry]\nName=Chess of this nursery\n";
        tablet.write(&local("chess.desktop"), own, 0o644).unwrap();
        for name in ["chess.desktop", "draughts.desktop"] {
            hide(&tablet, name).unwrap();
            hide(&tablet, name).unwrap();
            assert!(is_ours(tablet.read(&local(name)).unwrap().as_deref()));
        }
        show_all(&tablet).unwrap();
        assert_eq!(tablet.read(&local("chess.desktop")).unwrap().unwrap(), own);
        assert_eq!(tablet.read(&local("draughts.desktop")).unwrap(), None);
        assert!(tablet.previous().recall(PREVIOUS).unwrap().is_empty());
    }
}
