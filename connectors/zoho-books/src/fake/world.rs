//! The state of the fake, which is the shape of a seed as well.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A stable id of fifteen digits from words, so that a seed need not spell one out.
pub fn id_of(parts: &[&str]) -> String {
    let hash = Sha256::digest(parts.join("\u{1f}").as_bytes());
    let number = hash.iter().take(8).fold(0_u64, |n, b| (n << 8) | u64::from(*b));
    format!("46{:013}", number % 10_000_000_000_000)
}

/// Everything that a seed describes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    pub app: App,
    pub users: Vec<Login>,
    pub organisations: Vec<Organisation>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    pub client_id: String,
    pub client_secret: String,
    /// Beside loopback addresses, which are always allowed.
    #[serde(default)]
    pub redirects: Vec<String>,
    #[serde(default = "thousand")]
    pub day_limit: u32,
    /// The vendor's own ceiling of a page, to see paging with few users.
    #[serde(default = "two_hundred")]
    pub page_max: usize,
    #[serde(default)]
    pub latency_ms: u64,
}

fn thousand() -> u32 {
    1_000
}
fn two_hundred() -> usize {
    200
}
fn yes() -> bool {
    true
}
fn nzd() -> String {
    "NZD".to_owned()
}
fn country() -> String {
    "New Zealand".to_owned()
}
fn april() -> String {
    "april".to_owned()
}
fn active() -> String {
    "active".to_owned()
}

/// Somebody with a Zoho login, who can consent.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    pub email: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Organisation {
    #[serde(default)]
    pub organization_id: String,
    pub name: String,
    #[serde(default = "nzd")]
    pub currency: String,
    #[serde(default = "country")]
    pub country: String,
    #[serde(default = "april")]
    pub fiscal_year_start_month: String,
    #[serde(default = "yes")]
    pub active: bool,
    #[serde(default)]
    pub users: Vec<User>,
    /// Addresses of those who may read settings. `set_users` leaves it alone, so that a list can be anything.
    #[serde(default)]
    pub admins: BTreeSet<String>,
    /// A faulty answer of the vendor: everybody is missing from the list.
    #[serde(default)]
    pub hides_users: bool,
    #[serde(default)]
    pub minute: Window,
    #[serde(default)]
    pub day: Window,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    #[serde(default)]
    pub user_id: String,
    pub name: String,
    pub email: String,
    /// `admin`, `staff`, `accountant`, `timesheetstaff`, or a custom role's name.
    pub user_role: String,
    /// `active`, `invited`, `inactive`, `deleted`.
    #[serde(default = "active")]
    pub status: String,
}

impl User {
    /// With an id, which one person has once in each organisation.
    pub fn finished(mut self, organisation: &str) -> Self {
        if self.user_id.is_empty() {
            self.user_id = id_of(&["user", organisation, &self.email.to_ascii_lowercase()]);
        }
        self
    }
}

/// A fixed window of a limit: which one, and how many calls fell in it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Window {
    pub number: i64,
    pub calls: u32,
}

impl Window {
    /// Begins anew when the window of this second is another.
    pub fn roll(&mut self, now: i64, length: i64) {
        let number = now.div_euclid(length);
        if self.number != number {
            *self = Self { number, calls: 0 };
        }
    }
}

impl Organisation {
    /// Whether this person gets in.
    pub fn reaches(&self, email: &str) -> bool {
        let user = |u: &User| u.status == "active" && u.email.eq_ignore_ascii_case(email);
        self.admins.contains(&email.to_ascii_lowercase()) || self.users.iter().any(user)
    }

    /// Whoever is an active admin may read settings, and nobody else.
    pub fn appoint(&mut self) {
        let admins = self.users.iter().filter(|u| u.status == "active" && u.user_role == "admin");
        self.admins = admins.map(|u| u.email.to_ascii_lowercase()).collect();
    }
}

impl World {
    /// Fills in what a seed may leave out. An error says what is wrong with it.
    pub fn finish(mut self) -> Result<Self, String> {
        if self.users.is_empty() {
            return Err("the seed of the Zoho Books sandbox has no user who could sign in".to_owned());
        }
        let mut ids = BTreeSet::new();
        for o in &mut self.organisations {
            if o.organization_id.is_empty() {
                o.organization_id = id_of(&["organisation", &o.name]);
            }
            if !ids.insert(o.organization_id.clone()) {
                return Err(format!("two organisations have the id of \"{}\"", o.name));
            }
            let id = o.organization_id.clone();
            o.users = o.users.drain(..).map(|u| u.finished(&id)).collect();
            o.appoint();
        }
        Ok(self)
    }
}

/// A large firm: `n` organisations with three users each, out of a staff of 50.
pub fn many(n: usize) -> Result<World, String> {
    let owner = "owner@large.example";
    let user = |email: String, role: &str| serde_json::json!({"name": "Staff", "email": email, "user_role": role});
    let organisations: Vec<_> = (0..n)
        .map(|i| {
            serde_json::json!({"organization_id": format!("7{i:08}"), "name": format!("Client {i:05} Ltd"), "users": [
                user(owner.to_owned(), "admin"), user(format!("staff{:02}@large.example", i % 50), "accountant"),
                user(format!("client{i}@client.example"), "staff")]})
        })
        .collect();
    let seed = serde_json::json!({"app": {"client_id": "sandbox-app", "client_secret": "sandbox-secret"},
        "users": [{"email": owner}], "organisations": organisations});
    World::deserialize(&seed).map_err(|e| e.to_string())?.finish()
}
