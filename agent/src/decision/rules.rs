//! The approved packages, compiled into rules by file.

use super::inventory::{Identity, Inventory, Package};
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::policy::AppId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Programs that run whatever they are given and so belong to no app. A name stands for every version of it
/// (`python` for `python3.11`).
const INTERPRETERS: [&str; 82] = [
    "ash",
    "awk",
    "bash",
    "beam.smp",
    "bun",
    "busybox",
    "clisp",
    "cpan",
    "csh",
    "dash",
    "debconf",
    "deno",
    "dotnet",
    "ecj",
    "elixir",
    "erl",
    "escript",
    "expect",
    "fish",
    "gawk",
    "gdb",
    "gdb-multiarch",
    "gforth",
    "gforth-fast",
    "ghci",
    "gjs",
    "gjs-console",
    "groovy",
    "gs",
    "guile",
    "idle",
    "idle-python",
    "iex",
    "ipython",
    "irb",
    "java",
    "jjs",
    "js",
    "jshell",
    "julia",
    "kotlin",
    "ksh",
    "lksh",
    "lua",
    "luajit",
    "make",
    "mawk",
    "mksh",
    "mono",
    "mono-sgen",
    "node",
    "nodejs",
    "ocaml",
    "ocamlrun",
    "octave",
    "octave-cli",
    "original-awk",
    "pdb",
    "perl",
    "php",
    "pip",
    "posh",
    "prove",
    "pydoc",
    "pypy",
    "python",
    "qjs",
    "r",
    "racket",
    "rbash",
    "rscript",
    "ruby",
    "sbcl",
    "scala",
    "sh",
    "swipl",
    "tclsh",
    "tcsh",
    "valgrind",
    "wish",
    "yash",
    "zsh",
];

/// Emulators load foreign programs as data.
const INTERPRETER_FAMILIES: [&str; 3] = ["qemu-", "wine", "box"];

/// Apps that start whatever a desktop entry says, also one written by whoever uses the tablet: their word is no reason
/// to let an interpreter run.
const LAUNCHERS: [&str; 16] = [
    "cinnamon",
    "gnome-panel",
    "gnome-session-binary",
    "gnome-shell",
    "krunner",
    "lxpanel",
    "mate-panel",
    "nautilus",
    "pcmanfm",
    "phosh",
    "plasmashell",
    "rofi",
    "thunar",
    "wofi",
    "xfce4-panel",
    "xfdesktop",
];

/// Show whoever starts them a file system of their own making, from which programs would start until it was noticed. Nobody
/// on the staff needs one: media are switched off, and desktops do without.
const MOUNTERS: [&str; 3] = ["fusermount", "fusermount3", "pmount"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Part of the base system.
    Base,
    /// Part of an approved package.
    App,
    /// Part of an approved package, and starts what others tell it to.
    Launcher,
    /// Runs whatever it is given.
    Interpreter,
    /// Installed and not approved, or nothing that staff may start.
    Unapproved,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub path: PathBuf,
    pub package: String,
    pub class: Class,
    pub identity: Identity,
    pub sha256: Digest,
}

/// What the manager decided, as the tablet's policy carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub allowed: BTreeSet<AppId>,
    pub essential: BTreeSet<AppId>,
}

/// A policy under which staff could not reach the register.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the apps policy was refused: {missing} would not open on this tablet, for no program of it is installed; install \
     it or name the app that opens the register"
)]
pub struct LockOut {
    pub missing: String,
}

impl Approval {
    pub fn digest(&self) -> Digest {
        let list = |apps: &BTreeSet<AppId>| {
            let names: Vec<_> = apps.iter().map(ToString::to_string).collect();
            names.join("\n")
        };
        let (allowed, essential) = (list(&self.allowed), list(&self.essential));
        Digest::of_parts(
            "nestwarden/apps-approval/v1",
            &[allowed.as_bytes(), essential.as_bytes()],
        )
    }

    pub fn approves(&self, package: &Package) -> bool {
        !package.user_facing
            || self.allowed.contains(&package.app)
            || self.essential.contains(&package.app)
    }
}

/// Every packaged executable with what it may do.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    list: Vec<Rule>,
    by_file: HashMap<(u64, u64), usize>,
    by_path: HashMap<PathBuf, usize>,
}

