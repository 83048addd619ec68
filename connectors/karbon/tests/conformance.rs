//! The contract's own scenarios, over the fake.

#[cfg(test)]
#[expect(dead_code, reason = "the other test program uses the rest")]
mod common;

#[cfg(test)]
mod scenarios {
    use std::sync::Arc;

    use async_trait::async_trait;
    use ledgerward_contract::{ClientDirectory, Timestamp, Transport, suite::directory::DirectoryHarness};
    use ledgerward_kit::testing::{World, now};
    use serde_json::json;

    use crate::common::{client, sample};

    struct Karbon(World);

    #[async_trait]
    impl DirectoryHarness for Karbon {
        async fn fresh() -> Self {
            let world = sample(json!({}));
            world.control("set_app", json!({"page_size": 2}));
            Self(world)
        }
        fn directory(&self) -> &dyn ClientDirectory {
            self.0.connector.directory().unwrap()
        }
        fn vendor(&self) -> Arc<dyn Transport> {
            self.0.wire.clone()
        }
        fn now(&self) -> Timestamp {
            now()
        }
        async fn let_go(&self) -> String {
            let nobody = json!({"team": [], "owner": null, "manager": null});
            let id = client(&self.0, "Acme Ltd").await.id;
            self.0.control("set_client", json!({"client": id, "set": nobody}));
            id
        }
    }

    ledgerward_contract::directory_suite!(Karbon);
}
