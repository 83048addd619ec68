//! The connector over its fake, with the firm's two keys.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use ledgerward_contract::{
    Assignment, Auth, Build, ClientRow, Connector, Cursor, Endpoints, Factory, ReadCx, Request, Response, Result,
    Snapshot, Timestamp, Transport,
};
use ledgerward_karbon::{FACTORY, fake::Fake};
use ledgerward_kit::fake::{FakeTransport, SharedFake};
use serde_json::{Value, json};

pub const API_KEY: &str = "5a9d0000-0000-4000-8000-00000000c0de";
pub const ACCESS_KEY: &str = "eyJ-sandbox-karbon-access-key";

pub fn now() -> Timestamp {
    "2026-11-21T09:00:00Z".parse().unwrap()
}

/// Puts the keys on, as the kit's auth layer does.
pub struct Keyed(pub Arc<FakeTransport>);

#[async_trait]
impl Transport for Keyed {
    async fn send(&self, mut request: Request) -> Result<Response> {
        assert_eq!(request.auth, Auth::Bearer);
        request.headers.insert("authorization", format!("Bearer {API_KEY}").parse().unwrap());
        request.headers.insert("accesskey", ACCESS_KEY.parse().unwrap());
        self.0.send(request).await
    }
}

pub struct World {
    pub fake: SharedFake,
    pub wire: Arc<Keyed>,
    pub connector: Box<dyn Connector>,
}

impl World {
    /// The sample firm. The vendor's limit is out of the way: the clock stands still.
    pub fn new(settings: Value) -> Self {
        let w = Self::over(Fake::sample().unwrap(), settings);
        w.control("set_app", json!({"per_minute": 1_000_000}));
        w
    }

    pub fn over(fake: Fake, settings: Value) -> Self {
        let fake: SharedFake = Arc::new(Mutex::new(Box::new(fake)));
        let wire = Arc::new(Keyed(Arc::new(FakeTransport::new(fake.clone(), now()))));
        Self { fake, wire, connector: connector(settings).unwrap() }
    }

    pub fn control(&self, verb: &str, args: Value) -> Value {
        self.fake.lock().unwrap().control(verb, &args).unwrap()
    }

    pub async fn clients(&self) -> Result<Snapshot<ClientRow>> {
        listed(&*self.connector, ReadCx::new(self.wire.clone(), now())).await
    }

    pub async fn client(&self, name: &str) -> ClientRow {
        let list = self.clients().await.unwrap();
        list.items().iter().find(|c| c.name == name).unwrap().clone()
    }

    /// How often paths that end so were asked, by the fake's own count.
    pub fn asked(&self, end: &str) -> u64 {
        let stats = self.control("stats", json!({}));
        let counts = stats["requests"].as_object().unwrap().clone();
        counts.iter().filter(|(k, _)| k.ends_with(end)).map(|(_, v)| v.as_u64().unwrap()).sum()
    }
}

pub async fn listed(connector: &dyn Connector, cx: ReadCx) -> Result<Snapshot<ClientRow>> {
    let directory = connector.directory().unwrap();
    Snapshot::gather("test.list", now(), 1_000, |at: Cursor| {
        let cx = cx.clone();
        Box::pin(async move { directory.clients(&cx, at).await })
    })
    .await
}

/// Names and roles, in order.
pub fn people(row: &ClientRow) -> Vec<(&str, &str)> {
    let mut all: Vec<_> = row.people.iter().map(|p: &Assignment| (p.name.as_str(), p.role.as_str())).collect();
    all.sort_unstable();
    all
}

pub fn endpoints() -> Endpoints {
    Endpoints::resolve(FACTORY.manifest(), &BTreeMap::new()).unwrap()
}

pub fn connector(settings: Value) -> Result<Box<dyn Connector>> {
    FACTORY.build(Build { settings, endpoints: endpoints() })
}
