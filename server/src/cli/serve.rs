//! `serve` and `signer`: the two processes that stay.

use super::reply::{Reply, line};
use super::session::open_storage;
use crate::door::Doors;
use crate::settings::{DataDir, Settings};
use crate::signing::{SignerLimits, SignerSettings, signer};
use crate::wiring;
use anyhow::Context as _;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(clap::Args)]
pub(super) struct SignerArgs {
    /// The number of a user, besides the signer's own, that may ask for signatures; repeat for several
    #[arg(long = "allow-uid", value_name = "UID")]
    allowed_uids: Vec<u32>,
    /// The signer's own directory [default: `signer` in the data directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) async fn run(data: &DataDir, doors: &Doors, json: bool) -> anyhow::Result<Reply> {
    let settings = Settings::load(data)?;
    let storage = open_storage(data).await?;
    let stop = stop_signal()?;
    let served = wiring::serve(data, &settings, storage, doors, stop, |ready| {
        if json {
            line(
                &json!({
                    "ready": true, "tablets": ready.tablets, "console": ready.console,
                })
                .to_string(),
            );
        } else {
            line(&format!(
                "Ready: tablets at {}, people at https://{}",
                ready.tablets, ready.console
            ));
        }
    });
    Box::pin(served).await?;
    Ok(Reply::new(json!({ "stopped": true }), ""))
}

pub(super) async fn signer(
    args: SignerArgs,
    data: &DataDir,
    doors: &Doors,
) -> anyhow::Result<Reply> {
    let settings = SignerSettings {
        dir: args.dir.unwrap_or_else(|| data.signer_dir()),
        allowed_uids: args.allowed_uids.into_iter().collect(),
        limits: SignerLimits::default(),
    };
    let stop = stop_signal()?;
    signer::run(settings, Arc::clone(&doors.clock), stop).await?;
    Ok(Reply::new(json!({ "stopped": true }), ""))
}

/// Completes at SIGTERM or SIGINT, from here on.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).context("failed to listen for signals");
    let (mut terminate, mut interrupt): (Signal, Signal) = (
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    );
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
