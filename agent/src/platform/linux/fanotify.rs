//! The kernel's permission events for programs about to start: which file systems ask, what they ask, and the answers.

#![expect(
    unsafe_code,
    reason = "events are read into memory shared with the guardian, and their descriptors are plain numbers"
)]

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::fanotify::{
    EventFFlags, Fanotify, FanotifyResponse, InitFlags, MarkFlags, MaskFlags, Response,
};
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::path::Path;

/// One question of the kernel, exactly as it writes it.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(super) struct RawEvent(libc::fanotify_event_metadata);

impl RawEvent {
    pub(super) const EMPTY: Self = Self(libc::fanotify_event_metadata {
        event_len: 0,
        vers: 0,
        reserved: 0,
        metadata_len: 0,
        mask: 0,
        fd: libc::FAN_NOFD,
        pid: 0,
    });

    /// The file that is about to be opened; open in the process that read the event.
    pub(super) fn file(&self) -> Option<RawFd> {
        (self.0.fd >= 0).then_some(self.0.fd)
    }

    /// The thread that asks; `None` where this process namespace does not see it.
    pub(super) fn thread(&self) -> Option<i32> {
        (self.0.pid > 0).then_some(self.0.pid)
    }

    /// Whether the script's interpreter was licensed already; noted in a byte that the kernel leaves alone.
    pub(super) fn is_licensed(&self) -> bool {
        self.0.reserved != 0
    }

    pub(super) fn note_licensed(&mut self) {
        self.0.reserved = 1;
    }

    /// No question but the news that somebody had a kept file open for writing.
    pub(super) fn is_news(&self) -> bool {
        self.0.mask & (libc::FAN_OPEN_EXEC_PERM | libc::FAN_OPEN_PERM) == 0
    }

    /// Whether the file is opened to be read, by a loader or anybody else; a start asks this as well.
    pub(super) fn is_opening(&self) -> bool {
        self.0.mask & libc::FAN_OPEN_EXEC_PERM == 0
    }

    pub(super) fn is_understood(&self) -> bool {
        self.0.vers == libc::FANOTIFY_METADATA_VERSION
            && usize::from(self.0.metadata_len) == size_of::<Self>()
    }
}

/// The group of marks through which the kernel asks. While it is open every start on a marked file system waits for an
/// answer; when the last descriptor of it closes, the kernel lets everything through.
///
/// No mark is ever removed while a group is open: one that a waiting start still refers to stays in the kernel's list until
/// that start is answered, and every other start of the same file comes upon it and goes through unasked.
#[derive(Debug)]
pub(super) struct ExecGate {
    group: Fanotify,
}

impl ExecGate {
    pub(super) fn open() -> Result<Self, Errno> {
        let flags = InitFlags::FAN_CLASS_CONTENT
            | InitFlags::FAN_CLOEXEC
            | InitFlags::FAN_NONBLOCK
            // A full queue would let programs through unasked.
            | InitFlags::FAN_UNLIMITED_QUEUE
            | InitFlags::FAN_UNLIMITED_MARKS
            | InitFlags::FAN_REPORT_TID;
        // Not blocking: whoever leased a file of their own for writing would keep everybody waiting. Their start is refused.
        let files = EventFFlags::O_RDONLY
            | EventFFlags::O_LARGEFILE
            | EventFFlags::O_CLOEXEC
            | EventFFlags::O_NONBLOCK;
        Ok(Self {
            group: Fanotify::init(flags, files)?,
        })
    }

    /// Asks about every program started from the file system that `on` lies on, through whichever mount.
    pub(super) fn mark_file_system(&self, on: BorrowedFd<'_>) -> Result<(), Errno> {
        let flags = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_FILESYSTEM;
        let path: Option<&Path> = None;
        self.group
            .mark(flags, MaskFlags::FAN_OPEN_EXEC_PERM, on, path)
    }

    /// Asks about every opening of one file, so that no loader or interpreter reads it for somebody either.
    pub(super) fn mark_file(&self, path: &Path) -> Result<(), Errno> {
        let flags = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_DONT_FOLLOW;
        self.group
            .mark(flags, MaskFlags::FAN_OPEN_PERM, AT_FDCWD, Some(path))
    }

    /// Lets the kernel answer for this file itself until it is written to, or until [`Self::unkeep`]. A store
    /// through a mapping makes the kernel forget nothing, so the end of every opening for writing is asked for too.
    pub(super) fn keep(&self, file: BorrowedFd<'_>) -> Result<(), Errno> {
        let path: Option<&Path> = None;
        let ignored = MarkFlags::FAN_MARK_IGNORED_MASK;
        for (flags, mask) in [
            (MarkFlags::empty(), MaskFlags::FAN_CLOSE_WRITE),
            (ignored, MaskFlags::FAN_OPEN_EXEC_PERM),
        ] {
            let flags = MarkFlags::FAN_MARK_ADD | flags;
            // Evictable marks leave the inode to the kernel's own cache; kernels before 5.19 have none.
            let evictable = flags | MarkFlags::FAN_MARK_EVICTABLE;
            match self.group.mark(evictable, mask, file, path) {
                Ok(()) => {}
                Err(Errno::EINVAL | Errno::EEXIST) => {
                    self.group.mark(flags, mask, file, path)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The mark stays, for the end of openings for writing.
    pub(super) fn unkeep(&self, file: BorrowedFd<'_>) -> Result<(), Errno> {
        let flags = MarkFlags::FAN_MARK_REMOVE | MarkFlags::FAN_MARK_IGNORED_MASK;
        let path: Option<&Path> = None;
        self.group
            .mark(flags, MaskFlags::FAN_OPEN_EXEC_PERM, file, path)
    }

    /// Reads waiting events into `events` and returns how many; `Ok(0)` when none waits.
    pub(super) fn read(&self, events: &mut [RawEvent]) -> Result<usize, Errno> {
        // SAFETY: `RawEvent` is plain data for which every byte pattern is valid, and the slice covers exactly it.
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(events.as_mut_ptr().cast(), size_of_val(events))
        };
        match nix::unistd::read(&self.group, bytes) {
            Ok(count) => Ok(count / size_of::<RawEvent>()),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// How many questions and news wait to be read.
    pub(super) fn waiting(&self) -> Result<u64, Errno> {
        let bytes = rustix::io::ioctl_fionread(&self.group)
            .map_err(|error| Errno::from_raw(error.raw_os_error()))?;
        Ok(bytes / size_of::<RawEvent>() as u64)
    }

    /// Answers for one file. An event that was answered already is no error.
    pub(super) fn answer(&self, file: BorrowedFd<'_>, is_allowed: IsAllowed) -> Result<(), Errno> {
        let response = match is_allowed {
            IsAllowed::Yes => Response::FAN_ALLOW,
            IsAllowed::No => Response::FAN_DENY,
        };
        match self
            .group
            .write_response(FanotifyResponse::new(file, response))
        {
            Err(Errno::ENOENT) => Ok(()),
            answered => answered,
        }
    }
}

impl AsFd for ExecGate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IsAllowed {
    Yes,
    No,
}
