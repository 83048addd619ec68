//! What the configuration names, alive: connections with their sign-ins and targets, each behind its layers.
//!
//! Building a world calls nobody. Secrets are read here and go into the layers, never into a connector.

use std::{collections::BTreeMap, sync::Arc};

use ledgerward_contract::{
    AuthScheme, Build, ConnectionName, Connector, Endpoints, Error, ErrorKind, LedgerRole, Manifest, OAuthSpec,
    OwnUser, ReadCx, Result, RoleTable, Secret, StorageTarget, Timestamp, Transport,
};
use ledgerward_kit::{
    AppOnly,
    clock::Clock,
    hosts::Hosts,
    layers::{
        auth::{Dress, Fixed, TokenSource},
        deadline::Deadlines,
        quota::{DayCounter, Quotas},
        retry::Jitter,
    },
    oauth::OAuthClient,
    service_account::ServiceAccount,
    stack::{Stack, StackConfig},
    tokens::OAuthTokens,
    transport::{HttpOptions, HttpTransport},
    vault::Vault,
};

use crate::{
    config::{
        schema::{self, Config, Remote, Scopes},
        secret::{SecretPlaces, SecretRef},
    },
    domain::{firm::TargetName, identity::OwnIdentity},
    process::TokenPool,
    registry::{self, Entry},
};

/// A sign-in as the store lists it, without its tokens.
#[derive(Clone, Debug)]
pub struct SignInRow {
    pub id: String,
    /// The connection or target it is for.
    pub connection: String,
    pub own: OwnIdentity,
    /// The one company it reaches, where the vendor's consents are for one company each.
    pub realm: Option<String>,
    /// Why it cannot be used until a person signs in again.
    pub dead: Option<String>,
    /// When a person gave it last.
    pub given: Timestamp,
}

/// One way into a connection.
pub struct Reach {
    pub sign_in: String,
    pub own: OwnIdentity,
    pub realm: Option<String>,
    pub dead: Option<String>,
    /// When a person gave it last; `None` where nobody does.
    pub given: Option<Timestamp>,
    /// What keeps the sign-in alive, where it is one by OAuth.
    pub keep: Option<(OAuthSpec, Arc<OAuthTokens>)>,
    transport: Arc<dyn Transport>,
}

impl Reach {
    pub(crate) fn without_sign_in(transport: Arc<dyn Transport>) -> Self {
        let own = OwnIdentity::default();
        Self { sign_in: String::new(), own, realm: None, dead: None, given: None, keep: None, transport }
    }

    /// Nobody signed in here: keys, an account of its own, or none are what it works with.
    pub fn is_unattended(&self) -> bool {
        self.sign_in.is_empty()
    }

    /// Whether this sign-in can be one for that ledger at all. One that was given for a single company is not, for another.
    pub fn may_reach(&self, ledger: &str) -> bool {
        self.realm.as_deref().is_none_or(|realm| realm == ledger)
    }

    pub fn read(&self, now: Timestamp) -> ReadCx {
        ReadCx::new(Arc::clone(&self.transport), now).in_realm(self.realm.as_deref())
    }
}

/// A ledger provider or practice manager.
pub struct Source {
    pub name: ConnectionName,
    pub manifest: &'static Manifest,
    pub connector: Box<dyn Connector>,
    /// What it was built from, as a text without secrets: with another one it may read something else.
    pub configured: String,
    /// Empty until somebody ran `connect`.
    pub reaches: Vec<Reach>,
    pub roles: RoleTable,
}

/// A place with folders.
pub struct Target {
    pub name: TargetName,
    pub manifest: &'static Manifest,
    pub connector: Box<dyn Connector>,
    pub settings: schema::Target,
    /// `None` until somebody ran `connect`.
    pub reach: Option<Reach>,
}

impl Target {
    /// The target's own side. Checked when the world was built.
    pub fn api(&self) -> Result<&dyn StorageTarget> {
        self.connector.target().ok_or_else(|| {
            Error::new(ErrorKind::Config, "target.open", format!("{} is no storage target", self.manifest.title))
        })
    }

