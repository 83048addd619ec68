//! The connector over its fake, signed in for one company file.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use ledgerward_contract::{
    AccessFact, Auth, Basis, Build, Connector, Cursor, Date, Endpoints, Factory, LedgerId, Period, PeriodLength,
    ReadCx, Request, Response, Result, Scope, Snapshot, StatementData, StatementKind, StatementRequest, Timestamp,
    Transport,
};
use ledgerward_kit::fake::{Fake as _, FakeTransport, SharedFake};
use ledgerward_myob::{FACTORY, fake::Fake};
use serde_json::{Value, json};

pub const SCOPES: &str = "sme-company-file sme-banking sme-general-ledger arl.security";
pub const LARK: &str = "0d1e0000-0000-4000-8000-000000000001";
pub const MISTRAL: &str = "0d1e0000-0000-4000-8000-000000000002";

pub fn now() -> Timestamp {
    "2026-11-21T09:00:00Z".parse().unwrap()
}

/// Puts credentials on, as the kit's auth layer does.
pub struct Signed {
    pub inner: Arc<FakeTransport>,
    token: String,
}

#[async_trait]
impl Transport for Signed {
    async fn send(&self, mut request: Request) -> Result<Response> {
        assert_eq!(request.auth, Auth::Bearer);
        request.headers.insert(AUTHORIZATION, format!("Bearer {}", self.token).parse().unwrap());
        request.headers.insert("x-myobapi-key", "sandbox-myob-key".parse().unwrap());
        self.inner.send(request).await
    }
}

pub struct World {
    pub fake: SharedFake,
    pub wire: Arc<Signed>,
    pub connector: Box<dyn Connector>,
    pub file: LedgerId,
}

impl World {
    /// The sample firm, signed in for one file. The vendor's limits are out of the way: the clock stands still.
    pub fn new(settings: Value, file: &str, scopes: &str) -> Self {
        let mut fake = Fake::sample().unwrap();
        fake.control("set_app", &json!({"per_second": 100_000})).unwrap();
        let tokens = fake.control("token", &json!({"scopes": scopes, "file": file})).unwrap();
        let fake: SharedFake = Arc::new(Mutex::new(Box::new(fake)));
        let wire = Arc::new(Signed {
            inner: Arc::new(FakeTransport::new(fake.clone(), now())),
            token: tokens["access_token"].as_str().unwrap().to_owned(),
        });
        Self { fake, wire, connector: connector(settings).unwrap(), file: file.into() }
    }

    pub fn lark() -> Self {
        Self::new(json!({}), LARK, SCOPES)
    }

    pub fn control(&self, verb: &str, args: Value) -> Value {
        self.fake.lock().unwrap().control(verb, &args).unwrap()
    }

    pub fn cx(&self) -> ReadCx {
        ReadCx::new(self.wire.clone(), now()).in_realm(Some(self.file.as_str()))
    }

    pub async fn users(&self) -> Result<Vec<AccessFact>> {
        let (source, cx) = (self.connector.ledgers().unwrap(), self.cx());
        let list = Snapshot::gather("test.list", now(), 100, |at: Cursor| {
            let cx = cx.clone();
            Box::pin(async move { source.access(&cx, Scope::One(&self.file), at).await })
        });
        Ok(list.await?.items().to_vec())
    }

    pub async fn fetched(&self, what: &StatementRequest) -> Result<StatementData> {
        let (source, cx) = (self.connector.statements().unwrap(), self.cx());
        let list = source.statements(&cx, &self.file, what, Cursor::Start).await?;
        source.fetch(&cx, &list.items[0]).await
    }

    /// The ledger's id of a bank account by its number.
    pub async fn account(&self, number: &str) -> ledgerward_contract::AccountId {
        let source = self.connector.statements().unwrap();
        let page = source.accounts(&self.cx(), &self.file, Cursor::Start).await.unwrap();
        page.items.into_iter().find(|a| a.code.as_deref() == Some(number)).unwrap().id
    }

    /// How often a path was asked, by the fake's own count.
    pub fn asked(&self, end: &str) -> u64 {
        let stats = self.control("stats", json!({}));
        let counts = stats["requests"].as_object().unwrap().clone();
        counts.iter().filter(|(k, _)| k.ends_with(end)).map(|(_, v)| v.as_u64().unwrap()).sum()
    }
}

pub fn endpoints() -> Endpoints {
    Endpoints::resolve(FACTORY.manifest(), &BTreeMap::new()).unwrap()
}

pub fn connector(settings: Value) -> Result<Box<dyn Connector>> {
    FACTORY.build(Build { settings, endpoints: endpoints() })
}

pub fn october(kind: StatementKind) -> StatementRequest {
    let date = |t: &str| t.parse::<Date>().unwrap();
    let period = Period { start: date("2026-10-01"), end: date("2026-10-31"), length: PeriodLength::Month };
    StatementRequest { kind, basis: Basis::Accrual, period, account: None }
}
