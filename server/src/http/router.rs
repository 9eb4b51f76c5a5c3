//! Every route there is, in a table that says what each requires. Tests walk the same table.

use super::app::App;
use super::{admin_api, auth, console, device_api, error, host, metrics, people as open};
use crate::domain::role::Area;
use crate::storage::Scope;
use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, MethodRouter, on};
use nestwarden_policy_schema::device_api::{
    BUNDLE_PATH, ENROL_PATH, EVENTS_PATH, EXPORT_PATH, INVENTORY_AGAIN_PATH, INVENTORY_PATH,
    NAMES_PATH, PASSCODE_PATH, RENEW_EXPIRED_PATH, RENEW_NONCE_PATH, RENEW_PATH, UNSEAL_PATH,
};

/// Who may call a route. There is no default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requires {
    /// Anyone; the handler checks a token, a signature, or gives nothing away.
    Nothing,
    /// A device certificate in date, of a device that is known and not revoked.
    Device,
    /// A token of somebody's, for this.
    Token(Scope),
    /// Somebody who is signed in to the console, with a role this area is for.
    Person(Area),
}

pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub requires: Requires,
    handler: MethodRouter<App>,
}

#[rustfmt::skip]
pub fn tablet_routes() -> Vec<Route> {
    use Requires::{Device, Nothing};
    vec![
        post(ENROL_PATH,           Nothing, device_api::enrol::enrol),
        get (BUNDLE_PATH,          Device,  device_api::bundle::fetch),
        post(EVENTS_PATH,          Device,  device_api::events::take_in),
        post(INVENTORY_PATH,       Device,  device_api::inventory::put),
        post(INVENTORY_AGAIN_PATH, Device,  device_api::inventory::again),
        post(NAMES_PATH,           Device,  device_api::names::of_session),
        get (PASSCODE_PATH,        Device,  device_api::passcode::give),
        post(UNSEAL_PATH,          Device,  device_api::unseal::unseal),
        put (EXPORT_PATH,          Device,  device_api::export::take_in),
        post(RENEW_PATH,           Device,  device_api::renew::renew),
        post(RENEW_NONCE_PATH,     Nothing, device_api::renew::nonce),
        post(RENEW_EXPIRED_PATH,   Nothing, device_api::renew::renew_expired),
    ]
}

