//! The tablet's files beneath the agent's root, and its commands when the root is the whole machine.

use super::previous::Previous;
use crate::control::EnforceError;
use crate::paths::Paths;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::process::{PidfdFlags, pidfd_open};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// Configuration and state files are far smaller; anything larger is not what we take it for.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// A command of the system that has not ended by then is ended.
const COMMAND_SECONDS: i64 = 60;

/// One tablet, as far as its root reaches.
#[derive(Clone, Debug)]
pub(super) struct Tablet {
    paths: Paths,
}

impl Tablet {
    pub(super) fn new(paths: &Paths) -> Self {
        Self {
            paths: paths.clone(),
        }
    }

    pub(super) fn paths(&self) -> &Paths {
        &self.paths
    }

    pub(super) fn path(&self, absolute: &str) -> PathBuf {
        self.paths.on_tablet(absolute)
    }

    pub(super) fn is_whole_machine(&self) -> bool {
        self.paths.is_whole_machine()
    }

    pub(super) fn previous(&self) -> Previous<'_> {
        Previous::new(self)
    }

    /// Why `what` cannot be had beneath a confined root.
    pub(super) fn confined(what: &str) -> EnforceError {
        EnforceError::Unsupported(format!("{what} is not available in a confined root"))
    }

    /// Refuses `what` beneath a confined root.
    pub(super) fn needs_machine(&self, what: &str) -> Result<(), EnforceError> {
        if self.is_whole_machine() {
            Ok(())
        } else {
            Err(Self::confined(what))
        }
    }

    /// Refuses `what` where the kernel's view of the devices is missing; an absence would prove nothing there.
    pub(super) fn needs_sysfs(&self, what: &str) -> Result<(), EnforceError> {
        if self.exists("/sys/class") {
            return Ok(());
        }
        self.needs_machine(what)?;
        Err(EnforceError::Unreadable(
            "/sys is not mounted; mount it, or no device can be seen".to_owned(),
        ))
    }

    /// Whether rules for devices can be given to a running udev.
    pub(super) fn has_udev(&self) -> bool {
        self.is_whole_machine() && self.exists("/run/udev/control")
    }

    pub(super) fn exists(&self, absolute: &str) -> bool {
        self.path(absolute).exists()
    }

    /// The text of a file; `None` where there is none.
    pub(super) fn read(&self, absolute: &str) -> Result<Option<String>, EnforceError> {
        Self::read_at(&self.path(absolute))
    }

    pub(super) fn read_at(path: &Path) -> Result<Option<String>, EnforceError> {
        let failed = |e| EnforceError::failed(format!("read `{}`", path.display()), e);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        let mut text = String::new();
        file.take(MAX_FILE_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(failed)?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(EnforceError::Unreadable(format!(
                "`{}` is larger than {MAX_FILE_BYTES} bytes",
                path.display()
            )));
        }
        Ok(Some(text))
    }

    /// Names in a directory, sorted; empty where there is none.
    pub(super) fn list(&self, absolute: &str) -> Result<Vec<String>, EnforceError> {
        let path = self.path(absolute);
        let failed = |e| EnforceError::failed(format!("list `{}`", path.display()), e);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failed(e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Writes a file of ours whole and durably; a reader sees the old text or the new.
    pub(super) fn write(&self, absolute: &str, text: &str, mode: u32) -> Result<(), EnforceError> {
        self.write_at(&self.path(absolute), text, mode)
    }

    pub(super) fn write_at(&self, path: &Path, text: &str, mode: u32) -> Result<(), EnforceError> {
        let act = || format!("write `{}`", path.display());
        self.prepare_parent(path)
            .and_then(|()| replace(path, text.as_bytes(), mode, None))
            .map_err(|e| EnforceError::failed(act(), e))
    }

    /// Writes to a switch of the kernel's, in place.
    pub(super) fn poke(&self, absolute: &str, text: &str) -> Result<(), EnforceError> {
        let path = self.path(absolute);
        poke(&path, text)
            .map_err(|e| EnforceError::failed(format!("write to `{}`", path.display()), e))
    }

    /// Replaces a file that others own too: its mode and owner stay.
    pub(super) fn rewrite(&self, absolute: &str, text: &str) -> Result<(), EnforceError> {
        let path = self.path(absolute);
        let rewritten = self.prepare_parent(&path).and_then(|()| {
            let before = fs::metadata(&path)?;
            let owner = (before.uid(), before.gid());
            replace(&path, text.as_bytes(), before.mode() & 0o7777, Some(owner))
        });
        rewritten.map_err(|e| EnforceError::failed(format!("rewrite `{}`", path.display()), e))
    }

    /// Removes a file; fine where there is none.
    pub(super) fn remove(&self, absolute: &str) -> Result<(), EnforceError> {
        Self::remove_at(&self.path(absolute))
    }

    pub(super) fn remove_at(path: &Path) -> Result<(), EnforceError> {
        match fs::remove_file(path) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            Err(e) => Err(EnforceError::failed(
                format!("remove `{}`", path.display()),
                e,
            )),
        }
    }

    /// Makes a directory and those above it.
    pub(super) fn make_dir(&self, absolute: &str) -> Result<(), EnforceError> {
        let path = self.path(absolute);
        self.prepare_parent(&path.join("entry"))
            .map_err(|e| EnforceError::failed(format!("make `{}`", path.display()), e))
    }

    /// Runs a program of the system and returns what it printed.
    pub(super) fn run(
        &self,
        program: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<String, EnforceError> {
        self.needs_machine(&format!("running `{program}`"))?;
        match run(program, arguments, environment) {
            Ok(output) => Ok(output),
            Err(e) if e.kind() == ErrorKind::NotFound => Err(EnforceError::Unsupported(format!(
                "`{program}` is not installed"
            ))),
            Err(e) => Err(EnforceError::failed(
                format!("run `{program} {}`", arguments.join(" ")),
                e,
            )),
        }
    }

    /// Tells a program of the system something that nobody else may see, through its standard input alone, and returns
    /// how it ended and what it said of it.
    pub(super) fn tell(
        &self,
        program: &str,
        arguments: &[&str],
        secret: &[u8],
    ) -> Result<Told, EnforceError> {
        self.needs_machine(&format!("running `{program}`"))?;
        match tell(program, arguments, secret) {
            Ok(told) => Ok(told),
            Err(e) if e.kind() == ErrorKind::NotFound => Err(EnforceError::Unsupported(format!(
                "`{program}` is not installed"
            ))),
            Err(e) => Err(EnforceError::failed(format!("run `{program}`"), e)),
        }
    }

    /// Makes the directory of `path`, and makes sure that no link leads it out of the root.
    fn prepare_parent(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().unwrap_or(self.paths.root_dir());
        fs::create_dir_all(parent)?;
        self.stay_inside(parent)
    }

    fn stay_inside(&self, path: &Path) -> io::Result<()> {
        if self.is_whole_machine() {
            return Ok(());
        }
        let root = self.paths.root_dir().canonicalize()?;
        if path.canonicalize()?.starts_with(&root) {
            Ok(())
        } else {
            Err(io::Error::other("a link leads out of the agent's root"))
        }
    }
}

/// Writes to a switch of the kernel's, which takes its text in one piece and cannot be replaced.
pub(super) fn poke(path: &Path, text: &str) -> io::Result<()> {
    File::options()
        .write(true)
        .open(path)?
        .write_all(text.as_bytes())
}

fn replace(path: &Path, bytes: &[u8], mode: u32, owner: Option<(u32, u32)>) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = parent.join(format!(".{name}.nestwarden-new"));
    match fs::remove_file(&beside) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(&beside, flags, Mode::RUSR | Mode::WUSR)?);
    let written = file
        .write_all(bytes)
        .and_then(|()| owner.map_or(Ok(()), |(uid, gid)| chown(&file, uid, gid)))
        .and_then(|()| file.set_permissions(fs::Permissions::from_mode(mode)))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, path))
        .and_then(|()| File::open(parent)?.sync_all());
    if written.is_err() {
        // What is left over would be replaced at the next write; a failure to remove it adds nothing.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn chown(file: &File, uid: u32, gid: u32) -> io::Result<()> {
    let now = file.metadata()?;
    if (now.uid(), now.gid()) == (uid, gid) {
        return Ok(());
    }
    let owner = (Uid::from_raw(uid), Gid::from_raw(gid));
    Ok(rustix::fs::fchown(file, Some(owner.0), Some(owner.1))?)
}

