//! When a list was made, and whether it is too old.

use jiff::{
    SignedDuration,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use ledgerward_contract::{Error, ErrorKind, Result, Timestamp};

use crate::{
    OP,
    grid::{Cell, Grid, Line},
    settings::{Issued, Settings},
};

/// A day begins up to 14 hours earlier elsewhere, and clocks differ.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);
/// Formats that mean one day everywhere.
const FORMATS: &[&str] =
    &["%Y-%m-%d", "%Y/%m/%d", "%d %B %Y", "%d %b %Y", "%d-%b-%Y", "%B %d, %Y", "%b %d, %Y", "%B %d %Y"];

/// `B1` as column and line: the column from 0, the line from 1.
pub fn place(cell: &str) -> Option<(u32, u32)> {
    let cell = cell.trim().to_ascii_uppercase();
    let (letters, digits) = cell.split_at(cell.find(|c: char| c.is_ascii_digit())?);
    if letters.is_empty() || letters.len() > 3 || !letters.bytes().all(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let column = letters.bytes().fold(0, |n, b| n * 26 + u32::from(b - b'A') + 1) - 1;
    let line = digits.parse().ok().filter(|n| *n > 0)?;
    Some((column, line))
}

/// `column` is where the header says it is.
pub fn of(
    settings: &Settings,
    grid: &Grid,
    rows: &[Line],
    column: Option<u32>,
    modified: Timestamp,
) -> Result<Timestamp> {
    let at = |cell: &Cell| day(cell, settings.date_format.as_deref());
    let found = match &settings.issued {
        Issued::File => return Ok(modified),
        Issued::Cell(cell) => {
            let (column, line) = place(cell).unwrap_or_default();
            grid.lines.iter().find(|l| l.number == line).and_then(|l| l.cell(column)).and_then(at)
        }
        // Where the lines differ the list is as new as its newest.
        Issued::Column(_) => column.and_then(|c| rows.iter().filter_map(|l| l.cell(c)).filter_map(at).max()),
    };
    let found = found.ok_or_else(|| {
        let format = "Correct it, or say how it is written, e.g. date_format = \"%d/%m/%Y\".";
        Error::contract(OP, "the list's date of issue is not where it should be, or is no date").next(format)
    })?;
    found
        .to_zoned(TimeZone::UTC)
        .map(|z| z.timestamp())
        .map_err(|e| Error::contract(OP, "the list's date of issue is outside all years that we know").source(e))
}

/// Errors: `Unavailable` for a list that is too old, `Contract` for one from the future.
pub fn fresh(issued: Timestamp, now: Timestamp, days: u16) -> Result<()> {
    let age = issued.duration_until(now);
    if age < -AHEAD {
        return Err(Error::contract(OP, format!("the list is dated {}, which is in the future", show(issued)))
            .next("Correct the date, or this machine's clock."));
    }
    if age > SignedDuration::from_hours(24 * i64::from(days)) {
        let text = format!("the list is of {} and not believed after {days} days", show(issued));
        return Err(Error::new(ErrorKind::Unavailable, OP, text)
            .next("Export it again. Who has access keeps it meanwhile, and nobody gains any."));
    }
    Ok(())
}

fn show(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

fn day(cell: &Cell, format: Option<&str>) -> Option<DateTime> {
    let text = match cell {
        Cell::Day(at) => return Some(*at),
        Cell::Text(text) => text.trim(),
        Cell::Bad(_) => return None,
    };
    // "As of 20 November 2026": the date is the end of it.
    let starts = std::iter::once(0).chain(text.match_indices(' ').map(|(n, _)| n + 1)).take(20);
    let mut tails = starts.filter_map(|n| text.get(n..)).map(str::trim);
    match format {
        Some(format) => tails.find_map(|t| read(format, t)),
        None => tails.find_map(|t| {
            let stamp = t.parse::<Timestamp>().ok().map(|s| s.to_zoned(TimeZone::UTC).datetime());
            stamp.or_else(|| FORMATS.iter().find_map(|f| read(f, t)))
        }),
    }
}

fn read(format: &str, text: &str) -> Option<DateTime> {
    DateTime::strptime(format, text).ok().or_else(|| Date::strptime(format, text).ok().map(|d| d.at(0, 0, 0, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_where_they_mean_one_day() {
        let day = |text: &str, format| day(&Cell::Text(text.to_owned()), format).map(|d| d.date().to_string());
        for text in
            ["2026-11-05", "As of 5 November 2026", "Printed: Nov 5, 2026", "05-Nov-2026", "2026-11-05T10:00:00Z"]
        {
            assert_eq!(day(text, None).as_deref(), Some("2026-11-05"), "{text}");
        }
        assert_eq!(day("05/11/2026", None), None, "the fifth of November, or the eleventh of May");
        assert_eq!(day("on 05/11/2026", Some("%d/%m/%Y")).as_deref(), Some("2026-11-05"));
    }

    #[test]
    fn cells_have_a_letter_and_a_number() {
        assert_eq!((place("b1"), place("AA10")), (Some((1, 1)), Some((26, 10))));
        assert_eq!((place("1B"), place("B0"), place("B"), place("")), (None, None, None, None));
    }
}
