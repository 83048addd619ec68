//! Double-entry books, and the reports that follow from them. Everything balances because every entry does.

use jiff::{Timestamp, civil::Date};
use ledgerward_kit::fake::as_base64;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{answers, world::Org};

#[derive(Clone, Deserialize, Serialize)]
pub struct Account {
    pub id: Uuid,
    pub code: String,
    pub name: String,
    pub kind: String,
    pub number: Option<String>,
    pub bank_type: String,
    pub status: String,
    pub feed: Option<String>,
    pub feed_balances: bool,
    pub feed_noise: bool,
}

impl Account {
    pub fn class(&self) -> &'static str {
        match self.kind.as_str() {
            "REVENUE" | "SALES" | "OTHERINCOME" => "REVENUE",
            "DIRECTCOSTS" | "EXPENSE" | "OVERHEADS" => "EXPENSE",
            "CURRLIAB" | "TERMLIAB" | "LIABILITY" => "LIABILITY",
            "EQUITY" => "EQUITY",
            _ => "ASSET",
        }
    }

    fn of_result(&self) -> bool {
        matches!(self.class(), "REVENUE" | "EXPENSE")
    }
}

/// A document: attached to a transaction, or in the library of files.
#[derive(Clone, Deserialize, Serialize)]
pub struct Paper {
    pub id: Uuid,
    pub name: String,
    pub mime: String,
    #[serde(with = "as_base64")]
    pub bytes: Vec<u8>,
    pub created: Timestamp,
}

#[derive(Clone, Deserialize, Serialize)]
pub enum Posting {
    /// What `BankTransactions` lists.
    Bank {
        kind: String,
        bank: usize,
        contact: String,
        reference: String,
        status: String,
        reconciled: bool,
        papers: Vec<Paper>,
        updated: Timestamp,
    },
    /// Everything else: invoices, payments, transfers, openings. May touch a bank account and is no bank transaction.
    Journal { accrual: bool, cash_as: Option<usize> },
}

#[derive(Clone, Deserialize, Serialize)]
pub struct Entry {
    pub id: Uuid,
    pub date: Date,
    /// Numbers of accounts.
    pub debit: usize,
    pub credit: usize,
    pub amount: Decimal,
    pub text: String,
    pub posting: Posting,
}

impl Entry {
    fn counts(&self, cash: bool) -> bool {
        match &self.posting {
            Posting::Bank { status, .. } => status == "AUTHORISED",
            Posting::Journal { accrual, .. } => !(cash && *accrual),
        }
    }
}

#[derive(Clone, Default, Deserialize, Serialize)]
pub struct Books {
    pub accounts: Vec<Account>,
    pub entries: Vec<Entry>,
}

impl Books {
    pub fn by_code(&self, code: &str) -> Result<usize, String> {
        self.accounts.iter().position(|a| a.code == code).ok_or_else(|| format!("there is no account with code {code}"))
    }

    /// Per account, debit less credit over a range of days.
    fn sums(&self, from: Option<Date>, to: Date, cash: bool) -> Vec<Decimal> {
        let mut sums = vec![Decimal::ZERO; self.accounts.len()];
        let mut add = |account: usize, amount: Decimal| {
            if let Some(sum) = sums.get_mut(account) {
                *sum += amount;
            }
        };
        let within = |e: &&Entry| e.date <= to && from.is_none_or(|f| f <= e.date) && e.counts(cash);
        for entry in self.entries.iter().filter(within) {
            let (mut debit, mut credit) = (entry.debit, entry.credit);
            if cash && let Posting::Journal { cash_as: Some(instead), .. } = entry.posting {
                // A payment counts for what was sold or bought, not for the open invoice or bill.
                let bank = |i: usize| self.accounts.get(i).is_some_and(|a| a.kind == "BANK");
                if bank(debit) { credit = instead } else { debit = instead }
            }
            add(debit, entry.amount);
            add(credit, -entry.amount);
        }
        sums
    }

    /// The movements of one bank account in order, positive for money in.
    pub fn movements(&self, bank: usize) -> Vec<(Date, Decimal, &Entry)> {
        let mut all: Vec<_> = self
            .entries
            .iter()
            .filter(|e| e.counts(false))
            .filter_map(|e| match () {
                () if e.debit == bank => Some((e.date, e.amount, e)),
                () if e.credit == bank => Some((e.date, -e.amount, e)),
                () => None,
            })
            .collect();
        all.sort_by_key(|(date, _, e)| (*date, e.id));
        all
    }
}

