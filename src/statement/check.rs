//! Whether a report's own totals agree with its lines (`product` 6). A disagreement is a finding about the source; the
//! statement is delivered as the source gave it.
//!
//! Only sums that the structure makes certain are checked: a false alarm every month teaches people to read none.
//! Totals that are known by their name (gross profit, net assets) are known by their English name; a report in another
//! language is checked by structure alone.

use std::collections::BTreeMap;

use ledgerward_contract::{Cell, Decimal, Register, ReportTable, Row, RowKind, StatementKind};

use super::{model::Body, money};
use crate::domain::names;

/// A total that is not the sum of what it says it sums.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mismatch {
    /// The row, as the report labels it.
    pub row: String,
    /// The column; empty for a register.
    pub column: String,
    pub stated: Decimal,
    pub computed: Decimal,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { row, column, stated, computed } = self;
        let place = if column.is_empty() { row.clone() } else { format!("{row}, {column}") };
        let (stated, computed) = (money::grouped(*stated), money::grouped(*computed));
        write!(f, "{place}: the source says {stated}, its lines make {computed}")
    }
}

/// Every mismatch, in the order of the rows.
pub fn check(kind: StatementKind, body: &Body) -> Vec<Mismatch> {
    match body {
        Body::Register(register) => check_register(register),
        Body::Table(table) => {
            let mut found = subtotals(table);
            found.extend(match kind {
                StatementKind::ProfitAndLoss => profit_and_loss(table),
                StatementKind::BalanceSheet => balance_sheet(table),
                StatementKind::TrialBalance => trial_balance(table),
                StatementKind::BankSummary => bank_summary(table),
                _ => Vec::new(),
            });
            found
        }
    }
}

/// The organisation that the content names, if it is not the ledger that was asked for (N14): then nothing of it may be
/// delivered. Names are compared without case and blanks; a source that names none is not accused.
///
/// A renamed organisation looks the same until its profile is read again, so read that before raising an alarm.
pub fn other_organisation<'a>(body: &'a Body, asked: &str) -> Option<&'a str> {
    let named = match body {
        Body::Table(table) => table.organisation.as_deref(),
        Body::Register(register) => register.organisation.as_deref(),
    };
    named.filter(|name| !name.trim().is_empty() && !same_name(name, asked))
}

/// Without case and blanks.
pub fn same_name(one: &str, other: &str) -> bool {
    let plain = |name: &str| names::unique_key(&name.split_whitespace().collect::<Vec<_>>().join(" "));
    plain(one) == plain(other)
}

fn check_register(register: &Register) -> Vec<Mismatch> {
    let (Some(opening), Some(stated)) = (register.opening, register.closing) else { return Vec::new() };
    let sum = register.lines.iter().try_fold(opening, |sum, line| sum.checked_add(line.amount));
    compare("Closing balance", "", Some(stated), sum, Decimal::ZERO).into_iter().collect()
}

/// A mismatch, if both sides are known and are further apart than `slack`.
fn compare(
    row: &str,
    column: &str,
    stated: Option<Decimal>,
    computed: Option<Decimal>,
    slack: Decimal,
) -> Option<Mismatch> {
    let (stated, computed) = (stated?, computed?);
    let differ = stated.checked_sub(computed).is_none_or(|apart| apart.abs() > slack);
    differ.then(|| Mismatch { row: row.to_owned(), column: column.to_owned(), stated, computed })
}

/// How far a figure may be from what these parts make: not at all, or by a unit for each where the vendor rounded them.
fn slack(table: &ReportTable, parts: usize) -> Decimal {
    if table.rounded { Decimal::from(parts) } else { Decimal::ZERO }
}

fn label(row: &Row) -> &str {
    row.cells
        .iter()
        .find_map(|cell| match cell {
            Cell::Text(text) => Some(text.trim()),
            _ => None,
        })
        .unwrap_or("")
}

/// The amount in a column; an empty cell is nothing. `None` for text: then nothing is certain.
fn amount(row: &Row, column: usize) -> Option<Decimal> {
    match row.cells.get(column) {
        Some(Cell::Money(amount)) => Some(*amount),
        Some(Cell::Empty) | None => Some(Decimal::ZERO),
        Some(Cell::Text(_)) => None,
    }
}

/// The amount in a column, if one is stated.
fn stated(row: &Row, column: usize) -> Option<Decimal> {
    match row.cells.get(column) {
        Some(Cell::Money(amount)) => Some(*amount),
        _ => None,
    }
}

fn money_columns(table: &ReportTable) -> impl Iterator<Item = (usize, &str)> {
    table.columns.iter().enumerate().filter(|(_, c)| c.money).map(|(n, c)| (n, c.label.as_str()))
}

