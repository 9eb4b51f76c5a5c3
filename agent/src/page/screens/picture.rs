//! One photo's bytes, for its screen and nobody else.

use super::super::Desk;
use super::super::answer::{self, Answer, Trouble};
use super::super::router::Ask;
use crate::photos::PhotosError;
use crate::photos::viewing::Viewed;
use nestwarden_policy_schema::id::PhotoId;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// A picture beyond this is none a camera took, and would fill a small tablet's memory.
const MOST_PICTURE_BYTES: u64 = 64 * 1024 * 1024;

/// How a screen shows a photo.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Picture,
    Video,
    /// No browser opens it.
    Not,
}

impl Shown {
    pub(super) fn of(media: &str) -> Self {
        match media {
            "image/jpeg" | "image/png" | "image/gif" | "image/webp" | "image/avif" => Self::Picture,
            "video/mp4" | "video/quicktime" | "video/3gpp" | "video/webm" => Self::Video,
            _ => Self::Not,
        }
    }
}

pub(in super::super) async fn show(desk: Arc<Desk>, ask: Ask) -> Result<Answer, Trouble> {
    let photo = ask.query.value("id")?.ok_or(Trouble::Request)?;
    let viewed = desk.photos.view(photo).await?;
    answer(photo, viewed, ask.range.as_deref())
}

/// The file as far as a browser can show it.
pub(super) fn answer(
    photo: PhotoId,
    viewed: Viewed,
    range: Option<&str>,
) -> Result<Answer, Trouble> {
    let range = match Shown::of(&viewed.media) {
        Shown::Picture if viewed.bytes <= MOST_PICTURE_BYTES => None,
        Shown::Video => self::range(range, viewed.bytes),
        Shown::Picture | Shown::Not => return Err(PhotosError::NotShown(photo).into()),
    };
    let answer = answer::file(viewed.file, viewed.bytes, &viewed.media, range);
    Ok(answer.map_err(PhotosError::Io)?)
}

/// One range of bytes (RFC 9110 §14.1.2). Whatever else is asked is answered whole.
fn range(asked: Option<&str>, bytes: u64) -> Option<RangeInclusive<u64>> {
    let (from, to) = asked?.strip_prefix("bytes=")?.split_once('-')?;
    let last = bytes.checked_sub(1)?;
    let from = from.parse::<u64>().ok()?;
    let to = if to.is_empty() {
        last
    } else {
        to.parse().ok()?
    };
    (from <= to && from <= last).then(|| from..=to.min(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_lies_within_the_file() {
        assert_eq!(range(Some("bytes=0-"), 10), Some(0..=9));
        assert_eq!(range(Some("bytes=2-3"), 10), Some(2..=3));
        assert_eq!(range(Some("bytes=2-99"), 10), Some(2..=9));
        for whole in [
            "bytes=10-",
            "bytes=3-2",
            "bytes=-5",
            "bytes=0-1,4-5",
            "lines=1-2",
        ] {
            assert_eq!(range(Some(whole), 10), None, "{whole}");
        }
        assert_eq!(range(Some("bytes=0-"), 0), None);
    }
}
