//! Google Drive: client folders, their sharing lists, and verified uploads.
//!
//! `api` builds requests, `refusal` judges answers, `map` turns Drive's shapes into ours, `place` finds and makes folders,
//! `people` lets persons in, `walk` reads what is below one, `target` and `upload` are the storage target, `fake` is a Drive
//! to test against.

pub mod api;
pub mod fake;
pub mod map;
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
    QuotaWindow, Result, Rotation, ScopeSet, StorageTarget, Timestamp,
};
use serde::Deserialize;
use serde_json::Value;

pub use map::file_marker;
pub use refusal::retry_hint;

/// Resumable pieces are whole multiples of this, except the last.
const PIECE: usize = 256 * 1024;

static MANIFEST: Manifest = Manifest {
    name: "google-drive",
    title: "Google Drive",
    auth: AuthScheme::OAuthOrServiceAccount(OAuthSpec {
        authorize: ("accounts", "/o/oauth2/v2/auth"),
        token: ("oauth", "/token"),
        revoke: Some(("oauth", "/revoke")),
        client_auth: ClientAuth::Body,
        rotation: Rotation::Stable,
        scopes: &[
            ScopeSet { name: "drive.file", scopes: &["https://www.googleapis.com/auth/drive.file"] },
            ScopeSet { name: "drive", scopes: &["https://www.googleapis.com/auth/drive"] },
        ],
        extra: &[("access_type", "offline"), ("prompt", "consent")],
        // Google drops a refresh token that was not used for six months.
        idle_lifetime: Some(Duration::from_secs(180 * 24 * 3600)),
        ..OAuthSpec::PLAIN
    }),
    endpoints: &[
        Endpoint { name: "api", url: "https://www.googleapis.com/drive/v3" },
        Endpoint { name: "upload", url: "https://www.googleapis.com/upload/drive/v3" },
        Endpoint { name: "accounts", url: "https://accounts.google.com" },
        Endpoint { name: "oauth", url: "https://oauth2.googleapis.com" },
    ],
    quotas: &[
        // 325,000 units a minute and user, the dearest call costs 100; counted as if every call were the dearest.
        Quota::connection("requests a minute", QuotaWindow::PerMinute(3_000)),
        Quota::connection("requests at once", QuotaWindow::Concurrent(10)),
    ],
    access: None,
    grade: None,
    statements: &[],
    roles: &[],
    settings: SETTINGS,
    unverified: &[
        "an entry made with the address of a group comes back as one of type `group`; it is taken back, and refused",
        "a folder's `writersCanShare` does not reach what is made in it, so it is set on each thing made in My Drive",
        "quota: 325,000 units a minute and user, 100 units for a list of permissions (projects made since 2026-05-01)",
        "how long nobody new is let in after sharingRateLimitExceeded (we wait 15 minutes)",
        "about 600 direct grants on one item in My Drive",
        "with the scope drive.file, files that people put into a client's folder by hand are not visible, nor are ways in on them",
        "ids made beforehand are accepted for folders in shared drives",
    ],
};

const SETTINGS: &[(&str, &str)] = &[
    ("root", "id of the folder or shared drive that holds the client folders; absent: ledgerward makes one of its own"),
    ("root_name", "name of the folder that ledgerward makes when `root` is absent; \"ledgerward clients\""),
    ("service_account", "the service account's key file, instead of a person's sign-in"),
    ("impersonate", "e-mail of the Workspace user that the service account acts as"),
    ("chunk_bytes", "bytes in one piece of a large upload, a multiple of 262144; 8388608"),
];

/// What the configuration says, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub root: Option<String>,
    #[serde(default = "default_root_name")]
    pub root_name: String,
    /// This and the next are for whoever signs assertions; here they are only known, so that they are not refused.
    #[serde(default)]
    pub service_account: Option<Value>,
    #[serde(default)]
    pub impersonate: Option<String>,
    #[serde(default = "default_chunk")]
    pub chunk_bytes: usize,
}

fn default_root_name() -> String {
    "ledgerward clients".to_owned()
}

const fn default_chunk() -> usize {
    8 << 20
}

impl Settings {
    /// Errors: `Config`, naming the setting.
    pub fn parse(value: &Value) -> Result<Self> {
        let bad = |text: String| Error::new(ErrorKind::Config, "settings.read", text);
        let known = || SETTINGS.iter().map(|(k, help)| format!("{k}: {help}")).collect::<Vec<_>>().join("; ");
        let value = if value.is_null() { &Value::Object(serde_json::Map::new()) } else { value };
        let s: Self = Self::deserialize(value).map_err(|e| {
            bad(format!("the settings of Google Drive are not right: {e}")).next(format!("Known are: {}.", known()))
        })?;
        if s.root
            .as_deref()
            .is_some_and(|r| r.is_empty() || !r.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)))
        {
            return Err(bad("`root` is not the id of a folder".to_owned()).next(
                "Open the folder in a browser and copy the part of the address after /folders/; no link, no name.",
            ));
        }
        if s.root_name.trim().is_empty() {
            return Err(bad("`root_name` is empty".to_owned()).next("Leave it out, or give a name."));
        }
        if s.chunk_bytes == 0 || !s.chunk_bytes.is_multiple_of(PIECE) || s.chunk_bytes > 64 << 20 {
            return Err(bad("`chunk_bytes` is not a multiple of 262144 up to 67108864".to_owned())
                .next("Leave it out, or use 8388608."));
        }
        Ok(s)
    }

    /// The scope set of the manifest that these settings need.
    pub fn scope_set(&self) -> &'static str {
        if self.root.is_some() { "drive" } else { "drive.file" }
    }
}

/// The registered kind.
pub static FACTORY: DriveFactory = DriveFactory;

pub struct DriveFactory;

impl Factory for DriveFactory {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn build(&self, from: Build) -> Result<Box<dyn Connector>> {
        let settings = Settings::parse(&from.settings)?;
        Ok(Box::new(Drive {
            settings,
            api: api::Api::new(from.endpoints),
            ids: Mutex::default(),
            lanes: Mutex::default(),
            sharing_rests: Mutex::default(),
        }))
    }
}

/// A configured Drive.
pub struct Drive {
    settings: Settings,
    api: api::Api,
    /// Ids of folders we made or were about to make (our root, sub-folders), by what they are for. A hint that is looked
    /// up by id before use: `files.list` lags behind, and a second folder must not come of that.
    ids: Mutex<BTreeMap<String, String>>,
    /// One gate a folder: Google keeps only the last of two permission changes that overlap.
    lanes: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Until when Google lets this account let nobody in.
    sharing_rests: Mutex<Option<Timestamp>>,
}

impl Connector for Drive {
    fn target(&self) -> Option<&dyn StorageTarget> {
        Some(self)
    }
}

impl Drive {
    /// The gate of one folder. Gates that nobody holds are dropped on the way.
    fn lane(&self, folder: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, gate| Arc::strong_count(gate) > 1);
        Arc::clone(lanes.entry(folder.to_owned()).or_default())
    }

    fn known_id(&self, what: &str) -> Option<String> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).get(what).cloned()
    }

    fn remember_id(&self, what: &str, id: &str) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.len() >= 50_000 {
            ids.clear();
        }
        ids.insert(what.to_owned(), id.to_owned());
    }

    fn forget_id(&self, what: &str) {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).remove(what);
    }
}
