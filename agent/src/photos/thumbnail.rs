//! The small pictures that desktops keep of photos, by the freedesktop thumbnail specification (0.9): named after the MD5
//! of the photo's URI, in every home's cache.

use super::tree::{self, RelPath, Tree};
use rustix::fd::OwnedFd;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

const SIZES: [&str; 4] = ["normal", "large", "x-large", "xx-large"];
/// Where each program notes what it could make no thumbnail of.
const FAILED: &str = "fail";

/// The folders in which there may be thumbnails, held open for the photos of one moment.
pub struct Thumbnails<'a> {
    tree: &'a Tree,
    caches: Vec<OwnedFd>,
    /// Folders that are shared may keep theirs beside the photos: of the folder that was asked for last.
    beside: Option<(RelPath, Vec<OwnedFd>)>,
}

impl<'a> Thumbnails<'a> {
    pub fn open(tree: &'a Tree) -> Self {
        let caches = caches(tree).into_iter().flat_map(|cache| {
            let sizes = SIZES.iter().filter_map(|size| cache.join(OsStr::new(size)));
            let failed = cache.join(OsStr::new(FAILED));
            let failed = failed.iter().flat_map(|dir| within(tree, dir));
            sizes.chain(failed).collect::<Vec<_>>()
        });
        Self {
            tree,
            caches: caches.filter_map(|dir| tree.dir(&dir).ok()).collect(),
            beside: None,
        }
    }

    /// Removes every thumbnail of the photo that was at `path`; how many there were.
    pub fn remove(&mut self, path: &RelPath) -> io::Result<u64> {
        let mut removed = 0;
        if !self.caches.is_empty() {
            // In a confined root a desktop may know the file by either path.
            let uris = [
                uri(&self.tree.absolute(path)),
                uri(&Path::new("/").join(path.as_path())),
            ];
            for uri in &uris {
                removed += remove_named(&self.caches, uri)?;
            }
        }
        let beside = self.beside(path);
        if !beside.is_empty() {
            // Named by the file's own name.
            let own = uri(Path::new("/").join(path.name()).as_path());
            let own = own.strip_prefix("file:///").unwrap_or_default();
            removed += remove_named(beside, own)?;
        }
        Ok(removed)
    }

    fn beside(&mut self, path: &RelPath) -> &[OwnedFd] {
        let last = self.beside.take();
        let last = last.filter(|(dir, _)| dir.is_parent_of(path));
        let last = last.or_else(|| {
            let parent = path.parent()?;
            let shared = parent.join(OsStr::new(".sh_thumbnails"));
            let dirs = shared.iter().flat_map(|dir| within(self.tree, dir));
            let open = dirs.filter_map(|dir| self.tree.dir(&dir).ok()).collect();
            Some((parent, open))
        });
        self.beside = last;
        self.beside.as_ref().map_or(&[], |(_, dirs)| dirs)
    }
}

fn within(tree: &Tree, dir: &RelPath) -> Vec<RelPath> {
    let names = tree
        .dir(dir)
        .and_then(|dir| tree::names(&dir))
        .unwrap_or_default();
    names.iter().filter_map(|name| dir.join(name)).collect()
}

fn remove_named(dirs: &[OwnedFd], uri: &str) -> io::Result<u64> {
    let name = format!("{}.png", hex(&md5(uri.as_bytes())));
    let mut removed = 0;
    for dir in dirs {
        removed += u64::from(tree::unlink(dir, OsStr::new(&name))?);
    }
    Ok(removed)
}

fn caches(tree: &Tree) -> Vec<RelPath> {
    let homes = RelPath::new("home").into_iter().flat_map(|home| {
        let names = tree.dir(&home).and_then(|dir| tree::names(&dir));
        names
            .unwrap_or_default()
            .into_iter()
            .filter_map(move |name| home.join(&name))
    });
    homes
        .chain(RelPath::new("root"))
        .filter_map(|home| RelPath::new(home.as_path().join(".cache/thumbnails")))
        .collect()
}

/// A `file://` URI, escaped as GLib does it.
fn uri(path: &Path) -> String {
    let mut uri = String::from("file://");
    for byte in path.as_os_str().as_bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-_.~/!$&'()*+,:=@;".contains(byte);
        if plain && *byte != b';' {
            uri.push(char::from(*byte));
        } else {
            uri.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    uri
}

fn hex(bytes: &[u8]) -> String {
    let digits = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
    let text: String = bytes.iter().flat_map(digits).collect();
    text.to_ascii_lowercase()
}

fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).map_or('0', |digit| digit.to_ascii_uppercase())
}

