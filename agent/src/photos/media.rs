//! What a file is, by its first bytes. Names and extensions are never asked: they are whatever somebody typed.

use std::fmt;
use std::str::FromStr;

/// A kind of photo or video that is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Media {
    Jpeg,
    Png,
    Gif,
    Webp,
    Heic,
    Heif,
    Avif,
    Jxl,
    /// DNG and most cameras' raw files included.
    Tiff,
    Bmp,
    Mp4,
    Mov,
    ThreeGp,
    Webm,
    Matroska,
    Avi,
    Jp2,
    /// Raw files that are no TIFF: Canon's CR3, Fujifilm's RAF.
    Raw,
    Psd,
    Xcf,
    /// A program stream.
    Mpeg,
    MpegTs,
    /// Windows Media.
    Asf,
    Flv,
    Ogv,
}

/// Bytes of a file that are enough to tell.
pub const HEAD_BYTES: usize = 4096;

/// Bytes below which nothing can be told.
const LEAST_BYTES: usize = 3;

impl Media {
    pub const ALL: [Self; 25] = [
        Self::Jpeg,
        Self::Png,
        Self::Gif,
        Self::Webp,
        Self::Heic,
        Self::Heif,
        Self::Avif,
        Self::Jxl,
        Self::Tiff,
        Self::Bmp,
        Self::Mp4,
        Self::Mov,
        Self::ThreeGp,
        Self::Webm,
        Self::Matroska,
        Self::Avi,
        Self::Jp2,
        Self::Raw,
        Self::Psd,
        Self::Xcf,
        Self::Mpeg,
        Self::MpegTs,
        Self::Asf,
        Self::Flv,
        Self::Ogv,
    ];

    /// The IANA media type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Heic => "image/heic",
            Self::Heif => "image/heif",
            Self::Avif => "image/avif",
            Self::Jxl => "image/jxl",
            Self::Tiff => "image/tiff",
            Self::Bmp => "image/bmp",
            Self::Mp4 => "video/mp4",
            Self::Mov => "video/quicktime",
            Self::ThreeGp => "video/3gpp",
            Self::Webm => "video/webm",
            Self::Matroska => "video/matroska",
            Self::Avi => "video/x-msvideo",
            Self::Jp2 => "image/jp2",
            Self::Raw => "image/x-dcraw",
            Self::Psd => "image/vnd.adobe.photoshop",
            Self::Xcf => "image/x-xcf",
            Self::Mpeg => "video/mpeg",
            Self::MpegTs => "video/mp2t",
            Self::Asf => "video/x-ms-asf",
            Self::Flv => "video/x-flv",
            Self::Ogv => "video/ogg",
        }
    }

    /// What the first bytes of a file say; at most [`HEAD_BYTES`] are looked at. `None`: not a photo or video we know.
    pub fn recognise(head: &[u8]) -> Option<Self> {
        let head = &head[..head.len().min(HEAD_BYTES)];
        if head.len() < LEAST_BYTES {
            None
        } else if head.starts_with(&[0xff, 0xd8, 0xff]) {
            Some(Self::Jpeg)
        } else if head.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if head.starts_with(b"GIF87a") || head.starts_with(b"GIF89a") {
            Some(Self::Gif)
        } else if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP".as_slice()) {
            Some(Self::Webp)
        } else if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"AVI ".as_slice()) {
            Some(Self::Avi)
        } else if [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"]
            .iter()
            .any(|magic| head.starts_with(*magic))
        {
            Some(Self::Tiff)
        } else if head.starts_with(b"\0\0\0\x0cJXL \r\n\x87\n") || head.starts_with(&[0xff, 0x0a]) {
            Some(Self::Jxl)
        } else if is_bmp(head) {
            Some(Self::Bmp)
        } else if head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
            ebml(head)
        } else if let Some((_, media)) =
            BEGINNINGS.iter().find(|(begin, _)| head.starts_with(begin))
        {
            Some(*media)
        } else if is_transport_stream(head) {
            Some(Self::MpegTs)
        } else if head.starts_with(b"OggS") {
            ogg(head)
        } else {
            iso_base_media(head)
        }
    }
}

