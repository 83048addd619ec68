//! Graph's shapes into our words. Pure.

use std::collections::BTreeSet;

use ledgerward_contract::{
    Email, Error, ErrorKind, FileId, FolderId, FolderKey, FolderRole, Holder, LinkKind, PermissionId, Result, SeenFile,
    SeenPermission, SeenRole, Tag, Timestamp, Via,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::names;

/// A thing: the id of its drive and its own. Ids are case-sensitive, and survive a rename and a move within the drive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub drive: String,
    pub item: String,
}

impl Place {
    /// Another thing on the same drive.
    pub fn beside(&self, item: &str) -> Self {
        Self { drive: self.drive.clone(), item: item.to_owned() }
    }

    pub fn folder(&self) -> FolderId {
        FolderId(self.text())
    }

    pub fn file(&self) -> FileId {
        FileId(self.text())
    }

    fn text(&self) -> String {
        format!("{}:{}", self.drive, self.item)
    }

    /// What [`Place::folder`] or [`Place::file`] gave.
    ///
    /// Errors: `NotFound`; there can be nothing under such an id.
    pub fn parse(op: &'static str, id: &str) -> Result<Self> {
        let (drive, item) = id.split_once(':').ok_or_else(|| {
            Error::new(ErrorKind::NotFound, op, "this is not a drive's id and a thing's with a colon between")
        })?;
        Ok(Self { drive: drive.to_owned(), item: item.to_owned() })
    }
}

