//! A storage target for an invented vendor, the target suite over it, and sins that the suite has to notice.

#![cfg(feature = "suite")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the vendor's half of a test; the toy itself has none"
)]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};
use ledgerward_contract::{
    Body, Created, Cursor, Email, Error, ErrorKind, Expect, Fenced, FileId, FolderId, FolderKey, FolderRole, Gone,
    Granted, Holder, LinkKind, NativeExpiry, Page, PermissionId, Probe, ReadCx, Request, ReservedId, Response, Result,
    Retry, SeenFile, SeenPermission, SeenRole, SharingSupport, Stat, StatementFile, StorageTarget, Stored, Tag,
    TargetLimits, Timestamp, Transport, Via, WriteCx,
    suite::target::{ByHand, TargetHarness},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

// ---- map.rs

#[derive(Deserialize)]
struct Folder {
    id: String,
    name: String,
    #[serde(deserialize_with = "Option::deserialize")]
    marker: Option<String>,
    trashed: bool,
}

#[derive(Deserialize)]
struct Folders {
    folders: Vec<Folder>,
}

#[derive(Deserialize)]
struct Permission {
    id: String,
    kind: String,
    who: String,
    role: String,
    inherited: bool,
}

#[derive(Deserialize)]
struct Permissions {
    permissions: Vec<Permission>,
    #[serde(deserialize_with = "Option::deserialize")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct File {
    id: String,
    path: Vec<String>,
    size: u64,
    tag: String,
    sha256: String,
}

#[derive(Deserialize)]
struct Files {
    files: Vec<File>,
    #[serde(deserialize_with = "Option::deserialize")]
    next: Option<String>,
}

fn sha(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn seen(p: Permission) -> SeenPermission {
    let holder = match (p.kind.as_str(), Email::parse(&p.who)) {
        ("person", Ok(email)) => Holder::Person(email),
        ("link", _) => Holder::Link(LinkKind::Anyone),
        ("group", _) => Holder::Group(p.who.clone()),
        _ => Holder::Opaque(p.who.clone()),
    };
    let role = match p.role.as_str() {
        "view" => SeenRole::Reader,
        "edit" => SeenRole::Writer,
        "own" => SeenRole::Owner,
        other => SeenRole::Other(other.to_owned()),
    };
    SeenPermission {
        id: p.id.into(),
        holder,
        ourselves: role == SeenRole::Owner,
        role,
        via: if p.inherited { Via::Inherited } else { Via::Direct },
        pending: false,
        expires: None,
    }
}

// ---- api.rs

fn url(op: &'static str, path: &str) -> Result<Url> {
    Url::parse(&format!("https://api.box.example{path}")).map_err(|e| Error::contract(op, "a bad address").source(e))
}

fn error(op: &'static str, answer: &Response) -> Error {
    let (kind, message) = match answer.status {
        401 => (ErrorKind::Unauthenticated, "the sign-in is not accepted any more"),
        403 => (ErrorKind::Forbidden, "this account may not do that"),
        404 => (ErrorKind::NotFound, "that is not there"),
        409 | 412 => (ErrorKind::Conflict, "something else is there"),
        429 => (ErrorKind::RateLimited, "the vendor asks to wait"),
        500.. => (ErrorKind::Unavailable, "the vendor has trouble"),
        _ => (ErrorKind::Contract, "the vendor refused the request"),
    };
    let e = Error::new(kind, op, message).with("status", answer.status.to_string());
    match answer.header("retry-after").and_then(|v| v.parse().ok()) {
        Some(seconds) if kind == ErrorKind::RateLimited => e.retry(Retry::After(Duration::from_secs(seconds))),
        _ => e,
    }
}

fn classify<T: serde::de::DeserializeOwned>(op: &'static str, answer: &Response) -> Result<T> {
    if !answer.ok() {
        return Err(error(op, answer));
    }
    serde_json::from_slice(&answer.body).map_err(|_| Error::contract(op, "the answer is not what we know"))
}

// ---- lib.rs

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sin {
    None,
    TakesOverFolders,
    HidesWhatIsInherited,
    NeverLooksBeforeItWrites,
    OverwritesAnything,
    CallsAMissingEntryAnError,
    ReadsAnythingAsAnEmptyList,
    AddsWithoutLooking,
}

const SINS: [Sin; 8] = [
    Sin::None,
    Sin::TakesOverFolders,
    Sin::HidesWhatIsInherited,
    Sin::NeverLooksBeforeItWrites,
    Sin::OverwritesAnything,
    Sin::CallsAMissingEntryAnError,
    Sin::ReadsAnythingAsAnEmptyList,
    Sin::AddsWithoutLooking,
];

struct Toy(Sin);

impl Toy {
    async fn get<T: serde::de::DeserializeOwned>(&self, cx: &ReadCx, op: &'static str, path: &str) -> Result<T> {
        classify(op, &cx.send(Request::get(op, url(op, path)?)).await?)
    }

    async fn entries(&self, cx: &ReadCx, op: &'static str, f: &FolderId) -> Result<Vec<Permission>> {
        let (mut all, mut page) = (Vec::new(), Some("1".to_owned()));
        while let Some(n) = page {
            let got: Permissions = self.get(cx, op, &format!("/folders/{f}/permissions?page={n}")).await?;
            all.extend(got.permissions);
            page = got.next;
        }
        Ok(all)
    }

    async fn send(&self, cx: &WriteCx, op: &'static str, method: Method, path: &str, body: Value) -> Result<Response> {
        cx.send(Request::write(op, method, url(op, path)?).json(body)).await
    }
}

const fn word(role: FolderRole) -> &'static str {
    match role {
        FolderRole::Reader => "view",
        FolderRole::Writer => "edit",
    }
}

#[async_trait]
impl StorageTarget for Toy {
    fn limits(&self) -> TargetLimits {
        TargetLimits {
            sharing: SharingSupport::Mirror,
            folder_ids: true,
            native_expiry: NativeExpiry::None,
            case_insensitive: false,
            name_bytes_max: 255,
            path_chars_max: None,
            file_bytes_max: 1 << 30,
            grants_max: 100,
            lanes_parallel: 4,
            puts_together: false,
        }
    }

    async fn probe(&self, cx: &ReadCx) -> Result<Probe> {
        let me: Value = self.get(cx, "account.read", "/me").await?;
        let account = me["account"].as_str().ok_or_else(|| Error::contract("account.read", "no account"))?.to_owned();
        Ok(Probe {
            account,
            root: Some("root".into()),
            may_share: true,
            inherited: Vec::new(),
            quota: None,
            children: None,
            notes: Vec::new(),
        })
    }

    async fn find(&self, cx: &ReadCx, key: &FolderKey) -> Result<Option<FolderId>> {
        let list: Folders = self.get(cx, "folder.find", &format!("/folders?marker={key}")).await?;
        match &list.folders[..] {
            [] => Ok(None),
            [one] => Ok(Some(one.id.clone().into())),
            _ => Err(Error::new(ErrorKind::Conflict, "folder.find", "two folders carry the same marker")),
        }
    }

    async fn stat(&self, cx: &ReadCx, folder: &FolderId) -> Result<Stat> {
        match self.get::<Folder>(cx, "folder.stat", &format!("/folders/{folder}")).await {
            Ok(f) if f.trashed => Ok(Stat::Trashed),
            Ok(f) => Ok(Stat::Present {
                name: f.name,
                parent: Some("root".into()),
                owner: None,
                marker: f.marker,
                inherits: false,
                writers_can_share: None,
            }),
            Err(e) if e.kind == ErrorKind::NotFound => Ok(Stat::Gone),
            Err(e) if e.kind == ErrorKind::Forbidden => Ok(Stat::NoAccess),
            Err(e) => Err(e),
        }
    }

    async fn sharing(&self, cx: &ReadCx, folder: &FolderId, at: Cursor) -> Result<Page<SeenPermission>> {
        let path = format!("/folders/{folder}/permissions?page={}", at.text().unwrap_or("1"));
        let page: Permissions = match self.get(cx, "sharing.list", &path).await {
            Err(e) if self.0 == Sin::ReadsAnythingAsAnEmptyList && e.kind == ErrorKind::Contract => {
                return Ok(Page::only(Vec::new()));
            }
            other => other?,
        };
        let mut items: Vec<_> = page.permissions.into_iter().map(seen).collect();
        items.retain(|p| self.0 != Sin::HidesWhatIsInherited || p.via == Via::Direct);
        Ok(Page { items, next: page.next.map(Cursor::At), total: None })
    }

    async fn files(&self, cx: &ReadCx, folder: &FolderId, at: Cursor) -> Result<Page<SeenFile>> {
        let path = format!("/folders/{folder}/files?page={}", at.text().unwrap_or("1"));
        let page: Files = self.get(cx, "files.list", &path).await?;
        let row = |f: File| SeenFile { id: f.id.into(), path: f.path, size: f.size, tag: f.tag.into(), key: None };
        Ok(Page { items: page.files.into_iter().map(row).collect(), next: page.next.map(Cursor::At), total: None })
    }

    async fn create(&self, cx: &WriteCx, key: &FolderKey, name: &str, _: Option<&ReservedId>) -> Result<Created> {
        let op = "folder.create";
        if let Some(id) = self.find(cx.read(), key).await? {
            return Ok(Created::Exists { id, ours: true });
        }
        let body = json!({ "name": name, "marker": key.to_string() });
        let answer = self.send(cx, op, Method::POST, "/folders", body).await?;
        if answer.status == 409 {
            let there: Folder = serde_json::from_slice(&answer.body).map_err(|_| error(op, &answer))?;
            let ours = there.marker == Some(key.to_string()) || self.0 == Sin::TakesOverFolders;
            return Ok(Created::Exists { id: there.id.into(), ours });
        }
        Ok(Created::Created(classify::<Folder>(op, &answer)?.id.into()))
    }

    async fn mark(&self, cx: &WriteCx, folder: &FolderId, key: &FolderKey) -> Result<()> {
        let body = json!({ "marker": key.to_string() });
        let answer = self.send(cx, "folder.mark", Method::PATCH, &format!("/folders/{folder}"), body).await?;
        classify::<Folder>("folder.mark", &answer).map(drop)
    }

    async fn close_spread(&self, _: &WriteCx, _: &FolderId) -> Result<()> {
        Ok(())
    }

    async fn rename(&self, cx: &WriteCx, folder: &FolderId, name: &str) -> Result<()> {
        let path = format!("/folders/{folder}");
        let answer = self.send(cx, "folder.rename", Method::PATCH, &path, json!({ "name": name })).await?;
        classify::<Folder>("folder.rename", &answer).map(drop)
    }

    async fn grant(
        &self,
        cx: &WriteCx,
        folder: &FolderId,
        who: &Email,
        role: FolderRole,
        _until: Option<Timestamp>,
    ) -> Result<Granted> {
        let op = "permission.create";
        let there = self.entries(cx.read(), op, folder).await?.into_iter();
        let mut there = there.filter(|p| p.who == who.key() && !p.inherited && self.0 != Sin::AddsWithoutLooking);
        if let Some(p) = there.next() {
            let id = PermissionId(p.id);
            if p.role == "view" && role == FolderRole::Writer {
                self.set_role(cx, folder, &id, role).await?;
            }
            return Ok(Granted::Now(id));
        }
        let body = json!({ "kind": "person", "who": who.key(), "role": word(role) });
        let answer = self.send(cx, op, Method::POST, &format!("/folders/{folder}/permissions"), body).await?;
        Ok(Granted::Now(classify::<Permission>(op, &answer)?.id.into()))
    }

    async fn set_role(&self, cx: &WriteCx, folder: &FolderId, id: &PermissionId, role: FolderRole) -> Result<()> {
        let (op, path) = ("permission.update", format!("/folders/{folder}/permissions/{id}"));
        let answer = self.send(cx, op, Method::PATCH, &path, json!({ "role": word(role) })).await?;
        classify::<Permission>(op, &answer).map(drop)
    }

    async fn revoke(&self, cx: &WriteCx, folder: &FolderId, id: &PermissionId) -> Result<Gone> {
        let (op, path) = ("permission.delete", format!("/folders/{folder}/permissions/{id}"));
        let answer = self.send(cx, op, Method::DELETE, &path, Value::Null).await?;
        match answer.status {
            204 => Ok(Gone::Done),
            404 if self.0 != Sin::CallsAMissingEntryAnError => Ok(Gone::Already),
            200..=299 => Err(Error::contract(op, "the answer is not what we know")),
            _ => Err(error(op, &answer)),
        }
    }

    async fn put(&self, cx: &WriteCx, to: &Fenced<FolderId>, file: &StatementFile, expect: Expect) -> Result<Stored> {
        let (op, folder, hash) = ("file.put", to.folder(), sha(&file.bytes));
        let path = serde_json::to_string(file.path.names()).map_err(|e| Error::contract(op, "a path").source(e))?;
        let mut look = url(op, &format!("/folders/{folder}/files"))?;
        look.query_pairs_mut().append_pair("path", &path);
        if self.0 != Sin::NeverLooksBeforeItWrites {
            let there: Files = classify(op, &cx.read().send(Request::get(op, look.clone())).await?)?;
            if let Some(f) = there.files.into_iter().find(|f| f.sha256 == hash) {
                return Ok(Stored { id: f.id.into(), tag: f.tag.into(), size: f.size, written: false });
            }
        }
        let mut request = Request::write(op, Method::PUT, look).bytes(file.mime.clone(), file.bytes.clone());
        request = match &expect {
            _ if self.0 == Sin::OverwritesAnything => request,
            Expect::Absent => request.header(HeaderName::from_static("if-none-match"), "*")?,
            Expect::Unchanged(_, tag) => request.header(HeaderName::from_static("if-match"), tag.as_str())?,
        };
        let stored: File = classify(op, &cx.send(request).await?)?;
        if stored.sha256 != hash {
            return Err(Error::contract(op, "the vendor stored something else"));
        }
        Ok(Stored { id: FileId(stored.id), tag: Tag(stored.tag), size: stored.size, written: true })
    }
}

// ---- fake.rs

#[derive(Default)]
struct Vendor(Mutex<State>);

#[derive(Default)]
struct State {
    next: u32,
    page: usize,
    folders: BTreeMap<String, Value>,
    permissions: BTreeMap<String, Vec<Value>>,
    files: BTreeMap<String, Vec<Value>>,
}

impl State {
    fn id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{:04}", self.next)
    }

    fn folder(&mut self, name: &str, marker: Option<&str>) -> Value {
        let id = self.id("f");
        let folder = json!({ "id": id, "name": name, "marker": marker, "trashed": false });
        self.folders.insert(id.clone(), folder.clone());
        self.files.insert(id.clone(), Vec::new());
        self.permissions.insert(id.clone(), Vec::new());
        self.permission(&id, "person", "ledgerward@firm.example", "own", false);
        folder
    }

    fn permission(&mut self, folder: &str, kind: &str, who: &str, role: &str, inherited: bool) -> Value {
        let id = self.id("p");
        let p = json!({ "id": id, "kind": kind, "who": who, "role": role, "inherited": inherited });
        self.permissions.get_mut(folder).unwrap().push(p.clone());
        p
    }

    fn file(&mut self, folder: &str, path: Value, bytes: &[u8]) -> Value {
        let (id, tag) = (self.id("d"), self.id("v"));
        let files = self.files.get_mut(folder).unwrap();
        let file = json!({ "id": id, "path": path, "size": bytes.len(), "tag": tag, "sha256": sha(bytes) });
        match files.iter_mut().find(|f| f["path"] == path) {
            Some(old) => {
                let id = old["id"].take();
                *old = file;
                old["id"] = id;
                old.clone()
            }
            None => {
                files.push(file.clone());
                file
            }
        }
    }

    fn paged(&self, key: &str, all: &[Value], page: Option<&String>) -> (u16, Value) {
        let page: usize = page.map_or(1, |p| p.parse().unwrap());
        let from = (page - 1) * self.page;
        let more = (from + self.page < all.len()).then(|| (page + 1).to_string());
        (200, json!({ key: all.iter().skip(from).take(self.page).collect::<Vec<_>>(), "next": more }))
    }

    fn answer(&mut self, request: &Request) -> (u16, Value) {
        let query: BTreeMap<String, String> = request.url.query_pairs().into_owned().collect();
        let path = request.url.path().trim_matches('/').to_owned();
        let parts: Vec<_> = path.split('/').collect();
        let body = if let Body::Json(v) = &request.body { v.clone() } else { Value::Null };
        let missing = (404, json!({}));
        match (request.method.as_str(), &parts[..]) {
            ("GET", ["me"]) => (200, json!({ "account": "ledgerward@firm.example" })),
            ("GET", ["folders"]) => {
                let mine = self.folders.values().filter(|f| f["marker"] == query["marker"]).collect::<Vec<_>>();
                (200, json!({ "folders": mine }))
            }
            ("POST", ["folders"]) => match self.folders.values().find(|f| f["name"] == body["name"]) {
                Some(there) => (409, there.clone()),
                None => (200, self.folder(body["name"].as_str().unwrap(), body["marker"].as_str())),
            },
            (_, ["folders", id, ..]) if !self.folders.contains_key(*id) => missing,
            ("GET", ["folders", id]) => (200, self.folders[*id].clone()),
            ("PATCH", ["folders", id]) => {
                let folder = self.folders.get_mut(*id).unwrap();
                body.as_object().unwrap().iter().for_each(|(k, v)| folder[k] = v.clone());
                (200, folder.clone())
            }
            ("GET", ["folders", id, "permissions"]) => {
                self.paged("permissions", &self.permissions[*id], query.get("page"))
            }
            ("POST", ["folders", id, "permissions"]) => {
                let text = |k: &str| body[k].as_str().unwrap();
                (200, self.permission(id, text("kind"), text("who"), text("role"), false))
            }
            (verb, ["folders", id, "permissions", p]) => {
                let list = self.permissions.get_mut(*id).unwrap();
                let Some(at) = list.iter().position(|x| x["id"] == **p) else { return missing };
                if list[at]["inherited"] == true || list[at]["role"] == "own" {
                    return (403, json!({}));
                }
                if verb == "DELETE" {
                    list.remove(at);
                    return (204, Value::Null);
                }
                list[at]["role"] = body["role"].clone();
                (200, list[at].clone())
            }
            ("GET", ["folders", id, "files"]) => match query.get("path") {
                Some(path) => {
                    let path: Value = serde_json::from_str(path).unwrap();
                    let found = self.files[*id].iter().filter(|f| f["path"] == path).collect::<Vec<_>>();
                    (200, json!({ "files": found, "next": null }))
                }
                None => self.paged("files", &self.files[*id], query.get("page")),
            },
            ("PUT", ["folders", id, "files"]) => {
                let path: Value = serde_json::from_str(&query["path"]).unwrap();
                let there = self.files[*id].iter().find(|f| f["path"] == path).cloned();
                let header = |name: &str| request.headers.get(name).and_then(|v| v.to_str().ok());
                let absent = header("if-none-match").is_some() && there.is_some();
                let stale = header("if-match").is_some_and(|t| there.is_none_or(|f| f["tag"] != t));
                let Body::Bytes { bytes, .. } = &request.body else { return (400, json!({})) };
                if absent || stale { (412, json!({})) } else { (200, self.file(id, path, bytes)) }
            }
            _ => (599, json!({})),
        }
    }
}

