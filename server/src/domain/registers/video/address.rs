//! The address of one YouTube video, as people type or paste it, and what it comes to: the video's id. Anything that could
//! show another video than the one that was watched, or begin somewhere else in it, is refused with the reason. Pure.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const ID_CHARS: usize = 11;
/// Far more than any address of a video has.
const MOST_CHARS: usize = 300;
const HOSTS: [&str; 3] = ["www.youtube.com", "youtube.com", "m.youtube.com"];
const SHORT_HOST: &str = "youtu.be";
/// As long as an id, and none: the players for whatever a playlist, or a channel, holds just then.
const PLAYLIST_PLAYER: &str = "videoseries";
const LIVE_PLAYER: &str = "live_stream";

/// Eleven letters, digits, `-` and `_`. Whether YouTube has such a video is not known here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VideoId(String);

/// Why an address is not taken; a whole sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error(
        "Paste the whole address of one video, such as https://www.youtube.com/watch?v=AbCdEfGhIjk."
    )]
    Malformed,
    #[error("Begin the address with https:// – nothing else is taken.")]
    NotHttps,
    #[error(
        "This is not an address of YouTube: www.youtube.com, m.youtube.com or youtu.be. A list of another service is not kept here."
    )]
    OtherHost,
    #[error(
        "This leads to a playlist, which plays on into videos nobody watched. Open the one video, and paste its own address{0}."
    )]
    Playlist(Own),
    #[error(
        "This starts a mix, which plays on into videos nobody watched. Paste the video's own address{0}."
    )]
    Mix(Own),
    #[error("This starts, or goes on, by itself. Paste the video's own address{0}.")]
    Autoplay(Own),
    #[error(
        "This begins or ends in the middle, and the whole video is what somebody watched. Paste its own address{0}."
    )]
    Time(Own),
    #[error(
        "Shorts lead on from one to the next, and are not taken. Look for the same as an ordinary video."
    )]
    Shorts,
    #[error("Nobody has watched in full what is live. Wait until it is an ordinary video.")]
    Live,
    #[error(
        "This leads to a channel or a list of results, not to one video. Open the video, and paste its own address."
    )]
    NotOneVideo,
    #[error("There is no video in this address. Open the video, and paste its own address.")]
    NoVideo,
    #[error(
        "“{id}” is no video: that is {ID_CHARS} letters, digits, - and _. Copy the address again."
    )]
    Id { id: String },
    #[error(
        "“{name}” in this address is not taken, because it can change what is shown. Paste the video's own address{own}."
    )]
    Extra { name: String, own: Own },
}

/// The address to write instead, where it is plain which video was meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own(Option<VideoId>);

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(id) => write!(f, ": {}", id.address()),
            None => Ok(()),
        }
    }
}

impl VideoId {
    /// The one way its address is written here.
    pub fn address(&self) -> String {
        format!("https://www.youtube.com/watch?v={self}")
    }

    /// Of an address as somebody typed or pasted it; blanks around it do not count.
    pub fn of_address(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > MOST_CHARS || !is_plain || text.contains(['%', '\\']) {
            return Err(AddressError::Malformed);
        }
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::NotHttps)?;
        if !scheme.eq_ignore_ascii_case("https") {
            return Err(AddressError::NotHttps);
        }
        let ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, rest) = rest.split_at(ends);
        let host = host.to_ascii_lowercase();
        let (rest, fragment) = rest
            .split_once('#')
            .map_or((rest, None), |(rest, f)| (rest, Some(f)));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let id = if host == SHORT_HOST {
            Self::of_short(path, query)
        } else if HOSTS.contains(&host.as_str()) {
            Self::of_path(path, query)
        } else {
            Err(AddressError::OtherHost)
        }?;
        match fragment {
            None => Ok(id),
            Some(_) => Err(AddressError::Time(Own(Some(id)))),
        }
    }

    fn of_short(path: &str, query: &str) -> Result<Self, AddressError> {
        let name = path.strip_prefix('/').unwrap_or(path);
        if matches!(name, "" | "playlist" | "watch") {
            return Err(AddressError::NoVideo);
        }
        let id: Self = name.parse()?;
        refuse_extra(parameters(query), &Own(Some(id.clone())))?;
        Ok(id)
    }

    fn of_path(path: &str, query: &str) -> Result<Self, AddressError> {
        let mut parts = path.strip_prefix('/').unwrap_or(path).splitn(2, '/');
        let first = parts.next().unwrap_or_default();
        match (first, parts.next()) {
            ("watch", None) => Self::of_watch(query),
            ("embed", Some(name)) => {
                let id: Self = name.parse()?;
                refuse_extra(parameters(query), &Own(Some(id.clone())))?;
                Ok(id)
            }
            ("playlist", _) => Err(AddressError::Playlist(Own::default())),
            ("shorts", _) => Err(AddressError::Shorts),
            ("live", _) => Err(AddressError::Live),
            ("channel" | "c" | "user" | "results" | "feed" | "hashtag" | "gaming", _) => {
                Err(AddressError::NotOneVideo)
            }
            (name, _) if name.starts_with('@') => Err(AddressError::NotOneVideo),
            (_, _) => Err(AddressError::NoVideo),
        }
    }

    fn of_watch(query: &str) -> Result<Self, AddressError> {
        let all: Vec<(&str, &str)> = parameters(query).collect();
        let mut videos = all.iter().filter(|(name, _)| *name == "v");
        let id: Result<Self, AddressError> = match (videos.next(), videos.next()) {
            (None, _) => Err(AddressError::NoVideo),
            (Some((_, id)), None) => id.parse(),
            // Which of them is shown is not ours to guess.
            (Some(_), Some(_)) => Err(AddressError::Malformed),
        };
        let own = Own(id.clone().ok());
        refuse_extra(all.into_iter().filter(|(name, _)| *name != "v"), &own)?;
        id
    }
}

fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let all = query.split('&').filter(|pair| !pair.is_empty());
    all.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Whatever else an address says can change what is shown.
fn refuse_extra<'a>(
    parameters: impl Iterator<Item = (&'a str, &'a str)>,
    own: &Own,
) -> Result<(), AddressError> {
    let names: Vec<&str> = parameters.map(|(name, _)| name).collect();
    let has = |wanted: &[&str]| names.iter().any(|name| wanted.contains(name));
    let own = || own.clone();
    // A mix has a list as well, and the more telling reason comes first.
    if has(&["start_radio"]) {
        return Err(AddressError::Mix(own()));
    }
    if has(&["list", "playlist", "index", "listType"]) {
        return Err(AddressError::Playlist(own()));
    }
    if has(&["autoplay", "loop"]) {
        return Err(AddressError::Autoplay(own()));
    }
    if has(&["t", "start", "end", "time_continue"]) {
        return Err(AddressError::Time(own()));
    }
    match names.first() {
        None => Ok(()),
        Some(name) => Err(AddressError::Extra {
            name: shortened(name),
            own: own(),
        }),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

impl FromStr for VideoId {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_good = text.len() == ID_CHARS
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        match text {
            "" => Err(AddressError::NoVideo),
            PLAYLIST_PLAYER => Err(AddressError::Playlist(Own::default())),
            LIVE_PLAYER => Err(AddressError::Live),
            _ if is_good => Ok(Self(text.to_owned())),
            _ => Err(AddressError::Id {
                id: shortened(text),
            }),
        }
    }
}

impl TryFrom<String> for VideoId {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<VideoId> for String {
    fn from(id: VideoId) -> Self {
        id.0
    }
}

impl fmt::Display for VideoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
