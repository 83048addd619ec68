//! Lines of cells, whatever they came from.

use jiff::civil::DateTime;
use unicode_normalization::UnicodeNormalization as _;

/// A list of more lines is no roster.
pub const LINES_MAX: u32 = 1_000_000;
/// Cells with something in them. Bounds the memory that a workbook can ask for.
pub const CELLS_MAX: usize = 8_000_000;

#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Text(String),
    /// A workbook's own date.
    Day(DateTime),
    /// There is something, and it is no value: why.
    Bad(&'static str),
}

/// One line with its cells that are not empty, by column from 0.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// As a person counts them, from 1.
    pub number: u32,
    /// How many cells a text has on this line, empty ones counted. 0 in a workbook, where no cell can slip.
    pub fields: u32,
    pub cells: Vec<(u32, Cell)>,
}

impl Line {
    pub fn cell(&self, column: u32) -> Option<&Cell> {
        self.cells.binary_search_by_key(&column, |(at, _)| *at).ok().and_then(|n| self.cells.get(n)).map(|(_, c)| c)
    }

    /// The text of a cell: nothing where it is empty. Errors: why it has no value.
    pub fn text(&self, column: Option<u32>) -> Result<Option<String>, &'static str> {
        match column.and_then(|c| self.cell(c)) {
            None => Ok(None),
            Some(Cell::Text(text)) => Ok(Some(text.clone())),
            Some(Cell::Day(at)) => Ok(Some(at.date().to_string())),
            Some(Cell::Bad(why)) => Err(why),
        }
    }

    /// One more than the last column that has something.
    pub fn width(&self) -> u32 {
        self.cells.last().map_or(0, |(at, _)| at + 1)
    }
}

/// Lines that are not blank, in order, and how they were read, for a person.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    pub lines: Vec<Line>,
    pub read_as: String,
    /// What separates the cells of a text.
    pub delimiter: Option<char>,
}

/// Words one blank apart, without what nobody sees, each letter in its one form: a Mac writes an accent apart from its letter
/// where Excel writes both as one (Unicode's NFD and NFC), and a name must be the same name in either.
pub fn tidy(text: &str) -> String {
    let seen =
        |c: &char| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{feff}' | '\u{ad}');
    let text: String = text.chars().filter(seen).nfc().collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
