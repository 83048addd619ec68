//! What the books hold: bank transactions, what is attached to them, and files.

use jiff::tz::TimeZone;
use ledgerward_contract::{
    AccountId, Date, Error, LedgerAccount, Listed, Period, Register, RegisterLine, RegisterSource, Result,
    StatementItem, Timestamp,
};
use ledgerward_kit::from_json;
use serde::Deserialize;
use uuid::Uuid;

use super::{Money, day, ok, same_id};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BankTransactions {
    status: Option<String>,
    /// Older organisations leave it out.
    #[serde(rename = "pagination")]
    pagination: Option<Pagination>,
    bank_transactions: Vec<BankTransaction>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pagination {
    page: u32,
    page_count: u32,
    item_count: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BankTransaction {
    #[serde(rename = "BankTransactionID")]
    id: Uuid,
    r#type: String,
    status: String,
    bank_account: BankAccountRef,
    #[serde(deserialize_with = "day")]
    date: Date,
    total: Money,
    reference: Option<String>,
    is_reconciled: Option<bool>,
    has_attachments: Option<bool>,
    contact: Option<Contact>,
    #[serde(default)]
    line_items: Vec<LineItem>,
}

#[derive(Deserialize)]
struct BankAccountRef {
    #[serde(rename = "AccountID")]
    id: Uuid,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Contact {
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LineItem {
    description: Option<String>,
}

/// A bank transaction of the books.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    pub id: Uuid,
    pub account: AccountId,
    /// Deleted and voided ones are listed like others and do not count.
    pub counts: bool,
    pub line: RegisterLine,
}

impl Listed for Transaction {
    type Key = Uuid;
    fn key(&self) -> Uuid {
        self.id
    }
}

/// A page of `GET /BankTransactions`.
pub struct TransactionPage {
    pub items: Vec<Transaction>,
    /// Whether another page follows.
    pub more: bool,
    pub total: Option<u64>,
}

/// Reads page `page`. A transaction outside the period or of another account was not asked for and is an error (N14).
pub fn transactions(body: &[u8], page: u32, period: &Period, account: Option<&AccountId>) -> Result<TransactionPage> {
    const OP: &str = "bank_transactions.list";
    let list: BankTransactions = from_json(OP, body)?;
    ok(OP, list.status.as_deref())?;
    let (more, total) = match &list.pagination {
        Some(p) if p.page != page => return Err(Error::contract(OP, "Xero answered with another page")),
        Some(p) if p.page < p.page_count && list.bank_transactions.is_empty() => {
            return Err(Error::contract(OP, "Xero gave an empty page and says that more follow"));
        }
        Some(p) => (p.page < p.page_count, Some(p.item_count)),
        // Without a count only an empty page is the end.
        None => (!list.bank_transactions.is_empty(), None),
    };
    let items = list.bank_transactions.into_iter().map(transaction).collect::<Result<Vec<_>>>()?;
    let asked = |t: &Transaction| {
        (period.start..=period.end).contains(&t.line.date)
            && account.is_none_or(|a| same_id(a.as_str(), t.account.as_str()))
    };
    if !items.iter().all(asked) {
        return Err(Error::contract(OP, "Xero listed a transaction of another period or account than asked for"));
    }
    Ok(TransactionPage { items, more, total })
}

fn transaction(t: BankTransaction) -> Result<Transaction> {
    const OP: &str = "bank_transactions.list";
    let amount = match t.r#type.split('-').next() {
        Some("RECEIVE") => t.total.0,
        Some("SPEND") => -t.total.0,
        _ => return Err(Error::contract(OP, "a transaction has a type that says neither received nor spent")),
    };
    let counts = match t.status.as_str() {
        "AUTHORISED" => true,
        "DELETED" | "VOIDED" => false,
        _ => return Err(Error::contract(OP, "a transaction has a status that this version does not know")),
    };
    let words: Vec<_> = t.line_items.into_iter().filter_map(|l| l.description).filter(|d| !d.is_empty()).collect();
    Ok(Transaction {
        id: t.id,
        account: AccountId(t.bank_account.id.to_string()),
        counts,
        line: RegisterLine {
            id: t.id.to_string(),
            date: t.date,
            kind: t.r#type,
            payee: t.contact.and_then(|c| c.name).unwrap_or_default(),
            reference: t.reference.unwrap_or_default(),
            description: words.join("; "),
            amount,
            balance: None,
            reconciled: t.is_reconciled,
            has_documents: t.has_attachments.unwrap_or_default(),
        },
    })
}

/// The books' record of one account, by date. Xero gives no balances with it.
pub fn register(account: LedgerAccount, transactions: &[Transaction]) -> Register {
    let mut lines: Vec<_> = transactions.iter().filter(|t| t.counts).map(|t| t.line.clone()).collect();
    lines.sort_by(|a, b| (a.date, &a.id).cmp(&(b.date, &b.id)));
    Register {
        account: account.id,
        account_name: account.name,
        account_number: account.number,
        organisation: None,
        currency: account.currency,
        source: RegisterSource::Books,
        opening: None,
        closing: None,
        closing_on: None,
        lines,
        notes: vec![
            "Payments of invoices and bills, and transfers between accounts, are not included: Xero lists them elsewhere."
                .to_owned(),
            "Lines that the bank sent and nobody has coded yet are not included.".to_owned(),
        ],
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attachments {
    status: Option<String>,
    attachments: Vec<Attachment>,
}

/// `Url` stands here too and is not read: the id and our own host make the address.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attachment {
    #[serde(rename = "AttachmentID")]
    id: Uuid,
    file_name: String,
    mime_type: Option<String>,
    content_length: Option<u64>,
}

const BYTES: &str = "application/octet-stream";

/// `GET /BankTransactions/{id}/Attachments`. An item's id is `transaction/attachment`.
pub fn attachments(transaction: Uuid, account: &AccountId, body: &[u8]) -> Result<Vec<StatementItem>> {
    const OP: &str = "attachments.list";
    let list: Attachments = from_json(OP, body)?;
    ok(OP, list.status.as_deref())?;
    let item = |a: Attachment| StatementItem {
        id: format!("{transaction}/{}", a.id),
        name: a.file_name,
        mime: a.mime_type.unwrap_or_else(|| BYTES.to_owned()),
        size: a.content_length,
        updated: None,
        account: Some(account.clone()),
    };
    Ok(list.attachments.into_iter().map(item).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Files {
    total_count: u64,
    page: u32,
    items: Vec<File>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File {
    id: Uuid,
    name: String,
    mime_type: Option<String>,
    size: Option<u64>,
    created_date_utc: String,
    updated_date_utc: Option<String>,
}

/// A page of `GET /Files`.
pub struct FilePage {
    /// What was added in the period asked for.
    pub items: Vec<StatementItem>,
    /// How many the page lists, whatever their day.
    pub listed: u64,
    pub total: u64,
}

/// Reads page `page` and keeps what was added in the period, by the day in UTC.
pub fn files(body: &[u8], page: u32, period: &Period) -> Result<FilePage> {
    const OP: &str = "files.list";
    let list: Files = from_json(OP, body)?;
    if list.page != page {
        return Err(Error::contract(OP, "Xero answered with another page"));
    }
    let listed = list.items.len() as u64;
    let mut items = Vec::new();
    for f in list.items {
        let created = utc(&f.created_date_utc).ok_or_else(|| Error::contract(OP, "a file's date is not a date"))?;
        if (period.start..=period.end).contains(&created.to_zoned(TimeZone::UTC).date()) {
            items.push(StatementItem {
                id: f.id.to_string(),
                name: f.name,
                mime: f.mime_type.unwrap_or_else(|| BYTES.to_owned()),
                size: f.size,
                updated: f.updated_date_utc.as_deref().and_then(utc),
                account: None,
            });
        }
    }
    Ok(FilePage { items, listed, total: list.total_count })
}

/// `2021-02-10T16:02:54.9930000`: UTC without saying so, sometimes with a `Z`.
fn utc(text: &str) -> Option<Timestamp> {
    let civil: jiff::civil::DateTime = text.trim_end_matches('Z').parse().ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}
