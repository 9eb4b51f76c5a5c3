//! Asking the running agent over its socket.

use crate::local_api::{Answer, Request};
use crate::paths::Paths;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Sealing a large video may be in the way of an answer.
const PATIENCE: Duration = Duration::from_mins(2);
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(
        "the agent is not running: nothing listens at `{0}`; start it with `nestwarden-agent run` or its service"
    )]
    NotRunning(PathBuf),
    #[error(
        "this user may not ask the agent; ask as root or as a member of the tablet's staff group"
    )]
    NotAllowed,
    #[error("the agent did not answer")]
    Broken(#[source] std::io::Error),
    #[error("the agent's answer cannot be read; are agent and command of the same version?")]
    Unreadable(#[source] serde_json::Error),
    #[error("{message} ({code})")]
    Refused { code: String, message: String },
}

pub(super) fn agent(paths: &Paths, request: &Request) -> Result<Value, AskError> {
    let path = paths.local_socket_path();
    let mut stream = UnixStream::connect(&path).map_err(|error| {
        use std::io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
        let kind = error.kind();
        if kind == NotFound || kind == ConnectionRefused {
            AskError::NotRunning(path)
        } else if kind == PermissionDenied {
            AskError::NotAllowed
        } else {
            AskError::Broken(error)
        }
    })?;
    let line = exchange(&mut stream, request).map_err(AskError::Broken)?;
    match serde_json::from_str(&line).map_err(AskError::Unreadable)? {
        Answer::Ok(value) => Ok(value),
        Answer::Error { code, message } => Err(AskError::Refused { code, message }),
    }
}

fn exchange(stream: &mut UnixStream, request: &Request) -> std::io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_ANSWER_BYTES)).read_line(&mut line)?;
    if line.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line)
}
