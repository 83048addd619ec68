//! Vendors as pure functions of (state, request), for tests in one process and for `ledgerward sandbox` over real HTTP.
//!
//! A fake shares no type with the connector it tests, enforces the vendor's rules, and refuses what the vendor would
//! refuse. A request it does not know is answered with status 599, which fails every test that meets it.

pub mod xero;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use ledgerward_contract::{Auth, Body, Error, ErrorKind, Request, Response, Result, Timestamp, Transport};
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

/// A request as it arrives at a vendor. Header names are lower case; `path` is still percent-encoded.
#[derive(Clone, Debug)]
pub struct FakeRequest {
    pub method: Method,
    pub path: String,
    /// Decoded, in order, doubles kept.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl FakeRequest {
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The fields of a form body.
    pub fn form(&self) -> BTreeMap<String, String> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// The body as JSON; `Null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// What a vendor answers.
#[derive(Clone, Debug)]
pub struct FakeResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// How long the vendor works on it. The request counts as in flight meanwhile.
    pub takes: Duration,
}

impl FakeResponse {
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), takes: Duration::ZERO }
    }

    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status).header("content-type", "application/json; charset=utf-8").body(body.to_string())
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    #[must_use]
    pub fn takes(mut self, time: Duration) -> Self {
        self.takes = time;
        self
    }

    /// The answer to a request that the fake does not know. No vendor sends 599, so no test can pass over it.
    pub fn unknown(request: &FakeRequest) -> Self {
        Self::new(599).body(format!("this fake does not know {} {}", request.method, request.path))
    }
}

/// When a request arrives, and among how many others.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now: Timestamp,
    /// Requests with the same [`Fake::lane`] that were answered later than this one arrived, this one not counted.
    pub in_flight: usize,
}

/// A vendor.
pub trait Fake: Send {
    /// The unit in which this vendor counts requests at once (app and tenant at Xero). `None`: not counted.
    fn lane(&self, _request: &FakeRequest) -> Option<String> {
        None
    }

    /// The vendor's answer. May change the state; reads no clock but `at`.
    fn answer(&mut self, at: Moment, request: &FakeRequest) -> FakeResponse;

    /// What a person does at the vendor's own web pages: remove a user, share a folder by hand, take the service down.
    /// Used by the demo, by tests, and over `POST /_sandbox/{verb}` with a JSON object. An unknown verb is an error that
    /// lists the known ones.
    fn control(&mut self, verb: &str, args: &Value) -> Result<Value, String>;

    /// The whole state as JSON, for the fake's own `restore` to go on from in a later process: every sign-in, id, limit
    /// and outage as it was. Saving what was restored gives the same JSON. Holds the fake's tokens and secrets in clear
    /// text: they are the sandbox's own and open nothing else.
    fn save(&self) -> Value;
}

/// Bytes in a saved state, as base64. For `#[serde(with = "…")]`.
pub mod as_base64 {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<B: AsRef<[u8]>, S: Serializer>(bytes: &B, to: S) -> Result<S::Ok, S::Error> {
        STANDARD.encode(bytes).serialize(to)
    }

    pub fn deserialize<'de, B: From<Vec<u8>>, D: Deserializer<'de>>(from: D) -> Result<B, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map(B::from).map_err(D::Error::custom)
    }
}

/// A stable id from words, so that a seed need not spell one out.
pub fn id_of(parts: &[&str]) -> Uuid {
    let hash = Sha256::digest(parts.join("\u{1f}").as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// A fake that several tasks share.
pub type SharedFake = Arc<Mutex<Box<dyn Fake>>>;

/// A fake as a [`Transport`], in this process and without a socket.
///
/// `base` is the address under which the connector believes the vendor to be; only its path prefix is taken off. Time is
/// `epoch` plus tokio's clock, so a paused clock pauses the vendor as well.
pub struct FakeTransport {
    fake: SharedFake,
    epoch: Timestamp,
    started: tokio::time::Instant,
    in_flight: Mutex<BTreeMap<String, usize>>,
    log: Mutex<Vec<FakeRequest>>,
}

impl FakeTransport {
    pub fn new(fake: SharedFake, epoch: Timestamp) -> Self {
        Self {
            fake,
            epoch,
            started: tokio::time::Instant::now(),
            in_flight: Mutex::new(BTreeMap::new()),
            log: Mutex::new(Vec::new()),
        }
    }

    /// The vendor's time.
    pub fn now(&self) -> Timestamp {
        self.epoch.saturating_add(self.started.elapsed()).unwrap_or(self.epoch)
    }

    /// Every request so far, for tests that count writes or look for secrets.
    pub fn requests(&self) -> Vec<FakeRequest> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn enter(&self, lane: Option<&String>) -> usize {
        let Some(lane) = lane else { return 0 };
        let mut map = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let n = map.entry(lane.clone()).or_default();
        *n += 1;
        *n - 1
    }

    fn leave(&self, lane: Option<&String>) {
        if let Some(lane) = lane
            && let Some(n) = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).get_mut(lane)
        {
            *n = n.saturating_sub(1);
        }
    }
}

#[async_trait]
impl Transport for FakeTransport {
    async fn send(&self, request: Request) -> Result<Response> {
        let op = request.op;
        let request = arrive(request)?;
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        let (lane, answer) = {
            let mut fake = self.fake.lock().unwrap_or_else(PoisonError::into_inner);
            let lane = fake.lane(&request);
            let in_flight = self.enter(lane.as_ref());
            (lane, fake.answer(Moment { now: self.now(), in_flight }, &request))
        };
        // A caller that gives up meanwhile leaves the lane counted, as at a vendor that goes on working.
        tokio::time::sleep(answer.takes).await;
        self.leave(lane.as_ref());
        let mut headers = HeaderMap::new();
        for (name, value) in &answer.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| bad_fake(op, e))?;
            headers.append(name, HeaderValue::from_str(value).map_err(|e| bad_fake(op, e))?);
        }
        Ok(Response { status: answer.status, headers, body: answer.body })
    }
}

fn bad_fake(op: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Contract, op, "the fake gave an illegal header").source(source)
}

/// A request of ours as the vendor's server sees it.
fn arrive(request: Request) -> Result<FakeRequest> {
    let mut headers = request.headers;
    let body = match request.body {
        Body::Empty => Bytes::new(),
        Body::Json(value) => {
            headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
            Bytes::from(value.to_string())
        }
        Body::Form(fields) => {
            headers
                .entry(header::CONTENT_TYPE)
                .or_insert(HeaderValue::from_static("application/x-www-form-urlencoded"));
            Bytes::from(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish())
        }
        Body::Bytes { content_type, bytes } => {
            let value = HeaderValue::from_str(&content_type).map_err(|e| bad_fake(request.op, e))?;
            headers.entry(header::CONTENT_TYPE).or_insert(value);
            bytes
        }
    };
    if request.auth == Auth::Url {
        headers.remove(header::AUTHORIZATION);
    }
    Ok(FakeRequest {
        method: request.method,
        path: request.url.path().to_owned(),
        query: pairs(&request.url),
        headers,
        body,
    })
}

fn pairs(url: &Url) -> Vec<(String, String)> {
    url.query_pairs().into_owned().collect()
}
