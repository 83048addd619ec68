//! Requests to Dropbox API v2. Everything is a POST; what a request does is declared by hand.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method};
use ledgerward_contract::{Endpoints, Request, Response, Result};
use ledgerward_kit::answer;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{map::content_hash, refusal};

/// The argument of a content route.
const ARG: HeaderName = HeaderName::from_static("dropbox-api-arg");
const SELECT_USER: HeaderName = HeaderName::from_static("dropbox-api-select-user");
/// Which namespace paths are counted from.
pub const PATH_ROOT: HeaderName = HeaderName::from_static("dropbox-api-path-root");

/// Builds requests. Holds nothing but addresses and the member to act as.
#[derive(Debug)]
pub struct Api {
    endpoints: Endpoints,
    select_user: Option<String>,
}

/// Where in an upload session we are, and what becomes of the bytes.
pub struct Piece<'a> {
    pub session: &'a str,
    pub offset: usize,
    pub bytes: Bytes,
}

impl Api {
    pub fn new(endpoints: Endpoints, select_user: Option<String>) -> Self {
        Self { endpoints, select_user }
    }

    fn dress(&self, request: Request) -> Result<Request> {
        match &self.select_user {
            Some(member) => request.header(SELECT_USER, member),
            None => Ok(request),
        }
    }

    fn read(&self, op: &'static str, route: &str, arg: Value) -> Result<Request> {
        let url = self.endpoints.url("api", &format!("/{route}"))?;
        self.dress(Request::read(op, Method::POST, url).json(arg))
    }

    fn write(&self, op: &'static str, route: &str, arg: Value) -> Result<Request> {
        let url = self.endpoints.url("api", &format!("/{route}"))?;
        self.dress(Request::write(op, Method::POST, url).json(arg))
    }

    fn send_bytes(&self, op: &'static str, route: &str, arg: &Value, bytes: Bytes) -> Result<Request> {
        let url = self.endpoints.url("content", &format!("/{route}"))?;
        // The usual 30 s, and what a line of half a megabit needs.
        let time = Duration::from_secs(30 + bytes.len() as u64 / 65_536);
        let request = Request::write(op, Method::POST, url).timeout(time).bytes("application/octet-stream", bytes);
        self.dress(request)?.header(ARG, &ascii(arg))
    }

    pub fn account(&self) -> Result<Request> {
        self.read("account.get", "users/get_current_account", Value::Null)
    }

    pub fn space(&self) -> Result<Request> {
        self.read("space.get", "users/get_space_usage", Value::Null)
    }

    /// The cheapest call that only an app with full access may make.
    pub fn shared_folders(&self) -> Result<Request> {
        self.read("folders.list", "sharing/list_folders", json!({ "limit": 1 }))
    }

    pub fn metadata(&self, op: &'static str, path: &str) -> Result<Request> {
        self.read(op, "files/get_metadata", json!({ "path": path, "include_deleted": false }))
    }

    /// The first page of a listing. `explicit` asks of each file whether it is shared by itself.
    pub fn list(&self, op: &'static str, path: &str, recursive: bool, explicit: bool) -> Result<Request> {
        let arg = json!({
            "path": path, "recursive": recursive, "include_deleted": false, "include_mounted_folders": true,
            "include_has_explicit_shared_members": explicit, "limit": 2000,
        });
        self.read(op, "files/list_folder", arg)
    }

    pub fn list_more(&self, op: &'static str, cursor: &str) -> Result<Request> {
        self.read(op, "files/list_folder/continue", json!({ "cursor": cursor }))
    }

    pub fn latest_cursor(&self, path: &str) -> Result<Request> {
        let arg = json!({ "path": path, "recursive": true, "include_deleted": false, "include_mounted_folders": true });
        self.read("changes.start", "files/list_folder/get_latest_cursor", arg)
    }

    /// A folder that is there already is refused and left as it is, so this may be repeated.
    pub fn create_folder(&self, op: &'static str, path: &str) -> Result<Request> {
        let arg = json!({ "path": path, "autorename": false });
        Ok(self.write(op, "files/create_folder_v2", arg)?.idempotent())
    }

    pub fn move_folder(&self, op: &'static str, from: &str, to: &str) -> Result<Request> {
        let arg = json!({ "from_path": from, "to_path": to, "autorename": false, "allow_ownership_transfer": false });
        self.write(op, "files/move_v2", arg)
    }

