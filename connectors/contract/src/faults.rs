//! A wire that breaks on request: for the conformance suite, and for `connector check`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};

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
    /// 200 with nothing.
    Nothing,
    /// 200 with `[]`; with `{}` where the true answer is a bare list, for which `[]` would be a true answer as well.
    EmptyArray,
    /// 200 with `null`.
    Null,
    /// 200 with an error inside, in the words of several vendors at once.
    ErrorInside,
    /// The true answer with such an error beside it; [`Fault::ErrorInside`] where it is no JSON object.
    ErrorBeside,
    /// 206 with the true answer.
    Part,
    /// The true answer, and something after its end.
    Junk,
    /// 200 with XML of no vendor's shape.
    Xml,
    /// 200 with the true answer in UTF-16.
    Utf16,
    /// 429 with no body and no header.
    BareRateLimit,
    /// The true answer, where it is JSON, with each list in its outer two layers replaced by null.
    NullLists,
    /// The same with an empty object for each list.
    ObjectLists,
    /// The true answer, where it is JSON, with each number as a text.
    TextNumbers,
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

/// Ways in which a vendor says nothing, or not all, with a 200 or something like it, after which a list must be an error as well (P04, P05, P14).
pub const EMPTY_ANSWERS: [Fault; 10] = [
    Fault::Nothing,
    Fault::EmptyArray,
    Fault::Null,
    Fault::ErrorInside,
    Fault::ErrorBeside,
    Fault::Part,
    Fault::Junk,
    Fault::Xml,
    Fault::Utf16,
    Fault::BareRateLimit,
];

/// Odd shapes of the true answer: a list is an error then, or as long as ever (P14).
pub const ODD_ANSWERS: [Fault; 3] = [Fault::NullLists, Fault::ObjectLists, Fault::TextNumbers];

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

impl Wire {
    /// The true answer with another body.
    async fn changed(&self, request: Request, change: impl FnOnce(&[u8]) -> Vec<u8> + Send) -> Result<Response> {
        let mut answer = self.inner.send(request).await?;
        answer.body = change(&answer.body).into();
        Ok(answer)
    }
}

/// `change` on every value of a JSON body with its depth, the innermost last; another body as it is.
fn odd(body: &[u8], change: fn(&mut Value, usize)) -> Vec<u8> {
    fn walk(value: &mut Value, depth: usize, change: fn(&mut Value, usize)) {
        change(value, depth);
        match value {
            Value::Array(list) => list.iter_mut().for_each(|v| walk(v, depth + 1, change)),
            Value::Object(map) => map.values_mut().for_each(|v| walk(v, depth + 1, change)),
            _ => {}
        }
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(mut value) => {
            walk(&mut value, 0, change);
            value.to_string().into_bytes()
        }
        Err(_) => body.to_vec(),
    }
}

fn error_inside() -> String {
    let one = json!({"code": "9999", "message": CANARY, "Message": CANARY, "detail": CANARY});
    json!({"error": one, "errors": [one], "Errors": [one], "Fault": {"Error": [one], "type": "SystemFault"},
        "Status": "ERROR", "ErrorDescription": CANARY, "code": 9999, "message": CANARY})
    .to_string()
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
            Some(Fault::Nothing) => Ok(answer(200, "application/json", "")),
            Some(Fault::EmptyArray) => {
                let bare = |body: &[u8]| body.trim_ascii_start().starts_with(b"[");
                self.changed(request, |body| if bare(body) { b"{}".to_vec() } else { b"[]".to_vec() }).await
            }
            Some(Fault::Null) => Ok(answer(200, "application/json", "null")),
            Some(Fault::ErrorInside) => Ok(answer(200, "application/json", &error_inside())),
            Some(Fault::ErrorBeside) => {
                self.changed(request, |body| match serde_json::from_slice::<Value>(body) {
                    Ok(Value::Object(mut fields)) => {
                        fields.insert("error".to_owned(), json!({"code": "9999", "message": CANARY}));
                        Value::Object(fields).to_string().into_bytes()
                    }
                    _ => error_inside().into_bytes(),
                })
                .await
            }
            Some(Fault::Part) => {
                let mut answer = self.inner.send(request).await?;
                answer.status = 206;
                Ok(answer)
            }
            Some(Fault::Junk) => self.changed(request, |body| [body, format!("\n<{CANARY}").as_bytes()].concat()).await,
            Some(Fault::Xml) => {
                Ok(answer(200, "text/xml", &format!("<answer><unheard_of>{CANARY}</unheard_of></answer>")))
            }
            Some(Fault::BareRateLimit) => Ok(Response { status: 429, headers: HeaderMap::new(), body: Bytes::new() }),
            Some(Fault::Utf16) => {
                self.changed(request, |body| {
                    String::from_utf8_lossy(body).encode_utf16().flat_map(u16::to_le_bytes).collect()
                })
                .await
            }
            Some(Fault::NullLists) => {
                self.changed(request, |body| {
                    odd(body, |v, depth| {
                        if v.is_array() && depth < 2 {
                            *v = Value::Null;
                        }
                    })
                })
                .await
            }
            Some(Fault::ObjectLists) => {
                self.changed(request, |body| {
                    odd(body, |v, depth| {
                        if v.is_array() && depth < 2 {
                            *v = Value::Object(Map::new());
                        }
                    })
                })
                .await
            }
            Some(Fault::TextNumbers) => {
                self.changed(request, |body| {
                    odd(body, |v, _| {
                        if let Value::Number(n) = v {
                            *v = Value::String(n.to_string());
                        }
                    })
                })
                .await
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
