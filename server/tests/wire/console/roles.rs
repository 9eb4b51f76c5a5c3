//! Who may open what. The table is the router's; this is what it is held against.

use super::person::{Person, encoded};
use crate::nursery::Nursery;
use nestwarden_server::http::router::{Requires, Route, people_routes};
use nestwarden_server::storage::Role;
use reqwest::Method;
use std::fmt::Write as _;

const ROLES: [(&str, Role); 5] = [
    ("it", Role::ItAdmin),
    ("manager", Role::Manager),
    ("dsl", Role::Dsl),
    ("deputy", Role::Deputy),
    ("auditor", Role::Auditor),
];

/// As somebody who wants to reach it would fill it in.
fn filled(path: &str) -> String {
    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
    path.split('/')
        .map(|part| if part.starts_with('{') { nobody } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

#[test]
fn the_table_of_who_may_open_what_is_the_one_that_was_agreed() {
    let mut table = String::new();
    for route in people_routes() {
        let who = match route.requires {
            Requires::Nothing => "anybody".to_owned(),
            Requires::Token(scope) => format!("a token to {}", scope.as_str()),
            Requires::Device => "a tablet".to_owned(),
            Requires::Person(area) => {
                let admitted = ROLES.iter().filter(|(_, role)| area.roles().contains(role));
                admitted
                    .map(|(name, _)| *name)
                    .collect::<Vec<_>>()
                    .join(" ")
            }
        };
        let _ = writeln!(table, "{:4} {:32} {who}", route.method.as_str(), route.path);
    }
    insta::assert_snapshot!(table, @r"
    GET  /healthz                         anybody
    GET  /metrics                         a token to read-tablets
    GET  /admin/v1/openapi.json           anybody
    GET  /admin/v1/devices                a token to read-tablets
    POST /admin/v1/imports                a token to import
    GET  /console.css                     anybody
    GET  /console.js                      anybody
    GET  /console.svg                     anybody
    GET  /set-up                          anybody
    POST /set-up                          anybody
    GET  /set-up/passkey                  anybody
    GET  /sign-in                         anybody
    POST /sign-in                         anybody
    GET  /sign-in/passkey                 anybody
    GET  /                                it manager dsl deputy auditor
    POST /sign-out                        it manager dsl deputy auditor
    GET  /account                         it manager dsl deputy auditor
    POST /account/sign-out-everywhere     it manager dsl deputy auditor
    POST /account/address                 it manager dsl deputy auditor
    GET  /account/passkeys/options        it manager dsl deputy auditor
    POST /account/passkeys                it manager dsl deputy auditor
    POST /account/passkeys/{passkey}/remove it manager dsl deputy auditor
    GET  /tablets                         it manager dsl deputy auditor
    GET  /tablets/{device}                it manager dsl deputy auditor
    GET  /tablets/{device}/held-to        it manager dsl deputy auditor
    GET  /tablets/{device}/timeline       it manager dsl deputy auditor
    POST /tablets/{device}/commands       it manager
    POST /tablets/{device}/commands/{command}/cancel it manager
    POST /tablets/{device}/passcode       it manager
    GET  /profiles                        it manager dsl deputy auditor
    GET  /profiles/{profile}              it manager dsl deputy auditor
    POST /profiles/{profile}/preview      it manager
    POST /profiles/{profile}/apply        it manager
    POST /profiles/{profile}/try          it manager
    POST /profiles/{profile}/try/more     it manager
    POST /profiles/{profile}/try/live     it manager
    POST /profiles/{profile}/try/go-on    it manager
    POST /profiles/{profile}/try/take-back it manager
    GET  /enrol                           it manager
    POST /enrol                           it manager
    GET  /enrol/{token}                   it manager
    GET  /consents                        manager dsl deputy
    GET  /consents/import                 manager dsl deputy
    POST /consents/import                 manager dsl deputy
    GET  /consents/import/preview         manager dsl deputy
    POST /consents/import/words           manager dsl deputy
    POST /consents/import/confirm         manager dsl deputy
    GET  /children/{child}                manager dsl deputy
    GET  /children/{child}/withdraw       manager dsl deputy
    POST /children/{child}/withdraw       manager dsl deputy
    GET  /holds                           manager dsl deputy
    POST /holds                           dsl deputy
    POST /holds/{hold}/review             dsl deputy
    POST /holds/{hold}/release            manager dsl deputy
    GET  /tasks                           manager dsl deputy
    POST /tasks/{task}/done               manager dsl deputy
    GET  /registers                       manager dsl deputy
    GET  /incidents                       manager dsl deputy
    POST /incidents                       manager dsl deputy
    GET  /incidents/illegal-content       dsl deputy
    POST /incidents/illegal-content       dsl deputy
    GET  /incidents/{incident}            manager dsl deputy
    POST /incidents/{incident}            manager dsl deputy
    GET  /staff                           manager dsl deputy
    POST /staff                           manager dsl deputy
    GET  /staff/{staff}                   manager dsl deputy
    POST /staff/{staff}                   manager dsl deputy
    GET  /aup                             manager dsl deputy
    POST /aup                             manager dsl deputy
    POST /aup/{version}/withdraw          manager dsl deputy
    GET  /custody                         manager dsl deputy
    POST /custody                         manager dsl deputy
    GET  /custody/{custody}               manager dsl deputy
    POST /custody/{custody}               manager dsl deputy
    GET  /apps                            it manager dsl deputy auditor
    POST /apps                            it manager dsl deputy auditor
    GET  /apps/{app}                      it manager dsl deputy auditor
    POST /apps/{app}                      manager dsl deputy
    GET  /videos                          it manager dsl deputy auditor
    POST /videos                          it manager dsl deputy auditor
    GET  /videos/{video}                  it manager dsl deputy auditor
    POST /videos/{video}                  manager dsl deputy
    GET  /concerns                        it manager dsl deputy auditor
    POST /concerns                        it manager dsl deputy auditor
    GET  /concerns/{concern}              manager dsl deputy
    POST /concerns/{concern}              manager dsl deputy
    GET  /receipts                        manager dsl deputy auditor
    GET  /receipts/{device}/{photo}       manager dsl deputy auditor
    POST /receipts/{device}/{photo}       manager dsl deputy auditor
    GET  /reports                         manager dsl deputy auditor
    GET  /reports/file                    manager dsl deputy auditor
    GET  /people                          manager dsl
    POST /people                          manager dsl
    GET  /people/{operator}               manager dsl
    POST /people/{operator}/invite        manager dsl
    POST /people/{operator}/roles         manager dsl
    POST /people/{operator}/cover         manager dsl
    POST /people/{operator}/remove        manager dsl
    ");
}

async fn status(person: &Person, route: &Route) -> u16 {
    let path = filled(route.path);
    let answer = if route.method == Method::GET {
        person.get(&path).await
    } else {
        person.post(&path, &[]).await
    };
    let is_sent_away = answer.status() == 303
        && answer.headers()["location"]
            .as_bytes()
            .starts_with(b"/sign-in");
    assert!(
        !is_sent_away || route.path.contains("sign-out"),
        "{}",
        route.path
    );
    answer.status().as_u16()
}

#[tokio::test]
async fn every_role_gets_the_routes_the_table_gives_it_and_is_refused_on_the_others() {
    let nursery = Nursery::open().await;
    for (name, role) in ROLES {
        let mut person = Person::of(&nursery, name, &[role]).await;
        for route in people_routes() {
            let Requires::Person(area) = route.requires else {
                continue;
            };
            let status = status(&person, &route).await;
            let admitted = area.roles().contains(&role);
            assert_eq!(
                status != 403,
                admitted,
                "{name} {} {}: {status}",
                route.method,
                route.path
            );
            assert!(
                status < 500 && status != 401,
                "{name} {}: {status}",
                route.path
            );
            if route.path.contains("sign-out") {
                person.sign_in(&nursery).await;
            }
        }
    }
    nursery.close().await;
}

#[tokio::test]
async fn somebody_without_a_role_may_open_nothing() {
    let nursery = Nursery::open().await;
    let person = Person::of(&nursery, "nobody", &[]).await;
    for route in people_routes() {
        if let Requires::Person(_) = route.requires {
            assert_eq!(status(&person, &route).await, 403, "{}", route.path);
        }
    }
    nursery.close().await;
}

/// A form that another site, or a page from before signing in, has the browser send.
#[tokio::test]
async fn every_form_is_refused_without_its_token_or_from_another_site() {
    let nursery = Nursery::open().await;
    let person = Person::of(&nursery, "kim", &[Role::Manager, Role::Dsl]).await;
    let ours = super::person::origin(&nursery.visitor());
    let token = nestwarden_server::domain::account::session::form_token(&person.session);
    for route in people_routes().into_iter().filter(|route| {
        matches!(route.requires, Requires::Person(_)) && route.method == Method::POST
    }) {
        for (origin, token) in [
            (Some("https://example.org"), token.as_str()),
            (None, token.as_str()),
            (Some(ours.as_str()), "0"),
            (Some(ours.as_str()), ""),
        ] {
            let mut request = person.request(Method::POST, &filled(route.path));
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            let answer = request
                .body(encoded(&[("form_token", token)]))
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 403, "{} {origin:?}", route.path);
            let said = crate::nursery::told(answer).await;
            assert!(said.contains("form_refused"), "{said}");
        }
    }
    assert_eq!(person.get("/").await.status(), 200);
    nursery.close().await;
}
