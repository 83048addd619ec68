//! Sign-in: one consent a company, codes, refresh tokens that are good once, the end after five years, revocation.

use std::collections::BTreeMap;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::{SignedDuration, Timestamp};
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::{
    Fake,
    answers::{self, hash},
};

const CODE_LIFE: SignedDuration = SignedDuration::from_mins(10);
const ACCESS_LIFE_S: i64 = 3600;
const IDLE_S: i64 = 8_726_400;
const HARD_S: i64 = 5 * 365 * 86_400;
const ACCOUNTING: &str = "com.intuit.quickbooks.accounting";
const SCOPES: &[&str] =
    &[ACCOUNTING, "com.intuit.quickbooks.payment", "openid", "profile", "email", "phone", "address"];

/// A code that was given out and not yet used.
#[derive(Deserialize, Serialize)]
struct Code {
    realm: String,
    redirect: String,
    scopes: Vec<String>,
    at: Timestamp,
}

/// One consent: a company and an app.
#[derive(Deserialize, Serialize)]
struct Grant {
    realm: String,
    scopes: Vec<String>,
    refresh: String,
    /// When its value changed last.
    changed: Timestamp,
    consented: Timestamp,
    last_used: Timestamp,
    dead: bool,
}

#[derive(Deserialize, Serialize)]
struct Access {
    grant: usize,
    expires: Timestamp,
}

#[derive(Default, Deserialize, Serialize)]
pub struct Tokens {
    codes: BTreeMap<String, Code>,
    grants: Vec<Grant>,
    /// Refresh tokens that are good, with the number of their grant.
    current: BTreeMap<String, usize>,
    access: BTreeMap<String, Access>,
    /// How often each refresh token was sent, good or not.
    sent: BTreeMap<String, u64>,
    made: u64,
    pub issued: u64,
    pub refreshes: u64,
    pub refused: u64,
}

impl Tokens {
    /// The clock begins: what was given out before it did is as old as it.
    pub fn start(&mut self, now: Timestamp) {
        let last = after(now, ACCESS_LIFE_S);
        self.access.values_mut().for_each(|a| a.expires = a.expires.min(last));
        for grant in &mut self.grants {
            (grant.last_used, grant.consented) = (grant.last_used.min(now), grant.consented.min(now));
            grant.changed = grant.changed.min(now);
        }
    }

    /// Unguessable enough for a sandbox, and the same in every run.
    fn make(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{what}{}", hash(&[what, &self.made.to_string()]))
    }

    /// How often the refresh token was sent that was sent most often.
    pub fn sent_most(&self) -> u64 {
        self.sent.values().copied().max().unwrap_or_default()
    }

    pub fn live(&self) -> usize {
        self.grants.iter().filter(|g| !g.dead).count()
    }
}

fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(at)
}

fn refuse(error: &str) -> FakeResponse {
    FakeResponse::json(if error == "invalid_client" { 401 } else { 400 }, &json!({"error": error}))
}

fn form(request: &FakeRequest) -> Option<BTreeMap<String, String>> {
    let typed = request.header("content-type").is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    typed.then(|| request.form())
}

