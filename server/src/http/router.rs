//! Every route there is, in a table that says what each requires. Tests walk the same table.

use super::app::App;
use super::{admin_api, auth, device_api, error, people};
use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, MethodRouter, on};
use nestwarden_policy_schema::device_api::{
    BUNDLE_PATH, ENROL_PATH, EVENTS_PATH, EXPORT_PATH, INVENTORY_PATH, NAMES_PATH,
    RENEW_EXPIRED_PATH, RENEW_NONCE_PATH, RENEW_PATH, UNSEAL_PATH,
};

/// Who may call a route. There is no default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requires {
    /// Anyone; the handler checks a token, a signature, or gives nothing away.
    Nothing,
    /// A device certificate in date, of a device that is known and not revoked.
    Device,
    /// An operator's token.
    Operator,
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
        post(ENROL_PATH,         Nothing, device_api::enrol::enrol),
        get (BUNDLE_PATH,        Device,  device_api::bundle::fetch),
        post(EVENTS_PATH,        Device,  device_api::events::take_in),
        post(INVENTORY_PATH,     Device,  device_api::inventory::put),
        post(NAMES_PATH,         Device,  device_api::names::of_session),
        post(UNSEAL_PATH,        Device,  device_api::unseal::unseal),
        put (EXPORT_PATH,        Device,  device_api::export::take_in),
        post(RENEW_PATH,         Device,  device_api::renew::renew),
        post(RENEW_NONCE_PATH,   Nothing, device_api::renew::nonce),
        post(RENEW_EXPIRED_PATH, Nothing, device_api::renew::renew_expired),
    ]
}

#[rustfmt::skip]
pub fn people_routes() -> Vec<Route> {
    use Requires::{Nothing, Operator};
    vec![
        get("/",                 Nothing,  people::status_page),
        get("/healthz",          Nothing,  people::health),
        get("/admin/v1/devices", Operator, admin_api::device::list),
        post("/admin/v1/imports", Operator, admin_api::import::create),
    ]
}

pub(super) fn router(routes: Vec<Route>, app: &App) -> Router {
    let mut whole = Router::new();
    for route in routes {
        let handler = match route.requires {
            Requires::Nothing => route.handler,
            Requires::Device => route
                .handler
                .route_layer(from_fn_with_state(app.clone(), auth::require_device)),
            Requires::Operator => route
                .handler
                .route_layer(from_fn_with_state(app.clone(), auth::require_operator)),
        };
        whole = whole.route(route.path, handler);
    }
    whole
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
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