/// A folder, a file or a package. Absent is absent: what is needed is asked for by name.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    pub id: String,
    #[serde(default)]
    pub name: String,
    #[serde(rename = "eTag")]
    pub etag: Option<String>,
    #[serde(rename = "cTag")]
    pub ctag: Option<String>,
    pub size: Option<u64>,
    pub folder: Option<FolderFacet>,
    pub file: Option<FileFacet>,
    pub root: Option<Value>,
    pub deleted: Option<Value>,
    pub shared: Option<Value>,
    pub parent_reference: Option<Parent>,
    #[serde(rename = "@microsoft.graph.sharedChanged")]
    pub shared_changed: Option<Value>,
    #[serde(rename = "@microsoft.graph.downloadUrl")]
    pub download: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FolderFacet {
    pub child_count: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct FileFacet {
    pub hashes: Option<Hashes>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hashes {
    pub quick_xor_hash: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parent {
    pub drive_id: Option<String>,
    pub id: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    pub id: String,
    pub mail: Option<String>,
    pub user_principal_name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drive {
    pub id: String,
    #[serde(default)]
    pub name: String,
    pub drive_type: String,
    pub owner: Option<Identities>,
    pub quota: Option<Room>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Room {
    pub total: Option<u64>,
    pub used: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Listing<T> {
    pub value: Vec<T>,
    #[serde(rename = "@odata.nextLink")]
    pub next: Option<String>,
    #[serde(rename = "@odata.deltaLink")]
    pub delta: Option<String>,
}

/// One entry of a sharing list.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Permission {
    pub id: String,
    /// The only word on what it gives, so it has no default.
    pub roles: Vec<String>,
    pub link: Option<Link>,
    #[serde(rename = "grantedToV2")]
    pub granted_to: Option<Identities>,
    #[serde(rename = "grantedTo")]
    pub granted_to_old: Option<Identities>,
    #[serde(rename = "grantedToIdentitiesV2")]
    pub people: Option<Vec<Identities>>,
    #[serde(rename = "grantedToIdentities")]
    pub people_old: Option<Vec<Identities>>,
    pub invitation: Option<Invitation>,
    /// Present on what is inherited, even if it is an empty object; absent on what is direct, mostly.
    pub inherited_from: Option<Value>,
    pub expiration_date_time: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Link {
    pub scope: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Invitation {
    pub email: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identities {
    pub user: Option<Identity>,
    pub site_user: Option<Identity>,
    pub group: Option<Identity>,
    pub site_group: Option<Identity>,
    pub share_point_group: Option<Identity>,
    pub application: Option<Identity>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    pub id: Option<String>,
    pub email: Option<String>,
    pub display_name: Option<String>,
    pub login_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    pub upload_url: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    pub next_expected_ranges: Vec<String>,
}

impl Item {
    pub fn is_folder(&self) -> bool {
        self.folder.is_some()
    }

    /// In the recycle bin or past it, where Graph shows such a thing at all.
    pub fn is_away(&self) -> bool {
        self.deleted.is_some()
    }

    pub fn place(&self, drive: &str) -> Place {
        Place { drive: drive.to_owned(), item: self.id.clone() }
    }

    pub fn parent(&self, drive: &str) -> Option<Place> {
        let id = self.parent_reference.as_ref()?.id.clone()?;
        Some(Place { drive: drive.to_owned(), item: id })
    }

    pub fn hash(&self) -> Option<&str> {
        self.file.as_ref()?.hashes.as_ref()?.quick_xor_hash.as_deref()
    }
}

impl Me {
    fn is(&self, who: &Identity) -> bool {
        let same = |text: Option<&str>| {
            let mail = self.mail.as_deref().unwrap_or_default();
            text.is_some_and(|t| t.eq_ignore_ascii_case(&self.user_principal_name) || t.eq_ignore_ascii_case(mail))
        };
        match &who.id {
            Some(id) if *id == self.id => true,
            _ => same(upn(who)) || (who.id.is_none() && same(who.email.as_deref())),
        }
    }
}

/// The sign-in name in a claim such as `i:0#.f|membership|ann@firm.example`.
fn upn(who: &Identity) -> Option<&str> {
    who.login_name.as_deref()?.strip_prefix("i:0#.f|membership|")
}

impl Permission {
    fn holder_of_grant(&self) -> Option<&Identities> {
        self.granted_to.as_ref().or(self.granted_to_old.as_ref())
    }

    fn linked(&self) -> Option<&Vec<Identities>> {
        self.people.as_ref().filter(|p| !p.is_empty()).or(self.people_old.as_ref()).or(self.people.as_ref())
    }

    /// The scope of a sharing link. What comes of an invitation has a link as well, and that one has no scope.
    pub fn link_scope(&self) -> Option<&str> {
        self.link.as_ref()?.scope.as_deref()
    }

    pub fn says_inherited(&self) -> bool {
        self.inherited_from.is_some()
    }

    /// Whether this entry can only be seen by those who see the whole list: the owner's, or a group of the site.
    pub fn proves_full_view(&self) -> bool {
        self.roles.iter().any(|r| r == "owner")
            || self.holder_of_grant().is_some_and(|g| g.site_group.is_some() || g.share_point_group.is_some())
    }
}

fn role(p: &Permission) -> SeenRole {
    let has = |word: &str| p.roles.iter().any(|r| r.eq_ignore_ascii_case(word));
    if has("owner") {
        SeenRole::Owner
    } else if has("sp.full control") {
        SeenRole::Manager
    } else if has("write") {
        SeenRole::Writer
    } else if has("read") {
        SeenRole::Reader
    } else {
        match p.roles.first() {
            Some(other) => SeenRole::Other(other.clone()),
            // Limited access: what SharePoint gives above a thing that somebody was let in to.
            None => SeenRole::MetadataOnly,
        }
    }
}

fn named(kind: &str, who: &Identity) -> String {
    let id = who.id.as_deref().or(who.login_name.as_deref()).unwrap_or("no id");
    match who.display_name.as_deref() {
        Some(name) => format!("{name} ({kind} {id})"),
        None => format!("{kind} {id}"),
    }
}

/// A person, by the address that Microsoft knows them under. A claim may also stand for everybody or for a group.
fn person(user: Option<&Identity>, site: Option<&Identity>, invited: Option<&str>) -> Holder {
    let login = site.and_then(|s| s.login_name.as_deref()).unwrap_or_default();
    if login == "c:0(.s|true" || login.contains("spo-grid-all-users") {
        return Holder::Everyone(login.to_owned());
    }
    if let (true, Some(site)) = (login.starts_with("c:"), site) {
        return Holder::Group(named("group", site));
    }
    let email = user.and_then(|u| u.email.as_deref()).or(site.and_then(|s| s.email.as_deref()));
    // A guest's sign-in name is no address of theirs.
    let upn = site.and_then(upn).filter(|u| !u.contains('#'));
    match email.or(upn).or(invited).and_then(|e| Email::parse(e).ok()) {
        Some(email) => Holder::Person(email),
        None => {
            Holder::Opaque(user.or(site).map_or_else(|| "somebody without a name".to_owned(), |u| named("user", u)))
        }
    }
}

fn holder(g: &Identities, invited: Option<&str>) -> Holder {
    if g.user.is_some() || g.site_user.is_some() {
        return person(g.user.as_ref(), g.site_user.as_ref(), invited);
    }
    for (kind, group) in [("group", &g.group), ("site group", &g.site_group), ("site group", &g.share_point_group)] {
        if let Some(group) = group {
            return Holder::Group(named(kind, group));
        }
    }
    match (&g.application, invited.and_then(|e| Email::parse(e).ok())) {
        (Some(app), _) => Holder::Opaque(named("app", app)),
        (None, Some(email)) => Holder::Person(email),
        (None, None) => Holder::Opaque("somebody without a name".to_owned()),
    }
}

fn is_me(g: &Identities, me: &Me) -> bool {
    g.user.iter().chain(&g.site_user).any(|who| me.is(who))
}

/// What one entry lets in: one holder, or each person of a link for certain people. The id of the latter is the link's
/// and the person's, because one link holds many.
pub fn seen(p: &Permission, me: &Me, via: &Via) -> Vec<SeenPermission> {
    let entry = |id: String, holder: Holder, ourselves: bool, pending: bool| SeenPermission {
        id: PermissionId(id),
        holder,
        role: role(p),
        via: via.clone(),
        pending,
        ourselves,
        expires: p.expiration_date_time.as_deref().and_then(|t| t.parse::<Timestamp>().ok()),
    };
    let invited = p.invitation.as_ref().and_then(|i| i.email.as_deref());
    let Some(scope) = p.link_scope() else {
        let (holder, ourselves) = match p.holder_of_grant() {
            Some(g) => (holder(g, invited), is_me(g, me)),
            None => (person(None, None, invited), false),
        };
        let pending = p.invitation.is_some() && p.holder_of_grant().is_none_or(|g| g.user.is_none());
        return vec![entry(p.id.clone(), holder, ourselves, pending)];
    };
    let mut list = match scope {
        // A link to what one can open already.
        "existingAccess" => Vec::new(),
        "anonymous" => vec![entry(p.id.clone(), Holder::Link(LinkKind::Anyone), false, false)],
        "organization" => vec![entry(p.id.clone(), Holder::Link(LinkKind::Organisation), false, false)],
        "users" => match p.linked() {
            Some(people) => people
                .iter()
                .map(|g| {
                    let holder = holder(g, None);
                    entry(format!("{}#{holder}", p.id), holder, is_me(g, me), false)
                })
                .collect(),
            None => vec![entry(p.id.clone(), Holder::Opaque("the people of a link".to_owned()), false, false)],
        },
        other => vec![entry(p.id.clone(), Holder::Opaque(format!("a link of the kind {other}")), false, false)],
    };
    if p.link.as_ref().and_then(|l| l.kind.as_deref()) == Some("edit") {
        for e in list.iter_mut().filter(|e| matches!(e.role, SeenRole::Reader | SeenRole::MetadataOnly)) {
            e.role = SeenRole::Writer;
        }
    } else {
        for e in list.iter_mut().filter(|e| e.role == SeenRole::MetadataOnly) {
            e.role = SeenRole::Reader;
        }
    }
    list.sort();
    list.dedup_by_key(|e| e.id.clone());
    list
}

/// Graph's id in an id that [`seen`] gave.
pub fn raw_id(id: &PermissionId) -> &str {
    id.as_str().split_once('#').map_or(id.as_str(), |(id, _)| id)
}

/// How an entry of a folder reaches it. `above`: the ids on the list of the folder above. The id of a person's entry is
/// the same on all things, so one that is above as well reaches this folder in any case.
pub fn via(p: &Permission, above: &BTreeSet<String>) -> Via {
    if p.says_inherited() || above.contains(&p.id) { Via::Inherited } else { Via::Direct }
}

/// Something below the folder whose list is not shown to us: it may let anybody in, so it counts as somebody.
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

/// Graph's word for what we give.
pub const fn role_word(role: FolderRole) -> &'static str {
    match role {
        FolderRole::Reader => "read",
        FolderRole::Writer => "write",
    }
}

/// Whether what somebody has gives what is to be given.
pub fn gives(has: &SeenRole, wanted: FolderRole) -> bool {
    match has {
        SeenRole::Owner | SeenRole::Manager | SeenRole::Writer => true,
        SeenRole::Reader => wanted == FolderRole::Reader,
        _ => false,
    }
}

/// The text of a folder's mark.
pub fn mark_of(key: &FolderKey) -> String {
    key.to_string()
}

/// The state of a file's content. It does not change with the name, where there is such a tag.
pub fn tag(op: &'static str, f: &Item) -> Result<Tag> {
    let tag = f.ctag.clone().or(f.etag.clone());
    tag.map(Tag).ok_or_else(|| Error::contract(op, "a file came without a cTag and an eTag"))
}

/// Bytes.
pub fn size(op: &'static str, f: &Item) -> Result<u64> {
    f.size.ok_or_else(|| Error::contract(op, "a file came without its size"))
}

pub fn seen_file(op: &'static str, f: &Item, drive: &str, path: Vec<String>) -> Result<SeenFile> {
    let path = path.iter().map(|n| names::decode(n)).collect();
    Ok(SeenFile { id: f.place(drive).file(), path, size: size(op, f)?, tag: tag(op, f)?, key: None })
}
