//! Time as a parameter. Waiting is always tokio's, so that a paused runtime pauses everything.

use ledgerward_contract::Timestamp;

/// Where the calendar time comes from.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A fixed start plus tokio's own time. Under `start_paused` it moves only when the test moves it.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    epoch: Timestamp,
    started: tokio::time::Instant,
}

impl TokioClock {
    /// Now is `epoch`.
    pub fn starting(epoch: Timestamp) -> Self {
        Self { epoch, started: tokio::time::Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.epoch.saturating_add(self.started.elapsed()).unwrap_or(self.epoch)
    }
}
