//! QuickBooks Online as a pure function of (state, request): consent, tokens, many companies, reports, documents, limits.
//!
//! Shares no type with `api` and `map`. What it does not know it answers with 599.

mod answers;
mod books;
mod control;
mod documents;
mod oauth;
mod query;
mod reports;
mod seed;

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use jiff::Timestamp;
use ledgerward_kit::fake::{Fake as Vendor, FakeRequest, FakeResponse, Moment};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::{books::Company, control::Outage, oauth::Tokens, seed::App};

/// An answer, or one that came before the data could be looked at.
type Answer = Result<FakeResponse, FakeResponse>;

/// Requests at once, a second and a minute, of one app in one company.
const CONCURRENT: usize = 10;
const PER_SECOND: u32 = 10;
const PER_MINUTE: u32 = 500;

/// A fixed window of a limit: which one, and how many calls fell in it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
struct Window {
    number: i64,
    calls: u32,
}

impl Window {
    /// Counts a call; how many there were in this window before it.
    fn count(&mut self, number: i64) -> u32 {
        if self.number != number {
            *self = Self { number, calls: 0 };
        }
        self.calls += 1;
        self.calls - 1
    }
}

#[derive(Clone, Copy, Default, Deserialize, Serialize)]
struct Load {
    second: Window,
    minute: Window,
}

/// QuickBooks, with its customers.
#[derive(Deserialize, Serialize)]
pub struct Fake {
    app: App,
    /// Where documents lie: another host at the vendor, our own in a sandbox.
    base: String,
    companies: BTreeMap<String, Company>,
    loads: BTreeMap<String, Load>,
    tokens: Tokens,
    /// The company that the next consent is for; in turn where nobody chose.
    chosen: Option<String>,
    outages: Vec<Outage>,
    /// A fault of the vendor: one company's requests are answered from another's data.
    swapped: BTreeMap<String, String>,
    requests: BTreeMap<String, u64>,
    limited: u64,
    /// Answered reads, which the vendor meters by the month.
    metered: u64,
    served: u64,
    /// The vendor's clock as of the last request. What a person does in between happens at that time.
    clock: Option<Timestamp>,
}

impl Fake {
    /// From a seed, whose shape the README describes. An error says what is wrong with it.
    pub fn from_seed(seed: &Value) -> Result<Self, String> {
        seed::read(seed)
    }

    /// A firm with `n` companies, small enough in memory for thousands.
    pub fn many(n: usize) -> Result<Self, String> {
        seed::many(n)
    }

    /// The small firm of `fixtures/quickbooks/firm.json`.
    pub fn sample() -> Result<Self, String> {
        let seed = serde_json::from_str(include_str!("../../../fixtures/quickbooks/firm.json"));
        Self::from_seed(&seed.map_err(|e| e.to_string())?)
    }

    /// From what [`Vendor::save`] gave, in this process or another. `base` is where the fake is reached now.
    pub fn restore(saved: &Value, base: &str) -> Result<Self, String> {
        let mut fake = Self::deserialize(saved).map_err(|e| {
            format!("the saved state of the QuickBooks sandbox does not fit this program ({e}); start a new sandbox")
        })?;
        base.clone_into(&mut fake.base);
        Ok(fake)
    }

    fn new(app: App, base: String, companies: BTreeMap<String, Company>) -> Self {
        Self {
            app,
            base,
            companies,
            loads: BTreeMap::new(),
            tokens: Tokens::default(),
            chosen: None,
            outages: Vec::new(),
            swapped: BTreeMap::new(),
            requests: BTreeMap::new(),
            limited: 0,
            metered: 0,
            served: 0,
            clock: None,
        }
    }

    fn route(&mut self, at: Moment, request: &FakeRequest) -> Answer {
        let path: Vec<&str> = request.path.split('/').filter(|p| !p.is_empty()).collect();
        match (&request.method, path.as_slice()) {
            (&Method::GET, ["connect", "oauth2"]) => Ok(self.authorize(at.now, request)),
            (&Method::POST, ["oauth2", "v1", "tokens", "bearer"]) => Ok(self.token(at.now, request)),
            (&Method::POST, ["v2", "oauth2", "tokens", "revoke"]) => Ok(self.revoke(request)),
            (&Method::GET, ["v3", "company", realm, rest @ ..]) => self.data(at, realm, rest, request),
            (&Method::GET, ["manage", "entitlements", "v3", realm]) => {
                let company = self.admit(at, realm, request)?;
                Ok(answers::entitlements(company))
            }
            (&Method::GET, [realm, "attachments", name]) => Ok(documents::download(self, at.now, realm, name, request)),
            _ => Err(FakeResponse::unknown(request)),
        }
    }

