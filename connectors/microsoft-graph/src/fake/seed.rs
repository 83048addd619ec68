//! A fake from its seed, a JSON file under `fixtures/microsoft-graph/`, and from what it saved.

use std::collections::BTreeMap;

use ledgerward_contract::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{
    GraphFake, Ways,
    oauth::OAuth,
    state::{Drive, Entry, Node, Policy, State, User, Whom, claim_id},
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
    if let Some(groups) = texts(&v["groups"]) {
        p.groups = groups;
    }
    p.old_sharing = v["old_sharing"].as_bool().unwrap_or(p.old_sharing);
}

/// Who a seed or a control names: `user`, `group`, `site_group`, `everyone`, `app`, or `link` with its scope and `people`.
pub fn entry(st: &mut State, v: &Value) -> Result<Entry, String> {
    let role = v["role"].as_str().unwrap_or("read");
    let roles = if role.is_empty() { Vec::new() } else { vec![role.to_owned()] };
    let text = |key: &str| v[key].as_str().map(str::to_owned);
    if let Some(scope) = text("link") {
        let people: Option<Vec<_>> =
            items(&v["people"]).map(|p| st.user_named(p.as_str()?).map(|u| u.id.clone())).collect();
        let people = people.ok_or("a link names somebody who is no user")?;
        let id = format!("link-{:08x}-{scope}", st.word());
        return Ok(Entry { id, whom: Whom::Link { scope, edit: role == "write", people }, roles });
    }
    if let Some(name) = text("user") {
        let known = st.user_named(&name).map(|u| (claim_id(&u.upn), Whom::User(u.id.clone())));
        let (id, whom) = known.unwrap_or_else(|| (claim_id(&name), Whom::Address(name)));
        return Ok(Entry { id, whom, roles });
    }
    let (word, whom) = match (text("group"), text("site_group"), text("app")) {
        (Some(g), ..) => (g.clone(), Whom::Group(g)),
        (_, Some(g), _) => (g.clone(), Whom::SiteGroup(g)),
        (.., Some(a)) => (a.clone(), Whom::App(a)),
        _ if v["everyone"] == true => ("everyone".to_owned(), Whom::Everyone),
        _ => return Err(format!("nobody is named in {v}")),
    };
    Ok(Entry { id: claim_id(&format!("c:0t.c|tenant|{word}")), whom, roles })
}

impl GraphFake {
    /// The world that a seed describes: `base`, `clients`, `consent`, `users`, `drives`, `folders`, `policy`.
    ///
    /// Errors: what the seed lacks, in words.
    pub fn from_seed(seed: &Value) -> Result<Self, String> {
        let mut st = State::default();
        for (n, u) in items(&seed["users"]).enumerate() {
            let upn = need(u, "upn")?;
            let id = u["id"].as_str().map_or_else(|| format!("7d0b0000-0000-4000-8000-{:012}", n + 1), str::to_owned);
            let user = User {
                id: id.clone(),
                mail: u["mail"].as_str().unwrap_or(&upn).to_owned(),
                name: u["name"].as_str().unwrap_or(&upn).to_owned(),
                guest: u["guest"].as_bool().unwrap_or(false),
                upn,
            };
            st.users.insert(id, user);
        }
        policy(&mut st.policy, &seed["policy"]);
        let consent = need(seed, "consent")?;
        if st.user_named(&consent).is_none() {
            return Err("the person at \"consent\" is not among the users".to_owned());
        }
        let mut fake = Self {
            st,
            now: Timestamp::UNIX_EPOCH,
            base: seed["base"].as_str().unwrap_or("http://graph.example").to_owned(),
            oauth: OAuth::default(),
            sessions: BTreeMap::new(),
            outages: Vec::new(),
            drops: Vec::new(),
            used: (0, 0),
            violations: Vec::new(),
            stats: BTreeMap::new(),
            mails: 0,
            ways: Ways {
                page_max: 200,
                units: 1_200,
                small_max: 250_000_000,
                scopes_max: 50_000,
                marks_inherited: true,
                quiet_deletes: false,
                limited_above: false,
                old_fields: false,
                lag: 0,
                swallow: 0,
                late_hash: 0,
                corrupt_uploads: 0,
            },
            stale: BTreeMap::new(),
        };
        fake.oauth.consent = consent;
        for c in items(&seed["clients"]) {
            fake.oauth.clients.insert(need(c, "id")?, need(c, "secret")?);
            fake.oauth.app_roles.insert(need(c, "id")?, texts(&c["app_roles"]).unwrap_or_default());
        }
        for d in items(&seed["drives"]) {
            fake.add_drive(d)?;
        }
        for f in items(&seed["folders"]) {
            fake.make(f)?;
        }
        Ok(fake)
    }

