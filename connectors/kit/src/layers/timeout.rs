//! How long one attempt may take, from sending to the last byte. A slow trickle ends here (P21).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ledgerward_contract::{BodyLimit, Error, ErrorKind, Request, Response, Result, Transport};

pub struct Timeout {
    pub inner: Arc<dyn Transport>,
}

/// The request's own limit, or 30 s, or 10 minutes for documents.
pub fn of(request: &Request) -> Duration {
    let rule = match request.limit {
        BodyLimit::Page => Duration::from_secs(30),
        BodyLimit::Statement => Duration::from_secs(600),
    };
    request.timeout.unwrap_or(rule)
}

#[async_trait]
impl Transport for Timeout {
    async fn send(&self, request: Request) -> Result<Response> {
        let (op, limit) = (request.op, of(&request));
        match tokio::time::timeout(limit, self.inner.send(request)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let text = format!("the service did not answer within {} s", limit.as_secs());
                Err(Error::new(ErrorKind::Unavailable, op, text))
            }
        }
    }
}
