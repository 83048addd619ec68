//! A wire that breaks on request: for the conformance suite, and for `connector check`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use crate::{Effect, Error, ErrorKind, Request, Response, Result, Transport};

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
