//! Letters: which font has them, how wide they are. No shaping: one glyph a character, left to right.
//!
//! The built-in font is Noto Sans (SIL Open Font License 1.1, through the crate `notosans`): Latin, Greek, Cyrillic, and
//! figures that are all equally wide, so that columns of amounts align.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::{
    FontRef, MetadataProvider,
    charmap::Charmap,
    instance::{LocationRef, Size},
    metrics::GlyphMetrics,
};
use unicode_normalization::UnicodeNormalization;

/// Stands where no font has the letter.
const BOX: char = '□';

struct Face<'a> {
    font: Font,
    letters: Charmap<'a>,
    widths: GlyphMetrics<'a>,
    em: f32,
}

impl<'a> Face<'a> {
    fn new(data: krilla::Data, bytes: &'a [u8]) -> Option<Self> {
        let face = FontRef::from_index(bytes, 0).ok()?;
        Some(Self {
            font: Font::new(data, 0)?,
            letters: face.charmap(),
            widths: face.glyph_metrics(Size::unscaled(), LocationRef::default()),
            em: f32::from(face.metrics(Size::unscaled(), LocationRef::default()).units_per_em),
        })
    }

    /// Glyph and width in em.
    fn glyph(&self, c: char) -> Option<(u32, f32)> {
        let id = self.letters.map(c).filter(|id| id.to_u32() != 0)?;
        Some((id.to_u32(), self.widths.advance_width(id)? / self.em))
    }
}

/// Whether these are the bytes of a font that a PDF can be set in.
pub fn is_font(bytes: &Bytes) -> bool {
    let data: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(bytes.clone());
    Face::new(data.into(), bytes).is_some()
}

/// A text set in glyphs. Widths are in em.
#[derive(Clone)]
pub struct Set {
    pub text: String,
    pub runs: Vec<(Font, Vec<KrillaGlyph>)>,
    pub width: f32,
}

pub struct Fonts<'a> {
    plain: Vec<Face<'a>>,
    bold: Vec<Face<'a>>,
    /// Whether one of the firm's fonts could not be read.
    pub bad: bool,
    missing: BTreeSet<char>,
}

impl<'a> Fonts<'a> {
    /// `None` if the built-in font cannot be read, which a test excludes.
    pub fn new(more: &'a [Bytes]) -> Option<Self> {
        let mut fonts = Self {
            plain: vec![Face::new(notosans::REGULAR_TTF.into(), notosans::REGULAR_TTF)?],
            bold: vec![Face::new(notosans::BOLD_TTF.into(), notosans::BOLD_TTF)?],
            bad: false,
            missing: BTreeSet::new(),
        };
        for bytes in more {
            let data: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(bytes.clone());
            let pair = [Face::new(data.clone().into(), bytes), Face::new(data.into(), bytes)];
            if let [Some(plain), Some(bold)] = pair {
                fonts.plain.push(plain);
                fonts.bold.push(bold);
            } else {
                fonts.bad = true;
            }
        }
        Some(fonts)
    }

    /// Letters that stood in no font, for the finding: `東 (U+6771), …`.
    pub fn missing(&self) -> Option<String> {
        let named: Vec<String> =
            self.missing.iter().take(20).map(|c| format!("{c} (U+{:04X})", u32::from(*c))).collect();
        let more = self.missing.len().saturating_sub(named.len());
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!named.is_empty()).then(|| named.join(", ") + &tail)
    }

    /// One line. Line breaks become blanks; what cannot be seen is left out.
    pub fn set(&mut self, text: &str, bold: bool) -> Set {
        let faces = if bold { &self.bold } else { &self.plain };
        let mut set = Set { text: String::with_capacity(text.len()), runs: Vec::new(), width: 0.0 };
        let mut last = usize::MAX;
        for c in text.nfc() {
            let c = if c.is_whitespace() { ' ' } else { c };
            if c.is_control() || unseen(c) {
                continue;
            }
            let find = |c| faces.iter().enumerate().find_map(|(n, face)| Some((n, face.glyph(c)?)));
            let (c, (at, (id, width))) = match find(c) {
                Some(found) => (c, found),
                None => {
                    self.missing.insert(c);
                    match find(BOX) {
                        Some(found) => (BOX, found),
                        None => continue,
                    }
                }
            };
            let start = set.text.len();
            set.text.push(c);
            let glyph = KrillaGlyph::new(GlyphId::new(id), width, 0.0, 0.0, 0.0, start..set.text.len(), None);
            set.width += width;
            match set.runs.last_mut().filter(|_| at == last) {
                Some((_, glyphs)) => glyphs.push(glyph),
                None => set.runs.extend(faces.get(at).map(|face| (face.font.clone(), vec![glyph]))),
            }
            last = at;
        }
        set
    }

    /// The width in em, without keeping anything.
    pub fn width(&mut self, text: &str, bold: bool) -> f32 {
        self.set(text, bold).width
    }

    /// At most `lines` lines of at most `width` em each; what does not fit ends in `…`. Never empty.
    pub fn wrap(&mut self, text: &str, bold: bool, width: f32, lines: usize) -> Vec<Set> {
        let whole = self.set(text, bold);
        if whole.width <= width {
            return vec![whole];
        }
        let mut rows: Vec<String> = Vec::new();
        let mut row = String::new();
        let mut used = 0.0;
        let advance: BTreeMap<char, f32> = {
            let letters: BTreeSet<char> = whole.text.chars().collect();
            letters.into_iter().map(|c| (c, self.width(&c.to_string(), bold))).collect()
        };
        let length = |text: &str| text.chars().map(|c| advance.get(&c).copied().unwrap_or(0.0)).sum::<f32>();
        for word in whole.text.split_inclusive(' ') {
            if used > 0.0 && used + length(word.trim_end()) > width {
                rows.push(std::mem::take(&mut row));
                used = 0.0;
            }
            // A word longer than the line is broken where the line ends.
            for c in word.chars() {
                let step = advance.get(&c).copied().unwrap_or(0.0);
                if c != ' ' && used + step > width && !row.is_empty() {
                    rows.push(std::mem::take(&mut row));
                    used = 0.0;
                }
                row.push(c);
                used += step;
            }
        }
        rows.push(row);
        if rows.len() > lines {
            rows.truncate(lines.max(1));
            if let Some(last) = rows.last_mut() {
                while length(last.trim_end()) + 1.0 > width && last.pop().is_some() {}
                *last = format!("{}…", last.trim_end());
            }
        }
        rows.iter().map(|row| self.set(row.trim_end(), bold)).collect()
    }
}

/// Takes no room and shows nothing: bidi controls, joiners, variation selectors.
fn unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}
