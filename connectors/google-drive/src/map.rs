//! Drive's shapes into our words. Pure.

use std::collections::BTreeMap;

use ledgerward_contract::{
    Email, Error, FileId, FileKey, FolderId, FolderKey, FolderRole, Holder, LinkKind, PermissionId, Result, SeenFile,
    SeenPermission, SeenRole, Stat, Tag, Timestamp, Via,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::FOLDER;

/// `files.get` and the items of `files.list`. Absent is absent: what is needed is asked for by name.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    pub id: String,
    #[serde(default)]
    pub name: String,
    pub mime_type: Option<String>,
    #[serde(default)]
    pub trashed: bool,
    #[serde(default)]
    pub parents: Vec<String>,
    pub drive_id: Option<String>,
    #[serde(default)]
    pub owned_by_me: bool,
    #[serde(default)]
    pub owners: Vec<User>,
    pub inherited_permissions_disabled: Option<bool>,
    pub writers_can_share: Option<bool>,
    #[serde(default)]
    pub app_properties: BTreeMap<String, String>,
    pub capabilities: Option<Capabilities>,
    pub created_time: Option<String>,
    pub size: Option<String>,
    pub md5_checksum: Option<String>,
    pub sha256_checksum: Option<String>,
    pub head_revision_id: Option<String>,
    pub version: Option<String>,
    pub has_augmented_permissions: Option<bool>,
    pub permissions: Option<Vec<Permission>>,
}

impl File {
    pub fn is_folder(&self) -> bool {
        self.mime_type.as_deref() == Some(FOLDER)
    }

    pub fn is_limited(&self) -> bool {
        self.inherited_permissions_disabled == Some(true)
    }

    pub fn may(&self, what: impl Fn(&Capabilities) -> Option<bool>) -> bool {
        self.capabilities.as_ref().and_then(what).unwrap_or(false)
    }
}

