//! Sign-in by Entra's rules: codes of ten minutes, access tokens of about an hour, and refresh tokens of 90 days that give
//! a new one at each use and stay good themselves.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use ledgerward_contract::Timestamp;
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::GraphFake;

/// Seconds that an access token lives: Entra draws them between 60 and 90 minutes.
const LIFE: i64 = 4_507;
const IDLE: i64 = 90 * 86_400;
/// Who acts, where it is no person: this and the app's id.
pub const APP: &str = "app:";

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Code {
    user: String,
    client: String,
    redirect: String,
    scope: String,
    challenge: Option<String>,
    dies: Timestamp,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Token {
    user: String,
    client: String,
    scope: String,
    dies: Timestamp,
}

#[derive(Debug, Default, Deserialize, Serialize)]
pub struct OAuth {
    pub clients: BTreeMap<String, String>,
    /// What an administrator consented to for apps that sign in as themselves.
    #[serde(default)]
    pub app_roles: BTreeMap<String, Vec<String>>,
    /// The sign-in name of whoever sits in front of the browser.
    pub consent: String,
    /// The app's secret has come to its end.
    pub secret_expired: bool,
    pub issued: u64,
    pub refreshes: u64,
    codes: BTreeMap<String, Code>,
    access: BTreeMap<String, Token>,
    refresh: BTreeMap<String, Token>,
}

impl OAuth {
    pub fn bearer(&self, token: &str, now: Timestamp) -> Option<String> {
        let fits = |t: &&Token| t.dies > now && t.scope.contains("Files.ReadWrite");
        self.access.get(token).filter(fits).map(|t| t.user.clone())
    }

    fn word(&mut self, kind: &str) -> String {
        self.issued += 1;
        let hash = digest(&SHA256, format!("{kind} {}", self.issued).as_bytes());
        format!("{kind}{}", URL_SAFE_NO_PAD.encode(hash))
    }

    pub fn issue(&mut self, user: &str, client: &str, scope: &str, now: Timestamp) -> String {
        let token = self.word("EwB");
        let kept =
            Token { user: user.to_owned(), client: client.to_owned(), scope: scope.to_owned(), dies: later(now, LIFE) };
        self.access.insert(token.clone(), kept);
        token
    }

    /// Ends every sign-in of a person, as a new password or a withdrawn consent does.
    pub fn withdraw(&mut self, user: &str) {
        self.access.retain(|_, t| t.user != user);
        self.refresh.retain(|_, t| t.user != user);
    }

    /// Access tokens end early; refresh tokens stay.
    pub fn expire(&mut self) {
        self.access.clear();
    }
}

fn later(now: Timestamp, seconds: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now)
}

fn refused(status: u16, error: &str, code: u64, says: &str) -> FakeResponse {
    let body = json!({
        "error": error, "error_description": format!("AADSTS{code}: {says}"), "error_codes": [code],
        "timestamp": "2026-11-21 10:00:00Z", "trace_id": "0f0a0000", "correlation_id": "0f0a0001",
    });
    FakeResponse::json(status, &body)
}

