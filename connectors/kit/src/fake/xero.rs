//! Xero's identity service, behind which all of Xero's APIs stand: consent, codes, rotation of refresh tokens with its grace,
//! revocation. A fake of one of the APIs implements [`Identity`].

pub mod limits;

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use super::{FakeRequest, FakeResponse, id_of};

const CODE_LIFE: SignedDuration = SignedDuration::from_mins(5);
const ACCESS_LIFE_S: i64 = 1800;
const GRACE: SignedDuration = SignedDuration::from_mins(30);
const IDLE: SignedDuration = SignedDuration::from_hours(60 * 24);

/// A code that was given out and not yet used.
#[derive(Deserialize, Serialize)]
pub struct Code {
    user: String,
    redirect: String,
    scopes: Vec<String>,
    challenge: Option<String>,
    at: Timestamp,
}

/// One consent: an authorising user and an app.
#[derive(Deserialize, Serialize)]
pub struct Grant {
    pub user: String,
    pub scopes: Vec<String>,
    refresh: Option<String>,
    /// The refresh token before this one, and when it was replaced.
    previous: Option<(String, Timestamp)>,
    last_used: Timestamp,
    pub dead: bool,
}

#[derive(Deserialize, Serialize)]
pub struct Access {
    /// Number of the grant.
    pub grant: usize,
    pub expires: Timestamp,
}

#[derive(Default, Deserialize, Serialize)]
pub struct Tokens {
    codes: BTreeMap<String, Code>,
    pub grants: Vec<Grant>,
    pub access: BTreeMap<String, Access>,
    made: u64,
    pub issued: u64,
    pub refreshes: u64,
}

impl Tokens {
    /// The clock begins: what was given out before it did is as old as it.
    pub fn start(&mut self, now: Timestamp) {
        let last = now.saturating_add(SignedDuration::from_secs(ACCESS_LIFE_S)).unwrap_or(now);
        self.access.values_mut().for_each(|a| a.expires = a.expires.min(last));
        self.grants.iter_mut().for_each(|g| g.last_used = g.last_used.min(now));
    }

    /// Unguessable enough for a sandbox, and the same in every run.
    fn make(&mut self, what: &str) -> String {
        self.made += 1;
        URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{what} {}", self.made)))
    }
}

/// An app that is registered with Xero.
#[derive(Clone, Copy)]
pub struct App<'a> {
    pub id: &'a str,
    /// Absent for a PKCE app, which has none.
    pub secret: Option<&'a str>,
    /// Beside loopback addresses, which are always allowed.
    pub redirects: &'a [String],
}

/// Somebody with a Xero login.
pub struct Person {
    pub id: Uuid,
    pub first: String,
    pub last: String,
}

fn refuse(error: &str) -> FakeResponse {
    FakeResponse::json(400, &json!({"error": error}))
}

fn is_loopback(redirect: &str) -> bool {
    let host = Url::parse(redirect).ok().filter(|u| u.scheme() == "http").and_then(|u| u.host_str().map(str::to_owned));
    host.is_some_and(|h| matches!(h.as_str(), "127.0.0.1" | "localhost" | "[::1]"))
}

fn form(request: &FakeRequest) -> Option<BTreeMap<String, String>> {
    let typed = request.header("content-type").is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    typed.then(|| request.form())
}

/// What a fake of one of Xero's APIs adds to sign-in: its app, its people, and what a consent connects them to.
pub trait Identity {
    fn tokens(&self) -> &Tokens;
    fn tokens_mut(&mut self) -> &mut Tokens;
    fn app(&self) -> App<'_>;
    /// Whether the app may ask for this scope.
    fn knows(&self, scope: &str) -> bool;
    /// Whom the next consent is given by.
    fn signing_in(&self) -> &str;
    fn person(&self, user: &str) -> Person;
    /// Connects every tenant that this person may connect.
    fn connect(&mut self, user: &str, now: Timestamp);
    fn disconnect(&mut self, user: &str);
    /// The gateway's 401.
    fn unauthorised(&self, detail: &str) -> FakeResponse;

