//! The three reports.

use jiff::civil::Date;
use ledgerward_contract::{
    AccountId, Cell, Column, Error, LedgerProfile, Period, ReportTable, Result, Row, RowKind, StatementKind,
    StatementRequest,
};
use ledgerward_kit::{filled, from_json};
use serde::Deserialize;

use super::Money;

const OP: &str = "report.get";

/// Whichever report was asked for.
pub fn report(what: &StatementRequest, company: &LedgerProfile, body: &[u8]) -> Result<ReportTable> {
    let mut table = match what.kind {
        StatementKind::ProfitAndLoss => profit_and_loss(&what.period, body),
        StatementKind::BalanceSheet => balance_sheet(what.period.end, body),
        StatementKind::TrialBalance => trial_balance(what.period.end, body),
        other => Err(Error::contract(OP, format!("{} is no report of FreeAgent", other.title()))),
    }?;
    table.organisation = Some(company.name.clone());
    if let (Some(said), Some(known)) = (&table.currency, &company.currency)
        && said != known
    {
        return Err(Error::contract(OP, "the report is in another currency than the company's books"));
    }
    table.currency = table.currency.or_else(|| company.currency.clone());
    Ok(table)
}

fn text(label: impl Into<String>) -> Cell {
    Cell::Text(label.into())
}

fn column(label: impl Into<String>, money: bool) -> Column {
    Column { label: label.into(), money }
}

fn table(title: StatementKind, columns: Vec<Column>, rows: Vec<Row>) -> ReportTable {
    ReportTable {
        title: title.title().to_owned(),
        organisation: None,
        currency: None,
        derived: None,
        rounded: false,
        columns,
        rows,
    }
}

/// A row of a label and one figure.
fn row(kind: RowKind, depth: u8, label: impl Into<String>, figure: Option<Money>) -> Row {
    let figure = figure.map_or(Cell::Empty, |m| Cell::Money(m.0));
    Row { kind, depth, account: None, cells: vec![text(label), figure] }
}

/// That the vendor's report is about the days that were asked for.
fn same(said: Date, asked: Date) -> Result<()> {
    if said == asked {
        return Ok(());
    }
    Err(Error::contract(OP, "FreeAgent's report is about other days than those asked for"))
}

#[derive(Deserialize)]
struct ProfitAndLoss {
    profit_and_loss_summary: Summary,
}

#[derive(Deserialize)]
struct Summary {
    from: Date,
    to: Date,
    income: Money,
    expenses: Money,
    operating_profit: Money,
    less: Vec<Less>,
    retained_profit: Money,
    retained_profit_brought_forward: Option<Money>,
    retained_profit_carried_forward: Option<Money>,
}

#[derive(Deserialize)]
struct Less {
    title: String,
    total: Money,
}

fn profit_and_loss(period: &Period, body: &[u8]) -> Result<ReportTable> {
    let s = from_json::<ProfitAndLoss>(OP, body)?.profit_and_loss_summary;
    same(s.from, period.start)?;
    same(s.to, period.end)?;
    let mut rows = vec![
        row(RowKind::Line, 0, "Income", Some(s.income)),
        row(RowKind::Line, 0, "Expenses", Some(s.expenses)),
        row(RowKind::Total, 0, "Operating profit", Some(s.operating_profit)),
    ];
    if !s.less.is_empty() {
        rows.push(row(RowKind::Heading, 0, "Less", None));
        rows.extend(s.less.into_iter().map(|l| row(RowKind::Line, 1, l.title, Some(l.total))));
    }
    rows.push(row(RowKind::Total, 0, "Retained profit", Some(s.retained_profit)));
    let before = s.retained_profit_brought_forward;
    rows.extend(before.map(|m| row(RowKind::Line, 0, "Retained profit brought forward", Some(m))));
    let after = s.retained_profit_carried_forward;
    rows.extend(after.map(|m| row(RowKind::Total, 0, "Retained profit carried forward", Some(m))));
    let columns = vec![column("", false), column(format!("{} to {}", period.start, period.end), true)];
    Ok(table(StatementKind::ProfitAndLoss, columns, rows))
}

