//! A Dropbox to test against: a pure function of state and request that keeps Dropbox's rules and refuses what it refuses.
//!
//! Shares no type with `api` and `map`, so that a misreading there is not repeated here. What people do in the browser, and
//! what goes wrong at Dropbox, is done through [`Fake::control`].

#![expect(
    clippy::indexing_slicing,
    reason = "only JSON values are indexed, by key: one that is not there reads as null, and only objects made here are written to"
)]

mod accounts;
mod call;
mod control;
mod feed;
mod files;
mod jobs;
mod oauth;
mod people;
mod seed;
mod sharing;
mod state;
mod upload;

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use ledgerward_contract::Timestamp;
use ledgerward_kit::fake::{Fake, FakeRequest, FakeResponse, Moment};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use state::State;

/// A refusal as it goes out.
#[derive(Debug, Clone)]
struct Refuse {
    status: u16,
    body: Body,
    retry_after: Option<u64>,
}

#[derive(Debug, Clone)]
enum Body {
    Union(Value),
    Plain(String),
}

type Answer<T = Value> = Result<T, Refuse>;

/// A union as the body of a 409, or another status.
fn refuse<T>(status: u16, error: Value) -> Answer<T> {
    Err(Refuse { status, body: Body::Union(error), retry_after: None })
}

/// 409 with nested tags: `path/not_found`.
fn tag<T>(path: &str) -> Answer<T> {
    refuse(409, union(path))
}

fn union(path: &str) -> Value {
    match path.split_once('/') {
        None => json!({ ".tag": path }),
        Some((head, rest)) => json!({ ".tag": head, head: union(rest) }),
    }
}

fn plain<T>(text: impl Into<String>) -> Answer<T> {
    Err(Refuse { status: 400, body: Body::Plain(text.into()), retry_after: None })
}

/// Whom a request comes from.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Who {
    email: String,
    scopes: Vec<String>,
    /// A team's token: needs a member chosen.
    team: bool,
    /// An app that reaches only its own folder.
    app_folder: bool,
}

/// One call, after sign-in: who, from which root, with which argument.
struct Call {
    who: Who,
    /// Whether the path root header names the team space.
    rooted: bool,
    arg: Value,
}

impl Call {
    fn text(&self, key: &str) -> Answer<String> {
        match self.arg[key].as_str() {
            Some(text) => Ok(text.to_owned()),
            None => plain(format!("Error in call: request body: missing field '{key}'")),
        }
    }

    fn flag(&self, key: &str) -> bool {
        self.arg[key].as_bool().unwrap_or(false)
    }

    /// A union without a value, in either way of writing it.
    fn word(&self, key: &str) -> Option<String> {
        word(&self.arg[key])
    }

    /// Refuses fields that the route does not have.
    fn only(&self, keys: &[&str]) -> Answer<()> {
        match self.arg.as_object().into_iter().flatten().find(|(k, _)| !keys.contains(&k.as_str())) {
            Some((k, _)) => plain(format!("Error in call: request body: unknown field '{k}'")),
            None => Ok(()),
        }
    }
}

fn word(v: &Value) -> Option<String> {
    v.as_str().or_else(|| v[".tag"].as_str()).map(str::to_owned)
}

/// Something that goes wrong for the next so many requests.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Fault {
    path: String,
    left: u64,
    /// A status; `html`, `empty`, `object` for a 200 with the wrong body; `429-plain`; or tags for a 409 (`insufficient_plan`).
    how: String,
    retry_after: Option<u64>,
}

