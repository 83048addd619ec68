//! What people, and bad luck, do to Karbon between two requests.

use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Client, Fake, Team, User, answers::slow_down, key};

const VERBS: &[&str] = &[
    "add_client",
    "add_user",
    "clear_outages",
    "remove_client",
    "remove_user",
    "set_app",
    "set_client",
    "set_outage",
    "set_team",
    "stats",
];

/// Something is wrong with some answers, for a while.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// A status, or `empty` (`{}`), `empty_list`, `html`, `cut`.
    kind: Kind,
    /// Paths that begin so; absent: all.
    #[serde(default)]
    path: String,
    /// How many requests it hits; absent: until `clear_outages`.
    count: Option<u32>,
    /// How many matching requests pass before it begins.
    #[serde(default)]
    skip: u32,
    /// For 429: without the header, so that the text alone says how long.
    #[serde(default)]
    text_only: bool,
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
    EmptyList,
    Html,
    Cut,
}

impl Outage {
    /// The faulty answer; `real` gives the right one, where it is the start of the faulty one.
    pub fn apply(&self, real: impl FnOnce() -> FakeResponse) -> FakeResponse {
        let word = match self.kind {
            Kind::Status(429) => {
                let mut answer = slow_down(10);
                answer.headers.retain(|(k, _)| !self.text_only || k != "retry-after");
                return answer;
            }
            Kind::Status(status) => {
                let code = match status {
                    403 => "4021",
                    404 => "4004",
                    _ => "5001",
                };
                return FakeResponse::json(status, &json!({"error": {"code": code, "message": "Internal Error."}}));
            }
            Kind::Word(word) => word,
        };
        let mut answer = real();
        match word {
            Word::Empty => answer.body = "{}".into(),
            Word::EmptyList => {
                let mut body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                if let Some(map) = body.as_object_mut() {
                    map.insert("value".to_owned(), json!([]));
                    map.remove("@odata.nextLink");
                }
                answer.body = body.to_string().into();
            }
            Word::Html => return FakeResponse::new(200).header("content-type", "text/html").body("<html>Karbon"),
            Word::Cut => answer.body.truncate(answer.body.len() / 2),
        }
        answer
    }
}

fn text<'a>(args: &'a Value, key: &str) -> Result<&'a str, String> {
    args.get(key).and_then(Value::as_str).ok_or_else(|| format!("\"{key}\" is missing"))
}

fn read<T: DeserializeOwned>(args: &Value, key: &str) -> Result<T, String> {
    T::deserialize(args.get(key).ok_or_else(|| format!("\"{key}\" is missing"))?).map_err(|e| format!("\"{key}\": {e}"))
}

/// `value` with the fields of `patch` in place of its own.
fn patch<T: Serialize + DeserializeOwned>(value: &mut T, patch: Option<&Value>) -> Result<Value, String> {
    let mut whole = serde_json::to_value(&*value).map_err(|e| e.to_string())?;
    let patch = patch.and_then(Value::as_object).ok_or("\"set\" is missing")?;
    if let Some(whole) = whole.as_object_mut() {
        whole.extend(patch.clone());
    }
    *value = T::deserialize(whole).map_err(|e| e.to_string())?;
    Ok(Value::Null)
}

/// What most verbs have to say.
const DONE: Result<Value, String> = Ok(Value::Null);

impl Fake {
    /// The outage that hits this request, if one does.
    pub(super) fn outage(&mut self, request: &FakeRequest) -> Option<Outage> {
        for outage in &mut self.outages {
            if outage.count == Some(0) || !request.path.starts_with(&outage.path) {
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

    /// Where the client stands that `client` names, by key or by name.
    fn client(&self, args: &Value) -> Result<usize, String> {
        let name = text(args, "client")?;
        let at = self.clients.iter().position(|c| c.key == name || c.name == name);
        at.ok_or_else(|| format!("there is no client {name}"))
    }

    pub(super) fn act(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        match verb {
            "add_user" => {
                let mut user: User = read(args, "user")?;
                key(&mut user.key, &["user", &user.email]);
                self.users.push(user);
                DONE
            }
            "remove_user" => {
                let who = text(args, "user")?;
                let before = self.users.len();
                self.users.retain(|u| u.email != who && u.key != who);
                if before == self.users.len() { Err(format!("there is no user {who}")) } else { DONE }
            }
            "add_client" => {
                let mut client: Client = read(args, "client")?;
                key(&mut client.key, &["client", &client.name]);
                self.clients.push(client);
                DONE
            }
            "set_client" | "remove_client" => {
                let at = self.client(args)?;
                if verb == "remove_client" {
                    self.clients.remove(at);
                    return DONE;
                }
                let client = self.clients.get_mut(at).ok_or("there is no such client")?;
                patch(client, args.get("set"))
            }
            "set_team" => {
                let name = text(args, "team")?;
                let team: Option<&mut Team> = self.teams.iter_mut().find(|t| t.name == name || t.key == name);
                patch(team.ok_or_else(|| format!("there is no team {name}"))?, args.get("set"))
            }
            "set_app" => patch(&mut self.app, Some(args)),
            "set_outage" => {
                self.outages.push(Outage::deserialize(args).map_err(|e| e.to_string())?);
                DONE
            }
            "clear_outages" => {
                self.outages.clear();
                DONE
            }
            "stats" => Ok(json!({"requests": self.requests, "rate_limited": self.limited})),
            _ => Err(format!("the Karbon sandbox does not know \"{verb}\"; it knows: {}", VERBS.join(", "))),
        }
    }
}
