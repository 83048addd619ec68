//! A Graph to test against: a pure function of state and request that keeps Microsoft's rules and refuses what it refuses.
//!
//! Shares no type with `api` and `map`, so that a misreading there is not repeated here. What a person does in the
//! browser, and what goes wrong at Microsoft, is done through [`Fake::control`].

mod address;
mod control;
mod feed;
mod items;
mod oauth;
mod permissions;
mod seed;
mod state;
mod upload;

use std::collections::BTreeMap;

use http::Method;
use ledgerward_contract::Timestamp;
use ledgerward_kit::fake::{Fake, FakeRequest, FakeResponse, Moment};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use state::{Refuse, State, refuse};

type Answer = Result<FakeResponse, Refuse>;

/// Something that goes wrong for the next so many requests.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Fault {
    path: String,
    method: Option<String>,
    left: u64,
    /// A status, or `html` / `empty` / `object` for a 200 with the wrong body.
    how: String,
    code: String,
    retry_after: Option<String>,
}

impl Fault {
    fn hits(&mut self, r: &FakeRequest) -> bool {
        let hit =
            self.left > 0 && r.path.contains(&self.path) && self.method.as_ref().is_none_or(|m| m == r.method.as_str());
        self.left -= u64::from(hit);
        hit
    }
}

/// Oddities of the service, each seen in the wild. All changed by the verb `limits`.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Ways {
    page_max: usize,
    /// Resource units a minute.
    units: u64,
    small_max: usize,
    scopes_max: usize,
    /// Whether inherited entries say so by an empty `inheritedFrom`.
    marks_inherited: bool,
    /// A delete of an inherited entry is taken and does nothing, instead of being refused.
    quiet_deletes: bool,
    /// Who was let in to something stands, without a role, on the lists above it.
    #[serde(default)]
    limited_above: bool,
    /// Entries name their holder in the deprecated field only.
    old_fields: bool,
    /// Reads of a list that do not yet show a change.
    lag: u64,
    /// Invitations that are answered 200 and do nothing.
    swallow: u64,
    /// Reads of a file that do not yet show its hash.
    late_hash: u64,
    corrupt_uploads: u64,
}

/// The fake. Made by [`GraphFake::from_seed`].
#[derive(Debug, Deserialize, Serialize)]
pub struct GraphFake {
    st: State,
    now: Timestamp,
    /// Where requests come to when they name no host.
    #[serde(skip)]
    base: String,
    oauth: oauth::OAuth,
    /// Not saved: a client whose upload was under way begins it anew, as when a session expired.
    #[serde(skip)]
    sessions: BTreeMap<String, upload::Session>,
    outages: Vec<Fault>,
    /// The write is done and its answer is lost.
    drops: Vec<Fault>,
    /// Minute and units used in it.
    used: (i64, u64),
    violations: Vec<String>,
    stats: BTreeMap<String, u64>,
    /// Mails that went out to people. None ever should.
    mails: u64,
    ways: Ways,
    /// Lists as they were, and for how many reads they are still shown so.
    stale: BTreeMap<String, (u64, Vec<Value>)>,
}

impl Fake for GraphFake {
    fn answer(&mut self, at: Moment, r: &FakeRequest) -> FakeResponse {
        self.now = at.now;
        if let Some(broken) = self.outage(r) {
            return broken;
        }
        let answer = self.route(r).unwrap_or_else(|e| e.answer());
        let lost = r.method != Method::GET && answer.status < 400 && self.drops.iter_mut().any(|d| d.hits(r));
        if lost { FakeResponse::new(503) } else { answer }
    }

    fn control(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        self.do_control(verb, args)
    }

