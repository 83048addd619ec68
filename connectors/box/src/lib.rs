//! Box: client folders, their collaborations, and verified uploads.
//!
//! `api` builds requests, `refusal` judges answers, `map` turns Box's shapes into ours, `names` are names and hashes, `place` finds and makes folders,
//! `walk` reads who gets in and what is below, `people` changes collaborations, `target` and `upload` are the storage
//! target, `fake` is a Box to test against.

pub mod api;
pub mod fake;
pub mod map;
pub mod names;
mod notes;
mod people;
mod place;
pub mod refusal;
mod target;
mod upload;
mod walk;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ledgerward_contract::{
    AuthScheme, Build, ClientAuth, Connector, Endpoint, Error, ErrorKind, Factory, Manifest, OAuthSpec, Quota,
    QuotaWindow, Result, Rotation, ScopeSet, StorageTarget,
};
use ledgerward_kit::RootMemory;
use serde::Deserialize;
use serde_json::Value;

pub use refusal::retry_hint;

static MANIFEST: Manifest = Manifest {
    name: "box",
    title: "Box",
    auth: AuthScheme::OAuth(OAuthSpec {
        authorize: ("account", "/api/oauth2/authorize"),
        token: ("oauth", "/oauth2/token"),
        revoke: Some(("oauth", "/oauth2/revoke")),
        client_auth: ClientAuth::Body,
        // Every refresh token serves once, and Box documents no time in which a lost answer may be asked for again.
        rotation: Rotation::SingleUse { grace: None },
        scopes: &[ScopeSet { name: "root_readwrite", scopes: &["root_readwrite"] }],
        extra: &[],
        idle_lifetime: Some(Duration::from_secs(60 * 24 * 3600)),
        app_only: Some(Settings::app_form),
        ..OAuthSpec::PLAIN
    }),
    endpoints: &[
        Endpoint { name: "api", url: "https://api.box.com/2.0" },
        Endpoint { name: "upload", url: "https://upload.box.com/api/2.0" },
        // Box names the host of a large upload in its answer; our token goes to hosts of this list only.
        Endpoint { name: "upload_sessions", url: "https://upload.app.box.com/api/2.0" },
        Endpoint { name: "oauth", url: "https://api.box.com" },
        Endpoint { name: "account", url: "https://account.box.com" },
    ],
    quotas: &[
        Quota::connection("requests a minute", QuotaWindow::PerMinute(1_000)),
        Quota::connection("requests at once", QuotaWindow::Concurrent(8)),
    ],
    access: None,
    grade: None,
    statements: &[],
    roles: &[],
    settings: SETTINGS,
    unverified: &[
        "what comes of an address that is a group's: an entry of the group, which is taken back and refused",
        "an inherited collaboration is known by its item's id; the lists of the folders above are read as well, so nothing hangs on it",
        "whether `has_collaborations` is true of things below a shared folder; where it is, each costs one request more",
        "whether Box mails an invitation to an address without a Box account although `notify=false` is sent",
        "how many collaborators a folder takes by plan (setting `grants_max`)",
        "how large a file may be by plan (setting `file_bytes_max`)",
        "that access ends by itself needs a setting of the enterprise (setting `expiry`)",
        "how long a rejected invitation stays in the list",
        "the host of large uploads, upload.app.box.com, is from memory (endpoint `upload_sessions`); a session on another host is refused with its name",
        "a description of up to 255 characters on a folder keeps our mark",
    ],
};

const SETTINGS: &[(&str, &str)] = &[
    ("root", "id of the folder that holds the client folders; absent: ledgerward makes one of its own"),
    ("root_name", "name of the folder that ledgerward makes when `root` is absent; \"ledgerward clients\""),
    (
        "enterprise_id",
        "the enterprise in which an administrator authorised the app: it signs in as itself, as its service account (no `connect`)",
    ),
    (
        "user_id",
        "id of the managed user as whom the app signs in, where its settings let it; in the place of `enterprise_id`",
    ),
    ("reader_role", "what readers get: \"viewer\" (may download) or \"previewer\" (may not); viewer"),
    ("expiry", "true if the enterprise lets folder owners set an end of a collaboration; false"),
    ("grants_max", "people that one folder takes by the firm's plan; 1000"),
    ("file_bytes_max", "bytes of the largest file by the firm's plan; 250000000"),
];

/// What the configuration says, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub root: Option<String>,
    #[serde(default = "default_root_name")]
    pub root_name: String,
    pub enterprise_id: Option<String>,
    pub user_id: Option<String>,
    #[serde(default = "default_reader_role")]
    pub reader_role: String,
    #[serde(default)]
    pub expiry: bool,
    #[serde(default = "default_grants_max")]
    pub grants_max: usize,
    #[serde(default = "default_file_bytes_max")]
    pub file_bytes_max: u64,
}