#[derive(Deserialize)]
struct BalanceSheet {
    balance_sheet: Balances,
}

#[derive(Deserialize)]
struct Balances {
    as_at_date: Date,
    currency: Option<String>,
    capital_assets: Section,
    current_assets: Section,
    current_liabilities: Section,
    net_current_assets: Money,
    total_assets: Money,
    owners_equity: Section,
    total_owners_equity: Money,
}

#[derive(Deserialize)]
struct Section {
    accounts: Vec<Account>,
    net_book_value: Option<Money>,
    retained_profit: Option<Money>,
}

#[derive(Deserialize)]
struct Account {
    name: String,
    nominal_code: Option<String>,
    total_debit_value: Money,
}

impl Section {
    fn rows(self, title: &str) -> Vec<Row> {
        let mut rows = vec![row(RowKind::Heading, 0, title, None)];
        rows.extend(self.accounts.into_iter().map(|a| {
            let line = row(RowKind::Line, 1, a.name, Some(a.total_debit_value));
            Row { account: filled(a.nominal_code).map(AccountId), ..line }
        }));
        rows.extend(self.net_book_value.map(|m| row(RowKind::Subtotal, 0, "Net book value", Some(m))));
        rows.extend(self.retained_profit.map(|m| row(RowKind::Line, 1, "Retained profit", Some(m))));
        rows
    }
}

/// The vendor rounds to whole units and counts debits: what is owed is negative. Both are left as they are.
fn balance_sheet(end: Date, body: &[u8]) -> Result<ReportTable> {
    let b = from_json::<BalanceSheet>(OP, body)?.balance_sheet;
    same(b.as_at_date, end)?;
    let mut rows = b.capital_assets.rows("Capital assets");
    rows.extend(b.current_assets.rows("Current assets"));
    rows.extend(b.current_liabilities.rows("Current liabilities"));
    rows.push(row(RowKind::Total, 0, "Net current assets", Some(b.net_current_assets)));
    rows.push(row(RowKind::Total, 0, "Total assets", Some(b.total_assets)));
    rows.extend(b.owners_equity.rows("Owners' equity"));
    rows.push(row(RowKind::Total, 0, "Total owners' equity", Some(b.total_owners_equity)));
    let columns = vec![column("", false), column(format!("{end} (rounded by FreeAgent)"), true)];
    let sheet = table(StatementKind::BalanceSheet, columns, rows);
    Ok(ReportTable { currency: filled(b.currency), rounded: true, ..sheet })
}

#[derive(Deserialize)]
struct TrialBalance {
    trial_balance_summary: Vec<Balance>,
}

#[derive(Deserialize)]
struct Balance {
    /// `nominal_code` holds the id of a bank account or user for some accounts; this is the account's code everywhere.
    display_nominal_code: String,
    name: Option<String>,
    total: Money,
}

fn trial_balance(end: Date, body: &[u8]) -> Result<ReportTable> {
    let list = from_json::<TrialBalance>(OP, body)?.trial_balance_summary;
    let line = |b: Balance| {
        let (debit, credit) = match b.total.0 {
            t if t.is_sign_negative() => (Cell::Empty, Cell::Money(-t)),
            t => (Cell::Money(t), Cell::Empty),
        };
        let name = filled(b.name).unwrap_or_default();
        Row {
            kind: RowKind::Line,
            depth: 0,
            account: Some(AccountId(b.display_nominal_code.clone())),
            cells: vec![text(b.display_nominal_code), text(name), debit, credit],
        }
    };
    let label = |side: &str| column(format!("{side} at {end}"), true);
    let columns = vec![column("Code", false), column("Account", false), label("Debit"), label("Credit")];
    Ok(table(StatementKind::TrialBalance, columns, list.into_iter().map(line).collect()))
}
