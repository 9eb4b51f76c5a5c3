//! The tablet's disk, made by `tests/vm/image/build` once for every content of that directory.

use anyhow::{Context as _, Result, ensure};
use nestwarden_policy_schema::bytes::Digest;
use ring::digest::{Context, SHA256};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DISK: &str = "root.img";

/// Kernels the tablet can start with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// The newer one that Debian 12 offers beside its own.
    Newer,
    /// Debian 12's own.
    Stock,
}

impl Kernel {
    const fn series(self) -> &'static str {
        match self {
            Self::Newer => "6.12",
            Self::Stock => "6.1",
        }
    }
}

/// What a virtual machine starts from. Nothing here is written to when it runs.
#[derive(Clone, Debug)]
pub struct Image {
    dir: PathBuf,
}

impl Image {
    pub fn disk(&self) -> PathBuf {
        self.dir.join(DISK)
    }

    pub fn kernel(&self, kernel: Kernel) -> PathBuf {
        self.dir.join(format!("vmlinuz-{}", kernel.series()))
    }

    pub fn initrd(&self, kernel: Kernel) -> PathBuf {
        self.dir.join(format!("initrd-{}", kernel.series()))
    }

    /// The image of the recipe as it is now. Making one needs root and the network, and takes minutes.
    pub fn ready() -> Result<Self> {
        let recipe_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("vm/image");
        let kept_dir = kept_dir()?;
        fs::create_dir_all(&kept_dir)?;
        let lock = File::create(kept_dir.join("lock"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let image = Self {
            dir: kept_dir.join(digest(&recipe_dir)?),
        };
        if image.disk().exists() {
            return Ok(image);
        }
        forget_others(&kept_dir)?;
        // The disk comes last and by renaming, so that an interrupted build is never taken for an image.
        let built = Command::new(recipe_dir.join("build"))
            .arg(&image.dir)
            .stdin(Stdio::null())
            .status()
            .context("could not start the build of the image")?;
        ensure!(built.success(), "the image was not made: {built}");
        Ok(image)
    }
}

fn kept_dir() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = cache
        .or_else(home)
        .context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(cache.join("nestwarden-vm"))
}

/// Names and contents of the recipe's files.
fn digest(recipe_dir: &Path) -> Result<String> {
    let mut paths = fs::read_dir(recipe_dir)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    let mut context = Context::new(&SHA256);
    for path in paths {
        let bytes =
            fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
        let name = path.file_name().unwrap_or_default();
        for part in [name.as_encoded_bytes(), &bytes] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
    }
    Ok(Digest::from_ring(&context.finish()).to_string())
}

/// Images of former recipes, which nothing asks for again.
fn forget_others(kept_dir: &Path) -> Result<()> {
    for entry in fs::read_dir(kept_dir)? {
        let path = entry?.path();
        if path.is_dir() {
            fs::remove_dir_all(&path)
                .with_context(|| format!("could not remove {}", path.display()))?;
        }
    }
    Ok(())
}