impl GraphFake {
    /// The consent page: the person in front of it always agrees.
    pub(super) fn authorize(&mut self, r: &FakeRequest) -> FakeResponse {
        let get = |k: &str| r.query(k).unwrap_or_default().to_owned();
        let redirect = get("redirect_uri");
        let Ok(mut to) = Url::parse(&redirect) else {
            return refused(400, "invalid_request", 900_144, "The request must contain redirect_uri.");
        };
        let loopback = to.scheme() == "http" && matches!(to.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if !(loopback || to.scheme() == "https") || !self.oauth.clients.contains_key(&get("client_id")) {
            return refused(400, "invalid_request", 50_011, "The redirect URI does not match the app's.");
        }
        let user = self.st.user_named(&self.oauth.consent).map(|u| u.id.clone());
        let pkce = r.query("code_challenge").is_none() || get("code_challenge_method") == "S256";
        let (Some(user), "code", true, false) = (user, get("response_type").as_str(), pkce, get("scope").is_empty())
        else {
            to.query_pairs_mut().append_pair("error", "invalid_request").append_pair("state", &get("state"));
            return FakeResponse::new(302).header("location", to.to_string());
        };
        let code = self.oauth.word("0.A");
        let kept = Code {
            user,
            client: get("client_id"),
            redirect,
            scope: get("scope"),
            challenge: r.query("code_challenge").map(str::to_owned),
            dies: later(self.now, 600),
        };
        self.oauth.codes.insert(code.clone(), kept);
        to.query_pairs_mut().append_pair("code", &code).append_pair("state", &get("state"));
        FakeResponse::new(302).header("location", to.to_string())
    }

    pub(super) fn token(&mut self, r: &FakeRequest) -> FakeResponse {
        let form = r.form();
        let get = |k: &str| form.get(k).map(String::as_str).unwrap_or_default();
        let Some(secret) = self.oauth.clients.get(get("client_id")) else {
            return refused(400, "unauthorized_client", 700_016, "The application was not found in the directory.");
        };
        if self.oauth.secret_expired {
            return refused(401, "invalid_client", 7_000_222, "The provided client secret keys are expired.");
        }
        if secret != get("client_secret") {
            return refused(401, "invalid_client", 7_000_215, "Invalid client secret provided.");
        }
        match get("grant_type") {
            "authorization_code" => {
                let proof = URL_SAFE_NO_PAD.encode(digest(&SHA256, get("code_verifier").as_bytes()));
                let code = self.oauth.codes.remove(get("code")).filter(|c| {
                    c.client == get("client_id")
                        && c.redirect == get("redirect_uri")
                        && c.dies > self.now
                        && c.challenge.as_ref().is_none_or(|c| *c == proof)
                });
                match code {
                    Some(c) => self.tokens(&c.user, &c.client, &c.scope),
                    None => refused(400, "invalid_grant", 70_000, "The provided authorization code is not valid."),
                }
            }
            "refresh_token" => {
                let known = self.oauth.refresh.get(get("refresh_token")).cloned();
                match known.filter(|t| t.client == get("client_id") && t.dies > self.now) {
                    Some(t) => {
                        self.oauth.refreshes += 1;
                        self.tokens(&t.user, &t.client, &t.scope)
                    }
                    None => refused(400, "invalid_grant", 700_082, "The refresh token has expired due to inactivity."),
                }
            }
            "client_credentials" => self.app_token(r, get("client_id"), get("scope")),
            _ => refused(400, "unsupported_grant_type", 70_003, "The grant type is not supported."),
        }
    }

    /// The app itself: of one tenant, for everything that was consented to, and without a refresh token. An app without a
    /// consented role gets a token all the same, which opens nothing.
    fn app_token(&mut self, r: &FakeRequest, client: &str, scope: &str) -> FakeResponse {
        if ["/common/", "/organizations/", "/consumers/"].iter().any(|any| r.path.starts_with(any)) {
            return refused(400, "invalid_request", 50_059, "No tenant-identifying information found in the request.");
        }
        if scope != "https://graph.microsoft.com/.default" {
            return refused(
                400,
                "invalid_scope",
                1_002_012,
                "The provided value for scope is not valid for client credentials.",
            );
        }
        let roles = self.oauth.app_roles.get(client).cloned().unwrap_or_default().join(" ");
        let access = self.oauth.issue(&format!("{APP}{client}"), client, &roles, self.now);
        let body =
            json!({ "token_type": "Bearer", "expires_in": LIFE, "ext_expires_in": LIFE, "access_token": access });
        FakeResponse::json(200, &body)
    }

    fn tokens(&mut self, user: &str, client: &str, scope: &str) -> FakeResponse {
        let access = self.oauth.issue(user, client, scope, self.now);
        let granted: Vec<_> = scope.split(' ').filter(|s| *s != "offline_access").collect();
        let mut body = json!({
            "token_type": "Bearer", "scope": granted.join(" "), "expires_in": LIFE, "ext_expires_in": LIFE,
            "access_token": access,
        });
        // Without this scope there is no refresh token.
        if scope.split(' ').any(|s| s == "offline_access") {
            let refresh = self.oauth.word("1.A");
            let kept = Token {
                user: user.to_owned(),
                client: client.to_owned(),
                scope: scope.to_owned(),
                dies: later(self.now, IDLE),
            };
            self.oauth.refresh.insert(refresh.clone(), kept);
            if let Some(map) = body.as_object_mut() {
                map.insert("refresh_token".to_owned(), json!(refresh));
            }
        }
        FakeResponse::json(200, &body)
    }
}
