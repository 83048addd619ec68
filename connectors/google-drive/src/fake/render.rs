//! Items as the API shows them.

use bytes::Bytes;
use md5::{Digest, Md5};
use serde_json::{Map, Value, json};

use super::state::{Effective, Node, State};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// MD5, SHA-1 and SHA-256 of a content, as Google shows them.
fn hashes(bytes: &Bytes) -> [String; 3] {
    use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
    [
        hex(&Md5::digest(bytes)),
        hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref()),
        hex(digest(&SHA256, bytes).as_ref()),
    ]
}

impl Node {
    /// A new revision.
    pub fn set_content(&mut self, bytes: Bytes) {
        self.hashes = hashes(&bytes);
        self.content = Some(bytes);
        self.revision += 1;
    }
}

impl State {
    pub fn user_json(&self, email: &str, me: &str) -> Value {
        let name = self.account(email).map_or(email, |a| a.name.as_str());
        json!({
            "kind": "drive#user", "displayName": name, "me": email == me,
            "permissionId": super::state::grantee("user", email, false), "emailAddress": email,
        })
    }

    /// Everything that a request may select of a file.
    pub fn file_json(&self, node: &Node, me: &str, app: &str, details: bool) -> Value {
        let mut out = Map::new();
        let mut set = |k: &str, v: Value| out.insert(k.to_owned(), v);
        set("kind", json!("drive#file"));
        set("id", json!(node.id));
        set("name", json!(node.name));
        set("mimeType", json!(node.mime));
        set("trashed", json!(self.trashed(&node.id)));
        set("explicitlyTrashed", json!(node.trashed));
        set("starred", json!(false));
        set("spaces", json!(["drive"]));
        set("version", json!(node.version.to_string()));
        set("createdTime", json!(node.created.to_string()));
        set("modifiedTime", json!(node.modified.to_string()));
        set("isAppAuthorized", json!(node.app == app));
        set("webViewLink", json!(format!("https://drive.google.com/open?id={}", node.id)));
        if let Some(p) = &node.parent {
            set("parents", json!([p]));
        }
        let effective = self.effective(&node.id);
        set("shared", json!(effective.len() > 1));
        set("capabilities", self.capabilities(node, me));
        if node.is_folder() {
            set("inheritedPermissionsDisabled", json!(node.limited));
        }
        match (&node.drive, &node.owner) {
            (Some(d), _) => {
                set("driveId", json!(d));
                set("teamDriveId", json!(d));
                set("hasAugmentedPermissions", json!(!node.is_top() && !node.perms.is_empty()));
            }
            (None, owner) => {
                let owner = owner.clone().unwrap_or_default();
                set("ownedByMe", json!(owner == me));
                set("owners", json!([self.user_json(&owner, me)]));
                set("writersCanShare", json!(node.writers_share));
            }
        }
        if self.can_share(node, me) {
            set("permissionIds", json!(effective.keys().collect::<Vec<_>>()));
            if node.drive.is_none() {
                let list: Vec<_> = effective.iter().map(|(id, e)| self.permission_json(id, e, node, details)).collect();
                set("permissions", json!(list));
            }
        }
        if let Some(p) = node.private.get(app).filter(|p| !p.is_empty()) {
            set("appProperties", json!(p));
        }
        if !node.properties.is_empty() {
            set("properties", json!(node.properties));
        }
        if let Some(c) = &node.content {
            set("size", json!(c.len().to_string()));
            set("quotaBytesUsed", json!(c.len().to_string()));
            set("originalFilename", json!(node.name));
            set("headRevisionId", json!(format!("0B{}r{}", node.id.get(1..9).unwrap_or_default(), node.revision)));
            let [md5, sha1, sha256] = &node.hashes;
            set("md5Checksum", json!(md5));
            set("sha1Checksum", json!(sha1));
            set("sha256Checksum", json!(sha256));
        }
        Value::Object(out)
    }

    fn capabilities(&self, node: &Node, me: &str) -> Value {
        let edit = self.can_edit(node, me);
        json!({
            "canShare": self.can_share(node, me),
            "canEdit": edit,
            "canRename": edit,
            "canAddChildren": edit && node.is_folder(),
            "canListChildren": node.is_folder() && self.access(&node.id, me).is_some_and(|r| !r.is_empty()),
            "canDisableInheritedPermissions": !node.limited && self.can_limit(node, me),
            "canEnableInheritedPermissions": node.limited && self.can_limit(node, me),
            "canTrash": self.can_trash(node, me),
            "canDelete": self.can_trash(node, me),
        })
    }

    /// `details` off: a My Drive as older answers show it, without `permissionDetails`.
    pub fn permission_json(&self, id: &str, e: &Effective, node: &Node, details: bool) -> Value {
        let mut out = Map::new();
        let mut set = |k: &str, v: Value| out.insert(k.to_owned(), v);
        set("kind", json!("drive#permission"));
        set("id", json!(id));
        set("type", json!(e.perm.kind));
        set("role", json!(if e.name_only { "reader" } else { e.role() }));
        match e.perm.kind.as_str() {
            "user" | "group" => {
                let account = self.account(&e.perm.who);
                set("emailAddress", json!(e.perm.who));
                set("displayName", json!(account.map_or(e.perm.who.as_str(), |a| a.name.as_str())));
                set("deleted", json!(account.is_some_and(|a| a.deleted)));
                set("pendingOwner", json!(false));
            }
            "domain" => {
                set("domain", json!(e.perm.who));
                set("displayName", json!(e.perm.who));
                set("allowFileDiscovery", json!(e.perm.discoverable));
            }
            _ => {
                set("allowFileDiscovery", json!(e.perm.discoverable));
            }
        }
        if let Some(t) = &e.perm.expires {
            set("expirationTime", json!(t));
        }
        if e.name_only {
            set("view", json!("metadata"));
            set("inheritedPermissionsDisabled", json!(true));
        }
        if node.drive.is_some() || details {
            let member = |top: bool| if top { "member" } else { "file" };
            let mut list = Vec::new();
            if let Some(role) = &e.direct {
                list.push(json!({
                    "permissionType": member(node.drive.is_some() && node.is_top()), "role": role, "inherited": false,
                }));
            }
            for (role, from) in &e.inherited {
                let top = self.files.get(from).is_some_and(|f| f.drive.is_some() && f.is_top());
                let mut one = json!({ "permissionType": member(top), "role": role, "inherited": true });
                if let (Some(_), Some(map)) = (&node.drive, one.as_object_mut()) {
                    map.insert("inheritedFrom".to_owned(), json!(from));
                }
                list.push(one);
            }
            set("permissionDetails", json!(list));
        }
        Value::Object(out)
    }
}