fn sum<'a>(rows: impl Iterator<Item = &'a Row>, column: usize) -> Option<Decimal> {
    rows.map(|row| amount(row, column)).try_fold(Decimal::ZERO, |sum, amount| sum.checked_add(amount?))
}

/// A section that is still open while its rows go by.
struct Section<'a> {
    depth: u8,
    lines: Vec<&'a Row>,
    /// The heading has amounts of its own, or its lines have sub-lines: whether the total holds them is anybody's guess.
    unsure: bool,
}

/// Each subtotal against the lines since its heading.
fn subtotals(table: &ReportTable) -> Vec<Mismatch> {
    let mut open: Vec<Section> = Vec::new();
    let mut found = Vec::new();
    let whole = grand_total(table);
    for row in table.rows.iter().filter(|row| whole.is_none_or(|whole| !std::ptr::eq(*row, whole))) {
        match row.kind {
            RowKind::Heading => {
                while open.last().is_some_and(|s| s.depth >= row.depth) {
                    open.pop();
                }
                let own = row.cells.iter().any(|c| matches!(c, Cell::Money(_)));
                open.push(Section { depth: row.depth, lines: Vec::new(), unsure: own });
            }
            RowKind::Line => {
                for section in &mut open {
                    section.lines.push(row);
                }
                if let Some(section) = open.last_mut() {
                    section.unsure |= section.lines.first().is_some_and(|first| first.depth != row.depth);
                }
            }
            RowKind::Subtotal => {
                // Closes the innermost section that is not deeper than the subtotal itself.
                while open.last().is_some_and(|s| s.depth > row.depth) {
                    open.pop();
                }
                let Some(section) = open.pop() else { continue };
                if section.unsure || section.lines.is_empty() {
                    continue;
                }
                let slack = slack(table, section.lines.len());
                found.extend(money_columns(table).filter_map(|(n, column)| {
                    compare(label(row), column, stated(row, n), sum(section.lines.iter().copied(), n), slack)
                }));
            }
            // Runs over sections by rules of its own, and no section goes on behind it.
            RowKind::Total => open.clear(),
        }
    }
    found
}

/// The one row with one of these names; none if there are two.
fn named<'a>(table: &'a ReportTable, names: &[&str]) -> Option<&'a Row> {
    let mut rows = table
        .rows
        .iter()
        .filter(|r| r.kind != RowKind::Heading && names.iter().any(|name| label(r).eq_ignore_ascii_case(name)));
    let first = rows.next()?;
    rows.next().is_none().then_some(first)
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Income,
    CostOfSales,
    OtherIncome,
    Expenses,
}

fn part(heading: &str) -> Option<Part> {
    let plain = heading.trim().to_lowercase();
    let plain = ["less ", "plus ", "total "].iter().find_map(|p| plain.strip_prefix(p)).unwrap_or(&plain);
    Some(match plain {
        "income" | "trading income" | "revenue" | "turnover" | "sales" => Part::Income,
        "cost of sales" | "cost of goods sold" | "direct costs" => Part::CostOfSales,
        "other income" | "non-operating income" => Part::OtherIncome,
        "operating expenses" | "expenses" | "administrative costs" | "overheads" | "other expenses" => Part::Expenses,
        _ => return None,
    })
}

/// Gross profit = income − cost of sales; net profit = that + other income − expenses. Only where every section of the
/// report is one of those.
fn profit_and_loss(table: &ReportTable) -> Vec<Mismatch> {
    let mut parts: BTreeMap<Part, Vec<&Row>> = BTreeMap::new();
    let mut current = None;
    for row in &table.rows {
        match row.kind {
            RowKind::Heading if label(row).is_empty() => current = None,
            RowKind::Heading => {
                current = part(label(row));
                if current.is_none() {
                    return Vec::new();
                }
            }
            RowKind::Line => match current {
                Some(part) => parts.entry(part).or_default().push(row),
                None if is_result(label(row)) => {}
                None => return Vec::new(),
            },
            RowKind::Subtotal | RowKind::Total => current = None,
        }
    }
    let slack = slack(table, lines(table).count());
    let of = |part: Part, column: usize| sum(parts.get(&part).into_iter().flatten().copied(), column);
    let mut found = Vec::new();
    for (n, column) in money_columns(table) {
        let gross =
            of(Part::Income, n).zip(of(Part::CostOfSales, n)).and_then(|(income, cost)| income.checked_sub(cost));
        let net = gross
            .zip(of(Part::OtherIncome, n))
            .and_then(|(gross, other)| gross.checked_add(other))
            .zip(of(Part::Expenses, n))
            .and_then(|(sum, expenses)| sum.checked_sub(expenses));
        for (names, computed) in [(GROSS, gross), (NET, net)] {
            if let Some(row) = named(table, names) {
                found.extend(compare(label(row), column, stated(row, n), computed, slack));
            }
        }
    }
    found
}

