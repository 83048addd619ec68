//! The end of the process, as the layers see it: what is only read is left where it is, whether it waits for its turn, for
//! its next attempt or for its answer. A write is never left: nobody would know what became of it.

use std::{future::pending, time::Duration};

use ledgerward_contract::{Effect, Error, ErrorKind, Request, Result, Retry};
use tokio::sync::watch;

tokio::task_local! {
    static STOP: Option<watch::Receiver<bool>>;
}

/// Runs `work`, whose reads end once `stop` is true.
pub async fn heeding<T>(stop: watch::Receiver<bool>, work: impl Future<Output = T>) -> T {
    STOP.scope(Some(stop), work).await
}

/// Runs `work` to its end, whatever is around it: the reads that belong to a write.
pub async fn ignoring<T>(work: impl Future<Output = T>) -> T {
    STOP.scope(None, work).await
}

/// Ends when the process was told to stop; never, where nobody said by what that is seen.
async fn stopped() {
    let stop = STOP.try_with(Clone::clone).ok().flatten();
    if let Some(mut stop) = stop
        && stop.wait_for(|stop| *stop).await.is_ok()
    {
        return;
    }
    pending().await
}

/// What came of a request, unless it is a read and the process is told to stop meanwhile: then `Cancelled`.
pub(crate) async fn or<T>(op: &'static str, effect: Effect, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        () = stopped(), if effect == Effect::Read => {
            Err(Error::new(ErrorKind::Cancelled, op, "ledgerward is stopping").retry(Retry::No))
        }
        came = work => came,
    }
}

/// A pause before a request. Errors: as [`or`].
pub(crate) async fn pause(request: &Request, wait: Duration) -> Result<()> {
    or(request.op, request.effect, async {
        tokio::time::sleep(wait).await;
        Ok(())
    })
    .await
}
