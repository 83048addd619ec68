//! What the vendor of a check answers.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use ledgerward_contract::{Error, LedgerId, Request, Response, Result, Transport};
use serde::Deserialize;
use serde_json::Value;

use crate::cli::outcome::{Exit, Failure};

/// Recorded answers, by method and path with query.
pub struct Answers {
    recorded: BTreeMap<String, Recorded>,
    swapped: Mutex<Option<Swapped>>,
}

/// A fault of the vendor: what is asked about one ledger is answered about another.
struct Swapped {
    /// The other ledger's request for each of this one's, in the order they are made.
    keys: BTreeMap<String, String>,
    ledger: LedgerId,
    other: LedgerId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    #[serde(default = "two_hundred")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// JSON as it is; a text is sent as that text.
    body: Value,
}

fn two_hundred() -> u16 {
    200
}

fn key(request: &Request) -> String {
    let query = request.url.query().map(|q| format!("?{q}")).unwrap_or_default();
    format!("{} {}{query}", request.method, request.url.path())
}

impl Answers {
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let shown = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|e| Failure::new(Exit::Usage, format!("{shown} cannot be read")).cause(&e))?;
        let recorded = serde_json::from_str(&text).map_err(|e| {
            Failure::new(Exit::Usage, format!("{shown}, line {}: {e}", e.line()))
                .next("Write an object: {\"GET /companies?page=1\": {\"body\": {…}}, …}")
        })?;
        Ok(Self { recorded, swapped: Mutex::default() })
    }

    fn swapped(&self) -> MutexGuard<'_, Option<Swapped>> {
        self.swapped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the requests of a ledger are answered with what was recorded of the other.
    pub fn swap(&self, (ledger, asked): (&LedgerId, &[Request]), (other, instead): (&LedgerId, &[Request])) {
        let keys = asked.iter().map(key).zip(instead.iter().map(key)).collect();
        *self.swapped() = Some(Swapped { keys, ledger: ledger.clone(), other: other.clone() });
    }

    pub fn swap_back(&self) {
        *self.swapped() = None;
    }

    /// Whether one of these answers names the ledger: its id is a value in the body.
    pub fn name(&self, asked: &[Request], ledger: &LedgerId) -> bool {
        asked.iter().any(|r| self.recorded.get(&key(r)).is_some_and(|r| holds(&r.body, ledger.as_str())))
    }

    /// What is answered to a request.
    fn answered(&self, key: String) -> String {
        match &*self.swapped() {
            None => key,
            Some(s) => match s.keys.get(&key) {
                Some(instead) => instead.clone(),
                // A page that the other ledger has and this one has not.
                None if !self.recorded.contains_key(&key) => key.replace(s.ledger.as_str(), s.other.as_str()),
                None => key,
            },
        }
    }
}

fn holds(value: &Value, id: &str) -> bool {
    match value {
        Value::String(text) => text == id,
        Value::Number(n) => n.to_string() == id,
        Value::Array(list) => list.iter().any(|v| holds(v, id)),
        Value::Object(fields) => fields.values().any(|v| holds(v, id)),
        Value::Null | Value::Bool(_) => false,
    }
}

#[async_trait]
impl Transport for Answers {
    async fn send(&self, request: Request) -> Result<Response> {
        let key = self.answered(key(&request));
        let Some(recorded) = self.recorded.get(&key) else {
            return Err(Error::contract(request.op, "the program asked for something that is not among the answers")
                .with("request", key)
                .next("Record what the vendor answers to it, or correct the program."));
        };
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        for (name, value) in &recorded.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        let body = match &recorded.body {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Ok(Response { status: recorded.status, headers, body: Bytes::from(body) })
    }
}
