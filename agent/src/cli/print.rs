//! What goes to standard output and standard error: the only place that writes to either.

use nestwarden_policy_schema::text::is_unseen;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// How the person wants the answer.
#[derive(Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
}

impl Output {
    pub(super) fn answer(self, json: &impl Serialize, words: impl FnOnce() -> String) {
        if self.json {
            answer(json);
        } else {
            line(&mut std::io::stdout(), &words());
        }
    }
}

pub(super) fn answer(json: &impl Serialize) {
    match serde_json::to_string_pretty(json) {
        Ok(text) => line(&mut std::io::stdout(), &text),
        Err(error) => story(&format!("failed to write the answer: {error}")),
    }
}

pub(super) fn story(text: &str) {
    line(&mut std::io::stderr(), text);
}

/// A table of photos as the agent lists them.
pub(super) fn photos(answer: &Value) -> String {
    let Some(photos) = answer["photos"].as_array().filter(|p| !p.is_empty()) else {
        return "There are no photos on this tablet.".to_owned();
    };
    let mut text = String::new();
    for photo in photos {
        let due = &photo["deadline"];
        let count = |of: &Value| of.as_array().map_or(0, Vec::len);
        let next = if photo["frozen"] == true {
            "frozen: nothing may touch it".to_owned()
        } else if due.is_null() {
            "nothing is due".to_owned()
        } else {
            format!(
                "{} at {} ({})",
                plain(&due["stage"]),
                local(&due["at_local"]),
                plain(&due["cause"])
            )
        };
        let _ = writeln!(
            text,
            "{}  {:<9}  taken {}  {}",
            plain(&photo["id"]),
            plain(&photo["stage"]),
            local(&photo["captured_local"]),
            next
        );
        let named = count(&photo["confirmed"]);
        let who = match photo["tagging"].as_str() {
            Some("no_child") => "no child".to_owned(),
            Some("complete") => format!("everybody named: {named}"),
            _ => format!(
                "named: {named}; may be in it: {}",
                count(&photo["subjects"])
            ),
        };
        let _ = writeln!(text, "  {who}");
        for path in photo["paths"].as_array().into_iter().flatten() {
            let _ = writeln!(text, "  {}", shown(&plain(path)));
        }
    }
    text.trim_end().to_owned()
}

/// A name that somebody gave a file: it forges no line, and changes none.
fn shown(name: &str) -> String {
    let mut shown = String::with_capacity(name.len());
    for c in name.chars() {
        if is_unseen(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A time on the setting's clocks, to the minute.
fn local(value: &Value) -> String {
    let text = plain(value).replace('T', " ");
    text.chars().take("2026-09-01 10:30".len()).collect()
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn line(to: &mut impl std::io::Write, text: &str) {
    // Whoever closed the pipe does not want to hear of it.
    let _ = writeln!(to, "{text}").and_then(|()| to.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_forges_no_line_of_the_list() {
        let listed = serde_json::json!({ "photos": [{
            "id": "01a2", "stage": "live", "captured_local": "2026-03-02T10:00:00", "deadline": null,
            "tagging": "no_child", "frozen": false, "paths": ["home/anna/a\n01b3  live \u{202e}gpj.jpg"],
        }] });
        assert_eq!(
            photos(&listed),
            "01a2  live       taken 2026-03-02 10:00  nothing is due\n  no child\n  home/anna/a\\n01b3  live \\u{202e}gpj.jpg"
        );
    }
}
