//! Folders and files: reading, making, naming, deleting.

use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde_json::{Map, Value, json};

use super::{
    Answer, GraphFake,
    address::{self, Found},
    state::{Entry, Node, Refuse, quick_xor, refuse, said},
};

/// Names that SharePoint refuses.
pub fn legal(name: &str) -> bool {
    let low = name.to_lowercase();
    let stem = low.split('.').next().unwrap_or_default();
    let device = stem.len() == 4
        && (stem.starts_with("com") || stem.starts_with("lpt"))
        && stem.ends_with(|c: char| c.is_ascii_digit());
    (1..=255).contains(&name.chars().count())
        && !name.contains(['"', '*', ':', '<', '>', '?', '/', '\\', '|'])
        && name.trim() == name
        && !name.ends_with('.')
        && !low.starts_with("~$")
        && !["con", "prn", "aux", "nul"].contains(&stem)
        && !device
        && ![".lock", "desktop.ini", "forms"].contains(&low.as_str())
        && !low.contains("_vti_")
}

impl GraphFake {
    /// Everything that is addressed below a drive.
    pub(super) fn things(&mut self, r: &FakeRequest, who: &str, drive: &str, below: &[&str]) -> Answer {
        if !self.st.drives.contains_key(drive) {
            return refuse(404, "itemNotFound", "The resource could not be found.");
        }
        let (found, rest) = address::find(&self.st, drive, below)?;
        let node = match (&found, r.method.as_str(), rest.as_slice()) {
            (_, "PUT", ["content"]) => return self.put_content(r, who, &found),
            (_, "POST", ["createUploadSession"]) => return self.create_session(r, who, &found),
            (Found::Thing(id), ..) => id.clone(),
            (Found::Free { .. }, ..) => return refuse(404, "itemNotFound", "The resource could not be found."),
        };
        if self.st.role(who, &node) == 0 {
            return refuse(404, "itemNotFound", "The resource could not be found.");
        }
        match (r.method.as_str(), rest.as_slice()) {
            ("GET", []) => Ok(FakeResponse::json(200, &picked(r, self.entity(&node)))),
            ("GET", ["children"]) => {
                let all: Vec<_> = self.st.children(&node).into_iter().map(|n| n.id.clone()).collect();
                let all: Vec<_> = all.iter().map(|id| picked(r, self.entity(id))).collect();
                self.page(r, &all, self.ways.page_max)
            }
            ("POST", ["children"]) => self.create(r, who, &node),
            ("PATCH", []) => self.patch(r, who, &node),
            ("DELETE", []) => self.delete(r, who, &node),
            ("GET", ["permissions"]) => self.permissions(r, who, &node),
            ("POST", ["invite"]) => self.invite(r, who, &node),
            ("PATCH", ["permissions", id]) => self.permission_patch(r, who, &node, &address::decoded(id)),
            ("DELETE", ["permissions", id]) => self.permission_delete(who, &node, &address::decoded(id)),
            _ => Ok(FakeResponse::unknown(r)),
        }
    }

    pub(super) fn may_write(&self, who: &str, id: &str) -> Result<(), Refuse> {
        if self.st.role(who, id) >= 2 { Ok(()) } else { refuse(403, "accessDenied", "Access denied") }
    }

    /// An item as Graph shows it.
    pub(super) fn entity(&mut self, id: &str) -> Value {
        // The drive's owner stands on its root; an owner's role further down was given to somebody.
        let top = self.st.nodes.get(id).is_some_and(|n| n.parent.is_none());
        let given = |(e, above): &(Entry, bool)| !e.roles.iter().any(|r| r == "owner") || !(*above || top);
        let shared = self.st.effective(id).iter().any(given);
        let count = self.st.children(id).len();
        let Some(n) = self.st.nodes.get_mut(id) else { return Value::Null };
        let mut v = json!({
            "id": n.id, "name": n.name, "eTag": format!("\"{{{}}},{}\"", n.id, n.etag), "size": n.content.len(),
            "parentReference": { "driveId": n.drive, "driveType": "business", "id": n.parent },
            "webUrl": "https://harbour-my.sharepoint.com/personal/ledgers",
        });
        let Some(map) = v.as_object_mut() else { return v };
        if n.parent.is_none() {
            map.insert("root".to_owned(), json!({}));
            map.insert("parentReference".to_owned(), json!({ "driveId": n.drive, "driveType": "business" }));
        }
        if n.folder {
            map.insert("folder".to_owned(), json!({ "childCount": count }));
        } else {
            let hashes = if n.hash_in > 0 { json!({}) } else { json!({ "quickXorHash": quick_xor(&n.content) }) };
            n.hash_in = n.hash_in.saturating_sub(1);
            map.insert("file".to_owned(), json!({ "mimeType": n.mime, "hashes": hashes }));
            // Folders have no cTag here.
            map.insert("cTag".to_owned(), json!(format!("\"c:{{{}}},{}\"", n.id, n.ctag)));
            let address = format!("{}/_content/download/{}?tempauth=v1.{}", self.base, n.id, n.ctag);
            map.insert("@microsoft.graph.downloadUrl".to_owned(), json!(address));
        }
        if shared {
            map.insert("shared".to_owned(), json!({ "scope": "users" }));
        }
        v
    }

