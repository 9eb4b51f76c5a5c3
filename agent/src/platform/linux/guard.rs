//! The guard: a process of its own that answers the kernel's question whether a program may start.
//!
//! A guardian owns the kernel's queue and runs a worker that decides. Both share one table of descriptors, so when the
//! worker dies or hangs, the guardian finds every question in flight among its own descriptors, answers them, and
//! starts another worker: nothing starts unasked, and nothing waits. Should the guardian itself be ended, the kernel
//! lets waiting programs through until the agent has started another guard; then only the mount options hold.
//!
//! Architecture invariant: neither process ever starts a program or opens a file that is being asked about.

use super::apps_mounts::{mounts, open_apart, to_mark};
use super::fanotify::ExecGate;
use super::guard_decide::Decider;
use super::guard_handover::{Leaving, Seat};
use super::guard_shared::Shared;
use super::guard_wire::{InForce, Inbox, Made, Order, Word, frame};
use super::guard_worker::{answer, report_line, run};
use crate::decision::failure::Failure;
use crate::decision::rules::{Class, Rules};
use crate::paths::Paths;
use nestwarden_policy_schema::policy::Mode;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A worker that has questions before it and does not move for this long is ended.
const DEADLINE: Duration = Duration::from_secs(2);
const TICK_MS: u16 = 250;
/// Until the former guard has let its seat go.
const UNSEATED_TICK_MS: u16 = 20;
/// A guard leaves when its agent has been gone for this long, if its root is confined or the seat is another's. On a
/// tablet the one in the seat stays.
const ALONE_GRACE: Duration = Duration::from_secs(5);
const MAX_OUTBOX_BYTES: usize = 256 * 1024;
const MAX_PROGRAMS: usize = 256;
/// Files that are watched one by one.
const MAX_WATCHED_FILES: usize = 20_000;

