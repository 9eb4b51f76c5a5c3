//! Whether one program may start for one person.

use super::failure::Failure;
use super::inventory::Identity;
use super::rules::{Class, Rules};
use nestwarden_policy_schema::bytes::Digest;
use std::path::{Path, PathBuf};

/// Accounts of people begin here on every Linux distribution we support.
const FIRST_STAFF_UID: u32 = 1000;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The effective user, as the machine's own user namespace counts.
    pub uid: u32,
    /// What the process runs until now.
    pub program: Option<Identity>,
    /// The kernel is starting this file as the interpreter of a packaged script, in the same call.
    pub is_for_packaged_script: bool,
}

/// What a script names as its interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    No,
    /// Path of the interpreter.
    Direct(PathBuf),
    /// `env` looks the interpreter up by this name.
    ThroughEnv(String),
}

/// What is to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    pub identity: Identity,
    /// Where it is, if that path leads to it in the guard's own view; in another mount namespace a path says nothing.
    pub path: Option<PathBuf>,
    /// Somebody has it open for writing, or mapped; true as well where that cannot be told.
    pub open_for_write: bool,
    pub script: Script,
}

/// What takes time to find out and is asked only where it matters.
pub trait FileDoor {
    /// Whether `path` leads to the file, and no unprivileged user can write to it or put another in its place.
    fn is_guarded(&mut self, path: &Path) -> bool;

