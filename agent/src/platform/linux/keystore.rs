//! Sealing a secret to this machine with `systemd-creds`: its TPM where it has one, a key in `/var/lib/systemd` besides.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

const PROGRAM: &str = "/usr/bin/systemd-creds";
const NAME: &str = "--name=nestwarden-device-key";

/// The sealed secret; `None` where this machine cannot seal, or cannot open again what it sealed.
pub(crate) fn seal(secret: &[u8]) -> Option<Vec<u8>> {
    // Not bound to measured boot: a firmware update must not cost the tablet its identity.
    let arguments = ["encrypt", NAME, "--tpm2-pcrs=", "-", "-"];
    let sealed = match run(&arguments, secret) {
        Ok(sealed) => sealed,
        Err(error) => {
            tracing::info!(%error, "the device key is not sealed: systemd-creds is not available");
            return None;
        }
    };
    match unseal(&sealed) {
        Ok(opened) if opened.as_slice() == secret => Some(sealed.to_vec()),
        Ok(_) | Err(_) => {
            tracing::warn!(
                "the device key is not sealed: systemd-creds did not open what it sealed"
            );
            None
        }
    }
}

pub(crate) fn unseal(sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    run(&["decrypt", NAME, "-", "-"], sealed).map_err(|error| error.to_string())
}

fn run(arguments: &[&str], input: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Less than a pipe holds, so this cannot block on a program that does not read.
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input)?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        Ok(Zeroizing::new(output.stdout))
    } else {
        Err(io::Error::other(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }
}
