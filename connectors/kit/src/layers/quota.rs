//! The vendor's limits, kept before the vendor has to refuse.
//!
//! A request takes its turn here last, right before the wire and after the token is there: were it held up between its
//! turn and the wire (a slot, a token renewal), requests would bunch up and break a limit that each of them kept.
//!
//! The pace is a leaky bucket of our own rather than `governor`'s, for three things that it needs: a turn is reserved
//! ahead, so that a wait which cannot fit the deadline is known at once; 10,000 waiters wake up once each; and the
//! vendor's own numbers can push the next turn back.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use ledgerward_contract::{
    Date, Effect, Error, ErrorKind, Quota, QuotaScope, QuotaWindow, Request, Response, Result, Retry, Timestamp,
    Transport,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{Verdict, deadline, slow_down, stop};
use crate::clock::Clock;

const MINUTE: Duration = Duration::from_secs(60);
/// What a request must have left of its deadline when its turn comes. One that is cut off under way leaves a write with
/// an unknown outcome, and the vendor with a request it still counts.
const ROOM: Duration = Duration::from_secs(5);

/// Counts calls by day, durably, so that a restart does not forget a used-up allowance. A month counts under its first day.
#[async_trait]
pub trait DayCounter: Send + Sync {
    /// The count of this key on this day, zero if there is none.
    async fn get(&self, key: &str, day: Date) -> Result<u32>;
    /// Adds `n` and gives the new count. Need not survive a power cut to the last call; the vendor's headers correct it.
    async fn add(&self, key: &str, day: Date, n: u32) -> Result<u32>;
    /// The vendor says that at least so many were used: raises the count, never lowers it.
    async fn at_least(&self, key: &str, day: Date, used: u32) -> Result<()>;
}

/// A day counter for tests and for commands that run without a store.
#[derive(Debug, Default)]
pub struct MemoryDays(Mutex<BTreeMap<(String, Date), u32>>);

#[async_trait]
impl DayCounter for MemoryDays {
    async fn get(&self, key: &str, day: Date) -> Result<u32> {
        Ok(lock(&self.0).get(&(key.to_owned(), day)).copied().unwrap_or(0))
    }

    async fn add(&self, key: &str, day: Date, n: u32) -> Result<u32> {
        let mut map = lock(&self.0);
        let count = map.entry((key.to_owned(), day)).or_default();
        *count = count.saturating_add(n);
        Ok(*count)
    }

    async fn at_least(&self, key: &str, day: Date, used: u32) -> Result<()> {
        let mut map = lock(&self.0);
        let count = map.entry((key.to_owned(), day)).or_default();
        *count = used.max(*count);
        Ok(())
    }
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A leaky bucket: a small burst, then one turn a period.
///
/// In no window of a minute, whatever its phase, are there more turns than `limit`: burst + 60 s / period <= limit - 1.
/// The one kept back pays for a request that took longer on the way than the next.
struct Pace {
    limit: u32,
    period: Duration,
    /// How far ahead of its even turn a request may go: (burst - 1) periods.
    slack: Duration,
    /// When the next even turn is.
    next: Instant,
    /// Turns of the last minute, for comparing with what the vendor counts.
    recent: VecDeque<Instant>,
}

impl Pace {
    fn new(limit: u32, now: Instant) -> Self {
        let (burst, period) = rate(limit);
        Self { limit, period, slack: period * (burst - 1), next: now, recent: VecDeque::new() }
    }

    fn earliest(&self, now: Instant) -> Instant {
        self.next.checked_sub(self.slack).unwrap_or(now).max(now)
    }

    fn take(&mut self, turn: Instant) {
        self.next = self.next.max(turn) + self.period;
        while self.recent.front().is_some_and(|t| *t + MINUTE <= turn) {
            self.recent.pop_front();
        }
        self.recent.push_back(turn);
    }

    /// No turn before `until`, and no burst then.
    fn push(&mut self, until: Instant) {
        self.next = self.next.max(until + self.slack);
    }

