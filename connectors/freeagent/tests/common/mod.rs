//! The connector over its fake, signed in.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use http::header::USER_AGENT;
use ledgerward_contract::{
    Build, Connector, Endpoints, Factory, Request, Response, Result, StatementKind, StatementRequest, Transport,
};
use ledgerward_freeagent::{FACTORY, fake::Fake};
use ledgerward_kit::fake::FakeTransport;
use ledgerward_kit::testing::{self, Vendor, World};
use serde_json::{Value, json};

pub const ACME: &str = "101-acme";
pub const BIRCH: &str = "102-birch";
pub const MAIN: &str = "9011";

/// No status is out of bounds: a test asks for what the fake does not know.
pub const VENDOR: Vendor = Vendor { never: &[], ..Vendor::of(&FACTORY) };

/// What the real transport adds to requests that say nothing of it.
pub struct Agent(pub Arc<FakeTransport>);

#[async_trait]
impl Transport for Agent {
    async fn send(&self, mut request: Request) -> Result<Response> {
        request.headers.entry(USER_AGENT).or_insert("ledgerward/test".parse().unwrap());
        self.0.send(request).await
    }
}

/// The sample practice, its senior account manager signed in.
pub fn sample() -> World {
    world(Fake::sample().unwrap(), "ana@harbour.example", json!({}))
}

pub fn world(fake: Fake, email: &str, settings: Value) -> World {
    VENDOR.signed_in(fake, settings, &json!({"email": email}))
}

/// The connector of a configuration with another address, as for the sandbox.
pub fn connector_at(base: &str) -> Box<dyn Connector> {
    let other = BTreeMap::from([("api".to_owned(), base.parse().unwrap())]);
    let endpoints = Endpoints::resolve(FACTORY.manifest(), &other).unwrap();
    FACTORY.build(Build { settings: Value::Null, endpoints }).unwrap()
}

/// October 2026, of the main account where there has to be one.
pub fn october(kind: StatementKind) -> StatementRequest {
    StatementRequest { account: kind.per_account().then(|| MAIN.into()), ..testing::october(kind) }
}
