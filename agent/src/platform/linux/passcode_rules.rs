//! The rules for passcodes that are in force, whoever set them.

use super::pam::PamFiles;
use super::pin_dictionary;
use super::tablet::Tablet;
use crate::control::EnforceError;
use crate::control::passcode::PasscodeRules;
use std::path::Path;

const QUALITY_DIR: &str = "/etc/security/pwquality.conf.d";
/// Read after the directory, so that it wins over it.
const QUALITY_MAIN: &str = "/etc/security/pwquality.conf";

pub(super) fn in_force(tablet: &Tablet) -> Result<PasscodeRules, EnforceError> {
    let stack = |name: &str| match tablet.read(&format!("/etc/pam.d/{name}"))? {
        Some(text) => Ok(text),
        None if tablet.is_whole_machine() => Err(EnforceError::Unsupported(format!(
            "`/etc/pam.d/{name}` is missing; this tablet's PAM is not laid out as Debian's"
        ))),
        None => Err(Tablet::confined("signing in")),
    };
    let files = PamFiles {
        password: stack("common-password")?,
        auth: stack("common-auth")?,
        account: stack("common-account")?,
        pwquality: quality_files(tablet, |_| true)?,
        faillock: tablet
            .read("/etc/security/faillock.conf")?
            .unwrap_or_default(),
    };
    let rules = files.rules();
    Ok(PasscodeRules {
        refuse_simple: rules.refuse_simple && pin_dictionary::is_in_force(tablet)?,
        ..rules
    })
}

/// pwquality's files in the order in which they are read, those whose path is wanted.
pub(super) fn quality_files(
    tablet: &Tablet,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<String>, EnforceError> {
    let mut paths: Vec<String> = tablet
        .list(QUALITY_DIR)?
        .into_iter()
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "conf"))
        .map(|name| format!("{QUALITY_DIR}/{name}"))
        .collect();
    paths.push(QUALITY_MAIN.to_owned());
    let mut texts = Vec::new();
    for path in paths.iter().filter(|path| wanted(path)) {
        texts.extend(tablet.read(path)?);
    }
    Ok(texts)
}
