//! A tablet on a file system of its own, in a mount and process namespace of its own, that ends after a minute and a half
//! whatever happens: when the namespace's first process is killed everything in it dies, and the kernel's queue closes.

use nestwarden_agent::control::apps::{Apps, AppsChange, AppsWish};
use nestwarden_agent::control::{Control, Enforcer};
use nestwarden_agent::decision::rules::Approval;
use nestwarden_agent::paths::Paths;
use nestwarden_agent::platform::AppsEnforcer;
use nestwarden_policy_schema::policy::Mode;
use nix::mount::{MsFlags, mount};
use nix::unistd::Pid;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const INSIDE: &str = "NESTWARDEN_TEST_INSIDE";
pub(crate) const STAFF: u32 = 12_345;

/// Runs `scenario` inside; `name` is the test's own.
pub(crate) fn inside(name: &str, scenario: impl FnOnce(Tablet)) {
    if std::env::var_os(INSIDE).is_some() {
        scenario(Tablet::new());
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        skip(name, "needs root");
        return;
    }
    let output = Command::new("timeout")
        .args(["-s", "KILL", "90", "unshare", "--mount", "--pid", "--fork"])
        .args(["--kill-child", "--mount-proc", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (said(&output.stdout), said(&output.stderr));
    let status = output.status;
    assert!(status.success(), "{name}: {status}\n{stdout}\n{stderr}");
    assert!(stdout.contains("1 passed"), "no test is named `{name}`");
    for line in stderr.lines().filter(|line| line.starts_with("SKIP ")) {
        say(&format!("{line}\n"));
    }
}

/// Not captured, so that a skip is seen whatever comes of the run.
pub(crate) fn skip(name: &str, reason: &str) {
    let name = name.rsplit("::").next().unwrap_or(name);
    say(&format!("SKIP {name}: {reason}\n"));
}

/// In one piece, for other tests speak at the same time.
fn say(line: &str) {
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

pub(crate) struct Tablet {
    pub(crate) root: PathBuf,
    pub(crate) enforcer: AppsEnforcer,
    _around: tempfile::TempDir,
}

impl Drop for Tablet {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.root, nix::mount::MntFlags::MNT_DETACH);
    }
}

impl Tablet {
    fn new() -> Self {
        let around = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(around.path(), open).unwrap();
        let root = around.path().canonicalize().unwrap().join("root");
        std::fs::create_dir(&root).unwrap();
        mount_tmpfs(&root);
        let device = |path: &Path| std::fs::metadata(path).unwrap().dev();
        assert_ne!(device(&root), device(Path::new("/")));
        assert_ne!(device(&root), device(around.path()));
        let tablet = Self {
            enforcer: enforcer_of(&root),
            root,
            _around: around,
        };
        tablet.install();
        tablet
    }

    /// A base system with a shell and two scripts, an approved app and one nobody approved.
    fn install(&self) {
        self.copy("/bin/true", "/usr/bin/true");
        self.copy("/usr/bin/env", "/usr/bin/env");
        self.copy("/bin/dash", "/usr/bin/dash");
        std::os::unix::fs::symlink("dash", self.root.join("usr/bin/sh")).unwrap();
        let bin = self.root.join("usr/bin").display().to_string();
        self.put("/usr/bin/greet", &format!("#!{bin}/sh\nexit 0\n"), 0o755);
        self.put(
            "/usr/bin/greet-env",
            &format!("#!{bin}/env sh\nexit 0\n"),
            0o755,
        );
        self.copy("/bin/true", "/usr/bin/register");
        self.copy("/usr/bin/env", "/usr/bin/register-opener");
        self.copy("/bin/true", "/usr/games/chess");
        for app in ["register", "chess"] {
            let entry = format!("[Desktop Entry]\nType=Application\nName={app}\n");
            self.put(
                &format!("/usr/share/applications/{app}.desktop"),
                &entry,
                0o644,
            );
        }
        let packages = [
            (
                "base",
                "/usr/bin/true\n/usr/bin/env\n/usr/bin/dash\n/usr/bin/greet\n/usr/bin/greet-env\n",
            ),
            (
                "register",
                "/usr/bin/register\n/usr/bin/register-opener\n/usr/share/applications/register.desktop\n",
            ),
            (
                "chess",
                "/usr/games/chess\n/usr/share/applications/chess.desktop\n",
            ),
        ];
        let mut status = String::new();
        for (name, list) in packages {
            status.push_str("Package: ");
            status.push_str(name);
            status.push_str("\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n");
            self.put(&format!("/var/lib/dpkg/info/{name}.list"), list, 0o644);
        }
        self.put("/var/lib/dpkg/status", &status, 0o644);
        let home = self.root.join("home/anna");
        std::fs::create_dir_all(&home).unwrap();
        Self::own(&home);
    }

    pub(crate) fn own(path: &Path) {
        std::os::unix::fs::chown(path, Some(STAFF), Some(STAFF)).unwrap();
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.root.join(file.trim_start_matches('/'))
    }

    pub(crate) fn put(&self, file: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path, text.as_bytes(), mode);
        path
    }

    pub(crate) fn copy(&self, from: &str, to: &str) -> PathBuf {
        let path = self.path(to);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path, &std::fs::read(from).unwrap(), 0o755);
        path
    }

    /// Holds the tablet to an approval, as the reconciler does, until nothing that can be changed remains.
    pub(crate) fn hold(&mut self, allowed: &[&str], mode: Mode) -> Vec<AppsChange> {
        let wish = wish(allowed, mode);
        self.enforcer.watch(&wish).unwrap();
        let observed = self.enforcer.observe().unwrap();
        let changes = Apps::diff(&wish, &observed);
        if mode == Mode::Enforce {
            for change in &changes {
                self.enforcer.apply(change).unwrap();
            }
            let observed = self.enforcer.observe().unwrap();
            assert_eq!(Apps::diff(&wish, &observed), []);
        }
        changes
    }

    pub(crate) fn run(&self, file: &str) -> Run {
        run_as(STAFF, &self.path(file), &[], &self.root)
    }

    pub(crate) fn run_with(&self, file: &str, args: &[&str]) -> Run {
        run_as(STAFF, &self.path(file), args, &self.root)
    }

    /// Until what was started before is done with, keeping included: starts are decided in their order, and a refusal is
    /// never kept. Nobody may have approved the other program.
    pub(crate) fn until_decided(&self) {
        assert_eq!(self.run("/usr/games/chess"), Run::Refused);
    }

    pub(crate) fn run_as_root(&self, file: &str) -> Run {
        run_as(0, &self.path(file), &[], &self.root)
    }

    pub(crate) fn mount_at(&self, file: &str) -> PathBuf {
        let path = self.path(file);
        std::fs::create_dir_all(&path).unwrap();
        mount_tmpfs(&path);
        path
    }

    /// The agent is gone, and another one starts.
    pub(crate) fn agent_again(&mut self) {
        self.enforcer = enforcer_of(&self.root);
    }
}

