//! The connector over its fake, signed in.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use ledgerward_contract::{
    Auth, Build, ClientDirectory, ClientRow, Connector, Cursor, Endpoints, Factory, ReadCx, Request, Response, Result,
    Snapshot, Timestamp, Transport,
};
use ledgerward_kit::fake::{Fake as _, FakeTransport, SharedFake};
use ledgerward_xpm::{FACTORY, fake::Fake};
use serde_json::{Value, json};

pub const SCOPES: &str = "openid profile email offline_access practicemanager.client.read practicemanager.staff.read \
     practicemanager.job.read";
pub const PRACTICE: &str = "c4d9a7f2-0000-4000-8000-000000000091";

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
    /// The sample practice. A paused clock is wanted: the vendor's limits count by it.
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

    pub fn directory(&self) -> &dyn ClientDirectory {
        self.connector.directory().unwrap()
    }

    pub async fn all(&self) -> Result<Vec<ClientRow>> {
        gather(self.directory(), &ReadCx::new(self.wire.clone(), now())).await
    }

    /// The client of this name, and who is responsible for it as `role name`.
    pub async fn people(&self, client: &str) -> Vec<String> {
        let all = self.all().await.unwrap();
        let row = all.iter().find(|r| r.name == client).unwrap_or_else(|| panic!("{client} is not listed"));
        row.people.iter().map(|p| format!("{} {}", p.role, p.name)).collect()
    }
}

/// The whole listing.
pub async fn gather(directory: &dyn ClientDirectory, cx: &ReadCx) -> Result<Vec<ClientRow>> {
    let list = Snapshot::gather("test.list", now(), 100, |at: Cursor| {
        let cx = cx.clone();
        Box::pin(async move { directory.clients(&cx, at).await })
    });
    Ok(list.await?.items().to_vec())
}

pub fn endpoints() -> Endpoints {
    Endpoints::resolve(FACTORY.manifest(), &BTreeMap::new()).unwrap()
}

pub fn build(settings: Value) -> Result<Box<dyn Connector>> {
    FACTORY.build(Build { settings, endpoints: endpoints() })
}

pub fn connector(settings: Value) -> Box<dyn Connector> {
    build(settings).unwrap()
}
