//! A form with a file (multipart/form-data, RFC 7578), as browsers send it, read from a body whose size was bounded before.
//!
//! Own code, because the body is held whole anyway: what a streaming parser would add is state, and a dependency on the
//! way of everything an unknown client sends.

/// Ends a part's head and begins what it holds.
const HEAD_END: &[u8] = b"\r\n\r\n";
const MAX_HEAD_BYTES: usize = 4096;
/// RFC 2046.
const MAX_BOUNDARY_CHARS: usize = 70;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'b> {
    pub(super) name: &'b str,
    pub(super) is_file: bool,
    pub(super) content: &'b [u8],
}

/// `None`: the body is no such form.
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, rest) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = rest.trim().strip_prefix("boundary=")?.trim_matches('"');
    let is_sound = (1..=MAX_BOUNDARY_CHARS).contains(&boundary.len())
        && boundary
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b';' && b != b'"');
    is_sound.then_some(boundary)
}

/// The parts in the order they were sent, at most `most`. `None`: it is not whole, or no browser writes it so.
pub(super) fn parts<'b>(body: &'b [u8], boundary: &str, most: usize) -> Option<Vec<Part<'b>>> {
    let line = format!("--{boundary}");
    let between = format!("\r\n{line}");
    let mut rest = body.strip_prefix(line.as_bytes())?;
    let mut found = Vec::new();
    loop {
        if let Some(end) = rest.strip_prefix(b"--") {
            return (end.is_empty() || end == b"\r\n").then_some(found);
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let head_len = position(rest.get(..MAX_HEAD_BYTES).unwrap_or(rest), HEAD_END)?;
        let (head, content) = (
            rest.get(..head_len)?,
            rest.get(head_len + HEAD_END.len()..)?,
        );
        let len = position(content, between.as_bytes())?;
        if found.len() == most {
            return None;
        }
        found.push(part(std::str::from_utf8(head).ok()?, content.get(..len)?)?);
        rest = content.get(len + between.len()..)?;
    }
}

fn part<'b>(head: &'b str, content: &'b [u8]) -> Option<Part<'b>> {
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition")
            .then(|| value.trim())
    })?;
    let after = disposition.strip_prefix("form-data; name=\"")?;
    let (name, more) = after.split_once('"')?;
    Some(Part {
        name,
        is_file: more.starts_with("; filename"),
        content,
    })
}

fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(boundary: &str, parts: &[(&str, bool, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, is_file, content) in parts {
            let file = if *is_file {
                "; filename=\"a register.csv\"\r\nContent-Type: text/csv"
            } else {
                ""
            };
            let head = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n"
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        body
    }

    proptest! {
        #[test]
        fn what_a_browser_sends_is_read_back(
            text in proptest::collection::vec(any::<u8>(), 0..60),
            file in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), any::<u8>()], 0..200),
        ) {
            let body = written("----browser7", &[("form_token", false, &text), ("file", true, &file)]);
            let read = parts(&body, "----browser7", 9).unwrap_or_default();
            prop_assert_eq!(read, vec![
                Part { name: "form_token", is_file: false, content: &text },
                Part { name: "file", is_file: true, content: &file },
            ]);
        }

        #[test]
        fn what_was_cut_short_is_not_read(cut in 1_usize..150) {
            let body = written("b", &[("form_token", false, b"t"), ("file", true, b"reference,first_name")]);
            let end = body.len() - 2;
            prop_assert_eq!(parts(&body[..end.saturating_sub(cut)], "b", 9), None);
        }

        #[test]
        fn anything_at_all_is_read_or_refused(body in proptest::collection::vec(prop_oneof![Just(b'-'), Just(b'b'), Just(b'\r'), Just(b'\n'), any::<u8>()], 0..80)) {
            let _ = parts(&[b"--b\r\n".as_slice(), &body].concat(), "b", 9);
        }
    }

    #[test]
    fn more_parts_than_a_page_has_are_refused() {
        let body = written(
            "b",
            &[("a", false, b""), ("a", false, b""), ("a", false, b"")],
        );
        assert!(parts(&body, "b", 3).is_some());
        assert_eq!(parts(&body, "b", 2), None);
    }

    #[test]
    fn only_a_form_with_a_sound_boundary_is_one() {
        assert_eq!(
            boundary("multipart/form-data; boundary=----x9"),
            Some("----x9")
        );
        assert_eq!(boundary("Multipart/Form-Data; boundary=\"x\""), Some("x"));
        let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
        for wrong in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/mixed; boundary=x",
            "multipart/form-data; boundary=a b",
            "application/x-www-form-urlencoded",
            &long,
        ] {
            assert_eq!(boundary(wrong), None, "{wrong}");
        }
    }
}