/// What the acting account may do; `None` where Google does not say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    pub can_share: Option<bool>,
    pub can_add_children: Option<bool>,
    pub can_disable_inherited_permissions: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    pub email_address: Option<String>,
    /// The same text as the `id` of this person's permissions.
    pub permission_id: Option<String>,
    #[serde(default)]
    pub me: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileList {
    pub files: Vec<File>,
    pub next_page_token: Option<String>,
    #[serde(default)]
    pub incomplete_search: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Permission {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub role: String,
    pub email_address: Option<String>,
    pub domain: Option<String>,
    #[serde(default)]
    pub deleted: bool,
    pub expiration_time: Option<String>,
    pub view: Option<String>,
    #[serde(default)]
    pub allow_file_discovery: bool,
    pub permission_details: Option<Vec<Detail>>,
}

impl Permission {
    /// Whether there is an entry on the item itself. Without details (seen in My Drive) it is taken as direct.
    pub fn is_direct(&self) -> bool {
        self.details().is_none_or(|d| d.iter().any(|d| !d.inherited))
    }

    pub fn is_inherited(&self) -> bool {
        self.details().is_some_and(|d| d.iter().any(|d| d.inherited))
    }

    /// Sees the name only: no way in.
    pub fn is_metadata_only(&self) -> bool {
        self.view.as_deref() == Some("metadata")
    }

    fn details(&self) -> Option<&[Detail]> {
        self.permission_details.as_deref().filter(|d| !d.is_empty())
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    pub role: Option<String>,
    pub inherited: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PermissionList {
    pub permissions: Vec<Permission>,
    pub next_page_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    pub user: User,
    pub storage_quota: Option<StorageQuota>,
}

/// Bytes, as decimal texts.
#[derive(Debug, Deserialize)]
pub struct StorageQuota {
    pub limit: Option<String>,
    pub usage: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SharedDrive {
    pub name: String,
    pub restrictions: Restrictions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Restrictions {
    pub admin_managed_restrictions: bool,
    pub domain_users_only: bool,
    pub drive_members_only: bool,
    pub sharing_folders_requires_organizer_permission: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeList {
    pub changes: Vec<Change>,
    pub next_page_token: Option<String>,
    pub new_start_page_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub change_type: Option<String>,
    pub file_id: Option<String>,
    pub file: Option<File>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartToken {
    pub start_page_token: String,
}

#[derive(Debug, Deserialize)]
pub struct Ids {
    pub ids: Vec<String>,
}

fn role(text: &str) -> SeenRole {
    match text {
        "reader" => SeenRole::Reader,
        "commenter" => SeenRole::Commenter,
        "writer" => SeenRole::Writer,
        "fileOrganizer" | "organizer" => SeenRole::Manager,
        "owner" => SeenRole::Owner,
        other => SeenRole::Other(other.to_owned()),
    }
}

/// Drive's word for a role that we give.
pub fn role_word(role: FolderRole) -> &'static str {
    match role {
        FolderRole::Reader => "reader",
        FolderRole::Writer => "writer",
    }
}

fn holder(p: &Permission) -> Holder {
    if p.deleted {
        return Holder::Opaque(format!("deleted {} {}", p.kind, p.id));
    }
    match (p.kind.as_str(), p.email_address.as_deref(), p.allow_file_discovery) {
        ("anyone", _, false) => Holder::Link(LinkKind::Anyone),
        ("anyone", _, true) => Holder::Everyone("the public, found by search".to_owned()),
        ("domain", _, false) => Holder::Link(LinkKind::Organisation),
        ("domain", _, true) => Holder::Everyone(format!("domain {}", p.domain.as_deref().unwrap_or("unknown"))),
        ("group", Some(email), _) => Holder::Group(email.to_ascii_lowercase()),
        ("user", Some(email), _) => {
            Email::parse(email).map_or_else(|_| Holder::Opaque(format!("user {}", p.id)), Holder::Person)
        }
        (kind, _, _) => Holder::Opaque(format!("{kind} {}", p.id)),
    }
}

/// One entry of the vendor's list: one of ours for what is direct and one for what is inherited. `me` is our own id.
pub fn seen(p: &Permission, me: Option<&str>) -> Vec<SeenPermission> {
    let one = |word: &str, via: Via| SeenPermission {
        id: PermissionId(p.id.clone()),
        holder: holder(p),
        role: if p.is_metadata_only() { SeenRole::MetadataOnly } else { role(word) },
        via,
        pending: false,
        ourselves: me == Some(p.id.as_str()),
        expires: p.expiration_time.as_deref().and_then(|t| t.parse::<Timestamp>().ok()),
    };
    let Some(details) = p.details() else { return vec![one(&p.role, Via::Direct)] };
    let strongest = |inherited: bool| {
        details
            .iter()
            .filter(|d| d.inherited == inherited)
            .map(|d| d.role.as_deref().unwrap_or(&p.role))
            .max_by_key(|r| role(r))
    };
    let direct = strongest(false).map(|r| one(r, Via::Direct));
    let inherited = strongest(true).map(|r| one(r, Via::Inherited));
    direct.into_iter().chain(inherited).collect()
}

/// A way in on something below the folder. `at` is the path for people; the id keeps two things of one name apart.
pub fn seen_below(p: &Permission, me: Option<&str>, at: &[String], file: &str) -> Option<SeenPermission> {
    let word = p.details().and_then(|d| d.iter().find(|d| !d.inherited)).and_then(|d| d.role.as_deref());
    let mut one = seen(p, me).into_iter().next()?;
    if let (Some(word), false) = (word, p.is_metadata_only()) {
        one.role = role(word);
    }
    one.via = Via::Below(format!("{} ({file})", at.join("/")));
    Some(one)
}

/// Something below the folder whose sharing list Google does not show us: it may let anybody in, so it counts as somebody.
pub fn hidden_below(at: &[String], file: &str) -> SeenPermission {
    SeenPermission {
        id: PermissionId(format!("hidden-{file}")),
        holder: Holder::Opaque(format!("whoever {file} is shared with")),
        role: SeenRole::Other("not shown".to_owned()),
        via: Via::Below(format!("{} ({file})", at.join("/"))),
        pending: false,
        ourselves: false,
        expires: None,
    }
}

/// The folder's marker in [`FolderKey`]'s own text.
pub fn marker(f: &File) -> Option<String> {
    let client = f.app_properties.get("lw_client")?;
    Some(match f.app_properties.get("lw_account") {
        Some(account) => format!("{client}/{account}"),
        None => client.clone(),
    })
}

/// The app properties that mark a client's folder. Google takes 124 bytes of key and value together; an account id that
/// does not fit is refused rather than cut.
pub fn folder_marks(op: &'static str, key: &FolderKey) -> Result<Value> {
    let mut marks = json!({ "lw_kind": "client-folder", "lw_client": key.client.to_string() });
    if let (Some(account), Value::Object(map)) = (&key.account, &mut marks) {
        if "lw_account".len() + account.as_str().len() > 124 {
            return Err(Error::new(
                ledgerward_contract::ErrorKind::Unsupported,
                op,
                "the account's id is too long for a marker on Google Drive",
            )
            .next("Use one folder for the whole client on this target."));
        }
        map.insert("lw_account".to_owned(), json!(account.as_str()));
    }
    Ok(marks)
}

/// The text under which a file's key is kept in `lw_file`: the first 32 hex digits of its SHA-256, because a property
/// holds 124 bytes and a key may be longer. [`SeenFile::key`] from this target is this text; compare with it.
pub fn file_marker(key: &FileKey) -> String {
    digest(key.as_str().as_bytes()).chars().take(32).collect()
}

/// SHA-256 in lower-case hex.
pub fn digest(bytes: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

pub fn stat(f: &File) -> Stat {
    if f.trashed {
        return Stat::Trashed;
    }
    let owner = match &f.drive_id {
        Some(drive) => Some(format!("shared drive {drive}")),
        None => f.owners.first().and_then(|o| o.email_address.clone()),
    };
    Stat::Present {
        name: f.name.clone(),
        parent: f.parents.first().cloned().map(FolderId),
        owner,
        marker: marker(f),
        inherits: !f.is_limited(),
        writers_can_share: f.writers_can_share.filter(|_| f.drive_id.is_none()),
    }
}

/// The state of a file's content. Google's own documents have no revision of bytes; their change counter stands in.
pub fn tag(op: &'static str, f: &File) -> Result<Tag> {
    f.head_revision_id
        .clone()
        .or_else(|| f.version.as_ref().map(|v| format!("version-{v}")))
        .map(Tag)
        .ok_or_else(|| Error::contract(op, "a file came without a revision"))
}

/// Bytes. Absent on Google's own documents, which have none.
pub fn size(op: &'static str, f: &File) -> Result<u64> {
    match &f.size {
        None => Ok(0),
        Some(text) => text.parse().map_err(|_| Error::contract(op, "a file's size is not a number")),
    }
}

pub fn seen_file(op: &'static str, f: &File, path: Vec<String>) -> Result<SeenFile> {
    Ok(SeenFile {
        id: FileId(f.id.clone()),
        path,
        size: size(op, f)?,
        tag: tag(op, f)?,
        key: f.app_properties.get("lw_file").cloned().map(FileKey),
    })
}
