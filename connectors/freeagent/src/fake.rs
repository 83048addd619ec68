//! FreeAgent as a pure function of (state, request): sign-in, a practice, its clients' companies, and their limits.
//!
//! Shares no type with `api` and `map`. What it does not know it answers with 599.

mod answers;
mod books;
mod control;
mod endpoints;
mod oauth;
mod world;

use std::collections::BTreeMap;

use http::Method;
use jiff::Timestamp;
use ledgerward_kit::fake::{Fake as Vendor, FakeRequest, FakeResponse, Moment};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::{
    control::Outage,
    oauth::Tokens,
    world::{App, Client, Manager, Window, World},
};

/// An answer, or one that came before the data could be looked at.
type Answer = Result<FakeResponse, FakeResponse>;

/// FreeAgent, with one practice and its clients.
#[derive(Deserialize, Serialize)]
pub struct Fake {
    /// What every address in an answer begins with: `https://api.freeagent.com/v2`.
    base: String,
    app: App,
    practice: String,
    managers: Vec<Manager>,
    /// Who the next consent is given by.
    signing_in: u64,
    clients: Vec<Client>,
    tokens: Tokens,
    /// By account manager: the calls of this minute, and of this hour.
    windows: BTreeMap<u64, (Window, Window)>,
    refreshes: Window,
    outages: Vec<Outage>,
    /// A fault of the vendor: one client's requests are answered from another's data.
    swapped: BTreeMap<u64, u64>,
    requests: BTreeMap<String, u64>,
    limited: u64,
    /// The vendor's clock as of the last request. What a person does in between happens at that time.
    clock: Option<Timestamp>,
}

impl Fake {
    /// From a seed, whose shape the README describes. An error says what is wrong with it.
    pub fn from_seed(seed: &Value) -> Result<Self, String> {
        world::read(seed).map(Self::new)
    }

    /// A practice with `n` clients.
    pub fn many(n: usize) -> Result<Self, String> {
        world::many(n).map(Self::new)
    }

    /// The small practice of `fixtures/freeagent/firm.json`.
    pub fn sample() -> Result<Self, String> {
        let seed = serde_json::from_str(include_str!("../../../fixtures/freeagent/firm.json"));
        Self::from_seed(&seed.map_err(|e| e.to_string())?)
    }

    /// From what [`Vendor::save`] gave, in this process or another. An error says what is wrong with it.
    pub fn restore(saved: &Value) -> Result<Self, String> {
        Self::deserialize(saved).map_err(|e| {
            format!("the saved state of the FreeAgent sandbox does not fit this program ({e}); start a new sandbox")
        })
    }

    /// Served under another address than FreeAgent's own, such as `http://127.0.0.1:8801/v2`.
    #[must_use]
    pub fn at(mut self, base: &str) -> Self {
        base.trim_end_matches('/').clone_into(&mut self.base);
        self
    }

    fn new(w: World) -> Self {
        let signing_in = w.managers.first().map(|m| m.id).unwrap_or_default();
        Self {
            base: w.base,
            app: w.app,
            practice: w.practice,
            managers: w.managers,
            signing_in,
            clients: w.clients,
            tokens: Tokens::default(),
            windows: BTreeMap::new(),
            refreshes: Window::default(),
            outages: Vec::new(),
            swapped: BTreeMap::new(),
            requests: BTreeMap::new(),
            limited: 0,
            clock: None,
        }
    }