const GROSS: &[&str] = &["Gross Profit", "Gross Loss"];
const NET: &[&str] = &["Net Profit", "Net Loss", "Net Income", "Net Earnings", "Profit for the Year"];

fn is_result(label: &str) -> bool {
    GROSS.iter().chain(NET).any(|name| label.eq_ignore_ascii_case(name))
        || ["Operating Profit", "Net Operating Income"].iter().any(|name| label.eq_ignore_ascii_case(name))
}

/// Net assets = assets − liabilities = equity, or assets = liabilities and equity.
fn balance_sheet(table: &ReportTable) -> Vec<Mismatch> {
    let row = |names: &[&str]| named(table, names);
    let assets = row(&["Total Assets"]);
    let liabilities = row(&["Total Liabilities"]);
    let net = row(&["Net Assets"]);
    let equity = row(&["Total Equity", "Total Owner's Equity", "Total Capital and Reserves"]);
    let both = row(&["Total Liabilities and Equity", "Total Liabilities & Equity", "Total Equity and Liabilities"]);
    // Two rounded figures make a third.
    let slack = slack(table, 2);
    let mut found = Vec::new();
    for (n, column) in money_columns(table) {
        let at = |row: Option<&Row>| row.and_then(|r| stated(r, n));
        let less = at(assets).zip(at(liabilities)).and_then(|(a, l)| a.checked_sub(l));
        let more = at(liabilities).zip(at(equity)).and_then(|(l, e)| l.checked_add(e));
        found.extend(compare("Net Assets", column, at(net), less, slack));
        found.extend(compare("Total Equity", column, at(equity), at(net), slack));
        found.extend(compare("Total Liabilities and Equity", column, at(both), more, slack));
        found.extend(compare("Total Assets", column, at(assets), at(both), slack));
    }
    found
}

/// The last row that sums the whole table, by its name.
fn grand_total(table: &ReportTable) -> Option<&Row> {
    table
        .rows
        .last()
        .filter(|r| matches!(r.kind, RowKind::Subtotal | RowKind::Total) && label(r).eq_ignore_ascii_case("total"))
}

fn lines(table: &ReportTable) -> impl Iterator<Item = &Row> {
    table.rows.iter().filter(|r| r.kind == RowKind::Line)
}

/// The last row against all lines, if no subtotal of a section did that already.
fn whole_columns(table: &ReportTable) -> Vec<Mismatch> {
    let Some(total) = grand_total(table) else { return Vec::new() };
    let slack = slack(table, lines(table).count());
    money_columns(table)
        .filter_map(|(n, column)| compare(label(total), column, stated(total, n), sum(lines(table), n), slack))
        .collect()
}

/// Debits = credits, for the period and for the year to date.
fn trial_balance(table: &ReportTable) -> Vec<Mismatch> {
    let mut found = whole_columns(table);
    let columns: Vec<(usize, &str)> = money_columns(table).collect();
    for (debit, name) in &columns {
        let Some(stem) = name.to_lowercase().strip_suffix("debit").map(ToOwned::to_owned) else { continue };
        let wanted = format!("{stem}credit");
        let Some((credit, _)) = columns.iter().find(|(_, other)| other.to_lowercase() == wanted) else { continue };
        let (debits, credits) = (sum(lines(table), *debit), sum(lines(table), *credit));
        found.extend(compare("Debits and credits", name, debits, credits, slack(table, lines(table).count())));
    }
    found
}

/// Opening + received − spent = closing, on every line; only where those four are all the figures there are.
fn bank_summary(table: &ReportTable) -> Vec<Mismatch> {
    let mut found = whole_columns(table);
    let columns: Vec<(usize, String)> = money_columns(table).map(|(n, name)| (n, name.to_lowercase())).collect();
    let find = |words: &[&str]| {
        let mut hits = columns.iter().filter(|(_, name)| words.iter().any(|w| name.contains(w)));
        hits.next().filter(|_| hits.next().is_none()).map(|(n, _)| *n)
    };
    let (Some(opening), Some(received), Some(spent), Some(closing)) =
        (find(&["opening"]), find(&["received", "money in"]), find(&["spent", "money out"]), find(&["closing"]))
    else {
        return found;
    };
    if columns.len() != 4 {
        return found;
    }
    for row in table.rows.iter().filter(|r| r.kind != RowKind::Heading) {
        let computed = amount(row, opening)
            .zip(amount(row, received))
            .and_then(|(a, b)| a.checked_add(b))
            .zip(amount(row, spent))
            .and_then(|(a, b)| a.checked_sub(b));
        let column = table.columns.get(closing).map_or("", |c| c.label.as_str());
        found.extend(compare(label(row), column, stated(row, closing), computed, slack(table, 3)));
    }
    found
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