    fn save(&self) -> Value {
        // Every key is a string, so there is nothing to fail; `Null` is what `restore` would refuse.
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl GraphFake {
    fn outage(&mut self, r: &FakeRequest) -> Option<FakeResponse> {
        let fault = self.outages.iter_mut().find_map(|o| o.hits(r).then(|| o.clone()))?;
        let answer = match fault.how.as_str() {
            "html" => FakeResponse::new(200).header("content-type", "text/html").body("<html>Sorry</html>"),
            "empty" => FakeResponse::new(200),
            "object" => FakeResponse::json(200, &json!({})),
            status => Refuse::new(status.parse().unwrap_or(503), &fault.code, "This is an outage.").answer(),
        };
        Some(match fault.retry_after {
            Some(s) => answer.header("retry-after", s),
            None => answer,
        })
    }

    fn route(&mut self, r: &FakeRequest) -> Answer {
        let path = r.path.clone();
        *self.stats.entry(format!("{} {}", r.method, shape(&path))).or_default() += 1;
        if path.ends_with("/oauth2/v2.0/authorize") {
            return Ok(self.authorize(r));
        }
        if path.ends_with("/oauth2/v2.0/token") {
            return Ok(self.token(r));
        }
        if path.starts_with("/_content/") {
            return self.content_host(r);
        }
        if let Some(rest) = path.strip_prefix("/v1.0/") {
            let who = self.who(r)?;
            let agent = r.header("user-agent").unwrap_or_default();
            if !agent.starts_with("NONISV|") && !agent.starts_with("ISV|") {
                self.violations.push(format!("the user agent \"{agent}\" is not decorated"));
            }
            if rest == "$batch" {
                return self.batch(r, &who);
            }
            return self.counted(r, &who, rest);
        }
        Ok(FakeResponse::unknown(r))
    }

    /// One request against the limits: 1 unit for one thing, 2 for lists and changes, 5 for anything about permissions.
    fn counted(&mut self, r: &FakeRequest, who: &str, rest: &str) -> Answer {
        let about_people = rest.contains("/permissions") || rest.contains("/invite");
        let listing = rest.ends_with("/children") || rest.ends_with("/drives");
        let units = if about_people {
            5
        } else if listing || r.method != Method::GET {
            2
        } else {
            1
        };
        let minute = self.now.as_second() / 60;
        if self.used.0 != minute {
            self.used = (minute, 0);
        }
        self.used.1 += units;
        let (used, most, left) = (self.used.1, self.ways.units, 60 - self.now.as_second() % 60);
        if used > most {
            return Err(Refuse {
                after: Some(left),
                ..Refuse::new(429, "activityLimitReached", "The app has been throttled.")
            });
        }
        let answer = self.api(r, who, rest)?;
        // From four fifths on the limits are told.
        Ok(if used * 5 < most * 4 {
            answer
        } else {
            answer
                .header("ratelimit-limit", most.to_string())
                .header("ratelimit-remaining", (most - used).to_string())
                .header("ratelimit-reset", left.to_string())
        })
    }

    fn batch(&mut self, r: &FakeRequest, who: &str) -> Answer {
        let body = r.json();
        let Some(requests) = body.get("requests").and_then(Value::as_array).filter(|l| (1..=20).contains(&l.len()))
        else {
            return refuse(400, "BadRequest", "A batch has 1 to 20 requests.");
        };
        let mut responses = Vec::new();
        for one in requests {
            let text = |key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let Ok(url) = url::Url::parse(&format!("http://graph.example/v1.0{}", text("url"))) else {
                return refuse(400, "BadRequest", "Invalid batch payload format.");
            };
            let (Ok(method), false) = (text("method").parse::<Method>(), text("id").is_empty()) else {
                return refuse(400, "BadRequest", "Invalid batch payload format.");
            };
            let inner = FakeRequest {
                method,
                path: url.path().to_owned(),
                query: url.query_pairs().into_owned().collect(),
                headers: r.headers.clone(),
                body: one.get("body").unwrap_or(&Value::Null).to_string().into(),
            };
            let rest = inner.path.trim_start_matches("/v1.0/").to_owned();
            let answer = match self.outage(&inner) {
                Some(broken) => broken,
                None => self.counted(&inner, who, &rest).unwrap_or_else(|e| e.answer()),
            };
            let headers: BTreeMap<_, _> = answer.headers.iter().cloned().collect();
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            responses.push(json!({ "id": text("id"), "status": answer.status, "headers": headers, "body": body }));
        }
        // The answers of a batch come in any order.
        responses.reverse();
        Ok(FakeResponse::json(200, &json!({ "responses": responses })))
    }

    fn who(&self, r: &FakeRequest) -> Result<String, Refuse> {
        let token = r.header("authorization").and_then(|h| h.strip_prefix("Bearer ")).unwrap_or_default();
        self.oauth.bearer(token, self.now).ok_or_else(|| {
            Refuse::new(401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.")
        })
    }

    fn api(&mut self, r: &FakeRequest, who: &str, rest: &str) -> Answer {
        let parts: Vec<_> = rest.split('/').collect();
        match (r.method.as_str(), parts.as_slice()) {
            (_, ["me", ..]) if who.starts_with(oauth::APP) => {
                refuse(400, "BadRequest", "/me request is only valid with delegated authentication flow.")
            }
            ("GET", ["me"]) => Ok(FakeResponse::json(200, &self.st.user_entity(who))),
            ("GET", ["me", "drive"]) => self.drive_of(|d, _| d.user.as_deref() == Some(who)),
            ("GET", ["users", user, "drive"]) => {
                let user = address::decoded(user);
                let id = self.st.user_named(&user).map(|u| u.id.clone());
                self.drive_of(|d, _| id.is_some() && d.user == id)
            }
            ("GET", ["groups", group, "drive"]) => self.drive_of(|d, _| d.group.as_deref() == Some(group)),
            ("GET", ["sites", .., last]) if *last == "drive" || *last == "drives" => self.site(rest, *last == "drives"),
            ("GET", ["drives", id]) => {
                let id = address::decoded(id);
                self.drive_of(|_, key| key == id)
            }
            ("GET", ["drives", drive, "root", "delta"]) => self.delta(r, who, &address::decoded(drive)),
            ("GET" | "POST" | "PATCH" | "PUT" | "DELETE", ["drives", drive, below @ ..]) => {
                self.things(r, who, &address::decoded(drive), below)
            }
            _ => Ok(FakeResponse::unknown(r)),
        }
    }

    fn drive_of(&self, is: impl Fn(&state::Drive, &str) -> bool) -> Answer {
        match self.st.drives.iter().find(|(id, d)| is(d, id)) {
            Some((id, _)) => Ok(FakeResponse::json(200, &self.st.drive_entity(id))),
            None => refuse(404, "ResourceNotFound", "User's mysite not found."),
        }
    }

    fn site(&self, rest: &str, all: bool) -> Answer {
        let site = rest.trim_start_matches("sites/").trim_end_matches("/drives").trim_end_matches("/drive");
        let site = site.trim_end_matches(':');
        let found: Vec<_> =
            self.st.drives.iter().filter(|(_, d)| d.site.as_deref() == Some(site)).map(|(id, _)| id).collect();
        match (found.first(), all) {
            (None, _) => refuse(404, "itemNotFound", "Requested site could not be found"),
            (Some(id), false) => Ok(FakeResponse::json(200, &self.st.drive_entity(id))),
            (Some(_), true) => {
                let list: Vec<_> = found.iter().map(|id| self.st.drive_entity(id)).collect();
                Ok(FakeResponse::json(200, &json!({ "value": list })))
            }
        }
    }

    /// A page of a list. The address of the next one is opaque; here it is an offset in disguise.
    fn page(&self, r: &FakeRequest, all: &[Value], most: usize) -> Answer {
        let top = match r.query("$top").map(str::parse::<usize>) {
            None => 200,
            Some(Ok(n)) if (1..=1_000).contains(&n) => n,
            _ => return refuse(400, "invalidRequest", "The value of $top is not allowed."),
        };
        let from = match r.query("$skiptoken") {
            None => 0,
            Some(text) => match text.strip_prefix("UGFnZWQ9VFJVRQ").and_then(|n| n.parse::<usize>().ok()) {
                Some(n) => n,
                None => return refuse(400, "invalidRequest", "The skip token is not valid."),
            },
        };
        let size = top.min(most);
        let value: Vec<_> = all.iter().skip(from).take(size).cloned().collect();
        let mut body = json!({ "value": value });
        if from + size < all.len()
            && let Some(map) = body.as_object_mut()
        {
            let link = format!("{}{}?$top={top}&$skiptoken=UGFnZWQ9VFJVRQ{}", self.base, r.path, from + size);
            map.insert("@odata.nextLink".to_owned(), json!(link));
        }
        Ok(FakeResponse::json(200, &body))
    }
}

/// A path with ids taken out, for counting.
fn shape(path: &str) -> String {
    let word = |p: &str| p == "v1.0" || p.bytes().all(|b| b.is_ascii_alphabetic() || b == b'$');
    path.split('/').map(|p| if word(p) { p } else { "{id}" }).collect::<Vec<_>>().join("/")
}
