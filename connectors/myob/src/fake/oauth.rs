//! Sign-in: consent of an administrator for one company file, codes, single-use refresh tokens without grace.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use super::{Fake, error, id_of};

const CODE_LIFE: SignedDuration = SignedDuration::from_mins(2);
const ACCESS_LIFE: SignedDuration = SignedDuration::from_mins(20);
const IDLE: SignedDuration = SignedDuration::from_hours(7 * 24);
const CONSENT_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);

const SCOPES: &[&str] = &[
    "sme-company-file",
    "sme-company-settings",
    "sme-banking",
    "sme-general-ledger",
    "sme-sales",
    "sme-purchases",
    "sme-inventory",
    "sme-payroll",
    "sme-timebilling",
    "sme-contacts-customer",
    "sme-contacts-supplier",
    "sme-contacts-employee",
    "sme-contacts-personal",
];

/// One consent: a person, a file, an app.
#[derive(Clone, Deserialize, Serialize)]
pub struct Grant {
    pub user: String,
    pub file: Uuid,
    scopes: Vec<String>,
    refresh: String,
    consented: Timestamp,
    last_used: Timestamp,
    pub dead: bool,
}

#[derive(Deserialize, Serialize)]
struct Code {
    user: String,
    file: Uuid,
    scopes: Vec<String>,
    redirect: String,
    at: Timestamp,
}

#[derive(Deserialize, Serialize)]
pub struct Access {
    grant: usize,
    pub expires: Timestamp,
}

#[derive(Default, Deserialize, Serialize)]
pub struct Tokens {
    codes: BTreeMap<String, Code>,
    pub grants: Vec<Grant>,
    pub access: BTreeMap<String, Access>,
    made: u64,
    pub refreshes: u64,
}

impl Tokens {
    /// The clock begins: what was given out before it did is as old as it.
    pub fn start(&mut self, now: Timestamp) {
        self.access.values_mut().for_each(|a| a.expires = now + ACCESS_LIFE);
        for grant in &mut self.grants {
            (grant.consented, grant.last_used) = (now, now);
        }
    }

    /// Unguessable enough for a sandbox, and the same in every run. With letters that an address has to escape.
    fn make(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{what}!{}", URL_SAFE_NO_PAD.encode(Sha256::digest(format!("myob {what} {}", self.made))))
    }
}

fn refuse(error: &str) -> FakeResponse {
    FakeResponse::json(400, &json!({"error": error}))
}

fn is_loopback(redirect: &str) -> bool {
    let host = Url::parse(redirect).ok().filter(|u| u.scheme() == "http").and_then(|u| u.host_str().map(str::to_owned));
    host.is_some_and(|h| matches!(h.as_str(), "127.0.0.1" | "localhost" | "[::1]"))
}

impl Fake {
    /// The file that the person on the consent page chooses.
    fn chosen(&self, user: &str) -> Option<Uuid> {
        let admits =
            |f: &&super::File| f.users.iter().any(|u| u.email.as_deref() == Some(user) && u.administrator && u.active);
        let taken = |id: Uuid| self.tokens.grants.iter().any(|g| g.file == id && !g.dead);
        let mut open = self.files.iter().filter(admits);
        match self.choosing {
            Some(id) => open.find(|f| f.id == id).map(|f| f.id),
            None => {
                let all: Vec<_> = open.map(|f| f.id).collect();
                all.iter().copied().find(|id| !taken(*id)).or_else(|| all.first().copied())
            }
        }
    }

    /// The consent page. Only an administrator of the file gets past it, and agrees at once.
    pub(super) fn authorize(&mut self, now: Timestamp, request: &FakeRequest) -> FakeResponse {
        let page = |text: &str| {
            FakeResponse::new(400).header("content-type", "text/html").body(format!("<html><h1>Sorry</h1>{text}"))
        };
        if request.query("client_id") != Some(self.app.client_id.as_str()) {
            return page("unknown client_id");
        }
        let redirect = request.query("redirect_uri").unwrap_or_default().to_owned();
        let known = is_loopback(&redirect) || self.app.redirects.contains(&redirect);
        let (true, Ok(mut back)) = (known, Url::parse(&redirect)) else { return page("redirect_uri") };
        let scopes: Vec<String> =
            request.query("scope").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        let knows = |s: &String| SCOPES.contains(&s.as_str()) || (self.app.security && s == "arl.security");
        if request.query("response_type") != Some("code") || scopes.is_empty() || !scopes.iter().all(knows) {
            back.query_pairs_mut().append_pair("error", "invalid_scope");
            return redirect_to(back, request);
        }
        let user = self.signing_in.clone();
        let Some(file) = self.chosen(&user) else { return page("Only an administrator of the file can give consent.") };
        let code = self.tokens.make("code");
        let given = Code { user, file, scopes, redirect, at: now };
        self.tokens.codes.insert(code.clone(), given);
        back.query_pairs_mut().append_pair("code", &code);
        // Documented for prompt=consent only: without it nobody learns which file it was.
        if request.query("prompt") == Some("consent") {
            let name = self.files.iter().find(|f| f.id == file).map_or("", |f| f.name.as_str());
            back.query_pairs_mut().append_pair("businessId", &file.to_string()).append_pair("businessName", name);
        }
        redirect_to(back, request)
    }

