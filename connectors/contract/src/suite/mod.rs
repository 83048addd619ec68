//! The conformance suite: one test for each connector and scenario, over the connector's own fake (rule R10).
//!
//! A connector implements [`source::SourceHarness`], [`directory::DirectoryHarness`] or [`target::TargetHarness`] for its
//! fake, writes `ledgerward_contract::source_suite!(Harness);`, `directory_suite!` or `target_suite!` in `tests/conformance.rs`, and gets every
//! scenario as a named test. Faults are put on the wire between connector and fake, so the fake need not know them.

pub mod directory;
pub mod source;
pub mod target;

use std::fmt::Debug;

use async_trait::async_trait;

use crate::{Error, ErrorKind, Request, Response, Result, Retry, Transport};

pub use crate::faults::{BAD_ANSWERS, CANARY, EMPTY_ANSWERS, Fault, ODD_ANSWERS, When, Wire};

/// The transport of a connector that uses none: any request is an error.
pub struct NoTransport;

#[async_trait]
impl Transport for NoTransport {
    async fn send(&self, request: Request) -> Result<Response> {
        Err(Error::contract(request.op, "a connector without a vendor sent a request"))
    }
}

/// The value of a call that has to succeed in this scenario.
#[track_caller]
#[expect(clippy::panic, reason = "the suite runs in tests only, and a failed call is a failed test")]
pub fn must<T>(result: Result<T>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(e) => panic!("{what} failed: {e:?}"),
    }
}

/// The error of a call that has to fail in this scenario. It names its operation and leaks nothing.
#[track_caller]
#[expect(
    clippy::panic,
    reason = "the suite runs in tests only, and a call that should fail and does not is a failed test"
)]
pub fn must_fail<T: Debug>(result: Result<T>, what: &str) -> Error {
    match result {
        Ok(value) => panic!("{what} must be an error, and gave {value:?}"),
        Err(e) => {
            assert!(e.op.contains('.'), "{what}: the operation {:?} is not noun.verb", e.op);
            let shown = format!("{e} {e:?} {:?} {:?}", e.context, e.next);
            assert!(!shown.contains(CANARY), "{what}: the error shows what the vendor sent: {shown}");
            e
        }
    }
}

/// Puts each fault in place of each single answer of a call; every one must become an error of its kind.
pub(crate) async fn no_bad_answer_passes<T: Debug>(
    wire: &Wire,
    what: &str,
    faults: impl IntoIterator<Item = Fault> + Clone,
    call: impl AsyncFn() -> Result<T>,
) {
    wire.heal();
    must(call().await, what);
    assert!(wire.count() > 0, "{what} asked nobody");
    for nth in 0..wire.count() {
        for fault in faults.clone() {
            wire.fail(When::Nth(nth), fault);
            let e = must_fail(call().await, &format!("{what} with {fault:?} in place of answer {nth}"));
            assert_eq!(wire.met(), 1, "the fault met nothing");
            let sound = match fault {
                Fault::Status(401) => e.kind == ErrorKind::Unauthenticated && e.retry == Retry::No,
                Fault::RateLimited | Fault::BareRateLimit => e.kind == ErrorKind::RateLimited,
                Fault::Status(_) | Fault::NotSent | Fault::Lost => e.kind == ErrorKind::Unavailable,
                _ => matches!(e.kind, ErrorKind::Contract | ErrorKind::Unavailable),
            };
            assert!(sound, "{what}: {fault:?} in place of answer {nth} became {e:?}");
        }
    }
}

/// Puts each odd shape in place of each single answer of a listing: an error, or the whole list; never another one.
pub(crate) async fn no_odd_answer_shortens<T: Debug + PartialEq>(
    wire: &Wire,
    what: &str,
    list: impl AsyncFn() -> Result<Vec<T>>,
) {
    wire.heal();
    let whole = must(list().await, what);
    for nth in 0..wire.count() {
        for fault in ODD_ANSWERS {
            wire.fail(When::Nth(nth), fault);
            match list().await {
                Ok(got) => assert_eq!(got, whole, "{what} with {fault:?} in place of answer {nth}"),
                Err(e) => {
                    let e = must_fail::<()>(Err(e), what);
                    let sound = matches!(e.kind, ErrorKind::Contract | ErrorKind::Unavailable);
                    assert!(sound, "{what}: {fault:?} in place of answer {nth} became {e:?}");
                }
            }
        }
    }
}

/// Says that a scenario does not apply to this connector.
pub fn skipped(scenario: &str, why: &str) {
    println!("skipped: {scenario}: {why}");
}

/// That a connector's requests name their operation, and leave credentials to the sign-in layer.
pub(crate) fn plain(log: &[Request]) {
    for r in log {
        assert!(r.op.contains('.'), "the operation {:?} is not noun.verb", r.op);
        assert!(!r.headers.contains_key("authorization"), "{}: the connector adds a credential itself", r.op);
    }
}

/// One `#[tokio::test]` for each scenario. Use [`crate::source_suite`], [`crate::directory_suite`] or [`crate::target_suite`].
#[doc(hidden)]
#[macro_export]
macro_rules! suite_tests {
    ($harness:ty, $part:ident, [$($(#[$doc:meta])* $scenario:ident,)*]) => {$(
        #[tokio::test(start_paused = true)]
        async fn $scenario() {
            $crate::suite::$part::$scenario::<$harness>().await;
        }
    )*};
}