    /// The consent page. The person behind it agrees at once and connects every tenant they may.
    fn authorize(&mut self, now: Timestamp, request: &FakeRequest) -> FakeResponse {
        let page = |error: &str| {
            FakeResponse::new(400).header("content-type", "text/html").body(format!("<html><h1>Sorry</h1>{error}"))
        };
        if request.query("client_id") != Some(self.app().id) {
            return page("unauthorized_client");
        }
        let Some(redirect) = request.query("redirect_uri") else { return page("invalid_request: redirect_uri") };
        if !is_loopback(redirect) && !self.app().redirects.iter().any(|r| r == redirect) {
            return page("invalid_request: invalid redirect_uri");
        }
        let Ok(mut back) = Url::parse(redirect) else { return page("invalid_request: redirect_uri") };
        let scopes: Vec<String> =
            request.query("scope").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        let challenge = request.query("code_challenge").map(str::to_owned);
        let s256 = request.query("code_challenge_method") == Some("S256")
            && challenge.as_ref().is_some_and(|c| URL_SAFE_NO_PAD.decode(c).is_ok_and(|b| b.len() == 32));
        let error = match () {
            () if request.query("response_type") != Some("code") => Some("unsupported_response_type"),
            () if scopes.is_empty() || !scopes.iter().all(|s| self.knows(s)) => Some("invalid_scope"),
            () if request.query("state").is_none_or(str::is_empty) => Some("invalid_request"),
            () if challenge.is_some() && !s256 => Some("invalid_request"),
            // An app without a secret has nothing else to prove itself with.
            () if challenge.is_none() && self.app().secret.is_none() => Some("invalid_request"),
            () => None,
        };
        match error {
            Some(error) => {
                back.query_pairs_mut().append_pair("error", error);
            }
            None => {
                let code = self.tokens_mut().make("code");
                let user = self.signing_in().to_owned();
                self.connect(&user, now);
                let given = Code { user, redirect: redirect.to_owned(), scopes: scopes.clone(), challenge, at: now };
                self.tokens_mut().codes.insert(code.clone(), given);
                back.query_pairs_mut().append_pair("code", &code).append_pair("scope", &scopes.join(" "));
            }
        }
        if let Some(state) = request.query("state") {
            back.query_pairs_mut().append_pair("state", state);
        }
        FakeResponse::new(302).header("location", back.as_str())
    }

    /// Which app a token request proves to be. With a secret: Basic, or both in the body, as Xero's own Python client
    /// sends them. Without one: the bare id in the body.
    fn client_ok(&self, request: &FakeRequest, form: &BTreeMap<String, String>) -> bool {
        let App { id, secret, .. } = self.app();
        let is = |key: &str, word: &str| form.get(key).is_some_and(|v| v == word);
        match secret {
            Some(secret) if request.header("authorization").is_none() => {
                is("client_id", id) && is("client_secret", secret)
            }
            Some(secret) => {
                let sent = request.header("authorization").and_then(|h| h.strip_prefix("Basic "));
                let plain = sent.and_then(|b| STANDARD.decode(b).ok()).and_then(|b| String::from_utf8(b).ok());
                // RFC 6749 2.3.1: both halves are form-encoded first.
                let decode = |t: &str| {
                    url::form_urlencoded::parse(format!("x={t}").as_bytes()).next().map(|(_, v)| v.into_owned())
                };
                plain.and_then(|p| {
                    let (name, word) = p.split_once(':')?;
                    Some(decode(name)? == id && decode(word)? == secret)
                }) == Some(true)
            }
            None => is("client_id", id) && !form.contains_key("client_secret"),
        }
    }

    fn token(&mut self, now: Timestamp, request: &FakeRequest) -> FakeResponse {
        let Some(form) = form(request) else { return refuse("invalid_request") };
        if !self.client_ok(request, &form) {
            return refuse("invalid_client");
        }
        match form.get("grant_type").map(String::as_str) {
            Some("authorization_code") => self.redeem(now, &form),
            Some("refresh_token") => self.refresh(now, form.get("refresh_token").map_or("", String::as_str)),
            Some(_) => refuse("unsupported_grant_type"),
            None => refuse("invalid_request"),
        }
    }

    fn redeem(&mut self, now: Timestamp, form: &BTreeMap<String, String>) -> FakeResponse {
        let text = |key: &str| form.get(key).map_or("", String::as_str);
        let Some(code) = self.tokens_mut().codes.remove(text("code")) else { return refuse("invalid_grant") };
        let verified = match &code.challenge {
            Some(challenge) => *challenge == URL_SAFE_NO_PAD.encode(Sha256::digest(text("code_verifier"))),
            None => true,
        };
        if !verified || code.redirect != text("redirect_uri") || now.duration_since(code.at) > CODE_LIFE {
            return refuse("invalid_grant");
        }
        let number = self.grant(&code.user, code.scopes, now);
        self.issue(number, now)
    }

    /// A new consent, and its number.
    fn grant(&mut self, user: &str, scopes: Vec<String>, now: Timestamp) -> usize {
        self.connect(user, now);
        self.tokens_mut().grants.push(Grant {
            user: user.to_owned(),
            scopes,
            refresh: None,
            previous: None,
            last_used: now,
            dead: false,
        });
        self.tokens().grants.len() - 1
    }

    fn refresh(&mut self, now: Timestamp, token: &str) -> FakeResponse {
        self.tokens_mut().refreshes += 1;
        let found = self.tokens_mut().grants.iter_mut().enumerate().find_map(|(n, g)| {
            let current = g.refresh.as_deref() == Some(token);
            // Xero allows the previous token for half an hour, for answers that got lost on the way.
            let grace = g.previous.as_ref().is_some_and(|(old, at)| old == token && now.duration_since(*at) <= GRACE);
            (!token.is_empty() && !g.dead && (current || grace)).then_some((n, g, current))
        });
        let Some((number, grant, current)) = found else { return refuse("invalid_grant") };
        if now.duration_since(grant.last_used) > IDLE {
            grant.dead = true;
            return refuse("invalid_grant");
        }
        grant.last_used = now;
        if current {
            grant.previous = Some((token.to_owned(), now));
        }
        self.issue(number, now)
    }

