//! Somebody with an account, and their browser.

use crate::nursery::{Nursery, Tablet};
use jiff::SignedDuration;
use nestwarden_policy_schema::id::OperatorId;
use nestwarden_server::domain::account::invitation::invite;
use nestwarden_server::domain::account::session::form_token;
use nestwarden_server::domain::account::set_up::{House, SecondAs, Wanted, WantedFactor, set_up};
use nestwarden_server::domain::account::totp::code_now;
use nestwarden_server::storage::{Operator, Role};
use reqwest::{Method, RequestBuilder, Response};
use uuid::Uuid;
use zeroize::Zeroizing;

pub(super) const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
pub(super) const PASSWORD: &str = "kettle-moss-harbour";

pub(super) struct Person {
    pub(super) name: String,
    browser: Tablet,
    /// What the session's cookie holds.
    pub(super) session: String,
}

pub(super) async fn operator(nursery: &Nursery, name: &str, roles: &[Role]) -> Operator {
    let operator = Operator {
        id: OperatorId::from_uuid(Uuid::new_v4()),
        name: name.to_owned(),
        roles: roles.iter().copied().collect(),
        created_at: nursery.now(),
    };
    let audit = nursery.audit("operator.add");
    nursery
        .storage
        .operator_add(&operator, &audit)
        .await
        .unwrap();
    operator
}

impl Person {
    /// Signed in.
    pub(super) async fn of(nursery: &Nursery, name: &str, roles: &[Role]) -> Self {
        let operator = operator(nursery, name, roles).await;
        let (storage, now) = (&nursery.storage, nursery.now());
        let link = invite(storage, &operator, "test", now).await.unwrap();
        let second = format!("{name}'s second");
        let wanted = Wanted {
            token: &link.token,
            password: Zeroizing::new(PASSWORD.to_owned()),
            repeated: Zeroizing::new(PASSWORD.to_owned()),
            factor: WantedFactor::Totp {
                base32: SECRET,
                code: &code_now(SECRET, now).unwrap(),
            },
            second: Some((&second, SecondAs::Deputy)),
        };
        let house = House {
            setting_name: "Little Acorns",
            recipient: &nursery.release_recipient,
        };
        set_up(storage, house, wanted, now).await.unwrap();
        let mut person = Self {
            name: name.to_owned(),
            browser: nursery.visitor(),
            session: String::new(),
        };
        person.sign_in(nursery).await;
        person
    }

    pub(super) async fn sign_in(&mut self, nursery: &Nursery) {
        // A code is good once.
        nursery.clock.advance(SignedDuration::from_secs(60));
        let code = code_now(SECRET, nursery.now()).unwrap();
        let answer = sign_in(&self.browser, &self.name, PASSWORD, &code).await;
        assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
        self.session = cookie(&answer, "__Host-nestwarden");
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let cookie = format!("__Host-nestwarden={}", self.session);
        self.browser.request(method, path).header("cookie", cookie)
    }

    pub(super) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// As one of our own pages sends it.
    pub(super) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let key = self.key().await;
        self.post_with(&key, path, fields).await
    }

    /// A form's key, as every page has one; empty where this person may open none.
    pub(super) async fn key(&self) -> String {
        key_in(&self.get("/account").await.text().await.unwrap())
    }

    pub(super) async fn post_with(
        &self,
        key: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Response {
        let token = form_token(&self.session);
        let mut all = vec![("form_token", token.as_str()), ("form_key", key)];
        all.extend(fields);
        let request = self.request(Method::POST, path);
        let origin = origin(&self.browser);
        request
            .header("origin", origin)
            .body(encoded(&all))
            .send()
            .await
            .unwrap()
    }
}

pub(super) fn origin(browser: &Tablet) -> String {
    let request = browser.request(Method::GET, "/").build().unwrap();
    request.url().origin().ascii_serialization()
}

/// The key of the first form on a page.
pub(super) fn key_in(page: &str) -> String {
    let rest = page.split_once("name=\"form_key\" value=\"");
    let key = rest.and_then(|(_, rest)| rest.split('"').next());
    key.unwrap_or_default().to_owned()
}

/// As a browser sends a form.
pub(super) fn encoded(fields: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields).finish()
}

/// The value a response sets for a cookie.
pub(super) fn cookie(answer: &Response, name: &str) -> String {
    let set = answer.headers().get_all("set-cookie");
    let value = set.iter().find_map(|header| {
        let rest = header.to_str().unwrap().strip_prefix(name)?;
        Some(
            rest.strip_prefix('=')?
                .split(';')
                .next()
                .unwrap()
                .to_owned(),
        )
    });
    value.unwrap()
}

/// Opens the page and sends its form.
pub(super) async fn sign_in(browser: &Tablet, name: &str, password: &str, code: &str) -> Response {
    sign_in_from(browser, None, name, password, code).await
}

pub(super) async fn sign_in_from(
    browser: &Tablet,
    forwarded_for: Option<&str>,
    name: &str,
    password: &str,
    code: &str,
) -> Response {
    let page = browser.get("/sign-in").await;
    let secret = cookie(&page, "__Host-nestwarden-form");
    let token = form_token(&secret);
    let key = key_in(&page.text().await.unwrap());
    let fields = [
        ("form_token", token.as_str()),
        ("form_key", &key),
        ("name", name),
        ("password", password),
        ("code", code),
    ];
    let mut request = browser
        .request(Method::POST, "/sign-in")
        .header("cookie", format!("__Host-nestwarden-form={secret}"))
        .header("origin", origin(browser))
        .body(encoded(&fields));
    if let Some(address) = forwarded_for {
        request = request.header("x-forwarded-for", address);
    }
    request.send().await.unwrap()
}
