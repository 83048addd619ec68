//! Requests to Graph v1.0. Things are named by their drive and id, never by a path from the root alone.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, header};
use ledgerward_contract::{Auth, BodyLimit, Endpoints, Error, ErrorKind, Request, Response, Result};
use ledgerward_kit::answer;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use crate::{map::Place, names, refusal, settings::Settings};

/// What we ask of each thing in a listing.
const FIELDS: &str = "id,name,eTag,cTag,size,folder,file,package,remoteItem,shared,parentReference";
/// What happens when the name is taken.
const CONFLICT: &str = "@microsoft.graph.conflictBehavior";

/// Builds requests. Holds nothing but the addresses and our name.
#[derive(Debug)]
pub struct Api {
    endpoints: Endpoints,
    agent: String,
}

impl Api {
    /// `firm` stands in the User-Agent: Microsoft throttles undecorated traffic first.
    pub fn new(endpoints: Endpoints, firm: &str) -> Self {
        Self { endpoints, agent: format!("NONISV|{firm}|ledgerward/{}", env!("CARGO_PKG_VERSION")) }
    }

    fn url(&self, path: &str) -> Result<Url> {
        self.endpoints.url("api", path)
    }

    fn signed(&self, request: Request) -> Result<Request> {
        request.header(header::USER_AGENT, &self.agent)
    }

    fn get(&self, op: &'static str, path: &str) -> Result<Request> {
        self.signed(Request::get(op, self.url(path)?))
    }

    fn write(&self, op: &'static str, method: Method, path: &str) -> Result<Request> {
        self.signed(Request::write(op, method, self.url(path)?))
    }

    /// A page's address as Graph gave it, if it is Graph's: our token goes nowhere else.
    pub fn link(&self, op: &'static str, text: &str) -> Result<Request> {
        let url = Url::parse(text).map_err(|_| Error::contract(op, "Graph gave a next page no address"))?;
        let ours = self.url("/")?;
        if url.origin() != ours.origin() || !url.path().starts_with(ours.path()) {
            return Err(Error::contract(op, "Graph gave a next page an address that is not Graph's"));
        }
        self.signed(Request::get(op, url))
    }

    pub fn me(&self) -> Result<Request> {
        self.get("user.me", "/me?$select=id,mail,userPrincipalName")
    }

    /// The drive that the settings name. A site with a library is asked for its drives instead.
    pub fn drive(&self, s: &Settings) -> Result<Request> {
        let path = match (&s.drive, &s.user, &s.group, &s.site) {
            (Some(id), ..) => format!("/drives/{}", segment(id)),
            (_, Some(user), ..) => format!("/users/{}/drive", segment(user)),
            (_, _, Some(group), _) => format!("/groups/{}/drive", segment(group)),
            (_, _, _, Some(site)) => format!("{}/drive", site_path(site)),
            _ => "/me/drive".to_owned(),
        };
        self.get("drive.get", &path)
    }

    pub fn drive_by_id(&self, drive: &str) -> Result<Request> {
        self.get("drive.get", &format!("/drives/{}", segment(drive)))
    }

    pub fn libraries(&self, site: &str) -> Result<Request> {
        self.get("drives.list", &format!("{}/drives", site_path(site)))
    }

    pub fn top(&self, drive: &str) -> Result<Request> {
        self.get("folder.top", &format!("/drives/{}/root", segment(drive)))
    }

    pub fn item(&self, op: &'static str, at: &Place) -> Result<Request> {
        self.get(op, &item_path(op, at)?)
    }

    /// What has this name in a folder.
    pub fn named(&self, op: &'static str, parent: &Place, name: &str) -> Result<Request> {
        self.get(op, &named_path(op, parent, name)?)
    }

    pub fn children(&self, op: &'static str, folder: &Place) -> Result<Request> {
        self.get(op, &format!("{}/children?$top=200&$select={FIELDS}", item_path(op, folder)?))
    }

    /// The names in up to 20 folders, in one request. Each counts as one of its own for the limits.
    pub fn batch_of_children(&self, op: &'static str, folders: &[Place]) -> Result<Request> {
        let requests: Result<Vec<_>> = folders
            .iter()
            .enumerate()
            .map(|(n, f)| {
                let url = format!("{}/children?$top=200&$select=id,name", item_path(op, f)?);
                Ok(json!({ "id": n.to_string(), "method": "GET", "url": url }))
            })
            .collect();
        let request = Request::read(op, Method::POST, self.url("/$batch")?).json(json!({ "requests": requests? }));
        self.signed(request)
    }

