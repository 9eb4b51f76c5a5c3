//! App control on Linux: mount options, the kernel's question before every start, hidden entries, kernel settings.

use super::apps_keeper::{Keeper, own_program};
use super::apps_mounts::{self, Mount};
use super::guard_wire::{InForce, Made, Refusal};
use super::tablet::Tablet;
use super::{apps_entries, apps_inventory, apps_switches, guard_handover};
use crate::control::apps::{
    Apps, AppsChange, AppsObserved, AppsWish, GateSeen, PlaceSeen, RulesInForce,
};
use crate::control::{EnforceError, Enforcer};
use crate::decision::inventory::Inventory;
use crate::decision::rules::{Approval, Rules};
use crate::paths::Paths;
use nestwarden_policy_schema::policy::Mode;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

const PREVIOUS_OPTIONS: &str = "apps/mount/";
const PREVIOUS_BIND: &str = "apps/bind/";
const REFUSALS_WAITING: usize = 256;

/// Reads and changes which programs start.
pub struct AppsEnforcer {
    tablet: Tablet,
    guard_program: PathBuf,
    inventory: Option<Inventory>,
    keeper: Option<Keeper>,
    refusals_to: mpsc::Sender<Refusal>,
    refusals: Option<mpsc::Receiver<Refusal>>,
}

impl AppsEnforcer {
    pub fn new(paths: &Paths) -> Self {
        Self::with_guard_program(paths, own_program())
    }

    /// `guard_program` is run as `guard_program apps-guard --root DIR` and must call [`super::guard::main`].
    pub fn with_guard_program(paths: &Paths, guard_program: PathBuf) -> Self {
        // Links in the root's own path would make it another than the one the kernel names.
        let root_dir = paths.root_dir();
        let root_dir = root_dir.canonicalize().unwrap_or_else(|_| root_dir.into());
        let (refusals_to, refusals) = mpsc::channel(REFUSALS_WAITING);
        Self {
            tablet: Tablet::new(&Paths::new(root_dir)),
            guard_program,
            inventory: None,
            keeper: None,
            refusals_to,
            refusals: Some(refusals),
        }
    }

    /// What was refused, or in observe mode would have been, from now on. `None` when it was taken before.
    pub fn take_refusals(&mut self) -> Option<mpsc::Receiver<Refusal>> {
        self.refusals.take()
    }

    /// What the guard holds programs to, in its own words.
    pub fn in_force(&self) -> Option<InForce> {
        self.keeper.as_ref()?.in_force()
    }

    /// How many guards this agent has started; more than one: some ended.
    pub fn guards_started(&self) -> u64 {
        self.keeper.as_ref().map_or(0, Keeper::guards_started)
    }

    fn mounts(&self) -> Result<Vec<Mount>, EnforceError> {
        needs_root()?;
        let mounts = apps_mounts::mounts()
            .map_err(|error| EnforceError::failed("read the mounted file systems", error))?;
        if apps_mounts::to_mark(&mounts, self.root_dir()).is_empty() {
            return Err(EnforceError::Unsupported(format!(
                "app control needs a file system of its own at `{}`: beneath a confined root the machine's own stays \
                 untouched",
                self.root_dir().display()
            )));
        }
        Ok(mounts)
    }

    fn root_dir(&self) -> &Path {
        self.tablet.paths().root_dir()
    }

    /// Reads the packages and remembers what their programs contain.
    fn read_inventory(&mut self) -> Result<&Inventory, EnforceError> {
        let known = match self.inventory.take() {
            Some(known) => known,
            None => self.remembered_inventory()?,
        };
        let inventory = apps_inventory::read(self.tablet.paths(), &known);
        let inventory = match inventory {
            Ok(inventory) => inventory,
            Err(error) => {
                self.inventory = Some(known);
                return Err(error);
            }
        };
        if inventory != known {
            let text = serde_json::to_string(&inventory)
                .map_err(|error| EnforceError::Unreadable(error.to_string()))?;
            self.tablet.write_at(&self.inventory_path(), &text, 0o600)?;
        }
        Ok(self.inventory.insert(inventory))
    }