fn default_root_name() -> String {
    "ledgerward clients".to_owned()
}

fn default_reader_role() -> String {
    "viewer".to_owned()
}

const fn default_grants_max() -> usize {
    1_000
}

const fn default_file_bytes_max() -> u64 {
    250_000_000
}

impl Settings {
    /// Errors: `Config`, naming the setting.
    pub fn parse(value: &Value) -> Result<Self> {
        let bad = |text: String| Error::new(ErrorKind::Config, "settings.read", text);
        let known = || SETTINGS.iter().map(|(k, help)| format!("{k}: {help}")).collect::<Vec<_>>().join("; ");
        let value = if value.is_null() { &Value::Object(serde_json::Map::new()) } else { value };
        let s: Self = Self::deserialize(value).map_err(|e| {
            bad(format!("the settings of Box are not right: {e}")).next(format!("Known are: {}.", known()))
        })?;
        match s.root.as_deref() {
            Some("0") => {
                return Err(bad("`root` is 0, the account's own top folder, which cannot be shared".to_owned())
                    .next("Leave `root` out, and ledgerward makes a folder there; or make one and give its id."));
            }
            Some(r) if r.is_empty() || !r.bytes().all(|b| b.is_ascii_digit()) => {
                return Err(bad("`root` is not the id of a folder".to_owned())
                    .next("Open the folder in a browser and copy the number after /folder/ in the address."));
            }
            _ => {}
        }
        let subjects = [("enterprise_id", &s.enterprise_id), ("user_id", &s.user_id)];
        for (name, id) in subjects.iter().filter_map(|(name, id)| Some((name, id.as_deref()?))) {
            if id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit()) {
                return Err(bad(format!("`{name}` is not an id that Box gives"))
                    .next("Copy the number from the Admin Console: Account & Billing, or Users & Groups."));
            }
        }
        if subjects.iter().all(|(_, id)| id.is_some()) {
            return Err(bad("`enterprise_id` and `user_id` are both given".to_owned())
                .next("Give one of them: as whom the app signs in."));
        }
        if !names::name_is_legal(&s.root_name) {
            return Err(bad("`root_name` is no name that Box takes".to_owned())
                .next("Leave it out, or give 1 to 255 characters without / and \\ and without outer blanks."));
        }
        if !["viewer", "previewer"].contains(&s.reader_role.as_str()) {
            return Err(bad("`reader_role` is neither \"viewer\" nor \"previewer\"".to_owned())
                .next("Leave it out, or use one of the two."));
        }
        if s.grants_max == 0 || s.file_bytes_max == 0 {
            return Err(bad("`grants_max` and `file_bytes_max` must be above 0".to_owned()).next("Leave them out."));
        }
        Ok(s)
    }

    /// What the app says at the token endpoint when it signs in as itself (client credentials grant).
    pub fn app_form(value: &Value) -> Option<Vec<(&'static str, String)>> {
        let s = Self::parse(value).ok()?;
        let (kind, id) = match (s.enterprise_id, s.user_id) {
            (Some(id), _) => ("enterprise", id),
            (None, Some(id)) => ("user", id),
            (None, None) => return None,
        };
        Some(vec![("box_subject_type", kind.to_owned()), ("box_subject_id", id)])
    }
}

/// The registered kind.
pub static FACTORY: BoxFactory = BoxFactory;

pub struct BoxFactory;

impl Factory for BoxFactory {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn build(&self, from: Build) -> Result<Box<dyn Connector>> {
        let settings = Settings::parse(&from.settings)?;
        Ok(Box::new(BoxTarget {
            settings,
            api: api::Api::new(from.endpoints),
            root: Mutex::default(),
            neighbours: RootMemory::default(),
            lanes: Mutex::default(),
        }))
    }
}

/// A configured Box.
pub struct BoxTarget {
    settings: Settings,
    api: api::Api,
    /// The id of the root that we found or made. A hint, looked up by id before each use.
    root: Mutex<Option<String>>,
    /// What lies in the root, so that it is not listed anew for every new client.
    neighbours: RootMemory<map::Item>,
    /// One gate a folder: Box answers 409 or 503 to changes of one folder side by side.
    lanes: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Connector for BoxTarget {
    fn target(&self) -> Option<&dyn StorageTarget> {
        Some(self)
    }
}

impl BoxTarget {
    /// The gate of one folder. Gates that nobody holds are dropped on the way.
    fn lane(&self, folder: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, gate| Arc::strong_count(gate) > 1);
        Arc::clone(lanes.entry(folder.to_owned()).or_default())
    }

    fn known_root(&self) -> Option<String> {
        self.root.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember_root(&self, id: Option<&str>) {
        *self.root.lock().unwrap_or_else(PoisonError::into_inner) = id.map(str::to_owned);
    }
}
