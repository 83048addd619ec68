//! Where everything stands. All lengths in points; y grows downwards; a text's y is its baseline.

use ledgerward_contract::RowKind;

use super::{
    fit::{Fit, GAP, MARGIN, fit, paper, shown},
    font::{Fonts, Set},
};
use crate::statement::{
    Look,
    grid::{Cell, Grid, Line, Shape},
    model::{Body, Statement},
};

const FOOT: f32 = 60.0;
const INDENT: f32 = 12.0;
const LEADING: f32 = 1.36;

const INK: [u8; 3] = [0x1a, 0x1a, 0x1a];
const GREY: [u8; 3] = [0x5c, 0x63, 0x6b];
const HAIR: [u8; 3] = [0xd9, 0xdd, 0xe2];
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

struct Pen<'a, 'f> {
    statement: &'a Statement,
    fonts: &'a mut Fonts<'f>,
    accent: [u8; 3],
    grid: &'a Grid,
    /// Hairlines between the rows: a register is read across.
    ruled: bool,
    fit: Fit,
    width: f32,
    height: f32,
    pages: Vec<Page>,
    y: f32,
    /// Depth of the heading we are below.
    section: Option<u8>,
}

impl Pen<'_, '_> {
    fn put(&mut self, item: Item) {
        if let Some(page) = self.pages.last_mut() {
            page.items.push(item);
        }
    }

    fn set(&mut self, x: f32, y: f32, size: f32, colour: [u8; 3], set: Set) {
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

    fn rule(&mut self, x: f32, y: f32, width: f32, weight: f32, colour: [u8; 3]) {
        self.put(Item::Area { x, y: y - weight / 2.0, width, height: weight, colour });
    }

    fn room(&self) -> f32 {
        self.width - 2.0 * MARGIN
    }

    fn start_page(&mut self) {
        self.pages.push(Page { width: self.width, height: self.height, items: Vec::new() });
        self.y = MARGIN;
    }

    /// A text that may take several lines, from `self.y` down.
    fn paragraph(&mut self, size: f32, bold: bool, colour: [u8; 3], text: &str, lines: usize) {
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
    fn next_page(&mut self) {
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

    fn rows(&mut self) {
        let grid = self.grid;
        let floor = self.height - FOOT;
        let fresh = self.y;
        let last_total = grid.lines.iter().rposition(|line| line.kind == RowKind::Total);
        let mut laid: Vec<Laying> = grid.lines.iter().map(|line| self.lay(line)).collect();
        if let Some(last) = last_total.and_then(|n| laid.get_mut(n)) {
            last.double = true;
        }
        if let Some(first) = laid.first_mut() {
            first.summed = false;
        }
        for (n, row) in laid.iter().enumerate() {
            // A heading stays with what it heads, down to the first line; a subtotal with its last line.
            let mut need = row.height;
            for later in laid.iter().skip(n + 1) {
                let keep = laid.get(n).is_some_and(|r| r.kind == RowKind::Heading)
                    || (later.kind == RowKind::Subtotal && row.kind == RowKind::Line);
                if !keep {
                    break;
                }
                need += later.height;
                if later.kind != RowKind::Heading {
                    break;
                }
            }
            if self.y + need > floor && self.y > fresh.min(MARGIN + 80.0) {
                self.next_page();
            }
            self.row(row);
        }
        if grid.lines.is_empty() {
            self.y += 6.0;
            self.paragraph(9.0, false, GREY, "Nothing in this period.", 1);
        }
    }

    /// Wraps a row's texts and measures it.
    fn lay(&mut self, line: &Line) -> Laying {
        let size = self.fit.size;
        let bold = line.kind != RowKind::Line;
        let level = match (line.kind, self.section) {
            (RowKind::Heading, _) => {
                self.section = Some(line.depth);
                line.depth
            }
            // A source that gives all rows one depth still shows its lines below their heading.
            (RowKind::Line, Some(section)) => line.depth.max(section + 1),
            (RowKind::Subtotal | RowKind::Total, _) => {
                self.section = None;
                line.depth
            }
            (RowKind::Line, None) => line.depth,
        };
        let indent = INDENT * f32::from(level.min(8)) * (size / 9.0);
        let mut cells = Vec::with_capacity(line.cells.len());
        let mut first = true;
        let alone = line.kind == RowKind::Heading && line.cells.iter().skip(1).all(|c| *c == Cell::Empty);
        for ((cell, column), (x, width)) in line.cells.iter().zip(&self.grid.columns).zip(&self.fit.columns) {
            let text = shown(cell);
            let names = matches!(cell, Cell::Text(_)) && first;
            let (x, width) = if names { (x + indent, width - indent) } else { (*x, *width) };
            let width = if names && alone { self.width - MARGIN - x } else { width };
            first &= !names;
            let lines = if matches!(cell, Cell::Text(_)) { 5 } else { 1 };
            // An amount is never cut: its column is as wide as its widest.
            let sets = if lines == 1 {
                vec![self.fonts.set(&text, bold)]
            } else {
                self.fonts.wrap(&text, bold, width.max(size * 4.0) / size, lines)
            };
            cells.push((x, width, column.shape == Shape::Money, sets));
        }
        let most = cells.iter().map(|(.., sets)| sets.len()).max().unwrap_or(1);
        let lines = f32::from(u8::try_from(most).unwrap_or(3));
        let above = match line.kind {
            RowKind::Heading if line.depth == 0 => size,
            RowKind::Heading | RowKind::Total => size * 0.55,
            RowKind::Subtotal | RowKind::Line => 0.0,
        };
        let below = match line.kind {
            RowKind::Subtotal => size * 0.75,
            RowKind::Total => size * 0.6,
            RowKind::Heading | RowKind::Line => size * 0.22,
        };
        Laying {
            kind: line.kind,
            summed: matches!(line.kind, RowKind::Subtotal | RowKind::Total),
            double: false,
            cells,
            above,
            height: above + lines * size * LEADING + below + size * 0.2,
        }
    }

    fn row(&mut self, row: &Laying) {
        let size = self.fit.size;
        let top = self.y + row.above;
        let base = top + size * 1.12;
        for (x, width, money, sets) in &row.cells {
            let filled = sets.iter().any(|s| s.width > 0.0);
            if row.summed && *money && filled {
                self.rule(*x, top, *width, 0.6, INK);
                if row.double {
                    self.rule(*x, base + size * 0.42, *width, 0.6, INK);
                    self.rule(*x, base + size * 0.42 + 1.9, *width, 0.6, INK);
                }
            }
            for (n, set) in (0u8..).zip(sets) {
                let y = base + f32::from(n) * size * LEADING;
                let x = if *money { x + width - set.width * size } else { *x };
                self.set(x, y, size, INK, set.clone());
            }
        }
        self.y += row.height;
        if self.ruled && row.kind == RowKind::Line {
            self.rule(MARGIN, self.y - size * 0.1, self.room(), 0.4, HAIR);
        }
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

struct Laying {
    kind: RowKind,
    /// Lines above add up to it: a rule between them.
    summed: bool,
    /// The result of the whole: a double line below it.
    double: bool,
    /// Left, width, right-aligned, lines.
    cells: Vec<(f32, f32, bool, Vec<Set>)>,
    above: f32,
    height: f32,
}
