//! The contract's own scenarios, over the fake.

#[cfg(test)]
#[expect(dead_code, reason = "the other test program uses the rest")]
mod common;

#[cfg(test)]
mod scenarios {
    use std::sync::Arc;

    use async_trait::async_trait;
    use ledgerward_contract::{
        LedgerId, LedgerSource, Listing, StatementKind, StatementRequest, StatementSource, Timestamp, Transport,
        suite::source::{SourceHarness, TestUser},
    };
    use ledgerward_kit::testing::{World, month, now, october};
    use serde_json::json;

    use crate::common::{ACME, register, sample};

    struct QuickBooks(World);

    #[async_trait]
    impl SourceHarness for QuickBooks {
        async fn fresh() -> Self {
            Self(sample(ACME, json!({})))
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
            ""
        }
        fn realm(&self) -> Option<String> {
            Some(ACME.to_owned())
        }
        fn lists_users(&self) -> bool {
            false
        }
        async fn set_users(&self, _: &LedgerId, _: &[TestUser]) {}
        fn statements(&self) -> Option<&dyn StatementSource> {
            self.0.connector.statements()
        }
        fn requests(&self) -> Vec<StatementRequest> {
            vec![
                october(StatementKind::ProfitAndLoss),
                october(StatementKind::BalanceSheet),
                october(StatementKind::TrialBalance),
                register("35"),
                StatementRequest { period: month("2025-04-01", "2026-03-31"), ..register("41") },
                october(StatementKind::Files),
                october(StatementKind::Attachments),
            ]
        }
    }

    ledgerward_contract::source_suite!(QuickBooks);
}
