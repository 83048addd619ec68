//! What people, and bad luck, do to Practice Manager between two requests.

use std::time::Duration;

use jiff::Timestamp;
use ledgerward_kit::fake::{FakeRequest, FakeResponse, xero::Identity as _};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Fake, answers, id_of, stats,
    world::{Client, Job, Practice, Staff},
};

const VERBS: &[&str] = &[
    "add_client",
    "add_job",
    "add_staff",
    "archive_client",
    "change_email",
    "clear_outages",
    "complete_job",
    "delete_client",
    "disable_staff",
    "disconnect_tenant",
    "expire_tokens",
    "reconnect_tenant",
    "revoke_refresh",
    "rotate_client_secret",
    "set_app",
    "set_field",
    "set_limit",
    "set_manager",
    "set_outage",
    "sign_in_as",
    "stats",
    "token",
];

/// Something is wrong with some answers, for a while.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// A status, or one of [`Word`].
    kind: Kind,
    /// Paths that begin so; absent: all.
    #[serde(default)]
    path: String,
    /// How many requests it hits; absent: until `clear_outages`.
    count: Option<u32>,
    /// How many matching requests pass before it begins.
    #[serde(default)]
    skip: u32,
    /// For a status: seconds in `Retry-After`.
    retry_after: Option<String>,
    /// For 429: `X-Rate-Limit-Problem`.
    problem: Option<String>,
    /// For `missing_element`: which. For `error`: the description.
    text: Option<String>,
    /// For `slow`: seconds.
    #[serde(default)]
    seconds: u64,
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
    /// HTTP 200 with `Status` `ERROR`.
    Error,
    /// HTTP 200 with the gateway's JSON.
    Json,
    MissingElement,
    /// Always the first page.
    RepeatPage,
    /// A document type with an entity of its own.
    Entities,
    Slow,
}

/// An outage as it hits one request.
pub struct Hit {
    kind: Kind,
    retry_after: Option<String>,
    problem: Option<String>,
    text: String,
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
            request.query.retain(|(k, _)| k != "pageToken");
        }
        let mut answer = real(&request);
        if answer.status != 200 {
            return answer;
        }
        let text = || String::from_utf8_lossy(&answer.body).into_owned();
        match word {
            Word::Empty => answer.body = "{}".into(),
            Word::Blank => answer.body = "".into(),
            Word::Cut => answer.body.truncate(answer.body.len() / 2),
            Word::Html => return answers::html(),
            Word::Error => return answers::error("List", &self.text),
            Word::Json => {
                answer.body = answers::gateway(503, "Unavailable", "ServiceNotAvailable").body;
            }
            Word::MissingElement => answer.body = without(&text(), &self.text).into(),
            Word::Entities => {
                let dtd = "<!DOCTYPE r [<!ENTITY a \"Somebody\"><!ENTITY b \"&a;&a;&a;&a;\">]>";
                answer.body = format!("{dtd}{}", text().replace("<Name>", "<Name>&b;")).into();
            }
            Word::RepeatPage => {}
            Word::Slow => answer.takes += Duration::from_secs(self.seconds),
        }
        answer
    }

    fn status(&self, status: u16) -> FakeResponse {
        let mut answer = match status {
            401 => answers::unauthorised("AuthenticationUnsuccessful"),
            403 => answers::gateway(403, "Forbidden", "AuthenticationUnsuccessful"),
            429 => FakeResponse::new(429).header("x-rate-limit-problem", self.problem.as_deref().unwrap_or("minute")),
            503 => answers::gateway(503, "Unavailable", "ServiceNotAvailable"),
            _ => answers::gateway(status, "Error", "InternalError"),
        };
        if let Some(wait) = &self.retry_after {
            answer = answer.header("retry-after", wait.clone());
        }
        answer
    }
}

/// Without an element that has text and no elements of its own name in it, wherever it stands.
fn without(xml: &str, name: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut out = String::new();
    let mut rest = xml;
    while let Some((before, after)) = rest.split_once(&open) {
        out.push_str(before);
        rest = after.split_once(&close).map_or("", |(_, tail)| tail);
    }
    (out + rest).replace(&format!("<{name} />"), "")
}

fn read<T: DeserializeOwned>(args: &Value, key: &str) -> Result<T, String> {
    T::deserialize(args.get(key).ok_or_else(|| format!("\"{key}\" is missing"))?).map_err(|e| e.to_string())
}

fn text<'a>(args: &'a Value, key: &str) -> Result<&'a str, String> {
    args.get(key).and_then(Value::as_str).ok_or_else(|| format!("\"{key}\" is missing"))
}

/// What most verbs have to say.
const DONE: Result<Value, String> = Ok(Value::Null);

fn client<'a>(practice: &'a mut Practice, args: &Value) -> Result<&'a mut Client, String> {
    let place = practice.client(text(args, "client")?)?;
    practice.clients.get_mut(place).ok_or_else(|| "there is no such client".to_owned())
}

fn staff<'a>(practice: &'a mut Practice, args: &Value) -> Result<&'a mut Staff, String> {
    let id = practice.person(text(args, "staff")?)?;
    practice.staff.iter_mut().find(|s| s.id == id).ok_or_else(|| "there is no such member".to_owned())
}

