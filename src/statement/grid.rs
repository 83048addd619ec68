//! A body laid out in columns, once for people and once for machines. Every format prints one of the two.

use ledgerward_contract::{Cell as Given, Date, Decimal, Register, RegisterLine, RegisterSource, ReportTable, RowKind};

use super::model::Body;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    Empty,
    Text(String),
    Money(Decimal),
    Day(Date),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Takes what room there is; wraps.
    Text,
    /// Right-aligned.
    Money,
    /// As wide as a date.
    Day,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub label: String,
    pub shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub kind: RowKind,
    pub depth: u8,
    pub account: Option<String>,
    pub cells: Vec<Cell>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    pub columns: Vec<Column>,
    pub lines: Vec<Line>,
}

impl Grid {
    /// For a page: few columns, totals where an eye looks for them.
    pub fn for_people(body: &Body) -> Self {
        match body {
            Body::Table(table) => of_table(table),
            Body::Register(register) => register_for_people(register),
        }
    }

    /// For a sheet or a file: one column for each thing the source said, signed amounts, nothing derived.
    pub fn for_machines(body: &Body) -> Self {
        match body {
            Body::Table(table) => of_table(table),
            Body::Register(register) => register_for_machines(register),
        }
    }
}

fn column(label: &str, shape: Shape) -> Column {
    Column { label: label.to_owned(), shape }
}

fn text(text: &str) -> Cell {
    if text.is_empty() { Cell::Empty } else { Cell::Text(text.to_owned()) }
}

fn money(amount: Option<Decimal>) -> Cell {
    amount.map_or(Cell::Empty, Cell::Money)
}

fn of_table(table: &ReportTable) -> Grid {
    // A row with more cells than the report has columns keeps them all: nothing a vendor sends is dropped in silence.
    let width = table.rows.iter().map(|row| row.cells.len()).max().unwrap_or(0).max(table.columns.len());
    // One odd text among amounts does not make a column of amounts a column of texts.
    let amounts = |n: usize| table.rows.iter().any(|row| matches!(row.cells.get(n), Some(Given::Money(_))));
    let mut columns: Vec<Column> = table
        .columns
        .iter()
        .enumerate()
        .map(|(n, c)| column(&c.label, if c.money || amounts(n) { Shape::Money } else { Shape::Text }))
        .collect();
    columns.resize(width, column("", Shape::Text));
    let lines = table.rows.iter().map(|row| {
        let mut cells: Vec<Cell> = row
            .cells
            .iter()
            .map(|cell| match cell {
                Given::Empty => Cell::Empty,
                Given::Text(given) => text(given),
                Given::Money(amount) => Cell::Money(*amount),
            })
            .collect();
        cells.resize(width, Cell::Empty);
        Line { kind: row.kind, depth: row.depth, account: row.account.as_ref().map(ToString::to_string), cells }
    });
    Grid { lines: lines.collect(), columns }
}

fn line(kind: RowKind, cells: Vec<Cell>) -> Line {
    Line { kind, depth: 0, account: None, cells }
}

