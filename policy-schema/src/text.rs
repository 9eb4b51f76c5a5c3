//! Characters that a person cannot see for what they are, in what comes from outside.

use std::borrow::Cow;

/// Whether a character moves a cursor, rings, or changes in which order the others are read. The joiners that some
/// scripts need in a name are not among them.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// As it can be shown on one line: what is unseen is written out.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unseen) {
        return Cow::Borrowed(text);
    }
    let written = |c: char| match c {
        c if is_unseen(c) => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    Cow::Owned(text.chars().map(written).collect())
}

/// Likewise of several lines: their ends and tabs stay.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    let unseen = |c: char| is_unseen(c) && c != '\n' && c != '\t';
    if !text.chars().any(unseen) {
        return Cow::Borrowed(text);
    }
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| {
            let cells: Vec<Cow<'_, str>> = line.split('\t').map(visible).collect();
            cells.join("\t")
        })
        .collect();
    Cow::Owned(lines.join("\n"))
}
