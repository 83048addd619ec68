//! A Dropbox in one process.

use std::ops::Deref;

use ledgerward_contract::*;
use ledgerward_dropbox::{FACTORY, fake::DropboxFake};
use ledgerward_kit::testing;
pub use ledgerward_kit::testing::{Vendor, ask, file, fixture, id_of, key, now, person, read, token};
use serde_json::{Value, json};

pub const BEN: &str = "ben@harbour.example";
pub const CARA: &str = "cara@harbour.example";
pub const GUEST: &str = "guest@client.example";
pub const OTHER: &str = "other@elsewhere.example";
pub const US: &str = "ledgers@harbour.example";

pub const VENDOR: Vendor = Vendor {
    at: &[("api", "http://dropbox.example/2"), ("content", "http://dropbox.example/content/2")],
    // 400 is Dropbox's word for a request that is no request.
    never: &[599, 400],
    ..Vendor::of(&FACTORY)
};

pub fn seed(name: &str) -> Value {
    fixture(&format!("dropbox/{name}.json"))
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
    /// A personal account, with the root folder of the settings' default not made yet.
    pub fn personal() -> Self {
        Self::seeded(json!({}), "personal")
    }

    /// A team member whose client folders lie in a team folder.
    pub fn team() -> Self {
        Self::seeded(json!({ "root": "/Practice/Clients", "team_space": true }), "team")
    }

    pub fn seeded(settings: Value, name: &str) -> Self {
        let w = VENDOR.world(DropboxFake::from_seed(&seed(name)).unwrap(), settings);
        w.sign_in(json!({}));
        Self(w)
    }

    pub fn writes(&self) -> usize {
        self.wire.seen.lock().unwrap().iter().filter(|(r, _)| r.effect == Effect::Write).count()
    }

    pub async fn put(&self, folder: &FolderId, file: &StatementFile, expect: Expect) -> Result<Stored> {
        let fenced = self.fenced(folder, &[BEN, CARA], &[US]).await;
        self.target().put(&self.write(), &fenced, file, expect).await
    }

    pub fn dump(&self) -> Vec<Value> {
        self.control("dump", json!({}))["files"].as_array().unwrap().clone()
    }

    /// The entry of the dump for a shared folder.
    pub fn dumped(&self, folder: &FolderId) -> Value {
        self.dump().into_iter().find(|f| f["shared_folder_id"] == folder.as_str()).unwrap()
    }

    /// The id of something directly in a node.
    pub fn child(&self, parent: &Value, name: &str) -> Value {
        self.dump().into_iter().find(|f| f["parent"] == parent["id"] && f["name"] == name).unwrap()
    }
}
