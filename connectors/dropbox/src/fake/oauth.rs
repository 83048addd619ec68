//! Sign-in: consent, codes with PKCE, short access tokens, and refresh tokens that do not rotate.

use std::collections::BTreeMap;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::SignedDuration;
use ledgerward_contract::Timestamp;
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::{DropboxFake, Who};

/// Seconds an access token lives.
const LIFE: i64 = 14_400;
const SCOPES: &[&str] = &[
    "account_info.read",
    "files.metadata.read",
    "files.content.read",
    "files.content.write",
    "sharing.read",
    "sharing.write",
    "team_info.read",
    "members.read",
    "team_data.member",
];

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Code {
    who: Who,
    app: String,
    challenge: Option<String>,
    redirect: Option<String>,
    offline: bool,
    dies: Timestamp,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct App {
    pub secret: String,
    pub app_folder: bool,
    /// A team's app.
    pub team: bool,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Refresh {
    who: Who,
    app: String,
    /// Made without a secret, so it needs none.
    public: bool,
}

#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct OAuth {
    pub apps: BTreeMap<String, App>,
    /// Who sits in front of the browser.
    pub consent: String,
    issued: u64,
    codes: BTreeMap<String, Code>,
    access: BTreeMap<String, (Who, Timestamp)>,
    refresh: BTreeMap<String, Refresh>,
}

impl OAuth {
    /// Errors: Dropbox's word for a token that is not good.
    pub fn bearer(&self, token: &str, now: Timestamp) -> Result<Who, &'static str> {
        match self.access.get(token) {
            None => Err("invalid_access_token"),
            Some((_, dies)) if *dies <= now => Err("expired_access_token"),
            Some((who, _)) => Ok(who.clone()),
        }
    }

    fn name(&mut self, kind: &str) -> String {
        self.issued += 1;
        let hash = ring::digest::digest(&ring::digest::SHA256, format!("{kind} {}", self.issued).as_bytes());
        URL_SAFE_NO_PAD.encode(hash).chars().take(28).collect()
    }

    pub fn issue(&mut self, who: Who, now: Timestamp) -> String {
        let token = format!("sl.sandbox-{}", self.name("access"));
        let dies = now.saturating_add(SignedDuration::from_secs(LIFE)).unwrap_or(now);
        self.access.insert(token.clone(), (who, dies));
        token
    }

    pub fn withdraw(&mut self, email: &str) {
        self.access.retain(|_, (w, _)| w.email != email);
        self.refresh.retain(|_, r| r.who.email != email);
    }

    /// Access tokens end early; refresh tokens stay.
    pub fn expire(&mut self, now: Timestamp) {
        self.access.values_mut().for_each(|(_, dies)| *dies = now);
    }
}

fn oauth_error(error: &str, says: &str) -> FakeResponse {
    FakeResponse::json(400, &json!({ "error": error, "error_description": says }))
}

