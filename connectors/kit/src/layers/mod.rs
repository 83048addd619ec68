//! The layers between a connector and the wire, one file each. [`crate::stack`] says in which order and why.

pub mod auth;
pub mod deadline;
pub mod guard;
pub mod quota;
pub mod retry;
pub mod stop;
pub mod timeout;
pub mod trace;

use ledgerward_contract::{Response, Retry};

use crate::answer::retry_after;
use crate::clock::Clock;

/// A connector's word on answers that mean "slow down" without being a 429, such as Drive's 403 `userRateLimitExceeded`,
/// and on a 429 that names no pause.
/// `None`: this answer is not of that kind.
pub type Verdict = fn(&Response) -> Option<Retry>;

/// The verdict of a vendor that always says 429.
pub fn no_verdict(_: &Response) -> Option<Retry> {
    None
}

/// Whether an answer asks us to slow down, and for how long.
pub(crate) fn slow_down(response: &Response, verdict: Verdict, clock: &dyn Clock) -> Option<Retry> {
    if response.status == 429 {
        let named = retry_after(&response.headers, Some(clock.now())).map(Retry::After);
        return Some(named.or_else(|| verdict(response).filter(|r| *r != Retry::No)).unwrap_or(Retry::Backoff));
    }
    if response.ok() { None } else { verdict(response).filter(|r| *r != Retry::No) }
}