/// Intuit takes https, and http on the developer's own machine alone.
fn fit(redirect: &Url) -> bool {
    let local = matches!(redirect.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    redirect.scheme() == "https" || (redirect.scheme() == "http" && local)
}

impl Fake {
    /// The consent page. The person behind it takes the company that was chosen, or the next in turn.
    pub(super) fn authorize(&mut self, now: Timestamp, request: &FakeRequest) -> FakeResponse {
        let page = |error: &str| {
            FakeResponse::new(400).header("content-type", "text/html").body(format!("<html><h1>Sorry</h1>{error}"))
        };
        if request.query("client_id") != Some(self.app.client_id.as_str()) {
            return page("The client id is invalid");
        }
        let redirect = request.query("redirect_uri").unwrap_or_default();
        let Some(mut back) = Url::parse(redirect).ok().filter(fit) else {
            return page("The redirect_uri query parameter value is invalid");
        };
        if request.query("state").is_none_or(str::is_empty) {
            return page("The state query parameter is missing");
        }
        let scopes: Vec<String> =
            request.query("scope").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        let known = !scopes.is_empty() && scopes.iter().all(|s| SCOPES.contains(&s.as_str()));
        if request.query("response_type") != Some("code") || !known {
            back.query_pairs_mut().append_pair("error", "invalid_scope");
        } else if let Some(realm) = self.next_company() {
            let code = self.tokens.make("AB");
            let company = scopes.iter().any(|s| s == ACCOUNTING).then(|| realm.clone());
            let given = Code { realm, redirect: redirect.to_owned(), scopes, at: now };
            self.tokens.codes.insert(code.clone(), given);
            back.query_pairs_mut().append_pair("code", &code);
            if let Some(company) = company {
                back.query_pairs_mut().append_pair("realmId", &company);
            }
        } else {
            back.query_pairs_mut().append_pair("error", "access_denied");
        }
        if let Some(state) = request.query("state") {
            back.query_pairs_mut().append_pair("state", state);
        }
        FakeResponse::new(302).header("location", back.as_str())
    }

    /// Whoever was chosen; else the first that has no sign-in yet; else the first.
    fn next_company(&mut self) -> Option<String> {
        if let Some(chosen) = self.chosen.take() {
            return Some(chosen);
        }
        let waiting = self.tokens.codes.values().map(|c| c.realm.as_str());
        let taken: Vec<_> =
            self.tokens.grants.iter().filter(|g| !g.dead).map(|g| g.realm.as_str()).chain(waiting).collect();
        let mut all = self.companies.keys();
        all.clone().find(|r| !taken.contains(&r.as_str())).or_else(|| all.next()).cloned()
    }

    /// Basic, or both in the body.
    fn client_ok(&self, request: &FakeRequest, form: &BTreeMap<String, String>) -> bool {
        let (id, secret) = (&self.app.client_id, &self.app.client_secret);
        let Some(header) = request.header("authorization") else {
            return form.get("client_id") == Some(id) && form.get("client_secret") == Some(secret);
        };
        let plain = header.strip_prefix("Basic ").and_then(|b| STANDARD.decode(b).ok());
        let plain = plain.and_then(|b| String::from_utf8(b).ok());
        // RFC 6749 2.3.1: both halves are form-encoded first.
        let decode =
            |t: &str| url::form_urlencoded::parse(format!("x={t}").as_bytes()).next().map(|(_, v)| v.into_owned());
        plain.and_then(|p| {
            let (given, word) = p.split_once(':')?;
            Some(decode(given)? == *id && decode(word)? == *secret)
        }) == Some(true)
    }

    pub(super) fn token(&mut self, now: Timestamp, request: &FakeRequest) -> FakeResponse {
        let Some(form) = form(request) else { return refuse("invalid_request") };
        if !self.client_ok(request, &form) {
            return refuse("invalid_client");
        }
        let hard = request.header("x-include-refresh-token-hard-expires-in") == Some("true");
        match form.get("grant_type").map(String::as_str) {
            Some("authorization_code") => self.redeem(now, &form, hard),
            Some("refresh_token") => self.refresh(now, form.get("refresh_token").map_or("", String::as_str), hard),
            _ => refuse("unsupported_grant_type"),
        }
    }

    fn redeem(&mut self, now: Timestamp, form: &BTreeMap<String, String>, hard: bool) -> FakeResponse {
        let text = |key: &str| form.get(key).map_or("", String::as_str);
        let Some(code) = self.tokens.codes.remove(text("code")) else { return refuse("invalid_grant") };
        if code.redirect != text("redirect_uri") || now.duration_since(code.at) > CODE_LIFE {
            return refuse("invalid_grant");
        }
        let number = self.grant(&code.realm, code.scopes, now);
        self.issue(number, now, hard)
    }

    /// A new consent, and its number.
    pub(super) fn grant(&mut self, realm: &str, scopes: Vec<String>, now: Timestamp) -> usize {
        if let Some(company) = self.companies.get_mut(realm) {
            company.connected = true;
        }
        let grant = Grant {
            realm: realm.to_owned(),
            scopes,
            refresh: String::new(),
            changed: now,
            consented: now,
            last_used: now,
            dead: false,
        };
        self.tokens.grants.push(grant);
        self.tokens.grants.len() - 1
    }

    /// A refresh token is good once: the answer's is the only one from here on.
    fn refresh(&mut self, now: Timestamp, token: &str, hard: bool) -> FakeResponse {
        self.tokens.refreshes += 1;
        *self.tokens.sent.entry(token.to_owned()).or_default() += 1;
        let number = self.tokens.current.get(token).copied();
        let Some((number, grant)) = number.and_then(|n| Some((n, self.tokens.grants.get_mut(n)?))) else {
            self.tokens.refused += 1;
            return refuse("invalid_grant");
        };
        let idle = now.duration_since(grant.last_used).as_secs() > IDLE_S;
        if grant.dead || idle || now.duration_since(grant.consented).as_secs() > HARD_S {
            grant.dead = true;
            self.tokens.refused += 1;
            return refuse("invalid_grant");
        }
        grant.last_used = now;
        self.issue(number, now, hard)
    }

    /// A new pair. `hard`: the caller asked to see the end that no use puts off.
    pub(super) fn issue(&mut self, number: usize, now: Timestamp, hard: bool) -> FakeResponse {
        let (access, mut refresh) = (self.tokens.make("eyJ"), self.tokens.make("AB11"));
        self.tokens.issued += 1;
        let client = self.app.client_id.clone();
        let Some(grant) = self.tokens.grants.get_mut(number) else { return refuse("invalid_grant") };
        if self.app.daily
            && !grant.refresh.is_empty()
            && now.duration_since(grant.changed) < SignedDuration::from_hours(24)
        {
            refresh.clone_from(&grant.refresh);
        } else {
            grant.changed = now;
        }
        self.tokens.current.remove(&grant.refresh);
        self.tokens.current.insert(refresh.clone(), number);
        grant.refresh.clone_from(&refresh);
        let ends_in = HARD_S - now.duration_since(grant.consented).as_secs();
        let mut answer = json!({"token_type": "bearer", "access_token": access, "refresh_token": refresh,
            "expires_in": ACCESS_LIFE_S, "x_refresh_token_expires_in": IDLE_S.min(ends_in)});
        if hard {
            answer = with(answer, "x_refresh_token_hard_expires_in", json!(ends_in));
        }
        if grant.scopes.iter().any(|s| s == "openid") {
            // Signed by nobody: a sandbox has no key that anybody should trust.
            let part = |v: &Value| URL_SAFE_NO_PAD.encode(v.to_string());
            let claims = json!({"sub": hash(&["person", "1"]), "aud": [client], "realmid": grant.realm,
                "iss": "https://oauth.platform.intuit.com/op/v1", "iat": now.as_second(), "exp": now.as_second() + 3600});
            let token = format!("{}.{}.c2FuZGJveA", part(&json!({"alg": "RS256", "typ": "JWT"})), part(&claims));
            answer = with(answer, "id_token", json!(token));
        }
        self.tokens.access.retain(|_, a| now.duration_since(a.expires) < SignedDuration::from_hours(24));
        self.tokens.access.insert(access, Access { grant: number, expires: after(now, ACCESS_LIFE_S) });
        FakeResponse::json(200, &answer).header("cache-control", "no-store")
    }

    pub(super) fn revoke(&mut self, request: &FakeRequest) -> FakeResponse {
        let form = form(request).unwrap_or_default();
        if !self.client_ok(request, &form) {
            return refuse("invalid_client");
        }
        let token = form.get("token").cloned().or_else(|| Some(request.json().get("token")?.as_str()?.to_owned()));
        let token = token.unwrap_or_default();
        let number = self.tokens.current.get(&token).copied();
        let number = number.or_else(|| self.tokens.access.get(&token).map(|a| a.grant));
        match number.and_then(|n| self.tokens.grants.get_mut(n)) {
            Some(grant) => {
                grant.dead = true;
                FakeResponse::new(200)
            }
            None => refuse("invalid_grant"),
        }
    }

    /// The company of a good access token.
    pub(super) fn bearer(&self, now: Timestamp, request: &FakeRequest) -> Result<String, FakeResponse> {
        let token = request.header("authorization").and_then(|h| h.strip_prefix("Bearer "));
        let access = token.and_then(|t| self.tokens.access.get(t)).filter(|a| now < a.expires);
        let grant = access.and_then(|a| self.tokens.grants.get(a.grant)).filter(|g| !g.dead);
        let grant = grant.ok_or_else(answers::unauthorised)?;
        if !grant.scopes.iter().any(|s| s == ACCOUNTING) {
            return Err(answers::gateway(403, "ApplicationAuthorizationFailed", "3100", "AUTHORIZATION"));
        }
        Ok(grant.realm.clone())
    }

    /// Every access token ends now.
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.tokens.access.values_mut().for_each(|a| a.expires = a.expires.min(now));
    }

    /// Kills the sign-ins of one company, or all. How many there were.
    pub(super) fn kill(&mut self, realm: Option<&str>) -> usize {
        let hit = |g: &&mut Grant| !g.dead && realm.is_none_or(|r| g.realm == r);
        self.tokens.grants.iter_mut().filter(hit).map(|g| g.dead = true).count()
    }
}

fn with(mut object: Value, key: &str, value: Value) -> Value {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
    object
}