    pub(super) fn token(&mut self, now: Timestamp, request: &FakeRequest) -> FakeResponse {
        let typed = request.header("content-type").is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
        if !typed {
            return refuse("invalid_request");
        }
        let form = request.form();
        let text = |key: &str| form.get(key).map_or("", String::as_str);
        // In the body, never as Basic.
        let ours = text("client_id") == self.app.client_id && text("client_secret") == self.app.client_secret;
        if !ours || request.header("authorization").is_some() {
            return refuse("invalid_client");
        }
        match text("grant_type") {
            "authorization_code" => {
                let Some(code) = self.tokens.codes.remove(text("code")) else { return refuse("invalid_grant") };
                if code.redirect != text("redirect_uri") || now.duration_since(code.at) > CODE_LIFE {
                    return refuse("invalid_grant");
                }
                let number = self.grant(&code.user, code.file, code.scopes, now);
                self.issue(number, now)
            }
            "refresh_token" => {
                self.tokens.refreshes += 1;
                let token = text("refresh_token");
                let found = self
                    .tokens
                    .grants
                    .iter_mut()
                    .enumerate()
                    .find(|(_, g)| !g.dead && !token.is_empty() && g.refresh == token);
                let Some((number, grant)) = found else { return refuse("invalid_grant") };
                let old =
                    now.duration_since(grant.last_used) > IDLE || now.duration_since(grant.consented) > CONSENT_LIFE;
                grant.dead = old;
                if old { refuse("invalid_grant") } else { self.issue(number, now) }
            }
            _ => refuse("unsupported_grant_type"),
        }
    }

    /// A new consent, and its number.
    pub(super) fn grant(&mut self, user: &str, file: Uuid, scopes: Vec<String>, now: Timestamp) -> usize {
        let (user, refresh) = (user.to_owned(), String::new());
        self.tokens.grants.push(Grant { user, file, scopes, refresh, consented: now, last_used: now, dead: false });
        self.tokens.grants.len() - 1
    }

    /// A new pair. The refresh token that it replaces is good for nothing from here on.
    pub(super) fn issue(&mut self, number: usize, now: Timestamp) -> FakeResponse {
        let (access, refresh) = (self.tokens.make("access"), self.tokens.make("refresh"));
        let Some(grant) = self.tokens.grants.get_mut(number) else { return refuse("invalid_grant") };
        refresh.clone_into(&mut grant.refresh);
        grant.last_used = now;
        let answer = json!({"access_token": access, "token_type": "bearer", "expires_in": "1200",
            "refresh_token": refresh, "scope": grant.scopes.join(" "),
            "user": {"uid": id_of(&["login", &grant.user]), "username": grant.user}});
        self.tokens.access.retain(|_, a| now.duration_since(a.expires) < SignedDuration::from_hours(24));
        self.tokens.access.insert(access, Access { grant: number, expires: now + ACCESS_LIFE });
        FakeResponse::json(200, &answer)
    }

    /// User, scopes and file of a request's bearer token.
    pub(super) fn bearer(
        &self,
        now: Timestamp,
        request: &FakeRequest,
    ) -> Result<(String, Vec<String>, Uuid), FakeResponse> {
        let token = request.header("authorization").and_then(|h| h.strip_prefix("Bearer ")).unwrap_or_default();
        let access = self.tokens.access.get(token).filter(|a| a.expires > now);
        let grant = access.and_then(|a| self.tokens.grants.get(a.grant)).filter(|g| !g.dead);
        grant
            .map(|g| (g.user.clone(), g.scopes.clone(), g.file))
            .ok_or_else(|| error(401, "OAuthTokenIsInvalid", 31001))
    }
}

fn redirect_to(mut back: Url, request: &FakeRequest) -> FakeResponse {
    if let Some(state) = request.query("state") {
        back.query_pairs_mut().append_pair("state", state);
    }
    FakeResponse::new(302).header("location", back.as_str())
}
