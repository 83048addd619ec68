//! What Box knows, and who gets in.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ledgerward_contract::Timestamp;
use ledgerward_kit::fake::{FakeResponse, as_base64};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

/// Roles from weakest to strongest.
pub const ROLES: [&str; 8] =
    ["uploader", "previewer", "viewer", "previewer uploader", "viewer uploader", "editor", "co-owner", "owner"];

#[derive(Debug, Clone)]
pub struct Refuse {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub context: Option<Value>,
    pub after: Option<i64>,
}

impl Refuse {
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        Self { status, code: code.to_owned(), message: message.to_owned(), context: None, after: None }
    }

    pub fn answer(&self) -> FakeResponse {
        let mut answer = FakeResponse::new(self.status);
        if self.status == 401 {
            let says = "Bearer realm=\"Service\", error=\"invalid_token\", error_description=\"The access token provided is invalid.\"";
            answer = answer.header("www-authenticate", says);
        }
        if let Some(after) = self.after {
            answer = answer.header("retry-after", after.to_string());
        }
        // Box often leaves the body of a 401 and a 429 empty.
        if self.code.is_empty() {
            return answer;
        }
        let mut body = json!({
            "type": "error", "status": self.status, "code": self.code, "message": self.message,
            "help_url": "http://developers.box.com/docs/#errors", "request_id": "fake0request1",
        });
        if let (Some(context), Some(map)) = (&self.context, body.as_object_mut()) {
            map.insert("context_info".to_owned(), context.clone());
        }
        answer.header("content-type", "application/json").body(body.to_string())
    }
}

