//! Cameras: a udev rule for those to come, the permissions of the device nodes for those that are there, and an end to
//! handles that were opened before.

use super::processes::{self, Process};
use super::tablet::{Tablet, poke};
use crate::control::camera::{Camera, CameraChange, CameraObserved, CamerasSeen};
use crate::control::{EnforceError, Enforcer, Reading};
use crate::paths::Paths;
use rustix::fs::{Gid, Uid};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// After 70-uaccess.rules, which gives cameras to whoever sits at the tablet, and before 73-seat-late.rules, which acts
/// on it.
const RULE_PATH: &str = "/etc/udev/rules.d/72-nestwarden-camera.rules";
const RULE: &str = "\
# Written by Nestwarden, which keeps the camera off at the moment. Changes are undone.
SUBSYSTEM==\"video4linux\", OWNER=\"root\", GROUP=\"root\", MODE=\"0000\", TAG-=\"uaccess\"
";
const CLASS_DIR: &str = "/sys/class/video4linux";
const REMEMBERED: &str = "camera/";
/// What udev gives a camera by default.
const USUAL_MODE: u32 = 0o660;
const USUAL_GROUP: &str = "video";

/// Cameras of video4linux.
#[derive(Debug)]
pub struct CameraEnforcer {
    tablet: Tablet,
}

impl CameraEnforcer {
    pub fn new(paths: &Paths) -> Self {
        Self {
            tablet: Tablet::new(paths),
        }
    }

    fn is_rule_in_place(&self) -> Result<bool, EnforceError> {
        Ok(self.tablet.read(RULE_PATH)?.as_deref() == Some(RULE))
    }

    /// Names of the cameras' device nodes.
    fn nodes(&self) -> Result<Vec<String>, EnforceError> {
        self.tablet.needs_sysfs("the camera")?;
        self.tablet.list(CLASS_DIR)
    }

    fn node_path(&self, node: &str) -> PathBuf {
        self.tablet.path("/dev").join(node)
    }

    fn seen(&self) -> Result<CamerasSeen, EnforceError> {
        let nodes = self.nodes()?;
        let remembered = self.tablet.previous().recall(REMEMBERED)?;
        let rule = self.is_rule_in_place()?;
        let mut seen = CamerasSeen::default();
        for node in &nodes {
            match self.is_open(node)? {
                None => {}
                Some(true) => seen.open += 1,
                Some(false) => {
                    seen.closed += 1;
                    if rule || remembered.contains_key(&format!("{REMEMBERED}{node}")) {
                        seen.closed_by_us += 1;
                    }
                }
            }
        }
        if !nodes.is_empty() {
            seen.in_use = self.users(&nodes)?.len();
        }
        Ok(seen)
    }

    /// Whether anybody but the agent may open a node; `None` where there is no such node.
    fn is_open(&self, node: &str) -> Result<Option<bool>, EnforceError> {
        let path = self.node_path(node);
        match fs::symlink_metadata(&path) {
            // An access list counts for nothing once the group bits, its mask, are clear.
            Ok(seen) => Ok(Some(
                seen.mode() & 0o777 != 0 || seen.uid() != rustix::process::geteuid().as_raw(),
            )),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(EnforceError::failed(
                format!("read `{}`", path.display()),
                e,
            )),
        }
    }

    fn users(&self, nodes: &[String]) -> Result<Vec<Process>, EnforceError> {
        let files: Vec<_> = nodes.iter().map(|node| self.node_path(node)).collect();
        let mut users = processes::of_staff(&self.tablet)?;
        users.retain(|process| processes::holds_open(&self.tablet, process, &files));
        Ok(users)
    }

    fn keep_new_off(&self) -> Result<(), EnforceError> {
        self.tablet.write(RULE_PATH, RULE, 0o644)?;
        self.reload_rules()
    }

