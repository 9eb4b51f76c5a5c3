//! The file systems of the tablet: which ones the kernel asks about, and which ones people can write to.

use nix::mount::MsFlags;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Kernel interfaces: nothing on them can be a program.
const NOT_FILES: [&str; 25] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fuse.gvfsd-fuse",
    "fuse.portal",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
];

/// Where people keep files, and where media appear.
const WRITABLE: [&str; 4] = ["/home", "/tmp", "/var/tmp", "/dev/shm"];
const WRITABLE_BENEATH: [&str; 5] = ["/home", "/media", "/mnt", "/run/media", "/run/user"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// `major:minor` as mountinfo writes it.
    pub(super) device: String,
    pub(super) point: PathBuf,
    pub(super) options: Vec<String>,
    pub(super) kind: String,
}

pub(super) fn mounts() -> io::Result<Vec<Mount>> {
    Ok(parse_mountinfo(&fs::read("/proc/self/mountinfo")?))
}

fn parse_mountinfo(text: &[u8]) -> Vec<Mount> {
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ');
    let device = words.nth(2)?;
    let point = unescape(words.nth(1)?);
    let options = words.next()?;
    let kind = words.skip_while(|word| *word != b"-").nth(1)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Mount {
        device: text(device),
        point,
        options: text(options).split(',').map(str::to_owned).collect(),
        kind: text(kind),
    })
}

/// Blanks and the like are written as `\040`.
fn unescape(word: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'\\')
            .then(|| after.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        rest = if let Some(byte) = escaped {
            bytes.push(byte);
            &after[3..]
        } else {
            bytes.push(*first);
            after
        };
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// The mounts whose file systems the kernel shall ask about, one per device.
///
/// Safety of the machine: with a root other than `/` only mounts beneath that root, and of these only devices that are
/// mounted nowhere else. Whoever marks one must also check [`is_apart`].
pub(super) fn to_mark<'a>(mounts: &'a [Mount], root_dir: &Path) -> Vec<&'a Mount> {
    let is_confined = root_dir != Path::new("/");
    let mut chosen: Vec<&Mount> = Vec::new();
    for mount in mounts {
        let is_ours = mount.point.starts_with(root_dir);
        let leaves_root = is_confined
            && mounts
                .iter()
                .any(|other| other.device == mount.device && !other.point.starts_with(root_dir));
        let is_known = chosen.iter().any(|other| other.device == mount.device);
        if is_ours && !leaves_root && !is_known && !NOT_FILES.contains(&mount.kind.as_str()) {
            chosen.push(mount);
        }
    }
    chosen
}

/// Opens a mount point for marking, after checking that in a confined root it is neither the file system of `/` nor the
/// one around the root.
pub(super) fn open_apart(point: &Path, root_dir: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(point)?;
    if is_apart(file.metadata()?.dev(), root_dir)? {
        Ok(file)
    } else {
        Err(io::Error::other(
            "it is the file system around the agent's root, which stays untouched",
        ))
    }
}

fn is_apart(device: u64, root_dir: &Path) -> io::Result<bool> {
    let Some(parent) = root_dir.parent() else {
        return Ok(true);
    };
    let around = [fs::metadata("/")?.dev(), fs::metadata(parent)?.dev()];
    Ok(!around.contains(&device))
}

/// A place where people can put files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Writable {
    pub(super) point: PathBuf,
    pub(super) runs_programs: bool,
    /// Part of a larger file system, so that it has no mount options of its own.
    pub(super) is_mounted: bool,
}

pub(super) fn writable(mounts: &[Mount], root_dir: &Path) -> Vec<Writable> {
    let place = |absolute: &str| root_dir.join(absolute.trim_start_matches('/'));
    let is_beneath = |point: &Path| {
        WRITABLE_BENEATH.iter().any(|dir| {
            let dir = place(dir);
            point.starts_with(&dir) && point != dir
        })
    };
    let is_place = |point: &Path| WRITABLE.iter().any(|dir| point == place(dir));
    let files = mounts.iter().filter(|mount| {
        !NOT_FILES.contains(&mount.kind.as_str()) || mount.kind.starts_with("fuse.")
    });
    let mut found: Vec<Writable> = Vec::new();
    for mount in files.filter(|m| m.point.starts_with(root_dir)) {
        if is_place(&mount.point) || is_beneath(&mount.point) {
            // A later mount on the same point hides the earlier one.
            found.retain(|writable| writable.point != mount.point);
            found.push(Writable {
                point: mount.point.clone(),
                runs_programs: !has_all(&mount.options),
                is_mounted: true,
            });
        }
    }
    for dir in WRITABLE.map(place) {
        let is_dir = fs::symlink_metadata(&dir).is_ok_and(|metadata| metadata.is_dir());
        if is_dir && !found.iter().any(|writable| writable.point == dir) {
            found.push(Writable {
                point: dir,
                runs_programs: true,
                is_mounted: false,
            });
        }
    }
    found
}

fn has_all(options: &[String]) -> bool {
    ["noexec", "nosuid", "nodev"]
        .iter()
        .all(|wanted| options.iter().any(|option| option == wanted))
}

