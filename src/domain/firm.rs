//! The firm: people, clients, selections and the policy, as the store keeps them and the commands change them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use ledgerward_contract::{
    AccountId, ClientId, ConnectionName, Date, Email, FolderRole, Holder, LedgerId, ProviderUserId, RoleTable,
    SourceRef, Timestamp,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::office::{CustomOffice, Group, Permission, Powers};

/// Our own id of a person: UUIDv7, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonId(pub Uuid);

/// The firm's name for a target: the `drive` of `[targets.drive]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TargetName(pub String);

impl std::fmt::Display for TargetName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that commands and `firm apply` change. What a run reads from vendors is not in here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firm {
    pub name: String,
    /// Of the configuration alone; UTC where there is none.
    pub zone: Zone,
    /// The firm's own mail domains, as A-labels. Addresses elsewhere are held per person until lifted once (`decisions` 4).
    pub domains: BTreeSet<String>,
    pub people: BTreeMap<PersonId, Person>,
    pub clients: BTreeMap<ClientId, Client>,
    pub selections: BTreeMap<(PersonId, ClientId), Selection>,
    pub guests: Vec<Guest>,
    /// A provider's immutable user id, bound to a person the first time an address matched (`decisions` 3).
    pub pins: BTreeMap<Pin, PersonId>,
    pub policy: Policy,
    /// What each connection's roles give; the manifest's table where the firm said nothing.
    pub roles: BTreeMap<ConnectionName, RoleTable>,
    /// Named sets of clients, by name.
    pub groups: BTreeMap<String, Group>,
    /// The firm's own roles for people, by name: the `NAME` of [`Office::Custom`].
    pub offices: BTreeMap<String, CustomOffice>,
}

impl Firm {
    /// Whether a person keeps private books here now: open, and in a role that may. Asked of the firm and never of the books
    /// alone, because what somebody gave holds only for as long as they are one who may give it.
    pub fn keeps_private(&self, person: PersonId) -> bool {
        let may = |p: &&Person| Powers::of(&p.office, &self.offices).has(Permission::Private);
        self.people.get(&person).filter(|p| !p.shut()).filter(may).is_some()
    }

    /// Whether a private client is shared anywhere by its person, who keeps it still. No targets, and every target, are both
    /// no share.
    pub fn shared(&self, client: &Client) -> bool {
        let named = client.targets.as_ref().is_some_and(|t| !t.is_empty());
        named && client.private_to.is_some_and(|owner| self.keeps_private(owner))
    }

    /// What anybody may be told of a client: its short name, or whose private books it is.
    pub fn open_name(&self, client: &Client) -> String {
        match client.private_to {
            None => client.slug.clone(),
            Some(owner) => match self.people.get(&owner) {
                Some(owner) => format!("private books of {}", owner.email),
                None => "private books".to_owned(),
            },
        }
    }

    pub fn shared_on(&self, client: &Client, target: &TargetName) -> bool {
        self.shared(client) && client.targets.as_ref().is_some_and(|t| t.contains(target))
    }
}

/// The time zone that the firm's people read times in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(pub TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl Zone {
    /// `22 Nov 2026 13:20`
    pub fn time(&self, at: Timestamp) -> String {
        self.words(at, "%-d %b %Y %H:%M")
    }

    /// `22 Nov`
    pub fn day(&self, at: Timestamp) -> String {
        self.words(at, "%-d %b")
    }

    /// An end. One at midnight is that of the day before, which is the last one: so it was typed, too.
    pub fn end(&self, at: Timestamp) -> String {
        let midnight = at.to_zoned(self.0.clone()).time() == jiff::civil::Time::midnight();
        match at.checked_sub(jiff::SignedDuration::from_secs(1)) {
            Ok(last) if midnight => self.words(last, "%-d %b %Y"),
            _ => self.time(at),
        }
    }

    fn words(&self, at: Timestamp, format: &str) -> String {
        at.to_zoned(self.0.clone()).strftime(format).to_string()
    }
}

/// `(ledger, provider_user_id)` of `decisions` 3.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pin {
    pub source: SourceRef,
    pub user: ProviderUserId,
}

/// Somebody who works for the firm, or is its guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub id: PersonId,
    pub first: String,
    pub last: String,
    /// The one address of the firm.
    pub email: Email,
    /// Other addresses under which a provider knows this person.
    pub aliases: BTreeMap<ConnectionName, BTreeSet<Email>>,
    /// The address this person uses on a target, where it differs.
    pub target_addresses: BTreeMap<TargetName, Email>,
    pub mode: Mode,
    pub office: Office,
    pub enabled: bool,
    /// Closed by `revoke --now` until somebody lifts it.
    pub closed: Option<Closed>,
    /// The hold on a first-seen or foreign domain was lifted for this person (`decisions` 4).
    pub domain_accepted: bool,
}

impl Person {
    /// The address the target is told. Sent as given.
    pub fn address_on(&self, target: &TargetName) -> &Email {
        self.target_addresses.get(target).unwrap_or(&self.email)
    }

    /// Gives nothing at all, at once, everywhere.
    pub fn shut(&self) -> bool {
        !self.enabled || self.closed.is_some()
    }

    pub fn full_name(&self) -> String {
        format!("{} {}", self.first, self.last).trim().to_owned()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    pub since: Timestamp,
    pub by: String,
    pub reason: String,
}

/// The four modes of `product` 4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mode {
    /// Every current and future client, whatever the ledger says.
    #[serde(rename = "all")]
    All,
    /// The selected clients, whatever the ledger says.
    #[serde(rename = "selected")]
    Selected,
    /// Every client whose ledger grants it.
    #[serde(rename = "ledger")]
    Ledger,
    /// The selected clients whose ledger grants it. A new person's mode: with nothing selected it gives nothing.
    #[default]
    #[serde(rename = "ledger+selected")]
    LedgerSelected,
}

