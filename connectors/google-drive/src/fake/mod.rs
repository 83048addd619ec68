//! A Drive to test against: a pure function of state and request that keeps Google's rules and refuses what it refuses.
//!
//! Shares no type with `api` and `map`, so that a misreading there is not repeated here. What a person does in the
//! browser, and what goes wrong at Google, is done through [`Fake::control`].

mod batch;
mod control;
mod feed;
mod fields;
mod files;
mod oauth;
mod permissions;
mod query;
mod render;
mod saved;
mod search;
mod seed;
mod state;
mod upload;

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use jiff::SignedDuration;
use ledgerward_contract::Timestamp;
use ledgerward_kit::fake::{Fake, FakeRequest, FakeResponse, Moment};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use control::permission_id;
use fields::{Known, Selector};
use state::{Node, Refuse, State, refuse};

type Answer = Result<FakeResponse, Refuse>;

/// Parameters that every method takes.
const COMMON: &[&str] =
    &["alt", "fields", "key", "prettyPrint", "quotaUser", "access_token", "oauth_token", "$.xgafv", "userIp"];

/// Whom a request comes from.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Who {
    user: String,
    app: String,
    scopes: Vec<String>,
}

impl Who {
    fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|s| s.rsplit('/').next() == Some(scope))
    }

    /// Sees only what its own app made.
    fn own_files_only(&self) -> bool {
        !["drive", "drive.readonly", "drive.metadata.readonly", "drive.metadata"].iter().any(|s| self.has(s))
    }
}

/// Something that goes wrong for the next so many requests.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Fault {
    path: String,
    method: Option<String>,
    left: u64,
    /// A status, or `html` / `empty` / `object` for a 200 with the wrong body.
    how: String,
    reason: String,
    retry_after: Option<String>,
}

impl Fault {
    fn hits(&mut self, request: &FakeRequest) -> bool {
        let hit = self.left > 0
            && request.path.contains(&self.path)
            && self.method.as_ref().is_none_or(|m| m == request.method.as_str());
        if hit {
            self.left -= 1;
        }
        hit
    }
}

/// The fake. Made by [`DriveFake::from_seed`].
#[derive(Debug, Deserialize, Serialize)]
pub struct DriveFake {
    st: State,
    now: Timestamp,
    /// Where requests come to when they name no host.
    #[serde(skip)]
    base: String,
    oauth: oauth::OAuth,
    /// Not saved: a client whose upload was under way begins it anew, as when Google forgets a session.
    #[serde(skip)]
    sessions: BTreeMap<String, upload::Session>,
    outages: Vec<Fault>,
    /// The write is done and its answer is lost.
    drops: Vec<Fault>,
    lag: SignedDuration,
    units_per_minute: u64,
    used: BTreeMap<String, (i64, u64)>,
    violations: Vec<String>,
    stats: BTreeMap<String, u64>,
    list_page_max: usize,
    permission_page_max: usize,
    permission_write: Duration,
    my_drive_details: bool,
    /// `403` or `400`: how an address without an account is refused.
    no_account_shape: String,
    mail_fails: u64,
    partial_pieces: u64,
    corrupt_uploads: u64,
}

impl Fake for DriveFake {
    /// Permission changes on one file must not overlap.
    fn lane(&self, request: &FakeRequest) -> Option<String> {
        permission_write(request).map(|file| format!("permissions of {file}"))
    }

    fn answer(&mut self, at: Moment, request: &FakeRequest) -> FakeResponse {
        self.now = at.now;
        let writes_permission = permission_write(request);
        if let (Some(file), true) = (&writes_permission, at.in_flight > 0) {
            self.violations.push(format!("two permission changes on {file} at once"));
        }
        if let Some(mut broken) = self.outage(request) {
            broken.takes = self.takes(writes_permission.is_some());
            return broken;
        }
        let answer = match self.route(request) {
            Ok(answer) => answer,
            Err(e) => refusal(&e),
        };
        let lost =
            request.method != Method::GET && answer.status < 400 && self.drops.iter_mut().any(|d| d.hits(request));
        let answer = if lost {
            refusal(&Refuse { status: 500, reason: "backendError".into(), message: "Internal Error".into() })
        } else {
            answer
        };
        answer.takes(self.takes(writes_permission.is_some()))
    }

    fn control(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        self.do_control(verb, args)
    }