    /// Errors: `Unauthenticated` with the command to run, where nobody signed in or the sign-in is dead.
    pub fn reach(&self) -> Result<&Reach> {
        let next = format!("Run: ledgerward connect {}", self.name);
        match &self.reach {
            None => Err(Error::new(ErrorKind::Unauthenticated, "target.open", "nobody has signed in yet").next(next)),
            Some(Reach { dead: Some(why), .. }) => {
                Err(Error::new(ErrorKind::Unauthenticated, "target.open", why.clone()).next(next))
            }
            Some(reach) => Ok(reach),
        }
    }

    pub fn read(&self, now: Timestamp) -> Result<ReadCx> {
        Ok(self.reach()?.read(now))
    }

    /// What a write context is opened with.
    pub fn transport(&self) -> Result<Arc<dyn Transport>> {
        Ok(Arc::clone(&self.reach()?.transport))
    }
}

/// Everything the firm configured.
pub struct World {
    pub sources: BTreeMap<ConnectionName, Source>,
    pub targets: BTreeMap<TargetName, Target>,
}

/// Opens the way to one connection's or target's hosts.
pub type Opener = dyn Fn(&str, Hosts, &HttpOptions) -> Result<Arc<dyn Transport>> + Send + Sync;

/// How a process reaches its providers: over HTTP, unless it is a simulation.
#[derive(Clone)]
pub struct Network {
    pub open: Arc<Opener>,
    pub jitter: Jitter,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            open: Arc::new(|_, hosts, options| Ok(Arc::new(HttpTransport::new(hosts, options)?))),
            jitter: Stack::jitter(),
        }
    }
}

/// What a world is built on.
#[derive(Clone)]
pub struct Ground {
    pub vault: Arc<dyn Vault>,
    pub days: Arc<dyn DayCounter>,
    pub clock: Arc<dyn Clock>,
    /// Where secret files are found.
    pub secrets: SecretPlaces,
    pub tokens: Arc<TokenPool>,
    pub network: Network,
}

impl World {
    /// Errors: `Config`, naming the connection or target.
    pub fn build(config: &Config, ground: &Ground, sign_ins: &[SignInRow]) -> Result<Self> {
        let mut sources = BTreeMap::new();
        for (name, connection) in &config.connections {
            let open = Open::new(name.as_str(), &connection.remote, ground)?;
            if open.connector.ledgers().is_none() && open.connector.directory().is_none() {
                let text = format!("connections.{name}: {} is a target, not a source of access", open.manifest.title);
                return Err(Error::new(ErrorKind::Config, "connection.open", text)
                    .next(format!("Move it to [targets.{name}].")));
            }
            let reaches = open.reaches(name.as_str(), &connection.remote, ground, sign_ins, true)?;
            let roles = role_table(open.manifest, &connection.roles);
            let Open { manifest, connector, .. } = open;
            let configured = configured(&connection.remote);
            sources
                .insert(name.clone(), Source { name: name.clone(), manifest, connector, configured, reaches, roles });
        }
        let mut targets = BTreeMap::new();
        for (name, settings) in &config.targets {
            let open = Open::new(&name.0, &settings.remote, ground)?;
            if open.connector.target().is_none() {
                let text = format!("targets.{name}: {} cannot hold folders", open.manifest.title);
                return Err(Error::new(ErrorKind::Config, "target.open", text)
                    .next(format!("Move it to [connections.{name}].")));
            }
            let mut reaches = open.reaches(&name.0, &settings.remote, ground, sign_ins, false)?;
            let Open { manifest, connector, .. } = open;
            let reach = if reaches.is_empty() { None } else { Some(reaches.swap_remove(0)) };
            targets.insert(
                name.clone(),
                Target { name: name.clone(), manifest, connector, settings: settings.clone(), reach },
            );
        }
        Ok(Self { sources, targets })
    }
}

impl World {
    /// Every sign-in of every connection and target.
    pub fn reaches(&self) -> impl Iterator<Item = &Reach> {
        let targets = self.targets.values().filter_map(|t| t.reach.as_ref());
        self.sources.values().flat_map(|s| &s.reaches).chain(targets)
    }
}

/// What of a configuration decides what is read by it, and this version of the program, which may read it otherwise.
fn configured(remote: &Remote) -> String {
    let Remote { connector, client_id, endpoints, settings, .. } = remote;
    let version = env!("CARGO_PKG_VERSION");
    serde_json::json!([version, connector, client_id, endpoints, settings]).to_string()
}

