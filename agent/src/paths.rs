//! Every path the agent uses, under one root, so that a whole agent can be pointed at a directory.

use std::path::{Component, Path, PathBuf};

pub(crate) const LAST_BUNDLE: &str = "last-bundle.json";

/// Where everything is. The root is `/` on a tablet.
#[derive(Clone, Debug)]
pub struct Paths {
    root_dir: PathBuf,
}

impl Paths {
    /// `root_dir` must be absolute.
    pub fn new(root_dir: impl Into<PathBuf>) -> Self {
        Self {
            root_dir: root_dir.into(),
        }
    }

    pub fn root_dir(&self) -> &Path {
        &self.root_dir
    }

    /// Whether this is a whole tablet. Anywhere else the agent touches nothing outside its root.
    pub fn is_whole_machine(&self) -> bool {
        self.root_dir == Path::new("/")
    }

    /// An absolute path of the tablet, beneath the root. Parts that would climb out are dropped.
    pub fn on_tablet(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let inside = absolute
            .as_ref()
            .components()
            .filter_map(|part| match part {
                Component::Normal(name) => Some(name),
                Component::RootDir
                | Component::CurDir
                | Component::ParentDir
                | Component::Prefix(_) => None,
            });
        inside.fold(self.root_dir.clone(), |path, name| path.join(name))
    }

    /// State that must survive: 0700, root.
    pub fn state_dir(&self) -> PathBuf {
        self.on_tablet("/var/lib/nestwarden")
    }

    pub fn identity_dir(&self) -> PathBuf {
        self.state_dir().join("identity")
    }

    pub fn ledger_path(&self) -> PathBuf {
        self.state_dir().join("ledger.db")
    }

    /// Says that a record was begun here, and for whom.
    pub fn record_begun_path(&self) -> PathBuf {
        self.state_dir().join("record-begun")
    }

    /// A copy of the policy in force, for when the ledger is lost.
    pub fn last_bundle_path(&self) -> PathBuf {
        self.state_dir().join(LAST_BUNDLE)
    }

    /// Sockets and whatever may go at a reboot.
    pub fn run_dir(&self) -> PathBuf {
        self.on_tablet("/run/nestwarden")
    }

    pub fn local_socket_path(&self) -> PathBuf {
        self.run_dir().join("agent.sock")
    }

    /// The link that opens the tablet's page.
    pub fn page_link_path(&self) -> PathBuf {
        self.run_dir().join("page.url")
    }

    pub fn settings_path(&self) -> PathBuf {
        self.on_tablet("/etc/nestwarden/agent.toml")
    }
}
