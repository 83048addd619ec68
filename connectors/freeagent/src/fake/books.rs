//! A company's books: double entry, made of its bank lines and its other movements, so that the reports agree.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Fake,
    world::{Client, Transaction},
};

/// A movement that is not in a bank account: an invoice, a bill, an opening balance.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Movement {
    pub date: Date,
    pub debit: String,
    pub credit: String,
    pub amount: Decimal,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Income,
    Expense,
    Capital,
    Current,
    Liability,
    Equity,
}

/// Nominal code, name and group of a small company.
const CHART: &[(&str, &str, Group)] = &[
    ("001", "Sales", Group::Income),
    ("051", "Interest Received", Group::Income),
    ("102", "Materials Purchased", Group::Expense),
    ("250", "Rent", Group::Expense),
    ("285", "Accommodation and Meals", Group::Expense),
    ("363", "Bank/Finance Charges", Group::Expense),
    ("401", "Salaries", Group::Expense),
    ("601", "Capital Asset Purchases", Group::Capital),
    ("681", "Trade Debtors", Group::Current),
    ("796", "Trade Creditors", Group::Liability),
    ("817", "VAT", Group::Liability),
    ("908", "Capital Introduced", Group::Equity),
    ("999", "Suspense Account", Group::Liability),
];
/// What is not explained yet stands here.
const SUSPENSE: &str = "999";
/// The opening balance of a bank account came from here.
const OPENING: &str = "908";

fn group(code: &str) -> Group {
    let found = CHART.iter().find(|(c, ..)| *c == code).map(|(.., g)| *g);
    found.unwrap_or(if code.starts_with("750") { Group::Current } else { Group::Liability })
}

/// One side of an entry: the account's own code, the day, the debit (a credit is negative).
type Posting = (String, Date, Decimal);

fn postings(client: &Client) -> Vec<Posting> {
    let mut all = Vec::new();
    let mut post = |debit: &str, credit: &str, date: Date, amount: Decimal| {
        all.push((debit.to_owned(), date, amount));
        all.push((credit.to_owned(), date, -amount));
    };
    for account in client.bank_accounts.iter().filter(|a| !a.opening.is_zero()) {
        post(&bank_code(account.id), OPENING, client.started, account.opening);
    }
    for Transaction { account, date, amount, category, .. } in &client.transactions {
        post(&bank_code(*account), category.as_deref().unwrap_or(SUSPENSE), *date, *amount);
    }
    for m in &client.movements {
        post(&m.debit, &m.credit, m.date, m.amount);
    }
    all
}

/// The legacy code of a bank account, with its id.
fn bank_code(id: u64) -> String {
    format!("750-{id}")
}

/// Debit sums by account.
fn sums(all: &[Posting], keep: impl Fn(&Posting) -> bool) -> BTreeMap<&str, Decimal> {
    let mut map = BTreeMap::new();
    for p in all.iter().filter(|p| keep(p)) {
        *map.entry(p.0.as_str()).or_default() += p.2;
    }
    map
}

fn is_result(code: &str) -> bool {
    matches!(group(code), Group::Income | Group::Expense)
}

/// The profit of these days: credits of income and expenses.
fn profit(all: &[Posting], keep: impl Fn(Date) -> bool) -> Decimal {
    -all.iter().filter(|p| is_result(&p.0) && keep(p.1)).map(|p| p.2).sum::<Decimal>()
}

/// The first day of the accounting year that a day is in.
pub fn year_start(client: &Client, day: Date) -> Date {
    let (month, first) = (client.started.month(), client.started.day());
    let of = |year: i16| Date::new(year, month, first).ok();
    let this = of(day.year()).filter(|d| *d <= day);
    this.or_else(|| of(day.year() - 1)).unwrap_or(client.started).max(client.started)
}