    fn content(&mut self) -> Result<Digest, Failure>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allow {
    Root,
    Base,
    App,
    /// An interpreter for a service of the system.
    SystemAccount,
    /// An interpreter for a script of the base or an approved package.
    PackagedScript,
    /// An interpreter for an approved app.
    StartedByApp,
    /// An interpreter for another one that was itself allowed.
    StartedByScript,
    /// An interpreter is opened by what does not run it, or after its start was allowed.
    Reading,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deny {
    NotPackaged,
    NotApproved,
    UnprivilegedWritable,
    Changed,
    Interpreter,
}

impl Deny {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotPackaged => "belongs to no package",
            Self::NotApproved => "its package is not approved",
            Self::UnprivilegedWritable => "people without privilege can change it",
            Self::Changed => "it is not what its package installed",
            Self::Interpreter => "interpreters run only for packaged scripts and approved apps",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allow(Allow),
    Deny(Deny),
    Failed(Failure),
}

impl Verdict {
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }
}

/// What may start whoever asks, found out without asking who does: that takes longer than all the rest. `None` where it
/// matters, and for what [`judge`] refuses.
pub fn judge_for_everyone(
    rules: &Rules,
    file: &FileFacts,
    door: &mut dyn FileDoor,
) -> Option<Allow> {
    let rule = rules.find(&file.identity, file.path.as_deref())?;
    let allow = match rule.class {
        Class::Base => Allow::Base,
        Class::App | Class::Launcher => Allow::App,
        Class::Interpreter | Class::Unapproved => return None,
    };
    // A script's start licenses its interpreter for who asks.
    let is_plain =
        rule.identity == file.identity && !file.open_for_write && file.script == Script::No;
    (is_plain && door.is_guarded(&rule.path)).then_some(allow)
}

pub fn judge(
    rules: &Rules,
    subject: &Subject,
    file: &FileFacts,
    door: &mut dyn FileDoor,
) -> Verdict {
    if subject.uid == 0 {
        return Verdict::Allow(Allow::Root);
    }
    let Some(rule) = rules.find(&file.identity, file.path.as_deref()) else {
        return Verdict::Deny(Deny::NotPackaged);
    };
    if rule.class == Class::Unapproved {
        return Verdict::Deny(Deny::NotApproved);
    }
    if !door.is_guarded(&rule.path) {
        return Verdict::Deny(Deny::UnprivilegedWritable);
    }
    if rule.identity != file.identity || file.open_for_write {
        match door.content() {
            Ok(content) if content == rule.sha256 => {}
            Ok(_) => return Verdict::Deny(Deny::Changed),
            Err(failure) => return Verdict::Failed(failure),
        }
    }
    match rule.class {
        Class::Base => Verdict::Allow(Allow::Base),
        Class::App | Class::Launcher => Verdict::Allow(Allow::App),
        Class::Interpreter => judge_interpreter(rules, subject),
        Class::Unapproved => Verdict::Deny(Deny::NotApproved),
    }
}

fn judge_interpreter(rules: &Rules, subject: &Subject) -> Verdict {
    if subject.uid < FIRST_STAFF_UID {
        return Verdict::Allow(Allow::SystemAccount);
    }
    if subject.is_for_packaged_script {
        return Verdict::Allow(Allow::PackagedScript);
    }
    let program = subject.program.as_ref();
    match program.and_then(|program| rules.class_of_program(program)) {
        Some(Class::App) => Verdict::Allow(Allow::StartedByApp),
        // It could only start under one of these reasons itself.
        Some(Class::Interpreter) => Verdict::Allow(Allow::StartedByScript),
        Some(Class::Base | Class::Launcher | Class::Unapproved) | None => {
            Verdict::Deny(Deny::Interpreter)
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::decision::rules::Rule;

    #[test]
    fn root_is_not_judged() {
        assert_eq!(
            judge(&Rules::default(), &uid(0), &file(), &mut guarded()),
            Verdict::Allow(Allow::Root)
        );
    }

    #[test]
    fn what_no_package_brought_does_not_run() {
        assert_eq!(
            judge(&Rules::default(), &uid(1000), &file(), &mut guarded()),
            Verdict::Deny(Deny::NotPackaged)
        );
    }

    #[test]
    fn an_unapproved_package_does_not_run() {
        assert_eq!(
            verdict_for(Class::Unapproved, &uid(1000), &file(), &mut guarded()),
            Verdict::Deny(Deny::NotApproved)
        );
    }

    #[test]
    fn an_approved_file_that_users_can_write_does_not_run() {
        let mut door = Door {
            guarded: false,
            ..guarded()
        };
        assert_eq!(
            verdict_for(Class::App, &uid(1000), &file(), &mut door),
            Verdict::Deny(Deny::UnprivilegedWritable)
        );
    }

    #[test]
    fn a_rewritten_file_runs_only_with_the_content_its_package_installed() {
        let mut rewritten = file();
        rewritten.identity.ctime_ns += 1;
        let mut door = guarded();
        assert_eq!(
            verdict_for(Class::App, &uid(1000), &rewritten, &mut door),
            Verdict::Allow(Allow::App)
        );
        door.content = Ok(Digest::sha256(b"other"));
        assert_eq!(
            verdict_for(Class::App, &uid(1000), &rewritten, &mut door),
            Verdict::Deny(Deny::Changed)
        );
        door.content = Err(Failure::ContentUnreadable);
        assert_eq!(
            verdict_for(Class::App, &uid(1000), &rewritten, &mut door),
            Verdict::Failed(Failure::ContentUnreadable)
        );
    }

    #[test]
    fn a_file_open_for_writing_is_read_whatever_its_times_say() {
        let open = FileFacts {
            open_for_write: true,
            ..file()
        };
        let mut door = Door {
            content: Ok(Digest::sha256(b"stored through a mapping")),
            ..guarded()
        };
        assert_eq!(
            verdict_for(Class::App, &uid(1000), &open, &mut door),
            Verdict::Deny(Deny::Changed)
        );
    }

    #[test]
    fn a_file_put_over_an_approved_path_is_judged_by_its_content() {
        let mut renamed_over = file();
        renamed_over.identity.ino = 99;
        renamed_over.path = Some("/usr/bin/app".into());
        let mut door = Door {
            content: Ok(Digest::sha256(b"other")),
            ..guarded()
        };
        assert_eq!(
            verdict_for(Class::App, &uid(1000), &renamed_over, &mut door),
            Verdict::Deny(Deny::Changed)
        );
    }

    #[test]
    fn an_interpreter_is_refused_to_staff_and_not_to_services() {
        let class = Class::Interpreter;
        assert_eq!(
            verdict_for(class, &uid(1000), &file(), &mut guarded()),
            Verdict::Deny(Deny::Interpreter)
        );
        assert_eq!(
            verdict_for(class, &uid(33), &file(), &mut guarded()),
            Verdict::Allow(Allow::SystemAccount)
        );
        let for_script = Subject {
            is_for_packaged_script: true,
            ..uid(1000)
        };
        assert_eq!(
            verdict_for(class, &for_script, &file(), &mut guarded()),
            Verdict::Allow(Allow::PackagedScript)
        );
    }

    #[test]
    fn what_may_start_for_everyone_may_start_for_each() {
        let may = |class, file: &FileFacts, is_guarded| {
            let rules = Rules::from_list(vec![rule(class)]);
            let mut door = Door {
                guarded: is_guarded,
                content: Ok(Digest::sha256(b"app")),
            };
            let for_everyone = judge_for_everyone(&rules, file, &mut door);
            if let Some(allow) = for_everyone {
                let staff = judge(&rules, &uid(1000), file, &mut door);
                assert_eq!(staff, Verdict::Allow(allow));
                assert!(judge(&rules, &uid(0), file, &mut door).is_allowed());
            }
            for_everyone
        };
        assert_eq!(may(Class::Base, &file(), true), Some(Allow::Base));
        assert_eq!(may(Class::App, &file(), true), Some(Allow::App));
        assert_eq!(may(Class::Launcher, &file(), true), Some(Allow::App));
        assert_eq!(may(Class::Interpreter, &file(), true), None);
        assert_eq!(may(Class::Unapproved, &file(), true), None);
        assert_eq!(may(Class::App, &file(), false), None);
        let script = FileFacts {
            script: Script::Direct("/bin/sh".into()),
            ..file()
        };
        assert_eq!(may(Class::App, &script, true), None);
        let open = FileFacts {
            open_for_write: true,
            ..file()
        };
        assert_eq!(may(Class::App, &open, true), None);
        let mut changed = file();
        changed.identity.ctime_ns += 1;
        assert_eq!(may(Class::App, &changed, true), None);
        assert_eq!(
            judge_for_everyone(&Rules::from_list(vec![]), &file(), &mut guarded()),
            None
        );
    }

    #[test]
    fn nothing_is_read_whole_to_tell_what_may_start_for_everyone() {
        struct Unread;
        impl FileDoor for Unread {
            fn is_guarded(&mut self, _path: &Path) -> bool {
                true
            }
            fn content(&mut self) -> Result<Digest, Failure> {
                panic!("root would wait for it")
            }
        }
        let mut changed = file();
        changed.identity.mtime_ns += 1;
        let rules = Rules::from_list(vec![rule(Class::App)]);
        assert_eq!(judge_for_everyone(&rules, &changed, &mut Unread), None);
    }

    #[test]
    fn an_approved_app_may_start_an_interpreter_and_a_launcher_may_not() {
        let program = Identity {
            ino: 50,
            ..file().identity
        };
        let asked_by = |class| {
            let mut interpreter = rule(Class::Interpreter);
            interpreter.path = "/usr/bin/dash".into();
            let mut asking = rule(class);
            asking.identity = program;
            asking.path = "/usr/bin/asking".into();
            let subject = Subject {
                program: Some(program),
                ..uid(1000)
            };
            let rules = Rules::from_list(vec![interpreter, asking]);
            judge(&rules, &subject, &file(), &mut guarded())
        };
        assert_eq!(asked_by(Class::App), Verdict::Allow(Allow::StartedByApp));
        assert_eq!(
            asked_by(Class::Interpreter),
            Verdict::Allow(Allow::StartedByScript)
        );
        assert_eq!(asked_by(Class::Launcher), Verdict::Deny(Deny::Interpreter));
        assert_eq!(asked_by(Class::Base), Verdict::Deny(Deny::Interpreter));
    }

    struct Door {
        guarded: bool,
        content: Result<Digest, Failure>,
    }

    impl FileDoor for Door {
        fn is_guarded(&mut self, _path: &Path) -> bool {
            self.guarded
        }

        fn content(&mut self) -> Result<Digest, Failure> {
            self.content
        }
    }

    fn guarded() -> Door {
        Door {
            guarded: true,
            content: Ok(Digest::sha256(b"app")),
        }
    }

    fn verdict_for(class: Class, subject: &Subject, file: &FileFacts, door: &mut Door) -> Verdict {
        judge(&Rules::from_list(vec![rule(class)]), subject, file, door)
    }

    fn rule(class: Class) -> Rule {
        Rule {
            path: "/usr/bin/app".into(),
            package: "dpkg:app".to_owned(),
            class,
            identity: file().identity,
            sha256: Digest::sha256(b"app"),
        }
    }

    fn uid(uid: u32) -> Subject {
        Subject {
            uid,
            program: None,
            is_for_packaged_script: false,
        }
    }

    pub(in crate::decision) fn file() -> FileFacts {
        FileFacts {
            identity: Identity {
                dev: 1,
                ino: 2,
                size: 3,
                mtime_ns: 4,
                ctime_ns: 5,
            },
            path: None,
            open_for_write: false,
            script: Script::No,
        }
    }
}