/// The manifest's table with the firm's lines in their place.
pub fn role_table(manifest: &Manifest, lines: &BTreeMap<String, LedgerRole>) -> RoleTable {
    let mut table: BTreeMap<_, _> =
        manifest.roles.iter().map(|(role, gives)| ((*role).to_owned(), LedgerRole::from(*gives))).collect();
    table.extend(lines.iter().map(|(role, gives)| (role.clone(), gives.clone())));
    RoleTable(table)
}

/// One connector with everything below its layers that its sign-ins share.
struct Open {
    entry: &'static Entry,
    manifest: &'static Manifest,
    connector: Box<dyn Connector>,
    endpoints: Endpoints,
    keys: BTreeMap<String, Secret>,
    quotas: Arc<Quotas>,
    wire: Arc<dyn Transport>,
}

impl Open {
    fn new(name: &str, remote: &Remote, ground: &Ground) -> Result<Self> {
        let named = |e: Error| e.with("configured as", name);
        let entry = registry::entry(&remote.connector).ok_or_else(|| {
            let text = format!("there is no connector \"{}\"", remote.connector);
            named(
                Error::new(ErrorKind::Config, "connector.find", text)
                    .next(format!("Use one of: {}.", registry::names())),
            )
        })?;
        let manifest = entry.factory.manifest();
        let endpoints = Endpoints::resolve(manifest, &remote.endpoints).map_err(named)?;
        let build = Build { settings: remote.settings.clone(), endpoints: endpoints.clone() };
        let mut keys = BTreeMap::new();
        for (key, place) in &remote.keys {
            keys.insert(key.clone(), read_secret(place, &ground.secrets).map_err(named)?);
        }
        let connector = match manifest.auth {
            AuthScheme::OwnKeys(_) => entry.factory.build_with_keys(build, keys.clone()),
            _ => entry.factory.build(build),
        }
        .map_err(named)?;
        let hosts = Hosts::new(&endpoints, remote.allow_private_network).map_err(named)?;
        let options = HttpOptions { proxy: remote.proxy.clone(), ca_file: remote.ca_file.clone() };
        let wire = (ground.network.open)(name, hosts, &options).map_err(named)?;
        let quotas = Quotas::new(name, manifest.quotas, Arc::clone(&ground.days), Arc::clone(&ground.clock));
        Ok(Self { entry, manifest, connector, endpoints, keys, quotas, wire })
    }

    fn reaches(
        &self,
        name: &str,
        remote: &Remote,
        ground: &Ground,
        sign_ins: &[SignInRow],
        read_only: bool,
    ) -> Result<Vec<Reach>> {
        let mut reaches = Vec::new();
        match self.manifest.auth {
            AuthScheme::None | AuthScheme::StaticKey(_) | AuthScheme::OwnKeys(_) => {
                let transport = self.stack(remote, ground, Arc::new(Fixed::none()), read_only)?;
                reaches.push(Reach::without_sign_in(transport));
            }
            AuthScheme::OAuth(_) | AuthScheme::OAuthOrServiceAccount(_) => {
                if let Some(tokens) = self.unattended(remote, ground)? {
                    let transport = self.stack(remote, ground, tokens, read_only)?;
                    reaches.push(Reach::without_sign_in(transport));
                    return Ok(reaches);
                }
                let client = Arc::new(self.oauth_client(remote, &ground.secrets)?);
                for row in sign_ins.iter().filter(|r| r.connection == name) {
                    let tokens = ground.tokens.get(&row.id, || {
                        OAuthTokens::new(
                            row.id.clone(),
                            Arc::clone(&ground.vault),
                            Arc::clone(&client),
                            Arc::clone(&ground.clock),
                        )
                    });
                    let source: Arc<dyn TokenSource> = Arc::clone(&tokens) as _;
                    let transport = self.stack(remote, ground, source, read_only)?;
                    reaches.push(Reach {
                        sign_in: row.id.clone(),
                        own: row.own.clone(),
                        realm: row.realm.clone(),
                        dead: row.dead.clone(),
                        given: Some(row.given),
                        keep: Some((self.oauth_spec()?, tokens)),
                        transport,
                    });
                }
            }
        }
        Ok(reaches)
    }

