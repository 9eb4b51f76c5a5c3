//! The licence of an interpreter to run: the kernel asks for a packaged script first and for its interpreter next, both
//! within one call of the same thread.

use super::verdict::Script;
use nestwarden_policy_schema::bytes::Digest;

/// One call of `execve`, as the kernel holds it while the thread waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Call {
    pub thread: i32,
    /// When the thread started, in clock ticks: thread ids come again.
    pub thread_started: u64,
    pub number: u64,
    /// Where the file name, the arguments and the environment are.
    pub pointers: [u64; 3],
    pub stack_pointer: u64,
    pub program_counter: u64,
    /// Of the file name as it was passed.
    pub file_name_digest: [u8; 32],
}

/// Lets one interpreter start once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Ticket {
    call: Call,
    /// Device and inode.
    interpreter: [u64; 2],
    through_env: u32,
}

impl Ticket {
    /// For a script that was allowed in `call` and names the file `interpreter` (device and inode).
    pub fn new(call: Call, interpreter: (u64, u64), script: &Script) -> Self {
        Self {
            call,
            interpreter: interpreter.into(),
            through_env: u32::from(matches!(script, Script::ThroughEnv(_))),
        }
    }

    pub fn thread(&self) -> i32 {
        self.call.thread
    }

    /// Whether it licenses `interpreter` (device and inode) in `call`. `env_arguments`: of what the thread runs until
    /// now, if that is `env`.
    pub fn licenses(
        &self,
        interpreter: (u64, u64),
        call: &Call,
        env_arguments: Option<&[Vec<u8>]>,
    ) -> bool {
        if self.interpreter != <[u64; 2]>::from(interpreter) {
            return false;
        }
        if self.through_env == 0 {
            return self.call == *call;
        }
        // `/usr/bin/env NAME SCRIPT …`, as the kernel laid it out: anything else is not the script that was allowed, nor is
        // an `env` that another one found under the name of an interpreter.
        let same_thread =
            self.call.thread == call.thread && self.call.thread_started == call.thread_started;
        let by_kernel = env_arguments.filter(|arguments| {
            let by = arguments.first().map_or(&[][..], Vec::as_slice);
            by.ends_with(b"/env")
        });
        let script = by_kernel.and_then(|arguments| arguments.get(2));
        same_thread && script.is_some_and(|script| digest(script) == self.call.file_name_digest)
    }
}

/// What the first line of a file names as its interpreter. `start`: the first bytes of the file.
pub fn script_of(start: &[u8]) -> Script {
    let Some(line) = start.strip_prefix(b"#!") else {
        return Script::No;
    };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or(line);
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    let interpreter = words.next().unwrap_or("");
    if !interpreter.ends_with("/env") {
        return Script::Direct(interpreter.into());
    }
    let named = words.find(|word| !word.starts_with('-') && !word.contains('='));
    Script::ThroughEnv(named.unwrap_or("").to_owned())
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Digest::sha256(bytes).0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SH: (u64, u64) = (1, 10);
    const PYTHON: (u64, u64) = (1, 11);

    #[test]
    fn the_first_line_names_the_interpreter() {
        let direct = |path: &str| Script::Direct(path.into());
        let through_env = |name: &str| Script::ThroughEnv(name.to_owned());
        assert_eq!(script_of(b"\x7fELF"), Script::No);
        assert_eq!(script_of(b"#!/bin/sh -e\necho"), direct("/bin/sh"));
        assert_eq!(script_of(b"#! /usr/bin/perl"), direct("/usr/bin/perl"));
        assert_eq!(
            script_of(b"#!/usr/bin/env python3\n"),
            through_env("python3")
        );
        assert_eq!(
            script_of(b"#!/usr/bin/env -S python3 -E\n"),
            through_env("python3")
        );
        assert_eq!(script_of(b"#!\n"), direct(""));
    }

    #[test]
    fn a_ticket_is_good_for_its_own_call_only() {
        let ticket = Ticket::new(call(), SH, &Script::Direct("/bin/sh".into()));
        assert!(ticket.licenses(SH, &call(), None));
        assert!(!ticket.licenses(PYTHON, &call(), None));
        let other_name = Call {
            file_name_digest: digest(b"/bin/sh"),
            ..call()
        };
        assert!(!ticket.licenses(SH, &other_name, None));
        let other_arguments = Call {
            pointers: [1, 9, 3],
            ..call()
        };
        assert!(!ticket.licenses(SH, &other_arguments, None));
    }

    #[test]
    fn env_must_be_running_the_script_that_was_allowed() {
        let ticket = Ticket::new(call(), PYTHON, &Script::ThroughEnv("python3".to_owned()));
        let arguments =
            |script: &str| ["/usr/bin/env", "python3", script].map(|word| word.as_bytes().to_vec());
        let later = Call {
            pointers: [7, 8, 9],
            ..call()
        };
        let (tool, evil) = (arguments("/usr/bin/tool"), arguments("/home/x/evil"));
        assert!(ticket.licenses(PYTHON, &later, Some(&tool)));
        assert!(!ticket.licenses(PYTHON, &later, Some(&evil)));
        assert!(!ticket.licenses(PYTHON, &later, None));
        let found_by_name = ["sh", "a=b", "/usr/bin/tool"].map(|word| word.as_bytes().to_vec());
        assert!(!ticket.licenses(PYTHON, &later, Some(&found_by_name)));
        let other_process = Call {
            thread_started: 77,
            ..later
        };
        assert!(!ticket.licenses(PYTHON, &other_process, Some(&tool)));
    }

    fn call() -> Call {
        Call {
            thread: 5,
            thread_started: 6,
            number: 59,
            pointers: [1, 2, 3],
            stack_pointer: 4,
            program_counter: 5,
            file_name_digest: digest(b"/usr/bin/tool"),
        }
    }
}
