//! What every command stands on: the configuration, the state, who is acting, and the time.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use ledgerward_contract::{Email, OwnUser, Timestamp};
use ledgerward_kit::clock::{Clock, SystemClock};

use crate::{
    cli::{
        args::Global,
        outcome::{Exit, Failure, Fault},
    },
    config::{
        self, Config, LoadError,
        secret::{SecretPlaces, SecretRef},
    },
    domain::{
        firm::{Authority, Firm, Person, TargetName, Zone},
        identity::OwnIdentity,
    },
    process::Process,
    registry,
    store::{Actor, KeySource, Kind, Options, SignIn, SignInState, Store, StoreError},
    world::{Ground, SignInRow, World},
};

pub const CONFIG_FILE: &str = "/etc/ledgerward/config.toml";
pub const STATE_DIR: &str = "/var/lib/ledgerward";

/// The daemon's socket, in its directory.
const SOCKET: &str = "ledgerward.sock";

/// Where things are, from the command line.
#[derive(Clone, Debug)]
pub struct Place {
    pub config: PathBuf,
    pub state: PathBuf,
    /// Where others may reach the daemon's socket, who may not see the state (systemd's `RuntimeDirectory=`).
    pub runtime: Option<PathBuf>,
    pub acting: Option<Email>,
    pub json: bool,
    pub quiet: bool,
}

impl Place {
    pub fn new(global: &Global) -> Self {
        // systemd hands the state directory to a unit that asks for one.
        let state = std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
        Self {
            config: global.config.clone().unwrap_or_else(|| CONFIG_FILE.into()),
            state: global.state.clone().or(state).unwrap_or_else(|| STATE_DIR.into()),
            runtime: std::env::var_os("RUNTIME_DIRECTORY").and_then(|dirs| std::env::split_paths(&dirs).next()),
            acting: global.acting.clone(),
            json: global.json,
            quiet: global.quiet,
        }
    }

    /// Where the daemon listens: in its runtime directory, or, where it was given none, in the state.
    pub fn socket(&self) -> PathBuf {
        self.runtime.as_ref().unwrap_or(&self.state).join(SOCKET)
    }

    /// Where a command looks for the daemon, in this order: as [`Self::socket`]; where systemd puts the runtime directory
    /// of a unit with this state directory; in the state itself.
    pub fn sockets(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = self.runtime.iter().cloned().chain(runtime_of(&self.state)).collect();
        all.push(self.state.clone());
        all.dedup();
        all.into_iter().map(|dir| dir.join(SOCKET)).collect()
    }
}

/// `StateDirectory=X` is /var/lib/X (with `DynamicUser=` also /var/lib/private/X), and `RuntimeDirectory=X` is /run/X.
fn runtime_of(state: &Path) -> Option<PathBuf> {
    let name = state.strip_prefix("/var/lib").ok()?;
    let name = name.strip_prefix("private").unwrap_or(name);
    name.components().next().map(|_| Path::new("/run").join(name))
}

/// The manifests of this build, as the configuration is checked against them.
pub fn manifests() -> Vec<&'static ledgerward_contract::Manifest> {
    registry::manifests().collect()
}

/// Reads and checks the configuration. Every problem is told at once, each with its line.
pub fn load_config(file: &Path) -> Result<Config, Failure> {
    config::load(file, &manifests()).map_err(|e| match e {
        LoadError::Unreadable { ref next, .. } => Failure::new(Exit::Refused, e.to_string()).next(next.clone()),
        LoadError::Refused(_) => Failure::new(Exit::Refused, e.to_string().trim_end().to_owned())
            .next("Put these lines right and run the command again. Nothing was changed."),
    })
}

/// One open firm.
pub struct App {
    pub place: Place,
    pub config: Arc<Config>,
    /// Audited under `actor`.
    pub store: Store,
    pub actor: Actor,
    /// The person of the firm who acts, where it is one.
    pub person: Option<Email>,
    pub clock: Arc<dyn Clock>,
    /// Shared by all commands of one process.
    pub process: Arc<Process>,
}

impl App {
    /// Takes the lock and opens the state.
    ///
    /// Errors: 75 where another instance holds the lock, 78 for a configuration or state that is refused.
    pub fn open(place: Place) -> Result<Self, Failure> {
        let config = load_config(&place.config)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = Store::open(options(&place, &config, clock.now())?)?;
        let uid = rustix::process::getuid().as_raw();
        Self::acting(place, Arc::new(config), store, clock, uid, "command line", Arc::default())
    }

