//! The contract's own scenarios, over the fake.

#[cfg(test)]
#[expect(dead_code, reason = "the other test program uses the rest")]
mod common;

#[cfg(test)]
mod scenarios {
    use std::sync::Arc;

    use async_trait::async_trait;
    use ledgerward_contract::{
        LedgerId, LedgerSource, Listing, Timestamp, Transport,
        suite::source::{SourceHarness, TestUser},
    };
    use ledgerward_kit::testing::{World, now};
    use serde_json::json;

    use crate::common::{ACME, sample};

    struct BusinessCentral(World);

    #[async_trait]
    impl SourceHarness for BusinessCentral {
        async fn fresh() -> Self {
            Self(sample(json!({})))
        }
        fn source(&self) -> &dyn LedgerSource {
            self.0.connector.ledgers().unwrap()
        }
        fn vendor(&self) -> Arc<dyn Transport> {
            self.0.wire.clone()
        }
        fn ledger(&self) -> LedgerId {
            ACME.into()
        }
        fn listing(&self) -> Listing {
            Listing::PerLedger
        }
        fn now(&self) -> Timestamp {
            now()
        }
        fn role(&self) -> &'static str {
            "SUPER"
        }
        async fn set_users(&self, _ledger: &LedgerId, users: &[TestUser]) {
            let user = |u: &TestUser| json!({"email": u.email, "name": u.name, "sets": [{"set": u.role, "company": "Acme Ltd"}]});
            self.0.control("set_users", json!({"users": users.iter().map(user).collect::<Vec<_>>()}));
        }
        async fn small_pages(&self) -> bool {
            self.0.control("page_size", json!({"most": 2}));
            true
        }
    }

    ledgerward_contract::source_suite!(BusinessCentral);
}
