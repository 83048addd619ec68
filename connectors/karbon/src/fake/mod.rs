//! Karbon as a pure function of (state, request): two keys, colleagues, teams, clients with their privacy, OData's pages.
//!
//! Shares no type with `api` and `map`. What it does not know it answers with 599.

mod answers;
mod control;

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use jiff::Timestamp;
use ledgerward_kit::fake::{Fake as Vendor, FakeRequest, FakeResponse, Moment};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::{
    answers::{bad, group, name_people, not_found, ok, slow_down, summary, team, user},
    control::Outage,
};

/// An answer, or one that came before the data could be looked at.
type Answer = Result<FakeResponse, FakeResponse>;

/// A stable key of Karbon's looks from words, so that a seed need not spell one out.
fn key_of(parts: &[&str]) -> String {
    let letters = b"23456789BCDFGHJKLMNPQRSTVWXYZbcdfghjkmnpqrstvwxyz";
    let hash = Sha256::digest(parts.join("\u{1f}").as_bytes());
    let pick = |b: &u8| letters.get(usize::from(*b) % letters.len()).copied().map_or('2', char::from);
    hash.iter().take(12).map(pick).collect()
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct App {
    /// The bearer: a GUID.
    api_key: String,
    access_key: String,
    /// The application's permissions, without which such clients are not there.
    #[serde(default = "yes")]
    include_private: bool,
    #[serde(default = "yes")]
    include_hidden: bool,
    /// 100 for most lists, to see paging with few rows.
    #[serde(default = "hundred")]
    page_size: usize,
    #[serde(default = "limit")]
    per_minute: u32,
}

fn yes() -> bool {
    true
}
fn hundred() -> usize {
    100
}
fn limit() -> u32 {
    120
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct User {
    #[serde(default)]
    key: String,
    name: String,
    email: String,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Team {
    #[serde(default)]
    key: String,
    name: String,
    /// Addresses of colleagues and names of teams.
    #[serde(default)]
    members: Vec<String>,
    /// Not in lists, and not found.
    #[serde(default)]
    archived: bool,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The address of a colleague, the name of a team, or a key of neither.
    who: String,
    role: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Organization,
    Contact,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Client {
    #[serde(default)]
    key: String,
    #[serde(default = "organization")]
    kind: Kind,
    name: String,
    #[serde(default = "client")]
    contact_type: String,
    identifier: Option<String>,
    #[serde(default = "public")]
    restriction: String,
    owner: Option<String>,
    manager: Option<String>,
    #[serde(default)]
    team: Vec<Entry>,
    /// Client groups by name.
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    modified: Timestamp,
}

fn organization() -> Kind {
    Kind::Organization
}
fn client() -> String {
    "Client".to_owned()
}
fn public() -> String {
    "Public".to_owned()
}

/// Karbon, with one firm in it.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fake {
    app: App,
    /// What the links in answers begin with.
    #[serde(default = "live")]
    base: String,
    users: Vec<User>,
    #[serde(default)]
    teams: Vec<Team>,
    clients: Vec<Client>,
    /// The minute, and how many calls fell in it.
    #[serde(default)]
    minute: (i64, u32),
    #[serde(default)]
    outages: Vec<Outage>,
    #[serde(default)]
    requests: BTreeMap<String, u64>,
    #[serde(default)]
    limited: u64,
}

fn live() -> String {
    "https://api.karbonhq.com".to_owned()
}

impl Fake {
    /// From a seed, whose shape the README describes. An error says what is wrong with it.
    pub fn from_seed(seed: &Value) -> Result<Self, String> {
        let mut fake = Self::deserialize(seed).map_err(|e| format!("the seed of the Karbon sandbox: {e}"))?;
        fake.base = fake.base.trim_end_matches('/').to_owned();
        fake.users.iter_mut().for_each(|u| key(&mut u.key, &["user", &u.email]));
        fake.teams.iter_mut().for_each(|t| key(&mut t.key, &["team", &t.name]));
        fake.clients.iter_mut().for_each(|c| key(&mut c.key, &["client", &c.name]));
        let mut keys = BTreeSet::new();
        let all = fake.users.iter().map(|u| &u.key).chain(fake.teams.iter().map(|t| &t.key));
        for key in all.chain(fake.clients.iter().map(|c| &c.key)) {
            if !keys.insert(key) {
                return Err(format!("the seed of the Karbon sandbox has the key {key} twice"));
            }
        }
        Ok(fake)
    }

    /// The small firm of `fixtures/karbon/firm.json`.
    pub fn sample() -> Result<Self, String> {
        let seed = serde_json::from_str(include_str!("../../../../fixtures/karbon/firm.json"));
        Self::from_seed(&seed.map_err(|e| e.to_string())?)
    }

    /// From what [`Vendor::save`] gave, in this process or another, to be reached under `base`.
    pub fn restore(saved: &Value, base: &str) -> Result<Self, String> {
        let mut fake = Self::deserialize(saved).map_err(|e| {
            format!("the saved state of the Karbon sandbox does not fit this program ({e}); start a new sandbox")
        })?;
        base.trim_end_matches('/').clone_into(&mut fake.base);
        Ok(fake)
    }

    fn route(&mut self, at: Moment, request: &FakeRequest) -> Answer {
        let path: Vec<&str> = request.path.split('/').filter(|p| !p.is_empty()).collect();
        let (&Method::GET, ["v3", rest @ ..]) = (&request.method, path.as_slice()) else {
            return Err(FakeResponse::unknown(request));
        };
        self.known(request)?;
        self.count(at.now)?;
        match rest {
            ["Users"] => self.list(request, "Users", self.users.iter().map(user).collect()),
            ["Teams"] => self.list(request, "Teams", self.teams.iter().filter(|t| !t.archived).map(team).collect()),
            ["Teams", key] => {
                only(request, &[])?;
                let found = self.teams.iter().find(|t| t.key == *key && !t.archived);
                ok(&self.profile(found.ok_or_else(not_found)?))
            }
            ["ClientGroups"] => self.list(request, "ClientGroups", self.groups().iter().map(|g| group(g)).collect()),
            ["ClientGroups", key] => {
                only(request, &["$expand"])?;
                let found = self.groups().into_iter().find(|g| key_of(&["group", g]) == *key);
                ok(&self.grouped(&found.ok_or_else(not_found)?))
            }
            ["Organizations"] => self.list(request, "Organizations", self.summaries(Kind::Organization)),
            ["Contacts"] => self.list(request, "Contacts", self.summaries(Kind::Contact)),
            ["Organizations", key] => self.detail(request, Kind::Organization, key),
            ["Contacts", key] => self.detail(request, Kind::Contact, key),
            _ => Err(FakeResponse::unknown(request)),
        }
    }

    /// Both keys, on every request. Either layout of a refusal.
    fn known(&self, request: &FakeRequest) -> Result<(), FakeResponse> {
        match request.header("accesskey") {
            None => {
                let said = json!({"error": {"statusCode": "401", "message": "JWT not present."}});
                Err(FakeResponse::json(401, &said))
            }
            Some(key)
                if key != self.app.access_key
                    || request.header("authorization") != Some(&format!("Bearer {}", self.app.api_key)) =>
            {
                Err(FakeResponse::json(401, &json!({"statusCode": 401, "message": "Unauthorized."})))
            }
            Some(_) => Ok(()),
        }
    }

    fn count(&mut self, now: Timestamp) -> Result<(), FakeResponse> {
        let second = now.as_second();
        if self.minute.0 != second.div_euclid(60) {
            self.minute = (second.div_euclid(60), 0);
        }
        if self.minute.1 >= self.app.per_minute {
            self.limited += 1;
            return Err(slow_down(60 - second.rem_euclid(60)));
        }
        self.minute.1 += 1;
        Ok(())
    }

    fn list(&self, request: &FakeRequest, name: &str, rows: Vec<Value>) -> Answer {
        only(request, &["$top", "$skip"])?;
        let most = if name == "Teams" { self.app.page_size.saturating_mul(2) } else { self.app.page_size };
        let read = |name: &str, default: usize| {
            request.query(name).map_or(Some(default), |t| t.parse().ok()).ok_or_else(|| bad(name))
        };
        let (top, skip) = (read("$top", most)?, read("$skip", 0)?);
        if top > most {
            return Err(bad("$top"));
        }
        let count = rows.len();
        let here: Vec<_> = rows.into_iter().skip(skip).take(top).collect();
        let mut body = json!({"@odata.context": format!("{}/v3/$metadata#{name}", self.base), "@odata.count": count});
        let end = skip + here.len();
        if let Some(map) = body.as_object_mut() {
            if end < count && !here.is_empty() {
                map.insert("@odata.nextLink".to_owned(), json!(format!("{}/v3/{name}?$skip={end}", self.base)));
            }
            map.insert("value".to_owned(), json!(here));
        }
        ok(&body)
    }

    /// Whether the application sees a client at all.
    fn sees(&self, client: &Client) -> bool {
        match client.restriction.as_str() {
            "Private" => self.app.include_private,
            "Hidden" => self.app.include_hidden,
            _ => true,
        }
    }

    fn summaries(&self, kind: Kind) -> Vec<Value> {
        let mut here: Vec<_> = self.clients.iter().filter(|c| c.kind == kind && self.sees(c)).collect();
        here.sort_by(|a, b| a.key.cmp(&b.key));
        here.into_iter().map(summary).collect()
    }

    fn detail(&self, request: &FakeRequest, kind: Kind, key: &str) -> Answer {
        only(request, &["$expand"])?;
        let found = self.clients.iter().find(|c| c.kind == kind && c.key == key && self.sees(c));
        let client = found.ok_or_else(not_found)?;
        let mut body = summary(client);
        let (context, object) = match kind {
            Kind::Organization => ("Organizations", "OrganizationDTO"),
            Kind::Contact => ("Contacts", "ContactDTO"),
        };
        let Some(map) = body.as_object_mut() else { return Err(not_found()) };
        map.remove("EmailAddress");
        let more = json!({
            "@odata.context": format!("{}/v3/$metadata#{context}/KarbonService.{object}/$entity", self.base),
            "@odata.type": format!("#KarbonService.{object}"), "RestrictionLevel": client.restriction,
            "UserDefinedIdentifier": client.identifier.as_deref().unwrap_or_default(),
            // Nobody here should ever read these.
            "EntityDescription": {"Text": "Invented."},
            "AccountingDetail": {"BirthDate": "1969-08-05T00:00:00Z", "RegistrationNumbers":
                [{"RegistrationNumber": "00 000 000 000", "Type": "Australian Business Number (ABN)"}]},
        });
        map.extend(more.as_object().cloned().unwrap_or_default());
        name_people(map, client);
        if kind == Kind::Contact {
            map.remove("FullName");
            let (first, last) = client.name.split_once(' ').unwrap_or((client.name.as_str(), ""));
            map.insert("FirstName".to_owned(), json!(first));
            map.insert("LastName".to_owned(), json!(last));
        }
        match request.query("$expand") {
            None => {}
            Some("ClientTeam") => {
                let entry = |e: &Entry| {
                    let (key, kind) = self.member(&e.who);
                    json!({"MemberKey": key, "MemberType": kind, "RoleType": e.role})
                };
                map.insert("ClientTeam".to_owned(), client.team.iter().map(entry).collect());
            }
            Some(_) => return Err(FakeResponse::unknown(request)),
        }
        ok(&body)
    }

    /// Key and kind of whom an address or a name means. What means nobody is the key of somebody who is gone.
    fn member(&self, who: &str) -> (String, &'static str) {
        let user = self.users.iter().find(|u| u.email == who).map(|u| (u.key.clone(), "User"));
        let team = || self.teams.iter().find(|t| t.name == who).map(|t| (t.key.clone(), "Team"));
        user.or_else(team).unwrap_or_else(|| (key_of(&["gone", who]), "User"))
    }

    fn profile(&self, t: &Team) -> Value {
        let archived = |who: &&String| self.teams.iter().any(|t| t.name == **who && t.archived);
        let member = |who: &String| {
            let (key, kind) = self.member(who);
            let name = self.users.iter().find(|u| u.email == *who).map_or(who.as_str(), |u| u.name.as_str());
            json!({"Key": key, "Type": kind, "Name": name})
        };
        let mut body = team(t);
        if let Some(map) = body.as_object_mut() {
            map.insert("Members".to_owned(), t.members.iter().filter(|w| !archived(w)).map(member).collect());
        }
        body
    }
}

fn key(key: &mut String, parts: &[&str]) {
    if key.is_empty() {
        *key = key_of(parts);
    }
}

/// An option that is not documented, or comes twice, is a request this fake does not know.
fn only(request: &FakeRequest, known: &[&str]) -> Result<(), FakeResponse> {
    let mut seen = BTreeSet::new();
    let fine = request.query.iter().all(|(k, _)| known.contains(&k.as_str()) && seen.insert(k));
    if fine { Ok(()) } else { Err(FakeResponse::unknown(request)) }
}

impl Vendor for Fake {
    fn answer(&mut self, at: Moment, request: &FakeRequest) -> FakeResponse {
        let mut parts: Vec<&str> = request.path.split('/').collect();
        if let Some(last) = parts.get_mut(3) {
            *last = "{key}";
        }
        *self.requests.entry(format!("{} {}", request.method, parts.join("/"))).or_default() += 1;
        match self.outage(request) {
            Some(outage) => outage.apply(|| self.route(at, request).unwrap_or_else(|refused| refused)),
            None => self.route(at, request).unwrap_or_else(|refused| refused),
        }
    }

    fn control(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        self.act(verb, args)
    }

    fn save(&self) -> Value {
        // Every key is a string, so there is nothing to fail; `Null` is what `restore` would refuse.
        serde_json::to_value(self).unwrap_or_default()
    }
}
