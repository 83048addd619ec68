//! The JSON that the fake is made from. The README describes the shape.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{Timestamp, civil::Date};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    Window,
    books::{Account, Books, Entry, Paper, Posting},
    id_of,
    world::{App, Login, Org, User, World, user_id},
};

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seed {
    app: App,
    users: Vec<Login>,
    organisations: Vec<OrgSeed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrgSeed {
    tenant_id: Option<Uuid>,
    name: String,
    #[serde(default = "organisation")]
    tenant_type: String,
    /// `MM-DD`.
    #[serde(default = "march")]
    year_end: String,
    #[serde(default = "nzd")]
    currency: String,
    #[serde(default = "nz")]
    country: String,
    #[serde(default)]
    demo: bool,
    lock_date: Option<Date>,
    year_lock_date: Option<Date>,
    #[serde(default)]
    users: Vec<User>,
    accounts: Option<Vec<AccountSeed>>,
    #[serde(default)]
    transactions: Vec<TransactionSeed>,
    #[serde(default)]
    journals: Vec<JournalSeed>,
    #[serde(default)]
    recurring: Vec<RecurringSeed>,
    #[serde(default)]
    files: Vec<PaperSeed>,
}

fn organisation() -> String {
    "ORGANISATION".to_owned()
}
fn march() -> String {
    "03-31".to_owned()
}
fn nzd() -> String {
    "NZD".to_owned()
}
fn nz() -> String {
    "NZ".to_owned()
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountSeed {
    id: Option<Uuid>,
    code: String,
    name: String,
    r#type: String,
    number: Option<String>,
    #[serde(default = "bank")]
    bank_type: String,
    #[serde(default = "active")]
    status: String,
    /// How bank lines come in (`CBAFEED`, `CSV`, `MANUAL`); absent: no lines at all.
    feed: Option<String>,
    /// Whether the bank supplies balances with them.
    #[serde(default)]
    feed_balances: bool,
    /// Whether each statement holds a duplicate and a deleted line as well.
    #[serde(default)]
    feed_noise: bool,
}

fn bank() -> String {
    "BANK".to_owned()
}
fn active() -> String {
    "ACTIVE".to_owned()
}

/// What `post_transaction` and the seed's `transactions` take.
#[derive(Clone, Deserialize)]
pub struct TransactionSeed {
    pub id: Option<Uuid>,
    pub date: Date,
    #[serde(flatten)]
    pub what: TransactionWhat,
}

#[derive(Clone, Deserialize)]
pub struct TransactionWhat {
    r#type: String,
    /// The bank account's code.
    bank: String,
    /// The other account's code.
    account: String,
    amount: Decimal,
    #[serde(default)]
    contact: String,
    #[serde(default)]
    reference: String,
    #[serde(default)]
    description: String,
    #[serde(default = "authorised")]
    status: String,
    #[serde(default = "yes")]
    reconciled: bool,
    #[serde(default)]
    attachments: Vec<PaperSeed>,
}

fn authorised() -> String {
    "AUTHORISED".to_owned()
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct JournalSeed {
    date: Date,
    debit: String,
    credit: String,
    amount: Decimal,
    #[serde(default)]
    narration: String,
    /// An invoice or a bill: not there on the cash basis.
    #[serde(default)]
    accrual: bool,
    /// A payment of one: which account it counts for on the cash basis.
    cash_as: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecurringSeed {
    from: Date,
    to: Date,
    day: i8,
    /// By how many per cent at most the amount varies from month to month.
    #[serde(default)]
    vary: u32,
    transaction: TransactionWhat,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PaperSeed {
    id: Option<Uuid>,
    name: String,
    #[serde(default = "pdf")]
    mime: String,
    /// The bytes as text, or `size` bytes of filling.
    content: Option<String>,
    #[serde(default)]
    size: usize,
    #[serde(default)]
    created: Timestamp,
}

fn pdf() -> String {
    "application/pdf".to_owned()
}

impl PaperSeed {
    fn build(&self, owner: Uuid, n: usize) -> Paper {
        let content = self.content.clone().unwrap_or_else(|| "ledgerward ".repeat(self.size / 11 + 1));
        let end = self.content.as_ref().map_or(self.size, String::len);
        Paper {
            id: self.id.unwrap_or_else(|| id_of(&[&owner.to_string(), "paper", &n.to_string()])),
            name: self.name.clone(),
            mime: self.mime.clone(),
            bytes: content.into_bytes().into_iter().take(end).collect(),
            created: self.created,
        }
    }
}

impl TransactionSeed {
    /// The entry in the books, or which account code is not there.
    pub fn build(&self, books: &Books, id: Uuid, updated: Timestamp) -> Result<Entry, String> {
        let w = &self.what;
        let (bank, other) = (books.by_code(&w.bank)?, books.by_code(&w.account)?);
        let received = w.r#type.starts_with("RECEIVE");
        if !received && !w.r#type.starts_with("SPEND") {
            return Err(format!("\"{}\" is no type of bank transaction", w.r#type));
        }
        let (debit, credit) = if received { (bank, other) } else { (other, bank) };
        let papers = w.attachments.iter().enumerate().map(|(n, p)| p.build(id, n)).collect();
        Ok(Entry {
            id,
            date: self.date,
            debit,
            credit,
            amount: w.amount,
            text: w.description.clone(),
            posting: Posting::Bank {
                kind: w.r#type.clone(),
                bank,
                contact: w.contact.clone(),
                reference: w.reference.clone(),
                status: w.status.clone(),
                reconciled: w.reconciled,
                papers,
                updated,
            },
        })
    }
}

/// The chart of a small firm, for organisations that bring none.
fn chart() -> Vec<AccountSeed> {
    let row = |code: &str, name: &str, kind: &str| AccountSeed {
        id: None,
        code: code.to_owned(),
        name: name.to_owned(),
        r#type: kind.to_owned(),
        number: (kind == "BANK").then(|| format!("12-3141-0{code}592-00")),
        bank_type: bank(),
        status: active(),
        feed: (kind == "BANK").then(|| "ANZFEED".to_owned()),
        feed_balances: code == "090",
        feed_noise: false,
    };
    vec![
        row("090", "Main cheque", "BANK"),
        row("091", "Savings", "BANK"),
        row("610", "Accounts Receivable", "CURRENT"),
        row("710", "Office Equipment", "FIXED"),
        row("800", "Accounts Payable", "CURRLIAB"),
        row("820", "GST", "CURRLIAB"),
        row("900", "Loan", "TERMLIAB"),
        row("960", "Retained Earnings", "EQUITY"),
        row("970", "Owner A Funds Introduced", "EQUITY"),
        row("200", "Sales", "REVENUE"),
        row("260", "Interest Income", "REVENUE"),
        row("310", "Cost of Goods Sold", "DIRECTCOSTS"),
        row("404", "Bank Fees", "EXPENSE"),
        row("469", "Rent", "EXPENSE"),
        row("477", "Wages and Salaries", "EXPENSE"),
    ]
}

impl AccountSeed {
    fn build(self, tenant: Uuid) -> Account {
        Account {
            id: self.id.unwrap_or_else(|| id_of(&[&tenant.to_string(), "account", &self.code])),
            code: self.code,
            name: self.name,
            kind: self.r#type,
            number: self.number,
            bank_type: self.bank_type,
            status: self.status,
            feed: self.feed,
            feed_balances: self.feed_balances,
            feed_noise: self.feed_noise,
        }
    }
}

/// Bank transactions of a template, one a month.
fn monthly(r: &RecurringSeed) -> Vec<TransactionSeed> {
    let mut out = Vec::new();
    let mut month = r.from.first_of_month();
    while month <= r.to {
        let day = r.day.clamp(1, month.days_in_month());
        let mut what = r.transaction.clone();
        if r.vary > 0 {
            let n = id_of(&[&month.to_string(), &what.account, &what.contact]).as_u128() % u128::from(2 * r.vary + 1);
            let percent = Decimal::from(100 - i64::from(r.vary) + i64::try_from(n).unwrap_or_default());
            what.amount = (what.amount * percent / Decimal::ONE_HUNDRED).round_dp(2);
        }
        if let Ok(at) = Date::new(month.year(), month.month(), day)
            && (r.from..=r.to).contains(&at)
        {
            out.push(TransactionSeed { id: None, date: at, what });
        }
        let Ok(next) = month.last_of_month().tomorrow() else { break };
        month = next;
    }
    out
}

impl OrgSeed {
    fn build(self) -> Result<Org, String> {
        let tenant = self.tenant_id.unwrap_or_else(|| id_of(&["organisation", &self.name]));
        let accounts = self.accounts.unwrap_or_else(chart).into_iter().map(|a| a.build(tenant)).collect();
        let mut books = Books { accounts, entries: Vec::new() };
        let bank = self.transactions.into_iter().chain(self.recurring.iter().flat_map(monthly));
        for (n, t) in bank.enumerate() {
            let id = t.id.unwrap_or_else(|| id_of(&[&tenant.to_string(), "transaction", &n.to_string()]));
            let updated = t.date.to_zoned(jiff::tz::TimeZone::UTC).map(|z| z.timestamp()).unwrap_or_default();
            let entry = t.build(&books, id, updated).map_err(|e| format!("{}: {e}", self.name))?;
            books.entries.push(entry);
        }
        for (n, j) in self.journals.into_iter().enumerate() {
            let entry = Entry {
                id: id_of(&[&tenant.to_string(), "journal", &n.to_string()]),
                date: j.date,
                debit: books.by_code(&j.debit)?,
                credit: books.by_code(&j.credit)?,
                amount: j.amount,
                text: j.narration,
                posting: Posting::Journal {
                    accrual: j.accrual,
                    cash_as: j.cash_as.map(|c| books.by_code(&c)).transpose()?,
                },
            };
            books.entries.push(entry);
        }
        let end = self.year_end.split_once('-').and_then(|(m, d)| Some((m.parse().ok()?, d.parse().ok()?)));
        let mut users = self.users;
        for user in &mut users {
            if user.id.is_nil() {
                user.id = user_id(&user.email);
            }
        }
        let files = self.files.iter().enumerate().map(|(n, p)| p.build(tenant, n)).collect();
        Ok(Org {
            tenant,
            kind: self.tenant_type,
            year_end: end.ok_or_else(|| format!("{}: the year ends on no MM-DD", self.name))?,
            name: self.name,
            currency: self.currency,
            country: self.country,
            demo: self.demo,
            lock_date: self.lock_date,
            year_lock_date: self.year_lock_date,
            users,
            books: Arc::new(books),
            files: Arc::new(files),
            connections: BTreeMap::new(),
            minute: Window::default(),
            day: Window::default(),
            hides_users: false,
        })
    }
}

/// The world of a seed, or what is wrong with it.
pub fn read(seed: &Value) -> Result<World, String> {
    let seed: Seed = Seed::deserialize(seed).map_err(|e| format!("the seed of the Xero sandbox: {e}"))?;
    if seed.users.is_empty() {
        return Err("the seed of the Xero sandbox has no user who could sign in".to_owned());
    }
    let mut orgs = BTreeMap::new();
    for org in seed.organisations {
        let org = org.build()?;
        if let Some(twice) = orgs.insert(org.tenant, org) {
            return Err(format!("two organisations have the tenant id of \"{}\"", twice.name));
        }
    }
    Ok(World { app: seed.app, logins: seed.users, orgs })
}
