//! The token protocol (reliability 5.1, `decisions` 31): never two refreshes of a sign-in at once, no access token before
//! its refresh token is durable, and no sign-in declared dead because of a network.
//!
//! The renewal runs in a task of its own. A caller that runs out of time goes away alone; the answer to a token call that
//! is under way is always stored.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use ledgerward_contract::{Error, ErrorKind, Result, Retry, Rotation, Secret, Timestamp};
use tokio::time::Instant;

use crate::{
    clock::Clock,
    layers::auth::{Bearer, TokenSource},
    oauth::{Granted, OAuthClient, Refreshed},
    vault::{Durable, NewTokens, SignInState, StoredTokens, Vault},
};

const OP: &str = "token.refresh";
/// An access token is renewed so long before its end, or a fifth of its life before, whichever is shorter.
const MARGIN_MAX: Duration = Duration::from_secs(5 * 60);
/// While a renewal fails, the old access token is used until this close to its end.
const LAST_USE: Duration = Duration::from_secs(30);
/// A 401 for a token younger than this is hardly about its age, and renewing at each would start a storm.
const YOUNG: Duration = Duration::from_secs(60);
/// A vendor may end an access token early all the same, so a young one is renewed too, but only so often.
const YOUNG_AGAIN: Duration = Duration::from_secs(10 * 60);
/// The pause before a refused refresh token is tried a second time (T10).
const DOUBT: Duration = Duration::from_secs(60);
/// Pauses between tries whose outcome is unknown; the last one repeats. The same token is sent each time. Where the vendor
/// documents no grace (Box) that cannot make it worse: if the lost answer had rotated the token, it is lost already, and
/// the first `invalid_grant` says so.
const PAUSES: [u64; 4] = [1, 5, 30, 120];
/// After this a previous token is of no use at any vendor, and is forgotten.
const PREVIOUS_MAX: Duration = Duration::from_secs(30 * 60);

/// One sign-in by OAuth, as a source of access tokens. There must be one of these for each sign-in in a process, and one
/// process (the instance lock sees to that).
pub struct OAuthTokens(Arc<Inner>);

struct Inner {
    sign_in: String,
    vault: Arc<dyn Vault>,
    client: Arc<OAuthClient>,
    clock: Arc<dyn Clock>,
    now: Mutex<Now>,
    /// Held from the first look at the row to the commit.
    flight: Arc<tokio::sync::Mutex<Flight>>,
}

/// What is known in memory.
#[derive(Default)]
struct Now {
    tokens: Option<Durable<StoredTokens>>,
    /// The generation that got a 401.
    refused: Option<u64>,
    /// When a young token was last renewed because of a 401.
    renewed_young: Option<Instant>,
    /// The generation that is to be renewed although it is good.
    forced: Option<u64>,
    /// New tokens are in the spool only, and are written to the row every second.
    degraded: bool,
}

#[derive(Default)]
struct Flight {
    attempt: u32,
    not_before: Option<Instant>,
}

