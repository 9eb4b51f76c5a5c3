//! Where Linux can tell that a control may have drifted: inotify for our files and the cameras, rfkill for radios, the
//! mount table for media, D-Bus for Bluetooth, hotspots and unlocked screens. Whatever is missed, the periodic pass finds.

use super::faillock;
use super::rfkill;
use super::tablet::Tablet;
use crate::paths::Paths;
use futures_util::StreamExt;
use nestwarden_policy_schema::control::ControlName;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::num::NonZeroUsize;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use tokio::sync::mpsc;
use zbus::{MatchRule, MessageStream, connection};

/// Signals that wait to be taken. A signal only says "look again", so a full queue loses nothing but speed.
const WAITING: usize = 256;

/// Directories worth watching, what of them matters (a name's beginning), and to whom.
const WATCHED: [(&str, &str, ControlName); 16] = [
    ("/etc", "shadow", ControlName::Passcode),
    ("/etc", "passwd", ControlName::Passcode),
    ("/etc/pam.d", "common-", ControlName::Passcode),
    ("/etc/security", "", ControlName::Passcode),
    ("/etc/security/pwquality.conf.d", "", ControlName::Passcode),
    (
        "/usr/share/pam-configs",
        "nestwarden",
        ControlName::Passcode,
    ),
    ("/etc/dconf/db", "", ControlName::Passcode),
    ("/etc/dconf/db/local.d", "", ControlName::Passcode),
    ("/etc/dconf/db/local.d/locks", "", ControlName::Passcode),
    (faillock::TALLY_DIR, "", ControlName::Passcode),
    (
        "/etc/polkit-1/rules.d",
        "50-nestwarden-storage",
        ControlName::Storage,
    ),
    (
        "/etc/polkit-1/rules.d",
        "50-nestwarden-radios",
        ControlName::Radios,
    ),
    (
        "/etc/udev/rules.d",
        "72-nestwarden-storage",
        ControlName::Storage,
    ),
    (
        "/etc/udev/rules.d",
        "72-nestwarden-camera",
        ControlName::Camera,
    ),
    ("/etc/systemd/user", "", ControlName::Radios),
    // An upgraded package has other files than the ones that were approved.
    ("/var/lib/dpkg", "status", ControlName::Apps),
];
const CAMERA_NODES: (&str, &str, ControlName) = ("/dev", "video", ControlName::Camera);

/// Says "look at this control again" for as long as the receiver is kept.
pub fn drift_signals(paths: &Paths) -> mpsc::Receiver<ControlName> {
    let tablet = Tablet::new(paths);
    let (sender, receiver) = mpsc::channel(WAITING);
    if tablet.is_whole_machine()
        && let Err(error) = faillock::make_dir(&tablet)
    {
        tracing::warn!(
            error = error.whole_text(),
            "wrong passcodes are only found by the periodic pass"
        );
    }
    watch_files(&tablet, &sender);
    if tablet.is_whole_machine() {
        let kernel = sender.clone();
        start("drift-kernel", move || watch_kernel(&tablet, &kernel));
        start("drift-bus", move || watch_bus(&sender));
    }
    receiver
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) {
    let started = thread::Builder::new().name(name.to_owned()).spawn(work);
    if let Err(error) = started {
        tracing::warn!(%error, thread = name, "drift will only be found by the periodic pass");
    }
}

fn signal(sender: &mpsc::Sender<ControlName>, control: ControlName) {
    // Full: the receiver has plenty to look at and the periodic pass looks at everything.
    let _ = sender.try_send(control);
}

/// The watcher lives on a thread that ends with the receiver.
fn watch_files(tablet: &Tablet, sender: &mpsc::Sender<ControlName>) {
    let places: Vec<(PathBuf, &str, ControlName)> = WATCHED
        .into_iter()
        .chain([CAMERA_NODES])
        .map(|(dir, name, control)| (tablet.path(dir), name, control))
        .collect();
    let (events, incoming) = std::sync::mpsc::sync_channel::<notify::Result<Event>>(WAITING);
    let watcher = notify::recommended_watcher(move |event| {
        let _ = events.try_send(event);
    });
    let mut watcher: RecommendedWatcher = match watcher {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "files are not places; drift will only be found by the periodic pass");
            return;
        }
    };
    for (dir, _, _) in &places {
        // A directory that is not there has nothing in it that could drift; a second watch of one is the same watch.
        let _ = watcher.watch(dir, RecursiveMode::NonRecursive);
    }
    let sender = sender.clone();
    start("drift-files", move || {
        let _watcher = watcher;
        while let Ok(event) = incoming.recv() {
            if sender.is_closed() {
                return;
            }
            for control in touched(&places, event) {
                signal(&sender, control);
            }
        }
    });
}

