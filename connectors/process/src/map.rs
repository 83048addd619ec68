//! A program's answers into the contract's words. Fields that decide access have no default.

use ledgerward_contract::{
    AccessFact, Assignment, ClientRow, Cursor, Error, LedgerId, LedgerProfile, LedgerRow, Page, Result, Standing,
};
use ledgerward_kit::present;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::shape;

/// `next` must be there: null says that this was the last page, and a program that forgets it has said nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Items<T> {
    items: Vec<T>,
    #[serde(deserialize_with = "present")]
    next: Option<String>,
    #[serde(default)]
    total: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ledger {
    id: String,
    name: String,
    #[serde(default)]
    kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    id: String,
    #[serde(default)]
    email: Option<String>,
    name: String,
    role: String,
    standing: String,
    /// Of a client's people: the id is one person's, whatever is not known of them.
    #[serde(default)]
    one_person: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    name: String,
    #[serde(default)]
    currency: Option<String>,
    #[serde(default)]
    country: Option<String>,
    /// `MM-DD`.
    #[serde(default)]
    year_end: Option<String>,
    #[serde(default)]
    link: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Client {
    id: String,
    name: String,
    #[serde(default)]
    number: Option<String>,
    active: bool,
    people: Vec<User>,
    #[serde(default)]
    ledgers: Vec<String>,
}

fn read<T: DeserializeOwned>(op: &'static str, value: &Value) -> Result<T> {
    shape::read(op, "the program's answer is not what the protocol says", "$", value)
        .map_err(|e| e.next("Run: ledgerward connector check PROGRAM"))
}

fn page<A: DeserializeOwned, B>(op: &'static str, value: &Value, each: impl Fn(A) -> Result<B>) -> Result<Page<B>> {
    let Items { items, next, total } = read::<Items<A>>(op, value)?;
    Ok(Page { items: items.into_iter().map(each).collect::<Result<_>>()?, next: next.map(Cursor::At), total })
}

/// An id stands in addresses, keys and messages.
fn id(op: &'static str, id: String) -> Result<String> {
    let ok = !id.is_empty() && id.len() <= 200 && !id.chars().any(char::is_control) && id.trim() == id;
    if ok { Ok(id) } else { Err(Error::contract(op, "an id is empty, too long or holds control characters")) }
}

fn standing(word: &str) -> Standing {
    match word {
        "active" => Standing::Active,
        "pending" => Standing::Pending,
        "disabled" => Standing::Disabled,
        "removed" => Standing::Removed,
        other => Standing::Unknown(other.chars().take(40).collect()),
    }
}

pub fn ledgers(value: &Value) -> Result<Page<LedgerRow>> {
    const OP: &str = "ledgers.list";
    page(OP, value, |l: Ledger| {
        let kind = l.kind.unwrap_or_else(|| "ledger".to_owned());
        Ok(LedgerRow { id: id(OP, l.id)?.into(), name: l.name, kind, is_ledger: true })
    })
}

pub fn access(ledger: &LedgerId, value: &Value) -> Result<Page<AccessFact>> {
    const OP: &str = "users.list";
    page(OP, value, |u: User| {
        Ok(AccessFact {
            ledger: ledger.clone(),
            user: id(OP, u.id)?.into(),
            email: u.email,
            name: u.name,
            role: u.role,
            standing: standing(&u.standing),
        })
    })
}

pub fn profile(value: &Value) -> Result<LedgerProfile> {
    const OP: &str = "profile.get";
    let p: Profile = read(OP, value)?;
    let day = |text: &str| {
        let (month, day) = text.split_once('-')?;
        let (month, day) = (month.parse::<i8>().ok()?, day.parse::<i8>().ok()?);
        ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some((month, day))
    };
    let year_end = match &p.year_end {
        None => None,
        Some(text) => Some(day(text).ok_or_else(|| Error::contract(OP, "year_end is not MM-DD"))?),
    };
    Ok(LedgerProfile {
        name: p.name,
        currency: p.currency,
        country: p.country,
        year_end,
        link: p.link,
        ..LedgerProfile::default()
    })
}

pub fn clients(value: &Value) -> Result<Page<ClientRow>> {
    const OP: &str = "clients.list";
    page(OP, value, |c: Client| {
        let person = |u: User| {
            let standing = standing(&u.standing);
            // It may be a team, and then anybody.
            let opaque = u.email.is_none() && matches!(standing, Standing::Unknown(_)) && !u.one_person;
            Ok(Assignment { user: id(OP, u.id)?.into(), email: u.email, name: u.name, role: u.role, standing, opaque })
        };
        Ok(ClientRow {
            id: id(OP, c.id)?,
            name: c.name,
            number: c.number,
            active: c.active,
            people: c.people.into_iter().map(person).collect::<Result<_>>()?,
            ledgers: c.ledgers,
            groups: Vec::new(),
        })
    })
}

#[cfg(test)]
mod tests {
    use ledgerward_contract::ErrorKind;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_without_next_is_no_last_page() {
        for wrong in [
            json!({"items": []}),
            json!({"items": [], "next": 7}),
            json!({"next": null}),
            json!({"items": [{"id": "1", "name": "A"}], "next": null, "more": true}),
            json!([]),
            json!(null),
        ] {
            assert_eq!(ledgers(&wrong).unwrap_err().kind, ErrorKind::Contract, "{wrong}");
        }
        let page = ledgers(&json!({"items": [{"id": "1", "name": "A"}], "next": "p2"})).unwrap();
        assert_eq!((page.items.len(), page.next), (1, Some(Cursor::At("p2".into()))));
    }

    #[test]
    fn p14_a_standing_that_we_do_not_know_is_unknown() {
        let user = |standing: &str| json!({"items": [{"id": "u", "email": "a@firm.example", "name": "A", "role": "reader", "standing": standing}], "next": null});
        let one = |s| access(&"l".into(), &user(s)).unwrap().items.remove(0).standing;
        assert_eq!(one("active"), Standing::Active);
        assert_eq!(one("Active"), Standing::Unknown("Active".into()));
        let without = json!({"items": [{"id": "u", "name": "A", "role": "reader"}], "next": null});
        let e = access(&"l".into(), &without).unwrap_err();
        assert_eq!((e.kind, e.get("field")), (ErrorKind::Contract, Some("$.items[0].standing")));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_without_a_value() {
        let user = |field: &str, value: Value| {
            let mut user = json!({"id": "u", "email": null, "name": "A", "role": "reader", "standing": "active"});
            user[field] = value;
            json!({"items": [user], "next": null})
        };
        for (said, field, wrong) in [
            (user("id", json!(71)), "$.items[0].id", "it has to be a string"),
            (user("name", json!("canary")), "", ""),
            (user("role", json!(["canary, expected a canary"])), "$.items[0].role", "it has to be a string"),
            (user("level", json!("canary")), "$.items[0].level", "the protocol does not have it"),
            (user("canary@client.example", json!(1)), "$.items[0].?", "the protocol does not have it"),
            (json!({"items": {}, "next": null}), "$.items", "it has to be a sequence"),
            (json!({"items": []}), "$.next", "it is missing"),
        ] {
            let Err(e) = access(&"l".into(), &said) else {
                assert!(field.is_empty(), "{said}");
                continue;
            };
            assert_eq!((e.get("field"), e.get("wrong")), (Some(field), Some(wrong)), "{said}");
            assert!(!format!("{e:?}").contains("canary"), "{e:?}");
        }
    }
}
