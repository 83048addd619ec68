//! A Graph in one process.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use ledgerward_contract::*;
use ledgerward_kit::fake::{Fake, FakeRequest, FakeTransport, Moment, SharedFake};
use ledgerward_microsoft_graph::{FACTORY, fake::GraphFake};
use serde_json::{Value, json};
use url::Url;

pub const ANA: &str = "ana@harbour.example";
pub const BEN: &str = "ben@harbour.example";
pub const CARA: &str = "cara@harbour.example";
/// A guest of the tenant.
pub const GUEST: &str = "guest@client.example";
/// Nobody that the tenant knows.
pub const STRANGER: &str = "wary@client.example";
pub const US: &str = "ledgers@harbour.example";
pub const ROOT: &str = "01HARBCLIENTS";
pub const DRIVE: &str = "b!Ledgers-1";

/// Adds the access token, as the auth layer does, and keeps what went over.
pub struct Bearer {
    pub inner: Arc<FakeTransport>,
    pub token: Mutex<String>,
    pub seen: Mutex<Vec<(Request, u16)>>,
    /// Sends once more what may be sent twice, as the retry layer does.
    pub repeats: AtomicBool,
}

#[async_trait]
impl Transport for Bearer {
    async fn send(&self, mut request: Request) -> Result<Response> {
        if request.auth == Auth::Bearer {
            let value = format!("Bearer {}", self.token.lock().unwrap());
            request.headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&value).unwrap());
        }
        let mut answer = self.inner.send(request.clone()).await?;
        if answer.status == 503 && request.idempotent && self.repeats.load(Ordering::Relaxed) {
            answer = self.inner.send(request.clone()).await?;
        }
        assert_ne!(answer.status, 599, "the fake does not know this: {}", String::from_utf8_lossy(&answer.body));
        self.seen.lock().unwrap().push((request, answer.status));
        Ok(answer)
    }
}

pub struct World {
    pub fake: SharedFake,
    pub http: Arc<FakeTransport>,
    pub bearer: Arc<Bearer>,
    pub target: Box<dyn Connector>,
    authority: WriteAuthority,
    pub allow_violations: bool,
}

pub fn seed() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/microsoft-graph/firm.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn endpoints() -> Endpoints {
    let url = |path: &str| Url::parse(&format!("http://graph.example{path}")).unwrap();
    let names = [("api", "/v1.0"), ("login", "/organizations"), ("content", "")];
    let overrides: BTreeMap<_, _> = names.map(|(name, path)| (name.to_owned(), url(path))).into();
    Endpoints::resolve(FACTORY.manifest(), &overrides).unwrap()
}

pub fn connector(settings: Value) -> Result<Box<dyn Connector>> {
    FACTORY.build(Build { settings, endpoints: endpoints() })
}

/// A request that changes nothing, so that the fake knows the time.
pub fn knock(fake: &mut dyn Fake, now: Timestamp) {
    let request = FakeRequest {
        method: Method::POST,
        path: "/organizations/oauth2/v2.0/token".into(),
        query: vec![],
        headers: HeaderMap::new(),
        body: Bytes::new(),
    };
    fake.answer(Moment { now, in_flight: 0 }, &request);
}

impl World {
    pub fn new(settings: Value) -> Self {
        Self::seeded(settings, seed())
    }

    pub fn rooted() -> Self {
        Self::new(json!({ "root": ROOT }))
    }

    pub fn seeded(settings: Value, seed: Value) -> Self {
        let fake: SharedFake = Arc::new(Mutex::new(Box::new(GraphFake::from_seed(&seed).unwrap())));
        let http = Arc::new(FakeTransport::new(Arc::clone(&fake), "2026-11-21T10:00:00Z".parse().unwrap()));
        let bearer = Arc::new(Bearer {
            inner: Arc::clone(&http),
            token: Mutex::default(),
            seen: Mutex::default(),
            repeats: AtomicBool::new(false),
        });
        let w = Self {
            fake,
            http,
            bearer,
            target: connector(settings).unwrap(),
            authority: WriteAuthority::for_tests(),
            allow_violations: false,
        };
        w.sign_in(US);
        w
    }

    pub fn sign_in(&self, user: &str) {
        let mut fake = self.fake.lock().unwrap();
        knock(&mut **fake, self.http.now());
        let token = fake.control("token", &json!({ "user": user })).unwrap();
        *self.bearer.token.lock().unwrap() = token["access_token"].as_str().unwrap().to_owned();
    }

    pub fn target(&self) -> &dyn StorageTarget {
        self.target.target().unwrap()
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

    pub fn items(&self) -> Vec<Value> {
        self.control("dump", json!({}))["items"].as_array().unwrap().clone()
    }

    /// How many requests of this operation went out.
    pub fn sent(&self, op: &str) -> usize {
        self.bearer.seen.lock().unwrap().iter().filter(|(r, _)| r.op == op).count()
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

    pub async fn put(&self, folder: &FolderId, file: &StatementFile, expect: Expect) -> Result<Stored> {
        let fenced = Fenced::managed_elsewhere(folder.clone(), &Audience::new("a test").unwrap());
        self.target().put(&self.write(), &fenced, file, expect).await
    }

    pub async fn grant(&self, folder: &FolderId, who: &str, role: FolderRole) -> Result<Granted> {
        self.target().grant(&self.write(), folder, &Email::parse(who).unwrap(), role, None).await
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
        key: FileKey("k".to_owned()),
        path: FilePath::new(path.split('/').map(str::to_owned).collect()).unwrap(),
        mime: "application/pdf".to_owned(),
        bytes: bytes.into(),
        reserved: None,
    }
}

pub fn person(list: &Snapshot<SeenPermission>, email: &str) -> Option<SeenPermission> {
    list.items().iter().find(|p| p.holder.to_string() == email).cloned()
}
