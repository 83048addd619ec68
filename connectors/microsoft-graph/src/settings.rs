//! What the configuration says, checked.

use ledgerward_contract::{Endpoints, Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::{api, names};

pub const HELP: &[(&str, &str)] = &[
    ("drive", "id of the drive; absent: the one that `user`, `group` or `site` names, or the signed-in account's own"),
    ("user", "whose OneDrive it is, by sign-in name or id; best a licensed account that nobody works with"),
    ("group", "id of the Microsoft 365 group whose drive it is"),
    ("site", "the SharePoint site: \"firm.sharepoint.com:/sites/Ledgers\" or its id"),
    ("library", "name of the document library in `site`; absent: the site's first"),
    ("root", "id of the folder that holds the client folders; absent: ledgerward makes one of its own"),
    ("root_name", "name of the folder that ledgerward makes when `root` is absent; \"ledgerward clients\""),
    (
        "app_only",
        "true: the app signs in as itself with client_id and client_secret, nobody at a page; needs `user`, `group`, `site` or `drive`",
    ),
    ("scopes", "\"work\" (any drive) or \"own_drive\" (the signed-in account's OneDrive only); work"),
    ("firm", "the firm's name in the User-Agent that Microsoft asks for; \"ledgerward\""),
    ("below", "\"shared\" reads the lists of things that say they are shared, \"all\" reads every list; shared"),
    ("grants_max", "people that one folder takes; 1000"),
    ("file_bytes_max", "bytes of the largest file; 1000000000"),
];

/// The settings of one target.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub drive: Option<String>,
    pub user: Option<String>,
    pub group: Option<String>,
    pub site: Option<String>,
    pub library: Option<String>,
    pub root: Option<String>,
    #[serde(default = "default_root_name")]
    pub root_name: String,
    #[serde(default)]
    pub app_only: bool,
    #[serde(default)]
    pub scopes: Scopes,
    #[serde(default = "default_firm")]
    pub firm: String,
    #[serde(default)]
    pub below: Below,
    #[serde(default = "default_grants_max")]
    pub grants_max: usize,
    #[serde(default = "default_file_bytes_max")]
    pub file_bytes_max: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scopes {
    #[default]
    Work,
    OwnDrive,
}

/// Which lists below a folder are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Below {
    #[default]
    Shared,
    All,
}

fn default_root_name() -> String {
    "ledgerward clients".to_owned()
}

fn default_firm() -> String {
    "ledgerward".to_owned()
}

const fn default_grants_max() -> usize {
    1_000
}

const fn default_file_bytes_max() -> u64 {
    1_000_000_000
}

impl Settings {
    /// Errors: `Config`, naming the setting.
    pub fn parse(value: &Value) -> Result<Self> {
        let value = if value.is_null() { &Value::Object(serde_json::Map::new()) } else { value };
        let s: Self = Self::deserialize(value).map_err(|e| {
            let known: Vec<_> = HELP.iter().map(|(k, help)| format!("{k}: {help}")).collect();
            bad(
                format!("the settings of OneDrive and SharePoint are not right: {e}"),
                &format!("Known are: {}.", known.join("; ")),
            )
        })?;
        let named = [&s.drive, &s.user, &s.group, &s.site].into_iter().flatten().count();
        if named > 1 {
            return Err(bad("only one of `drive`, `user`, `group` and `site` can be given", "Leave the others out."));
        }
        if s.app_only && (named == 0 || s.scopes == Scopes::OwnDrive) {
            return Err(bad(
                "`app_only` has no OneDrive of its own",
                "Say whose drive it is with `user`, `group`, `site` or `drive`, and leave `scopes` out.",
            ));
        }
        if matches!(&s, Self { library: Some(_), site: None, .. }) {
            return Err(bad("`library` needs `site`", "Say which site the library is in."));
        }
        if s.scopes == Scopes::OwnDrive && (s.group.is_some() || s.site.is_some() || s.user.is_some()) {
            return Err(bad(
                "`scopes = \"own_drive\"` reaches the signed-in account's OneDrive only",
                "Leave `scopes` out, or leave `user`, `group` and `site` out.",
            ));
        }
        for (name, id) in [("drive", &s.drive), ("group", &s.group), ("root", &s.root)] {
            if id.as_ref().is_some_and(|id| !api::plain(id)) {
                return Err(bad(
                    format!("`{name}` is not an id that Microsoft gives"),
                    "Copy the id as Graph shows it, not the address in the browser.",
                ));
            }
        }
        let odd = |text: &String, more: &str| {
            text.is_empty()
                || text.contains("..")
                || !text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if s.user.as_ref().is_some_and(|u| odd(u, "@._-+#")) {
            return Err(bad("`user` is neither a sign-in name nor an id", "Give it as in \"ledgers@firm.example\"."));
        }
        if s.site.as_ref().is_some_and(|u| odd(u, ".,:/_-")) {
            return Err(bad(
                "`site` is neither \"host:/sites/name\" nor a site's id",
                "Give it as in \"firm.sharepoint.com:/sites/Ledgers\".",
            ));
        }
        if names::encode(&s.root_name) != s.root_name || s.root_name.trim() != s.root_name || s.root_name.is_empty() {
            return Err(bad(
                "`root_name` is no name that SharePoint takes",
                "Leave it out, or give one without \" * : < > ? / \\ | and outer blanks.",
            ));
        }
        if s.firm.is_empty() || !s.firm.chars().all(|c| c.is_ascii_graphic() && c != '|' || c == ' ') {
            return Err(bad("`firm` may have plain letters, digits and signs without | only", "Leave it out."));
        }
        if s.grants_max == 0 || s.file_bytes_max == 0 {
            return Err(bad("`grants_max` and `file_bytes_max` must be above 0", "Leave them out."));
        }
        Ok(s)
    }

    /// What the app says at the token endpoint when it signs in as itself: every application permission that an
    /// administrator consented to.
    pub fn app_form(value: &Value) -> Option<Vec<(&'static str, String)>> {
        let app_only = Self::parse(value).is_ok_and(|s| s.app_only);
        app_only.then(|| vec![("scope", "https://graph.microsoft.com/.default".to_owned())])
    }

    /// The name of the set of scopes that these settings need.
    pub fn scope_set(&self) -> &'static str {
        match self.scopes {
            Scopes::Work => "work",
            Scopes::OwnDrive => "own_drive",
        }
    }
}

/// An app that signs in as itself does so in one tenant, which the address of the sign-in names.
pub fn needs_tenant(endpoints: &Endpoints) -> Result<()> {
    let login = endpoints.url("login", "/")?;
    let any = login.path().split('/').any(|part| ["common", "organizations", "consumers"].contains(&part));
    if any {
        return Err(bad(
            "`app_only` needs the firm's own tenant in the address of the sign-in",
            "Set endpoints = { login = \"https://login.microsoftonline.com/<tenant id>\" }.",
        ));
    }
    Ok(())
}

fn bad(text: impl Into<String>, next: &str) -> Error {
    Error::new(ErrorKind::Config, "settings.read", text.into()).next(next.to_owned())
}
