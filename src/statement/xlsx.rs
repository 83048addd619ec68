//! XLSX with typed cells: a number is a number, a date is a date, text is text and never a formula (N12).
//!
//! A spreadsheet holds numbers as binary floating point with 15 significant digits. An amount of up to 15 digits goes in
//! and comes out exactly (checked for each one here); a longer one is written as text, with a finding, rather than
//! rounded.

use std::collections::BTreeSet;

use ledgerward_contract::{Decimal, RowKind, Timestamp};
use rust_xlsxwriter::{
    Color, DocProperties, ExcelDateTime, Format as Style, FormatAlign, FormatBorder, Workbook, Worksheet, XlsxError,
};

use super::{
    Finding, Format, RenderError,
    grid::{Cell, Column, Grid, Line, Shape},
    model::Statement,
    money,
};

/// Characters in a cell, by the file format.
const CELL_MAX: usize = 32_767;

pub fn render(statement: &Statement, findings: &mut BTreeSet<Finding>) -> Result<Vec<u8>, RenderError> {
    let mut writer = Sheet { long_amounts: 0, long_texts: 0 };
    let bytes = writer.workbook(statement).map_err(|e| RenderError::failed(Format::Xlsx, e))?;
    if writer.long_amounts > 0 {
        findings.insert(Finding::LongAmounts(writer.long_amounts));
    }
    if writer.long_texts > 0 {
        findings.insert(Finding::LongTexts(writer.long_texts));
    }
    Ok(bytes)
}

struct Sheet {
    long_amounts: usize,
    long_texts: usize,
}

impl Sheet {
    fn workbook(&mut self, statement: &Statement) -> Result<Vec<u8>, XlsxError> {
        let head = &statement.head;
        let mut book = Workbook::new();
        // The date of the content, not of the file: the same content gives the same bytes.
        book.set_properties(
            &DocProperties::new()
                .set_title(plain_text(&statement.title()))
                .set_subject(plain_text(&format!("{}, {}", head.organisation, statement.period_text())))
                .set_author(plain_text(&head.firm))
                .set_company(plain_text(&head.firm))
                .set_creation_datetime(&excel_time(head.first_read)?),
        );
        let grid = Grid::for_machines(&statement.body);
        let sheet = book.add_worksheet();
        sheet.set_name(head.kind.title())?;
        sheet.set_print_fit_to_pages(1, 0).set_paper_size(9);
        sheet.set_footer("&L&A&RPage &P of &N");
        if grid.columns.len() > 5 {
            sheet.set_landscape();
        }
        let top = self.header(sheet, statement)?;
        self.table(sheet, &grid, top)?;
        sheet.set_freeze_panes(top + 1, 0)?;
        sheet.set_repeat_rows(0, top)?;
        self.about(book.add_worksheet(), statement)?;
        book.save_to_buffer()
    }

    /// Few lines, for they stay in view with the column heads: what this is, and what must not be overlooked.
    fn header(&mut self, sheet: &mut Worksheet, statement: &Statement) -> Result<u32, XlsxError> {
        let head = &statement.head;
        let currency = head.currency.as_deref().unwrap_or("currency unknown");
        let mut lines = vec![
            (
                format!("{} · {} · {}", statement.title(), head.organisation, statement.period_text()),
                Style::new().set_bold().set_font_size(13),
            ),
            (
                format!(
                    "{} · {currency} · Source: {} · First read {}",
                    statement.basis_text(),
                    head.source,
                    statement.first_read_text()
                ),
                Style::new().set_font_color(Color::RGB(0x0055_5555)),
            ),
        ];
        let restated = (head.version > 1).then(|| format!("Restated, version {}. See “About”.", head.version));
        lines.extend(statement.banner().into_iter().chain(restated).map(|text| (text, Style::new().set_bold())));
        let mut row = 0;
        for (text, style) in lines {
            self.text(sheet, row, 0, &text, &style)?;
            row += 1;
        }
        Ok(row)
    }

