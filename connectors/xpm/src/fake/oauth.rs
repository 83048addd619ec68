//! Sign-in: consent, codes, rotation of refresh tokens with its grace, revocation.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use super::{
    Fake, answers,
    world::{Login, id_of},
};

const CODE_LIFE: SignedDuration = SignedDuration::from_mins(5);
const ACCESS_LIFE_S: i64 = 1800;
const GRACE: SignedDuration = SignedDuration::from_mins(30);
const IDLE: SignedDuration = SignedDuration::from_hours(60 * 24);

/// What an app for one practice may ask for. The last is the older one that stands for all.
pub const SCOPES: &[&str] = &[
    "openid",
    "profile",
    "email",
    "offline_access",
    "practicemanager.client.read",
    "practicemanager.staff.read",
    "practicemanager.job.read",
    "practicemanager.time.read",
    "practicemanager",
];

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

impl Fake {
    /// The consent page. The person behind it agrees at once and connects every practice they may.
    pub(super) fn authorize(&mut self, now: Timestamp, request: &FakeRequest) -> FakeResponse {
        let page = |error: &str| {
            FakeResponse::new(400).header("content-type", "text/html").body(format!("<html><h1>Sorry</h1>{error}"))
        };
        if request.query("client_id") != Some(self.world.app.client_id.as_str()) {
            return page("unauthorized_client");
        }
        let Some(redirect) = request.query("redirect_uri") else { return page("invalid_request: redirect_uri") };
        if !is_loopback(redirect) && !self.world.app.redirects.iter().any(|r| r == redirect) {
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
            () if scopes.is_empty() || !scopes.iter().all(|s| SCOPES.contains(&s.as_str())) => Some("invalid_scope"),
            () if request.query("state").is_none_or(str::is_empty) => Some("invalid_request"),
            () if challenge.is_some() && !s256 => Some("invalid_request"),
            // An app without a secret has nothing else to prove itself with.
            () if challenge.is_none() && self.world.app.client_secret.is_none() => Some("invalid_request"),
            () => None,
        };
        match error {
            Some(error) => {
                back.query_pairs_mut().append_pair("error", error);
            }
            None => {
                let code = self.tokens.make("code");
                let user = self.signing_in.clone();
                self.connect(&user);
                let given = Code { user, redirect: redirect.to_owned(), scopes: scopes.clone(), challenge, at: now };
                self.tokens.codes.insert(code.clone(), given);
                back.query_pairs_mut().append_pair("code", &code).append_pair("scope", &scopes.join(" "));
            }
        }
        if let Some(state) = request.query("state") {
            back.query_pairs_mut().append_pair("state", state);
        }
        FakeResponse::new(302).header("location", back.as_str())
    }

    /// Connects every practice, where the person has the privilege for it.
    fn connect(&mut self, user: &str) {
        if !self.world.users.iter().any(|l| l.email == user && l.may_authorise) {
            return;
        }
        for practice in &mut self.world.practices {
            practice.connected.insert(user.to_owned(), true);
        }
    }

    /// Which app a token request proves to be. With a secret: Basic, or both in the body, as Xero's own Python client
    /// sends them. Without one: the bare id in the body.
    fn client_ok(&self, request: &FakeRequest, form: &BTreeMap<String, String>) -> bool {
        match &self.world.app.client_secret {
            Some(secret) if request.header("authorization").is_none() => {
                form.get("client_id") == Some(&self.world.app.client_id) && form.get("client_secret") == Some(secret)
            }
            Some(secret) => {
                let sent = request.header("authorization").and_then(|h| h.strip_prefix("Basic "));
                let plain = sent.and_then(|b| STANDARD.decode(b).ok()).and_then(|b| String::from_utf8(b).ok());
                // RFC 6749 2.3.1: both halves are form-encoded first.
                let decode = |t: &str| {
                    url::form_urlencoded::parse(format!("x={t}").as_bytes()).next().map(|(_, v)| v.into_owned())
                };
                plain.and_then(|p| {
                    let (id, word) = p.split_once(':')?;
                    Some(decode(id)? == self.world.app.client_id && decode(word)? == *secret)
                }) == Some(true)
            }
            None => form.get("client_id") == Some(&self.world.app.client_id) && !form.contains_key("client_secret"),
        }
    }

