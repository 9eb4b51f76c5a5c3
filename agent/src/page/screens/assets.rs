//! Style, script and icon, as they were built in.

use super::super::answer::{self, Answer};
use ring::digest::{SHA256, digest};
use std::fmt::Write as _;
use std::sync::LazyLock;

const STYLE: &str = include_str!("../style.css");
const SCRIPT: &str = include_str!("../page.js");
const ICON: &str = include_str!("../icon.svg");

/// Changes with any of them, so that a browser may keep what it has.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all = [STYLE, SCRIPT, ICON].concat();
    let digest = digest(&SHA256, all.as_bytes());
    digest.as_ref()[..8]
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
});

pub(in super::super) fn address(path: &str) -> String {
    format!("{path}?v={}", *VERSION)
}

pub(in super::super) fn style() -> Answer {
    answer::asset("text/css; charset=utf-8", STYLE)
}

pub(in super::super) fn script() -> Answer {
    answer::asset("text/javascript; charset=utf-8", SCRIPT)
}

pub(in super::super) fn icon() -> Answer {
    answer::asset("image/svg+xml", ICON)
}