    /// Everything the document says of itself, on a sheet of its own.
    fn about(&mut self, sheet: &mut Worksheet, statement: &Statement) -> Result<(), XlsxError> {
        let head = &statement.head;
        let optional = |what, text: Option<String>| text.map(|text| (what, text));
        let facts = [
            ("Statement", statement.title()),
            ("Organisation", head.organisation.clone()),
            ("Client", head.client.clone()),
            ("Period", statement.period_text()),
            ("Basis", statement.basis_text().to_owned()),
            ("Currency", head.currency.clone().unwrap_or_else(|| "unknown".to_owned())),
            ("Source", head.source.clone()),
            ("First read", statement.first_read_text()),
            ("Version", head.version.to_string()),
            ("Prepared by", head.firm.clone()),
        ];
        let more = [optional("Record of", statement.banner()), optional("Restatement", head.change.clone())];
        let notes = statement.notes().map(|note| ("Note", note.to_owned()));
        sheet.set_name("About")?;
        sheet.set_column_width(0, 16)?.set_column_width(1, 90)?;
        for (row, (what, text)) in (0..).zip(facts.into_iter().chain(more.into_iter().flatten()).chain(notes)) {
            self.text(sheet, row, 0, what, &Style::new().set_bold().set_align(FormatAlign::Top))?;
            self.text(sheet, row, 1, &text, &Style::new().set_text_wrap().set_align(FormatAlign::Top))?;
        }
        Ok(())
    }

    fn table(&mut self, sheet: &mut Worksheet, grid: &Grid, top: u32) -> Result<(), XlsxError> {
        for (n, column) in (0u16..).zip(&grid.columns) {
            let align = if column.shape == Shape::Money { FormatAlign::Right } else { FormatAlign::Left };
            let style = Style::new()
                .set_bold()
                .set_align(align)
                .set_text_wrap()
                .set_border_bottom(FormatBorder::Thin)
                .set_background_color(Color::RGB(0x00F0_F2F5));
            self.text(sheet, top, n, &column.label, &style)?;
            sheet.set_column_width(n, width(column, grid.lines.iter().filter_map(|l| l.cells.get(usize::from(n)))))?;
        }
        for (row, line) in (top + 1..).zip(&grid.lines) {
            for (n, (cell, column)) in (0u16..).zip(line.cells.iter().zip(&grid.columns)) {
                self.cell(sheet, row, n, cell, &style(line, column, n))?;
            }
        }
        Ok(())
    }

    fn cell(&mut self, sheet: &mut Worksheet, row: u32, at: u16, cell: &Cell, style: &Style) -> Result<(), XlsxError> {
        match cell {
            Cell::Empty => {
                sheet.write_blank(row, at, style)?;
            }
            Cell::Text(text) => self.text(sheet, row, at, text, style)?,
            Cell::Day(day) => {
                let given = u8::try_from(day.month()).ok().zip(u8::try_from(day.day()).ok());
                let date = u16::try_from(day.year())
                    .ok()
                    .zip(given)
                    .and_then(|(year, (month, day))| ExcelDateTime::from_ymd(year, month, day).ok());
                match date {
                    Some(date) => {
                        let style = style.clone().set_num_format("yyyy-mm-dd");
                        sheet.write_datetime_with_format(row, at, &date, &style)?;
                    }
                    // Before 1900 a spreadsheet has no dates.
                    None => self.text(sheet, row, at, &day.to_string(), style)?,
                }
            }
            Cell::Money(amount) => match exact(*amount) {
                Some(number) => {
                    let style = style.clone().set_num_format(number_format(*amount));
                    sheet.write_number_with_format(row, at, number, &style)?;
                }
                None => {
                    self.long_amounts += 1;
                    self.text(sheet, row, at, &money::plain(*amount), style)?;
                }
            },
        }
        Ok(())
    }

