//! The contract's own scenarios, for a personal account and in a team folder, with sharing at once and by jobs.

use std::sync::Arc;

use async_trait::async_trait;
use ledgerward_contract::{
    Email, FolderId, StorageTarget, Timestamp, Transport,
    suite::target::{ByHand, TargetHarness},
};
use serde_json::{Value, json};

use crate::common::*;

struct Bench {
    w: World,
    /// The root as the control knows it.
    root: &'static str,
    team: bool,
}

impl Bench {
    fn new(team: bool, jobs: bool) -> Self {
        let w = if team { World::team() } else { World::personal() };
        if jobs {
            w.control("share_async", json!({ "on": true }));
        }
        Self { w, root: if team { "team:/Practice/Clients" } else { "/ledgerward clients" }, team }
    }

    fn made(&self, name: &str) -> Value {
        self.w.control("make", json!({ "parent": self.root, "name": name }))["id"].clone()
    }

    fn share_by_hand(&self, folder: &FolderId, what: &ByHand) -> bool {
        let f = folder.as_str();
        match what {
            ByHand::Person(email) => {
                self.w.control("share", json!({ "folder": f, "email": email.key(), "level": "editor" }));
            }
            ByHand::Group if self.team => {
                self.w.control("share", json!({ "folder": f, "group": "g:harbour-staff" }));
            }
            ByHand::Link => {
                self.w.control("link_on", json!({ "folder": f }));
            }
            ByHand::Inherited(email) if self.team => {
                self.w.control("share", json!({ "folder": "team:/Practice", "email": email.key() }));
                self.w.control("inherit", json!({ "folder": f, "inherit": true }));
            }
            ByHand::Below(email) => {
                let file = self.w.child(&self.w.child(&self.w.dumped(folder), "2026"), "a.pdf");
                self.w.control("share_file", json!({ "folder": file["id"], "email": email.key() }));
            }
            _ => return false,
        }
        true
    }
}

macro_rules! harness {
    ($name:ident, $module:ident, $team:expr, $jobs:expr) => {
        struct $name(Bench);

        #[async_trait]
        impl TargetHarness for $name {
            async fn fresh() -> Self {
                Self(Bench::new($team, $jobs))
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
                FolderId(self.0.made(name).as_str().unwrap().to_owned())
            }
            async fn stranger_file(&self, folder: &FolderId, name: &str, bytes: &[u8]) {
                let content = String::from_utf8(bytes.to_vec()).unwrap();
                let args = json!({ "folder": folder.as_str(), "name": name, "content": content, "by": BEN });
                self.0.w.control("write", args);
            }
            async fn share_by_hand(&self, folder: &FolderId, what: &ByHand) -> bool {
                self.0.share_by_hand(folder, what)
            }
            async fn double(&self, _: &FolderId) -> bool {
                let copy = self.0.made("copy");
                self.0.w.control("share", json!({ "folder": copy }));
                let content = json!({ "folder": key(1).to_string() }).to_string();
                let args = json!({ "folder": copy, "name": ".ledgerward.json", "content": content });
                self.0.w.control("write", args);
                true
            }
            async fn trash(&self, folder: &FolderId) -> bool {
                self.0.w.control("unmount", json!({ "folder": folder.as_str() }));
                true
            }
            async fn remove(&self, folder: &FolderId) {
                self.0.w.control("delete", json!({ "folder": folder.as_str() }));
            }
            async fn small_pages(&self) -> bool {
                self.0.w.control("limits", json!({ "list_page_max": 2, "member_page_max": 2 }));
                true
            }
        }

        mod $module {
            use super::$name;
            ledgerward_contract::target_suite!($name);
        }
    };
}

harness!(Personal, personal, false, false);
harness!(InTeamFolder, team_folder, true, false);
harness!(ByJobs, by_jobs, true, true);
