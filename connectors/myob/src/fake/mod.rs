//! MYOB as a pure function of (state, request): sign-in for one company file each, the file's resources, its limits.
//!
//! Shares no type with `api` and `map`. What it does not know it answers with 599.

mod books;
mod control;
mod endpoints;
mod oauth;
mod seed;

use std::collections::BTreeMap;

use http::Method;
use jiff::{Timestamp, civil::Date};
use ledgerward_kit::fake::{Fake as Vendor, FakeRequest, FakeResponse, Moment, id_of};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use self::{control::Outage, oauth::Tokens};

/// An answer, or one that came before the data could be looked at.
type Answer = Result<FakeResponse, FakeResponse>;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct App {
    client_id: String,
    client_secret: String,
    /// Whether MYOB granted this app `arl.security`.
    #[serde(default)]
    security: bool,
    /// Beside loopback addresses, which are always allowed.
    #[serde(default)]
    redirects: Vec<String>,
    #[serde(default = "eight")]
    per_second: u32,
    #[serde(default = "million")]
    per_day: u32,
    /// The vendor's own ceiling of a page, to see paging with few rows.
    #[serde(default = "thousand")]
    page_max: usize,
}

fn eight() -> u32 {
    8
}
fn million() -> u32 {
    1_000_000
}
fn thousand() -> usize {
    1_000
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct User {
    #[serde(default)]
    id: Uuid,
    /// The my.MYOB login; null for a user that exists inside the file only.
    email: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    adviser: bool,
    /// Only who is one can consent.
    #[serde(default)]
    administrator: bool,
    #[serde(default = "yes")]
    active: bool,
    /// Resources that this user may not read, as `Banking/Statement`.
    #[serde(default)]
    no_access: Vec<String>,
}

fn yes() -> bool {
    true
}

/// An account of the chart.
#[derive(Clone, Deserialize, Serialize)]
struct Account {
    id: Uuid,
    /// `1-1110`.
    number: String,
    name: String,
    classification: String,
    kind: String,
    header: bool,
    bank: Option<Bank>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Bank {
    bsb: Option<String>,
    number: Option<String>,
    card: Option<String>,
    /// Whether what is posted here comes in as a line of the bank's, too.
    #[serde(default)]
    feed: bool,
}

#[derive(Clone, Deserialize, Serialize)]
struct Entry {
    id: Uuid,
    date: Date,
    /// Numbers of accounts.
    debit: String,
    credit: String,
    amount: Decimal,
    text: String,
    /// An invoice or a bill: not there on the cash basis.
    accrual: bool,
}

/// A bank line that no posting stands behind.
#[derive(Clone, Deserialize, Serialize)]
struct FeedLine {
    id: Uuid,
    date: Date,
    /// The account's number.
    account: String,
    /// Positive is money in.
    amount: Decimal,
    text: String,
    reference: String,
    status: String,
}

#[derive(Deserialize, Serialize)]
struct File {
    id: Uuid,
    name: String,
    country: String,
    /// The last day of the financial year, `MM-DD`.
    year_end: (i8, i8),
    users: Vec<User>,
    accounts: Vec<Account>,
    entries: Vec<Entry>,
    lines: Vec<FeedLine>,
}

/// MYOB, with its customers.
#[derive(Deserialize, Serialize)]
pub struct Fake {
    app: App,
    /// What the addresses in answers begin with.
    base: String,
    files: Vec<File>,
    /// Who the next consent is given by, and for which file; none: the next one that has no sign-in yet.
    signing_in: String,
    choosing: Option<Uuid>,
    tokens: Tokens,
    /// The second, and the day, and how many calls fell in each.
    second: (i64, u32),
    day: (i64, u32),
    outages: Vec<Outage>,
    requests: BTreeMap<String, u64>,
    limited: u64,
    clock: Option<Timestamp>,
}

impl Fake {
    /// From a seed, whose shape the README describes. An error says what is wrong with it.
    pub fn from_seed(seed: &Value) -> Result<Self, String> {
        seed::read(seed)
    }

    /// The small firm of `fixtures/myob/firm.json`.
    pub fn sample() -> Result<Self, String> {
        let seed = serde_json::from_str(include_str!("../../../../fixtures/myob/firm.json"));
        Self::from_seed(&seed.map_err(|e| e.to_string())?)
    }

    /// From what [`Vendor::save`] gave, in this process or another, to be reached under `base`.
    pub fn restore(saved: &Value, base: &str) -> Result<Self, String> {
        let mut fake = Self::deserialize(saved).map_err(|e| {
            format!("the saved state of the MYOB sandbox does not fit this program ({e}); start a new sandbox")
        })?;
        base.trim_end_matches('/').clone_into(&mut fake.base);
        Ok(fake)
    }

    fn route(&mut self, at: Moment, request: &FakeRequest) -> Answer {
        let path: Vec<&str> = request.path.split('/').filter(|p| !p.is_empty()).collect();
        match (&request.method, path.as_slice()) {
            (&Method::GET, ["oauth2", "account", "authorize"]) => Ok(self.authorize(at.now, request)),
            (&Method::POST, ["oauth2", "v1", "authorize"]) => Ok(self.token(at.now, request)),
            (&Method::GET, ["accountright", id, rest @ ..]) => self.in_file(at.now, id, rest, request),
            _ => Err(FakeResponse::unknown(request)),
        }
    }

    fn in_file(&mut self, now: Timestamp, id: &str, rest: &[&str], request: &FakeRequest) -> Answer {
        let scope = endpoints::scope(rest).ok_or_else(|| FakeResponse::unknown(request))?;
        if request.header("x-myobapi-key") != Some(self.app.client_id.as_str()) {
            return Err(error(401, "OAuthTokenIsInvalid", 31001));
        }
        if request.header("x-myobapi-version") != Some("v2") || request.header("x-myobapi-cftoken").is_some() {
            return Err(FakeResponse::unknown(request));
        }
        let (user, granted, file) = self.bearer(now, request)?;
        self.count(now)?;
        // One consent is one file: the others are closed to it, whether they are there or not.
        if Uuid::parse_str(id).ok() != Some(file) || !granted.iter().any(|s| s == scope) {
            return Err(error(403, "AccessDenied", 4003));
        }
        let file = self.files.iter().find(|f| f.id == file).ok_or_else(|| error(404, "ResourceNotFound", 4004))?;
        // Practice staff reach a file without being listed as its users; who is listed and not active does not.
        let us = file.users.iter().find(|u| u.email.as_deref() == Some(user.as_str()));
        let resource = rest.iter().take(2).copied().collect::<Vec<_>>().join("/");
        if us.is_some_and(|u| !u.active || u.no_access.contains(&resource)) {
            return Err(error(403, "AccessDenied", 4003));
        }
        let closed = us.map_or(&[][..], |u| u.no_access.as_slice());
        endpoints::answer(&self.app, &self.base, file, closed, rest, request)
    }

    /// Both limits count the API key: all files together. There are no headers that say what is left.
    fn count(&mut self, now: Timestamp) -> Result<(), FakeResponse> {
        let second = now.as_second();
        for (window, number) in [(&mut self.second, second), (&mut self.day, second.div_euclid(86_400))] {
            if window.0 != number {
                *window = (number, 0);
            }
        }
        if self.second.1 >= self.app.per_second || self.day.1 >= self.app.per_day {
            self.limited += 1;
            return Err(error(403, "RateLimitError", 429));
        }
        self.second.1 += 1;
        self.day.1 += 1;
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.clock.unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// MYOB's shape of a refusal; the message may be null.
fn error(status: u16, name: &str, code: u32) -> FakeResponse {
    FakeResponse::json(
        status,
        &json!({"Errors": [{"Name": name, "Message": null, "AdditionalDetails": "", "ErrorCode": code,
            "Severity": "Error"}], "Information": "Refer to the documentation"}),
    )
}

impl Vendor for Fake {
    fn answer(&mut self, at: Moment, request: &FakeRequest) -> FakeResponse {
        if self.clock.replace(at.now).is_none() {
            self.tokens.start(at.now);
        }
        let general: Vec<_> =
            request.path.split('/').map(|p| if Uuid::parse_str(p).is_ok() { "{id}" } else { p }).collect();
        *self.requests.entry(format!("{} {}", request.method, general.join("/"))).or_default() += 1;
        match self.outage(request) {
            Some(outage) => outage.apply(|| self.route(at, request).unwrap_or_else(|refused| refused)),
            None => self.route(at, request).unwrap_or_else(|refused| refused),
        }
    }

    fn control(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        self.act(verb, args)
    }

    fn save(&self) -> Value {
        // Every key is a string or an id, so there is nothing to fail; `Null` is what `restore` would refuse.
        serde_json::to_value(self).unwrap_or_default()
    }
}