    /// The same open firm, for whoever asks: a command on this machine, or a peer of the daemon's socket.
    pub fn acting(
        place: Place,
        config: Arc<Config>,
        store: Store,
        clock: Arc<dyn Clock>,
        uid: u32,
        via: &str,
        process: Arc<Process>,
    ) -> Result<Self, Failure> {
        let (name, person) = who(&config, place.acting.as_ref(), uid, place.state.as_path())?;
        let actor = Actor::new(name, Some(uid), via);
        Ok(Self { store: store.acting(actor.clone()), place, config, actor, person, clock, process })
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn secrets(&self) -> SecretPlaces {
        SecretPlaces::of_process(&self.place.config)
    }

    pub fn ground(&self) -> Ground {
        Ground {
            vault: Arc::new(self.store.clone()),
            days: Arc::new(self.store.clone()),
            clock: Arc::clone(&self.clock),
            secrets: self.secrets(),
            tokens: Arc::clone(&self.process.tokens),
            network: self.process.network.clone(),
        }
    }

    /// The connections and targets as configured now, with the sign-ins of the state.
    pub async fn world(&self) -> Result<Arc<World>, Failure> {
        let rows = self.store.run(|db| db.signins()).await?;
        let rows: Vec<_> = rows.into_iter().map(sign_in_row).collect();
        let build = || World::build(&self.config, &self.ground(), &rows);
        self.process.world(&self.config, format!("{rows:?}"), build).await
    }

    /// The firm as it is stored, with what the configuration decides laid over it.
    pub async fn firm(&self) -> Result<Firm, Failure> {
        let stored = self.store.run(|db| db.firm()).await?;
        Ok(with_settings(stored, &self.config))
    }

    /// The targets of the configuration; where there is none, one of no name: who would see what is a question before there
    /// is anywhere to put it.
    pub fn folder_targets(&self) -> Vec<TargetName> {
        let all: Vec<TargetName> = self.config.targets.keys().cloned().collect();
        if all.is_empty() { vec![TargetName("-".to_owned())] } else { all }
    }

    /// The person of the firm who acts.
    pub fn acting_person<'f>(&self, firm: &'f Firm) -> Option<&'f Person> {
        let email = self.person.as_ref()?;
        firm.people.values().find(|p| &p.email == email)
    }
}

/// The stored firm as changes are made of it: a new client has the authority that the configuration says. Nothing else is laid
/// over it, since what a change leaves is what is stored.
pub fn with_authority(mut firm: Firm, authority: &Authority) -> Firm {
    firm.policy.authority.clone_from(authority);
    firm
}

/// What the configuration decides is read from there each time: an edit of the file is an edit of the firm.
pub fn with_settings(mut firm: Firm, config: &Config) -> Firm {
    firm.name.clone_from(&config.firm.name);
    firm.zone = Zone(config.firm.timezone.clone());
    firm.domains.clone_from(&config.firm.domains);
    firm.policy.unlisted = config.policy.unlisted;
    firm.policy.authority.clone_from(&config.policy.authority);
    firm.policy.confirm_after_seconds = config.policy.confirm_after_seconds;
    firm.policy.additive_only = config.policy.additive_only;
    firm.policy.always_allowed = config.policy.always_allowed.clone();
    let on = config.targets.iter().map(|(name, t)| (name.clone(), t.always_allowed.clone()));
    firm.policy.always_allowed_on = on.filter(|(_, who)| !who.is_empty()).collect();
    firm.roles = config
        .connections
        .iter()
        .filter_map(|(name, c)| {
            let manifest = registry::entry(&c.remote.connector)?.factory.manifest();
            Some((name.clone(), crate::world::role_table(manifest, &c.roles)))
        })
        .collect();
    firm
}

fn sign_in_row(row: SignIn) -> SignInRow {
    let own = OwnIdentity::of(&OwnUser { subject: row.who.subject, email: row.who.email });
    let dead = match row.state {
        SignInState::NeedsReauth { why, .. } => Some(format!("the sign-in is dead: {why}")),
        _ => None,
    };
    let given = row.issued_at;
    SignInRow { id: row.id, connection: row.who.connection.0, own, realm: row.who.realm, dead, given }
}