impl OAuthTokens {
    /// Reads nothing yet. `sign_in` is the id of the row in the vault.
    pub fn new(
        sign_in: impl Into<String>,
        vault: Arc<dyn Vault>,
        client: Arc<OAuthClient>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Inner {
            sign_in: sign_in.into(),
            vault,
            client,
            clock,
            now: Mutex::default(),
            flight: Arc::default(),
        }))
    }

    /// Renews although the access token is still good, so that an unused refresh token does not die (T12).
    pub async fn keep_alive(&self) -> Result<()> {
        let generation = self.0.vault.load(&self.0.sign_in).await?.get().generation;
        self.0.now().forced = Some(generation);
        if self.bearer().await?.get().generation == generation {
            let text = "the sign-in could not be renewed yet; its access token still serves";
            return Err(Error::new(ErrorKind::Unavailable, OP, text));
        }
        Ok(())
    }

    /// Before the process ends, and before the vault is closed: waits until no token call is under way and nothing is in the spool alone. False if that
    /// took longer than `max` (30 s by reliability 5.1).
    pub async fn settle(&self, max: Duration) -> bool {
        let quiet = async {
            loop {
                drop(self.0.flight.lock().await);
                if !self.0.now().degraded {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(max, quiet).await.is_ok()
    }
}

#[async_trait]
impl TokenSource for OAuthTokens {
    /// Errors: `Unauthenticated` when a person must sign in again; `Config` when the vendor does not know the app;
    /// `Unavailable` with a pause for everything that may pass.
    async fn bearer(&self) -> Result<Durable<Bearer>> {
        if let Some(bearer) = self.0.usable() {
            return Ok(bearer);
        }
        let inner = Arc::clone(&self.0);
        let task = tokio::spawn(async move {
            let mut flight = Arc::clone(&inner.flight).lock_owned().await;
            inner.renew(&mut flight).await
        });
        task.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Cancelled, OP, "ledgerward stopped while a sign-in was renewed"))
        })
    }

    async fn refused(&self, generation: u64) -> bool {
        let at = self.0.clock.now();
        let mut now = self.0.now();
        let Some(tokens) = now.tokens.as_ref().map(Durable::get) else { return true };
        if tokens.generation != generation {
            return true;
        }
        // One from the future was issued by another clock: its age is not known (C02), and it may be old.
        if tokens.access_issued_at.is_some_and(|issued| issued <= at && at < after(issued, YOUNG)) {
            if now.renewed_young.is_some_and(|then| then.elapsed() < YOUNG_AGAIN) {
                return false;
            }
            now.renewed_young = Some(Instant::now());
        }
        now.refused = Some(generation);
        true
    }

    async fn worked(&self, generation: u64) {
        let due = self
            .0
            .now()
            .tokens
            .as_ref()
            .map(Durable::get)
            .is_some_and(|t| t.generation == generation && t.previous.is_some() && t.state == SignInState::Active);
        if due {
            self.0.settle_previous(generation).await;
        }
    }
}

