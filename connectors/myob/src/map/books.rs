//! Accounts, bank-feed lines and reports.

use std::collections::BTreeMap;

use ledgerward_contract::{
    AccountId, AccountKind, Basis, Cell, Column, Date, Decimal, Error, LedgerAccount, LedgerId, Period, Register,
    RegisterLine, RegisterSource, ReportTable, Result, Row, RowKind,
};
use ledgerward_kit::{filled, from_json};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::in_file;
use crate::api::word;

/// More than any books hold, and little enough that no sum of a file's amounts is too large for a [`Decimal`].
const AMOUNT_MAX: Decimal = Decimal::from_parts(0, 1 << 28, 0, false, 0);

/// An exact number, from a JSON number or a number in a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money(pub Decimal);

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(d)?;
        let text = raw.get().trim_matches('"');
        Decimal::from_str_exact(text)
            .or_else(|_| Decimal::from_scientific(text))
            .ok()
            .filter(|amount| amount.abs() <= AMOUNT_MAX)
            .map(Self)
            .ok_or_else(|| D::Error::custom("not an amount of money"))
    }
}

/// The day of `2026-10-03T00:00:00`, with or without a fraction, a blank for the `T`, never with a zone.
fn day<'de, D: Deserializer<'de>>(d: D) -> Result<Date, D::Error> {
    let text = String::deserialize(d)?;
    let (day, rest) = text.split_at_checked(10).ok_or_else(|| D::Error::custom("not a date"))?;
    if !(rest.is_empty() || rest.starts_with(['T', ' '])) || rest.ends_with('Z') || rest.contains('+') {
        return Err(D::Error::custom("not a date of a company file"));
    }
    day.parse().map_err(|_| D::Error::custom("not a date"))
}

/// What an answer says of an account that it refers to.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
pub struct AccountRef {
    #[serde(rename = "UID")]
    id: Uuid,
    name: String,
    #[serde(rename = "DisplayID")]
    number: String,
    #[serde(rename = "URI")]
    uri: Option<String>,
}

