//! Sign-in by Microsoft Entra: consent, codes with PKCE, refresh tokens that stay good when they are used.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;

use super::{Fake, error, world::guid};

const CODE_LIFE: SignedDuration = SignedDuration::from_mins(10);
const ACCESS_LIFE_S: i64 = 3_600;
const IDLE: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Who acts, where it is no person.
pub const APP: &str = "the app itself";
const SCOPES: &[&str] =
    &["openid", "profile", "email", "offline_access", "https://api.businesscentral.dynamics.com/.default"];

#[derive(Deserialize, Serialize)]
struct Code {
    login: String,
    redirect: String,
    challenge: Option<String>,
    scope: String,
    at: Timestamp,
}

#[derive(Clone, Deserialize, Serialize)]
struct Refresh {
    login: String,
    scope: String,
    used: Timestamp,
}

#[derive(Default, Deserialize, Serialize)]
pub struct Tokens {
    codes: BTreeMap<String, Code>,
    refresh: BTreeMap<String, Refresh>,
    access: BTreeMap<String, (String, Timestamp)>,
    made: u64,
}

impl Tokens {
    /// The clock begins: what was given out before it did is as old as it.
    pub fn start(&mut self, now: Timestamp) {
        let last = now.saturating_add(SignedDuration::from_secs(ACCESS_LIFE_S)).unwrap_or(now);
        self.access.values_mut().for_each(|a| a.1 = a.1.min(last));
        self.refresh.values_mut().for_each(|r| r.used = r.used.min(now));
    }

    fn make(&mut self, what: &str) -> String {
        self.made += 1;
        URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{what} {}", self.made)))
    }

    pub fn kill(&mut self) -> usize {
        let sign_ins = self.refresh.len();
        self.refresh.clear();
        self.access.clear();
        sign_ins
    }
}

fn refuse(error: &str) -> FakeResponse {
    let status = if error == "invalid_client" { 401 } else { 400 };
    FakeResponse::json(status, &json!({"error": error, "error_description": "AADSTS: refused", "error_codes": [0]}))
}

impl Fake {
    /// The consent page. The first administrator agrees at once.
    pub(super) fn authorize(&mut self, now: Timestamp, request: &FakeRequest) -> FakeResponse {
        let page = |error: &str| {
            FakeResponse::new(400).header("content-type", "text/html").body(format!("<html><h1>Sorry</h1>{error}"))
        };
        if request.query("client_id") != Some(self.world.app.client_id.as_str()) {
            return page("AADSTS700016: the application was not found");
        }
        let Some(redirect) = request.query("redirect_uri") else { return page("redirect_uri is missing") };
        let Ok(mut back) = Url::parse(redirect) else { return page("redirect_uri is no address") };
        let loopback = back.scheme() == "http" && matches!(back.host_str(), Some("127.0.0.1" | "localhost"));
        if !loopback && !self.world.app.redirects.iter().any(|r| r == redirect) {
            return page("AADSTS50011: the redirect URI is not registered");
        }
        let scope = request.query("scope").unwrap_or_default().to_owned();
        let challenge = request.query("code_challenge").map(str::to_owned);
        let s256 = challenge.is_none() || request.query("code_challenge_method") == Some("S256");
        let known = !scope.is_empty() && scope.split_whitespace().all(|s| SCOPES.contains(&s));
        match () {
            () if request.query("response_type") != Some("code") || !s256 => {
                back.query_pairs_mut().append_pair("error", "invalid_request");
            }
            () if !known => {
                back.query_pairs_mut().append_pair("error", "invalid_scope");
            }
            () => {
                let login = self.world.administrators.first().cloned().unwrap_or_default();
                let code = self.tokens.make("code");
                let given = Code { login, redirect: redirect.to_owned(), challenge, scope, at: now };
                self.tokens.codes.insert(code.clone(), given);
                back.query_pairs_mut().append_pair("code", &code);
            }
        }
        if let Some(state) = request.query("state") {
            back.query_pairs_mut().append_pair("state", state);
        }
        FakeResponse::new(302).header("location", back.as_str())
    }

