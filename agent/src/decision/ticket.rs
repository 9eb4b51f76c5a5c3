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
    interpreter_digest: [u8; 32],
    through_env: u32,
}

impl Ticket {
    /// For a script that was allowed in `call`; `None` where the file is no script.
    pub fn for_script(script: &Script, call: Call) -> Option<Self> {
        let (interpreter, through_env) = match script {
            Script::No => return None,
            Script::Direct(name) => (name, 0),
            Script::ThroughEnv(name) => (name, 1),
        };
        Some(Self {
            call,
            interpreter_digest: digest(interpreter.as_bytes()),
            through_env,
        })
    }

    pub fn thread(&self) -> i32 {
        self.call.thread
    }

    /// Whether it licenses `interpreter` (a file name) in `call`. `arguments`: of what the thread runs until now, and
    /// `is_env`: that this is `env`.
    pub fn licenses(
        &self,
        interpreter: &str,
        call: &Call,
        arguments: &[Vec<u8>],
        is_env: bool,
    ) -> bool {
        if self.interpreter_digest != digest(interpreter.as_bytes()) {
            return false;
        }
        if self.through_env == 0 {
            return self.call == *call;
        }
        // `env NAME SCRIPT …`, as the kernel laid it out: anything else is not the script that was allowed.
        let same_thread =
            self.call.thread == call.thread && self.call.thread_started == call.thread_started;
        let names_script = arguments
            .get(2)
            .is_some_and(|script| digest(script) == self.call.file_name_digest);
        same_thread && is_env && names_script
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
    let interpreter = file_name(words.next().unwrap_or(""));
    if interpreter != "env" {
        return Script::Direct(interpreter);
    }
    let named = words.find(|word| !word.starts_with('-') && !word.contains('='));
    Script::ThroughEnv(file_name(named.unwrap_or("")))
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Digest::sha256(bytes).0
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot set up must fail")]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_interpreter() {
        let direct = |name: &str| Script::Direct(name.to_owned());
        let through_env = |name: &str| Script::ThroughEnv(name.to_owned());
        assert_eq!(script_of(b"\x7fELF"), Script::No);
        assert_eq!(script_of(b"#!/bin/sh -e\necho"), direct("sh"));
        assert_eq!(script_of(b"#! /usr/bin/perl"), direct("perl"));
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
        let ticket = Ticket::for_script(&Script::Direct("sh".to_owned()), call()).unwrap();
        assert!(ticket.licenses("sh", &call(), &[], false));
        assert!(!ticket.licenses("python3", &call(), &[], false));
        let other_name = Call {
            file_name_digest: digest(b"/bin/sh"),
            ..call()
        };
        assert!(!ticket.licenses("sh", &other_name, &[], false));
        let other_arguments = Call {
            pointers: [1, 9, 3],
            ..call()
        };
        assert!(!ticket.licenses("sh", &other_arguments, &[], false));
    }

    #[test]
    fn env_must_be_running_the_script_that_was_allowed() {
        let ticket = Ticket::for_script(&Script::ThroughEnv("python3".to_owned()), call()).unwrap();
        let arguments =
            |script: &str| ["env", "python3", script].map(|word| word.as_bytes().to_vec());
        let later = Call {
            pointers: [7, 8, 9],
            ..call()
        };
        assert!(ticket.licenses("python3", &later, &arguments("/usr/bin/tool"), true));
        assert!(!ticket.licenses("python3", &later, &arguments("/home/x/evil"), true));
        assert!(!ticket.licenses("python3", &later, &arguments("/usr/bin/tool"), false));
        let other_process = Call {
            thread_started: 77,
            ..later
        };
        assert!(!ticket.licenses("python3", &other_process, &arguments("/usr/bin/tool"), true));
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