    /// The vendor counts fewer left than we do: somebody else uses this limit too. What is left is spread over the longest
    /// time until the vendor's window can end.
    fn correct(&mut self, left: u32, now: Instant) {
        let mine = self.recent.len() - self.recent.partition_point(|t| *t + MINUTE <= now);
        let expected = self.limit.saturating_sub(u32::try_from(mine).unwrap_or(u32::MAX));
        if left < expected {
            self.push(now + MINUTE / (left + 1));
        }
    }
}

/// Burst and period for a limit a minute. 60 gives 5 and 1.11 s; 10,000 gives 50 and 6.03 ms.
fn rate(limit: u32) -> (u32, Duration) {
    let burst = (limit / 12).clamp(1, 50);
    let even = limit.saturating_sub(burst + 1);
    // With one or two a minute there is nothing to keep back; the window's own end is kept clear instead.
    let period = if even == 0 { (MINUTE + Duration::from_secs(1)) / limit.max(1) } else { MINUTE / even };
    (burst, period)
}

#[derive(Default)]
struct State {
    /// By place in the list of quotas, and tenant.
    paces: BTreeMap<(usize, String), Pace>,
    slots: BTreeMap<(usize, String), Arc<Semaphore>>,
    /// By tenant; the empty name parks the whole connection.
    parked: BTreeMap<String, Instant>,
}

/// The limits of one connection. All stacks of one app registration share one of these.
pub struct Quotas {
    connection: String,
    limits: &'static [Quota],
    days: Arc<dyn DayCounter>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl Quotas {
    /// `connection` names the app registration in the day counter.
    pub fn new(
        connection: impl Into<String>,
        limits: &'static [Quota],
        days: Arc<dyn DayCounter>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let state = Mutex::new(State::default());
        Arc::new(Self { connection: connection.into(), limits, days, clock, state })
    }

    /// Until when requests of this tenant, or of the whole connection, are held; for `status`.
    pub fn parked_for(&self, tenant: Option<&str>) -> Option<Duration> {
        let now = Instant::now();
        let until = self.parked_until(tenant)?;
        (until > now).then(|| until - now)
    }

    fn parked_until(&self, tenant: Option<&str>) -> Option<Instant> {
        let state = lock(&self.state);
        let own = tenant.and_then(|t| state.parked.get(t));
        state.parked.get("").max(own).copied()
    }

    /// The quotas that count this request, each with the name under which it counts.
    fn applying<'a>(&'a self, tenant: Option<&'a str>) -> impl Iterator<Item = (usize, &'static Quota, &'a str)> {
        self.limits.iter().enumerate().filter_map(move |(i, q)| match q.scope {
            QuotaScope::Connection => Some((i, q, "")),
            QuotaScope::Tenant => tenant.map(|t| (i, q, t)),
        })
    }

    /// Waits for everything a request has to wait for. The permits are its slots; they are given back when it is done.
    async fn turn(&self, request: &Request) -> Result<Vec<OwnedSemaphorePermit>> {
        let tenant = request.tenant.as_deref();
        loop {
            // Not while holding a slot: a parked tenant must not keep the others out.
            if let Some(wait) = self.parked_for(tenant) {
                fits(request.op, wait, "the service asked us to wait")?;
                tokio::time::sleep(wait).await;
            }
            let slots = tokio::time::timeout(deadline::left().saturating_sub(ROOM), self.slots(tenant)).await;
            let Ok(slots) = slots else {
                let text = "the requests under way took all the time that this call may take";
                return Err(Error::new(ErrorKind::RateLimited, request.op, text).retry(Retry::After(ROOM)));
            };
            let wait = self.reserve(request)?;
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            if self.parked_for(tenant).is_none() {
                self.charge(request).await?;
                return Ok(slots);
            }
        }
    }

