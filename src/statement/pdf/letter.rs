//! A letter: the firm's name, a date, a title, paragraphs. On the same paper and in the same type as a statement.

use super::{
    Fonts, Look, RenderError, document, failed, finished,
    fit::{MARGIN, paper},
    layout::{FOOT, GREY, HAIR, INK, Item, LEADING, Page},
};
use ledgerward_contract::Timestamp;

/// A letter's whole content. The same letter and look give the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Who writes.
    pub firm: String,
    pub date: String,
    pub title: String,
    pub paragraphs: Vec<String>,
    /// For the document's own data.
    pub at: Timestamp,
}

const SIZE: f32 = 10.5;
/// A page holds fewer; a longer paragraph is split by whoever writes it.
const LINES_MAX: usize = 40;

/// Errors: the font or the PDF library refuses; our defect.
pub fn letter(letter: &Letter, look: &Look) -> Result<Vec<u8>, RenderError> {
    let mut fonts = Fonts::new(&look.fonts).ok_or_else(|| failed("the built-in font cannot be read"))?;
    let (width, height) = paper(look.paper, false);
    let room = width - 2.0 * MARGIN;
    let blank = || Page { width, height, items: Vec::new() };
    let (mut pages, mut page, mut y) = (Vec::new(), blank(), MARGIN);
    let head = [(letter.firm.as_str(), 12.0, true, look.accent), (letter.date.as_str(), 9.0, false, GREY)];
    let title = [("", SIZE, false, INK), (letter.title.as_str(), 15.0, true, INK)];
    let body = letter.paragraphs.iter().map(|p| (p.as_str(), SIZE, false, INK));
    for (text, size, bold, colour) in head.into_iter().chain(title).chain(body) {
        for set in fonts.wrap(text, bold, room / size, LINES_MAX) {
            if y + size * LEADING > height - FOOT {
                pages.push(std::mem::replace(&mut page, blank()));
                y = MARGIN;
            }
            y += size * LEADING;
            page.items.push(Item::Text { x: MARGIN, y: y - size * 0.3, size, colour, set });
        }
        y += size * 0.6;
    }
    pages.push(page);
    let count = pages.len();
    for (n, page) in pages.iter_mut().enumerate() {
        let y = height - FOOT + 26.0;
        page.items.push(Item::Area { x: MARGIN, y: y - 11.0, width: room, height: 0.4, colour: HAIR });
        let set = fonts.set(&format!("{} · {} · {} of {count}", letter.firm, letter.date, n + 1), false);
        page.items.push(Item::Text { x: MARGIN, y, size: 7.5, colour: GREY, set });
    }
    let title = format!("{}: {}", letter.firm, letter.title);
    finished(document(&title, &letter.firm, letter.at, &format!("{title}|{}", letter.paragraphs.join("|")))?, &pages)
}
