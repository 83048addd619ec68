//! The target suite over a WebDAV server in memory, with and without conditional writes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests; the lint sees only the tests themselves"
)]

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use common::{Dav, below, by_hand, connector, root_marker};
use ledgerward_contract::{Connector, Email, FolderId, StorageTarget, Transport, suite::target::TargetHarness};
use ledgerward_stores::WEBDAV;
use serde_json::json;
use url::Url;

struct Memory<const DEAF: bool> {
    connector: Box<dyn Connector>,
    dav: Arc<Dav>,
    at: Url,
}

#[async_trait]
impl<const DEAF: bool> TargetHarness for Memory<DEAF> {
    async fn fresh() -> Self {
        let (dav, at) = (Dav::new(DEAF), Url::parse("http://127.0.0.1:9/").unwrap());
        by_hand(&*dav, "MKCOL", below(&at, &["clients"]), None, b"").await;
        by_hand(&*dav, "PUT", below(&at, &["clients", ".ledgerward.json"]), None, root_marker()).await;
        let connector = connector(&WEBDAV, Some(("webdav", &at)), json!({ "root": "clients" }), &[]);
        Self { connector, dav, at }
    }
    fn target(&self) -> &dyn StorageTarget {
        self.connector.target().unwrap()
    }
    fn vendor(&self) -> Option<Arc<dyn Transport>> {
        Some(self.dav.clone())
    }
    fn person(&self, n: usize) -> Email {
        Email::parse(["ann@firm.example", "bob@firm.example", "eve@other.example"][n]).unwrap()
    }
    async fn stranger_folder(&self, name: &str) -> FolderId {
        by_hand(&*self.dav, "MKCOL", below(&self.at, &["clients", name]), None, b"").await;
        name.into()
    }
    async fn stranger_file(&self, folder: &FolderId, name: &str, bytes: &[u8]) {
        by_hand(&*self.dav, "PUT", below(&self.at, &["clients", folder.as_str(), name]), None, bytes).await;
    }
    async fn double(&self, folder: &FolderId) -> bool {
        let to = below(&self.at, &["clients", "a copy"]);
        let from = below(&self.at, &["clients", folder.as_str()]);
        by_hand(&*self.dav, "COPY", from, Some(("destination", to.as_str())), b"").await;
        true
    }
    async fn remove(&self, folder: &FolderId) {
        by_hand(&*self.dav, "DELETE", below(&self.at, &["clients", folder.as_str(), ""]), None, b"").await;
    }
}

mod webdav {
    use super::Memory;
    ledgerward_contract::target_suite!(Memory<false>);
}

mod webdav_without_conditions {
    use super::Memory;
    ledgerward_contract::target_suite!(Memory<true>);
}
