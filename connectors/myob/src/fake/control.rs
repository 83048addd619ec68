//! What people, and bad luck, do to MYOB between two requests.

use std::time::Duration;

use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Fake, File, User, error,
    seed::{LineSeed, with_id},
};

const VERBS: &[&str] = &[
    "add_user",
    "choose",
    "clear_outages",
    "expire_tokens",
    "post_line",
    "remove_user",
    "rename_file",
    "revoke_refresh",
    "set_app",
    "set_outage",
    "set_user",
    "set_users",
    "stats",
    "token",
];

/// Something is wrong with some answers, for a while.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// A status, or `empty` (`{}`), `html`, `cut`, `slow`.
    kind: Kind,
    /// For a status: MYOB's name of it (`AccessDenied`).
    name: Option<String>,
    /// Paths that contain this; absent: all.
    #[serde(default)]
    path: String,
    /// How many requests it hits; absent: until `clear_outages`.
    count: Option<u32>,
    /// How many matching requests pass before it begins.
    #[serde(default)]
    skip: u32,
    /// For a status: seconds in `Retry-After`.
    retry_after: Option<String>,
    /// For `slow`.
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
    Html,
    Cut,
    Slow,
}

impl Outage {
    /// The faulty answer; `real` gives the right one, where it is the start of the faulty one.
    pub fn apply(&self, real: impl FnOnce() -> FakeResponse) -> FakeResponse {
        let word = match self.kind {
            Kind::Status(504) => return FakeResponse::new(504).body("<html>Gateway Timeout</html>"),
            Kind::Status(status) => {
                let answer = error(status, self.name.as_deref().unwrap_or("InternalError"), u32::from(status));
                return match &self.retry_after {
                    Some(wait) => answer.header("retry-after", wait.clone()),
                    None => answer,
                };
            }
            Kind::Word(word) => word,
        };
        let mut answer = real();
        match word {
            Word::Empty => answer.body = "{}".into(),
            Word::Html => return FakeResponse::new(200).header("content-type", "text/html").body("<html>my.MYOB"),
            Word::Cut => answer.body.truncate(answer.body.len() / 2),
            Word::Slow => answer.takes += Duration::from_secs(self.seconds),
        }
        answer
    }
}

fn read<T: DeserializeOwned>(args: &Value, key: &str) -> Result<T, String> {
    T::deserialize(args.get(key).ok_or_else(|| format!("\"{key}\" is missing"))?).map_err(|e| format!("\"{key}\": {e}"))
}

fn text<'a>(args: &'a Value, key: &str) -> Result<&'a str, String> {
    args.get(key).and_then(Value::as_str).ok_or_else(|| format!("\"{key}\" is missing"))
}

/// What most verbs have to say.
const DONE: Result<Value, String> = Ok(Value::Null);

/// `value` with the fields of `patch` in place of its own.
fn patched<T: Serialize + DeserializeOwned>(value: &T, patch: &Value) -> Result<T, String> {
    let mut whole = serde_json::to_value(value).map_err(|e| e.to_string())?;
    if let (Some(whole), Some(patch)) = (whole.as_object_mut(), patch.as_object()) {
        whole.extend(patch.clone());
    }
    T::deserialize(whole).map_err(|e| e.to_string())
}

impl Fake {
    /// The outage that hits this request, if one does.
    pub(super) fn outage(&mut self, request: &FakeRequest) -> Option<Outage> {
        for outage in &mut self.outages {
            if outage.count == Some(0) || !request.path.contains(&outage.path) {
                continue;
            }
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

    /// The file that `file` names, by id or by name.
    fn file(&mut self, args: &Value) -> Result<&mut File, String> {
        let key = text(args, "file")?.to_owned();
        let hit = |f: &&mut File| f.id.to_string() == key || f.name == key;
        self.files.iter_mut().find(hit).ok_or_else(|| format!("there is no company file {key}"))
    }

    pub(super) fn act(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        match verb {
            "set_users" => {
                let users: Vec<User> = read(args, "users")?;
                self.file(args)?.users = users.into_iter().map(with_id).collect();
                DONE
            }
            "add_user" => {
                let user = with_id(read(args, "user")?);
                let file = self.file(args)?;
                if file.users.iter().any(|u| u.id == user.id) {
                    return Err(format!("{} has this user already", file.name));
                }
                file.users.push(user);
                DONE
            }
            "set_user" | "remove_user" => {
                let who = text(args, "user")?;
                let file = self.file(args)?;
                let name = file.name.clone();
                let at = file.users.iter().position(|u| u.email.as_deref() == Some(who) || u.id.to_string() == who);
                let at = at.ok_or_else(|| format!("{name} has no user {who}"))?;
                let old = file.users.remove(at);
                if verb == "set_user" {
                    let new = patched(&old, args.get("set").ok_or("\"set\" is missing")?);
                    file.users.insert(at, new.clone().unwrap_or(old));
                    new?;
                }
                DONE
            }
            "rename_file" => {
                let name = text(args, "name")?.to_owned();
                self.file(args)?.name = name;
                DONE
            }
            "post_line" => {
                let line: LineSeed = read(args, "line")?;
                let file = self.file(args)?;
                let line = line.build(file.id, file.lines.len());
                file.lines.push(line);
                DONE
            }
            "set_app" => {
                self.app = patched(&self.app, args)?;
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
                "refreshes": self.tokens.refreshes, "sign_ins": self.tokens.grants.iter().filter(|g| !g.dead).count()})),
            _ => self.on_sign_ins(verb, args),
        }
    }

    fn on_sign_ins(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        let now = self.now();
        match verb {
            "choose" => {
                if let Some(user) = args.get("user").and_then(Value::as_str) {
                    user.clone_into(&mut self.signing_in);
                }
                self.choosing = match args.get("file") {
                    Some(_) => Some(self.file(args)?.id),
                    None => None,
                };
                DONE
            }
            // A sign-in without the consent page, for tests.
            "token" => {
                let file: Uuid = self.file(args)?.id;
                let user = args.get("user").and_then(Value::as_str).unwrap_or(&self.signing_in).to_owned();
                let scopes = text(args, "scopes")?.split_whitespace().map(str::to_owned).collect();
                let number = self.grant(&user, file, scopes, now);
                serde_json::from_slice(&self.issue(number, now).body).map_err(|e| e.to_string())
            }
            "expire_tokens" => {
                self.tokens.access.values_mut().for_each(|a| a.expires = a.expires.min(now));
                DONE
            }
            "revoke_refresh" => {
                let file = args.get("file").is_some().then(|| self.file(args).map(|f| f.id)).transpose()?;
                let hit = |g: &&mut super::oauth::Grant| !g.dead && file.is_none_or(|f| f == g.file);
                let count = self.tokens.grants.iter_mut().filter(hit).map(|g| g.dead = true).count();
                Ok(json!({"sign_ins": count}))
            }
            _ => Err(format!("the MYOB sandbox does not know \"{verb}\"; it knows: {}", VERBS.join(", "))),
        }
    }
}
