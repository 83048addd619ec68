//! What Microsoft knows, and who gets in.

use std::collections::BTreeMap;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use ledgerward_contract::Timestamp;
use ledgerward_kit::fake::{FakeResponse, as_base64};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Clone)]
pub struct Refuse {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub inner: Option<String>,
    pub after: Option<i64>,
}

impl Refuse {
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        Self { status, code: code.to_owned(), message: message.to_owned(), inner: None, after: None }
    }

    pub fn inner(mut self, code: &str) -> Self {
        self.inner = Some(code.to_owned());
        self
    }

    pub fn answer(&self) -> FakeResponse {
        let mut inner = json!({ "date": "2026-11-21T10:00:00", "request-id": "0f0a0000-fa4e-4000-8000-000000000001" });
        if let (Some(code), Some(map)) = (&self.inner, inner.as_object_mut()) {
            map.insert("code".to_owned(), json!(code));
        }
        // Both spellings occur.
        let spelt = if self.status == 403 { "innererror" } else { "innerError" };
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(map) = error.as_object_mut() {
            map.insert(spelt.to_owned(), inner);
        }
        let answer = FakeResponse::json(self.status, &json!({ "error": error }))
            .header("request-id", "0f0a0000-fa4e-4000-8000-000000000001");
        match self.after {
            Some(after) => answer.header("retry-after", after.to_string()),
            None => answer,
        }
    }
}

