//! The contract's own scenarios, over the fake.

use std::sync::Arc;

use async_trait::async_trait;
use ledgerward_contract::{
    LedgerId, LedgerSource, Listing, Timestamp, Transport,
    suite::source::{SourceHarness, TestUser},
};
use ledgerward_kit::testing::{JustBegun, World, now};
use serde_json::json;

use crate::common::{CEDAR, VENDOR, sample};

struct Zoho(World);

/// To a process that has just begun every list of users is new: so the suite meets both requests of a reading, each time.
static JUST_BEGUN: JustBegun = JustBegun(|| VENDOR.connector(json!({})).unwrap());

#[async_trait]
impl SourceHarness for Zoho {
    async fn fresh() -> Self {
        Self(sample(json!({})))
    }
    fn source(&self) -> &dyn LedgerSource {
        &JUST_BEGUN
    }
    fn vendor(&self) -> Arc<dyn Transport> {
        self.0.wire.clone()
    }
    fn ledger(&self) -> LedgerId {
        CEDAR.into()
    }
    fn listing(&self) -> Listing {
        Listing::PerLedger
    }
    fn now(&self) -> Timestamp {
        now()
    }
    fn role(&self) -> &'static str {
        "staff"
    }
    async fn set_users(&self, ledger: &LedgerId, users: &[TestUser]) {
        let users: Vec<_> =
            users.iter().map(|u| json!({"email": u.email, "name": u.name, "user_role": u.role})).collect();
        self.0.control("set_users", json!({"organization": ledger, "users": users}));
    }
    async fn small_pages(&self) -> bool {
        self.0.control("set_page", json!({"max": 2}));
        true
    }
}

ledgerward_contract::source_suite!(Zoho);