impl Mode {
    pub const ALL: [Self; 4] = [Self::All, Self::Selected, Self::Ledger, Self::LedgerSelected];

    pub const fn slug(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Selected => "selected",
            Self::Ledger => "ledger",
            Self::LedgerSelected => "ledger+selected",
        }
    }

    pub fn parse(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.slug() == slug)
    }

    pub const fn needs_ledger(self) -> bool {
        matches!(self, Self::Ledger | Self::LedgerSelected)
    }

    pub const fn needs_selection(self) -> bool {
        matches!(self, Self::Selected | Self::LedgerSelected)
    }
}

/// What a person may do in ledgerward (`product` 5). An office gives no folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Office {
    PrimaryOwner,
    Owner,
    Admin,
    Employee,
    Viewer,
    Custom(String),
}

/// A client of the firm: one folder on each of its targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    pub id: ClientId,
    /// Short, stable, typed by people: `acme-ltd`.
    pub slug: String,
    pub name: String,
    pub state: ClientState,
    /// A private client belongs to one person and is in nobody else's access under any mode (`product` 4).
    pub private_to: Option<PersonId>,
    pub sources: BTreeSet<SourceRef>,
    pub authority: Authority,
    /// `None`: the firm's policy.
    pub unlisted: Option<Unlisted>,
    /// `None`: every target of the configuration.
    pub targets: Option<BTreeSet<TargetName>>,
    /// Bank accounts to push; `None`: all of them.
    pub accounts: Option<BTreeSet<AccountRef>>,
    /// Last day of the financial year as (month, day), where the firm overrides the ledger.
    pub year_end: Option<(i8, i8)>,
    /// From which day on statements are made. `None`: from the financial year in which the client was turned on.
    pub statements_since: Option<Date>,
}

/// How "from the beginning of the books" is stored: no books are older.
pub const BEGINNING: Date = Date::constant(1, 1, 1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientState {
    /// Found at a provider, waiting for `clients accept`. Gives nobody anything.
    Proposed,
    Active,
    /// Delivery has stopped; the folder's list stays as it is (`decisions` 15).
    Archived,
    /// Archived, and everybody we let in was let out.
    Closed,
}

/// Which sources decide for a client with several (`product` 3).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authority {
    /// Every grade-A ledger must grant.
    #[default]
    All,
    /// One of them is enough.
    Any,
    /// This source alone, of whatever grade.
    Named(SourceRef),
}

/// What a client is whose ledger lists nobody (`product` 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unlisted {
    /// The selection alone decides.
    #[default]
    Manual,
    Deny,
    Roster,
}

/// One account of one ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountRef {
    pub connection: ConnectionName,
    pub ledger: LedgerId,
    pub account: AccountId,
}

impl AccountRef {
    /// Another ledger's account with the same id: many providers number accounts from one in every company. A folder's key
    /// has no ledger in it, and is for ever, so that two of these can never have folders of one client.
    pub fn clashes(&self, other: &Self) -> bool {
        self.account == other.account && self != other
    }
}

/// That a client is selected for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    pub scope: SelectionScope,
    /// `--when-granted`: kept as a wish that turns on by itself once the ledger grants it.
    pub when_granted: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectionScope {
    /// The whole client, current and future accounts.
    Whole,
    /// Only these accounts' own papers. Never empty: the commands and the firm file refuse that.
    Accounts(BTreeSet<AccountRef>),
}

/// Time-boxed extra access (`product` 4). Never wider than the ledger grants, except in break-glass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    pub person: PersonId,
    pub client: ClientId,
    pub until: Timestamp,
    pub reason: String,
    pub break_glass: bool,
}

/// Settings that decide access. A change of their meaning changes the policy hash (`decisions` 13).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub unlisted: Unlisted,
    /// A new client's.
    #[serde(default)]
    pub authority: Authority,
    /// Seconds between the first absence and the second reading that makes it a denial (`decisions` 9).
    pub confirm_after_seconds: u32,
    /// Never take anything away.
    pub additive_only: bool,
    /// In no plan, and no stranger to the fence: break-glass administrators by name.
    pub always_allowed: BTreeSet<Email>,
    /// The same, of one target each.
    #[serde(default)]
    pub always_allowed_on: BTreeMap<TargetName, BTreeSet<Email>>,
}

impl Policy {
    /// Who is in no plan of this target, and no stranger there.
    pub fn always_allowed(&self, target: &TargetName) -> impl Iterator<Item = &Email> {
        self.always_allowed.iter().chain(self.always_allowed_on.get(target).into_iter().flatten())
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            unlisted: Unlisted::Manual,
            authority: Authority::default(),
            confirm_after_seconds: 300,
            additive_only: false,
            always_allowed: BTreeSet::new(),
            always_allowed_on: BTreeMap::new(),
        }
    }
}

/// Somebody the firm decided to leave on a folder, or to take over (`holders accept | adopt`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AcceptedHolder {
    pub holder: Holder,
    pub role: Option<FolderRole>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_the_firms_zone_and_a_whole_day_by_its_name() {
        let zone = Zone(TimeZone::get("Pacific/Auckland").unwrap());
        let end = |text: &str| zone.end(text.parse().unwrap());
        assert_eq!(end("2026-11-22T23:18:30Z"), "23 Nov 2026 12:18");
        assert_eq!(end("2026-12-24T11:00:00Z"), "24 Dec 2026", "the day that was typed is the last one");
        assert_eq!(Zone::default().end("2026-12-24T11:00:00Z".parse().unwrap()), "24 Dec 2026 11:00");
    }
}