    fn remembered_inventory(&self) -> Result<Inventory, EnforceError> {
        let path = self.inventory_path();
        let failed = |error| EnforceError::failed(format!("read `{}`", path.display()), error);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                EnforceError::Unreadable(format!(
                    "`{}` cannot be read ({error}); remove it, and every program's content is taken as it is now",
                    path.display()
                ))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Inventory::default()),
            Err(error) => Err(failed(error)),
        }
    }

    fn inventory_path(&self) -> PathBuf {
        self.tablet.paths().state_dir().join("apps-inventory.json")
    }

    fn load(&mut self, approval: &Approval, mode: Mode) -> Result<(), EnforceError> {
        let inventory = self.read_inventory()?;
        let stamp = Made {
            approval: approval.digest(),
            inventory: inventory.digest(),
            mode,
        };
        let rules = Rules::compile(inventory, approval)
            .map_err(|lock_out| EnforceError::Unreadable(lock_out.to_string()))?;
        let keeper = self.keeper.get_or_insert_with(|| {
            Keeper::new(
                &self.guard_program,
                self.tablet.paths().root_dir(),
                self.refusals_to.clone(),
            )
        });
        keeper.load(stamp, rules.list())
    }

    /// Where programs start unasked although the rules are in force.
    fn unguarded(&self, mounts: &[Mount], in_force: Option<&InForce>) -> Vec<String> {
        let Some(in_force) = in_force else {
            return Vec::new();
        };
        let asked = apps_mounts::to_mark(mounts, self.root_dir());
        let unasked = asked.into_iter().filter(|mount| {
            !in_force.marked.contains(&mount.point) && !mount.options.iter().any(|o| o == "noexec")
        });
        unasked
            .map(|mount| {
                let reason = in_force.unmarked.iter().find(|(at, _)| at == &mount.point);
                let reason = reason.map_or("it appeared a moment ago", |(_, reason)| reason);
                let point = mount.point.display();
                format!(
                    "programs start unasked from `{point}` ({}): {reason}",
                    mount.kind
                )
            })
            .collect()
    }

    fn forbid_programs(&self, point: &Path) -> Result<(), EnforceError> {
        let failed = |error| {
            EnforceError::failed(
                format!("remount `{}` without programs", point.display()),
                error,
            )
        };
        if !point.starts_with(self.root_dir()) {
            return Err(Tablet::confined("a mount outside it"));
        }
        let mounts = self.mounts()?;
        let mounted = mounts.iter().rev().find(|mount| mount.point == point);
        let shown = point.display();
        if let Some(mount) = mounted {
            let name = format!("{PREVIOUS_OPTIONS}{shown}");
            let options = mount.options.join(",");
            self.tablet.previous().remember(&name, Some(&options))?;
        } else {
            self.tablet
                .needs_machine("mounting a directory on itself")?;
            let name = format!("{PREVIOUS_BIND}{shown}");
            self.tablet.previous().remember(&name, None)?;
            apps_mounts::mount_on_itself(point).map_err(failed)?;
        }
        apps_mounts::forbid_programs(point).map_err(failed)
    }

    fn restore_mounts(&self) -> Result<(), EnforceError> {
        let previous = self.tablet.previous();
        let mounts = apps_mounts::mounts()
            .map_err(|error| EnforceError::failed("read the mounted file systems", error))?;
        let is_mounted = |point: &str| mounts.iter().any(|m| m.point == Path::new(point));
        for (name, options) in previous.recall(PREVIOUS_OPTIONS)? {
            let point = name.trim_start_matches(PREVIOUS_OPTIONS);
            if let Some(options) = options.filter(|_| is_mounted(point)) {
                apps_mounts::restore_options(Path::new(point), &options).map_err(|error| {
                    EnforceError::failed(format!("restore the options of `{point}`"), error)
                })?;
            }
            previous.forget(&name)?;
        }
        for name in previous.recall(PREVIOUS_BIND)?.into_keys() {
            let point = name.trim_start_matches(PREVIOUS_BIND);
            if is_mounted(point) {
                apps_mounts::unmount(Path::new(point))
                    .map_err(|error| EnforceError::failed(format!("unmount `{point}`"), error))?;
            }
            previous.forget(&name)?;
        }
        Ok(())
    }
}

