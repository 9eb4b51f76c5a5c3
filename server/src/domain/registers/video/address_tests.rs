#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use proptest::prelude::*;
use std::fmt::Write as _;

const GOOD: [&str; 9] = [
    "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
    "https://youtube.com/watch?v=dQw4w9WgXcQ",
    "https://m.youtube.com/watch?v=dQw4w9WgXcQ",
    "https://youtu.be/dQw4w9WgXcQ",
    "https://www.youtube.com/embed/dQw4w9WgXcQ",
    "HTTPS://WWW.YouTube.com/watch?v=dQw4w9WgXcQ",
    "  https://youtu.be/dQw4w9WgXcQ\n",
    "https://youtu.be/dQw4w9WgXcQ?",
    "https://www.youtube.com/watch?&v=dQw4w9WgXcQ&",
];

#[test]
fn every_way_to_write_one_video_comes_to_the_same_id() {
    for text in GOOD {
        let id = VideoId::of_address(text).unwrap();
        assert_eq!(id.to_string(), "dQw4w9WgXcQ", "{text}");
        assert_eq!(id.address(), GOOD[0], "{text}");
    }
}

/// Each with the reason it is refused for.
const REFUSED: [&str; 52] = [
    "",
    "dQw4w9WgXcQ",
    "www.youtube.com/watch?v=dQw4w9WgXcQ",
    "http://www.youtube.com/watch?v=dQw4w9WgXcQ",
    "javascript://www.youtube.com/watch?v=dQw4w9WgXcQ",
    "https:/www.youtube.com/watch?v=dQw4w9WgXcQ",
    "https://www.youtube.com/watch ?v=dQw4w9WgXcQ",
    "https://www.youtube.com/watch?v=dQw4w9WgXcQ https://youtu.be/dQw4w9WgXcQ",
    "https://www.youtube.com/watch?v=dQw4w9WgXc%51",
    "https://www.youtube.com\\watch?v=dQw4w9WgXcQ",
    "https://www.youtube.com/watch?v=dQw4w9WgXcQ\u{200b}",
    "https://www.youtube.com@example.org/watch?v=dQw4w9WgXcQ",
    "https://example.org/https://www.youtube.com/watch?v=dQw4w9WgXcQ",
    "https://www.youtube.com.example.org/watch?v=dQw4w9WgXcQ",
    "https://www.youtube.com:8443/watch?v=dQw4w9WgXcQ",
    "https://www.youtube.com./watch?v=dQw4w9WgXcQ",
    "https://music.youtube.com/watch?v=dQw4w9WgXcQ",
    "https://www.youtu.be/dQw4w9WgXcQ",
    "https://vimeo.com/76979871",
    "https://www.youtube.com/watch?v=dQw4w9WgXcQ&list=PLabc",
    "https://www.youtube.com/playlist?list=PLabc",
    "https://www.youtube.com/embed/videoseries?list=PLabc",
    "https://youtu.be/dQw4w9WgXcQ?list=PLabc",
    "https://youtu.be/videoseries",
    "https://www.youtube.com/watch?v=dQw4w9WgXcQ&list=RDabc&start_radio=1",
    "https://www.youtube.com/embed/dQw4w9WgXcQ?autoplay=1",
    "https://www.youtube.com/embed/dQw4w9WgXcQ?loop=1",
    "https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=42s",
    "https://youtu.be/dQw4w9WgXcQ?t=42",
    "https://www.youtube.com/embed/dQw4w9WgXcQ?start=10",
    "https://www.youtube.com/watch?v=dQw4w9WgXcQ#t=42",
    "https://www.youtube.com/shorts/dQw4w9WgXcQ",
    "https://www.youtube.com/live/dQw4w9WgXcQ",
    "https://www.youtube.com/embed/live_stream?channel=UCabc",
    "https://www.youtube.com/channel/UCabc",
    "https://www.youtube.com/@somebody",
    "https://www.youtube.com/c/somebody",
    "https://www.youtube.com/results?search_query=songs",
    "https://www.youtube.com/",
    "https://www.youtube.com",
    "https://youtu.be/",
    "https://www.youtube.com/watch",
    "https://www.youtube.com/watch?v=",
    "https://www.youtube.com/watch/?v=dQw4w9WgXcQ",
    "https://www.youtube.com/v/dQw4w9WgXcQ",
    "https://www.youtube.com/watch?v=dQw4w9WgXc",
    "https://www.youtube.com/watch?v=dQw4w9WgXcQQ",
    "https://www.youtube.com/watch?v=dQw4w9WgXc!",
    "https://youtu.be/dQw4w9WgXcQ/",
    "https://www.youtube.com/watch?v=dQw4w9WgXcQ&v=aaaaaaaaaaa",
    "https://youtu.be/dQw4w9WgXcQ?si=tracking",
    "https://www.youtube.com/watch?v=dQw4w9WgXcQ&feature=shared",
];