impl Rules {
    /// Refuses an approval whose essential apps could not be opened.
    pub fn compile(inventory: &Inventory, approval: &Approval) -> Result<Self, LockOut> {
        let opens = |app: &AppId| {
            inventory
                .packages
                .iter()
                .any(|package| &package.app == app && !package.executables.is_empty())
        };
        let missing: Vec<_> = approval
            .essential
            .iter()
            .filter(|app| !opens(app))
            .map(ToString::to_string)
            .collect();
        if approval.essential.is_empty() || !missing.is_empty() {
            let missing = if missing.is_empty() {
                "every essential app (none is named)".to_owned()
            } else {
                missing.join(", ")
            };
            return Err(LockOut { missing });
        }
        let rules = inventory.packages.iter().flat_map(|package| {
            let approved = approval.approves(package);
            package.executables.iter().map(move |executable| Rule {
                path: executable.path.clone(),
                package: package.app.to_string(),
                class: class_of(&executable.path, approved, package.user_facing),
                identity: executable.identity,
                sha256: executable.sha256,
            })
        });
        Ok(Self::from_list(rules.collect()))
    }

    pub fn from_list(list: Vec<Rule>) -> Self {
        let mut by_file = HashMap::with_capacity(list.len());
        let mut by_path = HashMap::with_capacity(list.len());
        // A path that two packages claim keeps the stricter rule. A file that two paths lead to is approved content if one
        // of them is approved; what interprets stays an interpreter under every name.
        let by_claim = |class| match class {
            Class::Base | Class::App | Class::Launcher => 0,
            Class::Interpreter => 1,
            Class::Unapproved => 2,
        };
        let by_content = |class| match class {
            Class::Unapproved => 0,
            Class::Base | Class::App | Class::Launcher => 1,
            Class::Interpreter => 2,
        };
        let prefer = |kept: &mut usize, index: usize, rank: &dyn Fn(Class) -> u8| {
            if rank(list[index].class) > rank(list[*kept].class) {
                *kept = index;
            }
        };
        for (index, rule) in list.iter().enumerate() {
            let file = (rule.identity.dev, rule.identity.ino);
            prefer(by_file.entry(file).or_insert(index), index, &by_content);
            let path = by_path.entry(rule.path.clone()).or_insert(index);
            prefer(path, index, &by_claim);
        }
        Self {
            list,
            by_file,
            by_path,
        }
    }

    pub fn list(&self) -> &[Rule] {
        &self.list
    }

    /// The rule for a file, by the path it was confirmed to be at or by which file it is.
    pub fn find(&self, identity: &Identity, path: Option<&Path>) -> Option<&Rule> {
        let by_path = path.and_then(|path| self.by_path.get(path));
        let index = by_path.or_else(|| self.by_file.get(&(identity.dev, identity.ino)))?;
        self.list.get(*index)
    }

    /// The class of a running program, known by its exact state only.
    pub fn class_of_program(&self, identity: &Identity) -> Option<Class> {
        let rule = self.find(identity, None)?;
        (rule.identity == *identity).then_some(rule.class)
    }
}

fn class_of(path: &Path, approved: bool, user_facing: bool) -> Class {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    if !approved || MOUNTERS.contains(&name) {
        Class::Unapproved
    } else if is_interpreter(name) {
        Class::Interpreter
    } else if !user_facing {
        Class::Base
    } else if LAUNCHERS.contains(&name) {
        Class::Launcher
    } else {
        Class::App
    }
}

/// Whether a program of this file name is a dynamic loader, which runs whatever program it is given.
pub fn is_loader(file_name: &str) -> bool {
    file_name.starts_with("ld-") && file_name.contains(".so")
}

