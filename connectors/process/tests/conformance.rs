//! The source suite over the worked example in Python.

#![expect(clippy::unwrap_used, reason = "helpers of tests; the lint sees only the tests themselves")]

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use ledgerward_contract::{
    Connector, LedgerId, LedgerSource, Listing, Transport,
    suite::source::{SourceHarness, TestUser},
};
use serde_json::json;

use crate::common::{Vendor, connector, example};

struct Harness {
    connector: Box<dyn Connector>,
    vendor: Arc<Vendor>,
}

#[async_trait]
impl SourceHarness for Harness {
    async fn fresh() -> Self {
        Self { connector: connector(&example(), "ledgers", 30), vendor: Vendor::new() }
    }
    fn source(&self) -> &dyn LedgerSource {
        self.connector.ledgers().unwrap()
    }
    fn vendor(&self) -> Arc<dyn Transport> {
        self.vendor.clone()
    }
    fn ledger(&self) -> LedgerId {
        "71".into()
    }
    fn listing(&self) -> Listing {
        Listing::PerLedger
    }
    fn role(&self) -> &str {
        "reader"
    }
    async fn set_users(&self, ledger: &LedgerId, users: &[TestUser]) {
        let rows = users.iter().enumerate().map(
            |(n, u)| json!({"id": 900 + n, "mail": u.email, "full_name": u.name, "level": u.role, "state": "enabled"}),
        );
        self.vendor.members.lock().unwrap().insert(ledger.0.clone(), rows.collect());
    }
    async fn small_pages(&self) -> bool {
        *self.vendor.page.lock().unwrap() = 2;
        true
    }
}

ledgerward_contract::source_suite!(Harness);
