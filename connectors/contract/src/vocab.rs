//! Words of the ledger side: who a vendor says may open what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Date, snapshot::Listed};

/// A text that identifies something at a vendor or in our configuration. Two kinds of id cannot be mixed up.
macro_rules! text_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $name {
            fn from(s: &str) -> Self {
                Self(s.to_owned())
            }
        }
        impl From<String> for $name {
            fn from(s: String) -> Self {
                Self(s)
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
pub(crate) use text_ids;

text_ids! {
    /// The firm's name for an app registration: the `xero` of `[connections.xero]`.
    ConnectionName;
    /// The vendor's immutable id of one organisation, company file or practice.
    LedgerId;
    /// The vendor's immutable id of one user. Identity is pinned to this, never to a name or an address.
    ProviderUserId;
    /// The vendor's immutable id of one ledger account (a bank account inside a ledger).
    AccountId;
}

/// Our own id of a client: UUIDv7, never reused (`decisions` 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(pub uuid::Uuid);

impl std::fmt::Display for ClientId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What kind of thing a source's id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    Ledger,
    PracticeClient,
    Roster,
}

/// One source of facts about one client: an organisation in Xero, a client record in a practice manager, a roster line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceRef {
    pub connection: ConnectionName,
    pub kind: SourceKind,
    pub id: String,
}

/// How good the evidence is (`product` 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Grade {
    /// The ledger's own list of its users.
    A,
    /// A practice manager's assignment: responsibility, not access.
    B,
    /// A list the firm keeps itself.
    C,
}

/// One ledger that a sign-in can reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LedgerRow {
    pub id: LedgerId,
    pub name: String,
    /// The vendor's own word (`ORGANISATION`, `PRACTICE`), kept open.
    pub kind: String,
    /// Whether this row is a ledger of a client at all; a practice's own record, for example, is not.
    pub is_ledger: bool,
}

impl Listed for LedgerRow {
    type Key = LedgerId;
    fn key(&self) -> LedgerId {
        self.id.clone()
    }
}

/// What a ledger says of itself. Absent means "the vendor does not say", never a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerProfile {
    pub name: String,
    pub currency: Option<String>,
    pub country: Option<String>,
    /// Last day of the financial year as (month, day), e.g. `(3, 31)`.
    pub year_end: Option<(i8, i8)>,
    /// Everything up to and including this day is closed in the books.
    pub locked_to: Option<Date>,
    /// A link a person can follow to the ledger, if the vendor has a stable one.
    pub link: Option<String>,
    pub is_demo: bool,
}

/// Whether a user's entry is in force, as the vendor states it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Active,
    /// Invited, not yet accepted: gives nothing (P17).
    Pending,
    /// Suspended or disabled: an explicit denial that needs no second reading.
    Disabled,
    /// The vendor still lists the user and says that access was taken away.
    Removed,
    /// A state we do not know: nothing is given, nothing is taken (P14).
    Unknown(String),
}

/// One user in one ledger's own list. The role is the vendor's word; what it means is the firm's [`RoleTable`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccessFact {
    pub ledger: LedgerId,
    pub user: ProviderUserId,
    /// As the vendor gave it, unparsed: a bad address is one person's finding, not a failed listing.
    pub email: Option<String>,
    pub name: String,
    pub role: String,
    pub standing: Standing,
}

impl Listed for AccessFact {
    type Key = (LedgerId, ProviderUserId);
    fn key(&self) -> Self::Key {
        (self.ledger.clone(), self.user.clone())
    }
}

/// How many users a ledger counts that does not name them. Nothing is decided by a count: it warns that a list which the firm
/// keeps instead is out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seats {
    pub users: u32,
    /// Users of the accountant's own, where the vendor counts them by themselves. They are not among `users`.
    pub accountants: Option<u32>,
}

impl std::fmt::Display for Seats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let s = |n: u32| if n == 1 { "" } else { "s" };
        write!(f, "{} user{}", self.users, s(self.users))?;
        self.accountants.map_or(Ok(()), |n| write!(f, " and {n} accountant user{}", s(n)))
    }
}

/// The user whom a sign-in belongs to, as the vendor names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnUser {
    /// Tells this user from every other of the vendor's. Where it is not the id that lists of users have, it must not look
    /// like one: a list that holds an equal id is taken to hold our own user.
    pub subject: String,
    pub email: Option<String>,
}

/// What a vendor's role gives in the client's folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerRole {
    Reader,
    Writer,
    /// The table says: this role may not see statements. An explicit denial.
    Nothing,
    /// Not in the table: unknown. Nothing new is given, what exists stays, a finding is raised (P15).
    Unmapped(String),
}

/// Which vendor role gives what, for one connector (`decisions` 10). Configurable by the firm, shown by `roles table`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleTable(pub BTreeMap<String, LedgerRole>);

impl RoleTable {
    /// Roles are compared exactly: a vendor that starts to write `standard` has changed something, and we ask.
    pub fn resolve(&self, role: &str) -> LedgerRole {
        self.0.get(role).cloned().unwrap_or_else(|| LedgerRole::Unmapped(role.to_owned()))
    }
}

/// What kind of account inside a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    Bank,
    CreditCard,
    Other,
}

/// A bank account inside a ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LedgerAccount {
    pub id: AccountId,
    pub name: String,
    pub code: Option<String>,
    pub kind: AccountKind,
    pub currency: Option<String>,
    /// As the vendor gives it; needed for OFX. Never logged.
    pub number: Option<String>,
    pub active: bool,
}

impl Listed for LedgerAccount {
    type Key = AccountId;
    fn key(&self) -> AccountId {
        self.id.clone()
    }
}

/// A practice manager's statement that somebody is responsible for a client (grade B).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Assignment {
    pub user: ProviderUserId,
    pub email: Option<String>,
    pub name: String,
    /// `account_manager`, `job_manager`, `partner`, `assigned`, or the vendor's word.
    pub role: String,
    pub standing: Standing,
    /// `user` is no one person's id: a team that could not be opened, a line that was not understood. Whoever is missing
    /// from the client's people may be behind it, so of the whole client nothing is known.
    #[serde(default)]
    pub opaque: bool,
}

/// One client as a practice manager lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClientRow {
    pub id: String,
    pub name: String,
    pub number: Option<String>,
    pub active: bool,
    pub people: Vec<Assignment>,
    /// Ids of ledgers the practice manager itself links to this client. A hint for a confirmed map, never a match by name.
    pub ledgers: Vec<String>,
    /// The practice manager's own groups of clients that this one is in, by name. An offer: they decide nothing.
    pub groups: Vec<String>,
}

impl Listed for ClientRow {
    type Key = String;
    fn key(&self) -> String {
        self.id.clone()
    }
}
