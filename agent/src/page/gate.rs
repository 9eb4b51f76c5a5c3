//! Who may use the page: the tablet's own browser, run by staff, that was given the link.
//!
//! Another program of the tablet, another site in the same browser and a name that was made to point here (DNS rebinding)
//! each fail one of these questions. The link's token buys a cookie; both end with the agent.

use super::answer::{self, Answer, Refusal};
use crate::platform::loopback_peer_uid;
use crate::staff::Staff;
use hyper::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, SET_COOKIE};
use hyper::{Method, Request};
use ring::rand::SecureRandom as _;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddrV4;
use subtle::ConstantTimeEq as _;

const COOKIE_NAME: &str = "nestwarden";
/// What browsers say of where a request comes from, and pages cannot change (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The questions, with the secrets of one start.
#[derive(Clone)]
pub(super) struct Gate {
    address: SocketAddrV4,
    staff: Staff,
    token: String,
    cookie: String,
}

impl Gate {
    pub(super) fn new(address: SocketAddrV4, staff: Staff) -> io::Result<Self> {
        Ok(Self {
            address,
            staff,
            token: secret()?,
            cookie: secret()?,
        })
    }

    pub(super) fn link(&self) -> String {
        format!("{}/open?token={}", self.origin(), self.token)
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asked once for each connection.
    pub(super) fn admits_peer(&self, peer: SocketAddrV4) -> bool {
        match loopback_peer_uid(peer, self.address) {
            Ok(Some(uid)) => self.staff.includes(uid, None),
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%error, "who asks for the page cannot be read");
                false
            }
        }
    }

    /// Of every request, before anything else of it is looked at.
    pub(super) fn check_source<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let headers = request.headers();
        if text(headers, &HOST) != Some(self.address.to_string().as_str()) {
            return Err(Refusal::Host);
        }
        // The link is opened by the person (`none`) or followed within the page.
        let from_here = |site: &str| site == "same-origin" || site == "none";
        if headers.contains_key(&SEC_FETCH_SITE)
            && !text(headers, &SEC_FETCH_SITE).is_some_and(from_here)
        {
            return Err(Refusal::Origin);
        }
        let changes = *request.method() != Method::GET && *request.method() != Method::HEAD;
        let origin = text(headers, &ORIGIN);
        let foreign = headers.contains_key(&ORIGIN) && origin != Some(self.origin().as_str());
        if foreign || (changes && origin.is_none()) {
            return Err(Refusal::Origin);
        }
        Ok(())
    }

    pub(super) fn check_cookie(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let cookies = headers.get_all(COOKIE).into_iter();
        let mut values = cookies
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split("; "))
            .filter_map(|pair| pair.strip_prefix(COOKIE_NAME)?.strip_prefix('='));
        if values.any(|value| is_same(value, &self.cookie)) {
            Ok(())
        } else {
            Err(Refusal::Cookie)
        }
    }

    /// Exchanges the link's token for the cookie.
    pub(super) fn open(&self, token: Option<&str>) -> Answer {
        if !token.is_some_and(|token| is_same(token, &self.token)) {
            return answer::refusal(Refusal::Cookie);
        }
        let cookie = format!(
            "{COOKIE_NAME}={}; Path=/; HttpOnly; SameSite=Strict",
            self.cookie
        );
        let mut answer = answer::see("/");
        match HeaderValue::from_str(&cookie) {
            Ok(cookie) => {
                answer.headers_mut().insert(SET_COOKIE, cookie);
                answer
            }
            Err(_) => answer::refusal(Refusal::Cookie),
        }
    }
}

/// The one value of a header; `None` where there are none or several.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).into_iter();
    let first = values.next()?;
    if values.next().is_some() {
        return None;
    }
    first.to_str().ok()
}

fn is_same(given: &str, wanted: &str) -> bool {
    given.as_bytes().ct_eq(wanted.as_bytes()).into()
}

/// 256 random bits in hexadecimal.
fn secret() -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| io::Error::other("the system gave no random bytes for the page's key"))?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
