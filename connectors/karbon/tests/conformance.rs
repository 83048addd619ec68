//! The contract's own scenarios, over the fake.

#[cfg(test)]
#[expect(dead_code, reason = "the other test program uses the rest")]
mod common;

#[cfg(test)]
mod scenarios {
    use std::sync::Arc;

    use async_trait::async_trait;
    use ledgerward_contract::{ClientDirectory, Timestamp, Transport, suite::directory::DirectoryHarness};
    use serde_json::json;

    use crate::common::World;

    struct Karbon(World);

    #[async_trait]
    impl DirectoryHarness for Karbon {
        async fn fresh() -> Self {
            let world = World::new(json!({}));
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
            crate::common::now()
        }
        async fn let_go(&self) -> String {
            let nobody = json!({"team": [], "owner": null, "manager": null});
            let id = self.0.client("Acme Ltd").await.id;
            self.0.control("set_client", json!({"client": id, "set": nobody}));
            id
        }
    }

    ledgerward_contract::directory_suite!(Karbon);
}