/// Tests are another program than the agent, which would start itself.
fn enforcer_of(root: &Path) -> AppsEnforcer {
    let agent = PathBuf::from(env!("CARGO_BIN_EXE_nestwarden-agent"));
    AppsEnforcer::with_guard_program(&Paths::new(root), agent)
}

pub(crate) fn wish(allowed: &[&str], mode: Mode) -> AppsWish {
    AppsWish {
        approval: Approval {
            allowed: allowed.iter().map(|name| name.parse().unwrap()).collect(),
            essential: ["dpkg:register".parse().unwrap()].into(),
        },
        mode,
    }
}

/// What came of a start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Ended(i32),
    /// `EPERM`: as the guard refuses.
    Refused,
    /// Refused by something else, or ended by a signal.
    Other(String),
}

pub(crate) fn run_as(uid: u32, program: &Path, args: &[&str], root: &Path) -> Run {
    let status: Result<ExitStatus, _> = Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", root.join("usr/bin"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .uid(uid)
        .gid(uid)
        .status();
    match status {
        Ok(status) => status
            .code()
            .map_or_else(|| Run::Other(status.to_string()), Run::Ended),
        Err(error) if error.raw_os_error() == Some(1) => Run::Refused,
        Err(error) => Run::Other(error.to_string()),
    }
}

/// The dynamic loader that programs of this machine name.
pub(crate) fn loader() -> PathBuf {
    let program = std::fs::read("/bin/true").unwrap();
    let start = program
        .windows(4)
        .position(|bytes| bytes == b"/lib")
        .unwrap();
    let path = program[start..].split(|byte| *byte == 0).next().unwrap();
    String::from_utf8(path.to_vec()).unwrap().into()
}

pub(crate) fn parent_of(process: i32) -> Pid {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    Pid::from_raw(parent.unwrap().trim().parse().unwrap())
}

/// Until so many starts of this process namespace wait for an answer, or are about to.
pub(crate) fn until_waiting(count: usize) {
    let start = libc::SYS_execve.to_string();
    let waits = |task: &str| {
        let call = std::fs::read_to_string(format!("/proc/{task}/syscall"));
        call.is_ok_and(|call| call.split(' ').next() == Some(&start))
    };
    until("so many starts wait", || {
        let tasks = std::fs::read_dir("/proc").unwrap();
        let names = tasks.filter_map(|task| task.ok()?.file_name().into_string().ok());
        names.filter(|task| waits(task)).count() >= count
    });
}

/// Waits for what must come; the namespace's end is the last resort.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::yield_now();
    }
}

fn mount_tmpfs(at: &Path) {
    let flags = MsFlags::empty();
    mount(
        Some("tmpfs"),
        at,
        Some("tmpfs"),
        flags,
        Some("size=64m,mode=755"),
    )
    .unwrap();
}

fn write(path: &Path, bytes: &[u8], mode: u32) {
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
