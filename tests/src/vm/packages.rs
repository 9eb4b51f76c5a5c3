//! The Debian packages under test, as the machine in the box gets them.

use anyhow::{Context as _, Result, ensure};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::done;

/// A directory of packages that were built before; without it they are built now.
pub const PACKAGES_VARIABLE: &str = "NESTWARDEN_PACKAGES";

/// Puts the packages into `dir`, as they were built but for compression and symbols: emulated processors take long to
/// unpack.
pub fn gather(dir: &Path) -> Result<()> {
    let found = match std::env::var_os(PACKAGES_VARIABLE) {
        Some(built_dir) => packages_in(Path::new(&built_dir))?,
        None => build()?,
    };
    ensure!(
        found.len() == 2,
        "wanted the packages of agent and server, found {found:?}"
    );
    for package in found {
        let name = package.file_name().context("a package has a name")?;
        let unpacked_dir = dir.join("unpacked");
        dpkg_deb([
            OsStr::new("-R"),
            package.as_os_str(),
            unpacked_dir.as_os_str(),
        ])?;
        for program in fs::read_dir(unpacked_dir.join("usr/bin"))? {
            let mut strip = Command::new("strip");
            strip.arg("--strip-debug").arg(program?.path());
            done(strip)?;
        }
        let to = dir.join(name);
        dpkg_deb([
            OsStr::new("-Znone"),
            OsStr::new("-b"),
            unpacked_dir.as_os_str(),
            to.as_os_str(),
        ])?;
        fs::remove_dir_all(unpacked_dir)?;
    }
    Ok(())
}

fn build() -> Result<Vec<PathBuf>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/build");
    let built = Command::new(script)
        .output()
        .context("could not start packaging/build")?;
    let said = String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success(), "{}\n{said}", built.status);
    let paths = String::from_utf8(built.stdout)?;
    Ok(paths.lines().map(PathBuf::from).collect())
}

fn packages_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("could not list {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "deb") {
            found.push(path);
        }
    }
    Ok(found)
}

fn dpkg_deb<'a>(arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<()> {
    let mut command = Command::new("dpkg-deb");
    command.args(arguments);
    done(command).map(|_| ())
}
