//! Requests to Drive v3. Every one names its `fields` and says `supportsAllDrives`: without the first a permission comes
//! without its address, without the second an item of a shared drive is "not found".

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, header};
use ledgerward_contract::{Auth, Endpoints, Error, ErrorKind, Request, Response, Result};
use ledgerward_kit::answer;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use crate::refusal;

/// The mime type that makes a file a folder.
pub const FOLDER: &str = "application/vnd.google-apps.folder";

/// What we ask of a folder.
pub const FOLDER_FIELDS: &str = "id,name,mimeType,trashed,parents,driveId,ownedByMe,owners(emailAddress,permissionId,me),\
     inheritedPermissionsDisabled,writersCanShare,appProperties,createdTime,\
     capabilities(canShare,canAddChildren,canDisableInheritedPermissions)";

/// What we ask of a file with content.
pub const FILE_FIELDS: &str =
    "id,name,mimeType,trashed,parents,size,md5Checksum,sha256Checksum,headRevisionId,version,appProperties,createdTime";

const PERMISSION_FIELDS: &str = "id,type,role,emailAddress,domain,displayName,deleted,pendingOwner,expirationTime,view,\
     allowFileDiscovery,inheritedPermissionsDisabled,permissionDetails(permissionType,role,inherited,inheritedFrom)";

/// Which corpus `files.list` searches. A shared drive is searched only when it is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Corpus {
    pub drive: Option<String>,
}

impl Corpus {
    /// Writers do not share on what is made by this: a folder's own setting does not reach what lies in it. In a shared drive
    /// the drive says who shares, and the field is refused.
    pub(crate) fn keep_from_spreading(&self, made: &mut Value) {
        if let (None, Some(map)) = (&self.drive, made.as_object_mut()) {
            map.insert("writersCanShare".to_owned(), json!(false));
        }
    }
}

/// Builds requests. Holds nothing but the addresses.
#[derive(Debug)]
pub struct Api {
    endpoints: Endpoints,
}

impl Api {
    pub fn new(endpoints: Endpoints) -> Self {
        Self { endpoints }
    }

    fn url(&self, endpoint: &'static str, path: &[&str], query: &[(&str, &str)]) -> Result<Url> {
        let mut url = self.endpoints.url(endpoint, "")?;
        if let Some(id) = path.iter().find(|p| !plain(p)) {
            return Err(Error::new(
                ErrorKind::Config,
                "url.build",
                format!("\"{id}\" is not an id that Google Drive gives"),
            )
            .next("Copy the id from the folder's address in the browser: the part after /folders/."));
        }
        url.path_segments_mut()
            .map_err(|()| {
                Error::new(ErrorKind::Config, "url.build", format!("the address of {endpoint} takes no path"))
            })?
            .pop_if_empty()
            .extend(path);
        url.query_pairs_mut().extend_pairs(query);
        Ok(url)
    }

    pub fn about(&self) -> Result<Request> {
        let fields = "user(emailAddress,permissionId,displayName),storageQuota(limit,usage)";
        Ok(Request::get("about.get", self.url("api", &["about"], &[("fields", fields)])?))
    }

    pub fn drive(&self, id: &str) -> Result<Request> {
        let fields = "id,name,restrictions,capabilities(canShare,canManageMembers)";
        Ok(Request::get("drives.get", self.url("api", &["drives", id], &[("fields", fields)])?))
    }

    pub fn file(&self, op: &'static str, id: &str, fields: &str) -> Result<Request> {
        let query = [("supportsAllDrives", "true"), ("fields", fields)];
        Ok(Request::get(op, self.url("api", &["files", id], &query)?))
    }

    /// One page of `files.list`. `item` are the fields of each file; pages are shorter where each file brings its sharing
    /// list along, so that an answer stays far under its limit.
    pub fn list(&self, op: &'static str, corpus: &Corpus, q: &str, item: &str, page: Option<&str>) -> Result<Request> {
        let fields = format!("nextPageToken,incompleteSearch,files({item})");
        let mut query = vec![
            ("q", q),
            ("pageSize", if item.contains("permissions(") { "200" } else { "1000" }),
            ("supportsAllDrives", "true"),
            ("includeItemsFromAllDrives", "true"),
            ("fields", fields.as_str()),
        ];
        match &corpus.drive {
            Some(id) => query.extend([("corpora", "drive"), ("driveId", id.as_str())]),
            None => query.push(("corpora", "user")),
        }
        query.extend(page.map(|t| ("pageToken", t)));
        Ok(Request::get(op, self.url("api", &["files"], &query)?))
    }

