//! File systems and swap, and the disks behind them, as /proc and /sys tell it.

use super::tablet::Tablet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// One line of `/proc/self/mountinfo`, see proc_pid_mountinfo(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) device: (u32, u32),
    pub(super) path: String,
    pub(super) kind: String,
    pub(super) source: String,
}

pub(super) fn parse_mounts(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut before = before.split(' ').skip(2);
            let device = parse_device(before.next()?)?;
            let path = unescape(before.nth(1)?);
            let mut after = after.split(' ');
            Some(Mount {
                device,
                path,
                kind: after.next()?.to_owned(),
                source: unescape(after.next()?),
            })
        })
        .collect()
}

/// Partitions and files that are swapped to. Swap in memory (zram) is left out.
pub(super) fn parse_swaps(text: &str) -> Vec<String> {
    text.lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .map(unescape)
        .filter(|source| !source.starts_with("/dev/zram"))
        .collect()
}

fn parse_device(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Undoes the `\040` writing of blanks.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(code) = code {
            bytes.push(code);
            rest = &tail[3..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One block device as sysfs shows it.
#[derive(Clone, Debug)]
pub(super) struct BlockDevice {
    dir: PathBuf,
}

/// Layers of device mapper that are followed; a stack deeper than this is not understood.
const MAX_LAYERS: usize = 8;

impl BlockDevice {
    /// The device with this number; `None` where sysfs knows none, as for file systems that are not on one disk.
    pub(super) fn numbered(tablet: &Tablet, (major, minor): (u32, u32)) -> Option<Self> {
        let link = tablet.path(&format!("/sys/dev/block/{major}:{minor}"));
        fs::canonicalize(link).ok().map(|dir| Self { dir })
    }

    /// The device behind a file system; btrfs and its like have no number of their own, only a source.
    pub(super) fn behind(tablet: &Tablet, mount: &Mount) -> Option<Self> {
        Self::numbered(tablet, mount.device).or_else(|| Self::at(tablet, &mount.source))
    }

    /// The device at a node, or the one a swap file lies on.
    pub(super) fn at(tablet: &Tablet, source: &str) -> Option<Self> {
        if !source.starts_with('/') {
            return None;
        }
        let seen = fs::metadata(tablet.path(source)).ok()?;
        let number = if seen.rdev() == 0 {
            seen.dev()
        } else {
            seen.rdev()
        };
        let number = (rustix::fs::major(number), rustix::fs::minor(number));
        Self::numbered(tablet, number)
    }

    /// Whether everything on it is encrypted by device mapper.
    pub(super) fn is_encrypted(&self) -> bool {
        self.is_encrypted_within(MAX_LAYERS)
    }

    fn is_encrypted_within(&self, layers: usize) -> bool {
        let uuid = fs::read_to_string(self.dir.join("dm/uuid")).unwrap_or_default();
        if uuid.starts_with("CRYPT-") {
            return true;
        }
        let below = self.below();
        layers > 0 && !below.is_empty() && below.iter().all(|d| d.is_encrypted_within(layers - 1))
    }

    /// Whether it can be taken out or unplugged: a USB stick or disk, a memory card, whatever the kernel says is removable.
    pub(super) fn is_removable(&self) -> bool {
        self.is_removable_within(MAX_LAYERS)
    }

    fn is_removable_within(&self, layers: usize) -> bool {
        let disk = self.disk();
        let says = |file: &str, text: &str| {
            fs::read_to_string(disk.join(file)).is_ok_and(|read| read.trim() == text)
        };
        let on_usb = disk.components().any(|part| {
            let name = part.as_os_str().to_string_lossy();
            name.strip_prefix("usb")
                .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        });
        on_usb
            || says("removable", "1")
            || says("device/type", "SD")
            || (layers > 0
                && self
                    .below()
                    .iter()
                    .any(|d| d.is_removable_within(layers - 1)))
    }

    /// The whole disk of a partition.
    pub(super) fn disk(&self) -> PathBuf {
        match self.dir.parent() {
            Some(parent) if self.dir.join("partition").exists() => parent.to_owned(),
            Some(_) | None => self.dir.clone(),
        }
    }

    /// The disks at the bottom of it.
    pub(super) fn disks(&self) -> Vec<PathBuf> {
        self.disks_within(MAX_LAYERS)
    }

    fn disks_within(&self, layers: usize) -> Vec<PathBuf> {
        let below = self.below();
        if below.is_empty() || layers == 0 {
            return vec![self.disk()];
        }
        below
            .iter()
            .flat_map(|d| d.disks_within(layers - 1))
            .collect()
    }

    /// What device mapper or RAID built it of.
    fn below(&self) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(self.dir.join("slaves")) else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| fs::canonicalize(entry.path()).ok())
            .map(|dir| Self { dir })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_their_blanks() {
        let text = "\
36 35 98:0 / / rw,noatime master:1 - ext4 /dev/root rw,errors=continue
40 36 8:17 / /media/staff/MY\\040STICK rw,nosuid shared:3 master:2 - vfat /dev/sdb1 rw
a line that is none
";
        let mounts = parse_mounts(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].device, (98, 0));
        assert_eq!(mounts[1].path, "/media/staff/MY STICK");
        assert_eq!(
            (mounts[1].kind.as_str(), mounts[1].source.as_str()),
            ("vfat", "/dev/sdb1")
        );
    }

    #[test]
    fn swap_in_memory_is_not_on_a_disk() {
        let text = "Filename Type Size Used Priority\n/dev/zram0 partition 1 0 100\n/dev/sda2 partition 1 0 -2\n";
        assert_eq!(parse_swaps(text), ["/dev/sda2"]);
    }
}
