//! A Drive in one process. Whatever a test sends is held against Google's own description of the API when it ends.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, header};
use ledgerward_contract::*;
use ledgerward_google_drive::{FACTORY, fake::DriveFake};
use ledgerward_kit::fake::{FakeTransport, SharedFake};
use serde_json::{Value, json};

pub const ANA: &str = "ana@harbour.example";
pub const BEN: &str = "ben@harbour.example";
pub const CARA: &str = "cara@harbour.example";
pub const US: &str = "ledgers@harbour.example";
pub const MY: &str = "1HarbourClientsFolder";
pub const SHARED: &str = "0AClientsSharedDrive";

/// Adds the access token, as the auth layer does, and keeps what went over.
pub struct Bearer {
    pub inner: Arc<FakeTransport>,
    pub token: Mutex<String>,
    pub seen: Mutex<Vec<(Request, u16, Bytes)>>,
}

#[async_trait]
impl Transport for Bearer {
    async fn send(&self, mut request: Request) -> Result<Response> {
        if request.auth == Auth::Bearer {
            let value = format!("Bearer {}", self.token.lock().unwrap());
            request.headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&value).unwrap());
        }
        let answer = self.inner.send(request.clone()).await?;
        assert_ne!(answer.status, 599, "the fake does not know this: {}", String::from_utf8_lossy(&answer.body));
        self.seen.lock().unwrap().push((request, answer.status, answer.body.clone()));
        Ok(answer)
    }
}

pub struct World {
    pub fake: SharedFake,
    pub http: Arc<FakeTransport>,
    pub bearer: Arc<Bearer>,
    pub drive: Box<dyn Connector>,
    authority: WriteAuthority,
    pub allow_overlap: bool,
}

pub fn seed() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/google-drive/firm.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn connector(settings: Value) -> Result<Box<dyn Connector>> {
    let url = |path: &str| url::Url::parse(&format!("http://drive.example{path}")).unwrap();
    let overrides =
        BTreeMap::from([("api".to_owned(), url("/drive/v3")), ("upload".to_owned(), url("/upload/drive/v3"))]);
    let endpoints = Endpoints::resolve(FACTORY.manifest(), &overrides)?;
    FACTORY.build(Build { settings, endpoints })
}

impl World {
    pub fn new(settings: Value) -> Self {
        Self::seeded(settings, seed())
    }

    pub fn seeded(settings: Value, seed: Value) -> Self {
        let scope = if settings["root"].is_string() { "drive" } else { "drive.file" };
        let fake: SharedFake = Arc::new(Mutex::new(Box::new(DriveFake::from_seed(&seed).unwrap())));
        let http = Arc::new(FakeTransport::new(Arc::clone(&fake), "2026-11-21T10:00:00Z".parse().unwrap()));
        let bearer = Arc::new(Bearer { inner: Arc::clone(&http), token: Mutex::default(), seen: Mutex::default() });
        let w = Self {
            fake,
            http,
            bearer,
            drive: connector(settings).unwrap(),
            authority: WriteAuthority::for_tests(),
            allow_overlap: false,
        };
        w.sign_in(US, scope);
        w
    }

    pub fn sign_in(&self, user: &str, scope: &str) {
        // The fake's clock starts with the first request; a token issued before that would be long dead.
        let args = json!({ "user": user, "scope": format!("https://www.googleapis.com/auth/{scope}") });
        let mut fake = self.fake.lock().unwrap();
        let probe = ledgerward_kit::fake::FakeRequest {
            method: http::Method::POST,
            path: "/revoke".into(),
            query: vec![],
            headers: Default::default(),
            body: Bytes::new(),
        };
        fake.answer(ledgerward_kit::fake::Moment { now: self.http.now(), in_flight: 0 }, &probe);
        let token = fake.control("token", &args).unwrap();
        *self.bearer.token.lock().unwrap() = token["access_token"].as_str().unwrap().to_owned();
    }

    pub fn target(&self) -> &dyn StorageTarget {
        self.drive.target().unwrap()
    }

    pub fn read(&self) -> ReadCx {
        ReadCx::new(Arc::clone(&self.bearer) as Arc<dyn Transport>, self.http.now())
    }