    pub(super) fn token(&mut self, now: Timestamp, request: &FakeRequest) -> FakeResponse {
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
        let Some(code) = self.tokens.codes.remove(text("code")) else { return refuse("invalid_grant") };
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
    pub(super) fn grant(&mut self, user: &str, scopes: Vec<String>, now: Timestamp) -> usize {
        self.connect(user);
        self.tokens.grants.push(Grant {
            user: user.to_owned(),
            scopes,
            refresh: None,
            previous: None,
            last_used: now,
            dead: false,
        });
        self.tokens.grants.len() - 1
    }

    fn refresh(&mut self, now: Timestamp, token: &str) -> FakeResponse {
        self.tokens.refreshes += 1;
        let found = self.tokens.grants.iter_mut().enumerate().find_map(|(n, g)| {
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
    pub(super) fn issue(&mut self, number: usize, now: Timestamp) -> FakeResponse {
        let (access, refresh) = (self.tokens.make("access"), self.tokens.make("refresh"));
        self.tokens.issued += 1;
        let Some(grant) = self.tokens.grants.get_mut(number) else { return refuse("invalid_grant") };
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
        self.tokens.access.retain(|_, a| now.duration_since(a.expires) < SignedDuration::from_hours(24));
        self.tokens.access.insert(access, Access { grant: number, expires });
        if openid {
            answer = with(answer, "id_token", json!(self.id_token(&user, now)));
        }
        FakeResponse::json(200, &answer).header("cache-control", "no-store")
    }

    fn claims(&self, user: &str) -> Value {
        let login = self.world.users.iter().find(|l| l.email == user);
        let (first, last) = login.map_or(("", ""), |l: &Login| (l.first.as_str(), l.last.as_str()));
        let id = id_of(&["user", &user.to_ascii_lowercase()]);
        json!({"sub": id_of(&["subject", &id.to_string()]).simple().to_string(), "email": user, "given_name": first,
            "family_name": last, "xero_userid": id, "preferred_username": user})
    }

    /// Signed by nobody: a sandbox has no key that anybody should trust.
    fn id_token(&self, user: &str, now: Timestamp) -> String {
        let mut claims = self.claims(user);
        for (key, value) in [
            ("iss", json!("https://identity.xero.com")),
            ("aud", json!(self.world.app.client_id)),
            ("iat", json!(now.as_second())),
            ("exp", json!(now.as_second() + 300)),
        ] {
            claims = with(claims, key, value);
        }
        let part = |v: &Value| URL_SAFE_NO_PAD.encode(v.to_string());
        format!("{}.{}.c2FuZGJveA", part(&json!({"alg": "RS256", "typ": "JWT", "kid": "sandbox"})), part(&claims))
    }

    pub(super) fn userinfo(&self, now: Timestamp, request: &FakeRequest) -> FakeResponse {
        match self.bearer(now, request) {
            Ok((_, grant)) => FakeResponse::json(200, &self.claims(&grant.user)),
            Err(refused) => refused,
        }
    }

    pub(super) fn revoke(&mut self, request: &FakeRequest) -> FakeResponse {
        let Some(form) = form(request) else { return refuse("invalid_request") };
        if !self.client_ok(request, &form) {
            return refuse("invalid_client");
        }
        let token = form.get("token").cloned();
        let grant = self.tokens.grants.iter_mut().find(|g| g.refresh.is_some() && g.refresh == token);
        if let Some(grant) = grant {
            grant.dead = true;
            let user = grant.user.clone();
            for practice in &mut self.world.practices {
                practice.connected.remove(&user);
            }
        }
        // RFC 7009: a token that is not there is revoked already.
        FakeResponse::new(200)
    }

    /// The grant of a request's bearer token, with its number.
    pub(super) fn bearer(&self, now: Timestamp, request: &FakeRequest) -> Result<(usize, &Grant), FakeResponse> {
        let token = request.header("authorization").and_then(|h| h.strip_prefix("Bearer ")).unwrap_or_default();
        let Some(access) = self.tokens.access.get(token) else {
            return Err(answers::unauthorised("AuthenticationUnsuccessful"));
        };
        let grant = self.tokens.grants.get(access.grant).filter(|g| !g.dead);
        let Some(grant) = grant else { return Err(answers::unauthorised("AuthenticationUnsuccessful")) };
        if access.expires <= now {
            let at = access.expires.to_zoned(jiff::tz::TimeZone::UTC).strftime("%m/%d/%Y %H:%M:%S").to_string();
            return Err(answers::unauthorised(&format!("TokenExpired: token expired at {at}")));
        }
        Ok((access.grant, grant))
    }

    /// Kills the sign-ins of one person, or all. How many there were.
    pub(super) fn kill(&mut self, user: Option<&str>) -> usize {
        let hit = |g: &&mut Grant| !g.dead && user.is_none_or(|u| g.user == u);
        self.tokens.grants.iter_mut().filter(hit).map(|g| g.dead = true).count()
    }

    /// `GET /connections`: of the token's own user, organisations among them.
    pub(super) fn connections(&mut self, now: Timestamp, request: &FakeRequest) -> Result<FakeResponse, FakeResponse> {
        super::only(request, &["authEventId"])?;
        self.bearer(now, request)?;
        let left = self.count_app(now)?;
        let (_, grant) = self.bearer(now, request)?;
        let made = "2026-01-05T08:00:00.0000000";
        let row = |tenant: Uuid, kind: &str, name: &str| {
            let id = id_of(&["connection", &grant.user, &tenant.to_string()]);
            json!({"id": id, "authEventId": id_of(&["event", &grant.user]), "tenantId": tenant, "tenantType": kind,
                "tenantName": name, "createdDateUtc": made, "updatedDateUtc": made})
        };
        let practices = self.world.practices.iter().filter(|p| p.connected.get(&grant.user) == Some(&true));
        let practices = practices.map(|p| row(p.tenant_id, "PRACTICEMANAGER", &p.name));
        let others = self.world.others.iter().map(|o| row(o.tenant_id, &o.tenant_type, &o.name));
        Ok(super::app_limit(FakeResponse::json(200, &others.chain(practices).collect()), left))
    }
}

fn with(mut object: Value, key: &str, value: Value) -> Value {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
    object
}
