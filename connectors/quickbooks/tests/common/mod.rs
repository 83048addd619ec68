//! The connector over its fake, signed in for one company.

use ledgerward_contract::{AccountId, Result, StatementData, StatementKind, StatementRef, StatementRequest};
use ledgerward_kit::testing::{Vendor, World, october};
use ledgerward_quickbooks::{FACTORY, fake::Fake, retry_hint};
use serde_json::{Value, json};

pub const ACME: &str = "9341453172058121";
pub const BIRCH: &str = "9341453172058122";
pub const QUIET: &str = "9341453172058123";

pub const VENDOR: Vendor = Vendor { verdict: retry_hint, ..Vendor::of(&FACTORY) };

/// The sample firm, signed in for one of its companies. A paused clock is wanted: the vendor's limits count by it.
pub fn sample(realm: &str, settings: Value) -> World {
    world(Fake::sample().unwrap(), realm, settings)
}

pub fn world(fake: Fake, realm: &str, settings: Value) -> World {
    World { realm: Some(realm.to_owned()), ..VENDOR.signed_in(fake, settings, &json!({"company": realm})) }
}

/// Of the sign-in's own company.
pub async fn listed(w: &World, what: &StatementRequest) -> Result<Vec<StatementRef>> {
    w.listed(w.realm.as_deref().unwrap(), what).await
}

/// The first thing that a request lists.
pub async fn fetched(w: &World, what: &StatementRequest) -> Result<StatementData> {
    w.fetched(w.realm.as_deref().unwrap(), what).await
}

pub fn register(account: &str) -> StatementRequest {
    let account = Some(AccountId(account.to_owned()));
    StatementRequest { account, ..october(StatementKind::BankRegister) }
}
