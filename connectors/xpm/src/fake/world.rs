//! The state of the fake, which is the shape of a seed as well.

use std::collections::BTreeMap;

use jiff::civil::Date;
use ledgerward_kit::fake::{id_of, xero::limits::Window};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Everything that a seed describes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    pub app: App,
    pub users: Vec<Login>,
    pub practices: Vec<Practice>,
    /// Other tenants of the same sign-in: organisations, as a rule.
    #[serde(default)]
    pub others: Vec<Other>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    pub client_id: String,
    /// Absent for a PKCE app, which has none.
    pub client_secret: Option<String>,
    /// Beside loopback addresses, which are always allowed.
    #[serde(default)]
    pub redirects: Vec<String>,
    #[serde(default = "five_thousand")]
    pub day_limit: u32,
    /// The vendor's own ceiling of a page, to see paging with few clients.
    #[serde(default = "five_hundred")]
    pub page_max: usize,
    #[serde(default)]
    pub latency_ms: u64,
    /// Whether rows of the paged list say who manages the client.
    #[serde(default = "yes")]
    pub paged_details: bool,
    /// `link`, `bare` (a link with an unescaped `&`) or `token`: what a page's `Next` holds.
    #[serde(default = "link")]
    pub next: String,
    /// Where links lead.
    #[serde(default = "api")]
    pub base: String,
}

fn five_thousand() -> u32 {
    5_000
}
fn five_hundred() -> usize {
    500
}
pub fn yes() -> bool {
    true
}
fn link() -> String {
    "link".to_owned()
}
fn api() -> String {
    "https://api.xero.com".to_owned()
}

