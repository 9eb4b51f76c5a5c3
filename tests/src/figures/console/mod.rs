//! How soon the console's pages answer with ten thousand tablets and five million events, and whether they take longer
//! for what was told before.

mod seed;

use super::sample::{Figure, Samples};
use crate::demo::WayIn;
use crate::fleet::{Fleet, ZONE};
use crate::patience::until_empty;
use crate::process::Programs;
use crate::profile;
use crate::register::Register;
use anyhow::{Context as _, Result, ensure};
use nestwarden_server::storage::sql;
use std::io::Write as _;
use std::time::{Duration, Instant};

const ROOM: &str = "Room 1";

/// What the product promises.
const TARGET_MS: f64 = 150.0;

/// Of every page, after two that nobody counts.
const ASKED: usize = 40;
const WARM_UP: usize = 2;

#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    tablets: usize,
    /// Of each tablet.
    events: usize,
    children: usize,
}

impl Size {
    pub(super) const FULL: Self = Self {
        tablets: 10_000,
        events: 500,
        children: 300,
    };
    /// To see that it works; the numbers say little.
    pub(super) const QUICK: Self = Self {
        tablets: 100,
        events: 100,
        children: 60,
    };
}

/// Blocks for minutes.
pub(super) fn measure(size: Size) -> Result<Vec<Figure>> {
    let today = crate::clock::system_now().in_tz(ZONE)?.date();
    let register = Register::of(today.yesterday()?, size.children, ROOM);
    let programs = Programs::of_this_process()?;
    let mut fleet = Fleet::open(&programs, &profile::everything(), &register)?;
    fleet.server.stop()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let now = fleet.clock().now()?;
    let path = fleet.server.data_dir().join("nestwarden.db");
    say("enrolling");
    let (mut tablets, children) = runtime.block_on(async {
        let storage = sql::open(&path).await?;
        let children = storage.child_list().await?;
        let children: Vec<_> = children.into_iter().map(|child| child.id).collect();
        let mut tablets = seed::enrol(&storage, size.tablets, now).await?;
        seed::tell(&storage, &mut tablets, size.events / 10, &children, now).await?;
        anyhow::Ok((tablets, children))
    })?;
    fleet.server.database().change(&seed::hours(now)?)?;
    say("issuing bundles");
    fleet.server.start()?;
    wait_for_bundles(&fleet, size.tablets)?;
    let mut way_in = WayIn::make(&fleet)?;
    let pages = pages(&fleet)?;
    // A report is old after sixteen minutes, and a session that nobody uses ends.
    let mut ask = |tablets: &[seed::Told], fleet: &Fleet| {
        let now = fleet.clock().now()?;
        runtime.block_on(async {
            let storage = sql::open(&path).await?;
            seed::report(&storage, tablets, now).await
        })?;
        let cookie = way_in.cookie(fleet)?;
        runtime.block_on(ask_all(fleet, &cookie, &pages))
    };
    say("asking with a tenth of the events");
    let fewer = ask(&tablets, &fleet)?;
    fleet.server.stop()?;
    say("telling the rest");
    runtime.block_on(async {
        let storage = sql::open(&path).await?;
        let rest = size.events - size.events / 10;
        seed::tell(&storage, &mut tablets, rest, &children, now).await
    })?;
    fleet.server.start()?;
    say("asking with all events");
    let all = ask(&tablets, &fleet)?;
    fleet.check_logs()?;
    Ok(pages
        .iter()
        .zip(all.iter().zip(&fewer))
        .map(|((_, name), (all, fewer))| {
            let name = format!("{name}, p95 (with a tenth of the events, beside)");
            Figure::new(name, all.quantile(0.95), "ms")
                .at_most(TARGET_MS)
                .beside(fewer.quantile(0.95))
                .over(all)
        })
        .collect())
}

fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "console: {what}");
}

fn wait_for_bundles(fleet: &Fleet, tablets: usize) -> Result<()> {
    let database = fleet.server.database();
    until_empty("bundles that are not issued", || {
        let issued = database.number("SELECT COUNT(DISTINCT device_id) FROM bundles")?;
        let issued = usize::try_from(issued)?;
        Ok(vec![(); tablets.saturating_sub(issued)])
    })
}

/// Address and name of every page that shows something of tablets, photos, children or events.
fn pages(fleet: &Fleet) -> Result<Vec<(String, &'static str)>> {
    let database = fleet.server.database();
    let one = |sql: &str| {
        let found = database.texts(sql)?.into_iter().next();
        found.with_context(|| format!("nothing: {sql}"))
    };
    let tablet = one("SELECT device_id FROM devices ORDER BY name LIMIT 1")?;
    let child = one("SELECT child_id FROM children ORDER BY reference LIMIT 1")?;
    let photo = database
        .texts("SELECT device_id || '/' || photo_id FROM photos WHERE receipt IS NOT NULL LIMIT 1")?
        .into_iter()
        .next();
    let mut pages = vec![
        ("/".to_owned(), "overview"),
        ("/tablets".to_owned(), "tablets"),
        (
            "/tablets?search=042&sort=silent&page=2".to_owned(),
            "tablets, searched",
        ),
        (format!("/tablets/{tablet}"), "one tablet"),
        ("/profiles".to_owned(), "profiles"),
        (format!("/profiles/{}", profile::NAME), "one profile"),
        ("/enrol".to_owned(), "adding a tablet"),
        ("/consents".to_owned(), "children"),
        (format!("/children/{child}"), "one child"),
        (
            format!("/children/{child}/withdraw?purpose=display_in_setting"),
            "withdrawing a consent",
        ),
        ("/tasks".to_owned(), "tasks"),
        ("/holds".to_owned(), "holds"),
        ("/receipts".to_owned(), "receipts"),
        ("/reports".to_owned(), "reports"),
        ("/people".to_owned(), "people"),
        ("/account".to_owned(), "account"),
    ];
    if let Some(photo) = photo {
        pages.push((format!("/receipts/{photo}"), "one receipt"));
    }
    Ok(pages)
}

async fn ask_all(
    fleet: &Fleet,
    cookie: &str,
    pages: &[(String, &'static str)],
) -> Result<Vec<Samples>> {
    // Already done is done as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The certificate is the console's own, which nobody vouches for.
    let client = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let origin = format!("https://{}", fleet.server.console_address());
    let mut found = Vec::with_capacity(pages.len());
    for (path, name) in pages {
        let mut took = Vec::with_capacity(ASKED);
        for turn in 0..WARM_UP + ASKED {
            let begun = Instant::now();
            let request = client
                .get(format!("{origin}{path}"))
                .header("cookie", cookie);
            let answer = request.send().await?;
            let status = answer.status();
            let bytes = answer.bytes().await?.len();
            ensure!(status == 200, "{path} ({name}) answered {status}");
            ensure!(bytes > 500, "{path} ({name}) answered {bytes} bytes");
            if turn >= WARM_UP {
                took.push(begun.elapsed());
            }
            // A page that takes seconds is over its budget, however often it is asked for.
            if took.iter().sum::<Duration>() > Duration::from_secs(20) {
                break;
            }
        }
        found.push(Samples::milliseconds(&took));
    }
    Ok(found)
}
