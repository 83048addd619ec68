//! Refuses what a defect of a connector, or a string of somebody else, could make of a request.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use ledgerward_contract::{Effect, Error, ErrorKind, Request, Response, Result, Transport};

use crate::hosts::Hosts;

/// The effect check and the host list. It stands outermost, so that nothing is counted or signed for such a request.
pub struct Guard {
    pub hosts: Hosts,
    /// A ledger source is never written to, whatever scopes were granted (T18).
    pub read_only: bool,
    pub inner: Arc<dyn Transport>,
}

#[async_trait]
impl Transport for Guard {
    /// Errors: `Unsupported` for an undeclared write, or any write where there must be none; `Contract` for a foreign host.
    async fn send(&self, request: Request) -> Result<Response> {
        let changes = matches!(request.method, Method::PUT | Method::PATCH | Method::DELETE);
        let wrong = match request.effect {
            Effect::Read if changes => Some("a request that changes things was declared as reading"),
            Effect::Write if self.read_only => Some("this service is only read from, and a write was asked for"),
            _ => None,
        };
        if let Some(wrong) = wrong {
            let text = format!("{wrong}; this is a defect of the connector");
            return Err(Error::new(ErrorKind::Unsupported, request.op, text));
        }
        self.hosts.check(request.op, &request.url)?;
        self.inner.send(request).await
    }
}
