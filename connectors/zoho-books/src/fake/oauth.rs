//! Zoho's sign-in: refusals come as 200, refresh tokens stay good, and the twenty-first ends the first.

use std::collections::BTreeMap;

use base64::{
    Engine,
    engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD},
};
use jiff::{SignedDuration, Timestamp};
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::{Fake, refused, world::id_of};

const CODE_LIFE: SignedDuration = SignedDuration::from_mins(2);
const ACCESS_LIFE_S: i64 = 3600;
/// Refresh tokens of one user for one app.
const REFRESH_MAX: usize = 20;
/// Access tokens that one refresh token gives in ten minutes.
const RENEWALS_MAX: usize = 10;
const RENEWALS_WITHIN: SignedDuration = SignedDuration::from_mins(10);

const SCOPES: &[&str] =
    &["ZohoBooks.settings.READ", "ZohoBooks.banking.READ", "ZohoBooks.reports.READ", "email", "profile"];

/// A code that was given out and not yet used.
#[derive(Deserialize, Serialize)]
struct Code {
    user: String,
    redirect: String,
    scopes: Vec<String>,
    challenge: Option<String>,
    offline: bool,
    at: Timestamp,
}

/// One consent: an authorising user and an app.
#[derive(Deserialize, Serialize)]
struct Grant {
    user: String,
    scopes: Vec<String>,
    refresh: Option<String>,
    renewed: Vec<Timestamp>,
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
    access: BTreeMap<String, Access>,
    made: u64,
    pub refreshes: u64,
}

impl Tokens {
    /// The clock begins: what was given out before it did is as old as it.
    pub fn start(&mut self, now: Timestamp) {
        let last = later(now);
        self.access.values_mut().for_each(|a| a.expires = a.expires.min(last));
    }

    /// Unguessable enough for a sandbox, and the same in every run.
    fn make(&mut self, what: &str) -> String {
        self.made += 1;
        format!("1000.{}", URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{what} {}", self.made))))
    }
}

fn later(now: Timestamp) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(ACCESS_LIFE_S)).unwrap_or(now)
}

/// Signed by nobody: a sandbox has no key that anybody should trust. Zoho pads its base64, so this does too.
fn id_token(user: &str, app: &str, now: Timestamp) -> String {
    let claims = json!({"iss": "accounts.zoho.com", "aud": app, "sub": id_of(&["login", user]), "email": user,
        "email_verified": true, "iat": now.as_second(), "exp": now.as_second() + ACCESS_LIFE_S});
    let part = |v: &Value| URL_SAFE.encode(v.to_string());
    format!("{}.{}.c2FuZGJveA==", part(&json!({"alg": "RS256", "typ": "JWS"})), part(&claims))
}

/// Zoho's token endpoint refuses with 200.
fn refuse(error: &str) -> FakeResponse {
    FakeResponse::json(200, &json!({"error": error}))
}

fn is_loopback(redirect: &str) -> bool {
    let host = Url::parse(redirect).ok().filter(|u| u.scheme() == "http").and_then(|u| u.host_str().map(str::to_owned));
    host.is_some_and(|h| matches!(h.as_str(), "127.0.0.1" | "localhost" | "[::1]"))
}

fn form(request: &FakeRequest) -> Option<BTreeMap<String, String>> {
    let typed = request.header("content-type").is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    typed.then(|| request.form())
}

