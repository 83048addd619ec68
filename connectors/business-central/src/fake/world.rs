//! Environments, their companies and users, and how a seed describes them.

use ledgerward_kit::fake::FakeResponse;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::error;

/// The base application, whose permission sets these are.
pub const APP: &str = "437dbf0e-84ff-417a-965d-ed2bb9650972";

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    #[serde(default = "base")]
    pub base: String,
    pub app: App,
    /// Who may read users; the first one consents.
    pub administrators: Vec<String>,
    pub environments: Vec<Environment>,
}

fn base() -> String {
    "https://api.businesscentral.dynamics.com".to_owned()
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    pub client_id: String,
    pub client_secret: String,
    #[serde(default)]
    pub redirects: Vec<String>,
    /// Entered in Business Central as an application, with permission sets that read users.
    #[serde(default)]
    pub entered: bool,
    #[serde(default = "page")]
    pub page: usize,
    #[serde(default = "minute")]
    pub per_minute: u32,
    #[serde(default)]
    pub latency_ms: u64,
}

fn page() -> usize {
    20_000
}
fn minute() -> u32 {
    600
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    pub name: String,
    pub companies: Vec<Company>,
    pub users: Vec<User>,
    #[serde(default)]
    pub groups: Vec<Group>,
    /// User groups in the place of security groups.
    #[serde(default)]
    pub old_groups: bool,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Company {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub display_name: String,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub user_name: String,
    #[serde(default)]
    pub name: String,
    pub email: Option<String>,
    #[serde(default = "enabled")]
    pub state: String,
    #[serde(default = "never")]
    pub expires: String,
    #[serde(default)]
    pub sets: Vec<Grant>,
}

fn enabled() -> String {
    "Enabled".to_owned()
}
fn never() -> String {
    "0001-01-01T00:00:00Z".to_owned()
}

/// A permission set, for the company of this name or for all.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    pub set: String,
    #[serde(default)]
    pub company: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    #[serde(default)]
    pub id: String,
    pub code: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub sets: Vec<Grant>,
    #[serde(default)]
    pub members: Vec<Member>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// In a seed the address, afterwards the id.
    pub user: String,
    /// For user groups: in which company; empty: in all.
    #[serde(default)]
    pub company: String,
}

/// A GUID that is the same in every run.
pub fn guid(parts: &[&str]) -> String {
    let hex: String = Sha256::digest(parts.join("\u{1f}")).iter().take(16).map(|b| format!("{b:02x}")).collect();
    let cut = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", cut(0, 8), cut(8, 12), cut(12, 16), cut(16, 20), cut(20, 32))
}

impl Company {
    pub fn json(&self) -> Value {
        json!({"id": self.id, "systemVersion": "28.0.0.0", "timestamp": 0, "name": self.name,
            "displayName": self.display_name, "businessProfileId": ""})
    }
}

impl User {
    pub fn complete(&mut self, environment: &str) {
        let address = self.email.clone().unwrap_or_default();
        if self.id.is_empty() {
            self.id = guid(&["user", environment, &address, &self.name]);
        }
        if self.user_name.is_empty() {
            self.user_name = address.split('@').next().unwrap_or_default().to_uppercase();
        }
    }

    pub fn json(&self) -> Value {
        json!({"userSecurityId": self.id, "userName": self.user_name, "displayName": self.name, "state": self.state,
            "expiryDate": self.expires, "contactEmail": self.email.as_deref().unwrap_or_default()})
    }
}

impl Grant {
    pub fn json(&self, number: usize, user: Option<&str>) -> Value {
        let id = guid(&["grant", &number.to_string(), &self.set, &self.company, user.unwrap_or_default()]);
        let mut row = json!({"id": id, "roleId": self.set, "displayName": self.set, "company": self.company,
            "appId": APP, "extensionName": "Base Application", "scope": "System"});
        if let (Some(map), Some(user)) = (row.as_object_mut(), user) {
            map.insert("userSecurityId".to_owned(), json!(user));
        }
        row
    }
}

impl Environment {
    /// The company of `companies({id})`, and what stands behind it.
    pub fn company(&self, segment: &str) -> Result<(&Company, String), FakeResponse> {
        let parts = segment.strip_prefix("companies(").and_then(|s| s.split_once(')'));
        let (id, rest) = parts.ok_or_else(|| error(404, "BadRequest_NotFound"))?;
        let found = self.companies.iter().find(|c| c.id.eq_ignore_ascii_case(id));
        found.map(|c| (c, rest.to_owned())).ok_or_else(|| error(404, "Internal_CompanyNotFound"))
    }

    pub fn complete(&mut self) -> Result<(), String> {
        let name = self.name.clone();
        self.users.iter_mut().for_each(|u| u.complete(&name));
        for group in &mut self.groups {
            if group.id.is_empty() {
                group.id = guid(&["group", &name, &group.code]);
            }
            for member in &mut group.members {
                let of = |u: &&User| u.id == member.user || u.email.as_deref() == Some(&member.user);
                let user = self.users.iter().find(of);
                member.user = user.ok_or_else(|| format!("{name} has no user {}", member.user))?.id.clone();
            }
        }
        Ok(())
    }
}

/// Reads a seed and completes it.
pub fn read(seed: &Value) -> Result<World, String> {
    let mut world = World::deserialize(seed).map_err(|e| format!("the seed of the Business Central sandbox: {e}"))?;
    if world.administrators.is_empty() {
        return Err("nobody can sign in: \"administrators\" is empty".to_owned());
    }
    world.environments.iter_mut().try_for_each(Environment::complete)?;
    Ok(world)
}
