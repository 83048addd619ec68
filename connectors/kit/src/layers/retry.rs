//! Repeats: which, how often, and after which pause.
//!
//! | what came | reads and idempotent writes | other writes |
//! |---|---|---|
//! | 429 | again | again: the vendor says it did nothing |
//! | the connector's own "slow down" ([`Verdict`]) | again | no |
//! | 500, 502, 503, 504, no or half an answer | again | no: the outcome is unknown, the caller looks (I7) |
//!
//! A pause named by the vendor is never shortened. If it does not fit into the deadline the caller gets
//! `RateLimited`/`Unavailable` with [`Retry::After`] at once, and parks.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ledgerward_contract::{Error, ErrorKind, Request, Response, Result, Retry as Again, Transport};

use super::{Verdict, deadline, slow_down, stop};
use crate::{answer::classify_common, clock::Clock};

/// Attempts in all. With pauses of 1, 2, 4, 8 and 16 s this rides out half a minute of trouble.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A number in `0.0..1.0`, so that not everybody comes back at once. A parameter, so that tests can fix it.
pub type Jitter = fn() -> f64;

pub struct Repeat {
    pub verdict: Verdict,
    pub clock: Arc<dyn Clock>,
    pub jitter: Jitter,
    pub inner: Arc<dyn Transport>,
}

impl Repeat {
    /// What the pause before the next attempt is; `None`: there is no next attempt.
    fn pause(&self, attempt: u32, idempotent: bool, outcome: &Result<Response>) -> Option<Duration> {
        let again = match outcome {
            Ok(r) => match slow_down(r, self.verdict, &*self.clock) {
                Some(again) if idempotent || r.status == 429 => again,
                Some(_) => return None,
                None if idempotent && matches!(r.status, 500 | 502 | 503 | 504) => classify_common("", r).retry,
                None => return None,
            },
            Err(e) if idempotent && e.kind == ErrorKind::Unavailable => e.retry,
            Err(_) => return None,
        };
        let jitter = (self.jitter)();
        let pause = match again {
            Again::No => return None,
            // From three quarters to five quarters of 1, 2, 4, … s.
            Again::Backoff => (FIRST_PAUSE * 2_u32.saturating_pow(attempt)).mul_f64(0.75 + jitter / 2.0),
            // Never earlier than the vendor said; up to a tenth or one second later.
            Again::After(wait) => {
                let wait = wait.max(FIRST_PAUSE / 2);
                wait + (wait / 10).min(Duration::from_secs(1)).mul_f64(jitter)
            }
        };
        Some(pause)
    }
}

#[async_trait]
impl Transport for Repeat {
    async fn send(&self, request: Request) -> Result<Response> {
        let mut attempt = 0;
        loop {
            let outcome = self.inner.send(request.clone()).await;
            let Some(pause) = self.pause(attempt, request.idempotent, &outcome) else { return outcome };
            attempt += 1;
            let late = pause >= deadline::left();
            if late || attempt >= ATTEMPTS {
                return give_up(request.op, outcome, pause, late);
            }
            tracing::debug!(name: "http.repeat", op = request.op, attempt, pause_ms = pause.as_millis() as u64);
            stop::pause(&request, pause).await?;
        }
    }
}

/// The last word. An answer that the connector can read better than we can goes to it as it is, unless the pause has to
/// travel with it.
fn give_up(op: &'static str, outcome: Result<Response>, pause: Duration, late: bool) -> Result<Response> {
    match outcome {
        Ok(r) if late && !matches!(r.status, 500 | 502 | 503 | 504) => {
            let known = classify_common(op, &r);
            let mut error = Error::new(
                ErrorKind::RateLimited,
                op,
                format!("the service asks us to wait {} s, longer than this call may take", pause.as_secs()),
            )
            .retry(Again::After(pause));
            error.context = known.context;
            Err(error)
        }
        Err(e) if late => Err(e.retry(Again::After(pause))),
        other => other,
    }
}

/// The jitter of production.
pub fn random() -> f64 {
    rand::random::<f64>()
}