/// Whether a program of this file name runs whatever it is given.
pub fn is_interpreter(file_name: &str) -> bool {
    let lower = file_name.to_ascii_lowercase();
    let stem = lower
        .find(|c: char| c.is_ascii_digit())
        .map_or(lower.as_str(), |digit| &lower[..digit]);
    let stem = stem.strip_suffix("-static").unwrap_or(stem);
    INTERPRETERS.contains(&stem.trim_end_matches('-'))
        || INTERPRETERS.contains(&lower.as_str())
        || INTERPRETER_FAMILIES
            .iter()
            .any(|family| lower.starts_with(family))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot set up must fail")]
mod tests {
    use super::*;
    use crate::decision::inventory::Executable;

    #[test]
    fn an_approval_without_an_installed_essential_app_is_refused() {
        let inventory = Inventory {
            packages: vec![package("dpkg:chess", true, &["/usr/bin/chess"])],
        };
        let refused = Rules::compile(
            &inventory,
            &approval(&["dpkg:register"], &["dpkg:register"]),
        );
        assert_eq!(refused.unwrap_err().missing, "dpkg:register");
        assert!(Rules::compile(&inventory, &approval(&["dpkg:chess"], &[])).is_err());
    }

    #[test]
    fn the_base_needs_no_approval_and_an_app_does() {
        let inventory = Inventory {
            packages: vec![
                package("dpkg:coreutils", false, &["/usr/bin/ls"]),
                package("dpkg:chess", true, &["/usr/bin/chess"]),
                package("dpkg:register", true, &["/usr/bin/register"]),
            ],
        };
        let rules = Rules::compile(
            &inventory,
            &approval(&["dpkg:register"], &["dpkg:register"]),
        )
        .unwrap();
        let class = |path: &str| {
            let rule = rules.list().iter().find(|r| r.path == Path::new(path));
            rule.unwrap().class
        };
        assert_eq!(class("/usr/bin/ls"), Class::Base);
        assert_eq!(class("/usr/bin/register"), Class::App);
        assert_eq!(class("/usr/bin/chess"), Class::Unapproved);
    }

    #[test]
    fn an_approved_interpreter_is_still_an_interpreter() {
        assert_eq!(
            class_of(Path::new("/usr/bin/python3.11"), true, true),
            Class::Interpreter
        );
        assert_eq!(
            class_of(Path::new("/usr/bin/gnome-shell"), true, true),
            Class::Launcher
        );
    }

    #[test]
    fn what_mounts_for_its_caller_is_approved_for_nobody() {
        for name in ["/usr/bin/fusermount3", "/bin/fusermount", "/usr/bin/pmount"] {
            assert_eq!(class_of(Path::new(name), true, false), Class::Unapproved);
            assert_eq!(class_of(Path::new(name), true, true), Class::Unapproved);
        }
    }

    #[test]
    fn every_version_of_an_interpreter_is_known() {
        for name in [
            "sh",
            "dash",
            "python3",
            "python3.13",
            "perl5.36.0",
            "R",
            "bash-static",
            "guile-3.0",
            "luajit-2.1.0-beta3",
            "octave-cli-7.3.0",
            "pdb3.11",
            "lua5.4",
            "php8.2",
            "node",
            "ksh93",
            "Rscript",
            "qemu-aarch64-static",
        ] {
            assert!(is_interpreter(name), "{name}");
        }
        for name in ["ls", "firefox-esr", "shotwell", "nodm", "env", "pyroom"] {
            assert!(!is_interpreter(name), "{name}");
        }
    }

    #[test]
    fn a_path_claimed_by_two_packages_gets_the_stricter_rule() {
        for order in [[0, 1], [1, 0]] {
            let both = [
                package("dpkg:base-files", false, &["/usr/bin/x"]),
                package("dpkg:chess", true, &["/usr/bin/x"]),
                package("dpkg:register", true, &["/usr/bin/register"]),
            ];
            let inventory = Inventory {
                packages: order.iter().chain(&[2]).map(|i| both[*i].clone()).collect(),
            };
            let rules = Rules::compile(
                &inventory,
                &approval(&["dpkg:register"], &["dpkg:register"]),
            )
            .unwrap();
            let identity = both[0].executables[0].identity;
            let path = Some(Path::new("/usr/bin/x"));
            assert_eq!(
                rules.find(&identity, path).unwrap().class,
                Class::Unapproved
            );
        }
    }

    fn approval(allowed: &[&str], essential: &[&str]) -> Approval {
        let apps = |names: &[&str]| names.iter().map(|n| n.parse().unwrap()).collect();
        Approval {
            allowed: apps(allowed),
            essential: apps(essential),
        }
    }

    fn package(app: &str, user_facing: bool, paths: &[&str]) -> Package {
        Package {
            app: app.parse().unwrap(),
            version: "1".to_owned(),
            user_facing,
            executables: paths.iter().map(|path| executable(path)).collect(),
            desktop_entries: Vec::new(),
        }
    }

    fn executable(path: &str) -> Executable {
        Executable {
            path: path.into(),
            identity: Identity {
                dev: 1,
                ino: path.bytes().map(u64::from).sum(),
                size: 1,
                mtime_ns: 1,
                ctime_ns: 1,
            },
            sha256: Digest::sha256(path.as_bytes()),
        }
    }
}