#[async_trait]
impl Transport for Vendor {
    async fn send(&self, request: Request) -> Result<Response> {
        let (status, body) = self.0.lock().unwrap().answer(&request);
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        Ok(Response { status, headers: HeaderMap::new(), body })
    }
}

// ---- tests/conformance.rs

struct Harness<const SIN: u8> {
    toy: Toy,
    vendor: Arc<Vendor>,
}

#[async_trait]
impl<const SIN: u8> TargetHarness for Harness<SIN> {
    async fn fresh() -> Self {
        let state = State { page: 100, ..State::default() };
        Self { toy: Toy(SINS[SIN as usize]), vendor: Arc::new(Vendor(Mutex::new(state))) }
    }
    fn target(&self) -> &dyn StorageTarget {
        &self.toy
    }
    fn vendor(&self) -> Option<Arc<dyn Transport>> {
        Some(self.vendor.clone())
    }
    fn person(&self, n: usize) -> Email {
        Email::parse(&format!("person{n}@firm.example")).unwrap()
    }
    async fn stranger_folder(&self, name: &str) -> FolderId {
        let folder = self.vendor.0.lock().unwrap().folder(name, None);
        folder["id"].as_str().unwrap().into()
    }
    async fn stranger_file(&self, folder: &FolderId, name: &str, bytes: &[u8]) {
        self.vendor.0.lock().unwrap().file(folder.as_str(), json!([name]), bytes);
    }
    async fn share_by_hand(&self, folder: &FolderId, what: &ByHand) -> bool {
        let (kind, who, inherited) = match what {
            ByHand::Person(who) => ("person", who.key(), false),
            ByHand::Inherited(who) => ("person", who.key(), true),
            ByHand::Group => ("group", "everybody in the office", false),
            ByHand::Link => ("link", "", false),
            ByHand::Everyone | ByHand::Below(_) => return false,
        };
        self.vendor.0.lock().unwrap().permission(folder.as_str(), kind, who, "view", inherited);
        true
    }
    async fn double(&self, folder: &FolderId) -> bool {
        let mut state = self.vendor.0.lock().unwrap();
        let marker = state.folders[folder.as_str()]["marker"].clone();
        state.folder("a copy", marker.as_str());
        true
    }
    async fn trash(&self, folder: &FolderId) -> bool {
        self.vendor.0.lock().unwrap().folders.get_mut(folder.as_str()).unwrap()["trashed"] = true.into();
        true
    }
    async fn remove(&self, folder: &FolderId) {
        self.vendor.0.lock().unwrap().folders.remove(folder.as_str());
    }
    async fn small_pages(&self) -> bool {
        self.vendor.0.lock().unwrap().page = 2;
        true
    }
}