    fn close(&self) -> Result<(), EnforceError> {
        for node in self.nodes()? {
            if self.is_open(&node)? == Some(true) {
                let path = self.node_path(&node);
                let failed = |e| EnforceError::failed(format!("close `{}`", path.display()), e);
                let before = fs::symlink_metadata(&path).map_err(failed)?;
                let remembered = format!(
                    "{:o}:{}:{}",
                    before.mode() & 0o777,
                    before.uid(),
                    before.gid()
                );
                self.tablet
                    .previous()
                    .remember(&format!("{REMEMBERED}{node}"), Some(&remembered))?;
                set_access(&path, 0, 0, 0).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// A USB camera is taken off its bus and put back, which ends every handle; programs that use another are ended.
    fn end_use(&self) -> Result<(), EnforceError> {
        self.tablet.needs_machine("ending the camera's use")?;
        let nodes = self.nodes()?;
        for node in &nodes {
            let used = !self.users(std::slice::from_ref(node))?.is_empty();
            if let Some(switch) = self.usb_switch(node).filter(|_| used) {
                let act = || format!("switch the camera at `{}`", switch.display());
                poke(&switch, "0")
                    .and_then(|()| poke(&switch, "1"))
                    .map_err(|e| EnforceError::failed(act(), e))?;
            }
        }
        let files: Vec<_> = nodes.iter().map(|node| self.node_path(node)).collect();
        for process in self.users(&nodes)? {
            processes::end(&self.tablet, &process, || {
                processes::holds_open(&self.tablet, &process, &files)
            })?;
        }
        // A camera that was put back has a new node, which the rule closes; without udev it is root's anyway.
        self.close()
    }

    /// The `authorized` switch of the USB device behind a node.
    fn usb_switch(&self, node: &str) -> Option<PathBuf> {
        let device = self.tablet.path(CLASS_DIR).join(node).join("device");
        let device = fs::canonicalize(device).ok()?;
        device
            .ancestors()
            .find(|dir| dir.join("idVendor").exists() && dir.join("authorized").exists())
            .map(|dir| dir.join("authorized"))
    }

    fn open_again(&self) -> Result<(), EnforceError> {
        let remembered = self.tablet.previous().recall(REMEMBERED)?;
        let rule = self.is_rule_in_place()?;
        for node in self.nodes()? {
            let key = format!("{REMEMBERED}{node}");
            let before = remembered.get(&key).cloned().flatten();
            if self.is_open(&node)? == Some(false) && (rule || before.is_some()) {
                let path = self.node_path(&node);
                let (mode, uid, gid) = before
                    .as_deref()
                    .and_then(parse_access)
                    .unwrap_or_else(|| (USUAL_MODE, 0, self.usual_group()));
                set_access(&path, mode, uid, gid)
                    .map_err(|e| EnforceError::failed(format!("open `{}`", path.display()), e))?;
            }
        }
        for key in remembered.keys() {
            self.tablet.previous().forget(key)?;
        }
        Ok(())
    }

    fn usual_group(&self) -> u32 {
        let groups = self.tablet.read("/etc/group").ok().flatten();
        let found = groups.as_deref().and_then(|groups| {
            let line = groups
                .lines()
                .find(|line| line.split(':').next() == Some(USUAL_GROUP))?;
            line.split(':').nth(2)?.parse().ok()
        });
        found.unwrap_or(0)
    }

    fn let_new_on(&self) -> Result<(), EnforceError> {
        self.tablet.remove(RULE_PATH)?;
        self.reload_rules()?;
        if self.tablet.has_udev() {
            // Gives the cameras back to whoever sits at the tablet.
            let act = [
                "trigger",
                "--subsystem-match=video4linux",
                "--action=change",
            ];
            self.tablet.run("udevadm", &act, &[])?;
        }
        Ok(())
    }

    fn reload_rules(&self) -> Result<(), EnforceError> {
        if self.tablet.has_udev() {
            self.tablet.run("udevadm", &["control", "--reload"], &[])?;
        }
        Ok(())
    }
}

impl Enforcer<Camera> for CameraEnforcer {
    fn observe(&mut self) -> Result<CameraObserved, EnforceError> {
        Ok(CameraObserved {
            new_cameras_off: self.is_rule_in_place()?,
            cameras: Reading::from(self.seen()),
        })
    }

    fn apply(&mut self, change: &CameraChange) -> Result<(), EnforceError> {
        match change {
            CameraChange::KeepNewOff => self.keep_new_off(),
            CameraChange::Close => self.close(),
            CameraChange::EndUse => self.end_use(),
            CameraChange::OpenAgain => self.open_again(),
            CameraChange::LetNewOn => self.let_new_on(),
            CameraChange::Unread(unread) => Err(unread.into()),
        }
    }

    fn release(&mut self) -> Result<(), EnforceError> {
        if self.tablet.exists(CLASS_DIR) {
            self.open_again()?;
        }
        if self.tablet.exists(RULE_PATH) {
            self.let_new_on()?;
        }
        Ok(())
    }
}

fn parse_access(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split(':');
    let mode = u32::from_str_radix(parts.next()?, 8).ok()?;
    Some((
        mode,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    ))
}

fn set_access(path: &Path, mode: u32, uid: u32, gid: u32) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        rustix::fs::chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::control::camera::CameraWish;
    use crate::control::{Control, Unread};

    fn tablet_with_camera() -> (tempfile::TempDir, CameraEnforcer) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("sys/class/video4linux/video0")).unwrap();
        fs::create_dir_all(root.path().join("dev")).unwrap();
        let node = root.path().join("dev/video0");
        fs::write(&node, "").unwrap();
        fs::set_permissions(&node, fs::Permissions::from_mode(0o660)).unwrap();
        let enforcer = CameraEnforcer::new(&Paths::new(root.path()));
        (root, enforcer)
    }

