//! Requests to the Box API 2.0. Every one names its `fields`: without them Box leaves out what decides access.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderName, Method, header};
use ledgerward_contract::{Endpoints, Error, ErrorKind, Request, Response, Result};
use ledgerward_kit::answer;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use crate::refusal;

/// What we ask of a folder.
pub const FOLDER_FIELDS: &str = "id,type,name,etag,description,item_status,parent,path_collection,owned_by,shared_link,\
     has_collaborations,can_non_owners_invite,can_non_owners_view_collaborators,allowed_invitee_roles,permissions";

/// What we ask of each thing in a folder.
pub const ITEM_FIELDS: &str = "id,type,name,etag,description,item_status,sha1,size,owned_by,shared_link,\
     has_collaborations,can_non_owners_invite,can_non_owners_view_collaborators";

/// What we ask of a file.
pub const FILE_FIELDS: &str = "id,type,name,etag,sha1,size,item_status,parent,path_collection";

const COLLABORATION_FIELDS: &str = "id,type,role,status,accessible_by,invite_email,item,expires_at,created_at";

/// Builds requests. Holds nothing but the addresses.
#[derive(Debug)]
pub struct Api {
    endpoints: Endpoints,
}

/// Whose collaborations are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Folder,
    File,
}

impl Kind {
    const fn path(self) -> &'static str {
        match self {
            Self::Folder => "folders",
            Self::File => "files",
        }
    }
}

impl Api {
    pub fn new(endpoints: Endpoints) -> Self {
        Self { endpoints }
    }

