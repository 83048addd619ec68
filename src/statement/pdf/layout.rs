//! Where everything stands. All lengths in points; y grows downwards; a text's y is its baseline.

use super::{
    fit::{Fit, GAP, MARGIN, fit, paper},
    font::{Fonts, Set},
};
use crate::statement::{
    Look,
    grid::{Grid, Shape},
    model::{Body, Statement},
};

pub(super) const FOOT: f32 = 60.0;
pub(super) const LEADING: f32 = 1.36;

pub(super) const INK: [u8; 3] = [0x1a, 0x1a, 0x1a];
pub(super) const GREY: [u8; 3] = [0x5c, 0x63, 0x6b];
pub(super) const HAIR: [u8; 3] = [0xd9, 0xdd, 0xe2];
const WASH: [u8; 3] = [0xf3, 0xf5, 0xf8];
const ALERT: [u8; 3] = [0x9a, 0x3b, 0x12];

pub enum Item {
    Text { x: f32, y: f32, size: f32, colour: [u8; 3], set: Set },
    Area { x: f32, y: f32, width: f32, height: f32, colour: [u8; 3] },
}

impl Item {
    pub const fn colour(&self) -> [u8; 3] {
        match self {
            Self::Text { colour, .. } | Self::Area { colour, .. } => *colour,
        }
    }
}

pub struct Page {
    pub width: f32,
    pub height: f32,
    pub items: Vec<Item>,
}

pub struct Laid {
    pub pages: Vec<Page>,
    /// The type had to be very small.
    pub small: bool,
}

pub fn pages(statement: &Statement, look: &Look, fonts: &mut Fonts) -> Laid {
    let grid = Grid::for_people(&statement.body);
    let fit = fit(&grid, look.paper, fonts);
    let small = fit.small;
    let (width, height) = paper(look.paper, fit.landscape);
    let mut pen = Pen {
        statement,
        fonts,
        accent: look.accent,
        grid: &grid,
        ruled: matches!(statement.body, Body::Register(_)),
        fit,
        width,
        height,
        pages: Vec::new(),
        y: 0.0,
        section: None,
    };
    pen.first_page();
    pen.rows();
    pen.feet();
    Laid { pages: pen.pages, small }
}

pub(super) struct Pen<'a, 'f> {
    pub(super) statement: &'a Statement,
    pub(super) fonts: &'a mut Fonts<'f>,
    accent: [u8; 3],
    pub(super) grid: &'a Grid,
    /// Hairlines between the rows: a register is read across.
    pub(super) ruled: bool,
    pub(super) fit: Fit,
    pub(super) width: f32,
    pub(super) height: f32,
    pages: Vec<Page>,
    pub(super) y: f32,
    /// Depth of the heading we are below.
    pub(super) section: Option<u8>,
}

impl Pen<'_, '_> {
    fn put(&mut self, item: Item) {
        if let Some(page) = self.pages.last_mut() {
            page.items.push(item);
        }
    }

    pub(super) fn set(&mut self, x: f32, y: f32, size: f32, colour: [u8; 3], set: Set) {
        self.put(Item::Text { x, y, size, colour, set });
    }

    fn left(&mut self, x: f32, y: f32, size: f32, bold: bool, colour: [u8; 3], text: &str) {
        let set = self.fonts.set(text, bold);
        self.set(x, y, size, colour, set);
    }

    fn right(&mut self, x: f32, y: f32, size: f32, bold: bool, colour: [u8; 3], text: &str) {
        let set = self.fonts.set(text, bold);
        self.set(x - set.width * size, y, size, colour, set);
    }

    pub(super) fn rule(&mut self, x: f32, y: f32, width: f32, weight: f32, colour: [u8; 3]) {
        self.put(Item::Area { x, y: y - weight / 2.0, width, height: weight, colour });
    }

    pub(super) fn room(&self) -> f32 {
        self.width - 2.0 * MARGIN
    }

    fn start_page(&mut self) {
        self.pages.push(Page { width: self.width, height: self.height, items: Vec::new() });
        self.y = MARGIN;
    }

    /// A text that may take several lines, from `self.y` down.
    pub(super) fn paragraph(&mut self, size: f32, bold: bool, colour: [u8; 3], text: &str, lines: usize) {
        let room = self.room() / size;
        for set in self.fonts.wrap(text, bold, room, lines) {
            self.y += size * LEADING;
            self.set(MARGIN, self.y - size * 0.3, size, colour, set);
        }
    }

    fn first_page(&mut self) {
        self.start_page();
        self.letterhead();
        let statement = self.statement;
        let head = &statement.head;
        self.y += 16.0;
        self.paragraph(19.0, true, INK, &statement.title(), 2);
        self.y += 2.0;
        self.paragraph(12.0, true, INK, &head.organisation, 2);
        self.paragraph(10.0, false, INK, &statement.period_text(), 1);
        self.facts();
        if head.version > 1 {
            let change = head.change.as_deref().unwrap_or("the ledger changed since the version before");
            self.paragraph(8.5, true, ALERT, &format!("Restated, version {}. {change}", head.version), 6);
            self.y += 4.0;
        }
        if let Some(banner) = statement.banner() {
            self.banner(&banner);
        }
        for note in statement.notes() {
            self.paragraph(8.0, false, GREY, note, 4);
        }
        self.y += 12.0;
        self.column_heads();
    }

