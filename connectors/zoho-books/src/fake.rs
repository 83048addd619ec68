//! Zoho Books as a pure function of (state, request): sign-in, organisations, users, and their limits.
//!
//! Shares no type with `api` and `map`. What it does not know it answers with 599.

mod control;
mod oauth;
mod world;

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use jiff::Timestamp;
use ledgerward_kit::fake::{Fake as Vendor, FakeRequest, FakeResponse, Moment};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::{
    control::Outage,
    oauth::Tokens,
    world::{Organisation, User, World},
};

/// An answer, or one that came before the data could be looked at.
type Answer = Result<FakeResponse, FakeResponse>;

const CONCURRENT: usize = 5;
const PER_MINUTE: u32 = 100;

/// Zoho Books, with its customers, in one data centre.
#[derive(Deserialize, Serialize)]
pub struct Fake {
    world: World,
    /// Who the next consent is given by.
    signing_in: String,
    tokens: Tokens,
    outages: Vec<Outage>,
    /// A fault of the vendor: one organisation's requests are answered from another's data.
    #[serde(default)]
    swapped: BTreeMap<String, String>,
    requests: BTreeMap<String, u64>,
    limited: BTreeMap<String, u64>,
    /// The vendor's clock as of the last request.
    clock: Option<Timestamp>,
}

impl Fake {
    /// From a seed, whose shape the README describes. An error says what is wrong with it.
    pub fn from_seed(seed: &Value) -> Result<Self, String> {
        let world = World::deserialize(seed).map_err(|e| format!("the seed of the Zoho Books sandbox: {e}"))?;
        Self::new(world.finish()?)
    }

    /// A firm with `n` organisations.
    pub fn many(n: usize) -> Result<Self, String> {
        world::many(n).and_then(Self::new)
    }

    /// The small firm of `fixtures/zoho-books/firm.json`.
    pub fn sample() -> Result<Self, String> {
        let seed = serde_json::from_str(include_str!("../../../fixtures/zoho-books/firm.json"));
        Self::from_seed(&seed.map_err(|e| e.to_string())?)
    }

    /// From what [`Vendor::save`] gave, in this process or another. An error says what is wrong with it.
    pub fn restore(saved: &Value) -> Result<Self, String> {
        Self::deserialize(saved).map_err(|e| {
            format!("the saved state of the Zoho Books sandbox does not fit this program ({e}); start a new sandbox")
        })
    }

    fn new(world: World) -> Result<Self, String> {
        let signing_in = world.users.first().map(|l| l.email.clone()).ok_or("nobody can sign in")?;
        Ok(Self {
            world,
            signing_in,
            tokens: Tokens::default(),
            outages: Vec::new(),
            swapped: BTreeMap::new(),
            requests: BTreeMap::new(),
            limited: BTreeMap::new(),
            clock: None,
        })
    }

    fn route(&mut self, at: Moment, request: &FakeRequest) -> Answer {
        let path: Vec<&str> = request.path.split('/').filter(|p| !p.is_empty()).collect();
        match (&request.method, path.as_slice()) {
            (&Method::GET, ["oauth", "v2", "auth"]) => Ok(self.authorize(at.now, request)),
            (&Method::POST, ["oauth", "v2", "token"]) => Ok(self.token(at.now, request)),
            (&Method::POST, ["oauth", "v2", "token", "revoke"]) => Ok(self.revoke(request)),
            (&Method::GET, ["books", "v3", "organizations"]) => self.organisations(at.now, request),
            (&Method::GET, ["books", "v3", path @ ..]) => self.of_one(at, path, request),
            _ => Err(FakeResponse::unknown(request)),
        }
    }

    fn organisations(&self, now: Timestamp, request: &FakeRequest) -> Answer {
        only(request, &[])?;
        let user = self.bearer(now, request)?;
        let reached = self.world.organisations.iter().filter(|o| o.reaches(&user));
        Ok(ok(json!({"organizations": reached.map(|o| organisation(o, true)).collect::<Value>()})))
    }

    fn of_one(&mut self, at: Moment, path: &[&str], request: &FakeRequest) -> Answer {
        if !matches!(path, ["users"] | ["organizations", _]) {
            return Err(FakeResponse::unknown(request));
        }
        let user = self.bearer(at.now, request)?;
        let Some(id) = request.query("organization_id") else {
            return Err(refused(400, 6, "Organization ID is missing."));
        };
        let place = self.world.organisations.iter().position(|o| o.organization_id == id);
        let place =
            place.ok_or_else(|| refused(404, 6041, "This user is not associated with the CompanyID/CompanyName."))?;
        self.count(at, place)?;
        let app = &self.world.app;
        let here = self.world.organisations.get(place).ok_or_else(not_authorised)?;
        // Settings, users among them, are for admins and for custom roles that were given them.
        if !here.admins.contains(&user.to_ascii_lowercase()) {
            return Err(not_authorised());
        }
        let data = self.swapped.get(&here.organization_id).unwrap_or(&here.organization_id);
        let data = self.world.organisations.iter().find(|o| o.organization_id == *data).ok_or_else(not_authorised)?;
        match path {
            ["organizations", asked] => {
                only(request, &["organization_id"])?;
                let found = here.organization_id == *asked;
                let found = found.then(|| ok(json!({"organization": organisation(data, false)})));
                Ok(found.unwrap_or_else(|| refused(404, 5, "Invalid URL Passed")))
            }
            _ => users(data, &user, app.page_max, request),
        }
    }