impl AccountRef {
    fn check(&self, op: &'static str, ledger: &LedgerId) -> Result<()> {
        if self.uri.as_deref().is_none_or(|u| in_file(ledger, u)) {
            return Ok(());
        }
        Err(Error::contract(op, "MYOB answered with an account of another company file"))
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
pub struct BankAccount {
    /// Absent for a bank account that no account of the ledger belongs to.
    account: Option<AccountRef>,
    bank_account_name: Option<String>,
    #[serde(rename = "BSB")]
    bsb: Option<String>,
    bank_account_number: Option<String>,
    card_number: Option<String>,
}

/// A row of `Banking/BankAccount`, by the ledger's account: bank-feed lines are found by that one. `None` for a bank
/// account that is not linked to one, which can have no lines.
pub fn bank_account_of(ledger: &LedgerId, bank: BankAccount) -> Result<Option<LedgerAccount>> {
    let Some(account) = bank.account else { return Ok(None) };
    account.check("accounts.list", ledger)?;
    let card = filled(bank.card_number);
    let kind = if card.is_some() { AccountKind::CreditCard } else { AccountKind::Bank };
    let number =
        filled(bank.bank_account_number).map(|n| filled(bank.bsb).map_or_else(|| n.clone(), |b| format!("{b} {n}")));
    Ok(Some(LedgerAccount {
        id: AccountId(account.id.to_string()),
        name: filled(Some(account.name)).or_else(|| filled(bank.bank_account_name)).unwrap_or_default(),
        code: filled(Some(account.number)),
        kind,
        currency: None,
        number: number.or(card),
        active: true,
    }))
}

/// An account of the chart.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
pub struct Account {
    #[serde(rename = "UID")]
    pub id: Uuid,
    pub name: String,
    classification: String,
    #[serde(default)]
    is_header: bool,
    banking_details: Option<BankingDetails>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
struct BankingDetails {
    #[serde(rename = "BSBNumber")]
    bsb: Option<String>,
    bank_account_number: Option<Value>,
}

/// MYOB writes the number of a bank account as text or as a number.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Value {
    Text(String),
    Number(u64),
}

impl Account {
    /// Bank name aside: BSB and number, as far as the file knows them.
    pub fn number(&self) -> Option<String> {
        let details = self.banking_details.clone()?;
        let number = filled(details.bank_account_number.map(|v| match v {
            Value::Text(t) => t,
            Value::Number(n) => n.to_string(),
        }))?;
        Some(filled(details.bsb).map_or_else(|| number.clone(), |b| format!("{b} {number}")))
    }
}

/// `GET GeneralLedger/Account/{id}`: the one that was asked for.
pub fn account(id: &AccountId, body: &[u8]) -> Result<Account> {
    const OP: &str = "account.get";
    let account: Account = from_json(OP, body)?;
    if account.id.to_string().eq_ignore_ascii_case(id.as_str()) {
        return Ok(account);
    }
    Err(Error::contract(OP, "MYOB answered with another account than the one asked for"))
}

/// The chart by id.
pub fn accounts(list: &[Account]) -> BTreeMap<Uuid, &Account> {
    list.iter().map(|a| (a.id, a)).collect()
}

/// A bank-feed line.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
pub struct Line {
    #[serde(rename = "UID")]
    pub id: Uuid,
    #[serde(deserialize_with = "day")]
    date: Date,
    description: Option<String>,
    account: AccountRef,
    amount: Money,
    is_credit: bool,
    status: Option<String>,
    reference: Option<String>,
}

/// The lines of one account in a period, as the bank sent them to MYOB.
///
/// Errors: `Contract` for a line of another account or period than asked for, and for one whose sign contradicts itself.
pub fn register(ledger: &LedgerId, account: &Account, period: &Period, lines: &[Line]) -> Result<Register> {
    const OP: &str = "bank_statement.get";
    let mut hidden = 0_usize;
    let mut rows = Vec::with_capacity(lines.len());
    for line in lines {
        line.account.check(OP, ledger)?;
        if line.account.id != account.id || !(period.start..=period.end).contains(&line.date) {
            return Err(Error::contract(OP, "MYOB listed a line of another account or period than asked for"));
        }
        let Money(amount) = line.amount;
        if line.is_credit && amount.is_sign_negative() && !amount.is_zero() {
            return Err(Error::contract(OP, "a bank-feed line is a credit and below zero at once"));
        }
        let out_of_sight = line.status.as_deref() == Some("Hidden");
        hidden += usize::from(out_of_sight);
        let kind = if line.is_credit { "Credit" } else { "Withdrawal" };
        rows.push(RegisterLine {
            id: line.id.to_string(),
            date: line.date,
            kind: if out_of_sight { format!("{kind} (hidden)") } else { kind.to_owned() },
            payee: String::new(),
            reference: line.reference.clone().unwrap_or_default(),
            description: line.description.clone().unwrap_or_default(),
            amount: if line.is_credit { amount } else { -amount.abs() },
            balance: None,
            reconciled: None,
            has_documents: false,
        });
    }
    rows.sort_by(|a, b| (a.date, &a.id).cmp(&(b.date, &b.id)));
    let mut notes = vec!["MYOB gives the bank's lines without balances.".to_owned()];
    if hidden > 0 {
        notes.push(format!("{hidden} of the lines are hidden in MYOB. They came from the bank and are listed."));
    }
    Ok(Register {
        account: AccountId(account.id.to_string()),
        account_name: account.name.clone(),
        account_number: account.number(),
        organisation: None,
        currency: None,
        source: RegisterSource::Bank { imported: "feed".to_owned() },
        opening: None,
        closing: None,
        closing_on: None,
        lines: rows,
        notes,
    })
}

/// A profit and loss or balance sheet summary.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
pub struct Report {
    accounts_breakdown: Vec<Total>,
    #[serde(default, deserialize_with = "maybe_day")]
    as_of_date: Option<Date>,
    #[serde(default, deserialize_with = "maybe_day")]
    start_date: Option<Date>,
    #[serde(default, deserialize_with = "maybe_day")]
    end_date: Option<Date>,
    reporting_basis: Option<String>,
    year_end_adjust: bool,
}

fn maybe_day<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Date>, D::Error> {
    day(d).map(Some)
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
struct Total {
    account_total: Money,
    account: AccountRef,
}

/// What a report was asked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// From the first day to the last.
    Over(Period),
    /// As at the last day.
    AsAt(Period),
}

impl Report {
    /// Errors: `Contract` for a report of other days, of another basis or of another file than asked for (N14).
    pub fn read(ledger: &LedgerId, span: Span, basis: Basis, body: &[u8]) -> Result<Self> {
        const OP: &str = "report.get";
        let report: Self = from_json(OP, body)?;
        let days = match span {
            Span::Over(p) => report.start_date == Some(p.start) && report.end_date == Some(p.end),
            Span::AsAt(p) => report.as_of_date == Some(p.end),
        };
        // A balance sheet does not say its basis.
        let same = report.reporting_basis.as_deref().is_none_or(|b| b == word(basis)) && !report.year_end_adjust;
        if !days || !same {
            return Err(Error::contract(
                OP,
                "MYOB answered with a report of other days or another basis than asked for",
            ));
        }
        report.accounts_breakdown.iter().try_for_each(|t| t.account.check(OP, ledger))?;
        Ok(report)
    }
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn columns(labels: &[&str], texts: usize) -> Vec<Column> {
    labels.iter().enumerate().map(|(i, l)| Column { label: (*l).to_owned(), money: i >= texts }).collect()
}

/// The report as MYOB gave it: one line an account. MYOB states no sums, so there are none.
pub fn table(title: &str, report: &Report) -> ReportTable {
    let row = |t: &Total| Row {
        kind: RowKind::Line,
        depth: 0,
        account: Some(AccountId(t.account.id.to_string())),
        cells: vec![text(&t.account.number), text(&t.account.name), Cell::Money(t.account_total.0)],
    };
    ReportTable {
        title: title.to_owned(),
        organisation: None,
        currency: None,
        derived: None,
        rounded: false,
        columns: columns(&["Number", "Account", "Total"], 2),
        rows: report.accounts_breakdown.iter().map(row).collect(),
    }
}

/// Whether a total of this class is a debit where it is positive. `None`: a class we do not know.
fn debit(classification: &str) -> Option<bool> {
    match classification {
        "Asset" | "CostOfSales" | "Expense" | "OtherExpense" => Some(true),
        "Liability" | "Equity" | "Income" | "OtherIncome" => Some(false),
        _ => None,
    }
}

/// Debit less credit of each line that is not a header.
fn signed(report: &Report, chart: &BTreeMap<Uuid, &Account>, balance: bool) -> Result<Vec<(AccountRef, Decimal)>> {
    const OP: &str = "trial_balance.derive";
    let mut out = Vec::new();
    for total in &report.accounts_breakdown {
        let unknown = || Error::contract(OP, "a report of MYOB names an account that its chart does not have");
        let account = chart.get(&total.account.id).ok_or_else(unknown)?;
        if account.is_header {
            continue;
        }
        let kept = matches!(account.classification.as_str(), "Asset" | "Liability" | "Equity");
        let (true, Some(debit)) = (kept == balance, debit(&account.classification)) else {
            return Err(Error::contract(
                OP,
                "an account has a classification that does not fit the report it stands in",
            ));
        };
        let amount = total.account_total.0;
        out.push((total.account.clone(), if debit { amount } else { -amount }));
    }
    Ok(out)
}

/// A trial balance out of the balance sheet at the period's last day and the profit and loss of the period. MYOB has none.
///
/// The balance sheet holds the period's profit within its earnings; it is taken out on a line of its own, so that both
/// sides agree. Errors: `Contract` where the balance sheet does not balance as it was read: then what we believe of the
/// signs is wrong for this file, and no figure of it may go out.
pub fn trial_balance(
    balances: &Report,
    movements: &Report,
    chart: &BTreeMap<Uuid, &Account>,
    period: &Period,
) -> Result<ReportTable> {
    let (balances, movements) = (signed(balances, chart, true)?, signed(movements, chart, false)?);
    let sum = |lines: &[(AccountRef, Decimal)]| lines.iter().map(|(_, v)| *v).sum::<Decimal>();
    if !sum(&balances).is_zero() {
        return Err(Error::contract(
            "trial_balance.derive",
            "the trial balance cannot be derived: the accounts of MYOB's balance sheet do not add up to zero",
        )
        .next(
            "Take the balance sheet and the profit and loss instead, and report this: the file's signs are unusual.",
        ));
    }
    // Income is a credit, so a profit is below zero here.
    let profit = sum(&movements);
    let mut lines = balances;
    lines.extend(movements);
    lines.sort_by(|(a, _), (b, _)| (&a.number, a.id).cmp(&(&b.number, b.id)));
    let sides = |v: Decimal| {
        let side = |v: Decimal| if v > Decimal::ZERO { Cell::Money(v) } else { Cell::Empty };
        [side(v), side(-v)]
    };
    let row = |kind, account: Option<&AccountRef>, name: &str, [debit, credit]: [Cell; 2]| Row {
        kind,
        depth: 0,
        account: account.map(|a| AccountId(a.id.to_string())),
        cells: vec![account.map_or(Cell::Empty, |a| text(&a.number)), text(name), debit, credit],
    };
    let mut rows: Vec<_> = lines
        .iter()
        .filter(|(_, v)| !v.is_zero())
        .map(|(a, v)| row(RowKind::Line, Some(a), &a.name, sides(*v)))
        .collect();
    let mut values: Vec<Decimal> = lines.iter().map(|(_, v)| *v).collect();
    if !profit.is_zero() {
        let name = "Result of the period, contained in the earnings above";
        rows.push(row(RowKind::Line, None, name, sides(-profit)));
        values.push(-profit);
    }
    let side = |pass: fn(&Decimal) -> bool| Cell::Money(values.iter().copied().filter(pass).map(|v| v.abs()).sum());
    rows.push(row(RowKind::Total, None, "Total", [side(|v| *v > Decimal::ZERO), side(|v| *v < Decimal::ZERO)]));
    Ok(ReportTable {
        title: "Trial Balance (derived)".to_owned(),
        organisation: None,
        currency: None,
        derived: Some(format!(
            "Derived, not a report of MYOB: the balance sheet as at {} and the profit and loss from {} to {}, side by side. \
             Income and expense accounts show this period only.",
            period.end, period.start, period.end
        )),
        rounded: false,
        columns: columns(&["Number", "Account", "Debit", "Credit"], 2),
        rows,
    })
}
