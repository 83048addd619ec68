//! A fake from its seed, a JSON file under `fixtures/dropbox/`.

use std::collections::BTreeMap;

use ledgerward_contract::Timestamp;
use ledgerward_kit::fake::Fake;
use serde::Deserialize;
use serde_json::Value;

use super::{
    DropboxFake,
    oauth::{App, OAuth},
    state::{Account, Member, Share, State, Team},
};

fn need(v: &Value, key: &str) -> Result<String, String> {
    v[key].as_str().map(str::to_owned).ok_or_else(|| format!("the seed lacks \"{key}\" in {v}"))
}

fn items(v: &Value) -> impl Iterator<Item = &Value> {
    v.as_array().into_iter().flatten()
}

impl DropboxFake {
    /// Errors: what is missing in the seed.
    pub fn from_seed(seed: &Value) -> Result<Self, String> {
        let limits = &seed["limits"];
        let size = |key: &str, default: u64| limits[key].as_u64().unwrap_or(default);
        let fits = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let mut fake = Self {
            st: State::default(),
            now: Timestamp::UNIX_EPOCH,
            oauth: OAuth::default(),
            sessions: BTreeMap::new(),
            jobs: BTreeMap::new(),
            outages: Vec::new(),
            drops: Vec::new(),
            violations: Vec::new(),
            stats: BTreeMap::new(),
            list_page_max: fits(size("list_page_max", 2_000)),
            member_page_max: fits(size("member_page_max", 1_000)),
            job_ms: limits["job_ms"].as_i64().unwrap_or(300),
            write_ms: size("write_ms", 0),
            share_async: seed["share_async"].as_bool().unwrap_or(false),
            requests_per_minute: size("requests_per_minute", 1_200),
            used: (0, 0),
            invitations_left: size("invitations_a_day", 1_000),
            corrupt_uploads: 0,
            partial_pieces: 0,
            busy_commits: 0,
        };
        fake.oauth.consent = need(seed, "consent")?.to_lowercase();
        for a in items(&seed["apps"]) {
            let app = App {
                secret: need(a, "secret")?,
                app_folder: a["app_folder"].as_bool().unwrap_or(false),
                team: a["team"].as_bool().unwrap_or(false),
            };
            fake.oauth.apps.insert(need(a, "key")?, app);
        }
        for (id, v) in seed["teams"].as_object().into_iter().flatten() {
            let space = v["team_space"].as_bool().unwrap_or(false);
            let root = if space { fake.st.add(None, "", Timestamp::UNIX_EPOCH) } else { 0 };
            let team = Team {
                name: need(v, "name")?,
                root,
                members_only: v["members_only"].as_bool().unwrap_or(false),
                link_policy: v["link_policy"].as_bool().unwrap_or(true),
            };
            fake.st.teams.insert(id.clone(), team);
        }
        for a in items(&seed["accounts"]) {
            fake.add_account(a)?;
        }
        for g in items(&seed["groups"]) {
            let members = items(&g["members"]).filter_map(|m| m.as_str().map(str::to_lowercase)).collect();
            fake.st.groups.insert(need(g, "id")?, (need(g, "name")?, members));
        }
        for f in items(&seed["team_folders"]) {
            fake.add_team_folder(f)?;
        }
        for f in items(&seed["folders"]) {
            fake.control("make", f)?;
        }
        Ok(fake)
    }

    /// From what [`Fake::save`] gave, in this process or another. An error says what is wrong with it.
    pub fn restore(saved: &Value) -> Result<Self, String> {
        Self::deserialize(saved).map_err(|e| {
            format!("the saved state of the Dropbox sandbox does not fit this program ({e}); start a new sandbox")
        })
    }

    fn add_team_folder(&mut self, f: &Value) -> Result<(), String> {
        let root = self.st.teams.values().next().map(|t| t.root).ok_or("a team folder needs a team")?;
        let id = self.st.add(Some(root), &need(f, "name")?, Timestamp::UNIX_EPOCH);
        let members = items(&f["members"])
            .map(|m| {
                let level = m["level"].as_str().unwrap_or("editor").to_owned();
                Ok(Member { who: need(m, "email")?.to_lowercase(), group: false, pending: false, level })
            })
            .collect::<Result<_, String>>()?;
        let share = Share {
            members,
            team_folder: true,
            no_inherit: false,
            acl_editors: false,
            link_policy: "members".into(),
            mounted: true,
        };
        if let Some(node) = self.st.nodes.get_mut(&id) {
            node.share = Some(share);
        }
        Ok(())
    }

    fn add_account(&mut self, v: &Value) -> Result<(), String> {
        let email = need(v, "email")?.to_lowercase();
        let name = need(v, "name")?;
        let team = v["team"].as_str().map(str::to_owned);
        let space = team.as_ref().and_then(|t| self.st.teams.get(t)).map(|t| t.root).filter(|r| *r != 0);
        let home = self.st.add(space, &name, Timestamp::UNIX_EPOCH);
        if let Some(node) = self.st.nodes.get_mut(&home) {
            node.owner = Some(email.clone());
        }
        let plan = if team.is_some() { "business" } else { "pro" };
        let account = Account {
            email: email.clone(),
            name,
            verified: v["verified"].as_bool().unwrap_or(true),
            plan: v["plan"].as_str().unwrap_or(plan).to_owned(),
            team,
            home,
            room: v["room"].as_u64().unwrap_or(2 << 30),
        };
        self.st.accounts.insert(email, account);
        Ok(())
    }
}
