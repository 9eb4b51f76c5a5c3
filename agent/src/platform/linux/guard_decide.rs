//! One event from question to answer; the same for the worker and for the guardian that finishes a dead worker's events.

use super::fanotify::{ExecGate, IsAllowed};
use super::guard_facts::{
    EventFile, ReadLease, arguments_of, call_of, identity_of, is_single_threaded, leads_for_good,
    path_of, program_of, program_path_of, uid_of,
};
use super::guard_shared::Shared;
use crate::decision::cache::may_keep;
use crate::decision::failure::{Action, Failure};
use crate::decision::inventory::Identity;
use crate::decision::rules::{Class, Rules, is_loader};
use crate::decision::ticket::Ticket;
use crate::decision::verdict::{
    Allow, Deny, FileFacts, Script, Subject, Verdict, judge, judge_for_everyone,
};
use nestwarden_policy_schema::policy::Mode;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub(super) struct Decider<'a> {
    pub(super) gate: &'a ExecGate,
    pub(super) shared: &'static Shared,
    pub(super) rules: &'a Rules,
    pub(super) mode: Mode,
    pub(super) root_dir: &'a Path,
}

/// The file of an event.
struct Read<'a> {
    door: EventFile<'a>,
    facts: FileFacts,
    /// Somebody had it open for writing since it was decided last.
    is_suspect: bool,
}

struct Decided<'a> {
    verdict: Verdict,
    facts: Option<FileFacts>,
    /// Held from before the file is looked at until the decision is kept, so that nobody writes to it meanwhile. Letting it
    /// go takes the kernel as long as much of the rest, and whoever asked need not wait for that.
    lease: Option<ReadLease<'a>>,
}

impl Decided<'_> {
    fn without_facts(verdict: Verdict) -> Self {
        Self {
            verdict,
            facts: None,
            lease: None,
        }
    }
}

/// What the kernel asks about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Whether it may start.
    Start,
    /// Whether it may be opened, which every start is as well.
    Opening,
}

/// What was answered, for the report.
pub(super) struct Answered {
    pub(super) verdict: Verdict,
    pub(super) path: Option<PathBuf>,
}

