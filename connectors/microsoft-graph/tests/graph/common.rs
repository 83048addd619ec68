//! A Graph in one process.

use std::ops::Deref;

use ledgerward_kit::testing::{self, Vendor};
pub use ledgerward_kit::testing::{ask, file, fixture, key, now, person, read, token};
use ledgerward_microsoft_graph::{FACTORY, fake::GraphFake};
use serde_json::{Value, json};

pub const ANA: &str = "ana@harbour.example";
pub const BEN: &str = "ben@harbour.example";
pub const CARA: &str = "cara@harbour.example";
/// A guest of the tenant.
pub const GUEST: &str = "guest@client.example";
/// Nobody that the tenant knows.
pub const STRANGER: &str = "wary@client.example";
pub const US: &str = "ledgers@harbour.example";
pub const ROOT: &str = "01HARBCLIENTS";
pub const DRIVE: &str = "b!Ledgers-1";

pub const VENDOR: Vendor = Vendor {
    at: &[
        ("api", "http://graph.example/v1.0"),
        ("login", "http://graph.example/organizations"),
        ("content", "http://graph.example"),
    ],
    ..Vendor::of(&FACTORY)
};

pub fn seed() -> Value {
    fixture("microsoft-graph/firm.json")
}

pub struct World(pub testing::World);

impl Deref for World {
    type Target = testing::World;

    fn deref(&self) -> &testing::World {
        &self.0
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.assert_no_violations();
    }
}

impl World {
    pub fn new(settings: Value) -> Self {
        let w = VENDOR.world(GraphFake::from_seed(&seed()).unwrap(), settings);
        w.sign_in(json!({ "user": US }));
        Self(w)
    }

    pub fn rooted() -> Self {
        Self::new(json!({ "root": ROOT }))
    }

    pub fn items(&self) -> Vec<Value> {
        self.control("dump", json!({}))["items"].as_array().unwrap().clone()
    }
}
