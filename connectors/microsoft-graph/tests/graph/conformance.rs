//! The contract's own scenarios: under a root that the firm made; under one of our own; and at a Graph that does not mark
//! what is inherited, is slow to show changes and hashes, and names people in old fields only.

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
    fn new(root: &'static str, odd: bool) -> Self {
        let w = World::new(if root == ROOT { json!({ "root": root }) } else { json!({}) });
        if odd {
            w.control("limits", json!({ "marks_inherited": false, "old_fields": true, "lag": 2, "late_hash": 1 }));
        }
        w.control("limits", json!({ "units": 1_000_000 }));
        Self { w, root }
    }

    fn make(&self, args: Value) -> FolderId {
        FolderId(format!("{DRIVE}:{}", self.w.control("make", args)["id"].as_str().unwrap()))
    }

    fn share_by_hand(&self, folder: &FolderId, what: &ByHand) {
        let f = folder.as_str();
        let share = |args| self.w.control("share", args);
        match what {
            ByHand::Person(email) => share(json!({ "item": f, "user": email.key(), "role": "write" })),
            ByHand::Group => share(json!({ "item": f, "group": "Everybody at Harbour", "role": "write" })),
            ByHand::Link => share(json!({ "item": f, "link": "anonymous" })),
            ByHand::Everyone => share(json!({ "item": f, "everyone": true })),
            ByHand::Inherited(email) => share(json!({ "item": self.root, "user": email.key(), "role": "write" })),
            ByHand::Below(email) => {
                let id = json!(f.rsplit(':').next().unwrap());
                let sub = self.w.items().into_iter().find(|i| i["parent"] == id && i["folder"] == true).unwrap();
                let file = self.w.items().into_iter().find(|i| i["parent"] == sub["id"]).unwrap();
                share(json!({ "item": file["id"], "user": email.key() }))
            }
        };
    }
}

const OWN: &str = "ledgerward clients";

macro_rules! harness {
    ($name:ident, $module:ident, $root:expr, $odd:expr) => {
        struct $name(Bench);

        #[async_trait]
        impl TargetHarness for $name {
            async fn fresh() -> Self {
                Self(Bench::new($root, $odd))
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
                Email::parse([BEN, CARA, GUEST][n]).unwrap()
            }
            async fn stranger_folder(&self, name: &str) -> FolderId {
                self.0.make(json!({ "name": name, "parent": self.0.root }))
            }
            async fn stranger_file(&self, folder: &FolderId, name: &str, bytes: &[u8]) {
                let content = String::from_utf8(bytes.to_vec()).unwrap();
                self.0.make(json!({ "name": name, "parent": folder.as_str(), "content": content }));
            }
            async fn share_by_hand(&self, folder: &FolderId, what: &ByHand) -> bool {
                self.0.share_by_hand(folder, what);
                true
            }
            async fn double(&self, folder: &FolderId) -> bool {
                let id = folder.as_str().rsplit(':').next().unwrap();
                let mark = |i: &Value| i["parent"] == id && i["name"].as_str().unwrap().starts_with(".ledgerward-");
                let mark = self.0.w.items().into_iter().find(mark).unwrap();
                let copy = self.0.make(json!({ "name": "copy", "parent": self.0.root }));
                self.0.make(json!({ "name": mark["name"], "parent": copy.as_str(), "content": "x" }));
                true
            }
            async fn trash(&self, _: &FolderId) -> bool {
                // Graph shows nothing of the recycle bin.
                false
            }
            async fn remove(&self, folder: &FolderId) {
                self.0.w.control("trash", json!({ "item": folder.as_str() }));
            }
            async fn small_pages(&self) -> bool {
                self.0.w.control("limits", json!({ "page_max": 2 }));
                true
            }
        }

        mod $module {
            use super::$name;
            ledgerward_contract::target_suite!($name);
        }
    };
}

harness!(GivenRoot, given_root, ROOT, false);
harness!(OwnRoot, own_root, OWN, false);
harness!(OddTenant, odd_tenant, ROOT, true);