    pub(super) fn token(&mut self, now: Timestamp, request: &FakeRequest) -> FakeResponse {
        if !request.header("content-type").is_some_and(|t| t.starts_with("application/x-www-form-urlencoded")) {
            return refuse("invalid_request");
        }
        let form = request.form();
        let text = |key: &str| form.get(key).map_or("", String::as_str);
        if text("client_id") != self.world.app.client_id || text("client_secret") != self.world.app.client_secret {
            return refuse("invalid_client");
        }
        match text("grant_type") {
            "authorization_code" => {
                let Some(code) = self.tokens.codes.remove(text("code")) else { return refuse("invalid_grant") };
                let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(text("code_verifier")));
                let proven = code.challenge.as_ref().is_none_or(|c| *c == proof);
                if !proven || code.redirect != text("redirect_uri") || now.duration_since(code.at) > CODE_LIFE {
                    return refuse("invalid_grant");
                }
                self.issue(&code.login, &code.scope, now)
            }
            "refresh_token" => {
                let found = self.tokens.refresh.get_mut(text("refresh_token"));
                let Some(held) = found.filter(|r| now.duration_since(r.used) <= IDLE) else {
                    return refuse("invalid_grant");
                };
                held.used = now;
                let held = held.clone();
                self.issue(&held.login, &held.scope, now)
            }
            "client_credentials" => self.app_token(&request.path, text("scope"), now),
            _ => refuse("unsupported_grant_type"),
        }
    }

    /// The app itself, of one tenant; no refresh token.
    fn app_token(&mut self, path: &str, scope: &str, now: Timestamp) -> FakeResponse {
        if ["/common/", "/organizations/", "/consumers/"].iter().any(|any| path.starts_with(any)) {
            return refuse("invalid_request");
        }
        if scope != "https://api.businesscentral.dynamics.com/.default" {
            return refuse("invalid_scope");
        }
        let access = self.tokens.make("access");
        let ends = now.saturating_add(SignedDuration::from_secs(ACCESS_LIFE_S)).unwrap_or(now);
        self.tokens.access.insert(access.clone(), (APP.to_owned(), ends));
        let answer = json!({"token_type": "Bearer", "expires_in": ACCESS_LIFE_S, "ext_expires_in": ACCESS_LIFE_S,
            "access_token": access});
        FakeResponse::json(200, &answer)
    }

    /// New tokens. Those before stay good.
    pub(super) fn issue(&mut self, login: &str, scope: &str, now: Timestamp) -> FakeResponse {
        let (access, refresh) = (self.tokens.make("access"), self.tokens.make("refresh"));
        let ends = now.saturating_add(SignedDuration::from_secs(ACCESS_LIFE_S)).unwrap_or(now);
        self.tokens.access.insert(access.clone(), (login.to_owned(), ends));
        let mut answer = json!({"token_type": "Bearer", "scope": scope, "expires_in": ACCESS_LIFE_S,
            "ext_expires_in": ACCESS_LIFE_S, "access_token": access});
        let has = |wanted: &str| scope.split_whitespace().any(|s| s == wanted);
        let mut add = |key: &str, value: String| {
            if let Some(map) = answer.as_object_mut() {
                map.insert(key.to_owned(), json!(value));
            }
        };
        if has("offline_access") {
            let held = Refresh { login: login.to_owned(), scope: scope.to_owned(), used: now };
            self.tokens.refresh.insert(refresh.clone(), held);
            add("refresh_token", refresh);
        }
        if has("openid") {
            let part = |v: &serde_json::Value| URL_SAFE_NO_PAD.encode(v.to_string());
            let claims = json!({"aud": self.world.app.client_id, "sub": guid(&["subject", login]), "email": login});
            // Signed by nobody: a sandbox has no key that anybody should trust.
            add("id_token", format!("{}.{}.c2FuZGJveA", part(&json!({"alg": "RS256"})), part(&claims)));
        }
        FakeResponse::json(200, &answer)
    }

    /// Whose bearer token a request has.
    pub(super) fn bearer(&self, now: Timestamp, request: &FakeRequest) -> Result<String, FakeResponse> {
        let token = request.header("authorization").and_then(|h| h.strip_prefix("Bearer ")).unwrap_or_default();
        let held = self.tokens.access.get(token).filter(|(_, ends)| *ends > now);
        // An app that is not entered in Business Central is nobody there.
        let held = held.filter(|(login, _)| login != APP || self.world.app.entered);
        held.map(|(login, _)| login.clone()).ok_or_else(|| {
            error(401, "Authentication_InvalidCredentials").header("www-authenticate", "Bearer error=\"invalid_token\"")
        })
    }
}
