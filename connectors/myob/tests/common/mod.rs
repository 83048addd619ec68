//! The connector over its fake, signed in for one company file.

use ledgerward_contract::{AccessFact, AccountId, Result};
use ledgerward_kit::fake::Fake as _;
use ledgerward_kit::testing::{Vendor, World};
use ledgerward_myob::{FACTORY, fake::Fake, retry_hint};
use serde_json::{Value, json};

pub const SCOPES: &str = "sme-company-file sme-banking sme-general-ledger arl.security";
pub const LARK: &str = "0d1e0000-0000-4000-8000-000000000001";
pub const MISTRAL: &str = "0d1e0000-0000-4000-8000-000000000002";

pub const VENDOR: Vendor = Vendor { app: Some("sandbox-myob-key"), verdict: retry_hint, ..Vendor::of(&FACTORY) };

/// The sample firm, signed in for one file. The vendor's limits are out of the way: the clock stands still.
pub fn world(settings: Value, file: &str, scopes: &str) -> World {
    let mut fake = Fake::sample().unwrap();
    fake.control("set_app", &json!({"per_second": 100_000})).unwrap();
    let w = VENDOR.signed_in(fake, settings, &json!({"scopes": scopes, "file": file}));
    World { realm: Some(file.to_owned()), ..w }
}

pub fn lark() -> World {
    world(json!({}), LARK, SCOPES)
}

/// The people of the sign-in's own file.
pub async fn users(w: &World) -> Result<Vec<AccessFact>> {
    w.access(w.realm.as_deref().unwrap()).await
}

/// The ledger's id of a bank account by its number.
pub async fn account(w: &World, number: &str) -> AccountId {
    let all = w.accounts(w.realm.as_deref().unwrap()).await.unwrap();
    all.into_iter().find(|a| a.code.as_deref() == Some(number)).unwrap().id
}
