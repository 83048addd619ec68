//! The connector over its fake, signed in for one company.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use ledgerward_contract::{
    AccountId, Auth, Build, Connector, Cursor, Date, Endpoints, Factory, LedgerAccount, LedgerId, Period, PeriodLength,
    ReadCx, Request, Response, Result, Snapshot, StatementData, StatementKind, StatementRef, StatementRequest,
    Timestamp, Transport,
};
use ledgerward_kit::fake::{Fake as _, FakeTransport, SharedFake};
use ledgerward_quickbooks::{FACTORY, fake::Fake};
use serde_json::{Value, json};

pub const ACME: &str = "9341453172058121";
pub const BIRCH: &str = "9341453172058122";
pub const QUIET: &str = "9341453172058123";

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
    pub realm: String,
}

impl World {
    /// The sample firm, signed in for one of its companies. A paused clock is wanted: the vendor's limits count by it.
    pub fn sample(realm: &str, settings: Value) -> Self {
        Self::new(Fake::sample().unwrap(), realm, settings)
    }

    pub fn new(mut fake: Fake, realm: &str, settings: Value) -> Self {
        let tokens = fake.control("token", &json!({"company": realm})).unwrap();
        let fake: SharedFake = Arc::new(Mutex::new(Box::new(fake)));
        let wire = Arc::new(Signed {
            inner: Arc::new(FakeTransport::new(fake.clone(), now())),
            token: Mutex::new(tokens["access_token"].as_str().unwrap().to_owned()),
        });
        Self { fake, wire, connector: connector(settings), realm: realm.to_owned() }
    }

    pub fn control(&self, verb: &str, args: Value) -> Value {
        self.fake.lock().unwrap().control(verb, &args).unwrap()
    }

    pub fn cx(&self) -> ReadCx {
        ReadCx::new(self.wire.clone(), now()).in_realm(Some(&self.realm))
    }

    pub fn ledger(&self) -> LedgerId {
        self.realm.as_str().into()
    }

    pub async fn accounts(&self) -> Result<Vec<LedgerAccount>> {
        let (source, cx, ledger) = (self.connector.statements().unwrap(), self.cx(), self.ledger());
        let list = Snapshot::gather("test.list", now(), 100, |at: Cursor| {
            let (cx, ledger) = (cx.clone(), ledger.clone());
            Box::pin(async move { source.accounts(&cx, &ledger, at).await })
        });
        Ok(list.await?.items().to_vec())
    }

    pub async fn listed(&self, what: &StatementRequest) -> Result<Vec<StatementRef>> {
        let (source, cx, ledger) = (self.connector.statements().unwrap(), self.cx(), self.ledger());
        let list = Snapshot::gather("test.list", now(), 100, |at: Cursor| {
            let (cx, ledger) = (cx.clone(), ledger.clone());
            Box::pin(async move { source.statements(&cx, &ledger, what, at).await })
        });
        Ok(list.await?.items().to_vec())
    }

    pub async fn fetch(&self, what: &StatementRef) -> Result<StatementData> {
        self.connector.statements().unwrap().fetch(&self.cx(), what).await
    }

    /// The first thing that a request lists.
    pub async fn fetched(&self, what: &StatementRequest) -> Result<StatementData> {
        let list = self.listed(what).await?;
        self.fetch(&list[0]).await
    }
}

pub fn endpoints() -> Endpoints {
    Endpoints::resolve(FACTORY.manifest(), &BTreeMap::new()).unwrap()
}

pub fn connector(settings: Value) -> Box<dyn Connector> {
    FACTORY.build(Build { settings, endpoints: endpoints() }).unwrap()
}

pub fn period(start: &str, end: &str) -> Period {
    let date = |t: &str| t.parse::<Date>().unwrap();
    Period { start: date(start), end: date(end), length: PeriodLength::Month }
}

pub fn october(kind: StatementKind) -> StatementRequest {
    StatementRequest { kind, basis: Default::default(), period: period("2026-10-01", "2026-10-31"), account: None }
}

pub fn register(account: &str) -> StatementRequest {
    let account = Some(AccountId(account.to_owned()));
    StatementRequest { account, ..october(StatementKind::BankRegister) }
}