/// What begins like nothing else.
const BEGINNINGS: [(&[u8], Media); 8] = [
    (b"\0\0\0\x0cjP  \r\n\x87\n", Media::Jp2),
    (b"\xff\x4f\xff\x51", Media::Jp2),
    (b"FUJIFILMCCD-RAW ", Media::Raw),
    (b"8BPS\0", Media::Psd),
    (b"gimp xcf ", Media::Xcf),
    (b"\0\0\x01\xba", Media::Mpeg),
    // The GUID of an ASF header object.
    (
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c",
        Media::Asf,
    ),
    (b"FLV\x01", Media::Flv),
];

/// Packets of 188 bytes that each begin with a sync byte (ISO/IEC 13818-1 §2.4.3), with four bytes before each in the
/// files of camcorders.
fn is_transport_stream(head: &[u8]) -> bool {
    const SYNC: u8 = 0x47;
    let every = |first: usize, length: usize| {
        (0..4).all(|packet| head.get(first + packet * length) == Some(&SYNC))
    };
    every(0, 188) || every(4, 192)
}

/// A film among Ogg's first pages (RFC 3533), each of which begins a stream; music and speech are none.
fn ogg(head: &[u8]) -> Option<Media> {
    let films: [&[u8]; 4] = [b"\x80theora", b"\x01video\0", b"BBCD\0", b"OVP80"];
    let first_pages = &head[..head.len().min(1024)];
    let is_there = |film: &&[u8]| first_pages.windows(film.len()).any(|part| part == *film);
    films.iter().any(is_there).then_some(Media::Ogv)
}

/// Two letters alone prove little: the reserved bytes are 0, and the header after them has one of its known lengths.
fn is_bmp(head: &[u8]) -> bool {
    const LENGTHS: [u8; 7] = [12, 40, 52, 56, 64, 108, 124];
    head.starts_with(b"BM")
        && head.get(6..10) == Some([0; 4].as_slice())
        && head.get(15..18) == Some([0; 3].as_slice())
        && head.get(14).is_some_and(|length| LENGTHS.contains(length))
}

/// The document type of an EBML header (RFC 8794): element 0x4282 with a length of one byte.
fn ebml(head: &[u8]) -> Option<Media> {
    let at = head.windows(2).position(|pair| pair == [0x42, 0x82])?;
    let length = usize::from(head.get(at + 2)?.checked_sub(0x80)?);
    match head.get(at + 3..)?.get(..length)? {
        b"webm" => Some(Media::Webm),
        b"matroska" => Some(Media::Matroska),
        _ => None,
    }
}

/// An ISO base media file (ISO/IEC 14496-12 §4.2), or a QuickTime file from before brands. Boxes that say nothing may come
/// before the one that does.
fn iso_base_media(head: &[u8]) -> Option<Media> {
    let mut rest = head;
    loop {
        match rest.get(4..8)? {
            b"ftyp" => return branded(rest),
            b"moov" | b"mdat" | b"wide" | b"pnot" => return Some(Media::Mov),
            b"free" | b"skip" | b"uuid" => {}
            _ => return None,
        }
        let size = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?);
        // Longer than what is looked at, by its own word or to the end of the file: then what follows is not known.
        let size = usize::try_from(size).ok().filter(|size| *size >= 8);
        let Some(after) = size.and_then(|size| rest.get(size..)) else {
            return Some(Media::Mov);
        };
        rest = after;
    }
}

/// The brands of a file (§4.3).
fn branded(head: &[u8]) -> Option<Media> {
    let size = usize::try_from(u32::from_be_bytes(head.get(..4)?.try_into().ok()?)).ok()?;
    let major = brand(head.get(8..12)?);
    let compatible = head
        .get(16..size.min(head.len()))
        .unwrap_or_default()
        .chunks_exact(4)
        .filter_map(brand);
    // The major brand of a HEIF file may only say that it is one; then a compatible brand says which.
    let of_family = |media: &Media| *media != Media::Heif;
    let said = major.into_iter().chain(compatible);
    said.clone()
        .find(of_family)
        .or_else(|| said.into_iter().next())
}

