//! Keeps the agent's memory small: a tablet has little, and the agent shares it with the apps staff work in.

use rustix::mm::Advice;
use std::{fs, io};

/// Arenas of the allocator: threads share them, and what one gave back another takes. More would keep apart what every
/// thread that ever ran gave back.
const ARENAS: i32 = 1;
/// What is larger than this has pages of its own, and these go back to the system at once.
const OWN_PAGES_BYTES: i32 = 64 * 1024;
/// Free memory at the top beyond which it goes back too.
const TRIM_BYTES: i32 = 128 * 1024;

/// What a line of `/proc/self/maps` says of one mapping.
#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    begins: usize,
    ends: usize,
    is_code: bool,
}

impl Mapping {
    fn of(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (begins, ends) = words.next()?.split_once('-')?;
        // Private, read and run, and never written: nothing in it differs from the file. What is of no file is the kernel's.
        let is_private_code = words.next()? == "r-xp";
        let is_of_a_file = words.nth(2)? != "0";
        Some(Self {
            begins: usize::from_str_radix(begins, 16).ok()?,
            ends: usize::from_str_radix(ends, 16).ok()?,
            is_code: is_private_code && is_of_a_file,
        })
    }
}

/// Gives the pages of code back, this program's and its libraries'. Those that are needed come again, from the system's copy
/// of the file or from the disk; those of starting up and of rare work do not, and the system may use them.
pub(crate) fn give_back_code() -> io::Result<()> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    for code in maps
        .lines()
        .filter_map(Mapping::of)
        .filter(|mapping| mapping.is_code)
    {
        let begins = std::ptr::with_exposed_provenance_mut(code.begins);
        #[expect(unsafe_code, reason = "advice on memory")]
        // SAFETY: the mapping is of a file, private and not writable: what is read from it again is what it was. Program
        // and libraries stay mapped to the end: nothing here loads or unloads any, so it is the same mapping still.
        unsafe {
            rustix::mm::madvise(begins, code.ends - code.begins, Advice::LinuxDontNeed)?;
        }
    }
    Ok(())
}

/// Call before there are threads. Where the C library has no such settings, nothing happens.
pub(crate) fn keep_small() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "settings of the C library's allocator")]
    // SAFETY: `mallopt` takes plain numbers, and nothing else in this program sets them.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_BYTES);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_never_written_counts_as_code() {
        let line = |rights: &str| format!("5500-7000 {rights} 00001000 08:01 1234 /usr/bin/agent");
        let code = Mapping {
            begins: 0x5500,
            ends: 0x7000,
            is_code: true,
        };
        assert_eq!(Mapping::of(&line("r-xp")), Some(code));
        for rights in ["r--p", "rw-p", "rwxp", "r-xs"] {
            let of = Mapping::of(&line(rights)).unwrap();
            assert!(!of.is_code, "{rights}");
        }
        let of = Mapping::of("7f00-8000 r-xp 00000000 00:00 0 [vdso]").unwrap();
        assert!(!of.is_code, "of no file");
        assert_eq!(Mapping::of("no mapping"), None);
    }

    /// In pages of 4 KiB or more, of the mapping that the function is in.
    fn resident_code() -> usize {
        let here = give_back_code as *const () as usize;
        let all = fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = all.lines().skip_while(|line| {
            !Mapping::of(line).is_some_and(|m| (m.begins..m.ends).contains(&here))
        });
        let rss = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
        rss.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn code_that_was_given_back_runs_on_and_takes_less_memory() {
        let pages: Vec<Mapping> = fs::read_to_string("/proc/self/maps")
            .unwrap()
            .lines()
            .filter_map(Mapping::of)
            .collect();
        let here = give_back_code as *const () as usize;
        let own = pages
            .iter()
            .find(|mapping| (mapping.begins..mapping.ends).contains(&here))
            .unwrap();
        // All of it, as after a start that touched everything.
        let begins = std::ptr::with_exposed_provenance_mut(own.begins);
        #[expect(unsafe_code, reason = "advice on memory")]
        // SAFETY: populating a mapping changes nothing in it.
        unsafe {
            rustix::mm::madvise(begins, own.ends - own.begins, Advice::LinuxPopulateRead).unwrap();
        }
        let before = resident_code();
        // Other tests run meanwhile, and have what they need of it come again.
        let after = (0..100).map(|_| {
            give_back_code().unwrap();
            resident_code()
        });
        let least = after.min().unwrap();
        assert!(least < before / 2, "{before} kB before, {least} kB after");
    }
}
