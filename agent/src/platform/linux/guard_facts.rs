//! Reads who asks and for which file, without ever waiting for either of them.

use crate::decision::failure::Failure;
use crate::decision::inventory::Identity;
use crate::decision::ticket::{Call, script_of};
use crate::decision::verdict::{FileDoor, FileFacts};
use nestwarden_policy_schema::bytes::Digest;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Content is read only where a file is not as its package installed it; nobody waits for more than this.
const MAX_CONTENT_BYTES: u64 = 256 * 1024 * 1024;
const CHUNK_BYTES: usize = 256 * 1024;
/// What one reading of a thread's `status` gives: its users stand above anything that can be long.
const STATUS_BYTES: usize = 1024;
const MAX_FILE_NAME_BYTES: usize = 4096;
/// As the kernel follows.
const MAX_LINKS: u32 = 40;
/// About a second, after which the thread is taken for one that never sleeps.
const ATTEMPTS: u32 = 1000;
const YIELDS: u32 = 50;

pub(super) fn identity_of(metadata: &Metadata) -> Identity {
    let nanoseconds =
        |seconds: i64, part: i64| seconds.saturating_mul(1_000_000_000).saturating_add(part);
    Identity {
        dev: metadata.dev(),
        ino: metadata.ino(),
        size: metadata.size(),
        mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
    }
}

/// The effective user of a thread, as this user namespace counts: `root` of another one is not 0 here.
pub(super) fn uid_of(thread: i32) -> Result<u32, Failure> {
    let mut start = [0; STATUS_BYTES];
    let status = fs::File::open(format!("/proc/{thread}/status"))
        .and_then(|mut file| file.read(&mut start))
        .map_err(|error| {
            if is_gone(&error) {
                Failure::SubjectGone
            } else {
                Failure::SubjectUnreadable
            }
        })?;
    start[..status]
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"Uid:"))
        .and_then(|uids| std::str::from_utf8(uids).ok())
        .and_then(|uids| uids.split_ascii_whitespace().nth(1)?.parse().ok())
        .ok_or(Failure::SubjectUnreadable)
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// What the thread runs until now.
pub(super) fn program_of(thread: i32) -> Option<Identity> {
    let metadata = fs::metadata(format!("/proc/{thread}/exe")).ok()?;
    Some(identity_of(&metadata))
}

pub(super) fn program_path_of(thread: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{thread}/exe")).ok()
}

/// What it was started with.
pub(super) fn arguments_of(thread: i32) -> Vec<Vec<u8>> {
    let mut bytes = fs::read(format!("/proc/{thread}/cmdline")).unwrap_or_default();
    bytes.truncate(8 * MAX_FILE_NAME_BYTES);
    let arguments = bytes.split(|byte| *byte == 0);
    arguments.take(4).map(<[u8]>::to_vec).collect()
}

/// The call the thread waits in, and the file name it passes; `None` where the kernel does not tell.
pub(super) fn call_of(thread: i32) -> Option<(Call, PathBuf)> {
    let text = waiting_call(thread)?;
    let mut words = text.split_ascii_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    let words: Vec<u64> = words
        .map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16))
        .collect::<Result<_, _>>()
        .ok()?;
    let [a, b, c, .., stack_pointer, program_counter] = words.as_slice() else {
        return None;
    };
    // execveat names its file by a descriptor; such a script gets no licence for an interpreter.
    if i64::try_from(number).ok()? != libc::SYS_execve {
        return None;
    }
    let stat = fs::read_to_string(format!("/proc/{thread}/stat")).ok()?;
    // The program's name may hold anything, a bracket too; fields count from the last one.
    let after_name = stat.rsplit_once(')')?.1;
    let thread_started = after_name.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let name = file_name_at(thread, *a)?;
    let call = Call {
        thread,
        thread_started,
        number,
        pointers: [*a, *b, *c],
        stack_pointer: *stack_pointer,
        program_counter: *program_counter,
        file_name_digest: Digest::sha256(&name).0,
    };
    Some((call, PathBuf::from(OsString::from_vec(name))))
}

/// Whether nobody else can write to what the thread passed to its call.
pub(super) fn is_single_threaded(thread: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    let mut lines = status.lines();
    let threads = lines.find_map(|line| line.strip_prefix("Threads:"));
    threads.is_some_and(|threads| threads.trim() == "1")
}

