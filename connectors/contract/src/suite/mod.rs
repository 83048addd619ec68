//! The conformance suite: one test for each connector and scenario, over the connector's own fake (rule R10).
//!
//! A connector implements [`source::SourceHarness`], [`directory::DirectoryHarness`] or [`target::TargetHarness`] for its
//! fake, writes `ledgerward_contract::source_suite!(Harness);`, `directory_suite!` or `target_suite!` in `tests/conformance.rs`, and gets every
//! scenario as a named test. Faults are put on the wire between connector and fake, so the fake need not know them.

pub mod directory;
pub mod source;
pub mod target;

use std::{
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use crate::{Effect, Error, ErrorKind, Request, Response, Result, Retry, Transport};

/// A text that faults put into bodies. If it turns up in an error, the connector leaks what a vendor sends (X06).
pub const CANARY: &str = "canary-7d41-client-data";

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status, and a JSON error body of no vendor's shape.
    Status(u16),
    /// 429 with `Retry-After: 7`.
    RateLimited,
    /// 200 with `{}`.
    EmptyObject,
    /// 200 with a login page (P05).
    Html,
    /// 200 with the first half of the true answer.
    Cut,
    /// The request never left.
    NotSent,
    /// The vendor did it and the answer was lost.
    Lost,
    /// The answer that the first of the matching requests had (P12).
    FirstAgain,
}

/// Faults after which a read must be an error, whatever the vendor (P03–P05, P07).
pub const BAD_ANSWERS: [Fault; 8] = [
    Fault::Status(500),
    Fault::Status(401),
    Fault::RateLimited,
    Fault::EmptyObject,
    Fault::Html,
    Fault::Cut,
    Fault::NotSent,
    Fault::Lost,
];

/// Which requests a fault meets, counted from the moment it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The nth of all, from 0.
    Nth(usize),
    /// The nth of those that declare a write, from 0.
    NthWrite(usize),
    /// This one and all after it.
    From(usize),
}

/// The wire between connector and fake: keeps a log, and breaks what a scenario asks it to break.
pub struct Wire {
    inner: Arc<dyn Transport>,
    state: Mutex<WireState>,
}

#[derive(Default)]
struct WireState {
    plan: Option<(When, Fault)>,
    log: Vec<Request>,
    first: Option<Response>,
    writes: usize,
    met: usize,
}

impl Wire {
    pub fn new(inner: Arc<dyn Transport>) -> Arc<Self> {
        Arc::new(Self { inner, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, WireState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the only fault, and begins log and counts anew.
    pub fn fail(&self, when: When, fault: Fault) {
        *self.state() = WireState { plan: Some((when, fault)), ..WireState::default() };
    }

    /// No fault; log and counts begin anew.
    pub fn heal(&self) {
        *self.state() = WireState::default();
    }

    /// The requests since the last [`Wire::fail`] or [`Wire::heal`], those that never left included.
    pub fn log(&self) -> Vec<Request> {
        self.state().log.clone()
    }

    pub fn count(&self) -> usize {
        self.state().log.len()
    }

    pub fn writes(&self) -> usize {
        self.state().writes
    }

    /// How often the fault was met: a scenario whose fault met nothing has shown nothing.
    pub fn met(&self) -> usize {
        self.state().met
    }

    fn due(&self, request: &Request) -> Option<Fault> {
        let mut s = self.state();
        let (n, w) = (s.log.len(), s.writes);
        s.log.push(request.clone());
        let write = request.effect == Effect::Write;
        s.writes += usize::from(write);
        let (when, fault) = s.plan?;
        let due = match when {
            When::Nth(at) => n == at,
            When::NthWrite(at) => write && w == at,
            When::From(at) => n >= at,
        };
        s.met += usize::from(due);
        due.then_some(fault)
    }
}

#[async_trait]
impl Transport for Wire {
    async fn send(&self, request: Request) -> Result<Response> {
        let op = request.op;
        let lost = |m: &str| Err(Error::new(ErrorKind::Unavailable, op, m));
        match self.due(&request) {
            None => {
                let answer = self.inner.send(request).await?;
                self.state().first.get_or_insert_with(|| answer.clone());
                Ok(answer)
            }
            Some(Fault::NotSent) => lost("the connection was refused"),
            Some(Fault::Lost) => {
                self.inner.send(request).await?;
                lost("the connection broke before the answer was whole")
            }
            Some(Fault::Cut) => {
                let mut answer = self.inner.send(request).await?;
                answer.body.truncate(answer.body.len() / 2);
                Ok(answer)
            }
            Some(Fault::FirstAgain) => match self.state().first.clone() {
                Some(answer) => Ok(answer),
                None => lost("there was no first answer"),
            },
            Some(Fault::Status(status)) => {
                Ok(answer(status, "application/json", &format!(r#"{{"unheard_of":"{CANARY}"}}"#)))
            }
            Some(Fault::RateLimited) => {
                let mut answer = answer(429, "application/json", r#"{"unheard_of":"slow down"}"#);
                answer.headers.insert("retry-after", HeaderValue::from_static("7"));
                Ok(answer)
            }
            Some(Fault::EmptyObject) => Ok(answer(200, "application/json", "{}")),
            Some(Fault::Html) => {
                Ok(answer(200, "text/html", &format!("<!doctype html><title>Sign in</title>{CANARY}")))
            }
        }
    }
}

fn answer(status: u16, kind: &'static str, body: &str) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(kind));
    Response { status, headers, body: Bytes::copy_from_slice(body.as_bytes()) }
}

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
                Fault::RateLimited => e.kind == ErrorKind::RateLimited,
                Fault::Status(_) | Fault::NotSent | Fault::Lost => e.kind == ErrorKind::Unavailable,
                _ => matches!(e.kind, ErrorKind::Contract | ErrorKind::Unavailable),
            };
            assert!(sound, "{what}: {fault:?} in place of answer {nth} became {e:?}");
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
