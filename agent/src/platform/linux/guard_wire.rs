//! What agent and guard say to each other over their socket: lengths and JSON.

use crate::decision::rules::Rule;
use nestwarden_policy_schema::bytes::Digest;
use nestwarden_policy_schema::policy::Mode;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// Rules of 200,000 files fit.
const MAX_FRAME_BYTES: usize = 64 * 1024 * 1024;

/// What rules were made from, so that whoever reads them back can tell whether they are the wanted ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub approval: Digest,
    pub inventory: Digest,
    pub mode: Mode,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// The first are the guard's own. Other rules are given to another guard; the former answers by them as well, so that
    /// both say the same for as long as there are two.
    Load { made: Made, rules: Vec<Rule> },
    /// Another guard has its rules in force.
    Leave,
    /// From here on everything starts.
    StandDown,
}

/// What the guard holds programs to now, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    pub made: Made,
    pub rules: usize,
    /// File systems on which the kernel asks.
    pub marked: Vec<PathBuf>,
    /// File systems that could not be marked, and why.
    pub unmarked: Vec<(PathBuf, String)>,
    pub worker: i32,
    pub decided: u64,
    pub failures: BTreeMap<String, u64>,
}

/// Refusals of one program for one reason, counted; nobody is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub program: String,
    pub reason: String,
    pub observed_only: bool,
    pub count: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    InForce(InForce),
    Refused(Refusal),
    /// An order could not be carried out; what was in force stays so.
    Failed(String),
}

pub(super) fn frame(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len())
        .ok()
        .filter(|_| body.len() <= MAX_FRAME_BYTES)
        .ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend_from_slice(&body);
    Ok(frame)
}

/// Bytes as they come in, cut into messages.
#[derive(Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message; `None` until it is there.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some((length, rest)) = self.bytes.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(body)?;
        self.bytes.drain(..4 + length);
        Ok(Some(message))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot set up must fail")]
mod tests {
    use super::*;

    #[test]
    fn messages_cut_anywhere_arrive_whole() {
        let words = [
            Word::Failed("one".to_owned()),
            Word::Failed("two".to_owned()),
        ];
        let bytes: Vec<u8> = words.iter().flat_map(|word| frame(word).unwrap()).collect();
        let mut inbox = Inbox::default();
        let mut heard = Vec::new();
        for byte in bytes {
            inbox.push(&[byte]);
            while let Some(Word::Failed(text)) = inbox.next().unwrap() {
                heard.push(text);
            }
        }
        assert_eq!(heard, ["one", "two"]);
    }

    #[test]
    fn an_absurd_length_is_refused() {
        let mut inbox = Inbox::default();
        inbox.push(&[0xff; 8]);
        assert!(inbox.next::<Word>().is_err());
    }
}
