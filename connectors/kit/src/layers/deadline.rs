//! How long a call may take altogether: waiting for a turn, all attempts and the pauses between them.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ledgerward_contract::{BodyLimit, Effect, Error, ErrorKind, Request, Response, Result, Retry, Transport};
use tokio::time::Instant;

tokio::task_local! {
    static ENDS: Instant;
}

/// The time that the call this code runs in has left; a day where no deadline was set.
pub(crate) fn left() -> Duration {
    ENDS.try_with(|ends| ends.saturating_duration_since(Instant::now())).unwrap_or(Duration::from_secs(24 * 3600))
}

/// Runs `work` with this much time, or what is left of the call around it. `None`: time was up.
pub(crate) async fn bounded<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let ends = Instant::now() + limit.min(left());
    tokio::time::timeout_at(ends, ENDS.scope(ends, work)).await.ok()
}

/// The limits by what is asked for (reliability 3.4).
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    pub page: Duration,
    pub statement: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { page: Duration::from_secs(120), statement: Duration::from_secs(600) }
    }
}

impl Deadlines {
    /// A request whose own attempt may take longer than the rule gets room for one attempt and a half.
    fn of(&self, request: &Request) -> Duration {
        let rule = match request.limit {
            BodyLimit::Page => self.page,
            BodyLimit::Statement => self.statement,
        };
        rule.max(request.timeout.unwrap_or_default().mul_f32(1.5))
    }
}

pub struct Deadline {
    pub deadlines: Deadlines,
    pub inner: Arc<dyn Transport>,
}

#[async_trait]
impl Transport for Deadline {
    /// Errors: `Cancelled` for a read that ran out of time; `Unavailable` without a repeat for a write, whose outcome is
    /// then not known and must be looked at (I7).
    async fn send(&self, request: Request) -> Result<Response> {
        let (op, effect) = (request.op, request.effect);
        let total = self.deadlines.of(&request);
        match bounded(total, self.inner.send(request)).await {
            Some(outcome) => outcome,
            None => {
                let kind = if effect == Effect::Write { ErrorKind::Unavailable } else { ErrorKind::Cancelled };
                let text = format!("no answer within {} s, repeats included", total.as_secs());
                Err(Error::new(kind, op, text).retry(Retry::No))
            }
        }
    }
}