fn register_for_people(register: &Register) -> Grid {
    let with_balance = register.lines.iter().any(|l| l.balance.is_some());
    let with_reference = register.lines.iter().any(|l| !l.reference.is_empty());
    let mut columns = vec![column("Date", Shape::Day), column("Details", Shape::Text)];
    if with_reference {
        columns.push(column("Reference", Shape::Text));
    }
    columns.extend([column("Money in", Shape::Money), column("Money out", Shape::Money)]);
    if with_balance || register.opening.is_some() || register.closing.is_some() {
        columns.push(column("Balance", Shape::Money));
    }
    let width = columns.len();
    let has_balance = columns.last().is_some_and(|c| c.label == "Balance");
    let row = |kind, day: Cell, details: Cell, reference: Cell, [inward, outward, balance]: [Cell; 3]| {
        let mut cells = vec![day, details];
        if with_reference {
            cells.push(reference);
        }
        cells.extend([inward, outward]);
        if has_balance {
            cells.push(balance);
        }
        cells.resize(width, Cell::Empty);
        line(kind, cells)
    };
    let mut lines = Vec::with_capacity(register.lines.len() + 3);
    if let Some(opening) = register.opening {
        let cells = [Cell::Empty, Cell::Empty, Cell::Money(opening)];
        lines.push(row(RowKind::Subtotal, Cell::Empty, text("Opening balance"), Cell::Empty, cells));
    }
    let (mut inward, mut outward) = (Some(Decimal::ZERO), Some(Decimal::ZERO));
    for entry in &register.lines {
        let spent = entry.amount.is_sign_negative() && !entry.amount.is_zero();
        let side = if spent { &mut outward } else { &mut inward };
        *side = side.and_then(|sum| sum.checked_add(entry.amount.abs()));
        let amount = Cell::Money(entry.amount.abs());
        let (i, o) = if spent { (Cell::Empty, amount) } else { (amount, Cell::Empty) };
        lines.push(row(
            RowKind::Line,
            Cell::Day(entry.date),
            text(&details(entry)),
            text(&entry.reference),
            [i, o, money(entry.balance)],
        ));
    }
    if register.lines.is_empty() {
        let nothing = [Cell::Empty, Cell::Empty, Cell::Empty];
        lines.push(row(RowKind::Line, Cell::Empty, text("No lines in this period."), Cell::Empty, nothing));
    } else {
        let sums = [money(inward), money(outward), Cell::Empty];
        lines.push(row(RowKind::Subtotal, Cell::Empty, text("Total of the lines"), Cell::Empty, sums));
    }
    if let Some(closing) = register.closing {
        let cells = [Cell::Empty, Cell::Empty, Cell::Money(closing)];
        lines.push(row(RowKind::Total, Cell::Empty, text("Closing balance"), Cell::Empty, cells));
    }
    Grid { columns, lines }
}

/// Who and what for, without saying the same twice.
fn details(entry: &RegisterLine) -> String {
    match (entry.payee.trim(), entry.description.trim()) {
        ("", "") => entry.kind.clone(),
        (one, "") | ("", one) => one.to_owned(),
        (payee, what) if payee == what => payee.to_owned(),
        (payee, what) => format!("{payee} · {what}"),
    }
}

fn register_for_machines(register: &Register) -> Grid {
    use Shape::{Day, Money, Text};
    let columns = [
        ("Date", Day),
        ("Kind", Text),
        ("Payee", Text),
        ("Reference", Text),
        ("Description", Text),
        ("Amount", Money),
        ("Balance", Money),
        ("Reconciled", Text),
        ("Documents", Text),
        ("Line id", Text),
    ];
    let yes = |flag: bool| text(if flag { "yes" } else { "no" });
    let edge = |what: &str, balance: Option<Decimal>| {
        balance.map(|b| {
            let mut cells = vec![Cell::Empty; columns.len()];
            for (cell, given) in cells.iter_mut().zip([Cell::Empty, text(what)]) {
                *cell = given;
            }
            if let Some(cell) = cells.get_mut(6) {
                *cell = Cell::Money(b);
            }
            line(RowKind::Total, cells)
        })
    };
    let entries = register.lines.iter().map(|entry| {
        let cells = vec![
            Cell::Day(entry.date),
            text(&entry.kind),
            text(&entry.payee),
            text(&entry.reference),
            text(&entry.description),
            Cell::Money(entry.amount),
            money(entry.balance),
            entry.reconciled.map_or(text("unknown"), yes),
            yes(entry.has_documents),
            text(&entry.id),
        ];
        line(RowKind::Line, cells)
    });
    let lines = edge("Opening balance", register.opening)
        .into_iter()
        .chain(entries)
        .chain(edge("Closing balance", register.closing))
        .collect();
    Grid { columns: columns.map(|(label, shape)| column(label, shape)).to_vec(), lines }
}

/// Whose record a register is, in one word for machines.
pub fn record_of(body: &Body) -> &'static str {
    match body {
        // Put together by us: the sentence about it is the document's banner, this is the word for machines.
        Body::Table(table) if table.derived.is_some() => "derived, not a ledger report",
        Body::Table(_) => "ledger report",
        Body::Register(Register { source: RegisterSource::Books, .. }) => "books, not the bank",
        Body::Register(Register { source: RegisterSource::Bank { .. }, .. }) => "bank",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::samples;

    #[test]
    fn what_we_put_together_is_no_report_of_the_ledger() {
        let mut statement = samples::trial_balance();
        assert_eq!(record_of(&statement.body), "ledger report");
        let Body::Table(table) = &mut statement.body else { panic!("a trial balance is a table") };
        table.derived = Some("Derived from the balance sheet and the profit and loss.".to_owned());
        assert_eq!(record_of(&statement.body), "derived, not a ledger report");
    }
}