    fn letterhead(&mut self) {
        let head = &self.statement.head;
        let (firm, lines) = (&head.firm, &head.letterhead);
        let half = self.room() * 0.55;
        let top = self.y;
        for set in self.fonts.wrap(firm, true, half / 12.0, 2) {
            self.y += 15.0;
            self.set(MARGIN, self.y - 4.0, 12.0, self.accent, set);
        }
        let mut y = top + 2.0;
        for line in lines.iter().take(4) {
            y += 10.0;
            let set = self.fonts.wrap(line, false, self.room() * 0.42 / 7.5, 1).pop();
            if let Some(set) = set {
                self.set(self.width - MARGIN - set.width * 7.5, y - 3.0, 7.5, GREY, set);
            }
        }
        self.y = self.y.max(y) + 5.0;
        self.rule(MARGIN, self.y, self.room(), 1.2, self.accent);
    }

    /// Basis, currency, source, first read: what, above which, as many in a row as fit.
    fn facts(&mut self) {
        let statement = self.statement;
        let head = &statement.head;
        let mut facts = vec![
            ("Basis", statement.basis_text().trim_end_matches(" basis").to_owned()),
            ("Currency", head.currency.clone().unwrap_or_else(|| "unknown".to_owned())),
            ("Source", head.source.clone()),
            ("First read", head.first_read.strftime("%-d %b %Y, %H:%M UTC").to_string()),
        ];
        if head.client != head.organisation {
            facts.insert(0, ("Client", head.client.clone()));
        }
        if let Body::Register(register) = &statement.body
            && let Some(number) = &register.account_number
        {
            facts.insert(0, ("Account", number.clone()));
        }
        self.y += 10.0;
        let mut x = MARGIN;
        for (what, text) in facts {
            let set = self.fonts.wrap(&text, false, self.room() * 0.4 / 9.0, 1).pop();
            let Some(set) = set else { continue };
            let wide = (set.width * 9.0).max(self.fonts.width(what, false) * 7.0);
            if x > MARGIN && x + wide > self.width - MARGIN {
                x = MARGIN;
                self.y += 28.0;
            }
            self.left(x, self.y + 8.0, 7.0, false, GREY, what);
            self.set(x, self.y + 20.0, 9.0, INK, set);
            x += wide + 26.0;
        }
        self.y += 32.0;
    }

    fn banner(&mut self, text: &str) {
        let size = 8.5;
        let rows = self.fonts.wrap(text, true, (self.room() - 20.0) / size, 4);
        let lines = f32::from(u8::try_from(rows.len()).unwrap_or(4));
        let height = lines * size * LEADING + 9.0;
        self.put(Item::Area { x: MARGIN, y: self.y, width: self.room(), height, colour: WASH });
        self.put(Item::Area { x: MARGIN, y: self.y, width: 2.5, height, colour: self.accent });
        let mut y = self.y + 4.5;
        for set in rows {
            y += size * LEADING;
            self.set(MARGIN + 11.0, y - size * 0.35, size, INK, set);
        }
        self.y += height + 4.0;
    }

    /// Later pages say again what this is, and whose record.
    pub(super) fn next_page(&mut self) {
        self.start_page();
        let statement = self.statement;
        let head = &statement.head;
        let line = format!("{} · {}", head.organisation, statement.title());
        let period = statement.period_text();
        let room = self.room() - self.fonts.width(&period, false) * 8.5 - GAP;
        let set = self.fonts.wrap(&line, true, room / 8.5, 1).pop();
        self.y += 10.0;
        if let Some(set) = set {
            self.set(MARGIN, self.y - 2.0, 8.5, INK, set);
        }
        self.right(self.width - MARGIN, self.y - 2.0, 8.5, false, GREY, &period);
        self.y += 3.0;
        self.rule(MARGIN, self.y, self.room(), 0.8, self.accent);
        if let Some(banner) = statement.banner() {
            self.y += 2.0;
            self.paragraph(7.5, false, GREY, &banner, 2);
        }
        self.y += 10.0;
        self.column_heads();
    }

    fn column_heads(&mut self) {
        let size = self.fit.size;
        let grid = self.grid;
        let heads: Vec<(f32, f32, bool, Vec<Set>)> = self
            .fit
            .columns
            .iter()
            .zip(&grid.columns)
            .map(|((x, width), column)| {
                let rows = self.fonts.wrap(&column.label, true, width / size + 0.05, 3);
                (*x, *width, column.shape == Shape::Money, rows)
            })
            .collect();
        let most = heads.iter().map(|(.., rows)| rows.len()).max().unwrap_or(1);
        let step = size * LEADING;
        let bottom = self.y + step * f32::from(u8::try_from(most).unwrap_or(3));
        for (x, width, money, rows) in heads {
            // Heads stand on the line, whatever their height.
            for (n, set) in (0u8..).zip(rows.into_iter().rev()) {
                let y = bottom - f32::from(n) * step - size * 0.35;
                let x = if money { x + width - set.width * size } else { x };
                self.set(x, y, size, GREY, set);
            }
        }
        self.y = bottom + 2.0;
        self.rule(MARGIN, self.y, self.room(), 0.8, INK);
        self.y += 3.0;
    }

    /// At the bottom of each page, when their number is known.
    fn feet(&mut self) {
        let head = &self.statement.head;
        let count = self.pages.len();
        let text = format!("{} · {} · {} · {}", head.firm, head.client, self.statement.title(), head.period_label);
        let y = self.height - FOOT + 26.0;
        let pages = std::mem::take(&mut self.pages);
        for (n, page) in pages.into_iter().enumerate() {
            self.pages.push(page);
            self.rule(MARGIN, y - 11.0, self.room(), 0.4, HAIR);
            let set = self.fonts.wrap(&text, false, self.room() * 0.8 / 7.5, 1).pop();
            if let Some(set) = set {
                self.set(MARGIN, y, 7.5, GREY, set);
            }
            self.right(self.width - MARGIN, y, 7.5, false, GREY, &format!("Page {} of {count}", n + 1));
        }
    }
}
