//! `files.*`.

use http::Method;
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde_json::{Value, json};

use super::{
    Answer, DriveFake, Who, allow, answer,
    fields::Known,
    number,
    state::{FOLDER, Node, Perm, Refuse, grantee, refuse},
};

const WRITABLE: &[&str] = &[
    "id",
    "name",
    "mimeType",
    "parents",
    "appProperties",
    "properties",
    "writersCanShare",
    "description",
    "starred",
    "trashed",
    "createdTime",
    "modifiedTime",
    "inheritedPermissionsDisabled",
    "folderColorRgb",
    "copyRequiresWriterPermission",
    "originalFilename",
];

impl DriveFake {
    pub(super) fn generate_ids(&mut self, r: &FakeRequest) -> Answer {
        allow(r, &["count", "space", "type"])?;
        let count = number(r, "count", 10, 1_000)?;
        let ids: Vec<_> = (0..count).map(|_| self.st.new_id()).collect();
        self.st.reserved.extend(ids.iter().cloned());
        answer(
            r,
            &json!({ "kind": "drive#generatedIds", "space": "drive", "ids": ids }),
            Known::Words(&["kind", "space", "ids"]),
            "*",
        )
    }

    pub(super) fn get(&mut self, r: &FakeRequest, who: &Who, id: &str) -> Answer {
        allow(
            r,
            &[
                "supportsAllDrives",
                "supportsTeamDrives",
                "acknowledgeAbuse",
                "includePermissionsForView",
                "includeLabels",
            ],
        )?;
        let node = self.visible(r, who, id)?;
        if r.query("alt") == Some("media") {
            return match &node.content {
                Some(c) if !who.has("drive.metadata.readonly") => {
                    Ok(FakeResponse::new(200).header("content-type", node.mime.clone()).body(c.clone()))
                }
                _ => refuse(403, "fileNotDownloadable", "Only files with binary content can be downloaded."),
            };
        }
        self.file_answer(r, who, &node.id)
    }

    /// The folder that a new item goes into.
    fn place_for(&self, r: &FakeRequest, who: &Who, body: &Value) -> Result<Node, Refuse> {
        let parent = match body["parents"].as_array().map(Vec::as_slice) {
            None | Some([]) => self.st.top_of(&who.user),
            Some([one]) => one.as_str().unwrap_or_default().to_owned(),
            Some(_) => return refuse(403, "multipleParentsNotAllowed", "A file has exactly one parent."),
        };
        let top = self.st.top_of(&who.user);
        let parent = if parent == "root" { top.clone() } else { parent };
        let above = match self.st.files.get(&parent) {
            Some(top_folder) if parent == top => top_folder.clone(),
            _ => self.visible(r, who, &parent)?,
        };
        if !above.is_folder() || !self.st.can_edit(&above, &who.user) {
            return refuse(
                403,
                "insufficientFilePermissions",
                "The user does not have sufficient permissions for this file.",
            );
        }
        Ok(above)
    }

