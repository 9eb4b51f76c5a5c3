//! A form that is sent twice is done once. Every form a page shows carries a key of its own; what came of sending it is kept,
//! and shown to whoever sends the same again.
//!
//! Kept in memory, so that it is never more than the process that did it: keys are signed with what only this process
//! knows, and a page from before it started is refused instead of done again.

use super::form::Form;
use super::gate::KEY_FIELD;
use crate::http::app::App;
use crate::http::error::ApiError;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use nestwarden_policy_schema::bytes::Digest;
use ring::error::Unspecified;
use ring::hmac;
use ring::rand::SystemRandom;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// As long as a session: no page is good for longer, so no longer needs be known what was sent.
const LIFE: Duration = Duration::from_hours(10);
/// For how long the answer itself is kept: they may hold what is shown once.
const ANSWERS_LIFE: Duration = Duration::from_mins(10);
const MOST_ANSWERS: usize = 256;
/// Acts known at once. Beyond, the oldest is forgotten, so that nobody who is signed in can fill the memory.
const MOST_ACTS: usize = if cfg!(test) { 300 } else { 20_000 };

pub(in crate::http) struct Once {
    signing: hmac::Key,
    started: Instant,
    given: AtomicU64,
    sent: Mutex<HashMap<Digest, Sent>>,
}

struct Sent {
    at: Instant,
    /// `None`: no longer kept.
    answer: Option<watch::Receiver<Option<Answer>>>,
}

#[derive(Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    error: Option<ApiError>,
}

enum Turn {
    /// Has to be done, and said here.
    First(
        watch::Sender<Option<Answer>>,
        watch::Receiver<Option<Answer>>,
    ),
    Again(watch::Receiver<Option<Answer>>),
    /// Done, and longer ago.
    Over,
}

impl Once {
    pub(in crate::http) fn new() -> Result<Self, Unspecified> {
        Ok(Self {
            signing: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?,
            started: Instant::now(),
            given: AtomicU64::new(0),
            sent: Mutex::default(),
        })
    }

    /// For one form of a page that only the browser with this secret is shown.
    pub(super) fn key(&self, secret: &str) -> String {
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        let stem = format!("{number}.{}", self.started.elapsed().as_secs());
        let tag = hmac::sign(&self.signing, signed(&stem, secret).as_bytes());
        let tag = tag.as_ref().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        format!("{stem}.{tag}")
    }

    /// What the form is known by. The same key with other fields is another act: somebody went back and chose again.
    /// `None`: this process gave no such key, or long ago.
    pub(super) fn act(&self, secret: &str, path: &str, form: &Form) -> Option<Digest> {
        let key = form.text(KEY_FIELD);
        let (stem, tag) = key.rsplit_once('.')?;
        let tag = from_hex(tag)?;
        hmac::verify(&self.signing, signed(stem, secret).as_bytes(), &tag).ok()?;
        let given_s: u64 = stem.split_once('.')?.1.parse().ok()?;
        let age = self.started.elapsed().as_secs().checked_sub(given_s)?;
        if age >= LIFE.as_secs() {
            return None;
        }
        let file = form.file();
        let mut parts: Vec<&[u8]> = vec![secret.as_bytes(), path.as_bytes()];
        for (name, value) in form.fields() {
            parts.extend([name.as_bytes(), value.as_bytes()]);
        }
        parts.extend(file.as_deref().map(Vec::as_slice));
        Some(Digest::of_parts("nestwarden/form-sent/v1", &parts))
    }

    fn turn(&self, act: Digest, now: Instant) -> Turn {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        forget_old(&mut sent, now);
        match sent.get(&act) {
            Some(Sent { answer: None, .. }) => Turn::Over,
            Some(Sent {
                answer: Some(answer),
                ..
            }) => Turn::Again(answer.clone()),
            None => {
                let (says, answer) = watch::channel(None);
                let kept = Sent {
                    at: now,
                    answer: Some(answer.clone()),
                };
                sent.insert(act, kept);
                Turn::First(says, answer)
            }
        }
    }

    fn forget(&self, act: Digest) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.remove(&act);
    }
}