    /// Names are unique in a folder, so a repeat is refused and makes nothing.
    pub fn create_folder(&self, parent: &Place, name: &str) -> Result<Request> {
        const OP: &str = "folder.create";
        let body = json!({ "name": name, "folder": {}, CONFLICT: "fail" });
        let path = format!("{}/children", item_path(OP, parent)?);
        Ok(self.write(OP, Method::POST, &path)?.json(body).idempotent())
    }

    /// The same name twice is the same state.
    pub fn rename(&self, op: &'static str, at: &Place, name: &str) -> Result<Request> {
        let body = json!({ "name": name, CONFLICT: "fail" });
        Ok(self.write(op, Method::PATCH, &item_path(op, at)?)?.json(body).idempotent())
    }

    /// Into the recycle bin.
    pub fn recycle(&self, op: &'static str, at: &Place, etag: Option<&str>) -> Result<Request> {
        let request = self.write(op, Method::DELETE, &item_path(op, at)?)?.idempotent();
        match etag {
            Some(etag) => request.header(header::IF_MATCH, etag),
            None => Ok(request),
        }
    }

    pub fn permissions(&self, op: &'static str, at: &Place) -> Result<Request> {
        self.get(op, &format!("{}/permissions", item_path(op, at)?))
    }

    /// The only place that makes a permission, and it knows one kind of holder: a person who signs in. No mail goes out,
    /// because the firm tells its people itself. One at a time: with several, one bad address fails all.
    pub fn invite(&self, at: &Place, email: &str, role: &str) -> Result<Request> {
        const OP: &str = "permission.create";
        let body = json!({
            "recipients": [{ "email": email }],
            "requireSignIn": true,
            "sendInvitation": false,
            "roles": [role],
        });
        Ok(self.write(OP, Method::POST, &format!("{}/invite", item_path(OP, at)?))?.json(body))
    }

    pub fn set_role(&self, at: &Place, permission: &str, role: &str) -> Result<Request> {
        const OP: &str = "permission.update";
        let path = permission_path(OP, at, permission)?;
        Ok(self.write(OP, Method::PATCH, &path)?.json(json!({ "roles": [role] })).idempotent())
    }

    pub fn revoke(&self, op: &'static str, at: &Place, permission: &str) -> Result<Request> {
        Ok(self.write(op, Method::DELETE, &permission_path(op, at, permission)?)?.idempotent())
    }

    /// Changes of a whole drive from now on; the pages after it are links.
    pub fn delta_from_now(&self, drive: &str) -> Result<Request> {
        self.get("changes.list", &format!("/drives/{}/root/delta?token=latest", segment(drive)))
    }

    /// A page of changes, with a word on each thing whose sharing changed.
    pub fn delta(&self, link: &str) -> Result<Request> {
        self.link("changes.list", link)?
            .header(HeaderName::from_static("prefer"), "deltashowsharingchanges, hierarchicalsharing")
    }

    /// A whole file in one request. A repeat finds the name taken, or the state changed, and is refused.
    pub fn upload(&self, to: &Slot<'_>, mime: &str, bytes: &Bytes) -> Result<Request> {
        const OP: &str = "file.put";
        let path = match to {
            Slot::New { parent, name } => format!("{}/content?{CONFLICT}=fail", named_path(OP, parent, name)? + ":"),
            Slot::Over { file, .. } => format!("{}/content", item_path(OP, file)?),
        };
        let request = self.write(OP, Method::PUT, &path)?.idempotent().timeout(time_for(bytes.len()));
        to.guard(request.bytes(mime, bytes.clone()))
    }

    /// Opens a session for a large file. A session that nobody uses costs nothing, so this may be repeated.
    pub fn open_session(&self, to: &Slot<'_>) -> Result<Request> {
        const OP: &str = "upload.open";
        let (path, conflict) = match to {
            Slot::New { parent, name } => (named_path(OP, parent, name)? + ":", "fail"),
            Slot::Over { file, .. } => (item_path(OP, file)?, "replace"),
        };
        let body = json!({ "item": { CONFLICT: conflict } });
        let path = format!("{path}/createUploadSession");
        to.guard(self.write(OP, Method::POST, &path)?.json(body).idempotent())
    }

    /// One piece. The address is the authority: with our token in it the request would be refused.
    pub fn send_piece(session: &Url, from: usize, piece: Bytes, total: usize) -> Result<Request> {
        let last = from + piece.len().saturating_sub(1);
        Request::write("upload.send", Method::PUT, session.clone())
            .auth(Auth::Url)
            .idempotent()
            .timeout(time_for(piece.len()))
            .bytes("application/octet-stream", piece)
            .header(header::CONTENT_RANGE, &format!("bytes {from}-{last}/{total}"))
    }

