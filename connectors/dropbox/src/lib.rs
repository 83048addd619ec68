//! Dropbox: client folders as shared folders, their member lists, and verified uploads.
//!
//! `api` builds requests, `refusal` judges answers, `map` turns Dropbox's shapes into ours, `account` knows whom we act as,
//! `place` finds and makes folders, `members` changes who is in them, `walk` reads what is below one, `target` and `upload`
//! are the storage target, `together` commits small files, `notes` is what the probe says, `fake` is a Dropbox to test against.

mod account;
pub mod api;
pub mod fake;
pub mod map;
mod members;
mod notes;
mod place;
pub mod refusal;
mod target;
mod together;
mod upload;
mod walk;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use ledgerward_contract::{
    AuthScheme, Build, ClientAuth, Connector, Endpoint, Error, ErrorKind, Factory, Manifest, OAuthSpec, Quota,
    QuotaWindow, Result, Rotation, ScopeSet, StorageTarget, Timestamp,
};
use ledgerward_kit::RootMemory;
use serde::Deserialize;
use serde_json::Value;

pub use map::content_hash;
pub use refusal::retry_hint;

/// Dropbox hashes content in blocks of this, so pieces are whole multiples of it.
const BLOCK: usize = 4 << 20;

static MANIFEST: Manifest = Manifest {
    name: "dropbox",
    title: "Dropbox",
    auth: AuthScheme::OAuth(OAuthSpec {
        authorize: ("www", "/oauth2/authorize"),
        token: ("oauth", "/oauth2/token"),
        // Dropbox revokes by an API call with the access token, not by RFC 7009.
        revoke: None,
        client_auth: ClientAuth::Body,
        rotation: Rotation::Stable,
        scopes: &[
            ScopeSet {
                name: "user",
                scopes: &[
                    "account_info.read",
                    "files.metadata.read",
                    "files.content.read",
                    "files.content.write",
                    "sharing.read",
                    "sharing.write",
                ],
            },
            ScopeSet {
                name: "team",
                scopes: &[
                    "account_info.read",
                    "files.metadata.read",
                    "files.content.read",
                    "files.content.write",
                    "sharing.read",
                    "sharing.write",
                    "team_info.read",
                    "members.read",
                    "team_data.member",
                ],
            },
        ],
        extra: &[("token_access_type", "offline")],
        ..OAuthSpec::PLAIN
    }),
    endpoints: &[
        Endpoint { name: "api", url: "https://api.dropboxapi.com/2" },
        Endpoint { name: "content", url: "https://content.dropboxapi.com/2" },
        Endpoint { name: "www", url: "https://www.dropbox.com" },
        Endpoint { name: "oauth", url: "https://api.dropboxapi.com" },
    ],
    quotas: &[
        // Dropbox publishes no figures. These keep a large firm's sweep from being the reason for a 429.
        Quota::connection("requests a minute", QuotaWindow::PerMinute(600)),
        Quota::connection("requests at once", QuotaWindow::Concurrent(4)),
    ],
    access: None,
    grade: None,
    statements: &[],
    roles: &[],
    settings: SETTINGS,
    unverified: &[
        "what comes of an address that is a group's: an entry of the group, which is taken back and refused",
        "pace: 600 requests a minute and 4 at once; Dropbox publishes no figures",
        "adding makes a member of somebody whom the list shows with `traverse` or `no_access`; it is read back",
        "adding somebody who is a member already neither fails nor lowers the role (we look first)",
        "how long invitations rest after the daily limit (we wait 24 hours)",
        "a change of members does not appear in the change feed (we read the member lists)",
        "`sharing_info.modified_by` of a file in a shared folder names its last writer; a marker that another account wrote is not believed",
        "with `path`, list_folder_members names those who get in through a parent",
        "shared links made by other members are not shown to this account by list_shared_links",
        "the letter case of parent folders in `path_display` is that of the folders",
        "a shared folder keeps its shared_folder_id when it is renamed or moved",
    ],
};

const SETTINGS: &[(&str, &str)] = &[
    (
        "root",
        "folder that holds the client folders, from the top of the account's own Dropbox; \"/ledgerward clients\"",
    ),
    ("team_space", "true: `root` is counted from the top of the team space, and lies in a team folder; false"),
    ("select_user", "team sign-in only: the team member id (dbmid:…) that ledgerward acts as"),
    ("chunk_bytes", "bytes in one piece of a large upload, a multiple of 4194304; 8388608"),
];