    pub fn ids(&self, count: usize) -> Result<Request> {
        let count = count.to_string();
        let query = [("count", count.as_str()), ("space", "drive"), ("type", "files"), ("fields", "ids")];
        Ok(Request::get("ids.generate", self.url("api", &["files", "generateIds"], &query)?))
    }

    /// A folder under an id made beforehand: a repeat answers 409 and makes nothing, so it may be repeated.
    /// `ignoreDefaultVisibility`, because a domain can make every new file visible to all its people by default.
    pub fn create_folder(&self, id: &str, name: &str, parent: Option<&str>, more: Value) -> Result<Request> {
        let mut body = json!({ "id": id, "name": name, "mimeType": FOLDER });
        if let Some(parent) = parent {
            merge(&mut body, json!({ "parents": [parent] }));
        }
        merge(&mut body, more);
        let query = [("supportsAllDrives", "true"), ("ignoreDefaultVisibility", "true"), ("fields", FOLDER_FIELDS)];
        Ok(Request::write("folder.create", Method::POST, self.url("api", &["files"], &query)?).json(body).idempotent())
    }

    /// Sets metadata. The same values twice are the same state.
    pub fn update(&self, op: &'static str, id: &str, body: Value) -> Result<Request> {
        let query = [("supportsAllDrives", "true"), ("fields", FOLDER_FIELDS)];
        Ok(Request::write(op, Method::PATCH, self.url("api", &["files", id], &query)?).json(body).idempotent())
    }

    pub fn permissions(&self, file: &str, page: Option<&str>) -> Result<Request> {
        let fields = format!("nextPageToken,permissions({PERMISSION_FIELDS})");
        let mut query = vec![("supportsAllDrives", "true"), ("pageSize", "100"), ("fields", fields.as_str())];
        query.extend(page.map(|t| ("pageToken", t)));
        Ok(Request::get("permissions.list", self.url("api", &["files", file, "permissions"], &query)?))
    }

    /// The fields of a file in a walk that looks for ways in below a folder. In a shared drive Google never fills
    /// `permissions` but says whether there are any; in My Drive it is the other way round.
    pub fn below_fields(shared_drive: bool) -> String {
        if shared_drive {
            "id,name,mimeType,parents,hasAugmentedPermissions".to_owned()
        } else {
            format!("id,name,mimeType,parents,permissionIds,permissions({PERMISSION_FIELDS})")
        }
    }

    pub fn permission(&self, file: &str, id: &str) -> Result<Request> {
        let query = [("supportsAllDrives", "true"), ("fields", PERMISSION_FIELDS)];
        Ok(Request::get("permission.get", self.url("api", &["files", file, "permissions", id], &query)?))
    }

    /// The only place that makes a permission, and it knows one type: a person. No link can be sent by accident.
    pub fn grant(&self, file: &str, email: &str, role: &str, expires: Option<String>) -> Result<Request> {
        let mut body = json!({ "type": "user", "role": role, "emailAddress": email });
        if let Some(at) = expires {
            merge(&mut body, json!({ "expirationTime": at }));
        }
        let query = [
            ("sendNotificationEmail", "false"),
            ("supportsAllDrives", "true"),
            ("fields", "id,type,role,emailAddress"),
        ];
        let url = self.url("api", &["files", file, "permissions"], &query)?;
        Ok(Request::write("permission.create", Method::POST, url).json(body))
    }

    /// `endless` takes away the end that only a reader's access to a folder can have.
    pub fn set_role(&self, file: &str, id: &str, role: &str, endless: bool) -> Result<Request> {
        let mut query = vec![("supportsAllDrives", "true"), ("fields", "id,type,role")];
        if endless {
            query.push(("removeExpiration", "true"));
        }
        let url = self.url("api", &["files", file, "permissions", id], &query)?;
        Ok(Request::write("permission.update", Method::PATCH, url).json(json!({ "role": role })).idempotent())
    }

    pub fn revoke(&self, file: &str, id: &str) -> Result<Request> {
        let url = self.url("api", &["files", file, "permissions", id], &[("supportsAllDrives", "true")])?;
        Ok(Request::write("permission.delete", Method::DELETE, url).idempotent())
    }

    pub fn start_token(&self, corpus: &Corpus) -> Result<Request> {
        let mut query = vec![("supportsAllDrives", "true"), ("fields", "startPageToken")];
        query.extend(corpus.drive.as_deref().map(|d| ("driveId", d)));
        Ok(Request::get("changes.start", self.url("api", &["changes", "startPageToken"], &query)?))
    }

