//! What a configuration says, as types. Made by [`super::parse`] alone, which has checked everything in here.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
};

use jiff::tz::TimeZone;
use ledgerward_contract::{Basis, ConnectionName, Email, LedgerRole, PeriodLength, StatementKind};
use serde::{Deserialize, Serialize};
use url::Url;

use super::secret::SecretRef;
pub use crate::statement::{Format, Look};
use crate::{
    daemon::schedule::Schedule,
    domain::firm::{Authority, TargetName, Unlisted},
};

/// A whole configuration, version 1.
#[derive(Clone, Debug)]
pub struct Config {
    pub firm: FirmSettings,
    pub schedule: Schedules,
    pub connections: BTreeMap<ConnectionName, Connection>,
    pub targets: BTreeMap<TargetName, Target>,
    pub statements: StatementSettings,
    pub policy: PolicySettings,
    pub guards: Guards,
    /// Which local user is which person, for the socket and the commands.
    pub operators: BTreeMap<u32, Email>,
    /// Where the key of the vault is. `None`: a key file that `init` makes beside the state.
    pub state_key: Option<SecretRef>,
    /// A loopback address for a scraper; off unless set (`decisions` 32).
    pub metrics_listen: Option<SocketAddr>,
    /// A loopback address for the API, for who has a token; off unless set.
    pub api_listen: Option<SocketAddr>,
    pub log: LogSettings,
    /// Where the providers' stand-ins keep their state; only where every endpoint is a literal loopback address.
    pub sandbox: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct FirmSettings {
    pub name: String,
    /// The firm's own mail domains, as lower-case A-labels.
    pub domains: BTreeSet<String>,
    /// Schedules and days are meant in this zone. Its IANA name is `timezone.iana_name()`.
    pub timezone: TimeZone,
    /// Lines for the head of each page.
    pub letterhead: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedules {
    pub access: Schedule,
    pub statements: Schedule,
}

/// How a connector reaches its vendor: the part that connections and targets share.
#[derive(Clone, Debug)]
pub struct Remote {
    /// The connector's name in the registry.
    pub connector: String,
    pub client_id: Option<String>,
    pub client_secret: Option<SecretRef>,
    /// Fixed keys that the firm enters, for vendors without sign-in pages, by the manifest's names of them.
    pub keys: BTreeMap<String, SecretRef>,
    /// A service account's key file (Google), instead of a person's sign-in.
    pub service_account: Option<SecretRef>,
    /// The person a service account acts for (domain-wide delegation).
    pub impersonate: Option<Email>,
    pub scopes: Scopes,
    /// Hosts in place of the manifest's: sandboxes and tests.
    pub endpoints: BTreeMap<String, Url>,
    /// The loopback port of the sign-in page's redirect, where the vendor wants it registered.
    pub redirect_port: Option<u16>,
    /// The registered redirect address, for vendors that take no loopback address. The person then pastes where the
    /// browser ended.
    pub redirect_url: Option<Url>,
    pub allow_private_network: bool,
    /// More roots to trust, for a proxy that opens TLS or a server in the office.
    pub ca_file: Option<PathBuf>,
    pub proxy: Option<Url>,
    /// The connector's own keys, checked against its manifest here and by its `build`.
    pub settings: serde_json::Value,
}

impl Remote {
    /// The hosts that this connection talks to are all literal loopback addresses, and there is at least one. Only then may
    /// test-only settings be used (`decisions` 9).
    pub fn only_loopback(&self, endpoint_names: impl IntoIterator<Item = impl AsRef<str>>) -> bool {
        let mut any = false;
        for name in endpoint_names {
            any = true;
            if !self.endpoints.get(name.as_ref()).is_some_and(is_literal_loopback) {
                return false;
            }
        }
        any
    }
}

/// `127.0.0.0/8` or `::1` written as an address. `localhost` is a name that somebody may resolve elsewhere.
pub fn is_literal_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

/// Which scopes a sign-in asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scopes {
    /// The manifest's first set.
    #[default]
    Default,
    /// A set of the manifest by name: `granular`, `broad`.
    Set(String),
    List(Vec<String>),
}

#[derive(Clone, Debug)]
pub struct Connection {
    pub remote: Remote,
    /// Lines that differ from the manifest's role table.
    pub roles: BTreeMap<String, LedgerRole>,
}

#[derive(Clone, Debug)]
pub struct Target {
    pub remote: Remote,
    /// Below what the clients' folders lie. It is also in `remote.settings`, where the connector reads it.
    pub root: Option<String>,
    pub sharing: Sharing,
    /// `None`: the firm's.
    pub template: Option<String>,
    pub kinds: Option<BTreeSet<StatementKind>>,
    pub formats: Option<BTreeSet<Format>>,
    /// Break-glass administrators of this target: in no plan, and no strangers to the fence.
    pub always_allowed: BTreeSet<Email>,
    pub first_plan: FirstPlan,
}

/// What happens to sharing lists. There is no default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// The list is kept equal to the access computed.
    Mirror,
    /// Nothing is changed; differences are shown, and strangers close the fence.
    Report,
    /// Files go there unfenced; who can read them, in the firm's own words (`decisions` 17).
    Off { audience: String },
}

impl Sharing {
    pub const fn slug(&self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::Report => "report",
            Self::Off { .. } => "off",
        }
    }
}

/// Whether the first plan of a target waits for an approval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstPlan {
    #[default]
    Approve,
    /// Sandboxes only: accepted where every endpoint is a literal loopback address.
    Apply,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementSettings {
    pub kinds: BTreeSet<StatementKind>,
    pub formats: BTreeSet<Format>,
    pub periods: BTreeSet<PeriodLength>,
    /// Days after a period's end before its statements are made.
    pub after_days: u16,
    pub basis: Basis,
    pub template: String,
    /// Print the firm's letterhead.
    pub letterhead: bool,
    /// Its fonts are read by [`super::load`] alone.
    pub look: Look,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySettings {
    pub unlisted: Unlisted,
    pub confirm_after_seconds: u32,
    pub additive_only: bool,
    /// A new client's authority: `All` or `Any`.
    pub authority: Authority,
    /// `None`: on as soon as there are two owners.
    pub four_eyes: Option<bool>,
    /// Break-glass administrators on every target.
    pub always_allowed: BTreeSet<Email>,
}

/// A gate: it holds what is more than `max(floor, percent %)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    pub floor: u32,
    pub percent: u8,
}

/// The numbers of `decisions` 11, over a rolling 24 h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guards {
    /// People who lose everything.
    pub leavers: Limit,
    pub pairs_removed: Limit,
    /// People one client loses.
    pub client_loses: Limit,
    pub overall: Limit,
    pub pairs_added: Limit,
    /// Clients one person gains. Here both must be passed.
    pub person_gains: Limit,
    /// Clients of a connection that vanished or have another name or id.
    pub churn: Limit,
    /// Pairs that connections add or remove.
    pub touched: Limit,
}

impl Default for Guards {
    fn default() -> Self {
        let limit = |floor, percent| Limit { floor, percent };
        Self {
            leavers: limit(1, 10),
            pairs_removed: limit(3, 10),
            client_loses: limit(2, 50),
            overall: limit(8, 10),
            pairs_added: limit(10, 20),
            person_gains: limit(5, 25),
            churn: limit(2, 10),
            touched: limit(12, 30),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
    Journald,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    pub format: LogFormat,
    pub level: LogLevel,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

impl LogLevel {
    /// As a `tracing` filter directive.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}
