//! Reads what is installed: dpkg's own database and Flatpak's system installation.
//!
//! The content of a program is what its package version brought when this tablet first saw that version; a program
//! changed since, without another version of its package, is no longer that package's.

use super::guard_facts::{identity_of, sha256_of};
use crate::control::EnforceError;
use crate::decision::inventory::{Executable, Inventory, Package};
use crate::paths::Paths;
use nestwarden_policy_schema::policy::AppId;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// dpkg's status of a full desktop has about 5 MiB.
const MAX_DATABASE_BYTES: u64 = 64 * 1024 * 1024;
const MAX_FLATPAK_FILES: usize = 200_000;
/// Nothing there is ever a program, and most files are there.
const OWN_PACKAGE: &str = "dpkg:nestwarden-agent";
const NO_PROGRAMS: [&str; 5] = [
    "/usr/share/doc/",
    "/usr/share/man/",
    "/usr/share/locale/",
    "/usr/share/icons/",
    "/usr/share/help/",
];

/// Reads everything again, but the content only of packages that `known` does not have in the same version, and of
/// files that were touched.
pub(super) fn read(paths: &Paths, known: &Inventory) -> Result<Inventory, EnforceError> {
    let known: BTreeMap<_, _> = known.packages.iter().map(|p| (&p.app, p)).collect();
    let mut packages = Vec::new();
    for installed in dpkg_packages(paths)?.into_iter().chain(flatpaks(paths)) {
        let package = match known.get(&installed.app) {
            Some(before) if before.version == installed.version => looked_at_again(before),
            Some(_) | None => read_package(paths, &installed)?,
        };
        packages.push(package);
    }
    if packages.is_empty() {
        return Err(EnforceError::Unsupported(format!(
            "app control needs a package database, and there is none at `{}`; it knows dpkg and Flatpak",
            paths.on_tablet("/var/lib/dpkg/status").display()
        )));
    }
    packages.sort_by(|a, b| a.app.cmp(&b.app));
    packages.dedup_by(|a, b| a.app == b.app);
    Ok(Inventory { packages })
}

struct Installed {
    app: AppId,
    version: String,
    files: Files,
}

enum Files {
    /// The file that lists them.
    Listed(PathBuf),
    /// Everything beneath this directory.
    Beneath(PathBuf),
}