mod honest {
    type Honest = super::Harness<0>;
    ledgerward_contract::target_suite!(Honest);
}

macro_rules! caught {
    ($($sin:literal by $scenario:ident as $name:ident;)*) => {$(
        #[tokio::test]
        #[should_panic]
        async fn $name() {
            ledgerward_contract::suite::target::$scenario::<Harness<$sin>>().await;
        }
    )*};
}

caught! {
    1 by create_never_takes_a_strangers_folder as taking_over_folders_is_caught;
    1 by n09_two_clients_of_one_name_stay_apart as mixing_two_clients_is_caught;
    2 by inherited_is_listed_and_never_revoked as hiding_what_is_inherited_is_caught;
    3 by lost_answers_to_put_make_no_second_file as not_looking_before_writing_is_caught;
    4 by put_over_a_strangers_file_is_a_conflict as overwriting_strangers_is_caught;
    4 by put_over_a_newer_file_is_a_conflict as overwriting_newer_files_is_caught;
    5 by revoke_twice_is_already as calling_a_missing_entry_an_error_is_caught;
    6 by bad_answers_to_sharing_are_errors as reading_anything_as_an_empty_list_is_caught;
    7 by grant_twice_is_one_permission as adding_without_looking_is_caught;
    7 by lost_answers_to_grant_make_no_second_permission as adding_after_a_lost_answer_is_caught;
}