/// The first day of the financial year that a day is in.
fn year_start(year_end: (i8, i8), day: Date) -> Date {
    let end = |year: i16| {
        let month = Date::new(year, year_end.0, 1).unwrap_or(Date::constant(year, 12, 1));
        month.with().day(year_end.1.min(month.days_in_month())).build().unwrap_or(month)
    };
    let this = end(day.year());
    let last = if this < day { this } else { end(day.year() - 1) };
    last.tomorrow().unwrap_or(last)
}

fn cell(value: impl ToString) -> Value {
    json!({"Value": value.to_string()})
}

fn money(value: Decimal) -> Value {
    cell(format!("{value:.2}"))
}

fn with_account(mut cell: Value, id: Uuid) -> Value {
    if let Some(map) = cell.as_object_mut() {
        map.insert("Attributes".to_owned(), json!([{"Value": id, "Id": "account"}]));
    }
    cell
}

fn row(kind: &str, cells: Vec<Value>) -> Value {
    json!({"RowType": kind, "Cells": cells})
}

fn section(title: &str, rows: Vec<Value>) -> Value {
    json!({"RowType": "Section", "Title": title, "Rows": rows})
}

/// A label and one figure a column.
fn figures(kind: &str, label: &str, values: &[Decimal]) -> Value {
    row(kind, std::iter::once(cell(label)).chain(values.iter().copied().map(money)).collect())
}

fn long(day: Date) -> String {
    day.strftime("%-d %B %Y").to_string()
}

/// Several columns of per-account sums, and what is asked of them.
struct Grid<'a> {
    books: &'a Books,
    columns: Vec<Vec<Decimal>>,
}

impl Grid<'_> {
    fn values(&self, account: usize, sign: Decimal) -> Vec<Decimal> {
        self.columns.iter().map(|c| c.get(account).copied().unwrap_or_default() * sign).collect()
    }

    /// The total over the accounts that pass, one a column.
    fn total(&self, sign: Decimal, pass: impl Fn(&Account) -> bool) -> Vec<Decimal> {
        let of = |c: &Vec<Decimal>| {
            self.books.accounts.iter().zip(c).filter(|(a, _)| pass(a)).map(|(_, v)| *v).sum::<Decimal>() * sign
        };
        self.columns.iter().map(of).collect()
    }

    fn lines(&self, sign: Decimal, pass: impl Fn(&Account) -> bool) -> Vec<Value> {
        let mut rows = Vec::new();
        for (i, account) in self.books.accounts.iter().enumerate().filter(|(_, a)| pass(a)) {
            let values = self.values(i, sign);
            if values.iter().any(|v| !v.is_zero()) {
                let label = std::iter::once(cell(&account.name));
                let cells = label.chain(values.into_iter().map(money)).map(|c| with_account(c, account.id));
                rows.push(row("Row", cells.collect()));
            }
        }
        rows
    }

    /// A section with its sum, or nothing where it has no line.
    fn block(&self, title: &str, sum: &str, sign: Decimal, pass: impl Fn(&Account) -> bool) -> Vec<Value> {
        let mut rows = self.lines(sign, &pass);
        if rows.is_empty() {
            return Vec::new();
        }
        rows.push(figures("SummaryRow", sum, &self.total(sign, &pass)));
        vec![section(title, rows)]
    }
}

fn minus(a: &[Decimal], b: &[Decimal]) -> Vec<Decimal> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// A report's answer. `titles` ends with the period in words.
fn report(org: &Org, now: Timestamp, name: &str, kind: &str, period: String, rows: Vec<Value>) -> Value {
    answers::envelope(
        now,
        "Reports",
        json!([{
            "ReportID": kind, "ReportName": name, "ReportType": kind, "ReportTitles": [name, org.name, period],
            "ReportDate": long(now.to_zoned(jiff::tz::TimeZone::UTC).date()),
            "UpdatedDateUTC": answers::ms(now), "Fields": [], "Rows": rows,
        }]),
    )
}

