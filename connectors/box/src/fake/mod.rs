//! A Box to test against: a pure function of state and request that keeps Box's rules and refuses what it refuses.
//!
//! Shares no type with `api` and `map`, so that a misreading there is not repeated here. What a person does in the
//! browser, and what goes wrong at Box, is done through [`Fake::control`].

mod collaborations;
mod control;
mod feed;
mod items;
mod oauth;
mod render;
mod seed;
mod state;
mod upload;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use http::Method;
use ledgerward_contract::Timestamp;
use ledgerward_kit::fake::{Fake, FakeRequest, FakeResponse, Moment};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use state::{Node, Refuse, State, refuse, said};

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

/// The fake. Made by [`BoxFake::from_seed`].
#[derive(Debug, Deserialize, Serialize)]
pub struct BoxFake {
    st: State,
    now: Timestamp,
    /// Where requests come to when they name no host.
    #[serde(skip)]
    base: String,
    /// Where large uploads are sent, if not here.
    upload_base: Option<String>,
    oauth: oauth::OAuth,
    /// Not saved: a client whose upload was under way begins it anew, as when Box forgets a session.
    #[serde(skip)]
    sessions: BTreeMap<String, upload::Session>,
    outages: Vec<Fault>,
    /// The write is done and its answer is lost.
    drops: Vec<Fault>,
    used: BTreeMap<String, (i64, u64)>,
    violations: Vec<String>,
    stats: BTreeMap<String, u64>,
    /// Collaborations that nobody may change through the API.
    protected: BTreeSet<String>,
    page_max: usize,
    per_minute: u64,
    uploads_per_minute: u64,
    session_min: usize,
    part_size: usize,
    write_ms: u64,
    /// Whether a folder's list repeats who is on the folders above.
    inherited_listed: bool,
    repeat_events: bool,
    pending_commits: u64,
    parts_race: u64,
    corrupt_uploads: u64,
}

impl Fake for BoxFake {
    /// Changes of one folder's collaborations must not overlap.
    fn lane(&self, r: &FakeRequest) -> Option<String> {
        self.collaboration_write(r).map(|item| format!("collaborations of {item}"))
    }

    fn answer(&mut self, at: Moment, r: &FakeRequest) -> FakeResponse {
        self.now = at.now;
        let changed = self.collaboration_write(r);
        let takes = Duration::from_millis(if changed.is_some() { self.write_ms } else { 0 });
        if let (Some(item), true) = (&changed, at.in_flight > 0) {
            self.violations.push(format!("two changes of the collaborations of {item} at once"));
            return FakeResponse::new(503).takes(takes);
        }
        if let Some(broken) = self.outage(r) {
            return broken.takes(takes);
        }
        let answer = self.route(r).unwrap_or_else(|e| e.answer());
        let lost = r.method != Method::GET && answer.status < 400 && self.drops.iter_mut().any(|d| d.hits(r));
        if lost { FakeResponse::new(503).takes(takes) } else { answer.takes(takes) }
    }

    fn control(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        self.do_control(verb, args)
    }

