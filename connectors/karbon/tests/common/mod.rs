//! The connector over its fake, with the firm's two keys.

use ledgerward_contract::{Assignment, ClientRow};
use ledgerward_karbon::{FACTORY, fake::Fake};
use ledgerward_kit::testing::{Vendor, World};
use serde_json::{Value, json};

pub const API_KEY: &str = "5a9d0000-0000-4000-8000-00000000c0de";
pub const ACCESS_KEY: &str = "eyJ-sandbox-karbon-access-key";

pub const VENDOR: Vendor = Vendor { keys: &[("api_key", API_KEY), ("access_key", ACCESS_KEY)], ..Vendor::of(&FACTORY) };

/// The sample firm. The vendor's limit is out of the way: the clock stands still.
pub fn sample(settings: Value) -> World {
    let w = VENDOR.world(Fake::sample().unwrap(), settings);
    w.control("set_app", json!({"per_minute": 1_000_000}));
    w
}

pub async fn client(w: &World, name: &str) -> ClientRow {
    w.clients().await.unwrap().into_iter().find(|c| c.name == name).unwrap()
}

/// Names and roles, in order.
pub fn people(row: &ClientRow) -> Vec<(&str, &str)> {
    let mut all: Vec<_> = row.people.iter().map(|p: &Assignment| (p.name.as_str(), p.role.as_str())).collect();
    all.sort_unstable();
    all
}