impl Inner {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, tokens: &Durable<StoredTokens>) {
        self.now().tokens = Some(tokens.clone());
    }

    /// The token in memory, if nothing speaks against it.
    fn usable(&self) -> Option<Durable<Bearer>> {
        let now = self.now();
        let tokens = now.tokens.as_ref()?;
        let row = tokens.get();
        let again = Some(row.generation);
        let good = matches!(row.state, SignInState::Active | SignInState::Degraded { .. })
            && again != now.refused
            && again != now.forced
            && row.access_expires_at.is_some_and(|end| after(self.clock.now(), margin(row)) < end);
        if good { bearer(tokens) } else { None }
    }

    /// The old access token, while the vendor or the disk does not let us have a new one.
    fn last_use(&self) -> Option<Durable<Bearer>> {
        let now = self.now();
        let tokens = now.tokens.as_ref()?;
        let row = tokens.get();
        let good = Some(row.generation) != now.refused
            && row.access_expires_at.is_some_and(|end| after(self.clock.now(), LAST_USE) < end);
        if good { bearer(tokens) } else { None }
    }

    /// Gives a token, by a look at the row or by a refresh. The caller holds the flight.
    async fn renew(self: &Arc<Self>, flight: &mut Flight) -> Result<Durable<Bearer>> {
        // Whoever waited for the flight finds the work done.
        if let Some(bearer) = self.usable() {
            return Ok(bearer);
        }
        if self.now().degraded {
            let error = Error::new(ErrorKind::Unavailable, OP, "the last tokens are not in the database yet")
                .next("Make room on the disk of the state directory, and check that it can be written.");
            return self.last_use().ok_or(error);
        }
        let row = match self.vault.load(&self.sign_in).await {
            Ok(row) => row,
            Err(error) => return self.last_use().ok_or(error),
        };
        self.remember(&row);
        if let Some(bearer) = self.usable() {
            self.forget_old_previous(row.get()).await;
            return Ok(bearer);
        }
        if let SignInState::NeedsReauth { why, .. } = &row.get().state {
            return Err(dead(why));
        }
        let wait = flight.not_before.map(|t| t.saturating_duration_since(Instant::now())).unwrap_or_default();
        if !wait.is_zero() {
            let error = Error::new(ErrorKind::Unavailable, OP, "the sign-in could not be renewed a moment ago")
                .retry(Retry::After(wait));
            return self.last_use().ok_or(error);
        }
        // Before the write gate: a hundred callers of a frozen app are not a hundred writes.
        if let Some(error) = self.client.frozen(OP) {
            return Err(error);
        }
        match self.protocol(row.get(), flight.attempt).await {
            Ok(tokens) => {
                *flight = Flight::default();
                bearer(&tokens).ok_or_else(|| Error::contract(OP, "the vault gave back a row without an access token"))
            }
            Err(error) if matches!(error.kind, ErrorKind::Config | ErrorKind::Unauthenticated) => Err(error),
            Err(error) => {
                let error = postpone(flight, error);
                self.last_use().ok_or(error)
            }
        }
    }

    /// Intent, call, commit. Dropped at any point (the process dies), the row is enough to go on from.
    async fn protocol(self: &Arc<Self>, row: &StoredTokens, attempt: u32) -> Result<Durable<StoredTokens>> {
        let Some(refresh) = &row.refresh else { return Err(dead("there is no refresh token")) };
        match self.call(row, refresh, attempt).await? {
            Some(tokens) => Ok(tokens),
            None => self.doubt(row, attempt).await,
        }
    }

    /// One token call between its intent and its commit. `None`: the vendor refused the token.
    async fn call(
        self: &Arc<Self>,
        row: &StoredTokens,
        token: &Secret,
        attempt: u32,
    ) -> Result<Option<Durable<StoredTokens>>> {
        // The write gate: a disk that does not take the old tokens will not take the new ones (T05).
        self.vault.intend(&self.sign_in, row.generation, attempt, self.clock.now()).await?;
        match self.client.refresh(token).await {
            Refreshed::Granted(granted) => self.store(row, token, granted).await.map(Some),
            Refreshed::Refused(_) => Ok(None),
            Refreshed::ClientRefused(error) | Refreshed::Unknown(error) => Err(error),
        }
    }

    /// The vendor says that the token is not good. It may be wrong, or somebody else may have renewed (T10).
    async fn doubt(self: &Arc<Self>, row: &StoredTokens, attempt: u32) -> Result<Durable<StoredTokens>> {
        if let Some(newer) = self.moved(row.generation).await? {
            return Ok(newer);
        }
        tokio::time::sleep(DOUBT).await;
        if let Some(newer) = self.moved(row.generation).await? {
            return Ok(newer);
        }
        let previous = row.previous.as_ref().filter(|_| self.grace_lasts(row));
        for token in row.refresh.iter().chain(previous) {
            if let Some(tokens) = self.call(row, token, attempt).await? {
                return Ok(tokens);
            }
        }
        let why = "the service refused the refresh token twice, a minute apart";
        self.vault.needs_reauth(&self.sign_in, row.generation, why, self.clock.now()).await?;
        Err(dead(why))
    }

    /// Whether the vendor documents that the previous token is still good for a retry, and for how long.
    fn grace_lasts(&self, row: &StoredTokens) -> bool {
        let Rotation::SingleUse { grace: Some(grace) } = self.client.spec().rotation else { return false };
        row.last_refreshed.is_some_and(|at| self.clock.now() < after(at, grace))
    }

    async fn moved(&self, generation: u64) -> Result<Option<Durable<StoredTokens>>> {
        let row = self.vault.load(&self.sign_in).await?;
        if row.get().generation == generation {
            return Ok(None);
        }
        self.remember(&row);
        Ok(Some(row))
    }

    /// The vendor has answered with new tokens. From here to the commit they exist in memory alone.
    async fn store(
        self: &Arc<Self>,
        row: &StoredTokens,
        sent: &Secret,
        granted: Granted,
    ) -> Result<Durable<StoredTokens>> {
        let at = self.clock.now();
        let refresh = granted.refresh.clone().unwrap_or_else(|| sent.clone());
        let new = NewTokens {
            access_issued_at: at,
            access_expires_at: granted.expires_at(at),
            refresh_expires_at: granted.refresh_expires_at(at).or(row.refresh_expires_at),
            previous: (refresh.expose() != sent.expose()).then(|| sent.clone()),
            refresh: Some(refresh),
            access: granted.access,
        };
        let tokens = loop {
            match self.vault.commit(&self.sign_in, row.generation, &new).await {
                Ok(tokens) => break tokens,
                // Somebody stored newer ones, which the instance lock should have made impossible.
                Err(e) if e.kind == ErrorKind::Conflict => break self.vault.load(&self.sign_in).await?,
                Err(error) => {
                    tracing::error!(name: "token.commit", sign_in = self.sign_in, %error, "new tokens cannot be stored")
                }
            }
            if let Ok(tokens) = self.vault.spool(&self.sign_in, row.generation, &new).await {
                self.commit_later(row.generation, new);
                break tokens;
            }
            // Nothing takes them. They stay in memory, and nobody gets the access token (I8).
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        self.remember(&tokens);
        Ok(tokens)
    }

    /// Tokens are safe in the spool; brings them into the row as soon as it can be written.
    fn commit_later(self: &Arc<Self>, generation: u64, new: NewTokens) {
        self.now().degraded = true;
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                match inner.vault.commit(&inner.sign_in, generation, &new).await {
                    Ok(tokens) => inner.remember(&tokens),
                    Err(e) if e.kind == ErrorKind::Conflict => {}
                    Err(_) => continue,
                }
                inner.now().degraded = false;
                return;
            }
        });
    }

    async fn forget_old_previous(&self, row: &StoredTokens) {
        let old = row.last_refreshed.is_some_and(|at| after(at, PREVIOUS_MAX) <= self.clock.now());
        if row.previous.is_some() && old && row.state == SignInState::Active {
            self.settle_previous(row.generation).await;
        }
    }

    /// A failure here costs nothing: the next call that works tries again.
    async fn settle_previous(&self, generation: u64) {
        if self.vault.settle_previous(&self.sign_in, generation).await.is_err() {
            return;
        }
        let mut now = self.now();
        if let Some(tokens) = now.tokens.take() {
            now.tokens = Some(tokens.map(|mut t| {
                if t.generation == generation {
                    t.previous = None;
                }
                t
            }));
        }
    }
}