    fn save(&self) -> Value {
        // Every key is a string, so there is nothing to fail; `Null` is what `restore` would refuse.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// The file whose permissions a request changes.
fn permission_write(request: &FakeRequest) -> Option<String> {
    let rest = request.path.strip_prefix("/drive/v3/files/")?;
    let (file, rest) = rest.split_once('/')?;
    (request.method != Method::GET && rest.starts_with("permissions")).then(|| file.to_owned())
}

/// An error in the v1 format, which official clients read.
fn refusal(e: &Refuse) -> FakeResponse {
    let domain = if e.reason.ends_with("LimitExceeded") || e.reason.ends_with("RateLimitExceeded") {
        "usageLimits"
    } else {
        "global"
    };
    let body = json!({ "error": {
        "code": e.status, "message": e.message,
        "errors": [{ "domain": domain, "reason": e.reason, "message": e.message }],
    }});
    FakeResponse::json(e.status, &body)
}

impl DriveFake {
    fn takes(&self, permission: bool) -> Duration {
        if permission { self.permission_write } else { Duration::ZERO }
    }

    fn outage(&mut self, request: &FakeRequest) -> Option<FakeResponse> {
        let fault = self.outages.iter_mut().find_map(|o| o.hits(request).then(|| o.clone()))?;
        let answer = match fault.how.as_str() {
            "html" => FakeResponse::new(200).header("content-type", "text/html").body("<html>Sorry</html>"),
            "empty" => FakeResponse::new(200),
            "object" => FakeResponse::json(200, &json!({})),
            status => {
                let status = status.parse().unwrap_or(503);
                refusal(&Refuse { status, reason: fault.reason, message: "This is an outage.".into() })
            }
        };
        Some(match fault.retry_after {
            Some(s) => answer.header("retry-after", s),
            None => answer,
        })
    }

    fn route(&mut self, request: &FakeRequest) -> Answer {
        let path = request.path.clone();
        let count = self.stats.entry(format!("{} {}", request.method, shape(&path))).or_default();
        *count += 1;
        match path.as_str() {
            "/o/oauth2/v2/auth" => return Ok(self.authorize(request)),
            "/token" => return Ok(self.token(request)),
            "/revoke" => return Ok(self.revoke_token(request)),
            "/batch/drive/v3" => return self.batch(request),
            _ => {}
        }
        if let Some(rest) = path.strip_prefix("/drive/v3/") {
            let parts: Vec<_> = rest.split('/').map(decode).collect();
            let parts: Vec<_> = parts.iter().map(String::as_str).collect();
            return self.rest(request, &parts);
        }
        let upload =
            path.strip_prefix("/upload/drive/v3/files").or(path.strip_prefix("/resumable/upload/drive/v3/files"));
        match upload {
            Some("") => self.upload(request, None),
            Some(id) => self.upload(request, Some(id.trim_start_matches('/').to_owned())),
            None => Ok(FakeResponse::unknown(request)),
        }
    }

    fn rest(&mut self, r: &FakeRequest, parts: &[&str]) -> Answer {
        let who = self.who(r)?;
        let method = r.method.as_str();
        self.charge(&who, method, parts)?;
        match (method, parts) {
            ("GET", ["about"]) => self.about(r, &who),
            ("GET", ["files"]) => self.list(r, &who),
            ("POST", ["files"]) => self.create(r, &who),
            ("GET", ["files", "generateIds"]) => self.generate_ids(r),
            ("GET", ["files", id]) => self.get(r, &who, id),
            ("PATCH", ["files", id]) => self.update(r, &who, id),
            ("DELETE", ["files", id]) => self.delete(r, &who, id),
            ("GET", ["files", id, "permissions"]) => self.permissions_list(r, &who, id),
            ("POST", ["files", id, "permissions"]) => self.permission_create(r, &who, id),
            ("GET", ["files", id, "permissions", p]) => self.permission_get(r, &who, id, p),
            ("PATCH", ["files", id, "permissions", p]) => self.permission_update(r, &who, id, p),
            ("DELETE", ["files", id, "permissions", p]) => self.permission_delete(r, &who, id, p),
            ("GET", ["drives"]) => self.drives(r, &who),
            ("GET", ["drives", id]) => self.drive(r, &who, id),
            ("GET", ["changes", "startPageToken"]) => self.start_token(r, &who),
            ("GET", ["changes"]) => self.changes(r, &who),
            _ => Ok(FakeResponse::unknown(r)),
        }
    }

    fn who(&mut self, r: &FakeRequest) -> Result<Who, Refuse> {
        let Some(token) = r.header("authorization").and_then(|h| h.strip_prefix("Bearer ")) else {
            return refuse(401, "required", "Login Required.");
        };
        self.oauth.bearer(token, self.now).ok_or(Refuse {
            status: 401,
            reason: "authError".into(),
            message: "Invalid Credentials".into(),
        })
    }

    /// Counts units by user and minute.
    fn charge(&mut self, who: &Who, method: &str, parts: &[&str]) -> Result<(), Refuse> {
        let units = match (method, parts) {
            ("GET", ["files" | "drives" | "changes"] | ["files", _, "permissions"]) => 100,
            ("GET", _) => 5,
            _ => 50,
        };
        let minute = self.now.as_second() / 60;
        let used = self.used.entry(who.user.clone()).or_insert((minute, 0));
        if used.0 != minute {
            *used = (minute, 0);
        }
        used.1 += units;
        if used.1 > self.units_per_minute {
            return refuse(403, "userRateLimitExceeded", "User Rate Limit Exceeded.");
        }
        Ok(())
    }

    /// The item, if this caller may know of it.
    fn visible(&self, r: &FakeRequest, who: &Who, id: &str) -> Result<Node, Refuse> {
        let top = self.st.top_of(&who.user);
        let id = if id == "root" { top.as_str() } else { id };
        let missing = || Refuse { status: 404, reason: "notFound".into(), message: format!("File not found: {id}.") };
        let node = self.st.files.get(id).ok_or_else(missing)?;
        let hidden = (node.drive.is_some() && r.query("supportsAllDrives") != Some("true"))
            || (who.own_files_only() && node.app != who.app)
            || self.st.access(id, &who.user).is_none();
        if hidden { Err(missing()) } else { Ok(node.clone()) }
    }

    fn file_answer(&self, r: &FakeRequest, who: &Who, id: &str) -> Answer {
        let Some(node) = self.st.files.get(id) else { return refuse(404, "notFound", "File not found.") };
        let full = self.st.file_json(node, &who.user, &who.app, self.my_drive_details);
        answer(r, &full, Known::File, "kind,id,name,mimeType")
    }

    fn about(&self, r: &FakeRequest, who: &Who) -> Answer {
        allow(r, &[])?;
        if r.query("fields").is_none() {
            return refuse(400, "required", "The 'fields' parameter is required for this method.");
        }
        let account = self.st.account(&who.user);
        let used = self.st.used(&who.user).to_string();
        let mut quota = json!({ "usage": used, "usageInDrive": used, "usageInDriveTrash": "0" });
        if let (Some(room), Some(map)) = (account.and_then(|a| a.room), quota.as_object_mut()) {
            map.insert("limit".to_owned(), json!(room.to_string()));
        }
        let full = json!({
            "kind": "drive#about", "user": self.st.user_json(&who.user, &who.user), "storageQuota": quota,
            "canCreateDrives": true, "appInstalled": true, "maxUploadSize": "5242880000000",
        });
        answer(r, &full, Known::About, "*")
    }
}

/// Applies `fields` (or what Google gives without it) and answers 200.
fn answer(r: &FakeRequest, full: &Value, known: Known, default: &str) -> Answer {
    let bad = |message: String| Refuse { status: 400, reason: "invalidParameter".into(), message };
    let selector = Selector::parse(r.query("fields").unwrap_or(default)).map_err(bad)?;
    Ok(FakeResponse::json(200, &selector.apply(full, &known).map_err(bad)?))
}

/// Refuses parameters that this method does not have, and flags that are no booleans.
fn allow(r: &FakeRequest, names: &[&str]) -> Result<(), Refuse> {
    for (name, value) in &r.query {
        if !names.contains(&name.as_str()) && !COMMON.contains(&name.as_str()) {
            return refuse(400, "badRequest", format!("Invalid JSON payload received. Unknown name \"{name}\""));
        }
        if (name.starts_with("supports")
            || name.starts_with("include") && name != "includeLabels" && !name.ends_with("View"))
            && !["true", "false"].contains(&value.as_str())
        {
            return refuse(400, "badRequest", format!("Invalid value at '{name}'"));
        }
    }
    Ok(())
}

/// The number in a parameter, within bounds.
fn number(r: &FakeRequest, name: &str, default: usize, max: usize) -> Result<usize, Refuse> {
    match r.query(name) {
        None => Ok(default),
        Some(text) => match text.parse() {
            Ok(n) if (1..=max).contains(&n) => Ok(n),
            _ => refuse(400, "invalid", format!("Invalid value '{text}'. Values must be within the range: [1, {max}]")),
        },
    }
}

/// A path with ids taken out, for counting.
fn shape(path: &str) -> String {
    let known = [
        "drive",
        "v3",
        "files",
        "permissions",
        "changes",
        "startPageToken",
        "generateIds",
        "drives",
        "about",
        "upload",
        "resumable",
        "batch",
        "token",
        "revoke",
        "o",
        "oauth2",
        "v2",
        "auth",
    ];
    path.split('/').map(|p| if p.is_empty() || known.contains(&p) { p } else { "{id}" }).collect::<Vec<_>>().join("/")
}

/// Percent-decoding of one path segment.
fn decode(segment: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = segment.bytes();
    while let Some(b) = bytes.next() {
        let hex = |c: Option<u8>| c.and_then(|c| (c as char).to_digit(16));
        if b == b'%' {
            let (a, b) = (hex(bytes.next()), hex(bytes.next()));
            out.push((a.unwrap_or(0) * 16 + b.unwrap_or(0)).try_into().unwrap_or(b'?'));
        } else {
            out.push(b);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
