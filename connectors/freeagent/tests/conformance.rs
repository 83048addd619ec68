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
    use ledgerward_kit::testing::{JustBegun, World, now};
    use serde_json::{Value, json};

    use crate::common::{ACME, VENDOR, october, sample};

    struct FreeAgent(World);

    /// To a process that has just begun every list of users is new: so the suite meets both requests of a reading, each time.
    static JUST_BEGUN: JustBegun = JustBegun(|| VENDOR.connector(json!({})).unwrap());

    #[async_trait]
    impl SourceHarness for FreeAgent {
        async fn fresh() -> Self {
            let world = sample();
            // The suite asks more in one minute than a person may.
            world.control("set_limit", json!({"minute": 3000}));
            Self(world)
        }
        fn source(&self) -> &dyn LedgerSource {
            &JUST_BEGUN
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
            "8"
        }
        async fn set_users(&self, ledger: &LedgerId, users: &[TestUser]) {
            let (_, client) = ledger.as_str().split_once('-').unwrap();
            let level = |role: &str| role.parse::<u8>().map_or(json!(role), Value::from);
            let users: Vec<_> =
                users.iter().map(|u| json!({"email": u.email, "first": u.name, "level": level(&u.role)})).collect();
            self.0.control("set_users", json!({"client": client, "users": users}));
        }
        async fn small_pages(&self) -> bool {
            self.0.control("page_size", json!({"most": 2}));
            true
        }
        fn statements(&self) -> Option<&dyn StatementSource> {
            self.0.connector.statements()
        }
        fn requests(&self) -> Vec<StatementRequest> {
            [
                StatementKind::ProfitAndLoss,
                StatementKind::BalanceSheet,
                StatementKind::TrialBalance,
                StatementKind::BankRegister,
                StatementKind::BankStatement,
            ]
            .map(october)
            .into()
        }
    }

    ledgerward_contract::source_suite!(FreeAgent);
}