#[test]
fn whatever_could_show_something_else_is_refused_with_a_reason() {
    let mut table = String::new();
    for text in REFUSED {
        let reason = VideoId::of_address(text).unwrap_err();
        let _ = writeln!(table, "{text:?}\n    {reason}");
    }
    insta::assert_snapshot!(table);
}

fn id() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_-]{11}".prop_filter("a player's name", |id| {
        ![PLAYLIST_PLAYER, LIVE_PLAYER].contains(&id.as_str())
    })
}

proptest! {
    #[test]
    fn an_id_comes_back_from_each_of_its_addresses(id in id(), host in 0_usize..3) {
        let host = HOSTS[host];
        for text in [
            format!("https://{host}/watch?v={id}"),
            format!("https://{host}/embed/{id}"),
            format!("https://{SHORT_HOST}/{id}"),
        ] {
            let found = VideoId::of_address(&text).unwrap();
            prop_assert_eq!(found.to_string(), id.as_str());
            prop_assert_eq!(VideoId::of_address(&found.address()).unwrap(), found);
        }
    }

    #[test]
    fn any_further_parameter_is_refused(id in id(), name in "[a-zA-Z_]{1,12}", value in "[a-zA-Z0-9]{0,8}") {
        for address in [format!("https://www.youtube.com/watch?v={id}&{name}={value}"), format!("https://youtu.be/{id}?{name}={value}")] {
            prop_assert!(VideoId::of_address(&address).is_err(), "{}", address);
        }
    }

    #[test]
    fn what_is_taken_says_the_id_on_a_host_of_youtube_and_nothing_more(text in "https?://((www|m|music)\\.)?(youtube\\.com|youtu\\.be|evil\\.org)[@:.]?/(watch\\?v=|embed/|shorts/)?[A-Za-z0-9_-]{11}[&#?/=a-z]{0,2}") {
        if let Ok(id) = VideoId::of_address(&text) {
            let rest = text.strip_prefix("https://").unwrap();
            let known: Vec<String> = HOSTS
                .iter()
                .flat_map(|host| [format!("{host}/watch?v={id}"), format!("{host}/embed/{id}")])
                .chain([format!("{SHORT_HOST}/{id}")])
                .collect();
            let written = rest.trim_end_matches(['?', '&']);
            prop_assert!(known.iter().any(|known| known == written), "{}", text);
        }
    }

    #[test]
    fn nothing_anybody_types_breaks_it(text in "\\PC{0,60}") {
        let _ = VideoId::of_address(&text);
        let _ = VideoId::of_address(&format!("https://www.youtube.com/{text}"));
    }

    #[test]
    fn an_id_that_is_kept_reads_as_it_was(id in id()) {
        let id: VideoId = id.parse().unwrap();
        let kept = serde_json::to_string(&id).unwrap();
        prop_assert_eq!(serde_json::from_str::<VideoId>(&kept).unwrap(), id);
    }
}
