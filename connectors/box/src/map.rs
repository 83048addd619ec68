//! Box's shapes into our words. Pure.

use ledgerward_contract::{
    Email, Error, ErrorKind, FileId, FolderId, FolderKey, FolderRole, Holder, LinkKind, PermissionId, Result, SeenFile,
    SeenPermission, SeenRole, Stat, Tag, Timestamp, Via,
};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// What precedes our mark in a folder's description.
const MARK: &str = "ledgerward-folder:";
/// Box takes 256 characters; one is left for the line break after the firm's own words.
const DESCRIPTION_MAX: usize = 255;

/// A folder, a file or a bookmark. Absent is absent: what is needed is asked for by name.
#[derive(Clone, Debug, Deserialize)]
pub struct Item {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub name: String,
    pub etag: Option<String>,
    pub description: Option<String>,
    pub item_status: Option<String>,
    pub sha1: Option<String>,
    /// A number of bytes; a folder's may be larger than an integer holds.
    pub size: Option<Value>,
    pub parent: Option<Mini>,
    pub path_collection: Option<Path>,
    pub owned_by: Option<User>,
    /// Decides access, so "not said" and "none" are kept apart.
    #[serde(default, deserialize_with = "said")]
    pub shared_link: Option<Option<SharedLink>>,
    pub has_collaborations: Option<bool>,
    pub can_non_owners_invite: Option<bool>,
    pub can_non_owners_view_collaborators: Option<bool>,
    pub allowed_invitee_roles: Option<Vec<String>>,
    pub permissions: Option<Permissions>,
}

fn said<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<SharedLink>>, D::Error> {
    Option::deserialize(from).map(Some)
}