    fn stack(
        &self,
        remote: &Remote,
        ground: &Ground,
        tokens: Arc<dyn TokenSource>,
        read_only: bool,
    ) -> Result<Arc<dyn Transport>> {
        Stack::build(StackConfig {
            manifest: self.manifest,
            endpoints: self.endpoints.clone(),
            allow_private_network: remote.allow_private_network,
            read_only,
            tokens,
            dress: Dress::new(self.manifest, remote.client_id.as_deref(), &self.keys)?,
            quotas: Arc::clone(&self.quotas),
            verdict: self.entry.verdict,
            clock: Arc::clone(&ground.clock),
            deadlines: Deadlines::default(),
            jitter: ground.network.jitter,
            base: Arc::clone(&self.wire),
        })
    }
}

impl Open {
    fn oauth_spec(&self) -> Result<OAuthSpec> {
        match self.manifest.auth {
            AuthScheme::OAuth(spec) | AuthScheme::OAuthOrServiceAccount(spec) => Ok(spec),
            AuthScheme::None | AuthScheme::StaticKey(_) | AuthScheme::OwnKeys(_) => {
                let text = format!("{} has no sign-in page", self.manifest.title);
                Err(Error::new(ErrorKind::Unsupported, "oauth.open", text).next("There is nothing to connect here."))
            }
        }
    }

    /// The scopes to ask for: the firm's own list, or a set of the manifest: the one named, the one that the settings
    /// need, or the first.
    fn scopes(&self, spec: &OAuthSpec, remote: &Remote) -> Result<Vec<String>> {
        let set = match &remote.scopes {
            Scopes::List(list) => return Ok(list.clone()),
            Scopes::Set(name) => spec.scopes.iter().find(|s| s.name == name),
            Scopes::Default => match (self.entry.scope_set)(&remote.settings) {
                Some(name) => spec.scopes.iter().find(|s| s.name == name),
                None => spec.scopes.first(),
            },
        };
        set.map(|s| s.scopes.iter().map(|t| (*t).to_owned()).collect()).ok_or_else(|| {
            let names: Vec<_> = spec.scopes.iter().map(|s| s.name).collect();
            Error::new(ErrorKind::Config, "oauth.scopes", "there is no set of scopes of that name")
                .next(format!("Use one of: {}, or a list of scopes.", names.join(", ")))
        })
    }

    fn oauth_client(&self, remote: &Remote, places: &SecretPlaces) -> Result<OAuthClient> {
        let id = remote.client_id.clone().ok_or_else(|| {
            Error::new(ErrorKind::Config, "oauth.open", "there is no client_id")
                .next("Enter the client_id of the app that you registered at the provider.")
        })?;
        let secret = remote.client_secret.as_ref().map(|s| read_secret(s, places)).transpose()?;
        OAuthClient::new(self.oauth_spec()?, &self.endpoints, id, secret, Arc::clone(&self.wire))
    }

    /// A source of tokens that needs no person, where the configuration has one.
    fn unattended(&self, remote: &Remote, ground: &Ground) -> Result<Option<Arc<dyn TokenSource>>> {
        match app_form(self.manifest, remote) {
            Some((spec, form)) => self.app_only(&spec, form, remote, ground).map(Some),
            None => self.service_account(remote, ground),
        }
    }

