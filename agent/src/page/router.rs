//! Every page there is.

use super::Desk;
use super::answer::{Answer, Refusal, Trouble};
use super::form::Form;
use super::screens::{
    assets, custody, end, here, home, names, notices, photos, picture, review, sort,
};
use hyper::Method;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;

type Answering = Pin<Box<dyn Future<Output = Result<Answer, Trouble>> + Send>>;

pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) requires: Requires,
    pub(super) answer: fn(Arc<Desk>, Ask) -> Answering,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Requires {
    /// The link's token, for which the cookie is given.
    Token,
    Cookie,
}

/// What was asked.
pub(super) struct Ask {
    pub(super) query: Form,
    pub(super) form: Form,
    pub(super) range: Option<String>,
}

pub(super) fn routes() -> [Route; 24] {
    use Requires::{Cookie, Token};
    let get = |path, requires, answer| Route {
        method: Method::GET,
        path,
        requires,
        answer,
    };
    let post = |path, answer| Route {
        method: Method::POST,
        path,
        requires: Cookie,
        answer,
    };
    [
        get("/open", Token, |desk, ask| Box::pin(home::show(desk, ask))),
        get("/", Cookie, |desk, ask| Box::pin(home::show(desk, ask))),
        get("/custody", Cookie, |desk, ask| {
            Box::pin(custody::show(desk, ask))
        }),
        get("/here", Cookie, |desk, ask| Box::pin(here::show(desk, ask))),
        get("/sort", Cookie, |desk, ask| Box::pin(sort::show(desk, ask))),
        get("/photos", Cookie, |desk, _| Box::pin(photos::show(desk))),
        get("/photo", Cookie, |desk, ask| {
            Box::pin(picture::show(desk, ask))
        }),
        get("/end", Cookie, |desk, _| Box::pin(end::show(desk))),
        get("/review", Cookie, |desk, ask| {
            Box::pin(review::show(desk, ask))
        }),
        get("/review/photo", Cookie, |desk, ask| {
            Box::pin(review::picture(desk, ask))
        }),
        get("/style.css", Cookie, |_, _| {
            Box::pin(ready(Ok(assets::style())))
        }),
        get("/page.js", Cookie, |_, _| {
            Box::pin(ready(Ok(assets::script())))
        }),
        get("/icon.svg", Cookie, |_, _| {
            Box::pin(ready(Ok(assets::icon())))
        }),
        post("/custody/out", |desk, ask| {
            Box::pin(custody::sign_out(desk, ask))
        }),
        post("/custody/in", |desk, ask| {
            Box::pin(custody::sign_in(desk, ask))
        }),
        post("/start", |desk, ask| Box::pin(home::start(desk, ask))),
        post("/here", |desk, ask| Box::pin(here::save(desk, ask))),
        post("/sort", |desk, ask| Box::pin(sort::save(desk, ask))),
        post("/names", |desk, ask| Box::pin(names::ask_again(desk, ask))),
        post("/read", |desk, ask| Box::pin(notices::read(desk, ask))),
        post("/end", |desk, _| Box::pin(end::save(desk))),
        post("/review", |desk, ask| Box::pin(review::say(desk, ask))),
        post("/review/begin", |desk, ask| {
            Box::pin(review::begin(desk, ask))
        }),
        post("/review/finish", |desk, ask| {
            Box::pin(review::finish(desk, ask))
        }),
    ]
}

/// What there is on a tablet that is marked as lost: neither photos nor names, nor anything else that is the children's.
pub(super) fn is_open_while_lost(path: &str) -> bool {
    ["/", "/open", "/read", "/style.css", "/page.js", "/icon.svg"].contains(&path)
}

pub(super) fn find(method: &Method, path: &str) -> Result<Route, Refusal> {
    let (mut found, mut allowed) = (None, None);
    for route in routes() {
        if route.path == path {
            allowed = Some(if route.method == Method::GET {
                "GET"
            } else {
                "POST"
            });
            if route.method == *method {
                found = Some(route);
            }
        }
    }
    found.ok_or(allowed.map_or(Refusal::NoSuchPage, Refusal::Method))
}
