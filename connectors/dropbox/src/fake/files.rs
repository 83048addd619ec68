//! Files and folders: metadata, lists, making and moving.

use ledgerward_kit::fake::FakeResponse;
use serde_json::{Value, json};

use super::{
    Answer, Call, DropboxFake, plain,
    state::{State, hash, lower},
    tag,
};

impl DropboxFake {
    pub(super) fn files(&mut self, route: &str, call: &Call) -> Answer {
        match route {
            "files/get_metadata" => self.metadata(call),
            "files/list_folder" => self.list_folder(call),
            "files/list_folder/continue" => self.list_more(call),
            "files/list_folder/get_latest_cursor" => self.latest_cursor(call),
            "files/create_folder_v2" => self.create_folder(call),
            "files/move_v2" => self.move_node(call),
            _ => self.delete(call),
        }
    }

    pub(super) fn find(&self, call: &Call, path: &str) -> Answer<u64> {
        let sound = path.is_empty() || path.starts_with('/') || path.starts_with("ns:") || path.starts_with("id:");
        if !sound || path == "/" {
            return plain("Error in call: path: did not match pattern");
        }
        match self.st.resolve(call, path) {
            Some(id) => Ok(id),
            None => tag("path/not_found"),
        }
    }

    fn metadata(&mut self, call: &Call) -> Answer {
        call.only(&["path", "include_deleted", "include_has_explicit_shared_members", "include_media_info"])?;
        let path = call.text("path")?;
        if path.is_empty() {
            return plain("Error in call: path: The root folder is unsupported.");
        }
        let id = self.find(call, &path)?;
        Ok(self.st.entry(call, id, true, call.flag("include_has_explicit_shared_members")))
    }

    fn create_folder(&mut self, call: &Call) -> Answer {
        call.only(&["path", "autorename"])?;
        let path = call.text("path")?;
        if let Some(id) = self.st.resolve(call, &path) {
            let what = if self.st.nodes.get(&id).is_some_and(|n| n.file.is_some()) { "file" } else { "folder" };
            return tag(&format!("path/conflict/{what}"));
        }
        let (parent, name) = self.st.parent_of(call, &path, self.now)?;
        if !self.st.may_write(call, parent) {
            return tag("path/no_write_permission");
        }
        let id = self.st.add(Some(parent), &name, self.now);
        self.st.changed(id, false);
        Ok(json!({ "metadata": self.st.entry(call, id, false, false) }))
    }

    fn move_node(&mut self, call: &Call) -> Answer {
        call.only(&["from_path", "to_path", "autorename", "allow_ownership_transfer", "allow_shared_folder"])?;
        let (from, to) = (call.text("from_path")?, call.text("to_path")?);
        let Some(id) = self.st.resolve(call, &from) else { return tag("from_lookup/not_found") };
        // A change of letter case alone is no move.
        if let Some(there) = self.st.resolve(call, &to) {
            let what = if self.st.nodes.get(&there).is_some_and(|n| n.file.is_some()) { "file" } else { "folder" };
            return tag(&format!("to/conflict/{what}"));
        }
        let (parent, name) = self.st.parent_of(call, &to, self.now)?;
        if !self.st.may_write(call, parent) || !self.st.may_write(call, id) {
            return tag("to/no_write_permission");
        }
        let shared = self.st.nodes.get(&id).is_some_and(|n| n.share.is_some());
        let under_share = self.st.above(parent).iter().any(|n| self.st.nodes.get(n).is_some_and(|n| n.share.is_some()));
        if shared && under_share && !self.st.in_team_folder(parent) {
            return tag("cant_nest_shared_folder");
        }
        self.st.changed(id, true);
        if let Some(node) = self.st.nodes.get_mut(&id) {
            node.parent = Some(parent);
            node.name = name;
        }
        self.st.changed(id, false);
        let mut metadata = self.st.entry(call, id, true, false);
        if let Some(map) = metadata.as_object_mut() {
            map.entry(".tag").or_insert(json!("folder"));
        }
        Ok(json!({ "metadata": metadata }))
    }

