//! An open database, who acts in it, and what the clock says.

use crate::domain::local_time::LocalTime;
use crate::domain::registers::Registers;
use crate::door::{Clock, Doors};
use crate::settings::{DataDir, Settings};
use crate::signing::ReleaseKey;
use crate::signing::keys::public_keys;
use crate::storage::{AuditEntry, Device, Operator, Storage, sql};
use anyhow::{Context as _, bail};
use jiff::Timestamp;
use nestwarden_policy_schema::id::DeviceId;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

pub(super) struct Session {
    pub(super) data: DataDir,
    pub(super) storage: Storage,
    operator: Option<Operator>,
    clock: Arc<dyn Clock>,
}

/// What opens the words of registers, and closes them.
pub(super) struct RegisterKeys {
    release: ReleaseKey,
    recipient: String,
}

impl RegisterKeys {
    pub(super) fn registers<'a>(&'a self, storage: &'a Storage) -> Registers<'a> {
        Registers {
            storage,
            release: &self.release,
            recipient: &self.recipient,
        }
    }
}

impl Session {
    pub(super) async fn open(
        data: &DataDir,
        doors: &Doors,
        acting: Option<&str>,
    ) -> anyhow::Result<Self> {
        let storage = open_storage(data).await?;
        let operator = match acting {
            None => None,
            Some(name) => Some(storage.operator_by_name(name).await?.with_context(|| {
                format!("there is no operator \"{name}\"; `operator list` shows those there are")
            })?),
        };
        Ok(Self {
            data: data.clone(),
            storage,
            operator,
            clock: Arc::clone(&doors.clock),
        })
    }

    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        Ok(Settings::load(&self.data)?)
    }

    pub(super) fn register_keys(&self) -> anyhow::Result<RegisterKeys> {
        let dir = self.data.keys_dir();
        let public = public_keys(&dir).context("failed to read the keys")?;
        Ok(RegisterKeys {
            release: ReleaseKey::load(&dir).context("failed to read the keys")?,
            recipient: public.release_recipient,
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) async fn local_time(&self) -> anyhow::Result<LocalTime> {
        Ok(LocalTime::load(&self.storage).await?)
    }

    /// As the audit log names whoever acts.
    pub(super) fn who(&self) -> String {
        self.operator
            .as_ref()
            .map_or_else(|| format!("os:{}", os_user()), |o| o.name.clone())
    }

    /// For acts that a named person must answer for.
    pub(super) fn operator(&self) -> anyhow::Result<&Operator> {
        self.operator
            .as_ref()
            .context("this needs a person: say who you are with `--as OPERATOR`")
    }

    pub(super) fn audit(
        &self,
        act: &str,
        subject: impl Into<String>,
        detail: serde_json::Value,
    ) -> AuditEntry {
        AuditEntry {
            at: self.now(),
            who: self.who(),
            act: act.to_owned(),
            subject: subject.into(),
            detail,
        }
    }

    /// A tablet by id, or by a name that only one tablet in use has.
    pub(super) async fn device(&self, named: &str) -> anyhow::Result<Device> {
        if let Ok(id) = named.parse::<DeviceId>() {
            let found = self.storage.device_find(id).await?;
            return found.with_context(|| {
                format!("there is no tablet {id}; `device list` shows those there are")
            });
        }
        let mut devices = self.storage.device_list().await?;
        devices.retain(|device| device.name == named && device.revoked.is_none());
        if devices.len() > 1 {
            bail!(
                "{} tablets are called \"{named}\"; use the id that `device list` shows",
                devices.len()
            );
        }
        devices.pop().with_context(|| {
            format!("there is no tablet \"{named}\"; `device list` shows those there are")
        })
    }

    /// Has `serve` look for changes now. Without it the change is found within a second; without `serve`, at its start.
    /// Whether `serve` heard it.
    pub(super) fn nudge(&self) -> bool {
        let Ok(socket) = UnixDatagram::unbound() else {
            return false;
        };
        let _ = socket.set_nonblocking(true);
        socket.send_to(b"1", self.data.wake_socket_path()).is_ok()
    }
}

pub(super) async fn open_storage(data: &DataDir) -> anyhow::Result<Storage> {
    let path = data.database_path();
    if let Err(error) = path.metadata()
        && error.kind() == std::io::ErrorKind::PermissionDenied
    {
        bail!(
            "`{}` may not be read as user {}; run the command as the server's own user: `runuser -u nestwarden-server -- nestwarden-server …`",
            data.dir().display(),
            os_user()
        );
    }
    if !path.exists() {
        bail!(
            "there is no database in `{}`; run `nestwarden-server init` first, or name the right directory with --data",
            data.dir().display()
        );
    }
    sql::open(&path)
        .await
        .with_context(|| format!("failed to open `{}`", path.display()))
}

/// The name of the user this runs as, or their number.
pub(super) fn os_user() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    std::fs::read_to_string("/etc/passwd")
        .ok()
        .and_then(|users| {
            users.lines().find_map(|line| {
                let mut fields = line.split(':');
                let name = fields.next()?;
                (fields.nth(1)? == uid).then(|| name.to_owned())
            })
        })
        .unwrap_or(uid)
}