    /// Who may, and how often. Gives the company whose data is answered.
    fn admit(&mut self, at: Moment, realm: &str, request: &FakeRequest) -> Result<&Company, FakeResponse> {
        let granted = self.bearer(at.now, request)?;
        let refused = || answers::gateway(403, "ApplicationAuthorizationFailed", "3100", "AUTHORIZATION");
        if granted != realm {
            return Err(refused());
        }
        let now = at.now.as_second();
        let load = self.loads.entry(realm.to_owned()).or_default();
        let (second, minute) = (load.second.count(now), load.minute.count(now.div_euclid(60)));
        if at.in_flight >= CONCURRENT || second >= PER_SECOND || minute >= PER_MINUTE {
            self.limited += 1;
            return Err(answers::throttled(429));
        }
        let data = self.swapped.get(realm).map_or(realm, String::as_str);
        let company = self.companies.get(data).filter(|_| self.companies.get(realm).is_some_and(|c| c.connected));
        let company = company.ok_or_else(refused)?;
        if company.suspended {
            return Err(answers::service(400, "6190", "ValidationFault", "Invalid Company Status"));
        }
        self.metered += 1;
        Ok(company)
    }

    fn data(&mut self, at: Moment, realm: &str, rest: &[&str], request: &FakeRequest) -> Answer {
        let (base, now) = (self.base.clone(), at.now);
        let company = self.admit(at, realm, request)?;
        // The gateway answers XML to whoever does not ask for JSON.
        if request.header("accept").is_none_or(|a| !a.contains("application/json")) {
            return Err(answers::xml());
        }
        match rest {
            ["companyinfo", id] if *id == realm => {
                only(request, &[])?;
                Ok(answers::entity(now, "CompanyInfo", company.info()))
            }
            ["query"] => {
                only(request, &["query"])?;
                query::answer(company, &base, now, request.query("query").unwrap_or_default())
            }
            ["account", id] => {
                only(request, &[])?;
                let found = company.accounts.iter().find(|a| a.id == *id).ok_or_else(answers::not_found)?;
                Ok(answers::entity(now, "Account", company.account_row(found)))
            }
            ["attachable", id] => {
                only(request, &[])?;
                let found = company.papers.iter().find(|p| p.id == *id).ok_or_else(answers::not_found)?;
                Ok(answers::entity(now, "Attachable", documents::row(company, found, &base, now)))
            }
            ["reports", name] => reports::answer(company, now, name, request),
            _ => Err(FakeResponse::unknown(request)),
        }
    }

    /// When a person acts. Before the first request there is no time yet; [`Tokens::start`] puts that right.
    fn now(&self) -> Timestamp {
        self.clock.unwrap_or(Timestamp::MAX)
    }
}

/// A parameter that is not documented, or comes twice, is a request this fake does not know.
fn only(request: &FakeRequest, known: &[&str]) -> Result<(), FakeResponse> {
    let mut seen = std::collections::BTreeSet::new();
    let fine =
        request.query.iter().all(|(k, _)| (known.contains(&k.as_str()) || k == "minorversion") && seen.insert(k));
    let minor = request.query("minorversion").is_none_or(|v| v.parse::<u16>().is_ok_and(|n| (1..=75).contains(&n)));
    if fine && minor { Ok(()) } else { Err(FakeResponse::unknown(request)) }
}

fn realm(request: &FakeRequest) -> Option<&str> {
    let path: Vec<&str> = request.path.split('/').filter(|p| !p.is_empty()).collect();
    match path.as_slice() {
        ["v3", "company", realm, ..] | ["manage", "entitlements", "v3", realm] => Some(realm),
        _ => None,
    }
}

impl Vendor for Fake {
    fn lane(&self, request: &FakeRequest) -> Option<String> {
        realm(request).map(str::to_owned)
    }

    fn answer(&mut self, at: Moment, request: &FakeRequest) -> FakeResponse {
        self.served += 1;
        if self.clock.replace(at.now).is_none() {
            self.tokens.start(at.now);
        }
        let digits = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit());
        let general: Vec<_> = request.path.split('/').map(|p| if digits(p) { "{id}" } else { p }).collect();
        *self.requests.entry(format!("{} {}", request.method, general.join("/"))).or_default() += 1;
        let hit = control::outage(&mut self.outages, request, realm(request));
        let answer = match hit {
            Some(kind) => control::apply(&kind, || self.route(at, request).unwrap_or_else(|refused| refused)),
            None => self.route(at, request).unwrap_or_else(|refused| refused),
        };
        let took = answer.takes + Duration::from_millis(self.app.latency_ms);
        answer.header("intuit-tid", format!("1-{:08x}-sandbox", self.served)).takes(took)
    }

    fn control(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        self.act(verb, args)
    }

    fn save(&self) -> Value {
        // Every key is a string, so there is nothing to fail; `Null` is what `restore` would refuse.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// What `stats` tells.
fn stats(fake: &Fake) -> Value {
    json!({
        "requests": fake.requests, "served": fake.served, "rate_limited": fake.limited, "metered": fake.metered,
        "tokens_issued": fake.tokens.issued, "refreshes": fake.tokens.refreshes,
        "refreshes_refused": fake.tokens.refused, "refresh_token_sent_most": fake.tokens.sent_most(),
        "companies": fake.companies.len(), "connected": fake.tokens.live(),
    })
}