    fn app_only(
        &self,
        spec: &OAuthSpec,
        form: Vec<(&'static str, String)>,
        remote: &Remote,
        ground: &Ground,
    ) -> Result<Arc<dyn TokenSource>> {
        let (Some(id), Some(secret)) = (&remote.client_id, &remote.client_secret) else {
            let text = "the app signs in as itself, and client_id or client_secret is not there";
            return Err(Error::new(ErrorKind::Config, "oauth.open", text)
                .next("Enter both, as the provider shows them for the app that you registered there."));
        };
        let (name, path) = spec.token;
        Ok(Arc::new(AppOnly::new(
            self.endpoints.url(name, path)?,
            id.clone(),
            read_secret(secret, &ground.secrets)?,
            form,
            Arc::clone(&self.wire),
            Arc::clone(&ground.clock),
        )))
    }

    fn service_account(&self, remote: &Remote, ground: &Ground) -> Result<Option<Arc<dyn TokenSource>>> {
        let (AuthScheme::OAuthOrServiceAccount(spec), Some(file)) = (self.manifest.auth, &remote.service_account)
        else {
            return Ok(None);
        };
        let key = read_secret(file, &ground.secrets)?;
        let scopes = self.scopes(&spec, remote)?;
        let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
        let (name, path) = spec.token;
        let account = ServiceAccount::new(
            &key,
            &scopes,
            remote.impersonate.as_ref().map(|e| e.as_given().to_owned()),
            self.endpoints.url(name, path)?,
            Arc::clone(&self.wire),
            Arc::clone(&ground.clock),
        )?;
        Ok(Some(Arc::new(account)))
    }
}

/// What an app says that signs in as itself by these settings; `None`: a person signs in.
fn app_form(manifest: &Manifest, remote: &Remote) -> Option<(OAuthSpec, Vec<(&'static str, String)>)> {
    let (AuthScheme::OAuth(spec) | AuthScheme::OAuthOrServiceAccount(spec)) = manifest.auth else { return None };
    Some((spec, spec.app_only?(&remote.settings)?))
}

/// How a person signs in here; `None` where nobody does (a disk, a fixed key, a service account, an app as itself).
pub fn personal_sign_in(remote: &Remote) -> Option<OAuthSpec> {
    let manifest = registry::entry(&remote.connector)?.factory.manifest();
    if app_form(manifest, remote).is_some() {
        return None;
    }
    match manifest.auth {
        AuthScheme::OAuth(spec) => Some(spec),
        AuthScheme::OAuthOrServiceAccount(spec) => remote.service_account.is_none().then_some(spec),
        AuthScheme::None | AuthScheme::StaticKey(_) | AuthScheme::OwnKeys(_) => None,
    }
}

/// What `connect` needs for one connection or target.
pub struct SignInGround {
    pub client: OAuthClient,
    pub spec: OAuthSpec,
    pub scopes: Vec<String>,
    pub title: &'static str,
    pub redirect_port: Option<u16>,
    pub redirect_url: Option<url::Url>,
    open: Open,
    remote: Remote,
    world: Ground,
}

impl SignInGround {
    /// Whom a target or a ledger's provider takes this fresh access token for. Nothing is stored for it yet.
    pub async fn account(&self, access: &Secret, now: Timestamp) -> Result<Option<OwnUser>> {
        let tokens = Arc::new(Fixed::new(access.clone()));
        let cx = || Ok(ReadCx::new(self.open.stack(&self.remote, &self.world, tokens, true)?, now));
        if let Some(target) = self.open.connector.target() {
            let account = target.probe(&cx()?).await?.account;
            return Ok((!account.is_empty()).then(|| OwnUser { subject: account.clone(), email: Some(account) }));
        }
        match self.open.connector.ledgers() {
            Some(ledgers) => ledgers.own_user(&cx()?).await,
            None => Ok(None),
        }
    }
}

/// Errors: `Config` or `Unsupported`, where this name has nothing to sign in to.
pub fn sign_in_ground(name: &str, remote: &Remote, ground: &Ground) -> Result<SignInGround> {
    let open = Open::new(name, remote, ground)?;
    if remote.service_account.is_some() || app_form(open.manifest, remote).is_some() {
        let text = "this works with a key of its own, as a service account or as the app itself, and needs no sign-in";
        return Err(Error::new(ErrorKind::Unsupported, "oauth.open", text).next("Run: ledgerward doctor"));
    }
    let spec = open.oauth_spec()?;
    Ok(SignInGround {
        client: open.oauth_client(remote, &ground.secrets)?,
        remote: remote.clone(),
        world: ground.clone(),
        spec,
        scopes: open.scopes(&spec, remote)?,
        title: open.manifest.title,
        redirect_port: remote.redirect_port,
        redirect_url: remote.redirect_url.clone(),
        open,
    })
}

fn read_secret(secret: &SecretRef, places: &SecretPlaces) -> Result<Secret> {
    secret.read(places).map_err(|e| Error::new(ErrorKind::Config, "secret.read", e.message).next(e.next))
}
