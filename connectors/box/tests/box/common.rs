//! A Box in one process.

use std::ops::Deref;

use ledgerward_box::{FACTORY, fake::BoxFake};
use ledgerward_kit::testing::{self, Vendor};
pub use ledgerward_kit::testing::{ask, file, fixture, key, now, person, read, token};
use serde_json::{Value, json};

pub const ANA: &str = "ana@harbour.example";
pub const BEN: &str = "ben@harbour.example";
pub const CARA: &str = "cara@harbour.example";
/// Has an account elsewhere and accepts at once.
pub const GUEST: &str = "guest@client.example";
/// Has an account elsewhere and has to accept.
pub const WARY: &str = "wary@client.example";
pub const US: &str = "ledgers@harbour.example";
pub const ROOT: &str = "33550001";

pub const VENDOR: Vendor = Vendor {
    at: &[
        ("api", "http://box.example/2.0"),
        ("upload", "http://box.example/api/2.0"),
        ("upload_sessions", "http://box.example/api/2.0"),
        ("oauth", "http://box.example"),
        ("account", "http://box.example"),
    ],
    ..Vendor::of(&FACTORY)
};

pub fn seed() -> Value {
    fixture("box/firm.json")
}

pub struct World(testing::World);

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
        let w = VENDOR.world(BoxFake::from_seed(&seed()).unwrap(), settings);
        w.sign_in(json!({ "user": US }));
        Self(w)
    }

    pub fn rooted() -> Self {
        Self::new(json!({ "root": ROOT }))
    }

    pub fn items(&self) -> Vec<Value> {
        self.control("dump", json!({}))["items"].as_array().unwrap().clone()
    }

    /// The entry of the dump for one thing.
    pub fn dumped(&self, id: &str) -> Value {
        self.items().into_iter().find(|i| i["id"] == id).unwrap_or(Value::Null)
    }
}