/// The fake. Made by [`DropboxFake::from_seed`].
#[derive(Debug, Deserialize, Serialize)]
pub struct DropboxFake {
    st: State,
    now: Timestamp,
    oauth: oauth::OAuth,
    /// Not saved: an upload under way begins anew.
    #[serde(skip)]
    sessions: BTreeMap<String, upload::Session>,
    jobs: BTreeMap<String, jobs::Job>,
    outages: Vec<Fault>,
    /// The write is done and its answer is lost.
    drops: Vec<Fault>,
    violations: Vec<String>,
    stats: BTreeMap<String, u64>,
    list_page_max: usize,
    member_page_max: usize,
    /// How long jobs take, and a write holds its namespace.
    job_ms: i64,
    write_ms: u64,
    /// All sharing goes by jobs.
    share_async: bool,
    requests_per_minute: u64,
    used: (i64, u64),
    invitations_left: u64,
    corrupt_uploads: u64,
    /// Append requests that are cut short by half.
    partial_pieces: u64,
    /// Files of a batch that meet a busy namespace.
    busy_commits: u64,
}

/// Routes that change a namespace, and so exclude each other.
const WRITES: &[&str] = &[
    "files/create_folder_v2",
    "files/move_v2",
    "files/delete_v2",
    "files/upload",
    "files/upload_session/finish",
    "files/upload_session/finish_batch_v2",
    "sharing/share_folder",
    "sharing/add_folder_member",
    "sharing/update_folder_member",
    "sharing/remove_folder_member",
    "sharing/update_folder_policy",
    "sharing/set_access_inheritance",
    "sharing/revoke_shared_link",
];

/// The route of a request, and whether it came to the host for content. Where both of the vendor's hosts are one address,
/// which of them was meant can only be told by the route.
fn route(request: &FakeRequest) -> Option<(&str, bool)> {
    match request.path.strip_prefix("/content/2/") {
        Some(route) => Some((route, true)),
        None => request.path.strip_prefix("/2/").map(|route| (route, call::needs(route, true).is_some())),
    }
}

fn is_write(request: &FakeRequest) -> bool {
    route(request).is_some_and(|(r, _)| WRITES.contains(&r))
}

impl Fake for DropboxFake {
    fn lane(&self, request: &FakeRequest) -> Option<String> {
        is_write(request).then(|| "namespace".to_owned())
    }

    fn answer(&mut self, at: Moment, request: &FakeRequest) -> FakeResponse {
        self.now = at.now;
        self.finish_jobs();
        let takes = if is_write(request) { Duration::from_millis(self.write_ms) } else { Duration::ZERO };
        if let Some(broken) = self.outage(request) {
            return broken.takes(takes);
        }
        if is_write(request) && at.in_flight > 0 {
            self.violations.push(format!("{} while another write was under way", request.path));
            let error = json!({ "reason": { ".tag": "too_many_write_operations" }, "retry_after": 1 });
            let r = Refuse { status: 429, body: Body::Union(error), retry_after: Some(1) };
            return self.refusal(&r).takes(takes);
        }
        let answer = match self.dispatch(request) {
            Ok(answer) => answer,
            Err(r) => self.refusal(&r),
        };
        let lost = answer.status < 400
            && self.drops.iter_mut().any(|d| {
                let hit = d.left > 0 && request.path.contains(&d.path);
                d.left -= u64::from(hit);
                hit
            });
        let answer = if lost { FakeResponse::new(500).body("Internal Server Error") } else { answer };
        answer.takes(takes)
    }

    fn control(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        self.do_control(verb, args)
    }