fn dpkg_packages(paths: &Paths) -> Result<Vec<Installed>, EnforceError> {
    let status_path = paths.on_tablet("/var/lib/dpkg/status");
    let Some(status) = read_bounded(&status_path)? else {
        return Ok(Vec::new());
    };
    let info_dir = paths.on_tablet("/var/lib/dpkg/info");
    let stanzas = status.split("\n\n");
    let installed = stanzas.filter_map(|stanza| {
        let field = |name: &str| {
            let mut lines = stanza.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let name = field("Package")?;
        if !field("Status")?.ends_with(" installed") {
            return None;
        }
        let app: AppId = format!("dpkg:{name}").parse().ok()?;
        let architecture = field("Architecture").unwrap_or("all");
        let with_architecture = info_dir.join(format!("{name}:{architecture}.list"));
        let list_path = if with_architecture.exists() {
            with_architecture
        } else {
            info_dir.join(format!("{name}.list"))
        };
        Some(Installed {
            app,
            version: field("Version").unwrap_or("").to_owned(),
            files: Files::Listed(list_path),
        })
    });
    Ok(installed.collect())
}

/// Apps need approval as any other; runtimes are what they stand on.
fn flatpaks(paths: &Paths) -> Vec<Installed> {
    let mut found = Vec::new();
    for kind in ["app", "runtime"] {
        let kind_dir = paths.on_tablet("/var/lib/flatpak").join(kind);
        for app_dir in subdirs(&kind_dir) {
            for branch_dir in subdirs(&app_dir).iter().flat_map(|arch| subdirs(arch)) {
                let name = app_dir.file_name().unwrap_or_default().to_string_lossy();
                let active = branch_dir.join("active").canonicalize();
                if let (Ok(app), Ok(active)) = (format!("flatpak:{name}").parse(), active) {
                    found.push(Installed {
                        app,
                        version: active.to_string_lossy().into_owned(),
                        files: Files::Beneath(active.join("files")),
                    });
                }
            }
        }
    }
    found
}

fn subdirs(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.map(|entry| entry.path()).collect()
}

fn read_package(paths: &Paths, installed: &Installed) -> Result<Package, EnforceError> {
    let files = match &installed.files {
        Files::Listed(list_path) => {
            let list = read_bounded(list_path)?.unwrap_or_default();
            list.lines().map(str::to_owned).collect()
        }
        Files::Beneath(dir) => beneath(dir, paths.root_dir()),
    };
    let mut parents = HashMap::new();
    let mut executables = Vec::new();
    let mut desktop_entries = Vec::new();
    for file in &files {
        if let Some(name) = shown_entry(paths, file) {
            desktop_entries.push(name);
        }
        if NO_PROGRAMS.iter().any(|dir| file.starts_with(dir)) {
            continue;
        }
        if let Some(path) = resolve(paths, file, &mut parents)
            && let Some(executable) = read_executable(&path).map_err(|error| {
                EnforceError::failed(format!("read the program `{}`", path.display()), error)
            })?
        {
            executables.push(executable);
        }
    }
    if installed.app.to_string() == OWN_PACKAGE {
        // Its page is always there: a child's safety outranks enforcement, and no setting need think of approving it.
        desktop_entries.clear();
    }
    let is_flatpak_app = matches!(&installed.files, Files::Beneath(dir)
        if dir.starts_with(paths.on_tablet("/var/lib/flatpak/app")));
    Ok(Package {
        app: installed.app.clone(),
        version: installed.version.clone(),
        user_facing: is_flatpak_app || !desktop_entries.is_empty(),
        executables,
        desktop_entries,
    })
}

/// Absolute paths as the tablet names them.
fn beneath(dir: &Path, root_dir: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                dirs.push(entry.path());
            } else if kind.is_file()
                && files.len() < MAX_FLATPAK_FILES
                && let Ok(inside) = entry.path().strip_prefix(root_dir)
            {
                files.push(format!("/{}", inside.display()));
            }
        }
    }
    files
}

/// The file name of a desktop entry, if the app grid shows it.
fn shown_entry(paths: &Paths, file: &str) -> Option<String> {
    let name = file.strip_prefix("/usr/share/applications/")?;
    if !name.ends_with(".desktop") || name.contains('/') {
        return None;
    }
    let text = read_bounded(&paths.on_tablet(file)).ok().flatten();
    let is_hidden = text.is_some_and(|text| {
        let mut main_lines = text
            .lines()
            .skip_while(|line| line.trim() != "[Desktop Entry]");
        main_lines.next();
        main_lines
            .take_while(|line| !line.starts_with('['))
            .any(|line| {
                let line = line.replace(' ', "");
                line == "NoDisplay=true" || line == "Hidden=true"
            })
    });
    (!is_hidden).then(|| name.to_owned())
}

/// Where the file is once links in its directories are followed, if that is beneath the root.
fn resolve(
    paths: &Paths,
    file: &str,
    parents: &mut HashMap<PathBuf, Option<PathBuf>>,
) -> Option<PathBuf> {
    let path = paths.on_tablet(file);
    let (parent, name) = (path.parent()?, path.file_name()?);
    let real_parent = parents.entry(parent.to_owned()).or_insert_with(|| {
        let real = parent.canonicalize().ok()?;
        real.starts_with(paths.root_dir()).then_some(real)
    });
    Some(real_parent.as_ref()?.join(name))
}

/// `None` for what is no program: it cannot be executed or is not there.
fn read_executable(path: &Path) -> io::Result<Option<Executable>> {
    let is_program = fs::symlink_metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0);
    if !is_program {
        return Ok(None);
    }
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    let identity = identity_of(&file.metadata()?);
    let sha256 = sha256_of(&file, &|| {})?;
    Ok(Some(Executable {
        path: path.to_owned(),
        identity,
        sha256,
    }))
}

/// The package with its files as they are now. A file whose content is another keeps its old identity, by which it is
/// recognised as changed.
fn looked_at_again(before: &Package) -> Package {
    let mut package = before.clone();
    for executable in &mut package.executables {
        let now = fs::symlink_metadata(&executable.path).map(|metadata| identity_of(&metadata));
        if now.is_ok_and(|now| now != executable.identity)
            && let Ok(Some(found)) = read_executable(&executable.path)
            && found.sha256 == executable.sha256
        {
            executable.identity = found.identity;
        }
    }
    package
}

