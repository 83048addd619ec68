//! The rows of a table: measured, kept together, drawn.

use ledgerward_contract::RowKind;

use super::{
    fit::{MARGIN, shown},
    font::Set,
    layout::{FOOT, GREY, HAIR, INK, LEADING, Pen},
};
use crate::statement::grid::{Cell, Line, Shape};

const INDENT: f32 = 12.0;

/// A row, wrapped and measured.
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

impl Pen<'_, '_> {
    pub(super) fn rows(&mut self) {
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
            // A sum stands below its heading, not among its lines.
            (RowKind::Subtotal | RowKind::Total, section) => {
                self.section = None;
                line.depth.min(section.unwrap_or(line.depth))
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
}
