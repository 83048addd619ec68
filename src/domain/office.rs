//! Permissions: what a role lets a person do in ledgerward (`product` 5). None of them gives a folder.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ClientId, ConnectionName, SourceKind};
use serde::{Deserialize, Serialize};

use super::firm::{Client, Firm, Office};

/// One kind of act. A role is a set of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Hand the primary owner's office over. Nobody else has it, and no role of the firm's own can.
    HandOver,
    /// Publish and reject what others staged, approve holds, end a freeze.
    Publish,
    /// What touches the installation: backups, keys, the audit trail of all.
    Operate,
    /// Add, change, disable and close people.
    People,
    /// Give people roles, and make roles of the firm's own.
    Roles,
    /// Choose people's modes.
    Modes,
    /// Sign in to providers; bind clients to ledgers and folders; say what a ledger's roles give.
    Connections,
    /// Make groups of clients.
    Groups,
    /// Read, plan, sync and apply; freeze.
    Run,
    /// See everybody's access and the firm's totals, staged changes included. With a group: its clients.
    ReadAll,
    /// Add, rename, accept and end clients, and choose their papers.
    Clients,
    /// Select clients for people.
    Selections,
    /// Give and end guests' access.
    Guests,
    /// Keep one's own private clients.
    Private,
    /// Add a client, which is one's own and bound to nothing.
    AddClients,
    /// Change one's own names.
    OwnDetails,
}

impl Permission {
    pub const ALL: [Self; 16] = [
        Self::HandOver,
        Self::Publish,
        Self::Operate,
        Self::People,
        Self::Roles,
        Self::Modes,
        Self::Connections,
        Self::Groups,
        Self::Run,
        Self::ReadAll,
        Self::Clients,
        Self::Selections,
        Self::Guests,
        Self::Private,
        Self::AddClients,
        Self::OwnDetails,
    ];

    pub const fn slug(self) -> &'static str {
        match self {
            Self::HandOver => "hand-over",
            Self::Publish => "publish",
            Self::Operate => "operate",
            Self::People => "people",
            Self::Roles => "roles",
            Self::Modes => "modes",
            Self::Connections => "connections",
            Self::Groups => "groups",
            Self::Run => "run",
            Self::ReadAll => "read-all",
            Self::Clients => "clients",
            Self::Selections => "selections",
            Self::Guests => "guests",
            Self::Private => "private",
            Self::AddClients => "add-clients",
            Self::OwnDetails => "own-details",
        }
    }

    pub fn parse(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.slug() == slug)
    }

    /// Whether a role that is limited to a group of clients may hold it: only what is about single clients, or oneself.
    pub const fn fits_a_group(self) -> bool {
        matches!(
            self,
            Self::ReadAll
                | Self::Clients
                | Self::Selections
                | Self::Guests
                | Self::Private
                | Self::AddClients
                | Self::OwnDetails
        )
    }
}

/// A role of the firm's own making.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomOffice {
    pub permissions: BTreeSet<Permission>,
    /// The group of clients that it is limited to.
    #[serde(default)]
    pub group: Option<String>,
}

/// A named set of clients: those named, and those bound to a ledger of the connections. Never a private one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub clients: BTreeSet<ClientId>,
    pub connections: BTreeSet<ConnectionName>,
}

impl Group {
    pub fn has(&self, client: &Client) -> bool {
        let bound = || {
            let of = |s: &ledgerward_contract::SourceRef| {
                s.kind == SourceKind::Ledger && self.connections.contains(&s.connection)
            };
            client.sources.iter().any(of)
        };
        client.private_to.is_none() && (self.clients.contains(&client.id) || bound())
    }

    /// Its clients, by id.
    pub fn clients<'f>(&self, firm: &'f Firm) -> impl Iterator<Item = &'f Client> {
        firm.clients.values().filter(move |c| self.has(c))
    }
}

/// What somebody may do, and to which clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Powers {
    pub permissions: BTreeSet<Permission>,
    /// `None`: every client.
    pub group: Option<String>,
}

impl Powers {
    /// Of an office in this firm. A role of the firm's own that it does not have gives nothing.
    pub fn of(office: &Office, custom: &BTreeMap<String, CustomOffice>) -> Self {
        let all_but = |without: &[Permission]| Self {
            permissions: Permission::ALL.into_iter().filter(|p| !without.contains(p)).collect(),
            group: None,
        };
        match office {
            Office::PrimaryOwner => all_but(&[]),
            Office::Owner => all_but(&[Permission::HandOver]),
            Office::Admin => all_but(&[Permission::HandOver, Permission::Publish, Permission::Operate]),
            Office::Employee => {
                Self { permissions: [Permission::AddClients, Permission::OwnDetails].into(), group: None }
            }
            Office::Viewer => Self::default(),
            Office::Custom(name) => custom.get(name).map_or_else(Self::default, Self::of_custom),
        }
    }

    /// Of a role of the firm's own. What it must not hold, it does not give, however it came to be written.
    pub fn of_custom(office: &CustomOffice) -> Self {
        let fits = |p: &Permission| *p != Permission::HandOver && (office.group.is_none() || p.fits_a_group());
        Self { permissions: office.permissions.iter().copied().filter(fits).collect(), group: office.group.clone() }
    }

    pub fn has(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }

    /// Whether these are at least as wide as the others: every permission, over at least the same clients.
    pub fn cover(&self, other: &Self) -> bool {
        let clients = self.group.is_none() || self.group == other.group || other.permissions.is_empty();
        clients && other.permissions.is_subset(&self.permissions)
    }
}
