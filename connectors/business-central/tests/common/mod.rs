//! The connector over its fake, signed in.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use ledgerward_business_central::{FACTORY, fake::Fake};
use ledgerward_contract::{
    AccessFact, Auth, Build, Connector, Cursor, Endpoints, Factory, LedgerId, LedgerRow, ReadCx, Request, Response,
    Result, Scope, Snapshot, Timestamp, Transport,
};
use ledgerward_kit::fake::{Fake as _, FakeTransport, SharedFake};
use serde_json::{Value, json};

pub const ACME: &str = "production:b0c1a7f2-0000-4000-8000-000000000001";
pub const BIRCH: &str = "production:b0c1a7f2-0000-4000-8000-000000000002";
pub const OTHER_ACME: &str = "production:b0c1a7f2-0000-4000-8000-000000000009";
pub const CEDAR: &str = "sandbox-uk:b0c1a7f2-0000-4000-8000-000000000021";

pub fn now() -> Timestamp {
    "2026-11-21T09:00:00Z".parse().unwrap()
}

/// Puts the access token on, as the kit's auth layer does.
pub struct Signed {
    pub inner: Arc<FakeTransport>,
    pub token: Mutex<String>,
}

#[async_trait]
impl Transport for Signed {
    async fn send(&self, mut request: Request) -> Result<Response> {
        if request.auth == Auth::Bearer {
            let value = format!("Bearer {}", self.token.lock().unwrap());
            request.headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        self.inner.send(request).await
    }
}

pub struct World {
    pub fake: SharedFake,
    pub wire: Arc<Signed>,
    pub connector: Box<dyn Connector>,
}

impl World {
    pub fn sample(settings: Value) -> Self {
        Self::new(Fake::sample().unwrap(), settings)
    }

    pub fn new(mut fake: Fake, settings: Value) -> Self {
        let tokens = fake.control("token", &json!({})).unwrap();
        let fake: SharedFake = Arc::new(Mutex::new(Box::new(fake)));
        let wire = Arc::new(Signed {
            inner: Arc::new(FakeTransport::new(fake.clone(), now())),
            token: Mutex::new(tokens["access_token"].as_str().unwrap().to_owned()),
        });
        Self { fake, wire, connector: connector(settings).unwrap() }
    }

    pub fn control(&self, verb: &str, args: Value) -> Value {
        self.fake.lock().unwrap().control(verb, &args).unwrap()
    }

    pub fn cx(&self) -> ReadCx {
        ReadCx::new(self.wire.clone(), now())
    }

    pub async fn ledgers(&self) -> Result<Snapshot<LedgerRow>> {
        let (source, cx) = (self.connector.ledgers().unwrap(), self.cx());
        Snapshot::gather("test.list", now(), 100, |at: Cursor| {
            let cx = cx.clone();
            Box::pin(async move { source.ledgers(&cx, at).await })
        })
        .await
    }

    pub async fn access(&self, ledger: &str) -> Result<Snapshot<AccessFact>> {
        let (source, cx, ledger) = (self.connector.ledgers().unwrap(), self.cx(), LedgerId::from(ledger));
        let ledger = &ledger;
        Snapshot::gather("test.list", now(), 100, |at: Cursor| {
            let cx = cx.clone();
            Box::pin(async move { source.access(&cx, Scope::One(ledger), at).await })
        })
        .await
    }
}

pub fn endpoints() -> Endpoints {
    Endpoints::resolve(FACTORY.manifest(), &BTreeMap::new()).unwrap()
}

/// The connector of a configuration with another address, as for the sandbox.
pub fn connector_at(base: &str) -> Box<dyn Connector> {
    let at = |path: &str| format!("{base}{path}").parse().unwrap();
    let other = BTreeMap::from([("api".to_owned(), at("/v2.0")), ("login".to_owned(), at("/organizations"))]);
    let endpoints = Endpoints::resolve(FACTORY.manifest(), &other).unwrap();
    FACTORY.build(Build { settings: Value::Null, endpoints }).unwrap()
}

pub fn connector(settings: Value) -> Result<Box<dyn Connector>> {
    FACTORY.build(Build { settings, endpoints: endpoints() })
}