pub fn refuse<T>(status: u16, code: &str, message: &str) -> Result<T, Refuse> {
    Err(Refuse::new(status, code, message))
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct User {
    pub id: String,
    pub upn: String,
    pub mail: String,
    pub name: String,
    /// Of another tenant. A new guest has an invitation to accept.
    pub guest: bool,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Drive {
    pub kind: String,
    pub name: String,
    pub user: Option<String>,
    pub group: Option<String>,
    pub site: Option<String>,
    pub top: String,
    pub room: Option<u64>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Node {
    pub id: String,
    pub drive: String,
    pub name: String,
    pub parent: Option<String>,
    pub folder: bool,
    pub etag: u64,
    pub ctag: u64,
    /// In the recycle bin.
    pub away: bool,
    /// Nothing comes down from above.
    pub cut: bool,
    #[serde(with = "as_base64")]
    pub content: Bytes,
    pub mime: String,
    /// Reads that do not show the hash yet.
    pub hash_in: u64,
}

/// Who an entry lets in.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    User(String),
    /// Invited, and not known to the tenant yet.
    Address(String),
    Group(String),
    SiteGroup(String),
    Everyone,
    App(String),
    Link {
        scope: String,
        edit: bool,
        people: Vec<String>,
    },
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Entry {
    pub id: String,
    pub whom: Whom,
    pub roles: Vec<String>,
}

/// The tenant's rules.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct Policy {
    /// Domains of other tenants that may be invited; `None`: all.
    pub domains: Option<Vec<String>>,
    /// Addresses outside without an account end in 500, as in the old sharing mode.
    pub old_sharing: bool,
    /// Addresses that are groups'.
    #[serde(default)]
    pub groups: Vec<String>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Event {
    pub node: String,
    pub drive: String,
    pub parent: Option<String>,
    pub sharing: bool,
    pub at: Timestamp,
}

#[derive(Debug, Default, Deserialize, Serialize)]
pub struct State {
    pub users: BTreeMap<String, User>,
    pub drives: BTreeMap<String, Drive>,
    pub nodes: BTreeMap<String, Node>,
    /// What is on each thing's own list.
    pub entries: BTreeMap<String, Vec<Entry>>,
    pub events: Vec<Event>,
    /// Events before this one are forgotten.
    pub forgotten: usize,
    pub policy: Policy,
    pub counter: u64,
}

/// The hash by its definition, bit by bit.
pub fn quick_xor(bytes: &[u8]) -> String {
    let mut bits = [false; 160];
    // A byte's place depends on its number modulo 160 alone.
    let mut column = [0_u8; 160];
    for (n, byte) in bytes.iter().enumerate() {
        if let Some(c) = column.get_mut(n % 160) {
            *c ^= byte;
        }
    }
    for (n, byte) in column.iter().enumerate() {
        for k in 0..8 {
            if let Some(bit) = bits.get_mut((n * 11 + k) % 160) {
                *bit ^= (byte >> k) & 1 == 1;
            }
        }
    }
    let mut out: Vec<u8> = bits.chunks(8).map(|c| c.iter().rev().fold(0, |b, bit| b << 1 | u8::from(*bit))).collect();
    for (cell, byte) in out.iter_mut().skip(12).zip((bytes.len() as u64).to_le_bytes()) {
        *cell ^= byte;
    }
    STANDARD.encode(out)
}

impl State {
    pub fn word(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub fn new_id(&mut self) -> String {
        let n = self.word();
        format!("01HARB{:026}", n * 7)
    }

    /// A person by id, sign-in name or address.
    pub fn user_named(&self, text: &str) -> Option<&User> {
        self.users
            .values()
            .find(|u| u.id == text || u.upn.eq_ignore_ascii_case(text) || u.mail.eq_ignore_ascii_case(text))
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

    pub fn is_away(&self, id: &str) -> bool {
        self.chain(id).iter().any(|n| n.away)
    }

    pub fn children(&self, id: &str) -> Vec<&Node> {
        self.nodes.values().filter(|n| n.parent.as_deref() == Some(id) && !n.away).collect()
    }

    /// Names are one name if they differ by case only.
    pub fn child(&self, parent: &str, name: &str) -> Option<&Node> {
        self.children(parent).into_iter().find(|n| n.name.to_lowercase() == name.to_lowercase())
    }

    /// Everybody who gets into a thing, each entry with whether it comes from above.
    pub fn effective(&self, id: &str) -> Vec<(Entry, bool)> {
        let mut all: Vec<(Entry, bool)> = Vec::new();
        for (up, node) in self.chain(id).into_iter().enumerate() {
            for e in self.entries.get(&node.id).into_iter().flatten() {
                match all.iter_mut().find(|(a, _)| a.id == e.id) {
                    // One person has one entry; the wider role wins.
                    Some((a, _)) if rank(&e.roles) > rank(&a.roles) => a.roles.clone_from(&e.roles),
                    Some(_) => {}
                    None => all.push((e.clone(), up > 0)),
                }
            }
            if node.cut {
                break;
            }
        }
        all
    }

    /// Who has limited access to a thing: whoever is on the list of something below the place that this thing has its list
    /// from, which is its own or the nearest one above. The flag: it has it from above.
    pub fn limited(&self, id: &str) -> Vec<(Entry, bool)> {
        let has_list =
            |n: &&Node| n.cut || n.parent.is_none() || self.entries.get(&n.id).is_some_and(|list| !list.is_empty());
        let Some(scope) = self.chain(id).into_iter().find(has_list) else { return Vec::new() };
        let mut all = BTreeMap::new();
        for (at, list) in &self.entries {
            let below = *at != scope.id && self.chain(at).iter().any(|n| n.id == scope.id);
            let people =
                list.iter().filter(|e| rank(&e.roles) > 0 && matches!(e.whom, Whom::User(_) | Whom::Address(_)));
            for e in people.filter(|_| below) {
                all.insert(e.id.clone(), (Entry { roles: Vec::new(), ..e.clone() }, scope.id != id));
            }
        }
        all.into_values().collect()
    }

    pub fn role(&self, who: &str, id: &str) -> u8 {
        // An app's consented role is for every drive of the tenant.
        if who.starts_with(super::oauth::APP) {
            return 3;
        }
        let on = |e: &Entry| match &e.whom {
            Whom::User(u) => u == who,
            Whom::Link { people, .. } => people.iter().any(|p| p == who),
            Whom::Everyone => true,
            _ => false,
        };
        self.effective(id).iter().filter(|(e, _)| on(e)).map(|(e, _)| rank(&e.roles)).max().unwrap_or(0)
    }

    /// Lists of their own in one drive.
    pub fn scopes(&self, drive: &str) -> usize {
        let on = |id: &String| self.nodes.get(id).is_some_and(|n| n.drive == drive && n.parent.is_some());
        self.entries.iter().filter(|(id, list)| on(id) && !list.is_empty()).count()
    }

    pub fn used(&self, drive: &str) -> u64 {
        self.nodes.values().filter(|n| n.drive == drive).map(|n| n.content.len() as u64).sum()
    }

    pub fn happened(&mut self, node: &str, sharing: bool, at: Timestamp) {
        if let Some(n) = self.nodes.get(node) {
            let event = Event { node: node.to_owned(), drive: n.drive.clone(), parent: n.parent.clone(), sharing, at };
            self.events.push(event);
        }
    }

    /// Takes a thing and everything below it away for good.
    pub fn remove(&mut self, id: &str) {
        let below: Vec<_> =
            self.nodes.values().filter(|n| n.parent.as_deref() == Some(id)).map(|n| n.id.clone()).collect();
        for child in below {
            self.remove(&child);
        }
        self.nodes.remove(id);
        self.entries.remove(id);
    }

    /// A thing by its id, or by a name that only one has.
    pub fn resolve(&self, text: &str) -> Result<String, String> {
        // Both the id and the drive's id with it are understood.
        let id = text.rsplit(':').next().unwrap_or(text);
        if self.nodes.contains_key(id) {
            return Ok(id.to_owned());
        }
        let mut named = self.nodes.values().filter(|n| n.name == text && !self.is_away(&n.id));
        match (named.next(), named.next()) {
            (Some(n), None) => Ok(n.id.clone()),
            (Some(_), Some(_)) => Err(format!("several things are called \"{text}\"; give the id")),
            _ => Err(format!("there is nothing called \"{text}\"")),
        }
    }

    pub fn user_entity(&self, who: &str) -> Value {
        let u = self.users.get(who);
        json!({
            "id": who, "displayName": u.map(|u| &u.name), "mail": u.map(|u| &u.mail),
            "userPrincipalName": u.map(|u| &u.upn),
        })
    }

    pub fn drive_entity(&self, id: &str) -> Value {
        let Some(d) = self.drives.get(id) else { return Value::Null };
        let owner = match (&d.user, &d.group) {
            (Some(u), _) => {
                json!({ "user": { "id": u, "email": self.users.get(u).map(|u| &u.mail), "displayName": self.users.get(u).map(|u| &u.name) } })
            }
            (None, Some(g)) => json!({ "group": { "id": g, "displayName": d.name } }),
            _ => json!({}),
        };
        let used = self.used(id);
        let total = d.room.unwrap_or(1 << 40);
        json!({
            "id": id, "driveType": d.kind, "name": d.name, "owner": owner,
            "quota": { "deleted": 0, "remaining": total.saturating_sub(used), "state": "normal", "total": total, "used": used },
        })
    }
}

/// How much roles give; limited access gives nothing.
pub fn rank(roles: &[String]) -> u8 {
    let one = |r: &String| match r.as_str() {
        "owner" => 4,
        "sp.full control" => 3,
        "write" => 2,
        "read" => 1,
        _ => 0,
    };
    roles.iter().map(one).max().unwrap_or(0)
}

/// The id of a person's entry: their claim, so the same on all things.
pub fn claim_id(upn: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("i:0#.f|membership|{upn}"))
}

/// The text at a JSON pointer; empty where there is none.
pub fn said<'a>(v: &'a Value, pointer: &str) -> &'a str {
    v.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