    pub fn download(&self, op: &'static str, path: &str) -> Result<Request> {
        let url = self.endpoints.url("content", "/files/download")?;
        self.dress(Request::read(op, Method::POST, url))?.header(ARG, &ascii(&json!({ "path": path })))
    }

    /// Bytes in one request, at most 150 MiB. With a `mode` of `add` or `update` a repeat makes nothing twice: the same
    /// content at the target is no conflict, and other content is never overwritten.
    pub fn upload(&self, op: &'static str, path: &str, mode: Value, bytes: Bytes) -> Result<Request> {
        let mut arg = commit(path, mode);
        if let Some(map) = arg.as_object_mut() {
            map.insert("content_hash".to_owned(), json!(content_hash(&bytes)));
        }
        Ok(self.send_bytes(op, "files/upload", &arg, bytes)?.idempotent())
    }

    /// Opens a session with its first bytes. A session nobody finishes is forgotten after a week, so this may be repeated.
    /// `close`: these are all of them.
    pub fn session_start(&self, bytes: Bytes, close: bool) -> Result<Request> {
        let arg = json!({ "close": close, "content_hash": content_hash(&bytes) });
        Ok(self.send_bytes("upload.start", "files/upload_session/start", &arg, bytes)?.idempotent())
    }

    /// Adds bytes. The offset makes a repeat harmless: Dropbox answers where it stands.
    pub fn session_append(&self, piece: Piece<'_>) -> Result<Request> {
        let hash = content_hash(&piece.bytes);
        let arg = json!({ "cursor": cursor(piece.session, piece.offset), "close": false, "content_hash": hash });
        Ok(self.send_bytes("upload.append", "files/upload_session/append_v2", &arg, piece.bytes)?.idempotent())
    }

    pub fn session_finish(&self, piece: Piece<'_>, path: &str, mode: Value) -> Result<Request> {
        let hash = content_hash(&piece.bytes);
        let arg = json!({ "cursor": cursor(piece.session, piece.offset), "commit": commit(path, mode), "content_hash": hash });
        self.send_bytes("file.put", "files/upload_session/finish", &arg, piece.bytes)
    }

    /// Commits closed sessions, at most 1,000. A repeat finds each that was committed gone, and the caller looks at the file.
    pub fn session_finish_batch(&self, entries: &[&Value]) -> Result<Request> {
        let arg = json!({ "entries": entries });
        Ok(self.write("file.put", "files/upload_session/finish_batch_v2", arg)?.idempotent())
    }

    /// `team`: the account is on a team, and only there links can be kept to members. `inside`: the folder lies in a team
    /// folder, and only there inheritance can be cut. A repeat is answered with `already_shared`.
    pub fn share(&self, path: &str, team: bool, inside: bool) -> Result<Request> {
        let mut arg = json!({ "path": path, "acl_update_policy": "owner", "force_async": false });
        if let Some(map) = arg.as_object_mut() {
            if team {
                map.insert("shared_link_policy".to_owned(), json!("members"));
            }
            if inside {
                map.insert("access_inheritance".to_owned(), json!("no_inherit"));
            }
        }
        Ok(self.write("folder.share", "sharing/share_folder", arg)?.idempotent())
    }

    pub fn share_job(&self, job: &str) -> Result<Request> {
        self.read("job.poll", "sharing/check_share_job_status", json!({ "async_job_id": job }))
    }

    pub fn folder(&self, op: &'static str, id: &str) -> Result<Request> {
        self.read(op, "sharing/get_folder_metadata", json!({ "shared_folder_id": id, "actions": [] }))
    }

    /// `path` only inside a team folder: it brings those in who get in through a parent.
    pub fn members(&self, id: &str, path: Option<&str>) -> Result<Request> {
        let mut arg = json!({ "shared_folder_id": id, "actions": [], "limit": 1000 });
        if let (Some(path), Some(map)) = (path, arg.as_object_mut()) {
            map.insert("path".to_owned(), json!(path));
        }
        self.read("members.list", "sharing/list_folder_members", arg)
    }

    pub fn members_more(&self, cursor: &str) -> Result<Request> {
        self.read("members.list", "sharing/list_folder_members/continue", json!({ "cursor": cursor }))
    }