    fn url(&self, endpoint: &'static str, path: &[&str], query: &[(&str, &str)]) -> Result<Url> {
        let mut url = self.endpoints.url(endpoint, "")?;
        if let Some(id) = path.iter().find(|p| !plain(p)) {
            return Err(Error::new(ErrorKind::Config, "url.build", format!("\"{id}\" is not an id that Box gives"))
                .next("Copy the number from the folder's address in the browser: the part after /folder/."));
        }
        url.path_segments_mut()
            .map_err(|()| {
                Error::new(ErrorKind::Config, "url.build", format!("the address of {endpoint} takes no path"))
            })?
            .pop_if_empty()
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    pub fn me(&self) -> Result<Request> {
        let fields = "id,type,login,name,status,enterprise,space_amount,space_used,max_upload_size";
        Ok(Request::get("user.me", self.url("api", &["users", "me"], &[("fields", fields)])?))
    }

    pub fn folder(&self, op: &'static str, id: &str) -> Result<Request> {
        Ok(Request::get(op, self.url("api", &["folders", id], &[("fields", FOLDER_FIELDS)])?))
    }

    pub fn file(&self, op: &'static str, id: &str) -> Result<Request> {
        Ok(Request::get(op, self.url("api", &["files", id], &[("fields", FILE_FIELDS)])?))
    }

    /// One page of what lies in a folder.
    pub fn items(&self, op: &'static str, folder: &str, marker: Option<&str>) -> Result<Request> {
        let mut query = vec![("limit", "1000"), ("usemarker", "true"), ("fields", ITEM_FIELDS)];
        query.extend(marker.map(|m| ("marker", m)));
        Ok(Request::get(op, self.url("api", &["folders", folder, "items"], &query)?))
    }

    /// Names are unique in a folder, so a repeat answers 409 with the first one's id and makes nothing.
    pub fn create_folder(&self, parent: &str, name: &str) -> Result<Request> {
        let url = self.url("api", &["folders"], &[("fields", FOLDER_FIELDS)])?;
        let body = json!({ "name": name, "parent": { "id": parent } });
        Ok(Request::write("folder.create", Method::POST, url).json(body).idempotent())
    }

    /// Sets what the body says. The same values twice are the same state.
    pub fn update_folder(&self, op: &'static str, id: &str, body: Value) -> Result<Request> {
        let url = self.url("api", &["folders", id], &[("fields", FOLDER_FIELDS)])?;
        Ok(Request::write(op, Method::PUT, url).json(body).idempotent())
    }

    /// Takes away a folder that is empty; one with anything in it is refused by Box.
    pub fn delete_empty_folder(&self, id: &str) -> Result<Request> {
        let url = self.url("api", &["folders", id], &[("recursive", "false")])?;
        Ok(Request::write("folder.delete", Method::DELETE, url).idempotent())
    }

    pub fn collaborations(&self, kind: Kind, id: &str, marker: Option<&str>) -> Result<Request> {
        let mut query = vec![("limit", "1000"), ("fields", COLLABORATION_FIELDS)];
        query.extend(marker.map(|m| ("marker", m)));
        Ok(Request::get("collaborations.list", self.url("api", &[kind.path(), id, "collaborations"], &query)?))
    }

    pub fn collaboration(&self, id: &str) -> Result<Request> {
        let query = [("fields", COLLABORATION_FIELDS)];
        Ok(Request::get("collaboration.get", self.url("api", &["collaborations", id], &query)?))
    }

    /// The only place that makes a collaboration, and it knows one kind of holder: a person. `notify=false`, because the
    /// firm tells its people itself.
    pub fn grant(&self, folder: &str, email: &str, role: &str, expires: Option<String>) -> Result<Request> {
        let mut body = json!({
            "item": { "type": "folder", "id": folder },
            "accessible_by": { "type": "user", "login": email },
            "role": role,
        });
        if let (Some(at), Some(map)) = (expires, body.as_object_mut()) {
            map.insert("expires_at".to_owned(), json!(at));
        }
        let query = [("notify", "false"), ("fields", COLLABORATION_FIELDS)];
        let url = self.url("api", &["collaborations"], &query)?;
        Ok(Request::write("collaboration.create", Method::POST, url).json(body))
    }

    pub fn set_role(&self, id: &str, role: &str) -> Result<Request> {
        let url = self.url("api", &["collaborations", id], &[("fields", COLLABORATION_FIELDS)])?;
        Ok(Request::write("collaboration.update", Method::PUT, url).json(json!({ "role": role })).idempotent())
    }

    pub fn revoke(&self, id: &str) -> Result<Request> {
        Ok(Request::write("collaboration.delete", Method::DELETE, self.url("api", &["collaborations", id], &[])?)
            .idempotent())
    }

    pub fn events(&self, position: &str) -> Result<Request> {
        let query = [("stream_type", "changes"), ("stream_position", position), ("limit", "500")];
        Ok(Request::get("events.list", self.url("api", &["events"], &query)?))
    }

    pub fn trash_file(&self, id: &str, etag: Option<&str>) -> Result<Request> {
        let request = Request::write("file.trash", Method::DELETE, self.url("api", &["files", id], &[])?).idempotent();
        match etag {
            Some(etag) => request.header(header::IF_MATCH, etag),
            None => Ok(request),
        }
    }

    /// A whole file in one request: `attributes` first, then the bytes, and their SHA-1 in a header that is named after
    /// another hash. Repeats are safe: a new file's name is taken then, and a version's `If-Match` does not fit.
    pub fn upload(&self, to: &Place<'_>, bytes: &[u8], sha1: &str) -> Result<Request> {
        let (path, attributes): (Vec<&str>, Value) = match to {
            Place::New { parent, name } => {
                (vec!["files", "content"], json!({ "name": name, "parent": { "id": parent } }))
            }
            Place::Version { file, name, .. } => (vec!["files", file, "content"], json!({ "name": name })),
        };
        let boundary = boundary(bytes);
        let mut body = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"attributes\"\r\ncontent-type: application/json\r\n\r\n{attributes}\r\n--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"file\"\r\ncontent-type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(bytes);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let url = self.url("upload", &path, &[("fields", FILE_FIELDS)])?;
        let request = Request::write("file.put", Method::POST, url)
            .idempotent()
            .timeout(time_for(bytes.len()))
            .bytes(format!("multipart/form-data; boundary={boundary}"), Bytes::from(body))
            .header(HeaderName::from_static("content-md5"), sha1)?;
        to.guard(request)
    }

    /// Opens a session for a large file. A session that nobody uses costs nothing, so this may be repeated.
    pub fn open_session(&self, to: &Place<'_>, size: usize) -> Result<Request> {
        let (path, body) = match to {
            Place::New { parent, name } => {
                (vec!["files", "upload_sessions"], json!({ "folder_id": parent, "file_size": size, "file_name": name }))
            }
            Place::Version { file, .. } => (vec!["files", file, "upload_sessions"], json!({ "file_size": size })),
        };
        let url = self.url("upload", &path, &[])?;
        Ok(Request::write("upload.open", Method::POST, url).json(body).idempotent())
    }

    /// An address that Box gave for an upload, if it is on one of our hosts: our token goes nowhere else.
    pub fn session_url(&self, text: &str) -> Result<Url> {
        const OP: &str = "upload.open";
        let url = Url::parse(text).map_err(|_| Error::contract(OP, "Box gave an upload no address"))?;
        if self.endpoints.iter().any(|(_, ours)| ours.origin() == url.origin()) {
            return Ok(url);
        }
        let host = url.host_str().and_then(answer::safe_word).unwrap_or_else(|| "another host".to_owned());
        Err(Error::new(ErrorKind::Config, OP, format!("Box takes this account's large uploads at {host}"))
            .next(format!("If that host belongs to Box, set endpoints.upload_sessions = \"https://{host}\".")))
    }

    /// One part. Box keeps parts unchanged, so the same one may be sent again.
    pub fn send_part(session: &Url, from: usize, part: Bytes, total: usize, sha1: &[u8]) -> Result<Request> {
        let last = from + part.len().saturating_sub(1);
        Request::write("upload.send", Method::PUT, session.clone())
            .idempotent()
            .timeout(time_for(part.len()))
            .bytes("application/octet-stream", part)
            .header(HeaderName::from_static("digest"), &format!("sha={}", STANDARD.encode(sha1)))?
            .header(header::CONTENT_RANGE, &format!("bytes {from}-{last}/{total}"))
    }

    pub fn commit(session: &Url, parts: &[Value], sha1: &[u8], to: &Place<'_>) -> Result<Request> {
        let request = Request::write("upload.commit", Method::POST, session.clone())
            .json(json!({ "parts": parts }))
            .header(HeaderName::from_static("digest"), &format!("sha={}", STANDARD.encode(sha1)))?;
        to.guard(request)
    }

    pub fn abort(session: &Url) -> Request {
        Request::write("upload.abort", Method::DELETE, session.clone()).idempotent()
    }
}

/// Where bytes go.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    New {
        parent: &'a str,
        name: &'a str,
    },
    /// Over a file, if it is still in this state.
    Version {
        file: &'a str,
        name: &'a str,
        etag: &'a str,
    },
}

impl Place<'_> {
    fn guard(&self, request: Request) -> Result<Request> {
        match self {
            Self::New { .. } => Ok(request),
            Self::Version { etag, .. } => request.header(header::IF_MATCH, etag),
        }
    }
}

/// An id as Box gives them, or a word of a path. Anything else could leave its place.
fn plain(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// How long so many bytes may take: the usual 30 s and what a line of half a megabit needs.
fn time_for(bytes: usize) -> Duration {
    Duration::from_secs(30 + bytes as u64 / 65_536)
}

/// A boundary that does not occur in the bytes.
fn boundary(bytes: &[u8]) -> String {
    let mut n = 0_u32;
    loop {
        let text = format!("ledgerward-part-{n}");
        if !bytes.windows(text.len()).any(|w| w == text.as_bytes()) {
            return text;
        }
        n += 1;
    }
}

/// The one reading of an answer: a refusal becomes its error, an unreadable success is `Contract`.
pub fn decode<T: DeserializeOwned>(op: &'static str, response: &Response) -> Result<T> {
    refusal::classify(op, response)?;
    answer::decode(op, response)
}
