//! A reviewer's sheet: out as CSV and XLSX, and back with its decisions.

use std::collections::{BTreeMap, BTreeSet};

use super::{Item, Review};
use crate::cli::{
    leaver::evidence::table,
    outcome::{Exit, Failure, Fault, quoted},
};

const HEAD: [&str; 11] =
    ["row", "client", "client_slug", "person", "email", "folders", "why", "source", "since", "decision", "note"];

fn sheet<'r>(review: &'r Review, reviewer: &'r str) -> impl Iterator<Item = Vec<String>> + 'r {
    review.items.iter().filter(move |i| i.reviewer == reviewer).map(|i| {
        let decision = i.decision.as_ref();
        vec![
            i.row.to_string(),
            i.client_name.clone(),
            i.slug.clone(),
            i.name.clone(),
            i.email.clone(),
            i.folders.join("; "),
            i.because.clone(),
            i.source.clone(),
            i.since.map_or_else(String::new, |t| t.to_string()),
            decision.map_or_else(String::new, |d| d.word().to_owned()),
            decision.map_or_else(String::new, |d| d.note.clone()),
        ]
    })
}

pub(super) fn sheets(review: &Review) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let reviewers: BTreeSet<&String> = review.items.iter().map(|i| &i.reviewer).collect();
    reviewers.into_iter().map(|r| Ok((format!("{r}.csv"), table(&HEAD, sheet(review, r))?))).collect()
}

/// Decisions that are not how it is, with why.
pub(super) fn not_so(lines: &[(&Item, String)]) -> Result<Vec<u8>, Failure> {
    let rows = lines.iter().map(|(i, why)| {
        vec![i.row.to_string(), i.client_name.clone(), i.slug.clone(), i.name.clone(), i.email.clone(), why.clone()]
    });
    table(&["row", "client", "client_slug", "person", "email", "why"], rows)
}

/// The same sheet for a spreadsheet: text is text, and the decision is chosen from a list.
pub(super) fn workbook(review: &Review, reviewer: &str) -> Result<Vec<u8>, rust_xlsxwriter::XlsxError> {
    use rust_xlsxwriter::{DataValidation, Format, Workbook};
    let mut book = Workbook::new();
    let page = book.add_worksheet();
    page.set_name("Review")?;
    for (column, title) in (0u16..).zip(HEAD) {
        page.write_string_with_format(0, column, title, &Format::new().set_bold())?;
        page.set_column_width(column, if column == 0 { 6.0 } else { 24.0 })?;
    }
    let mut last = 1;
    for (at, row) in (1u32..).zip(sheet(review, reviewer)) {
        for (column, cell) in (0u16..).zip(row) {
            page.write_string(at, column, cell.chars().filter(|c| !c.is_control()).take(32_000).collect::<String>())?;
        }
        last = at;
    }
    page.add_data_validation(1, 9, last, 9, &DataValidation::new().allow_list_strings(&["keep", "remove"])?)?;
    page.set_freeze_panes(1, 0)?;
    book.save_to_buffer()
}

/// What a sheet says, by row; every line is checked before anything is done.
pub(super) fn decisions(review: &Review, bytes: &[u8]) -> Result<BTreeMap<usize, (bool, String)>, Failure> {
    let wrong = |line: usize, why: String| {
        Failure::new(Exit::Refused, format!("line {line}: {why}"))
            .fault(Fault::Content)
            .next("Nothing was changed. Put the line right and import the file again.")
    };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let head = reader.headers().map_err(|e| wrong(1, e.to_string()))?.clone();
    let column = |name: &str| head.iter().position(|h| h.trim() == name);
    let at = ["row", "client_slug", "email", "decision", "note"].map(column);
    let [Some(row), Some(slug), Some(email), Some(decision), note] = at else {
        return Err(wrong(1, "the columns row, client_slug, email and decision must be there".to_owned()));
    };
    let mut found = BTreeMap::new();
    for (line, record) in (2..).zip(reader.records()) {
        let record = record.map_err(|e| wrong(line, e.to_string()))?;
        let cell = |n: usize| record.get(n).unwrap_or_default().trim().trim_start_matches('\'');
        let keep = match cell(decision).to_lowercase().as_str() {
            "" => continue,
            "keep" => true,
            "remove" => false,
            other => return Err(wrong(line, format!("\"{}\" is neither keep nor remove", quoted(other)))),
        };
        let item = cell(row).parse().ok().and_then(|n: usize| review.items.iter().find(|i| i.row == n));
        let Some(item) = item.filter(|i| i.slug == cell(slug) && i.email == cell(email)) else {
            return Err(wrong(line, "the row is not the one that was exported".to_owned()));
        };
        if found.insert(item.row, (keep, note.map_or_else(String::new, |n| cell(n).to_owned()))).is_some() {
            return Err(wrong(line, format!("row {} is decided twice", item.row)));
        }
    }
    Ok(found)
}
