//! Business Central, and the part of Microsoft Entra that signs in to it, as a pure function of (state, request).
//!
//! Shares no type with `api` and `map`. What it does not know it answers with 599.

mod control;
mod oauth;
mod world;

use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use ledgerward_kit::fake::{Fake as Vendor, FakeRequest, FakeResponse, Moment};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::{
    control::Outage,
    oauth::Tokens,
    world::{Company, Environment, Grant, World},
};

/// An answer, or one that came before the data could be looked at.
type Answer = Result<FakeResponse, FakeResponse>;

/// Business Central of one directory.
#[derive(Deserialize, Serialize)]
pub struct Fake {
    world: World,
    tokens: Tokens,
    outages: Vec<Outage>,
    /// Requests in the minute of this number.
    minute: (i64, u32),
    limited: u64,
    served: u64,
    /// The vendor's clock as of the last request.
    clock: Option<Timestamp>,
}

pub(crate) fn error(status: u16, code: &str) -> FakeResponse {
    FakeResponse::json(
        status,
        &json!({"error": {"code": code, "message": "Something about Acme Ltd. CorrelationId: 0."}}),
    )
}

impl Fake {
    /// From a seed, whose shape the README describes. An error says what is wrong with it.
    pub fn from_seed(seed: &Value) -> Result<Self, String> {
        world::read(seed).map(Self::new)
    }

    /// The small firm of `fixtures/business-central/firm.json`.
    pub fn sample() -> Result<Self, String> {
        let seed = serde_json::from_str(include_str!("../../../fixtures/business-central/firm.json"));
        Self::from_seed(&seed.map_err(|e| e.to_string())?)
    }

    /// From what [`Vendor::save`] gave, in this process or another. An error says what is wrong with it.
    pub fn restore(saved: &Value) -> Result<Self, String> {
        Self::deserialize(saved).map_err(|e| {
            format!(
                "the saved state of the Business Central sandbox does not fit this program ({e}); start a new sandbox"
            )
        })
    }

    /// Served under another address than Microsoft's own, such as `http://127.0.0.1:8802`.
    #[must_use]
    pub fn at(mut self, base: &str) -> Self {
        base.trim_end_matches('/').clone_into(&mut self.world.base);
        self
    }

    fn new(world: World) -> Self {
        Self {
            world,
            tokens: Tokens::default(),
            outages: Vec::new(),
            minute: (0, 0),
            limited: 0,
            served: 0,
            clock: None,
        }
    }

    fn route(&mut self, at: Moment, request: &FakeRequest) -> Answer {
        let path: Vec<&str> = request.path.split('/').filter(|p| !p.is_empty()).collect();
        match (&request.method, path.as_slice()) {
            (&Method::GET, [_, "oauth2", "v2.0", "authorize"]) => Ok(self.authorize(at.now, request)),
            (&Method::POST, [_, "oauth2", "v2.0", "token"]) => Ok(self.token(at.now, request)),
            (&Method::GET, ["v2.0", environment, "api", rest @ ..]) => {
                let login = self.bearer(at.now, request)?;
                self.count(at)?;
                let found = self.world.environments.iter().find(|e| e.name == *environment);
                let environment = found.ok_or_else(|| error(404, "NoEnvironment"))?;
                self.of_environment(environment, &login, rest, request)
            }
            _ => Err(FakeResponse::unknown(request)),
        }
    }

    /// Five at once, and so many a minute.
    fn count(&mut self, at: Moment) -> Result<(), FakeResponse> {
        let number = at.now.as_second().div_euclid(60);
        if self.minute.0 != number {
            self.minute = (number, 0);
        }
        let wait = (number + 1) * 60 - at.now.as_second();
        let wait = match () {
            () if at.in_flight >= 5 => 1,
            () if self.minute.1 >= self.world.app.per_minute => wait,
            () => {
                self.minute.1 += 1;
                return Ok(());
            }
        };
        self.limited += 1;
        Err(error(429, "Application_TooManyRequests").header("retry-after", wait.to_string()))
    }

    fn of_environment(&self, of: &Environment, login: &str, path: &[&str], request: &FakeRequest) -> Answer {
        match path {
            ["v2.0", "companies"] => self.listed(request, of.companies.iter().map(Company::json).collect()),
            ["v2.0", one] => {
                let (company, rest) = of.company(one)?;
                bare(request)?;
                if rest.is_empty() {
                    Ok(FakeResponse::json(200, &company.json()))
                } else {
                    Err(FakeResponse::unknown(request))
                }
            }
            ["microsoft", "automation", "v2.0", one, rest @ ..] => {
                of.company(one)?;
                // Who may not administer users may not read them.
                if login != oauth::APP && !self.world.administrators.iter().any(|a| a == login) {
                    return Err(error(403, "Authorization_RequestDenied"));
                }
                self.automation(of, rest, request)
            }
            _ => Err(FakeResponse::unknown(request)),
        }
    }

