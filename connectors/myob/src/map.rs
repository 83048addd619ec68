//! MYOB's shapes as words of the contract. Pure.
//!
//! A field that decides about access or identity has no default: where it is missing, the answer is a `Contract` error
//! (P14). Money is read from the text of the number, never through a binary floating point number.

mod books;

use std::collections::BTreeSet;

use ledgerward_contract::{
    AccessFact, Error, LedgerId, LedgerProfile, LedgerRow, Listed, ProviderUserId, Result, Standing,
};
use ledgerward_kit::{from_json, present};
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;
use uuid::Uuid;

pub use self::books::{
    Account, BankAccount, Line, Report, Span, account, accounts, bank_account_of, register, table, trial_balance,
};

/// MYOB's envelope around a list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Items<T> {
    pub items: Vec<T>,
    #[serde(deserialize_with = "present")]
    pub next_page_link: Option<String>,
    count: Option<u64>,
}

/// One page of a list, which began after `skip` items.
///
/// Errors: `Contract` where MYOB counts something else than it listed. Whether `Count` counts the list or the page is not
/// documented, so the last page must fit one of the two.
pub fn page<T: DeserializeOwned>(op: &'static str, skip: u64, body: &[u8]) -> Result<Items<T>> {
    let page: Items<T> = from_json(op, body)?;
    let here = page.items.len() as u64;
    let fits = |count: u64| count == here || count == here + skip;
    if page.next_page_link.is_none() && !page.count.is_none_or(fits) {
        return Err(Error::contract(op, "MYOB's list ended before all that it counts was listed"));
    }
    Ok(page)
}

/// Whether an address that MYOB gives lies in this company file (P09).
pub fn in_file(ledger: &LedgerId, uri: &str) -> bool {
    let wanted = format!("/accountright/{ledger}/").to_ascii_lowercase();
    format!("{}/", Url::parse(uri).map_or_else(|_| uri.to_owned(), |u| u.path().to_owned()))
        .to_ascii_lowercase()
        .contains(&wanted)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FileAnswer {
    company_file: CompanyFile,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CompanyFile {
    id: Uuid,
    name: String,
    country: Option<String>,
    product_level: Option<ProductLevel>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProductLevel {
    name: Option<String>,
}

fn file(op: &'static str, ledger: &LedgerId, body: &[u8]) -> Result<CompanyFile> {
    let file = from_json::<FileAnswer>(op, body)?.company_file;
    if file.id.to_string().eq_ignore_ascii_case(ledger.as_str()) {
        return Ok(file);
    }
    Err(Error::contract(op, "MYOB answered with another company file than the one asked for")
        .with("ledger", ledger.as_str())
        .with("answered", file.id.to_string()))
}

/// `GET {file}`: the one ledger of a sign-in. `own` are files that are the firm's own books and no client's.
pub fn ledger(op: &'static str, ledger: &LedgerId, own: &BTreeSet<Uuid>, body: &[u8]) -> Result<LedgerRow> {
    let file = file(op, ledger, body)?;
    Ok(LedgerRow {
        id: ledger.clone(),
        name: Some(file.name).filter(|n| !n.trim().is_empty()).unwrap_or_else(|| ledger.to_string()),
        kind: file.product_level.and_then(|l| l.name).unwrap_or_default(),
        is_ledger: !own.contains(&file.id),
    })
}

/// `GET {file}`: what it says of itself. Currency, financial year and lock date are not in it.
pub fn profile(op: &'static str, ledger: &LedgerId, body: &[u8]) -> Result<LedgerProfile> {
    let file = file(op, ledger, body)?;
    Ok(LedgerProfile { name: file.name, country: file.country.filter(|c| !c.is_empty()), ..LedgerProfile::default() })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CurrentUser {
    user_access: Vec<UserAccess>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UserAccess {
    resource_path: String,
    access: Vec<String>,
}

/// `GET {file}/CurrentUser`: those of `wanted` that MYOB lists as not readable by the user who signed in. What it does not
/// list at all is not among them: whether reports are listed is not documented, and asking for them will tell.
pub fn not_readable<'a>(ledger: &LedgerId, wanted: &[&'a str], body: &[u8]) -> Result<Vec<&'a str>> {
    const OP: &str = "current_user.get";
    let rights: CurrentUser = from_json(OP, body)?;
    if !rights.user_access.iter().all(|r| in_file(ledger, &r.resource_path)) {
        return Err(
            Error::contract(OP, "MYOB answered with rights in another company file").with("ledger", ledger.as_str())
        );
    }
    let denied = |resource: &&&str| {
        let end = format!("/{resource}/").to_ascii_lowercase();
        let is_it = |r: &&UserAccess| {
            format!("{}/", r.resource_path.trim_end_matches('/')).to_ascii_lowercase().ends_with(&end)
        };
        rights.user_access.iter().find(is_it).is_some_and(|r| !r.access.iter().any(|a| a == "GET"))
    };
    Ok(wanted.iter().filter(denied).copied().collect())
}

/// A user of `GET {file}/Security/User`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct User {
    #[serde(rename = "UID")]
    id: Uuid,
    name: Option<String>,
    /// The my.MYOB login. Null for a user that exists inside the file only.
    #[serde(rename = "MYDOTIdentity", deserialize_with = "present")]
    identity: Option<String>,
    roles: Vec<Role>,
    is_active: bool,
    #[serde(default)]
    is_advisor: bool,
    is_online_administrator: Option<bool>,
    #[serde(rename = "URI")]
    uri: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Role {
    name: String,
}

/// What a user without a named role is, by MYOB's own field names.
pub const ONLINE_ADMINISTRATOR: &str = "IsOnlineAdministrator";
pub const ADVISOR: &str = "IsAdvisor";

/// One user of the file's own list: the address that MYOB gives them, where it does, lies in the file that was asked for
/// (P09). Several roles are one word, in the order of the alphabet: which of them counts is the firm's role table's business.
pub fn user(ledger: &LedgerId, user: User) -> Result<AccessFact> {
    if user.uri.as_deref().is_some_and(|uri| !in_file(ledger, uri)) {
        return Err(Error::contract("users.list", "MYOB answered with the users of another company file")
            .with("ledger", ledger.as_str()));
    }
    let mut roles: BTreeSet<String> = user.roles.into_iter().map(|r| r.name).filter(|n| !n.trim().is_empty()).collect();
    if roles.is_empty() {
        let administrator = user.is_online_administrator == Some(true);
        roles.extend(administrator.then(|| ONLINE_ADMINISTRATOR.to_owned()));
        roles.extend((user.is_advisor && !administrator).then(|| ADVISOR.to_owned()));
    }
    let role = roles.into_iter().collect::<Vec<_>>().join(" + ");
    Ok(AccessFact {
        ledger: ledger.clone(),
        user: ProviderUserId(user.id.to_string()),
        email: user.identity,
        name: user.name.unwrap_or_default(),
        standing: match (user.is_active, role.is_empty()) {
            (false, _) => Standing::Disabled,
            (true, true) => Standing::Unknown("no role".to_owned()),
            (true, false) => Standing::Active,
        },
        role,
    })
}

/// What a list lists, before it is mapped.
impl Listed for Account {
    type Key = Uuid;
    fn key(&self) -> Uuid {
        self.id
    }
}

impl Listed for Line {
    type Key = Uuid;
    fn key(&self) -> Uuid {
        self.id
    }
}
