//! Puts the layers together, outermost first:
//!
//! ```text
//! trace -> guard (effect, hosts) -> deadline -> retry -> auth -> quota (slots, pace, day) -> timeout -> transport
//! ```
//!
//! * **retry** is outside **quota**: every attempt pays.
//! * **auth** is outside **quota**: waiting for a token between the turn and the wire would let requests bunch up. Its one
//!   repeat after a 401 pays as well.
//! * **timeout** is innermost: waiting for a turn is no slow answer.

use std::sync::Arc;

use ledgerward_contract::{Endpoints, Manifest, Result, Transport};

use crate::{
    clock::Clock,
    hosts::Hosts,
    layers::{
        Verdict,
        auth::{Dress, Sign, TokenSource},
        deadline::{Deadline, Deadlines},
        guard::Guard,
        quota::{Pay, Quotas},
        retry::{self, Jitter, Repeat},
        timeout::Timeout,
        trace::Trace,
    },
};

/// What a stack is made of. `base` is an [`crate::HttpTransport`] or a [`crate::fake::FakeTransport`].
pub struct StackConfig {
    pub manifest: &'static Manifest,
    pub endpoints: Endpoints,
    /// For a target that stands in the firm's own network (`decisions` 22).
    pub allow_private_network: bool,
    /// For ledger sources: a write is refused before anything else (T18).
    pub read_only: bool,
    pub tokens: Arc<dyn TokenSource>,
    pub dress: Dress,
    /// One object for all sign-ins of an app registration.
    pub quotas: Arc<Quotas>,
    /// [`crate::layers::no_verdict`] unless the vendor limits by something else than 429.
    pub verdict: Verdict,
    pub clock: Arc<dyn Clock>,
    pub deadlines: Deadlines,
    /// [`retry::random`] outside tests.
    pub jitter: Jitter,
    pub base: Arc<dyn Transport>,
}

/// The layered transport.
pub struct Stack;

impl Stack {
    /// The transport that contexts are made with.
    ///
    /// Errors: `Config` for endpoints that may not be talked to.
    pub fn build(config: StackConfig) -> Result<Arc<dyn Transport>> {
        let StackConfig {
            manifest,
            endpoints,
            allow_private_network,
            read_only,
            tokens,
            dress,
            quotas,
            verdict,
            clock,
            deadlines,
            jitter,
            base,
        } = config;
        let hosts = Hosts::new(&endpoints, allow_private_network)?;
        let inner: Arc<dyn Transport> = Arc::new(Timeout { inner: base });
        let inner: Arc<dyn Transport> = Arc::new(Pay { quotas, verdict, inner });
        let inner: Arc<dyn Transport> = Arc::new(Sign { tokens, dress, hosts: hosts.clone(), inner });
        let inner: Arc<dyn Transport> = Arc::new(Repeat { verdict, clock, jitter, inner });
        let inner: Arc<dyn Transport> = Arc::new(Deadline { deadlines, inner });
        let inner: Arc<dyn Transport> = Arc::new(Guard { hosts, read_only, inner });
        Ok(Arc::new(Trace { connector: manifest.name, inner }))
    }

    /// The production jitter, named here so that callers need not know the layer.
    pub const fn jitter() -> Jitter {
        retry::random
    }
}
