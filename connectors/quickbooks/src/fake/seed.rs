//! The JSON that the fake is made from. The README describes the shape.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Fake,
    answers::hash,
    books::{Account, Company, Entry, Paper},
};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    pub client_id: String,
    pub client_secret: String,
    #[serde(default)]
    pub latency_ms: u64,
    /// The refresh token's value changes once a day only, instead of with every refresh: Intuit documents both.
    #[serde(default)]
    pub daily: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seed {
    app: App,
    #[serde(default = "store")]
    base: String,
    companies: Vec<CompanySeed>,
}

fn store() -> String {
    "https://intuit-qbo-prod-23.s3.amazonaws.com".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompanySeed {
    realm: String,
    name: String,
    #[serde(default = "usa")]
    country: String,
    #[serde(default = "usd")]
    currency: String,
    #[serde(default)]
    currencies: bool,
    #[serde(default = "january")]
    fiscal_start: String,
    #[serde(default = "one")]
    users: u32,
    #[serde(default)]
    accountants: u32,
    accounts: Option<Vec<Account>>,
    #[serde(default)]
    transactions: Vec<TransactionSeed>,
    #[serde(default)]
    recurring: Vec<RecurringSeed>,
    #[serde(default)]
    files: Vec<PaperSeed>,
}

fn usa() -> String {
    "USA".to_owned()
}
fn usd() -> String {
    "USD".to_owned()
}
fn january() -> String {
    "January".to_owned()
}
fn one() -> u32 {
    1
}

#[derive(Clone, Deserialize)]
struct TransactionSeed {
    date: Date,
    #[serde(flatten)]
    what: What,
}

#[derive(Clone, Deserialize)]
struct What {
    /// The reports' word: `Expense`, `Check`, `Deposit`, `Invoice`, `Payment`, `Bill`, `Journal Entry`, `Transfer`, …
    r#type: String,
    debit: String,
    credit: String,
    amount: Decimal,
    #[serde(default)]
    doc: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    memo: String,
    #[serde(default)]
    accrual: bool,
    cash_as: Option<String>,
    #[serde(default)]
    attachments: Vec<PaperSeed>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecurringSeed {
    from: Date,
    to: Date,
    day: i8,
    transaction: What,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PaperSeed {
    /// Absent: a note.
    name: Option<String>,
    #[serde(default = "pdf")]
    mime: String,
    #[serde(default)]
    note: String,
    #[serde(default)]
    content: String,
    created: Option<Timestamp>,
    /// What it belongs to besides, as `[entity, id]`.
    #[serde(default)]
    of: Vec<(String, String)>,
}

fn pdf() -> String {
    "application/pdf".to_owned()
}

/// The entity behind a report's word.
fn entity(word: &str) -> Option<&'static str> {
    Some(match word {
        "Expense" | "Check" | "Credit Card Expense" => "Purchase",
        "Journal Entry" => "JournalEntry",
        "Sales Receipt" => "SalesReceipt",
        "Bill Payment" => "BillPayment",
        "Deposit" => "Deposit",
        "Invoice" => "Invoice",
        "Payment" => "Payment",
        "Bill" => "Bill",
        "Transfer" => "Transfer",
        _ => return None,
    })
}

/// The chart of a small firm, for companies that bring none.
fn chart() -> Vec<Account> {
    let row = |id: &str, name: &str, kind: &str| Account {
        id: id.to_owned(),
        name: name.to_owned(),
        r#type: kind.to_owned(),
        number: String::new(),
        parent: None,
        active: true,
        currency: None,
    };
    vec![
        row("35", "Checking", "Bank"),
        row("36", "Savings", "Bank"),
        row("41", "Mastercard", "Credit Card"),
        row("84", "Accounts Receivable (A/R)", "Accounts Receivable"),
        row("33", "Accounts Payable (A/P)", "Accounts Payable"),
        row("34", "Opening Balance Equity", "Equity"),
        row("1", "Services", "Income"),
        row("80", "Cost of Goods Sold", "Cost of Goods Sold"),
        row("8", "Bank Charges", "Expense"),
        row("17", "Rent or Lease", "Expense"),
        row("13", "Payroll Expenses", "Expense"),
        row("15", "Office Expenses", "Expense"),
    ]
}

impl Company {
    fn next_id(&self) -> String {
        (self.entries.len() + 1_000).to_string()
    }

    fn put(&mut self, date: Date, what: &What, now: Timestamp) -> Result<String, String> {
        let id = self.next_id();
        for account in [&what.debit, &what.credit].into_iter().chain(&what.cash_as) {
            self.account(account).ok_or_else(|| format!("{} has no account {account}", self.name))?;
        }
        let kind = entity(&what.r#type).ok_or_else(|| format!("\"{}\" is no type of transaction", what.r#type))?;
        self.entries.push(Entry {
            id: id.clone(),
            entity: kind.to_owned(),
            word: what.r#type.clone(),
            date,
            doc: what.doc.clone(),
            name: what.name.clone(),
            memo: what.memo.clone(),
            debit: what.debit.clone(),
            credit: what.credit.clone(),
            amount: what.amount,
            accrual: what.accrual,
            cash_as: what.cash_as.clone(),
        });
        for paper in &what.attachments {
            self.file(paper, Some((kind.to_owned(), id.clone())), now);
        }
        Ok(id)
    }

    fn file(&mut self, paper: &PaperSeed, of: Option<(String, String)>, now: Timestamp) {
        self.papers.push(Paper {
            id: (5_000_000_000_000_500_000 + self.papers.len() as u64).to_string(),
            name: paper.name.clone(),
            mime: paper.mime.clone(),
            note: paper.note.clone(),
            bytes: paper.content.clone().into_bytes(),
            created: paper.created.unwrap_or(now),
            of: of.into_iter().chain(paper.of.iter().cloned()).collect(),
        });
    }
}

fn noon(day: Date) -> Timestamp {
    day.at(12, 0, 0, 0).to_zoned(TimeZone::UTC).map(|z| z.timestamp()).unwrap_or_default()
}

impl CompanySeed {
    fn build(self) -> Result<Company, String> {
        let mut company = Company {
            realm: self.realm,
            name: self.name,
            country: self.country,
            currency: self.currency,
            currencies: self.currencies,
            fiscal_start: self.fiscal_start,
            users: self.users,
            accountants: self.accountants,
            accounts: self.accounts.unwrap_or_else(chart),
            entries: Vec::new(),
            papers: Vec::new(),
            connected: true,
            suspended: false,
        };
        for t in &self.transactions {
            company.put(t.date, &t.what, noon(t.date))?;
        }
        for r in &self.recurring {
            let mut month = r.from.first_of_month();
            while month <= r.to {
                let day = r.day.clamp(1, month.days_in_month());
                if let Ok(at) = Date::new(month.year(), month.month(), day)
                    && (r.from..=r.to).contains(&at)
                {
                    company.put(at, &r.transaction, noon(at))?;
                }
                let Ok(next) = month.last_of_month().tomorrow() else { break };
                month = next;
            }
        }
        for file in &self.files {
            company.file(file, None, Timestamp::UNIX_EPOCH);
        }
        Ok(company)
    }
}

/// The world of a seed, or what is wrong with it.
pub fn read(seed: &Value) -> Result<Fake, String> {
    let seed = Seed::deserialize(seed).map_err(|e| format!("the seed of the QuickBooks sandbox: {e}"))?;
    let mut companies = BTreeMap::new();
    for company in seed.companies {
        let company = company.build()?;
        if !company.realm.bytes().all(|b| b.is_ascii_digit()) {
            return Err(format!("\"{}\" is no realm: it should be a number", company.realm));
        }
        if let Some(twice) = companies.insert(company.realm.clone(), company) {
            return Err(format!("two companies have the realm of \"{}\"", twice.name));
        }
    }
    Ok(Fake::new(seed.app, seed.base, companies))
}

/// So many companies with the small chart and a few transactions each.
pub fn many(n: usize) -> Result<Fake, String> {
    let company = |i: usize| {
        json!({"realm": (9_341_450_000_000_000_u64 + i as u64).to_string(),
            "name": format!("Client {i:05} {}", hash(&["client", &i.to_string()]).chars().take(4).collect::<String>()),
            "users": 1 + i % 4,
            "transactions": [
                {"date": "2026-10-02", "type": "Deposit", "debit": "35", "credit": "1", "amount": "420.00"},
                {"date": "2026-10-09", "type": "Expense", "debit": "17", "credit": "35", "amount": "180.00"}]})
    };
    let companies: Vec<_> = (0..n).map(company).collect();
    read(&json!({"app": {"client_id": "sandbox-qbo", "client_secret": "sandbox-secret"}, "companies": companies}))
}

/// A transaction that somebody enters now. Its id.
pub fn post(company: &mut Company, seed: &Value, now: Timestamp) -> Result<String, String> {
    let seed = TransactionSeed::deserialize(seed).map_err(|e| e.to_string())?;
    company.put(seed.date, &seed.what, now)
}
