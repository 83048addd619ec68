//! Workbooks. A workbook is an archive that somebody else packed: how much comes out of it is counted before anything is
//! believed.

use std::io::{self, Cursor, Read as _};

use calamine::{DataRef, Reader as _, SheetType, SheetVisible, Xlsx, XlsxError};
use jiff::civil::DateTime;
use ledgerward_contract::{Error, ErrorKind, Result};
use zip::ZipArchive;

use crate::{
    OP,
    grid::{CELLS_MAX, Cell, Grid, LINES_MAX, Line},
};

const UNPACKED_MAX: u64 = 512 << 20;
const PARTS_MAX: usize = 10_000;
/// Columns to the right of these are none of a roster's.
const COLUMNS_MAX: u32 = 1_024;
const MERGED_MAX: usize = 100_000;

/// Errors: `Contract` for an archive that is damaged or unpacks to too much, `Config` where it has several sheets.
pub fn read(bytes: Vec<u8>, sheet: Option<&str>) -> Result<Grid> {
    weigh(&bytes)?;
    let mut book = Xlsx::new(Cursor::new(bytes)).map_err(damaged)?;
    let name = choose(&book, sheet)?;
    let merged = merged(&mut book, &name)?;
    let mut lines: Vec<Line> = Vec::new();
    let mut cells = 0;
    let mut reader = book.worksheet_cells_reader(&name).map_err(damaged)?;
    while let Some(record) = reader.next_cell_with_formula_metadata().map_err(damaged)? {
        let (row, column) = record.pos;
        let cell = match value(&record.value) {
            None if record.formula.is_some() => Cell::Bad("a formula without a value"),
            None => continue,
            Some(cell) => cell,
        };
        if column >= COLUMNS_MAX {
            continue;
        }
        cells += 1;
        if row >= LINES_MAX || cells > CELLS_MAX {
            return Err(Error::contract(OP, format!("the list has more than {LINES_MAX} lines or {CELLS_MAX} cells")));
        }
        match lines.last_mut() {
            Some(line) if line.number == row + 1 => line.cells.push((column, cell)),
            Some(line) if line.number > row + 1 => {
                return Err(Error::contract(OP, "the lines of the sheet are not in order"));
            }
            _ => lines.push(Line { number: row + 1, fields: 0, cells: vec![(column, cell)] }),
        }
    }
    for line in &mut lines {
        line.cells.sort_by_key(|(at, _)| *at);
        if line.cells.windows(2).any(|w| matches!(w, [(a, _), (b, _)] if a == b)) {
            return Err(Error::contract(OP, "the sheet has two values for one cell"));
        }
    }
    spread(&mut lines, &merged);
    Ok(Grid { lines, read_as: format!("workbook, sheet \"{name}\""), delimiter: None })
}

fn damaged(e: XlsxError) -> Error {
    if matches!(e, XlsxError::Password) {
        return Error::contract(OP, "the workbook has a password").next("Save it without one.");
    }
    Error::contract(OP, "the workbook is damaged or not whole").next("Save or export it again.").source(e)
}

/// Unpacks everything once and keeps nothing: what an archive says of its sizes is not to be trusted.
fn weigh(bytes: &[u8]) -> Result<()> {
    let broken = |e: zip::result::ZipError| {
        Error::contract(OP, "the workbook is damaged or not whole").next("Save or export it again.").source(e)
    };
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let too_much = || Error::contract(OP, "the workbook unpacks to far more than a list would");
    if archive.len() > PARTS_MAX {
        return Err(too_much());
    }
    let mut left = UNPACKED_MAX;
    for n in 0..archive.len() {
        let part = archive.by_index(n).map_err(broken)?;
        let out = io::copy(&mut part.take(left + 1), &mut io::sink())
            .map_err(|e| Error::contract(OP, "a part of the workbook cannot be unpacked").source(e))?;
        left = left.checked_sub(out).ok_or_else(too_much)?;
    }
    Ok(())
}

fn choose(book: &Xlsx<Cursor<Vec<u8>>>, wanted: Option<&str>) -> Result<String> {
    let sheets = book.sheets_metadata().iter().filter(|s| s.typ == SheetType::WorkSheet);
    let names: Vec<&str> = match wanted {
        Some(wanted) => sheets.map(|s| s.name.as_str()).filter(|n| *n == wanted).collect(),
        None => sheets.filter(|s| s.visible == SheetVisible::Visible).map(|s| s.name.as_str()).collect(),
    };
    match (names.as_slice(), wanted) {
        ([one], _) => Ok((*one).to_owned()),
        (_, Some(wanted)) => Err(Error::new(ErrorKind::Config, OP, format!("the workbook has no sheet \"{wanted}\""))
            .next("Name one of its sheets, exactly as its tab says.")),
        ([], None) => Err(Error::contract(OP, "the workbook has no visible sheet")),
        (many, None) => Err(Error::new(ErrorKind::Config, OP, "the workbook has several sheets")
            .next(format!("Say which: sheet = \"…\", one of {}.", many.join(", ")))),
    }
}

/// Cells that were merged over several lines: first and last line, and the column.
fn merged(book: &mut Xlsx<Cursor<Vec<u8>>>, name: &str) -> Result<Vec<(u32, u32, u32)>> {
    let all = book.merge_cells_by_sheet_name(name).map_err(damaged)?;
    if all.len() > MERGED_MAX {
        return Err(Error::contract(OP, "the sheet has too many merged cells for a list"));
    }
    // Over several columns it is a heading, and no value of each of them.
    let tall = all.into_iter().filter(|d| d.start.1 == d.end.1 && d.start.0 < d.end.0);
    Ok(tall.map(|d| (d.start.0 + 1, d.end.0 + 1, d.start.1)).collect())
}

/// A client's name merged over the lines of its people belongs to each of them.
fn spread(lines: &mut [Line], merged: &[(u32, u32, u32)]) {
    for (first, last, column) in merged {
        let from = lines.partition_point(|l| l.number < *first);
        let Some(value) = lines.get(from).filter(|l| l.number == *first).and_then(|l| l.cell(*column)).cloned() else {
            continue;
        };
        for line in lines.iter_mut().skip(from + 1).take_while(|l| l.number <= *last) {
            if let Err(at) = line.cells.binary_search_by_key(column, |(c, _)| *c) {
                line.cells.insert(at, (*column, value.clone()));
            }
        }
    }
}

/// Nothing for a cell without a value.
fn value(data: &DataRef<'_>) -> Option<Cell> {
    let text = match data {
        DataRef::Empty => return None,
        DataRef::Int(n) => n.to_string(),
        // A number of a client that Excel took for one.
        DataRef::Float(n) => n.to_string(),
        DataRef::Bool(b) => b.to_string().to_uppercase(),
        DataRef::String(text) => text.trim().to_owned(),
        DataRef::SharedString(text) => text.trim().to_owned(),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::Error(_) => return Some(Cell::Bad("an error instead of a value")),
        DataRef::DateTime(at) => {
            let (year, month, day, hour, minute, second, _) = at.to_ymd_hms_milli();
            let small = |n: u8| i8::try_from(n).unwrap_or(-1);
            let date = DateTime::new(
                i16::try_from(year).unwrap_or(-1),
                small(month),
                small(day),
                small(hour),
                small(minute),
                small(second),
                0,
            );
            return Some(date.map_or(Cell::Bad("a date that there is not"), Cell::Day));
        }
    };
    Some(Cell::Text(text)).filter(|c| *c != Cell::Text(String::new()))
}
