//! What people, and bad luck, do to QuickBooks between two requests.

use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Fake, answers, books::Company, seed, stats};

const VERBS: &[&str] = &[
    "choose",
    "clear_outages",
    "disconnect",
    "expire_tokens",
    "post_transaction",
    "reconnect",
    "resume",
    "revoke_refresh",
    "rotate_client_secret",
    "set_outage",
    "set_users",
    "stats",
    "suspend",
    "swap_companies",
    "token",
];

/// Something is wrong with some answers, for a while.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    kind: Kind,
    /// Paths that contain this; absent: all.
    #[serde(default)]
    path: String,
    realm: Option<String>,
    /// How many requests it hits; absent: until `clear_outages`.
    count: Option<u32>,
    /// How many matching requests pass before it begins.
    #[serde(default)]
    skip: u32,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Kind {
    Status(u16),
    Word(Word),
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// 403 with code 3001, as older gateways throttle.
    Throttled403,
    /// 200 with a fault.
    Fault200,
    /// 200 with a query's answer that has no rows.
    EmptyQuery,
    /// It works, and the answer is lost on the way: 502 after the fact.
    AnswerLost,
    Empty,
    Html,
    Xml,
    Cut,
}

/// The outage that hits this request, if one does.
pub fn outage(outages: &mut [Outage], request: &FakeRequest, realm: Option<&str>) -> Option<Kind> {
    let matches = |o: &&mut Outage| {
        o.count != Some(0) && request.path.contains(&o.path) && (o.realm.is_none() || o.realm.as_deref() == realm)
    };
    for outage in outages.iter_mut().filter(matches) {
        if outage.skip > 0 {
            outage.skip -= 1;
            continue;
        }
        if let Some(count) = &mut outage.count {
            *count -= 1;
        }
        return Some(outage.kind.clone());
    }
    None
}

/// The faulty answer; `real` gives the right one, where it is the start of the faulty one.
pub fn apply(kind: &Kind, real: impl FnOnce() -> FakeResponse) -> FakeResponse {
    let word = match kind {
        Kind::Status(401) => return answers::unauthorised(),
        Kind::Status(429) => return answers::throttled(429),
        Kind::Status(403) => return answers::gateway(403, "AuthorizationFailed", "3100", "AUTHORIZATION"),
        Kind::Status(status) => {
            return answers::service(*status, "10000", "SystemFault", "An application error has occurred");
        }
        Kind::Word(word) => word,
    };
    match word {
        Word::Throttled403 => answers::throttled(403),
        Word::Fault200 => answers::service(200, "6000", "ValidationFault", "A business validation error has occurred"),
        Word::EmptyQuery => answers::ok(&json!({"QueryResponse": {}, "time": "2026-09-29T06:52:56.527-07:00"})),
        Word::AnswerLost => {
            real();
            FakeResponse::new(502).header("content-type", "text/html").body("<html>Bad Gateway")
        }
        Word::Empty => answers::ok(&json!({})),
        Word::Html => FakeResponse::new(200)
            .header("content-type", "text/html; charset=utf-8")
            .body("<!DOCTYPE html><title>Intuit Accounts - Sign In</title>"),
        Word::Xml => answers::xml(),
        Word::Cut => {
            let mut answer = real();
            answer.body.truncate(answer.body.len() / 2);
            answer
        }
    }
}

fn text<'a>(args: &'a Value, key: &str) -> Result<&'a str, String> {
    args.get(key).and_then(Value::as_str).ok_or_else(|| format!("\"{key}\" is missing"))
}

fn count(args: &Value, key: &str) -> Result<Option<u32>, String> {
    let wrong = || format!("\"{key}\" is not a small number");
    args.get(key).map(|v| v.as_u64().and_then(|n| u32::try_from(n).ok()).ok_or_else(wrong)).transpose()
}

/// What most verbs have to say.
const DONE: Result<Value, String> = Ok(Value::Null);

impl Fake {
    /// The realm that `company` names, by realm or by name.
    fn realm_of(&self, args: &Value, key: &str) -> Result<String, String> {
        let word = text(args, key)?;
        let found = self.companies.values().find(|c| c.realm == word || c.name == word);
        found.map(|c| c.realm.clone()).ok_or_else(|| format!("there is no company {word}"))
    }

    fn company(&mut self, args: &Value) -> Result<&mut Company, String> {
        let realm = self.realm_of(args, "company")?;
        self.companies.get_mut(&realm).ok_or_else(|| format!("there is no company {realm}"))
    }

    pub(super) fn act(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        match verb {
            "choose" => {
                self.chosen = Some(self.realm_of(args, "company")?);
                DONE
            }
            "disconnect" | "reconnect" => {
                self.company(args)?.connected = verb == "reconnect";
                DONE
            }
            "suspend" | "resume" => {
                self.company(args)?.suspended = verb == "suspend";
                DONE
            }
            "set_users" => {
                let (users, accountants) = (count(args, "users")?, count(args, "accountants")?);
                let company = self.company(args)?;
                company.users = users.unwrap_or(company.users);
                company.accountants = accountants.unwrap_or(company.accountants);
                DONE
            }
            "swap_companies" => {
                let (a, b) = (self.realm_of(args, "a")?, self.realm_of(args, "b")?);
                if self.swapped.remove(&a).is_none() | self.swapped.remove(&b).is_none() {
                    self.swapped.extend([(a.clone(), b.clone()), (b, a)]);
                }
                DONE
            }
            "post_transaction" => {
                let now = self.now();
                let seed = args.get("transaction").ok_or("\"transaction\" is missing")?.clone();
                let id = seed::post(self.company(args)?, &seed, now)?;
                Ok(json!({"id": id}))
            }
            "set_outage" => {
                self.outages.push(Outage::deserialize(args).map_err(|e| e.to_string())?);
                DONE
            }
            "clear_outages" => {
                self.outages.clear();
                DONE
            }
            "stats" => Ok(stats(self)),
            _ => self.on_sign_ins(verb, args),
        }
    }

    fn on_sign_ins(&mut self, verb: &str, args: &Value) -> Result<Value, String> {
        match verb {
            "rotate_client_secret" => {
                text(args, "secret")?.clone_into(&mut self.app.client_secret);
                DONE
            }
            "expire_tokens" => {
                self.expire(self.clock.unwrap_or(jiff::Timestamp::MIN));
                DONE
            }
            "revoke_refresh" => {
                let realm = args.get("company").map(|_| self.realm_of(args, "company")).transpose()?;
                Ok(json!({"sign_ins": self.kill(realm.as_deref())}))
            }
            // A sign-in without the consent page, for tests.
            "token" => {
                let realm = self.realm_of(args, "company")?;
                let scopes =
                    args.get("scopes").and_then(Value::as_str).unwrap_or("com.intuit.quickbooks.accounting openid");
                let scopes = scopes.split_whitespace().map(str::to_owned).collect();
                let now = self.now();
                let number = self.grant(&realm, scopes, now);
                let answer = self.issue(number, now, true);
                serde_json::from_slice(&answer.body).map_err(|e| e.to_string())
            }
            _ => Err(format!("the QuickBooks sandbox does not know \"{verb}\"; it knows: {}", VERBS.join(", "))),
        }
    }
}