/// Somebody with a Xero login, who can consent.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    pub email: String,
    #[serde(default)]
    pub first: String,
    #[serde(default)]
    pub last: String,
    /// The privilege "Authorise 3rd Party Full Access", without which a consent connects no practice.
    #[serde(default = "yes")]
    pub may_authorise: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Other {
    pub tenant_id: Uuid,
    pub name: String,
    pub tenant_type: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Practice {
    pub tenant_id: Uuid,
    pub name: String,
    pub staff: Vec<Staff>,
    #[serde(default)]
    pub clients: Vec<Client>,
    #[serde(default)]
    pub jobs: Vec<Job>,
    /// Logins whose consent connects it.
    #[serde(default)]
    pub connected: BTreeMap<String, bool>,
    #[serde(default)]
    pub minute: Window,
    #[serde(default)]
    pub day: Window,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Staff {
    #[serde(default)]
    pub id: Uuid,
    pub name: String,
    #[serde(default)]
    pub email: String,
    /// Disabled: gone from the list, and still named by clients and jobs.
    #[serde(default)]
    pub disabled: bool,
}

/// Staff are named by id or by address. An address becomes the id when the seed is read.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    #[serde(default)]
    pub id: Uuid,
    pub name: String,
    #[serde(default)]
    pub email: String,
    #[serde(default)]
    pub export_code: String,
    #[serde(default)]
    pub company_number: String,
    #[serde(default)]
    pub business_number: String,
    #[serde(default)]
    pub archived: bool,
    #[serde(default)]
    pub deleted: bool,
    pub account_manager: Option<String>,
    pub job_manager: Option<String>,
    #[serde(default)]
    pub groups: Vec<String>,
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// `J000014`.
    pub number: String,
    pub name: String,
    #[serde(default = "planned")]
    pub state: String,
    pub start: Date,
    pub due: Date,
    /// Done: not among the current ones.
    #[serde(default)]
    pub completed: Option<Date>,
    /// By id or name.
    pub client: Option<String>,
    pub manager: Option<String>,
    pub partner: Option<String>,
    #[serde(default)]
    pub assigned: Vec<String>,
    #[serde(default)]
    pub tasks: Vec<Task>,
}

fn planned() -> String {
    "Planned".to_owned()
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    pub name: String,
    #[serde(default)]
    pub assigned: Vec<String>,
}

impl Practice {
    /// Whom a seed or a person at the web page means, by id or address.
    pub fn person(&self, key: &str) -> Result<Uuid, String> {
        let hit = |s: &&Staff| s.id.to_string() == key || (!key.is_empty() && s.email.eq_ignore_ascii_case(key));
        self.staff.iter().find(hit).map(|s| s.id).ok_or_else(|| format!("{} has no staff member {key}", self.name))
    }

    /// Which client is meant, by id or name.
    pub fn client(&self, key: &str) -> Result<usize, String> {
        let hit = |c: &Client| c.id.to_string() == key || c.name == key;
        self.clients.iter().position(hit).ok_or_else(|| format!("{} has no client {key}", self.name))
    }

    fn named(&self, who: &mut Option<String>) -> Result<(), String> {
        if let Some(key) = who {
            *key = self.person(key)?.to_string();
        }
        Ok(())
    }

    /// A client with its id, and ids for the staff it names.
    pub fn finished(&self, mut client: Client) -> Result<Client, String> {
        if client.id.is_nil() {
            client.id = id_of(&["client", &self.name, &client.name]);
        }
        self.named(&mut client.account_manager)?;
        self.named(&mut client.job_manager)?;
        Ok(client)
    }

    /// A job with ids for its client and for the staff it names.
    pub fn finished_job(&self, mut job: Job) -> Result<Job, String> {
        if let Some(key) = &mut job.client {
            let place = self.client(key)?;
            *key = self.clients.get(place).map(|c| c.id.to_string()).unwrap_or_default();
        }
        self.named(&mut job.manager)?;
        self.named(&mut job.partner)?;
        let lists = job.tasks.iter_mut().map(|t| &mut t.assigned).chain([&mut job.assigned]);
        for who in lists.flatten() {
            *who = self.person(who)?.to_string();
        }
        Ok(job)
    }
}

impl World {
    /// Fills in what a seed may leave out. An error says what is wrong with it.
    pub fn finish(mut self) -> Result<Self, String> {
        if self.users.is_empty() || self.practices.is_empty() {
            return Err(
                "the seed of the Practice Manager sandbox needs a user who could sign in, and a practice".into()
            );
        }
        for practice in &mut self.practices {
            let own = practice.name.clone();
            for s in practice.staff.iter_mut().filter(|s| s.id.is_nil()) {
                s.id = id_of(&["staff", &own, &s.name, &s.email]);
            }
            let clients = practice.clients.iter().map(|c| practice.finished(c.clone()));
            practice.clients = clients.collect::<Result<_, _>>()?;
            let mut ids: Vec<_> =
                practice.clients.iter().map(|c| c.id).chain(practice.staff.iter().map(|s| s.id)).collect();
            ids.sort();
            if ids.windows(2).any(|w| matches!(w, [a, b] if a == b)) {
                return Err(format!("{own}: an id comes twice"));
            }
            let jobs = practice.jobs.iter().map(|j| practice.finished_job(j.clone()));
            practice.jobs = jobs.collect::<Result<_, _>>()?;
            practice.clients.sort_by_key(|c| c.id);
        }
        Ok(self)
    }
}

/// A large practice: `n` clients, fifty staff, an open job for each client.
pub fn many(n: usize) -> Result<World, String> {
    let email = |i: usize| format!("staff{i:02}@large.example");
    let staff: Vec<_> =
        (0..50).map(|i| serde_json::json!({"name": format!("Staff {i:02}"), "email": email(i)})).collect();
    let world = serde_json::json!({
        "app": {"client_id": "sandbox-app", "client_secret": "sandbox-secret"},
        "users": [{"email": "owner@large.example", "first": "Olive", "last": "Owner"}],
        "practices": [{"tenant_id": id_of(&["large"]), "name": "Large & Co", "staff": staff}],
    });
    let mut world = World::deserialize(&world).map_err(|e| e.to_string())?.finish()?;
    for practice in &mut world.practices {
        let ids: Vec<_> = practice.staff.iter().map(|s| s.id.to_string()).collect();
        let who = |i: usize| ids.get(i % ids.len()).cloned();
        for i in 0..n {
            let id = id_of(&["many", &i.to_string()]);
            practice.clients.push(Client {
                id,
                name: format!("Client {i:05} Ltd"),
                email: String::new(),
                export_code: format!("C{i:05}"),
                company_number: String::new(),
                business_number: String::new(),
                archived: false,
                deleted: false,
                account_manager: who(i),
                job_manager: who(i / 7),
                groups: Vec::new(),
                fields: BTreeMap::new(),
            });
            practice.jobs.push(Job {
                number: format!("J{i:06}"),
                name: "Monthly books".to_owned(),
                state: planned(),
                start: Date::constant(2026, 11, 1),
                due: Date::constant(2026, 11, 30),
                completed: None,
                client: Some(id.to_string()),
                manager: who(i + 1),
                partner: who(i / 11),
                assigned: who(i + 2).into_iter().collect(),
                tasks: Vec::new(),
            });
        }
        practice.clients.sort_by_key(|c| c.id);
    }
    Ok(world)
}
