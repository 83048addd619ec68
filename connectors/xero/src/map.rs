//! Xero's shapes as words of the contract. Pure.
//!
//! A field that decides about access or identity has no default: where it is missing, the answer is a `Contract` error
//! (P14). Money is read from the text of the number, never through a binary floating point number.

mod bank;
mod books;
mod report;

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use ledgerward_contract::{
    AccessFact, AccountId, AccountKind, Date, Decimal, Error, LedgerAccount, LedgerId, LedgerProfile, LedgerRow,
    ProviderUserId, Result, Standing, Timestamp,
};
use ledgerward_kit::{filled, from_json, present};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;
use uuid::Uuid;

pub use self::{
    bank::bank_statement,
    books::{FilePage, Transaction, TransactionPage, attachments, files, register, transactions},
    report::report,
};

/// An exact number, from a JSON number or a number in a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money(pub Decimal);

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(d)?;
        decimal(raw.get().trim_matches('"')).map(Self).ok_or_else(|| D::Error::custom("not an amount of money"))
    }
}

fn decimal(text: &str) -> Option<Decimal> {
    Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text)).ok()
}

/// `/Date(1518685950940+0000)/`: milliseconds of UTC, possibly negative. The suffix is for display and is never added.
pub fn ms_date(text: &str) -> Option<Timestamp> {
    let inner = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let digits = inner.get(1..).and_then(|rest| rest.find(['+', '-'])).map_or(inner.len(), |i| i + 1);
    let (ms, zone) = inner.split_at_checked(digits)?;
    let good = zone.is_empty() || (zone.len() == 5 && zone.bytes().skip(1).all(|b| b.is_ascii_digit()));
    if !good || ms.starts_with('+') {
        return None;
    }
    Timestamp::from_millisecond(ms.parse().ok()?).ok()
}

/// The calendar day that a date-only field means.
fn ms_day(text: &str) -> Option<Date> {
    ms_date(text).map(|t| t.to_zoned(TimeZone::UTC).date())
}

fn day<'de, D: Deserializer<'de>>(d: D) -> Result<Date, D::Error> {
    ms_day(&String::deserialize(d)?).ok_or_else(|| D::Error::custom("not a /Date(…)/"))
}

/// The `Status` of the envelope, which is not the HTTP status.
fn ok(op: &'static str, status: Option<&str>) -> Result<()> {
    if status == Some("OK") {
        return Ok(());
    }
    Err(Error::contract(op, "Xero's answer does not say that it succeeded (Status is not OK)"))
}

/// The one element of a list that has one.
fn one<T>(op: &'static str, items: Vec<T>) -> Result<T> {
    let mut items = items.into_iter();
    match (items.next(), items.next()) {
        (Some(item), None) => Ok(item),
        _ => Err(Error::contract(op, "Xero's answer should hold exactly one item")),
    }
}

