//! `page`: the link to the tablet's page, said or opened.

use super::Ended;
use super::print::Output;
use crate::paths::Paths;
use anyhow::{Context as _, bail};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Browsers that show a page as an app of its own, by `--app`.
const APP_BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "microsoft-edge",
];

pub(super) fn say(paths: &Paths, output: Output) -> anyhow::Result<Ended> {
    let link = link(paths)?;
    output.answer(&serde_json::json!({ "link": link }), || link.clone());
    Ok(Ended::Done)
}

/// Becomes the browser. Other users may read the link in the list of programs; it opens the page for staff only.
pub(super) fn open(paths: &Paths) -> anyhow::Result<Ended> {
    let link = link(paths)?;
    let app = format!("--app={link}");
    let browsers = APP_BROWSERS.map(|browser| (browser, app.as_str()));
    for (program, argument) in browsers.into_iter().chain([("xdg-open", link.as_str())]) {
        let error = Command::new(program).arg(argument).exec();
        if error.kind() != ErrorKind::NotFound {
            return Err(error).with_context(|| format!("failed to start `{program}`"));
        }
    }
    bail!(
        "this tablet has no browser that is known here; install chromium, or open the link of `nestwarden-agent page`"
    )
}

fn link(paths: &Paths) -> anyhow::Result<String> {
    let path = paths.page_link_path();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "the page is not there: no agent runs, or it could not open one (its log says why); start it with `nestwarden-agent run` or its service"
        ),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => bail!(
            "this user may not open the page; only root and members of the tablet's staff group may"
        ),
        Err(error) => Err(error).with_context(|| format!("failed to read `{}`", path.display())),
    }
}