impl Enforcer<Apps> for AppsEnforcer {
    fn observe(&mut self) -> Result<AppsObserved, EnforceError> {
        let mounts = self.mounts()?;
        let in_force = self.in_force();
        let unguarded = self.unguarded(&mounts, in_force.as_ref());
        let is_whole_machine = self.tablet.is_whole_machine();
        let places = apps_mounts::writable(&mounts, self.root_dir())
            .into_iter()
            // Beneath a confined root nothing is mounted that was not.
            .filter(|place| place.is_mounted || is_whole_machine)
            .map(|place| PlaceSeen {
                path: place.point.to_string_lossy().into_owned(),
                runs_programs: place.runs_programs,
            })
            .collect();
        let tablet = self.tablet.clone();
        let inventory = self.read_inventory()?;
        Ok(AppsObserved {
            gate: GateSeen {
                in_force: in_force.map(|now| RulesInForce {
                    approval: now.made.approval,
                    inventory: now.made.inventory,
                    mode: now.made.mode,
                }),
                inventory: inventory.digest(),
                unguarded,
            },
            places,
            entries: apps_entries::read(&tablet, inventory)?,
            switches: apps_switches::read(&tablet),
        })
    }

    fn apply(&mut self, change: &AppsChange) -> Result<(), EnforceError> {
        self.mounts()?;
        match change {
            AppsChange::RefuseUnapproved(approval) => self.load(approval, Mode::Enforce),
            AppsChange::ForbidPrograms { path } => self.forbid_programs(Path::new(path)),
            AppsChange::SetSwitch(switch) => apps_switches::set(&self.tablet, *switch),
            AppsChange::HideEntries(names) => names
                .iter()
                .try_for_each(|name| apps_entries::hide(&self.tablet, name)),
            AppsChange::ShowEntries(names) => names
                .iter()
                .try_for_each(|name| apps_entries::show(&self.tablet, name)),
            AppsChange::Unread { unread, .. } => Err(unread.into()),
        }
    }

    /// In observe mode starts the guard so that it lets everything through and says what it would have refused.
    fn watch(&mut self, desired: &AppsWish) -> Result<(), EnforceError> {
        match desired.mode {
            Mode::Enforce => Ok(()),
            Mode::Observe => {
                self.mounts()?;
                let wanted = Made {
                    approval: desired.approval.digest(),
                    inventory: self.read_inventory()?.digest(),
                    mode: Mode::Observe,
                };
                if self.in_force().map(|now| now.made) == Some(wanted) {
                    return Ok(());
                }
                self.load(&desired.approval, Mode::Observe)
            }
        }
    }

    fn release(&mut self) -> Result<(), EnforceError> {
        match self.keeper.take() {
            Some(keeper) => keeper.dismiss(),
            // One may stand there from an agent before this one.
            None => guard_handover::dismiss(&self.tablet.paths().run_dir())
                .map_err(|error| EnforceError::failed("end the guard of app control", error))?,
        }
        apps_entries::show_all(&self.tablet)?;
        if rustix::process::geteuid().is_root() {
            self.restore_mounts()?;
        }
        apps_switches::restore_all(&self.tablet)
    }
}

fn needs_root() -> Result<(), EnforceError> {
    const CAP_SYS_ADMIN: u32 = 21;
    let status = std::fs::read_to_string("/proc/self/status")
        .map_err(|error| EnforceError::failed("read the agent's privileges", error))?;
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .unwrap_or(0);
    if rustix::process::geteuid().is_root() && effective & (1 << CAP_SYS_ADMIN) != 0 {
        Ok(())
    } else {
        Err(EnforceError::Unsupported(
            "needs to run as root: only root may ask the kernel to wait before programs start"
                .to_owned(),
        ))
    }
}