fn brand(brand: &[u8]) -> Option<Media> {
    match brand {
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => {
            Some(Media::Heic)
        }
        b"mif1" | b"mif2" | b"msf1" | b"miaf" => Some(Media::Heif),
        b"avif" | b"avis" => Some(Media::Avif),
        b"qt  " => Some(Media::Mov),
        b"crx " => Some(Media::Raw),
        b"jp2 " | b"jpx " | b"jpm " | b"mjp2" => Some(Media::Jp2),
        b"avc1"
        | b"dash"
        | b"mp41"
        | b"mp42"
        | b"mp71"
        | b"M4V "
        | b"M4VH"
        | b"M4VP"
        | b"MSNV"
        | b"f4v "
        | [b'i', b's', b'o', _] => Some(Media::Mp4),
        [b'3', b'g', b'p' | b'2' | b'g' | b'r' | b's' | b'e', _] => Some(Media::ThreeGp),
        _ => None,
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is none of [`Media::as_str`].
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a media type the catalogue writes")]
pub struct MediaParseError(String);

impl FromStr for Media {
    type Err = MediaParseError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|media| media.as_str() == text)
            .ok_or_else(|| MediaParseError(text.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ftyp(major: [u8; 4], compatible: &[&[u8; 4]]) -> Vec<u8> {
        let size = u8::try_from(16 + 4 * compatible.len()).unwrap_or(u8::MAX);
        let mut bytes = vec![0, 0, 0, size];
        bytes.extend_from_slice(b"ftyp");
        bytes.extend_from_slice(&major);
        bytes.extend_from_slice(&[0; 4]);
        for brand in compatible {
            bytes.extend_from_slice(brand.as_slice());
        }
        bytes.extend_from_slice(b"\0\0\0\x08mdat");
        bytes
    }

    #[test]
    fn every_kind_is_recognised_by_its_content() {
        let matroska = |doc: &[u8]| {
            let length = 0x80 | u8::try_from(doc.len()).unwrap_or(0);
            [
                &[
                    0x1a, 0x45, 0xdf, 0xa3, 0x9f, 0x42, 0x86, 0x81, 1, 0x42, 0x82, length,
                ],
                doc,
            ]
            .concat()
        };
        let samples: Vec<(Vec<u8>, Media)> = vec![
            (vec![0xff, 0xd8, 0xff, 0xe1], Media::Jpeg),
            (b"\x89PNG\r\n\x1a\n\0".to_vec(), Media::Png),
            (b"GIF89a".to_vec(), Media::Gif),
            (b"RIFF\x10\0\0\0WEBPVP8 ".to_vec(), Media::Webp),
            (ftyp(*b"heic", &[b"mif1"]), Media::Heic),
            (ftyp(*b"mif1", &[b"mif1", b"heic"]), Media::Heic),
            (ftyp(*b"avif", &[b"mif1"]), Media::Avif),
            (ftyp(*b"mif1", &[b"miaf", b"avif"]), Media::Avif),
            (ftyp(*b"mif1", &[b"mif1"]), Media::Heif),
            (ftyp(*b"msf1", &[b"msf1", b"hevc"]), Media::Heic),
            (b"\0\0\0\x0cJXL \r\n\x87\n".to_vec(), Media::Jxl),
            (b"\xff\x0a\xfa\x7f".to_vec(), Media::Jxl),
            (b"II*\0\x08\0\0\0".to_vec(), Media::Tiff),
            (b"MM\0*\0\0\0\x08".to_vec(), Media::Tiff),
            (
                b"BM\x9a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec(),
                Media::Bmp,
            ),
            (b"RIFF\x10\0\0\0AVI LIST".to_vec(), Media::Avi),
            (ftyp(*b"isom", &[b"iso2", b"avc1"]), Media::Mp4),
            (ftyp(*b"mp42", &[]), Media::Mp4),
            (ftyp(*b"qt  ", &[]), Media::Mov),
            (b"\0\0\0\x08wide\0\0\0\0mdat".to_vec(), Media::Mov),
            (ftyp(*b"3gp5", &[]), Media::ThreeGp),
            (
                [b"\0\0\0\x0cfree\0\0\0\0", &ftyp(*b"mp42", &[])[..]].concat(),
                Media::Mp4,
            ),
            (
                [b"\0\0\0\x08skip\0\0\0\x08uuid", &ftyp(*b"heic", &[])[..]].concat(),
                Media::Heic,
            ),
            (b"\0\x10\0\0free\0\0\0\0".to_vec(), Media::Mov),
            (ftyp(*b"crx ", &[b"isom"]), Media::Raw),
            (b"FUJIFILMCCD-RAW 0201".to_vec(), Media::Raw),
            (b"\0\0\0\x0cjP  \r\n\x87\n\0\0".to_vec(), Media::Jp2),
            (b"8BPS\0\x01".to_vec(), Media::Psd),
            (b"gimp xcf v011\0".to_vec(), Media::Xcf),
            (b"\0\0\x01\xba\x44".to_vec(), Media::Mpeg),
            (
                [b"G".as_slice(), &[0; 187]].concat().repeat(4),
                Media::MpegTs,
            ),
            (
                [b"\0\0\0\0G".as_slice(), &[0; 187]].concat().repeat(4),
                Media::MpegTs,
            ),
            (b"FLV\x01\x05".to_vec(), Media::Flv),
            (
                b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c".to_vec(),
                Media::Asf,
            ),
            (b"OggS\0\x02\0\0\0\0\0\0\0\0\x80theora".to_vec(), Media::Ogv),
            (matroska(b"webm"), Media::Webm),
            (matroska(b"matroska"), Media::Matroska),
        ];
        for (bytes, media) in samples {
            assert_eq!(Media::recognise(&bytes), Some(media), "{bytes:02x?}");
        }
    }

    #[test]
    fn what_is_no_photo_is_left_alone() {
        let others: [&[u8]; 12] = [
            b"Good morning",
            b"OggS\0\x02\0\0\0\0\0\0\0\0\x01vorbis",
            b"\0\0\0\x08free\0\0\0\x18ftypM4A \0\0\0\0",
            b"\0\0\0\x08free\0\0",
            b"BM is how this text begins",
            b"",
            b"\xff\xd8",
            b"RIFF\0\0\0\0WAVE",
            b"%PDF-1.7",
            b"\x1a\x45\xdf\xa3",
            b"\0\0\0\x18ftypM4A \0\0\0\0",
            b"hello, this is text",
        ];
        for bytes in others {
            assert_eq!(Media::recognise(bytes), None, "{bytes:02x?}");
        }
    }

    #[test]
    fn a_media_type_reads_back_as_it_was_written() {
        for media in Media::ALL {
            assert_eq!(media.as_str().parse::<Media>().ok(), Some(media));
        }
        assert!("image/svg+xml".parse::<Media>().is_err());
    }

    fn heads() -> impl Strategy<Value = Vec<u8>> {
        let magic = prop_oneof![
            Just(Vec::new()),
            Just(vec![0xff, 0xd8, 0xff]),
            Just(b"RIFF".to_vec()),
            Just(vec![0x1a, 0x45, 0xdf, 0xa3, 0x42, 0x82]),
            Just(b"\0\0\0\x20ftyp".to_vec()),
            Just(b"\xff\xff\xff\xffftypmif1".to_vec()),
            Just(b"\0\0\0\0ftyp".to_vec()),
        ];
        (magic, proptest::collection::vec(any::<u8>(), 0..6000))
            .prop_map(|(magic, rest)| [magic, rest].concat())
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_only_the_head_counts(bytes in heads()) {
            let whole = Media::recognise(&bytes);
            let head = Media::recognise(&bytes[..bytes.len().min(HEAD_BYTES)]);
            prop_assert_eq!(whole, head);
        }
    }
}