    pub fn write(&self) -> WriteCx {
        let permit = Permit::issue(&self.authority, Journalled::committed(1));
        permit.open(Arc::clone(&self.bearer) as Arc<dyn Transport>, self.http.now())
    }

    pub fn control(&self, verb: &str, args: Value) -> Value {
        self.fake.lock().unwrap().control(verb, &args).unwrap()
    }

    /// How many requests of these operations went out.
    pub fn sent(&self, op: &str) -> usize {
        self.bearer.seen.lock().unwrap().iter().filter(|(r, _, _)| r.op == op).count()
    }

    pub fn forget(&self) {
        self.bearer.seen.lock().unwrap().clear();
    }

    pub async fn create(&self, n: u128) -> FolderId {
        match self.target().create(&self.write(), &key(n), &format!("Client {n}"), None).await.unwrap() {
            Created::Created(id) => id,
            other => panic!("{other:?}"),
        }
    }

    pub async fn sharing(&self, folder: &FolderId) -> Result<Snapshot<SeenPermission>> {
        let cx = self.read();
        Snapshot::gather("sharing.list", cx.now(), 500, |at| {
            let cx = cx.clone();
            Box::pin(async move { self.target().sharing(&cx, folder, at).await })
        })
        .await
    }

    pub async fn files(&self, folder: &FolderId) -> Result<Snapshot<SeenFile>> {
        let cx = self.read();
        Snapshot::gather("files.list", cx.now(), 500, |at| {
            let cx = cx.clone();
            Box::pin(async move { self.target().files(&cx, folder, at).await })
        })
        .await
    }

    pub async fn fenced(&self, folder: &FolderId, planned: &[&str]) -> Fenced<FolderId> {
        let list = self.sharing(folder).await.unwrap();
        let allowed = Allowed {
            planned: planned.iter().map(|e| Email::parse(e).unwrap()).collect(),
            always: [US, ANA].iter().map(|e| Email::parse(e).unwrap()).collect(),
            ..Allowed::default()
        };
        Fenced::check(folder.clone(), &list, &allowed).unwrap()
    }

    pub async fn put(&self, folder: &FolderId, file: &StatementFile, expect: Expect) -> Result<Stored> {
        let fenced = self.fenced(folder, &[BEN, CARA]).await;
        self.target().put(&self.write(), &fenced, file, expect).await
    }

    pub async fn grant(&self, folder: &FolderId, who: &str, role: FolderRole) -> Result<Granted> {
        self.target().grant(&self.write(), folder, &Email::parse(who).unwrap(), role, None).await
    }

    /// The entry of the dump for one file.
    pub fn dumped(&self, id: &str) -> Value {
        let all = self.control("dump", json!({}));
        all["files"].as_array().unwrap().iter().find(|f| f["id"] == id).cloned().unwrap_or(Value::Null)
    }

    /// How many files of that name there are, trash not counted.
    pub fn named(&self, name: &str) -> usize {
        let all = self.control("dump", json!({}));
        all["files"].as_array().unwrap().iter().filter(|f| f["name"] == name && f["trashed"] == false).count()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if !self.allow_overlap {
            let overlaps = self.control("violations", json!({}));
            assert_eq!(overlaps["violations"], json!([]), "permission changes overlapped");
        }
        let Ok(dir) = std::env::var("LEDGERWARD_REFERENCE") else {
            eprintln!("skipped: LEDGERWARD_REFERENCE is not set, requests are not held against the discovery document");
            return;
        };
        static SPEC: std::sync::OnceLock<Value> = std::sync::OnceLock::new();
        let spec = SPEC.get_or_init(|| {
            let text = std::fs::read_to_string(format!("{dir}/specs/google-drive.v3.json")).unwrap();
            serde_json::from_str(&text).unwrap()
        });
        for (request, status, body) in self.bearer.seen.lock().unwrap().iter() {
            conforms(spec, request, *status, body);
        }
    }
}

