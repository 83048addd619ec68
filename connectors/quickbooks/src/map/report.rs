//! Reports: sections, rows and cells as QuickBooks laid them out.

use ledgerward_contract::StatementKind;
use ledgerward_contract::{AccountId, Cell, Column, Date, Error, ReportTable, Result, Row, RowKind, StatementRequest};
use ledgerward_kit::from_json;
use serde::Deserialize;

use super::money;
use crate::api;

/// Sections in sections; a chart of accounts goes five deep.
const DEPTH_MAX: u8 = 16;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Report {
    pub header: Header,
    pub columns: Columns,
    pub rows: Rows,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Header {
    pub report_name: String,
    pub report_basis: Option<String>,
    pub start_period: Option<Date>,
    pub end_period: Option<Date>,
    pub currency: Option<String>,
    #[serde(default)]
    option: Vec<NameValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NameValue {
    name: String,
    value: Option<String>,
}

impl Header {
    /// Whether QuickBooks says that there is nothing. The sections are there all the same.
    pub fn no_data(&self) -> bool {
        self.option.iter().any(|o| o.name == "NoReportData" && o.value.as_deref() == Some("true"))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Columns {
    pub column: Vec<VendorColumn>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VendorColumn {
    col_title: Option<String>,
    col_type: String,
    #[serde(default)]
    meta_data: Vec<NameValue>,
}

impl VendorColumn {
    /// The name that is the same in every language.
    pub fn key(&self) -> Option<&str> {
        self.meta_data.iter().find(|m| m.name == "ColKey")?.value.as_deref()
    }
}

#[derive(Default, Deserialize)]
pub struct Rows {
    #[serde(rename = "Row", default)]
    pub row: Vec<VendorRow>,
}

#[derive(Deserialize)]
pub struct VendorRow {
    pub r#type: Option<String>,
    #[serde(rename = "Header")]
    pub header: Option<Cells>,
    #[serde(rename = "Rows")]
    pub rows: Option<Rows>,
    #[serde(rename = "Summary")]
    pub summary: Option<Cells>,
    #[serde(rename = "ColData")]
    pub cells: Option<Vec<VendorCell>>,
}

#[derive(Deserialize)]
pub struct Cells {
    #[serde(rename = "ColData")]
    pub cells: Vec<VendorCell>,
}

#[derive(Clone, Deserialize)]
pub struct VendorCell {
    /// Absent in a cell that only carries an id.
    #[serde(default)]
    pub value: String,
    id: Option<String>,
}

impl VendorCell {
    /// QuickBooks writes an empty id for none.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref().filter(|id| !id.is_empty())
    }
}

/// Reads a report and compares it with what was asked for (N14).
pub fn read(op: &'static str, body: &[u8], name: &str, from: Option<Date>, to: Date) -> Result<Report> {
    let report: Report = from_json(op, body)?;
    let header = &report.header;
    let asked = header.report_name == name
        && header.end_period == Some(to)
        && from.is_none_or(|from| header.start_period == Some(from));
    if !asked {
        return Err(Error::contract(op, "QuickBooks answered with another report or period than the one asked for"));
    }
    if report.rows.row.is_empty() && !header.no_data() {
        return Err(Error::contract(op, "the report has no rows and does not say that there is nothing to report"));
    }
    Ok(report)
}

/// `GET reports/…` of figures.
pub fn report(what: &StatementRequest, body: &[u8]) -> Result<ReportTable> {
    const OP: &str = "report.get";
    let name = api::report_name(what.kind).unwrap_or_default();
    // A balance sheet is of one day; what it calls its start is the year's.
    let from = (what.kind != StatementKind::BalanceSheet).then_some(what.period.start);
    let report = read(OP, body, name, from, what.period.end)?;
    if report.header.report_basis.as_deref().is_some_and(|b| b != api::basis(what.basis)) {
        return Err(Error::contract(OP, "QuickBooks answered on another accounting basis than the one asked for"));
    }
    let columns: Vec<_> = report.columns.column.iter().map(column).collect();
    let mut table = Table { columns: &columns, rows: Vec::new() };
    table.walk(report.rows, 0)?;
    let rows = table.rows;
    Ok(ReportTable {
        title: what.kind.title().to_owned(),
        organisation: None,
        currency: report.header.currency.filter(|c| !c.is_empty()),
        derived: None,
        rounded: false,
        columns,
        rows,
    })
}

fn column(c: &VendorColumn) -> Column {
    Column { label: c.col_title.clone().unwrap_or_default(), money: c.col_type == "Money" }
}

struct Table<'a> {
    columns: &'a [Column],
    rows: Vec<Row>,
}

impl Table<'_> {
    fn walk(&mut self, rows: Rows, depth: u8) -> Result<()> {
        const OP: &str = "report.get";
        if depth > DEPTH_MAX {
            return Err(Error::contract(OP, "the report's sections are nested too deeply"));
        }
        for row in rows.row {
            match (row.r#type.as_deref(), row.cells) {
                (None | Some("Data"), Some(cells)) => self.add(RowKind::Line, depth, cells)?,
                (None | Some("Section"), None) => {
                    let whole = row.header.is_some() || row.rows.is_some();
                    if let Some(header) = row.header {
                        self.open(header.cells, depth)?;
                    }
                    self.walk(row.rows.unwrap_or_default(), depth + 1)?;
                    if let Some(summary) = row.summary {
                        let kind = if whole { RowKind::Subtotal } else { RowKind::Total };
                        self.add(kind, depth, summary.cells)?;
                    }
                }
                _ => return Err(Error::contract(OP, "the report has a type of row that this version does not know")),
            }
        }
        Ok(())
    }

    /// A heading. An account with postings of its own above its sub-accounts has figures in it: they become a line.
    fn open(&mut self, cells: Vec<VendorCell>, depth: u8) -> Result<()> {
        let figures = cells.iter().skip(1).any(|c| !c.value.is_empty());
        let heading: Vec<_> = cells.iter().take(1).cloned().collect();
        self.add(RowKind::Heading, depth, heading)?;
        if figures { self.add(RowKind::Line, depth + 1, cells) } else { Ok(()) }
    }

    fn add(&mut self, kind: RowKind, depth: u8, cells: Vec<VendorCell>) -> Result<()> {
        const OP: &str = "report.get";
        if cells.len() > self.columns.len() {
            return Err(Error::contract(OP, "a row of the report has more cells than there are columns"));
        }
        let account = cells.first().and_then(VendorCell::id).map(|id| AccountId(id.to_owned()));
        let mut out = Vec::with_capacity(self.columns.len());
        for (cell, column) in cells.into_iter().zip(self.columns) {
            out.push(match cell.value {
                text if text.is_empty() => Cell::Empty,
                text if column.money => Cell::Money(
                    money(&text).ok_or_else(|| Error::contract(OP, "an amount of the report is not a number"))?,
                ),
                text => Cell::Text(text),
            });
        }
        out.resize(self.columns.len(), Cell::Empty);
        self.rows.push(Row { kind, depth, account, cells: out });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ledgerward_contract::{Basis, Period, PeriodLength};

    use super::*;

    fn asked() -> StatementRequest {
        let period =
            Period { start: Date::constant(2026, 6, 1), end: Date::constant(2026, 6, 30), length: PeriodLength::Month };
        StatementRequest { kind: StatementKind::ProfitAndLoss, basis: Basis::Accrual, period, account: None }
    }

    fn body(basis: &str, end: &str, rows: &str) -> String {
        format!(
            r#"{{"Header":{{"ReportName":"ProfitAndLoss","ReportBasis":"{basis}","StartPeriod":"2026-06-01","EndPeriod":"{end}",
            "Currency":"USD","Option":[{{"Name":"NoReportData","Value":"false"}}]}},
            "Columns":{{"Column":[{{"ColTitle":"","ColType":"Account"}},{{"ColTitle":"Total","ColType":"Money"}}]}},"Rows":{{{rows}}}}}"#
        )
    }

    fn table(rows: &str) -> Result<ReportTable> {
        report(&asked(), body("Accrual", "2026-06-30", rows).as_bytes())
    }

    #[test]
    fn sections_come_without_header_rows_or_id() {
        let t = table(
            r#""Row":[{"Header":{"ColData":[{"value":"Income"},{"value":""}]},"Rows":{"Row":[
            {"Header":{"ColData":[{"value":"Design","id":"82"},{"value":"5.50"}]},"Rows":{"Row":[
              {"ColData":[{"value":"1000","id":"7"},{"value":"-0.10"}],"type":"Data"}]},
             "Summary":{"ColData":[{"value":"Total Design"},{"value":"5.40"}]},"type":"Section"}]},
            "Summary":{"ColData":[{"value":"Total Income"},{"value":"5.40"}]},"type":"Section","group":"Income"},
            {"Summary":{"ColData":[{"value":"Net","id":""},{"value":"5.40"}]},"type":"Section","group":"NetIncome"},
            {"type":"Section","group":"OtherIncome"}]"#,
        )
        .unwrap();
        let shown: Vec<_> = t.rows.iter().map(|r| (r.kind, r.depth, r.account.as_ref().map(|a| a.as_str()))).collect();
        assert_eq!(
            shown,
            [
                (RowKind::Heading, 0, None),
                (RowKind::Heading, 1, Some("82")),
                (RowKind::Line, 2, Some("82")),
                (RowKind::Line, 2, Some("7")),
                (RowKind::Subtotal, 1, None),
                (RowKind::Subtotal, 0, None),
                (RowKind::Total, 0, None),
            ]
        );
        assert_eq!(t.rows[3].cells, [Cell::Text("1000".into()), Cell::Money("-0.10".parse().unwrap())]);
        assert_eq!(t.rows[0].cells.len(), 2);
    }

    #[test]
    fn n14_another_report_is_an_error() {
        let line = r#""Row":[{"ColData":[{"value":"a"},{"value":"1"}],"type":"Data"}]"#;
        assert!(report(&asked(), body("Accrual", "2026-06-30", line).as_bytes()).is_ok());
        assert!(report(&asked(), body("Cash", "2026-06-30", line).as_bytes()).is_err());
        assert!(report(&asked(), body("Accrual", "2026-07-31", line).as_bytes()).is_err());
        let other = StatementRequest { kind: StatementKind::TrialBalance, ..asked() };
        assert!(report(&other, body("Accrual", "2026-06-30", line).as_bytes()).is_err());
        for rows in [
            "",
            r#""Row":[]"#,
            r#""Row":[{"ColData":[{"value":"a"},{"value":"one"}],"type":"Data"}]"#,
            r#""Row":[{"ColData":[{"value":"a"},{"value":"1"},{"value":"2"}],"type":"Data"}]"#,
            r#""Row":[{"type":"Chart"}]"#,
        ] {
            assert!(table(rows).is_err(), "{rows}");
        }
    }
}
