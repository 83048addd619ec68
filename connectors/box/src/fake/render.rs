//! Things as Box writes them, and the choice of `fields`.

use ledgerward_kit::fake::FakeRequest;
use serde_json::{Map, Value, json};

use super::{
    BoxFake,
    state::{Collab, Node, Refuse, refuse, shown},
};

/// Fields that clients may ask for. Box ignores words that it does not know; here they are refused, so that a slip of the
/// pen is seen.
const ITEM: &[&str] = &[
    "id",
    "type",
    "name",
    "etag",
    "sequence_id",
    "description",
    "item_status",
    "parent",
    "path_collection",
    "owned_by",
    "created_by",
    "shared_link",
    "has_collaborations",
    "can_non_owners_invite",
    "can_non_owners_view_collaborators",
    "is_collaboration_restricted_to_enterprise",
    "allowed_invitee_roles",
    "permissions",
    "sha1",
    "size",
    "created_at",
    "modified_at",
    "content_modified_at",
];
const COLLABORATION: &[&str] = &[
    "id",
    "type",
    "role",
    "status",
    "accessible_by",
    "invite_email",
    "item",
    "expires_at",
    "created_at",
    "modified_at",
    "acknowledged_at",
    "created_by",
    "is_access_only",
];
const USER: &[&str] = &[
    "id",
    "type",
    "name",
    "login",
    "status",
    "enterprise",
    "space_amount",
    "space_used",
    "max_upload_size",
    "language",
];

/// What the request asks for, or everything.
fn choose(r: &FakeRequest, known: &[&str], full: Value) -> Result<Value, Refuse> {
    let Some(fields) = r.query("fields") else { return Ok(full) };
    let asked: Vec<_> = fields.split(',').map(str::trim).collect();
    if let Some(odd) = asked.iter().find(|f| !known.contains(f)) {
        return refuse(400, "bad_request", &format!("unknown field {odd}"));
    }
    let Value::Object(full) = full else { return Ok(full) };
    // The mini form comes whether asked for or not.
    let keep = |k: &String| ["id", "type", "etag"].contains(&k.as_str()) || asked.contains(&k.as_str());
    Ok(Value::Object(full.into_iter().filter(|(k, _)| keep(k)).collect::<Map<_, _>>()))
}

impl BoxFake {
    fn user_json(&self, id: &str) -> Value {
        self.st
            .users
            .get(id)
            .map_or(Value::Null, |u| json!({ "type": "user", "id": u.id, "name": u.name, "login": u.login }))
    }

    pub(super) fn item_json(&self, r: &FakeRequest, who: &str, n: &Node) -> Result<Value, Refuse> {
        let chain = self.st.chain(&n.id);
        // Somebody else's folders above are not shown; the path begins at one's own top all the same.
        let above: Vec<_> = chain
            .iter()
            .skip(1)
            .rev()
            .filter(|a| a.parent.is_some() && self.st.role(who, &a.id).is_some())
            .map(|a| json!({ "type": "folder", "id": a.id, "name": a.name, "etag": a.etag.to_string() }))
            .collect();
        let mut path = vec![json!({ "type": "folder", "id": "0", "name": "All Files", "etag": null })];
        path.extend(above);
        let is_top = n.parent.is_none();
        let parent = if is_top { Value::Null } else { path.last().cloned().unwrap_or(Value::Null) };
        let link = n.link.as_ref().map(|access| {
            let url = format!("https://app.box.example/s/{}", n.id);
            json!({ "url": url, "access": access, "effective_access": access, "is_password_enabled": false })
        });
        let invite = self.st.may_invite(who, &n.id);
        let edit = self.st.may_edit(who, &n.id);
        let roles = self.st.policy.roles.clone().unwrap_or_else(|| {
            super::state::ROLES.iter().filter(|r| **r != "owner").map(|r| (*r).to_owned()).collect()
        });
        let mut full = json!({
            "type": n.kind, "id": shown(n), "name": n.name, "etag": n.etag.to_string(), "sequence_id": n.etag.to_string(),
            "description": n.description, "item_status": if self.st.is_trashed(&n.id) { "trashed" } else { "active" },
            "parent": parent, "path_collection": { "total_count": path.len(), "entries": if is_top { Vec::new() } else { path } },
            "owned_by": self.user_json(&n.owner), "created_by": self.user_json(&n.owner), "shared_link": link,
            "has_collaborations": !self.st.listed(&n.id, true).is_empty(),
            "permissions": {
                "can_download": true, "can_upload": self.st.may_upload(who, &n.id), "can_rename": edit, "can_delete": edit,
                "can_share": edit, "can_invite_collaborator": invite, "can_set_share_access": edit,
            },
            "created_at": "2026-01-05T09:00:00-08:00", "modified_at": "2026-01-05T09:00:00-08:00",
        });
        let more = match n.kind.as_str() {
            "folder" => json!({
                "can_non_owners_invite": n.others_invite, "can_non_owners_view_collaborators": n.others_view,
                "is_collaboration_restricted_to_enterprise": false, "allowed_invitee_roles": roles,
                // Box counts a folder's bytes as a float.
                "size": 0.0,
            }),
            "file" => {
                json!({ "sha1": n.sha1, "size": n.content.len(), "content_modified_at": "2026-01-05T09:00:00-08:00" })
            }
            _ => json!({}),
        };
        if let (Value::Object(a), Value::Object(b)) = (&mut full, more) {
            a.extend(b);
        }
        choose(r, ITEM, full)
    }

    pub(super) fn collaboration_json(&self, r: &FakeRequest, c: &Collab) -> Result<Value, Refuse> {
        let pending = c.status == "pending";
        let user = c.user.as_ref().and_then(|u| self.st.users.get(u));
        let group = c.group.as_ref().and_then(|g| self.st.groups.get(g));
        let by = match (user, group) {
            // Until it is accepted, names are withheld.
            (Some(u), _) => {
                json!({ "type": "user", "id": u.id, "name": if pending { "" } else { &u.name }, "login": u.login, "is_active": true })
            }
            (None, Some(g)) => json!({ "type": "group", "id": g.id, "name": g.name, "group_type": "managed_group" }),
            (None, None) => Value::Null,
        };
        let item = self.st.nodes.get(&c.item).filter(|_| !pending);
        let item = item.map(|n| json!({ "type": n.kind, "id": n.id, "etag": n.etag.to_string(), "name": n.name }));
        let full = json!({
            "type": "collaboration", "id": c.id, "role": c.role, "status": c.status, "accessible_by": by,
            "invite_email": c.email, "item": item, "expires_at": c.expires, "created_at": c.at, "modified_at": c.at,
            "acknowledged_at": if pending { Value::Null } else { json!(c.at) }, "created_by": self.user_json(&c.by),
            "is_access_only": false,
        });
        choose(r, COLLABORATION, full)
    }

    pub(super) fn me_json(&self, r: &FakeRequest, who: &str) -> Result<Value, Refuse> {
        let Some(u) = self.st.users.get(who) else { return refuse(401, "", "") };
        let enterprise = u.enterprise.as_ref().map(|e| json!({ "type": "enterprise", "id": e, "name": "Enterprise" }));
        // "Unlimited" is a number at Box, and a float.
        let room = u.room.map_or_else(|| json!(1e15), |n| json!(n));
        let full = json!({
            "type": "user", "id": u.id, "name": u.name, "login": u.login, "status": u.status, "enterprise": enterprise,
            "space_amount": room, "space_used": self.st.used(who), "max_upload_size": 5_368_709_120_u64, "language": "en",
        });
        choose(r, USER, full)
    }
}