/// Whether a name leads to the file through nothing that anybody but root can change: an interpreter looks its script up
/// once more, by the name that its caller passed. Walked as the kernel does.
pub(super) fn leads_for_good(name: &Path, root_dir: &Path, identity: &Identity) -> bool {
    let Ok(inside) = name.strip_prefix(root_dir) else {
        return false;
    };
    let parts = |path: &Path| -> Vec<OsString> { path.iter().rev().map(OsStr::to_owned).collect() };
    let mut left = parts(inside);
    let mut at = root_dir.to_owned();
    let mut links = 0;
    while let Some(part) = left.pop() {
        if !fs::symlink_metadata(&at).is_ok_and(|dir| dir.is_dir() && only_root_writes(&dir)) {
            return false;
        }
        if part == ".." {
            if at != root_dir {
                at.pop();
            }
            continue;
        }
        let next = at.join(&part);
        let Ok(metadata) = fs::symlink_metadata(&next) else {
            return false;
        };
        if !metadata.is_symlink() {
            at = next;
            continue;
        }
        links += 1;
        let Ok(target) = fs::read_link(&next) else {
            return false;
        };
        if links > MAX_LINKS {
            return false;
        }
        if !target.is_absolute() {
            left.extend(parts(&target));
        } else if let Ok(inside) = target.strip_prefix(root_dir) {
            left.extend(parts(inside));
            root_dir.clone_into(&mut at);
        } else {
            return false;
        }
    }
    leads_to(&at, identity)
}

/// The kernel says `running` until the thread has gone to sleep over its question. That is a matter of microseconds, or
/// of as long as the thread waits for a processor.
fn waiting_call(thread: i32) -> Option<String> {
    for attempt in 0..ATTEMPTS {
        let text = fs::read_to_string(format!("/proc/{thread}/syscall")).ok()?;
        if !text.starts_with("running") {
            return Some(text);
        }
        if attempt < YIELDS {
            std::thread::yield_now();
        } else {
            // Nothing tells when another thread falls asleep.
            let _ = nix::poll::poll(&mut [], 1_u8);
        }
    }
    None
}

fn file_name_at(thread: i32, address: u64) -> Option<Vec<u8>> {
    let memory = fs::File::open(format!("/proc/{thread}/mem")).ok()?;
    let mut name = Vec::new();
    let mut chunk = [0; 256];
    while name.len() < MAX_FILE_NAME_BYTES {
        // A name may end just before memory that is not there, so no reading crosses a page.
        let at = address + name.len() as u64;
        let to_page_end = usize::try_from(4096 - at % 4096).unwrap_or(1);
        let wanted = chunk.len().min(to_page_end);
        let count = memory.read_at(&mut chunk[..wanted], at).ok()?;
        if count == 0 {
            return None;
        }
        if let Some(end) = chunk[..count].iter().position(|byte| *byte == 0) {
            name.extend_from_slice(&chunk[..end]);
            return Some(name);
        }
        name.extend_from_slice(&chunk[..count]);
    }
    None
}

/// The file of one event.
pub(super) struct EventFile<'a> {
    file: &'a fs::File,
    root_dir: &'a Path,
    identity: Identity,
    /// Called between pieces of work, so that nobody takes a long reading for a hang.
    beat: &'a dyn Fn(),
    lease: Option<ReadLease<'a>>,
}

impl<'a> EventFile<'a> {
    pub(super) fn read(
        file: &'a fs::File,
        root_dir: &'a Path,
        beat: &'a dyn Fn(),
    ) -> Result<(Self, FileFacts), Failure> {
        // First: a write within one tick of the clock changes no time of the file.
        let lease = ReadLease::take(file.as_fd());
        let metadata = file.metadata().map_err(|_| Failure::FileUnreadable)?;
        let identity = identity_of(&metadata);
        let mut start = [0; 256];
        let length = file
            .read_at(&mut start, 0)
            .map_err(|_| Failure::FileUnreadable)?;
        let facts = FileFacts {
            identity,
            path: path_of(file.as_fd()).filter(|path| leads_to(path, &identity)),
            open_for_write: lease.is_none(),
            script: script_of(&start[..length]),
        };
        let event_file = Self {
            file,
            root_dir,
            identity,
            beat,
            lease,
        };
        Ok((event_file, facts))
    }

    /// `None` where somebody has the file open for writing, and when it was handed over before.
    pub(super) fn hand_over_lease(&mut self) -> Option<ReadLease<'a>> {
        self.lease.take()
    }
}

