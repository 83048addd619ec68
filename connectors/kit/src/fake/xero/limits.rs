//! The limits of Xero's gateway, counted for each app and tenant, and how a request names its tenant.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fake::{FakeRequest, FakeResponse, Moment};

/// Requests at once, of one app in one tenant.
const CONCURRENT: usize = 5;
const PER_MINUTE: u32 = 60;
const APP_PER_MINUTE: u32 = 10_000;

/// A fixed window of a limit: which one, and how many calls fell in it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Window {
    pub number: i64,
    pub calls: u32,
}

impl Window {
    /// Begins anew when the window of this second is another. Windows are `length` seconds long and begin `shift` late.
    pub fn roll(&mut self, now: i64, length: i64, shift: i64) {
        let number = (now - shift).div_euclid(length);
        if self.number != number {
            *self = Self { number, calls: 0 };
        }
    }
}

/// What is counted of one tenant.
pub struct Counted<'a> {
    pub tenant: Uuid,
    pub minute: &'a mut Window,
    pub day: &'a mut Window,
    pub day_limit: u32,
}

/// Counts a call against every limit; what is left of the minute, the day and the app's minute. Windows are fixed, and begin
/// at another second in each tenant. A refusal is counted in `limited` under the limit's name.
pub fn count(
    at: Moment,
    Counted { tenant, minute, day, day_limit }: Counted<'_>,
    app: &mut Window,
    limited: &mut BTreeMap<String, u64>,
) -> Result<[u32; 3], FakeResponse> {
    let now = at.now.as_second();
    let phase = i64::from(tenant.as_bytes().first().copied().unwrap_or_default());
    app.roll(now, 60, 0);
    minute.roll(now, 60, phase);
    day.roll(now, 86_400, phase * 337);
    let wait = |w: &Window, length: i64, shift: i64| (w.number + 1) * length + shift - now;
    let full = match () {
        () if at.in_flight >= CONCURRENT => Some(("concurrent", None)),
        () if minute.calls >= PER_MINUTE => Some(("minute", Some(wait(minute, 60, phase)))),
        () if day.calls >= day_limit => Some(("day", Some(wait(day, 86_400, phase * 337)))),
        () if app.calls >= APP_PER_MINUTE => Some(("appminute", None)),
        () => None,
    };
    if full.is_none() {
        minute.calls += 1;
        day.calls += 1;
        app.calls += 1;
    }
    let left = [PER_MINUTE - minute.calls, day_limit - day.calls, APP_PER_MINUTE - app.calls];
    let Some((problem, seconds)) = full else { return Ok(left) };
    *limited.entry(problem.to_owned()).or_default() += 1;
    // Recorded: an empty body, and the wait only for the minute and the day.
    let answer = told(FakeResponse::new(429).header("x-rate-limit-problem", problem), left);
    Err(match seconds {
        Some(s) => answer.header("retry-after", s.to_string()),
        None => answer,
    })
}

/// Counts a call that is of no tenant: against the app's minute alone. What is left of it.
pub fn count_app(now: Timestamp, app: &mut Window, limited: &mut BTreeMap<String, u64>) -> Result<u32, FakeResponse> {
    app.roll(now.as_second(), 60, 0);
    if app.calls >= APP_PER_MINUTE {
        *limited.entry("appminute".to_owned()).or_default() += 1;
        return Err(told_app(FakeResponse::new(429).header("x-rate-limit-problem", "appminute"), 0));
    }
    app.calls += 1;
    Ok(APP_PER_MINUTE - app.calls)
}

/// The answer with what is left of every limit.
pub fn told(answer: FakeResponse, [minute, day, app]: [u32; 3]) -> FakeResponse {
    let answer =
        answer.header("x-minlimit-remaining", minute.to_string()).header("x-daylimit-remaining", day.to_string());
    told_app(answer, app)
}

pub fn told_app(answer: FakeResponse, left: u32) -> FakeResponse {
    answer.header("x-appminlimit-remaining", left.to_string())
}

/// Whose data a request is for.
pub fn tenant(request: &FakeRequest) -> Option<Uuid> {
    request.header("xero-tenant-id").and_then(|t| Uuid::parse_str(t).ok())
}

/// A parameter that is not documented, or comes twice, is a request that no fake knows.
pub fn only(request: &FakeRequest, known: &[&str]) -> Result<(), FakeResponse> {
    let mut seen = BTreeSet::new();
    let fine = request.query.iter().all(|(k, _)| known.contains(&k.as_str()) && seen.insert(k));
    if fine { Ok(()) } else { Err(FakeResponse::unknown(request)) }
}

/// A path with `{id}` for ids, for counting.
pub fn general(path: &str) -> String {
    path.split('/').map(|p| if Uuid::parse_str(p).is_ok() { "{id}" } else { p }).collect::<Vec<_>>().join("/")
}
