//! FreeAgent's shapes as words of the contract. Pure.
//!
//! A field that decides about access or identity has no default: where it is missing, the answer is a `Contract` error
//! (P14). Money is read from the text of the number, never through a binary floating point number.

mod bank;
mod report;

use jiff::civil::Date;
use ledgerward_contract::{
    AccessFact, Decimal, Error, LedgerId, LedgerProfile, LedgerRow, Listed, ProviderUserId, Result, Standing,
};
use ledgerward_kit::{filled, from_json, present};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;

pub use self::{
    bank::{Line, bank_account, bank_accounts, register, transactions},
    report::report,
};
use crate::api::{Api, ledger_id, subdomain};

/// An exact number, from a JSON number or a number in a string. FreeAgent writes both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money(pub Decimal);

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(d)?;
        let text = raw.get().trim_matches('"');
        let exact = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
        exact.map(Self).map_err(|_| D::Error::custom("not an amount of money"))
    }
}

/// A word of the vendor's that it writes as a number or as text: `8`, `"8"`. Unchanged, whatever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word(String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(i64),
            Text(String),
        }
        match Either::deserialize(d)? {
            Either::Number(n) => Ok(Self(n.to_string())),
            Either::Text(t) if !t.trim().is_empty() => Ok(Self(t)),
            Either::Text(_) => Err(D::Error::custom("empty")),
        }
    }
}

#[derive(Deserialize)]
struct Me {
    account_manager: Manager,
}

#[derive(Deserialize)]
struct Managers {
    account_managers: Vec<Manager>,
}

#[derive(Deserialize)]
struct Manager {
    url: String,
    email: Option<String>,
}

impl Manager {
    fn id(&self, api: &Api, op: &'static str) -> Result<String> {
        api.id_of(op, "account_managers", &self.url)
    }
}

/// `GET /account_managers/me`: the id and the address of who signed in.
pub fn me(api: &Api, body: &[u8]) -> Result<(String, Option<String>)> {
    const OP: &str = "account_manager.get";
    let me = from_json::<Me>(OP, body)?.account_manager;
    Ok((me.id(api, OP)?, filled(me.email)))
}

/// `GET /account_managers`: their ids.
pub fn account_managers(api: &Api, body: &[u8]) -> Result<Vec<String>> {
    const OP: &str = "account_managers.list";
    let list: Managers = from_json(OP, body)?;
    list.account_managers.iter().map(|m| m.id(api, OP)).collect()
}

/// A client of the practice and who is responsible for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRow {
    pub row: LedgerRow,
    /// The account manager's id. None where FreeAgent names none.
    pub account_manager: Option<String>,
}

impl Listed for ClientRow {
    type Key = LedgerId;
    fn key(&self) -> LedgerId {
        self.row.id.clone()
    }
}

#[derive(Deserialize)]
struct Clients {
    clients: Vec<Client>,
}

#[derive(Deserialize)]
struct Client {
    id: Option<Word>,
    url: Option<String>,
    name: Option<String>,
    subdomain: String,
    /// Absent is as good as null: it shows nothing about who may see whose clients.
    account_manager: Option<String>,
}

/// `GET /clients`.
pub fn clients(api: &Api, body: &[u8]) -> Result<Vec<ClientRow>> {
    const OP: &str = "clients.list";
    let list: Clients = from_json(OP, body)?;
    let row = |c: Client| {
        let named = c.url.map(|u| api.id_of(OP, "clients", &u)).transpose()?;
        let id = match (c.id.map(|w| w.0), named) {
            (Some(a), Some(b)) if a != b => {
                return Err(Error::contract(OP, "a client has one number as its id and another in its address"));
            }
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => return Err(Error::contract(OP, "a client has neither id nor address")),
        };
        let manager = filled(c.account_manager).map(|u| api.id_of(OP, "account_managers", &u)).transpose()?;
        let id = ledger_id(OP, &id, &c.subdomain)?;
        let name = filled(c.name).unwrap_or(c.subdomain);
        Ok(ClientRow {
            row: LedgerRow { id, name, kind: "client".to_owned(), is_ledger: true },
            account_manager: manager,
        })
    };
    list.clients.into_iter().map(row).collect()
}

#[derive(Deserialize)]
struct Users {
    users: Vec<User>,
}

/// Insurance and tax numbers and the payroll stand in the same object and are never read.
#[derive(Deserialize)]
struct User {
    url: String,
    #[serde(deserialize_with = "present")]
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    permission_level: Word,
}

/// `GET /users` of one client: everybody, those without access included.
pub fn users(api: &Api, ledger: &LedgerId, body: &[u8]) -> Result<Vec<AccessFact>> {
    const OP: &str = "users.list";
    let list: Users = from_json(OP, body)?;
    let fact = |u: User| {
        let name = [u.first_name, u.last_name].map(|n| n.unwrap_or_default().trim().to_owned());
        Ok(AccessFact {
            ledger: ledger.clone(),
            user: ProviderUserId(api.id_of(OP, "users", &u.url)?),
            email: u.email,
            name: name.join(" ").trim().to_owned(),
            // Level 0 is "No Access": the vendor's own denial, whatever a role table says.
            standing: if u.permission_level.0 == "0" { Standing::Disabled } else { Standing::Active },
            role: u.permission_level.0,
        })
    };
    list.users.into_iter().map(fact).collect()
}

#[derive(Deserialize)]
struct CompanyAnswer {
    company: Company,
}

#[derive(Deserialize)]
struct Company {
    name: String,
    subdomain: String,
    currency: Option<String>,
    country: Option<String>,
    first_accounting_year_end: Option<Date>,
}

/// `GET /company` of one client. The company's subdomain has to be the one that was asked for (P09).
pub fn company(ledger: &LedgerId, body: &[u8]) -> Result<LedgerProfile> {
    const OP: &str = "company.get";
    let company = from_json::<CompanyAnswer>(OP, body)?.company;
    if !company.subdomain.eq_ignore_ascii_case(subdomain(OP, ledger)?) {
        return Err(Error::contract(OP, "FreeAgent answered with another company than the one asked for")
            .with("ledger", ledger.as_str())
            .next("Nothing of this answer is used. If it happens again, read the list of clients again."));
    }
    Ok(LedgerProfile {
        name: company.name,
        currency: filled(company.currency),
        country: filled(company.country),
        year_end: company.first_accounting_year_end.map(|d| (d.month(), d.day())),
        locked_to: None,
        link: None,
        is_demo: false,
    })
}