    fn hold(enforcer: &mut CameraEnforcer, wish: CameraWish) -> Vec<CameraChange> {
        let observed = enforcer.observe().unwrap();
        for change in Camera::diff(&wish, &observed) {
            enforcer.apply(&change).unwrap();
        }
        Camera::diff(&wish, &enforcer.observe().unwrap())
    }

    fn mode(root: &Path) -> u32 {
        fs::metadata(root.join("dev/video0")).unwrap().mode() & 0o777
    }

    #[test]
    fn a_camera_is_closed_for_good_and_opened_again_as_it_was() {
        let (root, mut enforcer) = tablet_with_camera();
        assert_eq!(hold(&mut enforcer, CameraWish::Off), []);
        assert_eq!(mode(root.path()), 0);
        assert!(root.path().join(&RULE_PATH[1..]).exists());
        assert_eq!(hold(&mut enforcer, CameraWish::On), []);
        assert_eq!(mode(root.path()), 0o660);
        assert!(!root.path().join(&RULE_PATH[1..]).exists());
    }

    #[test]
    fn a_camera_opened_behind_our_back_is_found_and_closed() {
        let (root, mut enforcer) = tablet_with_camera();
        hold(&mut enforcer, CameraWish::Off);
        let node = root.path().join("dev/video0");
        fs::set_permissions(&node, fs::Permissions::from_mode(0o666)).unwrap();
        let observed = enforcer.observe().unwrap();
        assert_eq!(
            Camera::diff(&CameraWish::Off, &observed),
            [CameraChange::Close]
        );
        assert_eq!(hold(&mut enforcer, CameraWish::Off), []);
        enforcer.release().unwrap();
        assert_eq!(mode(root.path()), 0o660, "the mode before the first change");
    }

    #[test]
    fn a_tablet_without_a_camera_holds_the_rule_for_one_to_come() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("sys/class")).unwrap();
        let mut enforcer = CameraEnforcer::new(&Paths::new(root.path()));
        assert_eq!(hold(&mut enforcer, CameraWish::Off), []);
    }

    #[test]
    fn beneath_a_confined_root_without_devices_the_camera_reads_unsupported() {
        let root = tempfile::tempdir().unwrap();
        let mut enforcer = CameraEnforcer::new(&Paths::new(root.path()));
        let observed = enforcer.observe().unwrap();
        assert_eq!(
            observed.cameras,
            Reading::Unread(Unread::Unsupported(
                "the camera is not available in a confined root".to_owned()
            ))
        );
        enforcer.release().unwrap();
    }
}