/// The method of the discovery document that a request calls, or a panic.
fn conforms(spec: &Value, request: &Request, status: u16, body: &Bytes) {
    let (path, upload) = match request.url.path() {
        p if p.starts_with("/drive/v3/") => (&p["/drive/v3/".len()..], false),
        p if p.starts_with("/upload/drive/v3/") => (&p["/upload/drive/v3/".len()..], true),
        other => panic!("{other} is no path of the API"),
    };
    if request.url.query_pairs().any(|(k, _)| k == "upload_id") {
        return;
    }
    let mut found = None;
    for resource in ["about", "files", "permissions", "changes", "drives"] {
        for (_, m) in spec["resources"][resource]["methods"].as_object().unwrap() {
            let same = fits(m["path"].as_str().unwrap(), path) && m["httpMethod"] == request.method.as_str();
            // A template with fewer blanks wins: files/generateIds is not files/{fileId}.
            let blanks = m["path"].as_str().unwrap().matches('{').count();
            if same && found.as_ref().is_none_or(|(_, b)| blanks < *b) {
                found = Some((m.clone(), blanks));
            }
        }
    }
    let (method, _) = found.unwrap_or_else(|| panic!("{} {path} is no method of the API", request.method));
    for (name, _) in request.url.query_pairs() {
        let known = method["parameters"].get(&*name).is_some()
            || spec["parameters"].get(&*name).is_some()
            || (upload && name == "uploadType");
        assert!(known, "{} has no parameter {name}", method["id"]);
    }
    assert!(request.url.query_pairs().any(|(k, _)| k == "fields") || request.method == "DELETE", "{}", request.op);
    let all_drives = method["parameters"].get("supportsAllDrives").is_some();
    assert!(!all_drives || request.url.query_pairs().any(|(k, v)| k == "supportsAllDrives" && v == "true"));
    if upload {
        assert_eq!(method["supportsMediaUpload"], true);
    }
    if let Body::Json(sent) = &request.body {
        fields(spec, &spec["schemas"][method["request"]["$ref"].as_str().unwrap()], sent, request.op);
    }
    if (200..300).contains(&status) && !body.is_empty() && body.starts_with(b"{") {
        let got: Value = serde_json::from_slice(body).unwrap();
        fields(spec, &spec["schemas"][method["response"]["$ref"].as_str().unwrap()], &got, request.op);
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (t, p): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    t.len() == p.len() && t.iter().zip(&p).all(|(t, p)| t.starts_with('{') || t == p)
}

/// Every field is in the schema, and of its type.
fn fields(spec: &Value, schema: &Value, value: &Value, op: &str) {
    let schema = schema["$ref"].as_str().map_or(schema, |r| &spec["schemas"][r]);
    match (schema["type"].as_str(), value) {
        (Some("object"), Value::Object(map)) => {
            for (k, v) in map {
                match (schema["properties"].get(k), schema.get("additionalProperties")) {
                    (Some(p), _) | (None, Some(p)) => fields(spec, p, v, op),
                    (None, None) => panic!("{op}: the schema has no field {k}"),
                }
            }
        }
        (Some("array"), Value::Array(items)) => items.iter().for_each(|v| fields(spec, &schema["items"], v, op)),
        (Some("string"), Value::String(_) | Value::Null) | (Some("boolean"), Value::Bool(_)) => {}
        (Some("integer" | "number"), Value::Number(_)) | (Some("any"), _) => {}
        (kind, v) => panic!("{op}: {v} is no {kind:?}"),
    }
}

pub fn key(n: u128) -> FolderKey {
    FolderKey { client: ClientId(uuid::Uuid::from_u128(n)), account: None }
}

pub fn file(key: &str, path: &str, bytes: impl Into<Bytes>) -> StatementFile {
    StatementFile {
        key: FileKey(key.to_owned()),
        path: FilePath::new(path.split('/').map(str::to_owned).collect()).unwrap(),
        mime: "application/pdf".to_owned(),
        bytes: bytes.into(),
        reserved: None,
    }
}

pub fn holders(list: &Snapshot<SeenPermission>) -> Vec<(String, SeenRole, Via)> {
    list.items().iter().map(|p| (p.holder.to_string(), p.role.clone(), p.via.clone())).collect()
}

pub fn person(list: &Snapshot<SeenPermission>, email: &str) -> Option<SeenPermission> {
    list.items().iter().find(|p| p.holder.to_string() == email).cloned()
}
