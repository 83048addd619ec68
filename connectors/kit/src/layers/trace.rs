//! One event for every call, with nothing in it that must not be in a log: no path, no query, no header, no body.

use std::sync::Arc;

use async_trait::async_trait;
use ledgerward_contract::{Request, Response, Result, Transport};
use tokio::time::Instant;

use crate::answer::{request_id, safe_word};

pub struct Trace {
    pub connector: &'static str,
    pub inner: Arc<dyn Transport>,
}

#[async_trait]
impl Transport for Trace {
    async fn send(&self, request: Request) -> Result<Response> {
        let (op, effect) = (request.op, request.effect);
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let begun = Instant::now();
        let outcome = self.inner.send(request).await;
        let elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let connector = self.connector;
        match &outcome {
            Ok(r) => {
                let (status, bytes) = (r.status, r.body.len());
                let id = request_id(&r.headers);
                tracing::debug!(name: "http.send", connector, op, ?effect, host, status, bytes, elapsed_ms, id);
                // RFC 9745 and RFC 8594: the vendor announces the end of this address (P20).
                if r.header("deprecation").is_some() || r.header("sunset").is_some() {
                    let sunset = r.header("sunset").and_then(|d| safe_word(&d.replace([' ', ','], "_")));
                    tracing::warn!(name: "http.deprecated", connector, op, host, sunset, "the service will retire this call");
                }
            }
            Err(e) => {
                let kind = e.kind;
                tracing::debug!(name: "http.fail", connector, op, ?effect, host, ?kind, elapsed_ms);
            }
        }
        outcome
    }
}