#[rustfmt::skip]
pub fn people_routes() -> Vec<Route> {
    use Area::{Enrol, Evidence, House, People, Register, Safeguarding};
    use Requires::{Nothing, Person, Token};
    use Scope::{Import, ReadTablets};
    use console::{account, alerts, assets, child, consents, dashboard, enrol, fleet, held, holds, import, orders, passcode, passkeys, people as persons, profiles, rollout, receipts, registers::{self, app, apps, aup, concern, concerns, custody, illegal, incident, incidents, staff, video, videos}, reports, set_up, sign_in, tablets, tasks, timeline};
    vec![
        get ("/healthz",                     Nothing,              open::health),
        get ("/metrics",                     Token(ReadTablets),   metrics::show),
        get ("/admin/v1/openapi.json",       Nothing,              admin_api::describe),
        get ("/admin/v1/devices",            Token(ReadTablets),   admin_api::device::list),
        post("/admin/v1/imports",            Token(Import),        admin_api::import::create),

        get ("/console.css",                 Nothing,              assets::style),
        get ("/console.js",                  Nothing,              assets::script),
        get ("/console.svg",                 Nothing,              assets::sign),
        get ("/set-up",                      Nothing,              set_up::page),
        post("/set-up",                      Nothing,              set_up::submit),
        get ("/set-up/passkey",              Nothing,              passkeys::ask_set_up),
        get ("/sign-in",                     Nothing,              sign_in::page),
        post("/sign-in",                     Nothing,              sign_in::submit),
        get ("/sign-in/passkey",             Nothing,              passkeys::ask_sign_in),

        get ("/",                            Person(House),        dashboard::show),
        post("/sign-out",                    Person(House),        sign_in::out),
        get ("/account",                     Person(House),        account::show),
        post("/account/sign-out-everywhere", Person(House),        account::sign_out_everywhere),
        post("/account/address",             Person(House),        alerts::set),
        get ("/account/passkeys/options",    Person(House),        passkeys::ask_adding),
        post("/account/passkeys",            Person(House),        passkeys::add),
        post("/account/passkeys/{passkey}/remove", Person(House),  passkeys::remove),
        get ("/tablets",                     Person(House),        fleet::list),
        get ("/tablets/{device}",            Person(House),        tablets::show),
        get ("/tablets/{device}/held-to",    Person(House),        held::show),
        get ("/tablets/{device}/timeline",   Person(House),        timeline::show),
        post("/tablets/{device}/commands",   Person(Enrol),        orders::order),
        post("/tablets/{device}/commands/{command}/cancel", Person(Enrol), orders::cancel),
        post("/tablets/{device}/passcode",   Person(Enrol),        passcode::set),
        get ("/profiles",                    Person(House),        profiles::list),
        get ("/profiles/{profile}",          Person(House),        profiles::show),
        post("/profiles/{profile}/preview",  Person(Enrol),        profiles::preview),
        post("/profiles/{profile}/apply",    Person(Enrol),        profiles::apply),
        post("/profiles/{profile}/try",      Person(Enrol),        rollout::begin),
        post("/profiles/{profile}/try/more", Person(Enrol),        rollout::more),
        post("/profiles/{profile}/try/live", Person(Enrol),        rollout::live),
        post("/profiles/{profile}/try/go-on", Person(Enrol),       rollout::go_on),
        post("/profiles/{profile}/try/take-back", Person(Enrol),   rollout::take_back),
        get ("/enrol",                       Person(Enrol),        enrol::form),
        post("/enrol",                       Person(Enrol),        enrol::create),
        get ("/enrol/{token}",               Person(Enrol),        enrol::waiting),
        get ("/consents",                    Person(Register),     consents::list),
        get ("/consents/import",             Person(Register),     import::form),
        post("/consents/import",             Person(Register),     import::upload),
        get ("/consents/import/preview",     Person(Register),     import::preview),
        post("/consents/import/words",       Person(Register),     import::words),
        post("/consents/import/confirm",     Person(Register),     import::confirm),
        get ("/children/{child}",            Person(Register),     child::show),
        get ("/children/{child}/withdraw",   Person(Register),     child::ask),
        post("/children/{child}/withdraw",   Person(Register),     child::take_back),
        get ("/holds",                       Person(Register),     holds::list),
        post("/holds",                       Person(Safeguarding), holds::open),
        post("/holds/{hold}/review",         Person(Safeguarding), holds::review),
        post("/holds/{hold}/release",        Person(Register),     holds::release),
        get ("/tasks",                       Person(Register),     tasks::list),
        post("/tasks/{task}/done",           Person(Register),     tasks::done),
        get ("/registers",                   Person(Register),     registers::index),
        get ("/incidents",                   Person(Register),     incidents::list),
        post("/incidents",                   Person(Register),     incidents::begin),
        get ("/incidents/illegal-content",   Person(Safeguarding), illegal::ask),
        post("/incidents/illegal-content",   Person(Safeguarding), illegal::begin),
        get ("/incidents/{incident}",        Person(Register),     incident::show),
        post("/incidents/{incident}",        Person(Register),     incident::write),
        get ("/staff",                       Person(Register),     staff::list),
        post("/staff",                       Person(Register),     staff::add),
        get ("/staff/{staff}",               Person(Register),     staff::show),
        post("/staff/{staff}",               Person(Register),     staff::write),
        get ("/aup",                         Person(Register),     aup::list),
        post("/aup",                         Person(Register),     aup::publish),
        post("/aup/{version}/withdraw",      Person(Register),     aup::withdraw),
        get ("/custody",                     Person(Register),     custody::list),
        post("/custody",                     Person(Register),     custody::begin),
        get ("/custody/{custody}",           Person(Register),     custody::show),
        post("/custody/{custody}",           Person(Register),     custody::write),
        get ("/apps",                        Person(House),        apps::list),
        post("/apps",                        Person(House),        apps::ask),
        get ("/apps/{app}",                  Person(House),        app::show),
        post("/apps/{app}",                  Person(Register),     app::write),
        get ("/videos",                      Person(House),        videos::list),
        post("/videos",                      Person(House),        videos::propose),
        get ("/videos/{video}",              Person(House),        video::show),
        post("/videos/{video}",              Person(Register),     video::write),
        get ("/concerns",                    Person(House),        concerns::list),
        post("/concerns",                    Person(House),        concerns::send),
        get ("/concerns/{concern}",          Person(Register),     concern::show),
        post("/concerns/{concern}",          Person(Register),     concern::write),
        get ("/receipts",                    Person(Evidence),     receipts::list),
        get ("/receipts/{device}/{photo}",   Person(Evidence),     receipts::show),
        post("/receipts/{device}/{photo}",   Person(Evidence),     receipts::verify),
        get ("/reports",                     Person(Evidence),     reports::show),
        get ("/reports/file",                Person(Evidence),     reports::file),
        get ("/people",                      Person(People),       persons::list),
        post("/people",                      Person(People),       persons::add),
        get ("/people/{operator}",           Person(People),       persons::show),
        post("/people/{operator}/invite",    Person(People),       persons::invite),
        post("/people/{operator}/roles",     Person(People),       persons::roles),
        post("/people/{operator}/cover",     Person(People),       persons::cover),
        post("/people/{operator}/remove",    Person(People),       persons::remove),
    ]
}

