//! The contract's own scenarios, over the fake.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ledgerward_contract::{
    ClientDirectory, ErrorKind, ReadCx, Timestamp, Transport,
    suite::{Fault, When, Wire, directory::DirectoryHarness, must, must_fail},
};
use ledgerward_kit::testing::{World, clients, now};
use serde_json::json;

use crate::common::{PRACTICE, SCOPES, sample};

/// Clients in pages of four, with custom fields: every kind of request that there is.
struct Xpm(World);

#[async_trait]
impl DirectoryHarness for Xpm {
    async fn fresh() -> Self {
        let world = sample(json!({"ledger_field": "Xero organisation"}));
        world.control("set_app", json!({"page_max": 4}));
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
        self.0.control("set_manager", json!({"client": "Fjord Fishing", "role": "account_manager"}));
        "7a000000-0000-4000-8000-000000000106".to_owned()
    }
    /// Another minute for the vendor's own limit, and a token that has not run out by then.
    async fn rest(&self) {
        tokio::time::sleep(Duration::from_secs(61)).await;
        self.0.sign_in(json!({"scopes": SCOPES}));
    }
}

ledgerward_contract::directory_suite!(Xpm);

#[tokio::test(start_paused = true)]
async fn p08_refusals_name_the_practice() {
    let h = Xpm::fresh().await;
    let wire = Wire::new(h.vendor());
    let cx = ReadCx::new(wire.clone(), now());
    for (status, kind) in [(401, ErrorKind::Unauthenticated), (403, ErrorKind::Forbidden), (404, ErrorKind::NotFound)] {
        for n in 1..5 {
            h.rest().await;
            wire.fail(When::Nth(n), Fault::Status(status));
            let e = must_fail(clients(h.directory(), &cx).await, &format!("{status}"));
            assert_eq!((e.kind, e.get("practice")), (kind, Some(PRACTICE)), "{e:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_count_by_practice() {
    let h = Xpm::fresh().await;
    let wire = Wire::new(h.vendor());
    must(clients(h.directory(), &ReadCx::new(wire.clone(), now())).await, "clients");
    let log = wire.log();
    assert!(log.len() > 20, "connections, staff, jobs, pages and one a client: {}", log.len());
    for r in log {
        assert_eq!(r.tenant.as_deref(), (r.op != "connections.list").then_some(PRACTICE), "{}", r.op);
    }
}

#[tokio::test(start_paused = true)]
async fn p12_a_circle_of_pages_ends_in_an_error() {
    let h = Xpm::fresh().await;
    h.0.control("set_outage", json!({"kind": "repeat_page", "path": "/practicemanager/3.1/client.api/paged-list"}));
    assert_eq!(must_fail(h.0.clients().await, "a circle").kind, ErrorKind::Contract);
}