#[derive(Clone, Debug, Deserialize)]
pub struct Mini {
    pub id: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Path {
    pub entries: Vec<Mini>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct User {
    pub id: String,
    pub login: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct SharedLink {
    pub access: Option<String>,
    pub effective_access: Option<String>,
}

/// What the acting account may do; `None` where Box does not say.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Permissions {
    pub can_upload: Option<bool>,
    pub can_invite_collaborator: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Me {
    pub id: String,
    pub login: String,
    pub status: Option<String>,
    pub enterprise: Option<Value>,
    pub space_amount: Option<f64>,
    pub space_used: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Listing<T> {
    pub entries: Vec<T>,
    pub next_marker: Option<String>,
}

impl<T> Listing<T> {
    /// Box ends a listing with no marker, null or an empty one.
    pub fn next(&self) -> Option<String> {
        self.next_marker.clone().filter(|m| !m.is_empty())
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct Collaboration {
    pub id: String,
    pub role: String,
    pub status: String,
    pub accessible_by: Option<Grantee>,
    pub invite_email: Option<String>,
    pub item: Option<Mini>,
    pub expires_at: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Grantee {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub login: Option<String>,
    pub name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Uploaded {
    pub entries: Vec<Item>,
}

#[derive(Debug, Deserialize)]
pub struct Session {
    pub part_size: usize,
    pub session_endpoints: SessionEndpoints,
}

#[derive(Debug, Deserialize)]
pub struct SessionEndpoints {
    pub upload_part: String,
    pub commit: String,
    pub abort: String,
}

#[derive(Debug, Deserialize)]
pub struct Part {
    pub part: Value,
}

#[derive(Debug, Deserialize)]
pub struct Events {
    pub chunk_size: u64,
    /// A number or a text, and larger than any float holds exactly.
    pub next_stream_position: Value,
    pub entries: Vec<Event>,
}

#[derive(Debug, Deserialize)]
pub struct Event {
    pub event_type: Option<String>,
    pub source: Option<EventSource>,
}

/// What an event is about: a thing, or a mention of one.
#[derive(Debug, Deserialize)]
pub struct EventSource {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub id: Option<String>,
    pub item_id: Option<String>,
    pub parent: Option<Mini>,
    pub path_collection: Option<Path>,
}

impl Item {
    pub fn is_folder(&self) -> bool {
        self.kind == "folder"
    }

    /// In the trash, or past it.
    pub fn is_away(&self) -> bool {
        self.item_status.as_deref().is_some_and(|s| s != "active")
    }

    /// The folders above, the account's top folder left out: it is never shared.
    pub fn above(&self, op: &'static str) -> Result<Vec<String>> {
        let path =
            self.path_collection.as_ref().ok_or_else(|| Error::contract(op, "Box does not say where it lies"))?;
        Ok(path.entries.iter().filter(|e| e.id != "0").map(|e| e.id.clone()).collect())
    }

    /// Whom a link on this thing lets in. A link for collaborators lets in nobody else.
    pub fn link(&self, op: &'static str) -> Result<Option<LinkKind>> {
        let link =
            self.shared_link.as_ref().ok_or_else(|| Error::contract(op, "Box does not say whether there is a link"))?;
        let Some(link) = link else { return Ok(None) };
        Ok(match link.effective_access.as_deref().or(link.access.as_deref()) {
            Some("collaborators") => None,
            Some("company") => Some(LinkKind::Organisation),
            // "open", and whatever else there may be one day.
            _ => Some(LinkKind::Anyone),
        })
    }

    pub fn is_closed(&self) -> bool {
        self.can_non_owners_invite == Some(false)
            && self.can_non_owners_view_collaborators == Some(false)
            && matches!(self.shared_link, Some(None))
    }

    pub fn owner(&self, op: &'static str) -> Result<&User> {
        self.owned_by.as_ref().ok_or_else(|| Error::contract(op, "Box does not say whose folder this is"))
    }
}

impl Collaboration {
    /// Whether this entry lets anybody in, now or as soon as the invitation is accepted.
    pub fn is_open(&self) -> bool {
        self.status != "rejected"
    }

    pub fn is_for(&self, who: &Email) -> bool {
        let is = |text: &Option<String>| text.as_deref().and_then(|e| Email::parse(e).ok()).as_ref() == Some(who);
        match &self.accessible_by {
            Some(grantee) => grantee.kind == "user" && is(&grantee.login),
            None => is(&self.invite_email),
        }
    }

    /// Whether two entries are for one holder.
    pub fn same_holder(&self, other: &Self) -> bool {
        match (&self.accessible_by, &other.accessible_by) {
            (Some(a), Some(b)) => (&a.kind, &a.id) == (&b.kind, &b.id),
            _ => holder(self) == holder(other),
        }
    }
}

fn role(text: &str) -> SeenRole {
    match text {
        "viewer" | "previewer" => SeenRole::Reader,
        "editor" => SeenRole::Writer,
        "co-owner" => SeenRole::Manager,
        "owner" => SeenRole::Owner,
        other => SeenRole::Other(other.to_owned()),
    }
}

/// Whether a role that somebody has already gives what is to be given.
pub fn gives(has: &str, wanted: FolderRole) -> bool {
    match wanted {
        FolderRole::Reader => {
            ["viewer", "previewer", "viewer uploader", "previewer uploader", "editor", "co-owner", "owner"]
                .contains(&has)
        }
        FolderRole::Writer => ["editor", "co-owner", "owner"].contains(&has),
    }
}

fn person(login: Option<&str>, id: &str) -> Holder {
    let email = login.and_then(|e| Email::parse(e).ok());
    email.map_or_else(|| Holder::Opaque(format!("user {id}")), Holder::Person)
}

fn holder(c: &Collaboration) -> Holder {
    match (&c.accessible_by, &c.invite_email) {
        (Some(g), invited) if g.kind == "user" => person(g.login.as_deref().or(invited.as_deref()), &g.id),
        (Some(g), _) if g.kind == "group" => {
            Holder::Group(format!("{} ({})", g.name.as_deref().unwrap_or("group"), g.id))
        }
        (Some(g), _) => Holder::Opaque(format!("{} {}", g.kind, g.id)),
        (None, invited) => person(invited.as_deref(), &format!("of collaboration {}", c.id)),
    }
}

/// One entry of a list. An end that cannot be read counts as none: then nobody relies on it.
pub fn seen(c: &Collaboration, me: &str, via: Via) -> SeenPermission {
    SeenPermission {
        id: PermissionId(c.id.clone()),
        holder: holder(c),
        role: match c.status.as_str() {
            "accepted" | "pending" => role(&c.role),
            "rejected" => SeenRole::Declined,
            // A state we do not know: not a role that the plan can count on.
            other => SeenRole::Other(other.to_owned()),
        },
        via,
        pending: c.status == "pending",
        ourselves: c.accessible_by.as_ref().is_some_and(|g| g.kind == "user" && g.id == me),
        expires: c.expires_at.as_deref().and_then(|t| t.parse::<Timestamp>().ok()),
    }
}

/// Box's lists leave the owner out.
pub fn seen_owner(owner: &User, me: &str) -> SeenPermission {
    SeenPermission {
        id: PermissionId(format!("owner-{}", owner.id)),
        holder: person(owner.login.as_deref(), &owner.id),
        role: SeenRole::Owner,
        via: Via::Direct,
        pending: false,
        ourselves: owner.id == me,
        expires: None,
    }
}

pub fn seen_link(item: &str, kind: LinkKind, via: Via) -> SeenPermission {
    SeenPermission {
        id: PermissionId(format!("link-{item}")),
        holder: Holder::Link(kind),
        role: SeenRole::Reader,
        via,
        pending: false,
        ourselves: false,
        expires: None,
    }
}

/// Something below the folder whose list Box does not show us: it may let anybody in, so it counts as somebody.
pub fn hidden_below(at: &str, item: &str) -> SeenPermission {
    SeenPermission {
        id: PermissionId(format!("hidden-{item}")),
        holder: Holder::Opaque(format!("whoever {item} is shared with")),
        role: SeenRole::Other("not shown".to_owned()),
        via: Via::Below(at.to_owned()),
        pending: false,
        ourselves: false,
        expires: None,
    }
}

/// The folder's marker in [`FolderKey`]'s own text.
pub fn marker(f: &Item) -> Option<String> {
    let (_, rest) = f.description.as_deref()?.rsplit_once(MARK)?;
    rest.lines().next().map(|m| m.trim().to_owned()).filter(|m| !m.is_empty())
}

/// A description with our mark behind the firm's own words.
///
/// Errors: `Unsupported` where it does not fit.
pub fn described(op: &'static str, old: Option<&str>, mark: &str) -> Result<String> {
    let old = old.unwrap_or_default().trim();
    let text = if old.is_empty() { format!("{MARK}{mark}") } else { format!("{old}\n{MARK}{mark}") };
    if text.chars().count() > DESCRIPTION_MAX {
        return Err(Error::new(
            ErrorKind::Unsupported,
            op,
            "the folder's description has no room for ledgerward's mark",
        )
        .next("Shorten the folder's description in Box to 150 characters."));
    }
    Ok(text)
}

/// The text of a folder's mark.
pub fn mark_of(key: &FolderKey) -> String {
    key.to_string()
}

/// `inherits`: whether anybody is let in above. Box cannot cut what comes from there.
pub fn stat(op: &'static str, f: &Item, inherits: bool) -> Result<Stat> {
    Ok(Stat::Present {
        name: f.name.clone(),
        parent: f.parent.as_ref().map(|p| FolderId(p.id.clone())),
        owner: Some(f.owner(op)?).and_then(|o| o.login.clone()),
        marker: marker(f),
        inherits,
        writers_can_share: f.can_non_owners_invite,
    })
}

pub fn tag(op: &'static str, f: &Item) -> Result<Tag> {
    f.etag.clone().map(Tag).ok_or_else(|| Error::contract(op, "a file came without an etag"))
}

/// Bytes.
pub fn size(op: &'static str, f: &Item) -> Result<u64> {
    f.size.as_ref().and_then(Value::as_u64).ok_or_else(|| Error::contract(op, "a file's size is not a number"))
}

pub fn seen_file(op: &'static str, f: &Item, path: Vec<String>) -> Result<SeenFile> {
    Ok(SeenFile { id: FileId(f.id.clone()), path, size: size(op, f)?, tag: tag(op, f)?, key: None })
}