    fn route(&mut self, now: Timestamp, request: &FakeRequest) -> Answer {
        let path: Vec<&str> = request.path.split('/').filter(|p| !p.is_empty()).collect();
        let ["v2", path @ ..] = path.as_slice() else { return Err(FakeResponse::unknown(request)) };
        match (&request.method, path) {
            (&Method::GET, ["approve_app"]) => return Ok(self.approve(now, request)),
            (&Method::POST, ["token_endpoint"]) => return Ok(self.token(now, request)),
            (&Method::GET, _) => {}
            _ => return Err(FakeResponse::unknown(request)),
        }
        if request.header("user-agent").is_none_or(|a| a.trim().is_empty()) {
            return Err(answers::refused(400, "A User-Agent header is required"));
        }
        let manager = self.bearer(now, request)?;
        self.count(now, manager, request)?;
        let manager = self.managers.iter().find(|m| m.id == manager).ok_or_else(answers::unauthorised)?;
        let answer = match request.header("x-subdomain") {
            None => self.of_practice(manager, path, request),
            Some(subdomain) => self.of_client(manager, subdomain, path, request),
        }?;
        // Without being asked for JSON it writes XML.
        let json = request.header("accept").is_some_and(|a| a.contains("application/json"));
        Ok(if json { answer } else { answers::xml() })
    }

    fn of_client(&self, manager: &Manager, subdomain: &str, path: &[&str], request: &FakeRequest) -> Answer {
        let client = self.clients.iter().find(|c| c.subdomain == subdomain).ok_or_else(answers::not_found)?;
        if !manager.sees(client) {
            return Err(answers::refused(403, "You are not permitted to access this client"));
        }
        let data = self.swapped.get(&client.id).unwrap_or(&client.id);
        let data = self.clients.iter().find(|c| c.id == *data).ok_or_else(answers::not_found)?;
        endpoints::answer(self, data, path, request)
    }

    /// Counts a call against the limits of the person. Windows are fixed.
    fn count(&mut self, now: Timestamp, manager: u64, request: &FakeRequest) -> Result<(), FakeResponse> {
        // The sandbox's own header for testing patience.
        let testing = request.header("x-ratelimit-test") == Some("true");
        let (minute_limit, hour_limit) = (if testing { 5 } else { self.app.per_minute }, self.app.per_hour);
        let (minute, hour) = self.windows.entry(manager).or_default();
        let at = now.as_second();
        let wait = match (minute.full(at, 60, minute_limit), hour.full(at, 3_600, hour_limit)) {
            (None, None) => {
                minute.calls += 1;
                hour.calls += 1;
                return Ok(());
            }
            (a, b) => a.max(b).unwrap_or_default(),
        };
        self.limited += 1;
        Err(self.slow_down(wait))
    }

    fn slow_down(&self, wait: i64) -> FakeResponse {
        let answer = answers::error(429, "Too many requests");
        if self.app.retry_after { answer.header("retry-after", wait.to_string()) } else { answer }
    }

    /// The address of a thing.
    fn url(&self, kind: &str, id: u64) -> String {
        format!("{}/{kind}/{id}", self.base)
    }

    /// When a person acts. Before the first request there is no time yet; [`Tokens::start`] puts that right.
    fn now(&self) -> Timestamp {
        self.clock.unwrap_or(Timestamp::MAX)
    }
}

/// A parameter that is not documented, or comes twice, is a request this fake does not know.
fn only(request: &FakeRequest, known: &[&str]) -> Result<(), FakeResponse> {
    let mut seen = std::collections::BTreeSet::new();
    let fine = request.query.iter().all(|(k, _)| known.contains(&k.as_str()) && seen.insert(k));
    if fine { Ok(()) } else { Err(FakeResponse::unknown(request)) }
}

impl Vendor for Fake {
    fn answer(&mut self, at: Moment, request: &FakeRequest) -> FakeResponse {
        if self.clock.replace(at.now).is_none() {
            self.tokens.start(at.now);
        }
        let general: Vec<_> =
            request.path.split('/').map(|p| if p.parse::<u64>().is_ok() { "{id}" } else { p }).collect();
        *self.requests.entry(format!("{} {}", request.method, general.join("/"))).or_default() += 1;
        match self.outage(request) {
            Some(outage) => outage.apply(request, |r| self.route(at.now, r).unwrap_or_else(|refused| refused)),
            None => self.route(at.now, request).unwrap_or_else(|refused| refused),
        }
    }

    fn control(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        self.act(verb, args)
    }

    fn save(&self) -> Value {
        // Every key is a string or a number, so there is nothing to fail; `Null` is what `restore` would refuse.
        serde_json::to_value(self).unwrap_or_default()
    }
}