pub fn profit_and_loss(org: &Org, now: Timestamp, from: Date, to: Date, cash: bool) -> Value {
    let books = &org.books;
    let grid = Grid { books, columns: vec![books.sums(Some(from), to, cash)] };
    let (plus, neg) = (Decimal::ONE, Decimal::NEGATIVE_ONE);
    let income = |a: &Account| a.class() == "REVENUE";
    let direct = |a: &Account| a.kind == "DIRECTCOSTS";
    let running = |a: &Account| a.class() == "EXPENSE" && a.kind != "DIRECTCOSTS";
    let gross = minus(&grid.total(neg, income), &grid.total(plus, direct));
    let net = minus(&gross, &grid.total(plus, running));
    let mut rows = vec![row("Header", vec![cell(""), cell(to.strftime("%-d %b %Y"))])];
    rows.extend(grid.block("Income", "Total Income", neg, income));
    rows.extend(grid.block("Less Cost of Sales", "Total Cost of Sales", plus, direct));
    rows.push(section("", vec![figures("Row", "Gross Profit", &gross)]));
    rows.extend(grid.block("Less Operating Expenses", "Total Operating Expenses", plus, running));
    rows.push(section("", vec![figures("Row", "Net Profit", &net)]));
    report(org, now, "Profit and Loss", "ProfitAndLoss", format!("{} to {}", long(from), long(to)), rows)
}

/// As Xero does without `periods`: the day asked for, and the same day a year earlier.
pub fn balance_sheet(org: &Org, now: Timestamp, day: Date, cash: bool) -> Value {
    let books = &org.books;
    let days = [
        day,
        day.with().year(day.year() - 1).build().unwrap_or_else(|_| day.saturating_sub(jiff::Span::new().days(366))),
    ];
    let grid = Grid { books, columns: days.iter().map(|d| books.sums(None, *d, cash)).collect() };
    let (plus, neg) = (Decimal::ONE, Decimal::NEGATIVE_ONE);
    let this_year = Grid {
        books,
        columns: days.iter().map(|d| books.sums(Some(year_start(org.year_end, *d)), *d, cash)).collect(),
    };
    let result = grid.total(neg, Account::of_result);
    let current = this_year.total(neg, Account::of_result);
    let earlier = minus(&result, &current);
    let assets = grid.total(plus, |a| a.class() == "ASSET");
    let debts = grid.total(neg, |a| a.class() == "LIABILITY");
    let retained = |a: &Account| a.class() == "EQUITY" && a.name == "Retained Earnings";
    let other = |a: &Account| a.class() == "EQUITY" && !retained(a);
    let mut header = vec![cell("")];
    header.extend(days.iter().map(|d| cell(d.strftime("%-d %b %Y"))));
    let mut rows = vec![row("Header", header), section("Assets", vec![])];
    rows.extend(grid.block("Bank", "Total Bank", plus, |a| a.kind == "BANK"));
    let fixed = |a: &Account| a.kind == "FIXED";
    let asset = |a: &Account| a.class() == "ASSET";
    rows.extend(
        grid.block("Current Assets", "Total Current Assets", plus, |a| asset(a) && a.kind != "BANK" && !fixed(a)),
    );
    rows.extend(grid.block("Fixed Assets", "Total Fixed Assets", plus, fixed));
    rows.push(section("", vec![figures("SummaryRow", "Total Assets", &assets)]));
    rows.push(section("Liabilities", vec![]));
    let term = |a: &Account| a.kind == "TERMLIAB";
    rows.extend(
        grid.block("Current Liabilities", "Total Current Liabilities", neg, |a| a.class() == "LIABILITY" && !term(a)),
    );
    rows.extend(grid.block("Non-current Liabilities", "Total Non-current Liabilities", neg, term));
    rows.push(section("", vec![figures("SummaryRow", "Total Liabilities", &debts)]));
    rows.push(section("", vec![figures("Row", "Net Assets", &minus(&assets, &debts))]));
    // Earnings of the current year are no account: Xero writes the all-zero id.
    let earnings = figures("Row", "Current Year Earnings", &current);
    let mut equity = vec![match earnings {
        Value::Object(mut map) => {
            let cells = map.remove("Cells").and_then(|c| c.as_array().cloned()).unwrap_or_default();
            row("Row", cells.into_iter().map(|c| with_account(c, Uuid::nil())).collect())
        }
        other => other,
    }];
    equity.extend(grid.lines(neg, other));
    let kept: Vec<Decimal> = grid.total(neg, retained).iter().zip(&earlier).map(|(a, b)| a + b).collect();
    if let Some(account) = books.accounts.iter().find(|a| retained(a)) {
        let label = std::iter::once(cell(&account.name));
        let cells = label.chain(kept.iter().copied().map(money)).map(|c| with_account(c, account.id));
        equity.push(row("Row", cells.collect()));
    }
    let sum: Vec<Decimal> =
        grid.total(neg, |a| a.class() == "EQUITY").iter().zip(&result).map(|(a, b)| a + b).collect();
    equity.push(figures("SummaryRow", "Total Equity", &sum));
    rows.push(section("Equity", equity));
    report(org, now, "Balance Sheet", "BalanceSheet", format!("As at {}", long(day)), rows)
}