fn touched(
    watched: &[(PathBuf, &str, ControlName)],
    event: notify::Result<Event>,
) -> Vec<ControlName> {
    let event = match event {
        Ok(event) if event.need_rescan() => return ControlName::ALL.to_vec(),
        Ok(event) => event,
        Err(_) => return ControlName::ALL.to_vec(),
    };
    if matches!(event.kind, EventKind::Access(_)) {
        return Vec::new();
    }
    let is_in = |path: &Path, dir: &Path, beginning: &str| {
        path.parent() == Some(dir)
            && path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(beginning))
    };
    let mut found: Vec<ControlName> = watched
        .iter()
        .filter(|(dir, beginning, _)| event.paths.iter().any(|path| is_in(path, dir, beginning)))
        .map(|(_, _, control)| *control)
        .collect();
    found.dedup();
    found
}

/// Waits for radio switches and mounts, both of which the kernel tells of within milliseconds.
fn watch_kernel(tablet: &Tablet, sender: &mpsc::Sender<ControlName>) {
    let mut radios = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(tablet.path(rfkill::DEVICE_PATH))
        .ok();
    let mounts = File::open(tablet.path("/proc/self/mountinfo")).ok();
    while !sender.is_closed() && (radios.is_some() || mounts.is_some()) {
        let mut polled = Vec::new();
        polled.extend(radios.iter().map(|file| PollFd::new(file, PollFlags::IN)));
        polled.extend(mounts.iter().map(|file| PollFd::new(file, PollFlags::PRI)));
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                tracing::warn!(%error, "radios and mounts are not watched; the periodic pass finds drift");
                return;
            }
        }
        let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        let (of_radios, of_mounts) = ready.split_at(usize::from(radios.is_some()));
        if of_mounts == [true] {
            signal(sender, ControlName::Storage);
            signal(sender, ControlName::Apps);
        }
        if of_radios == [true] {
            signal(sender, ControlName::Radios);
            // One read takes one event and leaves the others to be told next.
            let mut event = [0; 32];
            let taken = radios.as_mut().map(|file| file.read(&mut event));
            if matches!(taken, Some(Err(error)) if error.kind() != ErrorKind::WouldBlock) {
                radios = None;
            }
        }
    }
}

/// Services whose changes of properties matter, where in them, and to whom.
const SERVICES: [(&str, &str, ControlName); 3] = [
    ("org.bluez", "/org/bluez", ControlName::Radios),
    (
        "org.freedesktop.NetworkManager",
        "/org/freedesktop/NetworkManager",
        ControlName::Radios,
    ),
    (
        "org.freedesktop.login1",
        "/org/freedesktop/login1/session",
        ControlName::Hours,
    ),
];

fn watch_bus(sender: &mpsc::Sender<ControlName>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let watched = match runtime {
        Ok(runtime) => runtime.block_on(async {
            tokio::select! {
                watched = listen(sender) => watched.map_err(|e| e.to_string()),
                () = sender.closed() => Ok(()),
            }
        }),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = watched {
        tracing::info!(%error, "the system bus is not watched; the periodic pass finds drift");
    }
}

async fn listen(sender: &mpsc::Sender<ControlName>) -> zbus::Result<()> {
    let connection = connection::Builder::system().build().await?;
    let mut streams = futures_util::stream::SelectAll::new();
    for (service, namespace, control) in SERVICES {
        let rule = MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .sender(service)
            .interface("org.freedesktop.DBus.Properties")
            .member("PropertiesChanged")
            .path_namespace(namespace)
            .build()?;
        let stream =
            MessageStream::for_match_rule(rule, &connection, NonZeroUsize::new(WAITING)).await?;
        streams.push(stream.map(move |_| control));
    }
    while let Some(control) = streams.next().await {
        signal(sender, control);
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_change_of_our_files_or_of_a_camera_is_told() {
        let root = tempfile::tempdir().unwrap();
        for dir in ["etc/udev/rules.d", "dev"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        let rule = root
            .path()
            .join("etc/udev/rules.d/72-nestwarden-storage.rules");
        fs::write(&rule, "ours").unwrap();
        let camera = root.path().join("dev/video0");
        fs::write(&camera, "").unwrap();
        let mut signals = drift_signals(&Paths::new(root.path()));
        fs::write(root.path().join("etc/udev/rules.d/99-other.rules"), "").unwrap();
        fs::remove_file(&rule).unwrap();
        assert_eq!(signals.blocking_recv(), Some(ControlName::Storage));
        fs::set_permissions(&camera, fs::Permissions::from_mode(0o666)).unwrap();
        let camera = loop {
            match signals.blocking_recv() {
                Some(ControlName::Storage) => {}
                other => break other,
            }
        };
        assert_eq!(camera, Some(ControlName::Camera));
    }

    #[test]
    fn a_lost_event_has_every_control_looked_at() {
        let lost = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        assert_eq!(touched(&[], Ok(lost)), ControlName::ALL);
    }
}
