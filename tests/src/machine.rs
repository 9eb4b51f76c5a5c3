//! A file system of its own for an invented tablet, in a mount namespace of its own, with programs on it. Nothing here can
//! reach the machine around it.

use anyhow::{Context as _, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::wait;
use crate::profile::APPROVED_PACKAGE;

/// A member of staff that no machine has.
pub const STAFF: u32 = 61_000;

/// How long a program that only exits may take, permission included.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Another app, which nobody approved.
const OTHER_PACKAGE: &str = "loud-game";

/// The file system; gone when dropped.
#[derive(Debug)]
pub struct Machine {
    root_dir: PathBuf,
}

impl Machine {
    /// Leaves the mount namespace of the machine and mounts a file system at `root_dir`. Call it before any thread starts.
    pub fn apart(root_dir: &Path) -> Result<Self> {
        Self::apart_with(root_dir, 0)
    }

    /// The same; the approved app has so many more programs, see [`Self::approved_more`].
    pub fn apart_with(root_dir: &Path, more: usize) -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNS).context("no mount namespace of its own")?;
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .context("the mount namespace cannot be made private")?;
        mount(
            Some("tmpfs"),
            root_dir,
            Some("tmpfs"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            Some("size=256m,mode=755"),
        )
        .context("no file system can be mounted")?;
        let machine = Self {
            root_dir: root_dir.to_owned(),
        };
        machine.install(more)?;
        Ok(machine)
    }

    /// A dpkg database with two apps, one of which the profile approves.
    fn install(&self, more: usize) -> Result<()> {
        let info_dir = self.on_tablet("var/lib/dpkg/info");
        fs::create_dir_all(&info_dir)?;
        let mut status = String::new();
        for package in [APPROVED_PACKAGE, OTHER_PACKAGE] {
            let program = format!("/usr/bin/{package}");
            let entry = format!("/usr/share/applications/{package}.desktop");
            self.program(&program)?;
            self.file(
                &entry,
                &format!("[Desktop Entry]\nType=Application\nName={package}\nExec={program}\n"),
            )?;
            let mut list =
                format!("/.\n/usr\n/usr/bin\n{program}\n/usr/share/applications\n{entry}\n");
            if package == APPROVED_PACKAGE && more > 0 {
                let _ = writeln!(list, "/usr/lib\n/usr/lib/{package}");
                for number in 0..more {
                    let program = more_path(number);
                    self.program(&program)?;
                    let _ = writeln!(list, "{program}");
                }
            }
            self.file(&format!("/var/lib/dpkg/info/{package}.list"), &list)?;
            let _ = write!(
                status,
                "Package: {package}\nStatus: install ok installed\nArchitecture: all\nVersion: 1.0\nMaintainer: Nobody <nobody@example.invalid>\nDescription: invented\n\n"
            );
        }
        self.file("/var/lib/dpkg/status", &status)?;
        self.program("/home/staff/Downloads/found-online")
    }

    fn on_tablet(&self, path: &str) -> PathBuf {
        self.root_dir.join(path.trim_start_matches('/'))
    }

    fn file(&self, path: &str, text: &str) -> Result<()> {
        let path = self.on_tablet(path);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))
    }

    /// A real program that does nothing, successfully.
    fn program(&self, path: &str) -> Result<()> {
        self.file(path, "")?;
        let path = self.on_tablet(path);
        let source = ["/usr/bin/true", "/bin/true"]
            .into_iter()
            .find(|p| Path::new(p).is_file())
            .context("this machine has no `true`")?;
        fs::copy(source, &path)?;
        Ok(fs::set_permissions(
            &path,
            fs::Permissions::from_mode(0o755),
        )?)
    }

    /// The approved app, as the machine around the tablet names it.
    pub fn approved_program(&self) -> PathBuf {
        self.on_tablet(&format!("/usr/bin/{APPROVED_PACKAGE}"))
    }

    /// One of its further programs.
    pub fn approved_more(&self, number: usize) -> PathBuf {
        self.on_tablet(&more_path(number))
    }

    /// Whether a member of staff can run the approved app.
    pub fn approved_runs(&self) -> Result<bool> {
        self.runs(&format!("/usr/bin/{APPROVED_PACKAGE}"))
    }

    /// Whether a member of staff is refused the app that nobody approved, and the one from the internet.
    pub fn others_are_refused(&self) -> Result<bool> {
        let installed = self.runs(&format!("/usr/bin/{OTHER_PACKAGE}"))?;
        let downloaded = self.runs("/home/staff/Downloads/found-online")?;
        Ok(!installed && !downloaded)
    }

    fn runs(&self, path: &str) -> Result<bool> {
        staff_can_run(&self.on_tablet(path))
    }
}

/// Whether a member of staff can run a program; an error when it fails, or is neither let go nor refused.
///
/// Through `setpriv`, because a process that waits for leave to start a program cannot be given up on by whoever
/// started it: it says 126 when it was refused.
pub fn staff_can_run(program: &Path) -> Result<bool> {
    let mut child = Command::new("setpriv")
        .arg(format!("--reuid={STAFF}"))
        .arg(format!("--regid={STAFF}"))
        .arg("--clear-groups")
        .arg(program)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("`setpriv` cannot be started; it is part of util-linux")?;
    let program = program.display();
    let Some(status) = wait(&mut child, START_LIMIT)? else {
        child.kill()?;
        bail!("{program} neither ran nor was refused within {START_LIMIT:?}")
    };
    match status.code() {
        Some(0) => Ok(true),
        Some(126) => Ok(false),
        _ => bail!("{program} ended with {status}"),
    }
}

fn more_path(number: usize) -> String {
    format!("/usr/lib/{APPROVED_PACKAGE}/program-{number}")
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = umount2(&self.root_dir, MntFlags::MNT_DETACH);
    }
}
