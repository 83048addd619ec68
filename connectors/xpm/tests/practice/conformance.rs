//! What the contract's suite asks of every reading call, for a directory of clients.

use std::{sync::Arc, time::Duration};

use ledgerward_contract::{
    ClientRow, Effect, ErrorKind, ReadCx, Result, Retry,
    suite::{BAD_ANSWERS, Fault, When, Wire, must, must_fail},
};
use serde_json::json;

use crate::common::{PRACTICE, SCOPES, World, gather, now};

struct Bench {
    world: World,
    wire: Arc<Wire>,
}

impl Bench {
    /// Clients in pages of four, with custom fields: every kind of request that there is.
    fn new() -> Self {
        let world = World::sample(json!({"ledger_field": "Xero organisation"}));
        world.control("set_app", json!({"page_max": 4}));
        Self { wire: Wire::new(world.wire.clone()), world }
    }

    async fn all(&self) -> Result<Vec<ClientRow>> {
        // Another minute for the vendor's own limit, and a token that has not run out by then.
        tokio::time::sleep(Duration::from_secs(61)).await;
        let tokens = self.world.control("token", json!({"scopes": SCOPES}));
        *self.world.wire.token.lock().unwrap() = tokens["access_token"].as_str().unwrap().to_owned();
        gather(self.world.directory(), &ReadCx::new(self.wire.clone(), now())).await
    }
}

#[tokio::test(start_paused = true)]
async fn p03_p04_p05_p07_no_bad_answer_to_any_request_makes_a_list() {
    let b = Bench::new();
    let whole = must(b.all().await, "clients");
    let count = b.wire.count();
    assert!(count >= 3 + 4 + whole.len(), "connections, staff, jobs, pages and one a client, and there were {count}");
    for fault in BAD_ANSWERS {
        for n in 0..count {
            b.wire.fail(When::Nth(n), fault);
            let e = must_fail(b.all().await, &format!("{fault:?} to request {n}"));
            assert_eq!(b.wire.met(), 1, "{fault:?} met nothing at {n}");
            let kind = match fault {
                Fault::Status(401) => ErrorKind::Unauthenticated,
                Fault::RateLimited => ErrorKind::RateLimited,
                Fault::EmptyObject | Fault::Cut => ErrorKind::Contract,
                _ => ErrorKind::Unavailable,
            };
            assert_eq!(e.kind, kind, "{fault:?} to request {n}: {e:?}");
        }
    }
    b.wire.heal();
    assert_eq!(must(b.all().await, "clients"), whole);
}

#[tokio::test(start_paused = true)]
async fn p07_p08_refusals_are_errors_of_their_kind_and_name_the_practice() {
    let b = Bench::new();
    for (status, kind) in [
        (400, ErrorKind::Contract),
        (403, ErrorKind::Forbidden),
        (404, ErrorKind::NotFound),
        (500, ErrorKind::Unavailable),
        (503, ErrorKind::Unavailable),
    ] {
        for n in 1..5 {
            b.wire.fail(When::Nth(n), Fault::Status(status));
            let e = must_fail(b.all().await, &format!("{status}"));
            assert_eq!((e.kind, e.get("practice")), (kind, Some(PRACTICE)), "{e:?}");
        }
    }
    b.wire.fail(When::Nth(1), Fault::RateLimited);
    assert_eq!(must_fail(b.all().await, "429").retry, Retry::After(Duration::from_secs(7)));
}

#[tokio::test(start_paused = true)]
async fn reads_declare_no_write_and_carry_no_credential() {
    let b = Bench::new();
    must(b.all().await, "clients");
    for r in b.wire.log() {
        assert_eq!(r.effect, Effect::Read);
        assert!(r.op.contains('.') && !r.headers.contains_key("authorization"), "{}", r.op);
        assert_eq!(r.tenant.is_none(), r.op == "connections.list", "limits count by practice: {}", r.op);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_remembered_between_listings() {
    let b = Bench::new();
    let before = must(b.all().await, "clients");
    b.world.control(
        "set_manager",
        json!({"client": "Dune Dental", "role": "account_manager", "staff": "eve@harbour.example"}),
    );
    b.world.control("archive_client", json!({"client": "Acme Ltd"}));
    b.world.control("change_email", json!({"staff": "cleo@harbour.example", "email": "cleo.marsh@harbour.example"}));
    let after = must(b.all().await, "clients");
    assert_eq!(after.len(), before.len() - 1);
    let people = |name: &str| after.iter().find(|r| r.name == name).unwrap().people.clone();
    assert_eq!(people("Dune Dental")[0].name, "Eve Tan");
    assert!(people("Birch LLP").iter().any(|p| p.email.as_deref() == Some("cleo.marsh@harbour.example")));
}

#[tokio::test(start_paused = true)]
async fn p12_a_circle_of_pages_ends_in_an_error() {
    let b = Bench::new();
    b.world.control("set_outage", json!({"kind": "repeat_page", "path": "/practicemanager/3.1/client.api/paged-list"}));
    assert_eq!(must_fail(b.all().await, "a circle").kind, ErrorKind::Contract);
}
