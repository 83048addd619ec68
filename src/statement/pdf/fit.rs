//! Which paper, which size of type, how wide each column. All lengths in points, widths of texts in em.

use ledgerward_contract::RowKind;

use super::font::Fonts;
use crate::statement::{
    Paper,
    grid::{Cell, Column, Grid, Shape},
    money,
};

pub const MARGIN: f32 = 52.0;
/// Between two columns.
pub const GAP: f32 = 14.0;

/// How a grid fits on a page.
pub struct Fit {
    pub landscape: bool,
    pub size: f32,
    /// Left edge and width.
    pub columns: Vec<(f32, f32)>,
    /// The type had to be very small.
    pub small: bool,
}

/// Width and height.
pub const fn paper(paper: Paper, landscape: bool) -> (f32, f32) {
    let (short, long) = match paper {
        Paper::A4 => (595.28, 841.89),
        Paper::Letter => (612.0, 792.0),
    };
    if landscape { (long, short) } else { (short, long) }
}

/// As it stands on the page.
pub fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) => text.clone(),
        Cell::Money(amount) => money::grouped(*amount),
        Cell::Day(day) => day.strftime("%-d %b %Y").to_string(),
    }
}

/// The largest type in which every amount stands on one line and the names have room.
pub fn fit(grid: &Grid, on: Paper, fonts: &mut Fonts) -> Fit {
    let widths: Vec<f32> = grid.columns.iter().enumerate().map(|(n, column)| natural(grid, n, column, fonts)).collect();
    let tries =
        [(false, 9.0), (false, 8.5), (true, 9.0), (true, 8.0), (true, 7.0), (true, 6.0), (true, 5.0), (true, 4.0)];
    let mut best = None;
    for (landscape, size) in tries {
        let room = paper(on, landscape).0 - 2.0 * MARGIN;
        let (columns, names) = spread(grid, &widths, room, size);
        best = Some(Fit { landscape, size, columns, small: size < 6.0 });
        if names >= 15.0 * size {
            break;
        }
    }
    best.unwrap_or(Fit { landscape: false, size: 9.0, columns: Vec::new(), small: false })
}

/// The width a column would like, in em.
fn natural(grid: &Grid, at: usize, column: &Column, fonts: &mut Fonts) -> f32 {
    // A short label stays on one line; a long one breaks between words.
    let words = column.label.split(' ').map(|word| fonts.width(word, true)).fold(0.0, f32::max);
    let head = fonts.width(&column.label, true).min(7.5).max(words);
    let head = if column.shape == Shape::Money { head.max(5.4) } else { head };
    let cells = grid.lines.iter().filter_map(|line| Some((line.kind != RowKind::Line, line.cells.get(at)?)));
    cells.map(|(bold, cell)| fonts.width(&shown(cell), bold)).fold(head, f32::max)
}

/// Left edges and widths, and what is left for the names.
fn spread(grid: &Grid, natural: &[f32], room: f32, size: f32) -> (Vec<(f32, f32)>, f32) {
    let main = grid.columns.iter().position(|c| c.shape == Shape::Text).unwrap_or(0);
    let mut widths: Vec<f32> = grid
        .columns
        .iter()
        .zip(natural)
        .map(|(column, em)| match column.shape {
            // Further texts may wrap, so they get no more than a fifth.
            Shape::Text => (em * size + 1.0).min(room * 0.2),
            Shape::Money | Shape::Day => em * size + 1.0,
        })
        .collect();
    let gaps = GAP * f32::from(u16::try_from(widths.len().saturating_sub(1)).unwrap_or(u16::MAX));
    let others: f32 = widths.iter().enumerate().filter(|(n, _)| *n != main).map(|(_, w)| w).sum();
    let rest = room - gaps - others;
    if let Some(width) = widths.get_mut(main) {
        *width = rest.max(20.0);
    }
    let mut x = MARGIN;
    let columns = widths
        .into_iter()
        .map(|width| {
            let left = x;
            x += width + GAP;
            (left, width)
        })
        .collect();
    (columns, rest)
}