    pub fn file_members(&self, file: &str) -> Result<Request> {
        let arg = json!({ "file": file, "actions": [], "include_inherited": false, "limit": 300 });
        self.read("members.list", "sharing/list_file_members", arg)
    }

    pub fn file_members_more(&self, cursor: &str) -> Result<Request> {
        self.read("members.list", "sharing/list_file_members/continue", json!({ "cursor": cursor }))
    }

    /// The only place that lets somebody in, one person by address, without a mail.
    pub fn add(&self, id: &str, email: &str, level: &str) -> Result<Request> {
        let member = json!({ "member": { ".tag": "email", "email": email }, "access_level": { ".tag": level } });
        let arg = json!({ "shared_folder_id": id, "members": [member], "quiet": true });
        self.write("member.add", "sharing/add_folder_member", arg)
    }

    /// Sets a level; the same level twice is the same state.
    pub fn set_level(&self, id: &str, account: &str, level: &str) -> Result<Request> {
        let member = json!({ ".tag": "dropbox_id", "dropbox_id": account });
        let arg = json!({ "shared_folder_id": id, "member": member, "access_level": { ".tag": level } });
        Ok(self.write("member.update", "sharing/update_folder_member", arg)?.idempotent())
    }

    /// `leave_a_copy` is never true: the person's access ends.
    pub fn remove(&self, id: &str, member: Value) -> Result<Request> {
        let arg = json!({ "shared_folder_id": id, "member": member, "leave_a_copy": false });
        Ok(self.write("member.remove", "sharing/remove_folder_member", arg)?.idempotent())
    }

    pub fn remove_job(&self, job: &str) -> Result<Request> {
        self.read("job.poll", "sharing/check_remove_member_job_status", json!({ "async_job_id": job }))
    }

    pub fn policy(&self, id: &str, policy: &[(&str, &str)]) -> Result<Request> {
        let mut arg = json!({ "shared_folder_id": id });
        if let Some(map) = arg.as_object_mut() {
            map.extend(policy.iter().map(|(k, v)| ((*k).to_owned(), json!(v))));
        }
        Ok(self.write("folder.close", "sharing/update_folder_policy", arg)?.idempotent())
    }

    pub fn cut_inheritance(&self, id: &str) -> Result<Request> {
        let arg = json!({ "shared_folder_id": id, "access_inheritance": "no_inherit" });
        Ok(self.write("folder.close", "sharing/set_access_inheritance", arg)?.idempotent())
    }

    /// The links that this account made, all of them: one list tells of a folder, of what is above and what is below.
    pub fn links(&self, cursor: Option<&str>) -> Result<Request> {
        let arg = cursor.map_or_else(|| json!({}), |c| json!({ "cursor": c }));
        self.read("links.list", "sharing/list_shared_links", arg)
    }

    pub fn revoke_link(&self, url: &str) -> Result<Request> {
        Ok(self.write("link.close", "sharing/revoke_shared_link", json!({ "url": url }))?.idempotent())
    }
}

fn cursor(session: &str, offset: usize) -> Value {
    json!({ "session_id": session, "offset": offset })
}

/// One file of [`Api::session_finish_batch`], whose session has `size` bytes.
pub fn commit_entry(session: &str, size: usize, path: &str, mode: &Value) -> Value {
    json!({ "cursor": cursor(session, size), "commit": commit(path, mode.clone()) })
}

/// `strict_conflict` off: an `add` that is repeated after a lost answer succeeds. `mute`: no notice on everybody's desktop.
fn commit(path: &str, mode: Value) -> Value {
    json!({ "path": path, "mode": mode, "autorename": false, "mute": true, "strict_conflict": false })
}

/// JSON as it may stand in a header: every character from U+007F up escaped, in surrogate pairs where it needs two.
pub fn ascii(arg: &Value) -> String {
    let mut out = String::new();
    for unit in arg.to_string().encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte < 0x7f => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\u{unit:04x}")),
        }
    }
    out
}

/// The one reading of an answer: a refusal becomes its error, an unreadable success is `Contract`.
pub fn decode<T: DeserializeOwned>(op: &'static str, response: &Response) -> Result<T> {
    refusal::classify(op, response)?;
    answer::decode(op, response)
}
