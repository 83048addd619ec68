//! What people, and bad luck, do to Zoho Books between two requests.

use jiff::Timestamp;
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Fake, refused, stats,
    world::{Organisation, User},
};

const VERBS: &[&str] = &[
    "add_user",
    "change_email",
    "clear_outages",
    "drop_user",
    "empty_users",
    "expire_tokens",
    "revoke_refresh",
    "rotate_client_secret",
    "set_limit",
    "set_outage",
    "set_page",
    "set_role",
    "set_status",
    "set_users",
    "sign_in_as",
    "stats",
    "swap_organizations",
    "token",
];

/// Something is wrong with some answers, for a while.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    kind: Kind,
    /// Paths that begin so; absent: all.
    #[serde(default)]
    path: String,
    /// How many requests it hits; absent: until `clear_outages`.
    count: Option<u32>,
    /// How many matching requests pass before it begins.
    #[serde(default)]
    skip: u32,
    /// The `code` of a status or of `refusal`.
    #[serde(default)]
    code: i64,
    /// For `missing_field`: which.
    #[serde(default)]
    field: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Kind {
    Status(u16),
    Word(Word),
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// `{}`.
    Empty,
    /// No body.
    Blank,
    Html,
    Cut,
    /// HTTP 200 with a `code` that is not 0.
    Refusal,
    MissingField,
    /// Always the first page.
    RepeatPage,
}

impl Outage {
    /// The faulty answer; `real` gives the right one, where it is the start of the faulty one.
    pub fn apply(&self, request: &FakeRequest, real: impl FnOnce(&FakeRequest) -> FakeResponse) -> FakeResponse {
        let word = match self.kind {
            Kind::Status(status) => return refused(status, self.code, "Internal error"),
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
        match word {
            Word::Empty => answer.body = "{}".into(),
            Word::Blank => answer.body = "".into(),
            Word::Cut => answer.body.truncate(answer.body.len() / 2),
            Word::Html => {
                return FakeResponse::new(200)
                    .header("content-type", "text/html; charset=utf-8")
                    .body("<!DOCTYPE html><title>Zoho Accounts</title><p>Sign in.");
            }
            Word::Refusal => return refused(200, self.code, "Internal error"),
            Word::MissingField => {
                let body = serde_json::from_slice(&answer.body).unwrap_or_default();
                answer.body = without(body, &self.field).to_string().into();
            }
            Word::RepeatPage => {}
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

fn text<'a>(args: &'a Value, key: &str) -> Result<&'a str, String> {
    args.get(key).and_then(Value::as_str).ok_or_else(|| format!("\"{key}\" is missing"))
}

fn number<T: TryFrom<u64>>(args: &Value, key: &str) -> Result<T, String> {
    let found = args.get(key).and_then(Value::as_u64).and_then(|n| T::try_from(n).ok());
    found.ok_or_else(|| format!("\"{key}\" is missing"))
}

/// What most verbs have to say.
const DONE: Result<Value, String> = Ok(Value::Null);

fn user(args: &Value) -> Result<User, String> {
    User::deserialize(args.get("user").ok_or("\"user\" is missing")?).map_err(|e| e.to_string())
}

fn on_users(org: &mut Organisation, verb: &str, args: &Value) -> Result<Value, String> {
    let id = org.organization_id.clone();
    match verb {
        "add_user" => {
            let new = user(args)?.finished(&id);
            let answer = json!({"id": new.user_id});
            org.users.push(new);
            org.appoint();
            return Ok(answer);
        }
        // The list alone: who may read it stays, or nobody could.
        "set_users" => {
            let users = args.get("users").cloned().unwrap_or_default();
            let users: Vec<User> = serde_json::from_value(users).map_err(|e| e.to_string())?;
            org.users = users.into_iter().map(|u| u.finished(&id)).collect();
        }
        "empty_users" => org.hides_users = args.get("on").and_then(Value::as_bool).unwrap_or(true),
        "drop_user" => {
            let who = text(args, "user")?;
            org.users.retain(|u| u.email != who && u.user_id != who);
            org.appoint();
        }
        _ => {
            let who = text(args, "user")?;
            let found = org.users.iter_mut().find(|u| u.email == who || u.user_id == who);
            let user = found.ok_or_else(|| format!("{} has no user {who}", org.name))?;
            match verb {
                "set_role" => text(args, "role")?.clone_into(&mut user.user_role),
                "set_status" => text(args, "status")?.clone_into(&mut user.status),
                _ => text(args, "email")?.clone_into(&mut user.email),
            }
            org.appoint();
        }
    }
    DONE
}

impl Fake {
    /// The outage that hits this request, if one does.
    pub(super) fn outage(&mut self, request: &FakeRequest) -> Option<Outage> {
        let matches = |o: &&mut Outage| o.count != Some(0) && request.path.starts_with(&o.path);
        for outage in self.outages.iter_mut().filter(matches) {
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

    /// The organisation that `organization` names, by id or by name.
    fn named(&mut self, args: &Value) -> Result<&mut Organisation, String> {
        let key = text(args, "organization")?;
        let found = self.world.organisations.iter_mut().find(|o| o.organization_id == key || o.name == key);
        found.ok_or_else(|| format!("there is no organisation {key}"))
    }

    pub(super) fn act(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        match verb {
            "add_user" | "set_users" | "set_role" | "set_status" | "drop_user" | "change_email" | "empty_users" => {
                on_users(self.named(args)?, verb, args)
            }
            "set_outage" => {
                self.outages.push(Outage::deserialize(args).map_err(|e| e.to_string())?);
                DONE
            }
            "clear_outages" => {
                self.outages.clear();
                DONE
            }
            "swap_organizations" => {
                let mut one =
                    |key| self.named(&json!({"organization": text(args, key)?})).map(|o| o.organization_id.clone());
                let (a, b) = (one("a")?, one("b")?);
                if self.swapped.remove(&a).is_none() | self.swapped.remove(&b).is_none() {
                    self.swapped.extend([(a.clone(), b.clone()), (b, a)]);
                }
                DONE
            }
            "set_limit" => {
                self.world.app.day_limit = number(args, "day")?;
                DONE
            }
            "set_page" => {
                self.world.app.page_max = number::<usize>(args, "max")?.max(1);
                DONE
            }
            "stats" => Ok(stats(self)),
            "rotate_client_secret" => {
                text(args, "secret")?.clone_into(&mut self.world.app.client_secret);
                DONE
            }
            "expire_tokens" => {
                self.expire(self.clock.unwrap_or(Timestamp::MIN));
                DONE
            }
            "revoke_refresh" => Ok(json!({"sign_ins": self.kill(args.get("user").and_then(Value::as_str))})),
            "sign_in_as" => {
                let email = text(args, "email")?;
                if !self.world.users.iter().any(|l| l.email == email) {
                    return Err(format!("nobody signs in as {email}"));
                }
                email.clone_into(&mut self.signing_in);
                DONE
            }
            "token" => {
                let user = args.get("user").and_then(Value::as_str);
                let user = user.map_or_else(|| self.signing_in.clone(), str::to_owned);
                let now = self.clock.unwrap_or(Timestamp::MAX);
                self.hand_out(&user, text(args, "scopes")?, now)
            }
            _ => Err(format!("the Zoho Books sandbox does not know \"{verb}\"; it knows: {}", VERBS.join(", "))),
        }
    }
}
