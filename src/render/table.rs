//! Rows for people: aligned columns without lines, so that a terminal, a mail and `awk` can all take them.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::cli::outcome::printable;

/// A table with upper-case headers; empty text where there are no rows. Somebody else's names cannot break a row.
pub fn table<const N: usize>(headers: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    lay_out(headers, rows, &[])
}

/// As [`table`], with these columns (from 0) set to the right: numbers.
pub fn lay_out<const N: usize>(
    headers: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
    right: &[usize],
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headers.map(str::to_uppercase));
    let mut any = false;
    for row in rows {
        any = true;
        table.add_row(row.map(|cell| one_line(&cell)));
    }
    if !any {
        return String::new();
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn one_line(text: &str) -> String {
    printable(&text.replace(['\n', '\r'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_a_name_stays_in_its_row() {
        let rows = [["acme-ltd".into(), "1".into()], ["b\nc\u{1b}".into(), "12".into()]];
        assert_eq!(lay_out(["client", "n"], rows, &[1]), "CLIENT      N\nacme-ltd    1\nb c\\u{1b}  12\n");
        assert_eq!(table(["client"], []), "");
    }
}
