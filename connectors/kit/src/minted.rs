//! Access tokens that are made from a secret the firm holds (a service account's key, an app's secret): there is no refresh
//! token, nothing to store and nothing to lose. They live in memory.

use std::{sync::Arc, time::Duration};

use ledgerward_contract::{Result, Secret, Timestamp};
use tokio::sync::Mutex;

use crate::{clock::Clock, layers::auth::Bearer, vault::Durable};

/// A token younger than this is not thrown away for a 401: the refusal then is about something else.
const YOUNG: Duration = Duration::from_secs(60);
/// So long before its end, or a fifth of its life if that is less, a token is made anew.
const MARGIN: Duration = Duration::from_secs(300);

#[derive(Default)]
struct Held {
    token: Option<(Bearer, Timestamp, Timestamp)>,
    refused: bool,
}

/// The token of now, and how it was received.
pub(crate) struct Minted {
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
}

impl Minted {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, held: Mutex::default() }
    }

    /// The token that is good now; where there is none, what `mint` makes: the token and its end.
    pub async fn bearer<F>(&self, mint: impl FnOnce(Timestamp) -> F + Send) -> Result<Durable<Bearer>>
    where
        F: Future<Output = Result<(Secret, Timestamp)>> + Send,
    {
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        let margin = |issued: Timestamp, end: Timestamp| {
            let life = Duration::try_from(end.duration_since(issued)).unwrap_or_default();
            (life / 5).min(MARGIN)
        };
        if let Some((bearer, issued, end)) = &held.token
            && !held.refused
            && now.saturating_add(margin(*issued, *end)).is_ok_and(|t| t < *end)
        {
            return Ok(Durable::committed(bearer.clone()));
        }
        let generation = held.token.as_ref().map_or(1, |(b, ..)| b.generation + 1);
        let (token, end) = match mint(now).await {
            Ok(new) => new,
            // In the vendor's bad hour the old token serves until it ends.
            Err(error) => match &held.token {
                Some((bearer, _, end)) if !held.refused && now < *end => return Ok(Durable::committed(bearer.clone())),
                _ => return Err(error),
            },
        };
        let bearer = Bearer { token, generation };
        *held = Held { token: Some((bearer.clone(), now, end)), refused: false };
        // Made anew from the secret at any time: losing it loses nothing.
        Ok(Durable::committed(bearer))
    }

    /// As [`crate::TokenSource::refused`].
    pub async fn refused(&self, generation: u64) -> bool {
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        match &held.token {
            Some((bearer, issued, _)) if bearer.generation == generation => {
                let old = issued.saturating_add(YOUNG).is_ok_and(|t| t <= now);
                held.refused |= old;
                old
            }
            _ => true,
        }
    }
}

/// When a token ends that the vendor gives so many seconds: from a minute to a day; five minutes where it does not say.
pub(crate) fn ends(now: Timestamp, seconds: Option<u64>) -> Timestamp {
    let life = Duration::from_secs(seconds.unwrap_or(300).clamp(60, 86_400));
    now.saturating_add(life).unwrap_or(Timestamp::MAX)
}