fn on_practice(practice: &mut Practice, verb: &str, args: &Value) -> Result<Value, String> {
    match verb {
        "add_staff" => {
            let mut new: Staff = read(args, "staff")?;
            if new.id.is_nil() {
                new.id = id_of(&["staff", &practice.name, &new.name, &new.email]);
            }
            let id = new.id;
            practice.staff.push(new);
            return Ok(json!({"id": id}));
        }
        "add_client" => {
            let new = practice.finished(read(args, "client")?)?;
            let id = new.id;
            practice.clients.push(new);
            practice.clients.sort_by_key(|c| c.id);
            return Ok(json!({"id": id}));
        }
        "add_job" => {
            let new = practice.finished_job(read::<Job>(args, "job")?)?;
            practice.jobs.push(new);
        }
        "complete_job" => {
            let number = text(args, "job")?;
            let job = practice.jobs.iter_mut().find(|j| j.number == number).ok_or("there is no such job")?;
            job.completed = Some(job.due);
        }
        "disable_staff" => staff(practice, args)?.disabled = true,
        "change_email" => text(args, "email")?.clone_into(&mut staff(practice, args)?.email),
        "archive_client" => client(practice, args)?.archived = true,
        "delete_client" => client(practice, args)?.deleted = true,
        "set_field" => {
            let (name, value) = (text(args, "name")?.to_owned(), text(args, "value")?.to_owned());
            client(practice, args)?.fields.insert(name, value);
        }
        "set_manager" => {
            let who = match args.get("staff").and_then(Value::as_str) {
                Some(key) => Some(practice.person(key)?.to_string()),
                None => None,
            };
            let client = client(practice, args)?;
            match text(args, "role")? {
                "account_manager" => client.account_manager = who,
                "job_manager" => client.job_manager = who,
                other => return Err(format!("a client has no {other}")),
            }
        }
        _ => practice.connected.values_mut().for_each(|c| *c = verb == "reconnect_tenant"),
    }
    DONE
}

impl Fake {
    /// The outage that hits this request, if one does.
    pub(super) fn outage(&mut self, request: &FakeRequest) -> Option<Hit> {
        let matches = |o: &&mut Outage| o.count != Some(0) && request.path.starts_with(&o.path);
        for outage in self.outages.iter_mut().filter(matches) {
            if outage.skip > 0 {
                outage.skip -= 1;
                continue;
            }
            if let Some(count) = &mut outage.count {
                *count -= 1;
            }
            return Some(Hit {
                kind: outage.kind,
                retry_after: outage.retry_after.clone(),
                problem: outage.problem.clone(),
                text: outage.text.clone().unwrap_or_default(),
                seconds: outage.seconds,
            });
        }
        None
    }

    /// The practice that `tenant` names, by id or by name; the first where nothing is said.
    fn named(&mut self, args: &Value) -> Result<&mut Practice, String> {
        let key = args.get("tenant").and_then(Value::as_str).map(str::to_owned);
        let hit = |p: &&mut Practice| key.as_ref().is_none_or(|k| p.name == *k || p.tenant_id.to_string() == *k);
        let found = self.world.practices.iter_mut().find(hit);
        found.ok_or_else(|| format!("there is no practice {}", key.as_deref().unwrap_or_default()))
    }

    pub(super) fn act(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        match verb {
            "add_client" | "add_job" | "add_staff" | "archive_client" | "change_email" | "complete_job"
            | "delete_client" | "disable_staff" | "disconnect_tenant" | "reconnect_tenant" | "set_field"
            | "set_manager" => on_practice(self.named(args)?, verb, args),
            "set_outage" => {
                self.outages.push(Outage::deserialize(args).map_err(|e| e.to_string())?);
                DONE
            }
            "clear_outages" => {
                self.outages.clear();
                DONE
            }
            "set_limit" => {
                let limit = args.get("day").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
                self.world.app.day_limit = limit.ok_or("\"day\" is missing")?;
                DONE
            }
            "set_app" => {
                let app = &mut self.world.app;
                if let Some(n) = args.get("page_max").and_then(Value::as_u64) {
                    app.page_max = usize::try_from(n).unwrap_or(usize::MAX).max(1);
                }
                if let Some(on) = args.get("paged_details").and_then(Value::as_bool) {
                    app.paged_details = on;
                }
                if let Some(next) = args.get("next").and_then(Value::as_str) {
                    next.clone_into(&mut app.next);
                }
                DONE
            }
            "stats" => Ok(stats(self)),
            _ => self.on_sign_ins(verb, args),
        }
    }

    fn on_sign_ins(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        match verb {
            "rotate_client_secret" => {
                self.world.app.client_secret = Some(text(args, "secret")?.to_owned());
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
                if !self.world.users.iter().any(|l| l.email == email) {
                    return Err(format!("nobody signs in as {email}"));
                }
                email.clone_into(&mut self.signing_in);
                DONE
            }
            "token" => {
                let user = args.get("user").and_then(Value::as_str);
                let user = user.map_or_else(|| self.signing_in.clone(), str::to_owned);
                let scopes = text(args, "scopes")?.split_whitespace().map(str::to_owned).collect();
                let now = self.now();
                let number = self.grant(&user, scopes, now);
                let answer = self.issue(number, now);
                serde_json::from_slice(&answer.body).map_err(|e| e.to_string())
            }
            _ => Err(format!("the Practice Manager sandbox does not know \"{verb}\"; it knows: {}", VERBS.join(", "))),
        }
    }
}