    fn save(&self) -> Value {
        // Every key is a string, so there is nothing to fail; `Null` is what `restore` would refuse.
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl DropboxFake {
    fn refusal(&mut self, r: &Refuse) -> FakeResponse {
        let answer = match &r.body {
            Body::Plain(text) => FakeResponse::new(r.status).header("content-type", "text/plain").body(text.clone()),
            Body::Union(error) => {
                // The summary ends in dots whose number means nothing.
                let n = self.st.number();
                let tag = error[".tag"].as_str().unwrap_or("other");
                let dots = ".".repeat(usize::try_from(n % 4).unwrap_or(0));
                FakeResponse::json(r.status, &json!({ "error_summary": format!("{tag}/{dots}"), "error": error }))
            }
        };
        let answer = answer.header("x-dropbox-request-id", format!("{:032x}", self.st.number()));
        match r.retry_after {
            Some(s) => answer.header("retry-after", s.to_string()),
            None => answer,
        }
    }

    fn outage(&mut self, request: &FakeRequest) -> Option<FakeResponse> {
        let fault = self.outages.iter_mut().find(|f| f.left > 0 && request.path.contains(&f.path))?;
        fault.left -= 1;
        let fault = fault.clone();
        let answer = match fault.how.as_str() {
            "html" => FakeResponse::new(200).header("content-type", "text/html").body("<html>Sorry</html>"),
            "empty" => FakeResponse::new(200),
            "object" => FakeResponse::json(200, &json!({})),
            "429-plain" => FakeResponse::new(429).header("content-type", "text/plain").body("Too many requests"),
            how => match how.parse::<u16>() {
                Ok(429) => {
                    let pause = fault.retry_after.unwrap_or(1);
                    let error = json!({ "reason": { ".tag": "too_many_requests" }, "retry_after": pause });
                    FakeResponse::json(429, &json!({ "error_summary": "too_many_requests/.", "error": error }))
                }
                Ok(status) => FakeResponse::new(status).header("content-type", "text/plain").body("Sorry"),
                Err(_) => {
                    let r = Refuse { status: 409, body: Body::Union(union(how)), retry_after: None };
                    self.refusal(&r)
                }
            },
        };
        Some(match fault.retry_after {
            Some(s) => answer.header("retry-after", s.to_string()),
            None => answer,
        })
    }

    fn dispatch(&mut self, request: &FakeRequest) -> Answer<FakeResponse> {
        match request.path.as_str() {
            "/oauth2/authorize" => return Ok(self.authorize(request)),
            "/oauth2/token" if request.method == Method::POST => return Ok(self.token(request)),
            _ => {}
        }
        let Some((route, content)) = route(request) else { return Ok(FakeResponse::unknown(request)) };
        let route = route.to_owned();
        *self.stats.entry(route.clone()).or_default() += 1;
        if request.method != Method::POST {
            return plain("Error in call: all routes take POST");
        }
        let minute = self.now.as_second() / 60;
        self.used = if self.used.0 == minute { (minute, self.used.1 + 1) } else { (minute, 1) };
        if self.used.1 > self.requests_per_minute {
            let error = json!({ "reason": { ".tag": "too_many_requests" }, "retry_after": 5 });
            return Err(Refuse { status: 429, body: Body::Union(error), retry_after: Some(5) });
        }
        let Some((scope, nothing)) = call::needs(&route, content) else { return Ok(FakeResponse::unknown(request)) };
        let call = self.call(request, &route, content, nothing)?;
        if !call.who.scopes.iter().any(|s| s == scope) && !scope.is_empty() {
            return refuse(401, json!({ ".tag": "missing_scope", "required_scope": scope }));
        }
        if call.who.app_folder && route.starts_with("sharing/") {
            return plain(format!(
                "Error in call to API function \"{route}\": Your app is not permitted to access this endpoint"
            ));
        }
        if route == "files/download" {
            return self.download(&call);
        }
        let value = match route.split_once('/') {
            Some(("users" | "auth", _)) => self.users(&route, &call),
            Some(("sharing", _)) => self.sharing(&route, &call),
            _ if content => self.content(&route, &call, request),
            _ if route == "files/upload_session/finish_batch_v2" => self.finish_batch(&call),
            _ => self.files(&route, &call),
        }?;
        Ok(FakeResponse::json(200, &value).header("x-dropbox-request-id", format!("{:032x}", self.st.number())))
    }

    fn users(&mut self, route: &str, call: &Call) -> Answer {
        match route {
            "users/get_current_account" => Ok(self.st.account_json(&call.who.email)),
            "users/get_space_usage" => Ok(self.st.space_json(&call.who.email)),
            _ => {
                self.oauth.withdraw(&call.who.email);
                Ok(Value::Null)
            }
        }
    }
}
