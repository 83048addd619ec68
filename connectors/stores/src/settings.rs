//! The four manifests, and settings into a store.

use std::{collections::BTreeMap, path::PathBuf, sync::Mutex};

use ledgerward_contract::{
    AuthScheme, Build, Endpoint, Error, ErrorKind, Key, Manifest, Quota, QuotaWindow, Result, Secret,
};
use ledgerward_kit::RootMemory;
use opendal::{
    Operator,
    services::{Azblob, S3, Sftp, Webdav},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::api::{Kind, SFTP_LINES, Store};

/// Stands in a manifest until the firm says where its server is.
const NOWHERE: &str = "https://not-configured.invalid";
const SHARING: (&str, &str) = ("sharing", "only \"off\": these stores have no sharing lists");
const NEW_ROOT: (&str, &str) = ("new_root", "true until the first folder is made: an empty root is taken as new");

const fn key(name: &'static str, help: &'static str, needed: bool) -> Key {
    Key { name, help, needed, header: ("", "") }
}

const PLAIN: Manifest = Manifest {
    name: "",
    title: "",
    auth: AuthScheme::None,
    endpoints: &[],
    quotas: &[Quota::connection("concurrent", QuotaWindow::Concurrent(16))],
    access: None,
    grade: None,
    statements: &[],
    roles: &[],
    settings: &[],
    unverified: &[],
};

pub(crate) static S3_MANIFEST: Manifest = Manifest {
    name: "s3",
    title: "S3",
    auth: AuthScheme::OwnKeys(&[
        key("secret_access_key", "the secret of the access key, shown once when the key is made", true),
        key("session_token", "for temporary keys only", false),
    ]),
    endpoints: &[Endpoint { name: "s3", url: NOWHERE }],
    settings: &[
        ("bucket", "the bucket; it must exist"),
        ("region", "its region (default us-east-1)"),
        ("access_key_id", "the access key's id"),
        ("root", "what the names of all objects begin with (default: nothing)"),
        SHARING,
        NEW_ROOT,
    ],
    unverified: &[
        "Which S3-compatible servers keep If-None-Match and If-Match: the connector asks once, and looks first where they do not.",
        "Servers that insist on the bucket in the host name cannot be used: addresses are of the form HOST/BUCKET.",
    ],
    ..PLAIN
};

pub(crate) static WEBDAV_MANIFEST: Manifest = Manifest {
    name: "webdav",
    title: "WebDAV",
    auth: AuthScheme::OwnKeys(&[
        key("password", "the password (Nextcloud: an app password)", false),
        key("token", "a bearer token, instead of username and password", false),
    ]),
    endpoints: &[Endpoint { name: "webdav", url: NOWHERE }],
    settings: &[
        ("username", "the account's name; its password is a key"),
        ("root", "the folder that holds the client folders, below the endpoint's own path (default: the endpoint)"),
        SHARING,
        NEW_ROOT,
    ],
    unverified: &["Nextcloud's address and app passwords; WsgiDAV and dav-server were tried."],
    ..PLAIN
};

pub(crate) static SFTP_MANIFEST: Manifest = Manifest {
    name: "sftp",
    title: "SFTP",
    settings: &[
        ("host", "the server's name, or a Host of this account's ~/.ssh/config"),
        ("port", "its port (default 22)"),
        ("user", "the account there"),
        ("key_file", "absolute path of the private key, without a passphrase (default: as ssh finds it)"),
        ("root", "absolute path of the folder that holds the client folders"),
        SHARING,
        NEW_ROOT,
    ],
    unverified: &["Servers other than OpenSSH may refuse to rename over a file; replacing then fails and says so."],
    ..PLAIN
};

pub(crate) static AZURE_MANIFEST: Manifest = Manifest {
    name: "azure-blob",
    title: "Azure Blob Storage",
    auth: AuthScheme::OwnKeys(&[
        key("account_key", "one of the storage account's two keys", false),
        key("sas", "a shared access signature for the container, instead of the key", false),
    ]),
    endpoints: &[Endpoint { name: "blob", url: NOWHERE }],
    settings: &[
        ("container", "the container; it must exist"),
        ("account", "the storage account's name"),
        ("root", "what the names of all blobs begin with (default: nothing)"),
        SHARING,
        NEW_ROOT,
    ],
    unverified: &["Azure itself: no server was at hand, only the same code over S3 and WebDAV."],
    ..PLAIN
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct S3Settings {
    bucket: String,
    #[serde(default = "us_east_1")]
    region: String,
    access_key_id: String,
    #[serde(default)]
    root: String,
    sharing: Option<Value>,
    #[serde(default)]
    new_root: bool,
}

fn us_east_1() -> String {
    "us-east-1".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebdavSettings {
    username: Option<String>,
    #[serde(default)]
    root: String,
    sharing: Option<Value>,
    #[serde(default)]
    new_root: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SftpSettings {
    host: String,
    port: Option<u16>,
    user: Option<String>,
    key_file: Option<PathBuf>,
    root: String,
    sharing: Option<Value>,
    #[serde(default)]
    new_root: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AzureSettings {
    container: String,
    account: String,
    #[serde(default)]
    root: String,
    sharing: Option<Value>,
    #[serde(default)]
    new_root: bool,
}

fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "settings.read", message)
}

fn parse<T: DeserializeOwned>(manifest: &Manifest, settings: Value) -> Result<T> {
    serde_json::from_value(settings).map_err(|e| {
        let known: Vec<_> = manifest.settings.iter().map(|(k, _)| *k).collect();
        config(format!("the settings of a target of the kind {} are not right: {e}", manifest.name))
            .next(format!("The settings are: {}.", known.join(", ")))
    })
}

/// Only `off`, and why.
fn no_sharing(manifest: &Manifest, sharing: Option<&Value>) -> Result<()> {
    match sharing.map(|v| v.as_str()) {
        None | Some(Some("off")) => Ok(()),
        Some(word) => Err(config(format!(
            "sharing = {:?} is not possible with {}: its folders have no sharing lists that a program could read or keep",
            word.unwrap_or("?"),
            manifest.title
        ))
        .next("Set sharing = \"off\" with an audience, and grant access on the server itself.")),
    }
}

/// A root as OpenDAL takes it. `..` in it would be kept by OpenDAL, and understood by the server.
fn root(text: &str) -> Result<String> {
    let names: Vec<&str> = text.split('/').filter(|n| !n.is_empty()).collect();
    if let Some(bad) =
        names.iter().find(|n| matches!(**n, "." | "..") || n.trim() != **n || n.chars().any(char::is_control))
    {
        return Err(config(format!("root has a part {bad:?}, which is no name")));
    }
    Ok(format!("/{}/", names.join("/")).replace("//", "/"))
}

/// What stands in a URL or a command of ssh: nothing that could be read as something else there.
fn plain(name: &str, text: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || text.starts_with('-') || !text.chars().all(fits) {
        return Err(config(format!("{name} = {text:?} is not letters, digits, \".\", \"_\" and \"-\"")));
    }
    Ok(())
}

fn endpoint(from: &Build, name: &'static str) -> Result<String> {
    let url = from.endpoints.url(name, "")?;
    if url.as_str().starts_with(NOWHERE) {
        return Err(
            config("nobody said where the server is").next(format!("Add: endpoints = {{ {name} = \"https://…\" }}"))
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(config("the endpoint holds a user name or password").next("Write them as username and as a key."));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Builds the store of one kind. No IO.
pub(crate) fn open(kind: Kind, manifest: &Manifest, from: Build, keys: &BTreeMap<String, Secret>) -> Result<Store> {
    let key = |name: &str| keys.get(name).filter(|k| !k.is_empty()).map(Secret::expose);
    let (operator, account, new_root) = match kind {
        Kind::S3 => s3(manifest, from, key),
        Kind::WebDav => webdav(manifest, from, key),
        Kind::Sftp => sftp(manifest, from),
        Kind::Azure => azure(manifest, from, key),
    }?;
    let (memory, neighbours, marking) = (Mutex::default(), RootMemory::default(), tokio::sync::Mutex::default());
    let lines = tokio::sync::Semaphore::new(SFTP_LINES);
    Ok(Store { kind, operator, account, new_root, memory, neighbours, marking, lines })
}

type Opened = Result<(Operator, String, bool)>;

fn built(operator: opendal::Result<Operator>) -> Result<Operator> {
    // Its text may hold a key that it could not read.
    operator.map_err(|e| config(format!("the store cannot be set up ({})", e.kind())))
}

fn s3<'a>(manifest: &Manifest, from: Build, key: impl Fn(&str) -> Option<&'a str>) -> Opened {
    let at = endpoint(&from, "s3")?;
    let s: S3Settings = parse(manifest, from.settings)?;
    no_sharing(manifest, s.sharing.as_ref())?;
    plain("bucket", &s.bucket)?;
    plain("region", &s.region)?;
    let Some(secret) = key("secret_access_key") else {
        return Err(config("secret_access_key is missing"));
    };
    let mut b = S3::default()
        .endpoint(&at)
        .bucket(&s.bucket)
        .region(&s.region)
        .root(&root(&s.root)?)
        .access_key_id(&s.access_key_id)
        .secret_access_key(secret)
        // Else keys are looked for in the environment and at the cloud's metadata address.
        .disable_config_load()
        .disable_ec2_metadata();
    if let Some(token) = key("session_token") {
        b = b.session_token(token);
    }
    Ok((built(Operator::new(b))?, format!("access key {} on bucket {}", s.access_key_id, s.bucket), s.new_root))
}

fn webdav<'a>(manifest: &Manifest, from: Build, key: impl Fn(&str) -> Option<&'a str>) -> Opened {
    let at = endpoint(&from, "webdav")?;
    let s: WebdavSettings = parse(manifest, from.settings)?;
    no_sharing(manifest, s.sharing.as_ref())?;
    // Directories are made when a PUT misses them, and not asked for level by level before each.
    let b = Webdav::default().endpoint(&at).root(&root(&s.root)?).disable_create_dir(true);
    let (b, account) = match (&s.username, key("password"), key("token")) {
        (Some(user), Some(password), None) => (b.username(user).password(password), user.clone()),
        (None, None, Some(token)) => (b.token(token), "the bearer of a token".to_owned()),
        (None, None, None) => (b, "nobody (no password is set)".to_owned()),
        _ => return Err(config("set either username and password, or token")),
    };
    Ok((built(Operator::new(b))?, account, s.new_root))
}

fn sftp(manifest: &Manifest, from: Build) -> Opened {
    let s: SftpSettings = parse(manifest, from.settings)?;
    no_sharing(manifest, s.sharing.as_ref())?;
    plain("host", &s.host)?;
    if let Some(user) = &s.user {
        plain("user", user)?;
    }
    if !s.root.starts_with('/') {
        return Err(config(format!("root = {:?} is not an absolute path", s.root)));
    }
    let at = match s.port {
        Some(port) => format!("ssh://{}:{port}", s.host),
        None => s.host.clone(),
    };
    // Server keys are checked strictly, which is OpenDAL's default; an unknown server is refused.
    let mut b = Sftp::default().endpoint(&at).root(&root(&s.root)?).known_hosts_strategy("strict");
    if let Some(user) = &s.user {
        b = b.user(user);
    }
    if let Some(file) = &s.key_file {
        let text = file.to_str().filter(|_| file.is_absolute());
        b = b.key(text.ok_or_else(|| config("key_file is not an absolute path"))?);
    }
    let account = format!("{}@{}", s.user.as_deref().unwrap_or("(as ssh decides)"), s.host);
    Ok((built(Operator::new(b))?, account, s.new_root))
}

fn azure<'a>(manifest: &Manifest, from: Build, key: impl Fn(&str) -> Option<&'a str>) -> Opened {
    let at = endpoint(&from, "blob")?;
    let s: AzureSettings = parse(manifest, from.settings)?;
    no_sharing(manifest, s.sharing.as_ref())?;
    plain("container", &s.container)?;
    plain("account", &s.account)?;
    let b = Azblob::default().endpoint(&at).container(&s.container).account_name(&s.account).root(&root(&s.root)?);
    let b = match (key("account_key"), key("sas")) {
        (Some(account_key), None) => b.account_key(account_key),
        (None, Some(sas)) => b.sas_token(sas.trim_start_matches('?')),
        _ => return Err(config("set either account_key or sas")),
    };
    Ok((built(Operator::new(b))?, format!("storage account {}", s.account), s.new_root))
}
