//! What people, and bad luck, do to Xero between two requests.

use std::{sync::Arc, time::Duration};

use jiff::{Timestamp, civil::Date};
use ledgerward_kit::fake::{FakeRequest, FakeResponse, xero::Identity as _};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Fake, answers, id_of,
    seed::TransactionSeed,
    stats,
    world::{Org, User, user_id},
};

const VERBS: &[&str] = &[
    "add_user",
    "change_email",
    "clear_outages",
    "disconnect_tenant",
    "drop_user",
    "empty_users",
    "expire_tokens",
    "post_transaction",
    "reconnect_tenant",
    "remove_user",
    "revoke_refresh",
    "rotate_client_secret",
    "set_account",
    "set_limit",
    "set_lock_date",
    "set_outage",
    "set_role",
    "set_users",
    "sign_in_as",
    "stats",
    "swap_tenants",
    "token",
];

/// Something is wrong with some answers, for a while.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// A status, or `empty` (`{}`), `blank` (no body), `empty_list`, `html`, `xml`, `cut`, `missing_field`, `repeat_page`,
    /// `slow`.
    kind: Kind,
    /// Paths that begin so; absent: all.
    #[serde(default)]
    path: String,
    tenant: Option<Uuid>,
    /// How many requests it hits; absent: until `clear_outages`.
    count: Option<u32>,
    /// How many matching requests pass before it begins.
    #[serde(default)]
    skip: u32,
    /// For a status: seconds in `Retry-After`.
    retry_after: Option<String>,
    /// For 429: `X-Rate-Limit-Problem`.
    problem: Option<String>,
    /// For `missing_field`: which.
    field: Option<String>,
    /// For `slow`: seconds.
    #[serde(default)]
    seconds: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Kind {
    Status(u16),
    Word(Word),
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Empty,
    Blank,
    EmptyList,
    Html,
    Xml,
    Cut,
    MissingField,
    RepeatPage,
    Slow,
}

/// An outage as it hits one request.
pub struct Hit {
    kind: Kind,
    retry_after: Option<String>,
    problem: Option<String>,
    field: String,
    seconds: u64,
}

impl Hit {
    /// The faulty answer; `real` gives the right one, where it is the start of the faulty one.
    pub fn apply(&self, request: &FakeRequest, real: impl FnOnce(&FakeRequest) -> FakeResponse) -> FakeResponse {
        let word = match self.kind {
            Kind::Status(status) => return self.status(status),
            Kind::Word(word) => word,
        };
        let mut request = request.clone();
        if matches!(word, Word::RepeatPage) {
            request.query.iter_mut().filter(|(k, _)| k == "page").for_each(|(_, v)| "1".clone_into(v));
        }
        let mut answer = real(&request);
        if answer.status != 200 {
            return answer;
        }
        let json = || serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        match word {
            Word::Empty => answer.body = "{}".into(),
            Word::Blank => answer.body = "".into(),
            Word::EmptyList => answer.body = emptied(json()).to_string().into(),
            Word::MissingField => answer.body = without(json(), &self.field).to_string().into(),
            Word::Cut => answer.body.truncate(answer.body.len() / 2),
            Word::Html => return answers::html(),
            Word::Xml => return answers::xml(),
            Word::RepeatPage => {}
            Word::Slow => answer.takes += Duration::from_secs(self.seconds),
        }
        answer
    }

    fn status(&self, status: u16) -> FakeResponse {
        let (title, detail) = match status {
            401 => return answers::unauthorised("AuthenticationUnsuccessful"),
            403 => ("Forbidden", "AuthenticationUnsuccessful"),
            404 => return answers::not_found(),
            503 => ("Unavailable", "ServiceNotAvailable"),
            _ => ("Error", "InternalError"),
        };
        let mut answer = match status {
            429 => FakeResponse::new(429).header("x-rate-limit-problem", self.problem.as_deref().unwrap_or("minute")),
            _ => answers::gateway(status, title, detail),
        };
        if let Some(wait) = &self.retry_after {
            answer = answer.header("retry-after", wait.clone());
        }
        answer
    }
}

