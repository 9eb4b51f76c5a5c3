//! Pages as they are laid out: what is drawn where, and what each part is to whoever reads it by its tags.

use super::face::{Faces, Weight};
use krilla::color::luma;
use krilla::configure::{Accessibility, Archival, ConfigurationBuilder};
use krilla::destination::XyzDestination;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::{DateTime, Metadata};
use krilla::outline::{Outline, OutlineNode};
use krilla::page::PageSettings;
use krilla::paint::{Fill, Stroke};
use krilla::surface::Surface;
use krilla::tagging::{
    Artifact, ArtifactType, ContentTag, Identifier, SpanTag, TagGroup, TagKind, TagTree,
};
use krilla::{Document, SerializeSettings};
use std::num::NonZeroU16;

/// A4, in points.
const PAGE: (f32, f32) = (595.276, 841.89);
const MARGIN: f32 = 30.0;
const TOP: f32 = 24.0;
/// Below it stand the page's number and what it is a page of.
const BOTTOM: f32 = PAGE.1 - 27.0;
const FOOT_SIZE: f32 = 6.5;
pub(super) const LEFT: f32 = MARGIN;
pub(super) const WIDTH: f32 = PAGE.0 - 2.0 * MARGIN;
/// From one line to the next, of the size of its letters.
const LEADING: f32 = 1.2;
const ASCENT: f32 = 0.95;

/// As dark as ink is, from 0.
pub(super) const INK: u8 = 0;
pub(super) const SOFT: u8 = 75;
pub(super) const EDGE: u8 = 120;
pub(super) const PAPER: u8 = 255;

#[derive(Debug, thiserror::Error)]
pub enum PdfError {
    #[error("the fonts in this program cannot be read")]
    Fonts,
    #[error("the report could not be written as PDF: {0}")]
    Unwritable(String),
}

pub(super) enum Mark {
    Text {
        at: (f32, f32),
        size: f32,
        weight: Weight,
        ink: u8,
        text: String,
    },
    Box {
        at: (f32, f32),
        size: (f32, f32),
        fill: Option<u8>,
        edge: Option<u8>,
    },
    Rule {
        from: (f32, f32),
        to: (f32, f32),
        ink: u8,
    },
}

/// What is drawn together. Of what is nobody's part (rules, boxes, page numbers) readers by tags hear nothing.
struct Drawn {
    part: Option<usize>,
    /// What to read instead of the signs that are drawn.
    says: Option<String>,
    marks: Vec<Mark>,
}

/// A part of the document: what it is, and what it is made of.
pub(super) enum Part {
    Group(TagKind, Vec<Part>),
    Drawn(usize),
}

impl Part {
    pub(super) fn group(kind: impl Into<TagKind>, parts: Vec<Self>) -> Self {
        Self::Group(kind.into(), parts)
    }
}

struct Heading {
    text: String,
    page: usize,
    y: f32,
}

pub(super) struct Sheet<'a> {
    faces: &'a Faces,
    /// Of the letters in tables.
    pub(super) size: f32,
    pages: Vec<Vec<Drawn>>,
    pub(super) y: f32,
    drawn: usize,
    headings: Vec<Heading>,
}

