//! Zoho's shapes as words of the contract. Pure.
//!
//! A field that decides about access or identity has no default: where it is missing, the answer is a `Contract` error.

use std::collections::BTreeSet;

use ledgerward_contract::{
    AccessFact, Cursor, Error, LedgerId, LedgerProfile, LedgerRow, Page, ProviderUserId, Result, Standing,
};
use ledgerward_kit::{filled, from_json, present};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

/// An id: digits, written as text or, in some answers, as a number.
struct Id(String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(d)? {
            Value::String(s) => s,
            Value::Number(n) => n.to_string(),
            _ => String::new(),
        };
        let digits = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        digits.then_some(Self(text)).ok_or_else(|| D::Error::custom("not an id"))
    }
}

#[derive(Deserialize)]
struct Organisations {
    organizations: Vec<Organisation>,
}

#[derive(Deserialize)]
struct Organisation {
    organization_id: Id,
    name: String,
    currency_code: Option<String>,
    country: Option<String>,
    fiscal_year_start_month: Option<Value>,
    is_org_active: Option<bool>,
}

/// `GET /organizations`. `own` are the firm's own books, and no client's.
pub fn organisations(op: &'static str, body: &[u8], own: &BTreeSet<String>) -> Result<Vec<LedgerRow>> {
    let list: Organisations = from_json(op, body)?;
    let row = |o: Organisation| LedgerRow {
        is_ledger: !own.contains(&o.organization_id.0),
        id: o.organization_id.0.into(),
        name: o.name,
        kind: if o.is_org_active == Some(false) { "inactive organization" } else { "organization" }.to_owned(),
    };
    Ok(list.organizations.into_iter().map(row).collect())
}

#[derive(Deserialize)]
struct One {
    organization: Organisation,
}

/// `GET /organizations/{id}`. The answer has to be about the one asked for (P09).
pub fn organisation(op: &'static str, ledger: &LedgerId, body: &[u8]) -> Result<LedgerProfile> {
    let One { organization: o } = from_json(op, body)?;
    if o.organization_id.0 != ledger.as_str() {
        return Err(Error::contract(op, "Zoho answered with another organisation than the one asked for")
            .with("answered", o.organization_id.0));
    }
    Ok(LedgerProfile {
        name: o.name,
        currency: filled(o.currency_code),
        country: filled(o.country),
        year_end: o.fiscal_year_start_month.as_ref().and_then(Value::as_str).and_then(year_end),
        locked_to: None,
        link: None,
        is_demo: false,
    })
}

/// The last day before the month in which the year begins. Zoho writes the month as a word here and as a number in
/// lists; from which month it counts there is not documented, so a number says nothing.
fn year_end(start: &str) -> Option<(i8, i8)> {
    const MONTHS: [(&str, i8); 12] = [
        ("january", 31),
        ("february", 28),
        ("march", 31),
        ("april", 30),
        ("may", 31),
        ("june", 30),
        ("july", 31),
        ("august", 31),
        ("september", 30),
        ("october", 31),
        ("november", 30),
        ("december", 31),
    ];
    let start = MONTHS.iter().position(|(name, _)| name.eq_ignore_ascii_case(start.trim()))?;
    let last = (start + 11) % 12;
    Some((i8::try_from(last + 1).ok()?, MONTHS.get(last)?.1))
}

#[derive(Deserialize)]
struct Users {
    users: Vec<User>,
    page_context: PageContext,
}

#[derive(Deserialize)]
struct PageContext {
    page: u32,
    has_more_page: bool,
}

#[derive(Deserialize)]
struct User {
    user_id: Id,
    #[serde(deserialize_with = "present")]
    email: Option<String>,
    name: Option<String>,
    user_role: String,
    status: String,
}

/// One page of `GET /users`, which has to be the page asked for.
pub fn users(op: &'static str, ledger: &LedgerId, page: u32, body: &[u8]) -> Result<Page<AccessFact>> {
    let list: Users = from_json(op, body)?;
    if list.page_context.page != page {
        return Err(Error::contract(op, "Zoho answered with another page than the one asked for"));
    }
    if list.users.is_empty() && list.page_context.has_more_page {
        return Err(Error::contract(op, "Zoho gave an empty page and says that there are more"));
    }
    let next = match (list.page_context.has_more_page, page.checked_add(1)) {
        (true, Some(next)) => Some(Cursor::At(next.to_string())),
        (true, None) => return Err(Error::contract(op, "the list of users does not end")),
        (false, _) => None,
    };
    let fact = |u: User| AccessFact {
        ledger: ledger.clone(),
        user: ProviderUserId(u.user_id.0),
        email: u.email,
        name: u.name.unwrap_or_default().trim().to_owned(),
        role: u.user_role,
        standing: match u.status.to_ascii_lowercase().as_str() {
            "active" => Standing::Active,
            "invited" => Standing::Pending,
            "inactive" => Standing::Disabled,
            "deleted" => Standing::Removed,
            _ => Standing::Unknown(u.status),
        },
    };
    Ok(Page { items: list.users.into_iter().map(fact).collect(), next, total: None })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_year_ends_before_it_begins() {
        for (start, end) in
            [("january", Some((12, 31))), ("April", Some((3, 31))), ("march", Some((2, 28))), ("4", None), ("", None)]
        {
            assert_eq!(year_end(start), end, "{start}");
        }
    }

    #[test]
    fn ids_are_digits_however_written() {
        let id = |t: &str| serde_json::from_str::<Id>(t).map(|i| i.0).ok();
        assert_eq!(id("\"460000000000097\"").as_deref(), Some("460000000000097"));
        assert_eq!(id("460000000000097").as_deref(), Some("460000000000097"));
        for junk in ["null", "\"\"", "-1", "1.5", "\"a\"", "[]", "true"] {
            assert_eq!(id(junk), None, "{junk}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_error_or_a_value(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = users("x.y", &"1".into(), 1, &body);
            let _ = organisations("x.y", &body, &BTreeSet::new());
        }
    }
}
