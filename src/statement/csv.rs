//! CSV by RFC 4180, safe to open in a spreadsheet (N12, `decisions` 25).
//!
//! It starts with a byte order mark: Excel takes a file without one for the machine's old code page and garbles every
//! name outside ASCII; readers that know UTF-8 skip it. What the document says of itself stands in columns of its own on
//! every line, so that the file stays rectangular and files of many clients can be put below one another.

use ledgerward_contract::Date;

use super::{
    Format, RenderError,
    grid::{Cell, Grid, record_of},
    json::row_slug,
    model::{Statement, basis_slug},
    money,
};

pub fn render(statement: &Statement) -> Result<Vec<u8>, RenderError> {
    let grid = Grid::for_machines(&statement.body);
    let head = &statement.head;
    let about: [(&str, Cell); 12] = [
        ("Statement", text(head.kind.title())),
        ("Bank account", text(head.account.as_deref().unwrap_or_default())),
        ("Organisation", text(&head.organisation)),
        ("Client", text(&head.client)),
        ("Period start", Cell::Day(head.period.start)),
        ("Period end", Cell::Day(head.period.end)),
        ("Basis", text(basis_slug(head.basis))),
        ("Currency", text(head.currency.as_deref().unwrap_or("unknown"))),
        ("Source", text(&head.source)),
        ("Record of", text(record_of(&statement.body))),
        ("First read", text(&statement.first_read_text())),
        ("Version", text(&head.version.to_string())),
    ];
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(b"\xef\xbb\xbf".to_vec());
    let failed = |e: csv::Error| RenderError::failed(Format::Csv, e);
    let labels = grid.columns.iter().enumerate().map(|(n, column)| match (n, column.label.as_str()) {
        (0, "") => "Line".to_owned(),
        (_, label) => guarded(label),
    });
    let header = ["Row".to_owned(), "Level".to_owned()]
        .into_iter()
        .chain(labels)
        .chain(["Account id".to_owned()])
        .chain(about.iter().map(|(label, _)| (*label).to_owned()));
    writer.write_record(header).map_err(failed)?;
    for line in &grid.lines {
        let record = [row_slug(line.kind).to_owned(), line.depth.to_string()]
            .into_iter()
            .chain(line.cells.iter().map(field))
            .chain([guarded(line.account.as_deref().unwrap_or_default())])
            .chain(about.iter().map(|(_, cell)| field(cell)));
        writer.write_record(record).map_err(failed)?;
    }
    writer.into_inner().map_err(|e| RenderError::failed(Format::Csv, e.error()))
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn field(cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) => guarded(text),
        // The only way for a sign to come first without an apostrophe.
        Cell::Money(amount) => money::plain(*amount),
        Cell::Day(day) => iso(*day),
    }
}

fn iso(day: Date) -> String {
    day.to_string()
}

/// A text that no spreadsheet takes for a formula. Blanks before the sign do not hide it, and neither does its full-width
/// twin, which Excel in East Asian versions accepts. Control characters are dropped, except line breaks inside the text.
fn guarded(text: &str) -> String {
    const SIGNS: [char; 9] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '|'];
    let risky = text.starts_with(['\t', '\r', '\n', '\0'])
        || text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control()).starts_with(SIGNS);
    let mut out = String::with_capacity(text.len() + 1);
    if risky {
        out.push('\'');
    }
    out.extend(text.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control() || *c == '\n'));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn n12_text_never_becomes_a_formula() {
        for (given, want) in [
            ("=1+1", "'=1+1"),
            ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "' =1"),
            ("\r=1", "'=1"),
            ("\0=1", "'=1"),
            ("  =1", "'  =1"),
            ("＝1", "'＝1"),
            ("＠SUM", "'＠SUM"),
            ("-", "'-"),
            ("Rent = paid", "Rent = paid"),
            ("O'Brien", "O'Brien"),
            ("two\nlines", "two\nlines"),
        ] {
            assert_eq!(guarded(given), want, "{given:?}");
        }
    }

    proptest! {
        /// A formula detector that knows nothing of the code above.
        #[test]
        fn n12_no_text_is_read_back_as_a_formula(given in any::<String>(), sign in "[=+@\t\r\n \u{ff1d}-]{0,3}") {
            let back = guarded(&format!("{sign}{given}"));
            let first = back.chars().find(|c| !c.is_whitespace());
            prop_assert!(!matches!(first, Some('=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠')), "{:?}", back);
            prop_assert!(!back.starts_with(['\t', '\r', '\n', '\0']), "{:?}", back);
        }
    }
}
