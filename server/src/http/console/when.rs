//! Times and days as people of the setting read them.

use crate::domain::local_time::LocalTime;
use crate::http::app::App;
use crate::http::error::ApiError;
use jiff::Timestamp;
use jiff::civil::Date;
use maud::{Markup, html};

/// The setting's time zone, and what time it is.
pub(super) struct When {
    pub(super) local: LocalTime,
    pub(super) now: Timestamp,
}

impl When {
    /// Until the setting has a profile that names its zone, in UTC.
    pub(super) async fn of(app: &App) -> Result<Self, ApiError> {
        let local = LocalTime::load(&app.storage).await;
        Ok(Self {
            local: local.map_err(ApiError::internal)?,
            now: app.now(),
        })
    }

    pub(super) fn today(&self) -> Date {
        self.local.date(self.now)
    }

    pub(super) fn clock(&self) -> String {
        self.local.local(self.now).strftime("%H:%M").to_string()
    }

    pub(super) fn at(&self, at: Timestamp) -> Markup {
        let local = self.local.local(at);
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
