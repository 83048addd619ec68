//! Sign-in: consent, codes of 30 seconds, and refresh tokens that serve exactly once.
//!
//! There is no grace: a second use of a refresh token ends the whole sign-in, which is the hardest reading of Box's rule.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use ledgerward_contract::Timestamp;
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::{
    BoxFake,
    state::{User, sha1_hex},
};

/// Seconds that an access token lives, as Box's samples show it.
const LIFE: i64 = 4_123;
/// Days that an unused refresh token lives.
const IDLE: i64 = 60;

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Code {
    user: String,
    client: String,
    redirect: String,
    challenge: Option<String>,
    dies: Timestamp,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Access {
    user: String,
    chain: u64,
    dies: Timestamp,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Refresh {
    user: String,
    client: String,
    /// All tokens that come of one sign-in.
    chain: u64,
    spent: bool,
    dies: Timestamp,
}

#[derive(Debug, Default, Deserialize, Serialize)]
pub struct OAuth {
    pub clients: BTreeMap<String, String>,
    /// Apps that an administrator authorised: the enterprise, and the login of the app's service account.
    #[serde(default)]
    pub authorised: BTreeMap<String, (String, String)>,
    /// Apps that may also sign in as a managed user.
    #[serde(default)]
    pub as_users: BTreeSet<String>,
    /// The login of whoever sits in front of the browser.
    pub consent: String,
    pub issued: u64,
    /// How often a spent refresh token came again.
    pub reuses: u64,
    /// How often a refresh token was turned into new tokens.
    pub rotations: u64,
    codes: BTreeMap<String, Code>,
    access: BTreeMap<String, Access>,
    refresh: BTreeMap<String, Refresh>,
}

impl OAuth {
    pub fn bearer(&self, token: &str, now: Timestamp) -> Option<String> {
        self.access.get(token).filter(|a| a.dies > now).map(|a| a.user.clone())
    }

    fn word(&mut self, kind: &str) -> String {
        self.issued += 1;
        sha1_hex(format!("{kind} {}", self.issued).as_bytes()).get(..32).unwrap_or_default().to_owned()
    }

    pub fn issue(&mut self, user: &str, chain: u64, now: Timestamp) -> String {
        let token = self.word("access");
        self.access.insert(token.clone(), Access { user: user.to_owned(), chain, dies: later(now, LIFE) });
        token
    }

    fn end(&mut self, chain: u64) {
        self.access.retain(|_, a| a.chain != chain);
        self.refresh.retain(|_, r| r.chain != chain);
    }

    /// Ends every sign-in of a person, as withdrawing the consent does.
    pub fn withdraw(&mut self, user: &str) {
        self.access.retain(|_, a| a.user != user);
        self.refresh.retain(|_, r| r.user != user);
    }

    /// Access tokens end early; refresh tokens stay.
    pub fn expire(&mut self) {
        self.access.clear();
    }
}

fn later(now: Timestamp, seconds: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now)
}

fn oauth_error(error: &str, says: &str) -> FakeResponse {
    FakeResponse::json(400, &json!({ "error": error, "error_description": says }))
}

impl BoxFake {
    /// The consent page: the person in front of it always agrees.
    pub(super) fn authorize(&mut self, r: &FakeRequest) -> FakeResponse {
        let get = |k: &str| r.query(k).unwrap_or_default().to_owned();
        let redirect = get("redirect_uri");
        let Ok(mut to) = Url::parse(&redirect) else { return oauth_error("redirect_uri_missing", "no redirect_uri") };
        let loopback = to.scheme() == "http" && matches!(to.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if !(loopback || to.scheme() == "https") || !self.oauth.clients.contains_key(&get("client_id")) {
            return oauth_error(
                "redirect_uri_mismatch",
                "unknown client, or a redirect that is neither https nor loopback",
            );
        }
        let user = self.st.user_by_login(&self.oauth.consent).map(|u| u.id.clone());
        let pkce = r.query("code_challenge").is_none() || get("code_challenge_method") == "S256";
        let (Some(user), "code", true) = (user, get("response_type").as_str(), pkce) else {
            to.query_pairs_mut().append_pair("error", "invalid_request").append_pair("state", &get("state"));
            return FakeResponse::new(302).header("location", to.to_string());
        };
        let code = self.oauth.word("code");
        let kept = Code {
            user,
            client: get("client_id"),
            redirect,
            challenge: r.query("code_challenge").map(str::to_owned),
            dies: later(self.now, 30),
        };
        self.oauth.codes.insert(code.clone(), kept);
        to.query_pairs_mut().append_pair("state", &get("state")).append_pair("code", &code);
        FakeResponse::new(302).header("location", to.to_string())
    }

    pub(super) fn token(&mut self, r: &FakeRequest) -> FakeResponse {
        let form = r.form();
        let get = |k: &str| form.get(k).map(String::as_str).unwrap_or_default();
        if self.oauth.clients.get(get("client_id")).is_none_or(|s| s != get("client_secret")) {
            return oauth_error("invalid_client", "The client credentials are invalid");
        }
        match get("grant_type") {
            "refresh_token" => self.refresh(get("refresh_token"), get("client_id")),
            "authorization_code" => {
                let Some(code) = self.oauth.codes.remove(get("code")) else {
                    return oauth_error("invalid_grant", "Auth code doesn't exist or is invalid for the client");
                };
                let proof = URL_SAFE_NO_PAD.encode(digest(&SHA256, get("code_verifier").as_bytes()));
                if code.dies <= self.now {
                    return oauth_error("invalid_grant", "The authorization code has expired");
                }
                let fits = code.client == get("client_id")
                    && (get("redirect_uri").is_empty() || code.redirect == get("redirect_uri"))
                    && code.challenge.as_ref().is_none_or(|c| *c == proof);
                if !fits {
                    return oauth_error("invalid_grant", "Auth code doesn't exist or is invalid for the client");
                }
                self.oauth.issued += 1;
                let chain = self.oauth.issued;
                self.tokens(&code.user, &code.client, chain)
            }
            "client_credentials" => self.app_token(get("client_id"), get("box_subject_type"), get("box_subject_id")),
            _ => oauth_error("unsupported_grant_type", "Invalid grant_type parameter or parameter missing"),
        }
    }

    /// The app itself, as its service account or as a managed user of the enterprise. No refresh token.
    fn app_token(&mut self, client: &str, kind: &str, id: &str) -> FakeResponse {
        let Some((enterprise, login)) = self.oauth.authorised.get(client).cloned() else {
            return oauth_error("unauthorized_client", "This app is not authorized by the enterprise");
        };
        let managed = |u: &&User| u.id == id && u.enterprise.as_deref() == Some(&enterprise);
        let user = match kind {
            "enterprise" if id == enterprise => self.st.user_by_login(&login),
            "user" if self.oauth.as_users.contains(client) => self.st.users.values().find(managed),
            "enterprise" | "user" => None,
            _ => return oauth_error("invalid_request", "box_subject_type must be enterprise or user"),
        };
        let Some(user) = user.map(|u| u.id.clone()) else {
            return oauth_error("invalid_grant", "Grant credentials are invalid");
        };
        let access = self.oauth.issue(&user, 0, self.now);
        FakeResponse::json(
            200,
            &json!({ "access_token": access, "expires_in": LIFE, "restricted_to": [], "token_type": "bearer" }),
        )
    }

    fn refresh(&mut self, token: &str, client: &str) -> FakeResponse {
        let Some(known) = self.oauth.refresh.get_mut(token).filter(|k| k.client == client) else {
            return oauth_error("invalid_grant", "Invalid refresh token");
        };
        if known.spent {
            let chain = known.chain;
            self.oauth.reuses += 1;
            self.oauth.end(chain);
            return oauth_error("invalid_grant", "Refresh token has expired");
        }
        if known.dies <= self.now {
            return oauth_error("invalid_grant", "Refresh token has expired");
        }
        known.spent = true;
        let known = known.clone();
        self.oauth.rotations += 1;
        self.tokens(&known.user, client, known.chain)
    }

    fn tokens(&mut self, user: &str, client: &str, chain: u64) -> FakeResponse {
        let access = self.oauth.issue(user, chain, self.now);
        let refresh = self.oauth.word("refresh");
        let dies = later(self.now, IDLE * 86_400);
        let kept = Refresh { user: user.to_owned(), client: client.to_owned(), chain, spent: false, dies };
        self.oauth.refresh.insert(refresh.clone(), kept);
        FakeResponse::json(
            200,
            &json!({ "access_token": access, "expires_in": LIFE, "restricted_to": [], "refresh_token": refresh, "token_type": "bearer" }),
        )
    }

    /// Ends the sign-in that a token belongs to, both kinds of token at once.
    pub(super) fn revoke_token(&mut self, r: &FakeRequest) -> FakeResponse {
        let form = r.form();
        let get = |k: &str| form.get(k).map(String::as_str).unwrap_or_default();
        if self.oauth.clients.get(get("client_id")).is_none_or(|s| s != get("client_secret")) {
            return oauth_error("invalid_client", "The client credentials are invalid");
        }
        let token = get("token");
        let chain = self.oauth.access.get(token).map(|a| a.chain).or(self.oauth.refresh.get(token).map(|r| r.chain));
        if let Some(chain) = chain {
            self.oauth.end(chain);
        }
        FakeResponse::new(200)
    }
}
