//! A fake from its seed, a JSON file under `fixtures/box/`, and from what it saved.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ledgerward_contract::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{
    BoxFake,
    oauth::OAuth,
    state::{Collab, Group, Node, Policy, ROLES, State, User, top},
};

fn need(v: &Value, key: &str) -> Result<String, String> {
    v[key].as_str().map(str::to_owned).ok_or_else(|| format!("the seed lacks \"{key}\" in {v}"))
}

fn items(v: &Value) -> impl Iterator<Item = &Value> {
    v.as_array().into_iter().flatten()
}

fn texts(v: &Value) -> Option<Vec<String>> {
    v.as_array().map(|l| l.iter().filter_map(|s| s.as_str().map(str::to_owned)).collect())
}

pub fn policy(p: &mut Policy, v: &Value) {
    if v.get("domains").is_some() {
        p.domains = texts(&v["domains"]);
    }
    if v.get("roles").is_some() {
        p.roles = texts(&v["roles"]);
    }
    if let Some(groups) = texts(&v["groups"]) {
        p.groups = groups;
    }
    p.expiry = v["expiry"].as_bool().unwrap_or(p.expiry);
}

/// Who a seed or a control names: `login` of an account, `group` by its name, or an address without an account.
pub fn collab(st: &mut State, item: &str, v: &Value) -> Result<Collab, String> {
    let role = v["role"].as_str().unwrap_or("viewer").to_owned();
    if !ROLES.contains(&role.as_str()) {
        return Err(format!("there is no role \"{role}\""));
    }
    let group = match v["group"].as_str() {
        Some(name) => Some(st.groups.values().find(|g| g.name == name).ok_or("there is no such group")?.id.clone()),
        None => None,
    };
    let login = if group.is_none() { Some(need(v, "login")?.to_lowercase()) } else { None };
    let user = login.as_deref().and_then(|l| st.user_by_login(l)).map(|u| u.id.clone());
    let known = user.is_some() || group.is_some();
    let status = v["status"].as_str().unwrap_or(if known { "accepted" } else { "pending" }).to_owned();
    let by = st.nodes.get(item).map(|n| n.owner.clone()).ok_or("there is no such thing")?;
    Ok(Collab {
        id: st.new_id(),
        item: item.to_owned(),
        email: login.filter(|_| user.is_none() || status == "pending"),
        user,
        group,
        role,
        status,
        expires: v["expires_at"].as_str().map(str::to_owned),
        by,
        at: "2026-01-05T09:00:00-08:00".to_owned(),
    })
}

impl BoxFake {
    /// The world that a seed describes: `base`, `clients`, `consent`, `users`, `groups`, `folders`, `policy`.
    ///
    /// Errors: what the seed lacks, in words.
    pub fn from_seed(seed: &Value) -> Result<Self, String> {
        let mut st = State::default();
        for (n, u) in items(&seed["users"]).enumerate() {
            let id = u["id"].as_str().map_or_else(|| format!("{}", 700_001 + n), str::to_owned);
            let login = need(u, "login")?.to_lowercase();
            let name = u["name"].as_str().unwrap_or(&login).to_owned();
            let user = User {
                id: id.clone(),
                login,
                name,
                status: u["status"].as_str().unwrap_or("active").to_owned(),
                enterprise: u["enterprise"].as_str().map(str::to_owned),
                room: u["room"].as_u64(),
                auto_accept: u["auto_accept"].as_bool().unwrap_or(false),
                terms: false,
            };
            st.nodes.insert(top(&id), Node::new(top(&id), "folder", "All Files", None, &id));
            st.users.insert(id, user);
        }
        for (n, g) in items(&seed["groups"]).enumerate() {
            let id = format!("{}", 800_001 + n);
            let members: Option<BTreeSet<_>> = items(&g["members"])
                .map(|m| m.as_str().and_then(|l| st.user_by_login(l)).map(|u| u.id.clone()))
                .collect();
            let members = members.ok_or("a group has a member who is no user")?;
            st.groups.insert(id.clone(), Group { id, name: need(g, "name")?, members });
        }
        policy(&mut st.policy, &seed["policy"]);
        let mut fake = Self {
            st,
            now: Timestamp::UNIX_EPOCH,
            base: seed["base"].as_str().unwrap_or("http://box.example").to_owned(),
            upload_base: None,
            oauth: OAuth::default(),
            sessions: BTreeMap::new(),
            outages: Vec::new(),
            drops: Vec::new(),
            used: BTreeMap::new(),
            violations: Vec::new(),
            stats: BTreeMap::new(),
            protected: BTreeSet::new(),
            page_max: 1_000,
            per_minute: 1_000,
            uploads_per_minute: 240,
            session_min: 20_000_000,
            part_size: 8 << 20,
            write_ms: 0,
            inherited_listed: true,
            repeat_events: false,
            pending_commits: 0,
            parts_race: 0,
            corrupt_uploads: 0,
        };
        for c in items(&seed["clients"]) {
            let id = need(c, "id")?;
            fake.oauth.clients.insert(id.clone(), need(c, "secret")?);
            if let Some(enterprise) = c["enterprise"].as_str() {
                let account = need(c, "service_account")?;
                fake.st.user_by_login(&account).ok_or("the service account is not among the users")?;
                fake.oauth.authorised.insert(id.clone(), (enterprise.to_owned(), account));
            }
            if c["as_users"] == true {
                fake.oauth.as_users.insert(id);
            }
        }
        fake.oauth.consent = need(seed, "consent")?.to_lowercase();
        if fake.st.user_by_login(&fake.oauth.consent).is_none() {
            return Err("the person at \"consent\" is not among the users".to_owned());
        }
        for f in items(&seed["folders"]) {
            fake.make(f)?;
        }
        Ok(fake)
    }

    /// What [`ledgerward_kit::fake::Fake::save`] gave, reached under `base` from now on.
    pub fn restore(saved: &Value, base: &str) -> Result<Self, String> {
        let mut fake = Self::deserialize(saved).map_err(|e| format!("this is no saved Box: {e}"))?;
        base.clone_into(&mut fake.base);
        Ok(fake)
    }

    /// Makes a folder, a file (with `content`) or a bookmark (`type`), owned by `owner` or lying in `parent`.
    pub(super) fn make(&mut self, v: &Value) -> Result<String, String> {
        let name = need(v, "name")?;
        let parent = match v["parent"].as_str() {
            Some(parent) => self.st.resolve(parent)?,
            None => {
                let login = v["owner"].as_str().unwrap_or(&self.oauth.consent).to_owned();
                top(&self.st.user_by_login(&login).ok_or("there is no such owner")?.id)
            }
        };
        let owner = self.st.nodes.get(&parent).ok_or("the parent is gone")?.owner.clone();
        let id = v["id"].as_str().map_or_else(|| self.st.new_id(), str::to_owned);
        let kind = v["type"].as_str().unwrap_or(if v["content"].is_string() { "file" } else { "folder" });
        let mut node = Node::new(id.clone(), kind, &name, Some(parent), &owner);
        v["description"].as_str().unwrap_or_default().clone_into(&mut node.description);
        node.link = v["link"].as_str().map(str::to_owned);
        if let Some(content) = v["content"].as_str() {
            node.set_content(Bytes::from(content.to_owned()));
        }
        self.st.nodes.insert(id.clone(), node);
        for share in items(&v["share"]) {
            let c = collab(&mut self.st, &id, share)?;
            self.st.collabs.insert(c.id.clone(), c);
        }
        Ok(id)
    }
}