    /// What [`ledgerward_kit::fake::Fake::save`] gave, reached under `base` from now on.
    pub fn restore(saved: &Value, base: &str) -> Result<Self, String> {
        let mut fake = Self::deserialize(saved).map_err(|e| format!("this is no saved Graph: {e}"))?;
        base.clone_into(&mut fake.base);
        Ok(fake)
    }

    fn add_drive(&mut self, v: &Value) -> Result<(), String> {
        let id = need(v, "id")?;
        let user = match v["user"].as_str() {
            Some(u) => Some(self.st.user_named(u).ok_or("a drive's user is not there")?.id.clone()),
            None => None,
        };
        let top = format!("01HARBROOT{}", self.st.word());
        let node = Node {
            id: top.clone(),
            drive: id.clone(),
            name: "root".to_owned(),
            parent: None,
            folder: true,
            etag: 1,
            ctag: 1,
            away: false,
            cut: false,
            content: bytes::Bytes::new(),
            mime: String::new(),
            hash_in: 0,
        };
        self.st.nodes.insert(top.clone(), node);
        let mut list = Vec::new();
        if let Some(u) = user.as_ref().and_then(|u| self.st.users.get(u)) {
            list.push(Entry { id: claim_id(&u.upn), whom: Whom::User(u.id.clone()), roles: vec!["owner".to_owned()] });
        }
        for share in items(&v["share"]) {
            list.push(entry(&mut self.st, share)?);
        }
        self.st.entries.insert(top.clone(), list);
        let text = |key: &str| v[key].as_str().map(str::to_owned);
        let drive = Drive {
            kind: text("kind").unwrap_or_else(|| "business".to_owned()),
            name: text("name").unwrap_or_else(|| "OneDrive".to_owned()),
            user,
            group: text("group"),
            site: text("site"),
            top,
            room: v["room"].as_u64(),
        };
        self.st.drives.insert(id, drive);
        Ok(())
    }

    /// Makes a folder, or a file (with `content`), in `parent` or at the top of `drive`.
    pub(super) fn make(&mut self, v: &Value) -> Result<String, String> {
        let name = need(v, "name")?;
        let parent = match (v["parent"].as_str(), v["drive"].as_str()) {
            (Some(parent), _) => self.st.resolve(parent)?,
            (None, drive) => {
                let mine = self.st.user_named(&self.oauth.consent).map(|u| u.id.clone());
                let of = |(id, d): &(&String, &Drive)| drive.map_or(d.user == mine, |wanted| wanted == id.as_str());
                self.st.drives.iter().find(of).ok_or("there is no such drive")?.1.top.clone()
            }
        };
        let content = v["content"].as_str().map(|c| (c.to_owned().into(), "text/plain".to_owned()));
        let made = self.add(&parent, &name, content).ok_or("the parent is gone")?;
        let id = match v["id"].as_str() {
            None => made,
            Some(wanted) => {
                let mut node = self.st.nodes.remove(&made).ok_or("it is gone")?;
                wanted.clone_into(&mut node.id);
                self.st.nodes.insert(wanted.to_owned(), node);
                wanted.to_owned()
            }
        };
        if let Some(node) = self.st.nodes.get_mut(&id) {
            node.cut = v["cut"].as_bool().unwrap_or(false);
        }
        for share in items(&v["share"]) {
            let e = entry(&mut self.st, share)?;
            self.st.entries.entry(id.clone()).or_default().push(e);
        }
        Ok(id)
    }
}
