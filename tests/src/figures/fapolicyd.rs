//! The peer of the guard: fapolicyd of Debian's package, on a file system of its own. It is fetched and unpacked, never
//! installed, and sees nothing but that file system.

use crate::machine::staff_can_run;
use crate::patience::until;
use anyhow::{Context as _, Result, bail, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// What it does: the same as ours with an allowlist, and nothing besides.
const RULES: &str = "\
allow perm=execute all : trust=1
deny perm=execute all : all
allow perm=open all : all
";

/// As the package has it, but for what it looks at and whom it runs as.
const SETTINGS: &str = "\
permissive = 0
nice_val = 14
q_size = 640
uid = 0
gid = 0
do_stat_report = 0
detailed_report = 0
db_max_size = 50
subj_cache_size = 1549
obj_cache_size = 8191
watch_fs = ramfs
trust = file
integrity = none
syslog_format = rule,dec,perm,exe,:,path
allow_filesystem_mark = 1
";

/// In a mount namespace of its own, with no other file system of the kind that it is told to watch. Ends with whoever started it.
const RUN: &str = r#"
set -e
unpacked=$1 watched=$2
awk '$3 == "ramfs" { print $2 }' /proc/self/mounts | while read -r other; do
    [ "$other" = "$watched" ] || umount -l "$other"
done
mkdir -p "$unpacked/over"
mount -t tmpfs tmpfs "$unpacked/over"
for place in etc var/lib usr/share; do
    mkdir -p "$unpacked/over/$place" "$unpacked/over/work/$place"
    mount -t overlay overlay -o "lowerdir=/$place,upperdir=$unpacked/over/$place,workdir=$unpacked/over/work/$place" "/$place"
done
mkdir -p /etc/fapolicyd /var/lib/fapolicyd
cp "$unpacked"/settings/* /etc/fapolicyd/
cp -r "$unpacked/usr/share/fapolicyd" /usr/share/
mount -t tmpfs tmpfs /run
mkdir -p /run/fapolicyd
export LD_LIBRARY_PATH=$(dirname "$unpacked"/usr/lib/*/liblmdb.so.0)
exec setpriv --pdeathsig KILL "$unpacked/usr/sbin/fapolicyd" --debug-deny
"#;

/// Unpacked, with a file system for it.
pub(super) struct Ready {
    unpacked: PathBuf,
    watched: Watched,
}

/// After so long it is ended, because programs that wait for it would wait for ever.
const LIMIT: Duration = Duration::from_mins(30);

/// Running. It ends when dropped.
pub(super) struct Fapolicyd {
    child: Child,
    _in_time: Sender<()>,
    _watched: Watched,
}

/// The file system it watches; gone when dropped.
struct Watched(PathBuf);

impl Fapolicyd {
    /// Errors say what this machine lacks.
    pub(super) fn prepare(dir: &Path) -> Result<Ready> {
        let unpacked = dir.join("unpacked");
        let watched = dir.join("watched");
        fs::create_dir_all(&unpacked)?;
        fs::create_dir_all(&watched)?;
        for package in ["fapolicyd", "liblmdb0"] {
            let mut fetch = Command::new("apt-get");
            fetch.args(["-o", "APT::Sandbox::User=root", "download", package]);
            run(fetch.current_dir(dir), "Debian's package cannot be fetched")?;
        }
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                let mut unpack = Command::new("dpkg");
                run(
                    unpack.arg("-x").arg(&path).arg(&unpacked),
                    "a package cannot be unpacked",
                )?;
            }
        }
        let none: Option<&str> = None;
        mount(
            Some("ramfs"),
            &watched,
            Some("ramfs"),
            MsFlags::MS_NOSUID,
            none,
        )
        .context("no file system can be mounted for it")?;
        let watched = Watched(watched);
        Ok(Ready { unpacked, watched })
    }
}

impl Ready {
    /// Where the programs lie that it guards.
    pub(super) fn programs_dir(&self) -> &Path {
        &self.watched.0
    }

    /// Starts it; back once it refuses what it was not told to trust.
    pub(super) fn start<'a>(self, trusted: impl Iterator<Item = &'a PathBuf>) -> Result<Fapolicyd> {
        let mut trust = String::new();
        let mut other = None;
        for program in trusted {
            let bytes = fs::read(program)?;
            let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
            let _ = write!(trust, "{} {} ", program.display(), bytes.len());
            for byte in digest.as_ref() {
                let _ = write!(trust, "{byte:02x}");
            }
            trust.push('\n');
            other = Some(program);
        }
        let settings = self.unpacked.join("settings");
        fs::create_dir_all(&settings)?;
        fs::write(settings.join("fapolicyd.trust"), trust)?;
        fs::write(settings.join("compiled.rules"), RULES)?;
        fs::write(settings.join("fapolicyd.conf"), SETTINGS)?;
        let unknown = self.watched.0.join("unknown-program");
        fs::copy(other.context("nothing to trust")?, &unknown)?;
        let log = fs::File::create(self.unpacked.join("log"))?;
        let child = Command::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "bash",
                "-c",
                RUN,
                "bash",
            ])
            .args([&self.unpacked, &self.watched.0])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("`unshare` cannot be started")?;
        let mut running = Fapolicyd {
            _in_time: end_after(LIMIT, child.id())?,
            child,
            _watched: self.watched,
        };
        let ended = until("fapolicyd to refuse what it does not trust", || {
            if let Some(status) = running.child.try_wait()? {
                return Ok(Some(Some(status)));
            }
            Ok((!staff_can_run(&unknown)?).then_some(None))
        })?;
        if let Some(status) = ended {
            let log = fs::read_to_string(self.unpacked.join("log")).unwrap_or_default();
            bail!("fapolicyd ended with {status}: {log}");
        }
        Ok(running)
    }
}

impl Drop for Fapolicyd {
    fn drop(&mut self) {
        // Without it everything is allowed again.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// Kills a process unless what this returns is dropped before.
fn end_after(limit: Duration, id: u32) -> Result<Sender<()>> {
    let id = Pid::from_raw(id.try_into()?);
    let (in_time, dropped) = channel();
    std::thread::spawn(move || {
        if dropped.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            let _ = kill(id, Signal::SIGKILL);
        }
    });
    Ok(in_time)
}

fn run(command: &mut Command, problem: &'static str) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().context(problem)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{problem}: {}", said.trim());
    Ok(())
}
