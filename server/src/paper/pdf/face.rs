//! The two fonts of a printed report, and how wide text is in them.

use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider as _};

/// See the licence beside them.
const PLAIN: &[u8] = include_bytes!("../../../assets/fonts/DejaVuSansCondensed.ttf");
const BOLD: &[u8] = include_bytes!("../../../assets/fonts/DejaVuSansCondensed-Bold.ttf");
/// Stands for a character that the fonts do not have.
const UNKNOWN: char = '\u{fffd}';

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    Plain,
    Bold,
}

pub(super) struct Faces {
    plain: Face,
    bold: Face,
}

pub(super) struct Face {
    pub(super) font: Font,
    metrics: FontRef<'static>,
}

impl Faces {
    /// `None`: the fonts in this program are damaged.
    pub(super) fn load() -> Option<Self> {
        Some(Self {
            plain: Face::of(PLAIN)?,
            bold: Face::of(BOLD)?,
        })
    }

    pub(super) const fn of(&self, weight: Weight) -> &Face {
        match weight {
            Weight::Plain => &self.plain,
            Weight::Bold => &self.bold,
        }
    }
}

impl Face {
    fn of(bytes: &'static [u8]) -> Option<Self> {
        Some(Self {
            font: Font::new(bytes.into(), 0)?,
            metrics: FontRef::new(bytes).ok()?,
        })
    }

    /// The text as it can be drawn, with a glyph for each character.
    pub(super) fn glyphs(&self, text: &str) -> (String, Vec<KrillaGlyph>) {
        let charmap = self.metrics.charmap();
        let widths = self
            .metrics
            .glyph_metrics(Size::unscaled(), LocationRef::default());
        let mut drawn = String::with_capacity(text.len());
        let mut glyphs = Vec::with_capacity(text.len());
        for wanted in text.chars() {
            let is_known = !wanted.is_control() && charmap.map(wanted).is_some();
            let shown = if is_known { wanted } else { UNKNOWN };
            let Some(glyph) = charmap.map(shown) else {
                continue;
            };
            let begin = drawn.len();
            drawn.push(shown);
            let advance = widths.advance_width(glyph).unwrap_or(0.0) / self.font.units_per_em();
            let (id, range) = (GlyphId::new(glyph.to_u32()), begin..drawn.len());
            glyphs.push(KrillaGlyph::new(id, advance, 0.0, 0.0, 0.0, range, None));
        }
        (drawn, glyphs)
    }

    pub(super) fn width(&self, text: &str, size: f32) -> f32 {
        let (_, glyphs) = self.glyphs(text);
        glyphs.iter().map(|glyph| glyph.x_advance * size).sum()
    }

    /// Lines no wider than `width`. Words are kept whole where one fits a line; each line but the last ends with the space
    /// that was there, so that whoever copies the text gets words.
    pub(super) fn wrapped(&self, text: &str, size: f32, width: f32) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = String::new();
        for word in text.split_inclusive(' ') {
            let longer = format!("{line}{word}");
            if self.width(longer.trim_end(), size) <= width {
                line = longer;
                continue;
            }
            if !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            for letter in word.chars() {
                line.push(letter);
                if letter != ' ' && self.width(&line, size) > width && line.chars().count() > 1 {
                    line.pop();
                    lines.push(std::mem::replace(&mut line, letter.to_string()));
                }
            }
        }
        if !line.trim().is_empty() {
            lines.push(line);
        }
        lines
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_line_is_wider_than_it_may_be_and_no_text_is_lost(text in "[ a-zA-Z0-9éłŵ–%]{0,200}") {
            let faces = Faces::load().unwrap();
            let face = faces.of(Weight::Plain);
            let lines = face.wrapped(&text, 7.0, 60.0);
            let all = lines.concat();
            prop_assert_eq!(all.trim_end(), text.trim_end());
            for line in lines {
                prop_assert!(face.width(line.trim_end(), 7.0) <= 60.0);
            }
        }
    }

    #[test]
    fn what_the_fonts_do_not_have_is_shown_as_not_known() {
        let faces = Faces::load().unwrap();
        let (drawn, glyphs) = faces.of(Weight::Bold).glyphs("Łąki\n\u{1f98b}");
        assert_eq!(drawn, "Łąki\u{fffd}\u{fffd}");
        assert_eq!(glyphs.len(), 6);
    }

    #[test]
    fn every_sign_of_a_report_is_in_the_fonts() {
        let faces = Faces::load().unwrap();
        for weight in [Weight::Plain, Weight::Bold] {
            let (drawn, _) = faces.of(weight).glyphs("✓○△◆!◔?·–…×%£");
            assert!(!drawn.contains(UNKNOWN), "{drawn}");
        }
    }
}
