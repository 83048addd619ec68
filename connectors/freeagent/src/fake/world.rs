//! The practice, its people and its clients, and how a seed describes them.

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::books::Movement;

/// What a seed holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    #[serde(default = "api")]
    pub base: String,
    pub app: App,
    pub practice: String,
    pub managers: Vec<Manager>,
    pub clients: Vec<Client>,
}

fn api() -> String {
    "https://api.freeagent.com/v2".to_owned()
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    pub client_id: String,
    pub client_secret: String,
    #[serde(default)]
    pub redirects: Vec<String>,
    /// "Enable Accountancy Practice API".
    #[serde(default = "yes")]
    pub practice_api: bool,
    #[serde(default = "minute")]
    pub per_minute: u32,
    #[serde(default = "hour")]
    pub per_hour: u32,
    /// Whether 429 names the wait.
    #[serde(default = "yes")]
    pub retry_after: bool,
    /// The most items on a page.
    #[serde(default = "page")]
    pub page_max: usize,
    /// Whether the balance sheet is at its documented path.
    #[serde(default = "yes")]
    pub documented_paths: bool,
}

fn yes() -> bool {
    true
}
fn minute() -> u32 {
    120
}
fn hour() -> u32 {
    3_600
}
fn page() -> usize {
    100
}

/// An account manager of the practice.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manager {
    pub id: u64,
    pub name: String,
    pub email: String,
    /// Sees all clients; the others see their own. No answer of the API tells.
    #[serde(default)]
    pub senior: bool,
}

impl Manager {
    pub fn sees(&self, client: &Client) -> bool {
        self.senior || client.account_manager == Some(self.id)
    }
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    pub id: u64,
    pub name: String,
    pub subdomain: String,
    pub account_manager: Option<u64>,
    #[serde(default = "active")]
    pub status: String,
    #[serde(default = "pounds")]
    pub currency: String,
    /// First day of the first accounting year.
    #[serde(default = "first_year")]
    pub started: Date,
    /// The practice's own level in this client.
    #[serde(default = "full")]
    pub our_level: u8,
    #[serde(default)]
    pub users: Vec<User>,
    #[serde(default)]
    pub bank_accounts: Vec<BankAccount>,
    #[serde(default)]
    pub transactions: Vec<Transaction>,
    /// What happens every month.
    #[serde(default)]
    pub monthly: Vec<Monthly>,
    #[serde(default)]
    pub movements: Vec<Movement>,
}

fn active() -> String {
    "active".to_owned()
}
fn pounds() -> String {
    "GBP".to_owned()
}
fn first_year() -> Date {
    Date::constant(2025, 4, 1)
}
fn full() -> u8 {
    8
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    #[serde(default)]
    pub id: u64,
    pub email: Option<String>,
    #[serde(default)]
    pub first: String,
    #[serde(default)]
    pub last: String,
    #[serde(default = "employee")]
    pub role: String,
    /// A number; a test may put anything.
    pub level: Value,
}