/// The month's movement and the year to date. What earlier years earned stands in retained earnings.
pub fn trial_balance(org: &Org, now: Timestamp, day: Date, cash: bool) -> Value {
    let books = &org.books;
    let start = year_start(org.year_end, day);
    let month = books.sums(Some(day.first_of_month()), day, cash);
    let (whole, year) = (books.sums(None, day, cash), books.sums(Some(start), day, cash));
    let result = |sums: &[Decimal]| -> Decimal {
        books.accounts.iter().zip(sums).filter(|(a, _)| a.of_result()).map(|(_, v)| *v).sum()
    };
    let earlier = result(&whole) - result(&year);
    let mut rows = vec![row("Header", ["Account", "Debit", "Credit", "YTD Debit", "YTD Credit"].map(cell).to_vec())];
    let mut totals = [Decimal::ZERO; 4];
    for (class, title) in [
        ("REVENUE", "Revenue"),
        ("EXPENSE", "Expenses"),
        ("ASSET", "Assets"),
        ("LIABILITY", "Liabilities"),
        ("EQUITY", "Equity"),
    ] {
        let mut lines = Vec::new();
        for (i, account) in books.accounts.iter().enumerate().filter(|(_, a)| a.class() == class) {
            let at = |sums: &[Decimal]| sums.get(i).copied().unwrap_or_default();
            let mut to_date = at(if account.of_result() { &year } else { &whole });
            if account.name == "Retained Earnings" {
                to_date += earlier;
            }
            let moved = at(&month);
            if moved.is_zero() && to_date.is_zero() {
                continue;
            }
            let sides = |v: Decimal| if v < Decimal::ZERO { [Decimal::ZERO, -v] } else { [v, Decimal::ZERO] };
            let [[debit, credit], [ytd_debit, ytd_credit]] = [sides(moved), sides(to_date)];
            let four = [debit, credit, ytd_debit, ytd_credit];
            totals.iter_mut().zip(four).for_each(|(t, v)| *t += v);
            let shown = four.map(|v| if v.is_zero() { cell("") } else { money(v) });
            let label = cell(format!("{} ({})", account.name, account.code));
            let cells = std::iter::once(label).chain(shown).map(|c| with_account(c, account.id));
            lines.push(row("Row", cells.collect()));
        }
        rows.push(section(title, lines));
    }
    rows.push(section("", vec![figures("SummaryRow", "Total", &totals)]));
    report(org, now, "Trial Balance", "TrialBalance", format!("As at {}", long(day)), rows)
}

pub fn bank_summary(org: &Org, now: Timestamp, from: Date, to: Date) -> Value {
    let header = ["Bank Accounts", "Opening Balance", "Cash Received", "Cash Spent", "Closing Balance"];
    let mut lines = Vec::new();
    let mut totals = [Decimal::ZERO; 4];
    for (i, account) in org.books.accounts.iter().enumerate().filter(|(_, a)| a.kind == "BANK") {
        let [mut opening, mut received, mut spent] = [Decimal::ZERO; 3];
        for (date, amount, _) in org.books.movements(i) {
            match () {
                () if date < from => opening += amount,
                () if date > to => {}
                () if amount > Decimal::ZERO => received += amount,
                () => spent -= amount,
            }
        }
        let four = [opening, received, spent, opening + received - spent];
        totals.iter_mut().zip(four).for_each(|(t, v)| *t += v);
        let label = json!({"Value": account.name, "Attributes": [{"Value": account.id, "Id": "accountID"}]});
        lines.push(row("Row", std::iter::once(label).chain(four.map(money)).collect()));
    }
    lines.push(figures("SummaryRow", "Total", &totals));
    let rows = vec![row("Header", header.map(cell).to_vec()), section("", lines)];
    report(org, now, "Bank Summary", "BankSummary", format!("From {} to {}", long(from), long(to)), rows)
}