    /// Checks a body and makes the item it describes. Shared with uploads; the caller sets the content.
    pub(super) fn new_node(&mut self, r: &FakeRequest, who: &Who, body: &Value) -> Result<Node, Refuse> {
        checked(body)?;
        if !who.has("drive") && !who.has("drive.file") {
            return refuse(403, "insufficientPermissions", "Request had insufficient authentication scopes.");
        }
        let id = match body["id"].as_str() {
            Some(id) if self.st.files.contains_key(id) => {
                return refuse(409, "fileIdInUse", "A file already exists with the provided ID.");
            }
            Some(id) if !self.st.reserved.contains(id) => {
                return refuse(400, "invalid", "The provided file ID is not usable.");
            }
            Some(id) => id.to_owned(),
            None => self.st.new_id(),
        };
        let above = self.place_for(r, who, body)?;
        if body.get("writersCanShare").is_some() && above.drive.is_some() {
            return no_share_field();
        }
        let owner = above.drive.is_none().then(|| who.user.clone());
        if owner.is_some() && self.st.account(&who.user).is_some_and(|a| a.room == Some(0)) {
            return refuse(403, "storageQuotaExceeded", "Service Accounts do not have storage quota.");
        }
        let mut node = Node {
            id,
            name: body["name"].as_str().unwrap_or("Untitled").to_owned(),
            mime: body["mimeType"].as_str().unwrap_or("application/octet-stream").to_owned(),
            parent: Some(above.id.clone()),
            drive: above.drive.clone(),
            app: who.app.clone(),
            trashed: false,
            limited: false,
            writers_share: true,
            private: Default::default(),
            properties: Default::default(),
            perms: Default::default(),
            content: None,
            hashes: Default::default(),
            revision: 0,
            version: 1,
            created: self.now,
            modified: self.now,
            owner: owner.clone(),
        };
        if let Some(owner) = &owner {
            let perm = Perm {
                kind: "user".into(),
                role: "owner".into(),
                who: owner.clone(),
                discoverable: false,
                expires: None,
            };
            node.perms.insert(grantee("user", owner, false), perm);
            let home = super::state::domain(owner).to_owned();
            if self.st.policies.get(&home).is_some_and(|p| p.default_visible)
                && r.query("ignoreDefaultVisibility") != Some("true")
            {
                let perm = Perm {
                    kind: "domain".into(),
                    role: "reader".into(),
                    who: home.clone(),
                    discoverable: false,
                    expires: None,
                };
                node.perms.insert(grantee("domain", &home, false), perm);
            }
        }
        change(&mut node, &who.app, body)?;
        Ok(node)
    }

    pub(super) fn create(&mut self, r: &FakeRequest, who: &Who) -> Answer {
        allow(
            r,
            &[
                "supportsAllDrives",
                "supportsTeamDrives",
                "ignoreDefaultVisibility",
                "keepRevisionForever",
                "enforceSingleParent",
                "includePermissionsForView",
            ],
        )?;
        let node = self.new_node(r, who, &body(r)?)?;
        let id = self.insert(node);
        self.file_answer(r, who, &id)
    }

    pub(super) fn insert(&mut self, node: Node) -> String {
        let id = node.id.clone();
        self.st.files.insert(id.clone(), node);
        self.st.changed(&id, self.now, false);
        id
    }

    pub(super) fn update(&mut self, r: &FakeRequest, who: &Who, id: &str) -> Answer {
        allow(
            r,
            &[
                "supportsAllDrives",
                "supportsTeamDrives",
                "addParents",
                "removeParents",
                "keepRevisionForever",
                "enforceSingleParent",
                "includePermissionsForView",
            ],
        )?;
        let node = self.changed_node(r, who, id, &body(r)?)?;
        let id = node.id.clone();
        self.st.files.insert(id.clone(), node);
        self.st.changed(&id, self.now, false);
        self.file_answer(r, who, &id)
    }

    /// The item after a `PATCH`, checked and not yet kept.
    pub(super) fn changed_node(&mut self, r: &FakeRequest, who: &Who, id: &str, body: &Value) -> Result<Node, Refuse> {
        checked(body)?;
        let mut node = self.visible(r, who, id)?;
        let denied = || {
            refuse(403, "insufficientFilePermissions", "The user does not have sufficient permissions for this file.")
        };
        if !self.st.can_edit(&node, &who.user) {
            return denied();
        }
        if body.get("id").is_some() || body.get("parents").is_some() {
            return refuse(
                403,
                "fieldNotWritable",
                "The resource body includes fields which are not directly writable.",
            );
        }
        if body.get("trashed").is_some() && !self.st.can_trash(&node, &who.user) {
            return denied();
        }
        if body.get("inheritedPermissionsDisabled").is_some() && !self.st.can_limit(&node, &who.user) {
            return denied();
        }
        if body.get("writersCanShare").is_some() && node.drive.is_some() {
            return no_share_field();
        }
        if body.get("writersCanShare").is_some() && self.st.access(id, &who.user).as_deref() != Some("owner") {
            return denied();
        }
        if let Some(to) = r.query("addParents") {
            let to = self.visible(r, who, to)?;
            if r.query("removeParents") != node.parent.as_deref() {
                return refuse(
                    403,
                    "cannotAddParent",
                    "A file has exactly one parent: name the old one in removeParents.",
                );
            }
            if to.drive.is_some() && node.drive.is_none() && node.is_folder() {
                return refuse(
                    403,
                    "teamDrivesFolderMoveInNotSupported",
                    "Moving folders into shared drives is not supported.",
                );
            }
            node.parent = Some(to.id);
        }
        change(&mut node, &who.app, body)?;
        node.modified = self.now;
        Ok(node)
    }