    fn text(&mut self, sheet: &mut Worksheet, row: u32, at: u16, text: &str, style: &Style) -> Result<(), XlsxError> {
        let text = plain_text(text);
        if text.is_empty() {
            sheet.write_blank(row, at, style)?;
            return Ok(());
        }
        let short: String = text
            .chars()
            .scan(0, |units, c| {
                *units += c.len_utf16();
                (*units <= CELL_MAX).then_some(c)
            })
            .collect();
        if short.len() < text.len() {
            self.long_texts += 1;
        }
        // Written as a string it is one; the quote prefix keeps it one after somebody edits the cell.
        let formula_like = short.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
        if formula_like {
            sheet.write_string_with_format(row, at, &short, &style.clone().set_quote_prefix())?;
        } else {
            sheet.write_string_with_format(row, at, &short, style)?;
        }
        Ok(())
    }
}

fn style(line: &Line, column: &Column, at: u16) -> Style {
    let mut style = Style::new();
    if line.kind != RowKind::Line {
        style = style.set_bold();
    }
    if matches!(line.kind, RowKind::Subtotal | RowKind::Total) && column.shape == Shape::Money {
        style = style.set_border_top(FormatBorder::Thin);
    }
    if line.kind == RowKind::Total && column.shape == Shape::Money {
        style = style.set_border_bottom(FormatBorder::Double);
    }
    match column.shape {
        Shape::Money => style.set_align(FormatAlign::Right),
        _ if at == 0 => style.set_indent(line.depth.min(15)),
        Shape::Text | Shape::Day => style.set_align(FormatAlign::Left),
    }
}

/// The amount as a double, if that double says exactly the amount again.
fn exact(amount: Decimal) -> Option<f64> {
    let digits = amount.normalize().mantissa().unsigned_abs().checked_ilog10().map_or(1, |n| n + 1);
    if digits > 15 {
        return None;
    }
    let number: f64 = money::plain(amount).parse().ok()?;
    let scale = usize::try_from(amount.scale()).ok()?;
    let back: Decimal = format!("{number:.scale$}").parse().ok()?;
    (back == amount).then_some(number)
}

fn number_format(amount: Decimal) -> String {
    let decimals = usize::try_from(amount.normalize().scale().max(2)).unwrap_or(2);
    format!("#,##0.{}", "0".repeat(decimals))
}

/// In characters of the default font. Wide enough for what is there, within reason.
fn width<'a>(column: &Column, cells: impl Iterator<Item = &'a Cell>) -> f64 {
    let longest = cells
        .map(|cell| match cell {
            Cell::Empty => 0,
            Cell::Text(text) => text.chars().count(),
            Cell::Money(amount) => money::grouped(*amount).len(),
            Cell::Day(_) => 10,
        })
        .max()
        .unwrap_or(0);
    let (least, most) = if column.shape == Shape::Money { (13, 34) } else { (10, 60) };
    let longest = longest.max(column.label.chars().count()) + 2;
    u32::try_from(longest.clamp(least, most)).map_or(20.0, f64::from)
}

/// Without control characters, which XML cannot hold.
fn plain_text(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n').filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}')).collect()
}

fn excel_time(at: Timestamp) -> Result<ExcelDateTime, XlsxError> {
    ExcelDateTime::from_timestamp(at.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn up_to_fifteen_digits_are_exact(mantissa in -999_999_999_999_999i64..=999_999_999_999_999, scale in 0u32..6) {
            let amount = Decimal::new(mantissa, scale);
            let number = exact(amount);
            prop_assert!(number.is_some(), "{}", amount);
            // What the file holds is Rust's shortest text of the double.
            prop_assert_eq!(format!("{}", number.unwrap()).parse::<Decimal>().unwrap(), amount);
        }
    }

    #[test]
    fn sixteen_digits_are_not_a_number() {
        assert_eq!(exact("12345678901234.56".parse().unwrap()), None);
        assert_eq!(exact("1234567890123.4500".parse().unwrap()), Some(1_234_567_890_123.45));
        assert_eq!(exact(Decimal::MAX), None);
    }
}