/// Ids of Xero are compared without regard to case, as UUIDs are.
pub fn same_id(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

#[derive(Deserialize)]
struct Connection {
    #[serde(rename = "tenantId")]
    tenant: Uuid,
    #[serde(rename = "tenantType")]
    kind: String,
    #[serde(rename = "tenantName")]
    name: Option<String>,
}

/// `GET /Connections`. An organisation that several sign-ins connected comes several times, equal. `own` are tenants that
/// are the firm's own books and no client's.
pub fn connections(body: &[u8], own: &BTreeSet<Uuid>) -> Result<Vec<LedgerRow>> {
    let rows: Vec<Connection> = from_json("connections.list", body)?;
    let row = |c: Connection| LedgerRow {
        id: c.tenant.to_string().into(),
        name: c.name.filter(|n| !n.trim().is_empty()).unwrap_or_else(|| c.tenant.to_string()),
        is_ledger: c.kind == "ORGANISATION" && !own.contains(&c.tenant),
        kind: c.kind,
    };
    Ok(rows.into_iter().map(row).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Users {
    status: Option<String>,
    users: Vec<User>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct User {
    #[serde(rename = "UserID")]
    id: Uuid,
    #[serde(deserialize_with = "present")]
    email_address: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    organisation_role: String,
}

/// `GET /Users`: everybody, removed ones included.
pub fn users(ledger: &LedgerId, body: &[u8]) -> Result<Vec<AccessFact>> {
    const OP: &str = "users.list";
    let list: Users = from_json(OP, body)?;
    ok(OP, list.status.as_deref())?;
    let fact = |u: User| {
        let role = u.organisation_role;
        let name = [u.first_name, u.last_name].map(|n| n.unwrap_or_default().trim().to_owned());
        AccessFact {
            ledger: ledger.clone(),
            user: ProviderUserId(u.id.to_string()),
            email: u.email_address,
            name: name.join(" ").trim().to_owned(),
            standing: match role.as_str() {
                "REMOVED" => Standing::Removed,
                // Access of a level that the API cannot name: never "none", never "some".
                "UNKNOWN" | "" => Standing::Unknown(role.clone()),
                _ => Standing::Active,
            },
            role,
        }
    };
    Ok(list.users.into_iter().map(fact).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Organisations {
    status: Option<String>,
    organisations: Vec<Organisation>,
}

/// The network key (`APIKey`) and the tax number stand in the same object and are never read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Organisation {
    #[serde(rename = "OrganisationID")]
    id: Uuid,
    name: String,
    base_currency: Option<String>,
    country_code: Option<String>,
    financial_year_end_day: Option<i8>,
    financial_year_end_month: Option<i8>,
    period_lock_date: Option<String>,
    end_of_year_lock_date: Option<String>,
    short_code: Option<String>,
    #[serde(default)]
    is_demo_company: bool,
}

/// `GET /Organisation`. With `same` the organisation's id has to be the tenant's (P09).
pub fn organisation(ledger: &LedgerId, body: &[u8], same: bool) -> Result<LedgerProfile> {
    const OP: &str = "organisation.get";
    let answer: Organisations = from_json(OP, body)?;
    ok(OP, answer.status.as_deref())?;
    let o = one(OP, answer.organisations)?;
    if same && !same_id(&o.id.to_string(), ledger.as_str()) {
        return Err(Error::contract(OP, "Xero answered with another organisation than the one asked for")
            .with("ledger", ledger.as_str())
            .with("answered", o.id.to_string())
            .next("Nothing of this answer is used. If Xero's tenant ids are not organisation ids for you, set tenant_is_organisation = false."));
    }
    let lock = |text: Option<String>| match text {
        None => Ok(None),
        Some(t) => match ms_day(&t) {
            // .NET's "no date".
            Some(d) if d.year() <= 1 => Ok(None),
            Some(d) => Ok(Some(d)),
            None => Err(Error::contract(OP, "a lock date is not a /Date(…)/").with("ledger", ledger.as_str())),
        },
    };
    let plain = |code: &String| code.starts_with('!') && code.bytes().skip(1).all(|b| b.is_ascii_alphanumeric());
    let year_end = o.financial_year_end_month.zip(o.financial_year_end_day);
    Ok(LedgerProfile {
        name: o.name,
        currency: o.base_currency,
        country: o.country_code,
        // 29 February is a year end in a leap year only; Xero writes the day without a year.
        year_end: year_end.filter(|(m, d)| Date::new(2024, *m, *d).is_ok()),
        locked_to: lock(o.period_lock_date)?.max(lock(o.end_of_year_lock_date)?),
        link: o
            .short_code
            .filter(plain)
            .map(|c| format!("https://go.xero.com/organisationlogin/default.aspx?shortcode={c}")),
        is_demo: o.is_demo_company,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Accounts {
    /// Xero's own published example of this answer lacks it.
    status: Option<String>,
    accounts: Vec<Account>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Account {
    #[serde(rename = "AccountID")]
    id: Uuid,
    code: Option<String>,
    name: String,
    r#type: String,
    status: Option<String>,
    bank_account_number: Option<String>,
    bank_account_type: Option<String>,
    currency_code: Option<String>,
}

/// `GET /Accounts`: the bank accounts among them, whatever the filter did.
pub fn bank_accounts(op: &'static str, body: &[u8]) -> Result<Vec<LedgerAccount>> {
    let list: Accounts = from_json(op, body)?;
    if list.status.is_some() {
        ok(op, list.status.as_deref())?;
    }
    let row = |a: Account| LedgerAccount {
        id: AccountId(a.id.to_string()),
        name: a.name,
        code: filled(a.code),
        kind: match a.bank_account_type.as_deref() {
            Some("BANK" | "NONE" | "") | None => AccountKind::Bank,
            Some("CREDITCARD") => AccountKind::CreditCard,
            Some(_) => AccountKind::Other,
        },
        currency: filled(a.currency_code),
        number: filled(a.bank_account_number),
        active: a.status.is_none_or(|s| s == "ACTIVE"),
    };
    Ok(list.accounts.into_iter().filter(|a| a.r#type == "BANK").map(row).collect())
}

/// `GET /Accounts/{id}`: the one bank account that was asked for.
pub fn bank_account(id: &AccountId, body: &[u8]) -> Result<LedgerAccount> {
    const OP: &str = "account.get";
    let account = one(OP, bank_accounts(OP, body)?)?;
    if same_id(account.id.as_str(), id.as_str()) {
        return Ok(account);
    }
    Err(Error::contract(OP, "Xero answered with another account than the one asked for"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_milliseconds_and_the_suffix_is_never_added() {
        let at = |t: &str| ms_date(t).map(|d| d.to_string());
        assert_eq!(at("/Date(1518685950940+0000)/").as_deref(), Some("2018-02-15T09:12:30.94Z"));
        assert_eq!(at("/Date(1518685950940+1300)/"), at("/Date(1518685950940)/"));
        assert_eq!(at("/Date(-1000-0500)/").as_deref(), Some("1969-12-31T23:59:59Z"));
        assert_eq!(at("/Date(-62135596800000)/").as_deref(), Some("0001-01-01T00:00:00Z"));
        for junk in
            ["", "/Date()/", "/Date(+5)/", "/Date(5+00)/", "/Date(5+00x0)/", "2026-01-01", "/Date(9e99)/", "/Date(é)/"]
        {
            assert_eq!(at(junk), None, "{junk}");
        }
    }

    #[test]
    fn money_is_exact() {
        #[derive(Deserialize)]
        struct Row {
            total: Money,
        }
        let read = |t: &str| serde_json::from_str::<Row>(&format!(r#"{{"total":{t}}}"#)).map(|r| r.total.0.to_string());
        assert_eq!(read("0.1").unwrap(), "0.1");
        assert_eq!(read("123456789012345678.91").unwrap(), "123456789012345678.91");
        assert_eq!(read("\"-12.00\"").unwrap(), "-12.00");
        assert_eq!(read("1.5e3").unwrap(), "1500");
        for junk in ["null", "\"\"", "\"1,000\"", "true", "[1]"] {
            assert!(read(junk).is_err(), "{junk}");
        }
    }

    #[test]
    fn n12_a_first_cell_stays_text_and_rows_never_outgrow_the_header() {
        let body = |cells: &str| {
            format!(
                r#"{{"Status":"OK","Reports":[{{"ReportName":"X","ReportTitles":["X"],"Rows":[
                {{"RowType":"Header","Cells":[{{"Value":""}},{{"Value":"2026"}}]}},
                {{"RowType":"Section","Title":"Costs","Rows":[{{"RowType":"Row","Cells":[{cells}]}}]}}]}}]}}"#
            )
        };
        let table = report(body(r#"{"Value":"1000"},{"Value":"-0.10"}"#).as_bytes()).unwrap();
        assert_eq!(table.organisation, None);
        let cells = &table.rows[1].cells;
        assert_eq!(cells[0], ledgerward_contract::Cell::Text("1000".to_owned()));
        assert_eq!(cells[1], ledgerward_contract::Cell::Money("-0.10".parse().unwrap()));
        assert!(report(body(r#"{"Value":"a"},{"Value":"1"},{"Value":"2"}"#).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn a_date_reads_back(ms in -62_135_596_800_000_i64..253_402_300_799_999) {
            prop_assert_eq!(ms_date(&format!("/Date({ms}+0000)/")).unwrap().as_millisecond(), ms);
        }

        #[test]
        fn no_text_hurts_the_date_parser(text in "\\PC{0,30}") {
            let _ = ms_date(&text);
            let _ = ms_date(&format!("/Date({text})/"));
        }
    }
}
