//! Dropbox's shapes into our words. Pure.

use ledgerward_contract::{
    Email, Error, FileId, FolderRole, Holder, LinkKind, PermissionId, Result, SeenFile, SeenPermission, SeenRole, Tag,
    Via,
};
use serde::Deserialize;

use crate::BLOCK;

/// The marker in a client's folder (`decisions` 19).
pub const MARKER: &str = ".ledgerward.json";

/// A union without values: `"owner"` or `{".tag":"owner"}`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(from = "Union")]
pub struct Word(pub String);

#[derive(Deserialize)]
#[serde(untagged)]
enum Union {
    Plain(String),
    Tagged {
        #[serde(rename = ".tag")]
        tag: String,
    },
}

impl From<Union> for Word {
    fn from(u: Union) -> Self {
        match u {
            Union::Plain(tag) | Union::Tagged { tag } => Self(tag),
        }
    }
}

#[derive(Debug, Deserialize)]
pub struct Account {
    pub account_id: String,
    pub email: String,
    pub email_verified: bool,
    #[serde(default)]
    pub disabled: bool,
    pub account_type: Word,
    pub root_info: RootInfo,
    pub team: Option<Team>,
}

#[derive(Debug, Deserialize)]
pub struct RootInfo {
    pub root_namespace_id: String,
    pub home_namespace_id: String,
    pub home_path: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Team {
    pub name: String,
    pub sharing_policies: Option<SharingPolicies>,
}

#[derive(Debug, Deserialize)]
pub struct SharingPolicies {
    pub shared_folder_member_policy: Word,
}

#[derive(Debug, Deserialize)]
pub struct Space {
    pub used: u64,
    pub allocation: Allocation,
}

/// Individual or team; a team's `used` is that of all its members.
#[derive(Debug, Deserialize)]
pub struct Allocation {
    pub used: Option<u64>,
    pub allocated: Option<u64>,
}

/// A file or a folder. Only in lists and from `get_metadata` it says which.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    #[serde(rename = ".tag")]
    pub tag: Option<String>,
    pub name: String,
    pub id: Option<String>,
    pub path_lower: Option<String>,
    pub path_display: Option<String>,
    pub rev: Option<String>,
    pub size: Option<u64>,
    pub content_hash: Option<String>,
    pub sharing_info: Option<SharingInfo>,
    pub has_explicit_shared_members: Option<bool>,
}

impl Entry {
    pub fn is(&self, tag: &str) -> bool {
        self.tag.as_deref() == Some(tag)
    }

    /// The id of the shared folder that this folder itself is.
    pub fn shared_id(&self) -> Option<&str> {
        self.sharing_info.as_ref()?.shared_folder_id.as_deref()
    }

