//! The connector over its fake, signed in.

use std::collections::BTreeMap;

use ledgerward_business_central::{FACTORY, fake::Fake};
use ledgerward_contract::{Build, Connector, Endpoints, Factory};
use ledgerward_kit::testing::{Vendor, World};
use serde_json::{Value, json};

pub const ACME: &str = "production:b0c1a7f2-0000-4000-8000-000000000001";
pub const BIRCH: &str = "production:b0c1a7f2-0000-4000-8000-000000000002";
pub const OTHER_ACME: &str = "production:b0c1a7f2-0000-4000-8000-000000000009";
pub const CEDAR: &str = "sandbox-uk:b0c1a7f2-0000-4000-8000-000000000021";

pub const VENDOR: Vendor = Vendor::of(&FACTORY);

pub fn sample(settings: Value) -> World {
    world(Fake::sample().unwrap(), settings)
}

pub fn world(fake: Fake, settings: Value) -> World {
    VENDOR.signed_in(fake, settings, &json!({}))
}

/// The connector of a configuration with another address, as for the sandbox.
pub fn connector_at(base: &str) -> Box<dyn Connector> {
    let at = |path: &str| format!("{base}{path}").parse().unwrap();
    let other = BTreeMap::from([("api".to_owned(), at("/v2.0")), ("login".to_owned(), at("/organizations"))]);
    let endpoints = Endpoints::resolve(FACTORY.manifest(), &other).unwrap();
    FACTORY.build(Build { settings: Value::Null, endpoints }).unwrap()
}