impl DropboxFake {
    /// The consent page: the person in front of it always agrees.
    pub(super) fn authorize(&mut self, r: &FakeRequest) -> FakeResponse {
        let get = |k: &str| r.query(k).unwrap_or_default().to_owned();
        let Some(app) = self.oauth.apps.get(&get("client_id")).cloned() else {
            return FakeResponse::new(400).body("Invalid client_id");
        };
        let redirect = r.query("redirect_uri").map(str::to_owned);
        let to = redirect.as_deref().map(Url::parse);
        let loopback =
            |u: &Url| u.scheme() == "http" && matches!(u.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if matches!(&to, Some(Err(_))) || matches!(&to, Some(Ok(u)) if !loopback(u)) {
            return FakeResponse::new(400).body("Invalid redirect_uri");
        }
        let asked = get("scope");
        let scopes: Vec<String> = match asked.as_str() {
            "" => SCOPES.iter().map(|s| (*s).to_owned()).collect(),
            some => some.split_whitespace().map(str::to_owned).collect(),
        };
        let pkce = r.query("code_challenge").is_none() || get("code_challenge_method") == "S256";
        let known = scopes.iter().all(|s| SCOPES.contains(&s.as_str()));
        if get("response_type") != "code" || !known || !pkce || get("state").len() > 500 {
            return FakeResponse::new(400).body("Invalid request");
        }
        let code = self.oauth.name("code");
        let who = Who { email: self.oauth.consent.clone(), scopes, team: app.team, app_folder: app.app_folder };
        let kept = Code {
            who,
            app: get("client_id"),
            challenge: r.query("code_challenge").map(str::to_owned),
            redirect,
            offline: get("token_access_type") == "offline",
            dies: self.now.saturating_add(SignedDuration::from_mins(10)).unwrap_or(self.now),
        };
        self.oauth.codes.insert(code.clone(), kept);
        match to {
            Some(Ok(mut to)) => {
                to.query_pairs_mut().append_pair("code", &code).append_pair("state", &get("state"));
                FakeResponse::new(302).header("location", to.to_string())
            }
            // Without an address to come back to, the page shows the code.
            _ => FakeResponse::new(200).header("content-type", "text/html").body(format!("<code>{code}</code>")),
        }
    }

    pub(super) fn token(&mut self, r: &FakeRequest) -> FakeResponse {
        let form = r.form();
        let get = |k: &str| form.get(k).map(String::as_str).unwrap_or_default();
        let basic = r
            .header("authorization")
            .and_then(|h| h.strip_prefix("Basic "))
            .and_then(|b| String::from_utf8(STANDARD.decode(b).ok()?).ok())
            .and_then(|t| t.split_once(':').map(|(id, word)| (id.to_owned(), word.to_owned())));
        let (id, secret) = basic.unwrap_or_else(|| (get("client_id").to_owned(), get("client_secret").to_owned()));
        let Some(app) = self.oauth.apps.get(&id).cloned() else {
            return oauth_error("invalid_client", "Invalid client_id or client_secret");
        };
        if !secret.is_empty() && secret != app.secret {
            return oauth_error("invalid_client", "Invalid client_id or client_secret");
        }
        match get("grant_type") {
            "refresh_token" => match self.oauth.refresh.get(get("refresh_token")).cloned() {
                Some(old) if old.app == id && (old.public || !secret.is_empty()) => self.tokens(old.who, None),
                _ => oauth_error("invalid_grant", "refresh token is invalid or revoked"),
            },
            "authorization_code" => {
                let Some(code) = self.oauth.codes.remove(get("code")) else {
                    return oauth_error("invalid_grant", "code doesn't exist or has expired");
                };
                let hash = ring::digest::digest(&ring::digest::SHA256, get("code_verifier").as_bytes());
                let proof = URL_SAFE_NO_PAD.encode(hash);
                // PKCE stands in for the secret, one of the two has to be there.
                let proven = code.challenge.as_ref().map_or(!secret.is_empty(), |c| *c == proof);
                let fits = code.dies > self.now
                    && code.app == id
                    && proven
                    && code.redirect == form.get("redirect_uri").cloned();
                if !fits {
                    return oauth_error("invalid_grant", "the code, its verifier or its redirect do not fit");
                }
                let refresh = code.offline.then(|| self.oauth.name("refresh"));
                if let Some(token) = &refresh {
                    let kept = Refresh { who: code.who.clone(), app: id, public: secret.is_empty() };
                    self.oauth.refresh.insert(token.clone(), kept);
                }
                self.tokens(code.who, refresh)
            }
            _ => oauth_error("unsupported_grant_type", "invalid grant_type"),
        }
    }

    fn tokens(&mut self, who: Who, refresh: Option<String>) -> FakeResponse {
        let (scope, email, team) = (who.scopes.join(" "), who.email.clone(), who.team);
        let access = self.oauth.issue(who, self.now);
        let mut body =
            json!({ "access_token": access, "expires_in": LIFE, "token_type": "bearer", "scope": scope, "uid": "7" });
        let whose = if team { ("team_id", json!("dbtid:sandbox")) } else { ("account_id", self.st.account_id(&email)) };
        if let Value::Object(map) = &mut body {
            map.insert(whose.0.to_owned(), whose.1);
            map.extend(refresh.map(|t| ("refresh_token".to_owned(), json!(t))));
        }
        FakeResponse::json(200, &body)
    }
}
