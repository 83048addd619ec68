//! OneDrive and SharePoint by Microsoft Graph v1.0: client folders, their permissions, and verified uploads.
//!
//! `api` builds requests, `refusal` judges answers, `map` turns Graph's `shapes` into ours, `names` are names and hashes,
//! `place` finds drives and finds and makes folders, `marks` are our marks in them, `walk` reads who gets in and what is
//! below, `people` changes permissions, `feed` follows changes, `target` and `upload` are the storage target, `fake` is a
//! Graph to test against.

pub mod api;
pub mod fake;
mod feed;
pub mod map;
mod marks;
pub mod names;
mod notes;
mod people;
mod place;
pub mod refusal;
mod settings;
mod shapes;
mod target;
mod upload;
mod walk;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ledgerward_contract::{
    AuthScheme, Build, ClientAuth, Connector, Endpoint, Factory, Manifest, OAuthSpec, Quota, QuotaWindow, Result,
    Rotation, ScopeSet, StorageTarget,
};
use ledgerward_kit::RootMemory;

pub use refusal::retry_hint;
pub use settings::Settings;

static MANIFEST: Manifest = Manifest {
    name: "microsoft-graph",
    title: "OneDrive and SharePoint",
    auth: AuthScheme::OAuth(OAuthSpec {
        authorize: ("login", "/oauth2/v2.0/authorize"),
        token: ("login", "/oauth2/v2.0/token"),
        // Graph can end all sessions of a person only, not this one.
        revoke: None,
        client_auth: ClientAuth::Body,
        // Each refresh gives a new token, and the one before it stays good.
        rotation: Rotation::Stable,
        scopes: &[
            ScopeSet {
                name: "work",
                scopes: &["offline_access", "User.Read", "Files.ReadWrite.All", "Sites.ReadWrite.All"],
            },
            ScopeSet { name: "own_drive", scopes: &["offline_access", "User.Read", "Files.ReadWrite"] },
        ],
        idle_lifetime: Some(Duration::from_secs(90 * 24 * 3600)),
        app_only: Some(Settings::app_form),
        ..OAuthSpec::PLAIN
    }),
    endpoints: &[
        Endpoint { name: "api", url: "https://graph.microsoft.com/v1.0" },
        // A firm's own tenant goes in its place: https://login.microsoftonline.com/<tenant id>.
        Endpoint { name: "login", url: "https://login.microsoftonline.com/organizations" },
        // Uploads and downloads go to addresses that answers name, without our token.
        Endpoint { name: "content", url: "https://*.sharepoint.com" },
    ],
    quotas: &[
        // 1,200 resource units a minute and app in the smallest tenants. A permission call costs 5 of them, read or write.
        Quota::connection("requests a minute", QuotaWindow::PerMinute(240)).told_by("ratelimit-remaining"),
        Quota::connection("requests at once", QuotaWindow::Concurrent(4)),
    ],
    access: None,
    grade: None,
    statements: &[],
    roles: &[],
    settings: settings::HELP,
    unverified: &[
        "what comes of an address that is a group's: an entry of the group, which is taken back and refused",
        "`inheritedFrom` tells inherited entries (observed, not documented); an entry that the folder above has as well, with a role, counts as inherited too",
        "limited access on the folder above is shown again by a folder without a list of its own only; any other entry without a role counts as a stranger's",
        "things below a folder that are shared by themselves have the `shared` facet (setting `below = \"all\"` reads every list)",
        "how soon SharePoint shows a permission that it just took; it is read up to four times, seconds apart",
        "the list of names that SharePoint refuses, from support pages; they are written with look-alike characters",
        "what a refused recipient is called (`noResolvedUsers`); any 400 counts as refused",
        "how many people one folder takes (setting `grants_max`)",
        "where a private person's OneDrive takes large files (endpoint `content`)",
        "that `If-Match` takes the cTag on a replaced content, so that a change of the name alone is no conflict",
        "that an app's own sign-in sees whole sharing lists; a list without an owner or a group of the site is refused in any case",
        "that a dead client secret is told by AADSTS7000222 only when it is used; note its end in your calendar",
    ],
};

/// The registered kind.
pub static FACTORY: GraphFactory = GraphFactory;

pub struct GraphFactory;

impl Factory for GraphFactory {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn build(&self, from: Build) -> Result<Box<dyn Connector>> {
        let settings = Settings::parse(&from.settings)?;
        if settings.app_only {
            settings::needs_tenant(&from.endpoints)?;
        }
        Ok(Box::new(GraphTarget {
            api: api::Api::new(from.endpoints, &settings.firm),
            settings,
            root: Mutex::default(),
            marks: Mutex::default(),
            neighbours: RootMemory::default(),
            lanes: Mutex::default(),
        }))
    }
}

/// A configured drive.
pub struct GraphTarget {
    settings: Settings,
    api: api::Api,
    /// The root that we found or made. A hint, looked up by id before each use.
    root: Mutex<Option<map::Place>>,
    /// The marks of folders seen so far, so that a look for one client need not open all others' folders again. A hint:
    /// what is found by it is read again.
    marks: Mutex<BTreeMap<map::Place, Vec<String>>>,
    /// What lies in the root, so that it is not listed anew for every new client.
    neighbours: RootMemory<map::Item>,
    /// One gate a folder: changes of one sharing list go one after another.
    lanes: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Connector for GraphTarget {
    fn target(&self) -> Option<&dyn StorageTarget> {
        Some(self)
    }
}

impl GraphTarget {
    /// The gate of one folder. Gates that nobody holds are dropped on the way.
    fn lane(&self, folder: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, gate| Arc::strong_count(gate) > 1);
        Arc::clone(lanes.entry(folder.to_owned()).or_default())
    }

    fn known_root(&self) -> Option<map::Place> {
        self.root.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember_root(&self, place: Option<map::Place>) {
        *self.root.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }
}
