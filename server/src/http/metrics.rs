//! How the setting stands, for whoever watches servers: counts, in the text format of Prometheus (0.0.4). No person, child or
//! photo is in it.

use super::app::App;
use super::error::ApiError;
use super::people::Health;
use crate::domain::alert::is_of_concern;
use crate::domain::compliance::Standing;
use crate::domain::fleet::{self, Tablet};
use crate::storage::WithClosed;
use axum::extract::State;
use axum::http::{HeaderName, header};
use jiff::Timestamp;
use std::fmt::Write as _;

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

struct Page(String);

impl Page {
    fn gauge(&mut self, name: &str, says: &str) {
        let _ = writeln!(
            self.0,
            "# HELP nestwarden_{name} {says}\n# TYPE nestwarden_{name} gauge"
        );
    }

    fn value(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "nestwarden_{name}{labels} {value}");
    }

    fn alone(&mut self, name: &str, says: &str, value: impl std::fmt::Display) {
        self.gauge(name, says);
        self.value(name, "", value);
    }
}

pub(super) async fn show(
    State(app): State<App>,
) -> Result<([(HeaderName, &'static str); 1], String), ApiError> {
    let now = app.now();
    let mut page = Page(String::new());
    let health = Health::of(&app).await;
    let works = u8::from(health.obstacle().is_none());
    page.alone(
        "up",
        "Whether tablets can be told anything new: 1, or 0.",
        works,
    );
    let found = fleet::all(&app.storage, &app.inventories, now).await;
    tablets(&mut page, &found.map_err(ApiError::internal)?, now);
    tasks(&app, &mut page, now).await?;
    mails(&app, &mut page, now).await?;
    Ok(([(header::CONTENT_TYPE, FORMAT)], page.0))
}

fn tablets(page: &mut Page, tablets: &[Tablet], now: Timestamp) {
    page.gauge("tablets", "Tablets by how they stand.");
    for (standing, label) in [
        (Standing::Fine, "ready"),
        (Standing::Observing, "observing"),
        (Standing::NotChecked, "not_checked"),
        (Standing::Attention, "attention"),
        (Standing::Revoked, "revoked"),
    ] {
        let count = tablets.iter().filter(|tablet| tablet.standing == standing);
        let labels = format!("{{standing=\"{label}\"}}");
        page.value("tablets", &labels, count.count());
    }
    let in_use = || {
        let all = tablets.iter();
        all.filter(|tablet| tablet.standing != Standing::Revoked)
    };
    let photos: u64 = in_use().map(Tablet::photos_in_use).sum();
    page.alone(
        "photos_in_use",
        "Photos in use on tablets, as they told last.",
        photos,
    );
    let never = in_use().filter(|tablet| tablet.reported_at().is_none());
    page.alone(
        "tablets_never_reported",
        "Tablets in use that never reported.",
        never.count(),
    );
    let oldest = in_use().filter_map(Tablet::reported_at).min();
    // Absent where none ever reported: a number would be a guess.
    if let Some(oldest) = oldest {
        let seconds = now.duration_since(oldest).as_secs();
        page.alone(
            "oldest_report_seconds",
            "Age of the oldest last report of a tablet in use.",
            seconds.max(0),
        );
    }
}

async fn tasks(app: &App, page: &mut Page, now: Timestamp) -> Result<(), ApiError> {
    let open = app.storage.task_list(WithClosed::No).await;
    let mut open = open.map_err(ApiError::internal)?;
    // Some holds are kept from some people, who may have a token like anybody.
    open.retain(|task| task.subject.hold.is_none());
    let local = crate::domain::local_time::LocalTime::load(&app.storage).await;
    let today = local.map_err(ApiError::internal)?.date(now);
    let overdue = open.iter().filter(|task| task.due < today).count();
    page.gauge(
        "tasks",
        "Open tasks, without those of holds, incidents and concerns.",
    );
    page.value("tasks", "{state=\"overdue\"}", overdue);
    page.value("tasks", "{state=\"open\"}", open.len() - overdue);
    Ok(())
}

async fn mails(app: &App, page: &mut Page, now: Timestamp) -> Result<(), ApiError> {
    let mut mails = app.storage.mail_list().await.map_err(ApiError::internal)?;
    mails.retain(|mail| !is_of_concern(mail));
    let given_up = mails.iter().filter(|mail| mail.gave_up_at.is_some());
    let given_up = given_up.count();
    page.gauge(
        "mails",
        "E-mail to people that was not sent yet, without that of concerns.",
    );
    page.value("mails", "{state=\"given_up\"}", given_up);
    page.value("mails", "{state=\"waiting\"}", mails.len() - given_up);
    let oldest = mails.iter().map(|mail| mail.made_at).min();
    let seconds = oldest.map_or(0, |at| now.duration_since(at).as_secs().max(0));
    page.alone(
        "oldest_mail_seconds",
        "Age of the oldest e-mail that was not sent yet; 0 where there is none.",
        seconds,
    );
    Ok(())
}