    pub fn session_state(session: &Url) -> Request {
        Request::get("upload.state", session.clone()).auth(Auth::Url)
    }

    pub fn abort(session: &Url) -> Request {
        Request::write("upload.abort", Method::DELETE, session.clone()).auth(Auth::Url).idempotent()
    }

    /// The bytes of a file, from an address that is its own authority.
    pub fn download(address: &Url) -> Request {
        Request::get("file.read", address.clone()).auth(Auth::Url).limit(BodyLimit::Statement)
    }
}

/// Where bytes go.
#[derive(Clone, Copy, Debug)]
pub enum Slot<'a> {
    New {
        parent: &'a Place,
        /// As SharePoint takes it.
        name: &'a str,
    },
    /// Over a file, if its content is still in this state.
    Over { file: &'a Place, tag: &'a str },
}

impl Slot<'_> {
    fn guard(&self, request: Request) -> Result<Request> {
        match self {
            Self::New { .. } => Ok(request),
            Self::Over { tag, .. } => request.header(header::IF_MATCH, tag),
        }
    }
}

/// An address that Graph gave for an upload or a download.
pub fn own_address(op: &'static str, text: &str) -> Result<Url> {
    Url::parse(text).map_err(|_| Error::contract(op, "Graph gave no address for the bytes"))
}

/// Whether this can be an id of Graph. Anything else could leave its place in an address.
pub fn plain(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"!-_.,".contains(&b)) && !id.contains("..")
}

/// One part of a path. Everything but unreserved characters is encoded, so that no name can be more than a name.
fn segment(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~!@,".contains(&b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

fn site_path(site: &str) -> String {
    if site.contains(":/") {
        format!("/sites/{}:", site.trim_end_matches([':', '/']))
    } else {
        format!("/sites/{site}")
    }
}

fn item_path(op: &'static str, at: &Place) -> Result<String> {
    if !plain(&at.drive) || !plain(&at.item) {
        return Err(Error::new(ErrorKind::Config, op, "this is not an id that Microsoft gives")
            .next("A folder is its drive's id and its own, with a colon between."));
    }
    Ok(format!("/drives/{}/items/{}", segment(&at.drive), segment(&at.item)))
}

/// The part up to the name; more may follow after another colon.
fn named_path(op: &'static str, parent: &Place, name: &str) -> Result<String> {
    if name.is_empty() || name == "." || name == ".." || names::encode(&names::decode(name)) != name {
        return Err(Error::new(ErrorKind::Unsupported, op, "SharePoint takes no such name")
            .next("Give the client or the file another name."));
    }
    Ok(format!("{}:/{}", item_path(op, parent)?, segment(name)))
}

fn permission_path(op: &'static str, at: &Place, permission: &str) -> Result<String> {
    if permission.is_empty() || permission.trim_matches('.').is_empty() {
        return Err(Error::contract(op, "this is no permission's id"));
    }
    Ok(format!("{}/permissions/{}", item_path(op, at)?, segment(permission)))
}

/// How long so many bytes may take: the usual 30 s and what a line of half a megabit needs.
fn time_for(bytes: usize) -> Duration {
    Duration::from_secs(30 + bytes as u64 / 65_536)
}

/// The one reading of an answer: a refusal becomes its error, an unreadable success is `Contract`.
pub fn decode<T: DeserializeOwned>(op: &'static str, response: &Response) -> Result<T> {
    refusal::classify(op, response)?;
    answer::decode(op, response)
}

/// The answers of a batch, in the order of its requests, each as if it had come by itself.
///
/// Errors: `Contract` if one is missing.
pub fn decode_batch(op: &'static str, response: &Response, count: usize) -> Result<Vec<Response>> {
    #[derive(serde::Deserialize)]
    struct Batch {
        responses: Vec<Part>,
    }
    #[derive(serde::Deserialize)]
    struct Part {
        id: String,
        status: u16,
        #[serde(default)]
        headers: std::collections::BTreeMap<String, Value>,
        #[serde(default)]
        body: Value,
    }
    let mut parts = decode::<Batch>(op, response)?.responses;
    (0..count)
        .map(|n| {
            let at = parts.iter().position(|p| p.id == n.to_string());
            let part = parts.swap_remove(at.ok_or_else(|| Error::contract(op, "a batch lacks an answer"))?);
            let mut headers = http::HeaderMap::new();
            for (name, value) in &part.headers {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), text.parse()) {
                    headers.insert(name, value);
                }
            }
            Ok(Response { status: part.status, headers, body: Bytes::from(part.body.to_string()) })
        })
        .collect()
}