pub fn refuse<T>(status: u16, code: &str, message: &str) -> Result<T, Refuse> {
    Err(Refuse::new(status, code, message))
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct User {
    pub id: String,
    pub login: String,
    pub name: String,
    pub status: String,
    pub enterprise: Option<String>,
    pub room: Option<u64>,
    pub auto_accept: bool,
    /// Must accept the terms of service first.
    pub terms: bool,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Group {
    pub id: String,
    pub name: String,
    pub members: BTreeSet<String>,
}

/// A folder, a file or a bookmark.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Node {
    pub id: String,
    pub kind: String,
    pub name: String,
    pub parent: Option<String>,
    pub owner: String,
    pub description: String,
    pub etag: u64,
    pub trashed: bool,
    pub others_invite: bool,
    pub others_view: bool,
    pub link: Option<String>,
    #[serde(with = "as_base64")]
    pub content: Bytes,
    pub sha1: String,
}

impl Node {
    pub fn new(id: String, kind: &str, name: &str, parent: Option<String>, owner: &str) -> Self {
        Self {
            id,
            kind: kind.to_owned(),
            name: name.to_owned(),
            parent,
            owner: owner.to_owned(),
            description: String::new(),
            etag: 0,
            trashed: false,
            others_invite: true,
            others_view: true,
            link: None,
            content: Bytes::new(),
            sha1: String::new(),
        }
    }

    pub fn set_content(&mut self, bytes: Bytes) {
        self.sha1 = sha1_hex(&bytes);
        self.content = bytes;
        self.etag += 1;
    }
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Collab {
    pub id: String,
    pub item: String,
    pub user: Option<String>,
    pub group: Option<String>,
    pub email: Option<String>,
    pub role: String,
    pub status: String,
    pub expires: Option<String>,
    pub by: String,
    pub at: String,
}

/// The enterprise's rules.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct Policy {
    /// Domains that may be invited; `None`: all.
    pub domains: Option<Vec<String>>,
    /// Owners may set an end.
    pub expiry: bool,
    /// Roles that the plan has; `None`: all.
    pub roles: Option<Vec<String>>,
    /// Addresses that stand for the first group.
    #[serde(default)]
    pub groups: Vec<String>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Event {
    pub kind: String,
    pub item: String,
    pub at: Timestamp,
    /// As the thing was then.
    pub source: Value,
}

#[derive(Debug, Default, Deserialize, Serialize)]
pub struct State {
    pub users: BTreeMap<String, User>,
    pub groups: BTreeMap<String, Group>,
    pub nodes: BTreeMap<String, Node>,
    pub collabs: BTreeMap<String, Collab>,
    pub policy: Policy,
    pub events: Vec<Event>,
    pub counter: u64,
}

pub fn sha1(bytes: &[u8]) -> Vec<u8> {
    Sha1::digest(bytes).to_vec()
}

pub fn sha1_hex(bytes: &[u8]) -> String {
    sha1(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

pub fn domain(login: &str) -> &str {
    login.rsplit_once('@').map_or("", |(_, d)| d)
}

impl State {
    pub fn new_id(&mut self) -> String {
        self.counter += 1;
        format!("{}", 300_000_000_000 + self.counter * 7)
    }

    /// Everybody's top folder is called 0 by themselves.
    pub fn real_id(&self, who: &str, id: &str) -> String {
        if id == "0" { top(who) } else { id.to_owned() }
    }

    pub fn user_by_login(&self, login: &str) -> Option<&User> {
        self.users.values().find(|u| u.login.eq_ignore_ascii_case(login))
    }

    /// The thing itself and everything above it, from below.
    pub fn chain(&self, id: &str) -> Vec<&Node> {
        let mut chain = Vec::new();
        let mut at = self.nodes.get(id);
        while let Some(node) = at {
            chain.push(node);
            at = node.parent.as_ref().and_then(|p| self.nodes.get(p));
        }
        chain
    }

    pub fn is_trashed(&self, id: &str) -> bool {
        self.chain(id).iter().any(|n| n.trashed)
    }

    fn holds(&self, c: &Collab, who: &str) -> bool {
        let group = c.group.as_ref().and_then(|g| self.groups.get(g));
        c.status == "accepted" && (c.user.as_deref() == Some(who) || group.is_some_and(|g| g.members.contains(who)))
    }

    /// The strongest role of a person on a thing: access flows down, and is never lowered below.
    pub fn role(&self, who: &str, id: &str) -> Option<&str> {
        let chain = self.chain(id);
        if chain.first().is_some_and(|n| n.owner == who) {
            return Some("owner");
        }
        let on = self.collabs.values().filter(|c| chain.iter().any(|n| n.id == c.item) && self.holds(c, who));
        on.map(|c| c.role.as_str()).max_by_key(|r| ROLES.iter().position(|k| k == r))
    }

    pub fn may_edit(&self, who: &str, id: &str) -> bool {
        matches!(self.role(who, id), Some("owner" | "co-owner" | "editor"))
    }

    pub fn may_upload(&self, who: &str, id: &str) -> bool {
        self.role(who, id).is_some_and(|r| r.contains("uploader")) || self.may_edit(who, id)
    }

    pub fn may_invite(&self, who: &str, id: &str) -> bool {
        let open = self.nodes.get(id).is_some_and(|n| n.others_invite);
        match self.role(who, id) {
            Some("owner" | "co-owner") => true,
            Some("editor") => open,
            _ => false,
        }
    }

    /// What lies directly in a folder, trash left out.
    pub fn children(&self, id: &str) -> Vec<&Node> {
        self.nodes.values().filter(|n| n.parent.as_deref() == Some(id) && !n.trashed).collect()
    }

    pub fn used(&self, owner: &str) -> u64 {
        self.nodes.values().filter(|n| n.owner == owner).map(|n| n.content.len() as u64).sum()
    }

    /// The list of a thing: its own entries, then those from above.
    pub fn listed(&self, id: &str, inherited: bool) -> Vec<&Collab> {
        let chain = self.chain(id);
        let reach = if inherited { chain.len() } else { 1 };
        chain.iter().take(reach).flat_map(|n| self.collabs.values().filter(|c| c.item == n.id)).collect()
    }

    pub fn happened(&mut self, kind: &str, item: &str, at: Timestamp) {
        let Some(node) = self.nodes.get(item) else { return };
        let path: Vec<_> =
            self.chain(item).iter().skip(1).rev().map(|n| json!({ "type": "folder", "id": shown(n) })).collect();
        let parent =
            node.parent.as_ref().and_then(|p| self.nodes.get(p)).map(|p| json!({ "type": "folder", "id": shown(p) }));
        let source = json!({
            "type": node.kind, "id": node.id, "name": node.name, "parent": parent,
            "path_collection": { "total_count": path.len(), "entries": path },
        });
        self.events.push(Event { kind: kind.to_owned(), item: item.to_owned(), at, source });
    }

    /// Takes a thing and everything below it away for good.
    pub fn remove(&mut self, id: &str) {
        let below: Vec<_> =
            self.nodes.values().filter(|n| n.parent.as_deref() == Some(id)).map(|n| n.id.clone()).collect();
        for child in below {
            self.remove(&child);
        }
        self.nodes.remove(id);
        self.collabs.retain(|_, c| c.item != id);
    }

    /// A thing by its id, or by a name that only one has.
    pub fn resolve(&self, text: &str) -> Result<String, String> {
        if self.nodes.contains_key(text) {
            return Ok(text.to_owned());
        }
        let mut named = self.nodes.values().filter(|n| n.name == text && !self.is_trashed(&n.id));
        match (named.next(), named.next()) {
            (Some(n), None) => Ok(n.id.clone()),
            (Some(_), Some(_)) => Err(format!("several things are called \"{text}\"; give the id")),
            _ => Err(format!("there is nothing called \"{text}\"")),
        }
    }

    pub fn dumped(&self, n: &Node) -> Value {
        let who = |c: &Collab| {
            let user = c.user.as_ref().and_then(|u| self.users.get(u)).map(|u| u.login.clone());
            let group = c.group.as_ref().and_then(|g| self.groups.get(g)).map(|g| format!("group:{}", g.name));
            user.or(group).or(c.email.clone())
        };
        let on: Vec<_> = self
            .listed(&n.id, false)
            .into_iter()
            .map(|c| json!({ "id": c.id, "who": who(c), "role": c.role, "status": c.status }))
            .collect();
        let path: Vec<_> = self.chain(&n.id).iter().rev().skip(1).map(|n| n.name.clone()).collect();
        json!({
            "id": n.id, "type": n.kind, "name": n.name, "path": path.join("/"), "parent": n.parent,
            "owner": self.users.get(&n.owner).map(|u| &u.login), "description": n.description,
            "trashed": self.is_trashed(&n.id), "link": n.link, "othersInvite": n.others_invite,
            "size": n.content.len(), "sha1": n.sha1, "collaborations": on,
        })
    }
}

pub fn top(user: &str) -> String {
    format!("0@{user}")
}

/// The text at a JSON pointer; empty where there is none.
pub fn said<'a>(v: &'a Value, pointer: &str) -> &'a str {
    v.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A node's id as Box shows it.
pub fn shown(n: &Node) -> &str {
    if n.parent.is_none() { "0" } else { &n.id }
}