    /// Counts a call against an organisation's limits. None of the refusals says how long to wait.
    fn count(&mut self, at: Moment, place: usize) -> Result<(), FakeResponse> {
        let now = at.now.as_second();
        let day_limit = self.world.app.day_limit;
        let Some(org) = self.world.organisations.get_mut(place) else { return Err(not_authorised()) };
        org.minute.roll(now, 60);
        org.day.roll(now, 86_400);
        let full = match () {
            () if at.in_flight >= CONCURRENT => Some((1070, "concurrent", "Maximum concurrent requests reached.")),
            () if org.minute.calls >= PER_MINUTE => Some((44, "minute", "You have been blocked for some time.")),
            () if org.day.calls >= day_limit => Some((45, "day", "You have used up your calls of the day.")),
            () => None,
        };
        let Some((code, name, words)) = full else {
            org.minute.calls += 1;
            org.day.calls += 1;
            return Ok(());
        };
        *self.limited.entry(name.to_owned()).or_default() += 1;
        Err(refused(429, code, words))
    }
}

/// Success, with its data beside the words.
fn ok(data: Value) -> FakeResponse {
    let mut body = json!({"code": 0, "message": "success"});
    if let (Some(body), Value::Object(data)) = (body.as_object_mut(), data) {
        body.extend(data);
    }
    FakeResponse::json(200, &body)
}

fn refused(status: u16, code: i64, message: &str) -> FakeResponse {
    FakeResponse::json(status, &json!({"code": code, "message": message}))
}

fn not_authorised() -> FakeResponse {
    refused(401, 57, "You are not authorized to perform this operation")
}

/// A parameter that is not documented, or comes twice, is a request this fake does not know.
fn only(request: &FakeRequest, known: &[&str]) -> Result<(), FakeResponse> {
    let mut seen = std::collections::BTreeSet::new();
    let fine = request.query.iter().all(|(k, _)| known.contains(&k.as_str()) && seen.insert(k));
    if fine { Ok(()) } else { Err(FakeResponse::unknown(request)) }
}

/// The list says the month as a number, the organisation itself as a word.
fn organisation(o: &Organisation, listed: bool) -> Value {
    let month = if listed { json!(3) } else { json!(o.fiscal_year_start_month) };
    json!({
        "organization_id": o.organization_id, "name": o.name, "contact_name": "Owner", "email": "owner@books.example",
        "is_default_org": false, "language_code": "en", "fiscal_year_start_month": month,
        "account_created_date": "2024-02-15", "time_zone": "Pacific/Auckland", "is_org_active": o.active,
        "currency_id": "460000000000097", "currency_code": o.currency, "currency_symbol": "$",
        "currency_format": "###,##0.00", "price_precision": 2, "country": o.country,
    })
}

fn users(o: &Organisation, me: &str, page_max: usize, request: &FakeRequest) -> Answer {
    only(request, &["organization_id", "page", "per_page", "filter_by"])?;
    let number = |name: &str, default: usize| request.query(name).map_or(Some(default), |t| t.parse().ok());
    let (Some(page @ 1..), Some(per_page @ 1..=200)) = (number("page", 1), number("per_page", 200)) else {
        return Ok(refused(400, 2, "Invalid value passed for page or per_page"));
    };
    let filter = request.query("filter_by").unwrap_or("Status.All");
    let Some(status) = filter.strip_prefix("Status.").map(str::to_ascii_lowercase) else {
        return Ok(refused(400, 2, "Invalid value passed for filter_by"));
    };
    let per_page = per_page.min(page_max);
    let all: Vec<_> = o.users.iter().filter(|u| !o.hides_users && (status == "all" || u.status == status)).collect();
    let rows = all.iter().skip((page - 1) * per_page).take(per_page);
    let row = |u: &&User| {
        json!({"user_id": u.user_id, "role_id": format!("460000000{:06}", u.user_role.len()), "name": u.name,
            "email": u.email, "user_role": u.user_role, "status": u.status, "user_type": "zoho",
            "is_current_user": u.email.eq_ignore_ascii_case(me), "photo_url": "", "is_customer_segmented": false})
    };
    let rows: Vec<_> = rows.map(row).collect();
    let more = page * per_page < all.len();
    Ok(ok(json!({"users": rows, "page_context": {"page": page, "per_page": per_page, "has_more_page": more,
        "report_name": "Users", "applied_filter": filter, "sort_column": "name", "sort_order": "A"}})))
}

impl Vendor for Fake {
    fn lane(&self, request: &FakeRequest) -> Option<String> {
        request.query("organization_id").map(str::to_owned)
    }

    fn answer(&mut self, at: Moment, request: &FakeRequest) -> FakeResponse {
        if self.clock.replace(at.now).is_none() {
            self.tokens.start(at.now);
        }
        *self.requests.entry(format!("{} {}", request.method, request.path)).or_default() += 1;
        let answer = match self.outage(request) {
            Some(outage) => outage.apply(request, |r| self.route(at, r).unwrap_or_else(|refused| refused)),
            None => self.route(at, request).unwrap_or_else(|refused| refused),
        };
        let took = answer.takes + Duration::from_millis(self.world.app.latency_ms);
        answer.takes(took)
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
    json!({"requests": fake.requests, "rate_limited": fake.limited, "refreshes": fake.tokens.refreshes,
        "organisations": fake.world.organisations.len()})
}
