//! The contract's own scenarios: under a root that the firm made, under one of our own, and at a Box whose lists leave out
//! what is inherited.

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
    fn new(root: &'static str, inherited_listed: bool) -> Self {
        let w = World::new(if root == ROOT { json!({ "root": root }) } else { json!({}) });
        w.control("limits", json!({ "inherited_listed": inherited_listed }));
        Self { w, root }
    }

    fn make(&self, args: Value) -> FolderId {
        FolderId(self.w.control("make", args)["id"].as_str().unwrap().to_owned())
    }

    fn share_by_hand(&self, folder: &FolderId, what: &ByHand) {
        let f = folder.as_str();
        let share = |args| self.w.control("share", args);
        match what {
            ByHand::Person(email) => share(json!({ "item": f, "login": email.key(), "role": "editor" })),
            ByHand::Group => share(json!({ "item": f, "group": "Everybody at Harbour" })),
            ByHand::Link => self.w.control("link_on", json!({ "item": f })),
            // The nearest that Box has: a link for the whole enterprise.
            ByHand::Everyone => self.w.control("link_on", json!({ "item": f, "access": "company" })),
            ByHand::Inherited(email) => share(json!({ "item": self.root, "login": email.key(), "role": "editor" })),
            ByHand::Below(email) => {
                let below = |id: &Value| self.w.items().into_iter().find(|i| i["parent"] == *id).unwrap();
                let file = below(&below(&json!(f))["id"]);
                share(json!({ "item": file["id"], "login": email.key() }))
            }
        };
    }
}

const OWN: &str = "ledgerward clients";

macro_rules! harness {
    ($name:ident, $module:ident, $root:expr, $inherited:expr) => {
        struct $name(Bench);

        #[async_trait]
        impl TargetHarness for $name {
            async fn fresh() -> Self {
                Self(Bench::new($root, $inherited))
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
                Email::parse([BEN, CARA, WARY][n]).unwrap()
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
                let mark = self.0.w.dumped(folder.as_str())["description"].clone();
                self.0.make(json!({ "name": "copy", "parent": self.0.root, "description": mark }));
                true
            }
            async fn trash(&self, folder: &FolderId) -> bool {
                self.0.w.control("trash", json!({ "item": folder.as_str() }));
                true
            }
            async fn remove(&self, folder: &FolderId) {
                self.0.w.control("delete", json!({ "item": folder.as_str() }));
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

harness!(GivenRoot, given_root, ROOT, true);
harness!(OwnRoot, own_root, OWN, true);
harness!(BareLists, bare_lists, ROOT, false);