pub fn profit_and_loss(client: &Client, from: Date, to: Date) -> Value {
    let all = postings(client);
    let of = |wanted: Group| -> Decimal {
        all.iter().filter(|p| group(&p.0) == wanted && (from..=to).contains(&p.1)).map(|p| p.2).sum()
    };
    let (income, expenses) = (-of(Group::Income), of(Group::Expense));
    let operating = income - expenses;
    let before = profit(&all, |d| d < from);
    json!({"profit_and_loss_summary": {
        "from": from, "to": to, "income": income.to_string(), "expenses": expenses.to_string(),
        "operating_profit": operating.to_string(),
        "less": [{"title": "Corp. Tax", "total": "0"}, {"title": "Dividends", "total": "0"}],
        "retained_profit": operating.to_string(), "retained_profit_brought_forward": before.to_string(),
        "retained_profit_carried_forward": (before + operating).to_string(),
    }})
}

/// A whole number, as the balance sheet has them.
fn whole(amount: Decimal) -> Value {
    serde_json::from_str(&amount.round().normalize().to_string()).unwrap_or(Value::Null)
}

fn name(client: &Client, code: &str) -> String {
    let bank = code.strip_prefix("750-").and_then(|id| client.bank_accounts.iter().find(|a| a.id.to_string() == id));
    let found = || CHART.iter().find(|(c, ..)| *c == code).map_or("Unknown", |(_, n, _)| *n).to_owned();
    bank.map_or_else(found, |a| format!("Bank Account: {}", a.name))
}

pub fn balance_sheet(client: &Client, at: Date) -> Value {
    let all = postings(client);
    let held = sums(&all, |p| p.1 <= at && !is_result(&p.0));
    let section = |wanted: Group| -> Value {
        let rows = held.iter().filter(|(c, d)| group(c) == wanted && !d.is_zero());
        rows.map(|(c, d)| json!({"name": name(client, c), "nominal_code": c, "total_debit_value": whole(*d)})).collect()
    };
    let sum = |wanted: &[Group]| -> Decimal {
        held.iter().filter(|(c, _)| wanted.contains(&group(c))).map(|(_, d)| *d).sum()
    };
    let retained = -profit(&all, |d| d <= at);
    json!({"balance_sheet": {
        "accounting_period_start_date": year_start(client, at), "as_at_date": at, "currency": client.currency,
        "capital_assets": {"accounts": section(Group::Capital), "net_book_value": whole(sum(&[Group::Capital]))},
        "current_assets": {"accounts": section(Group::Current)},
        "current_liabilities": {"accounts": section(Group::Liability)},
        "net_current_assets": whole(sum(&[Group::Current, Group::Liability])),
        "total_assets": whole(sum(&[Group::Capital, Group::Current, Group::Liability])),
        "owners_equity": {"accounts": section(Group::Equity), "retained_profit": whole(retained)},
        "total_owners_equity": whole(sum(&[Group::Equity]) + retained),
    }})
}

/// Results from the first day on; what is held, since ever.
pub fn trial_balance(fake: &Fake, client: &Client, from: Date, to: Date) -> Value {
    let all = postings(client);
    let balances = sums(&all, |p| p.1 <= to && (p.1 >= from || !is_result(&p.0)));
    let row = |(code, total): (&&str, &Decimal)| {
        let plain = code.split('-').next().unwrap_or_default();
        let bank = client.bank_accounts.iter().position(|a| bank_code(a.id) == **code);
        let shown = bank.map_or_else(|| (*code).to_owned(), |n| format!("750-{}", n + 1));
        let mut row = json!({"category": format!("{}/categories/{plain}", fake.base), "nominal_code": code,
            "display_nominal_code": shown, "name": name(client, code), "total": total.to_string()});
        let address = bank.and_then(|n| client.bank_accounts.get(n)).map(|a| fake.url("bank_accounts", a.id));
        if let (Some(address), Some(map)) = (address, row.as_object_mut()) {
            map.insert("bank_account".to_owned(), json!(address));
        }
        row
    };
    let mut rows: Vec<Value> = balances.iter().filter(|(_, t)| !t.is_zero()).map(row).collect();
    // What earlier years earned has been carried into the equity.
    let carried = -profit(&all, |d| d < from);
    if !carried.is_zero() {
        rows.push(json!({"category": format!("{}/categories/970", fake.base), "nominal_code": "970",
            "display_nominal_code": "970", "name": "Profit and Loss Account", "total": carried.to_string()}));
    }
    json!({"trial_balance_summary": rows})
}
