//! Answers, each with the headers that keep what is shown on this tablet and on this page.

use super::layout;
use super::texts;
use crate::custody::CustodyError;
use crate::photos::PhotosError;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName,
    HeaderValue, LOCATION,
};
use hyper::{Response, StatusCode};
use maud::Markup;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::RangeInclusive;
use zeroize::Zeroizing;

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;
pub(super) type Answer = Response<Body>;

/// Nothing from anywhere else, nothing kept, shown in no frame. The browser still names this origin to this origin:
/// without it a form's `Origin` would read `null`, and the gate could not tell it from another site's.
const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("cache-control", "no-store"),
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];
const CHUNK_BYTES: usize = 256 * 1024;

/// Why a request got no screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Host,
    Origin,
    Cookie,
    Method(&'static str),
    NoSuchPage,
    Body,
}

/// What kept a screen from doing what was asked.
#[derive(Debug)]
pub(super) enum Trouble {
    Photos(PhotosError),
    /// What was sent is nothing the page sends.
    Request,
}

/// What the person can put right is said on the screen they are at; the rest is none of their doing.
impl From<CustodyError> for Trouble {
    fn from(error: CustodyError) -> Self {
        Self::Photos(match error {
            CustodyError::NoBundle => PhotosError::NoBundle,
            CustodyError::Ledger(error) => PhotosError::Ledger(error),
            CustodyError::Wrong { .. }
            | CustodyError::Wait { .. }
            | CustodyError::Taken
            | CustodyError::NotTaken
            | CustodyError::MayNot(_)
            | CustodyError::MustAgree
            | CustodyError::DueBefore
            | CustodyError::Room
            | CustodyError::Ended => PhotosError::TaskEnded,
        })
    }
}

impl From<PhotosError> for Trouble {
    fn from(error: PhotosError) -> Self {
        Self::Photos(error)
    }
}

pub(super) fn page(markup: Markup) -> Answer {
    page_with(StatusCode::OK, markup)
}

pub(super) fn page_with(status: StatusCode, markup: Markup) -> Answer {
    let mut answer = whole(
        status,
        "text/html; charset=utf-8",
        markup.into_string().into(),
    );
    set(&mut answer, CONTENT_TYPE, "text/html; charset=utf-8");
    answer
}

/// A part of the program, the same until another version is installed; its address changes with it.
pub(super) fn asset(kind: &'static str, text: &'static str) -> Answer {
    let mut answer = whole(StatusCode::OK, kind, Bytes::from_static(text.as_bytes()));
    set(
        &mut answer,
        CACHE_CONTROL,
        "private, max-age=31536000, immutable",
    );
    answer
}

/// Sends the browser on, after something was done.
pub(super) fn see(path: &str) -> Answer {
    let mut answer = whole(StatusCode::SEE_OTHER, "text/plain", Bytes::new());
    set(&mut answer, LOCATION, path);
    answer
}

pub(super) fn refusal(refusal: Refusal) -> Answer {
    let (status, text) = match refusal {
        Refusal::Host | Refusal::Origin => (StatusCode::FORBIDDEN, texts::REFUSED_ELSEWHERE),
        Refusal::Cookie => (StatusCode::FORBIDDEN, texts::REFUSED_COOKIE),
        Refusal::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, texts::REFUSED_PAGE),
        Refusal::NoSuchPage => (StatusCode::NOT_FOUND, texts::REFUSED_PAGE),
        Refusal::Body => (StatusCode::BAD_REQUEST, texts::REFUSED_REQUEST),
    };
    let mut answer = page_with(status, layout::bare(text));
    if let Refusal::Method(allowed) = refusal {
        set(&mut answer, ALLOW, allowed);
    }
    answer
}