impl Fake {
    /// The consent page. The person behind it agrees at once.
    pub(super) fn authorize(&mut self, now: Timestamp, request: &FakeRequest) -> FakeResponse {
        let page = |error: &str| {
            FakeResponse::new(400).header("content-type", "text/html").body(format!("<html><h1>Error</h1>{error}"))
        };
        if request.query("client_id") != Some(self.world.app.client_id.as_str()) {
            return page("Invalid Client Id");
        }
        let redirect = request.query("redirect_uri").unwrap_or_default();
        if !is_loopback(redirect) && !self.world.app.redirects.iter().any(|r| r == redirect) {
            return page("Invalid Redirect Uri");
        }
        let Ok(mut back) = Url::parse(redirect) else { return page("Invalid Redirect Uri") };
        // By commas. A blank is part of a scope's name, so it makes one that is not there.
        let scopes: Vec<String> = request.query("scope").unwrap_or_default().split(',').map(str::to_owned).collect();
        if request.query("response_type") != Some("code") || !scopes.iter().all(|s| SCOPES.contains(&s.as_str())) {
            return page("Invalid OAuth Scope");
        }
        let code = self.tokens.make("code");
        // A second consent gives a refresh token only where consent was asked for anew.
        let again = self.tokens.grants.iter().any(|g| g.user == self.signing_in && !g.dead);
        let offline =
            request.query("access_type") == Some("offline") && (!again || request.query("prompt") == Some("consent"));
        let challenge = request.query("code_challenge").map(str::to_owned);
        let user = self.signing_in.clone();
        let given = Code { user, redirect: redirect.to_owned(), scopes, challenge, offline, at: now };
        self.tokens.codes.insert(code.clone(), given);
        let mut pairs = back.query_pairs_mut();
        if let Some(state) = request.query("state") {
            pairs.append_pair("state", state);
        }
        pairs.append_pair("code", &code).append_pair("location", "us");
        pairs.append_pair("accounts-server", "https://accounts.zoho.com");
        drop(pairs);
        FakeResponse::new(302).header("location", back.as_str())
    }

    pub(super) fn token(&mut self, now: Timestamp, request: &FakeRequest) -> FakeResponse {
        let Some(form) = form(request) else { return refuse("invalid_request") };
        let text = |key: &str| form.get(key).map_or("", String::as_str);
        if text("client_id") != self.world.app.client_id {
            return refuse("invalid_client");
        }
        if text("client_secret") != self.world.app.client_secret {
            return refuse("invalid_client_secret");
        }
        match text("grant_type") {
            "authorization_code" => self.redeem(now, text("code"), text("redirect_uri"), text("code_verifier")),
            "refresh_token" => self.refresh(now, text("refresh_token")),
            _ => refuse("invalid_grant_type"),
        }
    }

    fn redeem(&mut self, now: Timestamp, code: &str, redirect: &str, verifier: &str) -> FakeResponse {
        let Some(code) = self.tokens.codes.remove(code) else { return refuse("invalid_code") };
        let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        if code.challenge.is_some_and(|c| c != proof) || now.duration_since(code.at) > CODE_LIFE {
            return refuse("invalid_code");
        }
        if code.redirect != redirect {
            return refuse("invalid_redirect_uri");
        }
        let number = self.grant(&code.user, code.scopes, code.offline);
        self.issue(number, now, code.offline)
    }

    /// A new consent, and its number. Silently ends the oldest where there are too many.
    fn grant(&mut self, user: &str, scopes: Vec<String>, offline: bool) -> usize {
        let refresh = offline.then(|| self.tokens.make("refresh"));
        let user = user.to_owned();
        self.tokens.grants.push(Grant { user: user.clone(), scopes, refresh, renewed: Vec::new(), dead: false });
        let mine = |g: &&mut Grant| g.user == user && !g.dead && g.refresh.is_some();
        let count = self.tokens.grants.iter_mut().filter(mine).count();
        let oldest = self.tokens.grants.iter_mut().filter(mine).take(count.saturating_sub(REFRESH_MAX));
        oldest.for_each(|g| g.dead = true);
        self.tokens.grants.len() - 1
    }