    pub fn changes(&self, corpus: &Corpus, token: &str) -> Result<Request> {
        let fields = "nextPageToken,newStartPageToken,changes(changeType,removed,fileId,driveId,\
             file(id,mimeType,parents,trashed,appProperties))";
        let mut query = vec![
            ("pageToken", token),
            ("pageSize", "1000"),
            ("includeRemoved", "true"),
            ("includeItemsFromAllDrives", "true"),
            ("supportsAllDrives", "true"),
            ("fields", fields),
        ];
        query.extend(corpus.drive.as_deref().map(|d| ("driveId", d)));
        Ok(Request::get("changes.list", self.url("api", &["changes"], &query)?))
    }

    /// Whether uploads go out encrypted: then their sessions must, too.
    pub fn upload_is_https(&self) -> bool {
        self.endpoints.url("upload", "").is_ok_and(|u| u.scheme() == "https")
    }

    fn upload(&self, kind: &str, replace: Option<&str>) -> Result<(Method, Url)> {
        let mut query = vec![("uploadType", kind), ("supportsAllDrives", "true"), ("fields", FILE_FIELDS)];
        Ok(match replace {
            Some(id) => (Method::PATCH, self.url("upload", &["files", id], &query)?),
            None => {
                query.push(("ignoreDefaultVisibility", "true"));
                (Method::POST, self.url("upload", &["files"], &query)?)
            }
        })
    }

    /// Metadata and bytes at once (`multipart/related`, RFC 2387), for at most 5 MB. New files carry a pre-made id.
    pub fn put_small(&self, replace: Option<&str>, meta: &Value, mime: &str, bytes: &[u8]) -> Result<Request> {
        let (method, url) = self.upload("multipart", replace)?;
        let boundary = boundary(bytes);
        let mut body = format!(
            "--{boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{meta}\r\n--{boundary}\r\ncontent-type: {mime}\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(bytes);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let request = Request::write("file.put", method, url)
            .timeout(time_for(bytes.len()))
            .bytes(format!("multipart/related; boundary={boundary}"), Bytes::from(body));
        // A replacement sent twice would make two revisions; a create with an id made beforehand makes nothing twice.
        Ok(if replace.is_none() { request.idempotent() } else { request })
    }

    /// Opens a resumable session. A session nobody uses costs nothing, so this may be repeated.
    pub fn open_session(&self, replace: Option<&str>, meta: &Value, mime: &str, size: usize) -> Result<Request> {
        let (method, url) = self.upload("resumable", replace)?;
        Request::write("upload.open", method, url)
            .json(meta.clone())
            .idempotent()
            .header(HeaderName::from_static("x-upload-content-type"), mime)?
            .header(HeaderName::from_static("x-upload-content-length"), &size.to_string())
    }

    /// One piece. The address is the secret; no token goes with it. What arrived is asked with [`Api::session_state`].
    pub fn send_piece(session: &Url, from: usize, piece: Bytes, total: usize) -> Result<Request> {
        let last = from + piece.len().saturating_sub(1);
        Request::write("upload.send", Method::PUT, session.clone())
            .timeout(time_for(piece.len()))
            .auth(Auth::Url)
            .bytes("application/octet-stream", piece)
            .header(header::CONTENT_RANGE, &format!("bytes {from}-{last}/{total}"))
    }

    /// How much of an upload arrived. Changes nothing.
    pub fn session_state(session: &Url, total: usize) -> Result<Request> {
        Request::read("upload.state", Method::PUT, session.clone())
            .auth(Auth::Url)
            .bytes("application/octet-stream", Bytes::new())
            .header(header::CONTENT_RANGE, &format!("bytes */{total}"))
    }
}

/// An id as Google gives them (`root` and `anyoneWithLink` included). Anything else could leave its place in the path.
fn plain(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// How long so many bytes may take: the usual 30 s and what a line of half a megabit needs.
fn time_for(bytes: usize) -> Duration {
    Duration::from_secs(30 + bytes as u64 / 65_536)
}

fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(a), Value::Object(b)) = (into, more) {
        a.extend(b);
    }
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

/// A text inside quotes in `q`: backslash first, then the quote.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The condition "carries this app property".
pub fn has(key: &str, value: &str) -> String {
    format!("appProperties has {{ key={} and value={} }}", quoted(key), quoted(value))
}

/// The one reading of an answer: a refusal becomes its error, an unreadable success is `Contract`.
pub fn decode<T: DeserializeOwned>(op: &'static str, response: &Response) -> Result<T> {
    refusal::classify(op, response)?;
    answer::decode(op, response)
}
