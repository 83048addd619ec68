//! What people, and bad luck, do to FreeAgent between two requests.

use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Fake, answers,
    world::{Client, Transaction, User},
};

const VERBS: &[&str] = &[
    "add_client",
    "add_user",
    "assign",
    "clear_outages",
    "expire_tokens",
    "page_size",
    "post_transaction",
    "remove_client",
    "remove_user",
    "rename_subdomain",
    "revoke_refresh",
    "rotate_client_secret",
    "set_level",
    "set_limit",
    "set_our_level",
    "set_outage",
    "set_senior",
    "set_users",
    "sign_in_as",
    "stats",
    "swap_clients",
    "token",
];

/// Something is wrong with some answers, for a while.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// A status, or `empty` (`{}`), `empty_list`, `html`, `xml`, `cut`, `missing_field`, `repeat_page`, `no_paging`,
    /// `overlook` (a parameter).
    kind: Value,
    /// Paths that begin so; absent: all.
    #[serde(default)]
    path: String,
    subdomain: Option<String>,
    /// How many requests it hits; absent: until `clear_outages`.
    count: Option<u32>,
    /// How many matching requests pass before it begins.
    #[serde(default)]
    skip: u32,
    retry_after: Option<String>,
    /// For `missing_field` and `overlook`: which.
    #[serde(default)]
    field: String,
    /// For `overlook`: what it is read as; absent: not at all.
    value: Option<String>,
}

impl Outage {
    fn hits(&self, request: &FakeRequest) -> bool {
        self.count != Some(0)
            && request.path.starts_with(&self.path)
            && self.subdomain.as_deref().is_none_or(|s| request.header("x-subdomain") == Some(s))
    }

    /// The faulty answer; `real` gives the right one, where it is the start of the faulty one.
    pub fn apply(&self, request: &FakeRequest, real: impl FnOnce(&FakeRequest) -> FakeResponse) -> FakeResponse {
        if let Some(status) = self.kind.as_u64().and_then(|s| u16::try_from(s).ok()) {
            let answer = answers::error(status, "Something went wrong");
            return match &self.retry_after {
                Some(wait) => answer.header("retry-after", wait.clone()),
                None => answer,
            };
        }
        let kind = self.kind.as_str().unwrap_or_default();
        let mut request = request.clone();
        if kind == "repeat_page" {
            request.query.iter_mut().filter(|(k, _)| k == "page").for_each(|(_, v)| "1".clone_into(v));
        }
        if kind == "overlook" && request.query(&self.field).is_some() {
            request.query.retain(|(k, _)| *k != self.field);
            request.query.extend(self.value.clone().map(|v| (self.field.clone(), v)));
        }
        let mut answer = real(&request);
        let json = || serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        match kind {
            "empty" => answer.body = "{}".into(),
            "empty_list" => answer.body = emptied(json()).to_string().into(),
            "missing_field" => answer.body = without(json(), &self.field).to_string().into(),
            "cut" => answer.body.truncate(answer.body.len() / 2),
            "html" => return answers::html(),
            "xml" => return answers::xml(),
            "no_paging" => answer.headers.retain(|(k, _)| k != "link" && k != "x-total-count"),
            _ => {}
        }
        answer
    }
}

/// All lists emptied.
fn emptied(value: Value) -> Value {
    match value {
        Value::Array(_) => json!([]),
        Value::Object(map) => map.into_iter().map(|(k, v)| (k, emptied(v))).collect(),
        other => other,
    }
}

/// Without a field, wherever it stands.
fn without(value: Value, field: &str) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(|v| without(v, field)).collect(),
        Value::Object(map) => {
            map.into_iter().filter(|(k, _)| k != field).map(|(k, v)| (k, without(v, field))).collect()
        }
        other => other,
    }
}

fn read<T: DeserializeOwned>(args: &Value, key: &str) -> Result<T, String> {
    let value = args.get(key).ok_or_else(|| format!("\"{key}\" is missing"))?;
    T::deserialize(value).map_err(|e| format!("\"{key}\": {e}"))
}

fn text<'a>(args: &'a Value, key: &str) -> Result<&'a str, String> {
    args.get(key).and_then(Value::as_str).ok_or_else(|| format!("\"{key}\" is missing"))
}

/// What most verbs have to say.
const DONE: Result<Value, String> = Ok(Value::Null);

/// The place of a user, by address or id.
fn user_at(client: &Client, who: &str) -> Result<usize, String> {
    let hit = |u: &User| u.email.as_deref().is_some_and(|e| e.eq_ignore_ascii_case(who)) || u.id.to_string() == who;
    client.users.iter().position(hit).ok_or_else(|| format!("{} has no user {who}", client.name))
}