/// All lists emptied.
fn emptied(value: Value) -> Value {
    match value {
        Value::Array(_) => json!([]),
        Value::Object(map) => {
            let clear = |v: Value| if v.is_array() { json!([]) } else { v };
            map.into_iter().map(|(k, v)| (k, clear(v))).collect()
        }
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

fn read<T: DeserializeOwned>(args: &Value) -> Result<T, String> {
    T::deserialize(args).map_err(|e| e.to_string())
}

fn text<'a>(args: &'a Value, key: &str) -> Result<&'a str, String> {
    args.get(key).and_then(Value::as_str).ok_or_else(|| format!("\"{key}\" is missing"))
}

fn find<'a>(org: &'a mut Org, who: &str) -> Result<&'a mut User, String> {
    let name = org.name.clone();
    let hit = |u: &&mut User| u.email.eq_ignore_ascii_case(who) || u.id.to_string() == who;
    org.users.iter_mut().find(hit).ok_or_else(|| format!("{name} has no user {who}"))
}

/// What most verbs have to say.
const DONE: Result<Value, String> = Ok(Value::Null);

fn on_users(org: &mut Org, verb: &str, args: &Value) -> Result<Value, String> {
    let with_id = |mut user: User| {
        if user.id.is_nil() {
            user.id = user_id(&user.email);
        }
        user
    };
    match verb {
        "add_user" => {
            let user = with_id(read(args.get("user").ok_or("\"user\" is missing")?)?);
            if org.users.iter().any(|u| u.id == user.id) {
                return Err(format!("{} has this user already", org.name));
            }
            let id = user.id;
            org.users.push(user);
            Ok(json!({"id": id}))
        }
        // The list alone: that the authorising user has to stand in it is not documented, so no connection is cut.
        "set_users" => {
            let users: Vec<User> = read(args.get("users").ok_or("\"users\" is missing")?)?;
            org.users = users.into_iter().map(with_id).collect();
            DONE
        }
        "change_email" => {
            text(args, "email")?.clone_into(&mut find(org, text(args, "user")?)?.email);
            DONE
        }
        // As Xero shows it for a while: still listed, with the role REMOVED.
        "set_role" | "remove_user" => {
            let role = if verb == "set_role" { text(args, "role")? } else { "REMOVED" };
            let user = find(org, text(args, "user")?)?;
            role.clone_into(&mut user.role);
            let email = user.email.clone();
            if role == "REMOVED" {
                org.connections.remove(&email);
            }
            DONE
        }
        _ => {
            let user = find(org, text(args, "user")?)?.clone();
            org.users.retain(|u| u.id != user.id);
            // Who loses access to an organisation loses the connection that hangs on it.
            org.connections.remove(&user.email);
            DONE
        }
    }
}

impl Fake {
    /// The outage that hits this request, if one does.
    pub(super) fn outage(&mut self, request: &FakeRequest, tenant: Option<Uuid>) -> Option<Hit> {
        let matches = |o: &&mut Outage| {
            o.count != Some(0) && request.path.starts_with(&o.path) && (o.tenant.is_none() || o.tenant == tenant)
        };
        for outage in self.outages.iter_mut().filter(matches) {
            if outage.skip > 0 {
                outage.skip -= 1;
                continue;
            }
            if let Some(count) = &mut outage.count {
                *count -= 1;
            }
            return Some(Hit {
                kind: outage.kind.clone(),
                retry_after: outage.retry_after.clone(),
                problem: outage.problem.clone(),
                field: outage.field.clone().unwrap_or_default(),
                seconds: outage.seconds,
            });
        }
        None
    }

    /// The organisation that `tenant` names, by id or by name.
    fn org(&mut self, args: &Value) -> Result<&mut Org, String> {
        let key = text(args, "tenant")?;
        let id = self.tenant_id(key)?;
        self.orgs.get_mut(&id).ok_or_else(|| format!("there is no organisation {key}"))
    }

    fn tenant_id(&self, key: &str) -> Result<Uuid, String> {
        let named = || self.orgs.values().find(|o| o.name == key).map(|o| o.tenant);
        let id = Uuid::parse_str(key).ok().filter(|id| self.orgs.contains_key(id)).or_else(named);
        id.ok_or_else(|| format!("there is no organisation {key}"))
    }

