//! The contract's own scenarios, in My Drive, in a shared drive, and under a root of our own.

use std::sync::Arc;

use async_trait::async_trait;
use ledgerward_contract::{
    Email, FolderId, StorageTarget, Timestamp, Transport,
    suite::target::{ByHand, TargetHarness},
};
use serde_json::{Value, json};

use crate::common::*;

/// A world with its root's id, or the name by which it will be found.
struct Bench {
    w: World,
    root: &'static str,
}

impl Bench {
    fn new(root: &'static str) -> Self {
        let mut seed = seed();
        // Another manager would be in every folder; the scenarios want a drive of our own.
        seed["drives"][0]["members"] = json!([{ "email": US, "role": "organizer" }]);
        let settings = if root == OWN { json!({}) } else { json!({ "root": root }) };
        Self { w: World::seeded(settings, seed), root }
    }

    fn files(&self) -> Vec<Value> {
        self.w.control("dump", json!({}))["files"].as_array().unwrap().clone()
    }

    fn make(&self, args: Value) -> FolderId {
        let made = self.w.control("make", args);
        FolderId(made["id"].as_str().unwrap().to_owned())
    }

    fn share_by_hand(&self, folder: &FolderId, what: &ByHand) {
        let share = |args| self.w.control("share", args);
        let f = folder.as_str();
        match what {
            ByHand::Person(email) => share(json!({ "file": f, "email": email.key(), "role": "writer" })),
            ByHand::Group => share(json!({ "file": f, "type": "group", "email": "everyone@harbour.example" })),
            ByHand::Link => share(json!({ "file": f, "type": "anyone" })),
            ByHand::Everyone => {
                share(json!({ "file": f, "type": "domain", "domain": "harbour.example", "discoverable": true }))
            }
            ByHand::Inherited(email) => share(json!({ "file": self.root, "email": email.key(), "role": "writer" })),
            ByHand::Below(email) => {
                let sub = self.files().into_iter().find(|x| x["parent"] == f).unwrap();
                let file = self.files().into_iter().find(|x| x["parent"] == sub["id"]).unwrap();
                share(json!({ "file": file["id"], "email": email.key() }))
            }
        };
    }
}

const OWN: &str = "ledgerward clients";

macro_rules! harness {
    ($name:ident, $module:ident, $root:expr) => {
        struct $name(Bench);

        #[async_trait]
        impl TargetHarness for $name {
            async fn fresh() -> Self {
                Self(Bench::new($root))
            }
            fn target(&self) -> &dyn StorageTarget {
                self.0.w.target()
            }
            fn vendor(&self) -> Option<Arc<dyn Transport>> {
                Some(self.0.w.wire.clone())
            }
            fn now(&self) -> Timestamp {
                self.0.w.now()
            }
            fn person(&self, n: usize) -> Email {
                Email::parse([BEN, CARA, "guest@client.example"][n]).unwrap()
            }
            async fn stranger_folder(&self, name: &str) -> FolderId {
                self.0.make(json!({ "name": name, "parent": self.0.root, "owner": US }))
            }
            async fn stranger_file(&self, folder: &FolderId, name: &str, bytes: &[u8]) {
                let content = String::from_utf8(bytes.to_vec()).unwrap();
                // Under `drive.file` we see what our own app made and nothing else.
                let app = "sandbox-drive-client";
                self.0.make(json!({ "name": name, "parent": folder.as_str(), "mime": "text/plain", "content": content, "app": app }));
            }
            async fn share_by_hand(&self, folder: &FolderId, what: &ByHand) -> bool {
                self.0.share_by_hand(folder, what);
                true
            }
            async fn double(&self, folder: &FolderId) -> bool {
                let marks = self.0.w.dumped(folder.as_str())["private"].clone();
                let app = "sandbox-drive-client";
                self.0.make(json!({ "name": "copy", "parent": self.0.root, "owner": US, "private": marks, "app": app }));
                true
            }
            async fn trash(&self, folder: &FolderId) -> bool {
                self.0.w.control("trash", json!({ "file": folder.as_str() }));
                true
            }
            async fn remove(&self, folder: &FolderId) {
                self.0.w.control("delete", json!({ "file": folder.as_str() }));
            }
            async fn small_pages(&self) -> bool {
                self.0.w.control("limits", json!({ "list_page_max": 2, "permission_page_max": 2 }));
                true
            }
        }

        mod $module {
            use super::$name;
            ledgerward_contract::target_suite!($name);
        }
    };
}

harness!(MyDrive, my_drive, MY);
harness!(InSharedDrive, shared_drive, SHARED);
harness!(OwnRoot, own_root, OWN);
