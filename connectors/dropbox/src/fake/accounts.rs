//! Accounts and teams, as Dropbox shows them.

use serde_json::{Value, json};

use super::state::{NS, Node, State, hex, sha};

impl State {
    pub fn account_id(&self, email: &str) -> Value {
        json!(format!("dbid:AA{}", hex(&sha(email.as_bytes())).chars().take(30).collect::<String>()))
    }

    pub fn email_of(&self, account_id: &str) -> Option<String> {
        self.accounts.keys().find(|e| self.account_id(e) == account_id).cloned()
    }

    /// The member of a team under a `dbmid:`.
    pub fn member(&self, id: &str) -> Option<String> {
        self.accounts.keys().find(|e| self.member_id(e) == id).cloned()
    }

    pub fn member_id(&self, email: &str) -> String {
        format!("dbmid:AA{}", hex(&sha(email.as_bytes())).chars().take(20).collect::<String>())
    }

    pub fn ns(id: u64) -> String {
        (NS + id).to_string()
    }

    /// The top of the team space, if the account is on a team that has one.
    pub fn team_root(&self, email: &str) -> Option<u64> {
        let team = self.accounts.get(email)?.team.as_ref()?;
        self.teams.get(team).map(|t| t.root).filter(|r| *r != 0)
    }

    pub fn root_ns(&self, email: &str) -> String {
        let home = self.accounts.get(email).map_or(0, |a| a.home);
        Self::ns(self.team_root(email).unwrap_or(home))
    }

    pub fn root_info(&self, email: &str) -> Value {
        let home = self.accounts.get(email).map_or(0, |a| a.home);
        let mut info =
            json!({ ".tag": "user", "root_namespace_id": self.root_ns(email), "home_namespace_id": Self::ns(home) });
        if self.team_root(email).is_some() {
            info[".tag"] = json!("team");
            info["home_path"] = json!(self.path(home, true).unwrap_or_default());
        }
        info
    }

    pub fn account_json(&self, email: &str) -> Value {
        let Some(a) = self.accounts.get(email) else { return Value::Null };
        let mut v = json!({
            "account_id": self.account_id(email), "email": email, "email_verified": a.verified, "disabled": false,
            "name": { "display_name": a.name, "given_name": a.name, "surname": "", "familiar_name": a.name, "abbreviated_name": "" },
            "locale": "en", "referral_link": "https://www.dropbox.com/referrals/sandbox", "is_paired": false,
            "account_type": { ".tag": a.plan }, "root_info": self.root_info(email),
        });
        if let Some(team) = a.team.as_ref().and_then(|t| self.teams.get(t)) {
            let policy = if team.members_only { "team" } else { "anyone" };
            v["team_member_id"] = json!(self.member_id(email));
            v["team"] = json!({
                "id": "dbtid:sandbox", "name": team.name, "office_addin_policy": { ".tag": "disabled" },
                "sharing_policies": {
                    "shared_folder_member_policy": { ".tag": policy },
                    "shared_folder_join_policy": { ".tag": "from_anyone" },
                    "shared_link_create_policy": { ".tag": "default_team_only" },
                },
            });
        }
        v
    }

    pub fn used(&self, email: &str) -> u64 {
        let home = self.accounts.get(email).map_or(0, |a| a.home);
        let size = |n: &Node| n.file.as_ref().map_or(0, |f| f.content.len() as u64);
        self.nodes.values().filter(|n| self.above(n.id).contains(&home)).map(size).sum()
    }

    pub fn space_json(&self, email: &str) -> Value {
        let room = self.accounts.get(email).map_or(0, |a| a.room);
        let used = self.used(email);
        match self.accounts.get(email).and_then(|a| a.team.as_ref()) {
            None => json!({ "used": used, "allocation": { ".tag": "individual", "allocated": room } }),
            Some(_) => json!({ "used": used, "allocation": {
                ".tag": "team", "used": used, "allocated": room, "user_within_team_space_allocated": 0,
            }}),
        }
    }
}
