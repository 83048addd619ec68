//! The connector over its fake, signed in.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use ledgerward_contract::{
    AccessFact, Auth, Build, Connector, Cursor, Endpoints, Factory, LedgerId, LedgerSource, ReadCx, Request, Response,
    Result, Scope, Snapshot, Timestamp, Transport,
};
use ledgerward_kit::fake::{Fake as _, FakeTransport, SharedFake};
use ledgerward_zoho_books::{FACTORY, fake::Fake};
use serde_json::{Value, json};

pub const SCOPE: &str = "ZohoBooks.settings.READ";
pub const CEDAR: &str = "810000001";
pub const FJORD: &str = "810000002";
pub const KELP: &str = "810000003";
/// Where the one who signs in is no admin.
pub const LARCH: &str = "810000005";

pub fn now() -> Timestamp {
    "2026-11-21T09:00:00Z".parse().unwrap()
}

/// Puts the access token on, as the kit's auth layer does by the manifest.
pub struct Signed {
    pub inner: Arc<FakeTransport>,
    pub token: Mutex<String>,
}

#[async_trait]
impl Transport for Signed {
    async fn send(&self, mut request: Request) -> Result<Response> {
        if request.auth == Auth::Bearer {
            let value = format!("Zoho-oauthtoken {}", self.token.lock().unwrap());
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
    /// The sample firm. A paused clock is wanted: the vendor's limits count by it.
    pub fn sample(settings: Value) -> Self {
        Self::new(Fake::sample().unwrap(), settings)
    }

    pub fn new(mut fake: Fake, settings: Value) -> Self {
        let tokens = fake.control("token", &json!({"scopes": SCOPE})).unwrap();
        Self::signed(fake, tokens["access_token"].as_str().unwrap(), settings)
    }

    pub fn signed(fake: Fake, token: &str, settings: Value) -> Self {
        let fake: SharedFake = Arc::new(Mutex::new(Box::new(fake)));
        let inner = Arc::new(FakeTransport::new(fake.clone(), now()));
        let wire = Arc::new(Signed { inner, token: Mutex::new(token.to_owned()) });
        Self { fake, wire, connector: build(settings).unwrap() }
    }

    pub fn control(&self, verb: &str, args: Value) -> Value {
        self.fake.lock().unwrap().control(verb, &args).unwrap()
    }

    pub fn cx(&self) -> ReadCx {
        ReadCx::new(self.wire.clone(), now())
    }

    pub fn source(&self) -> &dyn LedgerSource {
        self.connector.ledgers().unwrap()
    }

    pub async fn access(&self, ledger: &str) -> Result<Vec<AccessFact>> {
        let (source, cx, ledger) = (self.source(), self.cx(), LedgerId::from(ledger));
        let ledger = &ledger;
        let list = Snapshot::gather("test.list", now(), 100, |at: Cursor| {
            let cx = cx.clone();
            Box::pin(async move { source.access(&cx, Scope::One(ledger), at).await })
        });
        Ok(list.await?.items().to_vec())
    }
}

pub fn endpoints() -> Endpoints {
    Endpoints::resolve(FACTORY.manifest(), &BTreeMap::new()).unwrap()
}

pub fn build(settings: Value) -> Result<Box<dyn Connector>> {
    FACTORY.build(Build { settings, endpoints: endpoints() })
}