/// What the configuration says, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(default = "default_root")]
    pub root: String,
    #[serde(default)]
    pub team_space: bool,
    #[serde(default)]
    pub select_user: Option<String>,
    #[serde(default = "default_chunk")]
    pub chunk_bytes: usize,
}

fn default_root() -> String {
    "/ledgerward clients".to_owned()
}

const fn default_chunk() -> usize {
    8 << 20
}

impl Settings {
    /// Errors: `Config`, naming the setting.
    pub fn parse(value: &Value) -> Result<Self> {
        let bad = |text: &str| Error::new(ErrorKind::Config, "settings.read", text);
        let known = || SETTINGS.iter().map(|(k, help)| format!("{k}: {help}")).collect::<Vec<_>>().join("; ");
        let value = if value.is_null() { &Value::Object(serde_json::Map::new()) } else { value };
        let mut s: Self = Self::deserialize(value).map_err(|e| {
            bad(&format!("the settings of Dropbox are not right: {e}")).next(format!("Known are: {}.", known()))
        })?;
        s.root = s.root.trim_end_matches('/').to_owned();
        let names: Vec<_> = s.root.split('/').skip(1).collect();
        let fine = |n: &&str| !n.is_empty() && *n != "." && *n != ".." && !n.contains('\\') && n.trim() == *n;
        if !s.root.starts_with('/') || names.is_empty() || !names.iter().all(fine) {
            return Err(bad("`root` is not the path of a folder")
                .next("Write it as Dropbox shows it, from the top and with a slash first: \"/Clients\"."));
        }
        if s.select_user.as_deref().is_some_and(|u| !u.starts_with("dbmid:") || !u.is_ascii()) {
            return Err(bad("`select_user` is not a team member id").next(
                "It begins with dbmid: and stands in the admin console; leave it out for a person's own sign-in.",
            ));
        }
        if s.chunk_bytes == 0 || !s.chunk_bytes.is_multiple_of(BLOCK) || s.chunk_bytes > 128 << 20 {
            return Err(
                bad("`chunk_bytes` is not a multiple of 4194304 up to 134217728").next("Leave it out, or use 8388608.")
            );
        }
        Ok(s)
    }

    /// The scope set of the manifest that these settings need.
    pub fn scope_set(&self) -> &'static str {
        if self.select_user.is_some() { "team" } else { "user" }
    }
}

/// The registered kind.
pub static FACTORY: DropboxFactory = DropboxFactory;

pub struct DropboxFactory;

impl Factory for DropboxFactory {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn build(&self, from: Build) -> Result<Box<dyn Connector>> {
        let settings = Settings::parse(&from.settings)?;
        Ok(Box::new(Dropbox {
            api: api::Api::new(from.endpoints, settings.select_user.clone()),
            settings,
            me: Mutex::default(),
            marks: Mutex::default(),
            neighbours: RootMemory::default(),
            adding_rests: Mutex::default(),
            writes: tokio::sync::Mutex::default(),
            together: together::Together::default(),
            making: tokio::sync::Mutex::default(),
        }))
    }
}

/// A configured Dropbox.
pub struct Dropbox {
    settings: Settings,
    api: api::Api,
    /// Whom we act as, and when we asked.
    me: Mutex<Option<(Timestamp, account::Me)>>,
    /// Folders whose marker we read or wrote, by shared folder id: the key and the marker's revision. Saves reading the
    /// marker of every folder at every look; a folder that seems to be the one is read all the same.
    marks: Mutex<BTreeMap<String, String>>,
    /// Shared ids of what lies in the root, so that it is not listed anew for every new client.
    neighbours: RootMemory<String>,
    /// Until when Dropbox takes no more invitations of this account.
    adding_rests: Mutex<Option<Timestamp>>,
    /// One write at a time: Dropbox locks a whole namespace and refuses the second of two that overlap.
    writes: tokio::sync::Mutex<()>,
    /// Small files that wait for it.
    together: together::Together,
    /// One new client folder at a time: the look for an old one and the making of a new one belong together.
    making: tokio::sync::Mutex<()>,
}

impl Connector for Dropbox {
    fn target(&self) -> Option<&dyn StorageTarget> {
        Some(self)
    }
}

impl Dropbox {
    fn known_mark(&self, folder: &str) -> Option<String> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).get(folder).cloned()
    }

    fn remember_mark(&self, folder: &str, key: Option<&str>) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.len() >= 50_000 {
            marks.clear();
        }
        match key {
            Some(key) => marks.insert(folder.to_owned(), key.to_owned()),
            None => marks.remove(folder),
        };
    }
}
