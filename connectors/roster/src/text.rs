//! Text with delimiters: encodings, and which character separates.

use encoding_rs::{Encoding, UTF_8};
use ledgerward_contract::{Error, Result};

use crate::{
    OP,
    grid::{CELLS_MAX, Cell, Grid, LINES_MAX, Line},
    header,
    settings::Settings,
};

const DELIMITERS: &[u8] = b",;\t|";
/// The header is looked for in so much of the text.
const HEAD_BYTES: usize = 64 << 10;

/// Errors: `Contract` for a text in another encoding, or with a quote that never ends.
pub fn read(bytes: &[u8], settings: &Settings) -> Result<Grid> {
    let (text, encoding) = decode(bytes, settings.encoding()?)?;
    // One quote too many would swallow every line after it into one cell, and the list would only look shorter.
    if text.bytes().filter(|b| *b == b'"').count() % 2 == 1 {
        return Err(Error::contract(OP, "a quotation mark in the list is opened and never closed")
            .next("Correct that line, or export the list again."));
    }
    let (skipped, told, rest) = top(&text, settings.skip_lines);
    let delimiter = match settings.delimiter()?.or(told) {
        Some(one) => one,
        None => guess(rest, skipped, settings),
    };
    let lines = lines(rest, delimiter, skipped)?;
    let by = match delimiter {
        b'\t' => "tab".to_owned(),
        other => format!("\"{}\"", char::from(other)),
    };
    let read_as = format!("text in {}, separated by {by}", encoding.name());
    Ok(Grid { lines, read_as, delimiter: Some(char::from(delimiter)) })
}

fn decode(bytes: &[u8], set: Option<&'static Encoding>) -> Result<(String, &'static Encoding)> {
    let (encoding, bytes) = match Encoding::for_bom(bytes) {
        Some((marked, n)) => (marked, bytes.get(n..).unwrap_or_default()),
        None => (set.unwrap_or(UTF_8), bytes),
    };
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
    let text = text.filter(|t| !t.contains('\0')).ok_or_else(|| {
        Error::contract(OP, format!("the list is not text in {}", encoding.name()))
            .next("Save it as UTF-8, or say how it is written, e.g. encoding = \"windows-1252\".")
    })?;
    Ok((text.into_owned(), encoding))
}

/// Cuts off the lines that are no part of the list. Gives how many, the delimiter where Excel's own first line names it,
/// and the rest.
fn top(text: &str, skip: u32) -> (u32, Option<u8>, &str) {
    let (mut rest, mut cut, mut told) = (text, 0, None);
    let next = |rest: &mut &str, cut: &mut u32| {
        *rest = rest.split_once('\n').map_or("", |(_, r)| r);
        *cut += 1;
    };
    if let Some([one]) =
        rest.lines().next().and_then(|l| l.strip_prefix("sep=")).map(|t| t.trim_end_matches('\r').as_bytes())
    {
        told = Some(*one);
        next(&mut rest, &mut cut);
    }
    while cut < skip && !rest.is_empty() {
        next(&mut rest, &mut cut);
    }
    (cut, told, rest)
}

/// The one by which the columns are found; of several, the one that makes most of them.
fn guess(text: &str, skipped: u32, settings: &Settings) -> u8 {
    let mut end = text.len().min(HEAD_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = text.get(..end).unwrap_or_default();
    let best = DELIMITERS.iter().max_by_key(|d| {
        let lines = lines(head, **d, skipped).unwrap_or_default();
        let found = header::find(&lines, settings);
        let widest = lines.iter().take(header::LINES).map(Line::width).max();
        // The first of equals must win, and `max_by_key` takes the last.
        (found.is_ok(), widest, **d == b',')
    });
    best.copied().unwrap_or(b',')
}

fn lines(text: &str, delimiter: u8, skipped: u32) -> Result<Vec<Line>> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    let (mut lines, mut cells) = (Vec::new(), 0);
    let mut record = csv::StringRecord::new();
    let mut counted = Counted::default();
    while reader
        .read_record(&mut record)
        .map_err(|e| Error::contract(OP, "the list cannot be taken apart into cells").source(e))?
    {
        let begins = record.position().and_then(|p| usize::try_from(p.byte()).ok()).unwrap_or(text.len());
        let number = counted.line(text.as_bytes(), begins).saturating_add(skipped);
        let filled = record.iter().zip(0..).filter_map(|(text, at)| Some((at, cell(text)?)));
        let line = Line { number, fields: u32::try_from(record.len()).unwrap_or(u32::MAX), cells: filled.collect() };
        cells += line.cells.len();
        if lines.len() >= LINES_MAX as usize || cells > CELLS_MAX {
            return Err(Error::contract(OP, format!("the list has more than {LINES_MAX} lines or {CELLS_MAX} cells")));
        }
        if !line.cells.is_empty() {
            lines.push(line);
        }
    }
    Ok(lines)
}

/// Counts lines as a person does. The reader of cells takes a record for begun before the end of `\r\n` and before blank lines,
/// and knows no `\r` alone.
#[derive(Default)]
struct Counted {
    bytes: usize,
    breaks: u32,
}

impl Counted {
    /// The line, from 1, of the first cell at or after this place.
    fn line(&mut self, text: &[u8], begins: usize) -> u32 {
        while let Some(byte) = text.get(self.bytes) {
            let ends = *byte == b'\n' || (*byte == b'\r' && text.get(self.bytes + 1) != Some(&b'\n'));
            if self.bytes >= begins && !matches!(byte, b'\r' | b'\n') {
                break;
            }
            self.breaks = self.breaks.saturating_add(u32::from(ends));
            self.bytes += 1;
        }
        self.breaks.saturating_add(1)
    }
}

/// Excel keeps a text that looks like a number as `="0012"`. Any other formula in a text has no value that we know.
fn cell(text: &str) -> Option<Cell> {
    if text.trim().is_empty() {
        return None;
    }
    // A line break stays, at the ends too: it may be all that shows where other lines were swallowed.
    let text = text.trim_matches(|c: char| c.is_whitespace() && !matches!(c, '\n' | '\r'));
    Some(match text.trim().strip_prefix('=') {
        None => Cell::Text(text.to_owned()),
        Some(rest) => match rest.strip_prefix('"').and_then(|r| r.strip_suffix('"')).filter(|r| !r.contains('"')) {
            Some(plain) => Cell::Text(plain.trim().to_owned()),
            None => Cell::Bad("a formula, and a text file has no values of formulas"),
        },
    })
}