    fn create(&mut self, r: &FakeRequest, who: &str, parent: &str) -> Answer {
        self.may_write(who, parent)?;
        let body = r.json();
        let name = said(&body, "/name").to_owned();
        if !legal(&name) || !body.get("folder").is_some_and(Value::is_object) {
            return Err(Refuse::new(400, "invalidRequest", "The provided name cannot contain these characters.")
                .inner("nameContainsInvalidCharacters"));
        }
        match body.get("@microsoft.graph.conflictBehavior").and_then(Value::as_str) {
            Some("fail") | None => {}
            Some(other) => self.violations.push(format!("a folder was made with the conflict behaviour {other}")),
        }
        if self.st.child(parent, &name).is_some() {
            return refuse(409, "nameAlreadyExists", "Name already exists");
        }
        let id = self.add(parent, &name, None).unwrap_or_default();
        Ok(FakeResponse::json(201, &self.entity(&id)))
    }

    /// Puts a new thing into a folder.
    pub(super) fn add(&mut self, parent: &str, name: &str, content: Option<(bytes::Bytes, String)>) -> Option<String> {
        let drive = self.st.nodes.get(parent)?.drive.clone();
        let id = self.st.new_id();
        let folder = content.is_none();
        let (content, mime) = content.unwrap_or_default();
        let node = Node {
            id: id.clone(),
            drive,
            name: name.to_owned(),
            parent: Some(parent.to_owned()),
            folder,
            etag: 1,
            ctag: 1,
            away: false,
            cut: false,
            content,
            mime,
            hash_in: self.ways.late_hash,
        };
        self.st.nodes.insert(id.clone(), node);
        self.st.happened(&id, false, self.now);
        Some(id)
    }

    fn matches(&self, r: &FakeRequest, id: &str) -> Result<(), Refuse> {
        let (Some(wanted), Some(n)) = (r.header("if-match"), self.st.nodes.get(id)) else { return Ok(()) };
        let etag = format!("\"{{{}}},{}\"", n.id, n.etag);
        let ctag = format!("\"c:{{{}}},{}\"", n.id, n.ctag);
        if wanted == etag || (!n.folder && wanted == ctag) {
            return Ok(());
        }
        refuse(412, "resourceModified", "ETag does not match current item's value")
    }

    pub(super) fn check_tag(&self, r: &FakeRequest, id: &str) -> Result<(), Refuse> {
        self.matches(r, id)
    }

    fn patch(&mut self, r: &FakeRequest, who: &str, id: &str) -> Answer {
        self.may_write(who, id)?;
        self.matches(r, id)?;
        let body = r.json();
        let name = said(&body, "/name").to_owned();
        if !legal(&name) {
            return Err(Refuse::new(400, "invalidRequest", "The provided name cannot contain these characters.")
                .inner("nameContainsInvalidCharacters"));
        }
        let parent = self.st.nodes.get(id).and_then(|n| n.parent.clone());
        let Some(parent) = parent else { return refuse(403, "accessDenied", "The root cannot be renamed") };
        if self.st.child(&parent, &name).is_some_and(|other| other.id != id) {
            return refuse(409, "nameAlreadyExists", "Name already exists");
        }
        if let Some(n) = self.st.nodes.get_mut(id) {
            n.name = name;
            n.etag += 1;
        }
        self.st.happened(id, false, self.now);
        Ok(FakeResponse::json(200, &self.entity(id)))
    }

    fn delete(&mut self, r: &FakeRequest, who: &str, id: &str) -> Answer {
        self.may_write(who, id)?;
        self.matches(r, id)?;
        if let Some(n) = self.st.nodes.get_mut(id) {
            n.away = true;
        }
        self.st.happened(id, false, self.now);
        Ok(FakeResponse::new(204))
    }
}

/// What `$select` asks for.
fn picked(r: &FakeRequest, all: Value) -> Value {
    let (Some(select), Value::Object(map)) = (r.query("$select"), &all) else { return all };
    let fields: Vec<_> = select.split(',').map(str::trim).collect();
    let kept: Map<_, _> =
        map.iter().filter(|(k, _)| fields.contains(&k.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect();
    Value::Object(kept)
}