    fn save(&self) -> Value {
        // Every key is a string, so there is nothing to fail; `Null` is what `restore` would refuse.
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl BoxFake {
    /// The item whose collaborations a request changes.
    fn collaboration_write(&self, r: &FakeRequest) -> Option<String> {
        match (r.method.as_str(), r.path.strip_prefix("/2.0/collaborations")?) {
            ("POST", "") => Some(said(&r.json(), "/item/id").to_owned()),
            ("PUT" | "DELETE", id) => self.st.collabs.get(id.trim_start_matches('/')).map(|c| c.item.clone()),
            _ => None,
        }
    }

    fn outage(&mut self, r: &FakeRequest) -> Option<FakeResponse> {
        let fault = self.outages.iter_mut().find_map(|o| o.hits(r).then(|| o.clone()))?;
        let answer = match fault.how.as_str() {
            "html" => FakeResponse::new(200).header("content-type", "text/html").body("<html>Sorry</html>"),
            "empty" => FakeResponse::new(200),
            "object" => FakeResponse::json(200, &json!({})),
            "429" => FakeResponse::new(429),
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
        match path.as_str() {
            "/api/oauth2/authorize" => return Ok(self.authorize(r)),
            "/oauth2/token" => return Ok(self.token(r)),
            "/oauth2/revoke" => return Ok(self.revoke_token(r)),
            _ => {}
        }
        if let Some(rest) = path.strip_prefix("/2.0/") {
            let who = self.who(r)?;
            self.charge(&who, "calls", self.per_minute)?;
            return self.rest(r, &who, &rest.split('/').collect::<Vec<_>>());
        }
        if let Some(rest) = path.strip_prefix("/api/2.0/") {
            let who = self.who(r)?;
            self.charge(&who, "uploads", self.uploads_per_minute)?;
            return self.upload(r, &who, &rest.split('/').collect::<Vec<_>>());
        }
        Ok(FakeResponse::unknown(r))
    }

    fn rest(&mut self, r: &FakeRequest, who: &str, parts: &[&str]) -> Answer {
        match (r.method.as_str(), parts) {
            ("GET", ["users", "me"]) => self.me(r, who),
            ("POST", ["folders"]) => self.folder_create(r, who),
            ("GET", ["folders", id]) => self.item_get(r, who, "folder", id),
            ("PUT", ["folders", id]) => self.item_update(r, who, "folder", id),
            ("DELETE", ["folders", id]) => self.item_trash(r, who, "folder", id),
            ("GET", ["folders", id, "items"]) => self.folder_items(r, who, id),
            ("GET", ["folders", id, "collaborations"]) => self.collaborations(r, who, "folder", id),
            ("GET", ["files", id]) => self.item_get(r, who, "file", id),
            ("PUT", ["files", id]) => self.item_update(r, who, "file", id),
            ("DELETE", ["files", id]) => self.item_trash(r, who, "file", id),
            ("GET", ["files", id, "collaborations"]) => self.collaborations(r, who, "file", id),
            ("POST", ["collaborations"]) => self.collaboration_create(r, who),
            ("GET", ["collaborations", id]) => self.collaboration_get(r, who, id),
            ("PUT", ["collaborations", id]) => self.collaboration_update(r, who, id),
            ("DELETE", ["collaborations", id]) => self.collaboration_delete(who, id),
            ("GET", ["events"]) => self.events(r, who),
            _ => Ok(FakeResponse::unknown(r)),
        }
    }

    fn who(&self, r: &FakeRequest) -> Result<String, Refuse> {
        let token = r.header("authorization").and_then(|h| h.strip_prefix("Bearer ")).unwrap_or_default();
        self.oauth.bearer(token, self.now).ok_or_else(|| Refuse::new(401, "", ""))
    }

    /// Counts by user and minute.
    fn charge(&mut self, who: &str, what: &str, most: u64) -> Result<(), Refuse> {
        let minute = self.now.as_second() / 60;
        let used = self.used.entry(format!("{what} of {who}")).or_insert((minute, 0));
        if used.0 != minute {
            *used = (minute, 0);
        }
        used.1 += 1;
        if used.1 > most {
            return Err(Refuse { after: Some(60 - self.now.as_second() % 60), ..Refuse::new(429, "", "") });
        }
        Ok(())
    }

    /// The thing of that kind, if this person may know of it.
    fn visible(&self, who: &str, kind: &str, id: &str) -> Result<Node, Refuse> {
        let id = self.st.real_id(who, id);
        let node = self.st.nodes.get(&id).filter(|n| n.kind == kind && self.st.role(who, &id).is_some());
        let Some(node) = node else { return refuse(404, "not_found", "Not Found") };
        if self.st.is_trashed(&id) {
            return refuse(404, "trashed", "Item is trashed");
        }
        Ok(node.clone())
    }

    /// Everything, for comparing with what should be.
    fn dump(&self) -> Value {
        let items: Vec<_> = self.st.nodes.values().filter(|n| n.parent.is_some()).map(|n| self.st.dumped(n)).collect();
        json!({ "items": items })
    }
}

/// A page of a list. Markers are opaque; here they are an offset in disguise.
fn page(r: &FakeRequest, most: usize, all: &[Value]) -> Answer {
    let limit = match r.query("limit").map(str::parse::<usize>) {
        None => 100,
        Some(Ok(n)) if (1..=1_000).contains(&n) => n,
        _ => return refuse(400, "bad_request", "limit must be between 1 and 1000"),
    };
    let from = match r.query("marker") {
        None => 0,
        Some(text) => match text.strip_prefix("bWFya2Vy").and_then(|n| n.parse::<usize>().ok()) {
            Some(n) => n,
            None => return refuse(400, "bad_request", "invalid marker"),
        },
    };
    let limit = limit.min(most);
    let entries: Vec<_> = all.iter().skip(from).take(limit).cloned().collect();
    // Box ends a list with an empty marker or none; both are met by clients.
    let next = if from + limit < all.len() { json!(format!("bWFya2Vy{}", from + limit)) } else { json!("") };
    Ok(FakeResponse::json(200, &json!({ "limit": limit, "next_marker": next, "entries": entries })))
}

/// A path with ids taken out, for counting.
fn shape(path: &str) -> String {
    let word = |p: &str| {
        p.is_empty() || p.contains('.') || p.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'2')
    };
    path.split('/').map(|p| if word(p) { p } else { "{id}" }).collect::<Vec<_>>().join("/")
}