    async fn slots(&self, tenant: Option<&str>) -> Vec<OwnedSemaphorePermit> {
        let wanted: Vec<_> = {
            let mut state = lock(&self.state);
            self.applying(tenant)
                .filter_map(|(i, q, name)| match q.window {
                    QuotaWindow::Concurrent(n) => {
                        let new = || Arc::new(Semaphore::new(n.max(1) as usize));
                        Some(Arc::clone(state.slots.entry((i, name.to_owned())).or_insert_with(new)))
                    }
                    _ => None,
                })
                .collect()
        };
        let mut held = Vec::with_capacity(wanted.len());
        for semaphore in wanted {
            // It fails only when closed, and nobody closes one.
            held.extend(semaphore.acquire_owned().await.ok());
        }
        held
    }

    /// Takes the next turn that suits every pace, and says how far away it is. Takes none if it is beyond the deadline.
    fn reserve(&self, request: &Request) -> Result<Duration> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let keys: Vec<_> = self
            .applying(request.tenant.as_deref())
            .filter_map(|(i, q, name)| match q.window {
                QuotaWindow::PerMinute(limit) => Some(((i, name.to_owned()), limit)),
                _ => None,
            })
            .collect();
        let mut turn = now;
        for (key, limit) in &keys {
            let pace = state.paces.entry(key.clone()).or_insert_with(|| Pace::new(*limit, now));
            turn = turn.max(pace.earliest(now));
        }
        fits(request.op, turn - now, "too many requests are waiting for their turn")?;
        for (key, _) in &keys {
            if let Some(pace) = state.paces.get_mut(key) {
                pace.take(turn);
            }
        }
        Ok(turn - now)
    }

    /// Pays for one call. A tenth of the day is left to calls that take access away (P10), a fifth of the month to those
    /// that cannot wait.
    async fn charge(&self, request: &Request) -> Result<()> {
        let now = self.clock.now();
        for (_, quota, name) in self.applying(request.tenant.as_deref()) {
            let (limit, mine, span) = match quota.window {
                QuotaWindow::PerDay(n) if takes_away(request) => (n, n, Span::Day),
                QuotaWindow::PerDay(n) => (n, n - n.div_ceil(10), Span::Day),
                QuotaWindow::PerMonth(n) if request.optional => (n, n - n.div_ceil(5), Span::Month),
                QuotaWindow::PerMonth(n) => (n, n, Span::Month),
                QuotaWindow::Concurrent(_) | QuotaWindow::PerMinute(_) => continue,
            };
            let (day, ends_in) = span.at(now);
            let key = self.day_key(quota, name);
            if self.days.get(&key, day).await? >= mine {
                let (word, end) = span.words();
                let text = if mine == limit {
                    format!("the {limit} calls that the service allows in a {word} are used up")
                } else {
                    format!(
                        "{mine} of the {limit} calls that the service allows in a {word} are used up; the rest is kept"
                    )
                };
                return Err(Error::new(ErrorKind::RateLimited, request.op, text)
                    .retry(Retry::After(ends_in))
                    .next(format!("Nothing is lost; it goes on by itself {end}."))
                    .with("quota", quota.name));
            }
            self.days.add(&key, day, 1).await?;
        }
        Ok(())
    }

    fn day_key(&self, quota: &Quota, name: &str) -> String {
        format!("{}/{}/{name}", self.connection, quota.name)
    }

    /// Believes the vendor's own numbers where they are lower than ours.
    async fn learn(&self, tenant: Option<&str>, response: &Response, limited: Option<Retry>) -> Result<()> {
        let now = Instant::now();
        if let Some(Retry::After(wait)) = limited {
            self.park(tenant, response, now + wait);
        }
        let clock = self.clock.now();
        for (i, quota, name) in self.applying(tenant) {
            let left = quota.remaining_header.and_then(|h| response.header(h)?.trim().parse::<u32>().ok());
            let Some(left) = left else { continue };
            match quota.window {
                QuotaWindow::PerMinute(_) => {
                    if let Some(pace) = lock(&self.state).paces.get_mut(&(i, name.to_owned())) {
                        pace.correct(left, now);
                    }
                }
                QuotaWindow::PerDay(limit) | QuotaWindow::PerMonth(limit) => {
                    let month = matches!(quota.window, QuotaWindow::PerMonth(_));
                    let (day, _) = if month { Span::Month } else { Span::Day }.at(clock);
                    self.days.at_least(&self.day_key(quota, name), day, limit.saturating_sub(left)).await?;
                }
                QuotaWindow::Concurrent(_) => {}
            }
        }
        Ok(())
    }