/// What stands in a column.
pub(super) struct Column<'t> {
    pub(super) x: f32,
    pub(super) width: f32,
    pub(super) kind: TagKind,
    /// A sign before the text, which says no more than the text does.
    pub(super) sign: &'static str,
    pub(super) text: &'t str,
    pub(super) weight: Weight,
    pub(super) ink: u8,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(faces: &'a Faces, size: f32) -> Self {
        Self {
            faces,
            size,
            pages: vec![Vec::new()],
            y: TOP,
            drawn: 0,
            headings: Vec::new(),
        }
    }

    pub(super) const fn pages(&self) -> usize {
        self.pages.len()
    }

    pub(super) fn line(&self) -> f32 {
        self.size * LEADING
    }

    pub(super) fn width(&self, text: &str, weight: Weight, size: f32) -> f32 {
        self.faces.of(weight).width(text, size)
    }

    /// Goes on to the next page where less than this is left.
    pub(super) fn need(&mut self, height: f32) {
        if self.y + height > BOTTOM && self.y > TOP {
            self.pages.push(Vec::new());
            self.y = TOP;
        }
    }

    fn put(&mut self, part: Option<usize>, says: Option<String>, marks: Vec<Mark>) {
        if let Some(page) = self.pages.last_mut() {
            page.push(Drawn { part, says, marks });
        }
    }

    /// What is nobody's part.
    pub(super) fn decorate(&mut self, marks: Vec<Mark>) {
        self.put(None, None, marks);
    }

    pub(super) fn part(&mut self, says: Option<String>, marks: Vec<Mark>) -> Part {
        let part = self.drawn;
        self.drawn += 1;
        self.put(Some(part), says, marks);
        Part::Drawn(part)
    }

    /// At the left, from here on down.
    pub(super) fn heading(&mut self, level: u16, text: &str, size: f32) -> Part {
        // A heading stays with what it is the heading of.
        self.need(size * LEADING + self.line() * 3.0);
        let page = self.pages.len() - 1;
        self.headings.push(Heading {
            text: text.to_owned(),
            page,
            y: self.y,
        });
        let mark = self.text((LEFT, self.y), size, Weight::Bold, INK, text);
        self.y += size * LEADING;
        let level = NonZeroU16::new(level).unwrap_or(NonZeroU16::MIN);
        let part = self.part(None, vec![mark]);
        Part::group(
            krilla::tagging::Tag::Hn(level, Some(text.to_owned())),
            vec![part],
        )
    }

    /// `at`: its top left corner.
    pub(super) fn text(
        &self,
        at: (f32, f32),
        size: f32,
        weight: Weight,
        ink: u8,
        text: &str,
    ) -> Mark {
        let (text, _) = self.faces.of(weight).glyphs(text);
        Mark::Text {
            at: (at.0, at.1 + size * ASCENT),
            size,
            weight,
            ink,
            text,
        }
    }

    /// The whole width, or from `x` on; may go over pages.
    pub(super) fn paragraph(
        &mut self,
        (x, width): (f32, f32),
        size: f32,
        ink: u8,
        text: &str,
    ) -> Part {
        let lines = self.faces.of(Weight::Plain).wrapped(text, size, width);
        let mut parts = Vec::new();
        for line in lines {
            self.need(size * LEADING);
            let mark = self.text((x, self.y), size, Weight::Plain, ink, &line);
            parts.push(self.part(None, vec![mark]));
            self.y += size * LEADING;
        }
        Part::group(krilla::tagging::Tag::P, parts)
    }

    /// A row of a table, whole on one page.
    pub(super) fn row(&mut self, columns: &[Column<'_>]) -> Part {
        let size = self.size;
        let laid: Vec<(f32, Vec<String>)> = columns
            .iter()
            .map(|column| {
                let face = self.faces.of(column.weight);
                let before = if column.sign.is_empty() {
                    0.0
                } else {
                    size * 1.15
                };
                (
                    before,
                    face.wrapped(column.text, size, column.width - before),
                )
            })
            .collect();
        let most = laid.iter().map(|(_, lines)| lines.len()).max().unwrap_or(1);
        #[expect(clippy::cast_precision_loss, reason = "lines of one row are few")]
        let height = self.line() * most.max(1) as f32 + 1.3;
        self.need(height);
        let top = self.y + 0.8;
        self.decorate(vec![Mark::Rule {
            from: (LEFT, self.y),
            to: (LEFT + WIDTH, self.y),
            ink: 200,
        }]);
        let mut cells = Vec::new();
        for (column, (before, lines)) in columns.iter().zip(laid) {
            if !column.sign.is_empty() {
                let at = (column.x, top);
                let sign = self.text(at, size, column.weight, column.ink, column.sign);
                self.decorate(vec![sign]);
            }
            let mut y = top;
            let mut marks = Vec::new();
            for line in &lines {
                let at = (column.x + before, y);
                marks.push(self.text(at, size, column.weight, column.ink, line));
                y += self.line();
            }
            // A cell without text is a cell.
            if marks.is_empty() {
                marks.push(self.text((column.x, y), size, column.weight, column.ink, " "));
            }
            let drawn = self.part(None, marks);
            cells.push(Part::Group(column.kind.clone(), vec![drawn]));
        }
        self.y += height;
        Part::group(krilla::tagging::Tag::TR, cells)
    }

    /// The file. The same parts are the same bytes.
    pub(super) fn written(
        self,
        title: &str,
        made_at: DateTime,
        parts: Vec<Part>,
    ) -> Result<Vec<u8>, PdfError> {
        let configuration = ConfigurationBuilder::new()
            .with_archival_validator(Archival::A2_A)
            .with_accessibility_validator(Accessibility::UA1)
            .finish()
            .map_err(|error| PdfError::Unwritable(format!("{error:?}")))?;
        let mut document = Document::new_with(SerializeSettings {
            configuration,
            ..SerializeSettings::default()
        });
        let mut identifiers: Vec<Option<Identifier>> = vec![None; self.drawn];
        let count = self.pages.len();
        for (number, page) in self.pages.iter().enumerate() {
            let settings = PageSettings::from_wh(PAGE.0, PAGE.1)
                .ok_or_else(|| PdfError::Unwritable("a page without a size".to_owned()))?;
            let mut sheet = document.start_page_with(settings);
            let mut surface = sheet.surface();
            for drawn in page {
                let tag = match (drawn.part, drawn.says.as_deref()) {
                    (None, _) => ContentTag::Artifact(Artifact::with_kind(ArtifactType::Layout)),
                    (Some(_), None) => ContentTag::Other,
                    (Some(_), says) => ContentTag::Span(SpanTag::empty().with_actual_text(says)),
                };
                let identifier = surface.start_tagged(tag);
                for mark in &drawn.marks {
                    self.draw(&mut surface, mark);
                }
                surface.end_tagged();
                if let Some(part) = drawn.part {
                    identifiers[part] = Some(identifier);
                }
            }
            self.foot(&mut surface, title, number + 1, count);
            surface.finish();
            sheet.finish();
        }
        let mut outline = Outline::new();
        for heading in &self.headings {
            let place = XyzDestination::new(heading.page, Point::from_xy(0.0, heading.y));
            outline.push_child(OutlineNode::new(heading.text.clone(), place));
        }
        document.set_outline(outline);
        let mut tree = TagTree::new().with_lang(Some("en-GB".to_owned()));
        for part in parts {
            if let Some(node) = group(part, &identifiers) {
                tree.push(node);
            }
        }
        document.set_tag_tree(tree);
        document.set_metadata(
            Metadata::new()
                .title(title.to_owned())
                .language("en-GB".to_owned())
                .creator(format!("Nestwarden {}", env!("CARGO_PKG_VERSION")))
                .creation_date(made_at),
        );
        document
            .finish()
            .map_err(|error| PdfError::Unwritable(format!("{error:?}")))
    }

    fn foot(&self, surface: &mut Surface<'_>, title: &str, number: usize, count: usize) {
        let page = format!("Page {number} of {count}");
        let y = PAGE.1 - 20.0;
        let right = LEFT + WIDTH - self.width(&page, Weight::Plain, FOOT_SIZE);
        for (kind, x, text) in [
            (ArtifactType::Footer, LEFT, title),
            (ArtifactType::PageNumber, right, page.as_str()),
        ] {
            let mark = self.text((x, y), FOOT_SIZE, Weight::Plain, SOFT, text);
            surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(kind)));
            self.draw(surface, &mark);
            surface.end_tagged();
        }
    }

    fn draw(&self, surface: &mut Surface<'_>, mark: &Mark) {
        match mark {
            Mark::Text {
                at,
                size,
                weight,
                ink,
                text,
            } => {
                let face = self.faces.of(*weight);
                let (text, glyphs) = face.glyphs(text);
                surface.set_stroke(None);
                surface.set_fill(Some(fill(*ink)));
                let (at, font) = (Point::from_xy(at.0, at.1), face.font.clone());
                surface.draw_glyphs(at, &glyphs, font, &text, *size, false);
            }
            Mark::Box {
                at,
                size,
                fill: inside,
                edge,
            } => {
                let Some(rect) = Rect::from_xywh(at.0, at.1, size.0, size.1) else {
                    return;
                };
                let mut path = PathBuilder::new();
                path.push_rect(rect);
                surface.set_fill(inside.map(fill));
                surface.set_stroke(edge.map(stroke));
                if let Some(path) = path.finish() {
                    surface.draw_path(&path);
                }
            }
            Mark::Rule { from, to, ink } => {
                let mut path = PathBuilder::new();
                path.move_to(from.0, from.1);
                path.line_to(to.0, to.1);
                surface.set_fill(None);
                surface.set_stroke(Some(stroke(*ink)));
                if let Some(path) = path.finish() {
                    surface.draw_path(&path);
                }
            }
        }
    }
}

fn fill(ink: u8) -> Fill {
    Fill {
        paint: luma::Color::new(ink).into(),
        ..Fill::default()
    }
}

fn stroke(ink: u8) -> Stroke {
    Stroke {
        paint: luma::Color::new(ink).into(),
        width: 0.6,
        ..Stroke::default()
    }
}

/// `None`: nothing of it was drawn.
fn group(part: Part, identifiers: &[Option<Identifier>]) -> Option<krilla::tagging::Node> {
    match part {
        Part::Drawn(part) => identifiers.get(part).copied().flatten().map(Into::into),
        Part::Group(kind, parts) => {
            let nodes = parts.into_iter();
            let nodes: Vec<_> = nodes.filter_map(|part| group(part, identifiers)).collect();
            (!nodes.is_empty()).then(|| TagGroup::with_children(kind, nodes).into())
        }
    }
}
