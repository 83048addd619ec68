//! QuickBooks' shapes as words of the contract. Pure.
//!
//! An answer that lacks what it must have is a `Contract` error and never an empty list (P14). Money is read from the text
//! of the number, never through a binary floating point number.

mod register;
mod report;

use std::collections::BTreeMap;

use jiff::{Zoned, tz::TimeZone};
use ledgerward_contract::{
    AccountId, AccountKind, Date, Decimal, Error, LedgerAccount, LedgerId, LedgerProfile, Result, Seats, StatementItem,
    Timestamp,
};
use ledgerward_kit::from_json;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub use self::{
    register::{Part, part, register},
    report::report,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CompanyAnswer {
    company_info: CompanyInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CompanyInfo {
    company_name: String,
    country: Option<String>,
    fiscal_year_start_month: Option<String>,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// `GET companyinfo/{realm}`.
pub fn company(body: &[u8]) -> Result<LedgerProfile> {
    let c = from_json::<CompanyAnswer>("company.get", body)?.company_info;
    let full = |t: &String| !t.trim().is_empty();
    if !full(&c.company_name) {
        return Err(Error::contract("company.get", "the company has no name"));
    }
    let starts = c.fiscal_year_start_month.and_then(|m| MONTHS.iter().position(|known| *known == m));
    let year_end = starts.and_then(|i| {
        let month = i8::try_from((i + 11) % 12 + 1).ok()?;
        // February's last day as of a leap year: the last of the month is meant.
        Some((month, Date::new(2000, month, 1).ok()?.days_in_month()))
    });
    Ok(LedgerProfile { name: c.company_name, country: c.country.filter(full), year_end, ..LedgerProfile::default() })
}

/// The counts of the Entitlements answer; `None` where it does not say. A hint to a person: nothing is decided by it, and
/// its exact shape is unverified, so it is read by the names alone.
pub fn seats(body: &[u8]) -> Option<Seats> {
    let text = std::str::from_utf8(body).ok()?;
    // Half an answer would be a count of half the users.
    let root = text.split('<').find(|e| e.starts_with(char::is_alphabetic))?;
    let root = root.split(|c: char| c.is_whitespace() || c == '>').next()?;
    if !text.trim_end().ends_with(&format!("</{root}>")) {
        return None;
    }
    let element = |text: &str, name: &str| -> Option<u32> {
        text.split_once(&format!("<{name}>"))?.1.split_once('<')?.0.trim().parse().ok()
    };
    let threshold = |name: &str| {
        let all = text.split("<Threshold>").skip(1).filter_map(|t| t.split_once("</Threshold>"));
        all.map(|(t, _)| t).find(|t| t.contains(&format!(">{name}<"))).and_then(|t| element(t, "CurrentCount"))
    };
    let before = text.split_once("<Thresholds>").map_or(text, |(before, _)| before);
    let users = threshold("USERS").or_else(|| element(before, "CurrentUsers"))?;
    Some(Seats { users, accountants: threshold("ACCOUTANTS").or_else(|| threshold("ACCOUNTANTS")) })
}

/// A page of a query: the rows from `from` on, and where the next page begins.
pub struct QueryPage<T> {
    pub rows: Vec<T>,
    pub more: bool,
}

#[derive(Deserialize)]
struct QueryAnswer {
    #[serde(rename = "QueryResponse")]
    response: Map<String, Value>,
}

/// Rows of one entity, of a query that began at row `from` and asked for `max`. An answer without any row is an empty
/// object; one with other rows, or with a count alone, is the answer to another question.
pub fn query<T: DeserializeOwned>(
    op: &'static str,
    body: &[u8],
    entity: &str,
    from: usize,
    max: usize,
) -> Result<QueryPage<T>> {
    let mut response = from_json::<QueryAnswer>(op, body)?.response;
    let Some(rows) = response.remove(entity) else {
        if response.is_empty() {
            return Ok(QueryPage { rows: Vec::new(), more: false });
        }
        return Err(Error::contract(op, "QuickBooks answered another query than the one asked"));
    };
    let start = response.get("startPosition").and_then(Value::as_u64);
    if start != u64::try_from(from).ok() {
        return Err(Error::contract(op, "QuickBooks answered with another page"));
    }
    // Through text again, so that an error names the place in the list.
    let rows: Vec<T> = from_json(op, rows.to_string().as_bytes())?;
    if rows.is_empty() || rows.len() > max {
        return Err(Error::contract(op, "QuickBooks gave another number of rows than it can"));
    }
    let more = rows.len() == max;
    Ok(QueryPage { rows, more })
}

#[derive(Deserialize)]
struct Reference {
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Account {
    id: String,
    name: String,
    fully_qualified_name: Option<String>,
    account_type: String,
    acct_num: Option<String>,
    currency_ref: Option<Reference>,
    active: bool,
}

impl Account {
    pub fn id(&self) -> &str {
        &self.id
    }

    /// As the contract says it; `None` where it holds no money.
    pub fn bank(self) -> Option<LedgerAccount> {
        let kind = match self.account_type.as_str() {
            "Bank" => AccountKind::Bank,
            "Credit Card" => AccountKind::CreditCard,
            _ => return None,
        };
        let full = |t: &String| !t.is_empty();
        Some(LedgerAccount {
            id: AccountId(self.id),
            name: self.fully_qualified_name.filter(full).unwrap_or(self.name),
            code: self.acct_num.filter(full),
            kind,
            currency: self.currency_ref.map(|r| r.value).filter(full),
            number: None,
            active: self.active,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AccountAnswer {
    account: Account,
}

/// `GET account/{id}`: the one bank account that was asked for.
pub fn account(id: &AccountId, body: &[u8]) -> Result<LedgerAccount> {
    const OP: &str = "account.get";
    let account = from_json::<AccountAnswer>(OP, body)?.account;
    if account.id != id.as_str() {
        return Err(Error::contract(OP, "QuickBooks answered with another account than the one asked for"));
    }
    account.bank().ok_or_else(|| Error::contract(OP, "the account is neither a bank account nor a credit card"))
}

/// A document, or a note without one.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Attachable {
    id: String,
    file_name: Option<String>,
    file_access_uri: Option<String>,
    temp_download_uri: Option<String>,
    size: Option<u64>,
    content_type: Option<String>,
    #[serde(rename = "status")]
    status: Option<String>,
    meta_data: Option<MetaData>,
    #[serde(default)]
    attachable_ref: Vec<AttachableRef>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetaData {
    create_time: Option<String>,
    last_updated_time: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttachableRef {
    entity_ref: Option<EntityRef>,
}

#[derive(Deserialize)]
struct EntityRef {
    value: String,
    r#type: Option<String>,
}

/// Kinds of transactions that move money and may carry documents.
const TRANSACTIONS: &[&str] = &[
    "Bill",
    "BillPayment",
    "CreditMemo",
    "Deposit",
    "Invoice",
    "JournalEntry",
    "Payment",
    "Purchase",
    "RefundReceipt",
    "SalesReceipt",
    "Transfer",
    "VendorCredit",
];

/// The known name of a kind of transaction. QuickBooks is not strict with capitals here.
fn transaction(kind: &str) -> Option<&'static str> {
    TRANSACTIONS.iter().copied().find(|t| t.eq_ignore_ascii_case(kind))
}

impl Attachable {
    pub fn id(&self) -> &str {
        &self.id
    }

    /// That it is this company's: its path is all that names one (P09).
    pub fn belongs(&self, ledger: &LedgerId) -> Result<()> {
        let own = format!("/v3/company/{ledger}/");
        if self.file_access_uri.as_ref().is_none_or(|path| path.starts_with(&own)) {
            return Ok(());
        }
        Err(Error::contract("attachables.list", "QuickBooks answered with a document of another company"))
    }

    /// The transactions it belongs to: kind and id.
    pub fn transactions(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let refs = self.attachable_ref.iter().filter_map(|r| r.entity_ref.as_ref());
        refs.filter_map(|e| Some((transaction(e.r#type.as_deref()?)?, e.value.as_str())))
    }

    /// The day it was put into the ledger, as the clock stood there.
    pub fn day(&self) -> Result<Date> {
        let text = self.meta_data.as_ref().and_then(|m| m.create_time.as_deref());
        text.and_then(local_day)
            .ok_or_else(|| Error::contract("attachables.list", "a document does not say when it was made"))
    }

    /// What can be fetched; `None` for a note, which has no bytes.
    pub fn item(self) -> Option<StatementItem> {
        let name = self.file_name.filter(|n| !n.is_empty())?;
        let updated = self.meta_data.and_then(|m| m.last_updated_time?.parse::<Timestamp>().ok());
        Some(StatementItem {
            id: self.id,
            name,
            mime: self.content_type.filter(|t| !t.is_empty()).unwrap_or_else(|| "application/octet-stream".to_owned()),
            size: self.size,
            updated,
            account: None,
        })
    }
}

/// The day of a time such as `2026-09-29T06:53:30-07:00`, in the offset it is written with.
fn local_day(text: &str) -> Option<Date> {
    let at: Timestamp = text.parse().ok()?;
    let offset = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.f%:z", text).ok().and_then(|t| t.offset());
    Some(Zoned::new(at, offset.map_or(TimeZone::UTC, TimeZone::fixed)).date())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttachableAnswer {
    attachable: Attachable,
}

/// `GET attachable/{id}`: where the bytes of the document lie now. The address is secret and ends in a quarter of an hour.
pub fn address(ledger: &LedgerId, id: &str, body: &[u8]) -> Result<String> {
    const OP: &str = "attachable.get";
    let a = from_json::<AttachableAnswer>(OP, body)?.attachable;
    a.belongs(ledger)?;
    if a.id != id {
        return Err(Error::contract(OP, "QuickBooks answered with another document than the one asked for"));
    }
    if a.status.as_deref() == Some("Deleted") {
        return Err(Error::new(ledgerward_contract::ErrorKind::NotFound, OP, "the document was deleted meanwhile"));
    }
    a.temp_download_uri
        .filter(|u| !u.is_empty())
        .ok_or_else(|| Error::contract(OP, "QuickBooks gives no address for the document"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Dated {
    id: String,
    txn_date: Date,
}

/// Days of transactions by their ids. One that is not there any more has none.
pub fn days(entity: &str, asked: &[String], body: &[u8]) -> Result<BTreeMap<String, Date>> {
    const OP: &str = "transactions.list";
    let page = query::<Dated>(OP, body, entity, 1, super::api::PAGE)?;
    if page.rows.iter().any(|d| !asked.contains(&d.id)) {
        return Err(Error::contract(OP, "QuickBooks answered with a transaction that was not asked for"));
    }
    Ok(page.rows.into_iter().map(|d| (d.id, d.txn_date)).collect())
}

/// Money in a report: a number as text, sometimes without the nought before the point.
fn money(text: &str) -> Option<Decimal> {
    Decimal::from_str_exact(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_financial_year_ends_before_it_starts() {
        let end = |month: &str| {
            let body = format!(r#"{{"CompanyInfo":{{"CompanyName":"A","FiscalYearStartMonth":"{month}"}}}}"#);
            company(body.as_bytes()).unwrap().year_end
        };
        assert_eq!(end("January"), Some((12, 31)));
        assert_eq!(end("March"), Some((2, 29)));
        assert_eq!(end("July"), Some((6, 30)));
        assert_eq!(end("Smarch"), None);
        assert!(company(br#"{"CompanyInfo":{"CompanyName":" "}}"#).is_err());
    }

    #[test]
    fn money_is_exact_and_nothing_else_is_money() {
        for (text, value) in [("0.10", "0.10"), ("-1249.99", "-1249.99"), (".00", "0.00"), ("-.50", "-0.50")] {
            assert_eq!(money(text).map(|m| m.to_string()).as_deref(), Some(value), "{text}");
        }
        for text in ["", "1,000.00", "1e3", "12 USD", "-", "(5.00)"] {
            assert_eq!(money(text), None, "{text}");
        }
    }

    #[test]
    fn the_day_is_that_of_the_offset() {
        assert_eq!(local_day("2026-10-31T23:30:00-07:00"), Some(Date::constant(2026, 10, 31)));
        assert_eq!(local_day("2026-10-31T23:30:00.722-07:00"), Some(Date::constant(2026, 10, 31)));
        assert_eq!(local_day("2026-10-31T23:30:00Z"), Some(Date::constant(2026, 10, 31)));
        assert_eq!(local_day("2026-10-31"), None);
    }

    #[test]
    fn p14_only_an_empty_object_is_an_empty_list() {
        let read = |body: &str| query::<Dated>("x.list", body.as_bytes(), "Bill", 1, 2).map(|p| (p.rows.len(), p.more));
        assert_eq!(read(r#"{"QueryResponse":{},"time":"t"}"#).unwrap(), (0, false));
        let two = r#"{"QueryResponse":{"Bill":[{"Id":"1","TxnDate":"2026-01-01"},{"Id":"2","TxnDate":"2026-01-01"}],"startPosition":1,"maxResults":2}}"#;
        assert_eq!(read(two).unwrap(), (2, true));
        for wrong in [
            "{}",
            r#"{"time":"t"}"#,
            r#"{"QueryResponse":null}"#,
            r#"{"QueryResponse":{"totalCount":6}}"#,
            r#"{"QueryResponse":{"Customer":[]}}"#,
            r#"{"QueryResponse":{"Bill":[],"startPosition":1}}"#,
            r#"{"QueryResponse":{"Bill":[{"Id":"1","TxnDate":"2026-01-01"}],"startPosition":3}}"#,
            r#"{"QueryResponse":{"Bill":[{"Id":"1"}],"startPosition":1}}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seats_are_read_by_name_and_never_guessed() {
        let xml = "<EntitlementsResponse><MaxUsers>5</MaxUsers><CurrentUsers>4</CurrentUsers><Thresholds><Threshold>\
            <Name>USERS</Name><CurrentCount>3</CurrentCount></Threshold><Threshold><Name>ACCOUTANTS</Name>\
            <CurrentCount>1</CurrentCount></Threshold></Thresholds></EntitlementsResponse>";
        let both = seats(xml.as_bytes()).unwrap();
        assert_eq!(both, Seats { users: 3, accountants: Some(1) });
        assert_eq!(both.to_string(), "3 users and 1 accountant user");
        let plain = seats(b"<E><CurrentUsers>1</CurrentUsers></E>").unwrap();
        assert_eq!((plain, plain.to_string()), (Seats { users: 1, accountants: None }, "1 user".to_owned()));
        for nothing in [
            "",
            "<E/>",
            "<CurrentUsers>",
            "<CurrentUsers>many</CurrentUsers>",
            "{}",
            "<E><CurrentUsers>1</CurrentUsers>",
        ] {
            assert_eq!(seats(nothing.as_bytes()), None, "{nothing}");
        }
    }

    proptest! {
        #[test]
        fn no_text_hurts_the_small_parsers(text in "\\PC{0,60}") {
            let _ = seats(text.as_bytes());
            let _ = local_day(&text);
            let _ = seats(format!("<Thresholds><Threshold>{text}").as_bytes());
        }
    }
}