/// MD5 (RFC 1321), here only because the specification names thumbnails by it.
fn md5(message: &[u8]) -> [u8; 16] {
    const SHIFTS: [[u32; 4]; 4] = [
        [7, 12, 17, 22],
        [5, 9, 14, 20],
        [4, 11, 16, 23],
        [6, 10, 15, 21],
    ];
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64), 0);
    if padded.len() - message.len() < 9 {
        padded.resize(padded.len() + 64, 0);
    }
    let end = padded.len() - 8;
    padded[end..].copy_from_slice(&(message.len() as u64 * 8).to_le_bytes());
    let sines = &SINES;
    for block in padded.as_chunks::<64>().0 {
        let word = |at: usize| {
            let at = at * 4;
            u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
        };
        let [mut a, mut b, mut c, mut d] = state;
        for step in 0..64 {
            let (mixed, at) = match step / 16 {
                0 => ((b & c) | (!b & d), step),
                1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
                2 => (b ^ c ^ d, (3 * step + 5) % 16),
                _ => (c ^ (b | !d), (7 * step) % 16),
            };
            let sum = a
                .wrapping_add(mixed)
                .wrapping_add(sines[step])
                .wrapping_add(word(at));
            (a, d, c) = (d, c, b);
            b = b.wrapping_add(sum.rotate_left(SHIFTS[step / 16][step % 4]));
        }
        for (sum, part) in state.iter_mut().zip([a, b, c, d]) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut digest = [0; 16];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    digest
}

/// ⌊2³² · |sin(i)|⌋ for i in 1..=64, the RFC's table.
#[rustfmt::skip]
const SINES: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee,
    0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be,
    0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa,
    0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed,
    0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c,
    0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05,
    0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039,
    0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1,
    0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn md5_gives_what_the_rfc_says() {
        let of = |text: &str| hex(&md5(text.as_bytes()));
        assert_eq!(of(""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(of("abc"), "900150983cd24fb0d6963f7d28e17f72");
        let digits = "1234567890".repeat(8);
        assert_eq!(of(&digits), "57edf4a22be3c955ac49da2e2107b67a");
        assert_eq!(of(&"a".repeat(56)), "3b0c8ac703f828b04c6c197006d17218");
        assert_eq!(of(&"a".repeat(64)), "014842d480b571495a4a0363793f7367");
    }

    #[test]
    fn a_thumbnail_is_found_by_the_example_of_the_specification() {
        let uri = uri(Path::new("/home/jens/photos/me.png"));
        assert_eq!(uri, "file:///home/jens/photos/me.png");
        assert_eq!(
            hex(&md5(uri.as_bytes())),
            "c6ee772d9e49320e97ec29a7eb5b1697"
        );
        let spaced = super::uri(Path::new("/home/a b/ü.jpg"));
        assert_eq!(spaced, "file:///home/a%20b/%C3%BC.jpg");
    }

    #[test]
    fn thumbnails_of_every_size_go_and_others_stay() {
        let temp = tempfile::tempdir().unwrap();
        let path = RelPath::new("home/anna/Pictures/a.jpg").unwrap();
        let cache = temp.path().join("home/anna/.cache/thumbnails");
        let name = format!("{}.png", hex(&md5(b"file:///home/anna/Pictures/a.jpg")));
        for size in SIZES {
            std::fs::create_dir_all(cache.join(size)).unwrap();
            std::fs::write(cache.join(size).join(&name), "x").unwrap();
        }
        std::fs::write(cache.join("normal/other.png"), "x").unwrap();
        let failed = cache.join("fail/gnome-thumbnail-factory");
        let shared = temp.path().join("home/anna/Pictures/.sh_thumbnails/normal");
        let own = format!("{}.png", hex(&md5(b"a.jpg")));
        for (dir, name) in [(failed, &name), (shared, &own)] {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join(name), "x").unwrap();
        }
        let tree = Tree::open(temp.path()).unwrap();
        assert_eq!(Thumbnails::open(&tree).remove(&path).unwrap(), 6);
        assert_eq!(Thumbnails::open(&tree).remove(&path).unwrap(), 0);
        assert!(cache.join("normal/other.png").exists());
    }
}
