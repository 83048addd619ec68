//! What a connector is, as data: no IO, readable before anything is configured.

use std::{collections::BTreeMap, time::Duration};

use url::Url;

use crate::{Error, ErrorKind, Grade, LedgerRole, Result, StatementKind};

/// A connector's self-description. `ledgerward connectors` and the README's capability table are made from these.
#[derive(Debug)]
pub struct Manifest {
    /// The name in configuration: `connector = "xero"`.
    pub name: &'static str,
    /// The name for people: `Xero`.
    pub title: &'static str,
    pub auth: AuthScheme,
    /// Hosts, each by name, each replaceable in configuration under `endpoints` for a sandbox or test.
    pub endpoints: &'static [Endpoint],
    /// The vendor's limits, kept by the quota layer before the vendor has to refuse.
    pub quotas: &'static [Quota],
    /// How access is listed, where this connector is a ledger source.
    pub access: Option<Listing>,
    pub grade: Option<Grade>,
    pub statements: &'static [StatementKind],
    /// The default role table (`decisions` 10).
    pub roles: &'static [(&'static str, LedgerRoleDefault)],
    /// Keys that `settings` may have, each with a line of help. An unknown key is refused with this list.
    pub settings: &'static [(&'static str, &'static str)],
    /// Vendor facts we could not verify, in words. `doctor` checks and prints them.
    pub unverified: &'static [&'static str],
}

/// [`LedgerRole`] as a constant: what a manifest's default table may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerRoleDefault {
    Reader,
    Writer,
    Nothing,
}

impl From<LedgerRoleDefault> for LedgerRole {
    fn from(d: LedgerRoleDefault) -> Self {
        match d {
            LedgerRoleDefault::Reader => Self::Reader,
            LedgerRoleDefault::Writer => Self::Writer,
            LedgerRoleDefault::Nothing => Self::Nothing,
        }
    }
}

/// Whether one call lists the access of all ledgers, or of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    All,
    PerLedger,
}

/// How a sign-in proves itself.
#[derive(Clone, Copy, Debug)]
pub enum AuthScheme {
    /// A disk needs none.
    None,
    OAuth(OAuthSpec),
    /// OAuth for a person, or a service account's signed assertion, as the settings say (Google).
    OAuthOrServiceAccount(OAuthSpec),
    /// Fixed keys that the firm enters (Karbon); the auth layer puts each into its header.
    StaticKey(&'static [Key]),
    /// The vendor's requests are signed by a library of its own (S3, SFTP), which therefore gets the keys by
    /// [`crate::Factory::build_with_keys`].
    OwnKeys(&'static [Key]),
}

/// A secret that the firm enters: `api_key = { file = "…" }` in the connection's section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The key in the configuration.
    pub name: &'static str,
    /// One line on where a person finds it.
    pub help: &'static str,
    pub needed: bool,
    /// The request header and what stands before the secret in it (`("authorization", "Bearer ")`). Not used by `OwnKeys`.
    pub header: (&'static str, &'static str),
}

/// The authorisation-code flow of a vendor (RFC 6749, with PKCE by RFC 7636).
#[derive(Clone, Copy, Debug)]
pub struct OAuthSpec {
    /// (endpoint name, path).
    pub authorize: (&'static str, &'static str),
    pub token: (&'static str, &'static str),
    pub revoke: Option<(&'static str, &'static str)>,
    pub client_auth: ClientAuth,
    pub rotation: Rotation,
    pub scopes: &'static [ScopeSet],
    /// Extra parameters of the consent page (`access_type=offline`).
    pub extra: &'static [(&'static str, &'static str)],
    /// An unused sign-in dies after this. The scheduler refreshes at a quarter of it, at most 7 days (`decisions` 30).
    pub idle_lifetime: Option<Duration>,
    /// A sign-in ends so long after the person gave it, however often it is refreshed, where the token's answer does not say so
    /// (MYOB). People are warned at half and four fifths of it (`reliability` T12).
    pub consent_lifetime: Option<Duration>,
    /// The parameter of the callback that names the company consented to, where one consent is one company (QuickBooks'
    /// `realmId`). The token does not name it, so a callback without it is refused.
    pub realm: Option<&'static str>,
    /// What stands before the access token in `Authorization`.
    pub token_prefix: &'static str,
    /// A header that carries the app's client id on every request (MYOB's `x-myobapi-key`).
    pub client_id_header: Option<&'static str>,
    /// What stands between two scopes on the consent page: a blank by RFC 6749 3.3, a comma at Zoho.
    pub scope_separator: &'static str,
    /// Extra headers of token calls.
    pub token_headers: &'static [(&'static str, &'static str)],
    /// Where the app may sign in as itself, by its id and secret alone.
    pub app_only: Option<AppForm>,
}

/// What a token call of the app itself says besides `grant_type`, `client_id` and `client_secret` (RFC 6749 4.4), by the
/// settings. `None`: these settings want a person's sign-in. Settings that are not right want one too: the connector says so.
pub type AppForm = fn(&serde_json::Value) -> Option<Vec<(&'static str, String)>>;

impl OAuthSpec {
    /// What most vendors have in common; a manifest says what is different: `..OAuthSpec::PLAIN`.
    pub const PLAIN: Self = Self {
        authorize: ("login", "/authorize"),
        token: ("login", "/token"),
        revoke: None,
        client_auth: ClientAuth::Basic,
        rotation: Rotation::Stable,
        scopes: &[],
        extra: &[],
        idle_lifetime: None,
        consent_lifetime: None,
        realm: None,
        token_prefix: "Bearer",
        client_id_header: None,
        scope_separator: " ",
        token_headers: &[],
        app_only: None,
    };
}

/// A named set of scopes: Xero's `granular` and `broad`. The first is the default.
#[derive(Clone, Copy, Debug)]
pub struct ScopeSet {
    pub name: &'static str,
    pub scopes: &'static [&'static str],
}

/// How the client secret travels to the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// HTTP Basic; without a secret the client id goes in the body (PKCE apps).
    Basic,
    Body,
}