fn employee() -> String {
    "Employee".to_owned()
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BankAccount {
    pub id: u64,
    pub name: String,
    #[serde(default = "standard")]
    pub r#type: String,
    #[serde(default = "active")]
    pub status: String,
    pub number: Option<String>,
    #[serde(default)]
    pub opening: Decimal,
}

fn standard() -> String {
    "StandardBankAccount".to_owned()
}

/// A line of a bank account.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    #[serde(default)]
    pub id: u64,
    pub account: u64,
    pub date: Date,
    /// Positive is money in.
    pub amount: Decimal,
    pub description: String,
    /// The nominal code it is explained with; none: not explained.
    pub category: Option<String>,
    #[serde(default)]
    pub manual: bool,
    #[serde(default)]
    pub attachment: bool,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Monthly {
    pub from: Date,
    pub to: Date,
    pub day: i8,
    /// As a transaction without id and date.
    pub account: u64,
    pub amount: Decimal,
    pub description: String,
    pub category: Option<String>,
    /// Percent by which the amount differs from month to month.
    #[serde(default)]
    pub vary: i64,
}

/// A count of calls in a fixed window of time.
#[derive(Clone, Copy, Default, Deserialize, Serialize)]
pub struct Window {
    number: i64,
    pub calls: u32,
}

impl Window {
    /// Seconds until the next window where this one is full.
    pub fn full(&mut self, now: i64, length: i64, limit: u32) -> Option<i64> {
        let number = now.div_euclid(length);
        if number != self.number {
            *self = Self { number, calls: 0 };
        }
        (self.calls >= limit).then_some((number + 1) * length - now)
    }
}

/// A number that is the same in every run.
pub fn id_of(parts: &[&str]) -> u64 {
    let hash = Sha256::digest(parts.join("\u{1f}"));
    hash.iter().take(5).fold(0, |n, b| n << 8 | u64::from(*b))
}

impl Client {
    /// Gives ids to what came without.
    pub fn complete(&mut self) {
        let own = self.id.to_string();
        for user in self.users.iter_mut().filter(|u| u.id == 0) {
            user.id = id_of(&[&own, user.email.as_deref().unwrap_or_default(), &user.first, &user.last]);
        }
        self.transactions.extend(self.monthly.drain(..).flat_map(|m| m.transactions()));
        for (n, t) in self.transactions.iter_mut().enumerate() {
            if t.id == 0 {
                t.id = self.id * 1_000_000 + n as u64 + 1;
            }
        }
        self.transactions.sort_by_key(|t| (t.date, t.id));
    }
}

impl Monthly {
    fn transactions(self) -> Vec<Transaction> {
        let first = |d: Date| d.first_of_month();
        let months = std::iter::successors(Some(first(self.from)), |d| {
            let next = d.checked_add(jiff::Span::new().months(1)).ok()?;
            (next <= first(self.to)).then_some(next)
        });
        let one = |(n, month): (usize, Date)| {
            let day = self.day.min(month.days_in_month());
            let date = month.with().day(day).build().ok().filter(|d| (self.from..=self.to).contains(d))?;
            // Up and down around the amount, the same in every run.
            let percent = Decimal::new(self.vary * (n as i64 % 5 - 2) / 2, 2);
            let amount = (self.amount + self.amount * percent).round_dp(2);
            let (account, description, category) = (self.account, self.description.clone(), self.category.clone());
            Some(Transaction { id: 0, account, date, amount, description, category, manual: false, attachment: false })
        };
        months.enumerate().filter_map(one).collect()
    }
}

/// Reads a seed and completes it.
pub fn read(seed: &Value) -> Result<World, String> {
    let mut world = World::deserialize(seed).map_err(|e| format!("the seed of the FreeAgent sandbox: {e}"))?;
    if world.managers.is_empty() {
        return Err("nobody can sign in: \"managers\" is empty".to_owned());
    }
    let mut seen = std::collections::BTreeSet::new();
    for client in &mut world.clients {
        if !seen.insert(client.subdomain.clone()) {
            return Err(format!("two clients have the subdomain {}", client.subdomain));
        }
        client.complete();
        let of_none = |t: &&Transaction| !client.bank_accounts.iter().any(|a| a.id == t.account);
        if let Some(t) = client.transactions.iter().find(of_none) {
            return Err(format!("{} has no bank account {}", client.name, t.account));
        }
    }
    Ok(world)
}

/// A practice with `n` clients of three users each.
pub fn many(n: usize) -> Result<World, String> {
    let client = |i: usize| {
        let user = |u: usize| json!({"email": format!("user{u}@client{i}.example"), "level": 8 - u});
        json!({"id": i + 1, "name": format!("Client {i}"), "subdomain": format!("client{i}"),
            "account_manager": i % 2 + 1, "users": [user(0), user(1), user(2)]})
    };
    read(&json!({
        "app": {"client_id": "sandbox-app", "client_secret": "sandbox-secret"}, "practice": "Large & Co",
        "managers": [{"id": 1, "name": "Ana Ruiz", "email": "ana@harbour.example", "senior": true},
            {"id": 2, "name": "Bob Lindqvist", "email": "bob@harbour.example"}],
        "clients": (0..n).map(client).collect::<Vec<_>>(),
    }))
}
