//! Places in a tablet's record: where it ends, and what was seen there before.

use nestwarden_policy_schema::event::ChainPosition;
use nestwarden_policy_schema::generation::Generation;
use nestwarden_policy_schema::id::DeviceId;
use serde::Serialize;

/// The last event of one tablet's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    pub device: DeviceId,
    #[serde(flatten)]
    pub position: ChainPosition,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GenerationGap {
    pub device: DeviceId,
    pub after: Generation,
    pub before: Generation,
}

/// A place in a tablet's record that was seen before: `DEVICE:SEQ:HASH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    pub device: DeviceId,
    pub position: ChainPosition,
}

#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is no place in a record; write TABLET:NUMBER:HASH as `verify` printed it")]
pub struct ExpectedError(String);

impl std::str::FromStr for Expected {
    type Err = ExpectedError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (device, rest) = text.split_once(':')?;
            let (seq, hash) = rest.split_once(':')?;
            Some(Self {
                device: device.parse().ok()?,
                position: ChainPosition {
                    seq: seq.parse().ok()?,
                    hash: hash.parse().ok()?,
                },
            })
        };
        read().ok_or_else(|| ExpectedError(text.chars().take(160).collect()))
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}:{}:{}",
            self.device, self.position.seq, self.position.hash
        )
    }
}