/// How a program ended that was told something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) is_success: bool,
    pub(super) said: String,
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8");
    command
}

fn run(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> io::Result<String> {
    let mut child = command(program, arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let status = end_of(&mut child)?;
    let mut output = String::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_FILE_BYTES).read_to_string(&mut output)?;
    }
    if status.success() {
        Ok(output)
    } else {
        Err(io::Error::other(status.to_string()))
    }
}

/// `secret` is far shorter than what a pipe holds, so that writing it waits for nobody.
fn tell(program: &str, arguments: &[&str], secret: &[u8]) -> io::Result<Told> {
    let mut child = command(program, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(secret) {
            // It ended without hearing it; how, says its status.
            Err(e) if e.kind() != ErrorKind::BrokenPipe => return Err(e),
            Ok(()) | Err(_) => {}
        }
    }
    let status = end_of(&mut child)?;
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(MAX_FILE_BYTES).read_to_end(&mut said)?;
    }
    Ok(Told {
        is_success: status.success(),
        said: String::from_utf8_lossy(&said).into_owned(),
    })
}

fn end_of(child: &mut Child) -> io::Result<ExitStatus> {
    let ended = has_ended(child);
    if !matches!(ended, Ok(true)) {
        child.kill()?;
    }
    let status = child.wait()?;
    if ended? {
        return Ok(status);
    }
    Err(io::Error::new(
        ErrorKind::TimedOut,
        format!("did not end within {COMMAND_SECONDS} s"),
    ))
}

