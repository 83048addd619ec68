//! What people, and bad luck, do to Business Central between two requests.

use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Fake, error,
    world::{Company, Environment, Group, User},
};

const VERBS: &[&str] = &[
    "add_company",
    "add_user",
    "clear_outages",
    "page_size",
    "remove_company",
    "revoke_refresh",
    "set_administrators",
    "set_groups",
    "set_outage",
    "set_sets",
    "set_state",
    "set_users",
    "stats",
    "token",
];

/// Something is wrong with some answers, for a while.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// A status, or `empty` (`{}`), `html`, `cut`, `missing_field`, `next_link` (replaced by `value`), `body` (replaced).
    kind: Value,
    /// Paths that hold this; absent: all.
    #[serde(default)]
    path: String,
    retry_after: Option<String>,
    #[serde(default)]
    field: String,
    #[serde(default)]
    value: Value,
}

impl Outage {
    /// The faulty answer; `real` gives the right one, where it is the start of the faulty one.
    pub fn apply(&self, request: &FakeRequest, real: impl FnOnce(&FakeRequest) -> FakeResponse) -> FakeResponse {
        if let Some(status) = self.kind.as_u64().and_then(|s| u16::try_from(s).ok()) {
            let answer = error(status, "Internal_ServerError");
            return match &self.retry_after {
                Some(wait) => answer.header("retry-after", wait.clone()),
                None => answer,
            };
        }
        let mut answer = real(request);
        let mut json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match self.kind.as_str().unwrap_or_default() {
            "empty" => answer.body = "{}".into(),
            "cut" => answer.body.truncate(answer.body.len() / 2),
            "html" => return FakeResponse::new(200).header("content-type", "text/html").body("<!DOCTYPE html>"),
            "body" => answer.body = self.value.to_string().into(),
            "missing_field" => answer.body = without(json, &self.field).to_string().into(),
            _ => {
                if let Some(map) = json.as_object_mut() {
                    map.insert("@odata.nextLink".to_owned(), self.value.clone());
                }
                answer.body = json.to_string().into();
            }
        }
        answer
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

/// What most verbs have to say.
const DONE: Result<Value, String> = Ok(Value::Null);

fn user<'a>(of: &'a mut Environment, args: &Value) -> Result<&'a mut User, String> {
    let who: String = read(args, "user")?;
    let hit = |u: &&mut User| u.id == who || u.email.as_deref() == Some(&who);
    of.users.iter_mut().find(hit).ok_or_else(|| format!("there is no user {who}"))
}

fn on_environment(of: &mut Environment, verb: &str, args: &Value) -> Result<Value, String> {
    match verb {
        "add_user" => of.users.push(read::<User>(args, "user")?),
        "set_users" => {
            of.users = read(args, "users")?;
            of.groups.clear();
        }
        "set_groups" => of.groups = read::<Vec<Group>>(args, "groups")?,
        "set_sets" => user(of, args)?.sets = read(args, "sets")?,
        "set_state" => user(of, args)?.state = read(args, "state")?,
        "add_company" => of.companies.push(read::<Company>(args, "company")?),
        _ => {
            let id: String = read(args, "company")?;
            of.companies.retain(|c| c.id != id);
        }
    }
    of.complete()?;
    DONE
}

impl Fake {
    /// The outage that hits this request, if one does.
    pub(super) fn outage(&mut self, request: &FakeRequest) -> Option<Outage> {
        self.outages.iter().find(|o| request.path.contains(&o.path)).cloned()
    }

    pub(super) fn act(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        match verb {
            "add_user" | "set_users" | "set_groups" | "set_sets" | "set_state" | "add_company" | "remove_company" => {
                let name = args.get("environment").and_then(Value::as_str).unwrap_or("production");
                let found = self.world.environments.iter_mut().find(|e| e.name == name);
                on_environment(found.ok_or_else(|| format!("there is no environment {name}"))?, verb, args)
            }
            "set_administrators" => {
                self.world.administrators = read(args, "administrators")?;
                DONE
            }
            "page_size" => {
                self.world.app.page = read::<usize>(args, "most")?.max(1);
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
            "revoke_refresh" => Ok(json!({"sign_ins": self.tokens.kill()})),
            // A sign-in without the consent page, for tests.
            "token" => {
                let first = self.world.administrators.first().cloned().unwrap_or_default();
                let login = args.get("login").and_then(Value::as_str).map_or(first, str::to_owned);
                let now = self.clock.unwrap_or(jiff::Timestamp::MAX);
                let answer = self.issue(&login, "openid offline_access", now);
                serde_json::from_slice(&answer.body).map_err(|e| e.to_string())
            }
            "stats" => Ok(json!({"served": self.served, "rate_limited": self.limited})),
            _ => Err(format!("the Business Central sandbox does not know \"{verb}\"; it knows: {}", VERBS.join(", "))),
        }
    }
}