pub(super) fn tablets(app: &App) -> Router {
    around(table(tablet_routes(), app), app)
}

pub(super) fn people(app: &App) -> Router {
    let table = table(people_routes(), app);
    around(
        table.layer(from_fn_with_state(app.clone(), host::require_known)),
        app,
    )
}

fn table(routes: Vec<Route>, app: &App) -> Router<App> {
    let mut whole = Router::new();
    for route in routes {
        let handler = match route.requires {
            Requires::Nothing => route.handler,
            Requires::Device => route
                .handler
                .route_layer(from_fn_with_state(app.clone(), auth::require_device)),
            Requires::Token(scope) => route.handler.route_layer(from_fn_with_state(
                (app.clone(), scope),
                auth::require_token,
            )),
            Requires::Person(area) => route.handler.route_layer(from_fn_with_state(
                (app.clone(), area),
                console::gate::require_person,
            )),
        };
        whole = whole.route(route.path, handler);
    }
    whole
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
}

fn around(table: Router<App>, app: &App) -> Router {
    table
        .layer(from_fn_with_state(app.clone(), auth::know_client))
        .layer(from_fn(error::observe))
        .with_state(app.clone())
}

fn get<H: Handler<T, App>, T: 'static>(
    path: &'static str,
    requires: Requires,
    handler: H,
) -> Route {
    Route {
        method: Method::GET,
        path,
        requires,
        handler: on(MethodFilter::GET, handler),
    }
}

fn put<H: Handler<T, App>, T: 'static>(
    path: &'static str,
    requires: Requires,
    handler: H,
) -> Route {
    Route {
        method: Method::PUT,
        path,
        requires,
        handler: on(MethodFilter::PUT, handler),
    }
}

fn post<H: Handler<T, App>, T: 'static>(
    path: &'static str,
    requires: Requires,
    handler: H,
) -> Route {
    Route {
        method: Method::POST,
        path,
        requires,
        handler: on(MethodFilter::POST, handler),
    }
}
