//! Folders, files, and what lies in a folder.

use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde_json::{Value, json};

use super::{
    Answer, BoxFake, page,
    state::{Node, Refuse, refuse},
};

/// Names that Box refuses.
pub fn check_name(name: &str) -> Result<(), Refuse> {
    if name.chars().count() > 255 {
        return refuse(400, "item_name_too_long", "Item name too long");
    }
    let bad = name.is_empty()
        || name == "."
        || name == ".."
        || name.ends_with(' ')
        || name.contains(['/', '\\'])
        || name.chars().any(char::is_control);
    if bad { refuse(400, "item_name_invalid", "Item name invalid") } else { Ok(()) }
}

impl BoxFake {
    pub(super) fn me(&self, r: &FakeRequest, who: &str) -> Answer {
        Ok(FakeResponse::json(200, &self.me_json(r, who)?))
    }

    /// 409 with the thing in the way: an array for folders, one object for files.
    pub(super) fn check_free(&self, parent: &str, name: &str, but: Option<&str>, array: bool) -> Result<(), Refuse> {
        let same = |n: &&Node| n.name.to_lowercase() == name.to_lowercase() && Some(n.id.as_str()) != but;
        let Some(n) = self.st.children(parent).into_iter().find(same).cloned() else { return Ok(()) };
        let mut one = json!({ "type": n.kind, "id": n.id, "sequence_id": n.etag.to_string(), "etag": n.etag.to_string(), "name": n.name });
        if let ("file", Some(map)) = (n.kind.as_str(), one.as_object_mut()) {
            map.insert("sha1".to_owned(), json!(n.sha1));
        }
        let conflicts = if array { json!([one]) } else { one };
        let refused = Refuse::new(409, "item_name_in_use", "Item with the same name already exists");
        Err(Refuse { context: Some(json!({ "conflicts": conflicts })), ..refused })
    }

    pub(super) fn if_match(r: &FakeRequest, n: &Node) -> Result<(), Refuse> {
        match r.header("if-match") {
            Some(etag) if etag != n.etag.to_string() => refuse(
                412,
                "precondition_failed",
                "The resource has been modified. Please retrieve the resource again and retry",
            ),
            _ => Ok(()),
        }
    }

    pub(super) fn folder_create(&mut self, r: &FakeRequest, who: &str) -> Answer {
        let body = r.json();
        let (Some(name), Some(parent)) =
            (body.pointer("/name").and_then(Value::as_str), body.pointer("/parent/id").and_then(Value::as_str))
        else {
            return refuse(400, "bad_request", "name and parent are required");
        };
        let parent = self.visible(who, "folder", parent)?;
        check_name(name)?;
        if !self.st.may_upload(who, &parent.id) {
            return refuse(403, "access_denied_insufficient_permissions", "Access denied - insufficient permission");
        }
        self.check_free(&parent.id, name, None, true)?;
        let id = self.st.new_id();
        // What lies in a folder belongs to the folder's owner, whoever made it.
        let node = Node::new(id.clone(), "folder", name, Some(parent.id.clone()), &parent.owner);
        self.st.nodes.insert(id.clone(), node.clone());
        self.st.happened("ITEM_CREATE", &id, self.now);
        Ok(FakeResponse::json(201, &self.item_json(r, who, &node)?))
    }

    pub(super) fn item_get(&self, r: &FakeRequest, who: &str, kind: &str, id: &str) -> Answer {
        let node = self.visible(who, kind, id)?;
        Ok(FakeResponse::json(200, &self.item_json(r, who, &node)?))
    }

    pub(super) fn item_update(&mut self, r: &FakeRequest, who: &str, kind: &str, id: &str) -> Answer {
        let mut node = self.visible(who, kind, id)?;
        Self::if_match(r, &node)?;
        let denied =
            || refuse(403, "access_denied_insufficient_permissions", "Access denied - insufficient permission");
        if node.parent.is_none() || !self.st.may_edit(who, &node.id) {
            return denied();
        }
        let Value::Object(body) = r.json() else { return refuse(400, "bad_request", "no JSON object") };
        let owner = matches!(self.st.role(who, &node.id), Some("owner" | "co-owner"));
        let mut events = Vec::new();
        for (key, value) in &body {
            match (key.as_str(), value) {
                ("name", Value::String(name)) => {
                    check_name(name)?;
                    let parent = node.parent.clone().unwrap_or_default();
                    self.check_free(&parent, name, Some(&node.id), kind == "folder")?;
                    node.name.clone_from(name);
                    events.push("ITEM_RENAME");
                }
                ("description", Value::String(text)) if text.chars().count() <= 256 => {
                    node.description.clone_from(text)
                }
                ("can_non_owners_invite" | "can_non_owners_view_collaborators", Value::Bool(_)) if !owner => {
                    return denied();
                }
                ("can_non_owners_invite", Value::Bool(on)) => node.others_invite = *on,
                ("can_non_owners_view_collaborators", Value::Bool(on)) => node.others_view = *on,
                ("shared_link", Value::Null) => {
                    if node.link.take().is_some() {
                        events.push("ITEM_SHARED_UNSHARE");
                    }
                }
                _ => return refuse(400, "bad_request", &format!("'{key}' cannot be set like this")),
            }
        }
        node.etag += 1;
        self.st.nodes.insert(node.id.clone(), node.clone());
        for event in events {
            self.st.happened(event, &node.id, self.now);
        }
        Ok(FakeResponse::json(200, &self.item_json(r, who, &node)?))
    }

    pub(super) fn item_trash(&mut self, r: &FakeRequest, who: &str, kind: &str, id: &str) -> Answer {
        let node = self.visible(who, kind, id)?;
        Self::if_match(r, &node)?;
        if node.parent.is_none() || !self.st.may_edit(who, &node.id) {
            return refuse(403, "access_denied_insufficient_permissions", "Access denied - insufficient permission");
        }
        if kind == "folder" && r.query("recursive") != Some("true") && !self.st.children(&node.id).is_empty() {
            return refuse(400, "folder_not_empty", "Cannot delete: folder not empty");
        }
        self.st.happened("ITEM_TRASH", &node.id, self.now);
        if let Some(n) = self.st.nodes.get_mut(&node.id) {
            n.trashed = true;
        }
        Ok(FakeResponse::new(204))
    }

    pub(super) fn folder_items(&self, r: &FakeRequest, who: &str, id: &str) -> Answer {
        let folder = self.visible(who, "folder", id)?;
        if r.query("usemarker") != Some("true") {
            // Offsets miss items when something changes between two pages; nobody here should use them.
            return Ok(FakeResponse::unknown(r));
        }
        let mut all = self.st.children(&folder.id);
        // In one's own top lie also the folders that others shared.
        if folder.parent.is_none() {
            let shared = self.st.nodes.values().filter(|n| {
                n.owner != who
                    && !self.st.is_trashed(&n.id)
                    && self.st.role(who, &n.id).is_some()
                    && n.parent.as_ref().is_none_or(|p| self.st.role(who, p).is_none())
            });
            all.extend(shared);
        }
        let rank =
            |n: &&Node| (["folder", "file", "web_link"].iter().position(|k| *k == n.kind), n.name.to_lowercase());
        all.sort_by_key(rank);
        let rendered: Result<Vec<_>, _> = all.into_iter().map(|n| self.item_json(r, who, n)).collect();
        page(r, self.page_max, &rendered?)
    }
}
