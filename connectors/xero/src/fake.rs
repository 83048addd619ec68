//! Xero as a pure function of (state, request): sign-in, connections, one organisation's APIs, and their limits.
//!
//! Shares no type with `api` and `map`. What it does not know it answers with 599.

mod answers;
mod books;
mod control;
mod endpoints;
mod finance;
mod oauth;
mod saved;
mod seed;
mod world;

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use jiff::Timestamp;
use ledgerward_kit::fake::{
    Fake as Vendor, FakeRequest, FakeResponse, Moment, id_of,
    xero::{
        Identity, Tokens,
        limits::{self, Counted, Window, general, only, tenant},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use self::{
    control::Outage,
    world::{App, Login, Org, World},
};

/// An answer, or one that came before the data could be looked at.
type Answer = Result<FakeResponse, FakeResponse>;

/// Xero, with its customers.
#[derive(Deserialize, Serialize)]
pub struct Fake {
    app: App,
    logins: Vec<Login>,
    /// Who the next consent is given by.
    signing_in: String,
    #[serde(with = "saved")]
    orgs: BTreeMap<Uuid, Org>,
    tokens: Tokens,
    app_minute: Window,
    outages: Vec<Outage>,
    /// A fault of the vendor: one organisation's requests are answered from another's data.
    swapped: BTreeMap<Uuid, Uuid>,
    requests: BTreeMap<String, u64>,
    limited: BTreeMap<String, u64>,
    served: u64,
    /// The vendor's clock as of the last request. What a person does in between happens at that time.
    clock: Option<Timestamp>,
}

impl Fake {
    /// From a seed, whose shape the README describes. An error says what is wrong with it.
    pub fn from_seed(seed: &Value) -> Result<Self, String> {
        seed::read(seed).and_then(Self::new)
    }

    /// A firm with `n` organisations, small enough in memory for 10,000.
    pub fn many(n: usize) -> Result<Self, String> {
        world::many(n).and_then(Self::new)
    }

    /// The small firm of `fixtures/xero/firm.json`: twelve organisations, all that a demonstration needs.
    pub fn sample() -> Result<Self, String> {
        let seed = serde_json::from_str(include_str!("../../../fixtures/xero/firm.json"));
        Self::from_seed(&seed.map_err(|e| e.to_string())?)
    }

    /// From what [`Vendor::save`] gave, in this process or another. An error says what is wrong with it.
    pub fn restore(saved: &Value) -> Result<Self, String> {
        Self::deserialize(saved).map_err(|e| {
            format!("the saved state of the Xero sandbox does not fit this program ({e}); start a new sandbox")
        })
    }

    fn new(World { app, logins, orgs }: World) -> Result<Self, String> {
        let signing_in = logins.first().map(|l| l.email.clone()).ok_or("nobody can sign in")?;
        Ok(Self {
            app,
            logins,
            signing_in,
            orgs,
            tokens: Tokens::default(),
            app_minute: Window::default(),
            outages: Vec::new(),
            swapped: BTreeMap::new(),
            requests: BTreeMap::new(),
            limited: BTreeMap::new(),
            served: 0,
            clock: None,
        })
    }

    fn route(&mut self, at: Moment, request: &FakeRequest) -> Answer {
        let path: Vec<&str> = request.path.split('/').filter(|p| !p.is_empty()).collect();
        let now = at.now;
        match (&request.method, path.as_slice()) {
            (&Method::GET, ["identity", "connect", "authorize"]) => Ok(self.authorize(now, request)),
            (&Method::POST, ["connect", "token"]) => Ok(self.token(now, request)),
            (&Method::POST, ["connect", "revocation"]) => Ok(self.revoke(request)),
            (&Method::GET, ["connect", "userinfo"]) => Ok(self.userinfo(now, request)),
            // Documented in lower case, specified with a capital; the live host takes both.
            (&Method::GET, ["connections" | "Connections"]) => self.connections(now, request),
            (&Method::GET, ["api.xro" | "files.xro" | "finance.xro", ..]) => self.tenanted(at, &path, request),
            _ => Err(FakeResponse::unknown(request)),
        }
    }

    fn tenanted(&mut self, at: Moment, path: &[&str], request: &FakeRequest) -> Answer {
        let Some(scopes) = endpoints::scopes(path) else { return Err(FakeResponse::unknown(request)) };
        let grant = self.bearer(at.now, request)?;
        let (user, granted) = (grant.user.clone(), grant.scopes.iter().any(|s| scopes.contains(&s.as_str())));
        let disconnected = || answers::gateway(403, "Forbidden", "AuthenticationUnsuccessful");
        let tenant = tenant(request).ok_or_else(disconnected)?;
        let org = self.orgs.get_mut(&tenant).filter(|o| o.reaches(&user) && o.kind == "ORGANISATION");
        let org = org.ok_or_else(disconnected)?;
        let (minute, day, day_limit) = (&mut org.minute, &mut org.day, self.app.day_limit);
        let counted = Counted { tenant, minute, day, day_limit };
        let left = limits::count(at, counted, &mut self.app_minute, &mut self.limited)?;
        if !granted {
            return Err(limits::told(answers::gateway(403, "Forbidden", "InsufficientScope"), left));
        }
        let data = self.orgs.get(self.swapped.get(&tenant).unwrap_or(&tenant)).ok_or_else(disconnected)?;
        let answer = endpoints::answer(&self.app, data, at.now, path, request).unwrap_or_else(|refused| refused);
        Ok(limits::told(answer, left))
    }

    /// When a person acts. Before the first request there is no time yet; [`Tokens::start`] puts that right.
    fn now(&self) -> Timestamp {
        self.clock.unwrap_or(Timestamp::MAX)
    }
}

impl Org {
    /// Whether this person is a user here.
    fn opens(&self, email: &str) -> bool {
        self.users.iter().any(|u| u.email.eq_ignore_ascii_case(email) && u.role != "REMOVED")
    }

    /// Whether this person's sign-in reaches it.
    fn reaches(&self, email: &str) -> bool {
        self.connections.get(email).is_some_and(|c| c.active)
    }
}

impl Vendor for Fake {
    fn lane(&self, request: &FakeRequest) -> Option<String> {
        tenant(request).map(|t| t.to_string())
    }

    fn answer(&mut self, at: Moment, request: &FakeRequest) -> FakeResponse {
        self.served += 1;
        if self.clock.replace(at.now).is_none() {
            self.tokens.start(at.now);
        }
        let name = format!("{} {}", request.method, general(&request.path));
        *self.requests.entry(name).or_default() += 1;
        let outage = self.outage(request, tenant(request));
        let answer = match outage {
            Some(outage) => outage.apply(request, |r| self.route(at, r).unwrap_or_else(|refused| refused)),
            None => self.route(at, request).unwrap_or_else(|refused| refused),
        };
        let took = answer.takes + Duration::from_millis(self.app.latency_ms);
        let id = id_of(&["correlation", &self.served.to_string()]);
        answer.header("xero-correlation-id", id.to_string()).takes(took)
    }

    fn control(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        self.act(verb, args)
    }

    fn save(&self) -> Value {
        // Every key is a string or an id, so there is nothing to fail; `Null` is what `restore` would refuse.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// What `stats` tells.
fn stats(fake: &Fake) -> Value {
    let connected = |o: &&Org| o.connections.values().any(|c| c.active);
    json!({
        "requests": fake.requests, "served": fake.served, "rate_limited": fake.limited,
        "tokens_issued": fake.tokens.issued, "refreshes": fake.tokens.refreshes,
        "organisations": fake.orgs.len(), "connected": fake.orgs.values().filter(connected).count(),
    })
}