    fn delete(&mut self, call: &Call) -> Answer {
        call.only(&["path", "parent_rev"])?;
        let Some(id) = self.st.resolve(call, &call.text("path")?) else { return tag("path_lookup/not_found") };
        let metadata = self.st.entry(call, id, true, false);
        self.st.remove(id);
        Ok(json!({ "metadata": metadata }))
    }

    pub(super) fn download(&mut self, call: &Call) -> Answer<FakeResponse> {
        call.only(&["path"])?;
        let id = self.find(call, &call.text("path")?)?;
        let Some(file) = self.st.nodes.get(&id).and_then(|n| n.file.clone()) else { return tag("path/not_file") };
        let about = self.st.entry(call, id, false, false);
        let about: String = about
            .to_string()
            .encode_utf16()
            .map(|u| match char::from_u32(u.into()).filter(|c| (*c as u32) < 0x7f) {
                Some(c) => c.to_string(),
                None => format!("\\u{u:04x}"),
            })
            .collect();
        Ok(FakeResponse::new(200)
            .header("content-type", "application/octet-stream")
            .header("dropbox-api-result", about)
            .body(file.content))
    }

    /// Puts bytes at a path by the rules of `WriteMode`.
    pub(super) fn commit(&mut self, call: &Call, commit: &Value, mut bytes: Vec<u8>) -> Answer {
        for key in commit.as_object().into_iter().flatten().map(|(k, _)| k) {
            let known = ["path", "mode", "autorename", "mute", "strict_conflict", "client_modified", "content_hash"];
            if !known.contains(&key.as_str()) {
                return plain(format!("Error in call: HTTP header \"Dropbox-API-Arg\": unknown field '{key}'"));
            }
        }
        let path = commit["path"].as_str().unwrap_or_default().to_owned();
        let mode = super::word(&commit["mode"]).unwrap_or_else(|| "add".to_owned());
        let failed = |reason: Value| {
            super::refuse(
                409,
                json!({ ".tag": "path", "reason": reason, "upload_session_id": "pid_upload_session:sandbox" }),
            )
        };
        let conflict = |what: &str| failed(json!({ ".tag": "conflict", "conflict": { ".tag": what } }));
        let (parent, name) = match self.st.parent_of(call, &path, self.now) {
            Ok(found) => found,
            Err(super::Refuse { body: super::Body::Union(u), .. }) => return failed(u["path"].clone()),
            Err(other) => return Err(other),
        };
        if !self.st.may_write(call, parent) {
            return failed(json!({ ".tag": "no_write_permission" }));
        }
        let there = self.st.child(parent, &name).cloned();
        let over = match there {
            None if mode == "update" => return conflict("file"),
            None => None,
            Some(node) => {
                let Some(file) = node.file else { return conflict("folder") };
                let same = hash(&file.content) == hash(&bytes);
                let free = mode == "overwrite" || (mode == "update" && commit["mode"]["update"] == json!(file.rev));
                if same && commit["strict_conflict"] != json!(true) {
                    return Ok(self.st.entry(call, node.id, false, false));
                }
                if !free {
                    return conflict("file");
                }
                Some(node.id)
            }
        };
        let email = call.who.email.clone();
        let room = self.st.accounts.get(&email).map_or(0, |a| a.room);
        if self.st.used(&email) + bytes.len() as u64 > room {
            return failed(json!({ ".tag": "insufficient_space" }));
        }
        if self.corrupt_uploads > 0 {
            self.corrupt_uploads -= 1;
            bytes.push(0);
        }
        let id = self.st.write_file(parent, &name, over, bytes, &email, self.now);
        Ok(self.st.entry(call, id, false, false))
    }

    /// Everything a list shows, folders before what is in them.
    pub(super) fn below(&self, call: &Call, id: u64, recursive: bool) -> Vec<u64> {
        let mut all: Vec<(String, u64)> = Vec::new();
        for n in self.st.nodes.values().filter(|n| n.id != id || recursive) {
            let inside = if recursive { self.st.above(n.id).contains(&id) } else { n.parent == Some(id) };
            if let (true, Some(path)) = (inside, self.st.path(n.id, call.rooted)) {
                all.push((lower(&path), n.id));
            }
        }
        all.sort();
        all.into_iter().map(|(_, n)| n).collect()
    }

    pub(super) fn ns_of(id: u64) -> String {
        State::ns(id)
    }
}
