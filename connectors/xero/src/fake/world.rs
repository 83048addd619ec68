//! The state of the fake.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{
    Timestamp,
    civil::{Date, date},
};
use ledgerward_kit::fake::{id_of, xero::limits::Window};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    books::{Books, Paper},
    seed,
};

/// Everything that a seed describes.
pub struct World {
    pub app: App,
    pub logins: Vec<Login>,
    pub orgs: BTreeMap<Uuid, Org>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    pub client_id: String,
    /// Absent for a PKCE app, which has none.
    pub client_secret: Option<String>,
    /// `granular` or `broad`: which generation of scopes Xero lets this app ask for.
    #[serde(default = "granular")]
    pub scopes: String,
    /// Whether Xero granted the Finance scopes.
    #[serde(default)]
    pub finance: bool,
    /// Beside loopback addresses, which are always allowed.
    #[serde(default)]
    pub redirects: Vec<String>,
    #[serde(default = "five_thousand")]
    pub day_limit: u32,
    /// The vendor's own ceiling of a page, to see paging with few transactions.
    #[serde(default = "thousand")]
    pub page_max: usize,
    #[serde(default)]
    pub latency_ms: u64,
    /// Whether paged lists carry counts; older organisations leave them out.
    #[serde(default = "yes")]
    pub pagination: bool,
}

fn granular() -> String {
    "granular".to_owned()
}
fn five_thousand() -> u32 {
    5_000
}
fn thousand() -> usize {
    1_000
}
fn yes() -> bool {
    true
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
    pub id: Option<Uuid>,
}

impl Login {
    pub fn id(&self) -> Uuid {
        self.id.unwrap_or_else(|| user_id(&self.email))
    }
}

/// One person has one Xero login, so one id in every organisation.
pub fn user_id(email: &str) -> Uuid {
    id_of(&["user", &email.to_ascii_lowercase()])
}

/// A user of one organisation.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    #[serde(default)]
    pub id: Uuid,
    pub email: String,
    #[serde(default)]
    pub first: String,
    #[serde(default)]
    pub last: String,
    pub role: String,
    #[serde(default)]
    pub subscriber: bool,
    #[serde(default)]
    pub updated: Timestamp,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Connection {
    pub id: Uuid,
    pub event: Uuid,
    pub created: Timestamp,
    pub active: bool,
}

#[derive(Deserialize, Serialize)]
pub struct Org {
    pub tenant: Uuid,
    pub kind: String,
    pub name: String,
    pub year_end: (i8, i8),
    pub currency: String,
    pub country: String,
    pub demo: bool,
    pub lock_date: Option<Date>,
    pub year_lock_date: Option<Date>,
    pub users: Vec<User>,
    /// Saved once for all that share them.
    #[serde(skip)]
    pub books: Arc<Books>,
    #[serde(skip)]
    pub files: Arc<Vec<Paper>>,
    /// By the login that consented.
    pub connections: BTreeMap<String, Connection>,
    pub minute: Window,
    pub day: Window,
    /// A faulty answer of the vendor: everybody is missing from the list.
    pub hides_users: bool,
}

/// A large firm: `n` organisations with three users each, out of a staff of 50. All share one set of books, so that
/// 10,000 fit in a few megabytes.
pub fn many(n: usize) -> Result<World, String> {
    let owner = "owner@large.example";
    let start = date(2026, 1, 1);
    let seed = serde_json::json!({
        "app": {"client_id": "sandbox-app", "client_secret": "sandbox-secret"},
        "users": [{"email": owner, "first": "Olive", "last": "Owner"}],
        "organisations": [{"name": "Template", "recurring": [
            {"from": start, "to": date(2026, 12, 31), "day": 5, "vary": 9, "transaction":
                {"type": "RECEIVE", "bank": "090", "account": "200", "amount": "1150.00", "contact": "Till"}},
            {"from": start, "to": date(2026, 12, 31), "day": 20, "transaction":
                {"type": "SPEND", "bank": "090", "account": "469", "amount": "640.00", "contact": "Landlord"}}]}],
    });
    let World { app, logins, orgs } = seed::read(&seed)?;
    let template = orgs.into_values().next().ok_or("the template is missing")?;
    let user = |email: String, role: &str| User {
        id: user_id(&email),
        first: email.split(['@', '.']).next().unwrap_or_default().to_owned(),
        last: String::new(),
        email,
        role: role.to_owned(),
        subscriber: false,
        updated: Timestamp::UNIX_EPOCH,
    };
    let org = |i: usize| {
        let tenant = id_of(&["many", &i.to_string()]);
        let org = Org {
            tenant,
            name: format!("Client {i:05} Ltd"),
            kind: template.kind.clone(),
            currency: template.currency.clone(),
            country: template.country.clone(),
            users: vec![
                user(owner.to_owned(), "FINANCIALADVISER"),
                user(format!("staff{:02}@large.example", i % 50), "FINANCIALADVISER"),
                user(format!("client{i}@client.example"), "STANDARD"),
            ],
            books: Arc::clone(&template.books),
            files: Arc::clone(&template.files),
            connections: BTreeMap::new(),
            ..template
        };
        (tenant, org)
    };
    Ok(World { app, logins, orgs: (0..n).map(org).collect() })
}
