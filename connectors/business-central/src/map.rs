//! Business Central's shapes as words of the contract. Pure.
//!
//! A field that decides about access or identity has no default: where it is missing, the answer is a `Contract` error
//! (P14).

use std::collections::BTreeSet;

use ledgerward_contract::{
    AccessFact, Error, ErrorKind, LedgerId, LedgerRow, Listed, ProviderUserId, Result, Standing, Timestamp,
};
use ledgerward_kit::{filled, from_json};
use serde::{Deserialize, Deserializer};

use crate::{
    EmailField,
    api::{Ledger, is_guid},
};

/// The envelope of every list.
#[derive(Deserialize)]
struct List<T> {
    value: Vec<T>,
}

#[derive(Deserialize)]
struct Link {
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

/// The address of the next page. OData documents that a page without one is the last.
pub fn next_link(op: &'static str, body: &[u8]) -> Result<Option<String>> {
    Ok(from_json::<Link>(op, body)?.next)
}

fn guid(op: &'static str, text: &str) -> Result<String> {
    if is_guid(text) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Error::contract(op, "an id of Business Central is not a GUID"))
}

/// Two lists that do not fit together.
pub fn moved(what: &str) -> Error {
    Error::contract("group_members.list", what)
}

/// A company. Permission sets name it by `name`, which people change seldom; people see `display_name`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Company {
    id: String,
    pub name: String,
    pub display_name: Option<String>,
}

/// Whether a permission set is for a company.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Here,
    /// It names a company almost as this one is called. That is another company, as far as is verified.
    Near,
    Elsewhere,
}

impl Company {
    /// Compared exactly: two companies may differ in nothing but the case of their names. Empty is every company.
    pub fn place(&self, named: &str) -> Place {
        let almost = |name: &str| name.to_lowercase() == named.to_lowercase();
        if named.is_empty() || named == self.name {
            Place::Here
        } else if almost(&self.name) || self.display_name.as_deref().is_some_and(almost) {
            Place::Near
        } else {
            Place::Elsewhere
        }
    }
}

/// `GET companies` of one environment. `own` are the firm's own.
pub fn companies(environment: &str, own: &[String], body: &[u8]) -> Result<Vec<LedgerRow>> {
    const OP: &str = "companies.list";
    let list: List<Company> = from_json(OP, body)?;
    let row = |c: Company| {
        let id = guid(OP, &c.id)?;
        Ok(LedgerRow {
            name: filled(c.display_name).unwrap_or(c.name),
            kind: "company".to_owned(),
            is_ledger: !own.iter().any(|o| o.eq_ignore_ascii_case(&id)),
            id: Ledger::id(environment, &id),
        })
    };
    list.value.into_iter().map(row).collect()
}

/// `GET companies({id})`: the one that was asked for.
pub fn company(ledger: &Ledger<'_>, body: &[u8]) -> Result<Company> {
    const OP: &str = "company.get";
    let company: Company = from_json(OP, body)?;
    if !company.id.eq_ignore_ascii_case(ledger.company) {
        return Err(Error::contract(OP, "Business Central answered with another company than the one asked for")
            .next("Nothing of this answer is used."));
    }
    // A permission set for the company "" is one for all: a company without a name would have everybody's.
    if company.name.trim().is_empty() {
        return Err(Error::contract(OP, "a company has no name"));
    }
    Ok(Company { display_name: filled(company.display_name), ..company })
}

/// A user of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: String,
    email: Option<String>,
    name: String,
    standing: Standing,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserRow {
    user_security_id: String,
    user_name: String,
    display_name: Option<String>,
    state: String,
    expiry_date: Option<Timestamp>,
    #[serde(default, deserialize_with = "seen")]
    contact_email: Option<Option<String>>,
    #[serde(default, deserialize_with = "seen")]
    authentication_email: Option<Option<String>>,
}

/// `Some(None)` for null: serde alone takes null for an absent field.
fn seen<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(d).map(Some)
}

/// `GET users`. `now` decides about those who expire.
pub fn users(email: EmailField, now: Timestamp, body: &[u8]) -> Result<Vec<User>> {
    const OP: &str = "users.list";
    let list: List<UserRow> = from_json(OP, body)?;
    let user = |u: UserRow| {
        let address = match email {
            EmailField::Contact => u.contact_email,
            EmailField::Authentication => u.authentication_email,
            EmailField::UserName => Some(Some(u.user_name.clone())),
        };
        let address =
            address.ok_or_else(|| Error::contract(OP, "a user lacks the field of the setting email_field"))?;
        // In the year 1: .NET's "no date".
        let expired = u.expiry_date.is_some_and(|d| d.as_second() > 0 && d <= now);
        Ok(User {
            id: guid(OP, &u.user_security_id)?,
            // As it is: an address that became empty is nobody's, and not the word of a user who has none.
            email: address,
            name: filled(u.display_name).unwrap_or(u.user_name),
            standing: match u.state.as_str() {
                "Enabled" if expired => Standing::Disabled,
                "Enabled" => Standing::Active,
                "Disabled" => Standing::Disabled,
                _ => Standing::Unknown(u.state),
            },
        })
    };
    list.value.into_iter().map(user).collect()
}

/// A permission set for a company, or for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    key: (String, String, String),
    pub set: String,
    pub company: String,
}

