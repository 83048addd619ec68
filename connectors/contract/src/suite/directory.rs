//! Scenarios for directories of clients: practice managers and rosters.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::{
    ClientDirectory, ClientRow, Cursor, Effect, ErrorKind, ReadCx, Result, Retry, Snapshot, Timestamp, Transport,
    suite::{
        BAD_ANSWERS, EMPTY_ANSWERS, Fault, When, Wire, must, must_fail, no_bad_answer_passes, no_odd_answer_shortens,
        plain, skipped,
    },
};

/// A directory over its fake.
#[async_trait]
pub trait DirectoryHarness: Send + Sync + Sized {
    /// A signed-in directory with at least two clients, each with somebody responsible for it. The fake's pages are as small
    /// as they can be made.
    async fn fresh() -> Self;
    fn directory(&self) -> &dyn ClientDirectory;
    /// The fake, with credentials already on it.
    fn vendor(&self) -> Arc<dyn Transport>;
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap_or_default()
    }
    /// Takes the first client's people away, and gives the client's id.
    async fn let_go(&self) -> String;
    /// Called before each reading: the vendor's limits count by the clock.
    async fn rest(&self) {}
}

struct Bench<H> {
    h: H,
    wire: Arc<Wire>,
}

impl<H: DirectoryHarness> Bench<H> {
    async fn new() -> Self {
        let h = H::fresh().await;
        let wire = Wire::new(h.vendor());
        Self { h, wire }
    }

    async fn clients(&self) -> Result<Snapshot<ClientRow>> {
        self.h.rest().await;
        let (d, cx) = (self.h.directory(), ReadCx::new(self.wire.clone(), self.h.now()));
        let fetch = |at: Cursor| -> BoxFuture<'_, _> {
            let cx = cx.clone();
            Box::pin(async move { d.clients(&cx, at).await })
        };
        Snapshot::gather("suite.gather", self.h.now(), 1_000, fetch).await
    }
}

/// Every directory scenario as a test of its own.
#[macro_export]
macro_rules! directory_suite {
    ($harness:ty) => {
        $crate::suite_tests!(
            $harness,
            directory,
            [
                clients_are_listed_with_their_people,
                nothing_is_remembered_between_listings,
                bad_answers_to_clients_are_errors,
                p04_p05_p14_answers_that_say_nothing_are_no_lists,
                p14_odd_answers_shorten_no_list,
                p03_a_failing_later_request_is_no_listing,
                p07_refusals_are_errors_of_their_kind,
                p10_rate_limits_carry_the_pause,
                reads_declare_no_write,
            ]
        );
    };
}

pub async fn clients_are_listed_with_their_people<H: DirectoryHarness>() {
    let b = Bench::<H>::new().await;
    let list = must(b.clients().await, "clients");
    assert!(list.items().len() >= 2, "the harness promises two clients: {:?}", list.items());
    for row in list.items() {
        assert!(!row.id.is_empty() && !row.name.is_empty(), "{row:?}");
        assert!(row.people.iter().all(|p| !p.user.as_str().is_empty() && !p.role.is_empty()), "{row:?}");
    }
    assert!(list.items().iter().filter(|r| !r.people.is_empty()).count() >= 2, "{:?}", list.items());
    assert_eq!(must(b.clients().await, "clients again").items(), list.items(), "one directory gave two lists");
}

pub async fn nothing_is_remembered_between_listings<H: DirectoryHarness>() {
    let b = Bench::<H>::new().await;
    must(b.clients().await, "clients");
    let id = b.h.let_go().await;
    let list = must(b.clients().await, "clients");
    let row = list.items().iter().find(|r| r.id == id);
    assert!(row.is_some_and(|r| r.people.is_empty()), "a client whom nobody looks after stays a client: {row:?}");
}

pub async fn bad_answers_to_clients_are_errors<H: DirectoryHarness>() {
    let b = Bench::<H>::new().await;
    must(b.clients().await, "clients");
    if b.wire.count() == 0 {
        return skipped("bad_answers_to_clients_are_errors", "this directory asks nobody");
    }
    no_bad_answer_passes(&b.wire, "clients", BAD_ANSWERS, async || b.clients().await).await;
}

/// A 200 with an error inside, nothing, null, XML or JSON of another shape, another charset; a 429 without a word.
pub async fn p04_p05_p14_answers_that_say_nothing_are_no_lists<H: DirectoryHarness>() {
    let b = Bench::<H>::new().await;
    must(b.clients().await, "clients");
    if b.wire.count() == 0 {
        return skipped("p04_p05_p14_answers_that_say_nothing_are_no_lists", "this directory asks nobody");
    }
    no_bad_answer_passes(&b.wire, "clients", EMPTY_ANSWERS, async || b.clients().await).await;
}

/// Null or an object where a list stood, a text where a number stood.
pub async fn p14_odd_answers_shorten_no_list<H: DirectoryHarness>() {
    let b = Bench::<H>::new().await;
    no_odd_answer_shortens(&b.wire, "clients", async || Ok(b.clients().await?.items().to_vec())).await;
}

pub async fn p03_a_failing_later_request_is_no_listing<H: DirectoryHarness>() {
    let b = Bench::<H>::new().await;
    must(b.clients().await, "clients");
    for nth in 1..b.wire.count() {
        b.wire.fail(When::From(nth), Fault::Status(500));
        let e = must_fail(b.clients().await, &format!("a listing that failed from request {nth} on"));
        assert_eq!(e.kind, ErrorKind::Unavailable);
    }
}

pub async fn p07_refusals_are_errors_of_their_kind<H: DirectoryHarness>() {
    let b = Bench::<H>::new().await;
    must(b.clients().await, "clients");
    if b.wire.count() == 0 {
        return skipped("p07_refusals_are_errors_of_their_kind", "this directory asks nobody");
    }
    for status in [400, 403, 404, 410, 418, 503] {
        b.wire.fail(When::From(0), Fault::Status(status));
        let e = must_fail(b.clients().await, &format!("clients with {status}"));
        let sound = match status {
            403 => e.kind == ErrorKind::Forbidden,
            503 => e.kind == ErrorKind::Unavailable,
            _ => e.kind != ErrorKind::Unauthenticated && e.retry == Retry::No,
        };
        assert!(sound, "{status} became {e:?}");
    }
}

pub async fn p10_rate_limits_carry_the_pause<H: DirectoryHarness>() {
    let b = Bench::<H>::new().await;
    must(b.clients().await, "clients");
    if b.wire.count() == 0 {
        return skipped("p10_rate_limits_carry_the_pause", "this directory asks nobody");
    }
    b.wire.fail(When::From(0), Fault::RateLimited);
    let e = must_fail(b.clients().await, "clients with 429");
    assert_eq!((e.kind, e.retry), (ErrorKind::RateLimited, Retry::After(Duration::from_secs(7))));
}

pub async fn reads_declare_no_write<H: DirectoryHarness>() {
    let b = Bench::<H>::new().await;
    must(b.clients().await, "clients");
    let log = b.wire.log();
    assert!(log.iter().all(|r| r.effect == Effect::Read), "reads that write");
    plain(&log);
}
