//! Who this tablet is to its server: a P-256 key that never leaves it, and a certificate that is renewed in time.

pub mod enrol;
mod key;
mod pin;
mod store;

pub use key::DeviceKey;
pub(crate) use pin::OTHER_KEY;
pub use pin::{TlsError, spki_pin, tls_config};
pub use store::{Identity, IdentityStore, KeySeal, NewIdentity};

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("failed to {act} `{path}`")]
    File {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the {what} in `{path}` cannot be read: {problem}; have this tablet enrolled again")]
    Damaged {
        what: &'static str,
        path: PathBuf,
        problem: String,
    },
    #[error("failed to make a key or a certificate request: {0}")]
    Key(String),
    #[error("the server's certificate for this tablet cannot be used: {0}")]
    Certificate(String),
    #[error("the tablet's key is sealed to this machine and cannot be unsealed: {0}")]
    Sealed(String),
}