    pub(super) fn act(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        match verb {
            "add_user" | "set_users" | "set_role" | "remove_user" | "drop_user" | "change_email" => {
                on_users(self.org(args)?, verb, args)
            }
            "empty_users" => {
                self.org(args)?.hides_users = args.get("on").and_then(Value::as_bool).unwrap_or(true);
                DONE
            }
            "disconnect_tenant" | "reconnect_tenant" => {
                self.org(args)?.connections.values_mut().for_each(|c| c.active = verb == "reconnect_tenant");
                DONE
            }
            "set_account" => {
                let (name, status) = (args.get("name"), args.get("status"));
                let books = Arc::make_mut(&mut self.org(args)?.books);
                let at = books.by_code(text(args, "code")?)?;
                let account = books.accounts.get_mut(at).ok_or("there is no such account")?;
                for (field, value) in [(&mut account.name, name), (&mut account.status, status)] {
                    value.and_then(Value::as_str).into_iter().for_each(|v| v.clone_into(field));
                }
                DONE
            }
            "set_lock_date" => {
                let day = args.get("date").filter(|d| !d.is_null()).map(read::<Date>).transpose()?;
                self.org(args)?.lock_date = day;
                DONE
            }
            "swap_tenants" => {
                let (a, b) = (self.tenant_id(text(args, "a")?)?, self.tenant_id(text(args, "b")?)?);
                if self.swapped.remove(&a).is_none() | self.swapped.remove(&b).is_none() {
                    self.swapped.extend([(a, b), (b, a)]);
                }
                DONE
            }
            "post_transaction" => self.post_transaction(args),
            "set_outage" => {
                self.outages.push(read(args)?);
                DONE
            }
            "clear_outages" => {
                self.outages.clear();
                DONE
            }
            "set_limit" => {
                let limit = args.get("day").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
                self.app.day_limit = limit.ok_or("\"day\" is missing")?;
                DONE
            }
            "stats" => Ok(stats(self)),
            _ => self.on_sign_ins(verb, args),
        }
    }

    fn on_sign_ins(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        match verb {
            "rotate_client_secret" => {
                self.app.client_secret = Some(text(args, "secret")?.to_owned());
                DONE
            }
            "expire_tokens" => {
                let now = self.clock.unwrap_or(Timestamp::MIN);
                self.tokens.access.values_mut().for_each(|a| a.expires = a.expires.min(now));
                DONE
            }
            "revoke_refresh" => {
                let user = args.get("user").and_then(Value::as_str);
                Ok(json!({"sign_ins": self.kill(user)}))
            }
            "sign_in_as" => {
                let email = text(args, "email")?;
                if !self.logins.iter().any(|l| l.email == email) {
                    return Err(format!("nobody signs in as {email}"));
                }
                email.clone_into(&mut self.signing_in);
                DONE
            }
            "token" => self.hand_out(args),
            _ => Err(format!("the Xero sandbox does not know \"{verb}\"; it knows: {}", VERBS.join(", "))),
        }
    }

    /// A sign-in without the consent page, for tests.
    fn hand_out(&mut self, args: &Value) -> Result<Value, String> {
        let user = args.get("user").and_then(Value::as_str).map_or_else(|| self.signing_in.clone(), str::to_owned);
        let scopes = text(args, "scopes")?.split_whitespace().map(str::to_owned).collect();
        let now = self.now();
        let number = self.grant(&user, scopes, now);
        let answer = self.issue(number, now);
        serde_json::from_slice(&answer.body).map_err(|e| e.to_string())
    }

    fn post_transaction(&mut self, args: &Value) -> Result<Value, String> {
        let (now, served) = (self.now(), self.served);
        let seed: TransactionSeed = read(args.get("transaction").ok_or("\"transaction\" is missing")?)?;
        let org = self.org(args)?;
        let number = org.books.entries.len().to_string();
        let id = seed.id.unwrap_or_else(|| id_of(&[&org.tenant.to_string(), "posted", &number, &served.to_string()]));
        let entry = seed.build(&org.books, id, now)?;
        Arc::make_mut(&mut org.books).entries.push(entry);
        Ok(json!({"id": id}))
    }
}