fn has_ended(child: &Child) -> io::Result<bool> {
    let pid = rustix::process::Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let limit = Timespec {
        tv_sec: COMMAND_SECONDS,
        tv_nsec: 0,
    };
    let mut watched = [PollFd::new(&pidfd, PollFlags::IN)];
    Ok(poll(&mut watched, Some(&limit))? > 0)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole_with_its_mode_and_read_back() {
        let root = tempfile::tempdir().unwrap();
        let tablet = Tablet::new(&Paths::new(root.path()));
        tablet.write("/etc/a/b.conf", "one\n", 0o640).unwrap();
        tablet.write("/etc/a/b.conf", "two\n", 0o600).unwrap();
        assert_eq!(tablet.read("/etc/a/b.conf").unwrap().unwrap(), "two\n");
        let mode = fs::metadata(root.path().join("etc/a/b.conf"))
            .unwrap()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(tablet.list("/etc/a").unwrap(), ["b.conf"]);
        tablet.remove("/etc/a/b.conf").unwrap();
        tablet.remove("/etc/a/b.conf").unwrap();
        assert_eq!(tablet.read("/etc/a/b.conf").unwrap(), None);
    }

    #[test]
    fn a_link_out_of_the_root_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("etc")).unwrap();
        let tablet = Tablet::new(&Paths::new(root.path()));
        assert!(tablet.write("/etc/file", "text", 0o600).is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn rewriting_keeps_mode_and_owner() {
        let root = tempfile::tempdir().unwrap();
        let tablet = Tablet::new(&Paths::new(root.path()));
        tablet.write("/etc/shadow", "before", 0o640).unwrap();
        tablet.rewrite("/etc/shadow", "after").unwrap();
        let after = fs::metadata(root.path().join("etc/shadow")).unwrap();
        assert_eq!(after.mode() & 0o777, 0o640);
        assert_eq!(tablet.read("/etc/shadow").unwrap().unwrap(), "after");
    }

    #[test]
    fn no_command_is_run_beneath_a_confined_root() {
        let root = tempfile::tempdir().unwrap();
        let tablet = Tablet::new(&Paths::new(root.path()));
        let refused = tablet.run("true", &[], &[]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "running `true` is not available in a confined root"
        );
    }

    #[test]
    fn a_command_says_how_it_ended() {
        assert_eq!(run("echo", &["a"], &[]).unwrap(), "a\n");
        assert!(run("false", &[], &[]).is_err());
        assert_eq!(
            run("/nonexistent", &[], &[]).unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }

    #[test]
    fn what_a_command_is_told_arrives_and_how_it_ends_is_said() {
        let told = |program, secret: &[u8]| tell(program, &["^quiet$"], secret).unwrap();
        assert!(told("grep", b"quiet\n").is_success);
        assert!(!told("grep", b"loud\n").is_success);
        let said = tell("cat", &["/nonexistent"], b"quiet").unwrap();
        assert!(!said.is_success && said.said.contains("No such file"));
    }
}
