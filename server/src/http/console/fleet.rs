//! All tablets: found by name, room and how they stand, a page at a time.

use super::gate::Visitor;
use super::layout::{empty, field, page, table};
use super::page::Page;
use super::pages::Pages;
use super::tablets::{badge_of, path, rooms, what_to_do};
use super::when::When;
use crate::domain::compliance::Standing;
use crate::domain::fleet::{self, Tablet};
use crate::domain::role::Area;
use crate::http::app::App;
use crate::http::error::ApiError;
use axum::extract::{Extension, Query, State};
use jiff::Timestamp;
use maud::{Markup, html};
use nestwarden_policy_schema::consent::RoomName;
use serde::Deserialize;
use std::cmp::Reverse;
use std::collections::BTreeSet;

const ON_ONE_PAGE: usize = 50;

/// How the list is asked for. A word that is not known counts as none.
#[derive(Deserialize, Default)]
pub(in crate::http) struct Asked {
    #[serde(default)]
    search: String,
    #[serde(default)]
    room: String,
    #[serde(default)]
    show: String,
    #[serde(default)]
    sort: String,
    #[serde(default)]
    page: String,
}

/// What may be shown of all, in the order in which it is offered.
const SHOWS: [(&str, &str, Option<Standing>); 6] = [
    ("", "In use", None),
    ("attention", "Needs attention", Some(Standing::Attention)),
    ("unchecked", "Not checked", Some(Standing::NotChecked)),
    ("watched", "Watched only", Some(Standing::Observing)),
    ("ready", "Ready", Some(Standing::Fine)),
    ("out", "Shut out", Some(Standing::Revoked)),
];

const SORTS: [(&str, &str); 3] = [
    ("", "What needs somebody first"),
    ("name", "By name"),
    ("silent", "Longest not heard first"),
];

impl Asked {
    fn admits(&self, tablet: &Tablet, words: &str) -> bool {
        let device = tablet.device();
        let shown = SHOWS.iter().find(|(name, ..)| *name == self.show);
        let stands = match shown.and_then(|(.., standing)| *standing) {
            Some(standing) => tablet.standing == standing,
            None => tablet.standing != Standing::Revoked,
        };
        let is_in =
            self.room.is_empty() || device.rooms.iter().any(|room| room.as_str() == self.room);
        stands && is_in && device.name.to_lowercase().contains(words)
    }

    /// `tablets` come by name.
    fn arrange(&self, tablets: &mut [&Tablet]) {
        match self.sort.as_str() {
            "name" => {}
            "silent" => tablets.sort_by_key(|tablet| tablet.device().last_seen_at),
            _ => tablets.sort_by_key(|tablet| Reverse(tablet.standing)),
        }
    }

    fn is_plain(&self) -> bool {
        self.search.trim().is_empty() && self.room.is_empty() && self.show.is_empty()
    }

    fn pages(&self, of: usize) -> Pages {
        let kept = [
            ("search", self.search.as_str()),
            ("room", &self.room),
            ("show", &self.show),
            ("sort", &self.sort),
        ];
        Pages::new("/tablets", &kept, &self.page, of, ON_ONE_PAGE)
    }
}

/// Every tablet that was not shut out, the worst first.
pub(super) async fn in_use(app: &App, now: Timestamp) -> Result<Vec<Tablet>, ApiError> {
    let mut tablets = fleet::all(&app.storage, &app.inventories, now)
        .await
        .map_err(ApiError::internal)?;
    tablets.retain(|tablet| tablet.standing != Standing::Revoked);
    tablets.sort_by_key(|tablet| Reverse(tablet.standing));
    Ok(tablets)
}

pub(in crate::http) async fn list(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Result<Page, ApiError> {
    let when = When::of(&app).await?;
    let tablets = fleet::all(&app.storage, &app.inventories, when.now)
        .await
        .map_err(ApiError::internal)?;
    let search = asked.search.trim().to_lowercase();
    let mut found: Vec<&Tablet> = tablets
        .iter()
        .filter(|tablet| asked.admits(tablet, &search))
        .collect();
    asked.arrange(&mut found);
    let pages = asked.pages(found.len());
    let rows: Vec<Vec<Markup>> = pages
        .of(&found)
        .iter()
        .map(|tablet| row(tablet, &when))
        .collect();
    let content = html! {
        @if tablets.is_empty() {
            (empty(&html! {
                h2 { "No tablet yet" }
                p { "Begin with one: its page shows a code for the tablet to scan, and says when it has arrived." }
            }))
        } @else {
            (filters(&tablets, &asked))
            @if rows.is_empty() {
                (empty(&html! {
                    p { @if asked.is_plain() { "No tablet is in use. " } @else { "No tablet fits. " } a href="/tablets?show=out" { "Show those shut out" } " or " a href="/tablets" { "all in use" } "." }
                }))
            } @else {
                (table(&pages.caption("tablet"), &["Tablet", "How it stands", "What to do", "Rooms", "Last heard"], &rows))
                (pages.links())
            }
        }
        @if visitor.may(Area::Enrol) { p { a.button href="/enrol" { "Add a tablet" } } }
    };
    Ok(page(&visitor, "/tablets", "Tablets", &content))
}

fn row(tablet: &Tablet, when: &When) -> Vec<Markup> {
    let device = tablet.device();
    vec![
        html! { a href=(path(device.id)) { (device.name) } },
        badge_of(tablet.standing),
        html! {
            @match &device.revoked {
                Some(revoked) => { "Shut out " (when.at(revoked.at)) ": " (revoked.reason) }
                None => (what_to_do(&tablet.compliance(when.now), &when.local))
            }
        },
        html! { (rooms(device)) },
        when.or_never(device.last_seen_at),
    ]
}

fn filters(tablets: &[Tablet], asked: &Asked) -> Markup {
    let rooms: BTreeSet<&str> = tablets
        .iter()
        .flat_map(|tablet| tablet.device().rooms.iter().map(RoomName::as_str))
        .collect();
    html! {
        form.filter method="get" action="/tablets" {
            (field("Search", "", &html! { input type="search" name="search" value=(asked.search); }))
            (field("Room", "", &html! {
                select name="room" {
                    option value="" { "Every room" }
                    @for room in &rooms { option value=(room) selected[asked.room == *room] { (room) } }
                }
            }))
            (field("Show", "", &html! {
                select name="show" {
                    @for (value, says, _) in SHOWS { option value=(value) selected[asked.show == value] { (says) } }
                }
            }))
            (field("Order", "", &html! {
                select name="sort" {
                    @for (value, says) in SORTS { option value=(value) selected[asked.sort == value] { (says) } }
                }
            }))
            button { "Show" }
        }
    }
}