pub(super) fn trouble(trouble: &Trouble) -> Answer {
    let (status, text) = match trouble {
        Trouble::Request => (StatusCode::BAD_REQUEST, texts::REFUSED_REQUEST),
        Trouble::Photos(error) => {
            let status = match error {
                PhotosError::NoSuchPhoto(_)
                | PhotosError::NotShown(_)
                | PhotosError::NoRequest(_) => StatusCode::NOT_FOUND,
                PhotosError::ReviewNotBegun => StatusCode::FORBIDDEN,
                PhotosError::NoSuchChild(_)
                | PhotosError::TagsLoosened(_)
                | PhotosError::Sealed(_)
                | PhotosError::SessionOpen(_)
                | PhotosError::NoSession
                | PhotosError::ReviewFinished
                | PhotosError::ReviewUnfinished(_)
                | PhotosError::TooManyIncluded { .. }
                | PhotosError::NoBundle => StatusCode::CONFLICT,
                PhotosError::Ledger(_)
                | PhotosError::Damaged(_)
                | PhotosError::Io(_)
                | PhotosError::TaskEnded => {
                    let error = crate::whole_text(error);
                    tracing::warn!(error, "the page could not do what was asked");
                    StatusCode::INTERNAL_SERVER_ERROR
                }
            };
            (status, texts::problem(error))
        }
    };
    page_with(status, layout::message(texts::PROBLEM, text))
}

/// A file's bytes, or those of a range of it. Read as the browser takes them.
pub(super) fn file(
    mut file: File,
    bytes: u64,
    kind: &str,
    range: Option<RangeInclusive<u64>>,
) -> io::Result<Answer> {
    let (status, from, length) = match &range {
        Some(range) => (
            StatusCode::PARTIAL_CONTENT,
            *range.start(),
            range.end() - range.start() + 1,
        ),
        None => (StatusCode::OK, 0, bytes),
    };
    file.seek(SeekFrom::Start(from))?;
    let chunks = stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        tokio::task::spawn_blocking(move || {
            let most = usize::try_from(left)
                .unwrap_or(CHUNK_BYTES)
                .min(CHUNK_BYTES);
            let mut chunk = vec![0; most];
            let read = file.read(&mut chunk)?;
            if read == 0 {
                // Sealed while it was being looked at.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            chunk.truncate(read);
            let frame = Frame::data(Bytes::from(chunk));
            Ok(Some((frame, (file, left - read as u64))))
        })
        .await
        .map_err(io::Error::other)?
    });
    let mut answer = Response::new(UnsyncBoxBody::new(StreamBody::new(chunks)));
    *answer.status_mut() = status;
    protect(&mut answer);
    set(&mut answer, CONTENT_TYPE, kind);
    set(&mut answer, CONTENT_LENGTH, &length.to_string());
    set(&mut answer, ACCEPT_RANGES, "bytes");
    if let Some(range) = range {
        let said = format!("bytes {}-{}/{bytes}", range.start(), range.end());
        set(&mut answer, CONTENT_RANGE, &said);
    }
    Ok(answer)
}

/// What is in memory only. Wiped once it was sent.
pub(super) fn bytes(plain: Zeroizing<Vec<u8>>, kind: &str) -> Answer {
    let body = Full::new(Bytes::from_owner(Wiped(plain))).map_err(|never| match never {});
    let mut answer = Response::new(UnsyncBoxBody::new(body));
    protect(&mut answer);
    set(&mut answer, CONTENT_TYPE, kind);
    answer
}

struct Wiped(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn whole(status: StatusCode, kind: &'static str, bytes: Bytes) -> Answer {
    let body = Full::new(bytes).map_err(|never| match never {});
    let mut answer = Response::new(UnsyncBoxBody::new(body));
    *answer.status_mut() = status;
    protect(&mut answer);
    set(&mut answer, CONTENT_TYPE, kind);
    answer
}

fn protect(answer: &mut Answer) {
    for (name, value) in HEADERS {
        let name = HeaderName::from_static(name);
        let value = HeaderValue::from_static(value);
        answer.headers_mut().insert(name, value);
    }
}

fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}
