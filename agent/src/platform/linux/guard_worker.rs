//! The deciding process: reads events, decides, answers, and holds nothing that another could not take over.

use super::apps_mounts::without_person;
use super::fanotify::{ExecGate, RawEvent};
use super::guard_decide::{Answered, Asked, Decider};
use super::guard_shared::Shared;
use crate::decision::failure::Failure;
use crate::decision::verdict::Verdict;
use nestwarden_policy_schema::policy::Mode;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, RawFd};

/// Never returns but for the end of the process.
pub(super) fn run(decider: &Decider<'_>, reports: BorrowedFd<'_>) {
    let gate = decider.gate;
    loop {
        decider.shared.beat();
        let mut waiting = [PollFd::new(gate.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
        if !take_batch(decider, gate, reports) {
            return;
        }
    }
}

fn take_batch(decider: &Decider<'_>, gate: &ExecGate, reports: BorrowedFd<'_>) -> bool {
    let shared = decider.shared;
    let Ok(count) = shared.with_events(|events| gate.read(events)) else {
        return false;
    };
    for place in 0..count {
        let event = shared.with_events(|events| events[place]);
        if let Some(number) = event.file() {
            let (answered, file) = answer(decider, &event, number, &|| {
                shared.with_events(|events| events[place].note_licensed());
            });
            // Forgotten before it is closed: a number that comes again is another file.
            shared.with_events(|events| events[place] = RawEvent::EMPTY);
            drop(file);
            if let Some(answered) = answered {
                report(&answered, decider.mode, shared, reports);
            }
        }
        shared.beat();
    }
    true
}

/// Answers one event, and hands back its file so that it is closed last. News is acted on and needs no answer.
#[expect(unsafe_code, reason = "the kernel hands over descriptors as numbers")]
pub(super) fn answer(
    decider: &Decider<'_>,
    event: &RawEvent,
    number: RawFd,
    on_licensed: &dyn Fn(),
) -> (Option<Answered>, File) {
    // SAFETY: the kernel opened this descriptor for the event and nothing else owns it.
    let file = unsafe { File::from_raw_fd(number) };
    if event.is_news() {
        decider.doubt(&file);
        return (None, file);
    }
    let thread = if event.is_understood() {
        event.thread()
    } else {
        decider.shared.count(Failure::EventMalformed);
        None
    };
    let license = (!event.is_licensed()).then_some(on_licensed);
    let asked = if event.is_opening() {
        Asked::Opening
    } else {
        Asked::Start
    };
    (Some(decider.answer(&file, asked, thread, license)), file)
}

/// One line to the guardian; if it has no room the refusal is only counted.
pub(super) fn report(answered: &Answered, mode: Mode, shared: &Shared, reports: BorrowedFd<'_>) {
    let Some(line) = report_line(answered, mode) else {
        return;
    };
    if nix::unistd::write(reports, line.as_bytes()) != Ok(line.len()) {
        shared.count(Failure::ReportDropped);
    }
}

pub(super) fn report_line(answered: &Answered, mode: Mode) -> Option<String> {
    let reason = match answered.verdict {
        Verdict::Allow(_)
        // Whoever asked is not there any more.
        | Verdict::Failed(Failure::SubjectGone) => return None,
        Verdict::Deny(reason) => reason.as_str().to_owned(),
        Verdict::Failed(failure) => format!("could not be decided ({})", failure.metric()),
    };
    let program = answered
        .path
        .as_deref()
        .map_or_else(|| "(unnamed)".to_owned(), without_person);
    let mut line = serde_json::to_string(&(program, reason, mode == Mode::Observe)).ok()?;
    line.push('\n');
    Some(line)
}
