//! The connector over its fake, signed in.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use http::header::{AUTHORIZATION, USER_AGENT};
use ledgerward_contract::{
    Auth, Build, Connector, Cursor, Endpoints, Factory, LedgerId, LedgerRow, Period, PeriodLength, ReadCx, Request,
    Response, Result, Snapshot, StatementData, StatementKind, StatementRequest, Timestamp, Transport,
};
use ledgerward_freeagent::{FACTORY, fake::Fake};
use ledgerward_kit::fake::{Fake as _, FakeTransport, SharedFake};
use serde_json::{Value, json};

pub const ACME: &str = "101-acme";
pub const BIRCH: &str = "102-birch";
pub const MAIN: &str = "9011";

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

/// What the real transport adds to requests that say nothing of it.
pub struct Agent(pub Arc<FakeTransport>);

#[async_trait]
impl Transport for Agent {
    async fn send(&self, mut request: Request) -> Result<Response> {
        request.headers.entry(USER_AGENT).or_insert("ledgerward/test".parse().unwrap());
        self.0.send(request).await
    }
}

pub struct World {
    pub fake: SharedFake,
    pub wire: Arc<Signed>,
    pub connector: Box<dyn Connector>,
}

impl World {
    /// The sample practice, its senior account manager signed in.
    pub fn sample() -> Self {
        Self::new(Fake::sample().unwrap(), "ana@harbour.example", json!({}))
    }

    pub fn new(mut fake: Fake, email: &str, settings: Value) -> Self {
        let tokens = fake.control("token", &json!({"email": email})).unwrap();
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

    pub async fn fetched(&self, ledger: &str, what: &StatementRequest) -> Result<StatementData> {
        let (source, ledger) = (self.connector.statements().unwrap(), LedgerId::from(ledger));
        let list = source.statements(&self.cx(), &ledger, what, Cursor::Start).await?.items;
        source.fetch(&self.cx(), &list[0]).await
    }
}

pub fn endpoints() -> Endpoints {
    Endpoints::resolve(FACTORY.manifest(), &BTreeMap::new()).unwrap()
}

/// The connector of a configuration with another address, as for the sandbox.
pub fn connector_at(base: &str) -> Box<dyn Connector> {
    let other = BTreeMap::from([("api".to_owned(), base.parse().unwrap())]);
    let endpoints = Endpoints::resolve(FACTORY.manifest(), &other).unwrap();
    FACTORY.build(Build { settings: Value::Null, endpoints }).unwrap()
}

pub fn connector(settings: Value) -> Result<Box<dyn Connector>> {
    FACTORY.build(Build { settings, endpoints: endpoints() })
}

pub fn period(start: &str, end: &str) -> Period {
    Period { start: start.parse().unwrap(), end: end.parse().unwrap(), length: PeriodLength::Month }
}

/// October 2026, of the main account where there has to be one.
pub fn october(kind: StatementKind) -> StatementRequest {
    let account = kind.per_account().then(|| MAIN.into());
    StatementRequest { kind, basis: Default::default(), period: period("2026-10-01", "2026-10-31"), account }
}