    /// Holds whatever the refusal was about. Xero names it: `minute`, `day` and `concurrent` are the tenant's, `appminute`
    /// is everybody's; a word we do not know is taken for everybody's too.
    fn park(&self, tenant: Option<&str>, response: &Response, until: Instant) {
        let own = response.header("x-rate-limit-problem").is_none_or(|problem| {
            ["minute", "day", "concurrent"].iter().any(|known| problem.trim().eq_ignore_ascii_case(known))
        });
        let name = tenant.filter(|_| own).unwrap_or_default();
        let mut state = lock(&self.state);
        let parked = state.parked.entry(name.to_owned()).or_insert(until);
        *parked = until.max(*parked);
        let whole = name.is_empty();
        for ((_, key), pace) in &mut state.paces {
            if whole || key == name {
                pace.push(until);
            }
        }
    }
}

/// Whether a refusal is about the thing that was asked for: a file that is open, a folder that is still being changed. The
/// request itself waits as long as it was told; nothing else does.
const fn about_one_thing(response: &Response) -> bool {
    matches!(response.status, 409 | 412 | 423)
}

/// Whether a request takes something away: a write by DELETE, or one whose operation says so (`permission.delete`,
/// `member.remove`), since some vendors revoke by POST.
fn takes_away(request: &Request) -> bool {
    let verb = request.op.rsplit('.').next().unwrap_or_default();
    let named = ["delete", "remove", "revoke"].iter().any(|v| verb.starts_with(v));
    request.effect == Effect::Write && (request.method == http::Method::DELETE || named)
}

/// Refuses a wait that is longer than the call may take.
fn fits(op: &'static str, wait: Duration, why: &str) -> Result<()> {
    if wait.is_zero() || wait + ROOM < deadline::left() {
        return Ok(());
    }
    let text = format!("{why}: {} s, longer than this call may take", wait.as_secs());
    Err(Error::new(ErrorKind::RateLimited, op, text).retry(Retry::After(wait)))
}

/// A vendor's day or month, taken to be that of UTC. Where it is a rolling one instead, the remaining-header corrects us.
#[derive(Clone, Copy)]
enum Span {
    Day,
    Month,
}

impl Span {
    /// The day it is counted under, and how long it lasts still. A month is counted under its first day.
    fn at(self, now: Timestamp) -> (Date, Duration) {
        let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
        let days_left = match self {
            Self::Day => 1,
            Self::Month => i64::from(today.days_in_month() - today.day()) + 1,
        };
        let seconds = days_left * 86_400 - now.as_second().rem_euclid(86_400);
        let day = if matches!(self, Self::Month) { today.first_of_month() } else { today };
        (day, Duration::from_secs(seconds.unsigned_abs()))
    }

    /// As said to a person: what it is, and when it is over.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Day => ("day", "after midnight UTC"),
            Self::Month => ("month", "on the first of the next month"),
        }
    }
}

/// The layer.
pub struct Pay {
    pub quotas: Arc<Quotas>,
    pub verdict: Verdict,
    pub inner: Arc<dyn Transport>,
}

#[async_trait]
impl Transport for Pay {
    async fn send(&self, request: Request) -> Result<Response> {
        let (op, effect, tenant) = (request.op, request.effect, request.tenant.clone());
        let sent = async {
            let slots = self.quotas.turn(&request).await?;
            let response = self.inner.send(request).await?;
            drop(slots);
            Ok(response)
        };
        let response = stop::or(op, effect, sent).await?;
        let limited = slow_down(&response, self.verdict, &*self.quotas.clock).filter(|_| !about_one_thing(&response));
        // A counter that cannot be corrected must not turn an answer (perhaps to a write) into an error.
        if let Err(error) = self.quotas.learn(tenant.as_deref(), &response, limited).await {
            tracing::warn!(name: "quota.learn", op, %error, "the day's count could not be corrected");
        }
        Ok(response)
    }
}
