//! The contract's own scenarios, over the fake.

#[cfg(test)]
#[expect(dead_code, reason = "the other test program uses the rest")]
mod common;

#[cfg(test)]
mod scenarios {
    use std::sync::Arc;

    use async_trait::async_trait;
    use ledgerward_contract::{
        AccountId, LedgerId, LedgerSource, Listing, StatementKind, StatementRequest, StatementSource, Timestamp,
        Transport,
        suite::source::{SourceHarness, TestUser},
    };
    use ledgerward_kit::testing::{World, now, october};
    use serde_json::json;

    use crate::common::{LARK, account, lark};

    struct Myob(World, AccountId);

    #[async_trait]
    impl SourceHarness for Myob {
        async fn fresh() -> Self {
            let world = lark();
            let cheque = account(&world, "1-1110").await;
            Self(world, cheque)
        }
        fn realm(&self) -> Option<String> {
            Some(LARK.to_owned())
        }
        fn source(&self) -> &dyn LedgerSource {
            self.0.connector.ledgers().unwrap()
        }
        fn vendor(&self) -> Arc<dyn Transport> {
            self.0.wire.clone()
        }
        fn ledger(&self) -> LedgerId {
            LARK.into()
        }
        fn listing(&self) -> Listing {
            Listing::PerLedger
        }
        fn now(&self) -> Timestamp {
            now()
        }
        fn role(&self) -> &'static str {
            "Accountant/Bookkeeper"
        }
        async fn set_users(&self, ledger: &LedgerId, users: &[TestUser]) {
            let users: Vec<_> =
                users.iter().map(|u| json!({"email": u.email, "name": u.name, "roles": [u.role]})).collect();
            self.0.control("set_users", json!({"file": ledger, "users": users}));
        }
        async fn small_pages(&self) -> bool {
            self.0.control("set_app", json!({"page_max": 2}));
            true
        }
        fn statements(&self) -> Option<&dyn StatementSource> {
            self.0.connector.statements()
        }
        fn requests(&self) -> Vec<StatementRequest> {
            let lines = StatementRequest { account: Some(self.1.clone()), ..october(StatementKind::BankStatement) };
            [StatementKind::ProfitAndLoss, StatementKind::BalanceSheet, StatementKind::TrialBalance]
                .into_iter()
                .map(october)
                .chain([lines])
                .collect()
        }
    }

    ledgerward_contract::source_suite!(Myob);
}