/// Where the state is and which key opens it.
pub fn options(place: &Place, config: &Config, now: Timestamp) -> Result<Options, Failure> {
    let options = Options::new(&place.state, now).zone(Zone(config.firm.timezone.clone()));
    let Some(secret) = &config.state_key else { return Ok(options) };
    let path = secret
        .path(&SecretPlaces::of_process(&place.config))
        .map_err(|e| Failure::new(Exit::Refused, e.message).next(e.next))?;
    Ok(options.key(match secret {
        SecretRef::File(_) => KeySource::File(path),
        SecretRef::Credential(_) => KeySource::Credential(path),
    }))
}

/// Who acts: `[operators]` names a local user's person; root and the state's own user may say `--as`, and without it
/// act as themselves.
fn who(config: &Config, acting: Option<&Email>, uid: u32, state: &Path) -> Result<(String, Option<Email>), Failure> {
    let own = || {
        let meta = std::fs::metadata(state);
        meta.map_err(|e| Failure::new(Exit::Refused, format!("{}: {e}", state.display())))
            .map(|meta| std::os::unix::fs::MetadataExt::uid(&meta))
    };
    let trusted = uid == 0 || uid == own()?;
    let operator = config.operators.get(&uid);
    match (acting, operator) {
        (Some(email), _) if trusted => {
            let name = if uid == 0 { "root".to_owned() } else { format!("uid {uid}") };
            Ok((format!("{name} as {email}"), Some(email.clone())))
        }
        (Some(email), Some(own)) if email == own => Ok((email.to_string(), Some(email.clone()))),
        (Some(email), _) => Err(Failure::new(Exit::Failed, format!("you may not act as {email}"))
            .fault(Fault::Denied)
            .next("Only root and the service's own user may use --as. Ask for a line in [operators].")),
        (None, Some(email)) => Ok((email.to_string(), Some(email.clone()))),
        (None, None) if trusted => Ok((if uid == 0 { "root".to_owned() } else { format!("uid {uid}") }, None)),
        (None, None) => {
            Err(Failure::new(Exit::Failed, format!("no person of the firm is known for the local user {uid}"))
                .fault(Fault::Denied)
                .next(format!("Add a line to [operators] in the configuration: {uid} = \"your address\".")))
        }
    }
}

impl From<StoreError> for Failure {
    fn from(e: StoreError) -> Self {
        let exit = match e.kind {
            // A full disk of the state is, like the lock, nothing that anybody asked for: try again later (F05).
            Kind::Locked | Kind::Full => Exit::Locked,
            Kind::Refused | Kind::Newer | Kind::Damaged | Kind::Missing | Kind::Secret => Exit::Refused,
            Kind::Io | Kind::Conflict | Kind::NotFound | Kind::Closed => Exit::Failed,
        };
        let fault = match e.kind {
            Kind::Conflict => Fault::Conflict,
            Kind::NotFound => Fault::Missing,
            Kind::Full | Kind::Io | Kind::Closed => Fault::Unavailable,
            _ => Fault::Other,
        };
        let mut failure = Self::new(exit, e.message.clone()).fault(fault);
        failure.next.clone_from(&e.next);
        if let Some(source) = std::error::Error::source(&e) {
            failure = failure.cause(source);
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_finds_the_socket_where_systemd_puts_it() {
        let mut place = Place {
            config: CONFIG_FILE.into(),
            state: STATE_DIR.into(),
            runtime: None,
            acting: None,
            json: false,
            quiet: false,
        };
        let all = |p: &Place| p.sockets().iter().map(|s| s.display().to_string()).collect::<Vec<_>>();
        assert_eq!(all(&place), ["/run/ledgerward/ledgerward.sock", "/var/lib/ledgerward/ledgerward.sock"]);
        assert_eq!(place.socket(), Path::new("/var/lib/ledgerward/ledgerward.sock"), "without a runtime directory");
        place.state = "/var/lib/private/ledgerward/harbour".into();
        assert_eq!(all(&place)[0], "/run/ledgerward/harbour/ledgerward.sock");
        place.state = "/srv/firm".into();
        assert_eq!(all(&place), ["/srv/firm/ledgerward.sock"]);
        place.state = "/var/lib".into();
        assert_eq!(all(&place), ["/var/lib/ledgerward.sock"]);
        place.runtime = Some("/tmp/r".into());
        assert_eq!(place.socket(), Path::new("/tmp/r/ledgerward.sock"));
        assert_eq!(all(&place), ["/tmp/r/ledgerward.sock", "/var/lib/ledgerward.sock"]);
    }
}
