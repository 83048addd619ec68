//! Reports: rows and cells as Xero laid them out.

use ledgerward_contract::{AccountId, Cell, Column, Error, ReportTable, Result, Row, RowKind};
use ledgerward_kit::from_json;
use serde::Deserialize;
use uuid::Uuid;

use super::{decimal, ok, one};

const OP: &str = "report.get";
/// Sections in sections; Xero's own go one deep.
const DEPTH_MAX: u8 = 8;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reports {
    status: Option<String>,
    reports: Vec<Report>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    report_name: String,
    /// The report's name, the organisation's name, the period in words.
    report_titles: Vec<String>,
    rows: Vec<VendorRow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VendorRow {
    row_type: String,
    title: Option<String>,
    #[serde(default)]
    cells: Vec<VendorCell>,
    #[serde(default)]
    rows: Vec<VendorRow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VendorCell {
    value: Option<String>,
    #[serde(default)]
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    id: String,
    value: Option<String>,
}

/// `GET /Reports/…`. A cell is money if its text is a number and it stands right of the label.
pub fn report(body: &[u8]) -> Result<ReportTable> {
    let answer: Reports = from_json(OP, body)?;
    ok(OP, answer.status.as_deref())?;
    let report = one(OP, answer.reports)?;
    let mut table = Table { labels: None, rows: Vec::new() };
    table.walk(report.rows, None, 0)?;
    let labels = table.labels.ok_or_else(|| Error::contract(OP, "the report has no header row"))?;
    for row in &mut table.rows {
        if row.cells.len() > labels.len() {
            return Err(Error::contract(OP, "a row of the report has more cells than its header"));
        }
        row.cells.resize(labels.len(), Cell::Empty);
    }
    let money = |i: usize| {
        let cells = || table.rows.iter().filter_map(move |r| r.cells.get(i));
        i > 0 && cells().all(|c| !matches!(c, Cell::Text(_))) && cells().any(|c| matches!(c, Cell::Money(_)))
    };
    let columns = labels.into_iter().enumerate().map(|(i, label)| Column { label, money: money(i) }).collect();
    Ok(ReportTable {
        title: report.report_name,
        organisation: report.report_titles.into_iter().nth(1),
        currency: None,
        derived: None,
        rounded: false,
        columns,
        rows: table.rows,
    })
}

struct Table {
    labels: Option<Vec<String>>,
    rows: Vec<Row>,
}

impl Table {
    /// `title` is that of the section around, `None` outside of one.
    fn walk(&mut self, rows: Vec<VendorRow>, title: Option<&str>, depth: u8) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(Error::contract(OP, "the report's sections are nested too deeply"));
        }
        let titled = title.is_some_and(|t| !t.is_empty());
        let mut lines = false;
        for row in rows {
            let account = account(&row.cells);
            let kind = match row.row_type.as_str() {
                "Header" => {
                    self.labels = Some(row.cells.into_iter().map(|c| c.value.unwrap_or_default()).collect());
                    continue;
                }
                "Section" => {
                    let title = row.title.unwrap_or_default();
                    if !title.is_empty() {
                        let cells = vec![Cell::Text(title.clone())];
                        self.rows.push(Row { kind: RowKind::Heading, depth, account: None, cells });
                    }
                    let inner = if title.is_empty() { depth } else { depth + 1 };
                    self.walk(row.rows, Some(&title), inner)?;
                    continue;
                }
                // Outside of a titled section a row without an account is a figure over sections: gross profit, net assets.
                "Row" if titled || account.is_some() => RowKind::Line,
                "SummaryRow" if titled || lines => RowKind::Subtotal,
                "Row" | "SummaryRow" => RowKind::Total,
                _ => return Err(Error::contract(OP, "the report has a type of row that this version does not know")),
            };
            lines |= kind == RowKind::Line;
            self.rows.push(Row { kind, depth, account, cells: cells(row.cells) });
        }
        Ok(())
    }
}

fn cells(cells: Vec<VendorCell>) -> Vec<Cell> {
    let cell = |(i, c): (usize, VendorCell)| match c.value {
        None => Cell::Empty,
        Some(text) if text.is_empty() => Cell::Empty,
        Some(text) if i == 0 => Cell::Text(text),
        Some(text) => decimal(&text).map_or(Cell::Text(text), Cell::Money),
    };
    cells.into_iter().enumerate().map(cell).collect()
}

/// The account a row is about. Current-year earnings carry the all-zero id, which is no account.
fn account(cells: &[VendorCell]) -> Option<AccountId> {
    cells
        .iter()
        .flat_map(|c| &c.attributes)
        .filter(|a| a.id == "account" || a.id == "accountID")
        .find_map(|a| Uuid::parse_str(a.value.as_deref()?).ok())
        .filter(|id| !id.is_nil())
        .map(|id| AccountId(id.to_string()))
}