fn read_bounded(path: &Path) -> Result<Option<String>, EnforceError> {
    let failed = |error| EnforceError::failed(format!("read `{}`", path.display()), error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_DATABASE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot set up must fail")]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_app_is_a_package_with_a_shown_desktop_entry() {
        let (_keep, paths) = tablet();
        let inventory = read(&paths, &Inventory::default()).unwrap();
        let facing: Vec<_> = inventory
            .packages
            .iter()
            .map(|p| (p.app.package(), p.user_facing, p.executables.len()))
            .collect();
        assert_eq!(
            facing,
            [
                ("chess", true, 1),
                ("coreutils", false, 1),
                ("mime", false, 0)
            ]
        );
    }

    #[test]
    fn a_program_changed_without_its_package_keeps_the_installed_content() {
        let (_keep, paths) = tablet();
        let first = read(&paths, &Inventory::default()).unwrap();
        put(&paths, "/usr/games/chess", "evil", 0o755);
        let second = read(&paths, &first).unwrap();
        assert_eq!(
            first.packages[0].executables,
            second.packages[0].executables
        );
    }

    #[test]
    fn a_program_touched_and_not_changed_is_known_again() {
        let (_keep, paths) = tablet();
        let first = read(&paths, &Inventory::default()).unwrap();
        put(&paths, "/usr/games/chess", "chess", 0o555);
        let second = read(&paths, &first).unwrap();
        let (before, after) = (
            &first.packages[0].executables[0],
            &second.packages[0].executables[0],
        );
        assert_ne!(before.identity, after.identity);
        assert_eq!(before.sha256, after.sha256);
    }

    #[test]
    fn without_a_package_database_app_control_is_unsupported() {
        let root = tempfile::tempdir().unwrap();
        let refused = read(&Paths::new(root.path()), &Inventory::default()).unwrap_err();
        assert!(matches!(refused, EnforceError::Unsupported(_)));
    }

    #[test]
    fn a_link_out_of_the_root_is_not_followed() {
        let (_keep, paths) = tablet();
        std::os::unix::fs::symlink("/usr/bin", paths.on_tablet("/bin")).unwrap();
        put(&paths, "/var/lib/dpkg/info/mime.list", "/bin/env\n", 0o644);
        let inventory = read(&paths, &Inventory::default()).unwrap();
        assert!(inventory.packages[2].executables.is_empty());
    }

    fn tablet() -> (tempfile::TempDir, Paths) {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::new(root.path().canonicalize().unwrap());
        let stanza = |name: &str, status: &str| {
            format!(
                "Package: {name}\nStatus: install ok {status}\nArchitecture: amd64\nVersion: 1\n"
            )
        };
        let status = [
            stanza("coreutils", "installed"),
            stanza("chess", "installed"),
            stanza("mime", "installed"),
            stanza("gone", "config-files"),
        ];
        put(&paths, "/var/lib/dpkg/status", &status.join("\n"), 0o644);
        let list = |name: &str, files: &str| {
            put(
                &paths,
                &format!("/var/lib/dpkg/info/{name}.list"),
                files,
                0o644,
            );
        };
        list("coreutils", "/.\n/usr\n/usr/bin/ls\n");
        list(
            "chess:amd64",
            "/usr/games/chess\n/usr/share/applications/chess.desktop\n/usr/share/doc/chess\n",
        );
        list("mime", "/usr/share/applications/mime.desktop\n");
        put(&paths, "/usr/bin/ls", "ls", 0o755);
        put(&paths, "/usr/games/chess", "chess", 0o755);
        let entry = "[Desktop Entry]\nName=x\n";
        put(
            &paths,
            "/usr/share/applications/chess.desktop",
            entry,
            0o644,
        );
        let hidden = format!("{entry}NoDisplay = true\n[Desktop Action a]\n");
        put(
            &paths,
            "/usr/share/applications/mime.desktop",
            &hidden,
            0o644,
        );
        (root, paths)
    }

    fn put(paths: &Paths, file: &str, text: &str, mode: u32) {
        let path = paths.on_tablet(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
}
