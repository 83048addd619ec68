//! A Dropbox in one process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, header};
use ledgerward_contract::*;
use ledgerward_dropbox::{FACTORY, fake::DropboxFake};
use ledgerward_kit::fake::{FakeRequest, FakeTransport, Moment, SharedFake};
use serde_json::{Value, json};

pub const BEN: &str = "ben@harbour.example";
pub const CARA: &str = "cara@harbour.example";
pub const GUEST: &str = "guest@client.example";
pub const OTHER: &str = "other@elsewhere.example";
pub const US: &str = "ledgers@harbour.example";

/// Adds the access token, as the auth layer does, and keeps what went over.
pub struct Bearer {
    pub inner: Arc<FakeTransport>,
    pub token: Mutex<String>,
    pub seen: Mutex<Vec<(Request, u16)>>,
}

#[async_trait]
impl Transport for Bearer {
    async fn send(&self, mut request: Request) -> Result<Response> {
        let value = format!("Bearer {}", self.token.lock().unwrap());
        request.headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&value).unwrap());
        let answer = self.inner.send(request.clone()).await?;
        assert_ne!(answer.status, 599, "the fake does not know this: {}", String::from_utf8_lossy(&answer.body));
        assert_ne!(answer.status, 400, "{}: {}", request.op, String::from_utf8_lossy(&answer.body));
        self.seen.lock().unwrap().push((request, answer.status));
        Ok(answer)
    }
}

pub struct World {
    pub fake: SharedFake,
    pub http: Arc<FakeTransport>,
    pub bearer: Arc<Bearer>,
    pub dropbox: Box<dyn Connector>,
    authority: WriteAuthority,
    pub allow_violations: bool,
}

pub fn seed(name: &str) -> Value {
    let path = format!("{}/../../fixtures/dropbox/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn connector(settings: Value) -> Result<Box<dyn Connector>> {
    let url = |path: &str| url::Url::parse(&format!("http://dropbox.example{path}")).unwrap();
    let overrides = BTreeMap::from([("api".to_owned(), url("/2")), ("content".to_owned(), url("/content/2"))]);
    let endpoints = Endpoints::resolve(FACTORY.manifest(), &overrides)?;
    FACTORY.build(Build { settings, endpoints })
}

impl World {
    /// A personal account, with the root folder of the settings' default not made yet.
    pub fn personal() -> Self {
        Self::seeded(json!({}), seed("personal"))
    }

    /// A team member whose client folders lie in a team folder.
    pub fn team() -> Self {
        Self::seeded(json!({ "root": "/Practice/Clients", "team_space": true }), seed("team"))
    }

    pub fn seeded(settings: Value, seed: Value) -> Self {
        let fake: SharedFake = Arc::new(Mutex::new(Box::new(DropboxFake::from_seed(&seed).unwrap())));
        let http = Arc::new(FakeTransport::new(Arc::clone(&fake), "2026-11-21T10:00:00Z".parse().unwrap()));
        let bearer = Arc::new(Bearer { inner: Arc::clone(&http), token: Mutex::default(), seen: Mutex::default() });
        let w = Self {
            fake,
            http,
            bearer,
            dropbox: connector(settings).unwrap(),
            authority: WriteAuthority::for_tests(),
            allow_violations: false,
        };
        w.sign_in(json!({}));
        w
    }

    pub fn sign_in(&self, args: Value) {
        // The fake's clock starts with the first request; a token issued before that would be long dead.
        let mut fake = self.fake.lock().unwrap();
        let first = FakeRequest {
            method: http::Method::GET,
            path: "/oauth2/authorize".into(),
            query: vec![],
            headers: Default::default(),
            body: Bytes::new(),
        };
        fake.answer(Moment { now: self.http.now(), in_flight: 0 }, &first);
        let token = fake.control("token", &args).unwrap();
        *self.bearer.token.lock().unwrap() = token["access_token"].as_str().unwrap().to_owned();
    }

    pub fn target(&self) -> &dyn StorageTarget {
        self.dropbox.target().unwrap()
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
        self.bearer.seen.lock().unwrap().iter().filter(|(r, _)| r.op == op).count()
    }

    pub fn writes(&self) -> usize {
        self.bearer.seen.lock().unwrap().iter().filter(|(r, _)| r.effect == Effect::Write).count()
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
            always: [US].iter().map(|e| Email::parse(e).unwrap()).collect(),
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

    pub fn dump(&self) -> Vec<Value> {
        self.control("dump", json!({}))["files"].as_array().unwrap().clone()
    }

    /// The entry of the dump for a shared folder.
    pub fn dumped(&self, folder: &FolderId) -> Value {
        self.dump().into_iter().find(|f| f["shared_folder_id"] == folder.as_str()).unwrap()
    }

    /// The id of something directly in a node.
    pub fn child(&self, parent: &Value, name: &str) -> Value {
        self.dump().into_iter().find(|f| f["parent"] == parent["id"] && f["name"] == name).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() && !self.allow_violations {
            assert_eq!(self.control("violations", json!({}))["violations"], json!([]));
        }
    }
}

pub fn key(n: u128) -> FolderKey {
    FolderKey { client: ClientId(uuid::Uuid::from_u128(n)), account: None }
}

pub fn file(path: &str, bytes: impl Into<Bytes>) -> StatementFile {
    StatementFile {
        key: FileKey(path.to_owned()),
        path: FilePath::new(path.split('/').map(str::to_owned).collect()).unwrap(),
        mime: "application/pdf".to_owned(),
        bytes: bytes.into(),
        reserved: None,
    }
}

pub fn person(list: &Snapshot<SeenPermission>, email: &str) -> Option<SeenPermission> {
    list.items().iter().find(|p| p.holder.to_string() == email).cloned()
}

pub fn id_of(g: &Granted) -> PermissionId {
    match g {
        Granted::Now(id) | Granted::Invited(id) => id.clone(),
    }
}