    /// The id of the nearest shared folder that this lies in.
    pub fn inside(&self) -> Option<&str> {
        self.sharing_info.as_ref()?.parent_shared_folder_id.as_deref()
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SharingInfo {
    pub read_only: bool,
    pub shared_folder_id: Option<String>,
    pub parent_shared_folder_id: Option<String>,
    pub traverse_only: bool,
    pub no_access: bool,
    pub modified_by: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct List {
    pub entries: Vec<Entry>,
    pub cursor: String,
    pub has_more: bool,
}

#[derive(Debug, Deserialize)]
pub struct LatestCursor {
    pub cursor: String,
}

#[derive(Debug, Deserialize)]
pub struct Made {
    pub metadata: Entry,
}

/// A shared folder. What decides who gets in has no default.
#[derive(Clone, Debug, Deserialize)]
pub struct Folder {
    pub shared_folder_id: String,
    pub name: String,
    pub access_type: Word,
    pub is_inside_team_folder: bool,
    pub is_team_folder: bool,
    pub policy: Policy,
    /// Absent if the folder is not in the account's own Dropbox at present.
    pub path_lower: Option<String>,
    pub parent_shared_folder_id: Option<String>,
    pub access_inheritance: Option<Word>,
    pub owner_team: Option<OwnerTeam>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Policy {
    pub acl_update_policy: Word,
    pub shared_link_policy: Option<Word>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct OwnerTeam {
    pub id: String,
}

impl Folder {
    /// Whether people of a folder above get in here. Outside team folders there is nothing above.
    pub fn inherits(&self) -> bool {
        let nested = self.is_inside_team_folder || self.parent_shared_folder_id.is_some();
        nested && self.access_inheritance.as_ref().is_none_or(|w| w.0 != "no_inherit")
    }

    /// The path for lists that have to look above the folder as well.
    pub fn nested_path(&self) -> Option<&str> {
        let nested = self.is_inside_team_folder || self.parent_shared_folder_id.is_some();
        self.path_lower.as_deref().filter(|_| nested)
    }

    pub fn writers_can_share(&self) -> bool {
        self.policy.acl_update_policy.0 != "owner"
    }
}

/// Who is on a folder or a file. All three lists are always there.
#[derive(Debug, Deserialize)]
pub struct Members {
    pub users: Vec<UserRow>,
    pub groups: Vec<GroupRow>,
    pub invitees: Vec<InviteeRow>,
    pub cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct UserRow {
    pub access_type: Word,
    pub user: User,
    #[serde(default)]
    pub is_inherited: bool,
}

#[derive(Debug, Deserialize)]
pub struct User {
    pub account_id: String,
    pub email: String,
}

#[derive(Debug, Deserialize)]
pub struct GroupRow {
    pub access_type: Word,
    pub group: Group,
    #[serde(default)]
    pub is_inherited: bool,
}

#[derive(Debug, Deserialize)]
pub struct Group {
    pub group_id: String,
    pub group_name: String,
}

#[derive(Debug, Deserialize)]
pub struct InviteeRow {
    pub access_type: Word,
    pub invitee: Invitee,
    pub user: Option<User>,
    #[serde(default)]
    pub is_inherited: bool,
}

#[derive(Debug, Deserialize)]
pub struct Invitee {
    /// Absent for a kind of invitee that we do not know.
    pub email: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Links {
    pub links: Vec<Link>,
    pub has_more: bool,
    pub cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Link {
    pub url: String,
    pub id: Option<String>,
    pub path_lower: Option<String>,
    pub link_permissions: LinkPermissions,
}

#[derive(Debug, Deserialize)]
pub struct LinkPermissions {
    pub resolved_visibility: Option<Word>,
    pub effective_audience: Option<Word>,
}

impl Link {
    /// Whom the link lets in who is not let in otherwise. What we do not know counts as anyone.
    pub fn kind(&self) -> Option<LinkKind> {
        let p = &self.link_permissions;
        let word = p.effective_audience.as_ref().or(p.resolved_visibility.as_ref());
        match word.map(|w| w.0.as_str()) {
            Some("shared_folder_only" | "members" | "no_one" | "only_you") => None,
            Some("team" | "team_only" | "team_and_password") => Some(LinkKind::Organisation),
            _ => Some(LinkKind::Anyone),
        }
    }

    /// As an entry of a sharing list. The address is the secret, so the id is that of the thing or a hash.
    pub fn seen(&self, kind: LinkKind, via: Via) -> SeenPermission {
        let id: String = digest(self.url.as_bytes()).chars().take(16).collect();
        SeenPermission {
            id: PermissionId(format!("link-{id}")),
            holder: Holder::Link(kind),
            role: SeenRole::Reader,
            via,
            pending: false,
            ourselves: false,
            expires: None,
        }
    }
}

fn role(word: &Word) -> SeenRole {
    match word.0.as_str() {
        "owner" => SeenRole::Owner,
        "editor" => SeenRole::Writer,
        "viewer" | "viewer_no_comment" => SeenRole::Reader,
        // Access to something below only, or to nothing: the folder does not open.
        "traverse" | "no_access" => SeenRole::MetadataOnly,
        other => SeenRole::Other(other.to_owned()),
    }
}

/// Dropbox's word for a role that we give.
pub fn level(role: FolderRole) -> &'static str {
    match role {
        FolderRole::Reader => "viewer",
        FolderRole::Writer => "editor",
    }
}

/// Whether what somebody has gives what is to be given.
pub fn gives(has: &SeenRole, wanted: FolderRole) -> bool {
    match has {
        SeenRole::Owner | SeenRole::Manager | SeenRole::Writer => true,
        SeenRole::Reader | SeenRole::Commenter => wanted == FolderRole::Reader,
        SeenRole::MetadataOnly | SeenRole::Declined | SeenRole::Other(_) => false,
    }
}

fn person(email: &str, id: &str) -> Holder {
    Email::parse(email).map_or_else(|_| Holder::Opaque(format!("account {id}")), Holder::Person)
}

/// The id under which an invitation stands while the address has no account.
pub fn invitee_id(email: &str) -> String {
    format!("email:{}", email.to_lowercase())
}

/// Everybody on one page of a member list. `via` says how the direct ones get in, `me` is our own account id.
pub fn seen(list: &Members, me: &str, via: &Via) -> Vec<SeenPermission> {
    let one = |id: &str, holder: Holder, access: &Word, inherited: bool, pending: bool| SeenPermission {
        id: PermissionId(id.to_owned()),
        holder,
        role: role(access),
        via: if inherited && *via == Via::Direct { Via::Inherited } else { via.clone() },
        pending,
        ourselves: id == me,
        expires: None,
    };
    let users = list.users.iter().map(|u| {
        let id = &u.user.account_id;
        one(id, person(&u.user.email, id), &u.access_type, u.is_inherited, false)
    });
    let groups = list.groups.iter().map(|g| {
        let name: String = g.group.group_name.chars().filter(|c| !c.is_control()).collect();
        let id = &g.group.group_id;
        // Names repeat, and a firm accepts one group, not every group of that name.
        one(id, Holder::Group(format!("{name} ({id})")), &g.access_type, g.is_inherited, false)
    });
    let invitees = list.invitees.iter().map(|i| {
        let email = i.invitee.email.as_deref().or(i.user.as_ref().map(|u| u.email.as_str())).unwrap_or_default();
        let id = i.user.as_ref().map_or_else(|| invitee_id(email), |u| u.account_id.clone());
        one(&id, person(email, &id), &i.access_type, i.is_inherited, true)
    });
    users.chain(groups).chain(invitees).collect()
}

/// The names of a path below a folder; `None` if it does not lie there. `path_display` is only to be shown, so it may only
/// decide about letter case.
pub fn below(folder_lower: &str, entry: &Entry) -> Option<Vec<String>> {
    let lower = entry.path_lower.as_deref()?.strip_prefix(folder_lower)?;
    if lower.is_empty() {
        return Some(Vec::new());
    }
    let names: Vec<&str> = lower.strip_prefix('/')?.split('/').collect();
    let shown: Vec<&str> = entry.path_display.as_deref().unwrap_or_default().split('/').collect();
    let tail = shown.len().checked_sub(names.len()).and_then(|from| shown.get(from..)).unwrap_or(&names);
    let mut path: Vec<String> = tail.iter().map(|s| (*s).to_owned()).collect();
    if let Some(last) = path.last_mut() {
        entry.name.clone_into(last);
    }
    Some(path)
}

pub fn seen_file(op: &'static str, e: &Entry, path: Vec<String>) -> Result<SeenFile> {
    let missing = |what: &str| Error::contract(op, format!("a file came without its {what}"));
    Ok(SeenFile {
        id: FileId(e.id.clone().ok_or_else(|| missing("id"))?),
        path,
        size: e.size.ok_or_else(|| missing("size"))?,
        tag: Tag(e.rev.clone().ok_or_else(|| missing("rev"))?),
        key: None,
    })
}

/// SHA-256 in lower-case hex.
pub fn digest(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Dropbox's `content_hash`: SHA-256 over the SHA-256s of blocks of 4 MiB (developers/reference/content-hash).
pub fn content_hash(bytes: &[u8]) -> String {
    let blocks: Vec<u8> = bytes
        .chunks(BLOCK)
        .flat_map(|block| ring::digest::digest(&ring::digest::SHA256, block).as_ref().to_vec())
        .collect();
    digest(&blocks)
}