    fn automation(&self, of: &Environment, path: &[&str], request: &FakeRequest) -> Answer {
        let old = of.old_groups;
        match path {
            ["users"] => self.listed(request, of.users.iter().map(world::User::json).collect()),
            [user, "userPermissions"] if user.starts_with("users(") => {
                let user = of.users.iter().find(|u| *user == format!("users({})", u.id));
                let user = user.ok_or_else(|| error(404, "Internal_EntityWithIdNotFound"))?;
                self.listed(request, user.sets.iter().enumerate().map(|(n, g)| g.json(n, Some(&user.id))).collect())
            }
            ["securityGroups"] if !old => {
                let row = |g: &world::Group| json!({"id": g.id, "code": g.code, "groupName": g.name});
                self.listed(request, of.groups.iter().map(row).collect())
            }
            ["userGroups"] if old => {
                let row = |g: &world::Group| json!({"id": g.id, "code": g.code, "displayName": g.name});
                self.listed(request, of.groups.iter().map(row).collect())
            }
            ["securityGroupMembers"] if !old => {
                let rows = of.groups.iter().flat_map(|g| {
                    g.members.iter().map(
                        |m| json!({"securityGroupCode": g.code, "userSecurityId": m.user, "securityGroupName": g.name}),
                    )
                });
                self.listed(request, rows.collect())
            }
            ["userGroupMembers"] if old => {
                let rows = of.groups.iter().flat_map(|g| {
                    g.members.iter().map(|m| {
                        json!({"code": g.code, "userSecurityId": m.user, "companyName": m.company, "displayName": g.name})
                    })
                });
                self.listed(request, rows.collect())
            }
            [group, "userPermissions"] if !old && group.starts_with("securityGroups(") => {
                // A text between quotes; a key without them is no key of this list.
                let text = decoded(group);
                let key = text.strip_prefix("securityGroups('").and_then(|rest| rest.strip_suffix("')"));
                let key = key.ok_or_else(|| error(400, "BadRequest"))?;
                let group = of.groups.iter().find(|g| key == g.id.split('\'').collect::<Vec<_>>().join("''"));
                let group = group.ok_or_else(|| error(404, "Internal_EntityWithIdNotFound"))?;
                self.listed(request, group.sets.iter().enumerate().map(|(n, g)| g.json(n, None)).collect())
            }
            [group, "userGroupPermissions"] if old && group.starts_with("userGroups(") => {
                let group = of.groups.iter().find(|g| *group == format!("userGroups({})", g.id));
                let group = group.ok_or_else(|| error(404, "Internal_EntityWithIdNotFound"))?;
                let row = |g: &Grant| json!({"userGroupCode": group.code, "roleId": g.set, "appID": world::APP});
                self.listed(request, group.sets.iter().map(row).collect())
            }
            // The other kind of group is not in this version.
            ["securityGroups" | "userGroups" | "securityGroupMembers" | "userGroupMembers", ..] => {
                Err(error(404, "BadRequest_NotFound"))
            }
            _ => Err(FakeResponse::unknown(request)),
        }
    }

    /// A page of a list.
    fn listed(&self, request: &FakeRequest, all: Vec<Value>) -> Answer {
        if request.query.iter().any(|(k, _)| k != "$skiptoken") {
            return Err(FakeResponse::unknown(request));
        }
        let skip = match request.query("$skiptoken").map(str::parse::<usize>) {
            None => 0,
            Some(Ok(n)) if n > 0 && n < all.len() => n,
            Some(_) => return Err(error(400, "BadRequest_InvalidToken")),
        };
        let (end, total) = (skip + self.world.app.page, all.len());
        let items: Vec<_> = all.into_iter().skip(skip).take(self.world.app.page).collect();
        let mut body = json!({"@odata.context": format!("{}{}", self.world.base, request.path), "value": items});
        if let Some(map) = body.as_object_mut().filter(|_| end < total) {
            let next = format!("{}{}?$skiptoken={end}", self.world.base, request.path);
            map.insert("@odata.nextLink".to_owned(), Value::String(next));
        }
        Ok(FakeResponse::json(200, &body))
    }
}

/// A segment of a path without its `%` signs.
fn decoded(segment: &str) -> String {
    // Of a form's text only the plus sign and the ampersand mean something else.
    let text = segment.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(text.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

fn bare(request: &FakeRequest) -> Result<(), FakeResponse> {
    if request.query.is_empty() { Ok(()) } else { Err(FakeResponse::unknown(request)) }
}

impl Vendor for Fake {
    fn lane(&self, request: &FakeRequest) -> Option<String> {
        request.path.starts_with("/v2.0/").then(|| "api".to_owned())
    }

    fn answer(&mut self, at: Moment, request: &FakeRequest) -> FakeResponse {
        self.served += 1;
        if self.clock.replace(at.now).is_none() {
            self.tokens.start(at.now);
        }
        let answer = match self.outage(request) {
            Some(outage) => outage.apply(request, |r| self.route(at, r).unwrap_or_else(|refused| refused)),
            None => self.route(at, request).unwrap_or_else(|refused| refused),
        };
        answer.takes(Duration::from_millis(self.world.app.latency_ms))
    }

    fn control(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        self.act(verb, args)
    }

    fn save(&self) -> Value {
        // Every key is a string, so there is nothing to fail; `Null` is what `restore` would refuse.
        serde_json::to_value(self).unwrap_or_default()
    }
}