impl Decider<'_> {
    /// Decides and answers. `thread`: who asks, where known. `license`: told when a script's interpreter got its licence;
    /// `None` where it got one before, for the thread may have been answered and be in another call by now.
    pub(super) fn answer(
        &self,
        file: &File,
        asked: Asked,
        thread: Option<i32>,
        license: Option<&dyn Fn()>,
    ) -> Answered {
        let beat = || self.shared.beat();
        let Decided {
            verdict,
            facts,
            lease,
        } = self
            .decide(file, asked, thread, license, &beat)
            .unwrap_or_else(|failure| Decided::without_facts(Verdict::Failed(failure)));
        if let Verdict::Failed(failure) = verdict {
            self.shared.count(failure);
        }
        let denies = match verdict {
            Verdict::Allow(_) => false,
            Verdict::Deny(_) => true,
            Verdict::Failed(failure) => failure.action() == Action::Deny,
        };
        let is_allowed = if denies && self.mode == Mode::Enforce {
            IsAllowed::No
        } else {
            IsAllowed::Yes
        };
        // Nobody waits for an answer that cannot be given any more: the only refusal is that the event is gone.
        let _ = self.gate.answer(file.as_fd(), is_allowed);
        // Whoever asked goes on meanwhile.
        if let (Some(facts), Some(lease)) = (&facts, lease)
            && self.mode == Mode::Enforce
            && may_keep(&verdict, facts)
        {
            self.keep(file, facts, &lease);
        }
        if asked == Asked::Start
            && let Some(thread) = thread
            && facts.is_some_and(|facts| self.is_interpreter(&facts))
        {
            self.shared.spend(thread);
        }
        self.shared.count_decided();
        let path = if verdict.is_allowed() {
            None
        } else {
            path_of(file.as_fd())
        };
        Answered { verdict, path }
    }

    /// Somebody had a kept file open for writing and closed it.
    pub(super) fn doubt(&self, file: &File) {
        if let Ok(metadata) = file.metadata() {
            self.shared.suspect(metadata.ino());
        }
        let _ = self.gate.unkeep(file.as_fd());
    }

    fn decide<'f>(
        &'f self,
        file: &'f File,
        asked: Asked,
        thread: Option<i32>,
        license: Option<&dyn Fn()>,
        beat: &'f dyn Fn(),
    ) -> Result<Decided<'f>, Failure> {
        let read = match self.read(file, beat) {
            Ok(mut read) => {
                if let Some(allow) = judge_for_everyone(self.rules, &read.facts, &mut read.door) {
                    return Ok(Decided {
                        verdict: Verdict::Allow(allow),
                        facts: Some(read.facts),
                        lease: read.door.hand_over_lease(),
                    });
                }
                Ok(read)
            }
            failed => failed,
        };
        let thread = thread.ok_or(Failure::SubjectInvisible)?;
        let uid = uid_of(thread)?;
        if uid == 0 {
            return Ok(Decided::without_facts(Verdict::Allow(Allow::Root)));
        }
        let Read {
            mut door,
            facts,
            is_suspect,
        } = read?;
        let is_interpreter = self.is_interpreter(&facts);
        if is_interpreter && asked == Asked::Opening {
            let verdict = Self::judge_opening(thread);
            return Ok(Decided::without_facts(verdict));
        }
        if is_interpreter {
            // Never kept, and to learn who asks for it can take long.
            drop(door.hand_over_lease());
        }
        let subject = Subject {
            uid,
            program: is_interpreter.then(|| program_of(thread)).flatten(),
            is_for_packaged_script: is_interpreter && self.has_ticket(thread, &facts.identity),
        };
        let verdict = judge(self.rules, &subject, &facts, &mut door);
        if verdict.is_allowed() {
            if let Some(on_licensed) = license {
                self.issue_ticket(thread, &facts);
                on_licensed();
            }
            if is_suspect {
                self.shared.trust_again(facts.identity.ino);
            }
        }
        Ok(Decided {
            verdict,
            facts: Some(facts),
            lease: door.hand_over_lease(),
        })
    }

    fn read<'f>(&'f self, file: &'f File, beat: &'f dyn Fn()) -> Result<Read<'f>, Failure> {
        let (door, mut facts) = EventFile::read(file, self.root_dir, beat)?;
        let is_suspect = !facts.open_for_write && self.shared.is_suspect(facts.identity.ino);
        facts.open_for_write |= is_suspect;
        Ok(Read {
            door,
            facts,
            is_suspect,
        })
    }

    fn is_interpreter(&self, facts: &FileFacts) -> bool {
        let rule = self.rules.find(&facts.identity, facts.path.as_deref());
        rule.is_some_and(|rule| rule.class == Class::Interpreter)
    }

    /// Whether an interpreter may be opened by somebody: its start was asked about before, but a loader that was started
    /// by itself, and not by the kernel for another program, would run it with no start of its own.
    fn judge_opening(thread: i32) -> Verdict {
        let program = program_path_of(thread);
        let name = program.as_deref().and_then(Path::file_name);
        match name.map(|name| is_loader(&name.to_string_lossy())) {
            Some(false) => Verdict::Allow(Allow::Reading),
            Some(true) | None => Verdict::Deny(Deny::Interpreter),
        }
    }

    fn issue_ticket(&self, thread: i32, facts: &FileFacts) {
        let script = &facts.script;
        let interpreter = match script {
            Script::No => None,
            Script::Direct(path) => file_at(path),
            Script::ThroughEnv(name) => ["usr/local/bin", "usr/bin", "bin"]
                .into_iter()
                .find_map(|dir| file_at(&self.root_dir.join(dir).join(name))),
        };
        if let Some(interpreter) = interpreter
            && is_single_threaded(thread)
            && let Some((call, name)) = call_of(thread)
            && leads_for_good(&name, self.root_dir, &facts.identity)
        {
            self.shared.issue(Ticket::new(call, interpreter, script));
        }
    }

    fn has_ticket(&self, thread: i32, identity: &Identity) -> bool {
        if !self.shared.has_ticket(thread, |_| true) {
            return false;
        }
        let Some((call, _)) = call_of(thread) else {
            return false;
        };
        let interpreter = (identity.dev, identity.ino);
        self.shared.has_ticket(thread, |ticket| {
            let is_packaged = program_of(thread)
                .is_some_and(|program| self.rules.class_of_program(&program) == Some(Class::Base));
            let is_env = is_packaged
                && program_path_of(thread)
                    .is_some_and(|path| path.file_name().is_some_and(|name| name == "env"));
            let arguments = is_env.then(|| arguments_of(thread));
            ticket.licenses(interpreter, &call, arguments.as_deref())
        })
    }

    /// Nobody can write to the file as long as it is leased. Other changes either fall after the keeping, and the kernel
    /// forgets, or are seen here.
    fn keep(&self, file: &File, facts: &FileFacts, lease: &ReadLease<'_>) {
        if self.gate.keep(file.as_fd()).is_err() {
            self.shared.count(Failure::CacheRefused);
            return;
        }
        let is_same = file
            .metadata()
            .is_ok_and(|metadata| identity_of(&metadata) == facts.identity);
        if !is_same || !lease.is_undisturbed() {
            let _ = self.gate.unkeep(file.as_fd());
        }
    }
}

fn file_at(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
