//! Graph's shapes into our words. Pure.

use std::collections::BTreeSet;

use ledgerward_contract::{
    Email, Error, FolderKey, FolderRole, Holder, LinkKind, PermissionId, Result, SeenFile, SeenPermission, SeenRole,
    Tag, Timestamp, Via,
};

use crate::names;
pub use crate::shapes::*;

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
            // Limited access: what SharePoint gives above a thing that somebody was let in to. Elsewhere see `not_told`.
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
/// and the person's, because one link holds many. Nobody's place on a link of the folder is an entry of the person's own: it
/// can be neither changed nor ended alone. What can be ended is the link, which is listed beside its people for that, and by
/// itself lets nobody in.
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
    if scope == "users" && p.linked().is_some() && *via == Via::Direct {
        let name = format!("the link {}", p.id);
        for e in &mut list {
            e.via = Via::Below(format!("{name} for certain people"));
        }
        let itself = entry(p.id.clone(), Holder::Opaque(name), false, false);
        list.push(SeenPermission { role: SeenRole::MetadataOnly, ..itself });
    }
    list
}

/// Who of an entry is from outside of the tenant, as far as Graph tells: guests, and who has not accepted an invitation yet
/// (for people of the tenant there is nothing to accept).
pub fn guests(p: &Permission) -> Vec<Holder> {
    let invited = p.invitation.as_ref().and_then(|i| i.email.as_deref());
    let is_guest = |g: &&Identities| {
        let login = g.site_user.as_ref().and_then(|u| u.login_name.as_deref()).unwrap_or_default().to_lowercase();
        login.contains("#ext#") || login.contains("urn:spo:guest") || login.contains("urn%3aspo%3aguest")
    };
    let people = p.holder_of_grant().into_iter().chain(p.linked().into_iter().flatten());
    let mut list: Vec<_> = people.filter(is_guest).map(|g| holder(g, invited)).collect();
    if p.holder_of_grant().is_none() && p.link_scope().is_none() {
        list.extend(invited.map(|email| person(None, None, Some(email))));
    }
    list
}

/// Graph's id in an id that [`seen`] gave.
pub fn raw_id(id: &PermissionId) -> &str {
    id.as_str().split_once('#').map_or(id.as_str(), |(id, _)| id)
}

/// What the list of the folder above says that a folder's own list may say again. The id of a person's entry is the same on
/// all things.
#[derive(Default)]
pub struct Above {
    /// Entries that let somebody in there: who has one reaches what is below in any case.
    opens: BTreeSet<String>,
    /// Entries without a role, where the folder shows the list of above for want of one of its own.
    bare: BTreeSet<String>,
}

impl Above {
    /// `shared`: Graph says of the folder that it is shared itself.
    pub fn of(above: &[Permission], own: &[Permission], shared: bool) -> Self {
        let ids = |named: bool| above.iter().filter(move |p| p.names_a_role() == named).map(|p| p.id.clone()).collect();
        let same = |p: &Permission| above.iter().any(|a| a.id == p.id && a.roles == p.roles);
        // Limited access does not come down to a folder that has a list of its own: what is on that is the folder's.
        let bare = if shared || !own.iter().all(same) { BTreeSet::new() } else { ids(false) };
        Self { opens: ids(true), bare }
    }

    /// Whether an entry is limited access above. It is nothing here: our own grant on another client's folder may be what
    /// put it there.
    pub fn only_limited(&self, p: &Permission) -> bool {
        !p.names_a_role() && self.bare.contains(&p.id)
    }
}

/// How an entry of a folder reaches it.
pub fn via(p: &Permission, above: &Above) -> Via {
    if p.says_inherited() || above.opens.contains(&p.id) { Via::Inherited } else { Via::Direct }
}

/// What one entry of a folder's own list lets in.
pub fn on_folder(p: &Permission, me: &Me, above: &Above) -> Vec<SeenPermission> {
    let list = seen(p, me, &via(p, above));
    if p.names_a_role() || above.only_limited(p) { list } else { not_told(list) }
}

/// What one entry of the list of something below a folder lets in. "owner" is SharePoint's Full Control there, which anybody
/// may have been given: it makes nobody the one whose thing it is.
pub fn below(p: &Permission, me: &Me, at: &str) -> Vec<SeenPermission> {
    let mut list = seen(p, me, &Via::Below(at.to_owned()));
    for s in list.iter_mut().filter(|s| s.role == SeenRole::Owner) {
        s.role = SeenRole::Manager;
    }
    if p.names_a_role() { list } else { not_told(list) }
}

/// Without a role an entry is limited access, left by something further down, or a permission level of the site's own, for
/// which Graph has no word: it may let somebody in. It is nobody's access to the folder itself as far as anybody can say, so
/// who is to be let in is let in, whatever it is.
fn not_told(mut list: Vec<SeenPermission>) -> Vec<SeenPermission> {
    for s in &mut list {
        s.role = SeenRole::Other("no role told".to_owned());
        if !matches!(s.via, Via::Below(_)) {
            s.via = Via::Below("something that Microsoft tells no role for".to_owned());
        }
    }
    list
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