/// Takes programs, privilege and devices from a mount; everything else about it stays.
pub(super) fn forbid_programs(point: &Path) -> io::Result<()> {
    let mounts = mounts()?;
    let Some(mount) = mounts.iter().rev().find(|mount| mount.point == point) else {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    };
    let flags =
        flags_of(&mount.options) | MsFlags::MS_NOEXEC | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    remount(point, flags)
}

/// Gives a mount back the options it had before.
pub(super) fn restore_options(point: &Path, options: &str) -> io::Result<()> {
    let options: Vec<_> = options.split(',').map(str::to_owned).collect();
    remount(point, flags_of(&options))
}

/// Makes a directory a mount of its own, so that it can have options.
pub(super) fn mount_on_itself(point: &Path) -> io::Result<()> {
    let none: Option<&str> = None;
    nix::mount::mount(Some(point), point, none, MsFlags::MS_BIND, none).map_err(io::Error::from)
}

pub(super) fn unmount(point: &Path) -> io::Result<()> {
    nix::mount::umount2(point, nix::mount::MntFlags::MNT_DETACH).map_err(io::Error::from)
}

fn remount(point: &Path, flags: MsFlags) -> io::Result<()> {
    let none: Option<&str> = None;
    let flags = flags | MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
    nix::mount::mount(none, point, none, flags, none).map_err(io::Error::from)
}

fn flags_of(options: &[String]) -> MsFlags {
    let flag = |option: &str| match option {
        "ro" => MsFlags::MS_RDONLY,
        "nosuid" => MsFlags::MS_NOSUID,
        "nodev" => MsFlags::MS_NODEV,
        "noexec" => MsFlags::MS_NOEXEC,
        "noatime" => MsFlags::MS_NOATIME,
        "nodiratime" => MsFlags::MS_NODIRATIME,
        "relatime" => MsFlags::MS_RELATIME,
        _ => MsFlags::empty(),
    };
    options
        .iter()
        .fold(MsFlags::empty(), |flags, option| flags | flag(option))
}

/// Whether a path could be one of a person's own, which no report may name.
pub(super) fn without_person(path: &Path) -> String {
    let text = String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned();
    for home in ["/home/", "/run/user/", "/media/", "/run/media/"] {
        if let Some((before, after)) = text.split_once(home) {
            let rest = after.split_once('/').map_or("", |(_, rest)| rest);
            return clip(format!("{before}{home}*/{rest}"));
        }
    }
    clip(text)
}

fn clip(text: String) -> String {
    if text.len() <= 300 {
        return text;
    }
    text.chars().take(280).chain("…".chars()).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot set up must fail")]
mod tests {
    use super::*;

    const HOST: &str = "\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
23 22 0:5 / /proc rw,nosuid - proc proc rw
24 22 8:2 / /home rw,relatime shared:1 - ext4 /dev/sda2 rw
25 22 0:30 / /tmp/a\\040b/root rw,relatime - tmpfs tmpfs rw
26 25 8:2 / /tmp/a\\040b/root/home rw,relatime - ext4 /dev/sda2 rw
27 25 0:31 / /tmp/a\\040b/root/tmp rw,noexec,nosuid,nodev - tmpfs tmpfs rw
28 22 0:32 / /tmp/a\\040b/rooted rw - tmpfs tmpfs rw
";

    #[test]
    fn a_confined_root_marks_only_what_lies_beneath_it_and_nowhere_else() {
        let mounts = parse_mountinfo(HOST.as_bytes());
        let marked: Vec<_> = to_mark(&mounts, Path::new("/tmp/a b/root"))
            .into_iter()
            .map(|mount| mount.device.as_str())
            .collect();
        assert_eq!(marked, ["0:30", "0:31"]);
    }

    #[test]
    fn a_whole_machine_marks_every_file_system_once() {
        let mounts = parse_mountinfo(HOST.as_bytes());
        let marked: Vec<_> = to_mark(&mounts, Path::new("/"))
            .into_iter()
            .map(|mount| mount.device.as_str())
            .collect();
        assert_eq!(marked, ["8:1", "8:2", "0:30", "0:31", "0:32"]);
    }

    #[test]
    fn a_directory_of_the_machine_s_own_file_system_is_never_opened_for_marking() {
        let root = tempfile::tempdir().unwrap();
        let error = open_apart(root.path(), root.path()).unwrap_err();
        assert!(error.to_string().contains("stays untouched"), "{error}");
        assert!(open_apart(Path::new("/"), root.path()).is_err());
    }

    #[test]
    fn places_people_write_to_are_found_with_their_options() {
        let mounts = parse_mountinfo(HOST.as_bytes());
        let found = writable(&mounts, Path::new("/tmp/a b/root"));
        let runs: Vec<_> = found
            .iter()
            .map(|w| (w.point.to_str().unwrap(), w.runs_programs))
            .collect();
        assert_eq!(
            runs,
            [("/tmp/a b/root/home", true), ("/tmp/a b/root/tmp", false)]
        );
    }

    #[test]
    fn a_report_names_no_person() {
        let report = without_person(Path::new("/home/anna/games/chess"));
        assert_eq!(report, "/home/*/games/chess");
        assert_eq!(
            without_person(Path::new("/usr/bin/chess")),
            "/usr/bin/chess"
        );
    }
}
