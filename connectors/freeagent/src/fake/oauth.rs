//! Sign-in: consent, codes, refresh tokens that each refresh replaces.

use std::collections::BTreeMap;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::{SignedDuration, Timestamp};
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;

use super::{Fake, answers};

const CODE_LIFE: SignedDuration = SignedDuration::from_mins(15);
const ACCESS_LIFE_S: i64 = 3_600;
/// About 20 years, as in the vendor's example.
const REFRESH_LIFE_S: i64 = 631_151_957;
const REFRESHES_PER_MINUTE: u32 = 15;

#[derive(Deserialize, Serialize)]
struct Code {
    manager: u64,
    redirect: String,
    at: Timestamp,
}

/// One consent.
#[derive(Deserialize, Serialize)]
struct Grant {
    manager: u64,
    /// The one refresh token that is good.
    refresh: String,
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
        let last = now.saturating_add(SignedDuration::from_secs(ACCESS_LIFE_S)).unwrap_or(now);
        self.access.values_mut().for_each(|a| a.expires = a.expires.min(last));
    }

    /// Unguessable enough for a sandbox, and the same in every run.
    fn make(&mut self, what: &str) -> String {
        self.made += 1;
        format!("1_{}", URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{what} {}", self.made))))
    }

    pub fn expire(&mut self, now: Timestamp) {
        self.access.values_mut().for_each(|a| a.expires = a.expires.min(now));
    }

    /// Kills the sign-ins of one person, or all. How many there were.
    pub fn kill(&mut self, manager: Option<u64>) -> usize {
        let hit = |g: &&mut Grant| !g.dead && manager.is_none_or(|m| g.manager == m);
        self.grants.iter_mut().filter(hit).map(|g| g.dead = true).count()
    }
}

fn refuse(status: u16, error: &str) -> FakeResponse {
    FakeResponse::json(status, &json!({"error": error}))
}

fn is_loopback(redirect: &Url) -> bool {
    redirect.scheme() == "http" && matches!(redirect.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"))
}

impl Fake {
    /// The consent page. The person behind it agrees at once.
    pub(super) fn approve(&mut self, now: Timestamp, request: &FakeRequest) -> FakeResponse {
        let page = |error: &str| {
            FakeResponse::new(400).header("content-type", "text/html").body(format!("<html><h1>Sorry</h1>{error}"))
        };
        if request.query("client_id") != Some(self.app.client_id.as_str()) {
            return page("Unknown app");
        }
        let Some(redirect) = request.query("redirect_uri") else { return page("redirect_uri is missing") };
        let Ok(mut back) = Url::parse(redirect) else { return page("redirect_uri is no address") };
        if !is_loopback(&back) && !self.app.redirects.iter().any(|r| r == redirect) {
            return page("redirect_uri is not registered");
        }
        if request.query("response_type") == Some("code") {
            let code = self.tokens.make("code");
            let given = Code { manager: self.signing_in, redirect: redirect.to_owned(), at: now };
            self.tokens.codes.insert(code.clone(), given);
            back.query_pairs_mut().append_pair("code", &code);
        } else {
            back.query_pairs_mut().append_pair("error", "unsupported_response_type");
        }
        if let Some(state) = request.query("state") {
            back.query_pairs_mut().append_pair("state", state);
        }
        FakeResponse::new(302).header("location", back.as_str())
    }

    /// HTTP Basic with id and secret; RFC 6749 2.3.1: both are form-encoded first.
    fn client_ok(&self, request: &FakeRequest) -> bool {
        let sent = request.header("authorization").and_then(|h| h.strip_prefix("Basic "));
        let plain = sent.and_then(|b| STANDARD.decode(b).ok()).and_then(|b| String::from_utf8(b).ok());
        let decode =
            |t: &str| url::form_urlencoded::parse(format!("x={t}").as_bytes()).next().map(|(_, v)| v.into_owned());
        plain.and_then(|p| {
            let (id, word) = p.split_once(':')?;
            Some(decode(id)? == self.app.client_id && decode(word)? == self.app.client_secret)
        }) == Some(true)
    }

    pub(super) fn token(&mut self, now: Timestamp, request: &FakeRequest) -> FakeResponse {
        if !request.header("content-type").is_some_and(|t| t.starts_with("application/x-www-form-urlencoded")) {
            return refuse(400, "invalid_request");
        }
        if !self.client_ok(request) {
            return refuse(401, "invalid_client");
        }
        let form = request.form();
        let text = |key: &str| form.get(key).map_or("", String::as_str);
        match text("grant_type") {
            "authorization_code" => {
                let Some(code) = self.tokens.codes.remove(text("code")) else { return refuse(400, "invalid_grant") };
                if code.redirect != text("redirect_uri") || now.duration_since(code.at) > CODE_LIFE {
                    return refuse(400, "invalid_grant");
                }
                let grant = self.grant(code.manager);
                self.issue(grant, now)
            }
            "refresh_token" => self.refresh(now, text("refresh_token")),
            "" => refuse(400, "invalid_request"),
            _ => refuse(400, "unsupported_grant_type"),
        }
    }

    fn refresh(&mut self, now: Timestamp, token: &str) -> FakeResponse {
        if let Some(wait) = self.refreshes.full(now.as_second(), 60, REFRESHES_PER_MINUTE) {
            self.limited += 1;
            return self.slow_down(wait);
        }
        self.refreshes.calls += 1;
        self.tokens.refreshes += 1;
        let found = self.tokens.grants.iter().position(|g| !g.dead && !token.is_empty() && g.refresh == token);
        match found {
            Some(grant) => self.issue(grant, now),
            None => refuse(400, "invalid_grant"),
        }
    }

    /// A new consent, and its number.
    pub(super) fn grant(&mut self, manager: u64) -> usize {
        self.tokens.grants.push(Grant { manager, refresh: String::new(), dead: false });
        self.tokens.grants.len() - 1
    }

    /// A new pair. The refresh token that it replaces is good for nothing from here on.
    pub(super) fn issue(&mut self, number: usize, now: Timestamp) -> FakeResponse {
        let (access, refresh) = (self.tokens.make("access"), self.tokens.make("refresh"));
        let Some(grant) = self.tokens.grants.get_mut(number) else { return refuse(400, "invalid_grant") };
        grant.refresh.clone_from(&refresh);
        let expires = now.saturating_add(SignedDuration::from_secs(ACCESS_LIFE_S)).unwrap_or(now);
        self.tokens.access.retain(|_, a| now.duration_since(a.expires) < SignedDuration::from_hours(24));
        self.tokens.access.insert(access.clone(), Access { grant: number, expires });
        FakeResponse::json(
            200,
            &json!({"access_token": access, "token_type": "bearer", "expires_in": ACCESS_LIFE_S,
                "refresh_token": refresh, "refresh_token_expires_in": REFRESH_LIFE_S}),
        )
        .header("cache-control", "no-store")
    }

    /// The account manager behind a request's bearer token.
    pub(super) fn bearer(&self, now: Timestamp, request: &FakeRequest) -> Result<u64, FakeResponse> {
        let token = request.header("authorization").and_then(|h| h.strip_prefix("Bearer ")).unwrap_or_default();
        let access = self.tokens.access.get(token).filter(|a| a.expires > now);
        let grant = access.and_then(|a| self.tokens.grants.get(a.grant)).filter(|g| !g.dead);
        grant.map(|g| g.manager).ok_or_else(answers::unauthorised)
    }
}
