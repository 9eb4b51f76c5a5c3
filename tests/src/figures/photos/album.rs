//! Files that are photos by their first bytes, each with a content of its own, made as fast as the disk takes them.

use anyhow::Result;
use rustix::fs::Advice;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// As cameras fill their folders.
const IN_A_FOLDER: usize = 1_000;

/// The part of each photo that the peer of a first scan reads.
const HEAD_BYTES: u64 = 64 * 1024;

/// Fills `dir`, and returns once everything is on the disk.
pub(super) fn fill(dir: &Path, photos: usize, bytes: usize, seed: u64) -> Result<()> {
    let mut content = noise(bytes);
    content[..4].copy_from_slice(&[0xff, 0xd8, 0xff, 0xe0]);
    for number in 0..photos {
        let folder = dir.join(format!("{:03}", number / IN_A_FOLDER));
        if number % IN_A_FOLDER == 0 {
            fs::create_dir_all(&folder)?;
        }
        content[8..16].copy_from_slice(&seed.to_be_bytes());
        content[16..24].copy_from_slice(&(number as u64).to_be_bytes());
        File::create_new(folder.join(format!("IMG_{number:06}.jpg")))?.write_all(&content)?;
    }
    rustix::fs::syncfs(File::open(dir)?)?;
    Ok(())
}

/// Bytes that no file system makes smaller.
fn noise(bytes: usize) -> Vec<u8> {
    let words = 0..bytes.div_ceil(8) as u64;
    let mut noise: Vec<u8> = words
        .flat_map(|word| crate::jpeg::mix(word).to_le_bytes())
        .collect();
    noise.truncate(bytes);
    noise
}

/// Every file beneath `dir`, as `find` names it.
fn found(dir: &Path, mut each: impl FnMut(PathBuf) -> Result<()>) -> Result<()> {
    let mut find = Command::new("find")
        .arg(dir)
        .args(["-type", "f", "-print"])
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(names) = find.stdout.take() {
        for name in BufReader::new(names).lines() {
            each(PathBuf::from(name?))?;
        }
    }
    find.wait()?;
    Ok(())
}

/// The peer: `find`, and the first 64 KiB of each file.
pub(super) fn read_heads(dir: &Path) -> Result<Duration> {
    let begun = Instant::now();
    let mut head = Vec::with_capacity(usize::try_from(HEAD_BYTES)?);
    found(dir, |path| {
        head.clear();
        File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
        Ok(())
    })?;
    Ok(begun.elapsed())
}

/// Has the kernel forget the content of every file, so that the next to read it reads the disk.
pub(super) fn evict(dir: &Path) -> Result<()> {
    found(dir, |path| {
        rustix::fs::fadvise(File::open(path)?, 0, None, Advice::DontNeed)?;
        Ok(())
    })
}

/// Whether no file is left beneath `dir`. Looks no further than the first.
pub(super) fn is_empty(dir: &Path) -> Result<bool> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || !is_empty(&entry.path())? {
            return Ok(false);
        }
    }
    Ok(true)
}
