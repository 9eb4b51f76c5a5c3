//! The link in the QR code: where the server is, what key it has, and the single-use token.

use crate::trust::SpkiPin;
use std::fmt;

/// `nestwarden://enrol?server=HOST:PORT&pin=HEX&token=TEXT`.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolLink {
    /// Host name or address, with port.
    pub server: String,
    pub pin: SpkiPin,
    /// 128 bits, 26 characters of Crockford's base32.
    pub token: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not an enrolment link ({0}); copy the whole link that begins with nestwarden://enrol, or scan the code again"
)]
pub struct EnrolLinkError(&'static str);

const PREFIX: &str = "nestwarden://enrol?";

impl fmt::Display for EnrolLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PREFIX}server={}&pin={}&token={}",
            self.server, self.pin.0, self.token
        )
    }
}

impl fmt::Debug for EnrolLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolLink")
            .field("server", &self.server)
            .field("pin", &self.pin)
            .finish_non_exhaustive()
    }
}

impl std::str::FromStr for EnrolLink {
    type Err = EnrolLinkError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let query = text
            .trim()
            .strip_prefix(PREFIX)
            .ok_or(EnrolLinkError("it does not begin as one"))?;
        let (mut server, mut pin, mut token) = (None, None, None);
        for pair in query.split('&') {
            let (part, value) = match pair.split_once('=') {
                Some(("server", value)) => (&mut server, value),
                Some(("pin", value)) => (&mut pin, value),
                Some(("token", value)) => (&mut token, value),
                Some(_) | None => {
                    return Err(EnrolLinkError("it has a part that does not belong there"));
                }
            };
            if part.replace(value).is_some() {
                return Err(EnrolLinkError("it says the same thing twice"));
            }
        }
        let server = server
            .filter(|s| is_host_and_port(s))
            .ok_or(EnrolLinkError("the server's address is missing"))?;
        let pin = pin
            .and_then(|p| p.parse().ok())
            .ok_or(EnrolLinkError("the server's key is missing or cut off"))?;
        let token = token
            .filter(|t| is_token(t))
            .ok_or(EnrolLinkError("the token is missing or cut off"))?;
        Ok(Self {
            server: server.to_owned(),
            pin: SpkiPin(pin),
            token: token.to_owned(),
        })
    }
}

fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-[]:".contains(&b))
        && port.parse::<u16>().is_ok_and(|port| port != 0)
}

/// Whether `text` has the shape of a token: 26 characters of Crockford's base32, upper case.
pub fn is_token(text: &str) -> bool {
    text.len() == 26
        && text
            .bytes()
            .all(|b| b"0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains(&b))
}
