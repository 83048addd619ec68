//! Waiting inside one call of a connector, and a limit for all of it. Connectors wait with these and nothing else, so that a
//! call ends when it must, whatever a vendor asks for, and a paused runtime pauses everything.

use std::time::Duration;

use ledgerward_contract::{Error, ErrorKind, Result};

use crate::layers::deadline;

/// The longest single wait. A vendor that asks for more is told to the caller instead, as [`ledgerward_contract::Retry`].
pub const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Waits: for a job, for a list that lags behind a write. Not longer than [`PAUSE_MAX`], and the end of the call it stands in
/// ([`within`]) ends it.
pub async fn pause(wait: Duration) {
    tokio::time::sleep(wait.min(PAUSE_MAX)).await;
}

/// Runs `work`, its requests and pauses included, for at most `limit`, and never past the end of a call around it.
///
/// Errors: `Unavailable` when time is up. What a write that was under way has done is then not known (I7).
pub async fn within<T>(op: &'static str, limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    match deadline::bounded(limit, work).await {
        Some(outcome) => outcome,
        None => {
            let text = format!("the service did not finish this within {} s", limit.as_secs());
            Err(Error::new(ErrorKind::Unavailable, op, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_with_the_call_around_it() {
        let begun = Instant::now();
        pause(Duration::from_secs(5)).await;
        assert_eq!(begun.elapsed().as_secs(), 5);
        pause(Duration::from_secs(4_000)).await;
        assert_eq!(begun.elapsed().as_secs(), 65, "nobody is waited for longer than a minute at a time");

        let begun = Instant::now();
        let late = within("job.poll", Duration::from_secs(10), async {
            for _ in 0..100 {
                pause(Duration::from_secs(3)).await;
            }
            Ok(())
        });
        let e = late.await.unwrap_err();
        assert_eq!((e.kind, e.op, begun.elapsed().as_secs()), (ErrorKind::Unavailable, "job.poll", 10));
    }

    #[tokio::test(start_paused = true)]
    async fn an_inner_limit_never_outlasts_the_outer_one() {
        let begun = Instant::now();
        let inner = within("inner", Duration::from_secs(50), std::future::pending::<Result<()>>());
        let outer = within("outer", Duration::from_secs(7), inner).await;
        assert!(outer.is_err());
        assert_eq!(begun.elapsed().as_secs(), 7);
        assert_eq!(within("quick", Duration::from_secs(1), async { Ok(3) }).await.unwrap(), 3);
    }
}
