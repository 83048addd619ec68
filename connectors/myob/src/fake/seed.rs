//! The JSON that the fake is made from. The README describes the shape.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Account, App, Bank, Entry, Fake, FeedLine, File, User, id_of, oauth::Tokens};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seed {
    app: App,
    #[serde(default = "live")]
    base: String,
    /// Who consents.
    signing_in: String,
    files: Vec<FileSeed>,
}

fn live() -> String {
    "https://api.myob.com".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSeed {
    id: Option<Uuid>,
    name: String,
    #[serde(default = "au")]
    country: String,
    #[serde(default = "june")]
    year_end: String,
    users: Vec<User>,
    accounts: Option<Vec<AccountSeed>>,
    #[serde(default)]
    entries: Vec<EntrySeed>,
    #[serde(default)]
    recurring: Vec<RecurringSeed>,
    #[serde(default)]
    lines: Vec<LineSeed>,
}

fn au() -> String {
    "AU".to_owned()
}
fn june() -> String {
    "06-30".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountSeed {
    id: Option<Uuid>,
    number: String,
    name: String,
    classification: String,
    kind: Option<String>,
    #[serde(default)]
    header: bool,
    bank: Option<Bank>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntrySeed {
    date: Date,
    debit: String,
    credit: String,
    amount: Decimal,
    #[serde(default)]
    text: String,
    #[serde(default)]
    accrual: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecurringSeed {
    from: Date,
    to: Date,
    day: i8,
    debit: String,
    credit: String,
    amount: Decimal,
    #[serde(default)]
    text: String,
    /// By how many per cent at most the amount varies from month to month.
    #[serde(default)]
    vary: u32,
}

/// What `post_line` and the seed's `lines` take.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineSeed {
    date: Date,
    account: String,
    amount: Decimal,
    #[serde(default)]
    text: String,
    #[serde(default)]
    reference: String,
    #[serde(default = "uncoded")]
    status: String,
}

fn uncoded() -> String {
    "Uncoded".to_owned()
}

impl LineSeed {
    pub fn build(self, file: Uuid, n: usize) -> FeedLine {
        FeedLine {
            id: id_of(&["feed", &file.to_string(), &n.to_string()]),
            date: self.date,
            account: self.account,
            amount: self.amount,
            text: self.text,
            reference: self.reference,
            status: self.status,
        }
    }
}

/// A user with an id: one login has one id in every file.
pub fn with_id(mut user: User) -> User {
    if user.id.is_nil() {
        user.id = id_of(&["user", user.email.as_deref().unwrap_or(&user.name)]);
    }
    user
}

/// The chart of a small firm, for files that bring none.
fn chart() -> Vec<AccountSeed> {
    let row = |number: &str, name: &str, classification: &str, kind: &str| AccountSeed {
        id: None,
        number: number.to_owned(),
        name: name.to_owned(),
        classification: classification.to_owned(),
        kind: Some(kind.to_owned()),
        header: number.ends_with("-0000"),
        bank: matches!(kind, "Bank" | "CreditCard").then(|| Bank {
            bsb: (kind == "Bank").then(|| "063-000".to_owned()),
            number: (kind == "Bank").then(|| format!("10{}", number.replace('-', ""))),
            card: (kind == "CreditCard").then(|| "•••• •••• •••• 1881".to_owned()),
            feed: true,
        }),
    };
    vec![
        row("1-0000", "Assets", "Asset", "OtherAsset"),
        row("1-1110", "Cheque account", "Asset", "Bank"),
        row("1-1200", "Trade debtors", "Asset", "AccountReceivable"),
        row("1-2100", "Office equipment", "Asset", "FixedAsset"),
        row("2-0000", "Liabilities", "Liability", "OtherLiability"),
        row("2-1110", "Company card", "Liability", "CreditCard"),
        row("2-1200", "Trade creditors", "Liability", "AccountsPayable"),
        row("2-1310", "GST collected", "Liability", "OtherLiability"),
        row("3-0000", "Equity", "Equity", "Equity"),
        row("3-1000", "Owner's capital", "Equity", "Equity"),
        row("3-8000", "Retained earnings", "Equity", "Equity"),
        row("3-9000", "Current earnings", "Equity", "Equity"),
        row("4-1000", "Sales", "Income", "Income"),
        row("5-1000", "Purchases", "CostOfSales", "CostOfSales"),
        row("6-1000", "Rent", "Expense", "Expense"),
        row("6-2000", "Wages", "Expense", "Expense"),
        row("6-3000", "Bank fees", "Expense", "Expense"),
        row("8-1000", "Interest received", "OtherIncome", "OtherIncome"),
    ]
}

/// One entry a month.
fn monthly(r: &RecurringSeed) -> Vec<EntrySeed> {
    let mut out = Vec::new();
    let mut month = r.from.first_of_month();
    while month <= r.to {
        let day = r.day.clamp(1, month.days_in_month());
        let mut amount = r.amount;
        if r.vary > 0 {
            let n = id_of(&[&month.to_string(), &r.debit, &r.credit, &r.text]).as_u128() % u128::from(2 * r.vary + 1);
            let percent = Decimal::from(100 - i64::from(r.vary) + i64::try_from(n).unwrap_or_default());
            amount = (amount * percent / Decimal::ONE_HUNDRED).round_dp(2);
        }
        if let Ok(date) = Date::new(month.year(), month.month(), day)
            && (r.from..=r.to).contains(&date)
        {
            let (debit, credit, text) = (r.debit.clone(), r.credit.clone(), r.text.clone());
            out.push(EntrySeed { date, debit, credit, amount, text, accrual: false });
        }
        let Ok(next) = month.last_of_month().tomorrow() else { break };
        month = next;
    }
    out
}

fn month_day(text: &str) -> Option<(i8, i8)> {
    let (month, day) = text.split_once('-')?;
    let pair = (month.parse().ok()?, day.parse().ok()?);
    Date::new(2024, pair.0, pair.1).ok().map(|_| pair)
}

fn file(seed: FileSeed) -> Result<File, String> {
    let id = seed.id.unwrap_or_else(|| id_of(&["file", &seed.name]));
    let accounts = seed.accounts.unwrap_or_else(chart).into_iter().map(|a| Account {
        id: a.id.unwrap_or_else(|| id_of(&["account", &id.to_string(), &a.number])),
        kind: a.kind.unwrap_or_else(|| a.classification.clone()),
        number: a.number,
        name: a.name,
        classification: a.classification,
        header: a.header,
        bank: a.bank,
    });
    let accounts: Vec<_> = accounts.collect();
    let mut entries = seed.entries;
    entries.extend(seed.recurring.iter().flat_map(monthly));
    let known: BTreeMap<&str, bool> = accounts.iter().map(|a| (a.number.as_str(), a.header)).collect();
    for number in entries.iter().flat_map(|e| [&e.debit, &e.credit]).chain(seed.lines.iter().map(|l| &l.account)) {
        if known.get(number.as_str()) != Some(&false) {
            return Err(format!("{} has no account {number} that can be posted to", seed.name));
        }
    }
    let build = |(n, e): (usize, EntrySeed)| Entry {
        id: id_of(&["entry", &id.to_string(), &n.to_string()]),
        date: e.date,
        debit: e.debit,
        credit: e.credit,
        amount: e.amount,
        text: e.text,
        accrual: e.accrual,
    };
    Ok(File {
        id,
        country: seed.country,
        year_end: month_day(&seed.year_end).ok_or_else(|| format!("{}: year_end is MM-DD", seed.name))?,
        users: seed.users.into_iter().map(with_id).collect(),
        entries: entries.into_iter().enumerate().map(build).collect(),
        lines: seed.lines.into_iter().enumerate().map(|(n, l)| l.build(id, n)).collect(),
        accounts,
        name: seed.name,
    })
}

pub fn read(seed: &Value) -> Result<Fake, String> {
    let seed = Seed::deserialize(seed).map_err(|e| format!("the seed of the MYOB sandbox: {e}"))?;
    let files = seed.files.into_iter().map(file).collect::<Result<Vec<_>, _>>()?;
    let ids: BTreeSet<_> = files.iter().map(|f| f.id).collect();
    if ids.len() != files.len() || files.is_empty() {
        return Err("the seed of the MYOB sandbox has no file, or two with one id".to_owned());
    }
    Ok(Fake {
        app: seed.app,
        base: seed.base.trim_end_matches('/').to_owned(),
        files,
        signing_in: seed.signing_in,
        choosing: None,
        tokens: Tokens::default(),
        second: (0, 0),
        day: (0, 0),
        outages: Vec::new(),
        requests: BTreeMap::new(),
        limited: 0,
        clock: None,
    })
}