impl Listed for Grant {
    type Key = (String, String, String);
    fn key(&self) -> Self::Key {
        self.key.clone()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GrantRow {
    user_security_id: Option<String>,
    role_id: String,
    company: String,
    app_id: Option<String>,
}

fn grant(row: GrantRow) -> Result<Grant> {
    if row.role_id.trim().is_empty() {
        return Err(Error::contract("user_permissions.list", "a permission set has no name"));
    }
    let key = (row.role_id.clone(), row.company.clone(), row.app_id.unwrap_or_default());
    Ok(Grant { key, set: row.role_id, company: row.company })
}

/// `GET users({id})/userPermissions`: of the user who was asked for.
pub fn user_grants(user: &str, body: &[u8]) -> Result<Vec<Grant>> {
    const OP: &str = "user_permissions.list";
    let list: List<GrantRow> = from_json(OP, body)?;
    let one = |row: GrantRow| {
        if row.user_security_id.as_deref().is_some_and(|id| !id.eq_ignore_ascii_case(user)) {
            return Err(Error::contract(OP, "a permission set belongs to another user than the one asked for"));
        }
        grant(row)
    };
    list.value.into_iter().map(one).collect()
}

/// A group, with the word by which memberships name it. The id of a user group is a GUID, that of a security group is
/// Entra's, kept as a text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Group {
    pub id: String,
    pub code: String,
}

impl Listed for Group {
    type Key = String;
    fn key(&self) -> String {
        self.id.clone()
    }
}

/// `GET securityGroups`, or `userGroups`.
pub fn groups(old: bool, body: &[u8]) -> Result<Vec<Group>> {
    const OP: &str = "groups.list";
    let list: List<Group> = from_json(OP, body)?;
    let group = |g: Group| match old {
        true => Ok(Group { id: guid(OP, &g.id)?, code: g.code }),
        false if g.id.trim().is_empty() => Err(Error::contract(OP, "a security group has no id")),
        false => Ok(g),
    };
    list.value.into_iter().map(group).collect()
}

/// A security group without a member. Business Central asks Entra for the members at that moment, leaves out the groups for
/// which it got no answer, and does not say so: an empty group is more often half an answer than a group of nobody (P02).
pub fn empty(group: &Group) -> Error {
    let code: String = group.code.chars().filter(|c| !c.is_control()).collect();
    let what = format!(
        "the security group {code} has no members, as it looks where Microsoft Entra did not answer Business Central; if it is \
         really empty, give it a member or take it out of Business Central"
    );
    Error::new(ErrorKind::Unavailable, "group_members.list", what)
}

/// That a user is in a group, for one company or for all (empty).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub group: String,
    pub user: String,
    pub company: String,
}

impl Listed for Member {
    type Key = (String, String, String);
    fn key(&self) -> Self::Key {
        (self.group.clone(), self.user.clone(), self.company.clone())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MemberRow {
    security_group_code: String,
    user_security_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldMemberRow {
    code: String,
    user_security_id: String,
    company_name: String,
}

/// `GET securityGroupMembers`, or `userGroupMembers`, of which each is for one company or for all.
pub fn members(old: bool, body: &[u8]) -> Result<Vec<Member>> {
    const OP: &str = "group_members.list";
    if old {
        let one = |m: OldMemberRow| {
            Ok(Member { group: m.code, user: guid(OP, &m.user_security_id)?, company: m.company_name })
        };
        return from_json::<List<OldMemberRow>>(OP, body)?.value.into_iter().map(one).collect();
    }
    let one = |m: MemberRow| {
        let (group, user) = (m.security_group_code, guid(OP, &m.user_security_id)?);
        Ok(Member { group, user, company: String::new() })
    };
    from_json::<List<MemberRow>>(OP, body)?.value.into_iter().map(one).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldGrantRow {
    role_id: String,
    app_id: Option<String>,
}

/// The permission sets of a group. Those of an old group name no company.
pub fn group_grants(old: bool, body: &[u8]) -> Result<Vec<Grant>> {
    const OP: &str = "group_permissions.list";
    if old {
        let list: List<OldGrantRow> = from_json(OP, body)?;
        let row = |g: OldGrantRow| GrantRow {
            user_security_id: None,
            role_id: g.role_id,
            company: String::new(),
            app_id: g.app_id,
        };
        return list.value.into_iter().map(|g| grant(row(g))).collect();
    }
    from_json::<List<GrantRow>>(OP, body)?.value.into_iter().map(grant).collect()
}

/// The permission sets of a user that count in one company.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub sets: BTreeSet<String>,
    /// There is one for a company that is called almost so.
    pub near: bool,
}

impl Held {
    pub fn add(&mut self, set: &str, place: Place) {
        match place {
            Place::Here => drop(self.sets.insert(set.to_owned())),
            Place::Near => self.near = true,
            Place::Elsewhere => {}
        }
    }

    pub fn extend(&mut self, other: &Self) {
        self.sets.extend(other.sets.iter().cloned());
        self.near |= other.near;
    }
}

/// What becomes of an active user without a permission set for the company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    /// Not in the company's list.
    LeftOut,
    /// In it, as somebody whose access was taken away.
    Removed,
}

/// A user of the environment as somebody who may open this company, or `None`: nothing that the vendor says of the user is
/// about it.
///
/// The role is the first of the `decisive` sets that the user has here, else all of them, in the order of the alphabet.
pub fn fact(ledger: &LedgerId, user: User, held: &Held, decisive: &[String], bare: Bare) -> Option<AccessFact> {
    let sets = &held.sets;
    let standing = match (&user.standing, sets.is_empty()) {
        // That a set names a company to the letter is not verified, and nobody is taken out by what is not.
        (Standing::Active, true) if bare == Bare::LeftOut || held.near => return None,
        (Standing::Active, true) => Standing::Removed,
        _ => user.standing,
    };
    let role = decisive.iter().find(|d| sets.contains(*d)).cloned();
    let role = role.unwrap_or_else(|| sets.iter().cloned().collect::<Vec<_>>().join(" + "));
    Some(AccessFact {
        ledger: ledger.clone(),
        user: ProviderUserId(user.id),
        email: user.email,
        name: user.name,
        role,
        standing,
    })
}