fn bearer(tokens: &Durable<StoredTokens>) -> Option<Durable<Bearer>> {
    let token = tokens.get().access.clone()?;
    Some(tokens.clone().map(|t| Bearer { token, generation: t.generation }))
}

/// Five minutes, or a fifth of the token's life if that is shorter.
fn margin(row: &StoredTokens) -> Duration {
    let life = row.access_expires_at.zip(row.access_issued_at).map(|(end, start)| end.duration_since(start));
    let life = life.and_then(|d| Duration::try_from(d).ok()).unwrap_or(MARGIN_MAX * 5);
    (life / 5).min(MARGIN_MAX)
}

fn after(at: Timestamp, wait: Duration) -> Timestamp {
    at.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

/// An unknown outcome: the same token again, later. The vendor's own pause counts if it is longer.
fn postpone(flight: &mut Flight, error: Error) -> Error {
    let step = PAUSES.get(flight.attempt as usize).or(PAUSES.last()).copied().unwrap_or(120);
    let mut wait = Duration::from_secs(step);
    if let Retry::After(asked) = error.retry {
        wait = wait.max(asked);
    }
    flight.attempt = flight.attempt.saturating_add(1);
    flight.not_before = Some(Instant::now() + wait);
    let mut out =
        Error::new(ErrorKind::Unavailable, OP, format!("the sign-in could not be renewed: {}", error.message))
            .retry(Retry::After(wait));
    out.next = error.next;
    out.context = error.context;
    out
}

fn dead(why: &str) -> Error {
    Error::new(ErrorKind::Unauthenticated, OP, format!("the sign-in has ended: {why}"))
        .next("Sign in to this connection again. Until then nobody's access changes.")
}

#[cfg(test)]
mod tests;