fn signed(stem: &str, secret: &str) -> String {
    format!("{stem}.{secret}")
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

fn forget_old(sent: &mut HashMap<Digest, Sent>, now: Instant) {
    sent.retain(|_, sent| now.duration_since(sent.at) < LIFE);
    if sent.len() >= MOST_ACTS {
        let oldest = sent.iter().min_by_key(|(_, sent)| sent.at);
        if let Some(act) = oldest.map(|(act, _)| *act) {
            sent.remove(&act);
        }
    }
    let mut kept: Vec<&mut Sent> = sent.values_mut().filter(|s| s.answer.is_some()).collect();
    kept.sort_by_key(|sent| std::cmp::Reverse(sent.at));
    for (place, sent) in kept.into_iter().enumerate() {
        if place >= MOST_ANSWERS || now.duration_since(sent.at) >= ANSWERS_LIFE {
            sent.answer = None;
        }
    }
}

/// Does what a form asks for, or waits for who is doing it, and answers with what came of it. Goes on where the browser
/// does not wait for it: a second press ends the first request.
pub(super) async fn answer(
    app: &App,
    act: Digest,
    done: impl Future<Output = Response> + Send + 'static,
) -> Response {
    let mut answer = match app.once.turn(act, Instant::now()) {
        Turn::Over => return over().into_response(),
        Turn::Again(answer) => answer,
        Turn::First(says, answer) => {
            let app = app.clone();
            tokio::spawn(async move {
                let answer = Answer::of(done.await).await;
                // What was refused may be sent again, once the reason is gone.
                if answer.is_refusal() {
                    app.once.forget(act);
                }
                says.send_replace(Some(answer));
            });
            answer
        }
    };
    let answer = answer.wait_for(Option::is_some).await;
    match answer.map(|answer| answer.clone()) {
        Ok(Some(answer)) => answer.into_response(),
        Ok(None) | Err(_) => over().into_response(),
    }
}

fn over() -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "sent_before",
        "This form was sent before. Nothing was done a second time. Open the page again to see what came of it.",
    )
}

impl Answer {
    async fn of(mut response: Response) -> Self {
        let error = response.extensions_mut().remove();
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status,
            headers: parts.headers,
            // A page, which is whole in memory already.
            body: to_bytes(body, usize::MAX).await.unwrap_or_default(),
            error,
        }
    }

    fn is_refusal(&self) -> bool {
        let status = match &self.error {
            Some(error) => error.status(),
            None => self.status,
        };
        status.is_client_error() || status.is_server_error()
    }

    fn into_response(self) -> Response {
        if let Some(error) = self.error {
            return error.into_response();
        }
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;

    fn form(key: &str, more: &str) -> Form {
        Form::read(None, format!("{KEY_FIELD}={key}{more}").as_bytes())
    }

    #[test]
    fn no_more_acts_are_known_than_there_is_room_for_and_the_newest_are() {
        let once = Once::new().unwrap();
        let act = |number: usize| Digest::of_parts("test", &[&number.to_le_bytes()]);
        let begun = Instant::now();
        let at = |number: usize| begun + Duration::from_millis(number as u64);
        for number in 0..2 * MOST_ACTS {
            assert!(matches!(
                once.turn(act(number), at(number)),
                Turn::First(..)
            ));
        }
        let known = once.sent.lock().unwrap();
        assert_eq!(known.len(), MOST_ACTS);
        assert!(known.contains_key(&act(2 * MOST_ACTS - 1)));
        assert!(!known.contains_key(&act(0)));
    }

    #[test]
    fn a_key_is_good_for_the_browser_and_the_process_it_was_given_by() {
        let (once, another) = (Once::new().unwrap(), Once::new().unwrap());
        let [mine, theirs] = ["mine", "theirs"];
        let key = once.key(mine);
        let act = once.act(mine, "/holds", &form(&key, ""));
        assert!(act.is_some());
        assert_eq!(once.act(mine, "/holds", &form(&key, "")), act);
        assert_ne!(once.act(mine, "/people", &form(&key, "")), act);
        assert_ne!(once.act(mine, "/holds", &form(&key, "&child=2")), act);
        assert_ne!(once.act(mine, "/holds", &form(&once.key(mine), "")), act);
        assert_eq!(once.act(theirs, "/holds", &form(&key, "")), None);
        assert_eq!(another.act(mine, "/holds", &form(&key, "")), None);
        for wrong in ["", ".", "0.0.", "0.0.é", "9.9.00", &key[1..]] {
            assert_eq!(once.act(mine, "/holds", &form(wrong, "")), None, "{wrong}");
        }
    }

    #[test]
    fn an_answer_is_kept_for_minutes_and_that_it_was_sent_for_hours() {
        let once = Once::new().unwrap();
        let act = Digest::of_parts("test", &[b"act"]);
        let now = Instant::now();
        assert!(matches!(once.turn(act, now), Turn::First(..)));
        assert!(matches!(once.turn(act, now), Turn::Again(_)));
        assert!(matches!(once.turn(act, now + ANSWERS_LIFE), Turn::Over));
        assert!(matches!(once.turn(act, now + LIFE), Turn::First(..)));
    }

    #[test]
    fn of_too_many_answers_the_oldest_go_and_none_is_done_again() {
        let once = Once::new().unwrap();
        let now = Instant::now();
        let act = |number: u32| Digest::of_parts("test", &[&number.to_be_bytes()]);
        let most = u32::try_from(MOST_ANSWERS).unwrap();
        for number in 0..=most {
            once.turn(act(number), now + Duration::from_millis(number.into()));
        }
        let later = now + Duration::from_secs(1);
        assert!(matches!(once.turn(act(0), later), Turn::Over));
        assert!(matches!(once.turn(act(most), later), Turn::Again(_)));
    }
}