    fn refresh(&mut self, now: Timestamp, token: &str) -> FakeResponse {
        self.tokens.refreshes += 1;
        let hit = |g: &Grant| !g.dead && !token.is_empty() && g.refresh.as_deref() == Some(token);
        let Some(number) = self.tokens.grants.iter().position(hit) else { return refuse("invalid_code") };
        if let Some(grant) = self.tokens.grants.get_mut(number) {
            grant.renewed.retain(|t| now.duration_since(*t) < RENEWALS_WITHIN);
            if grant.renewed.len() >= RENEWALS_MAX {
                let words = "You have made too many requests continuously. Please try again after some time.";
                let body = json!({"error": "Access Denied", "error_description": words, "status": "failure"});
                return FakeResponse::json(400, &body);
            }
            grant.renewed.push(now);
        }
        self.issue(number, now, false)
    }

    /// A new access token; the refresh token only with the first.
    fn issue(&mut self, number: usize, now: Timestamp, first: bool) -> FakeResponse {
        let access = self.tokens.make("access");
        let Some(grant) = self.tokens.grants.get(number) else { return refuse("invalid_code") };
        let mut answer = json!({"access_token": access, "scope": grant.scopes.join(","),
            "api_domain": "https://www.zohoapis.com", "token_type": "Bearer", "expires_in": ACCESS_LIFE_S});
        if let (Some(map), Some(refresh)) = (answer.as_object_mut(), grant.refresh.as_ref().filter(|_| first)) {
            map.insert("refresh_token".to_owned(), json!(refresh));
        }
        if let (Some(map), true) = (answer.as_object_mut(), grant.scopes.iter().any(|s| s == "email")) {
            map.insert("id_token".to_owned(), json!(id_token(&grant.user, &self.world.app.client_id, now)));
        }
        self.tokens.access.retain(|_, a| now.duration_since(a.expires) < SignedDuration::from_hours(24));
        self.tokens.access.insert(access, Access { grant: number, expires: later(now) });
        FakeResponse::json(200, &answer)
    }

    pub(super) fn revoke(&mut self, request: &FakeRequest) -> FakeResponse {
        let token =
            form(request).and_then(|f| f.get("token").cloned()).or_else(|| request.query("token").map(str::to_owned));
        let grant = self.tokens.grants.iter_mut().find(|g| !g.dead && g.refresh.is_some() && g.refresh == token);
        let Some(grant) = grant else { return FakeResponse::json(200, &json!({"status": "failure"})) };
        grant.dead = true;
        FakeResponse::json(200, &json!({"status": "success"}))
    }

    /// Whose access token this is. The header has Zoho's own word before the token.
    pub(super) fn bearer(&self, now: Timestamp, request: &FakeRequest) -> Result<String, FakeResponse> {
        let invalid = || refused(401, 14, "Invalid value passed for authtoken.");
        let sent = request.header("authorization").and_then(|h| h.strip_prefix("Zoho-oauthtoken "));
        let access = self.tokens.access.get(sent.unwrap_or_default()).filter(|a| a.expires > now);
        let grant = access.and_then(|a| self.tokens.grants.get(a.grant)).filter(|g| !g.dead).ok_or_else(invalid)?;
        if grant.scopes.iter().any(|s| s == "ZohoBooks.settings.READ") {
            return Ok(grant.user.clone());
        }
        Err(super::not_authorised())
    }

    /// Kills the sign-ins of one person, or all. How many there were.
    pub(super) fn kill(&mut self, user: Option<&str>) -> usize {
        let hit = |g: &&mut Grant| !g.dead && user.is_none_or(|u| g.user == u);
        self.tokens.grants.iter_mut().filter(hit).map(|g| g.dead = true).count()
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        self.tokens.access.values_mut().for_each(|a| a.expires = a.expires.min(now));
    }

    /// A sign-in without the consent page, for tests.
    pub(super) fn hand_out(&mut self, user: &str, scopes: &str, now: Timestamp) -> Result<Value, String> {
        let scopes = scopes.split(',').map(str::to_owned).collect();
        let number = self.grant(user, scopes, true);
        serde_json::from_slice(&self.issue(number, now, true).body).map_err(|e| e.to_string())
    }
}
