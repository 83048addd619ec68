//! The conformance suite: one test for each connector and scenario, over the connector's own fake (rule R10).
//!
//! A connector implements [`source::SourceHarness`] or [`target::TargetHarness`] for its fake, writes
//! `ledgerward_contract::source_suite!(Harness);` or `target_suite!(Harness);` in `tests/conformance.rs`, and gets every
//! scenario as a named test. Faults are put on the wire between connector and fake, so the fake need not know them.

pub mod source;
pub mod target;

use std::{
    collections::VecDeque,
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use crate::{Body, Effect, Error, ErrorKind, Request, Response, Result, Transport};

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

/// Answers a scripted list of responses, one a request, then errors. For toys and for tests of the suite itself.
pub struct Script(Mutex<VecDeque<Response>>);

impl Script {
    pub fn json(answers: impl IntoIterator<Item = (u16, serde_json::Value)>) -> Arc<Self> {
        let all = answers.into_iter().map(|(status, v)| answer(status, "application/json", &v.to_string()));
        Arc::new(Self(Mutex::new(all.collect())))
    }
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: Request) -> Result<Response> {
        let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        next.ok_or_else(|| Error::new(ErrorKind::Unavailable, request.op, "the script has ended"))
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

/// Says that a scenario does not apply to this connector.
pub fn skipped(scenario: &str, why: &str) {
    println!("skipped: {scenario}: {why}");
}

/// Whether a request carries this text where it would be seen in a log: address, headers, or a body.
pub fn carries(request: &Request, text: &str) -> bool {
    let body = match &request.body {
        Body::Empty => false,
        Body::Json(v) => v.to_string().contains(text),
        Body::Form(fields) => fields.iter().any(|(_, v)| v.contains(text)),
        Body::Bytes { bytes, .. } => String::from_utf8_lossy(bytes).contains(text),
    };
    let headers = request.headers.values().any(|v| String::from_utf8_lossy(v.as_bytes()).contains(text));
    body || headers || request.url.as_str().contains(text)
}

/// One `#[tokio::test]` for each scenario. Use [`crate::source_suite`] or [`crate::target_suite`].
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