/// The program behind `nestwarden-agent apps-guard --root DIR`: its standard input is the socket to the agent. Needs
/// root. Must be called before the process has any other thread.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let root_dir = match (args.next(), args.next(), args.next()) {
        (Some(flag), Some(root_dir), None) if flag == "--root" => PathBuf::from(root_dir),
        _ => return ExitCode::from(2),
    };
    match Guardian::prepare(&root_dir).and_then(|mut guardian| guardian.serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

struct Guardian {
    root_dir: PathBuf,
    gate: ExecGate,
    shared: &'static Shared,
    agent: UnixStream,
    agent_left_at: Option<Instant>,
    signals: SignalFd,
    mountinfo: File,
    reports: File,
    report_writer: OwnedFd,
    seat: Seat,
    /// Descriptors that are no questions.
    own: BTreeSet<RawFd>,
    inbox: Inbox,
    outbox: Vec<u8>,
    report_bytes: Vec<u8>,
    refusals: BTreeMap<(String, String, bool), u64>,
    load: Option<Load>,
    worker: Option<Worker>,
    leaving: Option<Leaving>,
    is_dismissed: bool,
}

struct Load {
    made: Made,
    rules: Rules,
    marked: Vec<PathBuf>,
    unmarked: Vec<(PathBuf, String)>,
}

struct Worker {
    pid: Pid,
    pulse: u64,
    moved_at: Instant,
}

impl Guardian {
    fn prepare(root_dir: &Path) -> io::Result<Self> {
        let root_dir = root_dir.canonicalize()?;
        ignore_lease_breaks()?;
        let mut awaited = SigSet::empty();
        awaited.add(Signal::SIGCHLD);
        awaited.add(Signal::SIGTERM);
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&awaited), None)?;
        raise_descriptor_limit();
        let agent = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        agent.set_nonblocking(true)?;
        let flags = nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK;
        let (reports, report_writer) = nix::unistd::pipe2(flags)?;
        let mut guardian = Self {
            gate: ExecGate::open()?,
            shared: Shared::map()?,
            agent,
            agent_left_at: None,
            signals: SignalFd::with_flags(
                &awaited,
                SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
            )?,
            mountinfo: File::open("/proc/self/mountinfo")?,
            reports: File::from(reports),
            report_writer,
            seat: Seat::find(&Paths::new(root_dir.clone()).run_dir())?,
            own: BTreeSet::new(),
            inbox: Inbox::default(),
            outbox: Vec::new(),
            report_bytes: Vec::new(),
            refusals: BTreeMap::new(),
            load: None,
            worker: None,
            leaving: None,
            is_dismissed: false,
            root_dir,
        };
        guardian.own = open_descriptors()?;
        Ok(guardian)
    }

    fn serve(&mut self) -> io::Result<()> {
        while !self.is_dismissed {
            self.wait()?;
            self.hear_signals();
            self.hear_agent();
            self.reap_worker()?;
            self.watch_worker();
            self.collect_reports();
            if self.leaving.is_none() {
                self.seat.take_if_free();
            }
            self.speak();
            let left_alone = self
                .agent_left_at
                .is_some_and(|left| left.elapsed() > ALONE_GRACE);
            if left_alone && (self.root_dir != Path::new("/") || !self.seat.is_taken()) {
                self.leave();
            }
            if self.has_answered_everybody() {
                break;
            }
        }
        self.end_worker();
        if !self.is_dismissed {
            self.finish_events_in_flight()?;
        }
        Ok(())
    }

    fn hear_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if signal.ssi_signo == Signal::SIGTERM as u32 {
                self.leave();
            }
        }
    }

    fn has_answered_everybody(&mut self) -> bool {
        let waiting = self.gate.waiting().ok();
        let waiting = waiting.map(|queued| queued + self.in_hand());
        let decided = self.shared.decided();
        let leaving = self.leaving.as_mut();
        leaving.is_some_and(|leaving| {
            self.load.is_none() || leaving.is_over(Instant::now(), decided, waiting)
        })
    }

    /// Questions that the worker took and did not answer yet.
    fn in_hand(&self) -> u64 {
        self.shared.with_events(|events| {
            let questions = events.iter().filter(|event| event.file().is_some());
            questions.count() as u64
        })
    }

    fn leave(&mut self) {
        if self.leaving.is_none() {
            self.seat.let_go();
            self.leaving = Some(Leaving::begin(Instant::now()));
        }
    }

    fn wait(&mut self) -> io::Result<()> {
        let mut watched = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.reports.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.mountinfo.as_fd(), PollFlags::POLLPRI),
        ];
        if self.agent_left_at.is_none() {
            let mut flags = PollFlags::POLLIN;
            flags.set(PollFlags::POLLOUT, !self.outbox.is_empty());
            watched.push(PollFd::new(self.agent.as_fd(), flags));
        }
        let tick = if self.seat.is_taken() || self.leaving.is_some() {
            TICK_MS
        } else {
            UNSEATED_TICK_MS
        };
        match poll(&mut watched, PollTimeout::from(tick)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mounts_changed = watched[2]
            .revents()
            .is_some_and(|seen| seen.intersects(PollFlags::POLLPRI | PollFlags::POLLERR));
        if mounts_changed && let Some(mut load) = self.load.take() {
            self.mark_file_systems(&mut load);
            self.load = Some(load);
            self.tell_in_force();
        }
        Ok(())
    }

    fn hear_agent(&mut self) {
        let mut chunk = [0; 8 * 1024];
        while self.agent_left_at.is_none() {
            match self.agent.read(&mut chunk) {
                Ok(0) => self.agent_left_at = Some(Instant::now()),
                Ok(count) => self.inbox.push(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.agent_left_at = Some(Instant::now()),
            }
        }
        loop {
            match self.inbox.next() {
                Ok(Some(Order::Load { made, rules })) => {
                    let rules = Rules::from_list(rules);
                    match self.load.take() {
                        None => self.load(made, rules),
                        Some(load) => self.load_what_another_brings(Load {
                            made,
                            rules,
                            ..load
                        }),
                    }
                }
                Ok(Some(Order::Leave)) => self.leave(),
                Ok(Some(Order::StandDown)) => self.is_dismissed = true,
                Ok(None) => return,
                Err(error) => {
                    // Nothing after a broken message can be understood.
                    self.agent_left_at = Some(Instant::now());
                    self.say(&Word::Failed(format!(
                        "an order could not be read: {error}"
                    )));
                    return;
                }
            }
        }
    }

    fn load(&mut self, made: Made, rules: Rules) {
        let mut load = Load {
            made,
            rules,
            marked: Vec::new(),
            unmarked: Vec::new(),
        };
        self.mark_file_systems(&mut load);
        self.load = Some(load);
        self.start_worker();
        // Only now, with a worker to answer: from here on opening such a file waits for one.
        self.watch_files();
        self.seat.relieve_former();
        self.tell_in_force();
    }

    /// What the kernel keeps for this guard is by the former rules, but it asks the other one as well.
    fn load_what_another_brings(&mut self, load: Load) {
        self.end_worker();
        self.load = Some(load);
        if self.finish_events_in_flight().is_err() {
            self.is_dismissed = true;
            return;
        }
        self.start_worker();
        self.tell_in_force();
    }

    fn mark_file_systems(&self, load: &mut Load) {
        load.marked.clear();
        load.unmarked.clear();
        let Ok(mounts) = mounts() else {
            self.shared.count(Failure::MarkRefused);
            return;
        };
        for mount in to_mark(&mounts, &self.root_dir) {
            let marked = open_apart(&mount.point, &self.root_dir)
                .and_then(|on| Ok(self.gate.mark_file_system(on.as_fd())?));
            match marked {
                Ok(()) => load.marked.push(mount.point.clone()),
                Err(error) => {
                    self.shared.count(Failure::MarkRefused);
                    load.unmarked.push((mount.point.clone(), error.to_string()));
                }
            }
        }
    }

    /// Of interpreters and of what is not approved, every opening is asked about.
    fn watch_files(&self) {
        let Some(load) = self.load.as_ref().filter(|l| l.made.mode == Mode::Enforce) else {
            return;
        };
        let of = |class| {
            let rules = load.rules.list().iter();
            rules.filter(move |rule| rule.class == class)
        };
        let watched = of(Class::Interpreter).chain(of(Class::Unapproved));
        for rule in watched.take(MAX_WATCHED_FILES) {
            if load.marked.iter().any(|point| rule.path.starts_with(point))
                && self.gate.mark_file(&rule.path).is_err()
            {
                self.shared.count(Failure::MarkRefused);
            }
        }
    }

    fn start_worker(&mut self) {
        let Some(load) = &self.load else { return };
        let guardian = Pid::this();
        match fork_sharing_descriptors() {
            Ok(Some(pid)) => {
                self.worker = Some(Worker {
                    pid,
                    pulse: self.shared.pulse(),
                    moved_at: Instant::now(),
                });
            }
            Ok(None) => {
                let decider = Decider {
                    gate: &self.gate,
                    shared: self.shared,
                    rules: &load.rules,
                    mode: load.made.mode,
                    root_dir: &self.root_dir,
                };
                let dies_with_guardian = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).is_ok();
                if dies_with_guardian && nix::unistd::getppid() == guardian {
                    run(&decider, self.report_writer.as_fd());
                }
                exit_now();
            }
            // The guardian tries again at the next tick and answers meanwhile.
            Err(_) => self.worker = None,
        }
    }

    fn end_worker(&mut self) {
        if let Some(worker) = self.worker.take() {
            let _ = kill(worker.pid, Signal::SIGKILL);
            while waitpid(worker.pid, None) == Err(Errno::EINTR) {}
        }
    }

    fn reap_worker(&mut self) -> io::Result<()> {
        if let Some(worker) = &self.worker {
            match waitpid(worker.pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => return Ok(()),
                Ok(_) | Err(_) => {
                    self.worker = None;
                    self.shared.count(Failure::WorkerLost);
                }
            }
        }
        if self.worker.is_none() && self.load.is_some() {
            self.finish_events_in_flight()?;
            self.start_worker();
            self.tell_in_force();
        }
        Ok(())
    }

    /// Answers what a dead worker left unanswered: every descriptor in the table that is not the guardian's own.
    fn finish_events_in_flight(&mut self) -> io::Result<()> {
        let Some(load) = &self.load else {
            return Ok(());
        };
        let decider = Decider {
            gate: &self.gate,
            shared: self.shared,
            rules: &load.rules,
            mode: load.made.mode,
            root_dir: &self.root_dir,
        };
        let mut lines = Vec::new();
        for number in open_descriptors()?.difference(&self.own) {
            let noted = self.shared.with_events(|events| {
                let noted = events.iter().find(|event| event.file() == Some(*number));
                noted.copied()
            });
            // Without a note it is something the worker was reading; an event always comes with one.
            match noted {
                Some(event) => {
                    let (answered, _file) = answer(&decider, &event, *number, &|| {});
                    lines.extend(answered.and_then(|it| report_line(&it, load.made.mode)));
                }
                None => close_foreign(*number),
            }
        }
        self.shared
            .with_events(|events| events.fill(super::fanotify::RawEvent::EMPTY));
        for line in lines {
            self.count_refusal(line.trim_end());
        }
        Ok(())
    }

    fn watch_worker(&mut self) {
        let in_hand = self.in_hand();
        let Some(worker) = &mut self.worker else {
            return;
        };
        let pulse = self.shared.pulse();
        let mut queue = [PollFd::new(self.gate.as_fd(), PollFlags::POLLIN)];
        let has_questions =
            in_hand > 0 || poll(&mut queue, PollTimeout::ZERO).is_ok_and(|ready| ready > 0);
        if pulse != worker.pulse || !has_questions {
            worker.pulse = pulse;
            worker.moved_at = Instant::now();
        } else if worker.moved_at.elapsed() > DEADLINE {
            // It is reaped, and its questions are answered, when the kernel says that it is gone.
            let _ = kill(worker.pid, Signal::SIGKILL);
        }
    }

    fn collect_reports(&mut self) {
        let mut chunk = [0; 16 * 1024];
        while let Ok(count @ 1..) = self.reports.read(&mut chunk) {
            self.report_bytes.extend_from_slice(&chunk[..count]);
        }
        while let Some(end) = self.report_bytes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.report_bytes.drain(..=end).collect();
            self.count_refusal(String::from_utf8_lossy(&line).trim_end());
        }
    }

    fn count_refusal(&mut self, line: &str) {
        let Ok(refusal) = serde_json::from_str::<(String, String, bool)>(line) else {
            return;
        };
        let is_full = self.refusals.len() >= MAX_PROGRAMS && !self.refusals.contains_key(&refusal);
        let refusal = if is_full {
            ("(others)".to_owned(), refusal.1, refusal.2)
        } else {
            refusal
        };
        *self.refusals.entry(refusal).or_default() += 1;
    }

    fn tell_in_force(&mut self) {
        let Some(load) = &self.load else { return };
        let failures = Failure::ALL
            .into_iter()
            .map(|failure| (failure, self.shared.counted(failure)))
            .filter(|(_, count)| *count > 0)
            .map(|(failure, count)| (failure.metric().to_owned(), count))
            .collect();
        let word = Word::InForce(InForce {
            made: load.made,
            rules: load.rules.list().len(),
            marked: load.marked.clone(),
            unmarked: load.unmarked.clone(),
            worker: self.worker.as_ref().map_or(0, |worker| worker.pid.as_raw()),
            decided: self.shared.decided(),
            failures,
        });
        self.say(&word);
    }

    fn say(&mut self, word: &Word) {
        if let Ok(bytes) = frame(word) {
            self.outbox.extend_from_slice(&bytes);
        }
    }

    /// Writes as much as the agent takes; refusals wait, counted, while it takes nothing.
    fn speak(&mut self) {
        if self.agent_left_at.is_some() {
            self.outbox.clear();
            return;
        }
        while self.outbox.len() < MAX_OUTBOX_BYTES
            && let Some(((program, reason, observed_only), count)) = self.refusals.pop_first()
        {
            self.say(&Word::Refused(super::guard_wire::Refusal {
                program,
                reason,
                observed_only,
                count,
            }));
        }
        while !self.outbox.is_empty() {
            match self.agent.write(&self.outbox) {
                Ok(count) => drop(self.outbox.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

/// Every descriptor of this process, and so of the worker.
fn open_descriptors() -> io::Result<BTreeSet<RawFd>> {
    let listed: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    // The listing's own descriptor is in it, and closed by now.
    Ok(listed
        .into_iter()
        .filter(|number| is_open(*number))
        .collect())
}

#[expect(unsafe_code, reason = "asks about a bare number")]
fn is_open(number: RawFd) -> bool {
    // SAFETY: F_GETFD changes nothing, whatever the number is.
    unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
}

#[expect(unsafe_code, reason = "closes a bare number")]
fn close_foreign(number: RawFd) {
    // SAFETY: the worker that opened it is dead, and it is none of the guardian's own.
    unsafe { libc::close(number) };
}

/// A fork whose two sides share one table of descriptors. `None` in the child.
#[expect(unsafe_code, reason = "no wrapper offers clone without a new stack")]
fn fork_sharing_descriptors() -> Result<Option<Pid>, Errno> {
    let flags = libc::CLONE_FILES | libc::SIGCHLD;
    // SAFETY: without CLONE_VM and without a stack this is a fork; the process has one thread, so the child's memory
    // is in order.
    let pid = Errno::result(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    let pid = i32::try_from(pid).map_err(|_| Errno::EOVERFLOW)?;
    Ok((pid > 0).then(|| Pid::from_raw(pid)))
}

#[expect(
    unsafe_code,
    reason = "the shared table must not be closed by destructors"
)]
fn exit_now() -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(1) }
}

/// A file is leased while it is decided; somebody who opens it for writing in that moment sends this signal.
#[expect(unsafe_code, reason = "sets a signal's disposition")]
pub(super) fn ignore_lease_breaks() -> io::Result<()> {
    use nix::sys::signal::{SigHandler, signal};
    // SAFETY: ignoring a signal runs no code.
    unsafe { signal(Signal::SIGIO, SigHandler::SigIgn) }?;
    // SAFETY: likewise.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }?;
    Ok(())
}

/// The kernel denies an event for which it cannot open a descriptor.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = getrlimit(Resource::Nofile).maximum;
    let wanted = most.map_or(65_536, |most| most.min(65_536));
    let limit = Rlimit {
        current: Some(wanted),
        maximum: most,
    };
    let _ = setrlimit(Resource::Nofile, limit);
}
