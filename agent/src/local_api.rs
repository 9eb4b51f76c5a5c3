//! The socket on which the command line and the tablet's page ask the running agent. One JSON request a line, one answer
//! a line; who asks is what the kernel says.

use crate::paths::Paths;
use crate::photos::PhotosError;
use crate::photos::PhotosHandle;
use crate::photos::listing::Tags;
use crate::settings::Settings;
use crate::staff::Staff;
use crate::status::Status;
use nestwarden_policy_schema::consent::RoomName;
use nestwarden_policy_schema::id::PhotoId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// Longest request line.
pub const MAX_LINE_BYTES: u64 = 64 * 1024;
const MAX_CONNECTIONS: usize = 16;
/// A connection on which nobody asks is closed. The machine's own time: nothing of the tablet's duties waits for it.
const IDLE: Duration = Duration::from_mins(1);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    Status,
    SessionStart { rooms: BTreeSet<RoomName> },
    SessionEnd,
    PhotosList,
    PhotosTag { photo: PhotoId, tags: Tags },
    Rescan,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Ok(Value),
    Error { code: String, message: String },
}

/// Reads how the tablet stands.
pub type StatusSource = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Status> + Send>> + Send + Sync>;

/// The socket, bound, and what it answers from.
pub struct LocalApi {
    listener: UnixListener,
    desk: Arc<Desk>,
}

struct Desk {
    staff: Staff,
    status: StatusSource,
    photos: PhotosHandle,
}

impl LocalApi {
    /// Binds the socket: 0660, for root and the staff group. The caller holds the lock that makes this the only agent.
    pub fn bind(
        paths: &Paths,
        settings: &Settings,
        status: StatusSource,
        photos: PhotosHandle,
    ) -> std::io::Result<Self> {
        let path = paths.local_socket_path();
        open_run_dir(paths, Staff::new(settings))?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path)?;
        let staff = Staff::new(settings);
        if let Some(gid) = staff.gid() {
            chown(&path, None, Some(gid))?;
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660))?;
        Ok(Self {
            listener,
            desk: Arc::new(Desk {
                staff,
                status,
                photos,
            }),
        })
    }

    /// Answers until dropped.
    pub async fn run(self) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let desk = Arc::clone(&self.desk);
                    tokio::spawn(async move {
                        if let Err(error) = serve(stream, &desk).await {
                            tracing::debug!(%error, "a local connection ended");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the local socket did not accept");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

async fn serve(stream: UnixStream, desk: &Desk) -> std::io::Result<()> {
    let peer = stream.peer_cred()?;
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut read).take(MAX_LINE_BYTES);
        let length = tokio::time::timeout(IDLE, bounded.read_until(b'\n', &mut line)).await??;
        if length == 0 {
            return Ok(());
        }
        let whole = line.ends_with(b"\n");
        let answer = if whole {
            desk.answer(&line, &peer).await
        } else {
            refuse(
                "request_too_long",
                format!("a request is one line of at most {MAX_LINE_BYTES} bytes"),
            )
        };
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        tokio::time::timeout(IDLE, write.write_all(&text)).await??;
        if !whole {
            return Ok(());
        }
    }
}

impl Desk {
    async fn answer(&self, line: &[u8], peer: &UCred) -> Answer {
        let request: Request = match serde_json::from_slice(line) {
            Ok(request) => request,
            Err(error) => return refuse("request_invalid", error.to_string()),
        };
        if request != Request::Status && !self.staff.includes(peer.uid(), Some(peer.gid())) {
            return refuse(
                "not_staff",
                "only root and members of the tablet's staff group may do this".to_owned(),
            );
        }
        let done = match request {
            Request::Status => {
                let status = (self.status)().await;
                return Answer::Ok(json!(status));
            }
            Request::SessionStart { rooms } => self
                .photos
                .session_start(rooms)
                .await
                .map(|session| json!({ "session": session })),
            Request::SessionEnd => self
                .photos
                .session_end()
                .await
                .map(|(session, photos)| json!({ "session": session, "photos": photos })),
            Request::PhotosList => self
                .photos
                .list()
                .await
                .map(|photos| json!({ "photos": photos })),
            Request::PhotosTag { photo, tags } => self
                .photos
                .tag(photo, tags)
                .await
                .map(|()| json!({ "photo": photo })),
            Request::Rescan => self.photos.rescan().await.map(|()| json!({})),
        };
        done.map_or_else(|error| refused(&error), Answer::Ok)
    }
}

/// What is in it has its own mode; staff must get to it whatever mask the agent was started with.
fn open_run_dir(paths: &Paths, staff: Staff) -> std::io::Result<()> {
    let dir = paths.run_dir();
    std::fs::create_dir_all(&dir)?;
    if let Some(gid) = staff.gid() {
        chown(&dir, None, Some(gid))?;
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o750))?;
    }
    Ok(())
}

fn refused(error: &PhotosError) -> Answer {
    let code = match error {
        PhotosError::NoSuchPhoto(_) => "no_such_photo",
        PhotosError::NoSuchChild(_) => "no_such_child",
        PhotosError::TagsLoosened(_) => "tags_loosened",
        PhotosError::Sealed(_) => "sealed",
        PhotosError::NotShown(_) => "not_shown",
        PhotosError::SessionOpen(_) => "session_open",
        PhotosError::NoSession => "no_session",
        PhotosError::NoBundle => "no_bundle",
        PhotosError::NoRequest(_) => "no_request",
        PhotosError::ReviewNotBegun => "review_not_begun",
        PhotosError::ReviewFinished => "review_finished",
        PhotosError::ReviewUnfinished(_) => "review_unfinished",
        PhotosError::TooManyIncluded { .. } => "too_many_included",
        PhotosError::TaskEnded => "photos_unavailable",
        PhotosError::Ledger(_) | PhotosError::Damaged(_) | PhotosError::Io(_) => "failed",
    };
    refuse(code, crate::whole_text(error))
}

fn refuse(code: &str, message: String) -> Answer {
    Answer::Error {
        code: code.to_owned(),
        message,
    }
}