fn on_client(client: &mut Client, verb: &str, args: &Value) -> Result<Value, String> {
    match verb {
        "add_user" => client.users.push(read(args, "user")?),
        "set_users" => client.users = read(args, "users")?,
        "remove_user" => {
            client.users.remove(user_at(client, text(args, "user")?)?);
        }
        "set_level" => {
            let (at, level) = (user_at(client, text(args, "user")?)?, read(args, "level")?);
            if let Some(user) = client.users.get_mut(at) {
                user.level = level;
            }
        }
        "set_our_level" => client.our_level = read(args, "level")?,
        "rename_subdomain" => text(args, "to")?.clone_into(&mut client.subdomain),
        "post_transaction" => {
            let made: Transaction = read(args, "transaction")?;
            if !client.bank_accounts.iter().any(|a| a.id == made.account) {
                return Err(format!("{} has no bank account {}", client.name, made.account));
            }
            client.transactions.push(made);
        }
        _ => client.account_manager = args.get("manager").and_then(Value::as_u64),
    }
    client.complete();
    DONE
}

impl Fake {
    /// The outage that hits this request, if one does.
    pub(super) fn outage(&mut self, request: &FakeRequest) -> Option<Outage> {
        for outage in self.outages.iter_mut().filter(|o| o.hits(request)) {
            if outage.skip > 0 {
                outage.skip -= 1;
                continue;
            }
            if let Some(count) = &mut outage.count {
                *count -= 1;
            }
            return Some(outage.clone());
        }
        None
    }

    /// The place of a client, by subdomain, name or id.
    fn client_at(&self, key: &str) -> Result<usize, String> {
        let hit = |c: &Client| c.subdomain == key || c.name == key || c.id.to_string() == key;
        self.clients.iter().position(hit).ok_or_else(|| format!("there is no client {key}"))
    }

    fn client_id(&self, key: &str) -> Result<u64, String> {
        let at = self.client_at(key)?;
        self.clients.get(at).map(|c| c.id).ok_or_else(|| format!("there is no client {key}"))
    }

    fn manager_id(&self, email: &str) -> Result<u64, String> {
        let found = self.managers.iter().find(|m| m.email == email);
        found.map(|m| m.id).ok_or_else(|| format!("nobody signs in as {email}"))
    }

    pub(super) fn act(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        match verb {
            "add_user" | "set_users" | "remove_user" | "set_level" | "set_our_level" | "rename_subdomain"
            | "post_transaction" | "assign" => {
                let at = self.client_at(text(args, "client")?)?;
                let client = self.clients.get_mut(at).ok_or("there is no such client")?;
                on_client(client, verb, args)
            }
            "add_client" => {
                let mut client: Client = read(args, "client")?;
                client.complete();
                self.clients.push(client);
                DONE
            }
            "remove_client" => {
                let at = self.client_at(text(args, "client")?)?;
                self.clients.remove(at);
                DONE
            }
            "set_senior" => {
                let (id, on) = (self.manager_id(text(args, "email")?)?, read(args, "on")?);
                self.managers.iter_mut().filter(|m| m.id == id).for_each(|m| m.senior = on);
                DONE
            }
            "swap_clients" => {
                let (a, b) = (self.client_id(text(args, "a")?)?, self.client_id(text(args, "b")?)?);
                if self.swapped.remove(&a).is_none() | self.swapped.remove(&b).is_none() {
                    self.swapped.extend([(a, b), (b, a)]);
                }
                DONE
            }
            "page_size" => {
                self.app.page_max = read::<usize>(args, "most")?.max(1);
                DONE
            }
            "set_limit" => {
                self.app.per_minute = read(args, "minute")?;
                self.app.retry_after = args.get("retry_after").and_then(Value::as_bool).unwrap_or(true);
                DONE
            }
            "set_outage" => {
                self.outages.push(Outage::deserialize(args).map_err(|e| e.to_string())?);
                DONE
            }
            "clear_outages" => {
                self.outages.clear();
                DONE
            }
            "stats" => Ok(json!({"requests": self.requests, "rate_limited": self.limited,
                "refreshes": self.tokens.refreshes, "clients": self.clients.len()})),
            _ => self.on_sign_ins(verb, args),
        }
    }

    fn on_sign_ins(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        let named = args.get("email").and_then(Value::as_str).map(|e| self.manager_id(e)).transpose()?;
        match verb {
            "rotate_client_secret" => {
                text(args, "secret")?.clone_into(&mut self.app.client_secret);
                DONE
            }
            "expire_tokens" => {
                let now = self.clock.unwrap_or(jiff::Timestamp::MIN);
                self.tokens.expire(now);
                DONE
            }
            "revoke_refresh" => Ok(json!({"sign_ins": self.tokens.kill(named)})),
            "sign_in_as" => {
                self.signing_in = named.ok_or("\"email\" is missing")?;
                DONE
            }
            // A sign-in without the consent page, for tests.
            "token" => {
                let grant = self.grant(named.unwrap_or(self.signing_in));
                let answer = self.issue(grant, self.now());
                serde_json::from_slice(&answer.body).map_err(|e| e.to_string())
            }
            _ => Err(format!("the FreeAgent sandbox does not know \"{verb}\"; it knows: {}", VERBS.join(", "))),
        }
    }
}
