//! The page staff use on the tablet: who has it, who is there, whom the camera leaves out, and who is in what was taken.
//!
//! Served on the loopback address, to the tablet's own browser and to nobody else (`gate.rs`). It only translates: what
//! holds of photos is asked of the photos task, names of a door. Names live in memory for one session.

mod answer;
mod form;
mod gate;
mod layout;
mod listener;
mod names;
mod notices;
mod router;
mod screens;
mod texts;

use crate::clock::TrustedClock;
use crate::custody::Custody;
use crate::door::NamesDoor;
use crate::ledger::Ledger;
use crate::paths::Paths;
use crate::photos::listing::Tags;
use crate::photos::{PhotosHandle, Unsealer};
use crate::settings::Settings;
use crate::staff::Staff;
use gate::Gate;
use names::Names;
use nestwarden_policy_schema::id::SessionId;
use notices::Notices;
use screens::review::Unlocked;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// The page, bound, and what it shows.
pub struct Page {
    listener: TcpListener,
    gate: Gate,
    desk: Arc<Desk>,
    link: LinkFile,
}

/// What every screen has at hand.
struct Desk {
    photos: PhotosHandle,
    notices: Notices,
    names: Names,
    custody: Custody,
    /// What was last said of a photo in the session, for the next one that shows the same.
    said: Mutex<Option<(SessionId, Tags)>>,
    /// For sealed photos that are reviewed.
    unsealer: Unsealer,
    unlocked: Mutex<Unlocked>,
    previews: tokio::sync::Mutex<()>,
}

impl Page {
    /// Binds the port of the settings, or any that is free where another program has it: the link says which. The link
    /// is written where only staff can read it, and goes with the page.
    pub async fn bind(
        paths: &Paths,
        settings: &Settings,
        (ledger, clock): (Ledger, TrustedClock),
        photos: PhotosHandle,
        names: Arc<dyn NamesDoor>,
        unsealer: Unsealer,
    ) -> io::Result<Self> {
        let listener = match listen(settings.page_port).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let port = settings.page_port;
                tracing::warn!(
                    port,
                    "another program has the page's port; taking a free one"
                );
                listen(0).await?
            }
            other => other?,
        };
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr()?.port());
        let staff = Staff::new(settings);
        let gate = Gate::new(address, staff)?;
        let link = LinkFile::write(paths.page_link_path(), &gate.link(), staff)?;
        Ok(Self {
            listener,
            gate,
            desk: Arc::new(Desk {
                names: Names::new(names),
                custody: Custody::new(ledger.clone(), clock.clone()),
                notices: Notices::new(ledger, clock),
                photos,
                said: Mutex::default(),
                unsealer,
                unlocked: Mutex::default(),
                previews: tokio::sync::Mutex::default(),
            }),
            link,
        })
    }

    /// Answers until dropped.
    pub async fn run(self) {
        let mut open = self.desk.photos.open_session();
        let serve = listener::run(self.listener, self.gate, Arc::clone(&self.desk));
        let forget = async {
            while open.changed().await.is_ok() {
                // However it ended: names are for the screens of one session.
                let session = *open.borrow_and_update();
                self.desk.keep_only(session);
            }
            std::future::pending::<()>().await;
        };
        let hide = async {
            let mut loss = self.desk.notices.watch_loss();
            while loss.changed().await.is_ok() {
                if self.desk.notices.is_lost() {
                    // No name stays on a tablet that somebody else may hold.
                    self.desk.keep_only(None);
                }
            }
            std::future::pending::<()>().await;
        };
        let listen = self.desk.custody.clone().take_over_words();
        tokio::join!(serve, forget, hide, listen);
        drop(self.link);
    }
}

async fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

impl Desk {
    fn keep_only(&self, session: Option<SessionId>) {
        self.names.keep_only(session);
        self.said().take_if(|(of, _)| Some(*of) != session);
    }

    fn unlocked(&self) -> std::sync::MutexGuard<'_, Unlocked> {
        self.unlocked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn said(&self) -> std::sync::MutexGuard<'_, Option<(SessionId, Tags)>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file with the link. Removed when dropped: a link to a page that ended opens nothing.
struct LinkFile(PathBuf);

impl LinkFile {
    fn write(path: PathBuf, link: &str, staff: Staff) -> io::Result<Self> {
        use std::io::Write as _;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = std::fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        if let Some(gid) = staff.gid() {
            chown(&path, None, Some(gid))?;
            file.set_permissions(std::fs::Permissions::from_mode(0o640))?;
        }
        writeln!(file, "{link}")?;
        Ok(Self(path))
    }
}

impl Drop for LinkFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod custody_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod reach_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod review_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod testing;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod video_tests;
