//! The connector over its fake, signed in.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use ledgerward_contract::{
    Auth, Build, Connector, Cursor, Date, Endpoints, Factory, LedgerId, Period, PeriodLength, ReadCx, Request,
    Response, Result, Snapshot, StatementData, StatementKind, StatementRef, StatementRequest, Timestamp, Transport,
};
use ledgerward_kit::fake::{Fake as _, FakeTransport, SharedFake};
use ledgerward_xero::{FACTORY, fake::Fake};
use serde_json::{Value, json};

pub const SCOPES: &str = "openid profile email offline_access accounting.settings.read \
     accounting.reports.profitandloss.read accounting.reports.balancesheet.read accounting.reports.trialbalance.read \
     accounting.reports.banksummary.read accounting.banktransactions.read accounting.attachments.read files.read \
     finance.bankstatementsplus.read";

pub const ACME: &str = "c4d9a7f2-0000-4000-8000-000000000001";
pub const BIRCH: &str = "c4d9a7f2-0000-4000-8000-000000000002";

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
    /// The sample firm. A paused clock is wanted: the vendor's limits count by it.
    pub fn sample(settings: Value) -> Self {
        Self::new(Fake::sample().unwrap(), settings, SCOPES)
    }

    pub fn new(mut fake: Fake, settings: Value, scopes: &str) -> Self {
        let tokens = fake.control("token", &json!({"scopes": scopes})).unwrap();
        let fake: SharedFake = Arc::new(Mutex::new(Box::new(fake)));
        let wire = Arc::new(Signed {
            inner: Arc::new(FakeTransport::new(fake.clone(), now())),
            token: Mutex::new(tokens["access_token"].as_str().unwrap().to_owned()),
        });
        Self { fake, wire, connector: connector(settings) }
    }

    pub fn control(&self, verb: &str, args: Value) -> Value {
        self.fake.lock().unwrap().control(verb, &args).unwrap()
    }

    pub fn cx(&self) -> ReadCx {
        ReadCx::new(self.wire.clone(), now())
    }

    pub async fn listed(&self, ledger: &str, what: &StatementRequest) -> Result<Vec<StatementRef>> {
        let (source, cx, ledger) = (self.connector.statements().unwrap(), self.cx(), LedgerId::from(ledger));
        let list = Snapshot::gather("test.list", now(), 100, |at: Cursor| {
            let (cx, ledger) = (cx.clone(), ledger.clone());
            Box::pin(async move { source.statements(&cx, &ledger, what, at).await })
        });
        Ok(list.await?.items().to_vec())
    }

    /// The first thing that a request lists.
    pub async fn fetched(&self, ledger: &str, what: &StatementRequest) -> Result<StatementData> {
        let list = self.listed(ledger, what).await?;
        self.connector.statements().unwrap().fetch(&self.cx(), &list[0]).await
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
