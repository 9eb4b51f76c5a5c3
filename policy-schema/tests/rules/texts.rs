//! What people copy and type: links, ids, names of apps and rooms.

use nestwarden_policy_schema::Generation;
use nestwarden_policy_schema::bytes::{Base64, Digest, Secret};
use nestwarden_policy_schema::consent::{Purpose, RoomName};
use nestwarden_policy_schema::enrol_link::{EnrolLink, is_token};
use nestwarden_policy_schema::id::{ChildId, DeviceId};
use nestwarden_policy_schema::policy::apps::AppSource;
use nestwarden_policy_schema::policy::{AppId, RequirementId};
use nestwarden_policy_schema::trust::{KeyId, SpkiPin};

const TOKEN: &str = "0123456789ABCDEFGHJKMNPQRS";

fn link() -> String {
    let pin = "ab".repeat(32);
    format!("nestwarden://enrol?server=box.local:8443&pin={pin}&token={TOKEN}")
}

#[test]
fn what_moves_a_cursor_or_turns_the_reading_round_is_written_out() {
    use nestwarden_policy_schema::text::{visible, visible_lines};
    assert_eq!(
        visible("Zoë O\u{2019}Neill 王 नि\u{200d}"),
        "Zoë O\u{2019}Neill 王 नि\u{200d}"
    );
    assert_eq!(
        visible("A\u{1b}[2J\u{202e}B\n"),
        "A\\u{1b}[2J\\u{202e}B\\u{a}"
    );
    assert_eq!(visible_lines("a\tb\nc\u{9b}\r"), "a\tb\nc\\u{9b}\\u{d}");
    let room = "Owls\u{202e}slwO".parse::<RoomName>();
    assert!(room.unwrap_err().to_string().contains("\\u{202e}"));
}

#[test]
fn a_link_reads_as_it_was_written_and_never_prints_its_token() {
    let read: EnrolLink = format!("  {}\n", link()).parse().unwrap();
    assert_eq!(read.to_string(), link());
    assert_eq!(
        (read.server.as_str(), read.pin),
        ("box.local:8443", SpkiPin(Digest([0xab; 32])))
    );
    assert!(!format!("{read:?}").contains(TOKEN));
    let v6: EnrolLink = link().replace("box.local", "[fe80::1]").parse().unwrap();
    assert_eq!(v6.server, "[fe80::1]:8443");
}

#[test]
fn a_link_that_is_cut_off_changed_or_says_things_twice_is_refused() {
    for (from, to) in [
        ("nestwarden://", "https://"),
        ("server=box.local:8443&", ""),
        ("box.local:8443", "box.local"),
        ("box.local:8443", "box.local:0"),
        ("box.local:8443", ":8443"),
        ("box.local:8443", "box local:8443"),
        ("abab&token", "ab&token"),
        (TOKEN, "0123"),
        (TOKEN, "0123456789ABCDEFGHJKMNPQRU"),
        (TOKEN, "0123456789abcdefghjkmnpqrs"),
        ("&token", "&more=1&token"),
        ("&token", "&alone&token"),
        ("&token", "&server=evil:1&token"),
    ] {
        let text = link().replacen(from, to, 1);
        assert_ne!(text, link());
        let error = text.parse::<EnrolLink>().unwrap_err().to_string();
        assert!(error.contains("copy the whole link"), "{error}");
    }
    assert!(is_token(TOKEN) && !is_token(""));
}

#[test]
fn an_app_is_named_by_source_and_package() {
    for source in ["dpkg", "flatpak", "apple", "android", "windows"] {
        let app: AppId = format!("{source}:org.example-app+1_2").parse().unwrap();
        assert_eq!(app.source().as_str(), source);
        assert_eq!(app.package(), "org.example-app+1_2");
    }
    assert_eq!("dpkg:a".parse::<AppId>().unwrap().source(), AppSource::Dpkg);
    let long = format!("dpkg:{}", "a".repeat(201));
    for text in [
        "",
        "firefox",
        "snap:firefox",
        "dpkg:",
        "dpkg:-rf",
        "dpkg:../x",
        "dpkg:a b",
        long.as_str(),
    ] {
        assert!(text.parse::<AppId>().is_err(), "{text}");
    }
    assert!(format!("dpkg:{}", "a".repeat(200)).parse::<AppId>().is_ok());
}

#[test]
fn a_room_is_one_line_of_at_most_sixty_characters() {
    assert_eq!(
        " Ladybirds ".parse::<RoomName>().unwrap().as_str(),
        "Ladybirds"
    );
    assert_eq!(
        "é".repeat(60).parse::<RoomName>().unwrap().to_string(),
        "é".repeat(60)
    );
    for text in ["", "  ", "a\nb", &"é".repeat(61)] {
        assert!(text.parse::<RoomName>().is_err(), "{text}");
    }
}

#[test]
fn a_requirement_is_one_of_the_register() {
    for text in ["R1", "R39"] {
        assert_eq!(text.parse::<RequirementId>().unwrap().to_string(), text);
    }
    for text in ["R0", "R40", "10", "r10", "R", "R300"] {
        assert!(text.parse::<RequirementId>().is_err(), "{text}");
    }
}

#[test]
fn a_purpose_reads_as_it_is_written() {
    for purpose in Purpose::ALL {
        assert_eq!(purpose.to_string().parse(), Ok(purpose));
        assert_eq!(serde_json::to_value(purpose).unwrap(), purpose.as_str());
    }
    let error = "Facebook".parse::<Purpose>().unwrap_err().to_string();
    assert!(error.contains("social_media"), "{error}");
}

#[test]
fn ids_and_digests_refuse_what_is_cut_off() {
    let id = "0192e4a1-7c3b-7d10-8f2e-5a6b7c8d9e0f";
    let child: ChildId = id.parse().unwrap();
    assert_eq!(child.to_string(), id);
    assert_eq!(format!("{child:?}"), format!("ChildId({id})"));
    let error = id[..30].parse::<DeviceId>().unwrap_err().to_string();
    assert!(error.contains("is not a valid device id"), "{error}");
    let digest = Digest::sha256(b"abc");
    assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
    for text in [
        &digest.to_string()[..63],
        &"g".repeat(64),
        &format!("{digest}0"),
    ] {
        assert!(text.parse::<Digest>().is_err());
    }
}

#[test]
fn parts_of_a_digest_cannot_be_shifted_into_each_other() {
    let one = Digest::of_parts("d", &[b"ab", b"c"]);
    assert_ne!(one, Digest::of_parts("d", &[b"a", b"bc"]));
    assert_ne!(one, Digest::of_parts("e", &[b"ab", b"c"]));
    assert_ne!(one, Digest::of_parts("d", &[b"ab", b"c", b""]));
}

#[test]
fn a_secret_never_prints() {
    let secret = Secret::new(vec![0x41; 32]);
    assert_eq!(format!("{secret:?}"), "Secret(…)");
    assert_eq!(secret.expose(), [0x41; 32]);
    assert_eq!(format!("{:?}", Base64(b"hi".to_vec())), "aGk=");
}

#[test]
fn a_generation_only_grows() {
    assert_eq!(Generation::NONE.next(), Some(Generation::new(1)));
    assert_eq!(Generation::new(u64::MAX).next(), None);
    assert_eq!(Generation::new(7).get(), 7);
    assert_eq!(Generation::new(7).to_string(), "7");
}

#[test]
fn a_key_is_named_by_its_digest() {
    let id = KeyId(Digest([0xab; 32]));
    assert_eq!(id.to_string(), "ab".repeat(32));
}