    pub(super) fn delete(&mut self, r: &FakeRequest, who: &Who, id: &str) -> Answer {
        allow(r, &["supportsAllDrives", "supportsTeamDrives", "enforceSingleParent"])?;
        let node = self.visible(r, who, id)?;
        if !self.st.can_trash(&node, &who.user) {
            return refuse(
                403,
                "insufficientFilePermissions",
                "The user does not have sufficient permissions for this file.",
            );
        }
        self.st.remove(&node.id, self.now);
        Ok(FakeResponse::new(204))
    }
}

pub(super) fn body(r: &FakeRequest) -> Result<Value, Refuse> {
    if r.body.is_empty() && r.method != Method::GET {
        return Ok(json!({}));
    }
    match r.json() {
        Value::Null => refuse(400, "parseError", "Parse Error"),
        v => Ok(v),
    }
}

fn no_share_field<T>() -> Result<T, Refuse> {
    refuse(403, "fieldNotWritable", "writersCanShare is not populated for items in shared drives.")
}

fn checked(body: &Value) -> Result<(), Refuse> {
    let Some(map) = body.as_object() else { return refuse(400, "parseError", "Parse Error") };
    match map.keys().find(|k| !WRITABLE.contains(&k.as_str())) {
        Some(k) => refuse(400, "badRequest", format!("Invalid JSON payload received. Unknown name \"{k}\"")),
        None => Ok(()),
    }
}

/// Takes a body's fields over.
fn change(node: &mut Node, app: &str, body: &Value) -> Result<(), Refuse> {
    if let Some(name) = body["name"].as_str() {
        node.name = name.to_owned();
    }
    if let Some(mime) = body["mimeType"].as_str() {
        if mime != FOLDER && mime.starts_with("application/vnd.google-apps.") && node.content.is_some() {
            return refuse(400, "invalid", "Conversion is not supported here.");
        }
        node.mime = mime.to_owned();
    }
    if let Some(is) = body["trashed"].as_bool() {
        node.trashed = is;
    }
    if let Some(is) = body["writersCanShare"].as_bool() {
        node.writers_share = is;
    }
    if let Some(is) = body["inheritedPermissionsDisabled"].as_bool() {
        if !node.is_folder() {
            return refuse(403, "fieldNotWritable", "inheritedPermissionsDisabled is for folders only.");
        }
        node.limited = is;
    }
    for (field, map) in
        [("appProperties", node.private.entry(app.to_owned()).or_default()), ("properties", &mut node.properties)]
    {
        for (k, v) in body[field].as_object().into_iter().flatten() {
            match v {
                Value::Null => drop(map.remove(k)),
                Value::String(s) if k.len() + s.len() <= 124 => drop(map.insert(k.clone(), s.clone())),
                Value::String(_) => {
                    return refuse(
                        403,
                        "propertySizeLimitExceeded",
                        "A property may have 124 bytes, key and value together.",
                    );
                }
                _ => return refuse(400, "invalid", "Property values are texts."),
            }
        }
        if map.len() > 30 {
            return refuse(403, "numPropertiesExceeded", "A file may have 30 properties of one app.");
        }
    }
    Ok(())
}
