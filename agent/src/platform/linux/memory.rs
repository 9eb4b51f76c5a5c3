//! Keeps the agent's memory small: a tablet has little, and the agent shares it with the apps staff work in.

/// Arenas of the allocator: threads share them, and what one gave back another takes. More would keep apart what every
/// thread that ever ran gave back.
const ARENAS: i32 = 1;
/// What is larger than this has pages of its own, and these go back to the system at once.
const OWN_PAGES_BYTES: i32 = 64 * 1024;
/// Free memory at the top beyond which it goes back too.
const TRIM_BYTES: i32 = 128 * 1024;

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