impl FileDoor for EventFile<'_> {
    fn is_guarded(&mut self, path: &Path) -> bool {
        let Ok(inside) = path.strip_prefix(self.root_dir) else {
            return false;
        };
        if !leads_to(path, &self.identity) {
            return false;
        }
        let mut parts: Vec<_> = inside.components().collect();
        while !parts.is_empty() {
            let so_far = self.root_dir.join(parts.iter().collect::<PathBuf>());
            if !fs::symlink_metadata(so_far).is_ok_and(|metadata| only_root_writes(&metadata)) {
                return false;
            }
            parts.pop();
        }
        true
    }

    fn content(&mut self) -> Result<Digest, Failure> {
        if self.identity.size > MAX_CONTENT_BYTES {
            return Err(Failure::ContentTooLarge);
        }
        sha256_of(self.file, self.beat).map_err(|_| Failure::ContentUnreadable)
    }
}

/// SHA-256 of a whole file, of at most 4 GiB.
pub(super) fn sha256_of(file: &fs::File, beat: &dyn Fn()) -> io::Result<Digest> {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    // Most programs are small, and somebody waits for this one.
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(CHUNK_BYTES);
    let mut chunk = vec![0; size.saturating_add(1).clamp(4096, CHUNK_BYTES)];
    let mut at = 0;
    loop {
        let count = file.read_at(&mut chunk, at)?;
        if count == 0 {
            return Ok(Digest::from_ring(&context.finish()));
        }
        context.update(&chunk[..count]);
        at += count as u64;
        if at > 4 << 30 {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        beat();
    }
}

fn only_root_writes(metadata: &Metadata) -> bool {
    let mode = metadata.mode();
    let group_is_root = metadata.gid() == 0;
    // An access list shows as the group's bits, so a list that lets others write is seen here as well.
    metadata.uid() == 0
        && !metadata.is_symlink()
        && mode & 0o002 == 0
        && (mode & 0o020 == 0 || group_is_root)
}

fn leads_to(path: &Path, identity: &Identity) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| identity_of(&metadata).is_same_file(identity))
}

pub(super) fn path_of(file: BorrowedFd<'_>) -> Option<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

/// Refused while anybody has the file open for writing, a shared mapping included. Whoever opens it for writing while the
/// lease is held waits until it is let go: at most for the reading of a file that only root may write to.
pub(super) struct ReadLease<'a> {
    file: BorrowedFd<'a>,
}

impl<'a> ReadLease<'a> {
    pub(super) fn take(file: BorrowedFd<'a>) -> Option<Self> {
        lease(file, libc::F_SETLEASE, libc::F_RDLCK).map(|_| Self { file })
    }

    /// Nobody has opened it for writing since, nor waits to.
    pub(super) fn is_undisturbed(&self) -> bool {
        lease(self.file, libc::F_GETLEASE, 0) == Some(libc::F_RDLCK)
    }
}

impl Drop for ReadLease<'_> {
    fn drop(&mut self) {
        let _ = lease(self.file, libc::F_SETLEASE, libc::F_UNLCK);
    }
}

#[expect(unsafe_code, reason = "no wrapper offers leases")]
fn lease(file: BorrowedFd<'_>, command: libc::c_int, kind: libc::c_int) -> Option<libc::c_int> {
    // SAFETY: a call with two integers on a descriptor that is open.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), command, kind) };
    (answer >= 0).then_some(answer)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot set up must fail")]
mod tests {
    use super::super::guard::ignore_lease_breaks;
    use super::*;
    use std::os::unix::fs::OpenOptionsExt;

    #[test]
    fn a_lease_tells_who_writes_already_and_who_would_while_it_is_held() {
        ignore_lease_breaks().unwrap();
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let open = |is_writer: bool| {
            let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
            let mut options = fs::OpenOptions::new();
            options.read(true).write(is_writer).custom_flags(flags);
            options.open(&path)
        };
        let file = open(false).unwrap();
        let writer = open(true).unwrap();
        assert!(ReadLease::take(file.as_fd()).is_none(), "it is written to");
        drop(writer);

        let lease = ReadLease::take(file.as_fd()).unwrap();
        let reader = open(false).unwrap();
        assert!(lease.is_undisturbed(), "readers change nothing");
        assert!(ReadLease::take(reader.as_fd()).is_some());
        let refused = open(true).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        assert!(!lease.is_undisturbed());

        drop(lease);
        open(true).unwrap();
    }
}