    /// A new pair. The refresh token that it replaces is good for nothing from here on, but for the grace.
    fn issue(&mut self, number: usize, now: Timestamp) -> FakeResponse {
        let (access, refresh) = (self.tokens_mut().make("access"), self.tokens_mut().make("refresh"));
        self.tokens_mut().issued += 1;
        let Some(grant) = self.tokens_mut().grants.get_mut(number) else { return refuse("invalid_grant") };
        let has = |scope: &str| grant.scopes.iter().any(|s| s == scope);
        let (offline, openid) = (has("offline_access"), has("openid"));
        let mut answer = json!({"access_token": access, "expires_in": ACCESS_LIFE_S, "token_type": "Bearer",
            "scope": grant.scopes.join(" ")});
        if offline {
            answer = with(answer, "refresh_token", json!(refresh));
            grant.refresh = Some(refresh);
        }
        let user = grant.user.clone();
        let expires = now.saturating_add(SignedDuration::from_secs(ACCESS_LIFE_S)).unwrap_or(now);
        self.tokens_mut().access.retain(|_, a| now.duration_since(a.expires) < SignedDuration::from_hours(24));
        self.tokens_mut().access.insert(access, Access { grant: number, expires });
        if openid {
            answer = with(answer, "id_token", json!(self.id_token(&user, now)));
        }
        FakeResponse::json(200, &answer).header("cache-control", "no-store")
    }

    /// Signed by nobody: a sandbox has no key that anybody should trust.
    fn id_token(&self, user: &str, now: Timestamp) -> String {
        let mut claims = self.claims(user);
        for (key, value) in [
            ("iss", json!("https://identity.xero.com")),
            ("aud", json!(self.app().id)),
            ("iat", json!(now.as_second())),
            ("exp", json!(now.as_second() + 300)),
        ] {
            claims = with(claims, key, value);
        }
        let part = |v: &Value| URL_SAFE_NO_PAD.encode(v.to_string());
        format!("{}.{}.c2FuZGJveA", part(&json!({"alg": "RS256", "typ": "JWT", "kid": "sandbox"})), part(&claims))
    }

    fn userinfo(&self, now: Timestamp, request: &FakeRequest) -> FakeResponse {
        match self.bearer(now, request) {
            Ok(grant) => FakeResponse::json(200, &self.claims(&grant.user)),
            Err(refused) => refused,
        }
    }

    fn revoke(&mut self, request: &FakeRequest) -> FakeResponse {
        let Some(form) = form(request) else { return refuse("invalid_request") };
        if !self.client_ok(request, &form) {
            return refuse("invalid_client");
        }
        let token = form.get("token").cloned();
        let grant = self.tokens_mut().grants.iter_mut().find(|g| g.refresh.is_some() && g.refresh == token);
        if let Some(grant) = grant {
            grant.dead = true;
            let user = grant.user.clone();
            self.disconnect(&user);
        }
        // RFC 7009: a token that is not there is revoked already.
        FakeResponse::new(200)
    }

    /// The grant of a request's bearer token.
    fn bearer(&self, now: Timestamp, request: &FakeRequest) -> Result<&Grant, FakeResponse> {
        let token = request.header("authorization").and_then(|h| h.strip_prefix("Bearer ")).unwrap_or_default();
        let Some(access) = self.tokens().access.get(token) else {
            return Err(self.unauthorised("AuthenticationUnsuccessful"));
        };
        let grant = self.tokens().grants.get(access.grant).filter(|g| !g.dead);
        let Some(grant) = grant else { return Err(self.unauthorised("AuthenticationUnsuccessful")) };
        if access.expires <= now {
            let at = access.expires.to_zoned(jiff::tz::TimeZone::UTC).strftime("%m/%d/%Y %H:%M:%S").to_string();
            return Err(self.unauthorised(&format!("TokenExpired: token expired at {at}")));
        }
        Ok(grant)
    }

    /// Kills the sign-ins of one person, or all. How many there were.
    fn kill(&mut self, user: Option<&str>) -> usize {
        let hit = |g: &&mut Grant| !g.dead && user.is_none_or(|u| g.user == u);
        self.tokens_mut().grants.iter_mut().filter(hit).map(|g| g.dead = true).count()
    }

    /// What an id token and `userinfo` tell of somebody.
    fn claims(&self, user: &str) -> Value {
        let Person { id, first, last } = self.person(user);
        json!({"sub": id_of(&["subject", &id.to_string()]).simple().to_string(), "email": user, "given_name": first,
            "family_name": last, "xero_userid": id, "preferred_username": user})
    }
}

fn with(mut object: Value, key: &str, value: Value) -> Value {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
    object
}
