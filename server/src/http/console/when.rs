//! Times and days as people of the setting read them.

use crate::domain::task::local_calendar;
use crate::http::app::App;
use crate::http::error::ApiError;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use maud::{Markup, html};

/// The setting's time zone, and what time it is.
pub(super) struct When {
    zone: TimeZone,
    pub(super) now: Timestamp,
}

impl When {
    /// Until the setting has a profile that names its zone, in UTC.
    pub(super) async fn of(app: &App) -> Result<Self, ApiError> {
        let calendar = local_calendar(&app.storage)
            .await
            .map_err(ApiError::internal)?;
        let zone = calendar.and_then(|calendar| TimeZone::get(&calendar.time_zone).ok());
        Ok(Self {
            zone: zone.unwrap_or(TimeZone::UTC),
            now: app.now(),
        })
    }

    pub(super) fn today(&self) -> Date {
        self.now.to_zoned(self.zone.clone()).date()
    }

    pub(super) fn clock(&self) -> String {
        self.now
            .to_zoned(self.zone.clone())
            .strftime("%H:%M")
            .to_string()
    }

    pub(super) fn at(&self, at: Timestamp) -> Markup {
        let local = at.to_zoned(self.zone.clone());
        let shown = if local.date() == self.today() {
            local.strftime("%H:%M").to_string()
        } else {
            local.strftime("%-d %b %Y, %H:%M").to_string()
        };
        html! { time datetime=(at) { (shown) } }
    }

    pub(super) fn or_never(&self, at: Option<Timestamp>) -> Markup {
        at.map_or_else(|| html! { "never" }, |at| self.at(at))
    }
}

pub(super) fn day(day: Date) -> Markup {
    html! { time datetime=(day) { (day.strftime("%-d %b %Y")) } }
}