/// What a refresh does to the refresh token (`reliability` 1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The old one stays good.
    Stable,
    /// Single use. `grace` is how long the previous one may be retried if the answer was lost; `None`: not documented, one try.
    SingleUse { grace: Option<Duration> },
}

/// A host of the vendor, by name. `https://*.vendor.example` is a family of hosts that answers may name (upload sessions,
/// short-lived downloads): requests with [`crate::Auth::Url`] may go there, and never one that carries a token.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    pub name: &'static str,
    pub url: &'static str,
}

/// One limit of the vendor.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    pub name: &'static str,
    pub scope: QuotaScope,
    pub window: QuotaWindow,
    /// The answer header that says how many are left, if there is one.
    pub remaining_header: Option<&'static str>,
}

impl Quota {
    /// One that all sign-ins of the app share.
    pub const fn connection(name: &'static str, window: QuotaWindow) -> Self {
        Self { name, scope: QuotaScope::Connection, window, remaining_header: None }
    }

    /// One that each tenant has by itself.
    pub const fn tenant(name: &'static str, window: QuotaWindow) -> Self {
        Self { name, scope: QuotaScope::Tenant, window, remaining_header: None }
    }

    /// The same, with the answer header that says how many are left.
    #[must_use]
    pub const fn told_by(mut self, header: &'static str) -> Self {
        self.remaining_header = Some(header);
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuotaScope {
    /// All sign-ins of an app registration together.
    Connection,
    /// Each tenant of the connection by itself.
    Tenant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaWindow {
    /// So many requests under way at once.
    Concurrent(u32),
    PerMinute(u32),
    /// Counted in the store, so that a restart does not forget it. A tenth is kept back for revocations (P10).
    PerDay(u32),
    /// By the calendar month in UTC, counted in the store. Calls that can wait ([`crate::Request::optional`]) stop at four
    /// fifths of it.
    PerMonth(u32),
}

/// The hosts a connector talks to, resolved from the manifest and the configuration. A URL is never built from a constant.
#[derive(Clone, Debug, Default)]
pub struct Endpoints(BTreeMap<String, Url>);

impl Endpoints {
    /// The manifest's hosts with the configuration's in their place. An unknown name is a `Config` error.
    pub fn resolve(manifest: &Manifest, overrides: &BTreeMap<String, Url>) -> Result<Self> {
        let mut map = BTreeMap::new();
        for e in manifest.endpoints {
            let url = match overrides.get(e.name) {
                Some(url) => url.clone(),
                None => Url::parse(e.url).map_err(|s| {
                    Error::new(
                        ErrorKind::Config,
                        "endpoints.resolve",
                        format!("the built-in address of {} is not valid", e.name),
                    )
                    .source(s)
                })?,
            };
            map.insert(e.name.to_owned(), url);
        }
        if let Some(unknown) = overrides.keys().find(|k| !map.contains_key(*k)) {
            let known: Vec<_> = map.keys().map(String::as_str).collect();
            return Err(Error::new(
                ErrorKind::Config,
                "endpoints.resolve",
                format!("{} has no endpoint named \"{unknown}\"", manifest.title),
            )
            .next(format!("Use one of: {}.", known.join(", "))));
        }
        Ok(Self(map))
    }

    /// `path` (beginning with `/`) appended to the named host, whatever path that host's own address has.
    pub fn url(&self, name: &'static str, path: &str) -> Result<Url> {
        let base = self
            .0
            .get(name)
            .ok_or_else(|| Error::new(ErrorKind::Config, "endpoints.url", format!("no endpoint named {name}")))?;
        let text = format!("{}{path}", base.as_str().trim_end_matches('/'));
        Url::parse(&text).map_err(|s| {
            Error::new(ErrorKind::Config, "endpoints.url", format!("the address of {name} with {path} is not valid"))
                .source(s)
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Url)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }
}
