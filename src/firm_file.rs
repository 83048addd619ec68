//! `firm export | apply FILE`: people, clients, groups, roles and selections as one TOML file, so that a firm may keep them in
//! git.
//!
//! A file says what must be; what it leaves out stays, be it a person, a key or an item of a list. With `prune` the people,
//! clients, groups, roles, selections, sources and aliases it leaves out end. Private clients, proposals and secrets are never
//! in it. The one exception is a role: an `[[office]]` says all of what it may, because a permission that nobody wrote down
//! must not stay.
//!
//! [`parse`] gives every problem at its line, and a file with a problem is refused whole. [`diff`] turns a file into
//! [`ChangeOp`]s, which obey the same rules as the commands and show their plan first.

mod diff;
mod export;
mod parse;

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ConnectionName, Date, Email, SourceRef};

pub use self::{diff::diff, export::export, parse::parse};
use crate::domain::{
    firm::{AccountRef, Authority, ClientState, Mode, Office, TargetName, Unlisted},
    office::CustomOffice,
};

/// The names that a file may use, from the configuration.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub connections: BTreeSet<ConnectionName>,
    pub targets: BTreeSet<TargetName>,
}

/// A checked file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirmFile {
    pub people: Vec<PersonRow>,
    pub clients: Vec<ClientRow>,
    pub groups: Vec<GroupRow>,
    pub offices: Vec<OfficeRow>,
    pub selections: Vec<SelectionRow>,
}

/// One `[[person]]`, known by the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonRow {
    pub email: Email,
    pub first: Option<String>,
    pub last: Option<String>,
    pub office: Option<Office>,
    pub mode: Option<Mode>,
    pub enabled: Option<bool>,
    pub domain_accepted: Option<bool>,
    pub aliases: BTreeMap<ConnectionName, BTreeSet<Email>>,
    pub addresses: BTreeMap<TargetName, Email>,
}

/// One `[[client]]`, known by the slug. In the double options, `Some(None)` is written as `"all"` or `"default"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRow {
    pub slug: String,
    pub name: Option<String>,
    pub state: Option<ClientState>,
    pub sources: BTreeSet<SourceRef>,
    pub authority: Option<Authority>,
    pub unlisted: Option<Option<Unlisted>>,
    pub targets: Option<Option<BTreeSet<TargetName>>>,
    pub accounts: Option<Option<BTreeSet<AccountRef>>>,
    pub year_end: Option<(i8, i8)>,
    pub since: Option<Date>,
}

/// One `[[group]]` of clients, known by the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    pub name: String,
    /// By slug.
    pub clients: BTreeSet<String>,
    pub connections: BTreeSet<ConnectionName>,
}

/// One `[[office]]`: a role of the firm's own, known by the name, and all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfficeRow {
    pub name: String,
    pub office: CustomOffice,
}

/// One `[[selection]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectionRow {
    pub person: Email,
    pub client: String,
    /// `None`: the whole client.
    pub accounts: Option<BTreeSet<AccountRef>>,
    pub when_granted: bool,
}

#[cfg(test)]
mod tests;
