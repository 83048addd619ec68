//! PDF/A-2u: one statement as pages that can be filed and read in thirty years.
//!
//! Two passes: lay out (which knows no page count), then draw. Dates and ids come from the content, so the same content
//! gives the same bytes (`decisions` 24). Conformance is checked by krilla's own validator on every rendering.

mod fit;
mod font;
mod layout;
mod letter;
mod rows;

use std::collections::BTreeSet;

use krilla::{
    Document, SerializeSettings,
    color::rgb,
    configure::{Archival, ConfigurationBuilder},
    geom::{PathBuilder, Point, Rect},
    metadata::{DateTime, Metadata},
    num::NormalizedF32,
    page::PageSettings,
    paint::{Fill, FillRule},
    surface::Surface,
};
use ledgerward_contract::Timestamp;

pub use font::is_font;
pub use letter::{Letter, letter};

use self::{
    font::Fonts,
    layout::{Item, Page, pages},
};
use super::{Finding, Format, Look, RenderError, model::Statement};

pub fn render(statement: &Statement, look: &Look, findings: &mut BTreeSet<Finding>) -> Result<Vec<u8>, RenderError> {
    let mut fonts = Fonts::new(&look.fonts).ok_or_else(|| failed("the built-in font cannot be read"))?;
    let laid = pages(statement, look, &mut fonts);
    findings.extend(fonts.missing().map(Finding::MissingGlyphs));
    findings.extend(fonts.bad.then_some(Finding::BadFont));
    findings.extend(laid.small.then_some(Finding::SmallType));

    let head = &statement.head;
    let title = format!("{}, {}, {}", statement.title(), head.organisation, statement.period_text());
    let id = format!("{}|{}|{}|{}", title, head.source, head.version, statement.first_read_text());
    finished(document(&title, &head.firm, head.first_read, &id)?, &laid.pages)
}

fn failed(what: &str) -> RenderError {
    RenderError::failed(Format::Pdf, what)
}

/// An empty archival document that says what it is.
fn document(title: &str, author: &str, at: Timestamp, id: &str) -> Result<Document, RenderError> {
    let configuration = ConfigurationBuilder::new()
        .with_archival_validator(Archival::A2_U)
        .finish()
        .map_err(|e| failed(&format!("{e:?}")))?;
    let mut document =
        Document::new_with(SerializeSettings { configuration, enable_tagging: false, ..SerializeSettings::default() });
    document.set_metadata(metadata(title, author, at, id));
    Ok(document)
}

fn finished(mut document: Document, pages: &[Page]) -> Result<Vec<u8>, RenderError> {
    for page in pages {
        let settings = PageSettings::from_wh(page.width, page.height).ok_or_else(|| failed("an impossible page"))?;
        let mut canvas = document.start_page_with(settings);
        let mut surface = canvas.surface();
        draw(&mut surface, page);
        surface.finish();
        canvas.finish();
    }
    document.finish().map_err(|e| failed(&format!("{e:?}")))
}

fn metadata(title: &str, author: &str, at: Timestamp, id: &str) -> Metadata {
    // A title longer than a PDF string may be would fail the export; nobody reads more than this of it.
    let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(300).collect::<String>();
    Metadata::new()
        .title(short(title))
        .authors(vec![short(author)])
        .creator("ledgerward".to_owned())
        .producer("ledgerward".to_owned())
        .language("en".to_owned())
        .creation_date(date_time(at))
        .document_id(id.to_owned())
}

fn date_time(at: Timestamp) -> DateTime {
    let at = at.to_zoned(jiff::tz::TimeZone::UTC);
    let small = |n: i8| u8::try_from(n).unwrap_or(0);
    DateTime::new(u16::try_from(at.year()).unwrap_or(0))
        .month(small(at.month()))
        .day(small(at.day()))
        .hour(small(at.hour()))
        .minute(small(at.minute()))
        .second(small(at.second()))
        .utc_offset_hour(0)
        .utc_offset_minute(0)
}

fn draw(surface: &mut Surface, page: &Page) {
    for item in &page.items {
        let [red, green, blue] = item.colour();
        surface.set_fill(Some(Fill {
            paint: rgb::Color::new(red, green, blue).into(),
            opacity: NormalizedF32::ONE,
            rule: FillRule::NonZero,
        }));
        match item {
            Item::Text { x, y, size, set, .. } => {
                let mut x = *x;
                for (font, glyphs) in &set.runs {
                    surface.draw_glyphs(Point::from_xy(x, *y), glyphs, font.clone(), &set.text, *size, false);
                    x += glyphs.iter().map(|g| g.x_advance * size).sum::<f32>();
                }
            }
            Item::Area { x, y, width, height, .. } => {
                let mut path = PathBuilder::new();
                if let Some(rect) = Rect::from_xywh(*x, *y, *width, *height) {
                    path.push_rect(rect);
                }
                if let Some(path) = path.finish() {
                    surface.draw_path(&path);
                }
            }
        }
    }
}
