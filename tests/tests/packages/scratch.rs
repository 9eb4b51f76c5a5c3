//! A scratch Debian system in memory, seen by one test thread and by what it starts.

use crate::run;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// What both packages need, installed before them.
const NEEDED: &str = "cracklib-runtime,libpam-pwquality,libpam-runtime,systemd,udev";
/// One makes the image, and the others find it.
static IMAGE: Mutex<()> = Mutex::new(());

pub(crate) struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private");
        let dir = tempfile::tempdir().expect("a directory");
        mount(
            Some("tmpfs"),
            dir.path(),
            Some("tmpfs"),
            MsFlags::empty(),
            Some("size=2g,mode=755"),
        )
        .expect("memory");
        let scratch = Self { dir };
        let image = image();
        let text = |path: &Path| path.to_string_lossy().into_owned();
        run(
            "tar",
            &[
                "-C",
                &text(scratch.dir()),
                "-xf",
                &text(&image),
                "--exclude=./dev/*",
            ],
        );
        for (device, minor) in [
            ("null", "3"),
            ("zero", "5"),
            ("random", "8"),
            ("urandom", "9"),
        ] {
            let path = text(&scratch.dir().join("dev").join(device));
            run("mknod", &["-m", "666", &path, "c", "1", minor]);
        }
        let proc = scratch.dir().join("proc");
        mount(Some("proc"), &proc, Some("proc"), MsFlags::empty(), none).expect("proc");
        scratch
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs a program in it; what it printed.
    pub(crate) fn run(&self, command: &[&str]) -> String {
        let mut inside = vec![self.dir().to_str().expect("a plain path")];
        inside.extend([
            "env",
            "-i",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "DEBIAN_FRONTEND=noninteractive",
        ]);
        inside.extend(command);
        run("chroot", &inside)
    }

    pub(crate) fn install(&self, package: &Path) {
        let name = package.file_name().expect("a file");
        let inside = self.dir().join("var/tmp").join(name);
        fs::copy(package, &inside).expect("copied");
        self.run(&[
            "dpkg",
            "--install",
            &format!("/var/tmp/{}", name.to_string_lossy()),
        ]);
        fs::remove_file(inside).expect("removed");
    }

    /// Every path with its mode, owner and content, but for what keeps a record of packages and users by design.
    pub(crate) fn snapshot(&self) -> BTreeMap<String, String> {
        let mut seen = BTreeMap::new();
        self.look(Path::new(""), &mut seen);
        seen
    }

    fn look(&self, beneath: &Path, seen: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(self.dir().join(beneath))
            .expect("listed")
            .flatten()
        {
            let path = beneath.join(entry.file_name());
            let text = path.to_string_lossy().into_owned();
            let is_record = text.starts_with("proc")
                || text.starts_with("var/log/")
                // libpam-runtime's own note of which profiles were offered.
                || text.starts_with("var/cache/debconf/")
                || text == "var/lib/dpkg/status-old"
                || (text.starts_with("etc/") && text.ends_with('-'))
                || text == "etc/.pwd.lock";
            if is_record {
                continue;
            }
            let at = entry.path();
            let known = fs::symlink_metadata(&at).expect("a file");
            let content = if known.is_file() {
                let bytes = fs::read(&at).expect("read");
                nestwarden_policy_schema::bytes::Digest::sha256(&bytes).to_string()
            } else if known.is_symlink() {
                fs::read_link(&at)
                    .expect("read")
                    .to_string_lossy()
                    .into_owned()
            } else {
                String::new()
            };
            let fact = format!(
                "{:o} {}:{} {content}",
                known.mode(),
                known.uid(),
                known.gid()
            );
            seen.insert(text, fact);
            if known.is_dir() {
                self.look(&path, seen);
            }
        }
    }
}

/// Packed once for a list of packages and kept with the tools.
fn image() -> PathBuf {
    let _one = IMAGE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let home = std::env::var("HOME").unwrap_or_default();
    let cache = std::env::var("XDG_CACHE_HOME").unwrap_or(format!("{home}/.cache"));
    let dir = Path::new(&cache).join("nestwarden-tools");
    let recipe = nestwarden_policy_schema::bytes::Digest::sha256(NEEDED.as_bytes()).to_string();
    let image = dir.join(format!("scratch-{}.tar", &recipe[..16]));
    if !image.exists() {
        fs::create_dir_all(&dir).expect("made");
        let new = dir.join("scratch-new.tar");
        let mut make = Command::new("mmdebstrap");
        make.args(["--variant=minbase", "--format=tar"]);
        make.arg(format!("--include={NEEDED}"))
            .arg("bookworm")
            .arg(&new);
        let ended = make.output().expect("mmdebstrap starts");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "mmdebstrap failed: {said}");
        fs::rename(&new, &image).expect("kept");
    }
    image
}

/// What differs, as a person reads it.
pub(crate) fn differences(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<String> {
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    let gone = gone.map(|path| format!("gone: {path}"));
    let other = after
        .iter()
        .filter(|(path, fact)| before.get(*path) != Some(*fact));
    let other = other.map(|(path, fact)| format!("new or changed: {path} {fact}"));
    gone.chain(other).collect()
}
